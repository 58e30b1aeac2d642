"""What an erasure left on a ground goes by itself when the ground ends, though the request is closed long ago."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import col, select, update

from activities.privacy import PrivacyActivities
from integrations.data_systems import DataSystem, Found, Subject, SystemDown
from integrations.sql_system import SqlSystem, described
from models.errors import Refusal
from models.privacy import Erased, PrivacyWork
from models.settlement import Label
from models.storage import StorageReport
from models.tables import CaseRow, IntakeRow, KeptRow, PartyRow, PolicyRow, RecordRow
from operations import held, kept, refusing, storage
from operations.erase import erase
from operations.erasures import Ledger
from operations.intake import Sessions
from operations.local import Postgres
from operations.own_store import OwnStore
from operations.reading import NotFound
from operations.records import Records
from rules.rulebook import book
from security.keys import KeyDestroyed
from tests import clinic
from tests.activities.test_privacy import AT, Crash, Person, case_row, crashing, dump, past, request
from tests.conftest import make_world, virtual_temporal
from tests.rules.test_storage import with_lines
from tests.system.test_data_systems import enrol
from tests.system.test_erasures import VISITS_KEPT
from tests.world import VILNIUS, World

TITLE = Label(lv="Klīnika", lt="Klinika", en="Clinic")
SECOND = timedelta(seconds=1)
NIGHT = datetime(2027, 4, 1, 2, 0, tzinfo=UTC)
_runs = count(1)
_holds = count(1)


@pytest.fixture(scope="module")
async def own(postgres: Postgres) -> AsyncIterator[World]:
    """A world of this file alone: a night looks at all that there is."""
    async with await virtual_temporal() as environment, make_world(postgres, environment, "kept") as world:
        await world.begin(AT)
        yield world


@pytest.fixture(scope="module")
async def house(postgres: Postgres) -> AsyncIterator[AsyncEngine]:
    """A clinic's own database."""
    await postgres.create_database("kept_clinic")
    engine = create_async_engine(postgres.url("kept_clinic"))
    await clinic.make(engine, 60)
    yield engine
    await engine.dispose()


class Clinic(SqlSystem):
    """The clinic, which can be down."""

    down = False

    async def locate(self, organisation: str, person: Subject, today: datetime) -> tuple[Found, ...]:
        if self.down:
            raise SystemDown("clinic does not answer")
        return await super().locate(organisation, person, today)


def clinic_of(engine: AsyncEngine) -> Clinic:
    """The data system over that database."""
    return Clinic("clinic", TITLE, ("GJ",), engine, described(clinic.DATASET), "restricted")


def every(world: World, *more: DataSystem, store: Sessions | None = None) -> tuple[DataSystem, ...]:
    """The own store, and what is beside it."""
    return OwnStore(store or world.sessions, world.keyring), *more


def ledger(world: World) -> Ledger:
    """The ledger of this file's erasures."""
    return Ledger(world.keyring, world.var / "backups")


async def erased(world: World, case: str, *more: DataSystem) -> Erased:
    """What the erasure of a request came to."""
    activities = PrivacyActivities(world.sessions, every(world, *more), world.now, ledger=ledger(world))
    return await activities.erase(PrivacyWork(case=case))


async def night(world: World, *more: DataSystem, at: datetime = NIGHT) -> StorageReport:
    """A whole run, judged for this instant."""
    n = await storage.begin(world.sessions, f"night-{next(_runs)}", lambda: at)
    while await storage.step(world.sessions, world.keyring, world.var / "backups", lambda: at, n):
        pass
    while await kept.step(world.sessions, world.keyring, every(world, *more), ledger(world), lambda: at, n):
        pass
    while await kept.nobody_left(world.sessions, world.keyring, n):
        while await storage.step(world.sessions, world.keyring, world.var / "backups", lambda: at, n):
            pass
    await storage.end(world.sessions, lambda: at, n)
    return await storage.report(world.sessions, n)


async def rows(world: World, case: str) -> dict[str, KeptRow]:
    """Record → what was written of it when it was kept."""
    async with world.sessions() as session:
        return {row.record: row for row in (await session.exec(select(KeptRow).where(KeptRow.case == case))).all()}


async def standing(world: World, case: str) -> set[str]:
    """What of it still stands."""
    return {record for record, row in (await rows(world, case)).items() if row.gone_at is None}


def records(world: World, at: datetime = AT) -> Records:
    """What writes holds and records down."""
    return Records(world.sessions, world.keyring, lambda: at)


async def hold(world: World, person: Person) -> str:
    """A legal hold on all that is about somebody."""
    reference = f"suit-{next(_holds)}"
    await records(world).hold(
        {"organisation": "GJ", "hold": reference, "document": f"dms/{reference}", "person": person.code}
    )
    return reference


async def close(world: World, case: str) -> None:
    """The request was answered and rests: it holds nothing back any more."""
    async with world.sessions() as session, session.begin():
        row = await session.get_one(CaseRow, case)
        row.stage, row.closed_at = "closed", AT


# ---- legal holds ----------------------------------------------------------------------------------------------------


async def test_what_a_hold_keeps_goes_the_night_after_it_is_lifted(own: World) -> None:
    """Own store and clinic would both be erased; the hold keeps the own records, and nobody has to ask again."""
    person = Person()
    its = await past(own, person)
    reference = await hold(own, person)
    case = await request(own, person, outcome="in_part", ground="legal_claim", reason="Tiesvedība.")
    done = await erased(own, case)
    assert set(done.kept) == set(its.values())
    assert {one.ends for one in done.records} == {None}
    assert {one.decided for one in done.records} == {False}
    await close(own, case)
    await night(own)
    assert await standing(own, case) == set(its.values())
    states = {one.record: (one.state, one.why) for one in await listed(own) if one.case == case}
    assert states[its["claim"]] == ("held", f"legal_hold {reference}")

    await records(own).lift("GJ", reference)
    report = await night(own)
    assert await standing(own, case) == set()
    assert {line.result: line.number for line in report.lines if line.what == "kept"}["erased"] == 4
    assert await dump(own, person) == {f"intake {case}", f"party {case}"}, "its own record goes with its closing"
    assert {row.person for row in (await rows(own, case)).values()} == {None}
    told = {one.record: one.done_at for one in await ledger(own).erasures() if one.case == case}
    assert set(told) == set(its.values())
    assert None not in told.values()
    again = await night(own)
    assert not [line for line in again.lines if line.what == "kept" and line.result == "erased"]


async def test_a_hold_wins_in_every_system_and_nothing_goes_until_it_is_lifted(own: World, house: AsyncEngine) -> None:
    """SE-11.4: a person decided to erase in full; what other systems hold is kept as what the own store holds is."""
    person, system = Person(), clinic_of(house)
    await enrol(house, person, 30)
    stood = await clinic.everywhere(house, *person.traces[:-1])
    reference = await hold(own, person)
    case = await request(own, person, outcome="fulfilled")
    gathered = await PrivacyActivities(own.sessions, every(own, system), own.now).gather(PrivacyWork(case=case))
    in_use = {one.system: one.in_use for one in gathered.systems}
    assert {"clinic:visits", "clinic:patients"} <= set(in_use["clinic"])
    done = await erased(own, case, system)
    assert done.erased == 0
    assert set(done.kept) == set(in_use["clinic"])
    assert await clinic.everywhere(house, *person.traces[:-1]) == stood
    await close(own, case)
    await night(own, system)
    assert await standing(own, case) == set(done.kept)
    await records(own).lift("GJ", reference)
    await night(own, system)
    assert await standing(own, case) == set()
    assert await clinic.everywhere(house, *person.traces[:-1]) == set()


class Sued(Clinic):
    """The clinic, where a suit begins right after it was first asked what it holds."""

    world: World
    person: Person
    reference: str | None = None

    async def locate(self, organisation: str, person: Subject, today: datetime) -> tuple[Found, ...]:
        found = await super().locate(organisation, person, today)
        if self.reference is None:
            self.reference = await hold(self.world, self.person)
        return found


async def test_a_hold_that_is_placed_after_the_look_wins_too(own: World, house: AsyncEngine) -> None:
    """Each record is erased only while no hold can be placed; the ledger of erasures does not name what stayed."""
    person = Person()
    await enrol(house, person, 31)
    stood = await clinic.everywhere(house, *person.traces[:-1])
    system = Sued("clinic", TITLE, ("GJ",), house, described(clinic.DATASET), "restricted")
    system.world, system.person = own, person
    case = await request(own, person, outcome="fulfilled")
    done = await erased(own, case, system)
    assert done.erased == 0
    assert "clinic:visits" in done.kept
    assert await clinic.everywhere(house, *person.traces[:-1]) == stood
    assert case not in {one.case for one in await ledger(own).erasures()}
    assert system.reference is not None
    await records(own).lift("GJ", system.reference)


async def test_a_hold_on_a_file_keeps_and_marks_what_its_system_holds_of_that_person(
    own: World, house: AsyncEngine
) -> None:
    """A hold names a file, the clinic knows the person; another system of the person is none of that file's."""
    person, system = Person(), clinic_of(house)
    its = await past(own, person)
    await enrol(house, person, 32)
    file = await said(own, person, "GJ-quotes", AT.date())
    reference = f"suit-{next(_holds)}"
    await records(own).hold({"organisation": "GJ", "hold": reference, "document": "dms/1", "record": file})
    marked = await held.mark(own.sessions, own.keyring, every(own, system), "GJ", reference, AT, None)
    assert marked.records == 2
    assert "clinic:consents" in marked.unmarked, "its table has no column for a mark"
    assert await marks(own, house, its["claim"], 32) == (set(), {f"hold:{reference}"})
    case = await request(own, person, outcome="in_part", ground="legal_claim", reason="Tiesvedība.")
    done = await erased(own, case, system)
    assert {one.system for one in done.records} == {"clinic"}
    await close(own, case)
    await night(own, system)
    assert await standing(own, case) == set(done.kept)
    system.down = True
    down = await held.release(own.sessions, own.keyring, every(own, system), "GJ", reference, AT)
    assert down.down == ("clinic",)
    system.down = False
    await held.release(own.sessions, own.keyring, every(own, system), "GJ", reference, AT)
    assert await marks(own, house, its["claim"], 32) == (set(), {"legal_claim"})
    await records(own).lift("GJ", reference)
    await night(own, system)
    assert await standing(own, case) == set()


async def test_a_held_file_about_nobody_who_is_known_is_left_to_people(own: World, house: AsyncEngine) -> None:
    """Without a personal code, or in a system that is not asked, nobody can be found: the file itself is named."""
    for more in ({}, {"system": "attic", "person": "010101-11111"}):
        file = f"box-{next(_holds)}"
        stated = [{"duty": "GJ-quotes", "since": AT.date().isoformat()}]
        facts = {"organisation": "GJ", "record": file, "system": "clinic", "purposes": stated, **more}
        await records(own).say(facts)
        await records(own).hold({"organisation": "GJ", "hold": f"h-{file}", "document": "dms/1", "record": file})
        systems = every(own, clinic_of(house))
        marked = await held.mark(own.sessions, own.keyring, systems, "GJ", f"h-{file}", AT, None)
        assert marked == held.Marked(unmarked=(file,))
        assert await held.release(own.sessions, own.keyring, systems, "GJ", f"h-{file}", AT) == held.Marked()
        await records(own).lift("GJ", f"h-{file}")


async def listed(world: World, *more: DataSystem, at: datetime = NIGHT) -> list[kept.KeptLine]:
    """What the list says."""
    return await kept.lines(world.sessions, world.keyring, every(world, *more), at)


async def test_a_request_that_is_not_answered_yet_keeps_what_it_kept(own: World) -> None:
    """The answer names it as kept: it does not go before the person has read that."""
    person = Person()
    its = await past(own, person)
    reference = await hold(own, person)
    case = await request(own, person, outcome="in_part", ground="legal_claim", reason="Tiesvedība.")
    await erased(own, case)
    await records(own).lift("GJ", reference)
    await night(own)
    assert await standing(own, case) == set(its.values())
    with pytest.raises(Refusal, match="is open"):
        await erase(own.sessions, own.keyring, case, own.var / "backups", own.now)
    await close(own, case)
    with pytest.raises(Refusal, match="is kept by it and still to be erased"):
        await erase(own.sessions, own.keyring, case, own.var / "backups", own.now)
    await night(own)
    assert await standing(own, case) == set()


async def test_a_closed_case_in_which_nobody_is_left_goes_with_its_key(own: World) -> None:
    """Only its history was left, with what people wrote to it; a case with somebody else in it stays as it is."""
    person = Person()
    its = await past(own, person)
    case = await request(own, person, outcome="fulfilled")
    await erased(own, case)
    async with own.sessions() as session:
        assert (await session.get_one(IntakeRow, its["former"])).erased_at is None
    report = await night(own)
    gone = [one for one in report.erased if one.case in (case, *its.values())]
    assert [one.case for one in gone] == [its["former"]], "the request itself is open, and in the renewal is another"
    with pytest.raises(KeyDestroyed):
        await own.keyring.of(its["former"])
    async with own.sessions() as session:
        assert (await session.get_one(IntakeRow, its["former"])).erased_at is not None
        assert (await session.get_one(PartyRow, (its["claim"], "C2"))).name is not None
    assert not [one for one in (await night(own)).erased if one.case == its["former"]]


# ---- what has an end that can be counted ----------------------------------------------------------------------------


async def test_a_policy_in_force_is_kept_until_its_last_day_is_over(own: World) -> None:
    """In the last second before it stands; the night after, it goes."""
    person = Person()
    its = await past(own, person)
    ends = AT.date() + timedelta(days=20)
    policy = its["policy"].removeprefix("policy:")
    async with own.sessions() as session, session.begin():
        await session.exec(update(PolicyRow).where(col(PolicyRow.policy) == policy).values(ends_on=ends))
    case = await request(own, person, outcome="in_part", ground="legal_claim", reason="Līgums.")
    done = await erased(own, case)
    [one] = done.records
    assert (one.record, one.ends) == (its["policy"], ends)
    await close(own, case)
    await night(own, at=datetime.combine(ends, datetime.min.time(), UTC))
    assert await standing(own, case) == {its["policy"]}
    await night(own, at=datetime.combine(ends + timedelta(days=1), datetime.min.time(), UTC))
    assert await standing(own, case) == set()


async def test_a_debt_is_kept_for_legal_claims_until_its_term_ends(own: World) -> None:
    """GJ-recovery, line 198: the claim names the law it rests on, so its term refuses the erasure, and is told."""
    person = Person()
    state = {"body": {"keep_until": "2037-03-01"}}
    number = f"D{person.n:05d}"
    async with own.sessions() as session, session.begin():
        filed = {"debtor": person.filed}
        case = await case_row(own.keyring, session, "recovery", number, filed, closed=True, state=state)
    asked = await request(own, person, outcome="in_part", ground="legal_claim", reason="Skola.")
    done = await erased(own, asked)
    [one] = done.records
    assert (one.record, one.ends) == (case, date(2037, 3, 1))
    over = datetime(2037, 3, 2, tzinfo=VILNIUS)
    subject = Subject(name=person.name, personal_code=person.code, email=person.email)
    assert not await OwnStore(own.sessions, own.keyring).erase(subject, case, over - SECOND)
    assert await OwnStore(own.sessions, own.keyring).erase(subject, case, over)


async def test_a_closed_claim_without_a_value_for_its_term_is_not_erased(own: World) -> None:
    """GJ-claims: without the controller's value nothing is erased, and no end can be told."""
    person = Person()
    its = await past(own, person, kind="claim")
    case = await request(own, person, outcome="in_part", ground="legal_claim", reason="Atlīdzība.")
    done = await erased(own, case)
    assert [(one.record, one.ends) for one in done.records] == [(its["claim"], None)]
    gathered = await PrivacyActivities(own.sessions, every(own), own.now).gather(PrivacyWork(case=case))
    assert its["claim"] in gathered.systems[0].in_use


# ---- by the ground of the purpose -----------------------------------------------------------------------------------


async def said(world: World, person: Person, duty: str, since: date, **more: Any) -> str:
    """A record of this person in the clinic's system, by its reference."""
    reference = f"k-{person.n}-{duty.lower()}"
    stated = [{"duty": duty, "since": since.isoformat()}]
    facts = {"organisation": "GJ", "record": reference, "system": "clinic", "purposes": stated, "person": person.code}
    await records(world).say({**facts, **more})
    return reference


async def test_quotes_give_way_to_the_person_and_their_destruction_is_proven_before_the_term(
    own: World, house: AsyncEngine
) -> None:
    """Line 108: 24 months and no legal claim behind them; the clinic is erased, and the night asks for the rest."""
    person = Person()
    await enrol(house, person, 11)
    quote = await said(own, person, "GJ-quotes", AT.date())
    case = await request(own, person, outcome="fulfilled")
    early = {"proof": "dms/act", "way": "beyond_recovery", "destroyed_at": AT.isoformat()}
    with pytest.raises(Refusal, match="keeps it until"):
        await records(own, AT + SECOND).destroyed("GJ", quote, early)
    done = await erased(own, case, clinic_of(house))
    assert done.kept == {}
    assert await clinic.everywhere(house, *person.traces[:-1]) == set()
    async with own.sessions() as session:
        row = await session.get_one(RecordRow, ("GJ", quote))
    assert row.erase_for == case
    await close(own, case)
    report = await night(own, clinic_of(house))
    assert [line.number for line in report.lines if (line.duty, line.result) == ("GJ-quotes", "asked")] == [1]
    await records(own, NIGHT + SECOND).destroyed("GJ", quote, {**early, "destroyed_at": NIGHT.isoformat()})


async def test_contracts_stay_for_legal_claims_until_their_term_ends_and_then_go_by_themselves(
    own: World, house: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same line 108 names legal claims for contracts: kept, restricted, told until when; the last second counts."""
    valued = with_lines("GJ", "GJ-contracts", 'motor = { amount = 10, unit = "years" }')
    for module in (refusing, storage):
        monkeypatch.setattr(module, "book", lambda of: valued if of == "GJ" else book(of))
    person = Person()
    await enrol(house, person, 12)
    await said(own, person, "GJ-contracts", date(2027, 2, 28), line="motor")
    case = await request(own, person, outcome="in_part", ground="legal_claim", reason="Līgums.")
    system = clinic_of(house)
    done = await erased(own, case, system)
    assert {one.ends for one in done.records} == {date(2037, 2, 28)}
    assert {one.system for one in done.records} == {"clinic"}
    await close(own, case)
    over = datetime(2037, 3, 1, tzinfo=VILNIUS)
    await night(own, system, at=over - SECOND)
    assert await standing(own, case) == set(done.kept)
    await night(own, system, at=over)
    await night(own, system, at=over + timedelta(days=1))
    assert await standing(own, case) == set()
    assert await clinic.everywhere(house, *person.traces[:-1]) == set()


# ---- what a person decided ------------------------------------------------------------------------------------------


async def test_what_a_person_kept_goes_after_the_day_that_was_said(own: World, house: AsyncEngine) -> None:
    """Without a day it stays and is listed; the day can be said later, by who may."""
    person = Person()
    await enrol(house, person, 13)
    system = clinic_of(house)
    case = await request(own, person, **VISITS_KEPT)
    done = await erased(own, case, system)
    assert set(done.kept) == {"clinic:visits", "clinic:patients"}
    await close(own, case)
    await night(own, system)
    [line] = [one for one in await listed(own, system) if (one.case, one.record) == (case, "clinic:visits")]
    assert (line.state, line.why) == ("kept", kept.UNKNOWN)
    with pytest.raises(NotFound):
        await kept.end(own.sessions, case, "clinic:nothing", NIGHT.date(), "op-1")
    with pytest.raises(Refusal, match="there is no operator"):
        await kept.end(own.sessions, case, "clinic:visits", NIGHT.date(), "op-nobody")
    await kept.end(own.sessions, case, "clinic:visits", NIGHT.date(), "op-1")
    over = datetime.combine(NIGHT.date() + timedelta(days=1), datetime.min.time(), VILNIUS)
    await night(own, system, at=over - SECOND)
    assert await standing(own, case) == {"clinic:visits", "clinic:patients"}
    await night(own, system, at=over)
    assert await standing(own, case) == set(), "with the visits goes what leads to them, in the order of erasure"
    assert await clinic.everywhere(house, *person.traces[:-1]) == set()


async def test_what_came_to_a_kept_record_later_is_not_erased_without_a_person(own: World, house: AsyncEngine) -> None:
    """The patient came back: the new visit was never asked to be erased."""
    person = Person()
    await enrol(house, person, 14)
    system = clinic_of(house)
    until = AT.date() + timedelta(days=2)
    case = await request(own, person, **VISITS_KEPT, keep_until=until.isoformat())
    await erased(own, case, system)
    await close(own, case)
    async with house.begin() as connection:
        new = "INSERT INTO clinic.visits (id, patient_id, doctor_id, held_on) VALUES (9014, 14, 1, '2027-03-03')"
        await connection.exec_driver_sql(new)
        await connection.exec_driver_sql("UPDATE clinic.visits SET complaint = 'Sāp atkal' WHERE id = 9014")
    await night(own, system)
    assert await standing(own, case) == {"clinic:visits", "clinic:patients"}
    [line] = [one for one in await listed(own, system) if (one.case, one.record) == (case, "clinic:visits")]
    assert (line.state, line.why) == ("fault", kept.MORE)


# ---- outages and deaths ---------------------------------------------------------------------------------------------


async def test_a_system_that_is_down_that_night_is_named_and_tried_the_next(own: World, house: AsyncEngine) -> None:
    person = Person()
    its = await past(own, person)
    await enrol(house, person, 15)
    system = clinic_of(house)
    reference = await hold(own, person)
    case = await request(own, person, **VISITS_KEPT, keep_until=AT.date().isoformat())
    there = {one.record for one in (await erased(own, case, system)).records if one.system == "clinic"}
    await close(own, case)
    await records(own).lift("GJ", reference)
    system.down = True
    report = await night(own, system)
    assert "the data system clinic does not answer; tried again tomorrow" in {line.why for line in report.lines}
    assert {"clinic:visits", "clinic:patients"} < there
    assert await standing(own, case) == there
    assert not set(its.values()) & await standing(own, case), "what is elsewhere does not wait for it"
    system.down = False
    await night(own, system)
    assert await standing(own, case) == set()


async def test_a_death_anywhere_in_the_night_leaves_it_whole(own: World, house: AsyncEngine) -> None:
    """Before every single write and commit in turn: the next attempt ends it, and counts each record once."""
    for die in count(1):
        person = Person()
        its = await past(own, person)
        reference = await hold(own, person)
        case = await request(own, person, outcome="in_part", ground="legal_claim", reason="Tiesvedība.")
        await erased(own, case)
        await close(own, case)
        await records(own).lift("GJ", reference)
        n = await storage.begin(own.sessions, f"death-{die}", lambda: NIGHT)
        died = False
        async with crashing(own, die) as store:
            systems = every(own, store=store)
            try:
                while await kept.step(store, own.keyring, systems, ledger(own), lambda: NIGHT, n):
                    pass
            except Crash:
                died = True
        while await kept.step(own.sessions, own.keyring, every(own), ledger(own), lambda: NIGHT, n):
            pass
        assert await standing(own, case) == set(), die
        found = (await storage.report(own.sessions, n)).lines
        assert sum(line.number for line in found if (line.what, line.result) == ("kept", "erased")) == len(its), die
        assert await dump(own, person) == {f"intake {case}", f"party {case}"}, die
        if not died:
            assert die > 8  # four records, each with its writes
            return


# ---- what a hold restricts ------------------------------------------------------------------------------------------


async def test_a_hold_restricts_what_it_keeps_and_takes_only_its_own_mark_away(own: World, house: AsyncEngine) -> None:
    """In every system, found again by the keyed hash alone; another hold's mark stays, and whoever is down is named."""
    person, system = Person(), clinic_of(house)
    past_of = await past(own, person)
    await enrol(house, person, 20)
    first, second = await hold(own, person), await hold(own, person)
    marked = {
        one: await held.mark(own.sessions, own.keyring, every(own, system), "GJ", one, AT, person.code)
        for one in (first, second)
    }
    assert marked[first] == marked[second]
    assert "clinic:consents" in marked[first].unmarked, "its table has no column for a mark"
    assert await marks(own, house, past_of["claim"]) == ({f"hold:{first}", f"hold:{second}"},) * 2
    system.down = True
    down = await held.release(own.sessions, own.keyring, every(own, system), "GJ", first, AT)
    assert down.down == ("clinic",)
    system.down = False
    for _ in range(2):
        await held.release(own.sessions, own.keyring, every(own, system), "GJ", first, AT)
        assert await marks(own, house, past_of["claim"]) == ({f"hold:{second}"},) * 2
    await records(own).lift("GJ", first)
    assert await held.release(own.sessions, own.keyring, every(own, system), "GJ", first, AT) == held.Marked()
    await held.release(own.sessions, own.keyring, every(own, system), "GJ", second, AT)
    assert await marks(own, house, past_of["claim"]) == (set(), set())
    await records(own).lift("GJ", second)


async def marks(world: World, house: AsyncEngine, case: str, patient: int = 20) -> tuple[set[str], set[str]]:
    """What is marked by whom: in the own case, and at the clinic."""
    async with world.sessions() as session:
        party = await session.get_one(PartyRow, (case, "C1"))
    async with house.connect() as connection:
        said = await connection.exec_driver_sql("SELECT restricted FROM clinic.patients WHERE id = $1", (patient,))
        return set(party.other.get("restricted_by", ())), set((said.scalar_one() or "").split())


async def test_a_hold_on_a_case_restricts_the_people_of_that_case(own: World) -> None:
    person = Person()
    past_of = await past(own, person)
    reference = f"suit-{next(_holds)}"
    said = {"organisation": "GJ", "hold": reference, "document": "dms/1", "case": past_of["former"]}
    await records(own).hold(said)
    assert (await held.mark(own.sessions, own.keyring, every(own), "GJ", reference, AT, None)).records == 1
    async with own.sessions() as session:
        party = await session.get_one(PartyRow, (past_of["former"], "subject"))
    assert party.other == {"restricted_by": [f"hold:{reference}"]}
    await held.release(own.sessions, own.keyring, every(own), "GJ", reference, AT)
    async with own.sessions() as session:
        assert (await session.get_one(PartyRow, (past_of["former"], "subject"))).other == {}
    await records(own).lift("GJ", reference)
