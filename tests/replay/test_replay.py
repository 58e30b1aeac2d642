"""Every recorded history of every kind of case replays on the code of today: running cases survive a deploy.

A history that does not replay means that open cases would be wedged: patch or version the change. Record anew only
with a reason: remove `histories/` and run `pytest tests/workflows --record`.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from models.converter import data_converter
from models.names import KINDS
from worker import runner
from workflows import registry

HISTORIES = Path(__file__).parent / "histories"
FILES = sorted(HISTORIES.glob("*.json.gz"))


def read(path: Path) -> str:
    """A history as JSON."""
    return gzip.decompress(path.read_bytes()).decode()


@pytest.fixture(scope="module")
def replayer() -> Replayer:
    """Replays in the sandbox that the worker uses."""
    return Replayer(workflows=registry.ALL, data_converter=data_converter, workflow_runner=runner())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.removesuffix(".json.gz"))
async def test_a_recorded_history_replays(replayer: Replayer, path: Path) -> None:
    """The commands of today's code are those of the history."""
    text = read(path)
    first = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    await replayer.replay_workflow(WorkflowHistory.from_json(first["workflowId"], text))


def test_every_kind_of_case_has_recorded_histories() -> None:
    recorded = {path.name.split("-")[0] for path in FILES}
    assert recorded == set(KINDS)


async def test_a_history_of_other_code_is_found_out(replayer: Replayer) -> None:
    """The gate can fail: a history with a step taken out does not replay."""
    text = read(FILES[0])
    events = json.loads(text)["events"]
    for event in events:
        attributes = event.get("activityTaskScheduledEventAttributes")
        if attributes and attributes["activityType"]["name"] == "case.record":
            attributes["activityType"]["name"] = "case.other"
            break
    with pytest.raises(Exception, match=r"TMPRL1100|Nondeterminism"):
        await replayer.replay_workflow(
            WorkflowHistory.from_json(
                events[0]["workflowExecutionStartedEventAttributes"]["workflowId"], json.dumps({"events": events})
            )
        )
