"""A form made plain, whatever came over the wire."""

from __future__ import annotations

import unicodedata
from datetime import date
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.errors import BadInput
from web import forms
from web.forms import Form

TEXT = st.text(st.characters(codec="utf-8"), max_size=200)
KIND = "application/x-www-form-urlencoded"


def parsed(fields: object) -> Form:
    return forms.parse(urlencode(fields).encode(), KIND)  # type: ignore[arg-type]


@given(fields=st.dictionaries(TEXT, TEXT, max_size=20))
def test_what_was_typed_is_what_is_read(fields: dict[str, str]) -> None:
    form = parsed(fields)
    for name in fields:
        others = [other for other in fields if forms.clean(other) == forms.clean(name)]
        assert form[forms.clean(name)] == forms.clean(fields[others[-1]])


@given(values=st.lists(TEXT, min_size=1, max_size=5))
def test_a_field_sent_twice_keeps_its_last_value(values: list[str]) -> None:
    assert parsed([("a", value) for value in values])["a"] == forms.clean(values[-1])


@given(name=TEXT)
def test_an_absent_field_is_empty(name: str) -> None:
    form = Form({})
    assert form[name] == ""
    assert (form.text(name, 10), form.number(name), form.day(name), form.ticked(name)) == ("", None, None, False)
    assert form.problems == {}


@given(typed=st.text(max_size=300))
def test_cleaned_text_is_clean_and_stays_so(typed: str) -> None:
    clean = forms.clean(typed)
    assert forms.clean(clean) == clean
    assert unicodedata.is_normalized("NFC", clean)
    assert clean == clean.strip()
    assert not [c for c in clean if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    clean.encode("utf-8")


@given(raw=st.binary(max_size=300), kind=st.sampled_from([KIND, KIND + "; charset=utf-8", "text/plain", ""]))
def test_any_bytes_are_a_form_or_a_sentence(raw: bytes, kind: str) -> None:
    for read in (lambda: forms.parse(raw, kind), lambda: forms.query(raw)):
        try:
            form = read()
        except BadInput as error:
            assert error.id in ("form.unreadable", "text.too_long")  # noqa: PT017
        else:
            assert all(isinstance(value, str) for value in form.values())


@given(value=TEXT, most=st.integers(0, 50), required=st.booleans())
def test_a_text_is_bounded_or_a_problem(value: str, most: int, required: bool) -> None:
    form = Form({"note": forms.clean(value)})
    taken = form.text("note", most, required=required)
    assert len(taken) <= most
    assert taken == form["note"] or "note" in form.problems
    assert ("note" in form.problems) == (len(form["note"]) > most or (required and not form["note"]))


@given(value=st.one_of(TEXT, st.integers().map(str), st.from_regex(r"[0-9 ]{1,12}", fullmatch=True)))
def test_a_number_is_one_that_a_database_takes(value: str) -> None:
    form = Form({"id": forms.clean(value)})
    number = form.number("id", required=True)
    assert (number is None) == ("id" in form.problems)
    if number is not None:
        assert 0 < number < 2**31
        assert int("".join(value.split())) == number


@pytest.mark.parametrize("value", ["0", "-1", "+1", "1.0", "1e3", "١٢٣", "²", "1_000", "9999999999", "0x10", " "])
def test_what_only_looks_like_a_number_is_none(value: str) -> None:
    assert forms.whole(value) is None


@given(day=st.dates())
def test_a_day_is_read_as_browsers_send_it(day: date) -> None:
    assert Form({"until": day.isoformat()}).day("until") == day


@given(value=TEXT)
def test_no_text_as_a_day_is_more_than_a_problem(value: str) -> None:
    form = Form({"until": forms.clean(value)})
    day = form.day("until", required=True)
    assert (day is None) == ("until" in form.problems)


@given(value=TEXT, required=st.booleans())
def test_a_choice_is_among_what_was_offered(value: str, required: bool) -> None:
    form = Form({"state": forms.clean(value)})
    assert form.choice("state", frozenset({"solved", "partly"}), required=required) in ("", "solved", "partly")
    assert ("state" in form.problems) == (form["state"] not in ("solved", "partly") and bool(form["state"] or required))


def test_the_first_problem_of_a_field_is_kept() -> None:
    form = Form({})
    form.wrong("name", BadInput("form.no_name"))
    form.wrong("name", BadInput("text.too_long"))
    assert form.problems["name"].id == "form.no_name"


def test_absurdly_many_fields_are_refused() -> None:
    assert len(parsed([(str(n), "x") for n in range(forms.MAX_FIELDS)])) == forms.MAX_FIELDS
    with pytest.raises(BadInput):
        parsed([(str(n), "x") for n in range(forms.MAX_FIELDS + 1)])


def test_two_showings_of_a_form_have_different_marks() -> None:
    assert len({forms.once() for _ in range(100)}) == 100
