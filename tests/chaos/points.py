"""Where a process can be made to die: every step of a run is written down as it is passed, and one may be deadly.

A run's token (`k12x3`) is part of the reference of each of its cases and of each address in it, so a workflow id, a
letter and a file name all say whose run they belong to. What is named by something else (the review of a month) is
given to a run beforehand. The n-th passing of a step is a point; it is deadly once.
"""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

TOKEN = re.compile(r"k\d+x\d+")
NAMELESS = re.compile(r"sign_in_review:[A-Z]+:\d{4}-\d{2}")
"""A case whose reference says its month, and so nothing of a run."""


def token_of(text: str) -> str | None:
    """Whose run a workflow id or an address belongs to."""
    found = TOKEN.search(text)
    return found[0] if found else None


@dataclass(frozen=True, order=True)
class Point:
    """The n-th time that a run passes a step."""

    step: str
    """What and where: `case.record after commit`, `task computed`, `mail taken`."""
    n: int

    def __str__(self) -> str:
        return f"{self.step} #{self.n}"

    @classmethod
    def read(cls, text: str) -> Self:
        """The reverse of `str`."""
        step, _, n = text.rpartition(" #")
        return cls(step, int(n))


class Journal:
    """What each run passed, in files that survive every death, and at which point its process is to die."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def belongs(self, case: str, token: str) -> None:
        """A case that no token is part of is this run's."""
        (self._folder / f"{case}.of").write_text(token)

    def whose(self, text: str) -> str | None:
        """The token of the run to which a workflow id, a letter or an address belongs."""
        if (token := token_of(text)) is not None:
            return token
        named = NAMELESS.search(text)
        of = self._folder / f"{named[0]}.of" if named else None
        return of.read_text() if of is not None and of.exists() else None

    def doom(self, token: str, point: Point) -> None:
        """Whichever process passes this point of this run first dies there; nobody after it."""
        (self._folder / f"{token}.doom").write_text(str(point))

    def passes(self, whose: str, step: str) -> None:
        """A run passes a step. Does not return from a deadly point."""
        if (token := self.whose(whose)) is None:
            return
        path = self._folder / f"{token}.journal"
        # one write of one line: two processes at once do not mix theirs
        with path.open("ab", buffering=0) as journal:
            journal.write(f"{step}\n".encode())
        doom = self._folder / f"{token}.doom"
        if not doom.exists():
            return
        deadly = Point.read(doom.read_text())
        if step != deadly.step or self.passed(token)[step] != deadly.n:
            return
        try:
            (self._folder / f"{token}.struck").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    def passed(self, token: str) -> Counter[str]:
        """How often a run passed each step until now."""
        path = self._folder / f"{token}.journal"
        return Counter(path.read_text().splitlines()) if path.exists() else Counter()

    def points(self, token: str) -> list[Point]:
        """Every point that a run passed."""
        return sorted(Point(step, n) for step, count in self.passed(token).items() for n in range(1, count + 1))

    def size(self, token: str | None = None) -> int:
        """How much a run, or all together, has passed, in bytes: it grows as long as anything goes on."""
        if token is None:
            return sum(path.stat().st_size for path in self._folder.glob("*.journal"))
        path = self._folder / f"{token}.journal"
        return path.stat().st_size if path.exists() else 0

    def letter(self, what: Literal["offered", "swept", "recorded"], letter: str) -> None:
        """A letter (`case#key`) is handed to its carrier (by a sweep), or its proof is committed."""
        if (token := self.whose(letter)) is not None:
            with (self._folder / f"{token}.letters").open("ab", buffering=0) as letters:
                letters.write(f"{what} {os.getpid()} {letter}\n".encode())

    def letters(self, token: str) -> list[tuple[str, int, str]]:
        """What became of the letters of a run, in order: (what, in which process, `case#key`)."""
        path = self._folder / f"{token}.letters"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(what, int(pid), letter) for what, pid, letter in (line.split(" ", 2) for line in lines)]

    def struck(self, token: str) -> bool:
        """Whether its deadly point was reached."""
        return (self._folder / f"{token}.struck").exists()
