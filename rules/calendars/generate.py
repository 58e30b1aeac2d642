"""Writes the frozen tables of days off from the package `holidays`, with our corrections; run by hand only.

    python -m rules.calendars.generate

Read the diff, then raise the country's entry in `rules.calendar.VERSIONS`: clocks that were counted with the old table
are recounted by that version.
"""

from __future__ import annotations

import csv
from datetime import date
from typing import NamedTuple

import holidays

from models.countable import FIRST_YEAR, LAST_YEAR
from rules.calendar import TABLES, VERSIONS, WORKED

LAWS = {
    "EE": "Public Holidays and Days of National Importance Act",
    "LT": "Labour Code, art. 123",
    "LV": "Law on Public Holidays, Commemoration Days and Celebration Days",
}


class Row(NamedTuple):
    """One line of a table, in the order of its columns."""

    country: str
    profile: str
    date: date
    name: str
    source: str
    status: str


ADDED = (
    Row(
        "LV",
        "",
        date(2028, 7, 10),
        "Day after the Nationwide Latvian Song and Dance Celebration",
        LAWS["LV"] + "; dates of 2028 as announced",
        "provisional",
    ),
)
"""Days off that `holidays` lacks."""

SOURCES = {date(2023, 5, 29): "Law of 28 May 2023 (likumi.lv 342196)"}
"""Days that have a law of their own."""

SWAPS = (
    (date(2020, 6, 22), date(2020, 6, 13), "308097"),
    (date(2021, 5, 3), date(2021, 5, 8), "315837"),
    (date(2021, 6, 25), date(2021, 6, 19), "315837"),
    (date(2021, 11, 19), date(2021, 11, 13), "315837"),
    (date(2023, 5, 5), date(2023, 5, 20), "333470"),
    (date(2024, 12, 23), date(2024, 12, 14), "342680"),
    (date(2024, 12, 30), date(2024, 12, 28), "342680"),
    (date(2025, 5, 2), date(2025, 5, 10), "351684"),
    (date(2025, 11, 17), date(2025, 11, 8), "351684"),
    (date(2026, 1, 2), date(2026, 1, 17), "361161"),
    (date(2026, 6, 22), date(2026, 6, 27), "361161"),
)
"""Latvia: day off, the Saturday worked for it, and the Cabinet order at likumi.lv.

`holidays` calls them public holidays, but the orders bind institutions paid from the state budget only."""


def rows(country: str) -> list[Row]:
    """The whole table of a country as the installed `holidays` and the corrections above give it."""
    found = holidays.country_holidays(country, years=range(FIRST_YEAR, LAST_YEAR + 1), language="en_US")
    moved = {off for off, _, _ in SWAPS} if country == "LV" else set()
    table = [
        Row(country, "", day, name, SOURCES.get(day, LAWS[country]), "confirmed")
        for day, name in found.items()
        if day not in moved
    ]
    table += [row for row in ADDED if row.country == country]
    if country == "LV":
        for off, worked, order in SWAPS:
            source = f"Cabinet order on moved working days of {off.year} (likumi.lv {order})"
            table.append(Row(country, "state", off, f"Day off (moved to {worked})", source, "confirmed"))
            table.append(Row(country, "state", worked, f"{WORKED} (moved from {off})", source, "confirmed"))
    return sorted(table, key=lambda row: (row.date, row.profile))


def main() -> None:
    """Write every table anew."""
    for country in VERSIONS:
        with (TABLES / f"{country}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Row._fields)
            writer.writerows(rows(country))


if __name__ == "__main__":
    main()
