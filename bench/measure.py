"""CPU and memory by process, and how numbers of several blocks are put together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from time import monotonic

import psutil

LOOK_EVERY = 0.1  # seconds between two looks; a look costs CPU of the servers that are measured
WITHIN = 1800.0  # seconds for one wait: thousands of cases on a busy machine are slow
CALLERS = 8  # one caller alone would measure its own waiting


@dataclass(frozen=True)
class Cpu:
    """CPU seconds by process: the servers with their children, the worker, and whoever calls."""

    temporal: float = 0.0
    postgres: float = 0.0
    worker: float = 0.0
    caller: float = 0.0

    @property
    def total(self) -> float:
        """What the product spends: the caller's own work is not among it."""
        return self.temporal + self.postgres + self.worker

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(
            self.temporal - other.temporal,
            self.postgres - other.postgres,
            self.worker - other.worker,
            self.caller - other.caller,
        )

    def __truediv__(self, n: float) -> Cpu:
        return Cpu(self.temporal / n, self.postgres / n, self.worker / n, self.caller / n)


@dataclass(frozen=True)
class Meter:
    """Reads the CPU of these processes (process ids)."""

    temporal: int
    postgres: int
    worker: int

    def read(self) -> Cpu:
        """CPU seconds spent so far."""
        own = psutil.Process().cpu_times()
        return Cpu(_tree(self.temporal), _tree(self.postgres), _tree(self.worker), own.user + own.system)


def _tree(pid: int) -> float:
    """CPU of a process and its children, ended ones included."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    # PostgreSQL's backends come and go: those that ended are in their parent's share
    total = times.user + times.system + times.children_user + times.children_system
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            total += times.user + times.system
    return total


def megabytes(pid: int) -> float:
    """Unique memory (USS) of a process in MB: what would be free again if it ended."""
    return float(psutil.Process(pid).memory_full_info().uss) / 1_000_000


def mean(blocks: Sequence[Cpu]) -> Cpu:
    """The mean of several blocks."""
    whole = Cpu(
        *(sum(part) for part in zip(*((b.temporal, b.postgres, b.worker, b.caller) for b in blocks), strict=True))
    )
    return whole / len(blocks)


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which this share of all lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def until(condition: Callable[[], Awaitable[bool]], what: str, within: float = WITHIN) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: It did not come true.
    """
    give_up = monotonic() + within
    while not await condition():
        if monotonic() > give_up:
            raise TimeoutError(f"never came true: {what}")
        await asyncio.sleep(LOOK_EVERY)


async def crowd(works: Iterable[Callable[[], Awaitable[object]]], callers: int = CALLERS) -> None:
    """Do all of it, so many at a time."""
    left = iter(works)

    async def caller() -> None:
        for work in left:
            await work()

    await asyncio.gather(*(caller() for _ in range(callers)))


__all__ = ["CALLERS", "Cpu", "Meter", "crowd", "mean", "megabytes", "quantile", "until"]
