"""Disputes with policyholder or insured: negotiation, then arbitration or the court of the policy (BTA 11.5)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.workflows.test_claim import MONDAY, deciding, paid_on, proposal
from tests.workflows.test_court import sued
from tests.workflows.test_limits import body
from tests.world import Refused, World


def reported(at: datetime = MONDAY, **more: Any) -> dict[str, Any]:
    """The insured disputes the sum."""
    said = {"by": "insured", "about": "amount", "received_at": at.isoformat(), "reference": "dms/dispute"}
    return {**said, **more}


def ended(outcome: str, at: datetime = MONDAY) -> dict[str, Any]:
    """It is over."""
    return {"outcome": outcome, "ended_at": at.isoformat(), "reference": "dms/dispute-end"}


async def paid(world: World) -> str:
    """A claim that was decided with 700 of 1 200, less 200, and paid."""
    case = await deciding(world)
    await world.say(case, "propose_decision", **proposal("700.00"))
    await world.payment(case, "C1:indemnity", "issued")
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    await world.stage(case, "resting")
    return case


async def test_a_claim_does_not_rest_while_a_dispute_is_under_way_and_a_decision_that_stands_ends_it(
    world: World,
) -> None:
    """Negotiation for two weeks, longer than any rest; then it is dropped, and the rest begins anew."""
    case = await paid(world)
    await world.say(case, "report_dispute", **reported())
    row = await world.stage(case, "telling_and_paying")
    assert row.waits_for == "the negotiation with the insured (11.5)"
    assert (await world.clock(case, "T-rest")).status == "void"
    later = MONDAY + timedelta(days=14)
    await world.advance(case, later)
    assert (await world.row(case)).stage == "telling_and_paying"  # type: ignore[union-attr]  # it has a row
    await world.say(case, "end_dispute", **ended("dropped", later))
    await world.stage(case, "resting")
    assert [e for e in await world.entries(case) if "dispute" in e] == ["dispute_reported", "dispute_ended"]
    assert (await world.clock(case, "T-rest")).n == 2


async def test_what_negotiation_does_not_settle_arbitration_decides_and_the_award_is_decided_anew(
    world: World,
) -> None:
    """10.5a from the day of the award, 5 March: to 4 April; only the difference of 400 is paid."""
    case = await paid(world)
    await world.say(case, "report_dispute", **reported())
    await world.say(
        case, "refer_dispute", to="arbitration", referred_at=MONDAY.isoformat(), reference="dms/arbitration"
    )
    row = await world.stage(case, "telling_and_paying")
    assert row.waits_for == "the arbitration: the dispute with the insured (11.5)"
    assert "in arbitration (11.5)" in await world.details(case)
    award = datetime(2027, 3, 5, 15, 0, tzinfo=MONDAY.tzinfo)
    await world.advance(case, award + timedelta(days=1))
    await world.say(case, "end_dispute", **ended("anew", award))
    await world.stage(case, "deciding")
    clock = await world.clock(case, "BTA-10.5a")
    assert (clock.n, clock.status, clock.last_day.isoformat()) == (2, "running", "2027-04-04")
    await world.say(case, "propose_decision", **proposal("1100.00"))
    await world.payment(case, "C1:indemnity-2", "issued")
    after = await body(world, case)
    assert [p["amount"] for p in after["payments"]] == ["500.00", "400.00"]
    assert (after["dispute"], after["disputes"]) == (None, 1)


async def test_a_dispute_stops_neither_letters_nor_payment(world: World) -> None:
    case = await deciding(world)
    await world.say(case, "propose_decision", **proposal())
    await world.say(case, "report_dispute", **reported(by="policyholder", about="cover"))
    await world.payment(case, "C1:indemnity", "issued")
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))

    async def told() -> bool:
        clocks = await world.clocks(case)
        wanted = (("BTA-10.5b", "C1"), ("BTA-10.5b", "insured"), ("BTA-10.5c", "C1"))
        return all(clocks[key] == "kept" for key in wanted)

    await world.until(told, "letters and payment are proven")
    row = await world.stage(case, "telling_and_paying")
    assert "policyholder" in row.waits_for
    await world.say(case, "end_dispute", **ended("stands"))
    await world.stage(case, "resting")


async def test_a_closed_claim_is_opened_by_a_dispute(world: World) -> None:
    case = await paid(world)
    closed = MONDAY + timedelta(days=9)
    await world.advance(case, closed)
    await world.stage(case, "closed")
    said = {**reported(closed), "actor": "system:dms"}
    delivered = await world.intake.submit_event(case, "dispute-1", "report_dispute", said)
    assert not delivered.refused
    await world.stage(case, "telling_and_paying")
    await world.say(case, "end_dispute", **ended("stands", closed))
    await world.stage(case, "resting")


TOMORROW = MONDAY + timedelta(days=1)
REFERRED = {"to": "court", "referred_at": MONDAY.isoformat(), "reference": "dms/court"}


@pytest.mark.parametrize(
    ("before", "name", "message", "faults"),
    [
        ("", "report_dispute", reported(TOMORROW), ["received_at: lies in the future"]),
        ("", "refer_dispute", REFERRED, ["dispute: none is under way; report_dispute comes first"]),
        (
            "",
            "end_dispute",
            ended("stands", TOMORROW),
            ["dispute: none is under way; report_dispute comes first", "ended_at: lies in the future"],
        ),
        (
            "reported",
            "report_dispute",
            reported(TOMORROW),
            ["dispute: one is under way since 2027-03-01; its end comes first", "received_at: lies in the future"],
        ),
        (
            "reported",
            "end_dispute",
            ended("stands", MONDAY - timedelta(days=1)),
            ["ended_at: lies before the dispute was received"],
        ),
        ("referred", "refer_dispute", REFERRED, ["dispute: court decides it already"]),
    ],
)
async def test_what_a_dispute_cannot_be_is_refused_with_every_fault_and_changes_nothing(
    world: World, before: str, name: str, message: dict[str, Any], faults: list[str]
) -> None:
    case = await deciding(world)
    await world.say(case, "propose_decision", **proposal())
    if before:
        await world.say(case, "report_dispute", **reported())
    if before == "referred":
        await world.say(case, "refer_dispute", **REFERRED)
    await world.settled(case)
    entries = await world.entries(case)
    with pytest.raises(Refused) as refused:
        await world.say(case, name, **message)
    assert list(refused.value.faults) == faults
    assert await world.entries(case) == entries


async def test_before_a_decision_there_is_nothing_to_dispute(world: World) -> None:
    case = await deciding(world)
    assert "report_dispute" not in await world.details(case)
    with pytest.raises(Refused, match="nothing was decided yet"):
        await world.say(case, "report_dispute", **reported())


async def test_beside_a_suit_a_dispute_changes_no_decision(world: World) -> None:
    """9.1.3: the ruling comes first; that the decision stands can be said at any time."""
    case = await paid(world)
    await sued(world, case)
    await world.say(case, "report_dispute", **reported())
    with pytest.raises(Refused, match="its ruling or its end comes first"):
        await world.say(case, "end_dispute", **ended("anew"))
    await world.say(case, "end_dispute", **ended("stands"))
    await world.stage(case, "in_court")
