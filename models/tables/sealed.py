"""Sealed columns: personal data that only the key of their case (or client, or policy) opens.

A row reads and writes them as ordinary values. SQL sees bytes: it cannot filter on them, and a statement that writes
one without a row must say whose it is: `sealed(case, value)`. What says nothing is refused, not stored in clear.

What was sealed for one owner does not open in a row of another: whoever may write to the database could else put an
account of a claim of their own into a claim that will be paid, without reading either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol

from sqlalchemy import Column, Dialect, FromClause, LargeBinary, TypeDecorator, event, inspect
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.util import await_only
from sqlmodel import Field, SQLModel

from models.errors import Unreadable

USE = b"column"
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


class Owned:
    """A value on its way to a sealed column, and whose key seals it."""

    def __init__(self, owner: str, value: Any) -> None:
        self.owner = owner
        self.value = value

    def __eq__(self, other: object) -> bool:
        return bool(self.value == (other.value if isinstance(other, Owned) else other))

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Owned({self.owner})"


class _Text(str):
    """A text, and for whom it was sealed."""

    __slots__ = ("owner",)
    owner: str


class _Object(dict[str, Any]):
    """An object, and for whom it was sealed."""

    owner: str


class _List(list[Any]):
    """A list, and for whom it was sealed."""

    owner: str


_PLAIN: dict[type[Any], type[Any]] = {_Text: str, _Object: dict, _List: list}
_OWNED: dict[type[Any], type[Any]] = {plain: owned for owned, plain in _PLAIN.items()}


def opened_for(value: Any, owner: str) -> Any:
    """A value of a sealed column as it is, if it was sealed for this owner.

    Raises:
        Unreadable: It was sealed for another one and moved here.
    """
    if (plain := _PLAIN.get(type(value))) is None:
        return value
    if value.owner != owner:
        raise Unreadable(f"what is sealed for {value.owner} stands in a row of {owner}")
    return plain(value)


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
        if not isinstance(value, Owned):
            raise TypeError("a sealed column needs to know whose it is: sealed(owner, value)")
        if value.value is None:
            return None
        keys = _keys(dialect)
        key = keys.cached(value.owner) or await_only(keys.of(value.owner))
        return key.id + key.seal(json.dumps(value.value, ensure_ascii=False).encode(), USE)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Any:
        """Open on the way out, and say for whom it was sealed; what was erased reads as empty."""
        if value is None:
            return None
        if not value:
            return json.loads(self.empty)
        keys, key_id = _keys(dialect), value[:_ID_BYTES]
        try:
            key = keys.cached_by_id(key_id) or await_only(keys.by_id(key_id))
        except keys.erased:
            return json.loads(self.empty)
        plain = json.loads(key.open(value[_ID_BYTES:], USE))
        if (owned := _OWNED.get(type(plain))) is None:
            return plain
        opened = owned(plain)
        opened.owner = key.owner
        return opened


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


def sealed(owner: str, value: Any) -> Any:
    """A value for a statement without a row."""
    return Owned(owner, value)


def values_of(row: SQLModel) -> dict[str, Any]:
    """A row's values for such a statement."""
    columns = _columns(type(row))
    owner = row.sealed_for if columns else ""  # type: ignore[attr-defined]  # every table with sealed columns has one
    return {n: Owned(owner, v) if n in columns and v is not None else v for n, v in row.model_dump().items()}


def owner_of(table: FromClause, row: Mapping[str, Any]) -> str:
    """Whose key seals the columns of a row that was read without its class; it must have what its class asks for."""
    (made_of,) = (m.class_ for m in SQLModel._sa_registry.mappers if m.local_table is table)  # noqa: SLF001  # of all
    owner: str = made_of.sealed_for.fget(SimpleNamespace(**row))
    return owner


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
    owner = row.sealed_for
    for name in columns:
        value = values.get(name)
        if value is not None and not isinstance(value, Owned):
            values[name] = Owned(owner, value)


@event.listens_for(Mapper, "after_insert")
@event.listens_for(Mapper, "after_update")
def _unwrap(mapper: Mapper[Any], _: Any, row: Any) -> None:
    values = instance_state(row).dict
    for name in _columns(mapper.class_):
        if isinstance(values.get(name), Owned):
            values[name] = values[name].value


@event.listens_for(Mapper, "load")
def _loaded(row: Any, _: Any) -> None:
    _check(row, _columns(type(row)))


@event.listens_for(Mapper, "refresh")
def _refreshed(row: Any, _: Any, names: Any) -> None:
    _check(row, [name for name in _columns(type(row)) if names is None or name in names])


def _check(row: Any, columns: Sequence[str]) -> None:
    """Each value is its row's."""
    if not columns:
        return
    values, owner = instance_state(row).dict, row.sealed_for
    for name in columns:
        if (value := values.get(name)) is not None:
            values[name] = opened_for(value, owner)
