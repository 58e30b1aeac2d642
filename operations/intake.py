"""Intake: nothing that arrives is lost. File a case, report an event, start and deliver what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from models.access import AccessFiling, WithdrawalFiling
from models.authenticator_decision import BELL, PASSED_ON
from models.breach import BreachFiling, report_faults
from models.case import AHEAD, Entry, Filing, StartCase
from models.client_change import ClientChangeFiling
from models.common import Model
from models.coverage import CircumstanceFiling
from models.credential import CredentialFiling
from models.errors import Refusal
from models.keepable import unkeepable
from models.late_premium import LatePremiumFiling
from models.names import (
    EVENT_ID,
    KEPT,
    KINDS,
    MESSAGE_NAME,
    REFERENCE,
    TASK_QUEUE,
    case_id,
    id_fault,
    shortened,
    split_case_id,
)
from models.now import Now
from models.policy import Ended
from models.premium_refund import PremiumRefundFiling
from models.recovery import RecoveryFiling
from models.renewal import RenewalFiling
from models.settlement import NONE
from models.sign_in import SignInReviewFiling
from models.tables import (
    AccountRow,
    BellRow,
    CaseRow,
    ClientRow,
    EventRow,
    IntakeRow,
    PaymentOrderRow,
    PolicyRow,
    TimelineRow,
    TurnRow,
)
from models.tables.sealed import values_of
from models.task import TaskFiling
from operations.filings import Checked, check
from operations.operators import may_handle
from rules.period import Unit
from rules.policy import first_paid_late_on
from rules.rulebook import book
from rules.sign_in import borders
from security.codec import WasFiled
from security.index import reference_of
from security.keys import KeyDestroyed, Keyring

log = structlog.get_logger()

Sessions = async_sessionmaker[AsyncSession]

TASK_TIMEOUT = timedelta(seconds=5)
"""How long the engine waits for a worker's answer to a task of a case before another worker gets it (ten by default).

Of a worker's death it hears by nothing else. A step that waits for the store longer is heard of before (the SDK says
after four fifths of it that it goes on).
"""
ANSWERS_WITHIN = 10.0
"""Seconds after which a sweep goes on without the answer of a case."""
RUN_ENDED = "AcceptedUpdateCompletedWorkflow"
"""The engine's answer for a message that a run had taken and did not answer before it ended."""

AT_ONCE = 10
"""Cases to which a sweep speaks at the same time."""
LOOKED_UP = 500
"""Cases that a sweep looks up in the store at a time, however many there are."""
ENDED = (
    "ExecutionStatus IN ('Terminated', 'Failed', 'TimedOut', 'Canceled') AND "
    f"WorkflowType IN ({', '.join(map(repr, KINDS.values()))})"
)
"""The engine's query for runs of cases that did not end by themselves. By type: a run that was ended before its first
task has no search attributes."""


class Filed(Model):
    """What a filing came to."""

    case: str
    new: bool
    started: bool
    faults: tuple[str, ...] = ()
    result: str | None = None


class Delivered(Model):
    """What an event came to: the answer of the case, or why it refused; or that it waits for the case's engine."""

    case: str
    event: str
    answer: dict[str, Any] | None = None
    refused: tuple[str, ...] = ()
    waiting: bool = False


REOPENS: dict[str, frozenset[str]] = {
    "claim": frozenset(
        {"report_bounce", "reject_payment", "report_suit", "reopen_claim", "request_review", "report_dispute"}
    ),
    "access_request": frozenset({"report_bounce", "complete_line"}),
    "authenticator_withdrawal": frozenset({"report_bounce"}),
    "privacy_request": frozenset({"report_bounce", "lift_restriction"}),
    "late_premium": frozenset({"report_bounce", "reject_payment"}),
    "renewal": frozenset({"report_bounce"}),
    "premium_refund": frozenset({"reject_payment"}),
    "client_change": frozenset({"report_bounce"}),
    "credential": frozenset({"report_bounce"}),
    "recovery": frozenset({"report_repayment", "report_recovery_suit_end", "report_bounce"}),
    "breach": frozenset({"join_report", "add_facts", "assess_risk", "add_recipients", "report_bounce"}),
    "task": frozenset({"report_bounce"}),
}
"""Kind → the messages that may open a closed case again."""


class Intake:
    """Files cases and delivers events, through the store first and the engine second."""

    def __init__(self, sessions: Sessions, keyring: Keyring, client: Client | None, now: Now) -> None:
        self._sessions = sessions
        self._keyring = keyring
        self._client = client
        self._now = now

    @property
    def keyring(self) -> Keyring:
        """The keys under which it files."""
        return self._keyring

    # ---- filing -----------------------------------------------------------------------------------------------------

    async def submit(self, data: Any) -> Filed:
        """File a case: kept in the store, then started; an engine that is down starts it later.

        Raises:
            Refusal: The filing is refused, or its reference has other content already; every fault is named.
        """
        now = self._now()
        checked = check(data, now)
        async with self._sessions() as session, session.begin():
            await ask_store(session, checked)
            row, new = await keep(session, self._keyring, checked, now)
            # one whose first run ended before it was opened is started again by whoever files the same again
            opened = new or await session.get(CaseRow, row.case) is not None
            started = row.started_at is not None and opened
        if not started and row.result is None:
            started = await self.start(row.case, row.kind)
        return Filed(case=row.case, new=new, started=started, faults=tuple(row.faults), result=row.result)

    async def start(self, case: str, kind: str, event: str | None = None) -> bool:
        """Start the workflow of a filed case. False if the engine does not answer: the sweep tries again.

        False too while somebody else's run has the case's name: of another type, or on a queue where nobody listens.
        """
        if self._client is None:
            return False
        try:
            await self._client.start_workflow(
                KINDS[kind],
                StartCase(case=case, event=event),
                id=case,
                task_queue=TASK_QUEUE,
                task_timeout=TASK_TIMEOUT,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary=_summary(case),
                static_details=_details(case),
            )
        except WorkflowAlreadyStartedError:
            # it may be a run from before the filing, which ends as refused: opening the case says that it started
            return await self._is_ours(case, kind)
        except RPCError as e:
            log.warning("engine does not answer", case=case, status=e.status.name)
            return False
        async with self._sessions() as session, session.begin():
            row = await session.get(IntakeRow, case)
            if row is not None and row.started_at is None:
                row.started_at = self._now()
        return True

    async def _is_ours(self, case: str, kind: str) -> bool:
        """Whether the run that has the case's name is the case's."""
        assert self._client is not None
        try:
            run = await self._client.get_workflow_handle(case).describe()
        except RPCError as e:
            log.warning("engine does not answer", case=case, status=e.status.name)
            return False
        return _ours(run, case, kind)

    async def start_waiting(self, cases: Sequence[str] | None = None) -> int:
        """Start every filed case that an outage (or a crash) left behind; the number started."""
        async with self._sessions() as session:
            query = select(IntakeRow.case, IntakeRow.kind).where(
                col(IntakeRow.started_at).is_(None), col(IntakeRow.result).is_(None)
            )
            if cases is not None:
                query = query.where(col(IntakeRow.case).in_(cases))
            waiting = (await session.exec(query)).all()
        room = asyncio.Semaphore(AT_ONCE)

        async def start(case: str, kind: str) -> bool:
            async with room:
                return await self.start(case, kind)

        # a decision for everybody files a thousand
        return sum(await asyncio.gather(*(start(case, kind) for case, kind in waiting)))

    async def restart_ended(self) -> int:
        """Start again what was ended around its case (terminated, timed out): a duty does not end by a click.

        Also what was ended before its case was opened. The number of cases that run again; each goes on from its
        record.
        """
        if self._client is None:
            return 0
        restarted = 0
        ended: set[str] = set()
        async for run in self._client.list_workflows(ENDED):
            ended.add(run.id)
            if len(ended) == LOOKED_UP:
                restarted += await self._restart(ended)
                ended = set()
        return restarted + await self._restart(ended)

    async def _restart(self, ended: Collection[str]) -> int:
        """Start those of these that are filed, not closed, and do not run; a statement takes 32,767 parameters."""
        assert self._client is not None
        async with self._sessions() as session:
            still_open = (
                await session.exec(
                    select(IntakeRow.case, IntakeRow.kind)
                    .join(CaseRow, col(CaseRow.case) == col(IntakeRow.case), isouter=True)
                    .where(
                        col(IntakeRow.case).in_(ended),
                        col(IntakeRow.result).is_(None),
                        col(IntakeRow.erased_at).is_(None),
                        col(CaseRow.closed_at).is_(None),
                    )
                )
            ).all()
        restarted = 0
        for case, kind in still_open:
            described = await self._client.get_workflow_handle(case).describe()
            if described.status is not WorkflowExecutionStatus.RUNNING:
                restarted += await self.start(case, kind)
            else:
                # one that ended it may stand in its place: nothing can run there, and nobody must think that it does
                _ours(described, case, kind)
        return restarted

    # ---- events -----------------------------------------------------------------------------------------------------

    async def submit_event(self, case: str, event: str, name: str, message: dict[str, Any]) -> Delivered:
        """Report what happened to a case: kept, then delivered as the update of that name.

        Idempotent by case and the sender's event id. A closed case is opened again where its rulebook lets this
        message reopen it.

        Raises:
            Refusal: There is no such case, or the event id was used for another message or may not stay readable, or
                the message holds what cannot be kept.
        """
        if faults := event_faults(case, event, name, message):
            raise Refusal(*faults)
        message = {"case": case, **message}
        async with self._sessions() as session, session.begin():
            # shared with other senders, not with an erasure: an event kept beside one could never be answered
            intake = await session.get(IntakeRow, case, with_for_update={"read": True})
            if intake is None:
                raise Refusal("case: there is no such case")
            if intake.erased_at is not None:
                raise Refusal("case: it was erased")
            new = EventRow(case=case, event=event, name=name, message=message, recorded_at=self._now())
            await session.exec(insert(EventRow).values(values_of(new)).on_conflict_do_nothing())
            row = (await session.exec(select(EventRow).where(EventRow.case == case, EventRow.event == event))).one()
            if (row.name, row.message) != (name, message):
                raise Refusal("event: this id was used for another message")
        return await self.deliver(row)

    async def deliver(self, row: EventRow) -> Delivered:
        """Hand one kept event to its case; again is the same."""
        if row.delivered_at is not None:
            return Delivered(case=row.case, event=row.event, answer=row.answer, refused=tuple(row.refused or ()))
        if self._client is None:
            return Delivered(case=row.case, event=row.event, waiting=True)
        try:
            answer, refused = await self._update(row)
        except (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError, _StillStarting) as e:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                # the client makes its own error of it: whoever gave up waiting would wait on, and for ever
                raise asyncio.CancelledError from None
            log.warning("event waits", case=row.case, problem=type(e).__name__)
            return Delivered(case=row.case, event=row.event, waiting=True)
        async with self._sessions() as session, session.begin():
            kept = await session.get(EventRow, (row.case, row.event))
            assert kept is not None
            kept.delivered_at, kept.answer, kept.refused = self._now(), answer, list(refused) or None
            if refused and row.event.startswith(PASSED_ON):
                # a refusal makes no step that would ring the decision
                asked_by = (await session.exec(select(IntakeRow.parent).where(IntakeRow.case == row.case))).one()
                if asked_by is not None:
                    session.add(BellRow(case=asked_by, reason=BELL, created_at=self._now(), rung_at=self._now()))
        return Delivered(case=row.case, event=row.event, answer=answer, refused=refused)

    async def deliver_waiting(self) -> int:
        """Deliver what an outage left behind, each case's in the order of arrival; the number delivered.

        A case that does not answer holds up its own events, never those of others.
        """
        async with self._sessions() as session:
            rows = (
                await session.exec(
                    select(EventRow).where(col(EventRow.delivered_at).is_(None)).order_by(col(EventRow.recorded_at))
                )
            ).all()
        room = asyncio.Semaphore(AT_ONCE)

        async def deliver(events: list[EventRow]) -> int:
            async with room:
                for delivered, row in enumerate(events):
                    try:
                        async with asyncio.timeout(ANSWERS_WITHIN):
                            waiting = (await self.deliver(row)).waiting
                    except TimeoutError:
                        waiting = True
                    if waiting:
                        return delivered
                return len(events)

        of_case: dict[str, list[EventRow]] = {}
        for row in rows:
            of_case.setdefault(row.case, []).append(row)
        return sum(await asyncio.gather(*(deliver(events) for events in of_case.values())))

    async def _update(self, row: EventRow) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
        assert self._client is not None
        async with self._sessions() as session:
            case = await session.get(CaseRow, row.case)
        kind = split_case_id(row.case)[0]
        closed = case is not None and case.closed_at is not None
        if closed and (heard := await self._heard(row)) is not None:
            return heard, ()
        if closed and row.name not in REOPENS.get(kind, frozenset()):
            assert case is not None
            return None, (
                f"this case ended as {case.outcome} on {case.closed_at:%Y-%m-%d}; {row.name} cannot reopen it",
            )
        try:
            if (closed or case is None) and not await self.start(row.case, kind, row.event if closed else None):
                raise _StillStarting
            handle = self._client.get_workflow_handle(row.case)
            answer = await handle.execute_update(row.name, row.message, id=EVENT_ID + row.event)
        except WorkflowUpdateFailedError as e:
            if isinstance(e.cause, ApplicationError) and e.cause.type == RUN_ENDED:
                raise _StillStarting from None
            return None, refusal_of(e.cause)
        except RPCError as e:
            if e.status is RPCStatusCode.NOT_FOUND:
                raise _StillStarting from None
            raise
        return dict(answer), ()

    async def _heard(self, row: EventRow) -> dict[str, Any] | None:
        """The entry by which a case took an event that it may have ended with, before its sender heard of it."""
        async with self._sessions() as session:
            entry = (
                await session.exec(
                    select(TimelineRow).where(
                        TimelineRow.case == row.case, TimelineRow.message_id == EVENT_ID + row.event
                    )
                )
            ).first()
        if entry is None:
            return None
        said = Entry(case=entry.case, step=entry.step, entry=entry.entry, stage=entry.stage, at=entry.at)
        return said.model_dump(mode="json")


def event_faults(case: Any, event: Any, name: Any, message: Any) -> list[str]:
    """Every fault of an event's own form: what its case would never see, and what the engine would never take."""
    faults = []
    if not isinstance(case, str):
        faults.append("case: no text")
    elif case.partition(":")[0] in KEPT:
        faults.append("case: it is kept as evidence, and no case runs that could take an event")
    if not isinstance(event, str):
        faults.append("event: no text")
    elif (fault := id_fault(EVENT_ID + event)) is not None:
        faults.append(f"event: {fault}")
    if not isinstance(name, str) or not MESSAGE_NAME.match(name):
        faults.append("name: no message is named so")
    if not isinstance(message, dict):
        return [*faults, "message: no JSON object"]
    return faults + unkeepable({"case": case, "message": message})


def _ours(run: WorkflowExecutionDescription, case: str, kind: str) -> bool:
    """Whether a run that has a case's name is the case's; one that is not is said."""
    ours = (run.workflow_type, run.task_queue) == (KINDS[kind], TASK_QUEUE)
    if not ours:
        log.error("a foreign run has the name of a case", case=case)
    return ours


def refusal_of(cause: BaseException | None) -> tuple[str, ...]:
    """Why a case refused an event, from the failure of its update."""
    if isinstance(cause, ApplicationError):
        return tuple(str(d) for d in cause.details) or (cause.message,)
    return ("the case could not take it",)


def _summary(case: str) -> str:
    kind, organisation, reference = split_case_id(case)
    return f"{kind.replace('_', ' ').capitalize()} {reference} of {organisation}"


def _details(case: str) -> str:
    """What the UI shows of a case when no worker answers."""
    return (
        "*Current Details* beside this say where the case stands and what can be done now.\n\n"
        "Are they empty? Then no worker runs. Nothing is lost, the clocks run on, and the record can still be read:\n\n"
        f"`python starter.py show {case}`"
    )


class _StillStarting(Exception):
    """The case is between two runs; the event is delivered by the next sweep."""


def filed_in(sessions: Sessions) -> WasFiled:
    """Asks this store whether a case was filed, and not erased since."""

    async def filed(case: str) -> bool:
        query = select(IntakeRow.case).where(IntakeRow.case == case, col(IntakeRow.erased_at).is_(None))
        async with sessions() as session:
            return (await session.exec(query)).first() is not None

    return filed


async def ask_store(session: AsyncSession, checked: Checked) -> None:
    """Check what only the store knows of a filing; nothing is written, no key is made.

    Raises:
        Refusal: There is no such client, no such withdrawal in which it asked, or no such policy.
    """
    filing = checked.filing
    if filing.kind == "access_request":
        asked = AccessFiling.model_validate(filing.content)
        await client_of(session, filing.organisation, asked.client)
        if asked.for_case is not None:
            await same_client(session, filing.organisation, asked)
    elif filing.kind == "authenticator_withdrawal":
        await client_of(session, filing.organisation, WithdrawalFiling.model_validate(filing.content).client)
    elif filing.kind == "client_change":
        change = ClientChangeFiling.model_validate(filing.content)
        await client_of(session, filing.organisation, change.client)
        if change.operator is not None:
            await may_handle(session, filing.organisation, change.operator)
    elif filing.kind == "late_premium":
        late = LatePremiumFiling.model_validate(filing.content)
        await late_premium_of(session, filing.organisation, late)
        if filing.reference != late.policy:
            # two cases of one premium could send it back twice
            raise Refusal("reference: the case of a late premium is named by its policy")
    elif filing.kind == "circumstance":
        await _policy_of(session, filing.organisation, CircumstanceFiling.model_validate(filing.content).policy)
    elif filing.kind == "premium_refund":
        ended = PremiumRefundFiling.model_validate(filing.content)
        await refund_of(session, filing.organisation, ended)
        if filing.reference != ended.policy:
            # two cases of one refund would pay it twice
            raise Refusal("reference: the case of a refund is named by its policy")
    elif filing.kind == "renewal":
        renewal = RenewalFiling.model_validate(filing.content)
        await renewal_of(session, filing.organisation, renewal)
        if filing.reference != renewal.policy:
            # two cases of one end would remind twice
            raise Refusal("reference: the case of a reminder is named by its policy")
    elif filing.kind == "sign_in_review":
        _month_is_over(filing, SignInReviewFiling.model_validate(filing.content))
    elif filing.kind == "task":
        await _next_turn(session, checked)
    elif filing.kind == "breach":
        report = BreachFiling.model_validate(filing.content)
        if faults := report_faults(report, filing.received_at):
            raise Refusal(*(f"content.{fault}" for fault in faults))
    elif filing.kind == "recovery":
        await _recoverable(session, checked)
    elif filing.kind == "credential":
        account = await account_named(session, filing.organisation, CredentialFiling.model_validate(filing.content))
        if filing.reference != credential_reference(account.username):
            # two cases of one account would tell everybody twice
            raise Refusal("reference: the case of a credential is named by its user name")


def _month_is_over(filing: Filing, review: SignInReviewFiling) -> None:
    """Check that a review is of its own month, and that this has ended."""
    if filing.reference != review.month:
        # two cases of one month would each say that it was reviewed
        raise Refusal("reference: the review of a month is named by it")
    if filing.received_at < borders(review.month, book(filing.organisation).zone)[1]:
        raise Refusal("content.month: it is not over then")


async def _next_turn(session: AsyncSession, checked: Checked) -> None:
    """Check that a turn of a recurring duty is the next one; the same once more is.

    Raises:
        Refusal: Another one comes before it, or the one before it has not ended.
    """
    filing, said = checked.filing, TaskFiling.model_validate(checked.filing.content)
    if said.n is None or await session.get(IntakeRow, checked.case) is not None:
        return
    last = (
        await session.exec(
            select(TurnRow)
            .where(
                TurnRow.organisation == filing.organisation,
                TurnRow.duty == said.duty,
                TurnRow.about == (said.about or ""),
            )
            .order_by(col(TurnRow.n).desc())
            .limit(1)
        )
    ).first()
    n = 0 if last is None else last.n
    faults = [] if said.n == n + 1 else [f"content.n: the next turn is {n + 1}"]
    yearly = book(filing.organisation).find(said.duty).unit is Unit.calendar_year
    if last is not None and last.ended_at is None and not yearly:
        faults.append(f"content.since: {last.case} is open, and the next turn is counted from what it comes to")
    if faults:
        raise Refusal(*faults)


async def client_of(session: AsyncSession, organisation: str, code: str) -> ClientRow:
    """The organisation's client of this code.

    Raises:
        Refusal: There is none.
    """
    client = await session.get(ClientRow, code)
    if client is None or client.organisation != organisation:
        raise Refusal("content.client: there is no such client")
    return client


async def account_named(session: AsyncSession, organisation: str, filing: CredentialFiling) -> AccountRow:
    """The account of this user name at this client of the organisation.

    Raises:
        Refusal: There is no such client, or it has no such account.
    """
    await client_of(session, organisation, filing.client)
    account = await session.get(AccountRow, (filing.client, filing.username))
    if account is None:
        raise Refusal("content.username: the client has no such account")
    return account


def credential_reference(username: str) -> str:
    """What the case of an account is called: the user name, or a short one made of it."""
    return username if REFERENCE.match(username) else shortened(username)


POLICY_ERASED = "it was erased when its storage term was over, and its number is not used again"


async def _policy_of(session: AsyncSession, organisation: str, number: str) -> PolicyRow:
    """The policy that a filing is about.

    Raises:
        Refusal: There is no such policy, or it was erased.
    """
    policy = await session.get(PolicyRow, number)
    if policy is None or policy.organisation != organisation:
        raise Refusal("content.policy: there is no such policy")
    if policy.erased:
        raise Refusal(f"content.policy: {POLICY_ERASED}")
    return policy


async def late_premium_of(session: AsyncSession, organisation: str, filing: LatePremiumFiling) -> PolicyRow:
    """The policy whose first premium this payment made full, after its last day.

    Raises:
        Refusal: There is no such policy, or this is no such payment.
    """
    policy = await _policy_of(session, organisation, filing.policy)
    late_on = first_paid_late_on(policy.known)
    if not any(p.reference == filing.premium and p.paid_on == late_on for p in policy.known.paid):
        raise Refusal("content.premium: no payment that made the first premium full after its last day (6.5)")
    return policy


async def refund_of(session: AsyncSession, organisation: str, filing: PremiumRefundFiling) -> tuple[PolicyRow, Ended]:
    """The policy that ended early, and its end with the refund that was worked out.

    Raises:
        Refusal: There is no such policy, or nothing of its premium goes back.
    """
    policy = await _policy_of(session, organisation, filing.policy)
    ended = policy.known.ended
    if ended is None or not ended.refund.amount:
        raise Refusal("content.policy: it did not end early with a refund (11.1, 11.2)")
    return policy, ended


async def paid_to(session: AsyncSession, claim: str, party: str) -> Sequence[PaymentOrderRow]:
    """What the bank paid to a party of a claim and did not return, the oldest first."""
    query = select(PaymentOrderRow).where(
        PaymentOrderRow.case == claim, PaymentOrderRow.party == party, col(PaymentOrderRow.executed_on).is_not(None)
    )
    return (await session.exec(query.order_by(col(PaymentOrderRow.executed_on), PaymentOrderRow.key))).all()


async def _recoverable(session: AsyncSession, checked: Checked) -> None:
    """Check what is demanded back against what was paid; the claim is locked, so that two demands cannot share a cent.

    Raises:
        Refusal: There is no such claim or payment, more is demanded than was paid, or the debtor's term is over.
    """
    filing, wanted = checked.filing, RecoveryFiling.model_validate(checked.filing.content)
    if split_case_id(wanted.claim)[1] != filing.organisation:
        raise Refusal("content.claim: there is no such claim")
    locked = await session.exec(select(CaseRow.case).where(CaseRow.case == wanted.claim).with_for_update())
    claim = await session.get(IntakeRow, wanted.claim)
    if locked.first() is None or claim is None:
        raise Refusal("content.claim: there is no such claim")
    if claim.erased_at is not None:
        raise Refusal("content.claim: it was erased")
    faults = []
    others = await session.exec(
        select(IntakeRow).where(
            IntakeRow.kind == filing.kind, IntakeRow.parent == wanted.claim, IntakeRow.case != checked.case
        )
    )
    demanded = NONE
    for other in others.all():
        if other.erased_at is not None:
            faults.append("content.claim: a recovery of it was erased, and with it what it demanded")
        elif (former := RecoveryFiling.model_validate(other.content)).debtor == wanted.debtor:
            demanded += former.amount
    paid = sum((order.amount for order in await paid_to(session, wanted.claim, wanted.debtor)), NONE)
    if not paid:
        faults.append("content.debtor: the bank paid nothing to this party")
    elif wanted.amount > paid - demanded:
        before = f", and {demanded} EUR of it are demanded back already" if demanded else ""
        faults.append(f"content.amount: {paid} EUR were paid to {wanted.debtor}{before}")
    zone = ZoneInfo(book(filing.organisation).zone)
    if wanted.repay_by is not None and wanted.repay_by < filing.received_at.astimezone(zone).date():
        faults.append("content.repay_by: lies before the demand")
    if faults:
        raise Refusal(*faults)


def _parent(filing: Filing) -> str | None:
    """The case that a filing belongs to by what it says."""
    if filing.kind == "access_request":
        return filing.content.get("for_case")
    return str(filing.content["claim"]) if filing.kind == "recovery" else None


async def renewal_of(session: AsyncSession, organisation: str, filing: RenewalFiling) -> PolicyRow:
    """The policy that ends then.

    Raises:
        Refusal: There is no such policy, or it ends on another day.
    """
    policy = await _policy_of(session, organisation, filing.policy)
    if policy.ends_on != filing.ends_on:
        raise Refusal("content.ends_on: the contract ends on another day")
    return policy


async def same_client(session: AsyncSession, organisation: str, filing: AccessFiling) -> None:
    """Check that a request belongs to the withdrawal that it names.

    Raises:
        Refusal: There is no such withdrawal, or it is another client's.
    """
    other = await session.get(IntakeRow, filing.for_case)
    if (
        other is None
        or other.kind != "authenticator_withdrawal"
        or other.organisation != organisation
        or WithdrawalFiling.model_validate(other.content).client != filing.client
    ):
        raise Refusal("content.for_case: no withdrawal of an authenticator for this client")


async def named(keyring: Keyring, checked: Checked) -> Checked:
    """The filing under the name of its case: the sender's reference, or one made of it under the installation's key.

    Whoever keeps a filing asks here, so that every door gives the same text the same case.
    """
    if checked.unnamed is None:
        return checked
    reference = await reference_of(keyring, checked.unnamed)
    filing = checked.filing.model_copy(update={"reference": reference})
    case = case_id(filing.kind, filing.organisation, reference)
    return checked.model_copy(update={"filing": filing, "case": case, "unnamed": None})


async def keep(
    session: AsyncSession, keyring: Keyring, checked: Checked, now: datetime, parent: str | None = None
) -> tuple[IntakeRow, bool]:
    """Write the intake row of a filing under a key of its own, or find it; the bool says whether it is new.

    Raises:
        Refusal: The reference has other content already (the fields that differ are named), or its case was erased.
        NoKey: It was filed before, and the key of its case is lost.
    """
    checked = await named(keyring, checked)
    filing = checked.filing
    query = select(IntakeRow.case, IntakeRow.erased_at).where(IntakeRow.case == checked.case)
    there = (await session.exec(query)).first()
    erased = there is not None and there[1] is not None
    if there is None:
        # for what is new alone: a lost key is brought back, which could not be done with another one in its place
        try:
            await keyring.create(checked.case)
        except KeyDestroyed:
            erased = True
    if erased:
        raise Refusal("reference: the case of this reference was erased")
    await keyring.of(checked.case)
    filed = IntakeRow(
        case=checked.case,
        kind=filing.kind,
        organisation=filing.organisation,
        reference=filing.reference,
        sender=filing.sender,
        sender_reference=checked.sender_reference,
        received_at=filing.received_at,
        recorded_at=now,
        content=filing.model_dump(mode="json")["content"],
        faults=list(checked.faults),
        result=checked.result,
        parent=parent or _parent(filing),
    )
    written = await session.exec(
        insert(IntakeRow).values(values_of(filed)).on_conflict_do_nothing().returning(col(IntakeRow.case))
    )
    new = written.first() is not None
    row = (await session.exec(select(IntakeRow).where(IntakeRow.case == checked.case))).one()
    if not new:
        differ = sorted(
            f"content.{k}" for k in {*row.content, *filed.content} if row.content.get(k) != filed.content.get(k)
        )
        # what came a moment ahead of our clocks was heard as it came, or as its case began
        as_it_came = row.recorded_at - AHEAD <= row.received_at <= filing.received_at <= row.recorded_at + AHEAD
        if row.received_at != filing.received_at and not as_it_came and "received_at" not in " ".join(checked.faults):
            differ.append("received_at")
        if row.sender_reference != checked.sender_reference:
            differ.append("reference")
        if differ:
            raise Refusal(*(f"{field}: differs from what was filed under this reference" for field in differ))
    return row, new


__all__ = [
    "POLICY_ERASED",
    "REOPENS",
    "Delivered",
    "Filed",
    "Intake",
    "Sessions",
    "account_named",
    "ask_store",
    "client_of",
    "credential_reference",
    "filed_in",
    "keep",
    "late_premium_of",
    "named",
    "paid_to",
    "refund_of",
    "refusal_of",
    "renewal_of",
    "same_client",
]
