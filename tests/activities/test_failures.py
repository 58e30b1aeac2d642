"""Error texts never quote a row: what a library says of one is kept out of histories and logs."""

from __future__ import annotations

import io
import logging

from pydantic import BaseModel, ValidationError
from temporalio.api.failure.v1 import Failure

from activities.letters import LetterFault
from models.converter import PlainFailureConverter, data_converter
from operations.logs import PlainFormatter, error_without_text, redact


class Person(BaseModel):
    """Something with a value that must not be quoted."""

    age: int


def _fault(value: str = "Anna Bērziņa") -> ValidationError:
    try:
        Person.model_validate({"age": value})
    except ValidationError as e:
        return e
    raise AssertionError


def test_a_library_error_is_told_by_its_type_only() -> None:
    failure = Failure()
    PlainFailureConverter().to_failure(_fault(), data_converter.payload_converter, failure)
    assert failure.message == "ValidationError"
    assert "Anna" not in str(failure)


def test_an_error_of_ours_keeps_its_text() -> None:
    failure = Failure()
    PlainFailureConverter().to_failure(LetterFault("missing facts: x"), data_converter.payload_converter, failure)
    assert failure.message == "missing facts: x"


def test_a_logged_exception_has_no_text() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainFormatter())
    logger = logging.Logger("test")  # noqa: LOG001  # a logger of its own, without the root's handlers
    logger.addHandler(handler)
    logger.warning("failed", exc_info=_fault())
    assert "ValidationError" in stream.getvalue()
    assert "Anna" not in stream.getvalue()


def test_an_exception_that_we_log_ourselves_has_neither_text_nor_variables() -> None:
    """As `log.exception` hands it on, and as a caller may: on a terminal too."""
    secret = "K7PQR-22222"
    try:
        raise _fault(secret)
    except ValidationError as e:
        told = [
            error_without_text(None, "", {"event": "x", "exc_info": given}) for given in (True, e, (type(e), e, None))
        ]
    for event in told:
        assert (event["error"], "exc_info" in event) == ("ValidationError", False)
        assert event["at"]
        assert secret not in str(event)
    assert error_without_text(None, "", {"event": "x"}) == {"event": "x"}


def test_keys_that_hold_personal_data_are_redacted() -> None:
    assert redact(None, "", {"event": "x", "email": "anna@example.lv"}) == {"event": "x", "email": "[redacted]"}
