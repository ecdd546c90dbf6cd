"""`./1551 up`: the whole centre as child processes, each started again when it dies.

Asterisk, the line and the web can each die alone. A child that dies is started again at once, then
after longer and longer pauses while it keeps dying young. Ctrl-C or SIGTERM stops all of it: the
pages and the post first, so that nobody writes into a closing centre, Asterisk last.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from centre import accounts, certificates
from centre.asterisk import Asterisk
from centre.settings import ROOT, Secrets, Settings
from centre.texts import sentence, terminal_language

YOUNG = 5.0  # seconds: dying sooner than this after a start is dying young
PARTS = ("line", "web", "portal", "post")
LONGEST_PAUSE = 10.0
STOPPING = 10.0  # how long a child may take to stop before it is killed


@dataclass
class Child:
    """One process of the centre, kept running until told to stop."""

    name: str
    argv: Sequence[str]
    say: Callable[[str], None]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    _process: asyncio.subprocess.Process | None = None
    _stopping: bool = False

    async def keep(self) -> None:
        """Runs it, and again whenever it ends, until ``stop``."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        while not self._ending():
            started = loop.time()
            # A session of its own: Ctrl-C in the terminal reaches us, and we end the rest in order. Our stdout is where
            # scripts read that the centre is ready; what Asterisk prints there is in its own log too.
            self._process = await asyncio.create_subprocess_exec(
                *self.argv, env=dict(self.env), cwd=ROOT, start_new_session=True, stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL)  # fmt: skip
            code = await self._process.wait()
            if self._ending():
                return
            pause = min(LONGEST_PAUSE, pause * 2 or 0.5) if loop.time() - started < YOUNG else 0.0
            self.say(f"{self.name} ended with {code}; starting it again" + (f" in {pause:g} s" if pause else ""))
            await asyncio.sleep(pause)

    def _ending(self) -> bool:
        """Asked anew after each wait: ``stop`` may have been called meanwhile."""
        return self._stopping

    async def stop(self) -> None:
        """Asks it to end, waits, and kills it only if it does not."""
        self._stopping = True
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOPPING)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


def part(name: str, say: Callable[[str], None]) -> Child:
    """A child that is one of our own commands: one of PARTS."""
    return Child(name, [sys.executable, "-m", "centre", name], say)


async def run(settings: Settings, secrets: Secrets, say: Callable[[str], None]) -> int:
    """Starts everything, says where to go, and returns after a signal has stopped it all."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    asterisk = Asterisk(settings, secrets)
    asterisk.prepare()
    children = [Child("asterisk", asterisk.argv(), say, asterisk.env()), *(part(name, say) for name in PARTS)]
    keeping = [asyncio.create_task(child.keep(), name=child.name) for child in children]
    telling = asyncio.create_task(ready(settings, say))
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopped, *keeping], return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    for child in reversed(children):
        await child.stop()
    for task in keeping:
        task.cancel()
    results = await asyncio.gather(*keeping, return_exceptions=True)
    failures = [r for r in results if isinstance(r, Exception)]
    for failure in failures:
        say(f"could not run: {failure}")
    return 1 if failures or stopped not in done else 0


async def ready(settings: Settings, say: Callable[[str], None]) -> None:
    """Says where to go once the pages answer; and to a centre that has nobody yet, how to come in."""
    address, verify = certificates.within(settings)
    async with httpx.AsyncClient(verify=verify) as client:
        while True:
            try:
                if (await client.get(f"{address}/healthz")).status_code == httpx.codes.OK:
                    break
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)
    made, language = await asyncio.to_thread(accounts.first_administrator, settings), terminal_language()
    print(f"ready {certificates.where(settings)}", flush=True)
    say(sentence("up.ready", language, address=certificates.where(settings), number=settings.short_number,
                 sip=f"{settings.sip_bind}:{settings.sip_port}"))  # fmt: skip
    if (its := certificates.served(settings)) is not None:
        say(sentence("up.made" if its.made else "up.given", language, file=its.trusted,
                     fingerprint=certificates.fingerprint(its.trusted)))  # fmt: skip
    if made is not None:
        say(sentence("up.first", language, login=made.login, password=made.password))
