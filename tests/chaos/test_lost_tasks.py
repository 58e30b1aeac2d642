"""A step that was committed while its workflow task was lost, and nobody is left who would ask for it again.

Where a sender asks again, or what happened stands in the history, the campaign shows that the case goes on from the
record. Here it has nothing left that would tell it: it must find out by itself that the record is ahead of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, update
from temporalio.client import WorkflowUpdateStage
from temporalio.common import SearchAttributeKey

from models.names import DUE, TASK_QUEUE
from models.tables import BellRow, CaseRow, ClockRow
from tests.chaos.campaign import new_life, sweeping
from tests.chaos.house import House
from tests.chaos.lives import Days, Life
from tests.chaos.points import Point
from tests.chaos.scripts import DECISION, claim_filed

pytestmark = pytest.mark.timeout(600)  # as in test_chaos.py
AT = "case.record after commit"


@pytest.fixture
async def life(servers: House) -> AsyncIterator[Life]:
    """One run, with sweeps beside it."""
    await servers.now.set(datetime.now(UTC))
    patience, servers.patience = servers.patience, 60.0
    async with sweeping(servers):
        yield new_life(servers, Days(servers, 1), asyncio.Semaphore())
    servers.patience = patience


async def dies(servers: House, life: Life, way: Callable[[], Awaitable[object]]) -> None:
    """Let the worker die after the commit of the step that this leads to."""
    servers.journal.doom(life.token, Point(AT, servers.journal.passed(life.token)[AT] + 1))
    await way()

    async def struck() -> bool:
        return servers.journal.struck(life.token)

    await life.until(struck, "the worker dies")


async def test_a_recount_is_known_to_its_case(servers: House, life: Life) -> None:
    """The record counts anew, and the bell is heard with that; the case must wait for the new date too."""
    case = await claim_filed(life, life.ago(hours=1))
    await life.rests(case, "deciding")
    wrong = datetime.now(UTC) + timedelta(days=200)
    handle = servers.client.get_workflow_handle(case)

    async def waits_for(day: datetime) -> bool:
        due = (await handle.describe()).typed_search_attributes.get(SearchAttributeKey.for_datetime(DUE))
        return due is not None and abs(due - day) < timedelta(days=1)

    async with servers.connection.sessions() as session, session.begin():
        old = {"calendar_version": "LV 2020-01-01", "due": wrong, "latest": wrong, "last_day": wrong.date()}
        await session.exec(update(ClockRow).where(col(ClockRow.case) == case).values(old))
    # a sweep starts it again from the record
    await handle.terminate()
    await life.until(lambda: waits_for(wrong), "the case waits for the date that an old calendar gave")

    async def rung() -> None:
        async with servers.connection.sessions() as session, session.begin():
            session.add(BellRow(case=case, reason="recount", created_at=servers.now()))
        await servers.client.execute_workflow("Sweep", id=f"ring-{life.token}", task_queue=TASK_QUEUE)

    await dies(servers, life, lambda: asyncio.wait([asyncio.create_task(rung())], timeout=1))
    async with servers.connection.sessions() as session:
        clock = await session.get(ClockRow, (case, "BTA-10.5a", "", 1))
    assert clock is not None
    assert clock.due != wrong
    await life.until(lambda: waits_for(clock.due), "the case waits for the date that the record has")


async def test_a_message_whose_sender_gave_up_is_known_to_its_case(servers: House, life: Life) -> None:
    """Worker and engine die together, and with the engine the update: recorded is recorded, letters and payment go."""
    case = await claim_filed(life, life.ago(hours=1))
    await life.rests(case, "deciding")
    handle = servers.client.get_workflow_handle(case)

    async def recorded() -> bool:
        async with servers.connection.sessions() as session:
            row = await session.get(CaseRow, case)
        return row is not None and row.stage == "telling_and_paying"

    async def decided() -> None:
        message = {"case": case, "actor": "op-1", **DECISION}
        sending = asyncio.create_task(
            handle.start_update("propose_decision", message, id="by-hand", wait_for_stage=WorkflowUpdateStage.COMPLETED)
        )
        await life.until(recorded, "the step is recorded")
        async with servers.without("temporal"):
            sending.cancel()
            await asyncio.wait([sending])

    await dies(servers, life, decided)
    await life.rests(case, "telling_and_paying", "the bank: C1:indemnity")
