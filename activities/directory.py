"""The local directory: accounts of the client zone in PostgreSQL, and one-time secrets, kept as argon2id hashes."""

from __future__ import annotations

import asyncio
import secrets
from datetime import datetime

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.tables import AccountRow
from models.tables.sealed import values_of

_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without I, O, 0 and 1, which people confuse."""

_hasher = PasswordHasher()


def one_time_secret() -> str:
    """A secret of 100 bits that a person can type."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


async def hashed(secret: str) -> str:
    """The argon2id hash of a secret; it takes some 50 ms of a core, beside the event loop."""
    return await asyncio.to_thread(_hasher.hash, secret)


async def signs_in(session: AsyncSession, client: str, username: str, secret: str) -> bool:
    """Whether this secret opens this account now."""
    account = await session.get(AccountRow, (client, username))
    if account is None or account.status != "active" or account.secret_hash is None:
        return False
    try:
        return await asyncio.to_thread(_hasher.verify, account.secret_hash, secret)
    except VerificationError:
        return False


async def present_account(session: AsyncSession, client: str, person: bytes | None) -> AccountRow | None:
    """The person's account with the client that has not ended, if there is one."""
    return (
        await session.exec(
            select(AccountRow).where(
                AccountRow.client == client, AccountRow.person == person, AccountRow.status != "ended"
            )
        )
    ).one_or_none()


async def account_of(session: AsyncSession, new: AccountRow) -> AccountRow:
    """The person's account with the client that has not ended, locked; `new` becomes it where there is none.

    One person has one such account at a client (BL-7), whoever asks at the same time.
    """
    await session.exec(insert(AccountRow).values(values_of(new)).on_conflict_do_nothing())
    return (
        await session.exec(
            select(AccountRow)
            .where(
                AccountRow.client == new.client,
                AccountRow.person == new.person,
                AccountRow.status != "ended",
            )
            .with_for_update()
        )
    ).one()


async def users_of(session: AsyncSession, client: str, authenticator: str) -> list[AccountRow]:
    """The accounts of a client that sign in with an authenticator and have not ended, locked."""
    return list(
        (
            await session.exec(
                select(AccountRow)
                .where(
                    AccountRow.client == client,
                    AccountRow.authenticator == authenticator,
                    AccountRow.status != "ended",
                )
                .order_by(AccountRow.username)
                .with_for_update()
            )
        ).all()
    )


def take_authenticator(account: AccountRow, withdrawal: str, limitation: str | None, at: datetime) -> None:
    """Limit an account's authenticator, or take it away; without login data of its own the account then ends."""
    account.withdrawn_by = withdrawal
    if limitation is not None:
        account.limited = limitation
        return
    account.authenticator = None
    if account.secret_hash is None:
        account.status, account.ended_at = "ended", at
