"""Periods and how they are counted: from an event to the due instant, with the derivation."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from models.common import Model
from rules.calendar import NAMES, ONE_DAY, SATURDAY, WEEKDAYS, ZONES, Calendar, load

LEAD = re.compile(r"(\d+)(d|h|wd)", re.ASCII)
REMIND_AT = time(9)
"""When in the morning, local time, a reminder comes that is given in days."""


class Unit(StrEnum):
    """What a period is counted in."""

    hours = "hours"
    calendar_days = "calendar_days"
    working_days = "working_days"
    months = "months"
    years = "years"
    calendar_year = "calendar_year"


class Roll(StrEnum):
    """What happens when the last day is not a working day."""

    none = "none"
    next_working_day = "next_working_day"


class Period(Model):
    """An amount of a unit, with its roll."""

    amount: int
    unit: Unit
    roll: Roll = Roll.none


class Span(Model):
    """A hold of a duty by local dates: the dates after `from_day` up to and including `released` are not counted."""

    from_day: date
    """The day of the hold, which still counts."""
    released: date | None
    """The day of release; None while the hold lasts."""


class Skipped(Model):
    """A day that was passed over because nobody works on it."""

    date: date
    reason: str
    """The holiday's name, `Saturday` or `Sunday`."""


class Count(Model):
    """A period counted from an event: the dates, the due instant and everything needed to explain them."""

    start: datetime
    """The event's instant, in UTC."""
    event_day: date
    """Its date in the organisation's zone; not counted itself."""
    last_day: date
    """The last day on which the duty is in time; for hours the local date of the due instant."""
    due: datetime
    """The due instant in UTC, exclusive: in time means before it."""
    rolled_from: date | None
    """The day off on which the period ended, where it was rolled."""
    skipped: tuple[Skipped, ...]
    """Days off passed over in counting working days or in the roll; held days are not listed here."""
    held_days: int
    """Days that would have counted, but for a hold."""
    held_for: timedelta
    """For hours: the elapsed time held."""
    holds: tuple[Span, ...]
    """All holds given, in order of time."""
    calendar: str
    """The version of the calendar."""
    zone: str
    period: Period

    @property
    def derivation(self) -> tuple[str, ...]:
        """How the due instant was reached, in plain English, line by line."""
        zone = ZoneInfo(self.zone)
        hours = self.period.unit is Unit.hours
        event = f"event: {self.start.astimezone(zone).isoformat(' ')} in {self.zone}"
        event += f", a {WEEKDAYS[self.event_day.weekday()]}{'' if hours else '; the event day is not counted'}"
        lines = [event, f"period: {_words(self.period)}"]
        for hold in self.holds:
            if hold.from_day > self.last_day:
                lines.append(f"hold: {_name(hold.from_day)}, at the due instant or later: changes nothing")
            elif hold.released is None:
                lines.append(f"hold: {_name(hold.from_day)}, not released yet: due can only become later")
            else:
                lines.append(f"hold: {_name(hold.from_day)}, released {_name(hold.released)}")
        if any(hold.released and hold.from_day <= self.last_day for hold in self.holds):
            days = "working days" if self.period.unit is Unit.working_days else "days"
            lines.append(f"held {days} that do not count: {self.held_days}; the last day is never before a release")
        if self.held_for:
            lines.append(f"time held, added as elapsed time: {self.held_for}")
        if self.skipped:
            lines.append(f"days skipped: {len(self.skipped)}: {_skips(self.skipped)}")
        if self.rolled_from:
            lines.append(f"rolled: from {_name(self.rolled_from)}, a day off, to the next working day")
        if not hours:
            lines.append(f"last day: {_name(self.last_day)}")
        due = self.due.astimezone(zone).isoformat(" ")
        lines.append(f"due: {due} in {self.zone} ({_utc(self.due)}); in time means before it")
        lines.append(f"calendar: {self.calendar}")
        return tuple(lines)


def count(
    start: datetime,
    period: Period,
    zone: str,
    calendar: Calendar,
    holds: Sequence[Span] = (),
    held_for: timedelta = timedelta(0),
) -> Count:
    """Count a period from an event; the only place where a due instant is made.

    Days, months and years are counted from the event's local date and end at the local midnight after the last day;
    hours are elapsed time. The calendar is asked only for working days and for a roll.

    Args:
        start: The event's instant, in any zone.
        period: What to count.
        zone: The organisation's zone.
        calendar: Its working days.
        holds: Holds of a duty that may be extended, in any order; not for hours. One that begins after the last day
            found so far changes nothing. One that begins in time never ends with a last day before its release.
        held_for: Elapsed time of the holds that began before the due instant; only for hours.

    Raises:
        OutsideCalendar: The calendar was asked about a day it does not cover.
        ValueError: Naive start, negative amount, unknown zone, a hold released before it began, holds in the wrong
            form for the unit, or a due instant after the year 9999.
    """
    fault = ""
    if start.utcoffset() is None:
        fault = "start: naive; give an offset or Z"
    elif period.amount < 0:
        fault = "amount: negative"
    elif period.unit is Unit.hours and holds:
        fault = "holds: hours are held by elapsed time"
    elif held_for < timedelta(0) or (held_for and period.unit is not Unit.hours):
        fault = "held_for: must not be negative, and is for hours only"
    for hold in holds:
        if hold.released and hold.released < hold.from_day:
            fault = f"holds: released {hold.released}, before the hold of {hold.from_day}"
    if fault:
        raise ValueError(fault)
    tz = _zone(zone)
    try:
        return _count(start.astimezone(UTC), period, tz, calendar, holds, held_for)
    except OverflowError:
        fault = "start, amount: the count leaves the years 1-9999"
        raise ValueError(fault) from None


def _count(
    start: datetime,
    period: Period,
    tz: ZoneInfo,
    calendar: Calendar,
    holds: Sequence[Span],
    held_for: timedelta,
) -> Count:
    event_day = start.astimezone(tz).date()
    ordered = tuple(sorted(holds, key=lambda h: (h.from_day, h.released or date.max)))
    rolled_from: date | None = None
    skipped: list[Skipped] = []
    held_days = 0
    if period.unit is Unit.hours:
        due = start + timedelta(hours=period.amount) + held_for
        last = due.astimezone(tz).date()
    else:
        last, held_days = _extend(_end(event_day, period, calendar), event_day, period, calendar, ordered)
        if period.unit is Unit.working_days:
            skipped = _days_off(event_day + ONE_DAY, last, calendar)
        rolled = _roll(last, period, calendar)
        if rolled != last:
            skipped += _days_off(last, rolled, calendar)
            rolled_from, last = last, rolled
        due = datetime.combine(last + ONE_DAY, time(), tz).astimezone(UTC)
    return Count(
        start=start,
        event_day=event_day,
        last_day=last,
        due=due,
        rolled_from=rolled_from,
        skipped=tuple(skipped),
        held_days=held_days,
        held_for=held_for,
        holds=ordered,
        calendar=calendar.version,
        zone=tz.key,
        period=period,
    )


def _end(event_day: date, period: Period, calendar: Calendar) -> date:
    """The last day before holds and roll, for every unit but hours."""
    amount = period.amount
    if period.unit is Unit.calendar_days:
        return event_day + timedelta(days=amount)
    if period.unit is Unit.working_days:
        return calendar.add_working_days(event_day, amount)
    if period.unit is Unit.calendar_year:
        return _add_months(event_day.replace(month=12, day=31), (amount - 1) * 12) if amount else event_day
    return _add_months(event_day, amount * 12 if period.unit is Unit.years else amount)


def _add_months(day: date, months: int) -> date:
    """The same day that many months later, or the last day of that month if it has no such day."""
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    if year > date.max.year:
        raise OverflowError(year)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _roll(last: date, period: Period, calendar: Calendar) -> date:
    return calendar.next_working_day(last) if period.roll is Roll.next_working_day else last


def _extend(
    last: date,
    event_day: date,
    period: Period,
    calendar: Calendar,
    holds: Sequence[Span],
) -> tuple[date, int]:
    """The last day after the holds, before the roll, and how many days they took; the holds are in order of time."""
    working = period.unit is Unit.working_days
    taken, until = 0, event_day
    for hold in holds:
        if hold.released is None or hold.released <= until:
            continue
        if hold.from_day > _roll(last, period, calendar):
            break
        first = max(hold.from_day, until) + ONE_DAY
        until = hold.released
        days = (until - first).days + 1
        if working:
            days = sum(calendar.is_working_day(first + timedelta(days=n)) for n in range(days))
            last = calendar.add_working_days(last, days)
        else:
            last += timedelta(days=days)
        # A hold on the last day, or between it and the day it rolls to, would else end in a clock overdue at release.
        if last < until:
            last = calendar.next_working_day(until) if working else until
        taken += days
    return last, taken


def _days_off(first: date, last: date, calendar: Calendar) -> list[Skipped]:
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [Skipped(date=day, reason=reason) for day in days if (reason := calendar.why_off(day))]


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        fault = f"zone: no zone {name!r}"
        raise ValueError(fault) from None


def _words(period: Period) -> str:
    unit = period.unit.value.removesuffix("s").replace("_", " ")
    words = f"{period.amount} {unit}{'' if period.amount == 1 else 's'}"
    match period.unit:
        case Unit.hours:
            words += " of elapsed time, never rolled"
        case Unit.months | Unit.years:
            words += ", to the same day of the month or, if it has none, its last day"
        case Unit.calendar_year:
            words += ", to 31 December; the event's year is the first"
    if period.roll is Roll.next_working_day and period.unit is not Unit.hours:
        words += "; if the last day is a day off, the next working day"
    return words


def _name(day: date) -> str:
    return f"{WEEKDAYS[day.weekday()]} {day}"


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _skips(skipped: Sequence[Skipped]) -> str:
    """Every holiday by name, whole weekends as a number, what is left of a weekend by its date."""
    plain = {s.date for s in skipped if s.reason in WEEKDAYS}
    saturdays = {day for day in plain if day.weekday() == SATURDAY and day + ONE_DAY in plain}
    alone = sorted(plain - saturdays - {day + ONE_DAY for day in saturdays})
    parts = [f"{len(saturdays)} weekend{'s' if len(saturdays) > 1 else ''}"] if saturdays else []
    parts += [_name(day) for day in alone]
    parts += [f"{s.reason} ({_name(s.date)})" for s in skipped if s.date not in plain]
    return ", ".join(parts)


def reminders(
    leads: Sequence[str], count: Count, zone: str, calendar: Calendar, after: datetime
) -> tuple[datetime, ...]:
    """When to remind, in UTC, sorted, each once; only instants after `after` and before the due instant.

    `3d`: at 09:00 local, three days before the last day (`0d`: on it); `2wd` the same in working days; `6h`: that many
    hours before the due instant.

    Raises:
        OutsideCalendar: A lead in working days before a last day that the calendar does not cover.
        ValueError: A lead in another form, or one that leads out of the years 1-9999; unknown zone; naive `after`.
    """
    if after.utcoffset() is None:
        fault = "after: naive; give an offset or Z"
        raise ValueError(fault)
    tz = _zone(zone)
    found = set()
    for lead in leads:
        if not (match := LEAD.fullmatch(lead)):
            fault = f"reminder {lead!r}: give days, working days or hours, such as 3d, 2wd or 6h"
            raise ValueError(fault)
        amount, unit = int(match[1]), match[2]
        try:
            if unit == "h":
                found.add(count.due - timedelta(hours=amount))
                continue
            if unit == "wd":
                day = calendar.add_working_days(count.last_day, -amount)
            else:
                day = count.last_day - timedelta(days=amount)
            found.add(datetime.combine(day, REMIND_AT, tz).astimezone(UTC))
        except OverflowError:
            fault = f"reminder {lead!r}: leads out of the years 1-9999"
            raise ValueError(fault) from None
    return tuple(sorted(instant for instant in found if after < instant < count.due))


def count_case(case: object) -> dict[str, object]:
    """Count one case in the format of the vector file.

    Args:
        case: `id`, `country`, `zone` (default: the country's), `start` (a text with offset or Z), `rule` with `amount`,
            `unit` and `roll`, and if wanted `profile`; other fields are ignored.

    Returns:
        `id`, `due_date`, `due_instant_utc` (a text ending in Z) and `derivation`, a list of lines.

    Raises:
        ValueError: The text names every fault of the case.
    """
    faults: list[str] = []
    fields: Mapping[str, object] = {}
    if isinstance(case, Mapping):
        fields = case
    else:
        faults.append(f"case: must be an object, not {case!r}")
    name = _text(fields, "id", faults)
    country = _text(fields, "country", faults)
    calendar = None
    if country is not None:
        profile = fields.get("profile", "")
        if country not in ZONES:
            faults.append(f"country: no country {country!r}; there are {', '.join(ZONES)}")
        elif not isinstance(profile, str) or (known := f"{country}-{profile}" if profile else country) not in NAMES:
            faults.append(f"profile: {country} has no profile {profile!r}")
        else:
            calendar = load(known)
    zone = ZONES.get(country or "") if "zone" not in fields else _text(fields, "zone", faults)
    if zone is not None:
        try:
            _zone(zone)
        except ValueError as e:
            faults.append(str(e))
            zone = None
    start = _start(_text(fields, "start", faults), faults)
    period = _period(fields, faults)
    counted = None
    if calendar and zone and start and period:
        try:
            counted = count(start, period, zone, calendar)
        except ValueError as e:
            faults.append(str(e))
    if counted is None or faults:
        raise ValueError("; ".join(faults))
    return {
        "id": name,
        "due_date": counted.last_day.isoformat(),
        "due_instant_utc": _utc(counted.due),
        "derivation": list(counted.derivation),
    }


def _text(fields: Mapping[str, object], name: str, faults: list[str], where: str = "") -> str | None:
    value = fields.get(name)
    if name not in fields:
        faults.append(f"{where}{name}: missing")
    elif not isinstance(value, str) or not value.strip():
        faults.append(f"{where}{name}: must be a text, not {value!r}")
    else:
        return value
    return None


def _start(text: str | None, faults: list[str]) -> datetime | None:
    if text is None:
        return None
    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        faults.append(f"start: {text!r} is no ISO date and time")
        return None
    if start.utcoffset() is None:
        faults.append(f"start: {text!r} is naive; give an offset or Z")
        return None
    return start


def _period(case: Mapping[str, object], faults: list[str]) -> Period | None:
    rule = case.get("rule")
    if "rule" not in case:
        faults.append("rule: missing")
        return None
    if not isinstance(rule, Mapping):
        faults.append(f"rule: must be an object with amount, unit and roll, not {rule!r}")
        return None
    before = len(faults)
    amount = rule.get("amount")
    if "amount" not in rule:
        faults.append("rule.amount: missing")
    elif type(amount) is not int:  # a bool is an int to isinstance, but no number of days
        faults.append(f"rule.amount: must be a whole number, not {amount!r}")
    elif amount < 0:
        faults.append(f"rule.amount: negative: {amount}")
    for field, kind in (("unit", Unit), ("roll", Roll)):
        value = _text(rule, field, faults, "rule.")
        if value is not None and value not in list(kind):
            faults.append(f"rule.{field}: no {field} {value!r}; there are {', '.join(kind)}")
    return None if len(faults) > before else Period.model_validate({name: rule[name] for name in Period.model_fields})
