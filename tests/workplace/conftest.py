"""The whole workplace: a real Asterisk, our line and our pages as processes, and browsers that have voices.

Everything is started once for the tests of a file. Each browser's microphone hears a tone of its own, so that whoever
is at the other end can tell whose voice it is.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import math
import os
import re
import socket
import sys
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Playwright, async_playwright, expect

from centre import certificates
from centre.phones import free_port
from centre.provision import ensure
from centre.settings import ROOT, load_secrets
from crm import passwords, people
from crm.people import Role
from tests.telephony.conftest import Exchange, settings_for
from tests.telephony.with_line.conftest import Centre, running_centre
from tests.web.test_browser import QUIET

PASSWORD = "дев'ять з половиною"
PEOPLE = {"olena": Role.OPERATOR, "taras": Role.OPERATOR, "third": Role.OPERATOR, "iryna": Role.SUPERVISOR,
          "fedir": Role.FEEDBACK}  # fmt: skip
RATE = 8000
LIMIT = 30
VOICES = (440, 600, 1050)  # Hz; none is another's harmonic
CITIZEN = 1050
VOICED = (*QUIET, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
HERE = ("--allow-loopback-in-peer-connection",)  # the centre and its seats are one machine
# Each connection of a page, for tests to listen at. Echo cancelling and the like would take a tone for noise: what
# Chromium would do to a voice is not what is tried here.
REMEMBER = """
window.connections = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...how) { super(...how); window.connections.push(this); }
};
const plain = navigator.mediaDevices?.getUserMedia.bind(navigator.mediaDevices);
if (plain) navigator.mediaDevices.getUserMedia = ({ audio }) => plain({ audio: { ...audio,
  echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
"""
# How loud each of the tones is, in all that the page hears from its connections: dB, by Hz.
HEARD = """async (tones) => {
  const context = window.ears ??= new AudioContext();
  await context.resume();
  const analyser = context.createAnalyser();
  analyser.fftSize = 8192;
  analyser.smoothingTimeConstant = 0;
  const tracks = window.connections.filter((one) => one.connectionState === "connected")
    .flatMap((one) => one.getReceivers().map(({ track }) => track));
  const sources = tracks.map((track) => context.createMediaStreamSource(new MediaStream([track])));
  sources.forEach((source) => source.connect(analyser));
  await new Promise((done) => setTimeout(done, 300));
  const loud = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(loud);
  sources.forEach((source) => source.disconnect());
  const at = (hz) => Math.round(hz * analyser.fftSize / context.sampleRate);
  return tones.map((hz) => Math.max(...loud.slice(at(hz) - 1, at(hz) + 2)));
}"""

# What has gone over the page's connections: packets each way, and from where to where.
COUNTED = """async () => {
  const counted = { received: 0, sent: 0, ways: [] };
  for (const one of window.connections.filter((one) => one.connectionState === "connected")) {
    const told = await one.getStats();
    for (const { type, packetsReceived, packetsSent, selectedCandidatePairId } of told.values()) {
      if (type === "inbound-rtp") counted.received += packetsReceived;
      if (type === "outbound-rtp") counted.sent += packetsSent;
      if (type !== "transport") continue;
      const { localCandidateId, remoteCandidateId } = told.get(selectedCandidatePairId);
      counted.ways.push([localCandidateId, remoteCandidateId].map((id) => told.get(id).address));
    }
  }
  return counted;
}"""


def heard_as(byte: int) -> int:
    """The sample of a byte of A-law, ±32256."""
    byte ^= 0x55
    exponent, mantissa = byte >> 4 & 7, byte & 0x0F
    size = (mantissa << 4) + 8 if not exponent else ((mantissa << 4) + 0x108) << exponent - 1
    return size if byte & 0x80 else -size


SAMPLES = [heard_as(byte) for byte in range(256)]
WRITTEN = {sample: byte for byte, sample in enumerate(SAMPLES)}


def tone(hertz: int, seconds: float = 1.0) -> bytes:
    """A tone as A-law, whole periods of it."""
    ways = sorted(WRITTEN)

    def nearest(wanted: float) -> int:
        return WRITTEN[min(ways, key=lambda way: abs(way - wanted))]

    known: dict[int, int] = {}
    out = bytearray()
    for at in range(int(RATE * seconds)):
        sample = int(9000 * math.sin(2 * math.pi * hertz * at / RATE))
        out.append(known.setdefault(sample, nearest(sample)))
    return bytes(out)


def loudness(sound: bytes, hertz: int) -> float:
    """How much of this tone there is in A-law sound, 0 to 1 of all of it (Goertzel)."""
    samples = [SAMPLES[byte] for byte in sound]
    turn = 2 * math.cos(2 * math.pi * hertz / RATE)
    one = two = 0.0
    for sample in samples:
        one, two = sample + turn * one - two, one
    power = one * one + two * two - turn * one * two
    whole = sum(sample * sample for sample in samples)
    return 2 * power / (len(samples) * whole) if whole else 0.0


def voice_file(folder: Path, hertz: int) -> Path:
    """What a browser's microphone hears, again and again."""
    path = folder / f"{hertz}.wav"
    rate = 48000
    samples = array.array("h", (int(9000 * math.sin(2 * math.pi * hertz * at / rate)) for at in range(rate)))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, len(samples), "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


class Seat:
    """A person at a browser, and the telephone that is in it."""

    def __init__(self, page: Page, number: str) -> None:
        self.page, self.number = page, number

    @property
    def frame(self) -> Any:
        return self.page.frame_locator("#page")

    async def is_(self, state: str) -> None:
        """Waits until the telephone says so."""
        await expect(self.page.locator("body")).to_have_attribute("data-state", state)

    async def press(self, key: str) -> None:
        await self.page.keyboard.press(key)

    async def answer(self) -> None:
        """Takes the call that rings, as a person does: a key that met the card just as it came is pressed again."""
        await self.is_("ringing")
        body, taken = self.page.locator("body"), False
        while not taken:
            await self.press("F2")
            with contextlib.suppress(AssertionError):
                await expect(body).not_to_have_attribute("data-state", "ringing", timeout=3000)
                taken = True
        await self.is_("talking")

    async def hears(self, *voices: int) -> None:
        """Waits until these tones, and none of VOICES else, are what this browser's telephone hears."""
        loud: dict[int, float] = {}
        try:
            async with asyncio.timeout(LIMIT):
                while True:
                    loud = dict(zip(VOICES, await self.page.evaluate(HEARD, list(VOICES)), strict=True))
                    if all((loud[one] > -45) is (one in voices) for one in VOICES):
                        return
        except TimeoutError:
            raise AssertionError(f"{voices} is not what {self.number} hears: {loud}") from None

    async def counted(self) -> dict[str, Any]:
        """RTP of the calls that are on: packets ``received`` and ``sent``, and ``ways``: of each call our address and
        the centre's."""
        counted: dict[str, Any] = await self.page.evaluate(COUNTED)
        return counted


class Workplace:
    """What a test needs of all of it. ``folder``: the browsers' home; ``browser``: their program, and what it is told
    besides VOICED."""

    def __init__(self, exchange: Exchange, centre: Centre, playwright: Playwright, folder: Path,
                 browser: tuple[str, Sequence[str]]) -> None:  # fmt: skip
        self.exchange, self.centre, self.settings = exchange, centre, centre.settings
        self.base = certificates.where(self.settings)
        self._playwright, self._folder, self._browser = playwright, folder, browser
        self._browsers: dict[int, Browser] = {}
        self.seats: dict[str, Seat] = {}
        self._web: asyncio.subprocess.Process | None = None
        self.complaints: list[str] = []

    async def start_web(self) -> None:
        """Returns when the pages answer."""
        given = {name: getattr(self.settings, name) for name in self.settings.model_fields_set}
        env = {f"CENTRE_{name.upper()}": value if isinstance(value, str) else json.dumps(value, default=str).strip('"')
               for name, value in given.items()}  # fmt: skip
        with (self.settings.var / "web.log").open("ab") as log:
            self._web = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "centre", "web", cwd=ROOT, env=os.environ | env, stderr=log,
                stdin=asyncio.subprocess.DEVNULL)  # fmt: skip
        base, tls = certificates.within(self.settings)
        async with httpx.AsyncClient(verify=tls) as client, asyncio.timeout(LIMIT):
            while True:
                try:
                    if (await client.get(f"{base}/healthz")).status_code == httpx.codes.OK:
                        return
                except httpx.HTTPError:
                    await asyncio.sleep(0.05)

    async def stop_web(self) -> None:
        assert self._web is not None
        self._web.terminate()
        await asyncio.wait_for(self._web.wait(), LIMIT)

    async def kill_web(self) -> None:
        assert self._web is not None
        self._web.kill()
        await self._web.wait()

    async def page(self, hertz: int, login: str) -> Page:
        """A browser whose microphone hears this tone, signed in."""
        if hertz not in self._browsers:
            executable, besides = self._browser
            self._browsers[hertz] = await self._playwright.chromium.launch(
                executable_path=executable, env={**os.environ, "HOME": str(self._folder)},
                args=[*VOICED, *besides, f"--use-file-for-fake-audio-capture={voice_file(self._folder, hertz)}"])
        context: BrowserContext = await self._browsers[hertz].new_context(
            base_url=self.base, viewport={"width": 1280, "height": 720}, permissions=["microphone"])  # fmt: skip
        context.set_default_timeout(LIMIT * 1000)
        await context.add_init_script(REMEMBER)
        page = await context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: said.type == "error" and self.complaints.append(said.text))
        await page.goto("/sign-in")
        await page.get_by_label("Логін").fill(login)
        await page.get_by_label("Пароль").fill(PASSWORD)
        await page.get_by_role("button", name="Увійти").click()
        await page.wait_for_url(lambda url: "sign-in" not in url)
        return page

    async def sit(self, hertz: int, login: str, number: str) -> Seat:
        """A person with that voice at that seat, whose telephone is ready and in the queue."""
        page = await self.page(hertz, login)
        await self.choose(page, number)
        self.seats[number] = seat = Seat(page, number)
        await seat.is_("ready")
        await self.centre.seat_is("free", number)
        return seat

    async def choose(self, page: Page, number: str, by: str = "Цей браузер", seat: str = "Місце",
                     start: str = "Почати роботу") -> None:  # fmt: skip
        """Sits down with this browser, in the words of the page's language."""
        await page.get_by_label(seat, exact=True).select_option(number)
        await page.get_by_label(by).check()
        await page.get_by_role("button", name=start).click()
        await page.wait_for_url("**/desk**")

    async def close(self) -> None:
        for browser in self._browsers.values():
            await browser.close()


@asynccontextmanager
async def running_workplace(folder: Path, browser: tuple[str, Sequence[str]],
                            **settings: object) -> AsyncIterator[Workplace]:  # fmt: skip
    """All of it, with these settings, and PEOPLE, who may sign in."""
    own = settings_for(folder, **{"ring_timeout": 30, "seat_first": 201, "require_totp": False, "rate_calls": False,
                                  "web_port": free_port(kind=socket.SOCK_STREAM), **settings})  # fmt: skip
    expect.set_options(timeout=LIMIT * 1000)
    exchange = Exchange(own, load_secrets(own))
    async with AsyncExitStack() as stack:
        stack.callback(exchange.stop)
        await asyncio.to_thread(exchange.start)
        centre = await stack.enter_async_context(running_centre(exchange))
        hashed = passwords.hashed(PASSWORD)
        for login, role in PEOPLE.items():
            centre.write(lambda conn, login=login, role=role: people.add_staff(  # type: ignore[misc]
                conn, login=login, name=login.capitalize(), password_hash=hashed, role=role,
                password_given=False))  # fmt: skip
        playwright = await stack.enter_async_context(async_playwright())
        workplace = Workplace(exchange, centre, playwright, folder, browser)
        await workplace.start_web()
        stack.push_async_callback(workplace.stop_web)
        stack.push_async_callback(workplace.close)
        yield workplace


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def workplace(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workplace]:
    folder = tmp_path_factory.mktemp("workplace")
    async with running_workplace(folder, (ensure("chromium").executable, HERE)) as workplace:
        yield workplace


def ended_well(complaints: list[str]) -> list[str]:
    """What browsers complained of, less that a server was away while it was restarted."""
    return [said for said in complaints if not re.search(r"WebSocket connection|ERR_CONNECTION|Failed to load", said)]
