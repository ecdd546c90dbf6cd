"""A letter as the centre reads it: from whom, what he has written himself, his photos, and whether a machine wrote it.

Pure, and never an error: whatever came is a letter, if only with an empty text. What a file is, is not looked at here
(``crm.attachments``).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from crm import texts
from intake.mail import hypertext, mime, quoted
from intake.mail.mime import Part

LARGEST = 36 * 1024 * 1024  # bytes: as a letter, 25 MB of files are a third larger
MOST_FILES = 20
LOGO = 6 * 1024  # bytes: a smaller picture that stands in the text is a logo, or counts its readers
LONGEST_TEXT = 20_000  # characters that are kept
READ = 200_000  # and of which they are what he has written
GROWS = 3  # times, a text that is brought to NFC
LONGEST_ID = 180
NUMBERS = 5

_ADDRESS = re.compile(r"[^\s<>@,;:\"()\[\]]{1,64}@\w(?:[\w.-]{0,120}\w)?")
_MAILBOX = re.compile(r'(?P<name>(?:"(?:\\.|[^"\\])*"|[^<"])*)<(?P<address>[^<>]*)>')
_ID = re.compile(r"<[^\s<>]{1,400}>")
_NUMBER = re.compile(r"(?<![\d-])(\d{2})[- ]?(\d{6})(?![\d-])")
# Addresses that no person reads.
_UNREAD = re.compile(r"(?:no|not|do-?not|none)[-_.]?reply|mailer-daemon|postmaster|bounces?\b|abuse|root|daemon")
_DAEMON = re.compile(r"mailer-daemon|postmaster")
_AWAY = re.compile(r"\s*(?:автоматична відповідь|автовідповідь|відсутн\w+ на робочому місці|auto(?:matic)?[- ]?reply"
                   r"|out of (?:the )?office|автоматический ответ|автоответ)\b", re.IGNORECASE)  # fmt: skip
_BULK = frozenset({"bulk", "junk", "list", "auto_reply"})
# What mail programs add by themselves, and nobody need be told that it was left out.
_SILENT = frozenset({"application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature",
                     "message/delivery-status", "message/disposition-notification", "text/rfc822-headers",
                     "message/global-delivery-status", "text/x-amp-html", "text/calendar"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class File:
    """``name``: as it was sent, "" for none."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """``sender``: the address in lower case, "" for none. ``id``: its Message-ID with its brackets, or the digest of a
    letter without one. ``digest``: of what it says and brings: two letters may bear one name. ``text``: what he has
    written himself. ``mentions``: what may name an appeal with its seal; ``numbers``: that look like an appeal's.
    ``too_many``: how many files were left out. ``automatic``: a machine wrote it; ``answerable``: somebody may read an
    answer; ``suspect``: the mail server takes it for an advertisement. ``returned``: the Message-IDs of what it says
    could not be delivered."""

    sender: str
    name: str
    subject: str
    sent_at: dt.datetime | None
    id: str
    digest: str
    language: str
    text: str
    files: tuple[File, ...]
    too_many: int
    mentions: str
    numbers: tuple[int, ...]
    automatic: bool
    answerable: bool
    suspect: bool
    returned: tuple[str, ...]


def parse(data: bytes, own: Collection[str] = ()) -> Letter:
    """``data``: as it came, or its beginning. ``own``: the centre's addresses in lower case: what comes from them is a
    machine's."""
    root = mime.read(data)
    sender, name = _sender(root)
    subject = _line(root.header("subject"), 300)
    text = _text(root, subject)
    files = [File(_line(part.file, 300), content) for part in _attached(root)
             if (content := part.content()) and not _is_logo(part, content)]  # fmt: skip
    automatic = _is_automatic(root, sender, subject) or sender in own
    returned = _returned(root) if automatic else ()
    return Letter(
        sender, name, subject, _date(root.header("date")), _id(root, data), _digest(sender, subject, text, files),
        guess_language(f"{subject}\n{text}"), text, tuple(files[:MOST_FILES]), max(0, len(files) - MOST_FILES),
        _mentions(root), _numbers(f"{subject}\n{text}"), automatic,
        bool(sender) and not automatic and not _UNREAD.match(sender), _is_suspect(root), returned)  # fmt: skip


def guess_language(text: str) -> str:
    """"en" where most letters are Latin, else "uk": we write no other."""
    latin = len(re.findall(r"[a-zA-Z]", text))
    cyrillic = len(re.findall(r"[Ѐ-ӿ]", text))
    return "en" if latin > cyrillic else "uk"


# ── who, when, which ─────────────────────────────────────────────────────────────────────────
def _sender(root: Part) -> tuple[str, str]:
    """His address and name. What is encoded is decoded once it is known what is the name: it may look like more."""
    for header in ("from", "sender", "reply-to"):
        written = mime.guessed(root.raw(header))[:2000]
        if found := _MAILBOX.match(written):
            name, address = found["name"].strip().strip('"').replace('\\"', '"'), found["address"]
        else:
            name, address = "", written
        if its := _ADDRESS.search(address.lower()):
            return its[0][:200], _line(mime.words(name.encode("utf-8", "replace")), 200)
    return "", ""


def _date(value: str) -> dt.datetime | None:
    try:
        at = parsedate_to_datetime(value[:100])
        return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _id(root: Part, data: bytes) -> str:
    found = _ID.search(mime.guessed(root.raw("message-id")))
    its = _line(found[0], 1000) if found else ""
    return its if 0 < len(its) <= LONGEST_ID else f"sha256:{hashlib.sha256(data).hexdigest()}"


def _digest(sender: str, subject: str, text: str, files: list[File]) -> str:
    """Of what people see of it: on its second way here it has other headers."""
    whole = hashlib.sha256("\0".join((sender, subject, text)).encode("utf-8", "replace"))
    for file in files:
        whole.update(hashlib.sha256(file.data).digest())
    return whole.hexdigest()[:16]


# ── what he has written ──────────────────────────────────────────────────────────────────────
def _text(root: Part, subject: str) -> str:
    """The plain text, or the page as it is seen; then the text of a letter that is passed on with it."""
    shown = [_body(root, subject)]
    for part in root.walk():
        if part.inside.startswith("message/") and not _is_report(root):
            head = "\n".join(_line(part.header(name), 300) for name in ("from", "date", "subject") if part.raw(name))
            shown.append(f"{head}\n\n{_body(part, 'fwd:')}")
    whole = "\n\n".join(filter(None, (each.strip() for each in shown)))
    return texts.text(whole[:LONGEST_TEXT], LONGEST_TEXT * GROWS)[:LONGEST_TEXT].strip()


def _body(root: Part, subject: str) -> str:
    leaves = [part for part in _own_leaves(root) if not part.attached and not part.file]
    plain = next((part for part in leaves if part.kind == "text/plain"), None)
    page = next((part for part in leaves if part.kind == "text/html"), None)
    text = _flowed(plain) if plain else ""
    if page and (not text.strip() or len(text.strip()) < 40):  # "this letter is a page"
        text = _of_page(page.text()) or text
    return quoted.own_words(text[:READ], subject)


def _own_leaves(root: Part) -> list[Part]:
    """Of the letter itself, not of one that lies in it."""
    if not root.parts:
        return [root]
    return [] if root.kind.startswith("message/") else [leaf for part in root.parts for leaf in _own_leaves(part)]


def _of_page(page: str) -> str:
    return hypertext.text_of(page, own=True) or hypertext.text_of(page, own=False)


def _flowed(part: Part) -> str:
    """Lines as they were written (RFC 3676)."""
    lines = part.text()[:READ].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if part.parameters.get("format", "").lower() != "flowed":
        return "\n".join(lines)
    ended = -1 if part.parameters.get("delsp", "").lower() == "yes" else None  # whether the space is the line's own
    made: list[str] = []
    for line in lines:
        plain = line.removeprefix(" ")
        flows = plain.endswith(" ") and plain != "-- " and not line.startswith(">")
        made.append(plain[:ended] if flows else f"{plain}\n")
    return "".join(made)


# ── what came with it ────────────────────────────────────────────────────────────────────────
def _attached(root: Part) -> list[Part]:
    """What is not its text: also of a letter that is passed on."""
    body: set[int] = set()
    for part in (root, *(each for each in root.walk() if each.inside.startswith("message/"))):
        body.update(id(leaf) for leaf in _own_leaves(part)
                    if leaf.kind in ("text/plain", "text/html") and not leaf.attached and not leaf.file)  # fmt: skip
    leaves = (part for part in root.walk() if not part.parts and id(part) not in body)
    return [part for part in leaves if part.kind not in _SILENT and not part.kind.startswith("multipart/")
            and not (_is_report(root) and part.kind.startswith(("text/", "message/")))]  # fmt: skip


def _is_logo(part: Part, content: bytes) -> bool:
    stands_in_text = part.inside == "multipart/related" or bool(part.raw("content-id")) or not part.attached
    return part.kind.startswith("image/") and stands_in_text and len(content) < LOGO


# ── what a machine wrote ─────────────────────────────────────────────────────────────────────
def _is_report(root: Part) -> bool:
    return root.kind == "multipart/report"


def _is_automatic(root: Part, sender: str, subject: str) -> bool:
    said = {name: root.header(name).strip().lower() for name in ("auto-submitted", "precedence", "return-path")}
    return (
        said["auto-submitted"].partition(";")[0].strip() not in ("", "no")
        or said["precedence"] in _BULK
        or said["return-path"] == "<>"
        or any(root.raw(name) for name in ("x-auto-response-suppress", "x-autoreply", "x-autorespond", "list-id",
                                           "x-failed-recipients"))
        or _is_report(root)
        or _DAEMON.match(sender) is not None
        or _AWAY.match(subject) is not None
    )  # fmt: skip


def _is_suspect(root: Part) -> bool:
    return root.header("x-spam-flag").strip().lower() == "yes" or root.header("x-spam-status").lower().startswith("yes")


def _returned(root: Part) -> tuple[str, ...]:
    """Of a report that something failed for good, not that it only takes longer."""
    failed, ids = bool(root.raw("x-failed-recipients")), []
    for part in root.walk():
        if part.kind in ("message/delivery-status", "message/global-delivery-status"):
            failed = failed or re.search(r"^action:\s*failed", part.text()[:20_000], re.I | re.M) is not None
        elif part.inside in ("message/rfc822", "message/global"):
            ids += _ID.findall(mime.guessed(part.raw("message-id")))
        elif part.kind in ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers"):
            ids += _ID.findall(" ".join(re.findall(r"^message-id:\s*(\S+)", part.text()[:50_000], re.I | re.M)))
    return tuple(dict.fromkeys(ids)) if failed else ()


# ── what it is about ─────────────────────────────────────────────────────────────────────────
def _mentions(root: Part) -> str:
    return "\n".join(root.header(name) for name in ("subject", "in-reply-to", "references", "to", "cc", "delivered-to"))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(int(year + rest) for year, rest in _NUMBER.findall(text)))[:NUMBERS]


def _line(value: str, longest: int) -> str:
    return texts.line(value[: longest * 4], longest * 4 * GROWS)[:longest].strip()
