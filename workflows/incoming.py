"""Incoming: what comes in by itself is read every minute and told to the cases that it concerns; it is no case."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.sweep import ONCE

with workflow.unsafe.imports_passed_through():
    from activities.incoming import IncomingActivities, Read

READ_TIMEOUT = timedelta(minutes=5)


@workflow.defn(name="Incoming")
class Incoming:
    """Read the mailbox of delivery reports."""

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Read | None:
        """Once; a schedule calls it every minute. None where it could not be read: the next one tries again."""
        try:
            return await workflow.execute_activity_method(
                IncomingActivities.read_mail,
                start_to_close_timeout=READ_TIMEOUT,
                retry_policy=ONCE,
                summary="read the mail that came back",
            )
        except ActivityError:
            return None
