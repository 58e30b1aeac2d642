"""All tables, for migrations and for whoever writes the store."""

from models.tables.access import (
    AccountRow,
    AuthenticatorDecisionRow,
    ClientChangeRow,
    ClientRow,
    ConcernedRow,
    DirectoryRow,
    LegalHoldRow,
    OpenedRow,
    SignInRow,
    SuspensionRow,
    WithdrawalRow,
)
from models.tables.automatic import ReviewRow
from models.tables.breach import BreachEntryRow, BreachLetterRow, RecipientListRow
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
from models.tables.claim import PaymentOrderRow
from models.tables.consent import ConsentRow
from models.tables.coverage import FindingRow, LearntRow
from models.tables.documents import DocumentRow
from models.tables.incoming import IncomingRow
from models.tables.instalments import AgreementRow, InstalmentRow
from models.tables.limits import DecisionPartRow, DecisionRow, LimitRow
from models.tables.operator import OperatorRow
from models.tables.policy import ObjectionRow, PolicyEntryRow, PolicyRow
from models.tables.privacy import (
    ArchiveRow,
    ErasureRow,
    IdentificationRow,
    KeptRow,
    RectificationRow,
    RequestRow,
    SignatureRow,
)
from models.tables.screening import ScreeningRow
from models.tables.storage import (
    RecordFactRow,
    RecordHoldRow,
    RecordRow,
    StorageCountRow,
    StorageItemRow,
    StorageRunRow,
)
from models.tables.task import RecurrenceRow, TurnRow

__all__ = [
    "AccountRow",
    "AgreementRow",
    "ArchiveRow",
    "AuthenticatorDecisionRow",
    "BellRow",
    "BreachEntryRow",
    "BreachLetterRow",
    "CaseRow",
    "ClientChangeRow",
    "ClientRow",
    "ClockRow",
    "ConcernedRow",
    "ConsentRow",
    "DecisionPartRow",
    "DecisionRow",
    "DirectoryRow",
    "DocumentRow",
    "ErasureRow",
    "EventRow",
    "FindingRow",
    "IdentificationRow",
    "IncomingRow",
    "InstalmentRow",
    "IntakeRow",
    "KeptRow",
    "LearntRow",
    "LegalHoldRow",
    "LimitRow",
    "NoticeRow",
    "ObjectionRow",
    "OpenedRow",
    "OperatorRow",
    "PartyRow",
    "PaymentOrderRow",
    "PolicyEntryRow",
    "PolicyRow",
    "RecipientListRow",
    "RecordFactRow",
    "RecordHoldRow",
    "RecordRow",
    "RectificationRow",
    "RecurrenceRow",
    "RequestRow",
    "ReviewRow",
    "ScreeningRow",
    "SignInRow",
    "SignatureRow",
    "StorageCountRow",
    "StorageItemRow",
    "StorageRunRow",
    "SuspensionRow",
    "TargetRow",
    "TimelineRow",
    "TurnRow",
    "WithdrawalRow",
]
