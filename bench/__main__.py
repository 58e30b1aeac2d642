"""What a case costs, beside a minimal claim on the bare SDK in the same run.

    make bench                                    everything; on two quiet cores about half an hour
    make bench ARGS=--quick                       a look, with small numbers
    make bench ARGS="--part transitions --variant runner=sandbox --variant remote=yes"

The servers are real, in a folder of their own that is deleted afterwards; every subject has a namespace, a database and
a worker of its own, and the subjects take turns block by block, because a machine's speed drifts. CPU is that of the
processes: times of the wall depend on what else runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from rich.console import Console

from bench import parts, show
from bench.bare import Bare
from bench.decision import decided
from bench.house import house
from bench.kinds import kinds
from bench.product import Product
from bench.sign_in import sign_ins
from bench.storage import nights
from bench.subject import Subject
from bench.worker import __doc__ as options_of_the_worker
from bench.worker import read
from operations.logs import configure

PARTS = ("kinds", "sign_in", "decision", "storage", "transitions", "lives", "latency", "recovery", "timers", "held")
MOST_VARIANTS = 3
UNWATCHED = 120  # columns where nobody watches


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=(options_of_the_worker or "").partition("\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small numbers: a look, not a measurement")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; can be repeated")
    parser.add_argument(
        "--variant", action="append", default=[], help="one more subject: the product's worker, changed; see below"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options = parser.parse_args()
    if len(options.variant) > MOST_VARIANTS:
        parser.error(f"--variant: at most {MOST_VARIANTS}, or the workers' pools use up PostgreSQL's connections")
    for variant in options.variant:
        try:
            read(variant)
        except ValueError as e:
            parser.error(str(e))
    return options


def progress(text: str) -> None:
    """Where it is; not part of the result."""
    print(text, file=sys.stderr, flush=True)


async def measure(
    wanted: Sequence[str], variants: Sequence[str], *, quick: bool
) -> AsyncIterator[tuple[str, list[Any]]]:
    """The parts that are wanted, each with its rows as soon as it is measured."""
    async with house() as home, AsyncExitStack() as stack:
        progress("servers run")
        if "kinds" in wanted:
            progress("one case of each kind")
            yield "kinds", await kinds(home)
        if "sign_in" in wanted:
            progress("questions whether somebody may sign in")
            yield "sign_in", await sign_ins(home, *((2_000, 20_000, 200) if quick else (100_000, 1_000_000, 2_000)))
        if "decision" in wanted:
            progress("a decision for many clients")
            yield "decision", await decided(home, 100 if quick else 1_000)
        if "storage" in wanted:
            progress("nights over the storage terms")
            yield "storage", await nights(home, 2_000 if quick else 10_000)
        if not set(wanted) - {"kinds", "sign_in", "decision", "storage"}:
            return
        bare = await stack.enter_async_context(Bare.at(home))
        product = await stack.enter_async_context(Product.at(home, "product"))
        changed = [
            await stack.enter_async_context(Product.at(home, f"variant-{n}", text)) for n, text in enumerate(variants)
        ]
        subjects: list[Subject] = [bare, product, *changed]
        progress("subjects warm up")
        for subject in subjects:
            # what loads once (templates, rulebooks, pools) is not charged to the cases
            await subject.live(parts.fresh(10))
        if "transitions" in wanted:
            progress("transitions")
            yield "transitions", await parts.transitions(home, subjects, *((10, 6) if quick else (40, 18)))
        if "lives" in wanted:
            progress("whole lives")
            yield "lives", await parts.lives(home, subjects, *((10, 2) if quick else (20, 6)))
        if "latency" in wanted:
            progress("latency")
            yield "latency", await parts.latency(subjects, 40 if quick else 300)
        if "recovery" in wanted:
            recovered = []
            for subject in subjects:
                progress(f"SIGKILL: {subject.name}")
                recovered += await parts.recovery(subject, 20, 1 if quick else 5)
            for one in (product, *changed):
                progress(f"SIGKILL with effects: {one.name}")
                recovered.append(await parts.recovery_of_effects(one, one.decide, 10, 1 if quick else 5))
            yield "recovery", recovered
        if "timers" in wanted:
            late = []
            for subject in subjects:
                progress(f"timers: {subject.name}")
                many, ahead = (50, 10) if quick else (500, 120)
                late.append(await parts.lateness(home, subject, many, timedelta(seconds=ahead)))
            yield "timers", late
        if "held" in wanted:
            held = []
            for subject in subjects:
                sizes, idle = ((50,), 5) if quick else ((1000, 5000), 60)
                held += await parts.held(home, subject, sizes, idle, progress)
            yield "held", held


def main() -> None:
    """Measure and print."""
    options = arguments()
    for name in [n for n in os.environ if n.startswith("TEMPORAL_")]:
        del os.environ[name]  # they are for clients of another server
    configure()  # what is logged must not stand amid the JSON
    asyncio.run(_measured(options))


async def _measured(options: argparse.Namespace) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else UNWATCHED)
    plain: dict[str, list[Any]] = {}
    async for part, rows in measure(options.part or PARTS, options.variant, quick=options.quick):
        plain[part] = [asdict(row) for row in rows]
        if not options.json:
            # at once: whoever stops it has what was measured until then
            show.show(console, part, rows)
    if options.json:
        print(json.dumps(plain, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
