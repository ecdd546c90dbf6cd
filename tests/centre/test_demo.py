"""The demo's cast: whoever plays in it lives in the sample city, and there is one by each way in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from centre.demo import people
from centre.demo.story import KIOSK_AT
from crm import addresses, departments, seed
from crm.appeals import CHANNELS
from crm.store import Database

# By hand there comes one; a voice that is left is a call's.
BY_HAND = {"visit", "tv", "paper"}


async def test_one_resident_comes_by_each_way_and_all_live_in_the_sample_city(sqlite_url: str, tmp_path: Path) -> None:
    who_write, who_call = people.writers(), people.cast(10)
    assert set(who_write) == {*CHANNELS, "voice"} - BY_HAND - {"phone"} | {"visit"}
    assert len({who.name for who in (*who_call, *who_write.values())}) == len(who_call) + len(who_write)
    db = Database(sqlite_url)
    with db.write() as conn:
        seed.load_seed(conn, datetime.now(UTC))
        subjects = {each.name_uk for each in departments.subjects(conn) if each.leaf}
        for who in (*who_call, *who_write.values()):
            assert who.subject in subjects, who.name
            found = addresses.suggest(conn, who.address)
            assert len(found) == (0 if who.address == KIOSK_AT else 1), who.name
    db.close()
