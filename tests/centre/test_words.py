"""What residents read: complete in both languages, plain, and short where each letter is paid for."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centre.texts import LANGUAGES
from centre.words import MOST_SEGMENTS, Words
from crm import tokens
from crm.outbox import About, Going
from crm.telling import ASKS, FOLLOWS, Kind, Way
from intake.segments import segments
from tests.crm.conftest import NOON

SECRET = "secret"
TOLD = sorted({*FOLLOWS.values(), Kind.RECEIPT, Kind.REMINDED})
# As the city's own lists have them: the longest subject, the longest office.
SUBJECT = "Незадовільний стан внутрішньобудинкових мереж централізованого опалення та гарячого водопостачання"
OFFICE = "Комунальне підприємство «Керуюча компанія з обслуговування житлового фонду Оболонського району міста Києва»"
ABOUT = About(26_000_123, "4821", SUBJECT, "No heating", NOON, NOON, OFFICE, "Буде зроблено")
WORDS = Words("https://1551.kyiv.ua", True, SECRET)


def going(kind: Kind, way: Way, language: str = "uk", about: About | None = ABOUT) -> Going:
    return Going(1, kind, way, "there", "Марія", language, 1, NOON, {"until": NOON.isoformat()}, about)


@pytest.mark.parametrize("portal", ["https://1551.kyiv.ua", "https://contact-centre.kyivcity.gov.ua", ""])
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_sms_is_two_of_the_networks_with_its_whole_link(language: str, portal: str) -> None:
    words = replace(WORDS, portal=portal)
    for kind in TOLD:
        said = words.text(going(kind, Way.SMS, language))
        assert segments(said).count <= MOST_SEGMENTS, (kind, len(said), said)
        link = f"{portal}/a/{tokens.together(SECRET, 26_000_123)}"
        assert said.endswith(link if portal else "15-51"), kind
        assert "{" not in said
        assert ("1" in said and "2" in said) or kind not in ASKS


def test_a_long_name_is_cut_where_its_end_is_seen_to_be_missing() -> None:
    said = WORDS.text(going(Kind.EXECUTED, Way.SMS))
    cut = re.search("«(.*)»", said)
    assert cut is not None
    assert cut[1].endswith("…")
    assert SUBJECT.startswith(cut[1][:-1])
    assert len(cut[1]) > 12, "it can still be understood"
    assert segments(said + "так").count > MOST_SEGMENTS, "no more than must be"


@given(st.text(max_size=300), st.text(max_size=300), st.sampled_from(TOLD))
def test_whatever_its_names_are_it_comes_to_an_end(subject: str, office: str, kind: Kind) -> None:
    its = going(kind, Way.SMS, about=replace(ABOUT, subject_uk=subject, department=office))
    assert segments(WORDS.text(its)).count <= MOST_SEGMENTS + 1


@pytest.mark.parametrize("way", [Way.EMAIL, Way.FACEBOOK])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_says_which_appeal_and_where_to_look(language: str, way: Way) -> None:
    for kind in TOLD:
        said = WORDS.text(going(kind, way, language))
        assert "26000123" in said
        assert f"/a/{tokens.together(SECRET, 26_000_123)}" in said
        assert ("\n-- \n" in said) == (way is Way.EMAIL), "a signature is a letter's"
        assert "{" not in said
        other = Words("", False, SECRET).text(going(kind, way, language))
        assert "/a/" not in other
        here = "15-51" if way is Way.EMAIL else {"uk": "відповісти тут", "en": "answer here"}[language]
        assert here in other or kind not in ASKS, "there is always a way to answer"


def test_a_letter_that_answers_keeps_its_subject_and_its_seal_once() -> None:
    token = tokens.together(SECRET, 26_000_123)
    its = replace(going(Kind.REPLY, Way.EMAIL), answers="<1@x>", title="Яма")
    heading = WORDS.heading(its)
    assert heading is not None
    assert heading.subject == f"Re: Яма [{token}]"
    again = WORDS.heading(replace(its, title=f"RE: 15-51: ваше звернення [{token}]"))
    assert again is not None
    assert again.subject == f"RE: 15-51: ваше звернення [{token}]"
    nothing = WORDS.heading(replace(its, about=None, title=""))
    assert nothing is not None
    assert nothing.subject == "15-51: відповідь на ваш лист"


def test_a_letters_name_fits_where_it_is_kept_and_shows_its_appeal() -> None:
    longest = replace(ABOUT, number=262_000_123)
    ref = WORDS.ref(going(Kind.CLOSED, Way.EMAIL, about=longest))
    assert len(ref) <= 40
    assert tokens.find(SECRET, f"<{ref}@kyiv.example>") == 262_000_123
    assert WORDS.ref(going(Kind.CLOSED, Way.SMS)) == ""
