"""Files that are only added to, by several processes at once: a line is there whole, or not at all."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

END = b"\n"


def append(path: Path, lacking: Callable[[list[str]], list[str]]) -> list[str]:
    """Add lines behind what is there, flushed before it returns; the lines that were added.

    `lacking` says from what is there which lines to add; nobody else adds any meanwhile. What the death of a machine
    left of a line is taken away: half a name could be another one's.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        there = _read(handle)
        whole = there[: there.rfind(END) + 1]
        if len(whole) < len(there):
            os.ftruncate(handle, len(whole))
        added = lacking(_lines(whole))
        left = "".join(f"{line}\n" for line in added).encode()
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    return added


def read(path: Path) -> list[str]:
    """The whole lines of such a file; none where there is no file yet."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return []
    try:
        return _lines(_read(handle))
    finally:
        os.close(handle)


def _read(handle: int) -> bytes:
    return os.pread(handle, os.fstat(handle).st_size, 0)


def _lines(content: bytes) -> list[str]:
    return content[: content.rfind(END) + 1].decode().splitlines()
