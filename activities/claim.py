"""A claim's side of the store: how it opens, its settlement by the limits as they stand, and taking from them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity

from activities.store import ActHandler, Opening
from integrations.bank import iban_fault
from models.claim import (
    Assess,
    Assessment,
    ClaimantDecision,
    ClaimBody,
    ClaimFiling,
    Document,
    ProvenLoss,
    Requirement,
    read_claim,
)
from models.errors import Refusal
from models.settlement import Loss, PaidSum, Payer, PolicyTerms, Readings, Reserved, SettlementInput, Taken
from models.tables import IntakeRow, LimitRow, PartyRow, PaymentOrderRow, PolicyRow
from operations.intake import Sessions
from rules.documents import asked, required
from rules.rulebook import book
from rules.settlement import explain, settle
from security.index import index_of
from security.keys import Keyring

LANGUAGES = ("lv", "lt", "en")


class ClaimStore:
    """What a claim adds to `case.open` and `case.record`."""

    kind = "claim"

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self.acts: Mapping[str, ActHandler] = {
            "claim.set_policy": self._set_policy,
            "claim.take_limit": self._take_limit,
            "claim.set_account": self._set_account,
            "claim.release": self._release,
            "payment.executed": self._executed,
            "payment.rejected": self._rejected,
        }

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """The parties, the reserve on the policy's limits, and the documents that are asked for."""
        zone = ZoneInfo(book(intake.organisation).zone)
        filing, _ = read_claim(intake.content, intake.received_at.astimezone(zone).date())
        faults = list(intake.faults)
        policy = await _policy(session, self._keyring, intake.organisation, filing)
        if policy is None:
            faults.append("content.policy: no such policy; set_policy names the right one")
        for i, claimant in enumerate(filing.claimants, 1):
            if claimant.iban is not None and (fault := iban_fault(claimant.iban)):
                faults.append(f"content.claimants.{i - 1}.iban: {fault}; it holds the payment, nothing else")
            session.add(
                PartyRow(
                    case=intake.case,
                    party=f"C{i}",
                    role="third_party",
                    name=claimant.name,
                    email=claimant.email,
                    personal_code=claimant.personal_code,
                    iban=claimant.iban,
                    language=claimant.language,
                )
            )
        if policy is not None:
            _add_insured(session, intake.case, policy)
            await _reserve(session, self._keyring, intake, filing, policy)
        claimants = tuple(f"C{i}" for i in range(1, max(len(filing.claimants), 1) + 1))
        if not filing.claimants:
            session.add(PartyRow(case=intake.case, party="C1", role="third_party"))
        body = ClaimBody(
            received_at=intake.received_at,
            policy=policy.policy if policy else None,
            claimants=claimants,
            heads=tuple(f"C{loss.claimant}: {loss.head} {loss.amount} EUR claimed" for loss in filing.losses),
            faults=tuple(faults),
            requirements=_requirements(filing, intake.received_at),
        )
        return Opening(
            stage="collecting",
            body=body.model_dump(mode="json"),
        )

    # ---- acts -------------------------------------------------------------------------------------------------------

    async def _set_policy(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        intake = (await session.exec(select(IntakeRow).where(IntakeRow.case == case))).one()
        policy = await session.get(PolicyRow, data["policy"])
        if policy is None or policy.organisation != intake.organisation:
            raise Refusal("policy: there is none with this number")
        zone = ZoneInfo(book(intake.organisation).zone)
        filing, _ = read_claim(intake.content, intake.received_at.astimezone(zone).date())
        if (former := await session.get(LimitRow, case)) is not None:
            await session.delete(former)
            await session.flush()
        if (insured := await session.get(PartyRow, (case, "insured"))) is not None:
            await session.delete(insured)
            await session.flush()
        _add_insured(session, case, policy)
        await _reserve(session, self._keyring, intake, filing, policy)

    async def _take_limit(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        """Take what was decided from the limits, under the policy's lock; refused if they gave to others meanwhile."""
        policy = (
            await session.exec(select(PolicyRow).where(PolicyRow.policy == data["policy"]).with_for_update())
        ).one()
        own = (await session.exec(select(LimitRow).where(LimitRow.case == case))).one()
        occurrence, aggregate, _ = await _taken(session, own)
        if (str(occurrence), str(aggregate)) != (data["occurrence_taken"], data["aggregate_taken"]):
            raise Refusal("9.6: the limits of the policy have given to another claim meanwhile; propose again")
        terms = PolicyTerms.model_validate(policy.terms)
        total = Decimal(data["total"])
        if occurrence + total > terms.limit_per_occurrence or aggregate + total > terms.limit_aggregate:
            raise Refusal("5.4, 5.6: more than the limits have left")
        if premium := Decimal(data.get("premium", 0)):
            if premium > terms.unpaid_premium:
                raise Refusal("9.5: the unpaid premium was paid or withheld meanwhile; propose again")
            policy.terms = {**policy.terms, "unpaid_premium": str(terms.unpaid_premium - premium)}
        own.taken, own.reserved, own.deductible = total, Decimal(data["withheld"]), Decimal(data["deductible"])

    async def _release(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        own = await session.get(LimitRow, case)
        if own is not None:
            own.reserved = Decimal(0)

    async def _set_account(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        if fault := iban_fault(data["iban"]):
            raise Refusal(f"iban: {fault}")
        party = await session.get(PartyRow, (case, data["claimant"]))
        if party is None:
            raise Refusal("claimant: there is no such claimant")
        party.iban = data["iban"]

    async def _executed(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        order = await _order(session, case, data["key"])
        if order.issued_at is None:
            raise Refusal("payment: its order has not reached the bank yet")
        order.executed_on = datetime.fromisoformat(data["executed_on"]).date()
        order.rejected = None

    async def _rejected(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        order = await _order(session, case, data["key"])
        order.rejected, order.executed_on = data["reason"], None


class ClaimActivities:
    """`claim.assess`: what a proposed decision would pay."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @activity.defn(name="claim.assess")
    async def assess(self, ask: Assess) -> Assessment:
        """The settlement of what is proposed, by the limits as they stand; faults where it cannot be worked out."""
        async with self._sessions() as session:
            intake = (await session.exec(select(IntakeRow).where(IntakeRow.case == ask.case))).one()
            policy = await session.get(PolicyRow, ask.policy)
            own = await session.get(LimitRow, ask.case)
            if policy is None or own is None:
                return Assessment(faults=("policy: not set",))
            occurrence, aggregate, deductible = await _taken(session, own)
            reserved = await _reserved_by_earlier(session, own)
            parties = (
                await session.exec(select(PartyRow).where(PartyRow.case == ask.case, PartyRow.role == "third_party"))
            ).all()
        rulebook = book(intake.organisation)
        zone = ZoneInfo(rulebook.zone)
        filing, _ = read_claim(intake.content, intake.received_at.astimezone(zone).date())
        claimed = {(f"C{loss.claimant}", loss.head): loss.amount for loss in filing.losses}
        faults = [
            f"losses: {p.claimant} did not claim {p.head}" for p in ask.losses if (p.claimant, p.head) not in claimed
        ]
        faults += [
            f"losses: {p.claimant} {p.head}: more than was claimed ({claimed[(p.claimant, p.head)]} EUR)"
            for p in ask.losses
            if (p.claimant, p.head) in claimed and (p.proven or 0) > claimed[(p.claimant, p.head)]
        ]
        if faults:
            return Assessment(faults=tuple(faults))
        accounts = {p.party: p.iban is not None and iban_fault(p.iban) is None for p in parties}
        if ask.reject:
            return Assessment(
                claimants=tuple(
                    ClaimantDecision(claimant=p.party, payable=Decimal(0), withheld=Decimal(0)) for p in parties
                ),
                occurrence_taken=occurrence,
                aggregate_taken=aggregate,
                letters={p.party: {language: [] for language in LANGUAGES} for p in parties},
            )
        try:
            settlement = settle(
                SettlementInput(
                    policy=PolicyTerms.model_validate(policy.terms),
                    losses=tuple(_loss(p, claimed[(p.claimant, p.head)]) for p in ask.losses),
                    liability_share=ask.liability_share,
                    other_insurers=ask.other_insurers,
                    recommended=ask.recommended,
                    withhold_premium=ask.withhold_premium,
                    reductions=ask.reductions,
                    taken=Taken(occurrence=occurrence, aggregate=aggregate, deductible=deductible),
                    reserved_by_earlier=reserved,
                    readings=Readings(
                        liability_before_deductible=bool(rulebook.values.get("liability_before_deductible", True)),
                        unpaid_premium_with_deductible=bool(
                            rulebook.values.get("unpaid_premium_with_deductible", True)
                        ),
                    ),
                )
            )
        except ValidationError as e:
            return Assessment(
                faults=tuple(
                    f"{'.'.join(str(p) for p in err['loc'])}: {err['msg'].removeprefix('Value error, ')}"
                    for err in e.errors(include_url=False, include_context=False, include_input=False)
                )
            )
        limit = Decimal(str(rulebook.values["second_approval_above"]))
        return Assessment(
            claimants=tuple(
                ClaimantDecision(
                    claimant=c.claimant,
                    payable=c.payable,
                    withheld=c.withheld,
                    account=accounts.get(c.claimant, False),
                    to_insured=sum((head.to_insured for head in c.heads), Decimal("0.00")),
                )
                for c in settlement.claimants
            ),
            total=settlement.payable,
            deductible=settlement.deductible,
            premium=settlement.premium,
            needs_second=settlement.payable > limit,
            occurrence_taken=occurrence,
            aggregate_taken=aggregate,
            letters={
                c.claimant: {
                    "lv": list(explain(settlement, c.claimant, "lv")),
                    "lt": list(explain(settlement, c.claimant, "lt")),
                    "en": list(explain(settlement, c.claimant, "en")),
                }
                for c in settlement.claimants
            },
        )


def _loss(proven: ProvenLoss, claimed: Decimal) -> Loss:
    """What is proven beside what was claimed."""
    data = proven.model_dump(exclude={"compensated", "compensations"})
    lump = (PaidSum(payer=Payer.other, amount=proven.compensated),) if proven.compensated else ()
    return Loss.model_validate({**data, "claimed": claimed, "compensations": proven.compensations or lump})


async def _policy(session: AsyncSession, keyring: Keyring, organisation: str, filing: ClaimFiling) -> PolicyRow | None:
    """The policy by its number or, where that is unknown, the only one of the insured's name."""
    if filing.policy and (found := await session.get(PolicyRow, filing.policy)) and found.organisation == organisation:
        return found
    if filing.insured_name:
        rows = (
            await session.exec(
                select(PolicyRow).where(
                    PolicyRow.organisation == organisation,
                    PolicyRow.insured_index == await index_of(keyring, "name", filing.insured_name),
                )
            )
        ).all()
        if len(rows) == 1:
            return rows[0]
    return None


def _add_insured(session: AsyncSession, case: str, policy: PolicyRow) -> None:
    session.add(
        PartyRow(
            case=case,
            party="insured",
            role="insured",
            name=policy.insured["name"],
            email=policy.insured.get("email"),
            language=policy.insured.get("language", "lv"),
        )
    )


async def _reserve(
    session: AsyncSession, keyring: Keyring, intake: IntakeRow, filing: ClaimFiling, policy: PolicyRow
) -> None:
    """Reserve what is claimed, no more than the limit of the occurrence; in the order of filing (9.6)."""
    claimed = sum((loss.amount for loss in filing.losses), Decimal(0))
    terms = PolicyTerms.model_validate(policy.terms)
    session.add(
        LimitRow(
            case=intake.case,
            policy=policy.policy,
            # what the sender calls it can name a person or a place: it is only ever compared
            occurrence=(await index_of(keyring, "occurrence", filing.occurrence)).hex()
            if filing.occurrence
            else intake.case,
            filed_at=filing.first_made_at or intake.received_at,
            received_at=intake.received_at,
            reserved=min(claimed, terms.limit_per_occurrence),
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
        for a in map(asked, Document)
    )


async def _taken(session: AsyncSession, own: LimitRow) -> tuple[Decimal, Decimal, Decimal]:
    """What other claims have taken: of the occurrence, of the period, and of the occurrence's deductible."""
    others = (
        await session.exec(select(LimitRow).where(LimitRow.policy == own.policy, LimitRow.case != own.case))
    ).all()
    same = [r for r in others if r.occurrence == own.occurrence]
    return (
        sum((r.taken for r in same), Decimal("0.00")),
        sum((r.taken for r in others), Decimal("0.00")),
        sum((r.deductible for r in same), Decimal("0.00")),
    )


async def _reserved_by_earlier(session: AsyncSession, own: LimitRow) -> Reserved:
    """What claims filed earlier hold reserved: equal instants by receipt, then by id (9.6, 9.10)."""
    others = (
        await session.exec(
            select(LimitRow).where(LimitRow.policy == own.policy, LimitRow.case != own.case, col(LimitRow.reserved) > 0)
        )
    ).all()
    order = (own.filed_at, own.received_at, own.case)
    earlier = [r for r in others if (r.filed_at, r.received_at, r.case) < order]
    return Reserved(
        occurrence=sum((r.reserved for r in earlier if r.occurrence == own.occurrence), Decimal("0.00")),
        aggregate=sum((r.reserved for r in earlier), Decimal("0.00")),
    )


async def _order(session: AsyncSession, case: str, key: str) -> PaymentOrderRow:
    order = await session.get(PaymentOrderRow, (case, key))
    if order is None:
        raise Refusal("payment: there is no such order")
    return order
