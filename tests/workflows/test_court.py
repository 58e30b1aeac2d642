"""A court hears a claim: its ruling is a missing document, an award has a term of its own; and a claim opened again.

BTA rules 9.1.3 and 10.5.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.workflows.test_claim import MONDAY, content, deciding, documents, paid_on, proposal
from tests.workflows.test_limits import body, claim, row, supplemented, tight
from tests.world import RIGA, Refused, World

FRIDAY = datetime(2027, 3, 5, 0, 0, tzinfo=RIGA)
"""A ruling enters into force; ten working days from then end on 19 March."""


async def sued(world: World, case: str, at: datetime = MONDAY, **more: Any) -> None:
    """A suit is reported."""
    await world.say(case, "report_suit", filed_at=at.isoformat(), reference="dms/suit", **more)


async def ruled(world: World, case: str, amount: str, at: datetime = FRIDAY, claimant: str = "C1") -> None:
    """A ruling in force is reported three days after it entered into force."""
    await world.advance(case, max(at + timedelta(days=3), MONDAY))
    awards = [{"claimant": claimant, "amount": amount}]
    await world.say(case, "report_ruling", in_force_at=at.isoformat(), awards=awards, reference="dms/ruling")


async def paid(world: World, case: str, payment: str) -> None:
    """The bank executed it on the day on which the ruling was reported."""
    message = {**paid_on("2027-03-08"), "payment": payment}
    await world.say(case, "confirm_payment", actor="system:bank", **message)


async def rejected(world: World) -> str:
    """A claim that was rejected, and rests."""
    case = await deciding(world)
    await world.say(case, "propose_decision", **proposal(outcome="reject", reasons=["9.3.2: nothing is proven"]))
    await world.stage(case, "resting")
    return case


async def test_before_a_court_the_30_days_end_and_a_ruling_starts_ten_working_days_from_its_force(world: World) -> None:
    """10.5d: from the entry into force on Friday 5 March, not from Monday when it is reported; no 10.5c beside it."""
    case = await deciding(world)
    await sued(world, case)
    waits = await world.stage(case, "in_court")
    assert "the court" in waits.waits_for
    assert (await world.clock(case, "BTA-10.5a")).status == "void"
    await ruled(world, case, "900.00")
    clock = await world.clock(case, "BTA-10.5d", "C1")
    assert (clock.status, clock.last_day.isoformat()) == ("running", "2027-03-19")
    await world.say(case, "propose_decision", **proposal("900.00"))
    await world.payment(case, "C1:indemnity", "issued")
    clocks = await world.clocks(case)
    assert ("BTA-10.5c", "C1") not in clocks
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-08"))
    await world.stage(case, "resting")
    assert (await world.clocks(case))[("BTA-10.5d", "C1")] == "kept"
    assert (await row(world, case)).taken == 700


async def test_an_award_that_was_heard_of_too_late_is_overdue_at_once_and_paid_late(world: World) -> None:
    case = await deciding(world)
    await sued(world, case)
    await world.advance(case, FRIDAY + timedelta(days=30))
    await ruled(world, case, "900.00", at=FRIDAY)
    await world.until(lambda: _status(world, case, "BTA-10.5d", "C1", "overdue"), "overdue on arrival")
    await world.say(case, "propose_decision", **proposal("900.00"))
    await world.payment(case, "C1:indemnity", "issued")
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-04-04"))
    assert await _status(world, case, "BTA-10.5d", "C1", "late")


async def _status(world: World, case: str, duty: str, subject: str, status: str) -> bool:
    return (await world.clocks(case)).get((duty, subject)) == status


async def test_a_suit_that_ends_without_an_award_starts_the_30_days_anew_on_that_day(world: World) -> None:
    """10.5a anew: ended on 10 March, so 30 days to 9 April."""
    case = await deciding(world)
    await sued(world, case)
    ended = datetime(2027, 3, 10, 15, 0, tzinfo=RIGA)
    await world.advance(case, ended + timedelta(days=1))
    await world.say(case, "report_suit_end", ended_at=ended.isoformat(), reference="dms/end")
    await world.stage(case, "deciding")
    clock = await world.clock(case, "BTA-10.5a")
    assert (clock.n, clock.last_day.isoformat()) == (2, "2027-04-09")


async def test_a_suit_after_a_rejection_is_the_same_case_and_what_it_awards_is_paid(world: World) -> None:
    """Back to court, the sum reserved again; the second decision has letters and payments of its own."""
    case = await rejected(world)
    assert (await row(world, case)).reserved == 0
    await sued(world, case)
    await world.stage(case, "in_court")
    assert (await row(world, case)).reserved == 1200
    await ruled(world, case, "1100.00")
    await world.say(case, "propose_decision", **proposal("1100.00"))
    await world.payment(case, "C1:indemnity-2", "issued")
    clocks = await world.clocks(case)
    assert (clocks[("BTA-10.5d", "C1.2")], clocks[("BTA-10.5a", "")]) == ("running", "kept")
    await world.say(
        case, "confirm_payment", actor="system:bank", **{**paid_on("2027-03-08"), "payment": "C1:indemnity-2"}
    )
    await world.stage(case, "resting")
    assert (await world.clocks(case))[("BTA-10.5b", "C1.2")] == "kept"


async def test_a_suit_opens_a_closed_claim_again_and_closes_it_if_nothing_is_awarded(world: World) -> None:
    """A rejection that the court upholds was decided before: nothing is decided anew, and the claim rests."""
    case = await rejected(world)
    await world.advance(case, MONDAY + timedelta(days=9))
    await world.stage(case, "closed")
    at = MONDAY + timedelta(days=9)
    filed = {"actor": "system:dms", "filed_at": at.isoformat(), "reference": "dms/suit"}
    delivered = await world.intake.submit_event(case, "suit-1", "report_suit", filed)
    assert not delivered.refused
    await world.stage(case, "in_court")
    await world.say(case, "report_suit_end", ended_at=at.isoformat(), reference="dms/end")
    await world.stage(case, "resting")
    assert (await world.clock(case, "BTA-10.5a")).n == 1


async def test_a_suit_of_one_claimant_leaves_the_others_their_decision(world: World) -> None:
    """Two claimants, one before the court: the other is decided in his 30 days; the first one's sum stays reserved."""
    policy = await tight(world, "50000.00")
    people = [{"name": f"Persona {n}", "email": f"p{n}@example.lv", "iban": "LV97HABA0012345678910"} for n in (1, 2)]
    losses = [{"claimant": n, "head": "property_damaged", "amount": "1000.00"} for n in (1, 2)]
    filing = content(policy, claimants=people, losses=losses, documents=documents(MONDAY))
    case = await world.file("claim", "BTA", filing)
    await world.stage(case, "deciding")
    await world.covered(case)
    await sued(world, case, claimants=["C1"])
    both = [{"claimant": c, "head": "property_damaged", "proven": "1000.00"} for c in ("C1", "C2")]
    with pytest.raises(Refused, match="before a court; its ruling comes first"):
        await world.say(case, "propose_decision", outcome="pay", losses=both)
    await world.say(case, "propose_decision", outcome="pay", losses=both[1:])
    await world.payment(case, "C2:indemnity", "issued")
    assert (await row(world, case)).reserved == 1000
    await ruled(world, case, "1000.00")
    await world.stage(case, "deciding")
    # what was decided goes on beside it
    await world.say(
        case, "confirm_payment", actor="system:bank", **{**paid_on("2027-03-08"), "payment": "C2:indemnity"}
    )
    await world.say(case, "propose_decision", outcome="pay", losses=both[:1])
    await world.payment(case, "C1:indemnity-2", "issued")
    found = await row(world, case)
    assert (str(found.taken), str(found.reserved)) == ("2000.00", "0.00")
    clocks = await world.clocks(case)
    assert (clocks[("BTA-10.5c", "C2")], clocks[("BTA-10.5d", "C1.2")]) == ("kept", "running")


async def test_an_award_beyond_the_limit_is_paid_as_far_as_it_goes_and_nothing_ends_its_clock(world: World) -> None:
    """5.4: nothing is left of the limit; the award's clock is void with the reason, and the letter names 9.12."""
    policy = await tight(world, "1200.00")
    case, other = await claim(world, policy), await claim(world, policy)
    await sued(world, case)
    await world.say(case, "set_reserve", amount="0.00", reason="the insured denies any liability")
    await world.say(other, "propose_decision", **proposal())
    await ruled(world, case, "900.00")
    await world.say(case, "propose_decision", **proposal("900.00"))
    await world.stage(case, "resting")
    clock = await world.clock(case, "BTA-10.5d", "C1")
    assert (clock.status, clock.reason) == ("void", "the decision pays nothing of the award")


async def _withheld(world: World) -> tuple[str, str]:
    """An earlier claim that holds 1 200 of a limit of 1 500, and one decided with 1 200: 300 paid, 900 withheld."""
    policy = await tight(world)
    first, second = await claim(world, policy), await claim(world, policy)
    await world.say(second, "propose_decision", **proposal())
    await world.payment(second, "C1:indemnity", "issued")
    await world.say(second, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    await world.stage(second, "awaiting_limit")
    return first, second


async def test_what_is_released_while_an_award_is_decided_is_not_lost(world: World) -> None:
    """9.6: the earlier claim is decided with 700 while the later one's award waits for its decision: the bell comes
    once, and the 500 are decided as soon as that is done."""
    first, second = await _withheld(world)
    await sued(world, second)
    await world.stage(second, "awaiting_limit")
    await ruled(world, second, "1200.00")
    await world.stage(second, "deciding")
    await world.say(first, "propose_decision", **proposal("700.00"))

    async def heard() -> bool:
        return bool((await body(world, second))["released"])

    await world.until(heard, "the bell is heard while it is decided")
    await world.say(second, "propose_decision", **proposal(outcome="reject", reasons=["9.3.2: not proven"]))
    after = await supplemented(world, second, 3)
    assert [p["amount"] for p in after["payments"]] == ["300.00", "500.00"]
    assert (after["withheld"], after["released"]) == ("0.00", False)
    found = await row(world, second)
    assert [str(a) for a in (found.taken, found.withheld, found.reserved)] == ["800.00", "0.00", "0.00"]


async def test_what_an_award_decides_anew_is_withheld_once_and_released_once(world: World) -> None:
    """9.6: 900 of the loss were withheld; the court awards the same 1 200. They are withheld by the second decision
    instead of the first, not by both; 500 are released in one supplement, and nobody is told twice that the rest of
    400 lies with the insured (9.12)."""
    first, second = await _withheld(world)
    await sued(world, second)
    await ruled(world, second, "1200.00")
    await world.say(second, "propose_decision", **proposal("1200.00"))
    after = await body(world, second)
    assert (after["withheld"], after["withheld_by"]) == ("900.00", {"2": "900.00"})
    found = await row(world, second)
    assert [str(a) for a in (found.taken, found.withheld, found.reserved)] == ["300.00", "900.00", "900.00"]
    await world.say(first, "propose_decision", **proposal("700.00"))
    after = await supplemented(world, second, 3)
    await world.settled(second)
    after = await body(world, second)
    assert (after["decisions"], after["withheld"]) == (3, "0.00")
    assert [p["amount"] for p in after["payments"]] == ["300.00", "500.00"]
    assert "used_up" not in [n.facts.get("outcome") for n in (await world.notices(second)).values()]


async def test_of_two_heads_that_wait_only_the_one_decided_anew_is_withheld_anew(world: World) -> None:
    """Two claimants with 600 each, 150 of each paid and 450 withheld; evidence for the first one's 600 changes nothing
    of the second one's 450."""
    policy = await tight(world)
    first = await claim(world, policy)
    people = [{"name": f"Persona {n}", "email": f"w{n}@example.lv", "iban": "LV97HABA0012345678910"} for n in (1, 2)]
    losses = [{"claimant": n, "head": "property_damaged", "amount": "600.00"} for n in (1, 2)]
    filing = content(policy, claimants=people, losses=losses, documents=documents(MONDAY))
    second = await world.file("claim", "BTA", filing, received_at=MONDAY + timedelta(minutes=1))
    await world.stage(second, "deciding")
    await world.covered(second)
    both = [{"claimant": c, "head": "property_damaged", "proven": "600.00"} for c in ("C1", "C2")]
    await world.say(second, "propose_decision", outcome="pay", losses=both)
    for c in ("C1", "C2"):
        await world.payment(second, f"{c}:indemnity", "issued")
        done = {**paid_on("2027-03-01"), "payment": f"{c}:indemnity"}
        await world.say(second, "confirm_payment", actor="system:bank", **done)
    await world.stage(second, "awaiting_limit")
    evidence = {"reason": "new_evidence", "received_at": MONDAY.isoformat(), "text": "a better invoice"}
    await world.say(second, "reopen_claim", **evidence)
    await world.say(second, "propose_decision", outcome="pay", losses=both[:1])
    after = await body(world, second)
    assert (after["withheld"], after["withheld_by"]) == ("900.00", {"1": "450.00", "2": "450.00"})
    await world.say(first, "propose_decision", **proposal("700.00"))
    await supplemented(world, second, 4)
    await world.settled(second)
    after = await body(world, second)
    paid_out = sum(float(p["amount"]) for p in after["payments"])
    assert (paid_out, after["withheld"]) == (800.0, "0.00")


async def test_new_evidence_comes_also_while_the_limit_is_waited_for(world: World) -> None:
    """A claim can wait for years for what earlier ones hold; its 30 days for new evidence begin with the receipt."""
    _, second = await _withheld(world)
    evidence = {"reason": "new_evidence", "received_at": MONDAY.isoformat(), "text": "a better invoice"}
    assert "reopen_claim" in await world.details(second)
    await world.say(second, "reopen_claim", **evidence)
    await world.stage(second, "deciding")
    clock = await world.clock(second, "BTA-10.5a")
    assert (clock.n, clock.status) == (2, "running")
    await world.say(second, "propose_decision", **proposal())
    waits = await world.stage(second, "awaiting_limit")
    assert "900.00 EUR" in waits.waits_for


async def test_new_evidence_opens_a_claim_again_and_only_the_difference_is_paid(world: World) -> None:
    """Decided with 700 of 1 200 less 200; the invoice for the rest comes later: 500 more, not 1 000."""
    case = await deciding(world)
    await world.say(case, "propose_decision", **proposal("700.00", "pay_reduced", reasons=["9.3.2: estimate"]))
    await world.payment(case, "C1:indemnity", "issued")
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    await world.stage(case, "resting")
    again = {"reason": "new_evidence", "received_at": MONDAY.isoformat(), "text": "the invoice of the garage"}
    await world.say(case, "reopen_claim", **again)
    assert (await world.clock(case, "BTA-10.5a")).last_day.isoformat() == "2027-03-31"
    await world.say(case, "propose_decision", **proposal("1200.00"))
    amounts = {p["key"]: p["amount"] for p in (await body(world, case))["payments"]}
    assert amounts == {"C1:indemnity": "500.00", "C1:indemnity-2": "500.00"}


@pytest.mark.parametrize(
    ("name", "message", "faults"),
    [
        (
            "report_ruling",
            {"in_force_at": "2027-03-01T00:00+02:00", "awards": [{"claimant": "C1", "amount": "1.00"}]},
            ["none is under way"],
        ),
        ("report_suit_end", {"ended_at": "2027-03-01T00:00+02:00"}, ["none is under way"]),
        (
            "report_suit",
            {"filed_at": "2027-03-09T00:00+02:00", "claimants": ["C7"]},
            ["nobody claims as C7", "filed_at: lies in the future"],
        ),
        ("report_suit", {"filed_at": "2027-03-01T00:00+02:00", "claimants": ["C7; DROP"]}, ["claimants.0"]),
    ],
    ids=["no suit", "no suit to end", "a stranger, tomorrow", "no claimant at all"],
)
async def test_what_a_court_cannot_have_said_is_refused_with_every_fault(
    world: World, name: str, message: dict[str, Any], faults: list[str]
) -> None:
    case = await deciding(world)
    before = await world.entries(case)
    with pytest.raises(Refused) as refused:
        await world.say(case, name, reference="dms/1", **message)
    assert all(any(fault in said for said in refused.value.faults) for fault in faults)
    assert await world.entries(case) == before


async def test_a_letter_of_a_later_decision_that_came_back_is_sent_again_as_it_was(world: World) -> None:
    """The supplement's letter bounces: another address, the same letter, and the clock of that decision ends kept."""
    policy = await tight(world)
    first, second = await claim(world, policy), await claim(world, policy)
    await world.say(second, "propose_decision", **proposal())
    await world.say(first, "withdraw_claim", withdrawn_at=MONDAY.isoformat(), reference="dms/1")
    await world.until(lambda: _status(world, second, "BTA-10.5b", "C1.2", "kept"), "the supplement was told")
    await world.say(second, "report_bounce", notice="BTA-10.5b:C1.2:1", bounced_at=MONDAY.isoformat())
    assert await _status(world, second, "BTA-10.5b", "C1.2", "running")
    await world.say(second, "correct_address", party="C1", email="anna.otra@example.lv")
    await world.until(lambda: _status(world, second, "BTA-10.5b", "C1.2", "kept"), "told again")
    [letter] = world.mails("anna.otra@example.lv")
    body_part = letter.get_body(preferencelist=("plain",))
    assert body_part is not None
    assert "900,00 EUR" in body_part.get_content().replace("\N{NO-BREAK SPACE}", " ")


async def test_once_the_insurer_handles_the_suit_the_insured_is_told_what_it_owes(world: World) -> None:
    """8.1.10: all information and help. Said once; no suit is taken over before there is one."""
    case = await deciding(world)
    with pytest.raises(Refused, match="what: no suit is under way"):
        await world.say(case, "take_over_handling", what="suit", reference="dms/handling")
    await sued(world, case)
    await world.say(case, "take_over_handling", what="suit", reference="dms/handling")
    assert "handling_taken_over" in await world.entries(case)
    await world.until(lambda: _told_of_handling(world, case), "the insured is told")
    with pytest.raises(Refused, match="handling: it was taken over already"):
        await world.say(case, "take_over_handling", what="claim", reference="dms/handling")


async def _told_of_handling(world: World, case: str) -> bool:
    notice = (await world.notices(case)).get("BTA-8.1.10:insured:1")
    return notice is not None and notice.sent_at is not None
