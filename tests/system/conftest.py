"""What the tests of the whole system share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from operations.local import Postgres
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


@pytest.fixture
def where(world: World, postgres: Postgres, tmp_path: Path) -> dict[str, str]:
    """The environment in which a command finds the tests' servers."""
    return {
        "DATABASE_URL": postgres.url("world"),
        "TERMINS_KEYS_DATABASE_URL": postgres.url("world_keys"),
        "TERMINS_MASTER_KEY_FILE": str(world.var / "keys" / "master"),
        "TEMPORAL_ADDRESS": world.client.service_client.config.target_host,
        "TEMPORAL_NAMESPACE": world.client.namespace,
        "TERMINS_VAR": str(tmp_path),
    }
