"""A list of the console: what its address asks for, a page at a time, and the same as a file.

The address says all of it: the filters, the order, and after which record the page begins. So a list can be sent to a
colleague, the browser's way back works, and no page costs more than the first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from starlette.responses import Response

from crm.errors import NotAllowed
from crm.people import Permission
from web.forms import Form
from web.tables import FILES, Cell, Table, file_of
from web.visit import Visit

SIZE = 50
MOST = 5000  # rows of a file


class Record(Protocol):
    @property
    def id(self) -> int: ...


T = TypeVar("T", bound=Record)


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """``found``: the page's records, or the file's. ``kept``: what is asked for, beside where the page begins.
    ``next``: the address's words of the page after it, empty at the end; ``begins``: whether this is the first.
    ``files``: the kinds of file that this person may take it as."""

    found: Sequence[T]
    kept: dict[str, str]
    next: dict[str, str]
    begins: bool
    files: tuple[str, ...]


def listing(visit: Visit, filters: Collection[str], find: Callable[[int, int | None], Sequence[T]],
            asked: Form | None = None) -> Listing[T]:  # fmt: skip
    """``filters``: the names of what may be asked for. ``find``: at most so many records, after the one with this id.
    ``asked``: the address, or a form that says the same. What is asked for wrongly finds nothing, rather than
    everything. NotAllowed ``list.no_file`` for a file without the right to it."""
    asked, wanted = asked if asked is not None else visit.query, wants_file(visit)
    after = None if wanted else asked.number("after")
    if wanted and not visit.can(Permission.EXPORT):
        raise NotAllowed("list.no_file")
    size = MOST if wanted else SIZE
    wrong = any(name in asked.problems for name in (*filters, "after"))
    found = [] if wrong else find(size + 1, after)
    kept = {name: asked[name] for name in filters if asked[name]}
    more = len(found) > size and not wanted
    return Listing(found[:size], kept, {**kept, "after": str(found[size - 1].id)} if more else {}, after is None,
                   tuple(FILES) if visit.can(Permission.EXPORT) else ())  # fmt: skip


def wants_file(visit: Visit) -> bool:
    return visit.query["file"] in FILES


def as_file(visit: Visit, name: str, table: Table, *whose: tuple[str, object]) -> Response:
    """The list as the file that the address asks for, which says if it was cut. ``whose``: the records in it, for the
    log of who looked."""
    if len(table.rows) == MOST:
        last = (Cell(visit.texts("list.cut", n=MOST)), *(Cell("") for _ in table.columns[1:]))
        table = replace(table, rows=(*table.rows, last))
    visit.looked_at(("file", name), *whose, why="export")
    return file_of([table], visit.query["file"], f"1551-{name}-{visit.now:%Y-%m-%d}")
