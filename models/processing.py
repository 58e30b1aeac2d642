"""The words of records of processing (GDPR 30, SE-22.1): what a rulebook adds to what is known of purposes anyway."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from models.common import Model
from models.task import DutyId


class ProcessingTerms(Model):
    """`[values.processing]` of a rulebook: by which row records of processing are kept, and what they name."""

    records: DutyId
    """The row by which they are kept; its owner is who keeps them."""
    contact: Annotated[str, StringConstraints(min_length=5, max_length=200)]
    """Where the controller is reached, as its document says."""
    security: Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)*\.$")]
    """What the clauses of its security measures begin with, such as `33.`."""
