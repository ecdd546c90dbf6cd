"""Calling residents back: who is due, the call, and what they said of each appeal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus

from sqlalchemy import Connection
from starlette.responses import Response

from crm import appeals, campaigns, citizens, confirmations
from crm.appeals import AppealLine
from crm.campaign_rules import Mode, State
from crm.campaigns import Campaign
from crm.confirmation_rules import Reached, Result
from crm.confirmations import Due, Question
from crm.errors import BadInput, CentreError
from web import reads
from web.pages.campaigns import waits_for
from web.visit import Visit, status_of

# How a person says that a call went; the other endings are told by the telephone network.
SAID = (Reached.ANSWERED, Reached.NO_ANSWER, Reached.BUSY, Reached.WRONG_NUMBER, Reached.DO_NOT_CALL)
SPOKE = frozenset({Reached.ANSWERED, Reached.DO_NOT_CALL})  # endings of a call in which the applicant may have answered
LISTED = 100
NOTE_MOST = 4000


def due(visit: Visit) -> Response:
    """Callbacks that may be placed now, and those of this person that wait for their result; of the campaigns in which
    a person sees the next one before he calls, that one."""
    return _list(visit)


def another(visit: Visit) -> Response:
    """Not this one now: it is left to others."""
    visit.parts.handed.pass_over(visit.number("callback_id"), visit.person.id, visit.now)
    return visit.go("/confirmations")


def _list(visit: Visit, problem: CentreError | None = None) -> Response:
    with visit.db.read() as conn:
        found = confirmations.due(conn, visit.now, None, LISTED, visit.parts.rules)
        open_ = [a for a in confirmations.open_attempts(conn) if a.staff_id == visit.person.id]
        names = {a.citizen_id: citizens.get(conn, a.citizen_id).name for a in open_}
        running = [one for one in campaigns.open_campaigns(conn) if one.state is State.RUNNING]
        placed = campaigns.placed_today(conn, visit.now)
        following = None if open_ else _next(visit, conn, running)
        lines = _lines(conn, following.questions) if following else {}
    if following:
        visit.looked_at(("citizen", following.citizen_id), why="/confirmations")
    return visit.page("confirmations.html", status=status_of(problem) if problem else HTTPStatus.OK, due=found,
                      mine=open_, names=names, problem=problem, running=running, next=following, lines=lines,
                      called={one.id: one.terms.name for one in running},
                      waits={one.id: waits_for(visit, one, placed.get(one.id, 0)) for one in running})  # fmt: skip


def _next(visit: Visit, conn: Connection, running: Sequence[Campaign]) -> Due | None:
    """Whom this person calls next in a campaign of preview: nobody else is shown the same one."""
    if not any(one.terms.mode is Mode.PREVIEW for one in running):
        return None
    due = confirmations.due(conn, visit.now, None, LISTED, visit.parts.rules, within=Mode.PREVIEW)
    chosen = visit.parts.handed.next([one.callback_id for one in due], visit.person.id, visit.now)
    return next((one for one in due if one.callback_id == chosen), None)


def _lines(conn: Connection, questions: Iterable[Question]) -> dict[int, AppealLine]:
    """Of each appeal that is asked about, by its number, what is to be seen of it."""
    return {q.number: line for q in questions for line in appeals.search(conn, number=q.number, limit=1)}


def call(visit: Visit) -> Response:
    """Asks the line to call: this person's seat first, then the resident. The line commits the attempt."""
    callback_id = visit.number("callback_id")
    if visit.seat is None:
        return _list(visit, BadInput("callback.needs_seat"))
    try:
        reply = visit.ask_line("call", callback_id=callback_id, seat=visit.seat, staff_id=visit.person.id)
    except CentreError as error:
        return _list(visit, error)
    if not reply.get("attempt"):  # there was no number left to call
        return visit.go("/confirmations?done=no_number")
    return visit.go(f"/confirmations/attempts/{reply['attempt']}")


def attempt(visit: Visit) -> Response:
    return _page(visit)


def result(visit: Visit) -> Response:
    """What came of the call: the resident's word on each appeal, or why there is none."""
    form = visit.form
    with visit.db.read() as conn:
        one = reads.attempt_of(conn, visit.path("attempt_id"))
        questions = confirmations.questions_of(conn, one.callback_id)
    reached = form["reached"]
    if reached not in SAID:
        form.wrong("reached", BadInput("form.no_reached"))
    said: list[tuple[int, Result, str]] = []
    for question in questions:
        word, note = form[f"result-{question.number}"], form.text(f"note-{question.number}", NOTE_MOST)
        if word and word not in set(Result):
            form.wrong(f"result-{question.number}", BadInput("form.no_result"))
        elif word and word != Result.SOLVED and not note:
            form.wrong(f"note-{question.number}", BadInput("form.no_remains"))
        elif word:
            said.append((question.number, Result(word), note))
    if reached == Reached.ANSWERED and questions and not said and not form.problems:
        form.wrong("reached", BadInput("form.no_result"))
    if said and reached not in SPOKE:
        form.wrong("reached", BadInput("form.word_of_nobody"))
    if form.problems:
        return _page(visit, next(iter(form.problems.values())))
    heard_in = one.linkedid or one.id
    try:
        with visit.db.write() as conn:
            for number, word_said, note in said:
                confirmations.answer(
                    conn, number=number, result=word_said, now=visit.now, linkedid=heard_in, attempt_id=one.id,
                    citizen_id=one.citizen_id, staff_id=visit.person.id, note=note,
                )  # fmt: skip
            ended = confirmations.finish(conn, one.id, Reached(reached), visit.now, rules=visit.parts.rules,
                                         linkedid=heard_in)  # fmt: skip
            if ended is None and not said:
                raise BadInput("attempt.ended")
    except CentreError as error:
        return _page(visit, error)
    visit.poke_line("callbacks")
    return visit.go("/confirmations?done=result")


def _page(visit: Visit, problem: CentreError | None = None) -> Response:
    with visit.db.read() as conn:
        one = reads.attempt_of(conn, visit.path("attempt_id"))
        questions = confirmations.questions_of(conn, one.callback_id)
        lines = _lines(conn, questions)
    visit.looked_at(("citizen", one.citizen_id), why=one.id)
    show = visit.again if problem else visit.page
    return show("attempt.html", attempt=one, questions=questions, lines=lines, problem=problem, said=SAID,
                results=tuple(Result))  # fmt: skip
