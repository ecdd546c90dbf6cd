"""The city edits its subjects, departments and routing: nothing is lost, nothing contradicts itself, all is logged."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from crm import addresses, appeals, departments, edits, networks, notices, routing, routing_editions, rulebook, seed
from crm.departments import Subject
from crm.errors import BadInput, IllegalAction, NotFound, Stale
from crm.life import Action, State
from crm.schema import building, department, edit_log, notice, routing_rule, subject
from crm.store import Database
from tests.crm.conftest import NOON, City, found_city

WHO: dict[str, Any] = {"now": NOON, "staff_id": None}


def add(conn: Connection, name: str, department_id: int, parent_id: int | None = None, **given: Any) -> int:
    values = {"name_en": name, "term_days": None, "kind": "application", "active": True, "parent_id": parent_id,
              **WHO, **given}  # fmt: skip
    return departments.save_subject(conn, None, name_uk=name, department_id=department_id, **values)


def change(conn: Connection, id: int, **given: Any) -> int:
    its = conn.execute(select(subject).where(subject.c.id == id)).mappings().one()
    values = {name: its[name] for name in ("name_uk", "name_en", "parent_id", "department_id", "term_days", "kind",
                                           "active")}  # fmt: skip
    return departments.save_subject(conn, id, **{**values, **WHO, **given})


def change_department(conn: Connection, id: int, **given: Any) -> int:
    its = conn.execute(select(department).where(department.c.id == id)).mappings().one()
    values = {name: its[name] for name in ("name", "email", "phone", "kind", "superior_id", "is_desk", "active")}
    return departments.save_department(conn, id, **{**values, **WHO, **given})


@dataclass
class Tree:
    """Three subjects one below another, and a second top."""

    city: City
    conn: Connection
    housing: int
    heating: int
    cold: int
    roads: int


@pytest.fixture
def tree(city: City) -> Tree:
    conn = city.conn
    housing = add(conn, "Житло", city.heating)
    heating = add(conn, "Опалення", city.heating, housing)
    return Tree(city, conn, housing, heating, add(conn, "Холодні батареї", city.heating, heating, term_days=15),
                add(conn, "Дороги", city.roads))  # fmt: skip


def names(conn: Connection) -> list[tuple[int, str]]:
    return [(each.depth, each.name_uk) for each in departments.subjects(conn)]


# ── subjects ──
def test_the_tree_is_read_from_above_and_moved_with_all_below(tree: Tree) -> None:
    assert names(tree.conn) == [(0, "Немає опалення"), (0, "Житло"), (1, "Опалення"), (2, "Холодні батареї"),
                                (0, "Дороги")]  # fmt: skip
    change(tree.conn, tree.heating, parent_id=tree.roads)
    assert names(tree.conn) == [(0, "Немає опалення"), (0, "Житло"), (0, "Дороги"), (1, "Опалення"),
                                (2, "Холодні батареї")]  # fmt: skip
    cold = departments.subjects(tree.conn)[-1]
    assert (cold.group_uk, cold.leaf, cold.offered) == ("Дороги › Опалення", True, True)


def test_a_subject_is_never_under_itself(tree: Tree) -> None:
    for parent_id in (tree.housing, tree.heating, tree.cold):
        with pytest.raises(BadInput, match=r"subject\.circle"):
            change(tree.conn, tree.housing, parent_id=parent_id)


def test_a_subject_that_cannot_be_is_refused_and_nothing_changes(tree: Tree) -> None:
    before = departments.subjects(tree.conn)
    for wrong, problem in (
        ({"name_uk": "  "}, "no_name"), ({"name_en": ""}, "no_name"), ({"name_uk": "Дороги"}, "name_taken"),
        ({"term_days": 0}, "term"), ({"term_days": 31}, "term"), ({"kind": "petition"}, "kind"),
        ({"name_uk": "н" * 121}, "too_long"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=problem):
            change(tree.conn, tree.housing, **wrong)
    assert departments.subjects(tree.conn) == before


def test_a_subject_leads_to_the_citys_own_departments_only(tree: Tree) -> None:
    with pytest.raises(BadInput, match=r"subject\.outside"):
        change(tree.conn, tree.housing, department_id=tree.city.police)
    for wrong in ({"department_id": 999}, {"parent_id": 999}):
        with pytest.raises(NotFound):
            change(tree.conn, tree.housing, **wrong)
    with pytest.raises(NotFound, match=r"subject\.unknown"):
        departments.save_subject(tree.conn, 999, name_uk="Н", name_en="N", parent_id=None, term_days=None, active=True,
                                 department_id=tree.city.roads, kind="application", **WHO)  # fmt: skip


def test_what_is_inactive_is_not_offered_nor_what_is_below_it_but_its_appeals_live_on(tree: Tree) -> None:
    made = tree.city.registered(subject_id=tree.cold)
    change(tree.conn, tree.housing, active=False)
    assert [s.name_uk for s in departments.subjects(tree.conn) if s.offered] == ["Немає опалення", "Дороги"]
    with pytest.raises(BadInput, match=r"subject\.inactive"):
        tree.city.registered(subject_id=tree.cold)
    assert tree.city.execute(made.id).state is State.AWAITING
    change(tree.conn, tree.housing, active=True)
    assert tree.city.registered(subject_id=tree.cold).id > made.id


def test_a_change_is_logged_with_what_was_and_only_if_something_changed(tree: Tree) -> None:
    change(tree.conn, tree.cold, term_days=10)
    change(tree.conn, tree.cold)
    last = edits.recent(tree.conn, ["subject"], 10)[0]
    assert last.key == str(tree.cold)
    assert last.before is not None
    assert last.after is not None
    assert (last.before["term_days"], last.after["term_days"]) == (15, 10)
    assert tree.conn.execute(select(func.count()).select_from(edit_log)
                             .where(edit_log.c.record_key == str(tree.cold))).scalar() == 2  # fmt: skip


PLACES = st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 5)), max_size=25)


@given(moves=PLACES)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_moved_where_every_subject_stays_in_the_tree_once(db: Database, moves: Any) -> None:
    with db.write() as conn:
        city = found_city(conn)
        ids = [add(conn, f"Тема {n}", city.roads) for n in range(6)]
        for which, where in moves:
            with suppress(BadInput):
                change(conn, ids[which], parent_id=None if where is None else ids[where])
        found: list[Subject] = departments.subjects(conn)
        assert sorted(each.id for each in found if each.id in ids) == ids
        conn.rollback()


# ── departments ──
def test_a_department_that_cannot_be_is_refused(city: City) -> None:
    for wrong, problem in (
        ({"name": " "}, "no_name"), ({"name": "Київавтодор"}, "name_taken"), ({"email": "без собаки"}, "email"),
        ({"email": "a@b.ua, c@d.ua"}, "email"), ({"kind": "ministry"}, "kind"),
        ({"kind": "outside", "is_desk": True}, "outside_desk"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=rf"department\.{problem}"):
            change_department(city.conn, city.heating, **wrong)


def test_no_department_is_above_itself(city: City) -> None:
    change_department(city.conn, city.heating, superior_id=city.roads)
    with pytest.raises(BadInput, match=r"department\.circle"):
        change_department(city.conn, city.roads, superior_id=city.heating)
    with pytest.raises(BadInput, match=r"department\.circle"):
        change_department(city.conn, city.roads, superior_id=city.roads)


def test_there_is_always_a_desk(city: City) -> None:
    change_department(city.conn, city.roads, is_desk=True)
    for wrong in ({"active": False}, {"is_desk": False}, {"is_desk": False, "kind": "outside"}):
        with pytest.raises(BadInput, match=r"department\.last_desk"):
            change_department(city.conn, city.roads, **wrong)
    change_department(city.conn, city.heating, is_desk=True)
    change_department(city.conn, city.roads, active=False)


def test_what_lay_with_a_department_stays_and_what_comes_goes_to_its_superior(city: City) -> None:
    change_department(city.conn, city.heating, superior_id=city.roads)
    made = city.registered()
    change_department(city.conn, city.heating, active=False)
    assert city.get(made).department_id == city.heating
    assert departments.open_appeals(city.conn) == {city.heating: 1}
    assert city.registered().department_id == city.roads


# ── an appeal outside the city's competence, a complaint ──
def test_an_appeal_is_sent_on_to_a_named_body_and_its_applicant_told(city: City) -> None:
    made = city.registered()
    for wrong, problem in ((None, "needs_outside"), (city.roads, "needs_outside")):
        with pytest.raises(BadInput, match=problem):
            appeals.act(city.conn, made.id, Action.FORWARD, now=city.now, note="Не наше", department_id=wrong)
    sent = appeals.act(city.conn, made.id, Action.FORWARD, now=city.now, note="Не наше", department_id=city.police)
    assert (sent.state, sent.department) == (State.FORWARDED, "Поліція")
    assert appeals.history(city.conn, made.id)[-1].department_id == city.police
    told = city.conn.execute(select(notice.c.audience, notice.c.citizen_id)
                             .where(notice.c.kind == notices.Kind.FORWARDED.value)).all()  # fmt: skip
    assert told == [("citizen", city.citizen)]


def test_nothing_is_assigned_to_a_body_outside_the_city_or_to_one_that_works_no_more(city: City) -> None:
    made = city.registered()
    with pytest.raises(BadInput, match="is_outside"):
        appeals.act(city.conn, made.id, Action.ASSIGN, now=city.now, department_id=city.police)
    change_department(city.conn, city.roads, active=False)
    with pytest.raises(NotFound, match=r"department\.unknown"):
        appeals.act(city.conn, made.id, Action.ASSIGN, now=city.now, department_id=city.roads)


def test_a_complaint_is_assigned_neither_to_whom_it_is_about_nor_to_anybody_under_it(city: City) -> None:
    change_department(city.conn, city.heating, superior_id=city.roads)
    desk = departments.save_department(city.conn, None, name="Контроль", email="", phone="", kind="city", active=True,
                                       superior_id=None, is_desk=True, **WHO)  # fmt: skip
    made = city.registered(against_id=city.roads)
    assert made.department_id == desk
    for itself in (city.roads, city.heating):
        with pytest.raises(BadInput, match="against_itself"):
            appeals.act(city.conn, made.id, Action.ASSIGN, now=city.now, department_id=itself)
        with pytest.raises(BadInput, match="against_itself"):
            city.registered(against_id=city.roads, department_id=itself)


# ── editions of the routing ──
@dataclass
class Editions:
    """A live edition with one rule: heating in the district is roads'."""

    city: City
    conn: Connection
    district: int
    live: int


@pytest.fixture
def editions(city: City) -> Editions:
    district = city.conn.execute(select(building.c.district_id)).scalars().first()
    assert district is not None
    first = routing_editions.draft(city.conn, note="Перша", **WHO)
    routing_editions.add_rule(city.conn, first, subject_id=city.no_heating, district_id=district,
                              department_id=city.roads, **WHO)  # fmt: skip
    routing_editions.publish(city.conn, first, **WHO)
    return Editions(city, city.conn, district, first)


def rules(conn: Connection, version_id: int) -> list[tuple[int | None, int]]:
    return [(line.subject_id, line.department_id) for line in routing_editions.lines(conn, version_id)]


def test_an_edition_is_drafted_tried_and_published_and_the_old_one_is_kept(editions: Editions) -> None:
    city, conn = editions.city, editions.conn
    before = city.registered()
    assert before.department_id == city.roads
    draft = routing_editions.draft(conn, note="Назад", **WHO)
    assert rules(conn, draft) == rules(conn, editions.live)
    routing_editions.drop_rule(conn, draft, routing_editions.lines(conn, draft)[0].id, **WHO)
    routing_editions.add_rule(conn, draft, subject_id=city.no_heating, building_id=city.other_building,
                              department_id=city.roads, **WHO)  # fmt: skip
    elsewhere = city.registered(building_id=city.other_building)
    assert city.registered().department_id == city.roads  # a draft changes nothing
    tried, moved = routing_editions.compare(conn, draft)
    assert tried == 3
    assert {each.number for each in moved}.isdisjoint({elsewhere.number})
    assert {(each.live.department_id, each.draft.department_id) for each in moved} == {(city.roads, city.heating)}
    routing_editions.publish(conn, draft, **WHO)
    assert city.registered().department_id == city.heating
    assert [(each.id, each.state) for each in routing_editions.editions(conn)] == [(draft, "live"),
                                                                                   (editions.live, "retired")]
    assert rules(conn, editions.live) == [(city.no_heating, city.roads)]
    assert city.get(before).department_id == city.roads  # what lies with somebody stays there


def test_what_is_live_or_was_is_not_changed(editions: Editions) -> None:
    conn, city = editions.conn, editions.city
    rule = routing_editions.lines(conn, editions.live)[0].id
    given_up = routing_editions.draft(conn, note="Проба", **WHO)
    routing_editions.drop(conn, given_up, **WHO)
    for version_id in (editions.live, given_up):
        for change_it in (
            lambda id=version_id: routing_editions.add_rule(conn, id, subject_id=city.no_heating,
                                                            department_id=city.roads, **WHO),
            lambda id=version_id: routing_editions.drop_rule(conn, id, rule, **WHO),
            lambda id=version_id: routing_editions.publish(conn, id, **WHO),
            lambda id=version_id: routing_editions.drop(conn, id, **WHO),
        ):  # fmt: skip
            with pytest.raises(IllegalAction, match="not_a_draft"):
                change_it()
    assert given_up not in [each.id for each in routing_editions.editions(conn)]


def test_a_draft_of_what_is_live_no_more_is_not_published_over_the_newer(editions: Editions) -> None:
    conn = editions.conn
    one, other = (routing_editions.draft(conn, note=note, **WHO) for note in ("Одна", "Інша"))
    routing_editions.publish(conn, one, **WHO)
    with pytest.raises(Stale, match=r"routing\.stale"):
        routing_editions.publish(conn, other, **WHO)
    assert routing_editions.get(conn, one).state == "live"


def test_of_two_who_act_at_the_same_moment_one_is_told_so(db: Database, database_url: str) -> None:
    """Two drafts put into force, and two subjects each moved under the other."""
    with db.write() as conn:
        city = found_city(conn)
        drafts = [routing_editions.draft(conn, note=note, **WHO) for note in ("Одна", "Інша")]
        one, other = (add(conn, name, city.roads) for name in ("Одна", "Інша"))

    def both(*works: Callable[[Connection], object]) -> list[str]:
        outcomes: list[str] = []
        together = threading.Barrier(len(works))

        def act(work: Callable[[Connection], object]) -> None:
            mine = Database(database_url)
            together.wait(30)
            try:
                with mine.write() as conn:
                    work(conn)
                outcomes.append("done")
            except (Stale, BadInput) as error:
                outcomes.append(error.id)
            mine.close()

        threads = [threading.Thread(target=act, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return sorted(outcomes)

    assert both(*(lambda conn, id=id: routing_editions.publish(conn, id, **WHO) for id in drafts)) == [
        "done", "routing.stale"]  # fmt: skip
    assert both(lambda conn: change(conn, one, parent_id=other), lambda conn: change(conn, other, parent_id=one)) == [
        "done", "subject.circle"]  # fmt: skip
    with db.read() as conn:
        assert sorted(each.state for each in routing_editions.editions(conn)) == ["draft", "live"]
        assert len(departments.subjects(conn)) == 3


def test_a_rule_that_says_nothing_or_says_it_again_is_refused(editions: Editions) -> None:
    conn, city = editions.conn, editions.city
    draft = routing_editions.draft(conn, note="Проба", **WHO)

    def add_rule(**given: Any) -> None:
        routing_editions.add_rule(conn, draft, **{"department_id": city.heating, **given}, **WHO)

    with pytest.raises(BadInput, match="empty_rule"):
        add_rule()
    with pytest.raises(BadInput, match="same_rule"):
        add_rule(subject_id=city.no_heating, district_id=editions.district)
    with pytest.raises(BadInput, match="cannot_take"):
        add_rule(subject_id=city.no_heating, department_id=city.police)
    for unknown in ({"subject_id": 999}, {"district_id": 999}, {"network_id": 999}, {"building_id": 999},
                    {"subject_id": city.no_heating, "department_id": 999}):  # fmt: skip
        with pytest.raises(NotFound):
            add_rule(**unknown)
    with pytest.raises(BadInput, match="needs_note"):
        routing_editions.draft(conn, note=" ", **WHO)
    with pytest.raises(NotFound, match="unknown_rule"):
        routing_editions.drop_rule(conn, draft, routing_editions.lines(conn, editions.live)[0].id, **WHO)


def test_a_rule_for_a_network_holds_for_its_buildings(editions: Editions) -> None:
    conn, city = editions.conn, editions.city
    heat = networks.add(conn, "heat", "Котельня", now=NOON)
    networks.put(conn, heat, [city.building], now=NOON)
    draft = routing_editions.draft(conn, note="Котельня", **WHO)
    routing_editions.add_rule(conn, draft, network_id=heat, department_id=city.heating, **WHO)
    for building_id in (city.building, city.other_building):
        city.registered(building_id=building_id)
    _, moved = routing_editions.compare(conn, draft)
    assert len(moved) == 1
    routing_editions.publish(conn, draft, **WHO)
    assert city.registered().department_id == city.heating
    assert city.registered(building_id=city.other_building).department_id == city.roads


# ── the sample of the city ──
@pytest.fixture
def kyiv(db: Database) -> Iterator[Connection]:
    with db.write() as conn:
        seed.load_seed(conn, NOON)
        yield conn


def everything(conn: Connection) -> list[Any]:
    return [conn.execute(select(table).order_by(*table.primary_key.columns)).all()
            for table in (department, subject, routing_rule, building)]  # fmt: skip


def test_the_seed_is_read_once_and_what_the_city_renamed_does_not_come_back(kyiv: Connection) -> None:
    whole = next(each for each in departments.subjects(kyiv) if each.name_uk == "Не працює ліфт")
    change(kyiv, whole.id, name_uk="Ліфт стоїть")
    before = everything(kyiv)
    seed.load_seed(kyiv, NOON + dt.timedelta(days=1))
    assert everything(kyiv) == before


def test_every_subject_of_the_seed_finds_a_department_of_the_citys_everywhere(kyiv: Connection) -> None:
    book = rulebook.read(kyiv)
    offices = {each.id: each for each in departments.departments(kyiv)}
    leaves = [each for each in departments.subjects(kyiv) if each.leaf]
    assert len(leaves) > 80
    for leaf in leaves:
        for district_id, _, _ in addresses.districts(kyiv):
            for against in (None, leaf.department_id):
                decision = routing.decide(book.routing, leaf.id, routing.Place(None, district_id), against)
                taker = offices[decision.department_id]
                assert taker.active
                assert taker.kind != "outside"
                assert taker.id != against
                assert decision.reason is not routing.Reason.DESK or against is not None


def test_yards_go_to_the_management_of_the_buildings_own_district(kyiv: Connection) -> None:
    yard = next(each for each in departments.subjects(kyiv) if each.name_uk == "Дитячий майданчик")
    found = addresses.suggest(kyiv, "Бандери 16-Б")[0]
    book = rulebook.read(kyiv)
    decision = routing.decide(book.routing, yard.id, rulebook.place(kyiv, book.routing, found.id))
    name = kyiv.execute(select(department.c.name).where(department.c.id == decision.department_id)).scalar()
    assert found.district_uk == "Оболонський район"
    assert name == "КП «Керуюча компанія з обслуговування житлового фонду Оболонського району м. Києва»"


def test_phrases_are_kept_one_a_line_and_no_more_than_there_are_keys(tree: Tree) -> None:
    change(tree.conn, tree.heating, phrases="  Холодно   з __.\n\nУ квартирі __ °C.\x00\n")
    change(tree.conn, tree.heating, term_days=7)
    its = next(each for each in departments.subjects(tree.conn) if each.id == tree.heating)
    assert (its.phrases, its.term_days) == ("Холодно з __.\nУ квартирі __ °C.", 7)
    for phrases in ("х\n" * 10, "х" * 201):
        with pytest.raises(BadInput):
            change(tree.conn, tree.heating, phrases=phrases)
