"""The store's side of a decision about an authenticator for everybody: whom it concerns, and what each is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.store import ActHandler, Opening
from models.access import AuthenticatorDecisionFiling
from models.authenticator_decision import BATCH, AuthenticatorDecisionBody, LookAtWithdrawals, WithdrawalsSeen
from models.errors import Refusal
from models.names import split_case_id
from models.operator import SYSTEM
from models.tables import AuthenticatorDecisionRow, ConcernedRow, EventRow, IntakeRow, WithdrawalRow
from models.tables.sealed import values_of
from operations.authenticator_decision import concerned, progress, tell, today_in
from operations.intake import Sessions
from security.keys import Keyring


class AuthenticatorDecisionStore:
    """What a decision for everybody adds to `case.open` and `case.record`."""

    kind = "authenticator_decision"

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self.acts: Mapping[str, ActHandler] = {
            "authenticator_decision.file": self._file,
            "authenticator_decision.withdraw": _withdraw,
            "authenticator_decision.move": _move,
            "authenticator_decision.pass_on": _pass_on,
        }

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """The decision as a row, which every effect of it asks."""
        filing = AuthenticatorDecisionFiling.model_validate(intake.content)
        row = AuthenticatorDecisionRow(
            case=intake.case,
            organisation=intake.organisation,
            **filing.model_dump(include={"authenticator", "scope", "takes_effect_on"}),
        )
        session.add(row)
        body = AuthenticatorDecisionBody(**filing.model_dump(exclude={"limitation"}))
        return Opening(stage="finding", body=body.model_dump(mode="json"))

    async def _file(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """File a withdrawal for each of these clients, in the same commit; the outbox starts them."""
        await tell(session, self._keyring, await _decision(session, case), data["clients"], at)


class AuthenticatorDecisionActivities:
    """`authenticator_decision.look`: who is still to be told, and how the withdrawals stand."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @activity.defn(name="authenticator_decision.look")
    async def look(self, ask: LookAtWithdrawals) -> WithdrawalsSeen:
        """A batch of clients that have no withdrawal yet, and the progress of those that have one."""
        async with self._sessions() as session:
            decision = await session.get_one(AuthenticatorDecisionRow, ask.case)
            return WithdrawalsSeen(
                clients=tuple(await concerned(session, decision, ask.at)),
                progress=await progress(session, ask.case, ask.at, ask.event),
            )


async def _decision(session: AsyncSession, case: str) -> AuthenticatorDecisionRow:
    """The decision's row, locked: no effect that asks it comes meanwhile."""
    query = select(AuthenticatorDecisionRow).where(AuthenticatorDecisionRow.case == case)
    return (await session.exec(query.with_for_update())).one()


# ---- acts -----------------------------------------------------------------------------------------------------------


async def _withdraw(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """From this commit on there is no effect for anybody who has none yet, whenever each case hears of it."""
    (await _decision(session, case)).withdrawn_at = at


async def _move(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """From this commit on there is no effect before the new day; an earlier one each notice allows or not."""
    day = date.fromisoformat(data["takes_effect_on"])
    if day < today_in(split_case_id(case)[1], at):
        raise Refusal("takes_effect_on: lies in the past")
    (await _decision(session, case)).takes_effect_on = day


async def _pass_on(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """Say to the next withdrawals what was said for everybody: as events, which the sweep delivers.

    Those that have come to their end, or were erased, hear nothing.
    """
    batch = (
        await session.exec(
            select(ConcernedRow.withdrawal)
            .where(ConcernedRow.decision == case)
            .order_by(col(ConcernedRow.withdrawal))
            .offset(data["given"])
            .limit(BATCH)
        )
    ).all()
    for withdrawal in batch:
        # shared with senders of events, not with an erasure
        intake = await session.get_one(IntakeRow, withdrawal, with_for_update={"read": True})
        row = await session.get(WithdrawalRow, withdrawal)
        over = row is not None and (row.effective_at is not None or row.withdrawn_at is not None)
        if over or intake.erased_at is not None:
            continue
        message = {"case": withdrawal, "actor": f"{SYSTEM}termins", **data["message"]}
        event = EventRow(case=withdrawal, event=data["event"], name=data["name"], message=message, recorded_at=at)
        await session.exec(insert(EventRow).values(values_of(event)).on_conflict_do_nothing())


__all__ = ["AuthenticatorDecisionActivities", "AuthenticatorDecisionStore"]
