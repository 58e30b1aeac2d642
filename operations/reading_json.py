"""JSON from files and pipes: one object, an array, or an object a line; a fault holds back its own item only."""

from __future__ import annotations

import json
import math
from typing import Any

from models.common import Model
from models.keepable import DEEPEST, printable, unkeepable

MOST_DIGITS = 100
"""No amount, date or number of days is longer; Python itself stops at 4,300 with an error of its own."""
BYTE_ORDER_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


class Item(Model):
    """One JSON value as it came, or why it could not be read."""

    line: int | None = None
    """Where it begins, where there are many; the first is 1."""
    value: Any = None
    faults: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """`line 3: ` before a fault, where there are many."""
        return f"line {self.line}: " if self.line is not None else ""


def read(data: bytes) -> list[Item]:
    """Every item of a file, in order. An empty file has one item with this fault."""
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return [Item(faults=(f"the text is {encoding}; save it as UTF-8",))]
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\x00" in data:
        return [Item(faults=("the text holds zero bytes, so it is no UTF-8 (perhaps UTF-16); save it as UTF-8",))]
    lines = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    if not lines:
        return [Item(faults=("there is nothing in it: one JSON object is needed",))]
    if _is_json(data) or _is_one_document([line for _, line in lines]):
        whole = _item(data, None)
        if whole.faults or not isinstance(whole.value, list):
            return [whole]
        # faults of an array are found for all of it at once, so each of its items is sound here
        return [Item(line=number, value=value) for number, value in enumerate(whole.value, 1)] or [
            Item(faults=("the array is empty",))
        ]
    return [_item(line, number) for number, line in lines]


def _is_json(data: bytes) -> bool:
    """Whether all of it together is one value, however its lines are broken."""
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _is_one_document(lines: list[bytes]) -> bool:
    """Whether lines with a fault are meant as one value; each could be one where it begins and ends like an object."""
    if len(lines) == 1:
        return True
    first = lines[0].strip()
    if first.endswith((b",", b"[", b"{", b":")):
        return True
    if first.startswith(b"["):
        return not first.endswith(b"]")
    return first.startswith(b"{") and not first.endswith(b"}") and not any(line.startswith(b"{") for line in lines[1:])


def _item(data: bytes, line: int | None) -> Item:
    try:
        text = data.decode()
    except UnicodeDecodeError as e:
        before = data[: e.start].split(b"\n")
        place = f"byte {len(before[-1]) + 1}" + (f" of line {len(before)}" if line is None else "")
        return Item(line=line, faults=(f"not UTF-8 at {place}; save it as UTF-8",))
    value, faults = parse(text)
    return Item(line=line, value=value, faults=tuple(faults))


def parse(text: str) -> tuple[Any, list[str]]:
    """One JSON value and its faults: not JSON, a key given twice, NaN, a number or a text that nobody can keep."""
    faults: list[str] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(found)
        if len(out) < len(found):
            keys = [key for key, _ in found]
            faults.extend(f"{printable(key)}: this key is given twice" for key in out if keys.count(key) > 1)
        return out

    def constant(name: str) -> None:
        faults.append(f"{name} is no number in JSON")

    def whole(digits: str) -> int:
        if len(digits) > MOST_DIGITS:
            faults.append(f"a number of {len(digits)} digits is too large")
            return 0
        return int(digits)

    def real(digits: str) -> float:
        number = float(digits)
        if math.isinf(number):
            faults.append(f"the number {printable(digits)} is too large")
            return 0.0
        return number

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_int=whole, parse_float=real)
    except json.JSONDecodeError as e:
        place = f"line {e.lineno}, " if "\n" in text.strip() else ""
        return None, [f"not JSON: {e.msg} ({place}character {e.colno})"]
    except RecursionError:
        return None, [f"nested deeper than {DEEPEST}"]
    faults += unkeepable(value)
    return value, faults
