"""Which data systems this installation has beside Termins' own store: one TOML file names them all."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, SecretStr, TypeAdapter, ValidationError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from integrations.data_systems import DatasetFaults, DataSystem, SystemDown
from integrations.http_system import HttpSystem
from models.common import Model
from models.person_system import Holder, PersonSystem, SystemName
from models.settlement import Label
from models.storage import Medium
from operations.own_store import OwnStore
from settings import SECRETS, Settings

if TYPE_CHECKING:
    from integrations.sql_system import SqlSystem

Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]


class ConfigurationFaults(Exception):
    """A file of data systems that cannot be used; every fault."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class _Entry(Model):
    name: SystemName
    title: Label
    organisations: tuple[str, ...] = Field(min_length=1)
    safeguards: Label | None = None
    """Where the data are in a third country: the safeguards of the transfer (SE-16.11)."""


class SqlEntry(_Entry):
    """A database, and the file that describes it."""

    kind: Literal["sql"]
    address: Variable
    """The variable, or the file among the secrets, that holds the database's address."""
    dataset: Path
    """The dataset file, beside the file of data systems if it is no absolute path."""
    restricted: str | None = None
    """The text column that says of a row why its use is restricted."""


class HttpEntry(_Entry):
    """A system that answers by HTTP."""

    kind: Literal["http"]
    url: str = Field(pattern=r"^https?://\S+$")
    token: Variable
    """The variable, or the file among the secrets, that holds its token."""


class PersonEntry(_Entry):
    """A person who keeps paper, or anything else that no machine can be asked for."""

    kind: Literal["person"]
    holder: Holder
    """The role or queue that is written to."""
    holds: str = Field(min_length=3, max_length=500)
    medium: Medium = "paper"


Entry = SqlEntry | HttpEntry | PersonEntry
_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])


class SystemState(Model):
    """How a data system stands, for operators."""

    system: str
    title: Label
    organisations: tuple[str, ...]
    kind: str
    faults: tuple[str, ...] = ()


def systems(settings: Settings) -> tuple[DataSystem, ...]:
    """The systems that the file names; none without a file.

    Raises:
        ConfigurationFaults: The file, a dataset file or a secret is not as it has to be; all faults at once.
    """
    return tuple(system for _, system in _named(settings) if not isinstance(system, PersonSystem))


def entries(settings: Settings) -> tuple[Entry, ...]:
    """What the file says of each system, people among them; none without a file.

    Raises:
        ConfigurationFaults: As `systems`.
    """
    return tuple(entry for entry, _ in _named(settings))


def people(settings: Settings) -> tuple[PersonSystem, ...]:
    """The people that the file names; none without a file.

    Raises:
        ConfigurationFaults: As `systems`.
    """
    return tuple(system for _, system in _named(settings) if isinstance(system, PersonSystem))


async def check(settings: Settings) -> tuple[SystemState, ...]:
    """Ask every system whether it is as its description says; it is asked about nobody.

    Raises:
        ConfigurationFaults: As `systems`.
    """
    states = []
    for entry, system in _named(settings):
        faults: tuple[str, ...] = ()
        try:
            if not isinstance(system, HttpSystem | PersonSystem):
                await system.check()
        except DatasetFaults as e:
            faults = e.faults
        except SystemDown as e:
            faults = (str(e),)
        states.append(
            SystemState(
                system=entry.name,
                title=entry.title,
                organisations=entry.organisations,
                kind=entry.kind,
                faults=faults,
            )
        )
    return tuple(states)


def _named(settings: Settings) -> list[tuple[Entry, SqlSystem | HttpSystem | PersonSystem]]:
    path = settings.data_systems
    if path is None:
        return []
    try:
        raw = tomllib.loads(path.read_text())
    except OSError as e:
        raise ConfigurationFaults(f"{path.name}: cannot be read: {e.strerror}") from None
    except tomllib.TOMLDecodeError as e:
        raise ConfigurationFaults(f"{path.name}: is no TOML: {e}") from None
    faults: list[str] = []
    named: list[tuple[Entry, SqlSystem | HttpSystem | PersonSystem]] = []
    seen = {OwnStore.name, "client", "policy", "case"}
    for n, one in enumerate(raw.get("system", ())):
        try:
            entry = _ENTRY.validate_python(one)
        except ValidationError as e:
            faults += [f"system.{n}.{'.'.join(str(x) for x in f['loc'])}: {f['msg']}" for f in e.errors()]
            continue
        if entry.name in seen:
            faults.append(f"system.{n}.name: {entry.name} is taken")
        seen.add(entry.name)
        try:
            named.append((entry, _made(entry, path)))
        except DatasetFaults as e:
            faults += [f"{entry.name}: {fault}" for fault in e.faults]
        except ValueError as e:
            faults.append(f"{entry.name}: {e}")
    if faults:
        raise ConfigurationFaults(*faults)
    return named


def _made(entry: Entry, path: Path) -> SqlSystem | HttpSystem | PersonSystem:
    if isinstance(entry, PersonEntry):
        return PersonSystem(**entry.model_dump(exclude={"kind"}))
    if isinstance(entry, HttpEntry):
        token = _secret(entry.token).get_secret_value()
        return HttpSystem(entry.name, entry.title, entry.organisations, entry.url, token, entry.safeguards)
    from integrations.sql_system import SqlSystem, described  # noqa: PLC0415  # a quarter of a second, for who has one

    address = _secret(entry.address).get_secret_value()
    try:
        url = make_url(address)
        if url.drivername in {"postgres", "postgresql"}:
            url = url.set(drivername="postgresql+asyncpg")
        # no connection is kept: requests are rare, and the system has other work
        engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError):
        # without its cause, which repeats the address, password included
        raise ValueError(f"{entry.address}: no address of a database that can be asked") from None
    dataset = entry.dataset if entry.dataset.is_absolute() else path.parent / entry.dataset
    return SqlSystem(
        entry.name,
        entry.title,
        entry.organisations,
        engine,
        described(dataset),
        entry.restricted,
        entry.safeguards,
    )


def _secret(variable: str) -> SecretStr:
    """What a variable holds, or a file of its name among the secrets."""
    value = os.environ.get(variable)
    if not value:
        file = Path(os.environ.get(SECRETS) or "/run/secrets") / variable
        value = file.read_text().strip() if file.is_file() else None
    if not value:
        raise ValueError(f"{variable}: neither a variable nor a file among the secrets")
    return SecretStr(value)
