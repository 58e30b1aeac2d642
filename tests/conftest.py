"""The world that tests share: a real PostgreSQL, a real Temporal server with a virtual clock per case, one worker."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import pytest
from temporalio.client import Client, Interceptor, OutboundInterceptor, StartWorkflowInput, WorkflowHandle
from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment

from activities.wiring import build
from integrations.bank import BankFolder
from integrations.bank_in import AnswersFolder
from integrations.data_systems import DataSystem
from integrations.mail import MaildirOut
from integrations.mail_in import MaildirIn
from integrations.sanctions import SAMPLE, SanctionsFile
from models.converter import sealing
from models.operator import ROLES
from models.tables import OperatorRow
from operations.directory import LocalDirectory
from operations.intake import Intake, filed_in
from operations.local import Postgres
from operations.setup import add_search_attributes, migrate
from operations.store import engine, keyring, sessions
from rules.rulebook import books
from security.codec import CaseCodec
from security.master import MasterKeyFile
from tests.world import VirtualNow, World

TEMPORAL = shutil.which("temporal", path=str(Path(sys.executable).parent)) or shutil.which("temporal")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--claims`: how many claims of one policy tests/workflows/test_limits.py decides at once."""
    parser.addoption("--claims", type=int, default=24, help="claims decided at once on one policy")


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
                # whoever gives up waiting must not leave a run behind that never comes to its instant
                return await asyncio.shield(asyncio.ensure_future(self._start(input)))

            async def _start(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
                delay = now.ahead()
                if delay > timedelta(seconds=1) and input.start_signal is None:
                    input.start_delay = delay
                begun = monotonic()
                handle = await super().start_workflow(input)
                if input.start_delay is not None and await _waits(handle):
                    # A little less than the delay, and than is left of it: a skip that is still under way when the case
                    # first rests goes on to the next timer, days ahead. No less than needed: by what is not skipped
                    # the case is behind what it is told of the present, and finds that to lie in the future.
                    behind = max(timedelta(milliseconds=60), timedelta(seconds=monotonic() - begun + 0.03))
                    await environment.fast_forward(handle, delay - behind)
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
    async with await virtual_temporal("--http-port", str(urlsplit(http_api).port)) as environment:
        yield environment


async def virtual_temporal(*more: str) -> WorkflowEnvironment:
    """Start a Temporal server with a virtual clock for each workflow, and one failed task enough to be shown."""
    assert TEMPORAL, "the temporal program is in no folder of PATH"
    dynamic = (
        "frontend.WorkflowTimeSkippingEnabled=true",
        'history.timerProcessorMaxTimeShift="1ms"',
        "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=1",
    )
    return await WorkflowEnvironment.start_time_skipping_v2(
        dev_server_existing_path=TEMPORAL,
        ts_config=TimeSkippingConfig(enabled=False, max_session_skip_count=100000),
        dev_server_extra_args=[*more, *(word for value in dynamic for word in ("--dynamic-config-value", value))],
        dev_server_log_level="error",
    )


@pytest.fixture(scope="session")
async def world(postgres: Postgres, environment: WorkflowEnvironment) -> AsyncIterator[World]:
    """Store, engine and a worker, with virtual time for all three clocks."""
    async with make_world(postgres, environment, "world") as world:
        yield world


@pytest.fixture(scope="session")
async def restless_world(postgres: Postgres) -> AsyncIterator[World]:
    """A world whose engine suggests continue-as-new all the time, so that cases do it at every resting point."""
    suggest = ("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=1")
    async with (
        await virtual_temporal(*suggest) as environment,
        make_world(postgres, environment, "restless") as world,
    ):
        yield world


_databases = count(1)


def everybody(at: datetime) -> list[OperatorRow]:
    """The operators of a tests' world, who may do everything everywhere."""
    codes = [f"op-{n}" for n in (*range(1, 12), 77)]
    everywhere = [code for code in books() if code != "T"]
    return [
        OperatorRow(code=code, organisations=everywhere, roles=list(ROLES), limit=Decimal(10**6), created_at=at)
        for code in codes
    ]


@pytest.fixture
async def worker_world(postgres: Postgres) -> AsyncIterator[World]:
    """A world whose worker the test starts and stops."""
    async with (
        await virtual_temporal() as environment,
        make_world(postgres, environment, f"own{next(_databases)}", serve=False) as world,
    ):
        yield world


@asynccontextmanager
async def make_world(
    postgres: Postgres,
    environment: WorkflowEnvironment,
    name: str,
    *,
    serve: bool = True,
    systems: Sequence[DataSystem] = (),
) -> AsyncIterator[World]:
    """A world with a database of its own; without a worker where the test starts and stops its own.

    `systems`: the data systems beside the own store.
    """
    await postgres.create_database(name)
    await postgres.create_database(f"{name}_keys")
    await asyncio.to_thread(migrate, postgres.url(name))
    folder = ExitStack()
    var = Path(folder.enter_context(tempfile.TemporaryDirectory()))
    keys = keyring(postgres.url(f"{name}_keys"), MasterKeyFile(var / "keys" / "master"))
    await keys.setup()
    database = engine(postgres.url(name), keys)
    now = VirtualNow(database)
    await now.take_over()
    store = sessions(database)
    config = environment.client.config()
    config["data_converter"] = sealing(CaseCodec(keys, filed=filed_in(store)))
    config["interceptors"] = [*config["interceptors"], StartAtVirtualNow(environment, now)]
    client = Client(**config)
    directory = engine(postgres.url(name), keys, pool=4)
    await add_search_attributes(client)
    async with store() as session, session.begin():
        session.add_all(everybody(now()))
    with folder:
        activities, outbox = build(
            store,
            keys,
            client,
            LocalDirectory(sessions(directory), now),
            MaildirOut(var / "mail"),
            BankFolder(var / "bank"),
            now,
            mail_in=MaildirIn(var / "mail-in"),
            bank_in=AnswersFolder(var / "bank" / "in"),
            sanctions=SanctionsFile(SAMPLE),
            sender="noreply@{organisation}.example",
            staff="{role}@{organisation}.example",
            checkpoints=var / "checkpoints",
            backups=var / "key-backups",
            systems=systems,
        )
        world = World(
            environment=environment,
            client=client,
            sessions=store,
            keyring=keys,
            intake=Intake(store, keys, client, now),
            now=now,
            var=var,
            filed=[],
            activities=activities,
        )
        if serve:
            async with world.serving():
                yield world
        else:
            yield world
        # what steps owe to others is on its way beside them, and writes into folder and store
        await outbox.ended()
    await directory.dispose()
    await database.dispose()
    await keys.close()
