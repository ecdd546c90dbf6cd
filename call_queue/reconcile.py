"""After a loss: what we believed is compared with what Asterisk says, and mended.

The lists are asked for through the stream (``Ami.ask_in_stream``): Asterisk writes an answer before
the events that it has not sent yet, so each list is applied at its place and nothing that happened
later is undone by it.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection

from call_queue import events
from call_queue.ami import Ami, Answer
from call_queue.tracker import Change, Tracker
from crm import calls

LISTS = ("DeviceStateList", "QueueStatus", "CoreShowChannels")  # the last one tells which calls live


def ask(ami: Ami) -> None:
    """Asks for everything. NotSent when there is no connection."""
    for action in LISTS:
        ami.ask_in_stream(action)


def apply(tracker: Tracker, answer: Answer) -> list[Change]:
    """What was wrong in what we believed. A refused list changes nothing."""
    if not answer.ok:
        return []
    listed = [event for item in answer.items if (event := events.read_listed(answer.at, item)) is not None]
    if answer.action == "QueueStatus":
        return tracker.adopt_queues(answer.at, listed)
    if answer.action == "CoreShowChannels":
        return tracker.adopt_channels(answer.at, listed)
    return [change for event in listed for change in tracker.apply(event)]


def channels_of(answer: Answer) -> set[str]:
    """The uniqueids of all channels that live."""
    return {events.ident(item.get("Uniqueid")) for item in answer.items} - {""}


def bury(conn: Connection, alive: set[str], before: dt.datetime, now: dt.datetime) -> list[str]:
    """Ends the calls on record that arrived before ``before`` and are on no line any more: lost, until
    queue_log tells better. Their linkedids."""
    gone = [call.linkedid for call in calls.unended(conn) if call.linkedid not in alive and call.arrived_at < before]
    for linkedid in gone:
        calls.ended(conn, linkedid, now, calls.EndCause.LOST)
    return gone
