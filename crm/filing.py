"""An appeal that comes in writing is filed here, whatever the channel: who, what, where, how he wants to be told.

Whoever writes has not shown who he is. He is taken for somebody we know only if the name is the same and the telephone
(or, without one, the address) is known to be that person's; and nothing that we know of that person is changed by it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from crm import appeals, attachments, citizens, incidents, messages, notices, repeats, texts
from crm.appeals import Registered
from crm.attachments import Stored
from crm.citizens import Citizen
from crm.errors import BadInput
from crm.law import Kind
from crm.life import Action
from crm.notices import Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """``phone``: E.164, or "". ``facebook``: our page's id of him. ``tell_by``: how he wants to be told of the appeal;
    an address for it must be given. ``received_at``: when it came, if a person has looked at it since. ``message_id``:
    the message that it was. ``citizen_id``: who he is, as a specialist says, if the name is his. ``incident_id``: what
    it joins; ``apart``: it joins none by itself."""

    channel: str
    name: str
    subject_id: int
    text: str
    phone: str = ""
    email: str = ""
    facebook: str = ""
    language: str = "uk"
    building_id: int | None = None
    flat: str = ""
    place: str = ""
    district_id: int | None = None
    kind: Kind | None = None
    against_id: int | None = None
    privilege: str = ""
    auto_confirm: bool = False
    tell_by: Way = Way.NONE
    files: Sequence[Stored] = ()
    received_at: dt.datetime | None = None
    message_id: int | None = None
    citizen_id: int | None = None
    repeat_of: int | None = None
    incident_id: int | None = None
    apart: bool = False


def file(conn: Connection, its: Filing, *, now: dt.datetime, staff_id: int | None = None) -> Registered:
    """Registers it, with its files, and tells the applicant by the way he chose. ``staff_id``: the specialist who does
    it for him, and who answers for who he is.

    BadInput ``filing.no_name`` (the law considers no anonymous appeal), ``filing.no_place``, ``filing.no_way`` for a
    way of telling him without its address; else as ``citizens.add`` and ``appeals.register``.
    """
    name = texts.line(its.name, 200)
    if not name:
        raise BadInput("filing.no_name")
    if its.building_id is None and not its.place.strip():
        raise no_place()
    address_of(its)  # said before anybody is written down
    return register(conn, _applicant(conn, its, name, now, staff_id), its, now=now, staff_id=staff_id)


def register(conn: Connection, citizen_id: int, its: Filing, *, now: dt.datetime, staff_id: int | None,
             linkedid: str = "") -> Registered:  # fmt: skip
    """The same of an applicant who is known to be this one. ``linkedid``: the call in which it was said."""
    made = appeals.register(
        conn, now=now, citizen_id=citizen_id, building_id=its.building_id, flat=its.flat, place=its.place,
        subject_id=its.subject_id, text=its.text, channel=its.channel, staff_id=staff_id, kind=its.kind,
        against_id=its.against_id, district_id=its.district_id, received_at=its.received_at,
        tell_by=its.tell_by.value, tell_to=address_of(its), linkedid=linkedid)  # fmt: skip
    for stored in its.files:
        attachments.add(conn, made.id, stored, now=now, action=Action.REGISTER.value, staff_id=staff_id)
    if its.message_id is not None:
        messages.belongs(conn, its.message_id, made.id, now=now, staff_id=staff_id, action=Action.REGISTER)
    notices.receipt(conn, appeal_id=made.id, citizen_id=citizen_id, staff_id=staff_id, now=now)
    if its.repeat_of is not None:
        repeats.link(conn, made.id, its.repeat_of, now=now, staff_id=staff_id)
    if its.incident_id is not None:
        incidents.join(conn, its.incident_id, made.id, now=now, staff_id=staff_id)
    else:
        incidents.registered(conn, made.id, now=now, staff_id=staff_id, apart=its.apart)
    return made


def no_place() -> BadInput:
    return BadInput("filing.no_place")


def address_of(its: Filing) -> str:
    """Where he is told; "" for a way that needs no address. BadInput if the one it needs is missing."""
    needed = {Way.EMAIL: its.email, Way.SMS: its.phone, Way.PHONE: its.phone, Way.FACEBOOK: its.facebook}
    if its.tell_by in needed and not needed[its.tell_by]:
        raise BadInput("filing.no_way", way=its.tell_by.value)
    return needed.get(its.tell_by, "")


def _applicant(conn: Connection, its: Filing, name: str, now: dt.datetime, staff_id: int | None) -> int:
    candidates = _known(conn, its) if staff_id is None else _told(conn, its)
    known = next((one for one in candidates if one.name.casefold() == name.casefold()), None)
    if known is None:
        citizen_id = citizens.add(
            conn, now=now, name=name, phones=[its.phone] if its.phone else [], building_id=its.building_id,
            flat=its.flat, language=its.language, auto_confirm=its.auto_confirm, privilege=its.privilege,
            email=its.email, proven=staff_id is not None)  # fmt: skip
    else:
        citizen_id = known.id
        if staff_id is None:
            return citizen_id
        _complete(conn, known, its, now)
    for channel, address in (("email", its.email), ("facebook", its.facebook)):
        if address:
            citizens.add_address(conn, citizen_id, channel, address, now)
    return citizen_id


def _known(conn: Connection, its: Filing) -> list[Citizen]:
    """Who it may be, by the telephone if one is given, else by the address."""
    if its.phone:
        return citizens.by_phone(conn, its.phone)
    return _at_address(conn, its)


def _told(conn: Connection, its: Filing) -> list[Citizen]:
    """Whom a specialist may mean by the name: he has read it, and a new telephone makes nobody another person."""
    return [*([citizens.get(conn, its.citizen_id)] if its.citizen_id is not None else ()),
            *(citizens.by_phone(conn, its.phone) if its.phone else ()), *_at_address(conn, its)]  # fmt: skip


def _at_address(conn: Connection, its: Filing) -> list[Citizen]:
    return [one for channel, address in (("email", its.email), ("facebook", its.facebook)) if address
            for one in citizens.by_address(conn, channel, address)]  # fmt: skip


def _complete(conn: Connection, known: Citizen, its: Filing, now: dt.datetime) -> None:
    """What a specialist has heard of him and we did not know."""
    if its.phone:
        citizens.add_phone(conn, known.id, its.phone, now)
    if known.building_id is None and its.building_id is not None:
        citizens.update(conn, known.id, building_id=its.building_id, flat=its.flat)
    if its.email and not known.email:
        citizens.update(conn, known.id, email=its.email)
    if its.privilege and its.privilege != known.privilege:
        citizens.update(conn, known.id, privilege=its.privilege)
