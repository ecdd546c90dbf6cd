"""Keys of other programs in the console: made and shown once, changed as they were seen, switched off."""

from __future__ import annotations

import re

from sqlalchemy import select

from crm import api_keys, edits, schema
from crm.people import Role
from tests.web.conftest import Desk, Site


async def make(desk: Desk, name: str, **said: str) -> str:
    """The key that is shown."""
    page = await desk.submit(await desk.open("/rules/keys/new"), "/rules/keys/new", name=name, **said)
    assert page.status == 200, page.text
    return next(word for word in re.findall(r"[\w-]{43}", page.text))


async def test_a_key_is_shown_once_and_known_by_its_beginning_alone(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    key = await make(desk, "Застосунок міста", channel="mobile", hourly_cap="250")
    with site.db.read() as conn:
        its = api_keys.of(conn, key)
        rows = [*conn.execute(select(schema.api_key)), *conn.execute(select(schema.edit_log))]
    assert its is not None
    assert (its.name, its.channel, its.hourly_cap, its.begins) == ("Застосунок міста", "mobile", 250, key[:8])
    assert key not in str(rows)
    for path in ("/rules/keys", f"/rules/keys/{its.id}"):
        page = await desk.open(path)
        assert key[:8] in page.text
        assert key not in page.text


async def test_a_key_is_changed_as_it_was_seen_and_switched_off(site: Site) -> None:
    desk, other = await site.person(Role.CONTROL), await site.person(Role.CONTROL, "second")
    key = await make(desk, "Застосунок")
    with site.db.read() as conn:
        its = api_keys.keys(conn)[0]
    path = f"/rules/keys/{its.id}"
    seen = await other.open(path)
    off = next(form for form in seen.forms if form.path == path).fields
    answer = await desk.post(path, **{name: value for name, value in off.items() if name not in ("csrf", "active")})
    assert answer.status_code == 303, answer.text
    with site.db.read() as conn:
        assert api_keys.of(conn, key) is None
        assert [edit.after for edit in edits.recent(conn, ("api_key",), 1)] == [{"active": False}]
    assert "вимкнено" in (await desk.open("/rules/keys")).text
    late = await other.submit(seen, path, name="Інша")
    assert late.status == 409


async def test_what_cannot_be_a_key_is_told_on_the_form(site: Site) -> None:
    desk = await site.person(Role.CONTROL)
    await make(desk, "Застосунок")
    for said, words in (({"name": " "}, "чия це програма"), ({"name": "Застосунок"}, "вже є"),
                        ({"hourly_cap": "багато"}, "число звернень"), ({"hourly_cap": "999999"}, "100000")):
        page = await desk.submit(await desk.open("/rules/keys/new"), "/rules/keys/new", **{"name": "Інша", **said})
        assert page.status == 422
        assert words in page.text, page.text
    assert (await desk.open("/rules/keys/99")).status == 404
