"""Decisions about an authenticator for everybody: whom they concern, how they stand, and what follows from them later.

What follows: who has to look again, what is granted no more, who is told of a decision that closed before they came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import exists, func
from sqlalchemy import select as columns
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from models.authenticator_decision import BATCH, BELL, NAMED, Progress
from models.common import Model
from models.errors import Refusal, Unreadable
from models.names import PERSONAL_CODE, REFERENCE, case_id, shortened, split_case_id
from models.now import Now
from models.tables import (
    AccountRow,
    AuthenticatorDecisionRow,
    BellRow,
    CaseRow,
    ClientChangeRow,
    ClientRow,
    ConcernedRow,
    EventRow,
    IntakeRow,
    NoticeRow,
    WithdrawalRow,
)
from operations.filings import check
from operations.intake import Sessions, keep
from operations.operators import may_handle
from rules.rulebook import book
from security.keys import KeyDestroyed, Keyring, NoKey

log = structlog.get_logger()

DECISION = "authenticator_decision"
WITHDRAWAL = "authenticator_withdrawal"
OVER = "contract_ended"
"""Why a withdrawal looks again: its client is none any more."""


def today_in(organisation: str, at: datetime) -> date:
    """The organisation's day at an instant."""
    return at.astimezone(ZoneInfo(book(organisation).zone)).date()


def _concerned(decision: AuthenticatorDecisionRow, today: date) -> SelectOfScalar[str]:
    """The clients whose contract or users have the authenticator, and that have no withdrawal of this decision."""
    uses = exists().where(
        col(AccountRow.client) == col(ClientRow.client),
        col(AccountRow.authenticator) == decision.authenticator,
        col(AccountRow.status) != "ended",
    )
    has = exists().where(col(ConcernedRow.decision) == decision.case, col(ConcernedRow.client) == col(ClientRow.client))
    return (
        select(ClientRow.client)
        .where(
            ClientRow.organisation == decision.organisation,
            or_(col(ClientRow.contract_until).is_(None), col(ClientRow.contract_until) >= today),
            or_(col(ClientRow.authenticators).contains([decision.authenticator]), uses),
            ~has,
        )
        .order_by(col(ClientRow.client))
        .limit(BATCH)
    )


async def concerned(session: AsyncSession, decision: AuthenticatorDecisionRow, at: datetime) -> Sequence[str]:
    """The next batch of clients that are still to be told; none once it is withdrawn, or the authenticator is back."""
    if decision.withdrawn_at is not None or decision.offered_again_at is not None:
        return ()
    return (await session.exec(_concerned(decision, today_in(decision.organisation, at)))).all()


async def tell(
    session: AsyncSession, keyring: Keyring, decision: AuthenticatorDecisionRow, clients: Sequence[str], at: datetime
) -> None:
    """File a withdrawal for each of these clients, in the caller's commit; outbox or sweep start them."""
    case = decision.case
    intake = (await session.exec(select(IntakeRow).where(IntakeRow.case == case))).one()
    takes_effect_on = decision.takes_effect_on.isoformat() if decision.takes_effect_on else None
    for client in clients:
        filing = {
            "kind": WITHDRAWAL,
            "organisation": intake.organisation,
            "reference": await _reference(session, case, client),
            # the same for whoever joins later, so that what is filed again is the same
            "received_at": intake.received_at.isoformat(),
            "sender": case,
            "content": {**intake.content, "client": client, "takes_effect_on": takes_effect_on},
        }
        row, _ = await keep(session, keyring, check(filing, at), at, parent=case)
        theirs = {"decision": case, "client": client, "withdrawal": row.case}
        await session.exec(insert(ConcernedRow).values(**theirs).on_conflict_do_nothing())


async def _reference(session: AsyncSession, decision: str, client: str) -> str:
    """What a client's withdrawal is called: after the decision and the client, or shorter; never as another's."""
    _, organisation, head = split_case_id(decision)
    reference = f"{head}-{client}"
    if not REFERENCE.match(reference) or PERSONAL_CODE.search(reference):
        return shortened(f"{decision} {client}")
    named = select(IntakeRow.case, IntakeRow.parent).where(
        IntakeRow.case == case_id(WITHDRAWAL, organisation, reference)
    )
    there = (await session.exec(named)).first()
    return reference if there is None or there[1] == decision else shortened(f"{decision} {client}")


# ---- how it stands --------------------------------------------------------------------------------------------------


async def progress(session: AsyncSession, decision: str, at: datetime, event: str | None) -> Progress:
    """How the withdrawals of a decision stand, from columns that no key seals; `event` is what was passed on last."""
    newest = (
        select(or_(col(NoticeRow.refused).is_not(None), col(NoticeRow.bounced_at).is_not(None)))
        .where(NoticeRow.case == ConcernedRow.withdrawal, col(NoticeRow.internal).is_(False))
        .order_by(col(NoticeRow.queued_at).desc(), col(NoticeRow.key).desc())
        .limit(1)
        .scalar_subquery()
    )
    refused = exists().where(
        col(EventRow.case) == col(ConcernedRow.withdrawal),
        col(EventRow.event) == event,
        col(EventRow.refused).is_not(None),
    )
    query = (
        columns(
            col(ConcernedRow.withdrawal),
            col(CaseRow.stage),
            col(WithdrawalRow.not_before),
            col(WithdrawalRow.effective_at),
            col(WithdrawalRow.withdrawn_at),
            newest,
            refused,
        )
        .select_from(ConcernedRow)
        .outerjoin(CaseRow, col(CaseRow.case) == col(ConcernedRow.withdrawal))
        .outerjoin(WithdrawalRow, col(WithdrawalRow.case) == col(ConcernedRow.withdrawal))
        .where(col(ConcernedRow.decision) == decision)
        .order_by(col(ConcernedRow.withdrawal))
    )
    rows: Iterable[Any] = (await session.exec(query)).all()  # type: ignore[call-overload]  # seven columns of four tables
    counts = dict.fromkeys(Progress.model_fields, 0)
    behind = []
    for withdrawal, stage, not_before, effective_at, withdrawn_at, unsent, refusing in rows:
        state = _state(stage, not_before, effective_at, withdrawn_at, at, unsent=bool(unsent))
        counts[state] += 1
        again = refusing and state not in ("in_effect", "withdrawn")
        counts["refused"] += again
        if again or state in ("unreached", "held"):
            behind.append(withdrawal)
    waits = (
        select(func.count())
        .select_from(ConcernedRow)
        .join(IntakeRow, col(IntakeRow.parent) == col(ConcernedRow.withdrawal))
        .outerjoin(CaseRow, col(CaseRow.case) == col(IntakeRow.case))
        .where(
            ConcernedRow.decision == decision,
            IntakeRow.kind == "access_request",
            or_(col(CaseRow.stage).is_(None), col(CaseRow.stage).not_in(("resting", "closed"))),
        )
    )
    counts["fallbacks"] = (await session.exec(waits)).one()
    del counts["behind"]
    return Progress(**counts, behind=tuple(behind[:NAMED]))


def _state(
    stage: str | None,
    not_before: datetime | None,
    effective_at: datetime | None,
    withdrawn_at: datetime | None,
    at: datetime,
    *,
    unsent: bool,
) -> str:
    """Where one withdrawal stands, as a field of `Progress`."""
    if withdrawn_at is not None:
        return "withdrawn"
    if effective_at is not None:
        return "in_effect"
    if stage is None:
        return "waiting"
    if stage == "telling":
        return "unreached" if unsent else "telling"
    return "held" if not_before is not None and not_before <= at else "running"


# ---- who has to look again ------------------------------------------------------------------------------------------


async def ring_concerned(sessions: Sessions, now: Now) -> int:
    """Ring the open decisions that clients have joined, and the withdrawals whose client is none any more."""
    at = now()
    async with sessions() as session, session.begin():
        decisions = (
            await session.exec(
                select(AuthenticatorDecisionRow)
                .join(CaseRow, col(CaseRow.case) == col(AuthenticatorDecisionRow.case))
                .where(col(CaseRow.closed_at).is_(None), col(AuthenticatorDecisionRow.withdrawn_at).is_(None))
            )
        ).all()
        wanted = {d.case: BELL for d in decisions if await concerned(session, d, at)}
        ended = (
            await session.exec(
                select(CaseRow.case, CaseRow.organisation, col(ClientRow.contract_until))
                .select_from(WithdrawalRow)
                .join(CaseRow, col(CaseRow.case) == col(WithdrawalRow.case))
                .join(ClientRow, col(ClientRow.client) == col(WithdrawalRow.client))
                .where(
                    col(CaseRow.closed_at).is_(None),
                    col(WithdrawalRow.effective_at).is_(None),
                    col(WithdrawalRow.withdrawn_at).is_(None),
                    col(ClientRow.contract_until).is_not(None),
                )
            )
        ).all()
        wanted |= {case: OVER for case, code, until in ended if until is not None and until < today_in(code, at)}
        rung = set(
            (
                await session.exec(
                    select(BellRow.case).where(col(BellRow.case).in_(wanted), col(BellRow.heard_at).is_(None))
                )
            ).all()
        )
        new = {case: reason for case, reason in wanted.items() if case not in rung}
        session.add_all(BellRow(case=case, reason=reason, created_at=at) for case, reason in new.items())
    return len(new)


async def tell_late(sessions: Sessions, keyring: Keyring, now: Now) -> int:
    """Tell whoever came to an authenticator after its decision closed, and was not stopped at the door; how many.

    Each by a withdrawal with ten days of its own: what somebody has is never taken away without them (BL 3).
    """
    at = now()
    query = (
        select(AuthenticatorDecisionRow.case)
        .join(CaseRow, col(CaseRow.case) == col(AuthenticatorDecisionRow.case))
        .where(
            col(CaseRow.closed_at).is_not(None),
            col(AuthenticatorDecisionRow.withdrawn_at).is_(None),
            col(AuthenticatorDecisionRow.offered_again_at).is_(None),
        )
        .order_by(AuthenticatorDecisionRow.case)
    )
    async with sessions() as session:
        closed = (await session.exec(query)).all()
    told = 0
    for case in closed:
        try:
            async with sessions() as session, session.begin():
                decision = await session.get_one(AuthenticatorDecisionRow, case, with_for_update=True)
                clients = await concerned(session, decision, at)
                await tell(session, keyring, decision, clients, at)
                told += len(clients)
        except (Refusal, NoKey, KeyDestroyed, Unreadable) as e:
            log.warning("nobody is told of a decision that closed", case=case, problem=type(e).__name__)
    return told


# ---- what is granted no more ----------------------------------------------------------------------------------------


async def ended_by(
    session: AsyncSession, organisation: str, client: str | None, authenticator: str, at: datetime
) -> str | None:
    """The case by which this authenticator is granted to this client (None: a new one) no more, or None.

    That is the client's own withdrawal once it has taken effect, until the broker offers it again or puts it on the
    client's list again; and for whom such a decision did not concern, the decision once it closed and its day has come.
    """
    own = await _in_effect(session, client, authenticator, "end") if client is not None else None
    if own is not None and not await _listed_again(session, own):
        return own.case
    part = aliased(CaseRow)
    # whoever was a client no more when it came to the effect, and is one again, was told nothing that would hold
    concerns = exists().where(
        col(ConcernedRow.decision) == col(AuthenticatorDecisionRow.case),
        col(ConcernedRow.client) == client,
        ~exists().where(col(part.case) == col(ConcernedRow.withdrawal), col(part.outcome) == OVER),
    )
    today = today_in(organisation, at)
    query = (
        select(AuthenticatorDecisionRow.case)
        .join(CaseRow, col(CaseRow.case) == col(AuthenticatorDecisionRow.case))
        .where(
            AuthenticatorDecisionRow.organisation == organisation,
            AuthenticatorDecisionRow.authenticator == authenticator,
            AuthenticatorDecisionRow.scope == "end",
            col(AuthenticatorDecisionRow.withdrawn_at).is_(None),
            col(AuthenticatorDecisionRow.offered_again_at).is_(None),
            or_(
                col(AuthenticatorDecisionRow.takes_effect_on).is_(None),
                col(AuthenticatorDecisionRow.takes_effect_on) <= today,
            ),
            col(CaseRow.closed_at).is_not(None),
            ~concerns,
        )
        .order_by(AuthenticatorDecisionRow.case)
    )
    return (await session.exec(query)).first()


async def limit_of(session: AsyncSession, client: str, authenticator: str) -> WithdrawalRow | None:
    """The limit of this authenticator that has taken effect for this client: it holds for new users too."""
    return await _in_effect(session, client, authenticator, "limit")


async def _in_effect(session: AsyncSession, client: str, authenticator: str, scope: str) -> WithdrawalRow | None:
    """The last withdrawal that has taken effect for this client, unless the authenticator is offered again.

    Shared with other grants, not with an effect: none comes between this answer and the caller's commit.
    """
    theirs = select(WithdrawalRow).where(
        WithdrawalRow.client == client, WithdrawalRow.authenticator == authenticator, WithdrawalRow.scope == scope
    )
    locked = theirs.order_by(WithdrawalRow.case).with_for_update(read=True).execution_options(populate_existing=True)
    came = {row.effective_at: row for row in (await session.exec(locked)).all() if row.effective_at is not None}
    if not came:
        return None
    last = came[max(came)]
    back = (
        select(AuthenticatorDecisionRow.offered_again_at)
        .join(ConcernedRow, col(ConcernedRow.decision) == col(AuthenticatorDecisionRow.case))
        .where(ConcernedRow.withdrawal == last.case)
    )
    return last if (await session.exec(back)).first() is None else None


async def _listed_again(session: AsyncSession, own: WithdrawalRow) -> bool:
    """Whether the broker put the authenticator on the client's list after it had ended for this client alone."""
    if await is_for_everybody(session, own.case):
        return False
    assert own.effective_at is not None
    later = select(ClientChangeRow).where(ClientChangeRow.client == own.client, ClientChangeRow.at > own.effective_at)
    name = own.authenticator
    return any(
        name in (change.after.get("authenticators") or ()) and name not in (change.before.get("authenticators") or ())
        for change in (await session.exec(later)).all()
    )


async def is_for_everybody(session: AsyncSession, case: str) -> bool:
    """Whether this case (`ended_by`) is a decision for everybody, or a client's part of one."""
    own = select(ConcernedRow.decision).where(ConcernedRow.withdrawal == case)
    return case.startswith(f"{DECISION}:") or (await session.exec(own)).first() is not None


class OfferedAgain(Model):
    """A decision that stands no more: its authenticator is granted as if it had not been decided."""

    case: str
    authenticator: str


async def offer_again(sessions: Sessions, case: str, by: str, now: Now) -> OfferedAgain:
    """Let an authenticator that ended or was limited for everybody be granted again; what ended stays ended.

    Raises:
        Refusal: There is no such decision, it has not closed, it was withdrawn, or who speaks may not say it.
    """
    async with sessions() as session, session.begin():
        decision = await session.get(AuthenticatorDecisionRow, case, with_for_update=True)
        if decision is None:
            raise Refusal("case: no decision about an authenticator for everybody")
        await may_handle(session, decision.organisation, by)
        if decision.withdrawn_at is not None:
            raise Refusal("case: the decision was withdrawn; the authenticator has not ended by it")
        if (await session.get_one(CaseRow, case)).closed_at is None:
            raise Refusal("case: the decision runs; withdraw_decision takes it back")
        if decision.offered_again_at is None:
            decision.offered_again_at, decision.offered_again_by = now(), by
        return OfferedAgain(case=case, authenticator=decision.authenticator)
