"""Who has written, and on what ground that is thought: a name is written by anybody, and so is a letter's "From"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, select

from crm import citizens, similar
from crm.citizens import Citizen
from crm.schema import citizen, message

MOST = 6  # more people of one address are nobody's guess
OF_HOUSE = 500  # people of one building whose names are compared
# The channels whose network says from which number or conversation a message comes.
PROVEN = frozenset({"sms", "facebook", "phone"})


class Ground(StrEnum):
    """Why this person, the surest first."""

    SAID = "said"  # a specialist has said so of this message
    NAMED = "named"  # known at this number or address by this very name
    OWN = "own"  # nobody else is known at the number or in the conversation that it came from
    SHARED = "shared"  # one of several who are
    ADDRESS = "address"  # known at this number or address, where anybody can say that he is
    WRITTEN = "written"  # what came from this address before was his
    PLACE = "place"  # lives in this building by this name

    @property
    def certain(self) -> bool:
        return self in (Ground.SAID, Ground.NAMED, Ground.OWN)


@dataclass(frozen=True, slots=True)
class Person:
    """One whom it may be from. ``addresses``: (channel, address) of those that he is recognised by."""

    citizen: Citizen
    ground: Ground
    addresses: list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """What a message says of who sent it. ``address``: where it came from; ``phone``, ``email``: what he wrote of
    himself; ``citizen_id``: who it is said to be."""

    channel: str
    address: str
    name: str = ""
    phone: str = ""
    email: str = ""
    building_id: int | None = None
    citizen_id: int | None = None


def of(conn: Connection, its: Sender) -> list[Person]:
    """Whom it may be from, the likeliest first, each once."""
    found: dict[int, tuple[Citizen, Ground]] = {}

    def add(known: Iterable[Citizen], ground: Ground) -> None:
        for one in known:
            named = ground not in (Ground.SAID, Ground.PLACE) and alike(one.name, its.name)
            found.setdefault(one.id, (one, Ground.NAMED if named else ground))

    if its.citizen_id is not None:
        add([citizens.get(conn, its.citizen_id)], Ground.SAID)
    here = _at(conn, its.channel, its.address)
    proven = its.channel in PROVEN
    add(here, Ground.SHARED if len(here) > 1 else Ground.OWN if proven else Ground.ADDRESS)
    for address in {its.phone, its.email} - {"", its.address}:
        add(_at(conn, "", address), Ground.ADDRESS)
    add(_wrote_before(conn, its), Ground.WRITTEN)
    add(_of_house(conn, its), Ground.PLACE)
    order = list(Ground)
    best = sorted(found.values(), key=lambda each: order.index(each[1]))[:MOST]
    return [Person(one, ground, citizens.addresses_of(conn, one.id)) for one, ground in best]


def alike(one: str, other: str) -> bool:
    """Whether two names may be one person's: at least two words, and all of the shorter in the longer, in any order."""
    words, others = (set(similar.fold(name).split()) for name in (one, other))
    fewer, more = sorted((words, others), key=len)
    return len(fewer) > 1 and fewer <= more


def _at(conn: Connection, channel: str, address: str) -> list[Citizen]:
    """Everybody known at a number, an e-mail address, or in a conversation of Facebook's."""
    if not address:
        return []
    if address.startswith("+"):
        return citizens.by_phone(conn, address)
    return citizens.by_address(conn, "facebook" if channel == "facebook" else "email", address)


def _wrote_before(conn: Connection, its: Sender) -> list[Citizen]:
    if not its.address:
        return []
    m = message.c
    rows = conn.execute(select(m.citizen_id).where(
        m.channel == its.channel, m.address == its.address, m.citizen_id.is_not(None),
    ).order_by(m.received_at.desc()).limit(20))  # fmt: skip
    return [citizens.get(conn, id) for id in dict.fromkeys(row.citizen_id for row in rows)]


def _of_house(conn: Connection, its: Sender) -> list[Citizen]:
    """By name, of those who live in the building that is written of."""
    if its.building_id is None or not its.name:
        return []
    rows = conn.execute(select(citizen.c.id, citizen.c.name).where(citizen.c.building_id == its.building_id)
                        .order_by(citizen.c.id.desc()).limit(OF_HOUSE))  # fmt: skip
    return [citizens.get(conn, row.id) for row in rows if alike(row.name, its.name)]
