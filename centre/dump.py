"""`./1551 export FILE`: all that is on record, as CSV files in one ZIP that an outsider can read.

``dump.toml`` says which files and columns there are, and explains each in both languages: README in the ZIP is made of
it. What is personal is marked there; with ``public`` it is left out. It is one moment of the database, read row by row.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import os
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, make_url, select

from centre import rows
from centre.texts import LANGUAGES, sentence
from crm import schema
from crm.errors import BadInput
from crm.store import Database
from web.tables import harmless

AT_A_TIME = 1000  # rows held in memory


def catalogue(public: bool) -> Iterator[tuple[str, dict[str, Any], dict[str, dict[str, Any]]]]:
    """(the table, what is said of its file, its columns) of each file; with ``public`` only what names nobody."""
    for name, said in tomllib.loads(Path(__file__).with_name("dump.toml").read_text("utf-8")).items():
        columns = {column: each for column, each in said["columns"].items()
                   if not (public and each.get("personal"))}  # fmt: skip
        if not (public and said.get("personal")):
            yield name, said, columns


def write(url: str, path: Path, *, public: bool) -> int:
    """Writes the ZIP, readable by its owner only; how many rows it has. A file that is there is not replaced: BadInput
    ``dump.exists``; ``dump.not_written`` where it cannot be written, and nothing is left then."""
    if path.exists():
        raise BadInput("dump.exists", file=path)
    db = Database(url)  # as the centre opens it: an unknown database is refused here
    db.close()
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part") as draft:
            with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive, rows.snapshot(make_url(db.url)) as conn:
                written = 0
                for name, _, columns in catalogue(public):
                    written += _file(conn, archive, name, list(columns))
                for language in LANGUAGES:
                    archive.writestr(f"README.{language}.md", _readme(language, public))
            draft.flush()
            os.fsync(draft.fileno())
            os.link(draft.name, path)
    except FileExistsError:
        raise BadInput("dump.exists", file=path) from None
    except OSError as error:
        raise BadInput("dump.not_written", file=path, reason=error.strerror) from None
    return written


def _file(conn: Connection, archive: zipfile.ZipFile, name: str, columns: list[str]) -> int:
    table, count = schema.metadata.tables[name], 0
    query = select(*(table.c[column] for column in columns)).order_by(*table.primary_key)
    raw = archive.open(f"{name}.csv", "w", force_zip64=True)
    with raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(columns)
        for row in conn.execution_options(yield_per=AT_A_TIME).execute(query):
            writer.writerow([_cell(value) for value in row])
            count += 1
    return count


def _cell(value: object) -> object:
    """Times in UTC, yes or no as 1 or 0, nothing as nothing; a text that a spreadsheet would run is made harmless."""
    match value:
        case bool():
            return int(value)
        case dict():
            return json.dumps(value, ensure_ascii=False)
        case dt.datetime():
            return value.isoformat(" ", "seconds")
        case str() if not value[1:].isdigit():  # a telephone number is no formula
            return harmless(value)
    return value


def _readme(language: str, public: bool) -> str:
    lines = [f"# {sentence('dump.title', language)}", "", sentence("dump.public" if public else "dump.whole", language),
             sentence("dump.form", language)]  # fmt: skip
    for name, said, columns in catalogue(public):
        lines += ["", f"## {name}.csv", "", said[language], ""]
        lines += [f"- `{column}` – {each[language]}" for column, each in columns.items()]
    return "\n".join(lines) + "\n"
