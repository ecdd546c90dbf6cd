"""`./1551 import` and `./1551 export`, as somebody at a terminal meets them."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from centre import __main__, dump
from crm import addresses, appeals, citizens, departments, imports, schema, sign_in
from crm.errors import BadInput
from crm.guessing import Place
from crm.life import Action
from crm.store import Database

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
PERSONAL = ("Олена Шевчук", "+380441234567", "Батареї холодні", "квартира сорок", "Вичерпна примітка")


@pytest.fixture
def centre(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The centre's settings point to a database of the test's own."""
    monkeypatch.setenv("CENTRE_SETTINGS", str(tmp_path / "none.toml"))
    monkeypatch.setenv("CENTRE_VAR", str(tmp_path))
    monkeypatch.setenv("CENTRE_DATABASE", sqlite_url)
    monkeypatch.setenv("LC_ALL", "uk_UA.UTF-8")
    return tmp_path


def run(*argv: str) -> int:
    return __main__.main(argv)


def test_every_kind_of_file_can_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("import", "--help")
    assert "{" + ",".join(imports.KINDS) + "}" in "".join(capsys.readouterr().out.split())


def test_a_file_is_tried_then_loaded(centre: Path, sqlite_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = centre / "addresses.csv"
    file.write_text("район;район англійською;вулиця;будинок\nПодільський;Podilskyi;вулиця Сагайдачного;1\n", "cp1251")
    assert run("import", "addresses", str(file), "--dry-run") == 0
    assert "нічого не змінено" in capsys.readouterr().err
    db = Database(sqlite_url)
    with db.read() as conn:
        assert addresses.districts(conn) == []
    assert run("import", "addresses", str(file)) == 0
    assert "нових 1" in capsys.readouterr().err
    with db.read() as conn:
        assert len(addresses.suggest(conn, "Сагайдачного 1")) == 1
    db.close()


def test_bad_rows_are_told_one_by_one(centre: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = centre / "networks.csv"
    file.write_text("вид;мережа;вулиця;будинок\nтепло;Котельня;вулиця Нізвідки;1\nпара;Котельня;вулиця Нізвідки;1\n")
    assert run("import", "networks", str(file)) == 1
    told = capsys.readouterr().err
    assert "Рядок 2, стовпець street: Такої вулиці в довіднику немає" in told
    assert "Рядок 3, стовпець kind: Такого значення немає" in told
    assert "Нічого не завантажено" in told
    assert run("import", "networks", str(centre / "nothing.csv")) == 1
    assert "не прочитано" in capsys.readouterr().err
    file.write_text("щось\n")
    assert run("import", "networks", str(file)) == 1
    assert "Невідомий заголовок" in capsys.readouterr().err


def test_passwords_alone_are_on_stdout(centre: Path, sqlite_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = centre / "users.csv"
    file.write_text("login,name,role\nm.bondar,Марко Бондар,operator\n")
    assert run("import", "users", str(file)) == 0
    login, password = capsys.readouterr().out.split()
    db = Database(sqlite_url)
    assert sign_in.prove_password(db, login, password, now=NOW, place=Place()).name == "Марко Бондар"
    db.close()


def filled(db: Database) -> None:
    with db.write() as conn:
        district = addresses.add_district(conn, "Подільський", "Podilskyi")
        home = addresses.add_building(conn, addresses.add_street(conn, "вулиця Сагайдачного"), "1", district)
        heat = departments.save_department(conn, None, name="=Тепло", email="", phone="", kind="city", superior_id=None,
                                           is_desk=False, active=True, now=NOW, staff_id=None)  # fmt: skip
        subject = departments.save_subject(conn, None, name_uk="Опалення", name_en="Heating", parent_id=None,
                                           department_id=heat, term_days=15, kind="application", active=True, now=NOW,
                                           staff_id=None)  # fmt: skip
        person = citizens.add(conn, now=NOW, name="Олена Шевчук", phones=["+380441234567"], building_id=home)
        made = appeals.register(conn, now=NOW, citizen_id=person, building_id=home, flat="квартира сорок",
                                subject_id=subject, text="Батареї холодні", channel="phone", staff_id=None)  # fmt: skip
        appeals.act(conn, made.id, Action.EXECUTE, now=NOW, note="Вичерпна примітка")


@pytest.mark.parametrize("public", [False, True])
def test_the_dump_explains_itself(db: Database, tmp_path: Path, public: bool) -> None:
    filled(db)
    url = db.url.render_as_string(hide_password=False)
    assert dump.write(url, tmp_path / "dump.zip", public=public) > 0
    assert (tmp_path / "dump.zip").stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(tmp_path / "dump.zip") as archive:
        texts = {name: archive.read(name).decode("utf-8-sig") for name in archive.namelist()}
    for language in ("uk", "en"):
        readme = texts[f"README.{language}.md"]
        for name, text in texts.items():
            if name.endswith(".csv"):
                assert f"## {name}\n" in readme
                for column in text.splitlines()[0].split(","):
                    assert f"- `{column}` – " in readme, (name, column)
    [appeal] = csv.DictReader(io.StringIO(texts["appeal.csv"]))
    assert (appeal["state"], appeal["channel"], appeal["registered_at"]) == (
        "awaiting", "phone", "2026-11-24 10:00:00+00:00")  # fmt: skip
    [department] = csv.DictReader(io.StringIO(texts["department.csv"]))
    assert department["name"] == "'=Тепло"  # no spreadsheet runs it
    whole = "\n".join(texts.values())
    assert [word for word in PERSONAL if word in whole] == ([] if public else list(PERSONAL))


def test_every_personal_column_of_the_schema_is_known_as_such() -> None:
    """A column that is new must be put into the dump, and said to be personal, or left out, on purpose."""
    public = {(name, column) for name, _, columns in dump.catalogue(public=True) for column in columns}
    for table in schema.metadata.sorted_tables:
        for column in table.c:
            to = {key.column.table.name for key in column.foreign_keys}
            words = column.name in ("caller", "e164", "text", "note", "flat", "password_hash")
            if (words or to & {"citizen", "staff"}) and table.name != "programme_building":  # a note on a house
                assert (table.name, column.name) not in public, (table.name, column.name)
    for name, said, columns in dump.catalogue(public=False):
        assert columns.keys() <= set(schema.metadata.tables[name].c.keys()), name
        assert said.keys() >= {"uk", "en", "columns"}
        assert {"password_hash", "totp_secret", "code"}.isdisjoint(columns)


def test_a_dump_replaces_nothing_and_leaves_nothing_half(db: Database, tmp_path: Path) -> None:
    url = db.url.render_as_string(hide_password=False)
    (tmp_path / "there.zip").write_text("x")
    for path, id in ((tmp_path / "there.zip", "dump.exists"), (tmp_path / "no" / "where.zip", "dump.not_written")):
        with pytest.raises(BadInput) as refused:
            dump.write(url, path, public=True)
        assert refused.value.id == id
    assert [path.name for path in tmp_path.iterdir() if "zip" in path.name or "part" in path.name] == ["there.zip"]


def test_export_at_the_terminal(centre: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", str(centre / "out.zip"), "--public") == 0
    assert "Записано в" in capsys.readouterr().err
    assert run("export", str(centre / "out.zip")) == 1
    assert "уже є" in capsys.readouterr().err
