"""The ledger of erasures, and a restore that brings back what had been erased: it is found and erased again."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from activities.privacy import PrivacyActivities
from integrations.data_systems import DataSystem, Subject, SystemDown
from integrations.sql_system import SqlSystem, described
from models.privacy import PrivacyWork
from models.settlement import Label
from operations.appending import append, read
from operations.erase import LEDGER as CASES
from operations.erase import erased_before
from operations.erasures import LEDGER, Ledger, LedgerFaults, Replayed, replay
from operations.local import Postgres
from operations.own_store import OwnStore
from operations.records import Records
from tests import clinic
from tests.activities.test_privacy import AT, Person, dump, past, request
from tests.conftest import make_world, virtual_temporal
from tests.system.test_data_systems import enrol
from tests.system.test_reconcile import Dumps
from tests.system.test_starter import Environment, ask, cli
from tests.world import World

TITLE = Label(lv="Klīnika", lt="Klinika", en="Clinic")
VISITS_KEPT: dict[str, Any] = {
    "outcome": "in_part",
    "ground": "legal_claim",
    "reason": "Tiesvedība.",
    "keep": ("clinic:visits",),
}
DUMPED = AT - timedelta(hours=1)
LATER = AT + timedelta(days=1)


# ---- the file -------------------------------------------------------------------------------------------------------


def _one(said: str, _: list[str]) -> list[str]:
    return [said]


def _adds(folder: str, who: int) -> None:
    for number in range(50):
        append(Path(folder) / "lines", partial(_one, f"{who}-{number}"))


def test_two_processes_that_add_at_once_lose_no_line(tmp_path: Path) -> None:
    at_once = multiprocessing.get_context("spawn")
    workers = [at_once.Process(target=_adds, args=(str(tmp_path), who)) for who in range(3)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert sorted(read(tmp_path / "lines")) == sorted(f"{who}-{n}" for who in range(3) for n in range(50))
    assert (tmp_path / "lines").stat().st_mode & 0o777 == 0o600


def test_half_a_line_that_a_death_left_is_no_line(tmp_path: Path) -> None:
    """Half a case's id could be another one's, whose key would be destroyed after a restore."""
    (tmp_path / CASES).write_text("claim:BTA:2027-11\nclaim:BTA:2027-1")
    assert erased_before(tmp_path) == ["claim:BTA:2027-11"]
    append(tmp_path / CASES, lambda there: [f"after-{len(there)}"])
    assert erased_before(tmp_path) == ["claim:BTA:2027-11", "after-1"]


# ---- what a restore brings back -------------------------------------------------------------------------------------


@dataclass
class House:
    """Own store and clinic, each with a dump of its own."""

    world: World
    clinic: SqlSystem
    engine: AsyncEngine
    own: Dumps
    other: Dumps
    folder: Path

    @property
    def systems(self) -> Sequence[DataSystem]:
        """Both."""
        return OwnStore(self.world.sessions, self.world.keyring), self.clinic

    @property
    def ledger(self) -> Ledger:
        """Beside the backups of keys."""
        return Ledger(self.world.keyring, self.folder)

    async def erase(self, case: str) -> None:
        """Carry an erasure out."""
        activities = PrivacyActivities(self.world.sessions, self.systems, self.world.now, ledger=self.ledger)
        await activities.erase(PrivacyWork(case=case))

    async def replay(self, *, do: bool = True, since: datetime = DUMPED, **more: Any) -> Replayed:
        """Find what came back."""
        return await replay(self.systems, self.ledger, since, LATER, do=do, **more)

    async def left(self, person: Person) -> set[str]:
        """Tables of the clinic in which the person stands."""
        return await clinic.everywhere(self.engine, *person.traces[:-1])


@pytest.fixture
async def house(postgres: Postgres, tmp_path: Path) -> AsyncIterator[House]:
    """A world and a clinic of this test alone: both are dropped and restored."""
    name = f"r{abs(hash(tmp_path)) % 10**8}"
    await postgres.create_database(f"{name}_clinic")
    made = create_async_engine(postgres.url(f"{name}_clinic"), poolclass=NullPool)
    await clinic.make(made, 2500)
    system = SqlSystem("clinic", TITLE, ("GJ",), made, described(clinic.DATASET), "restricted")
    folders = [tmp_path / one for one in ("own", "other")]
    for folder in folders:
        folder.mkdir()
    async with await virtual_temporal() as environment, make_world(postgres, environment, name, serve=False) as world:
        await world.begin(AT)
        own, other = Dumps(postgres, name, folders[0]), Dumps(postgres, f"{name}_clinic", folders[1])
        yield House(world, system, made, own, other, tmp_path / "keys")
    await made.dispose()


async def test_after_a_restore_what_was_erased_since_the_dump_is_erased_again_and_nobody_else(house: House) -> None:
    """From the store by pg_dump and from the clinic; who was not erased, and who was before it, stay as they are."""
    world = house.world
    person, before, other = Person(), Person(), Person()
    for n, one in enumerate((person, before, other), 2300):
        await past(world, one)
        await enrol(house.engine, one, n)
    earlier = await request(world, before, outcome="fulfilled")
    await house.erase(earlier)
    case = await request(world, person, outcome="fulfilled")
    await house.own.dump()
    await house.other.dump()
    stood = await dump(world, person), await dump(world, other), await house.left(person)
    await house.erase(case)
    assert await house.left(person) == set()
    ledger = (house.folder / LEDGER).read_text()
    for one in (person, before):
        assert not any(trace.casefold() in ledger.casefold() for trace in one.traces)

    await house.own.restore()
    await house.other.restore()
    assert (await dump(world, person), await dump(world, other), await house.left(person)) == stood
    looked: list[tuple[str, int]] = []
    since = (await house.ledger.erasures())[-1].begun_at
    first = await house.replay(do=False, since=since, progress=lambda *one: looked.append(one))
    assert {one.result for one in first.back} == {"found"}
    assert not first.clean
    assert (await dump(world, person), await house.left(person)) == (stood[0], stood[2]), "only looked at"
    assert looked[-1] == ("clinic", first.looked_at["clinic"])
    assert first.looked_at["clinic"] > 2500  # in several batches

    done = await house.replay(since=since)
    assert done.clean
    assert {one.case for one in done.back} == {case}
    assert {one.system for one in done.back} == {"termins", "clinic"}
    assert await house.left(person) == set()
    assert await dump(world, person) == {f"intake {case}", f"party {case}"}, "that record goes with its closing"
    assert (await dump(world, other), await house.left(other)) == (stood[1], await house.left(other))
    assert await house.left(other)
    proven = [one for one in await house.ledger.erasures() if one.case == case]
    assert {one.again_at for one in proven} == {LATER}
    again = await house.replay(since=since)
    assert (again.back, again.clean) == ((), True)


async def test_a_legal_hold_keeps_what_a_restore_brought_back(house: House) -> None:
    """SE-11.4: in the clinic as in the own store; the replay names the hold, and erases once it is lifted."""
    world, person = house.world, Person()
    await past(world, person)
    await enrol(house.engine, person, 2310)
    case = await request(world, person, outcome="fulfilled")
    await house.other.dump()
    stood = await house.left(person)
    since = world.now()
    await house.erase(case)
    await house.other.restore()
    records = Records(world.sessions, world.keyring, world.now)
    said = {"organisation": "GJ", "hold": "suit-1", "document": "dms/1", "person": person.code}
    await records.hold(said)
    done = await house.replay(since=since, sessions=world.sessions)
    assert {(one.system, one.result, one.why) for one in done.back} == {("clinic", "in_use", "legal_hold suit-1")}
    assert await house.left(person) == stood
    await records.lift("GJ", "suit-1")
    again = await house.replay(since=since, sessions=world.sessions)
    assert {one.result for one in again.back} == {"erased"}
    assert await house.left(person) == set()


async def test_only_one_system_was_restored(house: House) -> None:
    """The clinic alone: what came anew at the own store since then is not looked at."""
    person = Person()
    await enrol(house.engine, person, 7)
    case = await request(house.world, person, outcome="fulfilled")
    await house.other.dump()
    await house.erase(case)
    await house.other.restore()
    done = await house.replay(only=("clinic",))
    assert done.clean
    assert set(done.looked_at) == {"clinic"}
    assert await house.left(person) == set()


async def test_what_was_kept_on_a_ground_stays_and_who_shares_an_address_too(house: House) -> None:
    """A family has one address: the mother, who has a code of her own, is not who was erased."""
    person, mother = Person(), Person()
    await enrol(house.engine, person, 8)
    case = await request(house.world, person, **VISITS_KEPT)
    await house.other.dump()
    await house.erase(case)
    await house.other.restore()
    async with house.engine.begin() as connection:
        await connection.exec_driver_sql(
            "UPDATE clinic.patients SET personal_code = $1, last_name = $2, email = $3 WHERE id = 9",
            (mother.code, mother.name, person.email),
        )
    kept = {"clinic:visits", "clinic:patients"}
    assert not kept & {one.record for one in (await house.replay()).back}
    assert "patients" in await house.left(person)
    async with house.engine.connect() as connection:
        found = await connection.exec_driver_sql("SELECT last_name FROM clinic.patients WHERE id IN (8, 9) ORDER BY id")
        assert list(found.scalars()) == [person.name, mother.name]
        stands = await connection.exec_driver_sql("SELECT complaint FROM clinic.visits WHERE id = 8")
        assert stands.scalar_one() == "Sāp zobs Nr. 8"


async def test_a_system_that_does_not_answer_is_named_and_the_others_are_looked_at(house: House) -> None:
    person = Person()
    await past(house.world, person)
    await enrol(house.engine, person, 10)
    case = await request(house.world, person, outcome="fulfilled")
    await house.own.dump()
    await house.erase(case)
    await house.own.restore()

    class Down(SqlSystem):
        async def people(self, organisation: str) -> AsyncIterator[Sequence[Subject]]:
            async for batch in super().people(organisation):
                yield batch
                raise SystemDown("clinic does not answer")

    down = Down("clinic", TITLE, ("GJ",), house.engine, described(clinic.DATASET), "restricted")
    own = house.systems[0]
    done = await replay((own, down), house.ledger, DUMPED, LATER, do=True)
    assert (done.down, done.clean) == (("clinic",), False)
    assert await dump(house.world, person) == {f"intake {case}", f"party {case}"}
    assert (await replay((own,), house.ledger, DUMPED, LATER, do=True)).down == ("clinic",), "nor one that is gone"


async def test_a_death_in_the_middle_of_an_erasure_is_replayed_too(house: House) -> None:
    """What was begun and never proven may be whole in any dump, whenever it was made."""
    person = Person()
    await past(house.world, person)
    case = await request(house.world, person, outcome="fulfilled")
    subject = Subject(name=person.name, personal_code=person.code, email=person.email)
    located = await house.systems[0].locate("GJ", subject, AT)
    named = [one.record for one in located if one.record != case]
    await house.ledger.begin("GJ", subject, case, {"termins": named}, AT)
    done = await house.replay(since=LATER + timedelta(days=400))
    assert {one.record for one in done.back} == set(named)
    assert await dump(house.world, person) == {f"intake {case}", f"party {case}"}


async def test_a_ledger_that_somebody_changed_is_refused(house: House) -> None:
    house.folder.mkdir(exist_ok=True)
    (house.folder / LEDGER).write_text('{"what": "begun"}\n')
    with pytest.raises(LedgerFaults, match="lines that cannot be read: 1"):
        await house.replay()


# ---- on the command line --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("present")
async def test_erasures_on_the_command_line(world: World, where: Environment, tmp_path: Path) -> None:
    """List, replay, what was kept; every fault is said once, and nothing shows who it was."""
    person = Person()
    await past(world, person)
    case = await request(world, person, outcome="fulfilled")
    there = {**where, "TERMINS_KEY_BACKUPS": str(tmp_path / "keys")}
    assert "Nothing was erased." in (await cli(there, "erasures", "list")).stdout
    ledger = Ledger(world.keyring, tmp_path / "keys")
    activities = PrivacyActivities(world.sessions, (OwnStore(world.sessions, world.keyring),), world.now, ledger=ledger)
    subject = Subject(name=person.name, personal_code=person.code, email=person.email)
    [record, *_] = [
        one.record
        for one in await OwnStore(world.sessions, world.keyring).locate("GJ", subject, AT)
        if one.record != case
    ]
    await ledger.begin("GJ", subject, case, {"termins": [record]}, AT)
    assert "NOT PROVEN" in (await cli(there, "erasures", "list", "--case", case)).stdout
    looked = await ask(there, "erasures", "replay", "--since", "2026-01-01T00:00+02:00", code=1)
    assert [(one["record"], one["result"]) for one in looked["back"]] == [(record, "found")]
    shown = await cli(there, "erasures", "replay", "--since", "2026-01-01T00:00+02:00", "--yes")
    assert "nothing is left to do" in shown.stdout
    assert not any(trace in shown.stdout for trace in person.traces)
    await activities.erase(PrivacyWork(case=case))
    [first, *_] = await ask(there, "erasures", "list", "--organisation", "GJ", "--case", case)
    assert first["done_at"] is not None
    assert first["marks"] == {"person": None, "email": None, "named": None}
    assert case not in json.dumps(await ask(there, "erasures", "kept", "--organisation", "GJ")), "nothing was kept"
    await cli(there, "erasures", "replay", "--since", "yesterday", code=2)
    await cli(there, "erasures", "replay", "--since", "2026-01-01T00:00", code=2)
    told = await cli(there, "erasures", "replay", "--since", "2026-01-01T00:00Z", "--system", "nowhere", code=1)
    assert "there is no nowhere; known: termins" in told.stderr
    await cli(there, "erasures", "end", case, "client:none", "--until", "2027-01-01", code=3)
    (tmp_path / "keys" / LEDGER).write_text("{}\n")
    assert "cannot be read" in (await cli(there, "erasures", "list", code=1)).stderr
