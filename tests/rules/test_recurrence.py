"""What recurs: from which day each turn is counted, its last day, and when it opens; leap days, year ends, holidays."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from rules.calendar import load
from rules.period import Unit, count
from rules.recurrence import Last, first_period, midnight, turn, upcoming
from rules.rulebook import RulebookError, book, parse
from tests.rules.test_rulebook import TINY

VILNIUS, RIGA = ZoneInfo("Europe/Vilnius"), ZoneInfo("Europe/Riga")
SE, DZ = book("SE"), book("DZ")


@pytest.mark.parametrize(
    ("done", "last_day", "opens"),
    [
        ("2027-03-15", "2028-03-15", "2028-01-15"),
        ("2028-02-29", "2029-02-28", "2028-12-30"),  # no such day in the next year: the month's last
        ("2027-02-28", "2028-02-28", "2027-12-30"),  # the year after has one more day, and is not owed it
        ("2026-12-31", "2027-12-31", "2027-11-01"),
        ("2027-01-01", "2028-01-01", "2027-11-02"),  # New Year, and a Saturday: a recurrence is never rolled
        ("2026-03-11", "2027-03-11", "2027-01-10"),  # Lithuania's Day of Independence Restored
        ("2026-07-06", "2027-07-06", "2027-05-07"),  # Statehood Day
    ],
)
def test_a_year_is_counted_from_the_last_time_and_not_rolled(done: str, last_day: str, opens: str) -> None:
    """SE-3.2: the turn after one is counted from when that was done, not from when it was due."""
    duty = SE.find("SE-3.2")
    [found] = upcoming(SE, duty, Last(n=3, how="turn", on=date.fromisoformat(done)))
    assert (found.n, found.first) == (4, False)
    assert found.since == datetime.combine(date.fromisoformat(done), datetime.min.time(), VILNIUS)
    assert found.last_day == date.fromisoformat(last_day)
    # in time means before the local midnight after the last day
    assert found.due == midnight(date.fromisoformat(last_day) + timedelta(days=1), VILNIUS)
    assert found.opens_at == midnight(date.fromisoformat(opens), VILNIUS)


def test_what_is_not_done_has_no_turn_after_it() -> None:
    """A missed one stays open: nothing replaces it."""
    assert list(upcoming(SE, SE.find("SE-3.2"), Last(n=3, how="turn", on=date(2027, 3, 15), open=True))) == []


def test_each_calendar_year_has_its_own_review_whatever_became_of_the_one_before() -> None:
    """SE-37.2: due on 31 December, a holiday's eve or a weekend or not; the first from when the rulebook is used."""
    duty = SE.find("SE-37.2")
    first, second, third = islice(upcoming(SE, duty, Last(how="first_on", on=date(2026, 11, 22))), 3)
    assert [t.last_day for t in (first, second, third)] == [date(2026, 12, 31), date(2027, 12, 31), date(2028, 12, 31)]
    assert [t.n for t in (first, second, third)] == [1, 2, 3]
    assert first.opens_at == first.since == midnight(date(2026, 11, 22), VILNIUS)
    assert second.since == midnight(date(2027, 1, 1), VILNIUS)
    assert second.opens_at == midnight(date(2027, 11, 1), VILNIUS)
    for was_open in (True, False):
        last = Last(n=2, how="turn", on=date(2027, 1, 1), open=was_open)
        assert next(upcoming(SE, duty, last)).last_day == date(2028, 12, 31)


def test_a_review_that_was_done_in_a_year_is_that_years() -> None:
    last = Last(how="done", on=date(2026, 1, 2))
    assert next(upcoming(SE, SE.find("SE-37.2"), last)).last_day == date(2027, 12, 31)


def test_the_first_training_is_due_on_the_day_on_which_the_work_starts() -> None:
    """DZ-16.7: when the work starts, and then once a year from the last training."""
    duty = DZ.find("DZ-16.7")
    assert first_period(DZ, duty) is not None
    [first] = upcoming(DZ, duty, Last(how="begins", on=date(2027, 5, 3)))
    assert (first.first, first.last_day) == (True, date(2027, 5, 3))
    assert first.opens_at == midnight(date(2027, 5, 3), RIGA)
    [then] = upcoming(DZ, duty, Last(n=1, how="turn", on=date(2027, 5, 3)))
    assert (then.first, then.last_day) == (False, date(2028, 5, 3))
    assert then.opens_at == midnight(date(2028, 3, 19), RIGA)


def test_the_clock_change_moves_no_day() -> None:
    """A turn counted from the night of 28 March is due at local midnight a year later."""
    found = turn(SE, SE.find("SE-3.2"), 1, datetime(2027, 3, 28, 0, 30, tzinfo=UTC), first=False)
    assert found.last_day == date(2028, 3, 28)
    assert found.due == datetime(2028, 3, 28, 21, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("organisation", "duty", "start", "last_day"),
    [
        # Good Friday does not exist in Lithuania, Easter Monday does
        ("SE", "SE-25.5", "2027-03-24", "2027-04-01"),
        ("SE", "SE-25.5", "2026-12-23", "2027-01-04"),  # 24, 25 and 26 December, 1 January
        ("DZ", "DZ-17.1", "2027-03-24", "2027-04-02"),  # Good Friday and Easter Monday
        ("DZ", "DZ-17.1", "2027-04-30", "2027-05-10"),  # 4 May is on a Tuesday
        ("SE", "SE-34.2", "2027-12-23", "2027-12-28"),
        ("DZ", "DZ-16.4", "2027-11-18", "2027-11-18"),  # the day itself, a holiday or not
        ("SE", "SE-29.3", "2026-01-31", "2026-02-28"),  # a Saturday, not rolled: the clinic's own term
    ],
)
def test_what_is_counted_in_working_days_passes_over_the_holidays_there(
    organisation: str, duty: str, start: str, last_day: str
) -> None:
    rulebook = book(organisation)
    period = rulebook.find(duty).period
    assert period is not None
    at = midnight(date.fromisoformat(start), ZoneInfo(rulebook.zone)) + timedelta(hours=9)
    assert count(at, period, rulebook.zone, load(rulebook.calendar)).last_day == date.fromisoformat(last_day)


def test_what_is_recommended_is_never_late() -> None:
    """SE-33.5.1, SE-33.5.2: reported as not followed."""
    for duty in ("SE-33.5.1", "SE-33.5.2"):
        assert SE.find(duty).has_clock
        assert not SE.find(duty).can_be_late
    assert SE.find("SE-37.2").can_be_late
    assert SE.find("SE-37.2").unit is Unit.calendar_year


def test_faults_of_tasks_are_named_with_their_duty() -> None:
    """A task of a duty that is not there, or whose follow-up is not, is refused when the book is read."""
    with pytest.raises(RulebookError) as faults:
        parse(
            TINY
            + """
[values.tasks."XX-9"]
[values.tasks."XX-1"]
stage = "analysing"
follows = ["XX-2"]
lead_days = 5
about = "department"
[values.tasks."XX-2"]
stage = "training"
about = "employee"
follows = ["XX-7"]
""",
            "xx.toml",
        )
    text = str(faults.value)
    assert "values.tasks.XX-9: no duty of this file" in text
    assert "values.tasks.XX-1: follows: of analysing 2" in text
    assert "values.tasks.XX-2.follows: XX-7 is not in this file" in text
