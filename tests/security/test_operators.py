"""Operators: what a case refuses because of who says it, and how operators are added, changed and ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage as Stage
from temporalio.api.update.v1 import Input, Meta, Request, WaitPolicy
from temporalio.api.workflowservice.v1 import UpdateWorkflowExecutionRequest

from activities.case import lacking
from models.case import Said
from models.errors import NOT_ALLOWED_NOW, REFUSED, Refusal
from models.operator import Operator
from operations.local import Postgres
from operations.operators import Operators, with_actor
from tests.door import Door, of_json, opened
from tests.system.test_starter import ask, cli
from tests.workflows.test_claim import decided, deciding, paid_on, proposal
from tests.world import Refused, World

ABOVE = "18400.00"
"""EUR of damage, of which 200.00 are deducted; the rest needs a second person."""
TERMS = {"limit_per_occurrence": "50000.00", "limit_aggregate": "100000.00"}


@pytest.fixture(scope="module")
async def door(world: World) -> AsyncIterator[Door]:
    """An endpoint beside the world's own cases."""
    async with opened(world) as door:
        yield door


@pytest.fixture
def where(world: World, postgres: Postgres, tmp_path: Path) -> dict[str, str]:
    """The environment in which a command finds the world's store."""
    return {
        "DATABASE_URL": postgres.url("world"),
        "TERMINS_KEYS_DATABASE_URL": postgres.url("world_keys"),
        "TERMINS_MASTER_KEY_FILE": str(world.var / "keys" / "master"),
        "TERMINS_VAR": str(tmp_path),
    }


@pytest.fixture
def table(world: World) -> Operators:
    """The world's operators."""
    return Operators(world.sessions, world.now)


async def code(table: Operators, *roles: str, organisation: str = "BTA", limit: str | None = None) -> str:
    """A new operator."""
    limited = None if limit is None else Decimal(limit)
    return (await table.add(f"op-{uuid4().hex[:8]}", (organisation,), roles, limited)).operator


async def proposed(world: World) -> str:
    """A claim above what one person decides, proposed by op-1."""
    case = await deciding(world, amount=ABOVE, terms=TERMS)
    await world.say(case, "propose_decision", actor="op-1", **proposal(ABOVE))
    await world.stage(case, "approving")
    return case


# ---- what a case refuses --------------------------------------------------------------------------------------------


async def test_a_case_listens_to_operators_of_its_organisation_only(world: World, table: Operators) -> None:
    """Unknown, left, of another organisation, without the role: each is named, and nothing is written."""
    case = await deciding(world)
    left = await code(table, "handle")
    await table.end(left)
    before = await world.entries(case)
    for actor, fault in (
        ("op-nobody", "actor: there is no operator op-nobody, or no more"),
        (left, f"actor: there is no operator {left}, or no more"),
        (await code(table, "handle", organisation="BL"), "does not work for BTA"),
        (await code(table, "see"), "lacks the role handle"),
    ):
        with pytest.raises(Refused, match=fault) as refusal:
            await world.say(case, "assign_case", actor=actor, handler="op-2")
        assert refusal.value.type == REFUSED
    assert await world.entries(case) == before
    await world.say(case, "assign_case", actor=await code(table, "handle"), handler="op-2")


async def test_a_second_approval_needs_the_role_and_a_limit_that_is_high_enough(world: World, table: Operators) -> None:
    case = await proposed(world)
    for actor, fault in (
        ("op-1", "four eyes"),
        (await code(table, "see", "handle"), "lacks the role approve"),
        (await code(table, "approve", limit="18199.99"), r"approves up to 18199\.99 EUR, not 18200\.00 EUR"),
        ("system:bank", "only an operator approves"),
    ):
        with pytest.raises(Refused, match=fault):
            await world.say(case, "approve_decision", actor=actor)
    approver = await code(table, "approve", limit="18200")
    await world.say(case, "approve_decision", actor=approver)
    await world.stage(case, "telling_and_paying")
    said = [(e.entry, e.actor) for e in await world.timeline(case) if e.actor is not None]
    assert said == [("findings_judged", "op-1"), ("proposed", "op-1"), ("decided", approver)]


async def test_privacy_requests_are_decided_by_those_with_the_role(world: World) -> None:
    said = Said(id="1", name="assess_right", actor="op-1", role="privacy")
    handles = Operator(code="op-1", organisations=("GJ",), roles=("see", "handle"))
    decides = handles.model_copy(update={"roles": ("privacy",)})
    assert lacking(said, "GJ", {"op-1": handles}) == ("actor: op-1 lacks the role privacy",)
    assert lacking(said, "GJ", {"op-1": decides}) == ()


async def test_the_second_person_of_a_correction_is_an_operator_too(world: World) -> None:
    """Late evidence that is to be believed names somebody who exists, and can be asked."""
    case = await decided(world)
    clock = await world.clock(case, "BTA-10.5c", "C1")
    await world.advance(case, clock.latest)
    paid = paid_on("2027-03-02")
    correction = {"reason": "the file came late", "document": "bank/1"}
    with pytest.raises(Refused, match=r"correction\.second_person: no operator"):
        await world.say(
            case, "confirm_payment", actor="op-1", **paid, correction={**correction, "second_person": "op-nobody"}
        )
    await world.say(case, "confirm_payment", actor="op-1", **paid, correction={**correction, "second_person": "op-2"})
    assert (await world.clock(case, "BTA-10.5c", "C1")).status == "kept"


async def send_sealed(world: World, case: str, name: str, payload: Any) -> Any:
    """Send sealed bytes as they are, as whoever reads a history can."""
    return await world.client.workflow_service.update_workflow_execution(
        UpdateWorkflowExecutionRequest(
            namespace=world.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=case),
            wait_policy=WaitPolicy(lifecycle_stage=Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED),
            request=Request(
                meta=Meta(update_id=uuid4().hex), input=Input(name=name, args=Payloads(payloads=[payload]))
            ),
        )
    )


async def test_what_was_sealed_once_is_taken_once(world: World, door: Door) -> None:
    """The sealed approval lies in the history, where every operator finds it: it approves nothing else."""
    case = await proposed(world)
    sealed = of_json(await door.encode({"case": case, "reason": "too much"}, await door.token("op-2")))
    await send_sealed(world, case, "send_back_decision", sealed)
    await world.stage(case, "deciding")
    await world.say(case, "propose_decision", actor="op-1", **proposal(ABOVE))
    await world.stage(case, "approving")
    again = await send_sealed(world, case, "send_back_decision", sealed)
    assert again.outcome.HasField("success"), "answered, as whatever is sent again"
    row = await world.stage(case, "approving")
    assert row is not None
    entries = [(e.entry, e.actor) for e in await world.timeline(case)]
    assert entries.count(("sent_back", "op-2")) == 1


async def test_what_was_sealed_and_refused_is_not_taken_later(world: World, door: Door, table: Operators) -> None:
    """It lies in the history too: when it would be allowed, its sender says it anew, and nobody says it for them."""
    case = await proposed(world)
    approver = await code(table, "approve", limit="100")
    token = (await table.renew(approver)).token
    sealed = of_json(await door.encode({"case": case}, token))
    assert (await send_sealed(world, case, "approve_decision", sealed)).outcome.HasField("failure")
    await table.change(approver, limit=Decimal(50_000))
    again = (await send_sealed(world, case, "approve_decision", sealed)).outcome
    assert again.failure.application_failure_info.type == NOT_ALLOWED_NOW
    assert (await world.entries(case))[-1] == "proposed"
    anew = of_json(await door.encode({"case": case}, token))
    assert (await send_sealed(world, case, "approve_decision", anew)).outcome.HasField("success")


async def test_who_speaks_is_who_holds_the_token(world: World, door: Door) -> None:
    """Four eyes through the endpoint: the proposer cannot be the second person by naming one."""
    case = await deciding(world, amount=ABOVE, terms=TERMS)
    first, second = await door.token("op-4"), await door.token("op-5")
    sealed = of_json(await door.encode({"case": case, **proposal(ABOVE)}, first))
    assert (await send_sealed(world, case, "propose_decision", sealed)).outcome.HasField("success")
    own = of_json(await door.encode({"case": case}, first))
    refused = (await send_sealed(world, case, "approve_decision", own)).outcome
    assert refused.HasField("failure")
    other = of_json(await door.encode({"case": case}, second))
    assert (await send_sealed(world, case, "approve_decision", other)).outcome.HasField("success")
    actors = {e.entry: e.actor for e in await world.timeline(case)}
    assert (actors["proposed"], actors["decided"]) == ("op-4", "op-5")


async def test_bytes_of_another_case_are_refused(world: World, door: Door) -> None:
    """They do not open in this case; and the message inside is meant for another one."""
    case, other = await deciding(world), await deciding(world)
    sealed = of_json(await door.encode({"case": other, "handler": "op-3"}, await door.token("op-2")))
    outcome = (await send_sealed(world, case, "assign_case", sealed)).outcome
    assert outcome.failure.application_failure_info.type == "BadMessage"


# ---- the table ------------------------------------------------------------------------------------------------------


async def test_every_fault_of_a_new_operator_is_named(table: Operators) -> None:
    with pytest.raises(Refusal) as refusal:
        await table.add("Jānis", ("XX",), ("boss",), Decimal(5))
    assert [fault.split(":")[0] for fault in refusal.value.faults] == ["code", "organisations", "roles", "limit"]
    for wrong in (Decimal(0), Decimal("NaN"), Decimal(-1), None):
        with pytest.raises(Refusal, match="limit"):
            await table.add("op-900", ("BTA",), ("approve",), wrong)


async def test_a_code_is_given_once_even_after_its_operator_left(table: Operators) -> None:
    left = await code(table, "see")
    await table.end(left)
    for wrong in (table.add(left, ("BTA",), ("see",)), table.renew(left), table.change(left, roles=["see"])):
        with pytest.raises(Refusal, match="code"):
            await wrong


async def test_a_limit_goes_with_the_role_and_what_is_not_named_stays(table: Operators) -> None:
    changed = await code(table, "see", "approve", limit="500")
    await table.change(changed, organisations=["BL"])
    await table.change(changed, roles=["see"])
    (line,) = [one for one in await table.all() if one.operator == changed]
    assert (line.organisations, line.roles, line.limit) == (("BL",), ("see",), None)


async def test_an_operator_on_the_command_line_is_known_by_a_token(table: Operators) -> None:
    given = await table.add(f"op-{uuid4().hex[:8]}", ("BTA",), ("handle",))
    message = {"handler": "op-2"}
    assert await with_actor(table, {"actor": "system:bank"}, None) == {"actor": "system:bank"}
    assert await with_actor(table, message, given.token) == {**message, "actor": given.operator}
    for said, token, fault in (
        ({"actor": "op-1"}, None, "TERMINS_TOKEN is not set"),
        (message, None, "TERMINS_TOKEN is not set"),
        ({"actor": "op-1"}, "who knows", "TERMINS_TOKEN is not known"),
        ({"actor": "op-1"}, given.token, f"the token is that of {given.operator}"),
    ):
        with pytest.raises(Refusal, match=fault):
            await with_actor(table, said, token)


async def test_the_administrators_commands(world: World, where: dict[str, str]) -> None:
    """Add, list, change, a new token, end; faults are named with exit code 1, wrong usage is 2."""
    name = f"op-{uuid4().hex[:8]}"
    words = ("operator", "add", name, "--organisation", "BTA", "--role", "see", "--role", "approve")
    refused = await cli(where, *words, code=1)
    assert "limit: an amount in EUR" in refused.stderr
    given = await ask(where, *words, "--limit", "5000.00")
    assert (given["operator"], len(given["token"])) == (name, 43)
    assert (await ask(where, "operator", "change", name, "--limit", "700"))["limit"] == "700.00"
    again = await ask(where, "operator", "token", name, "--days", "7")
    assert again["token"] != given["token"]
    assert name in (await cli(where, "operator", "list")).stdout
    assert given["token"] not in (await cli(where, "operator", "list", "--json")).stdout
    assert (await ask(where, "operator", "end", name))["ended_at"] is not None
    await cli(where, "operator", "change", name, code=2)
    await cli(where, "operator", "add", name, "--limit", "much", code=2)
    await cli(where, "operator", "end", "op-nobody", code=1)
