"""`./1551 bench ivr`: what a call costs in CPU, through our IVR and its records, against less.

A real Asterisk with the rendered configuration, called by SIPp over loopback; CPU is user and system time of Asterisk
and of the FastAGI server, divided by the calls; SIPp's is not counted. The variants differ in who answers the dialplan:

none        (a) nobody: `step` returns at once with fixed variables; the same dialplan and prompts with no AGI
ivr         (b) our FastAGI server, all steps, all their database writes (SQLite, every commit synced)
line            the whole line instead: the same, and AMI followed, every call's events tracked and kept, the web told.
                What AMI costs Asterisk itself is in it too. No other variant has AMI
panoramisk  (c) panoramisk's own FastAGI server doing the same steps with the same database
bare        (d) an asyncio server that answers one round trip and closes, with no database

in two kinds of calls, the dialplan rewritten for the benchmark alone and alike for all variants:

greeted     ten seconds of greeting, arrival, menu, key 0, enqueue, "connecting", recording begun, and a moment in the
            queue (no seat is there) until the caller hangs up
short       no greeting: answered, arrival, hung up

All variants are called at the same time, each an Asterisk, a server and a database of its own, so that what else the
machine does disturbs all alike; this is done several times, and a ratio is the median of these turns' ratios:

ratio_no_agi       none / ivr, greeted calls (aim 0.90)
ratio_bare         bare / ivr, short calls (aim 0.90)
ratio_panoramisk   panoramisk / ivr, short calls (aim 1.1)
ratio_no_agi_line, ratio_bare_line   the same with the whole line in the place of ivr
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.measure import centre_of_its_own, cpu_s, environment, listens, median_ratio, report, running
from bench.servers import FIXED
from centre import provision
from centre.asterisk import Asterisk
from centre.phones import free_port
from centre.settings import Settings
from dialplans import write
from ivr.prompts import LANGUAGES, texts, tones

GREETING_S, PROMPT_S = 10.0, 0.2
SECOND = 8000  # bytes of A-law
SETTLE_S = 0.6  # before the first call, and after the last for what is still being written
LIMIT_S = 120  # for the calls of one turn
RTP_FROM, RTP_PORTS = 20000, 2400  # each Asterisk has ports of its own
VARIANTS = {"greeted": ("none", "ivr", "line"), "short": ("none", "ivr", "line", "panoramisk", "bare")}
RATE = 25  # calls a second to each
TURNS = {"greeted": 1, "short": 3}  # of each kind in a round: a short call's figures are the small, noisy ones

_SCENARIO = """<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="bench">
  <send retrans="500"><![CDATA[
      INVITE sip:1551@[remote_ip]:[remote_port] SIP/2.0
      Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
      From: <sip:[field0]@[local_ip]>;tag=[pid]b[call_number]
      To: <sip:1551@[remote_ip]:[remote_port]>
      Call-ID: [call_id]
      CSeq: 1 INVITE
      Contact: <sip:bench@[local_ip]:[local_port]>
      Max-Forwards: 70
      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=bench 1 1 IN IP4 127.0.0.1
      s=-
      c=IN IP4 127.0.0.1
      t=0 0
      m=audio @media@ RTP/AVP 8
      a=rtpmap:8 PCMA/8000
  ]]></send>
  <recv response="100" optional="true" />
  <recv response="200" rrs="true" />
  @ack@
  @rest@
</scenario>
"""
_REQUEST = """<send{retrans}><![CDATA[
      {method} [next_url] SIP/2.0
      Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
      [routes]
      From: <sip:[field0]@[local_ip]>;tag=[pid]b[call_number]
      To: <sip:1551@[remote_ip]:[remote_port]>[peer_tag_param]
      Call-ID: [call_id]
      CSeq: {cseq} {method}
      Max-Forwards: 70
      {body}
  ]]></send>"""
_EMPTY = "Content-Length: 0\n"
_KEY = "Content-Type: application/dtmf-relay\n      Content-Length: [len]\n\n      Signal=0\n      Duration=160"
_GREETED = f"""<pause milliseconds="{GREETING_S * 1000 + 1000:.0f}" />
  {_REQUEST.format(method="INFO", cseq=2, body=_KEY, retrans=' retrans="500"')}
  <recv response="200" />
  <pause milliseconds="1500" />
  {_REQUEST.format(method="BYE", cseq=3, body=_EMPTY, retrans=' retrans="500"')}
  <recv response="200" />"""
_SHORT = """<recv request="BYE" />
  <send><![CDATA[
      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Content-Length: 0

  ]]></send>"""


class Exchange:
    """One variant: an Asterisk of its own, who answers its dialplan, and its callers."""

    def __init__(self, variant: str, at: int, stack: ExitStack) -> None:
        ports = RTP_FROM + at * RTP_PORTS
        settings, secrets = stack.enter_context(
            centre_of_its_own(seat_count=2, rtp_from=ports, rtp_to=ports + RTP_PORTS - 1))  # fmt: skip
        self.variant, self._settings = variant, settings
        _prompts(settings)
        self._asterisk = Asterisk(settings, secrets)
        self._asterisk.prepare()
        self._dialplan = (settings.asterisk / "etc" / "extensions.conf").read_text()
        asterisk = running(self._asterisk.argv(), settings.var / "asterisk.log", lambda: True, self._asterisk.env())
        self._pids = [stack.enter_context(asterisk)]
        self._asterisk.wait_booted()
        if variant != "none":
            log = settings.var / "server.log"
            module, *arguments = ("centre", "line") if variant == "line" else ("bench.servers", variant)
            server = running([sys.executable, "-m", module, *arguments], log,
                             self._line_hears if variant == "line" else lambda: "ready" in log.read_text(),
                             environment(settings))  # fmt: skip
            self._pids.append(stack.enter_context(server))
        self._numbers = itertools.count(1_000_000)
        self._media = _deaf(stack)

    def cpu_ms(self) -> tuple[float, float]:
        """What Asterisk and the server have used so far."""
        used = [cpu_s(pid) * 1000 for pid in self._pids]
        return used[0], sum(used[1:])

    def set_up(self, kind: str) -> None:
        write({"extensions.conf": self._rewritten(kind)}, self._settings.asterisk / "etc")
        self._asterisk.rx("dialplan reload")

    def begin(self, kind: str, calls: int) -> subprocess.Popen[bytes]:
        """That many calls, by one SIPp, which ends with the last."""
        folder = self._settings.var / "sipp"
        folder.mkdir(exist_ok=True)
        numbers = "".join(f"+38044{next(self._numbers)}\n" for _ in range(calls))
        (folder / "numbers.csv").write_text("SEQUENTIAL\n" + numbers)
        ack = _REQUEST.format(method="ACK", cseq=1, body=_EMPTY, retrans="")
        scenario = _SCENARIO.replace("@media@", str(self._media)).replace("@ack@", ack)
        (folder / "scenario.xml").write_text(scenario.replace("@rest@", _GREETED if kind == "greeted" else _SHORT))
        tool = provision.ensure("sipp")
        return subprocess.Popen(
            tool.argv("-sf", folder / "scenario.xml", "-inf", folder / "numbers.csv", "-i", "127.0.0.1", "-p",
                      str(free_port()), "-m", str(calls), "-r", str(RATE), "-l", str(calls), "-nostdin",
                      "-timeout", f"{LIMIT_S}s", "-timeout_error", "-trace_err", "-error_file", folder / "errors",
                      f"127.0.0.1:{self._settings.sip_port}"),
            env=tool.env(), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)  # fmt: skip

    def check(self, sipp: subprocess.Popen[bytes]) -> None:
        """RuntimeError if a call did not go as it should: then its figures say nothing."""
        if sipp.wait(LIMIT_S + 10):
            errors = self._settings.var / "sipp" / "errors"
            said = errors.read_text(errors="replace")[-800:] if errors.exists() else ""
            raise RuntimeError(f"{self.variant}: SIPp ended with {sipp.returncode}: {said}")
        if left := list(self._settings.spool.glob("*.json")):
            raise RuntimeError(f"{self.variant}: the dialplan went on alone in {len(left)} calls")

    def _rewritten(self, kind: str) -> str:
        text = self._dialplan
        if self.variant == "none":
            fixed = ",".join(f"{name}={value}" for name, value in FIXED.items())
            text = re.sub(r"AGI\(agi://\S+\)", f"MSet({fixed})", text)
        if kind == "short":
            text = text.replace(" same => n,Playback(${GREETING})\n", "")
            text = re.sub(r'GotoIf\(\$\["\$\{CALL_STAGE\}" = "closed"\]\?closed,s,1\)', "Hangup()", text)
        return text

    def _line_hears(self) -> bool:
        return listens(self._settings.agi_port) and "line" in self._asterisk.rx("manager show connected")


def together(exchanges: Sequence[Exchange], kind: str, calls: int) -> dict[str, tuple[float, float]]:
    """All of them at the same time. Variant → milliseconds of CPU a call: Asterisk's, the server's."""
    for exchange in exchanges:
        exchange.set_up(kind)
    time.sleep(SETTLE_S)
    before = [exchange.cpu_ms() for exchange in exchanges]
    callers = [exchange.begin(kind, calls) for exchange in exchanges]
    try:
        for exchange, sipp in zip(exchanges, callers, strict=True):
            exchange.check(sipp)
    finally:
        for sipp in callers:
            sipp.kill()
    time.sleep(SETTLE_S)
    return {exchange.variant: ((after[0] - was[0]) / calls, (after[1] - was[1]) / calls)
            for exchange, was, after in zip(exchanges, before, [one.cpu_ms() for one in exchanges], strict=True)}


def _deaf(stack: ExitStack) -> int:
    """A port for audio, and the next one for RTCP, where nobody reads and nobody answers that it is unreachable."""
    while True:
        with ExitStack() as made:
            port = free_port() // 2 * 2
            try:
                for each in (port, port + 1):
                    sink = made.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    sink.bind(("127.0.0.1", each))
            except OSError:  # somebody else's
                continue
            stack.push(made.pop_all())
            return port


def _prompts(settings: Settings) -> None:
    """All of one length but the greeting, in the trunk's codec: what they say costs nothing."""
    for language in LANGUAGES:
        for name in {**texts(language), **tones()}:
            path: Path = settings.prompts / language / f"{name}.alaw"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes((0x55, 0xD5)) * int(SECOND * (GREETING_S if name == "greeting" else PROMPT_S) / 2))


def measure(rounds: int, calls: dict[str, int]) -> dict[str, object]:
    cost: dict[tuple[str, str], list[float]] = defaultdict(list)  # both together
    servers: dict[tuple[str, str], list[float]] = defaultdict(list)
    with ExitStack() as stack:
        stack.callback(os.umask, os.umask(0o077))
        exchanges = [Exchange(variant, at, stack) for at, variant in enumerate(VARIANTS["short"])]
        for kind in [kind for _ in range(rounds) for kind, turns in TURNS.items() for _ in range(turns)]:
            of_kind = [exchange for exchange in exchanges if exchange.variant in VARIANTS[kind]]
            for variant, (asterisk, server) in together(of_kind, kind, calls[kind]).items():
                cost[kind, variant].append(asterisk + server)
                servers[kind, variant].append(server)

    def ratio(kind: str, above: str, below: str) -> float:
        return round(median_ratio(cost[kind, above], cost[kind, below]), 3)

    def medians(of: dict[tuple[str, str], list[float]]) -> dict[str, dict[str, float]]:
        return {kind: {variant: round(statistics.median(of[kind, variant]), 2) for variant in variants}
                for kind, variants in VARIANTS.items()}  # fmt: skip

    return {
        "ratio_no_agi": ratio("greeted", "none", "ivr"),
        "ratio_bare": ratio("short", "bare", "ivr"),
        "ratio_panoramisk": ratio("short", "panoramisk", "ivr"),
        "ratio_no_agi_line": ratio("greeted", "none", "line"),
        "ratio_bare_line": ratio("short", "bare", "line"),
        "ratio_no_agi_of_bare": ratio("short", "none", "bare"),
        "cpu_ms_a_call": medians(cost),
        "of_it_the_server": medians(servers),
        "turns": {f"{kind} {variant}": [round(ms, 2) for ms in each] for (kind, variant), each in cost.items()},
        "calls_a_turn": calls,
    }  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="1551 bench ivr", description="CPU of a call through the IVR, against less")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--greeted", type=int, default=100, help="calls that hear ten seconds, a variant and turn")
    parser.add_argument("--short", type=int, default=120, help="calls that hear nothing, a variant and turn")
    args = parser.parse_args(arguments)
    report(measure(args.rounds, {"greeted": args.greeted, "short": args.short}), args.json)
    return 0
