"""A credential's side of the store: how it opens, the acts that close and open its account, and what it looks at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.store import ActHandler, Amended, Opening
from models.credential import (
    RESPONSIBLE,
    USER,
    AccountSeen,
    CredentialBody,
    CredentialFiling,
    LookAtAccount,
    SuspensionSeen,
)
from models.errors import Refusal
from models.tables import AccountRow, ClientRow, IntakeRow, PartyRow, SuspensionRow
from operations import accounts
from operations.intake import Sessions, account_named


class CredentialStore:
    """What a credential adds to `case.open` and `case.record`."""

    kind = "credential"

    def __init__(self) -> None:
        self.acts: Mapping[str, ActHandler] = {
            "credential.suspend": self._suspend,
            "credential.reinstate": self._reinstate,
            "credential.end": self._end,
            "credential.release": self._release,
            "credential.address": self._address,
        }

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """The user and the client's responsible employee, and the account as it stands."""
        filing = CredentialFiling.model_validate(intake.content)
        account = await account_named(session, intake.organisation, filing)
        client = await session.get_one(ClientRow, account.client)
        asked = await session.get(PartyRow, (account.case, account.subject))
        session.add(
            PartyRow(
                case=intake.case,
                party=USER,
                role="user",
                name=asked.name if asked is not None else None,
                email=asked.email if asked is not None else None,
                phone=asked.phone if asked is not None else None,
                personal_code=account.personal_code,
                language=asked.language if asked is not None else client.language,
            )
        )
        session.add(_responsible(intake.case, client))
        account.credential = intake.case
        body = CredentialBody(
            client=account.client, username=account.username, request=account.case, issued_at=account.created_at
        )
        return Opening(stage="issued", body=body.model_dump(mode="json"))

    async def _suspend(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Amended | None:
        """Suspend the account; refused if it is not active. What the store did by itself (`n`) is not done again."""
        account = await _account(session, case)
        known = data.get("n")
        if known and await session.get(SuspensionRow, (account.client, account.username, known)) is not None:
            return None
        if account.status != "active":
            raise Refusal(f"the account is {account.status}, and the case hears of it now")
        happened = _instant(data.get("event_at"))
        await accounts.suspend(
            session,
            [account],
            data["ground"],
            data.get("scope", "one"),
            data["by"],
            data["reason"],
            at,
            event_at=happened,
            in_case=case,
        )
        last = (await _suspensions(session, account, 0))[-1]
        suspended = {"n": last.n, "ground": last.ground, "by": last.by, "since": last.started_at.isoformat()}
        return Amended(body={"suspension": last.n, "suspended": suspended})

    async def _reinstate(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """Open it again; refused if it ended meanwhile. What the store did by itself (`n`) is not done again."""
        account = await _account(session, case)
        if "n" in data:
            row = await session.get(SuspensionRow, (account.client, account.username, data["n"]))
            if row is None or row.ended_at is not None:
                return
        elif account.status != "suspended":
            raise Refusal(f"the account is {account.status}, and the case hears of it now")
        await accounts.reinstate(session, [account], data["by"], at, in_case=case)

    async def _end(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Amended:
        """End it for good; if that had come already, by another ground, that one stays."""
        account = await _account(session, case)
        happened = _instant(data.get("event_at"))
        await accounts.end(session, [account], data["ground"], data["by"], at, event_at=happened, in_case=case)
        assert account.ended_at is not None
        return Amended(
            body={"ground": account.ground, "ended_at": account.ended_at.isoformat(), "ended_by": account.ended_by}
        )

    async def _release(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        await accounts.release(session, [await _account(session, case)], at, in_case=case)

    async def _address(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """Whoever is the client's responsible employee now is told, unless this case knows a better address."""
        account = await _account(session, case)
        now = _responsible(case, await session.get_one(ClientRow, account.client))
        party = await session.get_one(PartyRow, (case, RESPONSIBLE))
        if party.other != now.other:
            party.name, party.email, party.language, party.other = now.name, now.email, now.language, now.other


class CredentialActivities:
    """`credential.look`: what the store holds of the account."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @activity.defn(name="credential.look")
    async def look(self, ask: LookAtAccount) -> AccountSeen:
        """The account as it stands, with the suspensions that the case does not know."""
        async with self._sessions() as session:
            account = (await session.exec(select(AccountRow).where(AccountRow.credential == ask.case))).one()
            later = await _suspensions(session, account, ask.after)
            seen = account.model_dump(include=set(AccountSeen.model_fields) - {"suspensions"})
            return AccountSeen(
                **seen,
                suspensions=tuple(
                    SuspensionSeen.model_validate(row.model_dump(include=set(SuspensionSeen.model_fields)))
                    for row in later
                ),
            )


async def _account(session: AsyncSession, case: str) -> AccountRow:
    """The case's account, locked."""
    return (await session.exec(select(AccountRow).where(AccountRow.credential == case).with_for_update())).one()


async def _suspensions(session: AsyncSession, account: AccountRow, n: int) -> list[SuspensionRow]:
    """The suspensions of an account from the n-th on, the oldest first."""
    query = (
        select(SuspensionRow)
        .where(
            SuspensionRow.client == account.client,
            SuspensionRow.username == account.username,
            SuspensionRow.n >= n,
        )
        .order_by(col(SuspensionRow.n))
    )
    return list((await session.exec(query)).all())


def _responsible(case: str, client: ClientRow) -> PartyRow:
    """The client's responsible employee, and in `other` of whom the address was, to know a later one by."""
    name, email = client.responsible.get("name"), client.responsible.get("email")
    return PartyRow(
        case=case,
        party=RESPONSIBLE,
        role="responsible_employee",
        name=name,
        email=email,
        language=client.language,
        other={"name": name, "email": email},
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
