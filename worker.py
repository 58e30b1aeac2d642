"""The worker: settings, store, engine, activities, and then it serves until it is told to stop."""

# ruff: noqa: E402

from __future__ import annotations

import gc

# what a start imports stays: to look through it while it grows takes a fifth of the start, and a crash waits for that
gc.disable()

import asyncio
import contextlib
import signal
from datetime import timedelta

import structlog
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.runtime import Runtime
from temporalio.service import RPCError
from temporalio.worker import (
    PollerBehaviorSimpleMaximum,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkerDeploymentConfig,
    WorkflowRunner,
)

from activities.access import ASKED_AT_ONCE
from activities.beating import Beating
from activities.wiring import build
from integrations.bank import BankFolder
from integrations.bank_in import AnswersFolder
from integrations.mail import MaildirOut, MailOut, SmtpOut
from integrations.mail_in import ImapIn, MaildirIn, MailIn
from integrations.sanctions import SanctionsFile
from models.names import TASK_QUEUE
from models.now import wall_clock
from operations import data_systems, identity, metrics, program, watching
from operations.intake import filed_in
from operations.logs import configure
from operations.place import beginning, find, keys
from operations.setup import missing
from operations.store import engine, sessions
from settings import Settings, read_settings
from workflows import registry

# nor is it looked through again at each full collection, which would hold every case up for a quarter of a second
gc.freeze()
gc.enable()

log = structlog.get_logger()

DEPLOYMENT = "termins"
"""The name under which the engine knows all builds of this worker."""

STICKY = timedelta(seconds=3)
"""How long a task of a case waits for the worker that has it in memory, before any other may take it."""


def runner() -> WorkflowRunner:
    """What workflows run in: no sandbox, for it costs a tenth of a recorded step and twice the memory of an open case.

    tests/workflows/test_determinism.py and ruff's banned names keep out what it kept out (decision 0021).
    """
    return UnsandboxedWorkflowRunner()


def deployment(build: str | None) -> WorkerDeploymentConfig | None:
    """How a worker of this build takes part in worker versioning; None where workers are not told apart.

    AUTO_UPGRADE: a case outlives many builds and goes on under the current one (docs/changing-running-code.md).
    """
    if build is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(DEPLOYMENT, build),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )


def carrier(settings: Settings) -> MailOut:
    """The mail carrier that the settings name."""
    if settings.mail == "smtp":
        password = settings.smtp_password.get_secret_value() if settings.smtp_password else None
        assert settings.smtp_host is not None
        return SmtpOut(
            settings.smtp_host,
            settings.smtp_port,
            username=settings.smtp_user,
            password=password,
            start_tls=settings.smtp_security == "starttls",
        )
    return MaildirOut(settings.mail_folder)


def mailbox(settings: Settings) -> MailIn:
    """The mailbox of delivery reports that the settings name."""
    if settings.mail_in == "imap":
        assert settings.imap_host is not None
        assert settings.imap_user is not None
        assert settings.imap_password is not None
        return ImapIn(
            settings.imap_host,
            settings.imap_port,
            settings.imap_user,
            settings.imap_password.get_secret_value(),
            security=settings.imap_security,
            mailbox=settings.imap_mailbox,
        )
    return MaildirIn(settings.mail_in_folder)


async def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    with beginning():
        settings = read_settings()
    configure()
    # before any client is made
    sdk, sdk_metrics = metrics.runtime(metrics=settings.worker_http != "off")
    Runtime.set_default(sdk)
    with beginning():
        place = await find(settings)
        keyring = keys(place, settings)
    database = engine(place.database_url, keyring)
    try:
        client = await place.connect(keyring, filed=filed_in(sessions(database)))
        lacking = await missing(client)
    except (RuntimeError, ValueError, RPCError) as e:
        why = f": {e.status.name}" if isinstance(e, RPCError) else ""
        raise SystemExit(f"the engine at {place.temporal_address} does not answer{why}") from None
    if lacking:
        raise SystemExit(f"run setup first: {', '.join(lacking)}")
    # connections of its own: a probe takes none from the cases, and answers when they use all of theirs
    watched = engine(place.database_url, keyring, pool=1)
    # as above: it is asked within the transactions of others
    directory = engine(place.database_url, keyring, pool=ASKED_AT_ONCE)
    provider = identity.provider(settings, sessions(directory), wall_clock)
    try:
        systems, people = data_systems.systems(settings), data_systems.people(settings)
    except data_systems.ConfigurationFaults as e:
        raise SystemExit("\n".join(e.faults)) from None
    failures = metrics.Failures()
    watch = watching.Watch(
        sessions(watched),
        client,
        keyring.answers,
        settings.checkpoints,
        wall_clock,
        failures.registry,
        sdk_metrics,
        settings.sanctions_list,
        provider,
    )
    activities, outbox = build(
        sessions(database),
        keyring,
        client,
        provider,
        carrier(settings),
        BankFolder(settings.bank_folder),
        wall_clock,
        mail_in=mailbox(settings),
        bank_in=AnswersFolder(settings.bank_folder / "in"),
        sanctions=SanctionsFile(settings.sanctions_list),
        sender=settings.mail_sender,
        staff=settings.mail_staff,
        checkpoints=settings.checkpoints,
        systems=systems,
        people=people,
        backups=settings.key_backups,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=registry.ALL,
            activities=activities,
            workflow_runner=runner(),
            deployment_config=deployment(settings.build),
            interceptors=[failures, Beating()],
            workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(10),
            graceful_shutdown_timeout=timedelta(seconds=10),
            sticky_queue_schedule_to_start_timeout=STICKY,
        ):
            http = contextlib.nullcontext() if sdk_metrics is None else watching.serving(watch, settings.worker_http)
            async with http as address:
                log.info("worker serves", queue=TASK_QUEUE, build=settings.build, http=address)
                await stop.wait()
    finally:
        await outbox.ended()
        await watched.dispose()
        await directory.dispose()
        await database.dispose()
        await keyring.close()


if __name__ == "__main__":
    program.run(lambda: asyncio.run(main()))
