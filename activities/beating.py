"""Heartbeats: an activity whose worker died is given to another one within seconds, however long it may take."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor


class Beating(Interceptor):
    """Lets every activity that has a heartbeat timeout beat while it runs; one that is done sooner never does."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wraps every activity of the worker."""

        class Inbound(ActivityInboundInterceptor):
            async def execute_activity(self, input: ExecuteActivityInput) -> Any:
                limit = activity.info().heartbeat_timeout
                if limit is None:
                    return await super().execute_activity(input)
                work = asyncio.ensure_future(super().execute_activity(input))
                beating = asyncio.create_task(_beat(limit.total_seconds() / 3))
                try:
                    # what is begun is ended: a case that no longer waits for it cannot leave half of an effect behind
                    while not work.done():
                        try:
                            await asyncio.shield(work)
                        except asyncio.CancelledError:
                            if work.cancelled():
                                raise
                    return work.result()
                finally:
                    beating.cancel()

        return Inbound(next)


async def _beat(every: float) -> None:
    while True:
        await asyncio.sleep(every)
        activity.heartbeat()
