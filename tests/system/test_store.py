"""The store's connections: one whose server has gone is not handed out, and nobody meets an error for it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from operations.local import Postgres
from operations.store import engine
from tests.world import World

AT_ONCE = 4


async def answers(database: AsyncEngine) -> list[int]:
    """What the server says through as many connections at once; the processes that served them."""
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(database.connect()) for _ in range(AT_ONCE)]
        return [(await c.execute(text("SELECT pg_backend_pid()"))).scalar_one() for c in connections]


async def test_connections_that_the_server_ended_are_replaced_before_anybody_uses_them(
    world: World, postgres: Postgres
) -> None:
    """As after a restart of PostgreSQL: every idle connection is dead, and the next statements run all the same."""
    database = engine(postgres.url("world"), world.keyring)
    watching = engine(postgres.url("world"), world.keyring)
    closed: list[object] = []
    event.listen(database.sync_engine, "invalidate", lambda connection, *_: closed.append(connection))
    try:
        before = await answers(database)
        assert len({*before}) == AT_ONCE
        async with watching.connect() as connection:
            for process in before:
                await connection.execute(text("SELECT pg_terminate_backend(:process)"), {"process": process})

            async def gone() -> bool:
                query = text("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(:processes)")
                left = (await connection.execute(query, {"processes": before})).scalar_one()
                return bool(left == 0)

            await world.until(gone, "the server has ended them")
        after = await asyncio.gather(*(answers(database) for _ in range(2)))
        assert not {*before} & {process for found in after for process in found}
        assert closed, "they were found dead, not used in vain"
    finally:
        await database.dispose()
        await watching.dispose()


async def test_a_connection_that_lives_is_used_again_and_nobody_asks_it_first(world: World, postgres: Postgres) -> None:
    """A checkout sends nothing: a step would pay three round trips for each session that it opens."""
    database, watching = (engine(postgres.url("world"), world.keyring) for _ in range(2))
    try:
        first = await answers(database)
        async with watching.connect() as connection:
            query = text("SELECT max(state_change) FROM pg_stat_activity WHERE pid = ANY(:processes)")
            quiet = (await connection.execute(query, {"processes": first})).scalar_one()
            async with AsyncExitStack() as stack:
                for _ in range(AT_ONCE):
                    await stack.enter_async_context(database.connect())
                await connection.rollback()
                assert (await connection.execute(query, {"processes": first})).scalar_one() == quiet
        assert {*await answers(database)} == {*first}
    finally:
        await database.dispose()
        await watching.dispose()
