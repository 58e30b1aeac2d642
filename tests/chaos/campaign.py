"""Many runs at once in one house, each disturbed in its own way, and what became of each."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import count
from typing import Any
from uuid import uuid4

from temporalio.client import WorkflowFailureError

from models.names import TASK_QUEUE
from tests.chaos.house import House, Victim
from tests.chaos.lives import ANSWERS, OUTAGES, Days, Life, Stuck, persist
from tests.chaos.points import Point
from tests.chaos.projection import Projection, copies, differences, project
from tests.chaos.scripts import SCRIPTS
from tests.world import RIGA

AT_ONCE = 10
"""Runs that do something at the same time; more of them wait for each other's deaths."""
SWEEP_EVERY = 4.0
"""Seconds between two sweeps, which a schedule makes every minute."""

_numbers = count(1)


@dataclass(frozen=True)
class Plan:
    """One run that is to be made: a script, and where a process dies in it."""

    script: str
    doom: Point | None = None

    def __str__(self) -> str:
        return f"{self.script}, {self.doom or 'undisturbed'}"


@dataclass
class Result:
    """What became of one run."""

    plan: Plan
    token: str
    problem: str | None = None
    projection: Projection = field(default_factory=dict)
    copies: list[str] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    struck: bool = False
    faults: list[str] = field(default_factory=list)
    """Everything in which the run is not as the undisturbed one."""


async def campaign(
    house: House,
    plans: Sequence[Plan],
    *,
    at_once: int = AT_ONCE,
    ended: Callable[[Result], None] = lambda _: None,
) -> list[Result]:
    """Live all these runs; the clocks begin at the machine's present, and days pass for all of them together."""
    await persist(lambda: house.now.set(datetime.now(UTC)), "the clocks are set")
    days = Days(house, len(plans))
    room = asyncio.Semaphore(at_once)
    sweeping = asyncio.create_task(_sweep(house))
    try:
        return await asyncio.gather(*(_live(house, plan, days, room, ended) for plan in plans))
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping


def new_life(house: House, days: Days, room: asyncio.Semaphore) -> Life:
    """A run with a token of its own."""
    number = next(_numbers)
    return Life(house, days, f"k{house.number}x{number}", number, room)


async def _live(
    house: House, plan: Plan, days: Days, room: asyncio.Semaphore, ended: Callable[[Result], None]
) -> Result:
    life = new_life(house, days, room)
    result = Result(plan, life.token)
    if plan.doom is not None:
        house.journal.doom(life.token, plan.doom)
    async with room:
        try:
            await SCRIPTS[plan.script](life)
        except Stuck as e:
            result.problem = str(e)
        finally:
            await days.leave()
        result.points, result.struck = house.journal.points(life.token), house.journal.struck(life.token)
        if result.problem is None:
            result.projection = await persist(lambda: project(house, life.cases), "the run is read")
            result.copies = copies(house, life.token)
    ended(result)
    return result


async def _sweep(house: House) -> None:
    """Deliver what a death left behind, more often than the schedule does."""
    while True:
        await asyncio.sleep(SWEEP_EVERY)
        with suppress(*OUTAGES, WorkflowFailureError):
            async with asyncio.timeout(ANSWERS):
                await house.client.execute_workflow("Sweep", id=f"chaos-sweep-{uuid4()}", task_queue=TASK_QUEUE)


class Trial:
    """Runs of one house, each compared with the undisturbed run of its script on the same day."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._day: date | None = None
        self.undisturbed: dict[str, Result] = {}

    async def live_in_peace(self, scripts: Sequence[str] = tuple(SCRIPTS)) -> dict[str, Result]:
        """The undisturbed run of each of these scripts.

        Raises:
            AssertionError: It cannot be lived even so.
        """
        if self._day != _today():
            self._day, self.undisturbed = _today(), {}
        new = [Plan(script) for script in scripts if script not in self.undisturbed]
        for result in await campaign(self._house, new):
            assert result.problem is None, f"{result.plan}: {result.problem}"
            assert not result.copies, f"{result.plan}: {result.copies}"
            self.undisturbed[result.plan.script] = result
        return self.undisturbed

    async def live(
        self,
        plans: Sequence[Plan],
        *,
        meanwhile: Callable[[], Coroutine[Any, Any, None]] | None = None,
        ended: Callable[[Result], None] = lambda _: None,
    ) -> list[Result]:
        """Live these runs and see in what each is not as the undisturbed one; `meanwhile` disturbs them all.

        What midnight falls into is lived again: its days are others.
        """
        while True:
            await self.live_in_peace(sorted({plan.script for plan in plans}))
            disturbing = asyncio.create_task(meanwhile()) if meanwhile is not None else None
            try:
                results = await campaign(self._house, plans, ended=ended)
            finally:
                if disturbing is not None:
                    disturbing.cancel()
                    await asyncio.wait([disturbing])
            if self._day != _today():
                continue
            if disturbing is not None and not disturbing.cancelled():
                disturbing.result()
            for result in results:
                if result.problem is None:
                    same = self.undisturbed[result.plan.script].projection
                    result.faults = [*result.copies, *differences(same, result.projection)]
                else:
                    result.faults = [result.problem]
            return results


def _today() -> date:
    return datetime.now(RIGA).date()


async def turmoil(
    house: House,
    dice: random.Random,
    victims: Sequence[Victim],
    *,
    every: float,
    away: Sequence[float] = (0.0, 1.0, 3.0),
) -> None:
    """Until it is cancelled: about every so many seconds somebody dies at random, and comes back now or a bit later."""
    while True:
        await asyncio.sleep(dice.uniform(0.5, 1.5) * every)
        await house.kill(dice.choice(victims), number=dice.randrange(len(house.workers)), away=dice.choice(away))
