"""All workflows of a worker. Not in the package itself: the sandbox loads that anew for each run."""

from workflows.access_request import AccessRequest
from workflows.authenticator_withdrawal import AuthenticatorWithdrawal
from workflows.claim import Claim
from workflows.privacy_request import PrivacyRequest
from workflows.sweep import Checkpoint, Recount, Sweep

ALL = [AccessRequest, AuthenticatorWithdrawal, Checkpoint, Claim, PrivacyRequest, Recount, Sweep]
