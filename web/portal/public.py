"""What the city publishes: the appeals with nothing of whose they are, and the figures of each month.

The addresses say all that is asked for, and work without a script. What many ask for alike is made once for all of
them. Files are bounded; a program that wants everything goes on by the ``next`` of each.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

from babel.dates import format_date
from starlette.responses import JSONResponse, Response

from crm import departments, public, public_figures, suppression, visits
from crm.clock import KYIV
from crm.errors import BadInput, NotFound
from crm.figures import Key
from crm.law import Kind
from crm.periods import Period, day_of, month_of
from crm.public import STAGES, PublicAppeal
from crm.public_figures import ASKED, STANDING, Line, Month
from crm.store import Database
from web import visited
from web.forms import Form
from web.reporting import Names
from web.tables import Cell, Table, file_of
from web.texts import LANGUAGES, Texts
from web.visit import Page, Visit

LISTED, OF_JSON, OF_CSV = 30, 1000, 5000  # appeals of a page and of a file
USUAL, LONGEST = 90, 92  # days that a list looks back, and may
MONTHS = 12
SOON, SLOWLY, HARDLY = timedelta(seconds=15), timedelta(minutes=10), timedelta(hours=6)  # how often made anew
EARLIEST, LATEST = date(2000, 1, 1), date(2100, 1, 1)

T = TypeVar("T")


class Made:
    """What was made lately is given to everybody who asks for the same. When it is old one makes it anew, and the
    others have the old one meanwhile; only who asks first of all waits. Threads may share it."""

    MOST = 300

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, tuple[Any, datetime]] = OrderedDict()  # what, and until when it is new
        self._turns: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, lasts: timedelta, now: datetime, make: Callable[[], T]) -> T:
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and now < kept[1]:
                return kept[0]  # type: ignore[no-any-return]
            turn = self._turns.setdefault(key, threading.Lock())
        if not turn.acquire(blocking=kept is None):
            assert kept is not None  # noqa: S101
            return kept[0]  # type: ignore[no-any-return]
        try:
            with self._lock:
                anew = self._kept.get(key)
            if anew is not None and anew is not kept:  # while this one waited for his turn
                return anew[0]  # type: ignore[no-any-return]
            made = make()
            with self._lock:
                self._kept[key] = made, now + lasts
                self._kept.move_to_end(key)
                if len(self._kept) > self.MOST:
                    self._kept.popitem(last=False)
            return made
        finally:
            with self._lock:
                self._turns.pop(key, None)
            turn.release()


# Of each database that this process has open. Anybody can think out as many lists as he likes: they take no room from
# what takes long to make.
_MADE: WeakKeyDictionary[Database, Made] = WeakKeyDictionary()
_LISTS: WeakKeyDictionary[Database, Made] = WeakKeyDictionary()


def _made(db: Database, now: datetime, key: Hashable, lasts: timedelta, make: Callable[[], T],
          among: WeakKeyDictionary[Database, Made] = _MADE) -> T:  # fmt: skip
    return among.setdefault(db, Made()).get(key, lasts, now, make)


# ── the appeals ──────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Choices:
    """What a list may be narrowed to: (id, name, how deep below the top)."""

    names: Names
    subjects: Sequence[tuple[int, str, int]]


def _choices(visit: Visit) -> Choices:
    t = visit.texts

    def make() -> Choices:
        with visit.db.read() as conn:
            tree = departments.subjects(conn)
            return Choices(Names.read(conn, t.language), [
                (each.id, t.either(each.name_uk, each.name_en), each.depth)
                for each in tree if each.offered and each.kind != Kind.COMPLAINT.value])  # fmt: skip

    return _made(visit.db, visit.now, ("choices", t.language), SLOWLY, make)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an address asks for. ``said``: the same, as addresses say it."""

    number: int | None
    subject: int | None
    district: int | None
    stage: str
    period: Period
    after: int | None
    said: Mapping[str, str]

    @classmethod
    def read(cls, query: Form, today: date) -> Wanted:
        """The last USUAL days where no period is said. What cannot be asked for is among the query's problems."""
        first, last = _day(query, "from"), _day(query, "to")
        if first is not None and last is None:
            last = min(max(today, first), first + timedelta(USUAL - 1))
        last = last or today
        period = usual = Period(last - timedelta(USUAL - 1), last)
        if first is not None:
            try:
                period = Period(first, last)
                if period.days > LONGEST:
                    raise BadInput("period.too_long", longest=LONGEST)
            except BadInput as error:
                query.wrong("from", error)
                period = usual
        names = ("number", "subject", "district", "stage", "from", "to")
        return cls(query.number("number"), query.number("subject"), query.number("district"),
                   query.choice("stage", frozenset(STAGES)), period, query.number("after"),
                   {name: query[name] for name in names if query[name]})  # fmt: skip

    def found(self, visit: Visit, choices: Choices, limit: int) -> list[PublicAppeal]:
        """One more than ``limit`` where there are more. Who knows the number needs no more."""
        below = choices.names.below(self.subject) if self.subject is not None else frozenset()
        if visit.query.problems or (self.subject is not None and not below):
            return []
        with visit.db.read() as conn:
            if self.number is not None:
                return public.requests(conn, numbers=[self.number], limit=1)
            return public.requests(conn, subject_ids=below, district_id=self.district, stage=self.stage,
                                   since=self.period.start, until=self.period.end, limit=limit + 1,
                                   after=self.after)  # fmt: skip

    def next(self, found: Sequence[PublicAppeal], limit: int) -> dict[str, str]:
        """What the address of the part after these says; empty at the end."""
        return {**self.said, "after": str(found[limit - 1].number)} if len(found) > limit else {}


def _day(query: Form, name: str) -> date | None:
    day = query.day(name)
    if day is not None and not EARLIEST <= day <= LATEST:
        query.wrong(name, BadInput(f"form.no_{name}"))
        return None
    return day


def listed(visit: Visit) -> Response:
    """A part of the list."""
    wanted, choices = Wanted.read(visit.query, day_of(visit.now)), _choices(visit)
    key = (wanted.after, wanted.period, *sorted(wanted.said.items()))
    found = [] if visit.query.problems else _made(
        visit.db, visit.now, key, SOON, lambda: wanted.found(visit, choices, LISTED), among=_LISTS)  # fmt: skip
    status = HTTPStatus.UNPROCESSABLE_ENTITY if visit.query.problems else HTTPStatus.OK
    return visit.page("portal/public/list.html", status=status, form=visit.query, wanted=wanted, choices=choices,
                      stages=tuple(STAGES), found=found[:LISTED], next=wanted.next(found, LISTED))  # fmt: skip


def shown(visit: Visit) -> Response:
    """One appeal. NotFound ``public.unknown`` too where it is not for everybody: that there is one is not told."""
    with visit.db.read() as conn:
        its = public.request(conn, visit.number("number"))
    if its is None:
        raise NotFound("public.unknown")
    return visit.page("portal/public/appeal.html", its=its)


def as_json(visit: Visit) -> Response:
    """The list for programs: what it has stands in ``docs/channels/public.md``."""
    wanted = Wanted.read(visit.query, day_of(visit.now))
    found = wanted.found(visit, _choices(visit), OF_JSON)
    for problem in visit.query.problems.values():
        return JSONResponse({"error": problem.id, "says": visit.texts.error(problem)}, HTTPStatus.UNPROCESSABLE_ENTITY)
    following = wanted.next(found, OF_JSON)
    return JSONResponse({
        "appeals": [{
            "number": its.number, "subject_id": its.subject_id, "subject": _both(its.subject_uk, its.subject_en),
            "district": _both(its.district_uk, its.district_en) if its.district_uk else None,
            "street": its.street or None, "department": its.department, "channel": its.channel, "stage": its.stage,
            "open": its.is_open, "registered_at": _time(its.registered_at), "updated_at": _time(its.updated_at),
            "due_at": _time(its.due_at)} for its in found[:OF_JSON]],
        "next": f"/appeals.json?{urlencode(following)}" if following else None,
    }, headers=_FOR_ALL)  # fmt: skip


def as_csv(visit: Visit) -> Response:
    """The same as a table; its columns are called as in JSON, whatever the reader's language."""
    wanted = Wanted.read(visit.query, day_of(visit.now))
    found = wanted.found(visit, _choices(visit), OF_CSV)
    for problem in visit.query.problems.values():
        raise problem
    columns = ("number", "subject", "subject_en", "district", "district_en", "street", "department", "channel", "stage",
               "open", "registered_at", "updated_at", "due_at")  # fmt: skip
    rows = tuple(tuple(Cell(value) for value in (
        its.number, its.subject_uk, its.subject_en, its.district_uk, its.district_en, its.street, its.department,
        its.channel, its.stage, int(its.is_open), _time(its.registered_at), _time(its.updated_at), _time(its.due_at)))
        for its in found[:OF_CSV])  # fmt: skip
    answer = file_of([Table("", columns, rows)], "csv", f"1551-appeals-{wanted.period.first}-{wanted.period.last}")
    answer.headers.update(_FOR_ALL)
    if following := wanted.next(found, OF_CSV):
        answer.headers["Link"] = f'</appeals.csv?{urlencode(following)}>; rel="next"'
    return answer


# Pages of others may read it too, and whoever carries it may keep it for a while: it is the same for everybody.
_FOR_ALL = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=60"}


def _both(uk: str, en: str) -> dict[str, str]:
    return {"uk": uk, "en": en}


def _time(at: datetime) -> str:
    return at.astimezone(KYIV).isoformat(timespec="seconds")


# ── the figures ──────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Told:
    """A month: its appeals, and how often each page of the portal was opened."""

    figures: Month
    visits: Counter[str]


def figures(visit: Visit) -> Response:
    """A month by subject and by district, the months before it, the visits: a page, or a file."""
    t, months = visit.texts, list(months_of(visit.now))
    told = {month: tell(visit.db, month, visit.now) for month in months}
    chosen = _chosen(visit, months, told)
    names, its = _choices(visit).names, told[chosen]
    by_month = [(_named(t, month), told[month].figures.whole) for month in months
                if told[month].figures.whole.registered != 0]  # fmt: skip
    tables = [
        _table(t, "public.by_month", "public.column_month", by_month),
        _table(t, "public.by_subject", "public.column_subject",
               _ordered(its.figures.subjects, lambda key: names.subjects[int(key or 0)]), its.figures.whole),
        _table(t, "public.by_district", "public.column_district",
               _ordered(its.figures.districts, lambda key: names.districts.get(int(key or 0), t("public.nowhere"))),
               its.figures.whole),
        visited.table(t, its.visits),
    ]  # fmt: skip
    if visit.query["file"] == "csv":
        return file_of(tables, "csv", f"1551-figures-{chosen.first:%Y-%m}")
    return visit.page("portal/public/figures.html", tables=tables, month=_named(t, chosen), least=suppression.LEAST,
                      chosen=_said(chosen), months=[(_said(month), _named(t, month)) for month in months],
                      columns=(*STANDING, "share", "days"))  # fmt: skip


def months_of(now: datetime) -> Iterator[Period]:
    """Those whose figures are published, the latest first."""
    month = month_of(day_of(now))
    for _ in range(MONTHS):
        yield month
        month = month.before()


def tell(db: Database, month: Period, now: datetime) -> Told:
    """What is published of a month: made where it is not, or is old, which takes a while. A month that has been over
    for a month hardly changes."""
    def make() -> Told:
        with db.read() as conn:
            names = Names.read(conn, LANGUAGES[0])
            return Told(public_figures.month(conn, month, lambda subject: names.right_below(None, subject)),
                        visits.by_page(conn, month))  # fmt: skip

    recent = month.last >= month_of(day_of(now)).before().first
    return _made(db, now, month, SLOWLY if recent else HARDLY, make)


def _chosen(visit: Visit, months: Sequence[Period], told: Mapping[Period, Told]) -> Period:
    """What the address says; else the last month that is over, while anything is known of it."""
    said = visit.query["month"]
    for month in months:
        if said == _said(month):
            return month
    if said:
        raise NotFound("page.unknown")
    return months[1] if told[months[1]].figures.whole.registered != 0 else months[0]


def _said(month: Period) -> str:
    return f"{month.first:%Y-%m}"


def _named(t: Texts, month: Period) -> str:
    return str(format_date(month.first, "LLLL y", locale=t.language))


def _ordered(lines: Mapping[Key, Line], name: Callable[[Key], str]) -> list[tuple[str, Line]]:
    """The largest first; those that are left out by their names, for their order would tell of them."""
    return sorted(((name(key), line) for key, line in lines.items()),
                  key=lambda row: (-(row[1].registered or 0), row[0]))  # fmt: skip


def _table(t: Texts, title: str, first: str, rows: Sequence[tuple[str, Line]], whole: Line | None = None) -> Table:
    columns = (t(first), t("public.registered"), *(t(f"public.standing.{name}") for name in STANDING),
               t("public.share"), t("public.days"))  # fmt: skip
    made = [(Cell(name), *_cells(line)) for name, line in rows]
    if whole is not None and rows:
        made.append((Cell(t("public.all")), *_cells(whole)))
    return Table(t(title), columns, tuple(made), totals=whole is not None and bool(rows))


def _cells(line: Line) -> tuple[Cell, ...]:
    hidden = any(line.standing[name] is None for name in ASKED)
    return (_count(line.registered), *(_count(line.standing[name]) for name in STANDING),
            Cell("…" if hidden else line.share, "share"), Cell(line.days, "count"))  # fmt: skip


def _count(value: int | None) -> Cell:
    return Cell("…" if value is None else value, "count")


PAGES: tuple[Page, ...] = (
    Page("GET", "/appeals", listed, None),
    Page("GET", "/appeals.json", as_json, None),
    Page("GET", "/appeals.csv", as_csv, None),
    Page("GET", "/appeals/{number}", shown, None),
    Page("GET", "/figures", figures, None, reads=True),
)
