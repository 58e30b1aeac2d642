"""One machine: its settings, and the embedded servers under one folder, however they start and end."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from operations import local as module
from operations.local import (
    AlreadyRunning,
    LocalServerError,
    Ports,
    Postgres,
    Services,
    TemporalServer,
    local,
    running,
)
from settings import Settings

ROOT = Path(__file__).parents[2]


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Not pytest's own: each pytest that starts closes those to other users, so to the PostgreSQL that root runs."""
    with tempfile.TemporaryDirectory(prefix="termins-test-") as folder:
        yield Path(folder)


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
async def house() -> AsyncIterator[tuple[Path, Services]]:
    """A folder whose servers run while these tests do; its path is too long, and its letters too odd, for a socket."""
    with temporary_folder() as folder:
        var = folder / ("gaŗš, ceļš: " * 9)
        async with local(var) as services:
            yield var, services


def processes_of(var: Path) -> list[psutil.Process]:
    """Every process of this machine whose command names the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(var) in word for word in command):
            found.append(process)
    return found


async def query(database_url: str, *statements: str) -> object:
    """Runs the statements; the first value of the last one."""
    engine = create_async_engine(database_url)
    try:
        async with engine.begin() as connection:
            results = [await connection.execute(text(statement)) for statement in statements]
            return results[-1].scalar() if results[-1].returns_rows else None
    finally:
        await engine.dispose()


async def test_other_commands_find_the_running_servers(house: tuple[Path, Services]) -> None:
    var, services = house
    assert await running(var) == services


async def test_a_second_start_in_the_same_folder_reports_the_running_one(house: tuple[Path, Services]) -> None:
    var, services = house
    before = processes_of(var)
    with pytest.raises(AlreadyRunning, match=f"process {os.getpid()} already runs") as refused:
        async with local(var):
            pass
    assert refused.value.services == services
    assert services.temporal_address in str(refused.value)
    assert processes_of(var) == before


@asynccontextmanager
async def temporal(var: Path, *wished: Ports) -> AsyncIterator[TemporalServer]:
    server = TemporalServer(var, wished=wished)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
def strangers_port() -> Iterator[int]:
    """A port at which somebody else listens."""
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        yield stranger.getsockname()[1]


async def test_taken_ports_are_left_to_their_owner(
    house: tuple[Path, Services], folder: Path, strangers_port: int
) -> None:
    """A second folder's server takes ports of its own, and is not mistaken for the one that has the wished ports."""
    _, services = house
    addresses = (services.temporal_address, services.ui_url, services.http_url)
    first, ui, http = (int(address.rsplit(":", 1)[1]) for address in addresses)
    async with temporal(folder, Ports(temporal=first, ui=ui, http=http), Ports(ui=strangers_port)) as server:
        used = set(server.ports.model_dump().values())
        assert len(used) == 4
        assert used.isdisjoint({first, ui, http, strangers_port})
        client = await Client.connect(server.address)
        others = await Client.connect(services.temporal_address)
        await others.start_workflow("Nobody", id="theirs", task_queue="none")
        with pytest.raises(RPCError, match="not found"):
            await client.get_workflow_handle("theirs").describe()


async def test_a_port_lost_at_the_last_moment_is_replaced(
    folder: Path, strangers_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the choice of a port and its use another program may take it: the start chooses again."""
    choose = module._free_ports
    choices = iter([choose(()).model_copy(update={"temporal": strangers_port}), choose(())])
    monkeypatch.setattr(module, "_free_ports", lambda _: next(choices))
    async with temporal(folder, Ports()) as server:
        assert server.ports.temporal != strangers_port


async def test_a_free_wished_port_is_taken(strangers_port: int) -> None:
    free = module._free_ports(())
    taken = Ports(temporal=strangers_port, ui=strangers_port, http=strangers_port, codec=strangers_port)
    assert module._free_ports([taken, free]) == free


async def test_a_server_that_fails_says_why_and_leaves_nothing_running(folder: Path) -> None:
    (folder / "temporal").mkdir()
    (folder / "temporal" / "temporal.db").write_text("no database at all, but long enough to be looked at" * 20)
    with pytest.raises(LocalServerError, match=r"(?s)temporal server ended with exit code 1.*not a database"):
        await TemporalServer(folder).start()
    assert processes_of(folder) == []


async def test_when_one_server_fails_the_other_is_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_temporal_program", lambda: Path("/bin/false"))
    with pytest.raises(LocalServerError, match="temporal server ended with exit code 1"):
        async with local(folder):
            pass
    assert processes_of(folder) == []
    assert await running(folder) is None


async def test_foreign_files_are_not_overwritten(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "mine.txt").touch()
    with pytest.raises(LocalServerError, match="holds something that is no PostgreSQL data"):
        await Postgres(folder).start()


async def test_a_folder_that_cannot_be_used_is_named(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(LocalServerError, match=r"file/var cannot be used: Not a directory.*TERMINS_VAR"):
        async with local(folder / "file" / "var"):
            pass


@asynccontextmanager
async def command(var: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m operations.local` in a process group of its own, as a shell starts it; ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "operations.local", str(var), cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            if line.startswith(b"Ctrl-C"):
                break
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_however_a_command_ends_nothing_runs_on_and_nothing_is_lost(folder: Path) -> None:
    """SIGKILL leaves it no time for anything, SIGTERM ends the command alone, Ctrl-C reaches the foreground group."""
    async with command(folder) as process:
        services = await running(folder)
        assert services is not None
        await query(services.database_url, "CREATE TABLE kept (word text)", "INSERT INTO kept VALUES ('termiņš')")
        client = await Client.connect(services.temporal_address)
        await client.start_workflow("Nobody", id="kept", task_queue="none")
        servers = processes_of(folder)
        process.kill()
        await process.wait()
        if sys.platform == "linux":  # elsewhere the next start ends them
            psutil.wait_procs(servers, timeout=20)
            assert processes_of(folder) == []
        assert await running(folder) is None

    async with command(folder) as process:
        services = await running(folder)
        assert services is not None
        assert await query(services.database_url, "SELECT word FROM kept") == "termiņš"
        client = await Client.connect(services.temporal_address)
        assert (await client.get_workflow_handle("kept").describe()).status == WorkflowExecutionStatus.RUNNING
        process.terminate()
        assert await process.wait() == 0
        assert processes_of(folder) == []

    async with command(folder) as process:
        os.killpg(process.pid, signal.SIGINT)
        assert await process.wait() == 0
        assert processes_of(folder) == []


async def test_what_a_killed_command_left_is_ended_by_the_next_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel does not end the servers, the next start does, and takes the same ports."""
    with monkeypatch.context() as no_help:
        no_help.setattr(module, "_libc", None)
        left = TemporalServer(folder, wished=(module._free_ports(()),))
        await left.start()
    async with temporal(folder, left.ports) as server:
        assert server.ports == left.ports
        assert server.cluster == left.cluster
        assert len(processes_of(folder)) == 1
    await left.stop()


def test_secrets_never_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://termins:hush@db.example/termins?sslmode=require")
    monkeypatch.setenv("TERMINS_MAIL", "smtp")
    monkeypatch.setenv("TERMINS_SMTP_HOST", "mail.example")
    monkeypatch.setenv("TERMINS_SMTP_USER", "termins")
    monkeypatch.setenv("TERMINS_SMTP_PASSWORD", "hush")
    settings = Settings()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == (
        "postgresql+asyncpg://termins:hush@db.example/termins?ssl=require"
    )
    assert "hush" not in f"{settings!r} {settings} {settings.model_dump()}"


@pytest.mark.parametrize("address", ["mysql://u:hush@db/x", "hush", "postgresql://u:hush@db:port/x"])
def test_a_wrong_database_address_is_refused_without_repeating_it(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", address)
    with pytest.raises(ValidationError, match="DATABASE_URL") as refused:
        Settings()
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"TERMINS_MAIL": "smtp"}, "TERMINS_SMTP_HOST"),
        ({"TERMINS_SMTP_USER": "termins"}, "TERMINS_SMTP_PASSWORD"),
        ({"TERMINS_SMTP_HOST": "mail.example", "TERMINS_SMTP_SECURITY": "none"}, "this machine only"),
        ({"TERMINS_MAIL_IN": "imap", "TERMINS_IMAP_HOST": "imap.example"}, "TERMINS_IMAP_PASSWORD"),
        ({"TERMINS_MAIL": "pigeon"}, "'maildir' or 'smtp'"),
        ({"TERMINS_IDENTITY": "scim", "TERMINS_SCIM_URL": "https://idp.example/v2"}, "TERMINS_SCIM_TOKEN"),
        ({"TERMINS_SCIM_URL": "idp.example/v2"}, "scim_url"),
    ],
)
def test_incomplete_settings_are_named(given: dict[str, str], fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match=fault):
        Settings()


def test_folders_lie_under_var_and_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERMINS_VAR", "here")
    monkeypatch.setenv("TERMINS_SMTP_HOST", "")  # empty means not given
    settings = Settings()
    assert settings.mail_folder == tmp_path / "here" / "mail"
    assert settings.bank_folder == tmp_path / "here" / "bank"
    assert settings.smtp_host is None
    assert list(tmp_path.iterdir()) == []
