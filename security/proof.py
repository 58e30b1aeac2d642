"""Evidence: the hash chain of a case's timeline, its hash tree over all cases, and the installation's signature.

A link covers everything of a step that is not sealed, and a commitment: a hash over the whole step, what is sealed
too, with a salt that lies under the case's key. So the chain still holds when the key is destroyed, and then nobody can
try names against it; and while the key lives, nobody makes a commitment without it. `verify.py` checks all of it anew,
from its own lines.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from security.keys import SIGNING, DataKey, Keyring

FILING = ("case", "kind", "organisation", "reference", "received_at", "recorded_at", "parent")
FILING_SEALED = ("sender", "sender_reference", "content", "faults")
ENTRY = (
    "case",
    "step",
    "digest",
    "at",
    "recorded_at",
    "stage",
    "entry",
    "duty",
    "actor",
    "message",
    "message_id",
    "clocks",
)
ENTRY_SEALED = ("facts", "details", "answer")
COUNTED = (
    "kind",
    "can_be_late",
    "anchor_at",
    "due",
    "latest",
    "last_day",
    "latest_day",
    "spans",
    "rulebook_version",
    "calendar_version",
    "derivation",
)
"""What a clock was counted with and to; each change of a clock in the timeline carries the hash of it."""

START = b"termins chain 1\0"
PROOF = "termins proof 1"
CHECKPOINT = "termins checkpoint 1"
"""What a signed body is; the signature covers these words too."""

LEAF, NODE = b"\0", b"\1"


# ---- the chain ------------------------------------------------------------------------------------------------------


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value: keys in order, no blanks, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=plain).encode()


def plain(value: Any) -> str:
    """What JSON has no word for: instants in UTC to the microsecond, days, and bytes in hexadecimal.

    Raises:
        TypeError: It is something else.
    """
    match value:
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        case date():
            return value.isoformat()
        case bytes():
            return value.hex()
    raise TypeError(type(value).__name__)


def values(row: Any, fields: Iterable[str]) -> dict[str, Any]:
    """These fields of a row."""
    return {name: getattr(row, name) for name in fields}


def salt(key: DataKey, step: int) -> bytes:
    """The salt of a step's commitment, 0 for the filing; it goes when the case's key goes."""
    return hmac.digest(key.derived(b"salt"), step.to_bytes(8), "sha256")


def commitment(key: DataKey, step: int, whole: Mapping[str, Any]) -> bytes:
    """What stands for a step, or the filing, with its personal part once that is gone."""
    return hashlib.sha256(salt(key, step) + canonical(whole)).digest()


def of_filing(key: DataKey, filing: Any) -> bytes:
    """The commitment to a filing, from its intake row."""
    return commitment(key, 0, values(filing, (*FILING, *FILING_SEALED)))


def of_entry(key: DataKey, entry: Any) -> bytes:
    """The commitment to a step, from its timeline row."""
    return commitment(key, entry.step, values(entry, (*ENTRY, *ENTRY_SEALED)))


def first_link(filing: Any, committed: bytes) -> bytes:
    """The link before the first step, over the intake row."""
    return hashlib.sha256(START + canonical({**values(filing, FILING), "commitment": committed})).digest()


def next_link(previous: bytes, entry: Any) -> bytes:
    """The link of a timeline row, whose commitment is set."""
    return hashlib.sha256(previous + canonical(values(entry, (*ENTRY, "commitment")))).digest()


def counted(clock: Any) -> str:
    """The hash over what a clock was counted with, in hexadecimal."""
    return hashlib.sha256(canonical(values(clock, COUNTED))).hexdigest()


# ---- the tree over all cases ----------------------------------------------------------------------------------------


def leaf(case: str, count: int, head: bytes) -> bytes:
    """A case's leaf: its id, the number of its steps, its last link."""
    return hashlib.sha256(LEAF + f"{case} {count} {head.hex()}".encode()).digest()


def levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """The tree from the leaves up; a node without a sister goes up as it is. The root of no leaves is 32 zero bytes."""
    tree = [list(leaves) or [bytes(32)]]
    while len(below := tree[-1]) > 1:
        pairs = [hashlib.sha256(NODE + below[i] + below[i + 1]).digest() for i in range(0, len(below) - 1, 2)]
        tree.append([*pairs, *below[len(pairs) * 2 :]])
    return tree


def path(tree: Sequence[Sequence[bytes]], index: int) -> list[list[str]]:
    """The way from a leaf to the root: on which side the sister of each node is, and her hash."""
    way = []
    for level in tree[:-1]:
        if (sister := index ^ 1) < len(level):
            way.append(["left" if sister < index else "right", level[sister].hex()])
        index //= 2
    return way


# ---- the signature --------------------------------------------------------------------------------------------------


class Signer:
    """The installation's Ed25519 key, made from a key of the key store: wrapped there, rotated with the others."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    async def of(cls, keyring: Keyring) -> Signer:
        """The signer of an installation.

        Raises:
            NoKey: It was never set up.
        """
        return cls(Ed25519PrivateKey.from_private_bytes((await keyring.of(SIGNING)).derived(b"signing")))

    @property
    def public_key(self) -> str:
        """32 bytes in hexadecimal; whoever verifies needs nothing else."""
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def sign(self, what: str, body: Mapping[str, Any]) -> bytes:
        """One line of JSON: the body, and the signature over exactly its bytes."""
        signed = canonical({"what": what, **body})
        signature = self._key.sign(what.encode() + b"\0" + signed).hex()
        return b'{"body":%s,"public_key":"%s","signature":"%s"}\n' % (
            signed,
            self.public_key.encode(),
            signature.encode(),
        )
