"""The product's own worker, put where it can be struck: it writes down each step and dies at the deadly ones.

It runs `worker.main` with the worker's parts wrapped: what the product wires together, nothing else. Waiting is made
short, since a dead worker's tasks are given to another one only when their time is over.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

from sqlalchemy import event, inspect
from sqlalchemy.orm import Session
from temporalio import activity, workflow
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    StartActivityInput,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
    WorkflowRunner,
)

import worker
from activities import access, outbox
from integrations.bank import Bank, BankFolder, BankProof, PaymentOrder
from integrations.identity import IdentityProvider, NewAccount
from integrations.mail import Letter, MailOut, Proof
from models import breach
from models.now import Now
from models.tables import NoticeRow
from operations import bells, identity, store
from operations.intake import Sessions
from settings import Settings
from tests.chaos.points import Journal

STICKY = timedelta(seconds=3)
ATTEMPT = timedelta(seconds=10)
"""An activity that says nothing for so long has died with its worker."""
AGAIN = timedelta(seconds=4)
"""So soon a bell that nobody heard is rung again."""
ON_ITS_WAY = timedelta(seconds=12)
"""So soon a sweep takes up a letter that a step left behind: later than the step gives up sending it, as in life."""
BATCH = 3
"""Letters of a breach that are handed over together: so few that there are several batches."""
ASKED = 6.0
"""Seconds for what the identity provider is asked in one transaction: less than an attempt, as in life."""
ANSWERS = 8
"""Seconds for a statement: less than an attempt, as in life."""
FORGOTTEN = 12
"""Seconds until the store ends a transaction whose owner is silent: more than an attempt, as in life."""


class SharedNow:
    """The instant that all processes of a campaign share: the machine's clock and an offset in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(self._path.read_text()))


# ---- activities -----------------------------------------------------------------------------------------------------


class Striking(Interceptor):
    """Every activity before and after what it does; every activity given up soon."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        journal = self._journal

        class Inbound(ActivityInboundInterceptor):
            async def execute_activity(self, input: ExecuteActivityInput) -> Any:
                info = activity.info()
                whose = info.workflow_id or ""
                if info.attempt > 1:
                    journal.passes(whose, f"{info.activity_type} again")
                journal.passes(whose, f"{info.activity_type} begun")
                result = await super().execute_activity(input)
                journal.passes(whose, f"{info.activity_type} ended")
                return result

        return Inbound(next)

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor] | None:
        return Impatient


class Impatient(WorkflowInboundInterceptor):
    """Gives an activity little time, so that a campaign need not wait for the two minutes of a letter."""

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        class Outbound(WorkflowOutboundInterceptor):
            def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
                input.start_to_close_timeout = ATTEMPT
                return super().start_activity(input)

        super().init(Outbound(outbound))


def strike_commits(journal: Journal) -> None:
    """Every commit of an activity: just before it, and just after it."""

    def strike(when: str) -> Callable[[Session], None]:
        def at(session: Session) -> None:
            if activity.in_activity():
                info = activity.info()
                journal.passes(info.workflow_id or "", f"{info.activity_type} {when}")

        return at

    event.listen(Session, "before_commit", strike("before commit"))
    event.listen(Session, "after_commit", strike("after commit"))


def note_letters(journal: Journal) -> None:
    """Every letter whose proof is committed."""

    def flushed(session: Session, *_: Any) -> None:
        sent = [r for r in session.dirty if isinstance(r, NoticeRow) and r.sent_at is not None]
        fresh = [f"{row.case}#{row.key}" for row in sent if inspect(row).attrs.sent_at.history.has_changes()]
        session.info["letters"] = [*session.info.get("letters", ()), *fresh]

    def committed(session: Session) -> None:
        for letter in session.info.pop("letters", ()):
            journal.letter("recorded", letter)

    event.listen(Session, "before_flush", flushed)
    event.listen(Session, "after_commit", committed)
    event.listen(Session, "after_rollback", lambda session: session.info.pop("letters", None))


def _activity() -> tuple[str, str] | None:
    """Whose activity runs here, and which."""
    if not activity.in_activity():
        return None
    info = activity.info()
    return info.workflow_id or "", info.activity_type


def strike_files(journal: Journal, doing: Callable[[], tuple[str, str] | None] = _activity) -> None:
    """Every file that an activity puts in its place, in the bank's folder or the maildir: just before that."""

    def hook(what: str, _: tuple[Any, ...]) -> None:
        if what in ("os.rename", "os.link", "os.remove") and (done := doing()) is not None:
            whose, step = done
            journal.passes(whose, f"{step} before {what}")

    sys.addaudithook(hook)


class StruckMail:
    """A carrier; it can be the last thing that a worker talked to."""

    def __init__(self, carrier: MailOut, journal: Journal) -> None:
        self._carrier = carrier
        self._journal = journal

    async def send(self, letter: Letter, at: datetime) -> Proof:
        """See `MailOut`."""
        self._journal.letter("offered", letter.id)
        if activity.info().activity_type == "sweep.deliver":
            self._journal.letter("swept", letter.id)
        proof = await self._carrier.send(letter, at)
        self._journal.passes(letter.id, f"{activity.info().activity_type} letter taken")
        return proof


class StruckBank:
    """A bank; it can be the last thing that a worker talked to."""

    def __init__(self, bank: Bank, journal: Journal) -> None:
        self._bank = bank
        self._journal = journal

    async def submit(self, order: PaymentOrder, at: datetime) -> BankProof:
        """See `Bank`."""
        proof = await self._bank.submit(order, at)
        self._journal.passes(order.id, f"{activity.info().activity_type} order taken")
        return proof


class StruckProvider:
    """An identity provider; what it did can be the last thing that a worker asked for, or never took the answer of."""

    def __init__(self, provider: IdentityProvider, journal: Journal) -> None:
        self._provider = provider
        self._journal = journal
        self.in_store = provider.in_store

    async def make(self, account: NewAccount) -> str:
        """See `IdentityProvider`."""
        self._passes("before an account is made")
        made = await self._provider.make(account)
        self._passes("account made")
        return made

    async def find(self, external_id: str) -> str | None:
        """See `IdentityProvider`."""
        return await self._provider.find(external_id)

    async def set_secret(self, id: str, secret: str, *, must_change: bool) -> None:
        """See `IdentityProvider`."""
        self._passes("before a secret is set")
        await self._provider.set_secret(id, secret, must_change=must_change)
        self._passes("secret set")

    async def set_active(self, id: str, active: bool) -> None:
        """See `IdentityProvider`."""
        self._passes("before an account is opened or closed")
        await self._provider.set_active(id, active)
        self._passes("account opened or closed")

    async def remove(self, id: str) -> None:
        """See `IdentityProvider`."""
        self._passes("before an account is removed")
        await self._provider.remove(id)
        self._passes("account removed")

    async def answers(self) -> None:
        """See `IdentityProvider`."""
        await self._provider.answers()

    def _passes(self, what: str) -> None:
        done = _activity()
        assert done is not None
        whose, step = done
        self._journal.passes(whose, f"{step} {what}")


# ---- workflow tasks -------------------------------------------------------------------------------------------------


class StruckRunner(WorkflowRunner):
    """Every workflow task: before anything is computed, and before its commands are reported."""

    def __init__(self, runner: WorkflowRunner, journal: Journal) -> None:
        self._runner = runner
        self._journal = journal

    def prepare_workflow(self, defn: Any) -> None:
        """As the runner it wraps."""
        self._runner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """As the runner it wraps."""
        return _Struck(self._runner.create_instance(det), self._journal, det.info.workflow_id)

    def set_worker_level_failure_exception_types(self, types: Any) -> None:
        """As the runner it wraps."""
        self._runner.set_worker_level_failure_exception_types(types)


class _Struck(WorkflowInstance):
    def __init__(self, instance: WorkflowInstance, journal: Journal, whose: str) -> None:
        self._instance = instance
        self._journal = journal
        self._whose = whose

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        task = not act.is_replaying and not any(job.HasField("remove_from_cache") for job in act.jobs)
        if task:
            self._journal.passes(self._whose, "task begun")
        completion = self._instance.activate(act)
        if task:
            self._journal.passes(self._whose, "task computed")
        return completion

    def get_serialization_context(self, command_info: Any) -> Any:
        return self._instance.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        return self._instance.get_external_store_context(command_info)

    def get_info(self) -> Any:
        return self._instance.get_info()

    def get_thread_id(self) -> int | None:
        return self._instance.get_thread_id()


# ---- process --------------------------------------------------------------------------------------------------------


class Plant(Protocol):
    """A fault that the harness must find: put into a worker before it serves."""

    def __call__(self, journal: Journal, /) -> None: ...


def serve(var: Path, environment: dict[str, str], log: Path, plant: Plant | None) -> None:
    """Be a worker of this installation until somebody kills it; it ends with the process that wanted it."""
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(environment)
    journal = Journal(var / "chaos")
    note_letters(journal)
    strike_commits(journal)
    strike_files(journal)
    made, carrier, provider = Worker, worker.carrier, identity.provider
    if plant is not None:
        plant(journal)

    def struck_worker(*args: Any, **config: Any) -> Worker:
        config["interceptors"] = [*config.get("interceptors", ()), Striking(journal)]
        config["workflow_runner"] = StruckRunner(config["workflow_runner"], journal)
        config["sticky_queue_schedule_to_start_timeout"] = STICKY
        return made(*args, **config)

    def struck_carrier(settings: Settings) -> MailOut:
        return StruckMail(carrier(settings), journal)

    def struck_bank(folder: Path) -> Bank:
        return StruckBank(BankFolder(folder), journal)

    def struck_provider(settings: Settings, sessions: Sessions, now: Now) -> IdentityProvider:
        return StruckProvider(provider(settings, sessions, now), journal)

    with (
        patch.object(worker, "Worker", struck_worker),
        patch.object(worker, "carrier", struck_carrier),
        patch.object(worker, "BankFolder", struck_bank),
        patch.object(identity, "provider", struck_provider),
        patch.object(access, "ASKED_WITHIN", ASKED),
        patch.object(worker, "wall_clock", SharedNow(var / "chaos" / "offset")),
        patch.object(store, "ANSWERS_WITHIN", ANSWERS),
        patch.object(store, "FORGOTTEN_AFTER", FORGOTTEN),
        patch.object(bells, "RING_AGAIN", AGAIN),
        patch.object(outbox, "ON_ITS_WAY", ON_ITS_WAY),
        patch.object(breach, "BATCH", BATCH),
    ):
        asyncio.run(_until_orphaned())


async def _until_orphaned() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    asyncio.get_running_loop().add_reader(parent.sentinel, os.kill, os.getpid(), signal.SIGKILL)
    await worker.main()
