"""Records histories for the replay gate: `make record`, or with a reason all of them anew.

Without a reason, histories of branches that have none are added, and what is recorded stays as it is. With one, every
history is replaced by what the code of today does: only right while no case runs anywhere on the recorded code.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.replay.gate import problem
from tests.replay.history import FOLDER, MANIFEST, digest, manifest, read, shown

RECORDED = Path(__file__).parent / "RECORDED.md"
LIVED = ("tests/workflows", "tests/replay/test_rare_branches.py")
"""The tests whose cases are recorded."""
PYTEST = (sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "tests.replay.recorder")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="make record", description=__doc__)
    parser.add_argument("--reason", default="", help="why every history is recorded anew")
    reason = parser.parse_args().reason.strip()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lived = subprocess.run(
            [*PYTEST, "--record-into", name, *LIVED],
            check=False,
        )
        if lived.returncode:
            print("Nothing was recorded: the tests whose cases are recorded must pass first.", file=sys.stderr)
            return 1
        fresh = {shown(read(path)).branch: path for path in sorted(folder.glob("*.json.gz"), reverse=True)}
        if problems := asyncio.run(_problems(fresh)):
            print("Nothing was recorded: what was lived just now does not replay.", file=sys.stderr)
            print(*problems, sep="\n\n", file=sys.stderr)
            return 1
        print(_keep(fresh, reason))
    return 0


async def _problems(fresh: dict[str, Path]) -> list[str]:
    return [text for path in fresh.values() if (text := await problem(path))]


def _keep(fresh: dict[str, Path], reason: str) -> str:
    FOLDER.mkdir(exist_ok=True)
    before = {} if reason else manifest()
    added = {branch: path for branch, path in fresh.items() if branch not in before}
    if reason:
        for path in FOLDER.glob("*.json.gz"):
            path.unlink()
    after = dict(before)
    for branch, path in added.items():
        content = path.read_bytes()
        (FOLDER / path.name).write_bytes(content)
        after[branch] = {"file": path.name, "sha256": digest(content)}
    MANIFEST.write_text(json.dumps(after, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    if reason or added:
        with RECORDED.open("a", encoding="utf-8") as log:
            what = f"all anew: {len(added)}" if reason else f"{len(added)} added to {len(before)}"
            log.write(f"| {datetime.now(UTC):%Y-%m-%d} | {what} | {reason.replace('|', '/') or 'new branches'} |\n")
    if reason:
        return f"{len(added)} histories, all recorded anew: {reason}"
    return (
        f"{len(added)} histories added; the {len(before)} that were there are frozen and stay as they are "
        '(make record REASON="…" records all anew; docs/changing-running-code.md says when that is right)'
    )


if __name__ == "__main__":
    sys.exit(main())
