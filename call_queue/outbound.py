"""Calls out: over which trunk, asked of Asterisk once, and how one ended that nobody answered.

An attempt is committed before it is dialled, and its id is the channel's: a second Originate of it is refused by
Asterisk while the channel lives, and after a crash what is on record tells what may have been dialled.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from call_queue import tracker as t
from call_queue.ami import Ami, AmiError, Unanswered, variable
from crm.confirmation_rules import Reached
from crm.errors import BadInput, CentreError

# How a call that nobody answered ended, by the Q.850 cause of the hangup of the citizen's channel: neither Originate's
# own answer, nor DialEnd, nor DIALSTATUS can be relied on to tell busy from the rest. NORMAL: whoever called gave up.
NORMAL = 16
CAUSES = {17: Reached.BUSY, 18: Reached.NO_ANSWER, 19: Reached.NO_ANSWER, 20: Reached.NO_ANSWER}


def unanswered(cause: int | None) -> Reached:
    """What a call came to whose citizen's channel ended so."""
    return CAUSES.get(cause or 0) or (Reached.NO_ANSWER if cause == NORMAL else Reached.FAILED)


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallOut:
    """One Originate. ``channel``: who is rung first, a seat's interface, or "" for the citizen himself. ``shown``: the
    number that he who is rung sees. ``context``: where the call then goes on."""

    id: str
    e164: str
    language: str
    context: str
    ring_s: int
    shown: str
    channel: str = ""


class Outbound:
    """``ami``: the user who may originate. ``trunks``: those that calls out may take, best first,
    "PJSIP/trunk-landline". ``in_step``: whether the tracker can be believed; nothing is placed while it cannot."""

    def __init__(self, ami: Ami, tracker: t.Tracker, trunks: Collection[str], in_step: Callable[[], bool]) -> None:
        self._ami, self._tracker, self._trunks, self._in_step = ami, tracker, tuple(trunks), in_step

    @property
    def in_step(self) -> bool:
        """Whether we know what is on the line."""
        return self._in_step()

    @property
    def ready(self) -> bool:
        """Whether Asterisk would hear us as well."""
        return self._ami.up and self._in_step()

    @property
    def trunk(self) -> str:
        """The endpoint that the next call takes; "" when all of them are down."""
        up = (name for name in self._trunks if self._tracker.trunks[name].state is not t.TrunkState.DOWN)
        return next(up, "").removeprefix("PJSIP/")

    async def dial(self, call: CallOut, not_placed: Callable[[], Awaitable[object]]) -> None:
        """Dials, once. ``not_placed`` ends at once what Asterisk did not even begin.

        BadInput "callback.trunk_down"; CentreError "line.asterisk_away" when nothing was done, "line.unanswered"
        when nobody knows.
        """
        trunk = self.trunk
        try:
            if not trunk:  # the last one fell just now
                raise BadInput("callback.trunk_down")
            await self._ami.ask("Originate", {
                "Channel": call.channel or f"PJSIP/{call.e164}@{trunk}", "Context": call.context, "Exten": "s",
                "Priority": 1, "ChannelId": call.id, "Timeout": call.ring_s * 1000, "CallerID": call.shown,
                "Async": "true",
                "Variable": [variable("ATTEMPT", call.id), variable("CITIZEN_NUMBER", call.e164),
                             variable("CALL_LANG", call.language), variable("TRUNK", trunk)],
            }, action_id=call.id)  # fmt: skip
        except Unanswered as error:
            _log.warning("call out %s may have been placed: %s", call.id, error)
            raise CentreError("line.unanswered") from None
        except CentreError as error:
            _log.warning("call out %s was not placed: %s", call.id, error)
            await not_placed()
            raise CentreError("line.asterisk_away") if isinstance(error, AmiError) else error from None
