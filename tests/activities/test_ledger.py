"""The deadline ledger: starts, stops, holds, reopening, ticks and recounts, as rules and as properties."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel.ext.asyncio.session import AsyncSession

from activities import ledger as module
from activities.ledger import Ledger
from models.case import (
    OPEN,
    Correction,
    Evidence,
    HoldClock,
    Relate,
    ReleaseClock,
    Reopen,
    Start,
    Stop,
    Tick,
    Void,
)
from models.errors import Refusal
from models.tables import ClockRow
from rules.calendar import Calendar, load
from rules.period import Period, Unit
from rules.rulebook import Duty, Hold, Kind, book, books, duty_for
from tests.world import RIGA

ANCHOR = datetime(2027, 3, 1, 10, tzinfo=RIGA)
DUE = datetime(2027, 4, 1, tzinfo=RIGA)
CORRECTION = Correction(reason="the statement came late", document="dms/1", second_person="op-2")


class Shelf:
    """Takes the rows that a ledger adds; the ledger itself asks nothing of its session."""

    def add(self, row: Any) -> None:
        """Nothing to do: the ledger keeps the row."""


def ledger(at: datetime = ANCHOR, rows: list[ClockRow] | None = None) -> Ledger:
    """A ledger of a case of BTA at an instant."""
    return Ledger(cast("AsyncSession", Shelf()), "claim:BTA:1", "BTA", at, rows if rows is not None else [])


def started(duty: str = "BTA-10.5a", anchor: datetime = ANCHOR) -> list[ClockRow]:
    """The rows of a case with one running clock."""
    rows: list[ClockRow] = []
    ledger(anchor, rows).apply(Start(duty=duty, anchor_at=anchor))
    return rows


def evidence(at: datetime | None = None, on: date | None = None, **more: Any) -> Evidence:
    """Proof of an instant or a day."""
    return Evidence(kind="decision", happened_at=at, happened_on=on, **more)


def stop(rows: list[ClockRow], at: datetime, proof: Evidence, duty: str = "BTA-10.5a") -> ClockRow:
    """Stop the clock at an instant with a proof."""
    ledger(at, rows).apply(Stop(duty=duty, evidence=proof))
    return rows[-1]


def due(rows: list[ClockRow], at: datetime = DUE, duty: str = "BTA-10.5a") -> ClockRow:
    """The due instant comes."""
    ledger(at, rows).tick(Tick(duty=duty, what="due", instant=at))
    return rows[-1]


# ---- one clock ------------------------------------------------------------------------------------------------------


def test_a_clock_starts_with_its_derivation_and_versions() -> None:
    row = started()[0]
    assert (row.due, row.n, row.status) == (DUE, 1, "running")
    assert row.calendar_version == load("LV").version
    assert row.rulebook_version == book("BTA").version
    assert any("2027-03-31" in line for line in row.derivation)


def test_a_second_clock_of_a_running_duty_is_refused() -> None:
    rows = started()
    with pytest.raises(Refusal, match="running already"):
        ledger(rows=rows).apply(Start(duty="BTA-10.5a", anchor_at=ANCHOR))


@pytest.mark.parametrize("anchor", [datetime(1990, 1, 1, tzinfo=RIGA), datetime(2041, 1, 1, tzinfo=RIGA)])
@pytest.mark.parametrize("change", [Start, Relate])
def test_what_no_calendar_reaches_is_refused_and_not_tried_for_ever(
    change: type[Start | Relate], anchor: datetime
) -> None:
    """`BTA-10.5c` is counted in working days: an error there would have kept its case standing still."""
    rows = started("BTA-10.5c") if change is Relate else []
    with pytest.raises(Refusal, match=r"BTA-10\.5c: cannot be counted from there: .* which covers 2020-2040"):
        ledger(rows=rows).apply(change(duty="BTA-10.5c", anchor_at=anchor))
    assert len(rows) == (change is Relate)


def test_a_clock_that_starts_again_is_the_next_n() -> None:
    rows = started()
    ledger(rows=rows).apply(Void(duty="BTA-10.5a", reason="suit without award"))
    ledger(rows=rows).apply(Start(duty="BTA-10.5a", anchor_at=ANCHOR + timedelta(days=1)))
    assert [(r.n, r.status) for r in rows] == [(1, "void"), (2, "running")]


@pytest.mark.parametrize(
    ("happened", "status"), [(DUE - timedelta(seconds=1), "kept"), (DUE, "late"), (DUE + timedelta(days=1), "late")]
)
def test_in_time_is_judged_by_the_instant_of_the_evidence(happened: datetime, status: str) -> None:
    """Recorded two days after the due instant: the last second before it is in time, the due instant is not."""
    rows = started()
    due(rows)
    assert stop(rows, DUE + timedelta(days=2), evidence(happened)).status == status


@pytest.mark.parametrize(("day", "status"), [(date(2027, 3, 31), "kept"), (date(2027, 4, 1), "late")])
def test_evidence_with_only_a_date_is_compared_with_the_last_day(day: date, status: str) -> None:
    rows = started()
    due(rows)
    assert stop(rows, DUE + timedelta(days=2), evidence(on=day)).status == status


@pytest.mark.parametrize(
    "proof",
    [
        evidence(DUE + timedelta(days=3), by_person=True),
        evidence(ANCHOR - timedelta(seconds=1), by_person=True),
        evidence(on=date(2027, 4, 4)),
        evidence(on=date(2027, 2, 28)),
        Evidence(kind="decision"),
    ],
    ids=["in the future", "before the anchor", "a day in the future", "a day before the anchor", "no instant"],
)
def test_evidence_that_cannot_be_is_refused(proof: Evidence) -> None:
    rows = started()
    with pytest.raises(Refusal):
        stop(rows, DUE + timedelta(days=2), proof)
    assert rows[0].status == "running"


def test_a_person_turns_overdue_into_kept_only_with_a_correction() -> None:
    rows = started()
    due(rows)
    at, happened = DUE + timedelta(days=2), DUE - timedelta(days=1)
    with pytest.raises(Refusal, match="correction"):
        stop(rows, at, evidence(happened, by_person=True))
    assert stop(rows, at, evidence(happened, by_person=True, correction=CORRECTION)).status == "kept"
    assert rows[0].overdue_at is not None


def test_a_person_needs_no_correction_to_say_that_it_was_late() -> None:
    rows = started()
    due(rows)
    assert stop(rows, DUE + timedelta(days=2), evidence(DUE + timedelta(hours=1), by_person=True)).status == "late"


def test_evidence_taken_back_reopens_the_same_clock() -> None:
    """Same due and latest; running before the due instant, overdue after it; the first end stays in the changes."""
    rows = started()
    stop(rows, DUE - timedelta(days=5), evidence(DUE - timedelta(days=5)))
    early = ledger(DUE - timedelta(days=3), rows)
    early.apply(Reopen(duty="BTA-10.5a", reason="bounce"))
    assert (rows[0].status, rows[0].due, rows[0].n) == ("running", DUE, 1)
    assert early.changes[0]["before"] == "kept"
    stop(rows, DUE - timedelta(days=2), evidence(DUE - timedelta(days=2)))
    ledger(DUE + timedelta(days=1), rows).apply(Reopen(duty="BTA-10.5a", reason="bounce"))
    assert rows[0].status == "overdue"


def test_a_not_before_clock_ends_kept_and_a_right_lapses() -> None:
    """Neither is ever overdue or late."""
    rest = started("T-rest")
    assert due(rest, rest[0].due, "T-rest").status == "kept"
    right = started("BTA-6.5")
    row = due(right, right[0].due, "BTA-6.5")
    assert (row.status, row.reason) == ("void", "lapsed")


def test_latest_moves_later_only() -> None:
    rows = started()
    ledger(rows=rows).apply(Relate(duty="BTA-10.5a", anchor_at=ANCHOR + timedelta(days=5)))
    assert (rows[0].due, rows[0].latest) == (DUE, DUE + timedelta(days=5))
    ledger(rows=rows).apply(Relate(duty="BTA-10.5a", anchor_at=ANCHOR + timedelta(days=2)))
    assert rows[0].latest == DUE + timedelta(days=5)


def test_a_recount_keeps_the_later_reading_with_its_day_and_its_derivation() -> None:
    rows = started()
    ledger(rows=rows).apply(Relate(duty="BTA-10.5a", anchor_at=ANCHOR + timedelta(days=5)))
    before = rows[0].latest, rows[0].latest_day, rows[0].derivation
    again = ledger(rows=rows)
    again.recount()
    assert (rows[0].latest, rows[0].latest_day, rows[0].derivation) == before
    assert again.changes == [], "by the same tables nothing changes"


def test_reminders_escalation_and_owner() -> None:
    rows = started()
    first = datetime.fromisoformat(rows[0].reminders[0])
    reminded = ledger(first, rows)
    reminded.tick(Tick(duty="BTA-10.5a", what="reminder", instant=first))
    assert [role for _, role in reminded.notices] == ["claims_handler"]
    assert len(rows[0].reminders) == 2
    escalated = ledger(DUE, rows)
    escalated.tick(Tick(duty="BTA-10.5a", what="due", instant=DUE))
    assert [role for _, role in escalated.notices] == ["claims_manager"]


def test_a_due_tick_of_a_clock_that_was_moved_later_changes_nothing() -> None:
    rows = started()
    early = ledger(DUE - timedelta(days=1), rows)
    early.tick(Tick(duty="BTA-10.5a", what="due", instant=DUE - timedelta(days=1)))
    assert rows[0].status == "running"
    assert [state.due for state in early.touched_states] == [DUE]


# ---- holds ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def extendable(monkeypatch: pytest.MonkeyPatch) -> None:
    """10.5a with a rulebook entry that lets it be held."""

    def held(organisation: str, duty: str) -> Duty:
        entry = duty_for(organisation, duty)
        return entry.model_copy(update={"hold": Hold(mode="extend", clause="test", ground="test")})

    monkeypatch.setattr(module, "duty_for", held)


def test_a_duty_whose_entry_names_no_hold_cannot_be_held() -> None:
    rows = started()
    with pytest.raises(Refusal, match="does not allow a hold"):
        ledger(rows=rows).apply(HoldClock(duty="BTA-10.5a", since=ANCHOR, reason="x"))


@pytest.mark.usefixtures("extendable")
def test_held_days_are_not_counted() -> None:
    """Held on 10 March, released on 13 March: three days later."""
    rows = started()
    since, released = datetime(2027, 3, 10, 15, tzinfo=RIGA), datetime(2027, 3, 13, 9, tzinfo=RIGA)
    ledger(since, rows).apply(HoldClock(duty="BTA-10.5a", since=since, reason="x"))
    assert rows[0].status == "held"
    ledger(released, rows).apply(ReleaseClock(duty="BTA-10.5a", released=released))
    assert (rows[0].status, rows[0].due) == ("running", DUE + timedelta(days=3))


@pytest.mark.usefixtures("extendable")
def test_a_hold_on_or_after_the_due_instant_changes_nothing() -> None:
    rows = started()
    ledger(DUE, rows).apply(HoldClock(duty="BTA-10.5a", since=DUE, reason="x"))
    assert rows[0].status == "running"
    due(rows)
    ledger(DUE + timedelta(days=1), rows).apply(HoldClock(duty="BTA-10.5a", since=DUE + timedelta(days=1), reason="x"))
    assert rows[0].status == "overdue"


# ---- recount --------------------------------------------------------------------------------------------------------


def other_calendar(monkeypatch: pytest.MonkeyPatch, *days_off: date) -> None:
    """A newer calendar of Latvia with more days off."""
    old = load("LV")
    rows = tuple(d for d in old.days if d.date not in days_off)
    new = Calendar(
        country="LV",
        version="LV 2099-01-01",
        days=tuple(
            sorted(
                (*rows, *(type(old.days[0])(date=d, name="new", source="test", status="confirmed") for d in days_off)),
                key=lambda d: d.date,
            )
        ),
    )
    monkeypatch.setattr(module, "load", lambda name: new)


def test_a_new_holiday_moves_an_open_clock_and_the_case_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = started("BTA-10.5b")
    before = rows[0].due
    other_calendar(monkeypatch, date(2027, 3, 8))
    recounted = ledger(ANCHOR + timedelta(days=1), rows)
    recounted.recount()
    assert rows[0].due == before + timedelta(days=1)
    assert recounted.changes[0]["was_due"] == before.isoformat()
    assert rows[0].calendar_version == "LV 2099-01-01"
    assert not recounted.notices


def test_an_earlier_instant_comes_with_a_notice_to_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = started("BTA-10.5b")
    rows[0].due += timedelta(days=5)
    rows[0].latest += timedelta(days=5)
    recounted = ledger(ANCHOR + timedelta(days=1), rows)
    recounted.recount()
    assert [role for _, role in recounted.notices] == ["claims_handler"]


def test_overdue_and_ended_clocks_are_not_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = started("BTA-10.5b")
    instant = rows[0].due
    due(rows, instant, "BTA-10.5b")
    other_calendar(monkeypatch, date(2027, 3, 8))
    ledger(instant, rows).recount()
    assert (rows[0].due, rows[0].status) == (instant, "overdue")


def test_a_recount_by_the_same_tables_changes_nothing() -> None:
    rows = started()
    again = ledger(ANCHOR + timedelta(days=1), rows)
    again.recount()
    assert not again.changes


# ---- any sequence ---------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "stop", "void", "reopen", "tick", "relate", "recount"]),
        st.integers(min_value=0, max_value=60 * 24),
        st.integers(min_value=-40 * 24, max_value=24),
        st.booleans(),
    ),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS)
def test_no_sequence_of_steps_breaks_the_ledger(steps: list[tuple[str, int, int, bool]]) -> None:
    """At most one open clock; due never moves; ended clocks move only by reopening; kept means in time by the proof."""
    rows: list[ClockRow] = []
    at = ANCHOR
    for what, hours, back, by_person in steps:
        at += timedelta(hours=hours)
        before = {r.n: (r.status, r.due, r.latest) for r in rows}
        book_ = ledger(at, rows)
        try:
            match what:
                case "start":
                    book_.apply(Start(duty="BTA-10.5a", anchor_at=at))
                case "stop":
                    proof = evidence(at + timedelta(hours=back), by_person=by_person, correction=CORRECTION)
                    book_.apply(Stop(duty="BTA-10.5a", evidence=proof))
                case "void":
                    book_.apply(Void(duty="BTA-10.5a", reason="x"))
                case "reopen":
                    book_.apply(Reopen(duty="BTA-10.5a", reason="bounce"))
                case "tick":
                    book_.tick(Tick(duty="BTA-10.5a", what="due", instant=at))
                case "relate":
                    book_.apply(Relate(duty="BTA-10.5a", anchor_at=at))
                case "recount":
                    book_.recount()
        except Refusal:
            assert {r.n: (r.status, r.due, r.latest) for r in rows} == before, "a refusal changed something"
            continue
        assert sum(r.status in OPEN for r in rows) <= 1
        assert [r.n for r in rows] == list(range(1, len(rows) + 1))
        for row in rows:
            assert row.latest >= row.due
            assert (row.ended_at is None) == (row.status in OPEN)
            if row.n in before:
                status, due_, latest = before[row.n]
                assert row.due == due_
                assert row.latest >= latest
                if status not in OPEN and row.status != status:
                    assert what == "reopen"
            if row.status == "kept":
                assert row.happened_at is not None
                assert max(row.happened_at, row.anchor_at) < row.latest
            if row.status == "late":
                assert row.happened_at is not None
                assert row.happened_at >= row.latest


@given(
    amount=st.integers(min_value=0, max_value=60),
    unit=st.sampled_from([Unit.calendar_days, Unit.working_days, Unit.months]),
    start=st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2030, 1, 1)),  # noqa: DTZ001  # hypothesis adds the zone
)
def test_a_clock_that_has_two_readings_is_overdue_between_them_and_late_after(
    amount: int, unit: Unit, start: datetime
) -> None:
    """`due` is the safe reading, `latest` the other: never earlier, whatever the rulebook says."""
    entry = Duty.model_validate(
        {
            **duty_for("BTA", "BTA-10.5a").model_dump(),
            "kind": Kind.deadline,
            "latest": Period(amount=amount, unit=unit).model_dump(),
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "duty_for", lambda organisation, duty: entry)
        rows = started(anchor=start.replace(tzinfo=UTC))
    assert rows[0].latest >= rows[0].due


# ---- every row of the register that has a term ----------------------------------------------------------------------

EVERY = [(b.organisation, d.id) for b in books().values() for d in b.duty if d.has_clock and d.period is not None]
PASSES_BY_ITSELF = {Kind.not_before: "kept", Kind.right_lapses: "void"}


@pytest.mark.parametrize(("organisation", "duty"), EVERY, ids=[f"{o} {d}" for o, d in EVERY])
@pytest.mark.parametrize("late", [timedelta(seconds=-1), timedelta(0)], ids=["last second", "first after it"])
def test_every_term_is_kept_in_its_last_second_and_not_in_the_next(
    organisation: str, duty: str, late: timedelta
) -> None:
    """Every row of every organisation: overdue from the due instant on, late from the later reading on."""
    rows: list[ClockRow] = []

    def at(instant: datetime) -> Ledger:
        return Ledger(cast("AsyncSession", Shelf()), f"case:{organisation}:1", organisation, instant, rows)

    at(ANCHOR).apply(Start(duty=duty, anchor_at=ANCHOR))
    [row] = rows
    terms = duty_for(organisation, duty)
    assert ANCHOR.astimezone(UTC) <= row.due <= row.latest
    assert all(ANCHOR < datetime.fromisoformat(r) < row.due for r in row.reminders)
    at(row.due).tick(Tick(duty=duty, what="due", instant=row.due))
    if terms.kind in PASSES_BY_ITSELF:
        assert row.status == PASSES_BY_ITSELF[terms.kind]
        return
    assert row.status == "overdue"
    proven = max(row.latest + late, ANCHOR)
    at(row.latest + timedelta(days=1)).apply(Stop(duty=duty, evidence=evidence(proven)))
    judged = terms.can_be_late or terms.recommended
    assert row.status == ("late" if judged and proven >= row.latest else "kept")
