"""What the public reaches: residents' pages, Open311 and the API, and what Twilio and Facebook call.

A process of its own, so that a crowd there is nothing to the console and the telephone, and the console need not be
reached from outside at all.
"""
