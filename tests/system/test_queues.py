"""Work lists, load and lateness against a real store: the most urgent comes first, and nothing that was late hides."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event
from sqlmodel import select

from models.tables import CaseRow
from operations import queues
from operations.local import Postgres
from operations.store import engine, sessions
from tests.system.test_starter import Environment, ask, cli, complete, opened
from tests.workflows.test_claim import MONDAY, decided, deciding, paid_on, proposal
from tests.world import RIGA, World

TODAY = datetime.now(RIGA)
"""By the wall clocks of Riga, so that sixty days ago is sixty days, also across a change of clocks."""


async def assigned(where: Environment, *cases: str) -> str:
    """A handler whom nobody else has, with these cases."""
    handler = f"op-{uuid4().int % 10**8}"
    for case in cases:
        words = ("event", case, "assign_case", "--actor", "system:crm", "--event-id", handler)
        await cli(where, *words, "--field", f"handler={handler}")
    return handler


def group(groups: list[dict[str, Any]], name: str | None) -> dict[str, Any]:
    """The list of this name."""
    return next(g for g in groups if g["name"] == name)


def cases(groups: list[dict[str, Any]]) -> list[str]:
    return [task["case"] for g in groups for task in g["tasks"]]


# ---- work lists -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("present")
async def test_a_handlers_list_begins_with_what_is_most_urgent(world: World, where: Environment) -> None:
    late, soon, fresh = [await complete(world, where, TODAY - timedelta(days=d)) for d in (60, 27, 1)]
    handler = await assigned(where, late, soon, fresh)
    found = await ask(where, "queue", "--handler", handler)
    mine = [t for t in group(found, handler)["tasks"] if t["duty"] == "BTA-10.5a"]
    assert [t["case"] for t in mine] == [late, soon, fresh]
    assert [t["overdue"] for t in mine] == [True, False, False]
    assert [t["days"] for t in mine] == [-30, 3, 29]
    assert group(found, handler)["overdue"] >= 1
    text = (await cli(where, "queue", "--handler", handler)).stdout
    assert "OVERDUE 30 d" in text
    assert "3 d" in text


@pytest.mark.usefixtures("present")
async def test_within_counts_whole_days_and_what_is_over(world: World, where: Environment) -> None:
    """`--within 0` is what must be done today, or should have been done."""
    late, soon = [await complete(world, where, TODAY - timedelta(days=d)) for d in (60, 27)]
    decide = ("queue", "--duty", "BTA-10.5a", "--limit", "0")
    today, two, three = [cases(await ask(where, *decide, "--within", str(n))) for n in (0, 2, 3)]
    assert late in today
    assert soon not in today
    assert soon not in two
    assert soon in three


@pytest.mark.usefixtures("present")
async def test_what_nobody_has_and_what_has_no_clock_stays_visible(world: World, where: Environment) -> None:
    mine, nobodys, waits = [await complete(world, where, TODAY) for _ in range(2)] + [await opened(world, where)]
    handler = await assigned(where, mine)
    free = await ask(where, "queue", "--unassigned", "--limit", "0")
    assert {nobodys, waits} <= set(cases(free))
    assert mine not in cases(free)
    assert [g["name"] for g in free] == [None]
    by_duty = await ask(where, "queue", "--by", "duty", "--limit", "0")
    decide = group(by_duty, "BTA-10.5a")
    assert {t["case"]: t["handler"] for t in decide["tasks"]}[mine] == handler
    assert "clause" in decide["tasks"][0]
    assert "nobody" in (await cli(where, "queue", "--by", "duty")).stdout
    result = await cli(where, "queue", "--by", "duty", "--limit", "1")
    assert "--limit 0 lists all" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("queue", "--duty", "BTA-99"),
        ("queue", "--within", "-1"),
        ("queue", "--handler", "op-1", "--unassigned"),
        ("workload", "--organisation", "XX"),
        ("late", "--since", "yesterday"),
    ],
    ids=" ".join,
)
async def test_a_question_that_nothing_can_answer_is_wrong_usage(where: Environment, words: tuple[str, ...]) -> None:
    await cli(where, *words, code=2)


# ---- load -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("present")
async def test_the_load_of_a_handler_is_counted_in_cases(world: World, where: Environment) -> None:
    late, soon, fresh, ended = [await complete(world, where, TODAY - timedelta(days=d)) for d in (60, 25, 1, 2)]
    handler = await assigned(where, late, soon, fresh, ended)
    await world.say(ended, "withdraw_claim", withdrawn_at=TODAY.isoformat(), reference="dms/8")
    await world.until(lambda: _closed(world, ended), "it is closed")
    load = next(load for load in await ask(where, "workload") if load["handler"] == handler)
    assert (load["open"], load["overdue"], load["soon"], load["closed"]) == (3, 1, 1, 1)
    assert load["oldest"] == late
    table = (await cli(where, "workload", "--organisation", "BTA")).stdout
    assert handler in table
    assert "nobody" in table
    assert handler not in [load["handler"] for load in await ask(where, "workload", "--organisation", "GJ")]


async def _closed(world: World, case: str) -> bool:
    row = await world.row(case)
    return row is not None and row.closed_at is not None


# ---- what is late ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("present")
async def test_an_overdue_clock_says_what_the_case_waits_for(world: World, where: Environment) -> None:
    case = await complete(world, where, TODAY - timedelta(days=60))
    found = await ask(where, "late", "--limit", "0")
    line = next(c for c in found["clocks"] if c["case"] == case)
    assert (line["how"], line["duty"], line["days"], line["surely"]) == ("overdue", "BTA-10.5a", 30, True)
    assert "decision" in line["waits_for"]
    assert found["totals"]["overdue"] >= 1
    text = (await cli(where, "late", "--limit", "0")).stdout
    assert case in text
    assert "waits for" in text
    fresh = await complete(world, where, TODAY)
    assert fresh not in [c["case"] for c in (await ask(where, "late", "--limit", "0"))["clocks"]]


async def test_a_decision_after_the_last_day_was_late_and_the_story_between_is_told(world: World) -> None:
    """The last day was 31 March; assigned on 5 April, decided on 7 April: seven days late."""
    case = await deciding(world)
    for day, words in ((35, ("assign_case", {"handler": "op-3"})), (37, ("propose_decision", proposal()))):
        await world.advance(case, MONDAY + timedelta(days=day))
        await world.say(case, words[0], **words[1])
    line = await lateness(world, case, "BTA-10.5a")
    assert (line.how, line.days, line.surely) == ("late", 7, True)
    assert line.stage_then == "deciding"
    assert [step.entry for step in line.after] == ["assigned", "decided"]
    assert line.after[1].actor == "op-1"
    assert line.waits_for == ""


async def test_a_payment_proven_after_its_last_day_is_kept_and_listed_apart(world: World) -> None:
    """The bank executed it on the last day, 22 March, and said so two days after: kept, proven two days after."""
    case = await decided(world)
    await world.advance(case, datetime(2027, 3, 24, 9, 0, tzinfo=MONDAY.tzinfo))
    assert (await lateness(world, case, "BTA-10.5c")).how == "overdue"
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-22"))
    line = await lateness(world, case, "BTA-10.5c")
    assert (line.how, line.days, line.proof) == ("kept", 2, "payment_executed")


async def test_the_reason_of_a_correction_stands_there_only_with_personal_data(world: World) -> None:
    case = await decided(world)
    await world.advance(case, datetime(2027, 3, 24, 9, 0, tzinfo=MONDAY.tzinfo))
    correction = {"reason": "the bank's statement came late", "document": "dms/9", "second_person": "op-2"}
    await world.say(case, "confirm_payment", **paid_on("2027-03-22"), correction=correction)
    assert (await lateness(world, case, "BTA-10.5c")).correction is None
    assert (await lateness(world, case, "BTA-10.5c", personal=True)).correction == correction


async def test_the_first_second_after_the_last_day_is_overdue_and_the_last_before_is_not(world: World) -> None:
    case = await deciding(world)
    due = (await world.clock(case, "BTA-10.5a")).due
    for second, expected in ((-1, []), (0, [case])):
        found = await queues.late(world.sessions, due + timedelta(seconds=second), limit=None)
        assert [c.case for c in found.clocks if c.case == case] == expected


async def test_the_limit_holds_for_each_way_of_being_late_so_none_hides_another(world: World) -> None:
    kept = await decided(world)
    await world.advance(kept, datetime(2027, 3, 24, 9, 0, tzinfo=MONDAY.tzinfo))
    await world.say(kept, "confirm_payment", actor="system:bank", **paid_on("2027-03-22"))
    for _ in range(2):
        await deciding(world, at=MONDAY - timedelta(days=60))
    await world.now.set(datetime(2027, 3, 24, 10, 0, tzinfo=MONDAY.tzinfo))
    found = await queues.late(world.sessions, world.now(), limit=1)
    hows = [c.how for c in found.clocks]
    assert {"overdue", "kept"} <= set(hows)
    assert len(hows) == len(set(hows))
    assert found.totals["overdue"] >= 2


async def lateness(world: World, case: str, duty: str, *, personal: bool = False) -> queues.Lateness:
    found = await queues.late(world.sessions, world.now(), personal=personal, limit=None)
    return next(c for c in found.clocks if (c.case, c.duty) == (case, duty))


# ---- cost -----------------------------------------------------------------------------------------------------------


async def test_a_question_costs_the_same_few_statements_for_any_number_of_cases(
    world: World, postgres: Postgres
) -> None:
    """The store is asked once for work lists, twice for load and lateness; nothing sealed is opened."""
    late = [await deciding(world, at=MONDAY - timedelta(days=60 + n)) for n in range(3)]
    # an engine of its own: the worker's statements are not counted
    own = engine(postgres.url("world"), world.keyring)
    of = sessions(own)
    said: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        said.append(statement)

    async with of() as session:
        await session.exec(select(CaseRow.case).limit(1))  # what a new connection asks first
    event.listen(own.sync_engine, "before_cursor_execute", note)
    groups = await queues.queue(of, world.now(), queues.Wanted(limit=None))
    assert len(said) == 1
    await queues.workload(of, world.now())
    assert len(said) == 1 + 2
    found = await queues.late(of, world.now(), limit=None)
    assert len(said) == 1 + 2 + 2
    await own.dispose()
    for sealed in ("clock.evidence", "clock.reason", "timeline.facts", "intake.content", "cases.state"):
        assert not any(sealed in statement for statement in said)
    assert set(late) <= {t.case for g in groups for t in g.tasks}
    assert found.totals["overdue"] >= len(late)
