"""Whoever comes to the portal, by a page or by a program, is a stranger: from where he comes, and how he shows what is
his, an appeal by its code, what was held by the token that he was given."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection
from starlette.requests import Request

from crm import appeals, attachments, departments, life, messages, rates, reception, stages
from crm.appeals import CODE_TRIES, Appeal
from crm.attachments import Stored
from crm.clock import KYIV
from crm.errors import BadInput, NotFound
from crm.guessing import Place
from crm.life import State
from crm.messages import Incoming
from crm.rates import DAY, HOUR
from crm.reception import Became
from crm.stages import Stage
from web import forms, security
from web.visit import Parts

WRONG_CODES = 30  # an hour, from one address: a person mistypes, a machine guesses


def source_of(request: Request) -> str:
    """The address that it comes from; of IPv6 the network."""
    return Place(request.client.host if request.client else "").key


# ── what is an applicant's own ──
def by_code(conn: Connection, parts: Parts, number: int, code: str, source: str, now: datetime) -> Appeal | None:
    """The appeal that whoever knows its number and code asks about; None if either is wrong, which is counted. BadInput
    ``code.guessed`` for an address from which too many were this hour, ``code.tried`` for an appeal of which CODE_TRIES
    were this day, wherever they came from. A stranger can shut a code for no longer than that.
    """
    theirs, its = rates.key(parts.secret, "code", source), rates.key(parts.secret, "tried", str(number))
    # Counted before it is looked at: of many at once each is one more.
    if rates.count(conn, theirs, now, HOUR) > WRONG_CODES:
        raise BadInput("code.guessed", seconds=rates.again_in_s(now, HOUR))
    if not _MAY_BE_ONE.fullmatch(f"{number} {code}"):
        return None
    if rates.count(conn, its, now, DAY) > CODE_TRIES:
        seconds = rates.again_in_s(now, DAY)
        again = (now + timedelta(seconds=seconds)).astimezone(KYIV)
        raise BadInput("code.tried", tries=CODE_TRIES, at=f"{again:%d.%m, %H:%M}", seconds=seconds)
    found = appeals.by_code(conn, number, code)
    if found is not None:
        rates.take_back(conn, theirs, now, HOUR)
        rates.take_back(conn, its, now, DAY)
    return found


_MAY_BE_ONE = re.compile(r"[0-9]{8,9} [0-9]{4}")


# While nobody in the city has it any more, what is added must be seen by a person, who decides what comes of it.
SEEN = life.OPEN | {State.EXECUTED, State.AWAITING, State.UNCONFIRMED}


def steps(conn: Connection, its: Appeal) -> list[Stage]:
    """How far his appeal has come."""
    names = {each.id: each.name for each in departments.departments(conn)}
    return stages.timeline(its, appeals.history(conn, its.id), names, attachments.of_appeal(conn, its.id))


def add_words(conn: Connection, its: Appeal, *, channel: str, once: str, text: str, language: str,
              files: Sequence[Stored], now: datetime) -> bool:  # fmt: skip
    """More words and files of his, once for each ``once``; whether they stand with the appeal at once (SEEN)."""
    message_id = messages.take(conn, Incoming(
        channel=channel, external_id=stages.mark(its.number, once), address="", text=text, files=files,
        received_at=now, language=language, said={"number": its.number}))  # fmt: skip
    at_once = its.state in SEEN
    if message_id is not None and at_once:
        messages.add_to(conn, message_id, its.id, now=now, staff_id=None)
    return at_once


# ── what was held ──
def token(parts: Parts, message_id: int) -> str:
    """By which whoever sent it asks what has become of it; nobody can make another's."""
    return f"{message_id}-{security.seal(parts.secret, 'held', str(message_id))[:32]}"


def became(conn: Connection, parts: Parts, token_: str) -> Became:
    """What has become of it. NotFound ``message.unknown``."""
    id = forms.whole(token_.partition("-")[0])
    if id is None or not security.same(token(parts, id), token_[:100]):
        raise NotFound("message.unknown")
    return reception.became(conn, id)
