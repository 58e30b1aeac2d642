"""Recorded histories: kept in clear, read back, and what each of them shows of its kind of case."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter, WorkflowSerializationContext

from models.names import KINDS
from operations.reconcile import ASKED_AT_ONCE
from security.codec import ERASED

FOLDER = Path(__file__).parent / "histories"
MANIFEST = FOLDER / "branches.json"
"""Branch → file and digest: what is there, and that it is what was recorded."""
ENDED = ("kept", "late", "void")
CLOSING = ("Completed", "ContinuedAsNew", "Terminated", "Failed", "Canceled", "TimedOut")


# ---- files ----------------------------------------------------------------------------------------------------------


def read(path: Path) -> WorkflowHistory:
    """A history from its file."""
    text = gzip.decompress(path.read_bytes()).decode()
    started = json.loads(text)["events"][0]["workflowExecutionStartedEventAttributes"]
    return WorkflowHistory.from_json(started["workflowId"], text)


def written(history: WorkflowHistory) -> bytes:
    """A history as its file has it."""
    return gzip.compress(history.to_json().encode(), mtime=0)


def manifest() -> dict[str, dict[str, str]]:
    """What was recorded."""
    found: dict[str, dict[str, str]] = json.loads(MANIFEST.read_text()) if MANIFEST.exists() else {}
    return found


def digest(content: bytes) -> str:
    """By which a file is known to be the recorded one."""
    return sha256(content).hexdigest()


# ---- without keys ---------------------------------------------------------------------------------------------------


def payloads(message: Message) -> Iterator[Payload]:
    """Every payload in a message, but for search attributes, which no codec touches."""
    if isinstance(message, Payload):
        yield message
        return
    if isinstance(message, SearchAttributes):
        return
    for descriptor, value in message.ListFields():
        inner = descriptor.message_type
        if inner is None:
            continue
        if inner.GetOptions().map_entry:
            parts = value.values() if inner.fields_by_name["value"].message_type is not None else ()
        else:
            parts = (value,) if isinstance(value, Message) else value
        for part in parts:
            yield from payloads(part)


async def opened(history: WorkflowHistory, converter: DataConverter, namespace: str) -> WorkflowHistory | None:
    """The history as a worker reads it, every payload opened: it replays without keys, whatever becomes of them.

    None if one of its keys is destroyed: that history replays nowhere.
    """
    codec = converter.with_context(
        WorkflowSerializationContext(namespace=namespace, workflow_id=history.workflow_id)
    ).payload_codec
    if codec is None:
        return history
    events = []
    for event in history.events:
        copy = HistoryEvent()
        copy.CopyFrom(event)
        for payload in list(payloads(copy)):
            [plain] = await codec.decode([payload])
            if plain == ERASED and payload != ERASED:
                return None
            payload.CopyFrom(plain)
        events.append(copy)
    return WorkflowHistory(history.workflow_id, events)


# ---- what a history shows -------------------------------------------------------------------------------------------


@dataclass
class Shown:
    """What a run did, as far as two runs of one branch do not differ in it."""

    type: str
    steps: list[str] = field(default_factory=list)
    """The recorded steps in order, with the ends of clocks in them, and the end of the run."""
    stages: set[str] = field(default_factory=set)
    messages: set[str] = field(default_factory=set)
    """Updates and signals."""
    activities: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    """How clocks ended that can be late."""
    ends: set[str] = field(default_factory=set)
    """How any clock ended."""

    @property
    def kind(self) -> str:
        """`claim` for a `Claim`."""
        return next((kind for kind, name in KINDS.items() if name == self.type), self.type.lower())

    @property
    def branch(self) -> str:
        """Names the branch."""
        return f"{self.kind}: {' '.join(self.steps)}"


def shown(history: WorkflowHistory) -> Shown:
    """What a history shows."""
    found = Shown("")
    scheduled: dict[int, str] = {}
    for event in history.events:
        kind = event.WhichOneof("attributes")
        attributes: Any = getattr(event, kind) if kind else None
        if kind == "workflow_execution_started_event_attributes":
            found.type = attributes.workflow_type.name
            if attributes.continued_execution_run_id:
                found.steps.append("(continued)")
        elif kind == "activity_task_scheduled_event_attributes":
            name = attributes.activity_type.name
            scheduled[event.event_id] = name
            found.activities.add(name)
        elif kind == "activity_task_completed_event_attributes":
            if scheduled[attributes.scheduled_event_id] == "case.record":
                _step(found, _json(attributes.result.payloads[0]))
        elif kind == "workflow_execution_update_accepted_event_attributes":
            if attributes.HasField("accepted_request"):
                found.messages.add(attributes.accepted_request.input.name)
        elif kind == "workflow_execution_update_completed_event_attributes":
            if attributes.outcome.HasField("failure"):
                found.steps.append(f"(refused: {attributes.outcome.failure.application_failure_info.type})")
        elif kind == "workflow_execution_signaled_event_attributes":
            found.messages.add(attributes.signal_name)
        elif kind == "marker_recorded_event_attributes":
            if (name := activity_of(event)) is None:
                found.steps.append(f"({attributes.marker_name})")
                continue
            found.activities.add(name)
            if "result" not in attributes.details:
                why = attributes.failure.WhichOneof("failure_info").removesuffix("_failure_info")
                found.steps.append(f"({name} not at once: {why})")
            elif name == "case.record":
                _step(found, _json(attributes.details["result"].payloads[0]))
    last = event_type(history.events[-1]).removeprefix("WorkflowExecution")
    if last in CLOSING:
        found.steps.append(f"→ {last}")
    return found


def _step(found: Shown, recorded: Any) -> None:
    transition = recorded["transition"]
    if recorded["result"] != "recorded":
        found.steps.append(f"({recorded['result']})")
        return
    found.stages.add(transition["stage"])
    ended = [clock for clock in recorded["clocks"] if clock["status"] in ENDED]
    found.ends |= {clock["status"] for clock in ended}
    found.ended |= {clock["status"] for clock in ended if clock["can_be_late"]}
    ends = "+".join(sorted({clock["status"] for clock in ended}))
    found.steps.append(transition["entry"] + (f"[{ends}]" if ends else ""))


def activity_of(event: HistoryEvent) -> str | None:
    """The activity that an event asks for, or whose answer it holds from within a workflow task; None for others."""
    if event.HasField("activity_task_scheduled_event_attributes"):
        return event.activity_task_scheduled_event_attributes.activity_type.name
    marker = event.marker_recorded_event_attributes
    if marker.marker_name != ASKED_AT_ONCE:
        return None
    name: str = _json(marker.details["data"].payloads[0])["activity_type"]
    return name


def event_type(event: HistoryEvent) -> str:
    """`ActivityTaskScheduled`."""
    return EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").title().replace("_", "")


def described(event: HistoryEvent) -> str:
    """An event for people: type, name, summary."""
    name = activity_of(event) or ""
    summary = str(_json(event.user_metadata.summary)) if event.user_metadata.HasField("summary") else ""
    return f"{event_type(event)} {name}".strip() + (f" “{summary}”" if summary else "")


def _json(payload: Payload) -> Any:
    return json.loads(payload.data) if payload.data else None
