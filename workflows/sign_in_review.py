"""SignInReview: a month of the journal of sign-ins is looked through by a person, who reports to the controller."""

from __future__ import annotations

from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, Case, Item, accepts, utc

with workflow.unsafe.imports_passed_through():
    from activities.sign_in_review import SignInReviewActivities
    from models.case import Act, Evidence, Message, Outcome, Start, Stop
    from models.sign_in import CountMonth, SignInReviewBody, SignOffReview

REVIEW = "SE-33.4.2"


@workflow.defn(name="SignInReview")
class SignInReview(Case):
    """One month of one organisation: counted once, looked through, signed off."""

    kind = "sign_in_review"
    body_model = SignInReviewBody
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "reviewing": (SignOffReview,),
    }

    sign_off_review = accepts(SignOffReview)

    body: SignInReviewBody

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Outcome:
        """Live the review; the input is a `StartCase`."""
        return await self.live(message, *more)

    # ---- stages -----------------------------------------------------------------------------------------------------

    async def reviewing(self) -> None:
        """Counted once, then looked through by a person; what was found goes to the controller."""
        if self.body.counted is None:
            await self._count()
            return
        match await self.next():
            case Item(message=SignOffReview() as m) as item:
                await self._sign_off(item, m)

    async def _count(self) -> None:
        """The journal of the month, in numbers; the clock runs from the last review on."""
        ask = CountMonth(case=self.id)
        seen = await self.ask(SignInReviewActivities.count, ask, "count the month's journal", at_once=False)
        await self.record(
            "counted",
            duty=REVIEW,
            facts={**seen.counted.model_dump(), "users": seen.users, "clients": seen.clients},
            changes=(Start(duty=REVIEW, anchor_at=self.body.since),),
            body=self.body.model_copy(update=dict(seen)),
        )

    async def _sign_off(self, item: Item, m: SignOffReview) -> None:
        """The review is done, and the controller is told (33.4.2)."""
        reviewed = Evidence(kind="journal_reviewed", happened_at=workflow.now())
        await self.record(
            "signed_off",
            said=item,
            duty=REVIEW,
            facts={"by": m.actor, "findings": m.findings, "follows": m.follows},
            changes=(Stop(duty=REVIEW, evidence=reviewed),),
            acts=(Act(name="sign_in_review.report"),),
            to=CLOSED,
            outcome="reviewed",
        )

    # ---- what people see --------------------------------------------------------------------------------------------

    def waiting(self, stage: str, body: SignInReviewBody) -> str:
        """What is waited for, and from whom."""
        return "the security officer, who looks the journal through" if body.counted is not None else ""

    def story(self) -> list[str]:
        """The month in numbers."""
        body = self.body
        lines = [f"- **Month:** {body.month}", f"- **Last review:** {utc(body.since)}"]
        if (counted := body.counted) is None:
            return lines
        return [
            *lines,
            f"- **To read it:** python starter.py sign-in month {self.case.organisation} {body.month} --personal",
            f"- **Who asked:** {body.users} users of {body.clients} clients",
            f"- **Sign-ins:** {counted.allowed} allowed, {counted.refused} refused",
            f"- **Failed:** {counted.failed}, accounts locked {counted.locks} times",
            f"- **New addresses:** {counted.new_addresses}",
            f"- **At odd hours:** {counted.odd_hours}",
            f"- **Opened:** {counted.opened} files, {counted.health} with health data",
        ]
