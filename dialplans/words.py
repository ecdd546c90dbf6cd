"""What Asterisk's own words for the end of a Dial() mean to the centre: DIALSTATUS, and DialEnd's DialStatus."""

from __future__ import annotations

from crm.confirmation_rules import Reached

# REFUSED is the dialplan's: a number that the settings do not allow. Not here: ANSWER, whose outcome is told
# later, and CANCEL (the calling side gave up while it rang) with whatever else there is: unknown.
_REACHED = {
    "BUSY": Reached.BUSY, "NOANSWER": Reached.NO_ANSWER, "CONGESTION": Reached.FAILED,
    "CHANUNAVAIL": Reached.FAILED, "REFUSED": Reached.FAILED,
}  # fmt: skip


def reached(dial_status: str) -> Reached | None:
    """How an attempt to call ended; None when it was answered, and the rest is still to come."""
    return None if dial_status == "ANSWER" else _REACHED.get(dial_status, Reached.UNKNOWN)
