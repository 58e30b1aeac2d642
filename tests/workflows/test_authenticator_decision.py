"""An authenticator ends for everybody: each client is told in a case of its own, and one case shows how they stand."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from sqlmodel import col, select
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.update.v1 import UpdateRef
from temporalio.api.workflowservice.v1 import PollWorkflowExecutionUpdateRequest
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.sweep import SweepActivities
from models.access import IssueAccess, TakeAway
from models.authenticator_decision import BATCH
from models.errors import NOT_YET, Refusal
from models.tables import AccountRow, BellRow, ClientRow, ConcernedRow, EventRow, IntakeRow
from operations.authenticator_decision import OVER, offer_again
from operations.clients import Clients
from tests.workflows.test_access_request import content as request_content
from tests.workflows.test_access_request import no_carrier, user
from tests.workflows.test_authenticator_withdrawal import DUE, MONDAY, account, row_of, states
from tests.workflows.test_authenticator_withdrawal import access as worker
from tests.world import Refused, World

_authenticators = count(1)
LATER = datetime(2027, 3, 20, 0, 0, tzinfo=MONDAY.tzinfo)
HALF_A_MINUTE = timedelta(seconds=31)


def authenticator() -> str:
    """One that no other test's clients use: a decision is about everybody."""
    return f"ebank-{next(_authenticators)}"


async def client_with(world: World, name: str, *, user: bool = False, **more: Any) -> str:
    """A client whose contract (or only one user) has the authenticator."""
    client = await world.customer(**more)
    if user:
        await account(world, client, authenticator=name)
        return client
    await change(world, client, authenticators=[name])
    return client


async def change(world: World, client: str, **values: Any) -> None:
    """Another contract."""
    async with world.sessions() as session, session.begin():
        row = await session.get_one(ClientRow, client)
        for field, value in values.items():
            setattr(row, field, value)


async def decide(world: World, name: str, **more: Any) -> str:
    """The decision for everybody; its case."""
    content = {"authenticator": name, "scope": "end", "decided_by": "op-9", **more}
    return await world.file("authenticator_decision", "BL", content)


async def withdrawals(world: World, decision: str) -> dict[str, str]:
    """Client → case of those whom the decision concerns."""
    async with world.sessions() as session:
        rows = (await session.exec(select(ConcernedRow).where(ConcernedRow.decision == decision))).all()
    return {row.client: row.withdrawal for row in rows}


async def told(world: World, decision: str, n: int) -> dict[str, str]:
    """Wait until so many are told, and their ten days run."""
    await world.stage(decision, "running")
    found = await withdrawals(world, decision)
    assert len(found) == n
    for case in found.values():
        await world.stage(case, "running")
    return found


async def sweep(world: World) -> None:
    """What the sweep does each minute; what rang a moment ago is old enough by then."""
    owners = [getattr(a, "__self__", None) for a in world.activities]
    activities = next(o for o in owners if isinstance(o, SweepActivities))
    await world.now.set(world.now() + HALF_A_MINUTE)
    await activities.deliver()


async def shown(world: World, decision: str, **counts: int) -> None:
    """Wait until the decision shows these counts; it is swept meanwhile."""

    async def there() -> bool:
        await sweep(world)
        row = await world.row(decision)
        if row is None:
            return False
        progress = row.state["body"]["progress"]
        return all(progress[name] == n for name, n in counts.items())

    await world.until(there, f"{decision} shows {counts}", seconds=60)


# ---- whom it concerns -----------------------------------------------------------------------------------------------


async def test_everybody_who_uses_it_is_told_in_a_case_of_its_own(world: World) -> None:
    """By contract or by a user; not whoever uses another one, nor a client whose contract has ended."""
    await world.begin(MONDAY)
    name = authenticator()
    by_contract = await client_with(world, name)
    by_user = await client_with(world, name, user=True)
    await client_with(world, authenticator())
    gone = await client_with(world, name)
    await change(world, gone, contract_until=(MONDAY - timedelta(days=1)).date())
    case = await decide(world, name)
    found = await told(world, case, 2)
    assert set(found) == {by_contract, by_user}
    reference = case.split(":")[2]
    for client, withdrawal in found.items():
        assert withdrawal == f"authenticator_withdrawal:BL:{reference}-{client}"
        async with world.sessions() as session:
            intake = await session.get_one(IntakeRow, withdrawal)
        assert intake.parent == case
        assert (await world.clock(withdrawal, "BL-3-notice")).due == DUE
    [entry] = [e for e in await world.timeline(case) if e.entry == "clients_found"]
    assert set(entry.facts["clients"]) == {by_contract, by_user}
    await shown(world, case, running=2)
    details = await world.details(case)
    assert "2: 2 notice runs" in details
    assert "for everybody, decided by op-9" in details

    await world.advance(found[by_user], DUE)
    await world.advance(found[by_contract], DUE)
    await world.stage(found[by_user], "resting")
    await world.stage(found[by_contract], "resting")
    assert await states(world, by_user) == [("ended", None)]
    await shown(world, case, in_effect=2)
    assert (await world.stage(case, "closed")).outcome == "in_effect"


async def test_a_decision_that_concerns_nobody_says_so_and_ends(world: World) -> None:
    await world.begin(MONDAY)
    assert (await world.stage(await decide(world, authenticator()), "closed")).outcome == "nobody_concerned"


async def _arrived(world: World, case: str, id: str) -> bool:
    """Whether the engine has this update, for which no worker asks yet."""
    run = WorkflowExecution(workflow_id=case)
    ref = UpdateRef(workflow_execution=run, update_id=id)
    try:
        await world.client.workflow_service.poll_workflow_execution_update(
            PollWorkflowExecutionUpdateRequest(namespace=world.client.namespace, update_ref=ref)
        )
    except RPCError as e:
        if e.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return True


@pytest.mark.parametrize("concerned", [True, False])
async def test_what_is_said_before_it_looked_keeps_it_from_nothing(worker_world: World, concerned: bool) -> None:
    """An assignment, or a word that it refuses, came first: it waited for more, and told nobody."""
    world, name = worker_world, authenticator()
    if concerned:
        await client_with(world, name)
    case = await decide(world, name, takes_effect_on="2099-03-20")
    same = {"case": case, "actor": "op-1", "takes_effect_on": "2099-03-20", "reason": "client_asked"}
    assigning = asyncio.create_task(world.say(case, "assign_case", handler="op-7", id="first"))
    moving = asyncio.create_task(world.send(case, "move_effect", same, id="second"))
    for sent in ("first", "second"):
        await world.until(partial(_arrived, world, case, sent), f"the {sent} has arrived")
    async with world.serving():
        assert (await assigning)["entry"] == "assigned"
        with pytest.raises(Refused, match="that is the day that stands"):
            await moving
        if concerned:
            await told(world, case, 1)
        else:
            assert (await world.stage(case, "closed")).outcome == "nobody_concerned"


async def test_a_reference_is_never_anothers_and_fits_into_a_name(world: World) -> None:
    """A client's code that cannot stand in a name, and a name that somebody filed by hand before."""
    await world.begin(MONDAY)
    name = authenticator()
    client = await client_with(world, name)
    content = {"client": client, "authenticator": name, "scope": "end", "decided_by": "op-9"}
    taken = await world.file("authenticator_withdrawal", "BL", content, reference=f"all-{name}-{client}")
    case = await world.file(
        "authenticator_decision",
        "BL",
        {"authenticator": name, "scope": "end", "decided_by": "op-9"},
        reference=f"all-{name}",
    )
    found = await told(world, case, 1)
    assert found[client] != taken
    assert found[client].startswith("authenticator_withdrawal:BL:G-")


async def test_a_client_that_joins_later_is_told_with_ten_days_of_its_own(world: World) -> None:
    await world.begin(MONDAY)
    name = authenticator()
    await client_with(world, name)
    case = await decide(world, name)
    await told(world, case, 1)
    await world.begin(MONDAY + timedelta(days=4))
    late = await client_with(world, name, user=True)
    await sweep(world)
    await world.until(lambda: _concerns(world, case, 2), "the client that joined is found")
    withdrawal = (await withdrawals(world, case))[late]
    await world.stage(withdrawal, "running")
    assert (await world.clock(withdrawal, "BL-3-notice")).due == DUE + timedelta(days=4)


async def _concerns(world: World, case: str, n: int) -> bool:
    return len(await withdrawals(world, case)) == n


async def test_a_client_whose_contract_ended_meanwhile_is_told_of_no_effect(world: World) -> None:
    """BL-11: its access ends with the contract; nothing is left to be withdrawn."""
    await world.begin(MONDAY)
    name = authenticator()
    client = await client_with(world, name)
    case = await decide(world, name)
    withdrawal = (await told(world, case, 1))[client]
    await change(world, client, contract_until=MONDAY.date())
    await world.ring(withdrawal, OVER)
    await world.until(lambda: _has(world, withdrawal, "bell_heard"), "the contract still runs today")
    await world.begin(MONDAY + timedelta(days=1))
    await world.advance(withdrawal, MONDAY + timedelta(days=1))
    await sweep(world)
    assert (await world.stage(withdrawal, "closed")).outcome == "contract_ended"
    assert (await world.clock(withdrawal, "BL-3-notice")).status == "void"
    await shown(world, case, withdrawn=1)
    assert (await world.stage(case, "closed")).outcome == "in_effect_in_part"


async def _has(world: World, case: str, entry: str) -> bool:
    return entry in await world.entries(case)


# ---- what is said for everybody -------------------------------------------------------------------------------------


async def test_a_decision_withdrawn_for_everybody_is_told_to_everybody(world: World) -> None:
    await world.begin(MONDAY)
    name = authenticator()
    clients = [await client_with(world, name, user=True) for _ in range(2)]
    case = await decide(world, name)
    found = await told(world, case, 2)
    await world.say(case, "withdraw_decision", reason="decision_reversed")
    await world.stage(case, "running")
    with pytest.raises(Refused, match="was withdrawn"):
        await world.say(case, "withdraw_decision", reason="decision_reversed")
    await client_with(world, name)
    await sweep(world)
    for client in clients:
        await world.stage(found[client], "resting")
        assert (await row_of(world, found[client])).withdrawn_at is not None
        assert [m for m in world.mails("ilze.kalna@") if client in m.get_content() and "ir atsaukts" in m.get_content()]
        assert await states(world, client) == [("active", name)]
    await shown(world, case, withdrawn=2)
    assert (await world.stage(case, "closed")).outcome == "withdrawn"
    assert len(await withdrawals(world, case)) == 2, "nobody joins what was withdrawn"


async def test_no_effect_comes_between_the_word_for_everybody_and_its_hearing(world: World) -> None:
    """From the decision's commit on: the withdrawal has not heard of it, its ten days have run, all clocks agree."""
    await world.begin(MONDAY)
    name = authenticator()
    client = await client_with(world, name, user=True)
    case = await decide(world, name)
    first = (await told(world, case, 1))[client]
    await world.say(case, "move_effect", takes_effect_on="2027-03-20", reason="client_asked")
    await world.stage(case, "running")
    await world.now.set(DUE + timedelta(hours=1))
    present = await world.environment.get_current_time(world.handle(first))
    await world.environment.fast_forward(world.handle(first), world.now() - present)
    await world.until(lambda: _kept(world, first), "the ten days have run")
    ask = TakeAway(case=first, n=1, at=world.now())
    with pytest.raises(ApplicationError, match="clock: ") as refused:
        await worker(world).withdraw_authenticator(ask)
    assert refused.value.type == NOT_YET
    await world.say(case, "withdraw_decision", reason="decision_reversed")
    with pytest.raises(ApplicationError, match="withdrawn for everybody"):
        await worker(world).withdraw_authenticator(ask)
    assert await states(world, client) == [("active", name)]
    await world.stage(case, "running")
    await sweep(world)
    await world.until(lambda: _has(world, first, "withdrawn"), "the withdrawal has heard of it")
    assert await states(world, client) == [("active", name)]


async def _kept(world: World, case: str) -> bool:
    return (await world.clock(case, "BL-3-notice")).status == "kept"


async def test_a_decision_moved_for_everybody_is_told_anew_and_comes_on_the_new_day(world: World) -> None:
    """Whoever cannot take it (here: to an earlier day than a notice allows) keeps its day, and is named."""
    await world.begin(MONDAY)
    name = authenticator()
    client = await client_with(world, name, user=True)
    case = await decide(world, name)
    withdrawal = (await told(world, case, 1))[client]
    await world.say(case, "move_effect", takes_effect_on="2027-03-20", reason="client_asked")
    await sweep(world)
    await world.until(lambda: _has(world, withdrawal, "moved"), "the withdrawal hears of it")
    await world.stage(withdrawal, "running")
    assert (await row_of(world, withdrawal)).not_before == LATER
    joined = await client_with(world, name)
    await sweep(world)
    await world.until(lambda: _concerns(world, case, 2), "the client that joined is found")
    other = (await withdrawals(world, case))[joined]
    await world.stage(other, "running")
    assert (await row_of(world, other)).not_before == LATER

    tenth = MONDAY + timedelta(days=9)
    for one in (withdrawal, other, case):
        await world.advance(one, tenth)
    await world.say(case, "move_effect", takes_effect_on="2027-03-15", reason="hurry")
    await shown(world, case, refused=2)
    details = await world.details(case)
    assert "refused by 2" in details
    assert withdrawal in details
    assert (await row_of(world, withdrawal)).not_before == LATER
    for child in (withdrawal, other):
        await world.advance(child, LATER - timedelta(seconds=2))
    assert await states(world, client) == [("active", name)]
    for child in (withdrawal, other):
        await world.advance(child, LATER)
        await world.stage(child, "resting")
    assert await states(world, client) == [("ended", None)]


async def test_a_day_that_is_over_is_no_day_to_move_to(world: World) -> None:
    await world.begin(MONDAY)
    name = authenticator()
    await client_with(world, name)
    case = await decide(world, name, takes_effect_on="2027-03-20")
    await told(world, case, 1)
    with pytest.raises(Refused, match="lies in the past"):
        await world.say(case, "move_effect", takes_effect_on="2027-02-28", reason="typo")
    with pytest.raises(Refused, match="the day that stands"):
        await world.say(case, "move_effect", takes_effect_on="2027-03-20", reason="typo")
    async with world.sessions() as session:
        found = list((await withdrawals(world, case)).values())
        assert not (await session.exec(select(EventRow).where(col(EventRow.case).in_(found)))).all()


# ---- what follows from it later -------------------------------------------------------------------------------------


def clients_of(world: World) -> Clients:
    """The module behind `starter.py clients`."""
    return Clients(world.sessions, world.keyring, world.now)


def registered(name: str) -> dict[str, Any]:
    """A client whose contract lists the authenticator."""
    person = {"name": "Ilze Kalna", "email": "ilze.kalna@noliktavas.example"}
    return {
        "client": f"K-{name}",
        "organisation": "BL",
        "name": "SIA Jaunā Noliktava",
        "responsible": person,
        "requesters": [person],
        "contract": "L-9",
        "authenticators": [name],
    }


async def over(world: World, name: str, **more: Any) -> tuple[str, str, str]:
    """A decision that has closed, after it took effect for its one client; decision, client and withdrawal."""
    await world.begin(MONDAY)
    client = await client_with(world, name)
    await change(world, client, contract="L-1")
    case = await decide(world, name, **more)
    withdrawal = (await told(world, case, 1))[client]
    await world.advance(withdrawal, DUE)
    await world.stage(withdrawal, "resting")
    await shown(world, case, in_effect=1)
    await world.stage(case, "closed")
    return case, client, withdrawal


async def test_what_ended_for_everybody_is_granted_to_nobody_until_it_is_offered_again(world: World) -> None:
    """Neither by a line of a client that was told, nor by a list, nor to a client that comes only now."""
    name = authenticator()
    case, client, withdrawal = await over(world, name)
    request = await world.file("access_request", "BL", request_content(client, user(authenticator=name)))
    row = await world.stage(request, "resting")
    assert row.state["body"]["lines"][0]["faults"] == ["authenticator:ended"]
    (letter,) = [n for n in (await world.notices(request)).values() if n.template == "BL-4-incomplete"]
    assert "vairs nav izmantojams" in str(letter.facts)
    other = await world.customer(contract="L-2")
    for work in (
        clients_of(world).register(registered(name)),
        clients_of(world).change(other, {"authenticators": [name]}),
    ):
        with pytest.raises(Refusal, match=f"{name} has ended for everybody by {case}"):
            await work
    with pytest.raises(Refusal, match="there is no operator"):
        await offer_again(world.sessions, case, "op-nobody", world.now)
    assert (await offer_again(world.sessions, case, "op-9", world.now)).authenticator == name
    assert (await clients_of(world).change(other, {"authenticators": [name]})).fields == ("authenticators",)
    assert (await clients_of(world).register(registered(name))).new
    for who in (client, other):
        request = await world.file("access_request", "BL", request_content(who, user(authenticator=name)))
        await world.stage(request, "resting")
        assert await states(world, who) == [("active", name)]
    await sweep(world)
    assert await withdrawals(world, case) == {client: withdrawal}, "it stands no more: nobody is told of it"


async def test_what_is_not_over_cannot_be_offered_again(world: World) -> None:
    await world.begin(MONDAY)
    name = authenticator()
    await client_with(world, name)
    case = await decide(world, name)
    await told(world, case, 1)
    with pytest.raises(Refusal, match="withdraw_decision takes it back"):
        await offer_again(world.sessions, case, "op-9", world.now)
    with pytest.raises(Refusal, match="no decision about"):
        await offer_again(world.sessions, "authenticator_decision:BL:none", "op-9", world.now)


async def test_who_came_after_it_closed_and_was_not_stopped_is_told_with_ten_days_of_its_own(world: World) -> None:
    """BL 3: what somebody has is not taken away without them, and does not stay either."""
    name = authenticator()
    case, client, _ = await over(world, name)
    late = await client_with(world, name, user=True)
    await sweep(world)
    withdrawal = (await withdrawals(world, case))[late]
    await world.stage(withdrawal, "running")
    due = (await world.clock(withdrawal, "BL-3-notice")).due
    assert due == DUE + timedelta(days=11), "told on the 12th: the ten days are the 13th to the 22nd"
    await sweep(world)
    assert set(await withdrawals(world, case)) == {client, late}
    await world.advance(withdrawal, due)
    await world.stage(withdrawal, "resting")
    assert await states(world, late) == [("ended", None)]


async def test_a_user_who_comes_to_an_authenticator_that_was_limited_has_it_limited_from_the_start(
    world: World,
) -> None:
    name = authenticator()
    _, client, withdrawal = await over(world, name, scope="limit", limitation="only to read")
    request = await world.file("access_request", "BL", request_content(client, user(authenticator=name)))
    await world.stage(request, "resting")
    async with world.sessions() as session:
        [given] = (await session.exec(select(AccountRow).where(AccountRow.client == client))).all()
    assert (given.authenticator, given.limited, given.withdrawn_by) == (name, "only to read", withdrawal)


async def test_a_line_that_was_read_before_the_effect_grants_nothing_after_it(world: World) -> None:
    """The carrier was down meanwhile. What ended for one client alone, its list brings back."""
    await world.begin(MONDAY)
    name = authenticator()
    client = await world.customer(contract="L-1", authenticators=[name])
    content = {"client": client, "authenticator": name, "scope": "end", "decided_by": "op-9"}
    withdrawal = await world.file("authenticator_withdrawal", "BL", content)
    await world.stage(withdrawal, "running")
    async with no_carrier(world):
        request = await world.file("access_request", "BL", request_content(client, user(authenticator=name)))
        await world.until(lambda: _has(world, request, "received"), "its line is read, and waits for the carrier")
        await world.now.set(DUE)
        present = await world.environment.get_current_time(world.handle(withdrawal))
        await world.environment.fast_forward(world.handle(withdrawal), DUE - present)
        await world.until(lambda: _in_effect(world, withdrawal), "it has taken effect")
    issued = await worker(world).issue(IssueAccess(case=request, key="BL-4:U1:1"))
    assert issued.refused == "the authenticator has ended meanwhile (BL 3)"
    assert await states(world, client) == []
    clients = clients_of(world)
    await clients.change(client, {"authenticators": []})
    await clients.change(client, {"authenticators": [name]})
    again = await world.file("access_request", "BL", request_content(client, user(authenticator=name)))
    await world.stage(again, "resting")
    assert await states(world, client) == [("active", name)]


async def _in_effect(world: World, withdrawal: str) -> bool:
    return (await row_of(world, withdrawal)).effective_at is not None


# ---- many clients ---------------------------------------------------------------------------------------------------


async def test_many_clients_make_few_steps(world: World) -> None:
    """Filed in batches; what their cases do rings the decision together, not one by one."""
    await world.begin(MONDAY)
    name = authenticator()
    n = BATCH + 10
    for _ in range(n):
        await client_with(world, name)
    case = await decide(world, name)
    await world.stage(case, "running")
    await shown(world, case, running=n)
    assert [e.entry for e in await world.timeline(case)][:2] == ["clients_found", "clients_found"]
    history = await world.handle(case).fetch_history()
    rounds = len(await world.timeline(case))
    assert rounds <= 12, rounds
    events = Counter(EventType.Name(event.event_type) for event in history.events)
    assert events["EVENT_TYPE_WORKFLOW_TASK_COMPLETED"] <= 12, events
    # each client's cases do several things: fewer rings than clients are rings together
    assert events["EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED"] < n, events
    assert len(history.events) <= 2 * n, events
    async with world.sessions() as session:
        assert not (
            await session.exec(select(BellRow).where(BellRow.case == case, col(BellRow.heard_at).is_(None)))
        ).all()


async def test_who_is_not_reached_or_held_up_is_named(world: World) -> None:
    await world.begin(MONDAY)
    name = authenticator()
    nobody = await client_with(world, name, responsible={"name": "Ilze Kalna", "email": "nav zināms"})
    await client_with(world, name)
    case = await decide(world, name)
    await shown(world, case, unreached=1, running=1)
    unreached = (await withdrawals(world, case))[nobody]
    assert unreached in await world.details(case)
    row = await world.row(case)
    assert row is not None
    assert "1 unreached" in row.waits_for


async def test_a_decision_lives_on_when_its_history_is_long(restless_world: World) -> None:
    """Continued as new at every resting point, it goes on from its record."""
    world = restless_world
    await world.begin(MONDAY)
    name = authenticator()
    await client_with(world, name)
    case = await decide(world, name)
    await told(world, case, 1)
    await shown(world, case, running=1)
    await world.say(case, "assign_case", handler="op-7")
    await world.say(case, "withdraw_decision", reason="decision_reversed")
    await shown(world, case, withdrawn=1)
    assert (await world.stage(case, "closed")).outcome == "withdrawn"


async def test_a_decision_whose_own_step_is_refused_says_so_and_goes_on_from_the_record(world: World) -> None:
    """What a client's withdrawal stands in was lost behind its back: it files nothing twice, and a person decides."""
    await world.begin(MONDAY)
    name = authenticator()
    client = await client_with(world, name)
    case = await decide(world, name)
    withdrawal = (await told(world, case, 1))[client]
    await world.say(case, "move_effect", takes_effect_on="2027-03-20", reason="client_asked")
    await world.stage(case, "running")
    async with world.sessions() as session, session.begin():
        await session.delete(await session.get_one(ConcernedRow, (case, client)))
    await world.ring(case, "recount")

    async def diverged() -> bool:
        row = await world.row(case)
        return row is not None and row.diverged

    await world.until(diverged, "the store refuses to file it again")
    with pytest.raises(Refused, match="adopt_record comes first"):
        await world.say(case, "assign_case", handler="op-9")
    async with world.sessions() as session, session.begin():
        session.add(ConcernedRow(decision=case, client=client, withdrawal=withdrawal))
    await world.say(case, "adopt_record", reason="the row is back")
    await world.say(case, "assign_case", handler="op-9")
    assert await withdrawals(world, case) == {client: withdrawal}
