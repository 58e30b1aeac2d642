"""Whoever may write rows of the store, and holds no key, puts a sealed value of one owner into a row of another."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import LargeBinary, select, type_coerce, update
from sqlmodel import SQLModel, col
from sqlmodel import select as select_rows

from models.errors import Unreadable
from models.tables import CaseRow, IntakeRow, NoticeRow, PartyRow, PaymentOrderRow
from models.tables.sealed import USE
from operations.own_store import opened
from tests.workflows.test_claim import content, proposal
from tests.workflows.test_coverage import filed
from tests.world import World

CLAIMANT: dict[str, Any] = content("P-1")["claimants"][0]
OTHER = "LV80BANK0000435195001"


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


async def waits_for_people(world: World, case: str) -> str:
    """The activity that people see tried again."""

    async def tried_again() -> str | None:
        described = (await world.handle(case).describe()).raw_description
        return next((one.activity_type.name for one in described.pending_activities if one.attempt > 1), None)

    name: str = await world.until(tried_again, "people see that it is tried again")
    return name


async def orders(world: World, case: str) -> list[PaymentOrderRow]:
    """What is to be paid."""
    async with world.sessions() as session:
        return list((await session.exec(select_rows(PaymentOrderRow).where(PaymentOrderRow.case == case))).all())


async def test_an_account_that_was_moved_from_another_claim_is_paid_nothing(world: World) -> None:
    """The claim waits and says so; with its own account back, that one is paid, once."""
    policy = await world.policy()
    theirs, case = [await filed(world, policy=policy) for _ in range(2)]
    own = await bytes_of(world, PartyRow, "iban", case=case, party="C1")
    await world.covered(case)
    foreign = await bytes_of(world, PartyRow, "iban", case=theirs, party="C1")
    await put(world, PartyRow, "iban", foreign, case=case, party="C1")

    answer = asyncio.create_task(world.say(case, "propose_decision", **proposal()))
    assert await waits_for_people(world, case) == "claim.assess"
    assert not answer.done()
    assert await orders(world, case) == []

    await put(world, PartyRow, "iban", own, case=case, party="C1")
    await answer
    await world.payment(case, "C1:indemnity", "issued")


@pytest.mark.parametrize("changed", [{"amount": Decimal("40000.00")}, {"party": "insured"}], ids=["sum", "payee"])
async def test_an_order_is_paid_to_whom_and_as_it_was_decided_or_not_at_all(
    world: World, changed: dict[str, Any]
) -> None:
    """Sum and payee stand in clear, for those who count them; what is sealed beside them opens beside no others."""
    case = await filed(world, claimants=[{**CLAIMANT, "iban": None}])
    await world.covered(case)
    await world.say(case, "propose_decision", **proposal())
    await world.payment(case, "C1:indemnity", "held")
    [order] = await orders(world, case)
    its = update(PaymentOrderRow).where(col(PaymentOrderRow.case) == case)
    async with world.sessions() as session, session.begin():
        await session.exec(its.values(changed))

    named = {"claimant": "C1", "iban": CLAIMANT["iban"]}
    answer = asyncio.create_task(world.say(case, "correct_payee", **named))
    await waits_for_people(world, case)
    with pytest.raises(Unreadable):
        await orders(world, case)

    async with world.sessions() as session, session.begin():
        await session.exec(its.values({name: getattr(order, name) for name in changed}))
    await answer
    await world.payment(case, "C1:indemnity", "issued")
    [paid] = await orders(world, case)
    assert (paid.party, paid.amount) == (order.party, order.amount)


PLACES: tuple[tuple[type[SQLModel], str, dict[str, str]], ...] = (
    (PartyRow, "iban", {"party": "C1"}),
    (IntakeRow, "content", {}),
    (CaseRow, "state", {}),
)


@pytest.mark.parametrize(("row", "column", "key"), PLACES, ids=[f"{row.__name__}.{name}" for row, name, _ in PLACES])
async def test_a_value_of_another_owner_opens_in_no_row(
    world: World, row: type[SQLModel], column: str, key: dict[str, str]
) -> None:
    """Neither in a row as the product reads it or reads it again, nor in columns that are read without one."""
    theirs, case = [await filed(world, policy=await world.policy()) for _ in range(2)]
    own, foreign = [await bytes_of(world, row, column, case=of, **key) for of in (case, theirs)]
    this = {"case": case, **key}
    async with world.sessions() as session:
        read: Any = (await session.exec(select_rows(row).filter_by(**this))).one()
        value = getattr(read, column)
        await put(world, row, column, foreign, **this)
        with pytest.raises(Unreadable, match=f"sealed for {theirs} stands in a row of {case}"):
            await session.refresh(read)
    async with world.sessions() as session:
        with pytest.raises(Unreadable):
            await session.exec(select_rows(row).filter_by(**this))
        table = SQLModel.metadata.tables[str(row.__tablename__)]
        columns = select(*table.primary_key, table.c[column]).filter_by(**this)
        with pytest.raises(Unreadable):
            await opened(await session.connection(), columns)
        await put(world, row, column, own, **this)
        (again,) = await opened(await session.connection(), columns)
    assert again[column] == value


async def test_a_value_opens_in_no_other_row_or_column_of_its_owner(world: World) -> None:
    """The account of one claimant in the row of the other; a name where an address belongs."""
    people = [CLAIMANT, {**CLAIMANT, "name": "Juris Ozols", "iban": OTHER}]
    case = await filed(world, claimants=people)
    of = {"case": case, "party": "C1"}
    for column, moved in (
        ("iban", await bytes_of(world, PartyRow, "iban", case=case, party="C2")),
        ("email", await bytes_of(world, PartyRow, "name", **of)),
    ):
        own = await bytes_of(world, PartyRow, column, **of)
        await put(world, PartyRow, column, moved, **of)
        async with world.sessions() as session:
            with pytest.raises(Unreadable):
                await session.get(PartyRow, (case, "C1"))
        await put(world, PartyRow, column, own, **of)


async def test_what_was_sealed_before_values_had_a_place_opens_for_its_owner(world: World) -> None:
    """As stores have it that were filled by a release before; the next time it is written it has its place."""
    case = await filed(world)
    key = await world.keyring.of(case)
    of = {"case": case, "party": "C1"}
    earlier = key.id + key.seal(b'"LV97HABA0012345678910"', USE)
    await put(world, PartyRow, "iban", earlier, **of)
    async with world.sessions() as session, session.begin():
        party = await session.get_one(PartyRow, (case, "C1"))
        assert party.iban == "LV97HABA0012345678910"
        party.iban = OTHER
    written = await bytes_of(world, PartyRow, "iban", **of)
    with pytest.raises(Unreadable):
        key.open(written[len(key.id) :], USE)
    async with world.sessions() as session:
        assert (await session.get_one(PartyRow, (case, "C1"))).iban == OTHER


@pytest.mark.parametrize("changed", [{"party": "insured"}, {"template": "refusal"}], ids=["party", "template"])
async def test_a_letter_says_to_nobody_else_what_was_written_for_its_party(
    world: World, changed: dict[str, str]
) -> None:
    """Nor by another template: what it says opens beside those two only."""
    case = await filed(world)
    letters = await world.notices(case)
    key = next(key for key, letter in letters.items() if letter.party == "C1")
    its = update(NoticeRow).where(col(NoticeRow.case) == case, col(NoticeRow.key) == key)
    async with world.sessions() as session, session.begin():
        await session.exec(its.values(changed))
    with pytest.raises(Unreadable):
        await world.notices(case)
    async with world.sessions() as session, session.begin():
        await session.exec(its.values({name: getattr(letters[key], name) for name in changed}))
    assert (await world.notices(case))[key].facts == letters[key].facts
