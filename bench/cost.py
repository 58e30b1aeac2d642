"""What a case costs: history, activities, statements and commits of one case of each kind; memory and CPU of many.

    python bench/cost.py [--cases N] [--json]

Real embedded servers in a folder of their own, real time, and the worker inside this process, so that its statements
can be counted and its memory measured. Nothing else runs in it meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import contextvars
import gc
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import psutil
from rich.console import Console
from rich.table import Table
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import select
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    PollerBehaviorSimpleMaximum,
    Worker,
)

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # run as a file, it finds the project beside itself

from activities.wiring import build  # noqa: E402  # needs the path above, as all below
from integrations.bank import BankFolder  # noqa: E402
from integrations.mail import MaildirOut  # noqa: E402
from models.names import TASK_QUEUE  # noqa: E402
from models.now import wall_clock  # noqa: E402
from models.tables import AccountRow, CaseRow  # noqa: E402
from operations.intake import Intake, Sessions  # noqa: E402
from operations.loading import load  # noqa: E402
from operations.local import local  # noqa: E402
from operations.logs import configure  # noqa: E402
from operations.place import Place  # noqa: E402
from operations.setup import add_search_attributes, migrate  # noqa: E402
from operations.store import engine, sessions  # noqa: E402
from worker import runner  # noqa: E402
from workflows import registry  # noqa: E402

RIGA = ZoneInfo("Europe/Riga")
WITHIN = 300.0  # seconds for one wait; many cases on a busy machine are slow
LOOK_EVERY = 0.02  # seconds between two looks at the store
DOCUMENTS = ("proof_of_entitlement", "proof_of_amount", "certificate_of_authority")
CLIENT = "BL-BENCH"
FIRST = 2  # number of the first of many claims; 0 is the one that is measured alone, 1 the one before it
WARM_UP = 20  # claims that are not measured
CALLERS = 8
UNWATCHED = 120  # columns where nobody watches


# ---- what is counted ------------------------------------------------------------------------------------------------

_current: contextvars.ContextVar[tuple[str, str] | None] = contextvars.ContextVar("current", default=None)
"""(case, activity type) of the statement that runs now."""


class Counting(Interceptor):
    """Counts runs, statements and commits by case and activity type.

    A statement is one that SQLAlchemy sends. BEGIN, COMMIT and the ping of a pooled connection are round trips of their
    own and are not among them.
    """

    def __init__(self, database: AsyncEngine) -> None:
        super().__init__()
        self.runs: Counter[tuple[str, str]] = Counter()
        self.statements: Counter[tuple[str, str]] = Counter()
        self.commits: Counter[tuple[str, str]] = Counter()
        event.listen(database.sync_engine, "before_cursor_execute", self._statement)
        event.listen(database.sync_engine, "commit", self._commit)

    def _statement(self, *_: Any) -> None:
        if key := _current.get():
            self.statements[key] += 1

    def _commit(self, *_: Any) -> None:
        if key := _current.get():
            self.commits[key] += 1

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Note which activity runs; each has a context of its own."""
        runs = self.runs

        class Inbound(ActivityInboundInterceptor):
            async def execute_activity(self, input: ExecuteActivityInput) -> Any:
                info = activity.info()
                key = (info.workflow_id or "", info.activity_type)
                runs[key] += 1
                _current.set(key)
                return await super().execute_activity(input)

        return Inbound(next)


@dataclass(frozen=True)
class ActivityCost:
    """One activity type within a case."""

    activity: str
    runs: int
    statements: int
    commits: int


@dataclass(frozen=True)
class CaseCost:
    """One straight-through case."""

    kind: str
    until: str
    seconds: float
    """From filing to where it was brought; the bench's own answers included."""
    events: int
    activities: int
    workflow_tasks: int
    history_bytes: int
    by_activity: list[ActivityCost]


@dataclass(frozen=True)
class OpenCost:
    """What each of many open cases costs."""

    cases: int
    seconds: float
    worker_bytes: int
    """Unique memory of the worker's process, the growth divided by the cases."""
    worker_cpu_ms: float
    temporal_cpu_ms: float
    postgres_cpu_ms: float


# ---- the house ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class House:
    """Servers, store and worker of one run."""

    var: Path
    client: Client
    sessions: Sessions
    intake: Intake
    counting: Counting


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    """All of it in a folder that is deleted afterwards. No sweep runs: it would be counted with the cases."""
    # a private folder of its own: PostgreSQL's user must be able to reach it
    with tempfile.TemporaryDirectory(prefix="termins-bench-") as folder:
        var = Path(folder) / "var"
        async with local(var) as services:
            place = Place(
                database_url=services.database_url,
                temporal_address=services.temporal_address,
                namespace=services.namespace,
            )
            await asyncio.to_thread(migrate, place.database_url)
            database = engine(place.database_url)
            counting = Counting(database)
            store = sessions(database)
            client = await place.connect()
            await add_search_attributes(client)
            activities = build(
                store,
                client,
                MaildirOut(var / "mail"),
                BankFolder(var / "bank"),
                wall_clock,
                sender="noreply@{organisation}.example",
                staff="{role}@{organisation}.example",
            )
            worker = Worker(
                client,
                task_queue=TASK_QUEUE,
                workflows=registry.ALL,
                activities=activities,
                workflow_runner=runner(),
                workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(10),
                interceptors=[counting],
                graceful_shutdown_timeout=timedelta(seconds=10),
            )
            try:
                async with worker:
                    yield House(var, client, store, Intake(store, client, wall_clock), counting)
            finally:
                await database.dispose()


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: It did not come true.
    """
    give_up = monotonic() + WITHIN
    while not await condition():
        if monotonic() > give_up:
            raise TimeoutError(f"never came true: {what}")
        await asyncio.sleep(LOOK_EVERY)


async def stands(of: House, case: str, stage: str, waits_for: str = "") -> None:
    """Wait until a case is in a stage, and waits for this."""

    async def there() -> bool:
        async with of.sessions() as session:
            row = await session.get(CaseRow, case)
        return row is not None and row.stage == stage and waits_for in row.waits_for

    await until(there, f"{case} in {stage}")


async def quiet(of: House, case: str) -> None:
    """Wait until nothing of the case is in flight: what is counted is complete."""

    async def still() -> bool:
        raw = (await of.client.get_workflow_handle(case).describe()).raw_description
        return not raw.pending_activities and not raw.HasField("pending_workflow_task")

    await until(still, f"{case} is quiet")


# ---- the cases ------------------------------------------------------------------------------------------------------


def base_data(policies: int) -> dict[str, Any]:
    """As many policies as claims, so that no claim waits for another one's limit; one client."""
    insured = {"name": "SIA Jumtu Meistari", "email": "ins@jumtumeistari.example"}
    person = {"name": "Ilze Kalna", "email": "ilze.kalna@noliktavas.example"}
    terms = {
        "limit_per_occurrence": "50000.00",
        "limit_aggregate": "100000.00",
        "deductible": {"kind": "amount", "value": "200.00"},
    }
    return {
        "policies": [
            {
                "policy": f"B-{n}",
                "organisation": "BTA",
                "policyholder": insured,
                "insured": insured,
                "starts_on": "2026-01-01",
                "ends_on": "2035-12-31",
                "terms": terms,
            }
            for n in range(policies)
        ],
        "clients": [
            {
                "client": CLIENT,
                "organisation": "BL",
                "name": "SIA Ostas Noliktavas",
                "responsible": person,
                "requesters": [person],
            }
        ],
    }


def filing(kind: str, organisation: str, reference: str, now: datetime, content: dict[str, Any]) -> dict[str, Any]:
    """The envelope."""
    return {
        "kind": kind,
        "organisation": organisation,
        "reference": reference,
        "received_at": now.isoformat(),
        "sender": "system:bench",
        "content": content,
    }


def claim(n: int, now: datetime) -> dict[str, Any]:
    """A claim that comes with all its documents, so that it can be decided."""
    content = {
        "policy": f"B-{n}",
        "claimants": [{"name": "Anna Bērziņa", "email": f"anna.{n}@example.lv", "iban": "LV97HABA0012345678910"}],
        "occurred_on": now.astimezone(RIGA).date().isoformat(),
        "place": "Rīga",
        "description": "No jumta krita ledus un sabojāja automašīnu.",
        "losses": [{"claimant": 1, "head": "property_damaged", "amount": "1200.00"}],
        "documents": [{"document": k, "received_at": now.isoformat(), "reference": f"dms/{k}"} for k in DOCUMENTS],
    }
    return filing("claim", "BTA", f"B-{n}", now, content)


async def one_claim(of: House, now: datetime) -> str:
    """Filed complete, decided, told, paid, resting."""
    case = (await of.intake.submit(claim(0, now))).case
    await stands(of, case, "deciding")
    losses = [{"claimant": "C1", "head": "property_damaged", "proven": "1200.00"}]
    await report(of, case, "propose_decision", {"actor": "op-1", "outcome": "pay", "losses": losses})
    await stands(of, case, "telling_and_paying", "the bank: C1:indemnity")
    paid = {"payment": "C1:indemnity", "executed_on": now.astimezone(RIGA).date().isoformat(), "bank_reference": "B1"}
    await report(of, case, "confirm_payment", {"actor": "system:bank", **paid})
    await stands(of, case, "resting")
    return case


async def one_access(of: House, now: datetime) -> str:
    """One complete line: issued, resting."""
    user = {
        "first_name": "Žanete",
        "last_name": "Ķirsone",
        "personal_code": "32000000001",
        "phone": "+371 20000000",
        "email": "zanete@noliktavas.example",
    }
    content = {
        "client": CLIENT,
        "requester": {"email": "ilze.kalna@noliktavas.example"},
        "action": "issue",
        "users": [user],
    }
    case = (await of.intake.submit(filing("access_request", "BL", "B-1", now, content))).case
    await stands(of, case, "resting")
    return case


async def one_withdrawal(of: House, now: datetime) -> str:
    """Decided and told; the ten days run."""
    async with of.sessions() as session, session.begin():
        session.add(
            AccountRow(
                client=CLIENT,
                username="B-1",
                case="access_request:BL:B-1",
                subject="U9",
                personal_code="32000000009",
                authenticator="smart-id",
                created_at=now,
            )
        )
    content = {"client": CLIENT, "authenticator": "smart-id", "scope": "end", "decided_by": "op-9"}
    case = (await of.intake.submit(filing("authenticator_withdrawal", "BL", "B-1", now, content))).case
    await stands(of, case, "running")
    return case


async def one_privacy(of: House, now: datetime) -> str:
    """Identified by the portal, gathered, answered in the portal, resting."""
    person = {"name": "Saulius Norkus", "personal_code": "30306070058", "email": "saulius@example.lt", "language": "lt"}
    content = {"rights": ["access"], "channel": "portal", "identified_by": "portal_sign_in", "person": person}
    case = (await of.intake.submit(filing("privacy_request", "GJ", "B-1", now, content))).case
    await stands(of, case, "answering")
    sent = {"channel": "portal", "sent_on": now.astimezone(RIGA).date().isoformat(), "reference": "portal/1"}
    await report(of, case, "confirm_answer_sent", {"actor": "op-5", **sent})
    await stands(of, case, "resting")
    return case


async def report(of: House, case: str, name: str, message: dict[str, Any]) -> None:
    """Report what happened, as a backend does."""
    delivered = await of.intake.submit_event(case, name, name, message)
    if delivered.refused or delivered.waiting:
        raise RuntimeError(f"{case} did not take {name}: {'; '.join(delivered.refused)}")


KINDS: dict[str, tuple[Callable[[House, datetime], Awaitable[str]], str]] = {
    "claim": (one_claim, "paid, resting"),
    "access request, one user": (one_access, "issued, resting"),
    "authenticator withdrawal": (one_withdrawal, "notice proven, ten days run"),
    "privacy access, GJ portal": (one_privacy, "answered, resting"),
}


async def cost_of_one(of: House, kind: str) -> CaseCost:
    """Live one case and read what it left."""
    play, end = KINDS[kind]
    began = monotonic()
    case = await play(of, wall_clock())
    seconds = monotonic() - began
    await quiet(of, case)
    handle = of.client.get_workflow_handle(case)
    events = (await handle.fetch_history()).events
    described = (await handle.describe()).raw_description.workflow_execution_info
    types = Counter(e.event_type for e in events)
    counting = of.counting
    return CaseCost(
        kind=kind,
        until=end,
        seconds=round(seconds, 2),
        events=len(events),
        activities=types[EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED],
        workflow_tasks=types[EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED],
        history_bytes=described.history_size_bytes,
        by_activity=[
            ActivityCost(name, runs, counting.statements[(of_case, name)], counting.commits[(of_case, name)])
            for (of_case, name), runs in sorted(counting.runs.items())
            if of_case == case
        ],
    )


# ---- many -----------------------------------------------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """CPU of a server and its children, in seconds; a child that ends takes its share along."""
    process = psutil.Process(pid)
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system
    return total


def own_cpu_seconds() -> float:
    """CPU of this process alone: the servers are its children."""
    times = psutil.Process().cpu_times()
    return times.user + times.system


async def open_claims(of: House, numbers: range) -> None:
    """File these claims and wait until each waits for its decision and nothing of it is in flight."""
    now, left = wall_clock(), iter(numbers)

    async def caller() -> None:
        for n in left:
            await of.intake.submit(claim(n, now))

    # several callers: one alone would measure its own waiting
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    wanted = {f"claim:BTA:B-{n}" for n in numbers}

    async def all_wait() -> bool:
        async with of.sessions() as session:
            waiting = (await session.exec(select(CaseRow.case).where(CaseRow.stage == "deciding"))).all()
        return wanted <= set(waiting)

    await until(all_wait, f"{len(wanted)} claims wait for their decision")
    for case in wanted:
        await quiet(of, case)


async def cost_of_open(of: House, cases: int) -> OpenCost:
    """File claims that then wait for their decision; what the machine spent on them until all of them wait."""
    # pools, threads and caches grow to the size of such a crowd once, not with each case
    await open_claims(of, range(FIRST, FIRST + WARM_UP))
    temporal, postgres = (int((of.var / f"{name}.pid").read_text()) for name in ("temporal", "postgres"))
    process = psutil.Process()
    gc.collect()
    memory = process.memory_full_info().uss
    before = (own_cpu_seconds(), cpu_seconds(temporal), cpu_seconds(postgres))
    began = monotonic()
    await open_claims(of, range(FIRST + WARM_UP, FIRST + WARM_UP + cases))
    seconds = monotonic() - began
    after = (own_cpu_seconds(), cpu_seconds(temporal), cpu_seconds(postgres))
    gc.collect()
    worker_ms, temporal_ms, postgres_ms = (
        round((late - early) * 1000 / cases, 1) for early, late in zip(before, after, strict=True)
    )
    return OpenCost(
        cases=cases,
        seconds=round(seconds, 1),
        worker_bytes=(process.memory_full_info().uss - memory) // cases,
        worker_cpu_ms=worker_ms,
        temporal_cpu_ms=temporal_ms,
        postgres_cpu_ms=postgres_ms,
    )


# ---- command --------------------------------------------------------------------------------------------------------


def show(console: Console, ones: Sequence[CaseCost], many: OpenCost) -> None:
    """Three tables."""
    table = Table(title="One straight-through case", title_justify="left")
    for name in ("case", "until", "events", "activities", "workflow tasks", "history kB", "seconds"):
        table.add_column(name, justify="left" if name in ("case", "until") else "right")
    for one in ones:
        numbers = (one.events, one.activities, one.workflow_tasks, f"{one.history_bytes / 1024:.1f}", one.seconds)
        table.add_row(one.kind, one.until, *(str(n) for n in numbers))
    console.print(table)
    table = Table(title="Its activities", title_justify="left")
    for name in ("case", "activity", "runs", "statements", "commits"):
        table.add_column(name, justify="left" if name in ("case", "activity") else "right")
    for one in ones:
        for n, cost in enumerate(one.by_activity):
            kind = "" if n else one.kind
            table.add_row(kind, cost.activity, str(cost.runs), str(cost.statements), str(cost.commits))
    console.print(table)
    table = Table(title=f"{many.cases} open claims, filed and opened in {many.seconds} s", title_justify="left")
    table.add_column("each")
    table.add_column("", justify="right")
    table.add_row("memory of the worker", f"{many.worker_bytes / 1024:.0f} kB")
    table.add_row("CPU of the worker (with intake)", f"{many.worker_cpu_ms} ms")
    table.add_row("CPU of Temporal", f"{many.temporal_cpu_ms} ms")
    table.add_row("CPU of PostgreSQL", f"{many.postgres_cpu_ms} ms")
    console.print(table)


async def measure(cases: int) -> tuple[list[CaseCost], OpenCost]:
    """One case of each kind after a first one that nobody measures, then many."""
    async with house() as of:
        loaded = await load(of.sessions, base_data(FIRST + WARM_UP + cases))
        if loaded.faults:
            raise RuntimeError("; ".join(loaded.faults))
        # the first case loads the sandbox's modules, templates and rulebooks
        first = (await of.intake.submit(claim(1, wall_clock()))).case
        await stands(of, first, "deciding")
        withdrawn = {"actor": "op-1", "withdrawn_at": wall_clock().isoformat(), "reference": "dms/1"}
        await report(of, first, "withdraw_claim", withdrawn)
        await stands(of, first, "closed")
        ones = [await cost_of_one(of, kind) for kind in KINDS]
        return ones, await cost_of_open(of, cases)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200, help="how many open claims; default 200")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options = parser.parse_args()
    if options.cases < 1:
        parser.error("--cases: at least 1")
    for name in [n for n in os.environ if n.startswith("TEMPORAL_")]:
        del os.environ[name]  # they are for clients of another server
    configure()  # what is logged must not stand amid the JSON
    ones, many = asyncio.run(measure(options.cases))
    if options.json:
        print(json.dumps({"one": [asdict(one) for one in ones], "open": asdict(many)}, ensure_ascii=False, indent=1))
    else:
        show(Console(highlight=False, width=None if sys.stdout.isatty() else UNWATCHED), ones, many)


if __name__ == "__main__":
    main()
