"""GJ-sanctions: before every payment its payee is screened; a hit holds it until the compliance officer judged it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from activities.payment import PaymentActivities
from integrations.bank import BankFolder
from integrations.sanctions import SAMPLE, SanctionsFile
from models.case import OrderRef
from models.tables import OperatorRow, PaymentOrderRow, ScreeningRow
from operations.health import waiting
from tests.workflows.test_claim import MONDAY, _is, content, documents, paid_on, proposal
from tests.world import Refused, World, text_of

KEY = "C1:indemnity"
LISTED = {"name": "Igors Zimogorovs", "email": "igors@example.lv", "iban": "LV97HABA0012345678910", "language": "lv"}


async def decided(world: World, **claimant: Any) -> str:
    """A claim of somebody who may be listed, decided; the bank has not heard of it."""
    await world.begin(MONDAY)
    claim = content(await world.policy(), documents=documents(MONDAY), claimants=[{**LISTED, **claimant}])
    case = await world.file("claim", "BTA", claim)
    await world.stage(case, "deciding")
    await world.covered(case)
    await world.say(case, "propose_decision", **proposal())
    return case


async def screening(world: World, case: str, key: str = KEY) -> ScreeningRow:
    """How an order's payee was screened."""
    async with world.sessions() as session:
        return await session.get_one(ScreeningRow, (case, key))


async def ordered_late(world: World) -> int:
    """How many orders of the insurer wait for the machine."""
    async with world.sessions() as session:
        waits = await waiting(session, world.now())
    return sum(w.number for w in waits if (w.what, w.organisation) == ("order", "BTA"))


def orders(world: World, case: str) -> list[Path]:
    """What the bank got of a case."""
    return [p for p in (world.var / "bank").glob("*.xml") if case.split(":")[2] in p.read_text()]


async def test_whoever_is_not_listed_is_paid_and_the_list_is_recorded(world: World) -> None:
    case = await decided(world, name="Anna Bērziņa")
    await world.payment(case, KEY, "issued")
    row = await screening(world, case)
    listed = await SanctionsFile(SAMPLE).listed()
    assert (row.result, row.hits, row.list_digest) == ("clear", [], listed.digest)
    facts = [entry.facts for entry in await world.timeline(case) if entry.entry == "proven"]
    assert {f"{KEY} screened": f"2026-11-20 {listed.digest[:12]}"} in [
        {k: v for k, v in fact.items() if k.endswith("screened")} for fact in facts
    ]


async def test_a_hit_holds_the_payment_and_tells_the_compliance_officer_who_clears_it(world: World) -> None:
    """The letters go out all the same, the 15 days run on, and the letter to the officer names nobody."""
    before = await ordered_late(world)
    case = await decided(world)
    await world.payment(case, KEY, "screening")
    for reader in ("C1", "insured"):
        await world.until(lambda reader=reader: _is(world, case, "BTA-10.5b", reader, "kept"))  # type: ignore[misc]  # a default binds it now
    assert orders(world, case) == []
    row = await world.row(case)
    assert row is not None
    assert row.waits_for == f"the compliance officer: {KEY}"
    kept = await screening(world, case)
    assert (kept.result, [hit["id"] for hit in kept.hits]) == ("hit", ["EU.9001.11"])

    async def told() -> list[str]:
        return [text_of(m) for m in world.mails("compliance_officer@bta.example") if case in text_of(m)]

    (letter,) = await world.until(told, "the officer is told")
    assert KEY in letter
    assert "Zimogor" not in letter
    assert await ordered_late(world) == before, "what a person has to judge is no machine's delay"
    await world.say(case, "clear_hit", payment=KEY, reason="Another birth date: passport seen")
    await world.payment(case, KEY, "issued")
    assert len(orders(world, case)) == 1
    kept = await screening(world, case)
    assert (kept.result, kept.judged_by, kept.cleared) == ("cleared", "op-1", ["EU.9001.11"])
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    assert await _is(world, case, "BTA-10.5c", "C1", "kept")


@pytest.mark.parametrize("iban", [None, "LV00HABA0012345678910"])
async def test_an_order_that_waits_for_an_account_is_no_delay_of_the_machine(world: World, iban: str | None) -> None:
    """None was named, or one that cannot be: a person has to name it."""
    before = await ordered_late(world)
    case = await decided(world, name="Anna Bērziņa", iban=iban)
    await world.payment(case, KEY, "held")
    assert await ordered_late(world) == before
    await world.say(case, "correct_payee", claimant="C1", iban="LV97HABA0012345678910")
    await world.payment(case, KEY, "issued")


async def test_a_confirmed_hit_is_paid_nothing_until_it_is_cleared_after_all(world: World) -> None:
    """Whoever is taken off the list, or was mistaken for somebody on it, is paid then; the term was not lifted."""
    case = await decided(world)
    await world.payment(case, KEY, "screening")
    for reader in ("C1", "insured"):
        await world.until(lambda reader=reader: _is(world, case, "BTA-10.5b", reader, "kept"))  # type: ignore[misc]  # a default binds it now
    await world.say(case, "confirm_hit", payment=KEY, reason="Same birth date; reported to the authority")
    assert (await screening(world, case)).result == "confirmed"
    row = await world.row(case)
    assert row is not None
    assert row.waits_for == f"nothing, for the payee is on the list: {KEY}"
    with pytest.raises(Refused, match="holds up no such payment"):
        await world.say(case, "confirm_hit", payment=KEY, reason="once more")
    due = (await world.clock(case, "BTA-10.5c", "C1")).due
    await world.advance(case, due + timedelta(hours=1))
    await world.until(lambda: _is(world, case, "BTA-10.5c", "C1", "overdue"))
    assert orders(world, case) == []
    await world.say(case, "clear_hit", payment=KEY, reason="Taken off the list")
    await world.payment(case, KEY, "issued")


async def test_a_birth_date_that_differs_clears_without_a_person(world: World) -> None:
    case = await decided(world, personal_code="150561-12344")
    await world.payment(case, KEY, "issued")
    assert (await screening(world, case)).result == "clear"


async def test_who_was_cleared_once_is_not_asked_about_for_the_next_order(world: World) -> None:
    """The bank rejects the first: the second is screened too, and the same listed person is known to be another."""
    case = await decided(world)
    await world.payment(case, KEY, "screening")
    await world.say(case, "clear_hit", payment=KEY, reason="Passport seen")
    await world.payment(case, KEY, "issued")
    await world.say(case, "reject_payment", payment=KEY, reason="AC04", rejected_on="2027-03-01")
    await world.say(case, "correct_payee", claimant="C1", iban="LV80BANK0000435195001")
    await world.payment(case, f"{KEY}:2", "issued")
    assert (await screening(world, case, f"{KEY}:2")).result == "cleared"


@pytest.mark.parametrize("name", ["clear_hit", "confirm_hit"])
async def test_only_an_operator_with_the_role_judges(world: World, name: str) -> None:
    case = await decided(world)
    await world.payment(case, KEY, "screening")
    async with world.sessions() as session, session.begin():
        if await session.get(OperatorRow, "op-81") is None:
            session.add(
                OperatorRow(code="op-81", organisations=["BTA"], roles=["see", "handle"], created_at=world.now())
            )
    with pytest.raises(Refused, match="lacks the role compliance"):
        await world.say(case, name, actor="op-81", payment=KEY, reason="x")
    with pytest.raises(Refused, match="only an operator judges"):
        await world.say(case, name, actor="system:bank", payment=KEY, reason="x")
    with pytest.raises(Refused, match="holds up no such payment"):
        await world.say(case, name, payment="C2:indemnity", reason="x")
    assert (await screening(world, case)).result == "hit"


async def test_a_crash_between_screening_and_order_screens_again_by_the_list_of_then(
    world: World, tmp_path: Path
) -> None:
    """The payee was clear, the worker died before the order, and meanwhile a new list was published."""
    case = await decided(world, name="Anna Bērziņa")
    await world.payment(case, KEY, "issued")
    async with world.sessions() as session, session.begin():
        order = await session.get_one(PaymentOrderRow, (case, KEY))
        order.issued_at, order.reference = None, None
    path = tmp_path / "list.xml"
    path.write_text(SAMPLE.read_text().replace("Aleksandr Shchukarin", "Anna Berzina"))
    own = PaymentActivities(world.sessions, BankFolder(tmp_path / "bank"), SanctionsFile(path), world.now)
    issued = await own.order(OrderRef(case=case, key=KEY))
    assert (issued.issued_at, issued.hits) == (None, ("EU.9004.44",))
    assert (await screening(world, case)).result == "hit"
    assert list((tmp_path / "bank").glob("*.xml")) == []


async def test_without_a_list_the_order_waits_and_says_why(world: World, tmp_path: Path) -> None:
    """It is no refusal: the activity is tried until somebody has put the list there."""
    case = await decided(world, name="Anna Bērziņa")
    await world.payment(case, KEY, "issued")
    async with world.sessions() as session, session.begin():
        order = await session.get_one(PaymentOrderRow, (case, KEY))
        order.issued_at, order.reference = None, None
    path = tmp_path / "list.xml"
    own = PaymentActivities(world.sessions, BankFolder(tmp_path / "bank"), SanctionsFile(path), world.now)
    with pytest.raises(Exception, match="there is no sanctions list"):
        await own.order(OrderRef(case=case, key=KEY))
    path.write_bytes(SAMPLE.read_bytes())
    assert (await own.order(OrderRef(case=case, key=KEY))).issued_at is not None
