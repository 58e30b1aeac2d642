"""Other callers: the server's command line and its HTTP API start and move a case, and no wrong shape wedges it.

A start may come in clear; a message must come through the codec endpoint, which says who speaks.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from models.case import SEAL_IT
from models.names import TASK_QUEUE
from tests.conftest import TEMPORAL
from tests.door import Door, opened, plain
from tests.workflows.test_claim import content
from tests.world import Refused, World

_numbers = count(1)


@workflow.defn(name="Wedged")
class Wedged:
    """A mistake in workflow code: what every case must never do."""

    @workflow.run
    async def run(self) -> None:
        raise ValueError("planted")


@pytest.fixture
async def case(world: World, present: None) -> str:
    """An open claim whose last document is waited for."""
    case = await world.file("claim", "BTA", content(await world.policy(), occurred_on="2026-01-20"))
    await world.stage(case, "collecting")
    return case


async def filing(world: World) -> tuple[str, dict[str, Any]]:
    """A claim that nobody filed yet, and its id."""
    reference = f"OTHER-{next(_numbers)}-{uuid4().hex[:6]}"
    return f"claim:BTA:{reference}", {
        "kind": "claim",
        "organisation": "BTA",
        "reference": reference,
        "received_at": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
        "sender": "system:backend",
        "content": content(await world.policy(), occurred_on="2026-01-20"),
    }


@pytest.fixture(scope="module")
async def door(world: World) -> AsyncIterator[Door]:
    """The codec endpoint."""
    async with opened(world) as door:
        yield door


@pytest.fixture(scope="module")
async def token(door: Door) -> str:
    """An operator's token."""
    return await door.token("op-7")


async def temporal(world: World, *words: str, expect: int | None = 0, env: dict[str, str] | None = None) -> str:
    """Run the server's own command line."""
    assert TEMPORAL
    address = world.client.service_client.config.target_host
    process = await asyncio.create_subprocess_exec(
        *(TEMPORAL, *words, "--address", address),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **(env or {})},
    )
    said = (await process.communicate())[0].decode()
    assert expect is None or process.returncode == expect, said
    return said


async def post(url: str, body: Any) -> tuple[int, Any]:
    """Send JSON (or a text that is said to be JSON) to the HTTP API as any backend can."""
    text = body if isinstance(body, str) else json.dumps(body)

    def send() -> tuple[int, Any]:
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.netloc, timeout=30)
        connection.request("POST", address.path, text.encode(), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        try:
            return answer.status, json.load(answer)
        finally:
            connection.close()

    return await asyncio.to_thread(send)


def update(*args: Any) -> dict[str, Any]:
    """The body of an update that is waited for."""
    return {
        "request": {"meta": {"updateId": str(uuid4())}, "input": {"args": list(args)}},
        "waitPolicy": {"lifecycleStage": "UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED"},
    }


def sealed_update(payload: dict[str, Any]) -> dict[str, Any]:
    """The same with a payload that the codec endpoint sealed."""
    body = update()
    body["request"]["input"]["args"] = {"payloads": [payload]}
    return body


def start(workflow_type: str, *args: Any) -> dict[str, Any]:
    """The body of a start."""
    return {"workflowType": {"name": workflow_type}, "taskQueue": {"name": TASK_QUEUE}, "input": list(args)}


async def stuck(world: World) -> list[str]:
    """The cases that the server lists as failing task after task."""
    query = 'TemporalReportedProblems IN ("category=WorkflowTaskFailed", "category=WorkflowTaskTimedOut")'
    return [found.id async for found in world.client.list_workflows(query)]


async def still_answers(world: World, case: str) -> None:
    """The case takes the next right message at once, and is not listed as stuck."""
    entry = await asyncio.wait_for(world.say(case, "assign_case", handler=f"op-{next(_numbers)}"), 20)
    assert entry["entry"] == "assigned"
    assert case not in await stuck(world)


# ---- right ----------------------------------------------------------------------------------------------------------


async def test_the_servers_command_line_starts_and_moves_a_case(
    world: World, present: None, door: Door, token: str
) -> None:
    """The token travels in the environment, so that no list of processes shows it."""
    case, filed = await filing(world)
    await temporal(
        *(world, "workflow", "start", "--type", "Claim", "--task-queue", TASK_QUEUE, "--workflow-id", case),
        *("--input", json.dumps({"filing": filed})),
    )
    await world.stage(case, "collecting")
    words = ("workflow", "update", "execute", "--workflow-id", case, "--name", "assign_case", "--input")
    codec = {"TEMPORAL_CODEC_ENDPOINT": door.url, "TEMPORAL_CODEC_AUTH": f"Bearer {token}"}
    said = await temporal(world, *words, json.dumps({"case": case, "handler": "op-7"}), env=codec)
    assert "assigned" in said
    said = await temporal(world, *words, json.dumps({"case": case, "handler": 7}), env=codec, expect=1)
    assert "handler: Input should be a valid string" in said
    # what the endpoint refuses the program tries again until its own time is over, and it tells nobody why
    await temporal(world, *words, json.dumps({"handler": "op-8"}), "--command-timeout", "3s", env=codec, expect=1)
    row = await world.row(case)
    assert row is not None
    assert row.handler == "op-7"


async def test_the_http_api_starts_and_moves_a_case(
    world: World, present: None, http_api: str, door: Door, token: str
) -> None:
    """What it sends is sealed by the endpoint first, and what it gets is opened by the endpoint after."""
    case, filed = await filing(world)
    status, said = await post(f"{http_api}/workflows/{case}", start("Claim", {"filing": filed}))
    assert (status, said["started"]) == (200, True)
    await world.stage(case, "collecting")
    send = f"{http_api}/workflows/{case}/update/assign_case"
    status, said = await post(send, sealed_update(await door.encode({"case": case, "handler": "op-8"}, token)))
    assert status == 200
    assert (await door.decode(said["outcome"]["success"]["payloads"][0], token))["entry"] == "assigned"
    row = (await world.timeline(case))[-1]
    assert (row.entry, row.actor) == ("assigned", "op-7")
    status, said = await post(send, sealed_update(await door.encode({"case": case, "colour": "red"}, token)))
    failure = said["outcome"]["failure"]
    assert (status, failure["message"]) == (200, "Encoded failure")
    assert "handler: Field required" in (await door.decode(failure["encodedAttributes"], token))["message"]


async def test_a_case_started_by_another_caller_is_the_one_that_the_starter_finds(world: World, present: None) -> None:
    """The filing is the same, so the same case comes back, and nothing is started twice."""
    case, filed = await filing(world)
    await world.client.start_workflow("Claim", {"filing": filed}, id=case, task_queue=TASK_QUEUE)
    await world.stage(case, "collecting")
    again = await world.intake.submit(filed)
    assert (again.case, again.new, again.started) == (case, False, True)


# ---- wrong ----------------------------------------------------------------------------------------------------------

SHAPES: dict[str, list[Any]] = {
    "no argument": [],
    "null": [None],
    "a text": ["pay him"],
    "a number": [7],
    "an array": [[1, 2]],
    "an empty object": [{}],
    "wrong types": [{"case": 7, "actor": ["x"], "handler": {"a": 1}}],
    "unknown fields": [{"colour": "red"}],
    "two arguments": [{"actor": "op-1"}, {"actor": "op-2"}],
}


@pytest.mark.parametrize("args", SHAPES.values(), ids=SHAPES.keys())
async def test_a_wrong_update_over_http_is_refused_and_wedges_nothing(
    world: World, case: str, http_api: str, args: list[Any]
) -> None:
    """In clear nothing is taken, right or wrong, and the caller can read why; no stack of ours comes along."""
    for name in ("assign_case", "add_document"):
        status, said = await post(f"{http_api}/workflows/{case}/update/{name}", update(*args))
        failure = said["outcome"]["failure"]
        assert (status, failure["applicationFailureInfo"]["type"]) == (200, "CameInClear" if args else "BadMessage")
        assert failure["message"] == (SEAL_IT if args else "Encoded failure")
        assert "stackTrace" not in failure
    await still_answers(world, case)


@pytest.mark.parametrize("args", SHAPES.values(), ids=SHAPES.keys())
async def test_a_wrong_message_of_a_backend_with_keys_is_refused_and_wedges_nothing(
    world: World, case: str, args: list[Any]
) -> None:
    for name in ("assign_case", "add_document"):
        with pytest.raises(Refused) as refusal:
            await world.send(case, name, *args)
        assert refusal.value.type == "BadMessage"
        assert refusal.value.faults
    await still_answers(world, case)


async def test_an_unknown_update_is_refused_and_wedges_nothing(world: World, case: str, http_api: str) -> None:
    _, said = await post(f"{http_api}/workflows/{case}/update/pay_everything", update({"case": case}))
    assert "pay_everything" in said["outcome"]["failure"]["message"]
    said = await temporal(
        *(world, "workflow", "update", "execute", "--workflow-id", case, "--name", "nonsense", "--input", "1"),
        expect=1,
    )
    assert "nonsense" in said
    await still_answers(world, case)


async def test_the_command_line_sends_no_argument_two_and_bytes_and_wedges_nothing(
    world: World, case: str, door: Door, token: str
) -> None:
    codec = {"TEMPORAL_CODEC_ENDPOINT": door.url, "TEMPORAL_CODEC_AUTH": f"Bearer {token}"}
    execute = ("workflow", "update", "execute", "--workflow-id", case, "--name", "assign_case")
    assert "no message" in await temporal(world, *execute, env=codec, expect=1)
    for words in (
        ("--input", "1", "--input", "2"),
        ("--input", "raw bytes", "--input-meta", "encoding=binary/plain"),
        ("--input", "who knows", "--input-meta", "encoding=x/unheard-of"),
    ):
        assert "came in clear" in await temporal(world, *execute, *words, expect=1)
    await still_answers(world, case)


@pytest.mark.parametrize("args", [*SHAPES.values(), [{"filing": 7}], [{"filing": {"kind": "claim"}}]], ids=str)
async def test_a_wrong_start_over_http_ends_as_refused(
    world: World, present: None, http_api: str, args: list[Any]
) -> None:
    """It closes at once with its faults; it never stays open on a failing task."""
    case = f"claim:BTA:WRONG-{uuid4().hex[:8]}"
    status, _ = await post(f"{http_api}/workflows/{case}", start("Claim", *args))
    assert status == 200
    result = await asyncio.wait_for(world.handle(case).result(), 20)
    assert result["result"] == "refused"
    assert result["faults"]
    assert case not in await stuck(world)


async def test_a_start_that_is_no_json_ends_as_refused(world: World, present: None) -> None:
    case = f"claim:BTA:BYTES-{uuid4().hex[:8]}"
    await temporal(
        *(world, "workflow", "start", "--type", "Claim", "--task-queue", TASK_QUEUE, "--workflow-id", case),
        *("--input", "who knows", "--input-meta", "encoding=x/unheard-of"),
    )
    result = await asyncio.wait_for(world.handle(case).result(), 20)
    assert result["result"] == "refused"


async def test_signals_of_any_shape_wedge_nothing(world: World, case: str, http_api: str) -> None:
    for name, args in (("look_again", []), ("look_again", [1, 2]), ("look_again", [None]), ("no_such_signal", ["x"])):
        status, _ = await post(f"{http_api}/workflows/{case}/signal/{name}", {"input": args})
        assert status == 200
    await still_answers(world, case)


@pytest.mark.parametrize("bad", ["a\x00b", "half \ud800 a character"], ids=["NUL", "surrogate"])
async def test_a_text_that_no_database_keeps_is_refused_and_wedges_nothing(
    world: World, case: str, door: Door, token: str, bad: str
) -> None:
    """A NUL would fail the transaction of every try to record the message."""
    message = {
        "case": case,
        "actor": "op-1",
        "document": "proof_of_amount",
        "received_at": datetime.now(UTC).isoformat(),
        "reference": bad,
    }
    status, answer = await door.ask("/encode", [plain({k: v for k, v in message.items() if k != "actor"})], token)
    assert status == 400
    assert [fault.partition(": holds ")[0] for fault in answer["faults"]] == ["reference"]
    if bad == "a\x00b":  # half a character goes into no JSON of a backend
        with pytest.raises(Refused, match=r"reference: holds the character U\+0000"):
            await world.send(case, "add_document", message)
    await still_answers(world, case)


ODD = {
    "a NUL": r'"a\u0000b"',
    "too many digits": "9" * 5000,
    "no finite number": "1e999",
    "deep": "[" * 300 + "]" * 300,
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
async def test_a_filing_with_what_nobody_can_keep_never_hangs(
    world: World, present: None, http_api: str, odd: str
) -> None:
    """The HTTP API refuses it, or it ends as refused, or it is kept with a fault; no activity fails for ever."""
    case, filed = await filing(world)
    filed["content"]["description"] = "ODD"
    body = json.dumps(start("Claim", {"filing": filed})).replace('"ODD"', odd)
    status, _ = await post(f"{http_api}/workflows/{case}", body)
    if status != 200:
        return

    async def ended_or_open() -> bool:
        row = await world.row(case)
        described = await world.handle(case).describe()
        return described.close_time is not None or (row is not None and row.stage == "collecting")

    await world.until(ended_or_open, "refused, or kept with a fault")
    assert case not in await stuck(world)


# ---- the query finds what is stuck ----------------------------------------------------------------------------------


async def test_the_query_for_stuck_cases_finds_a_planted_one_and_no_other(world: World, present: None) -> None:
    """Proof that the empty answers of the tests above mean something."""
    queue = f"wedge-{uuid4().hex[:8]}"
    async with Worker(world.client, task_queue=queue, workflows=[Wedged], workflow_runner=UnsandboxedWorkflowRunner()):
        planted = await world.client.start_workflow("Wedged", id=f"wedge-{uuid4().hex[:8]}", task_queue=queue)

        async def listed() -> bool:
            return planted.id in await stuck(world)

        await world.until(listed, "the planted wedge is listed")
        assert await stuck(world) == [planted.id]
        await planted.terminate("the test is over")
