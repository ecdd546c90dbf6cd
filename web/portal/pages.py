"""The residents' pages: file an appeal, follow it, say whether it is solved, see what is known of the city.

Nobody signs in. What is a person's own opens by the number with its code, or by the sealed address that he was sent
(``crm.tokens``); nothing is done by GET.
"""

from __future__ import annotations

from starlette.responses import Response

from web.pages.account import choose_language
from web.pages.appeal_form import suggest
from web.portal import file, follow
from web.visit import Page, Visit


def front(visit: Visit) -> Response:
    return visit.page("portal/front.html")


def law(visit: Visit) -> Response:
    """What the law says of appeals, and what becomes of a person's data."""
    return visit.page("portal/law.html")


# A form with photos is slow: many of them at a time hold up each other, and no other page.
PAGES: tuple[Page, ...] = (
    Page("GET", "/", front, None),
    Page("GET", "/law", law, None),
    Page("POST", "/language", choose_language, None),
    Page("GET", "/file", file.show, None),
    Page("POST", "/file", file.file, None, files=True, slow=True),
    Page("GET", "/file/known", file.about, None),
    Page("GET", "/addresses", suggest, None),
    Page("GET", "/follow", follow.find, None),
    Page("POST", "/follow", follow.open_, None),
    Page("GET", "/a/{token}", follow.show, None),
    Page("GET", "/a/{token}/receipt", follow.receipt, None),
    Page("GET", "/a/{token}/files/{id}", follow.attachment, None),
    Page("POST", "/a/{token}/add", follow.add, None, files=True, slow=True),
    Page("POST", "/a/{token}/word", follow.say, None, files=True, slow=True),
    Page("GET", "/m/{token}", follow.held, None),
)
