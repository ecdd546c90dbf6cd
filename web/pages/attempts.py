"""One call to a resident, on one screen while it is dialled: what he wrote, what the department reported, recordings of
his calls; each appeal's outcome and the call's own by a key, and what follows from each before it is said."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from starlette.responses import Response

from crm import appeals, attachments, citizens, confirmations, departments, life, outlook, people, phones
from crm.appeals import AppealLine
from crm.confirmation_rules import Next, Reached, Result, Step
from crm.edits import log_edit
from crm.errors import BadInput, CentreError, NotAllowed, NotFound
from crm.life import Action, State
from recordings import library, search
from recordings.search import Wanted
from web import reads
from web.pages.confirmations import lines_of, shift
from web.texts import texts
from web.visit import Visit

# How a person says that a call went; the other endings are told by the telephone network.
SAID = (Reached.ANSWERED, Reached.NO_ANSWER, Reached.BUSY, Reached.WRONG_NUMBER, Reached.DO_NOT_CALL)
SPOKE = frozenset({Reached.ANSWERED, Reached.DO_NOT_CALL})  # endings of a call in which the applicant may have answered
# Endings after which he is given up, whatever has been tried.
GIVES_UP = {Reached.WRONG_NUMBER: "feedback.wrong_number", Reached.DO_NOT_CALL: "feedback.do_not_call"}
NOTE_MOST = 4000
OTHERS, RECORDINGS = 20, 20  # the newest of his other appeals, and of the recordings of one


def show(visit: Visit) -> Response:
    """The screen; with ``part`` only what has come of the call so far, for the page's script."""
    if not visit.query["part"]:
        return _page(visit)
    with visit.db.read() as conn:
        came = outlook.came_of(conn, visit.path("attempt_id"))
    return visit.page("feedback/came.html", came=came)


def listen(visit: Visit) -> Response:
    """A recording of a call about one of the appeals that he is calling about now: his ground is the call itself, and
    is on record before the first sound. What is typed comes back with the page, or the page's script takes the player
    alone.

    NotAllowed ``recording.not_calling`` for another's call and after its end.
    """
    with visit.db.write() as conn:
        one = reads.attempt_of(conn, visit.path("attempt_id"))
        if one.staff_id != visit.person.id or one.outcome:
            raise NotAllowed("recording.not_calling")
        recording = reads.recording_of(conn, visit.number("id"))
        about = [question.number for question in confirmations.questions_of(conn, one.callback_id)
                 if recording.linkedid in reads.calls_of_appeal(conn, question.appeal_id)]  # fmt: skip
        if not about:
            raise NotFound("recording.unknown")
        ground = texts("uk")("feedback.ground", number=about[0])  # a record is in Ukrainian, whoever listens
        path = library.open_for_listening(conn, visit.parts.settings.recordings, recording.id, visit.person.id, ground,
                                          visit.now)  # fmt: skip
    ticket = visit.parts.tickets.give(path, visit.person.id, visit.now)
    return visit.page("feedback/heard.html", ticket=ticket) if visit.form["part"] else _page(visit, ticket=ticket)


def result(visit: Visit) -> Response:
    """What came of the call: the resident's word on each appeal, or why there is none; another number, if he or who
    answered gave one."""
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
    other = phones.parse_phone(form["phone"])
    if form["phone"] and not phones.may_call(other, visit.parts.rules.prefixes):
        form.wrong("phone", BadInput("phone.malformed"))
    if form.problems:
        return _page(visit, next(iter(form.problems.values())))
    heard_in = one.linkedid or one.id
    try:
        with visit.db.write() as conn:
            if other:
                _also_at(conn, visit, one.citizen_id, other)
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
    return visit.go(f"/confirmations?of={one.id}&done=result")


def _also_at(conn: Connection, visit: Visit, citizen_id: int, e164: str) -> None:
    """He may be called there as well: there first, next time. The number is not logged: it must be forgotten with him,
    and the log never forgets."""
    citizens.add_phone(conn, citizen_id, e164, visit.now)
    log_edit(conn, now=visit.now, staff_id=visit.person.id, what="citizen", key=citizen_id, before=None,
             after={"phone": "added"})  # fmt: skip


def _page(visit: Visit, problem: CentreError | None = None, *, ticket: str = "") -> Response:
    snapshot = visit.parts.hub.snapshot
    with visit.db.read() as conn:
        one = reads.attempt_of(conn, visit.path("attempt_id"))
        questions = confirmations.questions_of(conn, one.callback_id)
        came = outlook.came_of(conn, one.id)
        ahead = outlook.ahead(conn, one.id, SAID, visit.now, visit.parts.rules)
        lines = lines_of(conn, questions)
        others = [line for line in appeals.search(conn, citizen_id=one.citizen_id, limit=OTHERS)
                  if line.number not in lines]  # fmt: skip
        uk = visit.texts.language == "uk"
        values: dict[str, Any] = {
            "histories": {q.number: appeals.history(conn, q.appeal_id) for q in questions},
            "files": {q.number: attachments.of_appeal(conn, q.appeal_id) for q in questions},
            "recordings": {q.number: [each for each in search.found(conn, Wanted(number=q.number), RECORDINGS)[::-1]
                                      if each.linkedid not in (one.id, one.linkedid)] for q in questions},
            "names": {each.id: each.name for each in departments.departments(conn)},
            "staff": {person.id: person.name for person in people.staff(conn)},
            "subject_names": {s.id: s.name_uk if uk else s.name_en for s in departments.subjects(conn)},
            "shift": shift(visit, conn),
        }  # fmt: skip
    visit.looked_at(("citizen", one.citizen_id), *(("appeal", q.appeal_id) for q in questions), why=one.id)
    show = visit.again if problem else visit.page
    return show("attempt.html", attempt=one, questions=questions, lines=lines, others=others, problem=problem,
                results=tuple(Result), said={each: _follows(visit, each, ahead[each]) for each in SAID},
                came=came, ticket=ticket, listens=not one.outcome,
                returns={number: _returns(visit, line) for number, line in lines.items()}, images=attachments.IMAGES,
                at=snapshot.seat(visit.seat) if snapshot else None, **values)  # fmt: skip


def _follows(visit: Visit, reached: Reached, step: Step) -> str:
    """What an ending would lead to, in words."""
    if step.next is Next.GIVE_UP:
        return visit.texts(GIVES_UP.get(reached, "feedback.last_try"))
    if step.at is None:
        return ""
    said = ("feedback.other_number" if step.next is Next.OTHER_CONTACT
            else "feedback.unasked" if reached is Reached.ANSWERED else "feedback.again")  # fmt: skip
    return visit.texts(said, when=visit.texts.soon(step.at, visit.now))


def _returns(visit: Visit, line: AppealLine) -> str:
    """To whom the appeal goes if it is not solved: at once, and with nobody's leave."""
    state, _ = life.after(State.AWAITING, Action.NOT_SOLVED, line.returns)
    return visit.texts("feedback.to_control") if state is State.CONTROL else line.department
