"""What is written to Asterisk over AGI means one thing only, held against a model of how Asterisk reads it."""

from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crm.errors import BadInput
from ivr.agi import LONGEST, MOST, Answer, arguments, parse_answer, parse_environment, set_variables

PLAIN = string.ascii_letters + string.digits + "_.:@/&+-"
HOSTILE = ' ,"\\\n\r\0$(){}[]=;|\t\'`%\x1b\x85\u2028\u0661Ж'
names = st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True)
values = st.text(PLAIN, max_size=55)
wild = st.text(st.sampled_from(PLAIN + HOSTILE), max_size=30) | st.text(max_size=30)


# ── Asterisk, as its sources read (res_agi.c, app.c, pbx_variables.c) ──


def lines(sent: str) -> list[str]:
    """AGI is read up to a line feed; a NUL ends a string."""
    return [line.partition("\0")[0].rstrip("\r") for line in sent.split("\n")]


def words(line: str) -> list[str]:
    """``parse_args``: words between blanks, quotes that hold them together, backslashes that take the next as it is."""
    found: list[str] = []
    quoted = escaped = False
    between = True
    for char in line:
        if char == '"' and not escaped:
            quoted = not quoted
            if quoted and between:
                found.append("")
                between = False
        elif char in " \t" and not quoted and not escaped:
            between = True
        elif char == "\\" and not escaped:
            escaped = True
            continue
        else:
            if between:
                found.append("")
                between = False
            found[-1] += char
        escaped = False
    return found


def separated(said: str) -> list[str]:
    """``ast_app_separate_args``, at commas: brackets and quotes hold together, a backslash takes the next as it is."""
    found, depth, square, quoted, at = [""], 0, 0, False, 0
    while at < len(said):
        char = said[at]
        if char == "\\":
            at += 1
            found[-1] += said[at : at + 1]
        elif char == '"':
            quoted = not quoted
        elif char == "," and not quoted and not depth and not square:
            if len(found) == 24:
                break
            found.append("")
        else:
            depth += (char == "(") - (char == ")" and depth > 0)
            square += (char == "[") - (char == "]" and square > 0)
            found[-1] += char
        at += 1
    return found


def asterisk_sets(sent: str) -> dict[str, str]:
    """The channel's variables after it was sent this; anything but one ``EXEC MSet`` fails."""
    (line,) = lines(sent)
    assert len(line.encode()) < 2048
    command, application, *given_ = words(line)
    assert (command.upper(), application, len(given_)) == ("EXEC", "MSet", 1)
    (said,) = given_
    assert "${" not in said, "EXEC substitutes variables"
    assert "$[" not in said
    pairs = [pair.partition("=") for pair in separated(said)]
    assert all(equals for _, equals, _ in pairs)
    assert not any(name.endswith(")") for name, _, _ in pairs), "a function would be written to"
    return {name: value for name, _, value in pairs}


def test_the_model_sees_what_it_is_there_to_see() -> None:
    """Without it a property that always holds would prove nothing."""
    assert asterisk_sets('EXEC MSet "A=1,B=2"') == {"A": "1", "B": "2"}
    assert asterisk_sets(r'EXEC MSet "A=1\\,B=2"') == {"A": "1,B=2"}
    assert words(r'EXEC MSet "A=\"x y\"" z') == ["EXEC", "MSet", 'A="x y"', "z"]
    assert separated('A="1,B=2",C=(3,4)') == ["A=1,B=2", "C=(3,4)"]
    for bad in ("EXEC MSet A=1\nEXEC System x", 'EXEC MSet "A=1" x', 'EXEC MSet "A=${B}"', 'EXEC MSet "CDR(x)=1"',
                'EXEC System "A=1"', 'EXEC MSet "A=1,B"'):  # fmt: skip
        with pytest.raises((AssertionError, ValueError)):
            asterisk_sets(bad)


# ── set_variables ──


@given(st.dictionaries(names, values, min_size=1, max_size=MOST))
def test_what_is_set_is_what_asterisk_sets(variables: dict[str, str]) -> None:
    assert asterisk_sets(set_variables(variables)) == variables


@given(st.dictionaries(names | wild, values | wild, min_size=1, max_size=6))
@example({"A": "1,B=2"})
@example({"A": '1"'})
@example({"A": "1\\"})
@example({"A": "1\nHANGUP"})
@example({"A": "1\rHANGUP"})
@example({"A": "${SHELL(id)}"})
@example({"A": "1\0"})
@example({"A": "1\n"})
@example({"A\n": "1"})
@example({"A=1,B": "2"})
@example({"CALLERID(num)": "2"})
@example({"_A": "2"})
@example({"A": "²"})
@example({"А": "Cyrillic"})
def test_no_value_becomes_another_variable_argument_or_command(variables: dict[str, str]) -> None:
    try:
        sent = set_variables(variables)
    except BadInput:
        return
    assert asterisk_sets(sent) == variables


@given(names, st.text(PLAIN, max_size=10), st.sampled_from(HOSTILE), st.text(PLAIN, max_size=10))
def test_a_value_that_cannot_be_written_plainly_is_refused(name: str, before: str, char: str, after: str) -> None:
    with pytest.raises(BadInput, match=r"agi\.bad_variable"):
        set_variables({name: before + char + after})


@pytest.mark.parametrize("name", ["", "a", "_A", "__A", "1A", "A ", " A", "A\n", "CALLERID(NUM)", "A=B", "A,B",
                                  "${A}", "A" * 65, "Є"])  # fmt: skip
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """A function's is none, nor one that callees would inherit."""
    with pytest.raises(BadInput, match=r"agi\.bad_variable"):
        set_variables({name: "1"})


def test_what_asterisk_would_drop_without_a_word_is_refused() -> None:
    assert len(asterisk_sets(set_variables({f"V{n}": "1" for n in range(MOST)}))) == MOST
    for too_much in ({f"V{n}": "1" for n in range(MOST + 1)}, {"A": "x" * LONGEST}, {}):
        with pytest.raises(BadInput, match=r"agi\.too_long"):
            set_variables(too_much)


def test_the_longest_that_fits() -> None:
    around = len(set_variables({"A": ""}))
    assert asterisk_sets(set_variables({"A": "x" * (LONGEST - around)}))
    with pytest.raises(BadInput, match=r"agi\.too_long"):
        set_variables({"A": "x" * (LONGEST - around + 1)})


# ── answers ──


@pytest.mark.parametrize(("line", "answer"), [
    ("200 result=0", Answer(200, 0)), ("200 result=1 (value)", Answer(200, 1)), ("200 result=-1", Answer(200, -1)),
    ("200 result=", Answer(200, None)), ("200 result= (timeout)", Answer(200, None)),
    ("200 result=1 (result=0)", Answer(200, 1)), ("100 Trying...", Answer(100, None)), ("100 result=0", Answer(100, 0)),
    ("510 Invalid or unknown command", Answer(510, None)), ("511 Command Not Permitted", Answer(511, None)),
    ("520 End of proper usage.", Answer(520, None)), ("503 result=-2 Memory allocation failure", Answer(503, -2)),
    ("", None), ("HANGUP", None), ("520-Invalid command syntax.", None), ("20 result=0", None), ("2000 result=0", None),
    ("200result=0", None), (" 200 result=0", None), ("200 result=0\n200 result=1", None), ("200 result=x", None),
    ("200 result=٣", None), ("٢٠٠ result=0", None), ("200 result=99999999999", None),
])  # fmt: skip
def test_answers(line: str, answer: Answer | None) -> None:
    assert parse_answer(line) == answer


@given(st.text() | st.from_regex(r"[0-9]{3}[ -](result=)?.{0,20}", fullmatch=True))
def test_no_line_breaks_the_parser_of_answers(line: str) -> None:
    answer = parse_answer(line)
    assert answer is None or (0 <= answer.code <= 999 and line.startswith(f"{answer.code:03d}"))


# ── the environment ──


@given(st.dictionaries(st.from_regex(r"agi_[a-z0-9_]{1,20}", fullmatch=True),
                       st.text(st.characters(blacklist_characters="\n", blacklist_categories=["Cs"]), max_size=40),
                       min_size=1, max_size=30))  # fmt: skip
def test_the_environment_is_read_as_it_was_sent(environment: dict[str, str]) -> None:
    block = "".join(f"{name}: {value}\n" for name, value in environment.items()) + "\n"
    assert parse_environment(block.encode()) == environment


parts = st.sampled_from([b"agi_arg_1: x", b"agi_arg_1: y", b"agi_x:", b":", b"x: y", b"", b"\xff"])


@given(st.binary() | st.lists(parts).map(b"\n".join))
def test_no_bytes_break_the_parser_of_the_environment(block: bytes) -> None:
    try:
        environment = parse_environment(block)
    except BadInput:
        return
    assert all(name.startswith("agi_") for name in environment)
    assert all("\n" not in text for item in environment.items() for text in item)
    assert isinstance(arguments(environment), list)


@pytest.mark.parametrize("block", [
    b"", b"\n\n", b"agi_request", b"request: x\n\n", b"agi_a: 1\nagi_a: 2\n\n", b"agi_a: 1\n\nagi_b: 2\n\n",
    b"agi_callerid: x\nHANGUP\n\n", b"agi_callerid: x\nagi_arg_1: y\nagi_arg_1: real\n\n",
])  # fmt: skip
def test_an_environment_that_is_none_is_refused(block: bytes) -> None:
    with pytest.raises(BadInput, match=r"agi\.bad_environment"):
        parse_environment(block)


def test_what_is_not_utf8_is_read_all_the_same() -> None:
    assert parse_environment(b"agi_calleridname: \xca\xe8\xbf\xe2\n\n")["agi_calleridname"]


@given(st.lists(st.text(), max_size=12), st.dictionaries(st.text(), st.text()))
def test_arguments_in_their_order(given_: list[str], others: dict[str, str]) -> None:
    rest = {name: value for name, value in others.items() if not name.startswith("agi_arg_")}
    assert arguments({**rest, **{f"agi_arg_{at}": value for at, value in enumerate(given_, start=1)}}) == given_


def test_arguments_end_at_the_first_gap() -> None:
    assert arguments({"agi_arg_1": "a", "agi_arg_2": "", "agi_arg_4": "d"}) == ["a", ""]
    assert arguments({}) == []
