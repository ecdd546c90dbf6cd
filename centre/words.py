"""What residents read: letters, messages and SMS about their appeals, in their language, out of the catalogue. Pure."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from centre.texts import LANGUAGES, sentence
from crm import tokens
from crm.clock import KYIV
from crm.outbox import About, Going
from crm.telling import ASKS, WORDS_OF, Kind, Way
from intake.couriers import Heading
from intake.segments import segments

MOST_SEGMENTS = 2  # of an SMS: each is paid for


@dataclass(frozen=True, slots=True)
class Words:
    """``portal``: where residents find it, "" if they cannot; ``read``: their letters to us are fetched; ``secret``: of
    the seals."""

    portal: str
    read: bool
    secret: str

    def text(self, its: Going) -> str:
        """As it is read. A letter's has paragraphs and a signature; an SMS is short."""
        if its.kind is Kind.REPLY:
            return self._answer(its)
        about = _about(its)
        if its.way is Way.SMS:
            return self._sms(its, about)
        parts = [_say(its, f"citizen.{its.kind.value}", **_facts(its, about))]
        if about.words and its.kind in WORDS_OF:
            parts.append(_say(its, f"why.{its.kind.value}", words=about.words))
        if its.kind in ASKS:
            parts.append(self._question(its, about))
        elif self.portal:
            parts.append(_say(its, "link", link=self._link(about)))
        text = "\n\n".join(parts)
        if its.way is not Way.EMAIL:
            return text
        return f"{text}\n\n-- \n{_say(its, 'footer_read' if self.read else 'footer')}"

    def ref(self, its: Going) -> str:
        """A letter's, with the seal of its appeal, by which an answer to it is known."""
        if its.way is not Way.EMAIL:
            return ""
        token = secrets.token_hex(6)
        return f"{tokens.together(self.secret, its.about.number)}.{token}" if its.about else f"15-51.{token}"

    def heading(self, its: Going) -> Heading | None:
        """A letter's; None by any other way."""
        if its.way is not Way.EMAIL:
            return None
        token = f" [{tokens.together(self.secret, its.about.number)}]" if its.about else ""
        if its.kind is Kind.REPLY:
            title = its.title if its.title.casefold().startswith("re:") else f"Re: {its.title}"
            subject = title if its.title else _say(its, "subject.reply")
            if self._known(subject):  # his letter was an answer already
                token = ""
        else:
            subject = _say(its, "subject.citizen", number=_about(its).number)
        return Heading(its.name, _say(its, "from"), f"{subject}{token}", its.ref,
                       its.answers if its.kind is Kind.REPLY else "", its.by_person)  # fmt: skip

    def choices(self, its: Going) -> tuple[str, ...]:
        """What can be answered with one touch."""
        if its.kind is Kind.REPLY:
            return tuple(map(str, its.data.get("choices", ())))
        return (_say(its, "choice.solved"), _say(its, "choice.not_solved")) if its.kind in ASKS else ()

    def _answer(self, its: Going) -> str:
        text = str(its.data.get("text", ""))
        return f"{text}\n\n-- \n{_say(its, 'signature')}" if its.way is Way.EMAIL else text

    def _question(self, its: Going, about: About) -> str:
        ways = [_say(its, "ask.link", link=self._link(about))] if self.portal else []
        if self.read and its.way is Way.EMAIL:
            ways.append(_say(its, "ask.letter"))
        if its.way is Way.FACEBOOK:
            ways.append(_say(its, "ask.here"))
        return "\n".join([_say(its, "ask.question"), *(ways or [_say(its, "ask.call")])])

    def _sms(self, its: Going, about: About) -> str:
        """In MOST_SEGMENTS at most: a long name is cut. An address of the portal that leaves no room for one letter of
        it makes it longer all the same."""
        where = self._link(about) if self.portal else sentence("sms.where", _language(its))
        facts = _facts(its, about) | {"where": where}
        subject, office = str(facts["subject"]), about.department
        while True:
            shortened = facts | {"subject": subject, "department": office}
            said = sentence(f"sms.{its.kind.value}", _language(its), **shortened)
            if segments(said).count <= MOST_SEGMENTS or max(len(subject), len(office)) <= 2:
                return said
            subject, office = _shorter(subject), _shorter(office)

    def _link(self, about: About) -> str:
        return f"{self.portal}/a/{tokens.together(self.secret, about.number)}"

    def _known(self, text: str) -> bool:
        return tokens.find(self.secret, text) is not None


def day(at: datetime) -> str:
    return f"{at.astimezone(KYIV):%d.%m.%Y}"


def _about(its: Going) -> About:
    assert its.about is not None  # noqa: S101  # only an answer to a message is about none
    return its.about


def _facts(its: Going, about: About) -> dict[str, object]:
    subject = about.subject_en if _language(its) == "en" else about.subject_uk
    until = its.data.get("until")
    return {"number": about.number, "code": about.code, "subject": subject, "department": about.department,
            "registered": day(about.registered_at), "due": day(about.due_at),
            "until": day(datetime.fromisoformat(until)) if until else ""}  # fmt: skip


def _shorter(text: str) -> str:
    kept = text.removesuffix("…")
    return text if len(kept) <= 1 else f"{kept[:-1].rstrip()}…"


def _say(its: Going, key: str, **values: object) -> str:
    return sentence(f"mail.{key}", _language(its), **values)


def _language(its: Going) -> str:
    return its.language if its.language in LANGUAGES else "uk"
