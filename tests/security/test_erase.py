"""Erasing a closed case: store, histories, dumps and archives then name nobody, and nothing else is disturbed."""

from __future__ import annotations

import asyncio
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import col, select
from temporalio.client import WorkflowQueryFailedError

from models.errors import Refusal
from models.names import case_id
from models.tables import CaseRow, EventRow, IntakeRow, PartyRow, TimelineRow
from operations.erase import LEDGER, check, erase, erased_before
from operations.filings import check as check_filing
from operations.intake import Intake, keep
from operations.key_backup import back_up, backups, restore
from operations.local import Postgres
from operations.reading import explain_case, show_case
from operations.store import engine, keyring, sessions
from security.keys import KeyDestroyed, Keyring
from security.master import MasterKeyFile
from settings import Settings
from tests.workflows.test_claim import MONDAY, content, decided, paid_on
from tests.world import World

NAME, IBAN = "Anna Bērziņa", "LV97HABA0012345678910"
KEPT_FOR = timedelta(days=Settings.model_fields["key_backup_days"].default)


async def closed(world: World) -> str:
    """A claim that was paid, and rested."""
    case = await decided(world)
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    await world.stage(case, "resting")
    await world.advance(case, MONDAY + timedelta(days=9))
    await world.stage(case, "closed")
    return case


async def erased(world: World, folder: Path) -> str:
    """A closed claim, erased."""
    case = await closed(world)
    assert (await erase(world.sessions, world.keyring, case, folder, world.now)).erased
    return case


async def test_an_erased_case_names_nobody_and_still_tells_its_deadlines(world: World, tmp_path: Path) -> None:
    case = await closed(world)
    before = await show_case(world.sessions, world.now(), case, personal=True)
    assert NAME in before.model_dump_json()
    clocks_before = await explain_case(world.sessions, world.now(), case)
    await erase(world.sessions, world.keyring, case, tmp_path, world.now)
    shown = await show_case(world.sessions, world.now(), case, personal=True)
    assert NAME not in shown.model_dump_json()
    assert IBAN not in shown.model_dump_json()
    assert shown.head.erased_at is not None
    assert [(s.step, s.entry, s.stage, s.duty, s.at, s.clocks) for s in shown.timeline] == [
        (s.step, s.entry, s.stage, s.duty, s.at, s.clocks) for s in before.timeline
    ]
    personal = {"evidence": None, "reason": None}
    assert [c.model_copy(update=personal) for c in await explain_case(world.sessions, world.now(), case)] == [
        c.model_copy(update=personal) for c in clocks_before
    ]
    assert {c.duty for c in shown.clocks if c.status != "kept"} == {"T-reserve-review"}
    # what the engine shows: id, type and search attributes
    described = await world.handle(case).describe()
    assert described.workflow_type == "Claim"
    assert described.search_attributes["Stage"] == ["closed"]


async def test_its_history_reads_as_erased_and_a_query_has_no_answer(world: World, tmp_path: Path) -> None:
    case = await erased(world, tmp_path)
    assert await world.handle(case).result() == "<erased>"
    with pytest.raises(WorkflowQueryFailedError):
        await world.handle(case).query("__temporal_workflow_metadata")
    with pytest.raises(KeyDestroyed):
        await world.keyring.of(case)


async def test_other_cases_of_the_same_policy_go_on(world: World, tmp_path: Path) -> None:
    case = await closed(world)
    other = await decided(world)
    await erase(world.sessions, world.keyring, case, tmp_path, world.now)
    await world.say(other, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    await world.stage(other, "resting")
    shown = await show_case(world.sessions, world.now(), other, personal=True)
    assert NAME in shown.model_dump_json()


async def test_an_erasure_repeated_after_a_crash_ends_the_same(world: World, tmp_path: Path) -> None:
    case = await closed(world)

    class Crash(Keyring):
        async def destroy(self, owner: str) -> bool:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await erase(world.sessions, Crash(world.keyring._engine, world.keyring._master), case, tmp_path, world.now)
    assert (await world.keyring.of(case)).owner == case
    assert not (await erase(world.sessions, world.keyring, case, tmp_path, world.now)).erased
    with pytest.raises(KeyDestroyed):
        await world.keyring.of(case)
    assert erased_before(tmp_path) == [case]


async def test_open_cases_open_follow_ups_and_waiting_events_are_refused_and_listed(
    world: World, tmp_path: Path
) -> None:
    case = await closed(world)
    child = f"{case.split(':')[2]}-child"
    data = {
        "kind": "claim",
        "organisation": "BTA",
        "reference": child,
        "received_at": world.now().isoformat(),
        "sender": "system:tests",
        "content": content(await world.policy()),
    }
    async with world.sessions() as session, session.begin():
        await keep(session, world.keyring, check_filing(data, world.now()), world.now(), parent=case)
    with pytest.raises(Refusal, match=f"{child} is open"):
        await erase(world.sessions, world.keyring, case, tmp_path, world.now)
    with pytest.raises(Refusal, match=f"{child} is open"):
        await check(world.sessions, world.keyring, case)
    with pytest.raises(Refusal, match="is open"):
        await check(world.sessions, world.keyring, case_id("claim", "BTA", child))
    with pytest.raises(Refusal, match="there is no case"):
        await erase(world.sessions, world.keyring, "claim:BTA:nobody", tmp_path, world.now)
    assert (await world.keyring.of(case)).owner == case
    assert not (tmp_path / LEDGER).exists()


async def test_nothing_comes_back_to_an_erased_case(world: World, tmp_path: Path) -> None:
    """No event, no filing under its reference, no start around intake: each has an answer, and none wedges."""
    case = await erased(world, tmp_path)
    message = {"actor": "system:mail", "notice": "BTA-10.5b:C1:1", "bounced_at": world.now().isoformat()}
    with pytest.raises(Refusal, match="erased"):
        await world.intake.submit_event(case, "e-1", "report_bounce", message)
    with pytest.raises(Refusal, match="erased"):
        await world.file("claim", "BTA", content(await world.policy()), reference=case.split(":")[2])
    await world.client.start_workflow("Claim", {"case": case}, id=case, task_queue="termins")
    result = await world.handle(case).result()
    assert (result["result"], result["faults"]) == ("closed", ["this case was erased"])
    with pytest.raises(KeyDestroyed):
        await world.keyring.of(case)


async def test_a_process_that_has_the_key_still_in_memory_is_told_that_the_case_was_erased(
    world: World, postgres: Postgres, tmp_path: Path
) -> None:
    """So long as keys are held in memory: neither a fault of the filing, nor a case without anything in it."""
    case = await closed(world)
    other = Keyring(world.keyring._engine, world.keyring._master)
    await other.of(case)
    await erase(world.sessions, world.keyring, case, tmp_path, world.now)
    database = engine(postgres.url("world"), other)
    filing = {
        "kind": "claim",
        "organisation": "BTA",
        "reference": case.split(":")[2],
        "received_at": world.now().isoformat(),
        "sender": "system:tests",
        "content": content(await world.policy()),
    }
    with pytest.raises(Refusal, match="reference: the case of this reference was erased"):
        await Intake(sessions(database), other, None, world.now).submit(filing)
    await database.dispose()


async def test_a_case_kept_without_a_run_can_be_erased(world: World, tmp_path: Path) -> None:
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", {"question": "Cik maksā polise?"})
    if (await world.row(case)) is not None:
        pytest.fail("what is no claim at all has no case")
    await erase(world.sessions, world.keyring, case, tmp_path, world.now)
    async with world.sessions() as session:
        row = await session.get(IntakeRow, case)
    assert row is not None
    assert (row.content, row.result) == ({}, "not_a_claim")


# ---- an event beside an erasure -------------------------------------------------------------------------------------


async def stands_still(world: World, *words: str) -> bool:
    """Whether a statement with these words waits for a lock."""
    waiting = "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with world.sessions() as session:
        queries = (await (await session.connection()).execute(text(waiting))).scalars().all()
    return any(all(word in query for word in words) for query in queries)


async def event_of(world: World, case: str) -> EventRow | None:
    """The event that was reported to a case."""
    async with world.sessions() as session:
        return await session.get(EventRow, (case, "e-1"))


async def test_an_event_that_comes_while_its_case_is_being_erased_is_refused_and_leaves_nothing(
    world: World, tmp_path: Path
) -> None:
    """The erasure has begun and is held up at the parties; the event has to wait for its end, and hears of it."""
    case = await closed(world)
    async with world.sessions() as holding, holding.begin():
        await holding.exec(select(PartyRow).where(PartyRow.case == case).with_for_update())
        erasing = asyncio.create_task(erase(world.sessions, world.keyring, case, tmp_path, world.now))
        await world.until(lambda: stands_still(world, "UPDATE party"), "the erasure is half done")
        telling = asyncio.create_task(
            world.intake.submit_event(case, "e-1", "assign_case", {"actor": "op-1", "handler": "op-7"})
        )
        await world.until(lambda: stands_still(world, "FROM intake", "FOR SHARE"), "the event waits")
    assert (await erasing).erased
    with pytest.raises(Refusal, match="case: it was erased"):
        await telling
    assert await event_of(world, case) is None


async def test_a_case_is_not_erased_beside_an_event_that_is_being_kept(world: World, tmp_path: Path) -> None:
    """The erasure has to wait for the event, finds it, and refuses until its sender has an answer."""
    case = await closed(world)
    engine_down = Intake(world.sessions, world.keyring, None, world.now)
    message = {"actor": "op-1", "handler": "op-7"}
    async with world.sessions() as holding, holding.begin():
        await (await holding.connection()).execute(text("LOCK TABLE event IN SHARE MODE"))
        telling = asyncio.create_task(engine_down.submit_event(case, "e-1", "assign_case", message))
        await world.until(lambda: stands_still(world, "INSERT INTO event"), "the event is half kept")
        erasing = asyncio.create_task(erase(world.sessions, world.keyring, case, tmp_path, world.now))
        await world.until(lambda: stands_still(world, "FROM intake", "FOR UPDATE"), "the erasure waits")
    assert (await telling).waiting
    with pytest.raises(Refusal, match="event e-1 is still to be delivered"):
        await erasing
    assert NAME in (await show_case(world.sessions, world.now(), case, personal=True)).model_dump_json()
    assert (await world.keyring.of(case)).owner == case
    assert erased_before(tmp_path) == []

    answered = await world.intake.submit_event(case, "e-1", "assign_case", message)
    assert "cannot reopen it" in answered.refused[0]
    assert (await erase(world.sessions, world.keyring, case, tmp_path, world.now)).erased
    event = await event_of(world, case)
    assert event is not None
    assert (event.message, event.refused) == ({}, None)


# ---- dumps and backups ----------------------------------------------------------------------------------------------


async def dumped(postgres: Postgres, database: str, into: str) -> None:
    """A real dump of a database, restored into a new one."""
    await postgres.create_database(into)
    programs = Path(postgres._programs)
    where = ["-h", str(postgres.socket_folder), "-U", "postgres"]
    dump = subprocess.run([str(programs / "pg_dump"), *where, database], capture_output=True, check=True)
    subprocess.run(
        [str(programs / "psql"), *where, "-q", "-v", "ON_ERROR_STOP=1", into],
        input=dump.stdout,
        capture_output=True,
        check=True,
    )


async def party_in(postgres: Postgres, database: str, ring: Keyring, case: str) -> str | None:
    """Who the claimant of a case is, by this database and these keys."""
    opened = engine(postgres.url(database), ring)
    try:
        async with sessions(opened)() as session:
            row = await session.get(PartyRow, (case, "C1"))
        assert row is not None
        return row.name
    finally:
        await opened.dispose()


async def test_a_dump_made_before_is_unreadable_once_the_key_backups_time_is_over(
    world: World, postgres: Postgres, tmp_path: Path
) -> None:
    """With the key backup of that day it can be read until that backup is removed: 30 days, the promised delay."""
    case = await closed(world)
    await dumped(postgres, "world", "before")
    folder = tmp_path / "backups"
    day = datetime(2027, 4, 1, 3, 0, tzinfo=UTC)
    made = await back_up(world.keyring, folder, KEPT_FOR, lambda: day)
    await erase(world.sessions, world.keyring, case, folder, world.now)
    assert await party_in(postgres, "before", world.keyring, case) is None

    # somebody who has dump, key backup and master key, and leaves the ledger of erasures out
    copied = Path(made.file).read_text().splitlines()
    await postgres.create_database("insider_keys")
    assert isinstance(world.keyring._master, MasterKeyFile)
    ring = keyring(postgres.url("insider_keys"), world.keyring._master)
    await ring.setup()
    assert (await restore(world.sessions, ring, Path(made.file))).destroyed_again == (case,)
    assert await party_in(postgres, "before", ring, case) is None
    await postgres.create_database("insider_keys_2")
    rogue = keyring(postgres.url("insider_keys_2"), world.keyring._master)
    await rogue.setup()
    await rogue.restore([json.loads(line) for line in copied if case in line])
    assert await party_in(postgres, "before", rogue, case) == NAME

    # the last second of the thirtieth day, and the first after
    assert timedelta(days=30) == KEPT_FOR
    later = await back_up(world.keyring, folder, KEPT_FOR, lambda: day + KEPT_FOR)
    assert later.removed == ()
    last = await back_up(world.keyring, folder, KEPT_FOR, lambda: day + KEPT_FOR + timedelta(seconds=1))
    assert last.removed == (Path(made.file).name,)
    for one in backups(folder):
        mine = [line for line in one.read_text().splitlines() if f'"{case}"' in line]
        assert all('"wrapped": ""' in line for line in mine)
    for of in (ring, rogue):
        await of.close()


async def test_a_dump_of_the_store_holds_no_key_and_no_name(world: World, postgres: Postgres) -> None:
    case = await closed(world)
    where = ["-h", str(postgres.socket_folder), "-U", "postgres"]
    dump = subprocess.run(
        [str(Path(postgres._programs) / "pg_dump"), *where, "world"], capture_output=True, check=True
    ).stdout
    assert case.encode() in dump
    for word in (NAME, IBAN, "anna.berzina@example.lv"):
        assert word.encode() not in dump
    async with world.keyring._engine.connect() as connection:
        wrapped = (await connection.exec_driver_sql("SELECT wrapped FROM data_key WHERE wrapped IS NOT NULL")).scalars()
        assert not [one for one in wrapped if one.hex().encode() in dump]


async def test_the_step_that_was_recorded_can_be_asked_for_again_by_nobody(world: World, tmp_path: Path) -> None:
    """What a step answered, and by what it is known again, goes with the key."""
    case = await erased(world, tmp_path)
    async with world.sessions() as session:
        steps = (await session.exec(select(TimelineRow).where(col(TimelineRow.case) == case))).all()
        row = await session.get(CaseRow, case)
    assert row is not None
    assert row.state == {}
    assert {(str(s.facts), str(s.answer), str(s.details)) for s in steps} == {("{}", "{}", "[]")}
