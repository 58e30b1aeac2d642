"""The measured numbers as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.decision import Decided
from bench.kinds import Kind
from bench.measure import Cpu
from bench.parts import Cost, Held, Latency, Lateness, Recovery
from bench.sign_in import Asked
from bench.storage import Night

CPU = ("Temporal", "PostgreSQL", "worker", "together", "caller")


def show(console: Console, part: str, rows: list[Any]) -> None:
    """One table or two of a part."""
    for title, left, header, lines in TABLES[part](rows):
        table = Table(title=title, title_justify="left", box=None, header_style="")
        for n, name in enumerate(header):
            table.add_column(name, justify="left" if n < left else "right")
        for line in lines:
            table.add_row(*(str(cell) for cell in line))
        console.print(table, "")


Lines = tuple[str, int, Sequence[str], list[tuple[Any, ...]]]
"""Title, how many columns are text, header, lines."""


def _ms(cpu: Cpu) -> tuple[str, ...]:
    return tuple(f"{v * 1000:.1f}" for v in (cpu.temporal, cpu.postgres, cpu.worker, cpu.total, cpu.caller))


def _costs(what: str) -> Callable[[list[Cost]], list[Lines]]:
    def tables(rows: list[Cost]) -> list[Lines]:
        lines = [(r.subject, *_ms(r.cpu), f"{r.ratio:.2f}", f"{r.least:.2f}–{r.most:.2f}") for r in rows]
        return [(f"{what}: CPU in ms", 1, ("", *CPU, "× bare", "eight of ten"), lines)]

    return tables


def _kinds(rows: list[Kind]) -> list[Lines]:
    cases = [
        (
            r.kind,
            r.until,
            r.events,
            r.activities,
            r.at_once,
            r.workflow_tasks,
            f"{r.history_bytes / 1024:.1f}",
            r.seconds,
        )
        for r in rows
    ]
    activities = [
        ("" if n else r.kind, a.activity, a.runs, a.statements, a.commits)
        for r in rows
        for n, a in enumerate(r.by_activity)
    ]
    header = ("case", "until", "events", "activities", "at once", "workflow tasks", "history kB", "seconds")
    return [
        ("One straight-through case", 2, header, cases),
        ("Its activities", 2, ("case", "activity", "runs", "statements", "commits"), activities),
    ]


def _latency(rows: list[Latency]) -> list[Lines]:
    lines = [(r.subject, f"{r.median:.0f}", f"{r.p99:.0f}") for r in rows]
    return [("From message to answer, one at a time: ms", 1, ("", "median", "99 %"), lines)]


def _recovery(rows: list[Recovery]) -> list[Lines]:
    lines = [
        (
            *(r.subject, r.what, r.rounds * r.cases, f"{r.first:.1f}", f"{r.last:.1f}", f"{r.worst:.1f}"),
            *((r.acknowledged, r.lost) if r.acknowledged else ("", "")),
        )
        for r in rows
    ]
    header = ("", "when killed", "cases", "first", "last", "worst", "answered", "lost")
    return [("After SIGKILL, from the start of the new process: seconds", 2, header, lines)]


def _timers(rows: list[Lateness]) -> list[Lines]:
    lines = [(r.subject, r.timers, f"{r.median:.1f}", f"{r.p99:.1f}", f"{r.most:.1f}", *_ms(r.cpu)) for r in rows]
    header = ("", "timers", "median s", "99 % s", "last s", *CPU)
    return [("Timers due at one instant: lateness, and CPU in ms for each", 1, header, lines)]


def _held(rows: list[Held]) -> list[Lines]:
    lines = [
        (
            *(r.subject, r.cases, f"{r.worker:.0f}", f"{r.temporal:.0f}"),
            *(f"{v:.1f}" for v in (r.idle.temporal, r.idle.postgres, r.idle.worker)),
            _ms(r.cpu_of_opening)[3] if r.cases else "",
        )
        for r in rows
    ]
    header = (
        "",
        "open",
        "worker MB",
        "Temporal MB",
        "idle: Temporal %",
        "PostgreSQL %",
        "worker %",
        "opening, ms each",
    )
    return [("Open cases: memory, and idle CPU in percent of a core", 1, header, lines)]


def _sign_in(rows: list[Asked]) -> list[Lines]:
    lines = [
        (
            r.subject,
            *(f"{v * 1000:.2f}" for v in (r.median, r.nine_of_ten)),
            f"{r.ratio:.1f}",
            f"{r.cpu * 1000:.2f}",
        )
        for r in rows
    ]
    header = ("", "median ms", "90 % ms", "× bare", "caller's CPU ms")
    return [("May this user sign in: one question at a time", 1, header, lines)]


def _decision(rows: list[Decided]) -> list[Lines]:
    lines = [
        (
            *(r.said, f"{r.clients:,}", "" if r.opened is None else f"{r.opened:.1f}"),
            *(f"{r.told:.1f}", f"{r.shown:.1f}", r.events, r.steps, r.children),
            *(f"{r.cpu * 1000:.0f}", f"{r.before:.0f}", f"{r.most:.0f}"),
        )
        for r in rows
    ]
    header = (
        *("said for all", "clients", "last opened s", "last told s", "all shown s"),
        *("events", "steps", "children", "CPU ms each", "worker MB", "at most"),
    )
    return [("A decision for everybody: its small case, and how soon each client has one", 1, header, lines)]


def _storage(rows: list[Night]) -> list[Lines]:
    lines = [(r.subject, f"{r.records:,}", f"{r.seconds:.1f}", f"{r.cpu:.1f}", f"{r.grown:.0f}") for r in rows]
    return [("A night over the storage terms", 1, ("", "records", "seconds", "CPU s", "MB grown"), lines)]


TABLES: dict[str, Callable[[list[Any]], list[Lines]]] = {
    "kinds": _kinds,
    "sign_in": _sign_in,
    "decision": _decision,
    "storage": _storage,
    "transitions": _costs("One more message, from the update to its record"),
    "lives": _costs("A whole case"),
    "latency": _latency,
    "recovery": _recovery,
    "timers": _timers,
    "held": _held,
}
