"""An SQL database as a data system: what it finds of a person among a hundred thousand, hands out, erases and marks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from integrations.data_systems import DatasetFaults, Subject, SystemDown
from integrations.sql_system import OTHERS, SqlSystem, described
from models.settlement import Label
from operations.local import Postgres
from tests import clinic
from tests.world import RIGA

AT = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
PEOPLE = 100_000
AES = {"strategy": "aes"}
TITLE = Label(lv="Klīnika", lt="Klinika", en="Clinic")


class Crash(Exception):
    """The process died here."""


@pytest.fixture(scope="module")
async def engine(postgres: Postgres) -> AsyncIterator[AsyncEngine]:
    """The clinic's database with all its people."""
    await postgres.create_database("clinic")
    engine = create_async_engine(postgres.url("clinic"))
    await clinic.make(engine, PEOPLE)
    yield engine
    await engine.dispose()


@pytest.fixture
def system(engine: AsyncEngine) -> SqlSystem:
    """The database, as its dataset file describes it."""
    return of(engine)


def of(engine: AsyncEngine, **more: Any) -> SqlSystem:
    return SqlSystem("clinic", TITLE, ("SE",), engine, described(clinic.DATASET), more.get("restricted", "restricted"))


def person(n: int) -> Subject:
    """The clinic's n-th patient, with the code as an identity document spells it."""
    code = f"{n:06d}-2{n % 10000:04d}"
    return Subject(name=f"Vārds{n} Uzvārds{n}ska", personal_code=code, email=f"pacients.{n}@example.lv")


def traces(n: int) -> tuple[str, ...]:
    plain = person(n).personal_code.replace("-", "")
    address = (f"pacients.{n}@", f"Pacients.{n}@")
    return (f"Vārds{n} ", f"Uzvārds{n}ska", f"zvards{n}ska", *address, person(n).personal_code, plain)


async def held(system: SqlSystem, who: Subject) -> dict[str, int]:
    return {f.record.partition(":")[2]: f.rows for f in await system.locate("SE", who, AT)}


async def erase_all(system: SqlSystem, who: Subject, *keep: str) -> list[str]:
    """Erase as a request does: in the order in which the records were told; what refused."""
    found = [f.record for f in await system.locate("SE", who, AT)]
    return [r for r in found if r not in keep and not await system.erase(who, r, AT)]


async def run(engine: AsyncEngine, sql: str, **values: Any) -> Any:
    async with engine.begin() as connection:
        return await connection.execute(text(sql), values)


async def test_a_person_is_found_wherever_references_lead_and_under_two_spellings(system: SqlSystem) -> None:
    """The booking spells name and code otherwise, the newsletter the address; the rest hangs on the patient."""
    assert await held(system, person(21)) == {
        "calls": 1,
        "diagnoses": 1,
        "images": 1,
        "invoices": 1,
        "newsletter": 1,
        "patients": 1,
        "payments": 1,
        "plan_steps": 2,
        "quotes": 1,
        "reminders": 1,
        "treatment_plans": 1,
        "visits": 1,
        "web_bookings": 1,
        "consents": 1,
    }


async def test_another_controller_holds_nothing_there(system: SqlSystem) -> None:
    assert await system.locate("GJ", person(21), AT) == ()


async def test_who_shares_an_address_is_somebody_else(engine: AsyncEngine, system: SqlSystem) -> None:
    """A mother's address stands at her child's record, which has a code of its own; a walk-in has none."""
    child = "UPDATE clinic.patients SET email = 'pacients.31@example.lv', guardian_id = 31 WHERE id = 32"
    walk_in = "UPDATE clinic.patients SET email = 'PACIENTS.31@example.lv', personal_code = NULL WHERE id = 33"
    await run(engine, child)
    await run(engine, walk_in)
    assert (await held(system, person(31)))["patients"] == 2
    copy = await system.export(person(31), "clinic:patients")
    assert [row["id"] for row in copy["rows"]] == [31, 33]


async def test_a_copy_has_what_is_described_and_masks_who_treated(system: SqlSystem) -> None:
    (visit,) = (await system.export(person(41), "clinic:visits"))["rows"]
    assert visit["doctor_name"] == OTHERS
    assert visit["complaint"] == "Sāp zobs Nr. 41"
    (invoice,) = (await system.export(person(41), "clinic:invoices"))["rows"]
    assert (invoice["total"], invoice["issued_on"]) == ("45.00", "2020-01-03")
    (call,) = (await system.export(person(41), "clinic:calls"))["rows"]
    assert call["recording"] == "1 bytes"


async def test_nothing_of_an_erased_person_is_left_anywhere(engine: AsyncEngine, system: SqlSystem) -> None:
    """Searched for in every column of every table, without the description. The neighbour keeps everything."""
    before = await held(system, person(62))
    assert await clinic.everywhere(engine, *traces(61)) >= {"patients", "web_bookings", "images"}
    assert await erase_all(system, person(61)) == []
    assert await clinic.everywhere(engine, *traces(61)) == set()
    assert await held(system, person(61)) == {}
    assert await held(system, person(62)) == before
    accounts = "SELECT number, total, buyer FROM clinic.invoices WHERE patient_id = 61"
    assert (await run(engine, accounts)).one() == ("SE-61", 45, "dzēsts"), "the books stay, without the name"


async def test_an_erasure_that_dies_at_any_statement_is_ended_by_the_next(
    engine: AsyncEngine, postgres: Postgres
) -> None:
    died_at, n = 0, 10_000
    while True:
        n += 2
        dying = create_async_engine(postgres.url("clinic"))
        left = [died_at]

        def die(_c: Any, _u: Any, statement: str, *_: Any, left: list[int] = left) -> None:
            if statement.startswith(("UPDATE", "DELETE")):
                left[0] -= 1
                if left[0] < 0:
                    raise Crash

        event.listen(dying.sync_engine, "after_cursor_execute", die)
        try:
            await erase_all(of(dying), person(n + 1))
        except Crash:
            died = True
        else:
            died = False
        await dying.dispose()
        assert await erase_all(of(engine), person(n + 1)) == []
        assert await held(of(engine), person(n + 1)) == {}
        if not died:
            break
        died_at += 1
    assert died_at > 10, "every statement that writes had its death"
    assert await clinic.everywhere(engine, *traces(n + 1)) == set()


async def test_what_leads_to_something_kept_is_kept_with_it_and_both_are_marked(
    engine: AsyncEngine, system: SqlSystem
) -> None:
    """Visits are kept by a legal duty. Who they belong to is needed to find them when their term is over."""
    assert await erase_all(system, person(81), "clinic:visits") == ["clinic:patients"]
    assert await held(system, person(81)) == {"visits": 1, "patients": 1}
    both = ("clinic:visits", "clinic:patients")
    for by in (None, "privacy_request:SE:7"):
        assert [await system.restrict(person(81), record, "legal_duty", by) for record in both] == [True, True]
    marks = "SELECT p.restricted, v.restricted FROM clinic.patients p JOIN clinic.visits v ON v.patient_id = p.id"
    every = "legal_duty privacy_request:SE:7"
    assert (await run(engine, f"{marks} WHERE p.id = 81")).one() == (every, every)
    assert await system.restrict(person(81), "clinic:invoices", "legal_duty") is False, (
        "a table that has no column for it"
    )
    assert await system.restrict(person(81), "claim:SE:1", "legal_duty") is False, "a record of another system"
    assert [await system.release(person(81), record, "privacy_request:SE:7") for record in both] == [True, True]
    assert (await run(engine, f"{marks} WHERE p.id = 81")).one() == ("legal_duty", "legal_duty")
    assert await erase_all(system, person(81)) == []


async def test_a_database_that_is_down_is_named_without_a_person(postgres: Postgres) -> None:
    nowhere = create_async_engine(postgres.url("no_such_database"))
    with pytest.raises(SystemDown, match=r"^clinic does not answer: \w+$"):
        await of(nowhere).locate("SE", person(1), AT)


async def test_a_database_that_is_not_as_described_is_told_column_by_column(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    dataset = yaml.safe_load(clinic.DATASET.read_text())
    collections = {c["name"]: c for c in dataset["dataset"][0]["collections"]}
    fields = {f["name"]: f for f in collections["patients"]["fields"]}
    del fields["first_name"]["fides_meta"]["masking_strategy_override"]
    fields["born_on"]["fides_meta"] = {
        "masking_strategy_override": {"strategy": "string_rewrite", "configuration": {"rewrite_value": "never"}}
    }
    fields["phone"]["fides_meta"] = {"masking_strategy_override": {"strategy": "random_string_rewrite"}}
    collections["patients"]["fields"] = [f for f in fields.values() if f["name"] != "address"]
    collections["images"]["name"] = "pictures"
    path = tmp_path / "other.yml"
    path.write_text(yaml.safe_dump(dataset))
    system = SqlSystem("clinic", TITLE, ("SE",), engine, described(path), "restricted")
    with pytest.raises(DatasetFaults) as faults:
        await system.check()
    assert set(faults.value.faults) == {
        "pictures: there is no such table",
        "patients.first_name: cannot be emptied: say which text takes its place",
        "patients.born_on: takes no text: it can only be emptied",
        "patients.phone: its mask has 23 characters, the column 20",
        "patients.address: not described: say whether it is personal",
    }
    with pytest.raises(SystemDown, match="clinic is not as its dataset file says"):
        await system.locate("SE", person(1), AT)


def field(name: str, **meta: Any) -> dict[str, Any]:
    return {"name": name, "data_categories": ["user.name"], "fides_meta": meta}


def refers(dataset: str, to: str) -> dict[str, str]:
    return {"dataset": dataset, "field": to, "direction": "from"}


def test_a_dataset_file_that_asks_for_what_cannot_be_done_is_answered_with_every_fault(tmp_path: Path) -> None:
    key = {"name": "id", "fides_meta": {"primary_key": True}}
    path = tmp_path / "bad.yml"
    wrong = [
        {
            "name": "a",
            "fields": [field("name", identity="shoe_size"), field("b", masking_strategy_override={"strategy": "aes"})],
        },
        {
            "name": "b",
            "fields": [key, field("c", references=[{"dataset": "other", "field": "x.y", "direction": "from"}])],
        },
        {"name": "c", "fields": [key, field("d", references=[{"dataset": "d", "field": "z.id", "direction": "from"}])]},
    ]
    path.write_text(yaml.safe_dump({"dataset": [{"fides_key": "d", "collections": wrong}]}))
    with pytest.raises(DatasetFaults) as faults:
        described(path)
    assert set(faults.value.faults) == {
        "a.name: identity shoe_size: known are personal_code, email",
        "a.b: masking strategy aes: known are null_rewrite, string_rewrite, random_string_rewrite",
        "a: no field is its primary_key",
        "b.c: references: other is another dataset: only its own can be followed",
        "references: there is no z.id",
        "no field is an identity: personal_code, email",
    }


def test_a_collection_that_nothing_leads_to_and_a_circle_are_faults(tmp_path: Path) -> None:
    path = tmp_path / "circle.yml"
    key = {"name": "id", "fides_meta": {"primary_key": True}}

    def up(to: str) -> dict[str, Any]:
        return field("up", references=[refers("d", f"{to}.id")])

    tables = [
        {"name": "a", "fields": [key, field("code", identity="personal_code"), up("b")]},
        {"name": "b", "fields": [key, up("a")]},
        {"name": "alone", "fields": [key]},
    ]
    path.write_text(yaml.safe_dump({"dataset": [{"fides_key": "d", "collections": tables}]}))
    with pytest.raises(DatasetFaults) as faults:
        described(path)
    first, second = faults.value.faults
    assert first == "alone: no identity or reference leads to it"
    assert second.startswith("the order of erasure goes in a circle: ")


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("{", "is no YAML"),
        ("[]", "has to hold one `dataset`"),
        ("dataset: [{fides_key: d}]", "collections: Field required"),
    ],
)
def test_a_file_that_is_no_dataset_says_so(tmp_path: Path, written: str, fault: str) -> None:
    path = tmp_path / "d.yml"
    path.write_text(written)
    with pytest.raises(DatasetFaults, match=fault):
        described(path)
    with pytest.raises(DatasetFaults, match="cannot be read"):
        described(tmp_path / "none.yml")
