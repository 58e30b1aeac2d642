"""Reset: a case's run goes back to one of its workflow tasks; the store keeps what was recorded."""

from __future__ import annotations

from typing import Literal
from uuid import uuid4

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from models.errors import Refusal
from operations.intake import Sessions
from operations.reading import NotFound, head


async def reset(
    sessions: Sessions, client: Client, case: str, *, reason: str, to: Literal["first", "last"] = "last"
) -> str:
    """Start the case's run again after its first or before its last workflow task; the new run's id.

    Steps that the new run repeats are found in the record; one that differs is a divergence and shows itself. Messages
    that came since are given to the new run again.

    Raises:
        NotFound: There is no such case, or the engine has no run of it.
        Refusal: The case is closed: only an event that its rulebook names reopens it.
    """
    if (await head(sessions, case)).closed_at is not None:
        raise Refusal(f"case: {case} is closed; only an event that reopens it starts it again")
    handle = client.get_workflow_handle(case)
    try:
        run = (await handle.describe()).run_id
    except RPCError as e:
        if e.status is RPCStatusCode.NOT_FOUND:
            raise NotFound(f"the engine has no run of {case}; the sweep starts it") from None
        raise
    finished = 0
    async for event in client.get_workflow_handle(case, run_id=run).fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            finished = event.event_id
            if to == "first":
                break
    if not finished:
        raise Refusal(f"case: {case} has no finished workflow task to go back to; is a worker running?")
    answer = await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=case, run_id=run),
            reason=reason,
            workflow_task_finish_event_id=finished,
            request_id=str(uuid4()),
        )
    )
    return answer.run_id
