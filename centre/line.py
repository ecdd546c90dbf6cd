"""The line: the process between Asterisk and the records.

It answers FastAGI, listens to AMI, places the callbacks, indexes recordings and reads back what
Asterisk had to do without it. Everything is built here, once, and handed to each other; what each
part does is in its own package.
"""
