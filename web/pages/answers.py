"""What the operator has at hand in a call: what holds at the address, its programmes, articles and telephones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection
from starlette.responses import Response

from crm import calls, departments, knowledge, programmes, rulebook
from crm.addresses import BuildingLine
from crm.errors import BadInput
from crm.knowledge import Article, Bulletin, Contact, ContactKind, Kind
from crm.programmes import Entry
from web import forms
from web.forms import Form
from web.places import building_of
from web.texts import Texts, texts
from web.visit import Visit

ASK_MOST = 200
FOUND_MOST = 5  # articles and telephones, each: more is not read while somebody waits
DISPATCHERS_MOST = 2  # that are at hand before anything is looked for


@dataclass(frozen=True, slots=True)
class Promise:
    """A programme that the building is in. ``told``: what the resident is told; ``ahead``: it is an answer."""

    entry: Entry
    told: str
    ahead: bool


@dataclass(frozen=True, slots=True)
class Answers:
    """``say``: the caller's language. ``asked``: something was looked for. ``given``: (kind, id) told in this call."""

    linkedid: str
    say: Texts
    building: BuildingLine | None
    bulletins: list[Bulletin]
    promises: list[Promise]
    asked: bool
    articles: list[Article]
    contacts: list[Contact]
    given: frozenset[tuple[str, int]]


def told(entry: Entry, texts: Texts) -> str:
    """The answer from a programme, with its ground, in a language's words."""
    of = entry.programme
    said = texts("programme.told", name=texts.either(of.name_uk, of.name_en), year=entry.year, note=entry.note,
                 about=texts.either(of.about_uk, of.about_en), ground=of.ground)  # fmt: skip
    return " ".join(said.split())


def told_for_record(entry: Entry) -> str:
    """The same for the appeal's history, which is in Ukrainian whoever asks."""
    return told(entry, texts("uk"))


def gather(conn: Connection, linkedid: str, building: BuildingLine | None, form: Form, now: datetime) -> Answers:
    """By the form of the call: ``ask``, what is looked for, and the ``subject``."""
    call = calls.get(conn, linkedid)
    say = texts(call.language if call else "uk")
    ask, subject = form["ask"][:ASK_MOST], forms.whole(form["subject"])
    chain = rulebook.current(conn).routing.chains.get(subject, ()) if subject else ()
    place = building.id if building else None
    return Answers(
        linkedid, say, building, knowledge.bulletins_at(conn, place, now),
        [Promise(entry, told(entry, say), entry.ahead(now))
         for entry in (programmes.of_building(conn, place) if place else ())],
        bool(ask), knowledge.search(conn, ask, subjects=chain, limit=FOUND_MOST),
        knowledge.directory(conn, ask, building_id=place)[:FOUND_MOST] if ask else _dispatchers(conn, chain, place),
        knowledge.given_in(conn, linkedid),
    )  # fmt: skip


def _dispatchers(conn: Connection, chain: Sequence[int], building_id: int | None) -> list[Contact]:
    """Of the building's district, those whose names or words fit the subject; none until there is one."""
    names = {each.id: f"{each.name_uk} {each.name_en}" for each in departments.subjects(conn)} if chain else {}
    fit = knowledge.directory(conn, " ".join(names[id] for id in chain), building_id=building_id) if chain else []
    return [one for one in fit if one.kind == ContactKind.DISPATCHER][:DISPATCHERS_MOST]


def give(conn: Connection, linkedid: str, what: str, visit: Visit) -> None:
    """Counts that ``what`` (article-12, bulletin-3…) was told in this call. BadInput for what is none of these."""
    kind, _, number = what.partition("-")
    record_id = forms.whole(number)
    if kind not in set(Kind) or record_id is None:
        raise BadInput("form.no_given")
    knowledge.given(conn, linkedid, Kind(kind), record_id, visit.person.id, visit.now)


def part(visit: Visit) -> Response:
    """The same as a part of the call's page, for its script."""
    asked = visit.query
    with visit.db.read() as conn:
        building, _ = building_of(conn, asked)
        answers = gather(conn, asked.text("linkedid", 64), building, asked, visit.now)
    return visit.page("call/answers_found.html", answers=answers)
