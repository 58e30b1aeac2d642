"""What a contract's facts mean for a day, worked out by hand from clauses 1, 5.7, 5.8, 6.4 to 6.6, 8.2, 9.5 and 11."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.policy import (
    Addendum,
    Ended,
    Exclusion,
    Instalment,
    PolicyFacts,
    PremiumPaid,
    PremiumRefused,
    Refund,
    Registered,
    Resumed,
    Suspended,
    read_addendum,
    read_policy,
)
from models.settlement import PolicyTerms
from rules.policy import (
    ONE_DAY,
    Entry,
    addendum_faults,
    fold,
    in_force,
    period_end,
    refund,
    reporting,
    terms_on,
    unpaid_on,
    version_on,
)

START, END = date(2026, 1, 1), date(2026, 12, 31)
TERMS = PolicyTerms(limit_per_occurrence=Decimal(50000), limit_aggregate=Decimal(100000))
LATER = date(2027, 6, 1)


def d(text: str) -> date:
    """A day."""
    return date.fromisoformat(text)


def contract(*later: Entry, **more: Any) -> PolicyFacts:
    """A contract of 2026, and what was said of it later."""
    return fold([Registered(**{"starts_on": START, "ends_on": END, "terms": TERMS, **more}), *later])


def due(day: str, amount: str = "300.00") -> Instalment:
    """An instalment."""
    return Instalment(due_on=d(day), amount=Decimal(amount))


def paid(day: str, amount: str = "300.00", reference: str = "B1") -> PremiumPaid:
    """A payment."""
    return PremiumPaid(reference=reference, paid_on=d(day), amount=Decimal(amount))


def ended(last_day: str, by: Any = "policyholder", allowed_from: date | None = None) -> Ended:
    """An early end."""
    nothing = Refund(amount=Decimal(0), clause="11.1")
    return Ended(by=by, last_day=d(last_day), allowed_from=allowed_from, reason="x", refund=nothing)


def outcome(facts: PolicyFacts, day: str, today: date = LATER) -> tuple[str, str, str]:
    """What decides, in short."""
    found = in_force(facts, d(day), today)
    return found.outcome, found.clause, found.reason


IN, OUT = "in_force", "not_in_force"

# ---- in force -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2025-12-31", (OUT, "6.5", "before_start")),
        ("2026-01-01", (IN, "6.5", "in_period")),
        ("2026-12-31", (IN, "6.5", "in_period")),
        ("2027-01-01", (OUT, "6.4", "after_end")),
    ],
)
def test_it_is_in_force_from_its_first_day_to_its_last(day: str, expected: tuple[str, str, str]) -> None:
    """6.4, 6.5: the first day named in the policy, and the last."""
    assert outcome(contract(), day) == expected


def test_the_period_is_one_year_unless_agreed_otherwise() -> None:
    """6.4: from 1 March to the last day of February; from 29 February to the 27th; else as agreed."""
    assert period_end(d("2026-03-01"), None) == d("2027-02-28")
    assert period_end(d("2028-02-29"), None) == d("2029-02-27")
    assert period_end(START, d("2026-06-30")) == d("2026-06-30")


def test_an_event_before_the_period_counts_only_in_the_retroactive_period() -> None:
    """1: from its first day on."""
    facts = contract(retroactive_from=d("2024-01-01"))
    assert outcome(facts, "2024-01-01") == ("retroactive", "1", "in_retroactive_period")
    assert outcome(facts, "2023-12-31")[0] == OUT


def test_a_first_premium_that_is_not_paid_by_its_day_makes_the_policy_void_from_the_start() -> None:
    """6.5: on its last day the contract still holds, provisionally; the day after it never did."""
    facts = contract(premium=(due("2026-01-15"), due("2026-07-15")))
    last_day = in_force(facts, d("2026-01-10"), today=d("2026-01-15"))
    assert (last_day.outcome, last_day.provisional) == (IN, True)
    after = in_force(facts, d("2026-01-10"), today=d("2026-01-16"))
    assert (after.outcome, after.clause, after.reason, after.provisional) == (OUT, "6.5", "first_premium_unpaid", False)
    assert after.facts["first_premium_due_on"] == "2026-01-15"


def test_a_part_of_the_first_premium_is_not_enough() -> None:
    """6.5: by its day and in full."""
    facts = contract(paid("2026-01-10", "299.99"), premium=(due("2026-01-15"),))
    assert outcome(facts, "2026-02-01") == (OUT, "6.5", "first_premium_unpaid")
    whole = contract(paid("2026-01-10", "299.99"), paid("2026-01-15", "0.01", "B2"), premium=(due("2026-01-15"),))
    assert outcome(whole, "2026-01-01")[0] == IN


def test_paid_late_it_is_in_force_from_the_day_after_the_payment_in_full() -> None:
    """6.5: due on the 15th, the rest paid on 3 February: the cover begins on the 4th."""
    facts = contract(paid("2026-01-10", "200.00"), paid("2026-02-03", "100.00", "B2"), premium=(due("2026-01-15"),))
    assert outcome(facts, "2026-01-02") == (OUT, "6.5", "before_late_premium")
    assert outcome(facts, "2026-02-03") == (OUT, "6.5", "before_late_premium")
    found = in_force(facts, d("2026-02-04"), LATER)
    assert (found.outcome, found.facts["first_premium_paid_on"]) == (IN, "2026-02-03")


def test_a_refused_premium_makes_it_void_from_the_start() -> None:
    """6.5: also for an event after the late payment, and there is no reporting period."""
    refused = PremiumRefused(refused_on=d("2026-02-10"), case="late_premium:BTA:P1")
    facts = contract(paid("2026-02-03"), refused, premium=(due("2026-01-15"),))
    assert outcome(facts, "2026-02-05") == (OUT, "6.5", "premium_refused")
    assert reporting(facts).until is None


def test_a_later_instalment_that_is_unpaid_changes_nothing_by_itself() -> None:
    """6.6: the insurer has to suspend or end the contract."""
    facts = contract(paid("2026-01-10"), premium=(due("2026-01-15"), due("2026-07-15")))
    assert outcome(facts, "2026-09-01")[0] == IN


def test_a_suspension_has_no_effect_before_the_statute_allows_it() -> None:
    """6.6: said from 1 August, allowed from the 15th, lifted on 1 September."""
    suspended = Suspended(from_day=d("2026-08-01"), allowed_from=d("2026-08-15"), reason="unpaid")
    facts = contract(suspended, Resumed(from_day=d("2026-09-01"), reason="paid"))
    assert [outcome(facts, f"2026-{day}")[0] for day in ("08-01", "08-14", "08-15", "08-31", "09-01")] == [
        IN,
        IN,
        OUT,
        OUT,
        IN,
    ]
    assert outcome(facts, "2026-08-15") == (OUT, "6.6", "suspended")
    assert outcome(contract(suspended), "2026-12-31")[0] == OUT


@pytest.mark.parametrize(
    ("by", "clause"), [("policyholder", "11.1"), ("insurer", "11.2"), ("unpaid", "6.6"), ("breach", "8.2")]
)
def test_an_early_end_is_cited_by_who_ended_it(by: str, clause: str) -> None:
    """8.2, 11.1, 11.2, 6.6: the last day is covered, the next one is not."""
    facts = contract(ended("2026-05-31", by))
    assert outcome(facts, "2026-05-31")[0] == IN
    assert outcome(facts, "2026-06-01") == (OUT, clause, "ended")


def test_an_end_that_the_statute_does_not_allow_yet_has_no_effect_until_it_does() -> None:
    """6.6: ended after 31 July, allowed from 15 August: 14 August is covered."""
    facts = contract(ended("2026-07-31", "unpaid", d("2026-08-15")))
    assert outcome(facts, "2026-08-14")[0] == IN
    assert outcome(facts, "2026-08-15") == (OUT, "6.6", "ended")


# ---- extended reporting period --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "until", "early"),
    [
        (contract(), "2027-01-30", False),
        (contract(extended_reporting_days=10), "2027-01-30", False),
        (contract(extended_reporting_days=365), "2027-12-31", False),
        (contract(extended_reporting_days=1098), "2029-12-31", False),
        (contract(ended("2026-05-31")), "2026-06-30", True),
        (contract(ended("2026-05-31"), extended_reporting_days=1098), "2029-06-02", True),
    ],
)
def test_the_extended_reporting_period(facts: PolicyFacts, until: str, early: bool) -> None:
    """1: the longer of 30 days and what was agreed, at most three years after the period.

    After an early end it is counted from that end.

    31 December 2026 + 365 days is 31 December 2027; + 1098 days would be 2 January 2030, capped at 31 December 2029.
    31 May 2026 + 1098 days is 2 June 2029.
    """
    found = reporting(facts)
    assert (found.until, found.early, found.nominal_end) == (d(until), early, END)


# ---- versions -------------------------------------------------------------------------------------------------------


def addendum(number: str = "A1", **more: Any) -> Addendum:
    """An addendum of 1 May."""
    read, faults = read_addendum({"addendum": number, "signed_on": "2026-04-20", "effective_on": "2026-05-01", **more})
    assert read is not None, faults
    return read


def test_a_version_applies_to_events_after_its_effective_date_unless_the_addendum_says_otherwise() -> None:
    """5.8: effective on 1 May: events from the 2nd; an addendum that names a day applies from that day."""
    limits = {"limit_per_occurrence": "80000.00"}
    plain = contract(addendum(limits=limits))
    assert version_on(plain, d("2026-05-01")).terms.limit_per_occurrence == 50000
    assert version_on(plain, d("2026-05-02")).terms.limit_per_occurrence == 80000
    assert version_on(plain, d("2026-05-02")).terms.limit_aggregate == 100000
    back = contract(addendum(limits=limits, events_from="2026-03-01"))
    assert version_on(back, d("2026-03-01")).terms.limit_per_occurrence == 80000
    assert version_on(back, d("2026-02-28")).addenda == ()


def test_addenda_change_each_other_in_the_order_in_which_they_take_effect() -> None:
    """5.8: the one said first takes effect later, and keeps what the other one changed."""
    later = addendum("A1", effective_on="2026-06-01", limits={"limit_aggregate": "200000.00"})
    sooner = addendum("A2", effective_on="2026-03-01", limits={"limit_per_occurrence": "60000.00"}, territory="LV, EE")
    found = version_on(contract(later, sooner), d("2026-07-01"))
    assert (found.terms.limit_per_occurrence, found.terms.limit_aggregate) == (Decimal(60000), Decimal(200000))
    assert (found.territory, found.addenda) == ("LV, EE", ("A2", "A1"))


def test_the_aggregate_is_restored_from_the_day_after_its_premium_was_paid() -> None:
    """5.7: 40 000 were paid; restored from 2 May on, the premium paid on 10 May: events from the 11th have 140 000."""
    restoring = addendum(restores="40000.00", premium=[{"due_on": "2026-05-15", "amount": "90.00"}])
    unpaid = contract(restoring)
    assert version_on(unpaid, d("2026-08-01")).terms.limit_aggregate == 100000
    facts = contract(restoring, paid("2026-05-10", "90.00"))
    assert version_on(facts, d("2026-05-10")).terms.limit_aggregate == 100000
    assert version_on(facts, d("2026-05-11")).terms.limit_aggregate == 140000


def test_an_exclusion_is_bought_back_for_later_events_only() -> None:
    """3.4: by its code, in the order of the clauses."""
    changed = Exclusion(code="4.1.30", state="changed", text="Tikai salūts.")
    facts = contract(
        addendum(exclusions=[{"code": "4.1.7", "state": "bought_back"}], text="Vides kaitējums"), exclusions=(changed,)
    )
    assert version_on(facts, d("2026-05-01")).exclusions == (changed,)
    assert [x.code for x in version_on(facts, d("2026-05-02")).exclusions] == ["4.1.7", "4.1.30"]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"limits": {"limit_aggregate": "150000.00"}}, "premium: 5.8 asks for one"),
        ({"limits": {"limit_aggregate": "90000.00"}, "premium": [{"due_on": "2026-05-15", "amount": "1.00"}]}, "none"),
        ({"effective_on": "2027-01-01", "territory": "LT"}, "effective_on: lies after the end"),
    ],
)
def test_an_addendum_that_does_not_fit_its_contract_is_refused(more: dict[str, Any], fault: str) -> None:
    """5.8: a premium only where a limit is raised."""
    (found,) = addendum_faults(contract(), addendum(**more))
    assert fault in found


# ---- unpaid premium -------------------------------------------------------------------------------------------------


def test_the_premium_that_is_due_and_unpaid_on_a_day() -> None:
    """9.5: 300 due on 15 January and 15 July; 300 + 100 paid: nothing on 14 July, 200 from the 15th, 0 once paid."""
    facts = contract(
        paid("2026-01-10"), paid("2026-06-01", "100.00", "B2"), premium=(due("2026-01-15"), due("2026-07-15"))
    )
    assert [unpaid_on(facts, d(day)) for day in ("2026-07-14", "2026-07-15")] == [Decimal(0), Decimal(200)]
    withheld = PremiumPaid(
        reference="withheld-4", paid_on=d("2026-08-01"), amount=Decimal(200), withheld_by="claim:BTA:1"
    )
    facts = facts.model_copy(update={"paid": (*facts.paid, withheld)})
    assert [unpaid_on(facts, d(day)) for day in ("2026-07-31", "2026-08-01")] == [Decimal(200), Decimal(0)]


def test_no_instalment_falls_due_after_an_early_end_or_a_refusal() -> None:
    """9.5, 11.1: ended after 14 July, so the one of 15 July is not owed; ended a day later it is."""
    in_two = (due("2026-01-15"), due("2026-07-15"))
    for last_day, unpaid in (("2026-07-14", 0), ("2026-07-15", 300)):
        facts = contract(paid("2026-01-10"), ended(last_day), premium=in_two)
        assert unpaid_on(facts, d("2026-09-01")) == Decimal(unpaid)
    refused = PremiumRefused(refused_on=d("2026-02-10"), case="late_premium:BTA:P1")
    assert unpaid_on(contract(paid("2026-02-03"), refused, premium=in_two), d("2026-09-01")) == Decimal(0)


def test_the_terms_of_a_claim_have_the_limits_of_the_event_and_the_premium_of_today() -> None:
    """5.8, 9.5: two instalments are instalments, whatever else was said."""
    facts = contract(
        paid("2026-01-10"),
        addendum(limits={"limit_per_person": "1000.00"}),
        premium=(due("2026-01-15"), due("2026-07-15")),
    )
    terms = terms_on(facts, d("2026-04-01"), d("2026-08-01"))
    assert (terms.limit_per_person, terms.unpaid_premium, terms.instalments) == (None, Decimal(300), True)


# ---- refund ---------------------------------------------------------------------------------------------------------

WHOLE = contract(paid("2026-01-01", "730.00"), premium=(due("2026-01-15", "730.00"),))


@pytest.mark.parametrize(
    ("by", "last_day", "costs", "claimed", "statute", "expected"),
    [
        # 365 days, 214 remain after 31 May: 730 × 214 / 365 = 428.00; costs 50 < 25 % (107.00): 378.00
        ("policyholder", "2026-05-31", "50.00", False, False, "378.00"),
        # costs of 200 are more than 25 % of 428.00: 428.00 - 107.00
        ("policyholder", "2026-05-31", "200.00", False, False, "321.00"),
        # something was claimed
        ("policyholder", "2026-05-31", "0.00", True, False, "0.00"),
        # one full day remains: 730 / 365 = 2.00
        ("policyholder", "2026-12-30", "0.00", False, False, "2.00"),
        # 11.2: only where the statute says so, without costs, whatever was claimed
        ("insurer", "2026-05-31", "0.00", True, True, "428.00"),
        ("insurer", "2026-05-31", "0.00", False, False, "0.00"),
        ("breach", "2026-05-31", "0.00", False, False, "0.00"),
    ],
)
def test_refunds(by: Any, last_day: str, costs: str, claimed: bool, statute: bool, expected: str) -> None:
    """11.1, 11.2."""
    found = refund(WHOLE, by, d(last_day), Decimal(costs), claimed=claimed, by_statute=statute)
    assert found.amount == Decimal(expected)
    assert (found.refused is None) == (found.amount > 0)


def test_the_share_for_conclusion_costs_can_be_agreed_otherwise_and_is_never_rounded_up() -> None:
    """11.1: 100.00 × 123 / 365 = 33.698… = 33.70; 25 % of it is 8.425, so 8.42 at most; agreed 50 %: 16.85."""
    paid_100 = paid("2026-01-01", "100.00")
    facts = contract(paid_100, premium=(due("2026-01-15", "100.00"),))
    costs = Decimal(99)
    assert refund(facts, "policyholder", d("2026-08-30"), costs, claimed=False, by_statute=False).amount == Decimal(
        "25.28"
    )
    agreed = contract(paid_100, premium=(due("2026-01-15", "100.00"),), conclusion_share=Decimal(50))
    assert refund(agreed, "policyholder", d("2026-08-30"), costs, claimed=False, by_statute=False).amount == Decimal(
        "16.85"
    )


cents = st.decimals(min_value=0, max_value=10**6, places=2)


@given(amount=cents, costs=cents, day=st.integers(0, 364), share=st.integers(0, 100))
def test_a_refund_is_never_more_than_was_paid_and_its_steps_add_up(
    amount: Decimal, costs: Decimal, day: int, share: int
) -> None:
    """11.1: for any payment, costs, day and agreed share; the costs take no more than the share."""
    if not amount:
        return
    facts = contract(PremiumPaid(reference="B", paid_on=START, amount=amount), conclusion_share=Decimal(share))
    found = refund(facts, "policyholder", START + timedelta(days=day), costs, claimed=False, by_statute=False)
    assert 0 <= found.amount <= amount
    for one, following in zip(found.steps, found.steps[1:], strict=False):
        assert one.after == following.before
    if found.steps:
        assert (found.steps[0].before, found.steps[-1].after) == (amount, found.amount)
        taken = found.steps[1].before - found.steps[1].after
        assert taken <= costs
        assert taken * 100 <= found.steps[1].before * share


days = st.dates(date(2025, 6, 1), date(2027, 6, 1))


@given(event=days, today=days, pay=days, end=st.dates(START, END - ONE_DAY), stop=days)
def test_cover_always_has_a_clause_and_lies_within_the_period(
    event: date, today: date, pay: date, end: date, stop: date
) -> None:
    """6.4 to 6.6, 11.1: for any dates; in force never outside the period, after the end, or while it is suspended."""
    entries: list[Entry] = [
        PremiumPaid(reference="B", paid_on=pay, amount=Decimal(300)),
        Suspended(from_day=stop, allowed_from=stop, reason="x"),
        ended(end.isoformat()),
    ]
    facts = contract(*entries, premium=(due("2026-01-15"),))
    found = in_force(facts, event, today)
    assert found.clause
    if found.outcome == "in_force":
        assert START <= event <= min(end, END)
        assert event < stop
        assert pay <= d("2026-01-15") or event > pay


# ---- reading --------------------------------------------------------------------------------------------------------


def test_every_fault_of_a_policy_is_named_at_once() -> None:
    """Those of single fields, and those between the fields that could be read."""
    company = {"name": "SIA Jumtu Meistari"}
    policy, faults = read_policy(
        {
            "policy": "010190-12345",
            "organisation": "BTA",
            "policyholder": company,
            "starts_on": "2026-01-01",
            "ends_on": "2025-12-31",
            "retroactive_from": "2026-02-01",
            "terms": {"limit_per_occurrence": "1.234", "limit_aggregate": "-5"},
            "premium": [{"due_on": "2026-01-15", "amount": "0.00"}],
            "exclusions": [{"code": "4.1.47", "state": "changed"}, {"code": "4.1.7", "state": "changed"}],
            "colour": "red",
        }
    )
    assert policy is None
    for part in (
        "colour: unknown field",
        "policy: looks like a personal code",
        "insured: not said",
        "terms.limit_per_occurrence: money must be in whole cents",
        "terms.limit_aggregate: money must not be negative",
        "premium.0.amount: must be above 0",
        "exclusions.0.code:",
        "exclusions.1: text: a changed exclusion says how it reads",
        "ends_on: lies before starts_on",
        "retroactive_from: must lie before starts_on",
    ):
        assert any(fault.startswith(part) for fault in faults), (part, faults)
