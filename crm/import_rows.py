"""What a row of each kind of file does to the database, in a transaction that is not this module's to end."""

from __future__ import annotations

import datetime as dt
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from crm import addresses, appeals, citizens, departments, law, life, networks, people, programmes, routing, rulebook
from crm import history as records
from crm import import_cells as cells
from crm.errors import BadInput, CentreError, NotFound, Stale
from crm.law import Kind as LawKind
from crm.life import Action, State
from crm.people import Edit, Role
from crm.schema import appeal, building, citizen, network_building, programme_building, street, street_name
from crm.store import insert_row

MOST_SHOWN = 200  # bad rows that are told of one by one
MOST_PEOPLE = 2000  # accounts of a file: a password of each is hashed, slowly

Given = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that cannot be loaded. ``column``: "" where it is not one cell's fault."""

    row: int
    column: str
    error: CentreError


@dataclass(slots=True)
class Report:
    """What became of a file. ``loaded``: its rows are in the database now. ``wrong``: how many rows are; of them
    ``problems`` has the first. ``passwords``: (login, password) of each new account, told nowhere else."""

    kind: str
    loaded: bool = False
    rows: int = 0
    added: int = 0
    changed: int = 0
    wrong: int = 0
    problems: list[Problem] = field(default_factory=list)
    passwords: list[tuple[str, str]] = field(default_factory=list)

    @property
    def same(self) -> int:
        return self.rows - self.added - self.changed - self.wrong

    def bad(self, row: int, column: str, error: CentreError) -> None:
        self.wrong += 1
        if len(self.problems) < MOST_SHOWN:
            self.problems.append(Problem(row, column, error))


class Wrong(Exception):
    """What is wrong with which column of a row."""

    def __init__(self, column: str, error: CentreError) -> None:
        super().__init__(column, error)
        self.column, self.error = column, error


@dataclass(slots=True)
class Loader:
    """Takes rows in one transaction. ``report`` gets what they added and changed."""

    conn: Connection
    report: Report
    now: dt.datetime
    staff_id: int | None
    hashes: Mapping[str, str]  # of new people's passwords, by login

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Reads what all rows need."""

    def take(self, given: Given) -> None:
        """One row. CentreError for one that cannot be taken; NotFound for one that may be later."""
        raise NotImplementedError

    def finish(self) -> None:
        """After the last row."""

    def count(self, known: bool, changed: bool) -> None:
        self.report.added += not known
        self.report.changed += known and changed

    @property
    def who(self) -> dict[str, Any]:
        return {"now": self.now, "staff_id": self.staff_id}


def needs(given: Given, *names: str) -> None:
    """What a record that is new must have."""
    for name in names:
        if name not in given:
            raise Wrong(name, BadInput("import.required"))


@dataclass(frozen=True, slots=True)
class _Known:
    street_id: int
    kind: str
    name: str
    current: bool


_FIND = select(building.c.id, building.c.district_id).where(
    building.c.street_id == bindparam("street"), building.c.folded == bindparam("folded"))  # fmt: skip


class _Places:
    """Streets by any of their names, read once; buildings as they are asked for."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.districts = {_district(row[1]): row[0] for row in addresses.districts(conn)}
        self._streets: dict[str, list[_Known]] = {}
        n = street_name.c
        for row in conn.execute(select(n.street_id, n.name, n.folded, n.current)):
            self._keep(row.folded, _Known(row.street_id, addresses.kind_of(row.name), row.name, row.current))

    def _keep(self, fold: str, known: _Known) -> None:
        self._streets.setdefault(fold, []).append(known)

    def named(self, name: str, current: bool) -> list[_Known]:
        """Each street that has this name now, or had it: of this kind, if the name says one."""
        kind = addresses.kind_of(name)
        return [each for each in self._streets.get(addresses.fold(name), ())
                if each.current is current and (not kind or kind == each.kind or not each.kind)]  # fmt: skip

    def street(self, name: str) -> int:
        """By its name now, else by an old one."""
        found = {each.street_id for each in self.named(name, True) or self.named(name, False)}
        if not found:
            raise Wrong("street", NotFound("import.street"))
        if len(found) > 1:
            raise Wrong("street", BadInput("import.street_ambiguous"))
        return found.pop()

    def add_street(self, name: str, old_names: Sequence[str]) -> int:
        street_id = addresses.add_street(self.conn, name, old_names)
        for each in (name, *old_names):
            self._keep(addresses.fold(each), _Known(street_id, addresses.kind_of(each), each, each == name))
        return street_id

    def find(self, street_id: int, number: str) -> tuple[int, int] | None:
        """(the building, its district), None if there is no such building."""
        row = self.conn.execute(_FIND, {"street": street_id, "folded": addresses.fold_number(number)}).one_or_none()
        return None if row is None else (row[0], row[1])

    def building(self, given: Given) -> int:
        """Of the columns street and building."""
        found = self.find(self.street(given["street"]), given["building"])
        if found is None:
            raise Wrong("building", NotFound("import.building"))
        return found[0]

    def district(self, name: str) -> int:
        if (found := self.districts.get(_district(name))) is None:
            raise Wrong("district", NotFound("import.district"))
        return found


def _district(name: str) -> str:
    return cells.folded(name).removesuffix("район").strip()


class Addresses(Loader):
    def begin(self) -> None:
        self.places = _Places(self.conn)

    def take(self, given: Given) -> None:
        new_district = _district(given["district"]) not in self.places.districts
        if new_district:
            if "district_en" not in given:
                raise Wrong("district", NotFound("import.district"))
            self.places.districts[_district(given["district"])] = addresses.add_district(
                self.conn, given["district"], given["district_en"])  # fmt: skip
        district_id = self.places.district(given["district"])
        name, old_names = given["street"], given.get("old_names", [])
        known = self.places.named(name, True)
        if len({each.street_id for each in known}) > 1:
            raise Wrong("street", BadInput("import.street_ambiguous"))
        if not known and (renamed := self.places.named(name, False)):
            now = self.conn.execute(select(street.c.name).where(street.c.id == renamed[0].street_id)).scalar_one()
            raise Wrong("street", BadInput("import.street_renamed", street=now))
        had: list[str] = []
        if known:
            name = known[0].name
            had = [old for old in old_names if known[0].street_id in
                   {each.street_id for each in self.places.named(old, False)}]  # fmt: skip
        more = [old for old in old_names if old not in had and addresses.fold(old) != addresses.fold(name)]
        street_id = known[0].street_id if known and not more else self.places.add_street(name, more)
        changed = new_district or bool(more)
        if "building" not in given:
            self.count(bool(known), changed)
            return
        found = self.places.find(street_id, given["building"])
        if found is None:
            addresses.add_building(self.conn, street_id, given["building"], district_id)
        elif found[1] != district_id:
            self.conn.execute(update(building).where(building.c.id == found[0]).values(district_id=district_id))
            changed = True
        self.count(found is not None, changed)

    def finish(self) -> None:
        _log_whole(self)


def _log_whole(loader: Loader) -> None:
    """One line of the log for a file of many small records."""
    if loader.report.added or loader.report.changed:
        what = {"kind": loader.report.kind, "added": loader.report.added, "changed": loader.report.changed}
        rulebook.log_edit(loader.conn, what="import", key=loader.report.kind, before=None, after=what, **loader.who)


class Departments(Loader):
    def begin(self) -> None:
        self.known = {each.name: each for each in departments.departments(self.conn)}

    def take(self, given: Given) -> None:
        before = self.known.get(given["name"])
        superior_id = before.superior_id if before else None
        if "superior" in given:
            superior_id = _department(self.known, given["superior"], "superior")
        was = {name: getattr(before, name) for name in ("email", "phone", "kind", "is_desk", "active")} if before else {
            "email": "", "phone": "", "kind": "city", "is_desk": False, "active": True}  # fmt: skip
        values = was | {name: given[name] for name in was if name in given}
        changed = before is None or (values, superior_id) != (was, before.superior_id)
        if changed:
            id = departments.save_department(self.conn, before.id if before else None, name=given["name"],
                                             superior_id=superior_id, **values, **self.who)  # fmt: skip
            self.known[given["name"]] = departments.Department(id, given["name"], superior_id=superior_id, **values)
        self.count(before is not None, changed)


def _department(known: Mapping[str, departments.Department], name: str, column: str = "department") -> int:
    if name not in known:
        raise Wrong(column, NotFound("import.department"))
    return known[name].id


_OF_SUBJECT = ("name_en", "term_days", "kind", "phrases", "active")


class Subjects(Loader):
    """A subject is known by its name and those above it: "Житло › Опалення"."""

    def begin(self) -> None:
        self.departments = {each.name: each for each in departments.departments(self.conn)}
        self.known = {each.id: each for each in departments.subjects(self.conn)}
        self.paths = {_path(each.group_uk, each.name_uk): each.id for each in self.known.values()}

    def take(self, given: Given) -> None:
        parent_id = _subject(self.paths, given["parent"], "parent") if "parent" in given else None
        above = next((path for path, id in self.paths.items() if id == parent_id), "")
        path = _path(above, given["subject"])
        id = self.paths.get(path)
        before = self.known.get(id) if id is not None else None
        if before is None:
            needs(given, "name_en", "department")
        was = {name: getattr(before, name) for name in _OF_SUBJECT} if before else {
            "name_en": "", "term_days": None, "kind": LawKind.APPLICATION.value, "phrases": "",
            "active": True}  # fmt: skip
        values = was | {name: given[name] for name in was if name in given}
        department_id = (_department(self.departments, given["department"]) if "department" in given
                         else before.department_id if before else 0)  # fmt: skip
        changed = before is None or (values, department_id) != (was, before.department_id)
        if changed:
            id = departments.save_subject(self.conn, id, name_uk=given["subject"], parent_id=parent_id,
                                          department_id=department_id, **values, **self.who)  # fmt: skip
            self.paths[path] = id
            self.known = {each.id: each for each in departments.subjects(self.conn)}
        self.count(before is not None, changed)


def _path(above: str, name: str) -> str:
    parts = (*re.split(r"[›>]", above), *re.split(r"[›>]", name))
    return " › ".join(cells.folded(part) for part in parts if part.strip())


def _subject(paths: Mapping[str, int], name: str, column: str = "subject") -> int:
    """By its whole path, or by the end of it where that is one subject's."""
    path = _path("", name)
    found = {paths[path]} if path in paths else {id for known, id in paths.items() if known.endswith(f" › {path}")}
    if not found:
        raise Wrong(column, NotFound("import.subject"))
    if len(found) > 1:
        raise Wrong(column, BadInput("import.subject_ambiguous"))
    return found.pop()


class Networks(Loader):
    def begin(self) -> None:
        self.places = _Places(self.conn)
        self.had: dict[int, set[int]] = {}
        self.wanted: dict[int, set[int]] = {}

    def take(self, given: Given) -> None:
        building_id = self.places.building(given)
        network_id = networks.add(self.conn, given["kind"], given["network"], **self.who)
        if network_id not in self.had:
            on_it = select(network_building.c.building_id).where(network_building.c.network_id == network_id)
            self.had[network_id] = set(self.conn.scalars(on_it))
            self.wanted[network_id] = set(self.had[network_id])
        self.count(building_id in self.wanted[network_id], False)
        self.wanted[network_id].add(building_id)

    def finish(self) -> None:
        for network_id, wanted in self.wanted.items():
            networks.put(self.conn, network_id, wanted, **self.who)


class Programmes(Loader):
    def begin(self) -> None:
        self.places = _Places(self.conn)
        self.paths = _subject_paths(self.conn)
        self.known = {each.programme.name_uk: each.programme for each in programmes.programmes(self.conn)}

    def take(self, given: Given) -> None:
        building_id = self.places.building(given)
        before = self.known.get(given["programme"])
        if before is None:
            needs(given, "ground")
        was: dict[str, Any] = {"name_en": "", "about_uk": "", "about_en": "", "ground": "", "subject_id": None,
                               "active": True}  # fmt: skip
        if before is not None:
            was = {name: getattr(before, name) for name in was}
        values = was | {name: given[name] for name in was if name in given}
        if "subject" in given:
            values["subject_id"] = _subject(self.paths, given["subject"])
        if before is None or values != was:
            id = programmes.save(self.conn, before.id if before else None, before.version if before else None,
                                 name_uk=given["programme"], **values, **self.who)  # fmt: skip
            before = self.known[given["programme"]] = programmes.get(self.conn, id)
        p = programme_building.c
        row = self.conn.execute(select(p.year, p.note).where(p.programme_id == before.id,
                                                             p.building_id == building_id)).one_or_none()  # fmt: skip
        note = given.get("note", row.note if row else "")
        moved = row is None or (row.year, row.note) != (given["year"], note)
        if moved:
            programmes.put_building(self.conn, before.id, building_id, given["year"], note, **self.who)
        self.count(row is not None, moved or values != was)


def _subject_paths(conn: Connection) -> dict[str, int]:
    return {_path(each.group_uk, each.name_uk): each.id for each in departments.subjects(conn)}


class People(Loader):
    def begin(self) -> None:
        self.departments = {each.name: each for each in departments.departments(self.conn)}

    def take(self, given: Given) -> None:
        login = given["login"].lower()
        before = people.by_login(self.conn, login)
        department_id = _department(self.departments, given["department"]) if "department" in given else None
        if before is not None:
            values = {name: given[name] for name in ("name", "role", "email", "language", "active") if name in given}
            if "department" in given:
                values["department_id"] = department_id
            elif values.get("role", Role.EXECUTOR.value) != Role.EXECUTOR.value:
                values["department_id"] = None
            self.count(True, people.change(self.conn, before.id, values, Edit(self.now, self.staff_id)))
            return
        needs(given, "name", "role")
        if self.report.added >= MOST_PEOPLE:
            raise BadInput("import.too_many_people", most=MOST_PEOPLE)
        if self.hashes and login not in self.hashes:
            raise Stale("import.stale")
        people.add_staff(self.conn, login=login, name=given["name"], role=Role(given["role"]),
                         department_id=department_id, email=given.get("email", ""),
                         language=given.get("language", "uk"), password_hash=self.hashes.get(login, "-"),
                         by=Edit(self.now, self.staff_id))  # fmt: skip
        self.report.passwords.append((login, ""))
        self.count(False, True)


# What the old system said of an appeal, and what ours does to bring it there. That an appeal was done there is the
# department's word: nobody here has heard the resident's, so none is closed. He may still say it at any call.
_DONE = (Action.EXECUTE, Action.ASK, Action.GIVE_UP)
_LIVES: dict[State, tuple[Action, ...]] = {
    State.ASSIGNED: (), State.IN_WORK: (Action.START,), State.UNCONFIRMED: _DONE, State.EXPLAINED: (Action.EXPLAIN,),
    State.PLANNED: (Action.PLAN,), State.REFUSED: (Action.REFUSE,), State.DEFECTIVE: (Action.FIND_DEFECTIVE,),
    State.FORWARDED: (Action.FORWARD,), State.WITHDRAWN: (Action.WITHDRAW,),
}  # fmt: skip
OLD_STATES: dict[str, State] = {
    "нове": State.ASSIGNED, "зареєстровано": State.ASSIGNED, "передано виконавцю": State.ASSIGNED,
    "new": State.ASSIGNED, "registered": State.ASSIGNED, "assigned": State.ASSIGNED,
    "у роботі": State.IN_WORK, "в роботі": State.IN_WORK, "на доопрацюванні": State.IN_WORK,
    "на контролі": State.IN_WORK, "повернуто": State.IN_WORK,
    "in work": State.IN_WORK, "returned": State.IN_WORK, "control": State.IN_WORK,
    "виконано": State.UNCONFIRMED, "закрито": State.UNCONFIRMED, "вирішено": State.UNCONFIRMED,
    "не підтверджено": State.UNCONFIRMED, "executed": State.UNCONFIRMED, "awaiting": State.UNCONFIRMED,
    "closed": State.UNCONFIRMED, "solved": State.UNCONFIRMED, "unconfirmed": State.UNCONFIRMED,
    "роз’яснено": State.EXPLAINED, "explained": State.EXPLAINED, "заплановано": State.PLANNED, "planned": State.PLANNED,
    "відмовлено": State.REFUSED, "refused": State.REFUSED, "не відповідає вимогам": State.DEFECTIVE,
    "defective": State.DEFECTIVE, "переслано": State.FORWARDED, "надіслано за належністю": State.FORWARDED,
    "forwarded": State.FORWARDED, "відкликано": State.WITHDRAWN, "withdrawn": State.WITHDRAWN,
}  # fmt: skip
CHANNELS = {each: each for each in appeals.CHANNELS} | {
    "телефон": "phone", "сайт": "web", "пошта": "email", "електронна пошта": "email", "застосунок": "mobile",
    "особисто": "visit", "особистий прийом": "visit", "смс": "sms", "фейсбук": "facebook", "телебачення": "tv",
    "лист": "paper", "поштою": "paper"}  # fmt: skip


class OldAppeals(Loader):
    def begin(self) -> None:
        self.places = _Places(self.conn)
        self.departments = {each.name: each for each in departments.departments(self.conn)}
        self.paths = _subject_paths(self.conn)

    def take(self, given: Given) -> None:
        old_number = given["old_number"]
        if self.conn.execute(select(1).where(appeal.c.old_number == old_number)).first() is not None:
            self.count(True, False)  # it has had a life here since: the old file does not change it any more
            return
        subject_id = _subject(self.paths, given["subject"])
        building_id = self.places.building(given) if "building" in given else None
        district_id = self.places.district(given["district"]) if "district" in given else None
        book = rulebook.current(self.conn, subject_id)
        where = rulebook.place(self.conn, book.routing, building_id, district_id)
        department_id = (_department(self.departments, given["department"]) if "department" in given
                         else routing.decide(book.routing, subject_id, where, None).department_id)  # fmt: skip
        state, began = given["state"], given["registered_at"]
        done, ended = self._times(given, state)
        note = given.get("answer", "")
        if not note and life.NEEDS_NOTE & set(_LIVES[state]):
            raise Wrong("answer", BadInput("import.needs_answer"))
        if state is State.PLANNED:
            needs(given, "planned_for")
        topic = book.topic(subject_id)
        kind, is_open = given.get("kind", topic.kind), state in life.OPEN
        moves = (Action.ASSIGN, *_LIVES[state])
        appeal_id = insert_row(self.conn, appeal, {
            "number": appeals.next_number(self.conn, began), "code": f"{secrets.randbelow(10_000):04}",
            "old_number": old_number, "citizen_id": self._citizen(given, building_id), "building_id": building_id,
            "flat": given.get("flat", ""), "place": given.get("place", ""), "subject_id": subject_id,
            "text": given["text"], "channel": given.get("channel", "phone"), "state": state.value,
            "department_id": department_id, "kind": kind, "district_id": where.district_id, "registered_at": began,
            "due_at": given.get("due_at") or law.due(began, topic.term_days, book.calendar, book.terms),
            "planned_for": given.get("planned_for") if state is State.PLANNED else None,
            "first_executed_at": done if Action.EXECUTE in moves else None,
            "executed_at": done if Action.EXECUTE in moves else None,
            "ended_at": ended if state in life.ENDED else None, "watch_at": self.now if is_open else None,
            "version": 1 + len(moves)})  # fmt: skip
        at = State.REGISTERED
        kept: dict[str, Any] = {"staff_id": None, "department_id": department_id,
                                "evidence": {"old_number": old_number}}  # fmt: skip
        records.add(self.conn, appeal_id, Action.REGISTER, at, at, now=began, **kept)
        for action in moves:
            before, (at, _) = at, life.after(at, action, 0)
            when = began if action in (Action.ASSIGN, Action.START) else ended if action is Action.GIVE_UP else done
            records.add(self.conn, appeal_id, action, before, at, now=when, **kept,
                        note=note if action in life.ANSWERS or action is Action.WITHDRAW else "")  # fmt: skip
        self.count(False, True)

    def finish(self) -> None:
        _log_whole(self)

    def _times(self, given: Given, state: State) -> tuple[dt.datetime, dt.datetime]:
        """When it was answered, and when it was over: what is not said is when the other was, else when it came."""
        began = given["registered_at"]
        done = given.get("executed_at") or given.get("ended_at") or began
        ended = given.get("ended_at") or done
        if not began <= done <= ended:
            raise Wrong("executed_at" if done < began else "ended_at", BadInput("import.order"))
        for name in ("registered_at", "executed_at", "ended_at"):
            if name in given and given[name] > self.now:
                raise Wrong(name, BadInput("import.future"))
        return done, ended

    def _citizen(self, given: Given, building_id: int | None) -> int | None:
        """Whoever has this name at this number, or at this address where no number is said; else somebody new. None
        for nobody."""
        name, numbers = given.get("applicant", ""), given.get("phone", [])
        if not name and not numbers:
            return None
        for e164 in numbers:
            for each in citizens.by_phone(self.conn, e164):
                if cells.folded(each.name) == cells.folded(name):
                    return each.id
        if not numbers and building_id is not None:
            for id, known in self.conn.execute(_NEIGHBOURS, {"building": building_id, "flat": given.get("flat", "")}):
                if cells.folded(known) == cells.folded(name):
                    return int(id)
        return citizens.add(self.conn, now=given["registered_at"], name=name, phones=numbers, building_id=building_id,
                            flat=given.get("flat", ""))  # fmt: skip


_NEIGHBOURS = select(citizen.c.id, citizen.c.name).where(
    citizen.c.building_id == bindparam("building"), citizen.c.flat == bindparam("flat"))  # fmt: skip
