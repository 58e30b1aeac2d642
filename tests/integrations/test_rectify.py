"""Rectification in a database by the data categories of its file, and in a system that answers by HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from integrations.data_systems import Subject, SystemDown
from integrations.http_system import HttpSystem
from integrations.sql_system import SqlSystem
from models.rectification import Corrected, Datum
from operations.local import Postgres
from tests import clinic
from tests.integrations.test_sql_system import AT, TITLE, of, person, run

NEW = "jauna.adrese@example.lv"


@pytest.fixture(scope="module")
async def engine(postgres: Postgres) -> AsyncIterator[AsyncEngine]:
    """A small clinic."""
    await postgres.create_database("clinic_corrected")
    engine = create_async_engine(postgres.url("clinic_corrected"))
    await clinic.make(engine, 60)
    yield engine
    await engine.dispose()


@pytest.fixture
def system(engine: AsyncEngine) -> SqlSystem:
    """The database, as its dataset file describes it."""
    return of(engine)


def datum(category: str, was: str | None, now: str) -> Datum:
    """What is wrong and what is right."""
    return Datum(party="subject", category=f"user.{category}", was=was, now=now)


async def correct(system: SqlSystem, who: Subject, *data: Datum) -> dict[str, Corrected]:
    """Every record of the person, as a request does it; only those that said something."""
    found = [f.record for f in await system.locate("SE", who, AT)]
    said = {record.partition(":")[2]: await system.rectify(who, record, data) for record in found}
    return {name: one for name, one in said.items() if one.fields or one.left}


async def value(engine: AsyncEngine, column: str, n: int) -> Any:
    """What stands of a patient."""
    rows = await run(engine, f"SELECT {column} FROM clinic.patients WHERE id = :n", n=n)  # noqa: S608  # own names
    return rows.scalar_one()


async def test_fields_of_a_category_are_corrected_where_what_is_wrong_stands(
    system: SqlSystem, engine: AsyncEngine
) -> None:
    """Other patients with the same value keep it; asked again, nothing is changed a second time."""
    who = person(5)
    await run(engine, "UPDATE clinic.patients SET address = 'Rīgas iela 1' WHERE id IN (5, 6)")
    address = datum("contact.address", "Rīgas iela 1", "Brīvības iela 2")
    said = await correct(system, who, address)
    assert said["patients"] == Corrected(changed=1, fields=("address",))
    again = await correct(system, who, address)
    assert again["patients"] == Corrected(changed=0, fields=("address",))
    assert (await value(engine, "address", 5), await value(engine, "address", 6)) == ("Brīvības iela 2", "Rīgas iela 1")


async def test_a_day_goes_into_a_column_of_days_and_what_does_not_fit_is_left(
    system: SqlSystem, engine: AsyncEngine
) -> None:
    who = person(7)
    await run(engine, "UPDATE clinic.patients SET born_on = '1990-01-02' WHERE id = 7")
    born = datum("demographic.date_of_birth", "1990-01-02", "1990-02-01")
    assert (await correct(system, who, born))["patients"].changed == 1
    assert f"{await value(engine, 'born_on', 7)}" == "1990-02-01"
    wrong = datum("demographic.date_of_birth", "1990-02-01", "first of February")
    assert (await correct(system, who, wrong))["patients"] == Corrected(left=True)
    await run(engine, "UPDATE clinic.patients SET phone = '1' WHERE id = 7")
    long = datum("contact.phone_number", "1", "+371 " * 20)
    assert (await correct(system, who, long))["patients"].left
    assert await value(engine, "phone", 7) == "1"


async def test_what_is_missing_is_filled_in_only_where_the_person_stands(
    system: SqlSystem, engine: AsyncEngine
) -> None:
    """A call that had no number has none afterwards."""
    who = person(9)
    await run(engine, "UPDATE clinic.patients SET phone = NULL WHERE id = 9")
    await run(
        engine,
        "INSERT INTO clinic.calls (id, patient_id, recorded_at) VALUES (900009, 9, '2026-01-01') "
        "ON CONFLICT DO NOTHING",
    )
    said = await correct(system, who, datum("contact.phone_number", None, "+371 20000000"))
    assert said["patients"] == Corrected(changed=1, fields=("phone",))
    assert "calls" not in said or not said["calls"].changed
    assert await value(engine, "phone", 9) == "+371 20000000"


async def test_an_address_by_which_alone_a_row_is_known_is_left(system: SqlSystem, engine: AsyncEngine) -> None:
    """With a code beside it the address is corrected; a newsletter's is a person's to see to."""
    who = person(21)
    assert who.email is not None
    stands = await value(engine, "email", 21)
    await run(
        engine,
        "INSERT INTO clinic.quotes (id, email, full_name, made_on) VALUES (900021, :email, 'V', '2026-01-01') "
        "ON CONFLICT DO NOTHING",
        email=who.email,
    )
    said = await correct(system, who, datum("contact.email", stands, NEW), datum("contact.email", who.email, NEW))
    assert "email" in said["patients"].fields
    assert said["quotes"].left
    assert not said["quotes"].changed


async def test_others_of_another_system_and_employees_are_not_touched(system: SqlSystem, engine: AsyncEngine) -> None:
    who = person(11)
    assert await system.rectify(who, "calls:7", [datum("name", "Zobārste", "Cita")]) == Corrected()
    before = await run(engine, "SELECT count(*) FROM clinic.visits WHERE doctor_name IS NOT NULL")
    name = await run(engine, "SELECT doctor_name FROM clinic.visits LIMIT 1")
    await correct(system, who, datum("name", name.scalar_one(), "Cita Zobārste"))
    changed = await run(engine, "SELECT count(*) FROM clinic.visits WHERE doctor_name = 'Cita Zobārste'")
    assert before.scalar_one() > 0
    assert changed.scalar_one() == 0


async def test_a_database_that_is_down_is_named(postgres: Postgres) -> None:
    gone = of(create_async_engine(postgres.url("nowhere_at_all")))
    with pytest.raises(SystemDown, match="clinic does not answer"):
        await gone.rectify(person(1), "clinic:patients", [datum("contact.address", "a", "b")])


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [({"changed": 1, "fields": ["email"]}, True), ({"left": True}, True), ({"done": True}, False), ([], False)],
)
async def test_a_system_with_http_is_asked_the_same(answer: Any, agreed: bool) -> None:
    """Its answer says what it changed; another answer is an outage."""
    asked: list[Any] = []

    async def rectify(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.json_response(answer)

    app = web.Application()
    app.router.add_post("/rectify", rectify)
    who = person(1)
    async with TestServer(app) as server:
        system = HttpSystem("calls", TITLE, ("GJ",), str(server.make_url("")), "a-token")
        data = [datum("contact.email", "a@example.lv", "b@example.lv")]
        assert await system.rectify(who, "clinic:1", data) == Corrected(), "another system's record"
        if agreed:
            assert await system.rectify(who, "calls:C7", data) == Corrected.model_validate(answer)
        else:
            with pytest.raises(SystemDown, match="not as agreed"):
                await system.rectify(who, "calls:C7", data)
    said = {"category": "user.contact.email", "was": "a@example.lv", "now": "b@example.lv"}
    assert asked == [{"person": who.model_dump(), "record": "C7", "data": [said]}]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"category": "user.government_id.national_identification_number"}, "by this a person is found"),
        ({"category": "system.operations"}, "pattern"),
        ({"was": "b@example.lv"}, "the same as was"),
        ({"now": "no address"}, "not an address"),
        ({"party": "C1"}, "subject"),
    ],
)
def test_what_cannot_be_corrected_so_is_refused(more: dict[str, Any], fault: str) -> None:
    said = {"party": "subject", "category": "user.contact.email", "was": "a@example.lv", "now": "b@example.lv"}
    with pytest.raises(ValueError, match=fault):
        Datum.model_validate({**said, **more})
