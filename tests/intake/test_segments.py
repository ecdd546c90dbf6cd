"""How many messages of the network a text is, against known ones and against the definition, letter by letter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.segments import Alphabet, segments

GSM, UCS = Alphabet.GSM_7, Alphabet.UCS_2


@pytest.mark.parametrize(("text", "alphabet", "units", "count"), [
    ("", GSM, 0, 1),
    ("a" * 160, GSM, 160, 1), ("a" * 161, GSM, 161, 2), ("a" * 306, GSM, 306, 2), ("a" * 307, GSM, 307, 3),
    ("€" * 80, GSM, 160, 1), ("€" * 81, GSM, 162, 2),
    ("a" * 152 + "€" + "a" * 8, GSM, 162, 2),  # the sign is of the second part: it is not cut
    ("€" * 153, GSM, 306, 3),  # 76 in each part, and one unit is left over
    ("@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ ¤¡ÄÖÑÜ§¿äöñüà", GSM, 45, 1), ("^{}\\[~]|€\f", GSM, 20, 1),
    ("ï" * 70, UCS, 70, 1), ("a" * 70 + "ï", UCS, 71, 2), ("`" * 160, UCS, 160, 3),
    ("ж" * 70, UCS, 70, 1), ("ж" * 71, UCS, 71, 2), ("ж" * 134, UCS, 134, 2), ("ж" * 135, UCS, 135, 3),
    ("Ukraine’", UCS, 8, 1), ("ґ", UCS, 1, 1), ("№ 26000123", UCS, 10, 1), ("– «так»", UCS, 7, 1),
    ("😀" * 35, UCS, 70, 1), ("😀" * 36, UCS, 72, 2),
    ("😀" * 67, UCS, 134, 3),  # 33 in each part: none is cut in two
])  # fmt: skip
def test_known_ones(text: str, alphabet: Alphabet, units: int, count: int) -> None:
    its = segments(text)
    assert (its.alphabet, its.units, its.count) == (alphabet, units, count)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=400))
def test_units_are_those_of_utf16_where_any_letter_is_foreign(text: str) -> None:
    its = segments(text + "ї")
    assert (its.alphabet, its.units) == (UCS, len((text + "ї").encode("utf-16-le")) // 2)
    assert its.count == 1 if its.units <= 70 else its.units <= its.count * 67 <= its.units + its.count + 67


@given(st.text(alphabet="aZ9 @Ω€[~\n", max_size=700))
def test_units_of_the_networks_own_alphabet(text: str) -> None:
    its = segments(text)
    assert (its.alphabet, its.units) == (GSM, len(text) + sum(letter in "€[~" for letter in text))
    assert its.count == 1 if its.units <= 160 else its.units <= its.count * 153 <= its.units + its.count + 153


@given(st.text(max_size=300), st.text(max_size=30))
def test_more_words_are_never_fewer_messages(text: str, more: str) -> None:
    assert segments(text + more).count >= segments(text).count
