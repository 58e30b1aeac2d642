"""`case.open`, `case.record`, `case.listen`: everything a case needs of the database, each in one transaction."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from sqlalchemy import ARRAY, String, any_, bindparam, exists
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.client import Client
from temporalio.converter import WorkflowSerializationContext
from temporalio.exceptions import ApplicationError

from activities.ledger import Ledger
from activities.outbox import Outbox
from activities.screening import found
from activities.store import Amended, KindStore, act
from models import errors
from models.case import (
    SPENT,
    Bells,
    CaseState,
    Listen,
    NoticeDraft,
    OpenCase,
    Opened,
    Recorded,
    Said,
    SpentSeal,
    Transition,
    heard,
)
from models.errors import InClear, Refusal
from models.names import EVENT_ID
from models.now import Now
from models.operator import SYSTEM, Operator
from models.screening import SCREENED
from models.tables import (
    BellRow,
    CaseRow,
    EventRow,
    IntakeRow,
    NoticeRow,
    OperatorRow,
    PaymentOrderRow,
    TargetRow,
    TimelineRow,
)
from operations.filings import check
from operations.intake import Sessions, ask_store, keep
from rules.authority import authority_for, limits
from rules.calendar import load
from rules.rulebook import book
from security import proof
from security.keys import DataKey, Keyring

log = structlog.get_logger()

# built once: in a profile of the worker, putting it together took as long as sending it
_LOCKED = (
    select(CaseRow, OperatorRow)
    .join(
        OperatorRow,
        (col(OperatorRow.code) == any_(bindparam("named", type_=ARRAY(String)))) & col(OperatorRow.ended_at).is_(None),
        isouter=True,
    )
    .where(CaseRow.case == bindparam("case"))
    .with_for_update(of=CaseRow)
)

_OWED = select(
    exists().where(col(BellRow.heard_at).is_(None), col(BellRow.rung_at).is_(None))
    | exists().where(
        col(NoticeRow.case) == bindparam("case"),
        col(NoticeRow.internal),
        col(NoticeRow.sent_at).is_(None),
        col(NoticeRow.refused).is_(None),
    )
    | exists().where(col(IntakeRow.parent) == bindparam("case"), col(IntakeRow.started_at).is_(None))
)
"""Whether what the acts of a step did leaves something to others: asked in its transaction, for most leave nothing."""

DIFFERS = frozenset({"at", "events", "body", "heard", "waits_for", "yields"})
"""What of a step is not the same when it is repeated later."""

FILES_BESIDE = frozenset({"access_request"})
"""Kinds whose effects file other cases, which are started after the step that hears of it."""

MISSED = 500_000
"""Bytes of missed steps that an answer carries: the engine takes no more than 2 MiB."""


class CaseActivities:
    """The database's side of every case."""

    def __init__(
        self,
        sessions: Sessions,
        keyring: Keyring,
        client: Client,
        outbox: Outbox,
        stores: Mapping[str, KindStore],
        now: Now,
        *,
        replays: bool = False,
    ) -> None:
        """`replays` puts steps back that were recorded once: nobody is asked for rights, no bell is heard again."""
        self._sessions = sessions
        self._keyring = keyring
        self._client = client
        self._outbox = outbox
        self._stores = stores
        self._now = now
        self._replays = replays

    # ---- open -------------------------------------------------------------------------------------------------------

    @activity.defn(name="case.open")
    async def open(self, ask: OpenCase) -> Opened:
        """The state to go on from: a new case's first, or what the store holds of an old one.

        A run that was started around the starter is opened too, if its id is its filing's; else it ends here, told
        which id is right.
        """
        try:
            async with self._sessions() as session, session.begin():
                return await self._open(session, ask)
        except Refusal as e:
            return Opened(result="refused", faults=e.faults)

    async def _open(self, session: AsyncSession, ask: OpenCase) -> Opened:
        intake = await self._find(session, ask)
        if intake.case != ask.workflow_id:
            return Opened(result="duplicate", right_case=intake.case, faults=(f"this filing's case is {intake.case}",))
        if intake.erased_at is not None:
            return Opened(result="closed", faults=("this case was erased",))
        if intake.kind != ask.workflow_kind:
            raise Refusal(f"case: it is a {intake.kind}, not a {ask.workflow_kind}")
        if intake.result is not None:
            return Opened(result="refused", faults=(f"kept as {intake.result}", *intake.faults))
        if intake.started_at is None:
            intake.started_at = self._now()
        row = await session.get(CaseRow, intake.case, with_for_update=True)
        if row is None:
            return await self._begin(session, intake, ask)
        state = CaseState.model_validate(row.state)
        if row.closed_at is not None:
            if not await self._reopens(session, row, ask):
                ended = f"this case ended as {row.outcome}; nothing reopened it"
                return Opened(result="closed", state=state, faults=(ended,))
            state = state.model_copy(update={"stage": "resting", "body": {**state.body, "outcome": None}})
        ledger = await Ledger.of(session, row.case, row.organisation, ask.at)
        return Opened(result="opened", state=state, reopened=row.closed_at is not None, clocks=ledger.states)

    async def _find(self, session: AsyncSession, ask: OpenCase) -> IntakeRow:
        if ask.inline:
            now = self._now()
            checked = check({**await self._filing(ask), "kind": ask.workflow_kind}, now)
            await ask_store(session, checked)
            row, _ = await keep(session, self._keyring, checked, now)
            return row
        case = ask.case or ask.workflow_id
        found = await session.get(IntakeRow, case)
        if found is None:
            raise Refusal("case: nothing was filed under this id; file it first, or start with a filing")
        return found

    async def _filing(self, ask: OpenCase) -> dict[str, Any]:
        """The filing that a run was started with, from its history: it is not written there a second time."""
        context = WorkflowSerializationContext(namespace=self._client.namespace, workflow_id=ask.workflow_id)
        handle = self._client.get_workflow_handle(ask.workflow_id, run_id=ask.run_id)
        async for event in handle.fetch_history_events(page_size=1):
            payloads = event.workflow_execution_started_event_attributes.input.payloads
            start = (await self._client.data_converter.with_context(context).decode(payloads))[0]
            start = start.value if isinstance(start, InClear) else start
            filing: dict[str, Any] = start["filing"]
            return filing
        raise AssertionError("a history has a first event")

    async def _begin(self, session: AsyncSession, intake: IntakeRow, ask: OpenCase) -> Opened:
        # whoever wrote it down can have a clock that is a moment ahead of the engine's
        intake.received_at = heard(intake.received_at, ask.at)
        filed = proof.of_filing(await self._keyring.of(intake.case), intake)
        row = CaseRow(
            case=intake.case,
            kind=intake.kind,
            organisation=intake.organisation,
            stage="opening",
            step=0,
            opened_at=ask.at,
            commitment=filed,
            head=proof.first_link(intake, filed),
        )
        session.add(row)
        await session.flush()
        opening = await self._stores[intake.kind].open(session, intake, ask.at)
        state = CaseState(
            case=intake.case,
            kind=intake.kind,
            organisation=intake.organisation,
            stage=opening.stage,
            step=0,
            body=opening.body,
        )
        row.stage, row.state = opening.stage, state.model_dump(mode="json")
        return Opened(result="opened", state=state, filed_at=intake.recorded_at)

    async def _reopens(self, session: AsyncSession, row: CaseRow, ask: OpenCase) -> bool:
        """A closed case goes on only for an event that waits for it; its first step then opens it again."""
        if ask.event is None:
            return False
        event = await session.get(EventRow, (row.case, ask.event))
        return event is not None and event.delivered_at is None

    # ---- record -----------------------------------------------------------------------------------------------------

    @activity.defn(name="case.record")
    async def record(self, t: Transition) -> Recorded:
        """One step, in one transaction. Idempotent by case, step and digest; another digest writes nothing."""
        try:
            async with self._sessions() as session, session.begin():
                recorded, owes = await self._record(session, t)
        except Refusal as e:
            if t.said is None and not t.yields:
                # there is nobody whom the case could tell: a person has to look
                async with self._sessions() as session, session.begin():
                    await session.exec(update(CaseRow).where(col(CaseRow.case) == t.case).values(diverged=True))
            return Recorded(result="refused", step=t.step - 1, faults=e.faults)
        if owes:
            # the step is committed, and its case goes on: neither waits for a carrier
            self._outbox.soon(t.case)
        return recorded

    async def _record(self, session: AsyncSession, t: Transition) -> tuple[Recorded, bool]:
        """What the step answers, and whether others are owed something after it: bells, letters to staff, cases."""
        row, operators = await self._locked(session, t)
        key = await self._keyring.of(t.case)
        transition = t.model_dump(mode="json")
        digest = digest_of(transition, key)
        if t.step <= row.step:
            entry = await session.get_one(TimelineRow, (t.case, t.step))
            if entry.digest == digest:
                # repeated: the first try may have died before it delivered
                return Recorded.model_validate(entry.answer), True
            missed = _fitting(await self._held(session, t.case, t.step))
            return Recorded(result="behind", step=row.step, missed=missed), False
        if t.step != row.step + 1:
            raise ApplicationError(f"step {t.step} waits: {row.step} is the last one", type=errors.STEP_OUT_OF_ORDER)
        if t.said is not None and not self._replays and (faults := lacking(t.said, row.organisation, operators)):
            raise Refusal(*faults)
        if t.said is not None and t.said.once in row.state.get("spent", ()):
            # a run that was reset does not know it by itself
            raise Refusal(SPENT)
        if t.recount:
            await self._tables_are_current(session)
        acts = {a.name: await act(self._stores[row.kind].acts, session, t.case, a, t.at) for a in t.acts}
        if amended := [answer for answer in acts.values() if isinstance(answer, Amended)]:
            body = dict(t.body)
            for answer in amended:
                body |= answer.body
            t = t.model_copy(update={"body": body})
            transition = t.model_dump(mode="json")
        ledger = await _move_clocks(session, t, row.organisation)
        now = self._now()
        for draft in t.notices:
            await self._queue(session, t, draft, now, internal=False)
        to_staff = [draft for draft, _ in ledger.notices]
        if t.said is not None and t.said.second is not None:
            to_staff.append(_to_second_person(t, t.said.actor, t.said.second))
        for draft in to_staff:
            await self._queue(session, t, draft, now, internal=True)
        for order in t.orders:
            if await session.get(PaymentOrderRow, (t.case, order.key)) is None:
                session.add(
                    PaymentOrderRow(
                        case=t.case,
                        key=order.key,
                        party=order.party,
                        amount=Decimal(order.amount),
                        remittance=order.remittance,
                        queued_at=t.at,
                    )
                )
        for bell in t.bells:
            session.add(BellRow(case=bell.case, reason=bell.reason, created_at=now))
        if t.heard and not self._replays:
            await session.exec(update(BellRow).where(col(BellRow.id).in_(t.heard)).values(heard_at=now))
        recorded = Recorded(
            result="recorded",
            step=t.step,
            transition=transition,
            recorded_at=now,
            clocks=ledger.touched_states,
            acts={name: None if isinstance(answer, Amended) else _json(answer) for name, answer in acts.items()},
        )
        entry = TimelineRow(
            case=t.case,
            step=t.step,
            digest=digest,
            at=t.at,
            recorded_at=now,
            stage=t.stage,
            entry=t.entry,
            duty=t.duty,
            facts=t.facts,
            actor=t.said.actor if t.said else None,
            message=t.said.name if t.said else None,
            message_id=t.said.id if t.said else None,
            clocks=ledger.changes,
            details=ledger.details,
            answer=recorded.model_dump(mode="json"),
            commitment=b"",
            link=b"",
        )
        entry.commitment = proof.of_entry(key, entry)
        # the row of the case is locked: no other step can have this one's place
        entry.link = row.head = proof.next_link(row.head, entry)
        session.add(entry)
        self._keep_state(row, t)
        owes = bool(t.bells or to_staff or row.kind in FILES_BESIDE)
        if t.acts and not owes:
            owes = (await session.exec(_OWED, params={"case": t.case})).one()
        return recorded, owes

    async def _held(self, session: AsyncSession, case: str, step: int) -> Sequence[TimelineRow]:
        """What is recorded from this step on."""
        entries = await session.exec(
            select(TimelineRow)
            .where(TimelineRow.case == case, col(TimelineRow.step) >= step)
            .order_by(col(TimelineRow.step))
        )
        return entries.all()

    async def _locked(self, session: AsyncSession, t: Transition) -> tuple[CaseRow, dict[str, Operator]]:
        """The row of the case, for this step alone, and the operators whom the step names: one round trip."""
        named = [t.said.actor, t.said.second] if t.said is not None else []
        found = (await session.exec(_LOCKED, params={"case": t.case, "named": named})).all()
        rows: list[OperatorRow | None] = [operator for _, operator in found]
        return found[0][0], {row.code: row.operator for row in rows if row is not None}

    def _keep_state(self, row: CaseRow, t: Transition) -> None:
        state = CaseState.model_validate(row.state)
        handler = t.facts.get("handler") or state.handler
        state = state.model_copy(
            update={
                "stage": t.stage,
                "step": t.step,
                "body": t.body,
                "handler": handler,
                "said": {**state.said, **dict.fromkeys(t.said.ids, t.step)} if t.said else state.said,
            }
        )
        row.stage, row.step, row.handler, row.state = t.stage, t.step, handler, state.model_dump(mode="json")
        row.waits_for = t.waits_for
        direct = t.said is not None and not t.said.id.startswith(EVENT_ID) and not self._replays
        if direct or row.unproven != t.events:
            row.unproven = t.events if direct else None
        row.diverged = False
        row.outcome, row.closed_at = t.outcome, t.at if t.outcome is not None else None

    async def _queue(
        self, session: AsyncSession, t: Transition, draft: NoticeDraft, now: datetime, *, internal: bool
    ) -> None:
        if await session.get(NoticeRow, (t.case, draft.key)) is None:
            session.add(
                NoticeRow(
                    case=t.case,
                    key=draft.key,
                    template=draft.template,
                    party=draft.party,
                    internal=internal,
                    duty=draft.duty,
                    subject=draft.subject,
                    facts=draft.facts,
                    # to staff: by the clock by which the sweep leaves it to this step
                    queued_at=now if internal else t.at,
                )
            )

    async def _tables_are_current(self, session: AsyncSession) -> None:
        """A worker whose rulebooks or calendars are older than the target must not count."""
        for target in (await session.exec(select(TargetRow))).all():
            kind, name = target.name.split(":")
            version = book(name).version if kind == "rulebook" else load(name).version
            if version < target.version:
                raise ApplicationError(
                    f"{target.name} here is {version}, older than the target", type=errors.STALE_TABLES
                )

    # ---- spend ------------------------------------------------------------------------------------------------------

    @activity.defn(name="case.spend")
    async def spend(self, seal: SpentSeal) -> None:
        """Keep that a sealed message was refused: its bytes stand in the history, and count in no later run either."""
        async with self._sessions() as session, session.begin():
            row = await session.get(CaseRow, seal.case, with_for_update=True)
            # nothing of an erased case can be opened, and none goes on
            if row is not None and row.state and seal.once not in row.state.get("spent", ()):
                row.state = {**row.state, "spent": [*row.state.get("spent", ()), seal.once]}

    # ---- listen -----------------------------------------------------------------------------------------------------

    @activity.defn(name="case.listen")
    async def listen(self, ask: Listen) -> Bells:
        """The bells that wait for a case; it marks them heard with the step that they lead to."""
        async with self._sessions() as session:
            missed = await self._held(session, ask.case, ask.step + 1)
            bells = (
                await session.exec(
                    select(BellRow)
                    .where(BellRow.case == ask.case, col(BellRow.heard_at).is_(None))
                    .order_by(col(BellRow.id))
                )
            ).all()
            hits = await found(session, ask.case) if any(b.reason == SCREENED for b in bells) else ()
        return Bells(
            ids=tuple(b.id for b in bells if b.id is not None),
            reasons=tuple(b.reason for b in bells),
            behind=bool(missed),
            missed=_fitting(missed),
            hits=hits,
        )


def _to_second_person(t: Transition, actor: str, second: str) -> NoticeDraft:
    """Whoever is named as having looked at late evidence hears of it: nobody answers for what they never saw."""
    facts = {"case": t.case, "step": t.step, "entry": t.entry.replace("_", " "), "by": actor}
    return NoticeDraft(key=f"second:{t.step}", template="internal-second-person", party=second, facts=facts)


def digest_of(transition: Mapping[str, Any], key: DataKey) -> str:
    """What a repeated step (`Transition` as JSON) is known by: all but what differs when it is repeated later.

    Keyed, for nobody shall try out names against it once the case is erased.
    """
    content = {name: value for name, value in transition.items() if name not in DIFFERS}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False).encode()
    return hmac.digest(key.derived(b"digest"), text, "sha256").hex()


def _fitting(held: Sequence[TimelineRow]) -> tuple[dict[str, Any], ...]:
    """The answers of these steps, as many as an answer can carry."""
    answers, size = [], 0
    for entry in held:
        size += len(json.dumps(entry.answer))
        if size > MISSED:
            break
        answers.append(entry.answer)
    return tuple(answers)


async def _move_clocks(session: AsyncSession, t: Transition, organisation: str) -> Ledger:
    """The ledger as this step moves it; the clocks of a step that moves none are not even read."""
    if not (t.ticks or t.changes or t.recount):
        return Ledger(session, t.case, organisation, t.at, [])
    ledger = await Ledger.of(session, t.case, organisation, t.at)
    for tick in t.ticks:
        ledger.tick(tick)
    changed = {(tick.duty, tick.subject) for tick in t.ticks}
    for change in t.changes:
        if (change.duty, change.subject) in changed:
            # a clock that ends here is written before the next of its duty and subject starts
            await session.flush()
        ledger.apply(change)
        changed.add((change.duty, change.subject))
    if t.recount:
        ledger.recount()
    return ledger


def lacking(said: Said, organisation: str, operators: Mapping[str, Operator]) -> tuple[str, ...]:
    """What those who say a message lack for it; a backend needs no rights, but approves nothing."""
    faults: tuple[str, ...] = ()
    if said.actor.startswith(SYSTEM):
        if said.role == "approve":
            faults = ("actor: only an operator approves",)
        elif said.role == "compliance":
            faults = ("actor: only an operator judges a hit on the sanctions list",)
        elif said.role == "security":
            faults = ("actor: only an operator opens access again, lifts a legal hold or signs off a review",)
    elif said.actor not in operators:
        faults = (f"actor: there is no operator {said.actor}, or no more",)
    else:
        amount = None if said.amount is None else Decimal(said.amount)
        operator = operators[said.actor]
        faults = operator.lacks(organisation, said.role, amount)
        if amount is not None and faults and limits(organisation) and not operator.lacks(organisation, said.role):
            # only the sum is too large: it is said who has the authority
            who = authority_for(organisation, amount)
            faults += (f"amount: {f'the {who} has the authority' if who else 'it is above every limit'}",)
    if said.second is not None:
        second = operators.get(said.second)
        if second is None or second.lacks(organisation, "handle"):
            faults += ("correction.second_person: no operator who handles cases of this organisation",)
    return faults


def _json(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


__all__ = ["CaseActivities", "digest_of"]
