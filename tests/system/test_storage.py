"""The night over the storage terms: what is over goes or is asked for, what keeps it is honoured, each thing once."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import col, func, select, update

from integrations.data_systems import Subject
from models.errors import Refusal
from models.names import TASK_QUEUE
from models.storage import Line, StorageReport
from models.tables import CaseRow, IntakeRow, RecordFactRow, RecordHoldRow, RecordRow, StorageItemRow
from operations import erase as erasing
from operations import storage
from operations.erase import erase
from operations.health import ask
from operations.holds import hold_on_person, people_of
from operations.local import Postgres
from operations.operators import Operators
from operations.own_store import OwnStore
from operations.reading import NotFound
from operations.reading_json import Item
from operations.records import Bad, Records
from operations.samples import SAMPLES
from operations.setup import STORAGE, schedule_storage
from operations.storage import Judged, begin, counted, end, look, night_of, report, step
from rules.rulebook import Rulebook, book
from rules.storage import purposes
from security.keys import KeyDestroyed, NoKey
from tests.conftest import make_world, virtual_temporal
from tests.rules.test_storage import with_lines
from tests.system.test_starter import Environment, cli
from tests.system.test_starter import ask as ask_cli
from tests.workflows.test_claim import MONDAY, deciding
from tests.workflows.test_privacy_request import file, identify, person
from tests.world import RIGA, World

CLOSED = datetime(2027, 3, 1, 23, 30, tzinfo=RIGA)
CASE = "claim:BTA:2027-1"
VILNIUS = ZoneInfo("Europe/Vilnius")
SECOND = timedelta(seconds=1)
DAY = date(2027, 3, 1)
AT = datetime(2027, 3, 1, 12, tzinfo=UTC)
_references = count(1)
_runs = count(1)


@pytest.fixture(scope="module")
async def own(postgres: Postgres) -> AsyncIterator[World]:
    """A world of this file alone: a night looks at all that there is, and erases it."""
    async with await virtual_temporal() as environment, make_world(postgres, environment, "storage") as world:
        yield world


def with_value(years: int) -> Rulebook:
    """BTA's book after the controller gave a value for its line of business."""
    return with_lines("BTA", "GJ-claims", f'liability = {{ amount = {years}, unit = "years" }}')


def valued(years: int) -> Callable[[str], Rulebook]:
    """The rulebooks, BTA's with that value."""
    return lambda organisation: with_value(years) if organisation == "BTA" else book(organisation)


def records(world: World, at: datetime = AT) -> Records:
    """What writes records down, at this instant."""
    return Records(world.sessions, world.keyring, lambda: at)


def facts(organisation: str, *duties: str, since: Any = DAY, **more: Any) -> dict[str, Any]:
    """A record that no other test knows."""
    said = since.isoformat() if since is not None else None
    return {
        "organisation": organisation,
        "record": f"r-{next(_references):05d}",
        "system": "archive",
        "purposes": [{"duty": duty, "since": said} for duty in duties],
        **more,
    }


async def loaded(world: World, organisation: str, *duties: str, at: datetime = AT, **more: Any) -> str:
    """The reference of a record that was written down."""
    said = facts(organisation, *duties, **more)
    assert (await records(world, at).say(said)).new
    return str(said["record"])


async def night(world: World, at: datetime) -> StorageReport:
    """A whole run, judged for this instant."""
    n = await begin(world.sessions, f"run-{next(_runs)}", lambda: at)
    while await step(world.sessions, world.keyring, world.var / "backups", lambda: at, n):
        pass
    await end(world.sessions, lambda: at, n)
    return await report(world.sessions, n)


async def found(world: World, key: str, at: datetime) -> Judged:
    """What the run of this instant would find of one case or record."""
    [one] = [one async for one in look(world.sessions, world.keyring, at) if one.key == key]
    return one


async def row(world: World, organisation: str, record: str) -> RecordRow:
    """A record as it stands."""
    async with world.sessions() as session:
        return await session.get_one(RecordRow, (organisation, record))


def number(lines: tuple[Line, ...], duty: str, result: str) -> int:
    """How many of a term came to this."""
    return sum(line.number for line in lines if (line.duty, line.result) == (duty, result))


async def withdrawn(world: World) -> str:
    """A claim that was withdrawn, and closed."""
    case = await deciding(world)
    await world.say(case, "withdraw_claim", withdrawn_at=MONDAY.isoformat(), reference="dms/w")
    await world.stage(case, "closed")
    return case


async def closed_at(world: World, case: str, at: datetime) -> None:
    """Let the case have closed then."""
    async with world.sessions() as session, session.begin():
        await session.exec(update(CaseRow).where(col(CaseRow.case) == case).values(closed_at=at))


# ---- Termins' own claims --------------------------------------------------------------------------------------------


def test_without_the_controllers_value_no_end_is_counted_and_nothing_is_erased() -> None:
    """Line 163 says 10 to 30 years by line: which of them is the controller's to say."""
    term = storage.term_of(CASE, "claim", "BTA", CLOSED, CLOSED + timedelta(days=20000))
    assert term is not None
    assert (term.duty, term.adopted_from, term.last_day, term.due) == ("GJ-claims", "GJ-claims", None, False)
    assert term.fault is not None
    assert "for the line liability (from controller by line)" in term.fault


def test_with_a_value_the_term_runs_from_the_day_of_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last second of the last day, and the first after it; with its derivation."""
    monkeypatch.setattr(storage, "book", lambda _: with_value(10))
    over = datetime(2037, 3, 2, tzinfo=RIGA)
    before = storage.term_of(CASE, "claim", "BTA", CLOSED, over - SECOND)
    after = storage.term_of(CASE, "claim", "BTA", CLOSED, over)
    assert before is not None
    assert after is not None
    assert (before.last_day, before.due, after.due) == (date(2037, 3, 1), False, True)
    assert any("10 years" in line for line in before.derivation)


def test_kinds_without_such_a_duty_have_no_term() -> None:
    assert storage.term_of("renewal:BTA:1", "renewal", "BTA", CLOSED, CLOSED) is None
    assert storage.term_of("claim:SE:1", "claim", "SE", CLOSED, CLOSED) is None


async def test_a_closed_claim_is_judged_and_an_open_one_is_not(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    open_one = await deciding(own)
    closed = await withdrawn(own)
    assert (await found(own, closed, MONDAY)).result == "fault"
    assert open_one not in [one.key async for one in look(own.sessions, own.keyring, MONDAY)]
    monkeypatch.setattr(storage, "book", valued(30))
    kept = await found(own, closed, MONDAY)
    assert (kept.result, kept.last_day) == ("kept", date(2057, 3, 1))
    assert (await found(own, closed, datetime(2057, 3, 2, tzinfo=RIGA) - SECOND)).result == "kept"
    assert (await found(own, closed, datetime(2057, 3, 2, tzinfo=RIGA))).result == "erased"


async def test_a_claim_whose_term_is_over_is_erased_and_the_report_says_by_which_term(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key is destroyed and its columns are empty; again there is nothing of it."""
    monkeypatch.setattr(storage, "book", valued(10))
    over = await withdrawn(own)
    await closed_at(own, over, datetime(2017, 2, 27, 12, tzinfo=RIGA))
    younger = await withdrawn(own)
    at = night_of(DAY)
    before = await counted(look(own.sessions, own.keyring, at))
    done = await night(own, at)
    assert done.lines == before
    assert [(line.organisation, line.what, line.number) for line in done.lines if line.result == "erased"] == [
        ("BTA", "claim", 1)
    ]
    async with own.sessions() as session:
        assert (await session.get_one(IntakeRow, over)).erased_at is not None
        assert (await session.get_one(IntakeRow, younger)).erased_at is None
        items = (await session.exec(select(StorageItemRow).where(StorageItemRow.key == over))).all()
    assert [(item.duty, item.result) for item in items] == [("GJ-claims", "erased")]
    assert [(one.case, one.duty) for one in done.erased] == [(over, "GJ-claims")]
    with pytest.raises(KeyDestroyed):
        await own.keyring.of(over)
    assert number((await night(own, at)).lines, "GJ-claims", "erased") == 0


async def test_without_a_value_the_night_erases_nothing_and_reports_an_error(own: World) -> None:
    over = await withdrawn(own)
    await closed_at(own, over, datetime(1990, 1, 1, tzinfo=RIGA))
    done = await night(own, night_of(DAY))
    [line] = [line for line in done.lines if (line.duty, line.what) == ("GJ-claims", "claim")]
    assert line.result == "fault"
    assert "no value for the line liability" in line.why
    async with own.sessions() as session:
        assert (await session.get_one(IntakeRow, over)).erased_at is None


async def test_a_recovery_is_kept_from_what_its_case_was_told(own: World) -> None:
    """GJ-recovery: the later of the debt's end and the suit's; before one of them nothing runs, however old it is."""
    at = datetime(2037, 5, 3, tzinfo=RIGA)
    rulebook = book("BTA")
    duty, purpose = "GJ-recovery", purposes(rulebook)["GJ-recovery"]
    closed = storage.Closed("recovery:BTA:1", "recovery", "BTA", MONDAY)
    assert storage._term_of_case(rulebook, duty, purpose, closed, None).due is None
    assert storage._term_of_case(rulebook, duty, purpose, closed, date(2037, 5, 2)).due == at


async def test_a_kind_without_a_storage_term_is_the_controllers_to_set_and_no_error(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No document has a term for it. Nothing of it is erased until the controller says how long it is kept."""
    await own.begin(MONDAY)
    async with own.sessions() as session, session.begin():
        case = await withdrawn(own)
        await session.exec(update(CaseRow).where(col(CaseRow.case) == case).values(kind="late_premium"))
    one = await found(own, case, night_of(date(2099, 1, 1)))
    assert (one.result, one.why, one.duty) == ("unset", storage.NO_TERM, "")
    await closed_at(own, case, MONDAY)
    rulebook = book("BTA")
    set_ = {"late_premium": {"amount": 24, "unit": "months", "document": "rīkojums 7"}}
    values = {**rulebook.values, "keeping": {**rulebook.values["keeping"], "cases": set_}}
    told = rulebook.model_copy(update={"values": values})
    monkeypatch.setattr(storage, "book", lambda _: told)
    over = datetime(MONDAY.year + 2, MONDAY.month, MONDAY.day, tzinfo=RIGA) + timedelta(days=1)
    kept, gone = await found(own, case, over - SECOND), await found(own, case, over)
    assert (kept.result, kept.duty, kept.due) == ("kept", "keeping.late_premium", over)
    assert (gone.result, gone.derivation[0]) == (
        *("erased", "set by the controller, for no document has a term for late_premium cases: rīkojums 7"),
    )
    term = storage.term_of(case, "late_premium", "BTA", MONDAY, over)
    assert term is not None
    assert (term.due, term.clause, term.owner) == (True, "rīkojums 7", "controller")
    monkeypatch.undo()
    async with own.sessions() as session, session.begin():
        await session.exec(update(CaseRow).where(col(CaseRow.case) == case).values(kind="claim"))


async def test_a_case_that_nobody_can_open_is_an_error_and_holds_up_no_other(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key is lost, or its organisation's rulebook is gone: the night goes on with the rest."""
    monkeypatch.setattr(storage, "book", valued(10))
    lost, whole = await withdrawn(own), await withdrawn(own)
    for case in (lost, whole):
        await closed_at(own, case, datetime(2016, 1, 1, tzinfo=RIGA))
    look_up = people_of

    async def people(session: Any, keyring: Any, case: str) -> list[bytes]:
        if case == lost:
            raise NoKey(f"there is no key for {case}")
        return await look_up(session, keyring, case)

    monkeypatch.setattr(storage, "people_of", people)
    assert (await found(own, lost, AT)).why == storage.NO_KEY
    assert number((await night(own, AT)).lines, "GJ-claims", "erased") >= 1
    async with own.sessions() as session:
        assert (await session.get_one(IntakeRow, lost)).erased_at is None
        assert (await session.get_one(IntakeRow, whole)).erased_at is not None
    monkeypatch.setattr(storage, "books", dict)
    assert (await found(own, lost, AT)).why == storage.NO_BOOK


# ---- records elsewhere ----------------------------------------------------------------------------------------------

TERMS = [
    ("SE", "SE-11.2.1", DAY, date(2077, 3, 1)),
    ("SE", "SE-11.2.2", DAY, DAY),
    ("SE", "SE-11.2.3", date(2028, 2, 29), date(2043, 2, 28)),
    ("SE", "SE-11.2.4", date(2028, 2, 29), date(2030, 2, 28)),
    ("SE", "SE-11.2.5", date(2026, 10, 31), date(2027, 2, 28)),
    ("SE", "SE-11.2.6", DAY, date(2028, 3, 1)),
    ("SE", "SE-11.2.7", DAY, date(2037, 3, 1)),
    ("SE", "SE-33.3.10", DAY, date(2029, 3, 1)),
    ("SE", "SE-33.4.1", DAY, date(2029, 3, 1)),
    ("DZ", "DZ-14.5.2", DAY, DAY),
    ("DZ", "DZ-14.5.3", DAY, DAY),
    ("GJ", "GJ-quotes", date(2028, 2, 29), date(2030, 2, 28)),
    ("GJ", "GJ-recovery", DAY, date(2037, 3, 1)),
    ("GJ", "GJ-calls", DAY, date(2037, 3, 1)),
    ("GJ", "GJ-sanctions-term", DAY, DAY),
    ("GJ", "GJ-enquiries", DAY, DAY),
    ("GJ", "GJ-purchase", date(2027, 3, 26), date(2027, 4, 2)),
    ("GJ", "GJ-marketing-term", DAY, date(2029, 3, 1)),
    ("GJ", "GJ-survey", DAY, date(2027, 3, 31)),
]


@pytest.mark.parametrize(("organisation", "duty", "since", "last_day"), TERMS, ids=[t[1] for t in TERMS])
async def test_the_night_finds_each_term_of_each_organisation(
    own: World, organisation: str, duty: str, since: date, last_day: date
) -> None:
    """In the last second of the last day it is kept; from the first after it its destruction is asked for."""
    record = await loaded(own, organisation, duty, since=since)
    zone = ZoneInfo(book(organisation).zone)
    over = datetime.combine(last_day + timedelta(days=1), datetime.min.time(), zone)
    assert (await found(own, record, over - SECOND)).result == "kept"
    assert (await found(own, record, over)).result == "asked"
    await night(own, over - SECOND)
    assert (await row(own, organisation, record)).asked_at is None
    done = await night(own, over)
    assert number(done.lines, duty, "asked") >= 1
    assert (await row(own, organisation, record)).asked_at == over


@pytest.mark.parametrize("duty", ["GJ-contracts", "GJ-claims"])
async def test_a_term_by_line_without_a_value_is_an_error_and_with_one_it_is_counted(
    own: World, monkeypatch: pytest.MonkeyPatch, duty: str
) -> None:
    record = await loaded(own, "GJ", duty, since=date(2016, 2, 29), line="motor")
    one = await found(own, record, AT)
    assert one.result == "fault"
    assert "for the line motor" in one.why
    done = await night(own, AT)
    assert number(done.lines, duty, "fault") >= 1
    assert (await row(own, "GJ", record)).asked_at is None
    lines = with_lines("GJ", duty, 'motor = { amount = 10, unit = "years" }')
    monkeypatch.setattr(storage, "book", lambda of: lines if of == "GJ" else book(of))
    over = datetime(2026, 3, 1, tzinfo=VILNIUS)
    assert (await found(own, record, over - SECOND)).result == "kept"
    assert (await found(own, record, over)).result == "asked"
    with pytest.raises(Refusal, match=f"line: not said; the term {duty} is given by line"):
        await records(own).say(facts("GJ", duty))


async def test_a_moved_visit_moves_its_term(own: World) -> None:
    """SE-11.2.2: the later fact replaces the anchor, also after destruction was asked for; both facts stay."""
    said = facts("SE", "SE-11.2.2", since=date(2027, 3, 1))
    record = said["record"]
    first, moved = datetime(2027, 3, 2, tzinfo=VILNIUS), datetime(2027, 3, 9, tzinfo=VILNIUS)
    assert (await records(own).say(said)).new
    await night(own, first)
    assert (await row(own, "SE", record)).asked_at == first
    later = {**said, "purposes": [{"duty": "SE-11.2.2", "since": "2027-03-08T16:30:00+02:00"}]}
    assert (await records(own).say(later)).changed
    assert not (await records(own).say(later)).changed, "the same again changes nothing"
    assert (await found(own, record, moved - SECOND)).result == "kept"
    await night(own, moved - SECOND)
    assert (await row(own, "SE", record)).asked_at is None
    await night(own, moved)
    assert (await row(own, "SE", record)).asked_at == moved
    async with own.sessions() as session:
        facts_said = (await session.exec(select(RecordFactRow).where(RecordFactRow.record == record))).all()
    assert [fact.n for fact in facts_said] == [1, 2]


async def test_a_record_with_two_purposes_goes_with_the_longest(own: World) -> None:
    """DZ-14.5.3, and a patient's record that also serves reminders; a missing value for one keeps all."""
    record = await loaded(own, "SE", "SE-11.2.4", "SE-11.2.3", since=date(2027, 3, 1))
    one = await found(own, record, datetime(2029, 3, 2, tzinfo=VILNIUS))
    assert (one.result, one.duty, one.last_day) == ("kept", "SE-11.2.3", date(2042, 3, 1))
    both = await loaded(own, "GJ", "GJ-calls", "GJ-contracts", since=date(1990, 1, 1), line="motor")
    assert (await found(own, both, AT)).result == "fault"
    said = facts("DZ", medium="paper")
    said["purposes"] = [{"duty": "DZ-14.5.2", "since": "2027-03-01"}, {"duty": "DZ-14.5.3", "since": "2030-05-05"}]
    await records(own).say(said)
    assert (await found(own, said["record"], AT)).last_day == date(2030, 5, 5)


async def test_a_documented_exception_keeps_longer_and_only_where_there_are_any(own: World) -> None:
    """SE-11.3; SE-11.2.5: a candidate consented to be kept longer. GJ's document has no exceptions."""
    longer = {"until": "2027-12-31", "document": "dms/consent-7"}
    record = await loaded(own, "SE", "SE-11.2.5", since=date(2026, 10, 31), longer=longer)
    over = datetime(2028, 1, 1, tzinfo=VILNIUS)
    assert (await found(own, record, over - SECOND)).result == "kept"
    one = await found(own, record, over)
    assert (one.result, one.last_day) == ("asked", date(2027, 12, 31))
    assert any("dms/consent-7" in line for line in one.derivation)
    with pytest.raises(Refusal, match="GJ's rulebook has no exceptions"):
        await records(own).say(facts("GJ", "GJ-quotes", longer=longer))


# ---- what keeps it --------------------------------------------------------------------------------------------------


async def test_a_legal_hold_keeps_what_is_over_until_it_is_lifted(own: World) -> None:
    """SE-11.4: on a record; destruction is not asked for, nor taken; lifting it lets the next night go on."""
    record = await loaded(own, "SE", "SE-11.2.6", since=date(2026, 2, 1))
    await night(own, AT)
    assert (await row(own, "SE", record)).asked_at == AT
    hold = {"organisation": "SE", "hold": f"h-{record}", "document": "dms/claim-1", "record": record}
    assert (await records(own).hold(hold)).stands
    assert (await records(own).hold(hold)).stands, "again is the same"
    assert (await row(own, "SE", record)).asked_at is None
    one = await found(own, record, AT)
    assert (one.result, one.why, one.by) == ("held", "legal_hold", f"h-{record}")
    assert number((await night(own, AT)).lines, "SE-11.2.6", "held") >= 1
    proof = {"proof": "dms/act-1", "way": "beyond_recovery", "destroyed_at": AT.isoformat()}
    with pytest.raises(Refusal, match=f"the legal hold h-{record} keeps it"):
        await records(own).destroyed("SE", record, proof)
    assert not (await records(own).lift("SE", f"h-{record}")).stands
    later = AT + timedelta(days=1)
    await night(own, later)
    assert (await row(own, "SE", record)).asked_at == later
    with pytest.raises(Refusal, match="was lifted"):
        await records(own).hold(hold)


async def test_a_hold_on_a_person_keeps_every_record_and_case_of_that_person(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known by a keyed hash only; while it stands nobody erases the person from a case either."""
    monkeypatch.setattr(storage, "book", valued(10))
    code = "120385-11223"
    mine = await loaded(own, "BTA", "GJ-sanctions-term", since=date(2026, 1, 1), person=code)
    other = await loaded(own, "BTA", "GJ-sanctions-term", since=date(2026, 1, 1), person="010190-22334")
    case = await withdrawn(own)
    await closed_at(own, case, datetime(2016, 1, 1, tzinfo=RIGA))
    hold = {"organisation": "BTA", "hold": "suit-77", "document": "dms/suit-77"}
    await records(own).hold({**hold, "person": "12038511223"})
    assert (await found(own, mine, AT)).by == "suit-77"
    assert (await found(own, other, AT)).result == "asked"
    async with own.sessions() as session:
        assert await hold_on_person(session, own.keyring, "BTA", code, "claim:BTA:any")
        assert not await hold_on_person(session, own.keyring, "GJ", code, "claim:GJ:any")
        [stored] = (await session.exec(select(RecordHoldRow.person).where(RecordHoldRow.hold == "suit-77"))).all()
    assert stored is not None
    assert b"120385" not in stored
    subject = Subject(name="Anna Bērziņa", personal_code=code)
    assert not await OwnStore(own.sessions, own.keyring).erase(subject, case, AT)
    await records(own).lift("BTA", "suit-77")
    # a hold on a case keeps it from the night, from the command, and from an erasure on request
    await records(own).hold({**hold, "hold": "suit-78", "case": case})
    assert (await found(own, case, AT)).why == "legal_hold"
    assert number((await night(own, AT)).lines, "GJ-claims", "held") == 1
    with pytest.raises(Refusal, match="the legal hold suit-78 keeps it"):
        await erase(own.sessions, own.keyring, case, own.var / "backups", own.now)
    assert not await OwnStore(own.sessions, own.keyring).erase(subject, case, AT)
    await records(own).lift("BTA", "suit-78")
    assert number((await night(own, AT)).lines, "GJ-claims", "erased") == 1


async def test_an_open_privacy_request_keeps_what_is_over_until_it_is_answered(own: World) -> None:
    """What was asked for is not destroyed meanwhile: access could not be given any more."""
    who = person()
    record = await loaded(own, "SE", "SE-11.2.6", since=date(2026, 2, 1), person=who["personal_code"])
    await own.begin(MONDAY)
    case = await file(own, "SE", "access", who=who, at=MONDAY)
    await own.stage(case, "identifying")
    one = await found(own, record, AT)
    assert (one.result, one.why, one.by) == ("held", "privacy_request", case)
    proof = {"proof": "dms/act-1", "way": "beyond_recovery", "destroyed_at": AT.isoformat()}
    with pytest.raises(Refusal, match=f"the open privacy request {case} keeps it"):
        await records(own).destroyed("SE", record, proof)
    async with own.sessions() as session, session.begin():
        await session.exec(update(CaseRow).where(col(CaseRow.case) == case).values(stage="resting"))
    assert (await found(own, record, AT)).result == "asked"
    async with own.sessions() as session, session.begin():
        await session.exec(update(CaseRow).where(col(CaseRow.case) == case).values(stage="identifying"))
    await identify(own, case, MONDAY)


async def test_only_who_may_lifts_a_hold(own: World) -> None:
    """What follows cannot be taken back: the role security. Whoever handles cases may place one."""
    await Operators(own.sessions, own.now).add("op-hold", ["SE"], ["handle"])
    record = await loaded(own, "SE", "SE-11.2.6")
    hold = {"organisation": "SE", "hold": f"h-{record}", "document": "dms/c", "record": record}
    await records(own).hold(hold, "op-hold")
    with pytest.raises(Refusal, match="lacks the role security"):
        await records(own).lift("SE", f"h-{record}", "op-hold")
    with pytest.raises(Refusal, match="does not work for GJ"):
        await records(own).say(facts("GJ", "GJ-quotes"), "op-hold")
    with pytest.raises(NotFound):
        await records(own).lift("SE", "no-such-hold")


# ---- destruction and its proof --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("medium", "way", "wrong"), [("paper", "shredded", "beyond_recovery"), ("system", "beyond_recovery", "shredded")]
)
async def test_paper_is_shredded_and_systems_are_erased_beyond_recovery(
    own: World, medium: str, way: str, wrong: str
) -> None:
    """SE-12.2, SE-12.3: by hand, with a proof; said again it is the same, and what came later is refused."""
    record = await loaded(own, "SE", "SE-11.2.6", since=date(2026, 2, 1), medium=medium, person="010190-33445")
    await night(own, AT)
    proof = {"proof": "dms/act-9", "way": way, "destroyed_at": (AT + timedelta(hours=1)).isoformat()}
    at = AT + timedelta(hours=2)
    with pytest.raises(Refusal, match="way: "):
        await records(own, at).destroyed("SE", record, {**proof, "way": wrong})
    with pytest.raises(Refusal, match="destroyed_at: lies in the future"):
        await records(own, AT).destroyed("SE", record, proof)
    proven = await records(own, at).destroyed("SE", record, proof)
    assert (proven.duty, proven.late) == ("SE-11.2.6", False)
    assert await records(own, at).destroyed("SE", record, proof) == proven
    gone = await row(own, "SE", record)
    assert (gone.proof, gone.way, gone.person) == ("dms/act-9", way, None)
    assert record not in [one.key async for one in look(own.sessions, own.keyring, at)]
    with pytest.raises(Refusal, match="was destroyed; what comes anew"):
        await records(own).say({**facts("SE", "SE-11.2.6"), "record": record})


async def test_what_is_not_over_may_not_be_destroyed(own: World) -> None:
    """Nor what cannot be counted; of a log the minimum decides, and between minimum and maximum it may go."""
    proof = {"proof": "dms/act-9", "way": "beyond_recovery", "destroyed_at": AT.isoformat()}
    refused = [("SE", "SE-11.2.3", DAY, "keeps it until 2042"), ("SE", "SE-11.2.1", None, "has not begun")]
    for organisation, duty, since, why in refused:
        record = await loaded(own, organisation, duty, since=since)
        with pytest.raises(Refusal, match=why):
            await records(own).destroyed(organisation, record, proof)
    record = await loaded(own, "GJ", "GJ-contracts", since=date(1990, 1, 1), line="motor")
    with pytest.raises(Refusal, match="no value for the line motor"):
        await records(own).destroyed("GJ", record, proof)
    least = datetime(2027, 3, 1, tzinfo=VILNIUS)
    log = await loaded(own, "SE", "SE-33.3.10", since=date(2026, 2, 28))
    early = {**proof, "destroyed_at": (least - SECOND).isoformat()}
    with pytest.raises(Refusal, match=r"SE-33\.3\.10 keeps it until"):
        await records(own).destroyed("SE", log, early)
    assert (await found(own, log, AT)).result == "kept"
    assert (await records(own).destroyed("SE", log, {**proof, "destroyed_at": least.isoformat()})).duty == "SE-33.3.10"


async def test_destruction_that_is_not_proven_in_time_is_overdue_and_health_says_so(own: World) -> None:
    """A week from the night that asked; the proof that comes later is marked as late."""
    record = await loaded(own, "DZ", "DZ-14.5.2", since=date(2027, 2, 26), medium="paper")
    asked = night_of(date(2027, 3, 1))
    await night(own, asked)
    by = datetime(2027, 3, 9, tzinfo=RIGA)
    assert (await row(own, "DZ", record)).proof_by == by
    assert (await found(own, record, by - SECOND)).result == "waiting"
    assert (await found(own, record, by)).result == "overdue"
    done = await night(own, by)
    assert number(done.lines, "DZ-14.5.2", "overdue") >= 1
    health = await ask(own.sessions, own.client, own.keyring.answers, own.var / "checkpoints", by)
    [part] = [part for part in health.parts if part.name == "destruction"]
    assert (part.problem or "").startswith("records whose destruction is overdue: ")
    assert [line.record for line in await records(own, by).lines("DZ", overdue=True)] == [record]
    late = {"proof": "dms/act-2", "way": "shredded", "destroyed_at": by.isoformat()}
    assert (await records(own, by).destroyed("DZ", record, late)).late
    assert not await records(own, by).lines("DZ", overdue=True)


async def test_a_night_that_did_not_come_or_did_not_end_is_said(own: World) -> None:
    at = datetime(2035, 1, 1, 2, tzinfo=UTC)
    n = await begin(own.sessions, "unended", lambda: at)

    async def said(now: datetime) -> str:
        health = await ask(own.sessions, own.client, own.keyring.answers, own.var / "checkpoints", now)
        return next(part.problem or "" for part in health.parts if part.name == "destruction")

    assert "has not ended for 3 hours" in await said(at + timedelta(hours=3))
    while await step(own.sessions, own.keyring, own.var / "backups", lambda: at, n):
        pass
    await end(own.sessions, lambda: at, n)
    assert "has not ended" not in await said(at + timedelta(hours=3))
    assert "began 27 hours ago" in await said(at + timedelta(hours=27))


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({"purposes": []}, ["purposes: "]),
        ({"purposes": [{"duty": "GJ-quotes", "since": "2027-03-01"}]}, ["SE has no storage term GJ-quotes"]),
        ({"purposes": [{"duty": "SE-11.4", "since": "2027-03-01"}]}, ["SE has no storage term SE-11.4"]),
        ({"purposes": [{"duty": "SE-11.2.3", "since": "2027-02-30"}]}, ["purposes.0.since"]),
        ({"purposes": [{"duty": "SE-11.2.3", "since": "2027-03-01T10:00"}]}, ["offset"]),
        (
            {"purposes": [{"duty": "SE-11.2.3", "since": None, "withdrawn_at": "2027-03-01T10:00Z"}]},
            ["SE-11.2.3 does not rest on consent"],
        ),
        (
            {"record": "120385-11223", "system": "A B", "name": "Jonas"},
            ["record: looks like", "system: ", "name: unknown"],
        ),
        ({"organisation": "ZZ"}, ["organisation: it has no rulebook with storage terms"]),
        ({"organisation": 7}, ["organisation: "]),
        ({"medium": "stone"}, ["medium: "]),
    ],
)
async def test_a_faulty_record_is_refused_with_every_fault(
    own: World, change: dict[str, Any], faults: list[str]
) -> None:
    with pytest.raises(Refusal) as refused:
        await records(own).say({**facts("SE", "SE-11.2.3"), **change})
    for fault in faults:
        assert any(fault in one for one in refused.value.faults), refused.value.faults
    assert "Jonas" not in str(refused.value)


async def test_a_faulty_hold_is_refused(own: World) -> None:
    base = {"organisation": "SE", "hold": "h-x", "document": "dms/x"}
    for more, fault in (
        ({}, "exactly one"),
        ({"record": "a", "case": "claim:SE:1"}, "exactly one"),
        ({"record": "no-such"}, "SE has no record no-such"),
        ({"case": "claim:BTA:1"}, "of another organisation"),
        ({"case": "claim:SE:nothing"}, "there is no case"),
    ):
        with pytest.raises(Refusal, match=fault):
            await records(own).hold({**base, **more})
    bad = await records(own).take(Item(line=3, value={"organisation": "SE"}))
    assert isinstance(bad, Bad)
    assert bad.row == 3


# ---- the preview, crashes, the engine -------------------------------------------------------------------------------


async def test_the_preview_says_what_the_night_then_does_and_changes_nothing(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over all that this file has left, in batches of three: each thing once, and nothing is forgotten."""
    monkeypatch.setattr(storage, "AT_A_TIME", 3)
    monkeypatch.setattr(storage, "book", valued(10))
    case = await withdrawn(own)
    await closed_at(own, case, datetime(2017, 1, 1, tzinfo=RIGA))
    for organisation, duty in (("SE", "SE-11.2.6"), ("GJ", "GJ-survey"), ("DZ", "DZ-14.5.3"), ("SE", "SE-11.2.4")):
        for since in (date(2020, 1, 1), DAY, None):
            await loaded(own, organisation, duty, since=since)
    at = night_of(date(2027, 4, 15))

    async def everything() -> list[Any]:
        async with own.sessions() as session:
            return [
                (await session.exec(select(func.count()).select_from(table))).one() for table in (RecordRow, CaseRow)
            ] + [r.model_dump() for r in (await session.exec(select(RecordRow).order_by(RecordRow.record))).all()]

    before = await everything()
    preview = [one async for one in look(own.sessions, own.keyring, at)]
    assert await everything() == before
    assert len({(one.organisation, one.what, one.key) for one in preview}) == len(preview)
    done = await night(own, at)
    assert done.lines == await counted(_again(preview))
    assert {"kept", "asked", "erased", "fault"} <= {line.result for line in done.lines}
    assert sum(line.number for line in done.lines) == len(preview)
    newest = await report(own.sessions)
    assert newest == done
    assert all(line.organisation == "SE" for line in (await report(own.sessions, organisation="SE")).lines)
    with pytest.raises(NotFound):
        await report(own.sessions, 99_999)


async def _again(found: list[Judged]) -> AsyncIterator[Judged]:
    for one in found:
        yield one


@pytest.mark.parametrize("dies", ["before", "after"])
async def test_a_death_at_the_erasure_loses_no_case_and_counts_none_twice(
    own: World, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    """Before the key goes, or after it and before that is written down: the next step ends it."""
    monkeypatch.setattr(storage, "book", valued(10))
    cases = [await withdrawn(own) for _ in range(2)]
    for case in cases:
        await closed_at(own, case, datetime(2017, 1, 1, tzinfo=RIGA))
    at = night_of(date(2027, 4, 16))
    preview = await counted(look(own.sessions, own.keyring, at))
    deaths: list[str] = []

    async def dying(*args: Any) -> Any:
        if len(deaths) < 2:
            deaths.append(args[2])
            if dies == "after":
                await erase(*args)
            raise ConnectionError("the worker died")
        return await erase(*args)

    monkeypatch.setattr(storage, "erase", dying)
    n = await begin(own.sessions, f"death-{dies}", lambda: at)
    assert n == await begin(own.sessions, f"death-{dies}", lambda: at), "begun again it is the same run"
    going = True
    while going:
        try:
            going = await step(own.sessions, own.keyring, own.var / "backups", lambda: at, n)
        except ConnectionError:
            continue
    await end(own.sessions, lambda: at, n)
    assert len(deaths) == 2
    assert (await report(own.sessions, n)).lines == preview
    for case in cases:
        with pytest.raises(KeyDestroyed):
            await own.keyring.of(case)


async def test_what_comes_between_the_judgement_and_the_erasure_wins(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hold that is placed after the night judged: nothing goes, and the report says so."""
    monkeypatch.setattr(storage, "book", valued(10))
    case = await withdrawn(own)
    await closed_at(own, case, datetime(2017, 1, 1, tzinfo=RIGA))
    at = night_of(date(2027, 4, 17))
    n = await begin(own.sessions, "between", lambda: at)

    async def planned() -> bool:
        async with own.sessions() as session:
            return await session.get(StorageItemRow, (n, case)) is not None

    while not await planned():
        assert await step(own.sessions, own.keyring, own.var / "backups", lambda: at, n)
    await records(own).hold({"organisation": "BTA", "hold": "late-1", "document": "dms/late", "case": case})
    while await step(own.sessions, own.keyring, own.var / "backups", lambda: at, n):
        pass
    await end(own.sessions, lambda: at, n)
    lines = (await report(own.sessions, n)).lines
    assert [
        (line.result, line.why)
        for line in lines
        if line.duty == "GJ-claims" and line.what == "claim" and line.result == "held"
    ] == [("held", storage.CAME_BETWEEN)]
    async with own.sessions() as session:
        assert (await session.get_one(IntakeRow, case)).erased_at is None
    await records(own).lift("BTA", "late-1")


RUNNER = """
import asyncio, sys
from datetime import datetime
from pathlib import Path
from integrations.data_systems import Subject
from operations import storage
from operations.store import engine, keyring, sessions
from security.master import MasterKeyFile

async def main(url, keys_url, var, at, n):
    storage.AT_A_TIME = 5
    keys = keyring(keys_url, MasterKeyFile(Path(var) / "keys" / "master"))
    made = sessions(engine(url, keys))
    while await storage.step(made, keys, Path(var) / "backups", lambda: datetime.fromisoformat(at), int(n)):
        print("step", flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_process_that_is_killed_in_the_middle_of_the_run_leaves_it_whole(
    own: World, postgres: Postgres
) -> None:
    """SIGKILL between and within batches; another process goes on where it was, and the numbers are the preview's."""
    for _ in range(60):
        await loaded(own, "SE", "SE-11.2.6", since=date(2020, 1, 1))
    at = night_of(date(2027, 4, 18))
    preview = await counted(look(own.sessions, own.keyring, at))
    n = await begin(own.sessions, "killed", lambda: at)
    words = [postgres.url("storage"), postgres.url("storage_keys"), str(own.var), at.isoformat(), str(n)]
    root = Path(__file__).parents[2]
    for steps in (1, 3):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", RUNNER, *words, cwd=root, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(steps):
            assert await process.stdout.readline() == b"step\n"
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
    while await step(own.sessions, own.keyring, own.var / "backups", lambda: at, n):
        pass
    await end(own.sessions, lambda: at, n)
    assert (await report(own.sessions, n)).lines == preview


async def test_the_schedule_runs_it_every_night_and_setup_makes_it_once(own: World) -> None:
    """The workflow, its activities and its result in the UI; what the report has."""
    assert await schedule_storage(own.client) == "schedules: a run over the storage terms every night"
    assert await schedule_storage(own.client) == "schedules: the run over the storage terms is there"
    described = await own.client.get_schedule_handle(STORAGE).describe()
    [every] = described.schedule.spec.intervals
    assert (every.every, every.offset) == (timedelta(days=1), timedelta(hours=2))
    await own.begin(datetime.now(UTC))
    totals = await own.client.execute_workflow("Storage", id="storage-by-hand", task_queue=TASK_QUEUE)
    done = await report(own.sessions, totals["n"])
    assert done.ended_at is not None
    assert sum(totals["results"].values()) == sum(line.number for line in done.lines)
    await own.client.get_schedule_handle(STORAGE).pause()
    health = await ask(own.sessions, own.client, own.keyring.answers, own.var / "checkpoints", own.now())
    said = {part.name: part.problem for part in health.parts}
    assert said["storage"] == "the schedule of storage terms is paused: nothing is erased by itself"


# ---- the command line -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("present")
async def test_records_and_storage_on_the_command_line(where: Environment) -> None:
    """Load, preview, hold, lift, destroy with proof; every fault is said once, and nothing shows a personal code."""
    said = facts("SE", "SE-11.2.6", since=date(2020, 1, 1), medium="paper", person="120385-99887")
    ref = said["record"]
    rows = json.dumps([said, {**said, "record": "a b"}])
    loaded_rows = await ask_cli(where, "records", "load", data=rows, code=1)
    assert (loaded_rows["new"], len(loaded_rows["bad"])) == (1, 1)
    assert "120385" not in json.dumps(loaded_rows)
    assert (await ask_cli(where, "records", "load", data=json.dumps(said)))["unchanged"] == 1
    due = await ask_cli(where, "storage", "--due", "--organisation", "SE")
    assert ref in [one["key"] for one in due if one["result"] == "asked"]
    earlier = await ask_cli(where, "storage", "--due", "--on", "2020-06-01", "--organisation", "SE")
    assert ref not in [one["key"] for one in earlier]
    assert ref in (await cli(where, "storage", "--due", "--organisation", "SE")).stdout
    hold = json.dumps({"organisation": "SE", "hold": f"h-{ref}", "document": "dms/1", "record": ref})
    assert "stands" in (await cli(where, "records", "hold", data=hold)).stdout
    assert "held back: legal hold" in (await cli(where, "storage", "--due", "--organisation", "SE")).stdout
    destroy = ("records", "destroyed", "SE", ref, "--proof", "dms/act-1", "--at", datetime.now(UTC).isoformat())
    assert "keeps it" in (await cli(where, *destroy, "--way", "shredded", code=1)).stderr
    assert "is lifted" in (await cli(where, "records", "lift", "SE", f"h-{ref}")).stdout
    assert "way: " in (await cli(where, *destroy, "--way", "burnt", code=1)).stderr
    assert "destroyed, by SE-11.2.6" in (await cli(where, *destroy, "--way", "shredded")).stdout
    [line] = [one for one in await ask_cli(where, "records", "list", "--organisation", "SE") if one["record"] == ref]
    assert (line["state"], line["proof"]) == ("destroyed", "dms/act-1")
    assert "There is no such record." in (await cli(where, "records", "list", "--overdue")).stdout
    await cli(where, "storage", "--on", "tomorrow", code=2)
    await cli(where, "storage", "--report", "--due", code=2)
    await cli(where, "storage", "--report", "--run", "99999", code=3)
    await cli(where, "records", "lift", "SE", "no-such", code=3)
    await cli(where, "records", "destroyed", "SE", "no-such", "--proof", "a", "--way", "shredded", "--at", "x", code=3)


async def test_the_report_on_the_command_line(world: World, where: Environment) -> None:
    """By hand as the schedule does it, for what there is in the store of these tests; nothing there is over."""
    n = await begin(world.sessions, "by-hand", lambda: datetime(2020, 1, 1, tzinfo=UTC))
    while await step(world.sessions, world.keyring, world.var / "backups", partial(datetime.now, UTC), n):
        pass
    await end(world.sessions, partial(datetime.now, UTC), n)
    told = await ask_cli(where, "storage", "--report", "--run", str(n))
    assert told["n"] == n
    assert all(line["result"] in ("kept", "unset", "fault", "held") for line in told["lines"])
    assert f"run {n} of 2020-01-01T00:00:00Z" in (await cli(where, "storage", "--report", "--run", str(n))).stdout


async def test_the_samples_are_records_of_each_kind(own: World) -> None:
    """What the demo loads: again it is the same, also after a record of it was destroyed."""
    said = json.loads((SAMPLES / "records.json").read_text(encoding="utf-8"))
    assert all([(await records(own).say(one)).new for one in said])
    assert not any([(await records(own).say(one)).new for one in said])
    at = datetime(2026, 11, 23, 12, tzinfo=UTC)
    results = {one["record"]: (await found(own, one["record"], at)).result for one in said}
    assert results == {
        "vizitas-2026-000871": "asked",
        "kortele-2009-0112": "asked",
        "kandidatas-2026-17": "kept",
        "mape-2019-03": "asked",
        "pasiulymas-24-55120": "asked",
        "sutartis-96-00417": "fault",
        "rinkodara-88123": "asked",
    }
    proof = {"proof": "dms/act-3", "way": "beyond_recovery", "destroyed_at": at.isoformat()}
    await records(own).destroyed("SE", "vizitas-2026-000871", proof)
    assert not (await records(own).say(said[0])).changed


async def test_a_key_goes_only_once_the_run_of_its_case_has_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A death between a closing and the end of its run: without the key the run would fail for ever."""
    monkeypatch.setattr(erasing, "ENDS_WITHIN", 1)
    case = await withdrawn(world)
    await world.handle(case).result()
    await erasing.run_ended(world.client, case)
    await erasing.run_ended(world.client, "claim:BTA:NO-RUN")
    running = await deciding(world)
    with pytest.raises(Refusal, match="has not ended yet"):
        await erasing.run_ended(world.client, running)
