"""The payload codec: everything that goes into a history is sealed with its case's key.

The key is that of the workflow id in the serialization context; its id travels in the payload's metadata, so that
reading needs no context. A payload that arrived in clear is marked, for the case to refuse.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Self

from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

from models.converter import IN_CLEAR, ORIGIN, UNREADABLE
from models.errors import Unreadable
from models.names import split_case_id
from security.keys import INSTALLATION, DataKey, KeyDestroyed, Keyring, NoKey

ENCODING = b"binary/encrypted"
CIPHER = b"AES-256-GCM"
KEY = "key"
USE = b"payload"

WasFiled = Callable[[str], Awaitable[bool]]
"""Whether a case was filed, and not erased since; the store knows."""

ERASED = Payload(metadata={"encoding": b"json/plain"}, data=b'"<erased>"')
"""What is read of a case whose key is destroyed."""


class CaseCodec(PayloadCodec, WithSerializationContext):
    """AES-256-GCM with a key for each case; the installation's key for what is no case.

    A case without a key is one that was not filed, or was erased: a worker answers it under the installation's key
    (references, field names and fault codes only), a client refuses, so that no filing goes past intake. What cannot be
    opened is an error for a client; to a worker it comes as unreadable, for the case to refuse: an error would fail the
    task at every try, and so anybody who sends a broken payload could hang a case.

    A filed case without a key has lost it (an older backup of the keys was restored). That is an error for a worker
    too: its task fails, is shown as stuck, and is tried again until the key is back. Else a filing would be refused
    that stays in the intake, and what is personal would be sealed by a key that outlives the case.
    """

    def __init__(self, keyring: Keyring, *, filed: WasFiled | None = None, case: str | None = None) -> None:
        """`filed` makes it the codec of a worker."""
        self._keyring = keyring
        self._filed = filed
        self._case = case

    def with_context(self, context: SerializationContext) -> Self:
        """The codec for the workflow of this context."""
        if isinstance(context, WorkflowSerializationContext | ActivitySerializationContext):
            return type(self)(self._keyring, filed=self._filed, case=_case(context.workflow_id))
        return self

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Seal.

        Raises:
            KeyDestroyed: The case was erased (and this is the codec of a client).
            NoKey: The case was not filed (and this is the codec of a client), or it was and its key is lost.
        """
        if not payloads:
            return []
        key = await self._key()
        return [seal(key, payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Open what is sealed; mark what came in clear; `<erased>` where the key is destroyed.

        Raises:
            Unreadable, NoKey, ValueError, DecodeError: It was changed, or belongs to another installation (and this
                is the codec of a client).
            NoKey: The case was filed and its key is lost.
        """
        return [await self._decode(payload) for payload in payloads]

    async def _decode(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            marked = Payload()
            marked.CopyFrom(payload)
            marked.metadata[ORIGIN] = IN_CLEAR
            return marked
        try:
            key_id = bytes.fromhex(payload.metadata[KEY].decode())
            key = self._keyring.cached_by_id(key_id) or await self._keyring.by_id(key_id)
            # what somebody moved here out of another case opens, but nobody said it to this one
            moved = self._filed is not None and self._case is not None and key.owner not in (self._case, INSTALLATION)
            return UNREADABLE if moved else Payload.FromString(key.open(payload.data, USE))
        except KeyDestroyed:
            return ERASED
        except (Unreadable, NoKey, ValueError, DecodeError):
            if self._filed is None:
                raise
            await self._key()
            return UNREADABLE

    async def _key(self) -> DataKey:
        if self._case is None:
            return self._keyring.cached(INSTALLATION) or await self._keyring.of(INSTALLATION)
        try:
            return self._keyring.cached(self._case) or await self._keyring.of(self._case)
        except (NoKey, KeyDestroyed) as e:
            # a run of a case that was never filed, or was erased, ends in its first step and says references only
            if self._filed is None or (isinstance(e, NoKey) and await self._filed(self._case)):
                raise
            return await self._keyring.of(INSTALLATION)


def seal(key: DataKey, payload: Payload) -> Payload:
    """One payload under a key."""
    return Payload(
        metadata={"encoding": ENCODING, "cipher": CIPHER, KEY: key.id.hex().encode()},
        data=key.seal(payload.SerializeToString(), USE),
    )


def _case(workflow_id: str | None) -> str | None:
    """The case that a workflow id names; None for sweeps and the like."""
    if workflow_id is None:
        return None
    try:
        split_case_id(workflow_id)
    except ValueError:
        return None
    return workflow_id
