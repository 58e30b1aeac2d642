"""A late premium's side of the store: how it opens, the refusal that makes the policy void, the right that lapses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.payment import SCREENING, rejected, returned, set_account
from activities.store import ActHandler, Opening
from models.errors import Refusal
from models.late_premium import ClaimsKnown, LatePremiumBody, LatePremiumFiling, LookForClaims
from models.settlement import NONE
from models.tables import IntakeRow, LimitRow, NoticeRow, PartyRow, PolicyRow
from operations.intake import Sessions, late_premium_of
from operations.policies import refuse_premium
from rules.policy import first_instalment, first_paid_late_on


class LatePremiumStore:
    """What a late premium adds to `case.open` and `case.record`."""

    kind = "late_premium"

    def __init__(self) -> None:
        self.acts: Mapping[str, ActHandler] = {
            "payment.executed": returned,
            "payment.rejected": rejected,
            "payment.set_account": set_account,
            **SCREENING,
            "late_premium.refusing": self._refusing,
            "late_premium.refuse": self._refuse,
            "late_premium.lapse": self._lapse,
        }

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """The policyholder, and the dates that decide."""
        filing = LatePremiumFiling.model_validate(intake.content)
        policy = await late_premium_of(session, intake.organisation, filing)
        first, paid_on = first_instalment(policy.known), first_paid_late_on(policy.known)
        assert first is not None
        assert paid_on is not None
        session.add(
            PartyRow(
                case=intake.case,
                party="policyholder",
                role="policyholder",
                name=policy.policyholder.get("name"),
                email=policy.policyholder.get("email"),
                language=policy.policyholder.get("language", "lv"),
                iban=filing.iban,
            )
        )
        body = LatePremiumBody(
            policy=filing.policy,
            premium=filing.premium,
            amount=sum((p.amount for p in policy.known.paid), NONE),
            due_on=first.due_on,
            paid_on=paid_on,
            received_at=intake.received_at,
            account=filing.iban is not None,
        )
        return Opening(stage="deciding", body=body.model_dump(mode="json"))

    # ---- acts -------------------------------------------------------------------------------------------------------

    async def _refusing(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """A refusal is decided; with a claim on the policy only where a second person approved it."""
        await _policy(session, data["policy"])
        if not data["approved"] and await _claims(session, data["policy"]):
            raise Refusal("policy: a claim on it became known meanwhile; refuse again, and a second person is asked")

    async def _refuse(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """The refusal is proven sent: the policy never took effect."""
        await refuse_premium(session, await _policy(session, data["policy"]), case, at)

    async def _lapse(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """The 15 days are over: a letter of refusal that still waits is not sent any more."""
        waiting = select(NoticeRow).where(
            NoticeRow.case == case,
            col(NoticeRow.internal).is_(False),
            col(NoticeRow.sent_at).is_(None),
            col(NoticeRow.refused).is_(None),
        )
        for notice in (await session.exec(waiting)).all():
            notice.refused = "the right of 6.5 has lapsed"


class LatePremiumActivities:
    """`late_premium.claims`: whether a claim on the policy is known."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @activity.defn(name="late_premium.claims")
    async def claims(self, ask: LookForClaims) -> ClaimsKnown:
        """The number of claims on the policy."""
        async with self._sessions() as session:
            return ClaimsKnown(claims=await _claims(session, ask.policy))


async def _policy(session: AsyncSession, policy: str) -> PolicyRow:
    return (await session.exec(select(PolicyRow).where(PolicyRow.policy == policy).with_for_update())).one()


async def _claims(session: AsyncSession, policy: str) -> int:
    return len((await session.exec(select(LimitRow.case).where(LimitRow.policy == policy))).all())
