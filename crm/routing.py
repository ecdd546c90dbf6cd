"""Who is responsible: by subject and place, by rules that the city edits. Pure.

Of the rules that fit, the one with the narrowest place wins, then the one with the narrowest subject, then the older.
Where none fits, the subject's own department is responsible. Who is so chosen but works no more, or is outside the
city, or would judge itself (a complaint never goes to the body complained of, nor to one below it), is passed over for
its superior; where no superior can take it, a desk that has a name does. Nothing is unroutable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from crm.errors import BadInput


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
    SUPERIOR = "superior"  # of who cannot take it
    DESK = "desk"  # nobody else


class Lost(StrEnum):
    """Why a rule that fits does not decide: another has…"""

    PLACE = "place"  # a narrower place
    SUBJECT = "subject"  # the same width of place, a narrower subject
    LATER = "later"  # both the same, and is older


class Unable(StrEnum):
    """Why a department cannot take an appeal."""

    UNKNOWN = "unknown"
    INACTIVE = "inactive"
    OUTSIDE = "outside"
    AGAINST = "against"  # it is complained of
    UNDER = "under"  # one above it is complained of


@dataclass(frozen=True, slots=True)
class Decision:
    department_id: int
    reason: Reason
    rule: Rule | None = None  # the one that fitted best, if any did


@dataclass(frozen=True, slots=True)
class Explained:
    """A decision, with the other rules that fit, best first, and the departments that were passed over, in order."""

    decision: Decision
    lost: tuple[tuple[Rule, Lost], ...]
    passed: tuple[tuple[int, Unable], ...]


@dataclass(frozen=True, slots=True)
class Office:
    """What routing must know of a department. ``outside``: of the city's competence."""

    id: int
    superior_id: int | None
    active: bool
    is_desk: bool = False
    outside: bool = False


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

    KeyError for a subject that the rules do not know; BadInput when there is no active department in the city but the
    one complained of.
    """
    return explain(rules, subject_id, place, against_id).decision


def explain(rules: Rules, subject_id: int, place: Place, against_id: int | None = None) -> Explained:
    """What would happen to such an appeal, and why. Errors as ``decide``."""
    chain = rules.chains[subject_id]
    fitting = sorted((rule for rule in rules.rules if _fits(rule, chain, place)),
                     key=lambda rule: _narrowness(rule, chain), reverse=True)  # fmt: skip
    best = fitting[0] if fitting else None
    chosen = best.department_id if best is not None else rules.own[subject_id]
    taker, passed = _upwards(rules, chosen, against_id)
    if taker is None:
        decision = Decision(_desk(rules, against_id), Reason.DESK, best)
    elif taker != chosen:
        decision = Decision(taker, Reason.SUPERIOR, best)
    else:
        decision = Decision(taker, Reason.SUBJECT if best is None else Reason.RULE, best)
    return Explained(decision, tuple((rule, _lost(rule, fitting[0], chain)) for rule in fitting[1:]), tuple(passed))


def unable(rules: Rules, department_id: int, against_id: int | None = None) -> Unable | None:
    """Why this department cannot take an appeal, or None if it can. ``against_id``: whom the appeal complains of."""
    office = rules.offices.get(department_id)
    if office is None:
        return Unable.UNKNOWN
    if judges_itself(rules, department_id, against_id):
        return Unable.AGAINST if department_id == against_id else Unable.UNDER
    return Unable.INACTIVE if not office.active else Unable.OUTSIDE if office.outside else None


def judges_itself(rules: Rules, department_id: int, against_id: int | None) -> bool:
    """Whether it, or one above it, is what the appeal complains of."""
    return against_id is not None and against_id in _above(rules, department_id)


def _upwards(rules: Rules, chosen: int, against_id: int | None) -> tuple[int | None, list[tuple[int, Unable]]]:
    """The first of the chosen one and those above it that can take the appeal; and who could not, and why."""
    passed: list[tuple[int, Unable]] = []
    for department_id in _above(rules, chosen):
        why = unable(rules, department_id, against_id)
        if why is None:
            return department_id, passed
        passed.append((department_id, why))
    return None, passed


def _above(rules: Rules, department_id: int) -> list[int]:
    """The department, its superior, the superior's and so on; one that is above itself ends where it begins again."""
    above: list[int] = []
    at: int | None = department_id
    while at is not None and at not in above:
        above.append(at)
        at = rules.offices[at].superior_id if at in rules.offices else None
    return above


def _desk(rules: Rules, against_id: int | None) -> int:
    """Who takes what nobody is responsible for: a desk; where there is none that may, whoever has no superior, then
    anybody; and one below the body complained of only where all others are."""

    def fitness(office: Office) -> tuple[bool, bool, bool, int]:
        under = unable(rules, office.id, against_id) is Unable.UNDER
        return under, not office.is_desk, office.superior_id is not None, office.id

    those = [office for office in rules.offices.values()
             if office.active and not office.outside and office.id != against_id]  # fmt: skip
    if not those:
        raise BadInput("routing.nobody")
    return min(those, key=fitness).id


def _fits(rule: Rule, chain: Sequence[int], place: Place) -> bool:
    return (
        (rule.subject_id is None or rule.subject_id in chain)
        and (rule.building_id is None or rule.building_id == place.building_id)
        and (rule.network_id is None or rule.network_id in place.network_ids)
        and (rule.district_id is None or rule.district_id == place.district_id)
    )


def _narrowness(rule: Rule, chain: Sequence[int]) -> tuple[int, int, int]:
    """How narrow its place is, how narrow its subject, and the older first."""
    where = (rule.building_id is not None, rule.network_id is not None, rule.district_id is not None)
    what = 0 if rule.subject_id is None else len(chain) - chain.index(rule.subject_id)
    return 3 - where.index(True) if any(where) else 0, what, -rule.id


def _lost(rule: Rule, best: Rule, chain: Sequence[int]) -> Lost:
    its, bests = _narrowness(rule, chain), _narrowness(best, chain)
    return Lost.PLACE if its[0] < bests[0] else Lost.SUBJECT if its[1] < bests[1] else Lost.LATER
