"""The post: the process that fetches what comes in writing and sends what must be told.

Each part does its work in a thread, at once and then again and again; one that fails is logged, and tried again in its
turn. It can die alone, at any moment: what was not taken stays where it is, what was not sent is due.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import uvloop

from centre.mailer import Mailer
from centre.settings import Secrets, Settings
from crm import rates
from crm.store import Database

MAIL_S = 30.0
FORGET_S = 3600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """``work``: blocking; ``every``: seconds from its end to its next beginning."""

    name: str
    every: float
    work: Callable[[], object]


def parts(settings: Settings, secrets: Secrets, db: Database) -> list[Part]:
    """Everything that the post does; what is not set up is left out."""
    mailer = Mailer(settings, db)

    def forget() -> None:
        with db.write() as conn:
            rates.forget(conn, _now())

    return [
        Part("mail", MAIL_S, lambda: mailer.run(_now())),
        Part("rates", FORGET_S, forget),
    ]


def run(settings: Settings, secrets: Secrets) -> int:
    """Until SIGTERM or SIGINT; the process's exit code."""
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s post %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of each request
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings, secrets))


async def _run(settings: Settings, secrets: Secrets) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    db = Database(settings.database_url)
    try:
        working = [asyncio.create_task(_keep(part), name=part.name) for part in parts(settings, secrets, db)]
        log.info("the post is up")
        await stop.wait()
        for task in working:
            task.cancel()
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
