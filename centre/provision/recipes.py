"""The programs, one entry each."""

from __future__ import annotations

from . import chromium, exim
from .tools import Recipe

ASTERISK = Recipe(
    name="asterisk",
    program="sbin/asterisk",
    packages=("asterisk",),
    minimum=(22, 10, 1),  # earlier ones have published holes and miscount queue members
    version_option="-V",
    directories={
        "modules": ("lib/*/asterisk/modules", "lib*/asterisk/modules"),
        # Built from source it keeps its data under /var, whatever its prefix.
        "data": ("share/asterisk", "var/lib/asterisk", "../var/lib/asterisk", "../../var/lib/asterisk"),
    },
    contents={
        "modules": (
            "app_queue.so",
            "app_mixmonitor.so",
            "res_agi.so",
            "res_pjsip.so",
            "res_srtp.so",
            "res_pjsip_transport_websocket.so",
            "pbx_config.so",
        ),
        "data": ("documentation",),  # Asterisk does not start without it
    },
)

# A SIP caller without a person, for tests, the demo and benchmarks.
SIPP = Recipe(name="sipp", program="bin/sipp", packages=("sip-tester",), minimum=(3, 6), version_option="-v")

# Speaks the prompts that nobody has recorded yet.
ESPEAK = Recipe(
    name="espeak-ng",
    program="bin/espeak-ng",
    packages=("espeak-ng",),
    minimum=(1, 50),
    version_option="--version",
    environment={"ESPEAK_DATA_PATH": "lib/*/espeak-ng-data"},
)

# Resamples what espeak-ng speaks (22,050 Hz) to what the trunk carries.
SOX = Recipe(name="sox", program="bin/sox", packages=("sox",), minimum=(14, 4), version_option="--version")

# A browser without a window, for tests and the demo; it draws Ukrainian letters by the fonts that come with it.
CHROMIUM = Recipe(
    name="chromium",
    program="lib/chromium/chromium-headless-shell",
    packages=("chromium-headless-shell", "fonts-dejavu-core"),
    minimum=(130,),
    version_option="--version",
    names=("chromium", "chromium-headless-shell", "google-chrome"),
    launcher=chromium.launcher,
)

# Mail servers, for tests and the demo (``centre.outside.mail``): one takes letters, the other keeps them.
EXIM = Recipe(
    name="exim",
    program="sbin/exim4",
    packages=("exim4-daemon-light", "libnss-wrapper"),
    minimum=(4, 96),
    version_option="-bV",
    launcher=exim.launcher,
)
DOVECOT = Recipe(
    name="dovecot",
    program="sbin/dovecot",
    packages=("dovecot-core", "dovecot-imapd", "dovecot-lmtpd"),
    minimum=(2, 4),  # its settings have other names than before
    version_option="--version",
    directories={"bin": ("bin",), "libexec": ("lib/dovecot", "libexec/dovecot")},
    contents={"bin": ("doveconf",), "libexec": ("imap", "imap-login", "lmtp")},
)

RECIPES = {recipe.name: recipe for recipe in (ASTERISK, SIPP, ESPEAK, SOX, CHROMIUM, EXIM, DOVECOT)}
