"""Facebook, as far as we know it: a page's messages, in and out, for tests and the demo.

It refuses what the platform's documentation refuses (a token, a proof, lengths, the window, quick replies), signs what
it sends to us, and fails when it is told to: with the platform's own errors, late, several times, or not answering.
Source: the Messenger Platform's and the Graph API's documentation.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

VERSION = "v25.0"
DAY = timedelta(hours=24)
LONGEST_TEXT, MOST_REPLIES, LONGEST_TITLE, LONGEST_PAYLOAD = 2000, 13, 20, 1000
ERRORS = {
    "window": (400, 10, 2018278, "This message is sent outside of allowed window."),
    "token": (400, 190, None, "Error validating access token."),
    "away": (400, 551, 1545041, "This person isn't available right now."),
    "rate": (400, 613, None, "Calls to this api have exceeded the rate limit."),
    "failing": (500, 2, None, "An unexpected error has occurred. Please retry your request later."),
}  # fmt: skip
Post = Callable[[bytes, Mapping[str, str]], int]


@dataclass(frozen=True, slots=True)
class Message:
    """What a person has got from the page."""

    mid: str
    psid: str
    text: str
    choices: tuple[str, ...]
    payloads: tuple[str, ...]
    at: datetime


@dataclass
class Facebook:
    """``start`` gives the address of its API. ``post``: how our webhook is called, (body, headers) → HTTP status.

    ``refuse`` holds errors (of ERRORS, "gateway": a 502 of nobody, "dropped": taken, and no answer) that the next sends
    meet, in their order. ``wrong``: what of our requests broke the contract; a test ends with none.
    """

    page: str = "1551000000000001"
    token: str = "EAAtoken"  # noqa: S105
    secret: str = "app-secret"  # noqa: S105
    verify: str = "city-word"
    post: Post | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    refuse: list[str] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)
    lists_messages: bool = True  # whether the app may read conversations

    def start(self) -> str:
        """Serves on a free port of this machine; gives ``api``."""
        its = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                its._get(self)

            def do_POST(self) -> None:
                its._post(self)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: tests print no lines of requests."""

        self._changed = threading.Condition()
        self._number = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self.api

    @property
    def api(self) -> str:
        """Its address, as ``facebook_api`` has it."""
        return f"http://127.0.0.1:{self._server.server_port}/{VERSION}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    # ── a person ──
    def write(self, psid: str, text: str = "", *, photos: Sequence[str] = (), place: tuple[float, float] | None = None,
              at: datetime | None = None, payload: str = "") -> dict[str, Any]:  # fmt: skip
        """What the platform would send us of this message; ``deliver`` sends it. ``photos``: names in ``files``."""
        at = at or self.clock()
        message: dict[str, Any] = {"mid": self._mid()}
        if text:
            message["text"] = text
        if payload:
            message["quick_reply"] = {"payload": payload}
        attached: list[dict[str, Any]] = [
            {"type": "image", "payload": {"url": f"http://127.0.0.1:{self._server.server_port}/files/{name}"}}
            for name in photos]  # fmt: skip
        if place:
            attached.append({"type": "location", "payload": {"coordinates": {"lat": place[0], "long": place[1]}}})
        if attached:
            message["attachments"] = attached
        event = {"sender": {"id": psid}, "recipient": {"id": self.page}, "timestamp": int(at.timestamp() * 1000),
                 "message": message}  # fmt: skip
        self.said.append(event)
        return event

    def press(self, psid: str, title: str) -> dict[str, Any]:
        """He presses one of the answers that were offered last."""
        offered = next(each for each in reversed(self.sent) if each.psid == psid and each.choices)
        return self.write(psid, title, payload=offered.payloads[offered.choices.index(title)])

    def deliver(self, *events: Mapping[str, Any], times: int = 1, signed: bool = True) -> int:
        """Sends these to us in one call, as often; the last status."""
        body = json.dumps({"object": "page", "entry": [
            {"id": self.page, "time": int(self.clock().timestamp() * 1000), "messaging": [event]} for event in events
        ]}, ensure_ascii=False).encode()  # fmt: skip
        assert self.post is not None  # noqa: S101
        return [self.post(body, self.headers(body, signed=signed)) for _ in range(times)][-1]

    def headers(self, body: bytes, *, signed: bool = True) -> dict[str, str]:
        mark = hmac.new((self.secret if signed else "other").encode(), body, hashlib.sha256).hexdigest()
        return {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={mark}"}

    def got(self, psid: str) -> list[Message]:
        return [each for each in self.sent if each.psid == psid]

    def wait(self, psid: str, count: int, seconds: float = 20.0) -> Message:
        """The message of that number (from 1 on) that he gets. TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.got(psid)) >= count, seconds):
                raise TimeoutError(f"{psid} has {len(self.got(psid))} messages, not {count}")
        return self.got(psid)[count - 1]

    # ── the API ──
    def _mid(self) -> str:
        self._number += 1
        return f"m_{self._number:04}-{hashlib.sha256(str(self._number).encode()).hexdigest()}"

    def _get(self, request: BaseHTTPRequestHandler) -> None:
        at = urlsplit(request.path)
        if at.path.startswith("/files/"):
            name = at.path.removeprefix("/files/")
            self.fetched.append(name)
            body = self.files.get(name)
            _answer(request, 404 if body is None else 200, body or b"", "image/jpeg")
            return
        asked = {name: values[0] for name, values in parse_qs(at.query).items()}
        if (error := self._stranger(asked)) is not None:
            _json(request, *error)
        elif at.path == f"/{VERSION}/me":
            _json(request, 200, {"id": self.page})
        elif at.path == f"/{VERSION}/me/conversations":
            _json(request, *self._conversation(asked))
        else:
            _json(request, *_error(404, 100, None, f"Unknown path components: {at.path}"))

    def _conversation(self, asked: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        if not self.lists_messages:
            return _error(403, 200, None, "Requires pages_read_engagement permission.")
        if asked.get("platform") != "messenger" or not asked.get("user_id"):
            return self._broken("conversations are of a platform, with a user_id")
        rows = [{"id": each.mid, "message": each.text, "created_time": f"{each.at:%Y-%m-%dT%H:%M:%S}+0000",
                 "from": {"id": self.page}} for each in reversed(self.got(asked["user_id"]))]  # fmt: skip
        return 200, {"data": [{"id": f"t_{asked['user_id']}", "messages": {"data": rows[:25]}}]}

    def _post(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        at = urlsplit(request.path)
        asked = {name: values[0] for name, values in parse_qs(at.query).items()}
        failing = self.refuse.pop(0) if self.refuse else ""
        if failing == "gateway":
            _answer(request, 502, b"<html>Bad Gateway</html>", "text/html")
            return
        if (error := self._stranger(asked)) is not None:
            _json(request, *error)
        elif at.path != f"/{VERSION}/me/messages":
            _json(request, *_error(404, 100, None, f"Unknown path components: {at.path}"))
        elif failing in ERRORS:
            _json(request, *_error(*ERRORS[failing]))
        else:
            status, answer = self._take(body)
            if failing == "dropped":
                request.close_connection = True
                return
            _json(request, status, answer)

    def _stranger(self, asked: Mapping[str, str]) -> tuple[int, dict[str, Any]] | None:
        if asked.get("access_token") != self.token:
            return _error(*ERRORS["token"])
        proof = hmac.new(self.secret.encode(), self.token.encode(), hashlib.sha256).hexdigest()
        return None if asked.get("appsecret_proof") == proof else self._broken("Invalid appsecret_proof")

    def _take(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            sent = json.loads(body)
            psid, message = str(sent["recipient"]["id"]), sent["message"]
            text, replies = message["text"], message.get("quick_replies", [])
        except (ValueError, KeyError, TypeError):
            return self._broken("a recipient and a message with a text are needed")
        if sent.get("messaging_type") != "RESPONSE" or sent.keys() - {"recipient", "messaging_type", "message"}:
            return self._broken("messaging_type must be RESPONSE, and nothing else stands there")
        if not isinstance(text, str) or not 0 < len(text) < LONGEST_TEXT:
            return self._broken(f"a text of {len(text)} characters")
        if len(replies) > MOST_REPLIES or ("quick_replies" in message and not replies):
            return self._broken(f"{len(replies)} quick replies")
        for each in replies:
            titled = each.get("content_type") == "text" and 0 < len(each.get("title", "")) <= LONGEST_TITLE
            if not titled or not 0 < len(each.get("payload", "")) <= LONGEST_PAYLOAD:
                return self._broken(f"a quick reply {each}")
        heard = [datetime.fromtimestamp(each["timestamp"] / 1000, UTC) for each in self.said
                 if each["sender"]["id"] == psid]  # fmt: skip
        if not heard:
            return _error(400, 100, 2018001, "No matching user found")
        if self.clock() - max(heard) > DAY:
            return _error(*ERRORS["window"])
        with self._changed:
            made = Message(self._mid(), psid, text, tuple(each["title"] for each in replies),
                           tuple(each["payload"] for each in replies), self.clock())  # fmt: skip
            self.sent.append(made)
            self._changed.notify_all()
        return 200, {"recipient_id": psid, "message_id": made.mid}

    def _broken(self, what: str) -> tuple[int, dict[str, Any]]:
        """Our mistake, which a test must see."""
        self.wrong.append(what)
        return _error(400, 100, None, what)


def _error(status: int, code: int, subcode: int | None, message: str) -> tuple[int, dict[str, Any]]:
    error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": f"A{time.monotonic_ns()}"}
    return status, {"error": error | ({"error_subcode": subcode} if subcode else {})}


def _json(request: BaseHTTPRequestHandler, status: int, body: Mapping[str, Any]) -> None:
    _answer(request, status, json.dumps(body).encode(), "application/json")


def _answer(request: BaseHTTPRequestHandler, status: int, body: bytes, kind: str) -> None:
    request.send_response(status)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)
