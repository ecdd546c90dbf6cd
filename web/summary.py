"""A report in words, as a control department writes it: the numbers that matter, in whole sentences."""

from __future__ import annotations

from collections.abc import Sequence

from crm.call_figures import SERVICE
from crm.report import Report
from web.reporting import Asked, Row
from web.tables import Grouped, percent
from web.texts import Texts

MOST_NAMED = 3
NAMED_FROM = 20  # registered: of fewer, a department's share says nothing


def summary(asked: Asked, made: Report, subjects: Sequence[Row], departments: Sequence[Row]) -> list[str]:
    """Paragraphs. ``subjects``, ``departments``: the largest first."""
    if not made.cohort["registered"] and not made.calls["arrived"]:
        return [asked.t("told.nothing", period=asked.words)]
    found = (_registered(asked, made, subjects), _executed(asked.t, made), _confirmed(asked.t, made, departments),
             _lying(asked, made), _calls(asked.t, made), _callbacks(asked.t, made))  # fmt: skip
    return [" ".join(sentences) for sentences in found if sentences]


def counted(t: Texts, key: str, count: int) -> str:
    """The number with its noun, in the form that the sentence wants."""
    return t(f"counted.{key}", n=Grouped(count, t.language))


def _registered(asked: Asked, made: Report, subjects: Sequence[Row]) -> list[str]:
    t, n = asked.t, made.cohort["registered"]
    said = [t("told.registered", period=asked.words, appeals=counted(t, "appeals", n))]
    if made.before and n:
        change = n / made.before - 1
        key = "same" if abs(change) < 0.0005 else "more" if change > 0 else "fewer"
        said.append(t(f"told.{key}", change=percent(abs(change), t.language),
                      before=counted(t, "appeals", made.before)))  # fmt: skip
    if n and subjects:
        named = ", ".join(t("told.part", name=row.name, share=percent(row.tally["registered"] / n, t.language))
                          for row in subjects[:MOST_NAMED] if row.tally["registered"])  # fmt: skip
        said.append(t("told.subjects", named=named))
    if made.cohort["repeated"]:
        said.append(t("told.repeated", appeals=counted(t, "appeals", made.cohort["repeated"]),
                      share=percent(made.cohort.share("repeated"), t.language)))  # fmt: skip
    return said


def _executed(t: Texts, made: Report) -> list[str]:
    cohort = made.cohort
    half, most = cohort.percentile(50), cohort.percentile(90)
    if not cohort["executed"] or half is None or most is None:
        return []
    return [
        t("told.executed", appeals=counted(t, "of_appeals", cohort["executed"]),
          share=percent(cohort.share("executed"), t.language), on_time=percent(cohort.share("on_time"), t.language)),
        t("told.took", half=counted(t, "within_hours", half + 1), most=counted(t, "within_hours", most + 1)),
    ]  # fmt: skip


def _confirmed(t: Texts, made: Report, departments: Sequence[Row]) -> list[str]:
    cohort = made.cohort
    if not cohort["executed"]:
        return []
    said = [
        t("told.confirmed", appeals=counted(t, "of_appeals", cohort["confirmed"]),
          share=percent(cohort.share("confirmed"), t.language)),
        t("told.returned", appeals=counted(t, "appeals", cohort["returned"]),
          share=percent(cohort.share("returned"), t.language)),
    ]  # fmt: skip
    if cohort["unconfirmed"]:
        said.append(t("told.unconfirmed", appeals=counted(t, "of_appeals", cohort["unconfirmed"])))
    shares = sorted((share, row.name) for row in departments if row.tally["executed"] >= NAMED_FROM
                    and (share := row.tally.share("confirmed")) is not None)  # fmt: skip
    if len(shares) > 1:
        (least, worst), (most, best) = shares[0], shares[-1]
        said.append(t("told.best_and_worst", best=best, most=percent(most, t.language), worst=worst,
                      least=percent(least, t.language)))  # fmt: skip
    return said


def _lying(asked: Asked, made: Report) -> list[str]:
    t = asked.t
    overdue = sum(lying["overdue"] for lying in made.lying.values())
    if not overdue:
        return []
    key, most = max(made.lying.items(), key=lambda item: (item[1]["overdue"], -item[0]))
    return [t("told.overdue", appeals=counted(t, "appeals", overdue), department=asked.names.departments[key],
              most=Grouped(most["overdue"], t.language))]  # fmt: skip


def _calls(t: Texts, made: Report) -> list[str]:
    calls = made.calls
    if not calls["arrived"]:
        return []
    said = [t("told.calls", calls=counted(t, "calls", calls["arrived"]),
              offered=Grouped(calls["offered"], t.language))]  # fmt: skip
    if calls["offered"]:
        said.append(t("told.answered", answered=percent(calls["answered"] / calls["offered"], t.language),
                      level=percent(calls.service_level(SERVICE[1]), t.language), seconds=SERVICE[1],
                      abandoned=percent(calls.abandonment, t.language)))  # fmt: skip
    if calls["answered"]:
        said.append(t("told.waited", wait=t.lasting(calls.mean_wait_s), talk=t.lasting(calls.mean_handled_s)))
    if calls["consulted"]:
        said.append(t("told.consulted", calls=counted(t, "calls", calls["consulted"])))
    return said


def _callbacks(t: Texts, made: Report) -> list[str]:
    if not made.callbacks.placed:
        return []
    return [t("told.callbacks", calls=counted(t, "calls", made.callbacks.placed),
              reached=Grouped(made.callbacks.reached, t.language),
              confirmed=Grouped(made.by_callback["confirmed"], t.language),
              returned=Grouped(made.by_callback["returned"], t.language),
              unconfirmed=Grouped(made.by_callback["unconfirmed"], t.language))]  # fmt: skip
