"""Paying: what every kind of case has that pays. Its order goes out once, the bank confirms or rejects it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import REST, Case, Done, Event, Item, accepts

with workflow.unsafe.imports_passed_through():
    from activities.payment import PaymentActivities
    from models.case import Act, Bells, Change, Evidence, Message, OrderDraft, OrderIssued, OrderRef, Reopen, Stop
    from models.claim import ClearHit, ConfirmHit, ConfirmPayment, CorrectPayee, Payment, RejectPayment
    from models.screening import Standing

SCREEN = "GJ-sanctions"
PAYMENTS: tuple[type[Message], ...] = (ConfirmPayment, RejectPayment, CorrectPayee, ClearHit, ConfirmHit)
"""What a stage takes that waits for the bank."""


class Paying(Case):
    """A case whose body has `payments`."""

    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {}
    """Each kind has its own."""
    paid_within: ClassVar[str | None] = None
    """The duty that a payment keeps, one clock for each payee; none: no term runs."""
    paying: ClassVar[str]
    """The stage that waits for the bank."""
    account_act: ClassVar[str] = "payment.set_account"

    confirm_payment = accepts(ConfirmPayment)
    reject_payment = accepts(RejectPayment)
    correct_payee = accepts(CorrectPayee)
    clear_hit = accepts(ClearHit)
    confirm_hit = accepts(ConfirmHit)

    def remittance(self) -> str:
        """What the payee reads on the account."""
        raise NotImplementedError

    def finished(self, body: Any) -> dict[str, Any]:
        """Arguments of `record` for this body, with what follows once everything is done; `rest` are more changes."""
        raise NotImplementedError

    def back_to_paying(self) -> str | None:
        """Where the case goes when a payment is owed again; None: it stays, and pays there."""
        return self.paying

    async def about_payments(self, event: Event) -> None:
        """What an order came to, and what is said of payments."""
        match event:
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

    def order_what_waits(self) -> None:
        """Hand every queued order to the bank."""
        for payment in self.body.payments:
            if payment.status == "queued":
                ref = OrderRef(case=self.id, key=payment.key)
                self.perform(f"order:{payment.key}", PaymentActivities.order, ref, f"order {payment.key}")

    @staticmethod
    def with_issued(payments: Iterable[Payment], order: OrderIssued) -> list[Payment]:
        """The payments after the bank took an order, or did not get it."""
        status = "issued" if order.issued_at else "screening" if order.hits else "held"
        return [
            p.model_copy(update={"status": status}) if (p.key, p.status) == (order.key, "queued") else p
            for p in payments
        ]

    @staticmethod
    def of_issued(order: OrderIssued) -> dict[str, Any]:
        """The facts of a step that proves an order: what became of it, and by which list its payee was screened."""
        became = order.refused or ("screening" if order.hits else "issued")
        return {order.key: became} | ({f"{order.key} screened": order.screened} if order.screened else {})

    @staticmethod
    def acts_of_issued(order: OrderIssued) -> tuple[Act, ...]:
        """Whoever judges hits on the sanctions list is told of one."""
        if not order.hits:
            return ()
        data = {"key": order.key, "list": order.screened, "hits": list(order.hits)}
        return (Act(name="payment.hit_found", data=data),)

    async def hits_found(self, bells: Bells) -> bool:
        """GJ-sanctions: somebody who became known may be listed. It holds nothing; a person judges it at any time."""
        found = {hit.party: hit.list for hit in bells.hits}
        hits = {**self.body.hits, **dict.fromkeys(found, "hit")}
        await self.record(
            "hits_found",
            duty=SCREEN,
            facts={"parties": found},
            acts=(Act(name="payment.parties_found", data={"hits": [h.model_dump(mode="json") for h in bells.hits]}),),
            body=self.body.model_copy(update={"hits": hits}),
            heard=bells.ids,
        )
        return True

    async def hit_judged(self, item: Item, m: ClearHit | ConfirmHit) -> None:
        """GJ-sanctions: somebody else, so the order goes out after all; or the listed one, who is paid nothing."""
        cleared = isinstance(m, ClearHit)
        entry = "hit_cleared" if cleared else "hit_confirmed"
        await self.record(
            entry,
            said=item,
            duty=SCREEN,
            facts={"payment": m.payment, "reason": m.reason},
            acts=(Act(name=f"payment.{entry}", data={"key": m.payment, "reason": m.reason, "by": m.actor}),),
            body=self._with_judged(m.payment, cleared=cleared),
        )

    def _with_judged(self, of: str, *, cleared: bool) -> Any:
        """The body after a hit on a payment was judged, or on a party who was found before any."""
        if of not in self.body.hits:
            return self.with_payment(of, "queued" if cleared else "blocked")
        others = {party: stands for party, stands in self.body.hits.items() if party != of}
        return self.body.model_copy(update={"hits": others if cleared else {**others, of: "confirmed"}})

    async def payment_made(self, item: Item, m: ConfirmPayment) -> None:
        """The bank executed it."""
        payment = self.payment(m.payment)
        assert payment is not None
        then = self.finished(self.with_payment(m.payment, "paid"))
        stops: tuple[Change, ...] = ()
        duty = payment.duty or self.paid_within
        if duty is not None:
            evidence = Evidence(
                kind="payment_executed",
                happened_on=m.executed_on,
                reference=m.bank_reference,
                by_person=not m.actor.startswith("system:"),
                correction=m.correction,
            )
            stops = (Stop(duty=duty, subject=payment.subject, evidence=evidence),)
        await self.record(
            "paid",
            said=item,
            duty=duty,
            facts={"payment": m.payment, "executed_on": m.executed_on.isoformat()},
            changes=(*stops, *then.pop("rest", ())),
            acts=(Act(name="payment.executed", data={"key": m.payment, "executed_on": m.executed_on.isoformat()}),),
            **then,
        )

    async def payment_rejected(self, item: Item, m: RejectPayment) -> None:
        """The bank rejected or returned it: still owed, by the same due date, to another account."""
        payment = self.payment(m.payment)
        assert payment is not None
        changes: list[Change] = [*self.no_more(REST, "payment_rejected")]
        duty = payment.duty or self.paid_within
        if payment.status == "paid" and duty is not None:
            changes.append(Reopen(duty=duty, subject=payment.subject, reason="payment_rejected"))
        await self.record(
            "payment_rejected",
            said=item,
            duty=duty,
            facts={"payment": m.payment, "reason": m.reason},
            changes=tuple(changes),
            acts=(Act(name="payment.rejected", data={"key": m.payment, "reason": m.reason}),),
            to=self.back_to_paying(),
            body=self.with_payment(m.payment, "rejected"),
        )

    async def payee_corrected(self, item: Item, m: CorrectPayee) -> None:
        """Another account: held orders go out, a rejected one is replaced by a new order of the same sum.

        Above the sum for which a decision needs a second person the order is held until another says the same account.
        """
        payments, orders, keys = [], [], []
        for payment in self.body.payments:
            again = payment
            if payment.claimant == m.claimant and payment.status == "held":
                again = payment.model_copy(update={"status": "queued"})
            elif payment.claimant == m.claimant and payment.status == "rejected":
                n = payment.n + 1
                purpose = ":".join(payment.key.split(":")[:2])
                again = payment.model_copy(update={"key": f"{purpose}:{n}", "status": "queued", "n": n})
                orders.append(self.order(again))
            if again is not payment:
                keys.append(again.key)
            payments.append(again)
        await self.record(
            "payee_corrected",
            said=item,
            facts={"claimant": m.claimant, "payment": ", ".join(keys)},
            acts=(Act(name=self.account_act, data={"claimant": m.claimant, "iban": m.iban, "by": m.actor}),),
            orders=tuple(orders),
            body=self.body.model_copy(update={"payments": tuple(payments)}),
        )

    def order(self, payment: Payment) -> OrderDraft:
        """The order of a payment."""
        return OrderDraft(
            key=payment.key, party=payment.claimant, amount=str(payment.amount), remittance=self.remittance()
        )

    def payment_faults(self, message: Message) -> tuple[str, ...]:
        """Why the case does not take a message about a payment now."""
        match message:
            case ConfirmPayment():
                payment = self.payment(message.payment)
                # also one whose order is still on its way: the bank may be faster than our own record
                if payment is None or payment.status not in ("queued", "issued"):
                    return ("payment: no such payment waits for the bank",)
                faults = []
                if message.amount is not None and message.amount != payment.amount:
                    faults.append(f"amount: this payment is of {payment.amount} EUR, not of {message.amount} EUR")
                if message.correction is not None and message.correction.second_person == message.actor:
                    faults.append("correction.second_person: must be another person")
                return tuple(faults)
            case RejectPayment():
                payment = self.payment(message.payment)
                if payment is None or payment.status not in ("issued", "paid"):
                    return ("payment: no such payment is with the bank or was paid",)
            case ClearHit() | ConfirmHit():
                payment = self.payment(message.payment)
                if ":" not in message.payment:
                    # somebody who was found when becoming known: only the store knows
                    return ()
                open_ = ("screening", "blocked") if isinstance(message, ClearHit) else ("screening",)
                if payment is None or payment.status not in open_:
                    return ("payment: the sanctions list holds up no such payment",)
            case CorrectPayee():
                if not any(
                    p.claimant == message.claimant and p.status in ("held", "rejected") for p in self.body.payments
                ):
                    return ("claimant: no payment to this claimant is held or was rejected",)
        return ()

    def allowed(self, message: Message) -> tuple[str, ...]:
        """The right payment."""
        return self.payment_faults(message) or super().allowed(message)

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the case can fill in of a message."""
        return self.known_of_payments().get(model) or super().known(model)

    def possible(self) -> list[type[Message]]:
        """Only what has a point now."""
        pointless = self.pointless_payments()
        return [m for m in super().possible() if m not in pointless]

    def known_of_payments(self) -> dict[type[Message], dict[str, Any]]:
        """What the case can fill in of messages about payments."""
        waiting = next((p for p in self.body.payments if p.status == "issued"), None)
        paid = next((p for p in self.body.payments if p.status == "paid"), None)
        stuck = next((p for p in self.body.payments if p.status in ("held", "rejected")), None)
        to_confirm, to_clear = self._hits("screening", "hit"), self._hits("blocked", "confirmed")
        with_the_bank = waiting or paid
        return {
            ConfirmPayment: {"payment": waiting.key} if waiting else {},
            RejectPayment: {"payment": with_the_bank.key} if with_the_bank else {},
            CorrectPayee: {"claimant": stuck.claimant} if stuck else {},
            ClearHit: {"payment": hit} if (hit := next(iter(to_confirm + to_clear), "")) else {},
            ConfirmHit: {"payment": to_confirm[0]} if to_confirm else {},
        }

    def _hits(self, status: str, stands: Standing) -> list[str]:
        """What a message about a hit can name: payments in this state, and parties who were found so before any."""
        payments = [p.key for p in self.body.payments if p.status == status]
        return payments + [party for party, early in self.body.hits.items() if early == stands]

    def pointless_payments(self) -> set[type[Message]]:
        """Messages about payments that have no point now."""
        statuses = {p.status for p in self.body.payments}
        pointless: set[type[Message]] = set()
        if "issued" not in statuses:
            pointless.add(ConfirmPayment)
        if not statuses & {"issued", "paid"}:
            pointless.add(RejectPayment)
        if not statuses & {"held", "rejected"}:
            pointless.add(CorrectPayee)
        if not self._hits("screening", "hit"):
            pointless.add(ConfirmHit)
        if not self._hits("screening", "hit") + self._hits("blocked", "confirmed"):
            pointless.add(ClearHit)
        return pointless

    def waits_of_payments(self, payments: Sequence[Payment]) -> list[str]:
        """Whom payments wait for, none of which has a term of its own."""
        waits = [f"the bank: {p.key}" for p in payments if p.status in ("queued", "issued")]
        waits += [f"an account of the {p.claimant}" for p in payments if p.status in ("held", "rejected")]
        return waits + self.waits_of_screening(payments)

    @staticmethod
    def waits_of_screening(payments: Iterable[Payment]) -> list[str]:
        """Whom the payments wait for that the sanctions list holds up."""
        words = {"screening": "the compliance officer: {}", "blocked": "nothing, for the payee is on the list: {}"}
        return [words[p.status].format(p.key) for p in payments if p.status in words]

    def story_of_hits(self) -> list[str]:
        """Who was found on the sanctions list before any payment."""
        words = {
            "hit": 'may be on it; the compliance officer says clear_hit or confirm_hit with "payment": "{}"',
            "confirmed": "is on it: nothing is paid to {}",
        }
        return [f"- **Sanctions list:** {p} {words[s].format(p)}" for p, s in self.body.hits.items()]

    def story_of_payments(self) -> list[str]:
        """What became of each payment."""
        return [f"- **Payment {p.key}:** {p.amount} EUR, {p.status}" for p in self.body.payments]

    def payment(self, key: str) -> Payment | None:
        """The payment of this key."""
        return next((p for p in self.body.payments if p.key == key), None)

    def with_payment(self, key: str, status: str) -> Any:
        """The body with a payment in another state."""
        payments = tuple(p.model_copy(update={"status": status}) if p.key == key else p for p in self.body.payments)
        return self.body.model_copy(update={"payments": payments})
