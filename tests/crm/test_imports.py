"""Files of every kind and of no kind: what is loaded, what is told of a bad row, and that nothing is loaded half."""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook
from sqlalchemy import func, select

from centre import __main__
from crm import addresses, appeals, departments, import_cells, imports, life, people, schema, sheets, sign_in
from crm.clock import KYIV
from crm.errors import BadInput, CentreError
from crm.guessing import Place
from crm.import_rows import OLD_STATES, Report
from crm.life import State
from crm.store import Database
from tests.crm.conftest import NOON, City, found_city
from tests.killing import killed

APPEALS = """Номер;Зареєстровано;Стан;Тема;Зміст;Заявник;Телефон;Вулиця;Будинок;Квартира;Виконано;Відповідь
К-1;05.03.2024 14:30;закрито;Немає опалення;Холодно;Марія Іваненко;0441234567;Московський пр-т;12а;7;2024-03-12;Тепло
К-2;2024-04-01;у роботі;Немає опалення;Знову холодно;Іван Сокіл;0671234567;просп. Степана Бандери;14;;;
К-3;45000;роз'яснено;Немає опалення;Коли тепло?;;;;;;;З 15 жовтня
"""
ADDRESSES = """Район,Вулиця,Старі назви,Будинок
Оболонський район,вулиця Героїв Дніпра,"вул. Комсомольська, вулиця 50-річчя Жовтня",1-А
Оболонський,вул. Героїв Дніпра,,3
Оболонський,проспект Степана Бандери,,12А
"""


@pytest.fixture
def small(db: Database) -> City:
    with db.write() as conn:
        return found_city(conn)


def load(db: Database, kind: str, text: str | bytes, *, dry: bool = False) -> Report:
    file = io.BytesIO(text.encode() if isinstance(text, str) else text)
    return imports.run(db, kind, file, now=NOON, staff_id=None, dry=dry)


def counts(db: Database) -> dict[str, int]:
    """How many rows each table has."""
    with db.read() as conn:
        return {t.name: conn.execute(select(func.count()).select_from(t)).scalar_one()
                for t in schema.metadata.sorted_tables}  # fmt: skip


def told(report: Report) -> list[tuple[int, str, str]]:
    return [(each.row, each.column, each.error.id) for each in report.problems]


# ── what is loaded ───────────────────────────────────────────────────────────────────────────
def test_addresses_are_found_by_old_names_and_the_same_file_changes_nothing(db: Database, small: City) -> None:
    report = load(db, "addresses", ADDRESSES)
    assert (report.loaded, report.rows, report.added, report.changed, report.same) == (True, 3, 2, 0, 1), told(report)
    with db.read() as conn:
        [found] = addresses.suggest(conn, "Комсомольська 1")
        assert (found.street, found.number, found.old_name) == ("вулиця Героїв Дніпра", "1-А", "вул. Комсомольська")
        assert len(addresses.suggest(conn, "Героїв Дніпра")) == 2
    before = counts(db)
    again = load(db, "addresses", ADDRESSES)
    assert (again.added, again.changed, again.same) == (0, 0, 3)
    assert counts(db) == before


def test_a_street_that_was_renamed_is_not_made_anew(db: Database, small: City) -> None:
    report = load(db, "addresses", "район;вулиця;будинок\nОболонський;Московський проспект;20\n")
    assert told(report) == [(2, "street", "import.street_renamed")]
    assert report.problems[0].error.details == {"street": "проспект Степана Бандери"}
    assert not report.loaded


def test_a_street_of_another_kind_is_another_street(db: Database, small: City) -> None:
    report = load(db, "addresses", "район;вулиця;будинок\nОболонський;провулок Степана Бандери;2\n")
    assert (report.loaded, report.added) == (True, 1)
    with db.read() as conn:
        assert {found.street for found in addresses.suggest(conn, "Степана Бандери")} == {
            "проспект Степана Бандери", "провулок Степана Бандери"}  # fmt: skip


def test_departments_may_stand_before_what_is_above_them(db: Database, small: City) -> None:
    text = "назва;вища установа;вид;e-mail\nЖЕК-1;РДА;підприємство;zhek@kyiv.ua\nРДА;;районна;\n"
    report = load(db, "departments", text)
    assert (report.loaded, report.added) == (True, 2), told(report)
    with db.read() as conn:
        known = {each.name: each for each in departments.departments(conn)}
        assert known["ЖЕК-1"].superior_id == known["РДА"].id
        edits = conn.execute(select(func.count()).where(schema.edit_log.c.what == "department")).scalar_one()
        assert edits == 2
    assert load(db, "departments", text).same == 2
    circle = load(db, "departments", "назва;вища установа\nА;Б\nБ;А\n")
    assert told(circle) == [(2, "superior", "import.department"), (3, "superior", "import.department")]


def test_subjects_networks_and_programmes(db: Database, small: City) -> None:
    files = {
        "subjects": "тема;тема англійською;розділ;служба;строк;фрази\n"
                    "Стояк;Riser;Житло;Київтеплоенерго;10;\"Тече з __.\nКрапає.\"\nЖитло;Housing;;Київтеплоенерго;;\n",
        "networks": "вид,мережа,вулиця,будинок\nтепло,Котельня 1,Степана Бандери,12-А\n"
                    "тепло,Котельня 1,Степана Бандери,14\n",
        "programmes": "програма;підстава;тема;вулиця;будинок;рік\n"
                      "Гаряча вода;Рішення № 1;Немає опалення;Степана Бандери;14;2027\n"
                      "Гаряча вода;;;Степана Бандери;12а;2028\n",
    }  # fmt: skip
    for kind, text in files.items():
        report = load(db, kind, text)
        assert (report.loaded, report.added) == (True, 2), (kind, told(report))
        before = counts(db)
        assert load(db, kind, text).same == 2, kind
        assert counts(db) == before, kind
    with db.read() as conn:
        stands = {each.name_uk: (each.group_uk, each.phrases) for each in departments.subjects(conn)}
        assert stands["Стояк"] == ("Житло", "Тече з __.\nКрапає.")


def test_people_get_passwords_that_are_told_once(db: Database, small: City) -> None:
    text = "логін;ім’я;роль;служба\nm.bondar;Марко Бондар;виконавець;Київтеплоенерго\no.koval;Оксана Коваль-Мороз;;\n"
    assert load(db, "users", text, dry=True).passwords == []
    report = load(db, "users", text)
    [(login, password)] = report.passwords
    assert (login, report.added, report.changed) == ("m.bondar", 1, 1)
    assert sign_in.prove_password(db, login, password, now=NOON, place=Place()).department_id == small.heating
    again = load(db, "users", text)
    assert (again.passwords, again.same) == ([], 2)
    assert sign_in.prove_password(db, login, password, now=NOON, place=Place()).password_given
    with db.read() as conn:
        logged = conn.execute(select(schema.edit_log.c.after).where(schema.edit_log.c.what == "staff")).scalars().all()
        assert password not in str(logged)


def test_the_last_administrator_is_not_taken_away_by_a_file(db: Database, small: City) -> None:
    with db.write() as conn:
        people.add_staff(conn, login="boss", name="Б", password_hash="-", role=people.Role.ADMINISTRATOR)
    assert told(load(db, "users", "login,active\nboss,ні\n")) == [(2, "", "staff.last_administrator")]


def test_old_appeals_keep_their_number_and_times_and_claim_no_confirmation(db: Database, small: City) -> None:
    report = load(db, "appeals", APPEALS)
    assert (report.loaded, report.added) == (True, 3), told(report)
    with db.read() as conn:
        a = schema.appeal.c
        kept = {row.old_number: row for row in conn.execute(select(schema.appeal))}
        assert {number: row.state for number, row in kept.items()} == {
            "К-1": "unconfirmed", "К-2": "in_work", "К-3": "explained"}  # fmt: skip
        first = kept["К-1"]
        assert (first.number, first.registered_at) == (24000001, dt.datetime(2024, 3, 5, 12, 30, tzinfo=dt.UTC))
        assert first.building_id == small.building  # by the street's old name
        assert first.citizen_id == small.citizen  # the same name at the same number
        assert kept["К-3"].number // 1_000_000 == 23  # day 45000 of a workbook is in 2023
        for row in kept.values():
            history = appeals.history(conn, row.id)
            state, returns = life.replay(event.action for event in history)
            assert (state, returns) == (State(row.state), row.returns)
            assert history == sorted(history, key=lambda event: event.at)
            assert row.version == len(history)
        assert conn.execute(select(func.count()).where(a.state == "closed")).scalar_one() == 0
        assert conn.execute(select(func.count()).select_from(schema.callback)).scalar_one() == 0
        assert conn.execute(select(func.count()).select_from(schema.notice)).scalar_one() == 0


def test_a_run_that_was_broken_off_goes_on_and_loads_nothing_twice(
    db: Database, small: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = "old_number;registered_at;state;subject;text;applicant;phone\n"
    text = head + "".join(f"{n};2024-01-02;закрито;Немає опалення;Холодно {n};Ім’я {n};067{n:07}\n" for n in range(10))
    monkeypatch.setitem(imports.KINDS, "appeals", imports.Kind(
        imports.KINDS["appeals"].loader, imports.KINDS["appeals"].columns, 3))  # fmt: skip
    finished = 0

    class Killed(BaseException):
        pass

    def die(loader: Any) -> None:
        nonlocal finished
        finished += 1
        if finished == 4 + 3:  # four chunks were only tried; two of the real ones are in
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(imports.KINDS["appeals"].loader, "finish", die)
        with pytest.raises(Killed):
            load(db, "appeals", text)
    assert counts(db)["appeal"] == 6
    report = load(db, "appeals", text)
    assert (report.loaded, report.added, report.same) == (True, 4, 6)
    assert (counts(db)["appeal"], counts(db)["citizen"]) == (10, 11)


# ── killed ───────────────────────────────────────────────────────────────────────────────────
def at_the_terminal(url: str, folder: Path, kind: str) -> None:
    """`./1551 import`, its appeals two a transaction."""
    os.environ |= {"CENTRE_DATABASE": url, "CENTRE_VAR": str(folder), "CENTRE_SETTINGS": str(folder / "none.toml")}
    imports.KINDS["appeals"] = replace(imports.KINDS["appeals"], chunk=2)
    assert __main__.main(["import", kind, str(folder / f"{kind}.csv")]) == 0


def killed_importing(db: Database, folder: Path, kind: str, text: str, at: int) -> bool:
    (folder / f"{kind}.csv").write_text(text)
    return killed(at, at_the_terminal, db.url.render_as_string(hide_password=False), folder, kind)


def test_killed_at_any_moment_nothing_is_loaded_and_it_can_be_run_again(
    db: Database, small: City, tmp_path: Path
) -> None:
    before, at = counts(db), 1
    while killed_importing(db, tmp_path, "addresses", ADDRESSES, at):
        assert counts(db) == before, at
        at += 1
    assert at > 15, "before every statement, and the commit"
    added = {name: n - before[name] for name, n in counts(db).items() if n != before[name]}
    assert added == {"street": 1, "street_name": 3, "building": 2, "edit_log": 1}
    assert load(db, "addresses", ADDRESSES).same == 3


def test_killed_at_any_moment_every_old_appeal_is_there_whole_or_not_at_all_and_the_next_run_loads_the_rest(
    db: Database, small: City, tmp_path: Path
) -> None:
    before, at, seen = counts(db), 1, set[int]()
    while killed_importing(db, tmp_path, "appeals", APPEALS, at):
        with db.read() as conn:
            kept = conn.execute(select(schema.appeal).order_by(schema.appeal.c.id)).all()
            for row in kept:
                history = appeals.history(conn, row.id)
                assert life.replay(event.action for event in history) == (State(row.state), row.returns), at
                assert row.version == len(history), at
        seen.add(len(kept))
        people_of = {row.citizen_id for row in kept} - {None, small.citizen}
        assert counts(db)["citizen"] == before["citizen"] + len(people_of), "nobody whose appeal is not there"
        at += 5  # each dies a little later than the last, which it goes on from
    assert seen == {0, 2}, "between the transactions too"
    with db.read() as conn:
        numbers = conn.execute(select(schema.appeal.c.old_number, schema.appeal.c.number)).all()
    assert {row.old_number: row.number for row in numbers} == {"К-1": 24000001, "К-2": 24000002, "К-3": 23000001}
    assert counts(db)["citizen"] == before["citizen"] + 1
    assert load(db, "appeals", APPEALS).same == 3


# ── what is bad ──────────────────────────────────────────────────────────────────────────────
def test_each_bad_row_is_told_with_its_column_and_nothing_is_loaded(db: Database, small: City) -> None:
    before = counts(db)
    text = APPEALS + ("К-4;вчора;закрито;Немає опалення;Т;;;;;;;\n;05.03.2024;хтозна;Немає опалення;Т;;;;;;;\n"
                      "К-6;05.03.2024;відмовлено;Немає такої;Т;;;;;;;\n\n"
                      "К-8;05.03.2024;відмовлено;Немає опалення;Т;;;;;;;\n"
                      "К-9;05.03.2024;закрито;Немає опалення;Т;;12;;;;01.03.2024;\n"
                      "К-10;05.03.2024;закрито;Немає опалення;Т;;;Степана Бандери;99;;;\n"
                      "К-11;05.03.2024;закрито;Немає опалення;Т;;;;;;01.03.2024;\n"
                      "К-12;05.03.2096;новий;Немає опалення;Т;;;;;;;;;зайве\n")  # fmt: skip
    expected = [
        (5, "registered_at", "import.date"), (6, "state", "import.word"), (6, "old_number", "import.required"),
        (7, "subject", "import.subject"), (9, "answer", "import.needs_answer"), (10, "phone", "import.phone"),
        (11, "building", "import.building"), (12, "executed_at", "import.order"), (13, "state", "import.word"),
        (13, "", "import.no_heading"),
    ]  # fmt: skip
    for dry in (True, False):
        report = load(db, "appeals", text, dry=dry)
        assert told(report) == expected
        assert (report.loaded, report.rows, report.wrong) == (False, 11, 8)
        assert counts(db) == before


def test_a_dry_run_finds_what_the_real_one_would_and_keeps_nothing(db: Database, small: City) -> None:
    before = counts(db)
    dry = load(db, "addresses", ADDRESSES, dry=True)
    assert (dry.loaded, dry.added, dry.same) == (False, 2, 1)
    assert counts(db) == before


@pytest.mark.parametrize(("text", "id"), [
    ("", "sheet.empty"),
    ("район;вулиця\0\n", "sheet.not_a_table"),
    ("район;вулиця".encode("utf-16"), "sheet.not_a_table"),
    ("район;вулиця\n".encode() + "Оболонський;Набережна\n".encode("cp1251"), "sheet.encoding"),
    (b"\x98\xff\n", "sheet.encoding"),
    ('район;вулиця\nА;"Б\n', "sheet.quotes"),
    ('район;вулиця\nА;"Б"В\n', "sheet.quotes"),
    ("район;вулиця\nА;" + "Б" * 40_000, "sheet.cell_too_long"),
    ("район;вулиця\nА;" + "Б" * 200_000, "sheet.cell_too_long"),
    (";".join(f"c{n}" for n in range(1000)), "sheet.too_many_columns"),
    ("район;вулиця;Район\n", "import.heading_twice"),
    ("район;вулиця;district\n", "import.heading_twice"),
    ("район;вулиця;поверх\n", "import.unknown_heading"),
    ("район;будинок\n", "import.heading_missing"),
    (b"PK\x03\x04 and nothing more", "sheet.unreadable"),
])  # fmt: skip
def test_what_is_no_table_of_this_kind_is_refused_as_a_whole(db: Database, text: str | bytes, id: str) -> None:
    with pytest.raises(BadInput) as refused:
        load(db, "addresses", text)
    assert refused.value.id == id


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
@pytest.mark.parametrize("delimiter", ";,\t")
def test_encoding_and_delimiter_are_told_by_the_file(encoding: str, delimiter: str) -> None:
    rows = [["Район", "Вулиця", "Примітка"], ["Рівненський", "Ґонти, 5", 'Каже: "є"; їсть'], ["А", "", "б\nв"]]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    found = list(sheets.rows(io.BytesIO(out.getvalue().encode(encoding))))
    assert found == [(number, row) for number, row in enumerate(rows, 1)]


# ── workbooks ────────────────────────────────────────────────────────────────────────────────
def workbook(rows: list[list[Any]]) -> bytes:
    book, out = Workbook(), io.BytesIO()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    book.save(out)
    return out.getvalue()


def test_a_workbook_is_read_as_one_would_type_it(db: Database, small: City) -> None:
    at = dt.datetime(2024, 3, 5, 14, 30, tzinfo=dt.UTC).replace(tzinfo=None)
    book = workbook([["old_number", "registered_at", "state", "subject", "text", "phone"],
                     [17, at, "закрито", "Немає опалення", "Холодно", 380671112233],
                     [18.0, dt.date(2024, 3, 6), "закрито", "Немає опалення", "'=1+1", None],
                     [None, None, None, None, None, None],
                     [19, 45000.5, "закрито", "Немає опалення", "=1+1", None]])  # fmt: skip
    report = load(db, "appeals", book)
    assert told(report) == [(5, "text", "import.formula")]
    report = load(db, "appeals", book, dry=True)
    assert (report.rows, report.added, report.wrong) == (3, 2, 1)


def rezipped(change: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook([["a"]]))) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change.pop(name) if name in change else old.read(name))
        for name, data in change.items():
            new.writestr(name, data)
    return out.getvalue()


SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
BOMB = ('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
        + SHEET.format('<row r="1"><c r="A1" t="str"><v>&b;</v></c></row>'))  # fmt: skip


@pytest.mark.parametrize(("change", "id"), [
    ({"xl/media/big.bin": bytes(65 * 1024**2)}, "sheet.unpacks_too_big"),
    ({"xl/worksheets/sheet1.xml": BOMB.encode()}, "sheet.unreadable"),
    ({"xl/worksheets/sheet1.xml": b"<worksheet>"}, "sheet.unreadable"),
    ({"xl/workbook.xml": b"<workbook/>"}, "sheet.unreadable"),
    ({"xl/worksheets/sheet1.xml": SHEET.format('<row r="1"><c r="ZZ1" t="str"><v>x</v></c></row>').encode()}, ""),
])  # fmt: skip
def test_hostile_workbooks_are_refused(change: dict[str, bytes], id: str) -> None:
    def read() -> list[sheets.Row]:
        return list(sheets.rows(io.BytesIO(rezipped(dict(change)))))

    if not id:
        assert read() == []  # beyond what is read
        return
    with pytest.raises(BadInput) as refused:
        read()
    assert refused.value.id == id


def test_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MOST_ROWS", 1000)
    far = SHEET.format('<row r="1"><c r="A1" t="str"><v>x</v></c></row>'
                       '<row r="999999999"><c r="A999999999" t="str"><v>y</v></c></row>')  # fmt: skip
    for file in (rezipped({"xl/worksheets/sheet1.xml": far.encode()}), b"a\n" * 1001):
        with pytest.raises(BadInput) as refused:
            list(sheets.rows(io.BytesIO(file)))
        assert refused.value.id == "sheet.too_many_rows"


# ── any bytes, any text ──────────────────────────────────────────────────────────────────────
@given(st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")),
                 st.binary(max_size=200).map(lambda tail: b"PK\x03\x04" + tail)))  # fmt: skip
def test_any_bytes_are_a_table_or_are_refused(data: bytes) -> None:
    try:
        found = list(sheets.rows(io.BytesIO(data)))
    except BadInput:
        return
    assert all(cells and cells[-1] for _, cells in found)
    assert [number for number, _ in found] == sorted({number for number, _ in found})


def columns() -> Iterator[tuple[str, imports.Column]]:
    return ((kind, column) for kind, its in imports.KINDS.items() for column in its.columns)


@given(st.data(), st.text(max_size=60) | st.from_regex(r"\d{1,5}[.\-:T ]\d{1,2}[.\-:]\d{1,4}", fullmatch=True))
def test_any_cell_has_a_value_or_a_reason(data: st.DataObject, cell: str) -> None:
    _, column = data.draw(st.sampled_from(list(columns())))
    try:
        value = column.parse(cell.strip())
    except CentreError:
        return
    assert "\0" not in str(value)


@given(st.integers(0, 97 * 365 * 24 * 60))
def test_a_time_is_the_same_however_it_is_written(minutes: int) -> None:
    at = dt.datetime(2001, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=minutes)
    kyiv = import_cells.moment(f"{at:%Y-%m-%dT%H:%M}")
    assert kyiv == at.replace(tzinfo=KYIV)
    assert import_cells.moment(f"{at:%d.%m.%Y %H:%M}") == kyiv
    serial = (at - dt.datetime(1899, 12, 30, tzinfo=dt.UTC)) / dt.timedelta(days=1)
    assert abs(import_cells.moment(f"{serial:.8f}") - kyiv) <= dt.timedelta(hours=1)  # the hour that clocks skip
    assert import_cells.moment(f"{at:%Y-%m-%dT%H:%M}Z") == at


def test_no_heading_of_a_kind_means_two_columns() -> None:
    for kind, its in imports.KINDS.items():
        headings = [import_cells.folded(name) for column in its.columns
                    for name in {import_cells.folded(each) for each in (column.name, *column.headings)}]  # fmt: skip
        assert len(headings) == len(set(headings)), kind


def test_what_the_old_system_called_closed_is_never_closed_here() -> None:
    assert State.CLOSED not in OLD_STATES.values()
