"""The crowd's closing table: in both languages, and what is not as it was foreseen is named."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from centre.demo.crowd import TOLERANCE, Outcome, table, unforeseen

FORESEEN = Outcome(called=40, served=32, joined=7, promised=17, kept=17, forgotten=0, held_s=25, p95_s=64, over_s=148)


def test_what_is_farther_apart_than_it_may_be_is_named() -> None:
    assert unforeseen(FORESEEN, FORESEEN) == []
    assert unforeseen(replace(FORESEEN, served=30, promised=20, held_s=29, p95_s=75, over_s=170), FORESEEN) == []
    off = replace(FORESEEN, served=25, kept=9, forgotten=1, held_s=60)
    assert unforeseen(off, FORESEEN) == ["served", "kept", "forgotten", "held_s"]
    assert TOLERANCE.keys() == {one.name for one in fields(Outcome)} - {"called"}


@pytest.mark.parametrize(("language", "label", "verdict"), [
    ("uk", "Чекали й лишилися ні з чим", "Інакше, ніж передбачено: Чекали й лишилися ні з чим."),
    ("en", "Waited and were left with nothing", "Not as foreseen: Waited and were left with nothing.")])  # fmt: skip
def test_the_table_is_read_by_a_supervisor(language: str, label: str, verdict: str) -> None:
    columns = dict.fromkeys(("happened", "foreseen", "queue", "plain"), FORESEEN)
    lines = table(columns, ["forgotten"], language).splitlines()
    assert [line.split()[-4:] for line in lines if line.startswith(label)] == [["0"] * 4]
    assert len(lines) == 1 + 1 + len(fields(Outcome)) + 1 + 1
    assert lines[-1] == verdict
    assert table(columns, [], language).splitlines()[-1] != verdict
