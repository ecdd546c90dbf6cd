"""What carries a notice to a resident, and the one shape that all of them have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from crm.notices import Way


@dataclass(frozen=True, slots=True)
class Heading:
    """What a letter has besides its text. ``name``: whom it is for; ``sender``: whom from. ``ref``: its own name, of
    which its Message-ID is made. ``answers``: the Message-ID that it answers, "" for none. ``by_person``: somebody
    wrote it himself."""

    name: str
    sender: str
    subject: str
    ref: str
    answers: str = ""
    by_person: bool = False


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One notice by one way. ``id``: the notice's; ``address``: where to; ``text``: as it is read, in ``language``;
    ``began_at``: when it was first handed to the courier; ``choices``: answers that may be offered with it;
    ``heading``: a letter's."""

    id: int
    way: Way
    address: str
    text: str
    language: str
    began_at: datetime
    choices: tuple[str, ...] = ()
    heading: Heading | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """The service has taken it. ``ref``: its own name of it, by which it reports later."""

    ref: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It has not. ``again``: it may later; otherwise this way is closed to this notice, and the next one is tried."""

    error: str
    again: bool


class Courier(Protocol):
    """Blocking; for a thread of the post."""

    @property
    def way(self) -> Way: ...

    def send(self, its: Outgoing) -> Sent | Refused:
        """Sends it, once: whatever happens on the way is an answer, never an exception."""
        ...

    def find(self, its: Outgoing) -> Sent | Refused | None:
        """Whether it went out before we were killed in the midst: Sent if it did, None if it surely did not; Refused
        with ``again`` while nobody can tell now, and without if nobody ever will."""
        ...
