"""A claim's instalments in the store: agreements and schedules, what is ordered of them, and what an end cancels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from activities.store import Amended
from models.claim import Assess
from models.instalments import AHEAD, BY_AGREEMENT, Agreement, HeadByAgreement, Instalment
from models.settlement import NONE, Head, SupportFacts
from models.tables import AgreementRow, DecisionPartRow, InstalmentRow
from rules.loss import right_ends


def left_to_agreement(parts: Iterable[DecisionPartRow], claimant: str, ask: Assess) -> tuple[HeadByAgreement, ...]:
    """What a decision gives this claimant and leaves to a written agreement; what goes to the insured never is."""
    if claimant not in ask.by_agreement:
        return ()
    proofs = {p.head: p.facts for p in ask.losses if p.claimant == claimant}
    left = []
    for part in parts:
        amount = part.payable - part.to_insured
        if part.claimant != claimant or Head(part.head) not in BY_AGREEMENT or amount <= 0:
            continue
        facts = proofs.get(Head(part.head))
        ends = right_ends(facts) if isinstance(facts, SupportFacts) else None
        left.append(HeadByAgreement(head=Head(part.head), amount=amount, right_ends=ends))
    return tuple(left)


# ---- acts -----------------------------------------------------------------------------------------------------------


async def agree(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """Keep the agreement and its schedule."""
    of = {name: data[name] for name in ("claimant", "head", "decision")}
    agreed_at = datetime.fromisoformat(data["agreed_at"])
    session.add(AgreementRow(case=case, **of, agreed_at=agreed_at, reference=data["reference"]))
    await session.flush()
    session.add_all(
        InstalmentRow(
            case=case, **of, n=n, due_on=date.fromisoformat(planned["due_on"]), amount=Decimal(planned["amount"])
        )
        for n, planned in enumerate(data["schedule"], 1)
    )


async def order(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Amended:
    """An instalment is ordered; the claim learns of the next ones."""
    agreements = [Agreement.model_validate(said) for said in data["agreements"]]
    place = next(i for i, agreement in enumerate(agreements) if agreement.subject == data["subject"])
    ordered = agreements[place]
    key = (case, ordered.claimant, ordered.head.value, ordered.decision, data["n"])
    (await session.get_one(InstalmentRow, key)).payment = data["payment"]
    await session.flush()
    waiting = await _waiting(session, case, ordered)
    upcoming = tuple(Instalment(n=row.n, due_on=row.due_on, amount=row.amount) for row in waiting[:AHEAD])
    agreements[place] = ordered.model_copy(update={"next": upcoming})
    return Amended(body={"agreements": [agreement.model_dump(mode="json") for agreement in agreements]})


async def end(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Decimal:
    """The right ended: what falls after its last day and is not ordered is cancelled; the sum of it."""
    ended = Agreement.model_validate(data["agreement"])
    last_day = date.fromisoformat(data["ended_on"])
    agreement = await session.get_one(AgreementRow, (case, ended.claimant, ended.head.value, ended.decision))
    agreement.ended_on, agreement.reason = last_day, data["reason"]
    cancelled = NONE
    for row in await _waiting(session, case, ended):
        if row.due_on > last_day:
            row.cancelled_at = at
            cancelled += row.amount
    part = await session.get_one(DecisionPartRow, (case, ended.decision, ended.claimant, ended.head.value))
    part.cancelled += cancelled
    await session.flush()
    return cancelled


async def _waiting(session: AsyncSession, case: str, agreement: Agreement) -> Sequence[InstalmentRow]:
    """What of a schedule is neither ordered nor cancelled, the earliest first."""
    query = (
        select(InstalmentRow)
        .where(
            InstalmentRow.case == case,
            InstalmentRow.claimant == agreement.claimant,
            InstalmentRow.head == agreement.head.value,
            InstalmentRow.decision == agreement.decision,
            col(InstalmentRow.payment).is_(None),
            col(InstalmentRow.cancelled_at).is_(None),
        )
        .order_by(col(InstalmentRow.n))
    )
    return (await session.exec(query)).all()
