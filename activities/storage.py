"""`storage.begin`, `storage.step`, `storage.end`: the nightly run over the storage terms."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from integrations.data_systems import DataSystem
from models.errors import Refusal
from models.now import Now
from models.storage import StorageStep, StorageTotals
from operations import kept, storage
from operations.erasures import Ledger
from operations.intake import Sessions
from security.keys import Keyring

ENDS_WITHIN = 30
"""Seconds in which the run of a closed case ends: a task that a death cost is given out again after ten."""
STEPS = 25
"""Batches of one activity: five thousand cases or records, or fewer where cases are erased."""


class StorageActivities:
    """Judges, asks for destruction and erases, in steps that may all be repeated."""

    def __init__(
        self,
        sessions: Sessions,
        keyring: Keyring,
        client: Client,
        backups: Path,
        now: Now,
        systems: Sequence[DataSystem],
    ) -> None:
        """`systems`: all of them, the own store among them."""
        self._sessions = sessions
        self._keyring = keyring
        self._client = client
        self._backups = backups
        self._now = now
        self._systems = systems
        self._ledger = Ledger(keyring, backups)

    @activity.defn(name="storage.begin")
    async def begin(self) -> int:
        """Begin this run, or find it again after a crash; its number."""
        return await storage.begin(self._sessions, activity.info().workflow_run_id or "", self._now)

    @activity.defn(name="storage.step")
    async def step(self, asked: StorageStep) -> bool:
        """Go on with the run; False once nothing is left of it."""
        for _ in range(STEPS):
            if await storage.step(self._sessions, self._keyring, self._backups, self._now, asked.n, self._ended):
                continue
            if await kept.step(self._sessions, self._keyring, self._systems, self._ledger, self._now, asked.n):
                continue
            if not await kept.nobody_left(self._sessions, self._keyring, asked.n):
                return False
        return True

    async def _ended(self, case: str) -> None:
        """A case closes in the store, and then its run ends: without its key that would fail for ever.

        Raises:
            Refusal: It still runs.
        """
        for _ in range(ENDS_WITHIN):
            try:
                described = await self._client.get_workflow_handle(case).describe()
            except RPCError as e:
                if e.status is RPCStatusCode.NOT_FOUND:
                    return
                raise
            if described.status is not WorkflowExecutionStatus.RUNNING:
                return
            await asyncio.sleep(1)
        raise Refusal("case: its run has not ended yet")

    @activity.defn(name="storage.end")
    async def end(self, asked: StorageStep) -> StorageTotals:
        """Close the run; what it came to."""
        return await storage.end(self._sessions, self._now, asked.n)
