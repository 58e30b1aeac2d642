"""Storage terms counted: when a purpose's term ends, and when a record with several purposes may go (DZ-14.5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from models.common import Model
from models.storage import Keeping, Purpose
from rules.calendar import OutsideCalendar, load
from rules.period import Period, Unit, count
from rules.rulebook import Duty, Rulebook

TABLE, KEEPING = "storage", "keeping"
POLICY = "policy"
"""Termins' own policies, where kinds of cases are named."""
LINE = "liability"
"""The line of business of Termins' own policies: all of them insure liability."""
ONE_DAY = timedelta(days=1)
NOON = time(12)


class Term(Model):
    """The storage term of one purpose, counted."""

    duty: str
    clause: str
    last_day: date | None = None
    """The last day on which the data are kept."""
    due: datetime | None = None
    """From here on they go; None: the start event has not come, or see `fault`."""
    least: datetime | None = None
    """Where the term is a minimum: before it nothing may go."""
    derivation: tuple[str, ...] = ()
    fault: str | None = None
    """Why no end can be counted: nothing is erased then."""


def purposes(book: Rulebook) -> dict[str, Purpose]:
    """Duty → for what its data are kept, and on which ground; checked when the book was read."""
    return {duty: Purpose.model_validate(values) for duty, values in book.values.get(TABLE, {}).items()}


def keeping(book: Rulebook) -> Keeping:
    """How destruction is proven in this organisation, which has storage terms."""
    return Keeping.model_validate(book.values[KEEPING])


def term(
    book: Rulebook,
    duty: str,
    purpose: Purpose,
    since: datetime | date | None,
    line: str | None = None,
    withdrawn_at: datetime | None = None,
) -> Term:
    """The term of a purpose, from its start event: a day, or an instant."""
    row = book.find(duty)
    found = Term(duty=duty, clause=row.clause)
    period = _period(row, purpose, line)
    if period is None and row.amount_from != "event":
        source = (row.amount_from or "rulebook").replace("_", " ")
        of = f" for the line {line}" if line is not None else ""
        fault = f"no value{of} (from {source}): nothing is erased until {book.organisation}'s rulebook has one"
        return found.model_copy(update={"fault": fault})
    if since is not None:
        try:
            found = found.model_copy(update=_ended(book, row, period, since))
        except OutsideCalendar as e:
            return found.model_copy(update={"fault": f"cannot be counted: {e}"})
    if withdrawn_at is not None and (found.due is None or withdrawn_at < found.due):
        at = withdrawn_at.astimezone(UTC)
        said = f"the consent was withdrawn at {at:%Y-%m-%dT%H:%M:%SZ}, and the term ended with it"
        last = at.astimezone(ZoneInfo(book.zone)).date()
        found = found.model_copy(update={"due": at, "last_day": last, "derivation": (*found.derivation, said)})
    return found


def _period(row: Duty, purpose: Purpose, line: str | None) -> Period | None:
    if line is not None and (value := purpose.lines.get(line)) is not None:
        return Period(amount=value.amount, unit=Unit(value.unit))
    return row.period


def _ended(book: Rulebook, row: Duty, period: Period | None, since: datetime | date) -> dict[str, object]:
    """Where the count from the start event comes to."""
    zone = ZoneInfo(book.zone)
    start = since if isinstance(since, datetime) else datetime.combine(since, NOON, zone)
    if period is None:
        # the term is the event itself: what is dated by its day is kept until that day is over
        day = start.astimezone(zone).date()
        due = start if isinstance(since, datetime) else datetime.combine(day + ONE_DAY, time(), zone)
        said = f"the term ends with {(row.anchor or '').replace('_', ' ')}: {day}"
        return {"last_day": day, "due": due.astimezone(UTC), "derivation": (said,)}
    calendar = load(book.calendar)
    counted = count(start, period, book.zone, calendar)
    if row.maximum is None:
        return {"last_day": counted.last_day, "due": counted.due, "derivation": counted.derivation}
    most = count(start, row.maximum, book.zone, calendar)
    return {"last_day": most.last_day, "due": most.due, "least": counted.due, "derivation": most.derivation}


def longest(terms: Sequence[Term]) -> Term:
    """The term that decides of several: one that cannot be counted, else one that has not begun, else the latest."""
    faulty = next((one for one in terms if one.fault is not None), None)
    running = next((one for one in terms if one.due is None), None)
    return faulty or running or max(terms, key=lambda one: (one.due or datetime.max.replace(tzinfo=UTC), one.duty))


def until_over(book: Rulebook, last_day: date) -> datetime:
    """The instant at which this last day is over."""
    return datetime.combine(last_day + ONE_DAY, time(), ZoneInfo(book.zone)).astimezone(UTC)


def proof_by(book: Rulebook, asked_at: datetime) -> datetime:
    """By when the destruction is proven that was asked for then; from there on it is overdue."""
    period = Period(amount=keeping(book).proof_within, unit=Unit.calendar_days)
    return count(asked_at, period, book.zone, load(book.calendar)).due


def case_term(book: Rulebook, kind: str, closed_at: datetime) -> Term | None:
    """The term that the controller set for closed cases of a kind, or ended policies; None where it set none.

    Of what a duty covers it is not asked. A policy is closed when its last day of cover is over.
    """
    value = Keeping.model_validate(book.values[KEEPING]).cases.get(kind) if KEEPING in book.values else None
    if value is None:
        return None
    period = Period(amount=value.amount, unit=Unit(value.unit))
    counted = count(closed_at, period, book.zone, load(book.calendar))
    what = "ended policies" if kind == POLICY else f"{kind} cases"
    said = f"set by the controller, for no document has a term for {what}: {value.document}"
    return Term(
        duty=f"{KEEPING}.{kind}",
        clause=value.document,
        last_day=counted.last_day,
        due=counted.due,
        derivation=(said, *counted.derivation),
    )


def policy_term(book: Rulebook, last_day: date) -> Term | None:
    """The storage term of a contract, from its last day of cover; None where neither duty nor controller gives one."""
    found = own_purpose(book, POLICY)
    if found is None:
        return case_term(book, POLICY, datetime.combine(last_day, NOON, ZoneInfo(book.zone)))
    duty, purpose = found
    return term(book, duty, purpose, last_day, purpose.own_line or LINE)


def own_purpose(book: Rulebook, own: str) -> tuple[str, Purpose] | None:
    """The duty and purpose that cover this of Termins' own store; None where the rulebook has none."""
    return next(((duty, one) for duty, one in purposes(book).items() if one.own == own), None)
