"""The types of every failure that a caller of a case can meet, as strings that histories freeze.

BadMessage        the message does not parse; the text names every fault
NotAllowedNow     the message is well formed, but the case does not take it at this point
Refused           the store refused it (four eyes, a limit, an instant that cannot be); nothing was written
StepOutOfOrder    a step that is not the next one; it is tried again and shows itself
StaleTables       this worker's rulebooks or calendars are older than the target; it is tried again
NotYet            an effect that may not be early was asked for too early; nothing was done
OutsideDown       a system outside does not answer; it is tried again
Overtaken         another run of the same effect began later, or what it was about changed; it is tried again
EvidenceBroken    a checkpoint was made, and the past of a case is not what an earlier one holds; a person must look
CameInClear       the message was not sealed by the codec endpoint; it is refused and leaves no trace
"""

from dataclasses import dataclass
from typing import Any

BAD_MESSAGE = "BadMessage"
NOT_ALLOWED_NOW = "NotAllowedNow"
REFUSED = "Refused"
STEP_OUT_OF_ORDER = "StepOutOfOrder"
STALE_TABLES = "StaleTables"
NOT_YET = "NotYet"
OUTSIDE_DOWN = "OutsideDown"
OVERTAKEN = "Overtaken"
EVIDENCE_BROKEN = "EvidenceBroken"
CAME_IN_CLEAR = "CameInClear"


@dataclass(frozen=True)
class InClear:
    """An argument that arrived unsealed: a start may, a message may not."""

    value: Any


class Refusal(Exception):
    """What was asked for is refused, for these reasons; nothing was changed.

    The texts name fields, clauses and codes, never personal data.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class Unreadable(Exception):
    """What is to be read was changed, moved from elsewhere, or belongs to another key."""
