"""Load policies and clients from a file: what is right goes in, what is not is named; again is the same."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import select

from models.common import Model
from models.errors import Refusal
from models.keepable import printable
from models.loading import LoadedClient
from models.now import wall_clock
from models.tables import ClientRow
from models.tables.sealed import values_of
from operations.filings import faults_of
from operations.intake import Sessions
from operations.policies import Policies
from rules.rulebook import books
from security.keys import Keyring, NoKey

SECTIONS = ("policies", "clients")


class Loaded(Model):
    """How many rows went in, or were there with the same facts, and every fault of the others."""

    policies: int
    clients: int
    faults: tuple[str, ...] = ()


async def load(sessions: Sessions, keyring: Keyring, data: Any) -> Loaded:
    """Register `policies`, and write `clients`; a client that is there already takes the file's values."""
    if not isinstance(data, dict):
        return Loaded(policies=0, clients=0, faults=("the file is no JSON object with policies and clients",))
    faults = [f"{printable(name)}: unknown field" for name in data if name not in SECTIONS]
    given = {name: data.get(name, []) for name in SECTIONS}
    faults += [f"{name}: no array" for name, rows in given.items() if not isinstance(rows, list)]
    rows = {name: rows if isinstance(rows, list) else [] for name, rows in given.items()}
    if not faults and not any(rows.values()):
        faults.append("there is nothing in it: policies or clients are needed")
    policies = Policies(sessions, keyring, wall_clock)
    registered = 0
    for number, policy in enumerate(rows["policies"]):
        try:
            await policies.register(policy)
            registered += 1
        except Refusal as e:
            faults += [f"policies.{number}.{fault}" for fault in e.faults]
    clients = _clients(rows["clients"], faults)
    written = await _write(sessions, keyring, clients, faults)
    return Loaded(policies=registered, clients=written, faults=tuple(faults))


def _clients(given: list[Any], faults: list[str]) -> list[ClientRow]:
    rows: dict[str, ClientRow] = {}
    for number, value in enumerate(given):
        where = f"clients.{number}."
        try:
            client = LoadedClient.model_validate(value)
        except ValidationError as e:
            faults += faults_of(e, where)
            continue
        if client.organisation not in books() or client.organisation == "T":
            faults.append(f"{where}organisation: it has no rulebook")
        elif client.client in rows:
            faults.append(f"{where}: {client.client} is given twice; the first one is taken")
        else:
            rows[client.client] = ClientRow(**client.model_dump(mode="json"))
    return list(rows.values())


async def _write(sessions: Sessions, keyring: Keyring, clients: list[ClientRow], faults: list[str]) -> int:
    written = 0
    async with sessions() as session, session.begin():
        known = set((await session.exec(select(ClientRow.client))).all())
        await keyring.create(*(row.sealed_for for row in clients if row.client not in known))
        for row in clients:
            try:
                await keyring.of(row.sealed_for)
            except NoKey:
                # a second key would make unreadable for good what the first one sealed
                faults.append(f"{row.sealed_for}: its key is not here; restore the keys first")
                continue
            values = values_of(row)
            statement = insert(ClientRow).values(values)
            await session.exec(statement.on_conflict_do_update(index_elements=["client"], set_=values))
            written += 1
    return written
