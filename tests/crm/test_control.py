"""The control desk's lists: what stands in each, in what order, and that none of them reads every appeal."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from sqlalchemy import event, text

from crm import appeals, citizens, control, repeats
from crm.appeals import Correction, Registered
from crm.confirmation_rules import Result
from crm.control import Watched
from crm.errors import BadInput, NotFound
from crm.law import Kind
from crm.life import Action, State
from crm.people import Role, add_staff
from crm.schema import department, subject
from crm.store import insert_row
from tests.crm.conftest import City


def numbers(city: City, which: Watched, **more: int) -> list[int]:
    return [line.number for line in control.listed(city.conn, which, city.now, **more)]


def act(city: City, made: Registered, action: Action, **more: object) -> appeals.Appeal:
    return appeals.act(city.conn, made.id, action, now=city.now, note="Підстава", **more)  # type: ignore[arg-type]


def returned(city: City, made: Registered, times: int) -> None:
    for _ in range(times):
        city.execute(made.id)
        city.later(minutes=1)
        city.say(city.get(made), Result.NOT_SOLVED, linkedid=f"{city.now.timestamp():.0f}.1")


# ── the lists ──
def test_what_is_late_and_what_ends_today_by_kyivs_day(city: City) -> None:
    first = city.registered()
    city.later(days=1)
    second = city.registered()
    due = city.get(first).due_at
    city.now = due - dt.timedelta(hours=23)
    assert (numbers(city, Watched.DUE_TODAY), numbers(city, Watched.OVERDUE)) == ([first.number], [])
    city.now = due
    assert (numbers(city, Watched.DUE_TODAY), numbers(city, Watched.OVERDUE)) == ([first.number], [])
    city.now = due + dt.timedelta(seconds=1)
    assert (numbers(city, Watched.DUE_TODAY), numbers(city, Watched.OVERDUE)) == ([second.number], [first.number])
    act(city, first, Action.EXECUTE)
    assert numbers(city, Watched.OVERDUE) == [], "it is for the applicant to say now"


def test_what_was_returned_twice_waits_for_a_decision(city: City) -> None:
    once, twice = city.registered(), city.registered()
    returned(city, once, 1)
    returned(city, twice, 2)
    assert numbers(city, Watched.CONTROL) == [twice.number]
    act(city, twice, Action.ASSIGN, department_id=city.roads)
    assert numbers(city, Watched.CONTROL) == []


def test_what_nobody_has_acknowledged(city: City) -> None:
    made, other, back = (city.registered() for _ in range(3))
    act(city, other, Action.ACKNOWLEDGE)
    act(city, back, Action.ACKNOWLEDGE)
    returned(city, back, 1)
    assert numbers(city, Watched.UNACKNOWLEDGED) == [made.number, back.number]
    assert numbers(city, Watched.UNACKNOWLEDGED, department_id=city.roads) == []
    act(city, other, Action.ASSIGN, department_id=city.roads)
    assert numbers(city, Watched.UNACKNOWLEDGED, department_id=city.roads) == [other.number]


def test_extended_unconfirmed_and_under_personal_control(city: City) -> None:
    extended, lost, watched = (city.registered() for _ in range(3))
    act(city, extended, Action.EXTEND, until=city.now + dt.timedelta(days=40))
    official = add_staff(city.conn, login="mayor", name="Голова", password_hash="-", role=Role.OFFICIAL)
    act(city, watched, Action.TAKE_CONTROL, official_id=official)
    citizens.do_not_call(city.conn, city.citizen)
    act(city, lost, Action.EXECUTE)
    assert numbers(city, Watched.EXTENDED) == [extended.number]
    assert numbers(city, Watched.UNCONFIRMED) == [lost.number]
    assert numbers(city, Watched.PERSONAL) == numbers(city, Watched.PERSONAL, official_id=official) == [watched.number]
    assert numbers(city, Watched.PERSONAL, official_id=city.operator) == []
    assert control.counts(city.conn, city.now) == {
        Watched.OVERDUE: 0, Watched.DUE_TODAY: 0, Watched.CONTROL: 0, Watched.UNACKNOWLEDGED: 2, Watched.EXTENDED: 1,
        Watched.PERSONAL: 1, Watched.UNCONFIRMED: 1}  # fmt: skip
    act(city, watched, Action.LEAVE_CONTROL)
    assert numbers(city, Watched.PERSONAL) == []


def test_merged_appeals_are_watched_with_the_one_that_leads(city: City) -> None:
    lead, merged = city.registered(), city.registered()
    repeats.merge(city.conn, merged.id, lead.id, now=city.now)
    city.later(days=100)
    assert numbers(city, Watched.OVERDUE) == [lead.number]
    repeats.split(city.conn, merged.id, now=city.now)
    assert numbers(city, Watched.OVERDUE) == [lead.number, merged.number]


def test_a_list_goes_on_and_its_count_ends(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MOST_COUNTED", 3)
    made = [city.registered().number for _ in range(5)]
    found: list[int] = []
    after: int | None = None
    while part := control.listed(city.conn, Watched.UNACKNOWLEDGED, city.now, limit=2, after_id=after):
        found += [line.number for line in part]
        after = part[-1].id
        appeals.act(city.conn, after, Action.ACKNOWLEDGE, now=city.now)  # it leaves the list, which goes on
    assert found == made
    assert control.listed(city.conn, Watched.UNACKNOWLEDGED, city.now, after_id=999_999) == []
    for _ in range(4):
        city.registered()
    assert control.counts(city.conn, city.now)[Watched.UNACKNOWLEDGED] == 3


@pytest.mark.parametrize("which", Watched)
def test_no_list_reads_every_appeal(city: City, which: Watched) -> None:
    if city.conn.dialect.name != "sqlite":
        city.conn.execute(text("SET LOCAL enable_seqscan = off"))  # a small table is read whole, whatever there is
    seen: list[tuple[str, object]] = []
    event.listen(city.conn, "before_cursor_execute", lambda *args: seen.append((args[2], args[3])))
    numbers(city, which)
    statement, values = seen[0]
    explain = "EXPLAIN QUERY PLAN " if city.conn.dialect.name == "sqlite" else "EXPLAIN "
    plan = " ".join(str(row) for row in city.conn.exec_driver_sql(explain + statement, values))  # type: ignore[arg-type]
    assert "SCAN appeal" not in plan
    assert "Seq Scan on appeal" not in plan


# ── what the desk does ──
def test_a_term_is_extended_with_a_reason_and_within_the_law(city: City) -> None:
    made = city.registered()
    before = city.get(made).due_at
    latest = dt.datetime(2027, 1, 8, 21, 59, 59, tzinfo=dt.UTC)  # the 45th day, a Friday in Kyiv
    with pytest.raises(BadInput, match="too_late"):
        act(city, made, Action.EXTEND, until=latest + dt.timedelta(seconds=1))
    with pytest.raises(BadInput, match="needs_later_date"):
        act(city, made, Action.EXTEND, until=before)
    after = act(city, made, Action.EXTEND, until=latest)
    assert (after.due_at, after.extended_at) == (latest, city.now)
    line = appeals.history(city.conn, made.id)[-1]
    assert line.evidence == {"from": before.isoformat(), "until": latest.isoformat()}


def test_a_reprimand_names_the_department_and_changes_nothing_else(city: City) -> None:
    made = city.registered()
    before = city.get(made)
    after = act(city, made, Action.REPRIMAND, department_id=city.roads)
    assert after == appeals.Appeal(**{name: getattr(before, name) for name in before.__dataclass_fields__}
                                   | {"version": before.version + 1})  # fmt: skip
    assert appeals.history(city.conn, made.id)[-1].evidence == {"department_id": city.roads}
    with pytest.raises(NotFound):
        act(city, made, Action.REPRIMAND, department_id=999)


def test_a_complaint_is_never_given_to_whom_it_is_about(city: City) -> None:
    made = city.registered(kind=Kind.COMPLAINT, against_id=city.roads)
    with pytest.raises(BadInput):
        act(city, made, Action.ASSIGN, department_id=city.roads)
    with pytest.raises(BadInput):
        city.registered(kind=Kind.COMPLAINT, against_id=city.roads, department_id=city.roads)


def test_an_official_takes_and_leaves_control(city: City) -> None:
    made = city.registered()
    with pytest.raises(BadInput, match="needs_official"):
        act(city, made, Action.TAKE_CONTROL)
    with pytest.raises(BadInput, match="needs_official"):
        act(city, made, Action.TAKE_CONTROL, official_id=999)
    assert act(city, made, Action.TAKE_CONTROL, official_id=city.operator).official_id == city.operator
    assert act(city, made, Action.LEAVE_CONTROL).official_id is None


# ── what was written down wrong ──
def pothole(city: City, term_days: int | None = None) -> int:
    return insert_row(city.conn, subject, {"name_uk": "Вибоїна", "name_en": "Pothole", "department_id": city.roads,
                                           "term_days": term_days})  # fmt: skip


def test_a_corrected_subject_counts_the_term_anew_from_registration_and_moves_nothing(city: City) -> None:
    made = city.registered()
    city.later(days=3)
    hole = pothole(city, term_days=5)
    after = act(city, made, Action.CORRECT, correction=Correction(hole, Kind.APPLICATION, city.other_building, "7"))
    assert (after.subject_uk, after.building_id, after.flat) == ("Вибоїна", city.other_building, "7")
    assert after.due_at == dt.datetime(2026, 11, 30, 21, 59, 59, tzinfo=dt.UTC)  # five days are over on a Sunday
    assert (after.department_id, after.state) == (city.heating, State.ASSIGNED)
    assert appeals.responsible(city.conn, after) == city.roads, "who is offered to be given it"
    line = appeals.history(city.conn, made.id)[-1]
    assert line.evidence == {"subject_id": city.no_heating, "building_id": city.building, "flat": ""}


def test_what_was_extended_and_told_so_does_not_become_shorter(city: City) -> None:
    made = city.registered()
    until = city.now + dt.timedelta(days=40)
    act(city, made, Action.EXTEND, until=until)
    after = act(city, made, Action.CORRECT, correction=Correction(pothole(city, 5), Kind.APPLICATION, city.building))
    assert after.due_at == until


def test_a_correction_must_correct_something_that_there_is(city: City) -> None:
    made = city.registered()
    its = city.get(made)
    same = Correction(its.subject_id, Kind.APPLICATION, its.building_id)
    for wrong, error in (
        (None, BadInput), (same, BadInput), (Correction(999, Kind.APPLICATION, its.building_id), NotFound),
        (Correction(its.subject_id, Kind.APPLICATION, 999), NotFound),
        (Correction(its.subject_id, Kind.COMPLAINT, its.building_id, against_id=999), NotFound),
    ):  # fmt: skip
        with pytest.raises(error):
            act(city, made, Action.CORRECT, correction=wrong)
    assert city.get(made) == its


def test_a_kind_and_whom_it_is_against_are_corrected_together(city: City) -> None:
    made = city.registered()
    its = city.get(made)
    said = Correction(its.subject_id, Kind.COMPLAINT, its.building_id, against_id=city.heating)
    after = act(city, made, Action.CORRECT, correction=said)
    assert (after.kind, after.against_id) == ("complaint", city.heating)
    assert appeals.responsible(city.conn, after) != city.heating
    after = act(city, made, Action.CORRECT, correction=replace(said, kind=Kind.PROPOSAL))
    assert (after.kind, after.against_id) == ("proposal", None), "only a complaint is against somebody"


# ── looked for ──
def test_appeals_are_found_by_all_that_is_known_of_them(city: City) -> None:
    branch = insert_row(city.conn, subject, {"name_uk": "Дороги", "name_en": "Roads", "department_id": city.roads})
    hole = insert_row(city.conn, subject, {"name_uk": "Яма", "name_en": "Hole", "department_id": city.roads,
                                           "parent_id": branch})  # fmt: skip
    heat = city.registered()
    road = city.registered(subject_id=hole, text="Велика ЯМА біля зупинки", channel="web", kind=Kind.PROPOSAL)
    district = city.get(heat).district_id
    for wanted, expected in (
        ({"subject_id": branch}, [road]), ({"channel": "web"}, [road]), ({"kind": Kind.PROPOSAL}, [road]),
        ({"district_id": district}, [road, heat]), ({"citizen_id": city.citizen}, [road, heat]),
        ({"priority": True}, []), ({"building_id": city.other_building}, []),
    ):  # fmt: skip
        found = appeals.search(city.conn, **wanted)
        assert [line.number for line in found] == [made.number for made in expected], wanted
    for words, expected in (("яма зупинки", [road]), ("іваненко", [road, heat]), ("немає", [heat]), ("трамвай", [])):
        lines, unread = appeals.search_text(city.conn, words)
        assert ([line.number for line in lines], unread) == ([made.number for made in expected], False), words


def test_words_are_looked_for_among_the_latest_and_that_is_said(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appeals, "SEARCHED", 4)
    monkeypatch.setattr(appeals, "SEARCHED_AT_ONCE", 2)
    old = city.registered(text="Трамвай не їде")
    for _ in range(4):
        city.registered()
    assert appeals.search_text(city.conn, "трамвай") == ([], True)
    lines, unread = appeals.search_text(city.conn, "трамвай", number=old.number)
    assert ([line.number for line in lines], unread) == ([old.number], False)


def test_an_inactive_department_is_given_nothing(city: City) -> None:
    closed = insert_row(city.conn, department, {"name": "Ліквідована", "active": False})
    with pytest.raises((BadInput, NotFound)):
        act(city, city.registered(), Action.ASSIGN, department_id=closed)
