"""``python -m tests.workplace.from_elsewhere FOLDER BROWSER``: the centre on one machine, which is this, and a seat on
another, where the program BROWSER is run. A citizen calls, both are heard, the seat presses a key. Prints as JSON what
came of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from centre import certificates
from tests.namespaces import CITY
from tests.web.test_https import trust
from tests.workplace.conftest import CITIZEN, VOICES, ended_well, running_workplace, tone
from tests.workplace.test_two_seats import CALLER, hears

BEFORE_NAT = "203.0.113.10"
# The addresses at which the centre says it hears.
OFFERED = "connections[0].remoteDescription.sdp.match(/(?<=a=candidate:(\\S+ ){4})\\S+/g)"


async def main(folder: Path, browser: str) -> None:
    async with running_workplace(folder, (browser, ()), sip_bind=CITY, web_bind=CITY, seat_count=1,
                                 external_address=BEFORE_NAT) as workplace:  # fmt: skip
        its = certificates.served(workplace.settings)
        assert its is not None
        trust(folder, its.trusted)
        seat = await workplace.sit(VOICES[0], "olena", "201")
        async with workplace.exchange.caller(CALLER) as caller:
            await workplace.exchange.to_queue(caller)
            await seat.is_("ringing")
            caller.media.speak(tone(CITIZEN))
            await seat.answer()
            await hears(caller, VOICES[0])
            await seat.hears(CITIZEN)
            met = {"page": seat.page.url, **await seat.counted(), "offered": await seat.page.evaluate(OFFERED)}
            await caller.hang_up()
            await seat.is_("ready")
    print(json.dumps({**met, "complaints": ended_well(workplace.complaints)}))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
