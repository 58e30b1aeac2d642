"""The store: an engine and its sessions, made once by whoever runs, never at import."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession


def engine(url: str, *, pool: int = 10) -> AsyncEngine:
    """An engine for `postgresql+asyncpg://…`; a connection that died is noticed before it is used.

    Its errors never repeat the values of a statement: they reach logs and histories.
    """
    return create_async_engine(url, pool_size=pool, max_overflow=pool, pool_pre_ping=True, hide_parameters=True)


def sessions(of: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions whose rows stay readable after the commit."""
    return async_sessionmaker(of, class_=AsyncSession, expire_on_commit=False)
