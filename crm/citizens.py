"""Citizens and how to reach them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select
from sqlalchemy import update as change

from crm import texts
from crm.departments import is_email
from crm.errors import BadInput, NotFound
from crm.law import Privilege
from crm.schema import building, citizen, citizen_address, citizen_phone
from crm.store import Statement, insert_or_ignore, insert_row

LANGUAGES = ("uk", "en")
_E164 = re.compile(r"\+[1-9][0-9]{4,14}")


@dataclass(frozen=True, slots=True)
class Phone:
    """``wrong``: somebody else answered there. ``do_not_call``: asked not to be called there."""

    e164: str
    wrong: bool
    do_not_call: bool


@dataclass(frozen=True, slots=True)
class Citizen:
    """``call_from``, ``call_to``: minutes after midnight in Kyiv, None for the centre's own window."""

    id: int
    name: str
    building_id: int | None
    flat: str
    language: str
    auto_confirm: bool
    do_not_call: bool
    call_from: int | None
    call_to: int | None
    privilege: str  # crm.law.Privilege, "" for none
    email: str
    phones: tuple[Phone, ...]  # last used first


_theirs = citizen_phone.alias("theirs")
_CITIZEN: Select[Any] = (
    select(citizen.c.id, citizen.c.name, citizen.c.building_id, citizen.c.flat, citizen.c.language,
           citizen.c.auto_confirm, citizen.c.do_not_call, citizen.c.call_from, citizen.c.call_to, citizen.c.privilege,
           citizen.c.email, citizen_phone.c.e164, citizen_phone.c.wrong, citizen_phone.c.do_not_call.label("barred"))
    .join_from(citizen, citizen_phone, isouter=True)
)  # fmt: skip
_BY_ID = Statement(_CITIZEN.where(citizen.c.id == bindparam("id"))
                   .order_by(citizen_phone.c.last_used_at.desc(), citizen_phone.c.id))  # fmt: skip
_BY_PHONE = Statement(
    _CITIZEN.join(_theirs, _theirs.c.citizen_id == citizen.c.id)
    .where(_theirs.c.e164 == bindparam("e164"), _theirs.c.wrong.is_(False))
    .order_by(_theirs.c.last_used_at.desc(), citizen.c.id, citizen_phone.c.last_used_at.desc(), citizen_phone.c.id)
)
_BY_ADDRESS = Statement(
    _CITIZEN.join(citizen_address, citizen_address.c.citizen_id == citizen.c.id)
    .where(citizen_address.c.channel == bindparam("channel"), citizen_address.c.address == bindparam("address"))
    .order_by(citizen_address.c.last_used_at.desc(), citizen.c.id, citizen_phone.c.last_used_at.desc(),
              citizen_phone.c.id)
)  # fmt: skip
_LANGUAGE = Statement(
    select(citizen.c.language).join(citizen_phone)
    .where(citizen_phone.c.e164 == bindparam("e164"), citizen_phone.c.wrong.is_(False))
    .order_by(citizen_phone.c.last_used_at.desc())
)  # fmt: skip
_FIRST_USED = Statement(
    select(citizen_phone.c.last_used_at)
    .where(citizen_phone.c.e164 == bindparam("e164"), citizen_phone.c.wrong.is_(False))
    .order_by(citizen_phone.c.last_used_at).limit(1)
)  # fmt: skip
_BARRED = Statement(
    select(citizen_phone.c.id).where(citizen_phone.c.e164 == bindparam("e164"), citizen_phone.c.do_not_call).limit(1))
_PRIVILEGED = Statement(
    select(citizen.c.id).join(citizen_phone)
    .where(citizen_phone.c.e164 == bindparam("e164"), citizen_phone.c.wrong.is_(False), citizen.c.privilege != "")
)  # fmt: skip
_BUILDING = Statement(select(building.c.id).where(building.c.id == bindparam("building")))


def get(conn: Connection, citizen_id: int) -> Citizen:
    """NotFound if there is none."""
    found = _gather(_BY_ID(conn, {"id": citizen_id}))
    if not found:
        raise NotFound("citizen.unknown")
    return found[0]


def by_phone(conn: Connection, e164: str) -> list[Citizen]:
    """Everybody known at this number (a family may share one), last used first; one query."""
    return _gather(_BY_PHONE(conn, {"e164": e164}))


def by_address(conn: Connection, channel: str, address: str) -> list[Citizen]:
    """Everybody known by this address ("email", "facebook"), last used first; one query."""
    return _gather(_BY_ADDRESS(conn, {"channel": channel, "address": address.lower()}))


def _gather(rows: Sequence[Any]) -> list[Citizen]:
    """One citizen of his consecutive rows, a row for each phone."""
    people: dict[int, Any] = {}
    phones: dict[int, list[Phone]] = {}
    for row in rows:
        people.setdefault(row.id, row)
        numbers = phones.setdefault(row.id, [])
        if row.e164 is not None:
            numbers.append(Phone(row.e164, row.wrong, row.barred))
    return [Citizen(row.id, row.name, row.building_id, row.flat, row.language, row.auto_confirm, row.do_not_call,
                    row.call_from, row.call_to, row.privilege, row.email, tuple(phones[id]))
            for id, row in people.items()]  # fmt: skip


def language_of(conn: Connection, e164: str) -> str:
    """The language of whoever used this number last; "" for a stranger."""
    return _LANGUAGE.value(conn, {"e164": e164}) or "" if e164 else ""


def is_privileged(conn: Connection, e164: str) -> bool:
    """Whether the law puts somebody at this number first."""
    return _PRIVILEGED.value(conn, {"e164": e164}) is not None


def add(conn: Connection, *, now: dt.datetime, name: str, phones: Sequence[str] = (), building_id: int | None = None,
        flat: str = "", language: str = "uk", auto_confirm: bool = False, privilege: str = "", email: str = "",
        proven: bool = True) -> int:  # fmt: skip
    """The new citizen's id. ``phones``: E.164, as parse_phone gives them. ``proven``: False where anybody may have
    written them: he comes after all who are known there, and a number that is not to be called stays so. BadInput as
    ``update``."""
    values = _checked(conn, name=name, building_id=building_id, flat=flat, language=language, privilege=privilege,
                      email=email)  # fmt: skip
    citizen_id = insert_row(conn, citizen, {**values, "auto_confirm": auto_confirm, "created_at": now})
    for e164 in phones:
        barred = not proven and _BARRED.value(conn, {"e164": e164}) is not None
        add_phone(conn, citizen_id, e164, now if proven else _before_others(conn, e164, now))
        if barred:
            _change_phone(conn, citizen_id, e164, do_not_call=True)
    if values["email"]:
        add_address(conn, citizen_id, "email", values["email"], now)
    return citizen_id


def update(conn: Connection, citizen_id: int, *, name: str | None = None, building_id: int | None = None,
           flat: str | None = None, language: str | None = None, privilege: str | None = None,
           email: str | None = None) -> None:  # fmt: skip
    """Changes what is not None. BadInput for a language we do not speak, a privilege that the law does not know or an
    e-mail address that is none; NotFound for no such building."""
    given = {"name": name, "building_id": building_id, "flat": flat, "language": language, "privilege": privilege,
             "email": email}  # fmt: skip
    values = _checked(conn, **{key: value for key, value in given.items() if value is not None})
    if values:
        _change(conn, citizen_id, **values)


def add_phone(conn: Connection, citizen_id: int, e164: str, now: dt.datetime) -> None:
    """Adds the number, or says that it was used just now and is right after all."""
    if not _E164.fullmatch(e164):
        raise BadInput("phone.malformed")
    if not insert_or_ignore(conn, citizen_phone, {"citizen_id": citizen_id, "e164": e164, "last_used_at": now}):
        _change_phone(conn, citizen_id, e164, wrong=False, last_used_at=now)


def _before_others(conn: Connection, e164: str, now: dt.datetime) -> dt.datetime:
    """A moment before anybody used this number last; now, if nobody did."""
    first = _FIRST_USED.value(conn, {"e164": e164})
    return now if first is None else min(now, first - dt.timedelta(seconds=1))


def add_address(conn: Connection, citizen_id: int, channel: str, address: str, now: dt.datetime) -> None:
    """An address by which he is recognised ("email", "facebook"), or that it was used just now; where he is written to
    is not changed by it."""
    known = {"citizen_id": citizen_id, "channel": channel, "address": texts.line(address, 200).lower()}
    if not insert_or_ignore(conn, citizen_address, {**known, "last_used_at": now}):
        c = citizen_address.c
        conn.execute(change(citizen_address).values(last_used_at=now).where(
            c.citizen_id == citizen_id, c.channel == channel, c.address == known["address"]))  # fmt: skip


def addresses_of(conn: Connection, citizen_id: int) -> list[tuple[str, str]]:
    """(channel, address) of those that he is recognised by, the last used first."""
    c = citizen_address.c
    rows = conn.execute(select(c.channel, c.address).where(c.citizen_id == citizen_id).order_by(c.last_used_at.desc()))
    return [(row.channel, row.address) for row in rows]


def set_consent(conn: Connection, citizen_id: int, auto_confirm: bool) -> None:
    """Whether a machine may ask this citizen."""
    _change(conn, citizen_id, auto_confirm=auto_confirm)


def set_call_window(conn: Connection, citizen_id: int, call_from: int | None, call_to: int | None) -> None:
    """When he may be called, minutes after midnight in Kyiv; None, None for the centre's own window."""
    if (call_from is None) != (call_to is None):
        raise BadInput("citizen.half_window")
    if call_from is not None and call_to is not None and not 0 <= call_from < call_to <= 1440:
        raise BadInput("citizen.window_malformed")
    _change(conn, citizen_id, call_from=call_from, call_to=call_to)


def do_not_call(conn: Connection, citizen_id: int, e164: str = "") -> None:
    """Never to be called again: at this number, whosever it is besides, or (with none) at all."""
    if e164:
        _change_phone(conn, citizen_id, e164, do_not_call=True)
        conn.execute(change(citizen_phone).where(citizen_phone.c.e164 == e164).values(do_not_call=True))
    else:
        _change(conn, citizen_id, do_not_call=True)


def mark_wrong_number(conn: Connection, citizen_id: int, e164: str) -> None:
    """Somebody else answers at this number."""
    _change_phone(conn, citizen_id, e164, wrong=True)


def _checked(conn: Connection, **given: Any) -> dict[str, Any]:
    values = dict(given)
    if "name" in given:
        values["name"] = texts.line(given["name"], 200)
    if "flat" in given:
        values["flat"] = texts.line(given["flat"], 20)
    if given.get("language", "uk") not in LANGUAGES:
        raise BadInput("citizen.language")
    if given.get("privilege") and given["privilege"] not in set(Privilege):
        raise BadInput("citizen.privilege")
    if "email" in given:
        values["email"] = texts.line(given["email"], 200)
        if values["email"] and not is_email(values["email"]):
            raise BadInput("citizen.email")
    building_id = given.get("building_id")
    if building_id is not None and _BUILDING.value(conn, {"building": building_id}) is None:
        raise NotFound("building.unknown")
    return values


def _change(conn: Connection, citizen_id: int, **values: Any) -> None:
    if conn.execute(change(citizen).where(citizen.c.id == citizen_id).values(values)).rowcount != 1:
        raise NotFound("citizen.unknown")


def _change_phone(conn: Connection, citizen_id: int, e164: str, **values: Any) -> None:
    his = (citizen_phone.c.citizen_id == citizen_id) & (citizen_phone.c.e164 == e164)
    if conn.execute(change(citizen_phone).where(his).values(values)).rowcount != 1:
        raise NotFound("citizen.no_such_phone")
