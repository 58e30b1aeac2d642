"""Automatic decisions: when the rulebook may decide, and the review by a person who took no part (GJ 155-159)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import REST, Item
from workflows.instalments import ByInstalments

with workflow.unsafe.imports_passed_through():
    from models.automatic import DecideByPerson, RequestReview, Review, ReviewDecision, Ruled
    from models.case import Act, Message, NoticeDraft, Start
    from models.claim import ClaimBody, subject_of

REVIEW = "GJ-claims-review"
REVIEW_RESERVE = "T-reserve-review"


class ReviewedByPerson(ByInstalments):
    """A claim whose body has `automatic` and `review`.

    The review is no stage: it goes on beside letters, payments, a court and later decisions.
    """

    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {}
    """Each kind has its own."""
    body: ClaimBody

    # ---- the rulebook decides, or a person --------------------------------------------------------------------------

    def decides_itself(self) -> bool:
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

    async def left_to_person(self, item: Item, m: DecideByPerson) -> None:
        """Somebody wants a person to decide."""
        assert self.body.automatic is not None
        left = self.body.automatic.model_copy(update={"state": "left", "why": (m.update_name(),)})
        await self.record(
            "left_to_person",
            said=item,
            facts={"reason": m.reason},
            body=self.body.model_copy(update={"automatic": left}),
        )

    def automatic_after(self, ruled: Ruled | None, *, reviewed: bool) -> dict[str, Any]:
        """What a decision makes of the automatic one: this is it, or it is the one after its review."""
        if self.body.automatic is None or (ruled is None and not reviewed):
            return {}
        became = {"state": "reviewed"} if ruled is None else {"state": "decided", "rulebook": ruled.rulebook}
        return {"automatic": self.body.automatic.model_copy(update=became), "review": None}

    # ---- the review -------------------------------------------------------------------------------------------------

    async def review_requested(self, item: Item, m: RequestReview) -> None:
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
                Start(duty=REVIEW, subject=self._subject_of(n), anchor_at=m.received_at),
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

    async def review_decided(self, item: Item, m: ReviewDecision) -> None:
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
                acts=(act, Act(name="claim.reserve_again"), Act(name="claim.find")),
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

    def _subject_of(self, n: int) -> str:
        """The subject of the n-th review's clock and letter: an automatic decision has one claimant."""
        return subject_of(self.body.claimants[0], n)

    def told_of_review(self) -> tuple[NoticeDraft, ...]:
        """What the claimant is told with the decision that a review led to."""
        review = self.body.review
        return (self._review_letter(review, "anew"),) if review is not None and review.by is not None else ()

    def _review_letter(self, review: Review, outcome: str, reason: str | None = None) -> NoticeDraft:
        subject = self._subject_of(review.n)
        return NoticeDraft(
            key=f"{REVIEW}:{subject}:1",
            template=REVIEW,
            party=self.body.claimants[0],
            duty=REVIEW,
            subject=subject,
            facts={"outcome": outcome, "reason": reason, "received_on": {"day_of": review.received_at.isoformat()}},
        )

    def review_faults(self, message: RequestReview | ReviewDecision, now: datetime) -> tuple[str, ...]:
        """Why the claim does not take a message about a review now."""
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

    def decided_anew_by(self, actor: str) -> list[str]:
        """Nor decides after the review."""
        review = self.body.review
        return self._took_part(actor) if review is not None and review.by is not None else []

    # ---- what people see --------------------------------------------------------------------------------------------

    def pointless_of_automatic(self) -> set[type[Message]]:
        """Messages about the rulebook's decision that have no point now."""
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

    def story_of_automatic(self) -> list[str]:
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
