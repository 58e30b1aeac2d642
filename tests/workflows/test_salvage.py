"""9.3.1: the difference is paid at once, the rest once what is left is handed over; it is reserved until then."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from activities.claim import ClaimActivities
from models.claim import Assess
from tests.workflows.test_claim import MONDAY, _is, _letters, paid_on
from tests.workflows.test_limits import body, claim, confirmed, row, supplemented, tight
from tests.world import RIGA, Refused, World

OF = {"claimant": "C1", "head": "property_damaged"}


def destroyed(**more: Any) -> dict[str, Any]:
    """Worth 1 200 before and 300 after; the owner agrees that it is destroyed and keeps what is left for now."""
    facts = {"before": "1200.00", "after": "300.00", "owner_agrees": True, **more}
    return {"outcome": "pay", "losses": [{**OF, "facts": facts}]}


async def agreed(world: World, limit: str = "1500.00") -> tuple[str, str]:
    """A claim that was decided so, on a policy with this limit; and the policy."""
    policy = await tight(world, limit)
    case = await claim(world, policy)
    await world.say(case, "propose_decision", **destroyed())
    await world.payment(case, "C1:indemnity", "issued")
    return case, policy


def handed(at: datetime = MONDAY, **more: Any) -> dict[str, Any]:
    """The owner hands it over."""
    return {**OF, "handed_over_at": at.isoformat(), "reference": "dms/handover", **more}


async def test_the_difference_is_paid_at_once_and_the_rest_when_the_salvage_is_handed_over(world: World) -> None:
    """900 now; 300 from the day of the hand-over, with a payment, a letter and clocks of their own."""
    case, _ = await agreed(world)
    before = await body(world, case)
    assert ([p["amount"] for p in before["payments"]], before["salvage"]) == (["900.00"], {"C1:property_damaged": 1})
    assert [str(a) for a in ((await row(world, case)).taken, (await row(world, case)).reserved)] == ["900.00", "300.00"]
    await confirmed(world, case, "C1:indemnity")
    waiting = await world.stage(case, "awaiting_salvage")
    assert waiting.waits_for == "the owner, to hand over what is left of C1:property_damaged (9.3.1)"
    await world.advance(case, MONDAY + timedelta(days=10))
    await world.say(case, "salvage_handed_over", **handed(MONDAY + timedelta(days=8)))
    await world.payment(case, "C1:salvage-2", "issued")
    after = await body(world, case)
    assert ([p["amount"] for p in after["payments"]], after["salvage"]) == (["900.00", "300.00"], {})
    clock = await world.clock(case, "BTA-10.5c", "C1.2")
    # 15 working days from Tuesday 9 March, not from the day on which it was entered
    assert clock.anchor_at == datetime(2027, 3, 9, 10, 0, tzinfo=RIGA)
    await world.until(lambda: _is(world, case, "BTA-10.5b", "C1.2", "kept"), "the owner is told")
    await world.until(lambda: _is(world, case, "BTA-10.5b", "insured.2", "kept"), "the insured is told")
    [letter] = [t for t in await _letters(world, case, "anna.berzina@example.lv") if "Papildu lēmums" in t]
    assert "Papildus izmaksājami 300,00 EUR; līdz šim izlemts izmaksāt 900,00 EUR" in letter
    assert "Mantas atliekas ir nodotas apdrošinātājam" in letter
    assert "agrāk iesniegt" not in letter.lower()
    booked = await row(world, case)
    assert [str(a) for a in (booked.taken, booked.reserved)] == ["1200.00", "0.00"]
    message = {**paid_on("2027-03-11"), "payment": "C1:salvage-2"}
    await world.say(case, "confirm_payment", actor="system:bank", **message)
    assert (await world.clock(case, "BTA-10.5c", "C1.2")).status == "kept"
    await world.stage(case, "resting")


async def test_what_waits_for_salvage_is_reserved_from_the_decision(world: World) -> None:
    """9.6: limit 1 500: 900 are paid and 300 reserved, so a later claim gets 300 and waits for the rest, until the
    owner keeps the salvage: then 300 are free for it at once."""
    first, policy = await agreed(world)
    second = await claim(world, policy)
    await world.say(second, "propose_decision", outcome="pay", losses=[{**OF, "proven": "1200.00"}])
    later = await body(world, second)
    assert (later["proposal"]["total"], later["withheld"]) == ("300.00", "300.00")
    await confirmed(world, first, "C1:indemnity")
    await world.stage(first, "awaiting_salvage")
    await world.say(first, "salvage_kept", **OF, reason="dms/owner-keeps-it")
    assert [p["amount"] for p in (await supplemented(world, second))["payments"]] == ["300.00", "300.00"]
    assert (await row(world, first)).reserved == 0
    await world.stage(first, "resting")


async def test_the_salvage_takes_what_was_reserved_for_it(world: World) -> None:
    """The later claim took all that was free: the hand-over is paid all the same, and nothing is left."""
    first, policy = await agreed(world)
    second = await claim(world, policy)
    await world.say(second, "propose_decision", outcome="pay", losses=[{**OF, "proven": "1200.00"}])
    await world.say(first, "salvage_handed_over", **handed())
    assert [p["amount"] for p in (await body(world, first))["payments"]] == ["900.00", "300.00"]
    assert (await supplemented(world, second))["withheld"] == "0.00"
    rows = [await row(world, case) for case in (first, second)]
    assert sum(r.taken for r in rows) == 1500


async def test_what_earlier_claims_release_does_not_pay_the_salvage_twice(world: World) -> None:
    """The earlier claim holds 700 of 1 500: 800 of 900 are paid now, 100 and the salvage wait. It is handed over
    first; once the limit is free the whole comes to 1 200."""
    policy = await tight(world, "2000.00")
    first, second = await claim(world, policy), await claim(world, policy)
    await world.say(second, "propose_decision", **destroyed())
    now = await body(world, second)
    assert (now["proposal"]["total"], now["withheld"], now["proposal"]["salvage"]) == ("800.00", "100.00", "300.00")
    await world.say(second, "salvage_handed_over", **handed())
    now = await body(world, second)
    assert ([p["amount"] for p in now["payments"]], now["withheld"], now["salvage"]) == (["800.00"], "400.00", {})
    await world.say(first, "propose_decision", outcome="pay", losses=[{**OF, "proven": "100.00"}])
    now = await supplemented(world, second, 3)
    assert ([p["amount"] for p in now["payments"]], now["withheld"]) == (["800.00", "400.00"], "0.00")
    assert (await row(world, second)).taken == 1200


async def test_the_rest_is_part_of_what_a_second_person_approves(world: World) -> None:
    """10 000 can be paid alone; 9 000 now and 3 000 later are more, and nobody is asked again for the 3 000."""
    policy = await tight(world, "50000.00")
    case = await claim(world, policy, amount="12000.00")
    await world.say(case, "propose_decision", **destroyed(before="12000.00", after="3000.00"))
    await world.stage(case, "approving")
    await world.say(case, "approve_decision", actor="op-2")
    await world.payment(case, "C1:indemnity", "issued")
    await world.say(case, "salvage_handed_over", **handed())
    await world.payment(case, "C1:salvage-2", "issued")


async def test_a_deductible_that_heads_share_is_reserved_for_to_the_cent(world: World) -> None:
    """1 700 and 500 less 300: 1 900; with the salvage 2 400 and 500 less 300: 2 600. So 700 are reserved, and paid."""
    policy = await tight(world, "5000.00", deductible={"kind": "amount", "value": "300.00"})
    losses = [{"claimant": 1, "head": h, "amount": "2400.00"} for h in ("property_damaged", "rescue_costs")]
    case = await claim(world, policy, losses=losses)
    rescue = {"claimant": "C1", "head": "rescue_costs", "proven": "500.00"}
    said = destroyed(before="2400.00", after="700.00")
    await world.say(case, "propose_decision", outcome="pay", losses=[*said["losses"], rescue])
    assert [str(a) for a in ((await row(world, case)).taken, (await row(world, case)).reserved)] == [
        "1900.00",
        "700.00",
    ]
    await world.say(case, "salvage_handed_over", **handed())
    assert [str(a) for a in ((await row(world, case)).taken, (await row(world, case)).reserved)] == ["2600.00", "0.00"]


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (handed(head="treatment"), "head: no salvage of it is waited for; of: C1:property_damaged"),
        (handed(claimant="C2"), "head: no salvage of it is waited for"),
        (handed(MONDAY + timedelta(hours=1)), "handed_over_at: lies in the future"),
        ({**OF, "handed_over_at": MONDAY.isoformat()}, "reference"),
    ],
    ids=["another head", "another claimant", "in the future", "without a document"],
)
async def test_a_faulty_hand_over_is_refused_and_changes_nothing(
    world: World, message: dict[str, Any], fault: str
) -> None:
    case, _ = await agreed(world)
    before = await body(world, case)
    with pytest.raises(Refused, match=fault):
        await world.say(case, "salvage_handed_over", **message)
    assert (await body(world, case))["salvage"] == before["salvage"]
    assert len((await body(world, case))["payments"]) == 1


async def test_it_is_handed_over_once(world: World) -> None:
    """Said again under its own id it is the same step; said anew it is refused. Worked out twice it is the same."""
    case, policy = await agreed(world)
    ask = Assess(case=case, policy=policy, n=2, recorded=1, salvage=("C1:property_damaged",))
    owners = [getattr(a, "__self__", None) for a in world.activities]
    owner = next(owner for owner in owners if isinstance(owner, ClaimActivities))
    first = await owner.assess(ask)
    assert (first, str(first.total)) == (await owner.assess(ask), "300.00")
    said = [await world.say(case, "salvage_handed_over", id="crm-1", **handed()) for _ in range(2)]
    assert said[0]["step"] == said[1]["step"]
    with pytest.raises(Refused, match="no salvage of it is waited for; of: nothing"):
        await world.say(case, "salvage_handed_over", **handed())
    assert [p["amount"] for p in (await body(world, case))["payments"]] == ["900.00", "300.00"]
