"""A clinic's own database, with which Termins has nothing to do: 18 tables, and as many people as wanted."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

HERE = Path(__file__).parent
DATASET = HERE / "clinic.yml"


async def make(engine: AsyncEngine, people: int) -> None:
    """Fill an empty database."""
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.execute((HERE / "clinic.sql").read_text())
        await driver.execute((HERE / "people.sql").read_text().replace(":people", str(people)))
        await driver.execute("ANALYZE")


async def everywhere(engine: AsyncEngine, *texts: str) -> set[str]:
    """Every table of the database in which one of these texts stands, found without any description."""
    tables = text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'clinic'")
    found = set()
    async with engine.connect() as connection:
        for table in (await connection.execute(tables)).scalars():
            stands = f'SELECT EXISTS (SELECT FROM clinic."{table}" t WHERE t::text ~ :any)'  # noqa: S608  # own names
            if await connection.scalar(text(stands), {"any": "|".join(map(re.escape, texts))}):
                found.add(table)
    return found
