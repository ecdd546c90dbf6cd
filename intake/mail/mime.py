"""A letter taken to pieces (RFC 5322, 2045, 2046, 2047, 2231): in time and memory that its size bounds, and never with
an error, whatever it is.

Bodies are not copied before somebody asks for what is in them; of names and values only a bounded beginning is read.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.header import decode_header
from email.message import Message

MOST_PARTS = 200
DEEPEST = 12
MOST_LOOKED_AT = 100_000  # places that look like the end of a part
LONGEST_HEAD = 64 * 1024  # bytes that are read of all headers of a part
LONGEST_VALUE = 8 * 1024  # and of one

# Names of text encodings that letters really have: some others cost more than their size.
_CHARSETS = re.compile(r"utf-?8|utf-?16(le|be)?|(us-)?ascii|iso-?8859-?\d{1,2}|(windows|cp|x-cp)-?125\d|koi8-?[ru]"
                       r"|cp-?866|(x-)?mac-?cyrillic|iso-2022-jp|gb2312|gbk|big5|shift_jis|euc-(jp|kr)")  # fmt: skip
_BLANK = re.compile(rb"\r?\n\r?\n")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))


@dataclass(slots=True)
class Part:
    """``kind``: its media type, lower-case; ``parts``: what it consists of; ``inside``: the kind of what it is part of.
    ``file``: its name as a file, "" for none; ``attached``: it says that it is one."""

    _data: bytes
    _start: int
    _end: int
    headers: dict[str, list[bytes]]
    kind: str = "text/plain"
    charset: str = ""
    file: str = ""
    attached: bool = False
    inside: str = ""
    parts: list[Part] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)

    def raw(self, name: str) -> bytes:
        """A header as it stands, unfolded; the first of its name, b"" for none."""
        return next(iter(self.headers.get(name, ())), b"")

    def header(self, name: str) -> str:
        """The same as people read it."""
        return words(self.raw(name))

    def content(self) -> bytes:
        """What was sent in it; what cannot be decoded is given as far as it can."""
        body = self._data[self._start : self._end]
        match self.raw("content-transfer-encoding").strip().lower():
            case b"base64":
                return _base64(body)
            case b"quoted-printable":
                return binascii.a2b_qp(body)
            case _:
                return body

    def text(self) -> str:
        return decoded(self.content(), self.charset)

    def walk(self) -> Iterator[Part]:
        """Itself and all that it consists of, in their order."""
        yield self
        for part in self.parts:
            yield from part.walk()


def read(data: bytes) -> Part:
    """The letter as a tree, MOST_PARTS and DEEPEST at the most: what is beyond that is no part."""
    start = data.find(b"\n") + 1 if data.startswith((b"From ", b">From ")) else 0
    return _part(data, start, len(data), "", 0, [MOST_PARTS])


def _part(data: bytes, start: int, end: int, inside: str, depth: int, left: list[int]) -> Part:
    left[0] -= 1
    headers, body = _headers(data, start, end)
    part = Part(data, body, end, headers, inside=inside)
    _describe(part)
    if depth >= DEEPEST or left[0] <= 0:
        return part
    if part.kind.startswith("multipart/"):
        boundary = part.parameters.get("boundary", "").encode("ascii", "ignore")
        for begin, over in _between(data, body, end, boundary) if boundary else ():
            if left[0] <= 0:
                break
            part.parts.append(_part(data, begin, over, part.kind, depth + 1, left))
        if not part.parts:  # it has no parts, whatever it says
            part.kind = "text/plain"
    elif part.kind in ("message/rfc822", "message/global"):
        part.parts.append(_part(data, body, end, part.kind, depth + 1, left))
    return part


def _headers(data: bytes, start: int, end: int) -> tuple[dict[str, list[bytes]], int]:
    """By their names in lower case, and where the body begins."""
    if data.startswith((b"\n", b"\r\n"), start, end):
        return {}, data.find(b"\n", start, end) + 1
    blank = _BLANK.search(data, start, end)
    over, body = (blank.start(), blank.end()) if blank else (end, end)
    found: list[tuple[str, list[bytes]]] = []
    for line in data[start : min(over, start + LONGEST_HEAD)].splitlines():
        if line[:1] in (b" ", b"\t") and found:
            found[-1][1].append(line.strip())
        elif b":" in line:
            called, _, value = line.partition(b":")
            found.append((called.strip().decode("ascii", "replace").lower(), [value.strip()]))
    headers: dict[str, list[bytes]] = {}
    for name, lines in found:
        headers.setdefault(name, []).append(b" ".join(lines)[:LONGEST_VALUE])
    return headers, body


def _between(data: bytes, start: int, end: int, boundary: bytes) -> Iterator[tuple[int, int]]:
    """Where the parts between a multipart's delimiters begin and end. The last delimiter may be missing."""
    delimiter, begin, at = b"--" + boundary, -1, start
    for _ in range(MOST_LOOKED_AT):
        if (at := data.find(delimiter, at, end)) < 0:
            break
        after = at + len(delimiter)
        follows = data[after : after + 2]
        if (at > start and data[at - 1 : at] != b"\n") or (follows and follows != b"--" and not follows[:1].isspace()):
            at = after  # it only looks like one
            continue
        if begin >= 0:
            yield begin, max(begin, at - (2 if data[at - 2 : at] == b"\r\n" else 1))
        line_end = data.find(b"\n", after, end)
        if follows == b"--" or line_end < 0:
            return
        begin = at = line_end + 1
    if 0 <= begin < end:
        yield begin, end


def _describe(part: Part) -> None:
    """What its headers say of it."""
    said = Message()
    try:
        said["Content-Type"] = guessed(part.raw("content-type")) or "text/plain"
        said["Content-Disposition"] = guessed(part.raw("content-disposition"))
        part.kind = said.get_content_type()
        part.charset = str(said.get_param("charset", "")).lower()
        part.parameters = {name.lower(): str(value) for name, value in said.get_params([])[1:]}
        part.parameters["boundary"] = str(said.get_boundary(""))
        part.attached = said.get_content_disposition() == "attachment"
        part.file = said.get_filename("")
    except Exception:  # a header that is no header fails in any way there is
        part.parameters.setdefault("boundary", "")
    part.file = words(part.file.encode("utf-8", "replace"))


def words(raw: bytes) -> str:
    """A header's value as people read it: encoded words decoded, and what was sent without saying how."""
    plain = guessed(raw)
    try:
        return "".join(each if isinstance(each, str) else decoded(each, charset or "")
                       for each, charset in decode_header(plain))  # fmt: skip
    except Exception:  # words that are none
        return plain


def decoded(data: bytes, charset: str) -> str:
    """As text. UTF-8 is recognised whatever it says to be; what says nothing true is taken for Windows' Cyrillic."""
    name = charset.strip("\"' ").lower()
    tried = ["utf-8", "cp1251"]
    if _CHARSETS.fullmatch(name):
        tried.insert(0 if name.startswith(("utf-16", "utf16", "iso-2022")) else 1, name.removeprefix("x-"))
    for encoding in tried:
        try:
            return data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode("utf-8" if "utf" in name else "cp1251", "replace")


def guessed(raw: bytes) -> str:
    return decoded(raw, "")


def _base64(body: bytes) -> bytes:
    """What of it is no base64 is passed over, and so is a last letter that says nothing."""
    kept = body.translate(None, _NOT_BASE64)
    kept = kept[: len(kept) - (len(kept) % 4 == 1)]
    return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))
