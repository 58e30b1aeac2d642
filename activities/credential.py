"""A credential's side of the store: how it opens, the acts that close and open its account, and what it looks at."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.access import TAKEN_WITHIN, outage
from activities.letters import render
from activities.store import ActHandler, Amended, Opening
from integrations.identity import IdentityProvider, NewAccount, one_time_secret
from integrations.mail import Letter, MailOut, MailRefused, MailUnavailable, Proof
from models import errors
from models.case import NoticeSent, NoticesSent
from models.credential import (
    RESPONSIBLE,
    USER,
    AccountSeen,
    Applied,
    ApplyAccount,
    CredentialBody,
    CredentialFiling,
    ErasureSeen,
    LookAtAccount,
    LookAtErasure,
    SendSecret,
    SuspensionSeen,
)
from models.errors import Refusal
from models.names import split_case_id
from models.now import Now
from models.tables import AccountRow, ClientRow, IntakeRow, NoticeRow, PartyRow, SuspensionRow
from operations import accounts, erase_account
from operations.access import insured_until
from operations.authenticator_decision import today_in
from operations.intake import Sessions, account_named
from rules.client import is_over
from rules.rulebook import book
from security.keys import Keyring

Status = Literal["active", "suspended", "ended"]
Telling = Callable[[], AbstractAsyncContextManager[AsyncSession]]
"""A transaction in which the identity provider is asked (`AccessActivities.telling`)."""


class CredentialStore:
    """What a credential adds to `case.open` and `case.record`."""

    kind = "credential"

    def __init__(self) -> None:
        self.acts: Mapping[str, ActHandler] = {
            "credential.suspend": self._suspend,
            "credential.reinstate": self._reinstate,
            "credential.end": self._end,
            "credential.release": self._release,
            "credential.void": self._void,
            "credential.bounced": self._bounced,
            "credential.end_sessions": self._end_sessions,
            "credential.address": self._address,
            "credential.place_hold": self._place_hold,
            "credential.lift_hold": self._lift_hold,
            "credential.restrict": self._restrict,
            "credential.erase": self._erase,
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

    async def _void(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        accounts.void_secrets([await _account(session, case)])

    async def _bounced(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Amended:
        """A letter with login data came back: whoever holds it now, what it says opens nothing.

        Neither a secret that was set after it is void, nor the user's own password.
        """
        notice = await _notice(session, case, data["notice"])
        if notice.sent_at is None:
            raise Refusal("notice: no such letter was sent")
        notice.bounced_at = datetime.fromisoformat(data["bounced_at"])
        account = await _account(session, case)
        set_at = account.secret_set_at
        if set_at is None or not account.must_change or set_at > notice.sent_at:
            return Amended(body={})
        accounts.void_secrets([account])
        return Amended(body={"secret_set_at": None, "leaked": True, "provider": "behind"})

    async def _end_sessions(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        await accounts.end_sessions(session, [await _account(session, case)], data["reason"], at)

    async def _address(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """Whoever is the client's responsible employee now is told, unless this case knows a better address."""
        account = await _account(session, case)
        now = _responsible(case, await session.get_one(ClientRow, account.client))
        party = await session.get_one(PartyRow, (case, RESPONSIBLE))
        if party.other != now.other:
            party.name, party.email, party.language, party.other = now.name, now.email, now.language, now.other

    async def _place_hold(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        await erase_account.place_hold(session, await _account(session, case), data["reason"], data["by"], at)

    async def _lift_hold(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        await erase_account.lift_hold(session, await _account(session, case), data["by"], at)

    async def _restrict(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        await erase_account.restrict(session, await _account(session, case), at)

    async def _erase(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """Erase the account's user (BL 16); refused if something stands against it since the case looked."""
        await erase_account.lock(session, data["lines"])
        await erase_account.erase(session, await _account(session, case), data["lines"], at)


class CredentialActivities:
    """`credential.look`, `credential.apply`, `credential.send_secret` and `credential.look_at_erasure`."""

    def __init__(
        self,
        sessions: Sessions,
        keyring: Keyring,
        telling: Telling,
        provider: IdentityProvider,
        mail: MailOut,
        now: Now,
        sender: str,
    ) -> None:
        self._sessions = sessions
        self._keyring = keyring
        self._telling = telling
        self._provider = provider
        self._mail = mail
        self._now = now
        self._sender = sender

    @activity.defn(name="credential.look")
    async def look(self, ask: LookAtAccount) -> AccountSeen:
        """The account as it stands, with the suspensions that the case does not know."""
        async with self._sessions() as session:
            account = (await session.exec(select(AccountRow).where(AccountRow.credential == ask.case))).one()
            later = await _suspensions(session, account, ask.after)
            seen = account.model_dump(include=set(AccountSeen.model_fields) & set(AccountRow.model_fields))
            client = await session.get_one(ClientRow, account.client)
            until = await insured_until(session, client)
            return AccountSeen(
                **seen,
                insured_until=until,
                insured=until is not None and not is_over(until, today_in(client.organisation, self._now())),
                suspensions=tuple(
                    SuspensionSeen.model_validate(row.model_dump(include=set(SuspensionSeen.model_fields)))
                    for row in later
                ),
            )

    @activity.defn(name="credential.look_at_erasure")
    async def look_at_erasure(self, ask: LookAtErasure) -> ErasureSeen:
        """What stands against the erasure of the user's data, and which lines of requests go with it."""
        async with self._sessions() as session:
            account = (await session.exec(select(AccountRow).where(AccountRow.credential == ask.case))).one()
            return await erase_account.look(session, self._keyring, account, self._now())

    @activity.defn(name="credential.apply")
    async def apply(self, ask: ApplyAccount) -> Applied:
        """Tell the identity provider how the account stands at this moment, however often and by whomever it is asked.

        One at a time for an account: a run that was given up for dead brings no former state. The account's row stays
        free meanwhile, so that nobody who closes it waits for the provider.

        Raises:
            ApplicationError: OutsideDown: the provider does not do it now. It is tried again.
        """
        async with self._telling() as session:
            lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:case, 0))")
            await (await session.connection()).execute(lock, {"case": ask.case})
            account = (await session.exec(select(AccountRow).where(AccountRow.credential == ask.case))).one()
            status: Status = account.status  # type: ignore[assignment]  # a CHECK of the table
            known = NewAccount(client=account.client, username=account.username)
            if status == "active":
                account.provider_id = await self._provider.make(known)
                await self._provider.set_active(account.provider_id, True)
            elif (found := await self._provider.find(known.external_id)) is not None:
                if status == "ended":
                    await self._provider.remove(found)
                else:
                    await self._provider.set_active(found, False)
            if ask.void and status != "ended":
                await self._void(session, ask.case, known.external_id)
        return Applied(status=status)

    async def _void(self, session: AsyncSession, case: str, external_id: str) -> None:
        """Let the provider take a secret that nobody knows, unless another one was set since, under the same lock."""
        query = select(AccountRow).where(AccountRow.credential == case).with_for_update()
        account = (await session.exec(query.execution_options(populate_existing=True))).one()
        found = await self._provider.find(external_id)
        if account.secret_set_at is None and found is not None:
            await self._provider.set_secret(found, one_time_secret(), must_change=True)

    @activity.defn(name="credential.send_secret")
    async def send_secret(self, ask: SendSecret) -> NoticesSent:
        """Give the user other login data, by a letter that a step queued (BL 6).

        As `access.issue` does: the secret is born and mailed in here, the former one is over before the mail goes out,
        and of two runs only the one that marked the letter last keeps anything. Once the proof is there, again only
        returns it.

        Raises:
            ApplicationError: OutsideDown: the provider or the carrier does not do it now. Overtaken: another run began
                later, or the address was changed meanwhile. Nothing was kept; it is tried again.
        """
        try:
            return NoticesSent(notices=(await self._send_secret(ask),))
        except ApplicationError as e:
            return NoticesSent(notices=(), outage=outage(ask, e))

    async def _send_secret(self, ask: SendSecret) -> NoticeSent:
        begun = await self._begin(ask)
        if isinstance(begun, NoticeSent):
            return begun
        try:
            async with asyncio.timeout(TAKEN_WITHIN):
                proof = await self._mail.send(begun.letter, self._now())
        except (MailUnavailable, TimeoutError):
            raise ApplicationError(
                "the carrier does not take letters now",
                type=errors.OUTSIDE_DOWN,
                category=ApplicationErrorCategory.BENIGN,
            ) from None
        except MailRefused as e:
            return await self._refuse(ask, begun, str(e)[:200])
        return await self._prove(ask, begun, proof)

    async def _begin(self, ask: SendSecret) -> _Begun | NoticeSent:
        """Mark the letter, write it, and let the provider forget the former secret; or why nothing is sent."""
        async with self._telling() as session:
            notice = await _notice(session, ask.case, ask.key)
            if notice.sent_at is not None or notice.refused is not None:
                return _sent(notice)
            party = await session.get_one(PartyRow, (ask.case, USER))
            account = await _account(session, ask.case)
            if account.status != "active":
                notice.refused = f"the account is {account.status}"
            elif party.email is None:
                notice.refused = "no address"
            if party.email is None or notice.refused is not None:
                return _sent(notice)
            organisation, secret = split_case_id(ask.case)[1], one_time_secret()
            facts = {
                "user_name": party.name,
                "username": account.username,
                "secret": secret,
                "address": book(organisation).values["access"]["sign_in_address"],
            }
            sender = self._sender.format(organisation=organisation.lower())
            # a carrier takes one letter of an id once: another secret is another letter
            id_ = f"{ask.case}#{ask.key}#{secrets.token_hex(8)}"
            try:
                letter = render(notice.template, party.language, facts, id=id_, to=party.email, sender=sender)
            except ValidationError:
                notice.refused = "the address is not one that mail can reach"
                return _sent(notice)
            known = NewAccount(client=account.client, username=account.username)
            account.provider_id = await self._provider.make(known)
            await self._provider.set_secret(account.provider_id, one_time_secret(), must_change=True)
            accounts.void_secrets([account])
            notice.attempt = secrets.token_hex(8)
            return _Begun(notice.attempt, letter, secret, party.email)

    async def _prove(self, ask: SendSecret, begun: _Begun, proof: Proof) -> NoticeSent:
        """Secret and proof, if nobody began after this run; an account that was closed meanwhile gets no secret."""
        async with self._telling() as session:
            notice = await self._still(session, ask, begun)
            if notice.sent_at is not None or notice.refused is not None:
                return _sent(notice)
            account = await _account(session, ask.case)
            if account.status == "active" and account.provider_id is not None:
                await self._provider.set_secret(account.provider_id, begun.secret, must_change=True)
                await accounts.secret_set(session, account, proof.accepted_at, by_user=False, in_case=ask.case)
                notice.sent_at, notice.carrier, notice.reference = proof.accepted_at, proof.carrier, proof.reference
            else:
                notice.refused = f"the account is {account.status}"
            notice.attempt = None
            return _sent(notice)

    async def _refuse(self, ask: SendSecret, begun: _Begun, refused: str) -> NoticeSent:
        async with self._sessions() as session, session.begin():
            notice = await self._still(session, ask, begun)
            if notice.sent_at is None and notice.refused is None:
                notice.refused, notice.attempt = refused, None
            return _sent(notice)

    async def _still(self, session: AsyncSession, ask: SendSecret, begun: _Begun) -> NoticeRow:
        """The letter, locked: it has its end already, or is still this run's and its reader's."""
        notice = await _notice(session, ask.case, ask.key)
        party = await session.get_one(PartyRow, (ask.case, USER))
        ended = notice.sent_at is not None or notice.refused is not None
        if not ended and (notice.attempt, party.email) != (begun.attempt, begun.to):
            raise ApplicationError(
                "another run began later, or the address was changed meanwhile",
                type=errors.OVERTAKEN,
                category=ApplicationErrorCategory.BENIGN,
            )
        return notice


@dataclass(frozen=True)
class _Begun:
    """A letter with login data that is about to be handed over."""

    attempt: str
    """The mark of this run on it."""
    letter: Letter
    secret: str
    to: str


def _sent(notice: NoticeRow) -> NoticeSent:
    return NoticeSent(
        key=notice.key,
        sent_at=notice.sent_at,
        carrier=notice.carrier,
        reference=notice.reference,
        refused=notice.refused,
    )


async def _notice(session: AsyncSession, case: str, key: str) -> NoticeRow:
    """A letter, locked."""
    query = select(NoticeRow).where(NoticeRow.case == case, NoticeRow.key == key)
    return (await session.exec(query.with_for_update())).one()


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
