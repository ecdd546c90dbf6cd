"""Every setting of the centre, validated once, at the start.

Read from the environment (``CENTRE_SIP_PORT=5070``) and from one TOML file (``var/settings.toml``,
or the one that ``CENTRE_SETTINGS`` names), the environment first. Secrets are not settings: they
are generated into ``var/secrets.json`` (0600) and never have a default.
"""

from __future__ import annotations

import json
import os
import re
import secrets as random
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from call_queue import order, surge_rules
from call_queue.surge_rules import Sign
from crm import outgoing, promise_rules
from crm.calls import Priority
from crm.clock import minutes
from crm.confirmation_rules import Rules
from crm.rates import Limits
from crm.telling import Way

ROOT = Path(__file__).resolve().parent.parent


def _network(value: str) -> str:
    return str(ip_network(value, strict=False))


def _plain_path(value: Path) -> Path:
    """Paths go into Asterisk's files: nothing there that those files would read otherwise."""
    if not re.fullmatch(r"[\w./ +@-]+", str(value)) or ";" in str(value):
        raise ValueError(f"{value}: use a path of letters, digits and . _ - + @ / only")
    return value


def _rising(value: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= value[0] <= value[1]:
        raise ValueError(f"{value}: give two numbers, the lower one first")
    return value


Port = Annotated[int, Field(ge=1, le=65535)]
Bounds = Annotated[tuple[float, float], AfterValidator(_rising)]
Network = Annotated[str, AfterValidator(_network)]
PlainPath = Annotated[Path, AfterValidator(_plain_path)]
Digits = Annotated[str, Field(pattern=r"^\d{2,15}$")]
SipHost = Annotated[str, Field(pattern=r"^[A-Za-z0-9.\-]+(:\d{1,5})?$")]
PublicAddress = Annotated[str, Field(pattern=r"^(https?://[A-Za-z0-9.\-]+(:\d{1,5})?)?$")]
HostName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.\-]*[a-z0-9])?$", max_length=253)]
ClockTime = Annotated[str, Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")]


class Settings(BaseSettings):
    """All of it. Times in seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="CENTRE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    var: PlainPath = ROOT / "var"
    database: str = ""  # an SQLAlchemy URL; empty is SQLite under var

    # ── telephony: where Asterisk listens, and who it listens to ──
    sip_bind: IPv4Address = IPv4Address("127.0.0.1")
    sip_port: Port = 5060
    sip_tls_port: Port | None = None  # with tls_certificate and tls_key
    srtp: bool = False  # asked of seats
    tls_certificate: PlainPath | None = None
    tls_key: PlainPath | None = None
    external_address: str = ""  # behind NAT: what Asterisk writes into SDP
    rtp_from: Port = 16384
    rtp_to: Port = 18383
    landline_from: list[Network] = ["127.0.0.1/32"]
    mobile_from: list[Network] = ["127.0.0.2/32"]
    landline_host: SipHost = "127.0.0.1:5080"  # where calls out go
    mobile_host: SipHost = "127.0.0.2:5080"
    trunk_qualify: int = Field(default=15, ge=5, le=3600)  # how often trunks are asked whether they are there
    seat_qualify: int = Field(default=0, ge=0, le=600)  # ask desk phones whether they are there; 0: do not
    seat_networks: list[Network] = ["127.0.0.0/8"]  # from where a seat may register
    short_number: Digits = "1551"
    numbers: list[Digits] = ["1551", "0441551", "380441551"]  # the ways trunks may write it
    seat_first: int = Field(default=101, ge=100, le=9000)
    seat_count: int = Field(default=20, ge=1, le=400)
    ami_port: Port = 5038
    agi_port: Port = 4573
    asterisk_http_port: Port = 8088
    browsers_from: ClassVar[str] = "127.0.0.51"  # from where the web brings browsers' SIP; no trunk's, no telephone's

    # ── the service ──
    opens: ClockTime = "00:00"
    closes: ClockTime = "24:00"
    closed_days: list[str] = []  # "2026-12-31", on top of the calendar
    ring_timeout: int = Field(default=15, ge=5, le=60)
    wrap_up: int = Field(default=10, ge=0, le=600)
    queue_timeout: int = Field(default=1800, ge=60)
    agi_timeout: int = Field(default=3, ge=1, le=10)  # how long a caller may wait for us, silently
    service_level: int = Field(default=20, ge=5)
    rate_calls: bool = True  # a caller who is still there after the conversation is asked how it was
    listening_is_shown: bool = True  # to the operator whom a supervisor hears

    # ── confirmation callbacks ──
    call_from: ClockTime = "09:00"
    call_to: ClockTime = "20:00"
    callback_tries: int = Field(default=4, ge=1, le=20)
    callback_retry: int = Field(default=7200, ge=1)  # after no answer; busy waits a quarter of it
    callback_first: int = Field(default=0, ge=0)  # from the department's report to the first call
    callback_ring: int = Field(default=40, ge=10, le=120)
    callback_hourly_cap: int = Field(default=400, ge=1)
    callback_prefixes: list[Annotated[str, Field(pattern=r"^\+\d{1,14}$")]] = ["+380"]
    callback_inbound_wait: int = Field(default=60, ge=0)  # no callbacks while somebody waits longer
    callback_lines: int = Field(default=4, ge=1)  # automatic ones at a time

    # ── a callback instead of waiting ──
    promise_after: int = Field(default=60, ge=0)  # offered to who has waited so long
    promise_left: int = Field(default=90, ge=0)  # and will wait that long still
    promise_again: int = Field(default=240, ge=10)  # offered again to who did not take it
    promise_abandoned: int = Field(default=10, ge=0)  # who gave up after so long is called back; 0: nobody is
    promise_from: ClockTime = "08:00"
    promise_to: ClockTime = "21:00"
    promise_tries: int = Field(default=3, ge=1, le=10)
    promise_retry: int = Field(default=300, ge=1)  # between two tries
    promise_valid: int = Field(default=86400, ge=600)  # then it is over, and he is told
    promise_ring: int = Field(default=30, ge=5, le=120)
    promise_lines: int = Field(default=10, ge=1)  # that ring at a time
    promise_hourly_cap: int = Field(default=1200, ge=1)

    # ── who is next: by so many seconds his turn comes before that of one who came with him ──
    turn_emergency: int = Field(default=3600, ge=0, le=86400)
    turn_privileged: int = Field(default=180, ge=0, le=86400)  # by the law
    turn_promised: int = Field(default=60, ge=0, le=86400)  # whom we have called back

    # ── a surge: its end is proposed when all three are below the first number, it itself above a second ──
    surge_arrivals: Bounds = (0.9, 1.3)  # callers, against what the seats can take
    surge_longest: Bounds = (60.0, 300.0)  # seconds that somebody waits
    surge_abandoned: Bounds = (0.08, 0.25)  # the share of those who gave up

    # ── whom a seat may call besides ──
    emergency_numbers: list[Annotated[str, Field(pattern=r"^\d{2,5}$")]] = ["101", "102", "103", "104", "112"]
    dial_hourly_cap: int = Field(default=400, ge=1)  # the directory's and callers who were cut off

    # ── mail: notices to departments, officials and applicants; with no host nothing is sent ──
    smtp_host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\-]*$")] = ""
    smtp_port: Port = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    mail_from: Annotated[str, Field(pattern=r"^([\w.+\-]+@[A-Za-z0-9.\-]+)?$")] = ""
    mail_digest: int = Field(default=900, ge=0, le=86400)  # what a department is told is gathered for so long

    # ── letters that come in; with no host none are fetched ──
    imap_host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\-]*$")] = ""
    imap_port: Port = 993
    imap_security: Literal["tls", "starttls", "none"] = "tls"
    imap_user: str = ""
    imap_password: SecretStr = SecretStr("")
    imap_folder: str = "INBOX"

    # ── SMS, and voice where the short number cannot be dialled, by Twilio; with no account it is off ──
    twilio_account: Annotated[str, Field(pattern=r"^(AC[0-9a-f]{32})?$")] = ""
    twilio_token: SecretStr = SecretStr("")
    twilio_number: Annotated[str, Field(pattern=r"^(\+\d{5,15})?$")] = ""  # that SMS come from, and voice goes to
    twilio_sip: Annotated[str, Field(pattern=r"^(sips?:[A-Za-z0-9.:;=@\-]+)?$")] = ""  # our trunk, as Twilio dials it
    twilio_api: PublicAddress = "https://api.twilio.com"

    # ── messages to the city's page on Facebook; with no page it is off ──
    facebook_page: Annotated[str, Field(pattern=r"^\d*$")] = ""
    facebook_token: SecretStr = SecretStr("")  # the page's access token
    facebook_secret: SecretStr = SecretStr("")  # the app's, by which its webhooks are signed
    facebook_verify: SecretStr = SecretStr("")  # a word of ours, by which the webhook's address is verified
    facebook_api: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.:/\-]+$")] = "https://graph.facebook.com/v25.0"

    # ── how residents are told ──
    tell_from: ClockTime = "09:00"  # SMS and Facebook; a letter wakes nobody
    tell_to: ClockTime = "20:00"
    written_days: int = Field(default=14, ge=1, le=60)  # how long we wait for a word that was asked for in writing

    # ── the portal: residents' pages, Open311 and the API, and what other services call ──
    portal_bind: IPv4Address = IPv4Address("127.0.0.1")
    portal_port: Port = 1552
    portal_address: PublicAddress = ""  # as residents reach it: "https://1551.city.ua"
    file_hourly: int = Field(default=20, ge=1)  # appeals from one address; more are looked at by a person first
    file_daily: int = Field(default=10, ge=1)  # from one telephone or e-mail address
    file_sms_daily: int = Field(default=1000, ge=0)  # from all together, that may be told of by SMS

    # ── webhooks out, to departments' own systems ──
    webhook_private: bool = False  # addresses within the city's own networks, and plain HTTP, may be told too

    # ── web and records ──
    web_bind: IPv4Address = IPv4Address("127.0.0.1")
    web_port: Port = 1551
    web_certificate: PlainPath | None = None  # with web_key; with neither see centre.certificates
    web_key: PlainPath | None = None
    web_names: list[HostName] = []  # under which people open the pages: "1551.city.ua"; the first one is told
    session_hours: int = Field(default=12, ge=1, le=48)
    session_idle_minutes: int = Field(default=120, ge=0, le=2880)  # unused for so long, and not at a seat; 0: never
    require_totp: bool = True  # a second factor of those who see much; the others may have one
    recording_days: int = Field(default=180, ge=1)
    dial_out: Literal["both", "landline"] = "landline"  # which trunks calls out may take

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.rtp_to - self.rtp_from < 20:
            raise ValueError("rtp_to must be at least 20 above rtp_from")
        if (self.sip_tls_port or self.srtp) and not (self.tls_certificate and self.tls_key):
            raise ValueError("sip_tls_port and srtp need tls_certificate and tls_key")
        if not self.portal_bind.is_loopback and not self.web_certificate:
            raise ValueError("portal_bind is reached from outside: it needs web_certificate and web_key, or a web "
                             "server on this machine before it")
        if bool(self.web_certificate) != bool(self.web_key):
            raise ValueError("web_certificate and web_key go together")
        if set(self.landline_from) & set(self.mobile_from):
            raise ValueError("landline_from and mobile_from share a network: a call could not be told apart")
        if self.smtp_host and not self.mail_from:
            raise ValueError("smtp_host needs mail_from: the address that letters come from")
        if self.imap_host and not self.imap_user:
            raise ValueError("imap_host needs imap_user and imap_password: whose letters are fetched")
        if self.imap_host and self.imap_security == "none" and self.imap_host not in ("127.0.0.1", "localhost"):
            raise ValueError("imap_security none is for a server on this machine: a password is not sent in the open")
        if self.twilio_account and not (self.twilio_token.get_secret_value() and self.twilio_number):
            raise ValueError("twilio_account needs twilio_token and twilio_number")
        if self.facebook_page and not all(each.get_secret_value() for each in (
                self.facebook_token, self.facebook_secret, self.facebook_verify)):  # fmt: skip
            raise ValueError("facebook_page needs facebook_token, facebook_secret and facebook_verify")
        if (self.twilio_account or self.facebook_page) and not self.portal_address:
            raise ValueError("twilio_account and facebook_page need portal_address: where those services call us")
        if self.smtp_user and self.smtp_security == "none":
            raise ValueError("smtp_user needs smtp_security: a password is not sent in the open")
        return self

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the code gives, then the environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, settings_file())

    # ── derived ──
    @property
    def ways(self) -> frozenset[Way]:
        """By which ways residents are told; where there is none, by a person."""
        served = {Way.EMAIL: self.smtp_host, Way.SMS: self.twilio_account, Way.FACEBOOK: self.facebook_page}
        return frozenset(way for way, serves in served.items() if serves)

    @property
    def portal_url(self) -> str:
        """Where residents find the portal, without a stroke at the end."""
        return self.portal_address or f"http://{self.portal_bind}:{self.portal_port}"

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.var / '1551.db'}"

    @property
    def callback_rules(self) -> Rules:
        """The settings of confirmation callbacks, as the rules take them."""
        return Rules(tries=self.callback_tries, retry_s=self.callback_retry, first_s=self.callback_first,
                     ring_s=self.callback_ring, call_from=minutes(self.call_from), call_to=minutes(self.call_to),
                     hourly_cap=self.callback_hourly_cap, inbound_wait_s=self.callback_inbound_wait,
                     lines=self.callback_lines, prefixes=tuple(self.callback_prefixes))  # fmt: skip

    @property
    def promise_rules(self) -> promise_rules.Rules:
        """The settings of promised callbacks, as the rules take them."""
        return promise_rules.Rules(
            after_s=self.promise_after, left_s=self.promise_left, again_s=self.promise_again,
            abandoned_s=self.promise_abandoned, call_from=minutes(self.promise_from), call_to=minutes(self.promise_to),
            tries=self.promise_tries, retry_s=self.promise_retry, valid_s=self.promise_valid, ring_s=self.promise_ring,
            lines=self.promise_lines, hourly_cap=self.promise_hourly_cap)  # fmt: skip

    @property
    def filing_limits(self) -> Limits:
        """How many a person may file by the portal and the API."""
        return Limits(self.file_hourly, self.file_daily, self.file_sms_daily)

    @property
    def turns(self) -> order.Rules:
        """Who is next, as the rules take it."""
        return order.Rules(promised_s=self.turn_promised, head_start_s={
            Priority.EMERGENCY: self.turn_emergency, Priority.PRIVILEGED: self.turn_privileged,
            Priority.ORDINARY: 0})  # fmt: skip

    @property
    def surge_rules(self) -> surge_rules.Rules:
        """When a surge is proposed, as the rules take it."""
        return surge_rules.Rules(bounds={
            Sign.ARRIVALS: self.surge_arrivals, Sign.LONGEST: self.surge_longest,
            Sign.ABANDONED: self.surge_abandoned})  # fmt: skip

    @property
    def dial_rules(self) -> outgoing.Rules:
        """Whom a seat may call, as the rule takes it."""
        return outgoing.Rules(tuple(self.emergency_numbers), tuple(self.callback_prefixes), self.dial_hourly_cap)

    @property
    def seats(self) -> list[str]:
        """The seats' numbers: "101", "102", …"""
        return [str(self.seat_first + i) for i in range(self.seat_count)]

    @property
    def asterisk(self) -> Path:
        """Asterisk's own folder: etc, run, spool, log, db."""
        return self.var / "asterisk"

    @property
    def spool(self) -> Path:
        """Where the AGI script that needs no service of ours leaves calls."""
        return self.var / "spool"

    @property
    def recordings(self) -> Path:
        return self.var / "recordings"

    @property
    def tls(self) -> Path:
        """Where certificates that are made here lie, and the authority that signs them."""
        return self.var / "tls"

    @property
    def attachments(self) -> Path:
        """Photos and documents, each under its SHA-256 (``crm.attachments``)."""
        return self.var / "attachments"

    @property
    def prompts(self) -> Path:
        """Built sounds: <prompts>/<language>/<name>.{wav,wav16,alaw}."""
        return self.var / "prompts"

    @property
    def line_socket(self) -> Path:
        """Where the line tells the web what happens."""
        return self.var / "run" / "line.sock"


class Seat(BaseModel):
    """How a seat's two telephones sign in. The names are unguessable, so that no caller ID can equal one; the browser's
    has no lasting secret, but a new one when its page asks (``call_queue.browsers``)."""

    number: str
    sip_user: str
    sip_secret: str

    @property
    def interface(self) -> str:
        """What Asterisk calls it: PJSIP/<sip_user>."""
        return f"PJSIP/{self.sip_user}"

    @property
    def browser_user(self) -> str:
        return f"{self.sip_user}-b"

    @property
    def browser_interface(self) -> str:
        return f"PJSIP/{self.browser_user}"


class Secrets(BaseModel):
    """Generated once, kept 0600: AMI's and ARI's passwords, the seats' SIP names and passwords."""

    ami_line: str
    ami_originate: str
    ari: str
    web: str
    seats: dict[str, Seat]

    def seat_of(self, sip_user: str) -> Seat | None:
        """Whose telephone, the desk's or the browser's, is called so."""
        return next((seat for seat in self.seats.values() if sip_user in (seat.sip_user, seat.browser_user)), None)


def load(**overrides: Any) -> Settings:
    """The validated settings; SystemExit with one sentence for each bad one."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = (f"  {'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors())
        raise SystemExit("Settings are wrong; mend them in the environment (CENTRE_…) or in "
                         f"{settings_file()}:\n" + "\n".join(lines)) from None


def load_secrets(settings: Settings) -> Secrets:
    """The centre's secrets, generated where they are missing (a new seat gets its own)."""
    path = settings.var / "secrets.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    seats = dict(known.get("seats", {}))
    for number in settings.seats:
        if number not in seats:
            seats[number] = {"number": number, "sip_user": f"seat{number}-{random.token_hex(3)}",
                             "sip_secret": random.token_urlsafe(18)}  # fmt: skip
    complete = {name: known.get(name) or random.token_urlsafe(24)
                for name in ("ami_line", "ami_originate", "ari", "web")}  # fmt: skip
    complete["seats"] = seats
    if complete != known:
        settings.var.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(complete, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    return Secrets.model_validate(complete)


def settings_file() -> Path:
    return Path(os.environ.get("CENTRE_SETTINGS") or ROOT / "var" / "settings.toml")
