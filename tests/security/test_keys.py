"""Data keys: made once, found again, destroyed for ever, wrapped anew while others work."""

from __future__ import annotations

import asyncio
import hashlib
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from models.errors import Refusal, Unreadable
from models.names import PERSONAL_CODE, REFERENCE
from operations.key_backup import back_up, restore
from operations.local import Postgres
from operations.store import keyring as make_keyring
from security import keys as keys_module
from security.index import index_of, reference_of
from security.keys import DataKey, KeyDestroyed, Keyring, NoKey, data_key
from security.master import MasterKeyError, MasterKeyFile, MasterKeys
from tests.world import World

CASE = "claim:BTA:1"


def words(path: Path) -> list[str]:
    """The master keys in a file."""
    return path.read_text().split()


async def test_a_key_is_made_once_whoever_asks_at_the_same_time(
    keyring: Keyring, keys_url: str, master_file: Path
) -> None:
    others = [make_keyring(keys_url, MasterKeyFile(master_file)) for _ in range(4)]
    await asyncio.gather(*(one.create(CASE) for one in (keyring, *others)))
    ids = {(await one.of(CASE)).id for one in (keyring, *others)}
    assert len(ids) == 1
    sealed = (await keyring.of(CASE)).seal(b"text", b"use")
    assert [(await one.of(CASE)).open(sealed, b"use") for one in others] == [b"text"] * 4
    for one in others:
        await one.close()


async def test_reading_never_makes_a_key(keyring: Keyring) -> None:
    with pytest.raises(NoKey):
        await keyring.of(CASE)
    with pytest.raises(NoKey):
        await keyring.by_id(b"1" * 16)
    await keyring.load([CASE])
    assert keyring.cached(CASE) is None


async def test_a_destroyed_key_leaves_a_tombstone_that_nobody_gets_past(keyring: Keyring) -> None:
    await keyring.create(CASE)
    key_id = (await keyring.of(CASE)).id
    assert await keyring.destroy(CASE)
    assert not await keyring.destroy(CASE)
    for ask in (keyring.of(CASE), keyring.by_id(key_id), keyring.create(CASE)):
        with pytest.raises(KeyDestroyed):
            await ask
    assert await keyring.destroyed() == 1


async def test_a_case_that_has_no_key_can_be_kept_from_ever_getting_one(keyring: Keyring) -> None:
    """As after a restore of an older backup of keys."""
    assert await keyring.destroy(CASE)
    with pytest.raises(KeyDestroyed):
        await keyring.create(CASE)


def test_a_sealed_value_opens_only_with_its_key_its_use_and_every_bit() -> None:
    key, other = DataKey("a", b"1" * 16, b"k" * 32), DataKey("b", b"2" * 16, b"k" * 32)
    sealed = key.seal(b"Anna", b"payload")
    assert key.open(sealed, b"payload") == b"Anna"
    assert key.seal(b"Anna", b"payload") != sealed
    for key_, bytes_, use in (
        (other, sealed, b"payload"),
        (key, sealed, b"column"),
        (key, sealed[:-1] + bytes([sealed[-1] ^ 1]), b"payload"),
        (key, b"", b"payload"),
    ):
        with pytest.raises(Unreadable):
            key_.open(bytes_, use)


async def test_a_wrapped_key_cannot_be_put_under_another_owner(keyring: Keyring) -> None:
    await keyring.create(CASE, "claim:BTA:2")
    async with keyring._engine.begin() as connection:
        row = (await connection.execute(select(data_key).where(data_key.c.owner == CASE))).one()
        await connection.execute(update(data_key).where(data_key.c.owner == "claim:BTA:2").values(wrapped=row.wrapped))
    keyring.forget()
    with pytest.raises(MasterKeyError, match="does not fit"):
        await keyring.of("claim:BTA:2")


async def test_the_cache_is_bounded_and_forgets(keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "CACHED", 3)
    owners = [f"claim:BTA:{n}" for n in range(9)]
    await keyring.create(*owners)
    assert [o for o in owners if keyring.cached(o) is not None] == owners[-3:]
    assert len(keyring._owners) == 3
    for owner in owners[-3:]:
        await keyring.destroy(owner)
    await keyring.load(owners[-3:])
    await keyring.load(owners[:3])
    assert (len(keyring._cache), len(keyring._owners)) == (3, 3), "tombstones are kept no longer than keys"
    monkeypatch.setattr(keys_module, "CACHED_FOR", -1.0)
    keyring.forget()
    await keyring.load(owners[:1])
    assert keyring.cached(owners[0]) is None


async def test_a_key_destroyed_elsewhere_is_gone_here_when_its_time_in_memory_is_over(
    keyring: Keyring, keys_url: str, master_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_keyring(keys_url, MasterKeyFile(master_file))
    await keyring.create(CASE)
    await other.destroy(CASE)
    assert (await keyring.of(CASE)).owner == CASE
    clock = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: clock + keys_module.CACHED_FOR + 1)
    with pytest.raises(KeyDestroyed):
        await keyring.of(CASE)
    await other.close()


# ---- the master key -------------------------------------------------------------------------------------------------


def test_a_master_key_file_is_its_owners_alone_and_made_once(master_file: Path) -> None:
    first = MasterKeyFile(master_file)
    assert stat.S_IMODE(master_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(master_file.parent.stat().st_mode) == 0o700
    assert MasterKeyFile(master_file).current == first.current
    assert [p.name for p in master_file.parent.iterdir()] == ["master"]


@pytest.mark.parametrize("text", ["", "m", "m:", "m:short", "m:" + "A" * 44, ":" + "A" * 43 + "=", "a\u0101:x"])
def test_what_is_no_master_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(MasterKeyError) as refused:
        MasterKeys(text)
    assert "short" not in str(refused.value)
    assert "A" * 40 not in str(refused.value)


async def test_a_rotation_while_keys_are_made_leaves_none_under_the_former_master_and_destroys_it(
    keyring: Keyring, keys_url: str, master_file: Path
) -> None:
    """A process that knew only the former master key reads and makes keys all the time."""
    other = make_keyring(keys_url, MasterKeyFile(master_file))
    owners = [f"claim:BTA:{n}" for n in range(40)]
    await keyring.create(*owners[:10])
    sealed = (await keyring.of(owners[0])).seal(b"text", b"use")
    former = MasterKeyFile(master_file)
    before = words(master_file)

    async def work() -> None:
        for owner in owners[10:]:
            await other.create(owner)

    rotated, _ = await asyncio.gather(keyring.rotate(), work())
    assert rotated.to_remove == ()
    async with keyring._engine.connect() as connection:
        masters = set((await connection.execute(select(data_key.c.master))).scalars())
        row = (await connection.execute(select(data_key).where(data_key.c.owner == owners[0]))).one()
    assert masters == {rotated.master}
    assert before[0] not in words(master_file)
    for ring in (keyring, other):
        ring.forget()
        assert (await ring.of(owners[0])).open(sealed, b"use") == b"text"
        await ring.load(owners)
        assert all(ring.cached(owner) for owner in owners)
    with pytest.raises(MasterKeyError):
        await former.unwrap(row.wrapped, row.master, b"another context")
    await other.close()


async def test_two_rotations_at_once_leave_one_master_key_and_every_data_key(
    keyring: Keyring, keys_url: str, master_file: Path
) -> None:
    """One waits for the other: each destroys what the other one wraps by."""
    await keyring.create(CASE)
    key = (await keyring.of(CASE)).derived(b"use")
    others = [make_keyring(keys_url, MasterKeyFile(master_file)) for _ in range(3)]
    await asyncio.gather(*(one.rotate() for one in others))
    async with keyring._engine.connect() as connection:
        masters = set((await connection.execute(select(data_key.c.master))).scalars())
    assert masters == set(MasterKeyFile(master_file).held)
    assert len(masters) == 1
    for one in (keyring, *others):
        one.forget()
        assert (await one.of(CASE)).derived(b"use") == key
    for one in others:
        await one.close()


async def test_a_rotation_that_died_is_ended_by_the_next(keyring: Keyring, master_file: Path) -> None:
    await keyring.create(CASE)
    assert isinstance(keyring._master, MasterKeyFile)
    keyring._master.add()  # died right after the new key was written
    rotated = await keyring.rotate()
    assert words(master_file)[0].startswith(rotated.master)
    keyring.forget()
    assert (await keyring.of(CASE)).owner == CASE


async def test_master_keys_of_the_environment_are_rotated_by_putting_the_new_one_first(keys_url: str) -> None:
    old, new = (f"{name}:{'A' * 42}{letter}=" for name, letter in (("old", "A"), ("new", "E")))
    first = make_keyring(keys_url, MasterKeys(old))
    await first.setup()
    await first.create(CASE)
    second = make_keyring(keys_url, MasterKeys(f"{new} {old}"))
    await second.create("claim:BTA:2")
    assert (await second.rotate()).to_remove == ("old",)
    assert (await second.rotate()).wrapped == 0
    third = make_keyring(keys_url, MasterKeys(new))
    assert (await third.of(CASE)).owner == CASE
    first.forget()
    with pytest.raises(MasterKeyError, match="new is not here"):
        await first.of(CASE)
    for ring in (first, second, third):
        await ring.close()


async def test_a_backup_from_before_a_rotation_brings_nothing_back_and_stands_in_nobodys_way(
    keyring: Keyring, world: World, tmp_path: Path
) -> None:
    """Its keys open nothing any more: the one of a newer backup can still come back, and a rotation still ends."""
    await keyring.create(CASE)
    key = (await keyring.of(CASE)).derived(b"use")
    old = await back_up(keyring, tmp_path, timedelta(days=30), lambda: datetime(2027, 4, 1, tzinfo=UTC))
    await keyring.rotate()
    new = await back_up(keyring, tmp_path, timedelta(days=30), lambda: datetime(2027, 4, 2, tzinfo=UTC))
    async with keyring._engine.begin() as connection:
        await connection.execute(delete(data_key).where(data_key.c.owner == CASE))
    keyring.forget()
    with pytest.raises(Refusal, match=r"is not here, so its keys open nothing"):
        await restore(world.sessions, keyring, Path(old.file))
    with pytest.raises(NoKey):
        await keyring.of(CASE)
    assert (await restore(world.sessions, keyring, Path(new.file))).keys == 1
    assert (await keyring.of(CASE)).derived(b"use") == key
    await keyring.rotate()
    keyring.forget()
    assert (await keyring.of(CASE)).derived(b"use") == key


async def test_keyed_hashes_find_the_same_person_however_the_code_is_written(keyring: Keyring, keys_url: str) -> None:
    same = {await index_of(keyring, "personal_code", code) for code in ("120390-12345", "12039012345", " 120390 12345")}
    assert len(same) == 1
    assert await index_of(keyring, "personal_code", "120390-12346") not in same
    assert await index_of(keyring, "name", "120390-12345") not in same


async def test_a_given_reference_cannot_be_tried_out_without_the_key(
    keyring: Keyring, postgres: Postgres, tmp_path: Path
) -> None:
    """The same text, the same reference, to the letter; in another installation another one."""
    code = "320505-10058"
    given = await reference_of(keyring, code)
    assert REFERENCE.match(given)
    assert not PERSONAL_CODE.search(given)
    assert await reference_of(keyring, code) == given
    assert await reference_of(keyring, code.replace("-", "")) != given
    assert hashlib.sha256(code.encode()).hexdigest()[:8] not in given
    await postgres.create_database("keys_elsewhere")
    elsewhere = make_keyring(postgres.url("keys_elsewhere"), MasterKeyFile(tmp_path / "elsewhere"))
    await elsewhere.setup()
    assert await reference_of(elsewhere, code) != given
    await elsewhere.close()
