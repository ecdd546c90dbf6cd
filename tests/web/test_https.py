"""From another machine: the pages by HTTPS alone, with a certificate made here, and a newcomer's first steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from centre import accounts, certificates, up
from centre.provision import ensure
from centre.provision.tools import TOOLS
from centre.settings import ROOT, Settings
from tests.namespaces import CITY, wire
from tests.web.conftest import Site

HERE = Path(__file__).parent
REFUSED = 1006  # what a page learns of a socket that was not opened
# Waits for the pages, and asks for one without TLS.
IN_THE_OPEN = """
import contextlib, socket, sys, time
while socket.socket().connect_ex((sys.argv[1], 15510)):
    time.sleep(0.1)
with contextlib.suppress(ConnectionError), socket.create_connection((sys.argv[1], 15510)) as asking:
    asking.sendall(b"GET /sign-in HTTP/1.0\\r\\n\\r\\n")
    print(asking.recv(100))
"""


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def pages(tmp_path: Path, sqlite_url: str) -> Iterator[tuple[Settings, list[str]]]:
    """The web of a centre that others can reach, and how to run something on another machine."""
    with wire() as (city, seat):
        settings = Settings(var=tmp_path, web_bind=IPv4Address(CITY), web_port=15510)
        environment = {**os.environ, "CENTRE_VAR": str(tmp_path), "CENTRE_WEB_BIND": CITY, "CENTRE_WEB_PORT": "15510",
                       "CENTRE_SETTINGS": str(tmp_path / "none.toml")}  # fmt: skip
        serving = subprocess.Popen([*city, sys.executable, "-m", "centre", "web"], cwd=ROOT, env=environment,
                                   stderr=subprocess.PIPE)  # fmt: skip
        yield settings, seat
        serving.terminate()
        serving.communicate(timeout=30)


def trust(home: Path, authority: Path) -> None:
    """As the city's administrator installs it."""
    script = [sys.executable, "-S", str(HERE / "trusting.py"), str(home / ".pki" / "nssdb"), str(authority)]
    libraries = next(TOOLS.glob("chromium-*/usr/lib/*-linux-gnu"), None)
    if TOOLS in Path(ensure("chromium").executable).parents and libraries is not None:
        # Its libraries are newer than this system's: its own loader starts them.
        script[0] = str(Path(sys.executable).resolve())
        script = [str(next(libraries.glob("ld-linux*.so.*"))), "--library-path", str(libraries), *script]
    subprocess.run(script, check=True)


def newcomer(seat: list[str], home: Path, *words: str) -> dict[str, Any]:
    """What a newcomer met on another machine."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*seat, sys.executable, str(HERE / "newcomer.py"), str(home), *words], env=environment,
                          check=True, stdout=subprocess.PIPE, timeout=120)  # fmt: skip
    met: dict[str, Any] = json.loads(done.stdout)
    return met


def test_a_newcomer_on_another_machine_needs_only_the_authority_installed(
    pages: tuple[Settings, list[str]], tmp_path: Path
) -> None:
    settings, seat = pages
    where, made = certificates.where(settings), accounts.first_administrator(settings)
    assert where == f"https://{CITY}:15510"
    assert made is not None
    in_the_open = subprocess.run([*seat, sys.executable, "-c", IN_THE_OPEN, CITY], check=True, timeout=60,
                                 capture_output=True)  # fmt: skip
    assert b"HTTP" not in in_the_open.stdout
    home = tmp_path / "home"
    home.mkdir()
    assert "ERR_CERT_AUTHORITY_INVALID" in newcomer(seat, home, where, made.login, made.password)["refused"]
    trust(home, settings.tls / "ca.pem")
    met = newcomer(seat, home, where, made.login, made.password)
    assert met["secure"], "the microphone is there for who asks"
    assert met["cookies"] == [f"__Host-{name} True" for name in ("entry", "known", "session")]
    assert len(set(met["passwords"])) == 2
    assert met["socket"] == REFUSED


async def test_up_tells_where_to_go_and_the_first_administrators_password_once(
    served: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = served.settings.model_copy(update={"web_port": int(served.base.rpartition(":")[2])})
    said: list[str] = []
    await up.ready(settings, said.append)
    assert capsys.readouterr().out == f"ready {served.base}\n"
    where, first = said
    assert served.base in where
    password = first.split("пароль ")[-1] if "пароль" in first else first.split("password ")[-1]
    password = password.split(".")[0].split(",")[0]
    desk = await served.stranger()
    assert (await desk.sign_in("admin", password)).url == f"{served.base}/account"
    said.clear()
    await up.ready(settings, said.append)
    assert len(said) == 1
