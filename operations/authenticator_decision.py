"""Decisions about an authenticator for everybody: whom they concern, how they stand, and who has to look again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import exists, func
from sqlalchemy import select as columns
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from models.authenticator_decision import BATCH, BELL, NAMED, Progress
from models.now import Now
from models.tables import (
    AccountRow,
    AuthenticatorDecisionRow,
    BellRow,
    CaseRow,
    ClientRow,
    ConcernedRow,
    EventRow,
    IntakeRow,
    NoticeRow,
    WithdrawalRow,
)
from operations.intake import Sessions
from rules.rulebook import book

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
    """The next batch of clients that are still to be told; none once the decision is withdrawn."""
    if decision.withdrawn_at is not None:
        return ()
    return (await session.exec(_concerned(decision, today_in(decision.organisation, at)))).all()


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
