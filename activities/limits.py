"""The limit ledger: what claims reserve and take of a policy's limits, in the order of filing (5.4, 5.6, 9.6, 9.10).

Whatever takes, reserves or releases holds the lock of the policy's row, and works the settlement out again under it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from activities.instalments import left_to_agreement
from integrations.bank import iban_fault
from models.claim import RELEASED, Assess, Assessment, ClaimantDecision, ClaimFiling, ProvenLoss, read_claim
from models.coverage import LearntFacts
from models.errors import Refusal
from models.settlement import (
    NONE,
    OF_DEATH,
    Basis,
    ClaimantSettlement,
    DeductibleKind,
    Head,
    Language,
    Loss,
    PaidSum,
    Payer,
    PolicyTerms,
    Readings,
    Reserved,
    Settlement,
    SettlementInput,
    Taken,
    TakenByPerson,
    TakenOfSublimit,
)
from models.tables import (
    BellRow,
    DecisionPartRow,
    DecisionRow,
    IntakeRow,
    LearntRow,
    LimitRow,
    OperatorRow,
    PartyRow,
    PolicyRow,
)
from operations.intake import POLICY_ERASED
from operations.policies import book_withheld
from rules.authority import authority_for
from rules.authority import limits as limits_of
from rules.policy import terms_on
from rules.reasons import head_faults
from rules.rulebook import Rulebook, book
from rules.salvage import due_by_salvage, handed, salvage_waits
from rules.settlement import Cell, explain, explain_supplement, released, settle, used_up
from security.index import index_of
from security.keys import Keyring

LANGUAGES: tuple[Language, ...] = ("lv", "lt", "en")


@dataclass(frozen=True)
class Worked:
    """A settlement by the ledger as it stands: what is decided now, and what was decided before."""

    settlement: Settlement
    parts: tuple[DecisionPartRow, ...]
    """What this decision gives; not yet in the store."""
    withheld: Decimal
    premium: Decimal
    """Unpaid premium that this decision withholds (9.5)."""
    proven: Decimal
    lines: dict[str, dict[str, list[str]]]
    source: SettlementInput
    """What it was worked out from."""

    @property
    def payable(self) -> Decimal:
        """What this decision gives, in EUR."""
        return sum((p.payable for p in self.parts), NONE)

    @property
    def salvage(self) -> Decimal:
        """What becomes due by handing over salvage, in EUR."""
        return sum((p.salvage for p in self.parts), NONE)

    @property
    def deductible(self) -> Decimal:
        """What this decision takes off as deductible, in EUR."""
        return sum((p.deductible for p in self.parts), NONE)

    def claimants(self, accounts: dict[str, bool], ask: Assess | None = None) -> tuple[ClaimantDecision, ...]:
        """What each claimant gets by this decision, and what of it `ask` leaves to a written agreement."""
        return tuple(
            ClaimantDecision(
                claimant=c.claimant,
                payable=sum((p.payable for p in self.parts if p.claimant == c.claimant), NONE),
                withheld=c.withheld,
                account=accounts.get(c.claimant, False),
                to_insured=sum((p.to_insured for p in self.parts if p.claimant == c.claimant), NONE),
                by_agreement=left_to_agreement(self.parts, c.claimant, ask) if ask is not None else (),
            )
            for c in self.settlement.claimants
        )

    def amounts(self) -> dict[str, Any]:
        """What must still be so when the decision is recorded."""
        return {
            "claimants": {c.claimant: [str(c.payable), str(c.withheld)] for c in self.claimants({})},
            "deductible": str(self.deductible),
            "premium": str(self.premium),
            **({"salvage": str(self.salvage)} if self.salvage else {}),
        }


class Limits:
    """A claim before the ledger of its policy."""

    def __init__(
        self,
        session: AsyncSession,
        keyring: Keyring,
        intake: IntakeRow,
        policy: PolicyRow,
        at: datetime,
        learnt: LearntRow | None = None,
    ) -> None:
        """`at` is the instant at which the premium is looked at: what of it is due and unpaid (9.5)."""
        self._session = session
        self._keyring = keyring
        self._intake = intake
        self.policy = policy
        self.rulebook: Rulebook = book(intake.organisation)
        self.filing = filing_of(intake)
        zone = ZoneInfo(self.rulebook.zone)
        # an event whose day is not known counts as one of the day of receipt
        said = LearntFacts.model_validate(learnt.facts).occurred_on if learnt is not None else None
        event_day = said or self.filing.occurred_on or intake.received_at.astimezone(zone).date()
        self.terms = terms_on(policy.known, event_day, at.astimezone(zone).date())
        """The terms that apply to the event."""

    @classmethod
    async def of(
        cls, session: AsyncSession, keyring: Keyring, case: str, policy: str, at: datetime, *, lock: bool
    ) -> Limits:
        """The ledger of this policy for this claim; with `lock`, nobody else changes it in the meantime."""
        intake = (await session.exec(select(IntakeRow).where(IntakeRow.case == case))).one()
        query = select(PolicyRow).where(PolicyRow.policy == policy)
        found = (await session.exec(query.with_for_update() if lock else query)).one_or_none()
        if found is None or found.organisation != intake.organisation:
            raise Refusal("policy: there is none with this number")
        if found.erased:
            raise Refusal(f"policy: {POLICY_ERASED}")
        return cls(session, keyring, intake, found, at, await session.get(LearntRow, case))

    # ---- reserve ----------------------------------------------------------------------------------------------------

    async def enter(self, at: datetime) -> None:
        """Enter the claim with what it reserves: what is claimed, no more than the limit of the occurrence (9.6)."""
        claimed = sum((loss.amount for loss in self.filing.losses), NONE)
        self._session.add(
            LimitRow(
                case=self._intake.case,
                policy=self.policy.policy,
                # what the sender calls it can name a person or a place: it is only ever compared
                occurrence=(await index_of(self._keyring, "occurrence", self.filing.occurrence)).hex()
                if self.filing.occurrence
                else self._intake.case,
                filed_at=self.filing.first_made_at or self._intake.received_at,
                received_at=self._intake.received_at,
                claimed=claimed,
                reserved=min(claimed, self.terms.limit_per_occurrence),
                changed_at=at,
            )
        )

    async def reserve(self, amount: Decimal, at: datetime) -> Decimal:
        """Reserve this much from now on; what it was before. Others hear of what is released."""
        own = await self.own()
        if amount > (most := min(own.claimed, self.terms.limit_per_occurrence)):
            raise Refusal(f"amount: no more can be reserved than is claimed and the limit has: {most} EUR (9.6)")
        before, own.reserved, own.changed_at = own.reserved, amount, at
        if amount < before:
            await self.ring(at)
        return before

    async def release(self, at: datetime) -> None:
        """The claim takes no more: what it reserved is free for others."""
        own = await self._session.get(LimitRow, self._intake.case)
        if own is not None:
            own.reserved = own.withheld = Decimal(0)
            own.changed_at = at
            await self.ring(at)

    async def ring(self, at: datetime) -> None:
        """Ring the claims of this policy for which what is withheld is free now, or never will be.

        Where the policy has limits by person, by kind of loss or by version, the ledger alone does not say: each is
        asked.
        """
        rows = (await self._session.exec(select(LimitRow).where(LimitRow.policy == self.policy.policy))).all()
        terms = self.terms
        finer = (
            bool(terms.sublimits)
            or terms.limit_per_person is not None
            or any(addendum.limits is not None for addendum in self.policy.known.addenda)
        )
        for row in rows:
            if row.case == self._intake.case or not row.withheld:
                continue
            same = [r for r in rows if r.occurrence == row.occurrence]
            left, free = _left(terms.limit_aggregate, rows, row)
            left_here, free_here = _left(terms.limit_per_occurrence, same, row)
            if finer or min(free, free_here) > 0 or row.withheld > min(left, left_here):
                self._session.add(BellRow(case=row.case, reason=RELEASED, created_at=at))

    # ---- decide -----------------------------------------------------------------------------------------------------

    async def work_out(self, ask: Assess, n: int) -> Worked:
        """The settlement by the ledger as it stands, and what the n-th decision gives of it.

        Raises:
            Refusal: It cannot be worked out; every fault.
        """
        claimed = self._claimed(ask)
        faults = [f"losses: {p.claimant} did not claim {p.head}" for p in ask.losses if _cell(p) not in claimed]
        faults += [
            f"losses: {p.claimant} {p.head}: more than was claimed ({claimed[_cell(p)]} EUR)"
            for p in ask.losses
            if _cell(p) in claimed and (p.proven or 0) > claimed[_cell(p)]
        ]
        if faults:
            # what is to be worked out from facts is not known yet: taken as claimed, so that no fault is made up
            said = {_cell(p): claimed.get(_cell(p), NONE) if p.proven is None else p.proven for p in ask.losses}
            raise Refusal(*faults, *self._head_faults(ask, claimed, said))
        try:
            entered = await self._input(ask, claimed, n)
            settlement = settle(entered)
        except ValidationError as e:
            raise Refusal(
                *(
                    f"{'.'.join(str(p) for p in err['loc'])}: {err['msg'].removeprefix('Value error, ')}"
                    for err in e.errors(include_url=False, include_context=False, include_input=False)
                )
            ) from None
        accepted = {(c.claimant, h.head): h.steps[-1].after for c in settlement.claimants for h in c.heads}
        if ask.recorded == 0 and (faults := self._head_faults(ask, claimed, accepted)):
            raise Refusal(*faults)
        return await self._part(ask, entered, settlement, n)

    def rejection_faults(self, ask: Assess) -> list[str]:
        """What does not add up in a rejection of everything."""
        return self._head_faults(ask, self._claimed(ask), {})

    def _head_faults(self, ask: Assess, claimed: Mapping[Cell, Decimal], accepted: Mapping[Cell, Decimal]) -> list[str]:
        if not ask.heads:
            return []
        # a later decision is about what it names, the first one about all who are not before a court
        named = {*accepted, *((one.claimant, one.head) for one in ask.heads)}
        about = {c: amount for c, amount in claimed.items() if c[0] not in ask.in_suit and (ask.n == 1 or c in named)}
        return head_faults(ask.heads, self._intake.organisation, about, accepted)

    async def take(self, ask: Assess, worked: Worked, at: datetime) -> bool:
        """Book a decision: parts, limits, premium. Others hear of it if they wait for the limits.

        Whether decisions before it withhold less now.
        """
        await self.book_premium(worked.premium, at)
        for former in await self._decided_before(ask.n):
            if (former.claimant, former.head) in {(p.claimant, p.head) for p in worked.parts}:
                # what still waits for salvage is said by this decision anew
                former.salvage = NONE
        self._session.add_all(worked.parts)
        less = await self._decided_anew(ask)
        await self._withhold(ask, worked.withheld, at)
        own = await self.own()
        own.taken += worked.payable
        own.deductible += worked.deductible
        own.proven = worked.proven
        await self.ring(at)
        return less

    async def give_back(self, amount: Decimal, at: datetime) -> None:
        """What was decided and will not be paid, since the right to it ended, is free for others."""
        own = await self.own()
        own.taken -= amount
        own.changed_at = at
        await self.ring(at)

    async def reject(self, ask: Assess, at: datetime) -> None:
        """Book a rejection: nothing is reserved for what it rejects."""
        await self._withhold(ask, NONE, at)
        await self.ring(at)

    async def _decided_anew(self, ask: Assess) -> bool:
        """What this decision says anew of a head is withheld by it alone, and by none before it (9.6)."""
        less = False
        if ask.recorded not in (0, ask.n) or ask.n == 1:
            return less
        await self._session.flush()
        anew = {_cell(p) for p in ask.losses}
        rows = select(DecisionRow).where(
            DecisionRow.case == self._intake.case, DecisionRow.n < ask.n, DecisionRow.withheld > 0
        )
        for row in (await self._session.exec(rows)).all():
            if not anew & {_cell(p) for p in Assess.model_validate(row.asked).losses}:
                continue
            less = True
            rest = await asked(self._session, ask.model_copy(update={"recorded": row.n, "n": ask.n + 1}))
            if not rest.losses:
                row.withheld = NONE
                continue
            left = await self.work_out(rest, rest.n)
            # what would be free this instant is not lost: it is released like everything that is withheld
            row.withheld = left.withheld + left.payable
        return less

    async def withheld_by(self) -> dict[str, Decimal]:
        """What each decision still withholds, by its number."""
        rows = await self._session.exec(select(DecisionRow).where(DecisionRow.case == self._intake.case))
        return {str(row.n): row.withheld for row in rows.all() if row.withheld}

    async def _withhold(self, ask: Assess, withheld: Decimal, at: datetime) -> None:
        """The claim holds what its decisions withhold, and what is claimed before a court."""
        (await self._session.get_one(DecisionRow, (self._intake.case, ask.recorded or ask.n))).withheld = withheld
        decisions = await self._session.exec(select(DecisionRow).where(DecisionRow.case == self._intake.case))
        own = await self.own()
        own.withheld = sum((row.withheld for row in decisions.all()), NONE)
        pending = sum((amount for (who, _), amount in self.filing.claimed.items() if who in ask.in_suit), NONE)
        waits = own.withheld + await self._salvage()
        own.reserved = waits + min(pending, max(self.terms.limit_per_occurrence - own.taken, NONE))
        own.changed_at = at

    async def _salvage(self) -> Decimal:
        """What of the claim becomes due by handing over salvage (9.3.1)."""
        query = select(DecisionPartRow).where(DecisionPartRow.case == self._intake.case)
        return sum((part.salvage for part in (await self._session.exec(query)).all()), NONE)

    async def waiting_for_salvage(self) -> dict[str, int]:
        """Claimant and head → the decision whose inputs say that the owner hands over what is left."""
        query = select(DecisionPartRow).where(DecisionPartRow.case == self._intake.case, DecisionPartRow.salvage > 0)
        found = {}
        for part in (await self._session.exec(query)).all():
            decision = await self._session.get_one(DecisionRow, (part.case, part.n))
            found[f"{part.claimant}:{part.head}"] = int(decision.asked.get("recorded") or part.n)
        return found

    async def keep_salvage(self, cell: str, at: datetime) -> None:
        """The owner keeps what is left: what was reserved for it is free for others."""
        claimant, _, head = cell.partition(":")
        own = await self.own()
        for part in await self._decided_before(None):
            if (part.claimant, part.head) == (claimant, head):
                own.reserved -= min(part.salvage, own.reserved)
                part.salvage = NONE
        own.changed_at = at
        await self.ring(at)

    async def reserve_again(self, at: datetime) -> None:
        """What is claimed is at stake again, less what was taken: a suit, or new evidence."""
        own = await self.own()
        waits = own.withheld + await self._salvage()
        own.reserved = max(waits, min(own.claimed, self.terms.limit_per_occurrence) - own.taken, NONE)
        own.changed_at = at

    async def book_premium(self, premium: Decimal, at: datetime) -> None:
        """What is withheld of the premium is paid (9.5)."""
        if premium > self.terms.unpaid_premium:
            raise Refusal("9.5: the unpaid premium was paid or withheld meanwhile; propose again")
        if premium:
            await book_withheld(self._session, self.policy, self._intake.case, premium, at)

    async def _input(self, ask: Assess, claimed: dict[tuple[str, Head], Decimal], n: int) -> SettlementInput:
        own = await self.own()
        others = await self._others()
        terms = self.terms
        if ask.recorded and ask.recorded != n:
            # the decision that it goes on from withheld it: the whole is worked out with the same
            first = await self._session.get_one(DecisionRow, (self._intake.case, ask.recorded))
            terms = terms.model_copy(update={"unpaid_premium": first.premium})
        # what the claim took by other decisions, for other losses, is taken like that of another claim
        apart = [r for r in await self._decided_before(n) if (r.claimant, r.head) not in {_cell(p) for p in ask.losses}]
        taken_apart = sum((r.taken for r in apart), NONE)
        same = [r for r in others if r.occurrence == own.occurrence]
        earlier = [r for r in others if r.place < own.place]
        persons, sublimits = await self._taken_apart(terms, others, same, apart)
        return SettlementInput(
            policy=terms,
            losses=tuple(_loss(p, claimed[_cell(p)]) for p in ask.losses),
            liability_share=ask.liability_share,
            other_insurers=ask.other_insurers,
            recommended=ask.recommended,
            withhold_premium=ask.withhold_premium,
            reductions=ask.reductions,
            taken=Taken(
                occurrence=sum((r.taken for r in same), taken_apart),
                aggregate=sum((r.taken for r in others), taken_apart),
                deductible=sum((r.deductible for r in same), sum((r.deductible for r in apart), NONE)),
                persons=persons,
                sublimits=sublimits,
            ),
            reserved_by_earlier=Reserved(
                occurrence=sum((r.reserved for r in earlier if r.occurrence == own.occurrence), NONE),
                aggregate=sum((r.reserved for r in earlier), NONE),
                # what a claim withholds was worked out with all that it bears
                deductible=sum(
                    # `set_reserve` may go below it
                    (max(r.reserved - r.withheld, NONE) for r in earlier if r.occurrence == own.occurrence),
                    NONE,
                ),
            ),
            readings=Readings(
                liability_before_deductible=bool(self.rulebook.values.get("liability_before_deductible", True)),
                unpaid_premium_with_deductible=bool(self.rulebook.values.get("unpaid_premium_with_deductible", True)),
            ),
        )

    async def _taken_apart(
        self,
        terms: PolicyTerms,
        others: Sequence[LimitRow],
        same: Sequence[LimitRow],
        apart: Sequence[DecisionPartRow],
    ) -> tuple[tuple[TakenByPerson, ...], tuple[TakenOfSublimit, ...]]:
        """What other claims took, by person and by sublimit; asked for only where the policy has such a limit."""
        per_person = terms.limit_per_person is not None or (
            terms.deductible.kind is DeductibleKind.amount and terms.deductible.basis is Basis.per_person
        )
        if not (per_person or terms.sublimits):
            return (), ()
        cases = [r.case for r in others]
        found = await self._session.exec(select(DecisionPartRow).where(col(DecisionPartRow.case).in_(cases)))
        rows = [*found.all(), *apart]
        here = {self._intake.case, *(r.case for r in same)}
        of_occurrence = [r for r in rows if r.case in here]

        def whom(row: DecisionPartRow) -> str | None:
            if terms.death_is_one_person and row.head in OF_DEATH:
                return row.deceased
            if row.case == self._intake.case:
                return row.claimant
            return persons.get(row.person) if row.person is not None else None

        persons = {person: claimant for claimant, person in (await self._persons()).items()}
        by_person: dict[str, list[DecisionPartRow]] = {}
        for row in of_occurrence:
            if (name := whom(row)) is not None:
                by_person.setdefault(name, []).append(row)
        taken_persons = tuple(
            TakenByPerson(
                claimant=name,
                paid=sum((r.taken for r in own), NONE),
                deductible=sum((r.deductible for r in own), NONE),
            )
            for name, own in sorted(by_person.items())
        )
        taken_sublimits: list[TakenOfSublimit] = []
        for sublimit in terms.sublimits:
            groups: dict[str | None, list[DecisionPartRow]] = {None: list(rows)}
            if sublimit.basis is Basis.per_person:
                groups = dict(by_person.items())
            elif sublimit.basis is Basis.per_occurrence:
                groups = {None: of_occurrence}
            for name_or_none, group in sorted(groups.items(), key=lambda item: item[0] or ""):
                paid = sum((r.taken for r in group if r.head in sublimit.heads), NONE)
                taken_sublimits.append(TakenOfSublimit(name=sublimit.name, claimant=name_or_none, paid=paid))
        return taken_persons, tuple(taken_sublimits)

    async def _part(self, ask: Assess, entered: SettlementInput, settlement: Settlement, n: int) -> Worked:
        """What this decision gives: all of it if it is the first, else what was not decided before."""
        asked_for = {_cell(p) for p in ask.losses}
        before = [r for r in await self._decided_before(n) if (r.claimant, r.head) in asked_for]
        # a supplement goes on from what was proven then: what an ended right took away since is not given again
        supplement = bool(ask.recorded) and ask.recorded != n
        cells = _summed(before, cancelled=not supplement)
        heads = {(c.claimant, h.head): h for c in settlement.claimants for h in c.heads}
        added = released({cell: paid for cell, (paid, _) in cells.items()}, settlement)
        so_far = {c: sum((r.deductible for r in before if r.claimant == c), NONE) for c, _ in added}
        persons = await self._persons()
        deceased = {_cell(p): p.deceased for p in ask.losses}
        parts = []
        first_of: set[str] = set()
        borne = {c.claimant: _deductible(c) for c in settlement.claimants}
        waited = {(r.claimant, Head(r.head)) for r in before if r.salvage}
        # a supplementary decision waits for what the first one did, but for what was handed over or is kept
        waits = salvage_waits(entered) & waited if ask.recorded not in (0, n) else salvage_waits(entered)
        salvage = due_by_salvage(entered, settlement, waits)
        for (claimant, head), payable in added.items():
            back = heads[claimant, head].to_insured if (claimant, head) in heads else NONE
            parts.append(
                DecisionPartRow(
                    case=self._intake.case,
                    n=n,
                    claimant=claimant,
                    head=head,
                    payable=payable,
                    to_insured=min(max(back - cells.get((claimant, head), (NONE, NONE))[1], NONE), payable),
                    deductible=max(borne[claimant] - so_far[claimant], NONE) if claimant not in first_of else NONE,
                    person=persons.get(claimant),
                    deceased=deceased[claimant, head] if head in OF_DEATH else None,
                    salvage=salvage.get((claimant, head), NONE),
                )
            )
            first_of.add(claimant)
        return Worked(
            settlement=settlement,
            parts=tuple(parts),
            withheld=settlement.withheld,
            premium=NONE if supplement else settlement.premium,
            proven=sum((c.steps[0].after for c in settlement.claimants), NONE),
            lines=_lines(
                settlement,
                parts,
                before,
                {cell: paid for cell, (paid, _) in cells.items()},
                handed_over=bool(waited - waits),
                earlier_bore=entered.taken.deductible > 0,
            ),
            source=entered,
        )

    # ---- helpers ----------------------------------------------------------------------------------------------------

    def _claimed(self, ask: Assess) -> dict[tuple[str, Head], Decimal]:
        """What each claimant claims of each head; an award of a court is a claim for what it awards."""
        claimed = dict(self.filing.claimed)
        for award in ask.awards:
            for proven in ask.losses:
                if proven.claimant == award.claimant:
                    claimed[_cell(proven)] = max(claimed.get(_cell(proven), NONE), award.amount)
        return claimed

    async def own(self) -> LimitRow:
        """This claim's row."""
        return (await self._session.exec(select(LimitRow).where(LimitRow.case == self._intake.case))).one()

    async def _others(self) -> Sequence[LimitRow]:
        query = select(LimitRow).where(LimitRow.policy == self.policy.policy, LimitRow.case != self._intake.case)
        return (await self._session.exec(query)).all()

    async def _decided_before(self, n: int | None) -> Sequence[DecisionPartRow]:
        """The parts of the decisions before the n-th one; of all if it is None."""
        query = select(DecisionPartRow).where(DecisionPartRow.case == self._intake.case)
        if n is not None:
            query = query.where(DecisionPartRow.n < n)
        return (await self._session.exec(query)).all() if n is None or n > 1 else ()

    async def _persons(self) -> dict[str, bytes]:
        """The claimants whose personal code is known, each by what finds them in other claims."""
        return {
            party.party: await index_of(self._keyring, "personal_code", party.personal_code)
            for party in await third_parties(self._session, self._intake.case)
            if party.personal_code
        }


async def third_parties(session: AsyncSession, case: str) -> Sequence[PartyRow]:
    """Those who claim."""
    return (await session.exec(select(PartyRow).where(PartyRow.case == case, PartyRow.role == "third_party"))).all()


def accounts_of(parties: Iterable[PartyRow]) -> dict[str, bool]:
    """Of each party whether an account is known that money can reach."""
    return {p.party: p.iban is not None and iban_fault(p.iban) is None for p in parties}


def filing_of(intake: IntakeRow) -> ClaimFiling:
    """The claim as far as it could be read."""
    zone = ZoneInfo(book(intake.organisation).zone)
    return read_claim(intake.content, intake.received_at.astimezone(zone).date())[0]


async def assess(session: AsyncSession, keyring: Keyring, ask: Assess, at: datetime) -> Assessment:
    """What a decision would give by the limits as they stand; faults where it cannot be worked out."""
    limits = await Limits.of(session, keyring, ask.case, ask.policy, at, lock=False)
    ask = await asked(session, ask)
    parties = await third_parties(session, ask.case)
    accounts = accounts_of(parties)
    if ask.reject:
        if ask.recorded == 0 and (faults := limits.rejection_faults(ask)):
            raise Refusal(*faults)
        rejected = [p.party for p in parties if p.party not in ask.in_suit]
        return Assessment(
            claimants=tuple(ClaimantDecision(claimant=party, payable=NONE, withheld=NONE) for party in rejected),
            amounts={"claimants": {party: [str(NONE), str(NONE)] for party in rejected}},
        )
    worked = await limits.work_out(ask, ask.n)
    own = await limits.own()
    limit = Decimal(str(limits.rulebook.values["second_approval_above"]))
    # what is withheld is decided too: a supplementary decision pays it without asking again
    amount = worked.payable + worked.withheld + worked.salvage
    needs_second = ask.recorded in (0, ask.n) and amount > limit
    return Assessment(
        claimants=worked.claimants(accounts, ask),
        total=worked.payable,
        withheld=worked.withheld,
        salvage=worked.salvage,
        deductible=worked.deductible,
        premium=worked.premium,
        needs_second=needs_second,
        approver=await approver(session, limits.rulebook.organisation, amount, ask.by) if needs_second else None,
        used_up=any(used_up(c) for c in worked.settlement.claimants),
        released_at=await _released_at(session, own),
        changed=worked.withheld != await _withheld_by(session, ask),
        amounts=worked.amounts(),
    )


async def approver(session: AsyncSession, organisation: str, amount: Decimal, proposer: str) -> str | None:
    """The role that a proposal is brought to: the smallest whose limit suffices, if an operator can approve so much.

    Empty if nobody can; None where the rulebook routes nothing.
    """
    if not limits_of(organisation):
        return None
    able = select(OperatorRow).where(
        col(OperatorRow.ended_at).is_(None), col(OperatorRow.limit) >= amount, OperatorRow.code != proposer
    )
    operators = [row.operator for row in (await session.exec(able)).all()]
    if all(operator.lacks(organisation, "approve", amount) for operator in operators):
        return ""
    return authority_for(organisation, amount) or ""


async def asked(session: AsyncSession, ask: Assess) -> Assess:
    """What is asked, with the inputs of the decision that it goes on from."""
    if not ask.recorded:
        return ask
    row = await session.get_one(DecisionRow, (ask.case, ask.recorded))
    handed_over = {*ask.salvage}
    anew: set[Cell] = set()
    rows = (await session.exec(select(DecisionRow).where(DecisionRow.case == ask.case))).all()
    for later in rows:
        if later.decided_at is None or later.n in (ask.n, ask.recorded):
            continue
        if later.asked.get("recorded") == ask.recorded:
            handed_over |= {*later.asked.get("salvage", ())}
        elif later.n > ask.recorded and not later.asked.get("recorded"):
            # new evidence, or a ruling: the later decision says it all of these heads
            anew |= {_cell(p) for p in Assess.model_validate(later.asked).losses}
    now = {"n": ask.n, "recorded": ask.recorded, "in_suit": ask.in_suit, "automatic": False}
    whole = Assess.model_validate({**row.asked, **now})
    losses = tuple(
        handed(loss) if f"{loss.claimant}:{loss.head}" in handed_over else loss  # 9.3.1
        for loss in whole.losses
        if _cell(loss) not in anew
    )
    return whole.model_copy(update={"losses": losses, "salvage": tuple(sorted(handed_over))})


async def _withheld_by(session: AsyncSession, ask: Assess) -> Decimal:
    """What the decision that is asked about withholds, as it is recorded."""
    row = await session.get(DecisionRow, (ask.case, ask.recorded or ask.n))
    return NONE if row is None else row.withheld


async def _released_at(session: AsyncSession, own: LimitRow) -> datetime | None:
    """When the ledger of this policy last changed, but by this claim itself."""
    query = select(LimitRow.changed_at).where(LimitRow.policy == own.policy, LimitRow.case != own.case)
    instants = [at for at in (await session.exec(query)).all() if at is not None]
    return max(instants, default=None)


def _left(limit: Decimal, rows: Sequence[LimitRow], own: LimitRow) -> tuple[Decimal, Decimal]:
    """What a limit has left, and what of it is free for a claim: not reserved by those filed earlier."""
    left = limit - sum((r.taken for r in rows), NONE)
    return left, left - sum((r.reserved for r in rows if r.place < own.place), NONE)


def _cell(proven: ProvenLoss) -> Cell:
    return proven.claimant, proven.head


def _loss(proven: ProvenLoss, claimed: Decimal) -> Loss:
    """What is proven beside what was claimed."""
    data = proven.model_dump(exclude={"compensated", "compensations"})
    lump = (PaidSum(payer=Payer.other, amount=proven.compensated),) if proven.compensated else ()
    return Loss.model_validate({**data, "claimed": claimed, "compensations": proven.compensations or lump})


def _summed(rows: Iterable[DecisionPartRow], *, cancelled: bool) -> dict[Cell, tuple[Decimal, Decimal]]:
    """Of each head what was decided, less what was cancelled if that is wanted; and what goes to the insured."""
    sums: dict[Cell, tuple[Decimal, Decimal]] = {}
    for row in rows:
        payable, back = sums.get((row.claimant, Head(row.head)), (NONE, NONE))
        decided = row.taken if cancelled else row.payable
        sums[row.claimant, Head(row.head)] = (payable + decided, back + row.to_insured)
    return sums


def _deductible(claimant: ClaimantSettlement) -> Decimal:
    """What of the deductible this claimant bore: the step of 9.5 that says so."""
    return next((s.before - s.after for s in claimant.steps if s.clause == "9.5"), NONE)


def _lines(
    settlement: Settlement,
    parts: Sequence[DecisionPartRow],
    before: Sequence[DecisionPartRow],
    decided: Mapping[Cell, Decimal],
    *,
    handed_over: bool,
    earlier_bore: bool,
) -> dict[str, dict[str, list[str]]]:
    """The lines of each claimant's letter in each language."""
    lines: dict[str, dict[str, list[str]]] = {}
    for claimant in (c.claimant for c in settlement.claimants):
        added = sum((p.payable for p in parts if p.claimant == claimant), NONE)
        paid = sum((amount for (who, _), amount in decided.items() if who == claimant), NONE)
        lines[claimant] = {
            language: list(
                explain_supplement(
                    settlement, claimant, language, added, paid, handed_over=handed_over, earlier_bore=earlier_bore
                )
                if before
                else explain(settlement, claimant, language)
            )
            for language in LANGUAGES
        }
    return lines
