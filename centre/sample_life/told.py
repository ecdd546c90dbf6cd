"""The month's report as a control department would write it, in plain lines; the figures are ``crm.report``'s."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from sqlalchemy import Connection, func, select

from centre.texts import sentence
from crm import rulebook
from crm.figures import Tally
from crm.incidents import State as IncidentState
from crm.report import Report
from crm.schema import appeal, department, incident, subject

DEPARTMENTS = 12  # in the table: those with the most appeals
FEW = 30  # executed by a department: below it a share says little
WORST = 3

_Say = Callable[..., str]


def told(conn: Connection, report: Report, language: str) -> Iterator[str]:
    """Line by line, for a terminal."""

    def say(key: str, **values: object) -> str:
        return sentence(f"month.{key}", language, **values)

    names = {row.id: row.name for row in conn.execute(select(department.c.id, department.c.name))}
    all_of_it, happened = report.cohort, report.happened
    registered = all_of_it["registered"]
    yield say("title", first=f"{report.period.first:%d.%m.%Y}", last=f"{report.period.last:%d.%m.%Y}")
    yield ""
    yield say("registered", count=_n(registered), a_day=_n(round(registered / report.period.days)))
    yield say("subjects", shares=_shares(_by_branch(conn, report, language), registered, 6))
    yield say("channels", shares=_shares({say(f"channel.{name}"): tally["registered"] for (name,), tally
                                          in report.cube.by("channel").items()}, registered, 7))  # fmt: skip
    yield say("repeated", count=_n(all_of_it["repeated"]), share=_percent(all_of_it["repeated"], registered))
    opened, joined = _incidents(conn)
    yield say("incidents", count=_n(opened), joined=_n(joined))
    yield ""
    executed = all_of_it["executed"]
    yield say("executed", count=_n(executed), share=_percent(executed, registered),
              on_time=_percent(all_of_it["on_time"], executed))  # fmt: skip
    yield say("hours", median=all_of_it.percentile(50), p90=all_of_it.percentile(90))
    yield say("confirmed", count=_n(all_of_it["confirmed"]), share=_percent(all_of_it["confirmed"], executed))
    yield say("returned", count=_n(all_of_it["returned"]), share=_percent(all_of_it["returned"], executed),
              words=_n(happened["returned"]))  # fmt: skip
    yield say("unconfirmed", count=_n(all_of_it["unconfirmed"]), share=_percent(all_of_it["unconfirmed"], executed))
    yield say("other", **{name: _n(all_of_it[name]) for name in (
        "explained", "planned", "refused", "forwarded", "defective", "withdrawn")})  # fmt: skip
    lying: Counter[str] = sum(report.lying.values(), Counter())
    yield say("lying", open=_n(all_of_it["open"]), overdue=_n(lying["overdue"]),
              unacknowledged=_n(lying["unacknowledged"]))  # fmt: skip
    yield say("measures", extended=_n(happened["extended"]), reprimanded=_n(happened["reprimanded"]))
    yield ""
    yield from _calls(report, say)
    yield ""
    yield say("departments")
    yield f"{'':<52} " + " ".join(f"{say(f'column.{name}'):>10}" for name in _COLUMNS)
    most = sorted(_by_department(report).items(), key=lambda each: -each[1]["registered"])
    for id, tally in most[:DEPARTMENTS]:
        cells = (*_cells(tally), _n(report.lying.get(id, Counter())["overdue"]))
        yield f"{_short(names[id], 52):<52} " + " ".join(f"{cell:>10}" for cell in cells)
    yield ""
    yield from _conclusions(report, names, say)


_COLUMNS = ("registered", "executed", "on_time", "confirmed", "returned", "median", "overdue")


def _cells(tally: Tally) -> tuple[str, ...]:
    median = tally.percentile(50)
    return (_n(tally["registered"]), _percent(tally["executed"], tally["registered"]),
            _percent(tally["on_time"], tally["executed"]), _percent(tally["confirmed"], tally["executed"]),
            _percent(tally["returned"], tally["executed"]), "—" if median is None else str(median))  # fmt: skip


def _calls(report: Report, say: _Say) -> Iterator[str]:
    calls, ours = report.calls, report.callbacks
    if not calls["offered"]:
        return
    yield say("calls", offered=_n(calls["offered"]), answered=_percent(calls["answered"], calls["offered"]),
              abandoned=_percent(calls["abandoned"], calls["offered"]), wait=round(calls.mean_wait_s or 0),
              p90=calls.p90_wait_s, level=f"{100 * (calls.service_level(20) or 0):.0f}\u00a0%")  # fmt: skip
    yield say("callbacks", placed=_n(ours.placed), reached=_percent(ours.reached, ours.placed),
              machine=_percent(ours.by_machine, ours.placed))  # fmt: skip


def _conclusions(report: Report, names: Mapping[int, str], say: _Say) -> Iterator[str]:
    """Whom to ask why: where residents say most often that it is not done, and where most is late."""
    judged = [(tally["returned"] / tally["executed"], tally["returned"], tally["executed"], names[id])
              for id, tally in _by_department(report).items() if tally["executed"] >= FEW]  # fmt: skip
    late = [(count["overdue"], names[id]) for id, count in report.lying.items() if count["overdue"]]
    if judged:
        worst = [f"{name} ({_percent(back, of)})" for _, back, of, name in sorted(judged, reverse=True)[:WORST]]
        yield say("most_returned", departments="; ".join(worst))
    if late:
        latest = [f"{name} ({_n(count)})" for count, name in sorted(late, reverse=True)[:WORST]]
        yield say("most_overdue", departments="; ".join(latest))


def _by_department(report: Report) -> dict[int, Tally]:
    return {id: tally for id, tally in report.departments.items() if isinstance(id, int)}


def _by_branch(conn: Connection, report: Report, language: str) -> dict[str, int]:
    """By the topmost subject."""
    named = subject.c.name_uk if language == "uk" else subject.c.name_en
    names = {row[0]: row[1] for row in conn.execute(select(subject.c.id, named))}
    chains = rulebook.current(conn).routing.chains
    tallies = report.cube.by("subject", name=lambda id: names[chains[id][-1]])
    return {name: tally["registered"] for name, tally in tallies.items()}


def _incidents(conn: Connection) -> tuple[int, int]:
    """How many were opened, and how many appeals joined them."""
    opened = incident.c.state.not_in([IncidentState.PROPOSED.value, IncidentState.DISMISSED.value])
    both = (select(func.count()).where(opened), select(func.count()).where(appeal.c.incident_id.is_not(None)))
    first, second = (int(conn.execute(each).scalar_one()) for each in both)
    return first, second


def _shares(counts: Mapping[str, int], total: int, most: int) -> str:
    largest = sorted(counts.items(), key=lambda each: -each[1])[:most]
    return ", ".join(f"{name.lower()} {_percent(count, total)}" for name, count in largest)


def _n(number: int) -> str:
    """1 234, with a space that does not break."""
    return f"{number:,}".replace(",", "\u00a0")


def _percent(part: int, of: int) -> str:
    return f"{100 * part / of:.0f}\u00a0%" if of else "—"


def _short(name: str, width: int) -> str:
    return name if len(name) <= width else name[: width - 1] + "…"
