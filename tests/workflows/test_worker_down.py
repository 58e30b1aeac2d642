"""The worker is down over a due instant: the result is the same as if it had served, in either order."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.workflows.test_claim import MONDAY, content, documents, paid_on, proposal
from tests.world import World


async def test_an_outage_over_the_due_instant_changes_no_judgment(worker_world: World) -> None:
    """The proof of the last day and the due instant come in one activation, after midnight: overdue, then kept."""
    world = worker_world
    await world.begin(MONDAY)
    async with world.serving():
        claim = content(await world.policy(), documents=documents(MONDAY))
        case = await world.file("claim", "BTA", claim)
        await world.stage(case, "deciding")
        await world.covered(case)
        await world.say(case, "propose_decision", **proposal())
        await world.payment(case, "C1:indemnity", "issued")
        await world.settled(case)
    due = (await world.clock(case, "BTA-10.5c", "C1")).due
    async with world.serving():
        await world.advance(case, due - timedelta(hours=1))
    handle = world.handle(case)
    current = await world.environment.get_current_time(handle)
    await world.environment.fast_forward(handle, due - current)
    await world.now.set(due + timedelta(hours=9))
    saying = asyncio.create_task(world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-22")))
    async with world.serving():
        await saying
        await world.stage(case, "resting")
    assert (await world.clock(case, "BTA-10.5c", "C1")).status == "kept"
    assert "BTA-10.5c:C1:1:overdue" in await world.notices(case)


async def test_what_was_filed_while_no_worker_served_is_counted_from_its_receipt(worker_world: World) -> None:
    world = worker_world
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", content(await world.policy(), documents=documents(MONDAY)))
    assert await world.row(case) is None
    async with world.serving():
        await world.stage(case, "deciding")
    assert (await world.clock(case, "BTA-10.5a")).last_day.isoformat() == "2027-03-31"
