"""A real Asterisk on free ports for the scenarios, without our own processes.

Prompts are short noises, each its own, so that a test can tell by the bytes which one was heard.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from centre.asterisk import Asterisk
from centre.phones import Caller, SeatPhone, free_port
from centre.settings import Secrets, Settings, load, load_secrets

SECOND = 8000
TEMPLATE = Path(__file__).parents[2] / "dialplans" / "templates" / "extensions.conf.j2"


def noise(name: str, seconds: float = 1.0) -> bytes:
    """A sound that no other name has."""
    block = hashlib.shake_256(name.encode()).digest(int(SECOND * seconds))
    return bytes(0x40 | (byte & 0xBF) for byte in block)  # quiet enough not to be clipped anywhere


class Exchange:
    """A running Asterisk and what a test asks of it."""

    def __init__(self, settings: Settings, secrets: Secrets) -> None:
        self.settings, self.secrets = settings, secrets
        self.asterisk = Asterisk(settings, secrets)

    @property
    def sip(self) -> tuple[str, int]:
        return str(self.settings.sip_bind), self.settings.sip_port

    def caller(self, number: str = "+380441234567", **how: Any) -> Caller:
        return Caller(self.sip, number, **how)

    def seat(self, number: str = "101", **how: Any) -> SeatPhone:
        seat = self.secrets.seats[number]
        return SeatPhone(self.sip, seat.sip_user, seat.sip_secret, **how)

    def prompt(self, name: str, language: str = "uk") -> Path:
        return self.settings.prompts / language / f"{name}.alaw"

    def log_in(self, number: str = "101", queue: str = "city") -> None:
        """Puts the seat into the queue, as the star code does."""
        interface = self.secrets.seats[number].interface
        self.asterisk.rx(f"queue add member {interface} to {queue} penalty 0 as {number} state_interface {interface}")

    def log_out(self, number: str = "101", queue: str = "city") -> None:
        self.asterisk.rx(f"queue remove member {self.secrets.seats[number].interface} from {queue}")

    def channels(self) -> int:
        counted = re.search(r"(\d+) active channel", self.asterisk.rx("core show channels count"))
        assert counted
        return int(counted[1])

    async def idle(self) -> None:
        """Waits until no channel is left. A channel that stays is a leak."""
        for _ in range(200):
            if await asyncio.to_thread(self.channels) == 0:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("channels stayed: " + self.asterisk.rx("core show channels concise"))

    def spooled(self) -> list[dict[str, Any]]:
        """What Asterisk wrote down for us, oldest first."""
        return [json.loads(path.read_text()) for path in sorted(self.settings.spool.glob("*.json"))]

    def complaints(self) -> list[str]:
        """Warnings and errors of Asterisk's own log."""
        log = (self.settings.asterisk / "log" / "messages").read_text(errors="replace")
        return [line for line in log.splitlines() if re.search(r"\] (WARNING|ERROR)\[", line)]


@pytest.fixture(scope="session")
def exchange_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    var = tmp_path_factory.mktemp("exchange")
    settings = load(
        var=var, sip_port=free_port(), ami_port=free_port(kind=socket.SOCK_STREAM), seat_count=3,
        agi_port=free_port(kind=socket.SOCK_STREAM), landline_host=f"127.0.0.1:{free_port()}",
        mobile_host=f"127.0.0.2:{free_port('127.0.0.2')}", wrap_up=0,
    )  # fmt: skip
    names = set(re.findall(r"(?:Playback\(|Read\(\w+,|[?:]|queue-\w+ = )([a-z]+(?:-[a-z0-9]+)*)[),:]", TEMPLATE.read_text()))
    for language in ("uk", "en"):
        folder = settings.prompts / language
        folder.mkdir(parents=True)
        for name in names | {"greeting", "menu", "menu-pending", "thanks-waiting", "queue-youarenext", "queue-thereare"}:
            (folder / f"{name}.alaw").write_bytes(noise(f"{language}/{name}"))
    return settings


@pytest.fixture(scope="session")
def running(exchange_settings: Settings) -> Iterator[Exchange]:
    exchange = Exchange(exchange_settings, load_secrets(exchange_settings))
    exchange.asterisk.prepare()
    mask = os.umask(0o077)
    process = subprocess.Popen(exchange.asterisk.argv(), env=exchange.asterisk.env(), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    os.umask(mask)
    try:
        exchange.asterisk.wait_booted()
        yield exchange
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
async def exchange(running: Exchange) -> AsyncIterator[Exchange]:
    """The running Asterisk, with an empty spool before and no channel left after."""
    for path in running.settings.spool.glob("*.json"):
        path.unlink()
    yield running
    await running.idle()
