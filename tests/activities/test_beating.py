"""Beating: an activity belongs to one worker while that lives, and what it began is ended, whoever stops waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.beating import Beating
from worker import runner
from workflows.case import EFFECT_TIMEOUT, HEARTBEAT, PATIENT

SECOND_TRY = 2


@workflow.defn
class Caller:
    """Calls one activity as cases do, and may stop waiting for it."""

    def __init__(self) -> None:
        self._stopped = False

    @workflow.run
    async def run(self, name: str, how: str) -> Any:
        """`how`: with heartbeats, without, or locally."""
        call: asyncio.Task[Any]
        if how == "local":
            call = workflow.start_local_activity(name, start_to_close_timeout=EFFECT_TIMEOUT, retry_policy=PATIENT)
        else:
            beats = HEARTBEAT if how == "beating" else None
            call = workflow.start_activity(
                name, start_to_close_timeout=EFFECT_TIMEOUT, heartbeat_timeout=beats, retry_policy=PATIENT
            )
        await workflow.wait_condition(lambda: self._stopped or call.done())
        if not call.done():
            call.cancel()
            return "stopped waiting"
        return await call

    @workflow.signal
    def stop_waiting(self) -> None:
        """As a case does that adopts its record."""
        self._stopped = True


class Hands:
    """Activities that a test can watch, and hold."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        """The number of the attempt, for each."""
        self.ended: list[int] = []
        self.broken_off: list[int] = []
        self.may_end = asyncio.Event()

    @activity.defn
    async def held(self) -> int:
        """Lasts until the test lets it end."""
        return await self._work(self.may_end.wait)

    @activity.defn
    async def told_to_stop(self) -> int:
        """Lasts until it is told that nobody waits for it, and has more to do then; a second attempt has nothing to."""
        if activity.info().attempt == SECOND_TRY:
            return SECOND_TRY
        return await self._work(activity.wait_for_cancelled)

    @activity.defn
    async def failing(self) -> None:
        """Says why."""
        raise ApplicationError("the carrier knows no such letter", "letter 7", type="NoLetter", non_retryable=True)

    async def _work(self, until: Callable[[], Coroutine[Any, Any, Any]]) -> int:
        attempt = activity.info().attempt
        self.begun.append(attempt)
        try:
            await until()
            # what is left of an effect takes its time: it gives way to others before it is done
            for _ in range(100):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.broken_off.append(attempt)
            raise
        self.ended.append(attempt)
        return attempt


@pytest.fixture
def client(environment: WorkflowEnvironment) -> Client:
    """A real server."""
    return environment.client


def serving(client: Client, queue: str, hands: Hands, *, beating: bool = True) -> Worker:
    """A worker that ends at once when it is told to."""
    return Worker(
        client,
        task_queue=queue,
        workflows=[Caller],
        activities=[hands.held, hands.told_to_stop, hands.failing],
        workflow_runner=runner(),
        interceptors=[Beating()] if beating else [],
    )


async def call(client: Client, queue: str, name: str, how: str = "beating") -> WorkflowHandle[Any, Any]:
    """Let a workflow call one of them."""
    return await client.start_workflow(Caller.run, args=[name, how], id=f"calls-{uuid4()}", task_queue=queue)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; pytest's limit ends what never comes true."""
    while not condition():  # noqa: ASYNC110  # what is waited for happens in lists, which wake nobody
        await asyncio.sleep(0.02)


async def test_what_outlasts_its_heartbeat_timeout_is_not_given_to_another_worker(client: Client) -> None:
    """How long that is, another queue tells: there nobody beats, and the server gives the same activity out again."""
    queue, silent = str(uuid4()), str(uuid4())
    hands, silent_hands = Hands(), Hands()
    elsewhere = await Client.connect(client.service_client.config.target_host)
    async with (
        serving(client, queue, hands),
        serving(elsewhere, queue, hands),
        serving(client, silent, silent_hands, beating=False),
    ):
        called = await call(client, queue, "held")
        await until(lambda: hands.begun == [1])
        given_out_again = await call(client, silent, "held")
        await until(lambda: silent_hands.begun == [1, SECOND_TRY])
        hands.may_end.set()
        assert await called.result() == 1
        silent_hands.may_end.set()
        assert await given_out_again.result() == SECOND_TRY
    assert (hands.begun, hands.ended) == ([1], [1])


async def test_what_its_case_no_longer_waits_for_is_carried_to_its_end(client: Client) -> None:
    queue, hands = str(uuid4()), Hands()
    async with serving(client, queue, hands):
        called = await call(client, queue, "told_to_stop")
        await until(lambda: hands.begun == [1])
        await called.signal(Caller.stop_waiting)
        assert await called.result() == "stopped waiting"
        await until(lambda: hands.ended == [1])
    assert (hands.begun, hands.broken_off) == ([1], [])


async def test_what_a_worker_began_is_ended_and_told_when_it_is_shut_down(client: Client) -> None:
    """The next worker finds the answer of the first attempt, and does nothing a second time."""
    queue, hands = str(uuid4()), Hands()
    async with serving(client, queue, hands):
        called = await call(client, queue, "told_to_stop")
        await until(lambda: hands.begun == [1])
    assert (hands.ended, hands.broken_off) == ([1], [])
    async with serving(client, queue, hands):
        assert await called.result() == 1


async def test_what_raises_reports_its_error(client: Client) -> None:
    queue = str(uuid4())
    async with serving(client, queue, Hands()):
        called = await call(client, queue, "failing")
        with pytest.raises(WorkflowFailureError) as failed:
            await called.result()
    assert isinstance(failed.value.cause, ActivityError)
    cause = failed.value.cause.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.message, cause.type, cause.details) == (
        "the carrier knows no such letter",
        "NoLetter",
        ("letter 7",),
    )


async def test_a_local_activity_is_broken_off_when_its_case_no_longer_waits_for_it(client: Client) -> None:
    """It has no heartbeat timeout: nothing stands between it and its worker."""
    queue, hands = str(uuid4()), Hands()
    async with serving(client, queue, hands):
        called = await call(client, queue, "held", "local")
        await until(lambda: hands.begun == [1])
        await called.signal(Caller.stop_waiting)
        assert await called.result() == "stopped waiting"
        await until(lambda: hands.broken_off == [1])
    assert hands.ended == []


async def test_without_a_heartbeat_timeout_an_activity_is_broken_off_by_the_end_of_its_worker(client: Client) -> None:
    """Another worker begins it again, as the server has it for every activity."""
    queue, hands = str(uuid4()), Hands()
    async with serving(client, queue, hands):
        called = await call(client, queue, "held", "silent")
        await until(lambda: hands.begun == [1])
    assert (hands.ended, hands.broken_off) == ([], [1])
    hands.may_end.set()
    async with serving(client, queue, hands):
        assert await called.result() == SECOND_TRY
