"""Cases lived for the replay gate: what each kind can go through and no test of its own rules lives for each kind."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlmodel import col, update

from models.case import Transition
from models.names import TASK_QUEUE
from models.tables import ClockRow
from operations.recount import recount
from rules.rulebook import book
from tests.workflows.test_case import deciding, lose_a_clock
from tests.workflows.test_long_histories import STORIES, Story
from tests.workflows.test_sign_in_review import filed
from tests.workflows.test_task import analysis
from tests.world import Refused, World


@pytest.mark.parametrize("story", [deciding, filed, analysis, *STORIES], ids=lambda s: s.__name__)
async def test_any_kind_is_assigned_counts_anew_diverges_and_adopts_its_record(world: World, story: Story) -> None:
    """What the base class does for every kind stays followable in every kind."""
    case = await story(world)
    await world.say(case, "assign_case", handler="op-7")
    await world.ring(case, "recount")

    async def counted() -> bool:
        return (await world.entries(case))[-1] == "recounted"

    await world.until(counted, "the case counts anew")
    await world.settled(case)
    row = await world.row(case)
    assert row is not None
    behind_its_back = Transition(
        case=case,
        step=row.step + 1,
        at=world.now(),
        stage=row.stage,
        entry="assigned",
        facts={"handler": "op-77"},
        body=row.state["body"],
    )
    await world.case_activities.record(behind_its_back)
    await world.say(case, "assign_case", handler="op-9")
    await lose_a_clock(world, case)
    with pytest.raises(Refused, match="adopt_record comes first"):
        await world.say(case, "assign_case", handler="op-9")
    await world.say(case, "adopt_record", reason="the duty was lifted")
    await world.say(case, "assign_case", handler="op-9")
    entries = await world.entries(case)
    # a case that rested opens its follow-up again: its clock is gone
    assert [entry for entry in entries[entries.index("recounted") :] if entry != "reopened"] == [
        *("recounted", "assigned", "assigned", "record_adopted", "assigned"),
    ]


async def test_a_recount_rings_until_no_case_is_left(worker_world: World) -> None:
    """The workflow over many cases: a round, a pause, and an end."""
    world = worker_world
    async with world.serving():
        case = await deciding(world)
        async with world.sessions() as session, session.begin():
            await session.exec(update(ClockRow).where(col(ClockRow.case) == case).values(rulebook_version="2020-01-01"))
        done = await recount(world.sessions, world.client, world.now, "op-1", lambda done, total: None)
        assert (done.cases, done.left) == (1, ())
        await world.settled(case)
        assert (await world.clock(case, "BTA-10.5a")).rulebook_version == book("BTA").version


async def test_what_schedules_start_ends(worker_world: World) -> None:
    world = worker_world
    async with world.serving():
        await deciding(world)
        for name in ("Sweep", "Incoming", "Checkpoint", "Recurrences", "Storage"):
            await world.client.execute_workflow(name, id=f"{name.lower()}-{uuid4()}", task_queue=TASK_QUEUE)
