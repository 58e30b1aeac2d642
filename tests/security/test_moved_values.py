"""Whoever may write rows of the store, and holds no key, puts a sealed value of one owner into a row of another."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import LargeBinary, select, type_coerce, update
from sqlmodel import SQLModel
from sqlmodel import select as select_rows

from models.errors import Unreadable
from models.tables import CaseRow, IntakeRow, PartyRow, PaymentOrderRow
from operations.own_store import opened
from tests.workflows.test_claim import proposal
from tests.workflows.test_coverage import filed
from tests.world import World


async def bytes_of(world: World, row: type[SQLModel], column: str, **of: str) -> bytes:
    """What stands in a sealed column, as SQL sees it."""
    async with world.sessions() as session:
        query = select(type_coerce(getattr(row, column), LargeBinary)).filter_by(**of)
        found: bytes = (await (await session.connection()).execute(query)).scalar_one()
    return found


async def put(world: World, row: type[SQLModel], column: str, value: bytes, **of: str) -> None:
    """Write the bytes past the product."""
    async with world.sessions() as session, session.begin():
        moved = update(row).filter_by(**of).values({column: type_coerce(value, LargeBinary)})
        await (await session.connection()).execute(moved)


async def test_an_account_that_was_moved_from_another_claim_is_paid_nothing(world: World) -> None:
    """The claim waits and says so; with its own account back, that one is paid, once."""
    policy = await world.policy()
    theirs, case = [await filed(world, policy=policy) for _ in range(2)]
    own = await bytes_of(world, PartyRow, "iban", case=case, party="C1")
    await world.covered(case)
    foreign = await bytes_of(world, PartyRow, "iban", case=theirs, party="C1")
    await put(world, PartyRow, "iban", foreign, case=case, party="C1")

    answer = asyncio.create_task(world.say(case, "propose_decision", **proposal()))

    async def tried_again() -> list[str]:
        described = (await world.handle(case).describe()).raw_description
        return [one.activity_type.name for one in described.pending_activities if one.attempt > 1]

    waits = await world.until(tried_again, "people see that it is tried again")
    assert waits == ["claim.assess"]
    assert not answer.done()
    async with world.sessions() as session:
        orders = select_rows(PaymentOrderRow).where(PaymentOrderRow.case == case)
        assert [order.issued_at for order in (await session.exec(orders)).all()] in ([], [None])

    await put(world, PartyRow, "iban", own, case=case, party="C1")
    await answer
    await world.payment(case, "C1:indemnity", "issued")


ROWS: tuple[tuple[type[SQLModel], str], ...] = ((PartyRow, "iban"), (IntakeRow, "content"), (CaseRow, "state"))


@pytest.mark.parametrize(("row", "column"), ROWS, ids=lambda value: str(getattr(value, "__name__", value)))
async def test_a_value_of_another_owner_opens_in_no_row(world: World, row: type[SQLModel], column: str) -> None:
    """Neither in a row as the product reads it or reads it again, nor in columns that are read without one."""
    theirs, case = [await filed(world, policy=await world.policy()) for _ in range(2)]
    of = {"party": "C1"} if row is PartyRow else {}
    own = await bytes_of(world, row, column, case=case, **of)
    async with world.sessions() as session:
        read: Any = (await session.exec(select_rows(row).filter_by(case=case, **of))).one()
        value = getattr(read, column)
        assert type(value) in (str, dict)
        await put(world, row, column, await bytes_of(world, row, column, case=theirs, **of), case=case, **of)
        with pytest.raises(Unreadable, match=f"sealed for {theirs} stands in a row of {case}"):
            await session.refresh(read)
    async with world.sessions() as session:
        with pytest.raises(Unreadable):
            await session.exec(select_rows(row).filter_by(case=case, **of))
        table = SQLModel.metadata.tables[str(row.__tablename__)]
        columns = select(table.c.case, table.c[column]).filter_by(case=case, **of)
        for owner in (None, case):
            with pytest.raises(Unreadable):
                await opened(await session.connection(), columns, owner)
        await put(world, row, column, own, case=case, **of)
        (again,) = await opened(await session.connection(), columns)
    assert again[column] == value
