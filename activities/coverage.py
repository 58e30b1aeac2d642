"""A claim's cover in the store: its findings worked out from policy, filing and what was learnt, and judged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from activities.limits import Limits, filing_of, third_parties
from activities.store import ActHandler, Amended
from models.claim import ClaimFiling, Document
from models.coverage import (
    LOOK_AGAIN,
    UNDECIDED,
    Cover,
    CoverageFacts,
    FirstClaim,
    Judgment,
    Known,
    LearntFacts,
    PaidBefore,
    Period,
)
from models.errors import Refusal, Unreadable
from models.names import case_id
from models.policy import PolicyFacts
from models.tables import (
    BellRow,
    CaseRow,
    FindingRow,
    IntakeRow,
    LearntRow,
    LimitRow,
    PartyRow,
    PaymentOrderRow,
    PolicyRow,
)
from rules.coverage import exclusions, find_coverage, find_exclusion, place_of
from rules.period import Unit
from rules.policy import covered_until, in_force, reporting, version_on
from rules.rulebook import book
from security.keys import KeyDestroyed, Keyring, NoKey

SHOWN = 20
"""Other claims on the same occurrence that a claim names, and that it rings; the store knows them all."""
COUNTRIES = re.compile(r"[A-Z]{2}([\s,;/]+[A-Z]{2})*")
"""A territory that is told in countries; another is told in words, and the handler says what it means."""
REPORT = "8.1.1"
"""The duty whose statutory term route A asks for (10.2.1)."""


class CoverageStore:
    """What the store does about a claim's cover, in the transaction of the step that asks for it."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self.acts: Mapping[str, ActHandler] = {
            "claim.learn": self._learn,
            "claim.judge": self._judge,
            "claim.find": self._find_again,
        }

    async def begin(self, session: AsyncSession, intake: IntakeRow, filing: ClaimFiling, at: datetime) -> Amended:
        """Work the findings of a new claim out; others on its occurrence that are not decided look again (5.4)."""
        for case in (await _undecided_beside(session, intake))[:SHOWN]:
            session.add(BellRow(case=case, reason=LOOK_AGAIN, created_at=at))
        return await self._find(session, intake, filing, LearntFacts(), at)

    async def paid(self, session: AsyncSession, case: str, at: datetime) -> None:
        """Something of a claim was paid, or came back: whoever it makes a repetition, or no more one, looks again."""
        intake = await session.get_one(IntakeRow, case)
        if not (beside := await _undecided_beside(session, intake)):
            return
        await self._keyring.load(beside)
        own, day = await _third_parties(session, case), await _event_day(session, case)
        for other in beside:
            try:
                theirs = await _third_parties(session, other)
                looks = any(_same_person(a, b) for a in own for b in theirs)
                looks = looks or day is None or await _event_day(session, other) != day
            except (NoKey, KeyDestroyed, Unreadable):
                # nobody can tell: the payment is confirmed all the same, and the other finds out by itself
                looks = True
            if looks:
                session.add(BellRow(case=other, reason=LOOK_AGAIN, created_at=at))

    async def renew(self, session: AsyncSession, case: str, at: datetime) -> Amended | None:
        """Work them out again; None for a claim of before there were findings."""
        if (await session.exec(select(FindingRow.code).where(FindingRow.case == case).limit(1))).first() is None:
            return None
        intake, filing = await _filed(session, case)
        learnt = await session.get(LearntRow, case)
        said = LearntFacts.model_validate(learnt.facts) if learnt is not None else LearntFacts()
        return await self._find(session, intake, filing, said, at)

    async def unheard_changes(self, session: AsyncSession, case: str, at: datetime) -> tuple[str, ...]:
        """What of cover is another thing now, since the policy or the occurrence changed and the claim has not heard.

        Its bell waits: whoever refuses a decision for this lets the claim hear it first.
        """
        bell = select(BellRow.id).where(
            BellRow.case == case, BellRow.reason == LOOK_AGAIN, col(BellRow.heard_at).is_(None)
        )
        if (await session.exec(bell.limit(1))).first() is None:
            return ()
        before = _for_body(await _rows(session, case))["findings"]
        found = await self.renew(session, case, at)
        after = found.body["findings"] if found is not None else before
        return tuple(
            f"findings: {code} is {after.get(code, 'met').replace('_', ' ')} now, since the policy or another claim "
            "on the same occurrence changed; the claim looks at it within a minute: judge it, and decide then"
            for code in sorted({*before, *after}, key=place_of)
            if before.get(code) != after.get(code)
        )

    # ---- acts -------------------------------------------------------------------------------------------------------

    async def _learn(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        """State facts that were learnt; what was said before and is not said now stays."""
        intake, _ = await _filed(session, case)
        said = LearntFacts.model_validate(data)
        faults = await _learnt_faults(session, intake, said, at)
        if faults:
            raise Refusal(*faults)
        row = await session.get(LearntRow, case)
        if row is None:
            row = LearntRow(case=case)
            session.add(row)
        row.facts = {**row.facts, **data}
        if said.first_made_at is not None and (limit := await session.get(LimitRow, case)) is not None:
            # the order of claims is that of their first making (9.6, 10.4)
            limits = await Limits.of(session, self._keyring, case, limit.policy, at, lock=True)
            limit.filed_at, limit.changed_at = said.first_made_at, at
            await limits.ring(at)
        await session.flush()
        return await self.renew(session, case, at)

    async def _find_again(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        return await self.renew(session, case, at)

    async def _judge(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        """Take what the handler says of findings, all of it or nothing."""
        judged = [Judgment.model_validate(one) for one in data["findings"]]
        rows = {row.code: row for row in await _rows(session, case)}
        faults: list[str] = []
        for n, one in enumerate(judged):
            where = f"findings.{n}"
            if one.code not in rows and one.code in exclusions():
                limit = await session.get(LimitRow, case)
                policy = await session.get(PolicyRow, limit.policy) if limit is not None else None
                cover = cover_of(policy, await _event_day(session, case), at) if policy is not None else None
                found = find_exclusion(one.code, cover)
                rows[one.code] = FindingRow(
                    case=case, code=one.code, clause=found.clause, facts=found.facts, outcome=found.outcome
                )
            if one.code not in rows:
                faults.append(f"{where}.code: there is no such point of cover{_letters(one.code)}")
            elif any(other.code == one.code for other in judged[:n]):
                faults.append(f"{where}.code: {one.code} is given already")
            else:
                faults += [f"{where}.{fault}" for fault in _judgment_faults(one, rows[one.code].outcome)]
        if faults:
            raise Refusal(*faults)
        for one in judged:
            row = rows[one.code]
            row.judged, row.reason, row.exception = one.outcome, one.reason, one.exception
            row.judged_by, row.judged_at = data["actor"], at
            session.add(row)
        return Amended(body=_for_body(rows.values()))

    # ---- working out ------------------------------------------------------------------------------------------------

    async def _find(
        self, session: AsyncSession, intake: IntakeRow, filing: ClaimFiling, learnt: LearntFacts, at: datetime
    ) -> Amended:
        organisation = intake.organisation
        others = await _on_the_same_occurrence(session, intake)
        facts = await _facts(session, intake, filing, learnt, others, at)
        rows = {row.code: row for row in await _rows(session, intake.case)}
        found = [*find_coverage(facts, organisation)]
        found += [find_exclusion(code, facts.cover) for code in rows if code in exclusions()]
        for finding in found:
            row = rows.get(finding.code)
            if row is None:
                row = FindingRow(case=intake.case, code=finding.code, clause=finding.clause, outcome=finding.outcome)
                rows[finding.code] = row
                session.add(row)
            elif (row.facts, row.outcome) != (finding.facts, finding.outcome):
                # a judgment is about facts: of other facts nobody has said anything yet
                row.judged = row.reason = row.judged_by = row.judged_at = row.exception = None
            row.clause, row.facts, row.outcome = finding.clause, finding.facts, finding.outcome
        await session.flush()
        same = tuple(sorted(row.case for row in others))[:SHOWN]
        return Amended(body={**_for_body(rows.values()), "occurrence": list(same)})


def cover_of(policy: PolicyRow, event_day: date | None, at: datetime) -> Cover:
    """What a policy says of cover for an event of this day (None: not known), as it is known at this instant."""
    known = policy.known
    today = at.astimezone(ZoneInfo(book(policy.organisation).zone)).date()
    version = version_on(known, event_day or today)
    last_day, contract = covered_until(known), known.registered
    territory = version.territory.strip()
    return Cover(
        policy=policy.policy,
        starts_on=contract.starts_on,
        ends_on=contract.ends_on,
        ended_on=last_day if last_day < contract.ends_on else None,
        retroactive_from=contract.retroactive_from,
        reporting_until=reporting(known).until,
        territory=tuple(re.findall(r"[A-Z]{2}", territory)) if COUNTRIES.fullmatch(territory) else None,
        exclusions={x.code: x.state for x in version.exclusions if x.state != "applies"},
        in_force=_in_force(known, event_day, today) if event_day is not None else None,
    )


def _in_force(known: PolicyFacts, event_day: date, today: date) -> Known:
    found = in_force(known, event_day, today)
    # the day of the look changes by itself; what was judged shall not end by that
    facts: dict[str, Any] = {name: day for name, day in found.facts.items() if name != "today"}
    facts |= {"reason": found.reason, **({"provisional": True} if found.provisional else {})}
    return Known(outcome="not_met" if found.outcome == "not_in_force" else "met", clause=found.clause, facts=facts)


async def _facts(
    session: AsyncSession,
    intake: IntakeRow,
    filing: ClaimFiling,
    learnt: LearntFacts,
    others: Sequence[LimitRow],
    at: datetime,
) -> CoverageFacts:
    rulebook = book(intake.organisation)
    known = _known(filing, intake, learnt)
    own = await session.get(LimitRow, intake.case)
    policy = await session.get(PolicyRow, own.policy) if own is not None else None
    parties = await _third_parties(session, intake.case)
    report = rulebook.find(f"{intake.organisation}-{REPORT}")
    circumstance_at = None
    if known.circumstance is not None and policy is not None:
        circumstance_at = await _circumstance(session, intake.organisation, known.circumstance, policy.policy)
    paid = await _paid_before(session, others, parties)
    return CoverageFacts(
        zone=rulebook.zone,
        received_at=intake.received_at,
        filed_by=filing.filed_by,
        claimants=tuple(p.party for p in parties),
        cover=cover_of(policy, known.occurred_on, at) if policy is not None else None,
        occurred_on=known.occurred_on,
        country=known.country,
        known_before=known.known_before,
        first_made_at=known.first_made_at,
        first_made_to=known.first_made_to,
        notice_received_at=known.notice_received_at,
        notice_days=report.amount if report.unit is Unit.calendar_days else None,
        circumstance=known.circumstance,
        circumstance_at=circumstance_at,
        named_as=_named_as(parties, policy) if policy is not None else {},
        assigned_by={f"C{n}": c.assigned_by for n, c in enumerate(filing.claimants, 1) if c.assigned_by is not None},
        others=await _other_policies(session, policy, known, intake) if policy is not None else (),
        first_claim=_first(own, others) if own is not None else None,
        paid_before=paid,
    )


def _known(filing: ClaimFiling, intake: IntakeRow, learnt: LearntFacts) -> LearntFacts:
    """What was filed, and what was learnt instead."""
    filed = {name: getattr(filing, name) for name in LearntFacts.model_fields}
    if filed["notice_received_at"] is None:
        notices = [
            d.received_at or intake.received_at for d in filing.documents if d.document is Document.notice_of_loss
        ]
        # what the insured files is its notice of loss
        came = [intake.received_at] if filing.filed_by == "insured" else notices
        filed["notice_received_at"] = min(came, default=None)
    return LearntFacts.model_construct(**{**filed, **learnt.model_dump(exclude_none=True)})


async def _rows(session: AsyncSession, case: str) -> Sequence[FindingRow]:
    return (await session.exec(select(FindingRow).where(FindingRow.case == case))).all()


async def _filed(session: AsyncSession, case: str) -> tuple[IntakeRow, ClaimFiling]:
    intake = await session.get_one(IntakeRow, case)
    return intake, filing_of(intake)


async def _event_day(session: AsyncSession, case: str) -> date | None:
    intake, filing = await _filed(session, case)
    learnt = await session.get(LearntRow, case)
    said = LearntFacts.model_validate(learnt.facts) if learnt is not None else LearntFacts()
    return _known(filing, intake, said).occurred_on


async def _third_parties(session: AsyncSession, case: str) -> Sequence[PartyRow]:
    return sorted(await third_parties(session, case), key=lambda p: int(p.party[1:]))


def plain(name: str | None) -> str:
    """A name without what two spellings of the same one differ by."""
    return " ".join((name or "").split()).casefold()


def _named_as(parties: Sequence[PartyRow], policy: PolicyRow) -> dict[str, Any]:
    """Claimants who have the name of somebody who is no third party (1)."""
    who = {plain(company.get("name")): "co_insured" for company in policy.co_insured or ()}
    who |= {plain(policy.policyholder.get("name")): "policyholder", plain(policy.insured.get("name")): "insured"}
    return {p.party: who[plain(p.name)] for p in parties if plain(p.name) and plain(p.name) in who}


async def _on_the_same_occurrence(session: AsyncSession, intake: IntakeRow) -> Sequence[LimitRow]:
    """The other claims of this organisation on the same occurrence."""
    own = await session.get(LimitRow, intake.case)
    if own is None or own.occurrence == intake.case:
        return ()
    found = await session.exec(
        select(LimitRow).where(
            LimitRow.occurrence == own.occurrence,
            LimitRow.case != intake.case,
            col(LimitRow.case).startswith(f"claim:{intake.organisation}:", autoescape=True),
        )
    )
    return found.all()


async def _undecided_beside(session: AsyncSession, intake: IntakeRow) -> Sequence[str]:
    """The other claims on the same occurrence of which nothing is decided yet."""
    beside = [row.case for row in await _on_the_same_occurrence(session, intake)]
    undecided = select(CaseRow.case).where(col(CaseRow.case).in_(beside), col(CaseRow.stage).in_(UNDECIDED))
    return (await session.exec(undecided.order_by(CaseRow.case))).all() if beside else ()


def _first(own: LimitRow, others: Sequence[LimitRow]) -> FirstClaim | None:
    """The occurrence's first claim (5.4), if that is another one: equal instants by receipt, then by id."""
    first = min([own, *others], key=lambda r: (r.filed_at, r.received_at, r.case))
    return None if first is own else FirstClaim(case=first.case, policy=first.policy)


async def _other_policies(
    session: AsyncSession, policy: PolicyRow, known: LearntFacts, intake: IntakeRow
) -> tuple[Period, ...]:
    """The same insured's other policies in whose period the claim was made, where it was not made in this one's."""
    day = (known.first_made_at or intake.received_at).astimezone(ZoneInfo(book(intake.organisation).zone)).date()
    if policy.starts_on <= day <= policy.ends_on:
        return ()
    rows = await session.exec(
        select(PolicyRow)
        .where(
            PolicyRow.organisation == policy.organisation,
            PolicyRow.insured_index == policy.insured_index,
            PolicyRow.policy != policy.policy,
            PolicyRow.starts_on <= day,
            PolicyRow.ends_on >= day,
        )
        .order_by(PolicyRow.policy)
    )
    return tuple(
        Period(
            policy=row.policy,
            starts_on=row.starts_on,
            ends_on=row.ends_on,
            retroactive_from=row.known.registered.retroactive_from,
        )
        for row in rows.all()
    )


async def _paid_before(
    session: AsyncSession, others: Sequence[LimitRow], own: Sequence[PartyRow]
) -> tuple[PaidBefore, ...]:
    """The claims on the same cause of which something was paid, and whether to one of the same people (9.11)."""
    if not others:
        return ()
    found = await session.exec(
        select(PaymentOrderRow.case)
        .where(col(PaymentOrderRow.case).in_([r.case for r in others]), col(PaymentOrderRow.executed_on).is_not(None))
        .distinct()
        .order_by(PaymentOrderRow.case)
    )
    paid = []
    for case in found.all():
        theirs = await _third_parties(session, case)
        same = any(_same_person(a, b) for a in own for b in theirs)
        paid.append(PaidBefore(case=case, same_person=same, occurred_on=await _event_day(session, case)))
    return tuple(paid)


def _same_person(a: PartyRow, b: PartyRow) -> bool:
    if a.personal_code and b.personal_code:
        return re.sub(r"\W", "", a.personal_code) == re.sub(r"\W", "", b.personal_code)
    return bool(plain(a.name)) and plain(a.name) == plain(b.name)


async def _circumstance(session: AsyncSession, organisation: str, reference: str, policy: str) -> datetime | None:
    """When the insured's written report was received; None if there is none, or it was for another policy."""
    row = await session.get(IntakeRow, case_id("circumstance", organisation, reference))
    return row.received_at if row is not None and row.content.get("policy") == policy else None


# ---- faults ---------------------------------------------------------------------------------------------------------


async def _learnt_faults(session: AsyncSession, intake: IntakeRow, said: LearntFacts, at: datetime) -> list[str]:
    today = at.astimezone(ZoneInfo(book(intake.organisation).zone)).date()
    faults = [
        f"{name}: lies in the future"
        for name in ("first_made_at", "notice_received_at")
        if (when := getattr(said, name)) is not None and when > at
    ]
    if said.occurred_on is not None and said.occurred_on > today:
        faults.append("occurred_on: lies in the future")
    if said.circumstance is not None:
        reported = await session.get(IntakeRow, case_id("circumstance", intake.organisation, said.circumstance))
        if reported is None:
            faults.append("circumstance: none was reported under this reference")
    return faults


def _judgment_faults(one: Judgment, facts_say: str) -> list[str]:
    """What a judgment lacks: a reason where the facts do not say the same, the answer to an exclusion's exception."""
    faults = []
    agreed = one.outcome == facts_say or (facts_say == "open" and one.outcome == "met")
    if not agreed and one.reason is None:
        faults.append(f"reason: the facts say {facts_say}; say why it is {one.outcome}")
    term = exclusions().get(one.code)
    question = term.exception if term is not None else None
    if question is None and one.exception is not None:
        faults.append("exception: this point has none of its own")
    if question is not None and one.outcome == "not_met" and one.exception is not False:
        asked = f"exception: {question} Say true or false"
        faults.append(asked if one.exception is None else "exception: where it holds the exclusion does not apply")
    return faults


def _letters(code: str) -> str:
    of = [c for c in exclusions() if re.fullmatch(re.escape(code) + "[a-i]", c)]
    return f"; say its letter: {', '.join(of)}" if of else ""


def _for_body(rows: Iterable[FindingRow]) -> dict[str, Any]:
    """What waits or stands against cover: a few bytes each, and of exclusions that were raised what they are."""
    left = {row.code: row.standing for row in rows if row.standing != "met"}
    terms = {code: exclusions()[code] for code in left if code in exclusions()}
    return {
        "findings": {code: left[code] for code in sorted(left, key=place_of)},
        "exclusions": {code: " ".join(filter(None, (t.label.en + ".", t.exception))) for code, t in terms.items()},
    }
