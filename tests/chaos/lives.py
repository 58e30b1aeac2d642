"""One run of a script: it says what its script says, through every outage, until everything stands still at its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import func
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from models.tables import BellRow, CaseRow, NoticeRow, PaymentOrderRow
from operations.loading import load
from tests.chaos.house import House
from tests.world import RIGA

LOOKS = 0.15
"""Seconds between two looks at something that is still to come."""
IDLE_LOOKS = 1.5
"""The same while the run passes no step: most of a campaign's time nothing changes, and looking costs more than waiting."""
ANSWERS = 20.0
"""Seconds after which a sender asks again."""

R = TypeVar("R")
OUTAGES = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, RPCError, TimeoutError)
"""What a sender sees of an outage: it tries again."""


class Stuck(Exception):
    """A run that makes no progress, or is refused what its script says; the text says what, and where it stands."""


async def persist(ask: Callable[[], Awaitable[R]], what: str, patience: float) -> R:
    """Ask until there is an answer, or for so many seconds.

    Raises:
        Stuck: There was none.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + patience
    while True:
        try:
            async with asyncio.timeout(ANSWERS):
                return await ask()
        except OUTAGES as e:
            if loop.time() > give_up:
                raise Stuck(f"no answer: {what}: {type(e).__name__}") from e
            await asyncio.sleep(LOOKS)


class Days:
    """The days of a campaign: all runs are on one day, and the next one begins when none of them has more to do."""

    def __init__(self, house: House, lives: int) -> None:
        self._house = house
        self._busy = lives
        self._waiting: Counter[int] = Counter()
        self._begun: dict[int, asyncio.Event] = {}
        self.base = house.now().replace(microsecond=0)

    def at(self, day: int) -> datetime:
        """The instant at which a day begins."""
        return self.base + timedelta(days=day)

    async def come(self, day: int) -> None:
        """Wait until all others have come to this day or ended; then the clocks show it."""
        begun = self._begun.setdefault(day, asyncio.Event())
        self._waiting[day] += 1
        await self.leave()
        await begun.wait()

    async def leave(self) -> None:
        """One run less that has something to do on this day."""
        self._busy -= 1
        if self._busy or not self._waiting:
            return
        day = min(self._waiting)
        self._busy = self._waiting.pop(day)
        await persist(lambda: self._house.now.set(self.at(day)), "the clocks are set")
        self._begun[day].set()


class Life:
    """See `scripts.Life`."""

    def __init__(self, house: House, days: Days, token: str, number: int, room: asyncio.Semaphore) -> None:
        self._house = house
        self._days = days
        self._day = 0
        self._said = 0
        self._room = room
        self.token = token
        self.number = number
        self.cases: list[str] = []

    # ---- what scripts ask -------------------------------------------------------------------------------------------

    def ago(self, **span: float) -> str:
        """See `scripts.Life`."""
        return (self._days.at(self._day) - timedelta(**span)).isoformat()

    def day(self) -> str:
        """See `scripts.Life`."""
        return self._days.at(self._day).astimezone(RIGA).date().isoformat()

    async def load(self, **data: Any) -> None:
        """See `scripts.Life`."""
        loaded = await persist(
            lambda: load(self._house.connection.sessions, self._house.connection.keyring, data),
            "policies and clients are loaded",
        )
        assert not loaded.faults, loaded.faults

    async def file(self, kind: str, organisation: str, content: dict[str, Any], *, received_at: str) -> str:
        """See `scripts.Life`."""
        filing = {
            "kind": kind,
            "organisation": organisation,
            "reference": f"{self.token}-{len(self.cases)}",
            "received_at": received_at,
            "sender": "system:chaos",
            "content": content,
        }
        filed = await persist(lambda: self._house.intake.submit(filing), "the filing is taken")
        self.cases.append(filed.case)
        return filed.case

    async def say(
        self, case: str, name: str, *, when: str, waits_for: str = "", actor: str = "op-1", **fields: Any
    ) -> None:
        """See `scripts.Life`."""
        await self.rests(case, when, waits_for)
        self._said += 1
        event, message = f"{self._said}-{name}", {"actor": actor, **fields}

        async def told() -> bool:
            delivered = await self._house.intake.submit_event(case, event, name, message)
            if delivered.refused:
                raise Stuck(f"{name} was refused: {'; '.join(delivered.refused)}")
            return not delivered.waiting

        await self._until(told, f"{case} takes {name}")

    async def rests(self, case: str, stage: str, waits_for: str = "") -> None:
        """See `scripts.Life`."""
        if case not in self.cases:
            self.cases.append(case)
        await self._until(lambda: self._still(case, stage, waits_for), f"{case} in {stage}, waiting for {waits_for}")

    async def until_day(self, day: int) -> None:
        """See `scripts.Life`."""
        self._room.release()
        try:
            await self._days.come(day)
        finally:
            await self._room.acquire()
        self._day = day
        for case in list(self.cases):
            await persist(partial(self._skip, case), f"{case} comes to day {day}")

    # ---- how it waits -----------------------------------------------------------------------------------------------

    async def _until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + PATIENCE
        while not await persist(condition, what):
            if loop.time() > give_up:
                raise Stuck(f"never came: {what}; {await self._where()}")
            await asyncio.sleep(LOOKS)

    async def _where(self) -> str:
        async def look() -> str:
            async with self._house.connection.sessions() as session:
                rows = (await session.exec(select(CaseRow).where(col(CaseRow.case).in_(self.cases)))).all()
            return "; ".join(f"{r.case} is in {r.stage}, step {r.step}, waits for {r.waits_for}" for r in rows)

        return await persist(look, "where it stands")

    async def _still(self, case: str, stage: str, waits_for: str) -> bool:
        """Whether the case stands there with nothing on its way: no letter, order, bell, activity or task."""
        async with self._house.connection.sessions() as session:
            row = await session.get(CaseRow, case)
            if row is None or row.stage != stage or waits_for not in row.waits_for or "carrier" in row.waits_for:
                return False
            waiting = [
                select(func.count())
                .select_from(NoticeRow)
                .where(NoticeRow.case == case, col(NoticeRow.sent_at).is_(None), col(NoticeRow.refused).is_(None)),
                select(func.count())
                .select_from(PaymentOrderRow)
                .where(PaymentOrderRow.case == case, col(PaymentOrderRow.issued_at).is_(None)),
                select(func.count()).select_from(BellRow).where(BellRow.case == case, col(BellRow.heard_at).is_(None)),
            ]
            for query in waiting:
                if (await session.exec(query)).one():
                    return False
        raw = (await self._house.client.get_workflow_handle(case).describe()).raw_description
        if raw.pending_activities or raw.HasField("pending_workflow_task"):
            return False
        async with self._house.connection.sessions() as session:
            again = await session.get(CaseRow, case)
        return again is not None and again.step == row.step

    async def _skip(self, case: str) -> None:
        """Bring the case's own time to the campaign's."""
        handle = self._house.client.get_workflow_handle(case)
        try:
            while (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
                left = self._house.now() - await self._house.skipper.get_current_time(handle)
                if left < timedelta(seconds=1):
                    return
                await self._house.skipper.fast_forward(handle, left)
        except RPCError as e:
            # it closed between two of these
            if e.status is not RPCStatusCode.NOT_FOUND:
                raise
        except RuntimeError as e:
            # what a former try asked for and this one asked for again
            if "overridden" not in str(e):
                raise
            raise TimeoutError from e
