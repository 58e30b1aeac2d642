"""The user's data of an access that has ended go (BL 16), unless a request or a legal hold wins over that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from integrations.identity import external_id
from models.errors import Refusal
from models.tables import AccountRow, BellRow, CaseRow, DirectoryRow, IntakeRow, PartyRow, SignInRow
from operations import accounts
from operations.access import accesses
from operations.erase_account import erase, erase_without_case, place_hold, ring_unobstructed
from operations.proof import check
from operations.reading import show_case
from operations.sign_in import SignIn, asked_of, journal, remove_over
from tests.workflows.test_access_request import content, no_provider, user
from tests.workflows.test_credential import (
    DAY,
    HOUR,
    MONDAY,
    RESPONSIBLE,
    SECOND,
    Life,
    outside,
    signed_in,
)
from tests.world import Refused, VirtualNow, World

PLANTED = ("last_name", "personal_code", "email", "phone")


def somebody(**more: Any) -> dict[str, Any]:
    """A user whose every field stands nowhere else."""
    who = user(**more)
    return {**who, "phone": f"+371 29{who['personal_code'][4:10]}"}


async def living(world: World, *users: dict[str, Any], client: str | None = None, known: int = 0) -> list[Life]:
    """These users of one request, whose access was issued on Monday at ten; the first `known` had theirs before."""
    if client is None:
        await world.begin(MONDAY)
        client = await world.customer()
    request = await world.file("access_request", "BL", content(client, *users))
    await world.stage(request, "resting")
    lives = []
    for n, who in enumerate(users, 1):
        life = Life(world, client, f"{request.split(':')[2]}-U{n}", who["email"])
        lives.append(life)
        if n > known:
            world.filed.append(life.case)
            await life.entry("issued")
    return lives


async def ended(life: Life, cause: str = "client_asked", **more: Any) -> None:
    """The client says that the access is not needed any more."""
    said = {"happened_at": MONDAY.isoformat(), "reason": "by letter", **more}
    await life.say("revoke_credential", cause=cause, **said)


async def tells_of(world: World, who: dict[str, Any]) -> set[str]:
    """The tables in which anything of a person stands, every row opened."""
    texts = [str(who[name]).casefold() for name in PLANTED]
    return {name for name, row in await world.everything_stored() if any(text in str(row).casefold() for text in texts)}


async def erased(life: Life) -> None:
    """Wait until the user's data have gone."""
    await life.entry("erased")
    assert (await life.account()).erased_at is not None


async def against(life: Life) -> tuple[str, ...]:
    """What the case shows that stands against the erasure."""
    await life.entry("restricted")
    return tuple((await life.body())["against"])


# ---- what goes, and what stays --------------------------------------------------------------------------------------


async def test_nothing_of_the_user_is_left_once_who_must_be_told_is_told(world: World) -> None:
    """BL 16: name, address, phone, code and IP address go from every table; the history and the other user stay."""
    who, other = somebody(), somebody()
    life, neighbour = await living(world, who, other)
    await signed_in(life)
    asked = asked_of(client=life.client, username=life.username, address="192.0.2.77", method="password")
    await SignIn(world.sessions, world.keyring, world.now).check(asked)
    await life.say("suspend_credential", reason=f"{who['first_name']} {who['last_name']} lent it, says {who['email']}")
    assert {"account", "party", "intake", "suspension", "sign_in"} & await tells_of(world, who)
    await ended(life)
    await life.stage("resting")
    await erased(life)
    assert await tells_of(world, who) == set()
    assert {"account", "party", "intake"} <= await tells_of(world, other)
    account = await life.account()
    assert (account.status, account.ground, account.person) == ("ended", "BL-9", None)
    async with world.sessions() as session:
        entries = (await session.exec(select(SignInRow).where(SignInRow.username == life.username))).all()
        assert await session.get(DirectoryRow, external_id(life.client, life.username)) is None
    assert [(e.address, e.address_index) for e in entries] == [(None, None)]
    assert (await neighbour.account()).status == "active"
    clock = await world.clock(life.case, "BL-16-erase")
    assert (clock.status, clock.proof) == ("kept", "erasure_proven")
    assert "erased" in await world.details(life.case)
    [shown] = [a for a in (await accesses(world.sessions, life.client, personal=True, ended=True)).accounts if a.ended]
    assert shown.user is None
    assert (shown.data or "").startswith("erased")
    await world.advance(life.case, (await world.clock(life.case, "T-rest")).due)
    row = await world.row(life.case)
    assert row is not None
    assert (row.stage, row.outcome) == ("closed", "ended")


async def test_the_evidence_still_holds_after_the_erasure(world: World) -> None:
    """What stands for the entries is unchanged; from which of them somebody was erased is said."""
    [life] = await living(world, who := somebody())
    await life.say("suspend_credential", reason=f"{who['first_name']} {who['last_name']} lent it")
    await ended(life)
    await erased(life)
    request = (await life.account()).case
    for case in (life.case, request):
        found = await check(world.sessions, world.keyring, world.var / "checkpoints", [case])
        assert found.faults == {}, found
    assert await tells_of(world, who) == set()


async def test_what_is_said_of_the_user_later_names_nobody_again(world: World) -> None:
    """The request refuses what would bring the data back; a sign-in that is tried leaves no address."""
    [life] = await living(world, somebody())
    request = (await life.account()).case
    await ended(life)
    await erased(life)
    await world.advance(request, MONDAY + HOUR)
    with pytest.raises(Refused, match="U1: the user's data are erased"):
        await world.say(request, "report_bounce", notice="BL-4:U1:1", bounced_at=(MONDAY + HOUR / 2).isoformat())
    with pytest.raises(Refused, match="party"):
        await life.say("correct_address", party="user", email="cita@noliktavas.example")
    with pytest.raises(Refused, match="not in stage resting"):
        await life.say("place_legal_hold", reason="too late")
    asked = asked_of(client=life.client, username=life.username, address="192.0.2.78", method="password")
    answer = await SignIn(world.sessions, world.keyring, world.now).check(asked)
    assert not answer.allowed
    lines = await journal(world.sessions, life.client, life.username, None, None, world.now(), personal=True)
    assert [line.address for line in lines] == [None]


async def test_a_letter_that_comes_back_after_the_erasure_still_reaches_the_responsible_employee(world: World) -> None:
    """Who gave up the own access cannot be written to any more; the other letter goes on its way."""
    [life] = await living(world, who := somebody())
    await life.say("give_up", "system:client-zone", given_up_at=MONDAY.isoformat())
    await erased(life)
    with pytest.raises(Refused, match="notice: not the newest letter"):
        await life.say("report_bounce", notice="BL-16-erase:user:E1:1", bounced_at=MONDAY.isoformat())
    await life.say("report_bounce", notice="BL-16-erase:responsible:E1:1", bounced_at=MONDAY.isoformat())
    await life.stage("ending")
    await life.say("correct_address", party="responsible", email="cita@noliktavas.example")
    await life.stage("resting")
    assert (await world.entries(life.case)).count("erased") == 1
    assert await tells_of(world, who) == set()


# ---- when -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wait", "before", "after"),
    [
        (4 * HOUR - SECOND, "running", "kept"),
        (4 * HOUR, "overdue", "kept"),
        (38 * HOUR - SECOND, "overdue", "kept"),
        (38 * HOUR, "overdue", "late"),
    ],
)
async def test_it_is_overdue_after_four_hours_and_late_after_a_working_day(
    world: World, monkeypatch: pytest.MonkeyPatch, wait: timedelta, before: str, after: str
) -> None:
    """Nobody can be told while the client names no address: the clock runs on, and the officer hears of it."""
    await world.begin(MONDAY)
    client = await world.customer(responsible={"name": "Ilze Kalna"})
    [life] = await living(world, somebody(), client=client)
    await ended(life)
    await life.letter("BL-9:responsible:E1:1", "refused")
    await world.advance(life.case, MONDAY + wait)
    assert await life.status("BL-16-erase") == before
    assert (await life.account()).erased_at is None
    monkeypatch.setattr(VirtualNow, "__call__", lambda _: MONDAY + wait)
    await life.say("correct_address", party="responsible", email=RESPONSIBLE)
    await erased(life)
    assert await life.status("BL-16-erase") == after


async def test_a_provider_that_is_down_holds_up_the_erasure_and_the_case_says_so(world: World) -> None:
    """Killed between the end and the removal, or the provider down: asked again until the account is gone."""
    [life] = await living(world, who := somebody())
    async with no_provider(world):
        await ended(life)
        await life.letter("BL-9:responsible:E1:1", quiet=False)
        row = await world.row(life.case)
        assert row is not None
        assert (row.stage, row.waits_for) == ("ending", "the identity provider")
        assert await life.status("BL-16-erase") == "running"
    await life.stage("resting")
    await erased(life)
    assert await tells_of(world, who) == set()


async def test_an_erasure_twice_is_one(world: World) -> None:
    """The step's transaction may have died before its answer: the same again changes nothing."""
    [life] = await living(world, somebody())
    await ended(life)
    await erased(life)
    first = await life.account()
    async with world.sessions() as session, session.begin():
        again = (await session.exec(select(AccountRow).where(AccountRow.credential == life.case))).one()
        await erase(session, again, [f"{first.case}/U1"], world.now() + HOUR)
    assert (await life.account()).erased_at == first.erased_at


async def test_a_contract_that_ends_and_the_portals_term_erase_too(world: World) -> None:
    """BL 11, GJ: nobody is to be told, so the data go at once."""
    one, two = await living(world, first := somebody(), second := somebody())
    await outside(one, "end", ground="BL-11")
    await erased(one)
    assert await tells_of(world, first) == set()
    await two.say("report_last_contract", ended_on="2027-02-28", reference="POL-1")
    await world.advance(two.case, (await world.clock(two.case, "GJ-portal")).due)
    await erased(two)
    assert await tells_of(world, second) == set()


async def test_an_access_that_ended_before_there_was_an_erasure_is_swept(world: World) -> None:
    """Its case has closed, or it never had one: nobody is left to erase it but the sweep."""
    closed, caseless = await living(world, first := somebody(), second := somebody())
    async with world.sessions() as session, session.begin():
        row = await session.get_one(CaseRow, closed.case)
        row.closed_at = world.now()
        both = await accounts.accounts_of(session, closed.client)
        await accounts.end(session, both, "BL-9", "op-9", world.now())
        both[1].credential = None
    assert await erase_without_case(world.sessions, world.keyring, world.now) >= 2
    assert await tells_of(world, first) == set()
    erased_at = (await caseless.account()).erased_at
    assert erased_at is not None
    assert "account" not in await tells_of(world, second)
    await world.now.set(world.now() + HOUR)
    await erase_without_case(world.sessions, world.keyring, world.now)
    assert (await caseless.account()).erased_at == erased_at, "once is enough"


# ---- what wins over it ----------------------------------------------------------------------------------------------


async def test_a_legal_hold_keeps_everything_and_nobody_is_shown_it(world: World) -> None:
    """Restricted meanwhile; once it is lifted the data go by themselves. The clock is held, so nothing is late."""
    [life] = await living(world, who := somebody())
    await life.say("place_legal_hold", reason="a suit of the client's")
    await ended(life)
    assert await against(life) == ("legal_hold",)
    assert "party" in await tells_of(world, who)
    assert await life.status("BL-16-erase") == "held"
    account = await life.account()
    assert (account.erased_at, account.restricted_at is not None) == (None, True)
    [line] = (await accesses(world.sessions, life.client, personal=True, ended=True)).accounts
    assert (line.user, line.asked_by) == (None, None)
    assert (line.data or "").startswith("restricted")
    shown = await show_case(world.sessions, world.now(), life.case, personal=True)
    assert [party.name for party in shown.parties if party.party == "user"] == [None]
    assert "legal_hold" in await world.details(life.case)
    await ring_unobstructed(world.sessions, world.now)
    async with world.sessions() as session:
        rung = (await session.exec(select(BellRow).where(BellRow.case == life.case, BellRow.reason == "account"))).all()
    assert not [bell for bell in rung if bell.heard_at is None]
    await world.advance(life.case, MONDAY + 30 * DAY)
    assert await life.status("BL-16-erase") == "held"
    with pytest.raises(Refused, match="stands already"):
        await life.say("place_legal_hold", reason="again")
    with pytest.raises(Refused, match="only an operator"):
        await life.say("lift_legal_hold", "system:client-zone", reason="it says so")
    await life.say("lift_legal_hold", reason="the suit is over")
    await erased(life)
    assert await life.status("BL-16-erase") == "kept"
    assert await tells_of(world, who) == set()
    with pytest.raises(Refused, match="not in stage"):
        await life.say("lift_legal_hold", reason="again")


async def test_a_hold_that_comes_between_the_look_and_the_step_wins(world: World) -> None:
    """The step asks for itself, under the account's lock."""
    [life] = await living(world, who := somebody())
    async with no_provider(world):
        await ended(life)
        await life.letter("BL-9:responsible:E1:1", quiet=False)
        async with world.sessions() as session, session.begin():
            row = (await session.exec(select(AccountRow).where(AccountRow.credential == life.case))).one()
            await place_hold(session, row, "an authority asks", "op-9", world.now())
            with pytest.raises(Refusal, match="placed meanwhile"):
                await erase(session, row, (), world.now())
    assert await against(life) == ("legal_hold",)
    assert "account" in await tells_of(world, who)


async def test_an_open_request_of_the_person_wins_until_it_has_its_result(world: World) -> None:
    """A request for privacy that is not answered; its end is found by the sweep, which rings."""
    [life] = await living(world, who := somebody())
    privacy = await world.file("privacy_request", "BL", _asks(who))
    await world.stage(privacy, "identifying")
    await ended(life)
    assert await against(life) == (privacy,)
    assert "party" in await tells_of(world, who)
    assert await ring_unobstructed(world.sessions, world.now) == 0
    await world.advance(privacy, MONDAY + HOUR)
    await world.say(privacy, "withdraw_request", withdrawn_at=(MONDAY + HOUR / 2).isoformat(), document="e-mail")
    await world.until(lambda: _closed(world, privacy), "the request is over")
    assert await ring_unobstructed(world.sessions, world.now) == 1
    assert await ring_unobstructed(world.sessions, world.now) == 0
    await life.ring()
    await erased(life)
    assert await tells_of(world, who) <= {"party", "intake", "identification", "timeline", "event"}


async def test_an_open_line_of_another_request_wins_and_its_other_users_stay(world: World) -> None:
    """Login data that came back wait for an address: restricted, until the line is dropped; then it goes with them."""
    who, other = somebody(), somebody()
    [life] = await living(world, who)
    [_, neighbour] = await living(world, who, other, client=life.client, known=1)
    request = (await neighbour.account()).case
    await world.advance(request, MONDAY + HOUR)
    await world.say(request, "report_bounce", notice="BL-4:U1:1", bounced_at=(MONDAY + HOUR / 2).isoformat())
    await ended(life)
    assert await against(life) == (f"{request}/U1",)
    assert {"party", "intake", "account"} <= await tells_of(world, who)
    assert await ring_unobstructed(world.sessions, world.now) == 0
    await world.say(request, "drop_line", line="U1", reason="client_asked")
    assert await ring_unobstructed(world.sessions, world.now) == 1
    await life.ring()
    await erased(life)
    assert await tells_of(world, who) == set()
    assert {"party", "intake", "account"} <= await tells_of(world, other)
    async with world.sessions() as session:
        users = (await session.exec(select(IntakeRow).where(IntakeRow.case == request))).one().content["users"]
    assert users == ["[erased]", other]


# ---- who comes back -------------------------------------------------------------------------------------------------


async def test_who_comes_back_with_the_same_address_gets_another_account_and_the_old_erasure_misses_it(
    world: World,
) -> None:
    """While the former account's data are held the person comes back: only what belonged to that account goes."""
    [first] = await living(world, who := somebody())
    await first.say("place_legal_hold", reason="a suit")
    await ended(first)
    await against(first)
    [second] = await living(world, who, client=first.client)
    assert second.username != first.username
    await first.say("lift_legal_hold", reason="over")
    await erased(first)
    assert (await second.account()).status == "active"
    assert {"party", "intake", "account"} <= await tells_of(world, who)
    async with world.sessions() as session:
        theirs = (await session.exec(select(PartyRow).where(PartyRow.case == second.case))).all()
        former = (await session.exec(select(PartyRow).where(PartyRow.case == first.case))).all()
    assert [party.email for party in theirs if party.party == "user"] == [who["email"]]
    assert [party.email for party in former if party.party == "user"] == [None]
    await ended(second)
    await erased(second)
    assert await tells_of(world, who) == set()
    [third] = await living(world, who, client=first.client)
    assert (await third.account()).status == "active"
    assert third.username not in (first.username, second.username)


async def test_the_same_person_at_another_client_keeps_everything_there(world: World) -> None:
    [here] = await living(world, who := somebody())
    [there] = await living(world, who)
    await ended(here)
    await erased(here)
    assert (await there.account()).status == "active"
    assert {"party", "intake", "account"} <= await tells_of(world, who)
    async with world.sessions() as session:
        row = await session.get(PartyRow, ((await there.account()).case, "U1"))
    assert row is not None
    assert row.email == who["email"]


# ---- the journal ----------------------------------------------------------------------------------------------------


async def test_a_legal_hold_keeps_the_journal_beyond_its_term(world: World) -> None:
    """The records of the account stay, those of its neighbours go; once it is lifted the next sweep removes them."""
    one, two = await living(world, somebody(), somebody())
    service = SignIn(world.sessions, world.keyring, world.now)
    for life in (one, two):
        await service.check(asked_of(client=life.client, username=life.username, address="192.0.2.9"))
    await one.say("place_legal_hold", reason="a suit")
    await world.now.set(MONDAY + 800 * DAY)
    await remove_over(world.sessions, world.now, "BL")
    assert await _journal(world, one) == 1
    assert await _journal(world, two) == 0
    await one.say("lift_legal_hold", reason="over")
    await remove_over(world.sessions, world.now, "BL")
    assert await _journal(world, one) == 0
    await world.now.set(MONDAY)


async def _journal(world: World, life: Life) -> int:
    async with world.sessions() as session:
        return len((await session.exec(select(SignInRow).where(SignInRow.username == life.username))).all())


async def _closed(world: World, case: str) -> bool:
    row = await world.row(case)
    return row is not None and (row.closed_at is not None or row.stage == "resting")


def _asks(who: dict[str, Any]) -> dict[str, Any]:
    """A user's request for the own data."""
    person = {
        "name": f"{who['first_name']} {who['last_name']}",
        "personal_code": who["personal_code"],
        "email": who["email"],
        "language": "lv",
    }
    return {"rights": ["access"], "channel": "email", "answer_channel": "email", "person": person}
