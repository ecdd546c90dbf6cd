"""A caller whose building is in an open incident: what he is told as he comes and as he waits, and his key."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from sqlalchemy import select

from centre.settings import Settings
from crm import announcements, appeals, calls, citizens, incidents
from crm.errors import BadInput
from crm.schema import incident_caller
from crm.store import Statement
from ivr import agi, prompts
from ivr.announcer import Announcer, Choice
from ivr.build_prompts import Spoken
from ivr.incident_steps import IncidentSteps
from ivr.spool import Spool
from ivr.steps import Steps
from recordings.library import announced
from tests.ivr.conftest import LINKEDID, NOON, PHONE, STRANGER, City
from tests.ivr.test_steps import Room

SOUNDS = {"uk": "announcements/aa/said", "en": "announcements/bb/said"}


class Hall:
    """The steps, with an announcer whose sounds are said to be there."""

    def __init__(self, city: City, var: Path) -> None:
        self.city = city
        settings = Settings(var=var, opens="08:00", closes="20:00")
        self.announcer = Announcer(city.db, city.writer, settings.prompts, lambda: NOON)
        self.now = NOON
        steps = Steps(city.db, city.writer, settings, Room(), lambda: self.now, announcer=self.announcer)
        self.steps = {**steps.by_name(), **IncidentSteps(city.db, city.writer, lambda: self.now).by_name()}
        city.write(lambda conn: citizens.update(conn, city.citizen, building_id=city.building))

    def opened(self, sounds: dict[str, str] | None = None) -> int:
        with self.city.db.write() as conn:
            made = incidents.declare(conn, subject_id=self.city.no_heating, building_id=self.city.building,
                                     cause="Прорвало трубу", now=NOON, staff_id=None)  # fmt: skip
            announcements.by_default(conn, made, {"uk": "Немає тепла.", "en": "No heat."}, sounds or SOUNDS, NOON)
            return made

    async def ask(self, step: str, *args: object) -> dict[str, str]:
        found = await self.steps[step]([str(arg) for arg in args], {})
        agi.set_variables(found)
        return found

    async def arrives(self, caller: str = PHONE, linkedid: str = LINKEDID) -> dict[str, str]:
        return await self.ask("arrival", linkedid, "mobile", caller)

    async def waits(self, caller: str = PHONE, language: str = "uk") -> dict[str, str]:
        return await self.ask("waiting", LINKEDID, caller, language, "853968000", "CONTINUE")


@pytest.fixture
def hall(city: City, tmp_path: Path) -> Hall:
    return Hall(city, tmp_path)


# ── told as he comes ──
async def test_who_lives_there_is_told_before_the_menu(hall: Hall) -> None:
    assert "CALL_INCIDENT" not in await hall.arrives()
    incident_id = hall.opened()
    found = await hall.arrives(linkedid="1.2")
    assert (found["CALL_INCIDENT"], found["INCIDENT_SAY"]) == (str(incident_id), SOUNDS["uk"])
    assert found["INCIDENT_OTHER"] == SOUNDS["en"], "for key 9"
    hall.city.write(lambda conn: citizens.update(conn, hall.city.citizen, language="en"))
    assert (await hall.arrives(linkedid="1.3"))["INCIDENT_SAY"] == SOUNDS["en"]
    assert "CALL_INCIDENT" not in await hall.arrives(STRANGER, "1.4")


async def test_what_is_not_spoken_in_his_language_he_is_not_told(hall: Hall) -> None:
    hall.opened({"uk": SOUNDS["uk"], "en": ""})
    hall.city.write(lambda conn: citizens.update(conn, hall.city.citizen, language="en"))
    assert "CALL_INCIDENT" not in await hall.arrives()


async def test_closed_he_is_told_of_his_building_and_nobody_chooses(hall: Hall) -> None:
    incident_id = hall.opened()
    hall.announcer.choices = [Choice(1, 7, {"uk": Spoken("announcements/cc/said", 4.0)}, SOUNDS)]
    hall.now = NOON + dt.timedelta(hours=9)
    found = await hall.arrives()
    assert (found["CALL_STAGE"], found["CALL_INCIDENT"]) == ("closed", str(incident_id))
    assert "CHOICE_SAY" not in await hall.arrives(STRANGER, "1.2")


async def test_who_calls_from_nowhere_known_may_choose(hall: Hall) -> None:
    for name in ("choice-intro", "choice-1", "choice-else"):
        path = hall.announcer._prompts / "uk" / f"{name}.alaw"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(8000))
    hall.announcer.choices = [Choice(1, 7, {"uk": Spoken("announcements/cc/said", 4.0)}, SOUNDS)]
    found = await hall.arrives(STRANGER)
    assert found["CHOICE_SAY"] == "choice-intro&announcements/cc/said&choice-1&choice-else"
    assert (found["CHOICE_1"], found["CHOICE_SAY_1"]) == ("7", SOUNDS["uk"])
    assert "CHOICE_SAY" not in await hall.arrives(linkedid="1.2"), "where he lives nothing has happened"
    assert "CHOICE_SAY" in await hall.arrives("", "1.3")


async def test_the_longest_answer_fits(hall: Hall) -> None:
    sounds = {"uk": f"announcements/{'f' * 32}/said"}
    hall.announcer.choices = [Choice(n, 10**8 + n, {"uk": Spoken(sounds["uk"], 1.0)}, sounds) for n in range(3)]
    hall.announcer._seconds = lambda name, language: 1.0  # type: ignore[method-assign]
    assert len(agi.set_variables(await hall.arrives(STRANGER))) < agi.LONGEST / 2


async def test_on_a_day_without_incidents_a_resident_costs_one_statement_more_and_a_stranger_none(
        hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Statement] = []
    run = Statement.__call__

    def counted(self: Statement, conn: object, values: object) -> object:
        asked.append(self)
        return run(self, conn, values)  # type: ignore[arg-type]

    monkeypatch.setattr(Statement, "__call__", counted)
    ours = (announcements._ANY, announcements._NEWS, announcements._HIS)
    await hall.arrives()
    assert [each for each in asked if each in ours] == [announcements._ANY]
    asked.clear()
    await hall.arrives(STRANGER, "1.2")
    assert [each for each in asked if each in ours] == []


# ── told as he waits ──
async def test_who_waits_is_told_when_it_is_opened_and_when_the_words_change_and_no_more(hall: Hall) -> None:
    await hall.arrives()
    await hall.ask("enqueue", LINKEDID, "mobile", PHONE, "uk", "queue")
    assert (await hall.waits())["ASK"] == ""
    incident_id = hall.opened()
    found = await hall.waits()
    assert (found["ASK"], found["CALL_INCIDENT"], found["INCIDENT_SAY"]) == ("incident", str(incident_id), SOUNDS["uk"])
    assert found["QUEUE_NAME"] == "city", "and he goes on waiting"
    assert (await hall.waits())["ASK"] == ""
    with hall.city.db.write() as conn:
        announcements.by_default(conn, incident_id, {"uk": "Тепло буде о шостій.", "en": ""}, SOUNDS, NOON)
    assert (await hall.waits())["ASK"] == "incident"


async def test_who_heard_it_as_he_came_is_not_told_again(hall: Hall) -> None:
    hall.opened()
    await hall.arrives()
    await hall.ask("enqueue", LINKEDID, "mobile", PHONE, "uk", "queue")
    assert (await hall.waits())["ASK"] == ""


# ── his key ──
def said(found: dict[str, str]) -> str:
    return " ".join(prompts.texts("uk")[name] for name in found["SAY"].split("&"))


async def test_a_resident_hears_his_appeals_number(hall: Hall) -> None:
    incident_id = hall.opened()
    found = await hall.ask("join", LINKEDID, PHONE, "uk", incident_id)
    with hall.city.db.read() as conn:
        row = conn.execute(select(incident_caller)).one()
        number = appeals.get(conn, row.appeal_id).number
        call = calls.get(conn, LINKEDID)
    assert said(found).startswith("Дякуємо. Ваше звернення зареєстровано. Його номер")
    assert found["SAY"].split("&")[1:] == [f"number-{f'{number:08}'[at:at + 2]}" for at in range(0, 8, 2)]
    assert call is not None
    assert call.caller == PHONE, "also when his arrival was never told"
    assert await hall.ask("join", LINKEDID, PHONE, "uk", incident_id) == found


@pytest.mark.parametrize(("caller", "prompt"), [(STRANGER, "incident-counted"), ("", "incident-no-number"),
                                                ("anonymous", "incident-no-number")])  # fmt: skip
async def test_others_hear_that_they_are_counted(hall: Hall, caller: str, prompt: str) -> None:
    assert (await hall.ask("join", LINKEDID, caller, "uk", hall.opened()))["SAY"] == prompt


async def test_who_is_too_late_hears_that_it_is_over(hall: Hall) -> None:
    incident_id = hall.opened()
    hall.city.write(lambda conn: incidents.close(conn, incident_id, result="Замінили", now=NOON, staff_id=None))
    assert (await hall.ask("join", LINKEDID, PHONE, "uk", incident_id))["SAY"] == "incident-over"


@pytest.mark.parametrize("args", [(LINKEDID, PHONE, "xx", "1"), (LINKEDID, PHONE, "uk", ""),
                                  (LINKEDID, PHONE, "uk", "1; DROP"), ("../x", PHONE, "uk", "1")])  # fmt: skip
async def test_what_cannot_be_is_left_to_the_dialplan(hall: Hall, args: tuple[str, ...]) -> None:
    hall.opened()
    with pytest.raises(BadInput):
        await hall.ask("join", *args)


# ── written down while we were away ──
def take(hall: Hall, folder: Path, **fields: object) -> list[str]:
    """The files that could not be taken."""
    folder.mkdir(exist_ok=True)
    at = NOON.timestamp() + 60
    told = {"kind": "join", "at": at, "uniqueid": LINKEDID, "linkedid": LINKEDID, "origin": "mobile", "caller": PHONE,
            "language": "uk", **fields}  # fmt: skip
    (folder / f"{at:.6f}-{LINKEDID}-join.json").write_text(json.dumps(told))
    return Spool(folder, hall.city.writer, hall.city.rules, announced, lambda: NOON).take().bad


def joined(hall: Hall) -> list[tuple[int, str, bool]]:
    with hall.city.db.read() as conn:
        return [(row.incident_id, row.e164, row.appeal_id is not None) for row in conn.execute(select(incident_caller))]


async def test_a_key_written_down_counts_once_also_when_it_was_told_live(hall: Hall, tmp_path: Path) -> None:
    incident_id = hall.opened()
    assert take(hall, tmp_path / "spool", incident=str(incident_id)) == []
    assert take(hall, tmp_path / "spool", incident=str(incident_id)) == []
    await hall.ask("join", LINKEDID, PHONE, "uk", incident_id)
    assert joined(hall) == [(incident_id, PHONE, True)]


def test_a_key_pressed_before_it_was_over_counts(hall: Hall, tmp_path: Path) -> None:
    incident_id = hall.opened()
    later = NOON + dt.timedelta(minutes=5)
    hall.city.write(lambda conn: incidents.close(conn, incident_id, result="Замінили", now=later, staff_id=None))
    assert take(hall, tmp_path / "spool", incident=str(incident_id)) == []
    assert joined(hall) == [(incident_id, PHONE, False)]


@pytest.mark.parametrize("incident", ["", "x", "999999"])
def test_a_file_that_makes_no_sense_is_set_aside(hall: Hall, tmp_path: Path, incident: str) -> None:
    hall.opened()
    assert len(take(hall, tmp_path / "spool", incident=incident)) == 1
    assert joined(hall) == []
