"""The rules that the city may set: as the code has them where it does not, and refused where they make no sense."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from call_queue import order, surge_rules
from call_queue.surge_rules import Load, Sign
from centre.settings import Settings
from crm import promise_rules
from crm.calls import Priority


def test_what_is_not_set_is_as_the_rules_are() -> None:
    settings = Settings()
    assert (settings.turns, settings.surge_rules, settings.promise_rules) == (
        order.Rules(), surge_rules.Rules(), promise_rules.Rules())  # fmt: skip


def test_head_starts_and_a_surges_bounds_are_the_citys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CENTRE_TURN_EMERGENCY", "14400")
    monkeypatch.setenv("CENTRE_SURGE_LONGEST", "[20, 40]")
    settings = Settings()
    assert settings.turns.head_start_s[Priority.EMERGENCY] == 4 * 3600
    load = Load(arrived=0, ended=0, abandoned=0, seats=3, handled_s=180.0, longest_s=50.0)
    proposal = surge_rules.proposed(load, False, None, settings.surge_rules)
    assert proposal is not None
    assert proposal.signs == (Sign.LONGEST,)


@pytest.mark.parametrize("wrong", [{"turn_emergency": -1}, {"turn_privileged": 10**6}, {"surge_longest": (60, 20)},
                                   {"surge_abandoned": (-0.1, 0.2)}, {"surge_arrivals": (1,)}])  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)  # type: ignore[arg-type]
