"""A house whose inhabitants may be killed, and the undisturbed runs that all others are compared with."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.campaign import Trial
from tests.chaos.house import House, house


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[House]:
    """PostgreSQL, Temporal, a mail server and a worker of this run, for whoever kills them."""
    # not under pytest's own folder: another run would close it to PostgreSQL's user
    with tempfile.TemporaryDirectory(prefix="termins-chaos-", ignore_cleanup_errors=True) as folder:
        async with house(Path(folder) / "var") as made:
            yield made


@pytest.fixture(scope="session")
async def trial(servers: House) -> Trial:
    """Runs of these servers, compared with undisturbed ones."""
    return Trial(servers)
