"""Which building a form means: by what is typed, or by the choice among those that it may mean."""

from __future__ import annotations

import contextlib

from sqlalchemy import Connection

from crm import addresses
from crm.addresses import BuildingLine
from crm.errors import BadInput, NotFound
from web.forms import Form

SUGGESTIONS = 10
ADDRESS_MOST = 200


def building_of(conn: Connection, form: Form) -> tuple[BuildingLine | None, list[BuildingLine]]:
    """The building meant by ``address`` (with ``building`` chosen for ``building_for``), or those it may mean: a
    problem of the form when there is not one."""
    text = form.text("address", ADDRESS_MOST)
    chosen = form.number("building")
    if chosen is not None and form["building_for"] == text:
        with contextlib.suppress(NotFound):  # else it is looked for by what is written
            return addresses.find_building(conn, chosen), []
    found = addresses.suggest(conn, text, SUGGESTIONS) if text else []
    exact = [b for b in found if addresses.fold_number(text).endswith(addresses.fold_number(b.number))]
    if len(found) == 1 or len(exact) == 1:
        return (exact or found)[0], []
    if text and not found:
        meant = addresses.mistyped(conn, text, SUGGESTIONS)
        form.wrong("address", BadInput("form.mistyped_address" if meant else "form.unknown_address"))
        return None, meant
    if text:
        form.wrong("address", BadInput("form.many_addresses"))
    return None, found
