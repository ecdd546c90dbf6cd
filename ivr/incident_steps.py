"""What the dialplan asks us when a caller joins an incident by a key (``join``)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from crm import calls, citizens, incident_callers
from crm.errors import BadInput, IllegalAction
from crm.incident_callers import Joined
from crm.phones import parse_phone
from crm.store import Database, Writer
from ivr import speech
from ivr.server import Step
from ivr.steps import Records, Variables, exactly, whole


class IncidentSteps(Records):
    def __init__(self, db: Database, writer: Writer, clock: Callable[[], dt.datetime]) -> None:
        super().__init__(db, writer)
        self._now = clock

    def by_name(self) -> dict[str, Step]:
        """For ``FastAgi``."""
        return {"join": self.join}

    async def join(self, args: list[str], environment: Mapping[str, str]) -> Variables:
        """linkedid, caller, language, incident → SAY. Returns when he is counted, on the disk."""
        linkedid, caller, language, incident = exactly(args, 4)
        now, e164, incident_id = self._now(), parse_phone(caller), whole(incident)
        if language not in citizens.LANGUAGES:
            raise BadInput("ivr.language")

        def write(conn: Connection) -> Joined | None:
            calls.arrived(conn, linkedid, at=now, origin=calls.UNKNOWN_ORIGIN, caller=e164, language=language)
            try:
                return incident_callers.join(conn, incident_id, e164=e164, linkedid=linkedid, language=language,
                                             now=now)  # fmt: skip
            except IllegalAction:
                return None

        return {"SAY": said(await self._write(write))}


def said(joined: Joined | None) -> str:
    """To who has pressed the key; None: it was over by then."""
    if joined is None:
        return speech.play(["incident-over"])
    if joined.number is not None:
        return speech.play(["incident-registered", *speech.number(joined.number)])
    return speech.play(["incident-counted" if joined.reachable else "incident-no-number"])
