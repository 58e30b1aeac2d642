"""Faults that are put into a worker to see the harness find them: a double payment, a lost clock.

Both are what such faults are in life: right in peace, wrong only if the process dies between two commits.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session
from temporalio import activity

from activities.case import CaseActivities
from integrations.bank import BankFolder, BankProof, PaymentOrder
from models.case import Recorded, Transition
from models.tables import ClockRow
from tests.chaos.points import Journal


def double_payment(journal: Journal) -> None:
    """An order's id names the attempt and not the business act: the bank takes each attempt for another order."""
    submit = BankFolder.submit

    async def planted(self: BankFolder, order: PaymentOrder, at: datetime) -> BankProof:
        attempt = activity.info().attempt
        return await submit(self, order.model_copy(update={"id": f"{order.id}#{attempt}"} if attempt > 1 else {}), at)

    setattr(BankFolder, "submit", planted)  # noqa: B010  # what is planted is no method of its own


def lost_clock(journal: Journal) -> None:
    """A step's new clocks are written in a transaction of their own, after that of the step."""
    record = CaseActivities.record
    late: dict[str, list[dict[str, Any]]] = {}

    def hold_back(session: Session, *_: Any) -> None:
        if not activity.in_activity() or activity.info().activity_type != "case.record":
            return
        for row in [row for row in session.new if isinstance(row, ClockRow)]:
            if row.duty == "BTA-10.5c" and not session.info.get("late"):
                session.expunge(row)
                late.setdefault(row.case, []).append(row.model_dump())

    @activity.defn(name="case.record")
    async def planted(self: CaseActivities, t: Transition) -> Recorded:
        recorded = await record(self, t)
        async with self._sessions() as session, session.begin():
            session.info["late"] = True
            session.add_all(ClockRow(**values) for values in late.pop(t.case, []))
        return recorded

    event.listen(Session, "before_flush", hold_back)
    setattr(CaseActivities, "record", planted)  # noqa: B010  # as above


def both(journal: Journal) -> None:
    """The two of them."""
    double_payment(journal)
    lost_clock(journal)
