"""Who is not a trunk and not a seat is nobody and learns nothing; a trunk reaches the short number and nothing else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest

from centre.phones import PhoneError, SeatPhone

STRANGER = "127.0.0.3"
SEATS = "127.0.0.4"
METHODS = ("REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE")


@pytest.fixture(scope="module")
def closed(exchanges: Callable[..., Any]) -> Any:
    """Seats in a network of their own, apart from the trunks'."""
    return exchanges(seat_networks=[f"{SEATS}/32"])


@pytest.fixture(params=["open", "closed"])
def either(request: pytest.FixtureRequest, running: Any) -> Any:
    """Both the default, where a seat may be anywhere on this machine, and closed networks."""
    return running if request.param == "open" else request.getfixturevalue("closed")


def without_ids(answer: bytes, user: str) -> bytes:
    """An answer without what differs in any two: ids, nonces, and the name that was asked about."""
    answer = answer.replace(user.encode(), b"USER")
    answer = re.sub(rb"(branch=|tag=|nonce=\"|opaque=\"|Call-ID: |rport=|received=)[^;\",\r]*", rb"\1-", answer)
    return re.sub(rb"(127\.0\.0\.\d:)\d+", rb"\1PORT", answer)


async def answers(exchange: Any, user: str, host: str) -> dict[str, bytes]:
    """What is answered to each method in this name: at once, and with a wrong password."""
    found = {}
    wrong = (f'Authorization: Digest username="{user}", realm="asterisk", nonce="1/2", uri="sip:x", '
             'response="00000000000000000000000000000000", algorithm=MD5, cnonce="1", qop=auth, nc=00000001').encode()
    async with exchange.wire(host) as wire:
        for method in METHODS:
            for headers in ([], [wrong]):
                name = f"<sip:{user}@{host}>".encode()
                request = wire.request(method, sender=name, to=name if method == "REGISTER" else b"", headers=headers)
                found[f"{method} {len(headers)}"] = without_ids(await wire.ask(request), user)
    return found


async def test_no_answer_tells_whether_a_name_exists(either: Any) -> None:
    exists = either.secrets.seats["101"].sip_user
    known = await answers(either, exists, STRANGER)
    assert {answer.split()[1] for answer in known.values()} <= {b"401", b"403"}
    for user in ("seat101-zzzzzz", "nobody", "trunk-landline", "trunk", "101"):
        assert await answers(either, user, STRANGER) == known


async def test_a_stranger_is_nobody_whatever_he_calls_himself(either: Any) -> None:
    seat = either.secrets.seats["101"].sip_user
    for user in ("trunk-landline", "trunk-mobile", "trunk", "101", seat, "1551", "asterisk"):
        async with either.wire(STRANGER) as wire:
            for dialled in ("1551", "101", "*10", "s"):
                answer = await wire.ask(wire.request("INVITE", dialled, sender=f"<sip:{user}@127.0.0.1>".encode()))
                assert answer.split()[1] in (b"401", b"403"), (user, dialled)
    assert either.channels() == 0


async def test_a_wrong_password_is_refused(running: Any) -> None:
    seat = running.secrets.seats["103"].sip_user  # no other scenario signs it in
    phone = SeatPhone(running.sip, seat, "wrong")
    with pytest.raises(PhoneError, match="WWW-Authenticate"):
        await phone.__aenter__()
    assert seat not in running.asterisk.rx("pjsip show contacts")


async def test_a_citizen_may_look_like_a_seat(exchange: Any, closed: Any) -> None:
    """With networks apart even who sends a seat's very name from the trunk is a citizen."""
    lookalikes = [(exchange, "101"), (exchange, "seat101-000000"), (exchange, "trunk-mobile"), (closed, "101"),
                  *((closed, seat.sip_user) for seat in closed.secrets.seats.values())]  # fmt: skip

    async def served(where: Any, number: str) -> None:
        async with where.caller(number) as caller:
            await caller.media.hear(where.prompt("menu"))
            await caller.hang_up()

    await asyncio.gather(*(served(where, number) for where, number in lookalikes))
    await closed.idle()


async def test_a_seat_of_a_closed_network_works(closed: Any) -> None:
    async with closed.seat("101", host=SEATS) as seat, seat.dials("*10") as call:
        await call.ended()
        assert call.media.has_heard(closed.prompt("beep"))
    with pytest.raises(PhoneError, match="403"):
        await closed.seat("101", host=STRANGER).__aenter__()
    closed.log_out("101")


INSIDE = ("0102", "102", "to102", "call-outside", "+380441234567", "00380441234567", "to+380441234567",
          "callback-live", "callback-auto", "*10", "101", "s",
          "h", "i", "T", "dial", "from-seat", "155", "15510", "1551%0d%0a", "1551,1", "")  # fmt: skip


async def test_a_trunk_reaches_our_numbers_and_nothing_else(exchange: Any) -> None:
    """Above all not the way out: nothing is dialled on the trunks."""
    async with exchange.outside() as outside, exchange.ami() as ami:
        for source in ("127.0.0.1", "127.0.0.2"):
            async with exchange.wire(source) as wire:
                for dialled in (*INSIDE, exchange.secrets.seats["101"].sip_user):
                    answer = await wire.ask(wire.request("INVITE", dialled))
                    assert b"400" <= answer.split()[1] < b"500", dialled
        await ami.ask("Ping")
        assert not [event for event in ami.events if event[0] == "Event: DialBegin"]
        assert outside.called() == []


async def test_a_seat_does_not_reach_the_world(exchange: Any) -> None:
    """With us away it reaches the emergency services, and nobody else."""
    async with exchange.seat("101") as seat, exchange.outside() as outside:
        for dialled in ("to+380441234567", "to102", "callback-live", "trunk-landline", "s", "0105", "01021",
                        "044123456", "+38044123", "+"):  # fmt: skip
            with pytest.raises(PhoneError, match="404"):
                async with seat.dials(dialled) as call:
                    await call.ended()
        for dialled in ("+380441234567", "0441234567", "380441234567", "+48123456789", "+380441234567%26x"):
            async with seat.dials(dialled) as call:
                await call.media.hear(exchange.prompt("dial-refused"))
                await call.ended()
        assert outside.called() == []
        outside.media.speak(exchange.voice("service"))
        async with seat.dials("0102") as call:
            await call.media.hear(exchange.says("service"))
            await call.hang_up()
        assert outside.called() == ["102"]


async def test_a_resident_cannot_transfer(exchange: Any) -> None:
    async with exchange.caller() as caller, exchange.wire() as wire:
        await exchange.to_queue(caller)
        name, theirs, ours = re.fullmatch(r"(.*);to-tag=(.*);from-tag=(.*)", caller.dialogue()).groups()  # type: ignore[union-attr]
        refer = wire.request("REFER", sender=b"<sip:+380441234567@127.0.0.1>", call=name, cseq=5,
                             to=f"<sip:1551@127.0.0.1>;tag={theirs}".encode(),
                             headers=[b"Refer-To: <sip:101@127.0.0.1>"])  # fmt: skip
        answer = await wire.ask(refer.replace(b"tag=us", f"tag={ours}".encode()))
        assert answer.split()[1] in (b"403", b"603")
        await exchange.queued(1)
        await caller.hang_up()
