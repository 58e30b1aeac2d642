"""The data converter that every client and worker uses: pydantic's JSON, and no payload that could wedge a case.

The codec (`security.codec`) seals what it makes and marks what came in clear; tests read and replay without it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Self

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverter,
    PayloadCodec,
    PayloadConverter,
    SerializationContext,
    WithSerializationContext,
)
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, FailureError

from models.errors import CAME_IN_CLEAR, InClear

NO_JSON = "a payload that is not JSON"

UNREADABLE = Payload(metadata={"encoding": b"binary/unreadable"})
"""Instead of what cannot be opened or fetched. No converter knows it: untyped it reads as `NO_JSON`."""

ORIGIN = "origin"
IN_CLEAR = b"in clear"
"""How the codec marks a payload that arrived unsealed."""


class TolerantPayloadConverter(PydanticPayloadConverter):
    """Gives untyped arguments that cannot be decoded as a text, for the case to refuse.

    An exception here would fail the workflow task for ever: one bad start by another caller, one wedged case.
    """

    _parts: ClassVar = PydanticPayloadConverter().converters

    def __init__(self) -> None:
        """Of parts that all share: the SDK asks for a converter at each task."""
        self.converters = self._parts

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """As the base class; only where types are named is a fault an error.

        Raises:
            ApplicationError: What is named by type is only ever made by Termins itself, and this came in clear.
            ValueError: It was changed, or its key is not here.
        """
        if type_hints is not None:
            if any(ORIGIN in payload.metadata for payload in payloads):
                raise ApplicationError("a payload of our own came in clear", type=CAME_IN_CLEAR)
            if UNREADABLE in payloads:
                raise ValueError("a payload of our own cannot be opened")
            return super().from_payloads(payloads, type_hints)
        return [self._one(payload) for payload in payloads]

    def _one(self, payload: Payload) -> Any:
        try:
            value = super().from_payloads([payload])[0]
        except Exception:  # noqa: BLE001  # whatever it is, it is no message
            value = NO_JSON
        return InClear(value) if ORIGIN in payload.metadata else value


OWN = ("activities.", "integrations.", "models.", "operations.", "rules.", "workflows.")
"""Modules whose errors name fields and codes, never values."""


UNKNOWN = re.compile(r"Update handler for ('[\w.-]{1,64}'|this name) expected but not found", re.ASCII)
"""What whoever sends an update is told that the case does not know: the SDK's words, without a name that is none."""
_OF_THE_SDK = re.compile(r"Update handler for '.*' expected but not found", re.DOTALL)


class PlainFailureConverter(DefaultFailureConverter):
    """Keeps personal data and file names out of failures.

    A library's error text can quote the row or the input that it failed on: only its type is kept. A refusal has no
    stack trace: its reader is the caller, whom our file names do not help.
    """

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """As the base class, which keeps the trace of whatever is a fault of ours."""
        super().to_failure(exception, payload_converter, failure)
        if not isinstance(exception, FailureError) and not type(exception).__module__.startswith(OWN):
            failure.message = type(exception).__name__
        if _OF_THE_SDK.match(said := str(exception)):
            known = UNKNOWN.match(said)
            failure.message = known[0] if known else "Update handler for this name expected but not found"
            failure.stack_trace = ""
        if isinstance(exception, ApplicationError) and exception.category is ApplicationErrorCategory.BENIGN:
            failure.stack_trace = ""


class SealedFailureConverter(PlainFailureConverter):
    """Moves texts and traces to where the codec seals them, but for those that are the same for everybody.

    Whoever sends in clear must be able to read why that is refused.
    """

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
        """As the base class, then text and trace go where the codec sees them."""
        super().to_failure(exception, payload_converter, failure)
        if failure.application_failure_info.type == CAME_IN_CLEAR or UNKNOWN.fullmatch(failure.message):
            return
        if failure.message != SEALED:
            attributes = {"message": failure.message, "stack_trace": failure.stack_trace}
            failure.encoded_attributes.CopyFrom(payload_converter.to_payloads([attributes])[0])
            failure.message, failure.stack_trace = SEALED, ""


SEALED = "Encoded failure"
"""The SDK's own words, which every client knows."""


class HereOnly(DataConverter):
    """Takes nothing that says it is kept elsewhere: the SDK would fail the task at every try.

    Of its parts only the codec needs to know the workflow; the SDK would make all of them anew for each task.
    """

    def with_context(self, context: SerializationContext) -> Self:
        """The same with the codec of this context."""
        codec: Any = self.payload_codec
        if not isinstance(codec, WithSerializationContext):
            return self
        made = copy.copy(self)
        object.__setattr__(made, "payload_codec", codec.with_context(context))
        return made

    async def _decode_reference_payload_sequence(self, payloads: Sequence[Payload]) -> list[Payload]:
        decode = super()._decode_reference_payload_sequence
        return [await _or_unreadable(decode, payload) for payload in payloads]

    async def _external_retrieve_payload_sequence(self, payloads: Sequence[Payload]) -> list[Payload]:
        retrieve = super()._external_retrieve_payload_sequence
        return [await _or_unreadable(retrieve, payload) for payload in payloads]


async def _or_unreadable(read: Callable[[Sequence[Payload]], Awaitable[list[Payload]]], payload: Payload) -> Payload:
    try:
        return (await read([payload]))[0]
    except RuntimeError:
        return UNREADABLE


data_converter = HereOnly(
    payload_converter_class=TolerantPayloadConverter,
    failure_converter_class=PlainFailureConverter,
)
"""Without a codec: for histories that were opened already."""


def sealing(codec: PayloadCodec) -> DataConverter:
    """The data converter with a codec: what every client and worker uses."""
    return HereOnly(
        payload_converter_class=TolerantPayloadConverter,
        payload_codec=codec,
        failure_converter_class=SealedFailureConverter,
    )
