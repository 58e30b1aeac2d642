"""The port through which activities get the time; only the tests' wiring injects another one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Now(Protocol):
    """Gives the present instant in UTC."""

    def __call__(self) -> datetime:
        """The present instant, with zone UTC."""
        ...


def wall_clock() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)
