"""What can go wrong in the CRM, each with an id that never changes.

CentreError
├── BadInput        what was given cannot be taken; the message says what to do
├── NotFound        there is no such record
├── Stale           somebody saved it first: reload and try again
├── IllegalAction   the appeal's state does not allow this action
└── NotAllowed      the role does not allow this
"""

from __future__ import annotations


class CentreError(Exception):
    """Base of all errors that a person is told about.

    ``id`` is stable and is the key of the sentence in the message catalogue; ``details``
    fills that sentence's placeholders and never carries personal data.
    """

    id = "error"

    def __init__(self, id: str, **details: object) -> None:
        super().__init__(f"{id} {details}" if details else id)
        self.id = id
        self.details = details


class BadInput(CentreError):
    """What was given cannot be taken."""


class NotFound(CentreError):
    """There is no such record."""


class Stale(CentreError):
    """Somebody saved the record after it was read."""


class IllegalAction(CentreError):
    """The appeal's state does not allow this action."""


class NotAllowed(CentreError):
    """The actor's role does not allow this."""
