"""Sweep, Checkpoint and Recount: what schedules and an operator do to many cases; none of them is a case."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities.sweep import CheckpointActivities, SweepActivities, Swept

SWEEP_TIMEOUT = timedelta(minutes=5)
ONCE = RetryPolicy(maximum_attempts=1)
"""The next sweep comes in a minute."""
PATIENT = RetryPolicy(maximum_interval=timedelta(minutes=1))
CHECKPOINT_TIMEOUT = timedelta(hours=1)
"""The first one of a large store checks every case."""
UNTIL_TOMORROW = RetryPolicy(maximum_attempts=10, maximum_interval=timedelta(minutes=10))


@workflow.defn(name="Sweep")
class Sweep:
    """Deliver whatever an outage or a crash left behind."""

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Swept:
        """Once; a schedule calls it every minute."""
        return await workflow.execute_activity_method(
            SweepActivities.deliver, start_to_close_timeout=SWEEP_TIMEOUT, retry_policy=ONCE
        )


@workflow.defn(name="Checkpoint")
class Checkpoint:
    """Publish the heads of all cases, signed."""

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> int:
        """Once, and the checkpoint's number; a schedule calls it every day."""
        return await workflow.execute_activity_method(
            CheckpointActivities.publish, start_to_close_timeout=CHECKPOINT_TIMEOUT, retry_policy=UNTIL_TOMORROW
        )


@workflow.defn(name="Recount")
class Recount:
    """Ring every case whose clocks are of an older rulebook or calendar, until none is left."""

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> int:
        """The number of rounds it took."""
        rounds = 0
        while await workflow.execute_activity_method(
            SweepActivities.ring_outdated, start_to_close_timeout=SWEEP_TIMEOUT, retry_policy=PATIENT
        ):
            rounds += 1
            workflow.set_current_details(f"Round {rounds}: cases are counting anew.")
            if workflow.info().is_continue_as_new_suggested():
                # a case that stands still is rung for as long as it does
                workflow.continue_as_new(message)
            await workflow.sleep(timedelta(seconds=min(2**rounds, 60)), summary="let the cases count")
        return rounds
