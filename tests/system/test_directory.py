"""The local directory for its users (SE-33.3.4): what a secret opens, and how they set a password of their own."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

import pytest

from integrations.identity import NewAccount, external_id, one_time_secret
from models.access import IssueAccess
from models.errors import Refusal
from models.tables import AccountRow, DirectoryRow
from operations.directory import LocalDirectory
from tests.activities.test_access import KEY, Carrier, accounts, queued, worker
from tests.world import World

OWN = "trīs zaļi zirgi"
_numbers = count(1)


def local(world: World) -> LocalDirectory:
    """The directory of a world."""
    return LocalDirectory(world.sessions, world.now)


async def with_secret(world: World) -> tuple[str, str]:
    """An entry with a one-time secret: both."""
    new, secret = NewAccount(client="K000002", username=f"V-{next(_numbers)}-U1"), one_time_secret()
    await local(world).make(new)
    await local(world).set_secret(new.external_id, secret, must_change=True)
    return new.external_id, secret


async def issued(world: World, folder: Path, **fields: str) -> tuple[AccountRow, str, str]:
    """An account that a request made, its external id and its secret."""
    client, case = await queued(world, **fields)
    await worker(world, Carrier(folder)).issue(IssueAccess(case=case, key=KEY))
    [account] = await accounts(world, client)
    new, secret = NewAccount(client=client, username=account.username), one_time_secret()
    await local(world).make(new)
    await local(world).set_secret(new.external_id, secret, must_change=True)
    return account, external_id(client, account.username), secret


async def entry(world: World, name: str) -> DirectoryRow:
    """The entry of this name."""
    async with world.sessions() as session:
        found = await session.get(DirectoryRow, name)
        assert found is not None
        return found


async def test_a_one_time_secret_opens_nothing_but_the_way_to_an_own_password(world: World) -> None:
    """SE-33.3.4.4; then the own one opens the account, and the one-time secret nothing."""
    name, secret = await with_secret(world)
    assert await local(world).verify(name, secret) == "must_change"
    await local(world).set_own_password(name, secret, OWN)
    assert await local(world).verify(name, OWN) == "accepted"
    assert await local(world).verify(name, secret) == "wrong"


async def test_what_opens_nothing_is_told_apart_for_the_journal(world: World) -> None:
    name, secret = await with_secret(world)
    assert await local(world).verify(name, secret.lower()) == "wrong"
    assert await local(world).verify(f"{name}-other", secret) == "no_such"
    await local(world).set_active(name, active=False)
    assert await local(world).verify(name, secret) == "inactive"
    new = NewAccount(client="K000002", username=f"V-{next(_numbers)}-U1")
    await local(world).make(new)
    assert await local(world).verify(new.external_id, "") == "wrong"


async def test_the_same_password_typed_on_another_keyboard_opens_it(world: World) -> None:
    name, secret = await with_secret(world)
    await local(world).set_own_password(name, secret, "trīs zirgi")
    assert await local(world).verify(name, "tri\N{COMBINING MACRON}s\N{NO-BREAK SPACE}zirgi") == "accepted"


async def test_no_password_is_taken_twice(world: World) -> None:
    """SE-33.3.4.2: neither the present nor any earlier one, and not the one-time secret."""
    name, secret = await with_secret(world)
    with pytest.raises(Refusal, match="used before"):
        await local(world).set_own_password(name, secret, secret)
    former = secret
    for own in ("pirmais zirgs", "otrais zirgs", "trešais zirgs"):
        await local(world).set_own_password(name, former, own)
        former = own
    for own in ("pirmais zirgs", "otrais zirgs", "trešais zirgs"):
        with pytest.raises(Refusal, match="used before"):
            await local(world).set_own_password(name, former, own)
    # also after a secret that Termins set anew
    again = one_time_secret()
    await local(world).set_secret(name, again, must_change=True)
    with pytest.raises(Refusal, match="used before"):
        await local(world).set_own_password(name, again, "trešais zirgs")
    kept = await entry(world, name)
    assert len(kept.earlier) == 3
    assert all(hashed.startswith("$argon2id$") for hashed in (kept.secret_hash or "", *kept.earlier))


async def test_nothing_of_the_person_is_taken_and_every_fault_is_named_at_once(world: World, tmp_path: Path) -> None:
    """What is known of the user stands in the request that made the account."""
    account, name, secret = await issued(world, tmp_path, first_name="Gunda", personal_code="161175-19997")
    before = await entry(world, name)
    with pytest.raises(Refusal) as refused:
        await local(world).set_own_password(name, secret, f"Gunda 1975 {account.username}")
    assert set(refused.value.faults) >= {
        "password: holds a part of the name",
        "password: holds the date of birth",
        "password: holds the user name",
    }
    assert "unda" not in str(refused.value)
    with pytest.raises(Refusal) as refused:
        await local(world).set_own_password(name, secret, "Gunda")
    assert len(refused.value.faults) == 2
    assert await entry(world, name) == before
    await local(world).set_own_password(name, secret, OWN)


async def test_whoever_does_not_know_the_present_secret_learns_nothing(world: World) -> None:
    """Neither whether the account is there nor what is wrong with the new password."""
    name, _ = await with_secret(world)
    for whom in (name, f"{name}-other"):
        with pytest.raises(Refusal) as refused:
            await local(world).set_own_password(whom, "guessed", "short")
        assert refused.value.faults == ("password: the present one is not right",)


async def test_of_two_passwords_set_at_once_by_one_secret_one_is_taken(world: World) -> None:
    """The second comes with a secret that is no longer the present one."""
    name, secret = await with_secret(world)
    both = ("pirmais zirgs", "otrais zirgs")
    results = await asyncio.gather(
        *(local(world).set_own_password(name, secret, own) for own in both), return_exceptions=True
    )
    assert [type(result) for result in results if result is not None] == [Refusal]
    assert sorted([await local(world).verify(name, own) for own in both]) == ["accepted", "wrong"]
