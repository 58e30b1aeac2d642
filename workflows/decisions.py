"""Decisions: worked out by the limits, taken by a person, two, or the rulebook, and told; supplements (10.5, 9.6)."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from temporalio import workflow

from workflows.automatic import REVIEW_RESERVE, ReviewedByPerson
from workflows.case import Item
from workflows.instalments import PAY

with workflow.unsafe.imports_passed_through():
    from activities.claim import ClaimActivities
    from models.automatic import BY_RULEBOOK, Ruled
    from models.case import Act, Bells, Change, Evidence, Message, NoticeDraft, OrderDraft, Start, Stop, Void
    from models.claim import (
        LIMITS_MOVED,
        RELEASED,
        Assess,
        Assessment,
        ClaimantDecision,
        ClaimBody,
        HeadOutcome,
        Payment,
        Proposal,
        ProposeDecision,
        subject_of,
    )
    from models.coverage import OF_CLAIMANT, POINTS, is_duty, title_of
    from models.instalments import BY_AGREEMENT, Agreement

DECIDE = "BTA-10.5a"
TELL = "BTA-10.5b"
PAY_AWARD = "BTA-10.5d"
SUPPLEMENT = "T-supplementary"
ATTEMPTS = 3
"""How often an automatic decision is worked out anew because the limits gave to another claim meanwhile."""
OF_PART_9 = re.compile(r"9\.(?!11\b)\d{1,2}(\.\d{1,2})?")
"""Clauses that a rejection can rest on beside a finding: what the indemnity is and how it is proven."""
OF_HEADS = ("activity", "third_party", "own_right", "liable", "direct_loss", "no_repetition")
"""Points of cover that can be met for one head and not for another, as exclusions can."""


class Deciding(ReviewedByPerson):
    """A claim that is decided: once, and again for what the limits release, new evidence or a ruling."""

    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {}
    """Each kind has its own."""
    body: ClaimBody

    # ---- deciding ---------------------------------------------------------------------------------------------------

    async def decision_proposed(self, item: Item, m: ProposeDecision) -> None:
        """Work the decision out; above the limit it waits for a second person, else it stands."""
        assert self.body.policy is not None
        ask = Assess(
            case=self.id,
            policy=self.body.policy,
            n=self.next_decision(),
            by=m.actor,
            losses=m.losses,
            liability_share=m.liability_share,
            reductions=m.reductions,
            reject=m.outcome == "reject",
            heads=m.heads,
            other_insurers=m.other_insurers,
            recommended=m.recommended,
            withhold_premium=m.withhold_premium,
            in_suit=self.before_court(),
            awards=self.body.awards,
            by_agreement=m.by_agreement,
        )
        while True:
            assessed = await self.ask(ClaimActivities.assess, ask, "work out the settlement")
            if assessed.faults:
                self.refuse(item, *assessed.faults)
                return
            proposal = proposal_of(assessed, ask.n, m.outcome, m.actor, m.reasons, m.heads)
            if proposal.needs_second:
                break
            await self._decide(item, proposal, ask)
            if not limits_moved(item):
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

    async def decision_approved(self, item: Item) -> None:
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
            in_suit=self.before_court(),
        )
        await self._decide(item, proposal, ask)
        if not limits_moved(item):
            return
        item.refusal = None
        assessed = await self.ask(ClaimActivities.assess, ask, "work out the settlement again")
        if assessed.faults:
            self.refuse(item, *assessed.faults)
            return
        anew = proposal_of(assessed, ask.n, proposal.outcome, proposal.proposed_by, proposal.reasons, proposal.heads)
        await self.record(
            "worked_out_anew",
            facts={"was": str(proposal.total), "total": str(anew.total)},
            acts=self._routing(anew) if anew.approver != proposal.approver else (),
            body=self.body.model_copy(update={"proposal": anew}),
        )
        self.refuse(item, f"{LIMITS_MOVED}: it would pay {anew.total} EUR now; look again and approve that (9.6)")

    async def decide_automatically(self) -> None:
        """GJ lines 155-159: worked out from what was filed and proven; left to a person where the rulebook says so."""
        assert self.body.policy is not None
        assert self.body.automatic is not None
        ask = Assess(case=self.id, policy=self.body.policy, n=self.next_decision(), automatic=True)
        why: tuple[str, ...] = (LIMITS_MOVED,)
        for _ in range(ATTEMPTS):
            assessed = await self.ask(ClaimActivities.assess, ask, "work out what the rulebook decides")
            if assessed.faults:
                why = assessed.faults
                break
            step = self.case.step
            await self._decide(None, proposal_of(assessed, ask.n, "pay", BY_RULEBOOK, ()), ask, assessed.ruled)
            if self.case.step != step or self.adopted or self.diverged:
                return
        left = self.body.automatic.model_copy(update={"state": "left", "why": why})
        await self.record(
            "left_to_person", facts={"why": list(why)}, body=self.body.model_copy(update={"automatic": left})
        )

    async def _decide(self, item: Item | None, proposal: Proposal, ask: Assess, ruled: Ruled | None = None) -> None:
        """10.5: decided. The 30 days stop; 10 working days to tell and 15 to pay start, one clock for each person.

        Without a message it is the rulebook that decides, by this text of it.
        """
        at, n = workflow.now() if item is None else item.at, max(proposal.n, 1)
        reviewed = self.told_of_review()
        # a later decision concerns those whom it is about; the first one all who are not before a court
        concerned = [c.claimant for c in proposal.claimants] if n > 1 else self.body.claimants
        told = (*(c for c in concerned if c not in ask.in_suit), "insured")
        payments, orders, clocks = self.payments_of(proposal, at, "indemnity")
        agreements = left_to_agreements(proposal)
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
            acts=(self.taking(proposal, ask, ruled),),
            notices=(*(self.letter_of(party, proposal, automatic=item is None) for party in told), *reviewed),
            orders=orders,
            to="telling_and_paying",
            yields=item is None,
            body=self.body.model_copy(
                update={
                    "proposal": proposal.model_copy(update={"letters": {}}),
                    "decided_at": at,
                    "notices": {
                        **self.body.notices,
                        **dict.fromkeys((*(letter_key(p, n) for p in told), *(x.key for x in reviewed)), "queued"),
                    },
                    "payments": (*self.body.payments, *payments),
                    "agreements": (*self.body.agreements, *agreements),
                    "decisions": proposal.n,
                    "awards": (),
                    **withheld_now(withheld_by),
                    **self.automatic_after(ruled, reviewed=bool(reviewed)),
                }
            ),
        )

    def taking(self, proposal: Proposal, ask: Assess, ruled: Ruled | None = None) -> Act:
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

    def payments_of(
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

    def next_decision(self) -> int:
        """1 is the first; one that an older build made has no number, but was the first."""
        return max(self.body.decisions, 1 if self.body.decided_at is not None else 0) + 1

    def before_court(self) -> tuple[str, ...]:
        """The claimants whose claim a court hears (9.1.3)."""
        return self.body.suit.claimants if self.body.suit is not None else ()

    # ---- supplements ------------------------------------------------------------------------------------------------

    def keep_release(self, bells: Bells) -> None:
        """A bell of the limits that comes while the claim is decided is not lost: the step that hears it says so."""
        if self.body.withheld and RELEASED in bells.reasons:
            self.body = self.body.model_copy(update={"released": True})

    async def decide_what_was_released(self) -> bool:
        """Decide what was released while something else of the claim was; False if nothing was."""
        if not self.body.released:
            return False
        self.body = self.body.model_copy(update={"released": False})
        await self.supplement()
        return True

    async def supplement(self) -> None:
        """9.6, 9.12: what earlier claims released is decided at once, or the rest is told to lie with the insured."""
        for base, withheld in sorted(self.body.withheld_by.items()):
            if withheld:
                await self._supplement_of(int(base))

    async def _supplement_of(self, base: int) -> None:
        """What a decision withheld, and is free now."""
        assert self.body.policy is not None
        n = self.body.decisions + 1
        ask = Assess(case=self.id, policy=self.body.policy, n=n, recorded=base, in_suit=self.before_court())
        assessed = await self.ask(ClaimActivities.assess, ask, "what the limits have released")
        if assessed.faults or not (assessed.total or assessed.changed):
            return
        at = workflow.now()
        # what earlier claims held back of the deductible, this one bears
        nothing = "used_up" if assessed.used_up else "bears_deductible"
        outcome = "supplement" if assessed.total else nothing
        proposal = proposal_of(assessed, n, "pay", "", ())
        told = (*(c.claimant for c in proposal.claimants if c.payable or not assessed.total), "insured")
        payments, orders, clocks = self.payments_of(proposal, at, "supplement")
        agreements = left_to_agreements(proposal)
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
            acts=(self.taking(proposal, ask),),
            notices=tuple(self.letter_of(party, proposal, outcome) for party in told),
            orders=orders,
            to=self.back_to_paying(),
            body=self.supplemented(base, assessed, proposal, told, payments),
            heard=self.unheard,
            yields=True,
        )

    def supplemented(
        self, base: int, assessed: Assessment, proposal: Proposal, told: tuple[str, ...], payments: tuple[Payment, ...]
    ) -> ClaimBody:
        """The claim after a decision that goes on from another one."""
        return self.body.model_copy(
            update={
                "decisions": proposal.n,
                "notices": {**self.body.notices, **{letter_key(p, proposal.n): "queued" for p in told}},
                "payments": (*self.body.payments, *payments),
                "agreements": (*self.body.agreements, *left_to_agreements(proposal)),
                **withheld_now({**self.body.withheld_by, str(base): assessed.withheld}),
            }
        )

    # ---- letters ----------------------------------------------------------------------------------------------------

    def letter_of(
        self, party: str, proposal: Proposal, outcome: str | None = None, *, automatic: bool = False
    ) -> NoticeDraft:
        """What a decision tells one party."""
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
            key=letter_key(party, n),
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
        code, words = self._said_for(reason)
        return {"ground": self._grounds().get(code, code), "reason": words}

    def _said_for(self, reason: str) -> tuple[str, str]:
        """The code that a reason begins with, also one of a claimant (`third_party:C1`), and the words."""
        grounds = self._grounds()
        own = next((code for code in grounds if ":" in code and reason.strip().startswith(f"{code}:")), None)
        code, _, words = reason.strip().removeprefix(own or "").partition(":")
        return own or code.strip(), words.strip()

    # ---- what people see --------------------------------------------------------------------------------------------

    def proposal_faults(self, m: ProposeDecision) -> tuple[str, ...]:
        """Why the claim does not take a proposal now: every fault that it can know without the limits."""
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
        before_court, awarded = self.before_court(), {award.claimant for award in self.body.awards}
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
            code, words = self._said_for(reason)
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

    @staticmethod
    def waits_of_approval(proposal: Proposal) -> str:
        """Which approval is waited for, and who has the authority."""
        if proposal.approver == "":
            return f"nobody's approval: {proposal.approved} EUR is above every limit"
        who = f": {proposal.approver.replace('_', ' ')}" if proposal.approver is not None else ""
        return f"a second person's approval of {proposal.total} EUR{who}"


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


def left_to_agreements(proposal: Proposal) -> tuple[Agreement, ...]:
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

    That a claimant is no third party, or has the right from a party to the contract, holds for all that this claimant
    claims. The contract, its period, territory and
    the claim's time are those of the whole claim.
    """
    paid = {loss.claimant for loss in m.losses}
    return {
        one.finding
        for one in m.heads
        if one.outcome == "reject"
        and (one.code in OF_HEADS or one.code.startswith("4."))
        and not (one.code in OF_CLAIMANT and one.claimant in paid)
    }


def letter_key(party: str, decision: int = 1) -> str:
    """The key of the first letter that tells a party of a decision."""
    return f"{TELL}:{subject_of(party, decision)}:1"


def limits_moved(item: Item) -> bool:
    """Whether a step was refused because the limits gave to another claim since it was worked out (9.6)."""
    return item.refusal is not None and str(item.refusal.message).startswith(LIMITS_MOVED)


def withheld_now(by: dict[str, Decimal]) -> dict[str, Any]:
    """What is withheld, by decision and together."""
    return {"withheld_by": by, "withheld": sum(by.values(), start=Decimal(0))}


def proposal_of(
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
