"""Finding people without reading them: keyed hashes of personal codes and names, in the columns that are looked up."""

from __future__ import annotations

import hashlib
import hmac
import re

from security.keys import INDEX, Keyring

USE = b"index"


async def index_of(keyring: Keyring, kind: str, value: str) -> bytes:
    """The keyed hash of a value of this kind (`personal_code`, `name`), whatever its case, blanks and hyphens."""
    key = keyring.cached(INDEX) or await keyring.of(INDEX)
    plain = re.sub(r"[\s-]+", "" if kind == "personal_code" else " ", value.strip()).casefold()
    return hmac.new(key.derived(USE), f"{kind}\0{plain}".encode(), hashlib.sha256).digest()
