"""The real Asterisk loads what is rendered without a complaint, and takes changes without dropping a call."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from centre.asterisk import Asterisk
from centre.phones import free_port
from dialplans import MODULES

CERTIFICATES = Path(__file__).parents[2] / "centre" / "certificates"
SEATS = "127.0.0.4"


@pytest.fixture(scope="module")
def default(exchanges: Callable[..., Any]) -> Any:
    return exchanges()


@pytest.fixture(scope="module")
def everything(exchanges: Callable[..., Any]) -> Any:
    """TLS, SRTP, an address behind NAT, networks apart, several prefixes: each setting that adds lines somewhere."""
    return exchanges(
        sip_tls_port=free_port(kind=socket.SOCK_STREAM), tls_certificate=CERTIFICATES / "good.pem", srtp=True,
        tls_key=CERTIFICATES / "key.pem", external_address="198.51.100.7", seat_networks=[f"{SEATS}/32"],
        seat_qualify=60, callback_prefixes=["+380", "+48"],
        landline_from=["127.0.0.1/32", "198.51.100.0/24"])  # fmt: skip


@pytest.mark.parametrize("which", ["default", "everything"])
def test_it_loads_without_a_complaint(which: str, request: pytest.FixtureRequest) -> None:
    exchange = request.getfixturevalue(which)
    assert exchange.complaints() == []
    running = re.findall(r"^(\w+)\.so .* Running ", exchange.asterisk.rx("module show"), re.MULTILINE)
    assert sorted(running) == sorted(MODULES)


def test_every_application_and_function_exists(default: Any) -> None:
    text = (default.settings.asterisk / "etc" / "extensions.conf").read_text()
    used = set(re.findall(r",(?:\w+\(\w+\),)?([A-Z]\w+)\(|\?([A-Z]\w+)\(", text))
    applications = {name for pair in used for name in pair if name}
    assert {"Queue", "MixMonitor", "Playback"} <= applications
    known = {line.split(":")[0].strip() for line in default.asterisk.rx("core show applications").splitlines()}
    assert applications - known == set()
    functions = set(re.findall(r"\$\{([A-Z]\w*)\(", text)) | set(re.findall(r"Set\(([A-Z]+)\(", text))
    assert {"CALLERID", "FILTER"} <= functions
    known = {line.split()[0] for line in default.asterisk.rx("core show functions").splitlines() if line.split()}
    assert functions - known == set()


def test_every_goto_leads_somewhere(default: Any) -> None:
    text = (default.settings.asterisk / "etc" / "extensions.conf").read_text()
    shown = default.asterisk.rx("dialplan show")
    contexts = set(re.findall(r"^\[ Context '([\w-]+)'", shown, re.MULTILINE))
    named = set(re.findall(r"[(?:]([a-z][\w-]*),s,[\w]+", text))
    assert {"to-queue", "menu", "step"} <= named
    assert named - contexts == set()


async def test_a_seat_registers_over_tls(everything: Any) -> None:
    """As far as being asked for its password: only the trunks' own port is UDP."""
    context = ssl.create_default_context(cafile=CERTIFICATES / "good.pem")
    context.check_hostname = False
    user, port = everything.secrets.seats["101"].sip_user, everything.settings.sip_tls_port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, local_addr=(SEATS, 0))
    writer.write(f"REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS {SEATS}:5061;branch=z9hG4bKtls;rport\r\n"
                 f"From: <sip:{user}@127.0.0.1>;tag=us\r\nTo: <sip:{user}@127.0.0.1>\r\n"
                 f"Call-ID: tls\r\nCSeq: 1 REGISTER\r\n"
                 f"Contact: <sip:{user}@{SEATS}:5061;transport=tls>\r\nContent-Length: 0\r\n\r\n".encode())  # fmt: skip
    async with asyncio.timeout(30):
        answer = await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    await asyncio.sleep(0)  # the transport closes in the loop's next turn
    assert answer.startswith(b"SIP/2.0 401 ")
    assert b"WWW-Authenticate: Digest " in answer


async def test_a_trunk_may_call_over_tls(everything: Any) -> None:
    """As Twilio does where our address says so: the call is answered, and he hangs up."""
    context = ssl.create_default_context(cafile=CERTIFICATES / "good.pem")
    context.check_hostname = False
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", everything.settings.sip_tls_port, ssl=context, local_addr=("127.0.0.2", 0))
    sdp = ("v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\n"
           f"m=audio {free_port('127.0.0.2')} RTP/AVP 0\r\n")  # fmt: skip
    to = "<sip:1551@127.0.0.1;transport=tls>"

    def say(method: str, number: int, body: str = "") -> None:
        writer.write((
            f"{method} sip:1551@127.0.0.1:{everything.settings.sip_tls_port};transport=tls SIP/2.0\r\n"
            f"Via: SIP/2.0/TLS 127.0.0.2:5061;branch=z9hG4bK{method};rport\r\nMax-Forwards: 70\r\nTo: {to}\r\n"
            f"From: <sip:+380671112233@city.pstn.twilio.com>;tag=them\r\nCall-ID: tls-call\r\n"
            f"CSeq: {number} {method}\r\nContact: <sip:+380671112233@127.0.0.2:5061;transport=tls>\r\n"
            f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode())  # fmt: skip

    async def heard(beginning: str) -> str:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            (length,) = re.findall(r"^Content-Length: +(\d+)", head, re.MULTILINE)
            await reader.readexactly(int(length))
            if head.startswith(beginning):
                return head

    async with asyncio.timeout(30):
        say("INVITE", 1, sdp)
        answered = await heard("SIP/2.0 200 ")
        (to,) = re.findall(r"^To: (.+?)\r", answered, re.MULTILINE)
        say("ACK", 1)
        say("BYE", 2)
        await heard("SIP/2.0 200 ")
        await everything.idle()
    writer.transport.abort()
    await asyncio.sleep(0)
    assert {one["origin"] for one in everything.spooled("+380671112233") if "origin" in one} == {"mobile"}


async def test_a_change_is_taken_and_no_call_dropped(default: Any) -> None:
    """The wrap-up is changed in a conversation, and holds from its end on. What did not change is not reloaded."""
    changed = Asterisk(default.settings.model_copy(update={"wrap_up": 4, "ring_timeout": 33}), default.secrets)
    loop = asyncio.get_running_loop()
    async with default.seat("101") as seat, default.caller() as caller, default.caller("0441112233") as next_one:
        seat.media.speak(default.voice("seat"))
        with default.logged_in("101"):
            await default.to_queue(caller)
            await caller.media.hear(default.says("seat"))
            assert await asyncio.to_thread(changed.reload) == ["extensions.conf", "features.conf", "queues.conf"]
            assert ",33," in changed.rx("dialplan show 101@from-seat")
            caller.media.forget()
            await caller.media.hear(default.says("seat"))
            await default.to_queue(next_one)
            await default.queued(1)
            assert len(seat.called()) == 1
            await caller.hang_up()
            ended = loop.time()
            await next_one.media.hear(default.says("seat"))
            assert loop.time() - ended > 3, "the seat had its wrap-up"
            reloaded = int(re.search(r"Last reload: (\d+)", changed.rx("core show uptime seconds"))[1])  # type: ignore[index]
            assert reloaded >= 3
            assert await asyncio.to_thread(changed.reload) == []
            assert int(re.search(r"Last reload: (\d+)", changed.rx("core show uptime seconds"))[1]) >= reloaded  # type: ignore[index]
            await next_one.hang_up()
    await default.idle()
    assert [line for line in default.complaints() if "res_agi.c" not in line] == []


def test_who_was_logged_in_stays_so_over_a_restart(everything: Any) -> None:
    everything.log_in("101")
    everything.log_in("102")
    everything.asterisk.rx(f"queue pause member {everything.interface('102')} queue city reason lunch")
    everything.stop()
    everything.start()
    members = everything.asterisk.rx("queue show city")
    assert everything.interface("101") in members
    assert re.search(r"102 .*paused:lunch", members)
    assert everything.interface("103") not in members
