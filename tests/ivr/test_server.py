"""A raw socket plays Asterisk: what it may do to us, and what it must be told all the same."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.errors import BadInput
from ivr import agi
from ivr.server import LARGEST, FastAgi

TIMEOUT_S = 0.3
ENVIRONMENT = b"agi_network: yes\nagi_network_script: greet\nagi_request: agi://127.0.0.1/greet\n"
COMMAND = b'EXEC MSet "HEARD=a.b,STEP_OK=1"\n'
ANSWER = b"200 result=0\n"

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Peer]]


class Steps:
    """Steps that note what they were asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.stuck = asyncio.Event()

    async def greet(self, args: list[str], environment: Mapping[str, str]) -> dict[str, str]:
        self.asked.append(args)
        return {"HEARD": ".".join(args)}

    async def fail(self, args: list[str], environment: Mapping[str, str]) -> dict[str, str]:
        raise RuntimeError("the database is gone")

    async def hang(self, args: list[str], environment: Mapping[str, str]) -> dict[str, str]:
        self.stuck.set()
        await asyncio.Event().wait()
        return {}

    async def hostile(self, args: list[str], environment: Mapping[str, str]) -> dict[str, str]:
        return {"HEARD": 'a",STEP_OK=1\nEXEC System "x'}


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
async def server(steps: Steps) -> AsyncIterator[FastAgi]:
    names = ("greet", "fail", "hang", "hostile")
    server = FastAgi({name: getattr(steps, name) for name in names}, TIMEOUT_S)
    yield server
    await server.stop()


@pytest.fixture
async def connect(server: FastAgi) -> AsyncIterator[Connect]:
    port = await server.start("127.0.0.1", 0)
    opened: list[asyncio.StreamWriter] = []

    async def connect() -> Peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        opened.append(writer)
        return reader, writer

    yield connect
    for writer in opened:
        writer.close()


async def told(reader: asyncio.StreamReader) -> bytes:
    """All that comes until we are hung up on."""
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""


async def still_serves(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(ENVIRONMENT + b"agi_arg_1: a\nagi_arg_2: b\n\n")
    assert await asyncio.wait_for(reader.readline(), 5) == COMMAND
    writer.write(ANSWER)
    assert await told(reader) == b""


async def test_one_command_then_closed(connect: Connect, steps: Steps, server: FastAgi) -> None:
    await still_serves(connect)
    assert steps.asked == [["a", "b"]]
    assert (server.served, server.failures) == (1, 0)


async def test_everything_in_single_bytes(connect: Connect, server: FastAgi) -> None:
    reader, writer = await connect()
    for byte in ENVIRONMENT + b"agi_arg_1: a\nagi_arg_2: b\n\n":
        writer.write(bytes([byte]))
        await writer.drain()
    assert await asyncio.wait_for(reader.readline(), 5) == COMMAND
    for byte in b"100 result=0 Trying...\n" + ANSWER:
        writer.write(bytes([byte]))
        await writer.drain()
    assert await told(reader) == b""
    assert (server.served, server.failures) == (1, 0)


async def test_a_port_probe_is_nothing(connect: Connect, server: FastAgi, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(20):
        reader, writer = await connect()
        writer.close()
    reader, writer = await connect()
    writer.write_eof()
    assert await told(reader) == b""
    await still_serves(connect)
    assert server.failures == 0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("block", [
    b"agi_network_script: greet\n",  # cut off
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\n\n",
    b"\n\n",
    b"\x00\xff\xfe\n\n",
    b"agi_network: yes\n\n",  # no step
    b"agi_network_script: nothing\n\n",
    b"agi_network_script: __class__\n\n",
    b"agi_network_script: greet\nagi_arg_1: a\nagi_arg_1: b\n\n",  # which of them did the dialplan say?
    ENVIRONMENT + b"agi_callerid: x\nagi_network_script: fail\n\n",
    b"agi_network_script: " + b"x" * 2 * LARGEST + b"\n\n",
    b"agi_x: y\n" * LARGEST,
    b"agi_network_script: fail\n\n",
    b"agi_network_script: hostile\n\n",
])  # fmt: skip
async def test_what_cannot_be_served_is_hung_up_on(connect: Connect, server: FastAgi, block: bytes) -> None:
    reader, writer = await connect()
    writer.write(block)
    writer.write_eof()
    assert await told(reader) == b"", "nothing may be set"
    assert server.failures == 1
    await still_serves(connect)


async def test_text_that_is_not_utf8_is_no_obstacle(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(ENVIRONMENT + b"agi_callerid: \xff\xfe${EVIL}\nagi_arg_1: a\nagi_arg_2: b\n\n")
    assert await asyncio.wait_for(reader.readline(), 5) == COMMAND


@pytest.mark.parametrize("answer", [
    b"HANGUP\n",
    b"200 result=-1\n",
    b"200 result=-2\n",  # no such application
    b"510 Invalid or unknown command\n",
    b"511 Command Not Permitted on a dead channel or intercept routine\n",
    b"520-Invalid command syntax.  Proper usage follows:\n200 result=0\n520 End of proper usage.\n",
    b"nonsense\n",
    b"\xff\n" * 200,
    b"x" * 2 * LARGEST + b"\n",
    b"",
])  # fmt: skip
async def test_only_a_success_counts(connect: Connect, server: FastAgi, answer: bytes) -> None:
    reader, writer = await connect()
    writer.write(ENVIRONMENT + b"agi_arg_1: a\nagi_arg_2: b\n\n")
    assert await asyncio.wait_for(reader.readline(), 5) == COMMAND
    writer.write(answer)
    writer.write_eof()
    assert await told(reader) == b""
    assert server.served == 0
    await still_serves(connect)
    assert server.served == 1


@pytest.mark.parametrize("said", [
    b"",
    b"agi_network_script: greet\n",
    ENVIRONMENT + b"\n",  # hears the command and never answers
    ENVIRONMENT.replace(b"greet\n", b"hang\n") + b"\n",
])  # fmt: skip
async def test_who_stays_silent_is_hung_up_on(connect: Connect, server: FastAgi, said: bytes) -> None:
    reader, writer = await connect()
    writer.write(said)
    assert (await told(reader)).count(b"\n") <= 1
    assert server.failures == 1
    await still_serves(connect)


async def test_a_caller_who_drips_has_no_more_time_than_others(connect: Connect, server: FastAgi) -> None:
    reader, writer = await connect()
    hung_up = asyncio.ensure_future(told(reader))
    for byte in b"agi_network: yes\n" * 10_000:
        writer.write(bytes([byte]))
        if (await asyncio.wait([hung_up], timeout=TIMEOUT_S / 10))[0]:
            break
    assert await hung_up == b""
    assert server.failures == 1


async def test_stopping_breaks_off_a_step(connect: Connect, server: FastAgi, steps: Steps) -> None:
    reader, writer = await connect()
    writer.write(b"agi_network_script: hang\n\n")
    await asyncio.wait_for(steps.stuck.wait(), 5)
    await asyncio.wait_for(server.stop(), 5)
    assert await told(reader) == b""
    with pytest.raises(OSError, match=r"refused|failed"):
        await connect()


# ── the serializer and the parsers ──
def unquoted(command: str) -> dict[str, str]:
    """As Asterisk reads it: words and quotes of AGI, then MSet's commas."""
    head, quoted, rest = command.split('"')
    assert (head, rest) == ("EXEC MSet ", "")
    assert not set(quoted) & set("\\$\n\r\0 '()[]{}")
    return dict(pair.split("=", 1) for pair in quoted.split(","))


@given(st.dictionaries(st.text(), st.text(), min_size=1, max_size=30))
def test_nothing_but_plain_text_is_written(variables: dict[str, str]) -> None:
    try:
        command = agi.set_variables(variables)
    except BadInput:
        return
    assert unquoted(command) == variables


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,9}", fullmatch=True),
                       st.from_regex(r"[a-z0-9&.+-]{0,50}", fullmatch=True), min_size=1, max_size=agi.MOST))
def test_what_is_plain_is_written_as_it_is(variables: dict[str, str]) -> None:
    assert unquoted(agi.set_variables(variables)) == variables


@pytest.mark.parametrize("value", ["a,B=1", 'a"', "a\\", "a\nb", "a\rb", "a\0", "${X}", "$[1]", "a b", "ї", "a=b",
                                   "a(b", "a\n"])  # fmt: skip
def test_a_value_cannot_become_anything_else(value: str) -> None:
    with pytest.raises(BadInput):
        agi.set_variables({"SAY": value})


def test_more_than_asterisk_takes_is_refused() -> None:
    agi.set_variables({"SAY": "a" * 1900})
    with pytest.raises(BadInput):
        agi.set_variables({"SAY": "a" * 2000})
    with pytest.raises(BadInput):
        agi.set_variables({f"V{i}": "" for i in range(agi.MOST + 1)})


@given(st.dictionaries(st.from_regex(r"agi_[a-z0-9_]{1,20}", fullmatch=True),
                       st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))))
def test_an_environment_is_read_as_it_was_written(variables: dict[str, str]) -> None:
    block = "".join(f"{name}: {value}\n" for name, value in variables.items()) + "\n"
    if variables:
        assert agi.parse_environment(block.encode()) == variables


@given(st.binary())
def test_garbage_is_refused_or_read(block: bytes) -> None:
    try:
        environment = agi.parse_environment(block)
    except BadInput:
        return
    assert all(name.startswith("agi_") for name in environment)
    agi.arguments(environment)


@given(st.text())
def test_any_line_is_an_answer_or_none(line: str) -> None:
    read = agi.parse_answer(line)
    assert read is None or line.startswith(f"{read.code:03}")


@pytest.mark.parametrize(("line", "read"), [
    ("200 result=0", agi.Answer(200, 0)),
    ("200 result=1 (hangup)", agi.Answer(200, 1)),
    ("200 result= (timeout)", agi.Answer(200, None)),
    ("510 Invalid or unknown command", agi.Answer(510, None)),
    ("2000 result=0", None),
    ("200 result=0x", None),
    ("", None),
])  # fmt: skip
def test_answers(line: str, read: agi.Answer | None) -> None:
    assert agi.parse_answer(line) == read


def test_arguments_are_those_that_follow_each_other() -> None:
    environment = {"agi_arg_1": "a", "agi_arg_2": "", "agi_arg_4": "d"}
    assert agi.arguments(environment) == ["a", ""]
