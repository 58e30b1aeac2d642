"""An SQL database as a data system, described by a dataset file in the language of Fides.

The file says which collections (tables) there are, by which fields a person is known (`identity`), how rows belong
together (`references`) and which fields are personal (`data_categories`). From the rows that a person's identities
find, references are followed to all that belongs to them. A reference is followed from the parent to the row that
names it, or as its `direction` says; never by itself from a row to its parent, where the other people are.

One record is what one collection holds about the person: `clinic:visits`. It is erased in one transaction: rows are
deleted where the collection says so, else each personal field is masked as the file says, or emptied. Collections that
are found through others are erased before them, and `erase_after` is kept; so a run that was cut off finds the rest,
and what leads to something that is kept is kept with it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from fideslang.models import Dataset, DatasetField, EdgeDirection
from pydantic import ValidationError
from sqlalchemy import ColumnElement, Table, and_, delete, func, or_, select, tuple_, update
from sqlalchemy import MetaData as Tables
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from integrations.data_systems import DatasetFaults, Found, Subject, SystemDown, normal_code
from models.common import Model
from models.rectification import Corrected, Datum
from models.settlement import Label

PERSONAL = "user"
"""The branch of Fides' taxonomy under which data about people stand."""

MASK = "masked-"
"""How a text begins that took the place of a personal one by `random_string_rewrite`."""

OTHERS = "[data of another person]"
"""What stands in a copy where a field is about somebody else (`data_subjects`)."""

VALUES = 1000
"""Values that are looked for by one query."""

Identity = Literal["personal_code", "email"]
IDENTITIES: tuple[Identity, ...] = ("personal_code", "email")
STRATEGIES = ("null_rewrite", "string_rewrite", "random_string_rewrite")

Key = tuple[Any, ...]
T = TypeVar("T")


class Mask(Model):
    """What takes the place of a personal value."""

    strategy: Literal["null_rewrite", "string_rewrite", "random_string_rewrite"] = "null_rewrite"
    value: str = ""

    def new(self) -> str | None:
        """The value for one row."""
        match self.strategy:
            case "string_rewrite":
                return self.value
            case "random_string_rewrite":
                return MASK + secrets.token_hex(8)
        return None

    def is_gone(self, value: Any) -> bool:
        """Whether nothing personal stands there any more."""
        if value is None:
            return True
        match self.strategy:
            case "string_rewrite":
                return bool(value == self.value)
            case "random_string_rewrite":
                return str(value).startswith(MASK)
        return False


class Field(Model):
    """A column, as far as it matters here."""

    name: str
    key: bool = False
    identity: Identity | None = None
    mask: Mask | None = None
    """None: it is not personal, or must not be changed."""
    of_another: bool = False
    """It is about somebody else than the person whose row it is."""
    categories: tuple[str, ...] = ()
    """The data categories of a field that may be changed, by which a rectification finds it."""


class Edge(Model):
    """Rows of `collection` belong to the person whose rows of `parent` have the same value."""

    parent: str
    parent_field: str
    collection: str
    field: str


class Collection(Model):
    """A table that holds something about people."""

    name: str
    fields: tuple[Field, ...]
    deletes: bool = False
    erase_after: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the primary key."""
        return tuple(f.name for f in self.fields if f.key)

    @property
    def masks(self) -> dict[str, Mask]:
        """Column → what takes the place of a personal value."""
        return {f.name: f.mask for f in self.fields if f.mask is not None}

    @property
    def personal(self) -> bool:
        """Whether there is anything in it to erase."""
        return self.deletes or bool(self.masks)


class Description(Model):
    """What a dataset file says, checked."""

    name: str
    schema_name: str | None = None
    collections: dict[str, Collection]
    edges: tuple[Edge, ...]
    order: tuple[str, ...]
    """Collections in the order of erasure: what is found through others comes before them."""


# ---- reading a dataset file -----------------------------------------------------------------------------------------


def described(path: Path) -> Description:
    """What a dataset file says.

    Raises:
        DatasetFaults: It is no such file, or asks for what cannot be done here; all faults at once.
    """
    try:
        raw = yaml.safe_load(path.read_text())
    except OSError as e:
        raise DatasetFaults(f"{path.name}: cannot be read: {e.strerror}") from None
    except yaml.YAMLError as e:
        raise DatasetFaults(f"{path.name}: is no YAML: {type(e).__name__}") from None
    datasets = raw.get("dataset") if isinstance(raw, dict) else None
    if not isinstance(datasets, list) or len(datasets) != 1:
        raise DatasetFaults(f"{path.name}: has to hold one `dataset`")
    try:
        dataset = Dataset.model_validate(datasets[0])
    except ValidationError as e:
        raise DatasetFaults(*(f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in e.errors())) from None
    return _described(dataset)


def _described(dataset: Dataset) -> Description:
    faults: list[str] = []
    collections: dict[str, Collection] = {}
    edges: list[Edge] = []
    for one in dataset.collections:
        meta = one.fides_meta
        if meta is not None and meta.skip_processing:
            continue
        above = [*(dataset.data_categories or ()), *(one.data_categories or ())]
        fields = [_field(f"{one.name}.{f.name}", f, above, faults) for f in one.fields]
        after = tuple(
            _own(key, dataset, f"{one.name}: erase_after", faults) for key in (meta and meta.erase_after) or ()
        )
        collections[one.name] = Collection(
            name=one.name,
            fields=tuple(fields),
            deletes=meta is not None and meta.masking_strategy_override is not None,
            erase_after=tuple(a for a in after if a),
        )
        if not collections[one.name].keys:
            faults.append(f"{one.name}: no field is its primary_key")
        for f in one.fields:
            edges += _edges(one.name, f, dataset, faults)
    known = {(c.name, f.name) for c in collections.values() for f in c.fields}
    for edge in edges:
        ends = ((edge.parent, edge.parent_field), (edge.collection, edge.field))
        faults += [f"references: there is no {'.'.join(end)}" for end in ends if end not in known]
    for c in collections.values():
        faults += [f"{c.name}: erase_after: there is no {a}" for a in c.erase_after if a not in collections]
    if not any(f.identity for c in collections.values() for f in c.fields):
        faults.append(f"no field is an identity: {', '.join(IDENTITIES)}")
    order: tuple[str, ...] = ()
    if not faults:
        faults += [f"{name}: no identity or reference leads to it" for name in _unreached(collections, edges)]
        try:
            order = _order(collections, edges)
        except CycleError as e:
            faults.append(f"the order of erasure goes in a circle: {' → '.join(e.args[1])}")
    if faults:
        raise DatasetFaults(*faults)
    namespace = (dataset.fides_meta.namespace if dataset.fides_meta else None) or {}
    return Description(
        name=dataset.fides_key,
        schema_name=namespace.get("schema"),
        collections=collections,
        edges=tuple(edges),
        order=order,
    )


def _field(where: str, field: DatasetField, above: Sequence[str], faults: list[str]) -> Field:
    meta = field.fides_meta
    categories = [*above, *(field.data_categories or ())]
    personal = any(c == PERSONAL or c.startswith(f"{PERSONAL}.") for c in categories)
    key = bool(meta and meta.primary_key)
    of_another = field.data_subjects is not None and "employee" in field.data_subjects
    if field.fields:
        faults.append(f"{where}: nested fields are not known in a table")
    identity: Identity | None = None
    if meta is not None and meta.identity is not None:
        identity = next((i for i in IDENTITIES if i == meta.identity), None)
        if identity is None:
            faults.append(f"{where}: identity {meta.identity}: known are {', '.join(IDENTITIES)}")
    mask: Mask | None = None
    if personal and not key and not of_another and not (meta is not None and meta.read_only):
        mask = _mask(where, meta.masking_strategy_override if meta else None, faults)
    return Field(
        name=field.name,
        key=key,
        identity=identity,
        mask=mask,
        of_another=of_another,
        categories=tuple(categories) if mask is not None else (),
    )


def _mask(where: str, override: Any, faults: list[str]) -> Mask:
    if override is None:
        return Mask()
    if override.strategy not in STRATEGIES:
        faults.append(f"{where}: masking strategy {override.strategy}: known are {', '.join(STRATEGIES)}")
        return Mask()
    value = str((override.configuration or {}).get("rewrite_value", ""))
    if override.strategy == "string_rewrite" and not value:
        faults.append(f"{where}: string_rewrite needs a rewrite_value")
    return Mask(strategy=override.strategy, value=value)


def _own(key: str, dataset: Dataset, where: str, faults: list[str]) -> str | None:
    """The collection that is named, which has to be one of this dataset."""
    of, _, name = key.partition(".")
    if of != dataset.fides_key:
        faults.append(f"{where}: {key} is in another dataset: only its own can be followed")
        return None
    return name


def _edges(collection: str, field: DatasetField, dataset: Dataset, faults: list[str]) -> list[Edge]:
    edges = []
    for reference in (field.fides_meta and field.fides_meta.references) or ():
        where = f"{collection}.{field.name}: references"
        if reference.dataset != dataset.fides_key:
            faults.append(f"{where}: {reference.dataset} is another dataset: only its own can be followed")
            continue
        other, _, other_field = reference.field.partition(".")
        ends = {"collection": collection, "field": field.name, "parent": other, "parent_field": other_field}
        if reference.direction is EdgeDirection.TO:
            ends = {"collection": other, "field": other_field, "parent": collection, "parent_field": field.name}
        edges.append(Edge(**ends))
    return edges


def _unreached(collections: Mapping[str, Collection], edges: Sequence[Edge]) -> list[str]:
    reached = {c.name for c in collections.values() if any(f.identity for f in c.fields)}
    while more := {e.collection for e in edges if e.parent in reached} - reached:
        reached |= more
    return [name for name in collections if name not in reached]


def _through(name: str, edges: Sequence[Edge]) -> frozenset[str]:
    """The collections whose rows are found through rows of this one."""
    through: set[str] = set()
    while more := {e.collection for e in edges if e.parent in {name, *through}} - through:
        through |= more
    return frozenset(through - {name})


def _order(collections: Mapping[str, Collection], edges: Sequence[Edge]) -> tuple[str, ...]:
    """What is found through others first."""
    sorter: TopologicalSorter[str] = TopologicalSorter({name: set(c.erase_after) for name, c in collections.items()})
    for edge in edges:
        if edge.parent != edge.collection:
            sorter.add(edge.parent, edge.collection)
    return tuple(sorter.static_order())


# ---- the system -----------------------------------------------------------------------------------------------------


class SqlSystem:
    """A described database of one controller or of several."""

    def __init__(
        self,
        name: str,
        title: Label,
        organisations: Iterable[str],
        engine: AsyncEngine,
        description: Description,
        restricted: str | None = None,
        safeguards: Label | None = None,
    ) -> None:
        """`restricted`: the text column that says why the use of a row is restricted, one word a mark."""
        self.name = name
        self.title = title
        self.safeguards = safeguards
        self._organisations = frozenset(organisations)
        self._engine = engine
        self._description = description
        self._restricted = restricted
        self._through = {name: _through(name, description.edges) for name in description.collections}
        self._tables: dict[str, Table] | None = None
        self._reading = asyncio.Lock()

    async def check(self) -> None:
        """Compare the file with the database.

        Raises:
            SystemDown: The database does not answer.
            DatasetFaults: It has no such table or column, or a column cannot take its mask.
        """
        async with self._connection() as connection:
            try:
                await self._known(connection)
            except DatasetFaults as e:
                faults = e
            else:
                return
        raise faults

    async def locate(self, organisation: str, person: Subject, today: datetime) -> tuple[Found, ...]:
        """One record for each collection that still says something of the person, in the order of erasure."""
        if organisation not in self._organisations:
            return ()
        async with self._connection() as connection:
            rows = await self._rows(connection, person)
        return tuple(
            Found(record=f"{self.name}:{name}", rows=count)
            for name in self._description.order
            if (count := sum(self._says_something(name, row) for row in rows.get(name, {}).values()))
        )

    async def export(self, person: Subject, record: str) -> dict[str, Any]:
        """The rows of a collection as the file describes them; fields about somebody else are masked."""
        name = self._mine(record)
        if name is None:
            raise ValueError("a record of another system")
        async with self._connection() as connection:
            rows = await self._rows(connection, person)
        hidden = {f.name for f in self._description.collections[name].fields if f.of_another}
        return {
            "record": record,
            "rows": [
                {
                    column: OTHERS if column in hidden and value is not None else _plain(value)
                    for column, value in row.items()
                }
                for row in rows.get(name, {}).values()
            ],
        }

    async def erase(self, person: Subject, record: str, at: datetime) -> bool:
        """Delete or mask the rows of a collection, in one transaction; False while others are found through it."""
        name = self._mine(record)
        if name is None:
            return True
        async with self._connection() as connection:
            rows = await self._rows(connection, person)
            if any(self._says_something(n, row) for n in self._through[name] for row in rows.get(n, {}).values()):
                return False
            own = {key: row for key, row in rows.get(name, {}).items() if self._says_something(name, row)}
            collection, table = self._description.collections[name], await self._table(connection, name)
            if collection.deletes:
                for keys in _parts(list(own)):
                    await connection.execute(delete(table).where(_is_one(table, collection.keys, keys)))
            else:
                for key in own:
                    new = {column: mask.new() for column, mask in collection.masks.items()}
                    await connection.execute(update(table).where(_is_one(table, collection.keys, [key])).values(**new))
            await connection.commit()
        return True

    async def rectify(self, person: Subject, record: str, data: Sequence[Datum]) -> Corrected:
        """Put right the fields of these categories in the rows of a collection, in one transaction.

        What is missing is filled in only where the person stands by an identity: a call without a number had none. A
        field by which alone a row is known to be the person's is left, and so is a value that its column cannot take.
        """
        name = self._mine(record)
        if name is None:
            return Corrected()
        changed, fields, left = 0, [], False
        async with self._connection() as connection:
            rows = (await self._rows(connection, person)).get(name, {})
            collection, table = self._description.collections[name], await self._table(connection, name)
            for key, row in rows.items():
                new, right, stays = _corrections(collection, table, row, data)
                left = left or stays
                fields += right
                if new:
                    await connection.execute(update(table).where(_is_one(table, collection.keys, [key])).values(**new))
                    changed += len(new)
            await connection.commit()
        return Corrected(changed=changed, fields=tuple(sorted(set(fields))), left=left)

    async def restrict(self, person: Subject, record: str, ground: str, by: str | None = None) -> bool:
        """Add the ground, or the request, to the marks of the rows; False if their table has no column for it."""
        return await self._mark(person, record, lambda marks: marks | {by or ground})

    async def release(self, person: Subject, record: str, by: str) -> bool:
        """Take the mark of this request away; other marks stay."""
        return await self._mark(person, record, lambda marks: marks - {by})

    async def people(self, organisation: str) -> AsyncIterator[Sequence[Subject]]:
        """The identities of each table that has any, in the order of its primary key."""
        if organisation not in self._organisations:
            return
        for name, collection in self._description.collections.items():
            identities = [f for f in collection.fields if f.identity is not None]
            after: Key | None = None
            while identities:
                async with self._connection() as connection:
                    table = await self._table(connection, name)
                    keys = [table.c[key] for key in collection.keys]
                    query = select(*keys, *(table.c[f.name].label(f"_{f.name}") for f in identities))
                    query = query.order_by(*keys).limit(VALUES)
                    if after is not None:
                        query = query.where(tuple_(*keys) > tuple_(*after) if len(keys) > 1 else keys[0] > after[0])
                    rows = (await connection.execute(query)).all()
                if known := [_known_as(identities, row[len(keys) :]) for row in rows]:
                    yield [one for one in known if one.personal_code or one.email]
                if len(rows) < VALUES:
                    break
                after = tuple(rows[-1][: len(keys)])

    # ---- inside -----------------------------------------------------------------------------------------------------

    async def _mark(self, person: Subject, record: str, change: Callable[[set[str]], set[str]]) -> bool:
        """Whether any row carries other marks than before, or those that are asked for already."""
        name = self._mine(record)
        if name is None:
            return False
        async with self._connection() as connection:
            table = await self._table(connection, name)
            if self._restricted is None or self._restricted not in table.c:
                return False
            rows = (await self._rows(connection, person)).get(name, {})
            column, keys = table.c[self._restricted], self._description.collections[name].keys
            for key in rows:
                this = _is_one(table, keys, [key])
                said = (await connection.execute(select(column).where(this).with_for_update())).scalar_one()
                marks = set(said.split()) if said else set()
                if (changed := change(marks)) != marks:
                    await connection.execute(
                        update(table).where(this).values({self._restricted: " ".join(sorted(changed)) or None})
                    )
            await connection.commit()
        return bool(rows)

    def _mine(self, record: str) -> str | None:
        system, _, name = record.partition(":")
        return name if system == self.name and name in self._description.collections else None

    def _says_something(self, name: str, row: Mapping[str, Any]) -> bool:
        collection = self._description.collections[name]
        if collection.deletes:
            return True
        return any(not mask.is_gone(row[column]) for column, mask in collection.masks.items())

    async def _rows(self, connection: AsyncConnection, person: Subject) -> dict[str, dict[Key, dict[str, Any]]]:
        """Collection → key → row: all that the person's identities find, and what belongs to it."""
        rows: dict[str, dict[Key, dict[str, Any]]] = {}
        fresh: list[tuple[str, dict[str, Any]]] = []
        for name, collection in self._description.collections.items():
            table = await self._table(connection, name)
            if (theirs := _is_person(collection, table, person)) is not None:
                fresh += await self._more(connection, rows, name, theirs)
        while fresh:
            found, fresh = fresh, []
            for edge in self._description.edges:
                values = {row[edge.parent_field] for name, row in found if name == edge.parent} - {None}
                table = await self._table(connection, edge.collection)
                for part in _parts(sorted(values, key=str)):
                    fresh += await self._more(connection, rows, edge.collection, table.c[edge.field].in_(part))
        return rows

    async def _more(
        self,
        connection: AsyncConnection,
        rows: dict[str, dict[Key, dict[str, Any]]],
        name: str,
        condition: ColumnElement[bool],
    ) -> list[tuple[str, dict[str, Any]]]:
        """The rows of a collection that were not known before, which are known from now on."""
        collection, table = self._description.collections[name], await self._table(connection, name)
        columns = [table.c[f.name] for f in collection.fields]
        known, fresh = rows.setdefault(name, {}), []
        for row in (await connection.execute(select(*columns).where(condition))).mappings():
            key = tuple(row[k] for k in collection.keys)
            if key not in known:
                known[key] = dict(row)
                fresh.append((name, known[key]))
        return fresh

    def _connection(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return _failing_as(self.name, self._engine)

    async def _table(self, connection: AsyncConnection, name: str) -> Table:
        return (await self._known(connection))[name]

    async def _known(self, connection: AsyncConnection) -> dict[str, Table]:
        """The tables as the database has them, read once."""
        async with self._reading:
            if self._tables is None:
                self._tables = await self._read(connection)
            return self._tables

    async def _read(self, connection: AsyncConnection) -> dict[str, Table]:
        description, tables = self._description, Tables(schema=self._description.schema_name)
        wanted = set(description.collections)
        await connection.run_sync(lambda c: tables.reflect(c, only=lambda name, _: name in wanted, resolve_fks=False))
        found = {table.name: table for table in tables.tables.values()}
        faults = [f"{name}: there is no such table" for name in sorted(wanted - set(found))]
        for name, collection in description.collections.items():
            if (table := found.get(name)) is not None:
                faults += _misfits(collection, table, self._restricted)
        if faults:
            raise DatasetFaults(*faults)
        return found


@asynccontextmanager
async def _failing_as(system: str, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection whose failures are those of the system; what it did is undone unless it was committed."""
    try:
        async with engine.connect() as connection:
            yield connection
    except DatasetFaults:
        raise SystemDown(f"{system} is not as its dataset file says") from None
    except (SQLAlchemyError, OSError, TimeoutError) as e:
        # without what the database says: it repeats the values of the row
        raise SystemDown(f"{system} does not answer: {type(e).__name__}") from None


def _misfits(collection: Collection, table: Table, restricted: str | None) -> list[str]:
    """What the database cannot do as the file wants it."""
    faults = []
    for field in collection.fields:
        column = table.c.get(field.name)
        if column is None:
            faults.append(f"{collection.name}.{field.name}: there is no such column")
            continue
        if collection.deletes or field.mask is None:
            continue
        if field.mask.strategy == "null_rewrite" and not column.nullable:
            faults.append(f"{collection.name}.{field.name}: cannot be emptied: say which text takes its place")
        if field.mask.strategy != "null_rewrite" and column.type.python_type is not str:
            faults.append(f"{collection.name}.{field.name}: takes no text: it can only be emptied")
        length = getattr(column.type, "length", None)
        needed = len(field.mask.new() or "")
        if length is not None and needed > length:
            faults.append(f"{collection.name}.{field.name}: its mask has {needed} characters, the column {length}")
    described = {field.name for field in collection.fields} | {restricted}
    if not collection.deletes:
        faults += [
            f"{collection.name}.{column.name}: not described: say whether it is personal"
            for column in table.columns
            if column.name not in described
        ]
    return faults


def _is_person(collection: Collection, table: Table, person: Subject) -> ColumnElement[bool] | None:
    """By the code, with and without its separator; by the address only where a row has no code: families share one."""
    plain = normal_code(person.personal_code)
    spelled = sorted({person.personal_code, plain, f"{plain[:6]}-{plain[6:]}"})
    codes = [table.c[f.name] for f in collection.fields if f.identity == "personal_code"]
    addresses = [table.c[f.name] for f in collection.fields if f.identity == "email"]
    ways: list[ColumnElement[bool]] = [code.in_(spelled) for code in codes] if plain else []
    if person.email:
        without_code = [code.is_(None) for code in codes]
        ways += [and_(func.lower(address) == person.email.lower(), *without_code) for address in addresses]
    return or_(*ways) if ways else None


def _corrections(
    collection: Collection, table: Table, row: Mapping[str, Any], data: Sequence[Datum]
) -> tuple[dict[str, Any], list[str], bool]:
    """Of one row: column → new value, the columns that are right then, and whether something wrong stays."""
    new: dict[str, Any] = {}
    right: list[str] = []
    left = False
    by_identity = [f for f in collection.fields if f.identity is not None]
    with_code = any(f.identity == "personal_code" and row[f.name] for f in by_identity)
    for datum in data:
        for field in collection.fields:
            if datum.category not in field.categories:
                continue
            stands = str(_plain(row[field.name])) if row[field.name] is not None else ""
            if stands == datum.now:
                right.append(field.name)
            elif (stands == datum.was) if datum.was is not None else (not stands and bool(by_identity)):
                value = _fitting(table, field.name, datum.now)
                if value is None or (field.identity is not None and not with_code):
                    left = True
                else:
                    new[field.name] = value
                    right.append(field.name)
    return new, right, left


def _fitting(table: Table, column: str, text: str) -> Any:
    """The text as its column takes it; None if it cannot."""
    kind, length = table.c[column].type.python_type, getattr(table.c[column].type, "length", None)
    try:
        if kind is str:
            return text if length is None or len(text) <= length else None
        if kind in (date, datetime):
            return kind.fromisoformat(text)
        return kind(text) if kind in (int, Decimal) else None
    except (ValueError, ArithmeticError):
        return None


def _known_as(identities: Sequence[Field], values: Sequence[Any]) -> Subject:
    """Whom a row is about, by what it says: a code, else an address, as people are found."""
    said = {f.identity: str(value) for f, value in zip(identities, values, strict=True) if value}
    code = said.get("personal_code", "")
    return Subject(name="", personal_code=code, email=said.get("email"))


def _is_one(table: Table, keys: Sequence[str], values: Sequence[Key]) -> ColumnElement[bool]:
    if len(keys) == 1:
        return table.c[keys[0]].in_([value[0] for value in values])
    if len(values) == 1:
        return and_(*(table.c[key] == value for key, value in zip(keys, values[0], strict=True)))
    return tuple_(*(table.c[key] for key in keys)).in_(values)


def _parts(values: Sequence[T]) -> Iterable[Sequence[T]]:
    return (values[start : start + VALUES] for start in range(0, len(values), VALUES))


def _plain(value: Any) -> Any:
    """A value as an archive can hold it."""
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return f"{len(value)} bytes" if isinstance(value, bytes) else value
