"""Whoever dies, whenever: a case comes to the same end. A sample of what `make chaos` does by the thousand.

The rule: each step is one transaction with its effects queued in it, and each effect can be run again. So a run in
which something was killed has the timeline, clocks, letters, payments and rows of an undisturbed one.
"""

from __future__ import annotations

import random
import re
import secrets
import tempfile
from pathlib import Path

import pytest

from tests.chaos import plants
from tests.chaos.campaign import Plan, Result, Trial, turmoil
from tests.chaos.house import House, Victim, house
from tests.chaos.points import Point
from tests.chaos.scripts import SCRIPTS

OF = 10
"""Scripts of a sample."""
EACH = 2
"""Runs of each of them."""
pytestmark = pytest.mark.timeout(600)  # a machine that is busy with other tests is slow to start again what died


def told(results: list[Result]) -> str:
    """What differs, run by run."""
    return "\n".join("\n  ".join([f"{r.plan} ({r.token})", *r.faults]) for r in results if r.faults)


async def test_a_run_in_which_a_worker_died_ends_as_the_undisturbed_one(trial: Trial) -> None:
    """Points of death at random from all that an undisturbed run passes: activities, commits, files, workflow tasks."""
    seed = secrets.randbelow(10**9)
    print(f"seed {seed}")
    dice = random.Random(seed)  # noqa: S311  # dice, no secret
    scripts = dice.sample(list(SCRIPTS), OF)
    points = await trial.live_in_peace(scripts)
    plans = [Plan(script, point) for script in scripts for point in dice.sample(points[script], EACH)]
    results = await trial.live(plans)
    assert not told(results), f"seed {seed}\n{told(results)}"
    assert sum(result.struck for result in results) > len(results) / 2, "most of them died at their point"


@pytest.mark.parametrize("victims", [("postgres", "mail"), ("temporal", "worker", "identity")])
async def test_servers_that_die_one_after_another_change_nothing(
    trial: Trial, servers: House, victims: tuple[Victim, ...]
) -> None:
    dice = random.Random(0)  # noqa: S311  # dice, no secret
    deaths = len(servers.deaths)
    scripts = ("claim_twice_paid", "access_changed", "credential", "privacy_erasure")
    results = await trial.live(
        [Plan(script) for script in scripts], meanwhile=lambda: turmoil(servers, dice, victims, every=2.0)
    )
    assert not told(results), told(results)
    assert len(servers.deaths) > deaths


async def test_what_is_planted_is_found() -> None:
    """All of it is right in peace; only the death of a worker between two commits shows it, and the comparison does."""
    with tempfile.TemporaryDirectory(prefix="termins-chaos-", ignore_cleanup_errors=True) as folder:
        async with house(Path(folder) / "var", mail="maildir", identity="local", plant=plants.every) as servers:
            trial = Trial(servers)
            deaths = [
                Plan("claim_paid", Point("payment.order order taken", 1)),
                Plan("claim_paid", plants.BETWEEN),
                Plan("withdrawal", plants.MADE),
                Plan("withdrawal", plants.MAILED),
            ]
            results = await trial.live(deaths)
    assert all(result.struck for result in results)
    paying, losing, making, setting = (result.faults for result in results)
    assert any(fault.startswith("+") and "EndToEndId" in fault for fault in paying), "paid twice, unnoticed"
    assert any(fault.startswith("-") and "BTA-10.5c" in fault for fault in losing), "a clock lost, unnoticed"
    assert any(re.match(r"\+.*U\d#2", fault) for fault in making), "an account made twice, unnoticed"
    assert any(fault.startswith("-") and fault.endswith(": true") for fault in setting), "a dead secret, unnoticed"
