"""Whoever waits is called out of his queue when there is news for him: the dialplan then asks the ``waiting`` step."""

from __future__ import annotations

from collections.abc import Iterable

from call_queue import tracker as t
from call_queue.ami import Ami, Refused
from call_queue.seats import reached


async def call_out(ami: Ami, calls: Iterable[t.Call], why: str) -> None:
    """Ends their slices now. Who rings at a seat is left alone, and who has left the queue meanwhile has gone his way.

    CentreError as ``reached``: nobody, or not everybody, was called out, and each asks when his slice is over.
    """
    for call in calls:
        if call.channel and call.queue and not call.ringing:
            try:
                await reached(ami.ask("QueueWithdrawCaller", {"Queue": call.queue, "Caller": call.channel,
                                                              "WithdrawInfo": why}))  # fmt: skip
            except Refused:
                continue
