"""The product's own worker with some of its options changed: `python -m bench.worker runner=plain,cache=500`.

runner=plain|sandbox     without the sandbox, or with it
remote=yes               what is asked within a workflow task becomes an activity of its own
eager=no                 activities are never handed over with the workflow task
cache=N                  runs kept in memory
pollers=N                for workflow tasks
activity_pollers=N       for activities
pool=N                   connections to the store
sticky=SECONDS           how long a task waits for the worker that has the case in memory
count=FILE               at its end the worker writes here how often each activity of each case ran, and with how
many statements and commits
"""

# ruff: noqa: E402

from __future__ import annotations

import gc

# as the product's worker begins, which ends this
gc.disable()

import asyncio
import contextvars
import json
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.common import Priority
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    PollerBehaviorSimpleMaximum,
    StartActivityInput,
    StartLocalActivityInput,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import ActivityHandle

import worker
from operations.store import engine
from security.keys import Keyring
from workflows.case import HEARTBEAT, PATIENT, RECORD_TIMEOUT

NAMES = (
    "runner",
    "remote",
    "eager",
    "cache",
    "pollers",
    "activity_pollers",
    "pool",
    "sticky",
    "count",
)
PASSED_THROUGH = (
    "activities",
    "bench",
    "integrations",
    "models",
    "operations",
    "rules",
    "security",
    "sqlmodel",
    "sqlalchemy",
    "structlog",
)
"""What the sandbox does not load again for each run."""

Options = Mapping[str, str]

_current: contextvars.ContextVar[tuple[str, str] | None] = contextvars.ContextVar("current", default=None)
"""(case, activity type) of the statement that runs now."""


def read(text: str) -> Options:
    """`runner=plain,cache=500` as a mapping; empty text changes nothing.

    Raises:
        ValueError: An option that there is not.
    """
    options = dict(part.split("=", 1) for part in text.split(",") if part)
    if unknown := sorted(set(options) - set(NAMES)):
        raise ValueError(f"no such option: {', '.join(unknown)}")
    return options


class Remote(Interceptor):
    """Makes what is asked within a workflow task an activity of its own, without touching the workflows."""

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        """As the SDK asks for it."""

        class Outbound(WorkflowOutboundInterceptor):
            def start_local_activity(self, input: StartLocalActivityInput) -> ActivityHandle[Any]:
                return self.start_activity(
                    StartActivityInput(
                        activity=input.activity,
                        args=input.args,
                        activity_id=input.activity_id,
                        task_queue=None,
                        schedule_to_close_timeout=None,
                        schedule_to_start_timeout=None,
                        start_to_close_timeout=RECORD_TIMEOUT,
                        heartbeat_timeout=HEARTBEAT,
                        retry_policy=PATIENT,
                        cancellation_type=input.cancellation_type,
                        headers=input.headers,
                        disable_eager_execution=False,
                        versioning_intent=None,
                        summary=input.summary,
                        event_groups=input.event_groups,
                        priority=Priority.default,
                        arg_types=input.arg_types,
                        ret_type=input.ret_type,
                    )
                )

        class Inbound(WorkflowInboundInterceptor):
            def init(self, outbound: WorkflowOutboundInterceptor) -> None:
                super().init(Outbound(outbound))

        return Inbound


class Counting(Interceptor):
    """Counts runs, statements and commits by case and activity type.

    A statement is one that SQLAlchemy sends. BEGIN and COMMIT are round trips of their own and are not among them.
    """

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], Counter[str]] = {}

    def listen(self, database: AsyncEngine) -> None:
        """Count what this database is told."""
        event.listen(database.sync_engine, "before_cursor_execute", lambda *_: self._count("statements"))
        event.listen(database.sync_engine, "commit", lambda *_: self._count("commits"))

    def _count(self, what: str) -> None:
        if (key := _current.get()) is not None:
            self.counts.setdefault(key, Counter())[what] += 1

    def write(self, file: Path) -> None:
        """One JSON object for each case and activity."""
        rows = [{"case": case, "activity": name, **counted} for (case, name), counted in sorted(self.counts.items())]
        file.write_text(json.dumps(rows))

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Note which activity runs; each has a context of its own."""
        counting = self

        class Inbound(ActivityInboundInterceptor):
            async def execute_activity(self, input: ExecuteActivityInput) -> Any:
                info = activity.info()
                _current.set((info.workflow_id or "", info.activity_type))
                counting._count("runs")  # a class of the same thing
                return await super().execute_activity(input)

        return Inbound(next)


def arguments(options: Options) -> dict[str, Any]:
    """What the worker's constructor gets instead of what the product gives it."""
    changed: dict[str, Any] = {}
    if options.get("runner") == "plain":
        changed["workflow_runner"] = UnsandboxedWorkflowRunner()
    elif options.get("runner") == "sandbox":
        restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
        changed["workflow_runner"] = SandboxedWorkflowRunner(restrictions=restrictions)
    if options.get("eager") == "no":
        changed["disable_eager_activity_execution"] = True
    if "cache" in options:
        changed["max_cached_workflows"] = int(options["cache"])
    if "pollers" in options:
        changed["workflow_task_poller_behavior"] = PollerBehaviorSimpleMaximum(int(options["pollers"]))
    if "activity_pollers" in options:
        changed["activity_task_poller_behavior"] = PollerBehaviorSimpleMaximum(int(options["activity_pollers"]))
    if "sticky" in options:
        changed["sticky_queue_schedule_to_start_timeout"] = timedelta(seconds=float(options["sticky"]))
    return changed


async def main(options: Options) -> None:
    """Serve as `worker.py` does."""
    changed = arguments(options)
    interceptors: list[Interceptor] = []
    counting = Counting() if "count" in options else None
    if options.get("remote") == "yes":
        interceptors.append(Remote())
    if counting is not None:
        interceptors.append(counting)

    def make_engine(url: str, keyring: Keyring, **given: Any) -> AsyncEngine:
        size = {"pool": int(options["pool"])} if "pool" in options else {}
        made = engine(url, keyring, **{**size, **given})
        if counting is not None:
            counting.listen(made)
        return made

    def make_worker(*args: Any, **given: Any) -> Worker:
        return Worker(*args, **{**given, **changed, "interceptors": [*given.get("interceptors", ()), *interceptors]})

    with patch.object(worker, "Worker", make_worker), patch.object(worker, "engine", make_engine):
        await worker.main()
    if counting is not None:
        counting.write(Path(options["count"]))


if __name__ == "__main__":
    asyncio.run(main(read(sys.argv[1] if len(sys.argv) > 1 else "")))
