"""All workflows of a worker."""

from workflows.claim import Claim
from workflows.sweep import Recount, Sweep

ALL = [Claim, Recount, Sweep]
