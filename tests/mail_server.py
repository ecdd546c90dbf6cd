"""A mail server on loopback for a test: what it took, and what it says instead of taking."""

from __future__ import annotations

import email
import email.policy
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class MailServer:
    """``taken``: to whom, and the letter. ``refusal``: to whom a letter may not go (a part of the address).
    ``answer``: to a letter."""

    port: int = 0
    taken: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    refusal: str = ""
    answer: str = "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str,
                          options: list[str]) -> str:  # fmt: skip
        if self.refusal and self.refusal in address:
            return "550 5.1.1 немає такої скриньки"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            said: Any = email.message_from_bytes(content, policy=email.policy.SMTP)
            self.taken.append((list(envelope.rcpt_tos), said))
        return self.answer


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """One that listens on a port of its own."""
    its = MailServer()
    with socket.create_server(("127.0.0.1", 0)) as free:
        its.port = free.getsockname()[1]
    controller = Controller(its, hostname="127.0.0.1", port=its.port)
    controller.start()
    try:
        yield its
    finally:
        controller.stop()
