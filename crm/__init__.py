"""The heart of the centre: an appeal's life, its rules and its records.

Imports no Asterisk, no HTTP and no Twilio. Functions take a connection first and the time where it
matters, and never commit: the caller opens the transaction (``crm.store``).
"""
