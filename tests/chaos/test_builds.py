"""Two builds at once, without worker versioning: any of their workers may get any task of any case, and any may die.

The rule of docs/changing-running-code.md: a build that follows a patch and does not mark it can serve beside the one
that marks it, in any order of deaths. The build before both cannot.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path

import pytest

from tests.chaos import builds
from tests.chaos.campaign import Plan, Result, Trial, campaign
from tests.chaos.house import House, house
from tests.chaos.test_chaos import told
from tests.chaos.worker import Plant

SCRIPTS = ("claim_hasty", "claim_twice_paid", "access_request", "withdrawal")
pytestmark = pytest.mark.timeout(600)  # as in test_chaos.py


@asynccontextmanager
async def serving(*plants: Plant | None) -> AsyncIterator[House]:
    """A house with a worker of each of these builds."""
    with tempfile.TemporaryDirectory(prefix="termins-chaos-", ignore_cleanup_errors=True) as folder:
        async with house(Path(folder) / "var", workers=0) as servers:
            for number, plant in enumerate(plants, start=1):
                await servers.employ(number, plant)
            yield servers


async def deaths(servers: House) -> None:
    """Now one worker dies, now the other, each time the cases have gone on a little, however fast the machine is.

    Each time a little more: an effect that was struck is tried again later and later, and would never come through.
    """
    for n, number in enumerate(cycle(range(len(servers.workers)))):
        await servers.busy(steps=30 + 10 * n)
        await servers.kill("worker", number=number)


async def changes_of_hands(servers: House, results: list[Result]) -> int:
    """How many cases have the mark of the new way and went on under a worker that would not have set it."""
    found = 0
    for result in results:
        for case in result.cases:
            marked, followed = False, False
            async for event in servers.client.get_workflow_handle(case).fetch_history_events():
                if event.HasField("marker_recorded_event_attributes"):
                    marked |= event.marker_recorded_event_attributes.marker_name == "core_patch"
                identity = event.workflow_task_started_event_attributes.identity
                followed |= marked and int(identity.split("@")[0] or 0) in servers.pids[1]
            found += followed
    return found


async def test_a_build_that_marks_a_change_and_one_that_follows_it_serve_the_same_cases() -> None:
    """Either dies again and again, and the other takes its cases: no task fails, and every run ends as undisturbed."""
    async with serving(builds.marks, builds.follows) as servers:
        trial = Trial(servers)
        results = await trial.live([Plan(script) for script in SCRIPTS], meanwhile=lambda: deaths(servers))
        assert not told(results), told(results)
        assert await changes_of_hands(servers, results)


async def test_the_build_before_cannot_follow_and_the_campaign_says_so() -> None:
    """Why the build that follows has to go out first; and that a campaign finds a case that no longer goes on."""
    async with serving(builds.marks) as servers:
        runs = asyncio.create_task(campaign(servers, [Plan(script) for script in SCRIPTS]))
        while not (await servers.client.count_workflows(f"TemporalChangeVersion = '{builds.PATCH}'")).count:
            await servers.busy(steps=1)
        await servers.dismiss(0)
        await servers.employ(2)
        results = await runs
    assert any("cannot follow" in (result.problem or "") for result in results), results
