"""What of a premium goes back when a contract ends early is paid once, by a case of its own (BTA 11.1, 11.2)."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import Any

import pytest

from models.errors import Refusal
from models.tables import PaymentOrderRow
from operations.policies import Policies
from tests.world import RIGA, Refused, World

MONDAY = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
REFUND = "policyholder:refund"
_numbers = count(1)


def policies(world: World) -> Policies:
    """The policies of the world."""
    return Policies(world.sessions, world.keyring, world.now, world.intake)


async def ended(world: World, name: str = "SIA Beidzam", **more: Any) -> str:
    """A contract of 365 days that ended with 306 to come; the case of its refund.

    730.00 × 306 / 365 = 612.00, less costs of 12.00: 600.00.
    """
    await world.begin(MONDAY)
    number = f"END-{next(_numbers)}"
    company = {"name": name, "email": "birojs@beidzam.example", "language": "lv"}
    await policies(world).register(
        {
            "policy": number,
            "organisation": "BTA",
            "policyholder": company,
            "insured": company,
            "starts_on": "2027-01-01",
            "terms": {"limit_per_occurrence": "50000.00", "limit_aggregate": "100000.00"},
            "premium": [{"due_on": "2027-01-15", "amount": "730.00"}],
            "payments": [{"reference": "B1", "paid_on": "2027-01-10", "amount": "730.00"}],
        }
    )
    end = {"by": "policyholder", "last_day": "2027-02-28", "reason": "business sold", "costs": "12.00", **more}
    entry, case = await policies(world).end(number, end)
    assert str(entry.refund.amount) == "600.00"
    assert case is not None
    world.filed.append(case)
    return case


async def test_a_refund_is_paid_once_and_rests_for_a_return(world: World) -> None:
    """11.1: ordered, issued, executed; seven days later the case closes."""
    case = await ended(world, iban="LV97HABA0012345678910")
    await world.payment(case, REFUND, "issued")
    async with world.sessions() as session:
        order = await session.get(PaymentOrderRow, (case, REFUND))
    assert order is not None
    assert (str(order.amount), order.party) == ("600.00", "policyholder")
    confirmation = {"payment": REFUND, "bank_reference": "B9"}
    with pytest.raises(Refused, match="executed_on: lies in the future"):
        await world.say(case, "confirm_payment", actor="system:bank", executed_on="2027-03-02", **confirmation)
    await world.say(case, "confirm_payment", actor="system:bank", executed_on="2027-03-01", **confirmation)
    await world.stage(case, "resting")
    assert "ordered" in [e.entry for e in await world.timeline(case) if e.duty == "BTA-11.1"]
    await world.advance(case, (await world.clock(case, "T-rest")).due)
    assert (await world.stage(case, "closed")).outcome == "paid"


async def test_it_waits_for_an_account_and_a_returned_payment_goes_to_another(world: World) -> None:
    """A rejection also after it was paid."""
    case = await ended(world)
    await world.payment(case, REFUND, "held")
    await world.say(case, "correct_payee", claimant="policyholder", iban="LV97HABA0012345678910")
    await world.payment(case, REFUND, "issued")
    confirmation = {"payment": REFUND, "bank_reference": "B9", "executed_on": "2027-03-01"}
    await world.say(case, "confirm_payment", actor="system:bank", **confirmation)
    await world.stage(case, "resting")
    rejected = {"payment": REFUND, "reason": "AC04", "rejected_on": "2027-03-01"}
    await world.say(case, "reject_payment", actor="system:bank", **rejected)
    await world.stage(case, "returning")
    await world.say(case, "correct_payee", claimant="policyholder", iban="LV97HABA0012345678910")
    await world.payment(case, f"{REFUND}:2", "issued")


async def test_a_filing_by_hand_needs_a_contract_that_ended_with_a_refund(world: World) -> None:
    """One case for each refund."""
    number = (await ended(world)).split(":")[2]
    with pytest.raises(Refusal, match="named by its policy"):
        await world.file("premium_refund", "BTA", {"policy": number}, reference="another")
    other = await world.policy()
    with pytest.raises(Refusal, match="did not end early with a refund"):
        await world.file("premium_refund", "BTA", {"policy": other}, reference=other)
    with pytest.raises(Refusal, match="no such policy"):
        await world.file("premium_refund", "BTA", {"policy": "none"}, reference="none")


async def test_a_listed_policyholder_gets_the_refund_only_once_the_hit_is_cleared(world: World) -> None:
    """GJ-sanctions: screened before every payment, also this one."""
    case = await ended(world, name="Severnaya Lavina Trading LLC", iban="LV97HABA0012345678910")
    await world.payment(case, REFUND, "screening")
    await world.say(case, "confirm_hit", payment=REFUND, reason="the same company")
    await world.say(case, "clear_hit", payment=REFUND, reason="taken off the list")
    await world.payment(case, REFUND, "issued")
