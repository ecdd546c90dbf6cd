"""The centre's mailbox at a real IMAP server: every letter becomes a message once, whatever breaks in between."""

from __future__ import annotations

import contextlib
import email.policy
import errno
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select as select_rows

from centre import certificates
from centre.outside.mail import MailServers
from centre.settings import Settings
from centre.texts import section
from crm import appeals, attachments, messages, tokens
from crm.life import State
from crm.schema import message, notice
from crm.store import Database
from intake.mail import letters, mailbox
from intake.mail.arrivals import Arrivals
from intake.mail.mailbox import TAKEN, UNREADABLE, Account, Mailbox, Pace, Taker
from tests.crm.conftest import found_city
from tests.killing import killed
from tests.pictures import BANDERA, picture

SECRET, MARIA, OURS = "a secret", "maria@home.test", "1551@city.test"
HURRIED = Pace(poll=0.05, first_pause=0.05, longest_pause=0.2)
LARGEST = 400_000
SOON_S = 20.0
BOXES = [f"box{number}@city.test" for number in range(30)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> certificates.Served:
    made = certificates.ready(Settings(var=tmp_path_factory.mktemp("tls"), web_bind="0.0.0.0"), datetime.now(UTC))
    assert made is not None
    return made


@pytest.fixture(scope="module")
def servers(certificate: certificates.Served) -> Iterator[MailServers]:
    with MailServers([*BOXES, MARIA], certificate=(certificate.certificate, certificate.key)) as its:
        yield its


free = iter(BOXES)


@dataclass
class Post:
    """A mailbox of its own, and what is made of its letters."""

    servers: MailServers
    db: Database
    folder: Path
    box: str = field(default_factory=lambda: next(free))
    port: int = 0  # of what stands before the server
    running: list[tuple[Mailbox, threading.Thread]] = field(default_factory=list)

    def account(self) -> Account:
        return Account("127.0.0.1", self.port or self.servers.imap_port, "none", self.box, self.servers.password)

    def arrivals(self) -> Arrivals:
        return arrivals(self.db, self.folder, self.box)

    def start(self, taker: Taker | None = None) -> Mailbox:
        its = Mailbox(self.account(), taker or self.arrivals(), largest=LARGEST, pace=HURRIED)
        thread = threading.Thread(target=its.run, daemon=True)
        thread.start()
        self.running.append((its, thread))
        return its

    def stop(self) -> None:
        for its, thread in self.running:
            its.stop()
            thread.join(10)
            assert not thread.is_alive(), "it stops at once"
        self.running.clear()

    def send(self, made: EmailMessage, sender: str = "") -> None:
        self.servers.hand_in(made, [self.box], sender)

    def lie_there(self, count: int = 1) -> None:
        """Until so many letters have arrived."""
        self.servers.wait_for(self.box, lambda found: len(found) == count)

    def lying(self, folder: str = "INBOX") -> int:
        return len(self.servers.letters(self.box, folder))

    def kept(self) -> list[Any]:
        with self.db.read() as conn:
            return list(conn.execute(select_rows(message).order_by(message.c.id)))

    def files(self) -> list[attachments.Stored]:
        with self.db.read() as conn:
            return [each for row in self.kept() for each in messages.files_of(conn, row.id)]

    def answers(self) -> list[str]:
        with self.db.read() as conn:
            return [row.data["text"] for row in conn.execute(select_rows(notice).where(
                notice.c.kind == "reply").order_by(notice.c.id))]  # fmt: skip

    def taken(self, count: int = 1) -> list[Any]:
        """The messages, once there are so many and their letters have been put aside."""
        until(lambda: len(self.kept()) == count and self.lying() == 0)
        return self.kept()


def arrivals(db: Database, folder: Path, box: str) -> Arrivals:
    return Arrivals(db, folder, {box}, section("by_letter"), SECRET, 100, lambda: datetime.now(UTC))


def until(true: Callable[[], bool], patience_s: float = SOON_S) -> None:
    """Waits for it."""
    last = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < last, "it never came to be so"
        time.sleep(0.02)


@pytest.fixture
def post(servers: MailServers, sqlite_url: str, tmp_path: Path) -> Iterator[Post]:
    db = Database(sqlite_url)
    its = Post(servers, db, tmp_path / "files")
    yield its
    its.stop()
    db.close()


def letter(text: str = "Немає води", *files: tuple[str, bytes], **headers: str) -> EmailMessage:
    made = EmailMessage(policy=email.policy.SMTP)
    said = {"From": f"Марія <{MARIA}>", "To": OURS, "Subject": "Вода", "Message-ID": f"<{time.time()}@home>",
            **{name.replace("_", "-"): value for name, value in headers.items()}}  # fmt: skip
    for name, value in said.items():
        made[name] = value
    made.set_content(text)
    for name, data in files:
        made.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return made


def photos() -> list[tuple[str, bytes]]:
    return [("під’їзд.jpg", picture("JPEG", place=True)), ("IMG_2.HEIC", picture("HEIF", "blue"))]


# ── a letter comes ──
@pytest.mark.parametrize("kind", ["sqlite_url", "postgres_url"])
def test_a_letter_with_photos_is_a_message_as_soon_as_it_comes(servers: MailServers, tmp_path: Path, kind: str,
                                                              request: pytest.FixtureRequest) -> None:  # fmt: skip
    db = Database(request.getfixturevalue(kind))
    post = Post(servers, db, tmp_path / "files")
    post.start()
    until(lambda: TAKEN in folders(post))  # it stands, and waits
    began = datetime.now(UTC)
    post.send(letter("Немає води", *photos()))
    [row] = post.taken()
    assert (datetime.now(UTC) - began).total_seconds() < SOON_S
    assert (row.channel, row.address, row.name, row.title, row.text, row.state) == (
        "email", MARIA, "Марія", "Вода", "Немає води", "new")  # fmt: skip
    assert abs((row.received_at - began).total_seconds()) < 5
    assert [(each.name, each.media_type, each.place) for each in post.files()] == [
        ("під’їзд.jpg", "image/jpeg", BANDERA), ("IMG_2.jpg", "image/jpeg", None)]  # fmt: skip
    for each in post.files():
        assert attachments.place(post.folder, each.sha256).stat().st_size == each.bytes
    assert len(post.answers()) == 1
    assert post.lying(TAKEN) == 1
    post.stop()
    post.start()
    post.send(letter("Друга"))
    assert len(post.taken(2)) == 2
    post.stop()
    db.close()


def folders(post: Post) -> list[str]:
    with post.servers.open(post.box) as client:
        return [name for *_, name in client.list_folders()]


def test_all_that_lies_there_is_taken_in_its_order_and_as_many_as_there_are(post: Post) -> None:
    for number in range(7):
        post.send(letter(str(number)))
        post.lie_there(number + 1)
    with post.servers.open(post.box) as client:
        client.add_flags(client.search()[:3], [b"\\Seen"])  # somebody has looked
    post.start()
    assert [row.text for row in post.taken(7)] == list("0123456")


def test_a_server_that_does_not_tell_is_asked(post: Post) -> None:
    post.servers.stop_imap()
    post.servers.start_imap(idle=False)
    try:
        post.start()
        until(lambda: TAKEN in folders(post))
        post.send(letter())
        assert len(post.taken()) == 1
    finally:
        post.stop()
        post.servers.stop_imap()
        post.servers.start_imap()


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_it_is_read_over_tls_and_only_with_a_certificate_that_is_known(
        post: Post, security: str, certificate: certificates.Served, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    port = post.servers.imaps_port if security == "tls" else post.servers.imap_port
    account = Account("localhost", port, security, post.box, post.servers.password)
    assert "certificate" in mailbox.trouble(account, 5)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.trusted))
    assert mailbox.trouble(account, 5) == ""


def test_what_is_wrong_with_a_mailbox_is_told(post: Post) -> None:
    good = post.account()
    assert mailbox.trouble(good, 5) == ""
    for wrong in (Account("127.0.0.1", 9, "none", post.box, "x"),
                  Account(good.host, good.port, "none", post.box, "wrong"),
                  Account(good.host, good.port, "none", post.box, good.password, "No such folder")):  # fmt: skip
        assert mailbox.trouble(wrong, 5) != ""


# ── what breaks ──
class Flaky:
    """Stands before a server, and cuts the first connection once so many bytes have gone to the client."""

    def __init__(self, port: int, after: int) -> None:
        self._port, self._left, self.cut = port, after, threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server, contextlib.suppress(OSError):
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(4096)
                    if not data:
                        return
                    if ready is server and not self.cut.is_set():
                        self._left -= len(data)
                        if self._left < 0:
                            self.cut.set()
                            return
                    (server if ready is client else client).sendall(data)

    def close(self) -> None:
        self._listening.close()


def test_a_letter_that_was_cut_off_is_taken_whole_and_once(post: Post) -> None:
    noise = os.urandom(200_000)
    post.send(letter("Уся", ("акт.pdf", b"%PDF-1.7" + noise)))
    post.lie_there()
    between = Flaky(post.servers.imap_port, after=150_000)
    post.port = between.port
    post.start()
    [row] = post.taken()
    assert between.cut.is_set()
    [stored] = post.files()
    assert (row.text, stored.bytes) == ("Уся", len(noise) + 8)
    post.stop()
    between.close()


class Dying(Arrivals):
    """Is killed once a letter is on record, and before it can be put aside."""

    def take(self, data: bytes, received_at: datetime) -> bool:
        super().take(data, received_at)
        os.kill(os.getpid(), signal.SIGKILL)
        return True


def take_and_die(url: str, folder: Path, account: Account) -> None:
    made = arrivals(Database(url), folder, account.user)
    its = Dying(made.db, made.folder, made.own, made.say, made.secret, made.daily, made.clock)
    Mailbox(account, its, largest=LARGEST, pace=HURRIED).run()


def test_killed_at_any_moment_the_letter_is_there_once(post: Post) -> None:
    post.send(letter("Лист", *photos()[:1]))
    post.lie_there()
    url, at = post.db.url.render_as_string(hide_password=False), 1
    while not post.kept():
        assert killed(at, take_and_die, url, post.folder, post.account())
        assert post.lying() == 1, "what was not taken stays"
        at += 2
    assert at > 5, "all along the way, and after the commit"
    assert len(post.answers()) == 1
    forget_numbers(post)
    post.start()
    [row] = post.taken()
    assert (row.text, len(post.files()), len(post.answers()), post.lying(TAKEN)) == ("Лист", 1, 1, 1)


def forget_numbers(post: Post) -> None:
    """The server's index is lost: it numbers all letters anew."""
    def validity() -> int:
        with post.servers.open(post.box) as client:
            return int(client.folder_status("INBOX", ["UIDVALIDITY"])[b"UIDVALIDITY"])

    before = validity()
    post.servers.stop_imap()
    for path in (post.servers.home / "mail" / post.box).rglob("dovecot*"):
        path.unlink()
    time.sleep(max(0.0, 1.1 - time.time() % 1))  # a new number is made of the second
    post.servers.start_imap()
    assert validity() != before


def test_a_server_that_goes_away_is_found_again(post: Post) -> None:
    post.start()
    post.send(letter("перший"))
    post.taken()
    post.servers.stop_imap()
    time.sleep(0.1)
    post.servers.start_imap()
    post.send(letter("другий"))
    assert [row.text for row in post.taken(2)] == ["перший", "другий"]


def test_a_full_disk_loses_nothing(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    full, real = threading.Event(), os.fsync
    tried = threading.Event()
    full.set()

    def fsync(descriptor: int) -> None:
        if full.is_set():
            tried.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(attachments.os, "fsync", fsync)
    post.send(letter("З фото", *photos()))
    post.lie_there()
    post.send(letter("Без фото"))
    post.start()
    until(tried.is_set)
    until(lambda: len(post.kept()) == 1 and post.lying() == 1)
    assert post.kept()[0].text == "Без фото", "what needs no disk is not held up"
    full.clear()
    assert [row.text for row in post.taken(2)] == ["Без фото", "З фото"]
    assert len(post.files()) == 2


def test_what_cannot_be_read_at_all_is_put_aside_for_a_person_and_holds_up_nothing(post: Post) -> None:
    class Failing(Arrivals):
        def take(self, data: bytes, received_at: datetime) -> bool:
            if b"Subject: bad" in data:
                raise RuntimeError("a mistake of ours")
            return super().take(data, received_at)

    its = post.arrivals()
    post.send(letter("?", Subject="bad"))
    post.lie_there()
    post.send(letter("добрий"))
    post.lie_there(2)
    post.start(Failing(its.db, its.folder, its.own, its.say, its.secret, its.daily, its.clock))
    bad, good = post.taken(2)
    assert (bad.title, bad.state, bad.address) == ("bad", "new", "")
    assert UNREADABLE in bad.text
    assert good.text == "добрий"
    assert (post.lying(UNREADABLE), post.lying(TAKEN)) == (1, 1)
    assert len(post.answers()) == 1


def test_it_stops_at_once_while_it_waits_and_where_nobody_is(post: Post) -> None:
    post.start()
    until(lambda: TAKEN in folders(post))
    post.stop()
    post.port = 9
    its = Mailbox(post.account(), post.arrivals(), largest=LARGEST, pace=Pace(first_pause=60))
    thread = threading.Thread(target=its.run)
    thread.start()
    its.stop()
    thread.join(5)
    assert not thread.is_alive()


# ── what comes ──
def test_one_that_is_too_big_is_told_of_and_stays_where_it_is(post: Post) -> None:
    post.start()
    post.send(letter("Велике", ("великий.pdf", b"%PDF-1.7" + os.urandom(LARGEST)), Subject="Відео"))
    until(lambda: len(post.kept()) == 1)
    post.send(letter("звичайний"))
    until(lambda: len(post.kept()) == 2 and post.lying() == 1)
    row = post.kept()[0]
    assert (row.title, row.address, row.state) == ("Відео", MARIA, "new")
    assert "завеликий" in post.answers()[0].lower()
    post.stop()
    post.start()
    post.send(letter("ще один"))
    until(lambda: len(post.kept()) == 3 and post.lying() == 1)
    assert len(post.answers()) == 3, "it is told of once"
    with post.servers.open(post.box) as client:
        [uid] = client.search(["FLAGGED"])
        assert client.fetch([uid], ["RFC822.SIZE"])[uid][b"RFC822.SIZE"] > LARGEST


def test_a_bomb_among_the_photos_is_named_and_the_others_are_taken(post: Post) -> None:
    bomb = bytearray(picture("JPEG"))
    at = bomb.index(b"\xff\xc0") + 5
    bomb[at : at + 4] = b"\xff\xff\xff\xff"
    post.start()
    post.send(letter("Фото", ("bomb.jpg", bytes(bomb)), ("x.exe", b"MZ"), photos()[0]))
    post.taken()
    assert [each.name for each in post.files()] == ["під’їзд.jpg"]
    [answer] = post.answers()
    assert "bomb.jpg: у фото забагато точок" in answer
    assert "x.exe: це не фото й не PDF" in answer


def test_machines_are_kept_and_not_answered(post: Post) -> None:
    post.start()
    post.send(letter("Я у відпустці", Auto_Submitted="auto-replied"))
    post.send(letter("Від нас", From=post.box))
    post.send(letter("Відповідь"), sender="<>")
    assert [row.reason for row in post.taken(3)] == ["automatic"] * 3
    assert post.answers() == []


def test_a_letter_of_ours_that_a_real_server_sends_back_is_told_of(post: Post) -> None:
    post.start()
    post.send(letter())
    post.taken()
    ref = "<26000123-abcdefghijklmnop.7@city.test>"
    with post.db.write() as conn:
        conn.execute(notice.update().values(state="sent", sent_ref=ref, sent_at=datetime.now(UTC)))
    answer = letter("Відповідь", From=post.box, To="nobody@home.test", Message_ID=ref)
    post.servers.hand_in(answer, ["nobody@home.test"], post.box)
    post.taken(2)
    with post.db.read() as conn:
        row = conn.execute(select_rows(notice)).one()
    assert (row.state, row.error) == ("void", "failed")
    assert len(post.answers()) == 1, "and nobody answers a mail server"


def test_an_answer_with_the_seal_is_its_appeals_with_its_photos(post: Post) -> None:
    with post.db.write() as conn:
        city = found_city(conn)
        made = city.registered()
        done = city.executed()
    post.start()
    sealed = tokens.together(SECRET, made.number)
    post.send(letter("Ось фото\n\nпн, 23 лист. 2026 р. о 10:00 1551 <1551@city.test> пише:\n> старе", photos()[0],
                     In_Reply_To=f"<{sealed}.3@city.test>"))  # fmt: skip
    post.send(letter("Вирішено, дякую", Subject=f"Re: [{tokens.together(SECRET, done.number)}]"))
    rows = post.taken(2)
    assert {(row.appeal_id, row.text, row.state) for row in rows} == {
        (made.id, "Ось фото", "done"), (done.id, "Вирішено, дякую", "done")}  # fmt: skip
    with post.db.read() as conn:
        assert [each.name for each in attachments.of_appeal(conn, made.id)] == ["під’їзд.jpg"]
        assert appeals.get(conn, done.id).state is State.CLOSED


# ── the whole process ──
def test_the_post_fetches_and_ends_when_it_is_told_to(post: Post) -> None:
    """As ``./1551 post`` does it."""
    environment = {
        **os.environ, "CENTRE_VAR": str(post.folder / "var"), "CENTRE_SETTINGS": str(post.folder / "none.toml"),
        "CENTRE_DATABASE": post.db.url.render_as_string(hide_password=False), "CENTRE_IMAP_HOST": "127.0.0.1",
        "CENTRE_IMAP_PORT": str(post.servers.imap_port), "CENTRE_IMAP_SECURITY": "none", "CENTRE_IMAP_USER": post.box,
        "CENTRE_IMAP_PASSWORD": post.servers.password}  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "centre", "post"], env=environment, cwd=Path(__file__).parents[2],
                               stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        post.send(letter())
        post.taken()
        process.terminate()
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()


def test_the_real_limit_holds_twenty_five_megabytes_of_files() -> None:
    made = letter("Фото", ("a.pdf", b"%PDF-1.7".ljust(attachments.LARGEST, b"x")))
    assert len(made.as_bytes()) < letters.LARGEST
    assert [len(file.data) for file in letters.parse(made.as_bytes()).files] == [attachments.LARGEST]
