"""Health: each part that is down says so in a sentence of its own, and only what a worker needs makes it unready."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import psutil
import pytest
from sqlalchemy import text
from sqlmodel import col, update

import operations.health
from integrations.scim import Scim
from models.names import TASK_QUEUE
from models.tables import BellRow, CaseRow, ClientRow, IncomingRow
from operations.checkpoint import publish
from operations.directory import LocalDirectory
from operations.health import Health, ask
from operations.intake import Intake
from operations.local import Postgres
from operations.metrics import Failures
from operations.reset import reset
from operations.setup import (
    CHECKPOINT,
    CHECKPOINT_WITHIN,
    INCOMING,
    SWEEP,
    add_search_attributes,
    last_checkpoint,
    migrate,
    schedule_checkpoint,
    schedule_incoming,
    schedule_recurrences,
    schedule_storage,
    schedule_sweep,
)
from operations.store import engine, keyring, sessions
from operations.watching import Watch, serving
from security.master import MasterKeyFile
from tests.conftest import virtual_temporal
from tests.scim import TOKEN
from tests.system.test_starter import cli
from tests.workflows import test_access_request as access
from tests.workflows.test_claim import content
from tests.world import RIGA, World

LEFT_OVER = {"diverged", "waiting", "incoming", "destruction"}
"""What other tests leave behind in the store that they share."""

SIX_MINUTES = timedelta(minutes=6)
SECOND = timedelta(seconds=1)


async def health(world: World, **ahead: float) -> Health:
    """The world's health, now or later."""
    return await ask(
        world.sessions, world.client, world.keyring.answers, world.var / "checkpoints", world.now() + timedelta(**ahead)
    )


def problems(found: Health) -> dict[str, str]:
    """The parts with which something is wrong."""
    return {part.name: part.problem for part in found.parts if part.problem is not None}


@pytest.fixture
async def watched(worker_world: World) -> AsyncIterator[World]:
    """A world of its own, set up as an installation is, with a worker."""
    await worker_world.begin(datetime.now(UTC))
    await schedule_sweep(worker_world.client)
    await schedule_incoming(worker_world.client)
    await schedule_checkpoint(worker_world.client)
    await schedule_recurrences(worker_world.client)
    await schedule_storage(worker_world.client)
    async with worker_world.serving():
        yield worker_world


# ---- nothing is wrong -----------------------------------------------------------------------------------------------


async def test_where_everything_answers_nothing_is_said(watched: World) -> None:
    await watched.until(lambda: _workers_are_seen(watched), "the engine has seen the worker")
    found = await health(watched)
    assert (found.ready, found.ok, problems(found)) == (True, True, {})
    assert [part.name for part in found.parts] == [
        "engine",
        "attributes",
        "sweep",
        "reading",
        "recurrences",
        "storage",
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
    ]


async def _workers_are_seen(world: World) -> bool:
    return "workers" not in problems(await health(world))


# ---- the engine -----------------------------------------------------------------------------------------------------


async def test_an_engine_that_is_stopped_is_named_and_the_store_still_answers(world: World) -> None:
    environment = await virtual_temporal()
    client = environment.client
    await environment.shutdown()
    found = await ask(world.sessions, client, world.keyring.answers, world.var / "checkpoints", world.now())
    assert not found.ready
    # what others left in the store of these tests is named beside it
    assert set(problems(found)) - LEFT_OVER == {"engine"}
    assert problems(found)["engine"].startswith("the engine does not answer")
    assert found.stuck is None


async def test_an_engine_without_its_search_attributes_and_sweep_is_sent_to_setup(world: World) -> None:
    async with await virtual_temporal() as environment:
        found = await ask(
            world.sessions, environment.client, world.keyring.answers, world.var / "checkpoints", world.now()
        )
        assert not found.ready
        said = problems(found)
        assert said["attributes"].startswith("the engine lacks search attributes: CaseKind, Due,")
        assert said["attributes"].endswith("run: python starter.py setup")
        assert said["sweep"].startswith("there is no sweep")
        assert said["reading"].startswith("there is no schedule that reads what comes in")
        assert said["checkpoint"].startswith("there is no schedule of checkpoints")
        assert said["recurrences"].startswith("there is no schedule of recurring duties")
        assert said["storage"].startswith("there is no schedule of storage terms")
        assert said["workers"] == "no worker has asked for work in the last minutes"
        await add_search_attributes(environment.client)
        assert (
            await ask(world.sessions, environment.client, world.keyring.answers, world.var / "checkpoints", world.now())
        ).ready


async def test_a_paused_sweep_is_said(watched: World) -> None:
    await watched.client.get_schedule_handle(SWEEP).pause()
    found = await health(watched)
    assert problems(found)["sweep"].startswith("the sweep is paused")
    assert found.ready


# ---- checkpoints ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "promised"),
    [
        ("2026-11-22T01:59", "2026-11-21T01:00"),
        ("2026-11-22T02:00", "2026-11-22T01:00"),
        ("2026-11-22T23:59", "2026-11-22T01:00"),
        ("2026-11-23T00:30", "2026-11-22T01:00"),
    ],
)
def test_a_checkpoint_is_promised_for_every_night_and_has_an_hour(now: str, promised: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert last_checkpoint(at) == datetime.fromisoformat(promised).replace(tzinfo=UTC)
    assert last_checkpoint(at.astimezone(RIGA)) == last_checkpoint(at)


async def test_a_checkpoint_that_is_late_is_said_with_its_age(watched: World) -> None:
    """Before the first one as well; whoever makes the next, the fault is gone."""
    tonight = last_checkpoint(watched.now()) + timedelta(days=1) + CHECKPOINT_WITHIN

    async def said(at: datetime) -> str | None:
        found = await ask(watched.sessions, watched.client, watched.keyring.answers, watched.var / "checkpoints", at)
        assert found.ready
        return problems(found).get("checkpoint")

    async def made(at: datetime) -> None:
        await publish(watched.sessions, watched.keyring, watched.var / "checkpoints", lambda: at)

    assert await said(tonight - SECOND) is None
    assert (await said(tonight + timedelta(days=1)) or "").startswith("no checkpoint is found")
    await made(tonight)
    assert await said(tonight + timedelta(hours=23)) is None
    assert (await said(tonight + timedelta(hours=25)) or "").startswith("the last checkpoint is 25 hours old;")
    await made(tonight + timedelta(hours=25))
    assert await said(tonight + timedelta(hours=25)) is None
    found = await health(watched)
    assert found.checkpoint_at == tonight + timedelta(hours=25)


async def test_a_checkpoint_that_cannot_be_read_counts_as_none(watched: World) -> None:
    folder = watched.var / "checkpoints"
    folder.mkdir()
    for junk in (b"", b"half a li", b"[]", b'{"body": {"at": 7}}'):
        (folder / "000001.checkpoint").write_bytes(junk)
        assert (await health(watched)).checkpoint_at is None
    assert problems(await health(watched, days=3))["checkpoint"].startswith("no checkpoint is found")


async def test_checkpoints_that_are_paused_are_said(watched: World) -> None:
    await watched.client.get_schedule_handle(CHECKPOINT).pause()
    assert problems(await health(watched))["checkpoint"].startswith("the schedule of checkpoints is paused")


# ---- cases ----------------------------------------------------------------------------------------------------------


async def test_a_stuck_case_is_counted_and_leaves_the_worker_ready(watched: World) -> None:
    """A workflow type that the worker does not know fails as a fault of the program does."""
    await watched.client.start_workflow("NoSuchKind", id="stuck", task_queue=TASK_QUEUE)

    async def reported() -> bool:
        return (await health(watched)).stuck == 1

    await watched.until(reported, "the engine reports it")
    found = await health(watched)
    assert problems(found)["stuck"] == "cases that cannot go on: 1; see Stuck in docs/operators.md"
    assert (found.ready, found.ok) == (True, False)


# ---- the store ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def own_postgres() -> AsyncIterator[Postgres]:
    """A PostgreSQL that a test may stop."""
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres(Path(folder) / "postgres")
        await server.start()
        await asyncio.to_thread(migrate, server.url())
        yield server
        await server.stop()


async def test_a_store_that_stops_is_named_and_found_again(world: World, own_postgres: Postgres) -> None:
    database = engine(own_postgres.url(), world.keyring)

    async def asked() -> Health:
        return await ask(
            sessions(database), world.client, world.keyring.answers, world.var / "checkpoints", world.now()
        )

    assert (await asked()).ready
    await own_postgres.stop()
    found = await asked()
    assert not found.ready
    assert [part.name for part in found.parts if part.needed and not part.ok] == ["store"]
    assert problems(found)["store"].startswith("the store does not answer: ")
    assert (found.diverged, found.waiting) == (None, ())
    await own_postgres.start()
    assert (await asked()).ready
    await database.dispose()


async def test_a_store_that_hangs_is_given_up(
    world: World, own_postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connections stay open and nothing comes back, as behind a broken network."""
    database = engine(own_postgres.url(), world.keyring, pool=1)
    assert (
        await ask(sessions(database), world.client, world.keyring.answers, world.var / "checkpoints", world.now())
    ).ready
    monkeypatch.setattr(operations.health, "ANSWERS_WITHIN", 0.5)
    serving_it = [p for p in psutil.process_iter(["cmdline"]) if str(own_postgres.data) in (p.info["cmdline"] or [])]
    of_server = [*serving_it, *(child for p in serving_it for child in p.children(recursive=True))]
    for process in of_server:
        process.suspend()
    try:
        found = await ask(
            sessions(database), world.client, world.keyring.answers, world.var / "checkpoints", world.now()
        )
    finally:
        for process in of_server:
            process.resume()
    assert problems(found)["store"] == "the store does not answer in time"
    await database.dispose()


async def test_a_store_without_tables_is_sent_to_setup(world: World, postgres: Postgres) -> None:
    database = engine(postgres.url("postgres"), world.keyring)
    found = await ask(sessions(database), world.client, world.keyring.answers, world.var / "checkpoints", world.now())
    assert not found.ready
    assert problems(found)["schema"] == "the store has no tables yet; run: python starter.py setup"
    await database.dispose()


@pytest.mark.parametrize(
    ("revisions", "ready", "says"),
    [
        ([], False, "the store's schema is older than this version; run: python starter.py setup"),
        # the newer one only added what this version does not use: its workers go on while they are replaced
        (["of_tomorrow"], True, "the store's schema is newer than this version; bring it up to it"),
    ],
)
async def test_a_schema_of_another_version_is_said(
    world: World, postgres: Postgres, revisions: list[str], ready: bool, says: str
) -> None:
    name = f"schema_{len(revisions)}"
    await postgres.create_database(name)
    await asyncio.to_thread(migrate, postgres.url(name))
    database = engine(postgres.url(name), world.keyring)
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM alembic_version"))
        for revision in revisions:
            await connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision})
    found = await ask(sessions(database), world.client, world.keyring.answers, world.var / "checkpoints", world.now())
    assert (found.ready, problems(found)["schema"]) == (ready, says)
    await database.dispose()


async def test_what_came_in_and_was_not_understood_is_said_and_so_is_a_mailbox_that_cannot_be_read(
    worker_world: World,
) -> None:
    world = worker_world
    assert "incoming" not in problems(await health(world)), "nothing was read yet"
    async with world.sessions() as session, session.begin():
        session.add(IncomingRow(source="mail", looked_at=world.now(), aside=2))
    found = await health(world)
    assert problems(found)["incoming"].startswith("the mail that came back: 2 left for people")
    async with world.sessions() as session, session.begin():
        (await session.get_one(IncomingRow, "mail")).aside = 0
    assert "incoming" not in problems(await health(world))
    said = problems(await health(world, minutes=6))["incoming"]
    assert said == "the mail that came back could not be read for 6 minutes"


async def test_a_paused_reading_is_said(watched: World) -> None:
    await watched.client.get_schedule_handle(INCOMING).pause()
    assert (
        problems(await health(watched))["reading"]
        == "the schedule that reads what comes in is paused: bounces stay unknown"
    )


async def test_a_diverged_case_is_counted(watched: World) -> None:
    case = await watched.file("claim", "BTA", content(await watched.policy()))
    await watched.stage(case, "collecting")
    async with watched.sessions() as session, session.begin():
        await session.exec(update(CaseRow).where(col(CaseRow.case) == case).values(diverged=True))
    found = await health(watched)
    assert problems(found)["diverged"].startswith("cases that differ from their record: 1;")
    assert (found.ready, found.diverged) == (True, 1)
    assert case not in found.model_dump_json()


async def test_what_waits_is_said_once_it_waits_longer_than_the_sweep_needs(watched: World) -> None:
    """A filing that was kept while the engine was down, and a bell that nobody hears."""
    engine_down = Intake(watched.sessions, watched.keyring, None, watched.now)
    filed = await engine_down.submit(
        {
            "kind": "claim",
            "organisation": "BTA",
            "reference": "W-1",
            "received_at": watched.now().isoformat(),
            "sender": "system:tests",
            "content": content(await watched.policy()),
        }
    )
    assert not filed.started
    async with watched.sessions() as session, session.begin():
        session.add(BellRow(case="claim:BL:W-2", reason="test", created_at=watched.now()))
    assert "waiting" not in problems(await health(watched))
    found = await health(watched, minutes=6)
    assert problems(found)["waiting"] == (
        "filings that were not started: 1, the oldest for 6 minutes; "
        "bells that were not heard: 1, the oldest for 6 minutes"
    )
    assert found.ready
    assert [(w.what, w.organisation, w.number) for w in found.waiting] == [("bell", "BL", 1), ("filing", "BTA", 1)]


@pytest.mark.parametrize("way", ["filed again", "reset"])
async def test_a_filing_whose_first_run_ended_wrongly_is_said_until_its_case_is_opened(
    worker_world: World, way: str
) -> None:
    """It was kept and started, nobody is stuck, and nothing runs: only the store knows that something lacks."""
    world = worker_world
    await world.begin(datetime.now(UTC))
    client = await world.customer()
    filed = {
        "kind": "access_request",
        "organisation": "BL",
        "reference": "LOST-1",
        "received_at": world.now().isoformat(),
        "sender": "system:tests",
        "content": access.content(client, access.user()),
    }
    case = (await world.intake.submit(filed)).case
    await _belongs_to(world, client, "SE")
    async with world.serving():
        assert (await world.handle(case).result())["result"] == "refused"
    assert "waiting" not in problems(await health(world))
    found = await health(world, minutes=6)
    assert problems(found)["waiting"] == (
        "filings that were started and whose case was not opened: 1, the oldest for 6 minutes"
    )
    assert [(w.what, w.organisation, w.number) for w in found.waiting] == [("case", "BL", 1)]
    assert case not in found.model_dump_json()
    await _belongs_to(world, client, "BL")
    async with world.serving():
        if way == "filed again":
            again = await world.intake.submit(filed)
            assert (again.case, again.new, again.started) == (case, False, True)
        else:
            await reset(world.sessions, world.client, case, reason="the client is there again", to="first")
        await world.stage(case, "resting")
        # what the request opened is started by the sweep of the next minute
        await world.intake.start_waiting()
        await world.stage("credential:BL:LOST-1-U1", "issued")
    assert (await health(world, minutes=6)).waiting == ()


async def _belongs_to(world: World, client: str, organisation: str) -> None:
    async with world.sessions() as session, session.begin():
        row = await session.get(ClientRow, client)
        assert row is not None
        row.organisation = organisation


# ---- the key store --------------------------------------------------------------------------------------------------


async def test_a_key_store_that_cannot_be_had_is_named(world: World, postgres: Postgres, tmp_path: Path) -> None:
    keys = keyring(postgres.url("no_such_database"), MasterKeyFile(tmp_path / "master"))
    found = await ask(world.sessions, world.client, keys.answers, world.var / "checkpoints", world.now())
    assert not found.ready
    assert problems(found)["keys"] == "the key store does not answer: InvalidCatalogNameError (3D000)"
    await keys.close()


async def test_a_master_key_that_opens_no_key_is_named(world: World, postgres: Postgres, tmp_path: Path) -> None:
    """The text names master keys by their ids, and holds no key."""
    master = MasterKeyFile(tmp_path / "master")
    other = keyring(postgres.url("world_keys"), master)
    found = await ask(world.sessions, world.client, other.answers, world.var / "checkpoints", world.now())
    assert not found.ready
    assert problems(found)["keys"].startswith("the master key m-")
    assert (tmp_path / "master").read_text().split(":")[1].strip() not in found.model_dump_json()
    await other.close()


# ---- the identity provider ------------------------------------------------------------------------------------------


async def test_an_identity_provider_that_does_not_answer_is_said_and_keeps_no_worker_from_its_work(
    watched: World, postgres: Postgres
) -> None:
    nowhere = engine(postgres.url("no_such_database"), watched.keyring)
    for provider, problem in (
        (LocalDirectory(watched.sessions, watched.now), None),
        (LocalDirectory(sessions(nowhere), watched.now), "the local directory does not answer: "),
        (Scim("http://127.0.0.1:9/v2", TOKEN), "the identity provider cannot be reached: ConnectError: "),
    ):
        found = await ask(
            watched.sessions,
            watched.client,
            watched.keyring.answers,
            watched.var / "checkpoints",
            watched.now(),
            provider=provider,
        )
        assert found.ready
        [part] = [part for part in found.parts if part.name == "identity"]
        assert (part.problem or "").startswith(problem or "")
        assert part.ok is (problem is None)
        assert part.ok or "see Identity provider in docs/operators.md" in (part.problem or "")
    await nowhere.dispose()


# ---- who asks -------------------------------------------------------------------------------------------------------


async def test_the_probes_answer_over_http(watched: World) -> None:
    """Alive as long as it answers; ready as long as it can work."""

    async def keys() -> None:
        await watched.keyring.answers()
        if down:
            raise ConnectionRefusedError

    down: list[str] = []
    watch = Watch(watched.sessions, watched.client, keys, watched.var / "checkpoints", watched.now, Failures().registry)
    async with serving(watch, "127.0.0.1:0") as address, aiohttp.ClientSession(address) as http:
        assert await _get(http, "/livez") == (200, "ok\n")
        status, said = await _get(http, "/readyz")
        assert (status, Health.model_validate_json(said).ready) == (200, True)
        down.append("keys")
        status, said = await _get(http, "/readyz")
        assert status == 503
        assert problems(Health.model_validate_json(said))["keys"].endswith("ConnectionRefusedError")
        assert await _get(http, "/livez") == (200, "ok\n")


async def _get(http: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with http.get(path) as response:
        return response.status, await response.text()


async def test_an_address_that_is_taken_keeps_no_worker_from_its_work(world: World) -> None:
    watch = Watch(
        world.sessions, world.client, world.keyring.answers, world.var / "checkpoints", world.now, Failures().registry
    )
    async with serving(watch, "127.0.0.1:0") as address:
        assert address is not None
        async with serving(watch, address.removeprefix("http://")) as second:
            assert second is None


@pytest.mark.usefixtures("present")
async def test_the_command_says_all_parts_and_exits_with_4_where_no_worker_could_work(
    world: World, postgres: Postgres, tmp_path: Path
) -> None:
    where = installation(world, postgres, tmp_path)
    said = (await cli(where, "health")).stdout
    assert "\nschema      ok\n" in said
    assert "\nkeys        ok\n" in said
    assert "\nidentity    ok\n" in said
    said = (await cli({**where, "TEMPORAL_ADDRESS": "127.0.0.1:1"}, "health", code=4)).stdout
    assert said.startswith("engine      the engine does not answer\n")
    assert "\nstore       ok\n" in said
    found = Health.model_validate_json((await cli(where, "health", "--json")).stdout)
    assert found.ready


def installation(world: World, postgres: Postgres, tmp_path: Path) -> dict[str, str]:
    """The environment in which a program finds the world's servers."""
    return {
        "DATABASE_URL": postgres.url("world"),
        "TERMINS_KEYS_DATABASE_URL": postgres.url("world_keys"),
        "TERMINS_MASTER_KEY_FILE": str(world.var / "keys" / "master"),
        "TEMPORAL_ADDRESS": world.client.service_client.config.target_host,
        "TEMPORAL_NAMESPACE": world.client.namespace,
        "TERMINS_VAR": str(tmp_path),
    }
