"""Many runs at once in one house, each disturbed in its own way, and what became of each."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count, product
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowFailureError
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from models.names import TASK_QUEUE
from tests.chaos.house import House, Victim
from tests.chaos.lives import ANSWERS, OUTAGES, Days, Life, Stuck, persist
from tests.chaos.points import Point
from tests.chaos.projection import Projection, broken_promises, copies, differences, project, troubles
from tests.chaos.scripts import AT_ONCE as SAID_AT_ONCE
from tests.chaos.scripts import SCRIPTS
from tests.world import RIGA

AT_ONCE = 10
"""Runs that do something at the same time; more of them wait for each other's deaths."""
SWEEP_EVERY = 4.0
"""Seconds between two sweeps, which a schedule makes every minute."""

NOT_FOLLOWED = (
    "ExecutionStatus = 'Running' AND TemporalReportedProblems = 'cause=WorkflowTaskFailedCauseNonDeterministicError'"
)
"""The cases whose last task failed because the code asked for something else than the history has."""

HOURS = range(-3, 5)
"""So many hours before and after the present lies what scripts say and what the shortest duties count."""

_numbers = count(1)


@dataclass(frozen=True)
class Plan:
    """One run that is to be made: a script, and where a process dies in it."""

    script: str
    doom: Point | None = None
    order: tuple[bool, ...] | None = None
    """For each time that the script says two things at once: they are said one after the other, or in reverse."""

    def __str__(self) -> str:
        return f"{self.script}, {self.doom or 'undisturbed'}"


def orders(script: str) -> list[tuple[bool, ...]]:
    """Every order in which a script's messages can come: in each of them it has an end of its own that is right."""
    return list(product((False, True), repeat=SAID_AT_ONCE.get(script, 0)))


@dataclass
class Result:
    """What became of one run."""

    plan: Plan
    token: str
    cases: list[str] = field(default_factory=list)
    problem: str | None = None
    projection: Projection = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    struck: bool = False
    wrong: list[str] = field(default_factory=list)
    """What is wrong with it, whatever the undisturbed run is like."""
    faults: list[str] = field(default_factory=list)
    """All that, and everything in which the run is not as an undisturbed one."""


async def campaign(
    house: House,
    plans: Sequence[Plan],
    *,
    at_once: int = AT_ONCE,
    ended: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Live all these runs; the clocks begin at the machine's present, and days pass for all of them together."""
    await persist(house, lambda: house.now.set(datetime.now(UTC)), "the clocks are set")
    # the days of the former runs were ahead: by what was published then, all that comes now would be dated back
    shutil.rmtree(house.checkpoints, ignore_errors=True)
    days = Days(house, len(plans))
    room = asyncio.Semaphore(at_once)
    async with sweeping(house):
        return await asyncio.gather(*(_live(house, plan, days, room, ended) for plan in plans))


@asynccontextmanager
async def sweeping(house: House) -> AsyncIterator[None]:
    """Sweeps every few seconds, for as long as the block runs."""
    sweeps = asyncio.create_task(_sweep(house))
    try:
        yield
    finally:
        sweeps.cancel()
        await asyncio.wait([sweeps])


def new_life(house: House, days: Days, room: asyncio.Semaphore, order: Sequence[bool] | None = None) -> Life:
    """A run with a token of its own."""
    number = next(_numbers)
    return Life(house, days, f"k{house.number}x{number}", number, room, order)


async def _live(
    house: House, plan: Plan, days: Days, room: asyncio.Semaphore, ended: Callable[[Result], None]
) -> Result:
    life = new_life(house, days, room, plan.order)
    result = Result(plan, life.token)
    if plan.doom is not None:
        house.journal.doom(life.token, plan.doom)
    async with room:
        try:
            await SCRIPTS[plan.script](life)
            await life.known_people_are_screened()
        except Stuck as e:
            result.problem = str(e)
        finally:
            await days.leave()
        result.cases = life.cases
        result.points, result.struck = house.journal.points(life.token), house.journal.struck(life.token)
        if result.problem is None:
            result.projection = await persist(house, lambda: project(house, life.token, life.cases), "the run is read")
            result.wrong = [
                *copies(house, life.token),
                *await persist(house, lambda: broken_promises(house, life.answers), "the answers are looked up"),
                *await persist(house, lambda: troubles(house, life.cases), "the histories are read"),
            ]
    ended(result)
    return result


async def _sweep(house: House) -> None:
    """Deliver what a death left behind, more often than the schedule does; and see which cases a build lost."""
    while True:
        await asyncio.sleep(0 if house.sweeps else SWEEP_EVERY)
        with suppress(*OUTAGES, WorkflowFailureError):
            async with asyncio.timeout(ANSWERS):
                async for case in house.client.list_workflows(NOT_FOLLOWED):
                    house.lost.add(case.id)
                sweep = house.sweeps[0] if house.sweeps else f"chaos-sweep-{uuid4()}"
                with suppress(WorkflowAlreadyStartedError):
                    started = await house.client.start_workflow(
                        "Sweep", id=sweep, task_queue=TASK_QUEUE, id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE
                    )
                    _asked_for(house, sweep)
                    await started.result()
                _asked_for(house, sweep)


def _asked_for(house: House, sweep: str) -> None:
    """Whoever wanted this sweep has it."""
    if sweep in house.sweeps:
        house.sweeps.remove(sweep)


class Trial:
    """Runs of one house, each compared with the undisturbed run of its script on the same day."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._day: tuple[date, ...] | None = None
        self._undisturbed: dict[str, list[Result]] = {}

    async def live_in_peace(self, scripts: Sequence[str] = tuple(SCRIPTS)) -> dict[str, list[Point]]:
        """The points that the undisturbed runs of each of these scripts pass.

        Raises:
            AssertionError: One of them cannot be lived even so.
        """
        if self._day != _today():
            self._day, self._undisturbed = _today(), {}
        new = [
            Plan(script, order=order)
            for script in scripts
            if script not in self._undisturbed
            for order in orders(script)
        ]
        for result in await campaign(self._house, new):
            assert result.problem is None, f"{result.plan}: {result.problem}"
            assert not result.wrong, f"{result.plan}: {result.wrong}"
            self._undisturbed.setdefault(result.plan.script, []).append(result)
        return {
            script: sorted({point for result in self._undisturbed[script] for point in result.points})
            for script in scripts
        }

    async def live(
        self,
        plans: Sequence[Plan],
        *,
        meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None,
        ended: Callable[[Result], None] = lambda _: None,
    ) -> list[Result]:
        """Live these runs and see in what each is not as the undisturbed one; `meanwhile` disturbs them all.

        What midnight falls into, of now or of hours away, is lived again: its days are others.
        """
        while True:
            await self.live_in_peace(sorted({plan.script for plan in plans}))
            results = await self._disturbed(campaign(self._house, plans, ended=ended), meanwhile)
            if self._day != _today():
                continue
            for result in results:
                result.faults = [result.problem] if result.problem is not None else self._faults(result)
            return results

    async def _disturbed(
        self, living: Coroutine[Any, Any, list[Result]], meanwhile: Callable[[], Coroutine[Any, Any, None]] | None
    ) -> list[Result]:
        """Live, and be disturbed meanwhile; what cannot go on disturbing ends the lives too."""
        if meanwhile is None:
            return await living
        lives, disturbing = asyncio.create_task(living), asyncio.create_task(meanwhile())
        try:
            await asyncio.wait([lives, disturbing], return_when=asyncio.FIRST_COMPLETED)
            if disturbing.done():
                disturbing.result()
            return await lives
        finally:
            for task in (lives, disturbing):
                task.cancel()
            await asyncio.wait([lives, disturbing])

    def _faults(self, result: Result) -> list[str]:
        """What is wrong with a run, and what it has unlike the undisturbed run that it is most like."""
        ways = [differences(same.projection, result.projection) for same in self._undisturbed[result.plan.script]]
        return [*result.wrong, *min(ways, key=len)]


def _today() -> tuple[date, ...]:
    """The days of all instants that a script counts by the hour: from 20:00 to 03:00 another one with each hour."""
    now = datetime.now(RIGA)
    return tuple((now + timedelta(hours=hours)).date() for hours in HOURS)


async def turmoil(
    house: House,
    dice: random.Random,
    victims: Sequence[Victim],
    *,
    every: float,
    away: Sequence[float] = (0.0, 1.0, 3.0),
) -> None:
    """Until it is cancelled: about every so many seconds somebody dies at random, and comes back now or a bit later.

    It abates to a fourth of that: on a busy machine an effect may need longer than the first pauses, and what is struck
    each time it is tried never ends.
    """
    pauses = (min(every * 1.1**n, every * 4) for n in count())
    for pause in pauses:
        await asyncio.sleep(dice.uniform(0.5, 1.5) * pause)
        await house.kill(dice.choice(victims), number=dice.randrange(len(house.workers)), away=dice.choice(away))
