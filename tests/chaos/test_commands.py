"""A command that is killed between any two of its steps and run again: erasure, rotation and backup of keys.

Each point of death begins with a copy of the same databases and files. After the second run they are as after one that
nobody disturbed: nothing can be read that should not be, and all that should be can.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from models.now import wall_clock
from operations.erase import LEDGER, erased_before
from operations.key_backup import backups, halves
from operations.local import Postgres
from operations.own_store import opened
from operations.store import engine
from operations.store import keyring as make_keyring
from security.keys import KeyDestroyed, Keyring, data_key
from security.master import MasterKeyFile
from tests.chaos import command
from tests.chaos.points import Journal, Point
from tests.conftest import make_world, virtual_temporal
from tests.security.test_erase import IBAN, NAME, closed

TOKEN = "k0x0"
CASES = [f"claim:BTA:{number}" for number in range(6)]
_numbers = count(1)
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.chaos.command", "tests.chaos.mailserver"])

pytestmark = pytest.mark.timeout(600)  # some thirty deaths, on a machine that may be busy with other tests


@dataclass(frozen=True)
class Scene:
    """Databases and files of an installation; nobody is connected."""

    postgres: Postgres
    keys: str
    var: Path
    store: str = "postgres"
    """Any database where a command needs no store."""
    case: str = ""
    other: str = ""
    engine: str = "127.0.0.1:1"

    @property
    def master(self) -> Path:
        """The master key."""
        return self.var / "keys" / "master"

    @property
    def backups(self) -> Path:
        """Where backups of keys lie, and the ledger of erasures."""
        return self.var / "backup" / "keys"

    @property
    def journal(self) -> Journal:
        """What the commands passed, and where one is to die."""
        return Journal(self.var / "chaos")

    @asynccontextmanager
    async def ring(self) -> AsyncIterator[Keyring]:
        """The keys, as a process has them that starts now."""
        ring = make_keyring(self.postgres.url(self.keys), MasterKeyFile(self.master))
        yield ring
        await ring.close()

    async def run(self, *words: str) -> int | None:
        """One command; its exit code, or minus the signal that ended it."""
        environment = {
            "TERMINS_VAR": str(self.var),
            "DATABASE_URL": self.postgres.url(self.store),
            "TERMINS_KEYS_DATABASE_URL": self.postgres.url(self.keys),
            "TEMPORAL_ADDRESS": self.engine,
        }
        process = _processes.Process(target=command.run, args=(self.var, TOKEN, environment, list(words)), daemon=True)
        process.start()
        await asyncio.to_thread(process.join)
        return process.exitcode

    async def died_at(self, point: Point, *words: str) -> None:
        """Let a command die there."""
        self.journal.doom(TOKEN, point)
        ended = await self.run(*words)
        assert (ended, self.journal.struck(TOKEN)) == (-signal.SIGKILL, True), (self.var / "output").read_text()

    async def points(self, *words: str) -> list[Point]:
        """Every point that a command passes whom nobody disturbs."""
        assert await self.run(*words) == 0, (self.var / "output").read_text()
        return self.journal.points(TOKEN)


@asynccontextmanager
async def copy(scene: Scene) -> AsyncIterator[Scene]:
    """The same once more, for as long as the block runs."""
    number = next(_numbers)
    names = {scene.keys: f"copy{number}_keys"}
    if scene.case:
        names[scene.store] = f"copy{number}"
    server = create_async_engine(scene.postgres.url("postgres"), isolation_level="AUTOCOMMIT")
    with tempfile.TemporaryDirectory(prefix="termins-chaos-") as folder:
        var = Path(folder) / "var"
        shutil.copytree(scene.var, var)
        async with server.connect() as connection:
            for original, name in names.items():
                await connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{original}"'))
            yield replace(scene, store=names.get(scene.store, scene.store), keys=names[scene.keys], var=var)
            for name in names.values():
                await connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    await server.dispose()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the files of the scenes lie."""
    with tempfile.TemporaryDirectory(prefix="termins-chaos-") as folder:
        yield Path(folder)


# ---- erasure --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def two_closed(postgres: Postgres, folder: Path) -> AsyncIterator[Scene]:
    """Two closed claims of the same person, and the engine that had their runs."""
    async with await virtual_temporal() as environment:
        async with make_world(postgres, environment, "two_closed") as world:
            case, other = await closed(world), await closed(world)
            shutil.copytree(world.var / "keys", folder / "closed" / "keys")
        address = environment.client.service_client.config.target_host
        yield Scene(postgres, "two_closed_keys", folder / "closed", "two_closed", case, other, address)


async def stored(scene: Scene) -> dict[str, list[dict[str, Any]]]:
    """All rows of the store, opened, by table; of the instants of an erasure only that there are some."""
    async with scene.ring() as ring:
        database = engine(scene.postgres.url(scene.store), ring)
        async with database.connect() as connection:
            rows = {
                table.name: [dict(row) for row in await opened(connection, select(table))]
                for table in SQLModel.metadata.sorted_tables
            }
        await database.dispose()
    for row in (row for table in rows.values() for row in table if "erased_at" in row):
        row["erased_at"] = row["erased_at"] is not None
    return {name: sorted(table, key=str) for name, table in rows.items()}


def told(rows: dict[str, list[dict[str, Any]]], case: str) -> str:
    """All that the store says of a case."""
    return str([row for table in rows.values() for row in table if row.get("case") == case])


async def destroyed(scene: Scene, case: str) -> bool:
    """Whether the key of a case is gone for ever."""
    async with scene.ring() as ring:
        try:
            await ring.of(case)
        except KeyDestroyed:
            return True
    return False


async def test_an_erasure_that_dies_anywhere_and_is_run_again_has_erased_one_case_and_no_more(
    two_closed: Scene,
) -> None:
    """Until then it is whole or empty, and its key is not gone before the store is empty and the ledger says so."""
    words = ("erase", two_closed.case, "--yes")
    before = await stored(two_closed)
    async with copy(two_closed) as peace:
        points = await peace.points(*words)
        after = await stored(peace)
    for one in (NAME, IBAN):
        assert one in told(before, two_closed.case)
        assert one not in told(after, two_closed.case)
    assert told(after, two_closed.other) == told(before, two_closed.other)
    assert {"before UPDATE", "before commit", "ended"} <= {point.step for point in points}
    for point in points:
        async with copy(two_closed) as scene:
            await scene.died_at(point, *words)
            gone, left = await destroyed(scene, scene.case), await stored(scene)
            assert left in (before, after), point
            assert not gone or (left == after and erased_before(scene.backups) == [scene.case]), point

            assert await scene.run(*words) == 0, point
            assert await stored(scene) == after, point
            assert await destroyed(scene, scene.case), point
            assert not await destroyed(scene, scene.other), point
            assert (scene.backups / LEDGER).read_text() == f"{scene.case}\n", point


# ---- keys -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def some_keys(postgres: Postgres, folder: Path) -> Scene:
    """A key database with keys and a tombstone."""
    scene = Scene(postgres, "some_keys", folder / "some")
    await postgres.create_database(scene.keys)
    async with scene.ring() as ring:
        await ring.setup()
        await ring.create(*CASES)
        await ring.destroy(CASES[-1])
    return scene


async def keys_in(scene: Scene) -> dict[str, bytes]:
    """What every key is, by its owner; every one can be opened."""
    async with scene.ring() as ring, ring._engine.connect() as connection:
        owners = (await connection.execute(select(data_key.c.owner).where(data_key.c.wrapped.is_not(None)))).scalars()
        return {owner: (await ring.of(owner)).derived(b"test") for owner in owners}


async def masters_in(scene: Scene) -> set[str]:
    """The master keys by which keys are wrapped."""
    async with scene.ring() as ring, ring._engine.connect() as connection:
        found = select(data_key.c.master).where(data_key.c.wrapped.is_not(None))
        return set((await connection.execute(found)).scalars())


async def test_a_rotation_that_dies_anywhere_and_is_run_again_leaves_one_master_key_and_every_data_key(
    some_keys: Scene,
) -> None:
    """In between every key can be opened and a new one be made; the former master key is nowhere in the end."""
    words = ("keys", "rotate")
    keys = await keys_in(some_keys)
    assert len(keys) == len(CASES) - 1 + 3
    former = some_keys.master.read_bytes()
    async with copy(some_keys) as peace:
        points = await peace.points(*words)
    assert [point for point in points if point.step == "before commit"][4:], "several batches"
    for point in points:
        async with copy(some_keys) as scene:
            await scene.died_at(point, *words)
            assert await keys_in(scene) == keys, point
            async with scene.ring() as ring:
                await ring.create("claim:BTA:new")
            made = await keys_in(scene)

            assert await scene.run(*words) == 0, point
            assert await keys_in(scene) == made, point
            assert await destroyed(scene, CASES[-1]), point
            assert await masters_in(scene) == set(MasterKeyFile(scene.master).held), point
            assert [path.name for path in scene.master.parent.iterdir()] == ["master"], point
            assert former.split(b":")[1].strip() not in scene.master.read_bytes(), point


async def test_a_backup_of_keys_that_dies_leaves_nothing_that_outlives_the_promised_delay(some_keys: Scene) -> None:
    """What was half written holds keys too: it goes when a backup of its day goes."""
    words = ("keys", "backup")
    async with copy(some_keys) as peace:
        points = await peace.points(*words)
    left = 0
    for point in points:
        async with copy(some_keys) as scene:
            await scene.died_at(point, *words)
            whole = len(backups(scene.backups))
            for half in halves(scene.backups):
                left += 1
                day = (wall_clock() - timedelta(days=31)).timestamp()
                os.utime(half, (day, day))
            assert await scene.run(*words) == 0, point
            assert halves(scene.backups) == [], point
            assert len(backups(scene.backups)) >= max(whole, 1), point
    assert left
