"""The telephone in the page of another machine: over TLS, and its audio by ICE between two addresses."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

from centre.provision import ensure
from centre.settings import ROOT
from tests.namespaces import CITY, SEAT, beside, wire
from tests.workplace.from_elsewhere import BEFORE_NAT


def test_a_seat_on_another_machine_talks(tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    with wire() as (city, seat):
        browser.write_text(f'#!/bin/sh\nexec {shlex.join([*beside(seat), str(ensure("chromium").executable)])} "$@"\n')
        browser.chmod(0o700)
        centre = [*city, sys.executable, "-m", "tests.workplace.from_elsewhere", str(tmp_path), str(browser)]
        done = subprocess.run(centre, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=120)
    met = json.loads(done.stdout)
    assert met["page"].startswith(f"https://{CITY}:")
    assert met["ways"] == [[SEAT, CITY]]
    assert min(met["received"], met["sent"]) > 10
    assert sorted(met["offered"]) == [CITY, BEFORE_NAT]
    assert met["complaints"] == []
