"""What the dialplan asks us when a seat calls somebody outside, or transfers a citizen there (``dial``)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from crm import outgoing
from crm.outgoing import Rules, Whom
from crm.store import Database, Writer
from ivr.server import Step
from ivr.steps import Records, Variables, exactly


class DialSteps(Records):
    """``seat_of``: the seat's number of a number, or of a channel of its; "" for anybody else's. ``staff``: who sits
    where, seat → staff_id. ``trunk``: which one calls out take now."""

    def __init__(self, db: Database, writer: Writer, rules: Rules, *, seat_of: Callable[[str], str],
                 staff: Mapping[str, int | None], trunk: Callable[[], str],
                 clock: Callable[[], dt.datetime]) -> None:  # fmt: skip
        super().__init__(db, writer)
        self._rules, self._seat_of, self._staff, self._trunk, self._now = rules, seat_of, staff, trunk, clock

    def by_name(self) -> dict[str, Step]:
        """For ``FastAgi``."""
        return {"dial": self.dial}

    async def dial(self, args: list[str], environment: Mapping[str, str]) -> Variables:
        """linkedid, seat (or its channel), number → DIAL, TRUNK, OUTSIDE: what is dialled ("" when it may not be), by
        which trunk, and whether it is a service. Returns when it is on the disk."""
        linkedid, who, wanted = exactly(args, 3)
        now, seat = self._now(), self._seat_of(who)

        def write(conn: Connection) -> tuple[Whom, str] | None:
            staff_id = self._staff.get(seat)
            found = outgoing.decide(conn, wanted, staff_id=staff_id, rules=self._rules, now=now) if seat else None
            if found:
                outgoing.keep(conn, linkedid, *found, seat=seat, staff_id=staff_id, now=now)
            return found

        found = await self._write(write)
        if found is None:
            return {"DIAL": "", "TRUNK": "", "OUTSIDE": ""}
        whom, number = found
        return {"DIAL": number, "TRUNK": self._trunk(), "OUTSIDE": "" if whom is Whom.CALLER else "1"}
