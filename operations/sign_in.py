"""The sign-in check, its journal and the sessions: asked by the client zone, answered from one read of the store."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import structlog
from pydantic import ValidationError
from sqlalchemy import bindparam, delete, exists, true
from sqlmodel import col, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from integrations.identity import external_id
from models.common import Model
from models.errors import Refusal
from models.now import Now
from models.sign_in import PASSWORD, Opened, Result, SignInAnswer, SignInAsked, Standing
from models.tables import AccountRow, BellRow, ClientRow, LegalHoldRow, OpenedRow, SignInRow
from operations.accounts import end_sessions, secret_set
from operations.directory import LocalDirectory, Verdict
from operations.filings import faults_of
from operations.intake import Sessions
from operations.reading import NotFound
from rules.rulebook import Rulebook, book, books
from rules.sign_in import RECORDS, allowed_failures, decide, goes_on, kept_from, longest_session
from security.index import index_of
from security.keys import Keyring

log = structlog.get_logger()

ADDRESS = "address"
"""Under which use an address is indexed (`security.index`)."""
LOCKED = "locked"
"""How a session ended whose account was locked."""
AT_A_TIME = 5_000
"""Records of the journal that one transaction removes."""
SHOWN = timedelta(days=7)
"""Before the last day that is asked for, where nobody says from when on."""
EXPIRED = "expired"
"""How a session ended whose end nobody reported."""


_columns: Any = select
"""SQLModel types up to four columns."""


Proof = Literal["proven", "own", "one_time", "closed", "wrong"]
"""What shows who asks: whoever asks for the user has proven it; by the local directory an own password, a one-time
one, one of a directory's account that is closed; nothing."""
PROOFS: dict[Verdict, Proof] = {
    "accepted": "own",
    "must_change": "one_time",
    "inactive": "closed",
    "wrong": "wrong",
    "no_such": "wrong",
}


def _standing() -> Any:
    """The one read: the client by its key, the account by its key and locked.

    Locked, so that a suspension that comes at the same time either finds the session that begins here, and ends it, or
    is found here. Columns, not rows: nothing sealed is opened.
    """
    account = (
        _columns(
            AccountRow.client,
            AccountRow.status,
            AccountRow.authenticator,
            col(AccountRow.limited).is_not(None).label("limited"),
            AccountRow.must_change,
            col(AccountRow.secret_set_at).is_not(None).label("login_data"),
            col(AccountRow.locked_at).is_not(None).label("locked"),
            AccountRow.failed,
            col(AccountRow.first_sign_in_at).is_(None).label("first"),
            col(AccountRow.erased_at).is_not(None).label("erased"),
            AccountRow.credential,
            AccountRow.valid_until,
        )
        .where(AccountRow.client == bindparam("client"), AccountRow.username == bindparam("username"))
        .with_for_update(key_share=True)
        .subquery()
    )
    mine = account.c
    return (
        _columns(
            mine.client.is_not(None).label("known"),
            ClientRow.organisation,
            mine.status,
            mine.authenticator,
            mine.limited,
            mine.must_change,
            mine.login_data,
            mine.locked,
            mine.failed,
            mine.first,
            mine.erased,
            mine.credential,
            ClientRow.contract_from,
            # the account's own last day, if that is earlier
            func.least(ClientRow.contract_until, mine.valid_until).label("contract_until"),
            ClientRow.addresses,
            ClientRow.any_address,
        )
        .join(account, true(), isouter=True)
        .where(ClientRow.client == bindparam("client"))
    )


_STANDING = _standing()


def asked_of(**said: Any) -> SignInAsked:
    """What the client zone asks, checked.

    Raises:
        Refusal: It cannot be asked so; every fault is named, no value is repeated.
    """
    try:
        return SignInAsked.model_validate(said)
    except ValidationError as e:
        raise Refusal(*faults_of(e)) from None


class SignIn:
    """Answers whether somebody may sign in, and writes down that it was asked (SE-33.3.10)."""

    def __init__(self, sessions: Sessions, keyring: Keyring, now: Now) -> None:
        self._sessions = sessions
        self._keyring = keyring
        self._now = now
        self._directory = LocalDirectory(sessions, now)

    # ---- asking -----------------------------------------------------------------------------------------------------

    async def check(self, asked: SignInAsked) -> SignInAnswer:
        """May this user, whom the authenticator or the identity provider has proven, sign in from this address now?

        A session begins with a yes. The answer, its entry in the journal and the session are one transaction.
        """
        return await self._answer(asked, "proven")

    async def with_password(self, asked: SignInAsked, secret: str) -> SignInAnswer:
        """The same for a user of the local directory, which compares the password; a wrong one is counted.

        Raises:
            IdentityUnavailable: The directory does not answer; nothing was counted.
        """
        return await self._answer(asked, await self._proof(asked, secret))

    async def report_failed(self, asked: SignInAsked) -> SignInAnswer:
        """A provider found the password wrong: counted, and beyond the allowed number the account is locked.

        The answer is the same whether or not there is such an account (SE-33.3.9).
        """
        return await self._answer(asked, "wrong")

    async def change_password(self, asked: SignInAsked, old: str, new: str) -> None:
        """A user of the local directory sets an own password, from where the user may sign in (SE-33.3.4.4).

        Raises:
            Refusal: The user may not sign in from here now, the present password is another one, which is counted, or
                the new one does not do; all that is wrong with it is named.
            IdentityUnavailable: The directory does not answer.
        """
        answer = await self._answer(asked, await self._proof(asked, old), changing=True)
        if answer.code != "change_password":
            raise Refusal("password: the present one is not right" if answer.code == "not_known" else answer.code)
        await self._directory.set_own_password(external_id(asked.client, asked.username), old, new)
        await self.report_password_changed(asked.client, asked.username)

    async def report_password_changed(self, client: str, username: str) -> None:
        """The provider let the user set an own password: the account is open from now on.

        Raises:
            Refusal: There is no such account, or it has no login data: what was set is void with what it was set by,
                by a leak (BL-8), a letter that came back, other login data under way, or the account's end.
        """
        async with self._sessions() as session, session.begin():
            account = await session.get(AccountRow, (client, username), with_for_update=True)
            if account is None:
                raise Refusal("username: there is no such account")
            if account.status == "ended" or account.secret_set_at is None:
                raise Refusal("username: the account has no login data that could be changed")
            await secret_set(session, account, self._now(), by_user=True)

    async def _proof(self, asked: SignInAsked, secret: str) -> Proof:
        if asked.method != PASSWORD:
            raise Refusal(f"method: a password is compared for the method {PASSWORD} only")
        return PROOFS[await self._directory.verify(external_id(asked.client, asked.username), secret)]

    async def _answer(self, asked: SignInAsked, proof: Proof, *, changing: bool = False) -> SignInAnswer:
        index = await index_of(self._keyring, ADDRESS, str(asked.address))
        async with self._sessions() as session, session.begin():
            of = {"client": asked.client, "username": asked.username}
            found = (await session.exec(_STANDING, params=of)).one_or_none()
            at = self._now()
            if found is None:
                # a journal is a client's: what is asked of none is said in the log, without the names
                log.warning("asked to sign in at a client that is not registered")
                return SignInAnswer(allowed=False, code="not_known")
            seen = found._asdict()
            if seen["organisation"] not in {rulebook.organisation for rulebook in journalled()}:
                raise Refusal("client: its organisation's rulebook keeps no journal of sign-ins (SE-33.3.10)")
            erased = seen.pop("erased")
            standing = Standing.model_validate(seen) if seen.pop("known") else None
            result = _judged(standing, asked, proof, at)
            if changing and result == "allowed":
                result = "change_password"
            entry = SignInRow(
                client=asked.client,
                username=asked.username if standing is not None else None,
                at=at,
                method=asked.method,
                # whoever tries what was a former user's: the entry stays without that person's address (BL-16-erase)
                address=None if erased else str(asked.address),
                address_index=None if erased else index,
                result=result,
                session=secrets.token_hex(16) if result == "allowed" else None,
            )
            session.add(entry)
            if standing is not None:
                await _follow(session, asked, standing, result, at)
                if proof == "own" and standing.must_change and standing.login_data:
                    # it was set, and whoever set it could not say so any more; what is void stays void (BL-8)
                    account = await session.get_one(AccountRow, (asked.client, asked.username))
                    await secret_set(session, account, at, by_user=True)
        code = "not_known" if proof in ("wrong", "closed") else _said(asked, result)
        return SignInAnswer(allowed=result == "allowed", code=code, session=entry.session)

    # ---- sessions ---------------------------------------------------------------------------------------------------

    async def session_goes_on(self, number: str) -> bool:
        """Whether a session that was allowed is still good; one read, and nothing is written."""
        query = (
            _columns(
                SignInRow.at,
                AccountRow.status,
                col(AccountRow.locked_at),
                ClientRow.organisation,
                ClientRow.contract_from,
                func.least(ClientRow.contract_until, AccountRow.valid_until),
            )
            .join(
                AccountRow,
                (col(AccountRow.client) == col(SignInRow.client))
                & (col(AccountRow.username) == col(SignInRow.username)),
            )
            .join(ClientRow, col(ClientRow.client) == col(SignInRow.client))
            .where(SignInRow.session == number, col(SignInRow.ended_at).is_(None))
        )
        async with self._sessions() as session:
            found = (await session.exec(query)).one_or_none()
        if found is None:
            return False
        began, status, locked_at, organisation, first, last = found
        now, rulebook = self._now(), book(organisation)
        if locked_at is not None or began + longest_session(rulebook) <= now:
            return False
        return goes_on(status, first, last, now.astimezone(ZoneInfo(rulebook.zone)).date())

    async def end_session(self, number: str, reason: str = "signed_out") -> bool:
        """The user signed out, or the client zone ended the session; False if it had ended, or there is none."""
        query = (
            update(SignInRow)
            .where(col(SignInRow.session) == number, col(SignInRow.ended_at).is_(None))
            .values(ended_at=self._now(), end_reason=reason)
            .returning(col(SignInRow.id))
        )
        async with self._sessions() as session, session.begin():
            return (await session.exec(query)).first() is not None

    async def record_opened(self, **said: Any) -> None:
        """A user opened a file of somebody, in a session that goes on, for a purpose (SE-33.4.1, SE-33.3.11).

        Raises:
            Refusal: No purpose is stated, or the session has ended; the file is not to be shown then.
        """
        try:
            opened = Opened.model_validate(said)
        except ValidationError as e:
            raise Refusal(*faults_of(e)) from None
        if not await self.session_goes_on(opened.session):
            raise Refusal("session: it has ended, or there is none")
        async with self._sessions() as session, session.begin():
            entry = (await session.exec(select(SignInRow).where(SignInRow.session == opened.session))).one()
            assert entry.username is not None
            session.add(OpenedRow(client=entry.client, username=entry.username, at=self._now(), **opened.model_dump()))


def _judged(standing: Standing | None, asked: SignInAsked, proof: Proof, at: datetime) -> Result:
    """What a question comes to, by what proves who asks."""
    if standing is None or proof == "wrong":
        return _failed(standing)
    if proof in ("own", "one_time"):
        # the directory knows best whose password it holds
        standing = standing.model_copy(update={"must_change": proof == "one_time"})
    result = decide(standing, asked, at)
    # the provider may hear of a reinstatement a little later than the account
    return "suspended" if proof == "closed" and result in ("allowed", "change_password") else result


def _failed(standing: Standing | None) -> Result:
    """What a wrong password comes to: one more than allowed locks, and while it is locked nothing more is counted."""
    if standing is None:
        return "not_known"
    if standing.locked:
        return "locked"
    return "wrong_locks" if standing.failed >= allowed_failures(standing.organisation) else "wrong"


def _said(asked: SignInAsked, result: Result) -> Result:
    """What the one who asks is told: before somebody is proven, and of a locked or void password, nothing but no.

    With a word of its own for a locked account a right guess would show itself.
    """
    return "not_known" if asked.method == PASSWORD and result in ("locked", "wrong") else result


async def _follow(session: AsyncSession, asked: SignInAsked, standing: Standing, result: Result, at: datetime) -> None:
    """What an answer changes of the account; its case is rung where it has to know."""
    right, first = result in ("allowed", "change_password"), result == "allowed" and standing.first
    if not (result in ("wrong", "wrong_locks") or (right and standing.failed) or first):
        return
    account = await session.get_one(AccountRow, (asked.client, asked.username))
    account.failed = 0 if right else standing.failed + 1
    if first:
        account.first_sign_in_at = at
    if result == "wrong_locks":
        account.locked_at = at
        await end_sessions(session, (account,), LOCKED, at)
    if account.credential is not None and (first or result == "wrong_locks"):
        session.add(BellRow(case=account.credential, reason="account", created_at=at))


# ---- reading the journal --------------------------------------------------------------------------------------------


class JournalLine(Model):
    """One entry of the journal."""

    at: datetime
    username: str | None
    method: str
    address: str | None
    """Only for whoever may see personal data; of a user whose data are restricted or erased for nobody."""
    result: str
    session: str | None
    ended_at: datetime | None
    end_reason: str | None


async def journal(
    sessions: Sessions,
    client: str,
    username: str | None,
    since: date | None,
    until: date | None,
    now: datetime,
    *,
    personal: bool,
) -> list[JournalLine]:
    """The journal of a client, the oldest first: of these local days, or of the last `SHOWN`.

    Raises:
        NotFound: There is no such client.
    """
    async with sessions() as session:
        of = await session.get(ClientRow, client)
    if of is None:
        raise NotFound(f"There is no client {client}.")
    zone = ZoneInfo(book(of.organisation).zone)
    until = until or now.astimezone(zone).date()
    since = since or until - SHOWN
    begins, ends = (datetime.combine(day, time(), zone) for day in (since, until + timedelta(days=1)))
    query = (
        select(SignInRow)
        .where(SignInRow.client == client, SignInRow.at >= begins, SignInRow.at < ends)
        .order_by(col(SignInRow.at), col(SignInRow.id))
    )
    if username is not None:
        query = query.where(SignInRow.username == username)
    closed = select(AccountRow.username).where(AccountRow.client == client, col(AccountRow.restricted_at).is_not(None))
    async with sessions() as session:
        rows = (await session.exec(query)).all()
        restricted = frozenset((await session.exec(closed)).all())
    return [
        JournalLine(
            at=row.at,
            username=row.username,
            method=row.method,
            address=row.address if personal and row.username not in restricted else None,
            result=row.result,
            session=row.session,
            ended_at=row.ended_at,
            end_reason=row.end_reason,
        )
        for row in rows
    ]


# ---- keeping it, and removing what is over --------------------------------------------------------------------------


class Removed(Model):
    """How many records of the journal went, by table."""

    sign_in: int = 0
    opened: int = 0


async def remove_over(sessions: Sessions, now: Now, organisation: str, before: date | None = None) -> Removed:
    """Remove the records whose term is over, in batches; again removes what was left. A legal hold keeps them longer.

    Without a day: those that the rulebook keeps no longer. With one: those of the days before it, which is refused for
    a day of which a record still has to be kept (SE-33.3.10, SE-33.4.1).

    Raises:
        Refusal: A record that is younger than the least term would go, or the organisation keeps none.
    """
    if organisation not in {rulebook.organisation for rulebook in journalled()}:
        raise Refusal("organisation: its rulebook keeps no journal of sign-ins (SE-33.3.10)")
    at = now()
    least = {table: kept_from(organisation, table, at, least=True) for table in RECORDS}
    faults = [
        f"before: {RECORDS[table]}: records from {first} on are still to be kept"
        for table, first in least.items()
        if before is not None and before > first
    ]
    if faults:
        raise Refusal(*faults)
    zone = ZoneInfo(book(organisation).zone)
    gone = {}
    for table, rows in (("sign_in", SignInRow), ("opened", OpenedRow)):
        first = before or kept_from(organisation, table, at)
        until = datetime(first.year, first.month, first.day, tzinfo=zone)
        gone[table] = await _remove(sessions, rows, organisation, until)
    return Removed(**gone)


async def _remove(sessions: Sessions, table: type[SignInRow | OpenedRow], organisation: str, until: datetime) -> int:
    removed = 0
    while True:
        # by the index on the instant; a row that another run removes meanwhile is passed over
        over = (
            select(table.id)
            .join(ClientRow, col(ClientRow.client) == col(table.client))
            .where(ClientRow.organisation == organisation, table.at < until, ~_held(table))
            .order_by(col(table.at))
            .limit(AT_A_TIME)
            .with_for_update(of=table, skip_locked=True)
        )
        async with sessions() as session, session.begin():
            ids = (await session.exec(over)).all()
            if ids:
                await session.exec(delete(table).where(col(table.id).in_(ids)))
        removed += len(ids)
        if len(ids) < AT_A_TIME:
            return removed


def _held(table: type[SignInRow | OpenedRow]) -> Any:
    """Whether a legal hold stands on the account that a record is of: its term is over once that is lifted."""
    return exists().where(
        col(LegalHoldRow.client) == col(table.client),
        col(LegalHoldRow.username) == col(table.username),
        col(LegalHoldRow.lifted_at).is_(None),
    )


async def end_expired(sessions: Sessions, now: Now) -> int:
    """End the sessions that nobody ended in the time that the rulebook gives them; the number.

    They end at the end of that time, so that the journal says how long each could last.
    """
    ended = 0
    for rulebook in journalled():
        longest = longest_session(rulebook)
        theirs = select(ClientRow.client).where(ClientRow.organisation == rulebook.organisation)
        query = (
            update(SignInRow)
            .where(
                col(SignInRow.session).is_not(None),
                col(SignInRow.ended_at).is_(None),
                col(SignInRow.at) <= now() - longest,
                col(SignInRow.client).in_(theirs),
            )
            .values(ended_at=col(SignInRow.at) + longest, end_reason=EXPIRED)
            .returning(col(SignInRow.id))
        )
        async with sessions() as session, session.begin():
            ended += len((await session.exec(query)).all())
    return ended


async def keep_journals(sessions: Sessions, now: Now) -> int:
    """End what nobody ended, and remove what no rulebook keeps any longer; how much there was of both."""
    done = await end_expired(sessions, now)
    for rulebook in journalled():
        removed = await remove_over(sessions, now, rulebook.organisation)
        done += removed.sign_in + removed.opened
    return done


def journalled() -> Sequence[Rulebook]:
    """The rulebooks of those who keep a journal of sign-ins."""
    return [b for b in books().values() if any(duty.id == RECORDS["sign_in"] for duty in b.duty)]
