"""`./1551 bench pages`: how long does the server take to make a page of the console, with 5,000,000 appeals on record?

The application as it is, asked through ASGI by who may open the page (session, permission, records, template, and the
log of who looked), one page after another; keys at random, first and deep pages of lists, filters that find many and
few. On SQLite and on a PostgreSQL of its own (durable, 512 MB of buffers), filled as for ``bench crm``. Of each:

pages_p99_ms     the slowest of lists, cards and forms (aim 100)
reports_p99_ms   the slowest of the reports, of the month that ends now
slowest          which these are
p50_p99_ms       each page
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import httpx
from sqlalchemy import Connection, func, select
from starlette.applications import Starlette

from bench.crm import databases
from bench.filling import NOW, Filling
from bench.measure import percentile, report
from centre.settings import Settings
from crm import guessing, people, seed, sign_in
from crm.control import Watched
from crm.people import Role
from crm.schema import appeal, call
from crm.store import Database
from web import create_app
from web.pages.reports import VIEWS
from web.visit import SESSION

SIZE, ROUNDS = 5_000_000, 40
REPORT_ROUNDS = 3
BASE = "http://1551.bench"
Address = Callable[[], str]


class Silence:
    """A line that has nothing to tell."""

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        await asyncio.Event().wait()
        yield {}

    async def request(self, do: str, **fields: object) -> dict[str, Any]:
        return {}


class Asked:
    """The addresses: by what they are called, who opens them, and what they are each time."""

    def __init__(self, conn: Connection, filling: Filling, random: Random) -> None:
        last = conn.execute(select(func.max(appeal.c.id))).scalar_one()
        numbers = list(conn.execute(select(appeal.c.number).where(
            appeal.c.id.in_([random.randrange(1, last) for _ in range(500)]))).scalars())  # fmt: skip
        linkedids = list(conn.execute(select(call.c.linkedid).order_by(call.c.id.desc()).limit(500)).scalars())

        def number() -> int:
            return random.choice(numbers)

        supervisor: dict[str, Address] = {
            "appeals": lambda: "/appeals", "appeals, deep": lambda: f"/appeals?after={random.randrange(1, last)}",
            "appeals, nearest deadline": lambda: "/appeals?order=due",
            "appeals, subject": lambda: f"/appeals?subject={random.randrange(1, 100)}",
            "appeals, few": lambda: f"/appeals?state=control&district={random.randrange(1, 11)}",
            "appeals, overdue": lambda: "/appeals?overdue=1",
            "appeals, words": lambda: f"/appeals?text={quote('ліфт')}",
            "appeals, number": lambda: f"/appeals?number={number()}",
            "appeals, of a building": lambda: f"/appeals?near={number()}&of=building",
            "appeal": lambda: f"/appeals/{number()}", "card": lambda: f"/calls/{random.choice(linkedids)}",
            "calls": lambda: "/calls",
            "calls, of a number": lambda: f"/calls?phone={quote(random.choice(filling.phones))}",
            "calls, rare": lambda: "/calls?outcome=prank", "calls, unsettled": lambda: "/calls/unsettled",
            **{f"control, {each}": lambda each=each: f"/control?list={each}" for each in Watched},
            "incidents": lambda: "/incidents", "confirmations": lambda: "/confirmations", "notices": lambda: "/notices",
            "campaigns": lambda: "/campaigns", "promises": lambda: "/promises", "recordings": lambda: "/recordings",
            "knowledge": lambda: "/knowledge", "programmes": lambda: "/programmes", "live": lambda: "/live",
            "wall": lambda: "/wall", "account": lambda: "/account",
        }  # fmt: skip
        administrator: dict[str, Address] = {
            "people": lambda: "/people", "log": lambda: "/privacy/log", "log, of an appeal":
            lambda: f"/privacy/log?by=appeal&key={number()}", "rules": lambda: "/rules",
            "departments": lambda: "/rules/departments", "subjects": lambda: "/rules/subjects",
            "a citizen": lambda: f"/privacy/citizens/{random.randrange(1, filling.citizens)}",
        }  # fmt: skip
        days = f"from={NOW:%Y-%m}-01&to={NOW:%Y-%m-%d}"
        self.pages = {Role.SUPERVISOR: supervisor, Role.ADMINISTRATOR: administrator}
        self.reports: dict[str, Address] = {
            **{view: lambda path=path: f"{path}?{days}" for view, path in VIEWS.items()},
            "behind a figure": lambda: f"/reports/appeals?figure=registered&{days}", "staffing": lambda: "/staffing",
        }  # fmt: skip


async def measure(db: Database, asked: Asked, settings: Settings, rounds: int) -> dict[str, Any]:
    app = create_app(settings, db, Silence(), secret="a benchmark's", clock=lambda: NOW)
    took: dict[str, list[float]] = defaultdict(list)
    async with app.router.lifespan_context(app):
        for role, pages in asked.pages.items():
            await _ask(app, _signed_in(db, role), pages, rounds, took)
        of_reports: dict[str, list[float]] = defaultdict(list)
        await _ask(app, _signed_in(db, Role.SUPERVISOR, "reports"), asked.reports, min(rounds, REPORT_ROUNDS),
                   of_reports)  # fmt: skip
    worst = {name: max(times, key=lambda each: percentile(times[each], 0.99)) for name, times in (
        ("pages", took), ("reports", of_reports))}  # fmt: skip
    return {
        "pages_p99_ms": round(percentile(took[worst["pages"]], 0.99), 1),
        "reports_p99_ms": round(percentile(of_reports[worst["reports"]], 0.99), 1),
        "slowest": worst,
        "p50_p99_ms": {name: [round(percentile(times, part), 1) for part in (0.5, 0.99)]
                       for name, times in {**took, **of_reports}.items()},
    }  # fmt: skip


def _signed_in(db: Database, role: Role, login: str = "") -> str:
    """The token of somebody's session."""
    with db.write() as conn:
        id = people.add_staff(conn, login=login or role.value, name=role.value, password_hash="-", role=role,
                              password_given=False)  # fmt: skip
        return sign_in.begin(conn, people.get(conn, id), place=guessing.Place(), agent="", lasting=sign_in.Lasting(),
                             now=NOW).token  # fmt: skip


async def _ask(app: Starlette, token: str, pages: dict[str, Address], rounds: int,
               took: dict[str, list[float]]) -> None:  # fmt: skip
    """Each page once to warm it, then in turns. RuntimeError for one that is not as it should be."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE, cookies={SESSION: token},
                                 timeout=None) as browser:  # fmt: skip
        for at in range(rounds + 1):
            gc.collect()
            for name, address in pages.items():
                path = address()
                started = time.perf_counter()
                answer = await browser.get(path)
                spent = (time.perf_counter() - started) * 1000
                if answer.status_code != 200:
                    raise RuntimeError(f"{path}: {answer.status_code}")
                if at:
                    took[name].append(spent)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="1551 bench pages", description="The pages with 5,000,000 appeals")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--size", type=int, default=SIZE, help="appeals on record")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each page is asked for")
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    args = parser.parse_args(arguments)
    figures: dict[str, Any] = {"appeals": args.size}
    for kind in [args.only] if args.only else ["sqlite", "postgresql"]:
        with databases(kind, 1) as (url,), TemporaryDirectory(prefix="1551-bench-") as folder:
            db = Database(url)
            try:
                with db.write() as conn:
                    seed.load_seed(conn, NOW)
                filling = Filling(db, args.size)
                filling.fill()
                with db.read() as conn:
                    asked = Asked(conn, filling, Random(3))
                settings = Settings(var=Path(folder), require_totp=False)
                figures[kind] = asyncio.run(measure(db, asked, settings, args.rounds))
            finally:
                db.close()
    report(figures, args.json)
    return 0
