"""Logs: one line an event, JSON when nobody watches; replays are silent; personal data never get in."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import structlog
from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

ROOT = Path(__file__).parent.parent

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


def error_without_text(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Tell of an error type and place: its text can quote a row, and a terminal's traceback shows every variable."""
    given = event.pop("exc_info", None)
    raised = sys.exc_info() if given is True else given
    error = raised[1] if isinstance(raised, tuple) else raised
    if isinstance(error, BaseException):
        event["error"], event["at"] = _type(error), _at(error)
    return event


def where(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add which case speaks, and which attempt of which activity."""
    if activity.in_activity():
        info = activity.info()
        event.setdefault("case", info.workflow_id)
        event["activity"], event["attempt"] = info.activity_type, info.attempt
    elif workflow.in_workflow():
        event.setdefault("case", workflow.info().workflow_id)
    return event


TYPED = re.compile(r"(with error of type <class '[\w.]+'>): .*", re.DOTALL)
"""How the SDK tells of a heartbeat that failed, with the error's text after it."""
OF_CASE = re.compile(r"on workflow \w+ with ID (\S+)")
"""How the SDK tells of a workflow task that failed."""
CORE_FIELDS = ("workflow_id", "run_id", "task_queue")
"""Of what the SDK's core adds to a line; the rest can quote a failure."""


class PlainFormatter(logging.Formatter):
    """A library's line in the form of ours. Of an error it tells type and place, not the text.

    A library's error text can quote the row or the input that it failed on, and a message can quote the error.
    """

    def __init__(self, renderer: structlog.typing.Processor | None = None) -> None:
        super().__init__()
        self._renderer = renderer or structlog.processors.JSONRenderer(ensure_ascii=False)

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        fields = getattr(getattr(record, "temporal_log", None), "fields", {})
        event: dict[str, Any] = {
            "event": TYPED.sub(r"\1", record.getMessage()),
            "logger": record.name,
            **{name: fields[name] for name in CORE_FIELDS if name in fields},
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
        }
        if (named := OF_CASE.search(event["event"])) is not None:
            event["case"] = named[1]
        if record.exc_info and (error := record.exc_info[1]) is not None:
            event |= {"error": _type(error), "at": _at(error)}
            if caused_by := [_type(one) for one in _chain(error)][1:]:
                event["caused_by"] = caused_by
            for one in _chain(error):
                for quoted in filter(str.strip, (repr(one), str(one))):
                    event["event"] = event["event"].replace(quoted, _type(one))
        for processor in (structlog.contextvars.merge_contextvars, where, redact):
            event = dict(processor(None, "", event))
        return str(self._renderer(None, record.levelname.lower(), event))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it, each once."""
    seen: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in seen:
        seen.append(one)
        yield one
        one = one.__cause__ or one.__context__


def _type(error: BaseException) -> str:
    """The type, and what our own errors and the database's name beside it."""
    more = error.type if isinstance(error, ApplicationError) else getattr(error, "sqlstate", None)
    return type(error).__name__ + (f" ({more})" if more else "")


def _at(error: BaseException) -> list[str]:
    """Where in our own code, and where it was raised; the innermost last."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames[:-1] if Path(f.filename).is_relative_to(ROOT) and "site-packages" not in f.filename]
    return [f"{'/'.join(Path(f.filename).parts[-2:])}:{f.lineno} {f.name}" for f in (*ours, *frames[-1:])]


def configure(stream: TextIO | None = None) -> None:
    """Configure structlog and the standard library's logging for a process: to the stream, else to standard error."""
    stream = stream or sys.stderr
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if stream.isatty():
        renderer = structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            replays_are_silent,
            structlog.contextvars.merge_contextvars,
            where,
            error_without_text,
            redact,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
    # what the SDK would put into its messages, every line has as fields
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainFormatter(renderer))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
