"""Replay: what a history proves is put back into a store that lost it, by the activities' own code, with no outside.

`operations/reconcile.py` reads the histories and says in which order; here is what each kind of proof means for rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from activities.access import LOGIN_DATA, account_for
from activities.accounts import take_authenticator
from activities.case import CaseActivities
from activities.outbox import Outbox
from activities.privacy import PrivacyActivities
from activities.store import KindStore
from integrations.identity import IdentityProvider, NewAccount, one_time_secret
from models.access import Issued, Withdrawn
from models.case import NoticeSent, NoticesSent, Opened, OrderIssued, Recorded, Transition
from models.errors import Refusal
from models.privacy import COPIES, PrivacyBody, PrivacyWork
from models.tables import (
    AccountRow,
    ArchiveRow,
    BellRow,
    CaseRow,
    ErasureRow,
    IntakeRow,
    NoticeRow,
    PartyRow,
    PaymentOrderRow,
    RectificationRow,
    RequestRow,
    ScreeningRow,
    WithdrawalRow,
)
from operations.accounts import issued, secret_set
from operations.intake import Sessions
from operations.own_store import OwnStore
from operations.reconcile import Applied, Fact, Verdict
from security.keys import Keyring

LIST_LOST = "not known after a restore"
"""Instead of the digest of a sanctions list."""

UNTOLD = "not sent again after a restore"
"""What is written of a letter to staff whose sending nothing proves: its step lies before the restore."""


class NotYet(Exception):
    """The store cannot take this fact as it stands now."""


class Nobody(Outbox):
    """Delivers nothing: what a step owed to others was delivered when it was recorded first."""

    def __init__(self) -> None:
        pass

    def soon(self, case: str) -> None:
        """Nothing."""


class Replay:
    """The store's side of `operations.reconcile`."""

    def __init__(
        self,
        sessions: Sessions,
        keyring: Keyring,
        client: Client,
        provider: IdentityProvider,
        stores: Mapping[str, KindStore],
    ) -> None:
        self._sessions = sessions
        self._keyring = keyring
        self._client = client
        self._provider = provider
        self._stores = stores

    # ---- comparing --------------------------------------------------------------------------------------------------

    async def lacking(self, case: str, facts: Sequence[Fact]) -> list[Fact]:
        """Those of these facts that the store does not hold yet, each step once."""
        async with self._sessions() as session:
            row = await session.get(CaseRow, case)
            held = _Held(row)
            if any(fact.activity in ("notice.send", "access.issue", "credential.send_secret") for fact in facts):
                held.letters = set(
                    (
                        await session.exec(
                            select(NoticeRow.key).where(
                                NoticeRow.case == case,
                                col(NoticeRow.sent_at).is_not(None) | col(NoticeRow.refused).is_not(None),
                            )
                        )
                    ).all()
                )
            if any(fact.activity == "payment.order" for fact in facts):
                held.orders = set(
                    (
                        await session.exec(
                            select(PaymentOrderRow.key).where(
                                PaymentOrderRow.case == case, col(PaymentOrderRow.issued_at).is_not(None)
                            )
                        )
                    ).all()
                )
            if any(fact.activity == "access.withdraw_authenticator" for fact in facts):
                withdrawal = await session.get(WithdrawalRow, case)
                held.effect = withdrawal is not None and withdrawal.effective_at is not None
            if any(fact.activity == "privacy.gather" for fact in facts):
                archive = await session.get(ArchiveRow, case)
                held.gathered_at = archive.gathered_at if archive is not None else None
            if any(fact.activity in ("privacy.restrict", "privacy.release") for fact in facts):
                request = await session.get(RequestRow, case)
                held.restricted = request is not None and request.restricted_at is not None
                held.released = request is not None and request.released_at is not None
            if any(fact.activity == "privacy.rectify" for fact in facts):
                rectification = await session.get(RectificationRow, case)
                held.rectified = rectification is not None and rectification.done_at is not None
            if any(fact.activity == "privacy.erase" for fact in facts):
                erasure = await session.get(ErasureRow, case)
                held.erased = erasure is not None and erasure.done_at is not None
        return [fact for fact in facts if held.lacks(fact)]

    # ---- putting back -----------------------------------------------------------------------------------------------

    async def apply(self, fact: Fact) -> Applied:
        """Put one fact back, in one transaction; `not_yet` leaves nothing."""
        try:
            async with self._sessions() as outer, outer.begin():
                # the activities make sessions of their own: inside this transaction they are savepoints of it
                sessions = async_sessionmaker(
                    await outer.connection(),
                    class_=AsyncSession,
                    expire_on_commit=False,
                    join_transaction_mode="create_savepoint",
                )
                return await self._apply(sessions, fact)
        except (NotYet, NoResultFound, IntegrityError, ApplicationError, Refusal):
            return Applied(Verdict.not_yet)

    async def _apply(self, sessions: Sessions, fact: Fact) -> Applied:
        untold, secret_lost = 0, False
        match fact.answered:
            case Opened():
                await self._open(sessions, fact)
            case Recorded():
                untold = await self._record(sessions, fact)
            case NoticesSent():
                for proof in fact.answered.notices:
                    await _sent(sessions, fact.case, proof)
                    if fact.activity == "credential.send_secret" and proof.sent_at is not None:
                        secret_lost = await self._secret(sessions, fact.case, proof.sent_at)
            case OrderIssued():
                await _issued(sessions, fact.case, fact.answered)
            case Issued():
                secret_lost = await self._access(sessions, fact)
            case Withdrawn():
                await _withdrawn(sessions, fact.case, fact.answered)
            case _:
                await self._privacy(sessions, fact)
        return Applied(Verdict.done, untold, secret_lost)

    def _case(self, sessions: Sessions, at: datetime) -> CaseActivities:
        return CaseActivities(sessions, self._keyring, self._client, Nobody(), self._stores, lambda: at, replays=True)

    async def _open(self, sessions: Sessions, fact: Fact) -> None:
        """Begin the case again, as of the filing's first instant, from what it was filed with: that is in the store."""
        async with sessions() as session, session.begin():
            intake = (await session.exec(select(IntakeRow).where(IntakeRow.case == fact.case))).one()
            intake.recorded_at = fact.answered.filed_at or intake.recorded_at
        filed = fact.asked.model_copy(update={"inline": False, "case": fact.case})
        opened = await self._case(sessions, fact.at).open(filed)
        _same(opened.state, fact.answered.state)

    async def _record(self, sessions: Sessions, fact: Fact) -> int:
        t = Transition.model_validate(fact.step)
        await _found_then(sessions, fact.case, t)
        # at the store's time of then, which is in the step's link: what is published of the chain stays true
        recorded_at = fact.answered.recorded_at or fact.at
        recorded = await self._case(sessions, recorded_at).record(t)
        _same(recorded, fact.answered)
        async with sessions() as session, session.begin():
            if t.heard:
                # by their order: their numbers the store has given to others, or never gives again
                oldest = (
                    await session.exec(
                        select(BellRow.id)
                        .where(BellRow.case == t.case, col(BellRow.heard_at).is_(None))
                        .order_by(col(BellRow.id))
                        .limit(len(t.heard))
                    )
                ).all()
                await session.exec(update(BellRow).where(col(BellRow.id).in_(oldest)).values(heard_at=fact.at))
            waiting = (
                await session.exec(
                    select(NoticeRow).where(
                        NoticeRow.case == t.case,
                        NoticeRow.internal,
                        col(NoticeRow.sent_at).is_(None),
                        col(NoticeRow.refused).is_(None),
                    )
                )
            ).all()
            for notice in waiting:
                notice.refused = UNTOLD
            return len(waiting)

    async def _access(self, sessions: Sessions, fact: Fact) -> bool:
        """The account and the proof of its letter; whether its secret is lost: with the store, if it was nowhere else.

        Raises:
            IdentityUnavailable: The provider does not say which account it is. Nothing was put back.
        """
        proof: Issued = fact.answered
        async with sessions() as session, session.begin():
            notice = await _notice(session, fact.case, proof.key)
            notice.sent_at, notice.reference, notice.refused = proof.sent_at, proof.reference, proof.refused
            if proof.sent_at is None:
                return False
            account = await account_for(session, self._keyring, notice, proof.sent_at)
            account.mailed_at = proof.sent_at
            secret = notice.template == LOGIN_DATA
            await issued(session, self._keyring, account, proof.sent_at, secret=secret)
            account.provider_id = await self._provider.make(
                NewAccount(client=account.client, username=account.username)
            )
            if secret and self._provider.in_store:
                # what it holds is of an earlier letter, if it holds anything: that may open nothing again
                await self._provider.set_secret(account.provider_id, one_time_secret(), must_change=True)
            return secret and self._provider.in_store

    async def _secret(self, sessions: Sessions, case: str, at: datetime) -> bool:
        """The account has other login data since then; whether they are lost: with the store, if nowhere else."""
        async with sessions() as session, session.begin():
            account = (await session.exec(select(AccountRow).where(AccountRow.credential == case))).one()
            await secret_set(session, account, at, by_user=False, in_case=case)
            if self._provider.in_store:
                known = NewAccount(client=account.client, username=account.username)
                account.provider_id = await self._provider.make(known)
                await self._provider.set_secret(account.provider_id, one_time_secret(), must_change=True)
            return self._provider.in_store

    async def _privacy(self, sessions: Sessions, fact: Fact) -> None:
        """Gathering and erasing touch Termins' own tables only: both are done again, as of the instant they answered.

        Not of the event that told it: that is a moment later or earlier, and the next look would find it lacking.
        """
        at: datetime = fact.answered.at
        activities = PrivacyActivities(sessions, (OwnStore(sessions, self._keyring),), lambda: at)
        work: PrivacyWork = fact.asked
        match fact.activity:
            case "privacy.gather":
                await activities.gather(work)
            case "privacy.restrict":
                await activities.restrict(work)
            case "privacy.release":
                await activities.release(work)
            case "privacy.rectify":
                await activities.rectify(work)
            case _:
                await activities.erase(work)
                await activities.keep_again(work, fact.answered)


class _Held:
    """What the store holds of one case."""

    def __init__(self, row: CaseRow | None) -> None:
        self._opened = row is not None
        self._step = row.step if row is not None else 0
        self._rights = _rights(row.state["body"]) if row is not None and row.kind == "privacy_request" else ()
        self.letters: set[str] = set()
        self.orders: set[str] = set()
        self.effect = False
        self.gathered_at: datetime | None = None
        self.erased = False
        self.rectified = False
        self.restricted = False
        self.released = False

    def lacks(self, fact: Fact) -> bool:
        """Whether this is not in the store; asked in order: a step that is lacking is so once."""
        match fact.answered:
            case Opened():
                if self._opened or fact.answered.result != "opened" or fact.answered.state is None:
                    return False
                self._opened = True
                if fact.answered.state.kind == "privacy_request":
                    self._rights = _rights(fact.answered.state.body)
                return True
            case Recorded():
                if fact.answered.result != "recorded" or fact.answered.step <= self._step:
                    return False
                self._step = fact.answered.step
                return True
            case NoticesSent():
                return any(_ended(proof) and proof.key not in self.letters for proof in fact.answered.notices)
            case OrderIssued():
                return fact.answered.issued_at is not None and fact.answered.key not in self.orders
            case Issued():
                return _ended(fact.answered) and fact.answered.key not in self.letters
            case Withdrawn():
                return fact.answered.effective_at is not None and not self.effect
        match fact.activity:
            case "privacy.erase":
                return not self.erased
            case "privacy.rectify":
                return not self.rectified
            case "privacy.restrict":
                return not self.restricted
            case "privacy.release":
                return not self.released
        # where no copy is asked for nothing is kept of what was gathered
        return bool(set(COPIES) & set(self._rights)) and (
            self.gathered_at is None or self.gathered_at < fact.answered.at
        )


def _rights(body: dict[str, Any]) -> tuple[str, ...]:
    return PrivacyBody.model_validate({k: v for k, v in body.items() if k in PrivacyBody.model_fields}).rights


def _ended(proof: NoticeSent | Issued) -> bool:
    return proof.sent_at is not None or proof.refused is not None


def _same(now: Any, then: Any) -> None:
    """Another rulebook, calendar or policy than then would put back another past: nothing is written.

    Raises:
        NotYet: They differ.
    """
    if now != then:
        raise NotYet


async def _notice(session: AsyncSession, case: str, key: str) -> NoticeRow:
    return (await session.exec(select(NoticeRow).where(NoticeRow.case == case, NoticeRow.key == key))).one()


async def _sent(sessions: Sessions, case: str, proof: NoticeSent) -> None:
    async with sessions() as session, session.begin():
        notice = await _notice(session, case, proof.key)
        if notice.sent_at is None and notice.refused is None:
            notice.sent_at, notice.carrier = proof.sent_at, proof.carrier
            notice.reference, notice.refused = proof.reference, proof.refused


async def _issued(sessions: Sessions, case: str, proof: OrderIssued) -> None:
    async with sessions() as session, session.begin():
        order = (
            await session.exec(
                select(PaymentOrderRow).where(PaymentOrderRow.case == case, PaymentOrderRow.key == proof.key)
            )
        ).one()
        order.issued_at, order.reference = proof.issued_at, proof.reference
        if proof.screened_at is not None and await session.get(ScreeningRow, (case, proof.key)) is None:
            assert proof.list_made_at is not None
            assert proof.list_digest is not None
            session.add(
                ScreeningRow(
                    case=case,
                    key=proof.key,
                    party=order.party,
                    screened_at=proof.screened_at,
                    list_made_at=proof.list_made_at,
                    list_digest=proof.list_digest,
                    result="clear",
                )
            )


async def _found_then(sessions: Sessions, case: str, t: Transition) -> None:
    """A hit on a party that is judged without a step that found it: cases had none at first, only the sweep's row.

    By which list it was found stood nowhere else.
    """
    judged = [act.data["key"] for act in t.acts if act.name in ("payment.hit_cleared", "payment.hit_confirmed")]
    async with sessions() as session, session.begin():
        for key in judged:
            party = await session.get(PartyRow, (case, key))
            if party is not None and await session.get(ScreeningRow, (case, key)) is None:
                session.add(
                    ScreeningRow(
                        case=case,
                        key=key,
                        party=key,
                        screened_at=t.at,
                        list_made_at=t.at,
                        list_digest=LIST_LOST,
                        result="hit",
                    )
                )


async def _withdrawn(sessions: Sessions, case: str, effect: Withdrawn) -> None:
    """The effect as it came: which accounts it ended is known, also where the hash that decided it is lost."""
    assert effect.effective_at is not None
    async with sessions() as session, session.begin():
        row = (await session.exec(select(WithdrawalRow).where(WithdrawalRow.case == case))).one()
        row.effective_at = effect.effective_at
        for name in (*effect.ended, *effect.kept_login_data, *effect.limited):
            request, _, user = name.rpartition("/")
            account = (
                await session.exec(
                    select(AccountRow)
                    .where(AccountRow.client == row.client, AccountRow.case == request, AccountRow.subject == user)
                    .order_by(col(AccountRow.created_at).desc())
                )
            ).first()
            if account is None:
                raise NotYet
            await take_authenticator(session, account, case, row.limitation, effect.effective_at)
            if name in effect.kept_login_data:
                account.status, account.ended_at, account.ground, account.ended_by = "active", None, None, None


__all__ = ["UNTOLD", "Replay"]
