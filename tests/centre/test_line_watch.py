"""The line does by itself what falls due with time, whether Asterisk is there or not."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from centre.settings import ROOT
from crm import appeals, deadlines
from crm.deadlines import Event, Tell
from crm.life import Action, State
from crm.schema import appeal, notice
from crm.store import Database
from tests.crm.conftest import found_city

PATIENCE = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_what_is_late_is_told_and_what_was_planned_comes_back(sqlite_url: str) -> None:
    db, now = Database(sqlite_url), datetime.now(UTC)
    with db.write() as conn:
        city = found_city(conn)
        city.now = now - timedelta(days=100)
        deadlines.add_rule(conn, Event.OVERDUE, 0, Tell.DEPARTMENT, now=city.now, staff_id=None)
        late, planned = city.registered(), city.registered()
        appeals.act(conn, planned.id, Action.PLAN, now=city.now, note="У програмі", until=now - timedelta(days=1))
    with tempfile.TemporaryDirectory(prefix="1551-") as var:  # short: a socket's path has 107 bytes
        ports = {f"CENTRE_{name}": str(free_port()) for name in ("AMI_PORT", "AGI_PORT")}
        (Path(var) / "run").mkdir()
        line = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "centre", "line", cwd=ROOT, stdin=asyncio.subprocess.DEVNULL,
            env=os.environ | ports | {"CENTRE_VAR": var, "CENTRE_DATABASE": sqlite_url,
                                      "CENTRE_SETTINGS": str(Path(var) / "none.toml")})  # fmt: skip
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    with db.read() as conn:
                        overdue = select(notice.c.appeal_id).where(notice.c.kind == "overdue")
                        told = conn.execute(overdue).scalars().all()
                        state = conn.execute(select(appeal.c.state).where(appeal.c.id == planned.id)).scalar_one()
                    if told and state != State.PLANNED:
                        break
                    await asyncio.sleep(0.05)
            assert told == [late.id]
            assert state == State.ASSIGNED
        finally:
            line.terminate()
            assert await asyncio.wait_for(line.wait(), PATIENCE) == 0
    db.close()
