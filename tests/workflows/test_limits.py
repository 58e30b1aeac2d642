"""The limit ledger: what claims reserve, take, wait for and release, in the order of filing (BTA 5.4, 5.6, 9.6)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any

import pytest
from sqlmodel import col, select
from temporalio.client import WorkflowUpdateRPCTimeoutOrCancelledError

from models.tables import BellRow, DecisionPartRow, LimitRow
from tests.workflows.test_claim import MONDAY, content, documents, paid_on, proposal
from tests.world import Refused, World, text_of


async def claim(world: World, policy: str, amount: str = "1200.00", **more: Any) -> str:
    """A claim with all its documents, that waits for its decision."""
    at = more.pop("at", MONDAY)
    case = await world.file("claim", "BTA", content(policy, amount, documents=documents(at), **more), received_at=at)
    await world.stage(case, "deciding")
    await world.covered(case)
    return case


async def tight(world: World, limit: str = "1500.00", **terms: Any) -> str:
    """A policy without deductible, whose limits are soon used up."""
    await world.begin(MONDAY)
    none = {"kind": "amount", "value": "0.00"}
    return await world.policy(**{"limit_per_occurrence": limit, "limit_aggregate": limit, "deductible": none, **terms})


async def row(world: World, case: str) -> LimitRow:
    """The claim in the ledger."""
    async with world.sessions() as session:
        return (await session.exec(select(LimitRow).where(LimitRow.case == case))).one()


async def body(world: World, case: str) -> dict[str, Any]:
    """What the claim remembers."""
    found = await world.row(case)
    assert found is not None
    result: dict[str, Any] = found.state["body"]
    return result


async def supplemented(world: World, case: str, decisions: int = 2) -> dict[str, Any]:
    """The claim once it was decided so often."""

    async def so_often() -> bool:
        return bool((await body(world, case))["decisions"] >= decisions)

    await world.until(so_often, f"decision {decisions}")
    return await body(world, case)


async def heard(world: World, *cases: str) -> bool:
    """Whether these have heard every bell that was rung for them."""
    unheard = select(BellRow.id).where(col(BellRow.case).in_(cases), col(BellRow.heard_at).is_(None))
    async with world.sessions() as session:
        return (await session.exec(unheard.limit(1))).first() is None


async def confirmed(world: World, case: str, *payments: str) -> None:
    """The bank executed these payments."""
    for payment in payments:
        await world.payment(case, payment, "issued")
        await world.say(case, "confirm_payment", actor="system:bank", **{**paid_on("2027-03-01"), "payment": payment})


async def test_a_later_claim_gets_what_the_earlier_one_leaves_and_the_rest_when_it_is_released(world: World) -> None:
    """9.6, 9.10: limit 1 500, the earlier claim reserves 1 200: 300 now, "up to 900 more". The earlier one is decided
    with 700: 500 are free, decided at once with clocks of their own; 400 of the loss lie with the insured (9.12)."""
    policy = await tight(world)
    first, second = await claim(world, policy), await claim(world, policy)
    await world.say(second, "propose_decision", **proposal())
    after = await body(world, second)
    assert (after["proposal"]["total"], after["withheld"]) == ("300.00", "900.00")
    await confirmed(world, second, "C1:indemnity")
    waiting = await world.stage(second, "awaiting_limit")
    assert "900.00 EUR" in waiting.waits_for
    await world.say(first, "propose_decision", **proposal("700.00"))
    after = await supplemented(world, second)
    assert (after["withheld"], [p["amount"] for p in after["payments"]]) == ("0.00", ["300.00", "500.00"])
    assert (await world.clock(second, "T-supplementary")).status == "kept"
    await confirmed(world, second, "C1:supplement-2")
    await world.stage(second, "resting")
    clocks = await world.clocks(second)
    assert {k: clocks[k] for k in clocks if k[0].startswith("BTA-10.5")} == {
        ("BTA-10.5a", ""): "kept",
        ("BTA-10.5b", "C1"): "kept",
        ("BTA-10.5b", "insured"): "kept",
        ("BTA-10.5b", "C1.2"): "kept",
        ("BTA-10.5b", "insured.2"): "kept",
        ("BTA-10.5c", "C1"): "kept",
        ("BTA-10.5c", "C1.2"): "kept",
    }
    one, two = await row(world, first), await row(world, second)
    assert [str(a) for a in (one.taken, two.taken, two.reserved, two.paid)] == ["700.00", "800.00", "0.00", "800.00"]
    assert [str(a) for a in (two.claimed, two.proven, two.proposed)] == ["1200.00", "1200.00", "300.00"]


async def test_the_letters_say_what_is_withheld_and_why_and_then_what_is_added(world: World) -> None:
    """9.6: entitled up to X; then the supplement with the whole calculation; 9.12 to claimant and insured."""
    policy = await tight(world)
    first, second = await claim(world, policy), await claim(world, policy)
    await world.say(second, "propose_decision", **proposal())
    await world.say(first, "propose_decision", **proposal("700.00"))
    await supplemented(world, second)

    async def told() -> bool:
        clocks = await world.clocks(second)
        return clocks[("BTA-10.5b", "C1.2")] == clocks[("BTA-10.5b", "insured.2")] == "kept"

    await world.until(told, "both were told")
    letters = [m for m in world.mails("anna.berzina@example.lv") if second.split(":")[2] in str(m["Subject"])]
    texts = [text_of(m).replace("\N{NO-BREAK SPACE}", " ") for m in letters]
    [partly] = [t for t in texts if "vēl līdz 900,00 EUR" in t]
    assert "agrāk iesniegtas pretenzijas" in partly
    [added] = [t for t in texts if "Papildu lēmums: izmaksāt vēl 500,00 EUR" in t]
    assert "līdz šim izlemts izmaksāt 300,00 EUR" in added
    assert "pāriet apdrošinātajam (noteikumu 9.12. punkts)" in added


async def test_what_cannot_be_released_any_more_is_told_as_lying_with_the_insured(world: World) -> None:
    """9.12: the earlier claim takes all that it reserved; nothing is left for the later one, and it is told so."""
    policy = await tight(world, "1200.00")
    first, second = await claim(world, policy), await claim(world, policy)
    await world.say(second, "propose_decision", **proposal())
    assert (await body(world, second))["proposal"]["total"] == "0.00"
    await world.stage(second, "awaiting_limit")
    await world.say(first, "propose_decision", **proposal())
    after = await supplemented(world, second)
    assert (after["withheld"], after["payments"]) == ("0.00", [])
    assert ("BTA-10.5c", "C1.2") not in await world.clocks(second)
    await world.stage(second, "resting")


@pytest.mark.parametrize("how", ["rejected", "withdrawn", "reserve lowered", "moved to its right policy"])
async def test_whatever_releases_a_reserve_wakes_who_waits_for_it(world: World, how: str) -> None:
    policy = await tight(world)
    first, second = await claim(world, policy), await claim(world, policy)
    await world.say(second, "propose_decision", **proposal())
    match how:
        case "rejected":
            await world.say(first, "propose_decision", **proposal(outcome="reject", reasons=["9.1: nothing is proven"]))
        case "withdrawn":
            await world.say(first, "withdraw_claim", withdrawn_at=MONDAY.isoformat(), reference="dms/1")
        case "reserve lowered":
            await world.say(first, "set_reserve", amount="300.00", reason="what the invoices prove")
        case _:
            await world.say(first, "set_policy", policy=await tight(world))
    after = await supplemented(world, second)
    assert (after["withheld"], after["payments"][1]["amount"]) == ("0.00", "900.00")


async def test_a_reserve_is_reviewed_every_three_months_until_it_is_decided(world: World) -> None:
    policy = await tight(world)
    case = await claim(world, policy)
    assert (await world.clock(case, "T-reserve-review")).last_day.isoformat() == "2027-06-01"
    with pytest.raises(Refused, match=r"no more can be reserved than is claimed and the limit has: 1200\.00"):
        await world.say(case, "set_reserve", amount="1200.01", reason="more")
    await world.say(case, "set_reserve", amount="900.00", reason="what the invoices prove")
    clock = await world.clock(case, "T-reserve-review")
    assert (clock.n, clock.status, (await row(world, case)).reserved) == (2, "running", Decimal(900))


async def test_a_claim_filed_earlier_but_received_later_comes_first(world: World) -> None:
    """10.4: made to the insured a week before the other one reached the insurer; of 1 500 it reserves 1 200."""
    policy = await tight(world)
    received_first = await claim(world, policy)
    week_ago = (MONDAY - timedelta(days=7)).isoformat()
    filed_first = await claim(world, policy, first_made_at=week_ago, first_made_to="insured")
    await world.say(received_first, "propose_decision", **proposal())
    assert (await body(world, received_first))["proposal"]["total"] == "300.00"
    await world.say(filed_first, "propose_decision", **proposal())
    assert (await body(world, filed_first))["proposal"]["total"] == "1200.00"


async def test_what_was_released_goes_to_the_earliest_who_waits(world: World) -> None:
    """Limit 1 500; three claims of 1 200: 0 and 300 go out first. The earliest is rejected: the second gets 1 200."""
    policy = await tight(world)
    first, second, third = [await claim(world, policy) for _ in range(3)]
    await world.say(third, "propose_decision", **proposal())
    await world.say(second, "propose_decision", **proposal())
    assert [(await row(world, c)).taken for c in (second, third)] == [300, 0]
    await world.say(first, "propose_decision", **proposal(outcome="reject", reasons=["9.1: nothing is proven"]))
    await supplemented(world, second)
    await supplemented(world, third)

    async def all_of_it() -> bool:
        rows = [await row(world, c) for c in (second, third)]
        return [f"{r.taken} {r.withheld}" for r in rows] == ["1200.00 0.00", "300.00 0.00"]

    await world.until(all_of_it, "the whole limit is taken and nobody waits")


@pytest.mark.parametrize(
    ("proven", "borne", "more"), [("1000.00", 200, "200.00"), ("150.00", 150, "150.00"), ("200.00", 200, "200.00")]
)
async def test_the_deductible_is_borne_in_the_order_of_filing_whoever_is_decided_first(
    world: World, proven: str, borne: int, more: str
) -> None:
    """9.5, 9.6: the later claim is decided first: 1 000 of 1 200, and 200 wait for what the earlier one bears of the
    deductible of 200. What it bears is released, in a decision of its own; together it is borne once."""
    policy = await tight(world, "9000.00", deductible={"kind": "amount", "value": "200.00"})
    first, second = [await claim(world, policy, occurrence="roof-7") for _ in range(2)]
    await world.say(second, "propose_decision", **proposal())
    after = await body(world, second)
    assert (after["proposal"]["total"], after["withheld"]) == ("1000.00", "200.00")
    assert (await row(world, second)).deductible == 0
    await world.say(first, "propose_decision", **proposal(proven))
    assert (await row(world, first)).deductible == borne
    after = await supplemented(world, second)
    assert (after["withheld"], after["payments"][1]["amount"]) == ("0.00", more)
    assert (await row(world, second)).deductible == 200 - borne


async def test_who_bears_the_deductible_in_the_end_is_told_so(world: World) -> None:
    """9.5: the earlier claim is rejected and bears nothing: the later one bears it all, and both readers are told."""
    policy = await tight(world, "9000.00", deductible={"kind": "amount", "value": "200.00"})
    first, second = [await claim(world, policy, occurrence="roof-7") for _ in range(2)]
    await world.say(second, "propose_decision", **proposal())
    await world.say(first, "propose_decision", **proposal(outcome="reject", reasons=["9.1: nothing is proven"]))
    after = await supplemented(world, second)
    assert (after["withheld"], len(after["payments"])) == ("0.00", 1)
    own = await row(world, second)
    assert [own.deductible, own.taken, own.reserved] == [200, 1000, 0]
    outcomes = {key: n.facts.get("outcome") for key, n in (await world.notices(second)).items()}
    assert [outcomes[f"BTA-10.5b:{party}.2:1"] for party in ("C1", "insured")] == ["bears_deductible"] * 2
    await confirmed(world, second, "C1:indemnity")
    await world.stage(second, "resting")
    texts = [text_of(m) for m in world.mails("anna.berzina@example.lv") if second.split(":")[2] in str(m["Subject"])]
    assert any("pašrisks ir jāsedz no šīs pretenzijas" in text for text in texts)


async def test_a_reserve_below_what_is_withheld_takes_nothing_off_the_deductible_of_others(world: World) -> None:
    """9.5: a lowered reserve of an earlier claim bears nothing of the deductible, and gives nothing back of it."""
    policy = await tight(world, "9000.00", deductible={"kind": "amount", "value": "200.00"})
    first, second, third = [await claim(world, policy, occurrence="roof-7") for _ in range(3)]
    # what they rang one another for when they were filed would let the second look at the ledger once it is decided
    await world.until(partial(heard, world, first, second), "they know of one another")
    await world.say(second, "propose_decision", **proposal())
    assert (await row(world, second)).withheld == 200
    async with world.sessions() as session, session.begin():
        # both were lowered, and nobody has heard the bell yet
        for case in (first, second):
            (await session.get_one(LimitRow, case)).reserved = Decimal("0.00")
    await world.say(third, "propose_decision", **proposal())
    assert (await body(world, third))["proposal"]["total"] == "1000.00"


async def test_a_deductible_that_was_borne_stays_borne_when_an_earlier_filing_comes_later(world: World) -> None:
    """9.5: once. The claim that was made to the insured a week before bears none of it, and lowers nobody's."""
    policy = await tight(world, "9000.00", deductible={"kind": "amount", "value": "200.00"})
    received_first = await claim(world, policy, occurrence="roof-7")
    await world.say(received_first, "propose_decision", **proposal())
    assert (await body(world, received_first))["proposal"]["total"] == "1000.00"
    week_ago = (MONDAY - timedelta(days=7)).isoformat()
    filed_first = await claim(world, policy, occurrence="roof-7", first_made_at=week_ago, first_made_to="insured")
    await world.say(filed_first, "propose_decision", **proposal())
    assert (await body(world, filed_first))["proposal"]["total"] == "1200.00"
    assert [(await row(world, c)).deductible for c in (received_first, filed_first)] == [200, 0]


async def test_above_the_limit_the_withheld_part_counts_for_the_second_approval(world: World) -> None:
    """What is approved is the entitlement: the supplement is then paid without asking again."""
    policy = await tight(world, "15000.00")
    first, second = await claim(world, policy, "14000.00"), await claim(world, policy, "12000.00")
    await world.say(second, "propose_decision", actor="op-1", **proposal("12000.00"))
    await world.stage(second, "approving")
    await world.say(second, "approve_decision", actor="op-2")
    assert (await body(world, second))["withheld"] == "11000.00"
    await world.say(first, "withdraw_claim", withdrawn_at=MONDAY.isoformat(), reference="dms/1")
    assert (await supplemented(world, second))["payments"][1]["amount"] == "11000.00"


async def test_what_the_limits_gave_away_before_the_approval_is_approved_anew(
    world: World,
) -> None:
    """Proposed with 12 000 of a limit of 15 000; a claim filed earlier, received only then, takes 5 000 before the
    approval: refused with the new sum, 10 000, which is approved by the next word."""
    policy = await tight(world, "15000.00")
    case = await claim(world, policy, "12000.00")
    await world.say(case, "propose_decision", actor="op-1", **proposal("12000.00"))
    await world.stage(case, "approving")
    week_ago = (MONDAY - timedelta(days=7)).isoformat()
    other = await claim(world, policy, "5000.00", first_made_at=week_ago, first_made_to="insured")
    await world.say(other, "propose_decision", **proposal("5000.00"))
    with pytest.raises(Refused, match=r"it would pay 10000\.00 EUR now"):
        await world.say(case, "approve_decision", actor="op-2")
    waits = await world.stage(case, "approving")
    assert "10000.00 EUR" in waits.waits_for
    await world.say(case, "approve_decision", actor="op-2")
    assert [p["amount"] for p in (await body(world, case))["payments"]] == ["10000.00"]


async def test_a_person_has_one_limit_in_all_claims_of_an_occurrence(world: World) -> None:
    """5.5: 1 000 a person. Treatment first, 700; then lost earnings: 300 of the 600 are left for the same person, and
    all of it for another one; a sublimit of the period counts every claim (5.3.2)."""
    policy = await tight(world, "50000.00", limit_per_person="1000.00")
    people = [
        {"name": "Ilze Kalniņa", "email": "ilze.kalnina@example.lv", "personal_code": code}
        for code in ("010190-10006", "010190-10006", "020290-10007")
    ]
    totals = []
    for n, (person, amount) in enumerate(zip(people, ("700.00", "600.00", "600.00"), strict=True)):
        head = "treatment" if n == 0 else "temporary_incapacity"
        loss = {"claimant": 1, "head": head, "amount": amount}
        proofs = ("claim", "medical_opinion", "proof_of_entitlement", "proof_of_amount", "certificate_of_authority")
        filing = content(policy, claimants=[person], occurrence="A1", losses=[loss])
        filing["documents"] = documents(MONDAY, *proofs, "hospital_extract")
        case = await world.file("claim", "BTA", filing)
        await world.stage(case, "deciding")
        await world.covered(case)
        losses = [{"claimant": "C1", "head": head, "proven": amount}]
        await world.say(case, "propose_decision", outcome="pay", losses=losses)
        totals.append((await body(world, case))["proposal"]["total"])
    assert totals == ["700.00", "300.00", "600.00"]


async def test_a_premium_that_was_withheld_is_not_withheld_again_by_the_supplement(world: World) -> None:
    """9.5: 1 200 - 100 premium = 1 100, 300 of it now; once the limit is free 800 more, not 700."""
    policy = await tight(world, instalments=True, unpaid_premium="100.00")
    first, second = await claim(world, policy), await claim(world, policy)
    await world.say(second, "propose_decision", **proposal(withhold_premium=True))
    assert [(await body(world, second))[k] for k in ("withheld",)] == ["800.00"]
    await world.say(first, "withdraw_claim", withdrawn_at=MONDAY.isoformat(), reference="dms/1")
    assert [p["amount"] for p in (await supplemented(world, second))["payments"]] == ["300.00", "800.00"]


@pytest.mark.timeout(600)
async def test_many_claims_decided_at_once_never_pass_the_limit_and_leave_no_cent(
    world: World, request: pytest.FixtureRequest
) -> None:
    """5.6, 9.10: claims of 100.01 on a limit that is enough for two thirds of them less a cent, each decided with a
    third less, all at once. The limit is used to the cent or everybody has all; nobody waits for ever."""
    count = request.config.getoption("--claims")
    limit = Decimal("100.01") * count * 2 // 3 + Decimal("0.99")
    policy = await tight(world, str(limit))
    cases: list[str] = []
    numbers = iter(range(count))
    while some := list(islice(numbers, 12)):
        cases += await asyncio.gather(*(claim(world, policy, "100.01", at=_minutes(n)) for n in some))
    proven = ["100.01" if n % 3 else "50.00" for n in range(count)]
    await asyncio.gather(*(_decided(world, c, p) for c, p in zip(cases, proven, strict=True)))

    async def ledger() -> list[LimitRow]:
        async with world.sessions() as session:
            query = select(LimitRow).where(LimitRow.policy == policy).order_by(col(LimitRow.filed_at))
            return list((await session.exec(query)).all())

    async def nobody_waits() -> bool:
        return not any(r.withheld for r in await ledger())

    await world.until(nobody_waits, "nobody waits any more", seconds=300)
    rows = await ledger()
    entitled = sum(Decimal(p) for p in proven)
    assert sum(r.taken for r in rows) == min(limit, entitled)
    assert all(r.reserved == 0 for r in rows)
    async with world.sessions() as session:
        parts = (await session.exec(select(DecisionPartRow))).all()
    own = [p for p in parts if p.case in cases]
    assert sum(p.payable for p in own) == sum(r.taken for r in rows)
    for case in cases:
        payments = (await body(world, case))["payments"]
        assert sum(Decimal(p["amount"]) for p in payments) == (await row(world, case)).taken
    # in the order of filing: whoever was filed later got something only if everybody before got all
    short = [n for n, r in enumerate(rows) if r.taken < Decimal(proven[n])]
    assert all(rows[n].taken == 0 for n in short[1:])


async def _decided(world: World, case: str, proven: str) -> None:
    """Say it until it is answered: a server that has much to do lets go of those who wait."""
    while True:
        with suppress(WorkflowUpdateRPCTimeoutOrCancelledError):
            await world.say(case, "propose_decision", id=f"decide-{proven}", **proposal(proven))
            return


def _minutes(n: int) -> datetime:
    return MONDAY - timedelta(minutes=1000 - n)
