"""What comes from outside: texts, call ids, telephone numbers."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm import texts
from crm.errors import BadInput
from crm.phones import display, may_call, parse_phone

HOSTILE = st.text(st.characters(), max_size=80) | st.sampled_from([
    "0441234567\r\nAction: Originate", "${SHELL(id)}", "&PJSIP/101", '"><script>', "0441234567;DROP TABLE appeal",
    "+380441234567\x00", "٠٤٤١٢٣٤٥٦٧", "０４４１２３４５６７", "101", "1551", "anonymous", "+" * 40, "0" * 10_000,
])  # fmt: skip


@pytest.mark.parametrize("raw", ["0441234567", "380441234567", "+380441234567", "00380441234567", "1234567",
                                 "+38 (044) 123-45-67", " 044 123 45 67", b"0441234567"])  # fmt: skip
def test_one_number_in_all_its_spellings(raw: str | bytes) -> None:
    assert parse_phone(raw) == "+380441234567"


@pytest.mark.parametrize(("raw", "e164"), [("0671234567", "+380671234567"), ("+48221234567", "+48221234567"),
                                           ("0048221234567", "+48221234567")])  # fmt: skip
def test_mobiles_and_foreign_numbers(raw: str, e164: str) -> None:
    assert parse_phone(raw) == e164


@pytest.mark.parametrize("raw", [None, "", b"", "1551", "101", "seat101", "anonymous", "04412345678", "044123456",
                                 "+380441234567\r\n", "+380441234567\x00", "٠٤٤١٢٣٤٥٦٧", "０４４１２３４５６７",
                                 "0441234567,,1", "044123456a", b"\xff\xfe0441234567", "+0441234567",
                                 "0" * 9000])  # fmt: skip
def test_what_is_no_number_is_nothing(raw: str | bytes | None) -> None:
    assert parse_phone(raw) == ""


@given(HOSTILE | st.binary(max_size=60))
def test_a_parsed_number_is_safe_anywhere_and_parses_to_itself(raw: str | bytes) -> None:
    e164 = parse_phone(raw)
    assert e164 == "" or (e164[0] == "+" and e164[1:].isascii() and e164[1:].isdigit() and 6 <= len(e164) <= 16)
    assert parse_phone(e164) == e164


def test_shown_to_people() -> None:
    assert display("+380441234567") == "+380 44 123 4567"
    assert display("") == ""


def test_only_allowed_destinations_may_be_called() -> None:
    assert may_call("+380441234567", ["+380"])
    assert not may_call("+12025550123", ["+380"])
    assert not may_call("", [""])
    assert not may_call("+380441234567", [])


@given(HOSTILE)
def test_a_cleaned_line_can_be_kept_shown_and_cleaned_again(raw: str) -> None:
    try:
        kept = texts.line(raw, 60)
    except BadInput:
        assert len(raw) > 60
        return
    assert len(kept) <= 60
    assert not {unicodedata.category(letter) for letter in kept} & {"Cc", "Cs", "Zl", "Zp"}
    assert kept.encode().decode() == kept == unicodedata.normalize("NFC", kept) == texts.line(kept, 60)


def test_letters_survive_cleaning() -> None:
    assert texts.line("  Ґанок\u0000 під'їзду №3 «А»\t\r\nйде вода ", 99) == "Ґанок під'їзду №3 «А» йде вода"
    assert texts.text("перше \r\nдруге\x00\n\n", 99) == "перше\nдруге"
    assert texts.line("Їжак", 4) == "Їжак"  # the two dots as a letter of its own are one letter


def test_a_name_cannot_turn_the_text_around() -> None:
    assert texts.line("Іван\u202eнаві", 20) == "Іваннаві"


@pytest.mark.parametrize("linkedid", ["1764000000.12", "cb-0a1b2c", "asterisk1-1764000000.12"])
def test_call_ids_as_asterisk_makes_them(linkedid: str) -> None:
    assert texts.linkedid(linkedid) == linkedid


@pytest.mark.parametrize("linkedid", ["", "1.1\r\nAction: x", "${LINKEDID}", "a" * 65, "1.1 ", "-x", "é.1", "1.1\n"])
def test_other_call_ids_are_refused(linkedid: str) -> None:
    with pytest.raises(BadInput, match=r"linkedid\.malformed"):
        texts.linkedid(linkedid)
