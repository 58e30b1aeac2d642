"""Salvage: a destroyed thing is paid less what is left of it, and the rest once that is handed over (9.3.1)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import Item
from workflows.decisions import TELL, Deciding, left_to_agreements, limits_moved, proposal_of
from workflows.instalments import PAY

with workflow.unsafe.imports_passed_through():
    from activities.claim import ClaimActivities
    from models.case import Act, Message, Start
    from models.claim import Assess, ClaimBody, SalvageHandedOver, SalvageKept, subject_of

SALVAGE: tuple[type[Message], ...] = (SalvageHandedOver, SalvageKept)


class WithSalvage(Deciding):
    """A claim whose body has `salvage`: what the owner agreed to hand over, and by which decision."""

    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {}
    """Each kind has its own."""
    body: ClaimBody

    async def salvage_came(self, item: Item, m: SalvageHandedOver) -> None:
        """9.3.1: the rest of the value is decided with the first decision and due from the day of the hand-over."""
        assert self.body.policy is not None
        base, n = self.body.salvage[m.cell], self.body.decisions + 1
        ask = Assess(
            case=self.id,
            policy=self.body.policy,
            n=n,
            recorded=base,
            salvage=(m.cell,),
            in_suit=self.before_court(),
        )
        # the rest is decided before it is due: what was handed over before the decision counts from there
        due_from = max(m.handed_over_at, self.body.decided_at or m.handed_over_at)
        while True:
            assessed = await self.ask(ClaimActivities.assess, ask, "what the salvage makes due")
            if assessed.faults:
                self.refuse(item, *assessed.faults)
                return
            proposal = proposal_of(assessed, n, "pay", "", ())
            told = (*(c.claimant for c in proposal.claimants if c.payable or c.claimant == m.claimant), "insured")
            payments, orders, clocks = self.payments_of(proposal, due_from, "salvage")
            outcome = "supplement" if assessed.total or assessed.withheld else "used_up"
            await self.record(
                "salvage_handed_over",
                said=item,
                duty=PAY,
                facts={
                    "n": n,
                    "head": m.cell,
                    "handed_over_at": m.handed_over_at.isoformat(),
                    "reference": m.reference,
                    "total": str(assessed.total),
                    "claimants": {c.claimant: str(c.payable) for c in proposal.claimants},
                    "withheld": str(assessed.withheld),
                },
                changes=(
                    *(Start(duty=TELL, subject=subject_of(p, n), anchor_at=item.at) for p in told),
                    *clocks,
                    *(Start(duty=PAY, subject=a.subject, anchor_at=due_from) for a in left_to_agreements(proposal)),
                ),
                acts=(self.taking(proposal, ask),),
                notices=tuple(self.letter_of(party, proposal, outcome) for party in told),
                orders=orders,
                to=self.back_to_paying(),
                body=self.supplemented(base, assessed, proposal, told, payments),
            )
            if not limits_moved(item):
                return
            item.refusal = None

    async def salvage_stays(self, item: Item, m: SalvageKept) -> None:
        """The owner keeps what is left: what was reserved for it is free."""
        left = {cell: n for cell, n in self.body.salvage.items() if cell != m.cell}
        then = self.finished(self.body.model_copy(update={"salvage": left}))
        await self.record(
            "salvage_kept",
            said=item,
            facts={"head": m.cell, "reason": m.reason},
            changes=then.pop("rest", ()),
            acts=(Act(name="claim.keep_salvage", data={"policy": self.body.policy, "of": m.cell}),),
            **then,
        )

    def salvage_faults(self, message: SalvageHandedOver | SalvageKept, now: datetime) -> tuple[str, ...]:
        """Why the claim does not take a message about salvage now."""
        faults = []
        if message.cell not in self.body.salvage:
            faults.append(f"head: no salvage of it is waited for; of: {', '.join(self.body.salvage) or 'nothing'}")
        if isinstance(message, SalvageHandedOver) and message.handed_over_at > now:
            faults.append("handed_over_at: lies in the future")
        return tuple(faults)

    def known_of_salvage(self) -> dict[type[Message], dict[str, Any]]:
        """What the case can fill in of messages about salvage: the claimant's head that waits first."""
        claimant, _, head = next(iter(self.body.salvage), "").partition(":")
        return dict.fromkeys(SALVAGE, {"claimant": claimant, "head": head} if claimant else {})
