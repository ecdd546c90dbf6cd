"""The browsers' telephones: each gets a new password from Asterisk's ARI whenever its page asks for one.

Nothing else is asked of ARI, and no password of theirs is kept anywhere but in Asterisk, or logged.
"""

from __future__ import annotations

import secrets as random
from collections.abc import Mapping

import httpx

from crm.errors import CentreError

TIMEOUT_S = 5.0


class Browsers:
    """``users``: seat → the SIP name of its browser's telephone. ``port``: of Asterisk's HTTP, on this machine."""

    def __init__(self, users: Mapping[str, str], port: int, secret: str) -> None:
        self._users = users
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/ari", auth=("line", secret),
                                       timeout=TIMEOUT_S, trust_env=False)  # fmt: skip

    async def let_in(self, number: str) -> tuple[str, str]:
        """(user, password) for who shall register at this seat; what was given before is of no use from now on.

        CentreError "line.asterisk_away" when nothing was done, "line.unanswered" when nobody knows.
        """
        user, password = self._users[number], random.token_urlsafe(24)
        fields = {"auth_type": "userpass", "username": user, "password": password}
        try:
            answer = await self._http.put(f"/asterisk/config/dynamic/res_pjsip/auth/{user}", json={"fields": [
                {"attribute": name, "value": value} for name, value in fields.items()]})  # fmt: skip
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise CentreError("line.asterisk_away") from None
        except httpx.HTTPError:
            raise CentreError("line.unanswered") from None
        if not answer.is_success:
            raise CentreError("line.asterisk_away")
        return user, password

    async def close(self) -> None:
        await self._http.aclose()
