"""Metrics and logs: what a scrape says of known cases, what a failed activity leaves, and that no label is a case."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from temporalio import activity
from temporalio.client import ActivityFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from models.names import TASK_QUEUE
from operations.local import Postgres
from operations.logs import PlainFormatter
from operations.metrics import Failures
from operations.store import engine, sessions
from operations.watching import Watch
from tests.system.test_health import installation
from tests.workflows.test_claim import MONDAY, content, documents, proposal
from tests.world import World
from worker import runner
from workflows import registry

ROOT = Path(__file__).parents[2]

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(exposed: str) -> Samples:
    """Name and labels → value, of everything that was exposed."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposed)
        for sample in family.samples
    }


def value(of: Samples, name: str, **labels: str) -> float:
    """One sample."""
    return of[(name, tuple(sorted(labels.items())))]


async def scrape(world: World, failures: Failures | None = None) -> Samples:
    """What the world's metrics say now."""
    own = (failures or Failures()).registry
    watch = Watch(world.sessions, world.client, world.keyring.answers, world.var / "checkpoints", world.now, own)
    return samples((await watch.metrics()).decode())


@contextlib.asynccontextmanager
async def serving(world: World, failures: Failures) -> AsyncIterator[None]:
    """A worker that counts."""
    async with Worker(
        world.client,
        task_queue=TASK_QUEUE,
        workflows=registry.ALL,
        activities=world.activities,
        workflow_runner=runner(),
        interceptors=[failures],
    ):
        yield


# ---- the ledger -----------------------------------------------------------------------------------------------------


async def test_the_ledger_is_counted_by_organisation_and_duty(worker_world: World) -> None:
    """Two claims: one decided in time, one whose 30 days passed; then that one is decided late."""
    world = worker_world
    await world.begin(MONDAY)
    async with world.serving():
        cases = [
            await world.file("claim", "BTA", content(await world.policy(), documents=documents(MONDAY)))
            for _ in range(2)
        ]
        for case in cases:
            await world.stage(case, "deciding")
            await world.covered(case)

        def clocks(of: Samples) -> dict[str, float]:
            states = ("running", "held", "overdue", "kept", "late", "void")
            return {
                state: number
                for state in states
                if (number := value(of, "termins_clocks", organisation="BTA", duty="BTA-10.5a", state=state))
            }

        assert clocks(await scrape(world)) == {"running": 2}
        await world.say(cases[0], "propose_decision", **proposal())
        await world.payment(cases[0], "C1:indemnity", "issued")
        assert clocks(await scrape(world)) == {"running": 1, "kept": 1}
        late = (await world.clock(cases[1], "BTA-10.5a")).latest + timedelta(hours=1)
        await world.advance(cases[1], late)
        assert clocks(await scrape(world)) == {"overdue": 1, "kept": 1}
        await world.say(cases[1], "propose_decision", **proposal())
        await world.payment(cases[1], "C1:indemnity", "issued")
        found = await scrape(world)
    assert clocks(found) == {"late": 1, "kept": 1}
    assert value(found, "termins_clocks_started_total", organisation="BTA", duty="BTA-10.5a") == 2


async def test_a_due_instant_that_no_worker_recorded_is_overdue_and_waits(worker_world: World) -> None:
    world = worker_world
    await world.begin(MONDAY)
    async with world.serving():
        case = await world.file("claim", "BTA", content(await world.policy(), documents=documents(MONDAY)))
        await world.stage(case, "deciding")
    due = (await world.clock(case, "BTA-10.5a")).due
    await world.now.set(due + timedelta(hours=2))
    found = await scrape(world)
    assert (await world.clock(case, "BTA-10.5a")).status == "running"
    assert value(found, "termins_clocks", organisation="BTA", duty="BTA-10.5a", state="overdue") == 1
    assert value(found, "termins_waiting", organisation="BTA", what="instant") >= 1
    assert value(found, "termins_waiting_oldest_seconds", organisation="BTA", what="instant") >= 7200


async def test_the_age_of_the_oldest_open_letter_is_told(worker_world: World) -> None:
    """The carrier's folder is no folder, so letters wait."""
    world = worker_world
    await world.begin(MONDAY)
    (world.var / "mail").write_text("")

    async def letters() -> float:
        number = value(await scrape(world), "termins_waiting", organisation="BTA", what="letter")
        assert number in {0, 1}
        return number

    async with world.serving():
        await world.file("claim", "BTA", content(await world.policy(), documents=documents(MONDAY)))

        async def clocks() -> bool:
            return any(name == "termins_clocks" for name, _ in await scrape(world))

        await world.until(clocks, "its first step is recorded")
        await world.until(letters, "a letter waits")
        assert await _age(world) < 3600
        await world.now.set(world.now() + timedelta(hours=3))
        assert await _age(world) >= 3 * 3600
        found = await scrape(world)
    assert value(found, "termins_part_ok", part="waiting") == 0
    assert value(found, "termins_ready") == 1


async def _age(world: World) -> float:
    return value(await scrape(world), "termins_waiting_oldest_seconds", organisation="BTA", what="letter")


async def test_no_label_and_no_line_names_a_case_or_a_person(worker_world: World) -> None:
    world = worker_world
    await world.begin(MONDAY)
    failures = Failures()
    async with serving(world, failures):
        case = await world.file("claim", "BTA", content(await world.policy(), documents=documents(MONDAY)))
        await world.stage(case, "deciding")
        watch = Watch(
            world.sessions, world.client, world.keyring.answers, world.var / "checkpoints", world.now, failures.registry
        )
        exposed = (await watch.metrics()).decode()
    labels = {(name, text) for (_, pairs) in samples(exposed) for name, text in pairs}
    assert {name for name, _ in labels} <= {"organisation", "duty", "state", "what", "part", "activity", "error"}
    assert case.split(":")[2] not in exposed
    assert "@" not in exposed


async def test_without_its_store_a_scrape_still_says_what_it_can(world: World, postgres: Postgres) -> None:
    """The ledger's numbers are missing then, rather than wrong."""
    nowhere = engine(postgres.url("no_such_database"), world.keyring)
    watch = Watch(
        sessions(nowhere),
        world.client,
        world.keyring.answers,
        world.var / "checkpoints",
        world.now,
        Failures().registry,
    )
    found = samples((await watch.metrics()).decode())
    assert value(found, "termins_part_ok", part="store") == 0
    assert value(found, "termins_ready") == 0
    assert not [name for name, _ in found if name.startswith(("termins_clocks", "termins_waiting"))]


# ---- activities that fail -------------------------------------------------------------------------------------------


@activity.defn(name="test.fails")
async def fails(how: str) -> None:
    """Fail as a library does, or as we do."""
    if how == "library":
        raise ValueError("Anna Bērziņa")
    raise ApplicationError("step 3 waits", type="StepOutOfOrder")


async def test_failed_attempts_are_counted_by_activity_and_type_of_error(world: World) -> None:
    failures = Failures()
    async with Worker(world.client, task_queue="failing", activities=[fails], interceptors=[failures]):
        for number, how in enumerate(("library", "library", "own")):
            await _fail(world, f"fail-{number}", how)
    found = await scrape(world, failures)
    assert value(found, "termins_activity_failures_total", activity="test.fails", error="ValueError") == 2
    assert value(found, "termins_activity_failures_total", activity="test.fails", error="StepOutOfOrder") == 1


async def _fail(world: World, id: str, how: str) -> None:
    with pytest.raises(ActivityFailureError):
        await world.client.execute_activity(
            fails,
            how,
            id=id,
            task_queue="failing",
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the SDK's loggers write, in the form of ours."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainFormatter())
    logger = logging.getLogger("temporalio")
    logger.addHandler(handler)
    activity.logger.activity_info_on_message = False
    yield stream
    activity.logger.activity_info_on_message = True
    logger.removeHandler(handler)


async def test_a_failed_step_leaves_one_line_with_case_duty_attempt_and_type(
    worker_world: World, lines: io.StringIO
) -> None:
    """A table is away: the database's text names the statement, the line does not."""
    world = worker_world
    await world.begin(MONDAY)
    failures = Failures()

    async def rename(of: str, to: str) -> None:
        async with world.sessions() as session, session.begin():
            await (await session.connection()).execute(text(f"ALTER TABLE {of} RENAME TO {to}"))

    async with serving(world, failures):
        case = await world.file("claim", "BTA", content(await world.policy(), documents=documents(MONDAY)))
        await world.stage(case, "deciding")
        await world.covered(case)
        await rename("timeline", "away")
        saying = asyncio.create_task(world.say(case, "propose_decision", **proposal()))

        async def failed() -> list[dict[str, Any]]:
            said = (json.loads(line) for line in lines.getvalue().splitlines())
            return [line for line in said if line.get("case") == case]

        first = (await world.until(failed, "a line"))[0]
        await rename("away", "timeline")
        await saying
    assert (first["event"], first["level"]) == ("Completing activity as failed", "warning")
    assert (first["case"], first["activity"], first["attempt"]) == (case, "case.record", 1)
    assert "BTA-10.5a" in first["duty"].split(", ")
    assert first["error"].startswith("ProgrammingError")
    assert any(place.startswith("activities/case.py:") for place in first["at"])
    assert "timeline" not in json.dumps(first)
    found = await scrape(world, failures)
    assert value(found, "termins_activity_failures_total", activity="case.record", error="ProgrammingError") >= 1


async def test_a_message_that_quotes_its_error_is_logged_without_the_quotation() -> None:
    """As asyncio's about a task whose exception nobody read, and the SDK's about a failure that it could not encode."""
    error = RuntimeError("no key")
    error.__cause__ = KeyError("Anna Bērziņa")
    message = f"original error: {error.__cause__}; {error.__cause__!r}"
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, message, (), (RuntimeError, error, None))
    line = json.loads(PlainFormatter().format(record))
    assert line["event"] == "original error: KeyError; KeyError"
    assert (line["error"], line["caused_by"]) == ("RuntimeError", ["KeyError"])
    assert "Anna" not in json.dumps(line, ensure_ascii=False)


def test_a_failed_workflow_task_is_logged_with_its_case() -> None:
    message = "Failed activation on workflow Claim with ID claim:BTA:2026-1 and run ID 0-1"
    record = logging.LogRecord("x", logging.WARNING, "x.py", 1, message, (), None)
    assert json.loads(PlainFormatter().format(record))["case"] == "claim:BTA:2026-1"


# ---- the worker's process -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("present")
async def test_a_worker_answers_with_the_sdks_metrics_beside_ours(
    world: World, postgres: Postgres, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "worker.py",
        cwd=ROOT,
        env={**os.environ, **installation(world, postgres, tmp_path), "TERMINS_WORKER_HTTP": "127.0.0.1:0"},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        said = json.loads(await process.stderr.readline())
        assert said["event"] == "worker serves"
        async with aiohttp.ClientSession(said["http"]) as http:
            async with http.get("/livez") as response:
                assert response.status == 200
            async with http.get("/readyz") as response:
                assert response.status == 200, await response.text()
            async with http.get("/metrics") as response:
                exposed = await response.text()
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()
    assert process.returncode == 0
    names = {name for name, _ in samples(exposed)}
    assert {"termins_ready", "process_resident_memory_bytes", "temporal_num_pollers"} <= names
