"""Sends departments and people of the centre what they must be told (``crm.letters``), many notices in a letter.

A letter's content and its Message-ID are settled and committed before it is first sent, so that a second copy says that
it is one (``intake.mail.smtp``). What is not taken is tried again after growing pauses.
"""

from __future__ import annotations

import logging
import smtplib
from datetime import datetime
from email.message import EmailMessage
from functools import partial

from centre.texts import sentence
from centre.words import day
from crm import letters
from crm.letters import Line, Mail
from crm.store import Database
from crm.telling import Kind
from intake.couriers import Heading
from intake.mail.smtp import Server, one_line, reason, refusal

log = logging.getLogger(__name__)


class Mailer:
    """``run`` does one round; for a thread of its own, not for an event loop. ``server``: None if none is set: then
    only what holds no longer is ended. ``digest_s``: how long what an office is told is gathered."""

    def __init__(self, db: Database, server: Server | None, digest_s: float) -> None:
        self._db, self._server, self._digest_s = db, server, digest_s

    def run(self, now: datetime) -> int:
        """Sends what is due; how many letters were taken."""
        with self._db.write() as conn:
            letters.clear(conn, now)
            if self._server:
                letters.gather(conn, now, self._digest_s)
        if not self._server:
            return 0
        with self._db.read() as conn:
            found = letters.mails(conn, now)
        return self._send(self._server, found, now) if found else 0

    def _send(self, to: Server, found: list[Mail], now: datetime) -> int:
        taken = 0
        try:
            with to.open() as server:
                while found:
                    mail = found[0]
                    refused = refusal(server, to.mail_from, mail.email, partial(letter, mail, to, now))
                    with self._db.write() as conn:
                        if refused:
                            letters.failed(conn, mail, refused.error, now)
                        else:
                            letters.sent(conn, mail.id, now)
                    found.pop(0)
                    taken += not refused
        except (OSError, smtplib.SMTPException) as error:  # nobody there, or gone in the midst
            log.warning("the mail server cannot be used: %s", error)
            with self._db.write() as conn:
                for mail in found:
                    letters.failed(conn, mail, reason(error), now)
        return taken


def letter(mail: Mail, server: Server, now: datetime) -> EmailMessage:
    """The letter as it goes out: what there is, by kind; in each the nearest deadline first."""
    parts = [one_line(mail.name)]
    for kind in Kind:
        its = sorted((line for line in mail.lines if line.kind is kind), key=lambda line: (line.due_at, line.number))
        if its:
            parts.append("\n".join([_text(f"section.{kind.value}", mail), *(_in_list(line, mail) for line in its)]))
    body = "\n\n".join(parts)
    heading = Heading(mail.name, _text("from", mail), _text("subject.office", mail, count=len(mail.lines)), mail.id)
    return server.letter(heading, mail.email, f"{body}\n\n-- \n{_text('footer', mail)}", now)


def _in_list(line: Line, mail: Mail) -> str:
    subject = line.subject_en if mail.language == "en" else line.subject_uk
    said = _text("line", mail, number=line.number, subject=subject, place=_place(line, mail), due=day(line.due_at))
    return f"{said}\n  {one_line(line.note)}" if line.note else said


def _place(line: Line, mail: Mail) -> str:
    flat = _text("flat", mail, flat=line.flat) if line.flat else ""
    return ", ".join(part for part in (line.street, line.building, flat, line.place) if part) or "—"


def _text(key: str, mail: Mail, **values: object) -> str:
    return sentence(f"mail.{key}", mail.language if mail.language in ("uk", "en") else "uk", **values)
