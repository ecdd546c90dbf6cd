"""The waiting room as a caller hears of it: his place, and the wait that we dare to announce."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from call_queue import tracker as t
from call_queue.estimate import Estimate, estimate

LATELY = 40  # calls by which the next ones are judged
UNKNOWN = Estimate(0.0, 0.0, False)


class WaitingRoom:
    """Asked by the ``enqueue`` step, fed with the tracker's changes.

    ``in_step``: whether the tracker can be believed. ``handled_s``: how long the latest calls took, oldest first.
    """

    def __init__(self, tracker: t.Tracker, queue: str, in_step: Callable[[], bool], wrap_up_s: float,
                 handled_s: Iterable[float] = ()) -> None:  # fmt: skip
        self._tracker = tracker
        self._queue = queue
        self._in_step = in_step
        self._wrap_up_s = wrap_up_s
        self._handled_s = deque((seconds + wrap_up_s for seconds in handled_s), LATELY)
        self._coming: dict[str, None] = {}  # told their place, and not in the queue yet: they hear it said

    def place(self, linkedid: str) -> tuple[int | None, Estimate]:
        """The next caller's place (1 is next) and wait; (None, not confident) while nobody can tell.

        He counts as waiting from now on, so that of two who come together one is told that he is second.
        """
        if not self._in_step():
            return None, UNKNOWN
        others = [one for one in self._coming if one in self._tracker.calls and one != linkedid]
        self._coming = dict.fromkeys([*others, linkedid])  # who hung up just before he asked is forgotten here
        place = len(self._tracker.waiting(self._queue)) + len(others) + 1
        serving, free = self._tracker.serving(self._queue), self._tracker.free(self._queue)
        return place, estimate(place, serving, free, list(self._handled_s))

    def take(self, change: t.Change) -> None:
        """What the room learns from a change."""
        match change:
            case t.Entered(linkedid=linkedid):
                self._coming.pop(linkedid, None)
            case t.Ended(linkedid=linkedid, talk_s=talk_s, hold_s=hold_s):
                self._coming.pop(linkedid, None)
                if talk_s is not None:
                    self._handled_s.append(talk_s + (hold_s or 0.0) + self._wrap_up_s)
