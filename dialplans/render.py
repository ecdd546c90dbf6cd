"""Templates and one settings object in, Asterisk's files out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

if TYPE_CHECKING:
    from centre.settings import Secrets, Settings

TEMPLATES = Path(__file__).parent / "templates"

# What the dialplan and pjsip.conf use, and what these need; autoload would load what cannot be configured
# here and log an error for each.
MODULES = (
    "res_timing_timerfd", "res_sorcery_config", "res_sorcery_memory", "res_sorcery_astdb", "res_pjproject",
    "res_pjsip", "res_pjsip_session", "res_pjsip_acl", "res_pjsip_authenticator_digest",
    "res_pjsip_outbound_authenticator_digest", "res_pjsip_caller_id", "res_pjsip_dtmf_info",
    "res_pjsip_endpoint_identifier_ip", "res_pjsip_endpoint_identifier_user", "res_pjsip_nat", "res_pjsip_refer",
    "res_pjsip_registrar", "res_pjsip_rfc3326", "res_pjsip_sdp_rtp", "res_rtp_asterisk", "res_srtp", "res_crypto",
    "res_speech", "res_agi", "res_musiconhold", "res_pjsip_pubsub", "chan_pjsip",
    "app_dial", "app_mixmonitor", "app_playback", "app_queue", "app_read", "app_stack", "app_exec", "app_userevent",
    "bridge_builtin_features", "bridge_holding", "bridge_native_rtp", "bridge_simple", "bridge_softmix",
    "codec_a_mu", "codec_alaw", "codec_g722", "codec_resample", "codec_ulaw", "format_pcm", "format_wav",
    "func_callerid", "func_channel", "func_logic", "func_strings", "func_timeout", "func_uuid", "pbx_config",
)  # fmt: skip


class UnsafeValue(ValueError):
    """A value that Asterisk would read as more than a value."""


@dataclass(frozen=True)
class Places:
    """Where things are on this machine: Asterisk's modules, and the script that spools calls."""

    modules: Path
    spool_script: Path


def plain(value: object) -> str:
    """The value as Asterisk's files take it. UnsafeValue for line ends, NUL, and what starts a comment or a variable."""
    text = "" if value is None else str(value)
    if any(ord(c) < 32 or ord(c) == 127 for c in text) or any(c in text for c in ";\"\\$`|[]"):
        raise UnsafeValue(f"{text!r} cannot stand in Asterisk's configuration")
    return text


def render(settings: Settings, secrets: Secrets, places: Places) -> dict[str, str]:
    """Every file by its name, ``pjsip.conf`` and so on.

    Raises:
        UnsafeValue: a setting or a secret holds what Asterisk would misread.
    """
    environment = Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, finalize=plain,
                              trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
                              autoescape=False)  # noqa: S701  `finalize` is the escape here  # fmt: skip
    trunks = (("landline", settings.landline_from, settings.landline_host),
              ("mobile", settings.mobile_from, settings.mobile_host))  # fmt: skip
    networks = {*settings.landline_from, *settings.mobile_from, *settings.seat_networks}
    values: dict[str, Any] = {
        "settings": settings, "secrets": secrets, "home": settings.asterisk, "modules": places.modules,
        "spool_script": places.spool_script, "seats": [secrets.seats[number] for number in settings.seats],
        "trunks": trunks, "allowed_networks": [_with_mask(network) for network in sorted(networks)],
        "loaded": MODULES,
    }  # fmt: skip
    return {name.removesuffix(".j2"): environment.get_template(name).render(values)
            for name in sorted(os.listdir(TEMPLATES)) if name.endswith(".j2")}  # fmt: skip


def write(files: dict[str, str], folder: Path) -> list[str]:
    """Puts the files into ``folder``, whole or not at all each; the names of those that changed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, text in files.items():
        path = folder / name
        if path.exists() and path.read_text() == text:
            continue
        draft = folder / f".{name}"
        draft.write_text(text)
        draft.chmod(0o600)
        draft.replace(path)
        changed.append(name)
    return changed


def _with_mask(network: str) -> str:
    """Asterisk's ACLs read 10.0.0.0/255.0.0.0."""
    return ip_network(network).with_netmask
