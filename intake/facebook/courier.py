"""Sends to people who have written to the city's page, by the Send API: only while the platform lets us.

A person may be answered for a day after his last message; then this way is closed to a notice, and the next one is
tried. Source: the Messenger Platform's documentation (Send API, error codes) and the Graph API's (page/conversations).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import logging
from collections.abc import Callable
from typing import Any

import httpx

from crm.notices import Way
from intake.couriers import Outgoing, Refused, Sent
from intake.facebook.conversation import LONGEST_CHOICE, MOST_CHOICES
from intake.facebook.talks import WINDOW

LONGEST = 1990  # characters of a message; the platform takes fewer than 2000
TIMEOUT_S = 20.0
SKEW = dt.timedelta(seconds=5)  # between the platform's clock and ours
LOOKED_AT = 25  # messages of a conversation

# Of the API's errors: the token is no more; the window is over; too much at a time, or a failure that passes.
NO_TOKEN, WINDOW_OVER = 190, (10, 2018278)
PASSING = frozenset({-1, 1, 2, 4, 17, 32, 341, 368, 613, 1200, 80006})

log = logging.getLogger(__name__)


def proof(secret: str, token: str) -> str:
    """``appsecret_proof``: that who has the token has the app's secret too."""
    return hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest()


class FacebookCourier:
    """``intake.couriers.Courier``. ``api``: "https://graph.facebook.com/v25.0". ``last_heard``: when somebody wrote to
    the page last. ``patience``: seconds for each answer."""

    way = Way.FACEBOOK

    def __init__(self, *, api: str, page: str, token: str, secret: str,
                 last_heard: Callable[[str], dt.datetime | None],
                 clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
                 patience: float = TIMEOUT_S) -> None:  # fmt: skip
        self._api, self._page, self._last_heard, self._clock = api.rstrip("/"), page, last_heard, clock
        self._patience = patience
        self._signed = {"access_token": token, "appsecret_proof": proof(secret, token)}
        self._gone: dict[int, int] = {}  # of a notice of several messages that stopped in the midst: how many are out

    def send(self, its: Outgoing) -> Sent | Refused:
        """Sends it, in several messages if it is long. After a failure in the midst only the rest is sent again, unless
        we were restarted meanwhile."""
        last = self._last_heard(its.address)
        if last is None or self._clock() - last >= WINDOW:
            return Refused("window", again=False)
        parts = split(its.text)
        done: Sent | Refused = Refused("empty", again=False)
        for number in range(self._gone.get(its.id, 0), len(parts)):
            done = self._message(its, parts[number], its.choices if number == len(parts) - 1 else ())
            if isinstance(done, Refused):
                if number and done.again:
                    self._gone[its.id] = number
                return done
        self._gone.pop(its.id, None)
        return done

    def find(self, its: Outgoing) -> Sent | Refused | None:
        """Looks for its last message among the conversation's latest."""
        return self._find(its, split(its.text)[-1])

    def check(self) -> str:
        """Why the page cannot be written for, in the platform's words; "" if it can."""
        try:
            with self._client() as client:
                answer = client.get(f"{self._api}/me", params={**self._signed, "fields": "id"})
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__
        body = _json(answer)
        if answer.is_success:
            return "" if str(body.get("id")) == self._page else f"the token is of {body.get('id')}, not of {self._page}"
        return _refusal(answer).error

    def _message(self, its: Outgoing, text: str, choices: tuple[str, ...]) -> Sent | Refused:
        message: dict[str, Any] = {"text": text}
        if choices:
            message["quick_replies"] = [{"content_type": "text", "title": _title(each), "payload": each[:1000]}
                                        for each in choices[:MOST_CHOICES]]  # fmt: skip
        try:
            with self._client() as client:
                answer = client.post(f"{self._api}/me/messages", params=self._signed, json={
                    "recipient": {"id": its.address}, "messaging_type": "RESPONSE", "message": message})  # fmt: skip
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:  # nobody was there
            return Refused(str(error) or type(error).__name__, again=True)
        except httpx.HTTPError as error:
            return self._perhaps(its, text, str(error) or type(error).__name__)
        body = _json(answer)
        if answer.is_success:
            return Sent(str(body.get("message_id", ""))[:120])
        if answer.is_server_error and "error" not in body:  # a gateway's: what is behind it may have taken it
            return self._perhaps(its, text, f"HTTP {answer.status_code}")
        return _refusal(answer)

    def _perhaps(self, its: Outgoing, text: str, error: str) -> Sent | Refused:
        """Nobody said whether it was taken: it is looked for."""
        log.warning("whether a message went out is not known: %s", error)
        found = self._find(its, text)
        if isinstance(found, Sent):
            return found
        return Refused(error, again=True) if found is None else Refused(f"{error}; {found.error}", again=found.again)

    def _find(self, its: Outgoing, text: str) -> Sent | Refused | None:
        try:
            with self._client() as client:
                answer = client.get(f"{self._api}/me/conversations", params={
                    **self._signed, "platform": "messenger", "user_id": its.address,
                    "fields": f"messages.limit({LOOKED_AT}){{id,message,created_time,from}}"})  # fmt: skip
        except httpx.HTTPError as error:
            return Refused(str(error) or type(error).__name__, again=True)
        if not answer.is_success:
            refused = _refusal(answer)
            return Refused(refused.error, again=refused.again or answer.is_server_error)
        listed = [each for talk in _rows(_json(answer)) for each in _rows(talk.get("messages"))]
        since = its.began_at - SKEW
        recent = [each for each in listed if (at := _time(each.get("created_time"))) is not None and at >= since]
        for each in recent:
            of = each.get("from")
            ours = isinstance(of, dict) and str(of.get("id")) == self._page
            if ours and " ".join(str(each.get("message")).split()) == " ".join(text.split()):
                return Sent(str(each.get("id", ""))[:120])
        # Where all that can be seen is younger, it may stand before it.
        return Refused("unknown", again=False) if len(recent) >= LOOKED_AT else None

    def _client(self) -> httpx.Client:
        return httpx.Client(timeout=self._patience, follow_redirects=False, trust_env=False)


def split(text: str) -> list[str]:
    """In parts that a message holds: between paragraphs, lines or words where that is possible."""
    parts, rest = [], text.strip()
    while len(rest) > LONGEST:
        head = rest[:LONGEST]
        at = next((at for mark in ("\n\n", "\n", " ") if (at := head.rfind(mark)) > LONGEST // 2), LONGEST)
        parts.append(rest[:at].strip())
        rest = rest[at:].strip()
    return [*parts, rest]


def _title(choice: str) -> str:
    return choice if len(choice) <= LONGEST_CHOICE else f"{choice[: LONGEST_CHOICE - 1]}…"


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _rows(value: object) -> list[dict[str, Any]]:
    data = value.get("data") if isinstance(value, dict) else None
    return [each for each in data if isinstance(each, dict)] if isinstance(data, list) else []


def _time(value: object) -> dt.datetime | None:
    try:
        at = dt.datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at if at.tzinfo else None


def _refusal(answer: httpx.Response) -> Refused:
    """What the API's error means for a notice."""
    error = _json(answer).get("error")
    error = error if isinstance(error, dict) else {}
    code, subcode = error.get("code"), error.get("error_subcode")
    said = f"{code} {error.get('message', '')}".strip() if error else f"HTTP {answer.status_code}"
    if (code, subcode) == WINDOW_OVER:
        return Refused("window", again=False)
    if code == NO_TOKEN:
        log.error("the page's token is not taken any more: %s", said)
        return Refused(said, again=True)
    return Refused(said, again=code in PASSING or answer.status_code == 429 or (not error and answer.is_server_error))
