"""Keyed hashes: people found without being read, and references made of what senders wrote."""

from __future__ import annotations

import hashlib
import hmac
import re

from security.keys import INDEX, Keyring

USE = b"index"
GIVEN_DIGITS = 16
"""Of a given reference. Of two texts with the same one the second is refused: with a million texts, once in 10⁷."""


async def index_of(keyring: Keyring, kind: str, value: str) -> bytes:
    """The keyed hash of a value of this kind (`personal_code`, `name`), whatever its case, blanks and hyphens."""
    plain = re.sub(r"[\s-]+", "" if kind == "personal_code" else " ", value.strip()).casefold()
    return await _hash(keyring, kind, plain)


async def reference_of(keyring: Keyring, text: str) -> str:
    """The reference that Termins gives where a sender's text cannot be part of an id: `G-` and hexadecimal digits.

    The same text gives the same one in this installation, by whatever door it comes. The text may be a name or a
    personal code, and ids stay readable for ever: without the key nobody can try out which text it was.
    """
    return "G-" + (await _hash(keyring, "reference", text)).hex()[:GIVEN_DIGITS]


async def _hash(keyring: Keyring, kind: str, text: str) -> bytes:
    key = keyring.cached(INDEX) or await keyring.of(INDEX)
    return hmac.new(key.derived(USE), f"{kind}\0{text}".encode(), hashlib.sha256).digest()
