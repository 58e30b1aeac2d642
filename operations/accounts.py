"""Accounts: the one home of closing and opening a user's access, ending live sessions, and ringing its case.

Every function works in the caller's transaction: what it closes is closed with the caller's commit, whichever of
provider, engine and carrier is down. Every act names client and user name, never a person: who came back has another
account, which nothing meant for the former one can reach. Safe to repeat.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import ColumnElement
from sqlmodel import and_, col, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from models.common import Model
from models.credential import EndGround, Scope, SuspensionGround
from models.errors import Refusal, Unreadable
from models.now import Now
from models.operator import SYSTEM
from models.tables import AccountRow, BellRow, ClientRow, SignInRow, SuspensionRow
from operations.filings import check
from operations.intake import Sessions, credential_reference, keep
from rules.rulebook import books
from security.keys import KeyDestroyed, Keyring, NoKey

log = structlog.get_logger()


class Touched(Model):
    """What an act came to: the user names that it changed, those that stood so already, and the sessions it ended."""

    accounts: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    sessions: int = 0


async def accounts_of(session: AsyncSession, client: str, usernames: Collection[str] | None = None) -> list[AccountRow]:
    """The accounts of a client that have not ended, or those of these names, ended ones too; locked.

    Raises:
        Refusal: A name is none of this client's; all such are named.
    """
    query = select(AccountRow).where(AccountRow.client == client)
    if usernames is None:
        query = query.where(AccountRow.status != "ended")
    else:
        query = query.where(col(AccountRow.username).in_(usernames))
    # always in the same order, so that two who close several do not wait for each other in a circle
    found = (await session.exec(query.order_by(col(AccountRow.username)).with_for_update())).all()
    if unknown := sorted(set(usernames or ()) - {account.username for account in found}):
        raise Refusal(*(f"username: {username} is no account of {client}" for username in unknown))
    return list(found)


async def suspend(
    session: AsyncSession,
    accounts: Sequence[AccountRow],
    ground: SuspensionGround,
    scope: Scope,
    by: str,
    reason: str,
    at: datetime,
    *,
    event_at: datetime | None = None,
    in_case: str | None = None,
) -> Touched:
    """Suspend those of these accounts that are active (BL 8, 10), and end the live sessions of all of them.

    By BL 8 their login data are void as well. `event_at` is when what it rests on was reported; `in_case` the case that
    records it itself and is not rung.
    """
    if ground == "BL-8":
        void_secrets([account for account in accounts if account.status != "ended"])
    changed = [account for account in accounts if account.status == "active"]
    for account in changed:
        account.status = "suspended"
        last = select(func.max(SuspensionRow.n)).where(_suspensions_of(account))
        session.add(
            SuspensionRow(
                client=account.client,
                username=account.username,
                n=((await session.exec(last)).one() or 0) + 1,
                ground=ground,
                scope=scope,
                by=by,
                reason=reason,
                started_at=at,
                event_at=event_at,
            )
        )
    return await _touched(session, accounts, changed, "suspended", at, in_case)


async def reinstate(
    session: AsyncSession, accounts: Sequence[AccountRow], by: str, at: datetime, *, in_case: str | None = None
) -> Touched:
    """Let those of these accounts that are suspended sign in again (BL 10); sessions stay ended."""
    changed = [account for account in accounts if account.status == "suspended"]
    for account in changed:
        account.status = "active"
        await _end_suspension(session, account, "reinstated", by, at)
    return await _touched(session, accounts, changed, None, at, in_case)


async def end(
    session: AsyncSession,
    accounts: Sequence[AccountRow],
    ground: EndGround,
    by: str,
    at: datetime,
    *,
    event_at: datetime | None = None,
    in_case: str | None = None,
) -> Touched:
    """End these accounts for good, with their suspensions and live sessions; one that has ended keeps its ground.

    `event_at` is when that happened by which they end: the request, the leaving, the last day.
    """
    changed = [account for account in accounts if account.status != "ended"]
    for account in changed:
        if account.status == "suspended":
            await _end_suspension(session, account, "revoked", by, at)
        account.status, account.ended_at = "ended", at
        account.ground, account.ended_by, account.event_at = ground, by, event_at
    return await _touched(session, accounts, changed, "ended", at, in_case)


async def release(
    session: AsyncSession, accounts: Sequence[AccountRow], at: datetime, *, in_case: str | None = None
) -> Touched:
    """Take the lock off these accounts, and count their failed sign-ins anew (SE 33.3.9)."""
    changed = [account for account in accounts if account.locked_at is not None]
    for account in changed:
        account.locked_at, account.failed = None, 0
    return await _touched(session, accounts, changed, None, at, in_case)


async def lasts_until(session: AsyncSession, account: AccountRow, last_day: date | None, at: datetime) -> Touched:
    """The last day of this account, or none any more (BL 9): the sign-in check knows it from the caller's commit on."""
    changed = [account] if account.valid_until != last_day else []
    account.valid_until = last_day
    return await _touched(session, (account,), changed, None, at, None)


async def end_lapsed(sessions: Sessions, now: Now) -> int:
    """End the accounts whose last day has passed (BL 9); the number ended."""
    ended = 0
    for rulebook in books().values():
        zone = ZoneInfo(rulebook.zone)
        over = lacking_end(rulebook.organisation).where(
            col(AccountRow.valid_until) < now().astimezone(zone).date(),
        )

        async def lapse(session: AsyncSession, account: AccountRow, zone: ZoneInfo = zone) -> bool:
            if account.valid_until is None or account.status == "ended":
                return False
            lapsed_at = datetime.combine(account.valid_until + timedelta(days=1), time(0), zone)
            touched = await end(session, [account], "BL-9", f"{SYSTEM}termins", now(), event_at=lapsed_at)
            return bool(touched.accounts)

        ended += await each(sessions, over, lapse)
    return ended


def lacking_end(organisation: str) -> Any:
    """The names of an organisation's accounts that have not ended."""
    return (
        select(col(AccountRow.client), col(AccountRow.username))
        .join(ClientRow, col(ClientRow.client) == col(AccountRow.client))
        .where(ClientRow.organisation == organisation, AccountRow.status != "ended")
        .order_by(col(AccountRow.client), col(AccountRow.username))
    )


async def each(sessions: Sessions, which: Any, act: Callable[[AsyncSession, AccountRow], Awaitable[bool]]) -> int:
    """Do something to each of these accounts, locked, in a transaction of its own; for how many something was done.

    One that cannot be done is said in the log and holds up no other.
    """
    async with sessions() as session:
        names = (await session.exec(which)).all()
    done = 0
    for client, username in names:
        try:
            async with sessions() as session, session.begin():
                [account] = await accounts_of(session, client, [username])
                done += await act(session, account)
        except (Refusal, NoKey, KeyDestroyed, Unreadable) as e:
            log.warning("nothing can be done to an account", client=client, username=username, problem=type(e).__name__)
    return done


async def secret_set(
    session: AsyncSession, account: AccountRow, at: datetime, *, by_user: bool, in_case: str | None = None
) -> Touched:
    """A secret of this account was set: a one-time one, or by the user an own one, which the term counts (33.3.4.3)."""
    account.secret_set_at, account.must_change = at, not by_user
    return await _touched(session, (account,), [account], None, at, in_case)


def void_secrets(accounts: Sequence[AccountRow]) -> None:
    """These accounts have no login data from here on; the identity provider is told by their cases."""
    for account in accounts:
        account.secret_set_at = None


async def issued(session: AsyncSession, keyring: Keyring, account: AccountRow, at: datetime, *, secret: bool) -> str:
    """Login data (`secret`) or a confirmation went to the user: the account has its case, which hears of it; its id."""
    new = account.credential is None
    case = await ensure_credential(session, keyring, account, at)
    if secret:
        await secret_set(session, account, at, by_user=False, in_case=case if new else None)
    return case


async def ensure_credential(session: AsyncSession, keyring: Keyring, account: AccountRow, at: datetime) -> str:
    """The case that lives this account's life, filed with this commit where there is none; the sweep starts it."""
    if account.credential is not None:
        return account.credential
    client = await session.get_one(ClientRow, account.client)
    checked = check(
        {
            "kind": "credential",
            "organisation": client.organisation,
            "reference": credential_reference(account.username),
            "received_at": at.isoformat(),
            "sender": account.case,
            "content": {"client": account.client, "username": account.username},
        },
        at,
    )
    row, _ = await keep(session, keyring, checked, at, parent=account.case)
    account.credential = row.case
    return row.case


async def end_sessions(session: AsyncSession, accounts: Sequence[AccountRow], reason: str, at: datetime) -> int:
    """End the live sessions of these accounts, for a reason as a code; how many there were."""
    ended = 0
    for client in sorted({account.client for account in accounts}):
        theirs = [account.username for account in accounts if account.client == client]
        statement = (
            update(SignInRow)
            .where(
                col(SignInRow.client) == client,
                col(SignInRow.username).in_(theirs),
                col(SignInRow.session).is_not(None),
                col(SignInRow.ended_at).is_(None),
            )
            .values(ended_at=at, end_reason=reason)
            .returning(col(SignInRow.id))
        )
        ended += len((await session.exec(statement)).all())
    return ended


async def _touched(
    session: AsyncSession,
    accounts: Sequence[AccountRow],
    changed: Sequence[AccountRow],
    sessions_end: str | None,
    at: datetime,
    in_case: str | None,
) -> Touched:
    """End what lives on, ring the cases of what changed, and say what was done."""
    sessions = await end_sessions(session, accounts, sessions_end, at) if sessions_end is not None else 0
    for account in changed:
        if account.credential is not None and account.credential != in_case:
            session.add(BellRow(case=account.credential, reason="account", created_at=at))
    names = {account.username for account in changed}
    return Touched(
        accounts=tuple(sorted(names)),
        before=tuple(sorted({account.username for account in accounts} - names)),
        sessions=sessions,
    )


async def _end_suspension(session: AsyncSession, account: AccountRow, outcome: str, by: str, at: datetime) -> None:
    open_one = select(SuspensionRow).where(_suspensions_of(account), col(SuspensionRow.ended_at).is_(None))
    suspension = (await session.exec(open_one)).one()
    suspension.ended_at, suspension.ended_by, suspension.outcome = at, by, outcome


def _suspensions_of(account: AccountRow) -> ColumnElement[bool]:
    return and_(col(SuspensionRow.client) == account.client, col(SuspensionRow.username) == account.username)
