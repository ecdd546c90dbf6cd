"""Webhooks: which departments' own systems are told what happens to appeals, and how that goes."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from crm import departments, edits, people, webhooks
from crm.errors import BadInput, CentreError, NotFound
from web import forms
from web.forms import Form
from web.visit import Visit, status_of

NEW = "new"
SHOWN, RECENT = 50, 20  # what waits, and changes


def listed(visit: Visit) -> Response:
    with visit.db.read() as conn:
        found = [(each, webhooks.standing(conn, each.id)) for each in webhooks.listed(conn)]
        names = {d.id: d.name for d in departments.departments(conn)}
    return visit.page("rules/webhooks.html", found=found, names=names)


def show(visit: Visit) -> Response:
    """A webhook with the form that changes it, and what waits; or the form of a new one."""
    return _page(visit)


def save(visit: Visit) -> Response:
    """The webhook as it was seen. A new one's secret is shown this once."""
    form, new = visit.form, visit.path("id") == NEW
    name, url = form.text("name", webhooks.NAME_MOST), form.text("url", webhooks.URL_MOST)
    department_id, version = form.number("department"), form.number("seen", required=not new)
    if form.problems:
        return _page(visit, typed=form)
    private = visit.parts.settings.webhook_private
    try:
        with visit.db.write() as conn:
            if new:
                id, secret = webhooks.add(conn, name=name, url=url, department_id=department_id, private=private,
                                          now=visit.now, staff_id=visit.person.id)  # fmt: skip
                return visit.page("rules/webhook_made.html", its=webhooks.get(conn, id), secret=secret)
            webhooks.change(conn, visit.number("id"), version or 0, name=name, url=url, department_id=department_id,
                            active=form.ticked("active"), private=private, now=visit.now,
                            staff_id=visit.person.id)  # fmt: skip
    except NotFound:
        raise
    except CentreError as error:
        return _page(visit, typed=form, problem=error)
    return visit.go("/rules/webhooks?done=saved")


def act(visit: Visit) -> Response:
    """Another secret, shown this once; what waits, sent now; one of it left out."""
    id, form = visit.number("id"), visit.form
    with visit.db.write() as conn:
        its = webhooks.get(conn, id)
        match form["do"]:
            case "secret":
                secret = webhooks.new_secret(conn, id, now=visit.now, staff_id=visit.person.id)
                return visit.page("rules/webhook_made.html", its=its, secret=secret)
            case "again":
                webhooks.again(conn, id, visit.now)
            case "leave_out":
                webhooks.leave_out(conn, id, forms.whole(form["delivery"]) or 0, visit.now, visit.person.id)
            case _:
                raise BadInput("form.unreadable")
    return visit.go(f"/rules/webhooks/{id}?done=webhook_{form['do']}")


def _page(visit: Visit, *, typed: Form | None = None, problem: CentreError | None = None) -> Response:
    with visit.db.read() as conn:
        its = None if visit.path("id") == NEW else webhooks.get(conn, visit.number("id"))
        waiting = webhooks.waiting(conn, its.id, SHOWN) if its else []
        standing = webhooks.standing(conn, its.id) if its else webhooks.Standing()
        changes = edits.recent(conn, ("webhook",), RECENT, key=its.id) if its else []
        staff = {person.id: person.name for person in people.staff(conn)}
        takers = [(d.id, d.name) for d in departments.departments(conn) if d.kind != "outside"]
    if typed is None:
        typed = Form({"name": its.name, "url": its.url, "department": str(its.department_id or ""),
                      "active": "1" if its.active else "", "seen": str(its.version)} if its else {})  # fmt: skip
    wrong = HTTPStatus.UNPROCESSABLE_ENTITY if visit.form.problems else HTTPStatus.OK
    return visit.page("rules/webhook.html", status=status_of(problem) if problem else wrong, id=visit.path("id"),
                      its=its, filled=typed, problem=problem, waiting=waiting, standing=standing, takers=takers,
                      changes=changes, staff=staff)  # fmt: skip
