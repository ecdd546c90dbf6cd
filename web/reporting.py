"""What reports are made of: the period that is asked for, the names of things, tables whose figures open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode

from babel.dates import format_date
from sqlalchemy import Connection

from crm import addresses, departments
from crm.call_figures import OFFERED, SERVICE, TOLD, Callbacks, Calls, Seats
from crm.figures import BY_CALLBACK, Cube, Key, Tally
from crm.periods import Period, day_of, month_of
from web.tables import Cell, Kind, Table, Value
from web.texts import Texts
from web.visit import Visit

NONE = "none"  # in an address: of no district, written down by nobody
SHARES = frozenset({"executed", "on_time", "confirmed", "returned", "unconfirmed", "repeated"})
# The columns of a table by subject, district…; a figure of SHARES is followed by its share.
COLUMNS = ("registered", "executed", "on_time", "confirmed", "returned", "unconfirmed", "repeated")
SCORE = ("registered", "executed", "on_time", "confirmed", "returned")
BRIEF = ("registered", "executed", "confirmed", "returned")
PERCENTILES = {"median": 50, "p90": 90}  # of the hours to execution
LYING = ("overdue", "unacknowledged")
CALL_COUNTS = ("arrived", "offered", *OFFERED, "closed", "menu", "consulted", *TOLD)
CALL_COLUMNS: dict[str, tuple[Kind, Callable[[Calls], Value]]] = {
    "offered": ("count", lambda calls: calls["offered"]),
    "answered": ("count", lambda calls: calls["answered"]),
    "service_level": ("share", lambda calls: calls.service_level(SERVICE[1])),
    "abandoned": ("count", lambda calls: calls["abandoned"]),
    "short": ("count", lambda calls: calls["short"]),
    "abandonment": ("share", lambda calls: calls.abandonment),
    "abandonment_without_short": ("share", lambda calls: calls.abandonment_without_short),
    "mean_wait": ("seconds", lambda calls: calls.mean_wait_s),
    "p90_wait": ("seconds", lambda calls: calls.p90_wait_s),
    "longest_wait": ("seconds", lambda calls: calls.longest_s),
    "mean_handled": ("seconds", lambda calls: calls.mean_handled_s),
    "calibration": ("share", lambda calls: calls.calibration),
    "mean_error": ("seconds", lambda calls: calls.mean_error_s),
}
SEAT_COLUMNS: dict[str, tuple[Kind, Callable[[Seats], Value]]] = {
    "staffed": ("seconds", lambda seats: seats.staffed_s),
    "paused": ("seconds", lambda seats: seats.paused_s),
    "busy": ("seconds", lambda seats: seats.busy_s),
    "occupancy": ("share", lambda seats: seats.occupancy),
}


@dataclass(frozen=True, slots=True)
class Names:
    """What the keys of figures are called, in the reader's language."""

    subjects: Mapping[int, str]
    parents: Mapping[int, int | None]
    districts: Mapping[int, str]
    departments: Mapping[int, str]

    @classmethod
    def read(cls, conn: Connection, language: str) -> Names:
        uk = language == "uk"
        tree = departments.subjects(conn)
        return cls({s.id: s.name_uk if uk else s.name_en for s in tree}, {s.id: s.parent_id for s in tree},
                   {id: name_uk if uk else name_en for id, name_uk, name_en in addresses.districts(conn)},
                   {d.id: d.name for d in departments.departments(conn)})  # fmt: skip

    def right_below(self, above: int | None, subject: int) -> int | None:
        """The subject right below ``above`` that this one belongs to; ``above`` for itself; None if it is elsewhere."""
        at: int | None = subject
        while at is not None and at != above and self.parents.get(at) != above:
            at = self.parents.get(at)
        return at

    def below(self, above: int) -> frozenset[int]:
        """The subject and all below it."""
        return frozenset(id for id in self.subjects if above in self.path(id))

    def path(self, subject: int) -> list[int]:
        """From the top down to the subject."""
        up: list[int] = []
        at: int | None = subject
        while at is not None:
            up.append(at)
            at = self.parents.get(at)
        return up[::-1]


class Row(NamedTuple):
    """A part of the cohort. ``cut``: how an address says which part it is."""

    key: Key
    name: str
    tally: Tally
    cut: dict[str, object]


@dataclass(frozen=True, slots=True)
class Asked:
    """A report that somebody asks for, in his language."""

    visit: Visit
    period: Period
    names: Names

    @classmethod
    def read(cls, visit: Visit, conn: Connection) -> Asked:
        """This month if the address names no period. BadInput for one that cannot be."""
        first, last = visit.query.day("from"), visit.query.day("to")
        for problem in visit.query.problems.values():
            raise problem
        this = month_of(day_of(visit.now))
        first = first or min(last or this.first, this.first)
        return cls(visit, Period(first, last or max(first, this.last)), Names.read(conn, visit.texts.language))

    @property
    def t(self) -> Texts:
        return self.visit.texts

    @property
    def words(self) -> str:
        """листопад 2026 року, or its days."""
        if self.period.is_month:
            return self.t("reports.month", month=format_date(self.period.first, "LLLL y", locale=self.t.language))
        first, last = self.t.day(self.period.first), self.t.day(self.period.last)
        return first if first == last else self.t("reports.range", first=first, last=last)

    @property
    def days(self) -> dict[str, str]:
        """The period as an address says it."""
        return {"from": self.period.first.isoformat(), "to": self.period.last.isoformat()}

    def link(self, figure: str, count: int, **cut: object) -> Cell:
        """A count that opens to what stands behind it."""
        return Cell(count, "count", f"/reports/appeals?{urlencode({'figure': figure, **self.days, **cut})}")

    def rows(self, cube: Cube, dimension: str, hours: Mapping[Key, Counter[int]] | None = None, *,
             under: int | None = None, order: str = "registered") -> list[Row]:  # fmt: skip
        """The cohort by a dimension, the largest first. Of subjects: those right below ``under``, each with all below
        it, and ``under`` itself for what has no nearer subject."""
        taken = hours or {}
        if dimension != "subject":
            return ordered([self.row(dimension, key, Tally(tally.counts, taken.get(key, Counter())))
                            for (key,), tally in cube.by(dimension).items()], order)  # fmt: skip
        tallies = cube.by("subject", name=lambda subject: self.names.right_below(under, subject))
        for subject, whole_hours in taken.items():
            if (key := self.names.right_below(under, int(subject or 0))) is not None:
                tallies[key].hours += whole_hours
        return ordered([Row(key, self.names.subjects[key], tally, self.cut_of_subject(key, under))
                        for key, tally in tallies.items()], order)  # fmt: skip

    def row(self, dimension: str, key: Key, tally: Tally) -> Row:
        """The row of a district, a department, a channel."""
        called: Mapping[Any, str] = {"district": self.names.districts, "department": self.names.departments}.get(
            dimension, {})  # fmt: skip
        name = self.t(f"channel.{key}") if dimension == "channel" else called.get(key, self.t("reports.nowhere"))
        return Row(key, name, tally, {dimension: NONE if key is None else key})

    @staticmethod
    def cut_of_subject(key: int, under: int | None) -> dict[str, object]:
        return {"subject": key, "own": 1} if key == under else {"subject": key}

    # ── tables ──
    def cohort_table(self, title: str, first: str, rows: Iterable[Row], columns: Sequence[str], whole: Tally, *,
                     lying: Mapping[Any, Counter[str]] | None = None,
                     cut: Mapping[str, object] | None = None) -> Table:  # fmt: skip
        """A row for each part and one for ``whole``, which ``cut`` cuts out of all. ``lying``: what lies with each
        department now, in two columns more."""
        heads, shares = [first], set()
        for name in columns:
            heads.append(self.t(f"figure.{name}"))
            if name in SHARES:
                shares.add(len(heads))
                heads.append(self.t(f"figure.{name}_share"))
        if lying is not None:
            heads += [self.t(f"figure.{name}") for name in LYING]

        def cells(row: Row, lies: Counter[str]) -> tuple[Cell, ...]:
            made = [Cell(row.name)]
            for name in columns:
                if name in PERCENTILES:
                    made.append(Cell(row.tally.percentile(PERCENTILES[name]), "hours"))
                    continue
                made.append(self.link(name, row.tally[name], **row.cut))
                if name in SHARES:
                    made.append(Cell(row.tally.share(name), "share"))
            if lying is not None:
                made += [self.link(name, lies[name], view="now", **row.cut) for name in LYING]
            return tuple(made)

        lies = lying or {}
        made = [cells(row, lies.get(row.key, Counter())) for row in rows]
        made.append(cells(Row(None, self.t("reports.all"), whole, dict(cut or {})), sum(lies.values(), Counter())))
        return Table(title, tuple(heads), tuple(made), totals=True, shares=frozenset(shares))

    def figures_table(self, title: str, note: str, rows: Iterable[tuple[str, Cell, Cell | None]]) -> Table:
        """A figure a row: its name's key, its count, its share if it has one."""
        listed = list(rows)
        shares = any(share for _, _, share in listed)
        columns = (self.t("reports.figure"), self.t("reports.count"), *((self.t("reports.share"),) if shares else ()))
        return Table(title, columns, tuple(
            (Cell(self.t(f"figure.{name}")), count, *((share or Cell(""),) if shares else ()))
            for name, count, share in listed), note=note)  # fmt: skip

    def calls_table(self, calls: Calls) -> Table:
        """Of the whole period."""
        counts = [(name, Cell(calls[name], "count"), Cell(_part(calls[name], calls["offered"]), "share")
                   if name in OFFERED else None) for name in CALL_COUNTS]  # fmt: skip
        rest = [(name, Cell(value(calls), kind), None) for name, (kind, value) in CALL_COLUMNS.items()
                if name not in CALL_COUNTS]  # fmt: skip
        return self.figures_table(self.t("reports.calls"), self.t("reports.calls_hint"), (*counts, *rest))

    def calls_by(self, title: str, first: str, rows: Iterable[tuple[str, Calls]], seats: Mapping[str, Seats]) -> Table:
        """``seats``: by the names of the rows."""
        empty = Seats(0.0, 0.0, 0.0)
        return Table(title, (first, *(self.t(f"figure.{name}") for name in (*CALL_COLUMNS, *SEAT_COLUMNS))), tuple(
            (Cell(name), *(Cell(value(calls), kind) for kind, value in CALL_COLUMNS.values()),
             *(Cell(value(seats.get(name, empty)), kind) for kind, value in SEAT_COLUMNS.values()))
            for name, calls in rows))  # fmt: skip

    def callbacks_table(self, made: Callbacks, by_callback: Counter[str]) -> Table:
        placed = [(name, Cell(getattr(made, name), "count"), Cell(_part(getattr(made, name), made.placed), "share"))
                  for name in ("placed", "reached", "unreached", "by_machine")]  # fmt: skip
        words = [(name, self.link(name, by_callback[name], view="callback"), None) for name in BY_CALLBACK]
        return self.figures_table(self.t("reports.callbacks"), self.t("reports.callbacks_hint"), (*placed, *words))


def ordered(rows: Iterable[Row], figure: str = "registered") -> list[Row]:
    """The largest first, then by name."""
    return sorted(rows, key=lambda row: (-row.tally[figure], row.name))


def _part(part: int, whole: int) -> float | None:
    return part / whole if whole else None
