"""What Twilio says when it calls us, read strictly: whose field names stand at twilio.com/docs/messaging/guides/
webhook-request, /docs/voice/twiml#twilios-request-to-your-application and /docs/voice/twiml/record.

An address that it gives is never asked: only the names in it (SIDs) are read, and what they name lies at the API that
we know. So nothing that is said here makes us ask another host with our password, or one inside our own network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from crm.by_sms import Opt, Texted
from crm.phones import parse_phone

MOST_FILES = 10  # of one MMS
_SMS = re.compile(r"(?:SM|MM)[0-9a-f]{32}")
_MEDIA = re.compile(r"/Media/(ME[0-9a-f]{32})\Z")
_RECORDING = re.compile(r"RE[0-9a-f]{32}")
_OPTS = {"STOP": Opt.STOP, "START": Opt.GO_ON}  # "HELP" is answered by Twilio, and read by a person
# Of calls whose caller hides his number: "anonymous", "restricted" … as the letters of a telephone's keys.
_HIDDEN = frozenset({"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"})
_REPORTS = {"delivered": "delivered", "read": "delivered", "undelivered": "undelivered", "failed": "failed",
            "canceled": "failed"}  # fmt: skip


class Malformed(ValueError):
    """It is not what Twilio sends."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A voice that was left. ``path``: of its sound."""

    id: str
    seconds: int
    path: str


def root(account: str) -> str:
    """The path that all of the account's records are under."""
    return f"/2010-04-01/Accounts/{account}"


def caller(value: str) -> str:
    """E.164 of a "From"; "" for a hidden number, a name, or an address of another network."""
    return "" if value in _HIDDEN or not value.startswith("+") else parse_phone(value)


def texted(fields: Mapping[str, str], account: str) -> Texted:
    """An SMS or MMS that has come. Malformed if it is none, or is not to our account."""
    _check(fields, account)
    sid = _sid(fields, "MessageSid", _SMS)
    count = fields.get("NumMedia", "0")
    if not re.fullmatch(r"[0-9]{1,2}", count) or int(count) > MOST_FILES or not fields.get("From"):
        raise Malformed("NumMedia or From")
    files = []
    for n in range(int(count)):
        if media := _MEDIA.search(fields.get(f"MediaUrl{n}", "")):
            name = media_name(n, fields.get(f"MediaContentType{n}", ""))
            files.append((f"{root(account)}/Messages/{sid}/Media/{media[1]}", name))
    sender = caller(fields["From"])
    return Texted(sid, sender, fields["From"][:200], fields.get("Body", ""), _OPTS.get(fields.get("OptOutType", "")),
                  files)  # fmt: skip


def media_name(n: int, media_type: str) -> str:
    """As people see it: a photo of an MMS has no name of its own. What it really is, is read from it later."""
    ending = {"image/jpeg": "jpg", "image/png": "png", "image/heic": "heic", "application/pdf": "pdf"}
    return f"mms-{n + 1}.{ending.get(media_type, 'bin')}"


def reported(fields: Mapping[str, str], account: str) -> tuple[str, str]:
    """(SID, what has become of it as ``notices.delivered`` has it); "" while nothing has."""
    _check(fields, account)
    return _sid(fields, "MessageSid", _SMS), _REPORTS.get(fields.get("MessageStatus", ""), "")


def called(fields: Mapping[str, str], account: str) -> str:
    """Who has dialled our number: E.164, or "". Malformed as ``texted``."""
    _check(fields, account)
    return caller(fields.get("From", ""))


def recorded(fields: Mapping[str, str], account: str) -> Recorded | None:
    """A recording that is ready; None for one that is not, or of which nothing is there. Malformed as ``texted``."""
    _check(fields, account)
    sid = _sid(fields, "RecordingSid", _RECORDING)
    if fields.get("RecordingStatus", "completed") != "completed":
        return None
    seconds = fields.get("RecordingDuration", "0")
    if not re.fullmatch(r"[0-9]{1,5}", seconds):
        raise Malformed("RecordingDuration")
    return Recorded(sid, int(seconds), f"{root(account)}/Recordings/{sid}.wav")


def _check(fields: Mapping[str, str], account: str) -> None:
    if fields.get("AccountSid") != account:
        raise Malformed("AccountSid")


def _sid(fields: Mapping[str, str], name: str, form: re.Pattern[str]) -> str:
    if not form.fullmatch(value := fields.get(name, "")):
        raise Malformed(name)
    return value

