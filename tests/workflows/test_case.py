"""What every kind of case keeps: one step once, wrong shapes refused, closed cases, resets, long histories."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import date, datetime, timedelta
from itertools import cycle
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlmodel import col, select, update
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus

from activities.case import CaseActivities, digest_of
from activities.privacy import PrivacyActivities
from activities.sweep import SweepActivities
from models.case import SPENT, OpenCase, Said, SpentSeal, Transition
from models.errors import Refusal
from models.names import TASK_QUEUE
from models.tables import BellRow, CaseRow, ClockRow, TimelineRow
from security.keys import DataKey
from tests.workflows.test_access_request import content as access_content
from tests.workflows.test_access_request import no_provider, shows
from tests.workflows.test_access_request import user as access_user
from tests.workflows.test_claim import MONDAY, content, documents
from tests.workflows.test_privacy_request import file, identify
from tests.world import Refused, World

PROPOSAL: dict[str, Any] = {
    "outcome": "pay",
    "losses": [{"claimant": "C1", "head": "property_damaged", "proven": "1200.00"}],
}


async def deciding(world: World, **more: Any) -> str:
    """A claim with all its documents."""
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", content(await world.policy(), documents=documents(MONDAY)), **more)
    await world.stage(case, "deciding")
    return case


async def delivered(world: World, case: str) -> None:
    """Wait until no letter of the case is on its way, those to staff included: they go out beside the steps."""

    async def all_sent() -> bool:
        return all(letter.sent_at is not None for letter in (await world.notices(case)).values())

    await world.until(all_sent, f"the letters of {case} went out")
    await world.settled(case)


async def paid(world: World) -> str:
    """A claim that is paid and rests."""
    case = await deciding(world)
    await world.covered(case)
    await world.say(case, "propose_decision", **PROPOSAL)
    await world.payment(case, "C1:indemnity", "issued")
    await world.say(
        case,
        "confirm_payment",
        actor="system:bank",
        payment="C1:indemnity",
        executed_on=f"{world.now():%Y-%m-%d}",
        bank_reference="B1",
    )
    await world.stage(case, "resting")
    return case


# ---- filing ---------------------------------------------------------------------------------------------------------


async def test_the_same_filing_twice_is_one_case(world: World) -> None:
    """The same reference with the same content gives the same case, and one run."""
    await world.begin(MONDAY)
    claim = content(await world.policy())
    first = await world.file("claim", "BTA", claim, reference="TWICE-1", received_at=MONDAY)
    await world.stage(first, "collecting")
    second = await world.file("claim", "BTA", claim, reference="TWICE-1", received_at=MONDAY)
    assert first == second == "claim:BTA:TWICE-1"
    assert (await world.entries(first)) == ["received"]


async def test_the_same_reference_with_other_content_names_the_fields(world: World) -> None:
    await world.begin(MONDAY)
    claim = content(await world.policy())
    await world.file("claim", "BTA", claim, reference="OTHER-1", received_at=MONDAY)
    with pytest.raises(Refusal) as refused:
        await world.file("claim", "BTA", {**claim, "place": "Valmiera"}, reference="OTHER-1", received_at=MONDAY)
    assert refused.value.faults == ("content.place: differs from what was filed under this reference",)


async def test_a_claim_is_kept_whatever_its_form(world: World) -> None:
    """Faults are named in one answer and hold back only what they touch; the reference is one that Termins gives."""
    await world.begin(MONDAY)
    filed = await world.intake.submit(
        {
            "kind": "claim",
            "organisation": "BTA",
            "reference": "Nr. 12/2027",
            "received_at": "yesterday",
            "sender": "system:tests",
            "content": {
                "claimants": [{"name": "Jānis Ozols", "iban": "LV00BAD", "shoe_size": 44}],
                "occurred_on": "2031-01-01",
                "losses": [{"head": "property_damaged", "amount": "-5"}, {"head": "treatment", "amount": "80.00"}],
            },
        }
    )
    assert filed.case.startswith("claim:BTA:G-")
    text = "\n".join(filed.faults)
    for part in ("received_at", "reference", "shoe_size", "occurred_on", "losses.0", "policy"):
        assert part in text, part
    row = await world.stage(filed.case, "collecting")
    assert "80.00" in row.state["body"]["heads"][0]


async def test_what_is_no_claim_is_kept_and_opens_no_case(world: World) -> None:
    await world.begin(MONDAY)
    filed = await world.intake.submit(
        {
            "kind": "claim",
            "organisation": "BTA",
            "reference": "SPAM-1",
            "received_at": MONDAY.isoformat(),
            "sender": "x",
            "content": {"hello": 1},
        }
    )
    assert (filed.result, filed.started) == ("not_a_claim", False)


# ---- messages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [[], [None], ["text"], [[1, 2]], [{}], [{"case": "other"}], [{"actor": "op-1"}, {"actor": "op-2"}], [7, 8, 9]],
    ids=str,
)
async def test_an_update_of_a_wrong_shape_is_refused_and_wedges_nothing(world: World, args: list[Any]) -> None:
    """No argument, null, a text, an array, an empty object, another case, two arguments: refused at once."""
    case = await deciding(world)
    with pytest.raises(Refused):
        await world.send(case, "propose_decision", *args)
    await world.say(case, "assign_case", handler="op-9")
    assert (await world.entries(case)) == ["received", "assigned"]


@pytest.mark.parametrize("args", [[], [None], ["text"], [[1]], [{"x": 1}], [{"case": "a"}, {"case": "b"}]], ids=str)
async def test_a_start_of_a_wrong_shape_closes_at_once_as_refused(world: World, args: list[Any]) -> None:
    await world.begin(MONDAY)
    handle = await world.client.start_workflow(
        "Claim", args=args, id=f"claim:BTA:SHAPE-{len(str(args))}", task_queue=TASK_QUEUE
    )
    result = await asyncio.wait_for(handle.result(), 15)
    assert result["result"] == "refused"
    assert result["faults"]


async def test_a_signal_with_anything_in_it_wedges_nothing(world: World) -> None:
    case = await deciding(world)
    for args in ([], [None], ["x"], [{"a": 1}], [1, 2]):
        await world.handle(case).signal("look_again", args=args)
    await world.handle(case).signal("no_such_signal", args=[1])
    await world.say(case, "assign_case", handler="op-9")
    assert (await world.clocks(case))[("BTA-10.5a", "")] == "running"


async def test_a_placeholder_that_was_not_filled_in_is_named(world: World) -> None:
    case = await deciding(world)
    with pytest.raises(Refused, match=r"losses\.0\.proven: still to be filled in"):
        await world.say(
            case,
            "propose_decision",
            outcome="pay",
            losses=[{"claimant": "C1", "head": "property_damaged", "proven": "‹EUR, such as 1200.00›"}],
        )


async def test_the_same_message_twice_is_recorded_once(world: World) -> None:
    """An update id is an idempotency key, also when it is sent again much later."""
    case = await deciding(world)
    first = await world.say(case, "assign_case", id="same", handler="op-9")
    second = await world.say(case, "assign_case", id="same", handler="op-9")
    assert first["step"] == second["step"]
    assert (await world.entries(case)).count("assigned") == 1


async def test_a_hundred_messages_at_once_each_get_one_entry(world: World) -> None:
    """One record at a time: nothing is overwritten, nothing is lost."""
    case = await deciding(world)
    await asyncio.gather(*(world.say(case, "assign_case", handler=f"op-{n}") for n in range(100, 110)))
    assert (await world.entries(case)).count("assigned") == 10
    assert [t.step for t in await world.timeline(case)] == list(range(1, 12))


async def test_a_request_to_cancel_changes_nothing(world: World) -> None:
    """A duty cannot be cancelled by a click."""
    case = await deciding(world)
    await world.handle(case).cancel()
    await world.say(case, "assign_case", handler="op-9")
    assert (await world.handle(case).describe()).status is WorkflowExecutionStatus.RUNNING
    assert (await world.clocks(case))[("BTA-10.5a", "")] == "running"


# ---- ids ------------------------------------------------------------------------------------------------------------


async def test_a_filing_started_under_a_wrong_id_is_told_the_right_one(world: World) -> None:
    await world.begin(MONDAY)
    filing = {
        "organisation": "BTA",
        "reference": "RIGHT-1",
        "received_at": MONDAY.isoformat(),
        "sender": "system:tests",
        "content": content(await world.policy()),
    }
    wrong = await world.client.start_workflow("Claim", {"filing": filing}, id="my-own-id", task_queue=TASK_QUEUE)
    assert (await wrong.result())["right_case"] == "claim:BTA:RIGHT-1"
    right = await world.client.start_workflow(
        "Claim", {"filing": filing}, id="claim:BTA:RIGHT-1", task_queue=TASK_QUEUE
    )
    await world.stage(right.id, "collecting")


async def test_an_unknown_case_is_refused(world: World) -> None:
    await world.begin(MONDAY)
    handle = await world.client.start_workflow("Claim", {}, id="claim:BTA:NEVER-FILED", task_queue=TASK_QUEUE)
    assert "nothing was filed" in (await handle.result())["faults"][0]


# ---- steps ----------------------------------------------------------------------------------------------------------


async def test_a_repeated_step_answers_as_before_and_another_one_diverges(world: World) -> None:
    """Same step and digest: what the first try wrote. Same step, other digest: nothing is written."""
    case = await deciding(world)
    before = await world.timeline(case)
    activities: CaseActivities = world.case_activities
    t = Transition(case=case, step=2, at=world.now(), stage="deciding", entry="assigned", facts={"handler": "op-1"})
    first = await activities.record(t)
    again = await activities.record(t.model_copy(update={"at": t.at + timedelta(days=1)}))
    assert first == again
    behind = await activities.record(t.model_copy(update={"facts": {"handler": "op-2"}}))
    assert (behind.result, behind.missed) == ("behind", (first.model_dump(mode="json"),))
    unknown = Said(id="never recorded", name="assign_case", actor="op-1")
    assert (await activities.record(t.model_copy(update={"said": unknown}))).result == "behind"
    assert len(await world.timeline(case)) == len(before) + 1


def test_the_digest_leaves_out_what_a_reset_changes() -> None:
    t = Transition(case="claim:BTA:1", step=1, at=MONDAY, stage="deciding", entry="x").model_dump(mode="json")
    key = DataKey("claim:BTA:1", b"1" * 16, b"K" * 32)
    assert digest_of(t, key) == digest_of({**t, "at": str(MONDAY + timedelta(days=9)), "heard": [4]}, key)
    assert digest_of(t, key) != digest_of({**t, "entry": "y"}, key)
    assert digest_of(t, key) != digest_of(t, DataKey("claim:BTA:1", b"2" * 16, b"k" * 32))


async def lose_a_clock(world: World, case: str) -> None:
    """Somebody ends the next clock behind the case's back, in the store; then its instant comes."""
    async with world.sessions() as session, session.begin():
        query = select(ClockRow).where(ClockRow.case == case, ClockRow.status == "running").order_by(col(ClockRow.due))
        clock = (await session.exec(query.limit(1))).one()
        clock.status, clock.ended_at = "void", world.now()
        first = min([clock.due, *map(datetime.fromisoformat, clock.reminders)])
    await world.advance(case, first + timedelta(seconds=1))

    async def diverged() -> bool:
        row = await world.row(case)
        return row is not None and row.diverged

    await world.until(diverged, "the store refuses the clock's next step")
    await world.settled(case)


async def test_a_case_whose_own_step_is_refused_says_so_and_goes_on_from_the_record(world: World) -> None:
    """Nobody sent it, so nobody can be told: the case stops, a person adopts the record, the case goes on."""
    case = await deciding(world)
    await lose_a_clock(world, case)
    with pytest.raises(Refused, match="adopt_record comes first"):
        await world.say(case, "assign_case", handler="op-9")
    await world.say(case, "adopt_record", reason="the duty was lifted")
    await world.say(case, "assign_case", handler="op-9")
    assert (await world.entries(case)) == ["received", "record_adopted", "assigned"]


async def overtaken(world: World, case: str) -> None:
    """A step that a dead worker committed, and that the run does not know: it meets it at its next one, and adopts it.

    Whatever effect is under way begins again then.
    """
    row = await world.row(case)
    assert row is not None
    await world.case_activities.record(
        Transition(
            case=case,
            step=row.step + 1,
            at=world.now(),
            stage=row.stage,
            entry="assigned",
            facts={"handler": "op-77"},
            body=row.state["body"],
        )
    )
    assert (await world.say(case, "assign_case", handler="op-9"))["step"] == row.step + 2


async def test_a_message_to_a_case_that_is_behind_its_record_is_judged_by_the_record(world: World) -> None:
    """A step that was committed while its workflow task was lost: what another says first comes after it."""
    case = await deciding(world)
    await overtaken(world, case)
    assert (await world.entries(case)) == ["received", "assigned", "assigned"]
    with pytest.raises(Refused, match="not in stage"):
        await world.say(case, "adopt_record", reason="there is nothing to adopt")


async def test_an_effect_that_an_adoption_lets_go_is_no_step_and_is_begun_again(world: World) -> None:
    """Of the access request's timeline: nobody was told anything by it."""
    await world.begin(MONDAY)
    async with no_provider(world):
        case = await world.file("access_request", "BL", access_content(await world.customer(), access_user()))
        await world.until(lambda: world.row(case), "it is received")
        await shows(world, case, "the identity provider does not answer: BL-4:U1:1")
        await overtaken(world, case)
        await shows(world, case, "op-9")
    await world.stage(case, "resting")
    assert await world.entries(case) == ["received", "assigned", "assigned", "issued"]


async def test_an_effect_that_an_adoption_lets_go_has_not_failed(world: World) -> None:
    """A privacy request whose systems are being asked goes on asking them; no person has to look."""
    owners = [getattr(a, "__self__", None) for a in world.activities]
    own = next(owner for owner in owners if isinstance(owner, PrivacyActivities))._systems[0]
    asked, may_answer, locate = asyncio.Event(), asyncio.Event(), own.locate

    async def slow(*of: Any) -> Any:
        asked.set()
        await may_answer.wait()
        return await locate(*of)

    with patch.object(own, "locate", slow):
        await world.begin(MONDAY)
        case = await file(world, "GJ", "access")
        await world.stage(case, "identifying")
        await identify(world, case, MONDAY)
        await asyncio.wait_for(asked.wait(), 30)
        await overtaken(world, case)
        may_answer.set()
        await world.stage(case, "resting")
    assert "record_adopted" not in await world.entries(case)


@asynccontextmanager
async def locked(world: World, case: str) -> AsyncIterator[None]:
    """Somebody holds the row of the case."""
    async with world.sessions() as session:
        await session.exec(select(CaseRow).where(CaseRow.case == case).with_for_update())
        yield
        await session.rollback()


@asynccontextmanager
async def broken(world: World, case: str) -> AsyncIterator[None]:
    """A table that every step needs is not there."""
    for before, after in (("timeline", "gone"), ("gone", "timeline")):
        async with world.sessions() as session, session.begin():
            await (await session.connection()).execute(text(f"ALTER TABLE {before} RENAME TO {after}"))
        if after == "gone":
            yield


@pytest.mark.parametrize("trouble", [locked, broken])
async def test_what_the_store_does_not_answer_at_once_is_waited_for_where_people_see_it(
    world: World, trouble: Callable[[World, str], AbstractAsyncContextManager[None]]
) -> None:
    """A step is asked within its workflow task; if that fails or takes too long, as an activity; it is written once."""
    case = await deciding(world)

    async def pending() -> list[str]:
        described = (await world.handle(case).describe()).raw_description
        return [activity.activity_type.name for activity in described.pending_activities]

    async with trouble(world, case):
        saying = asyncio.create_task(world.say(case, "assign_case", handler="op-9"))
        assert await world.until(pending, "it is asked again, for people to see") == ["case.record"]
    assert (await saying)["step"] == 2
    assert (await world.entries(case)) == ["received", "assigned"]


async def test_a_large_step_is_an_activity_of_its_own_and_a_larger_one_is_refused(world: World) -> None:
    """The engine takes 2 MiB at once and 4 MiB of a task: nothing that can be said wedges the case."""
    case = await deciding(world)
    reasons = ["9.1: " + "ā" * 895] * 200
    await world.say(case, "propose_decision", outcome="reject", reasons=reasons)
    history = await world.handle(case).fetch_history()
    asked = [e.activity_task_scheduled_event_attributes.activity_type.name for e in history.events]
    assert "case.record" in asked
    # more than 2 MiB, though less than 1.5 million letters
    people = [{"name": f"Person {n}", "email": f"p{n}@example.lv", "language": "lv"} for n in range(4)]
    claim = content(await world.policy(), documents=documents(MONDAY), claimants=people)
    many = await world.file("claim", "BTA", claim)
    await world.stage(many, "deciding")
    with pytest.raises(Refused, match="more than one step can hold"):
        await world.say(many, "propose_decision", outcome="reject", reasons=reasons)
    await world.say(many, "propose_decision", outcome="reject", reasons=["9.1: nothing is proven"])
    assert "decided" in await world.entries(many)


async def _rung(world: World, case: str) -> int:
    events = (await world.handle(case).fetch_history()).events
    return len([e for e in events if e.HasField("workflow_execution_signaled_event_attributes")])


async def test_the_sweep_rings_a_case_whose_last_task_was_lost_and_no_other(world: World) -> None:
    """Also where the history went on without it: a task that timed out makes it longer, and tells the run nothing."""
    sweep = next(o for a in world.activities if isinstance(o := getattr(a, "__self__", None), SweepActivities))
    case, other = await deciding(world), await deciding(world)
    await world.say(other, "assign_case", handler="op-9")
    row = await world.row(case)
    assert row is not None
    length = (await world.handle(case).describe()).history_length
    lost = Transition(
        case=case,
        step=row.step + 1,
        at=world.now(),
        # the task of an idle case: it was there, and nothing of it is in the history
        events=length - 2,
        stage=row.stage,
        entry="assigned",
        facts={"handler": "op-7"},
        said=Said(id="by-hand", name="assign_case", actor="op-1"),
        body=row.state["body"],
    )
    await world.case_activities.record(lost)
    await world.now.set(world.now() + timedelta(minutes=2))
    await sweep.deliver()

    async def knows() -> bool:
        return "op-7" in str(await world.handle(case).query("__temporal_workflow_metadata"))

    await world.until(knows, "the case goes on from its record")
    assert (await _rung(world, case), await _rung(world, other)) == (1, 0)
    assert [(await world.row(c)).unproven for c in (case, other)] == [None, None]  # type: ignore[union-attr]  # there


async def test_a_message_that_the_record_holds_already_is_answered_with_its_step(world: World) -> None:
    """Its workflow task was lost after the commit, and it comes again: the same answer, no second step."""
    case = await deciding(world)
    first = await world.case_activities.record(
        Transition(
            case=case,
            step=2,
            at=world.now(),
            stage="deciding",
            entry="assigned",
            facts={"handler": "op-77", "seen": "before the task was lost"},
            said=Said(id="m-1", name="assign_case", actor="op-1"),
            body=(await world.row(case)).state["body"],  # type: ignore[union-attr]  # it is there
        )
    )
    answer = await world.say(case, "assign_case", id="m-1", handler="op-77")
    assert (answer["entry"], answer["step"], answer["at"]) == ("assigned", 2, first.transition["at"])
    assert (await world.entries(case)) == ["received", "assigned"]


async def terminated(world: World, case: str) -> None:
    """Somebody terminates a case in the UI, and the sweep starts it again."""
    await world.handle(case).terminate("by mistake")

    async def swept() -> bool:
        # the list of ended runs follows a moment later
        sweep = await world.client.start_workflow("Sweep", id=f"sweep-{world.now():%S%f}", task_queue=TASK_QUEUE)
        return bool((await sweep.result())["restarted"])

    await world.until(swept, "the sweep starts it again")


async def _reset(world: World, case: str, first: bool) -> None:
    events = [e async for e in world.handle(case).fetch_history_events()]
    finished = [e.event_id for e in events if e.HasField("workflow_task_completed_event_attributes")]
    await world.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=world.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=case),
            reason="test",
            workflow_task_finish_event_id=finished[0] if first else finished[len(finished) // 2],
            request_id=f"{case}-{first}",
        )
    )


@pytest.mark.parametrize("first", [True, False], ids=["to the first task", "to the middle"])
async def test_a_reset_ends_with_the_same_timeline_and_effects(world: World, first: bool) -> None:
    """A reset repeats steps: same content returns what was written; nothing is sent or paid twice."""
    case = await paid(world)
    before = [(t.step, t.entry, t.digest) for t in await world.timeline(case)]
    files = sorted(p.name for p in (world.var / "bank").glob("*.xml"))
    mails = len(world.mails("anna.berzina"))
    await _reset(world, case, first)
    await world.stage(case, "resting")
    await world.until(lambda: _idle(world, case), "the reset run waits")
    assert [(t.step, t.entry, t.digest) for t in await world.timeline(case)][: len(before)] == before
    assert sorted(p.name for p in (world.var / "bank").glob("*.xml")) == files
    assert len(world.mails("anna.berzina")) == mails
    assert not (await world.row(case)).diverged  # type: ignore[union-attr]  # it is there


async def _idle(world: World, case: str) -> bool:
    details = await world.handle(case).query("__temporal_workflow_metadata")
    return "Resting" in str(details)


# ---- closed cases ---------------------------------------------------------------------------------------------------


async def test_a_closed_case_refuses_what_cannot_reopen_it_and_takes_what_can(world: World) -> None:
    """A bank return after the end reopens the claim: the payment's clock runs again by the same due date."""
    case = await paid(world)
    await world.advance(case, MONDAY + timedelta(days=12))
    assert (await world.row(case)).outcome == "paid"  # type: ignore[union-attr]  # it is there
    due = (await world.clock(case, "BTA-10.5c", "C1")).due
    refused = await world.intake.submit_event(case, "e-1", "add_document", {"actor": "system:dms"})
    assert "cannot reopen it" in refused.refused[0]
    taken = await world.intake.submit_event(
        case,
        "e-2",
        "reject_payment",
        {"actor": "system:bank", "payment": "C1:indemnity", "reason": "AC04", "rejected_on": f"{world.now():%Y-%m-%d}"},
    )
    assert taken.answer is not None, taken
    again = await world.intake.submit_event(
        case,
        "e-2",
        "reject_payment",
        {"actor": "system:bank", "payment": "C1:indemnity", "reason": "AC04", "rejected_on": f"{world.now():%Y-%m-%d}"},
    )
    assert again.answer == taken.answer
    clock = await world.clock(case, "BTA-10.5c", "C1")
    assert (clock.status, clock.due) == ("running", due)
    await world.say(case, "correct_payee", claimant="C1", iban="LV97HABA0012345678910")
    await world.payment(case, "C1:indemnity:2", "issued")


async def test_a_second_run_of_a_closed_case_that_nothing_reopened_ends(world: World) -> None:
    case = await paid(world)
    await world.advance(case, MONDAY + timedelta(days=12))
    entries = await world.entries(case)
    handle = await world.client.start_workflow("Claim", {"case": case}, id=case, task_queue=TASK_QUEUE)
    assert (await handle.result())["result"] == "closed"
    assert await world.entries(case) == entries


async def test_a_finished_case_refuses_an_update_whose_sender_knows_no_better(world: World) -> None:
    case = await paid(world)
    await world.advance(case, MONDAY + timedelta(days=12))
    with pytest.raises(Exception, match="already completed"):
        await world.send(case, "assign_case", {"case": case, "actor": "op-1", "handler": "op-2"})


# ---- long histories ------------------------------------------------------------------------------------------------


async def test_continue_as_new_at_every_resting_point_changes_nothing(world: World, restless_world: World) -> None:
    """The same story told with a new run at every resting point has the same timeline, letters and payments."""
    stories = []
    for place in (world, restless_world):
        case = await paid(place)
        await place.advance(case, MONDAY + timedelta(days=12))
        await place.stage(case, "closed")
        # how many proofs come in one step is a matter of moments; everything else is the same
        steps = [t.entry for t in await place.timeline(case) if t.entry != "proven"]
        orders = [p.name for p in (place.var / "bank").glob("*.xml") if case.split(":")[2] in p.read_text()]
        clocks = await place.clocks(case)
        stories.append((steps, clocks, len(orders), sorted(await place.notices(case))))
        runs = [w async for w in place.client.list_workflows(f"WorkflowId = '{case}'")]
        if place is restless_world:
            assert len(runs) > 1
    assert stories[0] == stories[1]


async def test_a_seal_that_was_refused_is_refused_in_the_next_run_too(restless_world: World) -> None:
    """Its text stands in the history: nobody else may say it, once it would be allowed."""
    world = restless_world
    case = await deciding(world)
    message = {"case": case, "handler": "op-2", "once": uuid4().hex}
    with pytest.raises(Refused, match="no operator"):
        await world.send(case, "assign_case", {"actor": "op-4711", **message})
    first = (await world.handle(case).describe()).run_id
    handlers = cycle(("op-3", "op-4"))

    async def goes_on() -> bool:
        await world.say(case, "assign_case", handler=next(handlers))
        return (await world.handle(case).describe()).run_id != first

    await world.until(goes_on)
    with pytest.raises(Refused, match="refused before"):
        await world.send(case, "assign_case", {"actor": "op-1", **message})
    assert (await world.say(case, "assign_case", handler="op-2"))["entry"] == "assigned"


@pytest.mark.parametrize("ends", ["terminated", "reset to the first task", "reset to the last but one"])
async def test_a_seal_that_was_refused_is_refused_in_a_run_that_begins_anew_too(world: World, ends: str) -> None:
    """Whoever may end a run needs no token for it: the record knows what the run before refused."""
    case = await deciding(world)
    message = {"case": case, "actor": "op-4711", "handler": "op-2", "once": uuid4().hex}
    with pytest.raises(Refused, match="no operator"):
        await world.send(case, "assign_case", message)
    await world.say(case, "assign_case", handler="op-3")
    if ends == "terminated":
        await terminated(world, case)
    else:
        await _reset(world, case, first="first" in ends)
    message["actor"] = "op-1"
    with pytest.raises(Refused, match="refused before"):
        await world.send(case, "assign_case", message)
    assert await world.entries(case) == ["received", "assigned"]


async def test_a_step_that_a_refused_seal_asks_for_is_refused_by_the_record_itself(world: World) -> None:
    """A run that was reset to a moment before the refusal does not know of it."""
    case = await deciding(world)
    seal = SpentSeal(case=case, once=uuid4().hex)
    for _ in range(2):
        await world.case_activities.spend(seal)
    await world.case_activities.spend(seal.model_copy(update={"case": "claim:BTA:NEVER-FILED"}))
    row = await world.row(case)
    assert row is not None
    assert row.state["spent"] == [seal.once]
    said = Said(id="m-1", name="assign_case", actor="op-1", once=seal.once)
    step = Transition(case=case, step=row.step + 1, at=world.now(), stage=row.stage, entry="assigned", said=said)
    refused = await world.case_activities.record(step)
    assert (refused.result, refused.faults) == ("refused", (SPENT,))


# ---- recount --------------------------------------------------------------------------------------------------------


async def test_recount_counts_open_clocks_by_the_versions_of_today(world: World) -> None:
    """A clock of an older calendar is counted anew, said in the timeline; a second recount changes nothing."""
    case = await deciding(world)
    async with world.sessions() as session, session.begin():
        await session.exec(
            update(ClockRow)
            .where(col(ClockRow.case) == case)
            .values(calendar_version="LV 2020-01-01", due=MONDAY + timedelta(days=20), last_day=date(2027, 3, 20))
        )
    await world.ring(case, "recount")
    await world.until(lambda: _has(world, case, "recounted"))
    clock = await world.clock(case, "BTA-10.5a")
    assert f"{clock.last_day}" == "2027-03-31"
    assert clock.calendar_version != "LV 2020-01-01"
    entry = (await world.timeline(case))[-1]
    assert entry.clocks[0]["was_due"].startswith("2027-03-21")
    async with world.sessions() as session:
        waiting = (
            await session.exec(select(BellRow).where(BellRow.case == case, col(BellRow.heard_at).is_(None)))
        ).all()
    assert not waiting


async def _has(world: World, case: str, entry: str) -> bool:
    return entry in await world.entries(case)


async def test_the_timeline_is_never_rewritten(world: World) -> None:
    """Steps are numbered without a gap, and the first entries stay as they were written."""
    case = await deciding(world)
    first = (await world.timeline(case))[0]
    await world.say(case, "assign_case", handler="op-9")
    async with world.sessions() as session:
        again = await session.get(TimelineRow, (case, 1))
    assert again is not None
    assert (again.digest, again.recorded_at) == (first.digest, first.recorded_at)


async def test_opening_twice_gives_the_same_state(world: World) -> None:
    case = await deciding(world)
    await delivered(world, case)
    ask = OpenCase(workflow_id=case, workflow_kind="claim", run_id="", at=world.now(), case=case)
    assert await world.case_activities.open(ask) == await world.case_activities.open(ask)


# ---- what was found by trying ---------------------------------------------------------------------------------------


async def test_a_claim_of_an_organisation_that_does_not_insure_is_refused(world: World) -> None:
    """It would have no clock to run by: refused at filing, naming the rows that its rulebook lacks."""
    await world.begin(MONDAY)
    with pytest.raises(Refusal, match=r"no BTA-10\.5a"):
        await world.file("claim", "BL", content("P"))


async def test_all_faults_of_a_filing_are_named_in_one_answer(world: World) -> None:
    """Envelope, name, organisation and content together, so that a sender corrects once."""
    with pytest.raises(Refusal) as refused:
        await world.intake.submit(
            {"kind": "access_request", "organisation": "DZ", "reference": "a/b", "received_at": "x", "content": {}}
        )
    text = "; ".join(refused.value.faults)
    for part in ("received_at", "sender", "reference: 1 to 64", "its rulebook has no BL-4", "content.users"):
        assert part in text, part


async def test_a_terminated_case_is_started_again_by_the_sweep(world: World) -> None:
    """A duty does not end by a click: the case goes on from its record, with the same clocks."""
    case = await deciding(world)
    due = (await world.clock(case, "BTA-10.5a")).due
    await terminated(world, case)
    await world.say(case, "assign_case", handler="op-9")
    assert await world.entries(case) == ["received", "assigned"]
    assert (await world.clock(case, "BTA-10.5a")).due == due


async def test_an_event_that_is_refused_leaves_a_closed_case_closed(world: World) -> None:
    """A bounce of a letter that was never sent: refused, and the case ends as it had ended."""
    case = await paid(world)
    await world.advance(case, MONDAY + timedelta(days=12))
    before = await world.row(case)
    said = await world.intake.submit_event(
        case, "e-9", "report_bounce", {"actor": "system:mail", "notice": "no:such:1", "bounced_at": MONDAY.isoformat()}
    )
    assert "no such letter was sent" in said.refused[0]
    after = await world.row(case)
    assert before is not None
    assert after is not None
    assert (after.closed_at, after.outcome, after.step) == (before.closed_at, before.outcome, before.step)
    assert (await world.handle(case).result())["result"] == "closed"
