"""A minimal claim as one would first write it with the bare SDK: four persists, three timers, messages as updates."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    import asyncpg

QUEUE = "bare"
STATES = ("received", "documents_complete", "approved", "paid")
TERMS = {"received": 30, "documents_complete": 30, "approved": 21}  # days
NOTIFIED = ("approved", "paid")

TABLES = """
CREATE TABLE audit (key text PRIMARY KEY, claim text NOT NULL, entry text NOT NULL, body jsonb NOT NULL,
                    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE claim (claim text PRIMARY KEY, state text NOT NULL, body jsonb NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE notification (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, claim text NOT NULL,
                           state text NOT NULL);
"""


class Store:
    """The store's side: one activity, one transaction."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @activity.defn(name="persist")
    async def persist(self, claim: str, key: str, state: str, entry: str, body: dict[str, Any]) -> None:
        """Write one step down; again is the same."""
        text = json.dumps(body)
        async with self._pool.acquire() as connection, connection.transaction():
            new = await connection.fetchval(
                "INSERT INTO audit (key, claim, entry, body) VALUES ($1, $2, $3, $4) "
                "ON CONFLICT DO NOTHING RETURNING 1",
                *(f"{claim}/{key}", claim, entry, text),
            )
            if not new:
                return
            await connection.execute(
                "INSERT INTO claim VALUES ($1, $2, $3, clock_timestamp()) ON CONFLICT (claim) DO UPDATE "
                "SET state = $2, body = $3, updated_at = clock_timestamp()",
                *(claim, state, text),
            )
            if state in NOTIFIED:
                await connection.execute("INSERT INTO notification (claim, state) VALUES ($1, $2)", claim, state)


@workflow.defn(name="BareClaim")
class BareClaim:
    """Received, complete, approved, paid; in each of the first three a timer runs."""

    def __init__(self) -> None:
        self.inbox: list[tuple[str, str]] = []
        self.kept: set[str] = set()

    @workflow.run
    async def run(self, body: dict[str, Any], due_in: float | None = None) -> str:
        """Live the claim.

        Args:
            body: what is persisted with every step.
            due_in: seconds until the first timer; None for its 30 days.
        """
        state = STATES[0]
        await self._persist("0", state, state, body)
        while state != STATES[-1]:
            left = due_in if due_in is not None else TERMS[state] * 86400
            timer = asyncio.create_task(workflow.sleep(timedelta(seconds=left)))
            entered = state
            while state == entered:
                await workflow.wait_condition(lambda: bool(self.inbox) or timer.done())  # noqa: B023  # awaited at once
                if not self.inbox:
                    await self._persist("due", state, "due", body)
                    due_in = TERMS[state] * 86400
                    break
                key, entry = self.inbox.pop(0)
                state = entry if entry in STATES else state
                await self._persist(key, state, entry, body)
                self.kept.add(key)
            timer.cancel()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return state

    async def _persist(self, key: str, state: str, entry: str, body: dict[str, Any]) -> None:
        await workflow.execute_activity_method(
            Store.persist,
            args=[workflow.info().workflow_id, key, state, entry, body],
            start_to_close_timeout=timedelta(seconds=30),
        )

    @workflow.update
    async def say(self, entry: str) -> str:
        """A message: a state moves the claim, anything else is only written down. Answered when it is persisted."""
        info = workflow.current_update_info()
        assert info is not None
        self.inbox.append((info.id, entry))
        await workflow.wait_condition(lambda: info.id in self.kept)
        return entry
