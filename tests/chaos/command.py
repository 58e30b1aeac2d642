"""A command of the starter, put where it can be struck: before each of its statements, commits and files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import Engine, event

import starter
from security import keys
from tests.chaos.points import Journal
from tests.chaos.worker import strike_files

BATCH = 3
"""So many keys are wrapped anew in one transaction: a rotation has several with few keys."""


def strike_statements(journal: Journal, token: str) -> None:
    """Every statement and every commit, of the store and of the key database: just before it."""

    def statement(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        journal.passes(token, f"before {text.split(maxsplit=1)[0]}")

    def commit(_: Any) -> None:
        journal.passes(token, "before commit")

    event.listen(Engine, "before_cursor_execute", statement)
    event.listen(Engine, "commit", commit)


def run(folder: Path, token: str, environment: dict[str, str], words: list[str]) -> None:
    """Be one command of this installation; its exit code is the process's."""
    output = os.open(folder / "output", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for name in [n for n in os.environ if n.startswith(("TEMPORAL_", "TERMINS_")) or n == "DATABASE_URL"]:
        del os.environ[name]
    os.environ.update(environment)
    journal = Journal(folder / "chaos")
    strike_statements(journal, token)
    strike_files(journal, lambda: (token, "file:"))
    with patch.object(keys, "_BATCH", BATCH):
        try:
            starter.app(words)
        finally:
            journal.passes(token, "ended")
