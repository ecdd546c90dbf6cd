"""After a loss: the lists as Asterisk answers them mend what we believed, and only calls that are gone are buried."""

from __future__ import annotations

import pytest

from call_queue import reconcile
from call_queue import tracker as t
from call_queue.ami import Answer
from crm import calls
from crm.calls import EndCause
from crm.store import Database
from tests.call_queue.conftest import INTERFACES, MOBILE, Exchange, at

A, B, C = "1764000000.1", "1764000000.2", "1764000000.3"


def answer(action: str, *items: dict[str, str], ok: bool = True) -> Answer:
    return Answer(at(100), action, ok, items, at(99))


def entry(uid: str, position: int, wait: int) -> dict[str, str]:
    return {"Event": "QueueEntry", "Queue": "city", "Position": str(position), "Uniqueid": uid, "Wait": str(wait),
            "CallerIDNum": "+380671234567"}  # fmt: skip


def channel(uid: str, linkedid: str, name: str, bridge: str = "") -> dict[str, str]:
    return {"Event": "CoreShowChannel", "Uniqueid": uid, "Linkedid": linkedid, "Channel": name, "ChannelState": "6",
            "BridgeId": bridge, "Duration": "00:01:00", "CallerIDNum": "+380671234567"}  # fmt: skip


def member(number: str, paused: bool = False) -> dict[str, str]:
    return {"Event": "QueueMember", "Queue": "city", "Name": number, "Location": INTERFACES[number], "Status": "1",
            "Paused": str(int(paused)), "PausedReason": "break" if paused else ""}  # fmt: skip


LISTED = (
    answer("DeviceStateList", *({"Event": "DeviceStateChange", "Device": device, "State": state}
                                for device, state in ((MOBILE, "INUSE"), (INTERFACES["101"], "INUSE")))),
    answer("QueueStatus", {"Event": "QueueParams", "Queue": "city"}, member("101"), member("102", paused=True),
           entry(B, 1, 40), {"Event": "QueueStatusComplete"}),
    answer("CoreShowChannels", channel(A, A, f"{MOBILE}-00000001", "b1"), channel(B, B, f"{MOBILE}-00000002"),
           channel("1764000000.11", A, f"{INTERFACES['101']}-00000003", "b1"), {"Event": "CoreShowChannelsComplete"}),
)  # fmt: skip


def test_everything_is_taken_on_from_the_lists(exchange: Exchange) -> None:
    assert {listed.action for listed in LISTED} == set(reconcile.LISTS)
    for listed in LISTED:
        exchange.told += reconcile.apply(exchange.tracker, listed)
    assert exchange.seat("101") == ("talking", A, "")
    assert exchange.seat("102") == ("paused", "", "break")
    assert exchange.seat("103") == ("out", "", "")
    assert [(call.linkedid, place, call.queued_at) for call, place in exchange.tracker.waiting()] == [(B, 1, at(60))]
    assert exchange.tracker.trunks[MOBILE].state is t.TrunkState.OK
    assert exchange.tracker.calls_on(MOBILE) == 2
    assert [(change.linkedid, change.seat) for change in exchange.of(t.Answered)] == [(A, "101")]
    assert [change for listed in LISTED for change in reconcile.apply(exchange.tracker, listed)] == []


def test_a_refused_list_changes_nothing(exchange: Exchange) -> None:
    exchange.log_in("101")
    exchange.arrive(A)
    exchange.join(A)
    for action in reconcile.LISTS:
        assert reconcile.apply(exchange.tracker, answer(action, ok=False)) == []
    assert len(exchange.tracker.waiting()) == 1


def test_the_channels_of_an_answer() -> None:
    assert reconcile.channels_of(answer("CoreShowChannels", channel(A, A, "PJSIP/x"), channel("b ad", A, "PJSIP/x"),
                                        {"Event": "CoreShowChannelsComplete"})) == {A}  # fmt: skip


@pytest.mark.parametrize("answered", [True, False])
def test_only_calls_that_are_gone_are_buried(db: Database, answered: bool) -> None:
    with db.write() as conn:
        for linkedid, seconds in ((A, 0), (B, 1), (C, 50)):
            calls.arrived(conn, linkedid, at=at(seconds), origin="mobile")
        calls.arrived(conn, "1764000000.4", at=at(2), origin="mobile")
        calls.ended(conn, "1764000000.4", at(3), EndCause.ABANDONED)
        if answered:
            calls.answered(conn, B, "101", at(5))
        # A lives; C came after we asked, so its channel cannot be in the answer
        assert reconcile.bury(conn, {A, "1764000000.99"}, at(50), at(60)) == [B]
        gone = calls.get(conn, B)
        assert gone is not None
        assert (gone.end_cause, gone.ended_at) == ("lost", at(60))
        assert [call.linkedid for call in calls.unended(conn)] == [A, C]
        ended = calls.get(conn, "1764000000.4")
        assert ended is not None
        assert (ended.end_cause, ended.ended_at) == ("abandoned", at(3))
        assert reconcile.bury(conn, {A}, at(50), at(70)) == []
        calls.ended(conn, B, at(6), EndCause.COMPLETED)  # queue_log tells better
        gone = calls.get(conn, B)
        assert gone is not None
        assert gone.end_cause == "completed"
