"""What a command works with: the store, and the engine if it answers; and what is said where one of them does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import asyncpg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from temporalio.client import Client
from temporalio.service import RPCError

from models.errors import Refusal
from models.now import wall_clock
from operations.intake import Intake, Sessions
from operations.local import LocalServerError
from operations.place import Place, find, keys, keys_url
from operations.store import engine as make_engine
from operations.store import sessions
from security.keys import Keyring, NoKey
from security.master import MasterKeyError
from settings import Settings, SettingsFaults, read_settings

DATA = "22"
"""What the states of PostgreSQL begin with that find fault with a value."""
ANSWERS_WITHIN = 10.0
"""Seconds after which an engine that does not answer counts as down."""


class NotAnswering(Exception):
    """Store or engine does not answer, or cannot be used as it is; the text says which and why."""


@dataclass(frozen=True)
class Connection:
    """Store and engine of one installation."""

    settings: Settings
    place: Place
    sessions: Sessions
    keyring: Keyring
    client: Client | None
    """None where the engine is not needed, or does not answer."""
    intake: Intake
    engine_problem: str | None = None

    @property
    def engine(self) -> Client:
        """The engine.

        Raises:
            NotAnswering: It does not answer.
        """
        if self.client is None:
            raise NotAnswering(self.engine_problem or "the engine does not answer")
        return self.client


@asynccontextmanager
async def connect(
    settings: Settings | None = None, *, engine: Literal["needed", "wanted", "not needed"] = "wanted"
) -> AsyncIterator[Connection]:
    """The connection of these settings, for as long as the block runs.

    Raises:
        NotAnswering: The store does not answer, or a needed engine does not.
        Refusal: The store answers that it takes no such value.
    """
    try:
        settings = settings or read_settings()
    except SettingsFaults as e:
        raise NotAnswering(str(e)) from None
    place = await _place(settings, engine)
    try:
        keyring = keys(place, settings)
    except MasterKeyError as e:
        raise NotAnswering(str(e)) from None
    client, problem = None, None
    if engine != "not needed":
        client, problem = await _engine(place, keyring)
        if client is None and engine == "needed":
            raise NotAnswering(problem)
    database = make_engine(place.database_url, keyring, pool=2)
    try:
        made = sessions(database)
        yield Connection(settings, place, made, keyring, client, Intake(made, keyring, client, wall_clock), problem)
    except (NoKey, MasterKeyError) as e:
        raise NotAnswering(str(e)) from None
    except DBAPIError as e:
        if str(getattr(e.orig, "sqlstate", None)).startswith(DATA):
            raise Refusal(
                "a value that was said cannot be kept or looked for: half a character, or out of range"
            ) from e
        raise NotAnswering(_store_problem(e)) from e
    except (SQLAlchemyError, asyncpg.PostgresError, OSError) as e:
        raise NotAnswering(_store_problem(e)) from e
    except RPCError as e:
        raise NotAnswering(f"the engine at {place.temporal_address} does not answer: {e.status.name}") from e
    finally:
        await database.dispose()
        await keyring.close()


async def _place(settings: Settings, engine: str) -> Place:
    try:
        return await find(settings)
    except LocalServerError as e:
        # a store that is named is enough to read, and to keep what is filed
        if settings.database_url is None or engine == "needed":
            raise NotAnswering(str(e)) from None
        return Place(
            database_url=settings.database_url.get_secret_value(),
            keys_database_url=keys_url(settings) or "",
            temporal_address="",
            namespace=settings.namespace,
        )


async def _engine(place: Place, keyring: Keyring) -> tuple[Client | None, str | None]:
    try:
        if not place.temporal_address:
            return None, "no engine is named; set TEMPORAL_ADDRESS"
        async with asyncio.timeout(ANSWERS_WITHIN):
            return await place.connect(keyring), None
    except (RuntimeError, OSError, TimeoutError, RPCError):
        return None, f"the engine at {place.temporal_address} does not answer"


def _store_problem(error: Exception) -> str:
    """Names the problem, never the statement or its values."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    if state == "42P01":  # undefined table
        return "the store has no tables yet; run: python starter.py setup"
    name = type(cause.__cause__ or cause).__name__ if cause is not None else type(error).__name__
    return f"the store does not answer: {name}" + (f" ({state})" if state else "")
