"""What a night over the storage terms costs: judging and asking for many records, with the memory that it takes."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time

from sqlmodel import insert

from bench.house import House
from models.tables import RecordRow
from operations import storage
from operations.setup import migrate
from operations.store import engine, keyring, sessions
from security.master import MasterKeyFile

AT = datetime(2027, 3, 1, 2, tzinfo=UTC)
DUTIES = ("SE-11.2.2", "SE-11.2.3", "SE-11.2.4", "SE-11.2.6")
AT_ONCE = 1_000
KIB = 1_024


@dataclass(frozen=True)
class Night:
    """A pass over all records."""

    subject: str
    records: int
    seconds: float
    cpu: float
    """CPU seconds of the process that judges."""
    grown: float
    """MB by which its largest size grew."""


async def nights(house: House, records: int) -> list[Night]:
    """The preview, the first night, which asks for what is over, and the second, which finds it asked for."""
    room = await house.room("storage")
    await asyncio.to_thread(migrate, room.database_url)
    keys = keyring(room.keys_database_url, MasterKeyFile(Path(room.var) / "master"))
    await keys.setup()
    database = engine(room.database_url, keys, pool=2)
    made = sessions(database)

    async def preview() -> None:
        async for _ in storage.look(made, keys, AT):
            pass

    async def night(name: str, at: datetime) -> None:
        n = await storage.begin(made, name, lambda: at)
        while await storage.step(made, keys, Path(room.var) / "backups", lambda: at, n):
            pass
        await storage.end(made, lambda: at, n)

    try:
        for start in range(0, records, AT_ONCE):
            async with made() as session, session.begin():
                rows = [_row(n) for n in range(start, min(start + AT_ONCE, records))]
                await session.exec(insert(RecordRow).values(rows))
        return [
            await _measured("preview", records, preview()),
            await _measured("first night", records, night("first", AT)),
            await _measured("second night", records, night("second", AT + timedelta(days=1))),
        ]
    finally:
        await database.dispose()
        await keys.close()


def _row(n: int) -> dict[str, object]:
    """A record; of four terms by turns, from twenty years ago to next year."""
    since = date(2007, 1, 1) + timedelta(days=n % 7_600)
    return {
        "organisation": "SE",
        "record": f"r-{n:07d}",
        "system": "archive",
        "medium": "system",
        "purposes": [{"duty": DUTIES[n % len(DUTIES)], "since": since.isoformat(), "withdrawn_at": None}],
        "facts": 1,
    }


async def _measured(subject: str, records: int, work: Awaitable[None]) -> Night:
    before, wall, cpu = _largest(), perf_counter(), process_time()
    await work
    return Night(subject, records, perf_counter() - wall, process_time() - cpu, _largest() - before)


def _largest() -> float:
    """MB: the largest size that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB
