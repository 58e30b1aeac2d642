"""A key store of its own for each test that destroys or rotates keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from operations.local import Postgres
from operations.store import keyring as make_keyring
from security.keys import Keyring
from security.master import MasterKeyFile

_databases = count(1)


@pytest.fixture
async def keys_url(postgres: Postgres) -> str:
    """The address of an empty key database."""
    name = f"keys{next(_databases)}"
    await postgres.create_database(name)
    return postgres.url(name)


@pytest.fixture
def master_file(tmp_path: Path) -> Path:
    """Where the master key lies."""
    return tmp_path / "keys" / "master"


@pytest.fixture
async def keyring(keys_url: str, master_file: Path) -> AsyncIterator[Keyring]:
    """A keyring that was set up."""
    made = make_keyring(keys_url, MasterKeyFile(master_file))
    await made.setup()
    yield made
    await made.close()
