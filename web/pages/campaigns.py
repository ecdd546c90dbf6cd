"""Campaigns of confirmation calls: their plan, their course, and what they have done."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from crm import addresses, campaign_figures, campaigns, clock, departments, people
from crm.calls import Queue
from crm.campaign_figures import FIGURES
from crm.campaign_rules import EDITABLE, NAME_MOST, STEPS, Mode, State, Step, Terms, may_not_call
from crm.campaigns import Campaign
from crm.errors import BadInput, CentreError, NotFound
from crm.people import Permission
from web.forms import Form, whole
from web.live import Snapshot
from web.reporting import Names
from web.visit import Visit, status_of

NEW = "new"
LISTED = 100
BY = ("department", "subject", "district")


def listed(visit: Visit) -> Response:
    with visit.db.read() as conn:
        found = campaigns.listed(conn)
        over = campaign_figures.shares_done(conn)
        waits = {one.id: waits_for(visit, one, campaigns.placed_today(conn, visit.now).get(one.id, 0))
                 for one in found if one.state is State.RUNNING}  # fmt: skip
    return visit.page("campaigns/list.html", found=found, over=over, waits=waits, plans=_plans(visit))


def show(visit: Visit) -> Response:
    """One campaign: its terms, before it starts what it would come to, then what has come of it."""
    return _form(visit) if visit.path("id") == NEW else _page(visit)


def edit(visit: Visit) -> Response:
    return _form(visit)


def save(visit: Visit) -> Response:
    """Drafts one, or changes it as it was seen."""
    form, id = visit.form, _id(visit)
    terms = _terms(form)
    version = form.number("seen", required=id is not None)
    if form.problems or terms is None:
        return _form(visit, typed=form)
    try:
        with visit.db.write() as conn:
            saved = campaigns.save(conn, id, version, terms, staff_id=visit.person.id, now=visit.now)
    except CentreError as error:
        return _form(visit, typed=form, problem=error)
    return visit.go(f"/campaigns/{saved}?done=saved")


def act(visit: Visit) -> Response:
    """Starts, pauses, resumes or ends it, as it was seen."""
    id, what = visit.number("id"), visit.form["do"]
    if what not in set(Step):
        raise BadInput("line.bad_request")
    try:
        with visit.db.write() as conn:
            campaigns.step(conn, id, Step(what), version=visit.form.number("seen"), staff_id=visit.person.id,
                           now=visit.now)  # fmt: skip
            campaigns.take(conn, visit.now)
    except NotFound:
        raise
    except CentreError as error:
        return _page(visit, error)
    visit.poke_line("callbacks")
    return visit.go(f"/campaigns/{id}?done=campaign_{what}")


def behind(visit: Visit) -> Response:
    """The appeals that a figure of it counted: with nothing of whose they are."""
    figure, before = visit.query["figure"], visit.query.number("before")
    if figure not in FIGURES:
        raise BadInput("form.no_figure")
    with visit.db.read() as conn:
        one = campaigns.get(conn, visit.number("id"))
        found = campaign_figures.behind(one, figure, visit.now)
        count, lines = found.count(conn), found.lines(conn, LISTED, before)
    more = {"figure": figure, "before": str(lines[-1].order)} if len(lines) == LISTED else {}
    return visit.page("campaigns/appeals.html", campaign=one, figure=figure, count=count, lines=lines, more=more,
                      view="", opens=visit.can(Permission.SEE_APPEALS))  # fmt: skip


# ── what it waits for ──
def waits_for(visit: Visit, one: Campaign, placed_today: int) -> str:
    """Why a campaign that runs calls nobody at this moment; "" when it calls."""
    rules = visit.parts.rules
    why = may_not_call(one.terms, one.state, placed_today=placed_today, now=visit.now, rules=rules)
    if why is None and longest_wait(visit.parts.hub.snapshot, visit.now) > rules.inbound_wait_s:
        why = "callback.inbound_first"
    return why or ""


def longest_wait(snapshot: Snapshot | None, now: datetime) -> float:
    """Of the callers in the city's line, seconds."""
    waiting = snapshot.waiting if snapshot is not None else ()
    return max(((now - one.since).total_seconds() for one in waiting if one.queue == Queue.CITY), default=0.0)


# ── the pages ──
def _plans(visit: Visit) -> bool:
    return visit.can(Permission.MANAGE_SEATS)


def _id(visit: Visit) -> int | None:
    return None if visit.path("id") == NEW else visit.number("id")


def _terms(form: Form) -> Terms | None:
    """What was typed; None and what is wrong with it."""
    name = form.text("name", NAME_MOST)
    mode = form.choice("mode", frozenset(Mode), required=True)
    chosen = {f"{each}_id": form.number(each) for each in BY}
    older, cap = _number(form, "older_days"), form.number("daily_cap")
    his = form.number("citizen_daily_cap", required=True)
    hours = [_minutes(form, each) for each in ("call_from", "call_to")]
    if form.problems or his is None:
        return None
    try:
        return campaigns.terms_of(name=name, mode=mode, **chosen, older_days=older, daily_cap=cap,
                                  citizen_daily_cap=his, call_from=hours[0], call_to=hours[1])  # fmt: skip
    except BadInput as error:
        form.wrong({"campaign.hours": "call_from", "campaign.older_days": "older_days", "campaign.cap": "daily_cap",
                    "campaign.citizen_cap_bounds": "citizen_daily_cap"}.get(error.id, "name"), error)  # fmt: skip
        return None


def _number(form: Form, name: str) -> int:
    """A whole number that may be 0, as an empty field is."""
    if form[name] in ("", "0"):
        return 0
    return form.number(name) or 0


def _minutes(form: Form, name: str) -> int | None:
    try:
        return clock.minutes(form[name]) if form[name] else None
    except BadInput:
        form.wrong(name, BadInput("campaign.hours"))
        return None


def _clock(minutes: int | None) -> str:
    return "" if minutes is None else f"{minutes // 60:02}:{minutes % 60:02}"


def _form(visit: Visit, *, typed: Form | None = None, problem: CentreError | None = None) -> Response:
    id = _id(visit)
    if not _plans(visit):
        raise NotFound("page.unknown")
    with visit.db.read() as conn:
        one = None if id is None else campaigns.get(conn, id)
        subjects, found = departments.subjects(conn), departments.departments(conn)
        districts = addresses.districts(conn)
    if typed is None:
        typed = Form({"mode": Mode.PREVIEW, "citizen_daily_cap": "2"} if one is None else _typed(one))
    wrong = HTTPStatus.UNPROCESSABLE_ENTITY if visit.form.problems else HTTPStatus.OK
    return visit.page("campaigns/edit.html", status=status_of(problem) if problem else wrong, id=visit.path("id"),
                      campaign=one, filled=typed, problem=problem, modes=tuple(Mode), subjects=subjects,
                      departments=found, districts=districts, hours=_hours(visit))  # fmt: skip


def _typed(one: Campaign) -> dict[str, str]:
    terms = one.terms
    numbers = {"department": terms.department_id, "subject": terms.subject_id, "district": terms.district_id,
               "older_days": terms.older_days, "daily_cap": terms.daily_cap,
               "citizen_daily_cap": terms.citizen_daily_cap, "seen": one.version}  # fmt: skip
    return {"name": terms.name, "mode": terms.mode, "call_from": _clock(terms.call_from),
            "call_to": _clock(terms.call_to), **{name: str(value or "") for name, value in numbers.items()}}


def _hours(visit: Visit) -> tuple[str, str]:
    """The centre's own."""
    return _clock(visit.parts.rules.call_from), _clock(visit.parts.rules.call_to)


def _page(visit: Visit, problem: CentreError | None = None) -> Response:
    rules, seats = visit.parts.rules, whole(visit.query["seats"])
    with visit.db.read() as conn:
        one = campaigns.get(conn, visit.number("id"))
        started = one.started_at is not None
        plan = campaign_figures.plan(conn, one.terms, visit.now, rules, seats) if one.state is State.DRAFT else None
        progress = campaign_figures.progress(conn, one, visit.now, rules) if started else None
        placed = campaigns.placed_today(conn, visit.now).get(one.id, 0)
        lines = campaigns.history(conn, one.id)
        names = Names.read(conn, visit.texts.language)
        staff = {person.id: person.name for person in people.staff(conn)}
    of: dict[str, Any] = {"department": names.departments, "subject": names.subjects, "district": names.districts}
    split = {name: sorted(((of[name].get(key, visit.texts("reports.nowhere")), count)
                           for key, count in plan.by[name].items()), key=lambda each: (-each[1], each[0]))
             for name in BY} if plan else {}  # fmt: skip
    window = one.terms.window(rules)
    return visit.page(
        "campaigns/show.html", status=status_of(problem) if problem else HTTPStatus.OK, problem=problem, campaign=one,
        plan=plan, split=split, progress=progress, placed=placed, history=lines, staff=staff, names=of, BY=BY,
        steps=tuple(STEPS[one.state]) if _plans(visit) else (), edits=_plans(visit) and one.state in EDITABLE,
        waits=waits_for(visit, one, placed) if one.state is State.RUNNING else "",
        hours=(_clock(window[0]), _clock(window[1])), figures=tuple(FIGURES))  # fmt: skip
