"""The store: an engine and its sessions, made once by whoever runs, never at import."""

from __future__ import annotations

from typing import cast

from sqlalchemy import AdaptedConnection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from models.tables.sealed import use_keys
from security.keys import Keyring
from security.master import MasterKey

ANSWERS_WITHIN = 25
"""Seconds after which a statement without an answer fails: less than a step may take, so that it is tried again on
another connection."""
FORGOTTEN_AFTER = 150
"""Seconds after which the server ends a transaction whose owner is silent, and with it the locks on a case: more than
an effect may take."""


def engine(url: str, keyring: Keyring, *, pool: int = 10) -> AsyncEngine:
    """An engine for `postgresql+asyncpg://…` whose sealed columns are opened by this keyring."""
    made = _engine(url, pool)
    use_keys(made.dialect, keyring)
    return made


def keyring(url: str, master: MasterKey) -> Keyring:
    """The keyring of a key database."""
    return Keyring(_engine(url, 5), master)


def _engine(url: str, pool: int) -> AsyncEngine:
    """A connection whose server has gone is noticed before it is used.

    Errors never repeat the values of a statement: they reach logs and histories.
    """
    made = create_async_engine(
        url,
        pool_size=pool,
        max_overflow=pool,
        hide_parameters=True,
        connect_args={
            "command_timeout": ANSWERS_WITHIN,
            "server_settings": {"idle_in_transaction_session_timeout": f"{FORGOTTEN_AFTER}s"},
        },
    )
    event.listen(made.sync_engine, "checkout", _still_there)
    return made


def _still_there(connection: DBAPIConnection, _: object, __: object) -> None:
    """Nobody is asked: SQLAlchemy's own ping takes three round trips each time, more than many a step's statements.

    A server that died has closed the socket. What a broken line swallows fails after `ANSWERS_WITHIN`, as a ping would.
    """
    if cast("AdaptedConnection", connection).driver_connection.is_closed():
        raise InvalidatePoolError


def sessions(of: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions whose rows stay readable after the commit."""
    return async_sessionmaker(of, class_=AsyncSession, expire_on_commit=False)
