"""Whether the centre works (``/healthz``) and how much it does (``/metrics``): numbers only, nobody's data."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from crm.store import Database
from web import reads
from web.visit import Parts

log = logging.getLogger(__name__)

COUNTED_ANEW = 15.0  # seconds that the counts from the database are kept
ANSWERED = "answered"


class Measured(Collector):
    """The two addresses, and what they read. The counters begin at nothing when this process does."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._appeals: dict[str, int] = {}
        self._counted_at = float("-inf")

    async def healthz(self, request: Request) -> Response:
        """200 when all is well, 503 and which part is not otherwise."""
        hub = self._parts.hub
        found = {
            "database": await run_in_threadpool(answers, self._parts.db),
            "line": hub.reachable,
            "asterisk": hub.reachable and hub.snapshot is not None and hub.snapshot.ami,
        }
        well = all(found.values())
        return JSONResponse({"status": "ok" if well else "failing", **found},
                            HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)  # fmt: skip

    async def metrics(self, request: Request) -> Response:
        body = await run_in_threadpool(generate_latest, self._registry)
        return Response(body, media_type=CONTENT_TYPE_LATEST)

    def describe(self) -> Iterable[Metric]:
        return ()  # so that registering asks nothing of the database

    def collect(self) -> Iterable[Metric]:
        hub = self._parts.hub
        yield _gauge("centre_line_reachable", "Whether the web hears the line.", hub.reachable)
        yield _gauge("centre_streams_open", "Open pages that are told what happens.", hub.watching)
        yield _gauge("centre_event_lag_seconds", "From the line's last event to the web.", hub.lag_s)
        if (now := hub.snapshot) is not None:
            yield _gauge("centre_asterisk_connected", "Whether the line hears Asterisk.", hub.reachable and now.ami)
            yield _gauge("centre_calls_waiting", "Calls in the queues.", len(now.waiting))
            yield _gauge("centre_calls_talking", "Calls at a seat.", now.talking)
            yield _gauge("centre_callbacks_due", "Confirmation callbacks that may be placed.", now.callbacks_due)
            yield _gauge("centre_callbacks_calling", "Confirmation callbacks on the line.", now.callbacks_calling)
            yield _gauges("centre_seats", "Seats by state.", "state", now.seats_by_state())
            yield _gauges("centre_trunk_up", "1 when the trunk answers, 0 when it is down.", "trunk",
                          {trunk.name: int(trunk.state != "down") for trunk in now.trunks})  # fmt: skip
        answered = CounterMetricFamily("centre_calls_answered", "Calls that a seat took.")
        answered.add_metric([], hub.counted[ANSWERED])
        yield answered
        ended = CounterMetricFamily("centre_calls_ended", "Calls that ended, by cause.", labels=["cause"])
        for cause, n in hub.counted.items():
            if cause != ANSWERED:
                ended.add_metric([cause], n)
        yield ended
        try:
            yield _gauges("centre_appeals", "Appeals on record, by state.", "state", self._by_state())
        except SQLAlchemyError as error:  # the rest is worth the more when the database is away
            log.warning("appeals were not counted: %s", error)

    def _by_state(self) -> dict[str, int]:
        if time.monotonic() - self._counted_at > COUNTED_ANEW:
            with self._parts.db.read() as conn:
                self._appeals = reads.appeals_by_state(conn)
            self._counted_at = time.monotonic()
        return self._appeals


def answers(db: Database) -> bool:
    """Whether the database does."""
    try:
        with db.read() as conn:
            return bool(conn.scalar(text("SELECT 1")))
    except SQLAlchemyError:
        return False


def _gauge(name: str, help: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help, value=float(value))


def _gauges(name: str, help: str, label: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
