"""Sweep and Recount: what a schedule and an operator do to many cases; neither is a case."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities.sweep import SweepActivities, Swept

SWEEP_TIMEOUT = timedelta(minutes=5)
ONCE = RetryPolicy(maximum_attempts=1)
"""The next sweep comes in a minute."""
PATIENT = RetryPolicy(maximum_interval=timedelta(minutes=1))


@workflow.defn(name="Sweep")
class Sweep:
    """Deliver whatever an outage or a crash left behind."""

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Swept:
        """Once; a schedule calls it every minute."""
        return await workflow.execute_activity_method(
            SweepActivities.deliver, start_to_close_timeout=SWEEP_TIMEOUT, retry_policy=ONCE
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
            await workflow.sleep(timedelta(seconds=min(2**rounds, 60)), summary="let the cases count")
        return rounds
