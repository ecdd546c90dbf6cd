"""AMI against a scripted Asterisk: what it may do to us, and what we must never do to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from call_queue.ami import (
    LONGEST,
    LONGEST_LINE,
    Ami,
    Answer,
    Denied,
    Down,
    Gap,
    NotSent,
    Raw,
    Refused,
    Stream,
    Unanswered,
    Up,
    parse,
    serialize,
    variable,
)
from crm.errors import BadInput
from tests.call_queue.conftest import LIMIT, FakeAsterisk, Session, event, message, says, take, until

Connect = Callable[..., Ami]


async def up(ami: Ami) -> None:
    async with asyncio.timeout(LIMIT):
        await ami.wait_up()


# ── the connection ──
async def test_it_logs_in_and_asks(asterisk: FakeAsterisk, connect: Connect) -> None:
    ami = connect()
    first, before = await take(ami.stream, Up)
    assert (first.user, before, ami.up, ami.lost) == ("line", [], True, 0)
    assert (await ami.ask("CoreStatus"))["CoreCurrentCalls"] == "0"
    [login] = asterisk.asked("Login")
    assert (login["Username"], login["Secret"], login["Events"]) == ("line", "right", "on")


async def test_it_is_not_up_before_asterisk_has_booted(asterisk: FakeAsterisk, connect: Connect) -> None:
    asterisk.answers["Login"] = says("Success", ("Message", "Authentication accepted"))
    ami = connect()
    await until(lambda: bool(asterisk.asked("Login")))
    with pytest.raises(NotSent):
        await ami.ask("CoreStatus")
    asterisk.session.send(b"\r\n" + message(("Event", "FullyBooted"), ("Status", "Fully Booted")))
    await up(ami)


async def test_a_user_who_is_not_told_of_booting_does_not_wait_for_it(asterisk: FakeAsterisk, connect: Connect) -> None:
    asterisk.answers["Login"] = says("Success", ("Message", "Authentication accepted"))
    await up(connect(waits_for_boot=False))


async def test_letters_cut_in_two_by_a_segment_are_whole(asterisk: FakeAsterisk, connect: Connect) -> None:
    ami = connect()
    await take(ami.stream, Up)
    whole = event("UserEvent", UserEvent="Recording", File="Київ, вулиця Їжакевича 😀")
    mark = event("UserEvent", UserEvent="mark")
    for cut in range(1, len(whole)):
        asterisk.session.send(mark + whole[:cut])
        await take(ami.stream, Raw)  # so the beginning has been read, and the rest has not been sent
        asterisk.session.send(whole[cut:])
        raw, _ = await take(ami.stream, Raw)
        assert raw.headers["File"] == "Київ, вулиця Їжакевича 😀"
    assert ami.lost == 0


async def test_a_silent_peer_is_noticed_and_connected_to_again(asterisk: FakeAsterisk, connect: Connect) -> None:
    ami = connect(ping_s=0.2)
    await take(ami.stream, Up)
    del asterisk.answers["Ping"]
    down, before = await take(ami.stream, Down)
    assert (down.user, before) == ("line", [])
    asterisk.answers["Ping"] = says("Success", ("Ping", "Pong"))
    await take(ami.stream, Up)
    assert ami.up
    assert len(asterisk.sessions) > 1


async def test_who_still_talks_is_not_given_up_for_an_answer_that_is_on_its_way(
    asterisk: FakeAsterisk, connect: Connect
) -> None:
    """A loop that was busy finds its ping unanswered, though the answer has come: it stands after the events."""
    del asterisk.answers["Ping"]
    ami = connect(ping_s=0.2)
    await take(ami.stream, Up)
    pings = 0
    async with asyncio.timeout(LIMIT):
        while asterisk.session.began + 1.5 > asyncio.get_running_loop().time():  # several pings' time
            asterisk.session.send(event("UserEvent", UserEvent="tick"))
            await asyncio.sleep(0.01)
            pings = len(asterisk.asked("Ping"))
    assert pings
    assert (ami.up, ami.lost) == (True, 0)


async def test_an_action_has_a_time_limit_and_its_late_answer_is_nobodys(
    asterisk: FakeAsterisk, connect: Connect
) -> None:
    ami = connect()
    await up(ami)
    with pytest.raises(Unanswered):
        await ami.ask("QueueAdd", {"Queue": "city"}, patience_s=0.05)
    says("Success", ("Message", "too late"))(asterisk.session, asterisk.asked("QueueAdd")[0])
    assert "Message" not in await ami.ask("CoreStatus")
    assert (ami.up, ami.lost) == (True, 0)


async def test_an_unanswered_action_is_never_sent_again(asterisk: FakeAsterisk, connect: Connect) -> None:
    ami = connect()
    await take(ami.stream, Up)
    asking = asyncio.create_task(ami.ask("Originate", {"Channel": "PJSIP/x"}, action_id="cb-1", patience_s=LIMIT))
    await until(lambda: bool(asterisk.asked("Originate")))
    asterisk.session.drop()
    with pytest.raises(Unanswered):
        await asking
    await take(ami.stream, Down)
    await take(ami.stream, Up)
    await ami.ask("CoreStatus")  # whatever was sent before it has been read
    assert len(asterisk.asked("Originate")) == 1


async def test_nothing_is_sent_without_a_connection(asterisk: FakeAsterisk, connect: Connect) -> None:
    ami = connect()
    with pytest.raises(NotSent):
        await ami.ask("Originate")
    with pytest.raises(NotSent):
        ami.ask_in_stream("QueueStatus")
    await up(ami)
    await ami.ask("CoreStatus")
    assert not asterisk.asked("Originate")


async def test_a_refusal_says_why(asterisk: FakeAsterisk, connect: Connect) -> None:
    asterisk.answers["Command"] = says("Error", ("Message", "Permission denied"))
    ami = connect()
    await up(ami)
    with pytest.raises(Refused) as refused:
        await ami.ask("Command", {"Command": "core stop now"})
    assert refused.value.details["reason"] == "Permission denied"


async def test_what_cannot_be_written_is_not_sent(asterisk: FakeAsterisk, connect: Connect) -> None:
    ami = connect()
    await up(ami)
    with pytest.raises(BadInput):
        await ami.ask("Originate", {"CallerID": "x\r\nAction: Command\r\nCommand: core stop now"})
    await ami.ask("CoreStatus")
    assert {headers["Action"] for headers in asterisk.actions} == {"Login", "CoreStatus"}


async def test_a_wrong_password_is_told_and_tried_ever_more_slowly(asterisk: FakeAsterisk, connect: Connect) -> None:
    ami = connect(secret="wrong", backoff_s=(0.05, 0.4))
    for _ in range(5):
        denied, before = await take(ami.stream, Denied)
        assert (denied.user, before) == ("line", [])
    began = [session.began for session in asterisk.sessions]
    pauses = [later - sooner for sooner, later in pairwise(began)]
    assert not ami.up
    for pause, least in zip(pauses, (0.05, 0.1, 0.2, 0.4), strict=False):
        assert pause > least * 0.9
    asterisk.answers["Login"] = says("Success")  # the administrator has mended it
    await until(lambda: len(asterisk.sessions) > 5)
    asterisk.session.send(message(("Event", "FullyBooted")))
    await up(ami)


async def test_an_originate_queued_without_async_keeps_the_connection(asterisk: FakeAsterisk, connect: Connect) -> None:
    asterisk.answers["Originate"] = says("Success", ("Message", "Originate successfully queued"))
    ami = connect()
    await take(ami.stream, Up)
    answer = await ami.ask("Originate", {"Channel": "PJSIP/100@trunk-mobile"}, action_id="cb-7")
    assert answer["Message"] == "Originate successfully queued"
    asterisk.session.send(message(("Event", "OriginateResponse"), ("Privilege", "call,all"), ("ActionID", "cb-7"),
                                  ("Response", "Failure"), ("Reason", "5"), ("Uniqueid", "<null>")))  # fmt: skip
    raw, _ = await take(ami.stream, Raw)
    assert (raw.headers["ActionID"], raw.headers["Reason"]) == ("cb-7", "5")
    assert ami.lost == 0


async def test_an_event_of_an_action_is_not_its_answer(asterisk: FakeAsterisk, connect: Connect) -> None:
    def fails_at_once(session: Session, asked: dict[str, str]) -> None:
        session.send(message(("Event", "OriginateResponse"), ("ActionID", asked["ActionID"]), ("Response", "Failure")))
        says("Success", ("Message", "Originate successfully queued"))(session, asked)

    asterisk.answers["Originate"] = fails_at_once
    ami = connect()
    await take(ami.stream, Up)
    answer = await ami.ask("Originate", {"Async": "true"}, action_id="cb-8")
    assert answer["Response"] == "Success"
    raw, _ = await take(ami.stream, Raw)
    assert raw.headers["Response"] == "Failure"


async def test_a_fault_of_the_consumers_does_not_drop_the_connection(asterisk: FakeAsterisk, connect: Connect) -> None:
    ami = connect()
    await take(ami.stream, Up)

    async def consume() -> None:
        await ami.stream.take()
        raise RuntimeError("ours")

    consumer = asyncio.create_task(consume())
    asterisk.session.send(event("Hangup", Uniqueid="1.1"))
    with pytest.raises(RuntimeError):
        await consumer
    asterisk.session.send(event("Hangup", Uniqueid="1.2"))
    raw, _ = await take(ami.stream, Raw)
    assert raw.headers["Uniqueid"] == "1.2"
    assert (ami.up, ami.lost, len(asterisk.sessions)) == (True, 0, 1)


async def test_events_come_in_order_and_unwanted_ones_do_not(asterisk: FakeAsterisk, connect: Connect) -> None:
    ami = connect()
    await take(ami.stream, Up)
    for number in range(300):
        asterisk.session.send(event("Hangup", Uniqueid=f"1.{number}") + event("VarSet", Variable="x", Value="y"))
    heard = [(await take(ami.stream, Raw))[0].headers["Uniqueid"] for _ in range(300)]
    assert heard == [f"1.{number}" for number in range(300)]


def queue_status(session: Session, asked: dict[str, str]) -> None:
    """With an event on either side, as the one of them came just before and the other just after."""
    me = ("ActionID", asked["ActionID"])
    session.send(event("Hangup", Uniqueid="1.1"))
    says("Success", ("EventList", "start"), ("Message", "Queue status will follow"))(session, asked)
    session.send(message(("Event", "QueueParams"), ("Queue", "city"), me))
    session.send(message(("Event", "QueueMember"), ("Queue", "city"), ("Name", "101"), me))
    session.send(event("Hangup", Uniqueid="1.2"))
    session.send(message(("Event", "QueueStatusComplete"), me, ("EventList", "Complete"), ("ListItems", "2")))
    session.send(event("Hangup", Uniqueid="1.3"))


async def test_a_lists_answer_stands_at_its_place_among_the_events(asterisk: FakeAsterisk, connect: Connect) -> None:
    asterisk.answers["QueueStatus"] = queue_status
    ami = connect()
    await take(ami.stream, Up)
    ami.ask_in_stream("QueueStatus")
    answer, before = await take(ami.stream, Answer)
    assert [item.headers["Uniqueid"] for item in before if isinstance(item, Raw)] == ["1.1", "1.2"]
    assert (answer.action, answer.ok) == ("QueueStatus", True)
    assert [item["Event"] for item in answer.items] == ["QueueParams", "QueueMember", "QueueStatusComplete"]
    assert answer.items[1]["Name"] == "101"
    after, _ = await take(ami.stream, Raw)
    assert after.headers["Uniqueid"] == "1.3"


async def test_a_refused_list_is_answered_too(asterisk: FakeAsterisk, connect: Connect) -> None:
    asterisk.answers["CoreShowChannels"] = says("Error", ("Message", "Permission denied"))
    ami = connect()
    await take(ami.stream, Up)
    ami.ask_in_stream("CoreShowChannels")
    answer, _ = await take(ami.stream, Answer)
    assert (answer.ok, answer.items) == (False, ())


async def test_a_flood_makes_a_gap_and_never_a_lost_connection(asterisk: FakeAsterisk, connect: Connect) -> None:
    ami = connect(Stream(limit=100))
    await take(ami.stream, Up)
    asterisk.session.send(b"".join(event("Hangup", Uniqueid=f"1.{number}") for number in range(5000)))
    await ami.ask("CoreStatus", patience_s=LIMIT)  # all of it has been read
    _, before = await take(ami.stream, Gap)
    assert [item.headers["Uniqueid"] for item in before if isinstance(item, Raw)] == [f"1.{n}" for n in range(100)]
    assert ami.stream.dropped == 4900
    asterisk.session.send(event("Hangup", Uniqueid="2.1"))
    raw, between = await take(ami.stream, Raw)
    assert (raw.headers["Uniqueid"], between) == ("2.1", [])
    assert (ami.up, ami.lost, len(asterisk.sessions)) == (True, 0, 1)


async def test_news_of_the_connection_fits_into_a_full_stream(asterisk: FakeAsterisk, connect: Connect) -> None:
    ami = connect(Stream(limit=1))
    await up(ami)
    asterisk.session.send(event("Hangup", Uniqueid="1.1") * 10)
    await ami.ask("CoreStatus")
    asterisk.session.drop()
    await take(ami.stream, Down)
    await take(ami.stream, Up)


@pytest.mark.parametrize("greeting", [
    b"SSH-2.0-OpenSSH_9.2p1\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"Aster\r\n", b"\r\n",
    b"Asterisk Call Manager/" + b"9" * 5000,
])  # fmt: skip
async def test_what_is_not_ami_is_given_up(asterisk: FakeAsterisk, connect: Connect, greeting: bytes) -> None:
    right, asterisk.greeting = asterisk.greeting, greeting
    ami = connect()
    await until(lambda: len(asterisk.sessions) >= 3)
    assert not ami.up
    asterisk.greeting = right
    await up(ami)


async def test_a_message_without_an_end_is_bounded(asterisk: FakeAsterisk, connect: Connect) -> None:
    ami = connect()
    await take(ami.stream, Up)
    asterisk.session.send(b"Event: Hangup\r\nUniqueid: " + b"1" * (LONGEST * 2))
    _, before = await take(ami.stream, Down)
    assert before == []
    await take(ami.stream, Up)


async def test_a_long_message_that_ends_is_heard(asterisk: FakeAsterisk, connect: Connect) -> None:
    ami = connect()
    await take(ami.stream, Up)
    asterisk.session.send(event("UserEvent", UserEvent="long", Text="ї" * (LONGEST // 4)))
    raw, _ = await take(ami.stream, Raw)
    assert raw.headers["Text"] == "ї" * (LONGEST // 4)


async def test_closed_is_closed(asterisk: FakeAsterisk, connect: Connect) -> None:
    ami = connect()
    await take(ami.stream, Up)
    asking = asyncio.create_task(ami.ask("Originate", patience_s=LIMIT))
    await until(lambda: bool(asterisk.asked("Originate")))
    await ami.close()
    with pytest.raises(Unanswered):
        await asking
    with pytest.raises(NotSent):
        await ami.ask("CoreStatus")


# ── what goes out ──
names = st.sampled_from(["Channel", "CallerID", "Variable", "ActionID", "X-1"]) | st.text(max_size=12)
nasty = st.sampled_from([
    "", " ", "x\r\nAction: Command", "x\nAction: Command", "x\rAction: Command", "x\0y", "${SHELL(id)}",
    "\ud800", "a: b", ": ", "Київ", "x" * LONGEST_LINE, "x" * 10_000_000, "&PJSIP/101", "\u2028", "\x85", "\x1b[2J",
])  # fmt: skip
scalars = nasty | st.text(st.characters()) | st.integers() | st.just(10**5000)
others = st.none() | st.booleans() | st.floats() | st.binary(max_size=4) | st.dictionaries(st.text(), st.text())
values = scalars | st.lists(scalars, max_size=4) | others | st.tuples(scalars, others)


def as_asterisk_reads(wire: bytes) -> list[tuple[str, str]]:
    """A parser of its own: lines end at LF, a CR before it is its; a message ends at an empty line."""
    lines = [line.removesuffix(b"\r") for line in wire.split(b"\n")]
    assert lines[-2:] == [b"", b""], "one message, and it ends"
    assert b"" not in lines[:-2], "one message, and no second"
    assert not any(b"\r" in line or b"\0" in line for line in lines)
    assert all(len(line) + 2 <= 1024 for line in lines)
    read = []
    for line in lines[:-2]:
        name, colon, value = line.partition(b": ")
        assert colon
        read.append((name.decode("ascii"), value.decode()))
    return read


@given(st.lists(st.tuples(names, values), min_size=1, max_size=6))
@example([("Variable", ["x"] * 129)])
@example([("CallerID", "x\r\nAction: Command")])
@example([("CallerID", 10**5000)])
def test_whatever_goes_in_either_is_refused_or_comes_out_as_it_was(headers: list[tuple[str, object]]) -> None:
    try:
        wire = serialize(headers)
    except BadInput:
        return
    given = [(name, str(item)) for name, value in headers
             for item in (value if isinstance(value, (list, tuple)) else (value,))]  # fmt: skip
    if given:
        assert as_asterisk_reads(wire) == given
        assert parse(wire.removesuffix(b"\r\n\r\n")) == dict(reversed(given))


@pytest.mark.parametrize("headers", [
    [("CallerID", "x\r\nAction: Command")], [("CallerID", "x\nAction: Command")], [("CallerID", "x\r")],
    [("CallerID", "x\0")], [("CallerID", "\udcff")], [("Caller\r\nAction", "Command")], [("Caller: ID", "x")],
    [("", "x")], [("CallerID", None)], [("CallerID", True)], [("CallerID", 1.5)], [("CallerID", b"x")],
    [("CallerID", ["fine", "x\n"])], [("CallerID", "x" * 1013)], [("CallerID", "ї" * 507)], [("Variable", ["x"] * 129)],
])  # fmt: skip
def test_it_is_refused(headers: list[tuple[str, object]]) -> None:
    with pytest.raises(BadInput):
        serialize(headers)


def test_what_is_plain_is_written() -> None:
    assert serialize([("Action", "QueueAdd"), ("Penalty", 0), ("Variable", ["A=1", "B=${X}"]), ("Reason", "")]) == (
        b"Action: QueueAdd\r\nPenalty: 0\r\nVariable: A=1\r\nVariable: B=${X}\r\nReason: \r\n\r\n")  # fmt: skip
    assert serialize([("CallerID", "x" * 1012)])  # as much as Asterisk reads
    assert serialize([("Variable", ["x"] * 128)])


@given(st.sampled_from(["ATTEMPT", "CITIZEN_NUMBER", "_X"]) | st.text(max_size=8), nasty | st.text())
def test_a_variable_is_one_plain_variable(name: str, value: str) -> None:
    try:
        made = variable(name, value)
    except BadInput:
        return
    assert made == f"{name}={value}"
    assert not set(made) & set("\r\n\0,;|\"'\\${}()[]&!`<> "), "nothing that Asterisk would read otherwise"
    [(_, written)] = as_asterisk_reads(serialize([("Variable", made)]))
    assert written.partition("=")[::2] == (name, value)


@pytest.mark.parametrize("value", ["a,B=c", "${SHELL(id)}", "x\r\nAction: Command", "a b", "x;y", "x" * 201, "\ud800"])
def test_no_other_variable_comes_with_it(value: str) -> None:
    with pytest.raises(BadInput):
        variable("ATTEMPT", value)


# ── what comes in ──
line = st.binary(max_size=20) | st.sampled_from([b"Event: Hangup", b"Uniqueid: ", b"Uniqueid:", b": ", b":", b"x", b""])


@given(st.binary() | st.lists(line).map(b"\r\n".join))
def test_any_bytes_can_be_parsed(raw: bytes) -> None:
    headers = parse(raw)
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in headers.items())


def test_of_a_repeated_header_the_first_counts() -> None:
    assert parse(b"Event: A\r\nUniqueid: 1.1\r\nnonsense\r\nUniqueid: 2.2\r\nEmpty:\r\nEvent: B") == {
        "Event": "A", "Uniqueid": "1.1", "Empty": ""}  # fmt: skip
    assert parse(b"Event: A\r\nUniqueid:\r\nUniqueid: 2.2") == {"Event": "A", "Uniqueid": ""}
    assert parse(b"Event: A\r\nName: a: b:\r\nBad: \xd0") == {"Event": "A", "Name": "a: b:", "Bad": "\ufffd"}
