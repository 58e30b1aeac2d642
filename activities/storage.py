"""`storage.begin`, `storage.step`, `storage.end`: the nightly run over the storage terms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from temporalio import activity
from temporalio.client import Client

from integrations.data_systems import DataSystem
from models.now import Now
from models.storage import StorageStep, StorageTotals
from operations import kept, storage
from operations.erase import run_ended
from operations.erasures import Ledger
from operations.intake import Sessions
from security.keys import Keyring

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
        ended = partial(run_ended, self._client)
        for _ in range(STEPS):
            if await storage.step(self._sessions, self._keyring, self._backups, self._now, asked.n, ended):
                continue
            if await kept.step(self._sessions, self._keyring, self._systems, self._ledger, self._now, asked.n):
                continue
            if not await kept.nobody_left(self._sessions, self._keyring, asked.n):
                return False
        return True

    @activity.defn(name="storage.end")
    async def end(self, asked: StorageStep) -> StorageTotals:
        """Close the run; what it came to."""
        return await storage.end(self._sessions, self._now, asked.n)
