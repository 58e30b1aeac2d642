"""Ended policies in the night over the storage terms: when they go, what keeps them, and that nobody is named after."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlmodel import col, select, update

from integrations.data_systems import Subject
from models.errors import Refusal
from models.tables import IntakeRow, LimitRow, PolicyEntryRow, PolicyRow, StorageItemRow
from operations import key_backup, policy_terms, refusing, storage
from operations.erase import LEDGER, erase
from operations.holds import hold_on_person
from operations.limits import limits_of
from operations.local import Postgres
from operations.own_store import OwnStore
from operations.policies import Policies
from operations.policy_terms import empty_policies_again, erase_policy
from operations.records import Records
from operations.renewal import object_to_reminders
from operations.storage import Judged, begin, counted, end, look, night_of, report, step
from operations.story import tell
from rules.rulebook import Rulebook, RulebookError, book, parse
from rules.storage import own_purpose, purposes
from security.index import index_of
from security.keys import KeyDestroyed
from tests.conftest import make_world, virtual_temporal
from tests.rules.test_storage import text_of, with_lines
from tests.system.test_starter import Environment, cli
from tests.system.test_starter import ask as ask_cli
from tests.system.test_storage import closed_at, withdrawn
from tests.workflows.test_claim import MONDAY
from tests.workflows.test_claim import content as claimed
from tests.workflows.test_privacy_request import content as requested
from tests.workflows.test_privacy_request import file as file_request
from tests.workflows.test_privacy_request import person
from tests.world import RIGA, World

VILNIUS = ZoneInfo("Europe/Vilnius")
SECOND = timedelta(seconds=1)
YEARS = 'liability = { amount = 10, unit = "years" }'
STARTS, ENDS = date(2015, 3, 1), date(2016, 2, 29)
OVER = datetime(2026, 3, 1, tzinfo=VILNIUS)
"""Ten years after `ENDS`, whose last day is 28 February."""
TERM = {"policy": {"amount": 30, "unit": "calendar_days", "document": "rīkojums 9"}}
_numbers, _runs = count(1), count(1)


@pytest.fixture(scope="module")
async def own(postgres: Postgres) -> AsyncIterator[World]:
    """A world of this file alone: a night looks at all that there is, and erases it."""
    async with await virtual_temporal() as environment, make_world(postgres, environment, "policyterms") as world:
        yield world


def _valued(organisation: str) -> Rulebook:
    """GJ after its controller gave a value for liability, BTA after its controller set a term of its own."""
    rulebook = book(organisation)
    if organisation == "GJ":
        return with_lines("GJ", "GJ-contracts", YEARS)
    if organisation != "BTA":
        return rulebook
    keeping = {**rulebook.values["keeping"], "cases": TERM}
    return rulebook.model_copy(update={"values": {**rulebook.values, "keeping": keeping}})


@pytest.fixture
def valued(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both controllers gave their values."""
    monkeypatch.setattr(storage, "book", _valued)
    monkeypatch.setattr(policy_terms, "book", _valued)
    monkeypatch.setattr(refusing, "book", _valued)


def filing(organisation: str = "GJ", **more: Any) -> dict[str, Any]:
    """A policy whose people no other test knows."""
    n = f"{next(_numbers):05d}"
    return {
        "policy": f"{organisation}-{n}",
        "organisation": organisation,
        "policyholder": {"name": f"UAB Gintaro Namai {n}", "email": f"sutartys.{n}@gintaras.example", "language": "lt"},
        "insured": {"name": f"Rasa Vaitkutė {n}", "email": f"rasa.{n}@gintaras.example", "language": "lt"},
        "co_insured": [{"name": f"MB Bendras Draudimas {n}"}],
        "insured_activity": f"Statyba, darbų vadovė Vaitkutė {n}",
        "starts_on": STARTS.isoformat(),
        "ends_on": ENDS.isoformat(),
        "terms": {"limit_per_occurrence": "10000.00", "limit_aggregate": "20000.00"},
        "premium": [{"due_on": STARTS.isoformat(), "amount": "400.00"}],
        **more,
    }


def policies(world: World, at: datetime | None = None) -> Policies:
    """What registers policies, at this instant."""
    return Policies(world.sessions, world.keyring, (lambda: at) if at else world.now)


async def registered(world: World, organisation: str = "GJ", **more: Any) -> str:
    """A policy in the store; its number."""
    said = filing(organisation, **more)
    assert (await policies(world).register(said)).new
    return str(said["policy"])


async def found(world: World, policy: str, at: datetime) -> Judged | None:
    """What the run of this instant would find of a policy; None: it does not look at it."""
    key = f"policy:{policy}"
    return next(iter([one async for one in look(world.sessions, world.keyring, at) if one.key == key]), None)


async def result(world: World, policy: str, at: datetime) -> tuple[str, str, str]:
    """Result, why, and what it is by."""
    one = await found(world, policy, at)
    assert one is not None
    return one.result, one.why, one.by


async def ends(world: World, n: int, at: datetime) -> None:
    """Go on with a run until nothing is left."""
    while await step(world.sessions, world.keyring, world.var / "backups", lambda: at, n):
        pass
    await end(world.sessions, lambda: at, n)


async def night(world: World, at: datetime) -> int:
    """A whole run; its number."""
    n = await begin(world.sessions, f"policies-{next(_runs)}", lambda: at)
    await ends(world, n, at)
    return n


async def is_gone(world: World, policy: str) -> bool:
    """Whether key, entries, people and hashes are gone; what is half gone is a fault."""
    async with world.sessions() as session:
        row = await session.get_one(PolicyRow, policy)
        entries = (await session.exec(select(PolicyEntryRow.n).where(PolicyEntryRow.policy == policy))).all()
    try:
        await world.keyring.of(f"policy:{policy}")
    except KeyDestroyed:
        assert (row.erased, row.policyholder, row.insured, row.policyholder_index) == (True, {}, {}, None)
        assert not entries
        return True
    assert not row.erased
    assert entries
    return False


def records(world: World, at: datetime) -> Records:
    """What places and lifts holds."""
    return Records(world.sessions, world.keyring, lambda: at)


async def put(world: World, policy: str, kind: str, organisation: str = "GJ", **more: Any) -> str:
    """A case that was filed and is open."""
    reference = more.pop("reference", policy)
    case = f"{kind}:{organisation}:{reference}"
    await world.keyring.create(case)
    async with world.sessions() as session, session.begin():
        session.add(
            IntakeRow(
                case=case,
                kind=kind,
                organisation=organisation,
                reference=reference,
                sender="system:test",
                sender_reference=reference,
                received_at=MONDAY,
                recorded_at=MONDAY,
                started_at=MONDAY,
                content={"policy": policy},
            )
        )
    return case


async def taken_back(world: World, case: str) -> None:
    """Nothing is open of it any more."""
    async with world.sessions() as session, session.begin():
        await session.exec(update(IntakeRow).where(col(IntakeRow.case) == case).values(result="not_a_claim"))


# ---- the term -------------------------------------------------------------------------------------------------------


def test_the_row_on_contracts_covers_termins_own_policies_and_bta_has_none() -> None:
    """GJ-contracts, line 108. What a duty covers the controller cannot set otherwise; what none covers it can."""
    one = own_purpose(book("GJ"), "policy")
    assert one is not None
    assert one[0] == "GJ-contracts"
    assert own_purpose(book("BTA"), "policy") is None
    line = '\ncases.policy = { amount = 2, unit = "years", document = "dms/terms-1" }'

    def parsed(organisation: str) -> Rulebook:
        said = text_of(organisation).replace("proof_within = 7", f"proof_within = 7{line}", 1)
        return parse(said, f"{organisation.lower()}.toml")

    assert parsed("BTA").values["keeping"]["cases"]["policy"]["amount"] == 2
    with pytest.raises(RulebookError, match=r"keeping\.cases\.policy: a duty gives its term already"):
        parsed("GJ")
    twice = text_of("GJ").replace('law = "line 163", own = "claim"', 'law = "line 163", own = "policy"', 1)
    with pytest.raises(RulebookError, match="own: policy has another term already"):
        parse(twice, "gj.toml")


@pytest.mark.usefixtures("valued")
async def test_it_goes_with_the_first_second_after_its_term_and_not_with_the_last_of_it(own: World) -> None:
    """Ten years from the last day of cover, in Vilnius; in force it is not looked at."""
    policy = await registered(own)
    ended = datetime(2016, 3, 1, tzinfo=VILNIUS)
    assert await found(own, policy, ended - SECOND) is None
    first = await found(own, policy, ended)
    assert first is not None
    assert (first.result, first.duty, first.last_day, first.due) == ("kept", "GJ-contracts", date(2026, 2, 28), OVER)
    assert any("10 years" in line for line in first.derivation)
    assert (await result(own, policy, OVER - SECOND))[0] == "kept"
    assert (await result(own, policy, OVER))[0] == "erased"
    await night(own, OVER - SECOND)
    assert not await is_gone(own, policy)
    n = await night(own, OVER)
    assert await is_gone(own, policy)
    assert await found(own, policy, OVER) is None
    told = await report(own.sessions, n)
    assert [(one.duty, one.due) for one in told.erased if one.case == f"policy:{policy}"] == [("GJ-contracts", OVER)]
    assert [(line.what, line.result) for line in told.lines if line.duty == "GJ-contracts"] == [("policy", "erased")]
    assert not (await report(own.sessions, await night(own, OVER))).erased


@pytest.mark.usefixtures("valued")
async def test_what_was_said_of_its_end_moves_its_term(own: World) -> None:
    """An early end counts from its last day of cover, and a day that was put off again from the later one."""
    said = filing(starts_on="2015-03-01", ends_on="2016-02-29")
    await policies(own).register(said)
    policy = str(said["policy"])
    last = {"by": "policyholder", "last_day": "2015-10-25", "reason": "Veikla nutraukta", "iban": None}
    await policies(own).end(policy, {k: v for k, v in last.items() if v is not None})
    async with own.sessions() as session:
        until = (await session.get_one(PolicyRow, policy)).covered_until
    assert until is not None
    assert until < ENDS
    one = await found(own, policy, OVER - timedelta(days=100))
    assert one is not None
    assert (one.last_day, one.result) == (until.replace(year=2025), "erased")
    async with own.sessions() as session, session.begin():
        await session.exec(update(PolicyRow).where(col(PolicyRow.policy) == policy).values(covered_until=ENDS))
    assert (await result(own, policy, OVER - SECOND))[0] == "kept"
    await night(own, OVER)
    assert await is_gone(own, policy)


async def test_without_a_value_nothing_goes_and_the_report_says_why(own: World) -> None:
    """GJ: an error, for the document leaves the years to the controller. BTA: no document has a term."""
    gj, bta = await registered(own), await registered(own, "BTA")
    at = datetime(2090, 1, 1, 2, tzinfo=UTC)
    kind, why, _ = await result(own, gj, at)
    assert kind == "fault"
    assert "no value for the line liability (from controller by line)" in why
    assert (await result(own, bta, at))[:2] == ("unset", storage.NO_TERM)
    n = await night(own, at)
    assert {(line.organisation, line.result) for line in (await report(own.sessions, n)).lines} >= {
        ("GJ", "fault"),
        ("BTA", "unset"),
    }
    assert not await is_gone(own, gj)
    assert not await is_gone(own, bta)
    with pytest.raises(Refusal, match="its storage term keeps it"):
        await erase_policy(own.sessions, own.keyring, f"policy:{bta}", own.var / "backups", lambda: at)


@pytest.mark.usefixtures("valued")
async def test_the_controllers_own_term_and_the_time_in_which_third_parties_may_claim(own: World) -> None:
    """BTA: thirty days, over the change of the clock; but it is kept while an extended reporting period runs."""
    policy = await registered(own, "BTA", starts_on="2016-03-01", ends_on="2017-03-01", extended_reporting_days=90)
    over, reported = datetime(2017, 4, 1, tzinfo=RIGA), datetime(2017, 5, 31, tzinfo=RIGA)
    assert (await result(own, policy, over - SECOND))[0] == "kept"
    assert await result(own, policy, over) == ("held", "reporting_period", "until 2017-05-30")
    assert (await result(own, policy, reported - SECOND))[0] == "held"
    one = await found(own, policy, reported)
    assert one is not None
    assert (one.result, one.duty, one.due) == ("erased", "keeping.policy", over)
    assert one.derivation[0] == ("set by the controller, for no document has a term for ended policies: rīkojums 9")
    await night(own, reported)
    assert await is_gone(own, policy)


# ---- what is left ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("valued")
async def test_afterwards_nothing_in_the_store_names_anybody_and_every_reader_answers(own: World) -> None:
    """Names, addresses, words and the hashes of names, in every table; the number is not used again."""
    said = filing()
    policy = str(said["policy"])
    await policies(own).register(said)
    paid = {"reference": "pay-1", "paid_on": "2015-03-01", "amount": "400.00", "received_at": "2015-03-01T10:00+02:00"}
    await policies(own).premium(policy, paid)
    other = {"name": f"UAB Nauja {policy}", "email": f"nauja@{policy.lower()}.example"}
    addendum = {"addendum": "A1", "signed_on": "2015-06-01", "effective_on": "2015-06-02", "insured": other}
    await policies(own).addendum(policy, addendum)
    named = [said["policyholder"], said["insured"], *said["co_insured"], other]
    words = [word for one in named for word in (one["name"], one.get("email")) if word] + [said["insured_activity"]]
    hashes = [(await index_of(own.keyring, "name", one["name"])).hex() for one in named]

    async def naming() -> tuple[set[str], int]:
        """Tables in which a word is read, and policies that a hash finds."""
        tables = {table for table, row in await own.everything_stored() if any(word in str(row) for word in words)}
        async with own.sessions() as session:
            connection = await session.connection()
            raw = (await connection.execute(text("SELECT p::text FROM policy AS p"))).scalars().all()
        return tables, sum(any(index in one for index in hashes) for one in raw)

    who = Subject(name=said["insured"]["name"], personal_code="120385-11223", email=said["insured"]["email"])
    store = OwnStore(own.sessions, own.keyring)
    assert [one.record for one in await store.locate("GJ", who, OVER)] == [f"policy:{policy}"]
    assert await naming() == ({"policy", "policy_entry"}, 1)
    await night(own, OVER)
    assert await is_gone(own, policy)
    assert await naming() == (set(), 0)
    assert await store.locate("GJ", who, OVER) == ()
    erased = "it was erased when its storage term was over"
    assert policy not in [line.policy for line in await policies(own).list("GJ")]
    assert (await limits_of(own.sessions, policy)).claims == ()
    for acting in (
        policies(own).show(policy),
        policies(own).register(said),
        policies(own).premium(policy, paid),
        policies(own).addendum(policy, {**addendum, "addendum": "A2"}),
        object_to_reminders(own.sessions, own.keyring, policy, own.now(), "system:test", own.now),
    ):
        with pytest.raises(Refusal, match=erased):
            await acting
    hold = {"organisation": "GJ", "hold": f"h-{policy}", "document": "dms/1", "record": f"policy:{policy}"}
    with pytest.raises(Refusal, match=f"policy:{policy} was erased"):
        await records(own, OVER).hold(hold)


@pytest.mark.usefixtures("valued")
async def test_a_claim_on_it_says_that_it_was_erased_and_is_given_no_other_policy(own: World) -> None:
    """Not the insured's next one either, which has the same name."""
    said = filing("BTA", starts_on="2016-03-01", ends_on="2017-02-28")
    await policies(own).register(said)
    policy = str(said["policy"])
    next_one = await registered(own, "BTA", insured=said["insured"], starts_on="2026-03-01", ends_on="2029-02-28")
    await night(own, datetime(2018, 1, 1, tzinfo=RIGA))
    assert await is_gone(own, policy)
    await own.begin(MONDAY)
    about = claimed(policy, "900.00", insured_name=said["insured"]["name"])
    case = await own.file("claim", "BTA", about, received_at=MONDAY)
    faults = (await own.stage(case, "collecting")).state["body"]["faults"]
    assert [fault for fault in faults if "content.policy: it was erased when its storage term was over" in fault]
    async with own.sessions() as session:
        assert (await session.exec(select(LimitRow).where(LimitRow.case == case))).first() is None
    await own.say(case, "set_policy", policy=next_one)
    async with own.sessions() as session:
        assert (await session.get_one(LimitRow, case)).policy == next_one
    circumstance = {"policy": policy, "description": "Darba devēja paziņojums", "reference": "dms/n-1"}
    with pytest.raises(Refusal, match="it was erased when its storage term was over"):
        await own.file("circumstance", "BTA", circumstance, received_at=MONDAY)


# ---- what keeps it --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("valued")
async def test_a_legal_hold_on_it_keeps_it_until_it_is_lifted(own: World) -> None:
    """SE-11.4, by the policy's number; an erasure on request finds the hold too."""
    policy = await registered(own)
    hold = {"organisation": "GJ", "hold": f"h-{policy}", "document": "dms/suit", "record": f"policy:{policy}"}
    for wrong, fault in (
        ({"record": "policy:no-such"}, "GJ has no policy:no-such"),
        ({"organisation": "SE"}, f"SE has no policy:{policy}"),
        ({"record": "policy:a b"}, "record: "),
    ):
        with pytest.raises(Refusal, match=fault):
            await records(own, OVER).hold({**hold, **wrong})
    assert (await records(own, OVER).hold(hold)).stands
    assert await result(own, policy, OVER) == ("held", "legal_hold", f"h-{policy}")
    async with own.sessions() as session:
        assert await hold_on_person(session, own.keyring, "GJ", "120385-11223", f"policy:{policy}")
    await night(own, OVER)
    assert not await is_gone(own, policy)
    with pytest.raises(Refusal, match=f"legal hold h-{policy} keeps it"):
        await erase_policy(own.sessions, own.keyring, f"policy:{policy}", own.var / "backups", lambda: OVER)
    await records(own, OVER).lift("GJ", f"h-{policy}")
    await night(own, OVER)
    assert await is_gone(own, policy)


@pytest.mark.usefixtures("valued")
async def test_a_hold_or_an_entry_that_comes_after_the_judgement_wins(own: World) -> None:
    """The night decided; in the transaction that erases it is judged again."""
    held, extended = await registered(own), await registered(own)
    n = await begin(own.sessions, "between-policies", lambda: OVER)

    async def planned() -> bool:
        async with own.sessions() as session:
            return await session.get(StorageItemRow, (n, f"policy:{extended}")) is not None

    while not await planned():
        assert await step(own.sessions, own.keyring, own.var / "backups", lambda: OVER, n)
    hold = {"organisation": "GJ", "hold": f"h-{held}", "document": "dms/suit", "record": f"policy:{held}"}
    await records(own, OVER).hold(hold)
    async with own.sessions() as session, session.begin():
        later = update(PolicyRow).where(col(PolicyRow.policy) == extended)
        await session.exec(later.values(covered_until=ENDS + timedelta(days=1)))
    await ends(own, n, OVER)
    assert not await is_gone(own, held)
    assert not await is_gone(own, extended)
    lines = [line for line in (await report(own.sessions, n)).lines if line.what == "policy"]
    assert [(line.result, line.why, line.number) for line in lines if line.result == "held"] == [
        ("held", storage.CAME_BETWEEN, 2)
    ]
    await records(own, OVER).lift("GJ", f"h-{held}")
    await night(own, OVER + timedelta(days=1))
    assert await is_gone(own, held)
    assert await is_gone(own, extended)


@pytest.mark.usefixtures("valued")
async def test_a_claim_on_it_that_is_not_erased_keeps_it_and_an_erased_one_does_not(own: World) -> None:
    """The ledger of its claims stays, and the story of the erased claim can still be told."""
    case = await withdrawn(own)
    async with own.sessions() as session:
        policy = (await session.get_one(LimitRow, case)).policy
    at = night_of(date(2031, 6, 1))
    assert await result(own, policy, at) == ("held", "claim_not_erased", case)
    await night(own, at)
    async with own.sessions() as session:
        assert not (await session.get_one(PolicyRow, policy)).erased
    await closed_at(own, case, MONDAY)
    await erase(own.sessions, own.keyring, case, own.var / "backups", own.now)
    assert (await result(own, policy, at))[0] == "erased"
    await night(own, at)
    assert await is_gone(own, policy)
    assert [claim.case for claim in (await limits_of(own.sessions, policy)).claims] == [case]
    story = await tell(own.sessions, at, case)
    assert story.limits is not None
    assert story.limits.policy == policy


@pytest.mark.usefixtures("valued")
@pytest.mark.parametrize("kind", ["renewal", "late_premium", "premium_refund", "circumstance"])
async def test_an_open_case_of_it_keeps_it(own: World, kind: str) -> None:
    """Named by its policy; of a circumstance only its sealed filing says under which it was reported."""
    policy, other = await registered(own), await registered(own)
    case = await put(own, policy, kind, **({"reference": f"c-{policy}"} if kind == "circumstance" else {}))
    assert await result(own, policy, OVER) == ("held", "open_case", f"{case} is open")
    assert (await result(own, other, OVER))[0] == "erased"
    await night(own, OVER)
    assert not await is_gone(own, policy)
    assert await is_gone(own, other)
    with pytest.raises(Refusal, match=f"open case {case} is open keeps it"):
        await erase_policy(own.sessions, own.keyring, f"policy:{policy}", own.var / "backups", lambda: OVER)
    if kind == "circumstance":
        async with own.sessions() as session, session.begin():
            await session.exec(update(IntakeRow).where(col(IntakeRow.case) == case).values(erased_at=OVER))
    else:
        await taken_back(own, case)
    await night(own, OVER)
    assert await is_gone(own, policy)


@pytest.mark.usefixtures("valued")
async def test_an_open_privacy_request_of_somebody_in_it_keeps_it(own: World) -> None:
    """By the name, which is all that a policy knows its people by."""
    who = person()
    policy = await registered(own, insured={"name": who["name"]})
    await own.begin(MONDAY)
    assert requested("GJ", "access", who=who)
    case = await file_request(own, "GJ", "access", who=who, at=MONDAY)
    await own.stage(case, "identifying")
    assert await result(own, policy, OVER) == ("held", "privacy_request", case)


# ---- the preview, crashes, a restore --------------------------------------------------------------------------------


@pytest.mark.usefixtures("valued")
async def test_the_preview_says_what_the_night_then_does(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches of three, over all that this file has left: each policy once."""
    monkeypatch.setattr(storage, "AT_A_TIME", 3)
    mine = [await registered(own) for _ in range(7)]
    await registered(own, starts_on="2020-01-01", ends_on="2020-12-31")
    preview = [one async for one in look(own.sessions, own.keyring, OVER)]
    keys = [one.key for one in preview]
    assert len(set(keys)) == len(keys)
    assert {f"policy:{policy}" for policy in mine} <= {one.key for one in preview if one.result == "erased"}
    only = [one async for one in look(own.sessions, own.keyring, OVER, "BTA")]
    assert {one.organisation for one in only} <= {"BTA"}
    lines = await counted(look(own.sessions, own.keyring, OVER))
    assert not [policy for policy in mine if await is_gone(own, policy)], "the preview changes nothing"
    n = await night(own, OVER)
    assert (await report(own.sessions, n)).lines == lines
    assert {"kept", "erased"} <= {line.result for line in lines if line.what == "policy"}
    for policy in mine:
        assert await is_gone(own, policy)


@pytest.mark.usefixtures("valued")
@pytest.mark.parametrize("dies", ["before the store", "before the ledger", "before the key", "after the key"])
async def test_a_death_between_the_item_and_its_end_loses_no_policy(
    own: World, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    """Whatever was done is found again; nothing is counted twice, and nothing stays half erased."""
    policy = await registered(own)
    lines = await counted(look(own.sessions, own.keyring, OVER))
    died: list[str] = []

    def death(*_: Any) -> Any:
        died.append(dies)
        raise ConnectionError("the worker died")

    n = await begin(own.sessions, f"policies-{dies}", lambda: OVER)
    where: dict[str, tuple[Any, str]] = {
        "before the store": (policy_terms, "_empty"),
        "before the ledger": (policy_terms, "append"),
        "before the key": (own.keyring, "destroy"),
        "after the key": (storage, "_proven"),
    }
    with monkeypatch.context() as patched:
        patched.setattr(*where[dies], death)
        with pytest.raises(ConnectionError):
            await ends(own, n, OVER)
    assert died
    async with own.sessions() as session:
        assert (await session.get_one(StorageItemRow, (n, f"policy:{policy}"))).ended_at is None
    await ends(own, n, OVER)
    assert await is_gone(own, policy)
    assert (await report(own.sessions, n)).lines == lines
    ledger = (own.var / "backups" / LEDGER).read_text(encoding="utf-8").splitlines()
    assert ledger.count(f"policy:{policy}") == 1


RUNNER = """
import asyncio, sys
from datetime import datetime
from pathlib import Path
from operations import policy_terms, storage
from operations.store import engine, keyring, sessions
from security.master import MasterKeyFile
from tests.system.test_policy_terms import _valued

async def main(url, keys_url, var, at, n):
    storage.AT_A_TIME = 4
    storage.book = policy_terms.book = _valued
    keys = keyring(keys_url, MasterKeyFile(Path(var) / "keys" / "master"))
    made = sessions(engine(url, keys))
    erases = policy_terms.erase_policy
    async def erase_policy(*args):
        print("erase", flush=True)
        await erases(*args)
    storage.erase_policy = erase_policy
    while await storage.step(made, keys, Path(var) / "backups", lambda: datetime.fromisoformat(at), int(n)):
        pass

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.usefixtures("valued")
async def test_a_process_that_is_killed_while_it_erases_leaves_every_policy_whole_or_gone(
    own: World, postgres: Postgres
) -> None:
    """SIGKILL in the middle of an erasure, three times; the run ends as the preview said."""
    mine = [await registered(own) for _ in range(12)]
    lines = await counted(look(own.sessions, own.keyring, OVER))
    n = await begin(own.sessions, "policies-killed", lambda: OVER)
    words = [postgres.url("policyterms"), postgres.url("policyterms_keys"), str(own.var), OVER.isoformat(), str(n)]
    for erasures in (1, 2, 4):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", RUNNER, *words), cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(erasures):
            assert await process.stdout.readline() == b"erase\n"
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
    await ends(own, n, OVER)
    own.keyring.forget()
    for policy in mine:
        assert await is_gone(own, policy)
    assert (await report(own.sessions, n)).lines == lines


@pytest.mark.usefixtures("valued")
async def test_no_restore_brings_it_back(own: World, tmp_path: Path) -> None:
    """Of the keys: the ledger destroys the key again. Of the store: a name would find it, so it is emptied again."""
    policy, other = await registered(own), await registered(own, ends_on="2017-02-28")
    folder = own.var / "backups"
    backed_up = await key_backup.back_up(own.keyring, folder, timedelta(days=9000), own.now)
    async with own.sessions() as session:
        row = (await session.get_one(PolicyRow, policy)).model_dump()
    await night(own, OVER)
    assert await is_gone(own, policy)
    await key_backup.restore(own.sessions, own.keyring, Path(backed_up.file))
    assert await is_gone(own, policy)
    # the row as a dump from before has it
    async with own.sessions() as session, session.begin():
        indexes = {name: row[name] for name in ("insured_index", "policyholder_index")}
        await session.exec(update(PolicyRow).where(col(PolicyRow.policy) == policy).values(**indexes))
    with pytest.raises(Refusal, match="it was erased"):
        await policies(own).register({**filing(), "policy": policy})
    assert await empty_policies_again(own.sessions, own.keyring, dry_run=True) == (f"policy:{policy}",)
    assert await empty_policies_again(own.sessions, own.keyring, dry_run=False) == (f"policy:{policy}",)
    assert await empty_policies_again(own.sessions, own.keyring, dry_run=False) == ()
    assert await is_gone(own, policy)
    assert not await is_gone(own, other)


# ---- the command line -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("present")
async def test_ended_policies_on_the_command_line(where: Environment) -> None:
    """The preview names them by number, never by name; a hold on one is taken."""
    said = filing()
    assert (await ask_cli(where, "policies", "register", data=json.dumps(said)))["new"] == 1
    key = f"policy:{said['policy']}"
    due = await ask_cli(where, "storage", "--due", "--organisation", "GJ")
    [one] = [one for one in due if one["key"] == key]
    assert (one["result"], one["what"], one["duty"]) == ("fault", "policy", "GJ-contracts")
    shown = (await cli(where, "storage", "--organisation", "GJ")).stdout
    assert "ERROR" in shown
    assert said["insured"]["name"] not in shown
    hold = json.dumps({"organisation": "GJ", "hold": f"h-{said['policy']}", "document": "dms/1", "record": key})
    assert "stands" in (await cli(where, "records", "hold", data=hold)).stdout
    assert "is lifted" in (await cli(where, "records", "lift", "GJ", f"h-{said['policy']}")).stdout


def test_the_term_of_contracts_still_takes_records_by_line() -> None:
    """Loaded contracts say their own line; only Termins' own policies are of one line."""
    assert purposes(book("GJ"))["GJ-contracts"].own_line is None


# ---- at a person's request ------------------------------------------------------------------------------------------


async def _wanted(own: World, policy: str, at: datetime) -> tuple[str | None, date | None, bool]:
    """What the own store says keeps it, until when, and whether an erasure on request takes the person out."""
    n = policy.removeprefix("GJ-")
    who = Subject(name=f"Rasa Vaitkutė {n}", personal_code="120385-11223", email=f"rasa.{n}@gintaras.example")
    store = OwnStore(own.sessions, own.keyring)
    (found,) = await store.locate("GJ", who, at)
    return found.in_use, found.until, await store.erase(who, found.record, at)


@pytest.mark.usefixtures("valued")
async def test_the_term_of_a_contract_refuses_an_erasure_on_request_until_it_is_over(own: World) -> None:
    """GJ line 108: justified legal claims. The last second of it, and the first after."""
    policy = await registered(own)
    why = "the storage term GJ-contracts runs until 2026-02-28"
    assert await _wanted(own, policy, OVER - SECOND) == (why, date(2026, 2, 28), False)
    assert await _wanted(own, policy, OVER) == (None, None, True)


async def test_without_a_value_of_the_controller_an_ended_contract_gives_way(own: World) -> None:
    policy = await registered(own)
    assert await _wanted(own, policy, OVER) == (None, None, True)


async def test_a_contract_that_ended_early_is_in_force_no_more(own: World) -> None:
    """Its period would have lasted longer; what keeps it is its cover."""
    policy = await registered(own, starts_on="2026-01-01", ends_on="2026-12-31")
    at = datetime(2026, 6, 1, 12, tzinfo=VILNIUS)
    assert await _wanted(own, policy, at) == ("the policy is in force", date(2026, 12, 31), False)
    end = {"by": "policyholder", "last_day": "2026-03-31", "reason": "sold"}
    await policies(own, datetime(2026, 3, 1, 12, tzinfo=VILNIUS)).end(policy, end)
    assert await _wanted(own, policy, at) == (None, None, True)
