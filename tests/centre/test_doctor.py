"""The doctor finds what would keep the centre from working, says what to do, and is quiet where all is well."""

from __future__ import annotations

import json
import re
import socket
import string
import threading
import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from centre import doctor as module
from centre import texts
from centre.backup import UNFINISHED
from centre.doctor import GIB, Level, Remark, doctor, main, ok
from centre.provision.tools import Recipe, Tool
from centre.provision.work import ProvisionError
from centre.settings import Settings, load_secrets
from crm.store import migrate

CERTIFICATES = Path(__file__).parent / "certificates"


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on, as the system gives them."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    found = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return found


def make_settings(var: Path, **more: Any) -> Settings:
    names = ("sip_port", "ami_port", "agi_port", "asterisk_http_port", "web_port")
    return Settings(var=var, **{**dict(zip(names, free_ports(len(names)), strict=True)), **more})


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A centre that is ready to start, on a machine that has what it needs."""
    monkeypatch.setattr(module, "disk", lambda place: [ok("disk.ok", free=99, place=place)])
    monkeypatch.setattr(module, "asterisk", lambda: [ok("asterisk.ok", version="22.10.1")])
    var = tmp_path / "var"
    monkeypatch.setenv("CENTRE_SETTINGS", str(var / "settings.toml"))
    settings = make_settings(var)
    settings.recordings.mkdir(parents=True, mode=0o700)
    migrate(settings.database_url)
    (var / "1551.db").chmod(0o600)
    for language in texts.LANGUAGES:
        (settings.prompts / language).mkdir(parents=True)
        for name in module.ESSENTIAL_PROMPTS:
            (settings.prompts / language / f"{name}.wav").touch()
    load_secrets(settings)
    return settings


def found(remarks: Iterable[Remark]) -> dict[str, Level]:
    return {remark.id: remark.level for remark in remarks}


def troubles(settings: Settings) -> dict[str, Level]:
    """What the doctor does not call well."""
    findings = doctor(settings, load_secrets(settings))
    for finding in findings:
        assert bool(finding.remedy) is (finding.level is not Level.OK)
    return {f.id: f.level for f in findings if f.level is not Level.OK}


def test_a_centre_that_is_ready_is_called_well(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert troubles(settings) == {}
    assert main(settings, load_secrets(settings)) == 0
    assert "Python 3." in capsys.readouterr().out


def test_an_error_gives_the_exit_code_and_a_remedy_in_the_persons_language(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (settings.var / "secrets.json").chmod(0o644)
    for locale, word in (("uk_UA.UTF-8", "що робити: Виконайте"), ("C", "what to do: Run")):
        monkeypatch.setenv("LC_ALL", locale)
        assert main(settings, load_secrets(settings)) == 1
        assert f"{word}: chmod go= {settings.var / 'secrets.json'}" in capsys.readouterr().out


@pytest.mark.parametrize(("version", "id"), [((3, 10, 9), "old"), ((3, 11, 0), "ok"), ((3, 14, 1), "ok")])
def test_python(version: tuple[int, ...], id: str) -> None:
    assert [remark.id for remark in module.python(version)] == [f"python.{id}"]


def test_asterisk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(recipe: Recipe) -> Tool:
        raise ProvisionError("no library")

    monkeypatch.setattr(module, "TOOLS", tmp_path)  # where nothing is unpacked, and nothing shall be fetched
    for find, id in ((lambda recipe: Tool("asterisk", "22.10.1", ()), "ok"), (lambda recipe: None, "absent"),
                     (broken, "broken")):  # fmt: skip
        monkeypatch.setattr(module, "find", find)
        assert found(module.asterisk()).keys() == {f"asterisk.{id}"}


@pytest.mark.parametrize(("free", "id"), [(0, "disk.full"), (GIB - 1, "disk.full"), (GIB, "disk.low"),
                                          (10 * GIB - 1, "disk.low"), (10 * GIB, "disk.ok")])  # fmt: skip
def test_disk(free: int, id: str) -> None:
    assert module.space(free, Path("/")).id == id


def test_the_disk_of_a_folder_that_is_not_there_yet_is_that_of_its_parent(tmp_path: Path) -> None:
    assert found(module.disk(tmp_path / "a" / "b")).keys() == found(module.disk(tmp_path)).keys()


@pytest.mark.parametrize(("year", "id"), [(1970, "clock.wrong"), (2026, "clock.ok"), (2106, "clock.wrong")])
def test_clock(year: int, id: str) -> None:
    assert found(module.clock(datetime(year, 5, 5, 9, tzinfo=UTC))).keys() == {id}


def test_the_clock_is_shown_as_it_is_in_kyiv() -> None:
    (remark,) = module.clock(datetime(2026, 7, 1, 22, 30, tzinfo=UTC))
    assert remark.details["now"] == "2026-07-02 01:30"


@pytest.mark.parametrize(("changed", "ids"), [
    ({}, {"hours.ok"}),
    ({"opens": "20:00", "closes": "08:00"}, {"hours.never"}),
    ({"opens": "08:00", "closes": "08:00"}, {"hours.never"}),
    ({"call_from": "21:00"}, {"hours.calls"}),
    ({"closed_days": ["31.12.2026", "2026-12-31"]}, {"hours.day"}),
])  # fmt: skip
def test_hours(tmp_path: Path, changed: dict[str, Any], ids: set[str]) -> None:
    assert found(module.hours(Settings(var=tmp_path, **changed))).keys() == ids


@pytest.mark.parametrize(("setting", "kind"), [
    ("sip_port", socket.SOCK_DGRAM), ("ami_port", socket.SOCK_STREAM), ("web_port", socket.SOCK_STREAM),
])  # fmt: skip
def test_a_port_that_another_program_holds(settings: Settings, setting: str, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", getattr(settings, setting)))
        if kind is socket.SOCK_STREAM:
            other.listen()
        bad = [remark for remark in module.ports(settings, set()) if remark.level is Level.WRONG]
        assert [(remark.id, remark.details["setting"]) for remark in bad] == [("port.taken", setting)]


def test_a_port_that_the_centre_itself_holds(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.agi_port)):
        remarks = list(module.ports(settings, {"line"}))
    assert [r.details["setting"] for r in remarks if r.id == "port.ours"] == ["agi_port"]
    assert all(r.level is Level.OK for r in remarks)


def test_an_address_that_is_not_this_machines(settings: Settings) -> None:
    away = settings.model_copy(update={"web_bind": "192.0.2.1"})  # reserved for documentation
    assert found(module.ports(away, set()))["port.nowhere"] is Level.WRONG


def test_database(settings: Settings, tmp_path: Path) -> None:
    def with_database(url: str) -> dict[str, Level]:
        return found(module.database(settings.model_copy(update={"database": url})))

    assert found(module.database(settings)) == {"database.ok": Level.OK}
    assert with_database(f"sqlite:///{tmp_path}/none.db") == {"database.absent": Level.WARNING}
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("this is no database, but it is long enough to look like one" * 20)
    assert with_database(f"sqlite:///{tmp_path}/text.db") == {"database.unreachable": Level.WRONG}
    (port,) = free_ports(1)
    assert with_database(f"postgresql://centre:secret@127.0.0.1:{port}/1551") == {"database.unreachable": Level.WRONG}
    assert with_database("mysql://x/y") == {"database.unreachable": Level.WRONG}


def test_an_old_schema(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.store, "is_current", lambda url: False)
    assert found(module.database(settings)) == {"database.behind": Level.WRONG}


def test_the_databases_password_is_not_shown(settings: Settings) -> None:
    (port,) = free_ports(1)
    away = settings.model_copy(update={"database": f"postgresql://centre:hunter2@127.0.0.1:{port}/1551"})
    assert "hunter2" not in "".join(f.text + f.remedy for f in doctor(away, load_secrets(settings)))


@pytest.mark.parametrize("name", ["secrets.json", "settings.toml", "1551.db"])
def test_a_file_that_others_may_read(settings: Settings, name: str) -> None:
    (settings.var / name).touch()
    (settings.var / name).chmod(0o604)
    (remark,) = module.permissions(settings)
    assert (remark.id, remark.level, remark.details["name"]) == ("files.open", Level.WRONG, name)


def test_recordings_that_others_may_hear(settings: Settings) -> None:
    folder = settings.recordings / "ab"
    folder.mkdir(mode=0o700)
    (folder / ("0" * 32 + ".wav")).touch(0o640)
    assert troubles(settings) == {"files.recordings": Level.WRONG}


@pytest.mark.parametrize(("file", "key", "id"), [
    ("good", "key", "certificate.ok"),
    ("expired", "key", "certificate.expired"),
    ("early", "key", "certificate.early"),
    ("good", "other", "certificate.unfit"),
    ("good", "locked", "certificate.unfit"),
    ("key", "key", "certificate.unfit"),
    ("none", "key", "certificate.unfit"),
])  # fmt: skip
def test_certificates(tmp_path: Path, file: str, key: str, id: str) -> None:
    tls = {"tls_certificate": CERTIFICATES / f"{file}.pem", "tls_key": CERTIFICATES / f"{key}.pem"}
    (remark,) = module.certificate(Settings(var=tmp_path).model_copy(update=tls))
    assert (remark.id, remark.level) == (id, Level.OK if id == "certificate.ok" else Level.WRONG)


def test_a_certificate_near_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_BEFORE", timedelta(days=365 * 120))
    tls = {"tls_certificate": CERTIFICATES / "good.pem", "tls_key": CERTIFICATES / "key.pem"}
    (remark,) = module.certificate(Settings(var=tmp_path).model_copy(update=tls))
    assert (remark.id, remark.level, remark.details["until"]) == ("certificate.soon", Level.WARNING, "2126-01-01")


def test_prompts_that_are_not_built(settings: Settings) -> None:
    (settings.prompts / "uk" / "menu.wav").unlink()
    (remark,) = module.prompts(settings)
    assert (remark.id, remark.details["names"]) == ("prompts.missing", "uk/menu")


@pytest.fixture
def line(settings: Settings) -> Iterator[dict[str, Any]]:
    """A line that tells each subscriber what this dictionary holds."""
    word: dict[str, Any] = {}
    settings.line_socket.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(settings.line_socket))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.sendall(word["raw"] if "raw" in word else json.dumps(word).encode() + b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield word
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_trunks_of_a_running_centre(settings: Settings, line: dict[str, Any]) -> None:
    states = {"landline": "ok", "mobile": "down", "x": "unknown", "y": "what?"}
    line["trunks"] = [{"name": name, "state": state, "calls": 0} for name, state in states.items()]
    remarks = [(r.id, r.level, r.details["name"]) for r in module.trunks(settings, running=True)]
    assert remarks == [("trunk.ok", Level.OK, "landline"), ("trunk.down", Level.WRONG, "mobile"),
                       ("trunk.unknown", Level.WARNING, "x"), ("trunk.unknown", Level.WARNING, "y")]  # fmt: skip


@pytest.mark.parametrize("raw", [b"", b"nonsense\n", b"[1]\n", b'{"trunks": [1]}\n', b"\xff\n"])
def test_a_line_that_talks_nonsense(settings: Settings, line: dict[str, Any], raw: bytes) -> None:
    line["raw"] = raw
    assert found(module.trunks(settings, running=True)) == {"line.silent": Level.WARNING}


def test_a_centre_that_nobody_outside_can_call(tmp_path: Path) -> None:
    everywhere = IPv4Address(0)
    assert found(module.trunks(Settings(var=tmp_path, sip_bind=everywhere), running=False)) == {
        "trunk.none": Level.WARNING, "line.off": Level.OK}  # fmt: skip
    reached = Settings(var=tmp_path, sip_bind=everywhere, landline_from=["192.0.2.0/24"])
    assert found(module.trunks(reached, running=False)) == {"line.off": Level.OK}


def test_a_centre_whose_pages_are_opened_elsewhere_and_whose_audio_is_not_reached(tmp_path: Path) -> None:
    city = IPv4Address("192.0.2.1")
    for one in ({"web_bind": city}, {"web_names": ["1551.example.gov.ua"]}):
        assert found(module.audio(Settings(var=tmp_path, **one))) == {"audio.here": Level.WARNING}
        assert found(module.audio(Settings(var=tmp_path, sip_bind=city, external_address="203.0.113.10", **one))) == {}
    nat = Settings(var=tmp_path, sip_bind=IPv4Address(0), external_address="203.0.113.10")
    assert found(module.audio(nat)) == {"audio.nat": Level.WARNING}


def test_a_portal_that_strangers_may_reach_with_no_web_server_before_it(settings: Settings) -> None:
    assert found(module.portal(settings)) == {}
    outside = settings.model_copy(update={"portal_bind": IPv4Address("192.0.2.10")})
    assert found(module.portal(outside)) == {"portal.bare": Level.WARNING}


def test_a_restore_that_was_cut_off(settings: Settings) -> None:
    (settings.var / UNFINISHED).touch()
    assert troubles(settings) == {"restore.unfinished": Level.WRONG}


# ── Twilio ───────────────────────────────────────────────────────────────────────────────────
TWILIO = {"twilio_account": "AC" + "0" * 32, "twilio_token": SecretStr("a token"), "twilio_number": "+380891234567",
          "twilio_sip": "sips:1551@sip.city.example"}  # fmt: skip


def test_twilio_is_off_and_nothing_is_amiss(settings: Settings) -> None:
    found = {finding.id: finding for finding in doctor(settings, load_secrets(settings), "uk")}
    assert found["twilio.off"].level is Level.OK
    assert found["twilio.off"].text.startswith("Twilio вимкнено")


def test_the_portal_that_twilio_calls_is_looked_at(settings: Settings) -> None:
    class Portal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(HTTPStatus.OK if self.path == "/healthz" else HTTPStatus.NOT_FOUND)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Portal) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        up = settings.model_copy(update={**TWILIO, "portal_address": address})
        assert [remark.id for remark in module.twilio(up)] == ["twilio.ok", "twilio.open"]
        server.shutdown()
        serving.join()
    away = settings.model_copy(update={**TWILIO, "portal_address": address, "twilio_sip": ""})
    assert troubles(away) == dict.fromkeys(
        ("twilio.unreachable", "twilio.open", "twilio.no_trunk"), Level.WARNING)  # fmt: skip


# ── the catalogue ────────────────────────────────────────────────────────────────────────────
def sentences(language: str) -> dict[str, str]:
    def flat(prefix: str, table: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for name, value in table.items():
            if isinstance(value, dict):
                yield from flat(f"{prefix}{name}.", value)
            else:
                yield prefix + name, value

    path = Path(texts.__file__).parent / "locale" / f"{language}.toml"
    return dict(flat("", tomllib.loads(path.read_text("utf-8"))))


def test_both_languages_say_the_same_things_with_the_same_places() -> None:
    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    uk, en = sentences("uk"), sentences("en")
    assert uk.keys() == en.keys()
    assert {key: places(text) for key, text in uk.items()} == {key: places(text) for key, text in en.items()}


def test_every_error_of_a_backup_has_its_sentence() -> None:
    source = (Path(module.__file__).parent / "backup.py").read_text()
    ids = set(re.findall(r'Error\("([\w.]+)"|BadInput\("([\w.]+)"', source))
    known = sentences("uk")
    assert ids
    for id in {one or other for one, other in ids}:
        assert f"error.{id}" in known
