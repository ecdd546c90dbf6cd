"""Where every call and every seat stands, from Asterisk's events alone. Pure: no clock, no I/O.

``Tracker.apply(event)`` returns what changed, as ``Change`` records in order. Events may come twice,
late, or for things never heard of: a state is never worse for it. After a loss of events the two
``adopt_…`` methods compare all of it with what Asterisk says is so.

A call is known by its linkedid, which is the uniqueid of its first channel: the citizen's from a
trunk, or that of a callback (whose id we chose). It ends with that channel, or, when that was the seat's, with the
citizen's. A seat is known by its number.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from call_queue import events as ev
from call_queue import order
from crm.calls import UNKNOWN_ORIGIN, Direction, EndCause
from crm.phones import parse_phone

CALLBACK = "cb-"  # how the ids of crm.confirmations' attempts begin
OURS = (CALLBACK, "pr-")  # and those of crm.promises': the centre's own calls


class SeatState(StrEnum):
    OUT = "out"  # in no queue
    OFFLINE = "offline"  # its telephone is not registered
    FREE = "free"
    RINGING = "ringing"
    TALKING = "talking"
    HOLD = "hold"
    PAUSED = "paused"
    WRAPUP = "wrapup"


ON_CALL = frozenset({SeatState.TALKING, SeatState.HOLD})
SERVING = frozenset({SeatState.FREE, SeatState.RINGING, SeatState.WRAPUP}) | ON_CALL


class TrunkState(StrEnum):
    OK = "ok"
    UNKNOWN = "unknown"
    DOWN = "down"


# ── what changed ─────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Change:
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class CallChange(Change):
    linkedid: str


@dataclass(frozen=True, slots=True)
class Arrived(CallChange):
    """``caller``: E.164 or "". ``origin``: landline, mobile, centre."""

    caller: str
    origin: str
    direction: Direction


@dataclass(frozen=True, slots=True)
class PickedUp(CallChange):
    """A callback's citizen answered."""


@dataclass(frozen=True, slots=True)
class Entered(CallChange):
    """Waits from now on, for the first time or because a seat has passed him back. ``queue``: the line's name, as
    crm.calls.Queue. ``position``: 1 is next; None when it is not known."""

    queue: str
    position: int | None


@dataclass(frozen=True, slots=True)
class Rang(CallChange):
    seat: str
    caller: str


@dataclass(frozen=True, slots=True)
class Silent(CallChange):
    """The seat rang in vain."""

    seat: str


@dataclass(frozen=True, slots=True)
class Answered(CallChange):
    """``wait_s``: in the queue, from first entering; None for a call that was in none."""

    seat: str
    wait_s: float | None


@dataclass(frozen=True, slots=True)
class Held(CallChange):
    """Was on hold for ``seconds``, and is back."""

    seat: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Transferred(CallChange):
    seat: str
    to: str


@dataclass(frozen=True, slots=True)
class Ended(CallChange):
    """Seconds; None for what did not happen or is not known."""

    cause: EndCause
    wait_s: float | None
    talk_s: float | None
    hold_s: float | None


@dataclass(frozen=True, slots=True)
class SeatChanged(Change):
    """``kind``: what the seat's history keeps of it: login, logout, pause, unpause, or "" for a mere state."""

    seat: str
    state: SeatState
    linkedid: str
    reason: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class TrunkChanged(Change):
    trunk: str
    state: TrunkState


# ── what is so ───────────────────────────────────────────────────────────────────────────────
@dataclass(slots=True)
class Call:
    linkedid: str
    direction: Direction
    origin: str
    caller: str
    began_at: dt.datetime
    channel: str = ""  # its name, once it has been in a queue
    queue: str = ""  # Asterisk's, in which it is now; "" when it is in none
    line: str = ""  # in which it waits, or did last: call_queue.order.line_of
    turn: dt.datetime | None = None  # by which it has its place there, once somebody has said so
    sought: bool = False  # it waits: in a queue, or listening to us between two slices
    queued_at: dt.datetime | None = None  # first
    entered_at: dt.datetime | None = None  # last
    left_at: dt.datetime | None = None  # last
    ringing: dict[str, str] = field(default_factory=dict)  # seat → the uniqueid of the channel to it
    rung_off: set[str] = field(default_factory=set)  # seats whose channel ended as it rang, before we were told why
    seat: str = ""  # who has it, or had it last
    passed: tuple[str, str] = ("", "")  # the last transfer: by whom and where to, until somebody takes it
    picked_up: bool = False  # a callback: the citizen answered
    answered_at: dt.datetime | None = None
    held_since: dt.datetime | None = None
    hold_s: float = 0.0
    again_s: float = 0.0  # waited in a queue once more, after a seat had passed it back
    hangup_asked: bool = False  # while it waited

    @property
    def wait_s(self) -> float | None:
        until = self.answered_at or self.left_at
        return _between(self.queued_at, until) if self.queued_at and until else None


@dataclass(slots=True)
class Seat:
    number: str
    queues: set[str] = field(default_factory=set)
    paused: dict[str, str] = field(default_factory=dict)  # queue → reason
    phones: dict[str, str] = field(default_factory=dict)  # interface → Asterisk's state of it; the desk's first
    members: set[tuple[str, str]] = field(default_factory=set)  # (queue, interface): two while it changes telephones
    interface: str = ""  # the one that is in its queues, or was last
    calls: dict[str, str] = field(default_factory=dict)  # its channels' uniqueid → linkedid
    ringing: str = ""  # the linkedid of a call from a queue
    talking: str = ""
    on_hold: bool = False
    wrap_until: dt.datetime | None = None
    told: tuple[SeatState, str, str] = (SeatState.OUT, "", "")
    since: dt.datetime | None = None

    def takes(self, queue: str) -> bool:
        """``queue``: one of Asterisk's; a line's is the one of its name, where everybody waits in the end."""
        return queue in self.queues

    @property
    def phone(self) -> str:
        """The interface by which it speaks: the one in its queues, else one that is registered, else its desk's."""
        chosen = self.interface if self.queues else ""
        there = (one for one, state in self.phones.items() if state not in (*_ABSENT, "UNKNOWN"))
        return chosen or next(there, next(iter(self.phones), ""))

    @property
    def offline(self) -> bool:
        """Its telephone is known not to be registered."""
        return self.absent(self.phone)

    def absent(self, interface: str) -> bool:
        return self.phones.get(interface) in _ABSENT

    def _any(self, *states: str) -> bool:
        return any(state in states for state in self.phones.values())

    def now(self, known: Container[str]) -> tuple[SeatState, str, str]:
        """(state, the call's linkedid, the pause's reason). Of its own calls only ``known`` ones are named."""
        if self.talking:
            return SeatState.HOLD if self.on_hold else SeatState.TALKING, self.talking, ""
        if self.ringing:
            return SeatState.RINGING, self.ringing, ""
        own = next((linkedid for linkedid in self.calls.values() if linkedid in known), "")  # that no queue gave it
        if own and self._any("RINGING", "RINGINUSE"):
            return SeatState.RINGING, own, ""
        if self._any("INUSE", "BUSY", "ONHOLD"):
            return SeatState.TALKING, own, ""
        if not self.queues:
            return SeatState.OUT, "", ""
        if self.offline:
            return SeatState.OFFLINE, "", ""
        if self.paused:
            return SeatState.PAUSED, "", next(iter(self.paused.values()))
        if self.wrap_until:
            return SeatState.WRAPUP, "", ""
        return SeatState.FREE, "", ""


@dataclass(slots=True)
class Trunk:
    """``origin``: what calls from it are."""

    endpoint: str
    origin: str
    state: TrunkState = TrunkState.UNKNOWN


OVER = 4096  # ended channels that are remembered: what comes late for them brings nobody back

_ABSENT = ("UNAVAILABLE", "INVALID")
_DEVICES = ("UNKNOWN", "NOT_INUSE", "INUSE", "BUSY", "INVALID", "UNAVAILABLE", "RINGING", "RINGINUSE", "ONHOLD")


class Tracker:
    """``seats``: interface ("PJSIP/seat101-…") → number, of each seat its desk telephone first.
    ``trunks``: endpoint ("PJSIP/trunk-mobile") → origin.
    ``wrap_up_s``: how long a seat is left in peace after a call. ``own_number``: 1551, which seats may call as well."""

    def __init__(self, seats: Mapping[str, str], trunks: Mapping[str, str], wrap_up_s: float,
                 own_number: str = "1551") -> None:  # fmt: skip
        self.calls: dict[str, Call] = {}
        self.seats = {number: Seat(number) for number in seats.values()}
        for interface, number in seats.items():
            self.seats[number].phones[interface] = "UNKNOWN"
        self.trunks = {endpoint: Trunk(endpoint, origin) for endpoint, origin in trunks.items()}
        self._by_interface = dict(seats)
        self._own_number = own_number
        self._wrap_up = dt.timedelta(seconds=wrap_up_s)
        self._channels: dict[str, str] = {}  # uniqueid → endpoint, of trunks and seats
        self._called: dict[str, str] = {}  # uniqueid of a channel by which a citizen was called → its call's linkedid
        self._over: dict[str, str] = {}  # uniqueids of channels that have ended → their calls' linkedids

    # ── reading ──
    def waiting(self, line: str | None = None) -> list[tuple[Call, int]]:
        """Who waits on the telephone and in which place (1 is next), by line and then in order."""
        lines: dict[str, list[Call]] = {}
        for call in self.calls.values():
            if call.sought and line in (None, call.line):
                lines.setdefault(call.line, []).append(call)
        return [(call, place) for standing in lines.values()
                for place, call in enumerate(sorted(standing, key=_by_turn), 1)]  # fmt: skip

    def serving(self, queue: str) -> int:
        """Seats that take calls of the queue, or of the line: neither paused, offline nor out."""
        return sum(seat.takes(queue) and seat.told[0] in SERVING for seat in self.seats.values())

    def free(self, queue: str) -> int:
        return sum(seat.takes(queue) and seat.told[0] is SeatState.FREE for seat in self.seats.values())

    def calls_on(self, trunk: str) -> int:
        """Channels on the trunk ("PJSIP/trunk-mobile") now."""
        return sum(endpoint == trunk for endpoint in self._channels.values())

    def linkedid_of(self, uniqueid: str) -> str:
        """Of the call that this citizen's channel belongs, or belonged, to."""
        return self._called.get(uniqueid) or self._over.get(uniqueid) or uniqueid

    def citizen_of(self, call: Call) -> str:
        """The uniqueid of the citizen's channel; "" when there is none."""
        if call.linkedid in self._channels and call.linkedid not in self.seats.get(call.seat, _NOBODY).calls:
            return call.linkedid
        return next((uniqueid for uniqueid, linkedid in self._called.items() if linkedid == call.linkedid), "")

    def seat_of(self, channel: str) -> str:
        """The number of the seat whose channel it is, by the channel's name; "" for anybody else's."""
        seat = self._seat(ev.endpoint_of(channel))
        return seat.number if seat else ""

    def legs(self, number: str, interface: str) -> list[str]:
        """The uniqueids of the seat's channels by that telephone."""
        return [uniqueid for uniqueid in self.seats[number].calls if self._channels.get(uniqueid) == interface]

    def _of(self, uniqueid: str) -> Call | None:
        return self.calls.get(uniqueid) or self.calls.get(self._called.get(uniqueid, ""))

    # ── what happens ──
    def apply(self, event: ev.Event) -> list[Change]:
        changes: list[Change] = []
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event, changes.append)
        return changes

    def tick(self, at: dt.datetime) -> list[Change]:
        """What ends by time alone: wrap-up."""
        changes: list[Change] = []
        for seat in self.seats.values():
            if seat.wrap_until and seat.wrap_until <= at:
                seat.wrap_until = None
                self._tell(seat, at, changes.append)
        return changes

    def next_tick(self) -> dt.datetime | None:
        """When ``tick`` is due."""
        return min((seat.wrap_until for seat in self.seats.values() if seat.wrap_until), default=None)

    def _began(self, event: ev.ChannelBegan, tell: Tell) -> None:
        if event.uniqueid in self._over:
            return
        seat = self._seat(event.endpoint)
        if event.endpoint in self.trunks or seat:
            self._channels[event.uniqueid] = event.endpoint
        if seat:
            seat.calls[event.uniqueid] = event.linkedid
        elif event.uniqueid in self._channels and event.linkedid != event.uniqueid:
            self._called[event.uniqueid] = event.linkedid
            caller = self._seat(self._channels.get(event.linkedid, ""))
            if caller and event.linkedid not in self.calls:  # a seat calls somebody outside
                self._arrive(event.at, event.linkedid, "", "centre", Direction.OUT, tell).seat = caller.number
        if event.uniqueid == event.linkedid and event.uniqueid not in self.calls:
            if event.uniqueid.startswith(OURS):
                self._arrive(event.at, event.uniqueid, "", "centre", Direction.OUT, tell)
                if seat:
                    self.calls[event.uniqueid].seat = seat.number
            elif event.endpoint in self.trunks:
                origin = self.trunks[event.endpoint].origin
                self._arrive(event.at, event.uniqueid, event.caller, origin, Direction.IN, tell)
            elif seat and event.exten == self._own_number:
                self._arrive(event.at, event.uniqueid, "", "seat", Direction.IN, tell)
        if seat:
            self._tell(seat, event.at, tell)

    def _arrive(self, at: dt.datetime, uniqueid: str, caller: str, origin: str, direction: Direction,
                tell: Tell) -> Call:  # fmt: skip
        call = Call(uniqueid, direction, origin, parse_phone(caller), at)
        self.calls[uniqueid] = call
        tell(Arrived(at, call.linkedid, call.caller, origin, direction))
        for seat in self.seats.values():
            if uniqueid in seat.calls.values():
                self._tell(seat, at, tell)
        return call

    def _caller_known(self, event: ev.CallerKnown, tell: Tell) -> None:
        call, caller = self.calls.get(event.uniqueid), parse_phone(event.caller)
        if call and caller and not call.caller and call.direction is Direction.IN:
            call.caller = caller
            tell(Arrived(event.at, call.linkedid, caller, call.origin, call.direction))

    def _found(self, at: dt.datetime, uniqueid: str, caller: str, tell: Tell) -> Call:
        """A call that was in a queue before anything was heard of it."""
        return self._arrive(at, uniqueid, caller, UNKNOWN_ORIGIN, Direction.IN, tell)

    def _picked_up(self, event: ev.ChannelAnswered, tell: Tell) -> None:
        """An automatic callback is answered when its own channel is; a live one's own channel is the seat's."""
        call = self.calls.get(event.uniqueid)
        if call and call.direction is Direction.OUT and not call.seat:
            self._pick_up(call, event.at, tell)

    def _dialled(self, event: ev.Dialled, tell: Tell) -> None:
        """A live callback: the citizen answered the seat."""
        call = self.calls.get(event.linkedid)
        if call and event.status == "ANSWER" and event.endpoint in self.trunks and not call.answered_at:
            self._pick_up(call, event.at, tell)
            if call.seat and self.seats[call.seat].talking in ("", call.linkedid):
                self._talk(call, call.seat, event.at, tell)
            elif call.seat:  # it asks there, while the citizen whom it has is on hold
                call.answered_at = event.at
                tell(Answered(event.at, call.linkedid, call.seat, None))

    def _pick_up(self, call: Call, at: dt.datetime, tell: Tell) -> None:
        if not call.picked_up:
            call.picked_up = True
            tell(PickedUp(at, call.linkedid))

    def _hangup_asked(self, event: ev.HangupAsked, tell: Tell) -> None:
        call = self._of(event.uniqueid)
        if call and call.sought:
            call.hangup_asked = True

    def _ended(self, event: ev.ChannelEnded, tell: Tell) -> None:
        call = self._of(event.uniqueid)
        self._over[event.uniqueid] = self._called.pop(event.uniqueid, event.linkedid)
        if len(self._over) > OVER:
            del self._over[next(iter(self._over))]
        endpoint = self._channels.pop(event.uniqueid, event.endpoint)
        seat = self._seat(endpoint)
        if seat:
            rang = self.calls.get(seat.calls.pop(event.uniqueid, event.linkedid))
            if rang and rang.ringing.get(seat.number) == event.uniqueid:
                rang.rung_off.add(seat.number)
                self._unring(rang, seat, event.at, tell)
            if not seat.calls:
                self._hang_up(seat, event.at, tell)
        if call and call.linkedid in self._over and call.linkedid not in self._called.values():
            self._end(call, event.at, _cause(call), tell)

    def _end(self, call: Call, at: dt.datetime, cause: EndCause, tell: Tell) -> None:
        if call.sought:
            self._sought_no_more(call, at)
        for number in list(call.ringing):
            self._unring(call, self.seats[number], at, tell)
        self._unhold(call, at, tell)
        del self.calls[call.linkedid]
        aside = call.hold_s + call.again_s
        talk = max(0.0, _between(call.answered_at, at) - aside) if call.answered_at else None
        tell(Ended(at, call.linkedid, cause, call.wait_s, talk, call.hold_s if call.answered_at else None))
        for seat in self.seats.values():
            if seat.talking == call.linkedid:
                self._hang_up(seat, at, tell)
            elif seat.told[1] == call.linkedid:
                self._tell(seat, at, tell)

    # ── queues ──
    def _joined(self, event: ev.CallerJoined, tell: Tell) -> None:
        if event.uniqueid in self._over:
            return
        call = self._of(event.uniqueid) or self._found(event.at, event.uniqueid, event.caller, tell)
        call.channel = event.channel
        if not any(seat.talking == call.linkedid for seat in self.seats.values()):
            self._enter(call, event.queue, event.position, event.at, tell)

    def _enter(self, call: Call, queue: str, position: int | None, at: dt.datetime, tell: Tell) -> None:
        call.queue, call.line, call.left_at, call.hangup_asked = queue, order.line_of(queue), None, False
        if call.sought:  # the next slice
            return
        call.sought = True
        call.entered_at, call.queued_at = at, call.queued_at or at
        tell(Entered(at, call.linkedid, call.line, position))

    def _left(self, event: ev.CallerLeft, tell: Tell) -> None:
        call = self._of(event.uniqueid)
        if call and call.queue == event.queue:
            call.queue, call.left_at = "", event.at

    def _sought_no_more(self, call: Call, at: dt.datetime) -> None:
        call.queue, call.sought, call.left_at = "", False, at
        if call.answered_at and call.entered_at:
            call.again_s += _between(call.entered_at, at)

    def _abandoned(self, event: ev.CallerAbandoned, tell: Tell) -> None:
        """A slice is over, or he has hung up, and then his channel ends as well."""
        call = self._of(event.uniqueid)
        if call is None or not call.sought or call.queue not in ("", event.queue):
            return
        call.queue, call.left_at = "", event.at
        for number in list(call.ringing):
            self._unring(call, self.seats[number], event.at, tell)

    def _rang(self, event: ev.SeatRang, tell: Tell) -> None:
        call, seat = self._of(event.uniqueid), self._seat(event.interface, event.member)
        if call and seat and (call.sought or not call.answered_at):
            self._ring(call, seat, event.leg, event.at, tell)

    def _ring(self, call: Call, seat: Seat, leg: str, at: dt.datetime, tell: Tell) -> None:
        if seat.number in call.ringing:
            return
        call.ringing[seat.number] = leg
        call.rung_off.discard(seat.number)
        seat.ringing = call.linkedid
        tell(Rang(at, call.linkedid, seat.number, call.caller))
        self._tell(seat, at, tell)

    def _unring(self, call: Call, seat: Seat, at: dt.datetime, tell: Tell) -> None:
        call.ringing.pop(seat.number, None)
        if seat.ringing == call.linkedid:
            seat.ringing = ""
            self._tell(seat, at, tell)

    def _silent(self, event: ev.SeatSilent, tell: Tell) -> None:
        call, seat = self._of(event.uniqueid), self._seat(event.interface, event.member)
        if call and seat and (seat.number in call.ringing or seat.number in call.rung_off):
            call.rung_off.discard(seat.number)
            tell(Silent(event.at, call.linkedid, seat.number))
            self._unring(call, seat, event.at, tell)

    def _answered(self, event: ev.SeatAnswered, tell: Tell) -> None:
        call, seat = self._of(event.uniqueid), self._seat(event.interface, event.member)
        if call and seat and (call.sought or call.seat != seat.number):
            self._talk(call, seat.number, event.at, tell)

    def _talk(self, call: Call, number: str, at: dt.datetime, tell: Tell) -> None:
        """The seat has the call."""
        if call.sought:
            self._sought_no_more(call, at)
        self._unhold(call, at, tell)
        call.seat, call.passed = number, ("", "")
        call.answered_at = call.answered_at or at
        tell(Answered(at, call.linkedid, number, call.wait_s))
        seat = self.seats[number]
        seat.talking, seat.on_hold, seat.wrap_until = call.linkedid, False, None
        for other in list(call.ringing):
            self._unring(call, self.seats[other], at, tell)
        call.rung_off.clear()
        self._tell(seat, at, tell)

    def _done(self, event: ev.SeatDone, tell: Tell) -> None:
        seat = self._seat(event.interface, event.member)
        if seat and seat.talking == self.linkedid_of(event.uniqueid):
            self._hang_up(seat, event.at, tell)

    def _hang_up(self, seat: Seat, at: dt.datetime, tell: Tell) -> None:
        """The seat is off the line."""
        if seat.talking:
            seat.talking, seat.on_hold = "", False
            if seat.queues and self._wrap_up:
                seat.wrap_until = at + self._wrap_up
        self._tell(seat, at, tell)

    # ── in conversation ──
    def _held(self, event: ev.Held, tell: Tell) -> None:
        call, seat = self._conversation(event)
        if call and seat and call.held_since is None:
            call.held_since, seat.on_hold = event.at, True
            self._tell(seat, event.at, tell)

    def _unheld(self, event: ev.Unheld, tell: Tell) -> None:
        call, seat = self._conversation(event)
        if call and seat:
            self._unhold(call, event.at, tell)

    def _unhold(self, call: Call, at: dt.datetime, tell: Tell) -> None:
        if call.held_since is None:
            return
        seconds = _between(call.held_since, at)
        call.held_since = None
        call.hold_s += seconds
        tell(Held(at, call.linkedid, call.seat, seconds))
        for seat in self.seats.values():
            if seat.talking == call.linkedid and seat.on_hold:
                seat.on_hold = False
                self._tell(seat, at, tell)

    def _conversation(self, event: ev.ChannelEvent) -> tuple[Call | None, Seat | None]:
        """The call that a seat's channel is in, if the seat has it: it may be asking a colleague on another line."""
        seat, call = self._seat(event.endpoint), self.calls.get(event.linkedid)
        mine = seat and call and seat.talking == call.linkedid and call.seat == seat.number
        return (call, seat) if mine else (None, None)

    def _bridged(self, event: ev.Bridged, tell: Tell) -> None:
        """Another seat is in the conversation, which was transferred to it; or the same one again, by a new channel."""
        seat, call = self._seat(event.endpoint), self.calls.get(event.linkedid)
        if seat and event.uniqueid in seat.calls:
            seat.calls[event.uniqueid] = event.linkedid  # conversations that are joined have the older one's
            self._tell(seat, event.at, tell)
        mine = event.uniqueid == event.linkedid  # a seat's own call to the centre
        has_it = call and call.seat == seat.number and seat.talking == call.linkedid if seat else False
        if seat and call and call.answered_at and not has_it and not mine:
            self._talk(call, seat.number, event.at, tell)

    def _transferred(self, event: ev.Transferred, tell: Tell) -> None:
        call = self._of(event.uniqueid) or self.calls.get(event.linkedid)
        seat, target = self._seat(event.endpoint), self._seat(event.to)
        to = target.number if target else event.to
        if call is None or seat is None or call.answered_at is None or call.passed == (seat.number, to):
            return
        self._unhold(call, event.at, tell)
        tell(Transferred(event.at, call.linkedid, seat.number, to))
        if seat.talking == call.linkedid:
            self._hang_up(seat, event.at, tell)
        if target and call.seat != target.number:
            self._talk(call, target.number, event.at, tell)
        call.passed = (seat.number, to)

    # ── seats and trunks ──
    def _member(self, event: ev.Member, tell: Tell) -> None:
        seat = self._seat(event.interface, event.member)
        if seat is None:
            return
        kinds = [] if seat.queues else ["login"]
        was_paused = bool(seat.paused)
        seat.queues.add(event.queue)
        interface = event.interface if event.interface in seat.phones else seat.phone
        seat.interface = interface
        seat.members.add((event.queue, interface))
        if event.paused:
            seat.paused[event.queue] = event.reason
        else:
            seat.paused.pop(event.queue, None)
        if bool(seat.paused) != was_paused:
            kinds.append("pause" if seat.paused else "unpause")
        if event.status is not None and event.status < len(_DEVICES):
            seat.phones[interface] = _DEVICES[event.status]
        self._tell(seat, event.at, tell, kinds)

    def _removed(self, event: ev.MemberRemoved, tell: Tell) -> None:
        seat = self._seat(event.interface, event.member)
        if seat is None or event.queue not in seat.queues:
            return
        seat.members.discard((event.queue, event.interface))
        other = next((interface for queue, interface in seat.members if queue == event.queue), "")
        if other and event.interface in seat.phones:  # by its other telephone it is in there
            seat.interface = other
        else:
            self._remove(seat, event.queue, event.at, tell)

    def _remove(self, seat: Seat, queue: str, at: dt.datetime, tell: Tell) -> None:
        seat.queues.discard(queue)
        seat.members = {one for one in seat.members if one[0] != queue}
        seat.paused.pop(queue, None)
        if not seat.queues:
            seat.wrap_until = None
        self._tell(seat, at, tell, [] if seat.queues else ["logout"])

    def _device(self, event: ev.Device, tell: Tell) -> None:
        seat = self._seat(event.device)
        if seat:
            seat.phones[event.device] = event.state
            self._tell(seat, event.at, tell)
        elif event.device in self.trunks:
            state = {"UNAVAILABLE": TrunkState.DOWN, "INVALID": TrunkState.UNKNOWN,
                     "UNKNOWN": TrunkState.UNKNOWN}.get(event.state, TrunkState.OK)  # fmt: skip
            self._trunk(event.device, state, event.at, tell)

    def _contact(self, event: ev.Contact, tell: Tell) -> None:
        if event.reachable is not None:
            state = TrunkState.OK if event.reachable else TrunkState.DOWN
            self._trunk(f"PJSIP/{event.endpoint}", state, event.at, tell)

    def _trunk(self, endpoint: str, state: TrunkState, at: dt.datetime, tell: Tell) -> None:
        trunk = self.trunks.get(endpoint)
        if trunk and trunk.state is not state:
            trunk.state = state
            tell(TrunkChanged(at, endpoint, state))

    def _seat(self, interface: str, member: str = "") -> Seat | None:
        return self.seats.get(member) or self.seats.get(self._by_interface.get(interface, ""))

    def _tell(self, seat: Seat, at: dt.datetime, tell: Tell, kinds: Iterable[str] = ()) -> None:
        """Tells the seat's state if it is another, and each line of its history."""
        now = seat.now(self.calls)
        if now[:2] != seat.told[:2]:
            seat.since = at
        kinds = list(kinds) or ([""] if now != seat.told else [])
        seat.told = now
        for kind in kinds:
            tell(SeatChanged(at, seat.number, *now, kind))

    # ── after a loss ──
    def adopt_queues(self, at: dt.datetime, listed: Iterable[ev.Event]) -> list[Change]:
        """What QueueStatus says: every seat's queues and pauses, everybody who waits and since when."""
        changes: list[Change] = []
        tell = changes.append
        members: dict[str, set[str]] = {number: set() for number in self.seats}
        for each in self.seats.values():
            each.members = set()
        waiting: list[ev.Waiting] = []
        for item in listed:
            if isinstance(item, ev.Member):
                self._member(item, tell)
                seat = self._seat(item.interface, item.member)
                if seat:
                    members[seat.number].add(item.queue)
            elif isinstance(item, ev.Waiting):
                waiting.append(item)
        for number, queues in members.items():
            for queue in self.seats[number].queues - queues:
                self._remove(self.seats[number], queue, at, tell)
        still = {(self.linkedid_of(item.uniqueid), item.queue) for item in waiting}
        for call in self.calls.values():
            if call.queue and (call.linkedid, call.queue) not in still:
                call.queue, call.left_at = "", at  # he listens to us, or a seat has him: the channels will tell
        for item in sorted(waiting, key=lambda one: (one.queue, one.position or 0)):
            since = at - dt.timedelta(seconds=item.wait_s)
            call = self._of(item.uniqueid) or self._found(since, item.uniqueid, item.caller, tell)
            call.channel = item.channel
            if item.prio:
                call.turn = order.turn_of(item.prio)
            if call.queue != item.queue:
                for seat in self.seats.values():
                    if seat.talking == call.linkedid:  # it was passed back
                        self._hang_up(seat, at, tell)
                self._enter(call, item.queue, None, since, tell)
        return changes

    def adopt_channels(self, at: dt.datetime, listed: Iterable[ev.Event]) -> list[Change]:
        """What CoreShowChannels says: calls that are gone end as lost, those we did not know are taken on,
        and who talks with whom is mended."""
        changes: list[Change] = []
        tell = changes.append
        channels = [item for item in listed if isinstance(item, ev.LiveChannel)]
        alive = {channel.uniqueid for channel in channels}
        alive |= {channel.linkedid for channel in channels if channel.endpoint in self.trunks}
        for call in list(self.calls.values()):
            if call.linkedid not in alive:
                self._end(call, at, EndCause.LOST, tell)
        self._channels, self._called = {}, {}
        for seat in self.seats.values():
            seat.calls = {}
        for channel in channels:
            self._take_on(channel, at, tell)
        for call in self.calls.values():
            for number, leg in list(call.ringing.items()):
                if leg not in alive:
                    self._unring(call, self.seats[number], at, tell)
        legs: dict[str, list[tuple[ev.LiveChannel, Seat]]] = {}
        for channel in channels:
            on, known = self._seat(channel.endpoint), self.calls.get(channel.linkedid)
            if not on or not known or (known.direction is Direction.IN and channel.uniqueid == channel.linkedid):
                continue  # nobody's, or a seat's own call to the centre
            if channel.bridge:
                legs.setdefault(channel.linkedid, []).append((channel, on))
            elif known.queue and not channel.up:
                self._ring(known, on, channel.uniqueid, at, tell)
        for linkedid, seats in legs.items():
            self._mend_talk(self.calls[linkedid], seats, at, tell)
        for seat in self.seats.values():
            if seat.talking and seat.talking not in seat.calls.values():
                self._hang_up(seat, at, tell)
            self._tell(seat, at, tell)
        return changes

    def _mend_talk(self, call: Call, legs: list[tuple[ev.LiveChannel, Seat]], at: dt.datetime, tell: Tell) -> None:
        """``legs``: the seats that are in the call's conversation."""
        if call.answered_at is None or call.sought or call.seat not in {seat.number for _, seat in legs}:
            leg, seat = legs[-1]
            began = at - dt.timedelta(seconds=leg.age_s)  # rang first: its answer was a little later
            if call.direction is Direction.OUT:
                self._pick_up(call, at, tell)
            self._talk(call, seat.number, max(began, call.entered_at or began), tell)
        elif self.seats[call.seat].talking != call.linkedid:
            self.seats[call.seat].talking = call.linkedid

    def _take_on(self, channel: ev.LiveChannel, at: dt.datetime, tell: Tell) -> None:
        seat = self._seat(channel.endpoint)
        if seat or channel.endpoint in self.trunks:
            self._channels[channel.uniqueid] = channel.endpoint
        if seat:
            seat.calls[channel.uniqueid] = channel.linkedid
        elif channel.uniqueid in self._channels and channel.linkedid != channel.uniqueid:
            self._called[channel.uniqueid] = channel.linkedid
        if channel.uniqueid in self.calls:
            known = self.calls[channel.uniqueid]
            if known.origin == UNKNOWN_ORIGIN and channel.endpoint in self.trunks:
                known.origin = self.trunks[channel.endpoint].origin
                tell(Arrived(known.began_at, known.linkedid, known.caller, known.origin, known.direction))
            return
        callback = channel.uniqueid.startswith(OURS)
        if callback or (channel.endpoint in self.trunks and channel.uniqueid == channel.linkedid):
            origin = "centre" if callback else self.trunks[channel.endpoint].origin
            call = self._arrive(at - dt.timedelta(seconds=channel.age_s), channel.uniqueid, channel.caller, origin,
                                Direction.OUT if callback else Direction.IN, tell)  # fmt: skip
            if callback and seat:
                call.seat = seat.number
            elif callback and channel.up:
                self._pick_up(call, at, tell)


_NOBODY = Seat("")


def trunk_name(endpoint: str) -> str:
    """"landline" of "PJSIP/trunk-landline"."""
    return endpoint.rpartition("trunk-")[2]


def _cause(call: Call) -> EndCause:
    """Why a call ended whose own channel ended now."""
    if call.answered_at:
        return EndCause.COMPLETED
    if call.direction is Direction.OUT and not call.queued_at:
        return EndCause.COMPLETED if call.picked_up else EndCause.UNREACHED
    if call.queue or call.hangup_asked or (call.turn and not call.queued_at):  # told of his place, he hung up
        return EndCause.ABANDONED
    return EndCause.TIMEOUT if call.queued_at else EndCause.IVR


def _by_turn(call: Call) -> tuple[dt.datetime, dt.datetime]:
    """Of one who waits. Whose turn nobody has said has come as he entered."""
    entered = call.queued_at or call.began_at
    return call.turn or entered, entered


def _between(start: dt.datetime, end: dt.datetime) -> float:
    return max(0.0, (end - start).total_seconds())


Tell = Callable[[Change], None]

# Event → what it does to the state.
_HANDLERS: dict[type[ev.Event], Callable[[Tracker, Any, Tell], None]] = {
    ev.ChannelBegan: Tracker._began,
    ev.CallerKnown: Tracker._caller_known,
    ev.ChannelAnswered: Tracker._picked_up,
    ev.HangupAsked: Tracker._hangup_asked,
    ev.ChannelEnded: Tracker._ended,
    ev.Held: Tracker._held,
    ev.Unheld: Tracker._unheld,
    ev.Bridged: Tracker._bridged,
    ev.Transferred: Tracker._transferred,
    ev.Dialled: Tracker._dialled,
    ev.CallerJoined: Tracker._joined,
    ev.CallerLeft: Tracker._left,
    ev.CallerAbandoned: Tracker._abandoned,
    ev.SeatRang: Tracker._rang,
    ev.SeatSilent: Tracker._silent,
    ev.SeatAnswered: Tracker._answered,
    ev.SeatDone: Tracker._done,
    ev.Member: Tracker._member,
    ev.MemberRemoved: Tracker._removed,
    ev.Device: Tracker._device,
    ev.Contact: Tracker._contact,
}
