"""A department's own system is told what happens to the appeals that lie with it: by webhooks.

What is told is written by ``tell``, which ``history.move`` calls, in the transaction of what it tells of; the post
delivers it (``intake.webhooks``): at least once, and for each appeal and webhook in the order of its history.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, Select, and_, bindparam, delete, func, select, update

from crm import edits, rulebook, texts
from crm.edits import log_edit
from crm.errors import BadInput, NotFound
from crm.life import PASSES, TO_ACT, Action, State
from crm.schema import (
    appeal,
    building,
    citizen,
    citizen_phone,
    delivery,
    department,
    district,
    street,
    subject,
    webhook,
)
from crm.store import Statement, insert_row

NAME_MOST, URL_MOST = 120, 500
KEPT = dt.timedelta(days=7)  # what was delivered, for who asks when it was
LONGEST_PAUSE_S, LONGEST_AWAY_S = 86400, 3600  # until what was refused, or met nobody, is tried again
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.IGNORECASE)

_w, _d = webhook.c, delivery.c


@dataclass(frozen=True, slots=True)
class Webhook:
    """``department_id``: whose appeals it is told of, with those of all below it; None: all. Its secret is shown once
    (``add``, ``new_secret``)."""

    id: int
    name: str
    url: str
    department_id: int | None
    active: bool
    version: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How a webhook does. ``waiting``: what is to be delivered, ``failing``: of that, tried in vain; ``oldest``: since
    when; ``error``: why not, the last time; ``delivered_at``: the last that was."""

    waiting: int = 0
    failing: int = 0
    oldest: dt.datetime | None = None
    error: str = ""
    delivered_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that is to be delivered."""

    id: int
    appeal: int  # the number
    action: str
    created_at: dt.datetime
    due_at: dt.datetime
    tries: int
    error: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is to be delivered now: the first of its appeal's that this webhook has not taken."""

    id: int
    webhook_id: int
    appeal_id: int
    body: Mapping[str, Any]
    tries: int
    url: str
    secret: str


# ── what is told ─────────────────────────────────────────────────────────────────────────────
_ACTIVE = Statement(select(_w.id, _w.department_id).where(_w.active).order_by(_w.id))
_KEEP = Statement(delivery.insert().inline())
_FACTS = Statement(
    select(appeal.c.number, appeal.c.text, appeal.c.flat, appeal.c.place, appeal.c.kind, appeal.c.priority,
           appeal.c.registered_at, appeal.c.due_at, appeal.c.citizen_id, subject.c.id.label("subject_id"),
           subject.c.name_uk, subject.c.name_en, department.c.name.label("department"),
           func.coalesce(street.c.name, "").label("street"), func.coalesce(building.c.number, "").label("building"),
           func.coalesce(district.c.name_uk, "").label("district"), func.coalesce(citizen.c.name, "").label("citizen"))
    .select_from(appeal.join(subject, appeal.c.subject_id == subject.c.id)
                 .join(department, appeal.c.department_id == department.c.id)
                 .join(building, appeal.c.building_id == building.c.id, isouter=True)
                 .join(street, building.c.street_id == street.c.id, isouter=True)
                 .join(district, appeal.c.district_id == district.c.id, isouter=True)
                 .join(citizen, appeal.c.citizen_id == citizen.c.id, isouter=True))
    .where(appeal.c.id == bindparam("appeal"))
)  # fmt: skip
_PHONES = Statement(select(citizen_phone.c.e164).where(
    citizen_phone.c.citizen_id == bindparam("citizen"), citizen_phone.c.wrong.is_(False))
    .order_by(citizen_phone.c.last_used_at.desc(), citizen_phone.c.id))  # fmt: skip


def tell(conn: Connection, appeal_id: int, action: Action, from_state: State, to_state: State, *, version: int,
         department_id: int, left_id: int, now: dt.datetime, note: str) -> None:  # fmt: skip
    """Keeps what the webhooks of the department that the appeal now lies with are to be told, and those of ``left_id``,
    with which it did before. ``version``: the appeal's, since. One small statement where there is no webhook.

    Whoever has to act on it is told what his page shows him: the text, the place, who has asked and his numbers. The
    code and the seals are told to nobody.
    """
    hooks = _ACTIVE(conn, {})
    if not hooks:
        return
    mine, others = _above(conn, department_id), _above(conn, left_id)
    told = [hook for hook in hooks if hook.department_id is None or hook.department_id in mine | others]
    if not told:
        return
    (row,) = _FACTS(conn, {"appeal": appeal_id})
    short = {"id": f"{row.number}-{version}", "at": _time(now), "number": row.number, "action": action.value,
             "from": from_state.value, "to": to_state.value,
             "department": {"id": department_id, "name": row.department}}  # fmt: skip
    whole = {**short, "subject": {"id": row.subject_id, "name_uk": row.name_uk, "name_en": row.name_en},
             "kind": row.kind, "priority": bool(row.priority), "registered_at": _time(row.registered_at),
             "due_at": _time(row.due_at), "note": note,
             "address": {"district": row.district, "street": row.street, "building": row.building, "flat": row.flat,
                         "place": row.place}}  # fmt: skip
    if action in PASSES and to_state in TO_ACT:
        phones = [each.e164 for each in _PHONES(conn, {"citizen": row.citizen_id})] if row.citizen_id else []
        whole |= {"text": row.text, "applicant": {"name": row.citizen, "phones": phones}}
    for hook in told:
        lies_there = hook.department_id is None or hook.department_id in mine
        _KEEP(conn, {"webhook_id": hook.id, "appeal_id": appeal_id, "body": whole if lies_there else short,
                     "created_at": now, "due_at": now})  # fmt: skip


def _above(conn: Connection, department_id: int) -> frozenset[int]:
    """The department, and all that it is below."""
    offices = rulebook.current(conn).routing.offices
    chain: list[int] = []
    at: int | None = department_id
    while at is not None and at not in chain:
        chain.append(at)
        at = offices[at].superior_id if at in offices else None
    return frozenset(chain)


def _time(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat(timespec="seconds")


# ── whom ─────────────────────────────────────────────────────────────────────────────────────
_WEBHOOK = select(_w.id, _w.name, _w.url, _w.department_id, _w.active, _w.version)


def listed(conn: Connection) -> list[Webhook]:
    """All, by name."""
    return [Webhook(*row) for row in conn.execute(_WEBHOOK.order_by(_w.name))]


def get(conn: Connection, webhook_id: int) -> Webhook:
    """NotFound ``webhook.unknown``."""
    row = conn.execute(_WEBHOOK.where(_w.id == webhook_id)).one_or_none()
    if row is None:
        raise NotFound("webhook.unknown")
    return Webhook(*row)


def add(conn: Connection, *, name: str, url: str, department_id: int | None, private: bool, now: dt.datetime,
        staff_id: int | None) -> tuple[int, str]:  # fmt: skip
    """A new one: its id, and the secret by which what it is told is signed. BadInput as ``change``."""
    values, secret = _checked(conn, None, name, url, department_id, private), _secret()
    id = insert_row(conn, webhook, {**values, "secret": secret})
    log_edit(conn, now=now, staff_id=staff_id, what="webhook", key=id, before=None, after=values)
    return id, secret


def change(conn: Connection, webhook_id: int, version: int, *, name: str, url: str, department_id: int | None,
           active: bool, private: bool, now: dt.datetime, staff_id: int | None) -> None:  # fmt: skip
    """As it was seen at ``version``. Switched off, it is told nothing; what waited then waits until it is on again.

    BadInput ``webhook.no_name``, ``webhook.name_taken``, ``webhook.url``, ``webhook.private``; NotFound, Stale.
    """
    get(conn, webhook_id)
    values = _checked(conn, webhook_id, name, url, department_id, private)
    edits.save(conn, webhook, webhook_id, version, {**values, "active": active}, now=now, staff_id=staff_id)


def new_secret(conn: Connection, webhook_id: int, *, now: dt.datetime, staff_id: int | None) -> str:
    """Another secret: what is delivered from now on is signed by it. The log says that there is one, not which."""
    get(conn, webhook_id)
    secret = _secret()
    conn.execute(update(webhook).where(_w.id == webhook_id).values(secret=secret, version=_w.version + 1))
    log_edit(conn, now=now, staff_id=staff_id, what="webhook", key=webhook_id, before={"secret": "…"},
             after={"secret": "…"})  # fmt: skip
    return secret


def _secret() -> str:
    return secrets.token_urlsafe(32)


def _checked(conn: Connection, webhook_id: int | None, name: str, url: str, department_id: int | None,
             private: bool) -> dict[str, Any]:  # fmt: skip
    name, url = texts.line(name, NAME_MOST), texts.line(url, URL_MOST)
    if not name:
        raise BadInput("webhook.no_name")
    if set(conn.scalars(select(_w.id).where(_w.name == name))) - {webhook_id}:
        raise BadInput("webhook.name_taken")
    check_url(url, private=private)
    if department_id is not None and conn.execute(select(1).where(department.c.id == department_id)).first() is None:
        raise NotFound("department.unknown")
    return {"name": name, "url": url, "department_id": department_id}


def check_url(url: str, *, private: bool) -> None:
    """BadInput ``webhook.url`` unless it is an address of HTTPS, with a host and no password; ``webhook.private`` for
    one inside this network. ``private``: those are taken, and plain HTTP too."""
    try:
        at = urlsplit(url)
        host, port = at.hostname or "", at.port
    except ValueError:
        raise BadInput("webhook.url") from None
    allowed = ("https", "http") if private else ("https",)
    plain = not url.isascii() or "@" in at.netloc or "#" in url or "\\" in url or port == 0
    if at.scheme not in allowed or plain or any(each.isspace() for each in url):
        raise BadInput("webhook.url")
    try:
        inside = not is_public(host)
    except ValueError:  # a name: where it leads is looked at when it is called
        if not _HOST.fullmatch(host):
            raise BadInput("webhook.url") from None
        inside = host.lower() == "localhost" or host.lower().endswith((".localhost", ".local", ".internal"))
    if inside and not private:
        raise BadInput("webhook.private")


def is_public(address: str) -> bool:
    """Whether this address of the network is anybody's: not this machine's, nor one within the city's own networks,
    however it is written. ValueError for what is no address."""
    at = ip_address(address)
    if isinstance(at, IPv6Address):
        # What leads to an address of IPv4 could lead to any.
        if at.ipv4_mapped or at.sixtofour or at.teredo or at.packed.startswith(bytes.fromhex("0064ff9b")):
            return False
        if at.scope_id:
            return False
    return at.is_global and not at.is_multicast


# ── how it is delivered ──────────────────────────────────────────────────────────────────────
_before = delivery.alias("before")
_FIRST: Select[Any] = (
    select(_d.id, _d.webhook_id, _d.appeal_id, _d.body, _d.tries, _w.url, _w.secret).join(webhook)
    .where(_d.state == "due", _d.due_at <= bindparam("now"), _w.active, _d.webhook_id == bindparam("webhook"),
           ~select(1).where(_before.c.state == "due", _before.c.webhook_id == _d.webhook_id,
                            _before.c.appeal_id == _d.appeal_id, _before.c.id < _d.id).exists())
    .order_by(_d.due_at, _d.id).limit(bindparam("limit"))
)  # fmt: skip


def due(conn: Connection, now: dt.datetime, *, each: int, but: Collection[int] = ()) -> list[Delivery]:
    """What may be delivered now, ``each``: at the most for a webhook; none of ``but``. Of an appeal only the first that
    a webhook has not taken: the later ones wait for it."""
    hooks = [hook.id for hook in _ACTIVE(conn, {})]
    return [Delivery(*row) for hook in hooks if hook not in but
            for row in conn.execute(_FIRST, {"now": now, "webhook": hook, "limit": each})]  # fmt: skip


def delivered(conn: Connection, its: Delivery, now: dt.datetime) -> None:
    """It was taken: what it said is not kept any longer."""
    conn.execute(update(delivery).where(_d.id == its.id, _d.state == "due").values(
        state="sent", sent_at=now, error="", body=_bare(its.body)))  # fmt: skip


def failed(conn: Connection, its: Delivery, error: str, now: dt.datetime, *, away: bool) -> None:
    """It was not: it is tried again after a pause that grows, and never given up. ``away``: nobody was there; else it
    was refused, which may last."""
    tries = its.tries + 1
    conn.execute(update(delivery).where(_d.id == its.id, _d.state == "due").values(
        tries=tries, error=texts.remark(error),
        due_at=now + dt.timedelta(seconds=pause_s(tries, away=away))))  # fmt: skip


def pause_s(tries: int, *, away: bool) -> float:
    """Seconds until the next try after so many."""
    return float(min(LONGEST_AWAY_S if away else LONGEST_PAUSE_S, 10 * 3 ** min(tries - 1, 12)))


def gone(conn: Connection, webhook_id: int, now: dt.datetime) -> None:
    """The system says that it is no more: it is told nothing until somebody switches it on again."""
    changed = update(webhook).where(_w.id == webhook_id, _w.active).values(active=False, version=_w.version + 1)
    if conn.execute(changed).rowcount:
        log_edit(conn, now=now, staff_id=None, what="webhook", key=webhook_id, before={"active": True},
                 after={"active": False})  # fmt: skip


def unsay(conn: Connection, appeal_ids: Sequence[int]) -> None:
    """What was to be told of these is told to nobody, and what was told is kept no longer."""
    of_these = _d.appeal_id.in_(appeal_ids)
    conn.execute(update(delivery).where(of_these, _d.state == "due").values(state="void"))
    conn.execute(update(delivery).where(of_these).values(body={}, error=""))


def forget(conn: Connection, now: dt.datetime) -> int:
    """Drops what was delivered, or left out, long ago; how many rows."""
    return conn.execute(delete(delivery).where(_d.state != "due", _d.created_at < now - KEPT)).rowcount


def _bare(body: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of it: which event it was."""
    return {name: body[name] for name in ("id", "at", "number", "action") if name in body}


# ── what is shown, and done about it ─────────────────────────────────────────────────────────
def standing(conn: Connection, webhook_id: int) -> Standing:
    """How this one does."""
    waits, tried = and_(_d.webhook_id == webhook_id, _d.state == "due"), _d.error != ""
    count, failing, oldest = conn.execute(select(
        func.count(), func.count().filter(tried), func.min(_d.created_at)).where(waits)).one()  # fmt: skip
    error = conn.scalar(select(_d.error).where(waits, tried).order_by(_d.tries.desc(), _d.id).limit(1))
    sent_at = conn.scalar(select(_d.sent_at).where(_d.webhook_id == webhook_id, _d.state == "sent")
                          .order_by(_d.id.desc()).limit(1))  # fmt: skip
    return Standing(count, failing, oldest, error or "", sent_at)


def waiting(conn: Connection, webhook_id: int, limit: int) -> list[Waiting]:
    """What it is to be told yet, in the order in which it happened."""
    rows = conn.execute(
        select(_d.id, appeal.c.number, _d.body, _d.created_at, _d.due_at, _d.tries, _d.error).join(appeal)
        .where(_d.webhook_id == webhook_id, _d.state == "due").order_by(_d.id).limit(limit))  # fmt: skip
    return [Waiting(row[0], row[1], str(row[2].get("action", "")), *row[3:]) for row in rows]


def again(conn: Connection, webhook_id: int, now: dt.datetime) -> int:
    """What waits for its next try is tried now; how many."""
    waits = update(delivery).where(_d.webhook_id == webhook_id, _d.state == "due", _d.due_at > now)
    return conn.execute(waits.values(due_at=now)).rowcount


def leave_out(conn: Connection, webhook_id: int, delivery_id: int, now: dt.datetime, staff_id: int | None) -> None:
    """This one is not delivered: what comes after it need not wait. NotFound ``webhook.no_delivery`` for none that
    waits."""
    its = (_d.id == delivery_id, _d.webhook_id == webhook_id, _d.state == "due")
    body = conn.execute(select(_d.body).where(*its)).scalar_one_or_none()
    if body is None:
        raise NotFound("webhook.no_delivery")
    conn.execute(update(delivery).where(*its).values(state="void", body=_bare(body)))
    log_edit(conn, now=now, staff_id=staff_id, what="webhook", key=webhook_id, before={"delivery": body.get("id", "")},
             after=None)  # fmt: skip
