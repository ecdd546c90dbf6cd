"""The catalogues of the pages' sentences: alike in both languages, whole, and right where they count."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from babel import Locale

from call_queue.surge_rules import Sign
from call_queue.surging import ALERT
from call_queue.tracker import SeatState, TrunkState
from centre.settings import Settings
from crm import (
    api_keys,
    appeals,
    calls,
    campaign_figures,
    campaign_rules,
    departments,
    imports,
    inbox,
    incidents,
    messages,
    networks,
    notices,
    public,
    public_figures,
    recognised,
    repeats,
    schema,
    staffing,
    surges,
)
from crm.callers import Ground
from crm.calls import EndCause, Outcome, Queue, Skill
from crm.confirmation_rules import Reached, Result
from crm.control import Watched
from crm.deadlines import Event, Tell
from crm.errors import BadInput
from crm.figures import COHORT, DIMENSIONS, NOW, OPERATOR
from crm.knowledge import ContactKind
from crm.knowledge import Kind as Told
from crm.law import ALLOWED, Kind, Privilege
from crm.life import Action, State
from crm.people import FOR_ACTION, Permission, Role
from crm.promise_rules import Reason as PromiseReason
from crm.ratings import FATES
from crm.routing import Lost, Reason, Unable
from crm.stages import Awaited, Step
from crm.supervision import Deed, Ear
from crm.wrap_up import Lack
from recordings.files import State as RecordingState
from web.pages import card, line, reports, rules
from web.pages import inbox as inbox_pages
from web.pages.staffing import ASKED, COLUMNS, REAL
from web.portal import api, file
from web.reporting import CALL_COLUMNS, CALL_COUNTS, PERCENTILES, SEAT_COLUMNS, SHARES
from web.texts import LANGUAGES, Texts, texts

ROOT = Path(__file__).parents[2]
UK, EN = texts("uk"), texts("en")
TRUNKS = ("landline", "mobile")

FIGURES = tuple({*COHORT, *PERCENTILES, *NOW, *CALL_COUNTS, *CALL_COLUMNS, *SEAT_COLUMNS, "placed", "reached",
                 "unreached", "by_machine", *reports.RATED})  # fmt: skip
# What an edit of the rules may name: a column of theirs, an edition's own, and which buildings a network has.
RULE_FIELDS = tuple({column.name for name in rules.EDITED for column in schema.metadata.tables[
    {"routing": "routing_rule"}.get(name, name)].c} - {"id", "version_id", "position", "day"}
    | {"state", "note", "buildings"})  # fmt: skip
# A key that a page puts together: its beginning, and all that may follow.
BUILT: dict[str, tuple[str, ...]] = {
    "role.": tuple(Role), "permission.": tuple(Permission), "import.of.": tuple(imports.KINDS),
    "privacy.log_of.": ("citizen", "appeal", "staff"), "privacy.direction_": ("in", "out"),
    "channel.": appeals.CHANNELS, "state.": tuple(State), "event.": tuple(Action),
    "action.": tuple(a for a in FOR_ACTION if a not in (Action.REGISTER, Action.CONFIRM, Action.NOT_SOLVED)),
    "law.kind.": tuple(Kind), "control.list.": tuple(Watched),
    "announcement.sound_": ("uk", "en"), "announcement.text_": ("uk", "en"),
    "announcement.said_": ("solved", "not_solved"),
    "notice.kind.": tuple(notices.Kind), "notice.state.": ("due", "call", "sending", "sent", "told", "void"),
    "notice.way.": (*notices.WRITTEN, notices.Way.PHONE), "notice.delivered.": ("delivered", *notices.BAD),
    "notice.why.": ("stopped", "undelivered", "failed", "off", "window", "bad_address", "no_address", "no_phone"),
    "appeals.near_": ("citizen", "building"), "law.privilege.": ("none", *Privilege),
    "result.": tuple(Result), "reached.": tuple(Reached), "outcome.": tuple(Outcome),
    "end_cause.": tuple(EndCause), "skill.": tuple(Skill),
    "promises.reasons.": tuple(PromiseReason), "promises.priorities.": ("emergency", "privileged"),
    "staffing.kind_": tuple(staffing.Kind), "staffing.if_": tuple(ASKED),
    "staffing.column_": (*COLUMNS, *REAL),
    "reason.": tuple(repeats.Reason), "incident_state.": tuple(incidents.State), "network.": networks.KINDS,
    "incidents.": ("open", "amend", "close", "dismiss"),
    "origin.": (*calls.ORIGINS, calls.UNKNOWN_ORIGIN), "recording_state.": tuple(RecordingState),
    "ear.": [f"{ear}{hint}" for ear in Ear for hint in ("", "_hint")], "supervision.deed.": Deed,
    "supervision.told.": tuple(deed for deed in Deed if deed is not Deed.UNPAUSED), "supervision.heard.": Ear,
    "supervision.is_heard.": Ear,
    "seat_state.": tuple(SeatState), "pause.": (*line.PAUSES, ALERT), "queue.": Queue, "trunk.": TRUNKS,
    "trunk_state.": tuple(TrunkState), "live.alarm_": ("line", "asterisk"),
    "department_kind.": departments.KINDS, "edition_state.": ("draft", "live", "retired", "dropped"),
    "edit_what.": rules.EDITED, "rule_field.": RULE_FIELDS, "routing_reason.": tuple(Reason),
    "routing_lost.": tuple(Lost), "routing_unable.": tuple(Unable),
    "law.terms.": tuple(ALLOWED), "escalation.event.": tuple(Event),
    "escalation.days.": tuple(Event), "escalation.tell.": tuple(Tell),
    **{f"knowledge.{each}.": ("articles", "bulletins", "contacts", "replies") for each in ("add", "form")},
    "inbox.views.": tuple(inbox.View), "inbox.states.": tuple(messages.State), "inbox.why.": tuple(messages.Held),
    "inbox.why_do.": tuple(messages.Held), "inbox.closed.": tuple(inbox.Closed), "inbox.offered.": tuple(inbox.Why),
    "inbox.ground.": tuple(recognised.Ground), "inbox.ways.": inbox_pages.WAYS,
    "inbox.sent.": ("due", "sending", "sent", "told", "delivered", "void"),
    "knowledge.kind.": tuple(ContactKind),
    "figure.": FIGURES, "formula.": (*FIGURES, *(f"{name}_share" for name in SHARES)),
    "reports.view_": tuple(reports.VIEWS), "reports.kind_": tuple(Told), "reports.calls_by_": reports.SPANS,
    "reports.column_": (*DIMENSIONS, OPERATOR, *reports.SPANS, "fate"), "reports.by_": (*DIMENSIONS, OPERATOR),
    "reports.crossed_": reports.CROSSED, "reports.behind_view_": ("cohort", *filter(None, reports.BEHIND)),
    "reports.quick_": ("today", "yesterday", "week", "last_week", "month", "last_month"),
    "campaign.state.": tuple(campaign_rules.State), "campaign.modes.": tuple(campaign_rules.Mode),
    "campaign.mode_hint.": tuple(campaign_rules.Mode), "campaign.step.": tuple(campaign_rules.Step),
    "campaign.became.": tuple(campaign_rules.State), "campaign.term.": tuple(campaign_rules.Terms.__dataclass_fields__),
    "campaign.figure.": tuple(campaign_figures.FIGURES), "campaign.figure_hint.": tuple(campaign_figures.FIGURES),
    "campaign.day.": ("placed", "reached", *campaign_figures.ENDS), "campaign.plan_how_": ("seats", "lines"),
    "campaign.why.": ("campaign.outside_hours", "campaign.daily_cap", "campaign.not_running", "callback.inbound_first"),
    "ratings.by_": ("day", OPERATOR, "subject", "fate"), "ratings.fate.": FATES,
    **{f"surge.{each}": tuple(surges.Kind) for each in ("", "hint_", "turn_on_", "turn_off_")}, "sign.": tuple(Sign),
    "call.receipt.": tuple(card.RECEIPTS), "ground.": tuple(Ground), "lack.": tuple(Lack),
    "desk.by.": ("desk", "browser", "desk_hint", "browser_hint"),
    "desk.service.": tuple(Settings.model_fields["emergency_numbers"].default),
    "desk.say.": tuple(re.findall(r"texts\.(\w+)", (ROOT / "web/assets/desk.js").read_text())),
    "api_keys.of_": api_keys.CHANNELS, "georeport.stage.": tuple(public.STAGES),
    "api.field.": (*api.FIELD.values(), "wrong"),
    "public.stage.": public.STAGES, "public.stage_hint.": public.STAGES, "public.standing.": public_figures.STANDING,
    "public.how_": ("share", "days", *public_figures.STANDING),
    "portal.step.": tuple(Step), "portal.awaited.": tuple(Awaited), "portal.way.": file.WAYS,
    "portal.done_": ("added", "handed", "solved", "not_solved"),
    "told.": ("same", "more", "fewer"), "counted.": ("appeals", "of_appeals", "within_hours", "calls"),
}  # fmt: skip
# Shown only where the catalogue has them: an action without a hint has none.
OPTIONAL = {"hint.": tuple(Action), "note.": tuple(Action), "seat_hint.": tuple(SeatState), "done.": None,
            "look.": None, "feedback.fate.": tuple(State)}  # fmt: skip

# What goes wrong where no page is: AMI's and AGI's protocols, a backup, the spool, the settings' file.
ELSEWHERE = ("agi.", "ami.", "backup.", "restore.", "ivr.", "spool.", "clock.", "dump.", "file.", "user.")
PACKAGES = ("crm", "web", "call_queue", "centre", "recordings", "ivr")
ERRORS = {"BadInput", "NotFound", "Stale", "IllegalAction", "NotAllowed", "CentreError"}
# Ids of which a part is filled in, and what with.
FILLED = {"recording.{}": ("open", "expired"), "{}.circle": ("subject", "department"),
          "{}.unknown": ("citizen", "building", "department", "subject", "district", "network")}  # fmt: skip


def placeholders(sentence: str | Mapping[str, str]) -> set[str]:
    forms = [sentence] if isinstance(sentence, str) else list(sentence.values())
    return {name for form in forms for name in re.findall(r"\{(\w+)\}", form)}


def test_both_catalogues_have_the_same_keys() -> None:
    assert UK.sentences.keys() == EN.sentences.keys()


def test_a_sentence_is_alike_in_both_languages() -> None:
    for key, uk in UK.sentences.items():
        en = EN.sentences[key]
        assert isinstance(uk, str) is isinstance(en, str), f"{key}: both count, or neither"
        assert placeholders(uk) == placeholders(en), key
        for sentence in (uk, en):
            for form in [sentence] if isinstance(sentence, str) else sentence.values():
                assert form == form.strip() != "", key


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_counts_has_every_plural_form_of_its_language(language: str) -> None:
    rules = Locale(language).plural_form
    needed = set(rules.tags) | {"other"}
    counting = {key: s for key, s in texts(language).sentences.items() if not isinstance(s, str)}
    assert counting
    for key, forms in counting.items():
        assert forms.keys() == needed, key
        for n in range(200):
            assert str(n) in texts(language)(key, n=n)


@pytest.mark.parametrize(("n", "calls_", "tries", "returns"), [
    (0, "0 дзвінків", "0 спроб", "повернуто 0 разів"), (1, "1 дзвінок", "1 спроба", "повернуто 1 раз"),
    (2, "2 дзвінки", "2 спроби", "повернуто 2 рази"), (4, "4 дзвінки", "4 спроби", "повернуто 4 рази"),
    (5, "5 дзвінків", "5 спроб", "повернуто 5 разів"), (11, "11 дзвінків", "11 спроб", "повернуто 11 разів"),
    (14, "14 дзвінків", "14 спроб", "повернуто 14 разів"), (21, "21 дзвінок", "21 спроба", "повернуто 21 раз"),
    (22, "22 дзвінки", "22 спроби", "повернуто 22 рази"), (111, "111 дзвінків", "111 спроб", "повернуто 111 разів"),
])  # fmt: skip
def test_ukrainian_counts_as_people_do(n: int, calls_: str, tries: str, returns: str) -> None:
    assert (UK("live.trunk_calls", n=n), UK("confirmations.tries", n=n), UK("appeal.returns", n=n)) == (
        calls_, tries, returns)  # fmt: skip


def test_ukrainian_is_written_with_its_own_signs() -> None:
    """One apostrophe, its own quotation marks, no Russian letter, no Latin letter that looks like one of ours."""
    for key, sentence in UK.sentences.items():
        for form in [sentence] if isinstance(sentence, str) else sentence.values():
            words = re.sub(r"\{\w+\}", "", form)
            assert not re.search(r"['ʼ`\"“”]|[ыэъё]", words, re.IGNORECASE), (key, form)
            assert not re.search(r"[А-Яа-яҐґЄєІіЇї][A-Za-z]|[A-Za-z][А-Яа-яҐґЄєІіЇї]", words), (key, form)


# ── every key that a page asks for is there ──
def asked_in_templates() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "web" / "templates").rglob("*.html")):
        text = path.read_text()
        for asked in re.findall(r"""\bt\(["']([\w.-]+)["'][,)]""", text):
            yield path.name, asked
        for one, other in re.findall(r'\bt\("([\w.]+)" if [^)]*? else "([\w.]+)"', text):
            yield from ((path.name, one), (path.name, other))


def test_every_key_of_a_template_is_in_the_catalogue() -> None:
    asked = list(asked_in_templates())
    assert len(asked) > 100
    assert [(name, key) for name, key in asked if key not in UK] == []


def test_every_key_that_is_put_together_is_in_the_catalogue() -> None:
    for beginning, ends in BUILT.items():
        for end in ends:
            assert beginning + end in UK, beginning + end
    beginnings = {found for path in (ROOT / "web" / "templates").rglob("*.html")
                  for found in re.findall(r'"([a-z_]+\.[a-z_]*)" ~', path.read_text())}  # fmt: skip
    assert beginnings <= BUILT.keys() | OPTIONAL.keys(), "a new one: put it into the table above"


def test_no_sentence_is_left_that_nothing_asks_for() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "web").rglob("*.py"))
    asked = {key for _, key in asked_in_templates()} | set(re.findall(r'"([a-z_]+\.[\w.]+)"', code))
    asked |= set(re.findall(r'"([a-z_]+\.[a-z_]+)"', "".join(
        path.read_text() for path in (ROOT / "web" / "templates").rglob("*.html"))))  # fmt: skip
    built = tuple(BUILT.keys() | OPTIONAL.keys())
    left = [key for key in UK.sentences if key not in asked and not key.startswith(("error.", *built))]
    assert left == []


def test_optional_beginnings_name_nothing_that_does_not_exist() -> None:
    for beginning, ends in OPTIONAL.items():
        for key in UK.sentences if ends else ():
            if key.startswith(beginning):
                assert key.removeprefix(beginning) in ends, key


# ── every error that can reach a page has its sentence ──
def raised() -> Iterator[tuple[str, str, set[str] | None]]:
    """(where, id with {} for a part that is filled in, names of its details or None when they are not written out)."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
                    continue
                if node.func.id in ERRORS and (id := literal(node.args[0])):
                    names = {keyword.arg for keyword in node.keywords}
                    where = f"{path.relative_to(ROOT)}:{node.lineno}"
                    yield where, id, None if None in names else {name for name in names if name}


def literal(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(part) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return ""


def fields_asked() -> Iterator[tuple[str, str]]:
    """The fields that pages read with a method that names its own error: ``form.no_<name>``."""
    for path in sorted((ROOT / "web" / "pages").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                needed = node.func.attr in ("number", "choice", "day", "moment")
                needed |= node.func.attr == "text" and any(k.arg == "required" for k in node.keywords)
                name = literal(node.args[0])
                if needed and name and ast.unparse(node.func.value) != "visit":
                    yield f"{path.name}:{node.lineno}", name


def test_every_error_has_a_sentence_that_its_details_fill() -> None:
    found = list(raised())
    assert len(found) > 100
    wrong = []
    for where, pattern, details in found:
        if pattern.startswith(ELSEWHERE) or pattern == "form.no_{}":
            continue
        for id in [pattern.replace("{}", part) for part in FILLED[pattern]] if "{}" in pattern else [pattern]:
            if f"error.{id}" not in UK:
                wrong.append(f"{where}: no sentence error.{id}")
            elif details is not None and not placeholders(UK.sentences[f"error.{id}"]) <= details:
                wrong.append(f"{where}: {id} lacks {placeholders(UK.sentences[f'error.{id}']) - details}")
    assert wrong == []


def test_every_field_that_may_be_wrong_has_a_sentence() -> None:
    asked = list(fields_asked())
    assert len(asked) > 15
    assert [(where, name) for where, name in asked if f"error.form.no_{name}" not in UK] == []


def test_what_keeps_a_callback_from_being_placed_has_a_sentence() -> None:
    """Ids that ``forbidden`` returns and the line raises."""
    source = (ROOT / "crm" / "confirmation_rules.py").read_text()
    ids = set(re.findall(r'return "(callback\.\w+)"', source))
    assert len(ids) >= 4
    assert {id for id in ids if f"error.{id}" not in UK} == set()


def test_an_error_without_a_sentence_is_still_told(caplog: pytest.LogCaptureFixture) -> None:
    for error in (BadInput("nobody.wrote_this"), BadInput("text.too_long")):
        assert UK.error(error) == UK("error.error")
        assert error.id in caplog.text


def test_times_are_written_as_the_script_writes_them() -> None:
    for seconds, written in ((None, "—"), (0, "0:00"), (-3, "0:00"), (65.9, "1:05"), (3600, "1:00:00")):
        assert Texts.lasting(UK, seconds) == written
