"""Addresses, departments, subjects, networks, programmes, people and old appeals, from a file.

``KINDS`` says which columns a file of each kind has; ``run`` checks and loads one. A dry run does all that a real one
does and undoes it, so that it finds what the real one would. A real run loads a file whole or not at all. Of old
appeals there may be millions: all are checked first, then loaded some hundreds at a time, so that the centre works on
meanwhile. What was loaded is known by its ``old_number``: a run that was broken off is started again, and nothing is
loaded twice.

The same file again changes nothing. An empty cell, like a column that is not there, leaves what there is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from crm import appeals, departments, networks, passwords, programmes, sheets, texts
from crm import import_cells as cells
from crm import import_rows as rows
from crm.errors import BadInput, CentreError, NotFound
from crm.law import Kind as LawKind
from crm.people import Role
from crm.store import Database

CHUNK = 500  # old appeals a transaction


@dataclass(frozen=True, slots=True)
class Column:
    """``headings``: what else its heading may be, beside ``name``. ``parse`` takes a cell that is not empty; BadInput
    for one that it cannot take."""

    name: str
    headings: tuple[str, ...]
    parse: Callable[[str], Any]
    required: bool = False


class _Undo(Exception):
    """Nothing of this transaction is to be kept."""


# ── which columns a file has ─────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Kind:
    """``chunk``: rows a transaction; None for a file that is loaded whole."""

    loader: type[rows.Loader]
    columns: tuple[Column, ...]
    chunk: int | None = None


_NAME, _LONG = cells.line(200), cells.text(2000)
_DISTRICT = Column("district", ("район",), cells.line(80))
_STREET = Column("street", ("вулиця",), cells.line(120), required=True)
_BUILDING = Column("building", ("будинок", "номер будинку", "house"), cells.line(20), required=True)
_ACTIVE = Column("active", ("діє", "чинний", "чинна"), cells.one_of(cells.YES_NO))
_EMAIL = Column("email", ("e-mail", "електронна пошта", "пошта"), cells.email)
_DEPARTMENT = Column("department", ("служба", "виконавець", "підрозділ"), _NAME)
_LAW_KIND = Column("kind", ("вид",), cells.one_of({each.value: each.value for each in LawKind} | {
    "заява": LawKind.APPLICATION.value, "скарга": LawKind.COMPLAINT.value, "пропозиція": LawKind.PROPOSAL.value}))
_OPTIONAL_STREET = Column("street", _STREET.headings, _STREET.parse)
_OPTIONAL_BUILDING = Column("building", _BUILDING.headings, _BUILDING.parse)

KINDS: dict[str, Kind] = {
    "addresses": Kind(rows.Addresses, (
        Column("district", _DISTRICT.headings, _DISTRICT.parse, required=True),
        Column("district_en", ("район англійською",), cells.line(80)),
        _STREET,
        Column("old_names", ("старі назви", "стара назва", "old name"), cells.several(120)),
        _OPTIONAL_BUILDING,
    )),
    "departments": Kind(rows.Departments, (
        Column("name", ("назва", "служба", "department"), _NAME, required=True),
        _EMAIL,
        Column("phone", ("телефон",), cells.line(40)),
        Column("kind", ("вид",), cells.one_of({each: each for each in departments.KINDS} | {
            "міська": "city", "підприємство": "utility", "районна": "district", "зовнішня": "outside"})),
        Column("superior", ("вища установа", "підпорядкування"), _NAME),
        Column("is_desk", ("приймає решту", "desk"), cells.one_of(cells.YES_NO)),
        _ACTIVE,
    )),
    "subjects": Kind(rows.Subjects, (
        Column("subject", ("тема", "name", "назва"), cells.line(120), required=True),
        Column("name_en", ("тема англійською", "назва англійською", "subject en"), cells.line(120)),
        Column("parent", ("розділ", "вища тема", "group"), cells.line(400)),
        _DEPARTMENT,
        Column("term_days", ("строк", "строк, днів", "term"), cells.number(1, departments.MOST_DAYS)),
        _LAW_KIND,
        Column("phrases", ("фрази",), cells.text(departments.MOST_PHRASES * departments.PHRASE_MOST)),
        _ACTIVE,
    )),
    "networks": Kind(rows.Networks, (
        Column("kind", ("вид",), cells.one_of({each: each for each in networks.KINDS} | {
            "тепло": "heat", "вода": "water", "електрика": "power", "ліфт": "lift", "сходи": "stairs"}), required=True),
        Column("network", ("мережа", "name", "назва"), cells.line(120), required=True),
        _STREET,
        _BUILDING,
    )),
    "programmes": Kind(rows.Programmes, (
        Column("programme", ("програма", "name", "назва"), _NAME, required=True),
        Column("name_en", ("назва англійською", "програма англійською"), _NAME),
        Column("about_uk", ("зміст", "about"), _LONG),
        Column("about_en", ("зміст англійською",), _LONG),
        Column("ground", ("підстава",), cells.line(300)),
        Column("subject", ("тема",), cells.line(400)),
        _STREET,
        _BUILDING,
        Column("year", ("рік",), cells.number(programmes.FIRST_YEAR, programmes.LAST_YEAR), required=True),
        Column("note", ("примітка",), _NAME),
    )),
    "users": Kind(rows.People, (
        Column("login", ("логін",), cells.line(60), required=True),
        Column("name", ("ім’я", "піб", "прізвище та ім’я"), _NAME),
        Column("role", ("роль",), cells.one_of({each.value: each.value for each in Role} | {
            "оператор": Role.OPERATOR.value, "онлайн": Role.ONLINE.value, "зворотний зв’язок": Role.FEEDBACK.value,
            "контроль": Role.CONTROL.value, "виконавець": Role.EXECUTOR.value, "аналітик": Role.ANALYST.value,
            "старший зміни": Role.SUPERVISOR.value, "посадова особа": Role.OFFICIAL.value,
            "адміністратор": Role.ADMINISTRATOR.value})),
        Column("department", ("служба", "підрозділ"), _NAME),
        _EMAIL,
        Column("language", ("мова",), cells.one_of({"uk": "uk", "en": "en", "українська": "uk", "англійська": "en"})),
        _ACTIVE,
    )),
    "appeals": Kind(rows.OldAppeals, (
        Column("old_number", ("номер", "номер звернення", "number"), cells.line(40), required=True),
        Column("registered_at", ("зареєстровано", "дата реєстрації", "дата"), cells.moment, required=True),
        Column("state", ("стан", "статус", "status"), cells.one_of(rows.OLD_STATES), required=True),
        Column("subject", ("тема",), cells.line(400), required=True),
        Column("text", ("зміст", "текст"), cells.text(appeals.LONGEST_TEXT), required=True),
        Column("channel", ("канал", "спосіб надходження"), cells.one_of(rows.CHANNELS)),
        Column("applicant", ("заявник", "піб"), _NAME),
        Column("phone", ("телефон",), cells.phone_numbers),
        _OPTIONAL_STREET,
        _OPTIONAL_BUILDING,
        Column("flat", ("квартира",), cells.line(20)),
        Column("place", ("місце",), _NAME),
        _DISTRICT,
        _DEPARTMENT,
        _LAW_KIND,
        Column("due_at", ("строк", "виконати до"), cells.moment),
        Column("planned_for", ("заплановано на",), cells.moment),
        Column("executed_at", ("виконано", "дата виконання", "дата відповіді"), cells.moment),
        Column("ended_at", ("закрито", "дата закриття"), cells.moment),
        Column("answer", ("відповідь", "результат"), cells.text(appeals.LONGEST_NOTE)),
    ), CHUNK),
}  # fmt: skip


# ── a file ───────────────────────────────────────────────────────────────────────────────────
def run(db: Database, kind: str, file: BinaryIO, *, now: dt.datetime, staff_id: int | None, dry: bool,
        largest: int = sheets.LARGEST) -> rows.Report:  # fmt: skip
    """Checks the file and, unless ``dry`` or any row is bad, loads it.

    BadInput ``sheet.…`` for what is no table, ``import.…`` for headings that are not those of ``KINDS[kind]``. In
    neither case was anything loaded, but of old appeals that a killed run had brought over before.
    """
    its = KINDS[kind]
    report, hashes = rows.Report(kind), dict[str, str]()
    if dry or its.chunk or its.loader is rows.People:
        _pass(db, its, file, report, now, staff_id, hashes, keep=False, largest=largest)
        if dry or report.wrong:
            report.passwords = []
            return report
        made = [(login, passwords.one_time()) for login, _ in report.passwords]
        hashes = {login: passwords.hashed(password) for login, password in made}
        report = rows.Report(kind)
        _pass(db, its, file, report, now, staff_id, hashes, keep=True, largest=largest)
        report.passwords = made if report.loaded else []
        return report
    _pass(db, its, file, report, now, staff_id, hashes, keep=True, largest=largest)
    return report


def _pass(db: Database, its: Kind, file: BinaryIO, report: rows.Report, now: dt.datetime, staff_id: int | None,
          hashes: Mapping[str, str], *, keep: bool, largest: int) -> None:  # fmt: skip
    """Once through the file. With ``keep`` each transaction without a bad row is committed."""
    with closing(sheets.rows(file, largest)) as lines:
        columns = _columns(its, next(lines, (0, []))[1])
        while chunk := list(islice(lines, its.chunk)):
            try:
                with db.write() as conn:
                    loader = its.loader(conn, report, now, staff_id, hashes)
                    _take(loader, its, columns, chunk)
                    if not report.wrong:
                        loader.finish()
                    if report.wrong or not keep:
                        raise _Undo
            except _Undo:
                if keep:
                    return
    report.loaded = keep


def _take(loader: rows.Loader, its: Kind, columns: Sequence[Column | None], chunk: Sequence[sheets.Row]) -> None:
    """The rows; those that need one further down, after it."""
    report = loader.report
    report.rows += len(chunk)
    waiting: list[tuple[int, rows.Given]] = []
    for number, line in chunk:
        given = _parsed(its, columns, number, line, report)
        if given is not None:
            waiting.append((number, given))
    missing: list[tuple[int, rows.Given, str, CentreError]] = []
    while waiting:
        missing = []
        for number, given in waiting:
            try:
                loader.take(given)
            except rows.Wrong as wrong:
                if isinstance(wrong.error, NotFound):
                    missing.append((number, given, wrong.column, wrong.error))
                else:
                    report.bad(number, wrong.column, wrong.error)
            except CentreError as error:
                report.bad(number, "", error)
        waiting = [(number, given) for number, given, _, _ in missing] if len(missing) < len(waiting) else []
    for number, _, column, unknown in missing:
        report.bad(number, column, unknown)
    report.problems.sort(key=lambda problem: problem.row)


def _columns(its: Kind, headings: Sequence[str]) -> list[Column | None]:
    """The column under each heading; None under an empty one. BadInput for a heading that is unknown or there twice,
    and for a column that is needed and missing."""
    by_heading = {cells.folded(name): column for column in its.columns for name in (column.name, *column.headings)}
    known = ", ".join(f"{column.headings[0]} ({column.name})" for column in its.columns)
    found: list[Column | None] = []
    for heading in headings:
        column = by_heading.get(cells.folded(heading))
        if heading and column is None:
            raise BadInput("import.unknown_heading", heading=texts.line(heading[:60], 60), known=known)
        if column is not None and column in found:
            raise BadInput("import.heading_twice", heading=column.headings[0])
        found.append(column)
    for column in its.columns:
        if column.required and column not in found:
            raise BadInput("import.heading_missing", heading=f"{column.headings[0]} ({column.name})", known=known)
    return found


def _parsed(its: Kind, columns: Sequence[Column | None], number: int, line: Sequence[str],
            report: rows.Report) -> rows.Given | None:  # fmt: skip
    """The row's values by column, None for a bad row: each of its bad cells is told of, it counts once."""
    given: dict[str, Any] = {}
    problems: list[tuple[str, CentreError]] = []
    for at, cell in enumerate(line):
        column = columns[at] if at < len(columns) else None
        if not cell:
            continue
        if column is None:
            problems.append(("", BadInput("import.no_heading", cell=at + 1)))
        elif cell == sheets.FORMULA:
            problems.append((column.name, BadInput("import.formula")))
        else:
            try:
                value = column.parse(cell)
            except CentreError as error:
                problems.append((column.name, error))
            else:
                if value not in ("", []):
                    given[column.name] = value
    told = {name for name, _ in problems}
    problems += [(column.name, BadInput("import.required")) for column in its.columns
                 if column.required and column.name not in given and column.name not in told]  # fmt: skip
    if "building" in given and "street" not in given and not problems:
        problems.append(("street", BadInput("import.required")))
    if not problems:
        return given
    for name, problem in problems:
        report.bad(number, name, problem)
    report.wrong -= len(problems) - 1
    return None
