"""What the dialplan asks us of a caller who may speak with an official, and the words in which he is asked."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from crm import calls, people
from crm.errors import CentreError
from crm.store import Database, Writer
from ivr import prompts
from ivr.announcer import Announcer
from ivr.announcing import in_words
from ivr.build_prompts import Spoken
from ivr.server import Step
from ivr.steps import Records, Variables, exactly

YES = "1"
MORE_S = 5  # than the seat rings: he is in its queue

_log = logging.getLogger(__name__)


class Question(Protocol):
    """``staff_id``: the official at ``seat``."""

    @property
    def seat(self) -> str: ...
    @property
    def staff_id(self) -> int: ...


class Officials(Protocol):
    """Who is asked, and whom he is brought to (``call_queue.officials``)."""

    def question(self, linkedid: str) -> Question | None: ...
    def answered(self, linkedid: str, yes: bool) -> str | None: ...


class OfficialSteps(Records):
    """``seat_ring_s``: how long a seat rings."""

    def __init__(self, db: Database, writer: Writer, announcer: Announcer, officials: Officials, seat_ring_s: int,
                 clock: Callable[[], dt.datetime]) -> None:  # fmt: skip
        super().__init__(db, writer)
        self._announcer, self._officials, self._ring_s, self._now = announcer, officials, seat_ring_s, clock
        self._spoken: dict[int, Mapping[str, Spoken]] = {}

    def by_name(self) -> dict[str, Step]:
        """For ``FastAgi``."""
        return {"official": self.official}

    async def can_be_named(self, staff_id: int) -> bool:
        """Speaks the question that names him, unless it is there."""
        try:
            name = await self._read(lambda conn: people.get(conn, staff_id).name)
            self._spoken[staff_id] = await self._announcer.speak(words(name))
        except CentreError as error:
            _log.error("no caller is asked whether he wants to speak with official %s: %s", staff_id, error)
            return False
        return True

    async def ask(self, linkedid: str, language: str) -> Variables:
        """For the ``waiting`` step: ASK and OFFICIAL_SAY, for a caller who is to be asked now, and has been then."""
        asked = self._officials.question(linkedid)
        sound = self._spoken.get(asked.staff_id, {}).get(language) if asked else None
        if asked is None or sound is None:
            return {}
        now, seat = self._now(), asked.seat
        await self._write(lambda conn: calls.add_event(conn, linkedid, now, calls.ASKED, seat))
        return {"ASK": "official", "OFFICIAL_SAY": sound.name}

    async def official(self, args: list[str], environment: Mapping[str, str]) -> Variables:
        """linkedid, key → SAY; QUEUE_NAME, SLICE for who is brought to him. Who is not goes on where he stood."""
        linkedid, key = exactly(args, 2)
        queue = self._officials.answered(linkedid, key == YES)
        if queue is None:
            return {"SAY": "offer-declined"}
        if not queue:
            return {"SAY": "official-busy"}
        now = self._now()
        await self._write(lambda conn: calls.add_event(conn, linkedid, now, calls.AGREED))
        return {"SAY": "official-connecting", "QUEUE_NAME": queue, "SLICE": str(self._ring_s + MORE_S)}


def words(name: str) -> dict[str, str]:
    """The question, in each language. A name is said in Ukrainian."""
    return {language: str(prompts.announcements(language)["official"]).format(name=in_words(name, "uk"))
            for language in prompts.LANGUAGES}  # fmt: skip
