"""What a death left waiting: events are answered once, no silent case stops others, and what was ended runs again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlmodel import select
from temporalio.client import WorkflowExecution

from models.case import StartCase
from models.tables import EventRow
from operations import intake
from operations.intake import Intake
from tests.workflows.test_claim import MONDAY, content, deciding
from tests.world import World


async def waiting(world: World, case: str, event: str) -> EventRow:
    async with world.sessions() as session:
        return (await session.exec(select(EventRow).where(EventRow.case == case, EventRow.event == event))).one()


async def test_the_event_that_closed_a_case_is_answered_though_its_sender_died_meanwhile(world: World) -> None:
    """The case took it and closed; whoever delivered it died before the answer was kept. Again, it is no refusal."""
    case = await deciding(world)
    withdrawn = {"actor": "op-1", "withdrawn_at": MONDAY.isoformat(), "reference": "dms/1"}
    first = await world.intake.submit_event(case, "crm-1", "withdraw_claim", withdrawn)
    await world.stage(case, "closed")
    async with world.sessions() as session, session.begin():
        row = (await session.exec(select(EventRow).where(EventRow.case == case, EventRow.event == "crm-1"))).one()
        row.delivered_at = row.answer = None
    again = await world.intake.submit_event(case, "crm-1", "withdraw_claim", withdrawn)
    assert again.refused == ()
    assert first.answer is not None
    assert again.answer is not None
    assert {key: again.answer[key] for key in ("case", "step", "entry", "stage")} == {
        "case": case,
        "step": first.answer["step"],
        "entry": "withdrawn",
        "stage": "closed",
    }
    assert datetime.fromisoformat(again.answer["at"]) == datetime.fromisoformat(first.answer["at"])
    other = await world.intake.submit_event(case, "crm-2", "withdraw_claim", withdrawn)
    assert "cannot reopen it" in other.refused[0]


async def test_a_case_that_does_not_answer_holds_up_the_events_of_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events wait; a sweep comes to those that arrived after them all the same."""
    monkeypatch.setattr(intake, "ANSWERS_WITHIN", 1.0)
    answering = await deciding(world)
    engine_down = Intake(world.sessions, world.keyring, None, world.now)
    filed = await engine_down.submit(
        {
            "kind": "claim",
            "organisation": "BTA",
            "reference": f"{answering.split(':')[2]}-silent",
            "received_at": world.now().isoformat(),
            "sender": "system:tests",
            "content": content(await world.policy()),
        }
    )
    silent = await world.client.start_workflow(
        "Claim", StartCase(case=filed.case), id=filed.case, task_queue="nobody-serves-this"
    )
    message = {"actor": "op-1", "handler": "op-7"}
    assert (await engine_down.submit_event(filed.case, "crm-1", "assign_case", message)).waiting
    assert (await engine_down.submit_event(answering, "crm-1", "assign_case", message)).waiting
    assert await world.intake.deliver_waiting() >= 1
    assert (await waiting(world, answering, "crm-1")).delivered_at is not None
    assert (await waiting(world, filed.case, "crm-1")).delivered_at is None
    await silent.terminate()


async def test_a_run_that_was_ended_before_its_case_was_opened_is_started_again(worker_world: World) -> None:
    """Terminated while no worker served: nothing was recorded of it but its filing."""
    world = worker_world
    await world.begin(datetime.now(UTC))
    case = await world.file("claim", "BTA", content(await world.policy()))
    await world.handle(case).terminate("by mistake")

    async def restarted() -> bool:
        # the list of ended runs follows a moment later
        return await world.intake.restart_ended() == 1

    await world.until(restarted, "it is started again")
    async with world.serving():
        await world.stage(case, "collecting")


async def test_however_many_runs_were_ended_the_open_case_among_them_starts_again(
    worker_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than PostgreSQL takes parameters in one statement."""
    world = worker_world
    await world.begin(datetime.now(UTC))
    case = await world.file("claim", "BTA", content(await world.policy()))
    await world.handle(case).terminate("by mistake")
    last = await world.handle(case).describe()

    async def listed(query: str) -> AsyncIterator[WorkflowExecution]:
        assert query == intake.ENDED
        for number in range(40_000):
            yield replace(last, id=f"claim:BTA:ENDED-{number}")
        yield last

    monkeypatch.setattr(world.client, "list_workflows", listed)
    assert await world.intake.restart_ended() == 1
