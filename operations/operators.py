"""Operators: added, changed and ended by the administrator, and found by their tokens.

Whoever has the store and the master key is the administrator: these commands ask for no token.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.common import Model
from models.errors import Refusal
from models.names import ACTOR
from models.now import Now
from models.operator import ROLES, SYSTEM, Operator, Role
from models.tables import OperatorRow
from rules.rulebook import books

if TYPE_CHECKING:
    from operations.intake import Sessions  # which asks here who may file

TOKEN_BYTES = 32
TOKEN_DAYS = 365
"""How long a token is good unless the administrator says otherwise."""


class Given(Model):
    """A token, told once: only its hash is kept."""

    operator: str
    token: str
    ends_at: datetime


class Listed(Model):
    """An operator as the administrator sees one."""

    operator: str
    organisations: tuple[str, ...]
    roles: tuple[str, ...]
    limit: Decimal | None
    token_ends_at: datetime | None
    """None: there is no token."""
    created_at: datetime
    ended_at: datetime | None


async def with_actor(table: Operators, message: dict[str, Any], token: str | None) -> dict[str, Any]:
    """A message by whoever holds this token; without one only a backend may say something (`system:…`).

    Raises:
        Refusal: It names an operator, but not the one whose token this is.
    """
    actor = message.get("actor")
    if isinstance(actor, str) and actor.startswith(SYSTEM):
        return message
    operator = None if token is None else await table.by_token(hash_of(token))
    if operator is None:
        known = "TERMINS_TOKEN is not known, or is over" if token is not None else "TERMINS_TOKEN is not set"
        raise Refusal(f"actor: an operator is known by a token, and {known}; a backend names itself system:NAME")
    if actor not in {None, operator.code}:
        raise Refusal(f"actor: the token is that of {operator.code}")
    return {**message, "actor": operator.code}


def hash_of(token: str) -> bytes:
    """What is kept of a token."""
    return sha256(token.encode()).digest()


async def may_handle(session: AsyncSession, organisation: str, said_by: str, role: Role = "handle") -> None:
    """Check that whoever speaks may do so for this organisation: a backend, or an operator with this role there.

    Raises:
        Refusal: There is no such operator, or the rights do not suffice.
    """
    if said_by.startswith(SYSTEM):
        return
    operator = await session.get(OperatorRow, said_by)
    if operator is None or operator.ended_at is not None:
        raise Refusal(f"actor: there is no operator {said_by}, or no more")
    if lacks := operator.operator.lacks(organisation, role):
        raise Refusal(*lacks)


class Operators:
    """The table of operators."""

    def __init__(self, sessions: Sessions, now: Now) -> None:
        self._sessions = sessions
        self._now = now

    # ---- finding ----------------------------------------------------------------------------------------------------

    async def by_token(self, token_hash: bytes) -> Operator | None:
        """Whose token it is; None if it is nobody's, is over, or the operator has left."""
        async with self._sessions() as session:
            row = (await session.exec(select(OperatorRow).where(OperatorRow.token_hash == token_hash))).one_or_none()
        if row is None or row.ended_at is not None or row.token_ends_at is None or row.token_ends_at <= self._now():
            return None
        return row.operator

    async def all(self) -> list[Listed]:
        """Every operator, those who left too."""
        async with self._sessions() as session:
            rows = (await session.exec(select(OperatorRow).order_by(col(OperatorRow.code)))).all()
        return [
            Listed(
                operator=row.code,
                organisations=tuple(row.organisations),
                roles=tuple(row.roles),
                limit=row.limit,
                token_ends_at=row.token_ends_at,
                created_at=row.created_at,
                ended_at=row.ended_at,
            )
            for row in rows
        ]

    # ---- administering ----------------------------------------------------------------------------------------------

    async def add(
        self,
        code: str,
        organisations: Sequence[str],
        roles: Sequence[str],
        limit: Decimal | None = None,
        days: int = TOKEN_DAYS,
    ) -> Given:
        """Add an operator and give the first token.

        Raises:
            Refusal: The code is taken or is none, or the rights do not fit; every fault is named.
        """
        faults = list(_faults(organisations, roles, limit))
        if not re.fullmatch(ACTOR, code) or code.startswith(SYSTEM):
            faults.insert(0, "code: 2 to 32 of a-z 0-9 . _ -, beginning with a letter, and nobody's name: op-17")
        async with self._sessions() as session, session.begin():
            if not faults and await session.get(OperatorRow, code) is not None:
                faults.append(f"code: {code} was given already, and is given once")
            if faults:
                raise Refusal(*faults)
            row = OperatorRow(
                code=code,
                organisations=sorted(set(organisations)),
                roles=[role for role in ROLES if role in roles],
                limit=limit,
                created_at=self._now(),
            )
            session.add(row)
            return self._give(row, days)

    async def change(
        self,
        code: str,
        organisations: Sequence[str] | None = None,
        roles: Sequence[str] | None = None,
        limit: Decimal | None = None,
    ) -> None:
        """Replace what is given; what is None stays, but the limit goes with the role `approve`.

        Raises:
            Refusal: There is no such operator, or the rights do not fit.
        """
        async with self._sessions() as session, session.begin():
            row = _there(code, await session.get(OperatorRow, code, with_for_update=True))
            wanted = row.roles if roles is None else roles
            kept = row.limit if "approve" in wanted else None
            limit = kept if limit is None else limit
            organisations = row.organisations if organisations is None else organisations
            if faults := _faults(organisations, wanted, limit):
                raise Refusal(*faults)
            row.organisations, row.limit = sorted(set(organisations)), limit
            row.roles = [role for role in ROLES if role in wanted]

    async def renew(self, code: str, days: int = TOKEN_DAYS) -> Given:
        """Give a new token; the former one is worth nothing from now on.

        Raises:
            Refusal: There is no such operator.
        """
        async with self._sessions() as session, session.begin():
            return self._give(_there(code, await session.get(OperatorRow, code, with_for_update=True)), days)

    async def end(self, code: str) -> None:
        """The operator leaves: reads and says nothing from now on; what was said stays.

        Raises:
            Refusal: There is no such operator.
        """
        async with self._sessions() as session, session.begin():
            row = _there(code, await session.get(OperatorRow, code, with_for_update=True))
            row.ended_at, row.token_hash, row.token_ends_at = self._now(), None, None

    def _give(self, row: OperatorRow, days: int) -> Given:
        token = secrets.token_urlsafe(TOKEN_BYTES)
        ends_at = self._now() + timedelta(days=days)
        row.token_hash, row.token_ends_at = hash_of(token), ends_at
        return Given(operator=row.code, token=token, ends_at=ends_at)


def _there(code: str, row: OperatorRow | None) -> OperatorRow:
    if row is None:
        raise Refusal(f"code: there is no operator {code}")
    if row.ended_at is not None:
        raise Refusal(f"code: {code} has left")
    return row


def _faults(organisations: Sequence[str], roles: Sequence[str], limit: Decimal | None) -> tuple[str, ...]:
    known = set(books()) - {"T"}
    faults = []
    if not organisations or set(organisations) - known:
        faults.append(f"organisations: one or more of {', '.join(sorted(known))}")
    if not roles or set(roles) - set(ROLES):
        faults.append(f"roles: one or more of {', '.join(ROLES)}")
    if ("approve" in roles) != (limit is not None):
        faults.append("limit: an amount in EUR with the role approve, and only with it")
    if limit is not None and not (limit.is_finite() and 0 < limit < 10**10):
        faults.append("limit: above 0, in EUR")
    return tuple(faults)
