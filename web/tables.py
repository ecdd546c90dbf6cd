"""A table of figures, made once and shown three ways: on a page, as CSV, as a workbook."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from babel.numbers import format_decimal, format_percent
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from starlette.responses import Response

from web.texts import Texts

Kind = Literal["text", "count", "share", "hours", "seconds", "score"]
Value = str | int | float | None

CSV, XLSX = "text/csv; charset=utf-8", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_FORMATS = {"count": "#,##0", "share": "0.0%", "hours": "#,##0", "seconds": "#,##0.0", "score": "0.00"}
_FORMULA = re.compile(r"[=+\-@\t\r\n]")  # a spreadsheet takes for a formula what begins so
_NOT_IN_A_NAME = re.compile(r"[\[\]:*?/\\]")  # of a sheet


class Grouped(int):
    """A count as sentences and tables of a language write it: 75 000."""

    def __new__(cls, count: int, language: str) -> Grouped:
        made = super().__new__(cls, count)
        made._language = language
        return made

    _language: str

    def __format__(self, spec: str) -> str:
        return format_decimal(int(self), locale=self._language)


def percent(share: float | None, language: str) -> str:
    """Tenths of a percent; a dash for a share of nothing."""
    return "—" if share is None else format_percent(share, "#,##0.0 %" if language == "uk" else "#,##0.0%", language)


@dataclass(frozen=True, slots=True)
class Cell:
    """``value``: None is nothing to tell, "…" stands for what is left out. ``link``: to what stands behind it."""

    value: Value
    kind: Kind = "text"
    link: str = ""

    def shown(self, t: Texts) -> str:
        if self.value is None or isinstance(self.value, str):
            return "—" if self.value is None else self.value
        if self.kind == "share":
            return percent(self.value, t.language)
        if self.kind == "score":
            return str(format_decimal(self.value, "0.00", locale=t.language))
        return t.lasting(self.value) if self.kind == "seconds" else f"{Grouped(int(self.value), t.language)}"

    @property
    def raw(self) -> Value:
        """For a file: a number as it is, seconds and shares rounded where nobody reads on."""
        if not isinstance(self.value, float):
            return self.value
        return round(self.value, {"share": 4, "score": 2}.get(self.kind, 1))


@dataclass(frozen=True, slots=True)
class Table:
    """``rows``: as wide as ``columns``, the first cell of each names it. ``totals``: the last row is their sum.
    ``shares``: columns that say the one before them as a share."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    totals: bool = False
    note: str = ""
    shares: frozenset[int] = frozenset()


def harmless(value: Value) -> Value:
    """Text that a spreadsheet would take for a formula has an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def to_csv(tables: Sequence[Table]) -> bytes:
    """RFC 4180, commas, UTF-8 with the mark by which spreadsheets know it; tables one after another."""
    out = io.StringIO()
    write = csv.writer(out)
    for number, table in enumerate(tables):
        if len(tables) > 1:
            write.writerows(([], [harmless(table.title)]) if number else ([harmless(table.title)],))
        write.writerow([harmless(name) for name in table.columns])
        write.writerows([["" if (raw := harmless(cell.raw)) is None else raw for cell in row] for row in table.rows])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def to_xlsx(tables: Sequence[Table]) -> bytes:
    """A sheet for each table; a text stays a text whatever it begins with."""
    book = Workbook(write_only=True)
    for number, table in enumerate(tables, 1):
        named = _NOT_IN_A_NAME.sub(" ", f"{number} {table.title}")
        sheet = book.create_sheet(named[:31].strip("' "))
        sheet.freeze_panes = "B2"
        sheet.append([_cell(sheet, name, "text") for name in table.columns])
        for row in table.rows:
            sheet.append([_cell(sheet, cell.raw, cell.kind) for cell in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _cell(sheet: object, value: Value, kind: Kind) -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet, value)
    if isinstance(value, str):
        cell.data_type = "s"
    elif kind in _FORMATS:
        cell.number_format = _FORMATS[kind]
    return cell


FILES = {"csv": (CSV, to_csv), "xlsx": (XLSX, to_xlsx)}


def file_of(tables: Sequence[Table], kind: str, name: str) -> Response:
    """The tables as a file to be saved; ``kind``: one of FILES."""
    media_type, written = FILES[kind]
    return Response(written(tables), media_type=media_type,
                    headers={"Content-Disposition": f'attachment; filename="{name}.{kind}"'})  # fmt: skip
