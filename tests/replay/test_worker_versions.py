"""Worker versioning, as docs/changing-running-code.md describes it, on the real server with real cases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from temporalio.api.deployment.v1 import WorkerDeploymentInfo
from temporalio.api.enums.v1 import RoutingConfigUpdateState
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from models.names import TASK_QUEUE
from operations.reset import reset
from settings import Settings
from tests.replay.altered import CHANGED, altered
from tests.workflows.test_case import deciding
from tests.workflows.test_claim import MONDAY, content, documents
from tests.workflows.test_long_histories import access_story
from tests.world import World
from worker import DEPLOYMENT, deployment, runner
from workflows import registry


def serving(world: World, build: str | None, workflows: Sequence[type] = registry.ALL) -> Worker:
    """A worker of a build, with the options that the product's worker has."""
    return Worker(
        world.client,
        task_queue=TASK_QUEUE,
        workflows=workflows,
        activities=world.activities,
        workflow_runner=runner(),
        deployment_config=deployment(build),
    )


async def make_current(world: World, build: str) -> None:
    """What `temporal worker deployment set-current-version` does; "" for workers without a build."""

    async def done() -> bool:
        try:
            await world.client.workflow_service.set_worker_deployment_current_version(
                SetWorkerDeploymentCurrentVersionRequest(
                    namespace=world.client.namespace, deployment_name=DEPLOYMENT, build_id=build, identity="tests"
                )
            )
        except RPCError as e:
            # the engine knows a build from the first time that one of its workers asks for work
            if e.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
                raise
            return False
        return True

    async def routed() -> bool:
        info = await described(world)
        return info is not None and info.routing_config_update_state == RoutingConfigUpdateState.Value(
            "ROUTING_CONFIG_UPDATE_STATE_COMPLETED"
        )

    await world.until(done, f"build {build} is current", seconds=90)
    await world.until(routed, "every task queue knows", seconds=90)


async def described(world: World) -> WorkerDeploymentInfo | None:
    """What the engine knows of the builds; None before it has seen one."""
    ask = DescribeWorkerDeploymentRequest(namespace=world.client.namespace, deployment_name=DEPLOYMENT)
    try:
        return (await world.client.workflow_service.describe_worker_deployment(ask)).worker_deployment_info
    except RPCError as e:
        if e.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None


async def builds(world: World, case: str) -> list[str]:
    """The builds that did the case's workflow tasks, in order, each once in a row."""
    found: list[str] = []
    async for event in world.handle(case).fetch_history_events():
        if event.HasField("workflow_task_completed_event_attributes"):
            build = event.workflow_task_completed_event_attributes.deployment_version.build_id
            found += [build] if found[-1:] != [build] else []
    return found


async def test_a_case_goes_on_under_the_build_that_is_current(worker_world: World) -> None:
    """Begun on build 1, it moves when build 2 is made current and not before, and back again when 1 is."""
    world = worker_world
    async with serving(world, "1"):
        await make_current(world, "1")
        case = await deciding(world)
        async with serving(world, "2"):
            await world.say(case, "assign_case", handler="op-1")
            assert await builds(world, case) == ["1"]
            await make_current(world, "2")
            await world.say(case, "assign_case", handler="op-2")
            assert await builds(world, case) == ["1", "2"]
            await make_current(world, "1")
            await world.say(case, "assign_case", handler="op-3")
    assert await builds(world, case) == ["1", "2", "1"]
    assert await world.entries(case) == ["received", "assigned", "assigned", "assigned"]


async def test_nothing_runs_until_a_build_is_current(worker_world: World) -> None:
    """The pitfall of the first rollout: a worker with a build asks for work and gets none, old cases and new ones wait.

    Once its build is current, it takes over the cases of workers that had no build, and workers without one get none.
    """
    world = worker_world
    async with serving(world, None):
        old = await deciding(world)
    async with serving(world, "1"):
        await known(world, "1")
        new = await world.file("claim", "BTA", content(await world.policy(), documents=documents(MONDAY)))
        await nobody_answers(world, old)
        await nobody_answers(world, new)
        assert await world.row(new) is None
        await make_current(world, "1")
        await assigned(world, old)
        await assigned(world, new)
        assert await builds(world, new) == ["1"]
    async with serving(world, None):
        await nobody_answers(world, old)
        await make_current(world, "")
        await assigned(world, old)


async def test_a_case_that_a_build_cannot_follow_goes_on_after_going_back_or_after_a_reset(
    worker_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that the gate would have refused: the case stops, loses nothing, and both ways back are open."""
    world = worker_world
    async with serving(world, "1"):
        await make_current(world, "1")
        case = await access_story(world)
        async with serving(world, "2", altered(tmp_path, "access_of_build_2", CHANGED, monkeypatch)):
            await make_current(world, "2")
            await nobody_answers(world, case)
            await make_current(world, "1")
            await assigned(world, case)
            before = await world.entries(case)
            await make_current(world, "2")
            await nobody_answers(world, case)
            await reset(world.sessions, world.client, case, reason="build 2 cannot follow it", to="first")
            await assigned(world, case)
    after = await world.entries(case)
    assert after[: len(before)] == before
    assert set(after[len(before) :]) == {"assigned"}


async def known(world: World, build: str) -> None:
    """Wait until the engine has seen a worker of this build."""

    async def seen() -> bool:
        info = await described(world)
        return info is not None and any(v.deployment_version.build_id == build for v in info.version_summaries)

    await world.until(seen, f"build {build} is known", seconds=90)


async def nobody_answers(world: World, case: str) -> None:
    """A message to the case stays without an answer."""
    with pytest.raises(WorkflowUpdateRPCTimeoutOrCancelledError):
        await world.handle(case).execute_update(
            "assign_case", {"case": case, "actor": "op-1", "handler": "op-7"}, rpc_timeout=timedelta(seconds=1)
        )


async def assigned(world: World, case: str) -> None:
    """A message to the case is answered."""
    await world.say(case, "assign_case", handler="op-8")
    assert (await world.entries(case))[-1] == "assigned"


def test_a_build_is_a_short_plain_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes into the engine's records for years; without one, workers are not told apart."""
    assert Settings().build is None
    monkeypatch.setenv("TERMINS_BUILD", "2027-03-01.2")
    assert Settings().build == "2027-03-01.2"
    monkeypatch.setenv("TERMINS_BUILD", "no blanks")
    with pytest.raises(ValidationError, match="build"):
        Settings()
