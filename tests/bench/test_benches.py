"""Each benchmark runs, ends by itself, and gives the figures that are promised; how good they are is not asked here."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from bench import peer
from bench.callers import Chance, Habits, callers, rate
from bench.measure import median_ratio, percentile
from bench.queue import scenario
from bench.simulation import OURS, Simulation
from call_queue import order
from centre.settings import ROOT

LIMIT = 150  # seconds, on a machine that has much else to do


def bench(name: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "centre", "bench", name, "--json", *arguments], cwd=ROOT, text=True,
                          capture_output=True, env=os.environ, timeout=LIMIT, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def test_ivr() -> None:
    figures = bench("ivr", "--rounds", "1", "--greeted", "2", "--short", "8")
    ratios = {name: figures[name] for name in ("ratio_no_agi", "ratio_bare", "ratio_panoramisk")}
    assert all(0.1 < ratio < 10 for ratio in ratios.values()), figures
    cost, servers = figures["cpu_ms_a_call"], figures["of_it_the_server"]
    assert set(cost["greeted"]) >= {"none", "ivr"}
    assert set(cost["short"]) >= {"none", "ivr", "panoramisk", "bare"}
    assert cost["greeted"]["none"] > cost["short"]["none"], "ten seconds of greeting were heard"
    assert servers["short"]["none"] == 0
    assert all(0 < servers["short"][each] < cost["short"][each] for each in ("ivr", "panoramisk", "bare"))


def test_ami() -> None:
    figures = bench("ami", "--seconds", "3", "--rate", "2000")
    assert 1000 < figures["sustained_events_s"] < 3000
    assert figures["disconnects"] == figures["gaps"] == figures["not_kept"] == 0
    assert figures["calls"] == figures["calls_applied"] == figures["calls_on_record"] > 100
    assert figures["events"] == figures["calls"] * len(peer.EVENTS)
    assert 0 < figures["applied_p50_ms"] <= figures["applied_p99_ms"]


def test_pop() -> None:
    figures = bench("pop", "--seconds", "2")
    assert figures["calls"] == 40
    assert figures["missed"] == figures["disconnects"] == figures["steps_refused"] == 0
    assert 0 < figures["told_p50_ms"] <= figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]


def test_intake() -> None:
    found = bench("intake", "--seconds", "0.5", "--workers", "1", "--photos", "1", "--windows", "2", "--window", "2",
                  "--only", "sqlite")  # fmt: skip
    figures = found["sqlite"]
    assert found["pop_slowdown"] == figures["pop_slowdown"] > 0
    assert figures["pop_p99_slowdown"] > 0
    assert figures["lost"] == figures["missed"] == 0
    assert figures["while_calling"]["appeals"] == 2, "in two seconds, at that rate"
    for filed in (figures["form"], figures["api"]):
        assert filed["appeals_s"] > 0
        assert 0 < filed["p50_ms"] <= filed["p95_ms"]


def test_pages() -> None:
    figures = bench("pages", "--size", "2000", "--rounds", "1", "--only", "sqlite")["sqlite"]
    assert figures["pages_p99_ms"] > 0
    assert figures["reports_p99_ms"] > 0
    assert len(figures["p50_p99_ms"]) > 50


def test_crm() -> None:
    figures = bench("crm", "--size", "6000", "--rounds", "1", "--keys", "50")
    for kind in ("sqlite", "postgresql"):
        found = figures[kind]
        assert 0.01 < found["lookup_p99_ratio"] < 100, figures
        assert 0 < found["lookup_p99_ms"] < 1000
        assert found["search_p99_ms"] > 0
        assert found["lists_p99_ms"] > 0
        assert found["month_report_s"] > 0
        assert 0 < found["register_ratio"] < 1, "nothing is registered faster than its bare rows are written"
        assert set(found["p50_p99_ms"]["caller"]) == {"3000", "6000"}


def test_queue() -> None:
    """The simulation is right where a formula says what is right; what it finds of the rules is not asked here."""
    figures = bench("queue", "--days", "1", "--batches", "1", "--calls", "30000", "--x5-days", "0.1")
    assert figures["erlang_error"] < 0.1
    assert 0.95 < figures["normal_over_bound"] < 1.5, "below the bound is nobody, but for the chance of one day"
    assert 0.9 < figures["x5_seats_busy"] <= 1
    assert figures["x5_forgotten"] == 0
    assert 0 <= figures["promises_kept"] <= 1
    for name, by in figures["by"].items():
        assert len({found["people"] for found in by.values()}) == 1, f"{name}: the same people, whatever is done"
        assert by["ours"]["unserved"] < by["fifo"]["unserved"], name
        assert by["fifo"]["promised"] == by["queue"]["promised"] == by["fifo"]["starved"] == 0
        for found in by.values():
            assert sum(found["fates"].values()) == found["people"]
            assert found["served"] <= found["people"]
            assert found["kept"] <= found["due"] <= found["promised"]
            assert 0 < found["wait_s"] < found["p95_s"] * 10


def test_the_simulated_line_stands_as_the_order_has_it() -> None:
    """Sorted by hand, for the sake of speed, as ``order.in_order`` sorts: at any moment of a burst."""
    done = Simulation(scenario("burst", 5, 1, Habits()), OURS)
    done._at(18.2 * 3600, lambda: seen.append(([*done._line], order.in_order(reversed(done._line)))))
    seen: list[tuple[list[order.Waiting], list[order.Waiting]]] = []
    done.run()
    assert len(seen[0][0]) > 100
    assert seen[0][0] == seen[0][1]


def test_what_is_drawn_for_a_caller_does_not_depend_on_the_others() -> None:
    few, many = callers(1, 1, Habits())[:50], callers(1, 2, Habits())[:50]
    assert [(one.at, one.handled_s, one.priority) for one in few] == [(one.at, one.handled_s, one.priority)
                                                                      for one in many]  # fmt: skip
    assert few[7].draw(Chance.ACCEPT, 1) == many[7].draw(Chance.ACCEPT, 1) != many[7].draw(Chance.ACCEPT, 2)
    assert abs(sum(rate(minute * 60) * 60 for minute in range(1440)) - 5750) < 1


def test_a_reader_that_does_not_read_is_cut_as_asterisk_cuts_it() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer._written(ours, b"Event: Hangup\r\n\r\n")
        assert not peer._written(ours, b"x" * (64 << 20))


@pytest.mark.parametrize(("part", "found"), [(0.5, 2), (0.75, 3), (0.99, 4), (1, 4), (0.01, 1)])
def test_percentile(part: float, found: float) -> None:
    assert percentile([3, 1, 4, 2], part) == found


def test_ratios_are_taken_round_by_round() -> None:
    assert median_ratio([1, 20, 3], [2, 10, 6]) == 0.5
