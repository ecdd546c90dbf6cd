"""The post: the process that fetches what comes in writing and sends what must be told.

Each part does its work in a thread, at once and then again and again; one that fails is logged, and tried again in its
turn. It can die alone, at any moment: what was not taken stays where it is, what was not sent is due.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

from centre import child
from centre.mailer import Mailer
from centre.settings import Secrets, Settings
from centre.texts import section
from centre.words import Words
from crm import clock, conversations, notices, rates, webhooks
from crm.store import Database
from crm.telling import Way
from intake.couriers import Courier
from intake.facebook.courier import FacebookCourier
from intake.facebook.fetching import Files as FacebookFiles
from intake.facebook.incoming import CHANNEL as FACEBOOK
from intake.facebook.talks import Talks
from intake.mail import letters
from intake.mail.arrivals import Arrivals
from intake.mail.mailbox import Account, Mailbox
from intake.mail.smtp import EmailCourier, Server
from intake.sending import Sending
from intake.twilio.courier import SmsCourier
from intake.twilio.fetching import Files, Missed
from intake.webhooks import Deliverer

MAIL_S = 30.0
SEND_S = 2.0  # somebody waits for an answer
FORGET_S = 3600.0
TWILIO_FILES_S = 10.0
TWILIO_MISSED_S = 600.0  # its calls reach us at once as a rule

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """``work``: blocking; ``every``: seconds from its end to its next beginning; ``stop``: ends work that would not end
    by itself."""

    name: str
    every: float
    work: Callable[[], object]
    stop: Callable[[], None] | None = None


def parts(settings: Settings, secrets: Secrets, db: Database) -> list[Part]:
    """Everything that the post does; what is not set up is left out."""
    deliverer = Deliverer(db, private=settings.webhook_private)
    mailer = Mailer(db, server(settings), settings.mail_digest)
    words = Words(settings.portal_address.rstrip("/"), bool(settings.imap_host), secrets.web)
    window = clock.minutes(settings.tell_from), clock.minutes(settings.tell_to)
    sendings = [Sending(db, courier, words, window, _now) for courier in couriers(settings, db)]

    def mail() -> None:
        with db.write() as conn:
            notices.settle(conn, _now(), settings.ways)
        mailer.run(_now())

    def forget() -> None:
        with db.write() as conn:
            rates.forget(conn, _now())
            webhooks.forget(conn, _now())

    return [
        Part("mail", MAIL_S, mail),
        *(Part(f"send {each.courier.way}", SEND_S, each.run) for each in sendings),
        *letter_parts(settings, secrets, db),
        *facebook_parts(settings, secrets, db),
        *twilio_parts(settings, secrets, db),
        Part("webhooks", SEND_S, deliverer.run),
        Part("rates", FORGET_S, forget),
    ]


def letter_parts(settings: Settings, secrets: Secrets, db: Database) -> list[Part]:
    """What comes to the centre's mailbox is fetched."""
    account = mailbox_account(settings)
    if account is None:
        return []
    own = {address.lower() for address in (settings.mail_from, settings.imap_user) if "@" in address}
    arrivals = Arrivals(db, settings.attachments, own, section("by_letter"), secrets.web, settings.file_daily, _now)
    mailbox = Mailbox(account, arrivals, largest=letters.LARGEST)
    return [Part("letters", MAIL_S, mailbox.run, mailbox.stop)]


def mailbox_account(settings: Settings) -> Account | None:
    """Where letters come; None if that is not set."""
    its = settings
    return Account(its.imap_host, its.imap_port, its.imap_security, its.imap_user,
                   its.imap_password.get_secret_value(), its.imap_folder) if its.imap_host else None  # fmt: skip


def server(settings: Settings) -> Server | None:
    """Where letters are handed in; None if that is not set."""
    its = settings
    return Server(its.smtp_host, its.smtp_port, its.smtp_security, its.smtp_user, its.smtp_password.get_secret_value(),
                  its.mail_from) if its.smtp_host else None  # fmt: skip


def couriers(settings: Settings, db: Database) -> list[Courier]:
    """What carries notices to residents: one for each of ``settings.ways``."""
    found: list[Courier] = []
    if handed_to := server(settings):
        mailbox = settings.imap_user if "@" in settings.imap_user else handed_to.mail_from
        found.append(EmailCourier(handed_to, mailbox if settings.imap_host else "", _now))
    if settings.facebook_page:
        found.append(facebook_courier(settings, db))
    if settings.twilio_account:
        found.append(sms_courier(settings, db))
    return found


def sms_courier(settings: Settings, db: Database) -> Courier:
    def stopped(number: str) -> None:
        with db.write() as conn:
            notices.stop(conn, Way.SMS, number, _now())

    return SmsCourier(settings.twilio_account, settings.twilio_token.get_secret_value(), settings.twilio_number,
                      settings.twilio_api, settings.portal_address, stopped=stopped)  # fmt: skip


def twilio_parts(settings: Settings, secrets: Secrets, db: Database) -> list[Part]:
    """What messages still have at Twilio is fetched; what it could not bring is asked for."""
    if not settings.twilio_account:
        return []
    account, token, say = settings.twilio_account, settings.twilio_token.get_secret_value(), section("by_sms")
    files = Files(db, settings.attachments, account, token, settings.twilio_api, say=say)
    missed = Missed(db, account, token, settings.twilio_api, settings.twilio_number, say=say, secret=secrets.web,
                    daily=settings.file_daily)  # fmt: skip
    return [Part("twilio files", TWILIO_FILES_S, files.run), Part("twilio missed", TWILIO_MISSED_S, missed.run)]


def facebook_courier(settings: Settings, db: Database) -> Courier:
    """Answers who has written to the city's page, while the platform lets us."""

    def last_heard(psid: str) -> datetime | None:
        with db.read() as conn:
            return conversations.last_heard(conn, FACEBOOK, psid)

    return FacebookCourier(
        api=settings.facebook_api, page=settings.facebook_page, token=settings.facebook_token.get_secret_value(),
        secret=settings.facebook_secret.get_secret_value(), last_heard=last_heard)  # fmt: skip


def facebook_parts(settings: Settings, secrets: Secrets, db: Database) -> list[Part]:
    """What came with messages to the city's page is fetched; who has fallen silent is handed to a person."""
    if not settings.facebook_page:
        return []

    say = section("facebook")
    files = FacebookFiles(db, settings.attachments, say, also=urlsplit(settings.facebook_api).netloc)
    talks = Talks(say, portal=settings.portal_address, secret=secrets.web)

    def silent() -> None:
        with db.write() as conn:
            talks.silent(conn, _now())

    return [Part("facebook files", SEND_S, lambda: files.fetch(_now())), Part("facebook", MAIL_S, silent)]


def run(settings: Settings, secrets: Secrets) -> int:
    """Until SIGTERM or SIGINT; the process's exit code."""
    return child.run("post", partial(_run, settings, secrets))


async def _run(settings: Settings, secrets: Secrets, stop: asyncio.Event) -> int:
    db = Database(settings.database_url)
    try:
        found = parts(settings, secrets, db)
        # A thread for each: one that waits for a slow service keeps no other back.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(len(found), "part"))
        working = [asyncio.create_task(_keep(part), name=part.name) for part in found]
        log.info("the post is up")
        await stop.wait()
        for task in working:
            task.cancel()
        for part in found:
            if part.stop:
                part.stop()
        return 0
    finally:
        db.close()


async def _keep(part: Part) -> None:
    while True:
        try:
            await asyncio.to_thread(part.work)
        except Exception:
            log.exception("%s failed", part.name)
        await asyncio.sleep(part.every)


def _now() -> datetime:
    return datetime.now(UTC)
