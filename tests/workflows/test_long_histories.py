"""Every kind of case survives continue-as-new at every resting point, and a reset to its first task: the same story."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import groupby
from typing import Any

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from operations.intake import TASK_TIMEOUT
from tests.workflows import test_access_request as access
from tests.workflows import test_authenticator_withdrawal as withdrawal
from tests.workflows import test_breach as breach
from tests.workflows import test_client_change as client_change
from tests.workflows import test_credential as credential
from tests.workflows import test_late_premium as late_premium
from tests.workflows import test_premium_refund as premium_refund
from tests.workflows import test_privacy_request as privacy
from tests.workflows import test_recovery as recovery
from tests.workflows import test_renewal as renewal
from tests.world import World


async def access_story(world: World) -> str:
    """One user gets login data; the request rests."""
    await world.begin(access.MONDAY)
    client = await world.customer()
    case = await world.file("access_request", "BL", access.content(client, access.user()))
    await world.stage(case, "resting")
    return case


async def withdrawal_story(world: World) -> str:
    """The notice is proven, the ten days run, the effect comes; the case rests."""
    _, case = await withdrawal.noticed(world)
    await world.advance(case, withdrawal.DUE)
    await world.stage(case, "resting")
    return case


async def privacy_story(world: World) -> str:
    """A person is identified and gets an answer; the request rests."""
    await world.begin(privacy.MONDAY)
    case = await privacy.file(world, "GJ")
    await privacy.identify(world, case, privacy.MONDAY)
    await world.stage(case, "resting")
    return case


async def late_premium_story(world: World) -> str:
    """A late premium is refused and goes back; the case rests."""
    case = await late_premium.refused(world)
    await returned(world, case, late_premium.RETURN)
    return case


async def refund_story(world: World) -> str:
    """A contract ends early and its refund is paid; the case rests."""
    case = await premium_refund.ended(world, iban="LV97HABA0012345678910")
    await world.payment(case, premium_refund.REFUND, "issued")
    await returned(world, case, premium_refund.REFUND)
    return case


async def returned(world: World, case: str, payment: str) -> None:
    """The bank executed it."""
    said = {"payment": payment, "bank_reference": "B9", "executed_on": "2027-03-01"}
    await world.say(case, "confirm_payment", actor="system:bank", **said)
    await world.stage(case, "resting")


async def recovery_story(world: World) -> str:
    """A sum is demanded and comes back; the recovery rests."""
    case = await recovery.demanded(world)
    await recovery.repay(world, case, "400.00")
    await world.stage(case, "resting")
    return case


async def client_change_story(world: World) -> str:
    """Another responsible employee stands in a client's record, and both are told; it rests."""
    who = await client_change.client(world)
    case = await client_change.changed(world, who, responsible=client_change.person("Jana Liepa"))
    await world.stage(case, "resting")
    return case


async def credential_story(world: World) -> str:
    """An access is issued, and cancelled by the client; it rests."""
    life = await credential.live(world)
    asked = credential.MONDAY.isoformat()
    await life.say("revoke_credential", cause="client_asked", happened_at=asked, reason="e-mail of today")
    await life.stage("resting")
    return life.case


async def renewal_story(world: World) -> str:
    """A reminder goes out; it rests."""
    case = await renewal.reminded(world)
    await world.stage(case, "resting")
    return case


async def breach_story(world: World) -> str:
    """People are told of a breach of high risk; it rests."""
    case = await breach.high(world, *breach.people(2))
    await breach.write(world, case)
    await breach.told(world, case, 2)
    await breach.finish(world, case)
    return case


STORIES = [
    access_story,
    withdrawal_story,
    privacy_story,
    late_premium_story,
    refund_story,
    recovery_story,
    renewal_story,
    client_change_story,
    credential_story,
    breach_story,
]
Story = Callable[[World], Awaitable[str]]


async def told(world: World, case: str) -> tuple[Any, ...]:
    """What is left of a story: steps (those of a stage in no order, some go on side by side), clocks, letters."""
    notices = await world.notices(case)
    steps = groupby(await world.timeline(case), key=lambda t: t.stage)
    return (
        [(stage, sorted(t.entry for t in of_stage)) for stage, of_stage in steps],
        await world.clocks(case),
        sorted((key, row.sent_at is not None) for key, row in notices.items()),
    )


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.__name__)
async def test_a_new_run_at_every_resting_point_changes_nothing(
    world: World, restless_world: World, story: Story
) -> None:
    """The engine suggests a new run all the time; the store and the letters are those of a single run."""
    ends = []
    for place in (world, restless_world):
        case = await story(place)
        await place.advance(case, place.now() + timedelta(days=9))
        await place.stage(case, "closed")
        ends.append(await told(place, case))
        runs = [run async for run in place.client.list_workflows(f"WorkflowId = '{case}'")]
        assert (len(runs) > 1) == (place is restless_world)
        assert {await task_timeout(place, case, run.run_id) for run in runs} == {TASK_TIMEOUT}
    assert ends[0] == ends[1]


async def task_timeout(world: World, case: str, run: str) -> timedelta:
    """How long the engine waits for a worker that has a task of this run."""
    described = await world.client.get_workflow_handle(case, run_id=run).describe()
    found: timedelta = described.raw_description.execution_config.default_workflow_task_timeout.ToTimedelta()
    return found


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.__name__)
async def test_a_reset_to_the_first_task_changes_nothing(world: World, story: Story) -> None:
    """The run begins again: what is recorded is taken over, nothing is sent twice."""
    case = await story(world)
    before, mails = await told(world, case), len(list((world.var / "mail" / "new").iterdir()))
    tasks = [
        e.event_id
        async for e in world.handle(case).fetch_history_events()
        if e.HasField("workflow_task_completed_event_attributes")
    ]
    await world.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=world.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=case),
            reason="test",
            workflow_task_finish_event_id=tasks[0],
            request_id=case,
        )
    )

    async def rests() -> bool:
        return "Resting" in str(await world.handle(case).query("__temporal_workflow_metadata"))

    await world.until(rests, "the reset run rests")
    await world.settled(case)
    assert await told(world, case) == before
    assert len(list((world.var / "mail" / "new").iterdir())) == mails
