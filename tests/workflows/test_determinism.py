"""What the sandbox would keep out of workflow code, found by reading it: clocks, dice, files, threads, unordered walks.

Workflows run without the sandbox (decision 0021); ruff's banned names say the same while one writes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.py"))

MODULES = frozenset(
    {"__future__", "asyncio", "collections.abc", "contextlib", "dataclasses", "datetime", "decimal", "enum", "json"}
    | {"re", "typing"}
)
"""Of the standard library: what neither waits, asks nor remembers."""
OWN = ("activities.", "models", "workflows", "temporalio")
CALLS = frozenset(
    {"open", "print", "input", "id", "hash", "globals", "exec", "eval", "compile", "__import__", "vars"}
    | {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "asyncio.wait", "asyncio.as_completed"}
    | {"asyncio.to_thread", "asyncio.run", "asyncio.get_running_loop", "asyncio.Lock", "asyncio.Queue"}
)
"""What differs from run to run, or is not the workflow's own loop."""


def imports(tree: ast.AST) -> Iterator[str]:
    """The modules that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


def faults(source: str) -> list[str]:
    """What is not deterministic, or may not be, with its line."""
    tree = ast.parse(source)
    found = [f"import {name}" for name in imports(tree) if name not in MODULES and not name.startswith(OWN)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in CALLS:
            found.append(f"{node.lineno}: {ast.unparse(node.func)}")
        if isinstance(node, ast.Global | ast.Nonlocal):
            found.append(f"{node.lineno}: {ast.unparse(node)}")
        walked = [node.iter] if isinstance(node, ast.For | ast.comprehension | ast.AsyncFor) else []
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"list", "tuple", "next", "enumerate", "zip"}:
            walked += node.args
        found += [f"{one.lineno}: a set has no order: {ast.unparse(one)}" for one in walked if _is_set(one)]
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.List | ast.Dict | ast.Set):
            found.append(f"{node.lineno}: a value that all runs share and could change")
    return found


def _is_set(node: ast.expr) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub | ast.BitOr | ast.BitAnd | ast.BitXor):
        return _is_set(node.left) or _is_set(node.right)
    return isinstance(node, ast.Call) and ast.unparse(node.func) in {"set", "frozenset"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_does_only_what_replays_the_same(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import random",
        "from os import environ",
        "x = datetime.now()",
        "for one in {1, 2}: pass",
        "for one in set(a) - b: pass",
        "x = [one for one in {a for a in b}]",
        "x = list(set(a))",
        "x = next(iter(a)); open('f')",
        "seen = []",
        "def f():\n    global seen",
        "from rules.period import count",
        "asyncio.to_thread(f)",
    ],
)
def test_what_does_not_replay_is_found(source: str) -> None:
    assert faults(source)
