"""The one consumer of what AMI says: each item is typed, applied to the tracker, kept, told, and passed on.

What else follows from an event or a change is not decided here: ``heard`` gets every event, ``changed``
every change (`centre/line.py` has both tables).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress

from call_queue import events as ev
from call_queue import reconcile
from call_queue.ami import Ami, Answer, Denied, Down, Gap, Item, NotSent, Raw, Stream, Up
from call_queue.recorder import Recorder
from call_queue.tracker import Change, Tracker

BATCH = 256

_log = logging.getLogger(__name__)


class Follower:
    """Reads ``stream`` for ever.

    ``changed``: a change, and the future of what is written about it (None when nothing is). ``heard``: an event as it
    came. ``compared``: all channels that live, and when we asked; what we believed has just been mended by it.
    ``lost``: what we believe is not certain any more.
    """

    def __init__(self, stream: Stream, ami: Ami, tracker: Tracker, recorder: Recorder, *,
                 changed: Callable[[Change, Future[object] | None], None], heard: Callable[[ev.Event], None],
                 compared: Callable[[set[str], dt.datetime], None],
                 lost: Callable[[], None] = lambda: None) -> None:  # fmt: skip
        self._stream, self._ami, self._tracker, self._recorder = stream, ami, tracker, recorder
        self._changed, self._heard, self._compared, self._lost = changed, heard, compared, lost
        self._asked_at: dt.datetime | None = None
        self.in_step = False  # what we believe has been compared with Asterisk, and every event since was heard

    async def run(self) -> None:
        while True:
            for item in await self._take():
                try:
                    self._apply(item)
                except Exception:  # one item that cannot be applied must not end the rest
                    _log.exception("not applied: %.500r", item)

    async def _take(self) -> list[Item | None]:
        """What came; None alone when a wrap-up ends first."""
        due = self._tracker.next_tick()
        if due is None:
            return [*await self._stream.take(BATCH)]
        try:
            async with asyncio.timeout((due - _now()).total_seconds()):
                return [*await self._stream.take(BATCH)]
        except TimeoutError:
            return [None]

    def _apply(self, item: Item | None) -> None:
        match item:
            case None:
                self._follow(self._tracker.tick(_now()))
            case Raw(at, headers):
                event = ev.read(at, headers)
                if event is not None:
                    self._follow(self._tracker.apply(event))
                    self._heard(event)
            case Answer(ok=False, action=action):
                self._asked_at = None
                _log.error("Asterisk refuses %s: what is known of calls stays uncertain", action)
            case Answer(asked_at=asked_at):
                self._follow(reconcile.apply(self._tracker, item))
                if item.action == reconcile.LISTS[-1]:
                    self.in_step = self._asked_at is not None and asked_at >= self._asked_at
                    self._compared(reconcile.channels_of(item), asked_at)
            case Up(user=user) if user == self._ami.user:
                self._compare()
            case Gap():
                _log.warning("events of Asterisk's were lost: comparing again")
                self._compare()
            case Down(user=user) if user == self._ami.user:
                self._out_of_step()
                _log.warning("AMI is lost: what is known of calls is no longer certain")
            case Up() | Down() | Denied():
                pass

    def _out_of_step(self) -> None:
        if self.in_step:
            self.in_step = False
            self._lost()

    def _compare(self) -> None:
        self._out_of_step()
        self._asked_at = _now()  # what was asked earlier does not count any more
        with suppress(NotSent):  # lost again: the next Up asks
            reconcile.ask(self._ami)

    def _follow(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self._changed(change, self._recorder.take(change))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
