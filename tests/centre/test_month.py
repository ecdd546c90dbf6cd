"""The generator's people and appeals, and a short month of life through the real code."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from sqlalchemy import insert, select, update

from centre.sample_life import SampleCity, houses, residents
from centre.sample_life.checks import violations
from centre.sample_life.month import Month
from centre.sample_life.phone import calls_of, seats_for
from centre.sample_life.run import _figures
from centre.sample_life.told import told
from crm import rulebook, seed, store
from crm.life import State
from crm.periods import Period
from crm.phones import parse_phone
from crm.report import Report, report
from crm.schema import appeal, attempt, subject
from crm.store import Database

FIRST, DAYS = dt.date(2026, 10, 1), 2


def lived(db: Database, number: int) -> Report:
    month = Month(db, first=FIRST, days=DAYS, a_day=50, number=number)
    month.run()
    with db.read() as conn:
        return report(conn, Period(FIRST, FIRST + dt.timedelta(days=DAYS - 1)), month.now)


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Report]]:
    """The tests only read it, or roll back."""
    url = f"sqlite:///{tmp_path_factory.mktemp('month')}/1551.db"
    store.migrate(url)
    db = Database(url)
    yield db, lived(db, 1)
    db.close()


def test_a_month_lives_and_nothing_is_wrong(month: tuple[Database, Report]) -> None:
    db, found = month
    with db.read() as conn:
        assert set(violations(conn, found).values()) == {0}
    assert 80 < found.cohort["registered"] < 250
    assert found.cohort["confirmed"] > 5
    assert found.happened["returned"] > 0
    assert found.calls["offered"] > 150
    assert found.callbacks.reached > 10


def test_its_report_is_told_in_both_languages(month: tuple[Database, Report]) -> None:
    db, found = month
    with db.read() as conn:
        ukrainian, english = ("\n".join(told(conn, found, language)) for language in ("uk", "en"))
    assert "Звіт про розгляд звернень з 01.10.2026 до 02.10.2026" in ukrainian
    assert "житлово-комунальне господарство" in ukrainian
    assert "Київтеплоенерго" in english
    assert ukrainian.count("\n") >= english.count("\n") > 20
    assert "{" not in ukrainian + english


def test_the_same_number_gives_the_same_month(month: tuple[Database, Report], sqlite_url: str) -> None:
    db = Database(sqlite_url)
    again = lived(db, 1)
    assert _figures(again) == _figures(month[1])
    db.close()


def test_what_is_wrong_is_found(month: tuple[Database, Report]) -> None:
    db, found = month
    with db.write() as conn:
        open_id = conn.execute(select(appeal.c.id).where(appeal.c.state == State.ASSIGNED.value)).scalars().first()
        conn.execute(update(appeal).where(appeal.c.id == open_id).values(state=State.CLOSED.value))
        one = conn.execute(select(attempt).where(attempt.c.ended_at.is_not(None))).first()
        assert one is not None
        conn.execute(insert(attempt), {**one._asdict(), "id": "cb-twice"})
        wrong = violations(conn, found)
        assert {name for name, count in wrong.items() if count} == {
            "history", "closed_without_evidence", "ended", "called_twice_at_once", "figures"}  # fmt: skip
        conn.rollback()


def test_people_have_numbers_that_can_be_called_and_are_the_same_again() -> None:
    people = list(residents(7, 5000))
    assert people == list(residents(7, 5000))
    assert people != list(residents(8, 5000))
    assert len({each.e164 for each in people}) == len(people)
    assert all(parse_phone(each.e164) == each.e164 for each in people[:200])


def test_houses_are_new_and_appeals_come_in_the_citys_shares(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    with db.write() as conn:
        seed.load_seed(conn, dt.datetime(2026, 10, 1, tzinfo=dt.UTC))
        made = list(houses(conn, 3000))
        assert len({(each.street_id, each.folded) for each in made}) == 3000
        city, chains = SampleCity(conn, 1), rulebook.current(conn).routing.chains
        names = {row.id: row.name_uk for row in conn.execute(select(subject.c.id, subject.c.name_uk))}
        drawn = [(at % 12 + 1, city.appeal(at % 12 + 1)) for at in range(12_000)]
    of_top = Counter(names[chains[each.subject_id][-1]] for _, each in drawn)
    assert 0.65 < of_top["Житлово-комунальне господарство"] / len(drawn) < 0.75
    assert [name for name, _ in of_top.most_common(3)] == [
        "Житлово-комунальне господарство", "Транспорт", "Кіоски і благоустрій"]  # fmt: skip
    heating = Counter(at for at, each in drawn if "Опалення" in {names[id] for id in chains[each.subject_id]})
    assert heating[1] > 20 * max(1, heating[7])
    assert 0.55 < sum(each.channel == "phone" for _, each in drawn) / len(drawn) < 0.7
    db.close()


def test_calls_wait_for_a_free_seat_in_turn() -> None:
    midnight = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
    for seats in (seats_for(2000), seats_for(2000) // 2):
        calls = list(calls_of(Random(1), midnight, 2000, seats))
        busy: list[tuple[dt.datetime, int]] = []
        for each in calls:
            if each.answered_at is not None:
                assert each.queued_at <= each.answered_at < each.ended_at
                busy += [(each.answered_at, 1), (each.ended_at, -1)]
        at_once = peak = 0
        for _, step in sorted(busy):
            at_once += step
            peak = max(peak, at_once)
        assert peak <= seats
        assert len(calls) == 2000
    abandoned = [sum(call.answered_at is None for call in calls_of(Random(1), midnight, 2000, seats))
                 for seats in (seats_for(2000), seats_for(2000) // 2)]  # fmt: skip
    assert abandoned[0] < abandoned[1]
