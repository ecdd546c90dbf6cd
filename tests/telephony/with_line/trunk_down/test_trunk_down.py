"""A trunk that stops answering is told to the web, which raises the alarm, and so is that it answers again."""

from __future__ import annotations

from typing import Any

from centre.phones import Callee


async def test_down_and_up_again(centre: Any) -> None:
    await centre.trunk_is("down", "mobile")
    host, _, port = centre.settings.mobile_host.partition(":")
    async with Callee(int(port), host=host):
        await centre.trunk_is("ok", "mobile")
    await centre.trunk_is("down", "mobile")
