"""A table out of a file that somebody sent: CSV or XLSX, its rows as plain text, one at a time.

What the file is is told by its bytes, whatever its name says. Everything is bounded, nothing is evaluated, and what
cannot be read as a table is refused as a whole: a file that is half understood would be half wrong.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import io
import re
import zipfile
from collections.abc import Generator
from contextlib import closing
from typing import Any, BinaryIO

from openpyxl import load_workbook

from crm.errors import BadInput

LARGEST = 1024**3  # bytes of a file
MOST_ROWS = 5_000_000
MOST_COLUMNS = 100
LONGEST_CELL = 32_767  # characters; what a workbook can hold
UNPACKED = 512 * 1024**2  # bytes that a workbook may become
IN_MEMORY = 64 * 1024**2  # of them what is not a sheet: it is read whole
FORMULA = "\0formula"  # in the place of one: what it comes to is not ours to say

_CHUNK = 1024**2
_DELIMITERS = ";,\t"
# Cyrillic in UTF-8, three letters on end: no word of a one-byte encoding looks so.
_UTF8_LETTERS = re.compile(rb"(?:[\xd0-\xd2][\x80-\xbf]){3}")
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")

Row = tuple[int, list[str]]


def rows(file: BinaryIO, largest: int = LARGEST) -> Generator[Row, None, None]:
    """(its number in the file, its cells, trimmed on the right) of each row that is not blank; the first has number 1.

    ``file``: seekable. BadInput ``sheet.…`` for what is not a table, or is too much of one; it may come after rows that
    were given already.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size > largest:
        raise BadInput("sheet.too_big", megabytes=largest // 1024**2)
    if not size:
        raise BadInput("sheet.empty")
    head = file.read(4)
    file.seek(0)
    with closing(_workbook(file) if head == b"PK\x03\x04" else _csv(file)) as found:
        for number, cells in enumerate(found, 1):
            if number > MOST_ROWS:
                raise BadInput("sheet.too_many_rows", most=MOST_ROWS)
            while cells and not cells[-1]:
                cells.pop()
            if len(cells) > MOST_COLUMNS:
                raise BadInput("sheet.too_many_columns", row=number, most=MOST_COLUMNS)
            if any(len(cell) > LONGEST_CELL for cell in cells):
                raise BadInput("sheet.cell_too_long", row=number, most=LONGEST_CELL)
            if cells:
                yield number, cells


def _csv(file: BinaryIO) -> Generator[list[str], None, None]:
    encoding = _encoding(file)
    file.seek(0)
    text = io.TextIOWrapper(file, encoding, newline="")
    try:
        first = text.readline(_CHUNK)
        text.seek(0)
        reader = csv.reader(text, delimiter=_delimiter(first), strict=True)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "field larger" in str(error):
                    raise BadInput("sheet.cell_too_long", row=reader.line_num, most=LONGEST_CELL) from None
                raise BadInput("sheet.quotes", row=reader.line_num) from None
            yield [cell.strip() for cell in cells]
    finally:
        text.detach()  # the file is its owner's to close


def _encoding(file: BinaryIO) -> str:
    """UTF-8, with its mark or without, where the whole file can be read so; else Windows' Cyrillic.

    BadInput for what is no text, and for a file that two encodings were mixed in.
    """
    utf8, is_utf8, cyrillic, before = codecs.getincrementaldecoder("utf-8")(), True, True, b""
    mixed = False
    while chunk := file.read(_CHUNK):
        if b"\0" in chunk:
            raise BadInput("sheet.not_a_table")
        cyrillic &= b"\x98" not in chunk  # the one byte that Windows' Cyrillic has no letter for
        mixed = mixed or _UTF8_LETTERS.search(before + chunk) is not None
        before = chunk[-6:]
        if is_utf8:
            try:
                utf8.decode(chunk)
            except UnicodeDecodeError:
                is_utf8 = False
    if is_utf8:
        try:
            utf8.decode(b"", final=True)
        except UnicodeDecodeError:
            is_utf8 = False
    if is_utf8:
        return "utf-8-sig"
    if mixed or not cyrillic:
        raise BadInput("sheet.encoding")
    return "cp1251"


def _delimiter(line: str) -> str:
    """What the first line has most of outside quotation marks."""
    plain = re.sub(r'"[^"]*"', "", line)
    return max(_DELIMITERS, key=plain.count)


def _workbook(file: BinaryIO) -> Generator[list[str], None, None]:
    """The first sheet's rows. The parser of others' making is not trusted to name what is wrong."""
    _must_unpack_small(file)
    book: Any = None
    try:
        book = load_workbook(file, read_only=True, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()
        for row in sheet.iter_rows(max_col=MOST_COLUMNS + 1):
            yield [FORMULA if cell.data_type == "f" else plain(cell.value) for cell in row]
    except (GeneratorExit, BadInput):
        raise
    except Exception:
        raise BadInput("sheet.unreadable") from None
    finally:
        if book is not None:
            book.close()


def _must_unpack_small(file: BinaryIO) -> None:
    """By what the archive says of itself: no more than that is ever unpacked."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise BadInput("sheet.unreadable") from None
    others = sum(each.file_size for each in members if not _SHEET.fullmatch(each.filename))
    if sum(each.file_size for each in members) > UNPACKED or others > IN_MEMORY:
        raise BadInput("sheet.unpacks_too_big", megabytes=UNPACKED // 1024**2)
    file.seek(0)


def plain(value: object) -> str:
    """A workbook's value as one would type it: 12 and not 12.0, yes or no, a date as 2026-03-05."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case dt.datetime() if value.time() == dt.time():
            return value.date().isoformat()
        case dt.datetime():
            return value.isoformat(" ", "seconds")
    return str(value).strip()
