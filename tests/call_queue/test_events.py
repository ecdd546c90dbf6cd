"""Events in the form in which Asterisk 22 writes them, and in any other."""

from __future__ import annotations

import datetime as dt
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from call_queue import events as ev
from call_queue.ami import parse
from tests.call_queue.conftest import NOON

CALLER = """
{0}Channel: PJSIP/trunk-mobile-00000007
{0}ChannelState: 6
{0}ChannelStateDesc: Up
{0}CallerIDNum: +380671234567
{0}CallerIDName: Марія
{0}ConnectedLineNum: <unknown>
{0}ConnectedLineName: <unknown>
{0}Language: uk
{0}AccountCode: {1}
{0}Context: to-queue
{0}Exten: s
{0}Priority: 9
{0}Uniqueid: 1764000000.11
{0}Linkedid: 1764000000.11"""
SEAT = """
{0}Channel: PJSIP/seat101-k3-0000000b
{0}ChannelState: 5
{0}ChannelStateDesc: Ringing
{0}CallerIDNum: 1551
{0}CallerIDName: <unknown>
{0}ConnectedLineNum: +380671234567
{0}ConnectedLineName: Марія
{0}Language: uk
{0}AccountCode: {1}
{0}Context: from-seat
{0}Exten: {1}
{0}Priority: 1
{0}Uniqueid: 1764000000.12
{0}Linkedid: 1764000000.11"""
ME = ("1764000000.11", "1764000000.11", "PJSIP/trunk-mobile")
HIM = ("1764000000.12", "1764000000.11", "PJSIP/seat101-k3")
QUEUED = ("1764000000.11", "1764000000.11", "city")


def read(text: str, listed: bool = False) -> ev.Event | None:
    wire = text.strip("\n").replace("\n", "\r\n").encode()
    return (ev.read_listed if listed else ev.read)(NOON, parse(wire))


def caller(prefix: str = "") -> str:
    return CALLER.format(prefix, "")


def seat(prefix: str = "") -> str:
    return SEAT.format(prefix, "")


@pytest.mark.parametrize(("text", "expected"), [
    (f"Event: Newchannel\nPrivilege: call,all{caller()}",
     ev.ChannelBegan(NOON, *ME, "+380671234567", "s")),
    (f"Event: NewCallerid\nPrivilege: call,all{caller()}", ev.CallerKnown(NOON, *ME, "+380671234567")),
    (f"Event: Newstate\nPrivilege: call,all{caller()}", ev.ChannelAnswered(NOON, *ME)),
    (f"Event: Newstate\nPrivilege: call,all{seat()}", None),  # rings
    (f"Event: HangupRequest\nPrivilege: call,all{caller()}\nCause: 16", ev.HangupAsked(NOON, *ME)),
    (f"Event: SoftHangupRequest\nPrivilege: call,all{caller()}\nCause: 16", ev.HangupAsked(NOON, *ME)),
    (f"Event: Hangup\nPrivilege: call,all{seat()}\nCause: 19\nCause-txt: User alerting, no answer\nTechCause: SIP 480",
     ev.ChannelEnded(NOON, *HIM, 19)),
    (f"Event: Hold\nPrivilege: call,all{seat()}\nMusicClass: default", ev.Held(NOON, *HIM)),
    (f"Event: Unhold\nPrivilege: call,all{seat()}", ev.Unheld(NOON, *HIM)),
    ("Event: BridgeEnter\nPrivilege: call,all\nBridgeUniqueid: 5f0d3c6e-6a55-4a1f-8c10-4a5ad1ee40ab\n"
     "BridgeType: basic\n"
     f"BridgeTechnology: simple_bridge\nBridgeCreator: <unknown>\nBridgeName: <unknown>\nBridgeNumChannels: 2{seat()}",
     ev.Bridged(NOON, *HIM)),
    (f"Event: BlindTransfer\nPrivilege: call,all\nResult: Success{seat('Transferer')}{caller('Transferee')}\n"
     "BridgeUniqueid: 5f0d3c6e-6a55-4a1f-8c10-4a5ad1ee40ab\nIsExternal: Yes\nContext: transferred\nExtension: 102",
     ev.Transferred(NOON, *ME[:2], HIM[2], "102", False)),
    (f"Event: BlindTransfer\nPrivilege: call,all\nResult: Fail{seat('Transferer')}{caller('Transferee')}\n"
     "Context: transferred\nExtension: 102", None),
    (f"Event: AttendedTransfer\nPrivilege: call,all\n"
     f"Result: Success{seat('OrigTransferer')}{seat('SecondTransferer')}\n"
     f"DestType: Bridge\nDestBridgeUniqueid: 5f0d3c6e-6a55-4a1f-8c10-4a5ad1ee40ab{caller('Transferee')}"
     f"{seat('TransferTarget').replace('seat101-k3-0000000b', 'seat102-p8-0000000d')}",
     ev.Transferred(NOON, *ME[:2], HIM[2], "PJSIP/seat102-p8", True)),
    (f"Event: QueueCallerJoin\nPrivilege: agent,all{caller()}\nQueue: city\nPosition: 3\nCount: 3",
     ev.CallerJoined(NOON, *QUEUED, "+380671234567", 3, "PJSIP/trunk-mobile-00000007")),
    (f"Event: QueueCallerLeave\nPrivilege: agent,all{caller()}\nQueue: city\nCount: 2\nPosition: 1",
     ev.CallerLeft(NOON, *QUEUED)),
    (f"Event: QueueCallerAbandon\nPrivilege: agent,all{caller()}\nQueue: city\nPosition: 1\n"
     f"OriginalPosition: 3\nHoldTime: 40",
     ev.CallerAbandoned(NOON, *QUEUED)),
    (f"Event: AgentCalled\nPrivilege: agent,all{caller()}{seat('Dest')}\nQueue: city\nInterface: PJSIP/seat101-k3\n"
     "MemberName: 101", ev.SeatRang(NOON, *QUEUED, "101", "PJSIP/seat101-k3", "+380671234567", "1764000000.12")),
    (f"Event: AgentConnect\nPrivilege: agent,all{caller()}{seat('Dest')}\nQueue: city\nInterface: PJSIP/seat101-k3\n"
     "MemberName: 101\nRingTime: 4\nHoldTime: 61", ev.SeatAnswered(NOON, *QUEUED, "101", "PJSIP/seat101-k3")),
    (f"Event: AgentRingNoAnswer\nPrivilege: agent,all{caller()}{seat('Dest')}\nQueue: city\n"
     f"Interface: PJSIP/seat101-k3\n"
     "MemberName: 101\nRingTime: 15000", ev.SeatSilent(NOON, *QUEUED, "101", "PJSIP/seat101-k3")),
    (f"Event: AgentComplete\nPrivilege: agent,all{caller()}{seat('Dest')}\nQueue: city\nInterface: PJSIP/seat101-k3\n"
     "MemberName: 101\nHoldTime: 61\nTalkTime: 95\nReason: caller",
     ev.SeatDone(NOON, *QUEUED, "101", "PJSIP/seat101-k3", "caller")),
    ("Event: QueueMemberStatus\nPrivilege: agent,all\nQueue: city\nMemberName: 101\nInterface: PJSIP/seat101-k3\n"
     "StateInterface: PJSIP/seat101-k3\nMembership: dynamic\nPenalty: 0\nCallsTaken: 3\nLastCall: 1764000000\n"
     "LastPause: 0\nLoginTime: 1764000000\nInCall: 0\nStatus: 6\nPaused: 0\nPausedReason: \nRinginuse: 0\n"
     "Wrapuptime: 0",
     ev.Member(NOON, "city", "101", "PJSIP/seat101-k3", False, "", 6)),
    ("Event: QueueMemberPause\nPrivilege: agent,all\nQueue: city\nMemberName: 101\nInterface: PJSIP/seat101-k3\n"
     "Status: 1\nPaused: 1\nPausedReason: обід\nRinginuse: 0\nWrapuptime: 0",
     ev.Member(NOON, "city", "101", "PJSIP/seat101-k3", True, "обід", 1)),
    ("Event: QueueMemberRemoved\nPrivilege: agent,all\nQueue: city\nMemberName: 101\n"
     "Interface: PJSIP/seat101-k3\nStatus: 1\n"
     "Paused: 0", ev.MemberRemoved(NOON, "city", "101", "PJSIP/seat101-k3")),
    ("Event: DeviceStateChange\nPrivilege: call,all\nDevice: PJSIP/seat101-k3\nState: NOT_INUSE",
     ev.Device(NOON, "PJSIP/seat101-k3", "NOT_INUSE")),
    ("Event: PeerStatus\nPrivilege: system,all\nChannelType: PJSIP\nPeer: PJSIP/trunk-mobile\n"
     "PeerStatus: Unreachable", ev.Contact(NOON, "trunk-mobile", False)),
    ("Event: PeerStatus\nPrivilege: system,all\nChannelType: PJSIP\nPeer: PJSIP/seat101-k3\nPeerStatus: Reachable",
     ev.Contact(NOON, "seat101-k3", True)),
    ("Event: OriginateResponse\nPrivilege: call,all\nActionID: cb-26000123-1\nResponse: Failure\n"
     "Channel: PJSIP/0671234567@trunk-mobile\nContext: callback-auto\nExten: s\nReason: 5\nUniqueid: <null>\n"
     "CallerIDNum: 1551\nCallerIDName: <unknown>", ev.Originated(NOON, "cb-26000123-1", "", False, 5)),
    ("Event: OriginateResponse\nPrivilege: call,all\nActionID: cb-1\nResponse: Success\n"
     "Channel: PJSIP/trunk-mobile-00000001\n"
     "Reason: 4\nUniqueid: cb-1\nCallerIDNum: 1551", ev.Originated(NOON, "cb-1", "cb-1", True, 4)),
    (f"Event: DialEnd\nPrivilege: call,all{caller()}{seat('Dest')}\nDialStatus: ANSWER",
     ev.Dialled(NOON, "1764000000.11", "PJSIP/seat101-k3", "ANSWER")),
    (f"Event: DialEnd\nPrivilege: call,all{seat('Dest')}\nDialStatus: BUSY",  # Originate: nobody dialled
     ev.Dialled(NOON, "1764000000.11", "PJSIP/seat101-k3", "BUSY")),
])  # fmt: skip
def test_as_asterisk_writes_it(text: str, expected: ev.Event | None) -> None:
    assert read(text) == expected


def test_what_the_dialplan_says() -> None:
    said = read(f"Event: UserEvent\nPrivilege: user,all{caller()}\nUserEvent: Recording\nLinkedid: 1764000000.11\n"
                "File: ab/ab12.wav")  # fmt: skip
    assert isinstance(said, ev.Said)
    assert (said.name, said.fields["File"], said.fields["Linkedid"]) == ("Recording", "ab/ab12.wav", "1764000000.11")


@pytest.mark.parametrize(("duration", "seconds"), [
    ("75", 75), ("00:01:15", 75), ("01:15", 75), ("27:00:00", 97_200),
    ("", 0), ("x", 0), ("1:2:3:4", 0), ("999999999:59:59", 10**7),
])  # fmt: skip
def test_a_live_channel(duration: str, seconds: int) -> None:
    channel = read(f"Event: CoreShowChannel\nActionID: a/1{caller()}\nBridgeId: 5f0d3c6e-6a55-4a1f-8c10-4a5ad1ee40ab\n"
                   f"Application: Queue\nApplicationData: city,cCi\nDuration: {duration}", listed=True)  # fmt: skip
    assert channel == ev.LiveChannel(NOON, *ME, "+380671234567", "Queue", "5f0d3c6e-6a55-4a1f-8c10-4a5ad1ee40ab", True,
                                     seconds)  # fmt: skip


def test_the_lists_of_the_queues() -> None:
    assert read("Event: QueueEntry\nActionID: a/1\nQueue: city\nPosition: 2\nChannel: PJSIP/trunk-mobile-00000007\n"
                "Uniqueid: 1764000000.11\nCallerIDNum: +380671234567\nCallerIDName: unknown\n"
                "ConnectedLineNum: unknown\n"
                "ConnectedLineName: unknown\nWait: 61\nPriority: 383483647", listed=True) == ev.Waiting(
        NOON, "1764000000.11", "", "city", "+380671234567", 2, 61, 383483647,
        "PJSIP/trunk-mobile-00000007")  # fmt: skip
    assert read("Event: QueueEntry\nQueue: city\nUniqueid: 17.1\nPriority: 0", listed=True) == ev.Waiting(
        NOON, "17.1", "", "city", "", None, 0, None), "he has none"  # fmt: skip
    assert read("Event: QueueMember\nActionID: a/1\nQueue: city\nName: 101\nLocation: PJSIP/seat101-k3\n"
                "StateInterface: PJSIP/seat101-k3\nMembership: dynamic\nPenalty: 0\nCallsTaken: 0\nLastCall: 0\n"
                "LastPause: 1764000000\nInCall: 0\nStatus: 1\nPaused: 1\nPausedReason: break\nWrapuptime: 0",
                listed=True) == ev.Member(NOON, "city", "101", "PJSIP/seat101-k3", True, "break", 1)  # fmt: skip
    assert read("Event: QueueParams\nQueue: city\nMax: 0", listed=True) is None


@pytest.mark.parametrize("text", [
    "", "Event: Newexten\nUniqueid: 1.1", "Event: Hangup", "Event: Hangup\nUniqueid: ../../etc",
    "Event: Hangup\nUniqueid: " + "1" * 65, "Event: AgentCalled\nUniqueid: 1.1\nQueue: city",
    "Event: QueueCallerJoin\nUniqueid: 1.1\nQueue: ", "Event: OriginateResponse\nActionID: a b",
    "Event: DeviceStateChange\nDevice: x\nState: ", "Event: UserEvent\nUserEvent: \x01\x02",
])  # fmt: skip
def test_what_means_nothing_is_none(text: str) -> None:
    assert read(text) is None


def test_a_callers_text_is_cleaned_and_bounded() -> None:
    began = ev.read(NOON, {"Event": "Newchannel", "Uniqueid": "1.1", "CallerIDNum": "\x1b[2J\u2028" + "1" * 10_000,
                           "Exten": "<unknown>", "Channel": "PJSIP/trunk-mobile-00000001"})  # fmt: skip
    assert isinstance(began, ev.ChannelBegan)
    assert began.caller == "[2J" + "1" * 197
    assert (began.exten, began.linkedid) == ("", "1.1")


@pytest.mark.parametrize(("channel", "endpoint"), [
    ("PJSIP/trunk-landline-0000002a", "PJSIP/trunk-landline"),
    ("PJSIP/seat101-1a2b3c4d-0000002a", "PJSIP/seat101-1a2b3c4d"),  # a name that looks like a serial
    ("Local/s@to-queue-0000002a;2", "Local/s@to-queue"), ("PJSIP/x", "PJSIP/x"), ("x", ""), ("/x-0000002a", ""),
    ("", ""),
])  # fmt: skip
def test_a_channels_endpoint(channel: str, endpoint: str) -> None:
    assert ev.endpoint_of(channel) == endpoint


HEADERS = [
    "Uniqueid", "Linkedid", "Channel", "Queue", "MemberName", "Interface", "Location", "Name", "Position", "Wait",
    "CallerIDNum", "Exten", "Status", "Paused", "PausedReason", "Device", "State", "Peer", "PeerStatus",
    "ActionID", "Reason", "DialStatus", "DestUniqueid", "DestLinkedid", "DestChannel", "Duration", "BridgeId", "Peer",
    "UserEvent", "Cause", "TransfereeUniqueid", "TransfererUniqueid", "OrigTransfererUniqueid", "Extension",
    "TransfereeChannel", "TransfererChannel", "TransferTargetUniqueid", "TransferTargetChannel",
]  # fmt: skip
anything = st.text() | st.sampled_from([
    "1764000000.11", "PJSIP/seat101-k3-0000000b", "city", "6", "1", "Reachable", "\ud800", "x" * 100_000, "1" * 5000,
    "²", "٣", "00:00:01", "\x9b31m",
])  # fmt: skip
known = st.sampled_from(sorted({*ev.READERS, *ev.LISTED}))


def texts_in(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in texts_in(one)]
    return []


@given(known, st.dictionaries(st.sampled_from(HEADERS), anything, max_size=20), st.dictionaries(st.text(), anything))
def test_whatever_the_headers_are(name: str, headers: dict[str, str], more: dict[str, str]) -> None:
    for read_it in (ev.read, ev.read_listed):
        event = read_it(NOON, {**more, **headers, "Event": name})
        if event is None:
            continue
        assert event.at == NOON
        for one in fields(event):
            value = getattr(event, one.name)
            assert isinstance(value, (str, int, dict, dt.datetime)) or value is None
            if isinstance(value, int):
                assert 0 <= value < 10**9
            for text in texts_in(value):
                assert len(text) <= 200
                assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" for c in text)
                text.encode()  # no half of a surrogate pair
    assert ev.read(NOON, {**headers}) is None


@given(st.text() | anything)
def test_the_smallest_parts(value: str) -> None:
    assert ev.number(value) is None or 0 <= ev.number(value) < 10**9  # type: ignore[operator]
    assert ev.ident(value) in ("", value)
    assert ev.text(ev.text(value)) in (ev.text(value), "")  # "<unknown>" once more
    assert len(ev.endpoint_of(value)) <= 200
