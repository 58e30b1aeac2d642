"""The world that tests share: a real PostgreSQL, a real Temporal server with a virtual clock per case, one worker."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text
from temporalio.client import Client, Interceptor, OutboundInterceptor, StartWorkflowInput, WorkflowHandle
from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment
from temporalio.worker import Worker

import workflows
from activities.case import CaseActivities
from activities.wiring import build
from integrations.bank import BankFolder
from integrations.mail import MaildirOut
from models.converter import data_converter
from models.names import TASK_QUEUE
from operations.intake import Intake
from operations.local import Postgres
from operations.setup import ATTRIBUTES, add_search_attributes, migrate
from operations.store import engine, sessions
from tests.world import VirtualNow, World
from worker import runner

TEMPORAL = shutil.which("temporal", path=str(Path(sys.executable).parent)) or shutil.which("temporal")


class StartAtVirtualNow(Interceptor):
    """Every run begins at the tests' virtual instant, whoever starts it."""

    def __init__(self, environment: WorkflowEnvironment, now: VirtualNow) -> None:
        super().__init__()
        self._environment = environment
        self._now = now

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        environment, now = self._environment, self._now

        class Outbound(OutboundInterceptor):
            async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
                delay = now.ahead()
                if delay > timedelta(seconds=1) and input.start_signal is None:
                    input.start_delay = delay
                handle = await super().start_workflow(input)
                if input.start_delay is not None and await _waits(handle):
                    await environment.fast_forward(handle, delay)
                return handle

        return Outbound(next)


async def _waits(handle: WorkflowHandle[Any, Any]) -> bool:
    return (await handle.describe()).history_length <= 1


@pytest.fixture(scope="session")
async def postgres() -> AsyncIterator[Postgres]:
    """A real PostgreSQL for this run."""
    # not under pytest's own folder: another run would close it to PostgreSQL's user
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres(Path(folder))
        await server.start()
        yield server
        await server.stop()


@pytest.fixture(scope="session")
def http_api() -> str:
    """Where the server's HTTP API answers for the tests' namespace."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/api/v1/namespaces/default"


@pytest.fixture(scope="session")
async def environment(http_api: str) -> AsyncIterator[WorkflowEnvironment]:
    """A real Temporal server whose cases have a virtual clock each."""
    assert TEMPORAL, "the temporal program is in no folder of PATH"
    async with await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=TEMPORAL,
        data_converter=data_converter,
        ts_config=TimeSkippingConfig(enabled=False, max_session_skip_count=100000),
        dev_server_extra_args=[
            *("--http-port", str(urlsplit(http_api).port)),
            *("--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"),
            *("--dynamic-config-value", 'history.timerProcessorMaxTimeShift="1ms"'),
            *("--dynamic-config-value", "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=1"),
        ],
        dev_server_log_level="error",
    ) as environment:
        yield environment


@pytest.fixture(scope="session")
async def world(
    postgres: Postgres, environment: WorkflowEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """Store, engine and a worker, with virtual time for all three clocks."""
    var = tmp_path_factory.mktemp("var")
    await asyncio.to_thread(migrate, postgres.url())
    database = engine(postgres.url())
    now = VirtualNow(database)
    await now.take_over()
    config = environment.client.config()
    config["interceptors"] = [*config["interceptors"], StartAtVirtualNow(environment, now)]
    client = Client(**config)
    await add_search_attributes(client)
    store = sessions(database)
    mail = MaildirOut(var / "mail")
    activities = build(
        store,
        client,
        mail,
        BankFolder(var / "bank"),
        now,
        sender="noreply@{organisation}.example",
        staff="{role}@{organisation}.example",
    )
    async with Worker(
        client, task_queue=TASK_QUEUE, workflows=workflows.ALL, activities=activities, workflow_runner=runner()
    ):
        yield World(
            environment=environment,
            client=client,
            sessions=store,
            intake=Intake(store, client, now),
            now=now,
            var=var,
            case_activities=next(a.__self__ for a in activities if isinstance(getattr(a, "__self__", None), CaseActivities)),
        )
    await database.dispose()


@pytest.fixture
def reference() -> Callable[[], str]:
    """Fresh references for one test."""
    numbers = count(1)
    return lambda: f"T-{next(_series):05d}-{next(numbers)}"


_series = count(1)
__all__ = ["ATTRIBUTES", "Awaitable", "text"]
