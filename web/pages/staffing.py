"""How many seats a day needs, what if it were otherwise, the plan, and what really was. All of what is asked is in the
address, so that a page can be kept and sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from crm import calendar, call_figures, staffing
from crm.call_figures import Calls, Seats
from crm.clock import minutes, minutes_of_day
from crm.erlang import Target
from crm.errors import BadInput, CentreError
from crm.people import Permission
from crm.periods import Period, day_of
from crm.staffing import HALF_S, HALVES, Forecast, Need, What, clock_of
from web import charts
from web.forms import Form
from web.tables import FILES, Cell, Table, file_of
from web.visit import Visit

FARTHEST = 3 * 366  # days from today, that can be asked about
HANDLED_S = 240  # while nobody has been answered yet
# What may be asked: (least, most, what is taken when nothing is said). Percent, seconds, seats.
ASKED = {"load": (1, 1000, 100), "handled": (5, 7200, None), "share": (1, 100, 80), "within": (1, 3600, 20),
         "occupancy": (10, 100, 85), "absent": (0, 90, 10), "seats": (0, staffing.MOST_SEATS, None)}  # fmt: skip

COLUMNS = ("half", "calls", "needed", "listed", "given", "lacking", "service", "occupancy")
REAL = ("real_calls", "real_handled", "seated", "real_service")  # of a day that has begun


@dataclass(frozen=True, slots=True)
class Day:
    """A day as it is asked about. ``real``: what was, by half-hour, of a day that has begun."""

    day: dt.date
    forecast: Forecast
    plan: Mapping[int, int]
    what: What
    needs: list[Need]
    calls: Mapping[int, Calls]
    seats: Mapping[int, Seats]
    begun: bool


def show(visit: Visit) -> Response:
    made = _read(visit, visit.query)
    table = _table(visit, made)
    if (wanted := visit.query["file"]) in FILES:
        return file_of([table], wanted, f"1551-staffing-{made.day}")
    return _page(visit, visit.query, made, table)


def save(visit: Visit) -> Response:
    """Plans the same seats for a range of half-hours, or as many as each of them needs."""
    form = visit.form
    made = _read(visit, form)
    try:
        for problem in form.problems.values():
            raise problem
        halves = staffing.between(minutes(form["start"]), minutes(form["end"]))
        if form["do"] == "need":
            listed = {need.minute: need.listed for need in made.needs}
            seats = {minute: listed[minute] for minute in halves}
        else:
            seats = dict.fromkeys(halves, _number(form, "planned", 0, staffing.MOST_SEATS))
        with visit.db.write() as conn:
            staffing.put(conn, made.day, seats, now=visit.now, staff_id=visit.person.id)
    except CentreError as error:
        return _page(visit, form, made, _table(visit, made), problem=error)
    return visit.go(f"/staffing?{urlencode(_address(form, made))}#plan")


def _number(form: Form, name: str, least: int, most: int) -> int:
    value = form[name]
    if not (value.isascii() and value.isdigit() and len(value) < 6 and least <= int(value) <= most):
        raise BadInput("staffing.no_such_number", least=least, most=most)
    return int(value)


def _read(visit: Visit, asked: Form) -> Day:
    """What is wrong with what is asked is in its problems, and taken as if it were not asked."""
    today = day_of(visit.now)
    day = asked.day("day") or today
    if abs((day - today).days) > FARTHEST:
        asked.wrong("day", BadInput("staffing.too_far"))
        day = today
    said: dict[str, int | None] = {}
    for name, (least, most, usual) in ASKED.items():
        said[name] = usual
        if asked[name]:
            try:
                said[name] = _number(asked, name, least, most)
            except BadInput as problem:
                asked.wrong(name, problem)
    with visit.db.read() as conn:
        city = calendar.load(conn)
        kind, past = staffing.past_days(conn, day, city, today)
        plan = staffing.plan(conn, day)
        period, begun = Period(day, day), day <= today
        calls = call_figures.calls(conn, period, "half_hour") if begun else {}
        seats = call_figures.seats(conn, period, visit.now, "half_hour") if begun else {}
    forecast = staffing.forecast(day, kind, past, visit.parts.settings.wrap_up)
    what = What(float(said["handled"] or round(forecast.handled_s or HANDLED_S)), forecast.patience_s,
                (said["load"] or 0) / 100, Target((said["share"] or 0) / 100, said["within"] or 0,
                                                  (said["occupancy"] or 0) / 100),
                (said["absent"] or 0) / 100, said["seats"])  # fmt: skip
    try:
        needs = staffing.needs(forecast.calls, plan, what)
    except BadInput as problem:  # no number of seats would do
        asked.wrong("load", problem)
        what = What(float(HANDLED_S), forecast.patience_s)
        needs = staffing.needs(forecast.calls, plan, what)
    return Day(day, forecast, plan, what, needs, calls, seats, begun)


def _address(asked: Form, made: Day, **other: str) -> dict[str, str]:
    """What an address says of the day and of what is asked."""
    return {"day": made.day.isoformat(), **{name: asked[name] for name in ASKED if asked[name]}, **other}


def _page(visit: Visit, asked: Form, made: Day, table: Table, problem: CentreError | None = None) -> Response:
    t, problems = visit.texts, asked.problems
    over = 1440 if made.day < day_of(visit.now) else minutes_of_day(visit.now)  # what is not over yet is not drawn
    really = [round(made.seats[half].staffed_s / HALF_S) if half in made.seats else 0
              for half in HALVES if half + 30 <= over]  # fmt: skip
    drawn = charts.lines(t("staffing.chart"), [clock_of(half) for half in HALVES], [
        (t("staffing.column_listed"), [need.listed for need in made.needs]),
        (t("staffing.column_given"), [need.given or 0 for need in made.needs]),
        *([(t("staffing.column_seated"), really)] if made.begun else [])], t)  # fmt: skip
    days = {name: _address(asked, made, day=(made.day + dt.timedelta(days=by)).isoformat())
            for name, by in (("before", -1), ("after", 1), ("week", 7))}  # fmt: skip
    shown = visit.again if problem or problems else visit.page
    return shown("staffing.html", form=asked, made=made, table=table, chart=drawn, days=days,
                 problem=problem or next(iter(problems.values()), None), here=_address(asked, made),
                 values={name: asked[name] or ("" if usual is None else str(usual)) for name, (_, _, usual) in
                         ASKED.items()} | {"handled": str(round(made.what.handled_s))},
                 ends=[clock_of(half) for half in (*HALVES[1:], 1440)], starts=[clock_of(half) for half in HALVES],
                 plans=visit.can(Permission.MANAGE_SEATS))  # fmt: skip


def _table(visit: Visit, made: Day) -> Table:
    t = visit.texts
    names = (*COLUMNS, *(REAL if made.begun else ()))
    within = made.what.target.within_s
    rows, empty = [], Calls()
    for need in made.needs:
        lacking = max(0, need.listed - need.given) if need.given is not None else None
        cells: list[Cell] = [Cell(clock_of(need.minute)), Cell(round(need.calls), "count"), Cell(need.seats, "count"),
                             Cell(need.listed, "count"), Cell(need.given, "count"), Cell(lacking, "count"),
                             Cell(need.service, "share"), Cell(need.occupancy, "share")]  # fmt: skip
        if made.begun:
            calls, seats = made.calls.get(need.minute, empty), made.seats.get(need.minute)
            cells += [Cell(calls["offered"], "count"), Cell(calls.mean_handled_s, "seconds"),
                      Cell(seats.staffed_s / HALF_S if seats else None, "score"),
                      Cell(calls.service_level(round(within)), "share")]  # fmt: skip
        rows.append(tuple(cells))
    rows.append(_whole(visit, made))
    title = t("staffing.table", day=t.day(made.day))
    return Table(title, tuple(t(f"staffing.column_{name}") for name in names), tuple(rows), totals=True,
                 note=t("staffing.table_hint"))  # fmt: skip


def _whole(visit: Visit, made: Day) -> tuple[Cell, ...]:
    """Of the day: calls together, seats as hours of work, shares by calls."""
    def hours(seats: list[int]) -> Cell:
        return Cell(sum(seats) / 2, "score")

    def weighed(figure: str) -> Cell:
        known: list[tuple[Any, float]] = [(getattr(need, figure), need.calls) for need in made.needs
                                          if getattr(need, figure) is not None]
        whole = sum(calls for _, calls in known)
        return Cell(sum(value * calls for value, calls in known) / whole if whole else None, "share")

    given = [need for need in made.needs if need.given is not None]
    cells = [Cell(visit.texts("staffing.whole")), Cell(round(sum(need.calls for need in made.needs)), "count"),
             hours([need.seats for need in made.needs]), hours([need.listed for need in made.needs]),
             hours([need.given or 0 for need in given]) if given else Cell(None),
             hours([max(0, need.listed - (need.given or 0)) for need in given]) if given else Cell(None),
             weighed("service"), weighed("occupancy")]  # fmt: skip
    if made.begun:
        real = call_figures.total(made.calls.values())
        seated = call_figures.seats_together(made.seats.values()).staffed_s
        cells += [Cell(real["offered"], "count"), Cell(real.mean_handled_s, "seconds"), Cell(seated / 3600, "score"),
                  Cell(real.service_level(round(made.what.target.within_s)), "share")]  # fmt: skip
    return tuple(cells)
