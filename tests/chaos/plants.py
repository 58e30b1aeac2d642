"""Faults that are put into a worker to see the harness find them: payments, clocks, and the users' accounts.

All are what such faults are in life: right in peace, wrong only if the process dies between two commits.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session
from temporalio import activity

from activities import access
from activities.access import AccessActivities
from activities.case import CaseActivities
from integrations.bank import BankFolder, BankProof, PaymentOrder
from integrations.identity import NewAccount, one_time_secret
from models.access import IssueAccess, Issued
from models.case import Recorded, Transition
from models.tables import ClockRow
from operations.directory import LocalDirectory
from tests.chaos.points import Journal, Point


def double_payment(journal: Journal) -> None:
    """An order's id names the attempt and not the business act: the bank takes each attempt for another order."""
    submit = BankFolder.submit

    async def planted(self: BankFolder, order: PaymentOrder, at: datetime) -> BankProof:
        attempt = activity.info().attempt
        return await submit(self, order.model_copy(update={"id": f"{order.id}#{attempt}"} if attempt > 1 else {}), at)

    setattr(BankFolder, "submit", planted)  # noqa: B010  # what is planted is no method of its own


BETWEEN = Point("planted between two commits", 1)
"""Where a worker must die for a clock to be lost."""
MADE = Point("planted account made", 1)
"""Where it must die for an account to be made twice."""
MAILED = Point("planted login data mailed", 1)
"""Where it must die for login data to be dead before they arrive."""


def lost_clock(journal: Journal) -> None:
    """A payment's clock that ends is taken out by the step and put back, ended, by a transaction of its own."""
    record = CaseActivities.record
    taken_out: dict[str, list[dict[str, Any]]] = {}

    def take_out(session: Session, *_: Any) -> None:
        for row in [row for row in session.dirty if isinstance(row, ClockRow)]:
            if (row.duty, row.status) == ("BTA-10.5c", "kept"):
                taken_out.setdefault(row.case, []).append(row.model_dump())
                session.delete(row)

    class Planted(CaseActivities):
        @activity.defn(name="case.record")
        async def record(self, t: Transition) -> Recorded:
            recorded = await record(self, t)
            if rows := taken_out.pop(t.case, []):
                journal.passes(t.case, BETWEEN.step)
                async with self._sessions() as session, session.begin():
                    session.add_all(ClockRow(**row) for row in rows)
            return recorded

    event.listen(Session, "before_flush", take_out)
    setattr(CaseActivities, "record", Planted.record)  # noqa: B010  # as above


def second_account(journal: Journal) -> None:
    """An account's name at the provider names the attempt and not the account: each attempt makes another one."""
    make = LocalDirectory.make

    async def planted(self: LocalDirectory, account: NewAccount) -> str:
        attempt = activity.info().attempt
        name = f"{account.username}#{attempt}" if attempt > 1 else account.username
        provider_id = await make(self, account.model_copy(update={"username": name}))
        journal.passes(activity.info().workflow_id or "", MADE.step)
        return provider_id

    setattr(LocalDirectory, "make", planted)  # noqa: B010  # as above


def second_secret(journal: Journal) -> None:
    """The provider gets another secret before anybody looks whether the mail with the present one is out already."""
    issue = AccessActivities.issue

    class Planted(AccessActivities):
        @activity.defn(name="access.issue")
        async def issue(self, ask: IssueAccess) -> Issued:
            async with self.telling() as session:
                notice = await access._notice(session, ask.case, ask.key)
                login_data = notice.template == access.LOGIN_DATA
                account = await access._account_written_to(session, self._keyring, notice)
                if account is not None and account.provider_id is not None:
                    await self._provider.set_secret(account.provider_id, one_time_secret(), must_change=True)
            issued = await issue(self, ask)
            if login_data:
                journal.passes(ask.case, MAILED.step)
            return issued

    setattr(AccessActivities, "issue", Planted.issue)  # noqa: B010  # as above


def every(journal: Journal) -> None:
    """All of them."""
    for plant in (double_payment, lost_clock, second_account, second_secret):
        plant(journal)
