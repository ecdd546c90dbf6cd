"""Keys of other programs, which file appeals by Open311 and the API: made, bounded, switched off."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from crm import api_keys, edits, people
from crm.errors import CentreError, NotFound
from web.forms import Form
from web.visit import Visit, status_of

NEW = "new"
RECENT = 20
USUAL_CAP = 600


def listed(visit: Visit) -> Response:
    with visit.db.read() as conn:
        found = api_keys.keys(conn)
    return visit.page("rules/keys.html", found=found)


def show(visit: Visit) -> Response:
    """A key with the form that changes it; or the form of a new one."""
    return _page(visit)


def save(visit: Visit) -> Response:
    """The key as it was seen. A new one is shown this once."""
    form, new = visit.form, visit.path("id") == NEW
    name = form.text("name", api_keys.NAME_MOST)
    channel = form.choice("channel", frozenset(api_keys.CHANNELS), required=True)
    cap, version = form.number("hourly_cap", required=True), form.number("seen", required=not new)
    if form.problems or cap is None:
        return _page(visit, typed=form)
    try:
        with visit.db.write() as conn:
            if new:
                made, key = api_keys.make(conn, name=name, channel=channel, hourly_cap=cap, now=visit.now,
                                          staff_id=visit.person.id)  # fmt: skip
                return visit.page("rules/key_made.html", its=api_keys.get(conn, made), key=key)
            api_keys.change(conn, visit.number("id"), version or 0, name=name, channel=channel, hourly_cap=cap,
                            active=form.ticked("active"), now=visit.now, staff_id=visit.person.id)  # fmt: skip
    except NotFound:
        raise
    except CentreError as error:
        return _page(visit, typed=form, problem=error)
    return visit.go("/rules/keys?done=saved")


def _page(visit: Visit, *, typed: Form | None = None, problem: CentreError | None = None) -> Response:
    with visit.db.read() as conn:
        its = None if visit.path("id") == NEW else api_keys.get(conn, visit.number("id"))
        changes = edits.recent(conn, ("api_key",), RECENT, key=its.id) if its else []
        staff = {person.id: person.name for person in people.staff(conn)}
    if typed is None:
        typed = Form({"name": its.name, "channel": its.channel, "hourly_cap": str(its.hourly_cap),
                      "active": "1" if its.active else "", "seen": str(its.version)} if its else
                     {"channel": api_keys.CHANNELS[0], "hourly_cap": str(USUAL_CAP)})  # fmt: skip
    wrong = HTTPStatus.UNPROCESSABLE_ENTITY if visit.form.problems else HTTPStatus.OK
    return visit.page("rules/key.html", status=status_of(problem) if problem else wrong, id=visit.path("id"), its=its,
                      filled=typed, problem=problem, channels=api_keys.CHANNELS, changes=changes,
                      staff=staff)  # fmt: skip
