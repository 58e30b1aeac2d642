"""Checkpoints: the heads of all cases, signed and published outside, so that no past can be written anew unseen.

A file is one signed line (number, instant, number of cases, root of the tree over all heads, hash of the list, hash of
the line before it) and then the list: each case that changed since, with its number of entries and its last link.
The line alone says it all for whoever keeps only that; a time stamp authority can stamp its hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from sqlmodel import select

from models.common import Model
from models.errors import Refusal
from models.now import Now
from models.tables import CaseRow
from operations.intake import Sessions
from operations.proof import Progress, judged, published_in, snapshot
from security import proof
from security.keys import Keyring

PUBLIC_KEY = "public-key"
"""The file beside the checkpoints that holds the public key."""


class Published(Model):
    """A checkpoint that was made."""

    number: int
    file: str
    cases: int
    changed: int
    """Cases in its list."""
    faults: dict[str, tuple[str, ...]]
    """Case → what does not hold any more of a case that changed since the checkpoint before."""


async def publish(
    sessions: Sessions, keyring: Keyring, folder: Path, now: Now, progress: Progress = lambda done, total: None
) -> Published:
    """Make the next checkpoint, then check every case that changed against the ones before.

    What does not hold is published all the same: the checkpoints before it keep what was.

    Raises:
        Refusal: The checkpoints that lie there are not whole, or another process is making this one.
    """
    signer = await proof.Signer.of(keyring)
    before = await published_in(folder, signer.public_key)
    if before.faults:
        raise Refusal(*before.faults)
    at = now()
    async with snapshot(sessions) as session:
        rows = (await session.exec(select(CaseRow.case, CaseRow.step, CaseRow.head))).all()
    heads = {case: (step, head) for case, step, head in sorted(rows)}
    held = {case: (seen[-1].count, bytes.fromhex(seen[-1].head)) for case, seen in before.seen.items() if seen[-1].head}
    changed = [case for case, head in heads.items() if held.get(case) != head]
    gone = sorted({*held} - {*heads})
    listed = "".join(
        [
            *(f"{case} {heads[case][0]} {heads[case][1].hex()}\n" for case in changed),
            *(f"{case} gone\n" for case in gone),
        ]
    ).encode()
    number = before.newest + 1
    statement = signer.sign(
        proof.CHECKPOINT,
        {
            "number": number,
            "at": at,
            "cases": len(heads),
            "root": proof.levels([proof.leaf(case, *head) for case, head in heads.items()])[-1][0],
            "list": hashlib.sha256(listed).hexdigest(),
            "previous": before.statements.get(before.newest, ""),
        },
    )
    path = folder / f"{number:06}.checkpoint"
    await asyncio.to_thread(_write, path, statement + listed, signer.public_key)
    faults: dict[str, tuple[str, ...]] = dict.fromkeys(gone, ("it was in the checkpoint before, not in the store now",))
    for done, case in enumerate(changed):
        progress(done, len(changed))
        if found := (await judged(sessions, keyring, case, before))[1]:
            faults[case] = tuple(found)
    return Published(number=number, file=str(path), cases=len(heads), changed=len(changed) + len(gone), faults=faults)


def newest(folder: Path) -> datetime | None:
    """When the newest checkpoint in this folder says that it was made; None where there is none.

    It is not verified: `check` does that.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no checkpoint.
    """
    paths = sorted(folder.glob("*.checkpoint"))
    if not paths:
        return None
    with paths[-1].open("rb") as file:
        statement = json.loads(file.readline())
    try:
        return datetime.fromisoformat(statement["body"]["at"]).astimezone(UTC)
    except (KeyError, TypeError):
        raise ValueError("no checkpoint") from None


def _write(path: Path, data: bytes, public_key: str) -> None:
    """Whole or not at all, and never over another one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o444)
        os.link(name, path)
    except FileExistsError:
        raise Refusal(f"{path.name} is being made by another process") from None
    finally:
        Path(name).unlink(missing_ok=True)
    (path.parent / PUBLIC_KEY).write_text(public_key + "\n", encoding="ascii")


__all__ = ["PUBLIC_KEY", "Published", "newest", "publish"]
