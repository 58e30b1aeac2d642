"""Incoming: what comes in by itself is read every minute and told to the cases that it concerns; it is no case."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.sweep import ONCE

with workflow.unsafe.imports_passed_through():
    from activities.incoming import IncomingActivities, Read
    from models.common import Model

READ_TIMEOUT = timedelta(minutes=5)


class Came(Model):
    """What each source came to; None where it could not be read: the next run tries again."""

    mail: Read | None
    bank: Read | None


@workflow.defn(name="Incoming")
class Incoming:
    """Read the mailbox of delivery reports and the bank's answers, side by side."""

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Came:
        """Once; a schedule calls it every minute."""
        mail, bank = await asyncio.gather(
            _read(
                workflow.execute_activity_method(
                    IncomingActivities.read_mail,
                    start_to_close_timeout=READ_TIMEOUT,
                    retry_policy=ONCE,
                    summary="read the mail that came back",
                )
            ),
            _read(
                workflow.execute_activity_method(
                    IncomingActivities.read_bank,
                    start_to_close_timeout=READ_TIMEOUT,
                    retry_policy=ONCE,
                    summary="read the bank's answers",
                )
            ),
        )
        return Came(mail=mail, bank=bank)


async def _read(source: Awaitable[Read]) -> Read | None:
    try:
        return await source
    except ActivityError:
        return None
