"""`./1551 user …`: the people who sign in. Passwords are made here and shown once, never defaulted."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select

from centre.settings import Settings
from crm import departments, passwords, people, schema
from crm.errors import CentreError
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
    """`user add|list|password|disable`; the process's exit code."""
    if args.what != "list" and not args.login:
        say(f"Name the person: ./1551 user {args.what} LOGIN")
        return 2
    db = Database(settings.database_url)
    try:
        return _do(db, args, say)
    except CentreError as error:
        say(f"Not done: {error}")
        return 1
    finally:
        db.close()


def _do(db: Database, args: argparse.Namespace, say: Callable[[str], None]) -> int:
    if args.what == "list":
        with db.read() as conn:
            for person in people.staff(conn):
                print(person.login, person.role, person.name, "" if person.active else "(disabled)", sep="\t")
        return 0
    if args.what == "add":
        if args.role not in set(people.Role):
            say(f"There is no role {args.role!r}; there are: {', '.join(people.Role)}.")
            return 2
        with db.read() as conn:
            known = {d.name: d.id for d in departments.departments(conn)}
        if args.department and args.department not in known:
            say(f"There is no department {args.department!r}; there are: {'; '.join(known)}.")
            return 2
        made = add(db, args.login, people.Role(args.role), name=args.name, department_id=known.get(args.department))
        print(f"{made.login}\t{made.password}")
        return 0
    with db.read() as conn:
        person_found = people.by_login(conn, args.login)
    if person_found is None:
        say(f"There is no account {args.login!r}.")
        return 1
    if args.what == "disable":
        with db.write() as conn:
            people.set_active(conn, person_found.id, False)
        return 0
    password = passwords.one_time()
    hashed = passwords.hashed(password)
    with db.write() as conn:
        people.give_password(conn, person_found.id, hashed, people.Edit(datetime.now(UTC), None))
    print(f"{args.login}\t{password}")
    return 0
