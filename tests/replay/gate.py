"""The gate: does a recorded history replay on the code of today; if not, where do they part, and what can be done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from models.converter import data_converter
from tests.replay.history import described, read, shown
from worker import runner
from workflows import registry

WAYS_OUT = """\
Cases that are open now would stop at this point, and their clocks with them. Three ways out:
  1. Keep the old commands for the cases that already passed this point, and take the new ones in all others:
         if workflow.patched("{type}-asks-the-bank-first"):
             ...  # the new commands
         else:
             ...  # what stood here before
  2. Where the whole story changes: a new workflow type ({type}V2) beside the old one, which stays until its last case
     has ended. New cases start as the new type.
  3. Only while no case runs anywhere on the recorded code: record anew, and say why: make record REASON="…"
docs/changing-running-code.md says which of them fits, how it is rolled out, and how it is taken back."""


def replayer(workflows: Sequence[type] = registry.ALL) -> Replayer:
    """Replays in the sandbox that the worker uses, and without keys: recorded histories are in clear."""
    return Replayer(
        workflows=workflows,
        data_converter=data_converter,
        workflow_runner=runner(),
        debug_mode=True,  # without its alarm after two seconds, which a busy machine sets off
    )


async def problem(path: Path, workflows: Sequence[type] = registry.ALL) -> str:
    """What to tell whoever changed the code; empty if the history replays."""
    history = read(path)
    failure = await _failure(history, workflows)
    if failure is None:
        return ""
    # the first event with which the history does not replay any more; the engine's own text often names none
    low, high = 0, len(history.events)
    while high - low > 1:
        middle = (low + high) // 2
        if await _failure(WorkflowHistory(history.workflow_id, history.events[:middle]), workflows) is None:
            low = middle
        else:
            high = middle
    event = history.events[high - 1]
    found = shown(history)
    return (
        f"{found.type}: the code of today does not follow a recorded history.\n"
        f"  history: {path.name}\n"
        f"  branch:  {found.branch}\n"
        f"  event:   {event.event_id} of {len(history.events)}, {described(event)}: "
        "here the commands of today part from the recorded ones\n"
        f"  engine:  {failure}\n" + WAYS_OUT.replace("{type}", found.type)
    )


async def _failure(history: WorkflowHistory, workflows: Sequence[type]) -> str | None:
    # shorter than the first task there is nothing to follow
    if len(history.events) < 3:  # started, scheduled, begun
        return None
    result = await replayer(workflows).replay_workflow(history, raise_on_replay_failure=False)
    if result.replay_failure is None:
        return None
    text = str(result.replay_failure)
    start = text.find('message: "')
    return text if start < 0 else text[start + len('message: "') :].split('", source:', maxsplit=1)[0]
