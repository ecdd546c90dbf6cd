"""`./1551 user …`: whoever has the machine lets people in, the last administrator too."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyotp
import pytest
from sqlalchemy import select

from centre.__main__ import main
from crm import people, schema, second_factor, sign_in
from crm.guessing import FREE_HERE, Place
from crm.people import Owed
from crm.store import Database

SECRET = second_factor.secret_of(b"twenty bytes of seed")


def test_the_last_administrator_gets_in_from_the_machine_itself(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CENTRE_SETTINGS", str(tmp_path / "none.toml"))
    monkeypatch.setenv("CENTRE_DATABASE", sqlite_url)
    monkeypatch.setenv("LC_ALL", "uk_UA.UTF-8")

    def user(*words: str, code: int = 0) -> str:
        """What stood on stdout."""
        assert main(["user", *words]) == code
        return capsys.readouterr().out.strip()

    db, place, now = Database(sqlite_url), Place("198.51.100.1"), datetime.now(UTC)
    login, password = user("add", "boss", "--role", "administrator", "--name", "Начальник").split("\t")
    person = sign_in.prove_password(db, login, password, place=place, now=now)
    assert people.owed(person, second_factor=True) is Owed.PASSWORD
    sign_in.change_password(db, person, "зовсім інші три слова", now=now)
    with db.write() as conn:
        sign_in.enrol(conn, person.id, SECRET, pyotp.TOTP(SECRET).at(now), now=now)
        for _ in range(FREE_HERE):
            sign_in.failed(conn, person.id, place, now)
    # The password is forgotten, the telephone lost, strangers guess.
    user("disable", "boss")
    user("enable", "boss")
    user("second-factor", "boss")
    _, password = user("password", "BOSS").split("\t")
    person = sign_in.prove_password(db, login, password, place=place, now=now)
    assert (person.password_given, person.second_factor, person.active) == (True, False, True)
    with db.read() as conn:
        e = schema.edit_log.c
        logged = conn.execute(select(e.staff_id, e.after).where(e.what == "staff").order_by(e.id)).all()
    assert [after for who, after in logged if who is None] == [
        {"active": False}, {"active": True}, {"second_factor": "taken"}, {"password": "new"}]
    assert password not in str(logged)
    assert SECRET not in str(logged)
    assert "boss\tadministrator\tНачальник" in user("list")
    db.close()
    for words in (("password", "nobody"), ("password",), ("add", "x y"), ("add", "one", "--role", "king")):
        assert user(*words, code=1) == ""
