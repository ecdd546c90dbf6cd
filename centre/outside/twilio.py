"""Twilio, as far as we use it: its REST API over HTTP, its signed calls to us, and what it does with our TwiML.

It refuses what its documents do not allow, so that a test or a demo that works here keeps to the contract:
twilio.com/docs/messaging/api/message-resource and media-resource, /docs/voice/api/recording, /docs/usage/webhooks,
/docs/messaging/guides/webhook-request, /docs/voice/twiml. Calls to us are values (``Hook``): whoever has one sends it
late, five times or after another one.
"""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import json
import re
import secrets
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit
from xml.etree import ElementTree

import httpx
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from intake.segments import segments

E164 = re.compile(r"\+[1-9][0-9]{1,14}")
# POST Messages: the documented parameters that we may use.
CREATE = frozenset({"To", "From", "Body", "StatusCallback"})
LIST = frozenset({"To", "From", "DateSent", "DateSent<", "DateSent>", "PageSize", "Page", "PageToken"})
SOUND = frozenset({"audio/mpeg", "audio/wav", "audio/wave", "audio/x-wav", "audio/aiff", "audio/basic"})  # <Play>
DOCUMENT = frozenset({"text/xml", "application/xml", "text/html"})  # of TwiML
CAP = 60 * 1024  # bytes of a document
# What each verb may say of itself (twilio.com/docs/voice/twiml/<verb>#attributes).
VERBS: dict[str, dict[str, str]] = {
    "Dial": {"action": r"https?://\S+", "method": "GET|POST", "timeout": r"[1-9]|[1-9]\d|[1-5]\d\d|600",
             "answerOnBridge": "true|false", "callerId": r"\+[1-9]\d{1,14}"},
    "Sip": {},
    "Play": {"loop": r"\d+", "digits": r"[\d#*w]+"},
    "Record": {"action": r"https?://\S+", "method": "GET|POST", "timeout": r"\d+", "finishOnKey": r"[\d#*]*",
               "maxLength": r"[1-9]\d{0,3}|1[0-3]\d{3}|14[0-3]\d{2}|14400", "playBeep": "true|false",
               "trim": "trim-silence|do-not-trim", "recordingStatusCallback": r"https?://\S+",
               "recordingStatusCallbackMethod": "GET|POST",
               "recordingStatusCallbackEvent": r"(in-progress|completed|absent)( (in-progress|completed|absent))*"},
    "Hangup": {},
}  # fmt: skip


class ContractError(AssertionError):
    """What we answered to Twilio is not what its documents allow."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Instead of an answer to the next request. ``status`` 0: the connection is closed without a word. ``takes``: it is
    done all the same."""

    status: int = 0
    code: int = 0
    takes: bool = False


@dataclass(frozen=True, slots=True)
class Hook:
    """One call to us, signed: the same to the letter however often it is sent."""

    url: str
    body: str
    headers: Mapping[str, str]

    def send(self, http: httpx.Client) -> httpx.Response:
        return http.post(self.url, content=self.body.encode(), headers=dict(self.headers))


@dataclass(slots=True)
class Heard:
    """What a caller met with. ``dialled``: (SIP address, callerId); ``played``: the sounds; ``hooks``: calls to us that
    are due when his voice is ready."""

    dialled: list[tuple[str, str]] = field(default_factory=list)
    played: list[bytes] = field(default_factory=list)
    recording: str = ""
    beeped: bool = False
    hung_up: bool = False
    hooks: list[Hook] = field(default_factory=list)


@dataclass(slots=True)
class _Answer:
    status: int
    body: bytes = b""
    media_type: str = "application/json"
    location: str = ""


class _Refusal(Exception):
    """TwilioRestException as it is written: {"code", "message", "more_info", "status"}."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    def answer(self) -> _Answer:
        return _json({"code": self.code, "message": str(self), "status": self.status,
                      "more_info": f"https://www.twilio.com/docs/errors/{self.code}"}, self.status)  # fmt: skip


class FakeTwilio:
    """``with FakeTwilio(account, token, number) as its: …``. ``portal``: the public address that it calls us at.

    ``messages``: resources by SID, the newest last; ``stopped``: who has written STOP; ``landlines``: numbers that
    take no SMS; ``faults``: what the next requests meet with; ``asked``: "GET /2010-04-01/…" of each request."""

    def __init__(self, account: str, token: str, number: str, portal: str, *, port: int = 0,
                 clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:  # fmt: skip
        self.account, self.number, self.portal, self._token, self._clock = account, number, portal, token, clock
        self.messages: dict[str, dict[str, Any]] = {}
        self.media: dict[str, tuple[str, bytes]] = {}  # by SID: what it is
        self.recordings: dict[str, bytes] = {}
        self.stopped: set[str] = set()
        self.landlines: set[str] = set()
        self.faults: deque[Fault] = deque()
        self.asked: list[str] = []
        self._stored: dict[str, str] = {}  # by a name that nobody can guess: where the API sends on to
        self._root = f"/2010-04-01/Accounts/{account}"
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self.api = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    # ── what it says to us ───────────────────────────────────────────────────────────────────
    def sms(self, sender: str, body: str, *, media: Sequence[tuple[str, bytes]] = (), opt_out: str = "") -> Hook:
        """An SMS, or an MMS with files (media type, content), has come to our number. ``opt_out``: with Advanced
        Opt-Out, what Twilio has understood ("STOP", "START", "HELP") and answered itself."""
        sid = _sid("MM" if media else "SM")
        self._keep(sid, sender, self.number, body, "inbound", "received", len(media))
        fields = {"MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "AccountSid": self.account, "From": sender,
                  "To": self.number, "Body": body, "NumMedia": str(len(media)), "SmsStatus": "received",
                  "NumSegments": str(segments(body).count), "ApiVersion": "2010-04-01", "FromCountry": "UA",
                  "ToCountry": "UA", "FromCity": "", "FromState": "", "FromZip": ""}  # fmt: skip
        for n, (media_type, content) in enumerate(media):
            media_sid = _sid("ME")
            self.media[media_sid] = (media_type, content)
            self.messages[sid]["media"].append(media_sid)
            fields |= {f"MediaUrl{n}": f"{self.api}{self._root}/Messages/{sid}/Media/{media_sid}",
                       f"MediaContentType{n}": media_type}  # fmt: skip
        return self.hook("/twilio/sms", fields | ({"OptOutType": opt_out} if opt_out else {}))

    def report(self, sid: str, status: str, error_code: int = 0) -> Hook:
        """What has become of a message of ours, at the address that it was sent with."""
        its = self.messages[sid]
        its["status"] = status
        if status != "queued":
            its["date_sent"] = its["date_sent"] or self._clock()
        fields = {"MessageSid": sid, "SmsSid": sid, "AccountSid": self.account, "From": self.number, "To": its["to"],
                  "MessageStatus": status, "SmsStatus": status, "ApiVersion": "2010-04-01"}  # fmt: skip
        return self.hook(its["callback"], fields | ({"ErrorCode": str(error_code)} if error_code else {}))

    def hook(self, url: str, fields: Mapping[str, str]) -> Hook:
        """Any call, signed as Twilio signs it."""
        url = urljoin(self.portal, url)
        signature = RequestValidator(self._token).compute_signature(url, dict(fields))
        return Hook(url, urlencode(fields), {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8", "User-Agent": "TwilioProxy/1.1",
            "X-Twilio-Signature": signature, "I-Twilio-Idempotency-Token": secrets.token_hex(16)})  # fmt: skip

    def call(self, http: httpx.Client, sender: str, *, trunk: str = "no-answer", voice: bytes = b"",
             seconds: int = 0) -> Heard:  # fmt: skip
        """Somebody dials our number. ``trunk``: how a call to our trunk ends, as DialCallStatus has it; ``voice``: what
        he says after the tone (WAV), which lasts ``seconds``; b"": he hangs up. ContractError for TwiML that Twilio
        would not take."""
        heard = Heard()
        call = {"CallSid": _sid("CA"), "AccountSid": self.account, "From": sender, "To": self.number, "Caller": sender,
                "Called": self.number, "Direction": "inbound", "ApiVersion": "2010-04-01"}  # fmt: skip
        url, more = urljoin(self.portal, "/twilio/voice"), {"CallStatus": "ringing"}
        while url:
            verbs = _document(self.hook(url, call | more).send(http))
            url, more = self._follow(verbs, url, call, http, heard, trunk, voice, seconds)
        return heard

    def _follow(self, verbs: Sequence[ElementTree.Element], here: str, call: Mapping[str, str], http: httpx.Client,
                heard: Heard, trunk: str, voice: bytes, seconds: int) -> tuple[str, dict[str, str]]:  # fmt: skip
        """Does what a document says until another one is asked for: its address, and what that is told."""
        for verb in verbs:
            said = verb.attrib
            if verb.tag == "Hangup":
                heard.hung_up = True
                return "", {}
            if verb.tag == "Play":
                sound = http.get(urljoin(here, (verb.text or "").strip()))
                kind = sound.headers.get("content-type", "").partition(";")[0]
                if sound.status_code != HTTPStatus.OK or kind not in SOUND or not sound.content:
                    raise ContractError(f"<Play>{verb.text}: {sound.status_code} {kind}")
                heard.played.append(sound.content)
            elif verb.tag == "Dial":
                (sip,) = verb
                heard.dialled.append(((sip.text or "").strip(), said.get("callerId", call["From"])))
                after = {"DialCallStatus": trunk, "DialCallSid": _sid("CA"), "CallStatus": "in-progress",
                         "DialBridged": str(trunk == "completed").lower()}  # fmt: skip
                if "action" in said:
                    return said["action"], after
            elif verb.tag == "Record":
                heard.beeped = said.get("playBeep", "true") == "true"
                return self._record(said, here, call, heard, voice, seconds)
        return "", {}

    def _record(self, said: Mapping[str, str], here: str, call: Mapping[str, str], heard: Heard, voice: bytes,
                seconds: int) -> tuple[str, dict[str, str]]:  # fmt: skip
        sid = _sid("RE")
        told = {"AccountSid": self.account, "CallSid": call["CallSid"], "RecordingSid": sid,
                "RecordingUrl": f"{self.api}{self._root}/Recordings/{sid}", "RecordingSource": "RecordVerb",
                "RecordingChannels": "1", "RecordingDuration": str(seconds), "RecordingStatus": "completed",
                "RecordingStartTime": format_datetime(self._clock())}  # fmt: skip
        if voice:
            self.recordings[sid], heard.recording = voice, sid
        else:
            told |= {"RecordingStatus": "absent", "ErrorCode": "16101"}
        wanted = said.get("recordingStatusCallbackEvent", "completed").split()
        if "recordingStatusCallback" in said and told["RecordingStatus"] in wanted:
            heard.hooks.append(self.hook(said["recordingStatusCallback"], told))
        if not voice:
            return "", {}
        # Without an action the same document is asked for again, and he is recorded for ever.
        return said.get("action", here), {"RecordingUrl": told["RecordingUrl"], "RecordingSid": sid,
                                          "RecordingDuration": str(seconds), "CallStatus": "in-progress"}  # fmt: skip

    # ── what it is asked ─────────────────────────────────────────────────────────────────────
    def outgoing(self) -> list[dict[str, Any]]:
        """What we have sent, oldest first."""
        return [its for its in self.messages.values() if its["direction"] == "outbound-api"]

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> _Answer | None:
        """To one request; None: the connection is closed."""
        url = urlsplit(target)
        self.asked.append(f"{method} {url.path}")
        with self._lock:
            fault = self.faults.popleft() if self.faults and not url.path.startswith("/stored/") else None
            try:
                made = None if fault and not fault.takes else self._answer(method, url.path, url.query, headers, body)
            except _Refusal as refusal:
                made = refusal.answer()
        if fault is None:
            return made
        return _Refusal(fault.status, fault.code, "as the test says").answer() if fault.status else None

    def _answer(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> _Answer:
        if path.startswith("/stored/"):  # a store of Twilio's, elsewhere: it must not be given our password
            if headers.get("authorization"):
                return _Answer(HTTPStatus.BAD_REQUEST)
            media_type, content = self.media[self._stored[path.removeprefix("/stored/")]]
            return _Answer(HTTPStatus.OK, content, media_type)
        self._check_password(headers.get("authorization", ""))
        what = path.removeprefix(self._root)
        if what == path:
            raise _Refusal(404, 20404, f"The requested resource {path} was not found")
        if (method, what) == ("POST", "/Messages.json"):
            if headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
                raise _Refusal(415, 20415, "Unsupported Media Type")
            return self._create(dict(parse_qsl(body.decode(), keep_blank_values=True)))
        if (method, what) == ("GET", "/Messages.json"):
            return self._list(dict(parse_qsl(query)))
        if found := re.fullmatch(r"/Messages/((?:SM|MM)[0-9a-f]{32})/Media\.json", what):
            return self._list_media(found[1])
        if found := re.fullmatch(r"/Messages/(?:SM|MM)[0-9a-f]{32}/Media/(ME[0-9a-f]{32})(\.json)?", what):
            return self._file(method, found[1], self.media, as_record=bool(found[2]))
        if found := re.fullmatch(r"/Recordings/(RE[0-9a-f]{32})(\.json|\.wav|\.mp3)?", what):
            return self._file(method, found[1], self.recordings, as_record=found[2] == ".json")
        raise _Refusal(404, 20404, f"The requested resource {path} was not found")

    def _check_password(self, header: str) -> None:
        """Basic authentication: the account's SID and its token."""
        right = base64.b64encode(f"{self.account}:{self._token}".encode()).decode()
        if not hmac.compare_digest(header.encode(), f"Basic {right}".encode()):
            raise _Refusal(401, 20003, "Authenticate")

    def _create(self, fields: Mapping[str, str]) -> _Answer:
        to, body, callback = fields.get("To", ""), fields.get("Body", ""), fields.get("StatusCallback", "")
        host = urlsplit(callback).hostname or ""
        for wrong, code, message in (
            (bool(fields.keys() - CREATE), 20001, f"parameters that are none: {sorted(fields.keys() - CREATE)}"),
            (not to, 21604, "A 'To' phone number is required."),
            (not fields.get("From"), 21603, "A 'From' phone number is required."),
            (not body, 21602, "Message body is required."),
            (not E164.fullmatch(to), 21211, f"Invalid 'To' Phone Number: {to}"),
            (fields.get("From") != self.number, 21606, "The 'From' phone number is not yours."),
            (len(body) > 1600, 21617, "The concatenated message body exceeds the 1600 character limit."),
            (bool(callback) and not (re.match(r"https?://", callback) and re.fullmatch(r"[A-Za-z0-9.-]+", host)), 21609,
             "The 'StatusCallback' URL is not a valid URL."),
            (to in self.landlines, 21614, "'To' number is not a valid mobile number"),
            (to in self.stopped, 21610, "Attempt to send to unsubscribed recipient"),
        ):  # fmt: skip
            if wrong:
                raise _Refusal(400, code, message)
        sid = _sid("SM")
        self._keep(sid, self.number, to, body, "outbound-api", "queued", 0, callback)
        return _json(self._resource(sid), HTTPStatus.CREATED)

    def _keep(self, sid: str, sender: str, to: str, body: str, direction: str, status: str, files: int,
              callback: str = "") -> None:  # fmt: skip
        now = self._clock()
        self.messages[sid] = {"sid": sid, "from": sender, "to": to, "body": body, "direction": direction,
                              "status": status, "num_media": files, "media": [], "callback": callback,
                              "date_created": now, "date_sent": now if direction == "inbound" else None}  # fmt: skip

    def _resource(self, sid: str) -> dict[str, Any]:
        """A Message, with every documented property."""
        its = self.messages[sid]
        dates = {name: None if its[name] is None else format_datetime(its[name]) for name in
                 ("date_created", "date_sent")}  # fmt: skip
        return {"sid": sid, "account_sid": self.account, "api_version": "2010-04-01", "from": its["from"],
                "to": its["to"], "body": its["body"], "direction": its["direction"], "status": its["status"],
                "num_media": str(its["num_media"]), "num_segments": str(segments(its["body"]).count), "price": None,
                "price_unit": "USD", "error_code": None, "error_message": None, "messaging_service_sid": None,
                "uri": f"{self._root}/Messages/{sid}.json", "date_updated": dates["date_created"], **dates,
                "subresource_uris": {"media": f"{self._root}/Messages/{sid}/Media.json"}}  # fmt: skip

    def _list(self, asked: Mapping[str, str]) -> _Answer:
        """The newest first. By the day it was sent, one that waits is not found."""
        if asked.keys() - LIST:
            raise _Refusal(400, 20001, f"parameters that are none: {sorted(asked.keys() - LIST)}")
        found = [its for its in reversed(self.messages.values())
                 if all(asked.get(name.title(), its[name]) == its[name] for name in ("to", "from"))]  # fmt: skip
        if "DateSent>" in asked:
            since = dt.datetime.fromisoformat(asked["DateSent>"].replace("Z", "+00:00"))
            since = since if since.tzinfo else since.replace(tzinfo=dt.UTC)
            found = [its for its in found if its["date_sent"] is not None and its["date_sent"] >= since]
        size = int(asked.get("PageSize", 50))
        if not 1 <= size <= 1000:
            raise _Refusal(400, 20001, "PageSize")
        return self._page("messages", [self._resource(its["sid"]) for its in found[:size]], "/Messages.json", size)

    def _list_media(self, sid: str) -> _Answer:
        if sid not in self.messages:
            raise _Refusal(404, 20404, "The requested resource was not found")
        now = format_datetime(self._clock())
        files = [{"sid": each, "account_sid": self.account, "parent_sid": sid, "content_type": self.media[each][0],
                  "date_created": now, "date_updated": now, "uri": f"{self._root}/Messages/{sid}/Media/{each}.json"}
                 for each in self.messages[sid]["media"] if each in self.media]  # fmt: skip
        return self._page("media_list", files, f"/Messages/{sid}/Media.json", 50)

    def _page(self, name: str, records: list[dict[str, Any]], path: str, size: int) -> _Answer:
        uri = f"{self._root}{path}?PageSize={size}&Page=0"
        return _json({name: records, "page": 0, "page_size": size, "start": 0, "end": max(len(records) - 1, 0),
                      "uri": uri, "first_page_uri": uri, "next_page_uri": None, "previous_page_uri": None})  # fmt: skip

    def _file(self, method: str, sid: str, files: dict[str, Any], *, as_record: bool) -> _Answer:
        """A sound is given here; a photo is sent on for, to a store elsewhere. Deleted it is gone."""
        if sid not in files:
            raise _Refusal(404, 20404, "The requested resource was not found")
        if method == "DELETE" and as_record:
            del files[sid]
            return _Answer(HTTPStatus.NO_CONTENT)
        if method != "GET" or as_record:
            raise _Refusal(405, 20004, "Method not allowed")
        if files is self.recordings:
            return _Answer(HTTPStatus.OK, files[sid], "audio/x-wav")
        name = secrets.token_urlsafe(12)
        self._stored[name] = sid
        return _Answer(HTTPStatus.TEMPORARY_REDIRECT, location=f"{self.api}/stored/{name}")


def _document(answer: httpx.Response) -> Sequence[ElementTree.Element]:
    """The verbs of a TwiML document. ContractError for what is none."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if answer.status_code != HTTPStatus.OK or kind not in DOCUMENT or len(answer.content) > CAP:
        raise ContractError(f"no document: {answer.status_code} {kind} {answer.text[:200]}")
    root = ElementTree.fromstring(answer.text)  # noqa: S314  # our own, on our own machine
    if root.tag != "Response":
        raise ContractError(f"<{root.tag}> where <Response> must be")
    for verb in root:
        for element in verb.iter():
            allowed = VERBS.get(element.tag)
            if allowed is None:
                raise ContractError(f"<{element.tag}> is not known here")
            for name, value in element.attrib.items():
                if name not in allowed or not re.fullmatch(allowed[name], value):
                    raise ContractError(f"<{element.tag} {name}={value!r}>")
        if verb.tag == "Dial":
            called = [(each.text or "").strip() for each in verb if each.tag == "Sip"]
            if len(called) != 1 or not re.fullmatch(r"sips?:[^@\s]+@\S{1,255}", called[0]):
                raise ContractError(f"<Dial> calls {called}")
    return list(root)


def _handler(its: FakeTwilio) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = its.answer(self.command, self.path, headers, body)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            if answer.location:
                self.send_header("Location", answer.location)
            if answer.status != HTTPStatus.NO_CONTENT:
                self.send_header("Content-Type", answer.media_type)
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_DELETE = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Whoever wants to know looks into ``asked``."""

    return Handler


def _json(value: Mapping[str, Any], status: int = HTTPStatus.OK) -> _Answer:
    return _Answer(status, json.dumps(value).encode())


def _sid(kind: str) -> str:
    return kind + secrets.token_hex(16)
