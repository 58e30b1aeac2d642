"""What recurs is opened by itself: in time, once, after any downtime, and counted from what was done last."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import select

from models.errors import Refusal
from models.names import TASK_QUEUE
from models.tables import IntakeRow, RecurrenceRow, TurnRow
from operations import recurrences
from operations.compliance import compliance, page
from operations.intake import Intake
from operations.recurrences import Line, Put, lines, open_due, say, turn_for_exception
from tests.workflows.test_task import AGREED, begun
from tests.world import RIGA, VILNIUS, World

SECOND = timedelta(seconds=1)
SPRING = datetime(2027, 3, 8, 9, 0, tzinfo=VILNIUS)


async def said(world: World, duty: str, about: str | None, what: str, on: str, **more: Any) -> Put:
    """Something that is said of what recurs."""
    data = {"organisation": duty.partition("-")[0], "duty": duty, "what": what, "on": on, "document": "dms/1"}
    if about is not None:
        data["about"] = about
    return await say(world.sessions, world.intake, world.now, data, "op-1", **more)


async def opened(world: World) -> list[str]:
    """What a run of the schedule opens now."""
    cases = await open_due(world.sessions, world.intake, world.now)
    for case in cases:
        await begun(world, case)
    return cases


async def stand(world: World, duty: str, about: str = "") -> list[Line]:
    """The lines of a duty in the list."""
    found = await lines(world.sessions, world.now())
    return [line for line in found if (line.duty, line.about) == (duty, about)]


def at(day: str, zone: Any = VILNIUS) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=zone)


async def test_a_department_is_analysed_a_year_after_the_last_time(worker_world: World) -> None:
    """SE-3.2: opened with the lead time, to the second; the next turn is counted from what was done, late or not."""
    world = worker_world
    async with world.serving():
        await world.begin(SPRING)
        assert [line.state for line in await stand(world, "SE-3.2")] == ["nothing said"]
        put = await said(world, "SE-3.2", "reception", "done", "2026-06-15")
        assert (put.new, put.due_on, put.opens_on, put.opened) == (True, date(2027, 6, 15), date(2027, 4, 16), ())
        await world.begin(at("2027-04-16") - SECOND)
        await _others(world)
        await world.begin(at("2027-04-16") - SECOND)
        assert await opened(world) == []
        await world.begin(at("2027-04-16"))
        [case] = await opened(world)
        assert case == "task:SE:SE-3.2_reception_1"
        assert await opened(world) == []
        clock = await world.clock(case, "SE-3.2")
        assert (clock.anchor_at, clock.last_day) == (at("2026-06-15"), date(2027, 6, 15))

        # missed: it stays open, and nothing comes after it, a year later or two
        await world.advance(case, at("2027-06-16"))
        assert (await world.clock(case, "SE-3.2")).status == "overdue"
        assert [(one.state, one.case) for one in await stand(world, "SE-3.2", "reception")] == [("overdue", case)]
        await world.begin(at("2029-07-01"))
        await _others(world)
        assert [found for found in await opened(world) if "reception" in found] == []
        with pytest.raises(Refusal, match="is open; what was done is said there"):
            await said(world, "SE-3.2", "reception", "done", "2027-07-01")

        await world.begin(at("2027-06-20") + timedelta(hours=9))
        await world.say(case, "complete_analysis", done_on="2027-06-16", document="dms/9", excess=False)
        await world.stage(case, "closed")
        assert (await world.clock(case, "SE-3.2")).status == "late"
        [waits] = await stand(world, "SE-3.2", "reception")
        assert (waits.state, waits.last_on, waits.due_on, waits.opens_on) == (
            *("waits", date(2027, 6, 16), date(2028, 6, 16), date(2028, 4, 17)),
        )
        await world.begin(at("2028-04-17"))
        assert "task:SE:SE-3.2_reception_2" in await opened(world)
        assert (await world.clock("task:SE:SE-3.2_reception_2", "SE-3.2")).last_day == date(2028, 6, 16)


async def _others(world: World) -> None:
    """Open what recurs of the whole clinic, which is not what a test is about."""
    await open_due(world.sessions, world.intake, world.now)


async def test_years_in_which_nothing_ran_are_opened_with_their_own_terms(worker_world: World) -> None:
    """SE-37.2: a downtime over two year ends; each year has its own case, and those that were missed are late."""
    world = worker_world
    async with world.serving():
        await world.begin(at("2026-12-30"))
        first = [case for case in await opened(world) if "SE-37.2" in case]
        assert first == ["task:SE:SE-37.2_1"]
        await world.begin(at("2028-12-31"))
        later = [case for case in await opened(world) if "SE-37.2" in case]
        assert later == ["task:SE:SE-37.2_2", "task:SE:SE-37.2_3"]
        days = [(await world.clock(case, "SE-37.2")).last_day for case in (*first, *later)]
        assert days == [date(2026, 12, 31), date(2027, 12, 31), date(2028, 12, 31)]

        async def is_overdue() -> bool:
            return (await world.clock(later[0], "SE-37.2")).status == "overdue"

        await world.until(is_overdue, "overdue on arrival")
        assert [one.state for one in await stand(world, "SE-37.2")] == ["overdue", "overdue", "open", "waits"]

        # the last second of the year, and the first of the next one
        await world.advance(later[1], at("2029-01-01") - SECOND)
        assert (await world.clock(later[1], "SE-37.2")).status == "running"
        await world.say(later[1], "complete_task", done_on="2028-12-31", document="dms/policy-3")
        await world.stage(later[1], "closed")
        assert (await world.clock(later[1], "SE-37.2")).status == "kept"
        await world.begin(at("2029-01-01"))
        await world.say(later[0], "complete_task", done_on="2028-12-31", document="dms/policy-3")
        await world.stage(later[0], "closed")
        assert (await world.clock(later[0], "SE-37.2")).status == "late"

        # what is only recommended is reported as not followed, and is no lateness
        await world.until(lambda: _ended(world, "task:SE:SE-33.5.2_1"), "the term of the test is over")
        report = await compliance(world.sessions, world.now(), date(2026, 1, 1), date(2029, 1, 1), "SE")
        lines_ = {line.duty: line for line in report.duties}
        assert (lines_["SE-37.2"].kept, lines_["SE-37.2"].late, lines_["SE-37.2"].overdue) == (1, 1, 1)
        assert (lines_["SE-33.5.2"].can_be_late, lines_["SE-33.5.2"].overdue) == (False, 0)
        assert {missed.how for missed in report.missed if missed.duty == "SE-33.5.2"} == {"not followed"}
        assert "not followed, 2029-01-01" in page(report)
        case = "task:SE:SE-33.5.2_1"
        await world.say(case, "complete_task", done_on="2028-12-31", document="dms/restore")
        await world.stage(case, "closed")
        report = await compliance(world.sessions, world.now(), date(2026, 1, 1), date(2029, 1, 1), "SE")
        assert {missed.how for missed in report.missed if missed.duty == "SE-33.5.2"} == {"not followed"}


async def _ended(world: World, case: str) -> bool:
    return (await world.clock(case, "SE-33.5.2")).status == "overdue"


async def test_the_policy_is_reviewed_once_more_when_the_law_changes(worker_world: World) -> None:
    """SE-37.2: filed as the next turn, beside the one of that year; the next year has its own all the same."""
    world = worker_world
    async with world.serving():
        await world.begin(at("2026-12-30"))
        [first] = [case for case in await opened(world) if "SE-37.2" in case]
        content = {"duty": "SE-37.2", "since": at("2026-12-29").isoformat(), "n": 2, "document": "tar/2026-99"}
        second = await world.file("task", "SE", content, reference="SE-37.2_2")
        await begun(world, second)
        for case in (first, second):
            assert (await world.clock(case, "SE-37.2")).last_day == date(2026, 12, 31)
        await world.begin(at("2027-11-01"))
        assert [case for case in await opened(world) if "SE-37.2" in case] == ["task:SE:SE-37.2_3"]


async def test_an_employee_is_trained_when_the_work_starts_and_then_once_a_year(worker_world: World) -> None:
    """DZ-16.7: over a leap day; an employee who left is trained no more."""
    world = worker_world
    async with world.serving():
        await world.begin(at("2028-02-27", RIGA))
        put = await said(world, "DZ-16.7", "D-0117", "begins", "2028-02-29")
        assert (put.due_on, put.opens_on, put.opened) == (date(2028, 2, 29), date(2028, 2, 29), ())
        preview = await said(world, "DZ-16.7", "D-0118", "begins", "2028-02-27", preview=True)
        assert preview.opened == ("task:DZ:DZ-16.7_D-0118_1",)
        assert await stand(world, "DZ-16.7", "D-0118") == []
        await world.begin(at("2028-02-29", RIGA))
        case = "task:DZ:DZ-16.7_D-0117_1"
        assert case in await opened(world)
        clock = await world.clock(case, "DZ-16.7", "first")
        assert (clock.last_day, clock.due) == (date(2028, 2, 29), at("2028-03-01", RIGA))
        await world.advance(case, at("2028-03-01", RIGA) - SECOND)
        training: dict[str, Any] = {"topic": "personas dati", "participants": 1, "attendance_list": "hr/9"}
        await world.say(case, "record_training", held_on="2028-02-29", **training)
        await world.stage(case, "closed")
        assert (await world.clock(case, "DZ-16.7", "first")).status == "kept"
        [waits] = await stand(world, "DZ-16.7", "D-0117")
        assert (waits.due_on, waits.opens_on) == (date(2029, 2, 28), date(2029, 1, 14))
        await world.begin(at("2029-01-14", RIGA))
        assert "task:DZ:DZ-16.7_D-0117_2" in await opened(world)
        clock = await world.clock("task:DZ:DZ-16.7_D-0117_2", "DZ-16.7")
        assert clock.last_day == date(2029, 2, 28)

        put = await said(world, "DZ-16.7", "D-0117", "ends", "2029-02-01")
        assert (put.new, put.due_on) == (True, None)
        assert not (await said(world, "DZ-16.7", "D-0117", "ends", "2029-02-01")).new
        correction = {"reason": "Left the clinic", "document": "hr/10", "second_person": "op-2"}
        await world.say("task:DZ:DZ-16.7_D-0117_2", "drop_turn", correction=correction)
        await world.stage("task:DZ:DZ-16.7_D-0117_2", "closed")
        await world.begin(at("2032-01-01", RIGA))
        assert not [found for found in await opened(world) if "D-0117" in found]
        assert [one.state for one in await stand(world, "DZ-16.7", "D-0117")] == ["ended"]


async def test_killed_between_filing_and_starting_a_turn_is_started_once(
    worker_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The filing stands, the sweep starts it, and no run of the schedule files another."""
    world = worker_world
    await world.begin(SPRING)
    await said(world, "SE-3.2", "xray", "done", "2026-03-15", preview=True)

    async def dies(*_: Any) -> bool:
        raise RuntimeError("killed")

    with monkeypatch.context() as broken:
        broken.setattr(Intake, "start", dies)
        with pytest.raises(RuntimeError, match="killed"):
            await said(world, "SE-3.2", "xray", "done", "2026-03-15")
    async with world.sessions() as session:
        [row] = (await session.exec(select(IntakeRow).where(IntakeRow.kind == "task"))).all()
        assert (row.case, row.started_at) == ("task:SE:SE-3.2_xray_1", None)
    assert "task:SE:SE-3.2_xray_1" not in await open_due(world.sessions, world.intake, world.now)
    async with world.serving():
        assert await world.intake.start_waiting() == 1
        await begun(world, row.case)
        # the day's run by its own workflow, after it died in the middle of a first try
        async with world.sessions() as session:
            before = set((await session.exec(select(IntakeRow.case))).all())
        opened_ = await world.client.execute_workflow("Recurrences", id=f"r-{uuid4()}", task_queue=TASK_QUEUE)
        assert opened_ == 0
        async with world.sessions() as session:
            assert set((await session.exec(select(IntakeRow.case))).all()) == before


async def test_a_run_that_dies_after_filing_is_tried_again_and_files_nothing_twice(
    worker_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The activity of the schedule runs twice: what its first try had filed stands, the rest is opened."""
    world = worker_world
    real = Intake.start
    died: list[Any] = []

    async def dies_once(self: Intake, *given: Any) -> bool:
        if not died:
            died.append(given)
            raise RuntimeError("killed")
        return await real(self, *given)

    async with world.serving():
        await world.begin(SPRING)
        await said(world, "SE-3.2", "xray", "done", "2026-07-01")
        await world.begin(at("2027-05-02"))
        monkeypatch.setattr(Intake, "start", dies_once)
        await world.client.execute_workflow("Recurrences", id=f"r-{uuid4()}", task_queue=TASK_QUEUE)
        assert len(died) == 1
        await world.intake.start_waiting()
        cases = ["task:SE:SE-3.2_xray_1", "task:SE:SE-33.4.2_1", "task:SE:SE-37.2_1"]
        for case in cases:
            await begun(world, case)
        async with world.sessions() as session:
            filed = (await session.exec(select(IntakeRow.case).order_by(IntakeRow.case))).all()
            turns = (await session.exec(select(TurnRow.case).order_by(TurnRow.case))).all()
        assert filed == turns == cases


async def test_one_that_cannot_be_opened_holds_up_no_other(
    worker_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = worker_world
    await world.begin(at("2026-12-30"))
    real = recurrences._file

    async def broken(*given: Any) -> str | None:
        if given[3].duty == "SE-3.2":
            raise Refusal("reference: the case of this reference was erased")
        return await real(*given)

    async with world.sessions() as session, session.begin():
        session.add(
            RecurrenceRow(
                organisation="SE",
                duty="SE-3.2",
                about="erased",
                n=1,
                what="done",
                said_on=date(2026, 1, 5),
                document="dms/1",
                said_by="op-1",
                recorded_at=world.now(),
            )
        )
    monkeypatch.setattr(recurrences, "_file", broken)
    with pytest.raises(Refusal, match="erased"):
        await open_due(world.sessions, world.intake, world.now)
    async with world.sessions() as session:
        cases = (await session.exec(select(IntakeRow.case))).all()
    assert sorted(cases) == ["task:SE:SE-33.4.2_1", "task:SE:SE-37.2_1"]


async def test_an_exception_is_made_of_the_next_turn_before_it_opens(worker_world: World) -> None:
    """The turn is opened early, and dropped or moved there by two people."""
    world = worker_world
    async with world.serving():
        await world.begin(SPRING)
        await said(world, "SE-3.2", "archive", "done", "2027-02-01")
        with pytest.raises(Refusal, match="no such duty that recurs about nowhere"):
            await _exception(world, "SE-3.2", "nowhere")
        case = await _exception(world, "SE-3.2", "archive")
        assert case == await _exception(world, "SE-3.2", "archive")
        await begun(world, case)
        await world.say(case, "drop_turn", correction=AGREED)
        await world.stage(case, "closed")
        [waits] = await stand(world, "SE-3.2", "archive")
        assert (waits.last_on, waits.due_on) == (date(2028, 2, 1), date(2029, 2, 1))
        with pytest.raises(Refusal, match="its next turn begins on 2028-02-01"):
            await _exception(world, "SE-3.2", "archive")


async def _exception(world: World, duty: str, about: str) -> str:
    return await turn_for_exception(world.sessions, world.intake, world.now, "SE", duty, about, "op-1")


async def test_what_is_said_of_a_recurring_duty_is_refused_with_all_its_faults(worker_world: World) -> None:
    world = worker_world
    await world.begin(SPRING)
    refused: list[tuple[Any, str]] = [
        ("x", "no JSON object"),
        ({"organisation": "XX"}, r"organisation.*duty.*what.*on.*document"),
        ({**_data(), "duty": "SE-25.5"}, r"does not recur at SE; what recurs: SE-3.2"),
        ({**_data(), "about": None}, "about: missing; the code of the department"),
        ({**_data(), "duty": "SE-37.2"}, "about the whole organisation"),
        ({**_data(), "what": "begins"}, "no start of its own"),
        ({**_data(), "on": "2027-03-09"}, "lies in the future"),
        ({**_data(), "on": "2019-12-31"}, "lies before 2020"),
        ({**_data(), "about": "Anna Kalniņa", "document": "a b", "more": 1}, r"about.*document.*more"),
    ]
    for data, fault in refused:
        with pytest.raises(Refusal, match=fault):
            await say(world.sessions, world.intake, world.now, data, "op-1")
    with pytest.raises(Refusal, match="no operator op-404"):
        await say(world.sessions, world.intake, world.now, _data(), "op-404")
    async with world.sessions() as session:
        assert (await session.exec(select(RecurrenceRow))).all() == []
        assert (await session.exec(select(TurnRow))).all() == []


def _data() -> dict[str, Any]:
    return {
        "organisation": "SE",
        "duty": "SE-3.2",
        "about": "lab",
        "what": "done",
        "on": "2027-03-08",
        "document": "dms/1",
    }
