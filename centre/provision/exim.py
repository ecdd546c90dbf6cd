"""How an unpacked Exim is started: it first asks for its own user, whom this machine does not have."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from .work import ProvisionError, write_whole

OWN_USER = "Debian-exim"  # that Debian's Exim was built for
NOBODY = 65534

# Whoever starts it may name other lists of users and groups.
SCRIPT = """#!/bin/sh
export NSS_WRAPPER_PASSWD="${{NSS_WRAPPER_PASSWD:-{users}}}" NSS_WRAPPER_GROUP="${{NSS_WRAPPER_GROUP:-{groups}}}"
exec {command} "$@"
"""


def launcher(prefix: Path, words: Sequence[str]) -> Path:
    """One file that starts Exim on a machine where its user and group are known.

    Args:
        prefix: where it is unpacked.
        words: loader, options of the loader, program.

    Raises:
        ProvisionError: what makes them known was not unpacked with it.
    """
    loader, *rest = words
    known = next(prefix.glob("lib/*-linux-gnu*/libnss_wrapper.so"), None)
    if known is None:
        raise ProvisionError(f"{prefix.parent} lacks libnss-wrapper: remove that folder and run again.")
    script, users, groups = prefix / "exim", prefix / "exim-users", prefix / "exim-groups"
    command = shlex.join([loader, "--preload", str(known), *rest])
    text = SCRIPT.format(users=shlex.quote(str(users)), groups=shlex.quote(str(groups)), command=command)
    if not script.exists() or script.read_text(encoding="utf-8") != text:  # also where the folder was moved
        write_whole(users, user_list({NOBODY: "nobody"}))
        write_whole(groups, group_list({NOBODY}))
        write_whole(script, text, mode=0o755)
    return script


def user_list(known: dict[int, str]) -> str:
    """``/etc/passwd`` of a machine that has Exim's user, root, and who else is ``known``."""
    named = {0: "root", **known}
    return "".join(f"{name}:x:{uid}:{NOBODY}::/:/bin/sh\n" for uid, name in [(NOBODY, OWN_USER), *named.items()])


def group_list(known: set[int]) -> str:
    """The same of ``/etc/group``."""
    return f"{OWN_USER}:x:{NOBODY}:\nroot:x:0:\n" + "".join(f"g{gid}:x:{gid}:\n" for gid in known)
