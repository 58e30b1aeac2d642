"""Automatic decisions: what the rulebook decides by itself, and how a person reviews it (GJ lines 155-159)."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from models.automatic import BY_RULEBOOK, Frozen
from models.tables import DecisionRow, LimitRow, ReviewRow
from operations import story
from operations.reading import show_case
from tests.workflows.test_claim import ALL_DOCUMENTS, MONDAY, content, documents, paid_on, proposal
from tests.world import RIGA, Refused, World, text_of

REVIEW = "GJ-claims-review"


async def registered(world: World, amount: str = "600.00", **more: Any) -> str:
    """A claim that was registered online, with all its documents; 400 EUR are payable after the deductible."""
    await world.begin(MONDAY)
    policy = await world.policy(**more.pop("terms", {}))
    came = documents(MONDAY, *more.pop("came", ALL_DOCUMENTS))
    claim = content(policy, amount, documents=came, registered="online", **more)
    return await world.file("claim", "BTA", claim, received_at=MONDAY)


async def decided(world: World, **more: Any) -> str:
    """A claim that the rulebook decided, told, and whose order is with the bank."""
    case = await registered(world, **more)
    await world.stage(case, "deciding")
    await world.covered(case)
    await world.payment(case, "C1:indemnity", "issued")
    await world.until(lambda: _is(world, case, "BTA-10.5b", "C1", "kept"), "the claimant was told")
    return case


async def _is(world: World, case: str, duty: str, subject: str, status: str) -> bool:
    return (await world.clocks(case)).get((duty, subject)) == status


async def _automatic(world: World, case: str) -> dict[str, Any]:
    row = await world.row(case)
    assert row is not None
    return dict(row.state["body"]["automatic"])


async def _left(world: World, case: str) -> list[str]:
    """Why it was left to a person."""

    async def known() -> list[str]:
        found: list[str] = (await _automatic(world, case))["why"]
        return found

    why: list[str] = await world.until(known, "it is left to a person")
    assert "decided" not in await world.entries(case)
    return why


def asked(at: datetime = MONDAY, **more: Any) -> dict[str, Any]:
    """A request for a review."""
    return {"received_at": at.isoformat(), "reference": "dms/review", **more}


async def reviewing(world: World, at: datetime = MONDAY) -> str:
    """A decided claim whose claimant asked for a person."""
    case = await decided(world)
    await world.say(case, "request_review", actor="system:portal", **asked(at, view="Remonts maksāja vairāk."))
    return case


# ---- the decision ---------------------------------------------------------------------------------------------------


async def test_a_small_covered_claim_is_decided_by_the_rulebook(world: World) -> None:
    """Once the handler has judged the last point of cover nobody says anything more; by whom and from what is kept."""
    case = await decided(world)
    assert (await world.entries(case))[:3] == ["received", "findings_judged", "decided"]
    entry = next(t for t in await world.timeline(case) if t.entry == "decided")
    assert entry.actor is None
    assert (entry.facts["proposed_by"], entry.facts["total"]) == (BY_RULEBOOK, "400.00")
    assert await world.clocks(case) == {
        ("BTA-10.5a", ""): "kept",
        ("BTA-10.5b", "C1"): "kept",
        ("BTA-10.5b", "insured"): "kept",
        ("BTA-10.5c", "C1"): "running",
        ("T-reserve-review", ""): "void",
    }
    async with world.sessions() as session:
        row = await session.get_one(DecisionRow, (case, 1))
        limit = await session.get_one(LimitRow, case)
    assert (row.by, row.rulebook) == (BY_RULEBOOK, entry.facts["rulebook"])
    frozen = Frozen.model_validate(row.frozen)
    assert str(frozen.facts.payable) == "400.00"
    assert set(frozen.judged.values()) == {"op-1"}
    assert [d["document"] for d in frozen.documents] == list(ALL_DOCUMENTS)
    assert frozen.settlement["losses"][0]["claimed"] == "600.00"
    assert str(limit.taken) == "400.00"


async def test_its_letter_says_so_and_how_to_ask_for_a_person(world: World) -> None:
    """The claimant is told that it was automatic; the insured gets the ordinary letter."""
    case = await decided(world)
    letters = await world.notices(case)
    assert letters["BTA-10.5b:C1:1"].template == "BTA-10.5b-automatic"
    assert letters["BTA-10.5b:insured:1"].template == "BTA-10.5b-insured"
    reference = case.split(":")[2]
    texts = [text_of(m) for m in world.mails("anna.berzina@example.lv") if reference in str(m["Subject"])]
    assert any("pieņemts automātiski" in text and "400,00" in text for text in texts)


async def test_a_claim_that_a_person_wrote_down_is_decided_by_a_person(world: World) -> None:
    await world.begin(MONDAY)
    claim = content(await world.policy(), "600.00", documents=documents(MONDAY))
    case = await world.file("claim", "BTA", claim, received_at=MONDAY)
    await world.stage(case, "deciding")
    await world.covered(case)
    row = await world.stage(case, "deciding")
    assert row.state["body"]["automatic"] is None
    assert row.waits_for == "the handler's decision"
    with pytest.raises(Refused, match="decides nothing of this claim by itself"):
        await world.say(case, "decide_by_person", reason="to be sure")


async def test_the_last_document_can_be_what_it_waits_for(world: World) -> None:
    """The findings were judged before; all that is missing then is a document."""
    case = await registered(world, came=ALL_DOCUMENTS[:2])
    await world.stage(case, "collecting")
    await world.covered(case)
    received = MONDAY.isoformat()
    await world.say(case, "add_document", document=ALL_DOCUMENTS[2], received_at=received, reference="dms/3")
    await world.payment(case, "C1:indemnity", "issued")


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"amount": "700.01"}, "amount: 500.01 EUR, and 500.00 EUR is the most"),
        ({"amount": "200.00"}, "amount: nothing would be paid"),
        ({"losses": [{"claimant": 1, "head": "treatment", "amount": "600.00"}]}, "losses: treatment"),
        ({"terms": {"limit_per_occurrence": "100.00"}}, "settlement: less is paid by clause 5.4"),
        ({"place": 7}, "faults: what was filed has faults"),
    ],
    ids=["above the most", "nothing left", "another head", "the limit is too small", "a fault"],
)
async def test_what_the_rulebook_may_not_decide_is_left_to_the_handler(
    world: World, more: dict[str, Any], named: str
) -> None:
    """Nothing is decided, told or paid; the case says why, and the handler decides as always."""
    came = ("medical_opinion", *ALL_DOCUMENTS) if "losses" in more else ALL_DOCUMENTS
    case = await registered(world, came=came, **more)
    await world.stage(case, "deciding")
    await world.covered(case)
    assert any(reason.startswith(named) for reason in await _left(world, case))
    assert named in await world.details(case)


async def test_a_waived_document_leaves_it_to_a_person(world: World) -> None:
    """That the case is proven without it is a person's judgment."""
    case = await registered(world, came=ALL_DOCUMENTS[:2])
    await world.stage(case, "collecting")
    await world.covered(case)
    await world.say(case, "waive_document", document=ALL_DOCUMENTS[2], reason="photos prove it")
    assert await _left(world, case) == [f"documents: {ALL_DOCUMENTS[2]} is waived"]
    await world.say(case, "propose_decision", **proposal("600.00"))
    await world.stage(case, "telling_and_paying")
    with pytest.raises(Refused, match="no decision on this claim was made automatically"):
        await world.say(case, "request_review", **asked())


async def test_an_account_that_money_cannot_reach_leaves_it_to_a_person(world: World) -> None:
    claimant = {"name": "Anna Bērziņa", "email": "anna.berzina@example.lv", "language": "lv"}
    case = await registered(world, claimants=[claimant])
    await world.stage(case, "deciding")
    await world.covered(case)
    assert await _left(world, case) == ["payee: no account is known that money can reach"]


async def test_a_person_can_take_it_over_before(world: World) -> None:
    """Who wants no automatic decision gets none; said twice it is refused."""
    case = await registered(world)
    await world.stage(case, "deciding")
    await world.say(case, "decide_by_person", reason="the claimant wants none")
    await world.covered(case)
    assert await _left(world, case) == ["decide_by_person"]
    with pytest.raises(Refused, match="decides nothing of this claim by itself"):
        await world.say(case, "decide_by_person", reason="again")
    await world.say(case, "propose_decision", **proposal("600.00"))
    await world.stage(case, "telling_and_paying")


# ---- the review -----------------------------------------------------------------------------------------------------


async def test_a_review_that_upholds_is_told_with_its_reason(world: World) -> None:
    """The month runs from the receipt to the letter; payment goes on beside it, and the claim rests only afterwards."""
    case = await reviewing(world)
    clock = await world.clock(case, REVIEW, "C1")
    assert (clock.status, clock.last_day.isoformat()) == ("running", "2027-04-01")
    row = await world.row(case)
    assert row is not None
    assert "a person who took no part" in row.waits_for
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    await world.stage(case, "telling_and_paying")
    await world.say(case, "review_decision", actor="op-2", outcome="uphold", reason="Rēķins pierāda šo summu.")
    await world.stage(case, "resting")
    assert (await world.clock(case, REVIEW, "C1")).status == "kept"
    reference = case.split(":")[2]
    texts = [text_of(m) for m in world.mails("anna.berzina@example.lv") if reference in str(m["Subject"])]
    assert any("lēmums paliek negrozīts" in text and "Rēķins pierāda šo summu." in text for text in texts)
    async with world.sessions() as session:
        kept = await session.get_one(ReviewRow, (case, 1))
    assert (kept.view, kept.outcome, kept.reviewed_by) == ("Remonts maksāja vairāk.", "uphold", "op-2")


async def test_nobody_who_took_part_reviews(world: World) -> None:
    """Who said something to the claim before, and who was to handle it; who only assigned it did not."""
    await world.begin(MONDAY)
    case = await registered(world)
    await world.stage(case, "deciding")
    await world.say(case, "assign_case", actor="op-4", handler="op-3")
    await world.covered(case)
    await world.payment(case, "C1:indemnity", "issued")
    await world.say(case, "request_review", actor="system:portal", **asked())
    for operator in ("op-1", "op-3"):
        with pytest.raises(Refused, match=f"{operator} took part"):
            await world.say(case, "review_decision", actor=operator, outcome="uphold", reason="it is right")
    with pytest.raises(Refused, match="only an operator approves"):
        await world.say(case, "review_decision", actor="system:crm", outcome="uphold", reason="it is right")
    assert "not op-1, op-3, who took part" in await world.details(case)
    await world.say(case, "review_decision", actor="op-4", outcome="uphold", reason="it is right")


async def test_a_review_can_lead_to_a_decision_by_a_person(world: World) -> None:
    """The reviewer decides, nobody who took part; the answer goes out with the new decision, which adds what was too
    little."""
    case = await reviewing(world)
    await world.say(case, "review_decision", actor="op-2", outcome="anew", reason="the deductible was agreed away")
    await world.stage(case, "deciding")
    assert await _is(world, case, REVIEW, "C1", "running")
    with pytest.raises(Refused, match="op-1 took part"):
        await world.say(case, "propose_decision", actor="op-1", **proposal("600.00"))
    with pytest.raises(Refused, match="propose_decision comes next"):
        await world.say(case, "review_decision", actor="op-2", outcome="uphold", reason="after all")
    await world.say(case, "propose_decision", actor="op-2", **proposal("600.00"))
    await world.until(lambda: _is(world, case, REVIEW, "C1", "kept"), "the claimant was answered")
    assert await _is(world, case, "BTA-10.5b", "C1.2", "kept")
    assert (await _automatic(world, case))["state"] == "reviewed"
    with pytest.raises(Refused, match="decided anew already"):
        await world.say(case, "request_review", **asked())


async def test_a_review_is_asked_for_at_any_time_also_of_a_closed_claim(world: World) -> None:
    """GJ-claims-review: at any time (product)."""
    case = await decided(world)
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    await world.stage(case, "resting")
    await world.advance(case, MONDAY + timedelta(days=9))
    await world.stage(case, "closed")
    later = datetime(2027, 6, 1, 10, 0, tzinfo=RIGA)
    await world.begin(later)
    # the case's own time begins a moment before the store's
    message = {"actor": "system:portal", **asked(later - timedelta(minutes=1))}
    delivered = await world.intake.submit_event(case, "review-1", "request_review", message)
    assert delivered.refused == ()
    assert (await world.clock(case, REVIEW, "C1")).status == "running"
    await world.say(case, "review_decision", actor="op-2", outcome="uphold", reason="it is right")
    await world.stage(case, "resting")


@pytest.mark.parametrize(
    ("name", "message", "fault"),
    [
        ("request_review", asked(MONDAY + timedelta(hours=1)), "lies in the future"),
        ("request_review", asked(MONDAY - timedelta(days=2)), "lies before the decision"),
        ("review_decision", {"outcome": "uphold", "reason": "x"}, "none is under way"),
    ],
)
async def test_what_cannot_be_is_refused(world: World, name: str, message: dict[str, Any], fault: str) -> None:
    case = await decided(world)
    before = await world.entries(case)
    with pytest.raises(Refused, match=fault):
        await world.say(case, name, actor="op-2", **message)
    assert await world.entries(case) == before


async def test_one_review_at_a_time_and_one_after_the_other(world: World) -> None:
    case = await reviewing(world)
    with pytest.raises(Refused, match="one is under way"):
        await world.say(case, "request_review", **asked())
    await world.say(case, "review_decision", actor="op-2", outcome="uphold", reason="it is right")
    await world.until(lambda: _is(world, case, REVIEW, "C1", "kept"), "the claimant was answered")
    await world.say(case, "request_review", **asked())
    assert await _is(world, case, REVIEW, "C1.2", "running")


async def test_an_answer_that_came_back_is_owed_again(world: World) -> None:
    """The same clock runs on, and another address gets the same letter."""
    case = await reviewing(world)
    await world.say(case, "review_decision", actor="op-2", outcome="uphold", reason="it is right")
    await world.until(lambda: _is(world, case, REVIEW, "C1", "kept"), "the claimant was answered")
    bounced = {"notice": f"{REVIEW}:C1:1", "bounced_at": MONDAY.isoformat()}
    await world.say(case, "report_bounce", actor="system:mail", **bounced)
    assert await _is(world, case, REVIEW, "C1", "running")
    await world.say(case, "correct_address", party="C1", email="anna.jauna@example.lv")
    await world.until(lambda: _is(world, case, REVIEW, "C1", "kept"), "answered at the other address")


async def test_a_review_that_is_not_answered_is_overdue_and_then_late(world: World) -> None:
    """A month from the receipt, to the next working day: the last second before, and the first after."""
    case = await reviewing(world)
    due = (await world.clock(case, REVIEW, "C1")).due
    await world.advance(case, due)
    await world.until(lambda: _is(world, case, REVIEW, "C1", "overdue"), "it is overdue")
    await world.say(case, "review_decision", actor="op-2", outcome="uphold", reason="it is right")
    await world.until(lambda: _is(world, case, REVIEW, "C1", "late"), "it is late")


async def test_whoever_reviews_sees_what_it_was_made_from(world: World) -> None:
    """As it was then, also after the policy changed; where documents are kept, and what people wrote, only if asked."""
    case = await reviewing(world)
    shown = await show_case(world.sessions, world.now(), case)
    assert shown.automatic is not None
    lines = dict(shown.automatic.lines)
    assert lines["facts.findings.liable"] == "met"
    assert lines["judged.liable"] == "op-1"
    assert lines["automation.up_to"] == "500.00"
    assert (lines["settlement.losses.0.claimed"], lines["facts.payable"]) == ("600.00", "400.00")
    assert lines["settlement.policy.deductible.value"] == "200.00"
    assert "documents.0.reference" not in lines
    assert [(r.outcome, r.view) for r in shown.reviews] == [(None, None)]
    whole = await show_case(world.sessions, world.now(), case, personal=True)
    assert whole.automatic is not None
    assert dict(whole.automatic.lines)["documents.0.reference"] == f"dms/{ALL_DOCUMENTS[0]}"
    assert [r.view for r in whole.reviews] == ["Remonts maksāja vairāk."]
    page = story.page(await story.tell(world.sessions, world.now(), case), "markdown")
    assert "made by system:rulebook" in page
    assert "Reviews by a person" in page
    assert "Remonts" not in page


async def test_a_court_beside_a_review_is_waited_for_only_by_a_new_decision(world: World) -> None:
    """The decision can be upheld while a court hears the claim; deciding anew waits for the court (9.1.3)."""
    case = await decided(world)
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    await world.stage(case, "resting")
    await world.say(case, "report_suit", filed_at=MONDAY.isoformat(), reference="dms/suit")
    await world.stage(case, "in_court")
    await world.say(case, "request_review", **asked())
    row = await world.stage(case, "in_court")
    assert "the court" in row.waits_for
    with pytest.raises(Refused, match="a court hears the claim"):
        await world.say(case, "review_decision", actor="op-2", outcome="anew", reason="more was proven")
    await world.say(case, "review_decision", actor="op-2", outcome="uphold", reason="it is right")
    await world.until(lambda: _is(world, case, REVIEW, "C1", "kept"), "the claimant was answered")
    await world.stage(case, "in_court")
    await world.say(case, "report_suit_end", ended_at=MONDAY.isoformat(), reference="dms/end")
    await world.stage(case, "resting")


async def test_a_review_beside_a_later_decision_is_still_answered(world: World) -> None:
    """New evidence is decided by whoever handles it, in its own 30 days; the review stays open until it is answered."""
    case = await decided(world)
    await world.say(case, "confirm_payment", actor="system:bank", **paid_on("2027-03-01"))
    await world.stage(case, "resting")
    evidence = {"reason": "new_evidence", "received_at": MONDAY.isoformat(), "text": "another invoice"}
    await world.say(case, "reopen_claim", **evidence)
    await world.say(case, "request_review", **asked())
    await world.stage(case, "deciding")
    await world.say(case, "propose_decision", actor="op-1", **proposal("600.00"))
    await world.until(lambda: _is(world, case, "BTA-10.5b", "C1.2", "kept"), "the later decision was told")
    await world.stage(case, "telling_and_paying")
    assert await _is(world, case, REVIEW, "C1", "running")
    await world.say(case, "review_decision", actor="op-2", outcome="uphold", reason="it is right")
    await world.stage(case, "resting")


async def test_of_two_at_once_only_what_the_limit_leaves_is_decided(world: World) -> None:
    """9.6: the first takes; for the other the limit is not free, so a person decides it. Never more than the limit."""
    await world.begin(MONDAY)
    policy = await world.policy(limit_aggregate="500.00")
    cases = []
    for n in range(2):
        claim = content(policy, "600.00", documents=documents(MONDAY), registered="online")
        at = MONDAY - timedelta(hours=2 - n)
        cases.append(await world.file("claim", "BTA", claim, received_at=at))
        await world.stage(cases[-1], "deciding")
    await asyncio.gather(*(world.covered(case) for case in cases))
    await world.payment(cases[0], "C1:indemnity", "issued")
    why = await _left(world, cases[1])
    assert why[0].startswith("settlement: less is paid by clause")


async def test_what_is_decided_at_once_on_one_occurrence_bears_its_deductible_once(world: World) -> None:
    """9.5: the one filed first bears it. Whoever was worked out before that was decided leaves it to a person, and
    whoever comes to the lock of the policy after it is worked out anew."""
    await world.begin(MONDAY)
    policy, cases = await world.policy(), []
    for n in range(4):
        claim = content(policy, "300.00", documents=documents(MONDAY), registered="online", occurrence="roof-7")
        cases.append(await world.file("claim", "BTA", claim, received_at=MONDAY - timedelta(hours=4 - n)))
        await world.stage(cases[-1], "deciding")
    for case in cases:
        await world.settled(case)
    await asyncio.gather(*(world.covered(case) for case in cases))
    await world.payment(cases[0], "C1:indemnity", "issued")

    async def ended(case: str) -> bool:
        return "decided" in await world.entries(case) or bool((await _automatic(world, case))["why"])

    for case in cases[1:]:
        await world.until(partial(ended, case), "it is decided, or left to a person")
    async with world.sessions() as session:
        first, *others = [await session.get_one(LimitRow, case) for case in cases]
    assert [first.taken, first.deductible] == [100, 200]
    assert all(row.taken in (0, 300) and row.deductible == 0 for row in others)
