"""Templates and one settings object in, Asterisk's files out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from call_queue import order
from crm.calls import Skill

if TYPE_CHECKING:
    from centre.settings import Seat, Secrets, Settings

TEMPLATES = Path(__file__).parent / "templates"

# What the dialplan and pjsip.conf use, and what these need; autoload would load what cannot be configured
# here and log an error for each.
MODULES = (
    "res_timing_timerfd", "res_sorcery_config", "res_sorcery_memory", "res_sorcery_astdb", "res_pjproject",
    "res_pjsip", "res_pjsip_session", "res_pjsip_acl", "res_pjsip_authenticator_digest",
    "res_pjsip_outbound_authenticator_digest", "res_pjsip_caller_id", "res_pjsip_dtmf_info",
    "res_pjsip_endpoint_identifier_ip", "res_pjsip_endpoint_identifier_user", "res_pjsip_nat", "res_pjsip_refer",
    "res_pjsip_registrar", "res_pjsip_rfc3326", "res_pjsip_sdp_rtp", "res_pjsip_transport_websocket",
    "res_http_websocket", "res_websocket_client", "res_stasis", "res_ari", "res_ari_model", "res_ari_asterisk",
    "res_rtp_asterisk", "res_srtp", "res_crypto", "res_speech", "res_agi", "res_manager_devicestate",
    "res_musiconhold", "res_pjsip_pubsub", "chan_pjsip", "app_chanspy", "app_dial", "app_mixmonitor", "app_playback",
    "app_queue", "app_read", "app_stack", "app_exec", "app_userevent",
    "bridge_builtin_features", "bridge_holding", "bridge_native_rtp", "bridge_simple", "bridge_softmix",
    "codec_a_mu", "codec_alaw", "codec_g722", "codec_resample", "codec_ulaw", "format_pcm", "format_wav",
    "func_callerid", "func_channel", "func_logic", "func_strings", "func_timeout", "func_uuid", "pbx_config",
)  # fmt: skip


LONGEST = 1000  # characters of a value; Asterisk reads lines of 8192 bytes and takes the rest for another line
_SEAT_NAME = re.compile(r"seat[a-z0-9._-]{1,60}", re.ASCII)  # and so no other section's name


class UnsafeValue(ValueError):
    """A value that Asterisk would read as more than a value."""


@dataclass(frozen=True)
class Places:
    """Where things are on this machine: Asterisk's modules, and the script that spools calls."""

    modules: Path
    spool_script: Path


def plain(value: object) -> str:
    """The value as Asterisk's files take it.

    UnsafeValue for line ends and all else that does not print, for what starts a comment, a variable or a section, for
    space at either end (which Asterisk drops), and for what is too long.
    """
    text = "" if value is None else str(value)
    misread = not text.isprintable() or any(c in text for c in ';"\\$`|[]')
    if misread or text != text.strip() or len(text) > LONGEST:
        raise UnsafeValue(f"{text[:60]!r} cannot stand in Asterisk's configuration")
    return text


_environment = Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, finalize=plain,
                           trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
                           autoescape=False)  # noqa: S701  `finalize` is the escape here  # fmt: skip


def render(settings: Settings, secrets: Secrets, places: Places) -> dict[str, str]:
    """Every file by its name, ``pjsip.conf`` and so on.

    Raises:
        UnsafeValue: a setting or a secret holds what Asterisk would misread.
    """
    trunks = (("landline", settings.landline_from, settings.landline_host),
              ("mobile", settings.mobile_from, settings.mobile_host))  # fmt: skip
    trunk_networks = {*settings.landline_from, *settings.mobile_from}
    seat_networks = {*settings.seat_networks, f"{settings.browsers_from}/32"}
    values: dict[str, Any] = {
        "settings": settings, "secrets": secrets, "home": settings.asterisk, "modules": places.modules,
        "spool_script": places.spool_script, "seats": _seats(settings, secrets), "trunks": trunks,
        "trunks_apart": not _overlap(trunk_networks, seat_networks),
        "allowed_networks": [_with_mask(network) for network in sorted(trunk_networks | seat_networks)],
        "outside": [pattern for prefix in settings.callback_prefixes for pattern in _numbers(prefix)],
        "loaded": MODULES, "skill_queues": [order.skill_queue(skill) for skill in Skill],
        "seat_queue": order.seat_queue,
    }  # fmt: skip
    return {path.stem: _environment.get_template(path.name).render(values) for path in sorted(TEMPLATES.glob("*.j2"))}


def write(files: dict[str, str], folder: Path) -> list[str]:
    """Puts the files into ``folder``, whole or not at all each; the names of those that changed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, text in files.items():
        path = folder / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        draft = folder / f".{name}"
        draft.write_text(text, encoding="utf-8")
        draft.chmod(0o600)
        draft.replace(path)
        changed.append(name)
    return changed


def _seats(settings: Settings, secrets: Secrets) -> list[Seat]:
    """Their SIP names are sections of pjsip.conf, and stand in applications' arguments."""
    seats = [secrets.seats[number] for number in settings.seats]
    for number, seat in zip(settings.seats, seats, strict=True):
        if seat.number != number or not _SEAT_NAME.fullmatch(seat.sip_user):
            raise UnsafeValue(f"{seat.sip_user[:60]!r} cannot be the SIP name of seat {number}")
    for name, count in Counter(name for seat in seats for name in (seat.sip_user, seat.browser_user)).items():
        if count > 1:
            raise UnsafeValue(f"{count} seats are called {name!r}")
    return seats


def _numbers(prefix: str) -> list[str]:
    """Patterns of the whole E.164 numbers under ``prefix``: nine digits after +380, else 8 to 15 in all."""
    lengths = [12] if prefix.startswith("+380") else range(8, 16)
    return [prefix + "X" * (length - len(prefix) + 1) for length in lengths if length >= len(prefix) - 1]


def _overlap(some: Iterable[str], others: Iterable[str]) -> bool:
    return any(ip_network(one).overlaps(ip_network(other)) for one in some for other in others)


def _with_mask(network: str) -> str:
    """Asterisk's ACLs read 10.0.0.0/255.0.0.0."""
    return ip_network(network).with_netmask
