"""The parts of the measurement; each takes subjects, runs them in turns, and returns plain numbers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from statistics import median
from time import monotonic
from typing import Any

from temporalio.client import WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError

from bench.house import House
from bench.measure import Cpu, crowd, mean, megabytes, quantile
from bench.subject import Subject
from models.now import wall_clock

Report = Callable[[str], None]
_numbers = count()


def fresh(n: int) -> range:
    """So many numbers that no case has had."""
    first = next(_numbers) * 10_000
    return range(first, first + n)


# ---- CPU ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """CPU of one thing (a case, a message) for one subject, and its ratio to the first subject, block by block."""

    subject: str
    cpu: Cpu
    """Seconds, the mean of all blocks."""
    ratio: float
    """The median of the blocks' ratios: of two blocks that stand next to each other, so that a machine whose speed
    drifts tells on neither."""
    least: float
    most: float
    """The ratios between which eight of ten blocks lie."""


async def _in_turns(
    house: House,
    subjects: Sequence[Subject],
    rounds: int,
    block: Callable[[Subject, int], Awaitable[int]],
    kind: Callable[[Subject, int], str] = lambda *_: "",
) -> list[Cost]:
    """Run a block of each subject in each round, forwards and backwards by turns; a block says how much it did.

    Where a subject's blocks are of several kinds, each has a row of its own too.
    """
    spent: dict[str, list[Cpu]] = {s.name: [] for s in subjects}
    for n in range(rounds):
        for subject in subjects if n % 2 == 0 else reversed(subjects):
            meter = house.meter(subject.worker)
            before = meter.read()
            done = await block(subject, n)
            spent[subject.name].append((meter.read() - before) / done)
    first = spent[subjects[0].name]
    costs = []
    for subject in subjects:
        blocks = list(enumerate(spent[subject.name]))
        costs.append(_cost(subject.name, blocks, first))
        kinds = dict.fromkeys(kind(subject, n) for n, _ in blocks)
        if len(kinds) > 1:
            costs += [_cost(f"  {k}", [b for b in blocks if kind(subject, b[0]) == k], first) for k in kinds]
    return costs


def _cost(name: str, blocks: Sequence[tuple[int, Cpu]], first: Sequence[Cpu]) -> Cost:
    """What these blocks cost, each with its round, beside the first subject's."""
    ratios = [cpu.total / first[n].total for n, cpu in blocks]
    return Cost(name, mean([cpu for _, cpu in blocks]), median(ratios), quantile(ratios, 0.1), quantile(ratios, 0.9))


async def transitions(house: House, subjects: Sequence[Subject], cases: int, messages: int) -> list[Cost]:
    """One more message to an open case, from the update to the record that answers it."""
    numbers = {s.name: fresh(cases) for s in subjects}
    for subject in subjects:
        await subject.open(numbers[subject.name])
        await subject.ready(numbers[subject.name])

    async def block(subject: Subject, k: int) -> int:
        await crowd(partial(subject.say, n, k) for n in numbers[subject.name])
        return cases

    return await _in_turns(house, subjects, messages, block, lambda subject, k: subject.kind(k))


async def lives(house: House, subjects: Sequence[Subject], cases: int, rounds: int) -> list[Cost]:
    """Whole straight-through cases, several at a time."""

    async def block(subject: Subject, k: int) -> int:
        await subject.live(fresh(cases))
        return cases

    return await _in_turns(house, subjects, rounds, block)


# ---- latency --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Latency:
    """Milliseconds from a message to its answer, which comes after the commit; nothing else is going on."""

    subject: str
    median: float
    p99: float


async def latency(subjects: Sequence[Subject], messages: int) -> list[Latency]:
    """One message after another, to a different case each time."""
    numbers = {s.name: fresh(max(4, messages // 20)) for s in subjects}
    for subject in subjects:
        await subject.open(numbers[subject.name])
        await subject.ready(numbers[subject.name])
    took: dict[str, list[float]] = {s.name: [] for s in subjects}
    for i in range(messages):
        for subject in subjects:
            own = numbers[subject.name]
            began = monotonic()
            await subject.say(own[i % len(own)], i // len(own))
            took[subject.name].append((monotonic() - began) * 1000)
    return [Latency(name, median(values), quantile(values, 0.99)) for name, values in took.items()]


# ---- many open cases ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """So many open cases: memory of worker and Temporal in MB, and CPU in percent of a core while nothing happens."""

    subject: str
    cases: int
    worker: float
    temporal: float
    idle: Cpu
    cpu_of_opening: Cpu
    """Seconds for each case that was opened since the row before."""


async def held(house: House, subject: Subject, sizes: Sequence[int], idle_seconds: float, say: Report) -> list[Held]:
    """Open cases up to each of these sizes."""
    rows: list[Held] = []
    open_cases = 0
    meter = house.meter(subject.worker)
    for size in (0, *sizes):
        before = meter.read()
        step = 250
        while open_cases < size:
            part = fresh(min(step, size - open_cases))
            await subject.open(part)
            open_cases += len(part)
            say(f"{subject.name}: {open_cases} of {size} open")
        opening = (meter.read() - before) / max(1, size - (rows[-1].cases if rows else 0))
        before, began = meter.read(), monotonic()
        await asyncio.sleep(idle_seconds)
        idle = (meter.read() - before) / (monotonic() - began) / 0.01
        rows.append(Held(subject.name, size, megabytes(meter.worker), megabytes(meter.temporal), idle, opening))
    return rows


# ---- timers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lateness:
    """Seconds between an instant at which many timers were due and their records."""

    subject: str
    timers: int
    median: float
    p99: float
    most: float
    cpu: Cpu
    """Seconds for each timer; what it took to prepare them is not among it."""


async def lateness(house: House, subject: Subject, timers: int, prepare: timedelta) -> Lateness:
    """So many cases with one timer each, all due at one instant."""
    numbers = fresh(timers)
    if subject.name != "bare":
        await subject.open(numbers)
    at = wall_clock() + prepare
    meter = house.meter(subject.worker)

    async def just_before() -> Cpu:
        await asyncio.sleep((at - wall_clock()).total_seconds())
        return meter.read()

    before = asyncio.create_task(just_before())
    late = await subject.fall_due(numbers, at)
    cpu = (meter.read() - await before) / timers
    return Lateness(subject.name, timers, median(late), quantile(late, 0.99), max(late), cpu)


# ---- after SIGKILL --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recovery:
    """Seconds from the start of the new worker's process until messages were answered, and what was lost."""

    subject: str
    what: str
    rounds: int
    cases: int
    first: float
    """The median of the rounds' first answers."""
    last: float
    """The median of the rounds' last answers."""
    worst: float
    """The last answer of the worst round."""
    acknowledged: int
    lost: int
    """Messages that were answered and are not in the store."""


async def recovery(subject: Subject, cases: int, rounds: int) -> list[Recovery]:
    """SIGKILL the worker while its cases are idle, and while messages are on their way; then start it again."""
    numbers = fresh(cases)
    await subject.open(numbers)
    results = []
    # every other one is of the kind that needs no case made ready for it: ten letters make no idle case
    messages = count(step=2)
    for what in ("idle", "in flight"):
        acknowledged: set[str] = set()
        firsts, lasts = [], []
        for _ in range(rounds):
            k = next(messages)
            # every case is in the worker's memory, and its tasks go to that worker alone
            await crowd(partial(subject.say, n, k) for n in numbers)
            k = next(messages)
            if what == "idle":
                await subject.room.kill()
                sent = [asyncio.create_task(_patiently(subject, n, k)) for n in numbers]
            else:
                sent = [asyncio.create_task(_patiently(subject, n, k)) for n in numbers]
                await _some(sent, random.uniform(0.1, 0.6))  # noqa: S311  # which moment it is, is of no importance
                await subject.room.kill()
            began = monotonic()
            await subject.start_worker()
            answers = [await task for task in sent]
            acknowledged |= {message for message, _ in answers}
            after = [at - began for _, at in answers if at > began]
            firsts.append(min(after))
            lasts.append(max(after))
        lost = acknowledged - await subject.said(numbers)
        results.append(
            Recovery(
                subject.name,
                what,
                rounds,
                cases,
                median(firsts),
                median(lasts),
                max(lasts),
                len(acknowledged),
                len(lost),
            )
        )
    return results


async def recovery_of_effects(
    subject: Subject, work: Callable[[Sequence[int]], Coroutine[Any, Any, None]], cases: int, rounds: int
) -> Recovery:
    """SIGKILL the worker while cases decide, send letters and order payments; then start it again."""
    lasts = []
    for _ in range(rounds):
        numbers = fresh(cases)
        await subject.open(numbers)
        working = asyncio.create_task(work(numbers))
        await asyncio.sleep(random.uniform(0.2, 2.0))  # noqa: S311  # as above
        await subject.room.kill()
        began = monotonic()
        await subject.start_worker()
        await working
        lasts.append(monotonic() - began)
    return Recovery(subject.name, "effects in flight", rounds, cases, min(lasts), median(lasts), max(lasts), 0, 0)


async def _some(tasks: Sequence[asyncio.Task[tuple[str, float]]], share: float) -> None:
    """Wait until this share of them is done."""
    for finished, next_one in enumerate(asyncio.as_completed(tasks), start=1):
        await next_one
        if finished >= share * len(tasks):
            return


async def _patiently(subject: Subject, n: int, k: int) -> tuple[str, float]:
    """Say it until it is answered, as a caller does whose connection broke; its id, and when the answer came."""
    while True:
        try:
            return await subject.say(n, k), monotonic()
        except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError):
            await asyncio.sleep(0.1)
