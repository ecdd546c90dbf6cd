"""Alembic's entry: on the connection that ``crm.store.migrate`` gives, or on ``alembic -x url=…``."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, create_engine
from sqlalchemy.sql.elements import False_, True_

from crm.schema import Instant, metadata


def render(kind: str, item: Any, autogen: Any) -> str | Literal[False]:
    """Revisions stand on their own: they name no type of ours, and truth as both databases write it."""
    if kind == "type" and isinstance(item, Instant):
        return "sa.DateTime(timezone=True)"
    if kind == "server_default" and isinstance(getattr(item, "arg", None), True_ | False_):
        return "sa.true()" if isinstance(item.arg, True_) else "sa.false()"
    return False


def differs(_: Any, __: Any, ___: Any, inspected: str | None, ____: Any, wanted: str | None) -> bool | None:
    """Whether a default differs, on SQLite, where alembic takes ('') for another thing than ''."""
    if context.get_context().dialect.name != "sqlite":
        return None  # as usual
    return (inspected or "").strip("()'") != (wanted or "").strip("'")


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, compare_type=True, render_item=render,
                      compare_server_default=differs, render_as_batch=connection.dialect.name == "sqlite",
                      transactional_ddl=True)  # fmt: skip
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if isinstance(given, Connection):
    run(given)
else:  # an engine (pytest-alembic), or the command line
    engine = given if given is not None else create_engine(context.get_x_argument(as_dictionary=True).get("url") or "")
    with engine.begin() as own:
        run(own)
