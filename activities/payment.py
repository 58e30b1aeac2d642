"""`payment.order`: its payee is screened, then it goes to the bank once; and the acts of whoever pays."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.limits import approver
from activities.screening import SCREEN, keep, version
from activities.store import ActHandler
from integrations.bank import Bank, BankUnavailable, OrderRefused, PaymentOrder, iban_fault
from integrations.sanctions import ListUnavailable, Sanctions
from models import errors
from models.case import OrderIssued, OrderRef
from models.errors import Refusal
from models.now import Now
from models.screening import PartyHit
from models.tables import CaseRow, NoticeRow, PartyRow, PaymentOrderRow, ScreeningRow
from operations.intake import Sessions
from rules.authority import limits
from rules.rulebook import Rulebook, book, duty_for
from rules.screening import birth_date, screen

ACCOUNT_BY = "account_by"
"""Of a party: who said the account that stands now, other than its owner in the filing."""


class PaymentActivities:
    """The bank's side of a payment."""

    def __init__(self, sessions: Sessions, bank: Bank, sanctions: Sanctions, now: Now) -> None:
        self._sessions = sessions
        self._sanctions = sanctions
        self._bank = bank
        self._now = now

    @activity.defn(name="payment.order")
    async def order(self, ref: OrderRef) -> OrderIssued:
        """Screen the payee and hand the order that `record` wrote to the bank; again returns the first proof.

        A payee who may be on the sanctions list is paid nothing until a person has judged it.
        """
        async with self._sessions() as session:
            row = (
                await session.exec(
                    select(PaymentOrderRow).where(PaymentOrderRow.case == ref.case, PaymentOrderRow.key == ref.key)
                )
            ).one()
            if row.issued_at is not None:
                known = await session.get(ScreeningRow, (ref.case, ref.key))
                return _issued(row, known)
            case = (await session.exec(select(CaseRow).where(CaseRow.case == ref.case))).one()
            party = await session.get(PartyRow, (ref.case, row.party))
        rulebook = book(case.organisation)
        debtor = rulebook.values["payer"]
        at = self._now()
        if party is None or party.iban is None or party.name is None:
            return OrderIssued(key=ref.key, refused="no account")
        if await self._needs_second(row, party, rulebook):
            return OrderIssued(key=ref.key, refused="a second person says the same account: the sum is above the limit")
        screened, hits = await self._screen(row, party.name, party.personal_code)
        if hits:
            return OrderIssued(key=ref.key, screened=version(screened), hits=hits)
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
            return OrderIssued(key=ref.key, refused=str(e)[:200], screened=version(screened))
        except ValueError:
            reason = "the order is not one that the bank could take"
            return OrderIssued(key=ref.key, refused=reason, screened=version(screened))
        async with self._sessions() as session, session.begin():
            row = (
                await session.exec(
                    select(PaymentOrderRow).where(PaymentOrderRow.case == ref.case, PaymentOrderRow.key == ref.key)
                )
            ).one()
            row.issued_at, row.reference = proof.submitted_at, proof.reference
            return _issued(row, screened)

    async def _needs_second(self, order: PaymentOrderRow, party: PartyRow, rulebook: Rulebook) -> bool:
        """Whether an account that one person changed waits for another to say it too; who has the authority is told.

        Only above the sum for which a decision needs a second person: what two approved shall not go where one says.
        """
        above = rulebook.values.get("second_approval_above")
        by = party.other.get(ACCOUNT_BY)
        if above is None or by is None or len(set(by)) > 1:
            return False
        same_payee = (PaymentOrderRow.case == order.case, PaymentOrderRow.party == order.party)
        async with self._sessions() as session, session.begin():
            waiting = select(PaymentOrderRow).where(*same_payee, col(PaymentOrderRow.issued_at).is_(None))
            # all that waits for this payee: a sum is not made small by its parts
            amount = sum((one.amount for one in (await session.exec(waiting)).all()), Decimal(0))
            if amount <= Decimal(str(above)):
                return False
            table = limits(rulebook.organisation)
            key = f"account:{order.key}"
            if table and await session.get(NoticeRow, (order.case, key)) is None:
                who = await approver(session, rulebook.organisation, amount, by[0])
                session.add(
                    NoticeRow(
                        case=order.case,
                        key=key,
                        template="internal-account",
                        party=who or max(table, key=lambda role: table[role]),
                        internal=True,
                        facts={"payment": order.key, "amount": str(amount), "by": by[0]},
                        queued_at=self._now(),
                    )
                )
        return True

    async def _screen(
        self, order: PaymentOrderRow, name: str, code: str | None
    ) -> tuple[ScreeningRow, tuple[str, ...]]:
        """By which list the payee was screened, and whom on it nobody has cleared; both are kept before any order."""
        try:
            listed = await self._sanctions.listed()
        except ListUnavailable as e:
            # no list, no payment: said where people look, and over as soon as there is one
            raise ApplicationError(str(e), type=errors.OUTSIDE_DOWN, category=ApplicationErrorCategory.BENIGN) from None
        found = await asyncio.to_thread(screen, name, birth_date(code), listed.entries)
        async with self._sessions() as session, session.begin():
            return await keep(session, order.case, order.key, order.party, found, listed, self._now())


def _issued(order: PaymentOrderRow, screened: ScreeningRow | None) -> OrderIssued:
    """The proof of an order that the bank has, and of its payee's screening."""
    issued = OrderIssued(key=order.key, issued_at=order.issued_at, reference=order.reference)
    if screened is None:
        return issued
    return issued.model_copy(
        update={
            "screened": version(screened),
            "screened_at": screened.screened_at,
            "list_made_at": screened.list_made_at,
            "list_digest": screened.list_digest,
        }
    )


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
    if by := data.get("by"):
        again = party.other.get(ACCOUNT_BY, ()) if party.iban == data["iban"] else ()
        party.other = {**party.other, ACCOUNT_BY: [*again, by]}
    party.iban = data["iban"]
    party.to_screen = True


async def hit_found(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """The payee of an order may be on the sanctions list: whoever the rulebook names is told."""
    row = await session.get_one(CaseRow, case)
    if await session.get(ScreeningRow, (case, data["key"])) is None:
        party = (await order_of(session, case, data["key"])).party
        session.add(_restored(case, data["key"], party, data["list"], data["hits"], at))
    before = (await session.exec(select(NoticeRow.key).where(NoticeRow.case == case, NoticeRow.internal))).all()
    asked = f"screening:{data['key']}:"
    session.add(
        NoticeRow(
            case=case,
            key=f"{asked}{1 + sum(key.startswith(asked) for key in before)}",
            template="internal-screening",
            party=duty_for(row.organisation, SCREEN).owner,
            internal=True,
            duty=SCREEN,
            facts={"payment": data["key"], "list": data["list"]},
            queued_at=at,
        )
    )


async def parties_found(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """Somebody who became known may be on the sanctions list; the sweep that found it has kept and told it."""
    for hit in (PartyHit.model_validate(one) for one in data["hits"]):
        if await session.get(ScreeningRow, (case, hit.party)) is None:
            session.add(_restored(case, hit.party, hit.party, hit.list, hit.hits, at))


def _restored(case: str, key: str, party: str, listed: str, hits: Iterable[str], at: datetime) -> ScreeningRow:
    """A hit in a store restored from before the screening: so much of it as the step says."""
    day, digest = listed.split()
    return ScreeningRow(
        case=case,
        key=key,
        party=party,
        screened_at=at,
        list_made_at=datetime.fromisoformat(day).replace(tzinfo=UTC),
        list_digest=digest,
        result="hit",
        hits=[{"id": number} for number in hits],
    )


async def hit_cleared(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """The payee is none of those who were found."""
    row = await _judged(session, case, data, at)
    row.result, row.cleared = "cleared", sorted({*row.cleared, *(hit["id"] for hit in row.hits)})


async def hit_confirmed(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """The payee is on the list."""
    (await _judged(session, case, data, at)).result = "confirmed"


async def _judged(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> ScreeningRow:
    row = await session.get(ScreeningRow, (case, data["key"]))
    if row is None or row.result == "clear":
        raise Refusal("payment: it was not screened, or nobody on the list is like this one")
    row.judged_by, row.judged_at, row.reason = data["by"], at, data["reason"]
    return row


SCREENING: Mapping[str, ActHandler] = {
    "payment.hit_found": hit_found,
    "payment.parties_found": parties_found,
    "payment.hit_cleared": hit_cleared,
    "payment.hit_confirmed": hit_confirmed,
}
"""The acts of screening, for every kind that pays."""


async def order_of(session: AsyncSession, case: str, key: str) -> PaymentOrderRow:
    """An order of a case.

    Raises:
        Refusal: There is none of this key.
    """
    order = await session.get(PaymentOrderRow, (case, key))
    if order is None:
        raise Refusal("payment: there is no such order")
    return order
