"""What a contract's facts mean for a day: in force or not and why, limits, reporting period, premium due, refund.

Clauses 1, 3.3, 3.4, 5.7, 5.8, 6.4 to 6.6, 8.2, 11.1 and 11.2 of BTA's rules No. 19.1. A day is a local date of the
insurer; money is EUR in cents. The reading of each clause that leaves room is in docs/decisions/0026.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from functools import reduce

from models.policy import (
    AUTOMATIC_DAYS,
    ENDED_BY,
    Addendum,
    Ended,
    EndedBy,
    Exclusion,
    InForce,
    Instalment,
    PolicyFacts,
    PremiumPaid,
    PremiumRefused,
    Refund,
    RefundStep,
    Registered,
    Reporting,
    Resumed,
    Suspended,
    Version,
)
from models.settlement import CENT, NONE, WHOLE, PolicyTerms

ONE_DAY = timedelta(days=1)
YEARS_OF_REPORTING = 3

Entry = Registered | Addendum | PremiumPaid | Suspended | Resumed | Ended | PremiumRefused


def fold(entries: Iterable[Entry]) -> PolicyFacts:
    """The facts after these entries, in the order in which they were said; the first is the registration."""
    first, *later = entries
    return reduce(after, later, _registered(first))


def _registered(entry: Entry) -> PolicyFacts:
    match entry:
        case Registered():
            return PolicyFacts(registered=entry, paid=entry.payments)
    raise ValueError("the first entry of a policy is its registration")


def after(facts: PolicyFacts, entry: Entry) -> PolicyFacts:
    """The facts after one more entry."""
    match entry:
        case Addendum():
            return facts.model_copy(update={"addenda": (*facts.addenda, entry)})
        case PremiumPaid():
            return facts.model_copy(update={"paid": (*facts.paid, entry)})
        case Suspended():
            return facts.model_copy(update={"suspensions": (*facts.suspensions, (entry, None))})
        case Resumed():
            *before, (suspended, _) = facts.suspensions
            return facts.model_copy(update={"suspensions": (*before, (suspended, entry))})
        case Ended():
            return facts.model_copy(update={"ended": entry})
        case PremiumRefused():
            return facts.model_copy(update={"refused": entry})
        case Registered():
            raise ValueError("a policy is registered once")


def period_end(starts_on: date, ends_on: date | None) -> date:
    """The last day of the insurance period: as agreed, else of one year (6.4)."""
    return ends_on if ends_on is not None else _years_later(starts_on, 1) - ONE_DAY


def _years_later(day: date, years: int) -> date:
    """The same day that many years later; 28 February for the 29th."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)


# ---- premium --------------------------------------------------------------------------------------------------------


def schedule(facts: PolicyFacts) -> tuple[Instalment, ...]:
    """Every instalment, those of addenda too, in the order of their last days."""
    of_addenda = [i.model_copy(update={"addendum": a.addendum}) for a in facts.addenda for i in a.premium]
    return tuple(sorted([*facts.registered.premium, *of_addenda], key=lambda i: i.due_on))


def unpaid_on(facts: PolicyFacts, day: date) -> Decimal:
    """The premium that is due by this day and not paid on it, in EUR (9.5); nothing falls due after an early end."""
    if facts.refused is not None:
        return NONE
    last = day if facts.ended is None else min(day, facts.ended.covered_until)
    due = facts.registered.terms.unpaid_premium + sum((i.amount for i in schedule(facts) if i.due_on <= last), NONE)
    paid = sum((p.amount for p in facts.paid if p.paid_on <= day), NONE)
    return max(due - paid, NONE)


def paid_in_full_on(facts: PolicyFacts, instalment: Instalment) -> date | None:
    """The day on which an instalment was paid in full; none: it is not.

    Payments fill the instalments in the order of their last days.
    """
    needed = facts.registered.terms.unpaid_premium
    for one in schedule(facts):
        needed += one.amount
        if one == instalment:
            break
    paid = NONE
    for payment in sorted(facts.paid, key=lambda p: p.paid_on):
        paid += payment.amount
        if paid >= needed:
            return payment.paid_on
    return None


def first_instalment(facts: PolicyFacts) -> Instalment | None:
    """The only or first part of the contract's own premium; none: the premium is not followed."""
    return min(facts.registered.premium, key=lambda i: i.due_on, default=None)


def first_paid_late_on(facts: PolicyFacts) -> date | None:
    """The day on which the first premium was paid in full, if that was after its last day (6.5)."""
    first = first_instalment(facts)
    paid_on = paid_in_full_on(facts, first) if first is not None else None
    return paid_on if first is not None and paid_on is not None and paid_on > first.due_on else None


# ---- in force -------------------------------------------------------------------------------------------------------


def in_force(facts: PolicyFacts, event_day: date, today: date) -> InForce:
    """Whether the contract was in force on the event day, as it is known today; with the clause and the dates."""
    contract, first = facts.registered, first_instalment(facts)
    used = {"starts_on": contract.starts_on, "ends_on": contract.ends_on, "event_day": event_day}
    paid_on = None
    if first is not None:
        used["first_premium_due_on"] = first.due_on
        if (paid_on := paid_in_full_on(facts, first)) is not None:
            used["first_premium_paid_on"] = paid_on
    provisional = first is not None and paid_on is None and today <= first.due_on

    def answer(outcome: str, clause: str, reason: str, **more: date) -> InForce:
        dates = {name: day.isoformat() for name, day in {**used, **more}.items()}
        return InForce.model_validate(
            {"outcome": outcome, "clause": clause, "reason": reason, "facts": dates, "provisional": provisional}
        )

    if facts.refused is not None:
        return answer("not_in_force", "6.5", "premium_refused", refused_on=facts.refused.refused_on)
    if first is not None and paid_on is None and today > first.due_on:
        return answer("not_in_force", "6.5", "first_premium_unpaid", today=today)
    if event_day < contract.starts_on:
        if contract.retroactive_from is not None and event_day >= contract.retroactive_from:
            return answer("retroactive", "1", "in_retroactive_period", retroactive_from=contract.retroactive_from)
        return answer("not_in_force", "6.5", "before_start")
    if event_day > contract.ends_on:
        return answer("not_in_force", "6.4", "after_end")
    if facts.ended is not None and event_day > facts.ended.covered_until:
        return answer("not_in_force", ENDED_BY[facts.ended.by], "ended", covered_until=facts.ended.covered_until)
    if first is not None and paid_on is not None and first.due_on < paid_on and event_day <= paid_on:
        return answer("not_in_force", "6.5", "before_late_premium")
    for suspended, resumed in facts.suspensions:
        effective = max(suspended.from_day, suspended.allowed_from)
        if effective <= event_day and (resumed is None or event_day < resumed.from_day):
            more = {"resumed_from": resumed.from_day} if resumed is not None else {}
            return answer("not_in_force", "6.6", "suspended", suspended_from=effective, **more)
    return answer("in_force", "6.5", "in_period")


def covered_until(facts: PolicyFacts) -> date:
    """The last day of cover: of the period, or of an early end."""
    end = facts.registered.ends_on
    return end if facts.ended is None else min(end, facts.ended.covered_until)


def over(facts: PolicyFacts) -> bool:
    """Whether nothing is left to be renewed: the contract ended early, or its premium was refused."""
    return facts.refused is not None or covered_until(facts) < facts.registered.ends_on


def next_term(facts: PolicyFacts) -> tuple[date, date]:
    """The first and the last day of a further year (6.4)."""
    starts_on = facts.registered.ends_on + ONE_DAY
    return starts_on, period_end(starts_on, None)


def reporting(facts: PolicyFacts) -> Reporting:
    """The extended reporting period: the longer of 30 days and what was agreed, at most three years after the period.

    After an early end it is counted from that end's date (1).
    """
    contract = facts.registered
    agreed = [a.extended_reporting_days for a in facts.addenda if a.extended_reporting_days is not None]
    days = max(AUTOMATIC_DAYS, agreed[-1] if agreed else contract.extended_reporting_days)
    if facts.refused is not None:
        return Reporting(until=None, counted_from=None, days=days, early=False, nominal_end=contract.ends_on)
    end = covered_until(facts)
    return Reporting(
        until=min(end + timedelta(days=days), _years_later(contract.ends_on, YEARS_OF_REPORTING)),
        counted_from=end,
        days=days,
        early=end < contract.ends_on,
        nominal_end=contract.ends_on,
    )


# ---- versions -------------------------------------------------------------------------------------------------------


def applies_from(facts: PolicyFacts, addendum: Addendum) -> date | None:
    """The first event day that an addendum applies to; none: not yet, as what restores a limit has to be paid (5.7)."""
    from_day = addendum.events_from or addendum.effective_on + ONE_DAY
    if not addendum.restores:
        return from_day
    for instalment in addendum.premium:
        paid_on = paid_in_full_on(facts, instalment.model_copy(update={"addendum": addendum.addendum}))
        if paid_on is None:
            return None
        from_day = max(from_day, paid_on + ONE_DAY)
    return from_day


def version_on(facts: PolicyFacts, event_day: date) -> Version:
    """What holds for an event on this day: the contract, changed by every addendum that applies to it.

    The addenda change it in the order in which they take effect, of one day in the order in which they were said.
    """
    contract = facts.registered
    terms = contract.terms.model_dump()
    territory, activity = contract.territory, contract.insured_activity
    exclusions = {x.code: x for x in contract.exclusions}
    dated = [(from_day, a) for a in facts.addenda if (from_day := applies_from(facts, a)) is not None]
    applied = [a for from_day, a in sorted(dated, key=lambda d: d[0]) if from_day <= event_day]
    for addendum in applied:
        if addendum.limits is not None:
            terms |= addendum.limits.model_dump(exclude_none=True)
        if addendum.deductible is not None:
            terms["deductible"] = addendum.deductible.model_dump()
        terms["limit_aggregate"] += addendum.restores or NONE
        territory = addendum.territory or territory
        activity = addendum.insured_activity or activity
        exclusions |= {x.code: x for x in addendum.exclusions}
    return Version(
        terms=PolicyTerms.model_validate(terms),
        territory=territory,
        insured_activity=activity,
        exclusions=tuple(_by_number(exclusions.values())),
        addenda=tuple(a.addendum for a in applied),
    )


def _by_number(exclusions: Iterable[Exclusion]) -> list[Exclusion]:
    return sorted(exclusions, key=lambda x: (int("".join(c for c in x.code[4:] if c.isdigit())), x.code))


def terms_on(facts: PolicyFacts, event_day: date, today: date) -> PolicyTerms:
    """The terms by which a claim is settled: the limits of the event day, the premium that is unpaid today (9.5)."""
    terms = version_on(facts, event_day).terms
    in_parts = terms.instalments or len(facts.registered.premium) > 1
    return terms.model_copy(update={"instalments": in_parts, "unpaid_premium": unpaid_on(facts, today)})


def raised(before: PolicyTerms, after: PolicyTerms) -> bool:
    """Whether any limit is higher, or was taken away, so that a premium is owed (5.8)."""
    if after.limit_per_occurrence > before.limit_per_occurrence or after.limit_aggregate > before.limit_aggregate:
        return True
    if before.limit_per_person is not None and (after.limit_per_person or NONE) > before.limit_per_person:
        return True
    limits = {s.name: s.limit for s in after.sublimits}
    return any(s.name not in limits or limits[s.name] > s.limit for s in before.sublimits)


# ---- early end ------------------------------------------------------------------------------------------------------


def refund(
    facts: PolicyFacts, by: EndedBy, last_day: date, costs: Decimal, *, claimed: bool, by_statute: bool
) -> Refund:
    """What of the paid premium goes back when the contract ends after `last_day` (11.1, 11.2).

    Args:
        facts: The contract as it stands.
        by: Who ends it, or for what.
        last_day: The last day with cover.
        costs: The insurer's costs of concluding the contract, in EUR (11.1).
        claimed: Something was claimed or paid on this contract.
        by_statute: The statute asks the insurer to pay back the unused part (11.2).
    """
    contract, clause = facts.registered, "11.1" if by == "policyholder" else "11.2"
    paid = sum((p.amount for p in facts.paid), NONE)
    days = (contract.ends_on - contract.starts_on).days + 1
    remaining = min(max((contract.ends_on - last_day).days, 0), days)
    refused = None
    if by == "policyholder" and claimed:
        refused = "a claim was made or an indemnity paid on this contract"
    elif by != "policyholder" and not by_statute:
        refused = "the statute asks for no refund in this case"
    elif not paid or not remaining:
        refused = "no premium was paid for a full day that remains"
    if refused is not None:
        return Refund(amount=NONE, clause=clause, refused=refused)
    share = (paid * remaining / days).quantize(CENT, ROUND_HALF_UP)
    label = f"{remaining} full days of {days} remain"
    steps = [RefundStep(clause=clause, label=label, before=paid, after=share)]
    if by == "policyholder":
        most = (share * contract.conclusion_share / WHOLE).quantize(CENT, ROUND_FLOOR)
        left = share - min(costs, most)
        label = f"conclusion costs {costs}, at most {contract.conclusion_share} % of it"
        steps.append(RefundStep(clause=clause, label=label, before=share, after=left))
        share = left
    return Refund(amount=share, clause=clause, steps=tuple(steps))


def addendum_faults(facts: PolicyFacts, addendum: Addendum) -> Sequence[str]:
    """Why an addendum does not fit its contract; empty if it does."""
    faults, contract = [], facts.registered
    if facts.refused is not None:
        faults.append("policy: it never took effect (6.5)")
    elif addendum.effective_on > covered_until(facts):
        faults.append("effective_on: lies after the end of the contract")
    if any(a.addendum == addendum.addendum for a in facts.addenda):
        faults.append("addendum: another one has this number")
    premium = sum((i.amount for i in addendum.premium), NONE)
    if addendum.limits is not None:
        before = version_on(facts, addendum.events_from or addendum.effective_on + ONE_DAY).terms
        changed = {**before.model_dump(), **addendum.limits.model_dump(exclude_none=True)}
        higher = raised(before, PolicyTerms.model_validate(changed))
        if higher and not premium:
            faults.append("premium: 5.8 asks for one where a limit is raised; say it")
        others = (addendum.restores, addendum.territory, addendum.exclusions, addendum.extended_reporting_days)
        if not higher and premium and not any((*others, addendum.deductible, addendum.insured_activity)):
            faults.append("premium: 5.8 asks for none where limits are only lowered")
    if addendum.restores and addendum.effective_on < contract.starts_on:
        faults.append("effective_on: lies before the contract begins, and nothing can have been paid")
    return tuple(faults)
