"""Alembic's environment: the tables of models.tables, in the database that the caller names."""

from __future__ import annotations

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

import models.tables  # the tables register themselves


def run(connection: Connection) -> None:
    """Migrate in one transaction."""
    context.configure(connection=connection, target_metadata=SQLModel.metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    """Connect, migrate, leave."""
    engine = create_async_engine(context.config.attributes["url"])
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


assert models.tables.__all__
asyncio.run(main())
