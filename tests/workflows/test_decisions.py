"""Decisions that differ by head, and who has the authority to approve them (BTA 10.5; issue: decision)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from models.tables import NoticeRow, OperatorRow
from tests.workflows.test_claim import MONDAY, _is, _letters, content, deciding, documents, proposal
from tests.world import Refused, World, text_of

ANNA = {"name": "Anna Bērziņa", "email": "anna.heads@example.lv", "iban": "LV97HABA0012345678910", "language": "lv"}
JANIS = {"name": "Jānis Ozols", "email": "janis.heads@example.lv", "iban": "LV80BANK0000435195001", "language": "en"}


async def with_heads(world: World, claimants: tuple[dict[str, Any], ...] = (ANNA,), covered: bool = True) -> str:
    """A claim for a car and treatment of the first claimant, and a car of the second if there is one."""
    await world.begin(MONDAY)
    losses = [
        {"claimant": 1, "head": "property_damaged", "amount": "1200.00"},
        {"claimant": 1, "head": "treatment", "amount": "500.00"},
        *({"claimant": n, "head": "property_damaged", "amount": "700.00"} for n in range(2, len(claimants) + 1)),
    ]
    came = [*documents(MONDAY), *documents(MONDAY, "medical_opinion", "claim", "notice_of_loss")]
    claim = content(await world.policy(), claimants=list(claimants), losses=losses, documents=came)
    case = await world.file("claim", "BTA", claim)
    row = await world.stage(case, "deciding")
    assert row.state["body"]["findings"]
    if covered:
        await world.covered(case)
    return case


def of_head(**more: Any) -> dict[str, Any]:
    """Treatment is rejected: nothing proves it."""
    first = {"claimant": "C1", "head": "treatment", "outcome": "reject", "code": "not_proven", "text": "Nav rēķina."}
    return {**first, **more}


def reduced(*heads: dict[str, Any], proven: str = "1200.00", **more: Any) -> dict[str, Any]:
    """The car is paid, the rest as it is said."""
    return proposal(proven, "pay_reduced", heads=list(heads), **more)


# ---- by head --------------------------------------------------------------------------------------------------------


async def test_one_head_is_paid_and_another_rejected_and_the_letters_say_why(world: World) -> None:
    """10.5: 1 200 less the deductible of 200 for the car; treatment is not proven, with clause and words."""
    case = await with_heads(world)
    await world.say(case, "propose_decision", **reduced(of_head()))
    row = await world.stage(case, "telling_and_paying")
    assert row.state["body"]["proposal"]["total"] == "1000.00"
    assert "Nav rēķina" not in str(row.state["body"]), "the words are in the store, not in every step"
    entry = next(t for t in await world.timeline(case) if t.entry == "decided")
    assert entry.facts["heads"] == [{"claimant": "C1", "head": "treatment", "outcome": "reject", "code": "not_proven"}]
    assert "**Reject:** C1 treatment, not_proven" in await world.details(case)
    line = "Ārstniecība: noraidīts. Zaudējumu fakts nav pierādīts (noteikumu 9.1. punkts): Nav rēķina."
    for to in ("anna.heads@example.lv", "ins@jumtumeistari.example"):
        letter = await world.until(lambda to=to: _with(world, case, to, line), "the letter names the head")  # type: ignore[misc]  # a default binds it now
        assert "Mantas bojājums (noteikumu 9.3.2. punkts): 1 000,00 EUR" in letter


async def _with(world: World, case: str, to: str, line: str) -> str | None:
    return next((text for text in await _letters(world, case, to) if line in text), None)


async def test_a_claimant_who_is_no_third_party_is_rejected_while_another_is_paid(world: World) -> None:
    """1: the second claimant works for the insured. Each is told of the own heads; the insured of all, with names."""
    case = await with_heads(world, (ANNA, JANIS))
    insured = {"code": "third_party:C2", "outcome": "not_met", "reason": "on duty for the insured"}
    await world.say(case, "judge_findings", findings=[insured])
    second = {
        "claimant": "C2",
        "head": "property_damaged",
        "outcome": "reject",
        "code": "third_party",
        "text": "You were on duty for the insured.",
    }
    with pytest.raises(Refused, match=r"findings: third_party:C2 .* is not met"):
        await world.say(case, "propose_decision", **reduced(of_head()))
    await world.say(case, "propose_decision", **reduced(of_head(), second))
    line = "Property damaged: rejected. The claimant is not a third party (clause 1): You were on duty"
    letter = await world.until(lambda: _with(world, case, "janis.heads@example.lv", line), "the second is told")
    assert "payment of an insurance indemnity is refused" in letter
    assert "Nav rēķina" not in letter, "what concerns another is not told"
    named = "Jānis Ozols: Mantas bojājums: noraidīts."
    told = await world.until(lambda: _with(world, case, "ins@jumtumeistari.example", named), "the insured is told")
    assert "Pretenzijas iesniedzējs: Anna Bērziņa, Jānis Ozols." in told, "by their names, not by codes"
    assert ("BTA-10.5c", "C2") not in await world.clocks(case)
    await world.until(lambda: _is(world, case, "BTA-10.5b", "C2", "kept"), "proven sent")


async def test_an_exclusion_bars_only_the_heads_that_the_decision_names(world: World) -> None:
    case = await with_heads(world)
    excluded = {"code": "4.1.10", "outcome": "not_met", "reason": "asbestos"}
    await world.say(case, "judge_findings", findings=[excluded])
    with pytest.raises(Refused, match=r"findings: 4\.1\.10"):
        await world.say(case, "propose_decision", **reduced(of_head()))
    await world.say(case, "propose_decision", **reduced(of_head(code="4.1.10", text="Azbests.")))
    await world.stage(case, "telling_and_paying")


async def test_what_is_not_met_for_the_whole_contract_is_limited_to_no_head(world: World) -> None:
    """A territory is that of the whole claim: to reject one head for it and pay the other is refused."""
    case = await with_heads(world)
    await world.say(case, "judge_findings", findings=[{"code": "territory", "outcome": "not_met", "reason": "Estonia"}])
    with pytest.raises(Refused, match="findings: territory"):
        await world.say(case, "propose_decision", **reduced(of_head(code="territory")))


async def test_a_rejection_of_everything_names_every_head(world: World) -> None:
    case = await with_heads(world)
    car = of_head(head="property_damaged", code="entitlement_not_proven", text="Auto nav Jūsu.")
    with pytest.raises(Refused, match="C1 property_damaged is neither in losses nor rejected"):
        await world.say(case, "propose_decision", outcome="reject", heads=[of_head()])
    await world.say(case, "propose_decision", outcome="reject", heads=[of_head(), car])
    await world.stage(case, "resting")
    line = "Mantas bojājums: noraidīts. Tiesības saņemt atlīdzību nav pierādītas (noteikumu 9.1.7. punkts)"
    assert await _with(world, case, "anna.heads@example.lv", line)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (reduced(of_head(code="bad_luck")), ["no such reason"]),
        (reduced(of_head(code="4.1.10")), ["4.1.10 was not found to be not met"]),
        (reduced(of_head(code="liable"), of_head(claimant="C7")), ["liable was not found", "nobody claims as C7"]),
        (reduced(of_head(), proven="900.00"), ["900.00 EUR of 1200.00 EUR are accepted: say why it is reduced"]),
        ({**reduced(of_head()), "outcome": "pay"}, ["what is reduced or rejected in part is pay_reduced"]),
        (reduced(of_head(text="")), ["heads.0.text"]),
        ({"outcome": "reject", "heads": [of_head(outcome="reduce")]}, ["a rejection reduces nothing"]),
    ],
    ids=["no such code", "not found", "two at once", "less without a reason", "pay", "no words", "reject reduces"],
)
async def test_heads_that_do_not_add_up_are_refused_and_change_nothing(
    world: World, message: dict[str, Any], expected: list[str]
) -> None:
    case = await with_heads(world)
    before = await world.entries(case)
    with pytest.raises(Refused) as refused:
        await world.say(case, "propose_decision", **message)
    assert all(any(fault in said for said in refused.value.faults) for fault in expected), refused.value.faults
    assert await world.entries(case) == before


async def test_what_an_approver_approves_keeps_its_heads(world: World) -> None:
    """Above the limit: the second person sees codes; the letters of the approved decision state the words."""
    case = await deciding(world, amount="15000.00")
    one = of_head(head="property_damaged", outcome="reduce", code="amount_not_proven", text="Trūkst rēķinu.")
    await world.say(case, "propose_decision", **reduced(one, proven="14000.00"))
    await world.stage(case, "approving")
    assert "**Reduce:** C1 property_damaged, amount_not_proven" in await world.details(case)
    await world.say(case, "approve_decision", actor="op-2")
    line = "Mantas bojājums: samazināts. Zaudējumu apmērs nav pierādīts ar dokumentiem (noteikumu 9.1.8. punkts)"
    assert await world.until(lambda: _with(world, case, "anna.berzina@example.lv", line), "the words are there")


# ---- authority ------------------------------------------------------------------------------------------------------


async def told(world: World, case: str) -> list[NoticeRow]:
    """The letters to staff about who approves."""
    found = await world.notices(case)
    return [found[key] for key in sorted(found) if key.startswith("authority:")]


@pytest.mark.parametrize(
    ("amount", "role"),
    [("50200.00", "claims_manager"), ("50200.01", "head_of_claims"), ("250200.01", "board")],
)
async def test_a_proposal_is_brought_to_the_smallest_role_whose_limit_suffices(
    world: World, amount: str, role: str
) -> None:
    """The limits are 50 000, 250 000 and 1 000 000; the deductible is 200."""
    terms = {"limit_per_occurrence": "900000.00", "limit_aggregate": "900000.00"}
    case = await deciding(world, amount=amount, terms=terms)
    await world.say(case, "propose_decision", **proposal(amount))
    row = await world.stage(case, "approving")
    assert row.waits_for.endswith(role.replace("_", " "))
    [letter] = await told(world, case)
    assert (letter.party, letter.internal) == (role, True)

    async def came() -> list[str]:
        return [text_of(m) for m in world.mails(f"{role}@bta.example") if case in text_of(m)]

    [text] = await world.until(came, "the role is told")
    assert "Jums ir tiesības to apstiprināt" in text


async def test_an_approval_above_the_approvers_limit_says_who_has_the_authority(world: World) -> None:
    async with world.sessions() as session, session.begin():
        if await session.get(OperatorRow, "op-82") is None:
            session.add(
                OperatorRow(
                    code="op-82",
                    organisations=["BTA"],
                    roles=["see", "approve"],
                    limit=Decimal(5000),
                    created_at=world.now(),
                )
            )
    case = await deciding(world, amount="15000.00")
    await world.say(case, "propose_decision", **proposal("15000.00"))
    await world.stage(case, "approving")
    with pytest.raises(Refused) as refused:
        await world.say(case, "approve_decision", actor="op-82")
    assert refused.value.faults == (
        "actor: op-82 approves up to 5000.00 EUR, not 14800.00 EUR",
        "amount: the claims_manager has the authority",
    )
    await world.say(case, "approve_decision", actor="op-2")
    await world.stage(case, "telling_and_paying")


async def test_a_proposal_above_every_limit_says_so_at_once(world: World) -> None:
    """No operator approves more than a million: the highest role is told, and the case says that nobody can."""
    terms = {"limit_per_occurrence": "2000000.00", "limit_aggregate": "2000000.00"}
    case = await deciding(world, amount="1500000.00", terms=terms)
    await world.say(case, "propose_decision", **proposal("1500000.00"))
    row = await world.stage(case, "approving")
    assert row.waits_for == "nobody's approval: 1499800.00 EUR is above every limit"
    [letter] = await told(world, case)
    assert (letter.party, letter.facts["nobody"]) == ("board", True)
    await world.say(case, "send_back_decision", actor="op-2", reason="take it to the reinsurer")
    await world.say(case, "propose_decision", **proposal("1500000.00"))
    assert len(await told(world, case)) == 2
