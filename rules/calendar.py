"""Working days per country, from frozen tables that carry a version; no other list of days decides a deadline.

The tables in `calendars/` are written by `python -m rules.calendars.generate` and read once. A changed table needs a
new entry in `VERSIONS`, for every running clock stores the version it was counted with.
"""

from __future__ import annotations

import csv
from datetime import date, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from models.common import Model
from models.countable import FIRST_YEAR, LAST_YEAR

TABLES = Path(__file__).parent / "calendars"
VERSIONS = {"EE": "2026-11-21", "LT": "2026-11-21", "LV": "2026-11-21"}
"""The day from which the table of a country is used as it stands."""
ZONES = {"EE": "Europe/Tallinn", "LT": "Europe/Vilnius", "LV": "Europe/Riga"}
"""The zone of an organisation of that country, unless it names another."""
NAMES = (*sorted(VERSIONS), "LV-state")
"""What `load` knows."""
WORKED = "Working day"
"""A row whose name begins so makes a Saturday a working day; every other row is a day off."""
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SATURDAY = 5
"""As `date.weekday` counts; Sunday is the next."""
ONE_DAY = timedelta(days=1)


class OutsideCalendar(ValueError):
    """A question about a day that the table does not cover: an error, because an answer would be a guess."""


class Day(Model):
    """One row: a statutory holiday, a day off by law or order, or a Saturday that is worked instead of one."""

    date: date
    name: str
    source: str
    """The law or order it stands in."""
    status: Literal["confirmed", "provisional"]
    """Provisional: announced, but not yet in force."""


class Calendar(Model):
    """The working days of a country in the years 2020 to 2040. For other days build another one, do not copy it."""

    country: str
    profile: Literal["", "state"] = ""
    """`state`: with the working days that a Cabinet order moves; it binds institutions paid from the state budget."""
    version: str
    """Name and version, as stored with every clock: `LV 2026-11-21`."""
    days: tuple[Day, ...]

    @cached_property
    def _rows(self) -> dict[date, Day]:
        return {day.date: day for day in self.days}

    def why_off(self, day: date) -> str | None:
        """The holiday's name, else `Saturday` or `Sunday`; None for a working day.

        Raises:
            OutsideCalendar: The day is before 2020 or after 2040.
        """
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            fault = f"{day} is outside calendar {self.version}, which covers {FIRST_YEAR}-{LAST_YEAR}"
            raise OutsideCalendar(fault)
        if row := self._rows.get(day):
            return None if row.name.startswith(WORKED) else row.name
        return WEEKDAYS[day.weekday()] if day.weekday() >= SATURDAY else None

    def is_working_day(self, day: date) -> bool:
        """True if the day is no Saturday, Sunday, statutory holiday or statutory day off.

        Raises:
            OutsideCalendar: The day is before 2020 or after 2040.
        """
        return self.why_off(day) is None

    def next_working_day(self, day: date) -> date:
        """The day itself if it is a working day, else the first one after it.

        Raises:
            OutsideCalendar: The answer needs a day before 2020 or after 2040.
        """
        while not self.is_working_day(day):
            day += ONE_DAY
        return day

    def add_working_days(self, day: date, amount: int) -> date:
        """The `amount`-th working day strictly after the day, or strictly before it if negative; 0: the day itself.

        Raises:
            OutsideCalendar: The answer needs a day before 2020 or after 2040.
        """
        step = ONE_DAY if amount > 0 else -ONE_DAY
        left = abs(amount)
        while left:
            day += step
            left -= self.is_working_day(day)
        return day


@cache
def load(name: str) -> Calendar:
    """The calendar of a country, or of a country and profile: `LV`, `LT`, `EE`, `LV-state`. Read once, then kept.

    Raises:
        ValueError: There is no such calendar.
    """
    if name not in NAMES:
        fault = f"no calendar {name!r}; there are {', '.join(NAMES)}"
        raise ValueError(fault)
    country, _, profile = name.partition("-")
    with (TABLES / f"{country}.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["profile"] in ("", profile)]
    days = tuple(Day.model_validate({key: row[key] for key in Day.model_fields}) for row in rows)
    return Calendar.model_validate(
        {"country": country, "profile": profile, "version": f"{name} {VERSIONS[country]}", "days": days}
    )
