"""Gates of a rulebook that are decided in a task: whether what is planned may start, and why not (register, part D)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from pydantic import Field, ValidationError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.common import Model
from models.errors import Refusal
from models.tables import CaseRow, IntakeRow, TimelineRow
from models.task import Code, DutyId, TaskBody
from operations.filings import faults_of
from operations.intake import Sessions
from operations.queues import day_at
from rules.rulebook import Duty, Kind, Rulebook, books

KIND = "task"

State = Literal["may start", "may not start", "dropped", "open", "never asked"]
OUTCOMES: Mapping[str, State] = {
    "may_start": "may start",
    "may_not_start": "may not start",
    "processing_dropped": "dropped",
}
"""How a task of a gate ended → what it says."""


class Asked(Model):
    """A question: may this start, by this gate."""

    organisation: str
    duty: DutyId
    about: Code = Field(description="the code of the processing, processor, transfer or employee")


class Gate(Model):
    """How a gate stands for one thing: its last task decides, and while that is open nothing starts."""

    organisation: str
    duty: str
    clause: str
    title: str
    about: str
    may_start: bool
    state: State
    decided_on: date | None = None
    ground: str | None = None
    case: str | None = None
    n: int = 0
    """How many tasks there were about it."""


def gates_of(rulebook: Rulebook) -> list[Duty]:
    """The gates that this organisation keeps as tasks."""
    tasks = rulebook.tasks
    return [duty for duty in rulebook.duty if duty.id in tasks and duty.kind is Kind.gate]


async def may_start(sessions: Sessions, data: Any) -> Gate:
    """Whether something may start by a gate.

    Raises:
        Refusal: The question has faults; all are named.
    """
    try:
        asked = Asked.model_validate(data)
    except ValidationError as e:
        raise Refusal(*faults_of(e)) from None
    rulebook, duty = _gate(asked)
    async with sessions() as session:
        found = await _gates(session, rulebook, duty)
    none = _line(rulebook, duty, asked.about, state="never asked")
    return next((one for one in found if one.about == asked.about), none)


async def gates(sessions: Sessions, organisation: str | None = None) -> list[Gate]:
    """How every gate stands for everything that was asked of it, in the order of the rulebooks."""
    found = []
    async with sessions() as session:
        for rulebook in books().values():
            if organisation in (None, rulebook.organisation):
                for duty in gates_of(rulebook):
                    found += await _gates(session, rulebook, duty)
    return found


def _gate(asked: Asked) -> tuple[Rulebook, Duty]:
    """The gate that is meant; a clause that is one duty with another means that one.

    Raises:
        Refusal: There is no such gate.
    """
    rulebook = books().get(asked.organisation) if asked.organisation != "T" else None
    if rulebook is None:
        raise Refusal("organisation: it has no rulebook")
    of = {duty.id: duty for duty in gates_of(rulebook)}
    for duty in rulebook.duty:
        if duty.id == asked.duty and (duty.same_as or duty.id) in of:
            return rulebook, of[duty.same_as or duty.id]
    which = ", ".join(of) or "none"
    raise Refusal(f"duty: it is no gate that is decided in a task at {asked.organisation}; those that are: {which}")


async def _gates(session: AsyncSession, rulebook: Rulebook, duty: Duty) -> list[Gate]:
    """One gate, for everything that it was asked about; the task that was received last says how it stands."""
    query = (
        select(CaseRow)
        .join(IntakeRow, col(IntakeRow.case) == col(CaseRow.case))
        .where(
            CaseRow.kind == KIND,
            CaseRow.organisation == rulebook.organisation,
            col(IntakeRow.erased_at).is_(None),
            col(CaseRow.case).in_(
                select(TimelineRow.case).where(TimelineRow.duty == duty.id, TimelineRow.entry == "begun")
            ),
        )
        .order_by(col(IntakeRow.received_at), col(IntakeRow.case))
    )
    last: dict[str, Gate] = {}
    for row in (await session.exec(query)).all():
        body = TaskBody.model_validate({k: v for k, v in row.state["body"].items() if k in TaskBody.model_fields})
        about = body.about or ""
        n = last[about].n + 1 if about in last else 1
        state: State = OUTCOMES.get(row.outcome or "", "open") if row.closed_at is not None else "open"
        last[about] = _line(
            rulebook,
            duty,
            about,
            state=state,
            decided_on=body.decided_on or (day_at(row.closed_at, row.organisation) if row.closed_at else None),
            ground=body.ground,
            case=row.case,
            n=n,
        )
    return sorted(last.values(), key=lambda one: one.about)


def _line(rulebook: Rulebook, duty: Duty, about: str, *, state: State, **more: Any) -> Gate:
    return Gate(
        organisation=rulebook.organisation,
        duty=duty.id,
        clause=duty.clause,
        title=duty.title.en,
        about=about,
        may_start=state == "may start",
        state=state,
        **more,
    )
