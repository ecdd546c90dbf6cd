"""The whole rendered set as files, so that a review sees each change.

``RENEW_GOLDEN=1 ./1551 test tests/dialplans`` writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from centre.settings import Seat, Secrets, Settings
from dialplans import Places, render
from dialplans.render import TEMPLATES

GOLDEN = Path(__file__).parent / "golden"
PLACES = Places(modules=Path("/usr/lib/asterisk/modules"), spool_script=Path("/srv/1551/asterisk/agi/spool_call.py"))


def seat(number: str) -> Seat:
    return Seat(number=number, sip_user=f"seat{number}-0a1b2c", sip_secret=f"secret-of-{number}")


SECRETS = Secrets(ami_line="secret-of-line", ami_originate="secret-of-originate", ari="secret-of-ari",
                  web="secret-of-web", seats={number: seat(number) for number in ("101", "102")})  # fmt: skip


class Given(Settings):
    """What is given, and nothing of this machine's."""

    @classmethod
    def settings_customise_sources(cls, settings_cls: object, init_settings: Any, **others: object) -> tuple[Any, ...]:
        return (init_settings,)


DEFAULT = render(Given(var=Path("/srv/1551"), seat_count=2), SECRETS, PLACES)
# Each setting that adds lines somewhere.
EVERYTHING = render(
    Given(var=Path("/srv/1551"), seat_count=2, sip_tls_port=5061, srtp=True, tls_certificate=Path("/etc/1551/cert.pem"),
          tls_key=Path("/etc/1551/key.pem"), external_address="198.51.100.7", landline_from=["203.0.113.0/28"],
          mobile_from=["203.0.113.16/28"], seat_networks=["10.0.0.0/8"], seat_qualify=60,
          callback_prefixes=["+380", "+48"]), SECRETS, PLACES)  # fmt: skip
FILES = DEFAULT | {f"everything/{name}": text for name, text in EVERYTHING.items() if text != DEFAULT[name]}


@pytest.mark.parametrize("name", FILES)
def test_as_it_was(name: str) -> None:
    golden = GOLDEN / name
    if os.environ.get("RENEW_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(FILES[name])
    assert FILES[name] == golden.read_text(), "meant? Then renew: RENEW_GOLDEN=1 ./1551 test tests/dialplans"


def test_no_golden_file_is_left_over() -> None:
    assert {path.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("*.conf")} == set(FILES)


def test_every_template_is_rendered() -> None:
    assert {path.stem for path in TEMPLATES.iterdir()} == {name for name in FILES if "/" not in name}
