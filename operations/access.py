"""Access for operators: who has what, suspending users or a whole client at once, and what a sweep ends and opens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.common import Model
from models.credential import EndGround, Scope, SuspensionGround
from models.errors import Refusal
from models.now import Now
from models.operator import SYSTEM
from models.tables import AccountRow, CaseRow, ClientRow, IntakeRow, PartyRow, SuspensionRow
from operations import accounts
from operations.intake import Intake, Sessions
from operations.operators import may_handle
from rules.rulebook import books
from security.keys import Keyring

VALID: EndGround = "BL-11"


class Access(Model):
    """What one user has, since when, by which request, and what is pending."""

    client: str
    username: str
    user: str | None = None
    """The name; only where people are asked for."""
    status: str
    login_data: bool
    authenticator: str | None
    since: datetime
    request: str
    received_from: str
    """The system through which the request came."""
    asked_by: str | None = None
    """Who asked in the client's name; only where people are asked for."""
    credential: str | None
    first_sign_in_at: datetime | None
    locked_at: datetime | None
    suspended: str | None = None
    """Ground, instant and who did it."""
    ended: str | None = None
    """Ground, instant and who did it."""
    waits_for: str = ""


class Pending(Model):
    """A request that is not finished."""

    client: str
    request: str
    waits_for: str


class Accesses(Model):
    """Who has what, and what is asked for and not given yet."""

    accounts: tuple[Access, ...]
    pending: tuple[Pending, ...]


async def accesses(sessions: Sessions, client: str | None, *, personal: bool, ended: bool = False) -> Accesses:
    """Every access that has not ended (or all), of one client or of all, and the requests that are open.

    Raises:
        Refusal: There is no such client.
    """
    async with sessions() as session:
        if client is not None and await session.get(ClientRow, client) is None:
            raise Refusal("client: there is no such client")
        query = (
            select(AccountRow, CaseRow, IntakeRow)
            .outerjoin(CaseRow, col(CaseRow.case) == col(AccountRow.credential))
            .outerjoin(IntakeRow, col(IntakeRow.case) == col(AccountRow.case))
        )
        if client is not None:
            query = query.where(AccountRow.client == client)
        if not ended:
            query = query.where(AccountRow.status != "ended")
        query = query.order_by(col(AccountRow.client), col(AccountRow.username))
        found: Sequence[tuple[AccountRow, CaseRow | None, IntakeRow | None]] = (await session.exec(query)).all()
        query_open = select(SuspensionRow).where(col(SuspensionRow.ended_at).is_(None))
        lasting = {(s.client, s.username): s for s in (await session.exec(query_open)).all()}
        lines = []
        for account, case, asked in found:
            now = lasting.get((account.client, account.username))
            line = Access(
                client=account.client,
                username=account.username,
                status=account.status,
                login_data=account.secret_set_at is not None,
                authenticator=account.authenticator,
                since=account.created_at,
                request=account.case,
                received_from=asked.sender if asked is not None and asked.sender.startswith(SYSTEM) else "a person",
                credential=account.credential,
                first_sign_in_at=account.first_sign_in_at,
                locked_at=account.locked_at,
                suspended=f"{now.ground} {now.started_at:%Y-%m-%d %H:%M} UTC by {now.by}" if now is not None else None,
                ended=f"{account.ground} {account.ended_at:%Y-%m-%d %H:%M} UTC by {account.ended_by}"
                if account.ended_at is not None
                else None,
                waits_for=case.waits_for if case is not None else "",
            )
            if personal:
                line = await _with_people(session, line, account, asked)
            lines.append(line)
        query_pending = (
            select(CaseRow, IntakeRow)
            .join(IntakeRow, col(IntakeRow.case) == col(CaseRow.case))
            .where(CaseRow.kind == "access_request", col(CaseRow.stage).in_(("issuing", "changing", "refusing")))
            .order_by(col(CaseRow.case))
        )
        pending = [
            Pending(client=str(filed.content["client"]), request=row.case, waits_for=row.waits_for)
            for row, filed in (await session.exec(query_pending)).all()
        ]
    wanted = tuple(one for one in pending if client in (None, one.client))
    return Accesses(accounts=tuple(lines), pending=wanted)


async def _with_people(session: AsyncSession, line: Access, account: AccountRow, asked: IntakeRow | None) -> Access:
    user = await session.get(PartyRow, (account.credential, "user")) if account.credential is not None else None
    requester = asked.content.get("requester", {}) if asked is not None else {}
    by = requester.get("name") or requester.get("email")
    return line.model_copy(update={"user": user.name if user is not None else None, "asked_by": by})


# ---- suspending at once ---------------------------------------------------------------------------------------------


async def suspend(
    sessions: Sessions,
    keyring: Keyring,
    client: str,
    usernames: Sequence[str] | None,
    ground: SuspensionGround,
    reason: str,
    by: str,
    now: Now,
) -> accounts.Touched:
    """Suspend all users of a client, or those named, in one transaction; their cases are rung. Safe to repeat.

    Raises:
        Refusal: There is no such client or user, the reason is empty, or who speaks may not do it; every fault is
            named, and nothing was changed.
    """
    if not reason.strip():
        raise Refusal("reason: must not be empty")
    at = now()
    async with sessions() as session, session.begin():
        row = await session.get(ClientRow, client)
        if row is None:
            raise Refusal("client: there is no such client")
        await may_handle(session, row.organisation, by)
        found = await accounts.accounts_of(session, client, usernames)
        for account in found:
            if account.status != "ended":
                await accounts.ensure_credential(session, keyring, account, at)
        scope: Scope = "client" if usernames is None else "one" if len(found) == 1 else "several"
        return await accounts.suspend(session, found, ground, scope, by, reason.strip(), at)


# ---- what a sweep does ----------------------------------------------------------------------------------------------


async def end_with_contract(sessions: Sessions, now: Now) -> int:
    """End the accounts of clients whose contract has ended (BL 11); the number that ended.

    The last day is whole, in the organisation's zone. The sign-in check asks for that day itself: nobody signs in
    between it and a sweep.
    """
    ended = 0
    for rulebook in books().values():
        if all(duty.id != VALID for duty in rulebook.duty):
            continue
        today = now().astimezone(ZoneInfo(rulebook.zone)).date()
        over = accounts.lacking_end(rulebook.organisation).where(col(ClientRow.contract_until) < today)

        async def end(session: AsyncSession, account: AccountRow) -> bool:
            return bool((await accounts.end(session, [account], VALID, f"{SYSTEM}termins", now())).accounts)

        ended += await accounts.each(sessions, over, end)
    return ended


async def open_credentials(sessions: Sessions, intake: Intake, now: Now) -> int:
    """Open a case for every account that has none: one from before there were such cases. The number opened."""
    opened = []

    async def open_one(session: AsyncSession, account: AccountRow) -> bool:
        opened.append(await accounts.ensure_credential(session, intake.keyring, account, now()))
        return True

    lacking = (
        select(col(AccountRow.client), col(AccountRow.username))
        .where(col(AccountRow.credential).is_(None), AccountRow.status != "ended")
        .order_by(col(AccountRow.client), col(AccountRow.username))
    )
    number = await accounts.each(sessions, lacking, open_one)
    await intake.start_waiting(opened)
    return number
