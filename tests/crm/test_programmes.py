"""City programmes: what a building is promised, and appeals answered from that and still confirmed."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from crm import appeals, calls, life, programmes
from crm.calls import Outcome
from crm.confirmation_rules import Result
from crm.errors import BadInput, IllegalAction, NotFound, Stale
from crm.life import Action, State
from crm.programmes import Entry
from crm.schema import edit_log
from crm.seed import load_seed
from crm.store import Database
from tests.crm.conftest import NOON, City


def founded(city: City, name: str = "Гаряча вода", **given: Any) -> int:
    values = {"name_en": "Hot water", "about_uk": "Мережі замінять.", "about_en": "", "ground": "рішення № 1",
              "subject_id": None, "active": True, "staff_id": city.operator, "now": city.now}  # fmt: skip
    return programmes.save(city.conn, None, None, name_uk=name, **{**values, **given})


def promised(city: City, year: int = 2027, **given: Any) -> int:
    id = founded(city, **given)
    programmes.put_building(city.conn, id, city.building, year, "другий під’їзд", staff_id=city.operator, now=city.now)
    return id


def tell(entry: Entry) -> str:
    return f"{entry.programme.name_uk}, {entry.year}. Підстава: {entry.programme.ground}"


def answer(city: City, appeal_id: int, programme_id: int, **given: Any) -> appeals.Appeal:
    return programmes.answer(city.conn, appeal_id, programme_id, tell, staff_id=city.operator, now=city.now, **given)


def test_a_building_knows_its_running_programmes_nearest_year_first(city: City) -> None:
    late, soon = promised(city, 2029, name="Ліфти"), promised(city, 2026)
    promised(city, 2026, name="Завершена", active=False)
    found = programmes.of_building(city.conn, city.building)
    assert [(e.programme.id, e.year, e.note) for e in found] == [(soon, 2026, "другий під’їзд"),
                                                                 (late, 2029, "другий під’їзд")]  # fmt: skip
    assert programmes.of_building(city.conn, city.other_building) == []


def test_an_answer_has_its_ground_and_is_confirmed_as_any_other(city: City) -> None:
    id = promised(city)
    made = city.registered()
    done = answer(city, made.id, id)
    assert done.state is State.AWAITING
    assert done.executed_at == city.now
    history = appeals.history(city.conn, made.id)
    told = next(e for e in history if e.action is Action.ANSWER)
    assert told.note == "Гаряча вода, 2027. Підстава: рішення № 1"
    assert (told.evidence, told.staff_id, told.to_state) == ({"programme": id, "year": 2027}, city.operator,
                                                             State.EXECUTED)  # fmt: skip
    assert life.replay(e.action for e in history)[0] is State.AWAITING
    assert [line.answer for line in appeals.of_building(city.conn, city.building)] == [told.note]
    assert [due.citizen_id for due in city.due()] == [city.citizen]
    city.say(done, Result.NOT_SOLVED, note="Вода холодна")
    assert city.get(done).state is State.RETURNED  # the resident does not take it for a solution
    answer(city, made.id, id)
    city.say(done, Result.SOLVED)
    assert city.get(done).state is State.CLOSED


def test_only_a_promise_that_is_still_ahead_is_an_answer(city: City) -> None:
    id = promised(city, 2025)
    made = city.registered()
    with pytest.raises(BadInput, match=r"programme.year_passed"):
        answer(city, made.id, id)
    programmes.put_building(city.conn, id, city.building, 2026, staff_id=None, now=city.now)
    assert answer(city, made.id, id).state is State.AWAITING  # this very year is ahead
    with pytest.raises(IllegalAction):
        answer(city, made.id, id)


def test_what_the_building_is_not_in_answers_nothing(city: City) -> None:
    ended, other = promised(city, active=False, name="Завершена"), founded(city, "Дахи")
    made, elsewhere = city.registered(), city.registered(building_id=None, place="Сквер")
    for appeal, programme in ((made.id, ended), (made.id, other), (made.id, 999), (elsewhere.id, other)):
        with pytest.raises(BadInput, match=r"programme.not_in_it"):
            answer(city, appeal, programme)
    with pytest.raises(NotFound):
        answer(city, 999, other)
    assert appeals.get(city.conn, made.id).state is State.ASSIGNED


def test_an_answer_is_on_the_version_that_was_seen(city: City) -> None:
    id, made = promised(city), city.registered()
    seen = appeals.get(city.conn, made.id).version
    appeals.act(city.conn, made.id, Action.START, now=city.now)
    with pytest.raises(Stale):
        answer(city, made.id, id, version=seen)


def test_a_programme_needs_a_name_of_its_own_and_a_ground(city: City) -> None:
    founded(city)
    for wrong, id in (({"name": " "}, "programme.empty"), ({"ground": ""}, "programme.empty"),
                      ({"name": "Гаряча вода"}, "programme.known")):  # fmt: skip
        with pytest.raises(BadInput, match=id):
            founded(city, **wrong)


def test_its_list_is_put_moved_and_taken_each_once_in_the_log(city: City) -> None:
    id = promised(city)
    for year in (1999, 2101):
        with pytest.raises(BadInput, match=r"programme.year"):
            programmes.put_building(city.conn, id, city.building, year, staff_id=None, now=city.now)
    with pytest.raises(NotFound):
        programmes.put_building(city.conn, id, 999, 2027, staff_id=None, now=city.now)
    with pytest.raises(NotFound):
        programmes.put_building(city.conn, 999, city.building, 2027, staff_id=None, now=city.now)
    programmes.put_building(city.conn, id, city.building, 2030, staff_id=None, now=city.now)
    programmes.put_building(city.conn, id, city.other_building, 2028, staff_id=None, now=city.now)
    assert [(x.building.number, x.year) for x in programmes.buildings(city.conn, id)] == [("14", 2028), ("12-А", 2030)]
    extent = next(x for x in programmes.programmes(city.conn))
    assert (extent.buildings, extent.first, extent.last) == (2, 2028, 2030)
    for _ in range(2):
        programmes.take_building(city.conn, id, city.building, staff_id=None, now=city.now)
    assert [x.building.number for x in programmes.buildings(city.conn, id)] == ["14"]
    of_list = select(edit_log.c.before, edit_log.c.after).where(edit_log.c.what == "programme_building")
    logged = city.conn.execute(of_list.order_by(edit_log.c.id)).all()
    moved, taken = logged[1], logged[3]
    assert (moved.before["year"], moved.after["year"], taken.before["year"], taken.after) == (2027, 2030, 2030, None)
    assert len(logged) == 4


def test_the_seeds_programmes_stand_on_its_buildings(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    with db.write() as conn:
        load_seed(conn, NOON)
        found = programmes.programmes(conn)
        assert len(found) >= 2
        for each in found:
            assert "зразок" in f"{each.programme.name_uk} {each.programme.ground}".casefold()
            lines = programmes.buildings(conn, each.programme.id)
            assert len(lines) == each.buildings > 0
            assert any(e.programme.id == each.programme.id and e.ahead(NOON)
                       for e in programmes.of_building(conn, lines[-1].building.id))  # fmt: skip
    db.close()


def test_registered_in_a_call_and_answered_at_once_the_call_is_an_appeal(city: City) -> None:
    id = promised(city)
    calls.arrived(city.conn, "1764000000.7", at=city.now, origin="mobile")
    calls.answered(city.conn, "1764000000.7", "101", city.now, city.operator)
    made = city.registered(linkedid="1764000000.7")
    answer(city, made.id, id)
    found = calls.get(city.conn, "1764000000.7")
    assert found is not None
    assert found.outcome == Outcome.APPEAL
