"""Writes down a call for later: an AGI script that Asterisk starts itself, needing no service of ours.

``AGI(spool_call.py,KIND,FOLDER)`` leaves one file ``FOLDER/<time>-<uniqueid>-<KIND>.json``, complete and on the
disk, or none at all. KIND is ``arrived``, ``queued``, ``recording``, ``attempt``, ``answer`` or ``ended``. The object in it has
``kind``, ``at`` (seconds since 1970), ``linkedid``, ``uniqueid`` and, of these, what the call has:

    origin, caller, language, choice, stage (ivr, queue, closed), file (of the recording), attempt, outcome
    (a DIALSTATUS), appeal, key, queue_status, wait_s

It is copied beside Asterisk with this environment's Python as its first line, and imports nothing of ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time

VARIABLES = {
    "origin": "ORIGIN", "caller": "CALLER", "language": "CHANNEL(language)", "choice": "CHOICE", "stage": "STAGE",
    "file": "RECORDING", "attempt": "ATTEMPT", "outcome": "OUTCOME", "appeal": "APPEAL", "key": "KEY",
    "queue_status": "QUEUESTATUS", "linkedid": "CHANNEL(linkedid)",
}  # fmt: skip


def main() -> None:
    """Reads the call's variables from Asterisk and writes the file. Never fails the call: Asterisk goes on."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # pyst2 writes every command there
        from asterisk.agi import AGI

        agi = AGI()
        kind, folder = agi.env["agi_arg_1"], agi.env["agi_arg_2"]
        call = {"kind": kind, "at": time.time(), "uniqueid": agi.env["agi_uniqueid"]}
        for name, variable in VARIABLES.items():
            # A caller who hangs up meanwhile ends AGI; what is known by then is still written.
            with contextlib.suppress(Exception):
                value = agi.get_full_variable("${%s}" % variable)
                if value:
                    call[name] = value
    keep(call, folder)


def keep(call: dict[str, object], folder: str) -> None:
    """Writes the file so that it survives whatever comes next."""
    name = f"{call['at']:.6f}-{call['uniqueid']}-{call['kind']}.json"
    draft = os.path.join(folder, f".{name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(call, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    os.rename(draft, os.path.join(folder, name))
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


if __name__ == "__main__":
    sys.exit(main())
