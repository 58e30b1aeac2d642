"""Late premium: 15 days in which the insurer may refuse a first premium that was paid late; then the policy stands."""

from __future__ import annotations

from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, Done, Item, accepts
from workflows.payment import REST, Paying

with workflow.unsafe.imports_passed_through():
    from activities.late_premium import LatePremiumActivities
    from models.case import (
        Act,
        CorrectAddress,
        Evidence,
        Message,
        NoticeDraft,
        NoticeSent,
        NoticesSent,
        OrderIssued,
        Outcome,
        ReportBounce,
        Start,
        Stop,
        Tick,
        Void,
    )
    from models.claim import ClearHit, ConfirmHit, ConfirmPayment, CorrectPayee, Payment, RejectPayment
    from models.late_premium import ApproveRefusal, LatePremiumBody, LookForClaims, RefusePremium, SendBackRefusal

RIGHT = "BTA-6.5"
LETTER = "BTA-6.5-refusal"
HOLDER = "policyholder"
RETURN = f"{HOLDER}:return"


@workflow.defn(name="LatePremium")
class LatePremium(Paying):
    """The insurer may refuse a late first premium within 15 days of its receipt; unused, the right lapses by itself."""

    kind = "late_premium"
    body_model = LatePremiumBody
    paying = "returning"
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "deciding": (RefusePremium,),
        "approving": (ApproveRefusal, SendBackRefusal),
        "telling": (CorrectAddress,),
        "returning": (
            ConfirmPayment,
            RejectPayment,
            CorrectPayee,
            ClearHit,
            ConfirmHit,
            ReportBounce,
            CorrectAddress,
        ),
        "resting": (ReportBounce, RejectPayment),
    }

    refuse_premium = accepts(RefusePremium)
    approve_refusal = accepts(ApproveRefusal)
    send_back_refusal = accepts(SendBackRefusal)
    correct_address = accepts(CorrectAddress)
    confirm_payment = accepts(ConfirmPayment)
    reject_payment = accepts(RejectPayment)
    correct_payee = accepts(CorrectPayee)
    clear_hit = accepts(ClearHit)
    confirm_hit = accepts(ConfirmHit)
    report_bounce = accepts(ReportBounce)

    body: LatePremiumBody

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Outcome:
        """Live the case; the input is a `StartCase`."""
        return await self.live(message, *more)

    # ---- stages -----------------------------------------------------------------------------------------------------

    async def deciding(self) -> None:
        """6.5: the 15 days run from the receipt; until they are over the insurer may refuse."""
        if self.clocks.get(RIGHT) is None:
            facts = {"due_on": self.body.due_on.isoformat(), "paid_on": self.body.paid_on.isoformat()}
            start = Start(duty=RIGHT, anchor_at=self.body.received_at)
            await self.record("received", duty=RIGHT, facts=facts, changes=(start,))
            return
        match await self.next():
            case Item(message=RefusePremium() as m) as item:
                await self._refuse(item, m)

    async def approving(self) -> None:
        """A claim is known: a second person approves, never the one who would refuse. The 15 days run on."""
        match await self.next():
            case Item(message=ApproveRefusal()) as item:
                await self._tell(item, self.body.reason or "", approved=True)
            case Item(message=SendBackRefusal()) as item:
                body = self.body.model_copy(update={"proposed_by": None, "reason": None})
                await self.record("sent_back", said=item, duty=RIGHT, to="deciding", body=body)

    async def telling(self) -> None:
        """6.5: only a written refusal that is sent within the 15 days counts."""
        self._send_what_waits()
        match await self.next():
            case Done(result=NoticesSent(notices=proofs)) if proofs:
                await self._told(proofs[0])
            case Item(message=CorrectAddress() as m) as item:
                await self._correct_address(item, m)

    async def returning(self) -> None:
        """6.5: the premium goes back."""
        self._send_what_waits()
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
            case Done(result=NoticesSent(notices=proofs)) if proofs:
                # a copy to another address: what 6.5 asks for, the sending, was proven before
                facts = {p.key: p.refused or "sent" for p in proofs}
                await self.record("letters_settled", duty=RIGHT, facts=facts, **self.finished(self._settled(proofs)))
            case Item(message=ConfirmPayment() as m) as item:
                await self.payment_made(item, m)
            case Item(message=RejectPayment() as m) as item:
                await self.payment_rejected(item, m)
            case Item(message=ClearHit() | ConfirmHit() as m) as item:
                await self.hit_judged(item, m)
            case Item(message=CorrectPayee() as m) as item:
                await self.payee_corrected(item, m)
            case Item(message=ReportBounce() as m) as item:
                await self._bounced(item, m)
            case Item(message=CorrectAddress() as m) as item:
                await self._correct_address(item, m)

    async def resting(self) -> None:
        """The letter may still come back, and the bank may return the payment; then the case closes."""
        if not self.clocks.running(REST):
            await self.record("reopened", changes=(Start(duty=REST, anchor_at=workflow.now()),))
            return
        match await self.next():
            case Item(message=ReportBounce() as m) as item:
                await self._bounced(item, m)
            case Item(message=RejectPayment() as m) as item:
                await self.payment_rejected(item, m)

    def with_due(self, tick: Tick) -> dict[str, Any]:
        """The right has lapsed, so the policy stands; or the rest is over. Closed in the same step."""
        if tick.duty == REST:
            return {"entry": "closed", "to": CLOSED, "outcome": "refused"}
        return {"entry": "stands", "to": CLOSED, "outcome": "stands", "acts": (Act(name="late_premium.lapse"),)}

    # ---- the refusal ------------------------------------------------------------------------------------------------

    async def _refuse(self, item: Item, m: RefusePremium) -> None:
        """Without a claim the letter goes out; with one a second person is asked first."""
        ask = LookForClaims(policy=self.body.policy)
        known = await self.ask(LatePremiumActivities.claims, ask, "look for claims on the policy")
        if not known.claims:
            await self._tell(item, m.reason, approved=False)
            return
        await self.record(
            "refusal_proposed",
            said=item,
            duty=RIGHT,
            facts={"by": m.actor, "claims": known.claims},
            to="approving",
            body=self.body.model_copy(update={"proposed_by": m.actor, "reason": m.reason}),
        )

    async def _tell(self, item: Item, reason: str, *, approved: bool) -> None:
        draft = self._letter(f"{RIGHT}:{HOLDER}:1", reason)
        await self.record(
            "refusing",
            said=item,
            duty=RIGHT,
            facts={"reason": reason, "proposed_by": self.body.proposed_by or item.message.actor},
            amount=self.body.amount if approved else None,
            acts=(Act(name="late_premium.refusing", data={"policy": self.body.policy, "approved": approved}),),
            notices=(draft,),
            to="telling",
            body=self.body.model_copy(update={"reason": reason, "notices": {draft.key: "queued"}}),
        )

    async def _told(self, proof: NoticeSent) -> None:
        """Proven sent: the policy never took effect, and the premium goes back. What cannot be sent refuses nothing."""
        body = self._settled((proof,))
        if proof.sent_at is None:
            await self.record("not_told", duty=RIGHT, facts={proof.key: proof.refused}, body=body)
            return
        evidence = Evidence(kind="refusal_sent", happened_at=proof.sent_at, reference=proof.reference)
        payment = Payment(key=RETURN, claimant=HOLDER, amount=body.amount, status="queued" if body.account else "held")
        await self.record(
            "refused",
            duty=RIGHT,
            facts={proof.key: "sent", "returned": str(body.amount)},
            changes=(Stop(duty=RIGHT, evidence=evidence),),
            acts=(Act(name="late_premium.refuse", data={"policy": body.policy}),),
            orders=(self.order(payment),),
            to="returning",
            body=body.model_copy(update={"payments": (payment,)}),
        )

    def remittance(self) -> str:
        """The policy, as the policyholder reads it."""
        return f"Premium returned {self.body.policy}"

    def finished(self, body: LatePremiumBody) -> dict[str, Any]:
        """Once the letter is sent and the premium is back, the case rests."""
        told = list(body.notices.values())[-1:] == ["sent"]
        if not told or not all(p.status == "paid" for p in body.payments):
            return {"body": body}
        return {"body": body, "to": "resting", "rest": (Start(duty=REST, anchor_at=workflow.now()),)}

    # ---- letters ----------------------------------------------------------------------------------------------------

    def _letter(self, key: str, reason: str) -> NoticeDraft:
        facts = {
            "policy": self.body.policy,
            "due_on": self.body.due_on.isoformat(),
            "paid_on": self.body.paid_on.isoformat(),
            "amount": str(self.body.amount),
            "reason": reason,
        }
        return NoticeDraft(key=key, template=LETTER, party=HOLDER, duty=RIGHT, facts=facts)

    def _send_what_waits(self) -> None:
        self.send(key for key, status in self.body.notices.items() if status == "queued")

    def _settled(self, proofs: tuple[NoticeSent, ...]) -> LatePremiumBody:
        done = {proof.key: "sent" if proof.sent_at else "refused" for proof in proofs}
        return self.body.model_copy(update={"notices": {**self.body.notices, **done}})

    async def _bounced(self, item: Item, m: ReportBounce) -> None:
        """The letter came back: it goes to another address. The right was used by sending it (6.5)."""
        data = {"notice": m.notice, "bounced_at": m.bounced_at.isoformat()}
        await self.record(
            "bounced",
            said=item,
            duty=RIGHT,
            facts=data,
            changes=(Void(duty=REST, reason="bounce"),) if self.clocks.running(REST) else (),
            acts=(Act(name="notice.bounced", data=data),),
            to="returning",
            body=self.body.model_copy(update={"notices": {**self.body.notices, m.notice: "refused"}}),
        )

    async def _correct_address(self, item: Item, m: CorrectAddress) -> None:
        """Another address: the letter is sent anew."""
        n = len(self.body.notices) + 1
        draft = self._letter(f"{RIGHT}:{HOLDER}:{n}", self.body.reason or "")
        await self.record(
            "address_corrected",
            said=item,
            duty=RIGHT,
            facts={"party": m.party, "again": draft.key},
            acts=(Act(name="party.set_address", data={"party": m.party, "email": m.email}),),
            notices=(draft,),
            body=self.body.model_copy(update={"notices": {**self.body.notices, draft.key: "queued"}}),
        )

    # ---- what people see --------------------------------------------------------------------------------------------

    def allowed(self, message: Message) -> tuple[str, ...]:
        """Four eyes, the newest letter, the right payment."""
        last = list(self.body.notices)[-1:]
        match message:
            case ApproveRefusal() if self.body.proposed_by == message.actor:
                return ("four eyes: the one who would refuse cannot approve",)
            case ConfirmPayment() | RejectPayment() | CorrectPayee() | ClearHit() | ConfirmHit():
                return self.payment_faults(message)
            case CorrectAddress():
                if message.party != HOLDER or not self._undelivered():
                    return (f"party: only {HOLDER}, once the letter came back or could not be delivered",)
            case ReportBounce():
                faults = []
                if message.notice not in last or self.body.notices[message.notice] != "sent":
                    faults.append("notice: not the newest letter, or not sent; newest: " + ", ".join(last))
                if message.bounced_at > workflow.now():
                    faults.append("bounced_at: lies in the future")
                return tuple(faults)
        return ()

    def _undelivered(self) -> bool:
        return list(self.body.notices.values())[-1:] == ["refused"]

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the case can fill in of a message."""
        values: dict[type[Message], dict[str, Any]] = {
            **self.known_of_payments(),
            CorrectAddress: {"party": HOLDER},
            ReportBounce: {"notice": list(self.body.notices)[-1]} if self.body.notices else {},
        }
        return values.get(model, {})

    def possible(self) -> list[type[Message]]:
        """Only what has a point now."""
        pointless = self.pointless_payments()
        if not self._undelivered():
            pointless.add(CorrectAddress)
        if list(self.body.notices.values())[-1:] != ["sent"]:
            pointless.add(ReportBounce)
        return [m for m in super().possible() if m not in pointless]

    def waiting(self, stage: str, body: LatePremiumBody) -> str:
        """What is waited for, and from whom."""
        letter = list(body.notices.items())[-1:]
        waits = [f"another address of the policyholder: {key}" for key, status in letter if status == "refused"]
        waits += [f"the carrier: {key}" for key, status in letter if status == "queued"]
        match stage:
            case "deciding":
                return "the end of the 15 days, unless the underwriter refuses the premium"
            case "approving":
                return "a second person's approval of the refusal, as a claim is known"
            case "telling":
                return ", ".join(waits)
            case "returning":
                waits += [f"the bank: {p.key}" for p in body.payments if p.status in ("queued", "issued")]
                waits += [f"an account of the {p.claimant}" for p in body.payments if p.status in ("held", "rejected")]
                waits += self.waits_of_screening(body.payments)
                return ", ".join(waits)
            case "resting":
                return "a bounce or a rejection, until it closes"
        return ""

    def story(self) -> list[str]:
        """The premium, its dates, and what became of it."""
        body = self.body
        lines = [
            f"- **Policy:** {body.policy}, premium {body.premium} of {body.amount} EUR",
            f"- **Due on:** {body.due_on}, paid in full on {body.paid_on}",
            f"- **Received:** {body.received_at:%Y-%m-%d %H:%M} UTC; the 15 days of 6.5 run from then",
        ]
        if self.case.stage in ("deciding", "approving"):
            lines += ["- **Until refused:** the policy is in force from the day after the payment in full"]
        if body.proposed_by:
            lines += [f"- **Refusal proposed by:** {body.proposed_by}"]
        lines += [f"- **Letter {key}:** {status}" for key, status in body.notices.items()]
        return lines + [f"- **Payment {p.key}:** {p.amount} EUR, {p.status}" for p in body.payments]
