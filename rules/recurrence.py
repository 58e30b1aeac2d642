"""What recurs: from when a turn's term is counted, by when it is due, and from when it is open to be done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from models.common import Model
from rules.calendar import load
from rules.period import Period, Unit, count
from rules.rulebook import Duty, Rulebook


class Turn(Model):
    """One turn of a recurring duty."""

    n: int
    since: datetime
    """From when its term is counted."""
    first: bool
    """By the start and term that the rulebook gives the first one."""
    due: datetime
    """Exclusive, as every due instant."""
    last_day: date
    opens_at: datetime
    """When its case is opened: the lead time before the last day, but not before the term begins."""


class Last(Model):
    """What is known of a recurring duty: its last turn, or when it was done before there were any."""

    n: int = 0
    """Of the last turn that was opened; 0: none."""
    how: Literal["first_on", "begins", "done", "turn"]
    """How `on` is known: the rulebook's first day, a start of work, a day on which it was done, a turn's end."""
    on: date
    """The day; of a turn of a calendar year the day from which that was counted."""
    open: bool = False
    """The last turn has not ended."""


def first_period(rulebook: Rulebook, duty: Duty) -> Period | None:
    """The term of a recurrence's first turn, where the rulebook gives that another one."""
    said = rulebook.values.get("recurrence", {}).get(duty.id)
    if said is None:
        return None
    return Period(amount=said["first_amount"], unit=Unit(said["first_unit"]))


def upcoming(rulebook: Rulebook, duty: Duty, last: Last) -> Iterator[Turn]:
    """The turns after the last one, as far as they are known now, the next one first.

    A term is counted from what was done last, so that the turn after one that is open is not known. Only of a duty of
    each calendar year every year has its own, whatever became of the year before; they go on without end.
    """
    zone = ZoneInfo(rulebook.zone)
    if duty.unit is not Unit.calendar_year:
        if not last.open:
            yield turn(rulebook, duty, last.n + 1, midnight(last.on, zone), first=last.how == "begins")
        return
    # what is said to be done in a year is that year's
    day = last.on if last.how in ("first_on", "begins") else date(last.on.year + 1, 1, 1)
    n = last.n + 1
    while True:
        yield turn(rulebook, duty, n, midnight(day, zone), first=False)
        n, day = n + 1, date(day.year + 1, 1, 1)


def turn(rulebook: Rulebook, duty: Duty, n: int, since: datetime, *, first: bool) -> Turn:
    """The turn whose term is counted from here.

    Raises:
        ValueError: The rulebook gives no value to count, which no checked one does.
    """
    own = first_period(rulebook, duty) if first else None
    period = own or duty.period
    if period is None:
        fault = f"{duty.id}: the rulebook gives no value to count"
        raise ValueError(fault)
    zone = ZoneInfo(rulebook.zone)
    counted = count(since, period, rulebook.zone, load(rulebook.calendar))
    lead = timedelta(days=rulebook.tasks[duty.id].lead_days or 0)
    opens_at = max(since, midnight(counted.last_day - lead, zone))
    return Turn(n=n, since=since, first=own is not None, due=counted.due, last_day=counted.last_day, opens_at=opens_at)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a day begins there."""
    return datetime.combine(day, time(), zone)
