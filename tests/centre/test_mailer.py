"""Letters to offices against a real mail server: sent once, tried again, recognisable when twice, never more than a
letter."""

from __future__ import annotations

import email
import email.policy
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from centre import post as centre_post
from centre.mailer import Mailer, letter
from centre.settings import Settings
from crm import appeals, letters
from crm.letters import Line, Mail
from crm.life import Action
from crm.notices import Kind
from crm.schema import department, notice
from crm.store import Database
from intake.mail.smtp import Server
from tests.crm.conftest import NOON, City, found_city
from tests.mail_server import MailServer, mail_server

FROM = "1551@kyiv.example"
MAILBOX = "heat@example.org"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as its:
        yield its


@dataclass
class Post:
    db: Database
    settings: Settings
    city: City
    now: datetime = NOON

    def run(self) -> int:
        return Mailer(self.db, centre_post.server(self.settings), self.settings.mail_digest).run(self.now)

    def registered(self) -> appeals.Registered:
        with self.db.write() as conn:
            self.city.conn, self.city.now = conn, self.now
            return self.city.registered()

    def act(self, made: appeals.Registered, action: Action, **more: Any) -> None:
        with self.db.write() as conn:
            appeals.act(conn, made.id, action, now=self.now, note="Немає адреси\nі суті", **more)

    def states(self) -> list[str]:
        with self.db.read() as conn:
            return list(conn.execute(select(notice.c.state).order_by(notice.c.id)).scalars())


@pytest.fixture
def post(db: Database, server: MailServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Post:
    monkeypatch.setenv("CENTRE_SETTINGS", str(tmp_path / "none.toml"))
    settings = Settings(var=tmp_path, database=str(db.url.render_as_string(hide_password=False)), mail_digest=0,
                        smtp_host="127.0.0.1", smtp_port=server.port, smtp_security="none", mail_from=FROM)  # fmt: skip
    with db.write() as conn:
        city = found_city(conn)
        conn.execute(update(department).where(department.c.id == city.heating).values(email=MAILBOX))
    return Post(db, settings, city)


def test_a_department_is_told_of_all_in_one_letter_and_once(post: Post, server: MailServer) -> None:
    made = [post.registered() for _ in range(3)]
    assert post.run() == 1
    assert post.run() == 0
    ((to, said),) = server.taken
    assert (to, said["To"], said["From"]) == (
        [MAILBOX], f"Київтеплоенерго <{MAILBOX}>", f"Контакт-центр 15-51 <{FROM}>")
    assert said["Subject"] == "15-51: звернення, які потребують вашої уваги (3)"
    body = said.get_content()
    for each in made:
        assert f"№ {each.number} · Немає опалення · проспект Степана Бандери, 12-А · строк до 09.12.2026" in body
    assert "Марія" not in body, "whose they are is read in the centre, where it is logged who reads it"
    assert post.states() == ["sent"] * 3


def test_with_no_server_set_nothing_is_sent_and_nothing_lost(post: Post, server: MailServer) -> None:
    made, over = post.registered(), post.registered()
    post.act(over, Action.ACKNOWLEDGE)
    there = post.settings
    post.settings = there.model_copy(update={"smtp_host": ""})
    assert post.run() == 0
    assert (server.taken, post.states()) == ([], ["due", "void"])
    post.settings = there
    assert post.run() == 1
    assert str(made.number) in server.taken[0][1].get_content()


def test_a_server_that_is_down_is_asked_again_later_and_then_takes_all(post: Post, server: MailServer) -> None:
    post.registered()
    there = post.settings
    post.settings = there.model_copy(update={"smtp_port": 1})
    assert post.run() == 0
    with post.db.read() as conn:
        state = letters.post(conn)
    assert (state.waiting, state.failing) == (1, 1)
    assert "refused" in state.error.lower()
    post.settings = there
    assert post.run() == 0, "not at once"
    post.now += timedelta(seconds=60)
    assert post.run() == 1


def test_a_letter_that_is_refused_keeps_no_other_back(post: Post, server: MailServer) -> None:
    with post.db.write() as conn:
        conn.execute(update(department).where(department.c.id == post.city.roads).values(email="roads@example.org"))
    post.act(post.registered(), Action.ASSIGN, department_id=post.city.roads)
    post.registered()
    server.refusal = "roads"
    assert post.run() == 1
    assert [to for to, _ in server.taken] == [[MAILBOX]]
    server.refusal = ""
    post.now += timedelta(seconds=60)
    assert post.run() == 1
    assert [to for to, _ in server.taken] == [[MAILBOX], ["roads@example.org"]]


def test_a_server_that_takes_nothing_now_is_no_reason_to_lose_anything(post: Post, server: MailServer) -> None:
    post.registered()
    server.answer = "451 4.3.0 пізніше"
    assert post.run() == 0
    server.answer = "250 OK"
    post.now += timedelta(minutes=1)
    assert post.run() == 1


def test_killed_between_the_servers_yes_and_our_commit_the_second_copy_says_so(post: Post, server: MailServer) -> None:
    """A process of its own is killed there; a new appeal of the same department does not slip into the copy."""
    first = post.registered()
    killed = subprocess.run([sys.executable, "-c", f"""
import os
from datetime import datetime
from centre.mailer import Mailer
from centre.post import server
from centre.settings import Settings
from crm import letters
from crm.store import Database
letters.sent = lambda *_: os._exit(9)
settings = Settings.model_validate_json({post.settings.model_dump_json()!r})
Mailer(Database(settings.database_url), server(settings), 0).run(datetime.fromisoformat({post.now.isoformat()!r}))
"""], check=False, capture_output=True, text=True, timeout=60, env=dict(os.environ))  # fmt: skip
    assert killed.returncode == 9, killed.stderr
    assert post.states() == ["due"]
    second = post.registered()
    post.run()
    copies = [said for to, said in server.taken if str(first.number) in said.get_content()]
    assert [copy["Message-ID"] for copy in copies] == [copies[0]["Message-ID"]] * 2
    assert [str(second.number) in copy.get_content() for copy in copies] == [False, False]
    assert len({said["Message-ID"] for _, said in server.taken}) == 2
    assert post.states() == ["sent", "sent"]


LINE = Line(Kind.ASSIGNED, 26000001, "Немає тепла", "No heating", "вулиця", "1", "", "", NOON, "")
SERVER = Server("127.0.0.1", 25, "none", "", "", FROM)


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_a_name_or_a_note_is_it_adds_no_header(name: str, note: str) -> None:
    for bait in ("", "\r\nBcc: x@example.org", "\nSubject: y\n\n"):
        line = replace(LINE, note=note + bait)
        mail = Mail("ab" * 16, name + bait, MAILBOX, "uk", 0, (line,))
        said = email.message_from_bytes(letter(mail, SERVER, NOON).as_bytes(), policy=email.policy.SMTP)
        assert sorted(said.keys()) == sorted(["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted",
                                              "Content-Type", "Content-Transfer-Encoding", "MIME-Version"])  # fmt: skip
        assert [address.addr_spec for address in said["To"].addresses] == [MAILBOX]


@pytest.mark.parametrize("address", [
    "a@b.ua\r\nBcc: c@d.ua", "a@b.ua, c@d.ua", "a b@c.ua", "@b.ua", "a@", "<a@b.ua>", "a@b.ua\x01",
    "скринька@місто.укр", "a@b.ua> SIZE=1", '"a\r\nDATA"@b.ua',
])  # fmt: skip
def test_an_address_that_is_none_is_not_written_to(post: Post, server: MailServer, address: str) -> None:
    with post.db.write() as conn:
        conn.execute(update(department).values(email=address))
    post.registered()
    assert post.run() == 0
    assert server.taken == []
    with post.db.read() as conn:
        assert letters.post(conn).error == "bad_address"


def test_the_time_of_a_letter_is_the_rounds(post: Post, server: MailServer) -> None:
    post.registered()
    post.run()
    assert server.taken[0][1]["Date"].datetime == NOON.astimezone(UTC)
