"""Data keys: one for each case, made at intake and only read after that, wrapped by the master key, destroyed once.

They lie in a database of their own, so that a dump of the store holds none. A destroyed key leaves a tombstone: nobody
can make a key for that owner again.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, DateTime, LargeBinary, MetaData, Row, String, Table, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from models.errors import Unreadable
from security.master import KEY_BYTES, MasterKey, MasterKeyFile, MasterKeys

INSTALLATION = "installation"
"""The owner of the key for what belongs to no case: sweeps, refused starts; it holds no personal data."""
INDEX = "index"
"""The owner of the key under which people are found without being readable."""
SIGNING = "signing"
"""The owner of the key that signs evidence; it seals nothing."""

_NONCE_BYTES = 12
_ID_BYTES = 16
CACHED = 10_000
"""Keys held in memory, those used last; about 300 bytes each."""
CACHED_FOR = 300.0
"""Seconds after which a key is asked for again: so long can another process still read a case that was erased."""
_BATCH = 500
_ROTATION = 0x7465726D
"""The name of the lock that a rotation holds in the key database."""

metadata = MetaData()

data_key = Table(
    "data_key",
    metadata,
    Column("owner", String, primary_key=True),
    Column("id", LargeBinary, nullable=False, unique=True),
    Column("wrapped", LargeBinary),
    Column("master", String),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("destroyed_at", DateTime(timezone=True)),
)
"""`wrapped` is NULL once the key is destroyed: the tombstone."""

master_key = Table(
    "master_key",
    metadata,
    Column("one", String, primary_key=True),
    Column("id", String, nullable=False),
)
"""Which master key wraps now: one row, locked by a rotation, so that no key is wrapped by the former one after it."""


class NoKey(Exception):
    """There is no key for this owner; nothing was filed under this id."""


class KeyDestroyed(Exception):
    """The owner was erased: its key is gone for ever."""


@dataclass(frozen=True)
class Rotated:
    """What a rotation came to."""

    master: str
    wrapped: int
    to_remove: tuple[str, ...] = ()
    """Former master keys that no data key needs any more, and that somebody else has to destroy."""


class DataKey:
    """One owner's key: seals and opens bytes, bound to their use."""

    def __init__(self, owner: str, id: bytes, key: bytes) -> None:
        self.owner = owner
        self.id = id
        self._key = key
        self._cipher = AESGCM(key)

    def __repr__(self) -> str:
        return f"DataKey({self.owner})"

    def derived(self, use: bytes) -> bytes:
        """A key of its own for another use (salts, keyed hashes); it goes when this one goes."""
        return hmac.digest(self._key, b"termins derived key\0" + use, "sha256")

    def seal(self, plain: bytes, use: bytes) -> bytes:
        """Encrypt: nonce and ciphertext."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, self.id + use)

    def open(self, sealed: bytes, use: bytes) -> bytes:
        """Decrypt.

        Raises:
            Unreadable: It was changed, or sealed for another use.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self.id + use)
        except (InvalidTag, ValueError):
            raise Unreadable(f"what is sealed for {self.owner} was changed") from None


class Keyring:
    """The keys of one installation, with a bounded cache of those in use."""

    erased: type[Exception] = KeyDestroyed

    def __init__(self, engine: AsyncEngine, master: MasterKey) -> None:
        self._engine = engine
        self._master = master
        self._cache: OrderedDict[str, tuple[float, DataKey | None, bytes]] = OrderedDict()
        """Owner → until when, the key (None for a tombstone), and its id."""
        self._owners: dict[bytes, str] = {}

    # ---- setting up -------------------------------------------------------------------------------------------------

    async def setup(self) -> str:
        """Make the tables and the installation's own keys; again is the same."""
        async with self._engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
            await connection.execute(
                insert(master_key).values(one="master", id=self._master.current).on_conflict_do_nothing()
            )
        for owner in (INSTALLATION, INDEX, SIGNING):
            await self.create(owner)
        return f"keys: wrapped by master key {await self._wrapping()}"

    async def _wrapping(self) -> str:
        async with self._engine.connect() as connection:
            return str((await connection.execute(select(master_key.c.id))).scalar_one())

    # ---- making and destroying --------------------------------------------------------------------------------------

    async def create(self, *owners: str) -> None:
        """Make a key for each owner that has none. Only intake and loading do this.

        Raises:
            KeyDestroyed: One of them was erased.
            MasterKeyError: The master key that wraps now is not here.
        """
        lacking = [owner for owner in owners if self.cached(owner) is None]
        if not lacking:
            return
        async with self._engine.begin() as connection:
            wraps = (await connection.execute(select(master_key.c.id).with_for_update(read=True))).scalar_one()
            now = datetime.now(UTC)
            rows = []
            for owner in lacking:
                key_id, key = secrets.token_bytes(_ID_BYTES), secrets.token_bytes(KEY_BYTES)
                rows.append(
                    {
                        "owner": owner,
                        "id": key_id,
                        "wrapped": await self._master.wrap(key, wraps, _context(owner, key_id)),
                        "master": wraps,
                        "created_at": now,
                    }
                )
            await connection.execute(insert(data_key).values(rows).on_conflict_do_nothing(index_elements=["owner"]))
        await self.load(lacking)
        for owner in lacking:
            await self.of(owner)

    async def destroy(self, owner: str) -> bool:
        """Destroy an owner's key for ever; False if it was destroyed before.

        The tombstone is written also where there is no key, so that none can be made.
        """
        now = datetime.now(UTC)
        tombstone = insert(data_key).values(
            owner=owner, id=secrets.token_bytes(_ID_BYTES), created_at=now, destroyed_at=now
        )
        async with self._engine.begin() as connection:
            done = await connection.execute(
                tombstone.on_conflict_do_update(
                    index_elements=["owner"],
                    set_={"wrapped": None, "master": None, "destroyed_at": now},
                    where=data_key.c.wrapped.is_not(None),
                )
            )
        self.forget()
        return bool(done.rowcount)

    def forget(self) -> None:
        """Forget every key in memory; the next use asks the database."""
        self._cache.clear()
        self._owners.clear()

    # ---- reading ----------------------------------------------------------------------------------------------------

    def cached(self, owner: str) -> DataKey | None:
        """The key if it is in memory.

        Raises:
            KeyDestroyed: The owner was erased.
        """
        found = self._remembered(owner)
        if found is None:
            return None
        if found[1] is None:
            raise KeyDestroyed(f"{owner} was erased")
        return found[1]

    async def of(self, owner: str) -> DataKey:
        """The owner's key; one round trip where it is not in memory.

        Raises:
            NoKey: There is none.
            KeyDestroyed: The owner was erased.
        """
        # asked once: a key whose time in memory ends between two questions would be taken for one that is lost
        found = self.cached(owner)
        if found is None:
            await self.load([owner])
            found = self.cached(owner)
        if found is None:
            raise NoKey(f"there is no key for {owner}")
        return found

    async def by_id(self, id: bytes) -> DataKey:
        """The key of this id.

        Raises:
            NoKey: There is none.
            KeyDestroyed: Its owner was erased.
        """
        owner = self._owners.get(id)
        if owner is None or self._remembered(owner) is None:
            async with self._engine.connect() as connection:
                row = (await connection.execute(select(data_key).where(data_key.c.id == id))).one_or_none()
            if row is None:
                raise NoKey("there is no key of this id")
            owner = str(row.owner)
            await self._remember(row)
        return await self.of(owner)

    def cached_by_id(self, id: bytes) -> DataKey | None:
        """The key of this id if it is in memory.

        Raises:
            KeyDestroyed: Its owner was erased.
        """
        owner = self._owners.get(id)
        return None if owner is None else self.cached(owner)

    async def load(self, owners: Iterable[str]) -> None:
        """Fetch the keys of these owners into memory, in one round trip for each five hundred."""
        lacking = [owner for owner in dict.fromkeys(owners) if self._remembered(owner) is None]
        for start in range(0, len(lacking), _BATCH):
            async with self._engine.connect() as connection:
                rows = (
                    await connection.execute(
                        select(data_key).where(data_key.c.owner.in_(lacking[start : start + _BATCH]))
                    )
                ).all()
            for row in rows:
                await self._remember(row)

    def _remembered(self, owner: str) -> tuple[float, DataKey | None, bytes] | None:
        found = self._cache.get(owner)
        if found is None or found[0] < time.monotonic():
            return None
        self._cache.move_to_end(owner)
        return found

    async def _remember(self, row: Row[tuple[object, ...]]) -> None:
        key = None
        if row.wrapped is not None:
            plain = await self._master.unwrap(row.wrapped, row.master, _context(row.owner, row.id))
            key = DataKey(row.owner, bytes(row.id), plain)
        self._cache[row.owner] = (time.monotonic() + CACHED_FOR, key, bytes(row.id))
        self._cache.move_to_end(row.owner)
        self._owners[bytes(row.id)] = row.owner
        while len(self._cache) > CACHED:
            _, (_, _, oldest) = self._cache.popitem(last=False)
            self._owners.pop(oldest, None)

    # ---- rotation ---------------------------------------------------------------------------------------------------

    async def rotate(self) -> Rotated:
        """Wrap every key by a new master key and destroy the former ones, while cases run.

        A master key in a file is made and destroyed here. One from elsewhere must be there already, beside the former,
        in every process; who removes the former is told. Safe to repeat: after a crash the next rotation also takes
        what the first one left. One at a time: another one waits.
        """
        async with self._engine.connect() as alone:
            # not of a transaction, which the server ends when it is silent for long; it goes with the connection
            await alone.execution_options(isolation_level="AUTOCOMMIT")
            await alone.execute(select(func.pg_advisory_lock(_ROTATION)))
            try:
                return await self._rotate()
            finally:
                await alone.execute(select(func.pg_advisory_unlock(_ROTATION)))

    async def _rotate(self) -> Rotated:
        master = self._master
        new = master.add() if isinstance(master, MasterKeyFile) else master.current
        async with self._engine.begin() as connection:
            # whoever is making a key holds the row: after this all keys are made under the new master
            former = {str((await connection.execute(select(master_key.c.id).with_for_update())).scalar_one())}
            await connection.execute(update(master_key).values(id=new))
        wrapped = 0
        while True:
            async with self._engine.begin() as connection:
                rows = (
                    await connection.execute(
                        select(data_key)
                        .where(data_key.c.wrapped.is_not(None), data_key.c.master != new)
                        .limit(_BATCH)
                        .with_for_update()
                    )
                ).all()
                for row in rows:
                    context = _context(row.owner, row.id)
                    key = await master.unwrap(row.wrapped, row.master, context)
                    former.add(row.master)
                    await connection.execute(
                        update(data_key)
                        .where(data_key.c.owner == row.owner)
                        .values(wrapped=await master.wrap(key, new, context), master=new)
                    )
            wrapped += len(rows)
            if not rows:
                break
        if isinstance(master, MasterKeys):
            # also those of a rotation that died after its last key was wrapped: no key says their names any more
            former.update(master.held)
        left = sorted(former - {new})
        if isinstance(master, MasterKeyFile):
            for one in left:
                master.forget(one)
            left = []
        return Rotated(master=new, wrapped=wrapped, to_remove=tuple(left))

    # ---- backup -----------------------------------------------------------------------------------------------------

    async def backup(self) -> list[dict[str, str]]:
        """Every key as it is wrapped; tombstones without one."""
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(data_key).order_by(data_key.c.owner))).all()
        return [
            {
                "owner": row.owner,
                "id": row.id.hex(),
                "wrapped": row.wrapped.hex() if row.wrapped else "",
                "master": row.master or "",
                "created_at": row.created_at.isoformat(),
                "destroyed_at": row.destroyed_at.isoformat() if row.destroyed_at else "",
            }
            for row in rows
        ]

    async def restore(self, rows: Iterable[Mapping[str, str]]) -> int:
        """Bring back the keys that are missing; what is there, tombstones too, stays. The number brought back.

        Raises:
            MasterKeyError: The master key that wraps one of them is not here. Then none is brought back: in its place a
                key that nobody can open would keep out the one of a newer backup, and stop every rotation.
        """
        restored = 0
        async with self._engine.begin() as connection:
            for row in rows:
                values = {
                    "owner": row["owner"],
                    "id": bytes.fromhex(row["id"]),
                    "wrapped": bytes.fromhex(row["wrapped"]) or None,
                    "master": row["master"] or None,
                    "created_at": datetime.fromisoformat(row["created_at"]),
                    "destroyed_at": datetime.fromisoformat(row["destroyed_at"]) if row["destroyed_at"] else None,
                }
                done = await connection.execute(insert(data_key).values(values).on_conflict_do_nothing())
                if done.rowcount and row["wrapped"]:
                    context = _context(row["owner"], bytes.fromhex(row["id"]))
                    await self._master.unwrap(bytes.fromhex(row["wrapped"]), row["master"], context)
                restored += done.rowcount
        self.forget()
        return restored

    # ---- asking ----------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Leave the key store."""
        self.forget()
        await self._engine.dispose()

    async def answers(self) -> None:
        """Ask the key store for the installation's key, past the cache.

        Raises:
            Exception: It does not answer, or its key cannot be opened.
        """
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(data_key).where(data_key.c.owner == INSTALLATION))).one_or_none()
        if row is None:
            raise NoKey("the key store has no keys yet; run: python starter.py setup")
        await self._remember(row)

    async def erased_of(self, owners: Sequence[str]) -> tuple[str, ...]:
        """Those of these owners whose key was destroyed."""
        found = []
        for start in range(0, len(owners), _BATCH):
            batch = owners[start : start + _BATCH]
            query = select(data_key.c.owner).where(data_key.c.owner.in_(batch), data_key.c.destroyed_at.is_not(None))
            async with self._engine.connect() as connection:
                found += list((await connection.execute(query)).scalars())
        return tuple(sorted(found))

    async def destroyed(self) -> int:
        """The number of tombstones."""
        query = select(func.count()).where(data_key.c.destroyed_at.is_not(None))
        async with self._engine.connect() as connection:
            return int((await connection.execute(query)).scalar_one())


def _context(owner: str, id: bytes) -> bytes:
    """What a wrapped key is bound to: it cannot be put under another owner."""
    return b"termins data key\0" + owner.encode() + b"\0" + id
