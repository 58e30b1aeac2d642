"""Instalments with dependants: a written agreement, a payment on each day, a right that ends (9.2.3, 9.2.4).

A student's father died; the decision gives 6 000 EUR for the death and leaves it to an agreement.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlmodel import col, select

from models.case import Recorded, Said, Transition
from models.tables import AgreementRow, DecisionPartRow, InstalmentRow, PaymentOrderRow
from operations.reading import show_case
from operations.story import page, tell
from tests.workflows.test_claim import MONDAY, content, documents, paid_on
from tests.workflows.test_limits import body, claim, row, supplemented, tight
from tests.world import RIGA, Refused, World, text_of

DAYS = ("2027-04-01", "2027-05-03", "2027-06-01")
SECOND = timedelta(seconds=1)
PAPERS = (
    "proof_of_entitlement",
    "proof_of_amount",
    "certificate_of_authority",
    "medical_opinion",
    "death_certificate",
    "hospital_extract",
    "proof_of_funeral",
)


def midnight(day: str) -> datetime:
    """The first instant of a day in Riga."""
    return datetime.fromisoformat(f"{day}T00:00:00").replace(tzinfo=RIGA)


async def bereaved(world: World, policy: str, amount: str = "6000.00", **more: Any) -> str:
    """A claim for a death, with all its documents."""
    losses = [{"claimant": 1, "head": "death", "amount": amount}]
    filing = content(policy, losses=losses, documents=documents(MONDAY, *PAPERS), **more)
    case = await world.file("claim", "BTA", filing, received_at=MONDAY)
    await world.stage(case, "deciding")
    await world.covered(case)
    return case


def given(proven: str = "6000.00", **more: Any) -> dict[str, Any]:
    """A decision that leaves a death to an agreement."""
    losses = [{"claimant": "C1", "head": "death", "proven": proven}]
    return {"outcome": "pay", "losses": losses, "by_agreement": ["C1"], **more}


def agreed(*amounts: str, **more: Any) -> dict[str, Any]:
    """An agreement on instalments on `DAYS`; the right ends on 15 May."""
    amounts = amounts or ("2000.00", "2000.00", "2000.00")
    return {
        "claimant": "C1",
        "head": "death",
        "agreed_at": MONDAY.isoformat(),
        "reference": "dms/agreement",
        "duty_to_report": True,
        "schedule": [{"due_on": day, "amount": amount} for day, amount in zip(DAYS, amounts, strict=False)],
        "right_ends": ["2027-05-15"],
        **more,
    }


async def decided(world: World, policy: str | None = None, **more: Any) -> str:
    """A claim for a death that was decided and waits for the agreement."""
    case = await bereaved(world, policy or await tight(world, "50000.00"))
    await world.say(case, "propose_decision", **given(**more))
    await world.stage(case, "paying_instalments")
    return case


async def running(world: World, policy: str | None = None, **more: Any) -> str:
    """A claim whose agreement was reported."""
    case = await decided(world, policy)
    await world.say(case, "agree_instalments", **agreed(**more))
    return case


async def confirmed(world: World, case: str, payment: str, day: str) -> None:
    """The bank executed it on this day."""
    await world.payment(case, payment, "issued")
    message = {**paid_on(day), "payment": payment}
    await world.say(case, "confirm_payment", actor="system:bank", **message)


async def orders(world: World, case: str) -> dict[str, str]:
    """The payment orders of a case: key → amount."""
    async with world.sessions() as session:
        rows = (await session.exec(select(PaymentOrderRow).where(PaymentOrderRow.case == case))).all()
    return {r.key: str(r.amount) for r in rows}


async def plan(world: World, case: str) -> list[tuple[str | None, bool]]:
    """Each instalment: the key of its payment, and whether it was cancelled."""
    async with world.sessions() as session:
        query = select(InstalmentRow).where(InstalmentRow.case == case).order_by(col(InstalmentRow.n))
        rows = (await session.exec(query)).all()
    return [(r.payment, r.cancelled_at is not None) for r in rows]


async def status(world: World, case: str, duty: str, subject: str) -> str | None:
    """The state of a clock."""
    return (await world.clocks(case)).get((duty, subject))


# ---- the main path --------------------------------------------------------------------------------------------------


async def test_what_is_left_to_an_agreement_is_not_ordered_and_its_15_days_run_until_there_is_one(world: World) -> None:
    """10.5c runs for the death alone; the agreement ends it without a judgment and starts its own first day."""
    case = await decided(world)
    assert await orders(world, case) == {}
    assert await status(world, case, "BTA-10.5c", "C1.death") == "running"
    found = await world.row(case)
    assert found is not None
    assert "the written agreement with C1 on 6000.00 EUR (9.2.4)" in found.waits_for
    subject = f"Lēmums par apdrošināšanas atlīdzību, atsauce {case.split(':')[2]}"
    [mail] = [m for m in world.mails("anna.berzina@example.lv") if m["Subject"] == subject]
    letter = mail.get_body(preferencelist=("plain",))
    assert letter is not None
    words = letter.get_content().replace("\N{NO-BREAK SPACE}", " ")
    assert "6 000,00 EUR no šīs summas izmaksājam kārtībā, ko nosaka" in words
    assert "Izmaksas pēdējā diena" not in words
    await world.say(case, "agree_instalments", **agreed())
    clock = await world.clock(case, "BTA-10.5c", "C1.death")
    assert (clock.status, clock.reason) == ("void", "paid in instalments by the agreement")
    assert await status(world, case, "T-instalment-order", "C1.death") == "running"
    review = await world.clock(case, "T-instalment-review", "C1.death")
    assert (review.status, review.last_day.isoformat()) == ("running", "2027-05-15")
    async with world.sessions() as session:
        [agreement] = (await session.exec(select(AgreementRow).where(AgreementRow.case == case))).all()
    assert agreement.reference == "dms/agreement"
    assert await plan(world, case) == [(None, False)] * 3


async def test_an_instalment_is_ordered_from_the_first_instant_of_its_day_and_not_before(world: World) -> None:
    """Last second of 31 March: nothing. First of 1 April: ordered under its own key, due that day, then kept."""
    case = await running(world)
    await world.advance(case, midnight("2027-04-01") - SECOND)
    assert await orders(world, case) == {}
    await world.advance(case, midnight("2027-04-01"))
    await confirmed(world, case, "C1:death.1", "2027-04-01")
    assert await orders(world, case) == {"C1:death.1": "2000.00"}
    clock = await world.clock(case, "T-instalment", "C1.death.i1")
    assert (clock.status, clock.last_day.isoformat()) == ("kept", "2027-04-01")
    found = await world.stage(case, "paying_instalments")
    assert "2027-05-03, the day of C1:death.2" in found.waits_for


async def test_an_instalment_paid_on_the_next_day_is_late(world: World) -> None:
    case = await running(world)
    await world.advance(case, midnight("2027-04-02"))
    await world.until(lambda: _is(world, case, "T-instalment", "C1.death.i1", "overdue"), "overdue")
    await confirmed(world, case, "C1:death.1", "2027-04-02")
    assert await status(world, case, "T-instalment", "C1.death.i1") == "late"


async def test_an_instalment_of_a_day_off_is_late_only_after_the_next_working_day(world: World) -> None:
    """Agreed for Saturday 27 March; Sunday and Monday are Easter: booked on Tuesday 30 March, so kept."""
    schedule = [{"due_on": "2027-03-27", "amount": "6000.00"}]
    case = await running(world, schedule=schedule, right_ends=[])
    await world.advance(case, midnight("2027-03-30"))
    await confirmed(world, case, "C1:death.1", "2027-03-30")
    clock = await world.clock(case, "T-instalment", "C1.death.i1")
    assert (clock.status, clock.last_day.isoformat(), clock.latest_day.isoformat()) == (
        "kept",
        "2027-03-27",
        "2027-03-30",
    )


async def _is(world: World, case: str, duty: str, subject: str, wanted: str) -> bool:
    return await status(world, case, duty, subject) == wanted


async def test_with_the_last_instalment_paid_the_claim_rests_and_closes(world: World) -> None:
    case = await running(world, right_ends=[])
    for n, day in enumerate(DAYS, 1):
        await world.advance(case, midnight(day))
        assert (await world.row(case)).stage == "paying_instalments"  # type: ignore[union-attr]  # the case has a row
        await confirmed(world, case, f"C1:death.{n}", day)
    await world.stage(case, "resting")
    after = await body(world, case)
    # what was paid long ago has left the body; a recovery still counts it
    assert ([p["key"] for p in after["payments"]], after["settled"]) == (
        ["C1:death.2", "C1:death.3"],
        {"C1": "2000.00"},
    )
    await world.advance(case, midnight("2027-06-10"))
    assert (await world.stage(case, "closed")).outcome == "paid"


async def test_a_rejected_instalment_is_owed_by_the_same_day_beside_the_next_one(world: World) -> None:
    """The bank rejects the first; the second comes due meanwhile; a new account sends the first once more."""
    case = await running(world)
    await world.advance(case, midnight("2027-04-01"))
    await world.payment(case, "C1:death.1", "issued")
    rejected = {"payment": "C1:death.1", "reason": "AC04", "rejected_on": "2027-04-01"}
    await world.say(case, "reject_payment", actor="system:bank", **rejected)
    await world.advance(case, midnight("2027-05-03"))
    await world.payment(case, "C1:death.2", "issued")
    await world.say(case, "correct_payee", claimant="C1", iban="LV80BANK0000435195001")
    await confirmed(world, case, "C1:death.1:2", "2027-05-03")
    assert await status(world, case, "T-instalment", "C1.death.i1") == "late"
    assert await status(world, case, "T-instalment", "C1.death.i2") == "running"


async def test_the_day_of_an_agreement_that_is_gone_orders_nothing_and_wedges_no_claim(world: World) -> None:
    """The record holds the clock and no agreement any more: the day is written down, and the claim goes on."""
    case = await running(world)
    found = await world.row(case)
    assert found is not None
    gone = Transition(
        case=case,
        step=found.step + 1,
        at=world.now(),
        stage=found.stage,
        entry="assigned",
        facts={"handler": "op-7"},
        said=Said(id="gone-1", name="assign_case", actor="op-1"),
        body={**found.state["body"], "agreements": []},
        waits_for=found.waits_for,
    )
    await world.case_activities.record(gone)
    await world.say(case, "assign_case", handler="op-8")
    await world.advance(case, midnight("2027-04-01"))

    async def noted() -> bool:
        return (await world.timeline(case))[-1].entry == "due"

    await world.until(noted, "the day is written down")
    assert (await world.timeline(case))[-1].duty == "T-instalment-order"
    assert await orders(world, case) == {}
    told = await world.say(case, "assign_case", handler="op-9")
    assert told["entry"] == "assigned"


# ---- the right ------------------------------------------------------------------------------------------------------


async def test_no_instalment_after_an_unanswered_end_of_the_right_goes_out(world: World) -> None:
    """The right ends on 15 May and nobody answers: the review is overdue, and nothing is ordered on 1 June."""
    case = await running(world)
    await world.advance(case, midnight("2027-05-16") - SECOND)
    assert await status(world, case, "T-instalment-review", "C1.death") == "running"
    await world.advance(case, midnight("2027-05-16"))
    await world.until(lambda: _is(world, case, "T-instalment-review", "C1.death", "overdue"), "the review is overdue")
    await world.advance(case, midnight("2027-06-02"))
    assert sorted(await orders(world, case)) == ["C1:death.1", "C1:death.2"]
    found = await world.row(case)
    assert found is not None
    assert "whether C1 has a right after 2027-05-15" in found.waits_for


async def test_a_right_that_lasts_frees_the_instalments_up_to_its_next_end(world: World) -> None:
    """Answered in time: kept. The third instalment has a day again, and the next end date a clock."""
    case = await running(world, right_ends=["2027-04-15", "2027-05-15"])
    right = {"claimant": "C1", "head": "death", "outcome": "lasts", "reason": "a certificate of the university"}
    await world.advance(case, midnight("2027-04-10"))
    await world.say(case, "confirm_right", **right)
    review = await world.clock(case, "T-instalment-review", "C1.death", n=1)
    assert review.status == "kept"
    assert (await world.clock(case, "T-instalment-review", "C1.death")).last_day.isoformat() == "2027-05-15"
    await world.say(case, "confirm_right", **right, until="2030-08-31")
    assert await status(world, case, "T-instalment-review", "C1.death") == "kept"
    await world.advance(case, midnight("2027-06-01"))
    await world.payment(case, "C1:death.3", "issued")


async def test_an_answer_after_the_agreed_day_starts_the_term_of_the_instalment(world: World) -> None:
    """Nobody answered until 10 June, so the instalment of 1 June could not be paid before: it is due on 10 June."""
    case = await running(world)
    await world.advance(case, midnight("2027-06-10"))
    right = {"claimant": "C1", "head": "death", "outcome": "lasts", "reason": "a certificate", "until": "2028-01-01"}
    await world.say(case, "confirm_right", **right)
    await world.payment(case, "C1:death.3", "issued")
    assert await status(world, case, "T-instalment-review", "C1.death") == "late"
    clock = await world.clock(case, "T-instalment", "C1.death.i3")
    assert (clock.status, clock.last_day.isoformat()) == ("running", "2027-06-10")


async def test_an_end_that_is_reported_cancels_what_falls_after_it_tells_both_and_gives_the_limit_back(
    world: World,
) -> None:
    """The studies ended on 10 April: the first instalment stays, 4 000 are cancelled, taken again by nobody."""
    case = await running(world)
    await world.advance(case, midnight("2027-04-12"))
    await confirmed(world, case, "C1:death.1", "2027-04-01")
    ended = {"claimant": "C1", "head": "death", "outcome": "ended", "ended_on": "2027-04-10"}
    await world.say(case, "confirm_right", **ended, reason="mācības ir beigušās")
    await world.stage(case, "resting")
    assert await plan(world, case) == [("C1:death.1", False), (None, True), (None, True)]
    clocks = await world.clocks(case)
    assert (clocks["T-instalment-review", "C1.death"], clocks["T-instalment-order", "C1.death"]) == ("kept", "void")
    found = await row(world, case)
    assert (str(found.taken), str(found.paid)) == ("2000.00", "2000.00")
    async with world.sessions() as session:
        [part] = (await session.exec(select(DecisionPartRow).where(DecisionPartRow.case == case))).all()
    assert (part.payable, part.taken) == (Decimal("6000.00"), Decimal("2000.00"))
    letters = [n for n in (await world.notices(case)).values() if n.template == "claim-instalments-ended"]
    assert sorted(n.party for n in letters if n.sent_at) == ["C1", "insured"]
    [mail] = [m for m in world.mails("anna.berzina@example.lv") if "Maksājumu izbeigšana" in str(m["Subject"])]
    assert "mācības ir beigušās" in text_of(mail)
    assert "2027. gada 10. aprīl" in text_of(mail)
    await world.advance(case, midnight("2027-06-02"))
    assert sorted(await orders(world, case)) == ["C1:death.1"]


async def test_the_letter_that_ends_instalments_comes_back_and_goes_to_another_address(world: World) -> None:
    """As a decision's letter: the claim does not rest before the claimant was told, also if it had come to rest."""
    case = await running(world)
    ended = {"claimant": "C1", "head": "death", "outcome": "ended", "ended_on": "2027-03-20", "reason": "able to work"}
    await world.say(case, "confirm_right", **ended)
    await world.stage(case, "resting")
    first = "right_ended:C1.C1.death.2027-03-20:1"
    bounced = {"actor": "system:mail", "bounced_at": MONDAY.isoformat()}
    with pytest.raises(Refused, match=r"no such letter was sent; sent: .*right_ended:insured"):
        await world.say(case, "report_bounce", notice="right_ended:C1.C1.death.2027-03-21:1", **bounced)
    await world.say(case, "report_bounce", notice=first, **bounced)
    waiting = await world.stage(case, "telling_and_paying")
    assert waiting.waits_for == f"an address: {first}"
    assert await status(world, case, "T-rest", "") == "void"
    await world.say(case, "correct_address", party="C1", email="anna.new@example.lv")
    await world.stage(case, "resting")
    again = first.removesuffix("1") + "2"
    letters = (await body(world, case))["notices"]
    assert (letters[again], first in letters) == ("sent", False)
    [mail] = [m for m in world.mails("anna.new@example.lv") if "Maksājumu izbeigšana" in str(m["Subject"])]
    assert "able to work" in text_of(mail)


async def test_what_an_ended_right_releases_is_decided_for_whoever_waits_for_the_limit(world: World) -> None:
    """9.6: limit 1 500. The death takes 1 000, an earlier claim holds 300: the last gets 200, and 300 more when 600
    are released."""
    policy = await tight(world)
    earlier = await claim(world, policy, "300.00")
    case = await bereaved(world, policy, "1000.00")
    last = await claim(world, policy, "500.00")
    await world.say(case, "propose_decision", **given("1000.00"))
    await world.say(case, "agree_instalments", **agreed("400.00", "300.00", "300.00"))
    losses = [{"claimant": "C1", "head": "property_damaged", "proven": "500.00"}]
    await world.say(last, "propose_decision", outcome="pay", losses=losses)
    assert (await body(world, last))["withheld"] == "300.00"
    ended = {"claimant": "C1", "head": "death", "outcome": "ended", "ended_on": "2027-04-10", "reason": "able to work"}
    await world.say(case, "confirm_right", **ended)
    after = await supplemented(world, last)
    assert (after["withheld"], [p["amount"] for p in after["payments"]]) == ("0.00", ["200.00", "300.00"])
    assert (await world.row(earlier)).stage == "deciding"  # type: ignore[union-attr]  # the case has a row


async def test_without_an_agreement_it_is_paid_whole_within_the_15_working_days(world: World) -> None:
    case = await decided(world)
    await world.say(case, "pay_whole", claimant="C1", head="death", reason="the dependant wants one payment")
    await confirmed(world, case, "C1:death", "2027-03-01")
    await world.stage(case, "resting")
    assert await status(world, case, "BTA-10.5c", "C1.death") == "kept"


async def test_a_death_that_is_not_left_to_an_agreement_is_paid_as_everything_else(world: World) -> None:
    case = await bereaved(world, await tight(world, "50000.00"))
    await world.say(case, "propose_decision", **given(by_agreement=[]))
    await confirmed(world, case, "C1:indemnity", "2027-03-01")
    await world.stage(case, "resting")
    assert (await body(world, case))["agreements"] == []


# ---- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "faults"),
    [
        (
            {
                "schedule": [
                    {"due_on": "2027-05-03", "amount": "0.00"},
                    {"due_on": "2027-02-01", "amount": "1000.00"},
                ],
                "right_ends": ["2031-01-01", "2030-01-01"],
                "agreed_at": "2027-03-02T10:00:00+02:00",
                "duty_to_report": False,
            },
            [
                "duty_to_report: an agreement with a dependant must",
                "agreed_at: lies in the future",
                "schedule: the days must follow each other",
                "schedule.0.amount: nothing",
                "adds up to 1000.00 EUR; 6000.00 EUR were decided",
                "right_ends: the days must follow each other",
            ],
        ),
        ({"schedule": [{"due_on": "2027-02-01", "amount": "6000.00"}]}, ["schedule.0.due_on: lies before the agree"]),
        ({"schedule": [{"due_on": "2027-04-01", "amount": "5999.999"}]}, ["schedule.0.amount"]),
        ({"head": "lost_capacity"}, ["leaves nothing of this to a written agreement"]),
        ({"head": "funeral"}, ["head"]),
        ({"claimant": "C2"}, ["leaves nothing of this to a written agreement"]),
        ({"decision": 2}, ["decision 2 leaves nothing"]),
    ],
    ids=[
        "everything",
        "before it was signed",
        "three decimals",
        "another head",
        "no such head",
        "nobody",
        "no decision",
    ],
)
async def test_an_agreement_with_faults_is_refused_with_each_and_changes_nothing(
    world: World, said: dict[str, Any], faults: list[str]
) -> None:
    case = await decided(world)
    before = await world.entries(case)
    with pytest.raises(Refused) as refused:
        await world.say(case, "agree_instalments", **{**agreed(), **said})
    assert all(any(fault in named for named in refused.value.faults) for fault in faults), refused.value.faults
    assert (await world.entries(case), await plan(world, case)) == (before, [])


async def test_the_end_of_the_right_that_the_proof_shows_must_be_among_its_ends(world: World) -> None:
    """9.2.4: a child born on 2 May 2009 is 18 on 2 May 2027, so the right of a minor ends on the day before."""
    case = await bereaved(world, await tight(world, "50000.00"))
    facts = {
        "income": "1000.00",
        "share": "50",
        "first_day": "2027-01-01",
        "last_day": "2027-12-31",
        "right": "minor",
        "born_on": "2009-05-02",
    }
    losses = [{"claimant": "C1", "head": "death", "facts": facts}]
    await world.say(case, "propose_decision", outcome="pay", losses=losses, by_agreement=["C1"])
    total = (await body(world, case))["agreements"][0]["amount"]
    whole = [{"due_on": "2027-06-01", "amount": total}]
    with pytest.raises(Refused, match=r"the right ends on 2027-05-01 \(9\.2\.4\); name that day first"):
        await world.say(case, "agree_instalments", **{**agreed(), "schedule": whole})
    await world.say(case, "agree_instalments", **{**agreed(), "schedule": whole, "right_ends": ["2027-05-01"]})


@pytest.mark.parametrize(
    ("said", "faults"),
    [
        (
            {"outcome": "ended", "until": "2028-01-01"},
            ["ended_on: say the last", "until: only of a right"],
        ),
        ({"outcome": "ended", "ended_on": "2027-06-01"}, ["no instalment falls after it"]),
        ({"outcome": "lasts", "ended_on": "2027-06-01", "until": "2027-05-15"}, ["ended_on: only", "until: lies not"]),
        ({"outcome": "ended", "ended_on": "2027-04-10", "head": "lost_capacity"}, ["no instalments of it"]),
    ],
)
async def test_an_answer_about_a_right_with_faults_is_refused_with_each(
    world: World, said: dict[str, Any], faults: list[str]
) -> None:
    case = await running(world)
    before = await world.entries(case)
    with pytest.raises(Refused) as refused:
        await world.say(case, "confirm_right", **{"claimant": "C1", "head": "death", "reason": "x", **said})
    assert all(any(fault in named for named in refused.value.faults) for fault in faults), refused.value.faults
    assert await world.entries(case) == before


async def test_what_is_not_left_to_an_agreement_cannot_be_agreed_answered_or_paid_whole(world: World) -> None:
    """Neither before a decision, nor twice, nor after; and only lost capacity and death are left to one."""
    case = await bereaved(world, await tight(world, "50000.00"))
    with pytest.raises(Refused, match="leaves nothing of this"):
        await world.say(case, "agree_instalments", **agreed())
    with pytest.raises(Refused, match="no lost_capacity or death of C7"):
        await world.say(case, "propose_decision", **given(by_agreement=["C7"]))
    await world.say(case, "propose_decision", **given())
    right = {"claimant": "C1", "head": "death", "outcome": "lasts", "reason": "x"}
    with pytest.raises(Refused, match="no instalments of it"):
        await world.say(case, "confirm_right", **right)
    await world.say(case, "agree_instalments", **agreed())
    with pytest.raises(Refused, match="reported already"):
        await world.say(case, "agree_instalments", **agreed())
    with pytest.raises(Refused, match="nothing of this waits"):
        await world.say(case, "pay_whole", claimant="C1", head="death", reason="x")


async def test_a_closed_claim_takes_no_agreement_for_all_that_was_decided_was_ordered(world: World) -> None:
    case = await bereaved(world, await tight(world, "50000.00"))
    await world.say(case, "propose_decision", **given(by_agreement=[]))
    await confirmed(world, case, "C1:indemnity", "2027-03-01")
    await world.stage(case, "resting")
    await world.advance(case, MONDAY + timedelta(days=9))
    await world.stage(case, "closed")
    delivered = await world.intake.submit_event(case, "agree-1", "agree_instalments", {"actor": "op-1", **agreed()})
    assert delivered.refused


# ---- twice, and told -----------------------------------------------------------------------------------------------


async def test_each_step_that_is_asked_for_twice_is_done_once(world: World) -> None:
    """A worker that died after the commit repeats the step: the same answer, one order, the limit given back once."""
    case = await running(world)
    await world.advance(case, midnight("2027-04-02"))
    await confirmed(world, case, "C1:death.1", "2027-04-02")
    ended = {"claimant": "C1", "head": "death", "outcome": "ended", "ended_on": "2027-04-10", "reason": "works now"}
    await world.say(case, "confirm_right", **ended)
    await world.stage(case, "resting")

    async def standing() -> tuple[Any, ...]:
        found = await row(world, case)
        return await orders(world, case), await plan(world, case), found.taken, await world.entries(case)

    before = await standing()
    wanted = ("instalments_agreed", "instalment_ordered", "right_ended")
    steps = [entry for entry in await world.timeline(case) if entry.entry in wanted]
    assert sorted(entry.entry for entry in steps) == sorted(wanted)
    for entry in steps:
        known = Recorded.model_validate(entry.answer)
        again = await world.case_activities.record(Transition.model_validate(known.transition))
        assert (again.result, again.step) == ("recorded", entry.step)
    assert await standing() == before


async def test_the_schedule_is_part_of_the_story_of_the_case(world: World) -> None:
    case = await running(world)
    await world.advance(case, midnight("2027-04-01"))
    await world.payment(case, "C1:death.1", "issued")
    ended = {"claimant": "C1", "head": "death", "outcome": "ended", "ended_on": "2027-05-10", "reason": "works now"}
    await world.say(case, "confirm_right", **ended)
    shown = await show_case(world.sessions, world.now(), case)
    assert [(i.n, str(i.due_on), i.amount, i.payment, i.cancelled_at is None) for i in shown.instalments] == [
        (1, "2027-04-01", "2000.00", "C1:death.1", True),
        (2, "2027-05-03", "2000.00", None, True),
        (3, "2027-06-01", "2000.00", None, False),
    ]
    told = page(await tell(world.sessions, world.now(), case), "markdown")
    assert "Instalments" in told
    assert "ordered: C1:death.1" in told
    assert "cancelled 2027-04-01" in told


# ---- over years -----------------------------------------------------------------------------------------------------


async def test_a_claim_that_begins_a_new_run_at_every_rest_keeps_its_schedule(restless_world: World) -> None:
    """Continue-as-new at every resting point: the next days come from the store; it rests after the last."""
    world = restless_world
    case = await running(world, right_ends=[])
    for n, day in enumerate(DAYS, 1):
        await world.advance(case, midnight(day))
        await confirmed(world, case, f"C1:death.{n}", day)
    await world.stage(case, "resting")
    assert [key for key, _ in await plan(world, case)] == ["C1:death.1", "C1:death.2", "C1:death.3"]


async def test_what_can_be_done_about_instalments_stands_in_the_details_ready_to_paste(world: World) -> None:
    case = await decided(world)
    details = await world.details(case)
    assert "**Instalments C1:death:** 6000.00 EUR, not agreed yet" in details
    assert '"amount": "6000.00"' in details
    await world.say(case, "agree_instalments", **agreed())
    details = await world.details(case)
    assert "next 2000.00 EUR on 2027-04-01, the last on 2027-06-01; the right ends on 2027-05-15" in details
    assert "**confirm_right**" in details
    assert "**agree_instalments**" not in details
