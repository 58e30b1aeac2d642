"""Accounts as the activities of access find, make and end them: one for a person at a client, whoever asks (BL 7)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.tables import AccountRow
from models.tables.sealed import values_of
from operations.accounts import end, end_sessions


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


async def take_authenticator(
    session: AsyncSession, account: AccountRow, withdrawal: str, limitation: str | None, at: datetime
) -> None:
    """Limit an account's authenticator, or take it away; without login data of its own the account then ends."""
    account.withdrawn_by = withdrawal
    if limitation is not None:
        account.limited = limitation
        return
    account.authenticator = None
    if account.secret_set_at is None:
        await end(session, [account], "BL-3-notice", withdrawal, at)
    else:
        await end_sessions(session, [account], "authenticator_ended", at)
