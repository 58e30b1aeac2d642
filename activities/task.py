"""A task's side of the store: how it opens, the letter to its owner, and the turn that it was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.store import ActHandler, Amended, Opening
from models.countable import uncountable
from models.errors import Refusal
from models.names import split_case_id
from models.now import Now
from models.tables import CaseRow, ClockRow, IntakeRow, NoticeRow, TurnRow
from models.task import FIRST, INFORMATION, NOTIFICATION, TaskBody, TaskFiling
from operations.intake import Intake, Sessions
from operations.recurrences import open_due
from rules.period import Unit
from rules.recurrence import midnight
from rules.rulebook import book

LETTER = "internal-task"


class TaskStore:
    """What a task adds to `case.open` and `case.record`."""

    kind = "task"

    def __init__(self) -> None:
        self.acts: Mapping[str, ActHandler] = {
            "task.tell": self._tell,
            "task.check": self._check,
            "task.done": self._done,
            "task.dropped": self._dropped,
            "task.moved": self._moved,
        }

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """The duty as the rulebook has it; a turn of one that recurs is written down with it."""
        filing = TaskFiling.model_validate(intake.content)
        rulebook = book(intake.organisation)
        duty, terms = rulebook.find(filing.duty), rulebook.tasks[filing.duty]
        if filing.n is not None:
            session.add(
                TurnRow(
                    organisation=intake.organisation,
                    duty=duty.id,
                    about=filing.about or "",
                    n=filing.n,
                    case=intake.case,
                    since=filing.since,
                )
            )
        body = TaskBody(
            duty=duty.id,
            clause=duty.clause,
            about=filing.about,
            what=terms.about,
            owner=duty.owner,
            since=filing.since,
            clocked=duty.has_clock,
            subject=FIRST if filing.first else "",
            n=filing.n,
            movable=terms.recurs and duty.unit is not Unit.calendar_year,
            follows=terms.follows,
            returns=tuple(d for d in (duty.id, *terms.follows) if "bounce" in rulebook.find(d).reopens),
            points=terms.points,
            grounds=terms.grounds,
            waivers=terms.waivers,
            notification=INFORMATION if terms.stage == "informing" else NOTIFICATION,
        )
        return Opening(stage=terms.stage, body=body.model_dump(mode="json"))

    async def _tell(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """The owner is told what is to be done, and about what; once per duty, however often the step is repeated.

        Once more for each notification that came back, for it is to be done again.
        """
        key = f"{data['duty']}:{data.get('why', 'begun')}"
        if await session.get(NoticeRow, (case, key)) is not None:
            return
        organisation = split_case_id(case)[1]
        duty = book(organisation).find(data["duty"])
        body = await _body(session, case)
        session.add(
            NoticeRow(
                case=case,
                key=key,
                template=LETTER,
                party=duty.owner,
                internal=True,
                duty=duty.id,
                facts={
                    "case": case,
                    "duty": duty.id,
                    "clause": duty.clause,
                    "about": body.about or "",
                    "titles": duty.title.model_dump(),
                },
                queued_at=at,
            )
        )

    async def _check(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """The day that was said lies between the start and today.

        Raises:
            Refusal: It does not.
        """
        zone = ZoneInfo(book(split_case_id(case)[1]).zone)
        on, since = date.fromisoformat(data["on"]), datetime.fromisoformat(data["since"])
        if on > at.astimezone(zone).date():
            raise Refusal("the day that is said lies in the future")
        if on < since.astimezone(zone).date():
            raise Refusal("the day that is said lies before that on which it began")

    async def _done(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Amended:
        """It was done that day: what follows, and the next turn, are counted from it."""
        await self._check(session, case, data, at)
        on = date.fromisoformat(data["on"])
        if (turn := await _turn(session, case)) is not None:
            turn.ended_at, turn.outcome, turn.done_on = at, "done", on
        found_at = midnight(on, ZoneInfo(book(split_case_id(case)[1]).zone))
        return Amended(body={"found_at": found_at.isoformat()})

    async def _dropped(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """The turn is left out: the next one is counted from its last day."""
        body = await _body(session, case)
        turn = await _turn(session, case)
        clock = (
            await session.exec(
                select(ClockRow)
                .where(ClockRow.case == case, ClockRow.duty == body.duty)
                .order_by(col(ClockRow.n).desc())
                .limit(1)
            )
        ).one()
        if turn is not None:
            turn.ended_at, turn.outcome, turn.done_on = at, "dropped", clock.last_day

    async def _moved(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        if (fault := uncountable(datetime.fromisoformat(data["since"]))) is not None:
            raise Refusal(f"since: {fault}")
        if (turn := await _turn(session, case)) is not None:
            turn.since = datetime.fromisoformat(data["since"])


async def _body(session: AsyncSession, case: str) -> TaskBody:
    return TaskBody.model_validate((await session.get_one(CaseRow, case)).state["body"])


async def _turn(session: AsyncSession, case: str) -> TurnRow | None:
    return (await session.exec(select(TurnRow).where(TurnRow.case == case))).first()


class RecurrenceActivities:
    """`recurrences.open`: the turns of recurring duties that must be open by now."""

    def __init__(self, sessions: Sessions, intake: Intake, now: Now) -> None:
        self._sessions = sessions
        self._intake = intake
        self._now = now

    @activity.defn(name="recurrences.open")
    async def open(self) -> int:
        """Open them; the number opened. Again opens nothing twice."""
        return len(await open_due(self._sessions, self._intake, self._now))
