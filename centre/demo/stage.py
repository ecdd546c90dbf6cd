"""The demo's stage: a centre of its own on free ports, with a database of its own, and its people; and what lies
between it and those who write: mail servers, and what we know of Twilio and Facebook.

Everything lies in one temporary folder and is gone afterwards, but for the prompts, which are
shared with the centre of this checkout so that they are spoken once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack
from pathlib import Path
from typing import Self

import httpx

from centre import accounts, certificates
from centre.__main__ import prepare
from centre.demo.browser import LIMITS
from centre.outside.facebook import Facebook
from centre.outside.mail import LOOPBACK, MailServers
from centre.outside.twilio import FakeTwilio
from centre.phones import free_port
from centre.settings import ROOT, Secrets, Settings, load, load_secrets
from crm import departments, people
from crm.store import Database

START = 90.0  # seconds for the centre to be up
MAILBOX = "1551@city.test"
TWILIO = ("AC" + "15" * 16, "a-token-of-the-demo", "+380635551551")


class Stage(AbstractAsyncContextManager["Stage"]):
    """A running centre: ``async with Stage(seats=3, say=print) as stage``. ``settings``: what is to be otherwise."""

    settings: Settings
    secrets: Secrets
    db: Database

    def __init__(self, seats: int, say: Callable[[str], None], **settings: object) -> None:
        self._seats, self._say, self._settings = seats, say, settings
        self._folder = tempfile.TemporaryDirectory(prefix="1551-demo-", ignore_cleanup_errors=True)
        self._process: asyncio.subprocess.Process | None = None
        self.exchange_port = 0

    async def __aenter__(self) -> Self:
        self._environment = os.environ | self._choose()
        self.settings = load(**self._chosen)
        self.secrets = load_secrets(self.settings)
        await asyncio.to_thread(prepare, self.settings)
        self.db = Database(self.settings.database_url)
        log = open(self.log, "wb")  # noqa: ASYNC230, SIM115  once, before anything runs
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "centre", "up", cwd=ROOT, env=self._environment, start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=log)  # fmt: skip
        log.close()
        try:
            await asyncio.wait_for(self._ready(), START)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._process and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), 30)
            except TimeoutError:
                os.killpg(self._process.pid, signal.SIGKILL)
        if hasattr(self, "db"):
            self.db.close()
        if os.environ.get("CENTRE_DEMO_KEEP"):
            self._say(f"kept: {self._folder.name}")
            self._folder._finalizer.detach()  # type: ignore[attr-defined]  # the one way to keep it
        else:
            self._folder.cleanup()

    @property
    def log(self) -> Path:
        return Path(self._folder.name) / "centre.log"

    @property
    def web(self) -> str:
        return certificates.where(self.settings)

    @property
    def sip(self) -> tuple[str, int]:
        return str(self.settings.sip_bind), self.settings.sip_port

    def hire(self, login: str, role: people.Role, name: str, department: str = "") -> accounts.Made:
        """A person with an account: the one thing that is set up without the pages."""
        with self.db.read() as conn:
            ids = {d.name: d.id for d in departments.departments(conn)}
        return accounts.add(self.db, login, role, name=name, department_id=ids[department] if department else None)

    def prompt(self, name: str, language: str = "uk") -> Path:
        """A prompt's file in the trunk's codec."""
        return self.settings.prompts / language / f"{name}.alaw"

    @property
    def seat_voice(self) -> Path:
        """What every seat says into its telephone: speech that no dialplan plays to a waiting caller."""
        return self.prompt("confirm-live-greeting")

    def _choose(self) -> dict[str, str]:
        """The settings that make this centre one of its own, as the environment its processes get."""
        self.exchange_port = free_port()
        rtp = free_port() // 2 * 2 if free_port() < 60000 else 40000
        self._chosen = {
            "var": self._folder.name,
            "sip_port": free_port(),
            "ami_port": free_port(kind=socket.SOCK_STREAM),
            "agi_port": free_port(kind=socket.SOCK_STREAM),
            "asterisk_http_port": free_port(kind=socket.SOCK_STREAM),
            "web_port": free_port(kind=socket.SOCK_STREAM),
            "portal_port": free_port(kind=socket.SOCK_STREAM),
            "landline_host": f"127.0.0.1:{self.exchange_port}",
            "mobile_host": f"127.0.0.2:{free_port('127.0.0.2')}",
            "rtp_from": rtp,
            "rtp_to": rtp + 1000,
            "seat_count": self._seats,
            "wrap_up": 1,
            "callback_lines": 10,
            "call_from": "00:00",
            "call_to": "24:00",
            **self._settings,
        }
        return {f"CENTRE_{name.upper()}": str(value) for name, value in self._chosen.items()}

    async def _ready(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            if line.startswith(b"ready "):
                return
        raise RuntimeError(f"the centre did not start:\n{self.log.read_text(errors='replace')[-3000:]}")


class Outside(AbstractContextManager["Outside"]):
    """``with Outside(mailboxes) as outside``: real mail servers, one fake of Twilio and one of Facebook.

    ``settings``: those by which a centre uses them. ``http``: by which those two call it."""

    def __init__(self, mailboxes: Sequence[str]) -> None:
        """Raises: ProvisionError where there are no such servers; the first time they are fetched."""
        port = free_port(kind=socket.SOCK_STREAM)
        self.portal = f"http://{LOOPBACK}:{port}"
        self.mail = MailServers([MAILBOX, *mailboxes])
        self.twilio = FakeTwilio(*TWILIO, self.portal)
        self.facebook = Facebook(post=self._post)
        self.http = httpx.Client(timeout=20, limits=LIMITS)
        self.settings: dict[str, object] = {"portal_port": port, "portal_address": self.portal}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.enter_context(self.http)
            opening.enter_context(self.mail)
            opening.enter_context(self.twilio)
            facebook_api = self.facebook.start()
            opening.callback(self.facebook.stop)
            self._open = opening.pop_all()
        account, token, number = TWILIO
        self.settings |= {
            "smtp_host": LOOPBACK, "smtp_port": self.mail.smtp_port, "smtp_security": "none", "mail_from": MAILBOX,
            "mail_digest": 0, "imap_host": LOOPBACK, "imap_port": self.mail.imap_port, "imap_security": "none",
            "imap_user": MAILBOX, "imap_password": self.mail.password,
            "twilio_account": account, "twilio_token": token, "twilio_number": number,
            "twilio_sip": "sip:1551@centre.city.test", "twilio_api": self.twilio.api,
            "facebook_page": self.facebook.page, "facebook_token": self.facebook.token,
            "facebook_secret": self.facebook.secret, "facebook_verify": self.facebook.verify,
            "facebook_api": facebook_api, "tell_from": "00:00", "tell_to": "24:00"}  # fmt: skip
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def _post(self, body: bytes, headers: Mapping[str, str]) -> int:
        return self.http.post(f"{self.portal}/facebook", content=body, headers=dict(headers)).status_code
