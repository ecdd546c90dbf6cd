"""Hearing a recording: first why, then the player. Every listening is on record before the first sound."""

from __future__ import annotations

from starlette.responses import FileResponse, Response

from crm.errors import BadInput, NotFound
from recordings import library
from web import reads
from web.visit import Visit


def ask(visit: Visit) -> Response:
    return _page(visit, None)


def listen(visit: Visit) -> Response:
    """Writes down who listens and why, then shows the player."""
    try:
        with visit.db.write() as conn:
            path = library.open_for_listening(conn, visit.parts.settings.recordings, visit.number("id"),
                                              visit.person.id, visit.form["reason"], visit.now)  # fmt: skip
    except BadInput as error:
        return _page(visit, None, error)
    return _page(visit, visit.parts.tickets.give(path, visit.person.id, visit.now))


def audio(visit: Visit) -> Response:
    """The sound itself, whole or the range that the player asks for."""
    path = visit.parts.tickets.path(visit.path("ticket"), visit.person.id, visit.now)
    if not path.is_file():
        raise NotFound("recording.missing")
    return FileResponse(path, media_type="audio/wav")


def _page(visit: Visit, ticket: str | None, problem: BadInput | None = None) -> Response:
    with visit.db.read() as conn:
        recording = reads.recording_of(conn, visit.number("id"))
    show = visit.again if problem else visit.page
    return show("recording.html", recording=recording, ticket=ticket, problem=problem)
