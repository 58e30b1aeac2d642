"""BL 16: what names the user of an account that has ended, what stands against its erasure, and the erasure itself.

The account stays as what it was: which access, from when to when, by which request and clause. So does the journal of
its sign-ins for its own term, without the addresses. All of it works in the caller's transaction and may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import structlog
from sqlalchemy import ColumnElement
from sqlmodel import and_, col, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from integrations.data_systems import Subject
from models.access import AccessBody
from models.credential import LEGAL_HOLD, USER, CredentialBody, ErasureSeen
from models.errors import Refusal, Unreadable
from models.now import Now
from models.tables import (
    AccountRow,
    BellRow,
    CaseRow,
    ClientRow,
    IntakeRow,
    LegalHoldRow,
    PartyRow,
    SignInRow,
    SuspensionRow,
)
from operations.intake import Sessions
from operations.own_store import BATCH, ERASED, Names, erase_parties, is_person
from rules.rulebook import books
from security.keys import KeyDestroyed, Keyring, NoKey

log = structlog.get_logger()

REQUEST, PRIVACY = "access_request", "privacy_request"
DUTY = RESTRICTED = "BL-16-erase"
"""The mark of a party whose data are kept, but shown to nobody."""


# ---- looking --------------------------------------------------------------------------------------------------------


async def look(session: AsyncSession, keyring: Keyring, account: AccountRow, at: datetime) -> ErasureSeen:
    """What stands against the erasure, and the users' lines that go with it, each as `case/user`.

    Every request of the organisation is opened and read: what is sealed cannot be searched by SQL. Of a person who has
    another account at this client that lives, only what belongs to this one goes.
    """
    people = await _people(session, account)
    lives, origins = await _other_access(session, account)
    organisation = (await session.exec(select(ClientRow.organisation).where(ClientRow.client == account.client))).one()
    against = [LEGAL_HOLD] if await held(session, account) else []
    lines: list[str] = []
    for party in await _who_is(session, keyring, organisation, REQUEST, "user", people, account):
        request = await session.get_one(CaseRow, party.case)
        filed = await session.get_one(IntakeRow, party.case)
        name = f"{party.case}/{party.party}"
        later = account.ended_at is not None and filed.recorded_at > account.ended_at
        if request.state["body"]["client"] != account.client or name in origins or (lives and later):
            continue
        (against if _line_is_open(request, party.party) else lines).append(name)
    for party in await _who_is(session, keyring, organisation, PRIVACY, "data_subject", people, account):
        request = await session.get_one(CaseRow, party.case)
        if _request_is_open(request):
            against.append(party.case)
    return ErasureSeen(at=at, against=tuple(against), lines=tuple(lines))


async def _people(session: AsyncSession, account: AccountRow) -> list[Subject]:
    """The account's user, as its own case and the request that made it know them."""
    ids = [(account.case, account.subject), *([(account.credential, USER)] if account.credential is not None else [])]
    found = [await session.get(PartyRow, id_) for id_ in ids]
    return [
        Subject(name=party.name or "", personal_code=account.personal_code or "", email=party.email)
        for party in found
        if party is not None and party.erased_at is None
    ]


async def _other_access(session: AsyncSession, account: AccountRow) -> tuple[bool, frozenset[str]]:
    """Whether the same person has another account here that has not ended; and the lines that made such accounts."""
    query = select(AccountRow).where(
        AccountRow.client == account.client, AccountRow.username != account.username, AccountRow.status != "ended"
    )
    others = (await session.exec(query)).all()
    lives = account.person is not None and any(other.person == account.person for other in others)
    return lives, frozenset(f"{other.case}/{other.subject}" for other in others)


async def _who_is(
    session: AsyncSession,
    keyring: Keyring,
    organisation: str,
    kind: str,
    role: str,
    people: Sequence[Subject],
    account: AccountRow,
) -> list[PartyRow]:
    """The parties of this role who are one of these people, and the line that made the account."""
    of_kind = select(CaseRow.case).where(CaseRow.kind == kind, CaseRow.organisation == organisation)
    cases = list((await session.exec(of_kind.order_by(CaseRow.case))).all())
    found = []
    for start in range(0, len(cases), BATCH):
        batch = cases[start : start + BATCH]
        await keyring.load(batch)
        query = select(PartyRow).where(
            col(PartyRow.case).in_(batch), PartyRow.role == role, col(PartyRow.erased_at).is_(None)
        )
        for party in (await session.exec(query.order_by(PartyRow.case, PartyRow.party))).all():
            made_it = (party.case, party.party) == (account.case, account.subject)
            if made_it or any(is_person(person, party.model_dump()) for person in people):
                found.append(party)
    return found


def _line_is_open(request: CaseRow, user: str) -> bool:
    """Whether a line of an access request still waits for its result."""
    if request.closed_at is not None or request.stage == "resting":
        return False
    line = AccessBody.model_validate(request.state["body"]).line(user)
    return request.stage == "refusing" or line is None or not line.done


def _request_is_open(request: CaseRow) -> bool:
    """Whether a privacy request is not answered yet."""
    return request.closed_at is None and request.stage != "resting"


async def _stands(session: AsyncSession, account: AccountRow, obstacle: str) -> bool:
    """Whether what stood against the erasure stands still."""
    if obstacle == LEGAL_HOLD:
        return await held(session, account)
    case, _, user = obstacle.partition("/")
    request = await session.get_one(CaseRow, case)
    return _line_is_open(request, user) if user else _request_is_open(request)


# ---- legal holds ----------------------------------------------------------------------------------------------------


async def held(session: AsyncSession, account: AccountRow) -> bool:
    """Whether a legal hold stands on what is known of the account's user."""
    return await _standing(session, account) is not None


async def place_hold(session: AsyncSession, account: AccountRow, reason: str, by: str, at: datetime) -> None:
    """Nothing of the account's user goes from here on, nor of the journal of its sign-ins.

    Raises:
        Refusal: One stands already, or the data are erased.
    """
    if account.erased_at is not None:
        raise Refusal("what a hold would keep is erased")
    if await held(session, account):
        raise Refusal("a legal hold stands already")
    last = select(func.max(LegalHoldRow.n)).where(_holds_of(account))
    session.add(
        LegalHoldRow(
            client=account.client,
            username=account.username,
            n=((await session.exec(last)).one() or 0) + 1,
            reason=reason,
            placed_by=by,
            placed_at=at,
        )
    )


async def lift_hold(session: AsyncSession, account: AccountRow, by: str, at: datetime) -> None:
    """The hold ends; what it kept goes on its way.

    Raises:
        Refusal: None stands.
    """
    hold = await _standing(session, account)
    if hold is None:
        raise Refusal("no legal hold stands")
    hold.lifted_by, hold.lifted_at = by, at


async def _standing(session: AsyncSession, account: AccountRow) -> LegalHoldRow | None:
    query = select(LegalHoldRow).where(_holds_of(account), col(LegalHoldRow.lifted_at).is_(None))
    return (await session.exec(query)).one_or_none()


def _holds_of(account: AccountRow) -> ColumnElement[bool]:
    return and_(col(LegalHoldRow.client) == account.client, col(LegalHoldRow.username) == account.username)


# ---- restricting and erasing ----------------------------------------------------------------------------------------


async def restrict(session: AsyncSession, account: AccountRow, at: datetime) -> None:
    """What has to be kept for now is shown to nobody."""
    account.restricted_at = account.restricted_at or at
    if account.credential is not None:
        party = await session.get_one(PartyRow, (account.credential, USER))
        party.other = {**party.other, "restricted": RESTRICTED}


async def erase(
    session: AsyncSession, account: AccountRow, lines: Iterable[str], at: datetime, *, with_state: bool = False
) -> None:
    """Erase the account's user: the account, its case, these lines of requests, the addresses of its sign-ins.

    The rows of the requests are locked by the caller (`lock`), before the account. `with_state`: no step of the
    account's case writes its row in this transaction.

    Raises:
        Refusal: Something stands against it by now.
    """
    if await held(session, account):
        raise Refusal("a legal hold was placed meanwhile")
    connection = await session.connection()
    people = await _people(session, account)
    names = Names(*(person.model_dump() for person in people))
    for line in lines:
        request, _, user = line.partition("/")
        if _line_is_open(await session.get_one(CaseRow, request, populate_existing=True), user):
            raise Refusal(f"{line} was opened again meanwhile")
        await erase_parties(connection, request, await _theirs(session, request, user, people), at)
    if account.credential is not None:
        await erase_parties(connection, account.credential, frozenset({USER}), at, with_state=with_state)
    theirs = select(SuspensionRow).where(
        SuspensionRow.client == account.client, SuspensionRow.username == account.username
    )
    for suspension in (await session.exec(theirs)).all():
        if names(suspension.reason):
            suspension.reason = ERASED
    await session.exec(
        update(SignInRow)
        .where(col(SignInRow.client) == account.client, col(SignInRow.username) == account.username)
        .values(address=None, address_index=None)
    )
    if account.limited is not None and names(account.limited):
        account.limited = ERASED
    account.personal_code, account.person = None, None
    account.restricted_at, account.erased_at = None, account.erased_at or at


async def _theirs(session: AsyncSession, request: str, user: str, people: Sequence[Subject]) -> frozenset[str]:
    """The parties of a request who go with a line: the user, and who asked, if that was the user, for nobody else."""
    parties = (await session.exec(select(PartyRow).where(PartyRow.case == request))).all()
    alone = not any(party.role == "user" and party.party != user for party in parties)
    asked = [p.party for p in parties if p.role == "requester" and any(is_person(o, p.model_dump()) for o in people)]
    return frozenset((user, *(asked if alone else ())))


async def lock(session: AsyncSession, lines: Iterable[str]) -> None:
    """Lock the requests of these lines: always before an account, so that nobody waits in a circle."""
    cases = {line.partition("/")[0] for line in lines}
    query = select(CaseRow.case).where(col(CaseRow.case).in_(cases)).order_by(CaseRow.case).with_for_update()
    await session.exec(query)


# ---- without a case -------------------------------------------------------------------------------------------------


async def erase_without_case(sessions: Sessions, keyring: Keyring, now: Now) -> int:
    """Erase the users of ended accounts whose case has closed, or that never had one; the number erased.

    Those ended before there was an erasure. An account whose case lives is erased by it, with its clock.
    """
    over = (
        select(col(AccountRow.client), col(AccountRow.username))
        .join(CaseRow, col(CaseRow.case) == col(AccountRow.credential), isouter=True)
        .join(ClientRow, col(ClientRow.client) == col(AccountRow.client))
        .where(
            AccountRow.status == "ended",
            col(AccountRow.erased_at).is_(None),
            col(AccountRow.credential).is_(None) | col(CaseRow.closed_at).is_not(None),
            col(ClientRow.organisation).in_(
                [book.organisation for book in books().values() if any(duty.id == DUTY for duty in book.duty)]
            ),
        )
        .order_by(col(AccountRow.client), col(AccountRow.username))
    )
    async with sessions() as session:
        names = (await session.exec(over)).all()
    erased = 0
    for client, username in names:
        try:
            erased += await _erase_one(sessions, keyring, client, username, now)
        except (Refusal, NoKey, KeyDestroyed, Unreadable) as e:
            log.warning("an account is not erased", client=client, username=username, problem=type(e).__name__)
    return erased


async def _erase_one(sessions: Sessions, keyring: Keyring, client: str, username: str, now: Now) -> bool:
    """Erase the user of one account; False if something stands against it: then it is restricted."""
    async with sessions() as session:
        seen = await look(session, keyring, await session.get_one(AccountRow, (client, username)), now())
    async with sessions() as session, session.begin():
        await lock(session, seen.lines)
        account = await session.get_one(AccountRow, (client, username), with_for_update=True)
        if seen.against:
            await restrict(session, account, now())
        else:
            await erase(session, account, seen.lines, now(), with_state=True)
    return not seen.against


# ---- going on -------------------------------------------------------------------------------------------------------


async def ring_unobstructed(sessions: Sessions, now: Now) -> int:
    """Ring the cases of restricted accounts against whose erasure nothing stands any more; the number rung.

    Only what the case knows of is asked for: it looks for itself before anything goes.
    """
    rung = 0
    async with sessions() as session:
        restricted = select(AccountRow).where(
            col(AccountRow.restricted_at).is_not(None), col(AccountRow.erased_at).is_(None)
        )
        for account in (await session.exec(restricted)).all():
            case = await session.get(CaseRow, account.credential) if account.credential is not None else None
            if case is None or case.closed_at is not None:
                continue
            against = CredentialBody.model_validate(case.state["body"]).against
            if any([await _stands(session, account, obstacle) for obstacle in against]):
                continue
            unheard = select(BellRow.id).where(BellRow.case == case.case, col(BellRow.heard_at).is_(None)).limit(1)
            if (await session.exec(unheard)).first() is None:
                session.add(BellRow(case=case.case, reason="account", created_at=now()))
                rung += 1
        await session.commit()
    return rung
