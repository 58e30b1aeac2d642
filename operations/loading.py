"""Load policies and clients from a file: what is right goes in, what is not is named; again is the same."""

from __future__ import annotations

from typing import Any

from models.common import Model
from models.errors import Refusal
from models.keepable import printable
from models.now import wall_clock
from operations.clients import Clients
from operations.intake import Sessions
from operations.policies import Policies
from security.keys import Keyring

SECTIONS = ("policies", "clients")


class Loaded(Model):
    """How many rows went in, or were there with the same facts, and every fault of the others."""

    policies: int
    clients: int
    faults: tuple[str, ...] = ()


async def load(sessions: Sessions, keyring: Keyring, data: Any) -> Loaded:
    """Register `policies` and `clients`; what is there already with the same facts stays."""
    if not isinstance(data, dict):
        return Loaded(policies=0, clients=0, faults=("the file is no JSON object with policies and clients",))
    faults = [f"{printable(name)}: unknown field" for name in data if name not in SECTIONS]
    given = {name: data.get(name, []) for name in SECTIONS}
    faults += [f"{name}: no array" for name, rows in given.items() if not isinstance(rows, list)]
    rows = {name: rows if isinstance(rows, list) else [] for name, rows in given.items()}
    if not faults and not any(rows.values()):
        faults.append("there is nothing in it: policies or clients are needed")
    registered = dict.fromkeys(SECTIONS, 0)
    homes = {
        "policies": Policies(sessions, keyring, wall_clock).register,
        "clients": Clients(sessions, keyring, wall_clock).register,
    }
    for name, register in homes.items():
        for number, row in enumerate(rows[name]):
            try:
                await register(row)
                registered[name] += 1
            except Refusal as e:
                faults += [f"{name}.{number}.{fault}" for fault in e.faults]
    return Loaded(**registered, faults=tuple(faults))
