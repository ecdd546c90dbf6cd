"""The recordings of calls: one file a call, put on record, indexed, heard with a reason, removed in time."""

from recordings.files import Examined, State, exposed, prepare
from recordings.keeper import Keeper
from recordings.library import (
    Indexed,
    Report,
    announced,
    erase,
    index,
    kept_until,
    open_for_copying,
    open_for_listening,
    retention,
    sweep,
)

__all__ = ["Examined", "Indexed", "Keeper", "Report", "State", "announced", "erase", "exposed", "index",
           "kept_until", "open_for_copying", "open_for_listening", "prepare", "retention", "sweep"]  # fmt: skip
