"""Hands what residents must be told (``crm.outbox``) to what carries it, by one way.

Claimed and committed, sent outside any transaction, and what came of it committed: whoever is killed in between leaves
it claimed, and the next round asks the courier whether it went.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from crm import outbox, telling
from crm.outbox import Going
from crm.store import Database
from intake.couriers import Courier, Heading, Outgoing, Refused, Sent

MOST = 200  # in one round

log = logging.getLogger(__name__)


class Words(outbox.Words, Protocol):
    """Who knows the sentences."""

    def heading(self, its: Going) -> Heading | None:
        """A letter's; None by any other way."""
        ...

    def choices(self, its: Going) -> tuple[str, ...]:
        """Answers that are offered with it, in its language."""
        ...


@dataclass(frozen=True, slots=True)
class Sending:
    """``run`` does one round; for a thread of its own. ``window``: when a telephone may sound, minutes after midnight
    in Kyiv. ``clock``: each notice has its own time."""

    db: Database
    courier: Courier
    words: Words
    window: tuple[int, int]
    clock: Callable[[], datetime]

    def run(self) -> int:
        """Sends what is due, until there is no more or the service takes nothing now; how many it took."""
        taken = 0
        for _ in range(MOST):
            way, now = self.courier.way, self.clock()
            awake = telling.may_go(way, now, self.window)
            with self.db.read() as conn:
                if not outbox.is_due(conn, way, now, awake=awake):
                    break
            with self.db.write() as conn:
                left = outbox.left(conn, way, now, self.words)
                its = left or outbox.claim(conn, way, now, self.words, awake=awake)
            if its is None:
                continue  # what was due held no longer, or takes another way
            if left is not None:
                self._look(left)
                continue
            answer = self.courier.send(self._outgoing(its))
            self._keep(its, answer)
            if isinstance(answer, Refused) and answer.again:
                break  # the next round begins with another
            taken += isinstance(answer, Sent)
        return taken

    def _look(self, its: Going) -> None:
        """Whether what a process that died was sending went out."""
        found = self.courier.find(self._outgoing(its))
        log.info("notice %d was left half sent: %s", its.id, found)
        if found is None:
            with self.db.write() as conn:
                outbox.unsent(conn, its, self.clock())
        elif isinstance(found, Refused) and found.again:
            with self.db.write() as conn:
                outbox.later(conn, its, found.error, self.clock(), surely=False)
        else:
            self._keep(its, found)

    def _keep(self, its: Going, answer: Sent | Refused) -> None:
        now = self.clock()
        with self.db.write() as conn:
            match answer:
                case Sent():
                    outbox.sent(conn, its, answer.ref, now)
                case Refused(again=True):
                    outbox.later(conn, its, answer.error, now)
                case _:
                    outbox.refused(conn, its, answer.error, now)
        if isinstance(answer, Refused):
            log.warning("notice %d was not taken by %s: %s", its.id, its.way.value, answer.error)

    def _outgoing(self, its: Going) -> Outgoing:
        return Outgoing(its.id, its.way, its.address, its.text, its.language, its.began_at, self.words.choices(its),
                        self.words.heading(its))  # fmt: skip
