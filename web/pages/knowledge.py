"""The reference pages: what operators may tell, what holds today, whom to telephone; and the editing of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from crm import addresses, answer_templates, departments, knowledge, networks
from crm.clock import KYIV
from crm.errors import CentreError, NotFound
from crm.knowledge import Bulletin, ContactKind
from crm.people import Permission
from web.forms import Form
from web.places import ADDRESS_MOST, building_of
from web.render import line_of
from web.visit import Visit, status_of

ASK_MOST = 200
COUNTED_DAYS = 30
NEW = "new"


def show(visit: Visit) -> Response:
    """Everything, or what fits ``q``."""
    return visit.page("knowledge/show.html", **_found(visit))


def found(visit: Visit) -> Response:
    """What fits ``q``, as a part of the page, for its script."""
    return visit.page("knowledge/found.html", **_found(visit))


def _found(visit: Visit) -> dict[str, Any]:
    text, edits = visit.query["q"][:ASK_MOST], visit.can(Permission.EDIT_KNOWLEDGE)
    with visit.db.read() as conn:
        held = knowledge.bulletins(conn, visit.now)
        return {
            "q": text,
            "articles": knowledge.search(conn, text, limit=50) if text
            else knowledge.articles(conn, withdrawn=edits),
            "contacts": knowledge.directory(conn, text, withdrawn=edits and not text),
            "now_held": [each for each in held if each.starts_at <= visit.now],
            "to_come": [each for each in held if each.starts_at > visit.now],
            "times": knowledge.times_given(conn, visit.now - timedelta(days=COUNTED_DAYS)),
            "kinds": tuple(ContactKind), "days": COUNTED_DAYS,
            "replies": answer_templates.listed(conn, withdrawn=True) if edits and not text else [],
        }  # fmt: skip


# ── editing ──
@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of record: how it is read into a form's fields, and how the form is saved (id, version seen)."""

    filled: Callable[[Connection, int], dict[str, Any]]
    fresh: Callable[[Visit], dict[str, Any]]
    save: Callable[[Visit, Connection, int | None, int | None], int | None]


def edit(visit: Visit) -> Response:
    """The form of a record, or of a new one. NotFound if there is none."""
    kind, record_id = _which(visit)
    with visit.db.read() as conn:
        filled = kind.fresh(visit) if record_id is None else kind.filled(conn, record_id)
    return _page(visit, filled)


def save(visit: Visit) -> Response:
    """Saves it as it was seen; what is wrong comes back with what was typed."""
    kind, record_id = _which(visit)
    version = visit.form.number("seen", required=record_id is not None)
    problem: CentreError | None = None
    try:
        with visit.db.write() as conn:
            saved = kind.save(visit, conn, record_id, version)
    except NotFound:
        raise
    except CentreError as error:
        problem, saved = error, None
    if saved is None:
        return _page(visit, dict(visit.form), problem)
    return visit.go("/knowledge?done=saved")


def _which(visit: Visit) -> tuple[_Kind, int | None]:
    name, id = visit.path("kind"), visit.path("id")
    if name not in _KINDS:
        raise NotFound("page.unknown")
    return _KINDS[name], None if id == NEW else visit.number("id")


def _page(visit: Visit, filled: dict[str, Any], problem: CentreError | None = None) -> Response:
    again = bool(problem or visit.form.problems)
    with visit.db.read() as conn:
        lists: dict[str, Any] = {"subjects": departments.subjects(conn), "districts": addresses.districts(conn),
                                 "networks": networks.networks(conn)}  # fmt: skip
    status = status_of(problem) if problem else 422 if again else 200
    return visit.page("knowledge/edit.html", status=status, kind=visit.path("kind"), id=visit.path("id"),
                      filled=Form({name: "" if value is None else str(value) for name, value in filled.items()}),
                      problem=problem, kinds=tuple(ContactKind), **lists)  # fmt: skip


def _filled(record: Any, **more: Any) -> dict[str, Any]:
    """A record's fields as a form has them."""
    fields = asdict(record)
    ticks = {name: "on" if value else "" for name, value in fields.items() if isinstance(value, bool)}
    return {**fields, **ticks, "seen": record.version, **more}


def _article(conn: Connection, id: int) -> dict[str, Any]:
    article = knowledge.article_of(conn, id)
    return _filled(article, subject=article.subject_id)


def _save_article(visit: Visit, conn: Connection, id: int | None, version: int | None) -> int | None:
    form = visit.form
    title, body = form.text("title_uk", knowledge.TITLE_MOST, required=True), form.text("body_uk", knowledge.BODY_MOST,
                                                                                       required=True)  # fmt: skip
    title_en, body_en = form.text("title_en", knowledge.TITLE_MOST), form.text("body_en", knowledge.BODY_MOST)
    keywords = form.text("keywords", knowledge.KEYWORDS_MOST)
    source, subject = form.text("source", knowledge.SOURCE_MOST), form.number("subject")
    if form.problems:
        return None
    return knowledge.save_article(conn, id, version, title_uk=title, title_en=title_en, body_uk=body, body_en=body_en,
                                  keywords=keywords, subject_id=subject, active=form.ticked("active"), source=source,
                                  staff_id=visit.person.id, now=visit.now)  # fmt: skip


def _bulletin(conn: Connection, id: int) -> dict[str, Any]:
    held = knowledge.bulletin_of(conn, id)
    address = line_of(addresses.find_building(conn, held.building_id)) if held.building_id else ""
    return _filled(held, **_span(held), address=address, network=held.network_id, district=held.district_id,
                   building=held.building_id, building_for=address)  # fmt: skip


def _span(held: Bulletin) -> dict[str, str]:
    """As browsers have it: Kyiv's time, to the minute."""
    return {name: f"{at.astimezone(KYIV):%Y-%m-%dT%H:%M}"
            for name, at in (("starts", held.starts_at), ("ends", held.ends_at))}  # fmt: skip


def _save_bulletin(visit: Visit, conn: Connection, id: int | None, version: int | None) -> int | None:
    form = visit.form
    text = form.text("text_uk", knowledge.BULLETIN_MOST, required=True)
    text_en = form.text("text_en", knowledge.BULLETIN_MOST)
    starts, ends = form.moment("starts", required=True), form.moment("ends", required=True)
    network, district = form.number("network"), form.number("district")
    building = building_of(conn, form)[0] if form.text("address", ADDRESS_MOST) else None
    if form.problems or starts is None or ends is None:
        return None
    return knowledge.save_bulletin(conn, id, version, text_uk=text, text_en=text_en, starts_at=starts, ends_at=ends,
                                   building_id=building.id if building else None, network_id=network,
                                   district_id=district, staff_id=visit.person.id, now=visit.now)  # fmt: skip


def _contact(conn: Connection, id: int) -> dict[str, Any]:
    contact = knowledge.contact_of(conn, id)
    return _filled(contact, contact_kind=contact.kind, district=contact.district_id)


def _save_contact(visit: Visit, conn: Connection, id: int | None, version: int | None) -> int | None:
    form = visit.form
    name = form.text("name_uk", knowledge.TITLE_MOST, required=True)
    name_en, phone = form.text("name_en", knowledge.TITLE_MOST), form.text("phone", knowledge.PHONE_MOST, required=True)
    kind = form.choice("contact_kind", frozenset(ContactKind), required=True)
    hours, keywords = form.text("hours", knowledge.HOURS_MOST), form.text("keywords", knowledge.KEYWORDS_MOST)
    district = form.number("district")
    if form.problems:
        return None
    return knowledge.save_contact(conn, id, version, name_uk=name, name_en=name_en, kind=ContactKind(kind), phone=phone,
                                  hours=hours, district_id=district, keywords=keywords, active=form.ticked("active"),
                                  staff_id=visit.person.id, now=visit.now)  # fmt: skip


def _reply(conn: Connection, id: int) -> dict[str, Any]:
    return _filled(answer_templates.get(conn, id))


def _save_reply(visit: Visit, conn: Connection, id: int | None, version: int | None) -> int | None:
    form = visit.form
    name, text = (form.text("name", answer_templates.NAME_MOST, required=True),
                  form.text("text_uk", answer_templates.TEXT_MOST, required=True))  # fmt: skip
    text_en = form.text("text_en", answer_templates.TEXT_MOST)
    if form.problems:
        return None
    return answer_templates.save(conn, id, version, name=name, text_uk=text, text_en=text_en,
                                 active=form.ticked("active"), staff_id=visit.person.id, now=visit.now)  # fmt: skip


def _active(visit: Visit) -> dict[str, Any]:
    return {"active": "on"}


def _today(visit: Visit) -> dict[str, Any]:
    """From now to the end of the day."""
    now = visit.now.astimezone(KYIV)
    return {"starts": f"{now:%Y-%m-%dT%H:%M}", "ends": f"{now:%Y-%m-%dT}23:59"}


_KINDS = {
    "articles": _Kind(_article, _active, _save_article),
    "bulletins": _Kind(_bulletin, _today, _save_bulletin),
    "contacts": _Kind(_contact, _active, _save_contact),
    "replies": _Kind(_reply, _active, _save_reply),
}
