"""What the dialplan asks us of a supervisor who has picked up: whom may he hear, and how?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from crm.supervision import Ear
from ivr.server import Step
from ivr.steps import Variables, exactly

# ChanSpy's: nothing is said to him, and it is over when the seat's channel is, or there is none.
ALWAYS = "qES"
HOW = {Ear.LISTEN: "", Ear.WHISPER: "w", Ear.BARGE: "B"}
BY_KEYS = "d"  # 4: hears, 5: whispers, 6: speaks to both


class Allowed(Protocol):
    """``channels``: how the names of the channels begin."""

    @property
    def channels(self) -> str: ...
    @property
    def ear(self) -> Ear: ...
    @property
    def keys(self) -> bool: ...


class SpySteps:
    """``allowed``: what the channel of this id, at this seat, may hear now; None: nothing. Asked once."""

    def __init__(self, allowed: Callable[[str, str], Allowed | None]) -> None:
        self._allowed = allowed

    def by_name(self) -> dict[str, Step]:
        """For ``FastAgi``."""
        return {"spy": self.spy}

    async def spy(self, args: list[str], environment: Mapping[str, str]) -> Variables:
        """The channel's id, its seat → SPY_ON, SPY_HOW: ChanSpy's arguments; both empty when he may hear nobody."""
        channel_id, own = exactly(args, 2)
        one = self._allowed(channel_id, own)
        if one is None:
            return {"SPY_ON": "", "SPY_HOW": ""}
        return {"SPY_ON": one.channels, "SPY_HOW": f"{ALWAYS}{HOW[one.ear]}{BY_KEYS if one.keys else ''}"}
