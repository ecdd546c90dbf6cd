"""`./1551 bench screen`: how soon after a seat begins to ring does its operator see who calls?

As `./1551 bench pop`, whose Asterisk plays the calls, but to the end: the line and the web are the real processes, and
at some of the seats somebody sits before a real Chromium, each signed in, each page drawn. Measured from the moment at
which ``AgentCalled`` is written to the line's socket, idle (a call a second) and at 20 calls a second:

event_p50_ms, event_p99_ms   the page has heard that its seat rings (aim: p99 50)
paint_p50_ms, paint_p99_ms   the call's card is drawn: the browser's own word, first-contentful-paint (aim: p99 150)
missed                       calls at these seats of which the page heard nothing, or whose card was not drawn

The browser takes part of the same cores, as it does not at the operators' desks.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote

import httpx
from playwright.async_api import Browser, async_playwright

from bench.measure import centre_of_its_own, environment, listens, percentile, report, running
from bench.peer import PeerProcess, Plan, Played
from centre import provision
from centre.phones import free_port
from centre.settings import Secrets, Settings
from crm import people, sign_in
from crm.guessing import Place
from crm.people import Role
from crm.sign_in import Lasting
from crm.store import Database
from web.visit import SESSION

BUSY_S, IDLE_S = 20, 1  # calls a second
SEATS, WATCHED = 60, 6  # in all, and before a browser
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
READY_S = 30.0

# In every page, before its own script: what it hears, and when it was drawn, by the wall clock.
_TELLS = """
const heard = window.EventSource;
window.EventSource = class extends heard {
  constructor(...given) {
    super(...given);
    this.addEventListener("call", (event) => {
      const { linkedid } = JSON.parse(event.data);
      if (linkedid) window.tell("heard", linkedid, performance.timeOrigin + performance.now());
    });
  }
};
new PerformanceObserver((list) => {
  for (const entry of list.getEntriesByName("first-contentful-paint"))
    window.tell("drawn", location.pathname, performance.timeOrigin + entry.startTime);
}).observe({ type: "paint", buffered: true });
"""


@dataclass
class Screens:
    """What the browsers' pages tell: linkedid → milliseconds of the wall clock, the first time each."""

    heard: dict[str, float] = field(default_factory=dict)
    drawn: dict[str, float] = field(default_factory=dict)

    async def tell(self, source: object, what: str, which: str, at: float) -> None:
        if what == "heard":
            self.heard.setdefault(which, at)
        elif which.startswith("/calls/"):
            self.drawn.setdefault(unquote(which.removeprefix("/calls/")), at)

    async def open(self, browser: Browser, address: str, token: str) -> None:
        context = await browser.new_context(viewport={"width": 1280, "height": 720})
        await context.add_cookies([{"name": SESSION, "value": token, "url": address}])
        await context.expose_binding("tell", self.tell)
        await context.add_init_script(_TELLS)
        await (await context.new_page()).goto(f"{address}/seat")


def seated(settings: Settings, count: int) -> dict[str, str]:
    """Operators at the first seats, as they are after signing in: seat → session token."""
    now, tokens = datetime.now(UTC), {}
    db = Database(settings.database_url)
    with db.write() as conn:
        for seat in settings.seats[:count]:
            staff_id = people.add_staff(conn, login=f"seat{seat}", name=f"Оператор {seat}", password_hash="-",
                                        password_given=False, role=Role.OPERATOR)  # fmt: skip
            person = people.get(conn, staff_id)
            session = sign_in.begin(conn, person, place=Place(), agent="", lasting=Lasting(), now=now)
            sign_in.sit(conn, session.token, seat)
            tokens[seat] = session.token
    db.close()
    return tokens


async def _played(settings: Settings, peer: PeerProcess, plan: Plan, screens: Screens) -> Played:
    address = f"http://127.0.0.1:{settings.web_port}"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=provision.ensure("chromium").executable, args=QUIET)  # fmt: skip
        for token in seated(settings, WATCHED).values():
            await screens.open(browser, address, token)
        async with httpx.AsyncClient(base_url=address) as client:  # every page is told what happens
            async with asyncio.timeout(READY_S):  # nothing tells of it
                while f"centre_streams_open {WATCHED}.0" not in (await client.get("/metrics")).text:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        peer.play(plan)
        played = await asyncio.to_thread(peer.played)
        await browser.close()
    return played


def measure(settings: Settings, secrets: Secrets, plan: Plan) -> dict[str, object]:
    screens = Screens()
    peer = PeerProcess({seat: secrets.seats[seat].interface for seat in settings.seats}, settings.ami_port,
                       settings.agi_port)  # fmt: skip
    env = environment(settings)

    try:
        with running([sys.executable, "-m", "centre", "line"], settings.var / "line.log",
                     lambda: settings.line_socket.exists(), env), \
                running([sys.executable, "-m", "centre", "web"], settings.var / "web.log",
                        lambda: listens(settings.web_port), env):  # fmt: skip
            wall = time.time() - time.monotonic()
            played = asyncio.run(_played(settings, peer, plan, screens))
    finally:
        peer.close()
    watched = [(linkedid, at) for number, (linkedid, at) in enumerate(sorted(played.called.items(), key=lambda c: c[1]))
               if number % len(settings.seats) < WATCHED]  # fmt: skip
    event = [screens.heard[one] - (at + wall) * 1000 for one, at in watched if one in screens.heard]
    paint = [screens.drawn[one] - (at + wall) * 1000 for one, at in watched if one in screens.drawn]
    return {
        "event_p50_ms": round(percentile(event, 0.5), 1), "event_p99_ms": round(percentile(event, 0.99), 1),
        "paint_p50_ms": round(percentile(paint, 0.5), 1), "paint_p99_ms": round(percentile(paint, 0.99), 1),
        "missed": 2 * len(watched) - len(event) - len(paint), "watched": len(watched), "calls": played.calls,
    }  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="1551 bench screen", description="From a seat's ringing to the card drawn")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_args(arguments)
    figures = {}
    for name, seats, rate in (("idle", WATCHED, IDLE_S), ("busy", SEATS, BUSY_S)):
        web_port = free_port(kind=socket.SOCK_STREAM)
        with centre_of_its_own(seat_count=seats, wrap_up=0, web_port=web_port) as (settings, secrets):
            figures[name] = measure(settings, secrets, Plan(rate, args.seconds))
    report(figures, args.json)
    return 0
