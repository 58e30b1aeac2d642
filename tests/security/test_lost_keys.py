"""A key that is lost, as after the restore of an older backup of the key database: cases wait for it, and none ends.

An erased case is another matter: its key is destroyed for ever, which its tombstone says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from uuid import uuid4

import pytest
from sqlalchemy import delete
from temporalio.client import Client, WorkflowExecutionStatus

from activities import screening
from activities.screening import KnownPeople
from integrations.sanctions import SAMPLE, SanctionsFile
from models.converter import sealing
from models.tables import IntakeRow, ScreeningRow
from operations.health import STUCK
from operations.loading import load
from security.codec import ENCODING, KEY, CaseCodec
from security.keys import Keyring, NoKey, data_key
from tests.replay.history import payloads
from tests.workflows.test_claim import MONDAY, content, documents, proposal
from tests.workflows.test_coverage import filed, waiting
from tests.world import World


@asynccontextmanager
async def lost(world: World, case: str) -> AsyncIterator[None]:
    """The key database is older than the case for as long as the block runs, and then has its key again."""
    backup = await world.keyring.backup()
    async with world.keyring._engine.begin() as connection:
        await connection.execute(delete(data_key).where(data_key.c.owner == case))
    world.keyring.forget()
    with pytest.raises(NoKey):
        await world.keyring.of(case)
    yield
    assert await world.keyring.restore(backup) == 1


async def filed_before_any_worker(world: World) -> str:
    """A claim that is filed and started, and that no worker has seen."""
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", content(await world.policy(), documents=documents(MONDAY)))
    assert (await world.handle(case).describe()).status is WorkflowExecutionStatus.RUNNING
    return case


async def stuck(world: World) -> bool:
    """Whether the installation says that a case is stuck."""
    return (await world.client.count_workflows(STUCK)).count == 1


async def test_a_case_whose_key_is_lost_before_its_first_task_is_stuck_and_goes_on_with_the_key(
    worker_world: World,
) -> None:
    """It is filed: a run that ended as refused would leave it in the intake, started, with nobody to start it again."""
    world = worker_world
    case = await filed_before_any_worker(world)
    async with lost(world, case), world.serving():
        await world.until(lambda: stuck(world), "the case is shown as stuck")
        assert (await world.handle(case).describe()).status is WorkflowExecutionStatus.RUNNING
    async with world.serving():
        await world.stage(case, "deciding")


async def test_a_filing_that_is_sent_again_makes_no_second_key_for_its_case(worker_world: World) -> None:
    """The sender is told that it cannot be taken now; with another key in its place, the lost one could not return."""
    world = worker_world
    await world.begin(MONDAY)
    claim, reference = content(await world.policy(), documents=documents(MONDAY)), "lost-1"
    case = await world.file("claim", "BTA", claim, reference=reference)
    async with lost(world, case):
        with pytest.raises(NoKey):
            await world.file("claim", "BTA", claim, reference=reference, received_at=world.now())
    again = await world.intake.submit(
        {
            "kind": "claim",
            "organisation": "BTA",
            "reference": reference,
            "received_at": (await received(world, case)).isoformat(),
            "sender": "system:tests",
            "content": claim,
        }
    )
    assert (again.case, again.new, again.faults) == (case, False, ())


async def received(world: World, case: str) -> datetime:
    """When a filing arrived."""
    async with world.sessions() as session:
        row = await session.get(IntakeRow, case)
    assert row is not None
    return row.received_at


@pytest.mark.parametrize("in_memory", [True, False], ids=["in memory", "read anew"])
async def test_a_message_to_a_case_whose_key_is_lost_is_answered_when_the_key_is_back(
    worker_world: World, *, in_memory: bool
) -> None:
    """It is no wrong message: a refusal would be final. Who sent it had the key still in memory."""
    world = worker_world
    async with AsyncExitStack() as workers:
        await workers.enter_async_context(world.serving())
        case = await filed_before_any_worker(world)
        await world.stage(case, "deciding")
        sender = await with_the_key_in_memory(world, case)
        if not in_memory:
            await workers.aclose()
        async with lost(world, case):
            message = {"case": case, "actor": "op-1", "handler": "op-7"}
            handle = sender.get_workflow_handle(case)
            answer = asyncio.create_task(handle.execute_update("assign_case", message, id="event:crm-1"))
            if not in_memory:
                await workers.enter_async_context(world.serving())
            await world.until(lambda: stuck(world), "the case is shown as stuck", seconds=60)
            assert not answer.done()
        assert (await answer)["entry"] == "assigned"
        row = await world.row(case)
        assert row is not None
        assert row.handler == "op-7"
        assert await sealed_by(world, case) == {(await world.keyring.of(case)).id}


async def test_what_a_case_does_by_itself_is_sealed_by_its_own_key_or_waits(worker_world: World) -> None:
    """A due instant comes while the key is lost: no other key takes its place, for it would outlive the case."""
    world = worker_world
    async with world.serving():
        case = await filed_before_any_worker(world)
        await world.stage(case, "deciding")
        due = (await world.clock(case, "BTA-10.5a")).due
        handle = world.handle(case)
        current = await world.environment.get_current_time(handle)
        await world.now.set(due)
        async with lost(world, case):
            skipping = asyncio.create_task(world.environment.fast_forward(handle, due - current))
            await world.until(lambda: stuck(world), "the case is shown as stuck", seconds=60)
        await skipping
        await world.until(lambda: overdue(world, case), "the due instant is recorded", seconds=60)
        await world.settled(case)
        assert await sealed_by(world, case) == {(await world.keyring.of(case)).id}


async def overdue(world: World, case: str) -> bool:
    """Whether the due instant of the decision is recorded."""
    return (await world.clock(case, "BTA-10.5a")).status == "overdue"


async def with_the_key_in_memory(world: World, case: str) -> Client:
    """Another process that read the case's key before it was lost."""
    keyring = Keyring(world.keyring._engine, world.keyring._master)
    await keyring.of(case)
    config = world.client.config()
    config["data_converter"] = sealing(CaseCodec(keyring))
    return Client(**config)


async def sealed_by(world: World, case: str) -> set[bytes]:
    """The ids of the keys that seal the case's history."""
    history = await world.handle(case).fetch_history()
    found = [payload for event in history.events for payload in payloads(event)]
    return {bytes.fromhex(p.metadata[KEY].decode()) for p in found if p.metadata.get("encoding") == ENCODING}


async def test_a_client_whose_key_is_lost_is_not_loaded_under_a_second_one(world: World) -> None:
    """Its accounts are sealed by the first: the others go in, this one is named, and its key can come back."""
    client, other = await world.customer(), f"K-{uuid4().hex[:8]}"
    person = {"name": "Ilze Kalna", "email": "ilze.kalna@noliktavas.example"}
    rows = [
        {"client": code, "organisation": "BL", "name": "SIA Noliktavas", "responsible": person, "requesters": [person]}
        for code in (client, other)
    ]
    async with lost(world, f"client:{client}"):
        loaded = await load(world.sessions, world.keyring, {"clients": rows})
        assert (loaded.clients, loaded.faults) == (
            1,
            (f"clients.0.client:{client}: its key is not here; restore the keys first",),
        )
    assert (await load(world.sessions, world.keyring, {"clients": rows})).clients == 2


async def test_whoever_cannot_be_read_holds_up_the_screening_of_nobody(
    worker_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many they are: those behind them are asked for too; and each is screened once the key is back."""
    monkeypatch.setattr(screening, "AT_A_TIME", 1)
    world = worker_world
    async with world.serving():
        first, second = await filed_before_any_worker(world), await filed_before_any_worker(world)
        for case in (first, second):
            await world.stage(case, "deciding")
    people = KnownPeople(world.sessions, SanctionsFile(SAMPLE), world.now)

    async def screened(case: str) -> bool:
        async with world.sessions() as session:
            return await session.get(ScreeningRow, (case, "insured")) is not None

    async with lost(world, first):
        await people.screen()
        assert await screened(second)
        assert not await screened(first)
    await people.screen()
    assert await screened(first)


async def test_a_payment_is_confirmed_while_another_claim_on_its_occurrence_cannot_be_read(world: World) -> None:
    """9.11: the other looks again by itself, once it can be read."""
    policy = await world.policy()
    other, case = [await filed(world, policy=policy, occurrence="LOST-1") for _ in range(2)]
    await world.covered(case)
    await world.say(case, "propose_decision", **proposal())
    await world.payment(case, "C1:indemnity", "issued")
    async with lost(world, other):
        paid = {"payment": "C1:indemnity", "executed_on": "2027-03-01", "bank_reference": "B1"}
        await world.say(case, "confirm_payment", actor="system:bank", **paid)

    async def looked() -> bool:
        return (await waiting(world, other)).get("no_repetition") == "not_met"

    await world.until(looked, "the other claim has looked again")
