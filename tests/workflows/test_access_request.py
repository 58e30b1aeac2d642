"""Access requests (BL 3, 4): each user's two working days, secrets that go to nobody else, and who may ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from email.message import EmailMessage
from functools import partial
from itertools import count
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import select
from stdnum.lv import pvn
from temporalio.exceptions import ApplicationError

from activities.access import AccessActivities
from integrations.identity import external_id
from integrations.mail import MaildirOut
from models.access import IssueAccess
from models.errors import Refusal
from models.tables import AccountRow, ClientRow, PartyRow
from operations.accounts import end_lapsed
from operations.directory import LocalDirectory
from operations.sign_in import SignIn, asked_of
from tests.replay.history import activity_of
from tests.world import RIGA, Refused, VirtualNow, World, text_of

MONDAY = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
WEDNESDAY_DUE = datetime(2027, 3, 4, 0, 0, tzinfo=RIGA)
SECOND = timedelta(seconds=1)
_numbers = count(1)


def user(**more: Any) -> dict[str, Any]:
    """A complete line of an invented user; every call another person."""
    n = next(_numbers)
    code = f"32{n:08d}"
    return {
        "first_name": "Žanete",
        "last_name": f"Ķirsone{n}",
        "personal_code": code + pvn.calc_check_digit_pers(code),
        "phone": "+371 20000000",
        "email": f"zanete.{n}@noliktavas.example",
        **more,
    }


def content(client: str, *users: Any, **more: Any) -> dict[str, Any]:
    """A request of the responsible employee."""
    return {
        "client": client,
        "requester": {"name": "Ilze Kalna", "email": "Ilze.Kalna@noliktavas.example"},
        "action": "issue",
        "users": list(users),
        **more,
    }


def _said(mail: EmailMessage, word: str) -> str:
    return next(line.split(": ")[1] for line in str(mail.get_content()).splitlines() if line.startswith(word))


def secret_in(mail: EmailMessage) -> str:
    """The one-time secret as the user reads it."""
    return _said(mail, "Vienreizējā parole")


def username_in(mail: EmailMessage) -> str:
    """The user name as the user reads it."""
    return _said(mail, "Lietotājvārds")


async def works(world: World, client: str, mail: EmailMessage) -> bool:
    """Whether the login data of a mail open the account now."""
    directory = LocalDirectory(world.sessions, world.now)
    return await directory.verify(external_id(client, username_in(mail)), secret_in(mail)) == "must_change"


async def accounts(world: World, client: str) -> list[AccountRow]:
    """The accounts of a client."""
    async with world.sessions() as session:
        return list((await session.exec(select(AccountRow).where(AccountRow.client == client))).all())


async def dump(world: World) -> str:
    """Everything that any table holds, opened, as text."""
    return "\n".join(str(row) for _, row in await world.everything_stored())


@asynccontextmanager
async def no_carrier(world: World) -> AsyncIterator[None]:
    """Meanwhile the carrier takes no mail: its folder is gone, and a file stands in the way."""
    folder, aside = world.var / "mail", world.var / "mail.aside"
    folder.mkdir(parents=True, exist_ok=True)
    folder.rename(aside)
    folder.write_text("in the way")
    try:
        yield
    finally:
        folder.unlink()
        aside.rename(folder)


@asynccontextmanager
async def no_provider(world: World) -> AsyncIterator[None]:
    """Meanwhile the provider does not answer: its table is gone."""
    await _rename(world, "directory", "directory_away")
    try:
        yield
    finally:
        await _rename(world, "directory_away", "directory")


async def _rename(world: World, former: str, new: str) -> None:
    async with world.sessions() as session, session.begin():
        await (await session.connection()).execute(text(f"ALTER TABLE {former} RENAME TO {new}"))


async def shows(world: World, case: str, text: str) -> None:
    """Wait until people see this of a case."""

    async def shown() -> bool:
        return text in await world.details(case)

    await world.until(shown, f"{case} shows: {text}", seconds=60)


async def line(world: World, case: str, user: str = "U1") -> str:
    """The result of a line."""
    row = await world.row(case)
    assert row is not None
    return str(next(x["status"] for x in row.state["body"]["lines"] if x["user"] == user))


async def test_a_straight_request_is_issued_and_closed(world: World) -> None:
    """One complete line: a mail straight to the user, the clock kept, rest, closed; the data open the account."""
    await world.begin(MONDAY)
    client, who = await world.customer(), user()
    case = await world.file("access_request", "BL", content(client, who))
    await world.stage(case, "resting")
    clock = await world.clock(case, "BL-4", "U1")
    assert (clock.status, clock.due) == ("kept", WEDNESDAY_DUE)
    assert clock.evidence is not None
    assert clock.evidence["kind"] == "mail_sent"
    [mail] = world.mails(who["email"])
    assert await works(world, client, mail)
    [account] = await accounts(world, client)
    assert account.must_change
    await world.advance(case, MONDAY + timedelta(days=9))
    row = await world.row(case)
    assert row is not None
    assert (row.stage, row.outcome) == ("closed", "issued")
    described = await world.handle(case).describe()
    asked = [name for e in (await world.handle(case).fetch_history()).events if (name := activity_of(e)) is not None]
    assert asked == ["case.open", "case.record", "access.issue", "case.record", "case.record"]
    assert described.history_length <= 60, described.history_length


async def open_line(world: World, at: datetime = MONDAY) -> tuple[str, str, dict[str, Any]]:
    """A request whose only mail came back at once, so that its clock runs: client, case, user."""
    await world.begin(at)
    client, who = await world.customer(), user()
    case = await world.file("access_request", "BL", content(client, who), received_at=at)
    await world.stage(case, "resting")
    await world.say(case, "report_bounce", notice="BL-4:U1:1", bounced_at=at.isoformat())
    await world.settled(case)
    return client, case, who


async def corrected(world: World, case: str, email: str = "zanete.otra@noliktavas.example") -> None:
    """Another address, and the new mail is proven."""
    await world.say(case, "correct_address", party="U1", email=email)
    await world.stage(case, "resting")


# ---- the two working days -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ((2027, 3, 1, 23, 30), (2027, 3, 4)),  # still Monday
        ((2027, 3, 2, 0, 30), (2027, 3, 5)),  # Tuesday, though Monday in UTC
        ((2027, 6, 7, 23, 30), (2027, 6, 10)),  # the same in summer time
        ((2027, 3, 5, 20, 0), (2027, 3, 10)),  # a Friday evening: Monday and Tuesday
        ((2027, 3, 6, 12, 0), (2027, 3, 10)),  # a Saturday: Monday and Tuesday
        ((2027, 3, 25, 10, 0), (2027, 4, 1)),  # before Easter and the change to summer time
        ((2027, 6, 22, 10, 0), (2027, 6, 29)),  # before Midsummer, Wednesday and Thursday: Friday and Monday
        ((2027, 6, 24, 12, 0), (2027, 6, 29)),  # on Midsummer Day
        ((2028, 11, 17, 10, 0), (2028, 11, 23)),  # 18 November is a Saturday, so the Monday is a day off too
    ],
)
async def test_two_working_days_from_the_local_day_of_receipt(
    world: World, received: tuple[int, ...], due: tuple[int, ...]
) -> None:
    at = datetime(*received, tzinfo=RIGA)  # type: ignore[arg-type,misc]  # five numbers
    await world.begin(at)
    case = await world.file("access_request", "BL", content(await world.customer(), user()))
    await world.stage(case, "resting")
    clock = await world.clock(case, "BL-4", "U1")
    assert (clock.status, clock.due) == ("kept", datetime(*due, tzinfo=RIGA))  # type: ignore[arg-type,misc]  # three numbers


async def test_a_mail_one_second_before_the_due_instant_is_in_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, case, _ = await open_line(world)
    await world.advance(case, WEDNESDAY_DUE - SECOND)
    monkeypatch.setattr(VirtualNow, "__call__", lambda _: WEDNESDAY_DUE - SECOND)
    await corrected(world, case)
    clock = await world.clock(case, "BL-4", "U1")
    assert (clock.status, clock.happened_at, clock.n) == ("kept", WEDNESDAY_DUE - SECOND, 1)


async def test_a_mail_at_the_due_instant_is_late_and_was_escalated(world: World) -> None:
    """Nothing a second before; at the due instant overdue, and the manager is told; then late, never refused."""
    _, case, who = await open_line(world)
    await world.advance(case, WEDNESDAY_DUE - 2 * SECOND)
    assert (await world.clock(case, "BL-4", "U1")).status == "running"
    await world.advance(case, WEDNESDAY_DUE)
    await world.until(lambda: _status(world, case, "overdue"))
    await world.until(lambda: _escalated(world, case))
    await corrected(world, case, who["email"])
    clock = await world.clock(case, "BL-4", "U1")
    assert clock.status == "late"
    assert await line(world, case) == "issued"


async def _escalated(world: World, case: str) -> bool:
    return any(case in m.get_content() for m in world.mails("manager@bl.example"))


async def _status(world: World, case: str, status: str) -> bool:
    return (await world.clocks(case)).get(("BL-4", "U1")) == status


async def test_a_proof_of_before_that_arrives_after_the_due_instant_keeps_the_clock(world: World) -> None:
    """A worker died after the carrier took the mail; the clock is overdue until the repeat brings the proof."""
    await world.begin(WEDNESDAY_DUE - 4 * SECOND)
    async with no_carrier(world):
        case = await world.file("access_request", "BL", content(await world.customer(), user()), received_at=MONDAY)
        await world.until(lambda: _status(world, case, "overdue"))
        other = AccessActivities(
            world.sessions,
            world.keyring,
            LocalDirectory(world.sessions, world.now),
            MaildirOut(world.var / "other"),
            lambda: WEDNESDAY_DUE - SECOND,
            "noreply@bl.example",
        )

        async def proven() -> bool:
            try:
                return (await other.issue(IssueAccess(case=case, key="BL-4:U1:1"))).sent_at is not None
            except ApplicationError:  # overtaken: the case's own worker tried in between
                return False

        await world.until(proven, "the mail is taken")
    await world.stage(case, "resting")
    clock = await world.clock(case, "BL-4", "U1")
    assert (clock.status, clock.happened_at) == ("kept", WEDNESDAY_DUE - SECOND)
    assert clock.overdue_at is not None
    entries = await world.entries(case)
    assert entries.index("due") < entries.index("issued")


async def test_reminders_come_at_nine_on_the_day_before_and_on_the_last_day(world: World) -> None:
    _, case, _ = await open_line(world)

    async def reminded(times: int) -> bool:
        notices = (await world.notices(case)).values()
        return len([n for n in notices if n.template == "internal-reminder"]) == times

    for day, before, after in ((2, 0, 1), (3, 1, 2)):
        nine = datetime(2027, 3, day, 9, 0, tzinfo=RIGA)
        await world.advance(case, nine - 2 * SECOND)
        assert await reminded(before)
        await world.advance(case, nine)
        await world.until(partial(reminded, after))


async def test_overdue_on_arrival_is_a_normal_case(world: World) -> None:
    """Received ten days ago: overdue and escalated at once, issued all the same, and late."""
    await world.begin(MONDAY)
    case = await world.file(
        "access_request", "BL", content(await world.customer(), user()), received_at=MONDAY - timedelta(days=10)
    )
    await world.stage(case, "resting")
    clock = await world.clock(case, "BL-4", "U1")
    assert clock.status == "late"
    assert clock.overdue_at is not None
    await world.until(lambda: _escalated(world, case))


# ---- the mail to the user -------------------------------------------------------------------------------------------


async def test_a_bounce_reopens_the_clock_by_the_same_due_and_a_new_secret_goes_out(world: World) -> None:
    """The secret of the mail that came back is dead; the responsible employee is asked for an address."""
    client, case, who = await open_line(world)
    clock = await world.clock(case, "BL-4", "U1")
    assert (clock.status, clock.due, clock.n) == ("running", WEDNESDAY_DUE, 1)
    [first] = world.mails(who["email"])
    [told] = await accounts(world, client)
    assert told.secret_set_at is None, "the sign-in check knows at once"
    await world.until(lambda: _void(world, client, first), "the identity provider was told")
    await world.until(lambda: _asked(world, who))
    await world.advance(case, MONDAY + timedelta(days=1))
    await corrected(world, case, "zanete.jauna@noliktavas.example")
    clock = await world.clock(case, "BL-4", "U1")
    assert (clock.status, clock.due, clock.n) == ("kept", WEDNESDAY_DUE, 1)
    second = world.mails("zanete.jauna@noliktavas.example")[-1]
    assert await works(world, client, second)
    assert not await works(world, client, first)
    assert len(await accounts(world, client)) == 1


async def test_the_provider_forgets_the_secret_of_every_letter_that_came_back(world: World) -> None:
    """Also of the second one, and also if nothing is issued any more."""
    client, case, who = await open_line(world)
    await corrected(world, case, "pavisam.cita@noliktavas.example")
    await world.advance(case, MONDAY + timedelta(hours=2))
    bounced_at = MONDAY + timedelta(hours=1)
    await world.say(case, "report_bounce", notice="BL-4:U1:2", bounced_at=bounced_at.isoformat())
    await world.until(lambda: _asked(world, who))
    await world.say(case, "drop_line", line="U1", reason="client_asked")
    for address in (who["email"], "pavisam.cita@noliktavas.example"):
        [mail] = world.mails(address)
        await world.until(partial(_void, world, client, mail), "no secret works")
    [account] = await accounts(world, client)
    assert (account.status, account.secret_set_at) == ("active", None)
    await world.advance(case, MONDAY + timedelta(days=9))
    await world.stage(case, "closed")


async def _void(world: World, client: str, mail: EmailMessage) -> bool:
    return not await works(world, client, mail)


async def _asked(world: World, who: dict[str, Any]) -> bool:
    name = f"{who['first_name']} {who['last_name']}"
    return any("citu" in str(m["Subject"]) and name in m.get_content() for m in world.mails("ilze.kalna@"))


async def test_a_closed_request_is_opened_again_by_a_bounce(world: World) -> None:
    await world.begin(MONDAY)
    case = await world.file("access_request", "BL", content(await world.customer(), user()))
    await world.stage(case, "resting")
    await world.advance(case, MONDAY + timedelta(days=9))
    await world.stage(case, "closed")
    await world.intake.submit_event(
        case,
        "mail-1",
        "report_bounce",
        {"actor": "system:mail", "notice": "BL-4:U1:1", "bounced_at": (world.now() - timedelta(minutes=1)).isoformat()},
    )
    await world.stage(case, "issuing")
    assert (await world.clock(case, "BL-4", "U1")).status == "overdue"


async def test_a_provider_that_does_not_answer_is_shown_the_clock_runs_and_it_goes_on_by_itself(world: World) -> None:
    """No mail goes out meanwhile; of two that are away the case names the one that it met last."""
    await world.begin(WEDNESDAY_DUE)
    client, who = await world.customer(), user()
    async with no_carrier(world):
        async with no_provider(world):
            case = await world.file("access_request", "BL", content(client, who), received_at=MONDAY)
            await world.until(lambda: _status(world, case, "overdue"))
            await shows(world, case, "the identity provider does not answer: BL-4:U1:1")
            assert world.mails(who["email"]) == []
            assert set(await world.entries(case)) == {"received", "due"}, "waiting is no step"
        await shows(world, case, "the carrier does not take letters now: BL-4:U1:1")
    row = await world.stage(case, "resting")
    assert "answer" not in row.waits_for
    assert (await world.clock(case, "BL-4", "U1")).status == "late"
    [mail] = world.mails(who["email"])
    assert await works(world, client, mail)


async def test_the_secret_is_nowhere_but_in_the_users_mail(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """Not in any table, not in the history, not in a log, not in a mail to the requester or anybody else."""
    await world.begin(MONDAY)
    client, who = await world.customer(), user()
    case = await world.file("access_request", "BL", content(client, who, user(phone="")))
    await world.stage(case, "resting")
    [mail] = world.mails(who["email"])
    secret = secret_in(mail)
    assert await works(world, client, mail)
    stored, told = await dump(world), await world.everything_told(case)
    assert who["email"] in stored, "the dump reads the tables"
    assert "BL-4:U1:1" in told, "the history is read in clear"
    assert who["email"] not in told
    assert who["last_name"] not in told
    assert secret not in stored
    assert secret not in told
    assert secret not in "".join(capfd.readouterr())
    everybody = world.mails("@")
    assert [m["To"] for m in everybody if secret in text_of(m)] == [who["email"]]


async def test_a_user_of_an_authenticator_gets_a_confirmation_and_no_secret(world: World) -> None:
    """BL-3-choice, beside somebody who gets login data; both steps name their duty."""
    await world.begin(MONDAY)
    client, who, other = await world.customer(), user(authenticator="smart-id"), user()
    case = await world.file("access_request", "BL", content(client, who, other))
    await world.stage(case, "resting")
    [mail] = world.mails(who["email"])
    assert "smart-id" in mail.get_content()
    assert "parole:" not in mail.get_content()
    found = {a.authenticator: a for a in await accounts(world, client)}
    assert found["smart-id"].secret_set_at is None
    assert found[None].secret_set_at is not None
    assert {(await line(world, case, "U1")), (await line(world, case, "U2"))} == {"confirmed", "issued"}
    assert {"BL-4-content", "BL-3-choice", "BL-4"} <= {row.duty for row in await world.timeline(case)}


async def test_login_data_go_to_a_user_of_an_authenticator_where_that_is_agreed(world: World) -> None:
    await world.begin(MONDAY)
    client, who = await world.customer(), user(authenticator="smart-id")
    async with world.sessions() as session, session.begin():
        await session.exec(
            text("UPDATE client SET login_data_agreed = true WHERE client = :client").bindparams(client=client)  # type: ignore[call-overload]  # plain SQL
        )
    case = await world.file("access_request", "BL", content(client, who))
    await world.stage(case, "resting")
    [mail] = world.mails(who["email"])
    assert await works(world, client, mail)
    [account] = await accounts(world, client)
    assert account.authenticator == "smart-id"


# ---- lines that lack something --------------------------------------------------------------------------------------


async def test_a_faulty_line_is_told_precisely_and_holds_up_nobody(world: World) -> None:
    """One letter for all faulty lines stops their first clocks; a completed line has its own two days from receipt."""
    await world.begin(MONDAY)
    client, good = await world.customer(), user()
    lame = user(phone="", email="nav zināms")
    wrong = user(country="LT", personal_code="33309240065")
    doubtful = user(personal_code="161175-19998")
    case = await world.file("access_request", "BL", content(client, good, lame, "Jānis", wrong, doubtful, good))
    await world.stage(case, "resting")
    results = [await line(world, case, f"U{n}") for n in range(1, 7)]
    assert results == ["issued", "incomplete", "incomplete", "incomplete", "issued", "incomplete"]
    name = f"{lame['first_name']} {lame['last_name']}"
    letter = next(m for m in world.mails("Ilze.Kalna@") if name in m.get_content())
    assert f"{name}: trūkst ziņu: tālrunis; nederīgas ziņas: e-pasta adrese" in letter.get_content()
    assert "nederīgas ziņas: personas kods" in letter.get_content()
    assert "U3: nesaprotamas ziņas: ziņas par darbinieku" in letter.get_content()
    assert "jau norādītas par citu darbinieku: personas kods" in letter.get_content()
    assert set((await world.clocks(case)).values()) == {"kept", "running"}
    first = await world.clock(case, "BL-4", "U2", n=1)
    assert (first.status, first.evidence and first.evidence["kind"]) == ("kept", "refusal_sent")
    timeline = await world.timeline(case)
    assert timeline[0].facts["doubts"] == {"U5": ["personal_code:sum"]}

    later = MONDAY + timedelta(days=2)
    await world.advance(case, later)
    with pytest.raises(Refused, match="email: wrong"):
        await world.say(case, "complete_line", line="U2", received_at=later.isoformat(), phone="+371 20000001")
    await world.say(
        case,
        "complete_line",
        line="U2",
        received_at=later.isoformat(),
        phone="+371 20000001",
        email="pilns@noliktavas.example",
    )
    await world.stage(case, "resting")
    second = await world.clock(case, "BL-4", "U2")
    assert (second.n, second.anchor_at, second.status) == (2, later, "kept")
    assert second.due == datetime(2027, 3, 6, 0, 0, tzinfo=RIGA)
    assert await works(world, client, world.mails("pilns@noliktavas.example")[-1])


async def test_a_line_completed_before_anybody_was_told_has_a_clock_of_its_own(world: World) -> None:
    """The first clock is void, for there is nothing to refuse any more; the second runs from the completion."""
    await world.begin(MONDAY)
    async with no_carrier(world):
        case = await world.file(
            "access_request", "BL", content(await world.customer(), user(phone="")), received_at=MONDAY
        )
        await world.until(lambda: _begun(world, case))
        await world.say(case, "complete_line", line="U1", received_at=MONDAY.isoformat(), phone="+371 20000001")
        assert (await world.clock(case, "BL-4", "U1", n=1)).status == "void"
        assert (await world.clock(case, "BL-4", "U1")).n == 2
    await world.stage(case, "resting")
    assert (await world.clock(case, "BL-4", "U1")).status == "kept"


async def _begun(world: World, case: str) -> bool:
    row = await world.row(case)
    return row is not None and row.step == 1


async def test_a_dropped_line_ends_without_access(world: World) -> None:
    client, case, _ = await open_line(world)
    await world.say(case, "drop_line", line="U1", reason="client_asked")
    await world.stage(case, "resting")
    assert (await world.clock(case, "BL-4", "U1")).status == "void"
    await world.advance(case, MONDAY + timedelta(days=9))
    row = await world.row(case)
    assert row is not None
    assert row.outcome == "not_issued"
    assert [a.secret_set_at for a in await accounts(world, client)] == [None]


async def test_messages_without_a_point_are_refused_with_what_is_possible(world: World) -> None:
    await world.begin(MONDAY)
    case = await world.file("access_request", "BL", content(await world.customer(), user()))
    await world.stage(case, "resting")
    with pytest.raises(Refused, match="nothing is missing"):
        await world.say(case, "complete_line", line="U1", received_at=world.now().isoformat(), phone="+371 1")
    with pytest.raises(Refused, match="BL-4:U1:1"):
        await world.say(case, "report_bounce", notice="BL-4:U7:1", bounced_at=world.now().isoformat())
    later = (world.now() + timedelta(days=1)).isoformat()
    with pytest.raises(Refused, match="in the future"):
        await world.say(case, "report_bounce", notice="BL-4:U1:1", bounced_at=later)


# ---- who may ask ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["stranger@elsewhere.example", "zanete.self@noliktavas.example"])
async def test_whoever_is_not_on_the_list_is_refused_and_both_sides_are_told(world: World, who: str) -> None:
    """Also a user who asks for own access: no clock, no account, a timeline entry, and the case ends."""
    await world.begin(MONDAY)
    client = await world.customer(responsible={"name": "Ilze Kalna", "email": "ilze.atbild@noliktavas.example"})
    requester = {"name": f"Žanete Pati {client}", "email": who}
    case = await world.file(
        "access_request", "BL", content(client, user(email="zanete.self@noliktavas.example"), requester=requester)
    )
    row = await world.stage(case, "closed")
    assert row.outcome == "not_authorised"
    assert await world.entries(case) == ["not_authorised", "both_told"]
    assert await world.clocks(case) == {}
    assert await accounts(world, client) == []
    for address in (who, "ilze.atbild@noliktavas.example"):
        assert [m for m in world.mails(address) if requester["name"] in m.get_content()]


async def test_an_unknown_client_is_refused_at_filing(world: World) -> None:
    """Whoever files must hear it: a run that ends as refused tells nobody."""
    await world.begin(MONDAY)
    with pytest.raises(Refusal, match="there is no such client"):
        await world.file("access_request", "BL", content("K-none", user()))


async def test_a_request_without_users_or_for_another_action_is_refused_at_filing(world: World) -> None:
    await world.begin(MONDAY)
    client = await world.customer()
    with pytest.raises(Refusal, match=r"content\.users"):
        await world.file("access_request", "BL", content(client))
    with pytest.raises(Refusal, match=r"content\.action: Input should be 'issue', 'change' or 'cancel'"):
        await world.file("access_request", "BL", content(client, user(), action="lock"))
    with pytest.raises(Refusal, match="for_case: said only with the action issue"):
        await world.file("access_request", "BL", content(client, user(), action="cancel", for_case="x"))


# ---- the client's contract ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["issue", "change"])
async def test_no_access_is_issued_from_the_day_after_the_contracts_end_and_both_sides_are_told(
    world: World, action: str
) -> None:
    """BL-11: on its last day still."""
    await world.begin(MONDAY)
    responsible = {"name": "Ilze Kalna", "email": "ilze.liguma@noliktavas.example"}
    asked = {"requester": {"email": responsible["email"]}}
    for last, over in ((MONDAY.date(), False), (MONDAY.date() - timedelta(days=1), True)):
        client = await world.customer(responsible=responsible, contract="L-1", contract_until=last)
        case = await world.file("access_request", "BL", content(client, user(), action=action, **asked))
        row = await world.stage(case, "closed" if over else "resting")
        if over:
            assert row.outcome == "contract_ended"
            assert await world.entries(case) == ["contract_ended", "both_told"]
            assert await accounts(world, client) == []
            mails = [m for m in world.mails(responsible["email"]) if case.split(":")[2] in str(m["Subject"])]
            assert len(mails) == 2, "to whoever asked, and to the responsible employee: the same person here"
            assert "11. punkts" in text_of(mails[0])


async def test_an_authenticator_that_the_contract_does_not_list_is_a_fault_of_its_line(world: World) -> None:
    """Told precisely; while no contract is recorded it is only a doubt."""
    await world.begin(MONDAY)
    client = await world.customer(contract="L-1", authenticators=["ebank-one"])
    case = await world.file(
        "access_request", "BL", content(client, user(authenticator="smart-id"), user(authenticator="ebank-one"))
    )
    row = await world.stage(case, "resting")
    assert [x["faults"] for x in row.state["body"]["lines"]] == [["authenticator:unlisted"], []]
    assert await line(world, case, "U2") == "confirmed"
    (notice,) = [n for n in (await world.notices(case)).values() if n.template == "BL-4-incomplete"]
    assert "līgumā nav paredzēts" in str(notice.facts)
    loose = await world.customer(authenticators=[])
    case = await world.file("access_request", "BL", content(loose, user(authenticator="smart-id")))
    row = await world.stage(case, "resting")
    assert [(x["status"], x["doubts"]) for x in row.state["body"]["lines"]] == [
        ("confirmed", ["authenticator:unlisted"])
    ]


async def test_a_refused_authenticator_is_replaced_by_another_or_by_login_data(world: World) -> None:
    """BL-4: the completed line has its own two working days, and what goes out is what the user then signs in with."""
    await world.begin(MONDAY)
    client = await world.customer(contract="L-1", authenticators=["ebank-one"])
    people = [user(authenticator="smart-id"), user(authenticator="smart-id"), user(phone="")]
    case = await world.file("access_request", "BL", content(client, *people))
    await world.stage(case, "resting")
    tuesday = MONDAY + timedelta(days=1)
    await world.advance(case, tuesday)
    complete = {"received_at": tuesday.isoformat()}
    with pytest.raises(Refused, match="authenticator: it was not refused in this line"):
        await world.say(case, "complete_line", line="U3", phone="+371 20000000", authenticator="ebank-one", **complete)
    with pytest.raises(Refused, match="authenticator: unlisted"):
        await world.say(case, "complete_line", line="U1", authenticator="mobile-id", **complete)
    await world.say(case, "complete_line", line="U1", authenticator="ebank-one", **complete)
    await world.say(case, "complete_line", line="U2", authenticator="None", **complete)
    await world.stage(case, "resting")
    assert [await line(world, case, name) for name in ("U1", "U2", "U3")] == ["confirmed", "issued", "incomplete"]
    found = {a.subject: (a.authenticator, a.secret_set_at is not None) for a in await accounts(world, client)}
    assert found == {"U1": ("ebank-one", False), "U2": (None, True)}
    for name in ("U1", "U2"):
        clock = await world.clock(case, "BL-4", name)
        assert (clock.n, clock.status, clock.due) == (2, "kept", WEDNESDAY_DUE + timedelta(days=1))
    [mail] = world.mails(people[1]["email"])
    assert await works(world, client, mail)


# ---- cancel ---------------------------------------------------------------------------------------------------------


async def issued(world: World, *users: dict[str, Any], **more: Any) -> str:
    """A client whose users have access; its code."""
    await world.begin(MONDAY)
    client = await world.customer(contract="L-1", authenticators=["smart-id", "ebank-one"], **more)
    case = await world.file("access_request", "BL", content(client, *users))
    await world.stage(case, "resting")
    return client


async def cancelled(world: World, client: str, *users: Any, **more: Any) -> str:
    """A request to cancel; the case."""
    return await world.file("access_request", "BL", content(client, *users, action="cancel", **more))


async def test_a_cancellation_is_carried_out_at_once_whatever_else_is_missing(world: World) -> None:
    """BL-9: by the personal code alone, or by address and name; others keep theirs."""
    first, second, third = user(), user(), user()
    client = await issued(world, first, second, third)
    named = {n: second[n] for n in ("first_name", "last_name")} | {"email": second["email"].upper()}
    case = await cancelled(world, client, {"personal_code": first["personal_code"]}, named)
    await world.stage(case, "resting")
    found = {a.subject: (a.status, a.ground, a.ended_by, a.event_at) for a in await accounts(world, client)}
    received = (await world.row(case)).state["body"]["received_at"]  # type: ignore[union-attr]  # it is filed
    for subject in ("U1", "U2"):
        assert found[subject][:3] == ("ended", "BL-9", case)
        assert found[subject][3] == datetime.fromisoformat(received)
    assert found["U3"][0] == "active"
    assert [await line(world, case, u) for u in ("U1", "U2")] == ["cancelled", "cancelled"]
    assert await world.entries(case) == ["carried_out", "received", "settled"]
    assert {duty for duty, _ in await world.clocks(case)} == {"T-rest"}, "nothing is issued: no two working days"
    await world.advance(case, MONDAY + timedelta(days=9))
    assert (await world.stage(case, "closed")).outcome == "cancelled"


async def test_whoever_comes_back_gets_another_account(world: World) -> None:
    """Nothing that was meant for the former one can reach it."""
    who = user()
    client = await issued(world, who)
    await world.stage(await cancelled(world, client, {"personal_code": who["personal_code"]}), "resting")
    again = await world.file("access_request", "BL", content(client, who))
    await world.stage(again, "resting")
    old, new = sorted(await accounts(world, client), key=lambda a: a.created_at)
    assert (old.status, new.status) == ("ended", "active")
    assert old.username != new.username


async def test_a_line_whose_person_is_not_certain_is_refused_saying_what_is_missing(world: World) -> None:
    """Each line for itself; what is told within two working days keeps their clock, and a completed line is done."""
    who, other = user(), user()
    client = await issued(world, who, other)
    case = await cancelled(
        world,
        client,
        {"first_name": who["first_name"], "phone": "+371 2"},
        {"personal_code": user()["personal_code"]},
        {"personal_code": other["personal_code"], "first_name": "Jānis", "last_name": "Cits"},
        {"first_name": "Jānis", "last_name": "Cits", "email": who["email"]},
        "nonsense",
    )
    row = await world.stage(case, "resting")
    assert [x["faults"] for x in row.state["body"]["lines"]] == [
        ["personal_code:missing", "last_name:missing", "email:missing"],
        ["account:none"],
        ["personal_code:unfit"],
        ["account:none", "personal_code:missing"],
        ["line:unknown", "first_name:missing", "last_name:missing", "email:missing"],
    ]
    assert {a.status for a in await accounts(world, client)} == {"active"}
    assert (await world.clock(case, "BL-4", "U1")).status == "kept"
    received = row.state["body"]["received_at"]
    with pytest.raises(Refused, match="account: none"):
        await world.say(case, "complete_line", line="U1", received_at=received, personal_code=user()["personal_code"])
    await world.say(case, "complete_line", line="U1", received_at=received, personal_code=who["personal_code"])
    await world.stage(case, "resting")
    assert {a.subject: a.status for a in await accounts(world, client)} == {"U1": "ended", "U2": "active"}
    await world.advance(case, MONDAY + timedelta(days=9))
    assert (await world.stage(case, "closed")).outcome == "partly_cancelled"


async def test_a_user_may_give_up_the_own_access_and_nobody_elses(world: World) -> None:
    who, other = user(), user()
    client = await issued(world, who, other)
    own = {"requester": {"email": who["email"]}}
    codes = [{"personal_code": u["personal_code"]} for u in (who, other)]
    refused = await cancelled(world, client, *codes, **own)
    assert (await world.stage(refused, "closed")).outcome == "not_authorised"
    assert {a.status for a in await accounts(world, client)} == {"active"}
    await world.stage(await cancelled(world, client, codes[0], **own), "resting")
    assert {(a.subject, a.status, a.ground) for a in await accounts(world, client)} == {
        ("U1", "ended", "BL-16-erase"),
        ("U2", "active", None),
    }


async def test_what_is_to_end_can_end_after_the_contract_too(world: World) -> None:
    who = user()
    client = await issued(world, who)
    async with world.sessions() as session, session.begin():
        (await session.get_one(ClientRow, client)).contract_until = MONDAY.date() - timedelta(days=1)
    await world.stage(await cancelled(world, client, {"personal_code": who["personal_code"]}), "resting")
    assert [a.status for a in await accounts(world, client)] == ["ended"]


# ---- change ---------------------------------------------------------------------------------------------------------


async def test_other_contact_data_are_written_at_once_and_nothing_is_issued(world: World) -> None:
    """BL-9: the user is written to under them from now on; by BL-4-content a change names everything."""
    who, other = user(), user()
    client = await issued(world, who, other)
    new = {**who, "email": "zanete.cita@noliktavas.example", "phone": "+371 29999999"}
    case = await world.file(
        "access_request", "BL", content(client, new, {"personal_code": other["personal_code"]}, action="change")
    )
    row = await world.stage(case, "resting")
    assert [x["status"] for x in row.state["body"]["lines"]] == ["changed", "incomplete"]
    assert row.state["body"]["lines"][1]["faults"] == [
        f"{name}:missing" for name in ("first_name", "last_name", "phone", "email")
    ]
    (account, _) = sorted(await accounts(world, client), key=lambda a: a.subject)
    async with world.sessions() as session:
        party = await session.get_one(PartyRow, (account.case, account.subject))
    assert (party.email, party.phone) == (new["email"], new["phone"])
    assert world.mails(new["email"]) == []
    assert ("BL-4", "U1") not in await world.clocks(case)


async def test_a_change_that_issues_new_data_has_its_own_two_working_days(world: World) -> None:
    """Another authenticator: a confirmation. Login data in its place: a secret, and the authenticator is gone."""
    who, other = user(), user(authenticator="smart-id")
    client = await issued(world, who, other)
    at = MONDAY + timedelta(days=1)
    await world.begin(at)
    case = await world.file(
        "access_request",
        "BL",
        content(client, {**who, "authenticator": "ebank-one"}, {**other, "authenticator": "none"}, action="change"),
        received_at=at,
    )
    await world.stage(case, "resting")
    assert [await line(world, case, u) for u in ("U1", "U2")] == ["confirmed", "issued"]
    for subject in ("U1", "U2"):
        clock = await world.clock(case, "BL-4", subject)
        assert (clock.status, clock.anchor_at, clock.due) == ("kept", at, WEDNESDAY_DUE + timedelta(days=1))
    (first, second) = sorted(await accounts(world, client), key=lambda a: a.subject)
    assert (first.authenticator, second.authenticator) == ("ebank-one", None)
    assert (second.secret_set_at is not None, second.must_change) == (True, True)
    (mail,) = [m for m in world.mails(other["email"]) if "Vienreizējā parole" in text_of(m)]
    assert await works(world, client, mail)
    await world.advance(case, at + timedelta(days=9))
    assert (await world.stage(case, "closed")).outcome == "changed"


async def test_a_change_for_somebody_without_access_is_refused_with_its_line(world: World) -> None:
    """And completed by another person's code it is carried out, with days of its own if data go out."""
    who = user()
    client = await issued(world, who)
    case = await world.file(
        "access_request",
        "BL",
        content(
            client, {**who, "personal_code": user()["personal_code"], "authenticator": "smart-id"}, action="change"
        ),
    )
    row = await world.stage(case, "resting")
    assert row.state["body"]["lines"][0]["faults"] == ["account:none"]
    later = MONDAY + timedelta(days=1)
    await world.advance(case, later)
    await world.say(case, "complete_line", line="U1", received_at=later.isoformat(), personal_code=who["personal_code"])
    await world.stage(case, "resting")
    assert await line(world, case) == "confirmed"
    assert (await world.clock(case, "BL-4", "U1")).anchor_at == later


async def test_the_last_day_that_the_client_wants_holds_at_once_and_the_access_ends_after_it(world: World) -> None:
    """BL-9: changed validity; on that day still, from the next one the check says no and the sweep ends it."""
    who, other = user(authenticator="smart-id"), user()
    client = await issued(world, who, other)
    day, midnight = MONDAY.date(), datetime(2027, 3, 2, 0, 0, tzinfo=RIGA)
    wrong = {**other, "valid_until": "soon"}
    case = await world.file(
        "access_request", "BL", content(client, {**who, "valid_until": day.isoformat()}, wrong, action="change")
    )
    row = await world.stage(case, "resting")
    assert [(x["status"], x["faults"]) for x in row.state["body"]["lines"]] == [
        ("changed", []),
        ("incomplete", ["valid_until:wrong"]),
    ]
    (account, _) = sorted(await accounts(world, client), key=lambda a: a.subject)
    assert (account.valid_until, account.status) == (day, "active")
    desk = SignIn(world.sessions, world.keyring, world.now)
    asked = asked_of(client=client, username=account.username, method="smart-id", address="192.0.2.1")
    await world.begin(midnight - timedelta(minutes=5))
    assert (await desk.check(asked)).allowed
    await end_lapsed(world.sessions, world.now)
    assert {a.status for a in await accounts(world, client)} == {"active"}
    await world.begin(midnight)
    assert not (await desk.check(asked)).allowed
    await end_lapsed(world.sessions, world.now)
    (account, untouched) = sorted(await accounts(world, client), key=lambda a: a.subject)
    assert (account.status, account.ground, account.event_at, untouched.status) == (
        *("ended", "BL-9", midnight),
        "active",
    )
