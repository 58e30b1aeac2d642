"""`payment.order`: a payment order goes to the bank once, however often it is asked."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from sqlmodel import select
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from integrations.bank import Bank, BankUnavailable, OrderRefused, PaymentOrder
from models import errors
from models.case import OrderIssued, OrderRef
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
