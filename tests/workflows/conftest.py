"""Records the histories of the cases that these tests live, for `tests/replay`: `pytest tests/workflows --record`."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world import World

HISTORIES = Path(__file__).parent.parent / "replay" / "histories"


@pytest.fixture(autouse=True)
async def record(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """After a test, keep the history of each case in it whose branch has none yet."""
    if not request.config.getoption("--record") or "world" not in request.fixturenames:
        yield
        return
    world: World = request.getfixturevalue("world")
    world.filed.clear()
    yield
    for case in dict.fromkeys(world.filed):
        kind = case.split(":")[0]
        if await world.row(case) is None:
            continue
        branch = " ".join(await world.entries(case))
        kept = HISTORIES / "branches.json"
        branches = json.loads(kept.read_text()) if kept.exists() else {}
        key = f"{kind}: {branch}"
        if key in branches:
            continue
        history = await world.handle(case).fetch_history()
        rule = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[5:60].strip("-")
        name = f"{kind}-{len(branches) + 1:03d}-{rule}.json.gz"
        HISTORIES.mkdir(exist_ok=True)
        (HISTORIES / name).write_bytes(gzip.compress(history.to_json().encode(), mtime=0))
        kept.write_text(json.dumps({**branches, key: name}, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
