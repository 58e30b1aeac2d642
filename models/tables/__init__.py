"""All tables, for migrations and for whoever writes the store."""

from models.tables.access import AccountRow, ClientRow, WithdrawalRow
from models.tables.case import (
    BellRow,
    CaseRow,
    ClockRow,
    EventRow,
    IntakeRow,
    NoticeRow,
    PartyRow,
    TargetRow,
    TimelineRow,
)
from models.tables.claim import PaymentOrderRow, PolicyRow
from models.tables.limits import DecisionPartRow, DecisionRow, LimitRow
from models.tables.operator import OperatorRow
from models.tables.privacy import ArchiveRow, ErasureRow, IdentificationRow

__all__ = [
    "AccountRow",
    "ArchiveRow",
    "BellRow",
    "CaseRow",
    "ClientRow",
    "ClockRow",
    "DecisionPartRow",
    "DecisionRow",
    "ErasureRow",
    "EventRow",
    "IdentificationRow",
    "IntakeRow",
    "LimitRow",
    "NoticeRow",
    "OperatorRow",
    "PartyRow",
    "PaymentOrderRow",
    "PolicyRow",
    "TargetRow",
    "TimelineRow",
    "WithdrawalRow",
]
