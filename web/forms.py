"""A form as it came over the wire, made plain: strict UTF-8, cleaned, every field bounded; files by themselves."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncGenerator, Iterator, Mapping
from datetime import date, datetime
from urllib.parse import parse_qsl

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from crm import attachments, texts
from crm.clock import KYIV
from crm.errors import BadInput

MAX_BODY = 64 * 1024  # bytes
MAX_FIELDS = 200
MAX_FILES = attachments.MOST
MAX_UPLOAD = MAX_FILES * attachments.LARGEST + MAX_BODY  # bytes, of a form with files


class Room:
    """How many bytes of forms with files lie here at a time, until each form is answered: they need memory and disk
    that others need too. For one event loop."""

    def __init__(self, most: int) -> None:
        self._most, self.held = most, 0

    def take(self, count: int) -> None:
        """BadInput ``form.busy`` where there is no more."""
        if self.held + count > self._most:
            raise BadInput("form.busy")
        self.held += count

    def give(self, count: int) -> None:
        self.held -= count


ROOM = Room(16 * MAX_UPLOAD)  # of this process: two gigabytes


def clean(text: str) -> str:
    """As the records take it: composed, without control characters and direction overrides, trimmed."""
    return texts.text(text, MAX_BODY)


class Form(Mapping[str, str]):
    """Fields by name, cleaned; a field sent twice keeps its last value, an absent one reads as "".

    ``problems`` gathers what is wrong with which field, so that all of it is told at once. ``unread``: why it is not
    whole; what came before is there. ``held``: bytes of ROOM, until it is closed.
    """

    def __init__(self, fields: Mapping[str, str], files: tuple[UploadFile, ...] = (),
                 unread: BadInput | None = None, held: int = 0) -> None:  # fmt: skip
        self._fields = dict(fields)
        self._held = held
        self.files = files  # those that were chosen, in their order; they last as long as the request
        self.problems: dict[str, BadInput] = {}
        self.unread = unread

    async def close(self) -> None:
        """Once it is answered: what it brought lies here no longer."""
        held, self._held = self._held, 0
        ROOM.give(held)
        for file in self.files:
            await file.close()

    def __getitem__(self, name: str) -> str:
        return self._fields.get(name, "")

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def text(self, name: str, most: int, *, required: bool = False) -> str:
        """The field, at most ``most`` characters; a problem and "" when it is longer or missing."""
        value = self[name]
        if required and not value:
            self.wrong(name, BadInput(f"form.no_{name}"))
        if len(value) > most:
            self.wrong(name, BadInput("text.too_long", longest=most))
            return ""
        return value

    def number(self, name: str, *, required: bool = False) -> int | None:
        """A whole number that a database takes, digits grouped or not; None and a problem otherwise, None when empty
        and not required."""
        value = "".join(self[name].split())
        if not value and not required:
            return None
        if not (number := whole(value)):
            self.wrong(name, BadInput(f"form.no_{name}"))
        return number

    def choice(self, name: str, among: Mapping[str, object] | frozenset[str], *, required: bool = False) -> str:
        """One of ``among``; a problem and "" otherwise."""
        value = self[name]
        if value in among:
            return value
        if value or required:
            self.wrong(name, BadInput(f"form.no_{name}"))
        return ""

    def day(self, name: str, *, required: bool = False) -> date | None:
        """A date as browsers send it, 2026-03-05."""
        value = self[name]
        if not value and not required:
            return None
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.wrong(name, BadInput(f"form.no_{name}"))
            return None

    def moment(self, name: str, *, required: bool = False) -> datetime | None:
        """A moment as browsers send it, 2026-03-05T14:30, by Kyiv's clock."""
        value = self[name]
        if not value and not required:
            return None
        try:
            return datetime.strptime(value[:16], "%Y-%m-%dT%H:%M").replace(tzinfo=KYIV)
        except ValueError:
            self.wrong(name, BadInput(f"form.no_{name}"))
            return None

    def ticked(self, name: str) -> bool:
        return bool(self[name])

    def wrong(self, name: str, problem: BadInput) -> None:
        """Keeps the first problem of a field."""
        self.problems.setdefault(name, problem)


def whole(value: str) -> int | None:
    """A positive whole number that a database's integer can hold, or None."""
    return int(value) if re.fullmatch(r"[0-9]{1,9}", value) and int(value) else None


def parse(body: bytes, content_type: str) -> Form:
    """A posted form. BadInput ``form.unreadable`` if it is not one, is not UTF-8 or has absurdly many fields."""
    if body and content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise BadInput("form.unreadable")
    return _form(body)


async def parse_files(request: Request, most: int) -> Form:
    """A posted form with files, which are put aside on the disk as they come. Unread, with the fields that came until
    then: ``form.too_big`` beyond ``most`` bytes, ``form.too_many_files`` beyond MAX_FILES, ``form.busy`` where ROOM has
    no more, ``form.unreadable`` for what is not such a form. Whoever called it closes it."""
    taken = 0

    async def bounded() -> AsyncGenerator[bytes, None]:
        nonlocal taken
        async for chunk in request.stream():
            if taken + len(chunk) > most:
                raise BadInput("form.too_big")
            ROOM.take(len(chunk))
            taken += len(chunk)
            yield chunk

    parser = MultiPartParser(request.headers, bounded(), max_files=MAX_FILES, max_fields=MAX_FIELDS,
                             max_part_size=MAX_BODY)  # fmt: skip
    unread = None
    try:
        await parser.parse()
    except BadInput as error:
        unread = error
    except (MultiPartException, UnicodeError, KeyError) as error:
        unread = BadInput("form.too_many_files" if "files" in str(error) else "form.unreadable")
    except BaseException:  # who sent it has gone
        ROOM.give(taken)
        raise
    fields = {clean(name): clean(value) for name, value in parser.items if isinstance(value, str)}
    chosen = () if unread else tuple(
        file for _, file in parser.items if isinstance(file, UploadFile) and file.filename)  # fmt: skip
    for draft in {*parser._files_to_close_on_error} - {file.file for file in chosen}:
        draft.close()  # a field in which nothing was chosen, or a file that did not come whole
    return Form(fields, chosen, unread, taken)


def is_multipart(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def query(raw: bytes) -> Form:
    """The fields after the address's question mark, under the same rules."""
    return _form(raw)


def _form(raw: bytes) -> Form:
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise BadInput("form.unreadable") from None
    return Form({clean(name): clean(value) for name, value in pairs})


def once() -> str:
    """The mark of one showing of a form: what is sent twice with the same mark is done once."""
    return secrets.token_urlsafe(16)
