"""Writes down a call for later: an AGI script that Asterisk starts itself, needing no service of ours.

``AGI(spool_call.py,KIND,FOLDER)`` leaves one file ``FOLDER/<time>-<uniqueid>-<KIND>.json``, complete and on the
disk, or none at all. KIND is ``arrived``, ``queued``, ``recording``, ``attempt``, ``answer``, ``join``,
``rating`` or ``ended``.
The object in it has ``kind``, ``at`` (seconds since 1970), ``uniqueid``, ``linkedid`` and, of these, what the call has:

    origin, caller, language, choice, stage (ivr, queue, closed), file (of the recording), attempt, outcome
    (a DIALSTATUS), appeal, key, incident, rating, queue_status, wait_s

Should the caller hang up meanwhile, it has what was known by then. It is copied beside Asterisk with this
environment's Python as its first line, and imports nothing of ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

# The first ones first: they are had when he hangs up, too.
VARIABLES = {
    "linkedid": "CHANNEL(linkedid)", "origin": "ORIGIN", "caller": "CALLER", "language": "CHANNEL(language)",
    "choice": "CHOICE", "stage": "STAGE", "file": "RECORDING", "attempt": "ATTEMPT", "outcome": "OUTCOME",
    "appeal": "APPEAL", "key": "KEY", "incident": "CALL_INCIDENT", "rating": "RATING", "queue_status": "QUEUESTATUS",
}  # fmt: skip


def main() -> None:
    """Reads the call's variables from Asterisk and writes the file. Never fails the call: Asterisk goes on."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a caller who hangs up does not end us; pyst2 listens to it later
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]  # what a stranger may send
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):  # pyst2 writes every command there
        from asterisk.agi import AGI

        agi = AGI(sys.stdin, sys.stdout, nowhere)
        kind, folder = agi.env["agi_arg_1"], agi.env["agi_arg_2"]
        call: dict[str, object] = {"kind": kind, "at": time.time(), "uniqueid": agi.env["agi_uniqueid"]}
        # HANGUP, or silence, in place of an answer: a later one could be taken for another variable's.
        with contextlib.suppress(Exception):
            for name, variable in VARIABLES.items():
                value = agi.get_full_variable(f"${{{variable}}}")
                if value:
                    call[name] = "".join(filter(str.isprintable, value))
    keep(call, Path(folder))


def keep(call: dict[str, object], folder: Path) -> None:
    """Writes the file so that it survives whatever comes next. OSError if it cannot, and nothing is left then."""
    name = f"{call['at']:.6f}-{call['uniqueid']}-{call['kind']}.json"
    draft = folder / f".{name}.{os.getpid()}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        try:
            json.dump(call, file)
            file.flush()
            os.fsync(file.fileno())
            draft.rename(folder / name)
        except BaseException:
            draft.unlink()
            raise
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


if __name__ == "__main__":
    main()
