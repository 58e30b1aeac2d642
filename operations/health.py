"""Health: does everything answer that a worker needs, and does anything wait that should not? For probes and people.

No text here holds an address, a password or a case's name: the answer goes to whoever can reach the probe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from asyncpg import PostgresError
from sqlalchemy import ColumnElement, exists, literal, text, union_all
from sqlalchemy.exc import DBAPIError, ProgrammingError, SQLAlchemyError
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from integrations.identity import IdentityProvider, IdentityRefused, IdentityUnavailable
from integrations.sanctions import ListUnavailable, SanctionsFile
from models.common import Model
from models.names import TASK_QUEUE
from models.tables import (
    BellRow,
    CaseRow,
    ClockRow,
    EventRow,
    IncomingRow,
    IntakeRow,
    NoticeRow,
    PartyRow,
    PaymentOrderRow,
    RecordRow,
    ScreeningRow,
    StorageRunRow,
)
from operations.checkpoint import newest
from operations.intake import Sessions
from operations.setup import CHECKPOINT, INCOMING, RECURRENCES, STORAGE, SWEEP, last_checkpoint, missing, revisions

ANSWERS_WITHIN = 5.0
"""Seconds after which a part that does not answer counts as down."""
LONG = timedelta(minutes=5)
"""How long anything may wait: the sweep comes every minute, and whatever is down is tried again within one."""
STUCK = "TemporalReportedProblems IS NOT NULL AND ExecutionStatus = 'Running'"
"""The query of docs/operators.md: cases whose program fails again and again."""

STORAGE_WITHIN = timedelta(hours=26)
"""The run over the storage terms comes every night."""
LONG_RUN = timedelta(hours=2)

LOOKED_BACK = timedelta(days=30)
"""For so long a filing whose case was not opened is said; a look at all that were ever filed would cost too much."""

INCOMES = {"mail": "the mail that came back", "bank": "the bank's answers"}
"""Source of what comes in by itself → in words."""

SETUP = "run: python starter.py setup"

Keys = Callable[[], Awaitable[None]]
"""Asks the key store, past every cache; raises if it does not answer or its key cannot be opened."""

What = Literal["filing", "case", "event", "bell", "letter", "order", "instant"]
NAMED: dict[What, str] = {
    "filing": "filings that were not started",
    "case": "filings that were started and whose case was not opened",
    "event": "events that were not delivered",
    "bell": "bells that were not heard",
    "letter": "letters that were not sent",
    "order": "payment orders that did not go out",
    "instant": "due instants that came and were not recorded",
}
"""What can wait → in words, after its number."""


Scheduled = Literal["sweep", "reading", "recurrences", "storage"]


class Part(Model):
    """One thing that was asked."""

    name: Literal[
        "engine",
        "attributes",
        Scheduled,
        "checkpoint",
        "workers",
        "stuck",
        "store",
        "schema",
        "diverged",
        "waiting",
        "incoming",
        "destruction",
        "keys",
        "sanctions",
        "identity",
    ]
    needed: bool
    """Without it no worker can work. The rest is for people: it makes no worker unready."""
    problem: str | None = None
    """Why it is not as it should be, and what to do; None if it is."""

    @property
    def ok(self) -> bool:
        """True if nothing is wrong with it."""
        return self.problem is None


class Waiting(Model):
    """How much of one thing waits in an organisation, and since when the oldest."""

    what: What
    organisation: str
    number: int
    since: datetime


class Incoming(Model):
    """A source of what comes in by itself: when it was read last, and how much of it is left for people."""

    source: str
    looked_at: datetime
    aside: int


class Health(Model):
    """Everything that was asked."""

    ready: bool
    """Every needed part answers: a worker can work."""
    ok: bool
    """Nothing at all is wrong."""
    parts: tuple[Part, ...]
    waiting: tuple[Waiting, ...] = ()
    """All that waits, however short; empty where the store does not answer."""
    incoming: tuple[Incoming, ...] = ()
    """What comes in by itself; empty where the store does not answer, and before the first look."""
    stuck: int | None = None
    """Cases that the engine reports as stuck; None where it does not answer."""
    diverged: int | None = None
    """Cases that differ from their record; None where the store does not answer."""
    checkpoint_at: datetime | None = None
    """When the newest checkpoint was made; None where there is none, or where it cannot be read."""


async def ask(
    sessions: Sessions,
    client: Client | None,
    keys: Keys,
    checkpoints: Path,
    now: datetime,
    sanctions: Path | None = None,
    provider: IdentityProvider | None = None,
) -> Health:
    """Ask everything at once; `checkpoints` is the folder where they are published, `sanctions` the file of the list.

    It never fails and takes no longer than a part may take; no client is an engine down.
    """
    published = asyncio.create_task(_newest(checkpoints))
    (engine, stuck), (store, diverged, waiting, incoming), key, checkpoint_at, others = await asyncio.gather(
        _engine(client, published, now),
        _store(sessions, now),
        _keys(keys),
        published,
        asyncio.gather(
            *([_sanctions(sanctions)] if sanctions is not None else []),
            *([_identity(provider)] if provider is not None else []),
        ),
    )
    parts = (*engine, *store, key, *others)
    return Health(
        ready=all(part.ok for part in parts if part.needed),
        ok=all(part.ok for part in parts),
        parts=parts,
        waiting=waiting,
        incoming=incoming,
        stuck=stuck,
        diverged=diverged,
        checkpoint_at=checkpoint_at,
    )


# ---- the engine -----------------------------------------------------------------------------------------------------


async def _engine(
    client: Client | None, published: asyncio.Task[datetime | None], now: datetime
) -> tuple[tuple[Part, ...], int | None]:
    try:
        if client is None:
            return (Part(name="engine", needed=True, problem="the engine does not answer"),), None
        async with asyncio.timeout(ANSWERS_WITHIN):
            # first the one that the client does not try again: an engine that is down says so at once
            lacking = await missing(client)
            schedules, checkpoint, workers, stuck = await asyncio.gather(
                asyncio.gather(*(_schedule(client, *schedule) for schedule in SCHEDULES.values())),
                _checkpoint(client, published, now),
                _workers(client),
                client.count_workflows(STUCK),
            )
    except TimeoutError:
        return (Part(name="engine", needed=True, problem="the engine does not answer in time"),), None
    except RPCError as e:
        return (Part(name="engine", needed=True, problem=f"the engine does not answer: {e.status.name}"),), None
    return (
        Part(name="engine", needed=True),
        Part(
            name="attributes",
            needed=True,
            problem=f"the engine lacks search attributes: {', '.join(lacking)}; {SETUP}" if lacking else None,
        ),
        *(Part(name=name, needed=False, problem=problem) for name, problem in zip(SCHEDULES, schedules, strict=True)),
        Part(name="checkpoint", needed=False, problem=checkpoint),
        Part(name="workers", needed=False, problem=workers),
        Part(
            name="stuck",
            needed=False,
            problem=f"cases that cannot go on: {stuck.count}; see Stuck in docs/operators.md" if stuck.count else None,
        ),
    ), stuck.count


SCHEDULES: dict[Scheduled, tuple[str, str, str]] = {
    "sweep": (SWEEP, "sweep", "what an outage leaves behind stays"),
    "reading": (INCOMING, "schedule that reads what comes in", "bounces stay unknown"),
    "recurrences": (RECURRENCES, "schedule of recurring duties", "none is opened"),
    "storage": (STORAGE, "schedule of storage terms", "nothing is erased by itself"),
}
"""Part → its schedule, what that is called, and what does not happen without it."""


async def _schedule(client: Client, id: str, name: str, without: str) -> str | None:
    """What is wrong with a schedule: it is not there, or paused; and what does not happen without it."""
    try:
        described = await client.get_schedule_handle(id).describe()
    except RPCError as e:
        if e.status is RPCStatusCode.NOT_FOUND:
            return f"there is no {name}: {without}; {SETUP}"
        raise
    return f"the {name} is paused: {without}" if described.schedule.state.paused else None


async def _checkpoint(client: Client, published: asyncio.Task[datetime | None], now: datetime) -> str | None:
    """Why the record is not published as its schedule promises.

    The age of the newest one is its promise kept or not, whoever made it; before the first one the schedule's own.
    """
    try:
        described = await client.get_schedule_handle(CHECKPOINT).describe()
    except RPCError as e:
        if e.status is RPCStatusCode.NOT_FOUND:
            return f"there is no schedule of checkpoints: nothing is published; {SETUP}"
        raise
    if described.schedule.state.paused:
        return "the schedule of checkpoints is paused: nothing is published"
    at, promised = await asyncio.shield(published), last_checkpoint(now)
    if (at or described.info.created_at) >= promised:
        return None
    if at is None:
        return "no checkpoint is found where they are published; see Checkpoint late in docs/watching.md"
    hours = int((now - at).total_seconds() // 3600)
    return f"the last checkpoint is {hours} hours old; see Checkpoint late in docs/watching.md"


async def _newest(folder: Path) -> datetime | None:
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            return await asyncio.to_thread(newest, folder)
    except (OSError, ValueError):
        return None


async def _workers(client: Client) -> str | None:
    described = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=TASK_QUEUE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
    )
    return None if described.pollers else "no worker has asked for work in the last minutes"


# ---- the store ------------------------------------------------------------------------------------------------------


async def _store(
    sessions: Sessions, now: datetime
) -> tuple[tuple[Part, ...], int | None, tuple[Waiting, ...], tuple[Incoming, ...]]:
    try:
        async with asyncio.timeout(ANSWERS_WITHIN), sessions() as session:
            schema = await _schema(session)
            if schema is not None and schema.needed:
                return (Part(name="store", needed=True), schema), None, (), ()
            diverged = await _diverged(session)
            waits = await waiting(session, now)
            incomes = await _incoming(session)
            destruction = await _destruction(session, now)
    except TimeoutError:
        return (Part(name="store", needed=True, problem="the store does not answer in time"),), None, (), ()
    except (SQLAlchemyError, PostgresError, OSError) as e:
        how = "cannot be read" if isinstance(e, ProgrammingError) else "does not answer"
        return (Part(name="store", needed=True, problem=f"the store {how}: {_kind(e)}"),), None, (), ()
    return (
        (
            Part(name="store", needed=True),
            schema or Part(name="schema", needed=True),
            Part(
                name="diverged",
                needed=False,
                problem=f"cases that differ from their record: {diverged}; see Diverged in docs/operators.md"
                if diverged
                else None,
            ),
            Part(name="waiting", needed=False, problem=_too_long(waits, now)),
            Part(name="incoming", needed=False, problem=_left(incomes, now)),
            Part(name="destruction", needed=False, problem=destruction),
        ),
        diverged,
        waits,
        incomes,
    )


async def _schema(session: AsyncSession) -> Part | None:
    """What is wrong with the schema, if anything.

    A revision that this version does not know is that of a newer one: it only added what older workers do not use, so
    that they may go on while they are replaced.
    """
    try:
        connection = await session.connection()
        found = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars().all()
    except ProgrammingError:
        return Part(name="schema", needed=True, problem=f"the store has no tables yet; {SETUP}")
    known, newest_one = revisions()
    if set(found) == {newest_one}:
        return None
    if set(found) <= known:
        return Part(name="schema", needed=True, problem=f"the store's schema is older than this version; {SETUP}")
    return Part(name="schema", needed=False, problem="the store's schema is newer than this version; bring it up to it")


async def _diverged(session: AsyncSession) -> int:
    query = select(func.count()).where(col(CaseRow.diverged), col(CaseRow.closed_at).is_(None))
    return (await session.exec(query)).one()


async def waiting(session: AsyncSession, now: datetime) -> tuple[Waiting, ...]:
    """All that waits to be done by the machine, by organisation; one round trip."""

    def waits(what: What, organisation: Any, since: Any, *where: ColumnElement[bool]) -> Any:
        return (
            select(literal(what).label("what"), organisation, func.count(), func.min(since))
            .where(*where)
            .group_by(organisation)
        )

    def of_case(case: Any) -> Any:
        return func.split_part(case, ":", 2)

    query = union_all(
        waits(
            "filing",
            IntakeRow.organisation,
            IntakeRow.recorded_at,
            col(IntakeRow.started_at).is_(None),
            col(IntakeRow.result).is_(None),
        ),
        # a worker opens a case in its first task: it is down, or the case is stuck, or the run has ended wrongly
        waits(
            "case",
            IntakeRow.organisation,
            IntakeRow.started_at,
            col(IntakeRow.started_at) > now - LOOKED_BACK,
            col(IntakeRow.result).is_(None),
            col(IntakeRow.erased_at).is_(None),
            ~exists().where(col(CaseRow.case) == col(IntakeRow.case)),
        ),
        waits("event", of_case(EventRow.case), EventRow.recorded_at, col(EventRow.delivered_at).is_(None)),
        waits("bell", of_case(BellRow.case), BellRow.created_at, col(BellRow.heard_at).is_(None)),
        waits(
            "letter",
            of_case(NoticeRow.case),
            NoticeRow.queued_at,
            col(NoticeRow.sent_at).is_(None),
            col(NoticeRow.refused).is_(None),
        ),
        waits(
            "order",
            of_case(PaymentOrderRow.case),
            PaymentOrderRow.queued_at,
            col(PaymentOrderRow.issued_at).is_(None),
            col(PaymentOrderRow.rejected).is_(None),
            # what waits for a person waits for no machine: an account that is to be named, a hit that is to be judged
            exists().where(
                col(PartyRow.case) == col(PaymentOrderRow.case),
                col(PartyRow.party) == col(PaymentOrderRow.party),
                col(PartyRow.iban).is_not(None),
                col(PartyRow.name).is_not(None),
            ),
            ~exists().where(
                col(ScreeningRow.case) == col(PaymentOrderRow.case),
                col(ScreeningRow.key) == col(PaymentOrderRow.key),
                col(ScreeningRow.result).in_(("hit", "confirmed")),
            ),
        ),
        waits(
            "instant", ClockRow.organisation, ClockRow.due, col(ClockRow.status) == "running", col(ClockRow.due) <= now
        ),
    )
    rows = (await (await session.connection()).execute(query)).all()
    return tuple(
        Waiting(what=what, organisation=organisation, number=number, since=since)
        for what, organisation, number, since in sorted(rows)
    )


def _too_long(waits: Sequence[Waiting], now: datetime) -> str | None:
    """The kinds of things whose oldest waits longer than it may."""
    said = []
    for what, words in NAMED.items():
        late = [w for w in waits if w.what == what and now - w.since > LONG]
        if late:
            minutes = int((now - min(w.since for w in late)).total_seconds() // 60)
            said.append(f"{words}: {sum(w.number for w in late)}, the oldest for {minutes} minutes")
    return "; ".join(said) or None


async def _incoming(session: AsyncSession) -> tuple[Incoming, ...]:
    rows = (await session.exec(select(IncomingRow).order_by(col(IncomingRow.source)))).all()
    return tuple(Incoming(source=row.source, looked_at=row.looked_at, aside=row.aside) for row in rows)


async def _destruction(session: AsyncSession, now: datetime) -> str | None:
    """What should be destroyed and proven by now and is not, and a night's run that is late or did not end."""
    said = []
    overdue = select(func.count()).where(col(RecordRow.proof_by) <= now, col(RecordRow.destroyed_at).is_(None))
    if number := (await session.exec(overdue)).one():
        said.append(f"records whose destruction is overdue: {number}; see Storage terms in docs/operators.md")
    newest_run = select(StorageRunRow.at, StorageRunRow.ended_at).order_by(col(StorageRunRow.n).desc()).limit(1)
    if (run := (await session.exec(newest_run)).first()) is not None:
        hours = int((now - run[0]).total_seconds() // 3600)
        if now - run[0] > STORAGE_WITHIN:
            said.append(f"the last run over the storage terms began {hours} hours ago")
        elif run[1] is None and now - run[0] > LONG_RUN:
            said.append(f"the run over the storage terms has not ended for {hours} hours")
    return "; ".join(said) or None


def _left(incomes: Sequence[Incoming], now: datetime) -> str | None:
    """What of it could not be read for long, and what waits for people."""
    said = []
    for one in incomes:
        if now - one.looked_at > LONG:
            minutes = int((now - one.looked_at).total_seconds() // 60)
            said.append(f"{INCOMES[one.source]} could not be read for {minutes} minutes")
        if one.aside:
            said.append(f"{INCOMES[one.source]}: {one.aside} left for people; see Left for people in docs/watching.md")
    return "; ".join(said) or None


# ---- the key store --------------------------------------------------------------------------------------------------


async def _keys(keys: Keys) -> Part:
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            await keys()
    except TimeoutError:
        return Part(name="keys", needed=True, problem="the key store does not answer in time")
    except Exception as e:  # noqa: BLE001  # a key service of any kind: whatever it raises, it did not answer
        own = type(e).__module__.startswith("security.")  # these texts name keys by their ids only
        return Part(name="keys", needed=True, problem=str(e) if own else f"the key store does not answer: {_kind(e)}")
    return Part(name="keys", needed=True)


# ---- the sanctions list ---------------------------------------------------------------------------------------------


async def _sanctions(path: Path) -> Part:
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            listed = await SanctionsFile(path).listed()
    except ListUnavailable as e:
        return Part(name="sanctions", needed=False, problem=f"{e}: payments wait; see Sanctions in docs/operators.md")
    except TimeoutError:
        return Part(name="sanctions", needed=False, problem="the sanctions list cannot be read in time")
    said = "payees are screened by a sample of invented people: name the EU's list in TERMINS_SANCTIONS_LIST"
    return Part(name="sanctions", needed=False, problem=said if listed.sample else None)


# ---- the identity provider ------------------------------------------------------------------------------------------


async def _identity(provider: IdentityProvider) -> Part:
    problem = None
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            await provider.answers()
    except TimeoutError:
        problem = "the identity provider does not answer in time"
    except (IdentityUnavailable, IdentityRefused) as e:
        problem = str(e)  # these texts name statuses and kinds of failure only
    said = f"{problem}: access is not issued; see Identity provider in docs/operators.md" if problem else None
    return Part(name="identity", needed=False, problem=said)


def _kind(error: BaseException) -> str:
    """The type of an error and its SQL state; never its text, which can quote an address or a row."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    state = getattr(cause, "sqlstate", None)
    return type(cause.__cause__ or cause).__name__ + (f" ({state})" if state else "")
