"""What Twilio calls: an SMS has come, one was delivered, somebody has dialled the mobile number.

Every call is signed by it (twilio.com/docs/usage/webhooks/webhooks-security) over the address that it called, as the
public knows it. What is not is answered by the same words, whatever is wrong with it. What has come is kept before it
is acknowledged; where the records cannot be reached the answer is 503, and Twilio keeps it for us.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

import anyio.to_thread
from sqlalchemy.exc import DBAPIError
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from centre.texts import section
from crm import by_sms, messages, notices, remote_files
from crm.errors import BadInput
from crm.messages import Incoming
from intake.twilio import incoming, voice
from intake.twilio.incoming import Malformed
from web import security
from web.visit import Parts

MAX_BODY = 64 * 1024  # bytes
MAX_FIELDS = 200
SOUNDS_KEEP = 3600  # seconds that Twilio need not ask for a prompt again
ANSWERED = frozenset({"completed", "answered"})

log = logging.getLogger(__name__)
Fields = ImmutableMultiDict[str, str]
say = section("by_sms")


def routes(parts: Parts) -> list[BaseRoute]:
    """Its addresses; none without an account."""
    if not parts.settings.twilio_account:
        return []
    hooks = _Hooks(parts)
    return [
        _hook(parts, "/twilio/sms", hooks.sms),
        _hook(parts, "/twilio/status", hooks.status),
        _hook(parts, "/twilio/voice", hooks.voice),
        _hook(parts, "/twilio/voice/after", hooks.after),
        _hook(parts, "/twilio/voice/left", hooks.left),
        _hook(parts, "/twilio/recording", hooks.recording),
        Route("/twilio/sound/{language}/{name}.wav", hooks.sound),
    ]


@dataclass(frozen=True, slots=True)
class _Hooks:
    """What each of its calls does: blocking, and given only what was signed. ``asked``: after the question mark."""

    parts: Parts

    @property
    def _account(self) -> str:
        return self.parts.settings.twilio_account

    @property
    def _portal(self) -> str:
        return self.parts.settings.portal_address

    def sms(self, fields: Fields, asked: Fields) -> str:
        its = incoming.texted(fields, self._account)
        with self.parts.db.write() as conn:
            by_sms.receive(conn, its, now=self.parts.clock(), say=say, secret=self.parts.secret,
                           daily=self.parts.settings.file_daily)  # fmt: skip
        return voice.nothing()

    def status(self, fields: Fields, asked: Fields) -> str:
        sid, what = incoming.reported(fields, self._account)
        if what:
            with self.parts.db.write() as conn:
                notices.delivered(conn, sid, what, self.parts.clock())
        return voice.nothing()

    def voice(self, fields: Fields, asked: Fields) -> str:
        caller = incoming.called(fields, self._account)
        trunk = self.parts.settings.twilio_sip
        return voice.connect(self._portal, trunk, caller) if trunk else voice.leave(self._portal, caller)

    def after(self, fields: Fields, asked: Fields) -> str:
        """Our trunk was called: somebody has spoken with us, or nobody could."""
        caller = incoming.called(fields, self._account)
        if fields.get("DialCallStatus") in ANSWERED:
            return voice.hang_up()
        return voice.leave(self._portal, caller)

    def left(self, fields: Fields, asked: Fields) -> str:
        incoming.called(fields, self._account)
        return voice.left(self._portal)

    def recording(self, fields: Fields, asked: Fields) -> str:
        its = incoming.recorded(fields, self._account)
        if its is not None:
            self._keep(its, incoming.caller(asked.get("caller", "")))
        return voice.nothing()

    def _keep(self, its: incoming.Recorded, caller: str) -> None:
        now, lasting = self.parts.clock(), f"{its.seconds // 60}:{its.seconds % 60:02}"
        with self.parts.db.write() as conn:
            message_id = messages.take(conn, Incoming(
                channel="phone", external_id=its.id, address=caller, text=say("voice_left", "uk", lasting=lasting),
                received_at=now, said={"phone": caller} if caller else {}))  # fmt: skip
            if message_id is not None:
                remote_files.expect(conn, message_id, [(its.path, f"voice-{its.id[-6:]}.wav")], now)

    def sound(self, request: Request) -> Response:
        """A prompt: what everybody hears who calls is no secret."""
        language, name = request.path_params["language"], request.path_params["name"]
        path = self.parts.settings.prompts / language / f"{name}.wav"
        if (language, name) not in voice.SOUNDS or not path.is_file():
            return PlainTextResponse("not found", 404)
        return FileResponse(path, media_type="audio/wav", headers={"Cache-Control": f"public, max-age={SOUNDS_KEEP}"})


def _hook(parts: Parts, path: str, work: Callable[[Fields, Fields], str]) -> Route:
    validator = RequestValidator(parts.settings.twilio_token.get_secret_value())

    def answer(fields: Fields, asked: Fields) -> Response:
        try:
            return Response(work(fields, asked), media_type="application/xml")
        except (Malformed, BadInput) as error:
            log.warning("a call of Twilio's to %s is not understood: %s", path, error)
            return _refusal()
        except DBAPIError as error:
            log.error("a call of Twilio's to %s was not kept: %s", path, error.orig)
            return PlainTextResponse("later", 503)

    async def endpoint(request: Request) -> Response:
        try:
            query = request.scope["query_string"].decode("ascii")
            asked = _fields(query)
            fields = _fields((await security.body_of(request, MAX_BODY)).decode())
        except (BadInput, ValueError):
            return _refusal()
        called = f"{parts.settings.portal_address}{path}{f'?{query}' if query else ''}"
        if not validator.validate(called, fields, request.headers.get("x-twilio-signature", "")):
            return _refusal()
        return await anyio.to_thread.run_sync(answer, fields, asked)

    return Route(path, endpoint, methods=["POST"])


def _fields(text: str) -> Fields:
    """ValueError for what is no form."""
    return ImmutableMultiDict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS))


def _refusal() -> Response:
    return PlainTextResponse("forbidden", 403)
