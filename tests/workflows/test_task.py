"""Tasks: duties of the organisation itself, each with its owner, its term and its proof; and those that recur."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlmodel import col, select

from models.errors import Refusal
from models.tables import TurnRow
from tests.world import RIGA, VILNIUS, Refused, World

MONDAY = datetime(2027, 3, 8, 9, 0, tzinfo=VILNIUS)
SECOND = timedelta(seconds=1)
_codes = count(1)


def code(of: str = "d") -> str:
    """A code that no other test has."""
    return f"{of}-{next(_codes)}"


async def filed(world: World, duty: str, at: datetime = MONDAY, **more: Any) -> str:
    """A task whose start was at this instant, and which is now."""
    await world.begin(at)
    organisation = duty.partition("-")[0]
    content = {"duty": duty, "since": at.isoformat(), **more.pop("content", {})}
    if (n := content.get("n")) is not None:
        more["reference"] = "_".join(filter(None, (duty, content.get("about"), str(n))))
    case = await world.file("task", organisation, content, **more)
    await begun(world, case)
    return case


async def begun(world: World, case: str) -> None:
    """Wait until a person can say something."""

    async def is_begun() -> bool:
        return "begun" in await world.entries(case)

    await world.until(is_begun, f"{case} has begun")
    await world.settled(case)


async def analysis(world: World, at: datetime = MONDAY) -> str:
    """A turn of SE-3.2, of a department of its own."""
    return await filed(world, "SE-3.2", at, content={"about": code(), "n": 1})


async def excess_found(world: World) -> str:
    """An analysis that found what is not needed; it is to be reported."""
    case = await analysis(world)
    await world.say(case, "complete_analysis", done_on="2027-03-08", document="dms/1", excess=True)
    await world.until(lambda: _clock(world, case, "SE-3.3"), "the report is due")
    await world.settled(case)
    return case


async def _clock(world: World, case: str, duty: str) -> bool:
    return any(name == duty for name, _ in await world.clocks(case))


async def closed(world: World, case: str, outcome: str) -> None:
    row = await world.stage(case, "closed")
    assert row.outcome == outcome


# ---- single tasks ---------------------------------------------------------------------------------------------------


async def test_the_authority_is_notified_of_the_officer_within_five_working_days(world: World) -> None:
    """SE-25.5: five working days, over Easter Monday; the owner is told at once, and the document proves it."""
    case = await filed(world, "SE-25.5", datetime(2027, 3, 24, 9, tzinfo=VILNIUS))
    clock = await world.clock(case, "SE-25.5")
    assert (clock.last_day, clock.status) == (date(2027, 4, 1), "running")
    row = await world.row(case)
    assert row is not None
    assert row.waits_for == "the manager, who does it"
    await world.until(lambda: _told(world, case, "SE-25.5:begun"), "the owner is told")
    assert any(case in str(mail["Subject"]) for mail in world.mails("manager@se.example"))
    assert "Turn" not in await world.details(case)
    with pytest.raises(Refused, match=r"done_on.*document"):
        await world.say(case, "complete_task")
    with pytest.raises(Refused, match="lies in the future"):
        await world.say(case, "complete_task", done_on="2027-03-25", document="dms/2")
    with pytest.raises(Refused, match="before that on which it began"):
        await world.say(case, "complete_task", done_on="2027-03-23", document="dms/2")
    with pytest.raises(Refused, match="only a turn"):
        await world.say(case, "drop_turn", correction={"reason": "x", "document": "dms/3", "second_person": "op-2"})
    await world.say(case, "assign_case", handler="op-7")
    await world.advance(case, datetime(2027, 4, 2, tzinfo=VILNIUS) - SECOND)
    await world.say(case, "complete_task", done_on="2027-04-01", document="dms/2027-14")
    await closed(world, case, "done")
    assert (await world.clock(case, "SE-25.5")).status == "kept"


async def _told(world: World, case: str, key: str) -> bool:
    notice = (await world.notices(case)).get(key)
    return notice is not None and notice.sent_at is not None


async def test_a_second_later_it_is_late_unless_two_people_say_that_it_was_done_before(world: World) -> None:
    """SE-25.5: what was missed stays open, escalated once; a day before the end then needs a correction."""
    midnight = datetime(2027, 4, 2, tzinfo=VILNIUS)
    cases = [await filed(world, "SE-25.5", datetime(2027, 3, 24, 9, tzinfo=VILNIUS)) for _ in range(2)]
    for case in cases:
        await world.begin(datetime(2027, 3, 24, 9, tzinfo=VILNIUS))
        await world.advance(case, midnight)
        assert (await world.clock(case, "SE-25.5")).status == "overdue"
        escalated = [key for key in await world.notices(case) if key.endswith("overdue")]
        assert len(escalated) == 1
        assert (await world.row(case)).stage == "doing"  # type: ignore[union-attr]
    late, kept = cases
    await world.say(late, "complete_task", done_on="2027-04-02", document="dms/4")
    await closed(world, late, "done")
    assert (await world.clock(late, "SE-25.5")).status == "late"
    with pytest.raises(Refused, match="needs correction"):
        await world.say(kept, "complete_task", done_on="2027-04-01", document="dms/4")
    correction = {"reason": "The notice was entered late", "document": "dms/5", "second_person": "op-2"}
    await world.say(kept, "complete_task", done_on="2027-04-01", document="dms/4", correction=correction)
    await closed(world, kept, "done")
    assert (await world.clock(kept, "SE-25.5")).status == "kept"


@pytest.mark.parametrize(
    ("duty", "about", "due", "late_after"),
    [
        ("DZ-17.1", None, "2027-03-15", "2027-03-22"),
        ("DZ-16.4", "D-17", "2027-03-08", "2027-03-09"),
        ("SE-33.3.13", None, "2027-03-09", "2027-03-12"),  # Thursday the 11th is a holiday there
    ],
)
async def test_what_is_to_be_done_now_escalates_first_and_is_late_later(
    world: World, duty: str, about: str | None, due: str, late_after: str
) -> None:
    """DZ-17.1, DZ-16.4, SE-33.3.13: from one delay on it escalates, from another it is late."""
    content = {"about": about} if about else {}
    cases = [await filed(world, duty, datetime(2027, 3, 8, 9, tzinfo=RIGA), content=content) for _ in range(2)]
    clock = await world.clock(cases[0], duty)
    assert (str(clock.last_day), str(clock.latest_day)) == (due, late_after)
    end = datetime.fromisoformat(late_after).replace(tzinfo=RIGA) + timedelta(days=1)
    for case, at, status in ((cases[0], end - SECOND, "kept"), (cases[1], end, "late")):
        await world.begin(datetime(2027, 3, 8, 9, tzinfo=RIGA))
        await world.advance(case, at)
        assert (await world.clock(case, duty)).status == "overdue"
        correction = {"reason": "on the last day", "document": "dms/9", "second_person": "op-2"}
        more: dict[str, Any] = {"correction": correction} if status == "kept" else {}
        await world.say(case, "complete_task", done_on=at.date().isoformat(), document="dms/8", **more)
        await closed(world, case, "done")
        assert (await world.clock(case, duty)).status == status


async def test_a_processors_access_is_taken_away_within_hours(world: World) -> None:
    """SE-2.8: escalated after four hours, late after a day; both are elapsed hours, whatever the day of the week."""
    friday = datetime(2027, 3, 26, 18, tzinfo=VILNIUS)  # the clock leaps in the night to Sunday
    case = await filed(world, "SE-2.8", friday, content={"about": code("LAB")})
    clock = await world.clock(case, "SE-2.8")
    assert (clock.due, clock.latest) == (friday + timedelta(hours=4), friday + timedelta(hours=24))
    assert "**Processor:** LAB" in await world.details(case)
    await world.advance(case, clock.due - SECOND)
    assert (await world.clock(case, "SE-2.8")).status == "running"
    await world.advance(case, clock.due)
    assert (await world.clock(case, "SE-2.8")).status == "overdue"
    assert [n.party for key, n in (await world.notices(case)).items() if key.endswith("overdue")] == [
        "security_officer"
    ]
    sunday = friday + timedelta(days=2)
    await world.advance(case, sunday)
    await world.say(case, "complete_task", done_on=sunday.date().isoformat(), document="dms/2027-31")
    await closed(world, case, "done")
    assert (await world.clock(case, "SE-2.8")).status == "late"


async def test_a_training_is_recorded_with_date_topic_and_people(world: World) -> None:
    """SE-34.2 and SE-34.4; the list is referred to, and no name stands in the case."""
    case = await filed(world, "SE-34.2", content={"about": code("E")})
    assert (await world.clock(case, "SE-34.2")).last_day == date(2027, 3, 10)
    with pytest.raises(Refused, match=r"held_on.*topic.*participants.*attendance_list"):
        await world.say(case, "record_training", participants=0)
    await world.say(
        case, "record_training", held_on="2027-03-08", topic="ICT rules", participants=3, attendance_list="hr/77"
    )
    await closed(world, case, "done")
    held, recorded = (await world.timeline(case))[-2:]
    assert (held.duty, held.entry, recorded.duty, recorded.entry) == (
        *("SE-34.2", "training_held", "SE-34.4", "training_recorded"),
    )
    assert held.facts["participants"] == 3
    assert (await world.clock(case, "SE-34.2")).status == "kept"


async def test_a_training_for_which_a_need_was_seen_has_no_term(world: World) -> None:
    """SE-34.1: the need is recorded, and the training as any other (SE-34.4)."""
    case = await filed(world, "SE-34.1", content={"about": code("phishing")})
    assert await world.clocks(case) == {}
    assert [(t.entry, t.duty) for t in await world.timeline(case)] == [("begun", "SE-34.1")]
    with pytest.raises(Refused, match="before that on which it began"):
        await world.say(
            case, "record_training", held_on="2027-03-07", topic="a", participants=3, attendance_list="hr/78"
        )
    await world.say(case, "record_training", held_on="2027-03-08", topic="a", participants=30, attendance_list="hr/78")
    await closed(world, case, "done")


async def test_what_an_analysis_finds_is_reported_and_remedied_in_the_same_case(world: World) -> None:
    """SE-3.2, SE-3.3, SE-3.4: the next analysis is counted from this one, not from the end of what follows."""
    case = await excess_found(world)
    assert (await world.clock(case, "SE-3.2")).status == "kept"
    report = await world.clock(case, "SE-3.3")
    assert (report.last_day, report.latest_day) == (date(2027, 3, 9), date(2027, 3, 12))
    async with world.sessions() as session:
        turn = (await session.exec(select(TurnRow).where(TurnRow.case == case))).one()
    assert (turn.outcome, turn.done_on) == ("done", date(2027, 3, 8))
    with pytest.raises(Refused, match=r"reported_on.*told"):
        await world.say(case, "report_excess", told="nobody", document="dms/3")
    with pytest.raises(Refused, match="possible now: report_excess"):
        await world.say(case, "remedy_excess", remedied_on="2027-03-08", document="dms/3", records="ropa/4")
    await world.say(case, "report_excess", reported_on="2027-03-08", told="data_protection_officer", document="dms/3")
    await world.stage(case, "remedying")
    with pytest.raises(Refused, match="records"):
        await world.say(case, "remedy_excess", remedied_on="2027-03-08", document="dms/3")
    await world.say(case, "remedy_excess", remedied_on="2027-03-08", document="dms/3", records="ropa/4")
    await closed(world, case, "remedied")
    assert await world.clocks(case) == {("SE-3.2", ""): "kept", ("SE-3.3", ""): "kept"}
    assert [(t.entry, t.duty) for t in (await world.timeline(case))[-1:]] == [("excess_remedied", "SE-3.4")]


async def test_a_report_that_is_not_made_at_once_escalates_and_is_late_after_three_working_days(world: World) -> None:
    """SE-3.3."""
    case = await excess_found(world)
    await world.advance(case, datetime(2027, 3, 10, tzinfo=VILNIUS))
    assert (await world.clock(case, "SE-3.3")).status == "overdue"
    await world.advance(case, datetime(2027, 3, 13, tzinfo=VILNIUS))
    await world.say(case, "report_excess", reported_on="2027-03-13", told="manager", document="dms/3")
    await world.stage(case, "remedying")
    assert (await world.clock(case, "SE-3.3")).status == "late"


async def test_an_analysis_that_finds_nothing_ends(world: World) -> None:
    case = await analysis(world)
    await world.say(case, "complete_analysis", done_on="2027-03-08", document="dms/1", excess=False)
    await closed(world, case, "nothing_found")


async def consulting(world: World) -> str:
    """An assessment whose report calls for the authority."""
    case = await filed(world, "SE-26.1", datetime(2027, 1, 29, 9, tzinfo=VILNIUS), content={"about": code("cameras")})
    await world.advance(case, datetime(2027, 1, 31, 9, tzinfo=VILNIUS))
    await world.say(case, "approve_assessment", approved_on="2027-01-31", document="dms/6", consult=True)
    await world.until(lambda: _clock(world, case, "SE-29.3"), "the authority is to be asked")
    await world.settled(case)
    return case


async def test_processing_waits_for_its_assessment_and_for_the_authority(world: World) -> None:
    """SE-26.1, SE-29.3: a month from the approval, the last day of February, a Sunday and not rolled."""
    case = await consulting(world)
    assert (await world.timeline(case))[0].duty == "SE-26.1"
    clock = await world.clock(case, "SE-29.3")
    assert (clock.last_day, clock.kind) == (date(2027, 2, 28), "deadline")
    await world.advance(case, datetime(2027, 3, 1, tzinfo=VILNIUS) - SECOND)
    await world.say(case, "start_consultation", started_on="2027-02-28", document="dms/7")
    await world.stage(case, "awaiting_advice")
    assert (await world.clock(case, "SE-29.3")).status == "kept"
    with pytest.raises(Refused, match="lies in the future"):
        await world.say(case, "record_advice", answered_on="2027-03-05", document="vdai/1", may_start=True)
    await world.say(case, "record_advice", answered_on="2027-02-28", document="vdai/1", may_start=False)
    await closed(world, case, "may_not_start")


async def test_processing_that_is_given_up_needs_nothing_more(world: World) -> None:
    """SE 29.2, at every point; without a need to ask the authority it may start."""
    case = await consulting(world)
    await world.say(case, "drop_processing", dropped_on="2027-01-31", document="dms/8")
    await closed(world, case, "processing_dropped")
    assert (await world.clock(case, "SE-29.3")).status == "void"
    at = datetime(2027, 1, 29, 9, tzinfo=VILNIUS)
    dropped = await filed(world, "SE-26.1", at, content={"about": code("p")})
    await world.say(dropped, "drop_processing", dropped_on="2027-01-29", document="dms/8")
    await closed(world, dropped, "processing_dropped")
    started = await filed(world, "SE-26.1", at, content={"about": code("p")})
    await world.say(started, "approve_assessment", approved_on="2027-01-29", document="dms/6", consult=False)
    await closed(world, started, "may_start")
    asked = await consulting(world)
    await world.say(asked, "start_consultation", started_on="2027-01-31", document="dms/7")
    await world.say(asked, "drop_processing", dropped_on="2027-01-31", document="dms/8")
    await closed(world, asked, "processing_dropped")


# ---- what may be filed ----------------------------------------------------------------------------------------------


async def test_a_filing_is_refused_with_all_its_faults(world: World) -> None:
    await world.begin(MONDAY)
    since = MONDAY.isoformat()
    refused: list[tuple[str, str, dict[str, Any], str]] = [
        ("SE", "x", {"duty": "SE-37.1", "since": since}, "kept as no task"),
        ("BL", "x", {"duty": "BL-4", "since": since}, "names no tasks"),
        ("SE", "x", {"duty": "SE-34.2", "since": since}, "content.about: missing; the code of the employee"),
        ("SE", "x", {"duty": "SE-25.5", "about": "a", "since": since}, "about the whole organisation"),
        ("SE", "x", {"duty": "SE-25.5", "since": "2027-03-09T09:00+02:00"}, "lies after received_at"),
        ("SE", "x", {"duty": "SE-25.5", "since": since, "n": 1}, "does not recur"),
        ("SE", "x", {"duty": "SE-3.2", "since": since, "about": "a"}, "content.n: missing"),
        ("SE", "x", {"duty": "SE-3.2", "since": since, "about": "a", "n": 1}, "named by duty, about and number"),
        ("SE", "x", {"duty": "SE-34.2", "since": since, "about": "123456-12345"}, "personal code"),
        ("SE", "x", {"duty": "se", "about": "ā", "n": 0}, r"duty.*about.*since.*n"),
        ("SE", "SE-3.2_zz_2", {"duty": "SE-3.2", "since": since, "about": "zz", "n": 2}, "the next turn is 1"),
    ]
    for organisation, reference, content, fault in refused:
        with pytest.raises(Refusal, match=fault):
            await world.file("task", organisation, content, reference=reference)
    case = await analysis(world)
    async with world.sessions() as session:
        about = (await session.exec(select(TurnRow.about).where(TurnRow.case == case))).one()
    with pytest.raises(Refusal, match="is open, and the next turn is counted from"):
        await filed(world, "SE-3.2", content={"about": about, "n": 2})


# ---- turns that are dropped or moved --------------------------------------------------------------------------------

AGREED = {"reason": "The department moved", "document": "dms/20", "second_person": "op-2"}


async def test_a_turn_is_dropped_by_two_people_and_the_next_is_counted_from_its_last_day(world: World) -> None:
    case = await analysis(world)
    with pytest.raises(Refused, match="only an operator drops or moves"):
        await world.say(case, "drop_turn", "system:robot", correction=AGREED)
    with pytest.raises(Refused, match="another one than who says it"):
        await world.say(case, "drop_turn", correction={**AGREED, "second_person": "op-1"})
    with pytest.raises(Refused, match="no operator who handles"):
        await world.say(case, "drop_turn", correction={**AGREED, "second_person": "nobody"})
    with pytest.raises(Refused, match=r"correction.reason.*correction.document.*correction.second_person"):
        await world.say(case, "drop_turn", correction={})
    await world.say(case, "drop_turn", correction=AGREED)
    await closed(world, case, "dropped")
    assert (await world.clock(case, "SE-3.2")).status == "void"
    async with world.sessions() as session:
        turn = (await session.exec(select(TurnRow).where(TurnRow.case == case))).one()
    assert (turn.outcome, turn.done_on) == ("dropped", date(2028, 3, 8))


async def test_a_turn_is_moved_until_it_is_overdue(world: World) -> None:
    """Counted from another day, by a new clock; what was missed is not moved away."""
    case = await analysis(world)
    with pytest.raises(Refused, match="lies in the future"):
        await world.say(case, "move_turn", since="2027-04-01T09:00+03:00", correction=AGREED)
    with pytest.raises(Refused, match="before 2020"):
        await world.say(case, "move_turn", since="1999-12-31T09:00+02:00", correction=AGREED)
    await world.say(case, "move_turn", since="2026-12-31T09:00+02:00", correction=AGREED)
    await world.settled(case)
    first, second = [await world.clock(case, "SE-3.2", n=n) for n in (1, 2)]
    assert (first.status, second.status, second.last_day) == ("void", "running", date(2027, 12, 31))
    assert AGREED["reason"] == first.reason
    await world.advance(case, datetime(2028, 1, 1, tzinfo=VILNIUS))
    assert (await world.clock(case, "SE-3.2")).status == "overdue"
    with pytest.raises(Refused, match="what was missed is not moved"):
        await world.say(case, "move_turn", since="2027-06-01T09:00+03:00", correction=AGREED)
    await world.say(case, "complete_analysis", done_on="2028-01-01", document="dms/1", excess=False)
    await closed(world, case, "nothing_found")
    assert (await world.clock(case, "SE-3.2")).status == "late"


async def test_a_turn_of_a_calendar_year_is_dropped_but_not_moved(world: World) -> None:
    """SE-37.2."""
    n = await _next_n(world, "SE-37.2")
    case = await filed(world, "SE-37.2", content={"n": n})
    assert "move_turn" not in await world.details(case)
    with pytest.raises(Refused, match="belongs to that year"):
        await world.say(case, "move_turn", since="2027-03-01T09:00+02:00", correction=AGREED)
    await world.say(case, "drop_turn", correction=AGREED)
    await closed(world, case, "dropped")


async def _next_n(world: World, duty: str) -> int:
    async with world.sessions() as session:
        last = await session.exec(select(TurnRow.n).where(TurnRow.duty == duty).order_by(col(TurnRow.n).desc()))
        return (last.first() or 0) + 1


# ---- a new run at every resting point -------------------------------------------------------------------------------


async def test_a_new_run_at_every_resting_point_changes_nothing(world: World, restless_world: World) -> None:
    ends = []
    for place in (world, restless_world):
        case = await excess_found(place)
        await place.say(case, "assign_case", handler="op-7")
        await place.say(case, "report_excess", reported_on="2027-03-08", told="manager", document="dms/3")
        await place.stage(case, "remedying")
        await place.say(case, "remedy_excess", remedied_on="2027-03-08", document="dms/3", records="ropa/4")
        await closed(place, case, "remedied")
        ends.append(([(t.entry, t.stage, t.duty) for t in await place.timeline(case)], await place.clocks(case)))
        runs = [run async for run in place.client.list_workflows(f"WorkflowId = '{case}'")]
        assert (len(runs) > 1) == (place is restless_world)
    assert ends[0] == ends[1]


# ---- notifications that come back -----------------------------------------------------------------------------------


async def test_a_notification_that_comes_back_opens_a_task_that_was_done(world: World) -> None:
    """SE-25.5: the same clock runs on as if nothing had been sent, and the owner is told again; once per bounce."""
    at = datetime(2027, 3, 24, 9, tzinfo=VILNIUS)
    case = await filed(world, "SE-25.5", at)
    await world.say(case, "complete_task", done_on="2027-03-24", document="dms/2027-14")
    await closed(world, case, "done")
    before = await world.clock(case, "SE-25.5")
    back = {"actor": "op-1", "notice": "authority", "bounced_at": at.isoformat()}
    for n, (wrong, fault) in enumerate(
        (
            ({"notice": "SE-25.5:begun"}, "only the notification can come back: authority"),
            ({"bounced_at": "2027-06-01T09:00+03:00"}, "lies in the future"),
            ({"bounced_at": "2027-03-23T09:00+02:00"}, "lies before it began"),
        )
    ):
        told = await world.intake.submit_event(case, f"e-{n}", "report_bounce", {**back, **wrong})
        assert fault in "; ".join(told.refused)
    assert (await world.stage(case, "closed")).outcome == "done"
    for _ in range(2):
        assert not (await world.intake.submit_event(case, "e-9", "report_bounce", back)).refused
    row = await world.stage(case, "doing")
    assert (row.closed_at, row.waits_for) == (None, "the manager, who does it")
    clock = await world.clock(case, "SE-25.5")
    assert (clock.status, clock.n, clock.due) == ("running", 1, before.due)
    await world.until(lambda: _told(world, case, "SE-25.5:bounced:1"), "the owner is told again")
    with pytest.raises(Refused, match="not in stage doing"):
        await world.say(case, "report_bounce", notice="authority", bounced_at=at.isoformat())
    await world.say(case, "complete_task", done_on="2027-03-24", document="dms/2027-15")
    await closed(world, case, "done")
    assert (await world.clock(case, "SE-25.5")).status == "kept"


async def test_a_consultation_that_comes_back_is_to_be_started_again(world: World) -> None:
    """SE-29.3: the processing waits on, and for the authority to be asked."""
    case = await consulting(world)
    assert "report_bounce" not in await world.details(case)
    await world.say(case, "start_consultation", started_on="2027-01-31", document="dms/7")
    assert "report_bounce" in await world.details(case)
    at = datetime(2027, 1, 31, 9, tzinfo=VILNIUS)
    await world.say(case, "report_bounce", notice="authority", bounced_at=at.isoformat())
    await world.stage(case, "consulting")
    assert (await world.clock(case, "SE-29.3")).status == "running"
    await world.say(case, "start_consultation", started_on="2027-01-31", document="dms/8")
    await world.stage(case, "awaiting_advice")
    assert (await world.clock(case, "SE-29.3")).status == "kept"


async def test_what_no_authority_was_told_of_does_not_come_back(world: World) -> None:
    case = await analysis(world)
    await world.say(case, "complete_analysis", done_on="2027-03-08", document="dms/1", excess=False)
    await closed(world, case, "nothing_found")
    back = {"actor": "op-1", "notice": "authority", "bounced_at": MONDAY.isoformat()}
    told = await world.intake.submit_event(case, "e-1", "report_bounce", back)
    assert "nothing was sent to the authority" in "; ".join(told.refused)
    assert (await world.stage(case, "closed")).outcome == "nothing_found"
