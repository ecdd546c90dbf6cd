"""What the operator knows: found as it is typed, shown where it holds, counted when told."""

from __future__ import annotations

import datetime as dt
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from crm import addresses, calls, knowledge
from crm.calls import Outcome
from crm.errors import BadInput, NotFound, Stale
from crm.knowledge import ContactKind, Kind
from crm.schema import article, consultation, edit_log, network, network_building
from crm.seed import knowledge as seeded
from crm.seed import load_seed
from crm.store import Database, insert_row
from tests.crm.conftest import NOON, PHONE, City

CALL = "1764000000.7"
HOUR = dt.timedelta(hours=1)


def write(city: City, title: str, body: str = "Текст", **given: Any) -> int:
    values = {"title_en": "", "body_en": "", "keywords": "", "subject_id": None, "active": True, "source": "Зразок",
              "staff_id": city.operator, "now": city.now}  # fmt: skip
    return knowledge.save_article(city.conn, None, None, title_uk=title, body_uk=body, **{**values, **given})


def post(city: City, text: str, starts: dt.timedelta = -HOUR, ends: dt.timedelta = HOUR, **where: int) -> int:
    place: dict[str, int | None] = {"building_id": None, "network_id": None, "district_id": None, **where}
    return knowledge.save_bulletin(
        city.conn, None, None, text_uk=text, text_en="", starts_at=city.now + starts, ends_at=city.now + ends,
        staff_id=city.operator, now=city.now, **place)  # fmt: skip


def titles(found: list[knowledge.Article]) -> list[str]:
    return [each.title_uk for each in found]


def call_of(city: City, linkedid: str = CALL) -> str:
    calls.arrived(city.conn, linkedid, at=city.now, origin="mobile", caller=PHONE)
    calls.answered(city.conn, linkedid, "101", city.now, city.operator)
    return linkedid


def outcome(city: City, linkedid: str = CALL) -> str:
    found = calls.get(city.conn, linkedid)
    assert found is not None
    return found.outcome


# ── search ──
@pytest.mark.parametrize("typed", [
    "суб", "субсидія", "субсидии", "СУБСИДІЮ", "субисдія", "субсмдія", "як оформити субсидію", "subsidy", "пільги",
])  # fmt: skip
def test_an_article_is_found_by_the_beginnings_of_its_words_and_with_errors(city: City, typed: str) -> None:
    write(city, "Субсидія на житлово-комунальні послуги", title_en="Subsidy for housing", keywords="пільги")
    write(city, "Не працює ліфт", "У кабіні люди: з’єднайте з диспетчерською.")
    assert titles(knowledge.search(city.conn, typed)) == ["Субсидія на житлово-комунальні послуги"]


def test_letters_that_are_confused_are_one_letter(city: City) -> None:
    write(city, "Не працює ліфт")
    write(city, "Ґанок і під’їзд")
    for typed, title in (("лифт", "Не працює ліфт"), ("ганок", "Ґанок і під’їзд"), ("підїзд", "Ґанок і під’їзд"),
                         ("під'їзд", "Ґанок і під’їзд")):  # fmt: skip
        assert titles(knowledge.search(city.conn, typed)) == [title], typed


def test_the_title_weighs_more_than_the_body_and_all_the_words_more_than_one(city: City) -> None:
    write(city, "А: протікає дах", "Про газ тут лише згадка.")
    write(city, "Б: запах газу")
    assert titles(knowledge.search(city.conn, "газ")) == ["Б: запах газу", "А: протікає дах"]
    write(city, "В: газ є, гаряча вода ні")
    assert titles(knowledge.search(city.conn, "запах газу"))[0] == "Б: запах газу"


def test_what_tells_nothing_finds_nothing_and_what_is_withdrawn_is_not_found(city: City) -> None:
    write(city, "Немає опалення")
    write(city, "Опалення: старий порядок", active=False)
    for nothing in ("", "  ", "немає", "x", "% _ '", "жирафа"):
        assert knowledge.search(city.conn, nothing) == [], nothing
    assert titles(knowledge.search(city.conn, "опалення")) == ["Немає опалення"]
    assert len(knowledge.articles(city.conn, withdrawn=True)) == 2


def test_articles_of_the_appeals_subject_come_by_themselves_and_first(city: City) -> None:
    write(city, "А: перерахунок за опалення")
    write(city, "Б: опалення в домі", subject_id=city.no_heating)
    assert titles(knowledge.search(city.conn, "", subjects=(city.no_heating,))) == ["Б: опалення в домі"]
    assert titles(knowledge.search(city.conn, "опалення")) == ["А: перерахунок за опалення", "Б: опалення в домі"]
    assert titles(knowledge.search(city.conn, "опалення", subjects=(city.no_heating,)))[0] == "Б: опалення в домі"


LETTERS = st.text("абвгдежзийклмнопрстуфхцчшщьюя", min_size=1, max_size=14)


@given(LETTERS, st.data())
def test_a_beginning_fits_wholly_and_nothing_fits_more(word: str, data: st.DataObject) -> None:
    typed = word[: data.draw(st.integers(1, len(word)))]
    assert knowledge.matches(typed, word) == 1.0
    assert 0 <= knowledge.matches(data.draw(LETTERS), word) <= 1


@given(st.text("абвгдежзклмнопрстуфхцчш", min_size=6, max_size=14), st.data())
def test_one_wrong_letter_of_a_long_word_is_forgiven(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(word) - 1))
    typed = word[:at] + data.draw(st.sampled_from("юящ")) + word[at + 1 :]
    assert knowledge.matches(typed, word) > 0


@settings(max_examples=50)
@given(st.text(max_size=300), st.lists(st.text(max_size=80), max_size=5))
def test_any_text_may_be_looked_for_in_any_texts(typed: str, texts: list[str]) -> None:
    found = knowledge.rank(typed, texts, lambda each: each)
    assert all(each in texts for each in found)


# ── bulletins ──
def test_a_building_is_told_what_holds_for_it_now_and_nothing_else(city: City) -> None:
    district = addresses.find_building(city.conn, city.building).district_id
    other = addresses.add_district(city.conn, "Подільський", "Podilskyi")
    networks = [insert_row(city.conn, network, {"kind": "heat", "name": name}) for name in ("Котельня", "Інша")]
    city.conn.execute(insert(network_building), {"network_id": networks[0], "building_id": city.building})
    post(city, "Місто")
    post(city, "Район", district_id=district)
    post(city, "Мережа", network_id=networks[0])
    post(city, "Будинок", building_id=city.building)
    post(city, "Інша мережа", network_id=networks[1])
    post(city, "Інший район", district_id=other)
    post(city, "Сусідній будинок", building_id=city.other_building)
    post(city, "Минуло", -2 * HOUR, dt.timedelta())
    post(city, "Завтра", HOUR, 2 * HOUR)
    post(city, "Щойно", dt.timedelta(), HOUR, building_id=city.building)

    def shown(building_id: int | None) -> list[str]:
        return [each.text_uk for each in knowledge.bulletins_at(city.conn, building_id, city.now)]

    assert shown(city.building) == ["Будинок", "Щойно", "Мережа", "Район", "Місто"]
    assert shown(city.other_building) == ["Сусідній будинок", "Район", "Місто"]
    assert shown(None) == ["Місто"]
    assert "Завтра" in [each.text_uk for each in knowledge.bulletins(city.conn, city.now)]
    assert "Минуло" not in [each.text_uk for each in knowledge.bulletins(city.conn, city.now)]


def test_a_bulletin_has_one_place_and_ends_after_it_begins(city: City) -> None:
    with pytest.raises(BadInput, match=r"bulletin.one_place"):
        post(city, "Двічі", building_id=city.building, district_id=1)
    with pytest.raises(BadInput, match=r"bulletin.ends_first"):
        post(city, "Назад", HOUR, HOUR)
    with pytest.raises(BadInput, match=r"knowledge.empty"):
        post(city, " ")


# ── the directory ──
def test_the_directory_leaves_out_other_districts_and_is_searched(city: City) -> None:
    here = addresses.find_building(city.conn, city.building).district_id
    other = addresses.add_district(city.conn, "Подільський", "Podilskyi")

    def add(name: str, kind: ContactKind, phone: str, district_id: int | None = None, keywords: str = "") -> None:
        knowledge.save_contact(city.conn, None, None, name_uk=name, name_en="", kind=kind, phone=phone, hours="",
                               district_id=district_id, keywords=keywords, active=True, staff_id=None,
                               now=city.now)  # fmt: skip

    add("Диспетчерська", ContactKind.DISPATCHER, "044 000-00-01", here)
    add("Диспетчерська", ContactKind.DISPATCHER, "044 000-00-02", other)
    add("Газова служба", ContactKind.EMERGENCY, "104", keywords="запах газу")
    listed = [each.phone for each in knowledge.directory(city.conn)]
    assert listed == ["104", "044 000-00-01", "044 000-00-02"]
    assert [c.phone for c in knowledge.directory(city.conn, building_id=city.building)] == ["104", "044 000-00-01"]
    assert [c.phone for c in knowledge.directory(city.conn, "газ")] == ["104"]
    assert [c.phone for c in knowledge.directory(city.conn, "104")] == ["104"]
    assert knowledge.directory(city.conn, "диспечерська подільський")[0].phone == "044 000-00-02"


# ── editing ──
def test_an_edit_is_on_the_version_that_was_seen_and_in_the_log(city: City) -> None:
    id = write(city, "Опалення")
    seen = knowledge.article_of(city.conn, id)
    fields: dict[str, Any] = {
        "title_en": "", "body_uk": "Новий текст", "body_en": "", "keywords": "", "subject_id": None,
        "active": True, "source": "", "staff_id": city.operator, "now": city.now + HOUR}  # fmt: skip
    knowledge.save_article(city.conn, id, seen.version, title_uk="Тепло", **fields)
    with pytest.raises(Stale):
        knowledge.save_article(city.conn, id, seen.version, title_uk="Чуже", **fields)
    with pytest.raises(NotFound):
        knowledge.save_article(city.conn, 999, 1, title_uk="Немає", **fields)
    with pytest.raises(BadInput):
        knowledge.save_article(city.conn, id, seen.version + 1, title_uk=" ", **fields)
    now = knowledge.article_of(city.conn, id)
    assert (now.title_uk, now.body_uk, now.updated_at) == ("Тепло", "Новий текст", city.now + HOUR)
    last = city.conn.execute(select(edit_log).order_by(edit_log.c.id.desc())).first()
    assert last is not None
    assert (last.what, last.record_key, last.staff_id) == ("article", str(id), city.operator)
    assert (last.before["title_uk"], last.after["title_uk"]) == ("Опалення", "Тепло")


# ── information given ──
def test_information_given_is_counted_once_and_says_what_the_call_was(city: City) -> None:
    call_of(city)
    id = write(city, "Опалення")
    assert outcome(city) == ""
    assert knowledge.given(city.conn, CALL, Kind.ARTICLE, id, city.operator, city.now)
    assert outcome(city) == Outcome.CONSULTED
    assert not any(knowledge.given(city.conn, CALL, Kind.ARTICLE, id, city.operator, city.now) for _ in range(2))
    assert knowledge.given_in(city.conn, CALL) == {("article", id)}
    assert knowledge.times_given(city.conn, city.now) == {("article", id): 1}
    assert knowledge.times_given(city.conn, city.now + HOUR) == {}
    knowledge.given(city.conn, call_of(city, "1764000000.8"), Kind.ARTICLE, id, city.operator, city.now)
    assert knowledge.times_given(city.conn, city.now) == {("article", id): 2}


def test_only_what_there_is_can_be_told_and_only_in_a_call(city: City) -> None:
    id = write(city, "Опалення")
    for kind in Kind:
        with pytest.raises(NotFound):
            knowledge.given(city.conn, CALL, kind, 999, city.operator, city.now)
    with pytest.raises(BadInput):
        knowledge.given(city.conn, "не дзвінок", Kind.ARTICLE, id, city.operator, city.now)
    assert city.conn.execute(select(consultation)).all() == []


def test_an_appeal_or_a_person_says_better_what_the_call_was(city: City) -> None:
    id = write(city, "Опалення")
    call_of(city)
    knowledge.given(city.conn, CALL, Kind.ARTICLE, id, city.operator, city.now)
    city.registered(linkedid=CALL)
    assert outcome(city) == Outcome.APPEAL  # told first, registered after
    knowledge.given(city.conn, CALL, Kind.ARTICLE, write(city, "Інша"), city.operator, city.now)
    assert outcome(city) == Outcome.APPEAL

    said = call_of(city, "1764000000.8")
    calls.settle(city.conn, said, Outcome.PRANK, city.operator, city.now)
    knowledge.given(city.conn, said, Kind.ARTICLE, id, city.operator, city.now)
    assert outcome(city, said) == Outcome.PRANK

    kept = call_of(city, "1764000000.9")  # the person has said so himself: nothing that follows changes it
    calls.settle(city.conn, kept, Outcome.CONSULTED, city.operator, city.now)
    city.registered(linkedid=kept)
    assert outcome(city, kept) == Outcome.CONSULTED


# ── the seed ──
def test_the_seed_has_what_an_operator_needs_and_is_read_in_once(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    with db.write() as conn:
        load_seed(conn, NOON)
        articles, telephones = knowledge.articles(conn), knowledge.directory(conn)
        assert len(articles) >= 12
        assert all(a.source.startswith("Зразок") and a.title_en and a.body_en for a in articles)
        emergency = {c.phone for c in telephones if c.kind == ContactKind.EMERGENCY}
        assert emergency == {"101", "102", "103", "104", "112"}
        assert "1551" in {c.phone for c in telephones}
        assert len({c.district_id for c in telephones if c.district_id}) == 10
        for typed, phone in (("газ", "104"), ("пожежа", "101"), ("швидка", "103"), ("поліцію", "102")):
            assert knowledge.directory(conn, typed)[0].phone == phone, typed
        assert titles(knowledge.search(conn, "опаленя"))[0].startswith("Немає опалення")
        before = conn.execute(select(article.c.id)).all()
        read_in, lists = (tomllib.loads((Path(seeded.__file__).parent / name).read_text("utf-8"))
                          for name in ("knowledge.toml", "programmes.toml"))  # fmt: skip
        seeded.load(conn, read_in, lists, NOON)
        assert conn.execute(select(article.c.id)).all() == before
        assert knowledge.directory(conn) == telephones
    db.close()
