"""The identity provider: who keeps the secret of a user's login data, whichever system that is.

Termins calls an account the same at every provider (`external_id`); the provider calls it by an id of its own. No
secret and nothing about a person stands in an error.
"""

from __future__ import annotations

import secrets
from typing import Protocol

from models.common import Model

_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without I, O, 0 and 1, which people confuse."""


class IdentityUnavailable(Exception):
    """The provider does not answer, or cannot do it now: try again. What was asked for may have been done."""


class IdentityRefused(Exception):
    """The provider will never do this (an account it does not have, a value it does not take): a person has to act."""


class NewAccount(Model):
    """An account as the provider needs it. Nothing in it says who the user is."""

    client: str
    username: str

    @property
    def external_id(self) -> str:
        """What Termins calls it."""
        return external_id(self.client, self.username)


class IdentityProvider(Protocol):
    """Where accounts and their secrets are. Every call may be repeated; all raise `IdentityUnavailable`."""

    @property
    def in_store(self) -> bool:
        """Whether its accounts lie in Termins' own store, and so go back with it to a backup."""
        ...

    async def make(self, account: NewAccount) -> str:
        """The provider's id of this account, which is made if it is not there: active, and without a secret.

        Of two at once both get the same. Raises `IdentityRefused`: another account has the user name.
        """
        ...

    async def find(self, external_id: str) -> str | None:
        """The provider's id of an account, if it is there."""
        ...

    async def set_secret(self, id: str, secret: str, *, must_change: bool) -> None:
        """From now on this secret opens the account and no other does. Raises `IdentityRefused`: no such account.

        `must_change`: it opens nothing but the way to an own password (SE-33.3.4.4).
        """
        ...

    async def set_active(self, id: str, active: bool) -> None:
        """Whether the account can be used at all; its secret stays. Raises `IdentityRefused`: no such account."""
        ...

    async def remove(self, id: str) -> None:
        """The account is gone with its secret; so it is if it was gone before."""
        ...

    async def answers(self) -> None:
        """Nothing, if the provider can be used now. Raises `IdentityRefused`: it does not let Termins in."""
        ...


def external_id(client: str, username: str) -> str:
    """What Termins calls an account at every provider."""
    return f"{client}/{username}"


def one_time_secret() -> str:
    """A secret of 100 bits that a person can type."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))
