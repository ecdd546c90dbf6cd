"""A letter becomes a message: its files go to the disk, and then it is taken, in one transaction, with all it does.

Blocking. A disk that takes no more and records that cannot be reached are raised: the letter stays where it is.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from crm import attachments, by_letter, messages, texts
from crm.attachments import Stored
from crm.by_letter import CHANNEL, Mailed, Refusal
from crm.errors import BadInput
from crm.messages import Incoming
from crm.store import Database
from crm.telling import Say
from intake.mail import letters
from intake.mail.letters import File, Letter


@dataclass(frozen=True, slots=True)
class Arrivals:
    """``folder``: of files; ``own``: the centre's addresses, in lower case; ``secret``: of the seals; ``daily``: more
    letters than so many from an address in a day are looked at last."""

    db: Database
    folder: Path
    own: Collection[str]
    say: Say
    secret: str
    daily: int
    clock: Callable[[], datetime]

    def take(self, data: bytes, received_at: datetime) -> bool:
        """A whole letter, as it came to the mailbox at ``received_at``; False for one that was taken before."""
        letter = letters.parse(data, self.own)
        stored, refused = self._store(letter.files, letter.language)
        return self._receive(letter, received_at, stored, refused)

    def too_big(self, head: bytes, size: int, received_at: datetime) -> bool:
        """One that is not fetched: ``head`` is all that is known of it, ``size`` its bytes."""
        return self._receive(letters.parse(head, self.own), received_at, [], [], too_big=-(-size // 1024**2))

    def unreadable(self, head: bytes, folder: str, received_at: datetime) -> None:
        """One at which we failed, and which lies in this folder of the mailbox now: a person looks at it there. Nothing
        of what it was read by is used again."""
        found = re.search(rb"^subject:(.*)$", head[:16_000], re.IGNORECASE | re.MULTILINE)
        title = texts.line(found[1].decode("utf-8", "replace")[:300], 900)[:300] if found else ""
        with self.db.write() as conn:
            messages.take(conn, Incoming(
                channel=CHANNEL, external_id=f"unread:{hashlib.sha256(head).hexdigest()}", address="", title=title,
                text=self.say("unreadable", "uk", folder=folder), received_at=received_at))  # fmt: skip

    def _store(self, files: Iterable[File], language: str) -> tuple[list[Stored], list[Refusal]]:
        stored: list[Stored] = []
        refused: list[Refusal] = []
        for file in files:
            try:
                stored.append(attachments.store(self.folder, file.name, io.BytesIO(file.data)))
            except BadInput as error:
                refused.append(Refusal(file.name or self.say("unnamed", language), error))
        return stored, refused

    def _receive(self, letter: Letter, received_at: datetime, stored: list[Stored], refused: list[Refusal],
                 too_big: int = 0) -> bool:  # fmt: skip
        now = self.clock()
        its = Mailed(
            id=letter.id, digest=letter.digest, sender=letter.sender, received_at=min(received_at, now),
            name=letter.name, subject=letter.subject, text=letter.text, language=letter.language, files=stored,
            refused=refused, too_many=letter.too_many, mentions=letter.mentions, numbers=letter.numbers,
            automatic=letter.automatic, suspect=letter.suspect, answerable=letter.answerable,
            returned=letter.returned, too_big=too_big)  # fmt: skip
        with self.db.write() as conn:
            return by_letter.receive(conn, its, now=now, say=self.say, secret=self.secret, daily=self.daily)
