"""Names that histories freeze: what the code registers is what the committed list says, no more and no less.

A name may be added. One that is gone or changed would strand every running case that has it in its history.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from models import errors, names
from operations.setup import ATTRIBUTES
from tests.world import World
from workflows import registry
from workflows.case import Case

LIST = Path(__file__).parent / "names.json"


def registered(activities: list[str]) -> dict[str, Any]:
    """All names that histories hold."""
    found: dict[str, Any] = {
        "task_queue": names.TASK_QUEUE,
        "kinds": names.KINDS,
        "search_attributes": sorted(ATTRIBUTES),
        "errors": sorted(v for k, v in vars(errors).items() if k.isupper()),
        "activities": sorted(activities),
        "workflows": {},
    }
    for cls in registry.ALL:
        definition: Any = cls.__temporal_workflow_definition  # type: ignore[attr-defined]  # set by the decorator
        entry: dict[str, Any] = {"updates": sorted(definition.updates), "signals": sorted(definition.signals)}
        if issubclass(cls, Case):
            entry["stages"] = sorted(definition.cls.stages)
        found["workflows"][definition.name] = entry
    return found


async def test_the_registered_names_are_those_of_the_list(world: World) -> None:
    now = registered(world.activity_names)
    if not LIST.exists():
        LIST.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    assert now == json.loads(LIST.read_text())


def test_every_handler_takes_one_optional_argument_and_has_a_validator() -> None:
    """A message without its argument, or with two, must reach the validator, or it wedges the case."""
    for cls in registry.ALL:
        definition: Any = cls.__temporal_workflow_definition  # type: ignore[attr-defined]  # set by the decorator
        handlers = {n: d.fn for n, d in (*definition.updates.items(), *definition.signals.items())}
        for name, function in {**handlers, "run": definition.run_fn}.items():
            _, first, *rest = inspect.signature(function).parameters.values()
            assert first.default is None, (cls, name)
            assert [p.kind for p in rest] == [inspect.Parameter.VAR_POSITIONAL], (cls, name)
        for name, update in definition.updates.items():
            assert update.validator is not None, (cls, name)
            assert update.description, (cls, name)
