"""Recovery: what was paid without right comes back, is waived, or goes to a collector (BTA 11.3, 9.8; GJ-debts)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlmodel import select

from models.errors import Refusal
from models.tables import IntakeRow
from tests.workflows.test_access_request import no_carrier
from tests.workflows.test_claim import MONDAY, decided, deciding, paid_on, proposal
from tests.world import RIGA, Refused, World, text_of

TERM = date(2027, 3, 15)
OVER = datetime(2027, 3, 16, tzinfo=RIGA)
"""The term is over: midnight after its last day."""
DEBTOR = "anna.berzina@example.lv"
_numbers = count(1)


async def paid(world: World) -> str:
    """A claim of which 1 000.00 were paid to C1, and which rests."""
    case = await decided(world)
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    await world.stage(case, "resting")
    return case


def wanted(amount: str = "400.00", **more: Any) -> dict[str, Any]:
    """What is demanded back."""
    return {
        "debtor": "C1",
        "amount": amount,
        "reason": "unjustified",
        "text": "Rēķins bija par citu automašīnu.",
        "repay_by": TERM.isoformat(),
        **more,
    }


async def demanded(world: World, amount: str = "400.00", **more: Any) -> str:
    """A recovery whose letter went out."""
    claim = await paid(world)
    reference = f"R{next(_numbers):05d}"
    await world.say(claim, "recover_payment", **wanted(amount, reference=reference, **more))
    case = f"recovery:BTA:{reference}"
    world.filed.append(case)
    await sent(world, case, "BTA-11.3:1")
    return case


async def sent(world: World, case: str, key: str, status: str = "sent") -> None:
    """Wait until the case knows what became of a letter."""

    async def there() -> bool:
        row = await world.row(case)
        return row is not None and row.state["body"]["notices"].get(key) == status

    await world.until(there, f"{key} is {status}")
    await world.settled(case)


async def repay(world: World, case: str, amount: str, day: str = "2027-03-01", reference: str = "B7") -> None:
    """Money comes back."""
    said = {"amount": amount, "received_on": day, "reference": reference}
    await world.say(case, "report_repayment", actor="system:bank", **said)


async def told(world: World, case: str, *data: str) -> None:
    """The debtor was told of a hand-over."""
    await world.say(case, "plan_handover", collector="SIA Parādu Birojs", data=list(data) or ["name", "payments"])
    await sent(world, case, "GJ-debts:1")


def handover(at: datetime, *data: str) -> dict[str, Any]:
    """A hand-over."""
    return {"handed_over_at": at.isoformat(), "data": list(data) or ["name"], "reference": "dms/collector"}


async def closed(world: World, case: str) -> dict[str, Any]:
    """Let the rest pass: the outcome, and the facts of the closing step."""
    await world.advance(case, (await world.clock(case, "T-rest")).due)
    row = await world.stage(case, "closed")
    return {"outcome": row.outcome, **(await world.timeline(case))[-1].facts}


# ---- the demand -----------------------------------------------------------------------------------------------------


async def test_a_paid_claim_opens_a_recovery_whose_letter_says_sum_payment_clause_account_and_day(world: World) -> None:
    """11.3: the child has the claim as parent; the clock is the debtor's term, never the insurer's lateness."""
    case = await demanded(world)
    letter = next(m for m in world.mails(DEBTOR) if case.split(":")[2] in str(m["Subject"]))
    text = text_of(letter).replace("\N{NO-BREAK SPACE}", " ")
    for said in (
        "400,00 EUR",
        "1 000,00 EUR",
        "2027. gada 1. marts",
        "11.3. punkt",
        "LV80BANK0000435195001",
    ):
        assert said in text
    assert "pēdējā diena: 2027. gada 15. marts" in text
    assert "Rēķins bija par citu automašīnu." in text
    clock = await world.clock(case, "BTA-11.3")
    assert (clock.status, clock.last_day, clock.due, clock.can_be_late) == ("running", TERM, OVER, False)
    async with world.sessions() as session:
        intake = await session.get(IntakeRow, case)
    assert intake is not None
    assert intake.parent is not None
    assert intake.parent.startswith("claim:BTA:")
    assert "11.3" in await world.details(case)
    row = await world.row(case)
    assert row is not None
    assert row.waits_for == "the debtor: 400.00 EUR by 2027-03-15"


async def test_what_others_compensated_is_demanded_with_its_own_clause(world: World) -> None:
    """9.8: by the letter too; without a day there is no clock."""
    case = await demanded(world, reason="compensated_by_others", repay_by=None)
    letter = next(m for m in world.mails(DEBTOR) if case.split(":")[2] in str(m["Subject"]))
    assert "9.8. punkts" in text_of(letter)
    assert ("BTA-11.3", "") not in await world.clocks(case)


async def test_no_more_is_demanded_than_was_paid_and_each_cent_once(world: World) -> None:
    """All that is paid to this party, over all its recoveries; every fault of a message in one answer."""
    claim = await paid(world)
    for faulty, why in (
        (wanted("1000.01", reference="RX1"), "amount: only 1000.00 EUR were paid to C1"),
        (wanted("0.00", reference="RX1"), "amount: must be more than nothing"),
        (wanted("10.001", reference="RX1"), "amount: money must be in whole cents"),
        (wanted(reference="RX1", debtor="insured"), "debtor: the bank paid nothing"),
        (wanted(reference="RX1", repay_by="2027-02-28"), "content.repay_by: lies before the demand"),
    ):
        with pytest.raises(Refused, match=why):
            await world.say(claim, "recover_payment", **faulty)
    with pytest.raises(Refused) as refused:
        await world.say(claim, "recover_payment", debtor="C1", amount="-1", reason="because", reference="a b")
    assert {fault.split(":")[0] for fault in refused.value.faults} == {"amount", "reason", "text", "reference"}
    first, second = f"R{next(_numbers):05d}", f"R{next(_numbers):05d}"
    await world.say(claim, "recover_payment", **wanted("600.00", reference=first))
    with pytest.raises(Refused, match=r"600\.00 EUR of it are demanded back already"):
        await world.say(claim, "recover_payment", **wanted("400.01", reference=second))
    await world.say(claim, "recover_payment", **wanted("400.00", reference=second))
    async with world.sessions() as session:
        children = (await session.exec(select(IntakeRow.case).where(IntakeRow.parent == claim))).all()
    assert sorted(children) == [f"recovery:BTA:{first}", f"recovery:BTA:{second}"]
    world.filed += children


async def test_nothing_is_demanded_back_before_it_is_paid(world: World) -> None:
    case = await deciding(world)
    with pytest.raises(Refused, match="not in stage deciding"):
        await world.say(case, "recover_payment", **wanted(reference="RX2"))
    await world.say(case, "propose_decision", **proposal())
    await world.payment(case, "C1:indemnity", "issued")
    with pytest.raises(Refused, match="the bank paid nothing"):
        await world.say(case, "recover_payment", **wanted(reference="RX2"))


async def test_of_a_closed_claim_a_recovery_is_filed_and_the_claim_stays_closed(world: World) -> None:
    """No reopening: the recovery's own filing names the claim, and is checked in the same way."""
    claim = await paid(world)
    await world.advance(claim, MONDAY + timedelta(days=9))
    await world.stage(claim, "closed")
    content = {"claim": claim, **wanted("1000.00")}
    with pytest.raises(Refusal, match=r"content\.amount: 1000\.00 EUR were paid to C1"):
        await world.file("recovery", "BTA", {**content, "amount": "1000.01"})
    with pytest.raises(Refusal, match=r"content\.claim: there is no such claim"):
        await world.file("recovery", "BTA", {**content, "claim": "claim:BTA:nowhere"})
    with pytest.raises(Refusal, match=r"content\.claim: not the name of a claim"):
        await world.file("recovery", "BTA", {**content, "claim": "renewal:BTA:x"})
    with pytest.raises(Refusal, match="needs"):
        await world.file("recovery", "GJ", content)
    case = await world.file("recovery", "BTA", content)
    await sent(world, case, "BTA-11.3:1")
    assert (await world.stage(claim, "closed")).outcome == "paid"
    async with world.sessions() as session:
        intake = await session.get(IntakeRow, case)
    assert intake is not None
    assert intake.parent == claim


# ---- money comes back -----------------------------------------------------------------------------------------------


async def test_parts_add_up_and_more_than_is_owed_is_refused(world: World) -> None:
    """The last part keeps the debtor's term and ends the case; the file is kept ten years from then."""
    case = await demanded(world)
    await repay(world, case, "150.00")
    with pytest.raises(Refused) as refused:
        await repay(world, case, "250.01")
    assert refused.value.faults == (
        "amount: only 250.00 EUR are left",
        "reference: this repayment was reported already",
    )
    with pytest.raises(Refused, match="received_on: lies in the future"):
        await repay(world, case, "250.00", day="2027-03-02", reference="B8")
    assert (await world.clock(case, "BTA-11.3")).status == "running"
    await repay(world, case, "250.00", reference="B8")
    await world.stage(case, "resting")
    assert (await world.clock(case, "BTA-11.3")).status == "kept"
    with pytest.raises(Refused, match=r"amount: only 0\.00 EUR are left"):
        await repay(world, case, "0.01", reference="B9")
    assert "until 2037-03-01 (GJ-recovery)" in await world.details(case)
    end = await closed(world, case)
    assert (end["outcome"], end["keep_until"], end["left"]) == ("recovered", "2037-03-01", "0.00")


async def test_when_the_term_passes_the_claims_manager_is_told_and_nobody_is_late(world: World) -> None:
    """Not in its last second, but at midnight; the organisation is not overdue by it."""
    case = await demanded(world)
    await world.advance(case, OVER - timedelta(seconds=1))
    assert (await world.clock(case, "BTA-11.3")).status == "running"
    await world.advance(case, OVER)
    assert (await world.clock(case, "BTA-11.3")).status == "overdue"
    told = [n for n in (await world.notices(case)).values() if n.internal]
    assert [(n.template, n.party) for n in told] == [("internal-escalation", "claims_manager")]
    details = await world.details(case)
    assert "OVERDUE" not in details
    await world.say(case, "report_repayment", amount="400.00", received_on="2027-03-15", reference="B7")
    await world.stage(case, "resting")
    assert (await world.clock(case, "BTA-11.3")).status == "kept"


async def test_the_rest_is_demanded_again_with_a_new_day(world: World) -> None:
    """A new letter over what is left, and a new clock; a day that is over is refused."""
    case = await demanded(world)
    await repay(world, case, "150.00")
    await world.advance(case, OVER)
    with pytest.raises(Refused, match="repay_by: lies in the past"):
        await world.say(case, "demand_again", repay_by="2027-03-15")
    await world.say(case, "demand_again", repay_by="2027-03-16")
    await sent(world, case, "BTA-11.3:2")
    clock = await world.clock(case, "BTA-11.3")
    assert (clock.n, clock.status, clock.last_day) == (2, "running", date(2027, 3, 16))
    assert (await world.clock(case, "BTA-11.3", n=1)).status == "void"
    letters = [m for m in world.mails(DEBTOR) if case.split(":")[2] in str(m["Subject"])]
    assert sum("250,00" in text_of(m) for m in letters) == 1


# ---- given up -------------------------------------------------------------------------------------------------------


async def test_a_small_rest_is_waived_by_one_person_and_closes_partly_or_waived(world: World) -> None:
    """Up to the limit for a second person."""
    for amount, outcome in ((None, "waived"), ("150.00", "partly")):
        case = await demanded(world)
        if amount:
            await repay(world, case, amount)
        await world.say(case, "waive_recovery", reason="dearer to collect")
        await world.stage(case, "resting")
        assert (await world.clock(case, "BTA-11.3")).status == "void"
        end = await closed(world, case)
        assert (end["outcome"], end["keep_until"]) == (outcome, "2037-03-01")


async def test_above_the_limit_a_second_person_approves_a_waiver(world: World) -> None:
    """Four eyes: never the one who proposed it, never a system, never above the approver's own limit."""
    claim = await deciding(world, amount="20000.00")
    await world.say(claim, "propose_decision", **proposal("20000.00"))
    await world.say(claim, "approve_decision", actor="op-2")
    await world.payment(claim, "C1:indemnity", "issued")
    await world.say(claim, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    reference = f"R{next(_numbers):05d}"
    await world.say(claim, "recover_payment", **wanted("10000.01", reference=reference))
    case = f"recovery:BTA:{reference}"
    world.filed.append(case)
    await sent(world, case, "BTA-11.3:1")
    await world.say(case, "waive_recovery", reason="bankrupt")
    assert "10000.01 EUR" in (await world.stage(case, "approving")).waits_for
    for actor, why in (("op-1", "four eyes"), ("system:core", "only an operator approves")):
        with pytest.raises(Refused, match=why):
            await world.say(case, "approve_waiver", actor=actor)
    await world.say(case, "send_back_waiver", actor="op-2", reason="ask the administrator first")
    await world.stage(case, "demanding")
    await world.say(case, "waive_recovery", reason="bankrupt")
    await world.say(case, "approve_waiver", actor="op-2")
    await world.stage(case, "resting")
    assert (await closed(world, case))["outcome"] == "waived"


async def test_exactly_the_limit_needs_no_second_person_and_a_part_can_bring_the_rest_below_it(world: World) -> None:
    """The book's 10 000.00: what is left counts, not what was demanded."""
    claim = await deciding(world, amount="20000.00")
    await world.say(claim, "propose_decision", **proposal("20000.00"))
    await world.say(claim, "approve_decision", actor="op-2")
    await world.payment(claim, "C1:indemnity", "issued")
    await world.say(claim, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    reference = f"R{next(_numbers):05d}"
    await world.say(claim, "recover_payment", **wanted("10000.01", reference=reference))
    case = f"recovery:BTA:{reference}"
    world.filed.append(case)
    await sent(world, case, "BTA-11.3:1")
    await repay(world, case, "0.01")
    await world.say(case, "waive_recovery", reason="bankrupt")
    await world.stage(case, "resting")


# ---- the hand-over --------------------------------------------------------------------------------------------------


async def test_nothing_is_handed_over_before_the_debtor_was_told(world: World) -> None:
    """GJ-debts: after the notice is proven sent, with no other data than it names; the file's term has not begun."""
    case = await demanded(world)
    with pytest.raises(Refused, match="not in stage demanding"):
        await world.say(case, "report_handover", **handover(MONDAY))
    with pytest.raises(Refused, match=r"data\.0"):
        await world.say(case, "plan_handover", collector="SIA Parādu Birojs", data=["health"])
    await told(world, case)
    notice = next(m for m in world.mails(DEBTOR) if "piedziņai, atsauce " + case.split(":")[2] in str(m["Subject"]))
    for said in ("SIA Parādu Birojs", "vārds, uzvārds", "ziņas par maksājumiem"):
        assert said in text_of(notice)
    assert "personas kods" not in text_of(notice)
    with pytest.raises(Refused) as refused:
        await world.say(case, "report_handover", **handover(MONDAY - timedelta(days=1), "name", "phone"))
    assert [fault.split(",")[0] for fault in refused.value.faults] == [
        "handed_over_at: lies before the debtor was told",
        "data: the debtor was not told of phone",
    ]
    at = MONDAY + timedelta(days=2)
    with pytest.raises(Refused, match="handed_over_at: lies in the future"):
        await world.say(case, "report_handover", **handover(at))
    await world.advance(case, at)
    await world.say(case, "report_handover", **handover(at))
    await world.stage(case, "resting")
    facts = next(e.facts for e in await world.timeline(case) if e.entry == "handed_over")
    assert facts["data"] == ["name"]
    assert (await world.clock(case, "BTA-11.3")).status == "void"
    end = await closed(world, case)
    assert (end["outcome"], end["keep_until"], end["left"]) == ("handed_over", None, "400.00")


async def test_a_notice_that_comes_back_shuts_the_gate_again(world: World) -> None:
    """GJ-debts: before the hand-over it is refused until another letter went out; after it the debtor is told anew."""
    case = await demanded(world)
    await told(world, case)
    with pytest.raises(Refused, match="notice: not the newest letter"):
        await world.say(case, "report_bounce", notice="BTA-11.3:1", bounced_at=MONDAY.isoformat())
    await world.say(case, "report_bounce", notice="GJ-debts:1", bounced_at=MONDAY.isoformat())
    await world.advance(case, MONDAY + timedelta(hours=2))
    with pytest.raises(Refused, match="the debtor was not told yet"):
        await world.say(case, "report_handover", **handover(MONDAY + timedelta(hours=1)))
    await world.say(case, "correct_address", party="debtor", email="anna.jauna@example.lv")
    await sent(world, case, "GJ-debts:2")
    await world.advance(case, MONDAY + timedelta(hours=4))
    await world.say(case, "report_handover", **handover(MONDAY + timedelta(hours=4)))
    await world.stage(case, "resting")
    await world.say(case, "report_bounce", notice="GJ-debts:2", bounced_at=MONDAY.isoformat())
    assert "another address" in (await world.stage(case, "handing_over")).waits_for
    with pytest.raises(Refused, match="handed over already"):
        await world.say(case, "waive_recovery", reason="no")
    await world.say(case, "correct_address", party="debtor", email="anna.vecaa@example.lv")
    await world.stage(case, "resting")


async def test_who_pays_before_the_hand_over_is_not_handed_over(world: World) -> None:
    case = await demanded(world)
    await told(world, case)
    await repay(world, case, "400.00")
    await world.stage(case, "resting")
    with pytest.raises(Refused, match="not in stage resting"):
        await world.say(case, "report_handover", **handover(MONDAY))
    assert (await closed(world, case))["outcome"] == "recovered"


async def test_a_letter_that_could_not_go_out_yet_is_called_off_with_what_it_says(world: World) -> None:
    """No hand-over while the carrier is down; a debtor who pays meanwhile is never told of one."""
    case = await demanded(world)
    async with no_carrier(world):
        await world.say(case, "plan_handover", collector="SIA Parādu Birojs", data=["name"])
        with pytest.raises(Refused, match="the debtor was not told yet"):
            await world.say(case, "report_handover", **handover(MONDAY))
        await repay(world, case, "400.00")
        letter = (await world.notices(case))["GJ-debts:1"]
        assert (letter.sent_at, letter.refused) == (None, "called off: it holds no more")
        with pytest.raises(Refused, match="party: only debtor, once a letter came back"):
            await world.say(case, "correct_address", party="debtor", email="anna.vecaa@example.lv")
    await world.stage(case, "resting")
    assert not [m for m in world.mails(DEBTOR) if f"piedziņai, atsauce {case.split(':')[2]}" in str(m["Subject"])]


async def test_a_planned_hand_over_is_dropped_by_a_new_demand(world: World) -> None:
    case = await demanded(world)
    await told(world, case)
    await world.say(case, "demand_again", repay_by="2027-03-20")
    await world.stage(case, "demanding")
    with pytest.raises(Refused, match="not in stage demanding"):
        await world.say(case, "report_handover", **handover(MONDAY))


async def test_a_demand_that_came_back_goes_to_another_address(world: World) -> None:
    case = await demanded(world)
    with pytest.raises(Refused, match="party: only debtor"):
        await world.say(case, "correct_address", party="debtor", email="a@b.example")
    await world.say(case, "report_bounce", notice="BTA-11.3:1", bounced_at=MONDAY.isoformat())
    row = await world.stage(case, "demanding")
    assert row.waits_for.startswith("another address of the debtor: BTA-11.3:1")
    await world.say(case, "correct_address", party="debtor", email="cita@example.lv")
    await sent(world, case, "BTA-11.3:2")
    assert "400,00" in text_of(next(m for m in world.mails("cita@example.lv")))


# ---- the storage term -----------------------------------------------------------------------------------------------


async def test_the_file_is_kept_from_the_later_of_payment_and_end_of_the_suit(world: World) -> None:
    """GJ-recovery: ten years; also when the one or the other comes after the case was closed."""
    case = await demanded(world)
    await told(world, case)
    at = MONDAY + timedelta(days=1)
    await world.advance(case, at)
    await world.say(case, "report_handover", **handover(at))
    assert (await closed(world, case))["keep_until"] is None
    later = datetime(2027, 5, 3, 12, tzinfo=RIGA)
    await world.begin(later)
    said = {"actor": "op-1", "ended_on": "2027-04-20", "reference": "dms/ruling"}
    answer = await world.intake.submit_event(case, "suit-1", "report_recovery_suit_end", said)
    assert not answer.refused
    await world.stage(case, "resting")
    await repay(world, case, "400.00", day="2027-05-02")
    end = await closed(world, case)
    assert (end["outcome"], end["keep_until"]) == ("recovered", "2037-05-02")
    other = await demanded(world)
    with pytest.raises(Refused, match="ended_on: lies in the future"):
        await world.say(other, "report_recovery_suit_end", ended_on="2028-01-01", reference="dms/ruling")


async def test_names_stay_in_the_store(world: World) -> None:
    """What the debtor is called and why they owe stands in no id, no attribute and no detail of the case."""
    case = await demanded(world)
    await told(world, case)
    details = await world.details(case)
    for said in ("Anna", "anna.berzina", "automašīnu", "Parādu Birojs"):
        assert said not in details
