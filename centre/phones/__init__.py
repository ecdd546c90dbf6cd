"""Telephones for the demo, the tests and the benches: SIPp speaks SIP, we speak and hear RTP.

SIPp does the signalling as a real trunk or a real desk phone would. Its SDP names a socket of ours,
so that a resident can press a key when he has *heard* the menu, not after a guessed pause, and so
that what was heard can be held against the prompts.
"""

from centre.phones.media import Media
from centre.phones.sip import Callee, Caller, Exchange, PhoneError, SeatPhone, free_port

__all__ = ["Callee", "Caller", "Exchange", "Media", "PhoneError", "SeatPhone", "free_port"]
