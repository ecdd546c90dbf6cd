"""Real mail servers on this machine's loopback: Exim takes letters by SMTP, Dovecot keeps them and gives them by IMAP.

Whoever has a mailbox here gets letters for it; for any other address of the same domains Exim sends the letter back, as
mail servers do. Everything lies in a folder that is gone at the end. For tests and the demo: whoever is on this machine
may hand in letters.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shlex
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from imapclient import IMAPClient  # type: ignore[import-untyped]

from centre.phones.sip import free_port
from centre.provision import ensure
from centre.provision.exim import group_list, user_list

LOOPBACK = "127.0.0.1"
PATIENCE_S = 30.0
LARGEST = "64M"  # of a letter
LIBRARY = "libdovecot.so.0"

# dovecot.org: settings of 2.4. As any user it needs no other one, and no root directory of its own.
DOVECOT = """dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
base_dir = {home}/run
state_dir = {home}/run
libexec_dir = {libexec}
log_path = {home}/dovecot.log
protocols = imap lmtp
listen = {loopback}
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 0
mail_home = {home}/mail/%{{user}}
mail_driver = maildir
mail_path = ~/Maildir
mailbox_list_layout = fs
auth_allow_cleartext = yes
auth_failure_delay = 0
{idle}
namespace inbox {{
  inbox = yes
  separator = /
}}
passdb passwd-file {{
  passwd_file_path = {home}/mailboxes
}}
userdb passwd-file {{
  passwd_file_path = {home}/mailboxes
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
{tls}
"""
EXIM = """exim_path = {program}
exim_user = {uid}
exim_group = {gid}
never_users =
deliver_drop_privilege
spool_directory = {home}/spool
log_file_path = {home}/exim-%slog
pid_file_path = {home}/exim.pid
primary_hostname = {host}
keep_environment =
local_interfaces = {loopback}
daemon_smtp_ports = {smtp}
message_size_limit = {largest}
acl_smtp_rcpt = rcpt
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =

begin acl
rcpt:
  accept domains = {domains}
  deny message = no such domain here

begin routers
here:
  driver = accept
  transport = dovecot

begin transports
dovecot:
  driver = smtp
  protocol = lmtp
  hosts = {loopback}
  port = {lmtp}
  allow_localhost
  hosts_override

begin retry
* * F,1h,5s
"""


class MailServers:
    """``with MailServers(["1551@city.test", …]) as mail``: ``mail.imap_port`` and ``mail.smtp_port``; each mailbox's
    user is its address, and all have ``mail.password``. ``imaps_port`` where there is a ``certificate`` (it and its
    key)."""

    password = "a-password-of-loopback"  # noqa: S105  # mailboxes of tests

    def __init__(self, mailboxes: Sequence[str], *, certificate: tuple[Path, Path] | None = None) -> None:
        """Raises: ProvisionError where there are no such programs."""
        self._exim, self._tool = ensure("exim"), ensure("dovecot")
        self.mailboxes, self._certificate = list(mailboxes), certificate
        self.imap_port, self.imaps_port, self.smtp_port, self._lmtp_port = (
            free_port(LOOPBACK, socket.SOCK_STREAM) for _ in range(4))
        self.home = Path(tempfile.mkdtemp(prefix="1551-mail-"))  # short: a socket's path has 107 bytes
        self.home.chmod(0o755)
        # Dovecot's login and Exim do not run as root.
        nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._uid, self._gid = (nobody.pw_uid, nobody.pw_gid) if nobody else (os.geteuid(), os.getegid())
        self._as: dict[str, Any] = {"user": self._uid, "group": self._gid, "extra_groups": []} if nobody else {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            self._configure()
            self.start_imap()
            self._start("exim", [str(self.home / "exim"), "-C", str(self.home / "exim.conf"), "-bdf", "-q5s"])
            self._greeted(self.smtp_port, b"220")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        self.close()

    def close(self) -> None:
        for name in list(self._running):
            self._stop(name)
        shutil.rmtree(self.home, ignore_errors=True)

    # ── what one does with them ──
    def hand_in(self, letter: Message | bytes, to: Sequence[str], sender: str = "") -> None:
        """By SMTP, as a mail program does; ``sender``: of the envelope, its "From" by default."""
        with smtplib.SMTP(LOOPBACK, self.smtp_port, timeout=PATIENCE_S) as server:
            if isinstance(letter, bytes):
                server.sendmail(sender, list(to), letter)
            else:
                server.send_message(letter, sender or None, list(to))

    def open(self, mailbox: str, folder: str = "INBOX") -> IMAPClient:
        """The mailbox as its owner sees it."""
        client = IMAPClient(LOOPBACK, self.imap_port, ssl=False, timeout=PATIENCE_S)
        client.login(mailbox, self.password)
        client.select_folder(folder)
        return client

    def letters(self, mailbox: str, folder: str = "INBOX") -> list[bytes]:
        """What lies there, oldest first."""
        with self.open(mailbox, folder) as client:
            found = client.fetch(client.search(), ["BODY.PEEK[]"])
        return [found[uid][b"BODY[]"] for uid in sorted(found)]

    def wait_for(self, mailbox: str, wanted: Callable[[list[bytes]], bool]) -> list[bytes]:
        """The mailbox's letters, once they are as ``wanted``. TimeoutError if they never are."""
        until = time.monotonic() + PATIENCE_S
        while not wanted(found := self.letters(mailbox)):
            if time.monotonic() > until:
                raise TimeoutError(f"{mailbox} has {len(found)} letters\n{self.log()}")
            time.sleep(0.1)
        return found

    def log(self) -> str:
        """What the servers say of themselves."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.home.glob("*log")))

    def stop_imap(self) -> None:
        self._stop("dovecot")

    def start_imap(self, *, idle: bool = True) -> None:
        """``idle``: whether it tells of new letters by itself."""
        conf = self.home / "dovecot.conf"
        conf.write_text(DOVECOT.format(**self._values, idle="" if idle else "imap_capability {\n  IDLE = no\n}"))
        # Dovecot would start doveconf where Debian installs it: so doveconf is what starts Dovecot.
        self._start("dovecot", [*self._doveconf, "-F", "-c", str(conf), *self._dovecot, "-F", "-c", str(conf)])
        self._greeted(self.imap_port, b"* OK")
        self._greeted(self._lmtp_port, b"220")

    # ── how they are started ──
    def _configure(self) -> None:
        for name in ("run", "mail", "spool", "libexec", "lib"):
            (self.home / name).mkdir()
        domains = sorted({address.rpartition("@")[2] for address in self.mailboxes})
        self._prepare_dovecot()
        self._values = {
            "home": self.home, "loopback": LOOPBACK, "largest": LARGEST, "uid": self._uid, "gid": self._gid,
            "user": pwd.getpwuid(self._uid).pw_name, "group": grp.getgrgid(self._gid).gr_name,
            "imap": self.imap_port, "imaps": self.imaps_port if self._certificate else 0, "smtp": self.smtp_port,
            "lmtp": self._lmtp_port, "libexec": self._libexec, "program": self._own_exim(), "tls": self._tls(),
            "domains": " : ".join(domains), "host": f"mail.{domains[0]}"}  # fmt: skip
        (self.home / "exim.conf").write_text(EXIM.format(**self._values))
        (self.home / "mailboxes").write_text("".join(
            f"{address}:{{PLAIN}}{self.password}:{self._uid}:{self._gid}::\n" for address in self.mailboxes))
        if self._as:
            for path in (self.home, *self.home.rglob("*")):
                os.chown(path, self._uid, self._gid, follow_symlinks=False)

    def _own_exim(self) -> Path:
        """What starts it, and what it starts for each letter: whoever runs it is known to it."""
        script, users, groups = self.home / "exim", self.home / "users", self.home / "groups"
        users.write_text(user_list({self._uid: "mail"}))
        groups.write_text(group_list({self._gid}))
        _script(script, self._exim.argv(), NSS_WRAPPER_PASSWD=users, NSS_WRAPPER_GROUP=groups)
        return script

    def _prepare_dovecot(self) -> None:
        """Each of its programs starts others by their files. Those of an unpacked one are started by its own loader;
        and its library looks for modules where Debian installs them, so that a copy of it is told to look where all
        its processes stand."""
        tool = self._tool
        self._libexec = tool.directories["libexec"]
        words = list(tool.prefix)
        if len(words) > 1:
            at = words.index("--library-path") + 1
            words[at] = f"{self.home / 'lib'}:{words[at]}"
            for program in self._libexec.iterdir():
                if program.is_file() and ".so" not in program.name:
                    _script(self.home / "libexec" / program.name, [*words[:-1], str(program)])
            (self.home / "lib" / LIBRARY).write_bytes(_looking_here((self._libexec / LIBRARY).read_bytes()))
            (self.home / "run" / "modules").symlink_to(self._libexec / "modules")
            self._libexec = self.home / "libexec"
        self._dovecot, self._doveconf = words, [*words[:-1], str(tool.directories["bin"] / "doveconf")]

    def _tls(self) -> str:
        if self._certificate is None:
            return "ssl = no"
        copies = [self.home / f"tls-{number}.pem" for number in range(2)]
        for copy, source in zip(copies, self._certificate, strict=True):
            copy.write_bytes(source.read_bytes())
        return f"ssl = yes\nssl_server_cert_file = {copies[0]}\nssl_server_key_file = {copies[1]}"

    def _start(self, name: str, argv: Sequence[str]) -> None:
        with (self.home / f"{name}-output.log").open("ab") as output:
            self._running[name] = subprocess.Popen(argv, cwd=self.home, stdin=subprocess.DEVNULL, stdout=output,
                                                   stderr=output, start_new_session=True, **self._as)  # fmt: skip

    def _stop(self, name: str) -> None:
        """With all that it has started."""
        process = self._running.pop(name)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _greeted(self, port: int, greeting: bytes) -> None:
        """Until the server says what it says first."""
        until = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), PATIENCE_S) as probe:
                if probe.recv(200).startswith(greeting):
                    return
            gone = [name for name, process in self._running.items() if process.poll() is not None]
            if gone or time.monotonic() > until:
                raise RuntimeError(f"{', '.join(gone) or port} does not answer\n{self.log()}")
            time.sleep(0.05)


def _script(path: Path, argv: Sequence[str], **environment: object) -> None:
    said = "".join(f"export {name}={shlex.quote(str(value))}\n" for name, value in environment.items())
    path.write_text(f'#!/bin/sh\n{said}exec {shlex.join(argv)} "$@"\n')
    path.chmod(0o755)


def _looking_here(library: bytes) -> bytes:
    """The library, with its folder of modules relative to where a process stands."""
    installed = b"/usr/lib/dovecot/modules\0"
    return library.replace(installed, b"modules".ljust(len(installed), b"\0"))
