"""Tickets to hear one recording: given after a person said why, good for him alone and for a while."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from crm.errors import NotFound

TICKET_LASTS = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Ticket:
    """Which file, for whom, until when."""

    path: Path
    staff_id: int
    until: datetime


class Tickets:
    """Tickets that are still good. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickets: dict[str, Ticket] = {}

    def give(self, path: Path, staff_id: int, now: datetime) -> str:
        mark = secrets.token_urlsafe(24)
        with self._lock:
            self._tickets = {m: t for m, t in self._tickets.items() if t.until > now}
            self._tickets[mark] = Ticket(path, staff_id, now + TICKET_LASTS)
        return mark

    def path(self, mark: str, staff_id: int, now: datetime) -> Path:
        """NotFound ``recording.no_ticket`` for one that was not given to this person, or is over."""
        with self._lock:
            ticket = self._tickets.get(mark)
        if ticket is None or ticket.staff_id != staff_id or ticket.until <= now:
            raise NotFound("recording.no_ticket")
        return ticket.path
