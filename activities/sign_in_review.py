"""A review's side of the store: how it opens, what its month comes to, and the report to the controller."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.store import ActHandler, Opening
from models.names import split_case_id
from models.sign_in import CountMonth, MonthCounted, SignInReviewBody, SignInReviewFiling
from models.tables import CaseRow, IntakeRow, NoticeRow
from operations.intake import Sessions
from operations.sign_in_review import REVIEW, report

LETTER = "internal-sign-in-review"


class SignInReviewStore:
    """What a review adds to `case.open` and `case.record`."""

    kind = "sign_in_review"

    def __init__(self) -> None:
        self.acts: Mapping[str, ActHandler] = {"sign_in_review.report": self._report}

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """The month, and when the journal was reviewed before."""
        filing = SignInReviewFiling.model_validate(intake.content)
        body = SignInReviewBody(month=filing.month, since=filing.since)
        return Opening(stage="reviewing", body=body.model_dump(mode="json"))

    async def _report(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """The controller is told the numbers, and where the rest stands: a letter names nobody."""
        body = SignInReviewBody.model_validate((await session.get_one(CaseRow, case)).state["body"])
        assert body.counted is not None  # nobody signs off before
        session.add(
            NoticeRow(
                case=case,
                key=f"{REVIEW}:controller",
                template=LETTER,
                party="controller",
                internal=True,
                duty=REVIEW,
                facts={**body.counted.model_dump(), "month": body.month, "users": body.users},
                queued_at=at,
            )
        )


class SignInReviewActivities:
    """`sign_in_review.count`: a month of the journal in numbers."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @activity.defn(name="sign_in_review.count")
    async def count(self, ask: CountMonth) -> MonthCounted:
        """What the month comes to; who it was stays in the store."""
        _, organisation, month = split_case_id(ask.case)
        made = await report(self._sessions, organisation, month)
        return MonthCounted(
            counted=made.together,
            users=sum(line.username is not None for line in made.users),
            clients=len({line.client for line in made.users}),
        )
