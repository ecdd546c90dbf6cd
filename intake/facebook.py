"""Messages to the city's page on Facebook: what the platform sends is read, taken once, and answered by the
conversation (``intake.conversation``) until a specialist has it.

Only messages to our own page are taken. What we wrote ourselves, what was delivered or read, and what is written under
the page's posts is none of them. Source: the Messenger Platform's and the Graph API's documentation.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import io
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
from sqlalchemy import Connection

from crm import (
    addresses,
    attachments,
    confirmations,
    conversations,
    departments,
    messages,
    notices,
    remote_files,
    similar,
    tokens,
)
from crm import written as words_of
from crm.confirmation_rules import Result
from crm.conversations import Conversation
from crm.departments import Subject
from crm.errors import BadInput
from crm.life import Action
from crm.messages import State
from crm.notices import Way
from crm.remote_files import RemoteFile
from crm.store import Database
from intake import conversation
from intake.conversation import Button, Choice, Handed, Heard, Step, Turn

CHANNEL = "facebook"
LONGEST_ADDRESS = 1500  # characters, of a file
LARGEST_BODY = 1024 * 1024  # bytes; the platform puts many messages into one
WINDOW = dt.timedelta(hours=24)  # after somebody's message in which he may be answered
SILENCE = dt.timedelta(minutes=30)  # after which a person goes on
AFTERWARDS = dt.timedelta(days=1)  # in which what he adds belongs to the appeal that was made
TIMEOUT_S = 20.0
NEARNESS = 0.3  # of a subject's name to his words, to be offered
MOST_ASKED = 5  # appeals that are listed to who must say which one he means
# Where the platform keeps what people send.
FILES_AT = (".fbcdn.net", ".fbsbx.com")

log = logging.getLogger(__name__)


class Sentences(Protocol):
    """The catalogue: the sentence of this key in this language, with its places filled."""

    def __call__(self, key: str, language: str, /, **values: object) -> str: ...


# ── what the platform sends ──────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Event:
    """A message of somebody's. ``psid``: the page's own id of him. ``files``: addresses of what came with it."""

    mid: str
    psid: str
    at: dt.datetime
    text: str = ""
    files: tuple[str, ...] = ()
    place: tuple[float, float] | None = None


def signature(secret: str, body: bytes) -> str:
    """As it stands in ``X-Hub-Signature-256``."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def is_signed(secret: str, body: bytes, given: str) -> bool:
    """Whether the platform has sent this."""
    return hmac.compare_digest(signature(secret, body).encode(), given.encode("utf-8", "replace"))


def events(sent: object, page: str) -> list[Event]:
    """The messages to ``page`` in what was sent, in the order in which they were written; whatever is not understood
    is no message. Its numbers may be numbers or text."""
    if not isinstance(sent, dict) or sent.get("object") != "page":
        return []
    found = [event for entry in _list(sent.get("entry")) for each in _list(entry.get("messaging"))
             if (event := _event(each, page)) is not None]  # fmt: skip
    return sorted(found, key=lambda event: event.at)


def _event(each: Mapping[str, Any], page: str) -> Event | None:
    psid, at = _id(each, "sender"), _time(each.get("timestamp"))
    if at is None or not psid or psid == page or _id(each, "recipient") != page:
        return None
    said, pressed = each.get("message"), each.get("postback")
    if isinstance(said, dict):
        mid = said.get("mid")
        if not isinstance(mid, str) or not mid or said.get("is_echo") or said.get("is_deleted"):
            return None
        return Event(conversations.name(mid), psid, at, *_read(said))
    if isinstance(pressed, dict):  # the page's own button: "Get started"
        mid = pressed.get("mid")
        named = mid if isinstance(mid, str) and mid else f"postback:{psid}:{at.isoformat()}"
        return Event(conversations.name(named), psid, at)
    return None


def _read(said: Mapping[str, Any]) -> tuple[str, tuple[str, ...], tuple[float, float] | None]:
    """Its words, the addresses of its files, and the place that he shared."""
    text, files, place = _text(said.get("text")), [], None
    choice = said.get("quick_reply")
    if isinstance(choice, dict) and _text(choice.get("payload")):
        text = _text(choice["payload"])
    for each in _list(said.get("attachments")):
        payload = each.get("payload")
        payload = payload if isinstance(payload, dict) else {}
        url = _text(payload.get("url"))
        match each.get("type"):
            case "image" | "file" if _is_address(url) and "sticker_id" not in payload:
                files.append(url)
            case "location":
                place = _coordinates(payload.get("coordinates")) or place
            case "fallback":  # an address of a page that he shared
                shared = (text, _text(each.get("title")), url or _text(each.get("url")))
                text = "\n".join(part for part in shared if part)
    return text, tuple(files), place


def _is_address(url: str) -> bool:
    """Whether it can be kept, and be read as one."""
    try:
        return bool(urlsplit(url).hostname) and url.isascii() and url.isprintable() and len(url) <= LONGEST_ADDRESS
    except ValueError:
        return False


def _list(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _id(each: Mapping[str, Any], who: str) -> str:
    named = each.get(who)
    id = named.get("id") if isinstance(named, dict) else None
    return id if isinstance(id, str) and re.fullmatch(r"[0-9]{1,40}", id) else ""


def _time(value: object) -> dt.datetime | None:
    """Of milliseconds since 1970."""
    if isinstance(value, bool) or not isinstance(value, int | str) or not re.fullmatch(r"[0-9]{1,14}", str(value)):
        return None
    return dt.datetime.fromtimestamp(int(value) / 1000, dt.UTC)


def _coordinates(value: object) -> tuple[float, float] | None:
    at = (value.get("lat"), value.get("long")) if isinstance(value, dict) else ()
    numbers = [float(each) for each in at if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(numbers) != 2 or not (abs(numbers[0]) <= 90 and abs(numbers[1]) <= 180):
        return None
    return numbers[0], numbers[1]


# ── what becomes of it ───────────────────────────────────────────────────────────────────────
_WORDS = {"1": Result.SOLVED, "вирішено": Result.SOLVED, "solved": Result.SOLVED,
          "2": Result.NOT_SOLVED, "не вирішено": Result.NOT_SOLVED, "not solved": Result.NOT_SOLVED}  # fmt: skip


def word_of(text: str) -> Result | None:
    """Whether he says that his appeal is solved or not, and nothing else: "1 під'їзд…" is no such word."""
    return _WORDS.get(" ".join(text.split()).strip(".!,;: ").casefold())


class Talks:
    """``say``: the sentences. ``portal``: its address, where an appeal has its own page by a seal of ``secret``."""

    def __init__(self, say: Sentences, *, portal: str, secret: str) -> None:
        self._say, self._portal, self._secret = say, portal, secret

    def take(self, conn: Connection, event: Event, now: dt.datetime) -> bool:
        """Takes one message and keeps what is answered to it; False, and nothing, for one that was taken before."""
        at = min(event.at, now)
        part_id = conversations.heard(conn, CHANNEL, event.mid, event.psid, event.text, at)
        if part_id is None:
            return False
        its = conversations.open_one(conn, CHANNEL, event.psid)
        if self._word(conn, event, part_id, its, now):
            return True
        if its is not None and its.state is State.GATHERING:
            self._go_on(conn, its, event, at, now)
        elif its is not None:
            self._add(conn, its, event, at, now)
        else:
            asked = words_of.awaiting(conn, event.psid)
            last = None if asked else conversations.lately(conn, CHANNEL, event.psid, now - AFTERWARDS)
            if last is not None and last.appeal_id is not None:
                self._add_to(conn, last, last.appeal_id, part_id, event, now)
            else:
                self._begin(conn, event, at, now, asked[0].number if len(asked) == 1 else None)
        return True

    def silent(self, conn: Connection, now: dt.datetime) -> int:
        """Hands over the conversations in which he has said nothing more for SILENCE; how many."""
        count = 0
        for psid in conversations.gathering(conn, CHANNEL):
            its = conversations.open_one(conn, CHANNEL, psid)
            if its is None or its.state is not State.GATHERING:  # meanwhile
                continue
            if now - dt.datetime.fromisoformat(its.data["heard_at"]) < SILENCE:
                continue
            talk = conversation.read(its.data["talk"])
            turn = Turn(talk, (conversation.Sentence("handed_silent"),), handed=Handed.SILENT)
            self._keep(conn, its.id, its.address, turn, now, f"silent:{its.id}", now)
            count += 1
        return count

    def _word(self, conn: Connection, event: Event, part_id: int, its: Conversation | None, now: dt.datetime) -> bool:
        """His word on an appeal that awaits it; False if this is none."""
        result = word_of(event.text)
        gathers = its is not None and its.state is State.GATHERING
        about = conversation.read(its.data["talk"]) if its is not None and gathers else None
        asked_now = about is not None and about.step is Step.WORD
        if result is None or (gathers and not asked_now and event.text.strip() in ("1", "2")):
            return False  # in a conversation a number is a choice of what it offers
        asked = words_of.awaiting(conn, event.psid)
        language = about.language if about else conversation.language_of(event.text)
        if not asked:
            return False
        if len(asked) > 1:
            pages = "\n".join(f"№ {each.number}: {self._portal}/a/{tokens.together(self._secret, each.number)}"
                              for each in asked[:MOST_ASKED])  # fmt: skip
            _reply(conn, part_id, event.mid, self._say("several", language, pages=pages), now)
            return True
        made = confirmations.answer(
            conn, number=asked[0].number, result=result, now=now, citizen_id=asked[0].citizen_id,
            written=f"{CHANNEL}:{event.mid}", note=about.text[:4000] if about and asked_now else "")  # fmt: skip
        if its is not None and asked_now:
            messages.belongs(conn, its.id, made.id, now=now, staff_id=None, action=Action.HEAR)
        _reply(conn, part_id, event.mid, self._say(result.value, language, number=made.number), now)
        return True

    def _begin(self, conn: Connection, event: Event, at: dt.datetime, now: dt.datetime, asked: int | None) -> None:
        language = conversation.language_of(event.text)
        turn = conversation.begin(_heard(event), _City(conn, language, self._say), language, asked=asked)
        if now - at >= WINDOW:  # nothing can be asked any more
            turn = replace(turn, handed=Handed.LATE)
        id = conversations.begin(conn, CHANNEL, event.mid, event.psid, language, at)
        self._keep(conn, id, event.psid, turn, at, event.mid, now)
        _expect(conn, id, event.files[: turn.photos], now)

    def _go_on(self, conn: Connection, its: Conversation, event: Event, at: dt.datetime, now: dt.datetime) -> None:
        talk, before = conversation.read(its.data["talk"]), dt.datetime.fromisoformat(its.data["heard_at"])
        if at < before:  # it was written before what was answered already, and comes late
            turn = Turn(conversation.add(talk, event.text), photos=len(event.files))
        else:
            turn = conversation.hear(talk, _heard(event), _City(conn, talk.language, self._say))
        self._keep(conn, its.id, its.address, turn, max(at, before), event.mid, now)
        _expect(conn, its.id, event.files[: turn.photos], now)

    def _add(self, conn: Connection, its: Conversation, event: Event, at: dt.datetime, now: dt.datetime) -> None:
        """A specialist has it, or will: who works on it answers himself."""
        if not conversations.add(conn, its, event.text):
            its = replace(its, id=conversations.begin(conn, CHANNEL, event.mid, event.psid, its.language, at))
            conversations.keep(conn, its.id, text=event.text, called="", data=_to_be_told(event.psid), over=True)
        _expect(conn, its.id, event.files, now)
        if its.staff_id is None:
            _reply(conn, its.id, event.mid, self._say("added", its.language), now)

    def _add_to(self, conn: Connection, last: Conversation, appeal_id: int, part_id: int, event: Event,
                now: dt.datetime) -> None:  # fmt: skip
        messages.add_to(conn, part_id, appeal_id, now=now, staff_id=None)
        _expect(conn, part_id, event.files, now)
        _reply(conn, part_id, event.mid, self._say("added_to", last.language), now)

    def _keep(self, conn: Connection, id: int, psid: str, turn: Turn, heard_at: dt.datetime, key: str,
              now: dt.datetime) -> None:  # fmt: skip
        talk = turn.talk
        data = {**conversation.said(talk), **_to_be_told(psid)}
        if turn.handed is None:
            data |= {"talk": talk.kept(), "heard_at": heard_at.isoformat()}
        conversations.keep(conn, id, text=conversation.handed(talk), called=talk.name, data=data,
                           over=turn.handed is not None)  # fmt: skip
        if turn.sentences and turn.handed is not Handed.LATE:
            said = "\n\n".join(self._say(each.key, talk.language, **each.values) for each in turn.sentences)
            _reply(conn, id, key, "\n".join((said, *turn.lines)), now, turn.choices)


def _reply(conn: Connection, id: int, key: str, text: str, now: dt.datetime, choices: Sequence[str] = ()) -> None:
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    notices.reply(conn, message_id=id, text=text, key=f"{CHANNEL}:{digest}", now=now, choices=choices)


def _expect(conn: Connection, message_id: int, urls: Sequence[str], now: dt.datetime) -> None:
    files = [(url, urlsplit(url).path.rpartition("/")[2][-100:] or "file") for url in urls]
    remote_files.expect(conn, message_id, files, now)


def _heard(event: Event) -> Heard:
    return Heard(event.text, len(event.files), event.place)


def _to_be_told(psid: str) -> dict[str, Any]:
    return {"tell_by": Way.FACEBOOK.value, "tell_to": psid}


class _City:
    """``conversation.City`` out of the records, as they are in this transaction."""

    def __init__(self, conn: Connection, language: str, say: Sentences) -> None:
        self._conn, self._language, self._say = conn, language, say

    @cached_property
    def _tree(self) -> list[Subject]:
        return [each for each in departments.subjects(self._conn) if each.offered]

    def subjects(self, words: str) -> Sequence[Choice]:
        said = similar.trigrams(words)
        near = [(max(similar.nearness(said, similar.trigrams(name)) for name in (each.name_uk, each.name_en)), each)
                for each in self._tree if each.leaf]  # fmt: skip
        found = sorted((pair for pair in near if pair[0] >= NEARNESS), key=lambda pair: -pair[0])
        return [self._choice(each) for _, each in found]

    def below(self, subject_id: int | None) -> Sequence[Choice]:
        return [self._choice(each) for each in self._tree if each.parent_id == subject_id]

    def buildings(self, words: str) -> tuple[Sequence[Choice], bool]:
        found = addresses.suggest(self._conn, words, conversation.LISTED)
        number = re.search(r"(\d[\w/-]*(?:\s+(?:к\.?|корп\.?)\s*\d+)?(?:\s[^\W\d_])?)\W*$", words)
        typed = addresses.fold_number(number[1]) if number else ""
        named = [each for each in found if addresses.fold_number(each.number) == typed]
        if len(named) == 1:
            return [Choice(named[0].id, f"{named[0].street}, {named[0].number}")], True
        shown = named or found or addresses.mistyped(self._conn, words, conversation.LISTED)
        return [Choice(each.id, f"{each.street}, {each.number}") for each in shown], False

    def button(self, button: Button) -> str:
        return self._say(f"button.{button.value}", self._language)

    def _choice(self, its: Subject) -> Choice:
        return Choice(its.id, its.name_uk if self._language == "uk" else its.name_en)


# ── what came with it ────────────────────────────────────────────────────────────────────────
class Files:
    """Fetches photos and documents, each once, from the platform's own hosts alone. ``folder``: of attachments.
    ``also``: another host, with its port, that they may lie at: the platform's own API."""

    def __init__(self, db: Database, folder: Path, say: Sentences, *, also: str = "") -> None:
        self._db, self._folder, self._say, self._also = db, folder, say, also

    def fetch(self, now: dt.datetime) -> int:
        """All that is to be fetched now; how many were. Blocking."""
        with self._db.read() as conn:
            found = remote_files.due(conn, now, channels=[CHANNEL])
        if not found:
            return 0
        with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
            return sum(self._one(client, each, now) for each in found)

    def _one(self, client: httpx.Client, its: RemoteFile, now: dt.datetime) -> bool:
        stored = None
        if its.state is remote_files.State.DUE:
            try:
                stored = attachments.store(self._folder, its.name, io.BytesIO(self._body(client, its.path)))
            except (BadInput, httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # OSError: the disk takes no more
                log.warning("a file was not fetched: %s", error)
                self._failed(its, error, now)
                return False
        with self._db.write() as conn:
            if stored is not None:
                remote_files.kept(conn, its, stored, now)
            remote_files.done(conn, replace(its, state=remote_files.State.KEPT))  # the platform lets nobody delete it
        return stored is not None

    def _failed(self, its: RemoteFile, error: Exception, now: dt.datetime) -> None:
        with self._db.write() as conn:
            if isinstance(error, httpx.HTTPError | OSError) and remote_files.failed(conn, its, str(error), now):
                return
            language = conversations.language(conn, its.message_id)
            remote_files.lost(conn, its, str(error), self._say("file_lost", language, name=its.name))
            _reply(conn, its.message_id, f"file:{its.id}", self._say("photo_lost", language), now)

    def _body(self, client: httpx.Client, url: str) -> bytes:
        """BadInput for what is not where the platform keeps files, or is too big."""
        if not is_theirs(url, also=self._also):
            raise BadInput("attachment.kind")
        with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
            if not response.is_success:
                raise httpx.HTTPError(f"the answer was {response.status_code}")
            body = b"".join(_bounded(response.iter_bytes()))
        return body


def is_theirs(url: str, *, also: str = "") -> bool:
    """Whether the platform keeps files there. ``also``: as ``Files`` has it."""
    try:
        at = urlsplit(url)
        port = at.port
    except ValueError:
        return False
    if also and at.netloc == also:
        return at.scheme in ("http", "https")
    host = f".{(at.hostname or '').lower()}"
    return at.scheme == "https" and port in (None, 443) and "@" not in at.netloc and host.endswith(FILES_AT)


def _bounded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > attachments.LARGEST:
            raise BadInput("attachment.too_big", megabytes=attachments.LARGEST // 1024**2)
        yield chunk
