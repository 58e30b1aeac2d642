"""`payment.order`: an order goes to the bank once, however often it is asked; and the acts of whoever pays."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from integrations.bank import Bank, BankUnavailable, OrderRefused, PaymentOrder, iban_fault
from models import errors
from models.case import OrderIssued, OrderRef
from models.errors import Refusal
from models.now import Now
from models.tables import CaseRow, PartyRow, PaymentOrderRow
from operations.intake import Sessions
from rules.rulebook import book


class PaymentActivities:
    """The bank's side of a payment."""

    def __init__(self, sessions: Sessions, bank: Bank, now: Now) -> None:
        self._sessions = sessions
        self._bank = bank
        self._now = now

    @activity.defn(name="payment.order")
    async def order(self, ref: OrderRef) -> OrderIssued:
        """Hand the order that `record` wrote to the bank; again returns the first proof."""
        async with self._sessions() as session:
            row = (
                await session.exec(
                    select(PaymentOrderRow).where(PaymentOrderRow.case == ref.case, PaymentOrderRow.key == ref.key)
                )
            ).one()
            if row.issued_at is not None:
                return OrderIssued(key=ref.key, issued_at=row.issued_at, reference=row.reference)
            case = (await session.exec(select(CaseRow).where(CaseRow.case == ref.case))).one()
            party = await session.get(PartyRow, (ref.case, row.party))
        rulebook = book(case.organisation)
        debtor = rulebook.values["payer"]
        at = self._now()
        if party is None or party.iban is None or party.name is None:
            return OrderIssued(key=ref.key, refused="no account")
        try:
            order = PaymentOrder(
                id=f"{ref.case}#{ref.key}",
                debtor_name=debtor["name"],
                debtor_iban=debtor["iban"],
                creditor_name=party.name,
                creditor_iban=party.iban,
                amount=row.amount,
                remittance=row.remittance,
                # the day it was decided, not the day of this attempt: a repeated order is the same order
                requested_on=row.queued_at.astimezone(ZoneInfo(rulebook.zone)).date(),
            )
            proof = await self._bank.submit(order, at)
        except BankUnavailable:
            raise ApplicationError(
                "the bank does not take orders now", type=errors.OUTSIDE_DOWN, category=ApplicationErrorCategory.BENIGN
            ) from None
        except OrderRefused as e:
            return OrderIssued(key=ref.key, refused=str(e)[:200])
        except ValueError:
            return OrderIssued(key=ref.key, refused="the order is not one that the bank could take")
        async with self._sessions() as session, session.begin():
            row = (
                await session.exec(
                    select(PaymentOrderRow).where(PaymentOrderRow.case == ref.case, PaymentOrderRow.key == ref.key)
                )
            ).one()
            row.issued_at, row.reference = proof.submitted_at, proof.reference
        return OrderIssued(key=ref.key, issued_at=proof.submitted_at, reference=proof.reference)


# ---- acts of whoever pays -------------------------------------------------------------------------------------------


async def executed(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """The bank executed an order."""
    order = await order_of(session, case, data["key"])
    if order.issued_at is None:
        raise Refusal("payment: its order has not reached the bank yet")
    order.executed_on = date.fromisoformat(data["executed_on"])
    order.rejected = None


async def returned(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """As `executed`, of a payment for which no clock runs that would judge its day."""
    row = (await session.exec(select(CaseRow).where(CaseRow.case == case))).one()
    if date.fromisoformat(data["executed_on"]) > at.astimezone(ZoneInfo(book(row.organisation).zone)).date():
        raise Refusal("executed_on: lies in the future")
    await executed(session, case, data, at)


async def rejected(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """The bank rejected an order, or returned its money."""
    order = await order_of(session, case, data["key"])
    order.rejected, order.executed_on = data["reason"], None


async def set_account(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """Another account for a payee."""
    if fault := iban_fault(data["iban"]):
        raise Refusal(f"iban: {fault}")
    party = await session.get(PartyRow, (case, data["claimant"]))
    if party is None:
        raise Refusal("claimant: there is no such claimant")
    party.iban = data["iban"]


async def order_of(session: AsyncSession, case: str, key: str) -> PaymentOrderRow:
    """An order of a case.

    Raises:
        Refusal: There is none of this key.
    """
    order = await session.get(PaymentOrderRow, (case, key))
    if order is None:
        raise Refusal("payment: there is no such order")
    return order
