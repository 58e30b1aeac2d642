"""All workflows of a worker."""

from workflows.access_request import AccessRequest
from workflows.authenticator_withdrawal import AuthenticatorWithdrawal
from workflows.claim import Claim
from workflows.privacy_request import PrivacyRequest
from workflows.sweep import Recount, Sweep

ALL = [AccessRequest, AuthenticatorWithdrawal, Claim, PrivacyRequest, Recount, Sweep]
