"""Letters out: the one place that speaks to a mail server, and what carries a notice as a letter (RFC 5321, 5322).

A letter's Message-ID is settled before it is first sent. Nobody can ask a mail server whether it has taken one: who
is killed between its "250" and our commit makes the letter go out twice; both copies have one Message-ID, by which a
mail program shows them as one and a person can tell.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from crm.notices import Way
from intake.couriers import Heading, Outgoing, Refused, Sent

TIMEOUT_S = 20
_ADDRESS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){0,8}", re.ASCII)
_MESSAGE_ID = re.compile(r"<?([^\s<>@]{1,200}@[^\s<>@]{1,200})>?")
LONGEST_DOMAIN = 70  # of a Message-ID, so that it fits where it is kept


@dataclass(frozen=True, slots=True)
class Server:
    """Where letters are handed in, and from whom they are. ``security``: "tls", "starttls" or "none"."""

    host: str
    port: int
    security: str
    user: str
    password: str
    mail_from: str

    @contextmanager
    def open(self) -> Iterator[smtplib.SMTP]:
        """A conversation with it. OSError or smtplib.SMTPException if there is none to be had."""
        context = ssl.create_default_context()
        server: smtplib.SMTP
        if self.security == "tls":
            server = smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)
        with server:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.user:
                server.login(self.user, self.password)
            yield server

    def message_id(self, ref: str) -> str:
        return f"<{ref}@{self.mail_from.partition('@')[2][-LONGEST_DOMAIN:]}>"

    def letter(self, its: Heading, to: str, text: str, at: datetime) -> EmailMessage:
        """What all our letters have. What people have written stands in the body, in the subject of an answer, and (a
        name) in "To": each as one word."""
        message = EmailMessage(policy=SMTP)
        message["From"] = Address(its.sender, addr_spec=self.mail_from)
        message["To"] = Address(one_line(its.name), addr_spec=to)
        message["Subject"] = one_line(its.subject)
        message["Date"] = format_datetime(at.astimezone(UTC))
        message["Message-ID"] = self.message_id(its.ref)
        if its.answers and (answered := _MESSAGE_ID.fullmatch(its.answers)) and its.answers.isascii():
            message["In-Reply-To"] = message["References"] = f"<{answered[1]}>"
        if not its.by_person:  # so that no absence is answered to us
            message["Auto-Submitted"] = "auto-replied" if its.answers else "auto-generated"
        message.set_content(f"{text}\n")
        return message


def refusal(server: smtplib.SMTP, mail_from: str, to: str, message: Callable[[], EmailMessage]) -> Refused | None:
    """Sends one letter; why it was not taken, None if it was. What is no fault of this letter is raised."""
    if not _ADDRESS.fullmatch(to):
        return Refused("bad_address", again=False)
    try:
        server.send_message(message(), mail_from, [to])
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
        code = next(iter(error.recipients.values()))[0] if isinstance(error, smtplib.SMTPRecipientsRefused) \
            else error.smtp_code  # fmt: skip
        # A sender that is refused is ours to mend.
        return Refused(reason(error), again=code < 500 or isinstance(error, smtplib.SMTPSenderRefused))
    return None


def reason(error: Exception) -> str:
    """The server's own words."""
    code: int
    said: bytes | str
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, said = next(iter(error.recipients.values()))
    elif isinstance(error, smtplib.SMTPResponseException):
        code, said = error.smtp_code, error.smtp_error
    else:
        return str(error) or type(error).__name__
    return f"{code} {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}"


def one_line(value: str) -> str:
    return " ".join(value.split())


@dataclass(frozen=True, slots=True)
class EmailCourier:
    """``intake.couriers.Courier``. ``reply_to``: the mailbox that is read; "" for none."""

    server: Server
    reply_to: str
    clock: Callable[[], datetime]

    @property
    def way(self) -> Way:
        return Way.EMAIL

    def send(self, its: Outgoing) -> Sent | Refused:
        """As ``Courier.send``."""
        heading = its.heading
        if heading is None:
            return Refused("no_heading", again=False)

        def message() -> EmailMessage:
            made = self.server.letter(heading, its.address, its.text, self.clock())
            if self.reply_to:
                made["Reply-To"] = self.reply_to
            return made

        try:
            with self.server.open() as server:
                refused = refusal(server, self.server.mail_from, its.address, message)
        except (OSError, smtplib.SMTPException) as error:  # nobody there, or gone in the midst
            return Refused(reason(error), again=True)
        return refused or Sent(self.server.message_id(heading.ref))

    def find(self, its: Outgoing) -> None:
        """Nobody can tell: it goes again, and says itself that it is the same."""
