"""A city's people, houses and appeals, drawn at random and the same for the same seed."""

from __future__ import annotations

import tomllib
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Connection, select

from crm.addresses import fold_number
from crm.schema import building, street, subject

LETTERS = ("", "", "", "-А", "", "", "/2", "", "-Б", "")  # after the number, by turns
CONSENTING, PRIVILEGED = 0.4, 0.06


@dataclass(frozen=True, slots=True)
class House:
    """A building that may not be: the street and its district are real, the number is a sample."""

    street_id: int
    district_id: int
    number: str
    folded: str


@dataclass(frozen=True, slots=True)
class Resident:
    name: str
    e164: str
    flat: str
    auto_confirm: bool
    privileged: bool


@dataclass(frozen=True, slots=True)
class SampleAppeal:
    subject_id: int
    text: str
    channel: str


@cache
def phrases() -> dict[str, Any]:
    """The catalogue."""
    return tomllib.loads((Path(__file__).parent / "phrases.toml").read_text("utf-8"))


def houses(conn: Connection, count: int) -> Iterator[House]:
    """So many more houses on the streets that there are, spread over all of them, with numbers that are not taken."""
    rows = conn.execute(select(building.c.street_id, building.c.district_id, building.c.folded)).all()
    districts = {row.street_id: row.district_id for row in rows}
    taken = {(row.street_id, row.folded) for row in rows}
    streets = [id for id in conn.execute(select(street.c.id).order_by(street.c.id)).scalars() if id in districts]
    made = number = 0
    while made < count:
        number += 1
        for street_id in streets:
            spelled = f"{number}{LETTERS[(number + street_id) % len(LETTERS)]}"
            folded = fold_number(spelled)
            if (street_id, folded) not in taken and made < count:
                made += 1
                yield House(street_id, districts[street_id], spelled, folded)


def residents(seed: int, count: int) -> Iterator[Resident]:
    """So many people, each with a telephone number of his own."""
    random, said = Random(seed), phrases()  # noqa: S311  # no secret
    prefixes = said["prefixes"]
    for at in range(count):
        names = said["names"]["women" if random.random() < 0.6 else "men"]
        name = f"{random.choice(names['last'])} {random.choice(names['first'])} {random.choice(names['father'])}"
        lap, turn = divmod(at, len(prefixes))
        digits = (lap * 7_654_321 + seed) % 10_000_000  # no two people of one prefix share one
        yield Resident(name, f"+380{prefixes[turn]}{digits:07}", str(random.randint(1, 160)),
                       random.random() < CONSENTING, random.random() < PRIVILEGED)  # fmt: skip


class SampleCity:
    """What its people complain of, in the shares of the city's own report, by the subjects of this database."""

    def __init__(self, conn: Connection, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311  # no secret
        said = phrases()
        rows = conn.execute(select(subject.c.id, subject.c.parent_id, subject.c.name_uk)
                            .where(subject.c.active).order_by(subject.c.id)).all()  # fmt: skip
        parents = {row.id: row.parent_id for row in rows}
        names = {row.id: row.name_uk for row in rows}
        groups = set(parents.values())
        self.branch_of: dict[int, str] = {}  # subject → its branch in the catalogue
        below: dict[str, list[int]] = {one["branch"]: [] for one in said["branches"]}
        for row in rows:
            at: int | None = row.id
            while at is not None and names.get(at) not in below:
                at = parents.get(at)
            if at is not None and row.id not in groups:
                below[names[at]].append(row.id)
                self.branch_of[row.id] = names[at]
        self._branches = {one["branch"]: one for one in said["branches"] if below[one["branch"]]}
        if not self._branches:
            raise LookupError("none of the catalogue's branches is among the subjects")
        self._openings = {id: said["said"].get(names[id], [names[id]]) for id in self.branch_of}
        self._below = below
        # What many suffer at once, by the names of the catalogue; of a city that has none of them, anything.
        self.failures = [id for id in self.branch_of if names[id] in said["failures"]] or list(self.branch_of)
        self._general = said["general"]
        self._channels, self._channel_weights = list(said["channels"]), _cumulative(said["channels"].values())
        self._by_month = [self._weights(month) for month in range(12)]

    def _weights(self, month: int) -> tuple[list[str], list[float]]:
        shares: Mapping[str, float] = {name: one["share"] * one.get("season", [1.0] * 12)[month]
                                       for name, one in self._branches.items()}  # fmt: skip
        return list(shares), _cumulative(shares.values())

    def appeal(self, month: int, subject_id: int | None = None) -> SampleAppeal:
        """One appeal of that month (1 to 12), about ``subject_id`` if it is given."""
        if subject_id is None:
            branch = self._pick(*self._by_month[month - 1])
            # The first of a branch are what most complain of.
            mine = self._below[branch]
            subject_id = mine[int(len(mine) * self._random.random() ** 2)]
        else:
            branch = self.branch_of[subject_id]
        details = self._branches[branch]["details"] if self._random.random() < 0.5 else self._general["details"]
        parts = (self._choice(self._openings[subject_id]) + ".", self._choice(details),
                 self._choice(self._general["requests"]))  # fmt: skip
        return SampleAppeal(subject_id, " ".join(part for part in parts if part),
                            self._pick(self._channels, self._channel_weights))  # fmt: skip

    def said(self, what: str, subject_id: int | None = None) -> str:
        """A phrase of the catalogue's general part, or (``done``) of the subject's branch."""
        known = self._branches[self.branch_of[subject_id]] if subject_id in self.branch_of else {}
        return self._choice(known.get(what, self._general[what]))

    def _choice(self, of: Sequence[str]) -> str:
        return of[int(self._random.random() * len(of))]

    def _pick(self, of: Sequence[str], cumulative: Sequence[float]) -> str:
        return of[bisect(cumulative, self._random.random() * cumulative[-1], 0, len(of) - 1)]


def _cumulative(weights: Any) -> list[float]:
    return list(accumulate(weights))
