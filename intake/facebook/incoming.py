"""What the platform sends, read: messages to the city's page.

Only messages to our own page are taken. What we wrote ourselves, what was delivered or read, and what is written under
the page's posts is none of them. Source: the Messenger Platform's documentation. Pure.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from crm import conversations

CHANNEL = "facebook"
LARGEST_BODY = 1024 * 1024  # bytes; the platform puts many messages into one
LONGEST_ADDRESS = 1500  # characters, of a file


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
