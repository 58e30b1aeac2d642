"""Counting periods: the worked vectors, holds, two readings, reminders, and the rules that hold for every date."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.calendar import ONE_DAY, ZONES, Calendar, OutsideCalendar, load
from rules.period import Count, Period, Roll, Span, Unit, count, count_case, reminders

HERE = Path(__file__).parent
SHARED = HERE.parents[2] / "shared" / "domain" / "vectors.json"
VECTORS: list[dict[str, Any]] = json.loads((HERE / "vectors.json").read_text(encoding="utf-8"))
OWN: dict[str, list[dict[str, Any]]] = json.loads((HERE / "holds.json").read_text(encoding="utf-8"))
RIGA = "Europe/Riga"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def riga(text: str, amount: int, unit: str, roll: str = "none", holds: tuple[Span, ...] = ()) -> Count:
    return count(at(text), Period(amount=amount, unit=Unit(unit), roll=Roll(roll)), RIGA, load("LV"), holds)


def case(**changes: Any) -> dict[str, Any]:
    rule = {"amount": 1, "unit": "working_days", "roll": "none"}
    return {"id": "C1", "country": "LV", "zone": RIGA, "start": "2026-04-02T10:00:00+03:00", "rule": rule, **changes}


# Vectors


def test_our_copy_of_the_vectors_is_current() -> None:
    if not SHARED.exists():
        pytest.skip("the shared vectors do not lie beside this checkout, so the copy cannot be compared")
    assert (HERE / "vectors.json").read_bytes() == SHARED.read_bytes()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v["id"])
def test_vector(vector: dict[str, Any]) -> None:
    found = count_case(vector)
    expected = vector["expected"]
    assert (found["id"], found["due_date"], found["due_instant_utc"]) == (
        vector["id"],
        expected["due_date"],
        expected["due_instant_utc"],
    )


@pytest.mark.parametrize("vector", OWN["holds"], ids=lambda v: v["id"])
def test_hold(vector: dict[str, Any]) -> None:
    """Extend: the dates after the hold up to the release are not counted; restart: a new count, nothing else."""
    found = count(
        at(vector["start"]),
        Period.model_validate(vector["rule"]),
        vector["zone"],
        load(vector["country"]),
        tuple(Span.model_validate(span) for span in vector.get("holds", ())),
        timedelta(seconds=vector.get("held_seconds", 0)),
    )
    expected = vector["expected"]
    assert found.last_day.isoformat() == expected["due_date"], vector["note"]
    assert found.due == at(expected["due_instant_utc"]), vector["note"]
    assert found.held_days == expected["held_days"], vector["note"]


@pytest.mark.parametrize("vector", OWN["two_dates"], ids=lambda v: v["id"])
def test_two_readings(vector: dict[str, Any]) -> None:
    """`due` is the earlier reading; between it and `latest` a clock is overdue, from `latest` on it is late."""
    due, latest = (
        count(at(vector["start"]), Period.model_validate(rule), vector["zone"], load(vector["country"])).due
        for rule in (vector["rule"], vector["latest_rule"])
    )
    assert due == at(vector["expected"]["due_instant_utc"])
    assert latest == at(vector["expected"]["latest_instant_utc"])
    for instant in vector["instants"]:
        when = at(instant["at"])
        assert instant["is"] == ("in time" if when < due else "overdue" if when < latest else "late"), instant


# Single rules


def test_due_instant_is_exclusive() -> None:
    """The last microsecond of the last day is before the due instant; the due instant is the next day already."""
    found = riga("2026-05-12T12:00:00+03:00", 1, "calendar_days")
    local = found.due.astimezone(ZoneInfo(RIGA))
    assert (local.date(), local.time()) == (date(2026, 5, 14), time())
    assert at("2026-05-13T23:59:59.999999+03:00") < found.due
    assert not at("2026-05-14T00:00:00+03:00") < found.due


def test_event_day_is_a_local_date() -> None:
    """One microsecond before local midnight and local midnight itself are two event days."""
    before = riga("2026-05-12T20:59:59.999999+00:00", 1, "calendar_days")
    after = riga("2026-05-12T21:00:00+00:00", 1, "calendar_days")
    assert (before.event_day, before.last_day) == (date(2026, 5, 12), date(2026, 5, 13))
    assert (after.event_day, after.last_day) == (date(2026, 5, 13), date(2026, 5, 14))


def test_one_month_and_two_are_three_from_receipt() -> None:
    """An extended term is counted once from the event: 31 January and 3 months is 30 April, not 28 April."""
    assert riga("2027-01-31T12:00:00+02:00", 3, "months").last_day == date(2027, 4, 30)


def test_hours_are_never_rolled() -> None:
    rolled = riga("2026-05-01T18:00:00+03:00", 72, "hours", "next_working_day")
    assert rolled == riga("2026-05-01T18:00:00+03:00", 72, "hours").model_copy(update={"period": rolled.period})
    assert rolled.due == at("2026-05-04T18:00:00+03:00")


@pytest.mark.parametrize(("amount", "last"), [(0, date(2026, 5, 5)), (1, date(2026, 12, 31)), (2, date(2027, 12, 31))])
def test_calendar_year_ends_with_31_december(amount: int, last: date) -> None:
    assert riga("2026-05-05T12:00:00+03:00", amount, "calendar_year").last_day == last


def test_calendar_year_is_that_of_the_local_date() -> None:
    """22:30 UTC on 31 December is the new year in Riga."""
    assert riga("2026-12-31T22:30:00+00:00", 1, "calendar_year").last_day == date(2027, 12, 31)


def test_terms_without_a_roll_ask_the_calendar_nothing() -> None:
    """Storage for 50 years ends beyond the table, and for a calendar that knows no day at all."""
    nothing = Calendar(country="LV", version="LV empty", days=())
    for unit, amount in ((Unit.years, 50), (Unit.months, 600), (Unit.calendar_days, 18263), (Unit.calendar_year, 51)):
        found = count(at("2026-11-21T12:00:00+02:00"), Period(amount=amount, unit=unit), RIGA, nothing)
        assert found.last_day in (date(2076, 11, 21), date(2076, 12, 31))
    with pytest.raises(OutsideCalendar, match="2076-11-21"):
        riga("2026-11-21T12:00:00+02:00", 50, "years", "next_working_day")
    with pytest.raises(OutsideCalendar, match="2041-01-01"):
        riga("2040-12-31T12:00:00+02:00", 1, "working_days")


def test_state_profile_counts_a_moved_day_as_off() -> None:
    plain = count_case(case(start="2026-06-19T10:00:00+03:00"))
    state = count_case(case(start="2026-06-19T10:00:00+03:00", profile="state"))
    assert (plain["due_date"], state["due_date"]) == ("2026-06-22", "2026-06-25")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"start": at("2026-05-05T12:00:00")}, "start: naive"),
        ({"period": Period(amount=-1, unit=Unit.months)}, "amount: negative"),
        ({"zone": "Europe/Nowhere"}, "zone: no zone 'Europe/Nowhere'"),
        ({"zone": "../zone"}, "zone: no zone"),
        ({"holds": (Span(from_day=date(2026, 5, 7), released=date(2026, 5, 6)),)}, "released 2026-05-06, before"),
        ({"held_for": timedelta(hours=1)}, "held_for"),
        ({"period": Period(amount=1, unit=Unit.hours), "held_for": timedelta(hours=-1)}, "held_for"),
        (
            {
                "period": Period(amount=1, unit=Unit.hours),
                "holds": (Span(from_day=date(2026, 5, 7), released=None),),
            },
            "holds: hours",
        ),
        ({"period": Period(amount=9000, unit=Unit.years)}, "leaves the years 1-9999"),
        ({"period": Period(amount=10**30, unit=Unit.calendar_days)}, "leaves the years 1-9999"),
    ],
)
def test_refused(arguments: dict[str, Any], fault: str) -> None:
    good: dict[str, Any] = {
        "start": at("2026-05-05T12:00:00+03:00"),
        "period": Period(amount=1, unit=Unit.months),
        "zone": RIGA,
        "calendar": load("LV"),
    }
    with pytest.raises(ValueError, match=fault):
        count(**{**good, **arguments})


# Derivation


def test_derivation_names_every_holiday_and_sums_up_weekends() -> None:
    found = riga("2026-03-27T10:00:00+02:00", 10, "working_days")
    assert found.derivation == (
        "event: 2026-03-27 10:00:00+02:00 in Europe/Riga, a Friday; the event day is not counted",
        "period: 10 working days",
        (
            "days skipped: 8: 2 weekends, Saturday 2026-04-04, Good Friday (Friday 2026-04-03), "
            "Easter Sunday (Sunday 2026-04-05), Easter Monday (Monday 2026-04-06)"
        ),
        "last day: Tuesday 2026-04-14",
        "due: 2026-04-15 00:00:00+03:00 in Europe/Riga (2026-04-14T21:00:00Z); in time means before it",
        "calendar: LV 2026-11-21",
    )


def test_derivation_tells_roll_and_holds() -> None:
    spans = (
        Span(from_day=date(2026, 3, 10), released=date(2026, 3, 11)),
        Span(from_day=date(2026, 5, 1), released=None),
    )
    found = riga("2026-03-02T10:00:00+02:00", 1, "months", "next_working_day", spans)
    assert found.rolled_from == date(2026, 4, 3)
    assert found.derivation[1:7] == (
        (
            "period: 1 month, to the same day of the month or, if it has none, its last day; "
            "if the last day is a day off, the next working day"
        ),
        "hold: Tuesday 2026-03-10, released Wednesday 2026-03-11",
        "hold: Friday 2026-05-01, at the due instant or later: changes nothing",
        "held days that do not count: 1; the last day is never before a release",
        (
            "days skipped: 4: Saturday 2026-04-04, Good Friday (Friday 2026-04-03), "
            "Easter Sunday (Sunday 2026-04-05), Easter Monday (Monday 2026-04-06)"
        ),
        "rolled: from Friday 2026-04-03, a day off, to the next working day",
    )


def test_derivation_of_an_open_hold_says_that_due_is_not_final() -> None:
    held = riga(
        "2026-03-02T10:00:00+02:00", 10, "calendar_days", holds=(Span(from_day=date(2026, 3, 5), released=None),)
    )
    assert "hold: Thursday 2026-03-05, not released yet: due can only become later" in held.derivation


def test_derivation_of_hours_tells_the_time_held_and_which_of_two_equal_clock_times() -> None:
    start, period = at("2026-10-25T03:30:00+03:00"), Period(amount=1, unit=Unit.hours)
    found = count(start, period, RIGA, load("LV"), held_for=timedelta(minutes=90))
    assert found.derivation == (
        "event: 2026-10-25 03:30:00+03:00 in Europe/Riga, a Sunday",
        "period: 1 hour of elapsed time, never rolled",
        "time held, added as elapsed time: 1:30:00",
        "due: 2026-10-25 05:00:00+02:00 in Europe/Riga (2026-10-25T03:00:00Z); in time means before it",
        "calendar: LV 2026-11-21",
    )


def test_count_survives_storage() -> None:
    found = riga("2026-03-02T10:00:00+02:00", 1, "months", holds=(Span(from_day=date(2026, 3, 5), released=None),))
    again = Count.model_validate_json(found.model_dump_json())
    assert again == found
    assert again.derivation == found.derivation


# Reminders


def test_reminders_are_at_nine_local_and_before_due() -> None:
    """Last day Wednesday 8 April after Easter: days, working days and hours before it, sorted, each once."""
    found = riga("2026-04-01T10:00:00+03:00", 3, "working_days")
    assert found.last_day == date(2026, 4, 8)
    got = reminders(("0d", "1wd", "2wd", "6h", "1d", "1d"), found, RIGA, load("LV"), at("2026-04-01T10:00:00+03:00"))
    assert [str(instant.astimezone(ZoneInfo(RIGA)))[:16] for instant in got] == [
        "2026-04-02 09:00",
        "2026-04-07 09:00",
        "2026-04-08 09:00",
        "2026-04-08 18:00",
    ]
    assert all(instant.tzinfo is UTC for instant in got)


def test_reminders_keep_nine_oclock_over_summer_time() -> None:
    found = riga("2026-03-20T10:00:00+02:00", 10, "calendar_days")
    got = reminders(("3d", "0d"), found, RIGA, load("LV"), at("2026-03-20T10:00:00+02:00"))
    assert got == (at("2026-03-27T07:00:00Z"), at("2026-03-30T06:00:00Z"))


def test_reminders_not_after_the_given_instant_or_not_before_due_are_dropped() -> None:
    found = riga("2026-04-01T10:00:00+03:00", 10, "calendar_days")
    assert reminders(("2d",), found, RIGA, load("LV"), at("2026-04-09T09:00:00+03:00")) == ()
    assert reminders(("2d",), found, RIGA, load("LV"), at("2026-04-09T08:59:59+03:00")) == (at("2026-04-09T06:00:00Z"),)
    assert reminders(("0h",), found, RIGA, load("LV"), found.start) == ()
    early = riga("2026-04-01T08:00:00+03:00", 24, "hours")
    assert reminders(("0d",), early, RIGA, load("LV"), early.start) == ()


@pytest.mark.parametrize("lead", ["", "3", "d", "-1d", "3 d", "3m", "1wdh", "٣d", "3d\n", "9999999d", "99999999999h"])
def test_reminder_in_another_form_is_refused(lead: str) -> None:
    found = riga("2026-04-01T10:00:00+03:00", 10, "calendar_days")
    with pytest.raises(ValueError, match="reminder"):
        reminders((lead,), found, RIGA, load("LV"), found.start)


def test_reminders_need_an_instant_with_a_zone() -> None:
    found = riga("2026-04-01T10:00:00+03:00", 10, "calendar_days")
    with pytest.raises(ValueError, match="after: naive"):
        reminders(("1d",), found, RIGA, load("LV"), at("2026-04-01T00:00:00"))


# Cases from outside


def test_case_names_every_fault_at_once() -> None:
    bad = {"id": 7, "country": "XX", "zone": "Mars", "start": "2026-01-01", "rule": {"amount": True, "unit": "weeks"}}
    with pytest.raises(ValueError, match="id: must be a text") as caught:
        count_case(bad)
    assert str(caught.value).split("; ") == [
        "id: must be a text, not 7",
        "country: no country 'XX'",
        "there are EE, LT, LV",
        "zone: no zone 'Mars'",
        "start: '2026-01-01' is naive",
        "give an offset or Z",
        "rule.amount: must be a whole number, not True",
        "rule.unit: no unit 'weeks'",
        "there are hours, calendar_days, working_days, months, years, calendar_year",
        "rule.roll: missing",
    ]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"rule": {"amount": 1.0, "unit": "months", "roll": "none"}}, "rule.amount: must be a whole number, not 1.0"),
        ({"rule": {"amount": "1", "unit": "months", "roll": "none"}}, "rule.amount: must be a whole number, not '1'"),
        ({"rule": {"amount": None, "unit": "months", "roll": "none"}}, "rule.amount: must be a whole number, not None"),
        ({"rule": {"amount": -1, "unit": "months", "roll": "none"}}, "rule.amount: negative"),
        ({"rule": {"amount": 1, "unit": ["months"], "roll": "none"}}, "rule.unit: must be a text"),
        ({"rule": {"amount": 1, "unit": "months", "roll": "back"}}, "rule.roll: no roll 'back'"),
        ({"rule": [1, "months"]}, "rule: must be an object"),
        ({"start": "tomorrow"}, "start: 'tomorrow' is no ISO date and time"),
        ({"start": 1767225600}, "start: must be a text"),
        ({"start": "2026-04-02T10:00:00"}, "is naive; give an offset or Z"),
        ({"start": "2040-12-31T10:00:00Z"}, "2041-01-01 is outside calendar LV 2026-11-21"),
        ({"start": "9999-12-31T23:00:00Z"}, "leaves the years 1-9999"),
        ({"zone": "Europe/Nowhere"}, "zone: no zone 'Europe/Nowhere'"),
        ({"zone": None}, "zone: must be a text"),
        ({"country": ["LV"]}, "country: must be a text"),
        ({"country": "LT", "profile": "state"}, "profile: LT has no profile 'state'"),
        ({"profile": 1}, "profile: LV has no profile 1"),
    ],
)
def test_faulty_case_is_refused(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)):
        count_case(case(**changes))


def test_case_that_cannot_be_counted_still_names_its_other_faults() -> None:
    bad = case(start="2040-12-31T10:00:00Z")
    del bad["id"]
    with pytest.raises(ValueError, match="id: missing; 2041-01-01 is outside calendar"):
        count_case(bad)


def test_case_without_a_zone_has_that_of_its_country_and_more_fields_do_no_harm() -> None:
    plain = case(note="more", rule={"amount": 1, "unit": "working_days", "roll": "none", "clause": "10.5"})
    del plain["zone"]
    assert count_case(plain)["due_instant_utc"] == "2026-04-07T21:00:00Z"
    assert count_case(plain)["derivation"] == count_case(case())["derivation"]


# Rules for every date

COUNTRIES = st.sampled_from(sorted(ZONES))
STARTS = st.datetimes(at("2021-01-01"), at("2029-12-31"), timezones=st.just(UTC))
DAY_UNITS = st.sampled_from([unit for unit in Unit if unit is not Unit.hours])
AMOUNTS = st.integers(0, 8)
ROLLS = st.sampled_from(Roll)
unhurried = settings(deadline=None, max_examples=200)
"""The machine may be busy: what is tested is the rule, not its speed."""


@st.composite
def holds(draw: st.DrawFn, start: datetime) -> list[Span]:
    spans = []
    for _ in range(draw(st.integers(0, 3))):
        first = start.date() + timedelta(days=draw(st.integers(-5, 40)))
        length = draw(st.none() | st.integers(0, 20))
        spans.append(Span(from_day=first, released=None if length is None else first + timedelta(days=length)))
    return spans


@unhurried
@given(COUNTRIES, STARTS, DAY_UNITS, AMOUNTS, ROLLS, st.data())
def test_due_is_the_local_midnight_after_the_last_day(
    country: str, start: datetime, unit: Unit, amount: int, roll: Roll, data: st.DataObject
) -> None:
    """And so never before the start of the day after the event."""
    zone = ZoneInfo(ZONES[country])
    spans = data.draw(holds(start))
    found = count(start, Period(amount=amount, unit=unit, roll=roll), zone.key, load(country), spans)
    local = found.due.astimezone(zone)
    assert (local.time(), local.date()) == (time(), found.last_day + ONE_DAY)
    assert local.date() > start.astimezone(zone).date() == found.event_day
    assert found.due > start


@unhurried
@given(COUNTRIES, STARTS, st.sampled_from(Unit), AMOUNTS, ROLLS)
def test_more_is_never_earlier(country: str, start: datetime, unit: Unit, amount: int, roll: Roll) -> None:
    due = [
        count(start, Period(amount=n, unit=unit, roll=roll), ZONES[country], load(country)).due
        for n in (amount, amount + 1)
    ]
    assert due[0] <= due[1]


@unhurried
@given(COUNTRIES, STARTS, st.integers(1, 60))
def test_working_days_counted_are_exactly_the_amount(country: str, start: datetime, amount: int) -> None:
    """Strictly after the event day, the last day is itself the n-th; all days between are counted or explained."""
    calendar = load(country)
    found = count(start, Period(amount=amount, unit=Unit.working_days), ZONES[country], calendar)
    between = [found.event_day + timedelta(days=n + 1) for n in range((found.last_day - found.event_day).days)]
    assert sum(calendar.is_working_day(day) for day in between) == amount
    assert calendar.is_working_day(found.last_day)
    assert [skipped.date for skipped in found.skipped] == [day for day in between if not calendar.is_working_day(day)]


@unhurried
@given(COUNTRIES, STARTS, DAY_UNITS, AMOUNTS)
def test_roll_is_never_earlier_and_ends_on_a_working_day(
    country: str, start: datetime, unit: Unit, amount: int
) -> None:
    calendar = load(country)
    plain, rolled = (
        count(start, Period(amount=amount, unit=unit, roll=roll), ZONES[country], calendar) for roll in Roll
    )
    assert rolled.last_day == calendar.next_working_day(plain.last_day) >= plain.last_day
    assert rolled.rolled_from == (None if rolled.last_day == plain.last_day else plain.last_day)


@unhurried
@given(COUNTRIES, STARTS, DAY_UNITS, st.integers(0, 40), ROLLS, st.data())
def test_one_more_hold_is_never_earlier_and_the_order_does_not_matter(
    country: str, start: datetime, unit: Unit, amount: int, roll: Roll, data: st.DataObject
) -> None:
    if unit in (Unit.years, Unit.calendar_year):
        amount %= 5
    period, zone, calendar = Period(amount=amount, unit=unit, roll=roll), ZONES[country], load(country)
    spans = data.draw(holds(start))
    found = count(start, period, zone, calendar, spans)
    assert found == count(start, period, zone, calendar, spans[::-1])
    assert count(start, period, zone, calendar, spans[1:]).due <= found.due
    if unit is Unit.working_days and amount:
        assert calendar.is_working_day(found.last_day)
    for span in spans:
        if span.released and span.from_day <= found.last_day:
            assert span.released <= found.last_day


@unhurried
@given(COUNTRIES, STARTS, st.integers(1, 60), st.integers(0, 59), st.integers(0, 30))
def test_held_days_do_not_count(country: str, start: datetime, amount: int, offset: int, length: int) -> None:
    """A hold before the last day: exactly the amount of calendar days is counted outside of it."""
    zone = ZoneInfo(ZONES[country])
    first = start.astimezone(zone).date() + timedelta(days=min(offset, amount - 1))
    span = Span(from_day=first, released=first + timedelta(days=length))
    found = count(start, Period(amount=amount, unit=Unit.calendar_days), zone.key, load(country), [span])
    days = [found.event_day + timedelta(days=n + 1) for n in range((found.last_day - found.event_day).days)]
    assert sum(not span.from_day < day <= first + timedelta(days=length) for day in days) == amount
    assert found.held_days == length
