"""The certificate that the pages are served with: the city's own, or one that is made here.

Browsers give the microphone to HTTPS alone (and to this very machine), so pages that others can reach are never served
without. Where no certificate is set, one is made, by an authority that is made once and that the city's machines can be
told to trust (``tls/ca.pem``); it is made again before it ends, and when this machine has got another name or address.
"""

from __future__ import annotations

import fcntl
import os
import socket
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from centre.settings import Settings

AUTHORITY_LASTS = timedelta(days=3650)
LASTS = timedelta(days=397)  # browsers refuse what lasts longer
RENEW_BEFORE = timedelta(days=30)
BACKDATED = timedelta(hours=1)  # for clocks that are behind ours
_ADDRESS_OF = 0x8915  # SIOCGIFADDR


@dataclass(frozen=True, slots=True)
class Served:
    """What the pages are served with. ``made``: here. ``trusted``: the file that browsers have to know."""

    certificate: Path
    key: Path
    made: bool
    trusted: Path


def served(settings: Settings) -> Served | None:
    """None where the pages are plain HTTP: to this machine alone, and with no certificate of their own set."""
    if settings.web_certificate and settings.web_key:
        return Served(settings.web_certificate, settings.web_key, False, settings.web_certificate)
    if settings.web_bind.is_loopback:
        return None
    if settings.tls_certificate and settings.tls_key:
        return Served(settings.tls_certificate, settings.tls_key, False, settings.tls_certificate)
    folder = settings.tls
    return Served(folder / "web.pem", folder / "web-key.pem", True, folder / "ca.pem")


def ready(settings: Settings, now: datetime) -> Served | None:
    """``served``, made where that is ours to do and is due. OSError if it cannot be written."""
    its = served(settings)
    if its is not None and its.made and not _is_good(its, names(settings), now):
        _make(its, names(settings), now)
    return its


def names(settings: Settings) -> list[str]:
    """The names and addresses under which the pages are found: those set, those they listen at, this machine's own."""
    addresses = _own_addresses() if settings.web_bind.is_unspecified else [str(settings.web_bind)]
    machine = (socket.gethostname().lower(), "localhost", "127.0.0.1")
    return list(dict.fromkeys((*settings.web_names, *addresses, *machine)))


def where(settings: Settings) -> str:
    """The pages' address as a person types it."""
    scheme = "http" if served(settings) is None else "https"
    return f"{scheme}://{names(settings)[0]}:{settings.web_port}"


def within(settings: Settings) -> tuple[str, ssl.SSLContext | bool]:
    """The pages' address for this machine itself, and how to open it there: whether they are up, nothing else, so that
    nobody asks for whom the certificate is."""
    host = "127.0.0.1" if settings.web_bind.is_unspecified else str(settings.web_bind)
    if served(settings) is None:
        return f"http://{host}:{settings.web_port}", True
    unasked = ssl.create_default_context()
    unasked.check_hostname, unasked.verify_mode = False, ssl.CERT_NONE
    return f"https://{host}:{settings.web_port}", unasked


def fingerprint(file: Path) -> str:
    """SHA-256 of the first certificate in the file, as browsers show it."""
    return _first(file).fingerprint(hashes.SHA256()).hex(":").upper()


def covered(file: Path) -> set[str]:
    """The names and addresses that the first certificate in the file is for; "*.city.ua" as it stands."""
    try:
        its = _first(file).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {*its.get_values_for_type(x509.DNSName), *map(str, its.get_values_for_type(x509.IPAddress))}


def covers(file: Path, name: str) -> bool:
    """Whether the certificate is for this name or address."""
    return bool({name, "*." + name.partition(".")[2]} & covered(file))


# ── making ───────────────────────────────────────────────────────────────────────────────────
def _is_good(its: Served, wanted: Sequence[str], now: datetime) -> bool:
    if not all(path.exists() for path in (its.certificate, its.key, its.trusted)):
        return False
    try:
        first, authority = _first(its.certificate), _first(its.trusted)
        first.verify_directly_issued_by(authority)
    except (ValueError, TypeError):  # another authority's, or no certificate
        return False
    return set(wanted) <= covered(its.certificate) and now < first.not_valid_after_utc - RENEW_BEFORE


def _make(its: Served, wanted: Sequence[str], now: datetime) -> None:
    its.certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority, its_key = _authority(its.trusted, now)
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(now + LASTS, authority.not_valid_after_utc)
    builder = _builder(_name("1551", wanted[0]), authority.subject, key, now, until)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.SubjectAlternativeName([_general(name) for name in wanted]), False),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (_usage(digital_signature=True), True),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(its_key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical)
    made = builder.sign(its_key, hashes.SHA256())
    _write(its.key, _pem_of(key))
    _write(its.certificate, made.public_bytes(serialization.Encoding.PEM) + its.trusted.read_bytes())


def _authority(file: Path, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The one that there is, while it lasts longer than what it is to sign; else a new one."""
    key_file = file.with_name("ca-key.pem")
    if file.exists() and key_file.exists():
        known, key = _first(file), serialization.load_pem_private_key(key_file.read_bytes(), None)
        if isinstance(key, ec.EllipticCurvePrivateKey) and now + RENEW_BEFORE * 2 < known.not_valid_after_utc:
            return known, key
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("1551", f"1551 {socket.gethostname()} {now:%Y-%m-%d}")
    builder = _builder(name, name, key, now, now + AUTHORITY_LASTS)
    for extension in (x509.BasicConstraints(ca=True, path_length=0), _usage(key_cert_sign=True, crl_sign=True)):
        builder = builder.add_extension(extension, critical=True)
    made = builder.sign(key, hashes.SHA256())
    _write(key_file, _pem_of(key))
    _write(file, made.public_bytes(serialization.Encoding.PEM))
    return made, key


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime,
             until: datetime) -> x509.CertificateBuilder:  # fmt: skip
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - BACKDATED).not_valid_after(until)
            .add_extension(identifier, critical=False))  # fmt: skip


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(digital_signature=digital_signature, key_cert_sign=key_cert_sign, crl_sign=crl_sign,
                         content_commitment=False, key_encipherment=False, data_encipherment=False,
                         key_agreement=False, encipher_only=False, decipher_only=False)  # fmt: skip


def _name(organisation: str, common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
                      x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])  # fmt: skip


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())  # fmt: skip


def _write(file: Path, data: bytes) -> None:
    """Whole or not at all, and nobody else's to read."""
    draft = file.with_suffix(f".{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


def _first(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def _own_addresses() -> list[str]:
    """This machine's IPv4 addresses, loopback's last."""
    found: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asking, _ADDRESS_OF, struct.pack("256s", name.encode()[:15]))
            except OSError:  # it has none
                continue
            found.append(socket.inet_ntoa(answer[20:24]))
    return sorted(found, key=lambda address: IPv4Address(address).is_loopback)
