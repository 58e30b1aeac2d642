"""What the sign-in check costs beside a bare read of the same row, over many accounts and a long journal."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from bench.house import House
from bench.measure import quantile
from models.now import wall_clock
from models.tables import ClientRow
from operations.intake import Sessions
from operations.setup import migrate
from operations.sign_in import SignIn, asked_of
from operations.store import engine, keyring, sessions
from security.master import MasterKeyFile

CLIENTS = 100
OFFICE = "192.0.2.7"
WARM = 50

BARE = "SELECT status FROM account WHERE client = :client AND username = :username"
ONE_STATEMENT = """
WITH a AS (
    SELECT * FROM account WHERE client = :client AND username = :username FOR NO KEY UPDATE
), answer AS (
    SELECT c.client, a.username, CASE
        WHEN a.username IS NULL THEN 'not_known'
        WHEN a.status <> 'active' THEN a.status
        WHEN a.locked_at IS NOT NULL THEN 'locked'
        WHEN c.contract_from > current_date OR c.contract_until < current_date THEN 'no_contract'
        WHEN a.secret_set_at IS NULL THEN 'wrong'
        WHEN NOT c.any_address AND NOT EXISTS (
            SELECT 1 FROM jsonb_array_elements_text(c.addresses) n WHERE cast(:address AS inet) <<= n::cidr
        ) THEN 'address'
        WHEN a.must_change THEN 'change_password'
        ELSE 'allowed' END AS result
    FROM client c LEFT JOIN a ON true WHERE c.client = :client
)
INSERT INTO sign_in (client, username, at, method, address, address_index, result, session)
SELECT client, username, now(), 'password', '\\x00', '\\x00', result,
       CASE result WHEN 'allowed' THEN gen_random_uuid()::text END
FROM answer RETURNING result
"""
"""The same question with its entry as one statement, as far as SQL can say it: what the transaction of four round trips
is measured against."""

ACCOUNTS = """
INSERT INTO account
    (client, username, "case", subject, must_change, status, created_at, first_sign_in_at, secret_set_at)
SELECT 'C' || n % :clients, 'B' || n, 'access_request:BL:bench', 'U1', false, 'active', now(), now(), now()
FROM generate_series(1, :accounts) n
"""
JOURNAL = """
INSERT INTO sign_in (client, username, at, method, address_index, result, session, ended_at, end_reason)
SELECT 'C' || n % :accounts % :clients, 'B' || (n % :accounts), now() - n * interval '40 seconds', 'password',
       decode(md5((n % 9)::text), 'hex'), 'allowed', md5(n::text), now(), 'signed_out'
FROM generate_series(1, :entries) n
WHERE n % :accounts > 0
"""


@dataclass(frozen=True)
class Asked:
    """How long one question takes, in seconds, one at a time."""

    subject: str
    median: float
    nine_of_ten: float
    ratio: float
    """To the bare read that was asked beside it: the median."""
    cpu: float
    """CPU seconds of the caller for each, in which the work on rows, keys and rules is."""


async def sign_ins(house: House, accounts: int, entries: int, questions: int) -> list[Asked]:
    """Questions for accounts drawn at random, the subjects by turns, so that drift and warm pages tell on none."""
    room = await house.room("sign_in")
    await asyncio.to_thread(migrate, room.database_url)
    keys = keyring(room.keys_database_url, MasterKeyFile(Path(room.var) / "master"))
    await keys.setup()
    database = engine(room.database_url, keys, pool=2)
    made = sessions(database)
    try:
        await keys.create(*(f"client:C{n}" for n in range(CLIENTS)))
        await _fill(made, accounts, entries)
        return await _measured(made, SignIn(made, keys, wall_clock), accounts, questions)
    finally:
        await database.dispose()
        await keys.close()


async def _fill(made: Sessions, accounts: int, entries: int) -> None:
    async with made() as session, session.begin():
        session.add_all(
            ClientRow(
                client=f"C{n}", organisation="BL", name=f"SIA Mērījums {n}", addresses=["192.0.2.0/24", "2001:db8::/32"]
            )
            for n in range(CLIENTS)
        )
    numbers = {"clients": CLIENTS, "accounts": accounts}
    # past the limit of a statement that a step may take: rows by the hundred thousand
    async with made() as session:
        connection = await (await session.connection()).get_raw_connection()
        driver = connection.driver_connection
        assert isinstance(driver, asyncpg.Connection)
        for statement, values in ((ACCOUNTS, numbers), (JOURNAL, {**numbers, "entries": entries})):
            written = statement
            for name, value in values.items():
                written = written.replace(f":{name}", str(value))
            await driver.execute(written, timeout=600)
        await driver.execute("ANALYZE", timeout=600)


async def _measured(made: Sessions, desk: SignIn, accounts: int, questions: int) -> list[Asked]:
    began: list[str] = []

    async def ask(who: dict[str, Any]) -> None:
        answer = await desk.check(asked_of(**who))
        assert answer.session is not None, answer
        began.append(answer.session)

    async def goes_on(_: dict[str, Any]) -> None:
        assert await desk.session_goes_on(began[-1])

    subjects: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
        "bare SELECT of the row": lambda who: _plain(made, BARE, who),
        "check, with its entry and session": ask,
        "the same as one statement": lambda who: _plain(made, ONE_STATEMENT, who),
        "whether a session goes on": goes_on,
    }
    took: dict[str, list[float]] = {name: [] for name in subjects}
    spent: dict[str, float] = dict.fromkeys(subjects, 0.0)
    dice = random.Random(20)  # noqa: S311  # which accounts are asked for is no secret
    for n in range(WARM + questions):
        number = dice.randrange(1, accounts)
        who = {"client": f"C{number % CLIENTS}", "username": f"B{number}", "address": OFFICE}
        # forwards and backwards by turns: whoever comes first reads what the others then find at hand
        for name, subject in subjects.items() if n % 2 == 0 else reversed(subjects.items()):
            wall, cpu = perf_counter(), process_time()
            await subject(who)
            if n >= WARM:
                took[name].append(perf_counter() - wall)
                spent[name] += process_time() - cpu
    bare = took["bare SELECT of the row"]
    return [
        Asked(
            subject=name,
            median=median(times),
            nine_of_ten=quantile(times, 0.9),
            ratio=median(time / beside for time, beside in zip(times, bare, strict=True)),
            cpu=spent[name] / questions,
        )
        for name, times in took.items()
    ]


async def _plain(made: Sessions, statement: str, who: dict[str, Any]) -> None:
    session: AsyncSession
    wanted = {name: value for name, value in who.items() if f":{name}" in statement}
    async with made() as session:
        (await (await session.connection()).execute(text(statement), wanted)).one()
        if "INSERT" in statement:
            await session.commit()
