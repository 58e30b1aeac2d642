"""Claim: from filing to rest, by BTA rules No. 19.1 (9.1, 10.5), with its decision, letters and payments."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from temporalio import workflow

from workflows.automatic import REVIEW, REVIEW_RESERVE
from workflows.case import CLOSED, REST, Done, Item, Rung, accepts, utc
from workflows.court import COURT, BeforeCourt
from workflows.decisions import DECIDE, TELL
from workflows.dispute import DISPUTES, Disputed
from workflows.instalments import ENDED, ORDER_INSTALMENT, PAY, RIGHT_ENDED
from workflows.salvage import SALVAGE, WithSalvage

with workflow.unsafe.imports_passed_through():
    from models.automatic import DecideByPerson, RequestReview, ReviewDecision
    from models.case import (
        Act,
        Bells,
        Change,
        CorrectAddress,
        Evidence,
        Message,
        NoticeDraft,
        NoticesSent,
        OrderIssued,
        Outcome,
        Relate,
        Reopen,
        ReportBounce,
        Start,
        Stop,
        Tick,
    )
    from models.claim import (
        AddDocument,
        ApproveDecision,
        ClaimBody,
        ClearHit,
        ConfirmHit,
        ConfirmPayment,
        CorrectPayee,
        ProposeDecision,
        RejectPayment,
        ReopenClaim,
        ReportRuling,
        ReportSuit,
        ReportSuitEnd,
        RequireDocument,
        SalvageHandedOver,
        SalvageKept,
        SendBackDecision,
        SetPolicy,
        SetReserve,
        TakeOverHandling,
        WaiveDocument,
        WithdrawClaim,
    )
    from models.coverage import LOOK_AGAIN, POINTS, JudgeFindings, StateFacts, Waiting, title_of
    from models.dispute import EndDispute, ReferDispute, ReportDispute
    from models.instalments import AgreeInstalments, ConfirmRight, PayWhole
    from models.recovery import CLAUSES, RecoverPayment

LETTERS = (TELL, REVIEW, RIGHT_ENDED)
"""Letters without which a claim does not rest: of a duty that they keep, or of the end of a right (9.2.4)."""
ASKED = "asked"
"""What the key of a letter begins with that asks for a document: party, and the step that asks, follow."""
HANDLING = "BTA-8.1.10"
"""What the insured owes once the insurer handles the claim or the suit; begins the key of the letter that says so."""
LATER: tuple[type[Message], ...] = (
    ConfirmPayment,
    RejectPayment,
    CorrectPayee,
    ClearHit,
    ConfirmHit,
    ReportBounce,
    CorrectAddress,
    RequestReview,
    ReviewDecision,
    *DISPUTES,
    TakeOverHandling,
)
"""What still happens to decisions made before: letters, payments, the review of an automatic one, disputes, and the
handling of what they left open."""
AGREED: tuple[type[Message], ...] = (AgreeInstalments, PayWhole, ConfirmRight)
"""What is said of instalments, whatever else happens to a claim that was decided."""


@workflow.defn(name="Claim")
class Claim(BeforeCourt, WithSalvage, Disputed):
    """One claim: documents, decision within 30 days, letters within 10 working days, payment within 15."""

    kind = "claim"
    body_model = ClaimBody
    paid_within = PAY
    paying = "telling_and_paying"
    account_act = "claim.set_account"
    """By this name it is recorded."""
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "collecting": (
            AddDocument,
            WaiveDocument,
            RequireDocument,
            JudgeFindings,
            StateFacts,
            SetPolicy,
            SetReserve,
            DecideByPerson,
            WithdrawClaim,
            CorrectAddress,
            ClearHit,
            ConfirmHit,
            TakeOverHandling,
            *COURT,
        ),
        "deciding": (
            JudgeFindings,
            ProposeDecision,
            DecideByPerson,
            StateFacts,
            AddDocument,
            RequireDocument,
            WaiveDocument,
            SetPolicy,
            SetReserve,
            WithdrawClaim,
            *LATER,
            *COURT,
            *AGREED,
        ),
        "approving": (ApproveDecision, SendBackDecision, WithdrawClaim, *LATER, *COURT, *AGREED),
        "telling_and_paying": (*LATER, *COURT, *SALVAGE, ReopenClaim, RecoverPayment, *AGREED),
        "in_court": (*LATER, ReportRuling, ReportSuitEnd, *SALVAGE, SetReserve, WithdrawClaim, RecoverPayment, *AGREED),
        "awaiting_limit": (*LATER, *COURT, *SALVAGE, ReopenClaim, RecoverPayment, *AGREED),
        "awaiting_salvage": (*LATER, *COURT, *SALVAGE, ReopenClaim, RecoverPayment, *AGREED),
        "paying_instalments": (*AGREED, *LATER, *COURT, ReopenClaim, RecoverPayment),
        "resting": (
            ReportBounce,
            RejectPayment,
            ClearHit,
            ConfirmHit,
            ReportSuit,
            ReopenClaim,
            RecoverPayment,
            RequestReview,
            ReportDispute,
        ),
    }

    add_document = accepts(AddDocument)
    waive_document = accepts(WaiveDocument)
    require_document = accepts(RequireDocument)
    judge_findings = accepts(JudgeFindings)
    state_facts = accepts(StateFacts)
    set_policy = accepts(SetPolicy)
    set_reserve = accepts(SetReserve)
    withdraw_claim = accepts(WithdrawClaim)
    propose_decision = accepts(ProposeDecision)
    approve_decision = accepts(ApproveDecision)
    send_back_decision = accepts(SendBackDecision)
    confirm_payment = accepts(ConfirmPayment)
    reject_payment = accepts(RejectPayment)
    correct_payee = accepts(CorrectPayee)
    clear_hit = accepts(ClearHit)
    confirm_hit = accepts(ConfirmHit)
    report_bounce = accepts(ReportBounce)
    correct_address = accepts(CorrectAddress)
    take_over_handling = accepts(TakeOverHandling)
    report_suit = accepts(ReportSuit)
    report_ruling = accepts(ReportRuling)
    report_suit_end = accepts(ReportSuitEnd)
    salvage_handed_over = accepts(SalvageHandedOver)
    salvage_kept = accepts(SalvageKept)
    reopen_claim = accepts(ReopenClaim)
    recover_payment = accepts(RecoverPayment)
    agree_instalments = accepts(AgreeInstalments)
    pay_whole = accepts(PayWhole)
    confirm_right = accepts(ConfirmRight)
    decide_by_person = accepts(DecideByPerson)
    request_review = accepts(RequestReview)
    review_decision = accepts(ReviewDecision)
    report_dispute = accepts(ReportDispute)
    refer_dispute = accepts(ReferDispute)
    end_dispute = accepts(EndDispute)

    body: ClaimBody

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Outcome:
        """Live the claim; the input is a `StartCase`."""
        return await self.live(message, *more)

    # ---- stages -----------------------------------------------------------------------------------------------------

    async def collecting(self) -> None:
        """9.1: receipt is confirmed with what is missing; the claim waits for proof of fact, amount, entitlement."""
        self._send_what_waits()
        if not self.body.announced:
            await self._arrive("received", None, self.body.model_copy(update={"announced": True, **self._announce()}))
            return
        match await self.next():
            case Item(message=AddDocument() as m) as item:
                await self._arrive("document_received", item, self._with(m.document, "received", m.received_at))
            case Item(message=WaiveDocument() as m) as item:
                await self._arrive("document_waived", item, self._with(m.document, "waived", None))
            case Item(message=RequireDocument() as m) as item:
                await self._require(item, m)
            case Rung(bells=bells) if self._rung_for_cover(bells):
                await self._find_anew()
            case event:
                await self._always(event)

    async def deciding(self) -> None:
        """10.5: within 30 days of the last proof, a decision; a later requirement does not stop the clock."""
        self._carry_on()
        if self.decides_itself():
            await self.decide_automatically()
            return
        match await self.next():
            case Item(message=ProposeDecision() as m) as item:
                await self.decision_proposed(item, m)
            case Item(message=AddDocument() as m) as item:
                await self.record(
                    "document_received",
                    said=item,
                    facts={"document": m.document, "received_at": m.received_at.isoformat()},
                    changes=(Relate(duty=DECIDE, anchor_at=m.received_at),) if self._asked_in_time(m.document) else (),
                    acts=(self._noted(item),),
                    body=self._with(m.document, "received", m.received_at),
                )
            case Item(message=WaiveDocument() as m) as item:
                await self.record(
                    "document_waived",
                    said=item,
                    facts={"document": m.document},
                    acts=(self._noted(item),),
                    body=self._with(m.document, "waived", None),
                )
            case Item(message=RequireDocument() as m) as item:
                await self._require(item, m)
            case Rung(bells=bells):
                self.keep_release(bells)
                if self._rung_for_cover(bells):
                    await self._find_anew()
            case event:
                await self._always(event)

    async def approving(self) -> None:
        """Above the limit a second person approves, never the one who proposed; the 30 days run on."""
        if self.body.decided_at is not None:
            self._carry_on()
        match await self.next():
            case Item(message=ApproveDecision()) as item:
                await self.decision_approved(item)
            case Item(message=SendBackDecision()) as item:
                await self.record(
                    "sent_back", said=item, to="deciding", body=self.body.model_copy(update={"proposal": None})
                )
            case Rung(bells=bells):
                await self._rung_while_approving(bells)
            case event:
                await self._always(event)

    async def telling_and_paying(self) -> None:
        """10.5: both are told in writing within 10 working days, beside the payment within 15."""
        self._carry_on()
        if await self.decide_what_was_released():
            return
        match await self.next():
            case Rung() if self.body.withheld:
                await self.supplement()
            case event:
                await self._always(event)

    async def in_court(self) -> None:
        """9.1.3: while a court hears the claim its ruling is a missing document; nothing else of it is decided."""
        self._carry_on()
        if await self.decide_what_was_released():
            return
        match await self.next():
            case Rung() if self.body.withheld:
                await self.supplement()
            case event:
                await self._always(event)

    async def awaiting_limit(self) -> None:
        """9.6, 9.10: the rest waits until claims filed earlier have taken or released what they reserved."""
        self._carry_on()
        match await self.next():
            case Rung():
                await self.supplement()
            case event:
                await self._always(event)

    async def awaiting_salvage(self) -> None:
        """9.3.1: all is paid but what becomes due when the owner hands over what is left of a destroyed thing."""
        self._carry_on()
        await self._always(await self.next())

    async def paying_instalments(self) -> None:
        """9.2.3, 9.2.4: each instalment on its day by the written agreement, while the right lasts; over years."""
        self._carry_on()
        await self._always(await self.next())

    async def resting(self) -> None:
        """Bounces and rejections may still come, a suit or new evidence; then the claim closes."""
        if await self.rest_again():
            return
        await self._always(await self.next())

    def with_due(self, tick: Tick) -> dict[str, Any]:
        """The rest is over: closed in the same step. The day of an instalment came: it is ordered."""
        if tick.duty == ORDER_INSTALMENT:
            return self.instalment_due(tick)
        if tick.duty != REST:
            return {}
        return {
            "entry": "closed",
            "to": CLOSED,
            "outcome": "paid" if self.body.payments or self.body.settled else "rejected",
        }

    def remittance(self) -> str:
        """The claim, as the payee reads it."""
        return f"Claim {self.id}"

    def back_to_paying(self) -> str | None:
        """A decision that is still to be made, a suit, or other instalments go on beside it."""
        beside = ("deciding", "approving", "in_court", "paying_instalments")
        return None if self.case.stage in beside else self.paying

    def finished(self, body: ClaimBody) -> dict[str, Any]:
        """Once every letter is sent and every payment executed, the claim rests, or waits for a court or the limit."""
        if body.review is not None:
            return {"body": body}
        letters = [s for key, s in body.notices.items() if key.startswith(LETTERS)]
        deciding = self.case.stage in ("deciding", "approving") or (self.case.stage == "in_court" and body.suit)
        if deciding or not all(s == "sent" for s in letters) or not all(p.status == "paid" for p in body.payments):
            return {"body": body}
        # those of former builds were waited for only until the carrier had said something
        if any(key.startswith(f"{ENDED}:") and s == "queued" for key, s in body.notices.items()):
            return {"body": body}
        if body.suit:
            return {"body": body, "to": "in_court"}
        if body.withheld:
            return {"body": body, "to": "awaiting_limit"}
        if body.salvage:
            return {"body": body, "to": "awaiting_salvage"}
        if any(agreement.open for agreement in body.agreements):
            return {"body": body, "to": "paying_instalments"}
        if body.dispute is not None:
            return {"body": body} if self.case.stage == self.paying else {"body": body, "to": self.paying}
        now = workflow.now()
        return {
            "body": body.model_copy(update={"finished_at": now}),
            "to": "resting",
            "rest": (self.rest(),),
        }

    # ---- cover ------------------------------------------------------------------------------------------------------

    def _rung_for_cover(self, bells: Bells) -> bool:
        """Another claim on the same occurrence came, or the policy changed; a claim of before has no findings."""
        return LOOK_AGAIN in bells.reasons and self.body.findings is not None

    async def _find_anew(self) -> None:
        """5.4, 6.5, 6.6: the occurrence's first claim can be another one now, the contract not in force any more."""
        await self.record("cover_looked_at", acts=(Act(name="claim.find"),), heard=self.unheard)

    async def _rung_while_approving(self, bells: Bells) -> None:
        """A proposal rests on what was found of cover: where that is another thing now, it goes back to the handler."""
        self.keep_release(bells)
        if not self._rung_for_cover(bells):
            return
        before = self.body.findings
        await self._find_anew()
        if self.body.findings != before and self.case.stage == "approving" and not self.diverged:
            await self.record(
                "sent_back",
                facts={"reason": "what was found of cover has changed"},
                to="deciding",
                body=self.body.model_copy(update={"proposal": None}),
            )

    # ---- documents --------------------------------------------------------------------------------------------------

    def _announce(self) -> dict[str, Any]:
        return {"notices": {**self.body.notices, **{f"received:{c}": "queued" for c in self.body.claimants}}}

    async def _arrive(self, entry: str, item: Item | None, body: ClaimBody) -> None:
        """A document came or is not needed; with the last one the 30 days begin, from the day it was received."""
        facts: dict[str, Any] = {"missing": [r.document for r in body.missing]}
        if item is not None and isinstance(item.message, AddDocument | WaiveDocument):
            facts["document"] = item.message.document
        notices: tuple[NoticeDraft, ...] = ()
        if item is None:
            facts["faults"] = list(body.faults)
            notices = tuple(self._receipt(party) for party in body.claimants)
        complete = not body.missing
        first: tuple[Change, ...] = (Start(duty=REVIEW_RESERVE, anchor_at=workflow.now()),) if item is None else ()
        await self.record(
            entry,
            said=item,
            duty=DECIDE if complete else None,
            facts=facts,
            changes=(*first, *((Start(duty=DECIDE, anchor_at=body.complete_at),) if complete else ())),
            notices=notices,
            acts=(self._noted(item),) if item is not None else (),
            to="deciding" if complete else None,
            body=body,
        )

    def _noted(self, item: Item) -> Act:
        """What happened to a document, for the store: its reference, or why it is asked for or not needed."""
        m = item.message
        said = m.model_dump(mode="json", exclude={*Message.model_fields, "received_at"}, exclude_none=True)
        event = {AddDocument: "received", WaiveDocument: "waived", RequireDocument: "required"}[type(m)]
        at = m.received_at if isinstance(m, AddDocument) else item.at
        act = {"event": event, "at": at.isoformat(), "actor": m.actor, "step": self.case.step + 1}
        return Act(name="claim.note_document", data={**said, **act})

    def _receipt(self, party: str) -> NoticeDraft:
        return NoticeDraft(
            key=f"received:{party}",
            template="claim-received",
            party=party,
            facts={
                "received_on": {"day_of": self.body.received_at.isoformat()},
                "missing": [{"title_of": r.document} for r in self.body.missing],
            },
        )

    def _with(self, document: str, status: str, at: datetime | None) -> ClaimBody:
        """The body after a missing document came or was waived."""
        requirements = tuple(
            r.model_copy(update={"status": status, "received_at": at})
            if r.document == document and r.status == "missing"
            else r
            for r in self.body.requirements
        )
        return self.body.model_copy(update={"requirements": requirements})

    def _asked_in_time(self, document: str) -> bool:
        return any(r.document == document and r.status == "missing" and r.asked_late for r in self.body.requirements)

    async def _require(self, item: Item, m: RequireDocument) -> None:
        clock = self.clocks.get(DECIDE)
        # asked for on or after the safe date it changes neither date; while documents are collected it is one of them
        in_time = clock is not None and item.at < clock.due
        requirements = tuple(
            r.model_copy(update={"status": "missing", "proves": m.proves, "asked_late": in_time})
            if r.document == m.document
            else r
            for r in self.body.requirements
        )
        keys: dict[str, str] = {}
        if self.body.findings is not None:
            keys = {f"{ASKED}:{party}:{self.case.step + 1}:1": party for party in self.body.claimants}
        notices = {**self.body.notices, **dict.fromkeys(keys, "queued")}
        await self.record(
            "document_required",
            said=item,
            facts={"document": m.document, "proves": m.proves},
            acts=(self._noted(item),),
            notices=tuple(self._request(key, party) for key, party in keys.items()),
            body=self.body.model_copy(update={"requirements": requirements, "notices": notices}),
        )

    def _request(self, key: str, party: str) -> NoticeDraft:
        """9.1.10: a letter that names the document and says why; both are in the store, by the step that asks."""
        return NoticeDraft(
            key=key, template="claim-document", party=party, facts={"asked": {"asked_in": int(key.split(":")[2])}}
        )

    # ---- after ------------------------------------------------------------------------------------------------------

    async def _reopen(self, item: Item, m: ReopenClaim) -> None:
        """New evidence, or an error: decided once more, within 30 days of its receipt."""
        await self.record(
            "reopened",
            said=item,
            duty=DECIDE,
            facts={"reason": m.reason, "received_at": m.received_at.isoformat(), "text": m.text},
            changes=(
                *self.no_more(REST, m.reason),
                Start(duty=DECIDE, anchor_at=m.received_at),
                Start(duty=REVIEW_RESERVE, anchor_at=workflow.now()),
            ),
            acts=(Act(name="claim.reserve_again"), Act(name="claim.find")),
            to="deciding",
        )

    async def _recover(self, item: Item, m: RecoverPayment) -> None:
        """11.3, 9.8: a case of its own demands it back; nothing of the claim changes."""
        await self.record(
            "recovery_opened",
            said=item,
            duty=CLAUSES[m.reason],
            facts={"debtor": m.debtor, "amount": str(m.amount), "reference": m.reference},
            acts=(Act(name="claim.recover", data={"reference": m.reference, "content": m.recovery}),),
        )

    # ---- letters and payments ---------------------------------------------------------------------------------------

    def _send_what_waits(self) -> None:
        self.send(key for key, status in self.body.notices.items() if status == "queued")

    def _carry_on(self) -> None:
        """Letters and payments go their way, whatever else happens to the claim."""
        self._send_what_waits()
        self.order_what_waits()

    async def _proven(self, first: Done) -> None:
        """Letters were taken by the carrier, orders by the bank: one step for all that is proven by now."""
        proven, self.done = [first, *self.done], []
        notices, payments = dict(self.body.notices), list(self.body.payments)
        changes: list[Change] = []
        acts: tuple[Act, ...] = ()
        facts: dict[str, Any] = {}
        for done in proven:
            match done.result:
                case NoticesSent(notices=proofs):
                    for proof in proofs:
                        notices[proof.key] = "sent" if proof.sent_at else "refused"
                        duty, subject = proof.key.split(":")[:2]
                        if duty in (*LETTERS, ENDED):
                            facts[proof.key] = proof.refused or "sent"
                        if proof.sent_at and duty in LETTERS and self.clocks.running(duty, subject):
                            evidence = Evidence(
                                kind="notice_sent" if duty == TELL else "answer_sent",
                                happened_at=proof.sent_at,
                                reference=proof.reference,
                            )
                            changes.append(Stop(duty=duty, subject=subject, evidence=evidence))
                case OrderIssued() as order:
                    payments = self.with_issued(payments, order)
                    facts |= self.of_issued(order)
                    acts += self.acts_of_issued(order)
        body = self.body.model_copy(update={"notices": notices, "payments": tuple(payments)})
        if not facts:
            # a letter without a clock: its proof is in the store; the next step keeps that it is done
            self.body = body
            return
        then = self.finished(body)
        await self.record("proven", facts=facts, changes=(*changes, *then.pop("rest", ())), acts=acts, **then)

    async def _bounced(self, item: Item, m: ReportBounce) -> None:
        """A letter came back: its 10 working days run again, by the same due date (10.5; time, point 13).

        For the one that tells of the end of a right there is no term (9.2.4): another address is waited for.
        """
        duty, subject = m.notice.split(":")[:2]
        timed = duty != RIGHT_ENDED
        changes: list[Change] = [*self.no_more(REST, "bounce")]
        if timed:
            changes.append(Reopen(duty=duty, subject=subject, reason="bounce"))
        await self.record(
            "bounced",
            said=item,
            duty=duty if timed else None,
            facts={"notice": m.notice, "bounced_at": m.bounced_at.isoformat()},
            changes=tuple(changes),
            acts=(Act(name="notice.bounced", data={"notice": m.notice, "bounced_at": m.bounced_at.isoformat()}),),
            to=self.back_to_paying(),
            body=self.body.model_copy(update={"notices": {**self.body.notices, m.notice: "refused"}}),
        )

    # ---- at any stage -----------------------------------------------------------------------------------------------

    async def _always(self, event: Any) -> None:
        """What more than one stage takes, in the same way."""
        match event:
            case Done() as done:
                await self._proven(done)
            case Item(message=ConfirmPayment() | RejectPayment() | CorrectPayee() | ClearHit() | ConfirmHit()) as item:
                await self.about_payments(item)
            case Item(message=ReportBounce() as m) as item:
                await self._bounced(item, m)
            case Item(message=TakeOverHandling() as m) as item:
                await self._taken_over(item, m)
            case Item(message=ReportSuit() as m) as item:
                await self.suit_filed(item, m)
            case Item(message=ReportRuling() as m) as item:
                await self.ruling_given(item, m)
            case Item(message=ReportSuitEnd() as m) as item:
                await self.suit_over(item, m)
            case Item(message=SalvageHandedOver() as m) as item:
                await self.salvage_came(item, m)
            case Item(message=SalvageKept() as m) as item:
                await self.salvage_stays(item, m)
            case Item(message=ReopenClaim() as m) as item:
                await self._reopen(item, m)
            case Item(message=RecoverPayment() as m) as item:
                await self._recover(item, m)
            case Item(message=AgreeInstalments() | PayWhole() | ConfirmRight()) as item:
                await self._agreement(item)
            case Item(message=DecideByPerson() | RequestReview() | ReviewDecision()) as item:
                await self._about_automatic(item)
            case Item(message=ReportDispute() | ReferDispute() | EndDispute()) as item:
                await self.about_dispute(item)
            case Item(message=CorrectAddress() as m) as item:
                await self._correct_address(item, m)
            case Item(message=SetPolicy() as m) as item:
                await self.record(
                    "policy_set",
                    said=item,
                    facts={"policy": m.policy},
                    acts=(Act(name="claim.set_policy", data={"policy": m.policy}),),
                    body=self.body.model_copy(update={"policy": m.policy}),
                )
            case Item(message=SetReserve() as m) as item:
                reviewed = Evidence(kind="reserve_reviewed", happened_at=item.at, reference=item.id)
                running = self.clocks.running(REVIEW_RESERVE)
                await self.record(
                    "reserve_set",
                    said=item,
                    facts={"amount": str(m.amount), "reason": m.reason},
                    changes=(
                        *((Stop(duty=REVIEW_RESERVE, evidence=reviewed),) if running else ()),
                        Start(duty=REVIEW_RESERVE, anchor_at=item.at),
                    ),
                    acts=(Act(name="claim.set_reserve", data={"policy": self.body.policy, "amount": str(m.amount)}),),
                )
            case Item(message=JudgeFindings() as m) as item:
                judged = [one.model_dump(mode="json", exclude_none=True) for one in m.findings]
                await self.record(
                    "findings_judged",
                    said=item,
                    facts={"findings": {one.code: one.outcome for one in m.findings}},
                    acts=(Act(name="claim.judge", data={"findings": judged, "actor": m.actor}),),
                    body=self.body.model_copy(update={"findings": m.after(self.body.findings or {})}),
                )
            case Item(message=StateFacts() as m) as item:
                await self.record(
                    "facts_stated",
                    said=item,
                    facts=m.learnt,
                    acts=(Act(name="claim.learn", data=m.learnt),),
                )
            case Item(message=WithdrawClaim()) as item:
                reason = "the claim was withdrawn"
                await self.record(
                    "withdrawn",
                    said=item,
                    changes=(*self.no_more(DECIDE, reason), *self.no_more(REVIEW_RESERVE, reason)),
                    acts=(Act(name="claim.release"),),
                    to=CLOSED,
                    outcome="withdrawn",
                )

    async def _taken_over(self, item: Item, m: TakeOverHandling) -> None:
        """8.1.10: the insurer may handle the claim or the suit in the insured's name, and the insured is told so."""
        key = f"{HANDLING}:insured:1"
        await self.record(
            "handling_taken_over",
            said=item,
            duty=HANDLING,
            facts={"what": m.what, "reference": m.reference},
            notices=(NoticeDraft(key=key, template="claim-handling", party="insured"),),
            body=self.body.model_copy(update={"notices": {**self.body.notices, key: "queued"}}),
        )

    async def _agreement(self, item: Item) -> None:
        match item.message:
            case AgreeInstalments() as m:
                await self.instalments_agreed(item, m)
            case PayWhole() as m:
                await self.paid_whole(item, m)
            case ConfirmRight() as m:
                await self.right_answered(item, m)

    async def _about_automatic(self, item: Item) -> None:
        match item.message:
            case DecideByPerson() as m:
                await self.left_to_person(item, m)
            case RequestReview() as m:
                await self.review_requested(item, m)
            case ReviewDecision() as m:
                await self.review_decided(item, m)

    async def _correct_address(self, item: Item, m: CorrectAddress) -> None:
        """Another address: what could not be sent to it, or came back, is sent anew."""
        again = [k for k, s in self.body.notices.items() if s == "refused" and k.split(":")[1].split(".")[0] == m.party]
        notices = {k: s for k, s in self.body.notices.items() if k not in again}
        renewed = {_next_key(k): k for k in again}
        await self.record(
            "address_corrected",
            said=item,
            facts={"party": m.party, "again": sorted(renewed)},
            acts=(
                Act(name="party.set_address", data={"party": m.party, "email": m.email}),
                *((Act(name="notice.again", data={"renewed": renewed}),) if renewed else ()),
            ),
            body=self.body.model_copy(update={"notices": {**notices, **dict.fromkeys(renewed, "queued")}}),
        )

    def allowed(self, message: Message) -> tuple[str, ...]:
        """The conditions of a claim's messages: no instant in the future, the right document, four eyes."""
        now, body = workflow.now(), self.body
        match message:
            case AddDocument() | WaiveDocument():
                faults = []
                if message.document not in [r.document for r in body.missing]:
                    faults.append(
                        "document: it is not missing; missing: " + ", ".join(r.document for r in body.missing)
                    )
                if isinstance(message, AddDocument) and message.received_at > now:
                    faults.append("received_at: lies in the future")
                return tuple(faults)
            case RequireDocument():
                status = next(r.status for r in body.requirements if r.document == message.document)
                if self.case.stage == "collecting" and body.findings is None:
                    return ("not in stage collecting",)
                faults = [f"document: it is {status} already"] if status in ("missing", "received") else []
                if body.findings is not None and message.document == "other" and message.named is None:
                    faults.append("named: say what it is, in words for the claimant")
                return tuple(faults)
            case JudgeFindings() | StateFacts() if body.findings is None:
                return ("this claim was opened before findings were kept: decide without them",)
            case JudgeFindings() if body.policy is None:
                return ("policy: not known yet; set_policy comes first",)
            case StateFacts() if not message.learnt:
                return ("facts: state at least one of occurred_on, country, first_made_at, …",)
            case ProposeDecision():
                return (*self.decided_anew_by(message.actor), *self.proposal_faults(message))
            case ApproveDecision() if took := self.decided_anew_by(message.actor):
                return tuple(took)
            case ApproveDecision() if body.proposal is not None and body.proposal.proposed_by == message.actor:
                return ("four eyes: the one who proposed cannot approve",)
            case ConfirmPayment() | RejectPayment() | CorrectPayee() | ClearHit() | ConfirmHit():
                return self.payment_faults(message)
            case ReportBounce():
                faults = []
                if body.notices.get(message.notice) != "sent" or not message.notice.startswith(LETTERS):
                    sent = [k for k, s in body.notices.items() if s == "sent" and k.startswith(LETTERS)]
                    faults.append("notice: no such letter was sent; sent: " + ", ".join(sent))
                if message.bounced_at > now:
                    faults.append("bounced_at: lies in the future")
                return tuple(faults)
            case CorrectAddress():
                if message.party not in (*body.claimants, "insured"):
                    return ("party: " + ", ".join((*body.claimants, "insured")),)
            case SetReserve() if body.policy is None:
                return ("policy: not known yet; set_policy comes first",)
            case TakeOverHandling():
                return self._handling_faults(message)
            case WithdrawClaim():
                faults = ["withdrawn_at: lies in the future"] if message.withdrawn_at > now else []
                return (*faults, *(["a decision was made: it cannot be withdrawn any more"] if body.decided_at else []))
            case ReportSuit() | ReportRuling() | ReportSuitEnd():
                return self.court_faults(message, now)
            case RecoverPayment():
                return message.faults(body.payments, body.settled)
            case SalvageHandedOver() | SalvageKept():
                return self.salvage_faults(message, now)
            case AgreeInstalments() | PayWhole() | ConfirmRight():
                return self.agreement_faults(message)
            case DecideByPerson() if body.automatic is None or body.automatic.state != "possible":
                return ("automatic: the rulebook decides nothing of this claim by itself",)
            case RequestReview() | ReviewDecision():
                return self.review_faults(message, now)
            case ReportDispute() | ReferDispute() | EndDispute():
                return self.dispute_faults(message, now)
            case ReopenClaim() if message.received_at > now:
                return ("received_at: lies in the future",)
        return ()

    def _handling_faults(self, message: TakeOverHandling) -> tuple[str, ...]:
        faults = [] if self.body.policy else ["policy: not known yet; set_policy comes first"]
        if self._handles():
            faults.append("handling: it was taken over already")
        if message.what == "suit" and self.body.suit is None:
            faults.append("what: no suit is under way; report_suit comes first")
        return tuple(faults)

    def _handles(self) -> bool:
        """Whether the insurer handles the claim or the suit in the insured's name."""
        return any(key.startswith(f"{HANDLING}:") for key in self.body.notices)

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the case can fill in of a message."""
        sent = [k for k, s in self.body.notices.items() if s == "sent" and k.startswith(LETTERS)]
        missing = [r.document for r in self.body.missing]
        askable = [r.document for r in self.body.requirements if r.status not in ("missing", "received")]
        values: dict[type[Message], dict[str, Any]] = {
            AddDocument: {"document": missing[0]} if missing else {},
            WaiveDocument: {"document": missing[0]} if missing else {},
            RequireDocument: {"document": f"‹one of: {', '.join(askable)}›"},
            JudgeFindings: {"findings": _to_judge(self.body.findings or {})},
            ProposeDecision: {
                "outcome": "pay",
                "reasons": [],
                "losses": [
                    {"claimant": head.split(":")[0], "head": head.split()[1], "proven": "‹EUR, such as 1200.00›"}
                    for head in self.body.heads
                ],
            },
            **self.known_of_salvage(),
            **self.known_of_payments(),
            **self.known_of_agreements(),
            ReportBounce: {"notice": sent[0]} if sent else {},
        }
        return values.get(model, {})

    def possible(self) -> list[type[Message]]:
        """Only what has a point now: no document where none is missing, no payment where none is open."""
        body = self.body
        pointless = self.pointless_payments() | self.pointless_agreements()
        if not body.missing:
            pointless |= {AddDocument, WaiveDocument}
        pointless.add(SetPolicy if body.policy is not None else SetReserve)
        if body.findings is None:
            pointless |= {JudgeFindings, StateFacts}
        elif body.policy is None:
            pointless.add(JudgeFindings)
        if "refused" not in body.notices.values():
            pointless.add(CorrectAddress)
        if not any(s == "sent" and k.startswith(LETTERS) for k, s in body.notices.items()):
            pointless.add(ReportBounce)
        pointless |= {ReportRuling, ReportSuitEnd} if body.suit is None else {ReportSuit}
        if body.decided_at is not None:
            pointless.add(WithdrawClaim)
        if not body.settled and not any(p.status == "paid" for p in body.payments):
            pointless.add(RecoverPayment)
        if not body.salvage:
            pointless |= {*SALVAGE}
        pointless |= self.pointless_of_automatic() | self.pointless_of_disputes()
        return [m for m in super().possible() if m not in pointless]

    def waiting(self, stage: str, body: ClaimBody) -> str:
        """What is waited for, and from whom."""
        match stage:
            case "collecting":
                return "documents from the claimant: " + ", ".join(r.title for r in body.missing)
            case "deciding":
                missing = f"; asked for later: {', '.join(r.title for r in body.missing)}" if body.missing else ""
                judging = bool({c for c, s in (body.findings or {}).items() if s != "not_met"})
                decision = "the handler's findings and decision" if judging else "the handler's decision"
                if judging and body.automatic is not None and body.automatic.state == "possible":
                    decision = "the handler's findings; then the rulebook decides, or leaves it to the handler"
                if body.review is not None and body.review.by is not None:
                    decision = f"the decision of {body.review.by}, who reviewed the automatic one"
                return ("set_policy by the handler" if body.policy is None else decision) + missing
            case "approving":
                return (
                    self.waits_of_approval(body.proposal) if body.proposal is not None else "a second person's approval"
                )
            case "telling_and_paying" | "paying_instalments":
                waits = [f"the bank: {p.key}" for p in body.payments if p.status == "issued"]
                waits += [f"an account for {p.claimant}" for p in body.payments if p.status in ("held", "rejected")]
                waits += self.waits_of_screening(body.payments)
                if body.review is not None:
                    waits.append("a person who took no part in the decision, to review it")
                refused = [k for k, s in body.notices.items() if s == "refused"]
                waits += [f"an address: {k}" for k in refused if k.startswith(LETTERS)]
                waits += [f"the carrier: {k}" for k, s in body.notices.items() if s == "queued"]
                return ", ".join([*waits, *self.waits_of_agreements(body.agreements), *self.waits_of_dispute(body)])
            case "in_court":
                of = ", ".join(body.suit.claimants) if body.suit is not None else ""
                return f"the court: the ruling on the claim of {of} (9.1.3)"
            case "awaiting_limit":
                return f"claims filed earlier: limit or deductible is theirs first, for {body.withheld} EUR (9.5, 9.6)"
            case "awaiting_salvage":
                return f"the owner, to hand over what is left of {', '.join(body.salvage)} (9.3.1)"
            case "resting":
                return "bounces and rejections, until it closes"
        return ""

    def story(self) -> list[str]:
        """The claim in a few lines: heads, documents, decision, payments, faults."""
        body = self.body
        lines = self.story_of_hits()
        if (proposal := body.proposal) is not None:
            decided = f"proposed by {proposal.proposed_by}"
            if body.decided_at:
                decided = f"decided {utc(body.decided_at)}"
            taken_off = f"deductible {proposal.deductible}"
            if proposal.premium:
                taken_off += f", unpaid premium {proposal.premium}"
            what = f"{proposal.outcome.replace('_', ' ')}, {proposal.total} EUR ({taken_off})"
            lines += [f"- **Decision:** {what}, {decided}"]
            lines += [f"- **{h.outcome.capitalize()}:** {h.claimant} {h.head}, {h.code}" for h in proposal.heads]
        lines += self.story_of_automatic() + self.story_of_dispute()
        lines += [f"- **Awarded to {a.claimant}:** {a.amount} EUR by a ruling in force" for a in body.awards]
        if body.suit is not None:
            lines += [f"- **Before a court:** the claim of {', '.join(body.suit.claimants)}"]
        if self._handles():
            lines += ["- **Handled by us** in the insured's name; the insured owes all information and help (8.1.10)"]
        if body.withheld:
            lines += [f"- **Withheld:** {body.withheld} EUR, until claims filed earlier are decided (9.5, 9.6)"]
        lines += [f"- **Salvage of {s}:** the rest is due once it is handed over (9.3.1)" for s in body.salvage]
        lines += self._cover_story()
        lines += [f"- **Payment {p.key}:** {p.amount} EUR, {p.status}" for p in body.payments]
        lines += self.story_of_agreements()
        lines += [f"- **Letter {key}:** {status}" for key, status in body.notices.items() if key.startswith(LETTERS)]
        lines += [f"- **Claimed:** {head.removesuffix(' claimed')}" for head in body.heads]
        for status in ("missing", "received", "waived"):
            of = [f"{r.title} ({r.document}, {r.clause})" for r in body.requirements if r.status == status]
            lines += [f"- **Documents {status}:** {'; '.join(of)}"] if of else []
        lines += [f"- **Received:** {utc(body.received_at)}, policy {body.policy or 'not known'}"]
        lines += [f"- **Fault of the filing:** {fault}" for fault in body.faults]
        return lines

    def _title(self, code: str) -> str:
        return self.body.exclusions.get(code) or title_of(code)

    def _cover_story(self) -> list[str]:
        """Cover: what is open first, with its question; then what is not met."""
        findings = self.body.findings
        if findings is None:
            return []
        lines = []
        if self.body.decided_at is None:
            for code, stands in findings.items():
                if stands != "not_met":
                    point = POINTS.get(code.partition(":")[0])
                    asked = point.question if point is not None else self._title(code)
                    lines.append(f"- **Cover, {stands}: {code}.** {asked}")
        against = [code for code, stands in findings.items() if stands == "not_met"]
        lines += [f"- **Cover, not met: {code}.** {self._title(code)}" for code in against]
        if not findings:
            lines.append("- **Cover:** met on every point")
        if others := self.body.occurrence:
            lines.append(f"- **Same occurrence:** {', '.join(others)}")
        return lines


def _to_judge(findings: dict[str, Waiting]) -> list[dict[str, Any]]:
    """What waits, for the ready JSON: an open point as met; whatever somebody raised, or facts speak against, to say.

    An exclusion or a breach that was found stands by a judgment already.
    """
    known = {code: code.partition(":")[0] in POINTS for code in findings}
    said = {"outcome": "‹met or not_met›", "reason": "‹why›"}
    return [
        {"code": code, **({"outcome": "met"} if stands == "open" and known[code] else said)}
        for code, stands in findings.items()
        if known[code] or stands != "not_met"
    ]


def _next_key(key: str) -> str:
    head, _, n = key.rpartition(":")
    return f"{head}:{int(n) + 1}" if n.isdigit() else f"{key}:2"
