"""Killed at any point, nothing is lost and nothing is done twice: worker and engine end by SIGKILL amid running claims.

The rule: each step is one transaction with its effects queued in it, and each effect can be run again; so whatever dies
between any two of them, the case ends with one timeline, one letter for each act, one payment order, and judged clocks.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import func
from sqlmodel import col, select
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from integrations.bank import end_to_end_id
from models.tables import CaseRow, ClockRow, NoticeRow, PaymentOrderRow, TimelineRow
from operations.connection import Connection, connect
from operations.demo import working
from operations.loading import load
from operations.local import Ports, TemporalServer, local
from operations.place import find
from operations.setup import setup
from settings import Settings
from tests.world import RIGA

CLAIMS = 6
KILLED_AT = (5, 14, 22)
"""Rows of all timelines together, of at least 24: received, decided, proven, paid for each claim."""
ENGINE_TOO_AT = 14


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 60) -> None:
    """Wait for a condition."""
    end = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < end, f"never came true: {what}"
        await asyncio.sleep(0.01)


def insured(n: int) -> str:
    return f"insured.{n}@jumtumeistari.example"


def claimant(n: int) -> str:
    return f"anna.berzina.{n}@example.lv"


def policies() -> dict[str, Any]:
    """A policy for each claim, so that each letter has its own reader."""
    return {
        "policies": [
            {
                "policy": f"KILL-{n}",
                "organisation": "BTA",
                "policyholder": {"name": f"SIA Jumtu Meistari {n}"},
                "insured": {"name": f"SIA Jumtu Meistari {n}", "email": insured(n)},
                "starts_on": "2026-01-01",
                "ends_on": "2035-12-31",
                "terms": {
                    "limit_per_occurrence": "50000.00",
                    "limit_aggregate": "100000.00",
                    "deductible": {"kind": "amount", "value": "200.00"},
                },
            }
            for n in range(CLAIMS)
        ]
    }


def filing(n: int, now: datetime) -> dict[str, Any]:
    """A claim that came with all its documents."""
    kinds = ("proof_of_entitlement", "proof_of_amount", "certificate_of_authority")
    return {
        "kind": "claim",
        "organisation": "BTA",
        "reference": f"KILL-{n}",
        "received_at": now.isoformat(),
        "sender": "system:tests",
        "content": {
            "policy": f"KILL-{n}",
            "claimants": [{"name": f"Anna Bērziņa {n}", "email": claimant(n), "iban": "LV97HABA0012345678910"}],
            "occurred_on": now.astimezone(RIGA).date().isoformat(),
            "place": "Rīga",
            "description": "No jumta krita ledus un sabojāja automašīnu.",
            "losses": [{"claimant": 1, "head": "property_damaged", "amount": "1200.00"}],
            "documents": [{"document": k, "received_at": now.isoformat(), "reference": f"dms/{k}"} for k in kinds],
        },
    }


async def row(connection: Connection, case: str) -> CaseRow | None:
    async with connection.sessions() as session:
        return await session.get(CaseRow, case)


async def rows_written(connection: Connection) -> int:
    async with connection.sessions() as session:
        return (await session.exec(select(func.count()).select_from(TimelineRow))).one()


async def live(connection: Connection, case: str, today: date) -> None:
    """File nothing more, only report: decided by the handler, then paid by the bank; told again while it waits."""

    async def stands(stage: str, waits_for: str = "") -> bool:
        found = await row(connection, case)
        return found is not None and found.stage == stage and waits_for in found.waits_for

    async def report(event: str, name: str, message: dict[str, Any]) -> bool:
        delivered = await connection.intake.submit_event(case, event, name, message)
        assert not delivered.refused
        return not delivered.waiting

    losses = [{"claimant": "C1", "head": "property_damaged", "proven": "1200.00"}]
    decision = {"actor": "op-1", "outcome": "pay", "losses": losses}
    paid = {
        "actor": "system:bank",
        "payment": "C1:indemnity",
        "executed_on": today.isoformat(),
        "bank_reference": "B1",
    }
    await until(lambda: stands("deciding"), f"{case} can be decided")
    await until(lambda: report("decision", "propose_decision", decision), f"{case} took its decision")
    await until(lambda: stands("telling_and_paying", "the bank: C1:indemnity"), f"{case} waits for the bank")
    await until(lambda: report("bank", "confirm_payment", paid), f"{case} took the bank's word")
    await until(lambda: stands("resting"), f"{case} rests")


async def give_up(client: Client, cases: list[str], before: datetime) -> None:
    """Fail the attempts that died with a worker, as the server does too, but only after their 30 or 120 seconds."""
    for case in cases:
        with suppress(RPCError):  # not started yet, or its attempt has ended meanwhile
            described = await client.get_workflow_handle(case).describe()
            for pending in described.raw_description.pending_activities:
                started = pending.last_started_time.ToDatetime(UTC)
                if pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED and started < before:
                    attempt = client.get_async_activity_handle(
                        workflow_id=case, run_id=described.run_id, activity_id=pending.activity_id
                    )
                    await attempt.fail(ApplicationError("its worker was killed"))


async def kill_engine(var: Path, stack: AsyncExitStack) -> None:
    """End the Temporal server by SIGKILL and start it again with the same file at the same ports."""
    ports = Ports.model_validate(json.loads((var / "local.json").read_text())["ports"])
    server = psutil.Process(int((var / "temporal.pid").read_text()))
    server.kill()

    async def gone() -> bool:
        # reaped, not only a zombie: until its last thread has ended it holds its ports
        return not psutil.pid_exists(server.pid)

    await until(gone, "the engine is dead")
    again = TemporalServer(var, wished=(ports,))
    await again.start()
    stack.push_async_callback(again.stop)
    assert again.ports == ports


@pytest.mark.timeout(240)  # every start again is slow on a machine that may be busy
async def test_claims_survive_the_death_of_worker_and_engine_at_any_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six claims, three deaths: each is told and paid, once each, its steps without gap, its clocks judged."""
    for name in [n for n in os.environ if n.startswith(("TEMPORAL_", "TERMINS_")) or n == "DATABASE_URL"]:
        monkeypatch.delenv(name)
    async with AsyncExitStack() as stack:
        # not under pytest's own folder: another run would close it to PostgreSQL's user
        var = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="termins-test-"))) / "var"
        services = await stack.enter_async_context(local(var))
        settings = Settings(var=var)
        client = await (await find(settings)).connect()
        await setup(client, services.database_url)
        connection = await stack.enter_async_context(connect(settings, engine="needed"))
        assert not (await load(connection.sessions, policies())).faults
        worker = await stack.enter_async_context(working(settings, client))

        now = datetime.now(UTC)
        cases = [(await connection.intake.submit(filing(n, now))).case for n in range(CLAIMS)]
        lives = asyncio.gather(*(live(connection, case, now.astimezone(RIGA).date()) for case in cases))
        stack.push_async_callback(asyncio.wait, [lives])
        stack.callback(lives.cancel)
        for rows in KILLED_AT:

            async def reached(rows: int = rows) -> bool:
                if lives.done():
                    await lives  # says why, where a life has failed
                return await rows_written(connection) >= rows

            await until(reached, f"{rows} rows")
            assert not lives.done(), "killed too late to show anything"
            worker.process.kill()
            if rows == ENGINE_TOO_AT:
                await kill_engine(var, stack)
            await worker.process.wait()
            started = datetime.now(UTC)
            worker = await stack.enter_async_context(working(settings, client))
            await give_up(client, cases, started)
        await lives
        await ended_once(connection, client, var, cases)


async def ended_once(connection: Connection, client: Client, var: Path, cases: list[str]) -> None:
    """What the store, the bank's folder, the maildir and the engine show at the end."""
    async with connection.sessions() as session:
        stood = (await session.exec(select(CaseRow).where(col(CaseRow.case).in_(cases)))).all()
        steps = (await session.exec(select(TimelineRow).order_by(col(TimelineRow.step)))).all()
        clocks = (await session.exec(select(ClockRow))).all()
        notices = (await session.exec(select(NoticeRow))).all()
        orders = (await session.exec(select(PaymentOrderRow))).all()
    assert {(r.stage, r.diverged) for r in stood} == {("resting", False)}

    # the timeline: no gap, no double, each business act once
    for case in cases:
        own = [s for s in steps if s.case == case]
        assert [s.step for s in own] == list(range(1, len(own) + 1))
        entries = Counter(s.entry for s in own)
        assert [entries[e] for e in ("received", "decided", "paid")] == [1, 1, 1], entries
        assert {(c.duty, c.subject, c.n): c.status for c in clocks if c.case == case} == {
            ("BTA-10.5a", "", 1): "kept",
            ("BTA-10.5b", "C1", 1): "kept",
            ("BTA-10.5b", "insured", 1): "kept",
            ("BTA-10.5c", "C1", 1): "kept",
            ("T-rest", "", 1): "running",
        }

    # the bank: one file for each claim, none half handed over
    assert sorted(o.case for o in orders if o.issued_at is not None) == sorted(cases)
    wanted = sorted(f"{end_to_end_id(f'{case}#C1:indemnity')}.xml" for case in cases)
    assert sorted(p.name for p in (var / "bank").glob("*.xml")) == wanted
    assert not list((var / "bank" / ".orders").glob("*.pending"))

    # the letters: one for each act
    keys = ("BTA-10.5b:C1:1", "BTA-10.5b:insured:1", "received:C1")
    assert sorted((n.case, n.key) for n in notices if n.sent_at is not None) == sorted(
        (case, key) for case in cases for key in keys
    )
    mails = [message_from_bytes(p.read_bytes(), policy=policy.default) for p in (var / "mail" / "new").iterdir()]
    assert Counter(str(m["To"]) for m in mails) == {
        **{claimant(n): 2 for n in range(CLAIMS)},
        **{insured(n): 1 for n in range(CLAIMS)},
    }
    assert len({str(m["Message-ID"]) for m in mails}) == len(mails)
    assert len({(str(m["To"]), str(m["Subject"])) for m in mails}) == len(mails)

    # the engine: a task that timed out with its worker is reported only until the next one succeeds
    async def untroubled() -> bool:
        query = 'TemporalReportedProblems IN ("category=WorkflowTaskFailed", "category=WorkflowTaskTimedOut")'
        return (await client.count_workflows(query)).count == 0

    await until(untroubled, "no workflow reports a problem")
