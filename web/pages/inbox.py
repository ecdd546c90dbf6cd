"""The online specialists' desk: one inbox for all that comes in writing, one message with all that is known of it, and
appeals that come by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from http import HTTPStatus
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from crm import (
    addresses,
    answer_templates,
    appeals,
    attachments,
    calls,
    filing,
    inbox,
    incidents,
    messages,
    notices,
    phones,
    recognised,
)
from crm.addresses import BuildingLine
from crm.appeals import Appeal, AppealLine
from crm.citizens import Citizen
from crm.clock import KYIV
from crm.confirmation_rules import Result
from crm.errors import BadInput, CentreError
from crm.inbox import BY_HAND, CHANNELS, MOST_COUNTED, Act, Closed, Line, Message, View, Wanted
from crm.messages import Held, Incoming
from crm.notices import Way
from crm.people import Permission
from crm.recognised import Person, Sender
from crm.repeats import Reason
from web import forms
from web.forms import Form
from web.lists import Listing, as_file, listing, wants_file
from web.pages import appeal_form
from web.pages.appeal_form import TEXT_MOST, Already, Written
from web.places import building_of
from web.render import line_of
from web.tables import Cell, Table
from web.texts import Texts, texts
from web.visit import Visit, status_of

WORDS = {"solved": Result.SOLVED, "not_solved": Result.NOT_SOLVED}
FILTERS = ("view", "channel", "why", "from", "to")
DO = ("claim", "release", "spam", "ordinary", "close", "reopen", "join", "add", "reply", *WORDS)
REPLY_MOST, NOTE_MOST, WHY_MOST = 4000, inbox.NOTE_MOST, 200
OF_PERSON = 5  # appeals of each whom it may be from
WAYS = (Way.EMAIL, Way.SMS, Way.FACEBOOK, Way.PHONE, Way.NOTHING)
NEW = "new"


# ── the list ─────────────────────────────────────────────────────────────────────────────────
def listed(visit: Visit) -> Response:
    """What waits, the oldest first, with what should not wait for its turn above it; or another of the views."""
    shown, wanted = _found(visit)
    if wants_file(visit):
        return as_file(visit, "messages", _table(visit.texts, shown.found, visit.now),
                       *(("message", each.id) for each in shown.found))  # fmt: skip
    return _list(visit, "inbox/list.html", shown, wanted)


def part(visit: Visit) -> Response:
    """The same as a part of the page, for its script, which asks for it again and again."""
    return _list(visit, "inbox/found.html", *_found(visit))


def _list(visit: Visit, template: str, shown: Listing[Line], wanted: Wanted) -> Response:
    with visit.db.read() as conn:
        counts = inbox.counts(conn, visit.person.id)
        first = inbox.first(conn, wanted) if shown.begins else []
    show = visit.again if visit.query.problems else visit.page
    return show(template, list=shown, first=first, counts=counts, view=wanted.view, views=tuple(View),
                asked=visit.query, form=visit.query, channels=CHANNELS, held=tuple(Held), most=MOST_COUNTED,
                day=timedelta(days=1))  # fmt: skip


def _found(visit: Visit) -> tuple[Listing[Line], Wanted]:
    asked = visit.query
    since, until = asked.day("from"), asked.day("to")
    wanted = Wanted(
        view=View(asked.choice("view", frozenset(View)) or View.WAITING), whose=visit.person.id,
        channel=asked.choice("channel", frozenset(CHANNELS)), reason=asked.choice("why", frozenset(Held)),
        since=_midnight(since) if since else None, until=_midnight(until + timedelta(days=1)) if until else None,
    )  # fmt: skip
    with visit.db.read() as conn:
        return listing(visit, FILTERS, lambda most, after: inbox.find(conn, wanted, limit=most, after_id=after)), wanted


def _midnight(day: Any) -> datetime:
    return datetime.combine(day, time(), KYIV)


def _table(t: Texts, found: Sequence[Line], now: datetime) -> Table:
    """For a file: what came when and what became of it, and not from whom."""
    columns = ("inbox.channel", "inbox.came", "inbox.state", "inbox.taken_by", "inbox.files", "appeal.number",
               "inbox.waits")  # fmt: skip
    return Table(t("inbox.title"), tuple(map(t, columns)), tuple(
        (Cell(t(f"channel.{each.channel}")), Cell(t.moment(each.received_at)), Cell(_state(t, each)), Cell(each.staff),
         Cell(each.files), Cell(each.appeal or "", "text"),
         Cell(t.lasting((each.done_at or now) - each.received_at))) for each in found))  # fmt: skip


def _state(t: Texts, its: Line) -> str:
    return t(f"inbox.why.{its.reason}") if its.reason and its.done_at is None else t(f"inbox.states.{its.state}")


def take_next(visit: Visit) -> Response:
    """Takes what should be answered next, and opens it."""
    with visit.db.write() as conn:
        taken = inbox.next_free(conn, visit.person.id, visit.now)
    return visit.go(f"/messages/{taken}" if taken else "/messages?done=none_free")


# ── one message ──────────────────────────────────────────────────────────────────────────────
def show(visit: Visit) -> Response:
    return _page(visit, visit.number("id"))


def file(visit: Visit) -> Response:
    """A file of a message: a picture is shown, a voice is played, a document is only given to be saved."""
    with visit.db.read() as conn:
        one = inbox.file(conn, visit.number("id"))
    answer = visit.stored(one, attachments.IMAGES | attachments.AUDIO)
    visit.looked_at(("message_file", one.id), why=f"message {one.message_id}")
    return answer


def still(visit: Visit) -> Response:
    """This person is still at it: for the page's script, which is told when another has taken it meanwhile."""
    with visit.db.write() as conn:
        lost = inbox.still(conn, visit.number("id"), visit.person.id, visit.now)
    return visit.page("inbox/still.html", lost=lost)


def act(visit: Visit) -> Response:
    """One thing that is done with a message, on the version of it that was seen; the same showing of a form does it
    once."""
    form, id = visit.form, visit.number("id")
    if form["template"]:
        return _page(visit, id, again="reply", reply=_template_text(visit, id))
    do = form.choice("do", frozenset(DO), required=True)
    mark, version = form.text("mark", 40, required=True), form.number("version", required=True)
    fields = _asked_by(form, do)
    if form.problems or version is None:
        return _page(visit, id, problem=next(iter(form.problems.values())), again=do)
    by = Act(visit.person.id, visit.now, version)
    try:
        with visit.db.write() as conn:
            if not calls.taken_once(conn, "form", f"{visit.person.id}:{mark}:{do}", visit.now):
                return visit.go(f"/messages/{id}?done=message_already")
            _do(conn, visit, id, do, by, fields)
    except CentreError as error:
        return _page(visit, id, problem=error, again=do)
    if do in ("add", "join"):
        visit.poke_line("appeals")
    if do in WORDS:
        visit.poke_line("callbacks")
    return visit.go(f"/messages/{id}?done=message_{do}")


def _asked_by(form: Form, do: str) -> dict[str, Any]:
    """What the form of this deed says; what is wrong with it is the form's."""
    match do:
        case "claim":
            return {"why": form.text("why", WHY_MOST)}
        case "close":
            return {"why": form.choice("closed", frozenset(Closed), required=True),
                    "note": form.text("note", NOTE_MOST)}  # fmt: skip
        case "join":
            return {"into": form.number("into", required=True)}
        case "add":
            return {"number": form.number("number", required=True)}
        case "solved" | "not_solved":
            return {"number": form.number("number", required=True),
                    "remains": form.text("remains", NOTE_MOST, required=do == "not_solved")}  # fmt: skip
        case "reply":
            return {"text": form.text("reply", REPLY_MOST, required=True), "done": not form.ticked("waits")}
    return {}


def _do(conn: Connection, visit: Visit, id: int, do: str, by: Act, said: dict[str, Any]) -> None:
    match do:
        case "claim":
            inbox.claim(conn, id, by, why=said["why"], at_once=visit.can(Permission.MANAGE_SEATS))
        case "release":
            inbox.release(conn, id, by)
        case "spam":
            inbox.spam(conn, id, by)
        case "ordinary":
            inbox.ordinary(conn, id, by)
        case "close":
            inbox.close(conn, id, by, Closed(said["why"]), said["note"])
        case "reopen":
            inbox.reopen(conn, id, by)
        case "join":
            inbox.join(conn, id, said["into"], by)
        case "add":
            inbox.add_to(conn, id, said["number"], by)
        case "solved" | "not_solved":
            people = _people(conn, inbox.get(conn, id))
            inbox.word(conn, id, said["number"], by, result=WORDS[do], remains=said["remains"], people=people)
        case "reply":
            key = f"{id}:{visit.person.id}:{visit.form['mark']}"
            inbox.answer(conn, id, by, text=said["text"], key=key, done=said["done"])


def _template_text(visit: Visit, id: int) -> str:
    """The chosen answer, in the language of who wrote, after what is typed already."""
    with visit.db.read() as conn:
        its = inbox.get(conn, id)
        one = answer_templates.get(conn, visit.form.number("template") or 0)
        who = _certain(_people(conn, its))
        said = _answer_in(its, who, appeals.get(conn, its.appeals[-1]) if its.appeals else None, one)
    return "\n\n".join(filter(None, (visit.form.text("reply", REPLY_MOST), said)))


def _answer_in(its: Message, who: Citizen | None, about: Appeal | None, one: answer_templates.Template) -> str:
    """``about``: the last appeal that came of it."""
    text = texts(its.language).either(one.text_uk, one.text_en)
    return answer_templates.filled(text, name=who.name if who else its.name, number=about.number if about else None)


# ── an appeal out of it ──────────────────────────────────────────────────────────────────────
def register(visit: Visit) -> Response:
    """A new appeal of what was written; there may be several. The same showing of the form makes one. Or, of who gives
    no name, the report of an emergency."""
    form, id = visit.form, visit.number("id")
    if form["do"] == "find":
        return _page(visit, id, typed=form)
    nameless = form["do"] == "report"
    version, who = form.number("version", required=True), form.number("who")
    with visit.db.read() as conn:
        its = inbox.get(conn, id)
        typed = appeal_form.read(conn, form, named=not nameless)
    way = _way(form, typed, its.channel == "facebook") if not nameless else Way.NONE
    if form.problems or version is None:
        return _page(visit, id, typed=form)
    by = Act(visit.person.id, visit.now, version)
    try:
        with visit.db.write() as conn:
            if not calls.taken_once(conn, "form", f"{visit.person.id}:{typed.mark}", visit.now):
                return visit.go(f"/messages/{id}?done=message_already#here")
            if nameless:
                incidents.report(conn, subject_id=typed.subject_id, text=typed.text, building_id=typed.building_id,
                                 place=typed.place, now=visit.now, staff_id=visit.person.id)  # fmt: skip
                inbox.close(conn, id, by, Closed.REPORTED)
                return visit.go(f"/messages/{id}?done=reported")
            inbox.working(conn, id, by)
            made = filing.file(conn, replace(
                typed.filing(its.channel, way), facebook=its.address if its.channel == "facebook" else "",
                language=its.language, received_at=its.received_at, message_id=id, citizen_id=who,
            ), now=visit.now, staff_id=visit.person.id)  # fmt: skip
    except CentreError as error:
        return _page(visit, id, typed=form, problem=error)
    visit.poke_line("appeals")
    return visit.go(f"/messages/{id}?saved={made.number}#here")


def _way(form: Form, typed: Written, facebook: bool) -> Way:
    """How he is told; it needs an address."""
    way = Way(form.choice("tell_by", frozenset(Way)))
    if way is Way.EMAIL and not typed.email:
        form.wrong("email", BadInput("form.no_email"))
    if way in (Way.SMS, Way.PHONE) and not typed.phone and "phone" not in form.problems:
        form.wrong("phone", BadInput("message.no_phone"))
    if way is Way.FACEBOOK and not facebook:
        form.wrong("tell_by", BadInput("message.no_facebook"))
    return way


def already(visit: Visit) -> Response:
    """What is already known of what has been typed so far, as a part of the page, for its script; who types works."""
    id = visit.number("id")
    with visit.db.write() as conn:
        inbox.still(conn, id, visit.person.id, visit.now)
    with visit.db.read() as conn:
        its = inbox.get(conn, id)
        place, _ = building_of(conn, visit.form)
        who = _certain(_people(conn, its))
    return visit.page("call/already.html", already=_already(visit, visit.form, place, id, who), filled=visit.form)


def _already(visit: Visit, typed: Form, place: BuildingLine | None, id: int | None, who: Citizen | None) -> Already:
    return appeal_form.already(visit, typed, place, why=f"message {id}" if id else "", e164=phones.parse_phone(
        typed["phone"]), citizen_id=forms.whole(typed["who"]) or (who.id if who else None),
        shown=[Reason.BUILDING, *([Reason.CITIZEN] if who else [])])  # fmt: skip


# ── what is shown of it ──────────────────────────────────────────────────────────────────────
def _people(conn: Connection, its: Message) -> list[Person]:
    said = its.said
    return recognised.of(conn, Sender(
        channel=its.channel, address=its.address, name=str(said.get("name") or its.name),
        phone=phones.parse_phone(str(said.get("phone", ""))), email=str(said.get("email", "")).lower(),
        building_id=_building_id(conn, its), citizen_id=its.citizen_id))  # fmt: skip


def _building_id(conn: Connection, its: Message) -> int | None:
    """The building that it says, by its number or as it is written there."""
    if isinstance(id := its.said.get("building_id"), int):
        return id
    found, _ = building_of(conn, Form({"address": str(its.said.get("address", ""))}))
    return found.id if found else None


def _certain(people: Sequence[Person]) -> Citizen | None:
    return people[0].citizen if people and people[0].ground.certain else None


def _filled(conn: Connection, its: Message, who: Citizen | None) -> dict[str, str]:
    """The form as it is first shown: what the message says, and what is known of who sent it."""
    said = {name: str(value) for name, value in its.said.items()}
    where = _building_id(conn, its)
    address = line_of(addresses.find_building(conn, where)) if where else said.get("address", "")
    by_phone, by_email = its.address.startswith("+"), "@" in its.address
    email = said.get("email") or (its.address if by_email else "")
    phone = said.get("phone") or (its.address if by_phone else "")
    own = appeal_form.of_person(conn, who) if who else {}
    if address or said.get("place"):
        own = {**own, "address": address, "flat": said.get("flat", "")}
    joined = [inbox.get(conn, id).text for id in its.joined]
    reached = Way.EMAIL if email else Way.PHONE if phone else Way.NONE
    return {
        "name": said.get("name") or its.name, **own, "phone": phones.display(phone or _phone_of(who)),
        "email": email or own.get("email", ""), "subject": said.get("subject_id", ""), "place": said.get("place", ""),
        "text": "\n\n".join(filter(None, (its.text or its.title, *joined)))[:TEXT_MOST],
        "tell_by": said.get("tell_by") or notices.BACK.get(its.channel, reached).value,
        "who": str(who.id) if who else "", "once": forms.once(),
        **({"building": str(where), "building_for": address} if where else {}),
    }  # fmt: skip


def _phone_of(who: Citizen | None) -> str:
    return next((phone.e164 for phone in who.phones if not phone.wrong), "") if who else ""


def _fill_of(conn: Connection, who: Citizen) -> str:
    """For a button that says who it is."""
    own = {**appeal_form.of_person(conn, who), "who": str(who.id)}
    if phone := _phone_of(who):
        own["phone"] = phones.display(phone)
    return appeal_form.as_fill({name: value for name, value in own.items() if value or name == "name"})


def _of_people(conn: Connection, people: Sequence[Person]) -> list[AppealLine]:
    found = [line for person in people for line in appeals.search(conn, citizen_id=person.citizen.id, limit=OF_PERSON)]
    return sorted(found, key=lambda line: line.id, reverse=True)


def _page(visit: Visit, id: int, *, typed: Form | None = None, problem: CentreError | None = None, again: str = "",
          reply: str | None = None) -> Response:  # fmt: skip
    """The message and all that is known of it. ``typed``: what was sent in the form of an appeal; ``again``: the deed
    whose form was sent; ``reply``: what stands in the answer."""
    with visit.db.read() as conn:
        its = inbox.get(conn, id)
        people = _people(conn, its)
        chosen = [one.citizen for one in people if one.citizen.id == visit.query.number("who")]
        who = chosen[0] if chosen else _certain(people)
        filled = typed or Form({**_filled(conn, its, who), **({"text": "", "subject": ""} if its.appeals else {})})
        place = building_of(conn, Form(filled))[0] if filled["address"] else None
        if typed is not None and place is not None and typed["do"] == "find":
            filled = Form({**typed, "address": line_of(place)})
        told = [appeals.get(conn, each) for each in its.appeals]
        said = inbox.conversation(conn, its)
        templates = answer_templates.listed(conn)
        values: dict[str, Any] = {
            "its": its, "people": people, "who": who, "here": told, "said": said,
            "fills": {one.citizen.id: _fill_of(conn, one.citizen) for one in people},
            "offers": inbox.offers(conn, its, people), "others": inbox.others(conn, its),
            "into": inbox.get(conn, its.into) if its.into else None,
            "of_people": _of_people(conn, people), "templates": [
                (each, _answer_in(its, _certain(people), told[-1] if told else None, each)) for each in templates],
            "of_building": appeals.of_building(conn, place.id) if place else [], "building": place,
            "photo_places": _places(its, said), **appeal_form.offered(conn, filled),
        }  # fmt: skip
    visit.looked_at(("message", id), *(("citizen", one.citizen.id) for one in people))
    known = _already(visit, Form(filled), place, id, who)
    mine = its.staff_id == visit.person.id
    bad = problem is not None or (typed is not None and typed["do"] != "find")
    status = status_of(problem) if problem else HTTPStatus.UNPROCESSABLE_ENTITY if bad else HTTPStatus.OK
    return visit.page(
        "inbox/message.html", status=status, filled=filled, already=known, problem=problem, again=again, mine=mine,
        idle=its.idle(visit.now), takes_over=its.idle(visit.now) or visit.can(Permission.MANAGE_SEATS),
        reply=reply if reply is not None else visit.form["reply"], closings=tuple(Closed),
        answers=notices.way_back(its.channel, its.address) is not None,
        ways=[way for way in WAYS if way is not Way.FACEBOOK or its.channel == "facebook"], mark=forms.once(),
        saved=visit.query.number("saved"), typed=typed is not None, **values)  # fmt: skip


def _places(its: Message, said: Sequence[inbox.Said]) -> list[str]:
    """Where its photos were taken, or the sender said that he was, as words for the form."""
    found = [each.place for one in said if one.message_id in (its.id, *its.joined) for each in one.files if each.place]
    latitude, longitude = its.said.get("latitude"), its.said.get("longitude")
    if isinstance(latitude, float) and isinstance(longitude, float):
        found.insert(0, (latitude, longitude))
    return list(dict.fromkeys(f"{north:.5f}, {east:.5f}" for north, east in found))


# ── by hand ──────────────────────────────────────────────────────────────────────────────────
def by_hand(visit: Visit) -> Response:
    """An appeal that came at a personal reception, on television or on paper."""
    now = visit.now.astimezone(KYIV)
    return _hand_page(visit, Form({"received": f"{now:%Y-%m-%dT%H:%M}", "channel": BY_HAND[0], "once": forms.once()}))


def record(visit: Visit) -> Response:
    """Keeps it with its scanned files, from when it came, and registers the appeal; without a name it waits among what
    is held. The same showing of the form does it once."""
    form = visit.form
    if form["do"] == "find":
        return _hand_page(visit, form)
    nameless = form["do"] == "nameless"
    channel = form.choice("channel", frozenset(BY_HAND), required=True)
    received = form.moment("received", required=True)
    if received is not None and received > visit.now:
        form.wrong("received", BadInput("message.received_future"))
    if nameless:
        text, mark = form.text("text", TEXT_MOST, required=True), form.text("once", 40, required=True)
        typed, way = None, Way.NONE
    else:
        with visit.db.read() as conn:
            typed = appeal_form.read(conn, form)
        text, mark, way = typed.text, typed.mark, _way(form, typed, facebook=False)
    if form.problems or received is None:
        return _hand_page(visit, form)
    try:
        stored = [attachments.store(visit.parts.settings.attachments, sent.filename or "", sent.file)
                  for sent in form.files]  # fmt: skip
        with visit.db.write() as conn:
            id = messages.take(conn, Incoming(
                channel=channel, external_id=f"{visit.person.id}-{mark}", text=text, received_at=received,
                address=(typed.phone or typed.email) if typed else "", name=typed.name if typed else "", files=stored,
                said=_said(form, typed), reason=Held.NAMELESS if nameless else None))  # fmt: skip
            if id is None:
                return visit.go("/messages?done=message_already")
            if typed is not None:
                inbox.working(conn, id, Act(visit.person.id, visit.now, 1))
                made = filing.file(conn, replace(typed.filing(channel, way), received_at=received, message_id=id),
                                   now=visit.now, staff_id=visit.person.id)  # fmt: skip
    except CentreError as error:
        return _hand_page(visit, form, error)
    if typed is None:
        return visit.go(f"/messages/{id}?done=message_kept")
    visit.poke_line("appeals")
    return visit.go(f"/messages/{id}?saved={made.number}#here")


def _said(form: Form, typed: Written | None) -> dict[str, str | int | float]:
    if typed is None:
        return {name: form[name] for name in ("address", "flat", "place") if form[name]}
    said = {"subject_id": typed.subject_id, "building_id": typed.building_id, "flat": typed.flat, "place": typed.place,
            "name": typed.name, "phone": typed.phone, "email": typed.email}  # fmt: skip
    return {name: value for name, value in said.items() if value}


def hand_already(visit: Visit) -> Response:
    with visit.db.read() as conn:
        place, _ = building_of(conn, visit.form)
    return visit.page("call/already.html", already=_already(visit, visit.form, place, None, None), filled=visit.form)


def _hand_page(visit: Visit, filled: Form, problem: CentreError | None = None) -> Response:
    with visit.db.read() as conn:
        place = building_of(conn, Form(filled))[0] if filled["address"] else None
        if place is not None and filled["do"] == "find":
            filled = Form({**filled, "address": line_of(place)})
        offered = appeal_form.offered(conn, filled)
        lines = appeals.of_building(conn, place.id) if place else []
    if place is not None:
        visit.looked_at(("building", place.id))
    bad = problem is not None or bool(visit.form.problems)
    status = status_of(problem) if problem else HTTPStatus.UNPROCESSABLE_ENTITY if bad else HTTPStatus.OK
    return visit.page("inbox/by_hand.html", status=status, filled=filled, problem=problem, channels=BY_HAND,
                      ways=[way for way in WAYS if way is not Way.FACEBOOK], building=place, of_building=lines,
                      already=_already(visit, Form(filled), place, None, None), **offered)  # fmt: skip
