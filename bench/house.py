"""The house of one run: real embedded servers, a room for each subject, and its worker in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import psutil
from google.protobuf.duration_pb2 import Duration
from sqlalchemy.engine import make_url
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from bench.measure import Meter, until
from operations.local import Services, local

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class House:
    """The servers of one run."""

    var: Path
    services: Services

    def meter(self, worker: int) -> Meter:
        """Reads the servers' CPU and that of this worker."""
        temporal, postgres = (int((self.var / f"{name}.pid").read_text()) for name in ("temporal", "postgres"))
        return Meter(temporal, postgres, worker)

    async def room(self, name: str) -> Room:
        """A namespace, databases and a folder of a subject's own: nobody else's cases are in its way."""
        urls = [await self._database(f"bench_{name}{what}") for what in ("", "_keys")]
        client = await Client.connect(self.services.temporal_address)
        await client.workflow_service.register_namespace(
            RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=Duration(seconds=86400))
        )
        room = Room(name, self.var / name, urls[0], urls[1], self.services.temporal_address)
        await until(room.is_open, f"namespace {name} is open")
        return room

    async def _database(self, name: str) -> str:
        connection = await asyncpg.connect(_plain(self.services.database_url))
        try:
            await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()
        return make_url(self.services.database_url).set(database=name).render_as_string(hide_password=False)


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    """Both servers, in a folder that is deleted afterwards."""
    # a private folder of its own: PostgreSQL's user must be able to reach it
    with tempfile.TemporaryDirectory(prefix="termins-bench-") as folder:
        var = Path(folder) / "var"
        async with local(var) as services:
            yield House(var, services)


@dataclass
class Room:
    """Where a subject lives: its own namespace and databases on the house's servers."""

    name: str
    var: Path
    database_url: str
    keys_database_url: str
    temporal_address: str
    _running: list[asyncio.subprocess.Process] = field(default_factory=list)

    @property
    def plain_database_url(self) -> str:
        """The address for asyncpg itself."""
        return _plain(self.database_url)

    @property
    def environment(self) -> dict[str, str]:
        """What a process of this room is told."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("TEMPORAL_", "TERMINS_"))},
            "TERMINS_VAR": str(self.var),
            "TERMINS_KEYS_DATABASE_URL": self.keys_database_url,
            "TERMINS_WORKER_HTTP": "127.0.0.1:0",
            "DATABASE_URL": self.database_url,
            "TEMPORAL_ADDRESS": self.temporal_address,
            "TEMPORAL_NAMESPACE": self.name,
        }

    async def is_open(self) -> bool:
        """Whether the server has learned of this namespace."""
        try:
            client = await Client.connect(self.temporal_address, namespace=self.name)
            await client.count_workflows()
        except RPCError:
            return False
        return True

    async def run(self, *command: str) -> None:
        """Run a command of the project to its end.

        Raises:
            RuntimeError: It failed.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *command),
            cwd=ROOT,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: {output.decode()[-2000:]}")

    async def spawn(self, *command: str) -> int:
        """Start this room's worker; its process id. It need not serve yet."""
        self.var.mkdir(exist_ok=True)
        with (self.var / "worker.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *command), cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        self._running.append(process)
        return process.pid

    async def serves(self, client: Client, queue: str) -> None:
        """Wait until this room's worker takes work.

        Raises:
            RuntimeError: It has ended.
        """

        async def polls() -> bool:
            if self._running[-1].returncode is not None:
                raise RuntimeError((self.var / "worker.log").read_text()[-2000:])
            described = await client.workflow_service.describe_task_queue(
                DescribeTaskQueueRequest(
                    namespace=self.name,
                    task_queue=TaskQueue(name=queue),
                    task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
                )
            )
            return bool(described.pollers)

        await until(polls, f"the worker of {self.name} serves", within=60)

    async def kill(self) -> None:
        """SIGKILL to the worker: it says goodbye to nobody."""
        process = self._running.pop()
        process.kill()
        await process.wait()

    async def stop(self) -> None:
        """Let every worker end by itself."""
        while self._running:
            process = self._running.pop()
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 30)
            except TimeoutError:
                psutil.Process(process.pid).kill()
                await process.wait()


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
