"""Policies, clients, consents or people from CSV, a row each: columns named in the first row become fields."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from typing import Any

from models.keepable import printable
from operations.reading_json import BYTE_ORDER_MARKS, Item

POLICY: dict[str, tuple[str, ...]] = {
    "policy": ("policy",),
    "organisation": ("organisation",),
    "policyholder": ("policyholder", "name"),
    "policyholder_email": ("policyholder", "email"),
    "policyholder_language": ("policyholder", "language"),
    "insured": ("insured", "name"),
    "insured_email": ("insured", "email"),
    "insured_language": ("insured", "language"),
    "co_insured": ("co_insured",),
    "insured_activity": ("insured_activity",),
    "starts_on": ("starts_on",),
    "ends_on": ("ends_on",),
    "retroactive_from": ("retroactive_from",),
    "extended_reporting_days": ("extended_reporting_days",),
    "territory": ("territory",),
    "limit_per_occurrence": ("terms", "limit_per_occurrence"),
    "limit_aggregate": ("terms", "limit_aggregate"),
    "limit_per_person": ("terms", "limit_per_person"),
    "deductible": ("terms", "deductible", "value"),
    "deductible_kind": ("terms", "deductible", "kind"),
    "deductible_basis": ("terms", "deductible", "basis"),
    "instalments": ("terms", "instalments"),
    "unpaid_premium": ("terms", "unpaid_premium"),
    "exclusions": ("exclusions",),
    "premium": ("premium",),
    "payments": ("payments",),
    "conclusion_share": ("conclusion_share",),
}
"""Column → where its value goes. `co_insured`: names between `|`. `premium`: `2026-01-15=300.00|2026-07-15=300.00`;
`payments`: `reference=2026-01-10=300.00|…`; `exclusions`: `4.1.20=bought_back|4.1.7=changed=its text`."""
CLIENT: dict[str, tuple[str, ...]] = {
    "client": ("client",),
    "organisation": ("organisation",),
    "name": ("name",),
    "language": ("language",),
    "responsible": ("responsible", "name"),
    "responsible_email": ("responsible", "email"),
    "responsible_code": ("responsible", "code"),
    "requesters": ("requesters",),
    "login_data_agreed": ("login_data_agreed",),
    "contract": ("contract",),
    "contract_from": ("contract_from",),
    "contract_until": ("contract_until",),
    "addresses": ("addresses",),
    "any_address_by": ("any_address", "by"),
    "any_address_on": ("any_address", "on"),
    "any_address_reference": ("any_address", "reference"),
    "authenticators": ("authenticators",),
}
"""`requesters`: `Name=address=role|…`, the role `requester` if it is left out. `addresses` and `authenticators`: what
stands between `|`."""
CONSENT: dict[str, tuple[str, ...]] = {
    "consent": ("consent",),
    "organisation": ("organisation",),
    "purpose": ("purpose",),
    "channels": ("channels",),
    "about": ("about",),
    "name": ("person", "name"),
    "personal_code": ("person", "personal_code"),
    "email": ("person", "email"),
    "phone": ("person", "phone"),
    "address": ("person", "address"),
    "given_at": ("given_at",),
    "given_by": ("given_by",),
    "text_version": ("text_version",),
    "text_sha256": ("text_sha256",),
    "notice_version": ("notice_version",),
    "informed_at": ("informed_at",),
    "proof": ("proof",),
}
"""`channels`: what stands between `|`."""
RECIPIENT: dict[str, tuple[str, ...]] = {name: (name,) for name in ("name", "email", "address", "language")}
"""Somebody who is to be told of a breach."""
AMOUNTS = frozenset(
    {"limit_per_occurrence", "limit_aggregate", "limit_per_person", "deductible", "unpaid_premium", "conclusion_share"}
)
_COMMA = re.compile(r"^(\d+),(\d{1,2})$")
"""Decimal comma, as spreadsheets of the three countries write it. What could be a thousand's comma stays a fault."""
_BOOLEANS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def read(data: bytes, columns: Mapping[str, tuple[str, ...]] = POLICY) -> list[Item]:
    """Every row, in order, numbered as a spreadsheet does (the names of the columns are row 1)."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return [Item(faults=(f"the text is {encoding}; save it as UTF-8",))]
    try:
        text = data.decode()
    except UnicodeDecodeError as e:
        return [Item(faults=(f"not UTF-8 at byte {e.start + 1}; save it as UTF-8",))]
    first = text.partition("\n")[0]
    separator = max(";,\t", key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as e:
        return [Item(faults=(f"no CSV: {e}",))]
    if not rows or not any(rows[0]):
        return [Item(faults=("there is nothing in it: the first row names the columns",))]
    names = [name.strip().lower() for name in rows[0]]
    faults = [f"{printable(name)}: no such column" for name in names if name not in columns]
    faults += [f"{name}: this column is there twice" for name in columns if names.count(name) > 1]
    if faults:
        return [Item(line=1, faults=tuple(faults))]
    filled = [(number, row) for number, row in enumerate(rows[1:], 2) if any(cell.strip() for cell in row)]
    items = [_item(number, names, row, columns) for number, row in filled]
    return items or [Item(faults=("there is no row below the names of the columns",))]


def _item(number: int, names: list[str], row: list[str], columns: Mapping[str, tuple[str, ...]]) -> Item:
    if len(row) != len(names):
        return Item(line=number, faults=(f"{len(row)} cells, not {len(names)}",))
    value: dict[str, Any] = {}
    for name, cell in zip(names, map(str.strip, row), strict=True):
        if not cell:
            continue
        *path, last = columns[name]
        inner = value
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = _value(name, cell)
    return Item(line=number, value=value)


def _value(name: str, cell: str) -> Any:
    """The value of a cell as JSON has it; what cannot be read stays as it is, and is a fault there."""
    match name:
        case "co_insured":
            return [{"name": part.strip()} for part in cell.split("|")]
        case "premium":
            return [_pair(part, "due_on", "amount") for part in cell.split("|")]
        case "payments":
            return [_pair(part, "reference", "paid_on", "amount") for part in cell.split("|")]
        case "exclusions":
            return [_pair(part, "code", "state", "text") for part in cell.split("|")]
        case "requesters":
            return [_pair(part, "name", "email", "role") for part in cell.split("|")]
        case "addresses" | "authenticators" | "channels":
            return [part.strip() for part in cell.split("|")]
        case "instalments" | "login_data_agreed":
            return _BOOLEANS.get(cell.lower(), cell)
        case "extended_reporting_days":
            return int(cell) if cell.isascii() and cell.isdigit() and len(cell) < 10 else cell  # noqa: PLR2004  # digits
        case _:
            return _amount(cell) if name in AMOUNTS else cell


def _pair(part: str, *fields: str) -> dict[str, str]:
    values = part.split("=", len(fields) - 1)
    named = {field: value.strip() for field, value in zip(fields, values, strict=False)}
    return {f: _amount(v) if f == "amount" else v for f, v in named.items()}


def _amount(cell: str) -> str:
    return _COMMA.sub(r"\1.\2", cell)
