"""The act "written": one resident by each way that is no call, each with a matter of his own, beside the calls.

- **web**: fills in the portal's form, with a photo, is shown the number and the code, and follows the appeal there; on
  its page he says that it is solved.
- **email**: writes a letter with two photos; a specialist makes an appeal of it, the receipt comes by mail. He answers
  to it with one more photo, which is added, and to the next letter with a word.
- **sms**: writes to the mobile number; what he is told is short, and he answers "1".
- **voice**: calls that number, our trunk does not answer, and he leaves his voice. A specialist hears it and registers;
  a person tells him the number, and the centre calls him back.
- **facebook**: is asked one thing after another; what comes of it he reads there. He says "not solved" first.
- **open311**: a program of somebody's files it with a key. He opens the address in the letter and presses the button.
- **mobile**: the city's app files, follows and answers by the API.
- **visit**: was at a personal reception; a specialist writes it down, with a scan, and the centre calls him back.

What each acts on is what has reached him: his mailbox, his telephone, his page. The calls back are the story's.
"""

from __future__ import annotations

import asyncio
import email
import io
import re
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from PIL import Image

from centre.demo.browser import LIMITS, Browser, Page, PageError
from centre.demo.people import Administrator, Feedback, Specialist, StoryError, Writer
from centre.demo.stage import MAILBOX, Outside, Stage
from centre.outside.facebook import Message

T = TypeVar("T")

PATIENCE_S = 90.0  # for what must reach somebody
PSID = "7700000000000001"
KYIV_NORTH, KYIV_EAST = (50.0, 28.0, 11.5), (30.0, 31.0, 2.4)  # where the photo of the yard was taken
GPS = 0x8825  # of EXIF
LETTER_RECEIPT = re.compile(r"Номер: (\d+)\s+Код: (\d{4})")
SMS_RECEIPT = re.compile(r"звернення (\d+) зареєстровано, код (\d{4})")
IS_SOLVED, PAGE_ASKS, CLOSED = "Чи справді питання вирішено?", "Виконавець каже, що зроблено", "закрито"


class Written:
    """``play`` is the whole act. ``returned``: who says «not solved» has been told that it went back. ``executed`` is
    to be set once the departments have reported."""

    def __init__(self, stage: Stage, outside: Outside, writers: dict[str, Writer], say: Callable[[str], None]) -> None:
        self.stage, self.outside, self.say = stage, outside, say
        self.writers = writers
        self.not_solved = writers["facebook"]
        self.executed, self.returned = asyncio.Event(), asyncio.Event()
        self._one_at_a_time = asyncio.Lock()  # the specialist is one person

    async def play(self, specialist: Specialist, feedback: Feedback, administrator: Administrator) -> None:
        """``specialist`` makes appeals of messages, ``feedback`` tells whom nobody can write to, ``administrator`` lets
        programs in."""
        self._specialist = specialist
        by = self.writers
        acts = {
            "web": self._web(by["web"]), "email": self._email(by["email"]), "sms": self._sms(by["sms"]),
            "voice": self._voice(by["voice"], feedback), "facebook": self._facebook(by["facebook"]),
            "open311": self._open311(by["open311"], administrator), "mobile": self._mobile(by["mobile"], administrator),
            "visit": self._visit(by["visit"]),
        }  # fmt: skip
        async with asyncio.TaskGroup() as group:
            for way, act in acts.items():
                group.create_task(self._act(by[way], act))

    @staticmethod
    async def _act(who: Writer, act: Coroutine[Any, Any, None]) -> None:
        try:
            await act
        except (AssertionError, TimeoutError, httpx.HTTPError, OSError, LookupError) as error:
            raise StoryError(f"{who.by}, {who.name}: {type(error).__name__}: {error}") from error

    # ── by the portal ──
    async def _web(self, who: Writer) -> None:
        home = Browser(self.outside.portal)
        try:
            photo = self._photo("двір", taken_at=True)
            page = await home.submit(
                await home.open("/file"), "/file", subject=who.subject, text=who.text, address=who.address,
                flat=who.flat, name=who.name, email=who.email, tell_by="email", consent="1", files=photo)  # fmt: skip
            shown = re.findall(r'<dd class="digits">(\d+)</dd>', page.html)
            if not page.url.endswith("/receipt?done=filed") or len(shown) != 2:
                raise PageError(f"no receipt on {page.url}: {page.text[:500]}")
            its = urlsplit(page.url).path.removesuffix("/receipt")
            page = await home.open(its)
            await self._is_without_place(home, page)
            self._told(who, (shown[0], shown[1]), "filed an appeal at the portal, with a photo")
            await self.executed.wait()
            page = await self._page_asks(home, its)
            page = await home.submit(page, f"{its}/word", result="solved")
            if "Звернення закрито за вашим словом" not in page.text:
                raise PageError(f"{page.url} does not say that it is closed: {page.text[:500]}")
            await self._letter(who, CLOSED)
            self._closed(who, "pressed «solved» on its page")
        finally:
            await home.close()

    @staticmethod
    async def _is_without_place(home: Browser, page: Page) -> None:
        """His photo stands on the page, and nobody can read off it where he lives."""
        shown = re.findall(r'<img src="([^"]+)"', page.html)
        photo = Image.open(io.BytesIO(await home.fetch(shown[0])))
        if photo.getexif().get_ifd(GPS):
            raise StoryError("the photo still says where it was taken")

    @staticmethod
    async def _page_asks(home: Browser, its: str) -> Page:
        """The appeal's own page, once it asks for his word."""
        async with asyncio.timeout(PATIENCE_S):
            while PAGE_ASKS not in (page := await home.open(its)).text:  # noqa: ASYNC110  a page has no event
                await asyncio.sleep(1)
        return page

    # ── by mail ──
    async def _email(self, who: Writer) -> None:
        self._send(who, who.title, who.text, [self._photo("люк"), self._photo("люк зблизька")])
        await self._letter(who, "Ми отримали ваш лист")
        await self._registered(who, who.title, address=who.address, subject=who.subject)
        receipt = await self._letter(who, "Номер:")
        number, code = LETTER_RECEIPT.findall(_text(receipt))[0]
        self._told(who, (number, code), "wrote a letter with two photos, and has the receipt")
        self._answer(who, receipt, who.more, [self._photo("асфальт")])
        await self._letter(who, f"додано до звернення № {number}")
        if (there := await self._specialist.files_of(number)) != 3:
            raise StoryError(f"№ {number} has {there} photos of three")
        self.say(f"{who.name} answered with one more photo: it stands with № {number} too.")
        await self.executed.wait()
        self._answer(who, await self._letter(who, IS_SOLVED), "Вирішено")
        await self._letter(who, CLOSED)
        self._closed(who, "answered the letter with «Вирішено»")

    async def _letter(self, who: Writer, words: str) -> EmailMessage:
        """The last letter in his mailbox that says this, once there is one."""

        def look() -> EmailMessage | None:
            came = [email.message_from_bytes(each, policy=policy.default) for each in
                    self.outside.mail.letters(who.email)]  # fmt: skip
            return next((each for each in reversed(came) if words in _text(each)), None)

        return await self._comes(f"a letter with «{words}»", look)

    def _send(self, who: Writer, title: str, text: str, photos: list[Path], *, answers: EmailMessage | None = None,
              to: str = MAILBOX) -> None:  # fmt: skip
        letter = EmailMessage()
        letter["From"], letter["To"], letter["Subject"] = f"{who.name} <{who.email}>", to, title
        letter["Date"], letter["Message-ID"] = format_datetime(datetime.now(UTC)), make_msgid(domain="post.test")
        if answers is not None:
            letter["In-Reply-To"] = letter["References"] = str(answers["Message-ID"])
        letter.set_content(text)
        for photo in photos:
            letter.add_attachment(photo.read_bytes(), maintype="image", subtype="jpeg", filename=photo.name)
        self.outside.mail.hand_in(letter, [to])

    def _answer(self, who: Writer, to: EmailMessage, text: str, photos: list[Path] | None = None) -> None:
        """As a mail program does: what is answered stands below, quoted."""
        quoted = "\n".join(f"> {line}" for line in _text(to).splitlines())
        self._send(who, f"Re: {to['Subject']}", f"{text}\n\n{to['Date']} {to['From']} пише:\n{quoted}\n", photos or [],
                   answers=to, to=str(to["Reply-To"] or to["From"]))  # fmt: skip

    # ── by SMS ──
    async def _sms(self, who: Writer) -> None:
        await self._text(who, who.text)
        await self._registered(who, who.text[:40], name=who.name, address=who.address, subject=who.subject)
        receipt = await self._texted(who, "зареєстровано")
        self._told(who, SMS_RECEIPT.findall(receipt)[0], "wrote an SMS, and has the number by SMS")
        await self.executed.wait()
        await self._texted(who, "чи вирішено?")
        await self._text(who, "1")
        await self._texted(who, CLOSED)
        self._closed(who, "answered the SMS with «1»")

    async def _text(self, who: Writer, body: str) -> None:
        hook = self.outside.twilio.sms(who.number, body)
        (await asyncio.to_thread(hook.send, self.outside.http)).raise_for_status()

    async def _texted(self, who: Writer, words: str) -> str:
        """The SMS that says this, once he has got it: that it was delivered is reported."""
        twilio = self.outside.twilio

        def look() -> dict[str, Any] | None:
            return next((its for its in twilio.outgoing() if its["to"] == who.number and words in its["body"]), None)

        its = await self._comes(f"an SMS with «{words}»", look)
        report = twilio.report(its["sid"], "delivered")
        (await asyncio.to_thread(report.send, self.outside.http)).raise_for_status()
        return str(its["body"])

    # ── a voice ──
    async def _voice(self, who: Writer, feedback: Feedback) -> None:
        voice = (self.stage.settings.prompts / "uk" / "ask-number.wav").read_bytes()  # any speech will do
        heard = await asyncio.to_thread(self.outside.twilio.call, self.outside.http, who.number, trunk="no-answer",
                                        voice=voice, seconds=6)  # fmt: skip
        if not heard.dialled or not heard.beeped or not heard.hung_up:
            raise StoryError(f"he was not connected to our trunk, and then asked to speak: {heard.dialled}")
        for hook in heard.hooks:
            (await asyncio.to_thread(hook.send, self.outside.http)).raise_for_status()
        message = await self._taken("Голосове звернення")
        async with asyncio.timeout(PATIENCE_S):
            if await self._specialist.hear(message) != voice:
                raise StoryError("the specialist hears something else than he said")
        read = await self._specialist.register(
            message, name=who.name, address=who.address, subject=who.subject, text=who.text, tell_by="phone",
            consent="on")  # fmt: skip
        told = await feedback.tell(who.name)
        if told != read:
            raise StoryError(f"he was told {told}, and it is {read}")
        self._told(who, told, "reached no seat by the mobile number and left his voice: a specialist listened")

    # ── on Facebook ──
    async def _facebook(self, who: Writer) -> None:
        self.outside.facebook.files["гойдалка.jpg"] = self._photo("гойдалка").read_bytes()
        await self._talk("Добрий день")
        asked = await self._talk(who.text)
        await self._talk(press=_choice(asked, who.subject))
        await self._talk(who.address)
        await self._talk(photo="гойдалка.jpg")
        for press, text in (("Далі", ""), ("", who.name), ("Без телефону", ""), ("Передати", "")):
            asked = await self._talk(text, press=press)
        if "передано спеціалістові" not in asked.text:
            raise StoryError(f"the conversation ended with: {asked.text}")
        await self._registered(who, who.text[:40])
        receipt = await self._messaged("Номер:", 1)
        self._told(who, LETTER_RECEIPT.findall(receipt.text)[0], "was asked by a conversation on Facebook")
        await self.executed.wait()
        await self._messaged(IS_SOLVED, 1)
        await self._talk(press="Не вирішено")
        await self._messaged("повернуто виконавцеві", 1)
        self.returned.set()
        self.say(f"{who.name} said «not solved» on Facebook: № {who.told.result()[0]} goes back to its department.")
        await self._messaged(IS_SOLVED, 2)
        await self._talk(press="Вирішено")
        await self._messaged(CLOSED, 1)
        self._closed(who, "said «solved» on Facebook the second time")
        if self.outside.facebook.wrong:
            raise StoryError(f"Facebook would not have taken: {self.outside.facebook.wrong}")

    async def _talk(self, text: str = "", *, press: str = "", photo: str = "") -> Message:
        """She writes, presses or sends a photo: what she is answered."""
        facebook = self.outside.facebook
        so_far = len(facebook.got(PSID))
        said = facebook.press(PSID, press) if press else facebook.write(PSID, text, photos=[photo] if photo else [])
        if (status := await asyncio.to_thread(facebook.deliver, said)) != httpx.codes.OK:
            raise StoryError(f"the webhook answered {status}")
        return (await self._comes("an answer", lambda: facebook.got(PSID)[so_far:]))[0]

    async def _messaged(self, words: str, times: int) -> Message:
        """The message with these words, once she has got as many of them."""

        def look() -> Message | None:
            came = [each for each in self.outside.facebook.got(PSID) if words in each.text]
            return came[times - 1] if len(came) >= times else None

        return await self._comes(f"a message with «{words}»", look)

    # ── by programs ──
    async def _open311(self, who: Writer, administrator: Administrator) -> None:
        key = await administrator.make_key("Застосунок «Ями Києва»", "open311")
        async with httpx.AsyncClient(base_url=f"{self.outside.portal}/open311/v2", timeout=20,
                                     limits=LIMITS) as program:  # fmt: skip
            offered = (await program.get("/services.json")).json()
            code = next(each["service_code"] for each in offered if each["service_name"] == who.subject)
            given, family = who.name.split()
            answer = await program.post("/requests.json", data={
                "api_key": key, "service_code": code, "address_string": who.address, "description": who.text,
                "first_name": given, "last_name": family, "email": who.email})  # fmt: skip
            number = answer.raise_for_status().json()[0]["service_request_id"]
            told = LETTER_RECEIPT.findall(_text(await self._letter(who, "Номер:")))[0]
            if told[0] != number:
                raise StoryError(f"the program was told {number}, he {told[0]}")
            self._told(who, told, "was served by another program, through Open311, and has the receipt")
            await self.executed.wait()
            letter = _text(await self._letter(who, IS_SOLVED))
            its = urlsplit(re.findall(rf"{re.escape(self.outside.portal)}/a/\S+", letter)[0]).path
            home = Browser(self.outside.portal)
            try:
                await home.submit(await self._page_asks(home, its), f"{its}/word", result="solved")
            finally:
                await home.close()
            await self._letter(who, CLOSED)
            if (await program.get(f"/requests/{number}.json")).json()[0]["status"] != "closed":
                raise StoryError(f"Open311 does not say that {number} is closed")
        self._closed(who, "opened the address in the letter and pressed «solved»")

    async def _mobile(self, who: Writer, administrator: Administrator) -> None:
        key = await administrator.make_key("Міський застосунок", "mobile")
        async with httpx.AsyncClient(base_url=f"{self.outside.portal}/api/v1", headers={"X-API-Key": key},
                                     timeout=20, limits=LIMITS) as app:  # fmt: skip
            offered = (await app.get("/subjects")).json()["subjects"]
            places = (await app.get("/addresses", params={"q": who.address})).json()["addresses"]
            subject = next(each["id"] for each in offered if each["name"] == who.subject)
            made = await self._call(app, "/appeals", {
                "subject_id": subject, "text": who.text, "name": who.name, "phone": who.number,
                "building_id": places[0]["id"], "tell_by": "nothing"})  # fmt: skip
            number, code = made["number"], made["code"]
            self._told(who, (str(number), code), "filed an appeal in the city's app")
            own = {"number": number, "code": code}
            await self.executed.wait()
            async with asyncio.timeout(PATIENCE_S):
                while (stands := await self._call(app, "/appeals/status", own))["awaited"] != "word":  # noqa: ASYNC110
                    await asyncio.sleep(1)
            if not stands["answerable"]:
                raise StoryError(f"the app may not answer: {stands}")
            stands = await self._call(app, "/appeals/answer", own | {"result": "solved"})
            if stands["stage"] != "solved":
                raise StoryError(f"the app is told {stands['stage']} after «solved»")
        self._closed(who, "said «solved» in the app")

    @staticmethod
    async def _call(app: httpx.AsyncClient, path: str, said: dict[str, Any]) -> dict[str, Any]:
        answer = await app.post(path, json=said, headers={"Idempotency-Key": str(uuid.uuid4())})
        if answer.is_error:
            raise StoryError(f"{path}: {answer.status_code} {answer.text}")
        told: dict[str, Any] = answer.json()
        return told

    # ── by hand ──
    async def _visit(self, who: Writer) -> None:
        async with self._one_at_a_time:
            told = await self._specialist.record("visit", who, self._photo("рахунок"))
        self._told(who, told, "was at a personal reception: a specialist wrote it down, with a copy of the bill")

    # ── what all of them do ──
    async def _registered(self, who: Writer, words: str, **answers: str) -> None:
        """A specialist makes an appeal of what this one wrote. ``answers``: what the message does not say by itself."""
        message = await self._taken(words)
        await self._specialist.register(message, **answers)

    async def _taken(self, words: str) -> Page:
        async with asyncio.timeout(PATIENCE_S), self._one_at_a_time:
            return await self._specialist.take(words)

    def _told(self, who: Writer, told: tuple[str, str], how: str) -> None:
        who.told.set_result(told)
        self.say(f"{who.name} {how}: № {told[0]}.")

    def _closed(self, who: Writer, how: str) -> None:
        self.say(f"{who.name} {how}: № {who.told.result()[0]} is closed.")

    @staticmethod
    async def _comes(what: str, look: Callable[[], T | None]) -> T:
        """What ``look`` sees, once it is there; it may take its time."""
        until = asyncio.get_running_loop().time() + PATIENCE_S
        while not (found := await asyncio.to_thread(look)):
            if asyncio.get_running_loop().time() > until:
                raise TimeoutError(f"{what} never came")
            await asyncio.sleep(0.5)
        return found

    def _photo(self, name: str, *, taken_at: bool = False) -> Path:
        """A picture like no other. ``taken_at``: as a telephone makes it, which writes down where that was."""
        file = self.stage.settings.var / f"{name}.jpg"
        exif = Image.Exif()
        if taken_at:
            exif.get_ifd(GPS).update({1: "N", 2: KYIV_NORTH, 3: "E", 4: KYIV_EAST})
        Image.effect_noise((640, 480), 60).save(file, exif=exif)
        return file


def _choice(asked: Message, label: str) -> str:
    """What is pressed for this answer: its name, or the number of its line."""
    if label in asked.choices:
        return label
    line = re.search(rf"^(\d+)\. {re.escape(label)}$", asked.text, re.MULTILINE)
    if line is None:
        raise StoryError(f"«{label}» is not offered: {asked.text}, {asked.choices}")
    return line[1]


def _text(letter: EmailMessage) -> str:
    """What is read of it."""
    body = letter.get_body(("plain",))
    return str(body.get_content()) if body is not None else ""
