"""An appeal of one's own: how far it has come, more words and photos, and whether it is solved."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from crm import (
    addresses,
    appeals,
    attachments,
    confirmations,
    history,
    incidents,
    life,
    rates,
    stages,
    tokens,
)
from crm.appeals import Appeal
from crm.confirmation_rules import Result
from crm.errors import BadInput, CentreError, IllegalAction, NotFound
from crm.life import Action
from crm.rates import HOUR
from crm.stages import Stage
from web import forms
from web.forms import Form
from web.portal import kept
from web.portal.file import once_of
from web.portal.kept import Kept
from web.portal.strangers import add_words, became, by_code, source_of, steps
from web.visit import Visit

NOTE_MOST = 4000
WORDS = frozenset({Result.SOLVED, Result.NOT_SOLVED})
ADDED_HOURLY = 20  # to one appeal


# ── by number and code ──
def find(visit: Visit) -> Response:
    return _find(visit, visit.query)


def open_(visit: Visit) -> Response:
    """By the number and the code: on to the page that only who has its sealed address finds."""
    number, code = forms.whole("".join(visit.form["number"].split())), "".join(visit.form["code"].split())
    try:
        with visit.db.write() as conn:
            its = by_code(conn, visit.parts, number or 0, code, source_of(visit.request), visit.now)
    except BadInput as error:
        return _find(visit, visit.form, error, HTTPStatus.TOO_MANY_REQUESTS)
    if its is None:
        wrong = BadInput("portal.wrong_code", tries=appeals.CODE_TRIES)
        return _find(visit, visit.form, wrong, HTTPStatus.UNPROCESSABLE_ENTITY)
    return visit.go(_address(visit, its))


def _find(visit: Visit, typed: Form, problem: CentreError | None = None, status: int = HTTPStatus.OK) -> Response:
    return visit.page("portal/follow.html", status=status, typed=typed, problem=problem)


# ── its page ──
@dataclass(frozen=True, slots=True)
class Own:
    """An appeal as its applicant sees it."""

    its: Appeal
    street: str
    building: str
    told: list[Stage]
    awaited: stages.Awaited
    by: Any
    incident: incidents.Incident | None

    @property
    def may_say(self) -> tuple[Result, ...]:
        """His word that would change something now."""
        return ((Result.SOLVED, Result.NOT_SOLVED) if Action.CONFIRM in life.possible(self.its.state)
                else (Result.NOT_SOLVED,) if Action.NOT_SOLVED in life.possible(self.its.state) else ())  # fmt: skip


def show(visit: Visit) -> Response:
    return _page(visit, _own(visit), Kept((), ""))


def receipt(visit: Visit) -> Response:
    """The number and the code, to be written down or printed."""
    return visit.page("portal/receipt.html", own=_own(visit), token=visit.path("token"))


def attachment(visit: Visit) -> Response:
    """A file that stands on the page."""
    shown = [each for stage in _own(visit).told for each in stage.files]
    one = next((each for each in shown if each.id == visit.number("id")), None)
    if one is None:
        raise NotFound("attachment.unknown")
    return visit.stored(one)


# ── what he has to say ──
def add(visit: Visit) -> Response:
    """More words and photos: they stand with the appeal at once; of one that has ended a person looks what they mean.
    The same showing of the form adds them once."""
    return kept.answered(visit, _add)


def _add(visit: Visit, files: Kept) -> Response:
    form, own = visit.form, _own(visit)
    text = form.text("note", NOTE_MOST)
    if not text and not files.files and not files.problems:
        form.wrong("note", BadInput("portal.nothing_added"))
    if files.problems:
        form.wrong("files", BadInput("portal.files_refused"))
    if form.problems:
        return _page(visit, own, files, doing="add")
    try:
        with visit.db.write() as conn:
            _count(conn, visit, own.its)
            at_once = add_words(conn, own.its, channel="web", once=once_of(form), text=text, files=files.files,
                                language=visit.texts.language, now=visit.now)  # fmt: skip
    except CentreError as error:
        return _page(visit, own, files, error, doing="add")
    visit.poke_line("appeals")
    return visit.go(f"{_address(visit, own.its)}?done={'added' if at_once else 'handed'}")


def say(visit: Visit) -> Response:
    """His word: solved, or not and what remains. Only where it is asked for, or can still change something; the same
    showing of the form is taken once."""
    return kept.answered(visit, _say)


def _say(visit: Visit, files: Kept) -> Response:
    form, own = visit.form, _own(visit)
    result, note = form.choice("result", WORDS, required=True), form.text("note", NOTE_MOST)
    if result and result != Result.SOLVED and not note:
        form.wrong("note", BadInput("portal.no_remains"))
    if files.problems:
        form.wrong("files", BadInput("portal.files_refused"))
    if form.problems:
        return _page(visit, own, files, doing="say")
    written = f"web:{stages.mark(own.its.number, f'{result}-{once_of(form)}')}"
    try:
        with visit.db.write() as conn:
            _take_word(conn, visit, own.its, Result(result), note, written, files)
    except CentreError as error:
        return _page(visit, _own(visit), files, error, doing="say")
    visit.poke_line("callbacks")
    return visit.go(f"{_address(visit, own.its)}?done={result}")


def _take_word(conn: Connection, visit: Visit, its: Appeal, result: Result, note: str, written: str,
               files: Kept) -> None:  # fmt: skip
    before = history.standing(conn, its.id)
    if any(event.evidence.get("written") == written for event in appeals.history(conn, its.id)):
        return
    action = Action.CONFIRM if result is Result.SOLVED else Action.NOT_SOLVED
    if action not in life.possible(before.state):
        raise IllegalAction("portal.not_asked")
    confirmations.answer(conn, number=its.number, result=result, now=visit.now, written=written, note=note)
    for stored in files.files:
        attachments.add(conn, its.id, stored, now=visit.now, action=action.value, staff_id=None)


def _count(conn: Connection, visit: Visit, its: Appeal) -> None:
    mark = rates.key(visit.parts.secret, "added", str(its.number))
    if rates.count(conn, mark, visit.now, HOUR) > ADDED_HOURLY:
        raise BadInput("portal.much_added")


# ── what was held ──
def held(visit: Visit) -> Response:
    """What has become of a message that a person looks at first."""
    token = visit.path("token")
    with visit.db.read() as conn:
        its = became(conn, visit.parts, token)
    address = f"/a/{tokens.together(visit.parts.secret, its.appeal.number)}" if its.appeal else ""
    return visit.page("portal/held.html", its=its, address=address, token=token)


def _own(visit: Visit) -> Own:
    """The appeal of the sealed address. NotFound for any other: it is not said whether there is one."""
    number = tokens.find(visit.parts.secret, visit.path("token"))
    with visit.db.read() as conn:
        its = appeals.by_number(conn, number) if number is not None else None
        if its is None:
            raise NotFound("page.unknown")
        told = steps(conn, its)
        where = addresses.find_building(conn, its.building_id) if its.building_id else None
        incident = incidents.get(conn, its.incident_id) if its.incident_id else None
    return Own(its, where.street if where else "", where.number if where else "", told, *stages.awaited(its), incident)


def _address(visit: Visit, its: Appeal) -> str:
    return f"/a/{tokens.together(visit.parts.secret, its.number)}"


def _page(visit: Visit, own: Own, files: Kept, problem: CentreError | None = None, doing: str = "") -> Response:
    """``doing``: which of the page's forms comes back."""
    wrong = problem is not None or bool(visit.form.problems)
    return visit.page("portal/appeal.html", status=HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK,
                      own=own, files=files, none_kept=Kept((), ""), problem=problem, doing=doing,
                      once=visit.form["once"] or forms.once(), most=attachments.MOST, largest=attachments.LARGEST,
                      most_bytes=forms.MAX_UPLOAD)  # fmt: skip
