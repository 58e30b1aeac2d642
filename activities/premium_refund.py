"""A refund's side of the store: how it opens, and what becomes of its payment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from activities.payment import SCREENING, rejected, returned, set_account
from activities.store import ActHandler, Opening
from models.premium_refund import PremiumRefundBody, PremiumRefundFiling
from models.tables import IntakeRow, PartyRow
from operations.intake import refund_of


class PremiumRefundStore:
    """What a refund adds to `case.open` and `case.record`."""

    kind = "premium_refund"

    def __init__(self) -> None:
        self.acts: Mapping[str, ActHandler] = {
            "payment.executed": returned,
            "payment.rejected": rejected,
            "payment.set_account": set_account,
            **SCREENING,
        }

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """The policyholder, and the sum that was worked out when the contract ended."""
        filing = PremiumRefundFiling.model_validate(intake.content)
        policy, ended = await refund_of(session, intake.organisation, filing)
        session.add(
            PartyRow(
                case=intake.case,
                party="policyholder",
                role="policyholder",
                name=policy.policyholder.get("name"),
                email=policy.policyholder.get("email"),
                language=policy.policyholder.get("language", "lv"),
                iban=filing.iban,
                to_screen=True,
            )
        )
        body = PremiumRefundBody(
            policy=policy.policy,
            clause=ended.refund.clause,
            amount=ended.refund.amount,
            covered_until=ended.covered_until,
            account=filing.iban is not None,
        )
        return Opening(stage="returning", body=body.model_dump(mode="json"))
