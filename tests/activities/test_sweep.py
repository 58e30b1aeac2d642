"""A sweep: each of its parts is tried, whatever becomes of the others."""

from __future__ import annotations

import pytest

from activities import sweep
from activities.sweep import SweepActivities
from tests.world import World


async def test_a_part_that_fails_holds_up_no_other_and_is_not_silent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    async def broken(*_: object) -> int:
        raise RuntimeError("the first part")

    async def last(*_: object) -> int:
        tried.append("last")
        return 0

    monkeypatch.setattr(sweep, "ring_concerned", broken)
    monkeypatch.setattr(sweep, "keep_journals", last)
    owners = [getattr(a, "__self__", None) for a in world.activities]
    with pytest.raises(RuntimeError, match="the first part"):
        await next(o for o in owners if isinstance(o, SweepActivities)).deliver()
    assert tried == ["last"]
