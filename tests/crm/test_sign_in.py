"""Who is let in: passwords that are taken, codes that are taken once, and guessing that slows down only who guesses."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from crm import guessing, passwords, people, schema, second_factor, sign_in
from crm.errors import BadInput, NotAllowed
from crm.guessing import FREE_FROM_ADDRESS, FREE_HERE, FREE_OF_ACCOUNT, LONGEST_WAIT_S, Place
from crm.people import PERMISSIONS, Owed, Permission, Role, Staff
from crm.sign_in import Lasting
from crm.store import Database

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
SECRET = second_factor.secret_of(b"twenty bytes of seed")
PASSWORD = "чотири слова поспіль тут"


@functools.cache
def hashed() -> str:
    return passwords.hashed(PASSWORD)


def hire(db: Database, login: str = "o.koval", role: Role = Role.OPERATOR, *, given: bool = False) -> Staff:
    with db.write() as conn:
        return people.get(conn, people.add_staff(conn, login=login, name="Оксана Коваль", password_hash=hashed(),
                                                 role=role, password_given=given))  # fmt: skip


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """The pages' own tests sign in on PostgreSQL too."""
    return sqlite_url


def code_at(at: datetime) -> str:
    return str(pyotp.TOTP(SECRET).at(at))


# ── passwords ────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("password", "id"), [
    ("коротке", "password.length"), ("x" * 201, "password.length"),
    ("Password2026!", "password.common"), ("йцукенгшщз", "password.common"), ("1234567890", "password.common"),
    ("9876543210", "password.common"), ("abcdefghij", "password.common"), ("ааааааааааа", "password.common"),
    ("Пароль_Пароль", "password.common"), ("P@ssw0rd12", "password.common"),
    ("o.koval-2026", "password.own"), ("КовальОксана1", "password.own"),
])  # fmt: skip
def test_passwords_that_everybody_tries_first_are_not_taken(password: str, id: str) -> None:
    with pytest.raises(BadInput) as refused:
        passwords.chosen(password, login="o.koval", name="Оксана Коваль")
    assert refused.value.id == id


@pytest.mark.parametrize("password", ["чотири слова поспіль", "коваль кує підкову зранку", "тролейбус-27-їде"])
def test_others_are_whatever_they_are_made_of(password: str) -> None:
    kept = passwords.chosen(password, login="o.koval", name="Оксана Коваль")
    assert passwords.matches(kept, password)


def test_a_password_of_ones_own_is_another_and_nothing_is_owed_then(db: Database) -> None:
    person = hire(db, given=True)
    assert people.owed(person, second_factor=True) is Owed.PASSWORD
    with pytest.raises(BadInput, match=r"password\.same"):
        sign_in.change_password(db, person, PASSWORD, now=NOW)
    sign_in.change_password(db, person, "зовсім інші три слова", now=NOW)
    person = sign_in.prove_password(db, person.login, "зовсім інші три слова", place=Place(), now=NOW)
    assert people.owed(person, second_factor=True) is None


# ── the second factor ────────────────────────────────────────────────────────────────────────
def test_it_is_asked_of_who_sees_much() -> None:
    asked = {role for role in Role if people.owed(Staff(1, "a", "А", role, None, "uk", True), second_factor=True)}
    assert asked == {Role.CONTROL, Role.SUPERVISOR, Role.OFFICIAL, Role.ADMINISTRATOR}
    for permission in (Permission.MANAGE_PEOPLE, Permission.PRIVACY, Permission.LISTEN, Permission.IMPORT):
        assert asked >= {role for role in Role if permission in PERMISSIONS[role]}
    assert not any(people.owed(Staff(1, "a", "А", role, None, "uk", True), second_factor=False) for role in Role)


def test_a_code_is_taken_once_and_one_step_off_each_way(db: Database) -> None:
    person = hire(db)
    with db.write() as conn, pytest.raises(BadInput, match="wrong_code"):
        sign_in.enrol(conn, person.id, SECRET, "000000" if code_at(NOW) != "000000" else "000001", now=NOW)
    with db.write() as conn:
        sign_in.enrol(conn, person.id, SECRET, code_at(NOW), now=NOW)
    with db.write() as conn, pytest.raises(NotAllowed, match=r"factor\.present"):
        sign_in.enrol(conn, person.id, SECRET, code_at(NOW), now=NOW)

    def takes(code: str, seconds: int) -> bool:
        try:
            sign_in.prove_code(db, person.id, code, place=Place("192.0.2.9"), now=NOW + timedelta(seconds=seconds))
        except NotAllowed as error:
            assert error.id == "sign_in.wrong_code"  # noqa: PT017
            return False
        with db.write() as conn:
            conn.execute(delete(schema.sign_in_failure))
        return True

    def code(step: int) -> str:
        return code_at(NOW + timedelta(seconds=30 * step))

    assert not takes(code(0), 5), "it was given when the factor was set up"
    assert not takes(code(3), 30), "two steps ahead"
    assert takes(" ".join(code(2)), 30), "the telephone is one ahead; blanks are nothing"
    assert not takes(code(2), 60)
    assert not takes(code(1), 60), "older than one that was given"
    assert takes(code(3), 120), "and one behind"
    assert takes(code(5), 150)


def test_wrong_codes_count_like_wrong_passwords_and_a_right_password_does_not_wipe_them_out(db: Database) -> None:
    person, place = hire(db), Place("192.0.2.9")
    with db.write() as conn:
        sign_in.enrol(conn, person.id, SECRET, code_at(NOW - timedelta(hours=1)), now=NOW - timedelta(hours=1))
    wrong = "000000" if code_at(NOW) != "000000" else "000001"
    for n in range(FREE_HERE):
        if n == 1:
            sign_in.prove_password(db, person.login, PASSWORD, place=place, now=NOW)
        with pytest.raises(NotAllowed, match="wrong_code"):
            sign_in.prove_code(db, person.id, wrong, place=place, now=NOW)
    with pytest.raises(NotAllowed, match=r"sign_in\.wait"):
        sign_in.prove_code(db, person.id, code_at(NOW), place=place, now=NOW)
    with pytest.raises(NotAllowed, match=r"sign_in\.wrong$"):
        sign_in.prove_password(db, person.login, PASSWORD, place=place, now=NOW)
    with db.write() as conn:
        people.take_second_factor(conn, person.id, people.Edit(NOW, None))
    assert not sign_in.prove_password(db, person.login, PASSWORD, place=place, now=NOW).second_factor


# ── guessing ─────────────────────────────────────────────────────────────────────────────────
STRANGER = st.builds(Place, st.sampled_from(["198.51.100.1", "198.51.100.2", "203.0.113.7", "2001:db8::1", "nonsense"]))
MINE = st.one_of(st.builds(Place, st.sampled_from(["198.51.100.1", "192.0.2.9"]), st.just("a browser of mine")),
                 st.builds(Place, st.sampled_from(["127.0.0.1", "127.0.0.5", "::1"])))  # fmt: skip
TRIES = st.lists(st.tuples(st.booleans(), STRANGER, st.integers(0, 600)), max_size=120)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tries=TRIES, place=MINE, own=st.integers(0, FREE_HERE - 1))
def test_no_guessing_of_strangers_delays_the_right_person_where_he_is_known(
    two: tuple[Database, Staff, Staff], tries: list[tuple[bool, Place, int]], place: Place, own: int
) -> None:
    """At a browser of his, or at the machine itself; nor elsewhere, if he has a password that was given him. And nobody
    ever waits for more than a quarter of an hour."""
    db, me, other = two
    now = NOW
    with db.write() as conn:
        conn.execute(delete(schema.sign_in_failure))
        for _ in range(own):
            sign_in.failed(conn, me.id, place, now)
        for at_me, stranger, later in tries:
            now += timedelta(seconds=later)
            sign_in.failed(conn, me.id if at_me else other.id, stranger, now)
        assert sign_in.wait_s(conn, me, place, now) == 0
        assert 0 <= sign_in.wait_s(conn, me, Place("198.51.100.1"), now) <= LONGEST_WAIT_S


@pytest.fixture
def two(db: Database) -> tuple[Database, Staff, Staff]:
    return db, hire(db), hire(db, "second")


def test_many_who_guess_at_one_and_one_who_guesses_at_many_are_slowed_down(db: Database) -> None:
    me, new = hire(db), Place("192.0.2.9")
    with db.write() as conn:
        for n in range(FREE_OF_ACCOUNT):
            assert sign_in.wait_s(conn, me, new, NOW) == 0
            sign_in.failed(conn, me.id, Place(f"198.51.100.{n}"), NOW)
        assert sign_in.wait_s(conn, me, new, NOW) == guessing.FIRST_WAIT_S, "a new place waits, but a moment"
        people.give_password(conn, me.id, hashed(), people.Edit(NOW, None))
        for n in range(FREE_OF_ACCOUNT):
            sign_in.failed(conn, me.id, Place(f"198.51.100.{n}"), NOW)
        assert sign_in.wait_s(conn, people.get(conn, me.id), new, NOW) == 0, "an administrator always lets him in"
    others = [hire(db, f"person{n}") for n in range(FREE_FROM_ADDRESS)]
    with db.write() as conn:
        for other in others:
            assert sign_in.wait_s(conn, other, Place("2001:db8::1"), NOW) == 0
            sign_in.failed(conn, other.id, Place(f"2001:db8::{other.id}"), NOW)
        assert sign_in.wait_s(conn, me, Place("2001:db8::ffff"), NOW) > 0, "it is all one network"
        assert sign_in.wait_s(conn, me, new, NOW) > 0, "as before: many have guessed"
        assert sign_in.wait_s(conn, others[0], new, NOW) == 0


@given(st.integers(0, 10_000), st.integers(1, 100))
def test_who_goes_on_never_waits_less_and_never_for_ever(failures: int, free: int) -> None:
    assert guessing.wait_after(failures, free) <= guessing.wait_after(failures + 1, free) <= LONGEST_WAIT_S


def test_where_he_is_known_he_is_told_how_long_elsewhere_nothing(db: Database) -> None:
    person = hire(db)
    for place, id in ((Place("192.0.2.9", "mine"), "sign_in.wait"), (Place("192.0.2.9"), "sign_in.wrong")):
        with db.write() as conn:
            for _ in range(FREE_HERE):
                sign_in.failed(conn, person.id, place, NOW)
        with pytest.raises(NotAllowed) as refused:
            sign_in.prove_password(db, "o.koval", PASSWORD, place=place, now=NOW)
        assert refused.value.id == id


# ── sessions ─────────────────────────────────────────────────────────────────────────────────
def test_a_session_ends_unused_but_not_under_who_is_at_work(db: Database) -> None:
    person, lasting = hire(db), Lasting(hours=12, idle_minutes=60)

    def later(minutes: int) -> datetime:
        return NOW + timedelta(minutes=minutes)

    def lasts(at: datetime) -> bool:
        """Uses it."""
        with db.write() as conn:
            now = sign_in.session(conn, token, at)
            if now is not None and (until := lasting.moved(now, at)):
                sign_in.lasts_until(conn, token, until)
        return now is not None

    with db.write() as conn:
        token = sign_in.begin(conn, person, place=Place("192.0.2.9"), agent="A", lasting=lasting, now=NOW).token
    assert [lasts(later(at)) for at in (50, 100, 150)] == [True] * 3
    assert not lasts(later(211))
    with db.write() as conn:
        token = sign_in.begin(conn, person, place=Place("192.0.2.9"), agent="A", lasting=lasting, now=NOW).token
        sign_in.sit(conn, token, "101")
    assert [lasts(later(at)) for at in (1, 600, 719, 721)] == [True, True, True, False]


def test_one_is_ended_or_all_but_this(db: Database) -> None:
    person, other = hire(db), hire(db, "second")
    with db.write() as conn:
        tokens = [sign_in.begin(conn, whose, place=Place(f"192.0.2.{n}"), agent=f"Browser {n}", lasting=Lasting(),
                                now=NOW + timedelta(seconds=n)).token
                  for n, whose in enumerate((person, person, person, other))]  # fmt: skip
        sign_in.sit(conn, tokens[0], "101")
        shown = sign_in.open_sessions(conn, person.id, NOW)
        assert [(one.source, one.agent, one.seat) for one in shown] == [
            ("192.0.2.2", "Browser 2", None), ("192.0.2.1", "Browser 1", None), ("192.0.2.0", "Browser 0", "101")]
        strange = sign_in.mark_of(tokens[3])
        assert sign_in.end(conn, person.id, mark=strange) == [], "another person's"
        assert [one.agent for one in sign_in.end(conn, person.id, mark=shown[1].mark)] == ["Browser 1"]
        renewed = sign_in.renewed(conn, tokens[2])
        assert [one.seat for one in sign_in.end(conn, person.id, but=renewed)] == ["101"]
        alive = [sign_in.session(conn, token, NOW) is not None for token in (*tokens, renewed)]
    assert alive == [False, False, False, True, True]
