"""Sends what must be told (``crm.notices``) by mail: to departments and officials in one letter each, to applicants.

A letter's content and its Message-ID are settled and committed before it is first sent. Whoever kills the centre
between the server's "250" and our commit makes it go out twice; both copies have one Message-ID, by which a mail
program shows them as one and a person can tell. What is not taken is tried again after growing pauses.
"""

from __future__ import annotations

import logging
import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from centre.settings import Settings
from centre.texts import sentence
from crm import notices
from crm.notices import Audience, Kind, Line, Mail
from crm.store import Database

KYIV = ZoneInfo("Europe/Kyiv")
TIMEOUT_S = 20
_ADDRESS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){0,8}", re.ASCII)

log = logging.getLogger(__name__)


class Mailer:
    """``run`` does one round; for a thread of its own, not for an event loop."""

    def __init__(self, settings: Settings, db: Database) -> None:
        self._settings, self._db = settings, db

    def run(self, now: datetime) -> int:
        """Sends what is due; how many letters were taken. With no server set, only what holds no longer is ended."""
        with self._db.write() as conn:
            notices.clear(conn, now)
            if self._settings.smtp_host:
                notices.gather(conn, now, self._settings.mail_digest)
        if not self._settings.smtp_host:
            return 0
        with self._db.read() as conn:
            letters = notices.mails(conn, now)
        return self._send(letters, now) if letters else 0

    def _send(self, letters: list[Mail], now: datetime) -> int:
        taken = 0
        try:
            with self._server() as server:
                while letters:
                    mail = letters[0]
                    error = _refusal(server, self._settings.mail_from, mail, now)
                    with self._db.write() as conn:
                        notices.failed(conn, mail, error, now) if error else notices.sent(conn, mail.id, now)
                    letters.pop(0)
                    taken += not error
        except (OSError, smtplib.SMTPException) as error:  # nobody there, or gone in the midst
            log.warning("the mail server cannot be used: %s", error)
            with self._db.write() as conn:
                for mail in letters:
                    notices.failed(conn, mail, _reason(error), now)
        return taken

    @contextmanager
    def _server(self) -> Iterator[smtplib.SMTP]:
        its = self._settings
        context = ssl.create_default_context()
        server: smtplib.SMTP
        if its.smtp_security == "tls":
            server = smtplib.SMTP_SSL(its.smtp_host, its.smtp_port, timeout=TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(its.smtp_host, its.smtp_port, timeout=TIMEOUT_S)
        with server:
            if its.smtp_security == "starttls":
                server.starttls(context=context)
            if its.smtp_user:
                server.login(its.smtp_user, its.smtp_password.get_secret_value())
            yield server


def _refusal(server: smtplib.SMTP, mail_from: str, mail: Mail, now: datetime) -> str:
    """Sends one letter; why it was not taken, "" if it was. What is no fault of this letter is raised."""
    if not _ADDRESS.fullmatch(mail.email):
        return "bad_address"
    try:
        server.send_message(letter(mail, mail_from, now), mail_from, [mail.email])
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError, smtplib.SMTPSenderRefused) as error:
        return _reason(error)
    return ""


def _reason(error: Exception) -> str:
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


def letter(mail: Mail, mail_from: str, now: datetime) -> EmailMessage:
    """The letter as it goes out. What people have written stands in the body, and (a name) in "To", as one word."""
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(_text("from", mail), addr_spec=mail_from)
    message["To"] = Address(_one_line(mail.name), addr_spec=mail.email)
    message["Subject"] = _subject(mail)
    message["Date"] = format_datetime(now.astimezone(UTC))
    message["Message-ID"] = f"<{mail.id}@{mail_from.partition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # so that no absence is answered to us
    body = _to_applicant(mail) if mail.audience is Audience.CITIZEN else _to_office(mail)
    message.set_content(f"{body}\n\n-- \n{_text('footer', mail)}\n")
    return message


def _subject(mail: Mail) -> str:
    if mail.audience is Audience.CITIZEN:
        return _text("subject.citizen", mail, number=mail.lines[0].number)
    return _text("subject.office", mail, count=len(mail.lines))


def _to_office(mail: Mail) -> str:
    """What there is, by kind; in each the nearest deadline first."""
    parts = [_one_line(mail.name)]
    for kind in Kind:
        its = sorted((line for line in mail.lines if line.kind is kind), key=lambda line: (line.due_at, line.number))
        if its:
            parts.append("\n".join([_text(f"section.{kind.value}", mail), *(_in_list(line, mail) for line in its)]))
    return "\n\n".join(parts)


def _in_list(line: Line, mail: Mail) -> str:
    said = _text("line", mail, number=line.number, subject=_subject_of(line, mail), place=_place(line, mail),
                 due=_day(line.due_at))  # fmt: skip
    return f"{said}\n  {_one_line(line.note)}" if line.note else said


def _to_applicant(mail: Mail) -> str:
    return "\n\n".join(_text(f"citizen.{line.kind.value}", mail, number=line.number, subject=_subject_of(line, mail),
                             registered=_day(line.registered_at), note=line.note,
                             code=line.code, due=_day(line.due_at),
                             until=_day(datetime.fromisoformat(line.data["until"])) if "until" in line.data else "")
                       for line in mail.lines)  # fmt: skip


def _subject_of(line: Line, mail: Mail) -> str:
    return line.subject_en if mail.language == "en" else line.subject_uk


def _place(line: Line, mail: Mail) -> str:
    flat = _text("flat", mail, flat=line.flat) if line.flat else ""
    return ", ".join(part for part in (line.street, line.building, flat, line.place) if part) or "—"


def _day(at: datetime) -> str:
    return f"{at.astimezone(KYIV):%d.%m.%Y}"


def _one_line(value: str) -> str:
    return " ".join(value.split())


def _text(key: str, mail: Mail, **values: object) -> str:
    return sentence(f"mail.{key}", mail.language if mail.language in ("uk", "en") else "uk", **values)
