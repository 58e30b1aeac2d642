"""Count cases of the vector format from a file; needs no server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from models.keepable import unkeepable
from operations.reading_json import Item
from rules.period import count_case


def count(items: Iterable[Item]) -> list[dict[str, Any]]:
    """For each item, in order: `id`, `due_date`, `due_instant_utc`, `derivation`; or `id` and `error`.

    Faults never mix: an item that is no JSON has the id None.
    """
    return [_count(item) for item in items]


def _count(item: Item) -> dict[str, Any]:
    name = item.value.get("id") if isinstance(item.value, dict) else None
    name = name if isinstance(name, str | int) and not unkeepable(name) else None
    if item.faults:
        return {"id": name, "error": item.where + "; ".join(item.faults)}
    try:
        return count_case(item.value)
    except ValueError as e:
        return {"id": name, "error": str(e)}
