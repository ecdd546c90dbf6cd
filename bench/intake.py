"""`./1551 bench intake`: how many appeals a second come in writing, and what do they cost those who call meanwhile?

The portal, the line and the console are the real processes, on SQLite and on a PostgreSQL of its own, both durable. An
applicant fetches the portal's form and sends it with a photo of 2 MB as a telephone takes it (12 megapixels, which the
portal draws anew), or a program sends the same to the API. Each appeal is another person's, of another building, from
another address. At the end everything that was acknowledged is looked for in the records, with its photo.

form, api         appeals a second with eight at a time (``--workers``), and how long one waits for his answer (ms)
pop_slowdown      of the time in which a ringing call's page can be filled (``bench pop``, 20 calls a second): its
                  median while 20 times the city's 2,500 appeals a day come, to that while none comes (aim: under
                  1.10); of the worse database
pop_p99_slowdown  the same of the 99th percentile
while_calling     how the appeals fared meanwhile
lost              acknowledged, and not in the records at the end

Twenty times 2,500 a day are 5,000 in the busy hour, a tenth of the day: 1.4 a second, each with its photo. What weighs
on the callers is that rate, not how long it lasts: so windows with it and without it take turns in one run, what else
the machine does disturbs both alike, and the medians of the windows are compared. Those who file are a process on the
same cores, niced as the portal is.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import multiprocessing
import os
import socket
import statistics
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, islice, product
from multiprocessing.connection import Connection
from random import Random
from typing import Any

import httpx
from PIL import Image, ImageChops
from sqlalchemy import func, select

from bench.crm import databases
from bench.measure import centre_of_its_own, environment, listens, percentile, report, running
from bench.peer import CALLED, OFFSETS, PeerProcess, Plan
from bench.pop import CALLS_S, PATIENCE_S, SEATS, Desk
from centre.demo.browser import Page
from centre.phones import free_port
from centre.sample_life import houses, residents
from centre.settings import Secrets, Settings
from crm import api_keys, departments
from crm.law import Kind
from crm.schema import appeal, attachment, building, street
from crm.store import Database

A_DAY, TIMES, BUSY_HOUR = 2500, 20, 0.1
RATE = A_DAY * TIMES * BUSY_HOUR / 3600  # a second
HOUSES, PEOPLE = 3000, 20_000
LIMIT_S = 60.0  # for one appeal: then something is wrong
SETTLED_S = 1.0  # of each window is not counted: what the one before began is done by then
NICE = 10
AGENT = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126.0.0.0 Mobile Safari/537.36"


@dataclass(frozen=True)
class Given:
    """What those who file know. ``buildings``: (id, as it is typed)."""

    base: str
    key: str
    buildings: Sequence[tuple[int, str]]
    subjects: Sequence[int]
    photos: Sequence[bytes]


@dataclass
class Filed:
    """``waits_s``: of each that was acknowledged, from its sending to the answer."""

    waits_s: list[float] = field(default_factory=list)
    seconds: float = 0.0


def photos(count: int) -> list[bytes]:
    """Up to eight of 4000 × 3000 pixels and 2 MB each, none like another."""
    light = Image.radial_gradient("L").resize((4000, 3000))
    grain = [Image.effect_noise((2000, 1500), 20).resize(light.size) for _ in range(3)]
    one = Image.merge("RGB", [ImageChops.add(light, each, 2) for each in grain])
    turns = (None, Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.ROTATE_180)
    made = []
    for image, turn in islice(product((one, ImageChops.invert(one)), turns), count):
        out = io.BytesIO()
        (image if turn is None else image.transpose(turn)).save(out, "JPEG", quality=85)
        made.append(out.getvalue())
    return made


# ── those who file, in a process of their own ──
class Applicants:
    def __init__(self, given: Given, http: httpx.AsyncClient, seed: int) -> None:
        self._given, self._http, self._random = given, http, Random(seed)
        self._people = residents(seed, PEOPLE)
        self._numbers = count(seed * 1_000_000)

    def _said(self) -> dict[str, str]:
        """Words that nobody else says, of somebody of whom nothing is known."""
        who, number = next(self._people), next(self._numbers)
        return {"text": f"Потрібна допомога: звернення {number}, будь ласка, розгляньте.", "name": who.name,
                "phone": who.e164, "tell_by": "nothing"}  # fmt: skip

    def _from(self) -> dict[str, str]:
        """The city's web server says where it comes from."""
        where = ".".join(str(self._random.randrange(1, 255)) for _ in range(3))
        return {"X-Forwarded-For": f"10.{where}", "User-Agent": AGENT}

    def _photo(self) -> tuple[str, bytes, str]:
        return "IMG_2041.jpg", self._random.choice(self._given.photos), "image/jpeg"

    async def by_form(self) -> float:
        """As a person does: RuntimeError if it does not become an appeal."""
        given, source = self._given, self._from()
        id, address = self._random.choice(given.buildings)
        blank = Page.read(await self._http.get("/file", headers=source)).form("/file", {"subject": "", "text": ""})
        fields = {**blank.fields, **self._said(), "subject": str(self._random.choice(given.subjects)), "consent": "1",
                  "address": address, "building": str(id), "building_for": address}  # fmt: skip
        began = time.monotonic()
        answer = await self._sent(fields, source, [self._photo()])
        if answer.status_code == 200:  # what is known of the place is to be read first
            fields.update(Page.read(answer).form("/file", {"text": fields["text"]}).fields)
            answer = await self._sent(fields, source, [])
        if answer.status_code != 303 or not answer.headers["location"].startswith("/a/"):
            raise RuntimeError(f"no appeal came of a form: {answer.status_code} {Page.read(answer).text[:600]}")
        return time.monotonic() - began

    async def _sent(self, fields: Mapping[str, str], source: Mapping[str, str],
                    photos: Sequence[tuple[str, bytes, str]]) -> httpx.Response:  # fmt: skip
        files = [("files", photo) for photo in photos] or [("files", ("", b"", "application/octet-stream"))]
        return await self._http.post("/file", data=fields, files=files,
                                     headers={**source, "Origin": self._given.base})  # fmt: skip

    async def by_api(self) -> float:
        """As the city's app does: RuntimeError if it does not become an appeal."""
        given = self._given
        id, _ = self._random.choice(given.buildings)
        fields = {**self._said(), "subject_id": str(self._random.choice(given.subjects)), "building_id": str(id)}
        began = time.monotonic()
        answer = await self._http.post(
            "/api/v1/appeals", data=fields, files=[("photos", self._photo())],
            headers={**self._from(), "X-API-Key": given.key, "Idempotency-Key": str(uuid.uuid4())})  # fmt: skip
        if answer.status_code != 201:
            raise RuntimeError(f"no appeal came of a program's: {answer.status_code} {answer.text[:600]}")
        return time.monotonic() - began

    # ── how often ──
    async def at_most(self, way: str, workers: int, seconds: float) -> Filed:
        """As many as so many at a time can, each after the other; one each before, that is not counted."""
        file = self._way(way)
        filed = Filed()
        await asyncio.gather(*(file() for _ in range(workers)))
        began = time.monotonic()

        async def work() -> None:
            while time.monotonic() < began + seconds:
                filed.waits_s.append(await file())

        await asyncio.gather(*(work() for _ in range(workers)))
        filed.seconds = time.monotonic() - began
        return filed

    async def in_windows(self, windows: Sequence[tuple[float, float]]) -> Filed:
        """RATE in each of these, by form and by API in turn. Times by the monotonic clock."""
        filed, ways = Filed(), [self.by_form, self.by_api]
        async with asyncio.TaskGroup() as tasks:
            for begins, ends in windows:
                for at in range(int((ends - begins) * RATE)):
                    await asyncio.sleep(begins + at / RATE - time.monotonic())
                    tasks.create_task(_noted(filed, ways[at % 2]))
        filed.seconds = sum(ends - begins for begins, ends in windows)
        return filed

    def _way(self, name: str) -> Callable[[], Awaitable[float]]:
        return self.by_form if name == "form" else self.by_api


async def _noted(filed: Filed, file: Callable[[], Awaitable[float]]) -> None:
    filed.waits_s.append(await file())


class ApplicantsProcess:
    """``Applicants`` in a process of its own. It ends with this one."""

    def __init__(self, given: Given) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._ours, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_file, args=(theirs, given), daemon=True)
        self._process.start()

    def begin(self, do: str, *given: Any) -> None:
        self._ours.send((do, given))

    def filed(self, limit_s: float) -> Filed:
        """RuntimeError if it failed, or is not done by then."""
        if not self._ours.poll(limit_s):
            raise RuntimeError(f"those who file are not done after {limit_s:.0f} s")
        outcome = self._ours.recv()
        if not isinstance(outcome, Filed):
            raise RuntimeError(f"those who file have failed: {outcome}")
        return outcome

    def close(self) -> None:
        self._process.kill()
        self._process.join()


def _file(pipe: Connection, given: Given) -> None:
    os.nice(NICE)
    for seed in count(1):
        do, more = pipe.recv()
        try:
            pipe.send(asyncio.run(_do(given, seed, do, more)))
        except BaseException as error:  # told where it is asked for
            pipe.send(f"{error!r} {getattr(error, 'exceptions', '')}")


async def _do(given: Given, seed: int, do: str, more: tuple[Any, ...]) -> Filed:
    async with httpx.AsyncClient(base_url=given.base, timeout=LIMIT_S,
                                 limits=httpx.Limits(max_connections=100)) as http:  # fmt: skip
        await http.get("/file")  # the browser's cookie, to which all forms belong
        outcome: Filed = await getattr(Applicants(given, http, seed), do)(*more)
        return outcome


# ── the centre ──
@contextmanager
def centre(kind: str) -> Iterator[tuple[Settings, Secrets]]:
    """Its settings, on a database of this kind, with houses."""
    with ExitStack() as stack:
        more = {name: free_port(kind=socket.SOCK_STREAM) for name in ("web_port", "portal_port")}
        url = "" if kind == "sqlite" else stack.enter_context(databases(kind, 1))[0]
        settings, secrets = stack.enter_context(
            centre_of_its_own(seat_count=SEATS, wrap_up=0, database=url, **more))  # fmt: skip
        db = Database(settings.database_url)
        with db.write() as conn:
            more_houses = [{"street_id": each.street_id, "district_id": each.district_id, "number": each.number,
                            "folded": each.folded} for each in houses(conn, HOUSES)]  # fmt: skip
            conn.execute(building.insert(), more_houses)
        db.close()
        yield settings, secrets


def known(settings: Settings, taken: Sequence[bytes]) -> Given:
    db = Database(settings.database_url)
    with db.write() as conn:
        _, key = api_keys.make(conn, name="bench", channel="mobile", hourly_cap=api_keys.MOST_HOURLY,
                               now=datetime.now(UTC), staff_id=None)  # fmt: skip
        rows = conn.execute(select(building.c.id, street.c.name, building.c.number).join(street))
        buildings = [(row.id, f"{row.name}, {row.number}") for row in rows]
        subjects = [each.id for each in departments.subjects(conn)
                    if each.leaf and each.offered and each.kind == Kind.APPLICATION]  # fmt: skip
    db.close()
    return Given(f"http://127.0.0.1:{settings.portal_port}", key, buildings, subjects, taken)


def on_record(settings: Settings) -> int:
    """Appeals that came in writing. RuntimeError unless each has its photo, and that is on the disk."""
    db = Database(settings.database_url)
    with db.read() as conn:
        appeals = conn.execute(select(func.count()).select_from(appeal)).scalar_one()
        files = conn.execute(select(attachment.c.appeal_id, attachment.c.sha256, attachment.c.bytes)).all()
    db.close()
    sizes = {path.name: path.stat().st_size for path in settings.attachments.glob("??/*")}
    if len({row.appeal_id for row in files}) != appeals or any(sizes.get(row.sha256) != row.bytes for row in files):
        raise RuntimeError("an appeal lacks its photo")
    return int(appeals)


# ── what is measured ──
async def pops(settings: Settings, peer: PeerProcess, applicants: ApplicantsProcess, windows: int,
               window_s: float) -> dict[str, Any]:  # fmt: skip
    desk = Desk(settings)
    listening = asyncio.create_task(desk.listen())
    await asyncio.wait_for(desk.in_step.wait(), PATIENCE_S)
    begins = time.monotonic() + OFFSETS[CALLED] + 1  # when the first calls ring
    spans = [(begins + at * window_s, begins + (at + 1) * window_s) for at in range(windows)]
    applicants.begin("in_windows", spans[1::2])
    peer.play(Plan(CALLS_S, 1 + windows * window_s))
    played = await asyncio.to_thread(peer.played)
    filed = await asyncio.to_thread(applicants.filed, LIMIT_S)
    await desk.finished()
    listening.cancel()

    taken: list[list[float]] = [[] for _ in spans]
    for linkedid, at in played.called.items():
        number, into = divmod(at - begins, window_s)
        if 0 <= number < windows and into >= min(SETTLED_S, window_s / 2) and linkedid in desk.readable:
            taken[int(number)].append((desk.readable[linkedid] - at) * 1000)
    without, with_ = taken[0::2], taken[1::2]
    medians = {name: statistics.median(percentile(each, 0.5) for each in of)
               for name, of in (("without", without), ("with", with_))}  # fmt: skip
    p99 = {name: percentile([took for each in of for took in each], 0.99)
           for name, of in (("without", without), ("with", with_))}  # fmt: skip
    return {
        "pop_slowdown": round(medians["with"] / medians["without"], 3),
        "pop_p99_slowdown": round(p99["with"] / p99["without"], 3),
        "pop_p50_ms": {name: round(value, 2) for name, value in medians.items()},
        "pop_p99_ms": {name: round(value, 2) for name, value in p99.items()},
        "missed": len(played.called) - len(desk.readable), "calls": played.calls,
        "while_calling": {"appeals": len(filed.waits_s), "appeals_s": round(len(filed.waits_s) / filed.seconds, 2),
                          **_waits(filed)},
    }  # fmt: skip


def _waits(filed: Filed) -> dict[str, float]:
    return {"p50_ms": round(percentile(filed.waits_s, 0.5) * 1000), "p95_ms": round(
        percentile(filed.waits_s, 0.95) * 1000)}  # fmt: skip


def measure(kind: str, taken: Sequence[bytes], args: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with centre(kind) as (settings, secrets), ExitStack() as stack:
        peer = PeerProcess({seat.number: seat.interface for seat in secrets.seats.values()}, settings.ami_port,
                           settings.agi_port)  # fmt: skip
        stack.callback(peer.close)
        ready = {"line": lambda: settings.line_socket.exists(), "web": lambda: listens(settings.web_port),
                 "portal": lambda: listens(settings.portal_port)}  # fmt: skip
        for name, comes_up in ready.items():
            stack.enter_context(running([sys.executable, "-m", "centre", name], settings.var / f"{name}.log", comes_up,
                                        environment(settings)))  # fmt: skip
        applicants = ApplicantsProcess(known(settings, taken))
        stack.callback(applicants.close)
        acknowledged = 0
        for way in ("form", "api"):
            applicants.begin("at_most", way, args.workers, args.seconds)
            filed = applicants.filed(args.seconds + 2 * LIMIT_S)
            acknowledged += len(filed.waits_s) + args.workers
            figures[way] = {"appeals_s": round(len(filed.waits_s) / filed.seconds, 2), **_waits(filed)}
        figures |= asyncio.run(pops(settings, peer, applicants, args.windows, args.window))
        acknowledged += figures["while_calling"]["appeals"]
        figures["lost"] = acknowledged - on_record(settings)
    return figures


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="1551 bench intake", description="Appeals in writing, and what they cost")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=8, help="of each way of filing, as many as can be")
    parser.add_argument("--workers", type=int, default=8, help="who file at a time then")
    parser.add_argument("--windows", type=int, default=10, help="by turns without and with appeals while calls come")
    parser.add_argument("--window", type=float, default=7, help="seconds of each")
    parser.add_argument("--photos", type=int, default=8, help="different ones, at most eight")
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    args = parser.parse_args(arguments)
    taken, kinds = photos(args.photos), [args.only] if args.only else ["sqlite", "postgresql"]
    figures: dict[str, Any] = {kind: measure(kind, taken, args) for kind in kinds}
    worst = {name: max(figures[kind][name] for kind in kinds) for name in ("pop_slowdown", "pop_p99_slowdown")}
    report({**worst, "photo_mb": round(statistics.mean(map(len, taken)) / 1e6, 2), **figures}, args.json)
    return 0
