"""What becomes of a message to the city's page: taken once, it is a word on an appeal, a part of the conversation that
gathers one (``conversation``), or words for the specialist who has it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection

from crm import addresses, confirmations, conversations, departments, messages, notices, remote_files, similar, tokens
from crm import written as words_of
from crm.confirmation_rules import Result
from crm.conversations import Conversation
from crm.departments import Subject
from crm.life import Action
from crm.messages import State
from crm.telling import Say, Way
from intake.facebook import conversation
from intake.facebook.conversation import Button, Choice, Handed, Heard, Step, Turn
from intake.facebook.incoming import CHANNEL, Event

WINDOW = dt.timedelta(hours=24)  # after somebody's message in which he may be answered
SILENCE = dt.timedelta(minutes=30)  # after which a person goes on
AFTERWARDS = dt.timedelta(days=1)  # in which what he adds belongs to the appeal that was made
NEARNESS = 0.3  # of a subject's name to his words, to be offered
MOST_ASKED = 5  # appeals that are listed to who must say which one he means


_WORDS = {"1": Result.SOLVED, "вирішено": Result.SOLVED, "solved": Result.SOLVED,
          "2": Result.NOT_SOLVED, "не вирішено": Result.NOT_SOLVED, "not solved": Result.NOT_SOLVED}  # fmt: skip


def word_of(text: str) -> Result | None:
    """Whether he says that his appeal is solved or not, and nothing else: "1 під'їзд…" is no such word."""
    return _WORDS.get(" ".join(text.split()).strip(".!,;: ").casefold())


class Talks:
    """``say``: the sentences. ``portal``: its address, where an appeal has its own page by a seal of ``secret``."""

    def __init__(self, say: Say, *, portal: str, secret: str) -> None:
        self._say, self._portal, self._secret = say, portal, secret

    def take(self, conn: Connection, event: Event, now: dt.datetime) -> bool:
        """Takes one message and keeps what is answered to it; False, and nothing, for one that was taken before."""
        at = min(event.at, now)
        part_id = conversations.heard(conn, CHANNEL, event.mid, event.psid, event.text, at)
        if part_id is None:
            return False
        its = conversations.open_one(conn, CHANNEL, event.psid)
        if self._word(conn, event, part_id, its, now):
            return True
        if its is not None and its.state is State.GATHERING:
            self._go_on(conn, its, event, at, now)
        elif its is not None:
            self._add(conn, its, event, at, now)
        else:
            asked = words_of.awaiting(conn, event.psid)
            last = None if asked else conversations.lately(conn, CHANNEL, event.psid, now - AFTERWARDS)
            if last is not None and last.appeal_id is not None:
                self._add_to(conn, last, last.appeal_id, part_id, event, now)
            else:
                self._begin(conn, event, at, now, asked[0].number if len(asked) == 1 else None)
        return True

    def silent(self, conn: Connection, now: dt.datetime) -> int:
        """Hands over the conversations in which he has said nothing more for SILENCE; how many."""
        count = 0
        for psid in conversations.gathering(conn, CHANNEL):
            its = conversations.open_one(conn, CHANNEL, psid)
            if its is None or its.state is not State.GATHERING:  # meanwhile
                continue
            if now - dt.datetime.fromisoformat(its.data["heard_at"]) < SILENCE:
                continue
            talk = conversation.read(its.data["talk"])
            turn = Turn(talk, (conversation.Sentence("handed_silent"),), handed=Handed.SILENT)
            self._keep(conn, its.id, its.address, turn, now, f"silent:{its.id}", now)
            count += 1
        return count

    def _word(self, conn: Connection, event: Event, part_id: int, its: Conversation | None, now: dt.datetime) -> bool:
        """His word on an appeal that awaits it; False if this is none."""
        result = word_of(event.text)
        gathers = its is not None and its.state is State.GATHERING
        about = conversation.read(its.data["talk"]) if its is not None and gathers else None
        asked_now = about is not None and about.step is Step.WORD
        if result is None or (gathers and not asked_now and event.text.strip() in ("1", "2")):
            return False  # in a conversation a number is a choice of what it offers
        asked = words_of.awaiting(conn, event.psid)
        language = about.language if about else conversation.language_of(event.text)
        if not asked:
            return False
        if len(asked) > 1:
            pages = "\n".join(f"№ {each.number}: {self._portal}/a/{tokens.together(self._secret, each.number)}"
                              for each in asked[:MOST_ASKED])  # fmt: skip
            reply(conn, part_id, event.mid, self._say("several", language, pages=pages), now)
            return True
        made = confirmations.answer(
            conn, number=asked[0].number, result=result, now=now, citizen_id=asked[0].citizen_id,
            written=f"{CHANNEL}:{event.mid}", note=about.text[:4000] if about and asked_now else "")  # fmt: skip
        if its is not None and asked_now:
            messages.belongs(conn, its.id, made.id, now=now, staff_id=None, action=Action.HEAR)
        reply(conn, part_id, event.mid, self._say(result.value, language, number=made.number), now)
        return True

    def _begin(self, conn: Connection, event: Event, at: dt.datetime, now: dt.datetime, asked: int | None) -> None:
        language = conversation.language_of(event.text)
        turn = conversation.begin(_heard(event), _City(conn, language, self._say), language, asked=asked)
        if now - at >= WINDOW:  # nothing can be asked any more
            turn = replace(turn, handed=Handed.LATE)
        id = conversations.begin(conn, CHANNEL, event.mid, event.psid, language, at)
        self._keep(conn, id, event.psid, turn, at, event.mid, now)
        _expect(conn, id, event.files[: turn.photos], now)

    def _go_on(self, conn: Connection, its: Conversation, event: Event, at: dt.datetime, now: dt.datetime) -> None:
        talk, before = conversation.read(its.data["talk"]), dt.datetime.fromisoformat(its.data["heard_at"])
        if at < before:  # it was written before what was answered already, and comes late
            turn = Turn(conversation.add(talk, event.text), photos=len(event.files))
        else:
            turn = conversation.hear(talk, _heard(event), _City(conn, talk.language, self._say))
        self._keep(conn, its.id, its.address, turn, max(at, before), event.mid, now)
        _expect(conn, its.id, event.files[: turn.photos], now)

    def _add(self, conn: Connection, its: Conversation, event: Event, at: dt.datetime, now: dt.datetime) -> None:
        """A specialist has it, or will: who works on it answers himself."""
        if not conversations.add(conn, its, event.text):
            its = replace(its, id=conversations.begin(conn, CHANNEL, event.mid, event.psid, its.language, at))
            conversations.keep(conn, its.id, text=event.text, called="", data=_to_be_told(event.psid), over=True)
        _expect(conn, its.id, event.files, now)
        if its.staff_id is None:
            reply(conn, its.id, event.mid, self._say("added", its.language), now)

    def _add_to(self, conn: Connection, last: Conversation, appeal_id: int, part_id: int, event: Event,
                now: dt.datetime) -> None:  # fmt: skip
        messages.add_to(conn, part_id, appeal_id, now=now, staff_id=None)
        _expect(conn, part_id, event.files, now)
        reply(conn, part_id, event.mid, self._say("added_to", last.language), now)

    def _keep(self, conn: Connection, id: int, psid: str, turn: Turn, heard_at: dt.datetime, key: str,
              now: dt.datetime) -> None:  # fmt: skip
        talk = turn.talk
        data = {**conversation.said(talk), **_to_be_told(psid)}
        if turn.handed is None:
            data |= {"talk": talk.kept(), "heard_at": heard_at.isoformat()}
        conversations.keep(conn, id, text=conversation.handed(talk), called=talk.name, data=data,
                           over=turn.handed is not None)  # fmt: skip
        if turn.sentences and turn.handed is not Handed.LATE:
            said = "\n\n".join(self._say(each.key, talk.language, **each.values) for each in turn.sentences)
            reply(conn, id, key, "\n".join((said, *turn.lines)), now, turn.choices)


def reply(conn: Connection, id: int, key: str, text: str, now: dt.datetime, choices: Sequence[str] = ()) -> None:
    """An answer to a message or a conversation, once for each ``key``."""
    notices.reply(conn, message_id=id, text=text, key=f"{CHANNEL}:{key}", now=now, choices=choices)


def _expect(conn: Connection, message_id: int, urls: Sequence[str], now: dt.datetime) -> None:
    files = [(url, urlsplit(url).path.rpartition("/")[2][-100:] or "file") for url in urls]
    remote_files.expect(conn, message_id, files, now)


def _heard(event: Event) -> Heard:
    return Heard(event.text, len(event.files), event.place)


def _to_be_told(psid: str) -> dict[str, Any]:
    return {"tell_by": Way.FACEBOOK.value, "tell_to": psid}


class _City:
    """``conversation.City`` out of the records, as they are in this transaction."""

    def __init__(self, conn: Connection, language: str, say: Say) -> None:
        self._conn, self._language, self._say = conn, language, say

    @cached_property
    def _tree(self) -> list[Subject]:
        return [each for each in departments.subjects(self._conn) if each.offered]

    def subjects(self, words: str) -> Sequence[Choice]:
        said = similar.trigrams(words)
        near = [(max(similar.nearness(said, similar.trigrams(name)) for name in (each.name_uk, each.name_en)), each)
                for each in self._tree if each.leaf]  # fmt: skip
        found = sorted((pair for pair in near if pair[0] >= NEARNESS), key=lambda pair: -pair[0])
        return [self._choice(each) for _, each in found]

    def below(self, subject_id: int | None) -> Sequence[Choice]:
        return [self._choice(each) for each in self._tree if each.parent_id == subject_id]

    def buildings(self, words: str) -> tuple[Sequence[Choice], bool]:
        found = addresses.suggest(self._conn, words, conversation.LISTED)
        number = re.search(r"(\d[\w/-]*(?:\s+(?:к\.?|корп\.?)\s*\d+)?(?:\s[^\W\d_])?)\W*$", words)
        typed = addresses.fold_number(number[1]) if number else ""
        named = [each for each in found if addresses.fold_number(each.number) == typed]
        if len(named) == 1:
            return [Choice(named[0].id, f"{named[0].street}, {named[0].number}")], True
        shown = named or found or addresses.mistyped(self._conn, words, conversation.LISTED)
        return [Choice(each.id, f"{each.street}, {each.number}") for each in shown], False

    def button(self, button: Button) -> str:
        return self._say(f"button.{button.value}", self._language)

    def _choice(self, its: Subject) -> Choice:
        return Choice(its.id, its.name_uk if self._language == "uk" else its.name_en)
