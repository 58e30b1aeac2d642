"""The command line against real servers: what is filed is kept, what is asked is answered, every fault is said once."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlmodel import col, select, update
from typer.testing import CliRunner, Result

import starter
from models.names import TASK_QUEUE
from models.tables import ClientRow, ClockRow, PolicyRow
from operations.operators import Operators
from operations.setup import SWEEP
from rules.rulebook import book
from tests.workflows.test_claim import ALL_DOCUMENTS, content, documents
from tests.world import World

ROOT = Path(__file__).parents[2]
REGISTER = Path(__file__).parents[1] / "rules" / "register_ids.json"
pytestmark = pytest.mark.usefixtures("present")

Environment = dict[str, str]
FAULTY = {"DATABASE_URL": "mysql://me:secret-word@x/y", "TERMINS_SMTP_PORT": "secret-word", "TERMINS_MAIL": "pigeon"}
FAULTS = (
    "settings: DATABASE_URL: Termins needs PostgreSQL, not mysql; TERMINS_MAIL: Input should be 'maildir' or 'smtp'; "
    "TERMINS_SMTP_PORT: Input should be a valid integer, unable to parse string as an integer\n"
)


@pytest.fixture
def engine_down(where: Environment) -> Environment:
    """The same with no engine at its address."""
    return {**where, "TEMPORAL_ADDRESS": "127.0.0.1:1"}


async def cli(where: Environment, *words: str, data: str | bytes | None = None, code: int = 0) -> Result:
    """Run a command in a thread of its own, as its own loop needs one."""
    result = await asyncio.to_thread(CliRunner().invoke, starter.app, list(words), input=data, env=where)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result


async def ask(where: Environment, *words: str, data: str | bytes | None = None, code: int = 0) -> Any:
    """What a command prints as JSON."""
    return json.loads((await cli(where, *words, "--json", data=data, code=code)).stdout)


async def filing(world: World, **more: Any) -> dict[str, Any]:
    """A claim that nobody filed yet."""
    received = more.pop("received_at", datetime.now(UTC) - timedelta(hours=1))
    return {
        "kind": "claim",
        "organisation": "BTA",
        "reference": f"CLI-{uuid4().hex[:10]}",
        "received_at": received.isoformat(),
        "sender": "system:broker",
        "content": content(await world.policy(), occurred_on=f"{received - timedelta(days=9):%Y-%m-%d}", **more),
    }


async def opened(world: World, where: Environment, **more: Any) -> str:
    """A claim that was filed by the command and waits for documents."""
    filed = await ask(where, "file", data=json.dumps(await filing(world, **more)))
    await world.stage(filed["case"], "collecting")
    return str(filed["case"])


async def complete(world: World, where: Environment, received: datetime) -> str:
    """A claim with all its documents, to be decided."""
    data = await filing(world, received_at=received, documents=documents(received, *ALL_DOCUMENTS))
    filed = await ask(where, "file", data=json.dumps(data))
    await world.stage(filed["case"], "deciding")
    return str(filed["case"])


# ---- help -----------------------------------------------------------------------------------------------------------


async def test_without_words_it_prints_its_help_with_the_exit_codes() -> None:
    result = await cli({})
    for word in ("file", "event", "list", "show", "explain", "duties", "count", "recount", "reset", "setup", "load"):
        assert f"  {word} " in result.stdout
    assert "3 there is" in result.stdout


# ---- file -----------------------------------------------------------------------------------------------------------


async def test_a_program_files_through_a_pipe(world: World, where: Environment) -> None:
    """In a process of its own, as a backend calls it: one JSON line comes out, and nothing else."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "starter.py", "file", "--json"],
        cwd=ROOT,
        env={**os.environ, **where},
        input=json.dumps(await filing(world)).encode(),
        capture_output=True,
        check=True,
    )
    filed = json.loads(done.stdout)
    assert (filed["new"], filed["started"]) == (True, True)
    await world.stage(filed["case"], "collecting")


@pytest.mark.parametrize("reference", ["320505-10058", ""])
async def test_a_reference_that_names_no_case_gives_the_same_case_by_every_door(
    world: World, where: Environment, reference: str
) -> None:
    """The command line, another process and a run that somebody started around both: one case, named in each answer."""
    data = {**await filing(world), "reference": reference}
    by_hand = await ask(where, "file", data=json.dumps(data))
    assert by_hand["case"].startswith("claim:BTA:G-")
    assert reference == "" or reference not in json.dumps(by_hand)
    await world.stage(by_hand["case"], "collecting")
    again = await world.intake.submit(data)
    assert (again.case, again.new) == (by_hand["case"], False)
    run = await world.client.start_workflow(
        "Claim", {"filing": data}, id=f"claim:BTA:{uuid4().hex[:8]}", task_queue=TASK_QUEUE
    )
    ended = await run.result()
    assert (ended["result"], ended["right_case"]) == ("duplicate", by_hand["case"])


async def test_the_same_filing_twice_is_one_case(world: World, where: Environment) -> None:
    data = json.dumps(await filing(world))
    first, second = await ask(where, "file", data=data), await ask(where, "file", data=data)
    assert first["case"] == second["case"]
    assert (first["new"], second["new"]) == (True, False)


async def test_the_same_reference_with_other_content_is_refused_with_the_fields(
    world: World, where: Environment
) -> None:
    data = await filing(world)
    await cli(where, "file", data=json.dumps(data))
    data["content"]["place"] = "Ogre"
    result = await cli(where, "file", data=json.dumps(data), code=1)
    assert "content.place: differs" in result.stdout
    assert "Ogre" not in result.output


async def test_a_faulty_line_stops_no_other(world: World, where: Environment, tmp_path: Path) -> None:
    """One result for each line, in order; the exit code says that one was refused."""
    good, last = await filing(world), await filing(world)
    wrong_encoding = json.dumps(good, ensure_ascii=False).encode("iso8859-13")
    lines = [
        json.dumps(good).encode(),
        b"",
        b"{not JSON}",
        b'{"kind": "claim", "kind": "claim"}',
        b'{"kind": "claim", "amount": NaN}',
        wrong_encoding,
        json.dumps({**good, "organisation": "XX"}).encode(),
        json.dumps(last).encode(),
    ]
    (tmp_path / "many.jsonl").write_bytes(b"\n".join(lines))
    result = await cli(where, "file", str(tmp_path / "many.jsonl"), "--json", code=1)
    said = [json.loads(line) for line in result.stdout.splitlines()]
    assert [s.get("line") for s in said] == [None, 3, 4, 5, 6, 7, None]
    assert said[0]["case"].endswith(good["reference"])
    assert said[-1]["case"].endswith(last["reference"])
    for answer, fault in zip(
        said[1:-1], ("not JSON", "kind: this key", "NaN", "not UTF-8", "no rulebook"), strict=True
    ):
        assert fault in answer["refused"][0]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "nothing in it"),
        (b"[]", "array is empty"),
        (b"\xff\xfe{\x00", "UTF-16"),
        (b'"claim"', "no JSON object"),
        (b'{"kind": ' + b"8" * 9999 + b"}", "9999 digits"),
    ],
    ids=["empty", "empty array", "UTF-16", "text", "huge"],
)
async def test_what_is_no_filing_is_refused_in_one_clear_text(where: Environment, data: bytes, fault: str) -> None:
    result = await cli(where, "file", data=data, code=1)
    assert fault in result.stdout
    assert "Traceback" not in result.output


async def test_what_is_filed_while_the_engine_is_down_is_kept_and_started_by_the_sweep(
    world: World, where: Environment, engine_down: Environment
) -> None:
    result = await cli(engine_down, "file", "--json", data=json.dumps(await filing(world)))
    filed = json.loads(result.stdout)
    case = filed["case"]
    assert (filed["new"], filed["started"]) == (True, False)
    assert "the sweep starts it" in result.stderr
    assert (await ask(engine_down, "show", case))["head"]["stage"] == "not_started"
    waiting = await ask(engine_down, "list", "--stage", "not_started")
    assert case in [line["case"] for line in waiting]

    message = ("event", case, "assign_case", "--event-id", "E1", "--actor", "system:crm", "--field", "handler=op-5")
    assert (await ask(engine_down, *message))["waiting"]

    swept = await world.client.execute_workflow("Sweep", id=f"sweep-{uuid4()}", task_queue=TASK_QUEUE)
    assert swept["started"] >= 1
    await world.stage(case, "collecting")
    await world.client.execute_workflow("Sweep", id=f"sweep-{uuid4()}", task_queue=TASK_QUEUE)
    row = await world.row(case)
    assert row is not None
    assert row.handler == "op-5", "the event that waited was delivered too"


# ---- event ----------------------------------------------------------------------------------------------------------


async def test_an_event_is_delivered_once_however_often_it_is_sent(world: World, where: Environment) -> None:
    case = await opened(world, where)
    words = ("event", case, "assign_case", "--event-id", "17", "--actor", "system:broker", "--field", "handler=op-3")
    first, second = await ask(where, *words), await ask(where, *words)
    assert first == second
    assert first["answer"]["entry"] == "assigned"
    other = await cli(where, *words[:-1], "handler=op-4", code=1)
    assert "used for another message" in other.stderr
    assert (await world.entries(case)).count("assigned") == 1


async def test_an_event_may_come_as_json_with_fields_beside_it(
    world: World, where: Environment, tmp_path: Path
) -> None:
    case = await opened(world, where)
    (tmp_path / "event.json").write_text(json.dumps({"document": "proof_of_amount", "reference": "dms/1"}))
    received = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    answer = await ask(
        *(where, "event", case, "add_document", "--event-id", "18", "--actor", "system:dms"),
        *("--file", str(tmp_path / "event.json"), "--field", f"received_at={received}"),
    )
    assert answer["refused"] == []
    assert answer["answer"]["case"] == case


async def test_an_operator_reports_with_a_token_and_under_no_other_name(world: World, where: Environment) -> None:
    """The token comes by the environment; without it nothing is kept, let alone delivered."""
    case = await opened(world, where)
    token = (await Operators(world.sessions, world.now).renew("op-6")).token
    words = ("event", case, "assign_case", "--event-id", "21", "--field", "handler=op-3")
    for environment, more, fault in (
        (where, ("--actor", "op-6"), "TERMINS_TOKEN is not set"),
        ({**where, "TERMINS_TOKEN": "who knows"}, ("--actor", "op-6"), "TERMINS_TOKEN is not known"),
        ({**where, "TERMINS_TOKEN": token}, ("--actor", "op-7"), "the token is that of op-6"),
    ):
        result = await cli(environment, *words, *more, code=1)
        assert fault in result.stderr
        assert token not in result.output
    assert not (await ask(where, "show", case))["events"]
    assert (await ask({**where, "TERMINS_TOKEN": token}, *words))["answer"]["entry"] == "assigned"
    assert (await world.timeline(case))[-1].actor == "op-6"


async def test_a_refused_event_names_every_fault(world: World, where: Environment) -> None:
    case = await opened(world, where)
    words = ("event", case, "assign_case", "--actor", "system:crm", "--event-id", "19", "--field", "colour=red")
    result = await cli(where, *words, code=1)
    for fault in ("handler", "colour"):
        assert fault in result.stdout
    result = await cli(where, "event", case, "no_such_update", "--actor", "system:crm", "--event-id", "20", code=1)
    assert "Traceback" not in result.output
    assert str(ROOT) not in result.output


async def test_an_event_for_no_case_and_a_word_that_is_missing(where: Environment) -> None:
    await cli(where, "event", "claim:BTA:NOBODY", "assign_case", "--event-id", "1", code=3)
    await cli(where, "event", "claim:BTA:NOBODY", "assign_case", code=2)
    await cli(where, "event", "claim:BTA:NOBODY", "assign_case", "--event-id", "1", "--field", "x", code=2)


# ---- list, show, explain --------------------------------------------------------------------------------------------


async def test_the_list_finds_what_is_overdue_by_the_ledger_and_nothing_else(world: World, where: Environment) -> None:
    """A claim complete 60 days ago is overdue; one complete an hour ago is not."""
    now = datetime.now(UTC)
    late, fresh = await complete(world, where, now - timedelta(days=60)), await complete(world, where, now)
    lines = {line["case"]: line for line in await ask(where, "list", "--overdue", "--limit", "0")}
    assert lines[late]["overdue"]
    assert lines[late]["next"]["duty"] == "BTA-10.5a"
    assert fresh not in lines
    soon = await ask(where, "list", "--due-before", f"{now:%Y-%m-%d}", "--limit", "0")
    assert late in [line["case"] for line in soon]
    assert fresh not in [line["case"] for line in soon]
    table = (await cli(where, "list", "--overdue", "--limit", "0")).stdout
    assert f"{late} " in table
    assert "OVERDUE BTA-10.5a" in table


async def test_the_filters_of_the_list_narrow_it(world: World, where: Environment) -> None:
    now = datetime.now(UTC)
    deciding, collecting = await complete(world, where, now), await opened(world, where)
    assigned = ("event", collecting, "assign_case", "--actor", "system:crm", "--field", "handler=op-7713")
    await cli(where, *assigned, "--event-id", "1")

    async def listed(*words: str) -> set[str]:
        return {line["case"] for line in await ask(where, "list", "--limit", "0", *words)}

    assert {deciding, collecting} <= await listed("--kind", "claim", "--organisation", "BTA")
    assert deciding in await listed("--duty", "BTA-10.5a")
    assert collecting not in await listed("--duty", "BTA-10.5a")
    assert collecting in await listed("--stage", "collecting")
    assert deciding not in await listed("--stage", "collecting")
    assert await listed("--handler", "op-7713") == {collecting}
    assert not {deciding, collecting} & await listed("--closed")
    assert {deciding, collecting} <= await listed("--all")
    result = await cli(where, "list", "--limit", "1", "--json")
    assert len(json.loads(result.stdout)) == 1
    assert "--limit 0 lists all" in result.stderr


@pytest.mark.parametrize(
    "words",
    [("--kind", "x"), ("--organisation", "T"), ("--duty", "BTA-99"), ("--due-before", "soon"), ("--limit", "-1")],
    ids=lambda words: words[0],
)
async def test_a_filter_that_nothing_can_meet_is_wrong_usage(where: Environment, words: tuple[str, str]) -> None:
    """A misspelt word must not read as an empty list."""
    await cli(where, "list", *words, code=2)


async def test_a_case_is_shown_without_personal_data_unless_asked_for(world: World, where: Environment) -> None:
    case = await complete(world, where, datetime.now(UTC))
    plain = (await cli(where, "show", case)).stdout + json.dumps(await ask(where, "show", case), ensure_ascii=False)
    for part in ("deciding", "BTA-10.5a", "received", "C1"):
        assert part in plain
    for secret in ("Bērziņa", "anna.berzina", "LV97", "Jumtu"):
        assert secret not in plain
    assert "Anna Bērziņa" in (await cli(where, "show", case, "--personal")).stdout


async def test_a_clock_is_explained_from_its_event_to_its_due_instant(world: World, where: Environment) -> None:
    received = datetime.now(UTC) - timedelta(minutes=3)
    case = await complete(world, where, received)
    clock = next(c for c in await ask(where, "explain", case) if c["duty"] == "BTA-10.5a")
    assert (clock["clause"], clock["status"], clock["overdue"]) == ("10.5", "running", False)
    assert clock["calendar_version"].startswith("LV ")
    event, last = date.fromisoformat(clock["event_day"]), date.fromisoformat(clock["last_day"])
    assert last - event == timedelta(days=30)
    assert date.fromisoformat(clock["counted_from"]) == event + timedelta(days=1)
    text = (await cli(where, "explain", case)).stdout
    for part in ("BTA-10.5a", "clause 10.5", "event day is not counted", "30 calendar days", "stops with: decision"):
        assert part in text
    assert clock["due_local"][4:14] == str(last + timedelta(days=1)), "midnight after the last day"


@pytest.mark.parametrize("command", ["show", "explain"])
async def test_a_case_that_is_not_there_is_not_found(where: Environment, command: str) -> None:
    assert "there is no case" in (await cli(where, command, "claim:BTA:NOBODY", code=3)).stderr


# ---- duties ---------------------------------------------------------------------------------------------------------


async def test_the_duty_list_is_the_register(tmp_path: Path) -> None:
    """Each id of the register once, under its own organisation, and no other; without any server."""
    found = await ask({"TERMINS_VAR": str(tmp_path)}, "duties")
    register = json.loads(REGISTER.read_text())
    assert sorted(d["id"] for d in found) == sorted(d["id"] for d in register)
    assert {(d["id"], d["organisation"], d["kind"], d["same_as"]) for d in found} == {
        (d["id"], d["organisation"], d["kind"], d["same_as"]) for d in register
    }
    breach = next(d for d in found if d["id"] == "DZ-17.2")
    assert breach["adopted_by"] == ["BL", "BTA", "GJ", "SE"]
    decide = next(d for d in found if d["id"] == "BTA-10.5a")
    assert (decide["amount"], decide["unit"], decide["evidence"]) == (30, "calendar_days", "decision")
    assert decide["title"]["lv"]
    assert {d["organisation"] for d in await ask({}, "duties", "--organisation", "SE")} == {"SE"}
    assert "DZ-17.2 (adopted)" in (await cli({}, "duties", "--organisation", "BL")).stdout
    await cli({}, "duties", "--organisation", "T", code=2)


# ---- running an installation ----------------------------------------------------------------------------------------


async def test_recount_makes_every_outdated_clock_count_anew(world: World, where: Environment) -> None:
    case = await complete(world, where, datetime.now(UTC))
    async with world.sessions() as session, session.begin():
        await session.exec(update(ClockRow).where(col(ClockRow.case) == case).values(rulebook_version="2020-01-01"))
    done = await ask(where, "recount", "--actor", "system:tests")
    assert done["cases"] >= 1
    assert done["targets"]["rulebook:BTA"] == book("BTA").version
    assert (await world.clock(case, "BTA-10.5a")).rulebook_version == book("BTA").version
    assert "0 cases counted anew" in (await cli(where, "recount")).stdout


async def test_recount_names_a_case_that_stands_still_and_does_not_wait_for_ever(
    world: World, where: Environment
) -> None:
    """Its run is gone: nobody hears the bell. The next recount, once it runs again, leaves nothing."""
    case = await complete(world, where, datetime.now(UTC))
    await world.handle(case).terminate()
    async with world.sessions() as session, session.begin():
        await session.exec(update(ClockRow).where(col(ClockRow.case) == case).values(rulebook_version="2020-01-01"))
    # the worker of the tests lives in the same process, and what it logs comes before
    left = json.loads((await cli(where, "recount", "--patience", "3", "--json", code=1)).stdout.splitlines()[-1])
    assert [(one["case"], one["stage"]) for one in left["left"]] == [(case, "deciding")]
    shown = await cli(where, "recount", "--patience", "1", code=1)
    assert "0 of 1 cases counted anew" in shown.stdout
    assert case in shown.stdout

    async def swept() -> bool:
        sweep = await world.client.start_workflow("Sweep", id=f"sweep-{uuid4()}", task_queue=TASK_QUEUE)
        return bool((await sweep.result())["restarted"])

    await world.until(swept, "the sweep starts it again")
    done = json.loads((await cli(where, "recount", "--json")).stdout.splitlines()[-1])
    assert (done["left"], done["counted"]) == ([], done["cases"])
    assert (await world.clock(case, "BTA-10.5a")).rulebook_version == book("BTA").version


@pytest.mark.parametrize("to", ["first", "last"])
async def test_a_reset_repeats_nothing_that_is_recorded(world: World, where: Environment, to: str) -> None:
    case = await complete(world, where, datetime.now(UTC))
    before = [(t.step, t.digest) for t in await world.timeline(case)]
    run = (await world.handle(case).describe()).run_id
    done = await ask(where, "reset", case, "--reason", "a new worker", "--to", to)
    assert done["run"] == (await world.handle(case).describe()).run_id != run
    await world.say(case, "assign_case", handler="op-4")
    assert [(t.step, t.digest) for t in await world.timeline(case)][: len(before)] == before
    assert not (await ask(where, "show", case))["head"]["diverged"]


async def test_a_reset_asks_for_a_case_and_a_reason(where: Environment) -> None:
    await cli(where, "reset", "claim:BTA:NOBODY", "--reason", "x", code=3)
    await cli(where, "reset", "claim:BTA:NOBODY", code=2)
    await cli(where, "reset", "claim:BTA:NOBODY", "--reason", " ", code=2)


async def test_setup_twice_is_as_once(world: World, where: Environment) -> None:
    try:
        await cli(where, "setup")
        assert "all there" in (await cli(where, "setup")).stdout
    finally:
        # other tests sweep when they want to
        await world.client.get_schedule_handle(SWEEP).delete()


async def test_load_takes_what_is_right_names_what_is_not_and_may_be_repeated(
    world: World, where: Environment, tmp_path: Path
) -> None:
    policy = {
        "policy": f"L-{uuid4().hex[:8]}",
        "organisation": "BTA",
        "policyholder": {"name": "SIA Kokapstrāde"},
        "insured": {"name": "SIA Kokapstrāde", "email": "birojs@kokapstrade.example", "language": "lv"},
        "starts_on": "2026-01-01",
        "ends_on": "2026-12-31",
        "terms": {"limit_per_occurrence": "10000.00", "limit_aggregate": "20000.00"},
    }
    client: dict[str, Any] = {
        "client": f"K-{uuid4().hex[:8]}",
        "organisation": "BL",
        "name": "SIA Ostas Noliktavas",
        "responsible": {"name": "Ilze Kalna", "email": "ilze@noliktavas.example"},
        "requesters": [{"name": "Ilze Kalna", "email": "ilze@noliktavas.example", "code": "K1"}],
    }
    path = tmp_path / "rows.json"
    faulty = {**policy, "policy": "no good", "ends_on": "2025-01-01", "terms": {}}
    path.write_text(json.dumps({"policies": [policy, faulty, {**policy, "organisation": "XX"}], "clients": [client]}))
    loaded = await ask(where, "load", str(path), code=1)
    assert (loaded["policies"], loaded["clients"]) == (1, 1)
    faults = "\n".join(loaded["faults"])
    for part in ("policies.1.policy", "policies.1.terms.limit_per_occurrence", "policies.2.organisation"):
        assert part in faults
    path.write_text(json.dumps({"policies": [policy], "clients": [client]}))
    assert (await ask(where, "load", str(path)))["faults"] == []
    other = {**client, "requesters": [{"name": "Ilze Kalna", "email": "ilze@noliktavas.example", "code": "K2"}]}
    path.write_text(json.dumps({"clients": [other]}))
    (fault,) = (await ask(where, "load", str(path), code=1))["faults"]
    assert fault.startswith("clients.0.requesters: differs from what is registered")
    path.write_text(json.dumps({"policies": [{**policy, "territory": "LT"}]}))
    (fault,) = (await ask(where, "load", str(path), code=1))["faults"]
    assert fault.startswith("policies.0.territory: differs from what is registered")
    async with world.sessions() as session:
        row = await session.get(PolicyRow, policy["policy"])
        assert row is not None
        assert (row.territory, row.starts_on, row.insured["name"]) == ("LV", date(2026, 1, 1), "SIA Kokapstrāde")
        found = (await session.exec(select(ClientRow).where(ClientRow.client == client["client"]))).one()
        assert found.requesters[0]["code"] == "K1"


async def test_a_store_that_does_not_answer_is_said_in_one_line(where: Environment, engine_down: Environment) -> None:
    """Exit code 4, and no stack of calls; where the engine is needed, the same for it."""
    store_down = {**where, "DATABASE_URL": "postgresql://nobody:secret-word@127.0.0.1:1/none"}
    claim = '{"kind": "claim", "organisation": "BTA"}'
    for words in (("list",), ("show", "claim:BTA:1"), ("explain", "claim:BTA:1"), ("file", "-")):
        result = await cli(store_down, *words, data=claim, code=4)
        assert "the store does not answer" in result.stderr
        assert "secret-word" not in result.output
    result = await cli(engine_down, "recount", code=4)
    assert "the engine at 127.0.0.1:1 does not answer" in result.stderr
    nothing = {
        "DATABASE_URL": "",
        "TERMINS_KEYS_DATABASE_URL": "",
        "TEMPORAL_ADDRESS": "",
        "TERMINS_VAR": where["TERMINS_VAR"],
    }
    assert "make demo" in (await cli(nothing, "list", code=4)).stderr


async def test_a_setting_that_cannot_be_meant_is_named_without_its_value(where: Environment) -> None:
    result = await cli({**where, "DATABASE_URL": "mysql://me:secret-word@x/y"}, "list", code=4)
    assert "PostgreSQL" in result.stderr
    assert "secret-word" not in result.output


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("systems",),
        ("processing", "SE"),
        ("erase", "claim:BTA:NOBODY"),
        ("reconcile", "--dry-run"),
        ("keys", "backup"),
        ("signature", "README.md"),
    ],
)
async def test_every_setting_that_cannot_be_meant_is_named_by_its_variable_and_nothing_else_is(
    where: Environment, words: tuple[str, ...]
) -> None:
    """A default that hangs on a faulty value was said to be a fault too; some commands showed a stack of calls."""
    result = await cli({**where, **FAULTY}, *words, code=4)
    assert result.stderr == FAULTS


@pytest.mark.parametrize("program", ["worker.py", "codec.py"])
async def test_a_server_that_cannot_begin_says_why_in_a_line(where: Environment, program: str) -> None:
    for more, said in (
        (FAULTY, FAULTS),
        ({"TERMINS_MASTER_KEY": "secret-word"}, "a master key is an id, a colon, and 32 bytes in URL-safe base64"),
        ({"DATABASE_URL": "", "TEMPORAL_ADDRESS": ""}, "no servers run for "),
        ({"DATABASE_URL": "", "TEMPORAL_ADDRESS": "", "TERMINS_CODEC_HTTP": "127.0.0.1:99999"}, "no servers run for "),
    ):
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, program],
            cwd=ROOT,
            env={**os.environ, **where, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "secret-word" not in done.stderr


async def test_where_nobody_watches_a_long_command_says_nothing_beside_its_result(
    world: World, where: Environment
) -> None:
    """A bar that had ended left an empty line in every log."""
    case = await opened(world, where)
    for words in (("check", case), ("recount", "--no-wait"), ("reconcile", case, "--dry-run")):
        assert not (await cli(where, *words)).stderr


# ---- words that nobody can mean --------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "2026-02-30", ""])
@pytest.mark.parametrize(
    "words",
    [
        ("late", "--since"),
        ("list", "--due-before"),
        ("storage", "--on"),
        ("compliance", "--until"),
        ("sign-in", "journal", "BL-0042", "--until"),
        ("sign-in", "remove", "BL", "--before"),
        ("policies", "show", "NOBODY", "--on"),
        ("erasures", "end", "privacy_request:GJ:NOBODY", "clinic:visits", "--until"),
    ],
)
async def test_a_day_that_no_zone_can_reckon_with_is_wrong_usage(
    where: Environment, words: tuple[str, ...], day: str
) -> None:
    """The ends of the calendar were a stack of calls, or a store that does not answer."""
    result = await cli(where, *words, day, code=2)
    assert "--" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-23T10:00", "x"])
@pytest.mark.parametrize(
    "words",
    [
        ("list", "--due-before"),
        ("policies", "show", "NOBODY", "--as-of"),
        ("policies", "object", "NOBODY", "--received-at"),
        ("erasures", "replay", "--since"),
    ],
)
async def test_an_instant_without_offset_or_beyond_all_zones_is_wrong_usage(
    where: Environment, words: tuple[str, ...], at: str
) -> None:
    assert "offset" in (await cli(where, *words, at, code=2)).stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("show",), 3),
        (("explain",), 3),
        (("reset", "--reason", "why"), 3),
        (("proof",), 3),
        (("erase",), 1),
        (("check",), 1),
        (("answer-password",), 1),
        (("event", "--event-id", "e-1", "--actor", "system:tests"), 3),
    ],
)
async def test_what_is_typed_for_a_case_is_not_repeated_if_it_can_be_a_person(
    where: Environment, words: tuple[str, ...], code: int
) -> None:
    name = ("add_document",) if words[0] == "event" else ()
    for typed in ("320505-10058", "claim:BTA:32050510058", "\x1b[31mx 320505-10058 " + "x" * 50_000):
        result = await cli(where, words[0], typed, *name, *words[1:], code=code)
        assert "personal code" in result.output
        assert "10058" not in result.output
        assert "\x1b" not in result.output
        assert len(result.output) < 5000


@pytest.mark.parametrize(
    "words",
    [("show", "a\udcff"), ("list", "--stage", "a\udcff"), ("access", "--client", "a\udcff"), ("check", "a\udcff")],
)
async def test_half_a_character_is_no_store_that_does_not_answer(where: Environment, words: tuple[str, ...]) -> None:
    """A shell passes on what is no UTF-8; an alarm about the store would send somebody to the wrong place."""
    assert "half a character" in (await cli(where, *words, code=1)).stderr


async def test_a_case_that_nobody_knows_is_not_reconciled(world: World, where: Environment) -> None:
    """A misspelt name was "0 cases compared, nothing is left to do", and success."""
    case = await opened(world, where)
    result = await cli(where, "reconcile", "--dry-run", case, "claim:BTA:NOBODY", code=3)
    assert result.stderr == "neither store nor engine has a case claim:BTA:NOBODY\n"
    assert not result.stdout
    assert "1 cases compared" in (await cli(where, "reconcile", "--dry-run", case)).stdout


async def test_erasures_of_no_request_and_of_a_day_to_come_are_wrong_usage(where: Environment) -> None:
    """Both were answered as if nothing had to be done."""
    for case in ("claim:BTA:2026-1", "privacy_request", "privacy_request:GJ:", "x"):
        assert "--case: a privacy request" in (await cli(where, "erasures", "list", "--case", case, code=2)).stderr
    assert (await cli(where, "erasures", "list", "--case", "privacy_request:GJ:NOBODY")).stdout
    result = await cli(where, "erasures", "replay", "--since", "2099-01-01T00:00+02:00", code=2)
    assert "lies in the future" in result.stderr


async def test_a_field_that_is_none_is_not_repeated(where: Environment) -> None:
    words = ("event", "claim:BTA:NOBODY", "add_document", "--event-id", "e-1", "--field", "Anna Bērziņa")
    assert "Anna" not in (await cli(where, *words, code=2)).output


@pytest.mark.parametrize("actor", ["op-999", "Anna", "", "system:", "system:Anna Bērziņa", "system:" + "x" * 99])
async def test_nobody_asks_for_a_recount_under_a_name_that_is_not_theirs(where: Environment, actor: str) -> None:
    """What was said became who set the target: anybody, with any text."""
    result = await cli(where, "recount", "--no-wait", "--actor", actor, code=1)
    assert result.stderr.startswith("actor: ")
    assert "Anna" not in result.output


@pytest.mark.parametrize("limit", ["1.234", "-5.00", "1e3", "NaN", "Infinity", "", "١٢.٥٠", "5 000"])
async def test_a_limit_is_an_amount_in_cents(where: Environment, limit: str) -> None:
    words = ("operator", "add", f"op-{uuid4().hex[:8]}", "--organisation", "BTA", "--role", "approve")
    assert "--limit: an amount in EUR" in (await cli(where, *words, f"--limit={limit}", code=2)).stderr


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b"{}", b"[]", b'"x"', b"null\n7"])
async def test_a_file_that_is_no_backup_brings_no_keys_back(where: Environment, tmp_path: Path, content: bytes) -> None:
    """An empty one was a success: nothing was brought back, and everybody thought that it was."""
    file = tmp_path / "keys.json"
    file.write_bytes(content)
    result = await cli(where, "keys", "restore", str(file), code=1)
    assert "it is no backup of keys" in result.stderr.splitlines()[0].replace("so ", "")
    assert "No such file" in (await cli(where, "keys", "restore", str(tmp_path / "nothing"), code=1)).stderr


async def test_a_fault_of_a_whole_object_names_no_field(where: Environment) -> None:
    assert (await cli(where, "settle", data="7", code=2)).stderr == "a JSON object is needed\n"


# ---- for other Python code ------------------------------------------------------------------------------------------


async def test_other_python_code_files_and_reports(
    world: World, where: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in where.items():
        monkeypatch.setenv(name, value)
    filed = await starter.submit(await filing(world))
    await world.stage(filed.case, "collecting")
    delivered = await starter.submit_event(filed.case, "1", "assign_case", {"actor": "system:crm", "handler": "op-2"})
    assert delivered.answer is not None


def test_what_others_wrote_commands_no_terminal() -> None:
    """Colours pass; a title, a cleared screen, a carriage return and a turned direction become marks."""
    wire = BytesIO()
    screen = starter.Screen(wire, encoding="utf-8")
    screen.write("\x1b[1mName\x1b[0m\tAnna\x1b]0;x\x07 \x1b[2J\r\u202e\n")
    screen.flush()
    assert wire.getvalue().decode() == "\x1b[1mName\x1b[0m\tAnna\ufffd]0;x\ufffd \ufffd[2J\ufffd\ufffd\n"
