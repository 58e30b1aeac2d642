"""Logs: one line an event, JSON when nobody watches; replays are silent; personal data never get in."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from temporalio import activity, workflow

SECRET = frozenset(
    {"name", "email", "phone", "personal_code", "iban", "secret", "password", "content", "message", "address", "facts"}
)
"""Keys whose values are never written, whoever logs them."""


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the values of keys that can hold personal data."""
    return {k: "[redacted]" if k in SECRET else v for k, v in event.items()}


def replays_are_silent(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop what a replay would say again."""
    if workflow.in_workflow() and workflow.unsafe.is_replaying_history_events():
        raise structlog.DropEvent
    return event


def where(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add which case and which activity speaks."""
    if activity.in_activity():
        info = activity.info()
        event.setdefault("case", info.workflow_id)
        event["activity"] = info.activity_type
    elif workflow.in_workflow():
        event.setdefault("case", workflow.info().workflow_id)
    return event


class PlainFormatter(logging.Formatter):
    """Tells of an error its type and where, not its text: a library's text can quote the row that it failed on."""

    def formatException(self, ei: Any) -> str:  # noqa: N802  # the name of the base class
        """The frames and the type."""
        kind, _, trace = ei
        return "".join(traceback.format_tb(trace)) + (kind.__name__ if kind else "")


def configure(stream: TextIO | None = None) -> None:
    """Configure structlog and the standard library's logging for a process: to the stream, else to standard error."""
    stream = stream or sys.stderr
    terminal = stream.isatty()
    structlog.configure(
        processors=[
            replays_are_silent,
            where,
            redact,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainFormatter("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
