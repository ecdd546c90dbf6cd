"""A letter is read, whatever it is: what he wrote himself, his photos, and whether a person wrote it at all."""

from __future__ import annotations

import email.policy
import time
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from intake.mail import letters, quoted
from intake.mail.letters import Letter, parse
from tests.pictures import HEIC, JPEG, PDF, PNG

MEGABYTE = 1024 * 1024


def letter(text: str = "Немає води", *, html: str = "", **headers: str) -> EmailMessage:
    made = EmailMessage(policy=email.policy.SMTP)
    said = {"From": "Марія Іваненко <Maria@Example.UA>", "To": "1551@city.test", "Subject": "Немає води",
            "Message-ID": "<1@example.ua>", "Date": "Tue, 24 Nov 2026 12:00:00 +0200"}  # fmt: skip
    for name, value in {**said, **{name.replace("_", "-"): value for name, value in headers.items()}}.items():
        made[name] = value
    made.set_content(text)
    if html:
        made.add_alternative(html, subtype="html")
    return made


def attach(made: EmailMessage, data: bytes, kind: str, name: str = "", **how: Any) -> EmailMessage:
    main, _, sub = kind.partition("/")
    made.add_attachment(data, maintype=main, subtype=sub, **({"filename": name} if name else {}), **how)
    return made


def read(made: EmailMessage) -> Letter:
    return parse(made.as_bytes())


# ── who, when, what ──
def test_a_letter_says_who_wrote_what_when() -> None:
    its = read(letter())
    assert (its.sender, its.name, its.subject, its.text) == (
        "maria@example.ua", "Марія Іваненко", "Немає води", "Немає води")  # fmt: skip
    assert (its.id, its.language) == ("<1@example.ua>", "uk")
    assert its.sent_at is not None
    assert its.sent_at.isoformat() == "2026-11-24T10:00:00+00:00"
    assert its.answerable
    assert not its.automatic


@pytest.mark.parametrize(("written", "address", "name"), [
    (b"a@b.ua", "a@b.ua", ""),
    (b'"boss@city.ua" <evil@x.ua>', "evil@x.ua", "boss@city.ua"),
    (b'"Ivanenko, Maria" <M@X.UA>', "m@x.ua", "Ivanenko, Maria"),
    (b"=?utf-8?b?0JzQsNGA0ZbRjywgPGFAYi5jPg==?= <m@x.ua>", "m@x.ua", "Марія, <a@b.c>"),
    ("Марія <m@x.ua>".encode("cp1251"), "m@x.ua", "Марія"),
    (b"=?koi8-u?Q?=ED=C1=D2=A6=D1?= <m@x.ua>", "m@x.ua", "Марія"),
    (b"m@x.ua (Maria)", "m@x.ua", ""),
    (b"a, b <c@d.ua>, e@f.ua", "c@d.ua", "a, b"),
    (b"<>", "", ""), (b"undisclosed", "", ""), (b"", "", ""),
])  # fmt: skip
def test_from_whom_it_is(written: bytes, address: str, name: str) -> None:
    its = parse(b"From: " + written + b"\r\n\r\nx")
    assert (its.sender, its.name) == (address, name)


def test_a_letter_without_a_name_has_its_digest() -> None:
    one, other = parse(b"From: a@b.ua\r\n\r\nx"), parse(b"From: a@b.ua\r\n\r\ny")
    assert one.id != other.id
    assert parse(b"From: a@b.ua\r\n\r\nx").id == one.id
    assert parse(b"Message-ID: <" + b"x" * 300 + b"@y>\r\n\r\n").id.startswith("sha256:")


def test_on_its_second_way_it_is_the_same_letter_and_another_text_is_not() -> None:
    first, again, other = letter(), letter(Received="by another.server"), letter("Є вода")
    assert read(first).digest == read(again).digest != read(other).digest
    assert read(first).digest != read(attach(letter(), PDF, "application/pdf")).digest


@pytest.mark.parametrize(("text", "language"), [
    ("Немає води", "uk"), ("Нет воды", "uk"), ("There is no water at Khreshchatyk 1", "en"), ("1551", "uk"),
])  # fmt: skip
def test_it_is_answered_in_its_language(text: str, language: str) -> None:
    assert letters.guess_language(text) == language


@pytest.mark.parametrize(("body", "said"), [
    (b"Content-Type: text/plain; charset=windows-1251\r\n\r\n" + "Їжак".encode("cp1251"), "Їжак"),
    (b"Content-Type: text/plain; charset=koi8-u\r\n\r\n" + "Їжак".encode("koi8-u"), "Їжак"),
    (b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + "Їжак".encode(), "Їжак"),
    (b"Content-Type: text/plain; charset=\"x-no-such\"\r\n\r\n" + "Їжак".encode("cp1251"), "Їжак"),
    (b"Content-Type: text/plain; charset=idna\r\n\r\nx", "x"),
    (b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n0IfQttCw0Lo", "Їжак"),
    (b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n0IfQtt!!\r\nCw0Lo=\r\nX", "Їжак"),
    (b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=D0=87=D0=B6=D0=B0=D0=BA=\r\n=ZZ", "Їжак=ZZ"),
    ("Content-Type: text/plain; format=flowed; delsp=yes\r\n\r\nЇж \r\nак\r\n\r\nx".encode(), "Їжак\n\nx"),
    (b"Content-Type: text/plain; format=flowed\r\n\r\nOne \r\ntwo\r\n-- \r\nMe", "One two\n\nMe"),
    (b"Content-Type: multipart/mixed\r\n\r\nno boundary", "no boundary"),
    (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nopen end", "open end"),
    (b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--bb\ny\n--b--\nafter", "x\n--bb\ny"),
    (b"Content-Type: text\r\n\r\nx", "x"), (b"\r\nx", "x"), (b"From x Mon\r\nSubject: y\r\n\r\nx", "x"), (b"", ""),
])  # fmt: skip
def test_broken_and_old_ways_of_writing_are_read(body: bytes, said: str) -> None:
    assert parse(body).text == said


# ── the page ──
def test_a_page_is_read_as_it_is_seen() -> None:
    page = """<html><head><title>t</title><style>p{}</style></head><body><div style="display:none">preheader</div>
        <p>Немає&nbsp;води <b>третій</b> день.<br>Дякую<img src="http://t/x.gif" alt="pixel"></p>
        <span style="font-size:0px">hidden</span><p hidden>hidden</p><script>alert(1)</script>
        <table><tr><td>Адреса</td><td>вул. Хрещатик, 1</td></tr></table><a href="http://evil">посилання</a></body>"""
    assert read(letter("", html=page)).text == \
        "Немає води третій день.\nДякую\n\nАдреса вул. Хрещатик, 1\nпосилання"  # fmt: skip


def test_the_plain_text_is_preferred_unless_it_says_nothing() -> None:
    long = "У будинку 12 третій день немає води, прошу перевірити."
    assert read(letter(long, html="<p>page</p>")).text == long
    assert read(letter("This letter is a page", html="<p>Немає води</p>")).text == "Немає води"


def test_what_is_answered_is_cut_from_a_page_and_what_is_passed_on_is_not() -> None:
    quote = '<div class="gmail_quote"><div class="gmail_attr">{}<br></div><blockquote>старе</blockquote></div>'
    assert read(letter("", html="<p>Дякую</p>" + quote.format("пн пише:"))).text == "Дякую"
    kept = read(letter("", html="<p>Див.</p>" + quote.format("---------- Forwarded message ---------"))).text
    assert kept.endswith("старе")
    assert read(letter("", html=quote.format("пн пише:"))).text != "", "a letter that is only a quote keeps it"


# ── his own words ──
CUT = [
    "пн, 23 лист. 2026 р. о 10:00 Контакт-центр 15-51 <1551@city.test>\nпише:\n\n> Ваше звернення",
    "On Mon, Nov 23, 2026 at 10:00 AM 1551 <1551@city.test> wrote:\n> Ваше",
    "On 23 Nov 2026, at 10:00, 1551 wrote:\n\n> Ваше",
    "пн, 23 нояб. 2026 г. в 10:00, 1551 <1551@city.test>:\n\n> Ваше",
    "23.11.26 10:00, 1551 пише:\n> Ваше\n>\n> ще",
    "23 листопада 2026, 10:00:00, від \"1551\" <1551@city.test>:\n\nВаше звернення",
    "Понедельник, 23 ноября 2026, 10:00 +03:00 от 1551 <1551@city.test>:\n\nВаше",
    "23.11.2026, 10:00, \"1551\" <1551@city.test>:\nВаше",
    "-----Original Message-----\nFrom: 1551\nВаше", "-----Оригінальне повідомлення-----\nВаше",
    "--- Оригінальне повідомлення ---\nВід кого: 1551 <1551@city.test>\nДата: 23 листопада 2026, 10:00\n\nВаше",
    "-------- Исходное сообщение --------\nВаше",
    "________________________________\nFrom: 1551 <1551@city.test>\nSent: Monday\nTo: Maria\nSubject: x\n\nВаше",
    "Від: 1551 <1551@city.test>\nНадіслано: 23 листопада 2026 р. 10:00\nКому: Марія\nТема: x\n\nВаше",
    "От: 1551 <1551@city.test>\nОтправлено: 23 ноября\nКому: Мария\nТема: x\n\nВаше",
    "Надіслано з iPhone", "Sent from my Galaxy", "Отправлено из мобильной Почты Mail.ru",
    "Get Outlook for Android",
]  # fmt: skip


@pytest.mark.parametrize("rest", CUT)
def test_what_he_answers_and_what_his_program_adds_are_cut(rest: str) -> None:
    words = "Є вода, дякую.\n\nАле ліфт стоїть."
    assert quoted.own_words(f"{words}\n\n{rest}") == words
    assert quoted.own_words(rest).strip() == rest.strip(), "nothing else would be left"


def test_who_signs_has_said_who_he_is() -> None:
    signed = "Ліфт стоїть.\n\n-- \nМарія Коваль\nХрещатик 22, кв. 3\n+380441234567\n\nНадіслано з iPhone"
    assert quoted.own_words(signed) == "Ліфт стоїть.\n\n\nМарія Коваль\nХрещатик 22, кв. 3\n+380441234567"


@pytest.mark.parametrize("text", [
    "О 10:00 майстер сказав:\nчекайте до вечора", "Майстер пише:\nбуде завтра", "Від: під’їзду 3\nдо ліфта темно",
    "Дивіться нижче\n\n---------- Forwarded message ---------\nВід: ЖЕК <z@z.ua>\nDate: x\nSubject: y\n\nТекст ЖЕКу",
    "Див.\n\n-------- Переслане повідомлення --------\nТема: x\nДата: y\nВід: z\n\nТекст",
    "2026 рік: вода\n- є\n- нема",
    "Ось лист:\n\nПочаток пересланого листа:\n\nВід: ЖЕК\n\nТекст",
])  # fmt: skip
def test_what_he_says_and_what_he_passes_on_is_kept(text: str) -> None:
    assert quoted.own_words(text) == text


def test_a_passed_on_head_is_kept_by_the_subject() -> None:
    text = "Див.\n\nFrom: ЖЕК <z@z.ua>\nSent: Monday\nTo: Maria\nSubject: Відмова\n\nВідмовляємо"
    assert quoted.own_words(text, "FW: Відмова") == text
    assert quoted.own_words(text, "RE: Відмова") == "Див."


def test_an_answer_between_the_lines_is_kept() -> None:
    text = "On 23 Nov 2026, at 10:00, 1551 wrote:\n\n> Чи вирішено?\n\nТак.\n\n> Чи є вода?\n\nЄ."
    assert quoted.own_words(text).split() == ["Так.", "Є."]


@given(st.text(st.sampled_from("абв a@.:<>-_|\n>20261:0\r\t пишеwrote"), max_size=400))
def test_own_words_are_of_the_text(text: str) -> None:
    kept = quoted.own_words(text)
    assert len(kept) <= len(text)
    assert bool(kept) == bool(text.strip())


# ── files ──
def test_photos_and_documents_are_its_files_whatever_they_are_called() -> None:
    made = letter(html="<p>Немає води <img src='cid:1'></p>")
    for data, kind, name in ((JPEG, "image/jpeg", "фото під’їзду.jpg"), (HEIC, "image/heic", ""),
                             (PDF, "application/octet-stream", "../../акт.pdf")):  # fmt: skip
        attach(made, data, kind, name)
    its = read(made)
    assert [(file.name, file.data) for file in its.files] == [
        ("фото під’їзду.jpg", JPEG), ("", HEIC), ("../../акт.pdf", PDF)]  # fmt: skip
    assert its.text == "Немає води"


@pytest.mark.parametrize(("disposition", "name"), [
    (b"attachment; filename=\"=?utf-8?B?0LDQutGCLnBkZg==?=\"", "акт.pdf"),
    (b"attachment; filename*=utf-8''%D0%B0%D0%BA%D1%82.pdf", "акт.pdf"),
    (b"attachment; filename*0*=utf-8''%D0%B0%D0%BA; filename*1*=%D1%82.pdf", "акт.pdf"),
    ("attachment; filename=\"акт.pdf\"".encode(), "акт.pdf"),
    ("attachment; filename=\"акт.pdf\"".encode("cp1251"), "акт.pdf"),
    (b"attachment; filename=", ""), (b"attachment; filename*=no-such'%ZZ", None),
    (b"attachment; filename*0*=\0''\xff", None),
])  # fmt: skip
def test_names_of_files_are_read_as_programs_write_them(disposition: bytes, name: str | None) -> None:
    its = parse(b"Content-Type: application/pdf\r\nContent-Disposition: " + disposition + b"\r\n\r\n%PDF-1.7")
    assert [file.data for file in its.files] == [b"%PDF-1.7"]
    assert name is None or its.files[0].name == name


def test_logos_and_signatures_are_no_files_and_photos_in_the_text_are() -> None:
    made = letter(html="<p>Немає води <img src='cid:logo'><img src='cid:photo'></p>")
    page: Any = made.get_payload()[1]
    page.add_related(PNG, maintype="image", subtype="png", cid="<logo>", filename="logo.png")
    page.add_related(JPEG + b"\0" * letters.LOGO, maintype="image", subtype="jpeg", cid="<photo>", filename="photo.jpg")
    attach(made, b"x", "application/pgp-signature", "signature.asc")
    assert [file.name for file in read(made).files] == ["photo.jpg"]


def test_what_a_passed_on_letter_brings_comes_with_it() -> None:
    inner = attach(letter("Прорвало трубу", Subject="Труба"), JPEG, "image/jpeg", "труба.jpg")
    outer = letter("Передаю від сусідки")
    outer.add_attachment(inner)
    its = read(outer)
    assert its.text.startswith("Передаю від сусідки")
    assert "Прорвало трубу" in its.text
    assert "Труба" in its.text
    assert [file.name for file in its.files] == ["труба.jpg"]


def test_more_files_than_a_letter_may_bring_are_counted() -> None:
    made = letter()
    for number in range(letters.MOST_FILES + 3):
        attach(made, PDF, "application/pdf", f"{number}.pdf")
    its = read(made)
    assert (len(its.files), its.too_many) == (letters.MOST_FILES, 3)


# ── machines ──
@pytest.mark.parametrize("headers", [
    {"Auto_Submitted": "auto-replied"}, {"Auto_Submitted": "auto-generated; type=vacation"}, {"Precedence": "Bulk"},
    {"Precedence": "auto_reply"}, {"X_Auto_Response_Suppress": "All"}, {"Return_Path": "<>"}, {"List_Id": "<l.x.ua>"},
    {"From": "Mail Delivery <Mailer-Daemon@x.ua>"}, {"Subject": "Автоматична відповідь: звернення"},
    {"Subject": "Out of office: Re"}, {"From": "1551@CITY.test"}, {"X_Autoreply": "yes"},
])  # fmt: skip
def test_a_machine_is_known_and_not_answered(headers: dict[str, str]) -> None:
    its = parse(letter(**headers).as_bytes(), own={"1551@city.test"})
    assert its.automatic
    assert not its.answerable


def test_a_person_is_no_machine_and_a_form_is_not_answered() -> None:
    assert read(letter(Auto_Submitted="no", Return_Path="<maria@example.ua>", Precedence="first-class")).answerable
    form = read(letter(From="no-reply@gov.ua"))
    assert (form.automatic, form.answerable) == (False, False)
    assert read(letter(X_Spam_Flag="YES")).suspect


def report(action: str, kind: str = "message/rfc822") -> bytes:
    return f"""From: mailer-daemon@x.ua\r
Content-Type: multipart/report; report-type=delivery-status; boundary=b\r
\r
--b\r
\r
It failed.\r
--b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; x.ua\r
\r
Action: {action}\r
--b\r
Content-Type: {kind}\r
\r
Message-ID: <26000123-abcdefghijklmnop.5@city.test>\r
Subject: x\r
\r
old\r
--b--\r
""".encode()


@pytest.mark.parametrize("kind", ["message/rfc822", "text/rfc822-headers"])
def test_a_letter_that_came_back_says_which_and_one_that_waits_does_not(kind: str) -> None:
    its = parse(report("failed", kind))
    assert (its.automatic, its.returned) == (True, ("<26000123-abcdefghijklmnop.5@city.test>",))
    assert (its.files, its.text) == ((), "It failed.")
    assert parse(report("delayed", kind)).returned == ()


def test_nobody_returns_letters_in_a_plain_one() -> None:
    outer = letter("Передаю")
    outer.add_attachment(letter(Message_ID="<26000123-abcdefghijklmnop.5@city.test>"))
    assert read(outer).returned == ()


# ── what it is about ──
@pytest.mark.parametrize(("text", "numbers"), [
    ("за зверненням №26000123", (26000123,)), ("26-000123 і 26 000124", (26000123, 26000124)), ("+380441234567", ()),
    ("звернення 126000123", ()), ("", ()),
])  # fmt: skip
def test_numbers_that_look_like_an_appeals_are_found(text: str, numbers: tuple[int, ...]) -> None:
    assert read(letter(text)).numbers == numbers


def test_where_a_seal_may_stand_is_looked_at_and_his_text_is_not() -> None:
    sealed = "26000123-abcdefghijklmnop"
    for name in ("Subject", "In_Reply_To", "References", "To"):
        assert sealed in read(letter(**{name: f"<{sealed}@city.test>"})).mentions
    assert sealed not in read(letter(sealed)).mentions


# ── hostile ──
def well_formed() -> bytes:
    made = letter("Немає води", html="<p>Немає <b>води</b></p>")
    attach(made, JPEG, "image/jpeg", "фото.jpg")
    made.add_attachment(letter("Прорвало", Subject="Труба"))
    return made.as_bytes()


WHOLE = well_formed()
PIECES = [b"\r\n", b"--", b"=?utf-8?b?", b"?=", b"\0", b"\xff\xfe", b"Content-Type: ",
          b"multipart/mixed; boundary=\"", b"message/rfc822", b"\"", b";", b"*0*=", b"<", b"(", b"charset=utf-16",
          b"base64", b"\xed\xa0\x80"]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.one_of(
    st.binary(max_size=600), st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join),
    st.lists(st.tuples(st.integers(0, len(WHOLE)), st.sampled_from(PIECES), st.integers(0, 30)), max_size=8).map(
        lambda changes: mutated(WHOLE, changes))))  # fmt: skip
@example(b"Content-Type: message/rfc822\n\n" * 200)
@example(b"Subject: =?\0?b?x?=\nFrom: =?utf-8?q?=\nDate: 99999\n\n")
@example("Subject: \u0958\u0958\n\n\ufb2c".encode() * 50)
def test_whatever_comes_is_a_letter(data: bytes) -> None:
    its = parse(data)
    assert its.id
    assert len(its.text) <= letters.LONGEST_TEXT
    for text in (its.sender, its.name, its.subject, its.text, its.mentions, *(file.name for file in its.files)):
        text.encode()  # no halves of surrogate pairs
    assert "\0" not in its.text + its.subject + its.name


def mutated(data: bytes, changes: list[tuple[int, bytes, int]]) -> bytes:
    for at, piece, gone in changes:
        data = data[:at] + piece + data[at + gone :]
    return data


HEAD = b"Content-Type: multipart/mixed; boundary=b\n\n"


@pytest.mark.parametrize("bomb", [
    b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(10_000)),
    b"Content-Type: message/rfc822\n\n" * 10_000 + b"x" * MEGABYTE,
    HEAD + b"--b\n\nx\n" * 500_000, HEAD + b"--bx" * MEGABYTE, b"A: b\n" * MEGABYTE, b"A: " + b"b" * 4 * MEGABYTE,
    b"Content-Type: text/plain" + b"; a=\"b" * MEGABYTE, b"Subject: " + b"=?utf-8?q?" * 100_000,
    b"From: " + b"\"a" * MEGABYTE, b"\n" * 4 * MEGABYTE, b"\n\n" + b"<" * MEGABYTE,
    b"Content-Type: text/html\n\n" + b"<b>x" * MEGABYTE, b"Content-Type: text/html\n\n" + b"<td>" * MEGABYTE,
    b"Content-Type: text/plain; format=flowed\n\n" + b"x \n" * MEGABYTE,
    b"\n\n" + (b"On 2026 " + b"a@" * 190 + b":\n") * 4000,
], ids=range(15))  # fmt: skip
def test_a_bomb_costs_little(bomb: bytes) -> None:
    began = time.process_time()
    parse(bomb)
    assert time.process_time() - began < 4
