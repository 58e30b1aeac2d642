"""Bad input of every shape, in any order, through every door: one clear answer each, no case wedged, nothing begun.

`make fuzz` sends thousands; the tests after the first one are the faults that were found so, each in plain words.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from http import HTTPStatus
from itertools import count
from random import Random
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text as sql
from sqlmodel import col, select, update
from structlog.testing import capture_logs
from temporalio.api.common.v1 import Payload, WorkflowType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy

from models.case import AdoptRecord, Message
from models.errors import Refusal
from models.keepable import MOST
from models.names import KINDS, TASK_QUEUE, split_case_id
from models.operator import ROLES
from models.tables import CaseRow, EventRow, IntakeRow, NoticeRow, TimelineRow
from operations.filings import check
from operations.health import STUCK
from operations.intake import keep, named
from operations.loading import load
from operations.operators import Operators
from operations.policies import Policies
from operations.samples import SAMPLES, Sample, Samples, read, resolved
from security.endpoint import Endpoint, serving
from tests.system import doors, junk
from tests.system.doors import Answer
from tests.system.test_other_callers import still_answers
from tests.workflows.test_claim import content
from tests.world import RIGA, Refused, World
from workflows import registry
from workflows.case import Case

EXAMPLES = int(os.environ.get("TERMINS_FUZZ", "0"))
"""How many examples `make fuzz` wants; 0: a sample for CI."""
CI_EXAMPLES = 60
REFERENCES = count(1)
MONTHS = count()
FILED = (
    *("04-claim-documents-missing", "05-claim-faulty", "06-claim-second-approval", "07-claim-rejected"),
    *("10-claim-two-claimants", "22-access-mail-came-back", "23-access-not-authorised", "24-withdrawal-with-fallback"),
    *("30-privacy-access-in-person", "31-privacy-erasure", "33-privacy-not-identified"),
    *("19-client-change", "40-renewal-reminder", "41-late-premium", "52-task-consultation"),
    *("53-task-processor-gate", "55-task-information-overdue", "36-breach-high-risk", "37-breach-no-risk"),
    *("15-claim-recovered", "27-sign-in-review", "28-decision-for-all-clients"),
)
"""The samples whose copies are spoken to, and the cases that these open: every kind, most stages, a closed one."""
OLD = 150
"""Steps after which a copy has heard enough; another takes its place."""
EVERY: list[type[Any]] = list(registry.ALL)
KIND: dict[str, type[Case]] = {w.kind: w for w in EVERY if issubclass(w, Case)}
ADOPT: tuple[type[Message], ...] = (AdoptRecord,)
MESSAGES: dict[str, type[Message]] = {
    m.update_name(): m
    for kind in KIND.values()
    for messages in (*kind.stages.values(), kind.always, ADOPT)
    for m in messages
}


def _copy(sample: Sample, reference: str) -> Sample:
    """A sample under another reference; a policy of its own takes that as its number.

    What the sample itself said, if it was filed here, is news again: another deputy, another client who objected to
    nothing.
    """
    filing = {**sample.filing, "reference": reference}
    content = filing["content"] = {**filing["content"]}
    if filing["kind"] == "authenticator_decision":
        # a decision is about everybody who uses it
        content["authenticator"] = f"ebank-{reference.lower()}"
    if filing["kind"] == "sign_in_review":
        n = next(MONTHS)
        filing["reference"] = content["month"] = f"{2020 + n // 12}-{n % 12 + 1:02d}"
    # what is demanded back has a reference of its own
    sample = sample.model_copy(
        update={
            "then": tuple(
                e.model_copy(update={"message": {**e.message, "reference": reference}})
                if e.name == "recover_payment"
                else e
                for e in sample.then
            )
        }
    )
    new = {"name": f"SIA {reference}", "email": f"{reference.lower()}@pasts.example"}
    if filing["kind"] == "client_change":
        *others, deputy = content["requesters"]
        content["requesters"] = [*others, {**deputy, **new, "code": reference}]
    if sample.policy is None:
        return sample.model_copy(update={"filing": filing})
    content["policy"] = reference
    policy = {**sample.policy, "policy": reference}
    if filing["kind"] == "renewal":
        policy |= {who: {**policy[who], **new} for who in ("policyholder", "insured")}
    return sample.model_copy(update={"filing": filing, "policy": policy})


def _concerned(sample: Sample) -> list[dict[str, Any]]:
    """A client whom a decision for everybody concerns: without one there is nothing to wait for."""
    if sample.filing["kind"] != "authenticator_decision":
        return []
    reference = sample.filing["reference"]
    person = {"name": "Ilze Kalna", "email": f"{reference.lower()}@pasts.example"}
    return [
        {
            "client": f"K-{reference}",
            "organisation": "BL",
            "name": f"SIA {reference}",
            "responsible": person,
            "requesters": [person],
            "authenticators": [sample.filing["content"]["authenticator"]],
        }
    ]


@dataclass(repr=False)
class Arena:
    """The world, the doors beside it, copies of the samples to speak to, and what came of it."""

    world: World
    http_api: str
    endpoint: str
    tokens: dict[str, str]
    samples: list[Sample]
    said: dict[str, list[dict[str, Any]]]
    """Update name → messages of the samples."""
    cases: dict[str, Sample] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)
    """The open cases that these have opened, and refunds of premium, which no sample files."""
    tally: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: int = 0
    note: Callable[[str], None] = print
    faults: list[str] = field(default_factory=list)
    """What did not hold, with what was sent."""

    async def file(self, *samples: Sample) -> None:
        """Copies of samples, each where its sample stands."""
        copies = []
        for sample in samples:
            reference = f"FZ-{next(REFERENCES)}-{uuid4().hex[:6]}"
            copies.append(_copy(sample, reference))
        concerned = [client for copy in copies for client in _concerned(copy)]
        if concerned:
            assert not (await load(self.world.sessions, self.world.keyring, {"clients": concerned})).faults
        player = Samples(copies, self.world.sessions, self.world.intake, self.world.now)
        await player.file()
        await player.settle(within=4 * doors.WITHIN)
        for copy, sample in zip(copies, samples, strict=True):
            self.cases[copy.case] = sample
        if not any(split_case_id(case)[0] == "premium_refund" for case in self.opened):
            self.opened.add(await self._refund())
        # what a decision tells its withdrawals is delivered by the sweep
        await self.world.intake.deliver_waiting()
        await self.quiet()
        await self._find_opened()

    async def _find_opened(self) -> None:
        """Know the cases that others opened."""
        mine = [*self.cases, *self.opened]
        query = select(CaseRow.case).join(IntakeRow, col(IntakeRow.case) == col(CaseRow.case))
        async with self.world.sessions() as session:
            children = query.where(col(IntakeRow.parent).in_(mine), col(CaseRow.closed_at).is_(None))
            self.opened |= {*(await session.exec(children)).all()} - {*self.cases}

    async def _refund(self) -> str:
        """A contract that ended early; the case of what goes back."""
        number, now = f"FZ-{next(REFERENCES)}-{uuid4().hex[:6]}", self.world.now().astimezone(RIGA).date()
        company = {"name": f"SIA {number}", "email": f"{number.lower()}@pasts.example"}
        on = (now - timedelta(days=60)).isoformat()
        policies = Policies(self.world.sessions, self.world.keyring, self.world.now, self.world.intake)
        await policies.register(
            {
                "policy": number,
                "organisation": "BTA",
                "policyholder": company,
                "insured": company,
                "starts_on": on,
                "terms": {"limit_per_occurrence": "5000.00", "limit_aggregate": "5000.00"},
                "premium": [{"due_on": on, "amount": "730.00"}],
                "payments": [{"reference": "B1", "paid_on": on, "amount": "730.00"}],
            }
        )
        end = {"by": "policyholder", "last_day": (now - timedelta(days=1)).isoformat(), "reason": "sold"}
        _, case = await policies.end(number, end)
        assert case is not None
        await self.world.stage(case, "returning")
        return case

    @property
    def spoken_to(self) -> list[str]:
        """All cases that may be spoken to."""
        return sorted({*self.cases, *self.opened})

    async def counts(self) -> dict[str, int]:
        """Rows by table. What clocks do by themselves, and decisions that look at their withdrawals, is left out."""
        tables = ("intake", "cases", "event", "party", "payment_order", "account", "erasure", "bell")
        queries = [f"SELECT '{table}', count(*) FROM {table}" for table in tables]  # noqa: S608  # our own names
        own = "('due', 'reminded', 'seen', 'bell_heard')"
        queries.append(f"SELECT 'timeline', count(*) FROM timeline WHERE entry NOT IN {own}")  # noqa: S608  # as above
        queries.append("SELECT 'notice', count(*) FROM notice WHERE NOT internal")
        async with self.world.sessions() as session:
            rows = (await (await session.connection()).execute(sql(" UNION ALL ".join(queries)))).all()
        async with self.world.keyring._engine.connect() as connection:
            keys = (await connection.execute(sql("SELECT count(*) FROM data_key"))).scalar_one()
        return {**{row[0]: row[1] for row in rows}, "data_key": keys}

    async def last(self) -> str:
        """The last step of all, and whose filing and key came last."""
        async with self.world.sessions() as session:
            row = (await session.exec(select(TimelineRow).order_by(col(TimelineRow.recorded_at).desc()).limit(1))).one()
            filed = (await session.exec(select(IntakeRow.case).order_by(col(IntakeRow.recorded_at).desc()))).first()
        async with self.world.keyring._engine.connect() as connection:
            newest = sql("SELECT owner FROM data_key ORDER BY created_at DESC LIMIT 1")
            key = (await connection.execute(newest)).scalar_one()
        return f"{row.case} {row.step} {row.entry}; filed {filed}; key of {key}"

    async def quiet(self) -> None:
        """Wait until no open case has anything in flight, and nothing that was filed is still to be opened.

        What one case asks for begins another one beside it, which asks for more: looked at until nothing comes of it.
        """
        before: dict[str, int] = {}
        while before != (now := await self.counts()):
            before = now
            await self.world.until(self._all_opened, "what was filed is opened", seconds=doors.WITHIN)
            async with self.world.sessions() as session:
                open_cases = (await session.exec(select(CaseRow.case).where(col(CaseRow.closed_at).is_(None)))).all()
            await self.settled(*open_cases)

    async def _all_opened(self) -> bool:
        """Start what the sweep would start; whether each filing has its case."""
        query = (
            select(IntakeRow.case)
            .join(CaseRow, col(CaseRow.case) == col(IntakeRow.case), isouter=True)
            .where(col(CaseRow.case).is_(None), col(IntakeRow.result).is_(None), col(IntakeRow.erased_at).is_(None))
        )
        async with self.world.sessions() as session:
            waiting = (await session.exec(query)).all()
        await self.world.intake.start_waiting(waiting)
        if waiting:
            await self.world.intake.restart_ended()
        return not waiting

    async def settled(self, *cases: str) -> None:
        """Wait until these have nothing in flight, where they are open; one that tries the same in vain is wedged."""

        async def quiet(case: str) -> bool:
            raw = (await self.world.handle(case).describe()).raw_description
            for activity in raw.pending_activities:
                assert activity.attempt <= 3, f"{case}: {activity.activity_type.name} fails: {activity.last_failure}"
            return not raw.pending_activities and not raw.HasField("pending_workflow_task")

        async with self.world.sessions() as session:
            query = select(CaseRow.case).where(col(CaseRow.case).in_(cases), col(CaseRow.closed_at).is_(None))
            still_open = (await session.exec(query)).all()
        await asyncio.gather(
            *(self.world.until(partial(quiet, case), f"{case} is quiet", seconds=doors.WITHIN) for case in still_open)
        )

    async def answers(self, *cases: str) -> None:
        """Each that is open takes the next right message and shows itself; a closed one is closed; none is stuck."""
        for case in cases:
            row = await self.world.row(case)
            if row is not None and row.closed_at is None:
                assert not row.diverged
                entry = await asyncio.wait_for(self.world.say(case, "assign_case", handler="op-7"), doors.WITHIN)
                assert entry["entry"] == "assigned"
                await asyncio.wait_for(self.world.handle(case).query("__temporal_workflow_metadata"), doors.WITHIN)
            elif row is not None:
                await self.world.until(partial(self._ended, case), f"{case} is closed, and its run ends")
        found = [run.id async for run in self.world.client.list_workflows(STUCK)]
        assert not found, f"stuck: {found}"

    async def runs(self, case: str) -> bool:
        """Let the sweep start again what was terminated; whether the case runs, or is closed, or is none."""
        await self.world.intake.restart_ended()
        row = await self.world.row(case)
        return row is None or row.closed_at is not None or not await self._ended(case)

    async def _ended(self, case: str) -> bool:
        return (await self.world.handle(case).describe()).status is not WorkflowExecutionStatus.RUNNING

    async def renew(self) -> None:
        """End what is stuck or tries in vain, and let new copies stand in the place of all."""
        for run in [r async for r in self.world.client.list_workflows("ExecutionStatus = 'Running'")]:
            await self.world.handle(run.id).terminate("hurt by bad input")
        samples = list(self.cases.values())
        self.cases.clear()
        self.opened.clear()
        async with self.world.sessions() as session, session.begin():
            await session.exec(
                update(CaseRow).where(col(CaseRow.closed_at).is_(None)).values(closed_at=self.world.now())
            )
        await self.file(*samples)

    async def stand(self) -> None:
        """Put a new copy in the place of each that has closed or heard enough."""
        worn = []
        for case, sample in list(self.cases.items()):
            row = await self.world.row(case)
            assert row is not None
            if (row.closed_at is not None and sample.settles != "closed") or row.step > OLD:
                worn.append(sample)
                del self.cases[case]
        opened = len(self.opened)
        for case in list(self.opened):
            row = await self.world.row(case)
            if row is None or row.closed_at is not None or row.step > OLD:
                self.opened.remove(case)
        if worn or len(self.opened) < opened:
            await self.file(*worn)


@pytest.fixture(scope="module")
async def arena(world: World, http_api: str) -> AsyncIterator[Arena]:
    """One arena for all."""
    await world.now.set(datetime.now(UTC))
    files = [json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8")) for name in ("policies", "clients")]
    loaded = await load(world.sessions, world.keyring, files[0] | files[1])
    assert not loaded.faults
    everything = read()
    wanted = [sample for name in FILED for sample in everything if sample.about == _about(name)]
    said: dict[str, list[dict[str, Any]]] = {}
    for sample in everything:
        for event in sample.then:
            message = resolved({"actor": event.actor, **event.message}, world.now(), RIGA)
            said.setdefault(event.name, []).append(message)
    operators = Operators(world.sessions, world.now)
    tokens = {"nobody": "no token"}
    for code, organisations, roles in (
        ("op-61", ["BTA", "BL", "DZ", "GJ", "SE"], [*ROLES]),
        ("op-62", ["BL"], ["see"]),
    ):
        limit = Decimal(10**6) if "approve" in roles else None
        token = await operators.add(code, organisations, roles, limit=limit)
        tokens[code] = token.token
    async with AsyncExitStack() as stack:
        made = Endpoint(world.keyring, operators, url="http://127.0.0.1:1", ui=None)
        url = await stack.enter_async_context(serving(made, "127.0.0.1:0"))
        arena = Arena(world, http_api, url, tokens, wanted, said)
        await arena.file(*wanted)
        assert {split_case_id(case)[0] for case in arena.spoken_to} == set(KINDS), "a kind that nobody speaks to"
        yield arena
        print(f"\n{sum(arena.tally.values())} inputs: {dict(sorted(arena.tally.items()))}")
        assert not arena.faults, "\n\n".join([f"{len(arena.faults)} faults", *arena.faults])


def _about(name: str) -> str:
    return str(json.loads((SAMPLES / "cases" / f"{name}.json").read_text(encoding="utf-8"))["about"])


# ---- what is sent ---------------------------------------------------------------------------------------------------


async def message(arena: Arena, dice: Random, case: str) -> tuple[str, dict[str, Any]]:
    """A message that its case may well take, with its update's name."""
    row = await arena.world.row(case)
    kind = KIND[split_case_id(case)[0]]
    possible = [*kind.stages.get(row.stage, ()), *kind.always] if row is not None else list(kind.always)
    model = dice.choice(possible) if dice.random() < 0.8 else MESSAGES[dice.choice(sorted(MESSAGES))]
    name = model.update_name()
    now = arena.world.now()
    async with arena.world.sessions() as session:
        notices = (await session.exec(select(NoticeRow.key).where(NoticeRow.case == case))).all()
    payments = [p["key"] for p in (row.state["body"].get("payments") or ())] if row is not None else []
    likely: dict[str, list[Any]] = LIKELY | {
        "payment": [*payments, "C9:indemnity"],
        "notice": [*notices, "BTA-10.5b:C9:1"],
    }
    said = dice.choice(arena.said.get(name) or [{}]) if dice.random() < 0.7 else {}
    whole = {**model.template(case), "actor": dice.choice(["op-1", "op-1", "op-2", "system:tests"]), **said}
    for key, info in model.model_fields.items():
        if key in ("case", "actor", "once", *said) or (not info.is_required() and dice.random() < 0.7):
            continue
        if key.endswith("_at"):
            whole[key] = (now - timedelta(minutes=dice.randint(0, 3000))).isoformat()
        elif key.endswith("_on"):
            whole[key] = (now.astimezone(RIGA).date() - timedelta(days=dice.randint(-1, 3))).isoformat()
        else:
            whole[key] = dice.choice(likely.get(key, ["dms/1"]))
    return name, {**whole, "case": case}


LIKELY: dict[str, list[Any]] = {
    "document": ["proof_of_amount", "medical_opinion", "other"],
    "line": ["U1", "U2", "U9"],
    "party": ["C1", "insured", "requester", "person"],
    "claimant": ["C1"],
    "right": ["access", "erasure"],
    "outcome": ["pay", "reject", "fulfilled", "refused", "in_part"],
    "channel": ["post", "portal", "in_person"],
    "way": ["qualified_signature", "signed_request"],
    "ground": ["legal_duty", "legal_claim"],
    "reason": ["client_asked", "complexity", "AC01"],
    "policy": ["BTA-CTA-26-0612", "BTA-CTA-26-0417", "NO-SUCH"],
    "proves": ["fact", "amount"],
    "handler": ["op-7"],
    "iban": ["LV97BANK0000435713645"],
    "email": ["zane@pasts.example"],
    "users": [[{"first_name": "Juris", "last_name": "Rozītis", "email": "juris@pasts.example"}], [7, {}, None]],
    "losses": [[{"claimant": "C1", "head": "property_damaged", "proven": "10.00"}]],
    "findings": [
        [{"code": "liable", "outcome": "met"}, {"code": "4.1.24", "outcome": "not_met", "reason": "flood"}],
        [{"code": "4.1.28", "outcome": "not_met"}],
    ],
    "country": ["LV", "LT"],
    "circumstance": ["A-1"],
    "reductions": [[{"clause": "7.1.2", "percent": "50"}]],
    "correction": [{"reason": "late mail", "document": "dms/1", "second_person": "op-2"}],
}


def filing(arena: Arena, dice: Random) -> dict[str, Any]:
    """A filing that is taken as it is."""
    real: dict[str, Any] = resolved(dice.choice(arena.samples).filing, arena.world.now(), RIGA)
    known = [split_case_id(case)[2] for case in arena.cases]
    new = f"FZ-{next(REFERENCES)}-{uuid4().hex[:6]}"
    return {**real, "reference": new if dice.random() < 0.8 else dice.choice(known)}


async def payloads(arena: Arena, plan: junk.Plan, dice: Random, case: str, value: Any) -> list[Payload]:
    """The value in none to three payloads."""
    own = await arena.world.keyring.of(case)
    foreign = await arena.world.keyring.of(dice.choice(arena.spoken_to))
    return [junk.wrapped(how, junk.text_of(value), own, foreign) for how in plan.wrappings]


async def damaged_message(arena: Arena, plan: junk.Plan, dice: Random, case: str) -> tuple[str, Any]:
    """A message, more or less damaged, under a name that is mostly its own."""
    name, whole = await message(arena, dice, case)
    value = plan.junk if plan.plain else junk.damaged(whole, plan.damages)
    return name if plan.name is None else plan.name, value


# ---- through each door ----------------------------------------------------------------------------------------------


async def by_submit(arena: Arena, plan: junk.Plan, dice: Random, case: str) -> Answer:
    """`submit`."""
    value = plan.junk if plan.plain else junk.damaged(filing(arena, dice), plan.damages)
    arena.note(f"submit {value!r}")
    return await doors.submit(arena.world, junk.value_of(value))


async def by_event(arena: Arena, plan: junk.Plan, dice: Random, case: str) -> Answer:
    """`submit_event`."""
    name, value = await damaged_message(arena, plan, dice, case)
    event: Any = plan.id if dice.random() < 0.9 else plan.junk
    to: Any = case if dice.random() < 0.9 else plan.junk
    arena.note(f"submit_event {to!r} {event!r} {name!r} {value!r}")
    return await doors.submit_event(arena.world, to, event, name, junk.value_of(value))


async def by_update(arena: Arena, plan: junk.Plan, dice: Random, case: str) -> Answer:
    """An update over gRPC."""
    name, value = await damaged_message(arena, plan, dice, case)
    sent = await payloads(arena, plan, dice, case, value)
    header = {"h": sent[0]} if sent and dice.random() < 0.1 else {}
    arena.note(f"update {case} {name!r} {plan.id!r} {plan.wrappings} {value!r}")
    return await doors.update(arena.world, case, name, sent, plan.id, header)


async def by_signal(arena: Arena, plan: junk.Plan, dice: Random, case: str) -> Answer:
    """A signal over gRPC."""
    _, value = await damaged_message(arena, plan, dice, case)
    sent = await payloads(arena, plan, dice, case, value)
    name = plan.name if plan.name is not None else "look_again"
    header = {"h": sent[0]} if sent and dice.random() < 0.3 else {}
    arena.note(f"signal {case} {name!r} {plan.wrappings} {value!r}")
    return await doors.signal(arena.world, case, name, sent, header)


async def by_query(arena: Arena, plan: junk.Plan, dice: Random, case: str) -> Answer:
    """A query over gRPC."""
    sent = await payloads(arena, plan, dice, case, plan.junk)
    name = plan.name if plan.name is not None else dice.choice(["__temporal_workflow_metadata", "__stack_trace"])
    arena.note(f"query {case} {name!r} {plan.wrappings} {plan.junk!r}")
    return await doors.query(arena.world, case, name, sent)


async def by_start(arena: Arena, plan: junk.Plan, dice: Random, case: str) -> Answer:
    """A start over gRPC: by reference, or with a whole filing, right or wrong."""
    filed = filing(arena, dice)
    own = f"{filed['kind']}:{filed['organisation']}:{filed['reference']}"
    whole = dice.choice([{"filing": filed}, {"case": case}, {"case": own}, {"case": case, "event": "e-1"}])
    value = plan.junk if plan.plain else junk.damaged(whole, plan.damages)
    fresh = f"claim:BTA:FZ-{uuid4().hex[:8]}"
    workflow_id = dice.choice([own, own, own, case, fresh, f"{own}\n", f"x-{uuid4().hex[:8]}", ""])
    kind = KINDS[filed["kind"]] if dice.random() < 0.8 else dice.choice([*KINDS.values(), "NoSuchKind"])
    queue = TASK_QUEUE if dice.random() < 0.9 else "nobody-listens"
    sent = await payloads(arena, plan, dice, case, value)
    conflict = dice.choice(["FAIL", "FAIL", "USE_EXISTING", "TERMINATE_EXISTING"])
    arena.note(f"start {workflow_id!r} {kind} {queue} {conflict} {plan.wrappings} {value!r}")
    answer = await doors.start(arena.world, workflow_id, kind, queue, sent, conflict=conflict)
    if conflict == "TERMINATE_EXISTING":
        # it may be any case: also the one that the filing names
        await arena.world.until(partial(arena.runs, workflow_id), f"the sweep lets {workflow_id} run again")
    return answer


def json_payload(payload: Payload) -> dict[str, Any]:
    """A payload as JSON writes it."""
    return {
        "metadata": {k: base64.b64encode(v).decode() for k, v in payload.metadata.items()},
        "data": base64.b64encode(payload.data).decode(),
    }


async def by_http(arena: Arena, plan: junk.Plan, dice: Random, case: str) -> Answer:
    """The server's HTTP API."""
    name, value = await damaged_message(arena, plan, dice, case)
    shorthand = dice.random() < 0.4
    args = [value] if shorthand else [json_payload(p) for p in await payloads(arena, plan, dice, case, value)]
    wait = {"lifecycleStage": "UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED"}
    part = args if shorthand else {"payloads": args}
    body: Any
    match dice.choice(["update", "update", "update", "signal", "query", "start"]):
        case "update":
            path = f"/update/{quote(name, safe='')}"
            body = {"request": {"meta": {"updateId": plan.id}, "input": {"args": part}}, "waitPolicy": wait}
            if dice.random() < 0.2:
                body = {"request": junk.damaged(body["request"], plan.damages), "waitPolicy": wait}
        case "signal":
            path, body = f"/signal/{quote(name, safe='')}", {"input": part}
        case "query":
            path, body = f"/query/{quote(name, safe='')}", {"query": {"queryArgs": part}}
        case _:
            path, kind = "", dice.choice([*KINDS.values()])
            body = {"workflowType": {"name": kind}, "taskQueue": {"name": TASK_QUEUE}, "input": part}
            case = f"{split_case_id(case)[0]}:BTA:FZ-{uuid4().hex[:8]}"
    text = junk.text_of(body)
    arena.note(f"http {case} {path} {plan.wrappings} {text}")
    return await doors.http_api(arena.world, arena.http_api, case, path, text, shorthand=shorthand)


async def by_endpoint(arena: Arena, plan: junk.Plan, dice: Random, case: str) -> Answer:
    """The codec endpoint; what it seals is sent to the case."""
    name, whole = await message(arena, dice, case)
    whole.pop("actor")
    value = plan.junk if plan.plain else junk.damaged(whole, plan.damages)
    to = dice.choice(["/encode", "/encode", "/encode", "/decode"])
    sent = [junk.plain(junk.text_of(value))]
    if to == "/decode" or dice.random() < 0.2:
        sent = await payloads(arena, plan, dice, case, value)
    body: Any = {"payloads": [json_payload(p) for p in sent]}
    if dice.random() < 0.2:
        body = junk.damaged(body, plan.damages)
    text = junk.text_of(body).encode()
    if dice.random() < 0.2:
        text = dice.choice([b"", b"\xff\xfe{}", b"x" * 5_000_000, b"[" * 5000, b'{"a":' * 5000, text[: len(text) // 2]])
    token = arena.tokens[dice.choice(["op-61", "op-61", "op-61", "op-62", "nobody"])]
    headers: dict[str, str] = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    headers |= dice.choice(HEADERS) if dice.random() < 0.3 else {}
    method, path = ("POST", to) if dice.random() < 0.8 else dice.choice(ELSEWHERE)
    arena.note(f"endpoint {method} {path} {headers} {text[:3000]!r}")
    status, came = await doors.endpoint(arena.endpoint, method, path, text, headers)
    if status != HTTPStatus.OK or path != "/encode":
        return Answer(taken=False, said="")
    sealed = [
        Payload(metadata={k: base64.b64decode(v) for k, v in p["metadata"].items()}, data=base64.b64decode(p["data"]))
        for p in json.loads(came).get("payloads", [])
    ]
    return await doors.update(arena.world, case, name, sealed, str(uuid4()), {})


HEADERS: list[Mapping[str, str]] = [
    {"Authorization": "Bearer"},
    {"Authorization": "Basic \xff\xfe"},
    {"Authorization": ""},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "https://evil.example"},
    {"Cookie": "termins_operator=AAAA; termins_operator=\xff"},
    {"Content-Encoding": "gzip"},
    {"Content-Encoding": "br"},
    {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Type": "text/html; charset=no-such"},
    {"X-Namespace": junk.JUNK * 100},
    {"Expect": "200-no"},
]
ELSEWHERE = [
    *(("POST", "/sign-in"), ("GET", "/sign-in?to=//evil.example"), ("POST", "/sign-out"), ("GET", "/")),
    *(("PUT", "/encode"), ("OPTIONS", "/encode"), ("GET", "/decode"), ("POST", "/decode/"), ("GET", "/livez")),
    *(("DELETE", "/api/v1/x"), ("GET", "/%00%ff"), ("TRACE", "/encode")),
]

DOORS: dict[str, Callable[[Arena, junk.Plan, Random, str], Awaitable[Answer]]] = {
    "submit": by_submit,
    "submit_event": by_event,
    "update": by_update,
    "signal": by_signal,
    "query": by_query,
    "start": by_start,
    "HTTP API": by_http,
    "codec endpoint": by_endpoint,
}


async def once(arena: Arena, plan: junk.Plan) -> None:
    """One input through one door, and all that must hold after it."""
    dice = Random(plan.seed)  # noqa: S311  # dice, not a secret
    case = dice.choice(arena.spoken_to)
    # what the last one began is not this one's doing, also where it began in cases that nobody spoke to
    await arena.quiet()
    before = await arena.counts()
    answer = await DOORS[plan.door](arena, plan, dice, case)
    doors.check(answer)
    touched = {case, *answer.touched}
    await arena.settled(*touched)
    if not answer.taken:
        after = await arena.counts()
        more = {table: after[table] - before[table] for table in after if after[table] != before[table]}
        if any(table not in answer.kept or n != 1 for table, n in more.items()):
            raise AssertionError(f"refused, and yet written: {more}, lastly {await arena.last()}")
    await arena.answers(*touched)
    arena.tally[plan.door, "taken" if answer.taken else "refused"] += 1


@settings(
    max_examples=EXAMPLES or CI_EXAMPLES,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
@given(plans=st.lists(junk.plans([*DOORS, "update", "submit_event"]), min_size=1, max_size=4))
@pytest.mark.timeout(0 if EXAMPLES else 300)
async def test_any_input_in_any_order_has_one_clear_answer_and_wedges_nothing(
    arena: Arena, plans: list[junk.Plan]
) -> None:
    for plan in plans:
        sent: list[str] = []
        arena.note = sent.append
        try:
            await arena.stand()
            await once(arena, plan)
        except Exception as e:
            told = "\n".join([f"{type(e).__name__}: {e}"[:2000], *(text[:3000] for text in sent)])
            if not EXAMPLES:
                raise AssertionError(told) from e
            # many are wanted: say it, set aside what was hurt, go on
            arena.faults.append(told)
            print(f"\nFAULT {len(arena.faults)}: {told}", flush=True)
            await arena.renew()
    arena.examples += 1
    if EXAMPLES and arena.examples % 50 == 0:
        print(f"{arena.examples} of {EXAMPLES}: {sum(arena.tally.values())} inputs", flush=True)


# ---- what was found, in plain words ---------------------------------------------------------------------------------


async def claim(world: World) -> str:
    """An open claim that waits for a document."""
    case = await world.file("claim", "BTA", content(await world.policy(), occurred_on="2026-01-20"))
    await world.stage(case, "collecting")
    return case


@pytest.mark.parametrize("how", junk.WRAPPINGS)
async def test_a_payload_that_cannot_be_opened_is_refused_and_wedges_nothing(
    world: World, present: None, how: str
) -> None:
    """Cut, turned, of another installation, or said to be kept elsewhere: each failed the task at every try."""
    case = await claim(world)
    own, foreign = await world.keyring.of(case), await world.keyring.of("installation")
    payload = junk.wrapped(how, json.dumps({"case": case, "actor": "op-1", "handler": 7}), own, foreign)
    for answer in (
        await doors.update(world, case, "assign_case", [payload], str(uuid4()), {"h": payload}),
        await doors.signal(world, case, "look_again", [payload], {"h": payload}),
        await doors.start(world, f"{case}-2", "Claim", TASK_QUEUE, [payload]),
    ):
        assert not answer.taken
        doors.check(answer)
    await still_answers(world, case)


@pytest.mark.parametrize("id", ["320505-10058", "32050510058", "crm:32050510058", "a b", "ā", "a/b", "x" * 101])
async def test_the_id_of_an_update_stays_readable_so_it_may_not_be_just_anything(
    world: World, present: None, id: str
) -> None:
    case = await claim(world)
    with pytest.raises(Refused, match="update id: ") as refusal:
        await world.say(case, "assign_case", handler="op-7", id=id)
    assert refusal.value.type == "BadMessage"
    with pytest.raises(Refusal, match="event: ") as refused:
        await world.intake.submit_event(case, id, "assign_case", {"actor": "op-1", "handler": "op-7"})
    assert id not in str(refused.value)
    await still_answers(world, case)


@pytest.mark.parametrize(
    "id",
    [
        "0f8c1d2e-23de-43c1-9699-bdcd3b978bb4",
        "bfde0d8909ab49378cb3287aa0a960ef",
        "crm-40",
        "event-dms-2",
        "2026-11-22T10:00:00.123",
        "x" * 100,
    ],
)
async def test_ids_that_senders_make_are_taken(world: World, present: None, id: str) -> None:
    case = await claim(world)
    await world.say(case, "assign_case", handler="op-7", id=id)


@pytest.mark.parametrize(
    ("case", "event", "name", "message"),
    [
        ("", "e-1", "assign_case", {}),
        ("claim:BTA:nobody\n", "e-1", "assign_case", {}),
        (None, 7, None, None),
        ("claim:BTA:nobody", "e-1", "", {}),
        ("claim:BTA:nobody", "e-1", "a" * 1200, {}),
        ("claim:BTA:nobody", "", "assign_case", []),
    ],
)
async def test_an_event_without_form_is_refused_at_once(
    world: World, case: Any, event: Any, name: Any, message: Any
) -> None:
    """Kept it would have waited for ever, for the engine takes no such update, and held up all events after it."""
    with pytest.raises(Refusal):
        await world.intake.submit_event(case, event, name, message)


async def test_an_event_that_no_case_knows_is_refused_and_holds_up_nothing(world: World, present: None) -> None:
    case = await claim(world)
    delivered = await world.intake.submit_event(case, "e-1", "no_such_message", {"actor": "op-1"})
    assert (delivered.waiting, bool(delivered.refused)) == (False, True)
    async with world.sessions() as session:
        kept = await session.get_one(EventRow, (case, "e-1"))
    assert kept.delivered_at is not None, "no sweep delivers it again"


async def test_an_update_of_a_name_that_is_none_is_refused_without_the_name(world: World, present: None) -> None:
    case = await claim(world)
    with pytest.raises(Refused, match="Update handler for this name expected but not found"):
        await world.send(case, "Anna Bērziņa " * 50, {"case": case})


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2019-12-31T10:00:00+02:00"])
async def test_a_claim_from_the_ends_of_time_is_kept_with_a_fault_and_counted_from_its_entry(
    world: World, present: None, at: str
) -> None:
    """No clock can be counted there: the step would have failed at every try."""
    filed = {"kind": "claim", "organisation": "BTA", "reference": f"END-{uuid4().hex[:8]}", "sender": "system:tests"}
    answer = await world.intake.submit({**filed, "received_at": at, "content": content(await world.policy())})
    assert any(fault.startswith("received_at: ") for fault in answer.faults)
    await world.stage(answer.case, "collecting")
    await still_answers(world, answer.case)


async def test_instants_at_the_ends_of_time_are_refused(world: World, present: None) -> None:
    case = await claim(world)
    for at in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        with pytest.raises(Refused, match="received_at: an instant lies in the years 1900 to 2199"):
            await world.say(case, "add_document", document="proof_of_amount", received_at=at, reference="dms/1")
    await still_answers(world, case)


async def test_a_fault_of_an_amount_does_not_repeat_it(world: World, present: None) -> None:
    """Whoever writes a name into the wrong field does not find it in the faults."""
    for amount in ("Anna Bērziņa", "-7.13", "0.137", "1" * 20, "NaN"):
        loss = {"claimant": 1, "head": "property_damaged", "amount": amount}
        checked = check(
            {
                "kind": "claim",
                "organisation": "BTA",
                "reference": "x",
                "received_at": "2026-11-20T10:00:00+02:00",
                "sender": "system:tests",
                "content": content("P1", losses=[loss]),
            },
            world.now(),
        )
        said = [fault for fault in checked.faults if fault.startswith("content.losses.0.amount: ")]
        assert said
        assert amount not in said[0]


@pytest.mark.parametrize("reference", ["320505-10058", "38001010018", "x\n"])
async def test_a_reference_that_is_a_personal_code_names_no_case(world: World, reference: str) -> None:
    """A case's name is the id of its workflow: readable for ever, and in every list."""
    filed = {"organisation": "BTA", "reference": reference, "received_at": "2026-11-20T10:00:00+02:00", "sender": "x"}
    checked = await named(world.keyring, check({**filed, "kind": "claim", "content": content("P1")}, world.now()))
    assert checked.case.startswith("claim:BTA:G-") or checked.case == "claim:BTA:x"
    assert reference not in checked.model_dump_json(include={"case", "faults"})
    with pytest.raises(Refusal, match="reference: "):
        check({**filed, "kind": "authenticator_withdrawal", "organisation": "BL", "content": {}}, world.now())


@pytest.mark.parametrize(("type", "queue"), [("Claim", "nobody-listens"), ("AccessRequest", "nobody-listens")])
async def test_a_foreign_run_under_a_cases_name_does_not_pass_for_the_case(
    world: World, present: None, type: str, queue: str
) -> None:
    """The filing is kept, and starts as soon as somebody ended what is in its place."""
    reference = f"SQUAT-{uuid4().hex[:8]}"
    foreign = await world.client.start_workflow(type, id=f"claim:BTA:{reference}", task_queue=queue)
    filed = {"kind": "claim", "organisation": "BTA", "reference": reference, "sender": "system:tests"}
    whole = {**filed, "received_at": world.now().isoformat(), "content": content(await world.policy())}
    answer = await world.intake.submit(whole)
    assert (answer.new, answer.started) == (True, False)
    assert await world.intake.start_waiting([answer.case]) == 0
    await foreign.terminate("it was in the way")
    assert await world.intake.start_waiting([answer.case]) == 1
    await world.stage(answer.case, "collecting")


async def test_a_foreign_run_that_ended_a_case_is_said_until_the_case_runs_again(world: World, present: None) -> None:
    """Whoever may end a run may stand in its place: the sweep says it each time, and lets the case go on after that."""
    case = await claim(world)
    for kind, queue in (("Claim", "nobody-listens"), ("AccessRequest", TASK_QUEUE)):
        foreign = await world.client.start_workflow(
            kind, id=case, task_queue=queue, id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING
        )
        if queue == TASK_QUEUE:
            # it is no case of its kind, and says so at once
            assert (await foreign.result())["result"] == "refused"
        else:

            async def said() -> bool:
                with capture_logs() as logs:
                    await world.intake.restart_ended()
                return ("a foreign run has the name of a case", case) in [
                    (one["event"], one.get("case")) for one in logs
                ]

            # the server lists a run among the ended a moment after its end
            await world.until(said, "it is said")
            assert (await world.handle(case).describe()).run_id == foreign.first_execution_run_id
            await foreign.terminate("it was in the way")
        event = f"e-{kind.lower()}"
        message = {"actor": "op-1", "handler": "op-7"}
        assert (await world.intake.submit_event(case, event, "assign_case", message)).waiting, "kept, not lost"

        async def again() -> bool:
            await world.intake.restart_ended()
            return (await world.handle(case).describe()).status is WorkflowExecutionStatus.RUNNING

        await world.until(again, "the sweep starts it again")
        await world.intake.deliver_waiting()
        await still_answers(world, case)
        assert (await world.entries(case))[-2:] == ["assigned", "assigned"]


async def test_a_start_of_another_kind_in_a_cases_place_is_refused_and_the_case_goes_on(
    world: World, present: None
) -> None:
    """It ended the case's run; that the case stands makes it no case, and the sweep brings the right run back."""
    case = await claim(world)
    own = await world.keyring.of(case)
    payload = junk.wrapped("sealed", json.dumps({"case": case}), own, own)
    answer = await doors.start(world, case, "AccessRequest", TASK_QUEUE, [payload], conflict="TERMINATE_EXISTING")
    assert (answer.taken, answer.said) == (False, "case: it is a claim, not a access_request")

    async def runs() -> bool:
        await world.intake.restart_ended()
        return (await world.handle(case).describe()).status is WorkflowExecutionStatus.RUNNING

    await world.until(runs, "the sweep starts it again")
    await still_answers(world, case)


async def test_what_cases_file_is_opened_before_anything_is_counted(arena: Arena) -> None:
    """A filing under way in a step of another case is a key and nothing more, and would pass for a refusal's doing."""
    world = arena.world
    await arena.quiet()
    before = await arena.counts()
    filed = {"kind": "claim", "organisation": "BTA", "reference": f"FZ-{uuid4().hex[:8]}", "sender": "system:tests"}
    whole = {**filed, "received_at": world.now().isoformat(), "content": content(await world.policy())}
    before["data_key"] += 1  # the policy's
    async with world.sessions() as session, session.begin():
        row, _ = await keep(session, world.keyring, check(whole, world.now()), world.now())
        under_way = await arena.counts()
    assert {t: under_way[t] - before[t] for t in before if under_way[t] != before[t]} == {"data_key": 1}
    await arena.quiet()
    opened = await world.row(row.case)
    assert opened is not None
    assert opened.stage == "collecting"


async def test_whoever_gives_up_waiting_for_an_answer_waits_no_longer(worker_world: World) -> None:
    """The engine's client makes an error of its own of it, and a player of samples waited for ever behind it."""
    world = worker_world
    case = await world.file("claim", "BTA", content(await world.policy(), occurred_on="2026-01-20"))
    message = {"actor": "op-1", "handler": "op-7"}
    asking = asyncio.create_task(world.intake.submit_event(case, "e-1", "assign_case", message))

    async def kept() -> bool:
        async with world.sessions() as session:
            return await session.get(EventRow, (case, "e-1")) is not None

    await world.until(kept, "it is kept")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    async with world.serving():
        assert await world.intake.deliver_waiting() == 1, "kept, and delivered by the sweep"


async def test_a_run_from_before_the_filing_does_not_count_as_its_start(world: World, present: None) -> None:
    """It ends as refused, for it found nothing filed; the case would never have begun."""
    reference = f"EARLY-{uuid4().hex[:8]}"
    case = f"claim:BTA:{reference}"
    early = StartWorkflowExecutionRequest(
        namespace=world.client.namespace,
        workflow_id=case,
        workflow_type=WorkflowType(name="Claim"),
        task_queue=TaskQueue(name=TASK_QUEUE),
        request_id=case,
        workflow_start_delay=Duration(seconds=3600),
    )
    await world.client.workflow_service.start_workflow_execution(early)
    filed = {"kind": "claim", "organisation": "BTA", "reference": reference, "sender": "system:tests"}
    whole = {**filed, "received_at": world.now().isoformat(), "content": content(await world.policy())}
    assert (await world.intake.submit(whole)).case == case
    await world.handle(case).terminate("as if it had ended as refused")
    assert await world.intake.start_waiting([case]) == 1
    await world.stage(case, "collecting")


async def test_a_claim_of_thousands_is_read_as_far_as_a_step_can_hold(world: World, present: None) -> None:
    whole = content(await world.policy(), occurred_on="2026-01-20")
    whole["claimants"] = [{**whole["claimants"][0], "name": f"Nobody {n}"} for n in range(3000)]
    whole |= {f"unknown_{'a' * (n % 7)}{n // 7 % 9999}": 1 for n in range(3000)}
    case = await world.file("claim", "BTA", whole)

    async def stands() -> CaseRow | None:
        row = await world.row(case)
        return row if row is not None and row.step > 0 else None

    row = await world.until(stands, "its first step is recorded")
    assert len(row.state["body"]["claimants"]) == MOST
    assert row.state["body"]["faults"][100].startswith("and ")
    await still_answers(world, case)


async def test_a_message_that_no_step_could_hold_is_refused(world: World, present: None) -> None:
    case = await claim(world)
    loss = {"claimant": "C1", "head": "property_damaged", "proven": "1.00"}
    for more, fault in (
        ({"losses": [loss] * 301}, "losses: more than 300"),
        ({"reasons": ["a" * 1999] * 101}, "200000"),
    ):
        with pytest.raises(Refused, match=fault):
            await world.say(case, "propose_decision", outcome="reject", **more)
    await still_answers(world, case)


async def test_the_endpoint_answers_a_body_that_is_not_what_it_says_with_the_senders_fault(
    arena: Arena,
) -> None:
    """It said that the store does not answer: an alarm for everybody, by one broken request."""
    headers = {"Authorization": f"Bearer {arena.tokens['op-61']}", "Content-Encoding": "gzip"}
    for path, body, more in (
        ("/encode", b"no gzip", headers),
        ("/decode", b'{"payloads":' * 3000, {"Authorization": headers["Authorization"]}),
        ("/sign-in", b"no gzip", {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}),
        ("/sign-in", b"no form", {"Content-Type": "multipart/form-data"}),
        ("/sign-in", b"token=x", {"Content-Type": "application/x-www-form-urlencoded; charset=no-such"}),
    ):
        status, said = await doors.endpoint(arena.endpoint, "POST", path, body, more)
        assert status == HTTPStatus.BAD_REQUEST, (path, status, said)
