"""A recovery's side of the store: how it opens, the days that people name, and how long its file is kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from activities.store import ActHandler, Amended, Opening
from models.errors import Refusal
from models.names import split_case_id
from models.recovery import DEBTOR, PaidThen, RecoveryBody, RecoveryFiling
from models.tables import IntakeRow, NoticeRow, PartyRow
from operations.filings import check
from operations.intake import ask_store, keep, paid_to
from rules.calendar import load
from rules.period import count
from rules.rulebook import book, duty_for
from security.keys import Keyring

KEEP = "GJ-recovery"


class RecoveryStore:
    """What a recovery adds to `case.open` and `case.record`."""

    kind = "recovery"

    def __init__(self) -> None:
        self.acts: Mapping[str, ActHandler] = {
            "recovery.demand": _demand,
            "recovery.call_off": _call_off,
            "recovery.happened": _happened,
            "recovery.keep": _keep,
        }

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """The debtor as the claim knows them, and the payments that are demanded back."""
        filing = RecoveryFiling.model_validate(intake.content)
        party = (
            await session.exec(select(PartyRow).where(PartyRow.case == filing.claim, PartyRow.party == filing.debtor))
        ).one()
        session.add(
            PartyRow(
                case=intake.case,
                party=DEBTOR,
                **party.model_dump(include={"role", "name", "email", "phone", "personal_code", "language"}),
            )
        )
        values = book(intake.organisation).values
        body = RecoveryBody(
            claim=filing.claim,
            owed_by=filing.debtor,
            reason=filing.reason,
            amount=filing.amount,
            paid=tuple(
                PaidThen(paid_on=order.executed_on, amount=order.amount)
                for order in await paid_to(session, filing.claim, filing.debtor)
                if order.executed_on is not None
            ),
            payee=values["payer"]["name"],
            account=values["payer"]["iban"],
            second_above=Decimal(values["second_approval_above"]),
            text=filing.text,
            repay_by=filing.repay_by,
        )
        return Opening(stage="demanding", body=body.model_dump(mode="json"))


async def recover(session: AsyncSession, keyring: Keyring, case: str, data: dict[str, Any], at: datetime) -> None:
    """File the recovery that a claim's message asks for, in the same commit; the outbox starts it.

    Raises:
        Refusal: More than was paid and is not demanded already, or the reference names another recovery.
    """
    checked = check(
        {
            "kind": RecoveryStore.kind,
            "organisation": split_case_id(case)[1],
            "reference": data["reference"],
            "received_at": at.isoformat(),
            "sender": case,
            "content": data["content"],
        },
        at,
    )
    await ask_store(session, checked)
    await keep(session, keyring, checked, at)


# ---- acts -----------------------------------------------------------------------------------------------------------


def _day(case: str, at: datetime) -> date:
    return at.astimezone(ZoneInfo(book(split_case_id(case)[1]).zone)).date()


async def _demand(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """The debtor is given until a day."""
    if date.fromisoformat(data["repay_by"]) < _day(case, at):
        raise Refusal("repay_by: lies in the past")


async def _call_off(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """Letters that still wait are not sent any more: what they ask for is over, or they say what is planned no more."""
    waiting = select(NoticeRow).where(
        NoticeRow.case == case,
        col(NoticeRow.internal).is_(False),
        col(NoticeRow.sent_at).is_(None),
        col(NoticeRow.refused).is_(None),
    )
    for notice in (await session.exec(waiting)).all():
        notice.refused = data["reason"]


async def _happened(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """Money came, or a suit ended, on a day that the message names."""
    (field, day), *_ = data.items()
    if date.fromisoformat(day) > _day(case, at):
        raise Refusal(f"{field}: lies in the future")


async def _keep(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Amended:
    """The last day of the storage term, from the later of the debt's end and the suit's; none without either."""
    days = [date.fromisoformat(day) for day in data["days"]]
    if data["waived_at"] is not None:
        days.append(_day(case, datetime.fromisoformat(data["waived_at"])))
    if not days:
        return Amended(body={"keep_until": None})
    rulebook = book(split_case_id(case)[1])
    period = duty_for(rulebook.organisation, KEEP).period
    assert period is not None
    start = datetime.combine(max(days), time(12), ZoneInfo(rulebook.zone))
    until = count(start, period, rulebook.zone, load(rulebook.calendar)).last_day
    return Amended(body={"keep_until": until.isoformat()})


__all__ = ["RecoveryStore", "recover"]
