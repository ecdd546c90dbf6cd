"""The programs really run: what is found on this machine or unpacked does its work."""

from __future__ import annotations

import subprocess
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from centre.provision import Tool, ensure
from centre.provision.recipes import ASTERISK
from centre.provision.tools import numbers

MODULES = ("pbx_config", "res_timing_timerfd", "app_queue", "res_agi", "res_pjsip", "res_srtp")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder whose path is short: that of Asterisk's control socket may have 107 characters."""
    with tempfile.TemporaryDirectory(prefix="1551") as folder:
        yield Path(folder)


def configure(home: Path, asterisk: Tool) -> Path:
    """The least that starts; the path of its ``asterisk.conf``."""
    names = {"etc": home, **{name: home / name for name in ("run", "spool", "log", "db", "varlib", "data", "agi")}}
    for path in names.values():
        path.mkdir(exist_ok=True)
    (names["data"] / "documentation").symlink_to(asterisk.directories["data"] / "documentation")
    lines = [f"ast{name}dir => {path}" for name, path in names.items()]
    lines.append(f"astmoddir => {asterisk.directories['modules']}")
    (home / "modules.conf").write_text(
        "[modules]\nautoload=no\nload=" + "\nload=".join(f"{m}.so" for m in MODULES) + "\n"
    )
    for name in ("extensions", "logger", "pjsip", "queues", "manager", "cdr", "cel", "features", "udptl", "rtp"):
        (home / f"{name}.conf").write_text("[general]\n" if name != "pjsip" else "")
    conf = home / "asterisk.conf"
    conf.write_text("[directories]\n" + "\n".join(lines) + "\n")
    return conf


def test_asterisk_starts_and_answers(home: Path) -> None:
    asterisk = ensure("asterisk")
    conf = configure(home, asterisk)

    def console(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            asterisk.argv("-C", conf, "-rx", command), env=asterisk.env(), capture_output=True, text=True, timeout=30
        )

    with (home / "output").open("w") as output:
        server = subprocess.Popen(
            asterisk.argv("-C", conf, "-f"), env=asterisk.env(), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 60
        while console("core waitfullybooted").returncode:
            assert server.poll() is None, (home / "output").read_text()
            assert time.monotonic() < deadline, (home / "output").read_text()
        assert f"Asterisk {asterisk.version}" in console("core show version").stdout
        assert "QUEUE_MEMBER" in console("core show functions").stdout
        assert "AGI" in console("core show application AGI").stdout
        console("core stop now")
        assert server.wait(30) == 0
    finally:
        server.kill()
        server.wait()


def test_asterisk_is_new_enough() -> None:
    assert numbers(ensure("asterisk").version) >= ASTERISK.minimum


def test_ukrainian_is_spoken_and_resampled(tmp_path: Path) -> None:
    """A text becomes what the trunk carries: 8 kHz, one channel, 16 bits."""
    espeak, sox = ensure("espeak-ng"), ensure("sox")
    spoken, prompt = tmp_path / "spoken.wav", tmp_path / "prompt.wav"
    subprocess.run(
        espeak.argv("-v", "uk", "-w", spoken, "Ви зателефонували на гарячу лінію."),
        env=espeak.env(), check=True, timeout=60,
    )  # fmt: skip
    subprocess.run(sox.argv(spoken, "-r", "8000", "-c", "1", "-b", "16", prompt), env=sox.env(), check=True, timeout=60)
    with wave.open(str(prompt)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (8000, 1, 2)
        assert 1 < sound.getnframes() / 8000 < 10
        assert max(sound.readframes(sound.getnframes())) > 0


def test_sox_makes_what_asterisk_plays_as_it_is(tmp_path: Path) -> None:
    """A-law for the trunk, 16 kHz for wideband."""
    sox = ensure("sox")
    for arguments, size in ((["-t", "al", "-r", "8000"], 8000), (["-t", "raw", "-r", "16000", "-b", "16"], 32000)):
        out = tmp_path / "out"
        subprocess.run(
            sox.argv("-n", "-r", "22050", *arguments, "-c", "1", out, "synth", "1", "sine", "440"),
            env=sox.env(), check=True, timeout=60,
        )  # fmt: skip
        assert out.stat().st_size == size


def test_sipp_runs_a_scenario_on_loopback(tmp_path: Path) -> None:
    """Nobody answers there: SIPp reads the scenario, sends, and says that the call failed."""
    sipp = ensure("sipp")
    scenario = tmp_path / "options.xml"
    scenario.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><scenario name="one">'
        "<send><![CDATA[\nOPTIONS sip:1551@[remote_ip]:[remote_port] SIP/2.0\n"
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n"
        "From: <sip:t@[local_ip]>;tag=[call_number]\nTo: <sip:1551@[remote_ip]>\nCall-ID: [call_id]\n"
        "CSeq: 1 OPTIONS\nMax-Forwards: 70\nContent-Length: 0\n\n]]></send>"
        '<recv response="200" timeout="300"/></scenario>'
    )
    done = subprocess.run(
        sipp.argv("-sf", scenario, "-m", "1", "-i", "127.0.0.1", "-nostdin", "-timeout", "5", "127.0.0.1:9"),
        env=sipp.env(), cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Failed call" in done.stdout


# Two ends in one page, the first sending the fake microphone: resolves to how many packets the second got.
CALL = """async () => {
  const microphone = await navigator.mediaDevices.getUserMedia({audio: true});
  const caller = new RTCPeerConnection(), seat = new RTCPeerConnection();
  caller.onicecandidate = event => event.candidate && seat.addIceCandidate(event.candidate);
  seat.onicecandidate = event => event.candidate && caller.addIceCandidate(event.candidate);
  microphone.getTracks().forEach(track => caller.addTrack(track, microphone));
  const unmuted = new Promise(done => seat.ontrack = event => event.track.onunmute = done);
  await caller.setLocalDescription(await caller.createOffer());
  await seat.setRemoteDescription(caller.localDescription);
  await seat.setLocalDescription(await seat.createAnswer());
  await caller.setRemoteDescription(seat.localDescription);
  await unmuted;
  const reports = [...(await seat.getStats()).values()];
  return reports.find(report => report.type === "inbound-rtp").packetsReceived;
}"""
# Letters of a font that lacks them are all drawn as the same box.
LETTERS_DIFFER = """() => {
  const context = document.createElement("canvas").getContext("2d");
  context.font = "40px sans-serif";
  return new Set([..."їґєщ"].map(letter => context.measureText(letter).width)).size;
}"""


def test_chromium_speaks_and_draws_ukrainian() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=ensure("chromium").executable,
            args=[
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                "--allow-loopback-in-peer-connection",
            ],
        )
        try:
            page = browser.new_page()
            page.route("**/*", lambda route: route.fulfill(body="<h1>1551</h1>", content_type="text/html"))
            page.goto("https://localhost/")  # a microphone is given to secure pages only
            assert page.evaluate(CALL) > 0
            assert page.evaluate(LETTERS_DIFFER) == 4
        finally:
            browser.close()
