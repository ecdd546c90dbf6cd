"""Which confirmation is on whose screen, so that no two people are shown the same one next.

Known to this process only, and for a while: nobody is harmed when it is forgotten, for a citizen is called by who
claims him first.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

LASTS = timedelta(minutes=15)


class Handed:
    """Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders: dict[int, tuple[int, datetime]] = {}  # callback → (staff_id, until when)

    def next(self, due: Sequence[int], staff_id: int, now: datetime) -> int | None:
        """Of these callbacks, in order, the one that this person has been shown already, else the first that nobody
        else is looking at; None if there is none."""
        with self._lock:
            self._holders = {one: held for one, held in self._holders.items() if held[1] > now}
            mine = (one for one in due if self._holders.get(one, (0,))[0] == staff_id)
            nobodys = (one for one in due if one not in self._holders)
            chosen = next(mine, next(nobodys, None))
            if chosen is not None:
                self._holders[chosen] = staff_id, now + LASTS
            return chosen

    def pass_over(self, callback_id: int, staff_id: int, now: datetime) -> None:
        """He wants another one: this is left to others, and comes back to him later."""
        with self._lock:
            if self._holders.get(callback_id, (staff_id,))[0] == staff_id:
                self._holders[callback_id] = 0, now + LASTS
