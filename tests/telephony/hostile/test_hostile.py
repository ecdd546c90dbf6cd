"""Whatever a caller writes into his call, he is served, only digits of it are kept, and nothing of it is run."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from centre.phones import Media

TRACE = Path("/tmp/1551-hostile")  # what a shell that obeyed would leave
EVIL = f"touch {TRACE}"
LONG = b"9" * 1000

# The whole From, more headers, and the number that is kept of it.
CALLS: list[tuple[bytes, list[bytes], str]] = [
    (b"<sip:127.0.0.1>", [], ""),
    (b'"" <sip:0441110000@127.0.0.1>', [], "0441110000"),
    (b'"Anonymous" <sip:anonymous@anonymous.invalid>', [b"Privacy: id"], ""),
    (b"<sip:" + LONG + b"@127.0.0.1>", [], ""),
    (b'"' + LONG + b'" <sip:0441110001@127.0.0.1>', [b"X-Long: " + LONG * 20], "0441110001"),
    (b'"\xff\xfe\xd0" <sip:0441110002@127.0.0.1>', [b"Subject: \xff\xfe"], "0441110002"),
    (b"<sip:%FF%FE%00@127.0.0.1>", [], ""),
    (b"\r\n <sip:0441110003@127.0.0.1>", [b"Subject: a\r\n Injected: yes", b"X-Folded:\r\n\t b"], "0441110003"),
    (b'"a \\"b\\" \\\\ ; c" <sip:0441110004@127.0.0.1>', [], "0441110004"),
    (b'"${SYSTEM(%s)}" <sip:0441110005@127.0.0.1>' % EVIL.encode(), [], "0441110005"),
    (b"<sip:$%7BSYSTEM(touch%20/tmp/1551-hostile)%7D@127.0.0.1>", [], ""),
    (b"<sip:1%22%5D%20%7C%20$%7BSHELL(touch%20/tmp/1551-hostile)%7D@127.0.0.1>", [], ""),
    (b"<sip:101&PJSIP/102@127.0.0.1>", [], ""),
    (b"<sip:0441110006,1,Hangup()@127.0.0.1>", [], ""),
    (b"<sip:0441110007;drop=table@127.0.0.1>", [], ""),
    (b"<sip:%27;DROP%20TABLE%20call;--@127.0.0.1>", [], ""),
    (b"<sip:+@127.0.0.1>", [], ""),
    (b"<sip:044+111+0008@127.0.0.1>", [], ""),
    (b"<sip:operator@127.0.0.1>", [], ""),
    (b"<sip:0441110009%0d%0aInjected%3A%20yes%0d%0a%0d%0aEvent%3A%20Hangup@127.0.0.1>", [], ""),
    (b'"x%0d%0aInjected: yes" <sip:+380441110010@127.0.0.1>', [], "+380441110010"),
    (b"<sip:(044)111-00.11@127.0.0.1>", [], "0441110011"),
    (b"<sip:101@127.0.0.1>", [], "101"),
    (b"<sip:seat101-000000@127.0.0.1>", [], ""),
    (b"<sip:trunk-mobile@127.0.0.1>", [], ""),
    (b"<sip:0441110012@127.0.0.1>", [b"P-Asserted-Identity: <sip:101@127.0.0.1>", b"Diversion: <sip:102@127.0.0.1>",
                                     b"Remote-Party-ID: <sip:101@127.0.0.1>", b"Privacy: none"], "0441110012"),
    (b"<tel:+380441110013>", [], "+380441110013"),
]  # fmt: skip


def sdp(media: Media) -> bytes:
    lines = ("v=0", "o=x 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0",
             f"m=audio {media.port} RTP/AVP 8 101", "a=rtpmap:101 telephone-event/8000")  # fmt: skip
    return "".join(f"{line}\r\n" for line in lines).encode()


async def served(exchange: Any, sender: bytes, headers: list[bytes]) -> None:
    """Dials, hears the greeting, presses 1, and is in the queue."""
    media = await Media.open()
    try:
        async with exchange.wire() as wire:
            invite = wire.request("INVITE", sender=sender, headers=headers, body=sdp(media))
            answer = await wire.ask(invite)
            assert answer.startswith(b"SIP/2.0 200 "), (sender, answer)
            call = re.search(rb"^Call-ID: (\S+)", invite, re.MULTILINE)[1].decode()  # type: ignore[index]
            to = re.search(rb"^To: (.*)\r$", answer, re.MULTILINE)[1]  # type: ignore[index]
            wire.send(wire.request("ACK", sender=sender, to=to, call=call))
            for name in ("greeting", "menu"):
                await media.hear(exchange.prompt(name))
            await media.press("1")
            for name in ("connecting", "thanks-waiting"):
                await media.hear(exchange.prompt(name))
            gone = await wire.ask(wire.request("BYE", sender=sender, to=to, call=call, cseq=2))
            assert gone.startswith(b"SIP/2.0 200 ")
    finally:
        media.close()


def left_trace() -> bool:
    return TRACE.exists()


@pytest.fixture(autouse=True)
def no_trace() -> None:
    TRACE.unlink(missing_ok=True)


async def test_hostile_callers_are_served(exchange: Any) -> None:
    complained = len(exchange.complaints())
    async with exchange.ami() as ami:
        await asyncio.gather(*(served(exchange, sender, headers) for sender, headers, _ in CALLS))
        await exchange.idle()
        await ami.ask("Ping")
        events = ami.events
    ended = [one for one in exchange.spooled() if one["kind"] == "ended"]
    assert sorted(one.get("caller", "") for one in ended) == sorted(number for *_, number in CALLS)
    assert {one["stage"] for one in ended} == {"queue"}
    assert not left_trace()
    lines = [line for event in events for line in event]
    assert sum("Event: Newchannel" in event and "Exten: 1551" in event for event in events) == len(CALLS)
    assert not [event for event in events if "Event: DialBegin" in event], "nobody was called"
    assert [line for line in lines if not re.match(r"[A-Za-z][\w-]*(\(\w+\))?: ?", line)] == []
    assert [line for line in lines if line.startswith("Injected")] == []
    # We are away; a name that is no text was mended.
    known = ("res_agi.c:", "invalid UTF-8")
    assert [line for line in exchange.complaints()[complained:] if not any(one in line for one in known)] == []
