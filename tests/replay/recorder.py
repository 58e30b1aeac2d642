"""A plugin of pytest that keeps the history of every run that the tests live: `-p tests.replay.recorder`.

Not for itself: `make record` runs it, and decides what becomes of the histories.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory

from tests.replay.history import digest, event_type, opened, shown, written
from tests.world import World

_kept: set[str] = set()
"""Runs that an earlier test lived; worlds last longer than a test."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--record-into FOLDER`."""
    parser.addoption("--record-into", type=Path, required=True, help="the folder for the histories")


@pytest.fixture(autouse=True)
def worlds(request: pytest.FixtureRequest) -> list[World]:
    """The worlds of this test."""
    return [
        request.getfixturevalue(name)
        for name in ("world", "restless_world", "worker_world")
        if name in request.fixturenames
    ]


@pytest.fixture(autouse=True)
async def recorded(request: pytest.FixtureRequest, worlds: list[World]) -> AsyncIterator[None]:
    """After a test, keep the history of each run in it whose branch has none yet."""
    yield
    rule = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_"))[:50].strip("-")
    folder: Path = request.config.getoption("--record-into")
    for world in worlds:
        for case, run in [(listed.id, listed.run_id) async for listed in world.client.list_workflows()]:
            if run in _kept:
                continue
            _kept.add(run)
            fetched = await world.client.get_workflow_handle(case, run_id=run).fetch_history()
            history = await opened(fetched, world.client.data_converter, world.client.namespace)
            # a run that never had a worker has nothing to replay
            if history is not None and any(event_type(event) == "WorkflowTaskCompleted" for event in history.events):
                _keep(history, folder, rule)


def _keep(history: WorkflowHistory, folder: Path, rule: str) -> None:
    found = shown(history)
    branch = digest(found.branch.encode())[:8]
    if not list(folder.glob(f"*-{branch}.json.gz")):
        (folder / f"{found.kind}-{rule}-{branch}.json.gz").write_bytes(written(history))
