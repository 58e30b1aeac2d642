"""What may be shown without naming anybody: codes, numbers and instants; never what people wrote in their own words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from models.names import PERSONAL_CODE

_CODE = re.compile(r"[a-z0-9][a-z0-9_.:+-]*|[A-Z]+[0-9A-Z-]*[0-9][0-9A-Za-z.:_-]*|\d{4}-\d\d-\d\d[T ][0-9:.+Z-]+")
"""How a code, a number or an instant looks; never a sentence."""
_FREE = frozenset(
    {
        *("reference", "reason", "reasons", "text", "named", "file_name", "by_words"),
        *("name", "first_name", "last_name", "email", "phone", "personal_code", "iban", "description"),
    }
)
"""Facts that people write freely, or that are a person's, whatever they look like."""


def text(value: str | None) -> str | None:
    """A text that can be a code of ours or of a bank, or the words of somebody; only the code."""
    return value if value is not None and _CODE.fullmatch(value) and not PERSONAL_CODE.search(value) else None


def facts(said: Mapping[str, Any]) -> dict[str, Any]:
    """What of facts cannot have been written freely."""
    kept = {name: _kept(name, value) for name, value in said.items()}
    return {name: value for name, value in kept.items() if value not in (None, [], {})}


def evidence(said: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What proves a duty kept, with the reference of a system but not of a person, and who stands for a correction."""
    if said is None:
        return None
    kept = {name: said[name] for name in ("kind", "happened_at", "happened_on", "by_person") if name in said}
    if not said.get("by_person") and said.get("reference"):
        kept["reference"] = said["reference"]
    if correction := said.get("correction"):
        kept["correction"] = {"second_person": correction.get("second_person")}
    return kept


def words(said: Any) -> Any:
    """The same JSON without what people gave as a reason or added in words."""
    match said:
        case dict():
            return {name: words(value) for name, value in said.items() if name not in ("reason", "text")}
        case list():
            return [words(value) for value in said]
        case _:
            return said


_OF_CLIENT = frozenset({"name", "responsible", "requesters", "any_address", "reason"})
"""Of a client's facts: its own name, its people, who agreed to any address, and why something changed."""


def client(said: Mapping[str, Any]) -> dict[str, Any]:
    """A client's facts without whom they name."""
    return {name: value for name, value in said.items() if name not in _OF_CLIENT}


def _kept(name: str, value: Any) -> Any:
    if name in _FREE:
        return None
    match value:
        case bool() | int() | float():
            return value
        case str():
            return text(value)
        case list():
            return [kept for inner in value if (kept := _kept("", inner)) is not None]
        case dict():
            return facts({key: inner for key, inner in value.items() if _CODE.fullmatch(key)})
        case _:
            return None
