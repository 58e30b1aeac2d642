"""`sweep.deliver` and `recount.ring`: what schedules and operators do to many cases."""

from __future__ import annotations

from temporalio import activity

from activities.outbox import Outbox
from models.common import Model
from models.now import Now
from operations.intake import Intake, Sessions
from operations.recount import ring_outdated


class Swept(Model):
    """How much an outage or a crash had left behind."""

    started: int
    restarted: int
    delivered: int
    rung: int
    told: int


class SweepActivities:
    """Delivers what waits, for all cases."""

    def __init__(self, sessions: Sessions, intake: Intake, outbox: Outbox, now: Now) -> None:
        self._sessions = sessions
        self._intake = intake
        self._outbox = outbox
        self._now = now

    @activity.defn(name="sweep.deliver")
    async def deliver(self) -> Swept:
        """Start filed cases, restart ended ones, deliver events, ring bells and send letters to staff that wait."""
        return Swept(
            started=await self._intake.start_waiting(),
            restarted=await self._intake.restart_ended(),
            delivered=await self._intake.deliver_waiting(),
            rung=await self._outbox.ring(),
            told=await self._outbox.tell_staff(None),
        )

    @activity.defn(name="recount.ring")
    async def ring_outdated(self) -> int:
        """Ring the next batch of cases whose clocks are of another version; the number that are left."""
        left = await ring_outdated(self._sessions, self._now)
        await self._outbox.ring()
        return left
