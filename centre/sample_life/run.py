"""``./1551 month``: a month of generated life in a database of its own, its report, and what must hold at the end."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
import time
from collections.abc import Callable
from typing import Any

from centre.sample_life.checks import violations
from centre.sample_life.month import Month
from centre.sample_life.told import told
from centre.texts import sentence
from crm import store
from crm.periods import Period
from crm.report import Report, report

FIRST = dt.date(2026, 10, 1)  # the heating season begins in it


def run(*, days: int, a_day: int, number: int, language: str, as_json: bool, say: Callable[[str], None]) -> int:
    """Prints the report; 1 if something does not hold. Nothing of it is kept."""
    with tempfile.TemporaryDirectory(prefix="1551-month-") as folder:
        url = f"sqlite:///{folder}/1551.db"
        store.migrate(url)
        db = store.Database(url)
        try:
            started = time.monotonic()
            month = Month(db, first=FIRST, days=days, a_day=a_day, number=number,
                          progress=lambda day, count: say(sentence("month.progress", language, day=day, count=count)))
            month.run()
            took_s = time.monotonic() - started
            with db.read() as conn:
                found = report(conn, Period(FIRST, FIRST + dt.timedelta(days=days - 1)), month.now)
                wrong = violations(conn, found)
                lines = list(told(conn, found, language))
        finally:
            db.close()
    if as_json:
        print(json.dumps(_figures(found) | {"violations": wrong, "duration_s": round(took_s, 1)}, ensure_ascii=False))
    else:
        broken = ", ".join(f"{name}: {count}" for name, count in wrong.items() if count)
        print("\n".join(lines))
        print()
        print(sentence("month.wrong", language, names=broken) if broken else sentence("month.right", language))
        print(sentence("month.took", language, seconds=round(took_s)))
    return int(any(wrong.values()))


def _figures(found: Report) -> dict[str, Any]:
    cohort = found.cohort
    return {"appeals": dict(cohort.counts), "happened": dict(found.happened),
            "hours": {"p50": cohort.percentile(50), "p90": cohort.percentile(90)},
            "calls": {**found.calls.counts, "mean_wait_s": found.calls.mean_wait_s},
            "callbacks": {"placed": found.callbacks.placed, "reached": found.callbacks.reached}}  # fmt: skip
