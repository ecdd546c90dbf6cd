"""A person at the web pages: opens them, fills in the forms that are there, presses their buttons.

It knows nothing of the service but what the page shows: a field that the form does not have is an
error, so a demo that passes has really used the forms.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pyotp

# Of an idle connection: the centre lets go of it after five seconds, and one of us must do so first.
LIMITS = httpx.Limits(keepalive_expiry=2.0)


class PageError(AssertionError):
    """The page is not what the person expected; the message has its beginning."""


@dataclass
class Form:
    """A form as it came: its fields with the values they had, and what may be chosen."""

    path: str  # where it goes
    method: str
    files: list[str] = field(default_factory=list)  # the fields that take a file: only then it goes in parts
    fields: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    fixed: set[str] = field(default_factory=set)  # hidden: nobody can type there
    options: dict[str, dict[str, str]] = field(default_factory=dict)  # field → label → value

    def takes(self, answers: Mapping[str, str]) -> bool:
        """Whether a person could give these answers here."""
        return all(name in self.names and (name not in self.fixed or self.fields[name] == answer)
                   for name, answer in answers.items())  # fmt: skip


class _Reader(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self.forms: list[Form] = []
        self._elsewhere: list[tuple[Form, str, str, str]] = []  # a button that sends its form to another address
        self._by_id: dict[str, Form] = {}
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
            self._form = Form(urlsplit(urljoin(self._url, a.get("action", ""))).path, a.get("method", "get").lower())
            self.forms.append(self._form)
            self._by_id[a.get("id", "")] = self._form
        name = a.get("name", "")
        if tag == "input" and name:
            self._input(name, a)
        elif tag == "button" and "formaction" in a:
            if (form := self._of(a)) is not None:
                path = urlsplit(urljoin(self._url, a["formaction"])).path
                self._elsewhere.append((form, path, name, a.get("value", "")))
        elif self._form is None:
            return
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

    def close(self) -> None:
        super().close()
        for form, path, name, value in self._elsewhere:
            its = next((known for known in self.forms if known.path == path and name in known.names), None)
            if its is None:
                its = replace(form, path=path, names=form.names | {name}, options={**form.options, name: {}})
                self.forms.append(its)
            its.options[name][value] = value

    def _of(self, a: dict[str, str]) -> Form | None:
        """The form that a field or a button belongs to: it may stand elsewhere on the page."""
        return self._by_id.get(a["form"]) if "form" in a else self._form

    def _input(self, name: str, a: dict[str, str]) -> None:
        form = self._of(a)
        if form is None:
            return
        form.names.add(name)
        kind = a.get("type", "text")
        if kind in ("checkbox", "radio"):
            value = a.get("value", "on")
            form.options.setdefault(name, {})[value] = value
            if "checked" in a:
                form.fields[name] = value
        elif kind == "file":
            form.files.append(name)
        elif kind != "submit":
            form.fields[name] = a.get("value", "")
            if kind == "hidden":
                form.fixed.add(name)

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

    @classmethod
    def read(cls, response: httpx.Response) -> Page:
        """The page that came, an error page too."""
        reader = _Reader(str(response.url))
        reader.feed(response.text)
        reader.close()
        return cls(str(response.url), response.status_code, response.text, reader.forms, reader.links,
                   " ".join(reader.text))  # fmt: skip

    def form(self, path: str, answers: Mapping[str, str]) -> Form:
        """The first form that goes to ``path`` and has these fields; PageError if the page has none."""
        for form in self.forms:
            if form.path == path and form.takes(answers):
                return form
        offered = [(form.path, sorted(form.names)) for form in self.forms]
        raise PageError(f"{self.url} has no form to {path} with {dict(answers)}, only {offered}: {self.text[:300]}")


class Browser:
    """One person's session."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._client = httpx.AsyncClient(base_url=base, follow_redirects=True, timeout=20, limits=LIMITS)

    async def open(self, path: str) -> Page:
        return self._page(await self._client.get(path))

    async def fetch(self, path: str) -> bytes:
        """What is there, whatever it is: a photo, a voice. PageError for an error page."""
        response = await self._client.get(path)
        if response.is_error:
            self._page(response)
        return response.content

    async def submit(self, page: Page, path: str, /, **answers: str | Path) -> Page:
        """Fills in the form that goes to ``path``, by its fields' names, and sends it.

        A choice may be given by its label, a file by where it lies. PageError when the page has no such form, or when
        the answer is an error page.
        """
        said = {name: answer for name, answer in answers.items() if isinstance(answer, str)}
        chosen = {name: answer for name, answer in answers.items() if isinstance(answer, Path)}
        form = page.form(path, said | dict.fromkeys(chosen, ""))
        values = dict(form.fields)
        for name, answer in said.items():
            values[name] = form.options.get(name, {}).get(answer, answer)
        url = urljoin(page.url, path)
        if form.method == "post":
            parts = dict.fromkeys(form.files, ("", b""))  # a field with no file chosen is sent too
            for name, file in chosen.items():
                parts[name] = file.name, await asyncio.to_thread(file.read_bytes)
            origin = {"Origin": self._base}
            return self._page(await self._client.post(url, data=values, files=parts or None, headers=origin))
        return self._page(await self._client.get(url, params=values))

    async def sign_in_first(self, login: str, given: str) -> tuple[str, str]:
        """A first sign-in, with a password that was given: chooses another, sets up a second factor where one is asked
        for. What came of it: the password, and the factor's secret, "" for none."""
        own, secret = secrets.token_urlsafe(12), ""
        page = await self.submit(await self.open("/sign-in"), "/sign-in", login=login, password=given)
        page = await self.submit(page, "/account", new_password=own, repeat_password=own)
        page = await self.open("/")
        if found := re.search(r"\b[A-Z2-7]{32}\b", page.text):
            secret = found[0]
            await self.submit(page, "/account/second-factor", code=pyotp.TOTP(secret).now())
        return own, secret

    async def events(self, path: str) -> AsyncIterator[tuple[str, dict[str, str]]]:
        """What the page is told while it is open: (event, data)."""
        async with self._client.stream("GET", path, timeout=None) as response:
            name = ""
            async for line in response.aiter_lines():
                kind, _, rest = line.partition(": ")
                if kind == "event":
                    name = rest
                elif kind == "data":
                    yield name, json.loads(rest)

    async def close(self) -> None:
        await self._client.aclose()

    @staticmethod
    def _page(response: httpx.Response) -> Page:
        page = Page.read(response)
        if response.status_code >= 400:
            said = " ".join(re.findall(r'role="alert"[^>]*>([^<]+)', page.html)) or page.text[:400]
            raise PageError(f"{response.request.method} {page.url}: {response.status_code}: {said}")
        return page
