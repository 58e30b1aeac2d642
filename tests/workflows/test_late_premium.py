"""A first premium that was paid late: 15 days in which it may be refused (BTA 6.5), else the policy stands."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from models.errors import Refusal
from models.tables import NoticeRow, PaymentOrderRow, PolicyRow
from operations.policies import Policies
from rules.policy import in_force, reporting
from tests.workflows.test_claim import content as claim
from tests.world import RIGA, Refused, World, text_of

MONDAY = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
DUE = datetime(2027, 3, 17, 0, 0, tzinfo=RIGA)
SECOND = timedelta(seconds=1)
RIGHT, LETTER, RETURN = "BTA-6.5", "BTA-6.5:policyholder:1", "policyholder:return"
REASON = "Risks ir mainījies."
_numbers = count(1)


def policies(world: World) -> Policies:
    """The policies of the world."""
    return Policies(world.sessions, world.keyring, world.now, world.intake)


def filing(**more: Any) -> dict[str, Any]:
    """A policy of a year, its first premium due on 15 February."""
    number = next(_numbers)
    company = {"name": f"SIA Vēlais {number}", "email": f"late{number}@velais.example", "language": "lv"}
    return {
        "policy": f"LATE-{number}",
        "organisation": "BTA",
        "policyholder": company,
        "insured": company,
        "starts_on": "2027-02-01",
        "terms": {"limit_per_occurrence": "50000.00", "limit_aggregate": "100000.00"},
        "premium": [{"due_on": "2027-02-15", "amount": "300.00"}, {"due_on": "2027-08-15", "amount": "300.00"}],
        **more,
    }


def premium(**more: Any) -> dict[str, Any]:
    """The first premium, on 1 March."""
    return {
        "reference": "B1",
        "paid_on": "2027-03-01",
        "amount": "300.00",
        "received_at": MONDAY.isoformat(),
        "iban": "LV97HABA0012345678910",
        **more,
    }


async def late(world: World, policy: dict[str, Any] | None = None, **more: Any) -> str:
    """A late premium that can be refused; the case."""
    await world.begin(max(MONDAY, datetime.fromisoformat(str(premium(**more)["received_at"]))))
    policy = policy or filing()
    await policies(world).register(policy)
    said = await policies(world).premium(policy["policy"], premium(**more))
    assert said.case is not None
    world.filed.append(said.case)
    await world.stage(said.case, "deciding")
    return said.case


async def test_an_account_that_no_money_can_reach_is_refused_with_the_other_faults(world: World) -> None:
    """It would be found when the premium is to go back, days later; nothing is booked."""
    await world.begin(MONDAY)
    policy = filing()
    await policies(world).register(policy)
    with pytest.raises(Refusal) as refusal:
        await policies(world).premium(policy["policy"], premium(iban="LV00HABA0012345678910", amount="9000.00"))
    assert [fault.split(":")[0] for fault in refusal.value.faults] == ["amount", "iban"]
    end = {"by": "policyholder", "last_day": "2027-03-20", "reason": "sold", "iban": "XX11"}
    with pytest.raises(Refusal, match="iban: "):
        await policies(world).end(policy["policy"], end)
    content = {"policy": policy["policy"], "premium": "B1", "iban": "XX11"}
    with pytest.raises(Refusal, match=r"content\.iban: "):
        await world.file("late_premium", "BTA", content, reference=policy["policy"])
    assert (await known(world, f"late_premium:BTA:{policy['policy']}")).known.paid == ()


async def known(world: World, case: str) -> PolicyRow:
    """The policy of a case."""
    async with world.sessions() as session:
        row = await session.get(PolicyRow, case.split(":")[2])
    assert row is not None
    return row


async def on(world: World, case: str, day: date) -> str:
    """Whether the policy was in force on a day, and why."""
    return in_force((await known(world, case)).known, day, world.now().astimezone(RIGA).date()).reason


async def letter(world: World, case: str, key: str = LETTER) -> NoticeRow:
    """A letter of a case."""
    return (await world.notices(case))[key]


async def refused(world: World, **more: Any) -> str:
    """A premium that was refused, told, and whose return is with the bank."""
    case = await late(world, **more)
    await world.say(case, "refuse_premium", reason=REASON)
    await world.payment(case, RETURN, "issued")
    return case


LISTED = {"name": "Severnaya Lavina Trading LLC", "email": "office@lavina.example", "language": "en"}
"""On the sample of the sanctions list."""


async def test_a_premium_goes_back_to_a_listed_policyholder_only_once_the_hit_is_cleared(world: World) -> None:
    """GJ-sanctions: screened before every payment, also this one."""
    case = await late(world, filing(policyholder=LISTED))
    await world.say(case, "refuse_premium", reason=REASON)
    await world.payment(case, RETURN, "screening")
    await world.say(case, "confirm_hit", payment=RETURN, reason="the same company")
    await world.say(case, "clear_hit", payment=RETURN, reason="taken off the list")
    await world.payment(case, RETURN, "issued")


# ---- the right lapses -----------------------------------------------------------------------------------------------


async def test_unused_the_right_lapses_after_15_days_and_the_policy_stands(world: World) -> None:
    """6.5: received on 1 March; the 16th is the last day. In force from the day after the payment."""
    case = await late(world)
    clock = await world.clock(case, RIGHT)
    assert (clock.due, clock.last_day) == (DUE, date(2027, 3, 16))
    await world.advance(case, DUE - SECOND)
    assert (await world.clock(case, RIGHT)).status == "running"
    await world.advance(case, DUE)
    row = await world.stage(case, "closed")
    clock = await world.clock(case, RIGHT)
    assert (row.outcome, clock.status, clock.reason) == ("stands", "void", "lapsed")
    assert [await on(world, case, date(2027, 3, day)) for day in (1, 2)] == ["before_late_premium", "in_period"]
    assert not [n for n in (await world.notices(case)).values() if not n.internal]


async def test_a_premium_that_is_recorded_after_the_15_days_cannot_be_refused_any_more(world: World) -> None:
    """Receipt counts, not data entry."""
    await world.begin(DUE)
    policy = filing()
    await policies(world).register(policy)
    said = await policies(world).premium(policy["policy"], premium())
    assert said.case is not None
    assert (await world.stage(said.case, "closed")).outcome == "stands"


async def test_15_days_are_counted_from_the_receipt_not_from_the_payment(world: World) -> None:
    """6.5: paid on 26 February, received on 1 March."""
    case = await late(world, paid_on="2027-02-26")
    assert (await world.clock(case, RIGHT)).due == DUE
    assert await on(world, case, date(2027, 2, 27)) == "in_period"


# ---- refusing -------------------------------------------------------------------------------------------------------


async def test_a_refusal_makes_the_policy_void_tells_the_policyholder_and_returns_the_premium(world: World) -> None:
    """6.5: the letter that is proven sent keeps the right; then the policy never took effect."""
    case = await refused(world)
    clock = await world.clock(case, RIGHT)
    assert (clock.status, clock.proof) == ("kept", "refusal_sent")
    assert await on(world, case, date(2027, 3, 5)) == "premium_refused"
    assert reporting((await known(world, case)).known).until is None
    (mail,) = world.mails((await known(world, case)).policyholder["email"])
    for part in (
        "2027. gada 15. februāris",
        "2027. gada 1. marts",
        "300,00\N{NO-BREAK SPACE}EUR",
        REASON,
        "6.5. punkts",
    ):
        assert part in text_of(mail)
    async with world.sessions() as session:
        order = await session.get(PaymentOrderRow, (case, RETURN))
    assert order is not None
    assert (str(order.amount), order.party) == ("300.00", "policyholder")
    confirmation = {"payment": RETURN, "bank_reference": "B9"}
    with pytest.raises(Refused, match="executed_on: lies in the future"):
        await world.say(case, "confirm_payment", actor="system:bank", executed_on="2027-03-02", **confirmation)
    await world.say(case, "confirm_payment", actor="system:bank", executed_on="2027-03-01", **confirmation)
    await world.stage(case, "resting")
    await world.advance(case, (await world.clock(case, "T-rest")).due)
    assert (await world.stage(case, "closed")).outcome == "refused"
    with pytest.raises(Refusal, match="never took effect"):
        await policies(world).premium(case.split(":")[2], premium(reference="B2"))


async def test_a_refusal_on_the_last_evening_is_in_time_and_at_midnight_there_is_no_right(world: World) -> None:
    """6.5: a minute before, and the first instant after."""
    case = await late(world)
    await world.advance(case, DUE - timedelta(minutes=1))
    await world.say(case, "refuse_premium", reason=REASON)
    await world.payment(case, RETURN, "issued")
    other = await late(world)
    await world.advance(other, DUE)
    await world.stage(other, "closed")
    message = {"actor": "system:core", "reason": REASON}
    (why,) = (await world.intake.submit_event(other, "too-late", "refuse_premium", message)).refused
    assert "ended as stands" in why
    assert await on(world, other, date(2027, 3, 5)) == "in_period"


async def test_a_refusal_that_cannot_be_sent_in_time_refuses_nothing(world: World) -> None:
    """6.5: nobody was told by the end of the 15 days, so the policy stands; a later address changes nothing."""
    policy = filing()
    policy["policyholder"] = {"name": "SIA Bez Adreses"}
    case = await late(world, policy)
    await world.say(case, "refuse_premium", reason=REASON)
    await world.until(lambda: _refused_letter(world, case), "the letter has no address")
    assert await on(world, case, date(2027, 3, 5)) == "in_period"
    await world.advance(case, DUE)
    assert (await world.stage(case, "closed")).outcome == "stands"


async def _refused_letter(world: World, case: str) -> bool:
    row = await world.row(case)
    return row is not None and row.state["body"]["notices"].get(LETTER) == "refused"


async def test_with_another_address_it_is_sent_in_time(world: World) -> None:
    """6.5: the address comes within the 15 days."""
    policy = filing()
    policy["policyholder"] = {"name": "SIA Bez Adreses"}
    case = await late(world, policy)
    await world.say(case, "refuse_premium", reason=REASON)
    await world.until(lambda: _refused_letter(world, case), "the letter has no address")
    with pytest.raises(Refused, match="party: only policyholder"):
        await world.say(case, "correct_address", party="insured", email="a@b.example")
    await world.say(case, "correct_address", party="policyholder", email="jauns@bezadreses.example")
    await world.payment(case, RETURN, "issued")
    assert (await letter(world, case, "BTA-6.5:policyholder:2")).sent_at is not None


# ---- with a claim ---------------------------------------------------------------------------------------------------


async def test_once_a_claim_is_known_a_second_person_approves_the_refusal(world: World) -> None:
    """Four eyes: never the one who would refuse, never a system; sent back, the right runs on."""
    policy = filing()
    case = await late(world, policy)
    claimed = await world.file("claim", "BTA", claim(policy["policy"]))
    await world.stage(claimed, "collecting")
    await world.say(case, "refuse_premium", actor="op-1", reason=REASON)
    row = await world.stage(case, "approving")
    assert "second person" in row.waits_for
    assert not [n for n in (await world.notices(case)).values() if not n.internal]
    for actor, why in (("op-1", "four eyes"), ("system:core", "only an operator approves")):
        with pytest.raises(Refused, match=why):
            await world.say(case, "approve_refusal", actor=actor)
    await world.say(case, "send_back_refusal", actor="op-2", reason="the claim is covered")
    await world.stage(case, "deciding")
    await world.say(case, "refuse_premium", actor="op-1", reason=REASON)
    await world.say(case, "approve_refusal", actor="op-2")
    await world.payment(case, RETURN, "issued")
    facts = next(e.facts for e in await world.timeline(case) if e.entry == "refusing")
    assert facts["proposed_by"] == "op-1"


async def test_while_a_second_person_is_asked_the_right_lapses_all_the_same(world: World) -> None:
    """6.5: the 15 days do not wait for an approval."""
    policy = filing()
    case = await late(world, policy)
    claimed = await world.file("claim", "BTA", claim(policy["policy"]))
    await world.stage(claimed, "collecting")
    await world.say(case, "refuse_premium", reason=REASON)
    await world.stage(case, "approving")
    await world.advance(case, DUE)
    assert (await world.stage(case, "closed")).outcome == "stands"


# ---- the return -----------------------------------------------------------------------------------------------------


async def test_without_an_account_the_return_is_held_and_a_rejected_one_goes_to_another(world: World) -> None:
    """As in a claim: an order goes out once for each account."""
    case = await late(world, iban=None)
    await world.say(case, "refuse_premium", reason=REASON)
    await world.payment(case, RETURN, "held")
    with pytest.raises(Refused, match="iban"):
        await world.say(case, "correct_payee", claimant="policyholder", iban="LV00HABA0012345678910")
    await world.say(case, "correct_payee", claimant="policyholder", iban="LV97HABA0012345678910")
    await world.payment(case, RETURN, "issued")
    rejected = {"payment": RETURN, "reason": "AC04", "rejected_on": "2027-03-02"}
    await world.say(case, "reject_payment", actor="system:bank", **rejected)
    await world.say(case, "correct_payee", claimant="policyholder", iban="LV97HABA0012345678910")
    await world.payment(case, f"{RETURN}:2", "issued")


async def test_a_letter_that_comes_back_goes_to_another_address_and_the_policy_stays_void(world: World) -> None:
    """6.5 asks for the sending, which was proven; a copy goes out."""
    case = await refused(world)
    with pytest.raises(Refused, match="notice: not the newest letter"):
        await world.say(case, "report_bounce", notice="BTA-6.5:policyholder:9", bounced_at=MONDAY.isoformat())
    await world.say(case, "report_bounce", notice=LETTER, bounced_at=MONDAY.isoformat())
    await world.say(case, "correct_address", party="policyholder", email="jauns@velais.example")
    await world.until(lambda: _sent(world, case, "BTA-6.5:policyholder:2"), "the copy is sent")
    assert await on(world, case, date(2027, 3, 5)) == "premium_refused"


async def _sent(world: World, case: str, key: str) -> bool:
    row = await world.row(case)
    return row is not None and row.state["body"]["notices"].get(key) == "sent"


# ---- what opens a case ----------------------------------------------------------------------------------------------


async def test_only_the_payment_that_makes_the_first_premium_full_too_late_opens_a_case(world: World) -> None:
    """6.5: in time, a part of it, or a later instalment opens none; the rest of the first one does, once."""
    await world.begin(MONDAY)
    in_time = filing()
    await policies(world).register(in_time)
    paid = premium(paid_on="2027-02-15", received_at="2027-02-16T09:00:00+02:00")
    assert (await policies(world).premium(in_time["policy"], paid)).case is None
    assert (await policies(world).premium(in_time["policy"], premium(reference="B2"))).case is None
    parts = filing()
    await policies(world).register(parts)
    assert (await policies(world).premium(parts["policy"], premium(amount="200.00"))).case is None
    rest = premium(reference="B2", amount="100.00")
    said = await policies(world).premium(parts["policy"], rest)
    assert said.case == f"late_premium:BTA:{parts['policy']}"
    assert (await policies(world).premium(parts["policy"], rest)).new is False


async def test_a_filing_by_hand_needs_a_late_premium(world: World) -> None:
    """No case without a right."""
    await world.begin(MONDAY)
    policy = filing()
    await policies(world).register(policy)
    for content, why in (
        ({"policy": "none", "premium": "B1"}, "content.policy"),
        ({"policy": policy["policy"], "premium": "B1"}, "content.premium"),
    ):
        with pytest.raises(Refusal, match=why):
            await world.file("late_premium", "BTA", content)
    late_one = (await late(world)).split(":")[2]
    with pytest.raises(Refusal, match="named by its policy"):
        await world.file("late_premium", "BTA", {"policy": late_one, "premium": "B1"}, reference="another")
    with pytest.raises(Refusal, match=r"BTA-6\.5"):
        await world.file("late_premium", "GJ", {"policy": "x", "premium": "B1"})
