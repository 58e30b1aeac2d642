"""One run of a script: it says what its script says, through every outage, until everything stands still at its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
from sqlalchemy import exists, or_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from models.names import TASK_QUEUE
from models.tables import (
    AccountRow,
    BellRow,
    CaseRow,
    ClockRow,
    EventRow,
    NoticeRow,
    PartyRow,
    PaymentOrderRow,
    RecurrenceRow,
    ScreeningRow,
)
from operations.breach import Breaches
from operations.consents import Consents
from operations.loading import load
from operations.policies import Policies
from operations.proof import published_in
from operations.reading_json import Item
from operations.records import Records
from operations.sign_in import SignIn, asked_of
from security.proof import Signer
from tests.answers import camt_054, entry
from tests.chaos.house import House
from tests.chaos.scripts import Said
from tests.reports import report
from tests.world import RIGA

LOOKS = 0.15
"""Seconds between two looks at something that is still to come."""
IDLE_LOOKS = 1.5
"""The same while the run passes no step: mostly nothing changes, and looking costs more than waiting."""
ANSWERS = 20.0
"""Seconds after which a sender asks again."""

EARLY = 4
"""Before this hour of a day in Riga, spans are minutes instead of hours; longer than any span of a script."""

R = TypeVar("R")
OUTAGES = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, RPCError, TimeoutError)
"""What a sender sees of an outage: it tries again."""


class Stuck(Exception):
    """A run that makes no progress, or is refused what its script says; the text says what, and where it stands."""


async def persist(house: House, ask: Callable[[], Awaitable[R]], what: str) -> R:
    """Ask until there is an answer.

    Raises:
        Stuck: There was none.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + house.patience
    while True:
        try:
            async with asyncio.timeout(ANSWERS):
                return await ask()
        except OUTAGES as e:
            if loop.time() > give_up:
                raise Stuck(f"no answer: {what}: {type(e).__name__}") from e
            await asyncio.sleep(LOOKS)


def put(folder: Path, name: str, content: bytes) -> None:
    """A file that is there as a whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / f".{name}").write_bytes(content)
    (folder.parent / f".{name}").rename(folder / name)


@dataclass(frozen=True)
class Answer:
    """What a sender was told of an event: the step that took it, or that it was refused."""

    case: str
    event: str
    step: int | None


class Days:
    """The days of a campaign: all runs are on one day, and the next one begins when none of them has more to do."""

    def __init__(self, house: House, lives: int) -> None:
        self._house = house
        self._busy = lives
        self._waiting: Counter[int] = Counter()
        self._begun: dict[int, asyncio.Event] = {}
        self.night = asyncio.Lock()
        """One run over the storage terms at a time, one recount and one checkpoint, as their schedules see to it."""
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
        await persist(self._house, lambda: self._house.now.set(self.at(day)), "the clocks are set")
        self._begun[day].set()


_STANDS = select(
    col(CaseRow.stage),
    col(CaseRow.step),
    col(CaseRow.waits_for),
    or_(
        exists().where(
            col(NoticeRow.case) == col(CaseRow.case), col(NoticeRow.sent_at).is_(None), col(NoticeRow.refused).is_(None)
        ),
        exists().where(
            col(PaymentOrderRow.case) == col(CaseRow.case),
            col(PaymentOrderRow.issued_at).is_(None),
            # a payee who may be listed waits for a person
            ~exists().where(
                col(ScreeningRow.case) == col(PaymentOrderRow.case),
                col(ScreeningRow.key) == col(PaymentOrderRow.key),
                col(ScreeningRow.result).in_(("hit", "confirmed")),
            ),
        ),
        exists().where(col(BellRow.case) == col(CaseRow.case), col(BellRow.heard_at).is_(None)),
        exists().where(col(EventRow.case) == col(CaseRow.case), col(EventRow.delivered_at).is_(None)),
    ),
)
"""Where a case stands, and whether a letter, an order, a bell or an event of it is on its way."""


class Life:
    """See `scripts.Life`."""

    def __init__(
        self,
        house: House,
        days: Days,
        token: str,
        number: int,
        room: asyncio.Semaphore,
        order: Sequence[bool] | None = None,
    ) -> None:
        """`order`: for each time that two things are said at once, that they are said in turn, or in reverse."""
        self._house = house
        self._days = days
        self._day = 0
        self._said = 0
        self._swept = 0
        self._room = room
        self._order = None if order is None else list(order)
        self.token = token
        self.number = number
        self.cases: list[str] = []
        self.answers: list[Answer] = []

    # ---- what scripts ask -------------------------------------------------------------------------------------------

    def ago(self, **span: float) -> str:
        """See `scripts.Life`."""
        # a span of days goes from one clock time to the same, and its day is that of the law: the campaign's too
        at = self._days.at(self._day).astimezone(RIGA)
        # no span of hours reaches back beyond midnight: in one run it would, and minutes later it would not
        early = "hours" in span and at.hour < EARLY
        return (at - (timedelta(minutes=span["hours"]) if early else timedelta(**span))).isoformat()

    def day(self) -> str:
        """See `scripts.Life`."""
        return self._days.at(self._day).astimezone(RIGA).date().isoformat()

    async def load(self, **data: Any) -> None:
        """See `scripts.Life`."""
        loaded = await persist(
            self._house,
            lambda: load(self._house.connection.sessions, self._house.connection.keyring, data),
            "policies and clients are loaded",
        )
        assert not loaded.faults, loaded.faults

    async def premium(self, policy: str, **said: Any) -> None:
        """See `scripts.Life`."""
        await persist(self._house, lambda: self._policies.premium(policy, said), "the premium is written down")

    async def end(self, policy: str, **said: Any) -> None:
        """See `scripts.Life`."""

        async def ended() -> None:
            # an end whose answer was lost is said again
            if (await self._policies.show(policy)).facts["ended"] is None:
                await self._policies.end(policy, said)

        await persist(self._house, ended, "the end is written down")

    @property
    def _policies(self) -> Policies:
        connection = self._house.connection
        return Policies(connection.sessions, connection.keyring, self._house.now, self._house.intake)

    async def file(self, kind: str, organisation: str, content: dict[str, Any], *, received_at: str) -> str:
        """See `scripts.Life`."""
        reference = f"{self.token}-{len(self.cases)}"
        case = await self._submit(kind, organisation, reference, content, received_at=received_at)
        self.cases.append(case)
        return case

    async def _submit(
        self, kind: str, organisation: str, reference: str, content: dict[str, Any], *, received_at: str
    ) -> str:
        filing = {
            "kind": kind,
            "organisation": organisation,
            "reference": reference,
            "received_at": received_at,
            "sender": "system:chaos",
            "content": content,
        }
        return (await persist(self._house, lambda: self._house.intake.submit(filing), "the filing is taken")).case

    async def say(
        self, case: str, name: str, *, when: str, waits_for: str = "", actor: str = "op-1", **fields: Any
    ) -> None:
        """See `scripts.Life`."""
        await self.rests(case, when, waits_for)
        self._said += 1
        await self._tell(case, f"{self._said}-{name}", name, {"actor": actor, **fields}, may_be_refused=False)

    async def is_refused(self, case: str, name: str, *, when: str, **fields: Any) -> None:
        """See `scripts.Life`."""
        await self.rests(case, when)
        self._said += 1
        message = {"actor": "op-nobody", "once": uuid4().hex, **fields}
        if await self._tell(case, f"{self._said}-{name}", name, message, may_be_refused=True):
            raise Stuck(f"{name} of nobody was taken")

    async def say_both(
        self, case: str, one: Said, other: Said, *, when: str, waits_for: str = "", may_be_refused: bool = False
    ) -> list[bool]:
        """See `scripts.Life`."""
        await self.rests(case, when, waits_for)
        self._said += 1
        told = [
            partial(self._tell, case, f"both{self._said}-{name}", name, message, may_be_refused=may_be_refused)
            for name, message in (one, other)
        ]
        if self._order is None:
            return list(await asyncio.gather(*(tell() for tell in told)))
        taken = [False, False]
        for which in (1, 0) if self._order.pop(0) else (0, 1):
            taken[which] = await told[which]()
        return taken

    async def _tell(self, case: str, event: str, name: str, message: dict[str, Any], *, may_be_refused: bool) -> bool:
        """Report an event until it is answered; whether the case took it."""
        step: int | None = None

        async def told() -> bool:
            nonlocal step
            delivered = await self._house.intake.submit_event(case, event, name, {"actor": "op-1", **message})
            if delivered.refused and not may_be_refused:
                raise Stuck(f"{name} was refused: {'; '.join(delivered.refused)}")
            step = delivered.answer["step"] if delivered.answer else None
            return not delivered.waiting

        await self.until(told, f"{case} takes {name}")
        self.answers.append(Answer(case, event, step))
        return step is not None

    async def rests(self, case: str, stage: str, waits_for: str = "") -> None:
        """See `scripts.Life`."""
        if case not in self.cases:
            self.cases.append(case)
        await self.until(lambda: self._still(case, stage, waits_for), f"{case} in {stage}, waiting for {waits_for}")

    async def people(self, case: str, rows: list[dict[str, Any]]) -> None:
        """See `scripts.Life`."""
        house = self._house
        breaches = Breaches(house.connection.sessions, house.connection.keyring, house.intake, house.now)
        items = [Item(line=n, value=row) for n, row in enumerate(rows, 2)]

        async def all_are() -> bool:
            # what waits is delivered by a sweep; again says that the case has taken the list
            return (await breaches.load(case, items, "op-1")).before

        await self.until(all_are, f"{case} knows the people")

    async def recurs(self, duty: str, about: str, *, done_on: str) -> None:
        """See `scripts.Life`."""
        house = self._house
        said = {"organisation": "SE", "duty": duty, "about": about, "n": 1, "what": "done", "document": "dms/0"}
        by = {"said_on": date.fromisoformat(done_on), "said_by": "op-1", "recorded_at": house.now()}

        async def written() -> None:
            async with house.connection.sessions() as session, session.begin():
                await session.exec(insert(RecurrenceRow).values(**said, **by).on_conflict_do_nothing())

        await persist(house, written, "what recurs is written down")

    async def night(self) -> None:
        """See `scripts.Life`."""
        await self._once("Recurrences", "recurrences", self._day)

    async def _once(self, workflow: str, what: str, n: int) -> None:
        """Have one of the house's own workflows run to its end; its id is of the run: its steps can be deadly too."""
        name = f"chaos-{what}-{self.token}-{n}"

        async def over() -> bool:
            with suppress(WorkflowAlreadyStartedError):
                await self._house.client.start_workflow(
                    workflow, id=name, task_queue=TASK_QUEUE, id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE
                )
            handle = self._house.client.get_workflow_handle(name)
            if (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
                return False
            try:
                await handle.result()
            except WorkflowFailureError as e:
                raise Stuck(f"{name} failed: {getattr(e.cause, 'cause', None) or e.cause}") from e
            return True

        await self.until(over, f"{workflow} has run")

    async def sweep(self) -> None:
        """See `scripts.Life`."""
        while True:
            self._swept += 1
            name = f"chaos-sweep-{self.token}-{self._swept}"
            self._house.sweeps.append(name)
            status = WorkflowExecutionStatus.RUNNING

            async def over(name: str = name) -> bool:
                nonlocal status
                try:
                    described = await self._house.client.get_workflow_handle(name).describe()
                except RPCError as e:
                    if e.status is not RPCStatusCode.NOT_FOUND:
                        raise
                    return False
                status = described.status or status
                return status is not WorkflowExecutionStatus.RUNNING

            await self.until(over, "a sweep of its own is over")
            if status is WorkflowExecutionStatus.COMPLETED:
                return
            # whoever dies in a sweep leaves the rest to the next one

    async def recount(self, case: str) -> None:
        """See `scripts.Life`."""
        older = update(ClockRow).where(col(ClockRow.case) == case).values(rulebook_version="2020-01-01")

        async def age() -> None:
            async with self._house.connection.sessions() as session, session.begin():
                await session.exec(older)

        async with self._alone():
            await persist(self._house, age, "the clocks are of an older rulebook")
            await self._once("Recount", "recount", self._day)

    async def checkpoint(self) -> None:
        """See `scripts.Life`."""
        async with self._alone():
            await self._once("Checkpoint", "checkpoint", self._day)
        if faults := await persist(self._house, self._unpublished, "the checkpoints are read"):
            raise Stuck(f"checkpoints: {'; '.join(faults)}")

    async def _unpublished(self) -> list[str]:
        """What is wrong with the checkpoints, and which of the run's cases they do not hold as they stand."""
        connection = self._house.connection
        key = (await Signer.of(connection.keyring)).public_key
        published = await published_in(self._house.checkpoints, key)
        faults = list(published.faults)
        async with connection.sessions() as session:
            query = select(CaseRow.case, CaseRow.step, CaseRow.head).where(col(CaseRow.case).in_(self.cases))
            for case, step, head in (await session.exec(query)).all():
                seen = published.seen.get(case)
                if not seen or (seen[-1].count, seen[-1].head) != (step, head.hex()):
                    faults.append(f"{case} is not in them as it stands")
        return faults

    async def review(self, *, since: str) -> str:
        """See `scripts.Life`."""
        # nobody signs off the last month that is over, and so no sweep opens the one after a run's own
        first = self._days.base.astimezone(RIGA).replace(day=1, hour=0, minute=0, second=0)
        last, began = f"{first - timedelta(days=1):%Y-%m}", (first - timedelta(days=20)).isoformat()
        await self._submit("sign_in_review", "BL", last, {"month": last, "since": began}, received_at=first.isoformat())
        month = self._house.month()
        self._house.journal.belongs(f"sign_in_review:BL:{month}", self.token)
        content = {"month": month, "since": since}
        case = await self._submit("sign_in_review", "BL", month, content, received_at=self.ago())
        self.cases.append(case)
        return case

    async def record(self, reference: str, **said: Any) -> None:
        """See `scripts.Life`."""
        facts = {"organisation": "SE", "record": reference, "system": "crm", **said}
        await persist(self._house, lambda: self._records.say(facts), "the record is written down")

    async def hold(self, reference: str, *, lift: bool = False) -> None:
        """See `scripts.Life`."""
        said = {"organisation": "SE", "hold": f"H-{reference}", "document": "dms/suit-1", "record": reference}

        async def held() -> None:
            await (self._records.lift("SE", said["hold"]) if lift else self._records.hold(said))

        await persist(self._house, held, "the legal hold is said")

    async def destroyed(self, reference: str) -> None:
        """See `scripts.Life`."""
        proof = {"proof": "dms/act-1", "way": "beyond_recovery", "destroyed_at": self.ago()}
        await persist(self._house, lambda: self._records.destroyed("SE", reference, proof), "the proof is taken")

    @property
    def _records(self) -> Records:
        connection = self._house.connection
        return Records(connection.sessions, connection.keyring, self._house.now)

    async def consent(self, reference: str, **said: Any) -> None:
        """See `scripts.Life`."""
        text = {"text_version": "rinkodara-3", "text_sha256": "0" * 64, "notice_version": "pranesimas-7"}
        facts = {"organisation": "GJ", "consent": reference, "given_by": "portal", "proof": "crm/1", **text, **said}
        facts = {"informed_at": facts["given_at"], **facts}
        await persist(self._house, lambda: self._consents.give(facts), "the consent is written down")

    async def withdraw(self, reference: str) -> None:
        """See `scripts.Life`."""
        said = {"organisation": "GJ", "consent": reference, "withdrawn_by": "link"}
        await persist(self._house, lambda: self._consents.withdraw(said), "the consent is taken back")

    @property
    def _consents(self) -> Consents:
        connection = self._house.connection
        return Consents(connection.sessions, connection.keyring, self._house.now)

    async def storage_night(self) -> None:
        """See `scripts.Life`."""
        async with self._alone():
            await self._once("Storage", "storage", self._day)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """What the schedule lets only one do at a time."""
        # whoever waits for others lets others live meanwhile
        self._room.release()
        try:
            await self._days.night.acquire()
        finally:
            await self._room.acquire()
        try:
            yield
        finally:
            self._days.night.release()

    async def bank_says(self, case: str, payment: str) -> None:
        """See `scripts.Life`."""
        order = await persist(self._house, partial(self._row, PaymentOrderRow, case, payment), "the order is read")
        booked = entry(str(order.reference), str(order.amount), booked=date.fromisoformat(self.day()))
        put(self._house.bank / "in", f"{self.token}.xml", camt_054(booked, message=f"BANK-{self.token}"))

        async def executed() -> bool:
            order: PaymentOrderRow = await self._row(PaymentOrderRow, case, payment)
            return order.executed_on is not None

        await self._read_until(executed, f"{case} hears of {payment}")

    async def mail_returns(self, case: str, notice: str) -> None:
        """See `scripts.Life`."""
        sent = await persist(self._house, partial(self._row, NoticeRow, case, notice), "the letter is read")
        letters = self._house.letters.of(self.token, self._house.mails)
        letter = next(one for one in letters if str(sent.reference) in str(one["Message-ID"]))
        put(self._house.var / "mail-in" / "new", f"{self.token}-1", report(letter, self._days.at(self._day)))

        async def returned() -> bool:
            sent: NoticeRow = await self._row(NoticeRow, case, notice)
            return sent.bounced_at is not None

        await self._read_until(returned, f"{case} hears of {notice}")

    async def _row(self, table: type[R], *key: str) -> R:
        async with self._house.connection.sessions() as session:
            return await session.get_one(table, key)

    async def _read_until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Let what comes in be read until it is so: what is struck is read again, as the schedule does."""

        async def so() -> bool:
            with suppress(WorkflowAlreadyStartedError):
                # its id is of the run: its steps can be deadly points too
                await self._house.client.start_workflow(
                    "Incoming", id=f"chaos-incoming-{self.token}", task_queue=TASK_QUEUE
                )
            return await condition()

        await self.until(so, what)

    async def enrol(self, who: dict[str, Any]) -> None:
        """See `scripts.Life`."""
        await persist(self._house, lambda: self._house.enrol(self.number, who), "the clinic has a patient")

    async def sign_in(self, client: str, username: str) -> None:
        """See `scripts.Life`."""
        sessions = self._house.connection.sessions
        desk = SignIn(sessions, self._house.connection.keyring, self._house.now)

        async def standing() -> AccountRow:
            async with sessions() as session:
                return await session.get_one(AccountRow, (client, username))

        async def own_password() -> None:
            # what was set and not answered is not set again
            if (await standing()).must_change:
                await desk.report_password_changed(client, username)

        async def signed_in() -> None:
            if (await standing()).first_sign_in_at is None:
                asked = asked_of(client=client, username=username, method="password", address="192.0.2.1")
                assert (await desk.check(asked)).allowed

        case = (await persist(self._house, standing, "the account is read")).credential
        assert case is not None
        await persist(self._house, own_password, "the password is set")
        await self.rests(case, "issued")
        await persist(self._house, signed_in, "the user signs in")
        await self.rests(case, "active")

    async def fail_to_sign_in(self, client: str, username: str) -> None:
        """See `scripts.Life`."""
        sessions = self._house.connection.sessions
        desk = SignIn(sessions, self._house.connection.keyring, self._house.now)
        asked = asked_of(client=client, username=username, method="password", address="192.0.2.1")

        async def locked() -> None:
            while True:
                async with sessions() as session:
                    if (await session.get_one(AccountRow, (client, username))).locked_at is not None:
                        return
                await desk.report_failed(asked)

        await persist(self._house, locked, "the account is locked")

    async def until_day(self, day: int) -> None:
        """See `scripts.Life`."""
        self._room.release()
        try:
            await self._days.come(day)
        finally:
            await self._room.acquire()
        self._day = day
        for case in list(self.cases):
            await persist(self._house, partial(self._skip, case), f"{case} comes to day {day}")

    async def known_people_are_screened(self) -> None:
        """Wait until sweeps have screened whoever became known: no case waits for that."""

        async def all_are() -> bool:
            waiting = select(PartyRow.party).where(col(PartyRow.case).in_(self.cases), col(PartyRow.to_screen))
            async with self._house.connection.sessions() as session:
                return not (await session.exec(waiting)).all()

        await self.until(all_are, "whoever became known is screened")

    # ---- how it waits -----------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Look until it is so."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._house.patience
        while True:
            passed, idle = self._house.journal.size(self.token), loop.time() + IDLE_LOOKS
            if await persist(self._house, condition, what):
                return
            if lost := self._house.lost.intersection(self.cases):
                raise Stuck(f"never came: {what}; the build that served it cannot follow {', '.join(sorted(lost))}")
            if loop.time() > give_up:
                raise Stuck(f"never came: {what}; {await self._where()}")
            await asyncio.sleep(LOOKS)
            # what other processes write wakes nobody here
            while self._house.journal.size(self.token) == passed and loop.time() < idle:  # noqa: ASYNC110  # as above
                await asyncio.sleep(LOOKS)

    async def _where(self) -> str:
        async def look() -> str:
            async with self._house.connection.sessions() as session:
                rows = (await session.exec(select(CaseRow).where(col(CaseRow.case).in_(self.cases)))).all()
            return "; ".join(f"{r.case} is in {r.stage}, step {r.step}, waits for {r.waits_for}" for r in rows)

        return await persist(self._house, look, "where it stands")

    async def _still(self, case: str, stage: str, waits_for: str) -> bool:
        """Whether the case stands there with nothing on its way: no letter, order, bell, activity or task."""
        stands = _STANDS.where(col(CaseRow.case) == case)
        async with self._house.connection.sessions() as session:
            before = (await session.exec(stands)).one_or_none()
        if before is None:
            return False
        now_in, _, waits, busy = before
        if busy or now_in != stage or waits_for not in waits or "carrier" in waits:
            return False
        raw = (await self._house.client.get_workflow_handle(case).describe()).raw_description
        if raw.pending_activities or raw.HasField("pending_workflow_task"):
            return False
        async with self._house.connection.sessions() as session:
            return (await session.exec(stands)).one() == before

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
