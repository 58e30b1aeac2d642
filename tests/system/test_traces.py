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
from operations.local import Postgres
from tests import clinic
from tests.conftest import make_world, virtual_temporal
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
        """Where one of these stands, in any case of letters: databases, histories (also opened), files, calls."""
        any_of = re.compile("|".join(re.escape(text.casefold()) for text in texts))
        found = {name for name in (*DATABASES, "traces", "traces_keys") if any_of.search(await self._dump(name))}
        found |= {table for table, row in await self.world.everything_stored() if any_of.search(str(row).casefold())}
        async for run in self.world.client.list_workflows():
            history = (await self.world.client.get_workflow_handle(run.id).fetch_history()).to_json()
            if any_of.search(f"{history}{await self.world.everything_told(run.id)}".casefold()):
                found.add(f"history {run.id}")
        # what the carrier of letters has taken has left the house
        files = [path for path in self.world.var.rglob("*") if path.is_file() and "mail" not in path.parts]
        found |= {path.name for path in files if any_of.search(path.read_bytes().decode("utf-8", "replace").casefold())}
        if any_of.search(str(self.calls.held).casefold()):
            found.add("calls")
        return found

    async def _dump(self, database: str) -> str:
        url = make_url(self.postgres.url())
        where = ("--host", str(url.query["host"]), "--username", str(url.username))
        process = await asyncio.create_subprocess_exec(
            str(Path(self.postgres._programs) / "pg_dump"), *where, database, stdout=asyncio.subprocess.PIPE
        )
        dump, _ = await process.communicate()
        assert process.returncode == 0
        return dump.decode("utf-8", "replace").casefold()


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
        await world.say(case, "withdraw_request", withdrawn_at=MONDAY.isoformat(), document="dms/w")
        await world.stage(case, "closed")
    before = await house.traces(texts)
    assert {"calls", *DATABASES} <= before
    case = await file(world, "GJ", "erasure", who=who)
    await world.stage(case, "identifying")
    await identify(world, case, MONDAY)
    await world.stage(case, "assessing")
    await world.say(case, "assess_right", right="erasure", outcome="fulfilled")
    await world.stage(case, "resting")
    await world.advance(case, MONDAY + timedelta(days=9))
    await world.stage(case, "closed")
    assert await house.traces(texts) == set()
    assert represented in await hits(world, ward)
    async with house.engines["traces_clinic"].connect() as connection:
        others = await connection.exec_driver_sql(
            "SELECT count(*) FROM clinic.patients WHERE personal_code IS NOT NULL"
        )
        assert others.scalar_one() == 29  # of thirty
