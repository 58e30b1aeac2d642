"""Cover: each point of claims in each of its outcomes, with dates at the edges, worked out by hand from the clauses."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.coverage import (
    OF_CLAIMANT,
    POINTS,
    Cover,
    CoverageFacts,
    Finding,
    FirstClaim,
    Known,
    PaidBefore,
    Period,
    is_duty,
    title_of,
)
from rules.coverage import (
    BREACHES,
    clause_of,
    duties,
    exclusions,
    find_coverage,
    find_exclusion,
    label_of,
    place_of,
)

RIGA = ZoneInfo("Europe/Riga")


def at(text: str) -> datetime:
    """An instant in Rīga."""
    return datetime.fromisoformat(text).replace(tzinfo=RIGA)


def cover(**more: Any) -> Cover:
    """A policy of the year 2026, with the automatic extended reporting period: 31 December + 30 days."""
    return Cover(
        **{
            "policy": "P1",
            "starts_on": date(2026, 1, 1),
            "ends_on": date(2026, 12, 31),
            "reporting_until": date(2027, 1, 30),
            "territory": ("LV",),
            "in_force": Known(outcome="met", clause="6.5", facts={"starts_on": "2026-01-01"}),
            **more,
        }
    )


def facts(**more: Any) -> CoverageFacts:
    """An event in Latvia in May 2026, claimed by the third party from the insurer ten days later."""
    return CoverageFacts(
        **{
            "zone": "Europe/Riga",
            "received_at": at("2026-05-20T10:00"),
            "filed_by": "third_party",
            "claimants": ("C1",),
            "cover": cover(),
            "occurred_on": date(2026, 5, 10),
            "country": "LV",
            "first_made_at": at("2026-05-20T10:00"),
            "first_made_to": "insurer",
            **more,
        }
    )


def found(code: str, **more: Any) -> Finding:
    """The finding of this code."""
    return next(f for f in find_coverage(facts(**more), "BTA") if f.code == code)


def by_route_a(made: str, notice: str | None, **more: Any) -> Finding:
    """First made to the insured; the insured's notice of loss is what arrived."""
    return found(
        "in_time",
        filed_by="insured",
        first_made_to="insured",
        first_made_at=at(made),
        received_at=at(notice or made),
        notice_received_at=at(notice) if notice else None,
        **more,
    )


def by_route_b(made: str, **more: Any) -> Finding:
    """First made to the insurer."""
    return found("in_time", first_made_at=at(made), received_at=at(made), **more)


# ---- 1. in force ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "clause"), [("met", "6.5"), ("not_met", "6.5"), ("not_met", "6.6"), ("not_met", "11.1")]
)
def test_what_the_policy_says_of_being_in_force_is_the_finding(outcome: str, clause: str) -> None:
    """6.5, 6.6, 8.2, 11: the contract's own facts decide, and the finding cites their clause."""
    one = found("in_force", cover=cover(in_force=Known.model_validate({"outcome": outcome, "clause": clause})))
    assert (one.outcome, one.clause) == (outcome, clause)


def test_without_a_policy_or_the_day_of_the_event_nobody_but_the_handler_can_say_that_it_was_in_force() -> None:
    assert found("in_force", cover=None).outcome == "open"
    assert found("in_force", cover=cover(in_force=None), occurred_on=None).outcome == "open"


# ---- 2. event in the period, knowledge, territory, activity ---------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "retroactive", "outcome"),
    [
        ("2026-01-01", None, "met"),  # the first day
        ("2026-12-31", None, "met"),  # the last
        ("2027-01-01", None, "not_met"),  # the day after
        ("2025-12-31", None, "not_met"),  # the day before, without a retroactive period
        ("2025-12-31", "2025-01-01", "met"),
        ("2025-01-01", "2025-01-01", "met"),  # its first day
        ("2024-12-31", "2025-01-01", "not_met"),  # the day before it
    ],
)
def test_the_event_lies_in_the_insurance_or_the_retroactive_period(
    day: str, retroactive: str | None, outcome: str
) -> None:
    """10.2: by local days, the first and the last included."""
    policy = cover(retroactive_from=date.fromisoformat(retroactive) if retroactive else None)
    assert found("in_period", cover=policy, occurred_on=date.fromisoformat(day)).outcome == outcome


def test_after_an_early_end_the_last_day_of_the_contract_counts() -> None:
    """10.2: while the contract runs."""
    ended = cover(ended_on=date(2026, 6, 30))
    assert found("in_period", cover=ended, occurred_on=date(2026, 6, 30)).outcome == "met"
    assert found("in_period", cover=ended, occurred_on=date(2026, 7, 1)).outcome == "not_met"


@pytest.mark.parametrize(
    ("day", "known", "outcome"),
    [
        ("2026-01-01", None, "met"),  # nobody can have known of what came later
        ("2026-01-01", True, "met"),
        ("2025-12-31", None, "open"),
        ("2025-12-31", False, "met"),
        ("2025-12-31", True, "not_met"),
    ],
)
def test_knowledge_is_asked_for_before_the_insurance_period_only(day: str, known: bool | None, outcome: str) -> None:
    """1, retroactive period."""
    policy = cover(retroactive_from=date(2025, 1, 1))
    one = found("not_known", cover=policy, occurred_on=date.fromisoformat(day), known_before=known)
    assert (one.outcome, one.clause) == (outcome, "1")


@pytest.mark.parametrize(
    ("country", "territory", "outcome"),
    [
        ("LV", ("LV",), "met"),
        ("LT", ("LV",), "not_met"),
        ("LT", ("LV", "LT"), "met"),
        (None, ("LV",), "open"),
        ("LT", None, "open"),  # described in words
    ],
)
def test_the_event_lies_in_the_territory(country: str | None, territory: tuple[str, ...] | None, outcome: str) -> None:
    """3.3."""
    assert found("territory", country=country, cover=cover(territory=territory)).outcome == outcome


@pytest.mark.parametrize("code", ["activity", "liable", "direct_loss", "third_party:C1", "no_exclusion"])
def test_what_no_date_can_say_is_open_for_the_handler(code: str) -> None:
    """1, 2.1, 4.1."""
    assert found(code).outcome == "open"


# ---- 3. first made in writing and in time ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "outcome", "counts_as"),
    [
        ("2026-01-01T00:00:00", "met", None),  # the first second of the period
        ("2025-12-31T23:59:59", "not_met", None),
        ("2026-12-31T23:59:59", "met", None),  # the last second of the period
        ("2027-01-01T00:00:00", "met", "2026-12-31"),  # the first after: extended, and counts as made on the last day
        ("2027-01-30T23:59:59", "met", "2026-12-31"),  # the last second of the 30 days
        ("2027-01-31T00:00:00", "not_met", None),
    ],
)
def test_route_b_to_the_insurer_asks_for_nothing_but_its_own_date(
    made: str, outcome: str, counts_as: str | None
) -> None:
    """10.2.2, 10.3; the local day decides."""
    one = by_route_b(made)
    assert (one.outcome, one.facts.get("counts_as")) == (outcome, counts_as)
    assert one.clause == ("10.2.2" if outcome == "met" else "10.2")


def test_the_local_day_decides_and_not_the_day_in_utc() -> None:
    """23:30 UTC on 30 January is 31 January in Rīga: after the extended reporting period."""
    late = datetime(2027, 1, 30, 22, 0, tzinfo=UTC)
    assert found("in_time", first_made_at=late, received_at=late).outcome == "not_met"
    last = late - timedelta(seconds=1)
    assert found("in_time", first_made_at=last, received_at=last).outcome == "met"


def test_a_longer_reporting_period_that_was_agreed_counts() -> None:
    """1: up to three years."""
    agreed = cover(reporting_until=date(2029, 12, 31))
    assert by_route_b("2029-12-31T23:59:59", cover=agreed).outcome == "met"
    assert by_route_b("2030-01-01T00:00:00", cover=agreed).outcome == "not_met"


@pytest.mark.parametrize(
    ("notice", "days", "outcome"),
    [
        ("2026-05-30T23:59:59", 10, "met"),  # made on 20 May: the tenth day
        ("2026-05-31T00:00:00", 10, "not_met"),
        ("2026-05-31T00:00:00", None, "open"),  # the rulebook does not have the statutory term
        (None, 10, "open"),  # no notice of loss is known
    ],
)
def test_route_a_to_the_insured_also_asks_for_the_notice_of_loss_in_its_statutory_term(
    notice: str | None, days: int | None, outcome: str
) -> None:
    """10.2.1."""
    one = by_route_a("2026-05-20T10:00", notice, notice_days=days)
    assert (one.outcome, one.clause) == (outcome, "10.2.1")


def test_made_in_time_to_the_insurer_itself_it_is_covered_whatever_the_insured_did() -> None:
    """10.2.2 is tested on its own: the third party turned to the insurer too, within the periods."""
    one = found(
        "in_time",
        filed_by="third_party",
        first_made_to="insured",
        first_made_at=at("2026-05-20T10:00"),
        received_at=at("2026-09-01T10:00"),
        notice_received_at=at("2026-08-31T10:00"),
        notice_days=10,
    )
    assert (one.outcome, one.clause) == ("met", "10.2.2")


def test_made_to_the_insured_after_the_extended_period_it_is_not_in_time() -> None:
    assert by_route_a("2027-01-30T23:59:59", "2027-02-01T10:00", notice_days=10).outcome == "met"
    assert by_route_a("2027-01-31T00:00:00", "2027-02-01T10:00", notice_days=10).outcome == "not_met"


@pytest.mark.parametrize(
    ("reported", "notice", "outcome"),
    [
        ("2026-12-31T23:59:59", "2027-01-30T23:59:59", "met"),  # the last second of each
        ("2027-01-01T00:00:00", "2027-01-30T23:59:59", "not_met"),  # reported after the period: 10 days had passed
        ("2026-12-31T23:59:59", "2027-01-31T00:00:00", "not_met"),  # the notice came after the extended period
    ],
)
def test_a_circumstance_reported_in_the_period_carries_a_later_notice_of_loss(
    reported: str, notice: str, outcome: str
) -> None:
    """10.3: it counts as made on the last day of the insurance period, though the statutory term was over."""
    one = by_route_a("2026-12-01T10:00", notice, notice_days=10, circumstance_at=at(reported))
    assert one.outcome == outcome
    if outcome == "met":
        assert (one.clause, one.facts["counts_as"]) == ("10.3", "2026-12-31")


@pytest.mark.parametrize(
    ("made", "outcome"),
    [
        ("2026-07-30T23:59:59", "met"),  # 30 June + 30 days
        ("2026-07-31T00:00:00", "possible"),  # later, but before the agreed end: a finding, no rejection
        ("2026-12-31T23:59:59", "possible"),
        ("2027-01-01T00:00:00", "not_met"),
    ],
)
def test_after_an_early_end_the_reporting_period_runs_from_it(made: str, outcome: str) -> None:
    """1, 11.1."""
    ended = cover(ended_on=date(2026, 6, 30), reporting_until=date(2026, 7, 30))
    assert by_route_b(made, cover=ended).outcome == outcome


def test_a_contract_that_never_took_effect_has_no_reporting_period() -> None:
    """6.5."""
    assert by_route_b("2026-05-20T10:00", cover=cover(reporting_until=None)).outcome == "not_met"


def test_a_notice_of_the_insured_that_does_not_say_when_the_claim_was_made_leaves_it_open() -> None:
    one = found("in_time", filed_by="insured", first_made_at=None, first_made_to=None)
    assert one.outcome == "open"


# ---- 4. which policy pays -------------------------------------------------------------------------------------------

NEXT_YEAR = Period(policy="P2", starts_on=date(2027, 1, 1), ends_on=date(2027, 12, 31))


def test_the_policy_pays_in_whose_period_the_claim_was_first_made() -> None:
    """10.4."""
    assert found("right_policy", others=(NEXT_YEAR,)).outcome == "met"
    later = found("right_policy", first_made_at=at("2027-02-01T10:00"), received_at=at("2027-02-01T10:00"))
    assert later.outcome == "met", "no other policy could pay; that it is late is another finding"


def test_another_policy_whose_period_has_the_day_and_reaches_the_event_pays_instead() -> None:
    """10.4: an event of May 2026, claimed in February 2027, and the policy of 2027 has a retroactive period."""
    made = {"first_made_at": at("2027-02-01T10:00"), "received_at": at("2027-02-01T10:00")}
    reaches = NEXT_YEAR.model_copy(update={"retroactive_from": date(2026, 1, 1)})
    one = found("right_policy", others=(reaches,), **made)
    assert (one.outcome, one.facts["others"]) == ("not_met", ["P2"])
    assert found("right_policy", others=(NEXT_YEAR,), **made).outcome == "met", "it does not reach the event"


def test_in_the_extended_period_two_policies_are_possible_and_the_handler_says_which() -> None:
    """10.3 with 10.4: it counts as made on the last day of the old policy, and was made in the new one's period."""
    made = {"first_made_at": at("2027-01-15T10:00"), "received_at": at("2027-01-15T10:00")}
    reaches = NEXT_YEAR.model_copy(update={"retroactive_from": date(2026, 1, 1)})
    assert found("right_policy", others=(reaches,), **made).outcome == "possible"


def test_all_claims_on_one_occurrence_belong_to_the_policy_of_its_first_one() -> None:
    """5.4."""
    first = FirstClaim(case="claim:BTA:1", policy="P0")
    one = found("right_policy", first_claim=first)
    assert (one.outcome, one.clause, one.facts["its_policy"]) == ("not_met", "5.4", "P0")
    assert found("right_policy", first_claim=first.model_copy(update={"policy": "P1"})).outcome == "met"


# ---- 5. third parties -----------------------------------------------------------------------------------------------


def test_each_claimant_has_a_finding_and_one_with_the_insureds_name_is_no_third_party() -> None:
    """1."""
    every = find_coverage(facts(claimants=("C1", "C2"), named_as={"C2": "insured"}), "BTA")
    assert {f.code: f.outcome for f in every if f.code.startswith("third_party")} == {
        "third_party:C1": "open",
        "third_party:C2": "not_met",
    }


@pytest.mark.parametrize(
    ("by", "outcome"),
    [
        (None, "met"),
        ("policyholder", "not_met"),
        ("insured", "not_met"),
        ("co_insured", "not_met"),
        # the document says nothing of it: the handler does
        ("third_party", "possible"),
    ],
)
def test_a_right_that_a_party_to_the_contract_assigned_is_not_paid(by: str | None, outcome: str) -> None:
    """11.4: neither insured nor policyholder may assign what they have against the insurer."""
    known = facts(claimants=("C1", "C2"), assigned_by={} if by is None else {"C2": by})
    every = {f.code: f for f in find_coverage(known, "BTA")}
    assert (every["own_right:C1"].outcome, every["own_right:C2"].outcome) == ("met", outcome)
    assert every["own_right:C2"].clause == "11.4"


# ---- 6. exclusions --------------------------------------------------------------------------------------------------


def test_every_exclusion_has_a_code_a_group_and_titles() -> None:
    """4.1.1 to 4.1.46; of 4.1.28, 4.1.30 and 4.1.42 each letter, and no code without its letter."""
    plain = {f"4.1.{n}" for n in range(1, 47)} - {"4.1.28", "4.1.30", "4.1.42"}
    letters = {f"4.1.28{c}" for c in "abcdefghi"} | {f"4.1.30{c}" for c in "abcde"} | {f"4.1.42{c}" for c in "abcdef"}
    assert set(exclusions()) == plain | letters
    assert all(term.group and term.label.lv and term.label.lt and term.label.en for term in exclusions().values())
    assert {code for code, term in exclusions().items() if term.exception} == {"4.1.16", "4.1.20", "4.1.39"}


def test_an_exclusion_that_the_policy_bought_back_does_not_apply_and_a_changed_one_is_looked_at() -> None:
    """3.4."""
    policy = cover(exclusions={"4.1.24": "bought_back", "4.1.21": "changed"})
    whole = cover(exclusions={"4.1.42": "bought_back"})
    assert find_exclusion("4.1.42c", whole).outcome == "met", "the clause with all its letters"
    said = {code: find_exclusion(code, policy) for code in ("4.1.24", "4.1.21", "4.1.1")}
    assert {code: (f.facts["policy"], f.outcome) for code, f in said.items()} == {
        "4.1.24": ("bought_back", "met"),
        "4.1.21": ("changed", "open"),
        "4.1.1": ("applies", "open"),
    }
    assert found("no_exclusion", cover=policy).facts == {
        "policy": "P1",
        "changed": ["4.1.21"],
        "bought_back": ["4.1.24"],
    }


# ---- 7. repetition --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("same_person", "day", "outcome"),
    [
        (True, date(2026, 5, 10), "not_met"),
        (True, date(2026, 4, 1), "not_met"),
        (False, date(2026, 5, 10), "met"),  # another claimant of the same occurrence is no repetition
        (False, date(2026, 4, 1), "possible"),  # the same cause, another event
        (False, None, "possible"),
    ],
)
def test_a_loss_from_a_cause_already_paid_for_is_a_finding(same_person: bool, day: date | None, outcome: str) -> None:
    """9.11."""
    paid = PaidBefore(case="claim:BTA:1", same_person=same_person, occurred_on=day)
    assert found("no_repetition", paid_before=(paid,)).outcome == outcome


def test_nothing_paid_before_is_no_repetition() -> None:
    assert found("no_repetition").outcome == "met"


# ---- 8. duties ------------------------------------------------------------------------------------------------------


def test_each_duty_whose_breach_counts_has_a_finding_of_its_own() -> None:
    """8.2: 7.1.1 to 7.1.5 and 8.1.1 to 8.1.9; not 8.1.10."""
    assert [f.code for f in find_coverage(facts(), "BTA") if is_duty(f.code)] == list(BREACHES)
    assert len(duties("BTA")) == 14
    assert all(found(code).outcome == "met" for code in BREACHES)


@pytest.mark.parametrize(("notice", "outcome"), [("2026-05-30T23:59:59", "met"), ("2026-05-31T00:00:00", "possible")])
def test_a_notice_of_loss_after_the_statutory_term_hints_at_a_breach(notice: str, outcome: str) -> None:
    """8.1.1: the tenth day after 20 May, and the first second after it."""
    one = found("8.1.1", first_made_to="insured", notice_received_at=at(notice), notice_days=10)
    assert one.outcome == outcome


# ---- words ----------------------------------------------------------------------------------------------------------


def test_findings_are_sorted_as_they_are_asked() -> None:
    codes = ["8.1.2", "4.1.30a", "4.1.4", "no_exclusion", "7.1.1", "third_party:C10", "third_party:C2", "in_force"]
    assert sorted(codes, key=place_of) == [
        *("in_force", "third_party:C2", "third_party:C10", "no_exclusion"),
        *("4.1.4", "4.1.30a", "7.1.1", "8.1.2"),
    ]


def test_an_english_title_names_the_claimant_or_the_clause() -> None:
    assert title_of("third_party:C2") == "The claimant is a third party (C2)"
    assert (title_of("4.1.24"), title_of("7.1.2")) == ("exclusion 4.1.24", "duty 7.1.2")


# ---- for any facts --------------------------------------------------------------------------------------------------

DAYS = st.dates(date(2024, 1, 1), date(2030, 12, 31))
INSTANTS = st.datetimes(datetime(2024, 1, 1), datetime(2030, 12, 31), timezones=st.just(RIGA))  # noqa: DTZ001  # the zone is beside it
MAYBE = st.none() | INSTANTS


@st.composite
def any_cover(draw: st.DrawFn) -> Cover | None:
    """Any policy, or none."""
    start, end = sorted([draw(DAYS), draw(DAYS)])
    if draw(st.integers(0, 9)) == 0:
        return None
    return cover(
        starts_on=start,
        ends_on=end,
        ended_on=draw(st.none() | DAYS),
        retroactive_from=draw(st.none() | DAYS),
        reporting_until=draw(st.none() | DAYS),
        territory=draw(st.none() | st.just(("LV",))),
        in_force=draw(st.none() | st.just(Known(outcome="not_met", clause="6.6"))),
    )


ANY = st.builds(
    CoverageFacts,
    zone=st.just("Europe/Riga"),
    received_at=INSTANTS,
    filed_by=st.sampled_from(["third_party", "insured", "broker"]),
    claimants=st.integers(1, 5).map(lambda n: tuple(f"C{i}" for i in range(1, n + 1))),
    cover=any_cover(),
    occurred_on=st.none() | DAYS,
    country=st.sampled_from([None, "LV", "EE"]),
    known_before=st.none() | st.booleans(),
    first_made_at=MAYBE,
    first_made_to=st.sampled_from([None, "insured", "insurer"]),
    notice_received_at=MAYBE,
    notice_days=st.none() | st.integers(0, 60),
    circumstance_at=MAYBE,
)


@given(ANY)
def test_every_point_has_a_finding_and_the_same_facts_give_the_same(given_facts: CoverageFacts) -> None:
    every = find_coverage(given_facts, "BTA")
    assert every == find_coverage(given_facts, "BTA")
    names = [name for name in POINTS if name not in OF_CLAIMANT]
    claimants = [f"{name}:{c}" for name in OF_CLAIMANT for c in given_facts.claimants]
    assert sorted(f.code for f in every) == sorted([*names, *claimants, *BREACHES])
    assert all(f.label == label_of("BTA", f.code) for f in every)
    assert all(clause_of("BTA", f.code) for f in every)


@given(ANY)
def test_facts_hold_days_codes_and_numbers_and_nothing_personal(given_facts: CoverageFacts) -> None:
    for finding in find_coverage(given_facts, "BTA"):
        for name, value in finding.facts.items():
            assert re.fullmatch(r"[a-z_]+", name)
            for one in value if isinstance(value, list) else [value]:
                assert isinstance(one, bool | int) or re.fullmatch(r"[A-Za-z0-9:._-]+", one), (finding.code, name)


@given(ANY)
def test_a_later_claim_is_never_more_in_time(given_facts: CoverageFacts) -> None:
    """Once it is late to the insurer it stays so: nothing becomes covered by waiting."""
    if given_facts.cover is None or given_facts.cover.starts_on > given_facts.received_at.date():
        return
    made = {"first_made_to": "insurer", "circumstance_at": None}
    early = given_facts.model_copy(update={**made, "first_made_at": given_facts.received_at})
    late = early.model_copy(
        update={k: given_facts.received_at + timedelta(days=40) for k in ("first_made_at", "received_at")}
    )
    order = ["met", "possible", "not_met"]
    was, now = (next(f for f in find_coverage(f_, "BTA") if f.code == "in_time").outcome for f_ in (early, late))
    assert order.index(now) >= order.index(was)
