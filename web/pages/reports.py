"""Reports: the figures of a period on a page, as CSV and as a workbook, and the appeals behind each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from starlette.responses import Response

from crm import addresses, appeals, call_figures, figures, knowledge, people, ratings, report, suppression, visits
from crm.call_figures import SERVICE, WITHIN_S
from crm.errors import BadInput, NotFound
from crm.figures import BY_CALLBACK, COHORT, DIMENSIONS, FLOW, NOBODY, NOW, OPERATOR, Behind, Cut
from crm.people import Permission
from crm.periods import Period, day_of, month_of, week_of
from crm.ratings import FATES, SCORES, Scores
from web import charts, visited
from web.charts import Bars, Lines
from web.render import line_of
from web.reporting import (
    BRIEF,
    CALL_COLUMNS,
    CALL_COUNTS,
    COLUMNS,
    NONE,
    PERCENTILES,
    SCORE,
    SEAT_COLUMNS,
    Asked,
    Row,
    ordered,
)
from web.summary import summary
from web.tables import FILES, Cell, Table, file_of
from web.visit import Visit

LISTED = 100
CROSSED = ("channel", "district")  # each with the subjects
RATED = ("spoken", "rated", "rate", "mean_score")
SPANS = ("day", "hour", "half_hour")
# Every page of the reports and its address, in the order of their links.
VIEWS = {"overview": "/reports", "scorecard": "/reports/scorecard",
         **{f"by_{name}": f"/reports/by/{name}" for name in (*DIMENSIONS, OPERATOR)},
         **{f"crossed_{name}": f"/reports/crossed/{name}" for name in CROSSED},
         "calls": "/reports/calls", "callbacks": "/reports/callbacks", "ratings": "/reports/ratings",
         "repeats": "/reports/repeats",
         "public": "/reports/public"}  # fmt: skip


def _shown(asked: Asked, view: str, tables: Sequence[Table], drawn: Sequence[Bars | Lines | None] = (),
           **values: Any) -> Response:  # fmt: skip
    """The page, or its tables as the file that the address asks for."""
    visit = asked.visit
    if (wanted := visit.query["file"]) in FILES:
        return file_of(tables, wanted, f"1551-{view}-{asked.period.first}-{asked.period.last}")
    today = day_of(visit.now)
    yesterday, week, month = today - timedelta(days=1), week_of(today), month_of(today)
    quick = {"today": Period(today, today), "yesterday": Period(yesterday, yesterday), "week": week,
             "last_week": week.before(), "month": month, "last_month": month.before()}  # fmt: skip
    here = {name: visit.query[name] for name in visit.query if visit.query[name] and name not in asked.days}
    return visit.page("reports.html", asked=asked, view=view, views=VIEWS, tables=tables, here=here,
                      charts=[chart for chart in drawn if chart],
                      quick={name: Asked(visit, period, asked.names).days for name, period in quick.items()},
                      **{"summary": (), "levels": (), "figures": {}, "figure": "", "spans": (), **values})  # fmt: skip


def overview(visit: Visit) -> Response:
    """The period's report: in words, then in tables."""
    with visit.db.read() as conn:
        asked = Asked.read(visit, conn)
        made = report.report(conn, asked.period, visit.now)
    t, cohort, happened = asked.t, made.cohort, made.happened
    subjects = asked.rows(made.cube, "subject")
    departments = ordered(asked.row("department", key, tally) for key, tally in made.departments.items())
    tables = [
        asked.figures_table(t("reports.cohort"), t("reports.cohort_hint"), [
            (name, asked.link(name, cohort[name]), Cell(cohort.share(name), "share")) for name in COHORT]),
        asked.figures_table(t("reports.flow"), t("reports.flow_hint"), [
            (name, asked.link(name, happened[name], view="flow"), None) for name in FLOW]),
        asked.cohort_table(t("reports.by_subject"), t("reports.column_subject"), subjects, BRIEF, cohort),
        asked.cohort_table(t("reports.scorecard"), t("reports.column_department"), departments, (*BRIEF, *PERCENTILES),
                           cohort, lying=made.lying),
        *(asked.cohort_table(t(f"reports.by_{name}"), t(f"reports.column_{name}"), asked.rows(made.cube, name), BRIEF,
                             cohort) for name in ("district", "channel")),
        asked.calls_table(made.calls), asked.callbacks_table(made.callbacks, made.by_callback),
    ]  # fmt: skip
    drawn = charts.lines(t("reports.day_by_day"), [f"{day:%d.%m}" for day in made.flow], [
        (t(f"figure.{name}"), [counted[name] for counted in made.flow.values()])
        for name in ("registered", "executed", "confirmed")], t)  # fmt: skip
    return _shown(asked, "overview", tables, [drawn], summary=summary(asked, made, subjects, departments))


def scorecard(visit: Visit) -> Response:
    """The departments side by side."""
    with visit.db.read() as conn:
        asked = Asked.read(visit, conn)
        cube = figures.cube(conn, asked.period)
        hours = figures.hours(conn, asked.period, "department")
        lying = figures.now_by_department(conn, visit.now)
    rows = ordered(asked.row("department", key, tally)
                   for key, tally in report.departments(cube, hours, lying).items())  # fmt: skip
    table = asked.cohort_table(asked.t("reports.scorecard"), asked.t("reports.column_department"), rows,
                               (*SCORE, *PERCENTILES), report.whole(cube, hours), lying=lying)  # fmt: skip
    return _shown(asked, "scorecard", [table], [charts.bars(table, 1, asked.t)])


def by(visit: Visit) -> Response:
    """The cohort by one dimension; the subjects at any level of their tree."""
    dimension, under = visit.path("dimension"), visit.query.number("under")
    if dimension not in (*DIMENSIONS, OPERATOR):
        raise NotFound("page.unknown")
    with visit.db.read() as conn:
        asked = Asked.read(visit, conn)
        if dimension == OPERATOR:
            names = {person.id: person.name for person in people.staff(conn)}
            found = figures.by_operator(conn, asked.period)
            rows = ordered(Row(key, names[key] if key else asked.t("reports.by_itself"), tally,
                               {"operator": key or NONE}) for key, tally in found.items())  # fmt: skip
        else:
            cube = figures.cube(conn, asked.period)
            hours = figures.hours(conn, asked.period, dimension)
            rows = asked.rows(cube, dimension, hours, under=_known(asked, under))
    columns = COLUMNS if dimension == OPERATOR else (*COLUMNS, *PERCENTILES)
    table = asked.cohort_table(asked.t(f"reports.by_{dimension}"), asked.t(f"reports.column_{dimension}"), rows,
                               columns, figures.together(row.tally for row in rows), cut=_cut_of(under))  # fmt: skip
    levels = _levels(asked, rows, under) if dimension == "subject" else ()
    return _shown(asked, f"by_{dimension}", [table], [charts.bars(table, 1, asked.t)], levels=levels)


def crossed(visit: Visit) -> Response:
    """The subjects of one level against the channels or the districts, in one figure."""
    across, under = visit.path("across"), visit.query.number("under")
    figure = visit.query.choice("figure", frozenset(COHORT)) or "registered"
    if across not in CROSSED:
        raise NotFound("page.unknown")
    with visit.db.read() as conn:
        asked = Asked.read(visit, conn)
        cube = figures.cube(conn, asked.period)
    rows = asked.rows(cube, "subject", under=_known(asked, under), order=figure)
    cells = cube.by("subject", across, name=lambda subject, key: (asked.names.right_below(under, subject), key))
    columns, none, cut = asked.rows(cube, across, order=figure), figures.Tally(), _cut_of(under)
    made = [(Cell(row.name), *(asked.link(figure, cells.get((row.key, column.key), none)[figure],
                                          **row.cut, **column.cut) for column in columns),
             asked.link(figure, row.tally[figure], **row.cut)) for row in rows]  # fmt: skip
    made.append((Cell(asked.t("reports.all")), *(
        asked.link(figure, sum(cells.get((row.key, column.key), none)[figure] for row in rows), **cut, **column.cut)
        for column in columns), asked.link(figure, sum(row.tally[figure] for row in rows), **cut)))  # fmt: skip
    table = Table(asked.t(f"reports.crossed_{across}"), (asked.t("reports.column_subject"), *(c.name for c in columns),
                  asked.t("reports.all")), tuple(made), totals=True, note=asked.t(f"figure.{figure}"))  # fmt: skip
    return _shown(asked, f"crossed_{across}", [table], levels=_levels(asked, rows, under), figure=figure,
                  figures={name: asked.t(f"figure.{name}") for name in COHORT})  # fmt: skip


def _known(asked: Asked, under: int | None) -> int | None:
    if under is not None and under not in asked.names.subjects:
        raise NotFound("subject.unknown")
    return under


def _cut_of(under: int | None) -> dict[str, object]:
    return {} if under is None else {"subject": under}


def _levels(asked: Asked, rows: Sequence[Row], under: int | None) -> list[tuple[str, dict[str, Any], bool]]:
    """Ways up and down the tree: (name, what the address says, whether it is here)."""
    up = [(asked.t("reports.all_subjects"), {}, under is None),
          *((asked.names.subjects[id], {"under": id}, id == under) for id in asked.names.path(under or 0) if under)]
    parents = set(asked.names.parents.values())
    return [*up, *((row.name, {"under": row.key}, False) for row in rows if row.key in parents and row.key != under)]


def calls(visit: Visit) -> Response:
    """Waits, service level, abandonment, the seats: by day, by the hour or half hour of the day."""
    span = visit.query.choice("span", frozenset(SPANS)) or "day"
    seconds = visit.query.number("seconds") or SERVICE[1]
    with visit.db.read() as conn:
        asked = Asked.read(visit, conn)
        found = call_figures.calls(conn, asked.period, span)  # type: ignore[arg-type]  # one of SPANS
        seats = call_figures.seats(conn, asked.period, visit.now, span)  # type: ignore[arg-type]
        told = call_figures.consultations(conn, asked.period)
    t, whole = asked.t, call_figures.total(found.values())

    def name(key: Any) -> str:
        return f"{key:%d.%m.%Y}" if span == "day" else f"{key // 60:02}:{key % 60:02}"

    tables = [
        asked.calls_by(t(f"reports.calls_by_{span}"), t(f"reports.column_{span}"), [
            (name(key), each) for key, each in found.items()],
            {name(key): each for key, each in seats.items()}),
        asked.calls_table(whole),
        Table(t("reports.service_levels"), (t("reports.within"), t("figure.service_level")), tuple(
            (Cell(within, "seconds"), Cell(whole.service_level(within), "share"))
            for within in sorted({*WITHIN_S, seconds})), note=t("reports.service_aim", percent=SERVICE[0],
                                                               seconds=SERVICE[1])),
        asked.figures_table(t("reports.seats"), t("reports.seats_hint"), [
            (column, Cell(value(call_figures.seats_together(seats.values())), kind), None)
            for column, (kind, value) in SEAT_COLUMNS.items()]),
        Table(t("reports.consultations"), (t("reports.answer_from"), t("reports.count")), tuple(
            (Cell(t(f"reports.kind_{kind}")), Cell(told.get(kind, 0), "count")) for kind in knowledge.Kind)),
    ]  # fmt: skip
    drawn = charts.lines(t("reports.offered_answered"), [row[0].shown(t)[:5] for row in tables[0].rows], [
        (t(f"figure.{figure}"), [each[figure] for each in found.values()]) for figure in ("offered", "answered")], t)
    return _shown(asked, "calls", tables, [drawn], spans=SPANS)  # fmt: skip


def callbacks(visit: Visit) -> Response:
    """Our own calls to the residents, apart from those that came in."""
    with visit.db.read() as conn:
        asked = Asked.read(visit, conn)
        made = call_figures.callbacks(conn, asked.period), figures.by_callback(conn, asked.period)
    return _shown(asked, "callbacks", [asked.callbacks_table(*made)])


def rated(visit: Visit) -> Response:
    """What callers said of the conversations: in all, by day, by who spoke, by what they were about and what came of
    that. The mean and the shares of fewer than ``suppression.LEAST`` scores are left out: they tell of one caller."""
    with visit.db.read() as conn:
        asked = Asked.read(visit, conn)
        found = {by: ratings.scores(conn, asked.period, by) for by in ("day", "operator", "subject", "fate")}
        staff = {person.id: person.name for person in people.staff(conn)}
    t, whole = asked.t, ratings.together(found["day"].values())
    subjects: dict[int | None, Scores] = {}
    for key, each in found["subject"].items():
        top = asked.names.right_below(None, key)
        subjects[top] = ratings.together((subjects.get(top, Scores()), each))

    heads = (*(t(f"figure.{name}") for name in RATED), *(t("ratings.score", score=score) for score in SCORES))

    def table(by: str, rows: Sequence[tuple[str, Scores]], note: str = "") -> Table:
        return Table(t(f"ratings.by_{by}"), (t(f"reports.column_{by}"), *heads),
                     tuple((Cell(name), *_scored(each)) for name, each in rows), note=note)  # fmt: skip

    largest = {by: sorted(of.items(), key=lambda one: (-one[1].rated, str(one[0]))) for by, of in (
        ("operator", found["operator"]), ("subject", subjects))}  # fmt: skip
    tables = [
        Table(t("ratings.all"), (t("reports.column_period"), *heads), ((Cell(asked.words), *_scored(whole)),),
              note=t("ratings.hint", least=suppression.LEAST)),
        table("operator", [(staff.get(key, t("ratings.unknown")), each) for key, each in largest["operator"]]),
        table("subject", [(asked.names.subjects[key], each) for key, each in largest["subject"] if key],
              t("ratings.appeals_hint")),
        table("fate", [(t(f"ratings.fate.{fate}"), found["fate"][fate]) for fate in FATES if fate in found["fate"]],
              t("ratings.fate_hint")),
        table("day", [(f"{day:%d.%m.%Y}", each) for day, each in found["day"].items() if each.spoken]),
    ]  # fmt: skip
    return _shown(asked, "ratings", tables)


def _scored(each: Scores) -> tuple[Cell, ...]:
    few = 0 < each.rated < suppression.LEAST
    return (Cell(each.spoken, "count"), Cell(each.rated, "count"), Cell(each.rate, "share"),
            Cell("…" if few else each.mean, "score"),
            *(Cell("…" if few else each.share(score), "share") for score in SCORES))  # fmt: skip


def repeats(visit: Visit) -> Response:
    """The buildings from which the same is asked again and again."""
    with visit.db.read() as conn:
        asked = Asked.read(visit, conn)
        found = figures.repeats(conn, asked.period)
        places = {each.building_id: addresses.find_building(conn, each.building_id) for each in found}
    t, uk = asked.t, asked.t.language == "uk"
    rows = []
    for each in found:
        place = places[each.building_id]
        rows.append((Cell(line_of(place)), Cell(place.district_uk if uk else place.district_en),
                     asked.link("registered", each.registered, building=each.building_id),
                     asked.link("repeated", each.repeated, building=each.building_id), Cell(each.rate, "share")))
    columns = (t("reports.column_building"), t("reports.column_district"), t("figure.registered"), t("figure.repeated"),
               t("figure.repeated_share"))  # fmt: skip
    return _shown(asked, "repeats", [Table(t("reports.repeats"), columns, tuple(rows), note=t("reports.repeats_hint"))])


def public(visit: Visit) -> Response:
    """A whole month for everybody: no cell, shown or worked out, is of fewer than ``suppression.LEAST``; and how often
    the portal's pages were opened."""
    with visit.db.read() as conn:
        asked = Asked.read(visit, conn)
        if not asked.period.is_month:  # two periods that differ by a day would tell of that day
            asked = Asked(visit, month_of(asked.period.first), asked.names)
        cube, opened = figures.cube(conn, asked.period), visits.by_page(conn, asked.period)
    t = asked.t
    subjects, districts = asked.rows(cube, "subject"), asked.rows(cube, "district")
    tallies = cube.by("subject", "district", name=lambda subject, district: (
        asked.names.right_below(None, subject), district))  # fmt: skip
    none = figures.Tally()
    shown = suppression.publish({(row.key, column.key): tallies.get((row.key, column.key), none)["registered"]
                                 for row in subjects for column in districts})  # fmt: skip

    def cell(value: int | None) -> Cell:
        return Cell("…" if value is None else value, "count")

    rows = [(Cell(row.name), *(cell(shown.cells[row.key, column.key]) for column in districts),
             cell(shown.rows[row.key])) for row in subjects]  # fmt: skip
    if rows:
        rows.append((Cell(t("reports.all")), *(cell(shown.columns[column.key]) for column in districts),
                     cell(shown.total)))  # fmt: skip
    table = Table(t("reports.public_table", period=asked.words), (
        t("reports.column_subject"), *(column.name for column in districts), t("reports.all")), tuple(rows),
        totals=bool(rows), note=t("reports.public_hint", least=suppression.LEAST))  # fmt: skip
    return _shown(asked, "public", [table, visited.table(t, opened)])


def formulas(visit: Visit) -> Response:
    """How each figure is computed."""
    return visit.page("reports_formulas.html", cohort=(*COHORT, *PERCENTILES), flow=FLOW, now=tuple(NOW),
                      calls=tuple(dict.fromkeys((*CALL_COUNTS, *CALL_COLUMNS, *SEAT_COLUMNS))),
                      callbacks=("placed", "reached", "unreached", "by_machine"),
                      ratings=RATED, words=BY_CALLBACK)  # fmt: skip


# ── the appeals behind a figure ──────────────────────────────────────────────────────────────
def behind(visit: Visit) -> Response:
    """The appeals that a figure counted, or what happened to them: with nothing of whose they are."""
    query = visit.query
    view, figure = query.choice("view", frozenset(BEHIND)), query["figure"]
    before = query.number("before")
    with visit.db.read() as conn:
        asked = Asked.read(visit, conn)
        if figure not in BEHIND[view]:
            raise BadInput("form.no_figure")
        cut, called = _cut(asked, {person.id: person.name for person in people.staff(conn)}
                           if query["operator"] else {})  # fmt: skip
        found = _behind(view, figure, asked, cut)
        count, lines = found.count(conn), found.lines(conn, LISTED, before)
        if cut.building is not None:
            called.append(line_of(addresses.find_building(conn, cut.building)))
    more = {**{name: query[name] for name in query if query[name]}, "before": str(lines[-1].order)} \
        if len(lines) == LISTED else {}  # fmt: skip
    return visit.page("reports_appeals.html", asked=asked, view=view, figure=figure, count=count, lines=lines,
                      called=called, more=more, opens=visit.can(Permission.SEE_APPEALS))  # fmt: skip


# Views of the list: "" is the cohort.
BEHIND: dict[str, Mapping[str, object] | frozenset[str]] = {
    "": COHORT, "flow": FLOW, "callback": frozenset(BY_CALLBACK), "now": NOW}  # fmt: skip


def _behind(view: str, figure: str, asked: Asked, cut: Cut) -> Behind:
    if view == "now":
        return figures.behind_now(figure, asked.visit.now, cut)
    if view:
        return figures.behind_flow(figure, asked.period, by_callback=view == "callback")
    return figures.behind_cohort(figure, asked.period, cut)


def _cut(asked: Asked, staff: Mapping[int, str]) -> tuple[Cut, list[str]]:
    """Which part of the figure the address asks for, and in words. BadInput for what there is not."""
    query, names, t = asked.visit.query, asked.names, asked.t
    called: list[str] = []

    def number(field: str, known: Mapping[int, str], none: str) -> int | None:
        if not query[field]:
            return None
        key = NOBODY if query[field] == NONE else query.number(field)
        if key != NOBODY and key not in known:
            raise BadInput(f"form.no_{field}")
        called.append(none if key == NOBODY else known[key or 0])
        return key

    subject = number("subject", names.subjects, "")
    channel = query.choice("channel", frozenset(appeals.CHANNELS))
    if channel:
        called.append(t(f"channel.{channel}"))
    if query.problems:
        raise next(iter(query.problems.values()))
    subjects = None
    if subject is not None:
        subjects = frozenset({subject}) if query.ticked("own") else names.below(subject)
    return Cut(subjects, number("district", names.districts, t("reports.nowhere")),
               number("department", names.departments, ""), channel or None,
               number("operator", staff, t("reports.by_itself")), query.number("building")), called  # fmt: skip


