"""Sealed columns: personal data that only the key of their case (or client, or policy) opens.

A row reads and writes them as ordinary values. SQL sees bytes: it cannot filter on them, and a statement that writes
one without a row must say for which row: `sealed(table, row, values)`. What says nothing is refused, not stored in
clear; what is read without a row stays closed.

A value opens only where it was written: in its column, in the row of its primary key, beside the values that the table
binds to it (`sealed_with`). Whoever may write to the database could else put the account of a claim of their own into
one that will be paid, or change its sum, without reading either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol

from sqlalchemy import Column, Dialect, LargeBinary, Table, TypeDecorator, event, inspect
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.util import await_only
from sqlmodel import Field, SQLModel

from models.errors import Unreadable

USE = b"column"
"""For what a value is sealed, with its place. Alone: one that was written when only its key said whose it is."""
_ID_BYTES = 16


class Key(Protocol):
    """A key as columns need it."""

    owner: str
    id: bytes

    def seal(self, plain: bytes, use: bytes) -> bytes:
        """Encrypt."""
        ...

    def open(self, sealed: bytes, use: bytes) -> bytes:
        """Decrypt."""
        ...


class Keys(Protocol):
    """Where columns get their keys."""

    erased: type[Exception]

    def cached(self, owner: str) -> Key | None:
        """A key in memory."""
        ...

    async def of(self, owner: str) -> Key:
        """An owner's key."""
        ...

    def cached_by_id(self, id: bytes) -> Key | None:
        """A key in memory."""
        ...

    async def by_id(self, id: bytes) -> Key:
        """A key by its id."""
        ...


class Placed:
    """A value on its way to a sealed column: whose key seals it, and for which place."""

    def __init__(self, owner: str, place: bytes, value: Any) -> None:
        self.owner = owner
        self.place = place
        self.value = value

    def __eq__(self, other: object) -> bool:
        return bool(self.value == (other.value if isinstance(other, Placed) else other))

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Placed({self.owner})"


class Closed:
    """A value on its way from a sealed column, until its row says where it stands."""

    __slots__ = ("_key", "_sealed")

    def __init__(self, key: Key, sealed: bytes) -> None:
        self._key = key
        self._sealed = sealed

    def open(self, owner: str, place: bytes) -> Any:
        """The value.

        Raises:
            Unreadable: It was changed, or sealed for somebody else or for another place.
        """
        if self._key.owner != owner:
            raise Unreadable(f"what is sealed for {self._key.owner} stands in a row of {owner}")
        try:
            plain = self._key.open(self._sealed, place)
        except Unreadable:
            plain = self._key.open(self._sealed, USE)
        return json.loads(plain)

    def __repr__(self) -> str:
        return f"Closed({self._key.owner})"


class Sealed(TypeDecorator[Any]):
    """JSON under the owner's key; the key's id stands before it. Empty bytes: erased."""

    impl = LargeBinary
    cache_ok = True

    GONE: ClassVar[Any] = object()
    """Written where a value was erased and NULL is not allowed."""

    def __init__(self, empty: str = "null") -> None:
        super().__init__()
        self.empty = empty
        """As JSON, what is read of an erased value."""

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        """Seal on the way in."""
        if value is None:
            return None
        if value is self.GONE:
            return b""
        if not isinstance(value, Placed):
            raise TypeError("a sealed column needs to know its row: sealed(table, row, values)")
        if value.value is None:
            return None
        keys = _keys(dialect)
        key = keys.cached(value.owner) or await_only(keys.of(value.owner))
        return key.id + key.seal(json.dumps(value.value, ensure_ascii=False).encode(), value.place)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Any:
        """Bring its key; its row opens it. What was erased reads as empty."""
        if value is None:
            return None
        if not value:
            return json.loads(self.empty)
        keys, key_id = _keys(dialect), value[:_ID_BYTES]
        try:
            key = keys.cached_by_id(key_id) or await_only(keys.by_id(key_id))
        except keys.erased:
            return json.loads(self.empty)
        return Closed(key, value[_ID_BYTES:])


def use_keys(dialect: Dialect, keys: Keys) -> None:
    """Let the sealed columns of an engine use these keys."""
    dialect.termins_keys = keys  # type: ignore[attr-defined]  # ours


def _keys(dialect: Dialect) -> Keys:
    keys: Keys = dialect.termins_keys  # type: ignore[attr-defined]  # set by use_keys
    return keys


def sealed_text(*, nullable: bool = True) -> Any:
    """A personal text. Where it may not be missing it reads as empty once erased."""
    if nullable:
        return Field(default=None, sa_type=Sealed, nullable=True)
    return Field(sa_column=Column(Sealed('""'), nullable=False))


def sealed_json(kind: type[dict[Any, Any] | list[Any]] = dict, *, nullable: bool = False) -> Any:
    """A personal JSON value, an object or a list; empty once erased."""
    if nullable:
        return Field(default=None, sa_type=Sealed, nullable=True)
    return Field(default_factory=kind, sa_column=Column(Sealed(json.dumps(kind())), nullable=False))


# ---- statements without a row ---------------------------------------------------------------------------------------


def sealed(table: Table, row: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for a statement that writes to this row; it has its key, and what says whose it is."""
    found = dict(values)
    for name, value in values.items():
        if value is not None and isinstance(table.c[name].type, Sealed):
            found[name] = Placed(_owner(table, row), _place(table, name, row), value)
    return found


def values_of(row: SQLModel) -> dict[str, Any]:
    """All values of a row for such a statement."""
    values = row.model_dump()
    return sealed(_table(type(row)), values, values)


def opened(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """What such a statement read of a row: its key, what says whose it is, and more.

    Raises:
        Unreadable: As of one value.
    """
    return {
        name: value.open(_owner(table, row), _place(table, name, row)) if isinstance(value, Closed) else value
        for name, value in row.items()
    }


def _owner(table: Table, row: Mapping[str, Any]) -> str:
    """Whose key seals the columns, as the row's class says it."""
    if table not in _CLASSES:
        (_CLASSES[table],) = (m.class_ for m in SQLModel._sa_registry.mappers if m.local_table is table)  # noqa: SLF001
    owner: str = _CLASSES[table].sealed_for.fget(SimpleNamespace(**row))
    return owner


_CLASSES: dict[Table, Any] = {}


def _table(made_of: type[Any]) -> Table:
    table: Table = made_of.__table__
    return table


def _place(table: Table, column: str, row: Mapping[str, Any]) -> bytes:
    """What a value is sealed for."""
    if table not in _BINDING:
        # the database numbers some rows as it writes them: their values are bound to the table
        key = () if table.autoincrement_column is not None else table.primary_key.columns
        _BINDING[table] = (*(c.name for c in key), *table.info.get("sealed_with", ()))
    return "\0".join((USE.decode(), str(table), column, *(_text(row[name]) for name in _BINDING[table]))).encode()


_BINDING: dict[Table, tuple[str, ...]] = {}


def _text(value: Any) -> str:
    """A value of a key, the same before it is written and as it is read."""
    return format(value.normalize(), "f") if isinstance(value, Decimal) else str(value)


# ---- rows say by themselves whose they are --------------------------------------------------------------------------


_SEALED: dict[type[Any], tuple[str, ...]] = {}


def _columns(table: type[Any]) -> tuple[str, ...]:
    """The attributes of a table's rows that are sealed."""
    if table not in _SEALED:
        mapper: Mapper[Any] = inspect(table)
        found = (mapper.get_property_by_column(c).key for c in mapper.columns if isinstance(c.type, Sealed))
        _SEALED[table] = tuple(found)
    return _SEALED[table]


@event.listens_for(Mapper, "before_insert")
@event.listens_for(Mapper, "before_update")
def _wrap(mapper: Mapper[Any], _: Any, row: Any) -> None:
    columns = _columns(mapper.class_)
    if not columns:
        return
    # past the attributes' own bookkeeping: what is written is the same value, only sealed
    values = instance_state(row).dict
    for name in columns:
        value = values.get(name)
        if value is not None and not isinstance(value, Placed):
            values[name] = Placed(row.sealed_for, _place(_table(mapper.class_), name, values), value)


@event.listens_for(Mapper, "after_insert")
@event.listens_for(Mapper, "after_update")
def _unwrap(mapper: Mapper[Any], _: Any, row: Any) -> None:
    values = instance_state(row).dict
    for name in _columns(mapper.class_):
        if isinstance(values.get(name), Placed):
            values[name] = values[name].value


@event.listens_for(Mapper, "load")
def _loaded(row: Any, _: Any) -> None:
    _open(row, _columns(type(row)))


@event.listens_for(Mapper, "refresh")
def _refreshed(row: Any, _: Any, names: Any) -> None:
    _open(row, [name for name in _columns(type(row)) if names is None or name in names])


def _open(row: Any, columns: Sequence[str]) -> None:
    if not columns:
        return
    values, table = instance_state(row).dict, _table(type(row))
    for name in columns:
        if isinstance(value := values.get(name), Closed):
            values[name] = value.open(row.sealed_for, _place(table, name, values))
