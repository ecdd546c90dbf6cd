"""What carries a notice as an SMS (twilio.com/docs/messaging/api/message-resource).

Twilio takes no name of ours for a message, so that one sent twice would go out twice. Whenever it is not known whether
one went out (no answer came, or we died before it was on record), it is looked for among those sent, and never sent
again before it is sure that it is not there.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Callable

import requests
from twilio.base.exceptions import TwilioException, TwilioRestException  # type: ignore[import-untyped]
from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]

from crm.telling import Way
from intake.couriers import Outgoing, Refused, Sent

LONGEST = 1600  # characters: Twilio takes no longer one, whatever its alphabet
TIMEOUT_S = 15.0
# It may be among those sent only a moment later; and the clocks there and here differ by less.
SETTLED = dt.timedelta(seconds=60)
ANEW = dt.timedelta(seconds=20)  # what was handed over longer ago than this is handed over a second time
LOOKED_AT = 100  # of what was sent to one number, the newest first
STOPPED = 21610  # he has written STOP, to Twilio itself
# That the number is none, is no mobile one, or cannot be reached from here: trying again changes nothing. All else (no
# money, a wrong token, our own number) is ours to mend, and then it goes out.
HIS_NUMBER = frozenset({21211, 21214, 21217, 21219, 21265, 21408, 21421, 21608, 21610, 21612, 21614, 21617, 21635})

log = logging.getLogger(__name__)


def client(account: str, token: str, api: str) -> Client:
    """Twilio's own client, which asks the API at ``api`` and gives up after a while."""
    made = Client(account, token, http_client=TwilioHttpClient(timeout=TIMEOUT_S, max_retries=0))
    made.api.base_url = api
    return made


class SmsCourier:
    """``intake.couriers.Courier``. ``number``: that SMS come from; ``portal``: where Twilio reports what has become of
    them; ``stopped``: is told a number that Twilio sends nothing to any more, by its owner's word. Cuts nothing."""

    way = Way.SMS

    def __init__(self, account: str, token: str, number: str, api: str, portal: str, *,
                 stopped: Callable[[str], None],
                 clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:  # fmt: skip
        self._client, self._number, self._report = client(account, token, api), number, f"{portal}/twilio/status"
        self._stopped, self._clock = stopped, clock

    def send(self, its: Outgoing) -> Sent | Refused:
        """As ``Courier.send``. One that was handed over before is looked for first."""
        if len(its.text) > LONGEST:
            return Refused("too_long", again=False)
        if self._clock() - its.began_at > ANEW and (found := self.find(its)) is not None:
            return found
        try:
            made = self._client.messages.create(
                to=its.address, from_=self._number, body=its.text, status_callback=self._report)
        except TwilioRestException as error:
            if error.status >= 500:  # it may have been taken all the same
                return self._in_doubt(its, error)
            return self._refused(its, error)
        except requests.ConnectTimeout as error:
            return Refused(_words(error), again=True)
        except (requests.RequestException, TwilioException, OSError, ValueError) as error:
            return self._in_doubt(its, error)
        return Sent(str(made.sid))

    def find(self, its: Outgoing) -> Sent | Refused | None:
        """As ``Courier.find``: by its number, its time and its words."""
        try:
            sent = self._client.messages.list(to=its.address, from_=self._number, limit=LOOKED_AT, page_size=LOOKED_AT)
        except (requests.RequestException, TwilioException, OSError, ValueError) as error:
            return Refused(_words(error), again=True)
        # Not asked for by the day it was sent: one that still waits at Twilio has none.
        for each in sent:
            since = each.date_created is not None and each.date_created >= its.began_at - SETTLED
            if since and (each.body or "").endswith(its.text):  # on trial, Twilio puts words of its own before it
                return Sent(str(each.sid))
        if self._clock() - its.began_at < SETTLED:
            return Refused("not_settled", again=True)
        return None

    def _in_doubt(self, its: Outgoing, error: Exception) -> Sent | Refused:
        """No word of it came back: sent if it is there, else it is asked again, and looked for before it is sent."""
        found = self.find(its)
        return found if isinstance(found, Sent) else Refused(_words(error), again=True)

    def _refused(self, its: Outgoing, error: TwilioRestException) -> Refused:
        if error.code == STOPPED:
            self._stopped(its.address)
        if error.code not in HIS_NUMBER and error.status != 429:
            log.warning("Twilio takes no SMS: %s", _words(error))
        return Refused(_words(error), again=error.code not in HIS_NUMBER)


def _words(error: Exception) -> str:
    """Twilio's own, without the resident's number, which may stand in it."""
    if isinstance(error, TwilioRestException):
        return f"{error.status} {error.code or ''} {re.sub(r'[+]?[0-9]{4,}', '…', error.msg)}"[:200]
    return type(error).__name__
