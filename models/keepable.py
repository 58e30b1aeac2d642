"""What of JSON nobody can keep: a NUL, half a character, a number without end, a nesting without bottom.

Each would fail the database or a converter at every try, and so hang the case that carries it.
"""

from __future__ import annotations

import math
from typing import Any

DEEPEST = 50
"""No message is nested deeper."""
LARGEST = 10**100
"""No amount, day or number of days is larger."""


def unkeepable(value: Any) -> list[str]:
    """Every fault of this kind, with its path and without its value; asked without recursion."""
    faults = []
    left: list[tuple[str, Any, int]] = [("", value, 0)]
    while left:
        path, one, depth = left.pop()
        if depth > DEEPEST:
            return [f"nested deeper than {DEEPEST}"]
        if isinstance(one, dict):
            for key, inner in one.items():
                faults += [f"{path or 'object'}: a key {fault}" for fault in _faults(key)]
                left.append((f"{path}.{printable(key)}".lstrip("."), inner, depth + 1))
        elif isinstance(one, list | tuple):
            left += [(f"{path}.{number}".lstrip("."), inner, depth + 1) for number, inner in enumerate(one)]
        else:
            faults += [f"{path or 'value'}: {fault}" for fault in _faults(one)]
    return sorted(faults)


def printable(key: Any) -> str:
    """A key as it can stand in a fault."""
    text = str(key).replace("\x00", "␀").encode("utf-8", "replace").decode()
    return text if len(text) <= 60 else text[:57] + "…"  # noqa: PLR2004  # as much as a line of text bears


def _faults(one: Any) -> list[str]:
    if isinstance(one, str):
        if "\x00" in one:
            return ["holds the character U+0000, which cannot be kept"]
        if any("\ud800" <= c <= "\udfff" for c in one):
            return ["holds half a character (a lone surrogate), which cannot be kept"]
    elif isinstance(one, float) and not math.isfinite(one):
        return ["is no finite number"]
    elif isinstance(one, int) and abs(one) >= LARGEST:
        return ["is too large a number"]
    return []
