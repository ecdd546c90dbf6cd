"""A supervisor hears a conversation of a seat's: it is on record first, then his own telephone is rung, and only then,
within a minute and once, the dialplan is told that it may join him.

Nothing of it can be dialled. The supervisor's channel is no call of the centre's: its id says whom it hears, so that
whoever starts anew knows it from the list of the channels.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import secrets as random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from call_queue import events as ev
from call_queue import tracker as t
from call_queue.ami import Ami, Refused
from call_queue.seats import reached
from crm import supervision
from crm.errors import BadInput, CentreError
from crm.store import Writer
from crm.supervision import Ear

SPY = "spy"  # how the ids of supervisors' channels begin: spy-<seat>-<ear>-<own seat>-<staff_id>-<random>
ALLOWED_S = 60.0
RING_S = 30

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Allowed:
    """He may hear ``channels`` (how the names of the seat's begin); ``keys``: and change how, by keys."""

    channels: str
    ear: Ear
    keys: bool
    until: dt.datetime


@dataclass(frozen=True, slots=True)
class Hearing:
    """Who hears a seat (``by``: his staff_id), from his ``own`` one, and how he began to."""

    seat: str
    ear: Ear
    own: str
    by: int


def hearing_of(channel_id: str) -> Hearing | None:
    """What a channel's id says."""
    match channel_id.split("-"):
        case [begins, seat, ear, own, by, _] if begins == SPY and ear in set(Ear) and by.isdigit():
            return Hearing(seat, Ear(ear), own, int(by))
    return None


class Listening:
    """``ami``: the user who may originate. ``names``: seat → how the names of its channels begin, of either telephone.
    ``changed``: who is heard has changed."""

    def __init__(self, ami: Ami, writer: Writer, tracker: t.Tracker, names: Mapping[str, str],
                 changed: Callable[[], None], clock: Callable[[], dt.datetime]) -> None:  # fmt: skip
        self._ami, self._writer, self._tracker = ami, writer, tracker
        self._names, self._changed, self._now = names, changed, clock
        self._allowed: dict[str, Allowed] = {}
        self._hearing: dict[str, Hearing] = {}

    async def hear(self, number: str, ear: Ear, *, keys: bool, own: str, staff_id: int, why: str) -> None:
        """Rings the supervisor's ``own`` seat, and joins who picks up there to what ``number`` speaks.

        BadInput "seat.unknown", "supervision.no_why", "supervision.no_call" (the seat speaks with nobody),
        "supervision.own_seat", "supervision.busy" (he is on the telephone himself); CentreError as ``reached``.
        """
        why = supervision.why_given(why)
        seats = self._tracker.seats
        if number not in seats or own not in seats:
            raise BadInput("seat.unknown")
        linkedid = seats[number].talking
        if not linkedid:
            raise BadInput("supervision.no_call")
        if number == own:
            raise BadInput("supervision.own_seat")
        if seats[own].calls:
            raise BadInput("supervision.busy")
        now = self._now()
        widest = Ear.BARGE if keys else ear
        await asyncio.shield(asyncio.wrap_future(self._writer.submit(
            lambda conn: supervision.hears(conn, linkedid, widest, why=why, now=now, staff_id=staff_id))))
        channel_id = f"{SPY}-{number}-{ear}-{own}-{staff_id}-{random.token_hex(8)}"
        self._allowed = {known: one for known, one in self._allowed.items() if one.until > now}
        self._allowed[channel_id] = Allowed(self._names[number], ear, keys, now + dt.timedelta(seconds=ALLOWED_S))
        try:
            await reached(self._ami.ask("Originate", {
                "Channel": seats[own].phone, "Context": "spy", "Exten": "s", "Priority": 1,
                "ChannelId": channel_id, "Timeout": RING_S * 1000, "CallerID": number, "Async": "true",
            }, action_id=channel_id))  # fmt: skip
        except Refused:
            raise CentreError("line.asterisk_away") from None

    def allowed(self, channel_id: str, own: str) -> Allowed | None:
        """Of the one who has picked up at seat ``own``: what he may hear now. Asked once; None: nothing."""
        hearing, one = hearing_of(channel_id), self._allowed.pop(channel_id, None)
        if one is None or hearing is None or hearing.own != own or one.until <= self._now():
            _log.warning("seat %s may not hear %s", own, channel_id)
            return None
        return one

    # ── who is heard ──
    def of(self, number: str) -> Hearing | None:
        """Who hears this seat now."""
        return next((one for one in self._hearing.values() if one.seat == number), None)

    def heard(self, event: ev.Event) -> None:
        match event:
            case ev.ChannelAnswered(uniqueid=channel_id) if hearing := hearing_of(channel_id):
                self._hearing[channel_id] = hearing
                self._changed()
            case ev.ChannelEnded(uniqueid=channel_id) if self._hearing.pop(channel_id, None):
                self._changed()

    def compared(self, alive: Collection[str]) -> None:
        """All channels that live, after a loss. One that rings still is counted too early, and no harm done."""
        self._hearing = {channel_id: hearing for channel_id in alive if (hearing := hearing_of(channel_id))}
