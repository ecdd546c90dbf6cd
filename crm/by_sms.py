"""What an SMS does: the resident's word on his appeal, what remains of it, STOP, or a message for a specialist.

He writes from the number that is told of his appeal, and that is what shows who he is. Each SMS is taken once, by the
service's own name of it; whatever is answered goes out as a notice, later.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, select, update

from crm import appeals, citizens, confirmations, messages, notices, rates, remote_files, written
from crm.confirmation_rules import Result
from crm.life import Action
from crm.messages import Held, Incoming, State
from crm.rates import DAY
from crm.schema import message
from crm.telling import Say, Way
from crm.written import Asked

CHANNEL = "sms"
ANSWERS_DAILY = 10  # by a machine, to one number: more is another machine that answers ours
NAMED = 3  # appeals that one SMS can name
LONGEST_WORD = 60  # characters: nothing longer is a word


class Opt(StrEnum):
    STOP = "stop"
    GO_ON = "go_on"


@dataclass(frozen=True, slots=True)
class Texted:
    """An SMS that has come. ``sender``: E.164, "" for who has no number to answer; ``name``: as it was written then.
    ``opt``: what the service has understood, and answered, itself. ``files``: (path, name) that it still has."""

    id: str
    sender: str
    name: str
    text: str
    opt: Opt | None = None
    files: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Meaning:
    """``answered``: the service itself answers such a word. ``number``: of the appeal that is named."""

    opt: Opt | None = None
    answered: bool = False
    result: Result | None = None
    number: int | None = None


# Words that services answer by themselves, as American networks ask of them; and ours.
_STOP_ANSWERED = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"})
_STOP = frozenset({"стоп", "стоп смс", "стоп sms", "відписатися", "відписатись", "відписка", "stop sms"})
_GO_ON_ANSWERED = frozenset({"start", "unstop", "yes"})
_GO_ON = frozenset({"старт", "почати", "поновити", "підписатися", "підписатись"})
_WORDS = {
    **dict.fromkeys(("1", "так", "tak", "yes", "вирішено", "виконано", "solved"), Result.SOLVED),
    **dict.fromkeys(("2", "ні", "ni", "no", "не вирішено", "невирішено", "не виконано", "not solved"),
                    Result.NOT_SOLVED),
}  # fmt: skip
_ALIKE = str.maketrans("aceiopxy", "асеіорху")  # telephones mix the alphabets, and nobody sees it
_AROUND = " \t\r\n.,;:!?()«»\"'’-–—№#"
_NUMBER_FIRST = re.compile(r"([0-9]{6,9})[\s.,;:–—-]+(\D.*|[12])", re.DOTALL)
_NUMBER_LAST = re.compile(r"(\D*|[12])[\s.,;:–—№#-]+([0-9]{6,9})", re.DOTALL)


def read(text: str, opt: Opt | None = None) -> Meaning:
    """What it means by itself. Only a whole word is one: "2 години немає води" is a message."""
    plain = " ".join(text.casefold().strip(_AROUND).split()) if len(text) <= LONGEST_WORD else ""
    if re.search("[а-яґєії]", plain):
        plain = plain.translate(_ALIKE)
    answered = opt is not None
    if opt is None and plain in _STOP_ANSWERED | _STOP:
        opt, answered = Opt.STOP, plain in _STOP_ANSWERED
    elif opt is None and plain in _GO_ON_ANSWERED | _GO_ON:
        opt, answered = Opt.GO_ON, plain in _GO_ON_ANSWERED
    number, word = None, plain
    if found := _NUMBER_FIRST.fullmatch(plain):
        number, word = int(found[1]), found[2]
    elif found := _NUMBER_LAST.fullmatch(plain):
        number, word = int(found[2]), found[1]
    result = _WORDS.get(word.strip(_AROUND)) if opt is not Opt.STOP else None
    return Meaning(opt, answered, result, number if result else None)


def receive(conn: Connection, its: Texted, *, now: dt.datetime, say: Say, secret: str, daily: int) -> bool:
    """Keeps it and does what it says; False for one that was taken before. ``secret``: of the counts
    (``crm.rates``); ``daily``: more than so many messages from a number in a day are looked at last."""
    language = citizens.language_of(conn, its.sender) or "uk"
    message_id = messages.take(conn, Incoming(
        channel=CHANNEL, external_id=its.id, address=its.sender, name="" if its.sender else its.name, text=its.text,
        language=language, received_at=now, said={"phone": its.sender} if its.sender else {}))  # fmt: skip
    if message_id is None:
        return False
    remote_files.expect(conn, message_id, its.files, now)
    if not its.sender:  # a bank's, a shop's: nobody to answer
        _change(conn, message_id, reason=Held.AUTOMATIC.value)
        return True
    _Reading(conn, its, message_id, now, say, secret, language).act(daily)
    return True


@dataclass(frozen=True, slots=True)
class _Reading:
    """One SMS that has been taken, while what it says is done."""

    conn: Connection
    its: Texted
    message_id: int
    now: dt.datetime
    say: Say
    secret: str
    language: str

    def act(self, daily: int) -> None:
        meant = read(self.its.text, self.its.opt)
        if meant.opt is not None:
            self._opt(meant)
        if meant.result is not None and (asked := written.awaiting(self.conn, self.its.sender)):
            named = [one for one in asked if one.number == meant.number] if meant.number else asked
            if len(named) == 1:
                self._word(named[0], meant.result)
                return
            if named:
                self._which(named)
                return
        if meant.opt is not None:
            self._done()
        elif (appeal_id := self._was_asked_what_remains()) is not None:
            messages.add_to(self.conn, self.message_id, appeal_id, now=self.now, staff_id=None)
            self._answer("added", number=appeals.get(self.conn, appeal_id).number)
        else:
            self._leave_to_a_person(daily)

    def _opt(self, meant: Meaning) -> None:
        """The last word is kept before the way is closed."""
        if not meant.answered:
            self._answer("stopped" if meant.opt is Opt.STOP else "started")
        if meant.opt is Opt.STOP:
            notices.stop(self.conn, Way.SMS, self.its.sender, self.now)
        else:
            notices.go_on(self.conn, Way.SMS, self.its.sender)

    def _word(self, asked: Asked, result: Result) -> None:
        appeal = confirmations.answer(self.conn, number=asked.number, result=result, now=self.now,
                                      citizen_id=asked.citizen_id, written=f"{CHANNEL}:{self.its.id}")  # fmt: skip
        _change(self.conn, self.message_id, citizen_id=asked.citizen_id)
        messages.belongs(self.conn, self.message_id, appeal.id, now=self.now, staff_id=None, action=Action.HEAR)
        self._answer("thanks_solved" if result is Result.SOLVED else "thanks_not_solved", number=asked.number)

    def _which(self, asked: Sequence[Asked]) -> None:
        names = ", ".join(f"{one.number} {one.subject_en if self.language == 'en' else one.subject_uk}"
                          for one in asked[:NAMED])  # fmt: skip
        self._done()
        self._answer("which", appeals=names, number=asked[0].number)

    def _was_asked_what_remains(self) -> int | None:
        """The appeal of which he said "2" in his last SMS, not longer than a day ago."""
        m = message.c
        last = self.conn.execute(
            select(m.text, m.appeal_id)
            .where(m.channel == CHANNEL, m.address == self.its.sender, m.id != self.message_id,
                   m.received_at > self.now - DAY, m.received_at <= self.now)
            .order_by(m.received_at.desc(), m.id.desc()).limit(1)
        ).one_or_none()  # fmt: skip
        asked = last is not None and last.appeal_id is not None and read(last.text).result is Result.NOT_SOLVED
        return last.appeal_id if last is not None and asked else None

    def _leave_to_a_person(self, daily: int) -> None:
        times = rates.count(self.conn, rates.key(self.secret, "sms", self.its.sender), self.now, DAY)
        if times > daily:
            _change(self.conn, self.message_id, reason=Held.RATE.value)
        if times == 1:
            self._answer("received")

    def _done(self) -> None:
        _change(self.conn, self.message_id, state=State.DONE.value, done_at=self.now)

    def _answer(self, key: str, **values: object) -> None:
        """Nothing, once too much has been answered to this number today."""
        answers = rates.count(self.conn, rates.key(self.secret, "sms-answer", self.its.sender), self.now, DAY)
        if answers <= ANSWERS_DAILY:
            notices.reply(self.conn, message_id=self.message_id, key=f"{CHANNEL}:{self.its.id}:{key}",
                          text=self.say(key, self.language, **values), now=self.now)  # fmt: skip


def _change(conn: Connection, message_id: int, **values: object) -> None:
    conn.execute(update(message).where(message.c.id == message_id).values(values))
