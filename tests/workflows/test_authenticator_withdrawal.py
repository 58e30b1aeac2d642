"""Withdrawing an authenticator (BL 3): notice, ten full days, and no way to an earlier effect."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel import select
from temporalio.exceptions import ApplicationError

from activities import ledger
from activities.access import AccessActivities
from integrations.mail import MaildirOut
from models.access import TakeAway
from models.errors import NOT_YET, Refusal
from models.now import Now
from models.tables import (
    AccountRow,
    BellRow,
    CaseRow,
    ClockRow,
    IntakeRow,
    WithdrawalRow,
)
from operations.directory import LocalDirectory
from rules.calendar import load
from rules.rulebook import Duty, book, duty_for
from security.index import index_of
from tests.replay.history import activity_of
from tests.workflows.test_access_request import content as request_content
from tests.workflows.test_access_request import line, no_carrier, user, works
from tests.world import RIGA, Refused, World

MONDAY = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
DUE = datetime(2027, 3, 12, 0, 0, tzinfo=RIGA)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def content(client: str, **more: Any) -> dict[str, Any]:
    """The decision to end Smart-ID for a client."""
    return {"client": client, "authenticator": "smart-id", "scope": "end", "decided_by": "op-9", **more}


async def account(world: World, client: str, code: str = "32000000000", **more: Any) -> None:
    """An account that signs in with Smart-ID."""
    person = await index_of(world.keyring, "personal_code", code)
    async with world.sessions() as session, session.begin():
        session.add(
            AccountRow(
                client=client,
                person=person,
                username=f"{client}-{code[-4:]}",
                case="access_request:BL:T-earlier",
                subject="U1",
                personal_code=code,
                created_at=world.now(),
                **{"authenticator": "smart-id", **more},
            )
        )


async def states(world: World, client: str) -> list[tuple[str, str | None]]:
    """Status and authenticator of a client's accounts."""
    async with world.sessions() as session:
        rows = (
            await session.exec(select(AccountRow).where(AccountRow.client == client).order_by(AccountRow.username))
        ).all()
    return [(row.status, row.authenticator) for row in rows]


async def row_of(world: World, case: str) -> WithdrawalRow:
    """The withdrawal's row."""
    async with world.sessions() as session:
        found = await session.get(WithdrawalRow, case)
    assert found is not None
    return found


async def noticed(world: World, at: datetime = MONDAY, **more: Any) -> tuple[str, str]:
    """A withdrawal whose notice is proven: client and case."""
    await world.begin(at)
    client = await world.customer()
    await account(world, client)
    case = await world.file("authenticator_withdrawal", "BL", content(client, **more))
    await world.stage(case, "running")
    return client, case


def access(world: World, now: Now | None = None) -> AccessActivities:
    """The activities as another worker would run them."""
    directory, carrier = LocalDirectory(world.sessions, world.now), MaildirOut(world.var / "other")
    return AccessActivities(world.sessions, world.keyring, directory, carrier, now or world.now, "noreply@bl.example")


async def closed(world: World, case: str, after: datetime) -> CaseRow:
    """Past the rest."""
    await world.stage(case, "resting")
    await world.advance(case, after + timedelta(days=9))
    return await world.stage(case, "closed")


# ---- the ten days ---------------------------------------------------------------------------------------------------


async def test_the_effect_comes_at_the_due_instant_and_not_a_second_before(world: World) -> None:
    """Notice on 1 March: the ten days are 2 to 11 March; the effect is free at the first instant of the 12th."""
    client, case = await noticed(world)
    clock = await world.clock(case, "BL-3-notice")
    assert (clock.due, clock.status) == (DUE, "running")
    [notice] = [m for m in world.mails("ilze.kalna@") if client in m.get_content() and "12. marts" in m.get_content()]
    assert "smart-id" in str(notice["Subject"])
    await world.advance(case, DUE - 2 * SECOND)
    assert await states(world, client) == [("active", "smart-id")]
    assert (await row_of(world, case)).effective_at is None
    await world.advance(case, DUE)
    await world.stage(case, "resting")
    assert await states(world, client) == [("ended", None)]
    effective = (await row_of(world, case)).effective_at
    assert effective is not None
    assert DUE <= effective < DUE + timedelta(minutes=1)
    assert (await world.clock(case, "BL-3-notice")).status == "kept"
    assert [m for m in world.mails("ilze.kalna@") if client in m.get_content() and "stājusies spēkā" in m.get_content()]
    assert (await closed(world, case, DUE)).outcome == "in_effect"
    events = (await world.handle(case).fetch_history()).events
    asked = [name for e in events if (name := activity_of(e)) is not None]
    assert asked == [
        *("case.open", "case.record", "notice.send", "case.record"),
        *("case.record", "case.record"),  # two reminders
        *("case.record", "access.withdraw_authenticator", "case.record", "notice.send", "case.record", "case.record"),
    ]
    assert len(events) <= 130, len(events)
    assert "BL-3-notice" in {entry.duty for entry in await world.timeline(case)}


@pytest.mark.parametrize(
    ("noticed_at", "due"),
    [
        ((2027, 1, 11, 23, 30), (2027, 1, 22)),  # late in the evening, winter time
        ((2027, 7, 5, 23, 30), (2027, 7, 16)),  # summer time
        ((2027, 7, 6, 0, 30), (2027, 7, 17)),  # the next day here, not yet in UTC
        ((2027, 3, 22, 12, 0), (2027, 4, 2)),  # over the change to summer time and Easter: never rolled
        ((2027, 10, 25, 12, 0), (2027, 11, 5)),  # over the change to winter time
        ((2027, 3, 17, 12, 0), (2027, 3, 28)),  # the effect on Easter Sunday
    ],
)
async def test_ten_full_days_after_the_local_day_of_the_notice(
    world: World, noticed_at: tuple[int, ...], due: tuple[int, ...]
) -> None:
    expected = datetime(*due, tzinfo=RIGA)  # type: ignore[arg-type,misc]  # three numbers
    _, case = await noticed(world, datetime(*noticed_at, tzinfo=RIGA))  # type: ignore[arg-type,misc]  # five numbers
    assert (await world.clock(case, "BL-3-notice")).due == expected
    assert (await row_of(world, case)).not_before == expected


async def test_a_chosen_later_day_is_kept_and_an_earlier_one_changes_nothing(world: World) -> None:
    later = datetime(2027, 3, 20, 0, 0, tzinfo=RIGA)
    client, case = await noticed(world, takes_effect_on="2027-03-20")
    assert (await row_of(world, case)).not_before == later
    await world.advance(case, later - 2 * SECOND)
    assert (await world.clock(case, "BL-3-notice")).status == "kept"
    assert await states(world, client) == [("active", "smart-id")]
    await world.advance(case, later)
    await world.stage(case, "resting")
    assert await states(world, client) == [("ended", None)]

    client, case = await noticed(world, takes_effect_on="2027-03-03")
    assert (await row_of(world, case)).not_before == DUE
    await world.advance(case, DUE - 2 * SECOND)
    assert await states(world, client) == [("active", "smart-id")]


async def test_a_limit_leaves_the_account_and_says_what_remains(world: World) -> None:
    client, case = await noticed(world, scope="limit", limitation="Atļauta tikai datu skatīšana.")
    assert [m for m in world.mails("ilze.kalna@") if client in m.get_content() and "tikai datu skat" in m.get_content()]
    await world.advance(case, DUE)
    await world.stage(case, "resting")
    assert await states(world, client) == [("active", "smart-id")]
    async with world.sessions() as session:
        [account] = (await session.exec(select(AccountRow).where(AccountRow.client == client))).all()
    assert account.limited == "Atļauta tikai datu skatīšana."


async def test_a_limit_without_saying_which_is_refused_at_filing(world: World) -> None:
    await world.begin(MONDAY)
    with pytest.raises(Refusal, match="limitation"):
        await world.file("authenticator_withdrawal", "BL", content(await world.customer(), scope="limit"))


# ---- no earlier effect ----------------------------------------------------------------------------------------------


async def test_the_activity_called_early_does_nothing(world: World) -> None:
    """A bug in a caller, which even claims that its own time has come."""
    client, case = await noticed(world)
    for at in (MONDAY, DUE, DUE + timedelta(days=365)):
        with pytest.raises(ApplicationError) as refused:
            await access(world).withdraw_authenticator(TakeAway(case=case, n=1, at=at))
        assert refused.value.type == NOT_YET
        assert not refused.value.non_retryable
    assert await states(world, client) == [("active", "smart-id")]
    assert (await row_of(world, case)).effective_at is None


async def by_hand(world: World) -> tuple[str, str]:
    """A withdrawal as it lies in the store at its due instant, its clock kept, with no workflow: client and case."""
    await world.begin(DUE)
    client = await world.customer()
    await account(world, client)
    case = f"authenticator_withdrawal:BL:H-{client}"
    await world.keyring.create(case)
    async with world.sessions() as session, session.begin():
        session.add(
            IntakeRow(
                case=case,
                kind="authenticator_withdrawal",
                organisation="BL",
                reference=f"H-{client}",
                sender="op-1",
                sender_reference=f"H-{client}",
                content=content(client),
                received_at=MONDAY,
                recorded_at=MONDAY,
                started_at=MONDAY,
            )
        )
        await session.flush()
        session.add(
            CaseRow(
                case=case,
                kind="authenticator_withdrawal",
                organisation="BL",
                stage="running",
                step=3,
                opened_at=MONDAY,
                commitment=b"",
                head=b"",
            )
        )
        await session.flush()
        session.add(
            WithdrawalRow(
                case=case, client=client, authenticator="smart-id", scope="end", told_at=MONDAY, not_before=DUE
            )
        )
        session.add(
            ClockRow(
                case=case,
                duty="BL-3-notice",
                n=1,
                organisation="BL",
                kind="not_before",
                can_be_late=False,
                status="kept",
                anchor_at=MONDAY,
                due=DUE,
                latest=DUE,
                last_day=DUE.date() - timedelta(days=1),
                latest_day=DUE.date() - timedelta(days=1),
                rulebook_version=book("BL").version,  # of today, or another test's recount would wait for this case
                calendar_version=load(book("BL").calendar).version,
                ended_at=DUE,
            )
        )
    return client, case


@pytest.mark.parametrize("behind", ["workflow", "worker", "database"])
async def test_one_clock_that_is_behind_is_enough_to_refuse(world: World, behind: str) -> None:
    """All three have to have reached the instant: a wrong clock can delay the effect, never bring it forward."""
    client, case = await by_hand(world)
    ask = TakeAway(case=case, n=1, at=DUE - SECOND if behind == "workflow" else DUE)
    now: Now = (lambda: DUE - SECOND) if behind == "worker" else world.now
    if behind == "database":
        await world.now.set_database(world.now.ahead() - HOUR)
    with pytest.raises(ApplicationError, match=f"not yet: {behind} clock") as refused:
        await access(world, now).withdraw_authenticator(ask)
    assert refused.value.type == NOT_YET
    assert await states(world, client) == [("active", "smart-id")]

    await world.begin(DUE)
    effect = await access(world, lambda: DUE).withdraw_authenticator(TakeAway(case=case, n=1, at=DUE))
    assert effect.ended == ("access_request:BL:T-earlier/U1",)
    assert await access(world).withdraw_authenticator(TakeAway(case=case, n=1, at=DUE)) == effect, "again is the same"


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE clock SET status = 'running', ended_at = NULL WHERE case = :case", "BL-3-notice: running"),
        ("UPDATE withdrawal SET not_before = NULL WHERE case = :case", "nobody is told"),
        ("UPDATE withdrawal SET not_before = not_before + interval '1 day' WHERE case = :case", "clock"),
        (
            "UPDATE clock SET due = due + interval '1 day', latest = latest + interval '1 day' WHERE case = :case",
            "clock",
        ),
    ],
)
async def test_ledger_and_row_have_to_agree(world: World, statement: str, why: str) -> None:
    """The clock kept in the ledger and the row's own instant: each of them alone holds the effect back."""
    client, case = await by_hand(world)
    await run(world, statement.replace("WHERE case", 'WHERE "case"'), case)
    with pytest.raises(ApplicationError, match=why) as refused:
        await access(world).withdraw_authenticator(TakeAway(case=case, n=1, at=DUE))
    assert refused.value.type == NOT_YET
    assert await states(world, client) == [("active", "smart-id")]


async def run(world: World, statement: str, case: str) -> None:
    """A statement as somebody would type it into the database."""
    async with world.sessions() as session, session.begin():
        await session.exec(text(statement).bindparams(case=case))  # type: ignore[call-overload]  # plain SQL


@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE withdrawal SET effective_at = termins_now() WHERE "case" = :case',
        "UPDATE withdrawal SET effective_at = not_before - interval '1 microsecond' WHERE \"case\" = :case",
        'UPDATE withdrawal SET effective_at = termins_now(), not_before = NULL WHERE "case" = :case',
    ],
)
async def test_the_database_refuses_an_early_effect_written_by_hand(world: World, statement: str) -> None:
    _, case = await noticed(world)
    with pytest.raises(IntegrityError, match="withdrawal_never_early"):
        await run(world, statement, case)


async def test_a_recount_never_brings_the_effect_forward(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client was told a day: a rulebook with a shorter notice does not change it."""
    client, case = await noticed(world)

    def shorter(organisation: str, duty: str) -> Duty:
        found = duty_for(organisation, duty)
        return found.model_copy(update={"amount": 3}) if duty == "BL-3-notice" else found

    monkeypatch.setattr(ledger, "duty_for", shorter)
    async with world.sessions() as session, session.begin():
        session.add(BellRow(case=case, reason="recount", created_at=world.now()))
    await world.handle(case).signal("look_again")
    await world.until(lambda: _has(world, case, "recounted"))
    assert (await world.clock(case, "BL-3-notice")).due == DUE
    await world.advance(case, MONDAY + timedelta(days=5))
    assert await states(world, client) == [("active", "smart-id")]
    await world.advance(case, DUE)
    await world.stage(case, "resting")
    assert await states(world, client) == [("ended", None)]


async def _has(world: World, case: str, entry: str) -> bool:
    return entry in await world.entries(case)


async def test_no_message_brings_the_effect_forward(world: World) -> None:
    client, case = await noticed(world)
    with pytest.raises(Refused, match="no effect before it has run"):
        await world.say(case, "take_effect", reason="in_a_hurry")
    assert await states(world, client) == [("active", "smart-id")]


# ---- notices that do not arrive -------------------------------------------------------------------------------------


async def test_a_notice_that_cannot_be_delivered_starts_nothing(world: World) -> None:
    """Only the proven sending starts the ten days, from its own day."""
    await world.begin(MONDAY)
    client = await world.customer(responsible={"name": "Ilze Kalna", "email": "nav zināms"})
    await account(world, client)
    case = await world.file("authenticator_withdrawal", "BL", content(client))
    await world.until(lambda: _has(world, case, "not_told"))
    assert await world.clocks(case) == {}
    await world.advance(case, MONDAY + timedelta(days=12))
    assert await states(world, client) == [("active", "smart-id")]
    await world.say(case, "correct_address", party="responsible", email="ilze.jauna@noliktavas.example")
    await world.stage(case, "running")
    clock = await world.clock(case, "BL-3-notice")
    assert (clock.n, clock.due) == (1, datetime(2027, 3, 24, 0, 0, tzinfo=RIGA))


async def test_a_carrier_that_is_down_starts_nothing(world: World) -> None:
    await world.begin(MONDAY)
    async with no_carrier(world):
        case = await world.file("authenticator_withdrawal", "BL", content(await world.customer()))
        await world.until(lambda: _has(world, case, "decided"))
        with pytest.raises(Refused, match="not in stage telling"):
            await world.say(case, "take_effect", reason="in_a_hurry")
        assert await world.clocks(case) == {}
    await world.stage(case, "running")


async def test_a_bounce_voids_the_ten_days_and_a_new_notice_starts_them_anew(world: World) -> None:
    client, case = await noticed(world)
    wednesday = MONDAY + timedelta(days=2)
    await world.advance(case, wednesday)
    await world.say(case, "report_bounce", notice="BL-3-notice:responsible:1", bounced_at=wednesday.isoformat())
    first = await world.clock(case, "BL-3-notice")
    assert (first.status, first.reason) == ("void", "the notice came back")
    assert (await row_of(world, case)).not_before is None
    await world.say(case, "correct_address", party="responsible", email="ilze.jauna@noliktavas.example")
    await world.stage(case, "running")
    second = await world.clock(case, "BL-3-notice")
    assert (second.n, second.due) == (2, DUE + timedelta(days=2))
    await world.advance(case, DUE + timedelta(days=1))
    assert await states(world, client) == [("active", "smart-id")]
    await world.advance(case, second.due)
    await world.stage(case, "resting")
    assert await states(world, client) == [("ended", None)]


async def test_a_bounce_after_the_ten_days_and_before_the_effect_voids_them(world: World) -> None:
    """An open request holds the effect back; the notice turns out never to have arrived: the ten days begin anew."""
    client, case = await noticed(world)
    child = await fallback(world, case, user())
    await world.say(child, "report_bounce", notice="BL-4:U1:1", bounced_at=MONDAY.isoformat())
    await world.until(lambda: _fallback_is(world, case, child, "open"))
    await world.advance(case, DUE + HOUR)
    assert (await world.clock(case, "BL-3-notice")).status == "kept"
    await world.say(case, "report_bounce", notice="BL-3-notice:responsible:1", bounced_at=DUE.isoformat())
    assert (await world.clock(case, "BL-3-notice")).status == "void"
    await world.say(child, "correct_address", party="U1", email="jauna@noliktavas.example")
    await world.until(lambda: _fallback_is(world, case, child, "done"))
    assert (await states(world, client))[0] == ("active", "smart-id")
    await world.say(case, "correct_address", party="responsible", email="ilze.jauna@noliktavas.example")
    await world.stage(case, "running")
    assert (await world.clock(case, "BL-3-notice")).due == DUE + timedelta(days=11)


async def test_a_notice_that_comes_back_after_the_effect_is_said_to_staff(world: World) -> None:
    """The effect cannot be taken back; who looks after access is told at once."""
    _, case = await noticed(world)
    await world.advance(case, DUE)
    await world.stage(case, "resting")
    await world.say(case, "report_bounce", notice="BL-3-notice:responsible:1", bounced_at=DUE.isoformat())
    told = (await world.notices(case))["BL-3-notice:BL-3-notice:responsible:1:late"]
    assert (told.internal, told.party) == (True, "access_administrator")
    assert (await row_of(world, case)).effective_at is not None
    with pytest.raises(Refused, match="not the newest letter"):
        await world.say(case, "report_bounce", notice="BL-3-notice:responsible:1", bounced_at=DUE.isoformat())
    assert (await closed(world, case, DUE)).outcome == "in_effect"


# ---- the effect is moved --------------------------------------------------------------------------------------------

LATER = datetime(2027, 3, 20, 0, 0, tzinfo=RIGA)


async def move(world: World, case: str, day: str, reason: str = "client_asked") -> None:
    """Another day, of which the client is told."""
    await world.say(case, "move_effect", takes_effect_on=day, reason=reason)
    await world.stage(case, "running")


async def test_a_later_day_is_told_anew_and_the_ten_days_run_on(world: World) -> None:
    """Told on 1 March and moved on the 10th to the 20th: not before then, nor after ten days from the 10th."""
    client, case = await noticed(world)
    await world.advance(case, MONDAY + timedelta(days=9))
    await move(world, case, "2027-03-20")
    [letter] = [m for m in world.mails("ilze.kalna@") if client in m.get_content() and "cita diena" in m["Subject"]]
    assert "2027. gada 20. marts" in letter.get_content()
    notice = await world.clock(case, "BL-3-notice")
    assert (notice.n, notice.due, notice.status) == (1, DUE, "running")
    assert (await row_of(world, case)).not_before == LATER
    await world.advance(case, LATER - 2 * SECOND)
    assert await states(world, client) == [("active", "smart-id")]
    await world.advance(case, LATER)
    await world.stage(case, "resting")
    assert await states(world, client) == [("ended", None)]


async def test_a_day_moved_again_after_it_has_run_holds_the_effect_back(world: World) -> None:
    """Ten days and chosen day have run and a request is open: what was asked for the former day counts no more."""
    client, case = await noticed(world, takes_effect_on="2027-03-15")
    child = await fallback(world, case, user())
    await world.say(child, "report_bounce", notice="BL-4:U1:1", bounced_at=MONDAY.isoformat())
    await world.until(lambda: _fallback_is(world, case, child, "open"))
    await world.advance(case, datetime(2027, 3, 15, 1, 0, tzinfo=RIGA))
    assert (await world.clock(case, "T-effect-day")).status == "kept"
    await move(world, case, "2027-03-20")
    day = await world.clock(case, "T-effect-day")
    assert (day.n, day.status) == (2, "running")
    for former in (None, 1):
        late = await access(world).withdraw_authenticator(TakeAway(case=case, n=1, day=former, at=LATER))
        assert late.refused == "that day counts no more"
    await world.say(case, "report_bounce", notice="BL-3-moved:responsible:1", bounced_at=MONDAY.isoformat())
    await world.say(case, "correct_address", party="responsible", email="ilze.jauna@noliktavas.example")
    await world.stage(case, "running")
    await world.say(child, "correct_address", party="U1", email="jauna@noliktavas.example")
    await world.until(lambda: _fallback_is(world, case, child, "done"))
    assert (await states(world, client))[0] == ("active", "smart-id")
    await world.advance(case, LATER)
    await world.stage(case, "resting")
    assert (await states(world, client))[0] == ("ended", None)


async def test_an_earlier_day_than_was_told_needs_ten_days_of_its_own(world: World) -> None:
    """Told of the 31st, moved on the 3rd to the 5th: ten full days from the 3rd, which are over on the 14th."""
    client, case = await noticed(world, takes_effect_on="2027-03-31")
    third = MONDAY + timedelta(days=2)
    await world.advance(case, third)
    await move(world, case, "2027-03-05", reason="hurry")
    notice = await world.clock(case, "BL-3-notice")
    assert (notice.n, notice.due) == (2, DUE + timedelta(days=2))
    assert (await world.clock(case, "BL-3-notice", n=1)).status == "void"
    await world.advance(case, notice.due - 2 * SECOND)
    assert await states(world, client) == [("active", "smart-id")]
    await world.advance(case, notice.due)
    await world.stage(case, "resting")
    assert await states(world, client) == [("ended", None)]


async def test_an_earlier_day_that_no_new_notice_reaches_in_time_is_refused(world: World) -> None:
    """And a day that is over, and the day that stands; nothing has changed."""
    _, case = await noticed(world, takes_effect_on="2027-03-15")
    before = await row_of(world, case)
    await world.advance(case, MONDAY + timedelta(days=4))
    for day, why in (
        ("2027-03-14", "no sooner than what was told"),
        ("2027-03-04", "lies in the past"),
        ("2027-03-15", "the day that stands"),
    ):
        with pytest.raises(Refused, match=why):
            await world.say(case, "move_effect", takes_effect_on=day, reason="hurry")
    assert await row_of(world, case) == before
    assert "moved" not in await world.entries(case)


async def test_the_notice_that_counts_can_come_back_after_the_one_of_the_later_day(world: World) -> None:
    """Then the ten days run from the later letter, which told of the end as well."""
    client, case = await noticed(world)
    third = MONDAY + timedelta(days=2)
    await world.advance(case, third)
    await move(world, case, "2027-03-13")
    assert (await row_of(world, case)).not_before == datetime(2027, 3, 13, tzinfo=RIGA)
    await world.say(case, "report_bounce", notice="BL-3-notice:responsible:1", bounced_at=third.isoformat())
    assert [(c.n, c.status) for c in [await world.clock(case, "BL-3-notice", n=n) for n in (1, 2)]] == [
        (1, "void"),
        (2, "running"),
    ]
    due = (await world.clock(case, "BL-3-notice")).due
    assert due == DUE + timedelta(days=2)
    assert (await row_of(world, case)).not_before == due
    await world.advance(case, due - 2 * SECOND)
    assert await states(world, client) == [("active", "smart-id")]
    await world.advance(case, due)
    await world.stage(case, "resting")
    assert await states(world, client) == [("ended", None)]


async def test_both_notices_can_come_back(world: World) -> None:
    """The letter of the later day first: another address is asked for. Then the one that counts: nobody is told."""
    client, case = await noticed(world)
    third = MONDAY + timedelta(days=2)
    await world.advance(case, third)
    await move(world, case, "2027-03-13")
    await world.say(case, "report_bounce", notice="BL-3-moved:responsible:1", bounced_at=third.isoformat())
    assert (await world.clock(case, "BL-3-notice")).status == "running"
    assert (await row_of(world, case)).not_before is None
    await world.say(case, "report_bounce", notice="BL-3-notice:responsible:1", bounced_at=third.isoformat())
    assert (await world.clock(case, "BL-3-notice")).status == "void"
    await world.stage(case, "running")
    letter = (await world.notices(case))["BL-3-moved:responsible:2"]
    assert letter.sent_at is not None
    assert (await world.clock(case, "BL-3-notice")).due == DUE + timedelta(days=2)
    await world.advance(case, DUE + timedelta(days=1))
    assert await states(world, client) == [("active", "smart-id")]


async def test_an_effect_moved_before_anybody_was_told_is_a_notice_like_the_first(world: World) -> None:
    await world.begin(MONDAY)
    client = await world.customer(responsible={"name": "Ilze Kalna", "email": "nav zināms"})
    case = await world.file("authenticator_withdrawal", "BL", content(client))
    await world.until(lambda: _has(world, case, "not_told"))
    await world.say(case, "move_effect", takes_effect_on="2027-03-20", reason="client_asked")
    await world.until(lambda: _refused(world, case, "BL-3-notice:responsible:2"))
    await world.say(case, "correct_address", party="responsible", email="ilze.jauna@noliktavas.example")
    await world.stage(case, "running")
    assert (await row_of(world, case)).not_before == LATER


async def _refused(world: World, case: str, key: str) -> bool:
    notice = (await world.notices(case)).get(key)
    row = await world.row(case)
    return notice is not None and row is not None and row.state["body"]["letters"].get(key) == "refused"


async def test_an_effect_that_has_come_cannot_be_moved(world: World) -> None:
    _, case = await noticed(world)
    await world.advance(case, DUE)
    await world.stage(case, "resting")
    with pytest.raises(Refused, match="not in stage"):
        await world.say(case, "move_effect", takes_effect_on="2027-03-20", reason="too_late")


async def test_users_without_other_access_are_listed_when_the_effect_comes(world: World) -> None:
    client, case = await noticed(world)
    await account(world, client, "32000000001")
    await world.advance(case, DUE)
    await world.stage(case, "resting")
    details = await world.details(case)
    assert "Without other access since the effect:** access_request:BL:T-earlier/U1" in details


# ---- the decision is withdrawn --------------------------------------------------------------------------------------


async def test_a_withdrawn_decision_is_told_and_never_takes_effect(world: World) -> None:
    client, case = await noticed(world)
    await world.say(case, "withdraw_decision", reason="decision_reversed")
    await world.stage(case, "resting")
    assert (await world.clock(case, "BL-3-notice")).status == "void"
    assert [m for m in world.mails("ilze.kalna@") if client in m.get_content() and "ir atsaukts" in m.get_content()]
    await world.begin(DUE)
    late = await access(world).withdraw_authenticator(TakeAway(case=case, n=1, at=DUE))
    assert late.refused
    assert (await closed(world, case, DUE)).outcome == "withdrawn"
    assert await states(world, client) == [("active", "smart-id")]


async def test_a_decision_withdrawn_before_anybody_was_told_ends_at_once(world: World) -> None:
    await world.begin(MONDAY)
    client = await world.customer(responsible={"name": "Ilze Kalna", "email": "nav zināms"})
    case = await world.file("authenticator_withdrawal", "BL", content(client))
    await world.until(lambda: _has(world, case, "not_told"))
    await world.say(case, "withdraw_decision", reason="decision_reversed")
    assert (await world.stage(case, "closed")).outcome == "withdrawn"


# ---- login data meanwhile -------------------------------------------------------------------------------------------


async def fallback(world: World, case: str, who: dict[str, Any]) -> str:
    """The client asks for login data; the request's case."""
    await world.say(case, "request_fallback", users=[who], received_at=MONDAY.isoformat())
    child = f"access_request:BL:{case.split(':')[2]}-F1"
    await world.stage(child, "resting")
    return child


async def test_login_data_asked_for_meanwhile_outlive_the_authenticator(world: World) -> None:
    """An access request of its own, with its own two days; the same account keeps its login data at the effect."""
    client, case = await noticed(world)
    await account(world, client, "32000000001")
    who = user(personal_code="32000000000")
    child = await fallback(world, case, who)
    clock = await world.clock(child, "BL-4", "U1")
    assert (clock.status, clock.due) == ("kept", datetime(2027, 3, 4, 0, 0, tzinfo=RIGA))
    async with world.sessions() as session:
        intake = await session.get(IntakeRow, child)
    assert intake is not None
    assert intake.parent == case
    await world.until(lambda: _fallback_is(world, case, child, "done"))
    await world.advance(case, DUE)
    await world.stage(case, "resting")
    assert await states(world, client) == [("active", None), ("ended", None)]
    assert await works(world, client, world.mails(who["email"])[-1])


async def _fallback_is(world: World, case: str, child: str, status: str) -> bool:
    row = await world.row(case)
    return row is not None and row.state["body"]["fallbacks"].get(child) == status


async def test_the_effect_waits_for_an_open_request_or_for_an_operator(world: World) -> None:
    """It may be later, never earlier: with a mail that came back the request is open again."""
    client, case = await noticed(world)
    child = await fallback(world, case, user())
    await world.say(child, "report_bounce", notice="BL-4:U1:1", bounced_at=MONDAY.isoformat())
    await world.until(lambda: _fallback_is(world, case, child, "open"))
    await world.advance(case, DUE + HOUR)
    assert (await world.clock(case, "BL-3-notice")).status == "kept"
    assert await states(world, client) == [("active", "smart-id"), ("active", None)]
    await world.say(case, "take_effect", reason="client_does_not_answer")
    await world.stage(case, "resting")
    assert (await states(world, client))[0] == ("ended", None)
    assert await line(world, child) == "bounced"


async def test_an_open_request_that_ends_lets_the_effect_come(world: World) -> None:
    client, case = await noticed(world)
    child = await fallback(world, case, user())
    await world.say(child, "report_bounce", notice="BL-4:U1:1", bounced_at=MONDAY.isoformat())
    await world.until(lambda: _fallback_is(world, case, child, "open"))
    await world.advance(case, DUE + HOUR)
    await world.say(child, "correct_address", party="U1", email="jauna@noliktavas.example")
    await world.stage(case, "resting")
    assert (await states(world, client))[0] == ("ended", None)


async def test_a_request_that_the_client_files_itself_is_waited_for_too(world: World) -> None:
    """It names the withdrawal: that knows of it at once, and the effect waits for its end."""
    client, case = await noticed(world)
    asked = request_content(client, user(), for_case=case)
    filed = await world.file("access_request", "BL", asked, received_at=MONDAY)
    await world.stage(filed, "resting")
    await world.until(lambda: _fallback_is(world, case, filed, "done"))
    await world.say(filed, "report_bounce", notice="BL-4:U1:1", bounced_at=MONDAY.isoformat())
    await world.until(lambda: _fallback_is(world, case, filed, "open"))
    await world.advance(case, DUE + HOUR)
    assert (await row_of(world, case)).effective_at is None
    await world.say(filed, "correct_address", party="U1", email="jauna@noliktavas.example")
    await world.stage(case, "resting")
    assert (await row_of(world, case)).effective_at is not None


async def test_a_request_for_a_foreign_withdrawal_is_refused(world: World) -> None:
    """for_case names a withdrawal for the same client, or the request is not taken."""
    _, case = await noticed(world)
    other = await world.customer()
    with pytest.raises(Refusal, match="for_case: no withdrawal of an authenticator for this client"):
        await world.file("access_request", "BL", request_content(other, user(), for_case=case))
