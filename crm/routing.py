"""Who is responsible: by subject and place, by rules that the city edits. Pure.

Of the rules that fit, the one with the narrowest place wins, then the one with the narrowest subject. Where none
fits, the subject's own department is responsible; where nobody is, a desk that has a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Rule:
    """``subject_id`` stands for all below it too; what is None is not asked."""

    id: int
    subject_id: int | None
    district_id: int | None
    network_id: int | None
    building_id: int | None
    department_id: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is, as far as that is known."""

    building_id: int | None = None
    district_id: int | None = None
    network_ids: frozenset[int] = frozenset()


class Reason(StrEnum):
    RULE = "rule"
    SUBJECT = "subject"  # the subject's own department
    SUPERIOR = "superior"  # the one complained of is not asked about itself
    DESK = "desk"  # nobody else


@dataclass(frozen=True, slots=True)
class Decision:
    department_id: int
    reason: Reason
    rule: Rule | None = None


@dataclass(frozen=True, slots=True)
class Office:
    """What routing must know of a department."""

    id: int
    superior_id: int | None
    active: bool
    is_desk: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """One edition of the rules, with the departments and the subjects (id → its chain, itself first) they speak of."""

    rules: Sequence[Rule] = ()
    offices: Mapping[int, Office] = field(default_factory=dict)
    chains: Mapping[int, Sequence[int]] = field(default_factory=dict)
    own: Mapping[int, int] = field(default_factory=dict)  # subject → its department
    version_id: int | None = None

    @property
    def by_network(self) -> bool:
        """Whether any rule asks for the building's networks."""
        return any(rule.network_id is not None for rule in self.rules)


def decide(rules: Rules, subject_id: int, place: Place, against_id: int | None = None) -> Decision:
    """Who is responsible. ``against_id``: whom the appeal complains of, who never gets it.

    KeyError for a subject that the rules do not know.
    """
    chain = rules.chains[subject_id]
    fitting = [rule for rule in rules.rules if _fits(rule, chain, place)]
    best = max(fitting, key=lambda rule: _narrowness(rule, chain), default=None)
    decision = (Decision(best.department_id, Reason.RULE, best) if best is not None
                else Decision(rules.own[subject_id], Reason.SUBJECT))  # fmt: skip
    office = rules.offices.get(decision.department_id)
    if office is not None and office.id == against_id:
        office = rules.offices.get(office.superior_id) if office.superior_id is not None else None
        decision = Decision(office.id, Reason.SUPERIOR, best) if office is not None else decision
    if office is None or not office.active or office.id == against_id:
        return Decision(_desk(rules, against_id, decision.department_id), Reason.DESK, best)
    return decision


def _fits(rule: Rule, chain: Sequence[int], place: Place) -> bool:
    return (
        (rule.subject_id is None or rule.subject_id in chain)
        and (rule.building_id is None or rule.building_id == place.building_id)
        and (rule.network_id is None or rule.network_id in place.network_ids)
        and (rule.district_id is None or rule.district_id == place.district_id)
    )


def _narrowness(rule: Rule, chain: Sequence[int]) -> tuple[int, int, int]:
    where = 3 if rule.building_id is not None else 2 if rule.network_id is not None else int(bool(rule.district_id))
    what = 0 if rule.subject_id is None else len(chain) - chain.index(rule.subject_id)
    return where, what, -rule.id


def _desk(rules: Rules, against_id: int | None, otherwise: int) -> int:
    desks = [office.id for office in rules.offices.values() if office.is_desk and office.id != against_id]
    return min(desks, default=otherwise)
