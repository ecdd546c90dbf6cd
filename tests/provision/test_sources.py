"""Which Debian mirror is taken, from apt sources of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from centre.provision import ProvisionError
from centre.provision.sources import MIRROR_SETTING, choose_mirror, deb822_uris, is_debian_archive, one_line_uris


@pytest.fixture(autouse=True)
def no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MIRROR_SETTING, raising=False)


def write(root: Path, name: str, text: str | bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize(
    ("line", "uris"),
    [
        ("deb http://a.example/debian forky main", ["http://a.example/debian"]),
        ("  deb\thttp://a.example/debian/\tforky main # nearest", ["http://a.example/debian/"]),
        ("deb [arch=amd64 signed-by=/k.gpg] http://a.example/debian forky main", ["http://a.example/debian"]),
        ("deb [ ] http://a.example/debian ./", ["http://a.example/debian"]),
        ("# deb http://a.example/debian forky main", []),
        ("deb-src http://a.example/debian forky main", []),
        ("deb", []),
        ("deb http://a.example/debian", []),
        ("deb [unclosed http://a.example/debian forky main", []),
        ("debhttp://a.example/debian forky main", []),
        ("", []),
        ("\0\x1b[31m", []),
    ],
)
def test_one_line(line: str, uris: list[str]) -> None:
    assert list(one_line_uris(line)) == uris


@pytest.mark.parametrize(
    ("text", "uris"),
    [
        ("Types: deb\nURIs: http://a.example/debian\nSuites: forky\n", ["http://a.example/debian"]),
        ("types: deb-src deb\nuris: http://a/debian http://b/debian\n", ["http://a/debian", "http://b/debian"]),
        ("Types: deb\nURIs:\n http://a/debian\n# between\n\thttp://b/debian\n", ["http://a/debian", "http://b/debian"]),
        ("Types: deb\r\nURIs: http://a/debian\r\n\r\nTypes: deb\r\nURIs: http://b/debian\r\n",
         ["http://a/debian", "http://b/debian"]),
        ("Enabled: no\nTypes: deb\nURIs: http://a/debian\n", []),
        ("Enabled: yes\nTypes: deb\nURIs: http://a/debian\n", ["http://a/debian"]),
        ("Types: deb-src\nURIs: http://a/debian\n", []),
        ("URIs: http://a/debian\n", []),
        (" continued from nowhere\nno colon\n::\nTypes: deb\n", []),
        ("", []),
    ],
)  # fmt: skip
def test_deb822(text: str, uris: list[str]) -> None:
    assert list(deb822_uris(text)) == uris


@pytest.mark.parametrize(
    ("uri", "is_archive"),
    [
        ("http://a.example/debian", True),
        ("https://a.example:8080/mirrors/debian/", True),
        ("http://a.example/debian-security", False),
        ("http://a.example/ubuntu", False),
        ("cdrom:[Debian]/debian", False),
        ("file:/srv/debian", False),
        ("http:///debian", False),
        ("http://[broken/debian", False),
        ("http://a.example/debian?x=/debian", True),
    ],
)
def test_what_counts_as_the_archive(uri: str, is_archive: bool) -> None:
    assert is_debian_archive(uri) is is_archive


def test_first_archive_in_apts_order_wins(tmp_path: Path) -> None:
    write(tmp_path, "etc/apt/sources.list.d/b.sources", "Types: deb\nURIs: http://second/debian/\n")
    write(
        tmp_path,
        "etc/apt/sources.list.d/a.list",
        "deb https://packages.example/apt main x\ndeb http://first/debian f m\n",
    )
    write(tmp_path, "etc/apt/sources.list.d/0.list.disabled", "deb http://disabled/debian forky main\n")
    assert choose_mirror(tmp_path) == "http://first/debian"
    write(tmp_path, "etc/apt/sources.list", "deb http://main/debian forky main\n")
    assert choose_mirror(tmp_path) == "http://main/debian"


def test_a_list_of_mirrors_in_a_file(tmp_path: Path) -> None:
    """Debian's cloud images name their mirrors so."""
    write(tmp_path, "etc/apt/sources.list", "deb mirror+file:///etc/apt/mirrors/debian.list bookworm main\n")
    write(tmp_path, "etc/apt/mirrors/debian.list", "# ours\n\nhttps://cloud.example/debian priority:1\n")
    assert choose_mirror(tmp_path) == "https://cloud.example/debian"


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    write(tmp_path, "etc/apt/sources.list", b"\xff\xfe deb \x00\ndeb http://a.example/debian forky main\n")
    assert choose_mirror(tmp_path) == "http://a.example/debian"


def test_ubuntu_uses_what_it_ships_about_debian(tmp_path: Path) -> None:
    write(tmp_path, "etc/apt/sources.list", "deb http://a.example/ubuntu noble main\n")
    write(tmp_path, "usr/share/python-apt/templates/Debian.info", "Suite: sid\nBaseURI: http://known.example/debian/\n")
    assert choose_mirror(tmp_path) == "http://known.example/debian"


def test_the_setting_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "etc/apt/sources.list", "deb http://a.example/debian forky main\n")
    monkeypatch.setenv(MIRROR_SETTING, " https://chosen.example/mirror/ ")
    assert choose_mirror(tmp_path) == "https://chosen.example/mirror"


@pytest.mark.parametrize(
    "value", ["ftp://a/debian", "a.example/debian", "http://a/debian forky main\ndeb http://b", "http://a/[x]"]
)
def test_a_setting_that_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(MIRROR_SETTING, value)
    with pytest.raises(ProvisionError, match=MIRROR_SETTING):
        choose_mirror(tmp_path)


def test_no_mirror_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match=f"set {MIRROR_SETTING} to"):
        choose_mirror(tmp_path)
