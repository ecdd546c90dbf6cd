"""How often the portal's pages are opened: a number for each day of Kyiv's, page and language; nobody's visits.

Nothing of whoever opens a page is kept or remembered: no cookie, no address, nothing that his browser says of itself.
So nobody can tell how many people they were, and nothing can be joined to anybody. Programs that say what they are
count for nothing. What was counted goes to the records every FLUSHED_S seconds: a process that is killed loses as much
and no more.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from crm.periods import Period
from crm.schema import visit_count
from crm.store import Database

FLUSHED_S = 5.0
# Words by which programs call themselves, messengers that show what a link leads to among them. (Cubot is a telephone.)
_PROGRAM = re.compile(
    r"(?<!cu)bot\b|crawl|spider|slurp|preview|monitor|facebookexternal|whatsapp/|viber/|curl/|wget/|python|\bjava/|\bphp"
    r"|go-http|okhttp|http-?client|axios|headless|lighthouse|libwww|\bfeed", re.IGNORECASE)  # fmt: skip

Counted = tuple[dt.date, str, str]  # day of Kyiv's, page, language

log = logging.getLogger(__name__)


def is_program(agent: str) -> bool:
    """Whether who asks says himself that he is no person at a browser; one who says nothing is none."""
    return not agent.strip() or _PROGRAM.search(agent) is not None


class Visits:
    """Counts in memory, and takes what was counted to the records. Threads may share it."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._counts: Counter[Counted] = Counter()

    def seen(self, day: dt.date, page: str, language: str) -> None:
        """Once more. ``page``: the address as the program has it, "/appeals/{number}", never whose."""
        with self._lock:
            self._counts[day, page[:40], language] += 1

    def flush(self) -> None:
        """Blocking. What cannot be written now stays for the next time."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with self._db.write() as conn:
                add(conn, counts)
        except DBAPIError as error:
            log.warning("visits are not on record yet: %s", error.orig)
            with self._lock:
                self._counts.update(counts)


def add(conn: Connection, counts: Mapping[Counted, int]) -> None:
    """Adds to what is there."""
    dialect: Any = sqlite if conn.dialect.name == "sqlite" else postgresql
    new = dialect.insert(visit_count)
    more = new.on_conflict_do_update(index_elements=["day", "page", "language"],
                                     set_={"count": visit_count.c.count + new.excluded.count})  # fmt: skip
    conn.execute(more, [{"day": day, "page": page, "language": language, "count": count}
                        for (day, page, language), count in sorted(counts.items())])  # fmt: skip


def by_page(conn: Connection, period: Period) -> Counter[str]:
    """How often each page was opened, in any language."""
    v = visit_count.c
    found = (select(v.page, func.sum(v.count)).where(v.day >= period.first, v.day <= period.last).group_by(v.page))
    return Counter({page: int(count) for page, count in conn.execute(found)})
