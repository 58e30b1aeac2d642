"""What a team has to do: work lists by clause and by handler, the load of each handler, and what is late and why.

Read from the store alone, and only from columns that are not sealed: the engine and the keys may be down. Only clocks
count that can be late (README, glossary). Days are those of the organisation's zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Date, DateTime, Text, any_, case, literal
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlmodel import and_, col, func, not_, or_, select

from models.case import OPEN
from models.common import Model
from models.tables import CaseRow, ClockRow, IntakeRow, TimelineRow
from operations.intake import Sessions
from operations.reading import NOT_STARTED, is_overdue, shown
from rules.rulebook import books, duty_for

SOON = 7
"""Days ahead that count as due soon."""
LOOKED_BACK = 30
"""Days back in which closed cases count, and late clocks unless another day is said."""
TICKS = ("due", "reminded")
"""Entries of the clock itself: they say that time passed, not that somebody did something."""


# ---- work lists -----------------------------------------------------------------------------------------------------


class Task(Model):
    """An open clock of a case and where the case stands; a case without one has a line of its own."""

    case: str
    stage: str
    handler: str | None
    waits_for: str
    received_at: datetime
    duty: str | None
    """None: no clock that can be late is running."""
    subject: str
    clause: str
    title: str
    status: str
    due: datetime | None
    shown: str
    """Its last day (or hour) in the organisation's zone."""
    days: int | None
    """Days to the last day; negative where it is past."""
    overdue: bool


class Group(Model):
    """The work of one handler, or of one clause; the most urgent first."""

    name: str | None
    """Handler or duty; None: nobody has it, or no clock runs."""
    title: str
    total: int
    overdue: int
    tasks: tuple[Task, ...]
    """The first of them."""


class Wanted(Model):
    """Which work is asked for; what is None does not narrow it."""

    by: Literal["handler", "duty"] = "handler"
    organisation: str | None = None
    handler: str | None = None
    unassigned: bool = False
    duty: str | None = None
    within: int | None = None
    """Only clocks whose last day is over, or comes in so many days; 0: today."""
    limit: int | None = 20
    """Tasks of each group."""


async def queue(sessions: Sessions, now: datetime, wanted: Wanted) -> tuple[Group, ...]:
    """The open work in groups, the group with the most urgent task first; one statement."""
    clock = and_(col(ClockRow.case) == col(IntakeRow.case), col(ClockRow.status).in_(OPEN), col(ClockRow.can_be_late))
    query: Any = (
        select(  # type: ignore[call-overload]  # more columns than it has overloads for
            IntakeRow.case,
            func.coalesce(CaseRow.stage, NOT_STARTED).label("stage"),
            CaseRow.handler,
            func.coalesce(CaseRow.waits_for, "").label("waits_for"),
            IntakeRow.received_at,
            IntakeRow.organisation,
            ClockRow.duty,
            func.coalesce(ClockRow.subject, "").label("subject"),
            func.coalesce(ClockRow.status, "").label("status"),
            ClockRow.can_be_late,
            ClockRow.due,
            ClockRow.last_day,
        )
        .select_from(IntakeRow)
        .outerjoin(CaseRow, col(CaseRow.case) == IntakeRow.case)
        .outerjoin(ClockRow, clock)
        .where(_open())
        # a held clock moves when it is released: nobody can be late with it now
        .order_by(
            func.coalesce(ClockRow.status, "") == "held",
            col(ClockRow.due).asc().nulls_last(),
            col(IntakeRow.received_at),
            IntakeRow.case,
            ClockRow.duty,
            ClockRow.subject,
        )
    )
    for column, value in (
        (IntakeRow.organisation, wanted.organisation),
        (CaseRow.handler, wanted.handler),
        (ClockRow.duty, wanted.duty),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.unassigned:
        query = query.where(col(CaseRow.handler).is_(None))
    if wanted.within is not None:
        query = query.where(ClockRow.status != "held", ClockRow.last_day <= _days_from_today(now, wanted.within))
    async with sessions() as session:
        rows = (await session.exec(query)).all()
    groups: dict[str | None, list[Any]] = {}
    for row in rows:
        groups.setdefault(row.handler if wanted.by == "handler" else row.duty, []).append(row)
    return tuple(
        Group(
            name=name,
            title=duty_for(found[0].organisation, name).title.en if wanted.by == "duty" and name is not None else "",
            total=len(found),
            overdue=sum(row.duty is not None and is_overdue(row, now) for row in found),
            tasks=tuple(_task(row, now) for row in found[: wanted.limit]),
        )
        for name, found in groups.items()
    )


def _task(row: Any, now: datetime) -> Task:
    fields = {name: getattr(row, name) for name in Task.model_fields if hasattr(row, name)}
    if row.duty is None:
        return Task(**fields, clause="", title="", shown="", days=None, overdue=False)
    duty = duty_for(row.organisation, row.duty)
    return Task(
        **fields,
        clause=duty.clause,
        title=duty.title.en,
        shown=shown(row),
        days=(row.last_day - day_at(now, row.organisation)).days,
        overdue=is_overdue(row, now),
    )


# ---- load -----------------------------------------------------------------------------------------------------------


class Load(Model):
    """The cases of one handler."""

    handler: str | None
    """None: nobody's."""
    open: int = 0
    overdue: int = 0
    """Open cases with a clock whose due instant has come."""
    soon: int = 0
    """Open cases with a clock whose last day comes within `SOON` days; one can be overdue with another clock."""
    closed: int
    """In the last `LOOKED_BACK` days."""
    oldest: str | None = None
    """The open case that was received first."""
    oldest_received_at: datetime | None = None


async def workload(sessions: Sessions, now: datetime, organisation: str | None = None) -> tuple[Load, ...]:
    """The load of each handler, nobody's first, then the most overdue; two statements."""
    running = and_(col(ClockRow.status).in_(("running", "overdue")), col(ClockRow.can_be_late))
    clocks = (
        select(
            ClockRow.case,
            func.bool_or(ClockRow.due <= now).label("overdue"),
            func.bool_or(and_(ClockRow.due > now, ClockRow.last_day <= _days_from_today(now, SOON))).label("soon"),
        )
        .where(running)
        .group_by(ClockRow.case)
        .subquery()
    )
    first = aggregate_order_by(col(IntakeRow.case), col(IntakeRow.received_at), col(IntakeRow.case))
    opened: Any = (
        select(  # type: ignore[call-overload]  # more columns than it has overloads for
            CaseRow.handler,
            func.count().label("open"),
            func.count().filter(clocks.c.overdue).label("overdue"),
            func.count().filter(clocks.c.soon).label("soon"),
            func.array_agg(first, type_=ARRAY(Text))[1].label("oldest"),
            func.min(IntakeRow.received_at).label("oldest_received_at"),
        )
        .select_from(IntakeRow)
        .outerjoin(CaseRow, col(CaseRow.case) == IntakeRow.case)
        .outerjoin(clocks, clocks.c.case == IntakeRow.case)
        .where(_open())
        .group_by(CaseRow.handler)
    )
    closed: Any = (
        select(CaseRow.handler, func.count().label("closed"))
        .where(col(CaseRow.closed_at) > now - timedelta(days=LOOKED_BACK))
        .group_by(col(CaseRow.handler))
    )
    if organisation is not None:
        opened = opened.where(IntakeRow.organisation == organisation)
        closed = closed.where(CaseRow.organisation == organisation)
    async with sessions() as session:
        found = {row.handler: row for row in (await session.exec(opened)).all()}
        ended = {row.handler: row.closed for row in (await session.exec(closed)).all()}
    loads = []
    for handler in {**found, **ended}:
        row = found.get(handler)
        counts = {} if row is None else {name: getattr(row, name) for name in Load.model_fields if hasattr(row, name)}
        loads.append(Load(**{"handler": handler, **counts, "closed": ended.get(handler, 0)}))
    return tuple(sorted(loads, key=lambda of: (of.handler is not None, -of.overdue, -of.open, of.handler or "")))


# ---- what is late ---------------------------------------------------------------------------------------------------


class Then(Model):
    """A step of a case: what happened, when, and who said it."""

    at: datetime
    entry: str
    actor: str | None
    stage: str


class Lateness(Model):
    """A clock that is overdue, or that was when it ended."""

    how: Literal["overdue", "late", "kept", "void"]
    """overdue: open, and nothing proves it yet. late: the proof says that it happened too late. kept: in time, but
    that was known only after the due instant. void: ended after it without a judgment."""
    case: str
    handler: str | None
    duty: str
    subject: str
    n: int
    clause: str
    title: str
    due: datetime
    shown: str
    day: date
    """overdue: today; late: when it happened; kept and void: when that was recorded."""
    days: int
    """From the last day (late: the later reading of it) to that day; 0 for hours on the same day."""
    surely: bool
    """The later reading of the term is over too (late: always)."""
    proof: str | None
    """The kind of evidence that ended it."""
    stage_then: str
    """The stage in which the case stood at the due instant."""
    since: datetime | None
    """How long it had stood there then."""
    last: Then | None
    """The last thing that happened before the due instant, reminders apart."""
    after: tuple[Then, ...]
    """What happened from the due instant to the end of the clock, or until now."""
    waits_for: str
    """What the case waits for now, if the clock is open."""
    correction: dict[str, Any] | None = None
    """Why an overdue clock is kept: reason, document, second person. Only where personal data were asked for."""


class Late(Model):
    """What is late, and how many there are in all."""

    since: date
    clocks: tuple[Lateness, ...]
    totals: dict[str, int]
    """By `how`, also of those beyond the limit."""


async def late(
    sessions: Sessions,
    now: datetime,
    since: date | None = None,
    organisation: str | None = None,
    *,
    personal: bool = False,
    limit: int | None = 100,
) -> Late:
    """Every clock that is overdue, and those that ended since a day late, kept or void after their due instant.

    At most `limit` of each, the longest due first. Two statements, and a third for the corrections. An end counts by
    when it was recorded.
    """
    since = since or now.date() - timedelta(days=LOOKED_BACK)
    how = case(
        (col(ClockRow.status).in_(("running", "overdue")), "overdue"),
        else_=col(ClockRow.status),
    )
    order = [col(c) for c in (ClockRow.due, ClockRow.case, ClockRow.duty, ClockRow.subject, ClockRow.n)]
    query: Any = (
        select(  # type: ignore[call-overload]  # more columns than it has overloads for
            *(getattr(ClockRow, name) for name in _CLOCK),
            how.label("how"),
            CaseRow.handler,
            CaseRow.waits_for,
            func.count().over(partition_by=how).label("total"),
            func.row_number().over(partition_by=how, order_by=order).label("place"),
        )
        .join(CaseRow, col(CaseRow.case) == ClockRow.case)
        .where(
            col(ClockRow.can_be_late),
            or_(
                and_(col(ClockRow.status).in_(("running", "overdue")), col(ClockRow.due) <= now),
                and_(
                    col(ClockRow.ended_at) >= begin_of(since),
                    or_(col(ClockRow.status) == "late", col(ClockRow.ended_at) >= col(ClockRow.due)),
                ),
            ),
        )
    )
    if organisation is not None:
        query = query.where(ClockRow.organisation == organisation)
    ranked = query.subquery()
    listed: Any = select(*ranked.c).order_by(
        ranked.c.how == "void", ranked.c.how == "kept", ranked.c.how == "late", ranked.c.place
    )
    if limit is not None:
        listed = listed.where(ranked.c.place <= limit)
    async with sessions() as session:
        rows = (await session.exec(listed)).all()
        totals = {row.how: row.total for row in rows}
        cases = any_(literal(sorted({row.case for row in rows}), ARRAY(Text)))
        steps: dict[str, list[Any]] = {}
        found: Any = select(*(getattr(TimelineRow, name) for name in ("case", *Then.model_fields)))
        found = found.where(TimelineRow.case == cases, col(TimelineRow.entry).not_in(TICKS))
        for step in (await session.exec(found.order_by(TimelineRow.case, col(TimelineRow.step)))).all():
            steps.setdefault(step.case, []).append(step)
        corrections: dict[tuple[str, str, str, int], Any] = {}
        if personal:
            kept = select(ClockRow).where(
                col(ClockRow.case) == cases, ClockRow.status == "kept", col(ClockRow.ended_at) >= ClockRow.due
            )
            for clock in (await session.exec(kept)).all():
                key = (clock.case, clock.duty, clock.subject, clock.n)
                corrections[key] = (clock.evidence or {}).get("correction")
    return Late(
        since=since,
        totals=totals,
        clocks=tuple(
            _lateness(row, now, steps.get(row.case, ()), corrections.get((row.case, row.duty, row.subject, row.n)))
            for row in rows
        ),
    )


_CLOCK = (
    *("case", "duty", "subject", "n", "organisation", "status", "can_be_late", "due", "latest", "last_day"),
    *("latest_day", "ended_at", "happened_at", "happened_on", "proof"),
)
"""The columns of a clock that are not sealed and that say how late it is."""


def _lateness(row: Any, now: datetime, steps: Sequence[Any], correction: Any) -> Lateness:
    duty = duty_for(row.organisation, row.duty)
    before = [s for s in steps if s.at < row.due]
    there = next((s for s in reversed(before) if s.stage != before[-1].stage), None)
    entered = before[before.index(there) + 1] if there is not None else before[0] if before else None
    at = row.happened_at if row.how == "late" else row.ended_at or now
    day = row.happened_on if row.how == "late" and row.happened_on else day_at(at or now, row.organisation)
    end = row.ended_at or now
    return Lateness(
        how=row.how,
        **{n: getattr(row, n) for n in ("case", "handler", "duty", "subject", "n", "due", "proof")},
        clause=duty.clause,
        title=duty.title.en,
        shown=shown(row),
        day=day,
        days=(day - (row.latest_day if row.how == "late" else row.last_day)).days,
        surely=row.how == "late" or (row.how == "overdue" and row.latest <= now),
        stage_then=before[-1].stage if before else NOT_STARTED,
        since=entered.at if entered is not None else None,
        last=_then(before[-1]) if before else None,
        after=tuple(_then(s) for s in steps if row.due <= s.at <= end),
        waits_for=row.waits_for if row.how == "overdue" else "",
        correction=correction,
    )


def _then(step: Any) -> Then:
    return Then(at=step.at, entry=step.entry, actor=step.actor, stage=step.stage)


# ---- helpers --------------------------------------------------------------------------------------------------------


def _open() -> Any:
    """What was filed, is a case, and is not closed."""
    return not_(or_(col(CaseRow.closed_at).is_not(None), col(IntakeRow.result).is_not(None)))


def day_at(at: datetime, organisation: str) -> date:
    """The day of an instant, in the organisation's zone."""
    return at.astimezone(ZoneInfo(books()[organisation].zone)).date()


def begin_of(day: date) -> Any:
    """The first instant of a day, in the zone of each clock's organisation: SQL."""
    instants = {
        code: literal(datetime.combine(day, time(0), ZoneInfo(book.zone)).astimezone(UTC), DateTime(timezone=True))
        for code, book in books().items()
    }
    return case(instants, value=col(ClockRow.organisation))


def _days_from_today(now: datetime, days: int) -> Any:
    """The day in so many days, in the zone of each clock's organisation."""
    ahead = {code: literal(day_at(now, code) + timedelta(days=days), Date) for code in books() if code != "T"}
    return case(ahead, value=col(ClockRow.organisation))
