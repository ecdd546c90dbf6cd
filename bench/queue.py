"""`./1551 bench queue`: what the rules of the queue make of a day, of one five times worse, of a burst, of an alert.

A simulation of events in which the policy is the one that runs live (``call_queue.order``, ``call_queue.estimate``,
``call_queue.surge_rules``, ``crm.promise_rules``); only Asterisk, telephones and people are imitated
(``simulation.py``). Who calls, for how long he speaks and whatever he may do is drawn for each caller alone
(``callers.py``, where every assumption stands: the day's profile, patience, redialling, who accepts a callback and who
picks it up), so that all disciplines serve the same people. Seats sit as Erlang A wants them at the usual load, for
80 % within 20 s and 85 % busy.

fifo    one queue, who came first is first, every seat takes everybody at once: no priorities, skills, callbacks
queue   ``Queue()`` as it is delivered, ringing one seat at a time: strict priorities (an emergency before whoever is
        privileged by law, he before all others, however long they have waited), a seat's ring given up after 15 s and
        the caller tried again 5 s later; a waiting caller looks once a second whether a seat is free; no callbacks
ours    turns with head starts, queues for skills, callbacks offered and called, who gave up called back, incidents
        joined by key, surges switched on by a supervisor who thinks two minutes about the proposal; retries after 1 s

Scenarios: ``normal``, the city's day (2,500 appeals, 2.3 calls each); ``x5``, five times as many all day, and nothing
that would make it less (nobody joins anything); ``burst``, the day with 300 more calls from one district in ten minutes
at six in the evening, of an incident that callers are told from the third minute on; ``alert``, the day with an air
alert from 14:00: 45 minutes in which no seat is taken and half as many call, then half as many again for as long.

erlang_error        the worst of what the same simulation, given a textbook's callers, differs by from the formulas of
                    ``crm/erlang.py``: share delayed, mean wait, abandonment, occupancy, of C and A (aim 0.02)
normal_over_bound   ours over the bound, the mean wait in the normal day from the first call to the seat, callbacks
                    included. The bound is fifo's, with no gap between two calls. Both are given callers who never give
                    up and pick up whenever they are called, at any hour: then all work is done under any discipline,
                    and by the conservation law (Kleinrock) none that does not know how long a call will take has a
                    smaller mean than one that leaves no seat idle while somebody waits (aim 1.05)
x5_seats_busy       of the seats' staffed time at five times the load (aim 0.98). A seat is busy from the ring to the
                    end of the wrap-up
x5_forgotten        people who were not served, have no promise, and neither joined an incident nor are on the line at
                    the day's end (aim 0); an expired promise is a forgotten one. Not among them, and said in
                    ``x5_apart``: ``short`` hung up before the rules call it waiting, ``hidden`` show no number and said
                    none, ``unreached`` did not pick up as often as the rules call, and were told so
promises_kept       of the promises in the normal day, burst and alert whose told hour has come: called by then
x5_promises_kept    the same at five times the load (aim 0.9)
x5_told             of those who took a callback there, who were told an hour: the others were told the truth, that none
                    can be named, for by their place and the seats their turn does not come before the promise is over
told_early_min      median, in minutes, of the told hour less the call, of the promises kept in the normal day

``by``: of each scenario and discipline people, ``served``, ``wait_s`` and ``p95_s`` (of the served, from the first call
to the seat, callbacks included, nights too), ``phone_s`` (a call's mean wait on the telephone), ``hung_up`` (of the
calls), ``unserved`` (of the people: neither served, joined nor scheduled), ``promised``, ``due`` (their told time has
come), ``kept``, ``busy``, ``starved`` (people passed over on the line, once or oftener, by one who came later by more
than the longest head start: at a seat that has the skill of the other, who was in its queue when they came back with
an old turn), ``passed`` (of the served, before whom one should have been called who was promised it, by more than any
head start: none of those just called had picked up when a seat was free), ``urgent`` (of the emergencies, served),
``surge`` (of the time).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

from bench.callers import DAY, HALF_HOUR, Burst, Habits, callers, rate, stationary
from bench.measure import percentile
from bench.simulation import FIFO, OFFERS, OURS, QUEUE, Person, Scenario, Simulation
from crm import erlang
from crm.calls import Priority
from crm.promise_rules import Reason, State

DISCIPLINES = {one.name: one for one in (FIFO, QUEUE, OURS)}
SCENARIOS = ("normal", "x5", "burst", "alert")
EVENING, AFTERNOON, ALERT_S = 18 * 3600.0, 14 * 3600.0, 45 * 60.0
# A textbook's systems: seats, erlangs, patience in handling times. Small ones, which soon forget how they were: a large
# one would have to run for days until its mean is known to 2 %.
SYSTEMS = ((2, 1.0, math.inf), (3, 1.8, math.inf), (5, 5.0, 1.0), (10, 12.0, 2.0))
HANDLED_S = 240.0


def scenario(name: str, seed: int, days: float, habits: Habits) -> Scenario:
    """``days``: of the normal one and of x5; the others are one day."""
    plan = [erlang.seats_needed(rate((half + 0.5) * HALF_HOUR), habits.handled_s, Habits().patience_s, erlang.Target())
            for half in range(DAY // HALF_HOUR)]  # fmt: skip
    if name == "x5":
        return Scenario(name, callers(seed, days, habits, times=((0.0, 5.0),)), plan, days * DAY, habits)
    if name == "burst":
        burst = Burst(EVENING, 600.0, 300)
        return Scenario(name, callers(seed, 1, habits, burst=burst), plan, DAY, habits, incident=(EVENING + 180, DAY))
    if name == "alert":
        times = ((AFTERNOON, 0.5), (AFTERNOON + ALERT_S, 1.5), (AFTERNOON + 2 * ALERT_S, 1.0))
        return Scenario(name, callers(seed, 1, habits, times=times), plan, DAY, habits,
                        alert=(AFTERNOON, AFTERNOON + ALERT_S))  # fmt: skip
    return Scenario(name, callers(seed, days, habits), plan, days * DAY, habits)


# ── one run ──────────────────────────────────────────────────────────────────────────────────
def run(name: str, discipline: str, seed: int, days: float) -> dict[str, Any]:
    """The figures of a scenario under a discipline."""
    done = Simulation(scenario(name, seed, days, Habits()), DISCIPLINES[discipline], seed).run()
    waits = [person.served_at - person.caller.at for person in done.people if person.served_at is not None]
    fates = Counter(fate(person) for person in done.people)
    due = [promise for promise in done.promises if promise.told_at is not None and promise.told_at <= done.now]
    kept = [promise for promise in due if promise.called_at is not None and promise.called_at <= (promise.told_at or 0)]
    early_s = [(promise.told_at or 0) - (promise.called_at or 0) for promise in kept]
    asked = [promise for promise in done.promises if promise.reason is Reason.WAITING]
    urgent = [person for person in done.people if person.caller.priority is Priority.EMERGENCY]
    return {
        "people": len(done.people), "served": len(waits), "wait_s": round(statistics.fmean(waits), 1),
        "p95_s": round(percentile(waits, 0.95)), "phone_s": round(done.held_s / done.calls, 1),
        "hung_up": round(done.hung_up / done.calls, 4),
        "unserved": sum(fates[name] for name in ("forgotten", "short", "hidden", "unreached")),
        "promised": len(done.promises), "due": len(due),
        "kept": len(kept), "early_min": round(statistics.median(early_s) / 60) if early_s else None,
        "told": round(sum(one.told_at is not None for one in asked) / len(asked), 4) if asked else None,
        "busy": round(done.busy_s / done.staffed_s, 4), "starved": done.starved,
        "passed": round(done.passed / len(waits), 4),
        "urgent": round(statistics.fmean(person.served_at is not None for person in urgent), 3),
        "surge": round(done.surge_s / done.now, 3), "fates": dict(sorted(fates.items())),
    }  # fmt: skip


def fate(person: Person) -> str:
    """What has become of him by the end: each person has one fate."""
    promise = person.promise
    if person.served_at is not None:
        return "served"
    if person.joined:
        return "joined"
    if person.on_line:
        return "on_line"
    if promise:
        return {State.WAITING: "scheduled", State.CALLING: "scheduled", State.UNREACHED: "unreached"}.get(
            promise.state, "forgotten")  # fmt: skip
    if person.caller.hidden:
        return "hidden"
    return "short" if person.at_once else "forgotten"


def mean_wait_s(discipline: str, seed: int, days: int) -> float:
    """Of callers who never give up and always pick up, in the normal day."""
    habits = replace(Habits(), patience_s=math.inf, picks_up=1.0)
    offers = replace(OFFERS, call_from=0, call_to=DAY // 60)
    done = Simulation(scenario("normal", seed, days, habits), DISCIPLINES[discipline], seed, offers).run()
    return statistics.fmean(person.served_at - person.caller.at for person in done.people
                            if person.served_at is not None)  # fmt: skip


# ── against the formulas ─────────────────────────────────────────────────────────────────────
def textbook(at: int, seed: int, calls: int) -> list[float]:
    """A batch of one of SYSTEMS, half of its callers drawn from opposite ends: delayed, mean wait, abandoned, busy."""
    seats, load, patience = SYSTEMS[at]
    halves = []
    for mirrored in (False, True):
        drawn = stationary(seed, calls // 2, load / HANDLED_S, HANDLED_S, mirrored=mirrored)
        habits = Habits(patience_s=patience * HANDLED_S, redials=0.0)
        done = Simulation(Scenario("textbook", drawn, [seats] * 48, drawn[-1].at, habits, skilled=False), FIFO).run()
        count = len(done.waits)
        halves.append((sum(wait > 0 for wait in done.waits) / count, sum(done.waits) / count, done.hung_up / count,
                       done.busy_s / done.staffed_s))  # fmt: skip
    return [statistics.fmean(both) for both in zip(*halves, strict=True)]


def against_erlang(batches: Sequence[Sequence[float]], at: int) -> dict[str, list[float]]:
    """Each figure: simulated, by the formula, their relative difference, the standard error of the simulated one."""
    seats, load, patience = SYSTEMS[at]
    exact = erlang.line(load / HANDLED_S, HANDLED_S, seats, None if patience == math.inf else patience * HANDLED_S)
    found: dict[str, list[float]] = {}
    for name, formula, values in zip(("delayed", "wait_s", "abandoned", "occupancy"), (
            exact.delayed, exact.wait_s, exact.abandoned, exact.occupancy), zip(*batches, strict=True), strict=True):
        if formula:
            mean = statistics.fmean(values)
            error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
            found[name] = [round(value, 5) for value in (mean, formula, mean / formula - 1, error / formula)]
    return found


# ── all of it ────────────────────────────────────────────────────────────────────────────────
def measure(seed: int, days: int, x5_days: float, batches: int, calls: int) -> dict[str, Any]:
    """``batches`` of ``calls`` against the formulas, ``days`` of the normal one; on as many cores as there are."""
    with ProcessPoolExecutor() as pool:  # the longest first
        runs = {(name, each): pool.submit(run, name, each, seed, x5_days if name == "x5" else days)
                for name in ("x5", *SCENARIOS) for each in ("ours", *DISCIPLINES)}  # fmt: skip
        bound = {each: pool.submit(mean_wait_s, each, seed, days) for each in ("ours", "fifo")}
        books = [[pool.submit(textbook, at, seed + batch, calls) for batch in range(batches)]
                 for at in range(len(SYSTEMS))]  # fmt: skip
        systems = [against_erlang([batch.result() for batch in book], at) for at, book in enumerate(books)]
        by: dict[str, dict[str, Any]] = {name: {each: runs[name, each].result() for each in DISCIPLINES}
                                         for name in SCENARIOS}  # fmt: skip
        ratio = bound["ours"].result() / bound["fifo"].result()
    ours = {name: by[name]["ours"] for name in SCENARIOS}
    usual = [ours[name] for name in SCENARIOS if name != "x5"]
    return {
        "erlang_error": max(abs(figure[2]) for system in systems for figure in system.values()),
        "normal_over_bound": round(ratio, 4), "bound_wait_s": round(bound["fifo"].result(), 2),
        "x5_seats_busy": ours["x5"]["busy"], "x5_forgotten": ours["x5"]["fates"].get("forgotten", 0),
        "x5_apart": {name: ours["x5"]["fates"].get(name, 0) for name in ("short", "hidden", "unreached")},
        "promises_kept": _kept(usual), "x5_promises_kept": _kept([ours["x5"]]), "x5_told": ours["x5"]["told"],
        "told_early_min": ours["normal"]["early_min"],
        "by": by, "erlang": [{"seats": seats, "load": load, "patience": patience if patience < math.inf else None,
                              **system} for (seats, load, patience), system in zip(SYSTEMS, systems, strict=True)],
    }  # fmt: skip


def _kept(runs: Sequence[dict[str, Any]]) -> float | None:
    due = sum(run["due"] for run in runs)
    return round(sum(run["kept"] for run in runs) / due, 4) if due else None


COLUMNS = ("people", "served", "wait_s", "p95_s", "phone_s", "hung_up", "unserved", "promised", "due", "kept", "busy",
           "starved", "passed", "urgent", "surge")  # fmt: skip


def show(figures: dict[str, Any]) -> None:
    """For a person to read."""
    for name, value in figures.items():
        if name not in ("by", "erlang"):
            print(f"{name:<20} {value}")
    print("\n" + " ".join(f"{name:>9}" for name in ("", "", *COLUMNS)))
    for name, each in figures["by"].items():
        for discipline, found in each.items():
            print(" ".join(f"{value:>9}" for value in (name, discipline, *(found[column] for column in COLUMNS))))
    print("\nagainst the formulas: simulated, exact, difference, standard error")
    for system in figures["erlang"]:
        print("  ".join(f"{name} {value}" for name, value in system.items()))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="1551 bench queue", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seed", type=int, default=1551, help="the same number gives the same figures")
    parser.add_argument("--days", type=int, default=6, help="of the normal scenario")
    parser.add_argument("--x5-days", type=float, default=1.0, help="of the x5 scenario")
    parser.add_argument("--batches", type=int, default=8, help="against each formula")
    parser.add_argument("--calls", type=int, default=100_000, help="in a batch")
    args = parser.parse_args(arguments)
    figures = measure(args.seed, args.days, args.x5_days, args.batches, args.calls)
    if args.json:
        print(json.dumps(figures))
    else:
        show(figures)
    return 0
