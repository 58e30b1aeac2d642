"""The frozen tables of days: complete, readable, and different from the package `holidays` only in ways we can name."""

from __future__ import annotations

import csv
import hashlib
from datetime import date, timedelta

import holidays
import pytest

from models.countable import FIRST_YEAR, LAST_YEAR
from rules.calendar import NAMES, TABLES, VERSIONS, Calendar, Day, OutsideCalendar, load
from rules.calendars.generate import SWAPS, rows

SHA256 = {
    "EE 2026-11-21": "1fb97d8b271a69d3482b8f671440c62f3a963d7fa4eaf606b2a1f44cde2c4f2a",
    "LT 2026-11-21": "3c947e98705a5e9b21a1e38303a733ed5610335aeb9dbac20fa20591d9351d18",
    "LV 2026-11-21": "47436745d11c1272a0e1088fb351fb7facb8d5a31de7e6f41380c3d47ff39846",
}
FIRST, LAST = date(FIRST_YEAR, 1, 1), date(LAST_YEAR, 12, 31)
EVERY_DAY = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]

MISSING_IN_HOLIDAYS: dict[str, dict[date, str]] = {
    "LV": {date(2028, 7, 10): "Song and Dance Celebration 2028, provisional"},
    "LT": {},
    "EE": {},
}
HOLIDAYS_ONLY_FOR_THE_STATE = {
    date(2020, 6, 22): date(2020, 6, 13),
    date(2021, 5, 3): date(2021, 5, 8),
    date(2021, 6, 25): date(2021, 6, 19),
    date(2021, 11, 19): date(2021, 11, 13),
    date(2023, 5, 5): date(2023, 5, 20),
    date(2024, 12, 23): date(2024, 12, 14),
    date(2024, 12, 30): date(2024, 12, 28),
    date(2025, 5, 2): date(2025, 5, 10),
    date(2025, 11, 17): date(2025, 11, 8),
    date(2026, 1, 2): date(2026, 1, 17),
    date(2026, 6, 22): date(2026, 6, 27),
}


def library(country: str) -> dict[date, str]:
    return dict(holidays.country_holidays(country, years=range(FIRST_YEAR, LAST_YEAR + 1), language="en_US").items())


@pytest.mark.parametrize("country", sorted(VERSIONS))
def test_table_differs_from_the_library_only_by_name(country: str) -> None:
    """A library upgrade that moves a day fails here, by date, instead of moving deadlines."""
    ours = {day.date: day.name for day in load(country).days}
    theirs = library(country)
    moved = HOLIDAYS_ONLY_FOR_THE_STATE if country == "LV" else {}
    assert ours.keys() - theirs.keys() == MISSING_IN_HOLIDAYS[country].keys()
    assert theirs.keys() - ours.keys() == moved.keys()
    assert {day: name for day, name in ours.items() if day in theirs and theirs[day] != name} == {}


def test_moved_days_of_the_library_are_the_swaps_of_the_state_profile() -> None:
    """The package names the Saturday that is worked instead; day and Saturday are the rows of the profile."""
    theirs = {day: name for day, name in library("LV").items() if name.startswith("Day off (substituted from")}
    assert {day: f"Day off (substituted from {sat:%m/%d/%Y})" for day, sat, _ in SWAPS} == theirs
    assert {day: sat for day, sat, _ in SWAPS} == HOLIDAYS_ONLY_FOR_THE_STATE


@pytest.mark.parametrize("country", sorted(VERSIONS))
def test_generator_writes_the_frozen_table(country: str) -> None:
    with (TABLES / f"{country}.csv").open(encoding="utf-8", newline="") as file:
        frozen = list(csv.reader(file))
    assert frozen[1:] == [[str(value) for value in row] for row in rows(country)]
    assert frozen[0] == ["country", "profile", "date", "name", "source", "status"]


@pytest.mark.parametrize("country", sorted(VERSIONS))
def test_changed_table_needs_a_new_version(country: str) -> None:
    """Clocks store the version: the same version must always mean the same days."""
    found = hashlib.sha256((TABLES / f"{country}.csv").read_bytes()).hexdigest()
    assert found == SHA256.get(f"{country} {VERSIONS[country]}"), f"{country}: raise VERSIONS, then add the hash here"


@pytest.mark.parametrize("name", NAMES)
def test_no_day_stands_twice_and_each_has_a_source(name: str) -> None:
    days = load(name).days
    assert [day.date for day in days] == sorted({day.date for day in days})
    assert all(day.name and day.source for day in days)


def test_only_the_celebration_of_2028_is_provisional() -> None:
    found = [(name, day.date) for name in ("EE", "LT", "LV") for day in load(name).days if day.status == "provisional"]
    assert found == [("LV", date(2028, 7, 10))]


def test_moved_days_count_only_for_the_state() -> None:
    """An order that moves a working day binds institutions paid from the state budget, not an insurer."""
    for off, saturday in HOLIDAYS_ONLY_FOR_THE_STATE.items():
        assert load("LV").is_working_day(off)
        assert load("LV").why_off(saturday) == "Saturday"
        assert load("LV-state").why_off(off) == f"Day off (moved to {saturday})"
        assert load("LV-state").is_working_day(saturday)


def test_profile_differs_from_the_country_by_the_swaps_alone() -> None:
    plain, state = load("LV"), load("LV-state")
    differ = {day for day in EVERY_DAY if plain.is_working_day(day) != state.is_working_day(day)}
    assert differ == HOLIDAYS_ONLY_FOR_THE_STATE.keys() | set(HOLIDAYS_ONLY_FOR_THE_STATE.values())


@pytest.mark.parametrize(
    ("name", "day", "reason"),
    [
        ("LV", date(2026, 4, 3), "Good Friday"),
        ("LT", date(2026, 4, 3), None),
        ("EE", date(2026, 4, 3), "Good Friday"),
        ("EE", date(2026, 4, 6), None),
        ("LT", date(2026, 11, 2), "All Souls' Day"),
        ("LV", date(2024, 5, 6), "Restoration of Independence Day (observed)"),
        ("LV", date(2029, 11, 19), "Republic of Latvia Proclamation Day (observed)"),
        ("LV", date(2023, 7, 10), "Nationwide Latvian Song and Dance Celebration Final Day"),
        ("LV", date(2028, 7, 10), "Day after the Nationwide Latvian Song and Dance Celebration"),
        ("LV", date(2026, 11, 21), "Saturday"),
        ("LT", date(2026, 11, 22), "Sunday"),
        ("EE", date(2026, 12, 31), None),
        ("EE", date(2026, 2, 23), None),
        ("LV", date(2026, 12, 31), "New Year's Eve"),
    ],
)
def test_why_a_day_is_off(name: str, day: date, reason: str | None) -> None:
    """Estonia's shortened days are working days; Latvia has the Monday after 4 May or 18 November on a weekend."""
    assert load(name).why_off(day) == reason
    assert load(name).is_working_day(day) == (reason is None)


def test_working_days_forward_and_back() -> None:
    lv = load("LV")
    assert lv.next_working_day(date(2026, 4, 3)) == date(2026, 4, 7)
    assert lv.next_working_day(date(2026, 4, 7)) == date(2026, 4, 7)
    assert lv.add_working_days(date(2026, 4, 2), 1) == date(2026, 4, 7)
    assert lv.add_working_days(date(2026, 4, 7), -1) == date(2026, 4, 2)
    assert lv.add_working_days(date(2026, 4, 3), 0) == date(2026, 4, 3)


def test_outside_the_table_is_an_error_not_a_guess() -> None:
    lt = load("LT")
    assert lt.is_working_day(date(2020, 1, 2))
    assert lt.is_working_day(date(2040, 12, 31))
    with pytest.raises(OutsideCalendar, match=r"2019-12-31 is outside calendar LT 2026-11-21, which covers 2020-2040"):
        lt.is_working_day(date(2019, 12, 31))
    with pytest.raises(OutsideCalendar, match="2041-01-01"):
        lt.add_working_days(date(2040, 12, 31), 1)
    with pytest.raises(OutsideCalendar, match="2041-01-01"):
        load("LV").next_working_day(date(2040, 12, 31))


def test_tables_are_read_once_and_carry_their_version(monkeypatch: pytest.MonkeyPatch) -> None:
    first = load("LV-state")
    monkeypatch.setattr("rules.calendar.TABLES", TABLES / "nowhere")
    assert load("LV-state") is first
    assert (first.country, first.profile, first.version) == ("LV", "state", "LV-state 2026-11-21")
    assert load("LV").version == "LV 2026-11-21"


def test_unknown_calendar_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no calendar 'LT-state'; there are EE, LT, LV, LV-state"):
        load("LT-state")


def test_another_table_is_another_calendar() -> None:
    """What a recount uses: the same country with one more holiday, under its own version."""
    lt = load("LT")
    extra = Day(date=date(2026, 3, 3), name="Day of Mourning", source="Law of 1 March 2026", status="confirmed")
    changed = Calendar(country="LT", version="LT 2026-12-01", days=(*lt.days, extra))
    assert lt.is_working_day(date(2026, 3, 3))
    assert changed.why_off(date(2026, 3, 3)) == "Day of Mourning"
