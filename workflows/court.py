"""Court: while one hears the claim its ruling is a missing document, and what it awards has a term (9.1.3, 10.5)."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from temporalio import workflow

from workflows.case import REST, Item
from workflows.decisions import DECIDE, PAY_AWARD, Deciding

with workflow.unsafe.imports_passed_through():
    from models.case import Act, Message, Start
    from models.claim import Award, ClaimBody, Proposal, ReportRuling, ReportSuit, ReportSuitEnd, Suit, subject_of

COURT: tuple[type[Message], ...] = (ReportSuit, ReportRuling, ReportSuitEnd)


class BeforeCourt(Deciding):
    """A claim whose body has `suit` and `awards`."""

    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {}
    """Each kind has its own."""
    body: ClaimBody

    async def suit_filed(self, item: Item, m: ReportSuit) -> None:
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

    async def ruling_given(self, item: Item, m: ReportRuling) -> None:
        """10.5: ten working days from the entry into force, whenever it is heard of; the decision must fit inside."""
        n = self.next_decision()
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
            acts=(Act(name="claim.find"),),
            to="deciding",
            body=self.body.model_copy(update={"suit": None, "awards": awards, "proposal": self._standing_proposal()}),
        )

    async def suit_over(self, item: Item, m: ReportSuitEnd) -> None:
        """10.5: without an award the 30 days begin anew, for what was not decided before."""
        suit = self.body.suit
        assert suit is not None
        body = self.body.model_copy(update={"suit": None, "proposal": self._standing_proposal()})
        facts = {"ended_at": m.ended_at.isoformat(), "reference": m.reference}
        if suit.undecided and self.case.stage != "collecting":
            anew = () if self.clocks.running(DECIDE) else (Start(duty=DECIDE, anchor_at=m.ended_at),)
            await self.record(
                "suit_ended",
                said=item,
                duty=DECIDE,
                facts=facts,
                changes=anew,
                acts=(Act(name="claim.find"),),
                to="deciding",
                body=body,
            )
            return
        then = self.finished(body)
        await self.record("suit_ended", said=item, facts=facts, changes=then.pop("rest", ()), **then)

    def _standing_proposal(self) -> Proposal | None:
        """What waits for an approval was proposed without knowing what the court said."""
        return None if self.case.stage == "approving" else self.body.proposal

    def court_faults(self, message: ReportSuit | ReportRuling | ReportSuitEnd, now: datetime) -> tuple[str, ...]:
        """Why the claim does not take a message about a court now."""
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
