"""`incoming.read_mail`, `incoming.read_bank`: what comes in is told to its cases, once; the rest is for people."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from integrations.bank import BankUnavailable, end_to_end_id
from integrations.bank_in import Answer, BankIn, NotUnderstood, read_answers
from integrations.mail_in import Arrived, MailboxUnavailable, MailIn, delivery_report
from models import errors
from models.common import Model
from models.errors import Refusal
from models.now import Now
from models.tables import IncomingRow, NoticeRow, PaymentOrderRow
from operations.intake import Intake, Sessions

log = structlog.get_logger()

PROOF_WITHIN = timedelta(minutes=1)
"""So long a case may take to record that a letter was sent: before that it would refuse to hear that it came back."""


class Read(Model):
    """What a look at one source came to."""

    taken: int = 0
    """Told to a case, or known to it already."""
    aside: int = 0
    """Left for people now and before."""


class Verdict(Enum):
    """What becomes of one thing that came in."""

    taken = "taken"
    aside = "aside"
    later = "later"


class IncomingActivities:
    """Reads the outside's own words: delivery reports of mail servers, answers of the bank."""

    def __init__(self, sessions: Sessions, intake: Intake, mail: MailIn, bank: BankIn, now: Now) -> None:
        self._sessions = sessions
        self._intake = intake
        self._mail = mail
        self._bank = bank
        self._now = now

    # ---- mail -------------------------------------------------------------------------------------------------------

    @activity.defn(name="incoming.read_mail")
    async def read_mail(self) -> Read:
        """Tell the cases which of their letters came back; what says nothing about a letter is left for people."""
        taken: list[str] = []
        aside: list[str] = []
        try:
            box = await self._mail.look()
            for arrived in box.arrived:
                verdict, why = await self._judge(arrived)
                log.info("mail was read", verdict=verdict.value, why=why)
                if verdict is not Verdict.later:
                    (taken if verdict is Verdict.taken else aside).append(arrived.id)
            if taken or aside:
                await self._mail.settle(taken, aside)
        except MailboxUnavailable as e:
            raise _down(str(e)) from None
        read = Read(taken=len(taken), aside=box.aside + len(aside))
        await self._keep("mail", read)
        return read

    async def _judge(self, arrived: Arrived) -> tuple[Verdict, str]:
        """What becomes of a message, and why: in words that name nobody."""
        report = delivery_report(arrived.content) if arrived.content is not None else None
        if report is None:
            return Verdict.aside, "no delivery report" if arrived.content is not None else "too large"
        if report.action != "failed":
            return Verdict.aside, f"the letter is {report.action}"
        notice = await self._letter(report.letter)
        if notice is None or notice.sent_at is None:
            return Verdict.aside, "no letter of ours"
        if notice.internal:
            return Verdict.aside, "a letter to staff"
        # a report that is dated after it arrived is dated wrongly, and none was written before its letter was sent
        at = max(notice.sent_at, min(report.at or arrived.at, arrived.at))
        if self._now() < max(at, notice.sent_at + PROOF_WITHIN):
            return Verdict.later, "the case does not know yet that the letter was sent"
        return await self._report(notice, f"bounce-{report.id}", at)

    async def _letter(self, message_id: str | None) -> NoticeRow | None:
        async with self._sessions() as session:
            query = select(NoticeRow).where(
                col(NoticeRow.reference) == message_id, col(NoticeRow.reference).is_not(None)
            )
            return (await session.exec(query)).first()

    async def _report(self, notice: NoticeRow, event: str, at: datetime) -> tuple[Verdict, str]:
        message = {"actor": "system:mail", "notice": notice.key, "bounced_at": at.isoformat()}
        try:
            told = await self._intake.submit_event(notice.case, event, "report_bounce", message)
        except Refusal:
            return Verdict.aside, "the case is gone"
        if told.waiting:
            return Verdict.later, "the engine does not answer"
        if told.refused and notice.bounced_at is None:
            return Verdict.aside, "the case does not take it"
        # refused, and the letter has come back before: another report of the same, sent by another server on the way
        return Verdict.taken, "told"

    # ---- bank -------------------------------------------------------------------------------------------------------

    @activity.defn(name="incoming.read_bank")
    async def read_bank(self) -> Read:
        """Tell the cases which payments were executed, rejected or returned; other files are left for people."""
        taken, put_aside = 0, 0
        try:
            folder = await self._bank.look()
            for arrived in folder.arrived:
                reasons: list[str] | None = ["the file is too large"]
                if arrived.known:
                    reasons = ["the same file was read before"]
                elif arrived.content is not None:
                    reasons = await self._answers(arrived.content)
                log.info("a file of the bank was read", aside=reasons)
                if reasons is not None:
                    await self._bank.settle(arrived.name, reasons)
                    put_aside += bool(reasons)
                    taken += not reasons
        except BankUnavailable as e:
            raise _down(str(e)) from None
        read = Read(taken=taken, aside=folder.aside + put_aside)
        await self._keep("bank", read)
        return read

    async def _answers(self, content: bytes) -> list[str] | None:
        """Why a file is left for people, after all in it that can be told was told; None if it is to be read again."""
        try:
            file = read_answers(content)
        except NotUnderstood as e:
            return [str(e)]
        reasons: list[str] = []
        later = False
        for answer in file.answers:
            order = await self._order(answer.reference)
            if order is None:
                reasons.append(f"{answer.reference}: no payment of ours has this reference")
            elif order.issued_at is None:
                # the bank was faster than our own record that it has the order
                later = True
            else:
                told = await self._answer(order, answer, file.message)
                later |= told is None
                reasons += [f"{answer.reference}: {fault}" for fault in told or ()]
        if later:
            return None
        if file.others and not file.answers:
            reasons.append("it names no payment of ours")
        return reasons

    async def _order(self, reference: str) -> PaymentOrderRow | None:
        """The order of an EndToEndId; also one that the bank has and whose proof is not recorded yet."""
        async with self._sessions() as session:
            query = select(PaymentOrderRow).where(col(PaymentOrderRow.reference) == reference)
            if (found := (await session.exec(query)).first()) is not None:
                return found
            open_ = (await session.exec(select(PaymentOrderRow).where(col(PaymentOrderRow.issued_at).is_(None)))).all()
        return next((row for row in open_ if end_to_end_id(f"{row.case}#{row.key}") == reference), None)

    async def _answer(self, order: PaymentOrderRow, answer: Answer, message: str) -> tuple[str, ...] | None:
        """Why the case does not take it, nothing if it does or knows it; None if the engine does not answer."""
        said: dict[str, Any] = {"actor": "system:bank", "payment": order.key}
        amount = answer.amount
        if answer.result == "executed":
            if order.executed_on == answer.day and amount == order.amount:
                return ()
            said |= {
                "executed_on": answer.day.isoformat(),
                "bank_reference": answer.bank_reference,
                "amount": f"{amount:.2f}",
            }
            name = "confirm_payment"
        else:
            if amount is not None and amount != order.amount:
                return (f"amount: it is {order.amount} EUR, not {amount} EUR",)
            if order.rejected is not None and order.executed_on is None:
                return ()
            said |= {"reason": answer.reason, "rejected_on": answer.day.isoformat()}
            name = "reject_payment"
        about = f"{message} {answer.reference} {answer.result}"
        event = f"bank-{hashlib.sha256(about.encode()).hexdigest()[:32]}"
        try:
            told = await self._intake.submit_event(order.case, event, name, said)
        except Refusal as e:
            return e.faults
        return None if told.waiting else told.refused

    # ---- both -------------------------------------------------------------------------------------------------------

    async def _keep(self, source: str, read: Read) -> None:
        now = self._now()
        row = {"source": source, "looked_at": now, "aside": read.aside}
        async with self._sessions() as session, session.begin():
            await session.exec(
                insert(IncomingRow).values(row).on_conflict_do_update(index_elements=["source"], set_=row)
            )


def _down(said: str) -> ApplicationError:
    return ApplicationError(said, type=errors.OUTSIDE_DOWN, category=ApplicationErrorCategory.BENIGN)
