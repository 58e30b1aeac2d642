"""The local directory: the identity provider that comes with Termins, accounts and argon2id hashes in PostgreSQL."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Literal, cast

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from asyncpg import PostgresError
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from integrations.identity import IdentityRefused, IdentityUnavailable, NewAccount
from models.errors import Refusal
from models.now import Now
from models.tables import AccountRow, DirectoryRow, PartyRow
from operations.intake import Sessions
from rules.password import Personal, faults, typed
from rules.personal_code import Country, born

ANSWERS_WITHIN = 10.0
"""Seconds after which a directory without an answer counts as down."""

Verdict = Literal["accepted", "must_change", "wrong", "no_such", "inactive"]
"""What a secret opens: the account; only the way to an own password (SE-33.3.4.4); nothing."""

_hasher = PasswordHasher()


@cache
def _nobodys() -> str:
    """Compared where there is no hash, so that the time of an answer does not tell whether an account is there."""
    return _hasher.hash(secrets.token_hex(16))


class LocalDirectory:
    """An `IdentityProvider`; its id of an account is the external one.

    It needs connections of its own: it is asked by transactions that hold one, and may not wait for another of theirs.
    """

    in_store = True

    def __init__(self, sessions: Sessions, now: Now) -> None:
        self._sessions = sessions
        self._now = now

    # ---- the port ---------------------------------------------------------------------------------------------------

    async def make(self, account: NewAccount) -> str:
        """See `IdentityProvider`."""
        async with self._begin() as session:
            new = DirectoryRow(external_id=account.external_id, username=account.username)
            await session.exec(insert(DirectoryRow).values(new.model_dump()).on_conflict_do_nothing())
        return account.external_id

    async def find(self, external_id: str) -> str | None:
        """See `IdentityProvider`."""
        async with self._begin() as session:
            return None if await session.get(DirectoryRow, external_id) is None else external_id

    async def set_secret(self, id: str, secret: str, *, must_change: bool) -> None:
        """See `IdentityProvider`."""
        secret_hash = await _hashed(secret)
        async with self._begin() as session:
            self._replace(await _row(session, id), secret_hash, must_change=must_change)

    async def set_active(self, id: str, active: bool) -> None:
        """See `IdentityProvider`."""
        async with self._begin() as session:
            (await _row(session, id)).active = active

    async def remove(self, id: str) -> None:
        """See `IdentityProvider`."""
        async with self._begin() as session:
            row = await session.get(DirectoryRow, id)
            if row is not None:
                await session.delete(row)

    async def answers(self) -> None:
        """See `IdentityProvider`."""
        async with self._begin() as session:
            await session.exec(text("SELECT 1 FROM directory LIMIT 1"))  # type: ignore[call-overload]  # plain SQL

    # ---- what its users ask -----------------------------------------------------------------------------------------

    async def verify(self, external_id: str, secret: str) -> Verdict:
        """What this secret opens now; it takes some 50 ms of a core, whatever the answer. Raises IdentityUnavailable.

        It counts nothing and locks nothing: the sign-in check does (SE-33.3.9).
        """
        async with self._begin() as session:
            row = await session.get(DirectoryRow, external_id)
        kept = None if row is None else row.secret_hash
        right = await _opens(kept or _nobodys(), secret)
        if row is None:
            return "no_such"
        if not row.active:
            return "inactive"
        if not right or kept is None:
            return "wrong"
        return "must_change" if row.must_change else "accepted"

    async def set_own_password(self, external_id: str, old: str, new: str) -> None:
        """The user sets an own password, which ends the duty to do so (SE-33.3.4.2, SE-33.3.4.4).

        Raises:
            Refusal: the present secret is another one, said alone; or all that is wrong with the new one at once:
                too short, personal, used before. Nothing was changed.
            IdentityUnavailable: the directory does not answer.
        """
        if await self.verify(external_id, old) not in ("accepted", "must_change"):
            raise Refusal("password: the present one is not right")
        async with self._begin() as session:
            person = await _person(session, external_id)
            row = await _row(session, external_id)
            former = row.secret_hash
            found = list(faults(new, person))
            for earlier in (former, *row.earlier):
                if earlier is not None and await _opens(earlier, new):
                    found.append("password: used before")
                    break
            if found:
                raise Refusal(*found)
            # whoever was changed between the two looks has another secret by now
            if former is None or not await _opens(former, old):
                raise Refusal("password: the present one is not right")
            self._replace(row, await _hashed(new), must_change=False)

    # ---- rows -------------------------------------------------------------------------------------------------------

    def _replace(self, row: DirectoryRow, secret_hash: str, *, must_change: bool) -> None:
        """Another secret; an own password that it takes the place of is remembered."""
        if row.secret_hash is not None and not row.must_change:
            row.earlier = [*row.earlier, row.secret_hash]
        row.secret_hash, row.must_change, row.set_at = secret_hash, must_change, self._now()

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncSession]:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN), self._sessions() as session, session.begin():
                yield session
        except (SQLAlchemyError, PostgresError, OSError, TimeoutError) as e:
            raise IdentityUnavailable(f"the local directory does not answer: {type(e).__name__}") from None


async def _row(session: AsyncSession, id: str) -> DirectoryRow:
    """An entry, locked."""
    row = (
        await session.exec(select(DirectoryRow).where(DirectoryRow.external_id == id).with_for_update())
    ).one_or_none()
    if row is None:
        raise IdentityRefused("the local directory has no such account")
    return row


async def _hashed(secret: str) -> str:
    return await asyncio.to_thread(_hasher.hash, typed(secret))


async def _opens(secret_hash: str, secret: str) -> bool:
    try:
        return await asyncio.to_thread(_hasher.verify, secret_hash, typed(secret))
    except VerificationError:
        return False


async def _person(session: AsyncSession, external_id: str) -> Personal:
    """What Termins knows of the user, from the line of the request that made the account."""
    client, _, username = external_id.rpartition("/")
    account = await session.get(AccountRow, (client, username))
    if account is None:
        return Personal(username=username)
    party = await session.get(PartyRow, (account.case, account.subject))
    if party is None:
        return Personal(username=username, personal_code=account.personal_code)
    country = cast("Country", party.other.get("country", "LV"))
    return Personal(
        names=tuple(name for name in (party.name,) if name),
        email=party.email,
        phone=party.phone,
        personal_code=account.personal_code,
        born=born(account.personal_code, country) if account.personal_code else None,
        username=username,
    )
