"""What a department's system is told reaches it: at least once, in order, whatever it does; and nothing else is called.

The system is a real server on this machine, which answers as the test says.
"""

from __future__ import annotations

import http.server
import json
import os
import random
import re
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from centre import certificates
from crm import appeals, webhooks
from crm.life import Action
from crm.schema import delivery, webhook
from crm.store import Database
from intake.webhooks import Deliverer, signature
from tests.crm.conftest import NOON, City, found_city
from tests.killing import killed

ROOT = Path(__file__).parents[2]
Answering = Callable[[http.server.BaseHTTPRequestHandler, dict[str, Any]], None]


def answer(status: int, body: bytes = b"", **headers: str) -> Answering:
    def do(request: http.server.BaseHTTPRequestHandler, event: dict[str, Any]) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return do


def drop(request: http.server.BaseHTTPRequestHandler, event: dict[str, Any]) -> None:
    """Takes it and says nothing."""
    request.close_connection = True


@dataclass
class System:
    """A department's own system. ``answers``: what the next calls get; then 200. ``came``: (headers, body) of each."""

    server: http.server.ThreadingHTTPServer
    answers: list[Answering] = field(default_factory=list)
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    by_event: Callable[[str], Answering | None] = lambda id: None
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/1551?town=kyiv"

    @property
    def ids(self) -> list[str]:
        return [json.loads(body)["id"] for _, body in self.came]


@pytest.fixture
def systems() -> Iterator[Callable[..., System]]:
    made: list[System] = []

    def make(context: ssl.SSLContext | None = None) -> System:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    its.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
                    event = json.loads(body)
                    do = its.by_event(event["id"]) or (its.answers.pop(0) if its.answers else answer(200))
                do(self, event)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: tests print no lines of requests."""

        lock = threading.Lock()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        its = System(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        made.append(its)
        return its

    yield make
    for its in made:
        its.released.set()
        its.server.shutdown()
        its.server.server_close()


@dataclass
class Post:
    """The records, and what delivers from them by a clock of its own."""

    db: Database
    city: City
    now: Any = NOON
    deliverer: Deliverer = field(init=False)

    def __post_init__(self) -> None:
        self.deliverer = self.anew()

    def anew(self, **changed: Any) -> Deliverer:
        return Deliverer(self.db, **{"private": True, "timeout_s": 5.0, "clock": lambda: self.now, **changed})

    def hook(self, url: str, name: str = "АСУ") -> tuple[int, str]:
        with self.db.write() as conn:
            return webhooks.add(conn, name=name, url=url, department_id=None, private=True, now=self.now,
                                staff_id=None)  # fmt: skip

    def appeal(self, *actions: Action) -> int:
        """Its number. What is told: that it is assigned, and these."""
        with self.db.write() as conn:
            made = City.registered(self._with(conn))
            for action in actions:
                appeals.act(conn, made.id, action, now=self.now, note="…")
        return made.number

    def _with(self, conn: Any) -> City:
        self.city.conn = conn
        return self.city

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)

    def run(self) -> int:
        return self.deliverer.run()

    def rows(self) -> list[Any]:
        with self.db.read() as conn:
            return list(conn.execute(select(delivery).order_by(delivery.c.id)))


@pytest.fixture
def post(sqlite_url: str) -> Iterator[Post]:
    db = Database(sqlite_url)
    with db.write() as conn:
        city = found_city(conn)
    yield Post(db, city)
    db.close()


def documented() -> Callable[..., bool]:
    """The check that the department's programmer finds in our page."""
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs/channels/webhooks.md").read_text(), re.DOTALL)
    scope: dict[str, Any] = {}
    exec(code[0], scope)  # our own page
    found: Callable[..., bool] = scope["is_ours"]
    return found


def test_what_comes_can_be_checked_by_the_lines_of_our_page(post: Post, systems: Callable[..., System]) -> None:
    its = systems()
    _, secret = post.hook(its.url)
    number = post.appeal()
    assert post.run() == 1
    ((headers, body),) = its.came
    assert headers["content-type"] == "application/json"
    assert headers["x-1551-event"] == json.loads(body)["id"] == f"{number}-2"
    assert headers["host"] == f"127.0.0.1:{its.port}"
    is_ours, given, now = documented(), headers["x-1551-signature"], post.now.timestamp()
    assert is_ours(secret, given, body, now)
    assert not is_ours(secret, given, body + b" ", now)
    assert not is_ours("other", given, body, now)
    assert not is_ours(secret, given, body, now + 301), "what somebody kept and sends again"
    for wrong in ("", "t=1", "v1=", given.replace("t=", "t=1"), "a,b"):
        assert not is_ours(secret, wrong, body, now)


def test_the_body_of_our_page_is_what_is_sent(post: Post, systems: Callable[..., System]) -> None:
    its = systems()
    post.hook(its.url)
    post.appeal()
    post.run()
    shown = re.findall(r"```json\n(.*?)```", (ROOT / "docs/channels/webhooks.md").read_text(), re.DOTALL)
    assert list(json.loads(shown[0])) == list(json.loads(its.came[0][1]))


def test_the_signature_is_over_the_time_and_the_body() -> None:
    """As ``printf '%s' '1764000000.{"id":1}' | openssl dgst -sha256 -hmac s`` gives it."""
    expected = "649bedc388898e7a421859cfa1fcdc6bdbd90d824e751a965a0da3e0b84142df"
    assert signature("s", b'{"id":1}', 1764000000) == f"t=1764000000,v1={expected}"


def test_once_taken_it_is_never_sent_again(post: Post, systems: Callable[..., System]) -> None:
    its = systems()
    post.hook(its.url)
    number = post.appeal(Action.START, Action.EXECUTE)
    assert post.run() == 4
    assert its.ids == [f"{number}-{version}" for version in (2, 3, 4, 5)]
    post.later(days=3)
    assert post.run() == post.anew().run() == 0
    assert len(its.came) == 4


@pytest.mark.parametrize("seed", range(8))
def test_in_order_for_each_appeal_whatever_fails(post: Post, systems: Callable[..., System], seed: int) -> None:
    chance = random.Random(seed)
    its = systems()
    post.hook(its.url)
    numbers = [post.appeal(Action.START, Action.EXECUTE) for _ in range(3)]
    its.answers = chance.choices([answer(200), answer(503), answer(429), answer(400, b"no"), drop, answer(204)], k=25)
    for _ in range(400):
        post.run()
        if chance.random() < 0.2:
            post.deliverer = post.anew()  # restarted
        if all(row.state == "sent" for row in post.rows()):
            break
        post.later(minutes=chance.randrange(1, 600))
    assert [row.state for row in post.rows()] == ["sent"] * 12
    for number in numbers:
        seen = [id for id in its.ids if id.startswith(f"{number}-")]
        first = list(dict.fromkeys(seen))
        assert first == [f"{number}-{version}" for version in (2, 3, 4, 5)], "each at last, in order"
        assert seen == sorted(seen), "none comes again after a later one"


@pytest.mark.parametrize(("when", "comes"), [("before", (2, 2, 3)), ("after", (2, 3))])
def test_killed_between_the_answer_and_our_commit_it_comes_again_and_in_order(
        post: Post, systems: Callable[..., System], when: str, comes: tuple[int, ...]) -> None:  # fmt: skip
    its = systems()
    post.hook(its.url)
    number = post.appeal(Action.START)
    assert killed(10**9, deliver_and_die, str(post.db.url), when), "it died by its own hand"
    assert its.ids == [f"{number}-2"]
    assert post.run() == len(comes) - 1
    assert its.ids == [f"{number}-{version}" for version in comes], "by the same name, so that it is known"


def deliver_and_die(url: str, when: str) -> None:
    class Dying(Deliverer):
        def _keep(self, *given: Any) -> None:
            if when == "after":
                super()._keep(*given)
            os.kill(os.getpid(), signal.SIGKILL)

    Dying(Database(url), private=True, clock=lambda: NOON).run()


def test_a_system_that_is_away_rests_and_holds_up_no_other(post: Post, systems: Callable[..., System]) -> None:
    well, ill = systems(), systems()

    def hang(request: http.server.BaseHTTPRequestHandler, event: dict[str, Any]) -> None:
        ill.released.wait(20)

    ill.by_event = lambda id: hang
    post.deliverer = post.anew(timeout_s=0.3)
    post.hook(well.url, "здорова")
    post.hook(ill.url, "хвора")
    for _ in range(6):
        post.appeal()
    assert post.run() == 6
    assert (len(well.came), len(ill.came)) == (6, 4), "the rest of them is not tried"
    assert post.run() == 0
    assert len(ill.came) == 4, "before its pause is over"
    ill.by_event = lambda id: None
    ill.released.set()
    post.later(hours=1)
    assert post.run() == 6
    assert {row.state for row in post.rows()} == {"sent"}
    assert sorted(set(ill.ids)) == sorted(well.ids)


def test_one_that_is_refused_holds_up_only_its_own_appeal(post: Post, systems: Callable[..., System]) -> None:
    its = systems()
    post.hook(its.url)
    bad, good = post.appeal(Action.START), post.appeal(Action.START)
    its.by_event = lambda id: answer(422, "поле — хибне".encode()) if id == f"{bad}-2" else None
    assert post.run() == 2
    assert [id for id in its.ids if id.startswith(str(good))] == [f"{good}-2", f"{good}-3"]
    assert [row.error for row in post.rows() if row.error] == ["HTTP 422 поле — хибне"]
    assert f"{bad}-3" not in its.ids


def test_gone_switches_it_off(post: Post, systems: Callable[..., System]) -> None:
    its = systems()
    id, _ = post.hook(its.url)
    post.appeal(Action.START)
    its.answers = [answer(410)]
    assert post.run() == 0
    with post.db.read() as conn:
        assert not webhooks.get(conn, id).active
    post.later(days=9)
    assert post.run() == 0
    assert len(its.came) == 1


def test_redirects_are_not_followed(post: Post, systems: Callable[..., System]) -> None:
    its, elsewhere = systems(), systems()
    post.hook(its.url)
    post.appeal()
    its.answers = [answer(307, Location=elsewhere.url)]
    assert post.run() == 0
    assert elsewhere.came == []
    assert post.rows()[0].error == "HTTP 307"


def test_an_endless_answer_ends(post: Post, systems: Callable[..., System]) -> None:
    def pours(status: int) -> Answering:
        def do(request: http.server.BaseHTTPRequestHandler, event: dict[str, Any]) -> None:
            request.send_response(status)
            request.send_header("Content-Length", str(10**9))
            request.end_headers()
            try:
                while True:
                    request.wfile.write(b"word " * 4096)
            except OSError:
                request.close_connection = True

        return do

    its = systems()
    post.hook(its.url)
    post.appeal()
    its.answers = [pours(500), pours(200)]
    assert post.run() == 0
    assert len(post.rows()[0].error) <= 200
    post.later(minutes=1)
    assert post.run() == 1


def test_who_drips_is_not_waited_for(post: Post, systems: Callable[..., System]) -> None:
    its = systems()

    def drips(request: http.server.BaseHTTPRequestHandler, event: dict[str, Any]) -> None:
        request.close_connection = True
        try:
            while not its.released.wait(0.05):
                request.wfile.write(b"H")
        except OSError:
            pass

    post.hook(its.url)
    post.appeal()
    its.answers = [drips]
    post.deliverer = post.anew(timeout_s=0.3)
    assert post.run() == 0
    assert post.rows()[0].error == "timeout"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]"])
def test_nothing_within_our_own_networks_is_called(post: Post, systems: Callable[..., System], host: str) -> None:
    """Not even where the name leads there only now: the form has been looked at long ago."""
    its = systems()
    id, _ = post.hook(its.url)
    with post.db.write() as conn:
        conn.execute(update(webhook).where(webhook.c.id == id).values(url=f"https://{host}:{its.port}/"))
    post.appeal()
    post.deliverer = post.anew(private=False)
    assert post.run() == 0
    assert its.came == []
    assert post.rows()[0].error == "private"


def test_plain_http_is_not_called_either(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("93.184.216.34", 80))])
    post.hook("http://heating.city.ua/")
    post.appeal()
    post.deliverer = post.anew(private=False)
    assert post.run() == 0
    assert post.rows()[0].error == "private"


@pytest.mark.parametrize(("name", "taken"), [("localhost", 1), ("other.city.ua", 0)])
def test_the_certificate_must_be_the_names(post: Post, systems: Callable[..., System], tmp_path: Path, name: str,
                                           taken: int) -> None:  # fmt: skip
    """Though an address is called that was looked up before."""
    made = certificates.Served(tmp_path / "web.pem", tmp_path / "key.pem", True, tmp_path / "ca.pem")
    certificates._make(made, [name], datetime.now(UTC))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(made.certificate, made.key)
    its = systems(serving)
    post.deliverer = post.anew(trusted=ssl.create_default_context(cafile=made.trusted))
    post.hook(f"https://localhost:{its.port}/1551")
    post.appeal()
    assert post.run() == len(its.came) == taken
    assert ("certificate" in post.rows()[0].error.lower()) is not taken
