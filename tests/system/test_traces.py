"""A person in four systems, spelled in two ways and somebody else's representative: after the erasure no trace is left.

The search is an independent one: it knows no table, no description and no record, only the bytes of every database,
history and file.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from integrations.data_systems import Subject, SystemDown
from integrations.http_system import HttpSystem
from integrations.sql_system import SqlSystem, described
from models.settlement import Label
from operations import kept, storage
from operations.local import Postgres
from tests import clinic
from tests.conftest import make_world, virtual_temporal
from tests.replay.history import opened as in_clear
from tests.security.search import Search
from tests.workflows.test_privacy_request import MONDAY, file, hits, identify, person
from tests.world import World

TITLE = Label(lv="Sistēma", lt="Sistema", en="System")
DATABASES = ("traces_clinic", "traces_branch")


class Calls:
    """Recordings of calls, behind an interface of their own."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Any]] = {}

    async def answer(self, request: web.Request) -> web.Response:
        """As docs/data-systems.md says."""
        asked = await request.json()
        code = asked["person"]["personal_code"].replace("-", "")
        theirs = [record for record, one in self.held.items() if one["code"].replace("-", "") == code]
        match request.match_info["question"]:
            case "locate":
                return web.json_response({"records": [{"record": record, "rows": 1} for record in theirs]})
            case "export":
                return web.json_response(self.held[asked["record"]])
            case "erase":
                self.held.pop(asked["record"], None)
        return web.json_response({"done": True})


class Branch(SqlSystem):
    """A branch's database, which dies in the middle of the first erasure."""

    deaths = 1

    async def erase(self, person: Subject, record: str, at: Any) -> bool:
        if record.startswith("branch:") and self.deaths:
            self.deaths -= 1
            await super().erase(person, record, at)
            raise SystemDown("branch does not answer")
        return await super().erase(person, record, at)


class House:
    """The world with its three other systems."""

    def __init__(self, world: World, postgres: Postgres, engines: dict[str, AsyncEngine], calls: Calls) -> None:
        self.world = world
        self.postgres = postgres
        self.engines = engines
        self.calls = calls

    async def traces(self, texts: Iterable[str]) -> set[str]:
        """Where one of these stands: databases, histories (also opened), files, calls.

        In any case of letters, and in the usual encodings: within JSON, base64, UTF-16, compressed.
        """
        wanted = tuple(texts)
        any_of, forms = re.compile("|".join(re.escape(text.casefold()) for text in wanted)), Search(wanted)

        def stands(data: bytes) -> bool:
            return bool(any_of.search(data.decode("utf-8", "replace").casefold()) or forms.within(data))

        found = {name for name in (*DATABASES, "traces", "traces_keys") if stands(await self._dump(name))}
        found |= {table for table, row in await self.world.everything_stored() if stands(str(row).encode())}
        async for run in self.world.client.list_workflows():
            history = (await self.world.client.get_workflow_handle(run.id).fetch_history()).to_json()
            if stands(f"{history}{await self._told(run.id)}".encode()):
                found.add(f"history {run.id}")
        # what the carrier of letters has taken has left the house
        files = [path for path in self.world.var.rglob("*") if path.is_file() and "mail" not in path.parts]
        found |= {path.name for path in files if stands(path.read_bytes())}
        if stands(str(self.calls.held).encode()):
            found.add("calls")
        return found

    async def night(self) -> None:
        """The run over the storage terms."""
        world = self.world
        n = await storage.begin(world.sessions, "traces", world.now)
        backups = world.var / "backups"
        while True:
            if await storage.step(world.sessions, world.keyring, backups, world.now, n):
                continue
            if not await kept.nobody_left(world.sessions, world.keyring, n):
                break
        await storage.end(world.sessions, world.now, n)

    async def _told(self, case: str) -> str:
        """What a history says to whoever has its key; nothing more, once that is destroyed."""
        client = self.world.client
        fetched = await client.get_workflow_handle(case).fetch_history()
        opened = await in_clear(fetched, client.data_converter, client.namespace)
        return await self.world.everything_told(case) if opened is not None else ""

    async def _dump(self, database: str) -> bytes:
        url = make_url(self.postgres.url())
        where = ("--host", str(url.query["host"]), "--username", str(url.username))
        process = await asyncio.create_subprocess_exec(
            str(Path(self.postgres._programs) / "pg_dump"), *where, database, stdout=asyncio.subprocess.PIPE
        )
        dump, _ = await process.communicate()
        assert process.returncode == 0
        return dump


@pytest.fixture
async def house(postgres: Postgres) -> AsyncIterator[House]:
    """Own store, two databases and an interface, all of one controller."""
    engines = {}
    for name in DATABASES:
        await postgres.create_database(name)
        engines[name] = create_async_engine(postgres.url(name))
        await clinic.make(engines[name], 30)
    calls = Calls()
    app = web.Application()
    app.router.add_post("/privacy/{question}", calls.answer)
    description = described(clinic.DATASET)
    async with TestServer(app) as server, await virtual_temporal() as environment:
        systems = (
            SqlSystem("clinic", TITLE, ("GJ",), engines["traces_clinic"], description, "restricted"),
            Branch("branch", TITLE, ("GJ",), engines["traces_branch"], description, "restricted"),
            HttpSystem("calls", TITLE, ("GJ",), str(server.make_url("/privacy")), "a-token"),
        )
        async with make_world(postgres, environment, "traces", systems=systems) as world:
            yield House(world, postgres, engines, calls)
    for engine in engines.values():
        await engine.dispose()


async def test_after_the_erasure_an_independent_search_finds_nothing_anywhere(house: House) -> None:
    """A system dies in the middle. The person whom they represented keeps their request, and all the others too."""
    world, who = house.world, {**person(), "name": "Šarlote Ķirķe-Zvirbule", "personal_code": "311299-19876"}
    plain = who["personal_code"].replace("-", "")
    spelled = {**who, "name": "Sarlote Kirke-Zvirbule", "personal_code": plain}
    texts = [who["name"], spelled["name"], who["personal_code"], plain, who["email"]]
    await world.begin(MONDAY)
    for n, engine in enumerate(house.engines.values()):
        async with engine.begin() as connection:
            await connection.exec_driver_sql(
                "UPDATE clinic.patients SET personal_code = $1, last_name = $2, email = $3 WHERE id = 7",
                ((who["personal_code"], plain)[n], (who["name"], spelled["name"])[n], who["email"]),
            )
    house.calls.held["C7"] = {"code": plain, "said": f"{spelled['name']} zvanīja"}
    ward = person()
    represented = await file(
        world,
        "GJ",
        "access",
        who=ward,
        representative={"name": spelled["name"], "proof": f"įgaliojimas, a. k. {who['personal_code']}"},
    )
    former = await file(world, "GJ", "access", who=spelled)
    for case in (represented, former):
        await world.stage(case, "identifying")
        if case == former:
            await world.say(case, "correct_address", party="subject", email=who["email"])
        await world.say(case, "withdraw_request", withdrawn_at=MONDAY.isoformat(), document="dms/w")
        await world.stage(case, "closed")
    before = await house.traces(texts)
    assert {"calls", *DATABASES, "intake", "party", f"history {former}"} <= before, "the search finds what is there"
    case = await file(world, "GJ", "erasure", who=who)
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY)
    await world.stage(case, "assessing")
    await world.say(case, "assess_right", right="erasure", outcome="fulfilled")
    await world.stage(case, "resting")
    await world.advance(case, MONDAY + timedelta(days=9))
    await world.stage(case, "closed")
    assert await house.traces(texts) == {f"history {former}"}, "what people wrote to a case goes with its key"
    await house.night()
    assert await house.traces(texts) == set()
    assert represented in await hits(world, ward)
    async with house.engines["traces_clinic"].connect() as connection:
        others = await connection.exec_driver_sql(
            "SELECT count(*) FROM clinic.patients WHERE personal_code IS NOT NULL"
        )
        assert others.scalar_one() == 29  # of thirty
