"""Settlements worked out by hand, one for each rule of chapter 9 and of the limits, with their clauses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.settlement import ClaimantSettlement, Settlement, SettlementInput
from rules.settlement import explain, settle

Data = dict[str, Any]


def policy(**more: Any) -> Data:
    return {"limit_per_occurrence": "100000.00", "limit_aggregate": "200000.00", **more}


def head(claimant: str, name: str, claimed: str = "99999.00", **more: Any) -> Data:
    return {"claimant": claimant, "head": name, "claimed": claimed, **more}


def proven(claimant: str, amount: str, name: str = "property_damaged", **more: Any) -> Data:
    return head(claimant, name, amount, proven=amount, **more)


def given_(*losses: Data, terms: Data | None = None, **more: Any) -> SettlementInput:
    return SettlementInput.model_validate({"policy": terms or policy(), "losses": losses, **more})


def settled(*losses: Data, terms: Data | None = None, **more: Any) -> Settlement:
    return settle(given_(*losses, terms=terms, **more))


def paid(*losses: Data, **more: Any) -> dict[str, str]:
    return {one.claimant: str(one.payable) for one in settled(*losses, **more).claimants}


def only(*losses: Data, **more: Any) -> ClaimantSettlement:
    (one,) = settled(*losses, **more).claimants
    return one


def worked(name: str, **facts: Any) -> tuple[str, list[tuple[str, str]]]:
    """The clause of a head, and its steps from the facts."""
    (part,) = only(head("C1", name, facts=facts)).heads
    return part.clause, [(str(step.before), str(step.after)) for step in part.steps]


def steps(one: ClaimantSettlement) -> list[tuple[str, str]]:
    """Clause and amount after each step that changed it."""
    return [(step.clause, str(step.after)) for step in one.steps if step.before != step.after]


def used(one: ClaimantSettlement) -> list[tuple[str, str, str, str]]:
    return [(part.head.value, part.payer.value, str(part.used), part.clause) for part in one.sums]


def faults(*losses: Data, **more: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        given_(*losses, **more)
    return "\n".join(
        f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in raised.value.errors()
    )


# ---- step 1: each head as proven -------------------------------------------------------------------------------------


def test_treatment_without_comfort() -> None:
    """9.2.1: costs 1 250.40, of which 300.40 for a single room: 950."""
    assert worked("treatment", costs="1250.40", comfort="300.40") == (
        "9.2.1",
        [("1250.40", "1250.40"), ("1250.40", "950.00")],
    )


def test_temporary_incapacity_less_the_statutory_benefits() -> None:
    """9.2.2: 62.50 a day for 22 certified days: 1 375; sick pay of the employer 300: 1 075; state benefit 700: 375."""
    received = [{"payer": "employer", "amount": "300.00"}, {"payer": "state", "amount": "700.00"}]
    assert worked("temporary_incapacity", average="62.50", count=22, received=received) == (
        "9.2.2",
        [("1375.00", "1375.00"), ("1375.00", "1075.00"), ("1075.00", "375.00")],
    )


def test_benefits_above_the_earnings_leave_nothing_and_no_debt() -> None:
    """9.2.2: 50 a day for 10 days: 500; benefits 600: 0. Of the benefit 500 was used."""
    received = [{"payer": "state", "amount": "600.00", "paid_on": "2026-03-01"}]
    facts = {"average": "50.00", "count": 10, "received": received}
    one = only(head("C1", "temporary_incapacity", facts=facts))

    assert str(one.payable) == "0.00"
    assert used(one) == [("temporary_incapacity", "state", "500.00", "9.2.2")]


def test_lost_capacity_less_earnings_and_pension() -> None:
    """9.2.3: 1 400 a month for 12 months: 16 800; earned elsewhere 6 000: 10 800; disability pension 3 600: 7 200."""
    received = [{"payer": "employer", "amount": "6000.00"}, {"payer": "state", "amount": "3600.00"}]
    assert worked("lost_capacity", average="1400.00", per="month", count=12, received=received) == (
        "9.2.3",
        [("16800.00", "16800.00"), ("16800.00", "10800.00"), ("10800.00", "7200.00")],
    )


def support(first: str = "2026-01-01", last: str = "2026-12-31", **more: Any) -> Data:
    return {"income": "2000.00", "share": "20", "first_day": first, "last_day": last, "right": "by_law", **more}


THREE = (
    # 9.2.4: 2 000 a month. A child: 20 % less a pension of 150: 250 a month for 12 months: 3 000
    head("C1", "death", facts=support(pension="150.00", right="minor", born_on="2015-03-08")),
    # a child who is 18 on 1 July 2026: 250 for six months: 1 500
    head("C2", "death", facts=support(pension="150.00", right="minor", born_on="2008-07-01")),
    # the widow, able to work, with a child who is 8 in October 2027: 30 %, no pension: 600 for 12 months: 7 200
    head("C3", "death", facts=support(share="30", right="spouse_with_child", born_on="2019-10-01")),
)


def test_a_death_with_three_dependants_each_with_their_own_share_pension_and_end() -> None:
    """9.2.4: 3 000, 1 500 and 7 200, together 11 700; the deductible of 1 170 is shared: a tenth of each."""
    assert paid(*THREE) == {"C1": "3000.00", "C2": "1500.00", "C3": "7200.00"}
    assert paid(*THREE, terms=policy(deductible={"value": "1170.00"})) == {
        "C1": "2700.00",
        "C2": "1350.00",
        "C3": "6480.00",
    }


def test_a_death_is_one_person_only_where_the_policy_says_so() -> None:
    """5.5: a limit of 5 850 a person. Each a person: only the widow's 7 200 is cut. One person: 11 700 share 5 850."""
    terms = policy(limit_per_person="5850.00")
    for one_person, reading in ((True, "All who claim for one death"), (False, "Each who claims for a death")):
        one = settled(*THREE, terms={**terms, "death_is_one_person": one_person}).claimants[0]
        assert any(reading in step.note.en for step in one.steps if step.note), "the step names the reading"

    assert paid(*THREE, terms=terms) == {"C1": "3000.00", "C2": "1500.00", "C3": "5850.00"}
    assert paid(*THREE, terms={**terms, "death_is_one_person": True}) == {
        "C1": "1500.00",
        "C2": "750.00",
        "C3": "3600.00",
    }


def test_two_deaths_are_two_persons_and_the_funeral_goes_with_its_death() -> None:
    """5.3.1, 9.2.4, 9.2.5: 10 000 a person. D1: 9 000 and a funeral of 3 000 share 10 000; D2: 4 000 in full."""
    losses = (
        proven("C1", "9000.00", "death"),
        proven("C2", "3000.00", "funeral"),
        proven("C3", "4000.00", "death", deceased="D2"),
    )
    terms = policy(limit_per_person="10000.00", death_is_one_person=True)

    assert paid(*losses, terms=terms) == {"C1": "7500.00", "C2": "2500.00", "C3": "4000.00"}


def test_a_deductible_per_person_is_taken_once_for_a_death_that_is_one_person() -> None:
    """1, 9.5: 400 a person: from 3 000 and 1 000 together once (2 700, 900), or from each (2 600, 600)."""
    losses = (proven("C1", "3000.00", "death"), proven("C2", "1000.00", "death"))
    terms = policy(deductible={"value": "400.00", "basis": "per_person"})

    assert paid(*losses, terms=terms) == {"C1": "2600.00", "C2": "600.00"}
    assert paid(*losses, terms={**terms, "death_is_one_person": True}) == {"C1": "2700.00", "C2": "900.00"}


def test_support_for_part_of_a_month_counts_its_days() -> None:
    """9.2.4: 600 a month from 15 February (14 of 28 days) over March to 10 April (10 of 30): 1 5/6 months: 1 100."""
    assert worked("death", **support("2026-02-15", "2026-04-10", share="30"))[1][-1][1] == "1100.00"


@pytest.mark.parametrize(
    ("right", "months"),
    [
        # a student until 24, on 20 May 2027, but the studies end on 31 August 2026
        ({"right": "student", "born_on": "2003-05-20", "until": "2026-08-31"}, 8),
        # a student who is 24 on 1 May 2026
        ({"right": "student", "born_on": "2002-05-01"}, 4),
        # born on 29 February: 18 on 1 March 2026
        ({"right": "minor", "born_on": "2008-02-29"}, 2),
        # disabled before 18: no end
        ({"right": "disabled_before_18"}, 12),
        # a parent who is able to work again from 1 April
        ({"right": "unable_to_work", "until": "2026-03-31"}, 3),
        # the youngest child is 8 on 1 October 2026
        ({"right": "spouse_with_child", "born_on": "2018-10-01"}, 9),
        # the child is disabled: age does not matter
        ({"right": "spouse_with_disabled_child"}, 12),
        # it ended before the time that is claimed
        ({"right": "minor", "born_on": "2006-01-01"}, 0),
    ],
)
def test_support_lasts_as_long_as_the_right(right: Data, months: int) -> None:
    """9.2.4: 400 for each month of the right within the year."""
    assert worked("death", **support(**right))[1][-1][1] == f"{400 * months}.00"


def test_a_funeral_pays_reasonable_costs_to_a_natural_person() -> None:
    """9.2.5: costs 2 900, of which a feast for 900 is beyond reason: 2 000; a company has no right."""
    facts = {"costs": "2900.00", "unreasonable": "900.00"}

    assert worked("funeral", **facts) == ("9.2.5", [("2900.00", "2900.00"), ("2900.00", "2000.00")])
    assert worked("funeral", **facts, natural_person=False)[1][-1] == ("2000.00", "0.00")


def test_destroyed_property_without_salvage_pays_the_difference() -> None:
    """9.3.1: cannot be repaired; 8 000 before, 1 500 after: 6 500."""
    assert worked("property_destroyed", before="8000.00", after="1500.00") == (
        "9.3.1",
        [("8000.00", "8000.00"), ("8000.00", "6500.00")],
    )


def test_destroyed_property_with_salvage_handed_over_pays_the_value_before() -> None:
    """9.3.1: the owner agrees and hands over what is left: 8 000."""
    agreed = {"before": "8000.00", "after": "1500.00", "owner_agrees": True, "salvage_handed_over": True}

    assert worked("property_destroyed", **agreed)[1][-1][1] == "8000.00"


def test_payment_of_the_difference_does_not_wait_for_the_salvage() -> None:
    """9.3.1: the owner agrees, but what is left is not handed over yet: 6 500 now, and the step says what follows."""
    facts = {"before": "8000.00", "after": "1500.00", "owner_agrees": True}
    (part,) = only(head("C1", "property_destroyed", facts=facts)).heads

    assert str(part.payable) == "6500.00"
    assert part.steps[-1].note is not None
    assert "once what is left is handed over" in part.steps[-1].note.en


def test_repair_dearer_than_the_value_lost_makes_it_destroyed_whatever_was_claimed() -> None:
    """9.3.1: repair 7 000, value lost 8 000 - 1 500 = 6 500: destroyed, 6 500, though claimed as damaged."""
    clause, ways = worked("property_damaged", repair="7000.00", before="8000.00", after="1500.00")

    assert (clause, ways[-1][1]) == ("9.3.1", "6500.00")


def test_repair_no_dearer_than_the_value_lost_is_damage_whatever_was_claimed() -> None:
    """9.3.2: repair 6 500, value lost 6 500: it does not exceed it, so it is restored."""
    assert worked("property_destroyed", repair="6500.00", before="8000.00", after="1500.00") == (
        "9.3.2",
        [("6500.00", "6500.00")],
    )
    assert worked("property_damaged", repair="410.00") == ("9.3.2", [("410.00", "410.00")])


def test_litigation_is_paid_as_agreed_and_rescue_also_where_the_insurer_could_not_be_reached() -> None:
    """1, 9.1: litigation 900, agreed 700: 700. 8.1.3: rescue 1 000, agreed 300, urgent 450: 750, successful or not."""
    assert worked("litigation_costs", costs="900.00", agreed="700.00")[1][-1][1] == "700.00"
    assert worked("rescue_costs", costs="1000.00", agreed="300.00", urgent="450.00")[1][-1][1] == "750.00"


def test_an_experts_costs_are_loss_and_count_within_the_limit() -> None:
    """9.4, 5.1: damage 900 and the expert 300 under a limit of 1 000: 750 and 250."""
    one = only(
        proven("C1", "900.00"),
        head("C1", "expert_costs", facts={"costs": "300.00"}),
        terms=policy(limit_per_occurrence="1000.00"),
    )

    assert [str(part.payable) for part in one.heads] == ["750.00", "250.00"]


def test_facts_never_pay_more_than_was_claimed() -> None:
    """9.1: claimed 5 000; value lost 6 500: 5 000."""
    one = only(head("C1", "property_destroyed", "5000.00", facts={"before": "8000.00", "after": "1500.00"}))

    assert str(one.payable) == "5000.00"
    assert one.heads[0].steps[-1].clause == "9.1"


def test_where_the_insured_promised_more_only_what_the_insurer_recommended() -> None:
    """8.1.9, 8.1.11: 3 000 and litigation of 1 000; recommended 2 000: 1 500 and 500. C2 is not touched."""
    settlement = settled(
        proven("C1", "3000.00"),
        proven("C1", "1000.00", "litigation_costs"),
        proven("C2", "3000.00"),
        recommended=[{"claimant": "C1", "amount": "2000.00"}],
    )

    assert [[str(h.payable) for h in one.heads] for one in settlement.claimants] == [["1500.00", "500.00"], ["3000.00"]]
    assert steps(settlement.claimants[0]) == [("8.1.9", "2000.00")]


# ---- steps 2 and 3: the insured's share, other insurers --------------------------------------------------------------


def test_a_co_liable_person_who_paid_his_own_share_takes_nothing_off() -> None:
    """9.7, 9.8: loss 10 000, liable for 60 %: 6 000. The other paid his 4 000: the claimant has the whole 10 000."""
    loss = proven("C1", "10000.00", compensations=[{"payer": "co_liable", "amount": "4000.00"}])
    one = only(loss, liability_share="60")

    assert (str(one.payable), str(one.uncompensated)) == ("6000.00", "0.00")
    assert used(one) == [("property_damaged", "co_liable", "4000.00", "9.7")]


def test_what_a_co_liable_person_paid_beyond_his_share_is_deducted() -> None:
    """9.7, 9.8: he paid 5 000: 4 000 is his share, 1 000 was for the insured's: 5 000 is left."""
    loss = proven("C1", "10000.00", compensations=[{"payer": "co_liable", "amount": "5000.00"}])
    one = only(loss, liability_share="60")

    assert str(one.payable) == "5000.00"
    assert [part[2:] for part in used(one)] == [("4000.00", "9.7"), ("1000.00", "9.8")]


def test_an_own_share_is_of_the_loss_also_where_the_deductible_comes_first() -> None:
    """9.5, 9.7: (10 000 - 500) x 60 % = 5 700. The other's share is 40 % of the loss, not of 9 500: 5 700."""
    loss = proven("C1", "10000.00", compensations=[{"payer": "co_liable", "amount": "4000.00"}])
    readings = {"liability_before_deductible": False}

    assert paid(loss, liability_share="60", readings=readings, terms=policy(deductible={"value": "500.00"})) == {
        "C1": "5700.00"
    }


TWO_INSURERS = [{"insurer": "Otrais", "limit": "50000.00"}]


def test_two_insurers_pay_by_their_limits() -> None:
    """9.9: 100 000 of 150 000: two thirds of 90 000."""
    assert paid(proven("C1", "90000.00"), other_insurers=TWO_INSURERS) == {"C1": "60000.00"}


def test_all_insurers_together_never_pay_more_than_the_loss() -> None:
    """9.9: the other one paid its 30 000: still 60 000. It paid 40 000: 10 000 was ours: 50 000, together 90 000."""
    for other, ours in (("30000.00", "60000.00"), ("40000.00", "50000.00")):
        loss = proven("C1", "90000.00", compensations=[{"payer": "liability_insurer", "amount": other}])

        assert paid(loss, other_insurers=TWO_INSURERS) == {"C1": ours}


def test_three_insurers_liability_and_a_percentage_deductible() -> None:
    """9.7: 75 % of 40 000: 30 000. 9.9: 100 000 of 200 000: 15 000. 9.5: less 10 %: 13 500."""
    one = only(
        proven("C1", "40000.00"),
        liability_share="75",
        other_insurers=[{"insurer": "Otrais", "limit": "60000.00"}, {"insurer": "Trešais", "limit": "40000.00"}],
        terms=policy(deductible={"kind": "percent", "value": "10"}),
    )

    assert steps(one) == [("9.7", "30000.00"), ("9.9", "15000.00"), ("9.5", "13500.00")]


# ---- step 4: deductible and unpaid premium ---------------------------------------------------------------------------

IN_PARTS = policy(instalments=True, unpaid_premium="800.00", deductible={"value": "500.00"})
LAST = {"unpaid_premium_with_deductible": False}


def test_a_premium_is_withheld_with_the_deductible() -> None:
    """9.5: 5 000 - 500 - 800 = 3 700; a limit of 4 000 does not bind any more."""
    terms = {**IN_PARTS, "limit_per_occurrence": "4000.00"}
    settlement = settled(proven("C1", "5000.00"), terms=terms, withhold_premium=True)

    assert steps(settlement.claimants[0]) == [("9.5", "4500.00"), ("9.5", "3700.00")]
    assert str(settlement.premium) == "800.00"


def test_a_premium_withheld_in_the_last_step_comes_off_what_the_limit_left() -> None:
    """9.5, the other reading: 5 000 - 500 = 4 500, limit 4 000, less 800: 3 200."""
    terms = {**IN_PARTS, "limit_per_occurrence": "4000.00"}
    settlement = settled(proven("C1", "5000.00"), terms=terms, withhold_premium=True, readings=LAST)

    assert steps(settlement.claimants[0]) == [("9.5", "4500.00"), ("5.4", "4000.00"), ("9.5", "3200.00")]
    assert str(settlement.premium) == "800.00"


@pytest.mark.parametrize(("readings", "expected"), [({}, "1850.00"), (LAST, "1450.00")])
def test_the_reading_of_the_premium_matters_for_a_reduction(readings: Data, expected: str) -> None:
    """8.2, half: (4 500 - 800) / 2 = 1 850, or 4 500 / 2 - 800 = 1 450."""
    reductions = [{"clause": "8.1.1", "percent": "50"}]

    assert paid(
        proven("C1", "5000.00"), terms=IN_PARTS, withhold_premium=True, readings=readings, reductions=reductions
    ) == {"C1": expected}


@pytest.mark.parametrize("readings", [{}, LAST])
def test_no_more_premium_is_withheld_than_there_is_to_pay_and_it_is_shared(readings: Data) -> None:
    """9.5: 3 000 and 1 000 bear 800 as 600 and 200. Of 300, all is withheld, and 300 is booked as premium."""
    terms = {**IN_PARTS, "deductible": {}}
    two = settled(
        proven("C1", "3000.00"), proven("C2", "1000.00"), terms=terms, withhold_premium=True, readings=readings
    )
    small = settled(proven("C1", "300.00"), terms=terms, withhold_premium=True, readings=readings)

    assert [str(one.payable) for one in two.claimants] == ["2400.00", "800.00"]
    assert (str(small.payable), str(small.premium)) == ("0.00", "300.00")


def test_a_premium_is_withheld_only_if_chosen_and_only_of_a_policy_with_instalments() -> None:
    """9.5: a right of the insurer, where the policy has instalments."""
    assert str(settled(proven("C1", "5000.00"), terms=IN_PARTS).premium) == "0.00"
    assert "the policy allows no instalments (9.5)" in faults(proven("C1", "1.00"), withhold_premium=True)


# ---- step 5: limits --------------------------------------------------------------------------------------------------


def test_sublimits_by_person_and_by_occurrence() -> None:
    """5.3.2: health 5 000 a person, property 8 000 an occurrence. C1: treatment 7 000 gets 5 000; property 6 000 and
    C2's 4 000 share 8 000: 4 800 and 3 200. C1 9 800, C2 3 200."""
    terms = policy(
        sublimits=[
            {"name": "Veselība", "heads": ["treatment", "lost_capacity"], "limit": "5000.00", "basis": "per_person"},
            {"name": "Manta", "heads": ["property_damaged", "property_destroyed"], "limit": "8000.00"},
        ]
    )

    assert paid(
        proven("C1", "7000.00", "treatment"), proven("C1", "6000.00"), proven("C2", "4000.00"), terms=terms
    ) == {"C1": "9800.00", "C2": "3200.00"}


def test_an_exhausted_aggregate_pays_nothing_and_the_handler_is_told() -> None:
    """5.6, 9.12: 200 000 is paid: 0, and 900 stays uncompensated."""
    one = only(proven("C1", "900.00"), taken={"aggregate": "200000.00"})

    assert (str(one.payable), str(one.withheld), str(one.uncompensated)) == ("0.00", "0.00", "900.00")


def test_several_claimants_on_one_occurrence_in_the_order_of_filing() -> None:
    """9.6: limit 20 000, deductible 1 000. 15 000 - 1 000 = 14 000; of 9 000 the other 6 000; then nothing."""
    terms = policy(limit_per_occurrence="20000.00", deductible={"value": "1000.00"})
    taken = {"occurrence": Decimal(0), "aggregate": Decimal(0), "deductible": Decimal(0)}
    due = []
    for amount in ("15000.00", "9000.00", "500.00"):
        one = settled(proven("C1", amount), terms=terms, taken=taken)
        due.append(str(one.payable))
        taken = {
            "occurrence": taken["occurrence"] + one.payable,
            "aggregate": taken["aggregate"] + one.payable,
            "deductible": taken["deductible"] + one.deductible,
        }

    assert due == ["14000.00", "6000.00", "0.00"]


# ---- steps 6 and 7: reduction, compensation by others ----------------------------------------------------------------


def test_a_reduction_is_of_the_indemnity_and_not_of_a_loss_above_the_limit() -> None:
    """8.2: loss 30 000, limit 20 000, less 25 %: 15 000, and not 22 500 cut to 20 000."""
    one = only(
        proven("C1", "30000.00"),
        terms=policy(limit_per_occurrence="20000.00"),
        reductions=[{"clause": "8.1.3", "percent": "25"}],
    )

    assert steps(one) == [("5.4", "20000.00"), ("8.2", "15000.00")]


def test_what_others_paid_comes_off_the_indemnity_and_what_stays_open_is_told() -> None:
    """9.8: loss 30 000, limit 20 000; the claimant's own insurer paid 4 000, another 500: 15 500 is due; 10 000 of the
    loss stays open."""
    sums = [
        {"payer": "own_insurer", "paid_on": "2026-03-02", "amount": "4000.00"},
        {"payer": "other", "paid_on": "2026-03-01", "amount": "500.00"},
    ]
    one = only(proven("C1", "30000.00", compensations=sums), terms=policy(limit_per_occurrence="20000.00"))

    assert (str(one.payable), str(one.uncompensated)) == ("15500.00", "10000.00")
    assert used(one) == [
        ("property_damaged", "other", "500.00", "9.8"),
        ("property_damaged", "own_insurer", "4000.00", "9.8"),
    ]


# ---- payees ----------------------------------------------------------------------------------------------------------

BY_INSURED = {"payer": "insured", "paid_on": "2026-03-01", "amount": "300.00"}


@pytest.mark.parametrize(
    ("limit", "due", "back"),
    [
        # 10.1.2: 1 000 - 100 = 900; the third party is still owed 700; the insured gets the other 200
        ("100000.00", "900.00", "200.00"),
        # a limit of 500: all of it to the third party, whose loss comes first
        ("500.00", "500.00", "0.00"),
    ],
)
def test_what_the_insured_paid_by_agreement_is_returned_after_the_third_partys_loss(
    limit: str, due: str, back: str
) -> None:
    """10.1.1, 10.1.2: loss 1 000, deductible 100, the insured paid 300 with the insurer's agreement."""
    terms = policy(limit_per_occurrence=limit, deductible={"value": "100.00"})
    one = only(proven("C1", "1000.00", compensations=[{**BY_INSURED, "agreed": True}]), terms=terms)

    assert (str(one.payable), str(one.heads[0].to_insured)) == (due, back)
    assert used(one) == [("property_damaged", "insured", "300.00", "10.1.2")]


def test_what_the_insured_paid_without_agreement_is_a_compensation_by_another() -> None:
    """9.8: 1 000 - 100 - 300 = 600, all of it for the third party."""
    terms = policy(deductible={"value": "100.00"})
    one = only(proven("C1", "1000.00", compensations=[BY_INSURED]), terms=terms)

    assert (str(one.payable), str(one.heads[0].to_insured)) == ("600.00", "0.00")


def test_own_costs_of_the_insured_go_to_the_insured_after_the_third_party() -> None:
    """8.1.3, 10.1: limit 1 000, the third party 900; of rescue costs of 300 the insured gets 100."""
    losses = (proven("C1", "900.00"), proven("I1", "300.00", "rescue_costs", own_costs=True))
    first, second = settled(*losses, terms=policy(limit_per_occurrence="1000.00")).claimants

    assert (str(first.payable), str(first.heads[0].to_insured)) == ("900.00", "0.00")
    assert (str(second.payable), str(second.heads[0].to_insured)) == ("100.00", "100.00")


# ---- all together ----------------------------------------------------------------------------------------------------

EVERYTHING = {
    "policy": policy(
        deductible={"kind": "percent", "value": "10"},
        instalments=True,
        unpaid_premium="360.00",
        sublimits=[{"name": "Ārstniecība", "heads": ["treatment"], "limit": "405.00", "basis": "per_person"}],
    ),
    "losses": [
        head(
            "C1",
            "lost_capacity",
            facts={
                "average": "1500.00",
                "per": "month",
                "count": 6,
                "received": [{"payer": "state", "amount": "1800.00"}, {"payer": "employer", "amount": "1200.00"}],
            },
            compensations=[{"payer": "liability_insurer", "paid_on": "2026-02-01", "amount": "1600.00"}],
        ),
        head(
            "C1",
            "treatment",
            facts={"costs": "2500.00", "comfort": "500.00"},
            compensations=[
                {"payer": "co_liable", "paid_on": "2026-02-02", "amount": "500.00"},
                {"payer": "own_insurer", "paid_on": "2026-02-03", "amount": "100.00"},
            ],
        ),
    ],
    "liability_share": "75",
    "other_insurers": TWO_INSURERS,
    "withhold_premium": True,
    "reductions": [{"clause": "8.1.1", "percent": "20"}],
}


def test_every_step_together() -> None:
    """Lost capacity 9 000 - 1 800 - 1 200 = 6 000 (9.2.3), treatment 2 500 - 500 = 2 000 (9.2.1): 8 000.
    75 % (9.7): 6 000. Two thirds (9.9): 4 000. Less 10 % (9.5): 3 600. Less the premium of 360: 3 240, that is 2 430
    and 810. Treatment up to 405 (5.3.2): 2 835. Less 20 % (8.2): 2 268, that is 1 944 and 324. The other insurer paid
    1 600, its third of 4 500 is 1 500: 100 off; the claimant's own insurer 100 off; the co-liable person's 500 is his
    quarter of 2 000: 1 844 and 224, together 2 068 (9.8)."""
    settlement = settle(SettlementInput.model_validate(EVERYTHING))
    (one,) = settlement.claimants

    assert steps(one) == [
        ("9.1", "8000.00"),
        ("9.7", "6000.00"),
        ("9.9", "4000.00"),
        ("9.5", "3600.00"),
        ("9.5", "3240.00"),
        ("5.3.2", "2835.00"),
        ("8.2", "2268.00"),
        ("9.8", "2068.00"),
    ]
    assert [(h.clause, str(h.payable)) for h in one.heads] == [("9.2.1", "224.00"), ("9.2.3", "1844.00")]
    assert used(one) == [
        ("treatment", "co_liable", "500.00", "9.7"),
        ("treatment", "own_insurer", "100.00", "9.8"),
        ("lost_capacity", "state", "1800.00", "9.2.3"),
        ("lost_capacity", "employer", "1200.00", "9.2.3"),
        ("lost_capacity", "liability_insurer", "1500.00", "9.9"),
        ("lost_capacity", "liability_insurer", "100.00", "9.8"),
    ]
    assert (str(settlement.deductible), str(settlement.premium)) == ("400.00", "360.00")


def test_the_letter_says_how_each_head_came_about_and_who_else_paid_in_three_languages() -> None:
    """Every line has its clause, and no language has more lines than another."""
    settlement = settle(SettlementInput.model_validate(EVERYTHING))
    letters = {
        language: [line.replace("\N{NO-BREAK SPACE}", " ") for line in explain(settlement, "C1", language)]
        for language in ("lv", "lt", "en")
    }

    assert letters["en"][1:4] == [
        "- Treatment (clause 9.2.1): EUR 2,500.00. Documented costs.",
        "- Treatment (clause 9.2.1): from EUR 2,500.00 to EUR 2,000.00. Costs for comfort, EUR 500.00, are not paid.",
        (
            "- Lost capacity to work (clause 9.2.3): EUR 9,000.00. Average earnings of EUR 1,500.00 a month; certified "
            "months: 6."
        ),
    ]
    proportion = "EUR 1,500.00, the other insurer's proportion (clause 9.9)"
    assert f"- Paid by others: another liability insurer, 2026-02-01: {proportion}" in letters["en"]
    deducted = "100,00 EUR, atskaitīts (noteikumu 9.8. punkts)"
    assert f"- Citu personu atlīdzinātais: cietušā apdrošinātājs, 03.02.2026.: {deducted}" in letters["lv"]
    assert len({len(lines) for lines in letters.values()}) == 1


# ---- what is refused -------------------------------------------------------------------------------------------------


def test_a_sum_given_twice_is_refused_wherever_it_stands() -> None:
    """9.2.3, 9.8: the same pension in two heads, or in two places of one head; named by its place, not its payer."""
    pension = {"payer": "other", "paid_on": "2026-03-01", "amount": "300.00"}
    facts = {"average": "50.00", "count": 20, "received": [pension]}

    assert faults(
        head("C1", "temporary_incapacity", facts=facts),
        head("C1", "lost_capacity", facts=facts, compensations=[pension]),
    ) == (
        ": losses.1.facts.received.0: the same sum as losses.0.facts.received.0; a sum is used once; "
        "losses.1.compensations.0: the same sum as losses.0.facts.received.0; a sum is used once"
    )


@pytest.mark.parametrize(
    ("loss", "fault"),
    [
        (head("C1", "treatment"), "losses.0: proven: say either the proven amount or the facts"),
        (
            head("C1", "treatment", proven="1.00", facts={"costs": "1.00"}),
            "losses.0: proven: say either the proven amount or the facts",
        ),
        (head("C1", "treatment", facts={"repair": "1.00"}), "losses.0.facts.repair: Extra inputs are not permitted"),
        (head("C1", "treatment", facts={"costs": "1.00", "comfort": "2.00"}), "comfort: more than the costs"),
        (head("C1", "funeral", facts={"costs": "1.00", "unreasonable": "2.00"}), "unreasonable: more than the costs"),
        (head("C1", "property_damaged", facts={"before": "1.00"}), "before, after: both values or neither"),
        (head("C1", "property_damaged", facts={"before": "1.00", "after": "2.00"}), "after: more than before"),
        (head("C1", "property_destroyed", facts={}), "what cannot be repaired needs its values"),
        (
            head("C1", "property_damaged", facts={"repair": "1.00", "salvage_handed_over": True}),
            "only where the owner agrees",
        ),
        (head("C1", "death", facts=support(right="minor")), "born_on: the right of minor ends by age"),
        (head("C1", "death", facts=support(last="2025-12-31")), "last_day: lies before first_day"),
        (head("C1", "death", facts=support(last="2190-01-01")), "more than a hundred years"),
        (
            head("C1", "death", proven="1.00", compensations=[{"payer": "state", "amount": "1.00"}]),
            "statutory benefits are taken off within this head",
        ),
        (
            head("C1", "lost_capacity", facts={"average": "1", "count": 1, "received": [BY_INSURED]}),
            "benefits, pensions and earnings come from state, municipality, employer, other",
        ),
        (
            proven("C1", "1.00", compensations=[{"payer": "other", "amount": "1.00", "agreed": True}]),
            "10.1.2 speaks of",
        ),
    ],
)
def test_facts_that_make_no_sense_are_refused(loss: Data, fault: str) -> None:
    """Each fault names its place and what is wrong."""
    assert fault in faults(loss)


def test_every_fault_that_does_not_fit_together_comes_in_one_answer() -> None:
    """Insurers, recommendations, deaths, reductions and losses are looked at together."""
    found = faults(
        proven("D1", "1.00", "death"),
        proven("D1", "1.00", "death"),
        terms=policy(death_is_one_person=True),
        other_insurers=TWO_INSURERS * 2,
        recommended=[{"claimant": "C9", "amount": "1.00"}] * 2,
        withhold_premium=True,
    )

    for fault in (
        "losses given more than once: D1 death",
        "recommended more than once: C9",
        "recommended for somebody who claims nothing: C9",
        "other_insurers.1: given already",
        "deceased and claimant have the same id: D1",
        "withhold_premium: the policy allows no instalments (9.5)",
    ):
        assert fault in found
    assert "losses: there is none" in faults()


# ---- what holds for every case ---------------------------------------------------------------------------------------

cents = st.integers(0, 2_000_000).map(lambda amount: Decimal(amount).scaleb(-2))


@settings(deadline=None)
@given(cents, cents, cents)
def test_the_order_of_filing_decides_who_gets_the_limit(first: Decimal, second: Decimal, limit: Decimal) -> None:
    """9.6: whoever filed first gets up to the limit, whatever comes later; together they get no more than it."""
    terms = policy(limit_per_occurrence=limit)

    def in_order(*amounts: Decimal) -> list[Decimal]:
        due: list[Decimal] = []
        for amount in amounts:
            taken = sum(due, Decimal(0))
            one = settled(proven("C1", str(amount)), terms=terms, taken={"occurrence": taken, "aggregate": taken})
            due.append(one.payable)
        return due

    one, other = in_order(first, second), in_order(second, first)
    assert one == [min(first, limit), min(second, max(limit - first, Decimal(0)))]
    assert other == [min(second, limit), min(first, max(limit - second, Decimal(0)))]
    assert sum(one) == sum(other) == min(limit, first + second)


@settings(deadline=None)
@given(cents, st.integers(0, 100), st.lists(st.tuples(st.sampled_from(["co_liable", "other"]), cents), max_size=4))
def test_every_sum_that_others_paid_is_used_at_most_once(
    loss: Decimal, share: int, sums: list[tuple[str, Decimal]]
) -> None:
    """9.7, 9.8: of each sum no more is used than was paid, and only what goes beyond the own share comes off."""
    compensations = [
        {"payer": payer, "amount": amount, "paid_on": f"2026-03-{day:02}"}
        for day, (payer, amount) in enumerate(sums, 1)
    ]
    one = only(proven("C1", str(loss), compensations=compensations), liability_share=share)
    parts: dict[Any, Decimal] = {}
    for part in one.sums:
        parts[part.paid_on] = parts.get(part.paid_on, Decimal(0)) + part.used
    deducted = sum((part.used for part in one.sums if part.clause == "9.8"), Decimal(0))
    own = sum((part.used for part in one.sums if part.clause == "9.7"), Decimal(0))
    cent = Decimal("0.01") * (len(sums) + 1)

    assert all(used <= sums[day.day - 1][1] for day, used in parts.items())
    assert own <= loss * (100 - share) / 100 + cent
    assert abs(one.payable - (loss * share / 100 - deducted)) <= cent


@settings(deadline=None)
@given(cents, cents, cents, st.booleans())
def test_a_premium_is_withheld_once_and_together_with_the_payment_is_the_loss(
    loss: Decimal, second: Decimal, unpaid: Decimal, last: bool
) -> None:
    """9.5: what one decision withholds is paid premium for the next: in all no more than was unpaid."""
    readings = LAST if last else {}
    withheld = paid_out = Decimal(0)
    for amount in (loss, second):
        terms = policy(instalments=True, unpaid_premium=unpaid - withheld)
        one = settled(proven("C1", str(amount)), terms=terms, withhold_premium=True, readings=readings)
        withheld, paid_out = withheld + one.premium, paid_out + one.payable

    assert withheld == min(unpaid, loss + second)
    assert withheld + paid_out == loss + second
