"""Two machines on one wire, without root: network namespaces that only the kernel knows.

``with wire() as (city, seat)``: each is the beginning of a command line that runs the rest of it on that machine.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

import pytest

CITY, SEAT = "10.15.51.1", "10.15.51.2"


@contextlib.contextmanager
def wire() -> Iterator[tuple[list[str], list[str]]]:
    """Skips where the kernel, or who runs it, does not let ordinary users have namespaces of their own."""
    with contextlib.ExitStack() as machines:
        city, at_city = _machine(machines, ["unshare", "--user", "--map-root-user", "--net"])
        _, at_seat = _machine(machines, [*city, "unshare", "--net"])
        enter = ["nsenter", "--user", "--preserve-credentials", f"--target={at_seat}", "--net"]
        for machine, words in (
            (city, "link set lo up"), (city, "link add wire type veth peer name wire netns {seat}"),
            (city, f"address add {CITY}/24 dev wire"), (city, "link set wire up"), (enter, "link set lo up"),
            (enter, f"address add {SEAT}/24 dev wire"), (enter, "link set wire up"),
        ):  # fmt: skip
            done = subprocess.run([*machine, "ip", *words.format(seat=at_seat).split()], check=False,
                                  capture_output=True, text=True)  # fmt: skip
            if done.returncode:
                pytest.skip(f"no network of its own: ip {words}: {done.stderr.strip()}")
        assert at_city != at_seat
        yield city, enter


def beside(machine: list[str]) -> list[str]:
    """The same for who is on the other machine: he is its user already."""
    return [word for word in machine if word != "--user"]


def _machine(machines: contextlib.ExitStack, make: list[str]) -> tuple[list[str], int]:
    """A namespace that lasts as long as the stack: how to run there, and the process that keeps it."""
    try:
        keeper = subprocess.Popen([*make, "sh", "-c", "echo $$; exec cat"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    except OSError as error:
        pytest.skip(f"no namespaces here: {error}")
    machines.callback(keeper.communicate)  # its input ends, and so does it
    assert keeper.stdout is not None
    assert keeper.stderr is not None
    pid = keeper.stdout.readline().strip()
    if not pid:
        pytest.skip(f"no namespaces here: {keeper.stderr.read().strip()}")
    return ["nsenter", "--user", "--preserve-credentials", "--net", f"--target={pid}"], int(pid)
