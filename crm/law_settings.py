"""Where the law leaves a choice: what the city has said, by the names of the fields of ``law.Terms``."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from crm.edits import log_edit
from crm.errors import BadInput
from crm.law import ALLOWED, Terms
from crm.schema import law_setting


def load(conn: Connection) -> Terms:
    """As the city has it now; what it has not said is as the law has it."""
    return Terms.of({row.name: row.value for row in conn.execute(select(law_setting.c.name, law_setting.c.value))})


def say(conn: Connection, name: str, value: int, *, now: dt.datetime, staff_id: int | None) -> None:
    """Sets one term, yes and no being 1 and 0. What was promised before stays promised.

    BadInput for another name, or a value that the law does not allow (details: least, most).
    """
    if name not in ALLOWED:
        raise BadInput("law.unknown")
    least, most = ALLOWED[name]
    if not least <= value <= most:
        raise BadInput("law.not_allowed", least=least, most=most)
    before = int(getattr(load(conn), name))
    dialect: Any = sqlite if conn.dialect.name == "sqlite" else postgresql
    first = dialect.insert(law_setting).values(name=name, value=value)
    conn.execute(first.on_conflict_do_update(index_elements=["name"], set_={"value": value}))
    log_edit(conn, now=now, staff_id=staff_id, what="law_setting", key=name, before={"value": before},
             after={"value": value})  # fmt: skip
