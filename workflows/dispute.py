"""Disputes with policyholder or insured: negotiation, then arbitration; the claim does not rest meanwhile (11.5)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from temporalio import workflow

from workflows.automatic import REVIEW_RESERVE
from workflows.case import REST, Item
from workflows.decisions import DECIDE, Deciding

with workflow.unsafe.imports_passed_through():
    from models.case import Act, Change, Message, Start
    from models.claim import ClaimBody
    from models.dispute import Dispute, EndDispute, ReferDispute, ReportDispute

DISPUTES: tuple[type[Message], ...] = (ReportDispute, ReferDispute, EndDispute)


class Disputed(Deciding):
    """A claim whose body has `dispute`.

    A dispute is no stage: it goes on beside letters, payments, a court and later decisions, and stops none of them.
    """

    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {}
    """Each kind has its own."""
    body: ClaimBody

    async def about_dispute(self, item: Item) -> None:
        """A dispute begins, goes to whoever decides it, or ends."""
        match item.message:
            case ReportDispute() as m:
                await self._dispute_reported(item, m)
            case ReferDispute() as m:
                await self._dispute_referred(item, m)
            case EndDispute() as m:
                await self._dispute_ended(item, m)

    async def _dispute_reported(self, item: Item, m: ReportDispute) -> None:
        n = self.body.disputes + 1
        dispute = Dispute(n=n, by=m.by, about=m.about, received_at=m.received_at)
        await self.record(
            "dispute_reported",
            said=item,
            facts={
                "n": n,
                "by": m.by,
                "about": m.about,
                "received_at": m.received_at.isoformat(),
                "reference": m.reference,
                "clause": "11.5",
            },
            changes=self.no_more(REST, "a dispute was reported"),
            to=self.paying if self.case.stage == "resting" else None,
            body=self.body.model_copy(update={"dispute": dispute, "disputes": n}),
        )

    async def _dispute_referred(self, item: Item, m: ReferDispute) -> None:
        dispute = self.body.dispute
        assert dispute is not None
        await self.record(
            "dispute_referred",
            said=item,
            facts={
                "n": dispute.n,
                "to": m.to,
                "referred_at": m.referred_at.isoformat(),
                "reference": m.reference,
                "clause": "11.5",
            },
            body=self.body.model_copy(update={"dispute": dispute.model_copy(update={"before": m.to})}),
        )

    async def _dispute_ended(self, item: Item, m: EndDispute) -> None:
        """The decision stands, and the claim rests once nothing else is open; or it is decided once more (10.5)."""
        dispute = self.body.dispute
        assert dispute is not None
        body = self.body.model_copy(update={"dispute": None})
        facts = {
            "n": dispute.n,
            "outcome": m.outcome,
            "ended_at": m.ended_at.isoformat(),
            "reference": m.reference,
            "clause": "11.5",
        }
        if m.outcome != "anew":
            then = self.finished(body)
            await self.record("dispute_ended", said=item, facts=facts, changes=then.pop("rest", ()), **then)
            return
        running = self.clocks.running
        changes: tuple[Change, ...] = (
            *(() if running(DECIDE) else (Start(duty=DECIDE, anchor_at=m.ended_at),)),
            *(() if running(REVIEW_RESERVE) else (Start(duty=REVIEW_RESERVE, anchor_at=item.at),)),
        )
        await self.record(
            "dispute_ended",
            said=item,
            duty=DECIDE,
            facts=facts,
            changes=changes,
            acts=(Act(name="claim.reserve_again"), Act(name="claim.find")),
            to="deciding",
            body=body,
        )

    def dispute_faults(self, message: ReportDispute | ReferDispute | EndDispute, now: datetime) -> tuple[str, ...]:
        """Why the claim does not take a message about a dispute now."""
        dispute, faults = self.body.dispute, []
        if isinstance(message, ReportDispute):
            if self.body.decided_at is None:
                faults.append("dispute: nothing was decided yet that could be disputed")
            if dispute is not None:
                faults.append(f"dispute: one is under way since {dispute.received_at:%Y-%m-%d}; its end comes first")
            if message.received_at > now:
                faults.append("received_at: lies in the future")
            return tuple(faults)
        name, at = "ended_at", now
        match message:
            case ReferDispute():
                name, at = "referred_at", message.referred_at
                if dispute is not None and dispute.before != "negotiation":
                    faults.append(f"dispute: {dispute.before} decides it already")
            case EndDispute():
                at = message.ended_at
                if message.outcome == "anew" and self.body.suit is not None:
                    faults.append("dispute: a court hears the claim; its ruling or its end comes first (9.1.3)")
                if message.outcome == "anew" and self.case.stage == "approving":
                    faults.append("dispute: a proposal waits for approval; approve it or send it back first")
        if dispute is None:
            faults.append("dispute: none is under way; report_dispute comes first")
        elif at < dispute.received_at:
            faults.append(f"{name}: lies before the dispute was received")
        if at > now:
            faults.append(f"{name}: lies in the future")
        return tuple(faults)

    # ---- what people see --------------------------------------------------------------------------------------------

    def pointless_of_disputes(self) -> set[type[Message]]:
        """Messages about disputes that have no point now."""
        dispute = self.body.dispute
        if dispute is None:
            begun = set() if self.body.decided_at is not None else {ReportDispute}
            return {*begun, ReferDispute, EndDispute}
        return {ReportDispute} if dispute.before == "negotiation" else {ReportDispute, ReferDispute}

    @staticmethod
    def waits_of_dispute(body: ClaimBody) -> list[str]:
        """Whom a dispute waits for."""
        if body.dispute is None:
            return []
        with_whom = body.dispute.before
        if with_whom == "negotiation":
            return [f"the negotiation with the {body.dispute.by} (11.5)"]
        return [f"the {with_whom}: the dispute with the {body.dispute.by} (11.5)"]

    def story_of_dispute(self) -> list[str]:
        """The dispute that is under way."""
        dispute: Any = self.body.dispute
        if dispute is None:
            return []
        since = f"since {dispute.received_at:%Y-%m-%d}"
        return [f"- **Dispute of the {dispute.by}, {dispute.about}:** {since}, in {dispute.before} (11.5)"]
