"""Late premium: 15 days in which the insurer may refuse a first premium that was paid late; then the policy stands."""

from __future__ import annotations

from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, REST, Event, Item, accepts, utc
from workflows.payment import PAYMENTS, Paying
from workflows.telling import LETTERS, Telling

with workflow.unsafe.imports_passed_through():
    from activities.late_premium import LatePremiumActivities
    from models.case import (
        Act,
        CorrectAddress,
        Evidence,
        Message,
        NoticeDraft,
        NoticeSent,
        Outcome,
        ReportBounce,
        Start,
        Stop,
        Tick,
    )
    from models.claim import Payment, RejectPayment
    from models.late_premium import ApproveRefusal, LatePremiumBody, LookForClaims, RefusePremium, SendBackRefusal

RIGHT = "BTA-6.5"
LETTER = "BTA-6.5-refusal"
HOLDER = "policyholder"
RETURN = f"{HOLDER}:return"


@workflow.defn(name="LatePremium")
class LatePremium(Telling, Paying):
    """The insurer may refuse a late first premium within 15 days of its receipt; unused, the right lapses by itself."""

    kind = "late_premium"
    body_model = LatePremiumBody
    paying = "returning"
    reader = HOLDER
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "deciding": (RefusePremium,),
        "approving": (ApproveRefusal, SendBackRefusal),
        "telling": (CorrectAddress,),
        "returning": (*PAYMENTS, *LETTERS),
        "resting": (ReportBounce, RejectPayment),
    }

    refuse_premium = accepts(RefusePremium)
    approve_refusal = accepts(ApproveRefusal)
    send_back_refusal = accepts(SendBackRefusal)

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
        self.send_what_waits()
        await self.about_letters(await self.next())

    async def returning(self) -> None:
        """6.5: the premium goes back."""
        self.send_what_waits()
        self.order_what_waits()
        await self._outside(await self.next())

    async def resting(self) -> None:
        """The letter may still come back, and the bank may return the payment; then the case closes."""
        if not await self.rest_again():
            match await self.next():
                case Item() as item:
                    await self._outside(item)

    async def _outside(self, event: Event) -> None:
        await self.about_letters(event)
        await self.about_payments(event)

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
        draft = self.letter(f"{RIGHT}:{HOLDER}:1", reason)
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

    async def told(self, proofs: tuple[NoticeSent, ...]) -> None:
        """Proven sent: the policy never took effect, and the premium goes back. What cannot be sent refuses nothing."""
        body, proof = self.with_letters(self.became(proofs)), proofs[0]
        if self.case.stage != "telling":
            # a copy to another address: what 6.5 asks for, the sending, was proven before
            facts = {p.key: p.refused or "sent" for p in proofs}
            await self.record("letters_settled", duty=RIGHT, facts=facts, **self.finished(body))
            return
        if proof.sent_at is None:
            await self.not_told(RIGHT, proof, body)
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
        return {"body": body, "to": "resting", "rest": (self.rest(),)}

    # ---- letters ----------------------------------------------------------------------------------------------------

    def letter(self, key: str, reason: str | None = None) -> NoticeDraft:
        """The refusal in writing."""
        facts = {
            "policy": self.body.policy,
            "due_on": self.body.due_on.isoformat(),
            "paid_on": self.body.paid_on.isoformat(),
            "amount": str(self.body.amount),
            "reason": reason or self.body.reason or "",
        }
        return NoticeDraft(key=key, template=LETTER, party=HOLDER, duty=RIGHT, facts=facts)

    async def bounced(self, item: Item, m: ReportBounce) -> None:
        """The letter came back: it goes to another address. The right was used by sending it (6.5)."""
        await self.came_back(item, m, duty=RIGHT, to="returning")

    # ---- what people see --------------------------------------------------------------------------------------------

    def allowed(self, message: Message) -> tuple[str, ...]:
        """Four eyes, the newest letter, the right payment."""
        if isinstance(message, ApproveRefusal) and self.body.proposed_by == message.actor:
            return ("four eyes: the one who would refuse cannot approve",)
        return super().allowed(message)

    def waiting(self, stage: str, body: LatePremiumBody) -> str:
        """What is waited for, and from whom."""
        match stage:
            case "deciding":
                return "the end of the 15 days, unless the underwriter refuses the premium"
            case "approving":
                return "a second person's approval of the refusal, as a claim is known"
            case "telling" | "returning":
                return ", ".join([*self.waits_of_letters(body), *self.waits_of_payments(body.payments)])
            case "resting":
                return "a bounce or a rejection, until it closes"
        return ""

    def story(self) -> list[str]:
        """The premium, its dates, and what became of it."""
        body = self.body
        lines = [
            *self.story_of_hits(),
            f"- **Policy:** {body.policy}, premium {body.premium} of {body.amount} EUR",
            f"- **Due on:** {body.due_on}, paid in full on {body.paid_on}",
            f"- **Received:** {utc(body.received_at)}; the 15 days of 6.5 run from then",
        ]
        if self.case.stage in ("deciding", "approving"):
            lines += ["- **Until refused:** the policy is in force from the day after the payment in full"]
        if body.proposed_by:
            lines += [f"- **Refusal proposed by:** {body.proposed_by}"]
        return [*lines, *self.story_of_letters(), *self.story_of_payments()]
