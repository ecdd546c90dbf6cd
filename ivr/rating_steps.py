"""What the dialplan tells us of a conversation that is over: how it was, by one key."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

from crm import ratings
from crm.store import Database, Writer
from ivr.server import Step
from ivr.steps import Records, Variables, exactly


class RatingSteps(Records):
    def __init__(self, db: Database, writer: Writer, clock: Callable[[], dt.datetime]) -> None:
        super().__init__(db, writer)
        self._now = clock

    def by_name(self) -> dict[str, Step]:
        """For ``FastAgi``."""
        return {"rate": self.rate}

    async def rate(self, args: list[str], environment: Mapping[str, str]) -> Variables:
        """linkedid, key → nothing, when it is on the disk."""
        linkedid, key = exactly(args, 2)
        now = self._now()
        await self._write(lambda conn: ratings.keep(conn, linkedid, ratings.score_of(key), now))
        return {}
