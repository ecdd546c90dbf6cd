"""What Twilio does with who dials the mobile number: connects him to our trunk, and if nobody is there takes his appeal
as a voice. The documents are TwiML (twilio.com/docs/voice/twiml: Dial, Sip, Play, Record)."""

from __future__ import annotations

from urllib.parse import urlencode

from twilio.twiml.voice_response import VoiceResponse  # type: ignore[import-untyped]

RING_S = 20  # our trunk answers at once, or does not
LONGEST_S = 180  # of a voice: three minutes
SILENCE_S = 8  # that ends it
# (language, prompt) that are said, in this order: the names of ``ivr/prompts``.
LEAVE = (("uk", "leave-appeal"), ("en", "leave-appeal"))
LEFT = (("uk", "goodbye"),)
SOUNDS = frozenset({*LEAVE, *LEFT})


def connect(portal: str, sip: str, caller: str) -> str:
    """To our trunk, as the caller himself. ``caller``: E.164; with "" Twilio says what it knows."""
    response = VoiceResponse()
    more = {"caller_id": caller} if caller else {}
    dial = response.dial(action=f"{portal}/twilio/voice/after", method="POST", timeout=RING_S, answer_on_bridge=True,
                         **more)  # fmt: skip
    dial.sip(sip)
    return str(response)


def leave(portal: str, caller: str) -> str:
    """Asks for the appeal, and records it. Who left it is told with the recording only if we say it to ourselves."""
    response = VoiceResponse()
    _play(response, portal, LEAVE)
    response.record(
        action=f"{portal}/twilio/voice/left", method="POST", max_length=LONGEST_S, timeout=SILENCE_S, finish_on_key="#",
        play_beep=True, recording_status_callback=f"{portal}/twilio/recording?{urlencode({'caller': caller})}",
        recording_status_callback_method="POST", recording_status_callback_event="completed absent")  # fmt: skip
    return str(response)


def left(portal: str) -> str:
    response = VoiceResponse()
    _play(response, portal, LEFT)
    response.hangup()
    return str(response)


def hang_up() -> str:
    response = VoiceResponse()
    response.hangup()
    return str(response)


def nothing() -> str:
    """No instruction: the empty answer, also to an SMS."""
    return str(VoiceResponse())


def _play(response: VoiceResponse, portal: str, sounds: tuple[tuple[str, str], ...]) -> None:
    for language, name in sounds:
        response.play(f"{portal}/twilio/sound/{language}/{name}.wav")
