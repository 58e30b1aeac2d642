"""Data systems beside the own store: how an installation names them, and a person's erasure from two databases."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from temporalio.exceptions import ApplicationError
from typer.testing import CliRunner

from activities.privacy import PrivacyActivities
from integrations.data_systems import DataSystem, Subject
from models.privacy import PrivacyWork
from models.tables import ArchiveRow
from operations.data_systems import ConfigurationFaults, check, people, systems
from operations.local import Postgres
from operations.own_store import OwnStore
from settings import Settings
from starter import app
from tests import clinic
from tests.activities.test_privacy import AT, Person, request
from tests.world import World

SYSTEM = """
[[system]]
name = "clinic"
kind = "sql"
title = {{ lv = "Klīnika", lt = "Klinika", en = "Clinic" }}
organisations = ["GJ"]
address = "CLINIC_DATABASE"
dataset = "{dataset}"
restricted = "restricted"

[[system]]
name = "branch"
kind = "sql"
title = {{ lv = "Filiāle", lt = "Filialas", en = "Branch" }}
organisations = ["GJ"]
address = "BRANCH_DATABASE"
dataset = "{dataset}"
restricted = "restricted"
"""


@pytest.fixture(scope="module")
async def engines(postgres: Postgres) -> AsyncIterator[dict[str, AsyncEngine]]:
    """Two databases of a controller, side by side."""
    engines = {}
    for name in ("clinic_house", "branch_house"):
        await postgres.create_database(name)
        engines[name] = create_async_engine(postgres.url(name))
        await clinic.make(engines[name], 50)
    yield engines
    for engine in engines.values():
        await engine.dispose()


@pytest.fixture
def settings(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation that names both."""
    file = tmp_path / "systems.toml"
    file.write_text(SYSTEM.format(dataset=clinic.DATASET))
    monkeypatch.setenv("CLINIC_DATABASE", postgres.url("clinic_house"))
    monkeypatch.setenv("BRANCH_DATABASE", postgres.url("branch_house"))
    monkeypatch.setenv("TERMINS_DATA_SYSTEMS", str(file))
    return Settings()


async def enrol(engine: AsyncEngine, who: Person, n: int) -> None:
    """Let the n-th patient be this person, with a visit."""
    plain = who.code.replace("-", "")
    async with engine.begin() as connection:
        await connection.exec_driver_sql(
            "UPDATE clinic.patients SET personal_code = $1, last_name = $2, email = $3 WHERE id = $4",
            (plain, who.name, who.email, n),
        )


async def test_a_person_is_gathered_and_erased_from_all_of_them_side_by_side(
    world: World, settings: Settings, engines: dict[str, AsyncEngine]
) -> None:
    """What stays is kept on a ground and marked. Nothing of the person is left in the branch."""
    await world.begin(AT)
    who = Person()
    for engine in engines.values():
        await enrol(engine, who, 7)
    case = await request(world, who, outcome="in_part", keep=("clinic:visits",), ground="legal_claim")
    every: tuple[DataSystem, ...] = (OwnStore(world.sessions, world.keyring), *systems(settings))
    activities = PrivacyActivities(world.sessions, every, world.now)
    gathered = await activities.gather(PrivacyWork(case=case))
    held = {s.system: s.held for s in gathered.systems}
    assert held["clinic"] == held["branch"] > 5
    async with world.sessions() as session:
        archive = await session.get_one(ArchiveRow, case)
    page = archive.systems["files"]["personal-data.html"]["text"]
    assert "Sāp zobs Nr. 7" in page
    assert "Zobārste" not in page, "who treated is masked"
    erased = await activities.erase(PrivacyWork(case=case))
    assert erased.kept == {"clinic:visits": "legal_claim", "clinic:patients": "legal_claim"}
    assert erased.unmarked == ()
    assert await activities.erase(PrivacyWork(case=case)) == erased
    person = Subject(name=who.name, personal_code=who.code, email=who.email)
    left = {f.record for system in every[1:] for f in await system.locate("GJ", person, AT)}
    assert left == {"clinic:visits", "clinic:patients"}
    assert await clinic.everywhere(engines["branch_house"], *who.traces[:-1]) == set()


async def test_one_that_is_down_is_named_and_nothing_is_answered_without_it(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch, postgres: Postgres
) -> None:
    await world.begin(AT)
    monkeypatch.setenv("BRANCH_DATABASE", postgres.url("nowhere"))
    case = await request(world, Person(), outcome="fulfilled")
    every: tuple[DataSystem, ...] = (OwnStore(world.sessions, world.keyring), *systems(settings))
    activities = PrivacyActivities(world.sessions, every, world.now)
    for ask in (activities.gather, activities.erase):
        with pytest.raises(ApplicationError, match="data system branch does not answer") as down:
            await ask(PrivacyWork(case=case))
        assert not down.value.non_retryable
    async with world.sessions() as session:
        assert await session.get(ArchiveRow, case) is None


@pytest.mark.usefixtures("engines")
async def test_they_are_checked_without_asking_about_anybody(settings: Settings) -> None:
    assert [(s.system, s.faults) for s in await check(settings)] == [("clinic", ()), ("branch", ())]


PERSON = """
[[system]]
name = "archive"
kind = "person"
title = { lv = "Papīra arhīvs", lt = "Popierinis archyvas", en = "Paper archive" }
organisations = ["SE", "DZ"]
holder = "records_keeper"
holds = "patients' cards on paper"
safeguards = { lv = "standartklauzulas", lt = "standartinės sąlygos", en = "standard contractual clauses" }
"""


async def test_a_person_is_named_in_the_file_and_is_no_machine_to_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paper unless it says otherwise; listed with the others, never asked by the check."""
    file = tmp_path / "systems.toml"
    file.write_text(PERSON)
    monkeypatch.setenv("TERMINS_DATA_SYSTEMS", str(file))
    (archive,) = people(Settings())
    assert (archive.name, archive.holder, archive.medium) == ("archive", "records_keeper", "paper")
    assert archive.safeguards is not None
    assert systems(Settings()) == ()
    assert [(s.system, s.kind, s.faults) for s in await check(Settings())] == [("archive", "person", ())]
    file.write_text(PERSON.replace("records_keeper", "Anna Bērziņa").replace('["SE", "DZ"]', "[]"))
    with pytest.raises(ConfigurationFaults) as faults:
        people(Settings())
    assert {f.split(":")[0] for f in faults.value.faults} == {"system.0.person.holder", "system.0.person.organisations"}


def test_without_a_file_there_is_no_other_system() -> None:
    assert systems(Settings()) == ()


@pytest.mark.usefixtures("settings")
def test_a_file_with_faults_is_answered_with_all_of_them(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BRANCH_DATABASE")
    assert settings.data_systems is not None
    with settings.data_systems.open("a") as file:
        file.write('[[system]]\nname = "Two words"\nkind = "sql"\n')
        file.write('[[system]]\nname = "clinic"\nkind = "http"\ntoken = "T"\nurl = "http://elsewhere.example"\n')
        file.write('title = { lv = "a", lt = "b", en = "c" }\norganisations = ["GJ"]\n')
    monkeypatch.setenv("T", "t")
    with pytest.raises(ConfigurationFaults) as faults:
        systems(settings)
    assert faults.value.faults[0] == "branch: BRANCH_DATABASE: neither a variable nor a file among the secrets"
    assert {f.split(":")[0] for f in faults.value.faults[1:-2]} == {
        f"system.2.sql.{name}" for name in ("name", "title", "organisations", "address", "dataset")
    }
    assert faults.value.faults[-2:] == (
        "system.3.name: clinic is taken",
        "clinic: personal data leave this machine by https only",
    )
    told = CliRunner().invoke(app, ["systems", "--json"])
    assert told.exit_code == 4
    assert json.loads(told.stdout or told.stderr)["faults"] == list(faults.value.faults)
