"""`./1551 user …`: the people who sign in. Passwords are made here and shown once, never defaulted."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select

from centre.settings import Settings
from centre.texts import sentence, terminal_language
from crm import departments, passwords, people, schema
from crm.errors import BadInput, NotFound
from crm.store import Database


@dataclass(frozen=True)
class Made:
    """An account just made, with the password that is shown this once."""

    login: str
    password: str


def first_administrator(settings: Settings) -> Made | None:
    """An administrator for a centre that has no people yet, else None."""
    db = Database(settings.database_url)
    try:
        with db.read() as conn:
            if conn.execute(select(schema.staff.c.id).limit(1)).first():
                return None
        return add(db, "admin", people.Role.ADMINISTRATOR, name="Адміністратор")
    finally:
        db.close()


def add(db: Database, login: str, role: people.Role, *, name: str = "", department_id: int | None = None) -> Made:
    """A new account with a generated password."""
    password = passwords.one_time()
    hashed = passwords.hashed(password)
    with db.write() as conn:
        people.add_staff(conn, login=login, name=name or login, password_hash=hashed, role=role,
                         department_id=department_id)  # fmt: skip
    return Made(login, password)


def main(settings: Settings, args: argparse.Namespace, say: Callable[[str], None]) -> int:
    """`user add|list|password|second-factor|disable|enable`; the process's exit code. CentreError for what is not done.

    Whoever has this machine can always let people in: a new password and a second factor to be set up anew are given
    here when no administrator can.
    """
    db, language = Database(settings.database_url), terminal_language()
    try:
        if args.what == "list":
            with db.read() as conn:
                for person in people.staff(conn):
                    print(person.login, person.role, person.name, "" if person.active else "(disabled)", sep="\t")
        elif args.what == "add":
            made = _add(db, args)
            print(f"{made.login}\t{made.password}")
            say(sentence("user.once", language))
        else:
            _change(db, args.what, args.login or "", language, say)
    finally:
        db.close()
    return 0


def _add(db: Database, args: argparse.Namespace) -> Made:
    if args.role not in set(people.Role):
        raise BadInput("user.role", role=args.role, roles=", ".join(people.Role))
    with db.read() as conn:
        known = {d.name: d.id for d in departments.departments(conn)}
    if args.department and args.department not in known:
        raise BadInput("user.department", name=args.department, names="; ".join(known))
    return add(db, args.login or "", people.Role(args.role), name=args.name, department_id=known.get(args.department))


def _change(db: Database, what: str, login: str, language: str, say: Callable[[str], None]) -> None:
    with db.read() as conn:
        person = people.by_login(conn, login)
    if person is None:
        raise NotFound("user.unknown", login=login)
    by, password = people.Edit(datetime.now(UTC), None), passwords.one_time()
    hashed = passwords.hashed(password)
    with db.write() as conn:
        if what == "password":
            people.give_password(conn, person.id, hashed, by)
        elif what == "second-factor":
            people.take_second_factor(conn, person.id, by)
        else:
            people.set_active(conn, person.id, what == "enable", by)
    if what == "password":
        print(f"{person.login}\t{password}")
    say(sentence("user.once" if what == "password" else "user.done", language))
