"""Premium refund: what of a premium goes back when a contract ends early, paid once (11.1, 11.2)."""

from __future__ import annotations

from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, Done, Item, accepts
from workflows.payment import REST, Paying

with workflow.unsafe.imports_passed_through():
    from models.case import Message, OrderIssued, Outcome, Start, Tick
    from models.claim import ClearHit, ConfirmHit, ConfirmPayment, CorrectPayee, Payment, RejectPayment
    from models.premium_refund import PremiumRefundBody

HOLDER = "policyholder"
REFUND = f"{HOLDER}:refund"


@workflow.defn(name="PremiumRefund")
class PremiumRefund(Paying):
    """The refund of a contract that ended early; the rules name no term for it, so no clock runs but the last wait."""

    kind = "premium_refund"
    body_model = PremiumRefundBody
    paying = "returning"
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "returning": (ConfirmPayment, RejectPayment, CorrectPayee, ClearHit, ConfirmHit),
        "resting": (RejectPayment,),
    }

    confirm_payment = accepts(ConfirmPayment)
    reject_payment = accepts(RejectPayment)
    correct_payee = accepts(CorrectPayee)
    clear_hit = accepts(ClearHit)
    confirm_hit = accepts(ConfirmHit)

    body: PremiumRefundBody

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Outcome:
        """Live the refund; the input is a `StartCase`."""
        return await self.live(message, *more)

    async def returning(self) -> None:
        """The sum that was worked out is ordered once, until the bank has paid it."""
        if not self.body.payments:
            await self._order_it()
            return
        self.order_what_waits()
        match await self.next():
            case Done(result=OrderIssued() as order):
                payments = tuple(self.with_issued(self.body.payments, order))
                await self.record(
                    "proven",
                    facts=self.of_issued(order),
                    acts=self.acts_of_issued(order),
                    body=self.body.model_copy(update={"payments": payments}),
                )
            case Item(message=ConfirmPayment() as m) as item:
                await self.payment_made(item, m)
            case Item(message=RejectPayment() as m) as item:
                await self.payment_rejected(item, m)
            case Item(message=CorrectPayee() as m) as item:
                await self.payee_corrected(item, m)
            case Item(message=ClearHit() | ConfirmHit() as m) as item:
                await self.hit_judged(item, m)

    async def resting(self) -> None:
        """The bank may still return the payment; then the case closes."""
        if not self.clocks.running(REST):
            await self.record("reopened", changes=(Start(duty=REST, anchor_at=workflow.now()),))
            return
        match await self.next():
            case Item(message=RejectPayment() as m) as item:
                await self.payment_rejected(item, m)

    def with_due(self, tick: Tick) -> dict[str, Any]:
        """The rest is over: closed in the same step."""
        return {"entry": "closed", "to": CLOSED, "outcome": "paid"} if tick.duty == REST else {}

    async def _order_it(self) -> None:
        body = self.body
        payment = Payment(key=REFUND, claimant=HOLDER, amount=body.amount, status="queued" if body.account else "held")
        await self.record(
            "ordered",
            duty=f"BTA-{body.clause}",
            facts={"amount": str(body.amount), "covered_until": body.covered_until.isoformat()},
            orders=(self.order(payment),),
            body=body.model_copy(update={"payments": (payment,)}),
        )

    def remittance(self) -> str:
        """The policy, as the policyholder reads it."""
        return f"Premium refund {self.body.policy}"

    def finished(self, body: PremiumRefundBody) -> dict[str, Any]:
        """Once it is paid, the case rests."""
        if not all(p.status == "paid" for p in body.payments):
            return {"body": body}
        return {"body": body, "to": "resting", "rest": (Start(duty=REST, anchor_at=workflow.now()),)}

    # ---- what people see --------------------------------------------------------------------------------------------

    def allowed(self, message: Message) -> tuple[str, ...]:
        """The right payment."""
        return self.payment_faults(message)

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the case can fill in of a message."""
        return self.known_of_payments().get(model, {})

    def possible(self) -> list[type[Message]]:
        """Only what has a point now."""
        pointless = self.pointless_payments()
        return [m for m in super().possible() if m not in pointless]

    def waiting(self, stage: str, body: PremiumRefundBody) -> str:
        """What is waited for, and from whom."""
        if stage == "resting":
            return "a rejection, until it closes"
        waits = [f"the bank: {p.key}" for p in body.payments if p.status in ("queued", "issued")]
        waits += self.waits_of_screening(body.payments)
        return ", ".join(
            [*waits, *(f"an account of the {p.claimant}" for p in body.payments if p.status in ("held", "rejected"))]
        )

    def story(self) -> list[str]:
        """The policy, and the payment."""
        body = self.body
        return [
            f"- **Policy:** {body.policy}, covered until {body.covered_until}",
            f"- **Refund:** {body.amount} EUR ({body.clause})",
            *(f"- **Payment {p.key}:** {p.amount} EUR, {p.status}" for p in body.payments),
        ]
