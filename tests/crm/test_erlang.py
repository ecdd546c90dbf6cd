"""Erlang's formulas against a library's figures, against chains solved by brute force, and against what must hold."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm import erlang
from crm.erlang import Leaving, Line, Patient, Target, line, seats_needed
from crm.errors import BadInput

rates = st.floats(0.001, 5)
handled = st.floats(5, 900)
patiences = st.floats(5, 3600)
seat_counts = st.integers(1, 400)


# As pyworkforce 0.5.1 gives them (ErlangC; minutes, calls in 30 minutes): C, service level, occupancy, and the seats
# that it finds for 80 % and an occupancy of 85 %.
@pytest.mark.parametrize(("calls", "minutes", "within", "seats", "delayed", "served", "busy", "needed"), [
    (100, 3, 20 / 60, 14, 0.1741319336, 0.8883500192, 0.7142857143, 14),
    (10, 4, 0.5, 3, 0.1807909605, 0.8532092482, 0.4444444444, 3),
    (230, 4.2, 20 / 60, 36, 0.4108892216, 0.6960885601, 0.8944444444, 38),
    (2000, 4, 0.25, 280, 0.3147108989, 0.8632272071, 0.9523809524, 314),
    (1, 5, 1, 1, 0.1666666667, 0.8589197125, 0.1666666667, 1),
])  # fmt: skip
def test_erlang_c_is_a_librarys(calls: float, minutes: float, within: float, seats: int, delayed: float, served: float,
                                busy: float, needed: int) -> None:  # fmt: skip
    found = Patient(calls / 1800, minutes * 60, seats)
    assert found.delayed == pytest.approx(delayed, abs=1e-9)
    assert found.within(within * 60) == pytest.approx(served, abs=1e-9)
    assert found.occupancy == pytest.approx(busy, abs=1e-9)
    assert seats_needed(found.calls_s, found.handled_s, None, Target(0.8, within * 60, 0.85)) == needed


def test_erlang_b() -> None:
    """B(5, 3) by its definition: (3⁵/5!) over the sum of 3ʲ/j!."""
    assert erlang.blocked(5, 3.0) == pytest.approx(2.025 / (1 + 3 + 4.5 + 4.5 + 3.375 + 2.025))
    assert erlang.blocked(0, 3.0) == 1


# ── brute force ──
CHAINS = [(Fraction(1, 10), 60, 4, 90), (Fraction(1, 20), 100, 7, 40), (Fraction(1, 2), 30, 6, 120)]


def stationary(calls_s: Fraction, handled_s: int, seats: int, patience_s: int, most: int) -> list[float]:
    """The shares of the time with 0…most calls, from the balance of all states, solved exactly."""
    size = most + 1
    rows = [[Fraction(0)] * (size + 1) for _ in range(size)]
    for state in range(size):  # what goes out of a state, and into it
        ends = Fraction(min(state, seats), handled_s) + Fraction(max(0, state - seats), patience_s)
        comes = calls_s if state < most else Fraction(0)
        rows[state][state] -= ends + comes
        if state:
            rows[state - 1][state] += ends
        if state < most:
            rows[state + 1][state] += comes
    rows[-1] = [Fraction(1)] * (size + 1)  # one of the balances follows from the others; all shares are one together
    for pivot in range(size):
        at = next(row for row in range(pivot, size) if rows[row][pivot])
        rows[pivot], rows[at] = rows[at], rows[pivot]
        for row in range(pivot + 1, size):
            if factor := rows[row][pivot] / rows[pivot][pivot]:
                rows[row] = [a - factor * b for a, b in zip(rows[row], rows[pivot], strict=True)]
    shares = [Fraction(0)] * size
    for row in range(size - 1, -1, -1):
        known = sum((rows[row][column] * shares[column] for column in range(row + 1, size)), Fraction(0))
        shares[row] = (rows[row][size] - known) / rows[row][row]
    return [float(share) for share in shares]


def served_within(ahead: int, seconds: float, handled_s: float, seats: int, patience_s: float) -> float:
    """The chance of one with so many waiting before him, by uniformization of the chain of those before him."""
    rates = [seats / handled_s + n / patience_s for n in range(ahead + 1)]
    most = rates[-1] + 1 / patience_s
    chances, served, found = [0.0] * ahead + [1.0], 0.0, 0.0
    weight = math.exp(-most * seconds)
    for n in range(int(most * seconds + 12 * math.sqrt(most * seconds) + 40)):
        found += weight * served
        served += chances[0] * rates[0] / most
        chances = [(chances[k + 1] * rates[k + 1] / most if k < ahead else 0.0)
                   + chances[k] * (1 - (rates[k] + 1 / patience_s) / most) for k in range(ahead + 1)]  # fmt: skip
        weight *= most * seconds / (n + 1)
    return found


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("seconds", [1, 20, 90])
def test_erlang_a_is_its_chain(chain: tuple[Fraction, int, int, int], seconds: int) -> None:
    calls_s, handled_s, seats, patience_s = chain
    shares = stationary(*chain, most=seats + 90)
    found = Leaving(float(calls_s), handled_s, seats, patience_s)
    waiting = sum((n - seats) * share for n, share in enumerate(shares) if n > seats)
    assert found.delayed == pytest.approx(sum(shares[seats:]), abs=1e-9)
    assert found.wait_s == pytest.approx(waiting / float(calls_s), rel=1e-8)
    assert found.abandoned == pytest.approx(waiting / patience_s / float(calls_s), rel=1e-8)
    busy = sum(min(n, seats) * share for n, share in enumerate(shares))
    assert found.occupancy == pytest.approx(busy / seats, rel=1e-8)
    served = sum(shares[:seats]) + sum(
        share * served_within(n, seconds, handled_s, seats, patience_s)
        for n, share in enumerate(shares[seats:]) if share > 1e-14)  # fmt: skip
    assert found.within(seconds) == pytest.approx(served, abs=1e-8)


# ── what must hold ──
@given(rates, handled, seat_counts, st.one_of(st.none(), patiences), st.floats(0, 3600))
@settings(deadline=None)
def test_shares_are_shares(calls_s: float, handled_s: float, seats: int, patience_s: float | None,
                           within: float) -> None:  # fmt: skip
    found = line(calls_s, handled_s, seats, patience_s)
    for share in (found.delayed, found.abandoned, found.occupancy, found.within(within)):
        assert -1e-9 <= share <= 1 + 1e-9
    assert found.wait_s >= 0
    assert found.within(within) <= found.within(within + 10) + 1e-9
    assert found.within(within) <= 1 - found.abandoned + 1e-9


@given(rates, handled, st.integers(1, 200), patiences)
@settings(deadline=None)
def test_what_comes_goes(calls_s: float, handled_s: float, seats: int, patience_s: float) -> None:
    """Served and given up are all; served within any time is all that are ever served; one seat more serves more."""
    found, more = Leaving(calls_s, handled_s, seats, patience_s), Leaving(calls_s, handled_s, seats + 1, patience_s)
    assert found.occupancy * seats == pytest.approx(calls_s * handled_s * (1 - found.abandoned), rel=1e-6)
    assert found.within(1e7) == pytest.approx(1 - found.abandoned, abs=1e-6)
    assert more.wait_s <= found.wait_s + 1e-9
    assert more.within(20) >= found.within(20) - 1e-9


@given(st.integers(1, 60), st.floats(0.3, 0.95), handled, st.floats(0, 600))
@settings(deadline=None)
def test_endless_patience_is_erlang_c(seats: int, busy: float, handled_s: float, within: float) -> None:
    calls_s = seats * busy / handled_s
    patient, leaving = Patient(calls_s, handled_s, seats), Leaving(calls_s, handled_s, seats, 1e8 * handled_s)
    for name in ("delayed", "wait_s", "occupancy"):
        assert getattr(leaving, name) == pytest.approx(getattr(patient, name), rel=1e-4)
    assert leaving.within(within) == pytest.approx(patient.within(within), abs=1e-4)


@given(st.floats(0.001, 2), st.floats(20, 600), st.one_of(st.none(), patiences), st.floats(0.5, 0.95),
       st.floats(5, 60), st.floats(0.5, 1))  # fmt: skip
@settings(deadline=None, max_examples=50)
def test_the_seats_needed_are_the_fewest(calls_s: float, handled_s: float, patience_s: float | None, share: float,
                                         within: float, busy: float) -> None:  # fmt: skip
    target = Target(share, within, busy)
    needed = seats_needed(calls_s, handled_s, patience_s, target)

    def found(seats: int) -> Line:
        return line(calls_s, handled_s, seats, patience_s)

    assert target.met(found(needed))
    assert not target.met(found(needed - 1))


def test_nothing_overflows() -> None:
    """A queue of thousands at hundreds of seats, an endless load, nobody at all."""
    found = Leaving(20, 600, 300, 36_000)
    assert found.abandoned == pytest.approx(1 - 300 / 12_000, rel=1e-6)
    assert found.within(20) < 1e-20
    assert found.delayed == pytest.approx(1)
    assert Patient(1000, 600, 3).wait_s == math.inf
    assert seats_needed(0, 240, None, Target()) == 0
    assert Leaving(0, 240, 3, 60).within(20) == 1
    assert Patient(0, 240, 0).occupancy == Leaving(0, 240, 0, 9).occupancy == 1
    with pytest.raises(BadInput, match="no_such_seats"):
        seats_needed(1000, 600, None, Target())
