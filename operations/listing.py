"""Tables of the command line: in a narrow window nothing is broken, what has no room stands below its row."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

GAP, READABLE, LINES = 2, 24, 5
"""Cells between columns, and those that prose has at least; about the lines that a cell of prose has at most."""
NONE = ("", "–")
"""What says that there is nothing to say."""


class Listing(Table):
    """A table for people. What a window has no room for stands below its row, each value named by its column.

    No word, number or date is broken there, and prose keeps a width that can be read. In a pipe every row is a table's.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table as it is where nobody watches or all has room, else its first columns and the rest below."""
        columns = [(str(column.header), [str(cell) for cell in column.cells]) for column in self.columns]
        if not console.is_terminal or not self.row_count:
            yield from super().__rich_console__(console, options)
            return
        texts = [(name, *cells) for name, cells in columns]
        wide = [max(cell_len(line) for text in each for line in text.splitlines() or [""]) for each in texts]
        words = [max((cell_len(word) for text in each for word in text.split()), default=0) for each in texts]
        # the first column is an id and short columns are dates, numbers and states: only prose is wrapped
        least = [
            whole if n == 0 else min(whole, max(word, READABLE, whole // LINES))
            for n, (whole, word) in enumerate(zip(wide, words, strict=True))
        ]
        spare = options.max_width - sum(least) - GAP * (len(columns) - 1)
        if spare >= 0:
            for column, width in zip(self.columns, _shared(least, wide, spare), strict=True):
                column.width = width
            yield from super().__rich_console__(console, options)
            return
        yield from self._stacked(columns, wide, options.max_width)

    def _stacked(self, columns: list[tuple[str, list[str]]], wide: list[int], room: int) -> RenderResult:
        first = next((n for n in range(1, len(columns)) if sum(wide[: n + 1]) + GAP * n > room), len(columns))

        def line(values: Sequence[str]) -> str:
            return (" " * GAP).join(set_cell_size(v, w) for v, w in zip(values, wide[:first], strict=True)).rstrip()

        yield Text(line([name for name, _ in columns[:first]]), style="bold")
        for row in zip(*(cells for _, cells in columns), strict=True):
            yield Text(line([value.replace("\n", "; ") for value in row[:first]]))
            others = zip(columns[first:], row[first:], strict=True)
            rest = [(name, text) for (name, _), text in others if text not in NONE]
            if rest:
                below = Text(" · ").join(Text.assemble((f"{n}: ", "dim"), v.replace("\n", "; ")) for n, v in rest)
                yield Padding(below, (0, 0, 0, GAP))


def _shared(least: list[int], most: list[int], spare: int) -> list[int]:
    """The widths, with what is to spare shared among those who need more."""
    widths = list(least)
    while spare > 0 and (needy := [n for n, width in enumerate(widths) if width < most[n]]):
        for n in needy[:spare]:
            widths[n] += 1
        spare -= len(needy[:spare])
    return widths
