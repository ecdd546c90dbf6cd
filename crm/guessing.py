"""How long whoever signs in must wait after wrong passwords and codes: guessing is slowed down, nobody is locked out.

Failures are counted by account and place. A place is a browser in which this very person has signed in before, or else
an address. At a place that stands for itself only its own failures count: strangers cannot make the right person wait
at his own browser, at the machine itself, or with a one-time password, which nobody guesses. Everywhere else whoever
comes also waits when many have guessed at this account, or this address at many accounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

FREE_HERE = 5  # failures of one account at one place before the next try has to wait
FREE_OF_ACCOUNT = 20  # and of one account at all places together
FREE_FROM_ADDRESS = 60  # and from one address at all accounts: a whole office may stand behind it
FIRST_WAIT_S = 15
LONGEST_WAIT_S = 900
FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody signs in: his ``address``, and the mark of his ``browser`` if he has signed in there before."""

    address: str = ""
    browser: str = ""

    @property
    def key(self) -> str:
        """By what failures here are counted. Of IPv6 the network: who has one address has all of it."""
        if self.browser:
            return f"browser {self.browser}"[:64]
        try:
            address = ip_address(self.address)
        except ValueError:
            return self.address[:64]
        return str(ip_network((address, 64), strict=False)) if address.version == 6 else str(address)

    @property
    def apart(self) -> bool:
        """Whether strangers' failures elsewhere are nothing to it."""
        try:
            return bool(self.browser) or ip_address(self.address).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Tally:
    """How many failures, and when the last one was."""

    failures: int = 0
    last_at: datetime | None = None

    def left_s(self, free: int, now: datetime) -> float:
        """Seconds until the next try. A last one that lies ahead is a clock's that was set back: it holds up nobody."""
        wait = timedelta(seconds=wait_after(self.failures, free))
        if self.last_at is None or not self.last_at <= now < self.last_at + wait:
            return 0.0
        return (self.last_at + wait - now).total_seconds()


def wait_after(failures: int, free: int) -> int:
    """Seconds from the last failure to the next try: none at first, then doubling up to LONGEST_WAIT_S."""
    beyond = failures - free
    return 0 if beyond < 0 else min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(beyond, 10))


def wait_s(here: Tally, account: Tally, address: Tally, *, apart: bool, now: datetime) -> float:
    """Seconds until somebody may try, here; 0.0: now. At a place that is ``apart`` only ``here`` counts."""
    left = here.left_s(FREE_HERE, now)
    if apart:
        return left
    return max(left, account.left_s(FREE_OF_ACCOUNT, now), address.left_s(FREE_FROM_ADDRESS, now))
