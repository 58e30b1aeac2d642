"""A claim's side of the store: how it opens, its settlement by the limits as they stand, and taking from them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities import instalments
from activities.automatic import ReviewStore, filled, freeze, weigh
from activities.coverage import CoverageStore, plain
from activities.limits import Limits, asked, assess, filing_of
from activities.payment import SCREENING, executed, order_of, rejected, set_account
from activities.recovery import recover
from activities.store import ActHandler, Amended, Opening
from integrations.bank import iban_fault
from models.automatic import Ruled
from models.claim import LIMITS_MOVED, Assess, Assessment, ClaimBody, ClaimFiling, Document, Requirement
from models.errors import Refusal
from models.names import case_id
from models.now import Now
from models.settlement import NONE
from models.tables import (
    CaseRow,
    DecisionRow,
    DocumentRow,
    IntakeRow,
    LimitRow,
    NoticeRow,
    PartyRow,
    PolicyRow,
    ScreeningRow,
)
from operations.intake import POLICY_ERASED, Sessions
from rules.authority import limits as limits_of
from rules.automatic import begun
from rules.documents import asked as document_asked
from rules.documents import required
from security.index import index_of
from security.keys import Keyring

DECIDE = "BTA-10.5a"
CONTRACT = ("insured", "policyholder", "co_insured")
"""The roles of those whom the policy names."""
CO_INSURED = "co_insured_"
"""What the codes of co-insured parties begin with; a number follows."""


class ClaimStore:
    """What a claim adds to `case.open` and `case.record`."""

    kind = "claim"

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._coverage = CoverageStore(keyring)
        self.acts: Mapping[str, ActHandler] = {
            **self._coverage.acts,
            **ReviewStore().acts,
            "claim.note_document": _note_document,
            "claim.set_policy": self._set_policy,
            "claim.propose": self._propose,
            "claim.route": _route,
            "claim.decide": self._decide,
            "claim.keep_salvage": self._keep_salvage,
            "claim.set_reserve": self._set_reserve,
            "claim.reserve_again": self._reserve_again,
            "claim.take_limit": self._take_limit,
            "claim.set_account": set_account,
            "claim.release": self._release,
            "claim.recover": self._recover,
            "claim.agree": instalments.agree,
            "claim.order_instalment": instalments.order,
            "claim.end_right": self._end_right,
            "payment.executed": self._executed,
            "payment.rejected": self._rejected,
            **SCREENING,
        }

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """The parties, the reserve on the policy's limits, and the documents that are asked for."""
        filing = filing_of(intake)
        faults = list(intake.faults)
        policy = await _policy(session, self._keyring, intake.organisation, filing)
        if policy is None:
            named = await session.get(PolicyRow, filing.policy) if filing.policy else None
            gone = named is not None and named.erased and named.organisation == intake.organisation
            why = POLICY_ERASED if gone else "no such policy"
            faults.append(f"content.policy: {why}; set_policy names the right one")
        for i, claimant in enumerate(filing.claimants, 1):
            fault = iban_fault(claimant.iban) if claimant.iban is not None else None
            if fault is not None:
                faults.append(f"content.claimants.{i - 1}.iban: {fault}; it holds the payment, nothing else")
            session.add(
                PartyRow(
                    case=intake.case,
                    party=f"C{i}",
                    role="third_party",
                    name=claimant.name,
                    email=claimant.email,
                    personal_code=claimant.personal_code,
                    iban=None if fault else claimant.iban,
                    language=claimant.language,
                    to_screen=True,
                )
            )
        if policy is not None:
            await _add_contract(session, intake.case, policy)
            await Limits(session, self._keyring, intake, policy, at).enter(at)
        if filing.circumstance is not None:
            reported = case_id("circumstance", intake.organisation, filing.circumstance)
            if await session.get(IntakeRow, reported) is None:
                faults.append("content.circumstance: none was reported under this reference")
        claimants = tuple(f"C{i}" for i in range(1, max(len(filing.claimants), 1) + 1))
        if not filing.claimants:
            session.add(PartyRow(case=intake.case, party="C1", role="third_party"))
        for n, came in enumerate(filing.documents):
            session.add(
                DocumentRow(
                    case=intake.case,
                    step=0,
                    n=n,
                    event="received",
                    at=came.received_at or intake.received_at,
                    **came.model_dump(mode="json", exclude={"received_at"}),
                )
            )
        await session.flush()
        cover = await self._coverage.begin(session, intake, filing, at)
        body = ClaimBody(
            received_at=intake.received_at,
            policy=policy.policy if policy else None,
            claimants=claimants,
            heads=tuple(f"{who}: {head} {amount} EUR claimed" for (who, head), amount in filing.claimed.items()),
            faults=tuple(faults),
            requirements=_requirements(filing, intake.received_at),
            automatic=begun(intake.organisation, filing.registered),
        )
        return Opening(
            stage="collecting",
            body={**body.model_dump(mode="json"), **cover.body},
        )

    # ---- acts -------------------------------------------------------------------------------------------------------

    async def _set_policy(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        limits = await Limits.of(session, self._keyring, case, data["policy"], at, lock=True)
        await self._release(session, case, data, at)
        if (own := await session.get(LimitRow, case)) is not None:
            await session.delete(own)
        contract = select(PartyRow).where(PartyRow.case == case, col(PartyRow.role).in_(CONTRACT))
        for former in (await session.exec(contract)).all():
            await session.delete(former)
        await session.flush()
        await _add_contract(session, case, limits.policy)
        await limits.enter(at)
        await session.flush()
        return await self._coverage.renew(session, case, at)

    async def _propose(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        """Keep the inputs of what is proposed, for the decision and for whoever asks later how it came about."""
        ask = Assess.model_validate(data["ask"])
        row = await session.get(DecisionRow, (case, ask.n))
        if row is None:
            row = DecisionRow(case=case, n=ask.n, asked={}, lines={}, proposed_at=at)
            session.add(row)
        row.asked, row.proposed_at = ask.model_dump(mode="json"), at
        limits = await Limits.of(session, self._keyring, case, ask.policy, at, lock=True)
        (await limits.own()).proposed = Decimal(data["total"])

    async def _decide(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        """Take what was decided from the limits, under the policy's lock; refused if they give something else now."""
        ask = Assess.model_validate(data["ask"])
        if ask.automatic:
            ask = await filled(session, ask)
            data = {**data, "ask": ask.model_dump(mode="json")}
        if not ask.recorded:
            await self._propose(session, case, data, at)
        limits = await Limits.of(session, self._keyring, case, ask.policy, at, lock=True)
        # who changes the policy holds the same lock: what it says now is what is decided by
        if ask.recorded in (0, ask.n) and (faults := await self._coverage.unheard_changes(session, case, at)):
            raise Refusal(*faults)
        ask = await asked(session, ask)
        row = await session.get(DecisionRow, (case, ask.n))
        if row is None:
            row = DecisionRow(case=case, n=ask.n, asked=ask.model_dump(mode="json"), lines={}, proposed_at=at)
            session.add(row)
        row.decided_at = at
        await session.flush()
        if ask.reject:
            await limits.reject(ask, at)
            return None
        worked = await limits.work_out(ask, ask.n)
        if worked.amounts() != data["amounts"]:
            raise Refusal(f"{LIMITS_MOVED} (9.6)")
        if ask.automatic:
            await freeze(session, limits, ask, worked, row, Ruled.model_validate(data["ruled"]))
        row.lines, row.premium = worked.lines, worked.premium
        await session.flush()
        less = await limits.take(ask, worked, at)
        body: dict[str, Any] = {"salvage": await limits.waiting_for_salvage()}
        if less:
            withheld = await limits.withheld_by()
            body["withheld_by"] = {n: str(amount) for n, amount in withheld.items()}
            body["withheld"] = str(sum(withheld.values(), start=NONE))
        return Amended(body=body)

    async def _keep_salvage(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        """The owner keeps what is left of a thing (9.3.1)."""
        limits = await Limits.of(session, self._keyring, case, data["policy"], at, lock=True)
        await limits.keep_salvage(data["of"], at)
        return Amended(body={"salvage": await limits.waiting_for_salvage()})

    async def _reserve_again(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        own = await session.get(LimitRow, case)
        if own is not None:
            limits = await Limits.of(session, self._keyring, case, own.policy, at, lock=True)
            await limits.reserve_again(at)

    async def _set_reserve(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        limits = await Limits.of(session, self._keyring, case, data["policy"], at, lock=True)
        return str(await limits.reserve(Decimal(data["amount"]), at))

    async def _take_limit(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        """What a decision without a number took from the limits: builds before `claim.decide` ask for it."""
        limits = await Limits.of(session, self._keyring, case, data["policy"], at, lock=True)
        own, total = await limits.own(), Decimal(data["total"])
        others = (
            await session.exec(select(LimitRow).where(LimitRow.policy == own.policy, LimitRow.case != case))
        ).all()
        occurrence = sum((r.taken for r in others if r.occurrence == own.occurrence), Decimal("0.00"))
        aggregate = sum((r.taken for r in others), Decimal("0.00"))
        if (str(occurrence), str(aggregate)) != (data["occurrence_taken"], data["aggregate_taken"]):
            raise Refusal("9.6: the limits of the policy have given to another claim meanwhile; propose again")
        if occurrence + total > limits.terms.limit_per_occurrence or aggregate + total > limits.terms.limit_aggregate:
            raise Refusal("5.4, 5.6: more than the limits have left")
        await limits.book_premium(Decimal(data.get("premium", 0)), at)
        own.taken, own.reserved, own.deductible = total, Decimal(data["withheld"]), Decimal(data["deductible"])
        own.changed_at = at
        await limits.ring(at)

    async def _release(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        own = await session.get(LimitRow, case)
        if own is not None:
            await (await Limits.of(session, self._keyring, case, own.policy, at, lock=True)).release(at)

    async def _recover(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        await recover(session, self._keyring, case, data, at)

    async def _end_right(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        """What is not ordered and falls after the end of the right is cancelled, and its limit is free again."""
        own = await session.get_one(LimitRow, case)
        limits = await Limits.of(session, self._keyring, case, own.policy, at, lock=True)
        cancelled = await instalments.end(session, case, data, at)
        await limits.give_back(cancelled, at)
        return str(cancelled)

    async def _executed(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        order = await order_of(session, case, data["key"])
        if order.issued_at is not None and order.executed_on is None:
            await _paid(session, case, order.amount)
        await executed(session, case, data, at)
        await self._coverage.paid(session, case, at)

    async def _rejected(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        order = await order_of(session, case, data["key"])
        if order.executed_on is not None:
            await _paid(session, case, -order.amount)
            await self._coverage.paid(session, case, at)
        await rejected(session, case, data, at)


class ClaimActivities:
    """`claim.assess`: what a decision would give."""

    def __init__(self, sessions: Sessions, keyring: Keyring, now: Now) -> None:
        self._sessions = sessions
        self._keyring = keyring
        self._now = now

    @activity.defn(name="claim.assess")
    async def assess(self, ask: Assess) -> Assessment:
        """The settlement by the limits as they stand; faults where it cannot be worked out."""
        async with self._sessions() as session:
            try:
                if ask.automatic:
                    return await weigh(session, self._keyring, ask, self._now())
                return await assess(session, self._keyring, ask, self._now())
            except Refusal as e:
                return Assessment(faults=e.faults)


async def _policy(session: AsyncSession, keyring: Keyring, organisation: str, filing: ClaimFiling) -> PolicyRow | None:
    """The policy by its number or, where that is unknown, the only one of the insured's name.

    It is not erased by its storage term until this transaction ends: the claim keeps it from then on.
    """
    if filing.policy:
        found = await session.get(PolicyRow, filing.policy, with_for_update={"read": True, "key_share": True})
        if found is not None and found.organisation == organisation:
            return None if found.erased else found
    if filing.insured_name:
        rows = (
            await session.exec(
                select(PolicyRow)
                .where(
                    PolicyRow.organisation == organisation,
                    PolicyRow.insured_index == await index_of(keyring, "name", filing.insured_name),
                )
                .with_for_update(read=True, key_share=True)
            )
        ).all()
        if len(rows) == 1:
            return rows[0]
    return None


async def _note_document(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
    """Something happened to a document: it was received, asked for, or is not needed."""
    session.add(DocumentRow(case=case, **{**data, "at": datetime.fromisoformat(data["at"])}))


async def _route(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """A proposal waits: the role with the authority is told, or the highest one that nobody has it."""
    row = await session.get_one(CaseRow, case)
    table = limits_of(row.organisation)
    asked_before = (await session.exec(select(NoticeRow.key).where(NoticeRow.case == case, NoticeRow.internal))).all()
    session.add(
        NoticeRow(
            case=case,
            key=f"authority:{1 + sum(key.startswith('authority:') for key in asked_before)}",
            template="internal-authority",
            party=data["to"] or max(table, key=lambda role: table[role]),
            internal=True,
            duty=DECIDE,
            facts={"amount": data["amount"], "nobody": not data["to"]},
            queued_at=at,
        )
    )


async def _add_contract(session: AsyncSession, case: str, policy: PolicyRow) -> None:
    """The parties whom the policy names, each once: insured, policyholder and co-insured (GJ-sanctions)."""
    # a number is never used again: whom the officer told apart from somebody was another one
    screened = select(ScreeningRow.party).where(
        ScreeningRow.case == case, col(ScreeningRow.party).startswith(CO_INSURED, autoescape=True)
    )
    numbers = count(1 + max((int(p.removeprefix(CO_INSURED)) for p in (await session.exec(screened)).all()), default=0))
    named = {plain(policy.insured["name"])}
    companies = [("insured", policy.insured), ("policyholder", policy.policyholder)]
    for role, company in [*companies, *((CO_INSURED, company) for company in policy.co_insured or ())]:
        name = plain(company.get("name"))
        if role != "insured" and (not name or name in named):
            continue
        named.add(name)
        session.add(
            PartyRow(
                case=case,
                party=f"{CO_INSURED}{next(numbers)}" if role == CO_INSURED else role,
                role=role.rstrip("_"),
                name=company["name"],
                email=company.get("email"),
                language=company.get("language", "lv"),
                to_screen=True,
            )
        )


def _requirements(filing: ClaimFiling, received_at: datetime) -> tuple[Requirement, ...]:
    came = {d.document: d.received_at or received_at for d in filing.documents}
    wanted = {a.document for a in required([loss.head for loss in filing.losses], in_court=filing.in_court)}
    return tuple(
        Requirement(
            document=a.document,
            clause=a.clause,
            title=a.title.en,
            proves=a.proves,
            status="received" if a.document in came else "missing" if a.document in wanted else "not_asked",
            # what was not asked for is kept, but starts nothing
            received_at=came.get(a.document) if a.document in wanted else None,
        )
        for a in map(document_asked, Document)
    )


async def _paid(session: AsyncSession, case: str, amount: Decimal) -> None:
    """The bank paid this much more, or took it back."""
    if (own := await session.get(LimitRow, case)) is not None:
        own.paid += amount
