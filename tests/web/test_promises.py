"""The page of promised calls, the call that keeps one, and those to be told that we did not reach them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from crm import promises
from crm.confirmation_rules import Reached
from crm.people import Role
from crm.promise_rules import Reason, Rules, State
from crm.promises import Promise
from crm.schema import access_log, edit_log
from tests.web.conftest import CALLER, LINKEDID, Site

RULES = Rules(call_from=0, call_to=1440, tries=1)
OTHER = "+380671112233"


def promised(site: Site, e164: str = CALLER, minutes: int = 5, **given: Any) -> Promise:
    now = datetime.now(UTC)
    with site.db.write() as conn:
        made = promises.make(conn, e164=e164, reason=Reason.WAITING, now=now, since=now - timedelta(minutes=minutes),
                             rules=RULES, **given)  # fmt: skip
    assert made is not None
    return made


def looks(site: Site, what: str) -> list[str]:
    with site.db.read() as conn:
        return list(conn.scalars(select(access_log.c.subject_key).where(access_log.c.what == what)))


async def test_open_ones_stand_in_their_order_and_the_look_is_kept(site: Site) -> None:
    late, early = promised(site), promised(site, OTHER, minutes=50)
    page = await (await site.person(Role.SUPERVISOR)).open("/promises")
    assert page.html.index("67 111 2233") < page.html.index("44 123 4567")
    assert set(looks(site, "promise")) == {str(late.id), str(early.id)}


async def test_who_may_not_see_whom_we_serve_sees_no_number(site: Site) -> None:
    promised(site)
    page = await (await site.person(Role.ANALYST)).open("/promises")
    assert "чекає своєї черги" in page.text
    assert "44 123 4567" not in page.html
    assert looks(site, "promise") == []
    assert not any(form.path.startswith("/promises/") for form in page.forms)


async def test_a_supervisor_withdraws_one_and_says_why(site: Site) -> None:
    desk, made = await site.person(Role.SUPERVISOR), promised(site)
    address = f"/promises/{made.id}"
    assert "Напишіть, чому" in (await desk.post(address, reason=" ")).text
    page = await desk.submit(await desk.open("/promises"), address, reason="помилковий номер")
    assert "скасовано" in page.text
    assert "Нікому зараз дзвінка не обіцяно" in page.text
    with site.db.read() as conn:
        assert promises.get(conn, made.id).state is State.WITHDRAWN
        kept = conn.execute(select(edit_log).where(edit_log.c.what == "promise")).one()
    assert "помилковий номер" in str(kept.after)
    assert site.line.did("changed"), "the line is told, so that he is not called"


async def test_today_in_figures(site: Site) -> None:
    made = promised(site)
    with site.db.write() as conn:
        promises.keep(conn, made.id, datetime.now(UTC))
    page = await (await site.person(Role.SUPERVISOR)).open("/promises")
    assert "Обіцяно сьогодні 1" in page.text
    assert "Виконано 1" in page.text


async def test_the_card_says_that_it_is_a_promised_call_and_how_long_he_has_waited(site: Site) -> None:
    desk = await site.person(Role.OPERATOR)
    made = promised(site, minutes=12)
    site.calling()
    assert "Обіцяний дзвінок" not in (await desk.open(f"/calls/{LINKEDID}")).text
    with site.db.write() as conn:
        promises.meet(conn, made.id, LINKEDID, datetime.now(UTC))
    assert "Обіцяний дзвінок: людина чекає вже 11:4" in (await desk.open(f"/calls/{LINKEDID}")).text


async def test_whom_we_did_not_reach_is_to_be_told_and_then_no_more(site: Site) -> None:
    desk, made = await site.person(Role.FEEDBACK), promised(site)
    with site.db.write() as conn:
        placed = promises.claim(conn, made.id, now=datetime.now(UTC), rules=RULES)
        promises.finish(conn, placed.id, Reached.NO_ANSWER, datetime.now(UTC), rules=RULES)
        (told,) = promises.to_tell(conn)
    page = await desk.open("/notices")
    assert "44 123 4567" in page.html
    assert looks(site, "promise") == [str(made.id)]
    page = await desk.submit(page, f"/notices/{told.id}")
    assert "44 123 4567" not in page.html
