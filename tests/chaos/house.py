"""Everything that can be killed, and its return: PostgreSQL, Temporal, workers, servers for mail and for identities.

Each is a process of its own. What dies is started again at once, at the same address and with the same data.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import psutil
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from temporalio.client import Client, Interceptor, OutboundInterceptor, StartWorkflowInput, WorkflowHandle
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from models.now import wall_clock
from operations import local as embedded
from operations.connection import Connection, connect
from operations.intake import Intake
from operations.operators import Operators
from operations.place import find, keys
from operations.setup import setup
from settings import Settings
from tests import clinic
from tests.chaos import mailserver, scimserver, worker
from tests.chaos.points import Journal
from tests.scim import TOKEN
from tests.world import VirtualNow

Mail = Literal["smtp", "maildir"]
Identity = Literal["scim", "local"]
Victim = Literal["worker", "postgres", "temporal", "mail", "identity"]

MONTHS = (1930, 2020)
"""The years whose months are reviewed: before anybody signs in."""
TASK = timedelta(seconds=5)
"""A workflow task that says nothing for so long has died with its worker."""

_numbers = count(1)
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.chaos.worker", "tests.chaos.mailserver", "tests.chaos.scimserver"])


def free_port() -> int:
    """A port that nobody listens at, and that no connection is given as its own while its server is away."""
    while True:
        port = random.randrange(10240, 32768)  # noqa: S311  # a port, no secret
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port


class _Postgres(embedded.Postgres):
    """The product's own, within reach."""

    made: _Postgres
    """The one that was made last."""

    def __init__(self, var: Path) -> None:
        super().__init__(var)
        type(self).made = self


class _Temporal(embedded.TemporalServer):
    """The product's own, within reach, at free ports, and able to skip a case's time."""

    made: _Temporal
    """The one that was made last."""

    def __init__(self, var: Path, **more: Any) -> None:
        super().__init__(var, **{**more, "wished": (embedded.Ports(temporal=free_port(), ui=0, http=0),)})
        type(self).made = self

    async def start(self) -> None:
        port = self._wished[0].temporal
        await super().start()
        assert self.ports.temporal == port, "somebody took the port while the server was away: nobody will find it"

    async def _command(self) -> list[str]:
        skipping = ("frontend.WorkflowTimeSkippingEnabled=true", 'history.timerProcessorMaxTimeShift="1ms"')
        return [*await super()._command(), *(w for value in skipping for w in ("--dynamic-config-value", value))]


class _ShortTasks(Interceptor):
    """A case's workflow task is given up soon."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        class Outbound(OutboundInterceptor):
            async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
                input.task_timeout = TASK
                return await super().start_workflow(input)

        return Outbound(next)


class SharedClock(VirtualNow):
    """The present of the harness, its workers and the store: they see the same instant, or are put apart by a test."""

    def __init__(self, database: Any, path: Path) -> None:
        super().__init__(database)
        self._path = path

    async def take_over(self) -> None:
        """As the base class; the workers begin at the machine's instant."""
        await super().take_over()
        self.set_workers(timedelta(0))

    async def set(self, at: datetime) -> None:
        """Move all of them to this instant."""
        await super().set(at)
        self.set_workers(self.ahead())

    def set_workers(self, offset: timedelta) -> None:
        """Move the workers' clocks alone."""
        new = self._path.with_suffix(".new")
        new.write_text(str(offset.total_seconds()))
        new.replace(self._path)


@dataclass
class House:
    """The servers of a campaign and its workers."""

    number: int
    var: Path
    mail: Mail
    identity: Identity
    connection: Connection
    intake: Intake
    now: SharedClock
    skipper: TimeSkipper
    journal: Journal
    environment: dict[str, str]
    ports: dict[str, int]
    """Where the servers listen that are away now and then: `mail`, `identity`."""
    clinic: AsyncEngine
    """A clinic's own database: a data system beside the store."""
    letters: mailserver.Letters
    """Every letter that was read until now."""
    _postgres: _Postgres
    _temporal: _Temporal
    sweeps: deque[str] = field(default_factory=deque)
    """The ids of the next sweeps, where a run wants one of its own; the others are nobody's."""
    workers: list[BaseProcess | None] = field(default_factory=list)
    orders: dict[Path, str | None] = field(default_factory=dict)
    """Every payment order that was read until now, and whose it is."""
    pids: list[set[int]] = field(default_factory=list)
    """For each worker the processes that it has been."""
    deaths: list[str] = field(default_factory=list)
    """What died, in that order."""
    patience: float = 180.0
    """Seconds without what was waited for, after which a run counts as stuck; a death costs about ten."""
    lost: set[str] = field(default_factory=set)
    """Cases whose history was not followed by a worker's code: they never go on."""
    _months: Iterator[int] = field(default_factory=count)
    _outside: dict[str, BaseProcess] = field(default_factory=dict)
    """The servers of others: `mail`, `identity`."""
    _keepers: list[asyncio.Task[None]] = field(default_factory=list)
    _worker_keepers: list[asyncio.Task[None]] = field(default_factory=list)
    _may_live: dict[str, asyncio.Event] = field(
        default_factory=lambda: {victim: asyncio.Event() for victim in ("worker", "mail", "identity")}
    )

    @property
    def client(self) -> Client:
        """The engine."""
        return self.skipper.client

    @property
    def mails(self) -> Path:
        """Where letters arrive."""
        if self.mail == "smtp":
            return self.var / "letters"
        return Path(self.environment.get("TERMINS_MAIL_FOLDER", self.var / "mail")) / "new"

    @property
    def identities(self) -> Path:
        """Where the SCIM server keeps its users."""
        return self.var / "identities"

    @property
    def bank(self) -> Path:
        """Where payment orders arrive."""
        return Path(self.environment.get("TERMINS_BANK_FOLDER", self.var / "bank"))

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are published."""
        return self.var / "checkpoints"

    @property
    def postgres(self) -> Path:
        """Where the store's data lie."""
        return self._postgres.data

    @property
    def postgres_socket(self) -> Path:
        """Where the store listens."""
        return self._postgres.socket_folder / ".s.PGSQL.5432"

    def said_by(self, server: str) -> str:
        """What a server wrote into its log."""
        return (self.var / "log" / f"{server}.log").read_text()

    # ---- the clinic -------------------------------------------------------------------------------------------------

    async def enrol(self, number: int, who: dict[str, Any]) -> None:
        """Let this patient be somebody, with a visit; again changes nothing."""
        first, _, last = who["name"].partition(" ")
        code = who["personal_code"].replace("-", "")
        async with self.clinic.begin() as connection:
            await connection.exec_driver_sql(
                "INSERT INTO clinic.patients (id, personal_code, first_name, last_name, email) "
                "VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                (number, code, first, last, who["email"]),
            )
            await connection.exec_driver_sql(
                "INSERT INTO clinic.visits (id, patient_id, doctor_id, held_on, complaint) "
                "VALUES ($1, $1, 1, '2026-01-20', 'Sāp zobs') ON CONFLICT DO NOTHING",
                (number,),
            )
            await connection.exec_driver_sql(
                "INSERT INTO clinic.images (id, visit_id, path, taken_on) "
                "VALUES ($1, $1, '/rtg/1.dcm', '2026-01-20') ON CONFLICT DO NOTHING",
                (number,),
            )

    async def patient(self, number: int) -> dict[str, list[dict[str, Any]]]:
        """What the clinic holds of this patient, table by table."""
        async with self.clinic.connect() as connection:
            found = {}
            for table, column in (("patients", "id"), ("visits", "patient_id"), ("images", "visit_id")):
                query = f"SELECT * FROM clinic.{table} WHERE {column} = $1"  # noqa: S608  # own names
                rows = (await connection.exec_driver_sql(query, (number,))).mappings()
                found[table] = [{k: v for k, v in row.items() if v != number} for row in rows]
        return found

    # ---- months -----------------------------------------------------------------------------------------------------

    def month(self) -> str:
        """A month that is over and that nobody has had."""
        year, month = divmod(next(self._months), 12)
        assert year < MONTHS[1] - MONTHS[0], "no month is left: fewer reviews in one house"
        return f"{MONTHS[0] + year}-{month + 1:02}"

    # ---- workers and the mail server --------------------------------------------------------------------------------

    async def employ(self, count: int, plant: worker.Plant | None = None) -> None:
        """Have so many workers from now on; each that dies is replaced by one of its kind."""
        for number in range(len(self.workers), count):
            self.workers.append(None)
            self.pids.append(set())
            self._worker_keepers.append(asyncio.create_task(self._keep_worker(number, plant)))

    async def dismiss(self, number: int) -> None:
        """End a worker, and have none in its place."""
        keeper, process = self._worker_keepers[number], self.workers[number]
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        if process is not None:
            process.kill()
            await _gone(process)

    async def _keep_worker(self, number: int, plant: worker.Plant | None) -> None:
        while True:
            await self._may_live["worker"].wait()
            process = _processes.Process(
                target=worker.serve,
                args=(self.var, self.environment, self.var / "log" / "worker.log", plant),
                daemon=True,
            )
            process.start()
            assert process.pid is not None
            self.workers[number] = process
            self.pids[number].add(process.pid)
            await _gone(process)
            self.deaths.append("worker")

    def keep(self, server: Literal["mail", "identity"]) -> None:
        """Have a server of somebody else; when it dies, it comes back."""
        self._keepers.append(asyncio.create_task(self._keep_outside(server)))

    async def _keep_outside(self, server: Literal["mail", "identity"]) -> None:
        serve, folder = {
            "mail": (mailserver.serve, self.mails),
            "identity": (scimserver.serve, self.identities),
        }[server]
        while True:
            await self._may_live[server].wait()
            process = _processes.Process(
                target=serve, args=(folder, self.ports[server], self.var / "chaos"), daemon=True
            )
            process.start()
            self._outside[server] = process
            await _gone(process)
            self.deaths.append(server)

    # ---- deaths -----------------------------------------------------------------------------------------------------

    async def kill(self, victim: Victim, *, number: int = 0, away: float = 0.0) -> None:
        """End one process by SIGKILL; it is back after so many seconds, and this returns when it is."""
        if victim == "worker" and not away:
            process = self.workers[number]
            if process is not None:
                process.kill()
            return
        async with self.without(victim):
            await asyncio.sleep(away)

    @asynccontextmanager
    async def without(self, victim: Victim) -> AsyncIterator[None]:
        """An outage: ended by SIGKILL, and away for as long as the block runs."""
        if victim in ("postgres", "temporal"):
            server = self._postgres if victim == "postgres" else self._temporal
            await self._kill_server(server)
            try:
                yield
            finally:
                await server.start()
            return
        self._may_live[victim].clear()
        for process in self.workers if victim == "worker" else [self._outside.get(victim)]:
            if process is not None:
                process.kill()
        try:
            yield
        finally:
            self._may_live[victim].set()

    async def _kill_server(self, server: _Postgres | _Temporal) -> None:
        process = server._process
        assert process is not None
        family: list[psutil.Process] = []
        # it may have ended by itself: a store without room does
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(process.pid)
            family = [root, *root.children(recursive=True)]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        await process.wait()
        self.deaths.append(server.name)
        await asyncio.to_thread(psutil.wait_procs, family[1:])

    @contextmanager
    def hanging(self, victim: Literal["postgres", "temporal", "mail", "identity"]) -> Iterator[None]:
        """A server that does not die and does not answer, for as long as the block runs."""
        servers = {"postgres": self._postgres._process, "temporal": self._temporal._process, **self._outside}
        process = servers[victim]
        assert process is not None
        assert process.pid is not None
        root = psutil.Process(process.pid)
        family = [root, *root.children(recursive=True)]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.suspend()
        try:
            yield
        finally:
            for member in family:
                with suppress(psutil.NoSuchProcess):
                    member.resume()

    async def busy(self, steps: int = 60) -> None:
        """Wait until the runs have gone on by about so many steps."""
        enough = self.journal.size() + 24 * steps
        while self.journal.size() < enough:  # noqa: ASYNC110  # what other processes write wakes nobody here
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Let nobody return, and end all."""
        keepers = [*self._worker_keepers, *self._keepers]
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        for process in (*self.workers, *self._outside.values()):
            if process is not None:
                process.kill()
                await _gone(process)


async def _gone(process: BaseProcess) -> None:
    """Wait until a process has ended."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process.sentinel)


CLINIC, SYSTEMS = "clinic_house", "systems.toml"
_SYSTEM = """
[[system]]
name = "clinic"
kind = "sql"
title = {{ lv = "Klīnika", lt = "Klinika", en = "Clinic" }}
organisations = ["GJ"]
address = "CLINIC_DATABASE"
dataset = "{dataset}"
restricted = "restricted"
"""


async def _clinic(postgres: _Postgres, var: Path) -> AsyncEngine:
    """A clinic with a doctor and no patient yet, and the file that names it as a data system."""
    (var / SYSTEMS).write_text(_SYSTEM.format(dataset=clinic.DATASET))
    await postgres.create_database(CLINIC)
    engine = create_async_engine(postgres.url(CLINIC), pool_pre_ping=True)
    await clinic.make(engine, 0)
    return engine


@asynccontextmanager
async def house(
    var: Path,
    *,
    mail: Mail = "smtp",
    identity: Identity = "scim",
    workers: int = 1,
    plant: worker.Plant | None = None,
    environment: dict[str, str] | None = None,
) -> AsyncIterator[House]:
    """The servers and workers, for as long as the block runs."""
    for name in [n for n in os.environ if n.startswith(("TEMPORAL_", "TERMINS_")) or n == "DATABASE_URL"]:
        del os.environ[name]
    ports = {"mail": free_port(), "identity": free_port()}
    settings = {
        "TERMINS_VAR": str(var),
        "TERMINS_MAIL": mail,
        "TERMINS_SMTP_HOST": "127.0.0.1",
        "TERMINS_SMTP_PORT": str(ports["mail"]),
        "TERMINS_SMTP_SECURITY": "none",
        "TERMINS_IDENTITY": identity,
        "TERMINS_SCIM_URL": f"http://127.0.0.1:{ports['identity']}/v2",
        "TERMINS_SCIM_TOKEN": TOKEN,
        "TERMINS_WORKER_HTTP": "off",
        **(environment or {}),
    }
    async with AsyncExitStack() as stack:
        stack.enter_context(patch.object(embedded, "Postgres", _Postgres))
        stack.enter_context(patch.object(embedded, "TemporalServer", _Temporal))
        services = await stack.enter_async_context(embedded.local(var))
        patients = await _clinic(_Postgres.made, var)
        stack.push_async_callback(patients.dispose)
        settings |= {"TERMINS_DATA_SYSTEMS": str(var / SYSTEMS), "CLINIC_DATABASE": _Postgres.made.url(CLINIC)}
        own = Settings(var=var)
        place = await find(own)
        keyring = keys(place, own)
        stack.push_async_callback(keyring.close)
        await setup(await place.connect(keyring), services.database_url, keyring)
        connection = await stack.enter_async_context(connect(own, engine="needed"))
        config = connection.engine.config()
        config["interceptors"] = [*config["interceptors"], _ShortTasks()]
        skipper = TimeSkipper(Client(**config), config=TimeSkippingConfig(enabled=False, max_session_skip_count=100000))
        operators = Operators(connection.sessions, wall_clock)
        for code in ("op-1", "op-2"):
            await operators.add(
                code,
                ("BL", "BTA", "DZ", "GJ", "SE"),
                ("see", "handle", "approve", "privacy", "security", "compliance"),
                Decimal(100000),
            )
        journal = Journal(var / "chaos")
        database = create_async_engine(services.database_url, pool_pre_ping=True)
        stack.push_async_callback(database.dispose)
        now = SharedClock(database, var / "chaos" / "offset")
        await now.take_over()
        made = House(
            number=next(_numbers),
            var=var,
            mail=mail,
            identity=identity,
            connection=connection,
            intake=Intake(connection.sessions, connection.keyring, skipper.client, now),
            now=now,
            skipper=skipper,
            journal=journal,
            environment=settings,
            ports=ports,
            clinic=patients,
            letters=mailserver.Letters(journal),
            _postgres=_Postgres.made,
            _temporal=_Temporal.made,
        )
        for may_live in made._may_live.values():
            may_live.set()
        stack.push_async_callback(made.close)
        if mail == "smtp":
            made.keep("mail")
        if identity == "scim":
            made.keep("identity")
        await made.employ(workers, plant)
        yield made
