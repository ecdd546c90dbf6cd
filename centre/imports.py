"""`./1551 import KIND FILE`: a file of the city's, with what is wrong with it row by row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from centre.settings import Settings
from centre.texts import sentence, terminal_language
from crm import imports
from crm.errors import BadInput, CentreError
from crm.store import Database
from web.texts import texts


def main(settings: Settings, kind: str, path: Path, *, dry: bool, say: Callable[[str], None]) -> int:
    """0 when the file is good (and, unless ``dry``, loaded), 1 when anything is wrong with it.

    On stdout: the passwords of new accounts, told this once, as ``login<tab>password``.
    """
    language = terminal_language()
    db = Database(settings.database_url)
    try:
        with path.open("rb") as file:
            report = imports.run(db, kind, file, now=datetime.now(UTC), staff_id=None, dry=dry)
    except OSError as error:
        raise BadInput("file.unread", file=path, reason=error.strerror) from None
    except CentreError as error:
        say(texts(language).error(error))
        return 1
    finally:
        db.close()
    for problem in report.problems:
        where = sentence("imported.cell" if problem.column else "imported.row", language, row=problem.row,
                         column=problem.column)  # fmt: skip
        say(f"{where}: {texts(language).error(problem.error)}")
    if report.wrong > len({problem.row for problem in report.problems}):
        say(sentence("imported.more", language))
    done = "wrong" if report.wrong else "checked" if dry else "done"
    say(sentence(f"imported.{done}", language, rows=report.rows, added=report.added, changed=report.changed,
                 same=report.same, wrong=report.wrong))  # fmt: skip
    for login, password in report.passwords:
        print(f"{login}\t{password}")
    return 1 if report.wrong else 0
