"""Claims: documents, decision in 30 days, letters in 10 working days, payment in 15 (BTA 9.1, 10.5)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.world import RIGA, Refused, World

MONDAY = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
ALL_DOCUMENTS = ("proof_of_entitlement", "proof_of_amount", "certificate_of_authority")


def content(policy: str, amount: str = "1200.00", **more: Any) -> dict[str, Any]:
    """A claim for damaged property."""
    return {
        "policy": policy,
        "filed_by": "third_party",
        "claimants": [
            {
                "name": "Anna Bērziņa",
                "email": "anna.berzina@example.lv",
                "iban": "LV97HABA0012345678910",
                "language": "lv",
            }
        ],
        "occurred_on": "2027-02-20",
        "place": "Rīga",
        "description": "No jumta krita ledus un sabojāja automašīnu.",
        "losses": [{"claimant": 1, "head": "property_damaged", "amount": amount}],
        **more,
    }


def documents(at: datetime, *kinds: str) -> list[dict[str, Any]]:
    """Documents that came with the claim."""
    return [{"document": k, "received_at": at.isoformat(), "reference": f"dms/{k}"} for k in kinds or ALL_DOCUMENTS]


async def test_a_straight_claim_is_decided_told_paid_and_closed(world: World) -> None:
    """All documents at once: the 30 days run from receipt; decision, letters and payment stop their clocks."""
    await world.begin(MONDAY)
    policy = await world.policy()
    case = await world.file("claim", "BTA", content(policy, documents=documents(MONDAY)))
    await world.stage(case, "deciding")
    clock = await world.clock(case, "BTA-10.5a")
    assert clock.due == datetime(2027, 4, 1, 0, 0, tzinfo=RIGA)

    await world.say(
        case,
        "propose_decision",
        outcome="pay",
        losses=[{"claimant": "C1", "head": "property_damaged", "proven": "1200.00"}],
    )
    await world.stage(case, "telling_and_paying")

    async def told() -> bool:
        clocks = await world.clocks(case)
        return clocks[("BTA-10.5b", "C1")] == clocks[("BTA-10.5b", "insured")] == "kept"

    await world.until(told)
    assert await world.clocks(case) == {
        ("BTA-10.5a", ""): "kept",
        ("BTA-10.5b", "C1"): "kept",
        ("BTA-10.5b", "insured"): "kept",
        ("BTA-10.5c", "C1"): "running",
    }
    await world.until(lambda: _issued(world, case))
    await world.say(
        case,
        "confirm_payment",
        actor="system:bank",
        payment="C1:indemnity",
        executed_on="2027-03-01",
        bank_reference="B1",
    )
    await world.stage(case, "resting")
    assert (await world.clock(case, "BTA-10.5c", "C1")).status == "kept"
    await world.advance(case, MONDAY + timedelta(days=9))
    row = await world.row(case)
    assert row is not None
    assert (row.stage, row.outcome) == ("closed", "paid")
    print(await world.entries(case))
    desc = await world.handle(case).describe()
    print("events", desc.history_length)


async def _issued(world: World, case: str) -> bool:
    row = await world.row(case)
    return row is not None and row.state["body"]["payments"][0]["status"] == "issued"


async def test_an_empty_update_is_refused_with_every_fault(world: World) -> None:
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", content(await world.policy()))
    await world.stage(case, "collecting")
    with pytest.raises(Refused, match="no message"):
        await world.send(case, "add_document")
    with pytest.raises(Refused) as refused:
        await world.send(case, "add_document", {"x": 1})
    assert refused.value.type == "BadMessage"
