"""Claim: from filing to rest, by BTA rules No. 19.1 (9.1, 10.5), with its decision, letters and payments."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, REST, Done, Item, Rung, accepts
from workflows.instalments import ENDED, ORDER_INSTALMENT, PAY, RIGHT_ENDED, ByInstalments

with workflow.unsafe.imports_passed_through():
    from activities.claim import ClaimActivities
    from models.automatic import BY_RULEBOOK, DecideByPerson, RequestReview, Review, ReviewDecision, Ruled
    from models.case import (
        Act,
        Bells,
        Change,
        CorrectAddress,
        Evidence,
        Message,
        NoticeDraft,
        NoticesSent,
        OrderDraft,
        OrderIssued,
        Outcome,
        Relate,
        Reopen,
        ReportBounce,
        Start,
        Stop,
        Tick,
        Void,
    )
    from models.claim import (
        LIMITS_MOVED,
        AddDocument,
        ApproveDecision,
        Assess,
        Assessment,
        Award,
        ClaimantDecision,
        ClaimBody,
        ClearHit,
        ConfirmHit,
        ConfirmPayment,
        CorrectPayee,
        HeadOutcome,
        Payment,
        Proposal,
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
        Suit,
        WaiveDocument,
        WithdrawClaim,
        subject_of,
    )
    from models.coverage import LOOK_AGAIN, POINTS, JudgeFindings, StateFacts, Waiting, is_duty, title_of
    from models.instalments import BY_AGREEMENT, AgreeInstalments, Agreement, ConfirmRight, PayWhole
    from models.recovery import CLAUSES, RecoverPayment

DECIDE = "BTA-10.5a"
TELL = "BTA-10.5b"
PAY_AWARD = "BTA-10.5d"
REVIEW = "GJ-claims-review"
LETTERS = (TELL, REVIEW, RIGHT_ENDED)
"""Letters without which a claim does not rest: of a duty that they keep, or of the end of a right (9.2.4)."""
ATTEMPTS = 3
"""How often an automatic decision is worked out anew because the limits gave to another claim meanwhile."""
SUPPLEMENT = "T-supplementary"
REVIEW_RESERVE = "T-reserve-review"
ASKED = "asked"
"""What the key of a letter begins with that asks for a document: party, and the step that asks, follow."""
OF_PART_9 = re.compile(r"9\.(?!11\b)\d{1,2}(\.\d{1,2})?")
"""Clauses that a rejection can rest on beside a finding: what the indemnity is and how it is proven."""
OF_HEADS = ("activity", "third_party", "liable", "direct_loss", "no_repetition")
"""Points of cover that can be met for one head and not for another, as exclusions can."""
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
)
"""What still happens to decisions made before: their letters, their payments, and the review of an automatic one."""
COURT: tuple[type[Message], ...] = (ReportSuit, ReportRuling, ReportSuitEnd)
SALVAGE: tuple[type[Message], ...] = (SalvageHandedOver, SalvageKept)
AGREED: tuple[type[Message], ...] = (AgreeInstalments, PayWhole, ConfirmRight)
"""What is said of instalments, whatever else happens to a claim that was decided."""


@workflow.defn(name="Claim")
class Claim(ByInstalments):
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
        "telling_and_paying": (*LATER, *COURT, *SALVAGE, RecoverPayment, *AGREED),
        "in_court": (*LATER, ReportRuling, ReportSuitEnd, *SALVAGE, SetReserve, WithdrawClaim, RecoverPayment, *AGREED),
        "awaiting_limit": (*LATER, *COURT, *SALVAGE, RecoverPayment, *AGREED),
        "awaiting_salvage": (*LATER, *COURT, *SALVAGE, RecoverPayment, *AGREED),
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
        if self._decides_itself():
            await self._decide_automatically()
            return
        match await self.next():
            case Item(message=ProposeDecision() as m) as item:
                await self._propose(item, m)
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
            case Rung(bells=bells) if self._rung_for_cover(bells):
                await self._find_anew()
            case event:
                await self._always(event)

    async def approving(self) -> None:
        """Above the limit a second person approves, never the one who proposed; the 30 days run on."""
        if self.body.decided_at is not None:
            self._carry_on()
        match await self.next():
            case Item(message=ApproveDecision()) as item:
                await self._approve(item)
            case Item(message=SendBackDecision()) as item:
                await self.record(
                    "sent_back", said=item, to="deciding", body=self.body.model_copy(update={"proposal": None})
                )
            case event:
                await self._always(event)

    async def telling_and_paying(self) -> None:
        """10.5: both are told in writing within 10 working days, beside the payment within 15."""
        self._carry_on()
        match await self.next():
            case Rung() if self.body.withheld:
                await self._supplement()
            case event:
                await self._always(event)

    async def in_court(self) -> None:
        """9.1.3: while a court hears the claim its ruling is a missing document; nothing else of it is decided."""
        self._carry_on()
        match await self.next():
            case Rung() if self.body.withheld:
                await self._supplement()
            case event:
                await self._always(event)

    async def awaiting_limit(self) -> None:
        """9.6, 9.10: the rest waits until claims filed earlier have taken or released what they reserved."""
        self._carry_on()
        match await self.next():
            case Rung():
                await self._supplement()
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

    # ---- decision ---------------------------------------------------------------------------------------------------

    async def _propose(self, item: Item, m: ProposeDecision) -> None:
        """Work the decision out; above the limit it waits for a second person, else it stands."""
        assert self.body.policy is not None
        ask = Assess(
            case=self.id,
            policy=self.body.policy,
            n=self._next_decision(),
            by=m.actor,
            losses=m.losses,
            liability_share=m.liability_share,
            reductions=m.reductions,
            reject=m.outcome == "reject",
            heads=m.heads,
            other_insurers=m.other_insurers,
            recommended=m.recommended,
            withhold_premium=m.withhold_premium,
            in_suit=self._in_suit(),
            awards=self.body.awards,
            by_agreement=m.by_agreement,
        )
        while True:
            assessed = await self.ask(ClaimActivities.assess, ask, "work out the settlement")
            if assessed.faults:
                self.refuse(item, *assessed.faults)
                return
            proposal = _proposal(assessed, ask.n, m.outcome, m.actor, m.reasons, m.heads)
            if proposal.needs_second:
                break
            await self._decide(item, proposal, ask)
            if not _limits_moved(item):
                return
            # between working it out and taking it another claim was decided: the same decision, by what is left
            item.refusal = None
        await self.record(
            "proposed",
            said=item,
            facts={"outcome": m.outcome, "total": str(proposal.total), "by": m.actor},
            acts=(
                Act(name="claim.propose", data={"ask": ask.model_dump(mode="json"), "total": str(proposal.total)}),
                *self._routing(proposal),
            ),
            to="approving",
            body=self.body.model_copy(update={"proposal": proposal}),
        )

    def _routing(self, proposal: Proposal) -> tuple[Act, ...]:
        """Whoever has the authority is told that a proposal waits."""
        if proposal.approver is None:
            return ()
        return (Act(name="claim.route", data={"to": proposal.approver, "amount": str(proposal.approved)}),)

    async def _approve(self, item: Item) -> None:
        """The second person approves what was worked out; if the limits gave to others since, it is worked out anew."""
        proposal = self.body.proposal
        assert proposal is not None
        assert self.body.policy is not None
        ask = Assess(
            case=self.id,
            policy=self.body.policy,
            n=max(proposal.n, 1),
            recorded=proposal.n,
            reject=proposal.outcome == "reject",
            in_suit=self._in_suit(),
        )
        await self._decide(item, proposal, ask)
        if not _limits_moved(item):
            return
        item.refusal = None
        assessed = await self.ask(ClaimActivities.assess, ask, "work out the settlement again")
        if assessed.faults:
            self.refuse(item, *assessed.faults)
            return
        anew = _proposal(assessed, ask.n, proposal.outcome, proposal.proposed_by, proposal.reasons, proposal.heads)
        await self.record(
            "worked_out_anew",
            facts={"was": str(proposal.total), "total": str(anew.total)},
            acts=self._routing(anew) if anew.approver != proposal.approver else (),
            body=self.body.model_copy(update={"proposal": anew}),
        )
        self.refuse(item, f"{LIMITS_MOVED}: it would pay {anew.total} EUR now; look again and approve that (9.6)")

    async def _decide(self, item: Item | None, proposal: Proposal, ask: Assess, ruled: Ruled | None = None) -> None:
        """10.5: decided. The 30 days stop; 10 working days to tell and 15 to pay start, one clock for each person.

        Without a message it is the rulebook that decides, by this text of it.
        """
        at, n = workflow.now() if item is None else item.at, max(proposal.n, 1)
        reviewed = self._told_of_review()
        # a later decision concerns those whom it is about; the first one all who are not before a court
        concerned = [c.claimant for c in proposal.claimants] if n > 1 else self.body.claimants
        told = (*(c for c in concerned if c not in ask.in_suit), "insured")
        payments, orders, clocks = self._payments(proposal, at, "indemnity")
        agreements = _left_to_agreements(proposal)
        decided = Evidence(kind="decision", happened_at=at, reference=item.id if item else BY_RULEBOOK)
        changes: tuple[Change, ...] = (
            *((Stop(duty=DECIDE, evidence=decided),) if self.clocks.running(DECIDE) else ()),
            *self.no_more(REVIEW_RESERVE, "decided"),
            *(Start(duty=TELL, subject=subject_of(party, n), anchor_at=at) for party in told),
            *self._unpaid_awards(payments),
        )
        withheld_by = {**self.body.withheld_by, str(n): proposal.withheld}
        await self.record(
            "decided",
            said=item,
            amount=proposal.approved if proposal.needs_second else None,
            duty=DECIDE,
            facts={
                "outcome": proposal.outcome,
                "total": str(proposal.total),
                "proposed_by": proposal.proposed_by,
                "approved_by": item.message.actor if item is not None and proposal.needs_second else None,
                **({"rulebook": ruled.rulebook} if ruled is not None else {}),
                "claimants": {c.claimant: str(c.payable) for c in proposal.claimants},
                "withheld": {c.claimant: str(c.withheld) for c in proposal.claimants if c.withheld > 0},
                **({"premium": str(proposal.premium)} if proposal.premium else {}),
                **({"salvage": str(proposal.salvage)} if proposal.salvage else {}),
                **({"heads": [one.model_dump(mode="json") for one in proposal.heads]} if proposal.heads else {}),
            },
            changes=(*changes, *clocks, *(Start(duty=PAY, subject=a.subject, anchor_at=at) for a in agreements)),
            acts=(self._taking(proposal, ask, ruled),),
            notices=(*(self._letter(party, proposal, automatic=item is None) for party in told), *reviewed),
            orders=orders,
            to="telling_and_paying",
            yields=item is None,
            body=self.body.model_copy(
                update={
                    "proposal": proposal.model_copy(update={"letters": {}}),
                    "decided_at": at,
                    "notices": {
                        **self.body.notices,
                        **dict.fromkeys((*(_letter_key(p, n) for p in told), *(x.key for x in reviewed)), "queued"),
                    },
                    "payments": (*self.body.payments, *payments),
                    "agreements": (*self.body.agreements, *agreements),
                    "decisions": proposal.n,
                    "awards": (),
                    **_withheld(withheld_by),
                    **self._automatic_after(ruled, reviewed=bool(reviewed)),
                }
            ),
        )

    def _taking(self, proposal: Proposal, ask: Assess, ruled: Ruled | None = None) -> Act:
        """What the decision does to the limits, in its own transaction."""
        if proposal.n:
            data = {"ask": ask.model_dump(mode="json"), "total": str(proposal.total), "amounts": proposal.amounts}
            if ruled is not None:
                data["ruled"] = ruled.model_dump(mode="json")
            return Act(name="claim.decide", data=data)
        if proposal.outcome == "reject":
            return Act(name="claim.release")
        return Act(
            name="claim.take_limit",
            data={
                "policy": self.body.policy,
                "total": str(proposal.total),
                "withheld": str(sum((c.withheld for c in proposal.claimants), start=proposal.total * 0)),
                "deductible": str(proposal.deductible),
                "premium": str(proposal.premium),
                "occurrence_taken": str(proposal.occurrence_taken),
                "aggregate_taken": str(proposal.aggregate_taken),
            },
        )

    def _payments(
        self, proposal: Proposal, at: datetime, purpose: str
    ) -> tuple[tuple[Payment, ...], tuple[OrderDraft, ...], tuple[Start, ...]]:
        """The payments of a decision, their orders, and the clocks of those that have none yet."""
        n = max(proposal.n, 1)
        awarded = {award.claimant: award for award in self.body.awards}
        payments = tuple(
            Payment(
                key=f"{p.claimant}:{purpose if n == 1 else f'{purpose}-{n}'}",
                claimant=p.claimant,
                amount=p.payable,
                status="queued" if p.account else "held",
                decision=n,
                duty=PAY_AWARD if p.claimant in awarded else None,
                of=awarded[p.claimant].subject if p.claimant in awarded else None,
            )
            for p in _payees(proposal)
        )
        clocks = tuple(Start(duty=PAY, subject=p.subject, anchor_at=at) for p in payments if p.duty is None)
        return payments, tuple(self.order(p) for p in payments), clocks

    def _unpaid_awards(self, payments: tuple[Payment, ...]) -> tuple[Void, ...]:
        """Of what a court awarded, what this decision pays nothing of: the policy does not cover it."""
        paid = {p.claimant for p in payments}
        return tuple(
            Void(duty=PAY_AWARD, subject=award.subject, reason="the decision pays nothing of the award")
            for award in self.body.awards
            if award.claimant not in paid
        )

    def _next_decision(self) -> int:
        """1 is the first; one that an older build made has no number, but was the first."""
        return max(self.body.decisions, 1 if self.body.decided_at is not None else 0) + 1

    def _in_suit(self) -> tuple[str, ...]:
        return self.body.suit.claimants if self.body.suit is not None else ()

    async def _supplement(self) -> None:
        """9.6, 9.12: what earlier claims released is decided at once, or the rest is told to lie with the insured."""
        for base, withheld in sorted(self.body.withheld_by.items()):
            if withheld:
                await self._supplement_of(int(base))

    async def _supplement_of(self, base: int) -> None:
        """What a decision withheld, and is free now."""
        assert self.body.policy is not None
        n = self.body.decisions + 1
        ask = Assess(case=self.id, policy=self.body.policy, n=n, recorded=base, in_suit=self._in_suit())
        assessed = await self.ask(ClaimActivities.assess, ask, "what the limits have released")
        if assessed.faults or not (assessed.total or assessed.changed):
            return
        at = workflow.now()
        outcome = "supplement" if assessed.total else "used_up"
        proposal = _proposal(assessed, n, "pay", "", ())
        told = (*(c.claimant for c in proposal.claimants if c.payable or not assessed.total), "insured")
        payments, orders, clocks = self._payments(proposal, at, "supplement")
        agreements = _left_to_agreements(proposal)
        await self.record(
            "supplementary_decision",
            duty=SUPPLEMENT,
            facts={
                "n": n,
                "total": str(assessed.total),
                "claimants": {c.claimant: str(c.payable) for c in proposal.claimants},
                "withheld": str(assessed.withheld),
            },
            changes=(
                # the ledger's clock can be a little ahead of the case's
                Start(duty=SUPPLEMENT, anchor_at=min(assessed.released_at or at, at)),
                Stop(duty=SUPPLEMENT, evidence=Evidence(kind="decision", happened_at=at, reference=f"decision {n}")),
                *(Start(duty=TELL, subject=subject_of(party, n), anchor_at=at) for party in told),
                *clocks,
                *(Start(duty=PAY, subject=a.subject, anchor_at=at) for a in agreements),
            ),
            acts=(self._taking(proposal, ask),),
            notices=tuple(self._letter(party, proposal, outcome) for party in told),
            orders=orders,
            to=self.back_to_paying(),
            body=self._supplemented(base, assessed, proposal, told, payments),
            heard=self.unheard,
            yields=True,
        )

    # ---- salvage ----------------------------------------------------------------------------------------------------

    async def _handed_over(self, item: Item, m: SalvageHandedOver) -> None:
        """9.3.1: the rest of the value is decided with the first decision and due from the day of the hand-over."""
        assert self.body.policy is not None
        base, n = self.body.salvage[m.cell], self.body.decisions + 1
        ask = Assess(
            case=self.id,
            policy=self.body.policy,
            n=n,
            recorded=base,
            salvage=(m.cell,),
            in_suit=self._in_suit(),
        )
        # the rest is decided before it is due: what was handed over before the decision counts from there
        due_from = max(m.handed_over_at, self.body.decided_at or m.handed_over_at)
        while True:
            assessed = await self.ask(ClaimActivities.assess, ask, "what the salvage makes due")
            if assessed.faults:
                self.refuse(item, *assessed.faults)
                return
            proposal = _proposal(assessed, n, "pay", "", ())
            told = (*(c.claimant for c in proposal.claimants if c.payable or c.claimant == m.claimant), "insured")
            payments, orders, clocks = self._payments(proposal, due_from, "salvage")
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
                    *(Start(duty=PAY, subject=a.subject, anchor_at=due_from) for a in _left_to_agreements(proposal)),
                ),
                acts=(self._taking(proposal, ask),),
                notices=tuple(self._letter(party, proposal, outcome) for party in told),
                orders=orders,
                to=self.back_to_paying(),
                body=self._supplemented(base, assessed, proposal, told, payments),
            )
            if not _limits_moved(item):
                return
            item.refusal = None

    def _supplemented(
        self, base: int, assessed: Assessment, proposal: Proposal, told: tuple[str, ...], payments: tuple[Payment, ...]
    ) -> ClaimBody:
        """The claim after a decision that goes on from another one."""
        return self.body.model_copy(
            update={
                "decisions": proposal.n,
                "notices": {**self.body.notices, **{_letter_key(p, proposal.n): "queued" for p in told}},
                "payments": (*self.body.payments, *payments),
                "agreements": (*self.body.agreements, *_left_to_agreements(proposal)),
                **_withheld({**self.body.withheld_by, str(base): assessed.withheld}),
            }
        )

    async def _kept(self, item: Item, m: SalvageKept) -> None:
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

    # ---- the rulebook decides, a person reviews ---------------------------------------------------------------------

    def _decides_itself(self) -> bool:
        """Whether nothing waits for a person any more in a claim that the rulebook may decide."""
        body = self.body
        return (
            body.automatic is not None
            and body.automatic.state == "possible"
            and body.policy is not None
            and body.findings == {}
            and not body.missing
            and body.decided_at is None
            and body.suit is None
            and not body.awards
        )

    async def _decide_automatically(self) -> None:
        """GJ lines 155-159: worked out from what was filed and proven; left to a person where the rulebook says so."""
        assert self.body.policy is not None
        assert self.body.automatic is not None
        ask = Assess(case=self.id, policy=self.body.policy, n=self._next_decision(), automatic=True)
        why: tuple[str, ...] = (LIMITS_MOVED,)
        for _ in range(ATTEMPTS):
            assessed = await self.ask(ClaimActivities.assess, ask, "work out what the rulebook decides")
            if assessed.faults:
                why = assessed.faults
                break
            step = self.case.step
            await self._decide(None, _proposal(assessed, ask.n, "pay", BY_RULEBOOK, ()), ask, assessed.ruled)
            if self.case.step != step or self.adopted or self.diverged:
                return
        left = self.body.automatic.model_copy(update={"state": "left", "why": why})
        await self.record(
            "left_to_person", facts={"why": list(why)}, body=self.body.model_copy(update={"automatic": left})
        )

    async def _leave(self, item: Item, m: DecideByPerson) -> None:
        """Somebody wants a person to decide."""
        assert self.body.automatic is not None
        left = self.body.automatic.model_copy(update={"state": "left", "why": (m.update_name(),)})
        await self.record(
            "left_to_person",
            said=item,
            facts={"reason": m.reason},
            body=self.body.model_copy(update={"automatic": left}),
        )

    def _automatic_after(self, ruled: Ruled | None, *, reviewed: bool) -> dict[str, Any]:
        """What a decision makes of the automatic one: this is it, or it is the one after its review."""
        if self.body.automatic is None or (ruled is None and not reviewed):
            return {}
        became = {"state": "reviewed"} if ruled is None else {"state": "decided", "rulebook": ruled.rulebook}
        return {"automatic": self.body.automatic.model_copy(update=became), "review": None}

    async def _ask_review(self, item: Item, m: RequestReview) -> None:
        """GJ-claims-review: a month from the receipt, for a person who took no part in the decision."""
        assert self.body.automatic is not None
        n = self.body.automatic.reviews + 1
        received_at = m.received_at.isoformat()
        said = {"reference": m.reference, "view": m.view, "received_at": received_at}
        await self.record(
            "review_requested",
            said=item,
            duty=REVIEW,
            facts={"received_at": received_at, "reference": m.reference},
            changes=(
                *self.no_more(REST, "a review was asked for"),
                Start(duty=REVIEW, subject=self._reviewed(n), anchor_at=m.received_at),
            ),
            # an automatic decision is the first one
            acts=(Act(name="claim.ask_review", data={"n": n, "decision": 1, **said}),),
            to=self.paying if self.case.stage == "resting" else None,
            body=self.body.model_copy(
                update={
                    "automatic": self.body.automatic.model_copy(update={"reviews": n}),
                    "review": Review(n=n, received_at=m.received_at),
                }
            ),
        )

    async def _review(self, item: Item, m: ReviewDecision) -> None:
        """Upheld: the claimant is told, and why. Else it is decided anew, and told with that decision."""
        review = self.body.review
        assert review is not None
        said = {"outcome": m.outcome, "reason": m.reason}
        act = Act(name="claim.review", data={"n": review.n, "by": m.actor, **said})
        if m.outcome == "anew":
            running = self.clocks.running(REVIEW_RESERVE)
            await self.record(
                "reviewed",
                said=item,
                duty=REVIEW,
                facts=said,
                changes=() if running else (Start(duty=REVIEW_RESERVE, anchor_at=item.at),),
                acts=(act, Act(name="claim.reserve_again")),
                to="deciding",
                body=self.body.model_copy(update={"review": review.model_copy(update={"by": m.actor})}),
            )
            return
        letter = self._review_letter(review, "upheld", m.reason)
        notices = {**self.body.notices, letter.key: "queued"}
        await self.record(
            "reviewed",
            said=item,
            duty=REVIEW,
            facts=said,
            acts=(act,),
            notices=(letter,),
            body=self.body.model_copy(update={"review": None, "notices": notices}),
        )

    def _reviewed(self, n: int) -> str:
        """The subject of the n-th review's clock and letter: an automatic decision has one claimant."""
        return subject_of(self.body.claimants[0], n)

    def _told_of_review(self) -> tuple[NoticeDraft, ...]:
        """What the claimant is told with the decision that a review led to."""
        review = self.body.review
        return (self._review_letter(review, "anew"),) if review is not None and review.by is not None else ()

    def _review_letter(self, review: Review, outcome: str, reason: str | None = None) -> NoticeDraft:
        subject = self._reviewed(review.n)
        return NoticeDraft(
            key=f"{REVIEW}:{subject}:1",
            template=REVIEW,
            party=self.body.claimants[0],
            duty=REVIEW,
            subject=subject,
            facts={"outcome": outcome, "reason": reason, "received_on": {"day_of": review.received_at.isoformat()}},
        )

    def _review_faults(self, message: RequestReview | ReviewDecision, now: datetime) -> tuple[str, ...]:
        automatic, review = self.body.automatic, self.body.review
        faults = []
        if isinstance(message, RequestReview):
            if automatic is None or automatic.state in ("possible", "left"):
                faults.append(
                    "review: no decision on this claim was made automatically; for new evidence or an error there is "
                    "reopen_claim"
                )
            elif automatic.state == "reviewed":
                faults.append("review: a person has decided anew already")
            elif review is not None:
                faults.append(f"review: one is under way, asked for on {review.received_at:%Y-%m-%d}")
            if message.received_at > now:
                faults.append("received_at: lies in the future")
            # a day of grace: who writes a request down seldom knows the minute
            elif self.body.decided_at is not None and message.received_at < self.body.decided_at - timedelta(days=1):
                faults.append("received_at: lies before the decision")
            return tuple(faults)
        if review is None:
            return ("review: none is under way; request_review comes first",)
        faults += self._took_part(message.actor)
        if review.by is not None:
            faults.append("review: it is to be decided anew; propose_decision comes next")
        elif message.outcome == "anew" and self.body.suit is not None:
            faults.append("review: a court hears the claim; its ruling or its end comes first (9.1.3)")
        elif message.outcome == "anew" and self.case.stage == "approving":
            faults.append("review: a proposal waits for approval; approve it or send it back first")
        return tuple(faults)

    def _took_part(self, actor: str) -> list[str]:
        """Nobody who did something for the automatic decision reviews it."""
        took = self.body.review is not None and actor in self.body.review.took_part
        return [f"actor: {actor} took part in the decision that is reviewed"] if took else []

    def _decided_anew_by(self, actor: str) -> list[str]:
        """Nor decides after the review."""
        review = self.body.review
        return self._took_part(actor) if review is not None and review.by is not None else []

    # ---- court ------------------------------------------------------------------------------------------------------

    async def _suit(self, item: Item, m: ReportSuit) -> None:
        """9.1.3: what is before the court waits for the ruling; what was decided keeps its clocks."""
        stage, body = self.case.stage, self.body
        claimants = m.claimants or body.claimants
        undecided = stage in ("collecting", "deciding", "approving")
        whole = set(claimants) == set(body.claimants)
        to = "deciding" if stage == "approving" else None
        if stage == "resting" or (undecided and whole):
            to = "in_court"
        reason = "the claim is before a court: its ruling is a missing document (9.1.3)"
        await self.record(
            "suit_reported",
            said=item,
            facts={"claimants": list(claimants), "filed_at": m.filed_at.isoformat(), "reference": m.reference},
            changes=(
                *self.no_more(REST, "a suit was filed"),
                *(self.no_more(DECIDE, reason) if undecided and whole else ()),
            ),
            acts=(Act(name="claim.reserve_again"),),
            to=to,
            body=body.model_copy(
                update={
                    "suit": Suit(claimants=claimants, undecided=undecided),
                    "proposal": None if stage == "approving" else body.proposal,
                }
            ),
        )

    async def _ruling(self, item: Item, m: ReportRuling) -> None:
        """10.5: ten working days from the entry into force, whenever it is heard of; the decision must fit inside."""
        n = self._next_decision()
        awards = tuple(Award(claimant=a.claimant, amount=a.amount, subject=subject_of(a.claimant, n)) for a in m.awards)
        await self.record(
            "ruling_in_force",
            said=item,
            duty=PAY_AWARD,
            facts={
                "awards": {a.claimant: str(a.amount) for a in awards},
                "in_force_at": m.in_force_at.isoformat(),
                "reference": m.reference,
            },
            changes=tuple(Start(duty=PAY_AWARD, subject=a.subject, anchor_at=m.in_force_at) for a in awards),
            to="deciding",
            body=self.body.model_copy(update={"suit": None, "awards": awards, "proposal": self._standing_proposal()}),
        )

    async def _suit_end(self, item: Item, m: ReportSuitEnd) -> None:
        """10.5: without an award the 30 days begin anew, for what was not decided before."""
        suit = self.body.suit
        assert suit is not None
        body = self.body.model_copy(update={"suit": None, "proposal": self._standing_proposal()})
        facts = {"ended_at": m.ended_at.isoformat(), "reference": m.reference}
        if suit.undecided and self.case.stage != "collecting":
            anew = () if self.clocks.running(DECIDE) else (Start(duty=DECIDE, anchor_at=m.ended_at),)
            await self.record("suit_ended", said=item, duty=DECIDE, facts=facts, changes=anew, to="deciding", body=body)
            return
        then = self.finished(body)
        await self.record("suit_ended", said=item, facts=facts, changes=then.pop("rest", ()), **then)

    def _standing_proposal(self) -> Proposal | None:
        """What waits for an approval was proposed without knowing what the court said."""
        return None if self.case.stage == "approving" else self.body.proposal

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
            acts=(Act(name="claim.reserve_again"),),
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

    def _letter(
        self, party: str, proposal: Proposal, outcome: str | None = None, *, automatic: bool = False
    ) -> NoticeDraft:
        n = max(proposal.n, 1)
        subject = subject_of(party, n)
        own = next((c for c in proposal.claimants if c.claimant == party), None)
        lines: Any = {"calculation_of": proposal.n}
        if not proposal.n:
            lines = proposal.letters.get(party, {"lv": [], "lt": [], "en": []})
            if party == "insured":
                lines = {
                    language: [line for letter in proposal.letters.values() for line in letter[language]]
                    for language in ("lv", "lt", "en")
                }
        reasons: list[Any] = [self._reason(reason, proposal) for reason in proposal.reasons]
        if proposal.heads and outcome is None:
            reasons.append({"heads_of": n})
            outcome = self._outcome_for(party, proposal)
        # who is paid nothing is not told what others get
        total = proposal.total if party == "insured" else proposal.total * 0
        facts: dict[str, Any] = {
            "outcome": outcome or proposal.outcome,
            "amount": str(own.payable if own else total),
            "lines": lines,
            "reasons": reasons,
            "pay_by": None,
        }
        agreed = [left for c in proposal.claimants if party in (c.claimant, "insured") for left in c.by_agreement]
        if left := sum(of_head.amount for of_head in agreed):
            facts["by_agreement"] = str(left)
        if party == "insured":
            facts["claimant"] = ", ".join(self.body.claimants)
        if any(p.claimant == party for p in _payees(proposal)):
            award = next((a for a in self.body.awards if a.claimant == party), None)
            facts["pay_by"] = {"last_day_of": [PAY_AWARD, award.subject] if award else [PAY, subject]}
        return NoticeDraft(
            key=_letter_key(party, n),
            template=f"{TELL}-{'insured' if party == 'insured' else 'automatic' if automatic else 'third-party'}",
            party=party,
            duty=TELL,
            subject=subject,
            facts=facts,
        )

    def _outcome_for(self, party: str, proposal: Proposal) -> str:
        """What a decision that differs by head is to one reader."""
        if party == "insured" or proposal.outcome == "reject":
            return proposal.outcome
        if all(c.claimant != party for c in proposal.claimants):
            return "reject"
        return "pay_reduced" if any(one.claimant == party for one in proposal.heads) else "pay"

    def _reason(self, reason: str, proposal: Proposal) -> Any:
        """A reason as it stands in a letter; of a rejection with the clause and its title in the reader's language."""
        if self.body.findings is None or proposal.outcome != "reject":
            return reason
        code, _, words = reason.partition(":")
        return {"ground": self._grounds().get(code.strip(), code.strip()), "reason": words.strip()}

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
            case Item(message=ReportSuit() as m) as item:
                await self._suit(item, m)
            case Item(message=ReportRuling() as m) as item:
                await self._ruling(item, m)
            case Item(message=ReportSuitEnd() as m) as item:
                await self._suit_end(item, m)
            case Item(message=SalvageHandedOver() as m) as item:
                await self._handed_over(item, m)
            case Item(message=SalvageKept() as m) as item:
                await self._kept(item, m)
            case Item(message=ReopenClaim() as m) as item:
                await self._reopen(item, m)
            case Item(message=RecoverPayment() as m) as item:
                await self._recover(item, m)
            case Item(message=AgreeInstalments() | PayWhole() | ConfirmRight()) as item:
                await self._agreement(item)
            case Item(message=DecideByPerson() | RequestReview() | ReviewDecision()) as item:
                await self._about_automatic(item)
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
                await self._leave(item, m)
            case RequestReview() as m:
                await self._ask_review(item, m)
            case ReviewDecision() as m:
                await self._review(item, m)

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
                return (*self._decided_anew_by(message.actor), *self._proposal_faults(message))
            case ApproveDecision() if took := self._decided_anew_by(message.actor):
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
            case WithdrawClaim():
                faults = ["withdrawn_at: lies in the future"] if message.withdrawn_at > now else []
                return (*faults, *(["a decision was made: it cannot be withdrawn any more"] if body.decided_at else []))
            case ReportSuit() | ReportRuling() | ReportSuitEnd():
                return self._court_faults(message, now)
            case RecoverPayment():
                return message.faults(body.payments, body.settled)
            case SalvageHandedOver() | SalvageKept():
                faults = []
                if message.cell not in body.salvage:
                    faults.append(f"head: no salvage of it is waited for; of: {', '.join(body.salvage) or 'nothing'}")
                if isinstance(message, SalvageHandedOver) and message.handed_over_at > now:
                    faults.append("handed_over_at: lies in the future")
                return tuple(faults)
            case AgreeInstalments() | PayWhole() | ConfirmRight():
                return self.agreement_faults(message)
            case DecideByPerson() if body.automatic is None or body.automatic.state != "possible":
                return ("automatic: the rulebook decides nothing of this claim by itself",)
            case RequestReview() | ReviewDecision():
                return self._review_faults(message, now)
            case ReopenClaim() if message.received_at > now:
                return ("received_at: lies in the future",)
        return ()

    def _court_faults(self, message: ReportSuit | ReportRuling | ReportSuitEnd, now: datetime) -> tuple[str, ...]:
        suit, faults = self.body.suit, []
        match message:
            case ReportSuit():
                if suit is not None:
                    faults.append("suit: one is under way already; its ruling or its end comes first")
                if self.body.awards:
                    faults.append("suit: what a court awarded is still to be decided")
                if strangers := sorted(set(message.claimants) - set(self.body.claimants)):
                    faults.append(f"claimants: nobody claims as {', '.join(strangers)}")
                elif self.case.stage == "collecting" and set(message.claimants or self.body.claimants) != set(
                    self.body.claimants
                ):
                    faults.append("claimants: while documents are missing the claim waits as a whole; name all")
                if message.filed_at > now:
                    faults.append("filed_at: lies in the future")
            case ReportRuling():
                if suit is None:
                    faults.append("suit: none is under way; report_suit comes first")
                faults += [
                    f"awards.{i}: {award.claimant} is not before the court"
                    for i, award in enumerate(message.awards)
                    if suit is not None and award.claimant not in suit.claimants
                ]
                if len({award.claimant for award in message.awards}) != len(message.awards):
                    faults.append("awards: one sum for each claimant")
                if any(not award.amount for award in message.awards):
                    faults.append("awards: leave out who is awarded nothing; report_suit_end if nobody is")
                if message.in_force_at > now:
                    faults.append("in_force_at: lies in the future")
            case ReportSuitEnd():
                if suit is None:
                    faults.append("suit: none is under way")
                if message.ended_at > now:
                    faults.append("ended_at: lies in the future")
        return tuple(faults)

    def _proposal_faults(self, m: ProposeDecision) -> tuple[str, ...]:
        faults = []
        if self.body.policy is None:
            faults.append("policy: not known yet; set_policy comes first")
        if m.outcome == "reject" and m.losses:
            faults.append("losses: a rejection names none")
        if m.outcome != "reject" and not m.losses:
            faults.append("losses: say what of each head is proven")
        if m.outcome != "pay" and not m.reasons and not m.heads:
            faults.append("reasons: a reduction or a rejection needs one, with its clause")
        if m.outcome == "pay" and m.heads:
            faults.append("heads: what is reduced or rejected in part is pay_reduced")
        before_court, awarded = self._in_suit(), {award.claimant for award in self.body.awards}
        faults += [
            f"losses.{i}: the claim of {loss.claimant} is before a court; its ruling comes first (9.1.3)"
            for i, loss in enumerate(m.losses)
            if loss.claimant in before_court
        ]
        strangers = sorted({one.claimant for one in m.heads} - set(self.body.claimants))
        faults += [f"heads: nobody claims as {stranger}" for stranger in strangers]
        if m.outcome == "reject" and any(one.outcome == "reduce" for one in m.heads):
            faults.append("heads: a rejection reduces nothing")
        if m.outcome != "reject" and (left := sorted(awarded - {loss.claimant for loss in m.losses})):
            faults.append(f"losses: a court awarded {', '.join(left)} a sum; say what of it is proven")
        for claimant in m.by_agreement:
            if claimant in awarded:
                faults.append(
                    f"by_agreement: a court awarded {claimant} a sum; it is due within 10 working days (10.5)"
                )
            if not any(loss.claimant == claimant and loss.head in BY_AGREEMENT for loss in m.losses):
                faults.append(f"by_agreement: no lost_capacity or death of {claimant} is proven (9.2.3, 9.2.4)")
        return (*faults, *self._cover_faults(m))

    def _cover_faults(self, m: ProposeDecision) -> list[str]:
        """Nothing is paid while a point of cover is open or not met; a rejection rests on what is not met, or part 9.

        A breached duty is no bar: the law lets the insurer reduce, by a share that the handler says (8.2).
        """
        findings = self.body.findings
        if findings is None or self.body.policy is None:
            return []
        breached = {code for code, stands in findings.items() if is_duty(code) and stands == "not_met"}
        shares = {reduction.clause for reduction in m.reductions}
        faults = [
            f"reductions: no breach of {clause} was found; judge_findings comes first"
            for clause in sorted(shares - breached)
        ]
        faults += [
            f"heads.{i}.code: {one.finding} was not found to be not met; judge_findings comes first"
            for i, one in enumerate(m.heads)
            if (one.code in POINTS or one.code[0].isdigit()) and findings.get(one.finding) != "not_met"
        ]
        if m.outcome != "reject":
            limited = _limited_to_heads(m)
            faults += [
                f"findings: {code} ({title_of(code)}) is {stands.replace('_', ' ')}; judge_findings comes first"
                for code, stands in findings.items()
                if code not in breached and not (stands == "not_met" and code in limited)
            ]
            faults += [
                f"reductions: {clause} was breached; say its share, 0 if it has none (8.2)"
                for clause in sorted(breached - shares)
            ]
            return faults
        grounds = self._grounds()
        for n, reason in enumerate(m.reasons):
            code, _, words = (part.strip() for part in reason.partition(":"))
            if not words or not (code in grounds or OF_PART_9.fullmatch(code)):
                known = ", ".join(dict.fromkeys(grounds.values())) or "none yet: judge_findings says so"
                faults.append(
                    f"reasons.{n}: begin with the code of a finding that is not met ({known}) or a clause of part 9, "
                    "a colon, and the reason in words for the claimant"
                )
        return faults

    def _grounds(self) -> dict[str, str]:
        """What a rejection may name: the findings that are not met, by code and by clause."""
        against = [code for code, stands in (self.body.findings or {}).items() if stands == "not_met"]
        points = {code: POINTS.get(code.partition(":")[0]) for code in against}
        return {**{p.clause: code for code, p in points.items() if p is not None}, **{code: code for code in against}}

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
            **{said: _parts_of(next(iter(self.body.salvage), "")) for said in SALVAGE},
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
        pointless |= self._pointless_of_automatic()
        return [m for m in super().possible() if m not in pointless]

    def _pointless_of_automatic(self) -> set[type[Message]]:
        automatic, review = self.body.automatic, self.body.review
        state = automatic.state if automatic is not None else "left"
        pointless: set[type[Message]] = set()
        if state != "possible" or self.body.decided_at is not None:
            pointless.add(DecideByPerson)
        if state != "decided" or review is not None:
            pointless.add(RequestReview)
        if review is None or review.by is not None:
            pointless.add(ReviewDecision)
        return pointless

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
                return self._approval(body.proposal) if body.proposal is not None else "a second person's approval"
            case "telling_and_paying" | "paying_instalments":
                waits = [f"the bank: {p.key}" for p in body.payments if p.status == "issued"]
                waits += [f"an account for {p.claimant}" for p in body.payments if p.status in ("held", "rejected")]
                waits += self.waits_of_screening(body.payments)
                if body.review is not None:
                    waits.append("a person who took no part in the decision, to review it")
                refused = [k for k, s in body.notices.items() if s == "refused"]
                waits += [f"an address: {k}" for k in refused if k.startswith(LETTERS)]
                waits += [f"the carrier: {k}" for k, s in body.notices.items() if s == "queued"]
                return ", ".join([*waits, *self.waits_of_agreements(body.agreements)])
            case "in_court":
                of = ", ".join(body.suit.claimants) if body.suit is not None else ""
                return f"the court: the ruling on the claim of {of} (9.1.3)"
            case "awaiting_limit":
                return f"claims filed earlier: they have reserved the limit for the other {body.withheld} EUR (9.6)"
            case "awaiting_salvage":
                return f"the owner, to hand over what is left of {', '.join(body.salvage)} (9.3.1)"
            case "resting":
                return "bounces and rejections, until it closes"
        return ""

    @staticmethod
    def _approval(proposal: Proposal) -> str:
        """Which approval is waited for, and who has the authority."""
        if proposal.approver == "":
            return f"nobody's approval: {proposal.approved} EUR is above every limit"
        who = f": {proposal.approver.replace('_', ' ')}" if proposal.approver is not None else ""
        return f"a second person's approval of {proposal.total} EUR{who}"

    def story(self) -> list[str]:
        """The claim in a few lines: heads, documents, decision, payments, faults."""
        body = self.body
        lines = self.story_of_hits()
        if (proposal := body.proposal) is not None:
            decided = f"proposed by {proposal.proposed_by}"
            if body.decided_at:
                decided = f"decided {body.decided_at:%Y-%m-%d %H:%M} UTC"
            taken_off = f"deductible {proposal.deductible}"
            if proposal.premium:
                taken_off += f", unpaid premium {proposal.premium}"
            what = f"{proposal.outcome.replace('_', ' ')}, {proposal.total} EUR ({taken_off})"
            lines += [f"- **Decision:** {what}, {decided}"]
            lines += [f"- **{h.outcome.capitalize()}:** {h.claimant} {h.head}, {h.code}" for h in proposal.heads]
        lines += self._automatic_story()
        lines += [f"- **Awarded to {a.claimant}:** {a.amount} EUR by a ruling in force" for a in body.awards]
        if body.suit is not None:
            lines += [f"- **Before a court:** the claim of {', '.join(body.suit.claimants)}"]
        if body.withheld:
            lines += [f"- **Withheld:** {body.withheld} EUR more, once claims filed earlier leave the limit free (9.6)"]
        lines += [f"- **Salvage of {s}:** the rest is due once it is handed over (9.3.1)" for s in body.salvage]
        lines += self._cover_story()
        lines += [f"- **Payment {p.key}:** {p.amount} EUR, {p.status}" for p in body.payments]
        lines += self.story_of_agreements()
        lines += [f"- **Letter {key}:** {status}" for key, status in body.notices.items() if key.startswith(LETTERS)]
        lines += [f"- **Claimed:** {head.removesuffix(' claimed')}" for head in body.heads]
        for status in ("missing", "received", "waived"):
            of = [f"{r.title} ({r.document}, {r.clause})" for r in body.requirements if r.status == status]
            lines += [f"- **Documents {status}:** {'; '.join(of)}"] if of else []
        lines += [f"- **Received:** {body.received_at:%Y-%m-%d %H:%M} UTC, policy {body.policy or 'not known'}"]
        lines += [f"- **Fault of the filing:** {fault}" for fault in body.faults]
        return lines

    def _automatic_story(self) -> list[str]:
        """What the rulebook decides or decided by itself, and its review."""
        automatic, review = self.body.automatic, self.body.review
        if automatic is None:
            return []
        said = {
            "possible": "by the rulebook, once all documents have come and every point of cover is met",
            "left": f"left to a person: {'; '.join(automatic.why)}",
            "decided": f"made by the rulebook {automatic.rulebook}; the claimant can ask for a person at any time",
            "reviewed": f"made by the rulebook {automatic.rulebook}; a person decided anew after a review",
        }[automatic.state]
        lines = [f"- **Automatic decision:** {said}"]
        if review is not None:
            by = f"to be decided anew by {review.by}" if review.by else "waits for a person"
            others = f", not {', '.join(review.took_part)}, who took part" if review.took_part else ""
            lines.append(f"- **Review asked for on {review.received_at:%Y-%m-%d}:** {by}{others}")
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

    # ---- helpers ----------------------------------------------------------------------------------------------------


def _payees(proposal: Proposal) -> list[ClaimantDecision]:
    """Who is paid what at once: each claimant (10.1.1), and the insured for what it paid or spent itself (10.1.2)."""
    third = [
        c.model_copy(update={"payable": c.payable - c.to_insured - sum(left.amount for left in c.by_agreement)})
        for c in proposal.claimants
    ]
    back = sum((c.to_insured for c in proposal.claimants), start=proposal.total * 0)
    # the account of the insured is asked for when money goes there
    insured = ClaimantDecision(claimant="insured", payable=back, withheld=proposal.total * 0, account=False)
    return [p for p in (*third, insured) if p.payable > 0]


def _left_to_agreements(proposal: Proposal) -> tuple[Agreement, ...]:
    """What the decision leaves to written agreements (9.2.3, 9.2.4): nothing of it is ordered before."""
    return tuple(
        Agreement(
            claimant=c.claimant,
            head=left.head,
            decision=max(proposal.n, 1),
            amount=left.amount,
            right_ends=left.right_ends,
        )
        for c in proposal.claimants
        for left in c.by_agreement
    )


def _limited_to_heads(m: ProposeDecision) -> set[str]:
    """What is not met for some heads only, by the decision's own word: those it rejects, for that reason.

    That a claimant is no third party holds for all that this claimant claims. The contract, its period, territory and
    the claim's time are those of the whole claim.
    """
    paid = {loss.claimant for loss in m.losses}
    return {
        one.finding
        for one in m.heads
        if one.outcome == "reject"
        and (one.code in OF_HEADS or one.code.startswith("4."))
        and not (one.code == "third_party" and one.claimant in paid)
    }


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


def _parts_of(cell: str) -> dict[str, str]:
    """What a message says of a claimant's head; nothing if there is none."""
    claimant, _, head = cell.partition(":")
    return {"claimant": claimant, "head": head} if cell else {}


def _letter_key(party: str, decision: int = 1) -> str:
    return f"{TELL}:{subject_of(party, decision)}:1"


def _limits_moved(item: Item) -> bool:
    return item.refusal is not None and str(item.refusal.message).startswith(LIMITS_MOVED)


def _withheld(by: dict[str, Decimal]) -> dict[str, Any]:
    """What is withheld, by decision and together."""
    return {"withheld_by": by, "withheld": sum(by.values(), start=Decimal(0))}


def _proposal(
    assessed: Assessment, n: int, outcome: Any, by: str, reasons: tuple[str, ...], heads: tuple[HeadOutcome, ...] = ()
) -> Proposal:
    """A decision as it was worked out. One that an older build worked out has no amounts, and no number."""
    return Proposal(
        n=n if assessed.amounts else 0,
        outcome=outcome,
        proposed_by=by,
        reasons=reasons,
        heads=tuple(HeadOutcome.model_validate(one.model_dump(include=set(HeadOutcome.model_fields))) for one in heads),
        claimants=assessed.claimants,
        total=assessed.total,
        withheld=assessed.withheld,
        salvage=assessed.salvage,
        deductible=assessed.deductible,
        premium=assessed.premium,
        needs_second=assessed.needs_second,
        approver=assessed.approver,
        amounts=assessed.amounts,
        occurrence_taken=assessed.occurrence_taken,
        aggregate_taken=assessed.aggregate_taken,
        letters=assessed.letters,
    )


def _next_key(key: str) -> str:
    head, _, n = key.rpartition(":")
    return f"{head}:{int(n) + 1}" if n.isdigit() else f"{key}:2"
