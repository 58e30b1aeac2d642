"""What the tests of the whole system share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from tests.world import World


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--steps`: how far behind the restores of tests/system/test_reconcile.py are."""
    parser.addoption("--steps", type=int, default=60, help="steps that a restored store or engine is behind")


@pytest.fixture
async def present(world: World) -> AsyncIterator[None]:
    """Programs of their own know no virtual time: the world's clocks show the machine's."""
    before = world.now()
    await world.now.set(datetime.now(UTC))
    yield
    await world.now.set(before)
