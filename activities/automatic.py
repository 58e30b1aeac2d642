"""Automatic decisions in the store: what they look at, what is frozen of it, and their review by a person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from activities.limits import Limits, Worked, accounts_of, assess, filing_of, third_parties
from activities.store import ActHandler, Amended
from models.automatic import BY_RULEBOOK, AutomaticFacts, Frozen, Review, Ruled
from models.case import AssignCase
from models.claim import Assess, Assessment, ClaimBody, ProvenLoss
from models.errors import Refusal
from models.operator import SYSTEM
from models.tables import CaseRow, DecisionRow, DocumentRow, FindingRow, IntakeRow, ReviewRow, TimelineRow
from rules.automatic import against, automation, lessened_by
from security.keys import Keyring


async def filled(session: AsyncSession, ask: Assess) -> Assess:
    """What the rulebook takes as proven: what was claimed, to the cent; everything else that a person says is left."""
    claimed = filing_of(await session.get_one(IntakeRow, ask.case)).claimed
    losses = tuple(ProvenLoss(claimant=who, head=head, proven=amount) for (who, head), amount in claimed.items())
    return Assess(case=ask.case, policy=ask.policy, n=ask.n, losses=losses, automatic=True)


async def weigh(session: AsyncSession, keyring: Keyring, ask: Assess, at: datetime) -> Assessment:
    """What the rulebook would decide by the limits as they stand; the faults are the reasons why a person decides.

    Raises:
        Refusal: The settlement cannot be worked out.
    """
    ask = await filled(session, ask)
    limits = await Limits.of(session, keyring, ask.case, ask.policy, at, lock=False)
    worked = await limits.work_out(ask, ask.n)
    assessed = await assess(session, keyring, ask, at)
    terms = automation(limits.rulebook.organisation)
    why = against(terms, await _facts(session, limits, ask, worked, second=assessed.needs_second))
    ruled = Ruled(rulebook=limits.rulebook.version, automation=terms) if terms is not None else None
    return assessed.model_copy(update={"faults": why, "ruled": ruled})


async def freeze(
    session: AsyncSession, limits: Limits, ask: Assess, worked: Worked, row: DecisionRow, ruled: Ruled
) -> None:
    """Write down who decided and from what; under the lock of the policy the conditions must still hold.

    Raises:
        Refusal: They do not.
    """
    facts = await _facts(session, limits, ask, worked, second=False)
    if why := against(ruled.automation, facts):
        raise Refusal(*why)
    papers = (
        await session.exec(
            select(DocumentRow)
            .where(DocumentRow.case == ask.case, DocumentRow.event == "received")
            .order_by(col(DocumentRow.step), col(DocumentRow.n))
        )
    ).all()
    judged = await session.exec(select(FindingRow).where(FindingRow.case == ask.case))
    frozen = Frozen(
        automation=ruled.automation,
        facts=facts,
        settlement=worked.source.model_dump(mode="json"),
        documents=tuple(
            {
                "document": paper.document,
                "received_at": paper.at.isoformat(),
                "reference": paper.reference,
                "sha256": paper.sha256,
            }
            for paper in papers
        ),
        judged={one.code: one.judged_by for one in judged.all() if one.judged_by is not None},
    )
    row.by, row.rulebook, row.frozen = BY_RULEBOOK, ruled.rulebook, frozen.model_dump(mode="json")


async def _facts(session: AsyncSession, limits: Limits, ask: Assess, worked: Worked, *, second: bool) -> AutomaticFacts:
    row = await session.get_one(CaseRow, ask.case)
    body = ClaimBody.model_validate(row.state["body"])
    findings = (await session.exec(select(FindingRow).where(FindingRow.case == ask.case))).all()
    accounts = accounts_of(await third_parties(session, ask.case))
    return AutomaticFacts(
        registered=limits.filing.registered,
        filing_faults=len(body.faults),
        claimants=len(body.claimants),
        heads=tuple(dict.fromkeys(loss.head for loss in ask.losses)),
        documents={r.document: r.status for r in body.requirements},
        findings={one.code: one.standing for one in findings},
        accounts=all(accounts.get(claimant, False) for claimant in body.claimants),
        unpaid_premium=limits.terms.unpaid_premium,
        payable=worked.payable,
        lessened_by=lessened_by(worked.settlement),
        needs_second=second,
    )


class ReviewStore:
    """What the store does about reviews of automatic decisions, in the transaction of the step that asks for it."""

    def __init__(self) -> None:
        self.acts: Mapping[str, ActHandler] = {
            "claim.ask_review": _ask_review,
            "claim.review": _review,
        }


async def _ask_review(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
    """Keep the request, and say who took part in the decision: none of them reviews it."""
    received_at = datetime.fromisoformat(data["received_at"])
    session.add(
        ReviewRow(
            case=case,
            n=data["n"],
            decision=data["decision"],
            received_at=received_at,
            reference=data["reference"],
            view=data["view"],
        )
    )
    took_part = await _took_part(session, case, data["decision"])
    return Amended(
        body={"review": Review(n=data["n"], received_at=received_at, took_part=took_part).model_dump(mode="json")}
    )


async def _took_part(session: AsyncSession, case: str, decision: int) -> tuple[str, ...]:
    """The operators who said something to the claim before it was decided, and to whom it was assigned."""
    decided_at = (await session.get_one(DecisionRow, (case, decision))).decided_at
    assert decided_at is not None
    steps = await session.exec(
        select(TimelineRow)
        .where(TimelineRow.case == case, TimelineRow.at <= decided_at)
        .order_by(col(TimelineRow.step))
    )
    people = set()
    for step in steps.all():
        # who assigns a case says nothing of it; who was to handle it did
        who = step.facts.get("handler") if step.message == AssignCase.update_name() else step.actor
        if who and not who.startswith(SYSTEM):
            people.add(who)
    return tuple(sorted(people))


async def _review(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
    """Keep what came of the review."""
    row = await session.get_one(ReviewRow, (case, data["n"]))
    row.outcome, row.reason = data["outcome"], data["reason"]
    row.reviewed_by, row.reviewed_at = data["by"], at
