"""A reminder's side of the store: how it opens, whether it is still wanted, and letters that are not sent any more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.store import ActHandler, Opening
from models.renewal import LookAtPolicy, PolicySeen, RenewalBody, RenewalFiling
from models.settlement import NONE
from models.tables import IntakeRow, PartyRow, PolicyRow
from operations.intake import Sessions, renewal_of
from operations.renewal import call_off, objection_of
from rules.policy import next_term, over
from rules.rulebook import book


class RenewalStore:
    """What a reminder adds to `case.open` and `case.record`."""

    kind = "renewal"

    def __init__(self) -> None:
        self.acts: Mapping[str, ActHandler] = {"renewal.stop": self._stop}

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """The policyholder, the end of the contract, and its next term."""
        policy = await renewal_of(session, intake.organisation, RenewalFiling.model_validate(intake.content))
        session.add(
            PartyRow(
                case=intake.case,
                party="policyholder",
                role="policyholder",
                name=policy.policyholder.get("name"),
                email=policy.policyholder.get("email"),
                language=policy.policyholder.get("language", "lv"),
            )
        )
        contract = policy.known.registered
        next_from, next_to = next_term(policy.known)
        body = RenewalBody(
            policy=policy.policy,
            insurer=book(intake.organisation).name,
            ends_on=policy.ends_on,
            lead_reached_at=intake.received_at,
            next_from=next_from,
            next_to=next_to,
            premium=sum((i.amount for i in contract.premium), NONE) or None,
        )
        return Opening(stage="reminding", body=body.model_dump(mode="json"))

    async def _stop(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        await call_off(session, case, data["reason"])


class RenewalActivities:
    """`renewal.look`: whether the reminder is still wanted."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @activity.defn(name="renewal.look")
    async def look(self, ask: LookAtPolicy) -> PolicySeen:
        """The objection of the policyholder, and whether the contract still runs to its end."""
        async with self._sessions() as session:
            policy = (await session.exec(select(PolicyRow).where(PolicyRow.policy == ask.policy))).one()
            objection = await objection_of(session, policy)
        return PolicySeen(
            objection_received_at=objection.received_at if objection is not None else None,
            reminders_stopped_at=objection.stopped_at if objection is not None else None,
            ended=over(policy.known),
        )
