"""Every way into the running system, as a sender with bad manners uses it: one answer each, or an AssertionError."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import (
    UpdateWorkflowExecutionLifecycleStage,
    WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy,
)
from temporalio.api.failure.v1 import Failure
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Input, Meta, Outcome, Request, WaitPolicy
from temporalio.api.workflowservice.v1 import (
    QueryWorkflowRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.converter import WorkflowSerializationContext
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from models import errors
from models.converter import UNKNOWN
from models.errors import Refusal
from models.names import KINDS, TASK_QUEUE
from operations.intake import refusal_of
from security.endpoint import LARGEST
from tests.system.junk import JUNK
from tests.world import World

WITHIN = 30.0
"""Seconds after which there is no answer. The machine may be busy; nothing is timed."""
PLAIN = (errors.BAD_MESSAGE, errors.NOT_ALLOWED_NOW, errors.REFUSED, errors.CAME_IN_CLEAR)
"""The types of a case's own refusals."""
ANSWERS = (
    RPCStatusCode.INVALID_ARGUMENT,
    RPCStatusCode.NOT_FOUND,
    RPCStatusCode.ALREADY_EXISTS,
    RPCStatusCode.FAILED_PRECONDITION,
    RPCStatusCode.PERMISSION_DENIED,
)
"""What the server itself refuses; anything else is no clear answer."""
ENDED = ("refused", "duplicate", "closed")
"""How a run ends at once that was not to be."""


@dataclass
class Answer:
    """What came back."""

    taken: bool
    """A case took it, or a case was filed or started by it."""
    said: str
    """All that the sender reads of us, to be searched; empty where only the engine speaks."""
    touched: tuple[str, ...] = ()
    """The cases it may have moved."""
    kept: frozenset[str] = frozenset()
    """Tables that may have a row more although it was refused: what arrived is kept with its refusal."""


def refused(faults: Sequence[str], **more: Any) -> Answer:
    """A refusal of ours: it says why."""
    assert faults, "a refusal without a reason"
    assert all(fault.strip() for fault in faults), faults
    return Answer(taken=False, said="\n".join(faults), **more)


def check(answer: Answer) -> None:
    """No answer holds what was sent, or anything of our insides."""
    assert JUNK not in answer.said, f"the answer repeats what was sent: {answer.said[:2000]}"
    for trace in ("Traceback", 'File "', ".py", "site-packages", "asyncpg", "sqlalchemy", "pydantic"):
        assert trace not in answer.said, f"the answer shows our insides ({trace}): {answer.said[:2000]}"


# ---- intake ---------------------------------------------------------------------------------------------------------


async def submit(world: World, data: Any) -> Answer:
    """A filing through the starter."""
    try:
        filed = await asyncio.wait_for(world.intake.submit(data), WITHIN)
    except Refusal as e:
        return refused(e.faults)
    assert filed.started or filed.result, filed
    if filed.result is None:

        async def stands() -> bool:
            row = await world.row(filed.case)
            return row is not None and row.step > 0

        await world.until(stands, f"{filed.case} was taken: a case", seconds=WITHIN)
    return Answer(taken=True, said=filed.model_dump_json(), touched=(filed.case,))


async def submit_event(world: World, case: Any, event: Any, name: Any, message: Any) -> Answer:
    """An event through the starter."""
    try:
        delivered = await asyncio.wait_for(world.intake.submit_event(case, event, name, message), WITHIN)
    except Refusal as e:
        return refused(e.faults)
    assert not delivered.waiting, "it waits for an engine that is there: for ever, and all events after it"
    kept = frozenset({"event"})
    if delivered.refused:
        return refused(delivered.refused, kept=kept, touched=(case,))
    assert delivered.answer, delivered
    return Answer(taken=True, said=delivered.model_dump_json(include={"answer"}), touched=(case,), kept=kept)


# ---- gRPC -----------------------------------------------------------------------------------------------------------


def _rpc(e: RPCError) -> Answer:
    assert e.status in ANSWERS, f"no clear answer: {e.status.name} {e.message[:500]}"
    return Answer(taken=False, said="")


async def outcome(world: World, case: str, outcome: Outcome) -> Answer:
    """What an update came to."""
    if not outcome.HasField("failure"):
        payloads = list(outcome.success.payloads)
        said = await world.client.data_converter.with_context(_context(world, case)).decode(payloads)
        assert len(said) == 1
        assert said[0]["entry"], said
        return Answer(taken=True, said=json.dumps(said), touched=(case,))
    failure = Failure()
    failure.CopyFrom(outcome.failure)
    cause = await world.client.data_converter.with_context(_context(world, case)).decode_failure(failure)
    assert isinstance(cause, ApplicationError), repr(cause)
    assert cause.type in PLAIN or UNKNOWN.match(cause.message), f"no refusal of ours: {cause.type}: {cause.message}"
    assert not failure.stack_trace
    return refused((cause.message, *refusal_of(cause)), touched=(case,))


def _context(world: World, case: str) -> WorkflowSerializationContext:
    return WorkflowSerializationContext(namespace=world.client.namespace, workflow_id=case)


async def update(
    world: World, case: str, name: str, payloads: Sequence[Payload], id: str, header: Mapping[str, Payload]
) -> Answer:
    """An update of exactly these bytes."""
    request = UpdateWorkflowExecutionRequest(
        namespace=world.client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=case),
        wait_policy=WaitPolicy(
            lifecycle_stage=UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
        ),
        request=Request(
            meta=Meta(update_id=id, identity="tests"), input=Input(name=name, args=Payloads(payloads=payloads))
        ),
    )
    for key, payload in header.items():
        request.request.input.header.fields[key].CopyFrom(payload)
    try:
        async with asyncio.timeout(WITHIN):
            while True:
                came = await world.client.workflow_service.update_workflow_execution(
                    request, timeout=timedelta(seconds=WITHIN)
                )
                if came.HasField("outcome"):
                    return await outcome(world, case, came.outcome)
    except RPCError as e:
        return _rpc(e)


async def signal(
    world: World, case: str, name: str, payloads: Sequence[Payload], header: Mapping[str, Payload]
) -> Answer:
    """A signal of exactly these bytes: nobody answers it but the server."""
    request = SignalWorkflowExecutionRequest(
        namespace=world.client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=case),
        signal_name=name,
        input=Payloads(payloads=payloads),
        identity="tests",
    )
    for key, payload in header.items():
        request.header.fields[key].CopyFrom(payload)
    try:
        await world.client.workflow_service.signal_workflow_execution(request, timeout=timedelta(seconds=WITHIN))
    except RPCError as e:
        return _rpc(e)
    return Answer(taken=False, said="", touched=(case,))


async def query(world: World, case: str, name: str, payloads: Sequence[Payload]) -> Answer:
    """A query of exactly these bytes: it changes nothing, whatever comes back."""
    request = QueryWorkflowRequest(
        namespace=world.client.namespace,
        execution=WorkflowExecution(workflow_id=case),
        query=WorkflowQuery(query_type=name, query_args=Payloads(payloads=payloads)),
    )
    try:
        await world.client.workflow_service.query_workflow(request, timeout=timedelta(seconds=WITHIN))
    except RPCError as e:
        return _rpc(e)
    return Answer(taken=False, said="", touched=(case,))


async def start(
    world: World,
    id: str,
    type: str,
    queue: str,
    payloads: Sequence[Payload],
    *,
    conflict: str = "FAIL",
    reuse: str = "ALLOW_DUPLICATE",
) -> Answer:
    """A start of exactly these bytes, and how it ends."""
    request = StartWorkflowExecutionRequest(
        namespace=world.client.namespace,
        workflow_id=id,
        workflow_type=WorkflowType(name=type),
        task_queue=TaskQueue(name=queue),
        input=Payloads(payloads=payloads),
        request_id=f"{id}{type}"[:100].encode("ascii", "replace").decode() + str(asyncio.get_running_loop().time()),
        workflow_id_conflict_policy=WorkflowIdConflictPolicy.Value(f"WORKFLOW_ID_CONFLICT_POLICY_{conflict}"),
        workflow_id_reuse_policy=WorkflowIdReusePolicy.Value(f"WORKFLOW_ID_REUSE_POLICY_{reuse}"),
    )
    try:
        came = await world.client.workflow_service.start_workflow_execution(request, timeout=timedelta(seconds=WITHIN))
    except RPCError as e:
        return _rpc(e)
    if type not in KINDS.values() or queue != TASK_QUEUE:
        # nobody takes it, and it touches nothing: whoever began it has to end it
        await world.client.get_workflow_handle(id, run_id=came.run_id).terminate("of no kind of ours")
        return Answer(taken=False, said="", touched=(id,))
    return await started(world, id, came.run_id)


async def started(world: World, id: str, run_id: str) -> Answer:
    """How a run ends that was just started; one that goes on is a case."""
    handle = world.client.get_workflow_handle(id, run_id=run_id)

    async def stands() -> bool:
        run = await handle.describe()
        if run.status is not WorkflowExecutionStatus.RUNNING:
            return True
        if run.raw_description.pending_activities or run.raw_description.HasField("pending_workflow_task"):
            # the row may be another run's, which this one ended: it is no case before it was opened itself
            return False
        row = await world.row(id)
        return row is not None and (row.step > 0 or row.closed_at is not None)

    await world.until(stands, f"{id} is a case, or ended", seconds=WITHIN)
    if (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
        return Answer(taken=True, said="", touched=(id,))
    try:
        result = await handle.result(follow_runs=False)
    except WorkflowFailureError as e:
        raise AssertionError(f"{id} failed: {e.cause!r}") from e
    if result["result"] not in ENDED:
        return Answer(taken=True, said=json.dumps(result), touched=(id,))
    touched = (id, *([result["right_case"]] if result["right_case"] else []))
    # a filing under another id is kept under its own, and the sweep starts it; what is no claim is kept as that
    is_kept = result["result"] == "duplicate" or result["faults"][:1] == ["kept as not_a_claim"]
    kept = frozenset({"intake", "data_key"} if is_kept else ())
    return refused(result["faults"], touched=touched, kept=kept)


# ---- HTTP -----------------------------------------------------------------------------------------------------------


async def ask(url: str, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
    """One request of exactly these bytes."""

    def send() -> tuple[int, str]:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=WITHIN)
        try:
            with contextlib.suppress(BrokenPipeError):  # who is told at once that it is too much need not send the rest
                connection.request(method, urlsplit(url).path + path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        except ConnectionResetError:
            # the answer was lost with the rest of a body that nobody reads: HTTP allows it for what is too large
            assert len(body) > LARGEST
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ""
        finally:
            connection.close()

    return await asyncio.to_thread(send)


async def http_api(world: World, url: str, case: str, path: str, body: str, *, shorthand: bool) -> Answer:
    """The server's HTTP API, with any body. What it refuses by itself is its own affair."""
    kind = "application/json" if shorthand else "application/json+no-payload-shorthand"
    status, text = await ask(
        url, "POST", f"/workflows/{quote(case, safe=':')}{path}", body.encode(), {"Content-Type": kind}
    )
    if status != HTTPStatus.OK:
        assert status < HTTPStatus.INTERNAL_SERVER_ERROR, (status, text[:500])
        return Answer(taken=False, said="")
    said = json.loads(text)
    if "outcome" in said:
        failure = said["outcome"].get("failure")
        if failure is None:
            return Answer(taken=True, said="", touched=(case,))
        assert "stackTrace" not in failure, failure
        return refused((failure["message"], json.dumps(failure, ensure_ascii=False)), touched=(case,))
    if "runId" in said:
        return await started(world, case, said["runId"])
    return Answer(taken=False, said="", touched=(case,))


async def endpoint(url: str, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
    """The codec endpoint: it answers everybody, and never with a fault of its own."""
    status, text = await ask(url, method, path, body, headers)
    assert status < 500, (status, text[:500])
    if status != 200:
        check(Answer(taken=False, said=text))
    return status, text
