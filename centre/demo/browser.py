"""A person at the web pages: opens them, fills in the forms that are there, presses their buttons.

It knows nothing of the service but what the page shows: a field that the form does not have is an
error, so a demo that passes has really used the forms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx


class PageError(AssertionError):
    """The page is not what the person expected; the message has its beginning."""


@dataclass
class Form:
    """A form as it came: its fields with the values they had, and what may be chosen."""

    id: str
    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    options: dict[str, dict[str, str]] = field(default_factory=dict)  # field → label → value


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[tuple[str, str]] = []  # (address, label)
        self.text: list[str] = []
        self._form: Form | None = None
        self._select = self._area = ""
        self._option: str | None = None
        self._link: str | None = None
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        a = {name: value or "" for name, value in attrs}
        if tag in ("script", "style"):
            self._hidden += 1
        elif tag == "a":
            self._link = a.get("href")
        elif tag == "form":
            self._form = Form(a.get("id", ""), a.get("action", ""), a.get("method", "get").lower())
            self.forms.append(self._form)
        if self._form is None:
            return
        name = a.get("name", "")
        if tag == "input" and name:
            self._form.names.add(name)
            kind = a.get("type", "text")
            if kind in ("checkbox", "radio"):
                value = a.get("value", "on")
                self._form.options.setdefault(name, {})[value] = value
                if "checked" in a:
                    self._form.fields[name] = value
            elif kind not in ("submit", "file"):
                self._form.fields[name] = a.get("value", "")
        elif tag == "button" and name:
            self._form.names.add(name)
            self._form.options.setdefault(name, {})[a.get("value", "")] = a.get("value", "")
        elif tag == "select":
            self._select = name
            self._form.names.add(name)
            self._form.options[name] = {}
        elif tag == "option" and self._select:
            self._option = a.get("value")
            if "selected" in a or self._select not in self._form.fields:
                self._form.fields[self._select] = self._option or ""
        elif tag == "textarea" and name:
            self._area = name
            self._form.names.add(name)
            self._form.fields[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._hidden -= 1
        elif tag == "a":
            self._link = None
        elif tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""
        elif tag == "option":
            self._option = None
        elif tag == "textarea":
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._form is not None and self._area:
            self._form.fields[self._area] += data
        elif self._form is not None and self._option is not None:
            options = self._form.options[self._select]
            options[data.strip()] = self._option
        if self._link is not None:
            self.links.append((self._link, data.strip()))
        if not self._hidden and data.strip():
            self.text.append(data.strip())


@dataclass(frozen=True)
class Page:
    """A page as a person sees it."""

    url: str
    status: int
    html: str
    forms: list[Form]
    links: list[tuple[str, str]]
    text: str

    def form(self, id: str) -> Form:
        """The form with that id; PageError if the page has none."""
        for form in self.forms:
            if form.id == id:
                return form
        raise PageError(f"{self.url} has no form {id!r}, only {[f.id for f in self.forms]}: {self.text[:300]}")

    def has(self, id: str) -> bool:
        return any(form.id == id for form in self.forms)


class Browser:
    """One person's session."""

    def __init__(self, base: str) -> None:
        self._client = httpx.AsyncClient(base_url=base, follow_redirects=True, timeout=20)

    async def open(self, path: str) -> Page:
        return self._page(await self._client.get(path))

    async def submit(self, page: Page, form_id: str, **answers: str) -> Page:
        """Fills in the form's fields by name (a choice may be given by its label) and sends it.

        PageError when the form lacks a field, or when the answer is an error page.
        """
        form = page.form(form_id)
        missing = set(answers) - form.names
        if missing:
            raise PageError(f"form {form_id!r} on {page.url} has no {sorted(missing)}, only {sorted(form.names)}")
        values = dict(form.fields)
        for name, answer in answers.items():
            values[name] = form.options.get(name, {}).get(answer, answer)
        url = urljoin(page.url, form.action or page.url)
        if form.method == "post":
            return self._page(await self._client.post(url, data=values, headers={"Origin": str(self._client.base_url)}))
        return self._page(await self._client.get(url, params=values))

    async def close(self) -> None:
        await self._client.aclose()

    @staticmethod
    def _page(response: httpx.Response) -> Page:
        reader = _Reader()
        reader.feed(response.text)
        page = Page(str(response.url), response.status_code, response.text, reader.forms, reader.links,
                    " ".join(reader.text))  # fmt: skip
        if response.status_code >= 400:
            raise PageError(f"{response.request.method} {page.url}: {response.status_code}: {page.text[:400]}")
        return page
