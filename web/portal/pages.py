"""The residents' pages: file an appeal, follow it, say whether it is solved, see what is known of the city."""

from __future__ import annotations

from web.visit import Page

PAGES: tuple[Page, ...] = ()
