"""Restored from a dump: store and histories are brought together again, and nothing goes out a second time.

The store is dumped and restored with PostgreSQL's own programs, the engine by a copy of its file; the keys, in a
database of their own, belong to neither. `--steps 1000` makes it a restore that many steps behind.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.engine import make_url
from sqlmodel import SQLModel, select
from temporalio.testing import WorkflowEnvironment
from typer.testing import CliRunner

import starter
from activities.replay import LIST_LOST, UNTOLD
from activities.sweep import SweepActivities
from activities.wiring import build, build_replay
from integrations.bank import BankFolder
from integrations.bank_in import AnswersFolder
from integrations.mail import ACCEPTED, MaildirOut
from integrations.mail_in import MaildirIn
from integrations.sanctions import SAMPLE, SanctionsFile
from models import tables
from models.automatic import BY_RULEBOOK
from models.case import Act, Said, StartCase, Transition
from models.names import KINDS, TASK_QUEUE
from models.tables import AccountRow
from operations import storage
from operations.directory import LocalDirectory
from operations.erase import erase
from operations.intake import Intake, filed_in
from operations.local import Postgres, local
from operations.place import find, keys
from operations.reconcile import PROVE, PROVE_NOTHING, Fact, Reconciled, Verdict, reconcile
from operations.reset import reset
from operations.setup import setup
from operations.store import engine, sessions
from security.index import index_of
from settings import Settings
from tests.conftest import everybody
from tests.workflows import test_access_request as access
from tests.workflows import test_authenticator_decision as decision
from tests.workflows import test_authenticator_withdrawal as withdrawal
from tests.workflows import test_breach as breach
from tests.workflows import test_claim as claim
from tests.workflows import test_client_change as client_change
from tests.workflows import test_late_premium as late_premium
from tests.workflows import test_premium_refund as premium_refund
from tests.workflows import test_privacy_request as privacy
from tests.workflows import test_recovery as recovery
from tests.workflows import test_recurrences as recurrences
from tests.workflows import test_renewal as renewal
from tests.workflows import test_task as task
from tests.world import RIGA, VirtualNow, World

MONDAY = claim.MONDAY

# ---- dumps ----------------------------------------------------------------------------------------------------------


class Dumps:
    """Dumps and restores one database with PostgreSQL's own programs."""

    def __init__(self, postgres: Postgres, database: str, folder: Path) -> None:
        self._postgres = postgres
        self._database = database
        self._file = folder / "store.dump"

    async def dump(self) -> None:
        """As an operator's backup does."""
        await self._run("pg_dump", "--format=custom", f"--file={self._file}", self._database)

    async def restore(self) -> None:
        """Into an empty database of the same name."""
        await self._run("dropdb", "--force", self._database)
        await self._run("createdb", self._database)
        await self._run("pg_restore", "--exit-on-error", f"--dbname={self._database}", str(self._file))

    async def _run(self, program: str, *words: str) -> None:
        url = make_url(self._postgres.url())
        where = ("--host", str(url.query["host"]), "--username", str(url.username))
        process = await asyncio.create_subprocess_exec(
            str(self._postgres._programs / program), *where, *words, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()


# ---- what is compared -----------------------------------------------------------------------------------------------

NOT_COMPARED = {
    # whether a run knew of its last step yet
    "cases": {"unproven"},
    # when the store wrote something down, not when it happened
    "intake": {"recorded_at", "started_at"},
    "timeline": {"recorded_at"},
    "event": {"recorded_at", "delivered_at"},
    "bell": {"id", "created_at", "rung_at", "heard_at"},
    # which carrier took a user's letter is not in the proof, and the hash of the secret was nowhere else
    "notice": {"carrier"},
    "account": {"created_at"},
    "directory": {"secret_hash", "set_at"},
    # made anew: the files name the instant of their making, the ledger of erasures has a salt of its own
    "archive": {"gathered_at", "systems"},
    "erasure": {"person", "salt", "begun_at", "done_at"},
    "rectification": {"begun_at"},
    "kept": {"kept_at"},
    # whoever became known is screened by a sweep, whenever that comes
    "party": {"erased_at", "to_screen"},
}
INTERNAL = {"sent_at", "carrier", "reference", "refused"}


async def record(world: World) -> dict[str, list[dict[str, Any]]]:
    """Everything that the store holds, row by row, but for what `NOT_COMPARED` names."""
    found: dict[str, list[dict[str, Any]]] = {}
    async with world.sessions() as session:
        models = [m for m in vars(tables).values() if isinstance(m, type) and issubclass(m, SQLModel)]
        # when a mailbox or folder was looked at last is nothing that a case knows; a verdict on a signature lies in the
        # store alone, and what it came to in the step of the identification
        apart = (tables.IncomingRow, tables.SignatureRow)
        for model in (m for m in models if hasattr(m, "__table__") and m not in apart):
            table, rows = str(model.__tablename__), []
            for row in (await session.exec(select(model))).all():
                if isinstance(row, tables.ScreeningRow) and row.key == row.party:
                    continue
                left_out = NOT_COMPARED.get(table, set())
                if isinstance(row, tables.NoticeRow) and row.internal:
                    left_out = left_out | INTERNAL
                rows.append({name: getattr(row, name) for name in model.model_fields if name not in left_out})
            found[table] = sorted(rows, key=str)
    return found


def outside(world: World) -> set[str]:
    """Every letter with a carrier and every file for the bank."""
    return {str(path.relative_to(world.var)) for part in ("mail", "bank") for path in (world.var / part).rglob("*")}


async def put_together(world: World, *cases: str, dry_run: bool = False) -> Reconciled:
    """Reconcile, as the command does."""
    store = build_replay(world.sessions, world.keyring, world.client, LocalDirectory(world.sessions, world.now))
    return await reconcile(
        world.sessions,
        world.keyring,
        world.client,
        store,
        world.now,
        backups=world.var / "backup",
        cases=cases,
        dry_run=dry_run,
    )


async def swept(world: World) -> None:
    """What the schedule does every minute."""
    owners = [getattr(a, "__self__", None) for a in world.activities]
    sweep = next(owner for owner in owners if isinstance(owner, SweepActivities))
    await sweep.deliver()


# ---- the store is behind --------------------------------------------------------------------------------------------


class Lives:
    """Cases of every kind that live on after the dump."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cases: dict[str, str] = {}
        self.lost: dict[str, Any] = {}

    async def before(self) -> None:
        """What the dump holds."""
        world, cases = self.world, self.cases
        await world.begin(MONDAY)
        self.policy = await world.policy(limit_per_occurrence="1500.00", limit_aggregate="1500.00")
        self.other_policy = await world.policy()
        for name in ("first", "second"):
            cases[name] = await self._claim(self.policy)
        self.client, self.users = await world.customer(), [access.user(), access.user()]
        cases["access"] = await world.file("access_request", "BL", access.content(self.client, self.users[0]))
        await world.stage(cases["access"], "resting")
        self.withdrawer = await world.customer()
        await self._account("32000000000")
        cases["withdrawal"] = await world.file("authenticator_withdrawal", "BL", withdrawal.content(self.withdrawer))
        await world.stage(cases["withdrawal"], "running")
        who = privacy.person()
        cases["former"] = await privacy.file(world, "DZ", "access", who=who)
        await world.stage(cases["former"], "identifying")
        await world.say(cases["former"], "withdraw_request", withdrawn_at=MONDAY.isoformat(), document="dms/w")
        cases["erasure"] = await privacy.file(world, "DZ", "erasure", who=who)
        cases["archive"] = await privacy.file(world, "DZ", "access", who=privacy.person())
        who = privacy.person()
        cases["marked"] = await privacy.file(world, "SE", "access", who=who, channel="post", identified_by=None)
        cases["restriction"] = await privacy.file(world, "SE", "restriction", who=who)
        for name in ("erasure", "archive", "marked", "restriction"):
            await world.stage(cases[name], "identifying")

    async def _account(self, code: str) -> None:
        """An account that signs in with the authenticator that is withdrawn."""
        person = await index_of(self.world.keyring, "personal_code", code)
        async with self.world.sessions() as session, session.begin():
            session.add(
                AccountRow(
                    client=self.withdrawer,
                    username="EARLIER-U1",
                    case="access_request:BL:EARLIER",
                    subject="U1",
                    personal_code=code,
                    person=person,
                    authenticator="smart-id",
                    created_at=self.world.now(),
                )
            )

    async def _claim(self, policy: str, **more: Any) -> str:
        content = claim.content(policy, documents=claim.documents(MONDAY), occurred_on="2027-02-20")
        case = await self.world.file("claim", "BTA", content, received_at=MONDAY, **more)
        await self.world.stage(case, "deciding")
        return case

    async def _lose_a_task(self, case: str) -> None:
        """A step that was committed while its workflow task was lost: the next one tells the history of it."""
        row = await self.world.row(case)
        assert row is not None
        step = Transition(
            case=case,
            step=row.step + 1,
            at=self.world.now(),
            stage=row.stage,
            entry="assigned",
            facts={"handler": "op-7"},
            said=Said(id="lost-1", name="assign_case", actor="op-1"),
            body=row.state["body"],
            waits_for=row.waits_for,
        )
        await self.world.case_activities.record(step)
        await self.world.say(case, "assign_case", handler="op-8")

    async def after(self) -> None:
        """What the dump does not hold."""
        world, cases = self.world, self.cases
        # two claims on one policy: what the first takes, the second finds taken
        event = {"actor": "op-1", **claim.proposal()}
        for name in ("first", "second"):
            await world.covered(cases[name])
        await world.intake.submit_event(cases["first"], "crm-1", "propose_decision", event)
        await world.payment(cases["first"], "C1:indemnity", "issued")
        await world.say(cases["second"], "propose_decision", **claim.proposal())
        await world.payment(cases["second"], "C1:indemnity", "issued")
        # a second run, which repeats the steps of the first
        await reset(world.sessions, world.client, cases["first"], reason="a trial", to="first")
        await world.settled(cases["first"])
        await world.say(cases["first"], "confirm_payment", actor="system:bank", **claim.paid_on("2027-03-01"))
        await world.say(
            cases["second"],
            "reject_payment",
            actor="system:bank",
            payment="C1:indemnity",
            reason="AC04",
            rejected_on="2027-03-01",
        )
        await self._lose_a_task(cases["second"])
        # filed since: one through intake, one as a whole with its start
        self.lost = claim.content(self.other_policy, documents=claim.documents(MONDAY))
        cases["lost"] = await world.file("claim", "BTA", self.lost, received_at=MONDAY)
        await world.stage(cases["lost"], "deciding")
        reference = f"INLINE-{uuid4().hex[:8]}"
        cases["inline"] = f"claim:BTA:{reference}"
        filing = {
            "organisation": "BTA",
            "reference": reference,
            "received_at": MONDAY.isoformat(),
            "sender": "system:broker",
            "content": claim.content(self.other_policy, documents=claim.documents(MONDAY)),
        }
        await world.client.start_workflow(
            KINDS["claim"], StartCase(filing=filing), id=cases["inline"], task_queue=TASK_QUEUE
        )
        await world.stage(cases["inline"], "deciding")
        await self._privacy()
        await self._access()

    async def _privacy(self) -> None:
        world, cases = self.world, self.cases
        await privacy.identify(world, cases["erasure"], MONDAY)
        await world.stage(cases["erasure"], "assessing")
        await world.say(cases["erasure"], "assess_right", right="erasure", outcome="fulfilled")
        await privacy.told_of_erasure(world, cases["erasure"])
        await world.stage(cases["erasure"], "resting")
        await privacy.identify(world, cases["restriction"], MONDAY)
        await world.stage(cases["restriction"], "assessing")
        await world.say(cases["restriction"], "assess_right", right="restriction", outcome="fulfilled")
        done = {"right": "restriction", "done_at": MONDAY.isoformat(), "reference": "dms/1"}
        await world.say(cases["restriction"], "confirm_done", **done)
        await world.stage(cases["restriction"], "resting")
        await world.say(cases["restriction"], "lift_restriction", reason="It is over.")
        await world.stage(cases["restriction"], "resting")
        await privacy.identify(world, cases["archive"], MONDAY)
        await world.stage(cases["archive"], "answering")

    async def _access(self) -> None:
        """The first request closes, is opened again by a bounce, and gives another secret; the notice takes effect."""
        world, cases = self.world, self.cases
        await world.advance(cases["access"], MONDAY + timedelta(days=9))
        await world.stage(cases["access"], "closed")
        bounced = {"actor": "op-2", "notice": "BL-4:U1:1", "bounced_at": (MONDAY + timedelta(days=8)).isoformat()}
        told = await world.intake.submit_event(cases["access"], "dms-7", "report_bounce", bounced)
        assert not told.refused
        await access.corrected(world, cases["access"])
        await world.advance(cases["withdrawal"], withdrawal.DUE + timedelta(seconds=1))
        await world.until(self._in_effect, "the withdrawal has its effect")
        await world.settled(cases["withdrawal"])

    async def _in_effect(self) -> bool:
        return (await withdrawal.row_of(self.world, self.cases["withdrawal"])).effective_at is not None


@pytest.fixture
def dumps(postgres: Postgres, worker_world: World, tmp_path: Path) -> Dumps:
    """The dumps of the world's store."""
    url = make_url(str(worker_world.sessions.kw["bind"].url))
    assert url.database is not None
    return Dumps(postgres, url.database, tmp_path)


@pytest.mark.timeout(400)
async def test_a_store_restored_from_a_dump_is_brought_up_to_its_histories(worker_world: World, dumps: Dumps) -> None:
    """Every row is again what it was; nobody is told or paid twice; the cases go on."""
    world = worker_world
    lives = Lives(world)
    async with world.serving():
        await lives.before()
    await dumps.dump()
    async with world.serving():
        await lives.after()
    before, was_outside = await record(world), outside(world)
    await dumps.restore()

    tried = await put_together(world, dry_run=True)
    assert sum(tried.steps.values()) > 20
    assert tried.filings == (lives.cases["inline"],)
    assert (await record(world))["timeline"] != before["timeline"]

    done = await put_together(world)
    assert done.no_filing == (lives.cases["lost"],)
    assert done.filings == (lives.cases["inline"],)
    assert not done.stuck
    assert not done.unreadable
    assert done.secrets == {lives.cases["access"]: 1}
    await world.file("claim", "BTA", lives.lost, received_at=MONDAY, reference=lives.cases["lost"].split(":")[2])
    again = await put_together(world)
    assert set(again.steps) == {lives.cases["lost"]}
    assert again.clean
    after = await record(world)
    assert set(after) == set(before)
    for table, rows in before.items():
        assert after[table] == rows, table
    nothing = await put_together(world)
    assert (nothing.steps, nothing.proofs, nothing.filings) == ({}, {}, ())

    async with world.serving():
        await swept(world)
        assert outside(world) == was_outside
        await world.covered(lives.cases["lost"])
        await world.say(lives.cases["lost"], "propose_decision", **claim.proposal())
        await world.payment(lives.cases["lost"], "C1:indemnity", "issued")
        await world.say(lives.cases["inline"], "assign_case", handler="op-7")
    assert len(outside(world) - was_outside) >= 3


async def test_a_recovery_that_was_opened_since_the_dump_comes_back_with_what_was_repaid_and_told(
    worker_world: World, dumps: Dumps
) -> None:
    """Its demand, a part that came back and the notice of a hand-over: nobody is written to twice, and it goes on."""
    world = worker_world
    async with world.serving():
        parent = await recovery.paid(world)
        await dumps.dump()
        await world.say(parent, "recover_payment", **recovery.wanted(reference="SINCE-1"))
        case = "recovery:BTA:SINCE-1"
        world.filed.append(case)
        await recovery.sent(world, case, "BTA-11.3:1")
        await recovery.repay(world, case, "150.00")
        await recovery.told(world, case)
    before, was_outside = await record(world), outside(world)
    await dumps.restore()
    assert await world.row(case) is None
    done = await put_together(world)
    assert (done.stuck, done.unreadable, done.no_filing) == ({}, (), ())
    assert set(done.steps) == {parent, case}
    after = await record(world)
    for table, rows in before.items():
        assert after[table] == rows, table
    async with world.serving():
        await swept(world)
        assert outside(world) == was_outside
        await recovery.repay(world, case, "250.00", reference="B8")
        await world.stage(case, "resting")


async def test_cases_of_policies_and_clients_come_back_with_what_was_refused_paid_and_told(
    worker_world: World, dumps: Dumps
) -> None:
    """A premium that was refused since makes its policy void again; none goes back twice, and nobody is told twice."""
    world = worker_world
    async with world.serving():
        late, refund = await late_premium.late(world), await premium_refund.ended(world)
        reminder = await renewal.reminded(world)
        who = await client_change.client(world)
        change = await client_change.changed(world, who, responsible=client_change.person("Jana Liepa"))
        await world.payment(refund, premium_refund.REFUND, "held")
        for case in (reminder, change):
            await world.stage(case, "resting")
        await dumps.dump()
        await world.say(late, "refuse_premium", reason=late_premium.REASON)
        await world.payment(late, late_premium.RETURN, "issued")
        await world.say(refund, "correct_payee", claimant="policyholder", iban="LV97HABA0012345678910")
        await world.payment(refund, premium_refund.REFUND, "issued")
        for case, payment in ((late, late_premium.RETURN), (refund, premium_refund.REFUND)):
            confirmed = {"payment": payment, "executed_on": "2027-03-01", "bank_reference": "B9"}
            await world.say(case, "confirm_payment", actor="system:bank", **confirmed)
            await world.stage(case, "resting")
        for case, letter, party in (
            (reminder, renewal.LETTER, "policyholder"),
            (change, client_change.NEW, "responsible"),
        ):
            bounced = {"notice": letter, "bounced_at": world.now().isoformat()}
            await world.say(case, "report_bounce", actor="system:mail", **bounced)
            await world.say(case, "correct_address", party=party, email=f"{party}@cita.example")
            await world.stage(case, "resting")
        for case in (late, refund, reminder, change):
            await world.settled(case)
    before, was_outside = await record(world), outside(world)
    assert await late_premium.on(world, late, date(2027, 3, 5)) == "premium_refused"
    await dumps.restore()
    assert await late_premium.on(world, late, date(2027, 3, 5)) != "premium_refused"
    done = await put_together(world)
    assert (done.stuck, done.unreadable, done.no_filing) == ({}, (), ())
    assert set(done.steps) == {late, refund, reminder, change}
    after = await record(world)
    for table, rows in before.items():
        assert after[table] == rows, table
    async with world.serving():
        await swept(world)
        assert outside(world) == was_outside
        await world.advance(refund, (await world.clock(refund, "T-rest")).due)
        await world.stage(refund, "closed")


async def test_people_told_of_a_breach_since_the_dump_are_told_no_more(worker_world: World, dumps: Dumps) -> None:
    """Who they are is in no history: it waits for the same list, and then the proofs of their letters come back."""
    world = worker_world
    rows = [*breach.people(3), {"name": "Oto Vītoliņš-Ērglis", "address": "Liepu iela 1, Valmiera"}]
    async with world.serving():
        case = await breach.high(world)
        await dumps.dump()
        await breach.load(world, case, *rows)
        await breach.write(world, case)
        await breach.told(world, case, 3)
        said = {"notice": "tell:P2:1", "bounced_at": breach.present(world).isoformat()}
        await world.say(case, "report_bounce", "system:mail", **said)
        await world.say(case, "correct_address", party="P2", email="cita@pasts.example")
        await breach.told(world, case, 3)
        await world.say(case, "confirm_posted", sent_at=breach.present(world).isoformat(), reference="dms/post-1")
        await breach.finish(world, case)
    before, was_outside = await record(world), outside(world)
    await dumps.restore()
    done = await put_together(world)
    assert set(done.stuck) == {case}
    assert (await world.entries(case))[-1] == "authority_notified"
    other = await breach.load(world, case, *rows[:2])
    assert other.waiting, "no worker serves yet"
    assert set((await put_together(world)).stuck) == {case}, "another list is not that one"
    await breach.load(world, case, *rows)
    assert not (await put_together(world)).stuck
    after = await record(world)
    for table in ("cases", "timeline", "clock", "notice", "party", "breach_letter", "breach_entry"):
        assert after[table] == before[table], table
    async with world.serving():
        await swept(world)
        assert outside(world) == was_outside
        await world.advance(case, world.now() + timedelta(days=9))
        await world.stage(case, "closed")


async def test_turns_that_the_schedule_opened_since_the_dump_come_back_without_anybody_filing_them(
    worker_world: World, dumps: Dumps
) -> None:
    """Before the dump a department was said; since then one turn was done, with what it found, and the next is open."""
    world = worker_world
    spring = recurrences.SPRING
    async with world.serving():
        await world.begin(spring)
        for about in ("lost-a", "lost-b"):
            await recurrences.said(world, "SE-3.2", about, "done", "2026-04-01")
        names = {about: f"task:SE:SE-3.2_{about}_1" for about in ("lost-a", "lost-b")}
        for case in names.values():
            await task.begun(world, case)
        await dumps.dump()
        found: dict[str, Any] = {"done_on": "2027-03-08", "document": "dms/1", "excess": True}
        await world.say(names["lost-a"], "complete_analysis", **found)
        await world.stage(names["lost-a"], "reporting")
        later = recurrences.at("2028-03-01")
        await world.begin(later)
        opened = await recurrences.opened(world)
        second = "task:SE:SE-3.2_lost-a_2"
        assert second in opened
        for case in (*names.values(), *opened):
            await world.settled(case)
    before, was_outside = await record(world), outside(world)
    await dumps.restore()
    assert await world.row(second) is None
    done = await put_together(world)
    assert (done.stuck, done.unreadable, done.no_filing) == ({}, (), ())
    assert set(done.filings) == set(opened)
    after = await record(world)
    for table in ("intake", "cases", "timeline", "clock", "turn", "recurrence"):
        assert after[table] == before[table], table
    assert (await put_together(world)).filings == ()
    async with world.serving():
        assert await recurrences.opened(world) == []
        assert outside(world) == was_outside
        await world.say(second, "complete_analysis", done_on="2028-03-01", document="dms/2", excess=False)
        await world.stage(second, "closed")


async def test_a_night_over_the_storage_terms_that_the_store_lost_is_over(worker_world: World, dumps: Dumps) -> None:
    """Its run in the engine would have asked for it for ever, and no other night's would have begun."""
    world = worker_world
    await world.begin(MONDAY)
    await dumps.dump()
    night = f"lost-night-{uuid4()}"
    n = await storage.begin(world.sessions, night, world.now)
    await dumps.restore()
    assert not await storage.step(world.sessions, world.keyring, world.var / "backup", world.now, n)
    assert (await storage.end(world.sessions, world.now, n)).results == {}
    async with world.serving():
        run = await world.client.execute_workflow("Storage", id=f"storage-{uuid4()}", task_queue=TASK_QUEUE)
    assert run["n"] >= n


async def test_an_early_hit_that_was_found_and_cleared_since_the_dump_is_so_again(
    worker_world: World, dumps: Dumps
) -> None:
    """The sweep that found it is in no history; the case's own step says enough, and the officer is not asked twice."""
    world = worker_world
    await world.begin(MONDAY)
    async with world.serving():
        content = claim.content(await world.policy(), claimants=[{"name": "Igors Zimogorovs"}])
        case = await world.file("claim", "BTA", content)
        await world.stage(case, "collecting")
        await dumps.dump()
        await swept(world)

        async def heard() -> bool:
            return "hits_found" in await world.entries(case)

        await world.until(heard, "the case has heard of the hit")
        await world.say(case, "clear_hit", payment="C1", reason="Another birth date: passport seen")
    before, was_outside = await record(world), outside(world)
    await dumps.restore()
    done = await put_together(world)
    assert (done.stuck, done.unreadable, done.no_filing) == ({}, (), ())
    after = await record(world)
    for table in ("cases", "timeline", "clock"):
        assert after[table] == before[table], table
    async with world.serving():
        await swept(world)
        assert outside(world) == was_outside
        assert "Sanctions list" not in await world.details(case)


async def test_a_hit_that_was_cleared_before_there_was_a_step_of_it_is_cleared_again(
    worker_world: World, dumps: Dumps
) -> None:
    """Of 22 November 2026: the sweep's row alone said it was found. Who judged it and why stands in the step."""
    world = worker_world
    await world.begin(MONDAY)
    async with world.serving():
        case = await world.file("claim", "BTA", claim.content(await world.policy()))
        await world.stage(case, "collecting")
    await dumps.dump()
    row = await world.row(case)
    assert row is not None
    found = tables.ScreeningRow(
        case=case,
        key="C1",
        party="C1",
        screened_at=MONDAY,
        list_made_at=MONDAY,
        list_digest="0" * 64,
        result="hit",
    )
    async with world.sessions() as session, session.begin():
        session.add(found)
    step = Transition(
        case=case,
        step=row.step + 1,
        at=world.now(),
        stage=row.stage,
        entry="hit_cleared",
        said=Said(id="clear-1", name="clear_hit", actor="op-1"),
        acts=(Act(name="payment.hit_cleared", data={"key": "C1", "reason": "another birth date", "by": "op-1"}),),
        body=row.state["body"],
        waits_for=row.waits_for,
    )
    recorded = await world.case_activities.record(step)
    assert recorded.result == "recorded"
    await dumps.restore()
    store = build_replay(world.sessions, world.keyring, world.client, LocalDirectory(world.sessions, world.now))
    fact = Fact(case, world.now(), "case.record", None, recorded)
    assert (await store.apply(fact)).verdict is Verdict.done
    async with world.sessions() as session:
        kept = await session.get_one(tables.ScreeningRow, (case, "C1"))
    assert (kept.result, kept.judged_by, kept.reason, kept.list_digest) == (
        *("cleared", "op-1", "another birth date", LIST_LOST),
    )


async def test_a_case_erased_since_the_dump_stays_erased(worker_world: World, dumps: Dumps) -> None:
    """The dump brings it back open and unreadable: it is closed and emptied, and no new run begins."""
    world = worker_world
    await world.begin(MONDAY)
    async with world.serving():
        case = await privacy.file(world, "DZ", "access")
        await world.stage(case, "identifying")
        await dumps.dump()
        await world.say(case, "withdraw_request", withdrawn_at=MONDAY.isoformat(), document="dms/w")
        await world.stage(case, "closed")
    await erase(world.sessions, world.keyring, case, world.var / "backup", world.now)
    await dumps.restore()
    done = await put_together(world)
    assert (done.erased, done.started, done.unreadable, done.clean) == ((case,), (), (), True)
    row = await world.row(case)
    assert row is not None
    assert (row.stage, row.outcome) == ("closed", "erased")
    assert set((await world.clocks(case)).values()) == {"void"}
    assert (await put_together(world)).erased == ()


async def test_a_step_that_would_come_out_otherwise_is_not_put_back(worker_world: World, dumps: Dumps) -> None:
    """Without the policy of that time the case would open another way: nothing is written, and it is named."""
    world = worker_world
    await world.begin(MONDAY)
    await dumps.dump()
    async with world.serving():
        case = await claim.deciding(world)
    content = claim.content("unknown-here", documents=claim.documents(MONDAY))
    await dumps.restore()
    await world.file("claim", "BTA", content, received_at=MONDAY, reference=case.split(":")[2])
    done = await put_together(world)
    assert done.stuck == {case: 1}
    assert not done.clean
    assert await world.row(case) is None


async def test_reminders_of_the_lost_time_are_not_sent_again(worker_world: World, dumps: Dumps) -> None:
    """Nothing in a history proves that a letter to staff went out: it is closed, and counted."""
    world = worker_world
    async with world.serving():
        case = await claim.deciding(world)
        await dumps.dump()
        await world.advance(case, MONDAY + timedelta(days=31))

        async def staff_was_told() -> bool:
            letters = [n for n in (await world.notices(case)).values() if n.internal]
            return len(letters) > 1 and all(n.sent_at for n in letters)

        await world.until(staff_was_told, "letters to staff went out, beside the steps that owe them")
    was_outside = outside(world)
    told = [notice for notice in (await world.notices(case)).values() if notice.internal]
    assert len(told) > 1
    await dumps.restore()
    done = await put_together(world)
    assert done.staff_letters == len(told)
    async with world.serving():
        await swept(world)
    assert outside(world) == was_outside
    assert {n.refused for n in (await world.notices(case)).values() if n.internal} == {UNTOLD}
    assert (await world.clock(case, "BTA-10.5a")).status == "overdue"


# ---- far behind, each way -------------------------------------------------------------------------------------------


@asynccontextmanager
async def installation(var: Path) -> AsyncIterator[World]:
    """Embedded servers that can be stopped and come back with other data; their clocks are the machine's."""
    settings = Settings(var=var)
    async with local(var):
        place = await find(settings)
        keyring = keys(place, settings)
        database = engine(place.database_url, keyring)
        store, now = sessions(database), VirtualNow(database)
        client = await place.connect(keyring, filed=filed_in(store))
        await setup(client, place.database_url, keyring)
        activities, _ = build(
            store,
            keyring,
            client,
            LocalDirectory(store, now),
            MaildirOut(settings.mail_folder),
            BankFolder(settings.bank_folder),
            now,
            mail_in=MaildirIn(settings.mail_in_folder),
            bank_in=AnswersFolder(settings.bank_folder / "in"),
            sanctions=SanctionsFile(SAMPLE),
            sender=settings.mail_sender,
            staff=settings.mail_staff,
            checkpoints=var / "checkpoints",
            backups=var / "key-backups",
        )
        try:
            yield World(
                environment=WorkflowEnvironment.from_client(client),
                client=client,
                sessions=store,
                keyring=keyring,
                intake=Intake(store, keyring, client, now),
                now=now,
                var=var,
                activities=activities,
                filed=[],
            )
        finally:
            await database.dispose()
            await keyring.close()


async def command(var: Path, *words: str, code: int = 0) -> dict[str, Any]:
    """`starter.py reconcile`, as an operator types it."""
    where = {"TERMINS_VAR": str(var), "TERMINS_SECRETS": str(var / "none")}
    result = await asyncio.to_thread(
        CliRunner().invoke, starter.app, ["reconcile", "--json", *words], env=where, catch_exceptions=False
    )
    assert result.exit_code == code, result.output
    answered: dict[str, Any] = json.loads(result.stdout)
    return answered


async def opened(world: World, number: int) -> tuple[str, dict[str, Any]]:
    """A claim that waits for a decision, and how it was filed."""
    now = world.now()
    day = f"{now - timedelta(days=9):%Y-%m-%d}"
    policy = f"FAR-{number}"
    filing: dict[str, Any] = {
        "content": claim.content(policy, documents=claim.documents(now), occurred_on=day),
        "received_at": now,
        "reference": f"FAR-{number}",
    }
    case = await world.file("claim", "BTA", **filing)
    await world.stage(case, "deciding")
    return case, filing


async def assigned(world: World, case: str, times: int) -> None:
    """So many steps that say nothing new."""
    for n in range(times):
        await world.say(case, "assign_case", handler=f"op-{n % 2 + 1}")


async def level(world: World) -> bool:
    """Whether no run is behind the store any more."""
    return not (await put_together(world, dry_run=True)).adopting


@pytest.mark.timeout(3000)
async def test_a_restore_far_behind_each_way(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The store, then the engine, comes back as it was many steps before; both end where the other one stood."""
    steps = request.config.getoption("--steps", 60) // 4
    with tempfile.TemporaryDirectory() as folder:
        var = Path(folder)
        kept = tmp_path / "engine"
        async with installation(var) as world, world.serving():
            async with world.sessions() as session, session.begin():
                session.add_all(everybody(world.now()))
            for n in range(5):
                await world.policy(f"FAR-{n}")
            cases = [(await opened(world, n))[0] for n in range(4)]
        shutil.copytree(var / "temporal", kept)
        async with installation(var) as world:
            dumps = Dumps(Postgres(var), "termins", tmp_path)
            await dumps.dump()
            async with world.serving():
                await asyncio.gather(*(assigned(world, case, steps) for case in cases))
                new, filing = await opened(world, 4)
                await world.say(cases[0], "withdraw_claim", withdrawn_at=world.now().isoformat(), reference="dms/w")
                await world.stage(cases[0], "closed")
            before, was_outside = await record(world), outside(world)

            await dumps.restore()
            behind = await command(var, "--dry-run", code=1)
            assert sum(behind["steps"].values()) >= 4 * steps
            assert (await command(var, code=1))["no_filing"] == [new]
            await world.file("claim", "BTA", **filing)
            again = await command(var)
            assert set(again["steps"]) == {new}
            after = await record(world)
            for table, rows in before.items():
                assert after[table] == rows, table
            assert outside(world) == was_outside

        shutil.rmtree(var / "temporal")
        shutil.copytree(kept, var / "temporal")
        async with installation(var) as world:
            found = await command(var)
            assert (found["steps"], found["adopting"], found["started"]) == ({}, sorted(cases), [new])
            async with world.serving():
                assert (await world.handle(cases[0]).result())["result"] == "withdrawn"
                await world.until(lambda: level(world), "every run goes on from its record")
                await swept(world)
                for case in (*cases[1:], new):
                    told = await world.say(case, "assign_case", handler="op-7")
                    assert told["entry"] == "assigned"
            assert outside(world) == was_outside
            assert (await command(var))["adopting"] == []


@pytest.mark.timeout(600)
async def test_a_decision_of_the_rulebook_and_its_review_come_back_each_way(tmp_path: Path) -> None:
    """The store from before it: decided again with the same frozen inputs. The engine: nothing is decided twice."""
    with tempfile.TemporaryDirectory() as folder:
        var = Path(folder)
        kept = tmp_path / "engine"
        async with installation(var) as world, world.serving():
            async with world.sessions() as session, session.begin():
                session.add_all(everybody(world.now()))
            policy, now = await world.policy("AUTO-1"), world.now()
            content = claim.content(
                policy,
                "600.00",
                documents=claim.documents(now),
                occurred_on=f"{now - timedelta(days=9):%Y-%m-%d}",
                registered="online",
            )
            case = await world.file("claim", "BTA", content, received_at=now)
            await world.stage(case, "deciding")
        shutil.copytree(var / "temporal", kept)
        async with installation(var) as world:
            dumps = Dumps(Postgres(var), "termins", tmp_path)
            await dumps.dump()
            async with world.serving():
                await world.covered(case)
                await world.payment(case, "C1:indemnity", "issued")
                asked = {"received_at": world.now().isoformat(), "reference": "dms/review"}
                await world.say(case, "request_review", actor="system:portal", **asked)
                answer = {"outcome": "uphold", "reason": "it is right"}
                await world.say(case, "review_decision", actor="op-2", **answer)
                await world.until(lambda: _answered(world, case), "the claimant was answered")
            before, was_outside = await record(world), outside(world)
            assert [row["by"] for row in before["decision"]] == [BY_RULEBOOK]

            await dumps.restore()
            assert set((await command(var))["steps"]) == {case}
            after = await record(world)
            for table, rows in before.items():
                assert after[table] == rows, table
            assert outside(world) == was_outside

        shutil.rmtree(var / "temporal")
        shutil.copytree(kept, var / "temporal")
        async with installation(var) as world:
            assert (await command(var))["adopting"] == [case]
            async with world.serving():
                await world.until(lambda: level(world), "the run goes on from its record")
                await swept(world)
                assert (await world.entries(case)).count("decided") == 1
                confirmed = claim.paid_on(f"{world.now().astimezone(RIGA):%Y-%m-%d}")
                await world.say(case, "confirm_payment", actor="system:bank", **confirmed)
                await world.stage(case, "resting")
            assert outside(world) == was_outside


class Decided:
    """Two decisions for everybody, with two clients each, and a credential whose login data are sent anew."""

    def __init__(self) -> None:
        self.who = access.user()
        self.told: list[str] = []
        self.later: list[str] = []

    async def before(self, world: World) -> None:
        """What dump and copy hold: the first decision runs, the login data are issued."""
        async with world.sessions() as session, session.begin():
            session.add_all(everybody(world.now()))
        for name in ("ebank-one", "ebank-one", "ebank-two", "ebank-two"):
            await decision.client_with(world, name)
        self.client = await world.customer()
        asked = access.content(self.client, self.who)
        request = await world.file("access_request", "BL", asked, received_at=world.now())
        await world.stage(request, "resting")
        self.credential = f"credential:BL:{request.split(':')[2]}-U1"
        await recorded(world, self.credential, "secret_set")
        self.first = await decision.decide(world, "ebank-one")
        self.told = list((await decision.told(world, self.first, 2)).values())

    async def after(self, world: World) -> None:
        """What neither holds: the first is moved, a second one is told, and the user has other login data."""
        day = f"{world.now() + timedelta(days=40):%Y-%m-%d}"
        await world.say(self.first, "move_effect", takes_effect_on=day, reason="clients_asked")
        for case in self.told:
            await recorded(world, case, "moved")
        self.second = await decision.decide(world, "ebank-two")
        self.later = list((await decision.told(world, self.second, 2)).values())
        await self.change(world, 2)
        await self.settled(world)

    async def change(self, world: World, mails: int) -> None:
        """Other login data go to the user, who then has so many mails."""
        await world.say(self.credential, "change_secret", reason="a new standard for passwords")

        async def came() -> bool:
            return len(world.mails(self.who["email"])) == mails

        await world.until(came, "other login data came")
        await world.settled(self.credential)

    async def settled(self, world: World) -> None:
        """Wait until none of them has anything under way."""
        for case in (self.first, self.second, *self.told, *self.later, self.credential):
            await world.settled(case)

    async def works(self, world: World) -> list[bool]:
        """Which of the user's mails opens the account, the first mail first."""
        mails = sorted(world.mails(self.who["email"]), key=lambda mail: str(mail[ACCEPTED]))
        return [await access.works(world, self.client, mail) for mail in mails]


@pytest.mark.timeout(600)
async def test_a_decision_for_everybody_and_login_data_sent_anew_come_back_each_way(tmp_path: Path) -> None:
    """The store from before: every row again. The engine: no withdrawal is filed twice, nobody is written to twice."""
    its = Decided()
    with tempfile.TemporaryDirectory() as folder:
        var = Path(folder)
        kept = tmp_path / "engine"
        async with installation(var) as world, world.serving():
            await its.before(world)
        shutil.copytree(var / "temporal", kept)
        async with installation(var) as world:
            dumps = Dumps(Postgres(var), "termins", tmp_path)
            await dumps.dump()
            async with world.serving():
                await its.after(world)
            before, was_outside = await record(world), outside(world)
            assert await its.works(world) == [False, True]

            await dumps.restore()
            assert set((await command(var, code=1))["no_filing"]) == {its.second, *its.later}
            [filed] = [row for row in before["intake"] if row["case"] == its.second]
            again = {name: filed[name] for name in ("reference", "received_at", "content")}
            await world.file("authenticator_decision", "BL", **again)
            done = await command(var)
            assert (done["stuck"], done["no_filing"]) == ({}, [])
            after = await record(world)
            for table, rows in before.items():
                assert after[table] == rows, table
            # the directory went back with the store: what is lost opens nothing, also not what had opened it before
            assert await its.works(world) == [False, False]
            assert outside(world) == was_outside

        shutil.rmtree(var / "temporal")
        shutil.copytree(kept, var / "temporal")
        async with installation(var) as world:
            found = await command(var)
            assert set(found["adopting"]) == {its.first, its.credential, *its.told}
            assert set(found["started"]) == {its.second, *its.later}
            async with world.serving():
                await world.until(lambda: level(world), "every run goes on from its record")
                await swept(world)
                await its.settled(world)
                assert outside(world) == was_outside
                assert set((await decision.withdrawals(world, its.second)).values()) == set(its.later)
                await world.say(its.second, "withdraw_decision", reason="decision_reversed")
                for case in its.later:
                    await recorded(world, case, "withdrawn")
                await its.change(world, 3)
            assert await its.works(world) == [False, False, True]


async def recorded(world: World, case: str, entry: str) -> None:
    """Wait for a step; what one case says to another is delivered by sweeps."""

    async def there() -> bool:
        if entry in await world.entries(case):
            return True
        await swept(world)
        return False

    await world.until(there, f"{case} says {entry}", seconds=60)
    await world.settled(case)


async def _answered(world: World, case: str) -> bool:
    return (await world.clocks(case)).get(("GJ-claims-review", "C1")) == "kept"


def test_every_activity_is_known_to_reconcile(world: World) -> None:
    """Whoever adds an activity says what its end in a history proves about the store."""
    assert {*PROVE, *PROVE_NOTHING} == set(world.activity_names)
