"""Cover in a claim: findings worked out, judged, worked out anew; documents asked for and waived; one occurrence."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, delete, select

from models.coverage import POINTS
from models.errors import Refusal
from models.tables import CaseRow, DocumentRow, FindingRow, LimitRow, PolicyRow
from operations import reading
from operations.policies import Policies
from tests.workflows.test_claim import MONDAY, content, deciding, documents, proposal
from tests.world import Refused, World, text_of

CLEAN = ["activity", "third_party:C1", "liable", "direct_loss", "no_exclusion"]
"""What no fact can say, of a claim that says where it happened."""


async def filed(world: World, **more: Any) -> str:
    """A claim with all its documents that says where it happened, received on Monday."""
    await world.begin(MONDAY)
    policy = more.pop("policy", None) or await world.policy()
    received_at = more.pop("received_at", MONDAY)
    claim = content(policy, documents=more.pop("documents", documents(MONDAY)), **{"country": "LV", **more})
    case = await world.file("claim", "BTA", claim, received_at=received_at)
    await world.stage(case, "deciding")
    return case


async def findings(world: World, case: str) -> dict[str, FindingRow]:
    """The rows by code."""
    async with world.sessions() as session:
        rows = (await session.exec(select(FindingRow).where(FindingRow.case == case))).all()
    return {row.code: row for row in rows}


async def waiting(world: World, case: str) -> dict[str, str]:
    """What the claim remembers of its findings."""
    row = await world.row(case)
    assert row is not None
    found: dict[str, str] = row.state["body"]["findings"]
    return found


async def judge(world: World, case: str, code: str, outcome: str, **more: Any) -> dict[str, Any]:
    """Say one thing."""
    return await world.say(case, "judge_findings", findings=[{"code": code, "outcome": outcome, **more}])


async def letters(world: World, case: str, to: str) -> list[str]:
    """What came for an address about a case, with plain spaces."""
    mails = [m for m in world.mails(to) if case.split(":")[2] in str(m["Subject"])]
    return [text_of(m).replace("\N{NO-BREAK SPACE}", " ") for m in mails]


# ---- judging --------------------------------------------------------------------------------------------------------


async def test_a_clean_claim_is_confirmed_with_one_message_and_then_paid(world: World) -> None:
    """Dates and country speak for themselves; the rest is met as the ready JSON has it, without a word more."""
    case = await filed(world)
    assert await waiting(world, case) == dict.fromkeys(CLEAN, "open")
    row = await world.row(case)
    assert row is not None
    assert row.waits_for == "the handler's findings and decision"
    await world.say(case, "judge_findings", findings=[{"code": code, "outcome": "met"} for code in CLEAN])
    row = await world.row(case)
    assert row is not None
    assert (row.state["body"]["findings"], row.waits_for) == ({}, "the handler's decision")
    await world.say(case, "propose_decision", **proposal())
    await world.stage(case, "telling_and_paying")


async def test_nothing_is_paid_while_a_point_is_open_or_not_met_and_all_of_them_are_named(world: World) -> None:
    case = await filed(world, occurred_on="2025-12-31")
    await judge(world, case, "liable", "met")
    with pytest.raises(Refused) as refused:
        await world.say(case, "propose_decision", **proposal())
    named = [fault.split()[1] for fault in refused.value.faults]
    assert named == [
        *("in_force", "in_period", "not_known", "activity"),
        *("third_party:C1", "direct_loss", "no_exclusion"),
    ]
    assert await world.entries(case) == ["received", "findings_judged"]


async def test_every_point_has_a_row_with_its_clause_and_facts(world: World) -> None:
    case = await filed(world)
    rows = await findings(world, case)
    assert {code.partition(":")[0] for code in rows} == {*POINTS, *(c for c in rows if c[0].isdigit())}
    assert rows["in_time"].clause == "10.2.2"
    assert rows["in_time"].facts["to_insurer_on"] == "2027-03-01"
    assert rows["territory"].facts == {"country": "LV", "territory": ["LV"]}
    assert len([code for code in rows if code[0].isdigit()]) == 14


async def test_overriding_the_facts_needs_a_reason_and_confirming_them_none(world: World) -> None:
    case = await filed(world, country="EE")
    assert (await waiting(world, case))["territory"] == "not_met"
    await judge(world, case, "territory", "not_met")
    with pytest.raises(Refused, match=r"findings\.0\.reason: the facts say not_met"):
        await judge(world, case, "territory", "met")
    with pytest.raises(Refused, match=r"findings\.0\.reason: the facts say met"):
        await judge(world, case, "in_time", "not_met")
    with pytest.raises(Refused, match=r"findings\.0\.reason: the facts say open"):
        await judge(world, case, "liable", "not_met")
    await judge(world, case, "territory", "met", reason="an addendum extends it")
    row = (await findings(world, case))["territory"]
    assert (row.outcome, row.judged, row.reason, row.judged_by) == ("not_met", "met", "an addendum extends it", "op-1")


async def test_every_fault_of_a_judgment_is_named_and_nothing_of_it_is_taken(world: World) -> None:
    case = await filed(world)
    said = [
        {"code": "liable", "outcome": "met"},
        {"code": "4.1.28", "outcome": "not_met", "reason": "a port"},
        {"code": "liable", "outcome": "met"},
        {"code": "7.1.9", "outcome": "not_met", "reason": "no such duty"},
        {"code": "4.1.20", "outcome": "not_met", "reason": "years of damp"},
        {"code": "direct_loss", "outcome": "not_met"},
        {"code": "activity", "outcome": "met", "exception": True},
    ]
    with pytest.raises(Refused) as refused:
        await world.say(case, "judge_findings", findings=said)
    faults = refused.value.faults
    assert [fault.split(":")[0] for fault in faults] == [
        *("findings.1.code", "findings.2.code", "findings.3.code", "findings.4.exception"),
        *("findings.5.reason", "findings.6.exception"),
    ]
    assert "4.1.28c" in faults[0]
    assert "Was the effect sudden and unforeseen?" in faults[3]
    assert (await waiting(world, case))["liable"] == "open"


@pytest.mark.parametrize("said", [[], [{"code": "Anna Bērziņa", "outcome": "met"}], [{"code": "liable"}]])
async def test_a_judgment_of_a_wrong_shape_is_refused(world: World, said: list[dict[str, Any]]) -> None:
    case = await filed(world)
    with pytest.raises(Refused, match="findings"):
        await world.say(case, "judge_findings", findings=said)


async def test_cover_waits_for_the_right_policy_and_is_worked_out_with_it(world: World) -> None:
    case = await filed(world, policy="NO-SUCH")
    with pytest.raises(Refused, match="set_policy comes first"):
        await judge(world, case, "liable", "met")
    assert (await waiting(world, case))["in_period"] == "open"
    await world.say(case, "set_policy", policy=await world.policy())
    assert await waiting(world, case) == dict.fromkeys(CLEAN, "open")


# ---- exclusions and duties ------------------------------------------------------------------------------------------


async def test_an_exclusion_that_is_raised_is_a_finding_of_its_own_with_its_exception(world: World) -> None:
    """4.1.20: sudden and unforeseen it does not apply."""
    case = await filed(world)
    await world.covered(case)
    await judge(world, case, "4.1.20", "open", reason="an expert is asked")
    with pytest.raises(Refused, match=r"findings: 4\.1\.20 \(exclusion 4\.1\.20\) is open"):
        await world.say(case, "propose_decision", **proposal())
    with pytest.raises(Refused, match="where it holds the exclusion does not apply"):
        await judge(world, case, "4.1.20", "not_met", exception=True, reason="damp")
    await judge(world, case, "4.1.20", "met", exception=True, reason="a pipe burst")
    row = (await findings(world, case))["4.1.20"]
    assert (row.facts, row.exception, row.standing) == ({"policy": "applies"}, True, "met")
    await world.say(case, "propose_decision", **proposal())
    await world.stage(case, "telling_and_paying")


async def test_the_ready_json_has_what_waits_and_the_details_what_an_exclusion_is(world: World) -> None:
    """What is raised, or facts speak against, is not met by leaving it as it is; what was found is not asked again."""
    case = await filed(world, country="EE")
    raised = {"code": "4.1.20", "outcome": "open", "reason": "an expert is asked"}
    found_ = {"code": "4.1.24", "outcome": "not_met", "reason": "the river rose"}
    breached = {"code": "7.1.1", "outcome": "not_met", "reason": "not told"}
    await world.say(case, "judge_findings", findings=[raised, found_, breached, {"code": "liable", "outcome": "met"}])
    told = await world.details(case)
    ready = json.loads(re.search(r"judge_findings\*\*.*?\n`(.*?)`\n", told, re.DOTALL)[1])  # type: ignore[index]  # it is there
    assert {f["code"]: f["outcome"] for f in ready["findings"]} == {
        **dict.fromkeys(("activity", "third_party:C1", "direct_loss", "no_exclusion"), "met"),
        **dict.fromkeys(("territory", "4.1.20"), "‹met or not_met›"),
    }
    assert "Gradual effect of temperature, fumes, damp or water. Was the effect sudden and unforeseen?" in told
    assert told.index("Cover, open: 4.1.20") < told.index("Cover, not met: 4.1.24")


async def test_a_breached_duty_is_no_bar_but_its_share_must_be_said(world: World) -> None:
    """8.2: the insurer may reduce; a reduction without a breach that was found is refused."""
    case = await filed(world)
    await world.covered(case)
    reduced = [{"clause": "7.1.1", "percent": "10"}]
    with pytest.raises(Refused, match=r"reductions: no breach of 7\.1\.1 was found"):
        await world.say(case, "propose_decision", **proposal(reductions=reduced, reasons=["7.1.1: not told"]))
    await judge(world, case, "7.1.1", "not_met", reason="a second storey was added and not told")
    with pytest.raises(Refused, match=r"reductions: 7\.1\.1 was breached; say its share, 0 if it has none"):
        await world.say(case, "propose_decision", **proposal())
    message = proposal(outcome="pay_reduced", reductions=reduced, reasons=["7.1.1: not told"])
    await world.say(case, "propose_decision", **message)
    row = await world.stage(case, "telling_and_paying")
    # 1 200 - 200, less a tenth
    assert row.state["body"]["proposal"]["total"] == "900.00"


# ---- rejection ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("lv", "- Plūdi un gruntsūdeņu līmeņa izmaiņas (noteikumu 4.1.24. punkts): pagrabs applūda"),
        ("lt", "- Potvynis ir gruntinio vandens lygio pokyčiai (taisyklių 4.1.24 punktas): pagrabs applūda"),
        ("en", "- Floods and changes of the groundwater level (clause 4.1.24): pagrabs applūda"),
    ],
)
async def test_a_rejection_names_a_finding_that_is_not_met_and_the_letter_its_clause(
    world: World, language: str, line: str
) -> None:
    await world.begin(MONDAY)
    claim = content(await world.policy(), documents=documents(MONDAY), country="LV")
    claim["claimants"][0] |= {"language": language, "email": f"reject.{language}@example.lv"}
    case = await world.file("claim", "BTA", claim)
    await world.stage(case, "deciding")
    reject = proposal(outcome="reject", reasons=["4.1.24: pagrabs applūda"])
    with pytest.raises(Refused, match=r"reasons.0: begin with the code of a finding that is not met \(none yet"):
        await world.say(case, "propose_decision", **reject)
    await judge(world, case, "4.1.24", "not_met", reason="the river rose")
    with pytest.raises(Refused, match=r"reasons.1: .*\(4\.1\.24\) or a clause of part 9"):
        await world.say(case, "propose_decision", outcome="reject", reasons=[*reject["reasons"], "it is excluded"])
    await world.say(case, "propose_decision", **reject)
    await world.stage(case, "resting")
    assert any(line in text for text in await letters(world, case, f"reject.{language}@example.lv"))


async def test_a_rejection_may_rest_on_a_clause_of_part_9_and_name_a_finding_by_its_clause(world: World) -> None:
    case = await filed(world, country="EE")
    reasons = ["9.1: the amount was never proven", "3.3: it happened in Tartu"]
    await world.say(case, "propose_decision", outcome="reject", reasons=reasons)
    await world.stage(case, "resting")
    [text] = [t for t in await letters(world, case, "anna.berzina@example.lv") if "noraidīt" in t]
    assert "- noteikumu 9.1. punkts: the amount was never proven" in text
    assert "- Notikums nav apdrošināšanas teritorijā (noteikumu 3.3. punkts): it happened in Tartu" in text


async def test_a_rejection_names_a_point_of_one_claimant_by_the_code_that_the_case_shows(world: World) -> None:
    case = await filed(world)
    await judge(world, case, "third_party:C1", "not_met", reason="a daughter company of the insured")
    await world.say(case, "propose_decision", outcome="reject", reasons=["third_party:C1: viena koncerna uzņēmums"])
    await world.stage(case, "resting")
    [text] = [t for t in await letters(world, case, "anna.berzina@example.lv") if "noraidīt" in t]
    line = "- Pretenzijas iesniedzējs nav trešā persona (noteikumu 1. punkts): viena koncerna uzņēmums"
    assert line in text


# ---- facts that are learnt ------------------------------------------------------------------------------------------


async def test_facts_that_are_learnt_change_the_findings_and_end_judgments_of_other_facts(world: World) -> None:
    case = await filed(world, country=None, occurred_on="2025-12-31")
    assert {code: s for code, s in (await waiting(world, case)).items() if code in ("in_period", "territory")} == {
        "in_period": "not_met",
        "territory": "open",
    }
    await judge(world, case, "in_period", "met", reason="the protocol says January")
    await judge(world, case, "liable", "met")
    await world.say(case, "state_facts", occurred_on="2026-01-01", country="LV")
    rows = await findings(world, case)
    assert (rows["in_period"].outcome, rows["in_period"].judged) == ("met", None), "it was said of another day"
    assert rows["liable"].judged == "met", "of that nothing changed"
    assert await waiting(world, case) == dict.fromkeys([c for c in CLEAN if c != "liable"], "open")


async def test_when_the_claim_was_first_made_moves_its_place_in_the_order_of_claims(world: World) -> None:
    """9.6, 10.4: the instant at which the written claim was first made."""
    case = await filed(world)
    made = MONDAY - timedelta(days=5)
    await world.say(case, "state_facts", first_made_at=made.isoformat(), first_made_to="insured")
    async with world.sessions() as session:
        limit = await session.get(LimitRow, case)
    assert limit is not None
    assert limit.filed_at == made


async def test_every_fault_of_stated_facts_is_named_and_nothing_changes(world: World) -> None:
    case = await filed(world)
    before = await findings(world, case)
    future = (MONDAY + timedelta(days=1)).isoformat()
    with pytest.raises(Refused) as refused:
        await world.say(
            case,
            "state_facts",
            occurred_on="2027-03-03",
            first_made_at=future,
            notice_received_at=future,
            circumstance="NONE",
        )
    assert [fault.split(":")[0] for fault in refused.value.faults] == [
        *("first_made_at", "notice_received_at", "occurred_on", "circumstance"),
    ]
    with pytest.raises(Refused, match="state at least one"):
        await world.say(case, "state_facts")
    with pytest.raises(Refused, match="country: String should match"):
        await world.say(case, "state_facts", country="Latvija")
    assert [(r.facts, r.outcome) for r in (await findings(world, case)).values()] == [
        (r.facts, r.outcome) for r in before.values()
    ]


async def ending(world: World, on: date) -> str:
    """A policy that ends on a day."""
    number = await world.policy()
    async with world.sessions() as session, session.begin():
        row = await session.get_one(PolicyRow, number)
        known = row.known
        registered = known.registered.model_copy(update={"ends_on": on})
        row.ends_on, row.facts = on, known.model_copy(update={"registered": registered}).model_dump(mode="json")
    return number


async def test_a_claim_after_the_period_says_so(world: World) -> None:
    """10.2: received on 1 March 2027; the periods ended before."""
    case = await filed(world, policy=await ending(world, date(2026, 12, 31)), occurred_on="2026-12-30")
    assert (await waiting(world, case))["in_time"] == "not_met"


async def test_a_circumstance_that_was_reported_in_time_carries_a_later_notice(world: World) -> None:
    """10.3: reported on 10 February, the period ended on the 28th, the insured's notice came on 1 March."""
    await world.begin(MONDAY)
    policy = await ending(world, date(2027, 2, 28))
    reported = {"policy": policy, "description": "Uz jumta krājas ledus.", "reference": "dms/77"}
    kept = await world.file("circumstance", "BTA", reported, received_at=datetime(2027, 2, 10, tzinfo=MONDAY.tzinfo))
    case = await filed(
        world,
        policy=policy,
        filed_by="insured",
        first_made_at="2027-01-05T10:00:00+02:00",
        first_made_to="insured",
    )
    assert (await waiting(world, case))["in_time"] == "open", "the statutory term is not in the rulebook"
    await world.say(case, "state_facts", circumstance=kept.split(":")[2])
    row = (await findings(world, case))["in_time"]
    assert (row.outcome, row.clause, row.facts["counts_as"]) == ("met", "10.3", "2027-02-28")


# ---- circumstances --------------------------------------------------------------------------------------------------


async def test_a_circumstance_is_kept_as_evidence_once_and_runs_no_case(world: World) -> None:
    """8.1.2, 10.3: the instant of the written report stays as it was filed."""
    await world.begin(MONDAY)
    filing = {
        "kind": "circumstance",
        "organisation": "BTA",
        "reference": "A-2027-9",
        "received_at": (MONDAY - timedelta(days=3)).isoformat(),
        "sender": "system:portal",
        "content": {"policy": await world.policy(), "description": "Plaisa sienā.", "reference": "dms/9"},
    }
    first, again = await world.intake.submit(filing), await world.intake.submit(filing)
    assert (first.new, again.new, first.result) == (True, False, "circumstance")
    head = await reading.head(world.sessions, first.case)
    assert (head.stage, head.received_at, head.workflow) == ("circumstance", MONDAY - timedelta(days=3), "")
    with pytest.raises(Refusal, match="differs from what was filed"):
        await world.intake.submit({**filing, "received_at": MONDAY.isoformat()})
    with pytest.raises(Refusal, match="no case runs"):
        await world.intake.submit_event(first.case, "e-1", "assign_case", {"actor": "op-1", "handler": "op-2"})
    wrong = {"policy": "NO-SUCH", "description": " ", "colour": "red"}
    with pytest.raises(Refusal) as refused:
        await world.intake.submit({**filing, "reference": "A-2027-10", "content": wrong})
    assert {fault.split(":")[0] for fault in refused.value.faults} == {
        *("content.description", "content.reference", "content.colour"),
    }
    named = {**filing["content"], "policy": "NO-SUCH"}  # type: ignore[dict-item]  # it is an object
    with pytest.raises(Refusal, match="no such policy"):
        await world.intake.submit({**filing, "reference": "A-2027-10", "content": named})


# ---- one occurrence -------------------------------------------------------------------------------------------------


async def test_claims_on_one_occurrence_name_each_other_and_belong_to_the_policy_of_the_first(world: World) -> None:
    """5.4."""
    policy, other = await world.policy(), await world.policy()
    hours = [MONDAY - timedelta(hours=n) for n in (3, 2, 1)]
    first = await filed(world, policy=policy, occurrence="ICE-7", received_at=hours[0])
    second = await filed(world, policy=policy, occurrence="ICE-7", received_at=hours[1])
    third = await filed(world, policy=other, occurrence="ICE-7", received_at=hours[2])
    rows = await findings(world, third)
    assert (rows["right_policy"].outcome, rows["right_policy"].facts["first_claim"]) == ("not_met", first)
    assert (await findings(world, second))["right_policy"].outcome == "met"
    for case, others in ((first, {second, third}), (second, {first, third}), (third, {first, second})):
        shown = await reading.show_case(world.sessions, world.now(), case)
        assert set(shown.occurrence) == others
    row = await world.row(third)
    assert row is not None
    assert set(row.state["body"]["occurrence"]) == {first, second}


async def test_a_claim_filed_later_and_made_earlier_is_heard_of_by_the_others(world: World) -> None:
    """5.4: the occurrence belongs to the policy of its first claim, whichever is filed first; the UI names both."""
    first = await filed(world, occurrence="ICE-9")
    assert "right_policy" not in await waiting(world, first)
    earlier = await filed(
        world,
        occurrence="ICE-9",
        first_made_at=(MONDAY - timedelta(days=3)).isoformat(),
        first_made_to="insurer",
    )
    # as a sweep does with what the store has for a case
    await world.handle(first).signal("look_again")

    async def heard() -> bool:
        return "cover_looked_at" in await world.entries(first)

    await world.until(heard, "the first one looks again")
    row = await world.row(first)
    assert row is not None
    assert (row.state["body"]["findings"]["right_policy"], row.state["body"]["occurrence"]) == ("not_met", [earlier])


async def test_a_policy_that_changes_is_looked_at_again_by_its_undecided_claims(world: World) -> None:
    """11.1: the contract was ended with a last day before the event; nobody is paid on what was found before."""
    policy = await world.policy()
    case = await filed(world, policy=policy)
    await world.covered(case)
    policies = Policies(world.sessions, world.keyring, world.now, world.intake)
    await policies.end(policy, {"by": "policyholder", "last_day": "2027-02-10", "reason": "sold"})
    await world.handle(case).signal("look_again")

    async def heard() -> bool:
        return "cover_looked_at" in await world.entries(case)

    await world.until(heard, "the claim looks again")
    assert (await waiting(world, case))["in_force"] == "not_met"
    with pytest.raises(Refused, match="in_force"):
        await world.say(case, "propose_decision", **proposal())


async def _sold(world: World, policy: str) -> None:
    """The contract ended before the event."""
    policies = Policies(world.sessions, world.keyring, world.now, world.intake)
    await policies.end(policy, {"by": "policyholder", "last_day": "2027-02-10", "reason": "sold"})


async def _looked(world: World, case: str) -> None:
    await world.handle(case).signal("look_again")

    async def heard() -> bool:
        return "cover_looked_at" in await world.entries(case)

    await world.until(heard, "the claim looks again")


async def test_nothing_is_decided_by_a_cover_that_changed_before_the_claim_heard_of_it(world: World) -> None:
    """The bell of the change still waits: the decision is refused with what is another thing now, and nothing of it
    stays. Once the claim has looked, the handler judges it as ever."""
    policy = await world.policy()
    case = await filed(world, policy=policy)
    await world.covered(case)
    await _sold(world, policy)
    with pytest.raises(Refused, match=r"findings: in_force is not met now"):
        await world.say(case, "propose_decision", **proposal())
    assert (await waiting(world, case), await world.entries(case)) == ({}, ["received", "findings_judged"])
    await _looked(world, case)
    assert (await waiting(world, case))["in_force"] == "not_met"


async def test_a_bell_of_cover_that_changed_nothing_holds_up_no_decision(world: World) -> None:
    """5.4: another claim on the same occurrence came; the first one is decided before it hears of it."""
    case = await filed(world, occurrence="ICE-12")
    await world.covered(case)
    await filed(world, occurrence="ICE-12")
    await world.say(case, "propose_decision", **proposal())
    await world.stage(case, "telling_and_paying")


async def test_a_proposal_goes_back_when_what_was_found_of_cover_is_another_thing(world: World) -> None:
    """11.1: the contract was ended while a second person had not approved: refused before the claim hears of it, and
    sent back to the handler when it does."""
    policy = await world.policy()
    case = await filed(world, policy=policy, losses=[{"head": "property_damaged", "amount": "15000.00"}])
    await world.covered(case)
    await world.say(case, "propose_decision", **proposal("15000.00"))
    await world.stage(case, "approving")
    await _sold(world, policy)
    with pytest.raises(Refused, match=r"findings: in_force is not met now"):
        await world.say(case, "approve_decision", actor="op-2")
    await _looked(world, case)
    row = await world.stage(case, "deciding")
    assert (row.state["body"]["proposal"], row.state["body"]["findings"]["in_force"]) == (None, "not_met")
    assert (await world.entries(case))[-2:] == ["cover_looked_at", "sent_back"]
    with pytest.raises(Refused, match="in_force"):
        await world.say(case, "propose_decision", **proposal("15000.00"))


async def test_a_proposal_stays_where_a_look_at_cover_finds_the_same(world: World) -> None:
    case = await filed(world, occurrence="ICE-13", losses=[{"head": "property_damaged", "amount": "15000.00"}])
    await world.covered(case)
    await world.say(case, "propose_decision", **proposal("15000.00"))
    await filed(world, occurrence="ICE-13")
    await _looked(world, case)
    await world.say(case, "approve_decision", actor="op-2")
    await world.stage(case, "telling_and_paying")


async def test_whatever_comes_back_to_be_decided_is_looked_at_again(world: World) -> None:
    """A claim that rests hears of no change of its policy: new evidence opens it with what is found now."""
    policy = await world.policy()
    case = await filed(world, policy=policy)
    await world.covered(case)
    await world.say(case, "propose_decision", **proposal(outcome="reject", reasons=["9.3.2: nothing is proven"]))
    await world.stage(case, "resting")
    await _sold(world, policy)
    evidence = {"reason": "new_evidence", "received_at": MONDAY.isoformat(), "text": "the invoice came"}
    await world.say(case, "reopen_claim", **evidence)
    assert await waiting(world, case) == {"in_force": "not_met", "in_period": "not_met"}


async def test_a_claim_of_before_has_no_findings_and_is_decided_without_them(worker_world: World) -> None:
    """What was opened by an older build goes on as it was: nothing to judge, and no gate."""
    world = worker_world
    async with world.serving():
        case = await filed(world)
        async with world.sessions() as session, session.begin():
            row = await session.get_one(CaseRow, case)
            body = {k: v for k, v in row.state["body"].items() if k not in ("findings", "occurrence")}
            row.state = {**row.state, "body": body}
            await session.exec(delete(FindingRow).where(col(FindingRow.case) == case))
        await world.handle(case).terminate("as an older build left it")
        await world.intake.start(case, "claim")
        with pytest.raises(Refused, match="opened before findings were kept"):
            await judge(world, case, "liable", "met")
        await world.say(case, "require_document", document="medical_opinion", proves="fact", reason="a bruise")
        assert not [key for key in await world.notices(case) if key.startswith("asked:")]
        await world.say(case, "set_policy", policy=await world.policy())
        await world.say(case, "propose_decision", **proposal(outcome="reject", reasons=["it is excluded"]))
        await world.stage(case, "resting")
        assert await findings(world, case) == {}


async def test_the_same_person_again_from_a_cause_already_paid_for_is_a_finding(world: World) -> None:
    """9.11; another person of the same occurrence is none."""
    policy = await world.policy()
    first = await filed(world, policy=policy, occurrence="ICE-8")
    await world.covered(first)
    await world.say(first, "propose_decision", **proposal())
    await world.payment(first, "C1:indemnity", "issued")
    paid = {"payment": "C1:indemnity", "executed_on": "2027-03-01", "bank_reference": "B1"}
    await world.say(first, "confirm_payment", actor="system:bank", **paid)
    again = await filed(world, policy=policy, occurrence="ICE-8", occurred_on="2027-02-25")
    assert (await waiting(world, again))["no_repetition"] == "not_met"
    for day, stands in (("2027-02-20", None), ("2027-02-25", "possible")):
        somebody = [{"name": "Jānis Kalniņš", "email": "janis.kalnins@example.lv"}]
        case = await filed(world, policy=policy, occurrence="ICE-8", occurred_on=day, claimants=somebody)
        assert (await waiting(world, case)).get("no_repetition") == stands


async def test_what_is_paid_while_another_claim_of_the_person_is_open_makes_that_a_repetition(world: World) -> None:
    """9.11: the earlier claim looks again once the later one is paid, and once more when the money comes back."""
    policy = await world.policy()
    earlier, later = [await filed(world, policy=policy, occurrence="ICE-9") for _ in range(2)]
    somebody = [{"name": "Jānis Kalniņš", "email": "janis.kalnins@example.lv"}]
    another = await filed(world, policy=policy, occurrence="ICE-9", claimants=somebody)
    await world.covered(later)
    await world.say(later, "propose_decision", **proposal())
    await world.payment(later, "C1:indemnity", "issued")
    paid = {"payment": "C1:indemnity", "executed_on": "2027-03-01", "bank_reference": "B1"}
    await world.say(later, "confirm_payment", actor="system:bank", **paid)

    async def stands(case: str, outcome: str | None) -> bool:
        return (await waiting(world, case)).get("no_repetition") == outcome

    await world.until(lambda: stands(earlier, "not_met"), "the earlier claim has looked again")
    assert await stands(another, None)
    back = {"payment": "C1:indemnity", "rejected_on": "2027-03-01", "reason": "AC04"}
    await world.say(later, "reject_payment", actor="system:bank", **back)
    await world.until(lambda: stands(earlier, None), "nothing is paid any more")


async def test_a_claimant_with_the_insureds_name_is_no_third_party(world: World) -> None:
    """1."""
    policy = await world.policy()
    case = await filed(world, policy=policy, claimants=[{"name": f"sia  JUMTU Meistari {policy}"}])
    row = (await findings(world, case))["third_party:C1"]
    assert (row.outcome, row.facts) == ("not_met", {"named_as": "insured"})


# ---- documents ------------------------------------------------------------------------------------------------------

SHA = "0" * 63 + "1"


async def rows_of_documents(world: World, case: str) -> list[DocumentRow]:
    async with world.sessions() as session:
        query = select(DocumentRow).where(DocumentRow.case == case)
        return sorted((await session.exec(query)).all(), key=lambda r: (r.step, r.n))


async def test_a_document_is_a_reference_and_its_story_is_kept(world: World) -> None:
    """9.1: filed, asked for with a reason, received, not needed after all."""
    await world.begin(MONDAY)
    came = [
        {
            "document": "proof_of_amount",
            "received_at": MONDAY.isoformat(),
            "reference": "dms/1",
            "file_name": "rēķins.pdf",
            "media_type": "application/pdf",
            "size": 48211,
            "sha256": SHA,
        }
    ]
    case = await world.file("claim", "BTA", content(await world.policy(), documents=came))
    await world.stage(case, "collecting")
    received: dict[str, Any] = {"received_at": MONDAY.isoformat(), "reference": "dms/2", "sha256": SHA, "size": 7}
    await world.say(case, "add_document", document="proof_of_entitlement", **received)
    await world.say(case, "waive_document", document="certificate_of_authority", reason="photos prove it")
    await world.stage(case, "deciding")
    story = [(r.step, r.document, r.event, r.reason, r.sha256, r.actor) for r in await rows_of_documents(world, case)]
    assert story == [
        (0, "proof_of_amount", "received", None, SHA, None),
        (2, "proof_of_entitlement", "received", None, SHA, "op-1"),
        (3, "certificate_of_authority", "waived", "photos prove it", None, "op-1"),
    ]
    shown = await reading.show_case(world.sessions, world.now(), case)
    assert [d.document for d in shown.documents] == [document for _, document, *_ in story]
    assert "rēķins" not in shown.model_dump_json(), "only if asked for"


async def test_a_document_that_is_none_is_a_fault_of_the_filing_and_refused_later(world: World) -> None:
    await world.begin(MONDAY)
    bad = {"document": "proof_of_amount", "sha256": "abc", "size": -1, "media_type": "pdf"}
    case = await world.file("claim", "BTA", content(await world.policy(), documents=[bad]))
    row = await world.stage(case, "collecting")
    of = [f for f in row.state["body"]["faults"] if f.startswith("content.documents.0.")]
    assert len(of) == 3
    received = {"received_at": MONDAY.isoformat(), "reference": "dms/2", "sha256": SHA.replace("1", "G")}
    with pytest.raises(Refused, match="sha256"):
        await world.say(case, "add_document", document="proof_of_amount", **received)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("lv", "Kāpēc tas vajadzīgs: the invoices do not add up"),
        ("lt", "Kodėl jo reikia: the invoices do not add up"),
        ("en", "Why we ask for it: the invoices do not add up"),
    ],
)
async def test_a_document_that_is_asked_for_later_is_asked_for_by_letter_with_the_reason(
    world: World, language: str, said: str
) -> None:
    """9.1.10: a named, reasoned request."""
    await world.begin(MONDAY)
    address = f"asked.{language}@example.lv"
    person = {"name": "Anna Bērziņa", "language": language, "email": address}
    case = await filed(world, claimants=[person])
    with pytest.raises(Refused, match="named: say what it is"):
        await world.say(case, "require_document", document="other", proves="amount", reason="sums")
    asked = {"document": "other", "named": "Kases čeki", "proves": "amount", "reason": "the invoices do not add up"}
    await world.say(case, "require_document", **asked)

    async def came() -> list[str]:
        return [text for text in await letters(world, case, address) if "Kases čeki" in text]

    [text] = await world.until(came, "the request")
    assert said in text
    assert "- Kases čeki" in text


async def test_a_request_that_could_not_be_sent_goes_out_once_there_is_an_address(world: World) -> None:
    case = await filed(world, claimants=[{"name": "Anna Bērziņa"}])
    asked = {"document": "medical_opinion", "proves": "fact", "reason": "how long the treatment lasted"}
    await world.say(case, "require_document", **asked)

    async def refused() -> bool:
        return any(n.refused for key, n in (await world.notices(case)).items() if key.startswith("asked:C1:"))

    await world.until(refused, "there is no address")
    await world.say(case, "assign_case", handler="op-7")
    await world.say(case, "correct_address", party="C1", email="anna.later@example.lv")

    async def came() -> list[str]:
        return [t for t in await letters(world, case, "anna.later@example.lv") if "Kāpēc tas vajadzīgs" in t]

    [text] = await world.until(came, "the request")
    assert "ārstniecības iestādes atzinums" in text
    assert "how long the treatment lasted" in text


async def test_while_documents_are_collected_one_more_holds_up_the_thirty_days(world: World) -> None:
    """10.5: they begin when all that was asked for has arrived."""
    await world.begin(MONDAY)
    came = documents(MONDAY, "proof_of_amount", "proof_of_entitlement")
    case = await world.file("claim", "BTA", content(await world.policy(), documents=came))
    await world.stage(case, "collecting")
    await world.say(case, "require_document", document="medical_opinion", proves="fact", reason="a bruise")
    await world.say(case, "waive_document", document="certificate_of_authority", reason="photos")
    row = await world.row(case)
    assert row is not None
    assert (row.stage, "medical opinion" in row.waits_for) == ("collecting", True)
    received = MONDAY.isoformat()
    await world.say(case, "add_document", document="medical_opinion", received_at=received, reference="dms/3")
    await world.stage(case, "deciding")


# ---- filing ---------------------------------------------------------------------------------------------------------


async def test_a_head_that_a_claimant_names_twice_is_claimed_together(world: World) -> None:
    """Two invoices for the same car: 700 and 500 are 1 200."""
    losses = [{"claimant": 1, "head": "property_damaged", "amount": amount} for amount in ("700.00", "500.00")]
    case = await filed(world, losses=losses)
    row = await world.row(case)
    assert row is not None
    assert row.state["body"]["heads"] == ["C1: property_damaged 1200.00 EUR claimed"]
    await world.covered(case)
    await world.say(case, "propose_decision", **proposal("1200.00"))
    row = await world.stage(case, "telling_and_paying")
    assert row.state["body"]["proposal"]["total"] == "1000.00"


async def test_what_a_filing_says_of_cover_and_cannot_be_is_a_fault_and_nothing_else(world: World) -> None:
    case = await filed(world, country="Latvija", first_made_to="broker", circumstance="UNKNOWN-1", known_before="maybe")
    row = await world.row(case)
    assert row is not None
    said = {fault.split(":")[0] for fault in row.state["body"]["faults"]}
    assert {f"content.{name}" for name in ("country", "first_made_to", "circumstance", "known_before")} <= said
    assert (await waiting(world, case))["territory"] == "open"


async def test_the_body_of_a_claim_stays_small(world: World) -> None:
    """A few bytes for each point that waits, none for the others."""
    case = await deciding(world)
    assert await waiting(world, case) == {}


# ---- assignments ----------------------------------------------------------------------------------------------------


async def test_nobody_is_paid_who_has_the_right_from_a_party_to_the_contract(world: World) -> None:
    """11.4: filed so, it is not met; a claimant of whom it is learnt later is raised by the code."""
    people = [
        {"name": "SIA Prasījumu Birojs", "email": "b@example.lv", "assigned_by": "insured"},
        {"name": "Jana Kļaviņa", "email": "j@example.lv", "iban": "LV97HABA0012345678910"},
    ]
    losses = [{"claimant": n, "head": "property_damaged", "amount": "500.00"} for n in (1, 2)]
    case = await filed(world, claimants=people, losses=losses)
    assert (await waiting(world, case))["own_right:C1"] == "not_met"
    await world.say(
        case,
        "judge_findings",
        findings=[{"code": f"third_party:{c}", "outcome": "met"} for c in ("C1", "C2")]
        + [{"code": code, "outcome": "met"} for code in ("activity", "liable", "direct_loss", "no_exclusion")],
    )
    both = [{"claimant": c, "head": "property_damaged", "proven": "500.00"} for c in ("C1", "C2")]
    with pytest.raises(Refused, match=r"own_right:C1 .* is not met"):
        await world.say(case, "propose_decision", outcome="pay", losses=both)
    rejected = {
        "claimant": "C1",
        "head": "property_damaged",
        "outcome": "reject",
        "code": "own_right",
        "text": "cesija",
    }
    await world.say(case, "propose_decision", outcome="pay_reduced", losses=both[1:], heads=[rejected])
    await world.payment(case, "C2:indemnity", "issued")
    row = await world.row(case)
    assert row is not None
    assert [p["key"] for p in row.state["body"]["payments"]] == ["C2:indemnity"]


async def test_an_assignment_that_is_learnt_later_bars_the_payment(world: World) -> None:
    case = await filed(world)
    await world.covered(case)
    await judge(world, case, "own_right:C1", "not_met", reason="the policyholder sold the claim")
    with pytest.raises(Refused, match="own_right:C1"):
        await world.say(case, "propose_decision", **proposal())
