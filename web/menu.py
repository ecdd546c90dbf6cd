"""The menu: what a person may open, so grouped that it is one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crm.people import Permission

P = Permission


@dataclass(frozen=True, slots=True)
class Entry:
    """A page of the menu. ``name``: the key of its words. ``needs``: any of these, as ``web.app.PAGES`` has it."""

    address: str
    name: str
    needs: tuple[Permission, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """``name``: the key of its words; "" for a page by itself. ``here``: its page that is shown now, or None."""

    name: str
    entries: Sequence[Entry]
    here: Entry | None


_MENU = (
    ("", (Entry("/seat", "seat.title", (P.TAKE_CALLS, P.CALL_BACK)),)),
    ("menu.shift", (Entry("/live", "live.title", (P.SEE_LIVE,)), Entry("/wall", "wall.title", (P.SEE_LIVE,)),
                    Entry("/promises", "promises.title", (P.MANAGE_SEATS,)),
                    Entry("/staffing", "staffing.title", (P.SEE_REPORTS, P.MANAGE_SEATS)))),
    ("menu.calls", (Entry("/calls", "calls.title", (P.SETTLE_CALLS,)),
                    Entry("/recordings", "recordings.title", (P.LISTEN,)))),
    ("menu.appeals", (Entry("/messages", "inbox.title", (P.ANSWER_MESSAGES,)),
                      Entry("/appeals", "appeals.title", (P.SEE_APPEALS,)),
                      Entry("/control", "control.title", (P.WATCH,)),
                      Entry("/incidents", "incidents.title", (P.SEE_APPEALS,)))),
    ("menu.word", (Entry("/confirmations", "confirmations.title", (P.CALL_BACK,)),
                   Entry("/campaigns", "campaign.title", (P.CALL_BACK, P.MANAGE_SEATS)),
                   Entry("/notices", "notice.title", (P.CALL_BACK,)))),
    ("", (Entry("/knowledge", "knowledge.title", (P.SEE_KNOWLEDGE,)),)),
    ("", (Entry("/reports", "reports.title", (P.SEE_REPORTS,)),)),
    ("menu.rules", (Entry("/rules", "rules.title", (P.EDIT_RULES,)),
                    Entry("/people", "people.title", (P.MANAGE_PEOPLE,)),
                    Entry("/import", "import.menu", (P.IMPORT,)), Entry("/privacy", "privacy.title", (P.PRIVACY,)))),
)  # fmt: skip


def menu(may: Callable[[Permission], bool], path: str) -> list[Group]:
    """A group of which this person may open one page alone is that page by itself. ``path``: what is shown now."""
    groups = []
    for name, entries in _MENU:
        open = [entry for entry in entries if any(may(need) for need in entry.needs)]
        here = next((entry for entry in open if f"{path}/".startswith(f"{entry.address}/")), None)
        if open:
            groups.append(Group(name if len(open) > 1 else "", open, here))
    return groups
