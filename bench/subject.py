"""What is measured: a kind of case that can be opened, told something, and lived through."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from temporalio.client import Client

from bench.house import Room


class Subject(Protocol):
    """A claim on the bare SDK, or the product's."""

    name: str
    room: Room
    client: Client
    queue: str
    worker: int
    """Process id of its worker."""

    async def start_worker(self) -> None:
        """Start the worker's process; it need not serve yet."""
        ...

    def workflow_id(self, n: int) -> str:
        """The case with this number."""
        ...

    async def open(self, numbers: Sequence[int]) -> None:
        """Start these cases and wait until each has recorded its first steps and waits for a message."""
        ...

    async def ready(self, numbers: Sequence[int]) -> None:
        """Let these open cases be such that none of the messages to come makes them do more than record it."""
        ...

    async def say(self, n: int, k: int) -> str:
        """The k-th message to a case, from 0; returns its id once the case answers that it is recorded."""
        ...

    def kind(self, k: int) -> str:
        """What the k-th message is."""
        ...

    async def live(self, numbers: Sequence[int]) -> None:
        """Whole straight-through cases, from the first to the last step."""
        ...

    async def fall_due(self, numbers: Sequence[int], at: datetime) -> list[float]:
        """Let a timer of each of these open cases be due at this instant; seconds until each was recorded."""
        ...

    async def said(self, numbers: Sequence[int]) -> set[str]:
        """The ids of the messages that the store holds of these cases."""
        ...
