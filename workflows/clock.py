"""The clocks of one case and the one timer that waits for them; the only place that waits for time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from models.case import ClockState, Tick


class Clocks:
    """Every open clock of a case, with one durable timer armed for the earliest tick of them all.

    The timer is set again only when the earliest tick moves, so that a message costs no timer of its own.
    """

    def __init__(self) -> None:
        self.all: dict[tuple[str, str], ClockState] = {}
        self._timer: asyncio.Task[None] | None = None
        self._armed_for: datetime | None = None

    @property
    def open(self) -> list[ClockState]:
        """The clocks that have not ended, the earliest due first."""
        return sorted((c for c in self.all.values() if c.open), key=lambda c: (c.due, c.key))

    def get(self, duty: str, subject: str = "") -> ClockState | None:
        """The latest clock of this duty and subject, ended or not."""
        return self.all.get((duty, subject))

    def running(self, duty: str, subject: str = "") -> bool:
        """True if a clock of this duty and subject is open."""
        clock = self.get(duty, subject)
        return clock is not None and clock.open

    def take(self, clocks: Iterable[ClockState]) -> None:
        """Take over what an activity says of clocks."""
        for clock in clocks:
            self.all[clock.key] = clock

    def next_tick(self) -> Tick | None:
        """The earliest reminder or due instant still to come or to be recorded."""
        ticks = []
        for clock in self.open:
            if clock.status == "running":
                ticks.append(Tick(duty=clock.duty, subject=clock.subject, what="due", instant=clock.due))
                ticks += [
                    Tick(duty=clock.duty, subject=clock.subject, what="reminder", instant=at) for at in clock.reminders
                ]
        return min(ticks, key=lambda t: (t.instant, t.duty, t.subject, t.what), default=None)

    def arm(self) -> None:
        """See to it that the workflow wakes at the next tick."""
        tick = self.next_tick()
        instant = tick.instant if tick else None
        if instant == self._armed_for and self._timer is not None:
            return
        self.disarm()
        if tick is None or tick.instant <= workflow.now():
            return
        clock = self.all[(tick.duty, tick.subject)]
        what = "reminder: " if tick.what == "reminder" else ""
        summary = f"{what}{clock.label} {clock.title} · due {clock.shown}"
        self._armed_for = instant
        self._timer = asyncio.create_task(self._wait(tick.instant, summary[:200]))

    def disarm(self) -> None:
        """Take the timer down."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._armed_for = None, None

    async def _wait(self, until: datetime, summary: str) -> None:
        # a server may wake early by a rounding; the deadline is the stored instant, not the length of the sleep
        while (left := until - workflow.now()).total_seconds() > 0:
            await workflow.sleep(left, summary=summary)
        self._timer, self._armed_for = None, None
