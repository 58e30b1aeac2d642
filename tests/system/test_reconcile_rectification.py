"""After a restore: what the systems had corrected since the dump comes back to the store, from the histories."""

from __future__ import annotations

from tests.system.test_reconcile import Dumps, dumps, put_together, record
from tests.workflows.test_privacy_request import MONDAY, file, identify, person
from tests.workflows.test_privacy_rights import entered
from tests.workflows.test_rectification import before, wrong
from tests.world import World

__all__ = ["dumps"]


async def test_corrections_made_since_the_dump_come_back_with_their_ledger(worker_world: World, dumps: Dumps) -> None:
    """The values stand in the histories under the case's key; every row is again what it was."""
    world, who = worker_world, person()
    async with world.serving():
        await before(world, "DZ", who)
        case = await file(world, "DZ", "rectification", who=who, answer_channel="portal")
        await world.stage(case, "identifying")
        await dumps.dump()
        await identify(world, case, MONDAY)
        await world.stage(case, "assessing")
        await world.say(case, "assess_right", right="rectification", outcome="fulfilled", corrections=[wrong(who)])
        await entered(world, case, "rectified")
        await world.settled(case)
    was = await record(world)
    await dumps.restore()
    assert (await record(world))["rectification"] == []
    done = await put_together(world)
    assert (done.stuck, done.unreadable, done.no_filing) == ({}, (), ())
    now = await record(world)
    for table, rows in was.items():
        assert now[table] == rows, table
    assert len(now["rectification"]) == 1
