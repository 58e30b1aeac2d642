"""What of JSON nobody can keep: a NUL, half a character, a number without end, a nesting without bottom.

Each would fail the database or a converter at every try, and so hang the case that carries it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

DEEPEST = 50
"""No message is nested deeper."""
LARGEST = 10**100
"""No amount, day or number of days is larger."""
LONGEST = 4_000_000
"""Characters of everything that arrives at once."""
MOST = 300
"""Items of a list: claimants, users, losses. Each can mean a letter, and a step must fit into what the engine takes."""
MOST_SAID = 200_000
"""Characters of a message."""
_FIELD = re.compile(r"(?!.*\d{5})[A-Za-z0-9_.-]{1,40}", re.ASCII)
"""No blanks, no accents, no run of digits that could be a personal code."""


def unkeepable(value: Any) -> list[str]:
    """Every fault of this kind, with its path and without its value; asked without recursion."""
    faults = []
    length = 0
    left: list[tuple[str, Any, int]] = [("", value, 0)]
    while left:
        path, one, depth = left.pop()
        length += len(one) if isinstance(one, str | dict | list | tuple) else 1
        if length > LONGEST:
            return [f"larger than {LONGEST} characters"]
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


def too_much(value: Any) -> list[str]:
    """What no step could hold: a list that is too long, or too much text."""
    faults, length = [], 0
    left: list[tuple[str, Any]] = [("", value)]
    while left:
        path, one = left.pop()
        if isinstance(one, str):
            length += len(one)
        elif isinstance(one, dict | list | tuple):
            if len(one) > MOST:
                faults.append(f"{path or 'object'}: more than {MOST}")
                continue
            inner = one.items() if isinstance(one, dict) else enumerate(one)
            left += [(f"{path}.{printable(key)}".lstrip("."), each) for key, each in inner]
    return [*sorted(faults), *([f"more than {MOST_SAID} characters"] if length > MOST_SAID else [])]


def printable(key: Any) -> str:
    """A key as it can stand in a fault: only what can be the name of a field, for anybody may read a fault."""
    return text if _FIELD.fullmatch(text := str(key)) else "(no field's name)"


def path_of(parts: Iterable[Any]) -> str:
    """Where a fault is: `claimants.0.email`."""
    return ".".join(printable(part) for part in parts)


_DAY = "a day is needed, such as 2026-12-24"
_INSTANT = "a date and time with offset is needed, such as 2026-11-21T10:00+02:00"
_OBJECT = "a JSON object is needed"
_IN_WORDS = {
    "date_type": _DAY,
    "date_parsing": _DAY,
    "date_from_datetime_parsing": _DAY,
    "date_from_datetime_inexact": _DAY,
    "datetime_type": _INSTANT,
    "datetime_parsing": _INSTANT,
    "datetime_from_date_parsing": _INSTANT,
    "timezone_aware": _INSTANT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dict_type": _OBJECT,
    "extra_forbidden": "unknown field",
}
"""Kinds of a fault whose own text is for programmers."""
_EMPTY = "String should have at least 1 character"


def in_words(error: Mapping[str, Any]) -> str:
    """What is wrong, of one error of a validation: without the value and without the field."""
    text = str(error["msg"]).removeprefix("Value error, ")
    return "must not be empty" if text == _EMPTY else _IN_WORDS.get(error["type"], text)


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
