"""All workflows of a worker. A tuple: all runs share it."""

from workflows.access_request import AccessRequest
from workflows.authenticator_decision import AuthenticatorDecision
from workflows.authenticator_withdrawal import AuthenticatorWithdrawal
from workflows.breach import Breach
from workflows.claim import Claim
from workflows.client_change import ClientChange
from workflows.credential import Credential
from workflows.incoming import Incoming
from workflows.late_premium import LatePremium
from workflows.premium_refund import PremiumRefund
from workflows.privacy_request import PrivacyRequest
from workflows.recovery import Recovery
from workflows.recurrences import Recurrences
from workflows.renewal import Renewal
from workflows.sign_in_review import SignInReview
from workflows.storage import Storage
from workflows.sweep import Checkpoint, Recount, Sweep
from workflows.task import Task

ALL: tuple[type, ...] = (
    AccessRequest,
    AuthenticatorDecision,
    AuthenticatorWithdrawal,
    Breach,
    Checkpoint,
    Claim,
    ClientChange,
    Credential,
    Incoming,
    LatePremium,
    PremiumRefund,
    PrivacyRequest,
    Recount,
    Recovery,
    Recurrences,
    Renewal,
    SignInReview,
    Storage,
    Sweep,
    Task,
)
