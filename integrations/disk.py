"""Files that survive a power cut: what is written here is on the disk, and under its name, when the call returns."""

import os
from pathlib import Path


def write_through(path: Path, content: bytes) -> None:
    """Write a file and wait until its content is on the disk; its name needs `sync_folder`. Raises `OSError`."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk. Raises `OSError`."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
