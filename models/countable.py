"""From when to when terms can be counted: the years of the calendars, and the one home of that bound."""

from __future__ import annotations

from datetime import UTC, datetime

FIRST_YEAR, LAST_YEAR = 2020, 2040
"""The years of which the working days are known."""
COUNTABLE_FROM = datetime(FIRST_YEAR, 1, 2, tzinfo=UTC)
"""An instant of which the day is in the calendars in every zone of the house."""
COUNTABLE_UNTIL = datetime(LAST_YEAR, 1, 1, tzinfo=UTC)
"""Exclusive: what begins before it has a year of calendar left for its end."""
TOO_EARLY = f"lies before {FIRST_YEAR}, where the calendars begin"
TOO_LATE = f"lies after {LAST_YEAR - 1}, and the calendars end with {LAST_YEAR}"


def uncountable(at: datetime) -> str | None:
    """Why no term can be counted from this instant; None if one can."""
    if at < COUNTABLE_FROM:
        return TOO_EARLY
    return TOO_LATE if at >= COUNTABLE_UNTIL else None
