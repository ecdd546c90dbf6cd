"""What callers hear of incidents is spoken by the real espeak-ng and sox as soon as it is on record, or not at all."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm import announcements, calls, citizens, incident_callers, incidents
from crm.announcements import Announcement
from crm.errors import BadInput, CentreError
from crm.people import Role, add_staff
from ivr import announcer, announcing, build_prompts, prompts
from ivr.announcer import LONGEST_S, Announcer, Choice, Rules, choice_of, to_choose
from ivr.build_prompts import Spoken
from tests.ivr.conftest import LINKEDID, NOON, PHONE, City
from tests.ivr.test_announcing import incident

HOUR = dt.timedelta(hours=1)
ON_ONE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Studio:
    """An announcer of this test's own, and the time."""

    def __init__(self, city: City, folder: Path) -> None:
        self.city, self.folder, self.now = city, folder, NOON
        self.announcer = Announcer(city.db, city.writer, folder, lambda: self.now, rules=Rules(people=2))
        with city.db.write() as conn:
            self.staff = add_staff(conn, login="v.melnyk", name="Віра Мельник", password_hash="-", role=Role.SUPERVISOR)

    def opened(self) -> int:
        with self.city.db.write() as conn:
            return incidents.declare(conn, subject_id=self.city.no_heating, building_id=self.city.building,
                                     cause="Прорвало трубу", now=self.now, staff_id=None,
                                     expected_at=self.now + 3 * HOUR)  # fmt: skip

    def said(self, incident_id: int | None) -> Announcement | None:
        with self.city.db.read() as conn:
            return announcements.of(conn, incident_id)

    async def say(self, incident_id: int | None, **words: str) -> None:
        """As the page does it."""
        made = await self.announcer.speak(words)
        self.city.write(lambda conn: announcements.announce(
            conn, incident_id, words, {language: each.name for language, each in made.items()}, now=self.now,
            staff_id=self.staff))  # fmt: skip

    def sound(self, name: str, language: str = "uk", format_: str = "alaw") -> Path:
        return self.folder / language / f"{name}.{format_}"


@pytest.fixture
def studio(city: City, tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(city, tmp_path / "prompts")
    yield studio
    studio.announcer.close()


# ── what is on record is said ──
def test_an_open_incident_is_said_in_both_languages_and_in_every_format(studio: Studio) -> None:
    incident_id = studio.opened()
    studio.announcer.round()
    said = studio.said(incident_id)
    assert said is not None
    assert said.made_by is None
    assert said.texts["uk"].startswith("Нам уже відомо про аварію. Проспект Степана Бандери, дванадцять А. Немає опал")
    assert "No heating" in said.texts["en"]
    for language, name in said.sounds.items():
        for format_ in build_prompts.FORMATS:
            assert studio.sound(name, language, format_).stat().st_size > 8000, "more than a second"
    studio.announcer.round()
    assert studio.said(incident_id) == said, "and once"


@ON_ONE
def test_as_time_passes_and_the_record_changes_so_do_the_words(studio: Studio) -> None:
    incident_id = studio.opened()
    assert not studio.announcer.round(), "what was there when we came is no news"
    first = studio.said(incident_id)
    assert first is not None
    assert "Усунути мають сьогодні до п'ятнадцятої години." in first.texts["uk"]
    studio.now += 4 * HOUR
    assert studio.announcer.round(), "news"
    second = studio.said(incident_id)
    assert second is not None
    assert "поки не відомо" in second.texts["uk"]
    assert studio.sound(first.sounds["uk"]).exists(), "somebody may be listening to it"
    studio.city.write(lambda conn: incidents.close(conn, incident_id, result="Замінили", now=studio.now, staff_id=None))
    studio.announcer.round()
    assert studio.said(incident_id) is None


@ON_ONE
async def test_a_persons_words_are_said_instead_and_english_speakers_hear_what_is_on_record(studio: Studio) -> None:
    incident_id = studio.opened()
    studio.announcer.round()
    await studio.say(incident_id, uk="Тепло буде о шостій вечора.")
    studio.announcer.round()
    said = studio.said(incident_id)
    assert said is not None
    assert (said.texts["uk"], said.texts["en"]) == ("Тепло буде о шостій вечора.", "")
    assert studio.sound(said.sounds["uk"]).exists()
    assert studio.sound(said.sounds["en"], "en").exists()
    studio.city.write(lambda conn: announcements.hush(conn, incident_id, now=studio.now, staff_id=studio.staff))
    studio.announcer.round()
    silent = studio.said(incident_id)
    assert silent is not None
    assert silent.silent
    assert silent.sounds == {"uk": "", "en": ""}


@ON_ONE
async def test_a_sound_that_was_lost_is_made_again(studio: Studio) -> None:
    """After a backup was played back, say."""
    await studio.say(None, uk="У місті ожеледь.")
    said = studio.said(None)
    assert said is not None
    made = studio.sound(said.sounds["uk"])
    for file in made.parent.iterdir():
        file.unlink()
    made.parent.rmdir()
    studio.announcer.round()
    assert made.exists()
    assert studio.said(None) == said


@ON_ONE
def test_what_nobody_plays_any_more_is_removed_in_time(studio: Studio) -> None:
    old = studio.folder / build_prompts.speak("Старе повідомлення.", "uk", studio.folder).name
    made = studio.folder / "uk" / old.relative_to(studio.folder).parent
    incident_id = studio.opened()
    studio.announcer.round()
    assert made.exists()
    hours_ago = time.time() - announcer.KEPT_S - 60
    said = studio.said(incident_id)
    assert said is not None
    for folder in (made, studio.sound(said.sounds["uk"]).parent):
        os.utime(folder, (hours_ago, hours_ago))
    studio.announcer.round()
    assert not made.exists()
    assert studio.sound(said.sounds["uk"]).exists()


# ── twenty seconds ──
LONG = {"subject_uk": "Графік руху автобусів, трамваїв і тролейбусів",
        "subject_en": "Timetable of buses, trams and trolleybuses"}  # fmt: skip


@pytest.mark.parametrize("place", [
    {"street": "вулиця Митрополита Василя Липківського", "building": "148-А/142 к. 2"},
    {"street": "бульвар Академіка Вернадського", "building": "187/179 к. 29"},
    {"building_id": None, "network_id": 1, "network_kind": "water",
     "network": "насосна станція на проспекті Академіка Глушкова № 148"},
    {"building_id": None, "place": "перехрестя вулиць Митрополита Василя Липківського та Солом'янської"},
])  # fmt: skip
@pytest.mark.parametrize("language", prompts.LANGUAGES)
def test_the_longest_plausible_place_fits_and_says_until_when(place: dict[str, Any], language: str,
                                                              tmp_path: Path) -> None:  # fmt: skip
    of = incident(**LONG, **place, proposed_at=NOON - 26 * HOUR, expected_at=NOON + dt.timedelta(days=9, minutes=59))
    forms = announcing.forms(of, NOON, language)
    spoken = [build_prompts.speak(form, language, tmp_path).seconds for form in forms]
    assert min(spoken) <= LONGEST_S
    assert spoken[-1] < 12, "the shortest fits whatever the place"


@ON_ONE
async def test_longer_words_are_refused_with_their_seconds(studio: Studio) -> None:
    with pytest.raises(BadInput) as refused:
        await studio.announcer.speak({"uk": "Ремонтна бригада працює. " * 20})
    assert refused.value.id == "announcement.too_long"
    assert 20 < int(str(refused.value.details["seconds"])) < 80
    with pytest.raises(BadInput, match="no_text"):
        await studio.announcer.speak({"en": "English alone"})


# ── what goes wrong ──
@ON_ONE
async def test_where_nothing_can_be_spoken_callers_hear_nothing_and_it_is_tried_again(
        studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    incident_id = studio.opened()
    runs = build_prompts._run

    def broken(program: str, *arguments: str | Path) -> None:
        raise subprocess.CalledProcessError(1, program, stderr="no voice")

    monkeypatch.setattr(build_prompts, "_run", broken)
    studio.announcer.round()
    assert studio.said(incident_id) is None
    with pytest.raises(CentreError) as refused:
        await studio.announcer.speak({"uk": "Вода буде."})
    assert refused.value.id == "announcement.not_spoken"
    assert "no voice" in str(refused.value.details["why"])
    assert not list(studio.folder.glob("*/announcements/*")), "nothing half made"
    monkeypatch.setattr(build_prompts, "_run", runs)
    studio.announcer.round()
    assert studio.said(incident_id) is None, "not every few seconds"
    studio.now += dt.timedelta(seconds=announcer.TRIED_AGAIN_S)
    studio.announcer.round()
    assert studio.said(incident_id) is not None


def test_building_the_prompts_leaves_what_is_being_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = build_prompts.speak("Воду дадуть завтра.", "uk", tmp_path)
    stray = tmp_path / "uk" / "stray.wav"
    stray.write_bytes(b"")
    build_prompts._publish([], tmp_path)
    assert (tmp_path / "uk" / f"{made.name}.wav16").exists()
    assert not stray.exists()


# ── news, once a call ──
@ON_ONE
def test_a_call_hears_it_once_and_new_words_again(studio: Studio) -> None:
    incident_id = studio.opened()
    studio.city.write(lambda conn: citizens.update(conn, studio.city.citizen, building_id=studio.city.building))
    studio.announcer.round()
    tell = _teller(studio)
    assert tell()["CALL_INCIDENT"] == str(incident_id)
    assert tell() == {}
    assert tell("1.2") != {}
    studio.now += 4 * HOUR
    studio.announcer.round()
    assert tell() != {}
    assert tell() == {}


def _teller(studio: Studio) -> Callable[..., dict[str, str]]:
    def tell(linkedid: str = LINKEDID) -> dict[str, str]:
        with studio.city.db.read() as conn:
            return studio.announcer.tell(linkedid, announcements.news(conn, PHONE), "uk")

    return tell


# ── choosing ──
@ON_ONE
def test_who_may_choose_is_told_the_great_ones(studio: Studio) -> None:
    incident_id = studio.opened()
    _prompts(studio.folder)
    studio.announcer.round()
    assert studio.announcer.offer("uk") == {}, "nobody complains yet"

    def two_join(conn: Any) -> None:
        for n in range(2):
            calls.arrived(conn, f"1.{n}", at=NOON, origin="mobile")
            incident_callers.join(conn, incident_id, e164=f"+38050000000{n}", linkedid=f"1.{n}", language="uk",
                                  now=NOON)  # fmt: skip

    studio.city.write(two_join)
    studio.announcer.round()
    offered = studio.announcer.offer("uk")
    assert offered["CHOICE_1"] == str(incident_id)
    intro, name, key, other = offered["CHOICE_SAY"].split("&")
    assert (intro, key, other) == ("choice-intro", "choice-1", "choice-else")
    assert studio.sound(name).exists()
    assert offered["CHOICE_SAY_1"] == studio.said(incident_id).sounds["uk"]  # type: ignore[union-attr]
    studio.now += 13 * HOUR
    studio.announcer.round()
    assert studio.announcer.offer("uk") == {}, "by now whoever suffers has called"


def _prompts(folder: Path) -> None:
    """Those of the choice, as they are."""
    for language in prompts.LANGUAGES:
        for name in ("choice-intro", "choice-1", "choice-2", "choice-3", "choice-else"):
            made = build_prompts.speak(prompts.texts(language)[name], language, folder)
            (folder / language / f"{name}.alaw").write_bytes((folder / language / f"{made.name}.alaw").read_bytes())


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 30)), max_size=8))
def test_the_greatest_three_that_are_young(found: list[tuple[int, int]]) -> None:
    given_ = [(incident(id=n, opened_at=NOON - hours * HOUR), people) for n, (people, hours) in enumerate(found)]
    chosen = to_choose(given_, NOON, Rules(people=10, hours=12))
    may = sorted((people for people, hours in found if people >= 10 and hours < 12), reverse=True)
    assert [found[each.id][0] for each in chosen] == may[:3]
    assert all(found[each.id][1] < 12 for each in chosen)


@given(st.lists(st.floats(0.5, 25), max_size=3), st.floats(0.5, 6), st.floats(0.1, 2))
def test_a_choice_is_never_longer_than_twenty_seconds(names: list[float], intro: float, key: float) -> None:
    seconds = {"choice-intro": intro, "choice-else": 1.5, **{f"choice-{n}": key for n in (1, 2, 3)}}
    choices = [Choice(n, n, {"uk": Spoken(f"n{n}", takes)}, {"uk": f"s{n}"}) for n, takes in enumerate(names)]
    said = choice_of(choices, "uk", seconds.__getitem__)
    if not said:
        assert all(intro + 1.5 + key + takes > LONGEST_S for takes in names)
        return
    played = said["CHOICE_SAY"].split("&")
    assert sum(seconds[p] if p in seconds else names[int(p[1:])] for p in played) <= LONGEST_S + 1e-6
    keys = [p for p in played if p in ("choice-1", "choice-2", "choice-3")]
    assert keys == [f"choice-{n}" for n in range(1, len(keys) + 1)]
    for n in range(1, len(keys) + 1):
        assert said[f"CHOICE_SAY_{n}"] == f"s{said[f'CHOICE_{n}']}"
    assert choice_of(choices, "en", seconds.__getitem__) == {}


def test_three_of_the_usual_length_fit(tmp_path: Path) -> None:
    _prompts(tmp_path)
    names = [build_prompts.speak(announcing.name(incident(street=street), "uk"), "uk", tmp_path)
             for street in ("проспект Степана Бандери", "вулиця Хрещатик", "вулиця Антоновича")]  # fmt: skip
    choices = [Choice(n, n, {"uk": each}, {"uk": "x"}) for n, each in enumerate(names)]
    said = choice_of(choices, "uk", lambda name: (tmp_path / "uk" / f"{name}.alaw").stat().st_size / 8000)
    assert "CHOICE_3" in said


