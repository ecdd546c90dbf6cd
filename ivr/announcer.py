"""What callers hear of incidents and of the whole city, spoken as soon as it is so, while the centre runs.

Every few seconds, and whenever the web says that something has changed: of each open incident the words (a
supervisor's, or those of what is on record) are made sound, on record only once it is there. Where nothing can be
spoken, callers hear nothing of it, and the next round tries again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from centre.provision import ProvisionError
from crm import announcements, incident_callers, incidents
from crm.announcements import Announcement, News
from crm.errors import BadInput, CentreError
from crm.incidents import Incident, State
from crm.store import Database, Writer
from ivr import announcing, build_prompts, speech
from ivr.build_prompts import Spoken
from ivr.prompts import LANGUAGES

T = TypeVar("T")
Variables = dict[str, str]

EVERY_S = 5.0
LONGEST_S = 20.0  # of an announcement, and of a choice with all that is in it
KEPT_S = 3600.0  # sounds that nobody plays any more: somebody may be listening, or about to
TRIED_AGAIN_S = 60.0  # what could not be spoken
CALLS_KEPT = 1000  # calls of which it is remembered what they have heard
MOST = 500  # open incidents
CHOICES = 3

_log = logging.getLogger(__name__)


# ── which may be chosen ──
@dataclass(frozen=True, slots=True)
class Rules:
    """An incident is named to callers of whom no address is known while so many people suffer from it, and not for
    longer than they are likely to call about it."""

    people: int = 10
    hours: int = 12


def to_choose(found: Sequence[tuple[Incident, int]], now: dt.datetime, rules: Rules) -> list[Incident]:
    """Of open incidents, each with how many have spoken of it, those that may be chosen, the greatest first. Pure."""
    young = dt.timedelta(hours=rules.hours)
    big = [(-people, each.id, each) for each, people in found
           if people >= rules.people and each.opened_at is not None and now - each.opened_at < young]  # fmt: skip
    return [each for _, _, each in sorted(big)[:CHOICES]]


@dataclass(frozen=True, slots=True)
class Choice:
    """``names``: by which it is chosen; ``sounds``: what is said of it then. By language."""

    news: int  # the announcement's id
    incident_id: int
    names: Mapping[str, Spoken]
    sounds: Mapping[str, str]


def choice_of(choices: Sequence[Choice], language: str, seconds: Callable[[str], float]) -> Variables:
    """The dialplan's variables for a caller who may choose: as many as fit into LONGEST_S; nothing if none does.

    ``seconds``: how long one of the catalogue's prompts is.
    """
    left = LONGEST_S - seconds("choice-intro") - seconds("choice-else")
    said, chosen = ["choice-intro"], Variables()
    for each in choices:
        if language not in each.names or not each.sounds.get(language):
            continue
        key = len(chosen) // 2 + 1
        takes = each.names[language].seconds + seconds(f"choice-{key}")
        if takes > left:
            continue
        left -= takes
        said += [each.names[language].name, f"choice-{key}"]
        chosen |= {f"CHOICE_{key}": str(each.incident_id), f"CHOICE_SAY_{key}": each.sounds[language]}
    return {"CHOICE_SAY": speech.play([*said, "choice-else"]), **chosen} if chosen else {}


# ── the part of the line ──
class Announcer:
    """``prompts``: where sounds lie. ``changed``: told when something is said that was not before.

    ``choices``: what may be chosen now.
    """

    def __init__(self, db: Database, writer: Writer, prompts: Path, clock: Callable[[], dt.datetime],
                 *, changed: Callable[[], Awaitable[None]] | None = None, rules: Rules = Rules()) -> None:  # fmt: skip
        self._db, self._writer, self._prompts, self._now = db, writer, prompts, clock
        self._changed, self._rules = changed, rules
        self._poked = asyncio.Event()
        self._speaking = ThreadPoolExecutor(1, "announcer")  # never two at one sound
        self._spoken: dict[tuple[str, str], Spoken] = {}
        self._failed: dict[tuple[str, str], dt.datetime] = {}
        self._live: set[int] | None = None  # what was said before we came is no news
        self._heard: OrderedDict[str, int] = OrderedDict()
        self.choices: Sequence[Choice] = ()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._poked.clear()
            try:
                if await self._in_thread(self.round) and self._changed is not None:
                    await self._changed()
            except Exception:
                _log.exception("announcements could not be seen to")
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._poked.wait()
            except TimeoutError:
                continue

    def poke(self) -> None:
        """Something has changed: see to it now."""
        self._poked.set()

    def close(self) -> None:
        """What is being spoken is spoken to its end, in its own time."""
        self._speaking.shutdown(wait=False, cancel_futures=True)

    # ── what the web asks ──
    async def speak(self, words: Mapping[str, str]) -> dict[str, Spoken]:
        """The sound of each language's words, made now: nothing is on record, and nobody hears it, by this.

        BadInput ``announcement.no_text``, ``text.too_long``, ``announcement.too_long`` (with the seconds it takes);
        CentreError ``announcement.not_spoken``.
        """
        cleaned = {language: announcements.clean(words.get(language, "")) for language in LANGUAGES}
        if not cleaned["uk"]:
            raise BadInput("announcement.no_text")

        def make() -> dict[str, Spoken]:
            return {language: self._make(text, language) for language, text in cleaned.items() if text}

        made = await self._in_thread(make)
        for each in made.values():
            if each.seconds > LONGEST_S:
                raise BadInput("announcement.too_long", seconds=round(each.seconds), most=round(LONGEST_S))
        return made

    def _make(self, text: str, language: str) -> Spoken:
        try:
            return build_prompts.speak(text, language, self._prompts)
        except (ProvisionError, OSError) as error:
            raise CentreError("announcement.not_spoken", why=str(error)) from error

    # ── what a call hears ──
    def is_news(self, linkedid: str, news: News | None) -> bool:
        """Whether this call has not heard it."""
        return news is not None and self._heard.get(linkedid) != news.id

    def tell(self, linkedid: str, news: News | None, language: str) -> Variables:
        """CALL_INCIDENT, INCIDENT_SAY for what this call is to hear now, and will have heard, INCIDENT_OTHER for when
        it changes the language; nothing if there is no news for it."""
        if news is None or not self.is_news(linkedid, news) or not (sound := news.sounds.get(language)):
            return {}
        self._hears(linkedid, news.id)
        other = next((sound for name, sound in news.sounds.items() if name != language), "")
        return {"CALL_INCIDENT": str(news.incident_id), "INCIDENT_SAY": sound, "INCIDENT_OTHER": other}

    def offer(self, language: str) -> Variables:
        """CHOICE_SAY and what follows each key, for a caller of whom no address is known; nothing when there is
        nothing to choose."""
        return choice_of(self.choices, language, lambda name: self._seconds(name, language)) if self.choices else {}

    def _hears(self, linkedid: str, news_id: int) -> None:
        self._heard[linkedid] = news_id
        self._heard.move_to_end(linkedid)
        if len(self._heard) > CALLS_KEPT:
            self._heard.popitem(last=False)

    def _seconds(self, name: str, language: str) -> float:
        try:
            return (self._prompts / language / f"{name}.alaw").stat().st_size / 8000
        except OSError:  # it cannot be played either
            return LONGEST_S

    # ── a round ──
    def round(self) -> bool:
        """Sees to everything once; whether anybody may have news. Blocking."""
        now = self._now()
        with self._db.read() as conn:
            opened = incidents.listed(conn, [State.OPEN], limit=MOST)
            said = {each.incident_id: each for each in announcements.live(conn)}
            joined = incident_callers.without_appeal(conn, [each.id for each in opened])
        for each in opened:
            self._see_to(each, said.get(each.id), now)
        if None in said:
            self._sound_again(said[None], {})
        if said.keys() - {None} - {each.id for each in opened}:
            self._write(lambda conn: announcements.end_those_over(conn, now))
        with self._db.read() as conn:
            after = announcements.live(conn)
        by_incident = {each.incident_id: each for each in after if each.sounds["uk"]}
        named = to_choose([(each, each.appeals + each.reports + joined.get(each.id, 0))
                           for each in opened if each.id in by_incident], now, self._rules)  # fmt: skip
        self.choices = [Choice(by_incident[each.id].id, each.id, self._names(each), by_incident[each.id].sounds)
                        for each in named]  # fmt: skip
        self._forget(after)
        live = {each.id for each in by_incident.values()}
        news, self._live = self._live is not None and bool(live - self._live), live
        return news

    def _see_to(self, found: Incident, before: Announcement | None, now: dt.datetime) -> None:
        own = before is not None and before.made_by is not None
        if before is not None and own:
            if not before.silent:
                self._sound_again(before, {language: announcing.forms(found, now, language) for language in LANGUAGES})
            return
        taken = {language: self._first_that_fits(announcing.forms(found, now, language), language)
                 for language in LANGUAGES}  # fmt: skip
        words = {language: each[0] if each else "" for language, each in taken.items()}
        sounds = {language: each[1].name if each else "" for language, each in taken.items()}
        if sounds["uk"] and (before is None or (before.texts, before.sounds) != (words, sounds)):
            self._write(lambda conn: announcements.by_default(conn, found.id, words, sounds, now))

    def _sound_again(self, before: Announcement, instead: Mapping[str, Sequence[str]]) -> None:
        """What somebody wrote: it is there, also after a backup was played back; in a language in which he wrote
        nothing, what is on record is said ``instead``."""
        sounds = {}
        for language in LANGUAGES:
            text = before.texts[language]
            taken = self._first_that_fits([text] if text else instead.get(language, ()), language)
            sounds[language] = taken[1].name if taken else ""
        if sounds != before.sounds:
            self._write(lambda conn: announcements.spoken(conn, before.id, sounds))

    def _names(self, found: Incident) -> dict[str, Spoken]:
        names = {language: self._say(announcing.name(found, language), language) for language in LANGUAGES}
        return {language: name for language, name in names.items() if name is not None}

    def _first_that_fits(self, forms: Sequence[str], language: str) -> tuple[str, Spoken] | None:
        for text in forms:
            spoken = self._say(text, language)
            if spoken is not None and spoken.seconds <= LONGEST_S:
                return text, spoken
        return None

    def _say(self, text: str, language: str) -> Spoken | None:
        """None when it cannot be spoken now, which is written down once in a while."""
        key, now = (language, text), self._now()
        known = self._spoken.get(key)
        if known is not None and (self._prompts / language / f"{known.name}.alaw").exists():
            return known
        if key in self._failed and now - self._failed[key] < dt.timedelta(seconds=TRIED_AGAIN_S):
            return None
        try:
            self._spoken[key] = self._make(text, language)
        except CentreError as error:
            self._failed[key] = now
            _log.error("callers do not hear of it: %s", error)
            return None
        self._failed.pop(key, None)
        return self._spoken[key]

    def _forget(self, live: Collection[Announcement]) -> None:
        kept = {sound for each in live for sound in each.sounds.values()}
        kept |= {name.name for choice in self.choices for name in choice.names.values()}
        build_prompts.forget(self._prompts, kept, KEPT_S)
        self._spoken = {key: each for key, each in self._spoken.items() if each.name in kept}
        self._failed = {key: at for key, at in self._failed.items()
                        if self._now() - at < dt.timedelta(seconds=TRIED_AGAIN_S)}  # fmt: skip

    def _write(self, fn: Callable[[Connection], object]) -> None:
        self._writer.submit(fn).result()

    async def _in_thread(self, fn: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._speaking, fn)
