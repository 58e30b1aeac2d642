"""The minimal claim as a subject, and its worker: `python -m bench.bare`."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import asyncpg
from temporalio.client import Client
from temporalio.worker import Worker

from bench.house import House, Room
from bench.measure import crowd, until
from bench.minimal import QUEUE, STATES, TABLES, BareClaim, Store

BODY = {"claimant": "C1", "policy": "B-1", "amount": "1200.00", "text": "x" * 500}
"""573 bytes of JSON, give or take."""


class Bare:
    """A claim with nothing but timers, messages and rows."""

    name = "bare"
    queue = QUEUE

    def __init__(self, room: Room, client: Client, pool: asyncpg.Pool) -> None:
        self.room = room
        self.client = client
        self.worker = 0
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def at(cls, house: House) -> AsyncIterator[Bare]:
        """The subject with its worker, for as long as the block runs."""
        room = await house.room(cls.name)
        client = await Client.connect(room.temporal_address, namespace=room.name)
        async with asyncpg.create_pool(room.plain_database_url, min_size=1, max_size=2) as pool:
            await pool.execute(TABLES)
            subject = cls(room, client, pool)
            await subject.start_worker()
            await room.serves(client, QUEUE)
            try:
                yield subject
            finally:
                await room.stop()

    async def start_worker(self) -> None:
        """As the protocol says."""
        self.worker = await self.room.spawn("-m", "bench.bare")

    def workflow_id(self, n: int) -> str:
        """As the protocol says."""
        return f"claim-{n}"

    async def open(self, numbers: Sequence[int]) -> None:
        """As the protocol says."""
        await self._start(numbers)
        await self._hold(numbers, "received")

    async def ready(self, numbers: Sequence[int]) -> None:
        """As the protocol says: they are."""

    def kind(self, k: int) -> str:
        """As the protocol says."""
        return "note"

    async def say(self, n: int, k: int) -> str:
        """As the protocol says."""
        message = f"m{k}"
        await self.client.get_workflow_handle(self.workflow_id(n)).execute_update(BareClaim.say, "note", id=message)
        return f"{self.workflow_id(n)}/{message}"

    async def live(self, numbers: Sequence[int]) -> None:
        """As the protocol says."""
        await self.open(numbers)
        for state in STATES[1:]:
            await crowd(partial(self._tell, n, state) for n in numbers)

    async def fall_due(self, numbers: Sequence[int], at: datetime) -> list[float]:
        """As the protocol says."""
        await self._start(numbers, at)
        ids = [self.workflow_id(n) for n in numbers]

        async def all_due() -> bool:
            query = "SELECT count(*) FROM audit WHERE entry = 'due' AND claim = ANY($1)"
            return bool(await self._pool.fetchval(query, ids) == len(ids))

        await until(all_due, "every timer is recorded")
        rows = await self._pool.fetch("SELECT recorded_at FROM audit WHERE entry = 'due' AND claim = ANY($1)", ids)
        return [(row["recorded_at"] - at).total_seconds() for row in rows]

    async def said(self, numbers: Sequence[int]) -> set[str]:
        """As the protocol says."""
        ids = [self.workflow_id(n) for n in numbers]
        return {row["key"] for row in await self._pool.fetch("SELECT key FROM audit WHERE claim = ANY($1)", ids)}

    async def _start(self, numbers: Sequence[int], due: datetime | None = None) -> None:
        async def start(n: int) -> None:
            due_in = (due - datetime.now(UTC)).total_seconds() if due else None
            await self.client.start_workflow(
                BareClaim.run, args=[BODY, due_in], id=self.workflow_id(n), task_queue=QUEUE
            )

        await crowd(partial(start, n) for n in numbers)

    async def _tell(self, n: int, state: str) -> None:
        await self.client.get_workflow_handle(self.workflow_id(n)).execute_update(BareClaim.say, state, id=state)

    async def _hold(self, numbers: Sequence[int], state: str) -> None:
        ids = [self.workflow_id(n) for n in numbers]

        async def all_there() -> bool:
            query = "SELECT count(*) FROM claim WHERE state = $2 AND claim = ANY($1)"
            return bool(await self._pool.fetchval(query, ids, state) == len(ids))

        await until(all_there, f"{len(ids)} claims are {state}")


async def serve() -> None:
    """The worker, as the SDK makes it by default."""
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"], namespace=os.environ["TEMPORAL_NAMESPACE"])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    address = os.environ["DATABASE_URL"].replace("postgresql+asyncpg://", "postgresql://")
    async with (
        asyncpg.create_pool(address, min_size=1, max_size=20) as pool,
        Worker(client, task_queue=QUEUE, workflows=[BareClaim], activities=[Store(pool).persist]),
    ):
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve())
