"""The settlement: worked examples of each step, and the rules that hold for every case."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.settlement import (
    Basis,
    ClaimantSettlement,
    Deductible,
    DeductibleKind,
    Head,
    Loss,
    OtherInsurer,
    PaidSum,
    Payer,
    PolicyTerms,
    Readings,
    Recommended,
    Reduction,
    Reserved,
    SettlementInput,
    Sublimit,
    Taken,
    TakenByPerson,
    TakenOfSublimit,
)
from rules.settlement import explain, settle, used_up

D = Decimal
CENT = D("0.01")


def loss(claimant: str, amount: str, head: Head = Head.property_damaged, **more: Any) -> Loss:
    proven = {} if "facts" in more else {"proven": amount}
    return Loss.model_validate({"claimant": claimant, "head": head, "claimed": amount} | proven | more)


def paid(payer: Payer, amount: str, day: int = 1, *, agreed: bool = False) -> PaidSum:
    return PaidSum(payer=payer, amount=D(amount), paid_on=date(2026, 3, day), agreed=agreed)


def policy(occurrence: str = "100000", aggregate: str = "200000", **more: Any) -> PolicyTerms:
    return PolicyTerms(limit_per_occurrence=D(occurrence), limit_aggregate=D(aggregate), **more)


def case(*losses: Loss, terms: PolicyTerms | None = None, **more: Any) -> SettlementInput:
    return SettlementInput(policy=terms or policy(), losses=losses, **more)


def payable(filing: SettlementInput) -> dict[str, str]:
    return {c.claimant: str(c.payable) for c in settle(filing).claimants}


def only(filing: SettlementInput) -> ClaimantSettlement:
    (claimant,) = settle(filing).claimants
    return claimant


def shown(claimant: ClaimantSettlement) -> list[tuple[str, str, str]]:
    return [(step.clause, str(step.before), str(step.after)) for step in claimant.steps]


# Worked examples


def test_every_step_in_its_order() -> None:
    """Claimed 12 000, proven 10 000; liable for 80 %: 8 000; deductible 500: 7 500; limit of the occurrence 10 000 of
    which 4 000 is paid: 6 000; period 50 000 of which 4 000 is paid: 6 000; a duty breached, 10 %: 5 400; 400 already
    paid by others: 5 000."""
    claimant = only(
        case(
            loss("C1", "12000", proven="10000", compensations=[paid(Payer.own_insurer, "400")]),
            terms=policy("10000", "50000", deductible=Deductible(value=D("500"))),
            liability_share=D("80"),
            taken=Taken(occurrence=D("4000"), aggregate=D("4000")),
            reductions=(Reduction(clause="8.1.2", percent=D("10")),),
        )
    )

    assert shown(claimant) == [
        ("9.1", "12000.00", "10000.00"),
        ("9.7", "10000.00", "8000.00"),
        ("9.5", "8000.00", "7500.00"),
        ("5.4", "7500.00", "6000.00"),
        ("5.6", "6000.00", "6000.00"),
        ("8.2", "6000.00", "5400.00"),
        ("9.8", "5400.00", "5000.00"),
        ("10.1", "5000.00", "5000.00"),
    ]
    assert (claimant.payable, claimant.withheld, claimant.uncompensated) == (D("5000"), D("0"), D("4600"))


@pytest.mark.parametrize(("before", "expected"), [(True, "400.00"), (False, "450.00")])
def test_liability_before_or_after_the_deductible_is_a_reading_that_the_step_names(before: bool, expected: str) -> None:
    """Loss 1 000, liable for half, deductible 100: 1 000 / 2 - 100 = 400, or (1 000 - 100) / 2 = 450."""
    claimant = only(
        case(
            loss("C1", "1000"),
            terms=policy(deductible=Deductible(value=D("100"))),
            liability_share=D("50"),
            readings=Readings(liability_before_deductible=before),
        )
    )
    note = next(step.note for step in claimant.steps if step.clause == "9.7")

    assert str(claimant.payable) == expected
    assert note is not None
    assert ("before the deductible" in note.en) is before


def test_nobody_gets_more_than_was_claimed() -> None:
    """Claimed 900, proven 1 000: 900."""
    assert payable(case(loss("C1", "900", proven="1000"))) == {"C1": "900.00"}


def test_the_deductible_of_an_occurrence_is_taken_once_over_its_filings() -> None:
    """Deductible 500. First filing, loss 300: all of it is deducted. Second, loss 1 000: the other 200, so 800 is paid.
    Third, loss 50: nothing is left to deduct."""
    terms = policy(deductible=Deductible(value=D("500")))
    first = settle(case(loss("C1", "300"), terms=terms))
    second = settle(case(loss("C2", "1000"), terms=terms, taken=Taken(deductible=first.deductible)))
    third = settle(case(loss("C3", "50"), terms=terms, taken=Taken(deductible=first.deductible + second.deductible)))

    assert [str(s.deductible) for s in (first, second, third)] == ["300.00", "200.00", "0.00"]
    assert [str(s.payable) for s in (first, second, third)] == ["0.00", "800.00", "50.00"]


def test_what_earlier_claims_may_bear_of_the_deductible_is_held_back_and_not_deducted() -> None:
    """9.5, 9.6: deductible 500, of which open claims filed earlier may bear 200. Of 1 000, 300 is deducted and 200 held
    back: 500 is paid as if this claim bore all, and 700 in the end if they bear theirs."""
    terms = policy(deductible=Deductible(value=D("500")))
    settlement = settle(case(loss("C1", "1000"), terms=terms, reserved_by_earlier=Reserved(deductible=D("200"))))
    claimant = only(case(loss("C1", "1000"), terms=terms, reserved_by_earlier=Reserved(deductible=D("200"))))

    assert (str(claimant.payable), str(claimant.withheld), str(settlement.deductible)) == ("500.00", "200.00", "300.00")
    assert ("9.6", "700.00", "500.00") in shown(claimant)
    assert not used_up(claimant)
    lines = {
        language: explain(settlement, "C1", language)[-1].replace("\N{NO-BREAK SPACE}", " ")
        for language in ("lv", "lt", "en")
    }
    assert lines["en"] == (
        "You are entitled to up to EUR 200.00 more, subject to clauses 9.5 and 9.6: claims filed earlier bear the "
        "deductible first, and they are not decided yet."
    )
    assert "pašrisku vispirms sedz agrāk iesniegtas pretenzijas" in lines["lv"]
    assert "išskaita pirmiausia tenka anksčiau pateiktoms pretenzijoms" in lines["lt"]


@pytest.mark.parametrize(
    ("deductible", "taken", "may_bear", "expected"),
    [
        # more than the deductible has left is borne by nobody
        (Deductible(value=D("500")), "0", "9000", ("500.00", "500.00")),
        (Deductible(value=D("500")), "400", "9000", ("900.00", "100.00")),
        (Deductible(value=D("500")), "500", "9000", ("1000.00", "0.00")),
        # of these two nobody bears a part of what is another's
        (Deductible(kind=DeductibleKind.percent, value=D("10")), "0", "9000", ("900.00", "0.00")),
        (Deductible(value=D("500"), basis=Basis.per_person), "0", "9000", ("500.00", "0.00")),
    ],
)
def test_no_more_of_the_deductible_is_held_back_than_is_left_of_one_per_occurrence(
    deductible: Deductible, taken: str, may_bear: str, expected: tuple[str, str]
) -> None:
    claimant = only(
        case(
            loss("C1", "1000"),
            terms=policy(deductible=deductible),
            taken=Taken(deductible=D(taken)),
            reserved_by_earlier=Reserved(deductible=D(may_bear)),
        )
    )

    assert (str(claimant.payable), str(claimant.withheld)) == expected


def test_where_the_limit_is_paid_whoever_bears_the_deductible_nothing_is_held_back() -> None:
    """Limit 400, deductible 300: of 1 000 the limit is due, with the deductible and without. Where the limit is 900, it
    is 700 now and 200 held back; and where earlier claims also reserve 600 of it, 300 now, with both reasons."""
    left = Deductible(value=D("300"))
    bears = Reserved(deductible=D(300))
    small = only(case(loss("C1", "1000"), terms=policy("400", deductible=left), reserved_by_earlier=bears))
    large = only(case(loss("C1", "1000"), terms=policy("900", deductible=left), reserved_by_earlier=bears))
    reserved = Reserved(deductible=D(300), occurrence=D(600))
    both = settle(case(loss("C1", "1000"), terms=policy("900", deductible=left), reserved_by_earlier=reserved))

    assert (str(small.payable), str(small.withheld)) == ("400.00", "0.00")
    assert (str(large.payable), str(large.withheld)) == ("700.00", "200.00")
    assert (str(both.payable), str(both.withheld)) == ("300.00", "600.00")
    assert "have reserved a part of the limit" in explain(both, "C1", "en")[-1]
    assert "bear the deductible first" in explain(both, "C1", "en")[-1]


def test_the_deductible_of_an_occurrence_is_shared_pro_rata_within_a_filing() -> None:
    """Losses 300 and 100, deductible 40: 30 and 10, so 270 and 90."""
    filing = case(loss("C1", "300"), loss("C2", "100"), terms=policy(deductible=Deductible(value=D("40"))))

    assert payable(filing) == {"C1": "270.00", "C2": "90.00"}


def test_a_deductible_per_person_is_taken_from_each() -> None:
    """Deductible 100 each: C1 300 - 100 = 200; C2 had 60 taken earlier: 300 - 40 = 260; C3 with 80 gets nothing."""
    filing = case(
        loss("C1", "300"),
        loss("C2", "300"),
        loss("C3", "80"),
        terms=policy(deductible=Deductible(value=D("100"), basis=Basis.per_person)),
        taken=Taken(persons=(TakenByPerson(claimant="C2", deductible=D("60")),)),
    )

    assert payable(filing) == {"C1": "200.00", "C2": "260.00", "C3": "0.00"}


@pytest.mark.parametrize("basis", [Basis.per_occurrence, Basis.per_person])
def test_a_deductible_in_percent_is_of_the_amount_at_its_step(
    basis: Literal[Basis.per_occurrence, Basis.per_person],
) -> None:
    """Loss 1 000.01, liable for 50 %: 500.005; less 10 %: 450.0045; rounded once: 450.00.
    Rounding at each step would give 500.01 less 10 % = 450.01.
    """
    deductible = Deductible(kind=DeductibleKind.percent, value=D("10"), basis=basis)

    assert payable(case(loss("C1", "1000.01"), terms=policy(deductible=deductible), liability_share=D("50"))) == {
        "C1": "450.00"
    }


def test_half_a_cent_is_rounded_up_once_at_the_end() -> None:
    """0.01 at 50 % is half a cent, and is paid as 0.01; 0.03 over two heads (0.01 and 0.02) at 50 % is 0.015: 0.02."""
    two = case(loss("C1", "0.01", Head.treatment), loss("C1", "0.02"), liability_share=D("50"))

    assert payable(case(loss("C1", "0.01"), liability_share=D("50"))) == {"C1": "0.01"}
    assert [(h.head.value, str(h.payable)) for h in only(two).heads] == [
        ("treatment", "0.01"),
        ("property_damaged", "0.01"),
    ]


def test_a_limit_is_shared_pro_rata_and_used_to_the_cent() -> None:
    """Three equal losses under a limit of 100: 33.34 to the first by id, 33.33 to the others; C2 comes before C10."""
    filing = case(loss("C10", "500"), loss("C2", "500"), loss("C3", "500"), terms=policy("100"))

    assert payable(filing) == {"C2": "33.34", "C3": "33.33", "C10": "33.33"}


def test_the_odd_cent_goes_to_the_largest_claimant_and_its_largest_head() -> None:
    """Limit 100 for 200 (150 + 50) and 100: 66.666 and 33.333; the odd cent to C2,
    whose parts are 50.00 and 16.67."""
    filing = case(
        loss("C1", "100"), loss("C2", "150", Head.treatment), loss("C2", "50", Head.funeral), terms=policy("100")
    )
    settlement = settle(filing)

    assert payable(filing) == {"C1": "33.33", "C2": "66.67"}
    assert [str(h.payable) for h in settlement.claimants[1].heads] == ["50.00", "16.67"]


def test_rounding_up_never_passes_a_limit() -> None:
    """Half of 66.67, 66.67 and 66.66 is 33.335, 33.335 and 33.33: 100.00 exactly, but 100.01 if each is rounded up."""
    filing = case(
        loss("C1", "66.67"), loss("C2", "66.67"), loss("C3", "66.66"), terms=policy("100"), liability_share=D(50)
    )

    assert payable(filing) == {"C1": "33.34", "C2": "33.33", "C3": "33.33"}


def test_the_part_paid_now_never_passes_the_entitlement_by_the_odd_cent() -> None:
    """Losses 0.20, 0.19, 0.18 under a limit of 0.23 share it as 0.09, 0.07, 0.07. With 0.01 reserved, sharing 0.22
    afresh would give C2 0.08, more than it is entitled to: it gets 0.07, and the odd cent waits."""
    settlement = settle(
        case(
            loss("C1", "0.20"),
            loss("C2", "0.19"),
            loss("C3", "0.18"),
            terms=policy("0.23"),
            reserved_by_earlier=Reserved(occurrence=D("0.01")),
        )
    )

    assert [str(c.payable) for c in settlement.claimants] == ["0.08", "0.07", "0.06"]
    assert [str(c.withheld) for c in settlement.claimants] == ["0.01", "0.00", "0.01"]


def test_costs_count_within_the_limit() -> None:
    """Damage 900 and litigation 300 under a limit of 1 000: 750 and 250."""
    filing = case(loss("C1", "900"), loss("C1", "300", Head.litigation_costs), terms=policy("1000"))

    assert [str(h.payable) for h in only(filing).heads] == ["750.00", "250.00"]


def test_own_costs_of_the_insured_come_after_the_third_parties() -> None:
    """Limit 1 000: the third party's 900 in full, of the insured's rescue costs of 300 the remaining 100."""
    filing = case(loss("C1", "900"), loss("I1", "300", Head.rescue_costs, own_costs=True), terms=policy("1000"))

    assert payable(filing) == {"C1": "900.00", "I1": "100.00"}


def test_the_aggregate_less_what_the_period_took() -> None:
    """Aggregate 5 000 of which 4 700 is paid: 300 is left, whatever the occurrence allows."""
    assert payable(case(loss("C1", "800"), terms=policy("1000", "5000"), taken=Taken(aggregate=D("4700")))) == {
        "C1": "300.00"
    }


def test_a_limit_lowered_below_what_it_took_leaves_nothing() -> None:
    """Limit lowered to 1 000 after 1 500 was paid: 0, not a debt."""
    assert payable(case(loss("C1", "800"), terms=policy("1000"), taken=Taken(occurrence=D("1500")))) == {"C1": "0.00"}


def test_a_sublimit_binds_its_heads_only() -> None:
    """Property up to 500 in all, 100 of it used: C1 600 and C2 200 share 400 as 300 and 100; the 50
    for treatment is whole."""
    filing = case(
        loss("C1", "600"),
        loss("C1", "50", Head.treatment),
        loss("C2", "200", Head.property_destroyed),
        terms=policy(
            sublimits=(Sublimit(name="Manta", heads=(Head.property_damaged, Head.property_destroyed), limit=D("500")),)
        ),
        taken=Taken(sublimits=(TakenOfSublimit(name="Manta", paid=D("100")),)),
    )

    assert payable(filing) == {"C1": "350.00", "C2": "100.00"}


def test_a_sublimit_per_person_is_each_ones_own() -> None:
    """Treatment up to 500 a person: C1 600 gets 500; C2, paid 450 earlier, gets 50."""
    filing = case(
        loss("C1", "600", Head.treatment),
        loss("C2", "600", Head.treatment),
        terms=policy(
            sublimits=(Sublimit(name="Ārstniecība", heads=(Head.treatment,), limit=D("500"), basis=Basis.per_person),)
        ),
        taken=Taken(sublimits=(TakenOfSublimit(name="Ārstniecība", claimant="C2", paid=D("450")),)),
    )

    assert payable(filing) == {"C1": "500.00", "C2": "50.00"}


def test_the_limit_per_person_less_what_that_person_got() -> None:
    """700 a person: C1 gets 700 of 900; C2, paid 600 earlier, gets 100 of 900."""
    filing = case(
        loss("C1", "900"),
        loss("C2", "900"),
        terms=policy(limit_per_person=D("700")),
        taken=Taken(persons=(TakenByPerson(claimant="C2", paid=D("600")),)),
    )

    assert payable(filing) == {"C1": "700.00", "C2": "100.00"}


def test_reductions_are_percentages_of_the_indemnity_after_the_limits() -> None:
    """Limit 1 000 of 2 000; 10 % and 20 %: 1 000 - 100 - 200 = 700, in the order of the clauses."""
    claimant = only(
        case(
            loss("C1", "2000"),
            terms=policy("1000"),
            reductions=(Reduction(clause="8.1.3", percent=D("20")), Reduction(clause="7.1.1", percent=D("10"))),
        )
    )

    assert [s for s in shown(claimant) if s[0] == "8.2"] == [
        ("8.2", "1000.00", "900.00"),
        ("8.2", "900.00", "700.00"),
    ]


def test_what_others_paid_touches_its_own_head_only() -> None:
    """Treatment 100 of which 150 was paid by another; property 300: 0 and 300, the 50 too much is nobody's loss."""
    claimant = only(
        case(loss("C1", "100", Head.treatment, compensations=[paid(Payer.other, "150")]), loss("C1", "300"))
    )

    assert [str(h.payable) for h in claimant.heads] == ["0.00", "300.00"]
    assert str(claimant.uncompensated) == "0.00"


def test_a_limit_reserved_by_earlier_claims_withholds_and_does_not_refuse() -> None:
    """Limit 1 000, of which earlier open claims reserve 700: of a loss of 800, 300 is paid now; 500 stays withheld.
    What is above the limit or would be reduced anyway is not withheld: a loss of 1 500 less 10 % has 270 and 630."""
    terms = policy("1000")
    plain = only(case(loss("C1", "800"), terms=terms, reserved_by_earlier=Reserved(occurrence=D("700"))))
    reduced = only(
        case(
            loss("C1", "1500"),
            terms=terms,
            reserved_by_earlier=Reserved(occurrence=D("700")),
            reductions=(Reduction(clause="8.1.1", percent=D("10")),),
        )
    )

    assert (str(plain.payable), str(plain.withheld)) == ("300.00", "500.00")
    assert ("9.6", "800.00", "300.00") in shown(plain)
    assert (str(reduced.payable), str(reduced.withheld)) == ("270.00", "630.00")


def test_a_reserve_of_the_period_counts_too() -> None:
    """Aggregate 1 000, 400 paid, 500 reserved: of 800, 600 is due at all; 100 now and 500 withheld."""
    claimant = only(
        case(
            loss("C1", "800"),
            terms=policy("1000", "1000"),
            taken=Taken(aggregate=D("400")),
            reserved_by_earlier=Reserved(aggregate=D("500")),
        )
    )

    assert (str(claimant.payable), str(claimant.withheld)) == ("100.00", "500.00")
    assert ("9.10", "600.00", "100.00") in shown(claimant)


# What the model refuses


@pytest.mark.parametrize(
    ("amount", "fault"),
    [
        ("-1", "must not be negative"),
        (Decimal("0.001"), "whole cents"),
        (0.1, "not float"),
        (True, "not bool"),
        ("NaN", "finite"),
        ("Infinity", "finite"),
        ("1E+30", "must not exceed"),
        ("ten", "must be a number"),
    ],
)
def test_money_that_is_no_money_is_refused(amount: Any, fault: str) -> None:
    """Negative, finer than a cent, a float, not a number or absurdly large: refused, and the error says which."""
    with pytest.raises(ValidationError, match=fault):
        Loss(claimant="C1", head=Head.treatment, claimed=amount, proven=D(1))


def test_what_would_count_twice_is_refused() -> None:
    """A head of a claimant, a duty or a sublimit given twice is a fault, not a sum."""
    with pytest.raises(ValidationError, match="losses given more than once: C1 property_damaged"):
        case(loss("C1", "1"), loss("C1", "2"))
    with pytest.raises(ValidationError, match=r"reductions for the same duty: 8\.1\.1"):
        case(loss("C1", "1"), reductions=(Reduction(clause="8.1.1", percent=D("1")),) * 2)
    with pytest.raises(ValidationError, match="sublimits named more than once: Manta"):
        policy(sublimits=(Sublimit(name="Manta", heads=(Head.death,), limit=D("1")),) * 2)
    with pytest.raises(ValidationError, match="taken by a person is given more than once: C1"):
        Taken(persons=(TakenByPerson(claimant="C1"),) * 2)
    with pytest.raises(ValidationError, match="taken of a sublimit is given more than once: Manta"):
        Taken(sublimits=(TakenOfSublimit(name="Manta", paid=D("1")),) * 2)


def test_percentages_and_sublimits_must_make_sense() -> None:
    """More than 100 percent, an unknown sublimit, or a claimant where the sublimit has none, is refused."""
    with pytest.raises(ValidationError, match="from 0 to 100"):
        case(loss("C1", "1"), liability_share=D("100.5"))
    with pytest.raises(ValidationError, match="six decimals"):
        case(loss("C1", "1"), liability_share=D("33.33333333"))
    with pytest.raises(ValidationError, match="from 0 to 100"):
        Deductible(kind=DeductibleKind.percent, value=D("101"))
    with pytest.raises(ValidationError, match="add up to 120 percent"):
        case(
            loss("C1", "1"),
            reductions=(
                Reduction(clause="8.1.1", percent=D("60")),
                Reduction(clause="8.1.2", percent=D("60")),
            ),
        )
    with pytest.raises(ValidationError, match="does not have: Manta"):
        case(loss("C1", "1"), taken=Taken(sublimits=(TakenOfSublimit(name="Manta", paid=D("1")),)))
    with pytest.raises(ValidationError, match="where, and only where"):
        case(
            loss("C1", "1"),
            terms=policy(sublimits=(Sublimit(name="Manta", heads=(Head.death,), limit=D("1")),)),
            taken=Taken(sublimits=(TakenOfSublimit(name="Manta", claimant="C1", paid=D("1")),)),
        )


# The letter


def test_the_letter_says_each_change_and_what_is_withheld_in_three_languages() -> None:
    """Loss 12 000, deductible 10 %: 10 800; limit 10 000 of which 7 000 is reserved: 3 000 now, 7 000 withheld."""
    settlement = settle(
        case(
            loss("C1", "12000"),
            terms=policy("10000", deductible=Deductible(kind=DeductibleKind.percent, value=D("10"))),
            reserved_by_earlier=Reserved(occurrence=D("7000")),
        )
    )
    plain = {
        language: [line.replace("\N{NO-BREAK SPACE}", " ") for line in explain(settlement, "C1", language)]
        for language in ("lv", "lt", "en")
    }

    assert plain["en"] == [
        "Loss as proven (clause 9.1): EUR 12,000.00. For each head of loss what is proven, but no more than claimed.",
        (
            "Deductible (clause 9.5): from EUR 12,000.00 to EUR 10,800.00. The deductible is 10% of the amount at "
            "this step."
        ),
        (
            "Limit per occurrence (clause 5.4): from EUR 10,800.00 to EUR 10,000.00. The limit is EUR 10,000.00, of "
            "which EUR 0.00 was paid earlier; costs count within it."
        ),
        (
            "Reserved for earlier claims (clause 9.6): from EUR 10,000.00 to EUR 3,000.00. Claims filed earlier have "
            "reserved EUR 7,000.00; the part held back is not refused."
        ),
        "Payable (clause 10.1): EUR 3,000.00.",
        "- Property damaged (clause 9.3.2): EUR 3,000.00",
        (
            "You are entitled to up to EUR 7,000.00 more, subject to clause 9.6: claims filed earlier have reserved "
            "this part of the limit of liability for the time being."
        ),
    ]
    assert plain["lv"][1] == (
        "Pašrisks (noteikumu 9.5. punkts): no 12 000,00 EUR uz 10 800,00 EUR. Pašrisks ir 10 % no summas šajā solī."
    )
    assert plain["lt"][1] == (
        "Išskaita (taisyklių 9.5 punktas): nuo 12 000,00 EUR iki 10 800,00 EUR. "
        "Išskaita sudaro 10 % sumos šiame žingsnyje."
    )
    assert len({len(lines) for lines in plain.values()}) == 1


def test_a_letter_to_a_stranger_is_a_fault() -> None:
    """No claimant, no letter."""
    with pytest.raises(ValueError, match="no claimant C9"):
        explain(settle(case(loss("C1", "1"))), "C9", "en")


# What holds for every case


# small sums make odd cents frequent, large ones make limits bind
amounts = st.one_of(st.integers(0, 40), st.integers(0, 2_000_000)).map(lambda cents: Decimal(cents).scaleb(-2))
percents = st.one_of(st.sampled_from(["0", "50", "100", "33.333333"]), st.integers(0, 100)).map(Decimal)


sums = st.lists(
    st.builds(
        PaidSum,
        payer=st.sampled_from([Payer.co_liable, Payer.liability_insurer, Payer.insured, Payer.other]),
        amount=amounts,
    ).map(lambda one: one.model_copy(update={"agreed": one.payer is Payer.insured})),
    max_size=3,
)


one_sum = st.fixed_dictionaries({"proven": amounts})
proofs = {
    Head.treatment: one_sum
    | st.builds(
        lambda costs: {"facts": {"costs": costs, "comfort": costs / 2 if not costs % D("0.02") else 0}}, amounts
    ),
    Head.temporary_incapacity: one_sum
    | st.builds(
        lambda average, count, benefit: {
            "facts": {"average": average, "count": count, "received": [{"payer": "state", "amount": benefit}]}
        },
        amounts,
        st.integers(1, 99),
        amounts,
    ),
    Head.lost_capacity: one_sum,
    Head.death: one_sum
    | st.builds(
        lambda income, share, pension, first, days: {
            "facts": {
                "income": income,
                "share": share,
                "pension": pension,
                "first_day": first,
                "last_day": first + timedelta(days=days),
                "right": "minor",
                "born_on": "2010-02-28",
            }
        },
        amounts,
        percents,
        amounts,
        st.dates(date(2026, 1, 1), date(2029, 1, 1)),
        st.integers(0, 900),
    ),
}


@st.composite
def cases(draw: st.DrawFn) -> SettlementInput:
    keys = draw(
        st.lists(
            st.tuples(st.sampled_from(["C1", "C2", "C3", "C10"]), st.sampled_from(list(Head)[:4])),
            min_size=1,
            max_size=8,
            unique=True,
        )
    )
    losses = [
        Loss(
            claimant=name,
            head=head,
            claimed=draw(amounts),
            **draw(proofs[head]),
            deceased=draw(st.sampled_from(["D1", "D2"])),
            # no two heads with the same sum
            compensations=tuple(
                one.model_copy(update={"paid_on": date(2026, list(Head).index(head) + 1, day)})
                for day, one in enumerate(draw(sums), 1)
            ),
            own_costs=draw(st.sampled_from([False, False, False, True])),
        )
        for name, head in keys
    ]
    percent = draw(st.booleans())
    sublimits = [
        Sublimit(
            name=name,
            heads=tuple(draw(st.lists(st.sampled_from(list(Head)[:4]), min_size=1, unique=True))),
            limit=draw(amounts),
            basis=draw(st.sampled_from(Basis)),
        )
        for name in draw(st.sampled_from([(), ("A",), ("A", "B")]))
    ]
    terms = PolicyTerms(
        limit_per_occurrence=draw(amounts),
        limit_aggregate=draw(amounts),
        limit_per_person=draw(st.one_of(st.none(), amounts)),
        sublimits=tuple(sublimits),
        deductible=Deductible(
            kind=DeductibleKind.percent if percent else DeductibleKind.amount,
            value=draw(percents if percent else amounts),
            basis=draw(st.sampled_from([Basis.per_occurrence, Basis.per_person])),
        ),
        death_is_one_person=draw(st.booleans()),
        instalments=True,
        unpaid_premium=draw(amounts),
    )
    taken = Taken(
        occurrence=draw(amounts),
        aggregate=draw(amounts),
        deductible=draw(amounts),
        persons=tuple(
            TakenByPerson(claimant=name, paid=draw(amounts), deductible=draw(amounts))
            for name in draw(st.sampled_from([(), ("C1",), ("C1", "D1")]))
        ),
        sublimits=tuple(
            TakenOfSublimit(name=s.name, claimant="C1" if s.basis is Basis.per_person else None, paid=draw(amounts))
            for s in sublimits
        ),
    )
    reductions = draw(st.sampled_from([(), ("8.1.1",), ("8.1.1", "7.1.2")]))
    return SettlementInput(
        policy=terms,
        losses=tuple(losses),
        taken=draw(st.sampled_from([taken, Taken()])),
        liability_share=draw(percents),
        reductions=tuple(Reduction(clause=c, percent=D(draw(st.integers(0, 50)))) for c in reductions),
        reserved_by_earlier=Reserved(
            occurrence=draw(amounts),
            aggregate=draw(st.sampled_from([Decimal(0), Decimal(5)])),
            deductible=draw(st.one_of(st.just(Decimal(0)), amounts)),
        ),
        other_insurers=draw(st.sampled_from([(), (OtherInsurer(insurer="A", limit=D(7000)),)])),
        recommended=draw(st.sampled_from([(), (Recommended(claimant=keys[0][0], amount=draw(amounts)),)])),
        withhold_premium=draw(st.booleans()),
        readings=Readings(
            liability_before_deductible=draw(st.booleans()), unpaid_premium_with_deductible=draw(st.booleans())
        ),
    )


def room(limit: Decimal, *used: Decimal) -> Decimal:
    return max(limit - sum(used), Decimal(0))


@settings(deadline=None)
@given(cases())
def test_nothing_is_negative_and_no_limit_is_passed(filing: SettlementInput) -> None:
    """Neither what is payable now nor the whole entitlement passes any limit or the loss."""
    settlement, terms, taken = settle(filing), filing.policy, filing.taken
    reserved = filing.reserved_by_earlier
    parts = {(c.claimant, h.head): h for c in settlement.claimants for h in c.heads}
    entitled = {key: h.payable + h.withheld for key, h in parts.items()}

    assert all(h.payable >= 0 and h.withheld >= 0 for h in parts.values())
    assert all(entitled[one.claimant, one.head] <= one.claimed for one in filing.losses)
    assert all(due <= parts[key].steps[-1].after + CENT / 2 for key, due in entitled.items())
    assert all(0 <= h.to_insured <= h.payable for h in parts.values())
    assert settlement.payable <= room(terms.limit_per_occurrence, taken.occurrence, reserved.occurrence)
    assert settlement.payable <= room(terms.limit_aggregate, taken.aggregate, reserved.aggregate)
    assert sum(entitled.values()) <= room(terms.limit_per_occurrence, taken.occurrence)
    assert sum(entitled.values()) <= room(terms.limit_aggregate, taken.aggregate)
    person = {
        (one.claimant, one.head): one.deceased
        if terms.death_is_one_person and one.head in (Head.death, Head.funeral)
        else one.claimant
        for one in filing.losses
    }
    if terms.limit_per_person is not None:
        for name in set(person.values()):
            before = sum(p.paid for p in taken.persons if p.claimant == name)
            spent = sum(due for key, due in entitled.items() if person[key] == name)
            assert spent <= room(terms.limit_per_person, Decimal(before))
    for sublimit in terms.sublimits:
        groups = [{key for key in person if person[key] == name} for name in set(person.values())]
        names: list[str | None] = [*set(person.values())]
        if sublimit.basis is not Basis.per_person:
            groups, names = [set(person)], [None]
        for group, one in zip(groups, names, strict=True):
            before = sum(t.paid for t in taken.sublimits if (t.name, t.claimant) == (sublimit.name, one))
            spent = sum(due for key, due in entitled.items() if key in group and key[1] in sublimit.heads)
            assert spent <= room(sublimit.limit, Decimal(before))


@settings(deadline=None)
@given(cases())
def test_steps_and_totals_add_up(filing: SettlementInput) -> None:
    """Each step starts where the last one ended, none raises the amount but the rounding, and the last is payable."""
    settlement = settle(filing)
    for claimant in settlement.claimants:
        own = [one for one in filing.losses if one.claimant == claimant.claimant]
        assert claimant.steps[0].before == sum(one.claimed for one in own)
        assert all(a.after == b.before for a, b in zip(claimant.steps, claimant.steps[1:], strict=False))
        assert all(step.after <= step.before for step in claimant.steps[:-1])
        assert abs(claimant.steps[-1].after - claimant.steps[-1].before) <= CENT * len(filing.losses)
        assert claimant.steps[-1].after == claimant.payable == sum(h.payable for h in claimant.heads)
        assert claimant.withheld == sum(h.withheld for h in claimant.heads)
        assert all(explain(settlement, claimant.claimant, language) for language in ("lv", "lt", "en"))
    assert settlement.payable == sum(c.payable for c in settlement.claimants)
    assert settlement.withheld == sum(c.withheld for c in settlement.claimants)


@settings(deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_the_losses_does_not_matter(filing: SettlementInput, random: Any) -> None:
    """The same losses in any order, or read back from JSON, give the same settlement to the letter."""
    shuffled = list(filing.losses)
    random.shuffle(shuffled)
    expected = settle(filing).model_dump_json()

    assert settle(filing.model_copy(update={"losses": tuple(shuffled)})).model_dump_json() == expected
    assert settle(SettlementInput.model_validate_json(filing.model_dump_json())).model_dump_json() == expected
    assert json.loads(expected)["payable"].count(".") == 1


@settings(deadline=None)
@given(st.lists(amounts, min_size=1, max_size=6), amounts, st.booleans())
def test_no_sum_is_deducted_twice(losses: list[Decimal], deductible: Decimal, one_filing: bool) -> None:
    """However the losses are filed, payment and deductible together are the loss, and the deductible is taken once."""
    terms = policy("99999999", "99999999", deductible=Deductible(value=deductible))
    filings = [[*enumerate(losses, 1)]] if one_filing else [[pair] for pair in enumerate(losses, 1)]
    paid = taken = Decimal(0)
    for filing in filings:
        settlement = settle(
            case(*(loss(f"C{i}", str(amount)) for i, amount in filing), terms=terms, taken=Taken(deductible=taken))
        )
        paid, taken = paid + settlement.payable, taken + settlement.deductible

    assert taken == min(deductible, sum(losses))
    # claimants of one filing are each rounded half-up on their own
    assert abs(paid + taken - sum(losses)) <= (CENT * len(losses) if one_filing else 0)


@settings(deadline=None)
@given(st.lists(amounts, min_size=1, max_size=6), amounts)
def test_a_limit_that_binds_is_used_to_the_cent(losses: list[Decimal], limit: Decimal) -> None:
    """Whole losses under a limit alone: together they get exactly the lower of the two."""
    settlement = settle(case(*(loss(f"C{i}", str(a)) for i, a in enumerate(losses, 1)), terms=policy(str(limit))))

    assert settlement.payable == min(limit, sum(losses))


@settings(deadline=None)
@given(cases())
def test_what_is_paid_now_is_no_more_than_if_no_earlier_claim_bore_anything(filing: SettlementInput) -> None:
    """Whatever becomes of them, nothing is to be asked back."""
    reserved = filing.reserved_by_earlier.model_copy(update={"deductible": Decimal(0)})
    alone = settle(filing.model_copy(update={"reserved_by_earlier": reserved}))

    # of claimants who then share a limit the odd cent can be another's
    assert settle(filing).payable <= alone.payable + CENT * (len(filing.losses) - 1)


@settings(deadline=None)
@given(cases())
def test_what_is_withheld_is_what_the_reserve_alone_holds_back(filing: SettlementInput) -> None:
    """Payable and withheld together are what would be payable if no earlier claim reserved anything, and each bore all
    of the deductible that it may."""
    settlement = settle(filing)
    bearing = filing.policy.deductible
    borne = filing.taken.deductible
    if bearing.kind is DeductibleKind.amount and bearing.basis is Basis.per_occurrence:
        borne += filing.reserved_by_earlier.deductible
    taken = filing.taken.model_copy(update={"deductible": borne})
    free = settle(filing.model_copy(update={"reserved_by_earlier": Reserved(), "taken": taken}))

    assert free.withheld == 0
    assert [(c.claimant, c.payable + c.withheld, c.uncompensated) for c in settlement.claimants] == [
        (c.claimant, c.payable, c.uncompensated) for c in free.claimants
    ]
