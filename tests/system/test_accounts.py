"""Accounts: closing is one commit that ends live sessions and rings the case; every act may be said twice."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlmodel import col, select

from models.errors import Refusal
from models.tables import AccountRow, BellRow, SignInRow, SuspensionRow
from operations import accounts
from tests.world import RIGA, World

AT = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
HOUR = timedelta(hours=1)
_numbers = count(1)


async def users(world: World, many: int = 1, **more: Any) -> tuple[str, list[str]]:
    """A client with so many users, each with a live session and a credential's name; client and user names."""
    client, names = await world.customer(), [f"A{next(_numbers)}-U1" for _ in range(many)]
    async with world.sessions() as session, session.begin():
        for name in names:
            values: dict[str, Any] = {
                "person": name.encode(),
                "credential": f"credential:BL:{name}",
                "created_at": AT,
                **more,
            }
            session.add(
                AccountRow(client=client, username=name, case=f"access_request:BL:{name}", subject="U1", **values)
            )
            await session.flush()
            for live in (True, False):
                session.add(
                    SignInRow(
                        client=client,
                        username=name,
                        at=AT,
                        method="password",
                        result="allowed",
                        session=f"{name}-{live}",
                        ended_at=None if live else AT,
                        end_reason=None if live else "signed_out",
                    )
                )
    return client, names


async def account(world: World, client: str, name: str) -> AccountRow:
    """The account as it stands."""
    async with world.sessions() as session:
        return await session.get_one(AccountRow, (client, name))


async def suspensions(world: World, client: str) -> list[SuspensionRow]:
    """All suspensions of a client's users, in order."""
    async with world.sessions() as session:
        query = select(SuspensionRow).where(SuspensionRow.client == client)
        return list((await session.exec(query.order_by(SuspensionRow.username, col(SuspensionRow.n)))).all())


async def sessions_of(world: World, client: str) -> dict[str, str | None]:
    """Session → why it ended; None for one that lives."""
    async with world.sessions() as session:
        rows = (await session.exec(select(SignInRow).where(SignInRow.client == client))).all()
    return {str(row.session): row.end_reason for row in rows}


async def bells(world: World, *names: str) -> int:
    """How many bells wait for the cases of these users."""
    async with world.sessions() as session:
        cases = [f"credential:BL:{name}" for name in names]
        return len((await session.exec(select(BellRow).where(col(BellRow.case).in_(cases)))).all())


async def suspend(world: World, client: str, names: list[str] | None = None, at: datetime = AT) -> accounts.Touched:
    """Suspend as the command does."""
    async with world.sessions() as session, session.begin():
        found = await accounts.accounts_of(session, client, names)
        return await accounts.suspend(session, found, "BL-10", "client", "op-1", "strange sign-ins", at)


async def reinstate(world: World, client: str, at: datetime = AT + HOUR) -> accounts.Touched:
    """Let all users of a client in again."""
    async with world.sessions() as session, session.begin():
        return await accounts.reinstate(session, await accounts.accounts_of(session, client), "op-2", at)


async def end(world: World, client: str, name: str, at: datetime = AT + HOUR) -> accounts.Touched:
    """End one account."""
    async with world.sessions() as session, session.begin():
        found = await accounts.accounts_of(session, client, [name])
        return await accounts.end(session, found, "BL-9", "op-3", at, event_at=AT)


async def test_a_suspension_closes_every_account_of_a_client_and_its_live_sessions_in_one_commit(world: World) -> None:
    """BL 10: sessions that ended before keep their own reason, and other clients are not touched."""
    client, names = await users(world, 3)
    other, _ = await users(world)
    touched = await suspend(world, client)
    assert (touched.accounts, touched.before, touched.sessions) == (tuple(sorted(names)), (), 3)
    rows = await suspensions(world, client)
    assert {(row.n, row.ground, row.scope, row.by, row.outcome) for row in rows} == {
        (1, "BL-10", "client", "op-1", None)
    }
    assert {row.reason for row in rows} == {"strange sign-ins"}
    ended = await sessions_of(world, client)
    assert all(ended[f"{name}-True"] == "suspended" and ended[f"{name}-False"] == "signed_out" for name in names)
    assert await bells(world, *names) == 3
    assert set((await sessions_of(world, other)).values()) == {None, "signed_out"}


async def test_said_again_it_changes_nothing_and_rings_nobody(world: World) -> None:
    client, names = await users(world, 2)
    await suspend(world, client, names[:1])
    again = await suspend(world, client)
    assert (again.accounts, again.before, again.sessions) == ((names[1],), (names[0],), 1)
    once_more = await suspend(world, client)
    assert (once_more.accounts, once_more.sessions) == ((), 0)
    assert len(await suspensions(world, client)) == 2
    assert await bells(world, *names) == 2


async def test_an_act_that_fails_has_closed_nothing(world: World) -> None:
    """One commit: a fault after the closing takes all of it back."""
    client, names = await users(world)
    with pytest.raises(RuntimeError):  # noqa: PT012  # the fault belongs to the transaction
        async with world.sessions() as session, session.begin():
            found = await accounts.accounts_of(session, client)
            await accounts.suspend(session, found, "BL-8", "one", "op-1", "reported", AT)
            raise RuntimeError
    assert (await account(world, client, names[0])).status == "active"
    assert (await suspensions(world, client), await bells(world, *names)) == ([], 0)


async def test_who_is_reinstated_can_be_suspended_again_and_each_suspension_stays_on_record(world: World) -> None:
    client, names = await users(world)
    await suspend(world, client)
    assert (await reinstate(world, client)).accounts == tuple(names)
    assert (await reinstate(world, client)).accounts == ()
    await suspend(world, client, at=AT + 2 * HOUR)
    rows = await suspensions(world, client)
    assert [(r.n, r.outcome, r.ended_by, r.ended_at) for r in rows] == [
        (1, "reinstated", "op-2", AT + HOUR),
        (2, None, None, None),
    ]


async def test_an_account_that_ended_is_never_opened_again(world: World) -> None:
    """Neither reinstated nor suspended; its ground, and whoever ended it, stay as they were."""
    client, names = await users(world)
    await suspend(world, client)
    assert (await end(world, client, names[0])).accounts == tuple(names)
    ended = await account(world, client, names[0])
    assert (ended.status, ended.ground, ended.ended_by, ended.event_at) == ("ended", "BL-9", "op-3", AT)
    [suspension] = await suspensions(world, client)
    assert (suspension.outcome, suspension.ended_by) == ("revoked", "op-3")
    assert (await end(world, client, names[0], AT + 2 * HOUR)).accounts == ()
    async with world.sessions() as session, session.begin():
        found = await accounts.accounts_of(session, client, names)
        assert not (await accounts.reinstate(session, found, "op-2", AT)).accounts
        assert not (await accounts.suspend(session, found, "BL-10", "one", "op-2", "late", AT)).accounts
    now = await account(world, client, names[0])
    assert (now.status, now.ended_at) == ("ended", AT + HOUR)
    assert await accounts_left(world, client) == []


async def accounts_left(world: World, client: str) -> list[str]:
    """Whose access has not ended."""
    async with world.sessions() as session:
        return [a.username for a in await accounts.accounts_of(session, client)]


async def test_what_was_meant_for_an_earlier_account_never_reaches_the_one_that_came_after(world: World) -> None:
    """Every act names the user name; the same person has another one after coming back."""
    client, [first] = await users(world)
    await end(world, client, first)
    second = f"{first}-2"
    async with world.sessions() as session, session.begin():
        session.add(
            AccountRow(client=client, username=second, case="c", subject="U1", person=first.encode(), created_at=AT)
        )
    await suspend(world, client, [first])
    await end(world, client, first)
    assert (await account(world, client, second)).status == "active"


async def test_a_lock_is_released_and_the_count_of_failures_begins_anew(world: World) -> None:
    client, names = await users(world, failed=5, locked_at=AT)
    for expected in (tuple(names), ()):
        async with world.sessions() as session, session.begin():
            found = await accounts.accounts_of(session, client)
            assert (await accounts.release(session, found, AT)).accounts == expected
    now = await account(world, client, names[0])
    assert (now.locked_at, now.failed) == (None, 0)


async def test_the_case_that_records_an_act_itself_is_not_rung_by_it(world: World) -> None:
    client, names = await users(world, 2)
    async with world.sessions() as session, session.begin():
        found = await accounts.accounts_of(session, client)
        own = f"credential:BL:{names[0]}"
        await accounts.suspend(session, found, "BL-10", "several", "op-1", "x", AT, in_case=own)
    assert [await bells(world, name) for name in names] == [0, 1]


async def test_a_name_of_another_client_is_refused_with_all_the_others(world: World) -> None:
    client, names = await users(world)
    other, others = await users(world, 2)
    with pytest.raises(Refusal) as refused:
        await suspend(world, client, [*names, *others])
    assert len(refused.value.faults) == 2
    assert (await account(world, client, names[0])).status == "active"
    assert (await account(world, other, others[0])).status == "active"
