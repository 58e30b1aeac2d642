"""Tables of the command line in windows of every width: nothing is broken, nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from operations.demo import table
from operations.listing import Listing
from operations.reading import CaseLine, ClockLine

ROWS = [
    (
        "privacy_request:SE:2026-3201",
        "Fri 2026-11-06 15:41",
        "OVERDUE 17 d",
        "DZ-14.10.1 rectification",
        "carrying out",
        "what is still to be done, with proof, from the privacy handler: recipients of the rectification",
    ),
    ("claim:BTA:2026-1003", "Thu 2026-11-12", "11 d", "BTA-10.5a", "deciding", "–"),
]
NAMES = ("Case", "Last day", "Left", "Duty", "Stage", "Waits for")


def shown(width: int, rows: Sequence[tuple[str, ...]], *, watched: bool = True) -> list[str]:
    """The lines of the table in a window, or in a pipe."""
    out = StringIO()
    table = Listing(box=None, pad_edge=False)
    for name in NAMES:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(file=out, width=width, force_terminal=watched, color_system=None, highlight=False).print(table)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [*range(40, 200, 7), 80, 120])
def test_no_word_number_or_date_is_broken_and_nothing_is_lost(width: int) -> None:
    """From the narrowest window that has room for the longest word."""
    lines = shown(width, ROWS)
    assert max(len(line) for line in lines) <= width
    there = " ".join(lines).split()
    for text in (cell for row in ROWS for cell in row if cell != "–"):
        assert [word for word in text.split() if word not in there] == []
    for short in ("Fri 2026-11-06 15:41", "OVERDUE 17 d"):
        assert width < 60 or any(short in line for line in lines)


def test_what_has_no_room_stands_below_its_row_named_by_its_column() -> None:
    lines = shown(80, ROWS)
    assert lines[0].split("  ")[0] == "Case"
    assert lines[1].split() == ["privacy_request:SE:2026-3201", "Fri", "2026-11-06", "15:41", "OVERDUE", "17", "d"]
    assert lines[2].startswith("  Duty: DZ-14.10.1 rectification · Stage: carrying out · Waits for: what is")
    assert "Waits for" not in lines[-1], "a dash says nothing"


def test_a_window_with_room_has_one_line_for_each_row() -> None:
    assert len(shown(220, ROWS)) == 1 + len(ROWS)


def test_prose_that_would_be_a_tower_of_lines_stands_below() -> None:
    """A column of a few words' width is not read."""
    long = [(*ROWS[0][:5], "then received Mon 2026-11-23 16:41 by op-5; " * 12)]
    assert any("Waits for: then received" in line for line in shown(140, long))


def test_in_a_pipe_a_row_stays_a_row_of_the_table() -> None:
    """Programs read by columns, whatever a window would do."""
    assert not any("Waits for: " in line for line in shown(90, ROWS, watched=False))


@pytest.mark.parametrize("width", [80, 100, 109, 110, 120, 139, 140, 160])
def test_the_table_of_the_demo_breaks_no_word(width: int) -> None:
    """The first that anybody sees of Termins."""
    due = datetime(2026, 11, 23, 14, tzinfo=UTC)
    clock = ClockLine(
        duty="DZ-14.10.1",
        subject="",
        status="running",
        can_be_late=True,
        due=due,
        shown="Mon 2026-11-23 16:41",
        overdue=False,
    )
    waits = "what is still to be done, with proof, from the privacy handler"
    line = CaseLine(
        case="privacy_request:DZ:2026-3002",
        kind="privacy_request",
        organisation="DZ",
        stage="carrying_out",
        handler="op-5",
        received_at=due,
        waits_for=waits,
        next=clock,
        overdue=False,
        clocks=(clock, clock),
        diverged=False,
        outcome=None,
        closed_at=None,
    )
    out = StringIO()
    Console(file=out, width=width, color_system=None, highlight=False).print(table([line], due, width))
    said = out.getvalue()
    assert max(map(len, said.splitlines())) <= width
    for word in (
        "2026-3002",
        "privacy",
        "Mon 2026-11-23 16:41",
        "DZ-14.10.1 ×2",
        "carrying out",
        "op-5",
        *waits.split(),
    ):
        assert word in said, word
