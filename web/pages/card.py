"""The card of a call: who calls, what is already known, the appeals it brings, and what the call was."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from sqlalchemy import Connection
from starlette.responses import JSONResponse, Response

from crm import (
    addresses,
    appeals,
    callers,
    calls,
    citizens,
    confirmations,
    departments,
    incidents,
    notices,
    phones,
    programmes,
    promises,
    repeats,
    wrap_up,
)
from crm.addresses import BuildingLine
from crm.appeals import Appeal, AppealLine
from crm.callers import Caller
from crm.calls import Call, Outcome
from crm.citizens import Citizen
from crm.confirmation_rules import Result
from crm.confirmations import Pending
from crm.errors import BadInput, CentreError, NotFound
from crm.incidents import Incident
from crm.law import Kind, Privilege
from crm.life import OPEN, State
from crm.notices import Receipt
from crm.people import Permission
from crm.promises import Promise
from crm.repeats import Known, Reason
from crm.wrap_up import Missing
from web import forms, reads
from web.forms import Form
from web.pages import answers
from web.pages.desk import services
from web.places import ADDRESS_MOST, SUGGESTIONS, building_of
from web.render import line_of
from web.visit import Visit

# What a person may say that a call was; the rest of Outcome follows from what was done in it.
SAID = (Outcome.CONSULTED, Outcome.ABOUT_APPEAL, Outcome.WRONG_NUMBER, Outcome.SILENT, Outcome.PRANK,
        Outcome.TRANSFERRED)  # fmt: skip
NAME_MOST, TEXT_MOST, NOTE_MOST, FLAT_MOST, PLACE_MOST, EMAIL_MOST = 200, 8000, 4000, 20, 200, 200
OPEN_TO_CALLER = OPEN | {State.EXECUTED, State.AWAITING, State.PLANNED, State.UNCONFIRMED}


@dataclass(frozen=True, slots=True)
class Already:
    """What bears upon the appeal that is being written. ``incidents``: of its place, each with whether it joins that
    one by itself. ``asked``: there was something to look for."""

    incidents: list[tuple[Incident, bool]] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """All that is known when a call rings. ``call`` is None while the call is not on record yet. ``callers``: whom it
    may be from; ``who``: whom the form is filled in for, if that is sure enough."""

    linkedid: str
    caller: str
    call: Call | None
    callers: list[Caller] = field(default_factory=list)
    who: Citizen | None = None
    of_caller: list[AppealLine] = field(default_factory=list)
    building: BuildingLine | None = None
    of_building: list[AppealLine] = field(default_factory=list)
    pending: Pending | None = None
    here: list[Appeal] = field(default_factory=list)  # what this call is about
    recordings: list[reads.Recording] = field(default_factory=list)
    promise: Promise | None = None  # that the call keeps
    missing: list[Missing] = field(default_factory=list)

    @property
    def open(self) -> list[AppealLine]:
        """Of the caller, those that somebody still has to act on, or that he is to be asked about."""
        return [line for line in self.of_caller if line.state in OPEN_TO_CALLER]


def show(visit: Visit) -> Response:
    """NotFound for a call that neither the record nor the line knows."""
    linkedid = visit.path("linkedid")
    if visit.parts.hub.call_at_a_seat(linkedid) is None:
        with visit.db.read() as conn:
            if calls.get(conn, linkedid) is None:
                raise NotFound("call.unknown")
    card = _card(visit)
    return _page(visit, card, _filled(visit, card))


def register(visit: Visit) -> Response:
    """A new appeal, or the report of an emergency by somebody who gives no name. The same showing of the form makes
    one, however often it is sent."""
    form = visit.form
    if form["do"] == "find":
        card = _card(visit)
        return _page(visit, card, {**form, **({"address": line_of(card.building)} if card.building else {})})
    unnamed = form["do"] == "report"
    name = "" if unnamed else " ".join(form.text("name", NAME_MOST, required=True).split())
    phone = phones.parse_phone(form["phone"])
    if form["phone"] and not phone and not unnamed:
        form.wrong("phone", BadInput("phone.malformed"))
    subject = form.number("subject", required=True)
    text = form.text("text", TEXT_MOST, required=True)
    flat, place = form.text("flat", FLAT_MOST), form.text("place", PLACE_MOST)
    kind = form.choice("kind", frozenset(Kind))
    form.choice("privilege", frozenset(Privilege))
    by = Receipt(form.choice("receipt", frozenset(Receipt)) or Receipt.SAID)
    against, district = form.number("against"), form.number("district")
    if against is not None and (kind or Kind.COMPLAINT) != Kind.COMPLAINT:
        form.wrong("against", BadInput("form.against_no_complaint"))
    repeat_of, incident, programme = form.number("repeat_of"), form.number("incident"), form.number("programme")
    mark = form.text("once", 40, required=True)
    if not unnamed:
        _check_receipt(form, by, phone)
    with visit.db.read() as conn:
        building, _ = building_of(conn, form)
    if building is None and not place:
        form.wrong("address", BadInput("form.no_address"))
    if form.problems or subject is None:
        return _page(visit, _card(visit), dict(form), again=True)
    linkedid, here = visit.path("linkedid"), building.id if building else None
    try:
        with visit.db.write() as conn:
            if not calls.taken_once(conn, "form", f"{visit.person.id}:{mark}", visit.now):
                return visit.go(f"/calls/{linkedid}?done=already#here")
            call = _on_record(conn, visit, linkedid)
            if unnamed:
                incidents.report(conn, subject_id=subject, text=text, building_id=here, place=place, now=visit.now,
                                 staff_id=visit.person.id, linkedid=linkedid)  # fmt: skip
                return visit.go(f"/calls/{linkedid}?done=reported")
            citizen_id = _applicant(conn, visit, name, phone, building, flat, call)
            made = appeals.register(
                conn, now=visit.now, citizen_id=citizen_id, building_id=here, flat=flat, place=place,
                subject_id=subject, text=text, channel="phone", staff_id=visit.person.id, linkedid=linkedid,
                district_id=district, against_id=against,
                kind=Kind(kind) if kind else Kind.COMPLAINT if against is not None else None,
            )  # fmt: skip
            calls.set_citizen(conn, linkedid, citizen_id)
            notices.receipt(conn, appeal_id=made.id, citizen_id=citizen_id, by=by, staff_id=visit.person.id,
                            now=visit.now)  # fmt: skip
            if repeat_of is not None:
                repeats.link(conn, made.id, repeat_of, now=visit.now, staff_id=visit.person.id)
            if incident is not None:
                incidents.join(conn, incident, made.id, now=visit.now, staff_id=visit.person.id)
            else:
                incidents.registered(conn, made.id, now=visit.now, staff_id=visit.person.id,
                                     apart=form.ticked("apart"))  # fmt: skip
            if programme is not None:
                programmes.answer(conn, made.id, programme, answers.told_for_record, staff_id=visit.person.id,
                                  now=visit.now)  # fmt: skip
    except CentreError as error:
        return _page(visit, _card(visit), dict(form), problem=error, again=True)
    visit.poke_line("callbacks" if programme else "appeals")
    return visit.go(f"/calls/{linkedid}?saved={made.number}#here")


def _check_receipt(form: Form, by: Receipt, phone: str) -> None:
    """The way that was chosen needs an address."""
    email = form.text("email", EMAIL_MOST)
    if by is Receipt.EMAIL and not email:
        form.wrong("email", BadInput("form.no_email"))
    elif email and not departments.is_email(email):
        form.wrong("email", BadInput("citizen.email"))
    if by is Receipt.SMS and not phone and "phone" not in form.problems:
        form.wrong("phone", BadInput("form.sms_no_phone"))


def spoken_of(visit: Visit) -> Response:
    """The call goes on with an appeal that there is: what was said now is kept with both. The same showing of the form
    is taken once."""
    form, linkedid = visit.form, visit.path("linkedid")
    number, note = form.number("number", required=True), form.text("note", NOTE_MOST, required=True)
    mark = form.text("mark", 40, required=True)
    problem: CentreError | None = next(iter(form.problems.values()), None)
    try:
        if problem is None and number is not None:
            with visit.db.write() as conn:
                if (its := appeals.by_number(conn, number)) is None:
                    raise NotFound("appeal.unknown")
                _on_record(conn, visit, linkedid)
                if calls.taken_once(conn, "form", f"{visit.person.id}:{mark}", visit.now):
                    repeats.spoken_of(conn, its.id, linkedid, note, now=visit.now, staff_id=visit.person.id)
            visit.looked_at(("appeal", its.id), why=linkedid)
    except CentreError as error:
        problem = error
    if problem is not None:
        return _refused(visit, problem)
    visit.poke_line("appeals")
    return visit.go(f"/calls/{linkedid}?done=spoken#here")


def lacking(visit: Visit) -> Response:
    """What the call still lacks, as a part of the page, for its script: asked for when it is over."""
    linkedid = visit.path("linkedid")
    with visit.db.read() as conn:
        call = calls.get(conn, linkedid)
        caller = call.caller if call else visit.parts.hub.call_at_a_seat(linkedid) or ""
        found = _missing(conn, call, confirmations.pending_for(conn, caller) if caller else None,
                         [appeals.get(conn, id) for id in calls.appeals_of(conn, linkedid)])  # fmt: skip
    return visit.page("call/lacking.html", missing=found, linkedid=linkedid)


def given(visit: Visit) -> Response:
    """Something was told in this call, which is counted once: the card with what is typed, or for the page's script
    only the mark."""
    linkedid = visit.path("linkedid")
    with visit.db.write() as conn:
        _on_record(conn, visit, linkedid)
        answers.give(conn, linkedid, visit.form["given"], visit)
    if visit.form["part"]:
        return visit.page("call/given.html")
    card = _card(visit)
    return _page(visit, card, {**_filled(visit, card), **visit.form})


def settle(visit: Visit) -> Response:
    """Says what the call was."""
    said = visit.form["outcome"]
    if said not in SAID:
        raise BadInput("form.no_outcome")
    linkedid = visit.path("linkedid")
    try:
        with visit.db.write() as conn:
            calls.settle(conn, linkedid, Outcome(said), visit.person.id, visit.now)
    except BadInput as error:  # nobody has answered it yet
        return _refused(visit, error)
    return visit.go(f"/calls/{linkedid}?done=settled")


def answer(visit: Visit) -> Response:
    """The caller's word on an appeal that awaits it, heard in this call."""
    form, linkedid = visit.form, visit.path("linkedid")
    result, note = form["result"], form.text("note", NOTE_MOST)
    number = form.number("number", required=True)
    if result not in set(Result):
        form.wrong("result", BadInput("form.no_result"))
    elif result != Result.SOLVED and not note:
        form.wrong("note", BadInput("form.no_remains"))
    problem: CentreError | None = next(iter(form.problems.values()), None)
    try:
        if problem is None and number is not None:
            with visit.db.write() as conn:
                pending = confirmations.pending_for(conn, _on_record(conn, visit, linkedid).caller)
                if pending is None:
                    raise BadInput("confirmation.not_theirs")
                confirmations.answer(conn, number=number, result=Result(result), now=visit.now, linkedid=linkedid,
                                     citizen_id=pending.citizen_id, staff_id=visit.person.id, note=note)  # fmt: skip
    except CentreError as error:
        problem = error
    if problem is not None:
        return _refused(visit, problem)
    visit.poke_line("callbacks")
    return visit.go(f"/calls/{linkedid}?done=heard")


def suggest(visit: Visit) -> Response:
    """Addresses for what has been typed so far, for the page's script: [{"value", "label"}]."""
    text = visit.query.text("q", ADDRESS_MOST)
    with visit.db.read() as conn:
        found = addresses.suggest(conn, text, SUGGESTIONS) or addresses.mistyped(conn, text, SUGGESTIONS)
    return JSONResponse([{"id": b.id, "value": line_of(b), "label": _label(visit, b)} for b in found])


def building(visit: Visit) -> Response:
    """The history of the address that has been typed, as a part of the page, for its script."""
    with visit.db.read() as conn:
        found, _ = building_of(conn, visit.query)
        lines = appeals.of_building(conn, found.id) if found else []
        linkedid = visit.query.text("linkedid", 64)
        call = calls.get(conn, linkedid)
        own = [a.number for a in _of_caller(conn, call.caller, call)] if lines and call else []
    if found is not None:
        visit.looked_at(("building", found.id), why=linkedid)
    return visit.page("call/building.html", building=found, of_building=lines, own=own)


def already(visit: Visit) -> Response:
    """What is already known of what has been typed so far, as a part of the page, for its script."""
    linkedid = visit.path("linkedid")
    with visit.db.read() as conn:
        call = calls.get(conn, linkedid)
        caller = call.caller if call else visit.parts.hub.call_at_a_seat(linkedid) or ""
        place, _ = building_of(conn, visit.form)
    return visit.page("call/already.html", already=_already(visit, visit.form, linkedid, caller, call, place),
                      filled=visit.form)  # fmt: skip


def _already(visit: Visit, typed: Form, linkedid: str, caller: str, call: Call | None,
             place: BuildingLine | None) -> Already:  # fmt: skip
    """Looked for by what is typed; looks at others' appeals than the caller's and the building's, which the card has
    shown already, are logged."""
    subject, text = typed.number("subject"), typed["text"][:TEXT_MOST]
    e164 = phones.parse_phone(typed["phone"]) or caller
    asked = subject is not None or bool(text)
    with visit.db.read() as conn:
        here = incidents.at(conn, place.id) if place else []
        joins = [(found, incidents.fits(conn, found, subject)) for found in here]
        known = repeats.known(conn, citizen_id=call.citizen_id if call else None, e164=e164, subject_id=subject,
                              building_id=place.id if place else None, text=text, now=visit.now,
                              shown={found.id for found in here}) if asked else []  # fmt: skip
    shown = {Reason.BUILDING, *([Reason.CITIZEN] if e164 == caller else [])}
    others = [("appeal", each.line.id) for each in known if not shown & set(each.reasons)]
    if others:
        visit.looked_at(*others, why=linkedid)
    return Already(joins, known, asked)


def _card(visit: Visit) -> Card:
    """What is on record, and what the line tells of a call that is not on record yet; the look at it is logged."""
    linkedid = visit.path("linkedid")
    with visit.db.read() as conn:
        call = calls.get(conn, linkedid)
        caller = call.caller if call else visit.parts.hub.call_at_a_seat(linkedid) or ""
        found = callers.of(conn, caller, call.citizen_id if call else None)
        chosen = [one.citizen for one in found if one.citizen.id == visit.query.number("who")]
        who = chosen[0] if chosen else found[0].citizen if found and found[0].ground.certain else None
        place = _place(conn, visit, [*([who] if who else []), *(one.citizen for one in found)])
        pending = confirmations.pending_for(conn, caller) if caller else None
        here = [appeals.get(conn, id) for id in calls.appeals_of(conn, linkedid)]
        card = Card(
            linkedid, caller, call, found, who,
            _of_caller(conn, caller, call),
            place, appeals.of_building(conn, place.id) if place else [],
            pending, here, reads.recordings_of(conn, linkedid), promises.of_call(conn, linkedid),
            _missing(conn, call, pending, here),
        )  # fmt: skip
    visit.looked_at(("call", linkedid), *([("building", card.building.id)] if card.building else []))
    return card


def _missing(conn: Connection, call: Call | None, pending: Pending | None, here: list[Appeal]) -> list[Missing]:
    return wrap_up.missing(call, unasked=[one.number for one in pending.questions] if pending else [], brought=here,
                           people={one.citizen_id: citizens.get(conn, one.citizen_id) for one in here
                                   if one.citizen_id is not None})  # fmt: skip


def _on_record(conn: Connection, visit: Visit, linkedid: str) -> Call:
    """The call. One that rings before its record is written gets one now, which its arrival then completes: what
    is said in it must not depend on who was quicker. BadInput ``linkedid.malformed`` for what is no call's id."""
    known = calls.get(conn, linkedid)
    if known is None:
        caller = visit.parts.hub.call_at_a_seat(linkedid) or ""
        calls.arrived(conn, linkedid, at=visit.now, origin=calls.UNKNOWN_ORIGIN, caller=caller)
        known = calls.get(conn, linkedid)
        assert known is not None  # noqa: S101  # inserted just now
    return known


def _of_caller(conn: Connection, caller: str, call: Call | None) -> list[AppealLine]:
    """By his number; by his name, once the operator has written it down, when the number is hidden."""
    if caller:
        return appeals.of_caller(conn, caller)
    if call is not None and call.citizen_id is not None:
        return appeals.search(conn, citizen_id=call.citizen_id, limit=20)
    return []


def _place(conn: Connection, visit: Visit, known: list[Citizen]) -> BuildingLine | None:
    """The building whose history is shown: the one typed, else where the caller lives."""
    if visit.form["address"]:
        return building_of(conn, visit.form)[0]
    homes = [citizen.building_id for citizen in known if citizen.building_id is not None]
    return addresses.find_building(conn, homes[0]) if homes else None


def _applicant(conn: Connection, visit: Visit, name: str, phone: str, building: BuildingLine | None, flat: str,
               call: Call) -> int:  # fmt: skip
    """The citizen of this name at this number (or whom this call is already said to be from), else a new one."""
    candidates = citizens.by_phone(conn, phone) if phone else []
    if call.citizen_id is not None:
        candidates.append(citizens.get(conn, call.citizen_id))
    consents, privilege, email = visit.form.ticked("consent"), visit.form["privilege"], visit.form["email"]
    home = building.id if building else None
    for citizen in candidates:
        if citizen.name.casefold() == name.casefold():
            if citizen.building_id is None and home is not None:
                citizens.update(conn, citizen.id, building_id=home, flat=flat)
            if phone:
                citizens.add_phone(conn, citizen.id, phone, visit.now)
            if citizen.auto_confirm != consents:
                citizens.set_consent(conn, citizen.id, consents)
            if citizen.privilege != privilege:
                citizens.update(conn, citizen.id, privilege=privilege)
            if email and citizen.email != email:
                citizens.update(conn, citizen.id, email=email)
                citizens.add_address(conn, citizen.id, "email", email, visit.now)
            return citizen.id
    return citizens.add(conn, now=visit.now, name=name, phones=[phone] if phone else [], building_id=home, flat=flat,
                        language=call.language, auto_confirm=consents, privilege=privilege, email=email)  # fmt: skip


def _filled(visit: Visit, card: Card) -> dict[str, str]:
    """The form as it is first shown: what is already known of the caller."""
    with visit.db.read() as conn:
        own = _own(conn, card.who) if card.who else {}
    return {"phone": phones.display(card.caller), **own, "once": forms.once()}


def _own(conn: Connection, who: Citizen) -> dict[str, str]:
    """What the form takes from a person's record."""
    home = addresses.find_building(conn, who.building_id) if who.building_id is not None else None
    return {"name": who.name, "address": line_of(home) if home else "", "flat": who.flat,
            "consent": "on" if who.auto_confirm else "", "privilege": who.privilege, "email": who.email,
            "receipt": notices.chosen_receipt(conn, who.id).value}  # fmt: skip


def _page(visit: Visit, card: Card, filled: dict[str, str], *, problem: CentreError | None = None,
          again: bool = False) -> Response:  # fmt: skip
    may, typed = visit.can(Permission.REGISTER), Form(filled)
    with visit.db.read() as conn:
        subjects = departments.subjects(conn) if may else []
        offices = [office for office in departments.departments(conn) if office.active] if may else []
        districts = addresses.districts(conn) if may else []
        choices = building_of(conn, Form(filled))[1] if filled.get("address") else []
        at_hand = answers.gather(conn, card.linkedid, card.building, typed, visit.now) if may else None
        fills = {one.citizen.id: json.dumps(_own(conn, one.citizen), ensure_ascii=False)
                 for one in card.callers} if len(card.callers) > 1 or not card.who else {}  # fmt: skip
    known = _already(visit, typed, card.linkedid, card.caller, card.call, card.building) if may else Already()
    saved = visit.query.number("saved")
    show = visit.again if again else visit.page
    return show("call.html", card=card, filled=Form(filled), subjects=subjects, choices=choices, problem=problem,
                offices=offices, districts=districts, kinds=tuple(Kind), privileges=tuple(Privilege), already=known,
                answers=at_hand, said=SAID, results=tuple(Result), saved=saved, fills=fills, receipts=tuple(Receipt),
                services=services(visit), mark=forms.once())  # fmt: skip


def _refused(visit: Visit, problem: CentreError) -> Response:
    """The card as it is, with why what was sent is not taken."""
    card = _card(visit)
    return _page(visit, card, _filled(visit, card), problem=problem, again=True)


def _label(visit: Visit, building: BuildingLine) -> str:
    district = building.district_uk if visit.texts.language == "uk" else building.district_en
    if building.old_name:
        return visit.texts("call.once_named", district=district, old=building.old_name)
    return district
