"""Setup, idempotent: the store's schema, search attributes, retention, schedules."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, time, timedelta
from functools import cache
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import UpdateNamespaceRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)
from temporalio.service import RPCError, RPCStatusCode

from models import names
from models.storage import RUN_AT
from security.keys import Keyring

ATTRIBUTES = {
    names.CASE_KIND: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    names.ORGANISATION_ATTRIBUTE: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    names.STAGE: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    names.HANDLER: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    names.DUTIES: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    names.DUE: IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
    names.OVERDUE: IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
}

SWEEP = "termins-sweep"
INCOMING = "termins-incoming"
CHECKPOINT = "termins-checkpoint"
RECURRENCES = "termins-recurrences"
RECURRENCES_AT = timedelta(hours=2)
"""After midnight UTC: before anybody in Riga or Vilnius begins to work."""
STORAGE = "termins-storage"
CHECKPOINT_AT = timedelta(hours=1)
"""After midnight UTC."""
CHECKPOINT_WITHIN = timedelta(hours=1)
"""So long it may take: the first one of a large store checks every case."""
RETENTION = timedelta(days=3650)
"""How long the engine keeps a closed run; the evidence itself lies in the store."""

ROOT = Path(__file__).parent.parent


async def setup(client: Client, database_url: str, keyring: Keyring) -> list[str]:
    """Bring store and engine to what this code needs; what was done, a line each."""
    done = [await keyring.setup(), await asyncio.to_thread(migrate, database_url)]
    done.append(await add_search_attributes(client))
    done.append(await keep_histories(client))
    done.append(await schedule_sweep(client))
    done.append(await schedule_incoming(client))
    done.append(await schedule_checkpoint(client))
    done.append(await schedule_recurrences(client))
    done.append(await schedule_storage(client))
    return done


@cache
def revisions() -> tuple[frozenset[str], str]:
    """All revisions of the schema that this version knows, and the newest: their files are named by their numbers."""
    known = frozenset(path.name.partition("_")[0] for path in (ROOT / "migrations" / "versions").glob("*.py"))
    return known, max(known)


def migrate(database_url: str) -> str:
    """Bring the schema to the newest revision."""
    from alembic import command  # noqa: PLC0415  # a tenth of the start of every worker and command; only setup migrates
    from alembic.config import Config  # noqa: PLC0415  # as above

    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["url"] = database_url
    command.upgrade(config, "head")
    return "schema: newest revision"


async def missing(client: Client) -> list[str]:
    """The search attributes that the engine lacks; a worker does not start without them."""
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return sorted(set(ATTRIBUTES) - set(listed.custom_attributes))


async def add_search_attributes(client: Client) -> str:
    """Add those that are missing."""
    lacking = await missing(client)
    if lacking:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=client.namespace, search_attributes={name: ATTRIBUTES[name] for name in lacking}
            )
        )
    return f"search attributes: {', '.join(lacking) if lacking else 'all there'}"


async def keep_histories(client: Client) -> str:
    """Set how long closed runs are kept; an engine that forbids it says so."""
    try:
        await client.workflow_service.update_namespace(
            UpdateNamespaceRequest(
                namespace=client.namespace,
                config=NamespaceConfig(
                    workflow_execution_retention_ttl=Duration(seconds=int(RETENTION.total_seconds()))
                ),
            )
        )
    except RPCError as e:
        if e.status not in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED):
            raise
        return f"retention: the engine does not let it be set ({e.status.name})"
    return f"retention: {RETENTION.days} days"


async def schedule_sweep(client: Client) -> str:
    """A sweep every minute, never two at once."""
    try:
        await client.create_schedule(
            SWEEP,
            Schedule(
                action=ScheduleActionStartWorkflow("Sweep", id=SWEEP, task_queue=names.TASK_QUEUE),
                spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(minutes=1))]),
                policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
            ),
        )
    except ScheduleAlreadyRunningError:
        return "schedules: the sweep is there"
    return "schedules: a sweep every minute"


async def schedule_incoming(client: Client) -> str:
    """What comes in by itself is read every minute, never twice at once."""
    try:
        await client.create_schedule(
            INCOMING,
            Schedule(
                action=ScheduleActionStartWorkflow("Incoming", id=INCOMING, task_queue=names.TASK_QUEUE),
                spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(minutes=1))]),
                policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
            ),
        )
    except ScheduleAlreadyRunningError:
        return "schedules: reading what comes in is there"
    return "schedules: what comes in is read every minute"


def last_checkpoint(now: datetime) -> datetime:
    """The last instant at which the schedule promised a checkpoint that must be there by now."""
    begun = (now - CHECKPOINT_WITHIN - CHECKPOINT_AT).astimezone(UTC)
    return datetime.combine(begun.date(), time(), UTC) + CHECKPOINT_AT


async def schedule_checkpoint(client: Client) -> str:
    """A checkpoint every night; one that an outage kept from being made is made after it."""
    try:
        await client.create_schedule(
            CHECKPOINT,
            Schedule(
                action=ScheduleActionStartWorkflow("Checkpoint", id=CHECKPOINT, task_queue=names.TASK_QUEUE),
                spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(days=1), offset=CHECKPOINT_AT)]),
                policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(days=1)),
            ),
        )
    except ScheduleAlreadyRunningError:
        return "schedules: the checkpoint is there"
    return "schedules: a checkpoint every night"


async def schedule_recurrences(client: Client) -> str:
    """What recurs is opened every day; the first run after an outage opens all that it held up."""
    try:
        await client.create_schedule(
            RECURRENCES,
            Schedule(
                action=ScheduleActionStartWorkflow("Recurrences", id=RECURRENCES, task_queue=names.TASK_QUEUE),
                spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(days=1), offset=RECURRENCES_AT)]),
                policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(days=1)),
            ),
        )
    except ScheduleAlreadyRunningError:
        return "schedules: recurring duties are there"
    return "schedules: recurring duties are opened every day"


async def schedule_storage(client: Client) -> str:
    """A run over the storage terms every night; one that an outage kept from being made is made after it."""
    try:
        await client.create_schedule(
            STORAGE,
            Schedule(
                action=ScheduleActionStartWorkflow("Storage", id=STORAGE, task_queue=names.TASK_QUEUE),
                spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(days=1), offset=RUN_AT)]),
                policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(days=1)),
            ),
        )
    except ScheduleAlreadyRunningError:
        return "schedules: the run over the storage terms is there"
    return "schedules: a run over the storage terms every night"
