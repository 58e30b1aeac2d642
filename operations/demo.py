"""The demo: servers, setup, worker, codec endpoint and samples on this machine, and a table of the cases until Ctrl-C.

`--once` ends when every sample stands where it should; a second demo goes on where the first one was. The servers are
always its own, under `TERMINS_VAR`, whatever else the environment names.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from math import inf
from pathlib import Path
from textwrap import shorten
from time import monotonic
from typing import Self
from urllib.parse import quote
from zoneinfo import ZoneInfo

from aiohttp import ClientError, ClientSession, ClientTimeout
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import DBAPIError
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from models.errors import Refusal
from models.names import DUE, TASK_QUEUE, split_case_id
from models.now import wall_clock
from operations import reading_json
from operations.connection import Connection, NotAnswering, connect
from operations.consents import Consents
from operations.consents import Loaded as LoadedConsents
from operations.loading import load
from operations.local import LocalServerError, end_with_parent, local, stop_on_sigterm
from operations.logs import configure
from operations.operators import Operators, hash_of
from operations.place import Place, find, keys
from operations.reading import Asked, CaseLine, ClockLine, list_cases
from operations.records import Loaded, Records
from operations.samples import SAMPLES, SampleError, Samples, read
from operations.setup import setup
from rules.rulebook import book
from settings import Settings, SettingsFaults, read_settings

ROOT = Path(__file__).parent.parent
REFRESH = 1.5  # seconds
READY_WITHIN = 60.0  # seconds; loading the workflows on a busy two-core machine takes about five
STOPS_WITHIN = 20.0  # seconds; its own grace for running activities is 10
SOON = timedelta(days=3)
WIDE = 140  # columns from which each case has one line
NARROW = 110  # below this only three columns have room for their words
UNWATCHED = 160  # columns where nobody watches: a file or a pipe wraps nothing by itself
LOG_LINES = 15
WAITS_LENGTH = 80  # characters
DATA_SYSTEMS = SAMPLES / "data-systems.toml"
"""Where the samples' data lie beside the own store, unless the installation names a file of its own."""
TOKENS = "operators.json"
"""Under the var folder: code → token."""
SIGN_IN = ("op-1", "op-3")
"""Whose links the demo shows: one for everything, and one who approves what the first proposed."""
ZONE = ZoneInfo("Europe/Riga")
"""For the clock above the table; every due date is in its organisation's own zone."""

KINDS = {
    "claim": "claim",
    "access_request": "access",
    "credential": "credential",
    "authenticator_withdrawal": "withdrawal",
    "authenticator_decision": "decision",
    "privacy_request": "privacy",
    "late_premium": "late premium",
    "renewal": "renewal",
    "premium_refund": "refund",
    "recovery": "recovery",
    "client_change": "client change",
    "sign_in_review": "sign-in review",
    "task": "task",
    "breach": "breach",
}


class DemoError(Exception):
    """The demo cannot go on; the text says what failed and why."""


# ---- what it runs ---------------------------------------------------------------------------------------------------


async def run(console: Console, settings: Settings, *, once: bool) -> None:
    """Everything, until it is cancelled or, with `once`, until the samples stand where they should.

    Raises:
        DemoError: A step failed. Nothing is left running.
    """
    stop_on_sigterm()
    async with AsyncExitStack() as stack:
        with step(console, "Servers") as say:
            services = await stack.enter_async_context(local(settings.var))
            say(f"PostgreSQL and Temporal under {settings.var}")
        log = stack.enter_context((settings.var / "log" / "demo.log").open("a", encoding="utf-8", buffering=1))
        configure(log)
        with step(console, "Setup") as say:
            place = await find(settings)
            keyring = keys(place, settings)
            stack.push_async_callback(keyring.close)
            client = await place.connect(keyring)
            say("; ".join(await setup(client, services.database_url, keyring)))
        with step(console, "Worker") as say:
            worker = await stack.enter_async_context(working(settings, client))
            say(f"serves as process {worker.process.pid}, its log is {worker.log}")
        with step(console, "Codec endpoint") as say:
            codec = await stack.enter_async_context(coding(settings, place))
            say(f"serves as process {codec.process.pid}, its log is {codec.log}")
        connection = await stack.enter_async_context(connect(settings, engine="needed"))
        with step(console, "Policies and clients") as say:
            say("; ".join([await load_file(connection, SAMPLES / name) for name in ("policies.json", "clients.json")]))
        with step(console, "Records elsewhere") as say:
            say(await load_records(connection, SAMPLES / "records.json"))
        with step(console, "Consents") as say:
            say(await load_consents(connection, SAMPLES / "consents.json"))
        with step(console, "Operators") as say:
            tokens = await operators(connection, settings.var)
            say(f"{len(tokens)}, with their tokens in {settings.var / TOKENS}")
        with step(console, "Samples") as say:
            samples = Samples(read(), connection.sessions, connection.intake, wall_clock)
            new = await samples.file()
            filed = sum(sample.at_once for sample in samples.all)
            say(f"{new} filed now, {filed - new} filed before")
        console.print()
        links(console, place, settings, tokens)
        console.print()
        if once:
            await settle(samples)
            lines = await cases(connection)
            console.print(table(lines, wall_clock(), console.width))
            console.print(legend())
        else:
            await watch(console, connection, samples, (worker, codec))


async def cases(connection: Connection) -> list[CaseLine]:
    """Every case: the first due first, then what only waits, then what is closed."""
    found = await list_cases(connection.sessions, wall_clock(), Asked(which="all", limit=None))

    def order(line: CaseLine) -> tuple[bool, bool, float]:
        clock = first(line)
        return line.outcome is not None, line.next is None, clock.due.timestamp() if clock else inf

    return sorted(found.cases, key=order)


async def load_file(connection: Connection, path: Path) -> str:
    """Load the policies or clients of a file; how many there were.

    Raises:
        DemoError: Some of them cannot be loaded.
    """
    loaded = await load(
        connection.sessions, connection.keyring, json.loads(await asyncio.to_thread(path.read_text, "utf-8"))
    )
    if loaded.faults:
        raise DemoError(f"{path.name}: {'; '.join(loaded.faults)}")
    return f"{loaded.policies} policies" if loaded.policies else f"{loaded.clients} clients"


async def load_records(connection: Connection, path: Path) -> str:
    """Write the records of a file down, for the night over the storage terms; how many there were.

    Raises:
        DemoError: Some of them are refused.
    """
    records = Records(connection.sessions, connection.keyring, wall_clock)
    loaded = Loaded()
    for item in reading_json.read(await asyncio.to_thread(path.read_bytes)):
        loaded = loaded.with_row(await records.take(item))
    if loaded.bad:
        raise DemoError(f"{path.name}: {'; '.join(fault for bad in loaded.bad for fault in bad.faults)}")
    return f"{loaded.new + loaded.changed + loaded.unchanged} records"


async def load_consents(connection: Connection, path: Path) -> str:
    """Write the consents of a file down, for who asks whether somebody may be contacted; how many there were.

    Raises:
        DemoError: Some of them are refused.
    """
    register = Consents(connection.sessions, connection.keyring, wall_clock)
    loaded = LoadedConsents()
    for item in reading_json.read(await asyncio.to_thread(path.read_bytes)):
        loaded = loaded.with_row(await register.take(item))
    if loaded.bad:
        raise DemoError(f"{path.name}: {'; '.join(fault for bad in loaded.bad for fault in bad.faults)}")
    return f"{loaded.new + loaded.proved + loaded.unchanged} consents"


async def settle(samples: Samples) -> None:
    """Wait until every sample stands where it should.

    Raises:
        DemoError: One does not within the time, or refused an event; it is named.
    """
    try:
        await samples.settle()
    except SampleError as e:
        raise DemoError(str(e)) from None


async def watch(console: Console, connection: Connection, samples: Samples, children: Sequence[Child]) -> None:
    """Show the cases as they are until this is cancelled: a table on a terminal, else a line for each change.

    Raises:
        DemoError: The worker or the codec endpoint ended, or the store no longer answers.
    """
    playing = asyncio.create_task(settle(samples))
    screen = Screen(console, connection) if console.is_terminal else Lines(console)
    try:
        with screen:
            while True:
                lines = await cases(connection)
                screen.show(lines, await _troubles(connection, samples, playing))
                await asyncio.sleep(REFRESH)
                for child in children:
                    if child.process.returncode is not None:
                        raise DemoError(child.failure(f"ended with exit code {child.process.returncode}"))
    finally:
        playing.cancel()
        with suppress(asyncio.CancelledError, DemoError):
            await playing


async def _troubles(connection: Connection, samples: Samples, playing: asyncio.Task[None]) -> list[str]:
    """What stands below the table while something is still under way or wrong."""
    troubles = []
    if not playing.done():
        settled = len(samples.all) - len(samples.unsettled)
        troubles.append(f"Samples: {settled} of {len(samples.all)} stand where they should.")
    elif (failure := playing.exception()) is not None:
        troubles.append(f"Samples: {failure}")
    try:
        await connection.engine.service_client.check_health(timeout=timedelta(seconds=3))
    except RPCError as e:
        troubles.append(f"Temporal does not answer ({e.status.name}); its log is under var/log.")
    return troubles


@contextmanager
def step(console: Console, what: str) -> Iterator[Step]:
    """One step with its line: what it came to and how long it took, or that it failed.

    Raises:
        DemoError: Instead of any error within, with what failed and why.
    """
    done = Step()
    begun = monotonic()
    try:
        if console.is_terminal:
            with console.status(f"{what} …"):
                yield done
        else:
            yield done
    except Exception as e:
        raise DemoError(f"{what}: {_reason(e)}") from e
    line = Text.assemble(("✓ ", "green"), (f"{what}: ", "bold"), done.said, (f" ({monotonic() - begun:.1f} s)", "dim"))
    console.print(line, soft_wrap=True)


class Step:
    """What a step has to say about its result."""

    said = ""

    def __call__(self, said: str) -> None:
        """Say it; the last word counts."""
        self.said = said


def _reason(error: Exception) -> str:
    if isinstance(error, Refusal):
        return "; ".join(error.faults)
    if isinstance(error, DBAPIError):  # whose own text repeats the statement with its values
        error = error.orig or error
    return str(error) or type(error).__name__


# ---- operators ------------------------------------------------------------------------------------------------------


async def operators(connection: Connection, var: Path) -> dict[str, str]:
    """The operators of the samples, each with a token that is good: those of an earlier demo, or new ones.

    The tokens lie in a file that only its owner can read: whoever tries the demo is its administrator too.
    """
    table = Operators(connection.sessions, wall_clock)
    known = {listed.operator for listed in await table.all()}
    path, tokens = var / TOKENS, dict[str, str]()
    with suppress(OSError, ValueError):
        tokens = json.loads(await asyncio.to_thread(path.read_text, "utf-8"))
    for one in json.loads(await asyncio.to_thread((SAMPLES / "operators.json").read_text, "utf-8")):
        code = one["code"]
        if code not in known:
            limit = Decimal(one["limit"]) if "limit" in one else None
            tokens[code] = (await table.add(code, one["organisations"], one["roles"], limit)).token
        elif await table.by_token(hash_of(tokens.get(code, ""))) is None:
            with suppress(Refusal):  # one who was ended by whoever tries the demo
                tokens[code] = (await table.renew(code)).token
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(tokens, file, indent=2)
    return tokens


# ---- the worker and the codec endpoint ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Child:
    """A process of the demo, and where in its log this run of it begins."""

    name: str
    process: asyncio.subprocess.Process
    log: Path
    begins: int

    def failure(self, what: str) -> str:
        """What went wrong, and the last lines that it wrote."""
        with self.log.open("rb") as log:
            log.seek(self.begins)
            lines = log.read().decode(errors="replace").strip().splitlines()[-LOG_LINES:]
        said = "\n".join(f"  {line}" for line in lines) or "  (it wrote nothing)"
        return f"the {self.name} {what}. Its log, {self.log}, ends with:\n{said}"


def working(settings: Settings, client: Client) -> AbstractAsyncContextManager[Child]:
    """A worker of its own process for as long as the block runs; it polls when this is entered.

    Raises:
        DemoError: It ended, or does not poll; the text has the last lines of its log.
    """
    return _child(settings, "worker", "worker.py", lambda pid: _polls(client, pid))


def coding(settings: Settings, place: Place) -> AbstractAsyncContextManager[Child]:
    """A codec endpoint of its own process for as long as the block runs; it answers when this is entered.

    Raises:
        DemoError: It ended, or does not answer; the text has the last lines of its log.
    """
    return _child(settings, "codec endpoint", "codec.py", lambda _: _answers(place.codec_http))


@asynccontextmanager
async def _child(
    settings: Settings, name: str, program: str, ready: Callable[[int], Awaitable[bool]]
) -> AsyncIterator[Child]:
    """A program of ours for as long as the block runs; it is ready when this is entered.

    In a session of its own, so that Ctrl-C lets the demo end it before the servers. On Linux it ends with the demo
    however that ends.

    Raises:
        DemoError: It ended, or is never ready; the text has the last lines of its log.
    """
    path = settings.var / "log" / f"{Path(program).stem}.log"
    with path.open("ab") as log:
        begins = log.tell()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / program),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={
                **os.environ,
                "TERMINS_VAR": str(settings.var),
                "TERMINS_DATA_SYSTEMS": str(settings.data_systems or DATA_SYSTEMS),
            },
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGTERM),
        )
    child = Child(name, process, path, begins)
    try:
        give_up = monotonic() + READY_WITHIN
        while not await ready(process.pid):
            if process.returncode is not None:
                raise DemoError(child.failure(f"ended with exit code {process.returncode}"))
            if monotonic() > give_up:
                raise DemoError(child.failure(f"does not serve after {READY_WITHIN:.0f} s"))
            await asyncio.sleep(0.1)
        yield child
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOPS_WITHIN)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _answers(address: str) -> bool:
    """Whether the codec endpoint answers here."""
    with suppress(ClientError, TimeoutError):
        async with ClientSession(timeout=ClientTimeout(total=5)) as http, http.get(f"http://{address}/livez") as came:
            return came.ok
    return False


async def _polls(client: Client, pid: int) -> bool:
    """Whether this process asks for both workflow and activity tasks; the SDK's identity begins with its pid."""
    for kind in (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY):
        described = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace, task_queue=TaskQueue(name=TASK_QUEUE), task_queue_type=kind
            )
        )
        if not any(poller.identity.startswith(f"{pid}@") for poller in described.pollers):
            return False
    return True


# ---- what it shows --------------------------------------------------------------------------------------------------


class Screen:
    """The whole terminal: as many cases as fit, the most urgent first."""

    def __init__(self, console: Console, connection: Connection) -> None:
        self._console = console
        self._place = connection.place
        self._live = Live(console=console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, lines: list[CaseLine], troubles: list[str]) -> None:
        """Show them now."""
        self._live.update(self._fitting(lines, troubles), refresh=True)

    def _fitting(self, lines: list[CaseLine], troubles: list[str]) -> RenderableType:
        width, height = self._console.size
        now = wall_clock()
        below: list[RenderableType] = [legend(), *(Text(t, style="yellow") for t in troubles), self._addresses()]
        room = height - 2 - sum(self._height(r) for r in below)
        shown = len(lines)
        while shown > 1 and self._height(table(lines[:shown], now, width)) > room - (shown < len(lines)):
            shown -= 1
        more = [Text(f"… and {len(lines) - shown} more; a higher window shows them", style="dim")]
        return Group(
            headline(lines, now), table(lines[:shown], now, width), *(more if shown < len(lines) else []), *below
        )

    def _height(self, what: RenderableType) -> int:
        return len(self._console.render_lines(what, self._console.options))

    def _addresses(self) -> Text:
        ui = self._place.codec_url
        text = Text.assemble(("Temporal UI    ", "bold"), (ui, f"link {ui}"), no_wrap=True, overflow="crop")
        for name, url in queries(ui, self._place.namespace).items():
            if self._console.width >= WIDE:
                text.append(f"\n{name:15}", style="bold").append(url, style=f"link {url}")
            else:
                text.append("   ").append(name, style=f"underline link {url}")
        return text


class Lines:
    """No terminal: one table, and then a line whenever a case changes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._before: dict[str, CaseLine] = {}
        self._said: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, lines: list[CaseLine], troubles: list[str]) -> None:
        """Print what is new."""
        now = wall_clock()
        if not self._before:
            self._console.print(table(lines, now, self._console.width))
            self._console.print(legend())
        else:
            for line in lines:
                if self._before.get(line.case) != line:
                    words = (line.case, stage(line), first_due(line), left(line, now).plain, waits(line))
                    self._console.print("  ".join(word for word in words if word), soft_wrap=True, markup=False)
        self._before = {line.case: line for line in lines}
        if troubles != self._said:
            for trouble in troubles or ["Every sample stands where it should."]:
                self._console.print(trouble, soft_wrap=True, markup=False)
            self._said = troubles


def headline(lines: list[CaseLine], now: datetime) -> Text:
    """How many cases, how many of them overdue or soon due."""
    states = Counter(urgency(line, now) for line in lines)
    return Text.assemble(
        ("Termins ", "bold"),
        f" {len(lines)} cases   ",
        (f"{states['overdue']} overdue", "bold red"),
        "   ",
        (f"{states['soon']} due within {SOON.days} days", "yellow"),
        (f"   {now.astimezone(ZONE):%a %d %b %H:%M:%S}   Ctrl-C ends the demo", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )


def table(lines: list[CaseLine], now: datetime, width: int) -> Table:
    """The cases: one line each where there is room, else two or more; in a narrow window three columns."""
    wide, narrow = width >= WIDE, width < NARROW
    grid = Table(box=None, width=width, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold dim")
    for name in ("Case", "Kind", "Next due", "Left") if wide else ("Case", "Next due"):
        grid.add_column(name, no_wrap=True)
    if not narrow:
        grid.add_column("Clauses running", no_wrap=True)
    if wide:
        grid.add_column("Stage", no_wrap=True)
        grid.add_column("Waits for", ratio=1)
    else:
        grid.add_column("Stage, and what it waits for", ratio=1)
    if not narrow:
        grid.add_column("Handler", no_wrap=True)
    for line in lines:
        name, kind = f"{line.organisation} {split_case_id(line.case)[2]}", KINDS[line.kind]
        due, span = first_due(line), left(line, now)
        waited, running, handler = waits(line), clauses(line), line.handler or "-"
        below = [f"\n{said}" for said in (", ".join(running), line.handler) if said]
        cells: tuple[str | Text, ...]
        if wide:
            cells = (name, kind, due, span, ", ".join(running), Text(stage(line), "bold"), waited, handler)
        else:
            cells = (
                Text.assemble(name, "\n", (kind, "dim")),
                Text.assemble(due, "\n", span),
                *(() if narrow else ("\n".join(running),)),
                Text.assemble((stage(line), "bold"), "\n", (waited, "dim"), *(below if narrow else ())),
                *(() if narrow else (handler,)),
            )
        grid.add_row(*cells, style="dim" if line.outcome else "")
    return grid


def stage(line: CaseLine) -> str:
    """The stage in words; of a closed case its outcome."""
    return (f"closed: {line.outcome}" if line.outcome else line.stage).replace("_", " ")


def waits(line: CaseLine) -> str:
    """What it waits for, or the beginning of that; the whole stands in the UI."""
    return shorten(line.waits_for, WAITS_LENGTH, placeholder=" …")


def clauses(line: CaseLine) -> list[str]:
    """The clauses whose clocks run, each once, with the number of its clocks if there are several."""
    counted = Counter(clock.duty for clock in line.clocks)
    return [f"{duty} ×{n}" if n > 1 else duty for duty, n in counted.items()]


def first(line: CaseLine) -> ClockLine | None:
    """The open clock that matters most: the first due of those that can be late, else the first."""
    return line.next or (line.clocks[0] if line.clocks else None)


def first_due(line: CaseLine) -> str:
    """The last day of the clock that matters most."""
    clock = first(line)
    return clock.shown if clock else "-"


def urgency(line: CaseLine, now: datetime) -> str:
    """`overdue`, `soon`, `running`, or `` where nothing can be late."""
    if line.next is None:
        return ""
    if line.overdue:
        return "overdue"
    return "soon" if line.next.due - now <= SOON else "running"


def left(line: CaseLine, now: datetime) -> Text:
    """How long until the clock that matters most is due, or for how long it has been overdue."""
    clock = first(line)
    if clock is None:
        return Text("")
    span = _span(clock.due, now, ZoneInfo(book(line.organisation).zone))
    match urgency(line, now):
        case "overdue":
            return Text(f"overdue {span}", style="bold red")
        case "soon":
            return Text(span, style="yellow")
        case "running":
            return Text(span, style="green")
    return Text(f"wait {span}", style="dim")


def _span(due: datetime, now: datetime, zone: ZoneInfo) -> str:
    """Between now and an instant, either way: as people count days to and from a last day, else in hours."""
    local = due.astimezone(zone)
    if local.time() == time(0):
        days = (local.date() - timedelta(days=1) - now.astimezone(zone).date()).days
        return f"{abs(days)} d" if days else "today"
    minutes = int(abs(due - now).total_seconds() // 60)
    return f"{minutes // 60} h" if minutes >= 2 * 60 else f"{minutes} min"


def legend() -> Text:
    """What the column `Left` and the signs mean."""
    return Text.assemble(
        "\n",
        ("overdue 2 d", "bold red"),
        " its last day is over   ",
        (f"{SOON.days} d", "yellow"),
        " due soon   ",
        ("9 d", "green"),
        " running   ",
        ("wait 7 d", "dim"),
        " nothing takes effect or closes before   ×2 two clocks of a clause",
    )


def queries(ui: str, namespace: str) -> dict[str, str]:
    """The two lists of the UI that are looked at most."""
    now = wall_clock()
    week = f"{now + timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"
    asked = {
        "Overdue": f"{DUE}<'{now:%Y-%m-%dT%H:%M:%SZ}' AND ExecutionStatus='Running'",  # right also without a worker
        "Due this week": f"{DUE}<'{week}' AND ExecutionStatus='Running'",
    }
    base = f"{ui}/namespaces/{namespace}/workflows?query="
    return {name: base + quote(query, safe="=") for name, query in asked.items()}


def links(console: Console, place: Place, settings: Settings, tokens: Mapping[str, str]) -> None:
    """Where to look: each on a line of its own, so that it can be copied whole."""
    # the token stands behind #, which a browser keeps to itself; the page forgets it at once
    sign_in = {f"Sign in, {code}": f"{place.codec_url}/sign-in#{tokens[code]}" for code in SIGN_IN if code in tokens}
    places = {
        **sign_in,
        "Temporal UI": place.codec_url,
        **queries(place.codec_url, settings.namespace),
        "Letters": str(settings.mail_folder),
        "Payments": str(settings.bank_folder),
        "One case": "python starter.py show claim:BTA:2026-1003",
    }
    for name, where in places.items():
        console.print(Text.assemble((f"{name:15}", "bold"), where), soft_wrap=True)


# ---- command --------------------------------------------------------------------------------------------------------


def main() -> None:
    """Run the demo; exit code 0 when it is ended by Ctrl-C or SIGTERM, 1 when something failed."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end when every sample stands where it should")
    once = parser.parse_args().once
    for name in [n for n in os.environ if n.startswith("TEMPORAL_") or n == "DATABASE_URL"]:
        del os.environ[name]
    watched = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(highlight=False, width=None if watched else UNWATCHED)
    try:
        asyncio.run(run(console, read_settings(), once=once))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("The demo has ended; what it did is kept, and the next `make demo` goes on from there.")
    except (DemoError, NotAnswering, LocalServerError, SettingsFaults) as e:
        console.print(Text(str(e), style="red"), soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
