"""What people ask of a policy's limits: what they have given, what is reserved, and for which claims, in order."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlmodel import col, select

from models.common import Model
from models.settlement import NONE, Amount
from models.tables import CaseRow, LimitRow, PolicyRow
from operations.intake import Sessions
from operations.reading import NotFound


class ClaimOnLimit(Model):
    """A claim in the ledger, in EUR: an amount for each stage."""

    case: str
    stage: str
    occurrence: int
    """Claims of one occurrence have the same number, counted through the policy in the order of filing."""
    filed_at: datetime
    claimed: Amount
    proven: Amount
    proposed: Amount
    approved: Amount
    reserved: Amount
    withheld: Amount
    paid: Amount


class PolicyLimits(Model):
    """The ledger of a policy, in EUR."""

    policy: str
    taken: Amount
    """Decided to be paid, of the limit for the period."""
    reserved: Amount
    claims: tuple[ClaimOnLimit, ...]


async def limits_of(sessions: Sessions, policy: str) -> PolicyLimits:
    """The claims of a policy in the order of filing (9.6, 9.10).

    Raises:
        NotFound: There is no such policy.
    """
    async with sessions() as session:
        if await session.get(PolicyRow, policy) is None:
            raise NotFound(f"There is no policy {policy}.")
        query = (
            select(LimitRow, CaseRow)
            .join(CaseRow, col(CaseRow.case) == col(LimitRow.case))
            .where(LimitRow.policy == policy)
            .order_by(col(LimitRow.filed_at), col(LimitRow.received_at), col(LimitRow.case))
        )
        rows = (await session.exec(query)).all()
    occurrences = {key: n for n, key in enumerate(dict.fromkeys(row.occurrence for row, _ in rows), 1)}
    return PolicyLimits(
        policy=policy,
        taken=_sum([row.taken for row, _ in rows]),
        reserved=_sum([row.reserved for row, _ in rows]),
        claims=tuple(
            ClaimOnLimit(
                case=row.case,
                stage=case.stage,
                occurrence=occurrences[row.occurrence],
                filed_at=row.filed_at,
                claimed=row.claimed,
                proven=row.proven,
                proposed=row.proposed,
                approved=row.taken,
                reserved=row.reserved,
                withheld=row.withheld,
                paid=row.paid,
            )
            for row, case in rows
        ),
    )


def _sum(amounts: list[Decimal]) -> Decimal:
    return sum(amounts, NONE)
