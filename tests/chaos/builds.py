"""Two builds of the workflows: both are today's, with one command more before every effect outside, behind a patch.

The one writes the patch's mark into the history of each case that comes by (`marks`). The other never does, and follows
those that have it (`follows`): the build that goes out first where going back must stay possible, as
docs/changing-running-code.md says. A worker without either is the build before both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from temporalio import workflow

from tests.chaos.points import Journal
from workflows.case import Case

PATCH = "effects-wait-first"


def marks(_: Journal) -> None:
    """Cases that come by for the first time take the new way, and their history says so."""
    _change(lambda: workflow.patched(PATCH))


def follows(_: Journal) -> None:
    """Only cases whose history says so take the new way."""
    _change(lambda: workflow.unsafe.is_replaying() and workflow.patched(PATCH))


def _change(new_way: Callable[[], bool]) -> None:
    perform = Case._perform
    # asked once in a run, when it first comes by: later a worker that follows would be told nothing
    taken: WeakKeyDictionary[Case, bool] = WeakKeyDictionary()

    async def changed(self: Case, *args: Any) -> None:
        if self not in taken:
            taken[self] = new_way()
        if taken[self]:
            await workflow.sleep(0.01)
        await perform(self, *args)

    setattr(Case, "_perform", changed)  # noqa: B010  # what is changed is no method of today's class
