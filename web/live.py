"""What the line tells, kept for the pages and passed on to every browser that looks.

One task reads the line's socket. The live view and the wallboard are a few parts of HTML each (``VIEWS``); when
something changes, the parts are rendered once for each language that somebody looks in, and only the changed ones are
sent, the same bytes to all. A seat's own call is sent to that seat's people alone.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote

from crm.errors import BadInput
from crm.sign_in import Session
from crm.staffing import Ahead
from crm.supervision import Act
from crm.today import Today

log = logging.getLogger(__name__)

# What a page shows that is told what happens: its parts.
VIEWS = {"live": ("line", "counts", "waiting", "seats", "trunks"),
         "led": ("line", "counts", "waiting", "seats-led", "trunks"),  # the same for who leads the shift
         "wall": ("line", "wall-state", "wall-numbers", "wall-seats", "wall-ahead")}  # fmt: skip
BACKLOG = 64  # messages a browser may lag behind before it is cut off; it then reconnects and starts afresh
HEARTBEAT = 15.0  # seconds; after so long a stream also asks anew whether its session lasts
ON_CALL = frozenset({"ringing", "talking", "hold"})
CALLBACK = "cb-"  # how the ids of callbacks' attempts, and so of their calls, begin
_BEAT = b":\n\n"

Render = Callable[[str, str, Mapping[str, object]], str]  # (template, language, values) → HTML


class Line(Protocol):
    """The line, as the web sees it: ``centre.bus.Client``."""

    def events(self) -> AsyncIterator[dict[str, Any]]:
        """Every event from now on; a snapshot after each connection; ``{"event": "lost"}`` when it breaks."""

    async def request(self, do: str, **fields: object) -> dict[str, Any]:
        """The line's answer; CentreError with the line's own error id, or ``line.unreachable``."""


@dataclass(frozen=True, slots=True)
class Waiting:
    linkedid: str
    caller: str
    origin: str
    since: datetime
    position: int | None
    queue: str


@dataclass(frozen=True, slots=True)
class Heard:
    """By which supervisor a seat is heard (staff_id), and how he began to (``crm.supervision.Ear``)."""

    by: int
    ear: str


@dataclass(frozen=True, slots=True)
class Seat:
    """``lines`` and ``skills``: what it serves."""

    seat: str
    staff_id: int | None
    state: str
    since: datetime | None
    linkedid: str
    reason: str
    lines: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    heard: Heard | None = None


@dataclass(frozen=True, slots=True)
class Trunk:
    name: str
    state: str
    calls: int


@dataclass(frozen=True, slots=True)
class Switch:
    """A surge or an alert that is on: since when, by whom, and why."""

    since: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """To switch the surge on, by which signs; or off."""

    on: bool
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the live view and the wallboard show. ``ami``: whether the line reaches Asterisk. ``switches``: by kind.
    ``promised``: who is owed a call; ``promised_next``: the first one's place in the line. ``today``: ``crm.today``,
    None until it is counted; ``ahead``: the next half-hours; ``serving``: seats that take the city's calls now."""

    at: datetime
    waiting: tuple[Waiting, ...] = ()
    seats: tuple[Seat, ...] = ()
    trunks: tuple[Trunk, ...] = ()
    ami: bool = False
    callbacks_due: int = 0
    callbacks_calling: int = 0
    promised: int = 0
    promised_next: int | None = None
    switches: Mapping[str, Switch] = field(default_factory=dict)
    proposal: Proposal | None = None
    today: Today | None = None
    ahead: tuple[Ahead, ...] = ()
    serving: int = 0

    @property
    def talking(self) -> int:
        """Calls at a seat now."""
        return len({seat.linkedid for seat in self.seats if seat.state in ("talking", "hold")} - {""})

    @property
    def down(self) -> tuple[Trunk, ...]:
        """Trunks that raise the alarm."""
        return tuple(trunk for trunk in self.trunks if trunk.state == "down")

    def seats_by_state(self) -> Counter[str]:
        return Counter(seat.state for seat in self.seats)

    def seat(self, number: str | None) -> Seat | None:
        return next((seat for seat in self.seats if seat.seat == number), None)


def parse(message: Mapping[str, Any]) -> Snapshot:
    """A snapshot off the wire. BadInput ``line.unreadable`` if it is not what the contract says."""
    try:
        return Snapshot(
            at=_instant(message["at"]),
            waiting=tuple(Waiting(str(w["linkedid"]), str(w.get("caller") or ""), str(w.get("origin") or ""),
                                  _instant(w["since"]), w.get("position"), str(w.get("queue") or ""))
                          for w in message["waiting"]),
            seats=tuple(Seat(str(s["seat"]), s.get("staff_id"), str(s["state"]),
                             _instant(s["since"]) if s.get("since") else None,
                             str(s.get("linkedid") or ""), str(s.get("reason") or ""),
                             tuple(map(str, s["lines"])), tuple(map(str, s["skills"])),
                             Heard(int(heard["by"]), str(heard["ear"])) if (heard := s["heard"]) else None)
                        for s in message["seats"]),
            trunks=tuple(Trunk(str(t["name"]), str(t["state"]), int(t.get("calls") or 0)) for t in message["trunks"]),
            ami=bool(message["line"]["ami"]),
            callbacks_due=int(message["callbacks"]["due"]),
            callbacks_calling=int(message["callbacks"]["calling"]),
            promised=int(message["promised"]["waiting"]),
            promised_next=message["promised"]["next"],
            switches={kind: Switch(_instant(one["since"]), str(one["by"]), str(one["reason"]))
                      for kind, one in message["surge"]["on"].items()},
            proposal=Proposal(bool(proposal["on"]), tuple(map(str, proposal["signs"])))
            if (proposal := message["surge"]["proposal"]) else None,
            today=Today(**message["today"]) if message["today"] else None,
            ahead=tuple(Ahead(_instant(half["at"]), int(half["calls"]), int(half["seats"]))
                        for half in message["ahead"]),
            serving=int(message["serving"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadInput("line.unreadable") from None


def card_of(linkedid: str) -> str:
    """Where a call is written down: its card, or, when we have called somebody back, the form of his answers."""
    folder = "/confirmations/attempts" if linkedid.startswith(CALLBACK) else "/calls"
    return f"{folder}/{quote(linkedid, safe='')}"


@dataclass(eq=False)
class Viewer:
    """One open stream. ``seat``: whose calls it is told; ``view``: of VIEWS, which one it shows, or "".

    ``session``: the sign-in as it is now, None once it is over; ``told``: what a supervisor did with his seat, if he is
    to be told of it now; both called in a thread.
    """

    language: str
    staff_id: int
    seat: str | None
    view: str
    session: Callable[[], Session | None]
    told: Callable[[], Act | None] = lambda: None
    suspect: bool = False  # something has happened to the session: ask before another word is said
    queue: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(BACKLOG))

    def put(self, message: bytes) -> bool:
        """False when the browser does not keep up."""
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            return False
        return True


class Hub:
    """The last snapshot, and who is to be told what changes.

    Everything but ``snapshot`` and ``reachable`` belongs to the event loop; those two are replaced whole and may
    be read from any thread.
    """

    def __init__(self, line: Line, render: Render, names: Callable[[], Mapping[int, str]],
                 listening_is_shown: bool = True) -> None:  # fmt: skip
        self._line = line
        self._render = render
        self._names = names  # of staff, by id; read in a thread
        self._listening_is_shown = listening_is_shown
        self._viewers: set[Viewer] = set()
        self._parts: dict[tuple[str, str], dict[str, str]] = {}  # view, language → part → HTML
        self._callers: dict[str, str] = {}  # linkedid → number, of calls that ring or wait
        self.rechecks: list[Callable[[int, str | None], None]] = []  # who else keeps something open for a session
        self.staff: Mapping[int, str] = {}
        self.snapshot: Snapshot | None = None
        self.reachable = False
        self.counted: Counter[str] = Counter()  # answered, and ended by cause, since this process began
        self.lag_s = 0.0  # of the last event, from the line's clock to ours

    @property
    def alarm(self) -> str:
        """Why the live view cannot be believed whole: ``line``, ``asterisk``, ``trunk``, or ""."""
        if not self.reachable or self.snapshot is None:
            return "line"
        if not self.snapshot.ami:
            return "asterisk"
        return "trunk" if self.snapshot.down else ""

    @property
    def watching(self) -> int:
        """How many streams are open."""
        return len(self._viewers)

    async def run(self) -> None:
        """Reads the line's events until cancelled."""
        async for event in self._line.events():
            try:
                await self._take(event)
            except Exception:  # one event that cannot be read must not blind the pages to the next
                log.exception("an event of the line was not taken: %.200s", event)

    async def ask(self, do: str, **fields: object) -> dict[str, Any]:
        """A request to the line: its reply, or the line's refusal as a CentreError."""
        return await self._line.request(do, **fields)

    async def _take(self, event: Mapping[str, Any]) -> None:
        kind = event.get("event")
        if isinstance(at := event.get("at"), str):
            self.lag_s = max(0.0, (datetime.now(UTC) - _instant(at)).total_seconds())
        if kind == "snapshot":
            snapshot = parse(event)
            for one in snapshot.waiting:
                self._callers[one.linkedid] = one.caller
            known = {w.linkedid for w in snapshot.waiting} | {s.linkedid for s in snapshot.seats}
            self._callers = {linkedid: caller for linkedid, caller in self._callers.items() if linkedid in known}
            here = {s.staff_id for s in snapshot.seats} | {s.heard.by for s in snapshot.seats if s.heard}
            if here - {None} - self.staff.keys():
                self.staff = await asyncio.to_thread(self._names)
            before = self.snapshot if self.reachable else None
            self.snapshot, self.reachable = snapshot, True
            self._tell_live()
            self._tell_seats(before, snapshot)
        elif kind == "lost":
            self.reachable = False
            self._tell_live()
            for number in {viewer.seat for viewer in self._viewers} - {None}:
                self._tell_seat(number)
        elif kind == "ringing":
            seat, linkedid = str(event["seat"]), str(event["linkedid"])
            self._callers[linkedid] = str(event.get("caller") or "")
            if self.snapshot is not None:
                self.snapshot = replace(self.snapshot, seats=tuple(
                    replace(s, state="ringing", linkedid=linkedid, since=_instant(event["at"])) if s.seat == seat else s
                    for s in self.snapshot.seats))  # fmt: skip
            self._tell_seat(seat)
        elif kind == "answered":
            self.counted["answered"] += 1
        elif kind == "ended":
            self.counted[str(event.get("cause") or "unknown")] += 1

    # ── what browsers are told ──
    def parts(self, view: str, language: str) -> dict[str, str]:
        """Every part of the view as it is now."""
        values = self.values()
        return {part: self._render(f"live/{part}.html", language, values) for part in VIEWS[view]}

    def values(self) -> dict[str, Any]:
        """What the parts' templates show."""
        return {"snapshot": self.snapshot, "alarm": self.alarm, "staff": self.staff}

    def call_of(self, seat: str | None) -> tuple[str, str | None, str]:
        """(linkedid, caller, state) of the call at a seat, the caller as ``caller_of``; ("", None, "") for no call."""
        at = self.snapshot.seat(seat) if self.snapshot is not None and self.reachable else None
        if at is None or at.state not in ON_CALL or not at.linkedid:
            return "", None, ""
        return at.linkedid, self.caller_of(at.linkedid), at.state

    def hearing(self, seat: str | None) -> Heard | None:
        """Who hears this seat, if who sits there is to know."""
        at = self.snapshot.seat(seat) if self.snapshot is not None and self.reachable else None
        return at.heard if at is not None and self._listening_is_shown else None

    def caller_of(self, linkedid: str) -> str | None:
        """The number of a call that is on now; "" when it is hidden, None when we have not heard it."""
        return self._callers.get(linkedid)

    def call_at_a_seat(self, linkedid: str) -> str | None:
        """The number of a call that rings or is spoken at a seat now ("" for a hidden one); None if there is none."""
        snapshot = self.snapshot
        if snapshot is None or not linkedid or linkedid not in {seat.linkedid for seat in snapshot.seats}:
            return None
        return self.caller_of(linkedid) or ""

    def recheck(self, staff_id: int, seat: str | None) -> None:
        """This person has signed out or moved: streams of his, and of who sat there, ask whether they may go on."""
        for viewer in [v for v in self._viewers if v.staff_id == staff_id or (seat and v.seat == seat)]:
            viewer.suspect = True
            self._send(_BEAT, [viewer])
        for recheck in self.rechecks:
            recheck(staff_id, seat)

    async def stream(self, viewer: Viewer, until: datetime) -> AsyncIterator[bytes]:
        """Server-sent events: all that is so now, then every change.

        Ends at ``until``, when the session ends or moves to another seat, or when the browser lags; a browser
        whose session lasts comes back and starts afresh.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + (until - datetime.now(UTC)).total_seconds()
        if viewer.view and (viewer.view, viewer.language) not in self._watched():  # else it has been kept so
            self._refresh(viewer.view, viewer.language)
        self._viewers.add(viewer)
        try:
            yield b"retry: 2000\n\n"
            if viewer.view:
                yield _event("live", self._parts[viewer.view, viewer.language])
            yield await self._told_event(viewer)
            yield self._call_event(viewer)
            asked = loop.time()
            while viewer in self._viewers and (left := end - loop.time()) > 0:
                try:
                    async with asyncio.timeout(min(HEARTBEAT, left)):
                        message = await viewer.queue.get()
                except TimeoutError:
                    message = _BEAT
                if viewer.suspect or loop.time() - asked >= HEARTBEAT:
                    suspect, viewer.suspect, asked = viewer.suspect, False, loop.time()
                    session = await asyncio.to_thread(viewer.session)
                    if session is None or session.seat != viewer.seat:
                        return
                    if suspect:
                        yield await self._told_event(viewer)
                yield message
        finally:
            self._viewers.discard(viewer)

    def close(self) -> None:
        """Ends every stream, so that the server can stop."""
        for viewer in list(self._viewers):
            self._viewers.discard(viewer)
            viewer.put(_BEAT)

    def _tell_live(self) -> None:
        for view, language in self._watched():
            self._refresh(view, language)

    def _watched(self) -> set[tuple[str, str]]:
        """Each view, and language, that somebody looks at."""
        return {(viewer.view, viewer.language) for viewer in self._viewers if viewer.view}

    def _refresh(self, view: str, language: str) -> None:
        now, before = self.parts(view, language), self._parts.get((view, language), {})
        self._parts[view, language] = now
        changed = {part: html for part, html in now.items() if before.get(part) != html}
        if changed:
            self._send(_event("live", changed),
                       [v for v in self._viewers if (v.view, v.language) == (view, language)])  # fmt: skip

    def _tell_seats(self, before: Snapshot | None, now: Snapshot) -> None:
        for seat in now.seats:
            was = before.seat(seat.seat) if before is not None else None
            if was is None or _shown(was) != _shown(seat):
                self._tell_seat(seat.seat)

    def _tell_seat(self, seat: str | None) -> None:
        for viewer in [v for v in self._viewers if v.seat == seat]:
            self._send(self._call_event(viewer), [viewer])

    def _call_event(self, viewer: Viewer) -> bytes:
        linkedid, caller, state = self.call_of(viewer.seat)
        card = card_of(linkedid) if linkedid else ""
        html = self._render("live/call.html", viewer.language,
                            {"card": card, "caller": caller, "state": state}) if linkedid else ""  # fmt: skip
        at = self.snapshot.seat(viewer.seat) if self.snapshot is not None and self.reachable else None
        place = self._render("live/place.html", viewer.language, {"at": at})
        heard = self._render("live/heard.html", viewer.language,
                             {"heard": self.hearing(viewer.seat), "staff": self.staff})  # fmt: skip
        return _event("call", {"html": html, "linkedid": linkedid, "card": card, "state": state, "place": place,
                               "heard": heard})  # fmt: skip

    async def _told_event(self, viewer: Viewer) -> bytes:
        act = await asyncio.to_thread(viewer.told)
        return _event("told", {"html": self._render("live/told.html", viewer.language, {"act": act})})

    def _send(self, message: bytes, viewers: Iterable[Viewer]) -> None:
        for viewer in viewers:
            if not viewer.put(message):
                self._viewers.discard(viewer)


def _shown(seat: Seat) -> tuple[object, ...]:
    """What who sits there is shown of it."""
    return seat.state, seat.linkedid, seat.reason, seat.heard


def _event(name: str, data: Mapping[str, str]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _instant(value: Any) -> datetime:
    at = datetime.fromisoformat(value)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
