"""`make chaos`: thousands of runs, each killed somewhere, and the list of those that did not come to the same end.

The seed is printed; the same seed gives the same points of death and the same order of victims.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.chaos.campaign import Plan, Trial, turmoil
from tests.chaos.house import Victim, house
from tests.chaos.points import Point
from tests.chaos.scripts import SCRIPTS

BATCH = 120
"""Runs that live through the same days."""
VICTIMS: tuple[Victim, ...] = ("worker", "postgres", "temporal", "mail", "identity")


def plans(wanted: argparse.Namespace, dice: random.Random, points: dict[str, list[Point]]) -> list[Plan]:
    """Which runs to make: each point of each script once, or so many at random."""
    every = [Plan(script, point) for script in wanted.script for point in points[script]]
    if wanted.every_point:
        dice.shuffle(every)
        return every
    # not by their place in the list: a step that is passed once more in one house shall not move all others
    named = [(f"{plan}", plan) for plan in every]
    return [_first(f"{wanted.seed} {n}", named) for n in range(wanted.runs)]


def _first(seed: str, named: Sequence[tuple[str, Plan]]) -> Plan:
    """The plan that comes first in an order of this seed's."""
    return min(named, key=lambda one: hashlib.blake2b(f"{seed} {one[0]}".encode(), digest_size=8).digest())[1]


async def run(wanted: argparse.Namespace, console: Console) -> int:
    """All runs; the number of those that differ."""
    dice = random.Random(wanted.seed)  # noqa: S311  # dice, not a secret
    bad, struck, made = 0, 0, 0
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=console,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="termins-chaos-", ignore_cleanup_errors=True) as folder:
        var = Path(folder) / "var"
        async with house(var, mail=wanted.mail, identity=wanted.identity, workers=wanted.workers) as servers:
            servers.patience += 3 * max(wanted.away)
            trial = Trial(servers)
            console.print(f"undisturbed: {', '.join(wanted.script)}")
            todo = plans(wanted, dice, await trial.live_in_peace(wanted.script))
            with bar:
                task = bar.add_task("runs", total=len(todo))
                for begin in range(0, len(todo), BATCH):
                    results = await trial.live(
                        todo[begin : begin + BATCH],
                        meanwhile=lambda: (
                            turmoil(servers, dice, wanted.kill, every=wanted.every, away=wanted.away)
                            if wanted.kill
                            else asyncio.sleep(0)
                        ),
                        ended=lambda _: bar.advance(task),
                    )
                    made, struck = made + len(results), struck + sum(result.struck for result in results)
                    for result in results:
                        if result.faults:
                            bad += 1
                            console.print(
                                f"DIFFERS: {result.plan} ({result.token})", *result.faults, sep="\n  ", markup=False
                            )
                            if wanted.keep is not None:
                                wanted.keep.mkdir(parents=True, exist_ok=True)
                                passed = (var / "chaos").glob(f"{result.token}.*")
                                for file in (*(var / "log").iterdir(), *passed):
                                    (wanted.keep / file.name).write_bytes(file.read_bytes())
                    if not console.is_terminal:
                        # a bar is drawn on terminals only
                        console.print(f"{made} of {len(todo)} runs, {struck} died at their point, {bad} differ")
            deaths = Counter(servers.deaths)
    console.print(
        f"seed {wanted.seed}: {made} runs, {struck} died at their point; deaths: {dict(deaths)}; {bad} differ"
    )
    return bad


def main() -> None:
    """The command line; exit code 1 if any run differs."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--every-point", action="store_true", help="each point of each script once, instead of --runs")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9))
    parser.add_argument("--script", action="append", choices=list(SCRIPTS), help="only this one; can be repeated")
    parser.add_argument("--mail", choices=("smtp", "maildir"), default="smtp")
    parser.add_argument("--identity", choices=("scim", "local"), default="scim", help="who keeps the users' secrets")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--kill", nargs="*", choices=VICTIMS, default=list(VICTIMS), help="who dies at random beside them"
    )
    parser.add_argument("--every", type=float, default=20.0, help="seconds between two random deaths, on average")
    parser.add_argument(
        "--away",
        type=float,
        nargs="+",
        default=[0.0, 1.0, 3.0],
        help="seconds until they are back, one of these each time; 60 300 for outages of minutes",
    )
    parser.add_argument("--keep", type=Path, help="a folder for logs and for what a run passed, if it differs")
    wanted = parser.parse_args()
    wanted.script = wanted.script or list(SCRIPTS)
    console = Console(highlight=False)
    console.print(f"seed {wanted.seed}")
    sys.exit(1 if asyncio.run(run(wanted, console)) else 0)


if __name__ == "__main__":
    main()
