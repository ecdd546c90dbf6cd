"""A centre in the middle of an ordinary month, for what looks at every page: who works there, and what each address
needs to be opened with."""

from __future__ import annotations

import datetime as dt
import io
import wave
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from sqlalchemy import Connection, delete, insert, select, update

from centre.sample_life.month import RULES, Month
from centre.settings import Settings
from crm import (
    answer_templates,
    api_keys,
    appeals,
    attachments,
    calls,
    campaigns,
    citizens,
    confirmations,
    guessing,
    inbox,
    knowledge,
    messages,
    people,
    promises,
    ratings,
    routing_editions,
    schema,
    sign_in,
    staffing,
    surges,
    webhooks,
)
from crm.calls import EndCause
from crm.campaign_rules import Mode, Step, Terms
from crm.life import Action
from crm.messages import Held, Incoming
from crm.people import Role
from crm.promise_rules import Reason
from crm.promise_rules import Rules as PromiseRules
from crm.store import Database
from recordings import library

FIRST, DAYS, A_DAY = dt.date(2026, 10, 5), 25, 24
NOW = dt.datetime(2026, 10, 29, 9, 40, tzinfo=dt.UTC)
RINGS = "1793266740.118"  # the call that rings at seat 101
SEATS = {Role.OPERATOR: "103"}  # who sits where, at the page's telephone
PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000"
                    "000301010018dd8db00000000049454e44ae426082")  # fmt: skip


@dataclass
class Filled:
    """``staff``: of each role one. ``addresses``: of each page whose address has a part to be filled in."""

    db: Database
    caller: str = ""
    staff: dict[Role, people.Staff] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    def address(self, path: str) -> str:
        """KeyError for a page that nobody has said how to open: say it in ``fill``."""
        return self.addresses[path] if path in self.addresses or "{" in path else path

    def session(self, role: Role) -> tuple[str, str]:
        """A new one of that role's person: its token, and the mark of its forms."""
        with self.db.write() as conn:
            made = sign_in.begin(conn, self.staff[role], place=guessing.Place("127.0.0.1", ""), agent="Chromium",
                                 lasting=sign_in.Lasting(), now=NOW)  # fmt: skip
            if role in SEATS:
                sign_in.sit(conn, made.token, SEATS[role], sign_in.Phone.BROWSER)
        return made.token, made.csrf


def fill(db: Database, settings: Settings) -> Filled:
    month = Month(db, first=FIRST, days=DAYS, a_day=A_DAY, number=7)
    month.end = NOW
    month.run()
    made = Filled(db)
    with db.write() as conn:
        for role, name in ((Role.SUPERVISOR, "Марчук Оксана"), (Role.ONLINE, "Ткаченко Леся"),
                           (Role.ANALYST, "Гнатюк Ірина"),
                           (Role.ADMINISTRATOR, "Савченко Андрій")):  # fmt: skip
            people.add_staff(conn, login=role.value, name=name, password_hash="-", role=role)
        conn.execute(update(schema.staff).values(password_given=False))
        conn.execute(delete(schema.call).where(schema.call.c.arrived_at > NOW))  # a day's are drawn in its morning
        for person in people.staff(conn):
            made.staff.setdefault(person.role, person)
        executing = conn.execute(
            select(schema.appeal.c.department_id).where(schema.appeal.c.state == "assigned").limit(1)).scalar_one()
        made.staff[Role.EXECUTOR] = next(one for one in people.staff(conn) if one.department_id == executing)
        _tell(conn, made)
        _follow(conn, made, settings)
        _write(conn, made, settings)
    library.index(db, settings.recordings, RINGS, NOW)
    return made


def _tell(conn: Connection, made: Filled) -> None:
    """What is written once in a while: a bulletin, a campaign, a plan, a draft of the rules."""
    by = made.staff[Role.SUPERVISOR].id
    district = conn.execute(select(schema.district.c.id).limit(1)).scalar_one()
    bulletin = knowledge.save_bulletin(
        conn, None, None, text_uk="До 18:00 на Лівому березі планові роботи на мережі: тиск води знижено.",
        text_en="Until 18:00 there is planned work on the Left Bank: water pressure is low.", starts_at=NOW,
        ends_at=NOW + dt.timedelta(hours=6), building_id=None, network_id=None, district_id=district, staff_id=by,
        now=NOW)  # fmt: skip
    campaign = campaigns.save(conn, None, None, Terms("Опалення: виконане за тиждень", Mode.PREVIEW), staff_id=by,
                              now=NOW)  # fmt: skip
    campaigns.step(conn, campaign, Step.START, version=1, staff_id=by, now=NOW)
    campaigns.take(conn, NOW)
    campaigns.save(conn, None, None, Terms("Ліфти Оболоні", Mode.PROGRESSIVE), staff_id=by, now=NOW)
    staffing.put(conn, NOW.date(), dict.fromkeys(range(480, 1200, 30), 6), now=NOW, staff_id=by)
    key, _ = api_keys.make(conn, name="Застосунок міста, Android", channel="mobile", hourly_cap=600, now=NOW,
                           staff_id=by)  # fmt: skip
    hook = _hook(conn, made, by)
    edition = routing_editions.draft(conn, note="Узимку аварії тепломереж — одразу районам", now=NOW, staff_id=by)
    surges.switch_on(conn, surges.Kind.SURGE, now=NOW - dt.timedelta(hours=30), staff_id=by, reason="прорив на мережі")
    surges.switch_off(conn, surges.Kind.SURGE, now=NOW - dt.timedelta(hours=28), staff_id=by)
    made.addresses |= {"/knowledge/{kind}/{id}": f"/knowledge/bulletins/{bulletin}",
                       "/campaigns/{id}": f"/campaigns/{campaign}", "/campaigns/{id}/edit": "/campaigns/2/edit",
                       "/campaigns/{id}/step": "/campaigns/2/step",
                       "/campaigns/{id}/appeals": f"/campaigns/{campaign}/appeals?figure=left",
                       "/rules/routing/{id}": f"/rules/routing/{edition}", "/rules/keys/{id}": f"/rules/keys/{key}",
                       **{f"/rules/webhooks/{{id}}{do}": f"/rules/webhooks/{hook}{do}" for do in ("", "/act")},
                       }  # fmt: skip


def _hook(conn: Connection, made: Filled, by: int) -> int:
    """A department's system that is away: something waits for it."""
    hook, _ = webhooks.add(conn, name="Диспетчерська Київтеплоенерго", url="https://heating.city.ua/1551",
                           department_id=None, private=False, now=NOW, staff_id=by)  # fmt: skip
    for number, error in enumerate(("HTTP 503 технічні роботи", "")):
        conn.execute(insert(schema.delivery), {
            "webhook_id": hook, "appeal_id": 1 + number, "body": {"id": f"26000001-{number}", "action": "assign"},
            "tries": 3 if error else 0, "error": error, "created_at": NOW - dt.timedelta(hours=2 - number),
            "due_at": NOW})  # fmt: skip
    return hook


def _write(conn: Connection, made: Filled, settings: Settings) -> None:
    """What came in writing: a letter of the resident who calls, with a photo, which a specialist has; an answer to what
    he wrote before; what waits, what is held, a conversation."""
    online = made.staff[Role.ONLINE].id
    citizen = conn.execute(select(schema.citizen_phone.c.citizen_id).where(
        schema.citizen_phone.c.e164 == made.caller).limit(1)).scalar_one()  # fmt: skip
    name = citizens.get(conn, citizen).name
    citizens.add_address(conn, citizen, "email", "resident@example.com", NOW)
    stored = attachments.store(settings.attachments, "вікно.png", io.BytesIO(PNG))

    def come(id: str, channel: str, address: str, text: str, minutes: int, **more: object) -> int:
        taken = messages.take(conn, Incoming(
            channel=channel, external_id=id, address=address, text=text,
            received_at=NOW - dt.timedelta(minutes=minutes), **more))  # type: ignore[arg-type]  # fmt: skip
        assert taken is not None
        return taken

    before = come("m1", "email", "resident@example.com", "Коли буде тепло?", 1500, name=name, title="Опалення")
    inbox.answer(conn, before, inbox.Act(online, NOW - dt.timedelta(minutes=1400), 1), key="1", done=True,
                 text="Роботи триватимуть до п’ятниці.")  # fmt: skip
    letter = come("m2", "email", "resident@example.com", "Батареї й досі холодні, ось фото.", 42, name=name,
                  title="Знову холодно", files=[replace(stored, place=(50.4501, 30.5234))])  # fmt: skip
    inbox.claim(conn, letter, inbox.Act(online, NOW, 1))
    come("m3", "email", "resident@example.com", "Додаю: під’їзд другий.", 30, name=name, title="Знову холодно")
    come("m4", "sms", "+380671112233", "На подвір’ї запах газу!", 5)
    come("m5", "web", "", "Яма на дорозі біля школи.", 90, said={"place": "біля школи № 5"}, reason=Held.NAMELESS)
    come("m6", "facebook", "1234567890", "Не працює ліфт.", 3, name="Олексій", state=messages.State.GATHERING)
    answer_templates.save(conn, None, None, name="Як вас звати?", text_uk="Доброго дня! Напишіть, як вас звати.",
                          text_en="", active=True, now=NOW, staff_id=online)  # fmt: skip
    file = inbox.files(conn, [letter])[0].id
    made.addresses |= {
        "/messages/files/{id}": f"/messages/files/{file}",
        **{f"/messages/{{id}}{do}": f"/messages/{letter}{do}" for do in ("", "/appeals", "/already", "/still")},
    }


def _follow(conn: Connection, made: Filled, settings: Settings) -> None:
    """A resident who has written before, and who calls now; his recording, his promise, his callback."""
    appeal = conn.execute(select(schema.appeal).where(
        schema.appeal.c.state == "assigned", schema.appeal.c.citizen_id.is_not(None),
        schema.appeal.c.building_id.is_not(None),
    ).order_by(schema.appeal.c.id.desc()).limit(1)).one()  # fmt: skip
    made.caller = conn.execute(select(schema.citizen_phone.c.e164).where(
        schema.citizen_phone.c.citizen_id == appeal.citizen_id).limit(1)).scalar_one()  # fmt: skip
    stored = attachments.store(settings.attachments, "під’їзд.png", io.BytesIO(PNG))
    photo = attachments.add(conn, appeal.id, stored, now=NOW, action=Action.EXECUTE,
                            staff_id=made.staff[Role.EXECUTOR].id)  # fmt: skip
    operator = made.staff[Role.OPERATOR].id
    calls.arrived(conn, RINGS, at=NOW - dt.timedelta(seconds=90), origin="mobile", caller=made.caller)
    calls.queued(conn, RINGS, NOW - dt.timedelta(seconds=80), "city", 1, None)
    calls.answered(conn, RINGS, "101", NOW - dt.timedelta(seconds=30), operator)
    calls.ended(conn, RINGS, NOW, EndCause.COMPLETED, talk_s=30)
    ratings.keep(conn, RINGS, 5, NOW)
    conn.execute(update(schema.call).where(schema.call.c.linkedid.in_(select(schema.call.c.linkedid).where(
        schema.call.c.outcome == "consulted").order_by(schema.call.c.id.desc()).limit(4))).values(outcome=""))
    calls.about(conn, RINGS, appeal.id, calls.Outcome.ABOUT_APPEAL, operator, NOW)
    name = "ab/" + "0123456789abcdef" * 2 + ".wav"
    path = settings.recordings / name
    path.parent.mkdir(parents=True, mode=0o700)
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(range(256)) * 125)
    recording = library.announced(conn, RINGS, name, NOW)
    promise = promises.make(conn, e164=made.caller, reason=Reason.CLOSED, now=NOW - dt.timedelta(minutes=14),
                            told_at=NOW + dt.timedelta(minutes=6), rules=PromiseRules())  # fmt: skip
    assert promise is not None
    feedback = made.staff[Role.FEEDBACK].id
    attempt = callback = None
    for (callback,) in conn.execute(select(schema.callback.c.id).where(schema.callback.c.state == "due")).all():
        with_none_open = confirmations.claim(conn, callback, now=NOW, rules=RULES, seat="102", staff_id=feedback)
        if with_none_open is not None:
            attempt = with_none_open.id
            confirmations.attempt_answered(conn, attempt, NOW)
            break
    first = {table: conn.execute(select(schema.metadata.tables[table].c.id).limit(1)).scalar_one()
             for table in ("incident", "programme", "subject")}  # fmt: skip
    building = appeals.get(conn, appeal.id).building_id
    number = appeal.number
    made.addresses |= {
        **{f"/live/seats/{{seat}}{do}": f"/live/seats/102{do}" for do in (
            "", "/move", "/pause", "/unpause", "/out", "/listen")},
        "/wall/{kind}": "/wall/surge", "/calls/{linkedid}": f"/calls/{RINGS}",
        **{f"/calls/{{linkedid}}/{do}": f"/calls/{RINGS}/{do}" for do in (
            "appeals", "already", "outcome", "answer", "given", "spoken", "lacking")},
        "/addresses": "/addresses?q=" + quote("Хрещ"),
        "/knowledge/addresses": "/knowledge/addresses?q=" + quote("Хрещ"),
        "/addresses/history": f"/addresses/history?building={building}", "/appeals/print":
        f"/appeals/print?department={appeal.department_id}", "/appeals/{number}": f"/appeals/{number}",
        "/appeals/{number}/programme": f"/appeals/{number}/programme", "/attachments/{id}": f"/attachments/{photo}",
        **{f"/incidents/{{id}}{do}": f"/incidents/{first['incident']}{do}" for do in ("", "/announcement")},
        "/announcements/{language}/{mark}": "/announcements/uk/" + "0" * 32,
        "/promises/{id}": f"/promises/{promise.id}", "/notices/{id}": "/notices/1",
        **{f"/confirmations/{{callback_id}}/{do}": f"/confirmations/{callback}/{do}" for do in ("later", "call")},
        "/confirmations/attempts/{attempt_id}": f"/confirmations/attempts/{attempt}",
        "/confirmations/attempts/{attempt_id}/recordings/{id}":
        f"/confirmations/attempts/{attempt}/recordings/{recording}",
        **{f"/programmes/{{id}}{do}": f"/programmes/{first['programme']}{do}" for do in ("", "/buildings")},
        "/rules/subjects/{id}": f"/rules/subjects/{first['subject']}",
        "/rules/departments/{id}": f"/rules/departments/{appeal.department_id}",
        "/reports/by/{dimension}": "/reports/by/subject", "/reports/crossed/{across}": "/reports/crossed/district",
        "/reports/appeals": "/reports/appeals?figure=registered",
        **{f"/people/{{id}}{do}": f"/people/{operator}{do}" for do in ("", "/password", "/second-factor", "/sessions")},
        "/import/{ticket}": "/import/none", "/privacy": "/privacy?said=" + quote(made.caller),
        "/privacy/citizens/{id}": f"/privacy/citizens/{appeal.citizen_id}",
        "/privacy/citizens/{id}/data": f"/privacy/citizens/{appeal.citizen_id}/data",
        **{f"/recordings/{{id}}{do}": f"/recordings/{recording}{do}" for do in ("", "/copy")},
        "/recordings/audio/{ticket}": "/recordings/audio/none",
    }  # fmt: skip
