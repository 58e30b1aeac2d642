"""Backups of the key database: wrapped keys in files of their own, kept for a set time and no longer.

That time is the promised delay of an erasure: once the last backup that holds a case's key is gone, no dump of the
store and no history made before the erasure can be read by anybody.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from models.common import Model
from models.errors import Refusal
from models.now import Now
from operations.erase import BESIDE, destroy_again, erased_before, write_whole
from operations.intake import Sessions
from security.keys import Keyring
from security.master import MasterKeyError

_NAME = "keys-%Y%m%dT%H%M%SZ.json"


class BackedUp(Model):
    """What a backup came to."""

    file: str
    keys: int
    removed: tuple[str, ...]
    """Older backups whose time was over."""


class Restored(Model):
    """What a restore came to."""

    keys: int
    destroyed_again: tuple[str, ...]
    """Cases that were erased after the backup was made."""


async def back_up(keyring: Keyring, folder: Path, keep: timedelta, now: Now) -> BackedUp:
    """Write a backup and remove those that are older than `keep`, also what a death left of one."""
    at, rows = now(), await keyring.backup()
    path = folder / at.strftime(_NAME)
    write_whole(path, "\n".join(json.dumps(row) for row in rows) + "\n")
    old = [one for one in [*backups(folder), *halves(folder)] if at - _made_at(one) > keep]
    for one in old:
        one.unlink()
    return BackedUp(file=str(path), keys=len(rows), removed=tuple(one.name for one in old))


async def restore(sessions: Sessions, keyring: Keyring, path: Path) -> Restored:
    """Bring back the keys that are missing; a case that was erased since the backup stays erased.

    Raises:
        Refusal: The file is no backup of keys, or was made before the master key was changed.
    """
    try:
        text = await asyncio.to_thread(path.read_text, "utf-8")
    except OSError as e:
        raise Refusal(f"file: cannot be read: {e.strerror}") from None
    except ValueError:
        raise Refusal("file: it is no backup of keys") from None
    if not text:
        # a backup of an installation that is cut off to nothing: nothing was brought back, and nobody may think it was
        raise Refusal("file: it is empty, so it is no backup of keys")
    try:
        rows = [json.loads(line) for line in text.splitlines()]
        restored = await keyring.restore(rows)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refusal("file: it is no backup of keys") from None
    except MasterKeyError as e:
        raise Refusal(f"file: {e}, so its keys open nothing; take a backup that was made after the change") from None
    again = await destroy_again(sessions, keyring, erased_before(path.parent))
    return Restored(keys=restored, destroyed_again=tuple(again))


def backups(folder: Path) -> list[Path]:
    """The backups in a folder, the oldest first."""
    return sorted(folder.glob("keys-*.json"))


def halves(folder: Path) -> list[Path]:
    """What deaths left of backups that were being written: they hold keys as well."""
    return sorted(folder.glob(f"{BESIDE}*"))


def _made_at(path: Path) -> datetime:
    if path.name.startswith(BESIDE):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return datetime.strptime(f"{path.name}+0000", f"{_NAME}%z")
