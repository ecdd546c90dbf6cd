"""The pages' certificate: made where none is set, by an authority that stays, and made again in time."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from centre import certificates, doctor
from centre.settings import Settings

NOW = datetime.now(UTC)
GIVEN = Path(__file__).parent / "certificates"


def settings_of(var: Path, bind: str = "127.0.0.2", **more: Any) -> Settings:
    """As if ``bind`` were not loopback, so that a test needs no network."""
    return Settings(var=var, **more).model_copy(update={"web_bind": Elsewhere(bind)})


class Elsewhere(IPv4Address):
    is_loopback = False


def opened(its: certificates.Served, name: str) -> str:
    """What comes of a TLS handshake with who knows ``trusted`` alone and asks for ``name``: "" or the refusal."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(its.certificate, its.key)
    asking = ssl.create_default_context(cafile=its.trusted)
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            serving.wrap_socket(there, server_side=True).close()
        except OSError:
            there.close()

    server = threading.Thread(target=serve)
    server.start()
    try:
        asking.wrap_socket(here, server_hostname=name).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        here.close()
        server.join()
    return ""


def test_one_is_made_that_is_trusted_for_every_name_of_the_machine_and_no_other(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, web_names=["1551.city.test"])
    its = certificates.ready(settings, NOW)
    assert its is not None
    assert certificates.where(settings) == "https://1551.city.test:1551"
    assert [opened(its, name) for name in ("1551.city.test", "127.0.0.2", "localhost")] == ["", "", ""]
    assert "mismatch" in opened(its, "city.test")
    for file in settings.tls.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    made = its.certificate.read_bytes()
    certificates.ready(settings, NOW + timedelta(days=300))
    assert its.certificate.read_bytes() == made, "not yet due"


def test_it_is_made_again_in_time_and_for_a_new_name_by_the_same_authority(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    its = certificates.ready(settings, NOW)
    assert its is not None
    known, first = certificates.fingerprint(its.trusted), certificates.fingerprint(its.certificate)
    certificates.ready(settings, NOW + certificates.LASTS - timedelta(days=29))
    assert certificates.fingerprint(its.certificate) != first
    named = settings_of(tmp_path, web_names=["new.city.test"])
    certificates.ready(named, NOW)
    assert opened(its, "new.city.test") == ""
    assert certificates.fingerprint(its.trusted) == known, "who has installed it need not again"
    its.certificate.write_text("nonsense")
    certificates.ready(settings, NOW)
    assert opened(its, "127.0.0.2") == ""


def test_this_machine_alone_needs_none_and_what_is_set_goes_first(tmp_path: Path) -> None:
    assert certificates.ready(Settings(var=tmp_path), NOW) is None
    assert certificates.where(Settings(var=tmp_path)) == "http://127.0.0.1:1551"
    city, phones = (GIVEN / "good.pem", GIVEN / "key.pem"), (GIVEN / "early.pem", GIVEN / "key.pem")
    tls: dict[str, Any] = dict(zip(("tls_certificate", "tls_key"), phones, strict=True))
    web: dict[str, Any] = dict(zip(("web_certificate", "web_key"), city, strict=True))
    assert certificates.served(Settings(var=tmp_path, **tls)) is None, "the telephones' own"
    for settings, file in ((settings_of(tmp_path, **tls), phones[0]), (settings_of(tmp_path, **tls, **web), city[0]),
                           (Settings(var=tmp_path, **web), city[0])):  # fmt: skip
        its = certificates.ready(settings, NOW)
        assert its is not None
        assert (its.certificate, its.made) == (file, False)
    assert not (tmp_path / "tls").exists()
    with pytest.raises(ValidationError, match="web_key"):
        Settings(var=tmp_path, web_certificate=city[0])


def test_the_doctor_tells_its_end_its_names_and_its_fingerprint(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert [remark.id for remark in doctor.certificate(settings)] == ["pages.later"]
    its = certificates.ready(settings, NOW)
    assert its is not None
    lasting, pages = doctor.certificate(settings)
    assert (lasting.id, pages.id) == ("certificate.ok", "pages.made")
    assert pages.details["fingerprint"] == certificates.fingerprint(its.trusted)
    city: dict[str, Any] = {"web_certificate": GIVEN / "good.pem", "web_key": GIVEN / "key.pem"}
    _, pages = doctor.certificate(settings_of(tmp_path, web_names=["elsewhere.test"], **city))
    assert (pages.id, pages.details["missing"]) == ("pages.names", "elsewhere.test")
