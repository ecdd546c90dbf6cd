"""What everybody may see of an appeal, and what nobody sees there."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import event, text, update

from crm import addresses, appeals, citizens, public, public_figures
from crm.confirmation_rules import Result
from crm.figures import COHORT
from crm.law import Kind
from crm.life import OPEN, Action, State
from crm.periods import Period, month_of
from crm.schema import building, citizen
from crm.store import insert_row
from crm.suppression import LEAST
from tests.crm.conftest import City


def numbers(city: City, **given: object) -> list[int]:
    return [one.number for one in public.requests(city.conn, **{"limit": 100, **given})]  # type: ignore[arg-type]


def test_newest_first_and_it_goes_on(city: City) -> None:
    made = []
    for n in range(6):
        made.append(city.registered().number)
        city.later(minutes=n // 2)  # some in the same moment
    found: list[int] = []
    after: int | None = None
    while part := public.requests(city.conn, limit=2, after=after):
        found += [one.number for one in part]
        after = found[-1]
    assert found == made[::-1]
    assert numbers(city, after=999_999) == []


def test_what_was_brought_over_stands_where_it_came(city: City) -> None:
    now = city.registered().number
    city.now -= dt.timedelta(days=30)
    old = city.registered().number
    assert numbers(city) == [now, old]


def test_all_that_is_asked_for_holds(city: City) -> None:
    roads = insert_row(city.conn, public.subject, {"name_uk": "Яма", "name_en": "A hole", "department_id": city.roads})
    first = city.registered()
    city.later(days=1)
    second = city.registered(subject_id=roads, building_id=None, place="біля парку")
    appeals.act(city.conn, second.id, Action.REFUSE, now=city.now, note="Ні")
    both = [second.number, first.number]
    district = city.get(first).district_id
    assert numbers(city) == both
    assert numbers(city, numbers=[first.number, 1]) == [first.number]
    assert numbers(city, subject_ids=[roads]) == [second.number]
    assert numbers(city, district_id=district) == [first.number]
    assert numbers(city, is_open=True) == numbers(city, stage="accepted") == [first.number]
    assert numbers(city, is_open=False) == numbers(city, stage="refused") == [second.number]
    assert numbers(city, is_open=True, stage="refused") == []
    assert numbers(city, since=city.now) == [second.number]
    assert numbers(city, until=city.now) == [first.number]


def test_it_says_when_it_last_went_on_and_who_is_responsible(city: City) -> None:
    made = city.registered()
    began = city.now
    city.later(days=2)
    appeals.act(city.conn, made.id, Action.EXECUTE, now=city.now, note="Відновили")
    executed = city.now
    city.later(days=1)
    appeals.act(city.conn, made.id, Action.REPRIMAND, now=city.now, note="Погано", department_id=city.heating)
    its = public.request(city.conn, made.number)
    assert its is not None
    assert (its.registered_at, its.updated_at, its.due_at) == (began, executed, city.get(made).due_at)
    assert (its.department, its.district_uk, its.channel) == ("Київтеплоенерго", "Оболонський", "phone")
    assert (its.state, its.stage, its.is_open) == (State.AWAITING, "executed", True)


def test_every_state_is_in_one_stage_and_only_what_has_ended_is_closed() -> None:
    assert sorted(state for states in public.STAGES.values() for state in states) == sorted(State)
    assert public.OPEN > OPEN
    assert State.EXECUTED in public.OPEN, "the department's word closes nothing"


def test_a_street_is_shown_only_where_it_leads_to_no_house(city: City) -> None:
    made = city.registered()

    def street() -> str:
        its = public.request(city.conn, made.number)
        assert its is not None
        return its.street

    home = city.conn.execute(building.select().where(building.c.id == city.building)).one()
    elsewhere = addresses.add_district(city.conn, "Подільський", "Podilskyi")
    for number in range(LEAST):
        addresses.add_building(city.conn, home.street_id, f"2{number}", elsewhere)
    assert street() == "", "two houses of this district"
    for number in range(LEAST - 3):
        addresses.add_building(city.conn, home.street_id, f"3{number}", home.district_id)
    assert street() == ""
    addresses.add_building(city.conn, home.street_id, "40", home.district_id)
    assert street() == "проспект Степана Бандери"


def test_complaints_and_what_was_erased_are_nobodys_to_see(city: City) -> None:
    shown = city.registered()
    complaint = city.registered(kind=Kind.COMPLAINT)
    against = city.registered(kind=Kind.COMPLAINT, against_id=city.roads)
    his = city.registered()
    appeals.act(city.conn, his.id, Action.REFUSE, now=city.now, note="Ні")
    other = city.registered(None, building_id=None, place="на розі")
    assert numbers(city) == [other.number, his.number, shown.number]
    city.conn.execute(update(citizen).values(erased_at=city.now))
    assert numbers(city) == [other.number]
    for made in (complaint, against, his):
        assert public.request(city.conn, made.number) is None


def test_only_the_time_asked_for_is_walked_back_and_not_sorted(city: City) -> None:
    if city.conn.dialect.name != "sqlite":
        city.conn.execute(text("SET LOCAL enable_seqscan = off"))  # a small table is read whole, whatever there is
    explain = "EXPLAIN QUERY PLAN " if city.conn.dialect.name == "sqlite" else "EXPLAIN "
    last = city.registered().number
    seen: list[tuple[str, object]] = []
    event.listen(city.conn, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
    asked: tuple[dict[str, object], ...] = ({}, {"stage": "solved"}, {"is_open": True}, {"is_open": False},
                                            {"subject_ids": [1]}, {"district_id": 1}, {"after": last})  # fmt: skip
    for each in asked:
        numbers(city, since=city.now - dt.timedelta(days=90), until=city.now, **each)
        statement, values = seen[-1]
        rows = city.conn.exec_driver_sql(explain + statement, values)  # type: ignore[arg-type]
        plan = "\n".join(str(row) for row in rows)
        assert "ix_appeal_registered_at" in plan
        assert "ix_appeal_state" not in plan
        for table in ("appeal", "citizen", "appeal_event"):
            assert f"SCAN {table}" not in plan, plan
            assert f"Seq Scan on {table}" not in plan, plan


# ── figures ──
def a_month(city: City) -> public_figures.Month:
    return public_figures.month(city.conn, month_of(dt.date(2026, 11, 24)), lambda subject: subject)


def test_figures_say_where_the_appeals_of_a_month_stand_now(city: City) -> None:
    """Six solved by the residents' word after thirty hours, five that await it, ten in work."""
    for n in range(LEAST + 1):
        its = city.registered()
        city.later(hours=30)
        city.execute(its.id)
        city.say(city.get(its), Result.SOLVED, linkedid=f"1764000000.{n}")
        city.now -= dt.timedelta(hours=30)
    for _ in range(10):
        city.registered()
    for _ in range(LEAST):
        city.execute(city.registered().id)
    made = a_month(city)
    assert made.whole.registered == 10 + LEAST + 1 + LEAST
    assert dict(made.whole.standing) == {"in_work": 10, "awaiting": LEAST, "confirmed": LEAST + 1, "unconfirmed": 0,
                                         "otherwise": 0}  # fmt: skip
    assert made.whole.share == (LEAST + 1) / (2 * LEAST + 1)
    assert made.whole.days == 2, "half of them within thirty hours"
    assert made.subjects == {city.no_heating: made.whole}
    assert list(made.districts.values()) == [made.whole]


def test_of_few_neither_a_number_nor_a_share_nor_days_are_told(city: City) -> None:
    for _ in range(LEAST):
        city.registered()
    its = city.executed()
    city.say(its, Result.SOLVED)
    whole = a_month(city).whole
    assert (whole.registered, whole.standing["confirmed"], whole.share, whole.days) == (LEAST + 1, None, None, None)


def test_what_the_list_leaves_out_is_in_no_figure(city: City) -> None:
    """Else whoever counts the list would know how many complaints there are, and about what."""
    for _ in range(LEAST + 1):
        city.registered()
    erased = citizens.add(city.conn, now=city.now, name="Іван Мельник")
    for made in (city.registered(kind=Kind.COMPLAINT), city.registered(kind=Kind.COMPLAINT, against_id=city.roads),
                 *(city.registered(erased) for _ in range(LEAST))):  # fmt: skip
        city.execute(made.id)
    city.conn.execute(update(citizen).where(citizen.c.id == erased).values(erased_at=city.now))
    made = a_month(city)
    assert len(numbers(city)) == LEAST + 1
    for line in (made.whole, *made.subjects.values(), *made.districts.values()):
        assert (line.registered, line.standing["in_work"], line.standing["awaiting"]) == (LEAST + 1, LEAST + 1, 0)
        assert line.days is None


def test_an_empty_month_is_noughts_and_no_other_period_is_published(city: City) -> None:
    made = a_month(city)
    assert (made.whole.registered, set(made.whole.standing.values()), made.whole.share) == (0, {0}, None)
    with pytest.raises(ValueError, match="month"):
        public_figures.month(city.conn, Period(dt.date(2026, 11, 2), dt.date(2026, 11, 30)), lambda subject: subject)


def test_every_state_stands_in_one_column() -> None:
    assert sorted(each for of in public_figures.STANDING.values() for each in of) == sorted(
        COHORT.keys() - {"registered", "executed", "on_time", "returned", "repeated"})  # fmt: skip
