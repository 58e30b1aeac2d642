"""Access for operators: who has what, suspending users or a whole client at once, and what a sweep ends and opens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import exists, text
from sqlmodel import and_, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import Client

from models.case import OPEN
from models.common import Model
from models.credential import EndGround, Scope, SuspensionGround
from models.errors import Refusal, Unreadable
from models.now import Now
from models.operator import SYSTEM
from models.tables import (
    AccountRow,
    BellRow,
    CaseRow,
    ClientRow,
    ClockRow,
    IntakeRow,
    PartyRow,
    PolicyRow,
    SuspensionRow,
)
from operations import accounts
from operations.bells import Rung, ring
from operations.intake import Intake, Sessions
from operations.operators import may_handle
from rules.client import is_over
from rules.rulebook import book, books
from security.index import index_of
from security.keys import KeyDestroyed, Keyring, NoKey

VALID: EndGround = "BL-11"
PORTAL: EndGround = "GJ-portal"
INSURED = "insured:"
"""Why a credential looks at its client's policies; the day on which the last one ended follows."""

log = structlog.get_logger()

_ENDS = func.coalesce(col(PolicyRow.covered_until), col(PolicyRow.ends_on))
"""A contract's last day of cover."""
_HELD = col(PolicyRow.starts_on) <= _ENDS
"""It took effect, or will."""


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
    data: str | None = None
    """`restricted` or `erased`, and since when: then nobody is named, whoever asks (BL-16-erase)."""
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
                data=_data(account),
                waits_for=case.waits_for if case is not None else "",
            )
            if personal and line.data is None:
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


def _data(account: AccountRow) -> str | None:
    """What is left of the user's data, once that is not all of them."""
    if account.erased_at is not None:
        return f"erased {account.erased_at:%Y-%m-%d %H:%M} UTC"
    return f"restricted {account.restricted_at:%Y-%m-%d %H:%M} UTC" if account.restricted_at is not None else None


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


async def ring_users(
    sessions: Sessions, intake: Intake, client: Client, who: str, usernames: Sequence[str] | None, now: Now
) -> Rung:
    """Let the cases of a client's users, or of those named, hear at once what was done; one just filed is started."""
    query = select(AccountRow.credential).where(AccountRow.client == who, col(AccountRow.credential).is_not(None))
    if usernames is not None:
        query = query.where(col(AccountRow.username).in_(usernames))
    async with sessions() as session:
        cases = [case for case in (await session.exec(query)).all() if case is not None]
    await intake.start_waiting(cases)
    return await ring(sessions, client, now, cases)


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


async def insured_until(session: AsyncSession, client: ClientRow) -> date | None:
    """The last day of a client's last insurance contract, as its policies in the store say; None: it has none here.

    None too where its organisation knows no term by it. A contract that never took effect is none.
    """
    if client.name_index is None or client.organisation not in _with_portal():
        return None
    last = select(func.max(_ENDS)).where(
        PolicyRow.organisation == client.organisation, PolicyRow.policyholder_index == client.name_index, _HELD
    )
    return (await session.exec(last)).one()


async def ring_insured(sessions: Sessions, keyring: Keyring, now: Now) -> int:
    """Ring the cases whose portal term begins or ends by what the store knows of policies (GJ-portal); how many.

    A contract that runs rings while the term does; the end of the last one once for each such day.
    """
    at = now()
    await _index_clients(sessions, keyring)
    query = (
        select(col(AccountRow.credential), col(ClientRow.organisation), func.max(_ENDS))
        .join(ClientRow, col(ClientRow.client) == col(AccountRow.client))
        .join(
            PolicyRow,
            and_(
                col(PolicyRow.organisation) == col(ClientRow.organisation),
                col(PolicyRow.policyholder_index) == col(ClientRow.name_index),
            ),
        )
        .where(
            AccountRow.status != "ended",
            col(AccountRow.credential).is_not(None),
            col(ClientRow.organisation).in_(_with_portal()),
            _HELD,
        )
        .group_by(col(AccountRow.credential), col(ClientRow.organisation))
    )
    counting = select(ClockRow.case).where(ClockRow.duty == PORTAL, col(ClockRow.status).in_(OPEN))
    async with sessions() as session, session.begin():
        found = (await session.exec(query)).all()
        counted = set((await session.exec(counting)).all())
        wanted = {}
        for case, organisation, until in found:
            over = is_over(until, at.astimezone(ZoneInfo(book(organisation).zone)).date())
            if over or case in counted:
                wanted[str(case)] = f"{INSURED}{until if over else ''}"
        newest = (
            select(func.max(BellRow.id))
            .where(col(BellRow.case).in_(wanted), text(f"reason LIKE '{INSURED}%'"))  # as its index says it
            .group_by(col(BellRow.case))
        )
        rung = {row.case: row for row in (await session.exec(select(BellRow).where(col(BellRow.id).in_(newest)))).all()}
        new = []
        for case, reason in sorted(wanted.items()):
            bell = rung.get(case)
            # of an end it was told once; a term that still runs beside a contract is told again if it was heard
            said = bell is not None and bell.reason == reason and (reason != INSURED or bell.heard_at is None)
            if not said:
                new.append(BellRow(case=case, reason=reason, created_at=at))
        session.add_all(new)
    return len(new)


async def _index_clients(sessions: Sessions, keyring: Keyring) -> None:
    """Let clients whose users have access be found by their names, where they cannot be yet."""
    lacking = (
        select(ClientRow.client)
        .where(
            col(ClientRow.name_index).is_(None),
            col(ClientRow.organisation).in_(_with_portal()),
            exists().where(col(AccountRow.client) == col(ClientRow.client), col(AccountRow.status) != "ended"),
        )
        .order_by(ClientRow.client)
    )
    async with sessions() as session:
        found = (await session.exec(lacking)).all()
    for client in found:
        try:
            async with sessions() as session, session.begin():
                row = await session.get_one(ClientRow, client, with_for_update=True)
                row.name_index = await index_of(keyring, "name", row.name)
        except (NoKey, KeyDestroyed, Unreadable) as e:
            log.warning("a client cannot be found by its name", client=client, problem=type(e).__name__)


def _with_portal() -> list[str]:
    """The organisations whose clients keep access for a term after their last contract."""
    return [code for code, rulebook in books().items() if any(duty.id == PORTAL for duty in rulebook.duty)]


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
