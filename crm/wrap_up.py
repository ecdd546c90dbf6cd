"""What a call that is over still lacks: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from crm.appeals import Appeal
from crm.calls import Call
from crm.citizens import Citizen


class Lack(StrEnum):
    """What is missing."""

    OUTCOME = "outcome"  # nobody has said what the call was
    WORD = "word"  # he was to be asked of an appeal, and was not
    PHONE = "phone"  # an appeal of this call has nobody who could be asked whether it is solved


@dataclass(frozen=True, slots=True)
class Missing:
    """``number``: of the appeal that lacks it."""

    lack: Lack
    number: int | None = None


def missing(call: Call | None, *, unasked: Sequence[int], brought: Sequence[Appeal],
            people: Mapping[int, Citizen]) -> list[Missing]:  # fmt: skip
    """In the order in which it is mended. ``unasked``: numbers of the appeals of which the caller's word is awaited;
    ``brought``: the appeals of this call, whose applicants are among ``people``."""
    found = [Missing(Lack.OUTCOME)] if call is not None and call.answered_at is not None and not call.outcome else []
    found += [Missing(Lack.WORD, number) for number in unasked]
    return found + [Missing(Lack.PHONE, one.number) for one in brought
                    if one.citizen_id is not None and not may_be_called(people[one.citizen_id])]  # fmt: skip


def may_be_called(citizen: Citizen) -> bool:
    """Whether there is a number at which he may be called."""
    return not citizen.do_not_call and any(not phone.wrong and not phone.do_not_call for phone in citizen.phones)
