"""What a reader sees of a letter in HTML, as plain text: no scripts, nothing that would be fetched, nothing hidden."""

from __future__ import annotations

import re

from inscriptis.css_profiles import STRICT_CSS_PROFILE  # type: ignore[import-untyped]
from inscriptis.html_engine import Inscriptis  # type: ignore[import-untyped]
from inscriptis.model.config import ParserConfig  # type: ignore[import-untyped]
from lxml import etree, html  # type: ignore[import-untyped]

from intake.mail import quoted

LONGEST = 400_000  # characters that are read
_NEVER_SEEN = ("script", "style", "noscript", "template", "head", "title", "object", "embed", "iframe", "svg", "math",
               "select", "textarea", "input", "button", "audio", "video", "map")  # fmt: skip
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all|(?:font-size|max-height|opacity)"
                     r"\s*:\s*0(?:\.0+)?(?:px|pt|em|%)?\s*(?:;|!|$)", re.IGNORECASE)  # fmt: skip
# How programs mark the letter that is answered.
_QUOTES = ("gmail_quote", "gmail_extra", "yahoo_quoted", "moz-cite-prefix", "protonmail_quote", "zmail_extra",
           "ukr_quote", "mail-quote-collapse", "tutanota_quote")  # fmt: skip
_QUOTE_IDS = ("appendonsend", "divrplyfwdmsg", "mail-editor-reference-message-container", "isforwardcontent")
# Letters are laid out by tables: drawn as such, they would be wider than any screen.
_PLAINER = {"table": "div", "tr": "div", "td": "span", "th": "span", "ul": "div", "ol": "div"}
_CONFIG = ParserConfig(css=STRICT_CSS_PROFILE)


def text_of(page: str, *, own: bool) -> str:
    """``own``: without the letter that is answered, where the page marks it. "" for what is no page."""
    try:
        parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True,
                                 huge_tree=True)  # a long exchange lies deeper, letter in letter, than it else reads
        tree = html.document_fromstring(page[:LONGEST].encode("utf-8", "replace"), parser=parser)
    except (etree.LxmlError, ValueError):
        return ""
    for element in list(tree.iter(etree.Element)):
        if _unseen(element) or (own and _is_quote(element)):
            if element.getparent() is not None:
                element.drop_tree()
        else:
            if element.tag in ("td", "th"):
                element.tail = f" {element.tail or ''}"
            element.tag = _PLAINER.get(element.tag, element.tag)
    try:
        shown: str = Inscriptis(tree, _CONFIG).get_text()
    except RecursionError:
        shown = tree.text_content()
    return "\n".join(line.rstrip() for line in shown.split("\n")).strip()


def _unseen(element: html.HtmlElement) -> bool:
    return (element.tag in _NEVER_SEEN or "hidden" in element.attrib
            or _HIDDEN.search(element.get("style", "")) is not None)  # fmt: skip


def _is_quote(element: html.HtmlElement) -> bool:
    marked = (set(element.get("class", "").lower().split()) & set(_QUOTES)
              or element.get("id", "").lower() in _QUOTE_IDS
              or (element.tag == "blockquote" and element.get("type", "").lower() == "cite"))  # fmt: skip
    return bool(marked) and not quoted.forwards(element.text_content()[:2000])
