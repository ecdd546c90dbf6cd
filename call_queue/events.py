"""What Asterisk tells, typed: one frozen record for each event that the centre understands.

``read`` turns raw headers into a record, or into None when the event is none of ours or lacks what
would make it mean something (no channel, no seat). Headers may be missing, huge, or anything at
all: numbers that are not numbers become None, text loses its control characters and its excess.
Which events are wanted is the table ``READERS`` at the end, and nowhere else.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LONGEST = 200  # characters of a text that is kept
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ID = re.compile(r"[A-Za-z0-9][\w.:-]{0,63}", re.ASCII)
_SERIAL = re.compile(r"-[0-9a-f]{8}(;[12])?")  # of a channel's name, after its endpoint

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Event:
    """``at``: when it was read, UTC."""

    at: dt.datetime


# ── channels: ``endpoint`` is the channel's name without its serial ("PJSIP/trunk-landline") ──
@dataclass(frozen=True, slots=True)
class ChannelEvent(Event):
    uniqueid: str
    linkedid: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class ChannelBegan(ChannelEvent):
    caller: str
    exten: str


@dataclass(frozen=True, slots=True)
class CallerKnown(ChannelEvent):
    """The dialplan has read the caller's number, filtered: a channel begins without it."""

    caller: str


@dataclass(frozen=True, slots=True)
class ChannelAnswered(ChannelEvent):
    """Its state became Up."""


@dataclass(frozen=True, slots=True)
class HangupAsked(ChannelEvent):
    """The other side hung up; the dialplan may still be at it."""


@dataclass(frozen=True, slots=True)
class ChannelEnded(ChannelEvent):
    """``cause``: Q.850; 17 busy, 19 no answer, 16 normal."""

    cause: int | None


@dataclass(frozen=True, slots=True)
class Held(ChannelEvent):
    """``endpoint`` put the other side on hold."""


@dataclass(frozen=True, slots=True)
class Unheld(ChannelEvent):
    pass


@dataclass(frozen=True, slots=True)
class Bridged(ChannelEvent):
    """Joined a conversation."""


@dataclass(frozen=True, slots=True)
class Transferred(ChannelEvent):
    """``endpoint`` gave the call away. ``linkedid``: the call's. ``to``: where to, as dialled, or a seat's endpoint."""

    to: str
    attended: bool


# ── queues: ``uniqueid`` and ``linkedid`` are the caller's ──
@dataclass(frozen=True, slots=True)
class QueueEvent(Event):
    uniqueid: str
    linkedid: str
    queue: str


@dataclass(frozen=True, slots=True)
class CallerJoined(QueueEvent):
    """``channel``: its whole name, by which AMI knows it."""

    caller: str
    position: int | None
    channel: str = ""


@dataclass(frozen=True, slots=True)
class CallerLeft(QueueEvent):
    """Left the queue, for whatever reason."""


@dataclass(frozen=True, slots=True)
class CallerAbandoned(QueueEvent):
    """Left it unanswered: hung up, timed out, pressed a key, or was withdrawn."""


@dataclass(frozen=True, slots=True)
class SeatEvent(QueueEvent):
    """``member``: the seat's number as the queue knows it; ``interface``: "PJSIP/…"."""

    member: str
    interface: str


@dataclass(frozen=True, slots=True)
class SeatRang(SeatEvent):
    """``leg``: the uniqueid of the channel to the seat."""

    caller: str
    leg: str


@dataclass(frozen=True, slots=True)
class SeatAnswered(SeatEvent):
    pass


@dataclass(frozen=True, slots=True)
class SeatSilent(SeatEvent):
    """Rang in vain."""


@dataclass(frozen=True, slots=True)
class SeatDone(SeatEvent):
    """The conversation is over for the queue; ``reason``: agent, caller or transfer."""

    reason: str


# ── seats and devices ──
@dataclass(frozen=True, slots=True)
class Member(Event):
    """A seat's place in one queue. ``status``: Asterisk's device state number, None when not told."""

    queue: str
    member: str
    interface: str
    paused: bool
    reason: str
    status: int | None


@dataclass(frozen=True, slots=True)
class MemberRemoved(Event):
    queue: str
    member: str
    interface: str


@dataclass(frozen=True, slots=True)
class Device(Event):
    """``state``: Asterisk's word, as NOT_INUSE, INUSE, RINGING, ONHOLD, UNAVAILABLE."""

    device: str
    state: str


@dataclass(frozen=True, slots=True)
class Contact(Event):
    """Whether an endpoint's address answers; ``endpoint`` without "PJSIP/"."""

    endpoint: str
    reachable: bool | None


# ── calls out, and the dialplan's own words ──
@dataclass(frozen=True, slots=True)
class Originated(Event):
    """How an Originate went. ``reason`` says little: 0 for a busy telephone too; the hangup's cause knows."""

    action_id: str
    uniqueid: str
    success: bool
    reason: int | None


@dataclass(frozen=True, slots=True)
class Dialled(Event):
    """A Dial() ended. ``linkedid``: the calling side's; ``endpoint``: who was called; ``status``: DIALSTATUS."""

    linkedid: str
    endpoint: str
    status: str


@dataclass(frozen=True, slots=True)
class Said(Event):
    """A UserEvent of the dialplan's."""

    name: str
    fields: Mapping[str, str] = field(hash=False)


# ── of lists that were asked for ──
@dataclass(frozen=True, slots=True)
class Waiting(QueueEvent):
    """One who waits, from QueueStatus (which knows no linkedid: it is empty). ``wait_s``: since entering. ``prio``: his
    QUEUE_PRIO, None when he has none."""

    caller: str
    position: int | None
    wait_s: int
    prio: int | None = None
    channel: str = ""


@dataclass(frozen=True, slots=True)
class LiveChannel(ChannelEvent):
    """One from CoreShowChannels; ``age_s``: since it began."""

    caller: str
    application: str
    bridge: str
    up: bool
    age_s: int


# ── reading ──
def text(value: object) -> str:
    """Text fit to be kept and shown: no control characters, ``LONGEST`` at most; "<unknown>" is nothing."""
    if not isinstance(value, str):
        return ""
    value = _CONTROL.sub("", value[: LONGEST * 2])[:LONGEST].strip()
    return "" if value == "<unknown>" else value


def number(value: object) -> int | None:
    """A count, a code or whole seconds; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
        return int(value)
    return None


def ident(value: object) -> str:
    """A uniqueid or linkedid as Asterisk makes them, else ""."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def endpoint_of(channel: object) -> str:
    """"PJSIP/trunk-landline" of "PJSIP/trunk-landline-0000002a"; "" for what is no channel's name."""
    name = text(channel)
    technology, slash, rest = name.partition("/")
    if not slash or not technology:
        return ""
    serial = _SERIAL.search(rest, max(0, len(rest) - 11))
    return f"{technology}/{rest[: serial.start()]}" if serial and serial.end() == len(rest) else name


def _seconds(value: object) -> int:
    """"75" or "00:01:15"."""
    if not isinstance(value, str):
        return 0
    parts = [number(part) for part in value.split(":")]
    if not 1 <= len(parts) <= 3 or any(part is None for part in parts):
        return 0
    total = 0
    for part in parts:
        total = total * 60 + (part or 0)
    return min(total, 10**7)


def _channel(h: Headers, prefix: str = "") -> tuple[str, str, str] | None:
    uniqueid = ident(h.get(f"{prefix}Uniqueid"))
    if not uniqueid:
        return None
    return uniqueid, ident(h.get(f"{prefix}Linkedid")) or uniqueid, endpoint_of(h.get(f"{prefix}Channel"))


def _plain(made: type[ChannelEvent]) -> Callable[[dt.datetime, Headers], Event | None]:
    def read_it(at: dt.datetime, h: Headers) -> Event | None:
        who = _channel(h)
        return made(at, *who) if who else None

    return read_it


def _began(at: dt.datetime, h: Headers) -> Event | None:
    who = _channel(h)
    return ChannelBegan(at, *who, text(h.get("CallerIDNum")), text(h.get("Exten"))) if who else None


def _caller(at: dt.datetime, h: Headers) -> Event | None:
    who = _channel(h)
    return CallerKnown(at, *who, text(h.get("CallerIDNum"))) if who else None


def _state(at: dt.datetime, h: Headers) -> Event | None:
    if h.get("ChannelState") != "6":
        return None
    who = _channel(h)
    return ChannelAnswered(at, *who) if who else None


def _ended(at: dt.datetime, h: Headers) -> Event | None:
    who = _channel(h)
    return ChannelEnded(at, *who, number(h.get("Cause"))) if who else None


def _blind(at: dt.datetime, h: Headers) -> Event | None:
    call, seat = _channel(h, "Transferee"), _channel(h, "Transferer")
    if not call or not seat or h.get("Result", "Success") != "Success":
        return None
    return Transferred(at, call[0], call[1], seat[2], text(h.get("Extension")), False)


def _attended(at: dt.datetime, h: Headers) -> Event | None:
    call, seat = _channel(h, "Transferee"), _channel(h, "OrigTransferer")
    if not seat or h.get("Result", "Success") != "Success":
        return None
    target = _channel(h, "TransferTarget")
    uniqueid, linkedid = (call or seat)[:2]
    return Transferred(at, uniqueid, linkedid, seat[2], target[2] if target else "", True)


def _in_queue(h: Headers) -> tuple[str, str, str] | None:
    uniqueid, queue = ident(h.get("Uniqueid")), text(h.get("Queue"))
    if not uniqueid or not queue:
        return None
    return uniqueid, ident(h.get("Linkedid")) or uniqueid, queue


def _joined(at: dt.datetime, h: Headers) -> Event | None:
    who = _in_queue(h)
    return CallerJoined(at, *who, text(h.get("CallerIDNum")), number(h.get("Position")),
                        text(h.get("Channel"))) if who else None  # fmt: skip


def _left(at: dt.datetime, h: Headers) -> Event | None:
    who = _in_queue(h)
    return CallerLeft(at, *who) if who else None


def _abandoned(at: dt.datetime, h: Headers) -> Event | None:
    who = _in_queue(h)
    return CallerAbandoned(at, *who) if who else None


def _at_seat(h: Headers) -> tuple[str, str, str, str, str] | None:
    who, member, interface = _in_queue(h), text(h.get("MemberName")), text(h.get("Interface"))
    return (*who, member, interface) if who and (member or interface) else None


def _rang(at: dt.datetime, h: Headers) -> Event | None:
    who = _at_seat(h)
    return SeatRang(at, *who, text(h.get("CallerIDNum")), ident(h.get("DestUniqueid"))) if who else None


def _answered(at: dt.datetime, h: Headers) -> Event | None:
    who = _at_seat(h)
    return SeatAnswered(at, *who) if who else None


def _silent(at: dt.datetime, h: Headers) -> Event | None:
    who = _at_seat(h)
    return SeatSilent(at, *who) if who else None


def _done(at: dt.datetime, h: Headers) -> Event | None:
    who = _at_seat(h)
    return SeatDone(at, *who, text(h.get("Reason"))) if who else None


def _member(at: dt.datetime, h: Headers) -> Event | None:
    queue, interface = text(h.get("Queue")), text(h.get("Interface") or h.get("Location"))
    name = text(h.get("MemberName") or h.get("Name"))
    if not queue or not (interface or name):
        return None
    return Member(at, queue, name, interface, h.get("Paused") == "1",
                  text(h.get("PausedReason") or h.get("Reason")), number(h.get("Status")))  # fmt: skip


def _removed(at: dt.datetime, h: Headers) -> Event | None:
    queue, name, interface = text(h.get("Queue")), text(h.get("MemberName")), text(h.get("Interface"))
    return MemberRemoved(at, queue, name, interface) if queue and (name or interface) else None


def _device(at: dt.datetime, h: Headers) -> Event | None:
    device, state = text(h.get("Device")), text(h.get("State")).upper()
    return Device(at, device, state) if device and state else None


def _contact(at: dt.datetime, h: Headers) -> Event | None:
    """PeerStatus, of the endpoint as a whole. ContactStatus tells of one address: of the one that a telephone had
    before it was switched on again it says "Removed" last."""
    endpoint = text(h.get("Peer")).partition("/")[2]
    status = text(h.get("PeerStatus")).lower()
    if not endpoint or not status:
        return None
    reachable = {"reachable": True, "registered": True,
                 "unreachable": False, "removed": False, "unregistered": False}.get(status)  # fmt: skip
    return Contact(at, endpoint, reachable)


def _originated(at: dt.datetime, h: Headers) -> Event | None:
    action_id = ident(h.get("ActionID"))
    if not action_id:
        return None
    return Originated(at, action_id, ident(h.get("Uniqueid")), h.get("Response") == "Success", number(h.get("Reason")))


def _dialled(at: dt.datetime, h: Headers) -> Event | None:
    linkedid = ident(h.get("Linkedid")) or ident(h.get("DestLinkedid"))
    endpoint, status = endpoint_of(h.get("DestChannel")), text(h.get("DialStatus")).upper()
    return Dialled(at, linkedid, endpoint, status) if linkedid and status else None


def _said(at: dt.datetime, h: Headers) -> Event | None:
    name = text(h.get("UserEvent"))
    return Said(at, name, {text(key): text(value) for key, value in h.items()}) if name else None


def _waiting(at: dt.datetime, h: Headers) -> Event | None:
    uniqueid, queue = ident(h.get("Uniqueid")), text(h.get("Queue"))
    if not uniqueid or not queue:
        return None
    return Waiting(at, uniqueid, "", queue, text(h.get("CallerIDNum")), number(h.get("Position")),
                   _seconds(h.get("Wait")), number(h.get("Priority")) or None, text(h.get("Channel")))  # fmt: skip


def _live(at: dt.datetime, h: Headers) -> Event | None:
    who = _channel(h)
    if not who:
        return None
    return LiveChannel(at, *who, text(h.get("CallerIDNum")), text(h.get("Application")), ident(h.get("BridgeId")),
                       h.get("ChannelState") == "6", _seconds(h.get("Duration")))  # fmt: skip


# Asterisk's name → how it is read. These, and no others, are taken off the wire.
READERS: dict[str, Callable[[dt.datetime, Headers], Event | None]] = {
    "Newchannel": _began,
    "NewCallerid": _caller,
    "Newstate": _state,
    "HangupRequest": _plain(HangupAsked),
    "SoftHangupRequest": _plain(HangupAsked),
    "Hangup": _ended,
    "Hold": _plain(Held),
    "Unhold": _plain(Unheld),
    "BridgeEnter": _plain(Bridged),
    "BlindTransfer": _blind,
    "AttendedTransfer": _attended,
    "QueueCallerJoin": _joined,
    "QueueCallerLeave": _left,
    "QueueCallerAbandon": _abandoned,
    "AgentCalled": _rang,
    "AgentConnect": _answered,
    "AgentRingNoAnswer": _silent,
    "AgentComplete": _done,
    "QueueMemberAdded": _member,
    "QueueMemberStatus": _member,
    "QueueMemberPause": _member,
    "QueueMemberRemoved": _removed,
    "DeviceStateChange": _device,
    "PeerStatus": _contact,
    "OriginateResponse": _originated,
    "DialEnd": _dialled,
    "UserEvent": _said,
}

# Those of the lists that answer QueueStatus, CoreShowChannels and DeviceStateList.
LISTED: dict[str, Callable[[dt.datetime, Headers], Event | None]] = {
    "QueueMember": _member,
    "QueueEntry": _waiting,
    "CoreShowChannel": _live,
    "DeviceStateChange": _device,
}


def read(at: dt.datetime, headers: Headers) -> Event | None:
    """The event that ``headers`` tell of, or None."""
    reader = READERS.get(headers.get("Event", ""))
    return reader(at, headers) if reader else None


def read_listed(at: dt.datetime, headers: Headers) -> Event | None:
    """One item of a list that was asked for, or None."""
    reader = LISTED.get(headers.get("Event", ""))
    return reader(at, headers) if reader else None
