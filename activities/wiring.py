"""Builds every activity from its dependencies, in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from temporalio.client import Client

from activities.access import AccessActivities, AccessStore, WithdrawalStore
from activities.authenticator_decision import AuthenticatorDecisionActivities, AuthenticatorDecisionStore
from activities.breach import BreachStore
from activities.case import CaseActivities
from activities.claim import ClaimActivities, ClaimStore
from activities.client_change import ClientChangeStore
from activities.credential import CredentialActivities, CredentialStore
from activities.incoming import IncomingActivities
from activities.late_premium import LatePremiumActivities, LatePremiumStore
from activities.notice import NoticeActivities, Post
from activities.outbox import Outbox
from activities.payment import PaymentActivities
from activities.premium_refund import PremiumRefundStore
from activities.privacy import PrivacyActivities, PrivacyStore
from activities.recovery import RecoveryStore
from activities.renewal import RenewalActivities, RenewalStore
from activities.replay import Replay
from activities.screening import KnownPeople
from activities.sign_in_review import SignInReviewActivities, SignInReviewStore
from activities.storage import StorageActivities
from activities.store import KindStore
from activities.sweep import CheckpointActivities, SweepActivities
from activities.task import RecurrenceActivities, TaskStore
from integrations.bank import Bank
from integrations.bank_in import BankIn
from integrations.data_systems import DataSystem
from integrations.identity import IdentityProvider
from integrations.mail import MailOut
from integrations.mail_in import MailIn
from integrations.sanctions import Sanctions
from models.now import Now
from models.person_system import PersonSystem
from operations.erasures import Ledger
from operations.intake import Intake, Sessions
from operations.own_store import OwnStore
from security.keys import Keyring


def build(
    sessions: Sessions,
    keyring: Keyring,
    client: Client,
    provider: IdentityProvider,
    mail: MailOut,
    bank: Bank,
    now: Now,
    *,
    mail_in: MailIn,
    bank_in: BankIn,
    sanctions: Sanctions,
    sender: str,
    staff: str,
    checkpoints: Path,
    systems: Sequence[DataSystem] = (),
    people: Sequence[PersonSystem] = (),
    backups: Path,
) -> tuple[list[Callable[..., Any]], Outbox]:
    """All activities of a worker, and what delivers beside them; `systems`: the data systems beside the own store.

    `people`: those whom only a person can search.
    """
    intake = Intake(sessions, keyring, client, now)
    post = Post(sessions, keyring, mail, now, sender, staff)
    outbox = Outbox(sessions, client, intake, post, now)
    case = CaseActivities(sessions, keyring, client, outbox, _stores(keyring), now)
    access = AccessActivities(sessions, keyring, provider, mail, now, sender)
    credential = CredentialActivities(sessions, keyring, access.telling, provider, mail, now, sender)
    every = (OwnStore(sessions, keyring), *systems)
    privacy = PrivacyActivities(sessions, every, now, people, Ledger(keyring, backups))
    sweep = SweepActivities(sessions, intake, outbox, KnownPeople(sessions, sanctions, now), now)
    storage = StorageActivities(sessions, keyring, client, backups, now, every)
    incoming = IncomingActivities(sessions, intake, mail_in, bank_in, now)
    activities: list[Callable[..., Any]] = [
        case.open,
        case.record,
        case.listen,
        case.spend,
        NoticeActivities(post).send,
        PaymentActivities(sessions, bank, sanctions, now).order,
        ClaimActivities(sessions, keyring, now).assess,
        LatePremiumActivities(sessions).claims,
        RenewalActivities(sessions).look,
        SignInReviewActivities(sessions).count,
        access.issue,
        access.void_secret,
        access.withdraw_authenticator,
        access.fallbacks,
        AuthenticatorDecisionActivities(sessions).look,
        credential.look,
        credential.apply,
        credential.send_secret,
        credential.look_at_erasure,
        privacy.people,
        privacy.gather,
        privacy.erase,
        privacy.rectify,
        privacy.restrict,
        privacy.release,
        sweep.deliver,
        sweep.ring_outdated,
        incoming.read_mail,
        incoming.read_bank,
        storage.begin,
        storage.step,
        storage.end,
        CheckpointActivities(sessions, keyring, checkpoints, now).publish,
        RecurrenceActivities(sessions, intake, now).open,
    ]
    return activities, outbox


def build_replay(sessions: Sessions, keyring: Keyring, client: Client, provider: IdentityProvider) -> Replay:
    """What `reconcile` puts proofs back with; it knows no carrier and no bank."""
    return Replay(sessions, keyring, client, provider, _stores(keyring, replays=True))


def _stores(keyring: Keyring, *, replays: bool = False) -> dict[str, KindStore]:
    stores = (
        ClaimStore(keyring),
        AccessStore(keyring),
        WithdrawalStore(keyring),
        AuthenticatorDecisionStore(keyring),
        PrivacyStore(keyring, replays=replays),
        LatePremiumStore(),
        RenewalStore(),
        PremiumRefundStore(),
        RecoveryStore(),
        ClientChangeStore(),
        CredentialStore(),
        SignInReviewStore(),
        TaskStore(),
        BreachStore(),
    )
    return {store.kind: store for store in stores}
