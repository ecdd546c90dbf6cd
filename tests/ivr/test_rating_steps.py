"""How the conversation was, told by the dialplan's step (out of the spool: `test_spool.py`)."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from crm import calls
from crm.errors import BadInput, NotFound
from crm.schema import rating
from ivr.rating_steps import RatingSteps
from tests.ivr.conftest import LINKEDID, NOON, PHONE, City


def scores(city: City) -> list[tuple[str, int, str]]:
    with city.db.read() as conn:
        return [(row.linkedid, row.score, row.seat) for row in conn.execute(select(rating))]


def spoken(city: City) -> None:
    city.write(lambda conn: calls.arrived(conn, LINKEDID, at=NOON, origin="mobile", caller=PHONE))
    city.write(lambda conn: calls.answered(conn, LINKEDID, "101", NOON, None))


async def test_the_key_is_kept_before_he_is_thanked(city: City) -> None:
    spoken(city)
    rate = RatingSteps(city.db, city.writer, lambda: NOON).by_name()["rate"]
    assert await rate([LINKEDID, "4", "", ""], {}) == {}
    assert scores(city) == [(LINKEDID, 4, "101")]
    await rate([LINKEDID, "1"], {})
    assert scores(city) == [(LINKEDID, 4, "101")], "the first stays"


@pytest.mark.parametrize("key", ["", "0", "6", "none"])
async def test_what_is_no_score_is_refused(city: City, key: str) -> None:
    spoken(city)
    rate = RatingSteps(city.db, city.writer, lambda: NOON).rate
    with pytest.raises(BadInput):
        await asyncio.wait_for(rate([LINKEDID, key], {}), 10)
    with pytest.raises(NotFound):
        await rate(["1764000000.99", "5"], {})
    assert scores(city) == []
