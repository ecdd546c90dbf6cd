"""What is written to Asterisk over AGI, and how its answers are read. Pure.

Asterisk splits a line of AGI at spaces, and what MSet is given at commas, and undoes quotes and
backslashes both times. So nothing is escaped here: a value that holds any of them, a line's end or a
``$`` is refused, and no value can become another variable, another argument or another command.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from crm.errors import BadInput

LONGEST = 2000  # bytes of a command: Asterisk reads 2048
MOST = 24  # variables that MSet takes; it drops the rest without a word
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}", re.ASCII)
_VALUE = re.compile(r"[A-Za-z0-9_.:@/&+-]*", re.ASCII)
_ANSWER = re.compile(r"([0-9]{3})(?: result=(-?[0-9]{1,10})?(?: .*)?| (?!result=).*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """``code`` 200 is an answer, 100 says that one will come, 5xx refuses. ``result``: None if it has none."""

    code: int
    result: int | None


def set_variables(variables: Mapping[str, str]) -> str:
    """The one command that sets them all on the channel. BadInput "agi.bad_variable" for what cannot
    be written plainly, "agi.too_long" for more than Asterisk takes."""
    for name, value in variables.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise BadInput("agi.bad_variable", variable=name[:64])
    command = 'EXEC MSet "' + ",".join(f"{name}={value}" for name, value in variables.items()) + '"'
    if not variables or len(variables) > MOST or len(command) > LONGEST:
        raise BadInput("agi.too_long")
    return command


def parse_answer(line: str) -> Answer | None:
    """One line of an answer, without its end; None if it is none. "HANGUP" and the lines between
    "520-…" and "520 …" are no answers: the reader knows them."""
    read = _ANSWER.fullmatch(line)
    if read is None:
        return None
    return Answer(int(read[1]), None if read[2] is None else int(read[2]))


def parse_environment(block: bytes) -> dict[str, str]:
    """The variables with which Asterisk opens: "agi_name: value" a line, up to the empty one.

    BadInput "agi.bad_environment" if a line is none, or says something twice: a line's end in some
    text from outside would look like that, and then nothing of it can be believed.
    """
    environment: dict[str, str] = {}
    for line in block.decode("utf-8", "replace").rstrip("\n").split("\n"):
        name, colon, value = line.partition(":")
        if not colon or not name.startswith("agi_") or name in environment:
            raise BadInput("agi.bad_environment")
        environment[name] = value.removeprefix(" ")
    return environment


def arguments(environment: Mapping[str, str]) -> list[str]:
    """What the dialplan passed, in order: agi_arg_1, agi_arg_2, …"""
    found: list[str] = []
    while (value := environment.get(f"agi_arg_{len(found) + 1}")) is not None:
        found.append(value)
    return found
