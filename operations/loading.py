"""Load policies and clients from a file: what is right goes in, what is not is named; again is the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydantic import ValidationError
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.common import Model
from models.keepable import printable
from models.loading import LoadedClient, LoadedPolicy
from models.tables import ClientRow, PolicyRow
from models.tables.sealed import values_of
from operations.filings import faults_of
from operations.intake import Sessions
from rules.rulebook import books
from security.index import index_of
from security.keys import Keyring, NoKey

SECTIONS: dict[str, type[LoadedPolicy | LoadedClient]] = {"policies": LoadedPolicy, "clients": LoadedClient}


class Loaded(Model):
    """How many rows went in, and every fault of the others."""

    policies: int
    clients: int
    faults: tuple[str, ...] = ()


async def load(sessions: Sessions, keyring: Keyring, data: Any) -> Loaded:
    """Write `policies` and `clients`; a row that is there already takes the file's values."""
    if not isinstance(data, dict):
        return Loaded(policies=0, clients=0, faults=("the file is no JSON object with policies and clients",))
    faults = [f"{printable(name)}: unknown field" for name in data if name not in SECTIONS]
    rows = {name: _rows(name, data.get(name, []), faults) for name in SECTIONS}
    if not faults and not any(rows.values()):
        faults.append("there is nothing in it: policies or clients are needed")
    made: list[PolicyRow | ClientRow] = [
        *[await _policy(keyring, v) for v in rows["policies"]],
        *(ClientRow(**v) for v in rows["clients"]),
    ]
    loaded: Counter[str] = Counter()
    async with sessions() as session, session.begin():
        new = [row for row in made if not await _is_there(session, row)]
        await keyring.create(*(row.sealed_for for row in new))
        for row in made:
            try:
                await keyring.of(row.sealed_for)
            except NoKey:
                # a second key would make unreadable for good what the first one sealed
                faults.append(f"{row.sealed_for}: its key is not here; restore the keys first")
                continue
            loaded[_key(row)] += 1
            values = values_of(row)
            await session.exec(
                insert(type(row)).values(values).on_conflict_do_update(index_elements=[_key(row)], set_=values)
            )
    return Loaded(policies=loaded["policy"], clients=loaded["client"], faults=tuple(faults))


def _key(row: PolicyRow | ClientRow) -> str:
    return "policy" if isinstance(row, PolicyRow) else "client"


async def _is_there(session: AsyncSession, row: PolicyRow | ClientRow) -> bool:
    key = getattr(type(row), _key(row))
    return (await session.exec(select(key).where(key == getattr(row, _key(row))))).first() is not None


def _rows(section: str, given: Any, faults: list[str]) -> list[dict[str, Any]]:
    if not isinstance(given, list):
        faults.append(f"{section}: no array")
        return []
    rows: dict[str, dict[str, Any]] = {}
    for number, value in enumerate(given):
        where = f"{section}.{number}."
        try:
            row = SECTIONS[section].model_validate(value)
        except ValidationError as e:
            faults += faults_of(e, where)
            continue
        key = row.policy if isinstance(row, LoadedPolicy) else row.client
        if row.organisation not in books() or row.organisation == "T":
            faults.append(f"{where}organisation: it has no rulebook")
        elif key in rows:
            faults.append(f"{where}: {key} is given twice; the first one is taken")
        else:
            rows[key] = _values(row)
    return list(rows.values())


def _values(row: LoadedPolicy | LoadedClient) -> dict[str, Any]:
    values = row.model_dump(mode="json")
    if isinstance(row, LoadedPolicy):
        values |= {"starts_on": row.starts_on, "ends_on": row.ends_on}
    return values


async def _policy(keyring: Keyring, values: dict[str, Any]) -> PolicyRow:
    return PolicyRow(**values, insured_index=await index_of(keyring, "name", values["insured"]["name"]))
