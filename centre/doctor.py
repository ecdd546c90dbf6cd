"""`./1551 doctor`: what of this machine, its settings and its secrets would keep the centre from working.

Looks only: starts, fetches and mends nothing. Each check is a function that gives its remarks; their
sentences stand in ``locale/``, and every remark that is not "ok" says what to do.
"""

from __future__ import annotations

import errno
import json
import shutil
import socket
import ssl
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import httpx
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from centre import certificates
from centre.backup import UNFINISHED, running_parts
from centre.post import mailbox_account
from centre.provision import RECIPES
from centre.provision.tools import TOOLS, find, unpacked
from centre.provision.work import ProvisionError
from centre.settings import Secrets, Settings, settings_file
from centre.texts import LANGUAGES, sentence, terminal_language
from crm import store
from intake.facebook.courier import FacebookCourier
from intake.mail.mailbox import trouble
from recordings import files

GIB = 1024**3
FULL, LOW = 1 * GIB, 10 * GIB  # bytes free
SANE_YEARS = range(2026, 2100)
RENEW_BEFORE = timedelta(days=21)
PATIENCE = 3.0  # seconds to wait for what runs on this machine
ESSENTIAL_PROMPTS = ("greeting", "menu", "connecting", "goodbye")


class Level(StrEnum):
    """How bad it is. ``wrong`` makes the exit code 1."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a person reads. ``id`` is stable; ``remedy`` is empty only where all is well."""

    level: Level
    id: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Remark:
    """What a check says: an id of the catalogue, and what fills its sentences."""

    level: Level
    id: str
    details: dict[str, Any]


def ok(id: str, **details: Any) -> Remark:
    return Remark(Level.OK, id, details)


def warning(id: str, **details: Any) -> Remark:
    return Remark(Level.WARNING, id, details)


def wrong(id: str, **details: Any) -> Remark:
    return Remark(Level.WRONG, id, details)


def main(settings: Settings, secrets: Secrets) -> int:
    """Prints what was found; 1 when something is wrong, else 0."""
    language = terminal_language()
    found = doctor(settings, secrets, language)
    for finding in found:
        print(f"[{sentence(f'doctor.{finding.level}', language)}] {finding.text}")
        if finding.remedy:
            print(sentence("doctor.remedy", language, remedy=finding.remedy))
    bad = sum(finding.level is Level.WRONG for finding in found)
    print(sentence("doctor.bad", language, wrong=bad) if bad else sentence("doctor.good", language))
    return 1 if bad else 0


def doctor(settings: Settings, secrets: Secrets, language: str = "en") -> list[Finding]:
    """Everything that was looked at, in the order of the checks.

    ``secrets`` are loaded by the caller, so that they are there, and readable, before their file is looked at.
    """
    running = running_parts(settings)
    return [_finding(remark, language) for remark in (
        *python(sys.version_info[:3]), *disk(settings.var), *clock(datetime.now(UTC)), *hours(settings),
        *ports(settings, {*running, *_web(settings)}), *asterisk(), *database(settings), *permissions(settings),
        *certificate(settings), *audio(settings), *prompts(settings), *trunks(settings, "line" in running),
        *restoring(settings), *portal(settings), *mailbox(settings), *twilio(settings), *facebook(settings),
    )]  # fmt: skip


# ── the checks ───────────────────────────────────────────────────────────────────────────────
def python(version: tuple[int, ...]) -> Iterator[Remark]:
    text = ".".join(map(str, version))
    yield ok("python.ok", version=text) if version >= (3, 11) else wrong("python.old", version=text)


def disk(place: Path) -> Iterator[Remark]:
    while not place.exists():
        place = place.parent
    yield space(shutil.disk_usage(place).free, place)


def space(free: int, place: Path) -> Remark:
    """What ``free`` bytes at ``place`` mean."""
    said = {"free": f"{free / GIB:.1f}", "place": place}
    if free < FULL:
        return wrong("disk.full", **said)
    return warning("disk.low", **said) if free < LOW else ok("disk.ok", **said)


def clock(now: datetime) -> Iterator[Remark]:
    try:
        text = f"{now.astimezone(ZoneInfo('Europe/Kyiv')):%Y-%m-%d %H:%M}"
    except ZoneInfoNotFoundError:
        yield wrong("clock.zone")
        text = f"{now:%Y-%m-%d %H:%M} UTC"
    yield ok("clock.ok", now=text) if now.year in SANE_YEARS else wrong("clock.wrong", now=text)


def hours(settings: Settings) -> Iterator[Remark]:
    """Times are "HH:MM", so that they compare as text."""
    said = {name: getattr(settings, name) for name in ("opens", "closes", "call_from", "call_to")}
    bad = [wrong("hours.day", day=day) for day in settings.closed_days if not _is_date(day)]
    if settings.opens >= settings.closes:
        bad.append(wrong("hours.never", **said))
    if settings.call_from >= settings.call_to:
        bad.append(wrong("hours.calls", **said))
    yield from bad or [ok("hours.ok", **said)]


def ports(settings: Settings, running: set[str]) -> Iterator[Remark]:
    """Args: running: the parts of the centre that answer; their ports are taken by right."""
    sip, web, loopback = str(settings.sip_bind), str(settings.web_bind), "127.0.0.1"
    wanted: list[tuple[str, str, socket.SocketKind, str, int | None]] = [
        ("asterisk", "sip_port", socket.SOCK_DGRAM, sip, settings.sip_port),
        ("asterisk", "sip_tls_port", socket.SOCK_STREAM, sip, settings.sip_tls_port),
        ("asterisk", "ami_port", socket.SOCK_STREAM, loopback, settings.ami_port),
        ("asterisk", "asterisk_http_port", socket.SOCK_STREAM, loopback, settings.asterisk_http_port),
        ("line", "agi_port", socket.SOCK_STREAM, loopback, settings.agi_port),
        ("web", "web_port", socket.SOCK_STREAM, web, settings.web_port),
        ("portal", "portal_port", socket.SOCK_STREAM, str(settings.portal_bind), settings.portal_port),
    ]
    for part, setting, kind, address, port in wanted:
        if port is None:
            continue
        said = {"setting": setting, "address": address, "port": port}
        if part in running:
            yield ok("port.ours", **said)
            continue
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind is socket.SOCK_STREAM:  # as servers do: a connection just closed is in nobody's way
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                reasons = {errno.EACCES: "port.forbidden", errno.EADDRNOTAVAIL: "port.nowhere"}
                yield wrong(reasons.get(error.errno or 0, "port.taken"), **said)
            else:
                yield ok("port.ok", **said)


def asterisk() -> Iterator[Remark]:
    recipe = RECIPES["asterisk"]
    try:
        tool = find(recipe)
        if tool is None and any(TOOLS.glob(f"{recipe.name}-*/unpacked.json")):
            tool = unpacked(recipe)
    except ProvisionError as error:
        yield wrong("asterisk.broken", reason=error)
        return
    yield ok("asterisk.ok", version=tool.version) if tool else warning("asterisk.absent")


def database(settings: Settings) -> Iterator[Remark]:
    url = settings.database_url
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
            yield warning("database.absent")
            return
        revision = store.current(url)
        if store.is_current(url):
            yield ok("database.ok", revision=revision)
        elif revision:
            yield wrong("database.behind", revision=revision)
        else:
            yield warning("database.absent")
    except (SQLAlchemyError, ArgumentError, ValueError) as error:
        yield wrong("database.unreachable", reason=str(getattr(error, "orig", None) or error).strip().splitlines()[0])


def permissions(settings: Settings) -> Iterator[Remark]:
    bad: list[Remark] = []
    private = [settings.var / "secrets.json", settings_file()]
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        private += [Path(f"{url.database}{suffix}") for suffix in ("", "-wal", "-shm")]
    private += sorted(settings.tls.glob("*-key.pem"))
    for path in private:
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            bad.append(wrong("files.open", name=path.name, path=path))
    if settings.recordings.is_dir():
        exposed = files.exposed(settings.recordings, files.listing(settings.recordings)[0])
        if exposed:
            bad.append(wrong("files.recordings", count=len(exposed), name=exposed[0], path=settings.recordings))
    yield from bad or [ok("files.ok")]


def certificate(settings: Settings) -> Iterator[Remark]:
    """The telephones' and the pages'; nothing where there is none."""
    pages, pairs = certificates.served(settings), set()
    if settings.tls_certificate and settings.tls_key:
        pairs.add((settings.tls_certificate, settings.tls_key))
    if pages is not None and (not pages.made or pages.certificate.exists()):
        pairs.add((pages.certificate, pages.key))
    for file, key in sorted(pairs):
        yield _lasting(file, key)
    if pages is not None:
        yield _of_pages(settings, pages)


def _lasting(file: Path, key: Path) -> Remark:
    try:
        until = handshake(file, key)
    except ssl.SSLCertVerificationError as error:
        kind = {9: "early", 10: "expired"}.get(error.verify_code, "unfit")  # X509_V_ERR_CERT_… of OpenSSL
        return wrong(f"certificate.{kind}", file=file, reason=error.verify_message)
    except (OSError, ValueError) as error:
        return wrong("certificate.unfit", file=file, reason=getattr(error, "strerror", None) or error)
    soon = until - datetime.now(UTC) < RENEW_BEFORE
    return (warning if soon else ok)(f"certificate.{'soon' if soon else 'ok'}", file=file, until=f"{until:%Y-%m-%d}")


def _of_pages(settings: Settings, pages: certificates.Served) -> Remark:
    """For whom the pages' certificate is, and by what it is known."""
    try:
        known, names = certificates.fingerprint(pages.trusted), certificates.covered(pages.certificate)
    except (OSError, ValueError):  # told above; one that is to be made is not there yet
        return ok("pages.later", file=pages.trusted)
    asked = settings.web_names or ([] if settings.web_bind.is_unspecified else [str(settings.web_bind)])
    said = {"file": pages.trusted, "fingerprint": known, "names": ", ".join(sorted(names))}
    if missing := [name for name in asked if not certificates.covers(pages.certificate, name)]:
        return warning("pages.names", **said, missing=", ".join(missing))
    return ok("pages.made" if pages.made else "pages.given", **said)


def handshake(file: Path, key: Path) -> datetime:
    """Until when the certificate is valid, after a TLS handshake with it in memory: so it and its key really serve.

    Raises:
        ssl.SSLCertVerificationError: expired, not valid yet, or not a server's.
        OSError, ValueError: it cannot be read, or the key is not its own or has a password.
    """
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(file, key, password=lambda: "")  # never ask at the terminal
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname = False
    asking.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # who signed it is the telephones' question
    asking.load_verify_locations(file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    client = asking.wrap_bio(to_client, to_server)
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    peer = client.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(peer["notAfter"])), UTC)


def audio(settings: Settings) -> Iterator[Remark]:
    """Whether telephones in the pages of other machines are told an address that they reach; nothing where they are."""
    if settings.sip_bind.is_loopback and (settings.web_names or not settings.web_bind.is_loopback):
        yield warning("audio.here", address=settings.sip_bind)
    if settings.sip_bind.is_unspecified and settings.external_address:
        yield warning("audio.nat", address=settings.external_address)


def prompts(settings: Settings) -> Iterator[Remark]:
    missing = [f"{language}/{name}" for language in LANGUAGES for name in ESSENTIAL_PROMPTS
               if not (settings.prompts / language / f"{name}.wav").exists()]  # fmt: skip
    if missing:
        yield warning("prompts.missing", names=", ".join(missing))
    else:
        yield ok("prompts.ok", count=sum(1 for _ in settings.prompts.glob("*/**/*.wav")))


def trunks(settings: Settings, running: bool) -> Iterator[Remark]:
    from_here = all(network.startswith("127.") for network in (*settings.landline_from, *settings.mobile_from))
    if from_here and not settings.sip_bind.is_loopback:
        yield warning("trunk.none", address=settings.sip_bind)
    if not running:
        yield ok("line.off")
        return
    try:
        states = {str(trunk["name"]): str(trunk["state"]) for trunk in _snapshot(settings.line_socket)["trunks"]}
    except (OSError, ValueError, KeyError, TypeError):
        yield warning("line.silent")
        return
    for name, state in states.items():
        known = {"ok": ok, "down": wrong}.get(state, warning)
        yield known(f"trunk.{state if state in ('ok', 'down') else 'unknown'}", name=name)


def restoring(settings: Settings) -> Iterator[Remark]:
    if (settings.var / UNFINISHED).exists():
        yield wrong("restore.unfinished", path=settings.var / UNFINISHED)


def portal(settings: Settings) -> Iterator[Remark]:
    """Whether strangers reach it without a web server before it; nothing where one must be there."""
    if not settings.portal_bind.is_loopback:
        yield warning("portal.bare", address=settings.portal_bind, port=settings.portal_port)


def mailbox(settings: Settings) -> Iterator[Remark]:
    account = mailbox_account(settings)
    if account is None:
        yield ok("mailbox.off")
        return
    said = {"user": account.user, "host": account.host, "folder": account.folder}
    reason = trouble(account, PATIENCE)
    yield wrong("mailbox.unreadable", reason=reason, **said) if reason else ok("mailbox.ok", **said)
    if not settings.smtp_host:
        yield warning("mailbox.mute", **said)


def twilio(settings: Settings) -> Iterator[Remark]:
    if not settings.twilio_account:
        yield ok("twilio.off")
        return
    said = {"number": settings.twilio_number, "address": settings.portal_address}
    reason = _unreachable(settings.portal_address)
    yield warning("twilio.unreachable", reason=reason, **said) if reason else ok("twilio.ok", **said)
    if not settings.portal_address.startswith("https://"):
        yield warning("twilio.open", **said)
    if not settings.twilio_sip:
        yield warning("twilio.no_trunk", **said)


def facebook(settings: Settings) -> Iterator[Remark]:
    if not settings.facebook_page:
        yield ok("facebook.off")
        return
    said = {"page": settings.facebook_page, "address": settings.portal_address}
    courier = FacebookCourier(
        api=settings.facebook_api, page=settings.facebook_page, token=settings.facebook_token.get_secret_value(),
        secret=settings.facebook_secret.get_secret_value(), last_heard=lambda _: None, patience=PATIENCE)  # fmt: skip
    if refused := courier.check():
        yield warning("facebook.refused", reason=refused, **said)
    reason = _unreachable(settings.portal_address)
    yield warning("facebook.unreachable", reason=reason, **said) if reason else ok("facebook.ok", **said)
    if not settings.portal_address.startswith("https://"):
        yield warning("facebook.open", **said)


def _unreachable(address: str) -> str:
    """Why the portal does not answer at its public address; "" if it does."""
    try:
        with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
            status = client.get(f"{address}/healthz").status_code
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__
    return "" if status == httpx.codes.OK else f"HTTP {status}"


# ── how they look ────────────────────────────────────────────────────────────────────────────
def _finding(remark: Remark, language: str) -> Finding:
    text = sentence(f"doctor.{remark.id}.text", language, **remark.details)
    fine = remark.level is Level.OK
    return Finding(remark.level, remark.id, text,
                   "" if fine else sentence(f"doctor.{remark.id}.remedy", language, **remark.details))  # fmt: skip


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _web(settings: Settings) -> set[str]:
    """{"web"} if our pages answer at their address."""
    address, verify = certificates.within(settings)
    try:
        with httpx.Client(verify=verify, timeout=PATIENCE, trust_env=False) as client:
            return {"web"} if client.get(f"{address}/healthz").status_code in (200, 503) else set()
    except httpx.HTTPError:
        return set()


def _snapshot(path: Path) -> Any:
    """The line's first word to whoever listens: how everything is."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(PATIENCE)
        line.connect(str(path))
        with line.makefile("rb") as lines:
            return json.loads(lines.readline())
