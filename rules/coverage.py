"""Is it covered? What the facts of a liability claim say of each point of cover (BTA rules No. 19.1, parts 1 to 10).

Pure: the same facts give the same findings. A finding never decides; the handler confirms or overrides it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from models.common import Model
from models.coverage import POINTS, Cover, CoverageFacts, Finding, Outcome, Period, Term, is_duty
from models.settlement import Label
from rules.rulebook import book

EXCLUSIONS = Path(__file__).parent / "exclusions.toml"
BREACHES = (*(f"7.1.{n}" for n in range(1, 6)), *(f"8.1.{n}" for n in range(1, 10)))
"""The duties whose breach 8.2 speaks of; 8.1.10 and 8.1.11 are beyond it."""


class _Exclusion(Model):
    group: str
    lv: str
    lt: str
    en: str
    exception: str | None = None


class _Exclusions(Model):
    groups: dict[str, str]
    exclusions: dict[str, _Exclusion]


@cache
def exclusions() -> Mapping[str, Term]:
    """Every exclusion of 4.1 by its code, the letters of 4.1.28, 4.1.30 and 4.1.42 one by one; `group` in words."""
    read = _Exclusions.model_validate(tomllib.loads(EXCLUSIONS.read_text(encoding="utf-8")))
    return {
        code: Term(
            code=code,
            clause=code,
            label=Label(lv=e.lv, lt=e.lt, en=e.en),
            group=read.groups[e.group],
            exception=e.exception,
        )
        for code, e in read.exclusions.items()
    }


@cache
def duties(organisation: str) -> Mapping[str, Term]:
    """The duties of policyholder and insured whose breach can reduce the indemnity, as the rulebook calls them."""
    rulebook = book(organisation)
    titles = {code: rulebook.find(f"{organisation}-{code}").title for code in BREACHES}
    return {
        code: Term(code=code, clause=code, label=Label(lv=title.lv, lt=title.lt, en=title.en))
        for code, title in titles.items()
    }


def label_of(organisation: str, code: str) -> Label:
    """What the point of this code is called.

    Raises:
        KeyError: There is no such point.
    """
    terms = {**exclusions(), **duties(organisation)}
    return terms[code].label if code in terms else POINTS[code.partition(":")[0]].label


def clause_of(organisation: str, code: str) -> str:
    """The clause of the point of this code.

    Raises:
        KeyError: There is no such point.
    """
    terms = {**exclusions(), **duties(organisation)}
    return terms[code].clause if code in terms else POINTS[code.partition(":")[0]].clause


def place_of(code: str) -> tuple[int, tuple[int, ...], str]:
    """By which findings are sorted: the points as they are asked, then exclusions and duties by their numbers."""
    name = code.partition(":")[0]
    numbers = tuple(int(n) for n in re.findall(r"\d+", code))
    return list(POINTS).index(name) if name in POINTS else len(POINTS) + is_duty(code), numbers, code


# ---- findings -------------------------------------------------------------------------------------------------------


def find_coverage(facts: CoverageFacts, organisation: str) -> tuple[Finding, ...]:
    """One finding for each point of cover, those of a claimant once for each, and one for each duty (8.2)."""
    found = [
        _in_force(facts),
        _in_period(facts),
        _not_known(facts),
        _territory(facts),
        _point("activity", "open", _of_policy(facts)),
        _in_time(facts),
        _right_policy(facts),
        *(_third_party(facts, claimant) for claimant in facts.claimants),
        *(_own_right(facts, claimant) for claimant in facts.claimants),
        _point("liable", "open", {}),
        _point("direct_loss", "open", {}),
        _no_exclusion(facts),
        _no_repetition(facts),
    ]
    return (*found, *(_duty(facts, term) for term in duties(organisation).values()))


def find_exclusion(code: str, cover: Cover | None) -> Finding:
    """One exclusion that somebody raised, as this policy has it (3.4): bought back it does not apply.

    Raises:
        KeyError: There is no such exclusion.
    """
    term = exclusions()[code]
    departs = cover.exclusions if cover is not None else {}
    # a policy can speak of a clause with all its letters
    stands = departs.get(code) or departs.get(code.rstrip("abcdefghi")) or "applies"
    return Finding(
        code=code,
        clause=term.clause,
        label=term.label,
        facts={"policy": stands},
        outcome="met" if stands == "bought_back" else "open",
    )


def _point(code: str, outcome: Outcome, facts: dict[str, Any], clause: str | None = None) -> Finding:
    point = POINTS[code.partition(":")[0]]
    shown = {name: _plain(value) for name, value in facts.items() if value is not None}
    return Finding(code=code, clause=clause or point.clause, label=point.label, facts=shown, outcome=outcome)


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _of_policy(facts: CoverageFacts) -> dict[str, Any]:
    return {"policy": facts.cover.policy if facts.cover is not None else None}


def _day(facts: CoverageFacts, at: datetime | None) -> date | None:
    return None if at is None else at.astimezone(ZoneInfo(facts.zone)).date()


def _in_force(facts: CoverageFacts) -> Finding:
    cover = facts.cover
    if cover is None or cover.in_force is None:
        return _point("in_force", "open", {**_of_policy(facts), "occurred_on": facts.occurred_on})
    known = cover.in_force
    return _point("in_force", known.outcome, {**_of_policy(facts), **known.facts}, known.clause)


def _last_day(cover: Cover) -> date:
    """Of the contract: agreed, or of its early end (10.2: while the contract runs)."""
    return min(cover.ends_on, cover.ended_on) if cover.ended_on is not None else cover.ends_on


def _in_period(facts: CoverageFacts) -> Finding:
    """10.2: the event lies in the time of the contract, or in the retroactive period before it."""
    cover, day = facts.cover, facts.occurred_on
    if cover is None or day is None:
        return _point("in_period", "open", {**_of_policy(facts), "occurred_on": day})
    inside = (cover.retroactive_from or cover.starts_on) <= day <= _last_day(cover)
    shown = {"occurred_on": day, "starts_on": cover.starts_on, "last_day": _last_day(cover)}
    return _point("in_period", "met" if inside else "not_met", {**shown, "retroactive_from": cover.retroactive_from})


def _not_known(facts: CoverageFacts) -> Finding:
    """1, retroactive period: asked only for an event before the insurance period."""
    cover, day = facts.cover, facts.occurred_on
    if cover is None or day is None:
        return _point("not_known", "open", {**_of_policy(facts), "occurred_on": day})
    shown = {"occurred_on": day, "starts_on": cover.starts_on}
    if day >= cover.starts_on:
        return _point("not_known", "met", shown)
    known = facts.known_before
    outcome: Outcome = "open" if known is None else "not_met" if known else "met"
    return _point("not_known", outcome, {**shown, "known_before": known})


def _territory(facts: CoverageFacts) -> Finding:
    cover, country = facts.cover, facts.country
    if cover is None or cover.territory is None or country is None:
        return _point("territory", "open", {**_of_policy(facts), "country": country})
    shown = {"country": country, "territory": cover.territory}
    return _point("territory", "met" if country in cover.territory else "not_met", shown)


def _third_party(facts: CoverageFacts, claimant: str) -> Finding:
    named_as = facts.named_as.get(claimant)
    return _point(f"third_party:{claimant}", "not_met" if named_as else "open", {"named_as": named_as})


def _own_right(facts: CoverageFacts, claimant: str) -> Finding:
    """11.4: no party to the contract may assign a claim from it; of what a third party assigns nothing is said."""
    by = facts.assigned_by.get(claimant)
    outcome: Outcome = "met" if by is None else "possible" if by == "third_party" else "not_met"
    return _point(f"own_right:{claimant}", outcome, {"assigned_by": by})


def _no_exclusion(facts: CoverageFacts) -> Finding:
    departs = facts.cover.exclusions if facts.cover is not None else {}
    shown = _of_policy(facts)
    for code in sorted(departs, key=place_of):
        shown.setdefault(departs[code], []).append(code)
    return _point("no_exclusion", "open", shown)


def _no_repetition(facts: CoverageFacts) -> Finding:
    """9.11: the same third party, or another one and an event of another day; else it is the same occurrence (5.4)."""
    same = tuple(p.case for p in facts.paid_before if p.same_person)
    other = tuple(
        p.case
        for p in facts.paid_before
        if not p.same_person and (p.occurred_on is None or p.occurred_on != facts.occurred_on)
    )
    outcome: Outcome = "not_met" if same else "possible" if other else "met"
    shown = {"paid_before": tuple(p.case for p in facts.paid_before)}
    return _point("no_repetition", outcome, {**shown, "same_person": same or None, "another_event": other or None})


def _duty(facts: CoverageFacts, term: Term) -> Finding:
    """8.2: kept unless somebody raises a breach; a notice of loss after the statutory term is a hint (8.1.1)."""
    shown: dict[str, Any] = {"breach_known": False}
    outcome: Outcome = "met"
    if term.code == "8.1.1" and _notice_late(facts):
        made, notice = _day(facts, _to_insured(facts)), _day(facts, facts.notice_received_at)
        shown = {"to_insured_on": _plain(made), "notice_on": _plain(notice), "notice_days": facts.notice_days}
        outcome = "possible"
    return Finding(code=term.code, clause=term.clause, label=term.label, facts=shown, outcome=outcome)


# ---- in time, and by which policy -----------------------------------------------------------------------------------


def _to_insured(facts: CoverageFacts) -> datetime | None:
    return facts.first_made_at if facts.first_made_to == "insured" else None


def _to_insurer(facts: CoverageFacts) -> datetime | None:
    """When the claim itself reached the insurer: what a third party files is its claim."""
    if facts.first_made_to == "insurer" and facts.first_made_at is not None:
        return facts.first_made_at
    return facts.received_at if facts.filed_by == "third_party" else None


def _notice_late(facts: CoverageFacts) -> bool | None:
    """Whether the insured's notice of loss came after the statutory term; None where that cannot be said."""
    made, notice = _day(facts, _to_insured(facts)), _day(facts, facts.notice_received_at)
    if made is None or notice is None or facts.notice_days is None:
        return None
    return notice > made + timedelta(days=facts.notice_days)


def _in_time(facts: CoverageFacts) -> Finding:
    """10.2, 10.3: by route B to the insurer nothing else is asked; by route A the insured's notice of loss too."""
    cover = facts.cover
    insurer, insured = _day(facts, _to_insurer(facts)), _day(facts, _to_insured(facts))
    notice, circumstance = _day(facts, facts.notice_received_at), _day(facts, facts.circumstance_at)
    shown: dict[str, Any] = {"to_insurer_on": insurer, "to_insured_on": insured, "notice_on": notice}
    if cover is None:
        return _point("in_time", "open", shown)
    first, last, until = cover.starts_on, _last_day(cover), cover.reporting_until or date.min
    shown |= {"starts_on": first, "last_day": last, "reporting_until": cover.reporting_until}
    shown |= {"circumstance_on": circumstance}
    extended = {**shown, "counts_as": last}
    if insurer is not None and first <= insurer <= until:
        return _point("in_time", "met", extended if insurer > last else shown, "10.2.2")
    reported = circumstance is not None and first <= circumstance <= last
    if reported and notice is not None and notice <= until:
        return _point("in_time", "met", extended, "10.3")
    if insured is not None and first <= insured <= until:
        late = _notice_late(facts)
        outcome: Outcome = "open" if late is None else "not_met" if late else "met"
        shown = extended if insured > last else shown
        return _point("in_time", outcome, {**shown, "notice_days": facts.notice_days}, "10.2.1")
    days = [day for day in (insured, insurer) if day is not None]
    if not days:
        return _point("in_time", "open", shown)
    # after an early end a claim made before the agreed one is a finding, never by itself a rejection
    hint = last < cover.ends_on and first <= min(days) <= cover.ends_on
    return _point("in_time", "possible" if hint else "not_met", {**shown, "agreed_until": cover.ends_on})


def _right_policy(facts: CoverageFacts) -> Finding:
    """10.4, 5.4: the policy in whose period the occurrence's first claim was made; never two."""
    cover = facts.cover
    if cover is None:
        return _point("right_policy", "open", {})
    shown: dict[str, Any] = {"policy": cover.policy}
    if (first := facts.first_claim) is not None:
        shown |= {"first_claim": first.case, "its_policy": first.policy}
        return _point("right_policy", "met" if first.policy == cover.policy else "not_met", shown, "5.4")
    days = [d for d in (_day(facts, facts.first_made_at), _day(facts, _to_insurer(facts))) if d is not None]
    if not days:
        return _point("right_policy", "open", shown)
    day, last = min(days), _last_day(cover)
    shown |= {"first_made_on": day, "starts_on": cover.starts_on, "last_day": last}
    if cover.starts_on <= day <= last:
        return _point("right_policy", "met", shown)
    others = tuple(p.policy for p in facts.others if p.starts_on <= day <= p.ends_on and _reaches(p, facts.occurred_on))
    if not others:
        return _point("right_policy", "met", {**shown, "others": others})
    # in the extended reporting period it counts as made on the last day (10.3), and another policy's period has the day
    extended = cover.reporting_until is not None and last < day <= cover.reporting_until
    return _point("right_policy", "possible" if extended else "not_met", {**shown, "others": others})


def _reaches(policy: Period, event: date | None) -> bool:
    """Whether a policy could cover an event of that day at all; one of an unknown day it could."""
    return event is None or (policy.retroactive_from or policy.starts_on) <= event <= policy.ends_on
