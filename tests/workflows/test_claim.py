"""Claims: documents, decision in 30 days, letters in 10 working days, payment in 15 (BTA 9.1, 10.5)."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any

import pytest

from models.tables import LimitRow, PolicyRow
from rules.policy import unpaid_on
from tests.world import RIGA, Refused, World, text_of

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


async def deciding(world: World, at: datetime = MONDAY, amount: str = "1200.00", **more: Any) -> str:
    """A claim received at an instant, with all its documents."""
    await world.begin(max(at, MONDAY))
    claim = content(await world.policy(**more.pop("terms", {})), amount, documents=documents(at), **more)
    case = await world.file("claim", "BTA", claim, received_at=at)
    await world.stage(case, "deciding")
    await world.covered(case)
    return case


def proposal(proven: str = "1200.00", outcome: str = "pay", **more: Any) -> dict[str, Any]:
    """A decision on damaged property."""
    losses = [] if outcome == "reject" else [{"claimant": "C1", "head": "property_damaged", "proven": proven}]
    return {"outcome": outcome, "losses": losses, **more}


async def decided(world: World, **more: Any) -> str:
    """A claim that was decided, told, and whose order is with the bank."""
    case = await deciding(world, **more)
    await world.say(case, "propose_decision", **proposal())
    await world.payment(case, "C1:indemnity", "issued")
    await world.until(lambda: _is(world, case, "BTA-10.5b", "C1", "kept"), "the third party was told")
    return case


async def _is(world: World, case: str, duty: str, subject: str, status: str) -> bool:
    return (await world.clocks(case)).get((duty, subject)) == status


async def _entry(world: World, case: str, entry: str) -> bool:
    return entry in await world.entries(case)


def paid_on(day: str, **more: Any) -> dict[str, Any]:
    """The bank's confirmation."""
    return {"payment": "C1:indemnity", "executed_on": day, "bank_reference": "B1", **more}


# ---- the main path --------------------------------------------------------------------------------------------------


async def test_a_straight_claim_is_decided_told_paid_and_closed(world: World) -> None:
    """All documents at once: the 30 days run from receipt; decision, letters and payment stop their clocks."""
    case = await deciding(world)
    clock = await world.clock(case, "BTA-10.5a")
    assert clock.due == datetime(2027, 4, 1, tzinfo=RIGA)
    await world.say(case, "propose_decision", **proposal())
    await world.payment(case, "C1:indemnity", "issued")
    await world.until(lambda: _is(world, case, "BTA-10.5b", "insured", "kept"))
    assert await world.clocks(case) == {
        ("BTA-10.5a", ""): "kept",
        ("BTA-10.5b", "C1"): "kept",
        ("BTA-10.5b", "insured"): "kept",
        ("BTA-10.5c", "C1"): "running",
        ("T-reserve-review", ""): "void",
    }
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    await world.stage(case, "resting")
    await world.advance(case, MONDAY + timedelta(days=9))
    row = await world.row(case)
    assert row is not None
    assert (row.stage, row.outcome, row.waits_for) == ("closed", "paid", "")
    assert (await world.clock(case, "BTA-10.5c", "C1")).status == "kept"


async def test_the_deductible_and_the_letters_are_right(world: World) -> None:
    """9.5: 1 200 less the deductible of 200; both letters state the calculation and the last day of payment."""
    case = await decided(world)
    letters = [m for m in world.mails("anna.berzina@example.lv") if case.split(":")[2] in str(m["Subject"])]
    text = next(t for t in (text_of(m).replace("\N{NO-BREAK SPACE}", " ") for m in letters) if "1 000,00" in t)
    assert "10.5" in text
    assert "22. mart" in text


async def test_the_order_is_one_pain_001_file(world: World) -> None:
    case = await decided(world)
    files = [p for p in (world.var / "bank").glob("*.xml") if case.split(":")[2] in p.read_text()]
    assert len(files) == 1
    assert "pain.001.001.09" in files[0].read_text()
    assert "1000.00" in files[0].read_text()


# ---- documents ------------------------------------------------------------------------------------------------------


async def test_documents_arrive_one_by_one_and_the_last_starts_the_clock_from_its_receipt(world: World) -> None:
    """10.5: the 30 days start on the day of receipt of the last proof, not on the day it was entered."""
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", content(await world.policy()))
    await world.until(lambda: _entry(world, case, "received"))
    row = await world.stage(case, "collecting")
    assert "proof of the amount" in row.waits_for
    assert ("BTA-10.5a", "") not in await world.clocks(case)
    for n, kind in enumerate(ALL_DOCUMENTS):
        received = (MONDAY - timedelta(days=3 - n)).isoformat()
        await world.say(case, "add_document", document=kind, received_at=received, reference=f"dms/{n}")
    clock = await world.clock(case, "BTA-10.5a")
    # all of them before the claim itself: its own receipt counts
    assert clock.last_day.isoformat() == "2027-03-31"


async def test_a_document_that_is_not_missing_is_refused_by_name(world: World) -> None:
    case = await deciding(world)
    with pytest.raises(Refused, match="it is not missing"):
        await world.say(case, "add_document", document="proof_of_amount", received_at=MONDAY.isoformat(), reference="x")


async def test_a_document_from_the_future_is_refused(world: World) -> None:
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", content(await world.policy()))
    await world.stage(case, "collecting")
    with pytest.raises(Refused, match="lies in the future"):
        await world.say(
            case,
            "add_document",
            document="proof_of_amount",
            received_at=(MONDAY + timedelta(hours=1)).isoformat(),
            reference="x",
        )


@pytest.mark.parametrize(
    ("language", "asked_for"),
    [
        ("lv", ["zaudējumu apmēru apliecinoši dokumenti", "kompetentas iestādes izziņa"]),
        ("lt", ["žalos dydį patvirtinantys dokumentai", "kompetentingos institucijos pažyma"]),
        ("en", ["proof of the amount", "certificate of an authority"]),
    ],
)
async def test_the_receipt_names_what_is_missing_in_the_claimants_language(
    world: World, language: str, asked_for: list[str]
) -> None:
    """9.1: only what is missing, by its title."""
    await world.begin(MONDAY)
    claim = content(await world.policy(), documents=documents(MONDAY, "proof_of_entitlement"))
    claim["claimants"][0] |= {"language": language, "email": f"receipt.{language}@example.lv"}
    await world.stage(await world.file("claim", "BTA", claim), "collecting")

    async def came() -> list[str]:
        return [m.get_content() for m in world.mails(f"receipt.{language}@example.lv")]

    [letter] = await world.until(came, "the receipt")
    assert [line.removeprefix("- ") for line in letter.splitlines() if line.startswith("- ")] == asked_for


async def test_a_waived_document_completes_the_claim(world: World) -> None:
    await world.begin(MONDAY)
    claim = content(await world.policy(), documents=documents(MONDAY, "proof_of_amount", "proof_of_entitlement"))
    case = await world.file("claim", "BTA", claim)
    await world.stage(case, "collecting")
    await world.say(case, "waive_document", document="certificate_of_authority", reason="photos prove the fact")
    await world.stage(case, "deciding")


async def test_a_later_requirement_moves_latest_and_never_due(world: World) -> None:
    """10.5, two dates: asked for before the safe date it moves `latest` when it arrives; `due` stays."""
    case = await deciding(world)
    due = (await world.clock(case, "BTA-10.5a")).due
    asked = {
        "document": "other",
        "named": "Roof inspection protocol",
        "proves": "fact",
        "reason": "who knew of the ice",
    }
    await world.say(case, "require_document", **asked)
    await world.advance(case, MONDAY + timedelta(days=5))
    received = (MONDAY + timedelta(days=5)).isoformat()
    await world.say(case, "add_document", document="other", received_at=received, reference="dms/9")
    clock = await world.clock(case, "BTA-10.5a")
    assert (clock.due, clock.latest) == (due, due + timedelta(days=5))
    await world.advance(case, due)
    await world.until(lambda: _is(world, case, "BTA-10.5a", "", "overdue"))
    await world.say(case, "propose_decision", **proposal())
    assert (await world.clock(case, "BTA-10.5a")).status == "kept"


# ---- the decision ---------------------------------------------------------------------------------------------------


async def test_above_the_limit_a_second_person_approves_never_the_proposer(world: World) -> None:
    """Four eyes above 10 000 EUR."""
    case = await deciding(world, amount="15000.00")
    await world.say(case, "propose_decision", actor="op-1", **proposal("15000.00"))
    row = await world.stage(case, "approving")
    assert "14800.00" in row.waits_for
    with pytest.raises(Refused, match="four eyes"):
        await world.say(case, "approve_decision", actor="op-1")
    await world.say(case, "approve_decision", actor="op-2")
    await world.stage(case, "telling_and_paying")
    entry = next(t for t in await world.timeline(case) if t.entry == "decided")
    assert (entry.facts["proposed_by"], entry.facts["approved_by"]) == ("op-1", "op-2")


async def test_what_was_sent_back_is_proposed_again(world: World) -> None:
    case = await deciding(world, amount="15000.00")
    await world.say(case, "propose_decision", actor="op-1", **proposal("15000.00"))
    await world.say(case, "send_back_decision", actor="op-2", reason="the amount is not proven")
    await world.say(case, "propose_decision", actor="op-1", **proposal("900.00"))
    await world.stage(case, "telling_and_paying")


async def test_a_rejection_is_told_and_pays_nothing(world: World) -> None:
    case = await deciding(world)
    excluded = {"code": "4.1.10", "outcome": "not_met", "reason": "asbestos"}
    await world.say(case, "judge_findings", findings=[excluded])
    await world.say(case, "propose_decision", **proposal(outcome="reject", reasons=["4.1.10: excluded"]))
    await world.stage(case, "resting")
    assert ("BTA-10.5c", "C1") not in await world.clocks(case)
    await world.advance(case, MONDAY + timedelta(days=9))
    assert (await world.row(case)).outcome == "rejected"  # type: ignore[union-attr]  # it is there


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (proposal("1300.00"), "more than was claimed"),
        (proposal(outcome="reject"), "reasons"),
        ({"outcome": "pay"}, "losses"),
        ({"outcome": "pay", "losses": [{"claimant": "C2", "head": "death", "proven": "1.00"}]}, "did not claim"),
        (proposal("12.345"), "losses.0.proven"),
        (proposal(withhold_premium=True), "allows no instalments"),
        (
            {"outcome": "pay", "losses": [{"claimant": "C1", "head": "treatment", "facts": {"repair": "1.00"}}]},
            r"losses.0.facts.costs: Field required",
        ),
        (
            {
                "outcome": "pay",
                "losses": [
                    {
                        "claimant": "C1",
                        "head": "property_damaged",
                        "proven": "1.00",
                        "compensated": "1.00",
                        "compensations": [{"payer": "other", "amount": "1.00"}],
                    }
                ],
            },
            "say either one sum or the compensations",
        ),
    ],
    ids=[
        "above the claim",
        "no reason",
        "no losses",
        "never claimed",
        "tenths of cents",
        "no instalments",
        "facts of another head",
        "compensated in two ways",
    ],
)
async def test_a_faulty_proposal_is_refused_and_changes_nothing(
    world: World, message: dict[str, Any], fault: str
) -> None:
    case = await deciding(world)
    with pytest.raises(Refused, match=fault):
        await world.say(case, "propose_decision", **message)
    assert await world.entries(case) == ["received", "findings_judged"]


async def test_an_unknown_policy_waits_for_the_right_one(world: World) -> None:
    await world.begin(MONDAY)
    case = await world.file("claim", "BTA", content("NO-SUCH", documents=documents(MONDAY)))
    row = await world.stage(case, "deciding")
    assert "set_policy" in row.waits_for
    with pytest.raises(Refused, match="set_policy comes first"):
        await world.say(case, "propose_decision", **proposal())
    with pytest.raises(Refused, match="there is none"):
        await world.say(case, "set_policy", policy="STILL-WRONG")
    await world.say(case, "set_policy", policy=await world.policy())
    await world.covered(case)
    await world.say(case, "propose_decision", **proposal())
    await world.stage(case, "telling_and_paying")


# ---- the settlement of a decision ------------------------------------------------------------------------------------


async def _letters(world: World, case: str, to: str) -> list[str]:
    """The decision letters of a case, with plain spaces."""
    mails = [m for m in world.mails(to) if case.split(":")[2] in str(m["Subject"])]
    return [text_of(m).replace("\N{NO-BREAK SPACE}", " ") for m in mails]


async def test_facts_are_worked_out_and_stand_in_the_letter_with_what_others_paid(world: World) -> None:
    """9.3.1: repair 1 100 is dearer than 1 200 - 200: destroyed, 1 000. 9.7: 60 %: 600, less the deductible: 400. The
    co-liable person's 400 are his own share; 9.8: the claimant's own insurer paid 50: 350."""
    case = await deciding(world)
    loss = {
        "claimant": "C1",
        "head": "property_damaged",
        "facts": {"repair": "1100.00", "before": "1200.00", "after": "200.00"},
        "compensations": [
            {"payer": "co_liable", "paid_on": "2027-02-25", "amount": "400.00"},
            {"payer": "own_insurer", "paid_on": "2027-02-26", "amount": "50.00"},
        ],
    }
    await world.say(case, "propose_decision", outcome="pay", losses=[loss], liability_share="60")
    row = await world.stage(case, "telling_and_paying")
    assert row.state["body"]["proposal"]["total"] == "350.00"
    await world.until(lambda: _is(world, case, "BTA-10.5b", "C1", "kept"), "the third party was told")
    [text] = [t for t in await _letters(world, case, "anna.berzina@example.lv") if "350,00 EUR" in t]
    for line in (
        "Mantas pilnīga bojāeja (noteikumu 9.3.1. punkts): no 1 200,00 EUR uz 1 000,00 EUR.",
        "līdzatbildīgā persona, 25.02.2027.: 400,00 EUR, paša atbildības daļa (noteikumu 9.7. punkts)",
        "cietušā apdrošinātājs, 26.02.2027.: 50,00 EUR, atskaitīts (noteikumu 9.8. punkts)",
    ):
        assert line in text


async def test_what_the_insured_paid_by_agreement_goes_to_the_insured_once_its_account_is_known(world: World) -> None:
    """10.1.2: loss 1 200 less 200; the insured paid 500: 700 to the third party first, 300 to the insured."""
    case = await deciding(world)
    sums = [{"payer": "insured", "paid_on": "2027-02-25", "amount": "500.00", "agreed": True}]
    loss = {"claimant": "C1", "head": "property_damaged", "proven": "1200.00", "compensations": sums}
    await world.say(case, "propose_decision", outcome="pay", losses=[loss])
    await world.payment(case, "C1:indemnity", "issued")
    row = await world.stage(case, "telling_and_paying")
    amounts = {p["key"]: (p["amount"], p["status"]) for p in row.state["body"]["payments"]}
    assert amounts["C1:indemnity"][0] == "700.00"
    assert amounts["insured:indemnity"] == ("300.00", "held")
    assert "an account for insured" in row.waits_for
    await world.say(case, "correct_payee", claimant="insured", iban="LV97HABA0012345678910")
    await world.payment(case, "insured:indemnity", "issued")
    for party in ("C1", "insured"):
        message = {**paid_on("2027-03-01"), "payment": f"{party}:indemnity"}
        await world.say(case, "confirm_payment", actor="system:bank", **message)
        assert await _is(world, case, "BTA-10.5c", party, "kept")
    await world.stage(case, "resting")


async def _unpaid(world: World, policy: str) -> str:
    async with world.sessions() as session:
        row = await session.get(PolicyRow, policy)
    assert row is not None
    return str(unpaid_on(row.known, world.now().astimezone(RIGA).date()))


async def test_an_unpaid_premium_is_withheld_once_and_booked_as_paid(world: World) -> None:
    """9.5: 1 200 - 200 - 300 = 700. The next claim on the policy finds nothing to withhold."""
    await world.begin(MONDAY)
    policy = await world.policy(instalments=True, unpaid_premium="300.00")
    for total in ("700.00", "1000.00"):
        case = await world.file("claim", "BTA", content(policy, documents=documents(MONDAY)))
        await world.stage(case, "deciding")
        await world.covered(case)
        await world.say(case, "propose_decision", **proposal(withhold_premium=True))
        row = await world.stage(case, "telling_and_paying")
        assert row.state["body"]["proposal"]["total"] == total
        assert await _unpaid(world, policy) == "0.00"


async def test_a_premium_that_was_withheld_meanwhile_is_not_withheld_again(world: World) -> None:
    """9.5: worked out with 300 unpaid; before the approval another claim of 100 after its deductible withheld 100."""
    await world.begin(MONDAY)
    policy = await world.policy(instalments=True, unpaid_premium="300.00")
    first = await world.file("claim", "BTA", content(policy, "15000.00", documents=documents(MONDAY)))
    await world.stage(first, "deciding")
    await world.covered(first)
    await world.say(first, "propose_decision", actor="op-1", **proposal("15000.00", withhold_premium=True))
    await world.stage(first, "approving")
    second = await world.file("claim", "BTA", content(policy, "300.00", documents=documents(MONDAY)))
    await world.stage(second, "deciding")
    await world.covered(second)
    await world.say(second, "propose_decision", **proposal("300.00", withhold_premium=True))
    row = await world.stage(second, "resting")
    assert row.state["body"]["proposal"]["premium"] == "100.00"
    with pytest.raises(Refused, match=r"it would pay 14600\.00 EUR now"):
        await world.say(first, "approve_decision", actor="op-2")
    assert await _unpaid(world, policy) == "200.00"
    await world.say(first, "approve_decision", actor="op-2")
    await world.stage(first, "telling_and_paying")
    assert await _unpaid(world, policy) == "0.00"


# ---- late ------------------------------------------------------------------------------------------------------------


async def test_10_5a_is_kept_one_second_before_the_due_instant(world: World) -> None:
    case = await deciding(world)
    due = (await world.clock(case, "BTA-10.5a")).due
    await world.advance(case, due - timedelta(seconds=1))
    assert (await world.clock(case, "BTA-10.5a")).status == "running"
    await world.say(case, "propose_decision", **proposal())
    assert (await world.clock(case, "BTA-10.5a")).status == "kept"


async def test_10_5a_is_overdue_at_the_due_instant_escalates_and_ends_late(world: World) -> None:
    case = await deciding(world)
    due = (await world.clock(case, "BTA-10.5a")).due
    await world.advance(case, due)
    await world.until(lambda: _is(world, case, "BTA-10.5a", "", "overdue"))
    notices = await world.notices(case)
    assert notices["BTA-10.5a::1:overdue"].party == "claims_manager"
    await world.until(lambda: _told(world, case, "claims_manager@bta.example"))
    await world.say(case, "propose_decision", **proposal())
    clock = await world.clock(case, "BTA-10.5a")
    assert (clock.status, clock.overdue_at is not None) == ("late", True)


async def _told(world: World, case: str, address: str) -> bool:
    return any(case in text_of(m) for m in world.mails(address))


async def test_10_5a_reminds_the_handler_ten_and_three_days_before_and_on_the_last_day(world: World) -> None:
    case = await deciding(world)
    await world.advance(case, datetime(2027, 3, 31, 12, 0, tzinfo=RIGA))
    at = [t.at.astimezone(RIGA) for t in await world.timeline(case) if t.entry == "reminded"]
    assert [(a.month, a.day, a.hour) for a in at] == [(3, 21, 9), (3, 28, 9), (3, 31, 9)]


async def test_a_claim_that_is_overdue_on_arrival_is_a_normal_case(world: World) -> None:
    """Receipt is not entry: received 40 days ago, the clock is overdue at once, and still a decision ends it."""
    case = await deciding(world, at=MONDAY - timedelta(days=40))
    await world.until(lambda: _is(world, case, "BTA-10.5a", "", "overdue"))
    await world.say(case, "propose_decision", **proposal())
    assert (await world.clock(case, "BTA-10.5a")).status == "late"


@pytest.mark.parametrize(
    ("received", "last_day"),
    [
        ("2027-03-05T18:40:00+02:00", "2027-04-04"),  # a Friday evening; no roll: a Sunday stays
        ("2027-03-25T16:00:00+02:00", "2027-04-24"),  # the day before Good Friday
        ("2028-01-31T12:00:00+02:00", "2028-03-01"),  # 31 January
        ("2027-01-20T23:30:00+02:00", "2027-02-19"),  # late in the evening, winter
        ("2027-07-20T23:30:00+03:00", "2027-08-19"),  # late in the evening, summer: the local day counts
        ("2027-03-27T12:00:00+02:00", "2027-04-26"),  # the clocks change that night
    ],
)
async def test_the_thirty_days_are_counted_from_the_local_day_of_receipt(
    world: World, received: str, last_day: str
) -> None:
    case = await deciding(world, at=datetime.fromisoformat(received))
    assert (await world.clock(case, "BTA-10.5a")).last_day.isoformat() == last_day


async def test_10_5b_is_overdue_without_proof_of_sending_and_kept_by_none_entered_late(world: World) -> None:
    """No address: the 10 working days run out, escalate, and end late when the letter is sent at last."""
    await world.begin(MONDAY)
    policy = await world.policy()
    claim = content(policy, documents=documents(MONDAY))
    del claim["claimants"][0]["email"]
    case = await world.file("claim", "BTA", claim)
    await world.stage(case, "deciding")
    await world.covered(case)
    await world.say(case, "propose_decision", **proposal())
    await world.until(lambda: _is(world, case, "BTA-10.5b", "insured", "kept"))
    clock = await world.clock(case, "BTA-10.5b", "C1")
    assert clock.last_day.isoformat() == "2027-03-15"
    await world.advance(case, clock.due - timedelta(seconds=1))
    assert await _is(world, case, "BTA-10.5b", "C1", "running")
    await world.advance(case, clock.due)
    await world.until(lambda: _is(world, case, "BTA-10.5b", "C1", "overdue"))
    await world.say(case, "correct_address", party="C1", email="anna@example.lv")
    await world.until(lambda: _is(world, case, "BTA-10.5b", "C1", "late"))


async def test_a_bounce_reopens_10_5b_by_the_same_due_date(world: World) -> None:
    case = await decided(world)
    before = await world.clock(case, "BTA-10.5b", "C1")
    await world.say(case, "report_bounce", notice="BTA-10.5b:C1:1", bounced_at=MONDAY.isoformat())
    clock = await world.clock(case, "BTA-10.5b", "C1")
    assert (clock.status, clock.due, clock.n) == ("running", before.due, before.n)
    await world.say(case, "correct_address", party="C1", email="anna.jauna@example.lv")
    await world.until(lambda: _is(world, case, "BTA-10.5b", "C1", "kept"))
    assert world.mails("anna.jauna@example.lv")


async def test_10_5c_paid_on_the_last_day_and_confirmed_the_next_is_kept(world: World) -> None:
    """Time, point 13: in time is judged by the execution date; overdue meanwhile, the escalation stays."""
    case = await decided(world)
    clock = await world.clock(case, "BTA-10.5c", "C1")
    assert clock.last_day.isoformat() == "2027-03-22"
    await world.advance(case, clock.due + timedelta(hours=9))
    await world.until(lambda: _is(world, case, "BTA-10.5c", "C1", "overdue"))
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-22"))
    assert await _is(world, case, "BTA-10.5c", "C1", "kept")
    assert "BTA-10.5c:C1:1:overdue" in await world.notices(case)


async def test_10_5c_executed_a_day_later_is_late(world: World) -> None:
    case = await decided(world)
    clock = await world.clock(case, "BTA-10.5c", "C1")
    await world.advance(case, clock.due + timedelta(hours=9))
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-23"))
    assert await _is(world, case, "BTA-10.5c", "C1", "late")


async def test_a_person_who_makes_an_overdue_payment_kept_needs_a_reason_a_document_and_a_second(world: World) -> None:
    case = await decided(world)
    clock = await world.clock(case, "BTA-10.5c", "C1")
    await world.advance(case, clock.due + timedelta(days=2))
    with pytest.raises(Refused, match="correction"):
        await world.say(case, "confirm_payment", **paid_on("2027-03-22"))
    correction = {"reason": "statement came late", "document": "dms/77", "second_person": "op-1"}
    with pytest.raises(Refused, match="another person"):
        await world.say(case, "confirm_payment", **paid_on("2027-03-22", correction=correction))
    await world.say(
        case, "confirm_payment", **paid_on("2027-03-22", correction={**correction, "second_person": "op-2"})
    )
    assert await _is(world, case, "BTA-10.5c", "C1", "kept")
    # nobody answers for what they never saw: the second person hears of it
    [told] = [n for n in (await world.notices(case)).values() if n.template == "internal-second-person"]
    assert (told.party, told.facts["by"], told.internal) == ("op-2", "op-1", True)

    async def went_out() -> bool:
        return (await world.notices(case))[told.key].sent_at is not None

    await world.until(went_out)
    [mail] = [m for m in world.mails("op-2@") if f"otrā persona, {case}" in str(m["Subject"])]
    assert "op-1" in text_of(mail)
    assert "dms/77" not in text_of(mail)


@pytest.mark.parametrize(("day", "fault"), [("2027-03-05", "future"), ("2027-02-27", "before the clock's start")])
async def test_an_execution_date_that_cannot_be_is_refused(world: World, day: str, fault: str) -> None:
    case = await decided(world)
    with pytest.raises(Refused, match=fault):
        await world.say(case, "confirm_payment", actor="system:bank", **paid_on(day))


async def test_a_rejected_payment_is_owed_by_the_same_date_and_ordered_anew(world: World) -> None:
    case = await decided(world)
    due = (await world.clock(case, "BTA-10.5c", "C1")).due
    await world.say(
        case, "reject_payment", actor="system:bank", payment="C1:indemnity", reason="AC01", rejected_on="2027-03-01"
    )
    assert (await world.clock(case, "BTA-10.5c", "C1")).due == due
    with pytest.raises(Refused, match="iban"):
        await world.say(case, "correct_payee", claimant="C1", iban="LV00XXXX")
    await world.say(case, "correct_payee", claimant="C1", iban="LV97HABA0012345678910")
    await world.payment(case, "C1:indemnity:2", "issued")


async def test_above_the_limit_another_account_waits_for_a_second_person_who_says_the_same(world: World) -> None:
    """What two approved does not go where one says: neither twice by one person, nor by two who say two accounts."""
    case = await deciding(world, amount="15000.00")
    await world.say(case, "propose_decision", actor="op-1", **proposal("15000.00"))
    await world.say(case, "approve_decision", actor="op-2")
    await world.payment(case, "C1:indemnity", "issued")
    await world.say(
        case, "reject_payment", actor="system:bank", payment="C1:indemnity", reason="AC01", rejected_on="2027-03-01"
    )
    first, other = "LV97HABA0012345678910", "LT121000011101001000"
    for actor, iban in (("op-1", first), ("op-1", first), ("op-2", other)):
        await world.say(case, "correct_payee", actor=actor, claimant="C1", iban=iban)
        await world.payment(case, "C1:indemnity:2", "held")
    [asked] = [n for n in (await world.notices(case)).values() if n.template == "internal-account"]
    assert asked.facts["amount"] == "14800.00"
    await world.say(case, "correct_payee", actor="op-1", claimant="C1", iban=other)
    await world.payment(case, "C1:indemnity:2", "issued")
    texts = [p.read_text() for p in (world.var / "bank").glob("*.xml")]
    assert sorted(other in text for text in texts if case.split(":")[2] in text) == [False, True]


async def test_a_bad_iban_holds_the_payment_and_nothing_else(world: World) -> None:
    await world.begin(MONDAY)
    claim = content(await world.policy(), documents=documents(MONDAY))
    claim["claimants"][0]["iban"] = "LV11HABA0000000000000"
    case = await world.file("claim", "BTA", claim)
    row = await world.stage(case, "deciding")
    assert any("iban" in fault for fault in row.state["body"]["faults"])
    await world.covered(case)
    await world.say(case, "propose_decision", **proposal())
    await world.until(lambda: _is(world, case, "BTA-10.5b", "C1", "kept"))
    row = await world.stage(case, "telling_and_paying")
    assert "an account for C1" in row.waits_for
    await world.say(case, "correct_payee", claimant="C1", iban="LV97HABA0012345678910")
    await world.payment(case, "C1:indemnity", "issued")


async def test_a_withdrawn_claim_ends_and_frees_its_reserve(world: World) -> None:
    case = await deciding(world)
    await world.say(case, "withdraw_claim", withdrawn_at=MONDAY.isoformat(), reference="dms/1")
    row = await world.stage(case, "closed")
    assert row.outcome == "withdrawn"
    assert (await world.clock(case, "BTA-10.5a")).status == "void"
    async with world.sessions() as session:
        entry = await session.get(LimitRow, case)
    assert entry is not None
    assert entry.reserved == 0


async def test_no_personal_data_in_the_history_of_a_claim(world: World) -> None:
    """The workflow knows party codes: the name, address and account of the claimant are not in its history."""
    case = await decided(world)
    history = await world.handle(case).fetch_history()
    text = history.to_json()
    for secret in ("Bērziņa", "anna.berzina", "LV97HABA0012345678910", "Jumtu Meistari"):
        assert secret not in text
        assert base64.b64encode(secret.encode()).decode().rstrip("=") not in text
