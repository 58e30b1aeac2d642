"""Workflow code of another day: a copy of a module with other commands in it, under another name."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from workflows import registry

RUN = "        return await self.live(message, *more)\n"
CHANGED = "        await workflow.sleep(1)\n" + RUN
"""One command more, before all others."""
PATCHED = '        if workflow.patched("access-waits-first"):\n            await workflow.sleep(1)\n' + RUN
"""The same, for cases that did not pass there yet."""


def altered(folder: Path, name: str, run: str, monkeypatch: pytest.MonkeyPatch) -> list[type]:
    """The workflows of today, with this end of `run` in the request for access."""
    text = (Path(__file__).parents[2] / "workflows" / "access_request.py").read_text()
    assert text.count(RUN) == 1
    (folder / f"{name}.py").write_text(text.replace(RUN, run))
    monkeypatch.syspath_prepend(folder)
    changed = importlib.import_module(name).AccessRequest
    return [changed if cls.__name__ == "AccessRequest" else cls for cls in registry.ALL]
