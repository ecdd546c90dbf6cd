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

Variants take turns within a round, in the opposite order every other round; a ratio is the median of the rounds':

ratio_no_agi       none / ivr, greeted calls (aim 0.90)
ratio_bare         bare / ivr, short calls (aim 0.90)
ratio_panoramisk   panoramisk / ivr, short calls (aim 1.1)
ratio_no_agi_line, ratio_bare_line   the same with the whole line in the place of ivr
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
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
SETTLE_S = 1.0  # after the last call, for what is still being written
VARIANTS = {"greeted": ("none", "ivr", "line"), "short": ("none", "ivr", "line", "panoramisk", "bare")}
RATES = {"greeted": 25, "short": 80}  # calls a second

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


class Bench:
    """A running Asterisk, the servers beside it, and callers."""

    def __init__(self, settings: Settings, asterisk: Asterisk, asterisk_pid: int, servers: dict[str, tuple[int, int]],
                 ) -> None:
        self._settings, self._asterisk, self._pid = settings, asterisk, asterisk_pid
        self._servers = servers  # variant → (process id, port)
        self._dialplan = (settings.asterisk / "etc" / "extensions.conf").read_text()
        self._numbers = iter(range(1_000_000, 10_000_000))
        self._sink = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        media = free_port() // 2 * 2
        for at, sink in enumerate(self._sink):  # what is said to the callers: never read, and nobody says "unreachable"
            sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sink.bind(("127.0.0.1", media + at))
        self._media = media

    def close(self) -> None:
        for sink in self._sink:
            sink.close()

    def cost_ms(self, kind: str, variant: str, calls: int) -> tuple[float, float]:
        """Milliseconds of CPU a call: Asterisk's, the server's."""
        with ExitStack() as stack:
            pid, port = stack.enter_context(self._line()) if variant == "line" else self._servers.get(variant, (0, 0))
            write({"extensions.conf": self._rewritten(kind, port)}, self._settings.asterisk / "etc")
            self._asterisk.rx("dialplan reload")
            time.sleep(0.2)
            pids = [self._pid, *([pid] if pid else [])]
            before = [cpu_s(one) for one in pids]
            self._call(kind, calls)
            time.sleep(SETTLE_S)
            spent = [(cpu_s(one) - was) / calls * 1000 for one, was in zip(pids, before, strict=True)]
        if left := list(self._settings.spool.glob("*.json")):
            raise RuntimeError(f"{variant}: the dialplan went on alone in {len(left)} calls: {left[0].read_text()}")
        return spent[0], sum(spent[1:])

    def _rewritten(self, kind: str, port: int) -> str:
        text = self._dialplan
        if port:
            text = text.replace(f"agi://127.0.0.1:{self._settings.agi_port}/", f"agi://127.0.0.1:{port}/")
        else:
            fixed = ",".join(f"{name}={value}" for name, value in FIXED.items())
            text = re.sub(r"AGI\(agi://\S+\)", f"MSet({fixed})", text)
        if kind == "short":
            text = text.replace(" same => n,Playback(greeting)\n", "")
            text = re.sub(r"GotoIf\(.*closed,s,1:menu,s,1\)", "Hangup()", text)
        return text

    @contextmanager
    def _line(self) -> Iterator[tuple[int, int]]:
        settings = self._settings

        def ready() -> bool:
            return listens(settings.agi_port) and "line" in self._asterisk.rx("manager show connected")

        with running([sys.executable, "-m", "centre", "line"], settings.var / "line.log", ready,
                     environment(settings)) as pid:  # fmt: skip
            time.sleep(SETTLE_S)  # its first look at everything
            yield pid, settings.agi_port

    def _call(self, kind: str, calls: int) -> None:
        """That many calls, one SIPp; returns when the last is over."""
        folder = self._settings.var / "sipp"
        folder.mkdir(exist_ok=True)
        numbers = "".join(f"+38044{next(self._numbers)}\n" for _ in range(calls))
        (folder / "numbers.csv").write_text("SEQUENTIAL\n" + numbers)
        ack = _REQUEST.format(method="ACK", cseq=1, body=_EMPTY, retrans="")
        scenario = _SCENARIO.replace("@media@", str(self._media)).replace("@ack@", ack)
        (folder / "scenario.xml").write_text(scenario.replace("@rest@", _GREETED if kind == "greeted" else _SHORT))
        tool = provision.ensure("sipp")
        done = subprocess.run(
            tool.argv("-sf", folder / "scenario.xml", "-inf", folder / "numbers.csv", "-i", "127.0.0.1", "-p",
                      str(free_port()), "-m", str(calls), "-r", str(RATES[kind]), "-l", str(calls), "-nostdin",
                      "-timeout", "90s", "-timeout_error", "-trace_err", "-error_file", folder / "errors",
                      f"127.0.0.1:{self._settings.sip_port}"),
            env=tool.env(), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=False)  # fmt: skip
        if done.returncode:
            errors = (folder / "errors").read_text(errors="replace")[-800:] if (folder / "errors").exists() else ""
            raise RuntimeError(f"SIPp ended with {done.returncode}: {errors}")


@contextmanager
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        settings, secrets = stack.enter_context(centre_of_its_own(seat_count=2))
        _prompts(settings)
        asterisk = Asterisk(settings, secrets)
        asterisk.prepare()
        stack.callback(os.umask, os.umask(0o077))
        pid = stack.enter_context(running(asterisk.argv(), settings.var / "asterisk.log", lambda: True, asterisk.env()))
        asterisk.wait_booted()
        servers = {}
        for variant in ("ivr", "panoramisk", "bare"):
            port, log = free_port(kind=socket.SOCK_STREAM), settings.var / f"{variant}.log"
            server = running([sys.executable, "-m", "bench.servers", variant], log, partial(_said_ready, log),
                             {**environment(settings), "CENTRE_AGI_PORT": str(port)})  # fmt: skip
            servers[variant] = (stack.enter_context(server), port)
        made = Bench(settings, asterisk, pid, servers)
        stack.callback(made.close)
        yield made


def _said_ready(log: Path) -> bool:
    return "ready" in log.read_text()


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
    with bench() as at:
        for turn in range(rounds):
            for kind, variants in VARIANTS.items():
                for variant in variants if turn % 2 == 0 else reversed(variants):
                    asterisk, server = at.cost_ms(kind, variant, calls[kind])
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
        "rounds": {f"{kind} {variant}": [round(ms, 2) for ms in each] for (kind, variant), each in cost.items()},
        "calls_a_round": calls,
    }  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="1551 bench ivr", description="CPU of a call through the IVR, against less")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--greeted", type=int, default=100, help="calls that hear ten seconds, a round and variant")
    parser.add_argument("--short", type=int, default=250, help="calls that hear nothing, a round and variant")
    args = parser.parse_args(arguments)
    report(measure(args.rounds, {"greeted": args.greeted, "short": args.short}), args.json)
    return 0
