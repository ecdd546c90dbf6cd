"""What browsers call themselves, made short: "Chrome 126, Windows"."""

from __future__ import annotations

import re

# The first that is found: most of them also claim to be the others.
_BROWSERS = (("Edge", r"\bEdgA?/(\d+)"), ("Opera", r"\bOPR/(\d+)"),
             ("Firefox", r"\b(?:Firefox|FxiOS)/(\d+)"),
             ("Chrome", r"\b(?:Chrome|Chromium|CriOS)/(\d+)"),
             ("Safari", r"\bVersion/(\d+)[\d.]* .*Safari/"))  # fmt: skip
_SYSTEMS = (("Windows", "Windows"), ("Android", "Android"), ("iOS", "iPhone|iPad"), ("macOS", "Mac OS X"),
            ("ChromeOS", "CrOS"), ("Linux", "Linux"))  # fmt: skip


def short(agent: str) -> str:
    """The browser, its version and the system, as far as they are known; "" for none of them."""
    browser = next((f"{name} {found[1]}" for name, form in _BROWSERS if (found := re.search(form, agent))), "")
    system = next((name for name, form in _SYSTEMS if re.search(form, agent)), "")
    return ", ".join(filter(None, (browser, system)))
