"""A file of the city's: checked first, then loaded as it was checked."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from starlette.responses import Response

from crm import imports
from crm.errors import BadInput, CentreError, NotFound
from crm.import_rows import MOST_SHOWN, Report
from web import forms
from web.visit import Visit, status_of

LARGEST = forms.MAX_UPLOAD - forms.MAX_BODY  # bytes
KEPT_S = 3600  # how long a checked file waits to be loaded


def ask(visit: Visit) -> Response:
    return _page(visit)


def check(visit: Visit) -> Response:
    """What would come of the file; it is kept for a while, for this person to load."""
    kind = visit.form.choice("kind", imports.KINDS, required=True)
    if not visit.form.files:
        visit.form.wrong("file", BadInput("form.no_file"))
    if visit.form.problems:
        return _page(visit)
    path = _keep(visit)
    try:
        with path.open("rb") as file:
            report = imports.run(visit.db, kind, file, now=visit.now, staff_id=visit.person.id, dry=True,
                                 largest=LARGEST)  # fmt: skip
    except CentreError as error:
        path.unlink()
        return _page(visit, error)
    if report.wrong or not report.rows:
        path.unlink()
        return _report(visit, report)
    return _report(visit, report, visit.parts.tickets.give(path, visit.person.id, visit.now))


def load(visit: Visit) -> Response:
    """The file that was checked. What has changed since is found again."""
    kind = visit.form.choice("kind", imports.KINDS, required=True)
    if not kind:
        return _page(visit)
    try:
        path = visit.parts.tickets.path(visit.path("ticket"), visit.person.id, visit.now)
        file = path.open("rb")
    except (NotFound, FileNotFoundError):
        return _page(visit, NotFound("import.gone"))
    with file:
        path.unlink(missing_ok=True)
        report = imports.run(visit.db, kind, file, now=visit.now, staff_id=visit.person.id, dry=False,
                             largest=LARGEST)  # fmt: skip
    return _report(visit, report)


def _keep(visit: Visit) -> Path:
    """The file on our own disk, for us alone; those that nobody came back for are removed."""
    folder = visit.parts.settings.var / "imports"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if visit.now.timestamp() - old.stat().st_mtime > KEPT_S:
                old.unlink()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f"{secrets.token_hex(8)}-", delete=False) as kept:
        shutil.copyfileobj(visit.form.files[0].file, kept)
        os.fchmod(kept.fileno(), 0o600)
        return Path(kept.name)


def _page(visit: Visit, problem: CentreError | None = None) -> Response:
    bad = bool(visit.form.problems or problem)
    return visit.page("import/ask.html", status=status_of(problem) if problem else 422 if bad else 200,
                      kinds=imports.KINDS, problem=problem, megabytes=LARGEST // 1024**2)  # fmt: skip


def _report(visit: Visit, report: Report, ticket: str = "") -> Response:
    headings = {column.name: column.headings[0] if visit.texts.language == "uk" else column.name
                for column in imports.KINDS[report.kind].columns}  # fmt: skip
    return visit.page("import/report.html", report=report, ticket=ticket, headings=headings, most=MOST_SHOWN)
