"""Rectification in the systems: what a person decided, once, with what was and what is; what stays wrong is named."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.privacy import PrivacyActivities, PrivacyStore
from integrations.data_systems import DataSystem, Found, Subject, SystemDown
from models.privacy import PrivacyWork
from models.rectification import Corrected, Datum
from models.settlement import Label
from models.tables import CaseRow, PartyRow, RectificationRow
from operations.own_store import OwnStore
from tests.activities.test_privacy import AT, Person, activities, crashing, dump, past, request
from tests.world import World

TITLE = Label(lv="Klīnika", lt="Klinika", en="Clinic")


async def rectification(world: World, person: Person, *data: dict[str, Any]) -> str:
    """A request whose corrections a person granted."""
    case = await request(world, person)
    async with world.sessions() as session, session.begin():
        row = await session.get_one(CaseRow, case)
        corrections = [{"party": "subject", **one} for one in data]
        granted = {"rectification": {"outcome": "fulfilled", "corrections": corrections, "by": "op-1"}}
        row.state = {**row.state, "body": {**row.state["body"], "rights": ["rectification"], "assessments": granted}}
    return case


def email(person: Person) -> dict[str, Any]:
    """The address is wrong."""
    return {"category": "user.contact.email", "was": person.email, "now": f"new.{person.email}"}


async def test_nothing_is_corrected_that_no_person_decided_on(world: World) -> None:
    await world.begin(AT)
    person = Person()
    await past(world, person)
    for case in (await request(world, person), await rectification(world, person)):
        with pytest.raises(ApplicationError, match="no person has decided"):
            await activities(world).rectify(PrivacyWork(case=case))


async def test_the_persons_parties_are_corrected_others_are_not_and_what_cannot_be_is_named(world: World) -> None:
    """The ledger holds what was and what is, sealed; what was filed stays as it was filed."""
    await world.begin(AT)
    person = Person()
    held = await past(world, person)
    phone = {"category": "user.contact.phone_number", "now": "+371 20000000"}
    case = await rectification(world, person, email(person), phone)
    done = await activities(world).rectify(PrivacyWork(case=case))
    assert done.records == 2
    assert done.left == (held["client"], held["policy"]), "their people are changed by their own filings"
    async with world.sessions() as session:
        own = await session.get_one(PartyRow, (held["claim"], "C1"))
        other = await session.get_one(PartyRow, (held["claim"], "C2"))
        former = await session.get_one(PartyRow, (held["former"], "subject"))
        asking = await session.get_one(PartyRow, (case, "subject"))
        ledger = await session.get_one(RectificationRow, case)
    assert (own.email, own.phone) == (f"new.{person.email}", "+371 20000000")
    assert (former.email, former.phone) == (f"new.{person.email}", "+371 20000000")
    assert other.email == f"janis.{person.n}@example.lv"
    assert asking.email == person.email, "the request itself answers to the address that it was given"
    assert ledger.plan["data"][0] == {"party": "subject", **email(person)}
    assert ledger.plan["records"][held["claim"]] == ["C1.email", "C1.phone"]


async def test_asked_again_changes_nothing_and_says_the_same(world: World) -> None:
    await world.begin(AT)
    person = Person()
    held = await past(world, person)
    case = await rectification(world, person, email(person))
    first = await activities(world).rectify(PrivacyWork(case=case))
    async with world.sessions() as session, session.begin():
        party = await session.get_one(PartyRow, (held["claim"], "C1"))
        party.email = person.email
    assert await activities(world).rectify(PrivacyWork(case=case)) == first
    async with world.sessions() as session:
        party = await session.get_one(PartyRow, (held["claim"], "C1"))
    assert party.email == person.email, "what became of it later is not this request's"


async def test_a_run_that_begins_again_is_told_what_was_done_though_the_case_has_forgotten_it(world: World) -> None:
    """The values go from the case with the step that records the correction; the ledger still answers."""
    await world.begin(AT)
    person = Person()
    await past(world, person)
    case = await rectification(world, person, email(person))
    first = await activities(world).rectify(PrivacyWork(case=case))
    async with world.sessions() as session, session.begin():
        row = await session.get_one(CaseRow, case)
        decided = {"rectification": {"outcome": "fulfilled", "corrections": [], "by": "op-1"}}
        row.state = {**row.state, "body": {**row.state["body"], "assessments": decided}}
    assert await activities(world).rectify(PrivacyWork(case=case)) == first


async def test_a_name_in_a_claim_is_screened_anew_and_an_account_number_is_left(world: World) -> None:
    await world.begin(AT)
    person = Person()
    held = await past(world, person, kind="claim")
    name = {"category": "user.name", "was": person.name, "now": "Ērika Zvirbule-Kalniņa"}
    iban = {"category": "user.financial.bank_account", "was": person.iban, "now": "LV80BANK0000435195001"}
    case = await rectification(world, person, name, iban)
    done = await activities(world).rectify(PrivacyWork(case=case))
    assert held["claim"] in done.left
    async with world.sessions() as session:
        party = await session.get_one(PartyRow, (held["claim"], "C1"))
    assert (party.name, party.iban, party.to_screen) == ("Ērika Zvirbule-Kalniņa", person.iban, True)


async def test_a_correction_that_dies_anywhere_and_is_repeated_ends_the_same(world: World) -> None:
    """The process dies before every single write and commit in turn; the ledger comes before the first change."""
    await world.begin(AT)
    survived = 0
    for at in count(1):
        person = Person()
        held = await past(world, person)
        case = await rectification(world, person, email(person))
        async with crashing(world, at) as store:
            (end,) = await asyncio.gather(
                activities(world, store).rectify(PrivacyWork(case=case)), return_exceptions=True
            )
        died = isinstance(end, BaseException)
        async with world.sessions() as session:
            ledger = await session.get(RectificationRow, case)
            party = await session.get_one(PartyRow, (held["claim"], "C1"))
        assert ledger is not None or party.email == person.email
        first = await activities(world).rectify(PrivacyWork(case=case))
        assert first == await activities(world).rectify(PrivacyWork(case=case))
        assert (first.records, first.left) == (2, (held["client"], held["policy"]))
        async with world.sessions() as session:
            ledger = await session.get_one(RectificationRow, case)
        assert ledger.plan["records"] == {held["claim"]: ["C1.email"], held["former"]: ["subject.email"]}
        survived += 1
        if not died:
            break
    assert survived > 5, "every write had its crash"


class Slow:
    """A system that is down once, and corrects one value at each asking: only a second look finds the rest."""

    name, title, safeguards = "slow", TITLE, None

    def __init__(self) -> None:
        self.down, self.wrong = True, 2

    async def locate(self, *_: Any) -> tuple[Found, ...]:
        """One record."""
        if self.down:
            self.down = False
            raise SystemDown("slow does not answer")
        return (Found(record="slow:1", rows=1),)

    async def rectify(self, person: Subject, record: str, data: Sequence[Datum]) -> Corrected:
        """One value."""
        self.wrong -= (changed := min(self.wrong, 1))
        return Corrected(changed=changed, fields=("email",))


async def test_a_system_that_is_down_is_named_and_a_second_look_finds_what_the_first_left(world: World) -> None:
    await world.begin(AT)
    person = Person()
    case = await rectification(world, person, email(person))
    slow = Slow()
    every: tuple[DataSystem, ...] = (OwnStore(world.sessions, world.keyring), slow)  # type: ignore[assignment]  # asked no more than this
    work = PrivacyActivities(world.sessions, every, world.now)
    with pytest.raises(ApplicationError, match="data system slow does not answer") as down:
        await work.rectify(PrivacyWork(case=case))
    assert not down.value.non_retryable
    done = await work.rectify(PrivacyWork(case=case))
    assert (done.records, slow.wrong) == (1, 0)


async def test_the_ledger_goes_with_the_person(world: World) -> None:
    """What was corrected is personal: the close of an erasure takes it, and a later request of the person does too."""
    await world.begin(AT)
    person = Person()
    await past(world, person)
    case = await rectification(world, person, email(person))
    await activities(world).rectify(PrivacyWork(case=case))
    async with world.sessions() as session, session.begin():
        row = await session.get_one(CaseRow, case)
        erased = {"erasure": {"outcome": "fulfilled", "by": "op-1"}}
        row.state = {**row.state, "body": {**row.state["body"], "rights": ["erasure"], "assessments": erased}}
    await activities(world).erase(PrivacyWork(case=case))
    async with world.sessions() as session, session.begin():
        await PrivacyStore(world.keyring).acts["privacy.close"](session, case, {}, AT)
    async with world.sessions() as session:
        assert await session.get(RectificationRow, case) is None
    assert await dump(world, person) == set()
