"""The data converter that every client and worker uses: pydantic's JSON, and no payload that could wedge a case."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, FailureError

UNREADABLE = "a payload that is not JSON"


class TolerantPayloadConverter(PydanticPayloadConverter):
    """Gives untyped arguments that cannot be decoded as a text, for the case to refuse.

    An exception here would fail the workflow task for ever: one bad start by another caller, one wedged case.
    """

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """As the base class; only where types are named is a fault an error."""
        if type_hints is not None:
            return super().from_payloads(payloads, type_hints)
        return [self._one(payload) for payload in payloads]

    def _one(self, payload: Payload) -> Any:
        try:
            return super().from_payloads([payload])[0]
        except Exception:  # noqa: BLE001  # whatever it is, it is no message
            return UNREADABLE


OWN = ("activities.", "integrations.", "models.", "operations.", "rules.", "workflows.")
"""Modules whose errors name fields and codes, never values."""


UNKNOWN = re.compile(r"^Update handler for '[\w.-]{1,64}' expected but not found")
"""What the SDK tells whoever sends an update that the case does not know."""


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
        if (unknown := UNKNOWN.match(str(exception))) is not None:
            failure.message, failure.stack_trace = unknown[0], ""
        if isinstance(exception, ApplicationError) and exception.category is ApplicationErrorCategory.BENIGN:
            failure.stack_trace = ""


data_converter = dataclasses.replace(
    pydantic_data_converter,
    payload_converter_class=TolerantPayloadConverter,
    failure_converter_class=PlainFailureConverter,
)
