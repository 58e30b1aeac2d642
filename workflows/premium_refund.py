"""Premium refund: what of a premium goes back when a contract ends early, paid once (11.1, 11.2)."""

from __future__ import annotations

from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, REST, Item
from workflows.payment import PAYMENTS, Paying

with workflow.unsafe.imports_passed_through():
    from models.case import Message, Outcome, Tick
    from models.claim import Payment, RejectPayment
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
        "returning": PAYMENTS,
        "resting": (RejectPayment,),
    }

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
        await self.about_payments(await self.next())

    async def resting(self) -> None:
        """The bank may still return the payment; then the case closes."""
        if not await self.rest_again():
            match await self.next():
                case Item() as item:
                    await self.about_payments(item)

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
        return {"body": body, "to": "resting", "rest": (self.rest(),)}

    # ---- what people see --------------------------------------------------------------------------------------------

    def waiting(self, stage: str, body: PremiumRefundBody) -> str:
        """What is waited for, and from whom."""
        if stage == "resting":
            return "a rejection, until it closes"
        return ", ".join(self.waits_of_payments(body.payments))

    def story(self) -> list[str]:
        """The policy, and the payment."""
        body = self.body
        return [
            *self.story_of_hits(),
            f"- **Policy:** {body.policy}, covered until {body.covered_until}",
            f"- **Refund:** {body.amount} EUR ({body.clause})",
            *self.story_of_payments(),
        ]
