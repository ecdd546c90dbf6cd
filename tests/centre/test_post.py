"""The post: what it does follows from what is set up, and each of its parts waits for no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from centre import post
from centre.settings import Settings, load_secrets
from crm.store import Database
from crm.telling import WRITTEN

MAIL = {"smtp_host": "127.0.0.1", "smtp_port": 1, "smtp_security": "none", "mail_from": "1551@kyiv.example"}
TWILIO = {"twilio_account": "AC" + "0" * 32, "twilio_token": "t", "twilio_number": "+380441112233",
          "portal_address": "https://1551.kyiv.example"}  # fmt: skip
FACEBOOK = {"facebook_page": "1", "facebook_token": "t", "facebook_secret": "s", "facebook_verify": "v",
            "portal_address": "https://1551.kyiv.example"}  # fmt: skip


@pytest.mark.parametrize("given", [{}, MAIL, TWILIO, FACEBOOK, {**MAIL, **TWILIO, **FACEBOOK}])
def test_each_way_that_is_set_up_is_served_and_no_other(given: dict[str, str], sqlite_url: str, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("CENTRE_SETTINGS", str(tmp_path / "none.toml"))
    settings, db = Settings(var=tmp_path, database=sqlite_url, **given), Database(sqlite_url)  # type: ignore[arg-type]
    try:
        assert sorted(each.way for each in post.couriers(settings, db)) == sorted(settings.ways)
        parts = {each.name: each for each in post.parts(settings, load_secrets(settings), db)}
        assert {f"send {way}" for way in WRITTEN} & set(parts) == {f"send {way}" for way in settings.ways}
        for name in ("mail", *(f"send {way}" for way in settings.ways)):
            parts[name].work()  # nothing is due: nobody is asked, and there is nobody
    finally:
        db.close()
