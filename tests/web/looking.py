"""What is wrong with a page for somebody who looks at it: what axe finds by WCAG 2.2 AA, and what is too wide for a
screen, for a telephone, or enlarged."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

from playwright.async_api import Page

from centre.provision.assets import module

OF_A_WIDTH = ["target-size", "scrollable-region-focusable"]  # the rest is as it is on any
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
SCREEN, TELEPHONE, ENLARGED, HIGH = 1280, 390, 640, 720  # enlarged: the screen at 200 %

_AXE = """async ([type, values]) => (await axe.run(document, {runOnly: {type, values}, resultTypes: ["violations"],
  selectors: false}))
  .violations.flatMap((found) => found.nodes.map((node) => `${found.id}: ${node.html.slice(0, 200)} `
    + [...node.any, ...node.all].map((check) => check.message).join("; ").slice(0, 200)))"""
_TOO_WIDE = """() => document.documentElement.scrollWidth <= document.documentElement.clientWidth ? "" :
  [...document.body.querySelectorAll("*")].filter((part) => part.getBoundingClientRect().right > innerWidth)
    .map((part) => part.outerHTML.slice(0, 80)).join("\\n")"""


def axe() -> str:
    """The script that each page of a context must begin with (``add_init_script``)."""
    return module("axe-core/axe.min.js").read_text()


async def wrong_with(page: Page) -> list[str]:
    """Nothing, of a page that is for everybody."""
    wrong = []
    for width in (SCREEN, ENLARGED, TELEPHONE):
        await page.set_viewport_size({"width": width, "height": HIGH})
        if over := await page.evaluate(_TOO_WIDE):
            wrong.append(f"at {width} too wide are {over}")
        if width != ENLARGED:
            rules = {"tag": RULES} if width == SCREEN else {"rule": OF_A_WIDTH}
            found = await page.evaluate(_AXE, next(iter(rules.items())))
            wrong.extend(f"at {width}: {each}" for each in found)
    return wrong


async def draw(page: Page, path: str, prefix: str = "") -> None:
    """The page as it is seen now, as a file of its address's name in the folder ``SCREENS``, where one is told: as
    WebP, which only the browser itself can write here."""
    if "SCREENS" not in os.environ:
        return
    devtools = await page.context.new_cdp_session(page)
    shot = await devtools.send("Page.captureScreenshot", {"format": "webp", "quality": 60})
    name = prefix + (re.sub(r"[^a-z]+", "-", path).strip("-") or "home")
    (Path(os.environ["SCREENS"]) / f"{name}.webp").write_bytes(base64.b64decode(shot["data"]))
