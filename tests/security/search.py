"""Searching every byte: planted texts in every form in which a store, a protocol or a dump may write them."""

from __future__ import annotations

import base64
import gzip
import json
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PERSONAL = frozenset(
    {"name", "first_name", "last_name", "email", "phone", "personal_code", "iban", "description", "place"}
)
"""Fields whose values are personal, wherever they stand in what is filed or said."""
PUBLIC = frozenset({"terms", "territory", "insured_activity"})
"""Fields of what is filed or said whose words name nobody: sublimits, countries, a trade that a policy covers."""
PART = re.compile(r"-?\d+[dh] \d\d:\d\d")
"""An instant as samples write it, with a blank in it."""
SHORTEST = 7
"""Characters: a shorter text is found by accident in some megabytes of ciphertext."""


def forms(text: str) -> dict[str, bytes]:
    """Name of a form → the bytes to look for."""
    raw = text.encode()
    found = {
        "as it is": raw,
        "in capitals": text.upper().encode(),
        "in small letters": text.lower().encode(),
        "JSON-escaped": json.dumps(text)[1:-1].encode(),
        "JSON-escaped in JSON": json.dumps(json.dumps(text)[1:-1])[1:-1].encode(),
        "UTF-16 LE": text.encode("utf-16-le"),
        "UTF-16 BE": text.encode("utf-16-be"),
        "hexadecimal": raw.hex().encode(),
        "reversed": raw[::-1],
    }
    for offset in range(3):
        # the characters that depend on what stands around it are cut off at both ends
        encoded = base64.b64encode(b"\0" * offset + raw)
        begins = (0, 2, 3)[offset]
        ends = len(encoded) - (0, 3, 2)[(offset + len(raw)) % 3]
        core = encoded[begins:ends].rstrip(b"=")
        found[f"base64 at {offset}"] = core
        found[f"URL-safe base64 at {offset}"] = core.replace(b"+", b"-").replace(b"/", b"_")
    return found


class Search:
    """Looks for planted texts."""

    def __init__(self, plants: Iterable[str]) -> None:
        self.plants = sorted({plant for plant in plants if len(plant) >= SHORTEST})
        # some forms of a text are the same bytes: one name is enough
        self._forms = {bytes_: (plant, name) for plant in self.plants for name, bytes_ in forms(plant).items()}

    def within(self, data: bytes) -> set[tuple[str, str]]:
        """The plants in these bytes, and in what is compressed in them: plant and form."""
        found = {whose for bytes_, whose in self._forms.items() if bytes_ in data}
        for opened in _decompressed(data):
            found |= {(plant, f"compressed, {form}") for plant, form in self.within(opened)}
        return found

    def under(self, folder: Path, *aside: Path) -> dict[str, set[tuple[str, str]]]:
        """File → what is found in it, its name included; without the folders that are set aside."""
        found = {}
        for path in sorted(folder.rglob("*")):
            if any(path.is_relative_to(one) for one in aside):
                continue
            here = self.within(str(path.relative_to(folder)).encode())
            if path.is_file() and not path.is_symlink():
                here |= self.within(path.read_bytes())
            if here:
                found[str(path.relative_to(folder))] = here
        return found


def _decompressed(data: bytes) -> Iterator[bytes]:
    """What is compressed at the beginning of these bytes."""
    for magic, open_ in ((b"\x1f\x8b", gzip.decompress), (b"\x78", zlib.decompress), (b"\xfd7zXZ", lzma.decompress)):
        if data.startswith(magic):
            try:
                yield open_(data)
            except (OSError, EOFError, zlib.error, lzma.LZMAError):
                continue


def personal(value: Any, field: str = "") -> Iterator[str]:
    """Every personal text of a filing or message: known by its field, or by its blanks as what somebody wrote freely.

    A code, a reference and a date have none: so a new field of free text is planted without being named here.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in PUBLIC:
                continue
            yield from personal(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from personal(inner, field)
    elif isinstance(value, str) and (field in PERSONAL or (" " in value and not PART.fullmatch(value))):
        yield value
