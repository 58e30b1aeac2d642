"""Who has access, and suspending everybody at once: one transaction, safe to repeat, and no names unless asked for."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlmodel import select

from models.errors import Refusal
from models.tables import AccountRow, BellRow, ClientRow
from operations.access import accesses, end_with_contract, open_credentials, suspend
from tests.system.test_accounts import account, sessions_of, suspensions, users
from tests.system.test_starter import ask, cli
from tests.workflows.test_access_request import content, user
from tests.workflows.test_credential import Life, live
from tests.world import RIGA, World

Environment = dict[str, str]
SECOND = timedelta(seconds=1)


@pytest.mark.usefixtures("present")
async def test_everybody_of_a_client_is_suspended_by_one_command_and_again_it_changes_nothing(
    world: World, where: Environment
) -> None:
    """The answer counts accounts and live sessions; nobody else is touched, and the reason stands in the store."""
    client, names = await users(world, 3)
    other, others = await users(world)
    where = {**where, "TEMPORAL_ADDRESS": "127.0.0.1:1"}  # their cases run nowhere
    said = await ask(where, "suspend", "--client", client, "--reason", "an attack from outside")
    assert (sorted(said["accounts"]), said["sessions"], said["before"]) == (sorted(names), 3, [])
    again = await ask(where, "suspend", "--client", client, "--reason", "an attack from outside")
    assert (again["accounts"], again["sessions"], sorted(again["before"])) == ([], 0, sorted(names))
    assert {(row.ground, row.scope, row.reason) for row in await suspensions(world, client)} == {
        ("BL-10", "client", "an attack from outside")
    }
    assert (await account(world, other, others[0])).status == "active"
    assert None in (await sessions_of(world, other)).values()


@pytest.mark.usefixtures("present")
async def test_the_command_rings_the_cases_itself_and_begins_one_that_there_was_none_of(
    world: World, where: Environment
) -> None:
    """No sweep: the one case records it, the other is filed with the suspension and started after it."""
    life = await live(world)
    await world.now.set(datetime.now(UTC))
    async with world.sessions() as session, session.begin():
        new = AccountRow(client=life.client, username=f"{life.username}-9", case="c", subject="U1", person=b"y")
        new.created_at = world.now()
        session.add(new)
    said = await ask(where, "suspend", "--client", life.client, "--reason", "an attack from outside")
    assert said["rung"]
    assert len(said["accounts"]) == 2
    await life.entry("suspended")
    begun = f"credential:BL:{life.username}-9"
    world.filed.append(begun)
    await world.stage(begun, "suspended")


@pytest.mark.usefixtures("present")
async def test_an_engine_that_is_down_keeps_nobody_in_and_the_command_says_that_the_sweep_rings(
    world: World, where: Environment
) -> None:
    client, [name] = await users(world)
    down = {**where, "TEMPORAL_ADDRESS": "127.0.0.1:1"}
    said = await cli(down, "suspend", "--client", client, "--reason", "an attack from outside")
    assert "1 accounts suspended" in said.output
    assert "the sweep does it" in said.output
    assert (await account(world, client, name)).status == "suspended"
    async with world.sessions() as session:
        query = select(BellRow).where(BellRow.case == f"credential:BL:{name}")
        assert [bell.rung_at for bell in (await session.exec(query)).all()] == [None]


@pytest.mark.usefixtures("present")
async def test_what_is_wrong_with_the_command_is_said_at_once_and_nothing_is_closed(
    world: World, where: Environment
) -> None:
    client, names = await users(world, 2)
    words = ("suspend", "--client", client, "--user", names[0], "--user", "x", "--user", "y", "--reason", "z")
    refused = (await cli(where, *words, code=1)).output
    assert "username: x is no account" in refused
    assert "username: y is no account" in refused
    for wrong in (
        ("--client", "K-nobody", "--reason", "z"),
        ("--client", client, "--reason", " "),
        ("--client", client, "--reason", "z", "--actor", "op-1"),  # without the operator's token
    ):
        await cli(where, "suspend", *wrong, code=1)
    assert [(await account(world, client, name)).status for name in names] == ["active", "active"]


async def test_only_those_named_are_suspended_and_an_operator_without_the_right_closes_nobody(world: World) -> None:
    client, names = await users(world, 3)
    done = await suspend(world.sessions, world.keyring, client, names[:2], "BL-8", "leaked", "op-1", world.now)
    assert sorted(done.accounts) == sorted(names[:2])
    assert {row.scope for row in await suspensions(world, client)} == {"several"}
    assert (await account(world, client, names[2])).status == "active"
    with pytest.raises(Refusal, match="there is no operator"):
        await suspend(world.sessions, world.keyring, client, None, "BL-10", "x", "op-nobody", world.now)


async def test_the_cases_hear_of_it_and_tell_whoever_must_be_told(world: World) -> None:
    life = await live(world)
    await suspend(world.sessions, world.keyring, life.client, None, "BL-10", "an attack", "op-9", world.now)
    await life.ring()
    await life.letter("BL-10:responsible:E1:1")
    shown = await accesses(world.sessions, life.client, personal=False)
    [line] = shown.accounts
    assert line.suspended is not None
    assert "op-9" in line.suspended
    assert "investigation" in line.waits_for


async def test_who_has_what_names_nobody_unless_people_are_asked_for(world: World) -> None:
    """What, since when, by which request, through which system; with people also who, and who asked."""
    life = await live(world)
    faulty = await world.file("access_request", "BL", content(life.client, user(phone="")))
    await world.stage(faulty, "resting")
    shown = await accesses(world.sessions, life.client, personal=False)
    [line] = shown.accounts
    assert (line.username, line.status, line.login_data) == (life.username, "active", True)
    assert (line.credential, line.received_from) == (life.case, "system:tests")
    assert (line.user, line.asked_by) == (None, None)
    text = json.dumps(shown.model_dump(mode="json"), ensure_ascii=False)
    assert "Žanete" not in text
    assert "Ilze" not in text
    [named] = (await accesses(world.sessions, life.client, personal=True)).accounts
    assert "Žanete" in (named.user or "")
    assert named.asked_by == "Ilze Kalna"
    with pytest.raises(Refusal, match="no such client"):
        await accesses(world.sessions, "K-nobody", personal=False)


async def test_what_has_ended_is_listed_only_if_asked_for_with_its_ground(world: World) -> None:
    life = await live(world)
    await life.say("revoke_credential", cause="left", happened_at="2027-03-01T10:00+02:00", reason="left")
    assert (await accesses(world.sessions, life.client, personal=False)).accounts == ()
    [line] = (await accesses(world.sessions, life.client, personal=False, ended=True)).accounts
    assert line.ended is not None
    assert line.ended.startswith("SE-2.10")


async def _contract_until(life: Life, day: date) -> None:
    async with life.world.sessions() as session, session.begin():
        client = await session.get_one(ClientRow, life.client)
        client.contract_until = day


async def test_with_the_contract_the_access_ends_and_not_before_its_last_day_is_over(world: World) -> None:
    """BL 11: the last day is whole in Rīga; then the sweep ends it, and the case says by which ground."""
    life = await live(world)
    await _contract_until(life, date(2027, 3, 5))
    over = datetime(2027, 3, 6, 0, 0, tzinfo=RIGA)
    await end_with_contract(world.sessions, lambda: over - SECOND)
    assert (await life.account()).status == "active"
    assert await end_with_contract(world.sessions, lambda: over) >= 1
    assert await end_with_contract(world.sessions, lambda: over) == 0
    ended = await life.account()
    assert (ended.status, ended.ground, ended.ended_by) == ("ended", "BL-11", "system:termins")
    await life.ring()
    await life.stage("resting")


async def test_an_account_from_before_there_were_such_cases_gets_one(world: World) -> None:
    client, [name] = await users(world, credential=None)
    assert await open_credentials(world.sessions, world.intake, world.now) >= 1
    case = f"credential:BL:{name}"
    world.filed.append(case)
    await world.stage(case, "issued")
    row: AccountRow = await account(world, client, name)
    assert row.credential == case
    assert await open_credentials(world.sessions, world.intake, world.now) == 0


async def test_an_account_that_gets_no_case_holds_up_none(world: World) -> None:
    """Its user name is another one's at another client, which cannot be: the others get their cases all the same."""
    first, [name] = await users(world, credential=None)
    await open_credentials(world.sessions, world.intake, world.now)
    client, [other] = await users(world, credential=None)
    async with world.sessions() as session, session.begin():
        session.add(
            AccountRow(client=client, username=name, case="c", subject="U1", person=b"x", created_at=world.now())
        )
    await open_credentials(world.sessions, world.intake, world.now)
    assert (await account(world, first, name)).credential == f"credential:BL:{name}"
    assert (await account(world, client, name)).credential is None
    assert (await account(world, client, other)).credential == f"credential:BL:{other}"
    async with world.sessions() as session, session.begin():
        (await session.get_one(AccountRow, (client, name))).status = "ended"
