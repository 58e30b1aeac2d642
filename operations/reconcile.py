"""Reconcile: after a restore, compare the store with the engine's histories and bring the one behind up to the other.

The histories hold every step that a run recorded and every proof that an effect outside has given. What the store lacks
of them is put back by the activities' own code (`Store`, given by the caller: operations know no activities), in the
order in which it happened. Nothing is sent, paid or issued.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import text
from sqlmodel import col, select, update
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.update.v1 import Outcome, Request
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.converter import DataConverter, WorkflowSerializationContext
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from models.access import IssueAccess, Issued, TakeAway, Withdrawn
from models.case import (
    Bells,
    Listen,
    NoticesSent,
    OpenCase,
    Opened,
    OrderIssued,
    OrderRef,
    Recorded,
    SendNotices,
    Transition,
)
from models.common import Model
from models.credential import SendSecret
from models.errors import InClear, Refusal, Unreadable
from models.names import EVENT_ID, KINDS, case_id, split_case_id
from models.now import Now
from models.privacy import Erased, Gathered, PrivacyWork, Released, Restricted
from models.rectification import Rectified
from models.tables import BellRow, CaseRow, ClockRow, EventRow, IntakeRow
from operations.consent_store import empty_again
from operations.erase import erase
from operations.filings import check
from operations.intake import Intake, Sessions, keep, named, refusal_of
from operations.policy_terms import empty_policies_again
from operations.recurrences import filed_by_itself
from security.keys import KeyDestroyed, Keyring, NoKey

PROVE: dict[str, tuple[type[Any], type[Any]]] = {
    "case.open": (OpenCase, Opened),
    "case.record": (Transition, Recorded),
    "case.listen": (Listen, Bells),
    "notice.send": (SendNotices, NoticesSent),
    "credential.send_secret": (SendSecret, NoticesSent),
    "payment.order": (OrderRef, OrderIssued),
    "access.issue": (IssueAccess, Issued),
    "access.withdraw_authenticator": (TakeAway, Withdrawn),
    "privacy.gather": (PrivacyWork, Gathered),
    "privacy.erase": (PrivacyWork, Erased),
    "privacy.restrict": (PrivacyWork, Restricted),
    "privacy.release": (PrivacyWork, Released),
    "privacy.rectify": (PrivacyWork, Rectified),
}
"""Activity → what it is asked and answers; those whose end in a history proves something about the store."""

_KINDS = {workflow: kind for kind, workflow in KINDS.items()}

PROVE_NOTHING = frozenset(
    {
        "case.spend",
        "late_premium.claims",
        "renewal.look",
        "credential.look",
        "credential.apply",
        "credential.look_at_erasure",
        "sign_in_review.count",
        "claim.assess",
        "privacy.people",
        "access.fallbacks",
        "access.void_secret",
        "authenticator_decision.look",
        "sweep.deliver",
        "recount.ring",
        "checkpoint.publish",
        "recurrences.open",
        "storage.begin",
        "storage.step",
        "storage.end",
        "incoming.read_bank",
        "incoming.read_mail",
    }
)
"""Activities that only look, tell others what the store holds already, keep what the run itself knows too, or belong to
no case."""

ASKED_AT_ONCE = "core_local_activity"
"""The SDK's name for the marker of an activity that was asked within a workflow task; its answer is in it."""

UNREADABLE = (ValueError, RuntimeError, ApplicationError, NoKey, Unreadable)
"""What reading the payloads of a case gives whose key is not here."""

ERASED = "erased"
"""The outcome of a case that was erased since the dump."""

RESTORED = "restored"
"""Why a case is rung whose run is behind its record: it looks, finds its record further on, and goes on from there."""

Progress = Callable[[str, int, int], None]
"""(what is being done, how much of it is done, of how much)."""


# ---- what histories prove -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fact:
    """One activity of a case that came to its end."""

    case: str
    at: datetime
    """When the engine had its answer."""
    activity: str
    asked: Any
    """None where the history holds the answer only: it was asked within a workflow task."""
    answered: Any

    @property
    def step(self) -> dict[str, Any]:
        """Of `case.record`: the step, a `Transition` as JSON; empty if nothing was recorded."""
        transition: dict[str, Any] = self.answered.transition
        return transition


class Verdict(Enum):
    """What became of a fact that the store was given."""

    done = "done"
    not_yet = "not yet"
    """It needs something that the store lacks, or comes out otherwise than the history says; nothing was written."""


@dataclass(frozen=True)
class Applied:
    """The end of one fact."""

    verdict: Verdict
    untold: int = 0
    """Letters to staff of this step: nothing proves whether they went out, so they are closed, not sent again."""
    secret_lost: bool = False
    """Login data went to a user, and their hash was only in what is lost: they have to be issued anew."""


class Store(Protocol):
    """The store's side: the activities' own code, without anything outside."""

    async def lacking(self, case: str, facts: Sequence[Fact]) -> list[Fact]:
        """Those of these facts that the store does not hold yet, in their order."""
        ...

    async def apply(self, fact: Fact) -> Applied:
        """Put one fact back, in one transaction, at the instant at which it happened."""
        ...


@dataclass(frozen=True)
class Reported:
    """An event that a sender reported and the case answered: its row in the store."""

    event: str
    name: str
    message: dict[str, Any]
    recorded_at: datetime
    delivered_at: datetime
    answer: dict[str, Any] | None
    refused: tuple[str, ...]


@dataclass
class Told:
    """What the engine knows of one case, over all its runs."""

    case: str
    facts: list[Fact] = field(default_factory=list)
    filing: dict[str, Any] | None = None
    """The filing that a run was started with."""
    reported: list[Reported] = field(default_factory=list)
    running: bool = False
    stands: int | None = None
    """The step after which the running run stands; None where it is about to ask the store anyway."""
    bell: int = 0
    """The highest number of a bell it heard."""
    readable: bool = True


class Reconciled(Model):
    """What was compared, put back and found; cases and counts only."""

    compared: int
    """Cases that the engine has runs of."""
    steps: dict[str, int]
    """Case → steps that the store lacked and has again (or, tried only, lacks)."""
    proofs: dict[str, int]
    """Case → proofs of effects, and answers to events, that the store lacked and has again."""
    filings: tuple[str, ...]
    """Cases whose filing was found in a history, or follows from it, and is kept again."""
    staff_letters: int
    """Letters to staff that were queued by steps put back; nothing proves whether they went out, so they are closed."""
    no_filing: tuple[str, ...]
    """Cases whose filing is in neither: the sender files them again, and this is run again."""
    erased: tuple[str, ...]
    """What was erased since the dump: nothing of it can be read. Cases are closed, consents and policies emptied."""
    unreadable: tuple[str, ...]
    """Cases whose history cannot be read: their keys are not here."""
    stuck: dict[str, int]
    """Case → the step, counted from what the store has, that comes out otherwise than its history says."""
    secrets: dict[str, int]
    """Case → users whose login data have to be issued anew."""
    adopting: tuple[str, ...]
    """Cases whose run is behind the store: rung, so that they go on from the record when a worker serves them."""
    started: tuple[str, ...]
    """Open cases without a running run: started again, from their record."""

    @property
    def clean(self) -> bool:
        """Nothing is left for a person."""
        return not (self.no_filing or self.unreadable or self.stuck or self.secrets)


# ---- reading histories ----------------------------------------------------------------------------------------------


async def runs_of(client: Client, cases: Sequence[str]) -> dict[str, list[WorkflowExecution]]:
    """Every run that the engine still has, by case, oldest first; of these cases, or of all.

    Raises:
        ValueError: One of the names is no case's.
    """
    types = ", ".join(f"'{name}'" for name in KINDS.values())
    queries = [f"WorkflowType IN ({types})"]
    if cases:
        queries = [f"{queries[0]} AND WorkflowId = '{case_id(*split_case_id(case))}'" for case in cases]
    found: dict[str, list[WorkflowExecution]] = defaultdict(list)
    for query in queries:
        async for run in client.list_workflows(query):
            found[run.id].append(run)
    return {case: sorted(found[case], key=lambda run: run.start_time) for case in sorted(found)}


async def tell(client: Client, case: str, runs: Sequence[WorkflowExecution]) -> Told:
    """Read all runs of a case, in order: continued, reset and reopened ones."""
    told = Told(case)
    converter = client.data_converter.with_context(
        WorkflowSerializationContext(namespace=client.namespace, workflow_id=case)
    )
    known: set[tuple[str, datetime, str]] = set()
    try:
        for run in runs:
            running = run.status is WorkflowExecutionStatus.RUNNING
            told.running |= running
            events = client.get_workflow_handle(case, run_id=run.run_id).fetch_history_events()
            reader = _Run(case, converter)
            async for event in events:
                await reader.read(event)
            told.filing = told.filing or reader.filing
            for fact in reader.facts:
                # a reset copies what went before it into the history of its new run
                key = (fact.activity, fact.at, repr(fact.answered))
                if key not in known:
                    known.add(key)
                    told.facts.append(fact)
            told.reported += reader.reported
            if running:
                told.stands = reader.stands
    except UNREADABLE:
        return Told(case, running=told.running, readable=False)
    told.facts.sort(key=lambda fact: fact.at)
    told.bell = max((bell for fact in told.facts for bell in _bells(fact)), default=0)
    told.facts = [fact for fact in told.facts if fact.activity != "case.listen"]
    return told


def _bells(fact: Fact) -> tuple[int, ...]:
    if fact.activity == "case.listen":
        return tuple(fact.answered.ids)
    return tuple(fact.step.get("heard", ())) if fact.activity == "case.record" else ()


class _Run:
    """Reads the history of one run."""

    def __init__(self, case: str, converter: DataConverter) -> None:
        self._case = case
        self._converter = converter
        self._asked: dict[int, tuple[str, Sequence[Payload]]] = {}
        self._requests: dict[str, tuple[datetime, Request]] = {}
        self.filing: dict[str, Any] | None = None
        self.facts: list[Fact] = []
        self.reported: list[Reported] = []
        self.stands: int | None = None

    async def read(self, event: HistoryEvent) -> None:
        """Take one event, in the order of the history."""
        at = event.event_time.ToDatetime(tzinfo=UTC)
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                started = event.workflow_execution_started_event_attributes
                await self._started(started.workflow_type.name, started.input.payloads)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                scheduled = event.activity_task_scheduled_event_attributes
                if scheduled.activity_type.name in PROVE:
                    self._asked[event.event_id] = (scheduled.activity_type.name, scheduled.input.payloads)
                    if scheduled.activity_type.name in ("case.open", "case.record"):
                        self.stands = None
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                completed = event.activity_task_completed_event_attributes
                if completed.scheduled_event_id in self._asked:
                    name, asked = self._asked.pop(completed.scheduled_event_id)
                    await self._ended(at, name, asked, completed.result.payloads)
            case EventType.EVENT_TYPE_MARKER_RECORDED:
                marker = event.marker_recorded_event_attributes
                if marker.marker_name == ASKED_AT_ONCE and "result" in marker.details:
                    (about,) = marker.details["data"].payloads
                    name = json.loads(about.data)["activity_type"]
                    if name in PROVE:
                        await self._ended(at, name, (), marker.details["result"].payloads)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:
                request = event.workflow_execution_update_admitted_event_attributes.request
                self._requests[request.meta.update_id] = (at, request)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
                accepted = event.workflow_execution_update_accepted_event_attributes
                if accepted.HasField("accepted_request"):
                    self._requests[accepted.accepted_request.meta.update_id] = (at, accepted.accepted_request)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
                answered = event.workflow_execution_update_completed_event_attributes
                await self._answered(at, answered.meta.update_id, answered.outcome)

    async def _started(self, workflow: str, payloads: Sequence[Payload]) -> None:
        start = next(iter(await self._converter.decode(payloads)), None)
        start = start.value if isinstance(start, InClear) else start
        if isinstance(start, dict) and isinstance(start.get("filing"), dict):
            self.filing = {**start["filing"], "kind": _KINDS[workflow]}

    async def _ended(self, at: datetime, name: str, asked: Sequence[Payload], answered: Sequence[Payload]) -> None:
        asks, answers = PROVE[name]
        ask = (await self._converter.decode(asked, [asks]))[0] if asked else None
        (answer,) = await self._converter.decode(answered, [answers])
        if isinstance(answer, Recorded | Bells):
            missed = map(Recorded.model_validate, answer.missed)
            self.facts += [Fact(self._case, at, "case.record", None, step) for step in missed]
        self.facts.append(Fact(self._case, at, name, ask, answer))
        if isinstance(answer, Opened) and answer.state is not None:
            self.stands = answer.state.step
        elif isinstance(answer, Recorded) and answer.result in ("recorded", "refused"):
            self.stands = answer.step

    async def _answered(self, at: datetime, id: str, outcome: Outcome) -> None:
        if not id.startswith(EVENT_ID) or id not in self._requests:
            return
        recorded_at, request = self._requests[id]
        (message,) = await self._converter.decode(request.input.args.payloads)
        answer: dict[str, Any] | None = None
        refused: tuple[str, ...] = ()
        if outcome.HasField("failure"):
            refused = refusal_of(await self._converter.decode_failure(outcome.failure))
        else:
            (answer,) = await self._converter.decode(outcome.success.payloads)
        self.reported.append(
            Reported(
                event=id.removeprefix(EVENT_ID),
                name=request.input.name,
                message=dict(message),
                recorded_at=recorded_at,
                delivered_at=at,
                answer=answer,
                refused=refused,
            )
        )


# ---- bringing both together -----------------------------------------------------------------------------------------


async def reconcile(
    sessions: Sessions,
    keyring: Keyring,
    client: Client,
    store: Store,
    now: Now,
    *,
    backups: Path,
    cases: Sequence[str] = (),
    dry_run: bool = False,
    progress: Progress = lambda what, done, total: None,
) -> Reconciled:
    """Compare these cases (or all) with their histories and put back what the store lacks; again finds nothing.

    Run it while no worker runs: the sweep would take a case for one that still has to start or to send. With `dry_run`
    nothing is changed. `backups` is the folder of the keys' backups, which remembers what was erased.
    """
    work = _Reconciliation(sessions, keyring, client, store, now, backups, dry_run=dry_run, progress=progress)
    if not cases:
        await work.forget_again()
    runs = await runs_of(client, cases)
    await work.read(runs)
    await work.replay()
    # a case that another one opened is filed again by that one's step
    while filed := await work.filed_since():
        await work.read({case: runs[case] for case in filed})
        await work.replay()
    await work.catch_up(cases)
    return work.report()


class _Reconciliation:
    """One run of it: reads, replays, then looks at what the store has and the engine has not."""

    def __init__(
        self,
        sessions: Sessions,
        keyring: Keyring,
        client: Client,
        store: Store,
        now: Now,
        backups: Path,
        *,
        dry_run: bool,
        progress: Progress,
    ) -> None:
        self._sessions = sessions
        self._keyring = keyring
        self._client = client
        self._store = store
        self._intake = Intake(sessions, keyring, client, now)
        self._now = now
        self._backups = backups
        self._dry_run = dry_run
        self._progress = progress
        self._stands: dict[str, tuple[bool, int | None]] = {}
        """Case → whether it has a running run, and the step after which that stands."""
        self._queues: dict[str, deque[Fact]] = {}
        self._steps: Counter[str] = Counter()
        self._proofs: Counter[str] = Counter()
        self._secrets: Counter[str] = Counter()
        self._filings: list[str] = []
        self._no_filing: list[str] = []
        self._erased: list[str] = []
        self._unreadable: list[str] = []
        self._adopting: list[str] = []
        self._started: list[str] = []
        self._bell = 0
        self._untold = 0

    # ---- the store is behind ----------------------------------------------------------------------------------------

    async def read(self, runs: dict[str, list[WorkflowExecution]]) -> None:
        """Read every history, and keep what the store lacks of it; the events of senders are put back at once."""
        for done, (case, its) in enumerate(runs.items()):
            self._progress("reading histories", done, len(runs))
            if await self._was_erased(case):
                await self._erase_again(case, max((run.close_time or run.start_time) for run in its))
                continue
            told = await tell(self._client, case, its)
            self._stands[case] = (told.running, told.stands)
            if not told.readable:
                self._unreadable.append(case)
                continue
            self._bell = max(self._bell, told.bell)
            await self._keep_filing(told)
            if not await self._is_filed(case):
                # a run that was refused has nothing to put back
                if any(f.activity == "case.open" and f.answered.result == "opened" for f in told.facts):
                    self._no_filing.append(case)
                continue
            lacking = await self._store.lacking(case, told.facts)
            if lacking:
                self._queues[case] = deque(lacking)
            self._proofs[case] += await self._keep_events(told)
        self._progress("reading histories", len(runs), len(runs))

    async def filed_since(self) -> list[str]:
        """Cases whose filing was nowhere, and is there since the steps of others were put back."""
        filed = [case for case in self._no_filing if await self._is_filed(case)]
        self._no_filing = [case for case in self._no_filing if case not in filed]
        return filed

    async def replay(self) -> None:
        """Put back what is lacking, in the order in which it happened over all cases.

        Cases share limits, accounts and fallbacks, so that order matters; and the engine hears of two steps in another
        order than they were committed now and then: what cannot be done yet waits until others have gone on.
        """
        total = sum(len(queue) for queue in self._queues.values())
        if self._dry_run:
            for queue in self._queues.values():
                self._count(queue)
            return
        await self._pass_bells()
        done, waiting = 0, list(self._queues)
        while waiting:
            heap = [(self._queues[case][0].at, case) for case in waiting]
            heapq.heapify(heap)
            waiting, before = [], done
            while heap:
                _, case = heapq.heappop(heap)
                queue = self._queues[case]
                applied = await self._store.apply(queue[0])
                if applied.verdict is Verdict.not_yet:
                    waiting.append(case)
                    continue
                self._count([queue.popleft()])
                self._untold += applied.untold
                self._secrets[case] += applied.secret_lost
                done += 1
                self._progress("putting back", done, total)
                if queue:
                    heapq.heappush(heap, (queue[0].at, case))
                else:
                    del self._queues[case]
            if done == before:
                return

    def _count(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            (self._steps if fact.activity == "case.record" else self._proofs)[fact.case] += 1

    async def _keep_filing(self, told: Told) -> None:
        """A run that was started with a whole filing has it in its history; it was kept when the run opened.

        What Termins files by itself, a turn of a recurring duty, follows from how its case opened.
        """
        opened = next((fact for fact in told.facts if fact.activity == "case.open"), None)
        if opened is None:
            return
        at = opened.answered.filed_at or opened.at
        filing = told.filing
        if filing is None and opened.answered.result == "opened" and opened.answered.state is not None:
            filing = filed_by_itself(opened.answered.state, at)
        if filing is None:
            return
        try:
            checked = await named(self._keyring, check(filing, at))
        except Refusal:
            return
        if await self._is_filed(checked.case):
            return
        self._filings.append(checked.case)
        if not self._dry_run:
            async with self._sessions() as session, session.begin():
                await keep(session, self._keyring, checked, at)

    async def forget_again(self) -> None:
        """Consents and policies that were erased since the dump are emptied before anybody asks for them."""
        self._erased += await empty_again(self._sessions, self._keyring, self._now(), dry_run=self._dry_run)
        self._erased += await empty_policies_again(self._sessions, self._keyring, dry_run=self._dry_run)

    async def _was_erased(self, case: str) -> bool:
        """Its key is destroyed: no history, dump or archive of it can be read."""
        try:
            await self._keyring.of(case)
        except KeyDestroyed:
            return True
        except NoKey:
            pass
        return False

    async def _erase_again(self, case: str, ended_at: datetime) -> None:
        """A dump from before an erasure has the case once more, unreadable and perhaps open: it ends here.

        Only closed cases are ever erased, so it was closed; with what outcome, and how its clocks ended, is gone.
        """
        async with self._sessions() as session, session.begin():
            known = await session.exec(
                select(IntakeRow.case).where(IntakeRow.case == case, col(IntakeRow.erased_at).is_(None))
            )
            if known.first() is None:
                return
            self._erased.append(case)
            if self._dry_run:
                return
            ends = {"stage": "closed", "closed_at": ended_at, "outcome": ERASED, "waits_for": ""}
            await session.exec(
                update(CaseRow).where(col(CaseRow.case) == case, col(CaseRow.closed_at).is_(None)).values(**ends)
            )
            await session.exec(
                update(ClockRow)
                .where(col(ClockRow.case) == case, col(ClockRow.ended_at).is_(None))
                .values(status="void", ended_at=ended_at)
            )
            await session.exec(
                update(EventRow)
                .where(col(EventRow.case) == case, col(EventRow.delivered_at).is_(None))
                .values(delivered_at=ended_at)
            )
        await erase(self._sessions, self._keyring, case, self._backups, self._now)

    async def _is_filed(self, case: str) -> bool:
        if self._dry_run and case in self._filings:
            return True
        async with self._sessions() as session:
            found = await session.exec(select(IntakeRow.case).where(IntakeRow.case == case))
            return found.first() is not None

    async def _keep_events(self, told: Told) -> int:
        """The rows of events that senders reported and the case answered; the number that were lacking."""
        lacked = 0
        async with self._sessions() as session, session.begin():
            for reported in told.reported:
                row = await session.get(EventRow, (told.case, reported.event))
                if row is not None and row.delivered_at is not None:
                    continue
                lacked += 1
                if self._dry_run:
                    continue
                if row is None:
                    row = EventRow(
                        case=told.case,
                        event=reported.event,
                        name=reported.name,
                        message=reported.message,
                        recorded_at=reported.recorded_at,
                    )
                    session.add(row)
                row.delivered_at, row.answer = reported.delivered_at, reported.answer
                row.refused = list(reported.refused) or None
                await session.flush()
        return lacked

    async def _pass_bells(self) -> None:
        """Steps under way name the bells that they heard by number: no new bell may get the number of a lost one."""
        async with self._sessions() as session, session.begin():
            connection = await session.connection()
            await connection.execute(
                text("SELECT setval(pg_get_serial_sequence('bell', 'id'), greatest(:heard, max(id), 1)) FROM bell"),
                {"heard": self._bell},
            )

    # ---- the engine is behind ---------------------------------------------------------------------------------------

    async def catch_up(self, cases: Sequence[str]) -> None:
        """Ring every case whose run is behind its record, and start what is open and has no running run."""
        not_ours = {*self._queues, *self._no_filing, *self._unreadable}
        async for row in self._cases(cases):
            if row.case in not_ours:
                continue
            running, stands = self._stands.get(row.case, (False, None))
            if running and stands is not None and stands < row.step:
                self._adopting.append(row.case)
                if not self._dry_run:
                    await self._ring(row.case)
            elif not running and row.closed_at is None and not await self._runs(row.case):
                self._started.append(row.case)
                if not self._dry_run:
                    await self._intake.start(row.case, row.kind)

    async def _cases(self, cases: Sequence[str]) -> AsyncIterator[CaseRow]:
        async with self._sessions() as session:
            query = select(CaseRow.case).order_by(CaseRow.case)
            if cases:
                query = query.where(col(CaseRow.case).in_(cases))
            names = (await session.exec(query)).all()
        for done, name in enumerate(names):
            self._progress("comparing", done, len(names))
            async with self._sessions() as session:
                row = await session.get(CaseRow, name)
            if row is not None:
                yield row
        self._progress("comparing", len(names), len(names))

    async def _ring(self, case: str) -> None:
        async with self._sessions() as session, session.begin():
            waits = select(BellRow.id).where(
                BellRow.case == case, BellRow.reason == RESTORED, col(BellRow.heard_at).is_(None)
            )
            if (await session.exec(waits)).first() is None:
                session.add(BellRow(case=case, reason=RESTORED, created_at=self._now(), rung_at=self._now()))
        await self._client.get_workflow_handle(case).signal("look_again")

    async def _runs(self, case: str) -> bool:
        """Whether the engine has a running run after all: its list lags behind a start by a moment."""
        try:
            described = await self._client.get_workflow_handle(case).describe()
        except RPCError as e:
            if e.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return described.status is WorkflowExecutionStatus.RUNNING

    # ---- the report -------------------------------------------------------------------------------------------------

    def report(self) -> Reconciled:
        """What was found and done."""
        return Reconciled(
            compared=len(self._stands),
            steps=dict(sorted((+self._steps).items())),
            proofs=dict(sorted((+self._proofs).items())),
            filings=tuple(sorted(self._filings)),
            staff_letters=self._untold,
            no_filing=tuple(self._no_filing),
            erased=tuple(self._erased),
            unreadable=tuple(self._unreadable),
            stuck={} if self._dry_run else {case: _step(self._queues[case]) for case in sorted(self._queues)},
            secrets=dict(sorted((+self._secrets).items())),
            adopting=tuple(self._adopting),
            started=tuple(self._started),
        )


def _step(queue: Sequence[Fact]) -> int:
    """The step at which a case is stuck; 0 is its opening."""
    return next((fact.step["step"] for fact in queue if fact.activity == "case.record"), 0)


__all__ = ["PROVE", "PROVE_NOTHING", "Applied", "Fact", "Reconciled", "Store", "Verdict", "reconcile"]
