"""The compliance report: for a span of days, how each duty was kept, how long that took, and what was late by name.

Read from the deadline ledger alone, from columns that are not sealed: it names cases, never people. A span is days,
both included, in the zone of each organisation; an end counts by when it was recorded.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from statistics import median
from typing import Any, Literal
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import Date, DateTime, Float, Text, false, literal
from sqlalchemy import case as sql_case
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlmodel import and_, col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.citing import named
from models.common import Model
from models.tables import ClockRow, ConsentRow
from operations.consents import TAKEN_BACK
from operations.duties import PRODUCT, length
from operations.intake import Sessions
from operations.queues import begin_of, day_at
from operations.reading import local, shown
from rules.consent import to_stop_by
from rules.rulebook import Duty, books, duty_for

WEEKLY = 92
"""Spans of so many days at the most are drawn by week, longer ones by month."""
DAY = 86_400


class DutyLine(Model):
    """How one duty of one organisation was kept in the span."""

    organisation: str
    duty: str
    clause: str
    title: str
    kind: str
    adopted_from: str | None
    within: str
    """The term, as the rulebook has it today; empty if it comes from elsewhere."""
    can_be_late: bool
    """False: what runs out is no lateness of the organisation (a right that lapses, a duty of the client)."""
    recommended: bool
    """The document only advises it: what runs out is reported as not followed."""
    started: int
    """Clocks whose term began in the span."""
    kept: int
    late: int
    void: int
    """Ended in the span without a judgment."""
    running: int
    """Open at the end of the span, held ones too."""
    overdue: int
    """Of those the ones whose due instant had come."""
    median: float | None
    """Days from the start to what ended it, half of those kept or late in the span took longer."""
    worst: float | None
    worst_case: str | None

    @property
    def judged(self) -> int:
        """Those that ended in time or late."""
        return self.kept + self.late


class Missed(Model):
    """A clock that ended late in the span, or was overdue at its end; of what is only recommended: not followed."""

    how: Literal["late", "overdue", "not followed"]
    organisation: str
    duty: str
    clause: str
    title: str
    case: str
    subject: str
    n: int
    due: str
    """Its last day (or hour) in the organisation's zone."""
    day: date
    """late: when it happened, by the evidence; overdue, or not followed yet: the end of the span, or today."""
    days: int
    """From the last day (late: the later reading of it) to that day; 0 for hours on the same day."""


class Bar(Model):
    """What ended in a week or a month."""

    begins: date
    kept: int
    late: int


class Compliance(Model):
    """The report of one span."""

    since: date
    until: date
    made_at: datetime
    organisations: tuple[str, ...]
    duties: tuple[DutyLine, ...]
    """Those that ran in the span, of documents first, the product's own terms last."""
    missed: tuple[Missed, ...]
    every: Literal["week", "month"]
    bars: tuple[Bar, ...]
    idle: dict[str, tuple[str, ...]]
    """Organisation → duties that Termins keeps and that had no clock in the span."""


# ---- reading --------------------------------------------------------------------------------------------------------


async def compliance(
    sessions: Sessions, now: datetime, since: date, until: date, organisation: str | None = None
) -> Compliance:
    """The report of the days from `since` to `until`, both included; four statements for any number of cases.

    What people took back without a case stands in the register of consents, and is read from there.
    """
    codes = [organisation] if organisation is not None else sorted(code for code in books() if code != PRODUCT)
    # a span that is not over ends now
    begin, end = begin_of(since), func.least(begin_of(until + timedelta(days=1)), literal(now, DateTime(timezone=True)))
    ended = and_(col(ClockRow.ended_at) >= begin, col(ClockRow.ended_at) < end)
    judged = and_(ended, col(ClockRow.status).in_(("kept", "late")))
    open_ = and_(
        col(ClockRow.anchor_at) < end,
        or_(col(ClockRow.ended_at).is_(None), col(ClockRow.ended_at) >= end),
    )
    due = and_(open_, col(ClockRow.status) != "held", col(ClockRow.due) <= end)
    overdue = and_(due, col(ClockRow.can_be_late))
    missing = or_(overdue, and_(due, _recommended()))
    ours = col(ClockRow.organisation).in_(codes)
    every: Literal["week", "month"] = "week" if (until - since).days < WEEKLY else "month"
    async with sessions() as session:
        lines = (await session.exec(_counts(ours, begin, end, ended, judged, open_, overdue))).all()
        missed: Any = (
            select(  # type: ignore[call-overload]  # more columns than it has overloads for
                *(getattr(ClockRow, name) for name in _MISSED), missing.label("overdue")
            )
            .where(ours, or_(missing, and_(ended, col(ClockRow.status) == "late")))
            .order_by(ClockRow.organisation, col(ClockRow.due), ClockRow.case, ClockRow.duty, ClockRow.subject)
        )
        clocks = (await session.exec(missed)).all()
        first = func.date_trunc(every, func.timezone(_zone(), col(ClockRow.ended_at))).cast(Date).label("first")
        counted: Any = (
            select(first, *(func.count().filter(col(ClockRow.status) == status).label(status) for status in _JUDGED))
            .where(ours, judged, col(ClockRow.can_be_late))
            .group_by(first)
        )
        found = {row.first: (row.kept, row.late) for row in (await session.exec(counted)).all()}
        stops = await _stops(session, codes, since, until, now)
    for stop in stops:
        first_day = _period_of(stop.stopped_on, every)
        kept, late = found.get(first_day, (0, 0))
        found[first_day] = (kept + (not stop.late), late + stop.late)
    duties = sorted(
        (*(_line(row) for row in lines), *_stop_lines(stops, since)),
        key=lambda d: (d.duty.startswith(f"{PRODUCT}-"), _order(d)),
    )
    ran = {(line.organisation, line.duty) for line in duties}
    return Compliance(
        since=since,
        until=until,
        made_at=now,
        organisations=tuple(codes),
        duties=tuple(duties),
        missed=(
            *(_missed(row, min(day_at(now, row.organisation), until)) for row in clocks),
            *(_missed_stop(stop) for stop in stops if stop.late),
        ),
        every=every,
        bars=tuple(
            Bar(begins=day, kept=kept, late=late)
            for day in _periods(since, until, every)
            for kept, late in [found.get(day, (0, 0))]
        ),
        idle={code: names for code in codes if (names := tuple(d.id for d in _kept(code) if (code, d.id) not in ran))},
    )


_JUDGED = ("kept", "late")
_MISSED = (
    *("case", "duty", "subject", "n", "organisation", "due", "last_day", "latest_day", "happened_at", "happened_on"),
    *("ended_at", "status"),
)


def _counts(ours: Any, begin: Any, end: Any, ended: Any, judged: Any, open_: Any, overdue: Any) -> Any:
    """What is counted of each duty, and how long it took; where only a day is known, in whole days."""
    in_days = (
        func.extract("epoch", func.coalesce(ClockRow.happened_at, ClockRow.ended_at) - col(ClockRow.anchor_at)) / DAY
    )
    from_day_to_day = col(ClockRow.happened_on) - func.timezone(_zone(), col(ClockRow.anchor_at)).cast(Date)
    took = sql_case(
        (and_(col(ClockRow.happened_at).is_(None), col(ClockRow.happened_on).is_not(None)), from_day_to_day),
        else_=in_days,
    ).cast(Float)
    longest = aggregate_order_by(col(ClockRow.case), took.desc(), col(ClockRow.case))
    return (
        select(  # type: ignore[call-overload]  # more columns than it has overloads for
            ClockRow.organisation,
            ClockRow.duty,
            func.count().filter(and_(col(ClockRow.anchor_at) >= begin, col(ClockRow.anchor_at) < end)).label("started"),
            *(
                func.count().filter(and_(ended, col(ClockRow.status) == status)).label(status)
                for status in ("kept", "late", "void")
            ),
            func.count().filter(open_).label("running"),
            func.count().filter(overdue).label("overdue"),
            func.percentile_cont(0.5).within_group(took).filter(judged).label("median"),
            func.max(took).filter(judged).label("worst"),
            func.array_agg(longest, type_=ARRAY(Text)).filter(judged)[1].label("worst_case"),
        )
        .where(
            ours,
            col(ClockRow.anchor_at) < end,
            or_(col(ClockRow.ended_at).is_(None), col(ClockRow.ended_at) >= begin),
        )
        .group_by(ClockRow.organisation, ClockRow.duty)
    )


class _Stop(Model):
    """What a person took back in the register of consents, with no case: it stopped with its record."""

    organisation: str
    duty: str
    name: str
    """The consent; of what was taken back as a whole the number of the statement."""
    purpose: str
    at: datetime
    stopped_at: datetime
    due: datetime
    latest: datetime
    stopped_on: date

    @property
    def late(self) -> bool:
        return self.stopped_at >= self.latest

    @property
    def days(self) -> float:
        return (self.stopped_at - self.at).total_seconds() / DAY


async def _stops(session: AsyncSession, codes: Sequence[str], since: date, until: date, now: datetime) -> list[_Stop]:
    """What was taken back by command in the span; what a request did has a clock of its own."""
    spans: dict[str, tuple[datetime, datetime]] = {}
    for code in codes:
        zone = ZoneInfo(books()[code].zone)
        begin, end = (datetime.combine(day, time(), zone) for day in (since, until + timedelta(days=1)))
        spans[code] = (begin, min(end, now))
    columns: Any = select(
        *(getattr(ConsentRow, name) for name in ("n", "organisation", "consent", "purpose", "at", "recorded_at"))
    )
    query = columns.where(
        or_(
            *(
                and_(
                    col(ConsentRow.organisation) == code,
                    col(ConsentRow.recorded_at) >= begin,
                    col(ConsentRow.recorded_at) < end,
                )
                for code, (begin, end) in spans.items()
            )
        ),
        col(ConsentRow.what).in_(TAKEN_BACK),
        func.coalesce(ConsentRow.source, "").not_like("privacy_request:%"),
    ).order_by(ConsentRow.n)
    return [stop for row in (await session.exec(query)).all() if (stop := _stop(row)) is not None]


def _stop(row: Any) -> _Stop | None:
    """A statement as it is judged; None where no row of the rulebook counts a stop."""
    code, rulebook = row.organisation, books()[row.organisation]
    due, latest = to_stop_by(rulebook, row.at)
    if rulebook.consents is None or due is None or latest is None:
        return None
    return _Stop(
        organisation=code,
        duty=rulebook.consents.withdrawal,
        name=f"consent:{code}:{row.consent}" if row.consent is not None else f"consent:{code} statement {row.n}",
        purpose=row.purpose,
        at=row.at,
        stopped_at=row.recorded_at,
        due=due,
        latest=latest,
        stopped_on=day_at(row.recorded_at, code),
    )


def _stop_lines(stops: Sequence[_Stop], since: date) -> list[DutyLine]:
    """A line for each organisation, beside that of the requests under the same row."""
    lines = []
    for code in sorted({stop.organisation for stop in stops}):
        ours = [stop for stop in stops if stop.organisation == code]
        duty = duty_for(code, ours[0].duty)
        worst = max(ours, key=lambda stop: stop.days)
        late = sum(stop.late for stop in ours)
        lines.append(
            DutyLine(
                organisation=code,
                duty=duty.id,
                clause=duty.clause,
                title=f"{duty.title.en} (register of consents)",
                kind=duty.kind,
                adopted_from=duty.adopted_from,
                within=length(duty.amount, duty.unit) if duty.amount is not None else "",
                can_be_late=duty.can_be_late,
                recommended=duty.recommended,
                started=sum(day_at(stop.at, code) >= since for stop in ours),
                kept=len(ours) - late,
                late=late,
                void=0,
                running=0,
                overdue=0,
                median=median(stop.days for stop in ours),
                worst=worst.days,
                worst_case=worst.name,
            )
        )
    return lines


def _missed_stop(stop: _Stop) -> Missed:
    duty = duty_for(stop.organisation, stop.duty)
    return Missed(
        how="late",
        organisation=stop.organisation,
        duty=duty.id,
        clause=duty.clause,
        title=duty.title.en,
        case=stop.name,
        subject=stop.purpose,
        n=1,
        due=local(stop.due, stop.organisation),
        day=stop.stopped_on,
        days=(stop.stopped_on - day_at(stop.latest - timedelta(microseconds=1), stop.organisation)).days,
    )


def _zone() -> Any:
    """The zone of each clock's organisation: SQL."""
    return sql_case({code: literal(book.zone) for code, book in books().items()}, value=col(ClockRow.organisation))


def _recommended() -> Any:
    """The clocks of what is only recommended: SQL."""
    return or_(
        *(
            and_(col(ClockRow.organisation) == code, col(ClockRow.duty) == duty.id)
            for code, book in books().items()
            for duty in book.duty
            if duty.recommended and duty.has_clock
        ),
        false(),
    )


def _line(row: Any) -> DutyLine:
    duty = duty_for(row.organisation, row.duty)
    fields = ("organisation", "duty", "started", "kept", "late", "void", "running", "overdue", "median", "worst")
    return DutyLine(
        **{name: getattr(row, name) for name in fields},
        worst_case=row.worst_case,
        clause=duty.clause,
        title=duty.title.en,
        kind=duty.kind,
        adopted_from=duty.adopted_from,
        within=length(duty.amount, duty.unit) if duty.amount is not None else "",
        can_be_late=duty.can_be_late,
        recommended=duty.recommended,
    )


def _missed(row: Any, today: date) -> Missed:
    duty = duty_for(row.organisation, row.duty)
    happened = row.happened_on or day_at(row.happened_at or row.ended_at or row.due, row.organisation)
    day = today if row.overdue else happened
    return Missed(
        how="not followed" if duty.recommended else "overdue" if row.overdue else "late",
        **{name: getattr(row, name) for name in ("organisation", "duty", "case", "subject", "n")},
        clause=duty.clause,
        title=duty.title.en,
        due=shown(row),
        day=day,
        days=(day - (row.last_day if row.overdue else row.latest_day)).days,
    )


def _kept(code: str) -> Iterable[Duty]:
    """The duties of a rulebook that run as a clock in Termins; what a rule or a night keeps is told elsewhere."""
    return (
        d
        for d in books()[code].duty
        if d.has_clock and any(not k.startswith("rule:") and k != "schedule:Storage" for k in d.kept_by)
    )


def _order(line: DutyLine) -> tuple[str, int]:
    """The order of the rulebooks, organisation by organisation."""
    rows = [d.id for d in books()[line.organisation].duty]
    return line.organisation, rows.index(line.duty) if line.duty in rows else len(rows)


def _period_of(day: date, every: Literal["week", "month"]) -> date:
    """The first day of the week or month in which a day lies."""
    return day - timedelta(days=day.weekday()) if every == "week" else day.replace(day=1)


def _periods(since: date, until: date, every: Literal["week", "month"]) -> list[date]:
    """The first days of the weeks (Mondays) or months that the span touches."""
    if every == "week":
        first = since - timedelta(days=since.weekday())
        return [first + timedelta(days=n) for n in range(0, (until - first).days + 1, 7)]
    months = range(since.year * 12 + since.month - 1, until.year * 12 + until.month)
    return [date(m // 12, m % 12 + 1, 1) for m in months]


# ---- setting --------------------------------------------------------------------------------------------------------


def table(report: Compliance) -> str:
    """The duties as CSV (UTF-8, comma, one line each), for a spreadsheet."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [*DutyLine.model_fields], lineterminator="\n")
    writer.writeheader()
    writer.writerows(line.model_dump(mode="json") for line in report.duties)
    return out.getvalue()


def page(report: Compliance) -> str:
    """The report as one HTML file that needs nothing else, and prints."""
    return _HTML.get_template("compliance.html").render(
        named=named,
        report=report,
        names={code: books()[code].name for code in report.organisations},
        groups=_groups(report.duties),
        made=local(report.made_at, report.organisations[0]),
        days=days,
        highest=max((bar.kept + bar.late for bar in report.bars), default=0),
    )


def days(took: float | None) -> str:
    """How long it took, for people: `3.2 d`, below two days in hours, `0` where it was at once."""
    if took is None:
        return "–"
    if took < 2:  # noqa: PLR2004  # below that hours say more
        return f"{took * 24:.1f} h".replace("0.0 h", "at once")
    return f"{took:.1f} d"


def _groups(duties: Sequence[DutyLine]) -> list[tuple[str, list[DutyLine]]]:
    """The duties of each organisation, the product's own terms apart and last."""
    groups: dict[str, list[DutyLine]] = {}
    for line in duties:
        groups.setdefault(PRODUCT if line.duty.startswith(f"{PRODUCT}-") else line.organisation, []).append(line)
    return list(groups.items())


_HTML = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "pages"),
    undefined=StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
