"""What the comparison of two runs looks at: every table of the store, or a reason why not; and every activity runs."""

from __future__ import annotations

from sqlmodel import SQLModel

from models import tables
from tests.chaos import projection

LEFT_OUT = {
    "IncomingRow": "when a mailbox or folder was looked at last is nothing that a run knows",
    "LegalHoldRow": "said by a command alone; no script says one",
    "ObjectionRow": "said by a command alone; no script says one",
    "OpenedRow": "told by the client zone; no script tells of one",
    "OperatorRow": "of the house",
    "RecordFactRow": "what was said of a record, which the script itself says; the record as it stands is compared",
    "RecurrenceRow": "what was said of a duty, which the script itself says; its turns are compared",
    "StorageCountRow": "a night is about all runs",
    "StorageItemRow": "a night is about all runs",
    "StorageRunRow": "a night is about all runs",
    "TargetRow": "a recount is about all runs",
}


def test_every_table_is_compared_or_left_out_for_a_reason() -> None:
    """An effect in a table that nobody reads could be lost or come twice in a thousand runs, unnoticed."""
    every = {name for name, value in vars(tables).items() if isinstance(value, type) and issubclass(value, SQLModel)}
    every = {name for name in every if hasattr(vars(tables)[name], "__table__")}
    assert every - set(vars(projection)) == set(LEFT_OUT)
