"""`sweep.deliver`, `recount.ring`, `checkpoint.publish`: what schedules and operators do to many cases."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.outbox import Outbox
from activities.screening import KnownPeople
from models import errors
from models.common import Model
from models.errors import Refusal
from models.now import Now
from operations.access import end_with_contract, open_credentials, ring_insured
from operations.accounts import end_lapsed
from operations.authenticator_decision import ring_concerned, tell_late
from operations.checkpoint import publish
from operations.erase_account import erase_without_case, ring_unobstructed
from operations.intake import Intake, Sessions
from operations.recount import ring_outdated
from operations.renewal import open_renewals
from operations.sign_in import keep_journals
from operations.sign_in_review import open_reviews
from security.keys import Keyring

log = structlog.get_logger()


class Swept(Model):
    """How much an outage or a crash had left behind."""

    started: int
    restarted: int
    delivered: int
    rung: int
    told: int
    renewals: int = 0
    """Reminders of the end of a contract that were opened."""
    concerned: int = 0
    """Decisions that clients have joined, and withdrawals whose client is none any more: both look again."""
    late: int = 0
    """Clients that came to an authenticator after a decision about it had closed, and are told of it."""
    credentials: int = 0
    """Cases that were opened for accounts that had none."""
    ended: int = 0
    """Accounts that ended with their client's contract (BL 11)."""
    insured: int = 0
    """Cases of users whose client's last insurance contract ended, or that has one again."""
    hits: int = 0
    """People who became known and may be on the sanctions list."""
    reviews: int = 0
    """Reviews of a month's journal of sign-ins that were opened."""
    lapsed: int = 0
    """Accounts whose own last day has passed."""
    unobstructed: int = 0
    """Erasures of users' data against which nothing stands any more: their cases were rung (BL-16-erase)."""
    erased: int = 0
    """Users of accounts that ended before there was an erasure, and whose cases have closed (BL-16-erase)."""
    journal: int = 0
    """Records of that journal whose term was over, and sessions that nobody had ended."""


class SweepActivities:
    """Delivers what waits, for all cases."""

    def __init__(self, sessions: Sessions, intake: Intake, outbox: Outbox, people: KnownPeople, now: Now) -> None:
        self._people = people
        self._sessions = sessions
        self._intake = intake
        self._outbox = outbox
        self._now = now

    @activity.defn(name="sweep.deliver")
    async def deliver(self) -> Swept:
        """Start filed cases, restart ended ones, deliver what waits, open and end what is due, screen the new.

        A part that fails holds up no other; the sweep fails by the first of them, once all were tried.
        """
        failed: list[Exception] = []

        async def part(work: Awaitable[int]) -> int:
            try:
                return await work
            except Exception as e:  # noqa: BLE001  # whatever it is, it is raised below
                failed.append(e)
                return 0

        swept = Swept(
            concerned=await part(ring_concerned(self._sessions, self._now)),
            unobstructed=await part(ring_unobstructed(self._sessions, self._now)),
            late=await part(tell_late(self._sessions, self._intake.keyring, self._now)),
            started=await part(self._intake.start_waiting()),
            restarted=await part(self._intake.restart_ended()),
            delivered=await part(self._intake.deliver_waiting()),
            rung=await part(self._outbox.ring()) + await part(self._outbox.ring_the_behind()),
            told=await part(self._outbox.tell_staff(None)),
            renewals=await part(open_renewals(self._sessions, self._intake, self._now)),
            credentials=await part(open_credentials(self._sessions, self._intake, self._now)),
            ended=await part(end_with_contract(self._sessions, self._now)),
            insured=await part(ring_insured(self._sessions, self._intake.keyring, self._now)),
            hits=await part(self._screen()),
            reviews=await part(open_reviews(self._sessions, self._intake, self._now)),
            lapsed=await part(end_lapsed(self._sessions, self._now)),
            erased=await part(erase_without_case(self._sessions, self._intake.keyring, self._now)),
            journal=await part(keep_journals(self._sessions, self._now)),
        )
        if failed:
            raise failed[0]
        return swept

    async def _screen(self) -> int:
        """Screen who became known, and tell of hits at once."""
        found = await self._people.screen()
        for case in sorted(set(found)):
            await self._outbox.tell_staff(case)
        if found:
            await self._outbox.ring()
        return len(found)

    @activity.defn(name="recount.ring")
    async def ring_outdated(self) -> int:
        """Ring the next batch of cases whose clocks are of another version; the number that are left."""
        left = await ring_outdated(self._sessions, self._now)
        await self._outbox.ring()
        return left


class CheckpointActivities:
    """Publishes the heads of all cases."""

    def __init__(self, sessions: Sessions, keyring: Keyring, folder: Path, now: Now) -> None:
        self._sessions = sessions
        self._keyring = keyring
        self._folder = folder
        self._now = now

    @activity.defn(name="checkpoint.publish")
    async def publish(self) -> int:
        """Make the next checkpoint; its number.

        Raises:
            ApplicationError: What lies in the folder is not whole and nothing was made; or the checkpoint was made,
                and what it holds of a case is not what those before it hold.
        """
        try:
            made = await publish(self._sessions, self._keyring, self._folder, self._now)
        except Refusal as e:
            raise ApplicationError(str(e), type=errors.REFUSED) from None
        for case, faults in made.faults.items():
            log.error("evidence is broken", case=case, faults=faults)
        if made.faults:
            # said once, in red: the next checkpoint goes on from this one
            text = f"checkpoint {made.number}: {', '.join(made.faults)}"
            raise ApplicationError(text, type=errors.EVIDENCE_BROKEN, non_retryable=True)
        return made.number
