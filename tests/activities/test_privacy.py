"""The privacy activities: their gate, what they find and mask, and that an erasure survives a crash at any point."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel
from temporalio.exceptions import ApplicationError

from activities.privacy import PrivacyActivities, PrivacyStore, person_hash
from integrations.data_systems import Subject
from models.case import CaseState
from models.errors import REFUSED
from models.privacy import Assessment, PrivacyBody, PrivacyWork
from models.tables import (
    AccountRow,
    ArchiveRow,
    CaseRow,
    ClientRow,
    ErasureRow,
    EventRow,
    IdentificationRow,
    IntakeRow,
    NoticeRow,
    PartyRow,
    PolicyEntryRow,
    PolicyRow,
)
from operations.intake import Sessions
from operations.own_store import ERASED, MASKED, Names, OwnStore, is_person, opened
from operations.store import engine, sessions
from security.index import index_of
from security.keys import Keyring
from tests.world import RIGA, World

AT = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
_numbers = count(1)


class Crash(Exception):
    """The process died here."""


class Person:
    """Somebody with cases of every sort in one organisation."""

    def __init__(self) -> None:
        self.n = next(_numbers)
        self.suffix = "x" + "".join(chr(ord("a") + int(d)) for d in str(self.n))
        self.name = f"Ērika Zvirbule{self.suffix}ska"
        self.code = f"{self.n:06d}-1{self.n:04d}"
        self.email = f"erika.{self.n}@example.lv"
        self.iban = f"LV97HABA{self.n:013d}"

    @property
    def filed(self) -> dict[str, Any]:
        return {"name": self.name, "personal_code": self.code, "email": self.email, "language": "lv"}

    @property
    def traces(self) -> tuple[str, ...]:
        return self.name, self.code, self.code.replace("-", ""), self.email, self.iban


async def case_row(
    keyring: Keyring,
    session: Any,
    kind: str,
    number: str,
    content: dict[str, Any],
    *,
    closed: bool,
    state: dict[str, Any] | None = None,
) -> str:
    """A case as the store has it, without a workflow."""
    case = f"{kind}:GJ:{number}"
    await keyring.create(case)
    session.add(
        IntakeRow(
            case=case,
            kind=kind,
            organisation="GJ",
            reference=number,
            sender="system:tests",
            sender_reference=number,
            received_at=AT,
            recorded_at=AT,
            started_at=AT,  # or a sweep of another test would start it
            content=content,
            faults=[],
        )
    )
    await session.flush()
    session.add(
        CaseRow(
            case=case,
            kind=kind,
            organisation="GJ",
            stage="closed" if closed else "collecting",
            step=1,
            opened_at=AT,
            closed_at=AT if closed else None,
            state=state or {},
            commitment=b"",
            head=b"",
        )
    )
    await session.flush()
    return case


async def request(world: World, person: Person, *, identified: bool = True, **assessment: Any) -> str:
    """A request for access and erasure, as far as an erasure that a person decided on."""
    number = f"R{person.n:05d}-{next(_numbers)}"
    content = {"rights": ["access", "erasure"], "channel": "email", "person": person.filed}
    async with world.sessions() as session, session.begin():
        case = await case_row(world.keyring, session, "privacy_request", number, content, closed=False)
        intake = await session.get(IntakeRow, case)
        row = await session.get(CaseRow, case)
        assert intake is not None
        assert row is not None
        opening = await PrivacyStore(world.keyring).open(session, intake, AT)
        await session.flush()
        body = PrivacyBody.model_validate(opening.body)
        if assessment:
            decided = Assessment.model_validate({"by": "op-1", **assessment})
            body = body.model_copy(update={"assessments": {"erasure": decided}})
        state = CaseState(case=case, kind="privacy_request", organisation="GJ", stage="erasing", step=1)
        row.state = {**state.model_dump(mode="json"), "body": body.model_dump(mode="json")}
        if identified:
            session.add(
                IdentificationRow(
                    case=case, channel="email", way="qualified_signature", identified_at=AT, document="dms/1"
                )
            )
    return case


async def past(world: World, person: Person, *, open_claim: bool = False, kind: str = "renewal") -> dict[str, str]:
    """What the organisation holds of the person: a case beside another party, a former request, roles, a policy.

    A closed case of that kind has no storage term that refuses an erasure; an open one is a claim.
    """
    number = f"{person.n:05d}"
    other: dict[str, Any] = {"name": f"Jānis Zvirbulis{person.suffix}skis", "email": f"janis.{person.n}@example.lv"}
    async with world.sessions() as session, session.begin():
        claim = await case_row(
            world.keyring,
            session,
            "claim" if open_claim else kind,
            f"C{number}",
            {
                "claimants": [{**person.filed, "iban": person.iban}, other],
                "description": f"Bojājums {person.name.replace('ska', 'skai')} piederošajam auto, {person.code}.",
                "place": "Rīga",
            },
            closed=not open_claim,
        )
        session.add(
            PartyRow(
                case=claim,
                party="C1",
                role="third_party",
                name=person.name,
                email=person.email,
                personal_code=person.code.replace("-", ""),
                iban=person.iban,
            )
        )
        session.add(PartyRow(case=claim, party="C2", role="third_party", **other))
        session.add(
            EventRow(
                case=claim,
                event="e-1",
                name="correct_address",
                message={"party": "C1", "email": person.email},
                recorded_at=AT,
            )
        )
        session.add(
            NoticeRow(
                case=claim,
                key="BTA-10.5b:C1:1",
                template="BTA-10.5b-third-party",
                party="C1",
                facts={"lines": [f"{person.name}: 10.00"]},
                queued_at=AT,
                sent_at=AT,
            )
        )
        former = await case_row(
            world.keyring,
            session,
            "privacy_request",
            f"F{number}",
            {"rights": ["access"], "person": person.filed},
            closed=True,
        )
        session.add(
            PartyRow(
                case=former,
                party="subject",
                role="data_subject",
                name=person.name,
                email=person.email,
                personal_code=person.code,
            )
        )
        session.add(
            IdentificationRow(case=former, channel="email", way="qualified_signature", identified_at=AT, document="d")
        )
        await session.flush()
        session.add(
            ArchiveRow(case=former, gathered_at=AT, systems={"files": {"x": {"text": f"{person.name} {person.code}"}}})
        )
        client = f"K-GJ-{number}"
        await world.keyring.create(f"client:{client}", f"policy:P-GJ-{number}")
        session.add(
            ClientRow(
                client=client,
                organisation="GJ",
                name="UAB Uosto sandėliai",
                responsible={"name": person.name, "email": person.email},
                requesters=[{"name": person.name, "email": person.email}, other],
            )
        )
        await session.flush()
        session.add(
            AccountRow(
                client=client,
                username=f"u-{number}",
                case=claim,
                subject="C1",
                personal_code=person.code,
                person=await index_of(world.keyring, "personal_code", person.code),
                created_at=AT,
                status="ended",
                ended_at=AT,
            )
        )
        policy = f"P-GJ-{number}"
        session.add(
            PolicyRow(
                policy=policy,
                organisation="GJ",
                policyholder={"name": person.name, "email": person.email},
                insured={"name": person.name, "email": person.email},
                insured_index=await index_of(world.keyring, "name", person.name),
                starts_on=date(2020, 1, 1),
                ends_on=date(2021, 1, 1),
                terms={"limit_per_occurrence": "1000.00", "limit_aggregate": "1000.00"},
                co_insured=[{"name": "UAB Kiti"}, {"name": person.name, "email": person.email}],
                facts=facts(person),
            )
        )
        await session.flush()
        session.add(
            PolicyEntryRow(
                policy=policy,
                n=1,
                act="registered",
                recorded_at=AT,
                said_by="system:tests",
                data=facts(person)["registered"],
                people=[{"role": "insured", "name": person.name, "email": person.email, "language": "lt"}],
            )
        )
    return {"claim": claim, "former": former, "client": f"client:{client}", "policy": f"policy:{policy}"}


def facts(person: Person) -> dict[str, Any]:
    """What is known of a policy, with a text that names the person."""
    return {
        "registered": {
            "kind": "registered",
            "starts_on": "2020-01-01",
            "ends_on": "2021-01-01",
            "insured_activity": f"Praktika, {person.name}",
            "terms": {"limit_per_occurrence": "1000.00", "limit_aggregate": "1000.00"},
        }
    }


async def dump(world: World, person: Person) -> set[str]:
    """`table case` of every row of every table in which a trace of the person stands."""
    found = set()
    async with world.sessions() as session:
        connection = await session.connection()
        for table in SQLModel.metadata.sorted_tables:
            for row in await opened(connection, select(table)):
                written = json.dumps(row, ensure_ascii=False, default=str).casefold()
                if any(trace.casefold() in written for trace in person.traces) or person.suffix + "skai" in written:
                    found.add(f"{table} {row.get('case', '')}".strip())
    return found


def activities(world: World, store: Sessions | None = None) -> PrivacyActivities:
    """The activities over this store."""
    return PrivacyActivities(store or world.sessions, (OwnStore(store or world.sessions, world.keyring),), world.now)


@asynccontextmanager
async def crashing(world: World, at: int) -> AsyncIterator[Sessions]:
    """A store whose process dies before the `at`-th write or commit, and stays dead; reading changes nothing."""
    bind = world.sessions.kw["bind"]
    database = engine(bind.url.render_as_string(hide_password=False), world.keyring)
    statements = count(1)

    def die(*_: Any) -> None:
        if next(statements) >= at:
            raise Crash

    def die_writing(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            die()

    event.listen(database.sync_engine, "before_cursor_execute", die_writing)
    event.listen(database.sync_engine, "commit", die)
    try:
        yield sessions(database)
    finally:
        event.remove(database.sync_engine, "before_cursor_execute", die_writing)
        event.remove(database.sync_engine, "commit", die)
        await database.dispose()


async def test_whoever_is_not_identified_gets_nothing_even_from_the_activity_itself(world: World) -> None:
    """The gate is in the store: no identification, no gathering, no erasure, and not even a row of either."""
    await world.begin(AT)
    person = Person()
    await past(world, person)
    before = await dump(world, person)
    case = await request(world, person, identified=False, outcome="fulfilled")
    for act in (activities(world).gather, activities(world).erase):
        with pytest.raises(ApplicationError, match="not identified") as refused:
            await act(PrivacyWork(case=case))
        assert refused.value.type == REFUSED
        assert refused.value.non_retryable
    assert before <= await dump(world, person)
    for row in (
        ArchiveRow(case=case, gathered_at=AT),
        ErasureRow(case=case, person="x", salt="x", begun_at=AT),
    ):
        with pytest.raises(IntegrityError):
            async with world.sessions() as session, session.begin():
                session.add(row)


async def test_nothing_is_erased_that_no_person_decided_on(world: World) -> None:
    await world.begin(AT)
    person = Person()
    decisions: tuple[dict[str, Any], ...] = ({}, {"outcome": "refused", "ground": "legal_duty", "reason": "x"})
    for assessment in decisions:
        case = await request(world, person, **assessment)
        with pytest.raises(ApplicationError, match="no person has decided"):
            await activities(world).erase(PrivacyWork(case=case))


async def test_gathering_finds_every_record_and_masks_other_people(world: World) -> None:
    """The archive holds what names the person; the other claimant's name and address are masked."""
    await world.begin(AT)
    person = Person()
    held = await past(world, person, open_claim=True)
    case = await request(world, person)
    first = await activities(world).gather(PrivacyWork(case=case))
    again = await activities(world).gather(PrivacyWork(case=case))
    assert first.systems == again.systems
    (system,) = first.systems
    assert (system.system, system.held, system.in_use) == ("termins", 4, (held["claim"],))
    async with world.sessions() as session:
        archive = await session.get(ArchiveRow, case)
    assert archive is not None
    data = archive.systems["files"]["personal-data.json"]["text"]
    records = {r["record"]: r for s in json.loads(data)["systems"] for r in s["records"]}
    assert records.keys() == {*held.values(), case}
    assert records[held["claim"]]["filed"]["claimants"][1] == MASKED
    assert records[held["claim"]]["person"][0]["iban"] == person.iban
    assert [letter["letter"] for letter in records[held["claim"]]["letters"]] == ["BTA-10.5b-third-party"]
    page = archive.systems["files"]["personal-data.html"]["text"]
    for written in (data, page):
        assert "Jānis" not in written
        assert f"janis.{person.n}" not in written
        assert person.code in written


async def test_an_erasure_leaves_no_trace_and_leaves_others_alone(world: World) -> None:
    """All tables are searched; the other claimant stays, and only the request itself still names the person."""
    await world.begin(AT)
    person = Person()
    held = await past(world, person)
    case = await request(world, person, outcome="fulfilled")
    erased = await activities(world).erase(PrivacyWork(case=case))
    assert (erased.erased, erased.kept) == (4, {})
    assert await dump(world, person) == {f"intake {case}", f"party {case}"}
    async with world.sessions() as session:
        other = await session.get(PartyRow, (held["claim"], "C2"))
        gone = await session.get(PartyRow, (held["claim"], "C1"))
        claim = await session.get(IntakeRow, held["claim"])
        client = await session.get(ClientRow, held["client"].removeprefix("client:"))
        ledger = await session.get(ErasureRow, case)
    assert other is not None
    assert other.name is not None
    assert gone is not None
    assert gone.erased_at is not None
    assert claim is not None
    assert claim.content["claimants"][1]["name"] == other.name
    assert claim.content["description"] == ERASED
    assert claim.content["place"] == "Rīga"
    assert client is not None
    assert [r["name"] for r in client.requesters] == [other.name]
    assert ledger is not None
    assert ledger.person == person_hash(person.code, ledger.salt)
    assert ledger.person != hashlib.sha256(person.code.encode()).hexdigest()


async def test_what_came_to_an_erased_request_later_goes_with_its_next_close(world: World) -> None:
    """A bounce opened it again and another address was given: the second close erases that too."""
    await world.begin(AT)
    person = Person()
    case = await request(world, person, outcome="fulfilled")
    await activities(world).erase(PrivacyWork(case=case))
    for _ in range(2):
        async with world.sessions() as session, session.begin():
            await PrivacyStore(world.keyring).acts["privacy.close"](session, case, {}, AT)
        assert await dump(world, person) == set()
        async with world.sessions() as session, session.begin():
            party = await session.get(PartyRow, (case, "subject"))
            assert party is not None
            assert (party.name, party.email) == (None, None)
            party.email = person.email


async def test_an_open_case_a_policy_in_force_and_what_a_person_holds_are_kept_with_the_ground(world: World) -> None:
    await world.begin(AT)
    person = Person()
    held = await past(world, person, open_claim=True)
    async with world.sessions() as session, session.begin():
        policy = await session.get(PolicyRow, held["policy"].removeprefix("policy:"))
        assert policy is not None
        policy.ends_on = AT.date() + timedelta(days=1)
    case = await request(
        world, person, outcome="in_part", ground="legal_claim", reason="Tiesvedība.", keep=(held["former"],)
    )
    erased = await activities(world).erase(PrivacyWork(case=case))
    assert erased.kept == dict.fromkeys((held["claim"], held["former"], held["policy"]), "legal_claim")
    assert erased.erased == 1
    left = {entry.partition(" ")[2] for entry in await dump(world, person)}
    assert left == {held["claim"], held["former"], case, ""}
    async with world.sessions() as session:
        party = await session.get(PartyRow, (held["claim"], "C1"))
    assert party is not None
    assert party.other == {"restricted": "legal_claim"}


async def test_an_erasure_that_dies_anywhere_and_is_repeated_ends_the_same(world: World) -> None:
    """The process dies before every single write and commit in turn; the repetition has the same end."""
    await world.begin(AT)
    survived = 0
    for at in count(1):
        person = Person()
        await past(world, person)
        case = await request(world, person, outcome="fulfilled")
        before = await dump(world, person)
        async with crashing(world, at) as store:
            (end,) = await asyncio.gather(
                activities(world, store).erase(PrivacyWork(case=case)), return_exceptions=True
            )
        died = isinstance(end, BaseException)
        assert not isinstance(end, BaseException) or "Crash" in f"{end!r} {end.__cause__!r}"
        async with world.sessions() as session:
            ledger = await session.get(ErasureRow, case)
        if ledger is None or not ledger.plan:
            assert await dump(world, person) == before, "nothing is deleted before the ledger is written"
        first = await activities(world).erase(PrivacyWork(case=case))
        again = await activities(world).erase(PrivacyWork(case=case))
        assert first == again
        assert (first.erased, first.kept) == (4, {})
        assert await dump(world, person) == {f"intake {case}", f"party {case}"}
        survived += 1
        if not died:
            break
    assert survived > 20, "every write had its crash"


async def restriction(world: World, person: Person, **more: Any) -> str:
    """A request whose restriction a person granted, and which is to be lifted with `lifting`."""
    case = await request(world, person)
    async with world.sessions() as session, session.begin():
        row = await session.get_one(CaseRow, case)
        granted = {"restriction": {"outcome": "fulfilled", "by": "op-1"}}
        body = {**row.state["body"], "rights": ["restriction"], "assessments": granted, **more}
        row.state = {**row.state, "body": body}
    return case


async def restricted_by(world: World, case: str) -> dict[str, list[str]]:
    """Party → the requests on whose word it is only stored."""
    async with world.sessions() as session:
        parties = [await session.get_one(PartyRow, (case, party)) for party in ("C1", "C2")]
    return {p.party: list(p.other["restricted_by"]) for p in parties if "restricted_by" in p.other}


async def test_nothing_is_restricted_or_released_that_no_person_decided_on(world: World) -> None:
    await world.begin(AT)
    person = Person()
    held = await past(world, person)
    case = await request(world, person)
    with pytest.raises(ApplicationError, match="no person has decided"):
        await activities(world).restrict(PrivacyWork(case=case))
    case = await restriction(world, person, lifting={"reason": "x", "status": "untold"})
    await activities(world).restrict(PrivacyWork(case=case))
    with pytest.raises(ApplicationError, match="not told"):
        await activities(world).release(PrivacyWork(case=case))
    assert await restricted_by(world, held["claim"]) == {"C1": [case]}


async def test_a_mark_that_dies_anywhere_and_is_repeated_ends_the_same(world: World) -> None:
    """Set and taken away, the process dying before each write and commit: once, and of this request alone."""
    await world.begin(AT)
    for lifting in (None, {"reason": "x", "status": "told"}):
        for at in count(1):
            person = Person()
            held = await past(world, person)
            other = await restriction(world, person)
            await activities(world).restrict(PrivacyWork(case=other))
            case = await restriction(world, person, lifting=lifting)
            if lifting is not None:
                await activities(world).restrict(PrivacyWork(case=case))
            async with crashing(world, at) as store:
                act = getattr(activities(world, store), "restrict" if lifting is None else "release")
                ended = await asyncio.gather(act(PrivacyWork(case=case)), return_exceptions=True)
            whole = getattr(activities(world), "restrict" if lifting is None else "release")
            first = await whole(PrivacyWork(case=case))
            again = await whole(PrivacyWork(case=case))
            assert first.at == again.at
            marked = await restricted_by(world, held["claim"])
            assert marked == {"C1": sorted([other, case]) if lifting is None else [other]}
            if lifting is None:
                assert first == again
                assert set(first.left) == {held["client"], held["policy"]}, "for a person to see to"
            if not isinstance(ended[0], BaseException):
                break
        assert at > 3, "every write had its crash"


class Broken(OwnStore):
    """A data system that is down."""

    name = "archive-server"

    async def locate(self, organisation: str, person: Subject, today: datetime) -> Any:
        raise OSError


async def test_a_data_system_that_does_not_answer_is_named_and_asked_again(world: World) -> None:
    await world.begin(AT)
    case = await request(world, Person())
    systems = (OwnStore(world.sessions, world.keyring), Broken(world.sessions, world.keyring))
    with pytest.raises(ApplicationError, match="archive-server does not answer") as down:
        await PrivacyActivities(world.sessions, systems, world.now).gather(PrivacyWork(case=case))
    assert not down.value.non_retryable
    async with world.sessions() as session:
        assert await session.get(ArchiveRow, case) is None


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("Annai Bērziņai piederošā automašīna", True),
        ("anna.berzina@inbox.example", True),
        ("kods 120390-12345", True),
        ("kods 12039012345.", True),
        ("Jānis Bērziņš", False),
        ("Anna Kalniņa", False),
        ("konts 4120390123450", False),
        ("a.b@example.lv", True),
        ("xa.b@example.lv", False),
    ],
)
def test_a_text_names_a_person_also_declined_and_without_diacritics(written: str, named: bool) -> None:
    names = Names({"name": "Anna Bērziņa", "personal_code": "120390-12345", "email": "a.b@example.lv"})
    assert names(written) is named


@pytest.mark.parametrize(
    ("row", "same"),
    [
        ({"name": "Cits", "personal_code": "12039012345"}, True),
        ({"name": "Anna Bērziņa", "personal_code": "010101-11111", "email": "a.b@example.lv"}, False),
        ({"name": "anna  bērziņa", "email": "A.B@example.lv"}, True),
        ({"name": "Anna Bērziņa", "email": "cita@example.lv"}, False),
        ({"name": "Pēteris", "email": "a.b@example.lv"}, False),
        ({"name": "Anna Bērziņa"}, False),
    ],
)
def test_a_person_is_known_by_code_or_by_name_and_address_together(row: dict[str, Any], same: bool) -> None:
    """A namesake, or somebody who shares an address, is somebody else: their data are neither shown nor erased."""
    assert is_person(Subject(name="Anna Bērziņa", personal_code="120390-12345", email="a.b@example.lv"), row) is same
