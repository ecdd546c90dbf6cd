"""No setting and no secret reaches Asterisk as anything but a value: it is refused, or it stands where it should."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from centre.settings import Secrets, Settings, load
from dialplans import MODULES, Places, UnsafeValue, plain, render, write
from dialplans.render import LONGEST, TEMPLATES
from ivr.prompts import texts, tones

PLACES = Places(modules=Path("/modules"), spool_script=Path("/spool_call.py"))
SEATS = {number: {"number": number, "sip_user": f"seat{number}-0a1b2c", "sip_secret": "secret"}
         for number in ("101", "102")}  # fmt: skip
SECRETS: dict[str, Any] = {"ami_line": "one", "ami_originate": "two", "ari": "four", "web": "three", "seats": SEATS}
SETTINGS: dict[str, Any] = {"var": "/srv/1551", "seat_count": 2}

# What would be more than a value, somewhere; alone and in the middle of others.
POISON = ("\n", "\r", "\0", ";", "\n[evil]\n", "\nexten => s,1,System(x)", "${SHELL(x)}", "$[1+1]", "`", "|", '"', "\\",
          "[", "]", "\u2028", "\x85", "#include x", "=> x", "&PJSIP/x", ",", "(", ")", " ", "*" * 9000, "@evil",
          "trunk-landline", "../..", "тест", "\ud800")  # fmt: skip
hostile = st.builds("{}{}{}".format, st.text(max_size=8), st.sampled_from(POISON), st.text(max_size=8))

patient = hypothesis_settings(deadline=None)
TEXTS = ("external_address", "landline_host", "mobile_host", "short_number", "tls_certificate", "tls_key", "var",
         "sip_bind")  # fmt: skip
LISTS = ("landline_from", "mobile_from", "seat_networks", "numbers", "callback_prefixes")
SECRET_TEXTS = ("ami_line", "ami_originate", "ari")


def shape(files: dict[str, str]) -> list[tuple[str, str]]:
    """What the files say without the values: sections, and the names before each value, line by line."""
    return [(name, re.sub(r" ?(=>?).*", r"\1", line) if "=" in line else line)
            for name, text in files.items() for line in text.split("\n")]  # fmt: skip


def rendered(settings: dict[str, Any], secrets: dict[str, Any]) -> dict[str, str] | None:
    """None when refused, as it should be: by the settings, or by the renderer."""
    try:
        return render(Settings(**{**SETTINGS, **settings}), Secrets.model_validate({**SECRETS, **secrets}), PLACES)
    except ValueError:
        return None


TLS = {"sip_tls_port": 5061, "tls_certificate": "/c.pem", "tls_key": "/k.pem", "external_address": "198.51.100.7"}
SHAPE = shape(rendered(TLS, {}) or {})
APPLICATIONS = re.compile(r"[A-Z]\w*\(")


def calls(files: dict[str, str]) -> list[str]:
    return APPLICATIONS.findall(files["extensions.conf"])


KNOWN_CALLS = calls(rendered(TLS, {}) or {})


@patient
@given(name=st.sampled_from(TEXTS), value=hostile)
def test_no_setting_is_more_than_a_value(name: str, value: str) -> None:
    files = rendered({**TLS, name: value}, {})
    if files is not None:
        assert shape(files) == SHAPE
        assert calls(files) == KNOWN_CALLS


@patient
@given(name=st.sampled_from(LISTS), value=hostile)
def test_no_item_of_a_list_is_more_than_a_value(name: str, value: str) -> None:
    """Only what is a network, a number or a prefix is taken at all."""
    if (files := rendered({name: [value]}, {})) is not None:
        for line in (line for text in files.values() for line in text.split("\n")):
            assert line.isprintable()
            assert not re.search(r"evil|System|SHELL|include", line)


@patient
@given(name=st.sampled_from(SECRET_TEXTS), value=hostile)
def test_no_secret_is_more_than_a_value(name: str, value: str) -> None:
    files = rendered(TLS, {name: value})
    if files is not None:
        assert shape(files) == SHAPE
        assert f"{'password' if name == 'ari' else 'secret'} = {value}\n" in files["manager.conf"] + files["ari.conf"]


@patient
@given(field=st.sampled_from(["number", "sip_user", "sip_secret"]), value=hostile)
def test_no_seat_is_more_than_a_seat(field: str, value: str) -> None:
    """Its SIP name is the name of a section, and stands in applications' arguments."""
    files = rendered(TLS, {"seats": {**SEATS, "102": {**SEATS["102"], field: value}}})
    if files is not None:
        assert field == "sip_secret"
        assert shape(files) == SHAPE
        assert f"password = {value}\n" in files["pjsip.conf"]


@pytest.mark.parametrize("name", ["seat101-0a1b2c", "trunk-landline", "global", "seat102,1", "seat102&PJSIP/x", ""])
def test_a_seat_has_a_name_of_its_own(name: str) -> None:
    assert rendered({}, {"seats": {**SEATS, "102": {**SEATS["102"], "sip_user": name}}}) is None


def test_a_value_is_never_two_lines_to_asterisk() -> None:
    """Asterisk reads 8192 bytes and takes what follows for another line."""
    assert plain("x" * LONGEST)
    with pytest.raises(UnsafeValue):
        plain("x" * (LONGEST + 1))


@pytest.mark.parametrize(("prefix", "callable_", "not_callable"), [
    ("+380", ["+380441234567"], ["+38044123456", "+3804412345678", "+481234567", "380441234567", ""]),
    ("+38067", ["+380671234567"], ["+380441234567", "+38067123456"]),
    ("+48", ["+48123456789", "+481234567"], ["+481234", "+48" + "1" * 14]),
])  # fmt: skip
def test_only_whole_numbers_under_a_prefix_are_dialled(prefix: str, callable_: list[str],
                                                       not_callable: list[str]) -> None:  # fmt: skip
    files = rendered({"callback_prefixes": [prefix]}, {})
    assert files
    patterns = re.findall(r"^exten => _to(\+.*?),1,Dial\(", files["extensions.conf"], re.MULTILINE)
    wanted = [re.compile(re.escape(pattern).replace("X", "[0-9]")) for pattern in patterns]
    assert all(any(one.fullmatch(number) for one in wanted) for number in callable_)
    assert not any(one.fullmatch(number) for one in wanted for number in not_callable)


@pytest.mark.parametrize(("setting", "told"), [
    ({"sip_port": 0}, "sip_port: "), ({"sip_bind": "everywhere"}, "sip_bind: "),
    ({"srtp": True}, "tls_certificate and tls_key"), ({"rtp_to": 16390}, "rtp_to"), ({"opens": "9"}, "opens: "),
    ({"landline_from": ["10.0.0.0/8"], "mobile_from": ["10.0.0.0/8"]}, "share a network"),
    ({"short_number": "15-51"}, "short_number: "), ({"landline_host": "host;x"}, "landline_host: "),
    ({"tls_key": "/a;b"}, "use a path of letters"), ({"ring_timeout": 1}, "ring_timeout: "),
    ({"no_such": 1}, "no_such: "), ({"callback_prefixes": ["380"]}, "callback_prefixes.0: "),
])  # fmt: skip
def test_a_wrong_setting_is_said_in_a_sentence(setting: dict[str, Any], told: str) -> None:
    with pytest.raises(SystemExit, match="Settings are wrong; mend them") as error:
        load(**{**SETTINGS, **setting})
    lines = str(error.value).splitlines()
    assert len(lines) == 2
    assert told in lines[1]


def test_every_prompt_that_is_played_is_in_the_catalogue() -> None:
    """A prompt that is not there is silence, and a warning in Asterisk's log."""
    extensions = (TEMPLATES / "extensions.conf.j2").read_text()
    played = set(re.findall(r"Playback\(([a-z-]+)\)|Read\(\w+,([a-z-]+),", extensions))
    names = {name for pair in played for name in pair if name} | {"menu", "menu-pending"}
    names |= set(re.findall(r"^GREETING = (\S+)", extensions, re.MULTILINE))
    assert {"greeting", "connecting", "beep", "apology", "rate"} <= names
    for language in ("uk", "en"):
        assert names - {*texts(language), *tones()} == set()


def test_the_callers_own_text_is_read_in_one_place() -> None:
    """Once, in [caller]; only what passed its filter is used again."""
    extensions = (TEMPLATES / "extensions.conf.j2").read_text()
    caller = extensions[extensions.index("[caller]"):extensions.index("[call]")]
    for source in ("pjsip,", "PJSIP_PARSE", "${FROM"):
        assert extensions.count(source) == caller.count(source) > 0
    assert "${CALLERID(" not in extensions


def test_no_module_twice() -> None:
    assert len(MODULES) == len(set(MODULES))


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    files = {"a.conf": "one\n", "b.conf": "Київ\n"}
    assert write(files, tmp_path / "etc") == ["a.conf", "b.conf"]
    assert write(files, tmp_path / "etc") == []
    assert write({**files, "b.conf": "two\n"}, tmp_path / "etc") == ["b.conf"]
    assert (tmp_path / "etc" / "b.conf").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (tmp_path / "etc").iterdir()) == ["a.conf", "b.conf"]
