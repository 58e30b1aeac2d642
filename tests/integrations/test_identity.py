"""The contract of an identity provider, kept by every adapter: one account, one secret, whatever is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Protocol

import pytest
from httpx2 import AsyncClient
from sqlmodel import select

from integrations.identity import (
    IdentityProvider,
    IdentityRefused,
    IdentityUnavailable,
    NewAccount,
    one_time_secret,
)
from integrations.scim import Scim
from models.tables import DirectoryRow
from operations.directory import LocalDirectory
from operations.store import engine, sessions
from tests.scim import ScimServer, scim_server
from tests.world import World

_numbers = count(1)


class Kit(Protocol):
    """A provider, what tests see of it from its other side, and one like it that does not answer."""

    @property
    def provider(self) -> IdentityProvider:
        """The one that answers."""
        ...

    @property
    def down(self) -> IdentityProvider:
        """The one that does not."""
        ...

    async def opens(self, account: NewAccount, secret: str) -> bool:
        """Whether a user signs in with this."""
        ...

    async def number(self, account: NewAccount) -> int:
        """How many accounts there are of this name."""
        ...

    async def rename(self, account: NewAccount) -> None:
        """Somebody at the provider changes what Termins does not look at."""
        ...


@dataclass
class LocalKit:
    """The local directory."""

    provider: LocalDirectory
    down: LocalDirectory
    world: World

    async def opens(self, account: NewAccount, secret: str) -> bool:
        return await self.provider.verify(account.external_id, secret) in ("accepted", "must_change")

    async def number(self, account: NewAccount) -> int:
        return len(await self._rows(account))

    async def rename(self, account: NewAccount) -> None:
        async with self.world.sessions() as session, session.begin():
            [row] = await self._rows(account)
            row.username = f"{row.username}-renamed"
            session.add(row)

    async def _rows(self, account: NewAccount) -> list[DirectoryRow]:
        query = select(DirectoryRow).where(DirectoryRow.external_id == account.external_id)
        async with self.world.sessions() as session:
            return list((await session.exec(query)).all())


@dataclass
class ScimKit:
    """A SCIM server."""

    provider: Scim
    down: Scim
    server: ScimServer

    async def opens(self, account: NewAccount, secret: str) -> bool:
        return any(user["active"] and user.get("password") == secret for user in self.server.users(account.external_id))

    async def number(self, account: NewAccount) -> int:
        return len(self.server.users(account.external_id))

    async def rename(self, account: NewAccount) -> None:
        [user] = self.server.users(account.external_id)
        async with AsyncClient(headers={"Authorization": f"Bearer {self.server.token}"}) as client:
            renamed = {**user, "userName": f"{account.username}-renamed", "password": None}
            answer = await client.put(f"{self.server.url}/Users/{user['id']}", json=renamed)
            assert answer.status_code == 200


@pytest.fixture(scope="module")
def scim() -> Iterator[ScimServer]:
    """A SCIM server for these tests."""
    with scim_server() as server:
        yield server


@pytest.fixture(params=["local", "scim"])
async def kit(request: pytest.FixtureRequest, world: World, scim: ScimServer) -> AsyncIterator[Kit]:
    """Each adapter in turn."""
    if request.param == "scim":
        yield ScimKit(Scim(scim.url, scim.token), Scim("http://127.0.0.1:9/v2", scim.token), scim)
        return
    nowhere = engine("postgresql+asyncpg://nobody@127.0.0.1:9/nothing", world.keyring)
    yield LocalKit(LocalDirectory(world.sessions, world.now), LocalDirectory(sessions(nowhere), world.now), world)
    await nowhere.dispose()


def account() -> NewAccount:
    """An account that no test had before."""
    return NewAccount(client="K000001", username=f"R-{next(_numbers)}-U1")


async def test_made_twice_it_is_one(kit: Kit) -> None:
    new = account()
    assert await kit.provider.find(new.external_id) is None
    made = await kit.provider.make(new)
    assert await kit.provider.make(new) == made
    assert await kit.provider.find(new.external_id) == made
    assert await kit.number(new) == 1


async def test_made_by_two_at_once_it_is_one(kit: Kit) -> None:
    new = account()
    ids = await asyncio.gather(*(kit.provider.make(new) for _ in range(4)))
    assert len(set(ids)) == 1
    assert await kit.number(new) == 1


async def test_nothing_opens_an_account_without_a_secret(kit: Kit) -> None:
    new = account()
    await kit.provider.make(new)
    assert not await kit.opens(new, "")
    assert not await kit.opens(new, one_time_secret())


async def test_only_the_secret_that_was_set_last_opens_it(kit: Kit) -> None:
    new, former, latest = account(), one_time_secret(), one_time_secret()
    made = await kit.provider.make(new)
    for secret in (former, latest, latest):
        await kit.provider.set_secret(made, secret, must_change=True)
    assert await kit.opens(new, latest)
    assert not await kit.opens(new, former)


async def test_of_two_secrets_set_at_once_one_opens_it(kit: Kit) -> None:
    new, both = account(), (one_time_secret(), one_time_secret())
    made = await kit.provider.make(new)
    await asyncio.gather(*(kit.provider.set_secret(made, secret, must_change=True) for secret in both))
    assert sorted([await kit.opens(new, secret) for secret in both]) == [False, True]


async def test_inactive_it_opens_to_nobody_and_keeps_its_secret(kit: Kit) -> None:
    new, secret = account(), one_time_secret()
    made = await kit.provider.make(new)
    await kit.provider.set_secret(made, secret, must_change=False)
    for _ in range(2):
        await kit.provider.set_active(made, active=False)
        assert not await kit.opens(new, secret)
    await kit.provider.set_active(made, active=True)
    assert await kit.opens(new, secret)


async def test_made_again_a_closed_account_stays_closed_and_keeps_its_secret(kit: Kit) -> None:
    """`make` finds; nothing but what is asked for changes."""
    new, secret = account(), one_time_secret()
    made = await kit.provider.make(new)
    await kit.provider.set_secret(made, secret, must_change=True)
    await kit.provider.set_active(made, active=False)
    await kit.provider.make(new)
    assert not await kit.opens(new, secret)
    await kit.provider.set_active(made, active=True)
    assert await kit.opens(new, secret)


async def test_removed_it_is_gone_however_often_and_can_be_made_anew(kit: Kit) -> None:
    new, secret = account(), one_time_secret()
    made = await kit.provider.make(new)
    await kit.provider.set_secret(made, secret, must_change=True)
    for _ in range(2):
        await kit.provider.remove(made)
        assert await kit.number(new) == 0
    assert await kit.provider.find(new.external_id) is None
    await kit.provider.make(new)
    assert not await kit.opens(new, secret)


async def test_an_account_that_is_not_there_is_refused_without_a_word_about_it(kit: Kit) -> None:
    new, secret = account(), one_time_secret()
    gone = await kit.provider.make(new)
    await kit.provider.remove(gone)
    for call in (
        kit.provider.set_secret(gone, secret, must_change=True),
        kit.provider.set_active(gone, active=False),
    ):
        with pytest.raises(IdentityRefused) as refused:
            await call
        assert secret not in str(refused.value)
        assert new.username not in str(refused.value)


async def test_what_somebody_else_changed_meanwhile_stays(kit: Kit) -> None:
    """Changed at the provider between two calls: the account is found, and gets its secret all the same."""
    new, secret = account(), one_time_secret()
    made = await kit.provider.make(new)
    await kit.rename(new)
    await kit.provider.set_secret(made, secret, must_change=True)
    await kit.provider.set_active(made, active=True)
    assert await kit.provider.make(new) == made
    assert await kit.number(new) == 1


async def test_a_provider_that_is_down_says_so_and_nothing_else(kit: Kit) -> None:
    new, secret = account(), one_time_secret()
    for call in (
        kit.down.make(new),
        kit.down.find(new.external_id),
        kit.down.set_secret("1", secret, must_change=True),
        kit.down.set_active("1", active=True),
        kit.down.remove("1"),
        kit.down.answers(),
    ):
        with pytest.raises(IdentityUnavailable) as down:
            await call
        assert secret not in repr(down.value)
        assert new.username not in repr(down.value)
    await kit.provider.answers()
