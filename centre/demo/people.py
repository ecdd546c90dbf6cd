"""The people of the demo: residents at their telephones or writing, the centre's staff at their pages.

Residents act on what they hear, staff on what their page shows; neither knows the other but by the
call itself.
"""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from centre.accounts import Made
from centre.demo.browser import Browser, Page, PageError
from centre.demo.stage import Stage
from centre.phones import Caller, Media

MOBILE = re.compile(r"\+380(39|50|63|66|67|68|73|75|77|89|9\d)")
KEYS = {"key": "1", "zero": "0", "wrong": "7", "silence": ""}


class StoryError(AssertionError):
    """Something that the story tells did not really happen."""

TRIES, PAUSE_S = 10, 3.0  # of a call that is refused just now


@dataclass(kw_only=True)
class Applicant:
    """Who has something to say, about what, where. ``consents``: to be asked by a machine."""

    name: str
    number: str = ""
    street: str
    building: str
    flat: str = ""
    subject: str
    text: str
    consents: bool = False
    answers: list[str] = field(default_factory=lambda: ["1"])  # to "is it solved?", the last one for good
    # The appeal's number and code, as they reached him: at the end of the call, in a letter, on a page.
    told: asyncio.Future[tuple[str, str]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def address(self) -> str:
        return f"{self.street}, {self.building}"

    def next_answer(self) -> str:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass(kw_only=True)
class Resident(Applicant):
    """Who calls. ``way``: how this one goes through the menu."""

    way: str

    @property
    def host(self) -> str:
        """From where his operator's trunk calls us."""
        return "127.0.0.2" if MOBILE.match(self.number) else "127.0.0.1"


@dataclass(kw_only=True)
class Writer(Applicant):
    """Who comes by another way than a call. ``by``: as the report names it. ``more``: what he has to add later."""

    by: str
    email: str = ""
    title: str = ""
    more: str = ""

    @property
    def is_called(self) -> bool:
        """Whether the centre asks him by telephone: nobody can write to him."""
        return self.by in ("voice", "visit")


def cast(count: int) -> list[Resident]:
    """``count`` residents: those of residents.toml, then their neighbours."""
    given = _given()["resident"]
    people = [Resident(**one) for one in given]
    for at in range(count - len(people)):
        like, round_ = people[at % len(given)], at // len(given) + 1
        number = like.number[:-4] + f"{int(like.number[-4:]) + 1000 * round_:04d}"
        people.append(replace(like, name=f"{like.name} {round_ + 1}", number=number, flat=str(60 + at), answers=["1"],
                              consents=True, told=asyncio.get_running_loop().create_future()))  # fmt: skip
    return people[:count]


def writers() -> dict[str, Writer]:
    """Those of residents.toml, by their ways."""
    return {one["by"]: Writer(**one) for one in _given()["writer"]}


@dataclass
class Inquirer:
    """Who complains of nothing: he asks by keys how an appeal stands, then a person what he wants to know.

    ``asks``: as the operator looks for it.
    """

    number: str
    asks: str
    told: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


def inquirer() -> Inquirer:
    """The one of residents.toml."""
    return Inquirer(**_given()["inquirer"])


def _given() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "residents.toml").read_text())


async def call_in(stage: Stage, who: Resident, voice: bytes, connected: Callable[[], None] = lambda: None) -> None:
    """Calls 1551, goes through the menu in his way, speaks with an operator, and hangs up once told his number."""
    async with Caller(stage.sip, who.number, host=who.host) as phone:
        await phone.media.hear(stage.prompt("greeting"))
        phone.media.speak(voice)
        await phone.media.hear(stage.prompt("menu"))
        await phone.media.press(KEYS[who.way])
        await phone.media.hear(stage.seat_voice, timeout=90)
        connected()
        await asyncio.wait_for(asyncio.shield(who.told), 60)
        await phone.hang_up()


async def hang_up_waiting(stage: Stage, number: str, seen_waiting: Awaitable[object]) -> None:
    """Calls, waits in the queue until the live view has shown it, and hangs up."""
    async with Caller(stage.sip, number, host="127.0.0.2") as phone:
        await phone.media.hear(stage.prompt("greeting"))
        await phone.media.hear(stage.prompt("menu"))
        await phone.media.press("1")
        await seen_waiting
        await phone.hang_up()


async def ask(stage: Stage, who: Inquirer, voice: bytes, appeal: str, code: str, expected: str,
              heard: Callable[[], None]) -> None:  # fmt: skip
    """Calls from another telephone, asks for an appeal's state by its number and code, with keys alone, then for an
    operator, and hangs up once told."""
    async with Caller(stage.sip, who.number, host="127.0.0.2") as phone:
        media = phone.media
        for prompt, keys in (("greeting", ""), ("menu", "2"), ("ask-number", appeal), ("ask-code", code)):
            await media.hear(stage.prompt(prompt))
            await media.press(keys)
        await media.hear(stage.prompt(expected))
        heard()
        media.forget()  # he has heard the menu before
        await media.hear(stage.prompt("menu"))
        await media.press("1")
        media.speak(voice)
        await media.hear(stage.seat_voice, timeout=90)
        await asyncio.wait_for(asyncio.shield(who.told), 60)
        await phone.hang_up()


async def pick_up(stage: Stage, who: Applicant, media: Media, voice: bytes) -> None:
    """Answers the centre's call: a machine's by key, a person's by speaking."""
    media.speak(voice)
    if not who.consents:
        await media.hear(stage.seat_voice)
        return
    await media.hear(stage.prompt("confirm-answer-keys"), timeout=60)
    await media.press(who.next_answer())


class Worker:
    """A member of staff at the pages."""

    def __init__(self, stage: Stage, account: Made) -> None:
        self.stage, self.account = stage, account
        self.browser = Browser(stage.web)

    async def sign_in(self) -> None:
        own, _ = await self.browser.sign_in_first(self.account.login, self.account.password)
        self.account = replace(self.account, password=own)

    async def sit(self, seat: str) -> None:
        await self.browser.submit(await self.browser.open("/seat"), "/seat", seat=seat)

    async def leave(self) -> None:
        await self.browser.submit(await self.browser.open("/seat"), "/seat/leave")

    async def act(self, appeal: str, action: str, /, **answers: str | Path) -> Page:
        """Does something to the appeal of that number on its page."""
        page = await self.browser.open(f"/appeals/{appeal}")
        return await self.browser.submit(page, f"/appeals/{appeal}", action=action, **answers)


class Operator(Worker):
    """Takes calls at a seat: writes the appeal that the caller tells, or tells him what he asks."""

    async def work(self, residents: dict[str, Resident], inquirer: Inquirer, may_write: asyncio.Event) -> None:
        """Until cancelled. ``residents``: by number; ``may_write``: the conversation has come to its end."""
        done: set[str] = set()
        async for name, data in self.browser.events("/events"):
            linkedid = data.get("linkedid", "")
            if name != "call" or data.get("state") != "talking" or linkedid in done:
                continue
            done.add(linkedid)
            await may_write.wait()
            page = await self.browser.open(f"/calls/{linkedid}")
            who = next((r for r in residents.values() if _digits(r.number)[-9:] in _digits(page.html)), None)
            if who is not None:
                await self._write(page, linkedid, who)
            else:
                await self._inform(page, linkedid, inquirer)

    async def _inform(self, page: Page, linkedid: str, who: Inquirer) -> None:
        """Looks for what he asks, reads it to him, and says so: that was the call's outcome."""
        found = await self.browser.submit(page, f"/calls/{linkedid}/appeals", do="find", ask=who.asks)
        path = f"/calls/{linkedid}/given"
        article = next(one for one in found.form(path, {}).options["given"] if one.startswith("article-"))
        told = await self.browser.submit(found, path, given=article)
        if article in told.html or "told-mark" not in told.html:  # the button has become a mark
            raise PageError(f"it is not marked as told on {told.url}: {told.text[:500]}")
        who.told.set_result(None)

    async def _write(self, page: Page, linkedid: str, who: Resident) -> None:
        path = f"/calls/{linkedid}/appeals"
        answers = {"name": who.name, "address": who.address, "flat": who.flat, "text": who.text,
                   "subject": who.subject} | _consent(who)  # fmt: skip
        who.told.set_result(_saved(await self.browser.submit(page, path, **answers)))

    async def answer_from_programme(self, number: str) -> None:
        """Answers an appeal from the city programme that its page offers."""
        path = f"/appeals/{number}/programme"
        page = await self.browser.open(f"/appeals/{number}")
        programme = next(iter(page.form(path, {}).options["programme"]))
        await self.browser.submit(page, path, programme=programme)


class Specialist(Worker):
    """Answers what comes in writing: takes a message from the inbox and makes an appeal of it."""

    async def take(self, words: str) -> Page:
        """The message with these words in its line, once it has come: it is this person's now."""
        while (at := await self._found(words)) is None:  # noqa: ASYNC110  a list has no event
            await asyncio.sleep(1)
        return await self.browser.submit(await self.browser.open(at), at, do="claim")

    async def _found(self, words: str) -> str | None:
        page = await self.browser.open("/messages")
        return next((at for at, label in page.links if words in label and re.fullmatch(r"/messages/\d+", at)), None)

    async def register(self, message: Page, **answers: str) -> tuple[str, str]:
        """The number and code of the appeal that it becomes. ``answers``: what its form does not say already."""
        path = f"{urlsplit(message.url).path}/appeals"
        return _saved(await self.browser.submit(message, path, **answers))

    async def record(self, channel: str, who: Applicant, scan: Path) -> tuple[str, str]:
        """Writes down what came by hand: the appeal's number and code."""
        page = await self.browser.open("/messages/new")
        return _saved(await self.browser.submit(
            page, "/messages/new", channel=channel, name=who.name, phone=who.number, address=who.address,
            flat=who.flat, subject=who.subject, text=who.text, files=scan, **_consent(who)))  # fmt: skip

    async def hear(self, message: Page) -> bytes:
        """The voice that came with it, once it is there."""
        path = urlsplit(message.url).path
        while (file := re.search(r"/messages/files/\d+", message.html)) is None:
            await asyncio.sleep(1)
            message = await self.browser.open(path)
        return await self.browser.fetch(file[0])

    async def files_of(self, number: str) -> int:
        """How many photos and documents stand with that appeal."""
        page = await self.browser.open(f"/appeals/{number}")
        return len(set(re.findall(r"/attachments/\d+", page.html)))


class Desk(Worker):
    """The control desk: whose work is what, and what many suffer from one cause is one incident."""

    async def change_routing(self, note: str, department: str, subject: str, district: str, address: str) -> str:
        """Drafts the next edition of the rules with this rule, tries it on an appeal at ``address``, and publishes it:
        the department that the draft named."""
        page = await self.browser.submit(await self.browser.open("/rules/routing"), "/rules/routing", note=note)
        here = urlsplit(page.url).path
        page = await self.browser.submit(page, here, do="add", department=department, subject=subject,
                                         district=district)  # fmt: skip
        page = await self.browser.submit(page, here, subject=subject, address=address)
        tried = re.search(r'<p class="big"><b>([^<]*)</b>', page.html)
        if not tried:
            raise PageError(f"the draft does not say whose the appeal would be: {page.text[:500]}")
        await self.browser.submit(page, here, do="publish")
        return tried[1]

    async def open_incident(self, address: str, subject: str, cause: str) -> Page:
        """Declares it at a building, and what was written of it joins: its page."""
        page = await self.browser.open("/incidents")
        return await self.browser.submit(page, "/incidents", address=address, subject=subject, scope="building",
                                         cause=cause)  # fmt: skip

    async def close_incident(self, shown: Page, result: str) -> None:
        """All its appeals are executed by that, and everybody will be asked."""
        path = urlsplit(shown.url).path
        await self.browser.submit(await self.browser.open(path), path, do="close", note=result)


class Executor(Worker):
    """A department's: acknowledges each of its appeals, and reports it as executed, with a photo."""

    async def execute_all(self, proof: Path) -> list[str]:
        """The numbers of the appeals reported."""
        done = []
        page = await self.browser.open("/appeals")
        for number in dict.fromkeys(re.findall(r"/appeals/(\d+)", page.html)):
            await self.act(number, "acknowledge")
            await self.act(number, "execute", files=proof, note="Роботи виконано, перевірено на місці.")
            done.append(number)
        return done


class Feedback(Worker):
    """Calls a resident back in person and writes down his word."""

    async def call_back(self, name: str, asked: Awaitable[object]) -> None:
        """Places the live call to the resident of that name; ``asked``: until he has been spoken to."""
        attempt = await self._call(name)
        await asked
        number = next(m for m in re.findall(r'name="result-(\d+)"', attempt.html))
        path = urlsplit(attempt.url).path
        said = {"reached": "answered", f"result-{number}": "solved"}
        await self.browser.submit(await self.browser.open(path), path, **said)

    async def tell(self, name: str) -> tuple[str, str]:
        """Tells him the number and the code of his appeal, as they stand among what a person must tell."""
        page = await self.browser.open("/notices")
        line = next(one for one in re.findall(r"<li>.*?</li>", page.html, re.DOTALL) if name in one)
        number, code = re.findall(r'<b class="digits">(\d+)</b>', line)
        await self.browser.submit(page, re.findall(r'action="(/notices/\d+)"', line)[0])
        return number, code

    async def _call(self, name: str) -> Page:
        """What is refused now (the trunk is away, somebody waits) is tried again, as a person does who reads why."""
        for left in reversed(range(TRIES)):
            page = await self.browser.open("/confirmations")
            form = next((form for form in page.forms if re.fullmatch(r"/confirmations/\d+/call", form.path)
                         and _row_of(page.html, form.path, name)), None)  # fmt: skip
            if form is None:
                raise PageError(f"nobody called {name!r} is due on {page.url}: {page.text[:500]}")
            try:
                return await self.browser.submit(page, form.path)
            except PageError:
                if not left:
                    raise
                await asyncio.sleep(PAUSE_S)
        raise AssertionError


class Analyst(Worker):
    """Reads the report of this month, as it is given for a spreadsheet."""

    async def what_happened(self) -> dict[str, int]:
        """What the report says of the period's events: its words → how many."""
        page = await self.browser.open("/reports?file=csv")
        told = page.html.replace("\r", "").partition("Що відбулося за період")[2].strip().partition("\n\n")[0]
        return {name: int(count) for name, count in re.findall(r"^([^,\n]+),(\d+)$", told, re.MULTILINE)}


class Administrator(Worker):
    """Brings the city's files in, lets other programs in, and answers who asks what is kept of him."""

    async def make_key(self, name: str, channel: str) -> str:
        """A key for a program that files appeals: it is shown this once."""
        page = await self.browser.open("/rules/keys/new")
        made = await self.browser.submit(page, "/rules/keys/new", name=name, channel=channel)
        key = re.search(r'<code class="big[^"]*">([^<]+)</code>', made.html)
        if not key:
            raise PageError(f"no key on {made.url}: {made.text[:500]}")
        return key[1]

    async def check(self, kind: str, file: Path) -> Page:
        """The file is tried, and nothing of it loaded: what would come of it."""
        return await self.browser.submit(await self.browser.open("/import"), "/import", kind=kind, file=file)

    async def load(self, checked: Page) -> Page:
        """The file, as it was checked."""
        path = next((form.path for form in checked.forms if form.path.startswith("/import/")), "")
        return await self.browser.submit(checked, path)

    async def find(self, who: Resident) -> str:
        """The address of his card, found by his telephone."""
        page = await self.browser.submit(await self.browser.open("/privacy"), "/privacy", said=who.number)
        return next(address for address, label in page.links if label == who.name)

    async def give_out(self, card: str) -> Any:
        """All that is kept of him, as he gets it."""
        return json.loads((await self.browser.open(f"{card}/data")).html)

    async def forget(self, card: str, reason: str) -> Page:
        return await self.browser.submit(await self.browser.open(card), card, reason=reason, sure="1")


class Watcher(Worker):
    """A supervisor at the live view."""

    async def sees_waiting(self, number: str) -> None:
        """Waits until the live view shows that number among those who wait: its end, the rest is hidden there."""
        async for name, data in self.browser.events("/events?view=live"):
            if name == "live" and _digits(number)[-4:] in _digits(data.get("waiting", "")):
                return


def _consent(who: Applicant) -> dict[str, str]:
    """What is ticked for who may be called by a machine."""
    return {"consent": "on"} if who.consents else {}


def _saved(page: Page) -> tuple[str, str]:
    """The number and the code of the appeal that was registered, as the page has them to be told."""
    number = re.search(r"[?&]saved=(\d+)", page.url)
    code = re.search(r'data-code="(\d{4})"', page.html)
    if not number or not code:
        raise PageError(f"no number and code to tell on {page.url}: {page.text[:500]}")
    return number[1], code[1]


def _digits(text: str) -> str:
    return "".join(re.findall(r"\d", re.sub(r"<[^>]*>", " ", text)))


def _row_of(html: str, path: str, name: str) -> bool:
    """Whether the form stands in the part of the page that is about that person."""
    at = html.index(f'action="{path}"')
    return name in html[max(0, html.rfind("<tr", 0, at), html.rfind("<li", 0, at), html.rfind("<article", 0, at)):at]
