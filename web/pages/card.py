"""The card of a call: who calls, what is already known, the appeals it brings, and what the call was."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection
from starlette.responses import Response

from crm import (
    addresses,
    appeals,
    callers,
    calls,
    citizens,
    confirmations,
    filing,
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
from crm.life import OPEN, State
from crm.notices import Way
from crm.people import Permission
from crm.promises import Promise
from crm.repeats import Reason
from crm.wrap_up import Missing
from web import forms, reads
from web.forms import Form
from web.pages import answers, appeal_form
from web.pages.appeal_form import Already, Written
from web.pages.desk import services
from web.places import building_of
from web.render import line_of
from web.visit import Visit

# What a person may say that a call was; the rest of Outcome follows from what was done in it.
SAID = (Outcome.CONSULTED, Outcome.ABOUT_APPEAL, Outcome.WRONG_NUMBER, Outcome.SILENT, Outcome.PRANK,
        Outcome.TRANSFERRED)  # fmt: skip
NOTE_MOST = 4000
# By which way he gets the number and the code, and hears what becomes of it: "said" in the call, and else as we can.
RECEIPTS = {"said": Way.NONE, "email": Way.EMAIL, "sms": Way.SMS}
OPEN_TO_CALLER = OPEN | {State.EXECUTED, State.AWAITING, State.PLANNED, State.UNCONFIRMED}


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
    way = RECEIPTS.get(form.choice("receipt", RECEIPTS), Way.NONE)
    programme = form.number("programme")
    with visit.db.read() as conn:
        its = appeal_form.read(conn, form, named=not unnamed)
    if not unnamed:
        _check_receipt(form, way, its)
    if form.problems:
        return _page(visit, _card(visit), dict(form), again=True)
    linkedid = visit.path("linkedid")
    try:
        with visit.db.write() as conn:
            if not calls.taken_once(conn, "form", f"{visit.person.id}:{its.mark}", visit.now):
                return visit.go(f"/calls/{linkedid}?done=already#here")
            call = _on_record(conn, visit, linkedid)
            if unnamed:
                incidents.report(conn, subject_id=its.subject_id, text=its.text, building_id=its.building_id,
                                 place=its.place, now=visit.now, staff_id=visit.person.id,
                                 linkedid=linkedid)  # fmt: skip
                return visit.go(f"/calls/{linkedid}?done=reported")
            citizen_id = _applicant(conn, visit, its, call)
            made = filing.register(conn, citizen_id, its.filing("phone", way), now=visit.now,
                                   staff_id=visit.person.id, linkedid=linkedid)  # fmt: skip
            calls.set_citizen(conn, linkedid, citizen_id)
            if programme is not None:
                programmes.answer(conn, made.id, programme, answers.told_for_record, staff_id=visit.person.id,
                                  now=visit.now)  # fmt: skip
    except CentreError as error:
        return _page(visit, _card(visit), dict(form), problem=error, again=True)
    visit.poke_line("callbacks" if programme else "appeals")
    return visit.go(f"/calls/{linkedid}?saved={made.number}#here")


def _check_receipt(form: Form, way: Way, its: Written) -> None:
    """The way that was chosen needs an address."""
    if way is Way.EMAIL and not its.email:
        form.wrong("email", BadInput("form.no_email"))
    if way is Way.SMS and not its.phone and "phone" not in form.problems:
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


def building(visit: Visit) -> Response:
    """The history of the address that has been typed, as a part of the page, for its script: for a call (``linkedid``)
    or for a ``message``."""
    with visit.db.read() as conn:
        found, _ = building_of(conn, visit.query)
        lines = appeals.of_building(conn, found.id) if found else []
        linkedid, message = visit.query.text("linkedid", 64), visit.query.number("message")
        call = calls.get(conn, linkedid)
        own = [a.number for a in _of_caller(conn, call.caller, call)] if lines and call else []
    if found is not None:
        visit.looked_at(("building", found.id), why=f"message {message}" if message else linkedid)
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
    e164 = phones.parse_phone(typed["phone"]) or caller
    return appeal_form.already(visit, typed, place, why=linkedid, citizen_id=call.citizen_id if call else None,
                               e164=e164, shown=[Reason.BUILDING, *([Reason.CITIZEN] if e164 == caller else [])])


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


def _applicant(conn: Connection, visit: Visit, its: Written, call: Call) -> int:
    """The citizen of this name at this number (or whom this call is already said to be from), else a new one."""
    candidates = citizens.by_phone(conn, its.phone) if its.phone else []
    if call.citizen_id is not None:
        candidates.append(citizens.get(conn, call.citizen_id))
    for citizen in candidates:
        if citizen.name.casefold() == its.name.casefold():
            if citizen.building_id is None and its.building_id is not None:
                citizens.update(conn, citizen.id, building_id=its.building_id, flat=its.flat)
            if its.phone:
                citizens.add_phone(conn, citizen.id, its.phone, visit.now)
            if citizen.auto_confirm != its.consents:
                citizens.set_consent(conn, citizen.id, its.consents)
            if citizen.privilege != its.privilege:
                citizens.update(conn, citizen.id, privilege=its.privilege)
            if its.email and citizen.email != its.email:
                citizens.update(conn, citizen.id, email=its.email)
                citizens.add_address(conn, citizen.id, "email", its.email, visit.now)
            return citizen.id
    return citizens.add(conn, now=visit.now, name=its.name, phones=[its.phone] if its.phone else [],
                        building_id=its.building_id, flat=its.flat, language=call.language, auto_confirm=its.consents,
                        privilege=its.privilege, email=its.email)  # fmt: skip


def _filled(visit: Visit, card: Card) -> dict[str, str]:
    """The form as it is first shown: what is already known of the caller."""
    with visit.db.read() as conn:
        own = _own(conn, card.who) if card.who else {}
    return {"phone": phones.display(card.caller), **own, "once": forms.once()}


def _own(conn: Connection, who: Citizen) -> dict[str, str]:
    """What the form takes from a person's record, and how he wanted his receipt the last time."""
    way = notices.chosen_way(conn, who.id)
    return {**appeal_form.of_person(conn, who), "receipt": next((r for r, by in RECEIPTS.items() if by is way), "said")}


def _page(visit: Visit, card: Card, filled: dict[str, str], *, problem: CentreError | None = None,
          again: bool = False) -> Response:  # fmt: skip
    may, typed = visit.can(Permission.REGISTER), Form(filled)
    with visit.db.read() as conn:
        offered = appeal_form.offered(conn, typed) if may else {}
        at_hand = answers.gather(conn, card.linkedid, card.building, typed, visit.now) if may else None
        fills = {one.citizen.id: appeal_form.as_fill(_own(conn, one.citizen))
                 for one in card.callers} if len(card.callers) > 1 or not card.who else {}  # fmt: skip
    known = _already(visit, typed, card.linkedid, card.caller, card.call, card.building) if may else Already()
    saved = visit.query.number("saved")
    show = visit.again if again else visit.page
    return show("call.html", card=card, filled=typed, problem=problem, already=known, answers=at_hand, said=SAID,
                results=tuple(Result), saved=saved, fills=fills, receipts=tuple(RECEIPTS), services=services(visit),
                mark=forms.once(), **offered)  # fmt: skip


def _refused(visit: Visit, problem: CentreError) -> Response:
    """The card as it is, with why what was sent is not taken."""
    card = _card(visit)
    return _page(visit, card, _filled(visit, card), problem=problem, again=True)
