"""Policies: registered, imported, changed by what is said of them, and shown as they were known at any instant.

Everything said of a policy is an entry that is never changed; the row is their sum. Whoever writes locks the row first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from integrations.bank import iban_fault
from models.case import Day, Instant, Text
from models.common import Model
from models.coverage import LOOK_AGAIN, UNDECIDED
from models.errors import Refusal
from models.names import PERSONAL_CODE, REFERENCE, case_id
from models.now import Now
from models.operator import SYSTEM
from models.policy import (
    ENDED_BY,
    ENTRY,
    Company,
    Ended,
    EndedBy,
    InForce,
    Number,
    PolicyFacts,
    PolicyFiling,
    PremiumPaid,
    PremiumRefused,
    Refund,
    Registered,
    Reporting,
    Resumed,
    Suspended,
    Version,
    read_addendum,
    read_model,
    read_policy,
)
from models.settlement import NONE, Money
from models.tables import BellRow, CaseRow, LimitRow, PolicyEntryRow, PolicyRow
from models.tables.policy import NO_INDEX
from models.tables.sealed import values_of
from operations import masking
from operations.filings import check
from operations.intake import POLICY_ERASED, Intake, Sessions, keep
from operations.operators import may_handle
from operations.reading_json import Item
from operations.renewal import KIND as RENEWAL
from operations.renewal import object_to_reminders, ring_open
from rules.calendar import load
from rules.period import count
from rules.policy import (
    ONE_DAY,
    Entry,
    addendum_faults,
    after,
    covered_until,
    first_paid_late_on,
    fold,
    in_force,
    paid_in_full_on,
    period_end,
    refund,
    reporting,
    schedule,
    unpaid_on,
    version_on,
)
from rules.rulebook import book, books
from security.index import index_of
from security.keys import KeyDestroyed, Keyring, NoKey

UNPAID = "BTA-6.6"
LATE, LATE_PREMIUM, REFUND = "BTA-6.5", "late_premium", "premium_refund"
HERE = "system:starter"
"""Who speaks on the command line where no operator is named."""


class Put(Model):
    """What became of a policy that was registered or imported."""

    policy: str
    new: bool
    """False: it was there already, with the same facts."""


class Bad(Model):
    """A row that did not go in."""

    row: int | None
    policy: str | None
    faults: tuple[str, ...]


class Imported(Model):
    """What became of many rows."""

    new: int = 0
    unchanged: int = 0
    bad: tuple[Bad, ...] = ()

    def with_row(self, row: int | None, became: Put | Bad) -> Imported:
        """The report with one more row."""
        if isinstance(became, Bad):
            return self.model_copy(update={"bad": (*self.bad, became.model_copy(update={"row": row}))})
        counted = "new" if became.new else "unchanged"
        return self.model_copy(update={counted: getattr(self, counted) + 1})


class Said(Model):
    """What became of something that was said of a policy."""

    policy: str
    entry: str
    new: bool
    """False: it was said before, in the same words."""
    case: str | None = None
    """The case that follows from it."""


class SayPremium(Model):
    """A premium, or a part of it, that arrived."""

    reference: Number
    paid_on: Day
    amount: Money
    received_at: Instant
    iban: Text | None = None
    """Where it came from, and goes back to if it is refused (6.5)."""


class SaySuspension(Model):
    """The contract is suspended for an unpaid instalment (6.6)."""

    from_day: Day
    reason: Text
    allowed_from: Day | None = None
    statute: Text | None = None


class SayEnd(Model):
    """The contract ends early."""

    by: EndedBy
    last_day: Day
    reason: Text
    costs: Money = NONE
    """The insurer's costs of concluding it (11.1)."""
    statute: Text | None = None
    """The provision that lets the insurer end it or pay back (11.2, 6.6)."""
    refund_by_statute: bool = False
    allowed_from: Day | None = None
    iban: Text | None = None
    """Where the refund goes."""


class Due(Model):
    """An instalment, and when it was paid in full."""

    due_on: date
    amount: Decimal
    addendum: str | None
    paid_on: date | None


class Line(Model):
    """A policy in a list."""

    policy: str
    organisation: str
    starts_on: date
    ends_on: date
    covered_until: date
    today: InForce
    unpaid: Decimal
    claims: int


class SaidThen(Model):
    """An entry of a policy's history."""

    n: int
    act: str
    recorded_at: datetime
    said_by: str
    entry: dict[str, Any]


class Shown(Model):
    """A policy as it was known at an instant, and what that means for a day."""

    policy: str
    organisation: str
    as_of: datetime
    on: date
    in_force: InForce
    version: Version
    reporting: Reporting
    unpaid: Decimal
    schedule: tuple[Due, ...]
    facts: dict[str, Any]
    """All that was said, put together (`PolicyFacts`)."""
    history: tuple[SaidThen, ...]
    people: tuple[dict[str, Any], ...]
    """Only where they were asked for; so with the reasons in facts and history, and the words of an addendum."""


class Policies:
    """Registers policies and writes down what is said of them."""

    def __init__(self, sessions: Sessions, keyring: Keyring, now: Now, intake: Intake | None = None) -> None:
        """Without an intake a case that follows is filed, and started by the sweep."""
        self._sessions = sessions
        self._keyring = keyring
        self._now = now
        self._intake = intake

    # ---- registering ------------------------------------------------------------------------------------------------

    async def register(self, data: Any, said_by: str = HERE) -> Put:
        """Register a policy; again with the same facts changes nothing.

        Raises:
            Refusal: It has faults, all of them named, or is registered already with other facts.
        """
        filing, faults = read_policy(data)
        organisation = data.get("organisation") if isinstance(data, dict) else None
        if isinstance(organisation, str) and (organisation not in books() or organisation == "T"):
            faults.append("organisation: it has no rulebook")
        if filing is None or faults:
            raise Refusal(*faults)
        contract = Registered(
            **filing.model_dump(exclude={*_PEOPLE, "policy", "organisation", "ends_on"}),
            ends_on=period_end(filing.starts_on, filing.ends_on),
        )
        async with self._sessions() as session, session.begin():
            await may_handle(session, filing.organisation, said_by)
            there = select(PolicyRow.insured_index).where(PolicyRow.policy == filing.policy)
            index = (await session.exec(there)).first()
            if index == NO_INDEX:
                raise Refusal(f"policy: {POLICY_ERASED}")
            try:
                if index is None:
                    await self._keyring.create(f"policy:{filing.policy}")
                await self._keyring.of(f"policy:{filing.policy}")
            except KeyDestroyed:
                raise Refusal(f"policy: {POLICY_ERASED}") from None
            except NoKey:
                # a second key would make unreadable for good what the first one sealed
                raise Refusal(f"policy:{filing.policy}: its key is not here; restore the keys first") from None
            row = await self._row(filing, contract)
            written = await session.exec(
                insert(PolicyRow).values(values_of(row)).on_conflict_do_nothing().returning(col(PolicyRow.policy))
            )
            if written.first() is None:
                await _is_the_same(session, filing, contract)
                return Put(policy=filing.policy, new=False)
            stored = await _locked(session, filing.policy)
            await _write(session, stored, contract, "registered", said_by, self._now(), _people(filing))
        return Put(policy=filing.policy, new=True)

    async def take(self, item: Item, said_by: str = HERE) -> Put | Bad:
        """Register a row of a file, or say why it did not go in."""
        faults = item.faults
        if not faults:
            try:
                return await self.register(item.value, said_by)
            except Refusal as e:
                faults = e.faults
        number = item.value.get("policy") if isinstance(item.value, dict) else None
        # what is no number may be anything, a name too
        known = (
            number if isinstance(number, str) and REFERENCE.match(number) and not PERSONAL_CODE.search(number) else None
        )
        return Bad(row=item.line, policy=known, faults=faults)

    async def _row(self, filing: PolicyFiling, contract: Registered) -> PolicyRow:
        facts = fold([contract])
        return PolicyRow(
            policy=filing.policy,
            organisation=filing.organisation,
            policyholder=filing.policyholder.model_dump(),
            insured=filing.insured.model_dump(),
            insured_index=await index_of(self._keyring, "name", filing.insured.name),
            starts_on=contract.starts_on,
            ends_on=contract.ends_on,
            territory=contract.territory,
            terms=contract.terms.model_dump(mode="json"),
            co_insured=[c.model_dump() for c in filing.co_insured],
            policyholder_index=await index_of(self._keyring, "name", filing.policyholder.name),
            covered_until=covered_until(facts),
            facts=facts.model_dump(mode="json"),
        )

    # ---- what is said later -----------------------------------------------------------------------------------------

    async def addendum(self, policy: str, data: Any, said_by: str = HERE) -> Said:
        """Write down what the parties agreed later (3.4, 5.7, 5.8).

        Raises:
            Refusal: It has faults or does not fit the contract; all are named. Nothing is changed.
        """
        addendum, faults = read_addendum(data)
        if addendum is None:
            raise Refusal(*faults)
        people = [
            _person(role, c)
            for role, c in (("policyholder", addendum.policyholder), ("insured", addendum.insured))
            if c
        ]
        people += [_person("co_insured", c) for c in addendum.co_insured or ()]
        entry = addendum.model_copy(update=dict.fromkeys(_PEOPLE))
        async with self._sessions() as session, session.begin():
            row = await self._open(session, policy, said_by)
            act = f"addendum:{addendum.addendum}"
            if await _said_before(session, row, act, entry, people):
                return Said(policy=policy, entry=act, new=False)
            if misfits := addendum_faults(row.known, entry):
                raise Refusal(*misfits)
            if addendum.policyholder:
                row.policyholder = addendum.policyholder.model_dump()
                row.policyholder_index = await index_of(self._keyring, "name", addendum.policyholder.name)
            if addendum.insured:
                row.insured = addendum.insured.model_dump()
                row.insured_index = await index_of(self._keyring, "name", addendum.insured.name)
            if addendum.co_insured is not None:
                row.co_insured = [c.model_dump() for c in addendum.co_insured]
            await _write(session, row, entry, act, said_by, self._now(), people)
        return Said(policy=policy, entry=act, new=True)

    async def premium(self, policy: str, data: Any, said_by: str = HERE) -> Said:
        """Write down a premium that was paid; a late first one opens a case of its own (6.5).

        Raises:
            Refusal: It has faults, or more is paid than is owed; all are named.
        """
        said = _parsed(SayPremium, data)
        entry = _parsed(PremiumPaid, said.model_dump(exclude={"iban"}))
        async with self._sessions() as session, session.begin():
            row = await self._open(session, policy, said_by)
            act = f"premium:{entry.reference}"
            if await _said_before(session, row, act, entry):
                return Said(policy=policy, entry=act, new=False)
            if faults := [*_premium_faults(row, entry, self._now()), *_account_faults(said.iban)]:
                raise Refusal(*faults)
            before = first_paid_late_on(row.known)
            await _write(session, row, entry, act, said_by, self._now())
            case = None
            if before is None and first_paid_late_on(row.known) is not None:
                case = await self._late_premium(session, row, said, said_by)
        if case is not None and self._intake is not None:
            await self._intake.start(case, LATE_PREMIUM)
        return Said(policy=policy, entry=act, new=True, case=case)

    async def _late_premium(self, session: AsyncSession, row: PolicyRow, said: SayPremium, said_by: str) -> str | None:
        """File the case of a late first premium, in the commit that books it; None where no rulebook has 6.5."""
        if all(duty.id != LATE for duty in book(row.organisation).duty):
            return None
        content = {"policy": row.policy, "premium": said.reference, **({"iban": said.iban} if said.iban else {})}
        return await self._file(session, LATE_PREMIUM, row, content, said.received_at, said_by)

    async def _file(
        self, session: AsyncSession, kind: str, row: PolicyRow, content: dict[str, Any], at: datetime, said_by: str
    ) -> str:
        filing = {
            "kind": kind,
            "organisation": row.organisation,
            "reference": row.policy,
            "received_at": at.isoformat(),
            "sender": said_by,
            "content": content,
        }
        intake, _ = await keep(session, self._keyring, check(filing, self._now()), self._now())
        return intake.case

    async def suspend(self, policy: str, data: Any, said_by: str = HERE) -> Said:
        """Suspend the contract for an instalment that was not paid (6.6); no earlier than the statute allows.

        Raises:
            Refusal: Nothing is unpaid, or it is not known when the statute allows it.
        """
        said = _parsed(SaySuspension, data)
        async with self._sessions() as session, session.begin():
            row = await self._open(session, policy, said_by)
            allowed, faults = _allowed_from(row, said.from_day, said.allowed_from, said.statute)
            if row.known.suspensions and row.known.suspensions[-1][1] is None:
                faults.append("policy: it is suspended already")
            if faults or allowed is None:
                raise Refusal(*faults)
            entry = Suspended(from_day=said.from_day, allowed_from=allowed, statute=said.statute, reason=said.reason)
            act = f"suspended:{len(row.known.suspensions) + 1}"
            await _write(session, row, entry, act, said_by, self._now())
        return Said(policy=policy, entry=act, new=True)

    async def resume(self, policy: str, data: Any, said_by: str = HERE) -> Said:
        """End a suspension.

        Raises:
            Refusal: The contract is not suspended.
        """
        said = _parsed(Resumed, data)
        async with self._sessions() as session, session.begin():
            row = await self._open(session, policy, said_by)
            suspensions = row.known.suspensions
            if not suspensions or suspensions[-1][1] is not None:
                raise Refusal("policy: it is not suspended")
            if said.from_day < suspensions[-1][0].from_day:
                raise Refusal("from_day: lies before the suspension")
            act = f"resumed:{len(suspensions)}"
            await _write(session, row, said, act, said_by, self._now())
        return Said(policy=policy, entry=act, new=True)

    async def end(self, policy: str, data: Any, said_by: str = HERE) -> tuple[Ended, str | None]:
        """End the contract before its period does, and work out the refund (11.1, 11.2, 6.6, 8.2).

        A refund is paid by a case of its own, whose id comes with the end.

        Raises:
            Refusal: It has ended, or not then, or it is not known when the statute allows it.
        """
        said = _parsed(SayEnd, data)
        async with self._sessions() as session, session.begin():
            row = await self._open(session, policy, said_by)
            facts = row.known
            faults = [*_end_faults(facts, said), *_account_faults(said.iban)]
            allowed = None
            if said.by == "unpaid":
                allowed, misfits = _allowed_from(row, said.last_day, said.allowed_from, said.statute)
                faults += misfits
            if faults:
                raise Refusal(*faults)
            claims = (await session.exec(select(LimitRow.case).where(LimitRow.policy == policy))).all()
            without = Ended(
                by=said.by,
                last_day=said.last_day,
                allowed_from=allowed,
                statute=said.statute,
                reason=said.reason,
                refund=Refund(amount=NONE, clause=ENDED_BY[said.by]),
            )
            back = refund(
                facts,
                said.by,
                without.covered_until,
                said.costs,
                claimed=bool(claims),
                by_statute=said.refund_by_statute,
            )
            entry = without.model_copy(update={"refund": back})
            await ring_open(session, [case_id(RENEWAL, row.organisation, policy)], self._now())
            await _write(session, row, entry, "ended", said_by, self._now())
            await session.flush()
            case = await self._refund(session, row, entry, said.iban, said_by)
        if case is not None and self._intake is not None:
            await self._intake.start(case, REFUND)
        return entry, case

    async def _refund(
        self, session: AsyncSession, row: PolicyRow, ended: Ended, iban: str | None, said_by: str
    ) -> str | None:
        """File the case that pays the refund, in the commit that ends the contract; None where there is none to pay."""
        if not ended.refund.amount or f"BTA-{ended.refund.clause}" not in {d.id for d in book(row.organisation).duty}:
            return None
        content = {"policy": row.policy, **({"iban": iban} if iban else {})}
        return await self._file(session, REFUND, row, content, self._now(), said_by)

    async def object_to_reminders(self, key: str, received_at: datetime, said_by: str = HERE) -> tuple[str, ...]:
        """Stop the reminders to the person of this policy or client; the cases in which one was open.

        Raises:
            Refusal: There is no such policy or client.
        """
        return await object_to_reminders(self._sessions, self._keyring, key, received_at, said_by, self._now)

    async def _open(self, session: AsyncSession, policy: str, said_by: str) -> PolicyRow:
        row = await _locked(session, policy)
        await may_handle(session, row.organisation, said_by)
        return row

    # ---- looking ----------------------------------------------------------------------------------------------------

    async def show(
        self, policy: str, on: date | None = None, as_of: datetime | None = None, *, personal: bool = False
    ) -> Shown:
        """A policy as it was known at an instant, and what that means for a day.

        Raises:
            Refusal: There is no such policy, or it was not registered by then.
        """
        as_of = as_of or self._now()
        async with self._sessions() as session:
            row = await session.get(PolicyRow, policy)
            if row is None:
                raise Refusal("policy: there is none with this number")
            if row.erased:
                raise Refusal(f"policy: {POLICY_ERASED}")
            entries = [e for e in await _entries(session, policy) if e.recorded_at <= as_of]
        if not entries and row.facts:
            raise Refusal("policy: it was not registered by then")
        facts = fold(ENTRY.validate_python(e.data) for e in entries) if entries else row.known
        today = as_of.astimezone(ZoneInfo(book(row.organisation).zone)).date()
        on = on or today

        def said(value: Any) -> Any:
            return value if personal else masking.words(value)

        return Shown(
            policy=policy,
            organisation=row.organisation,
            as_of=as_of,
            on=on,
            in_force=in_force(facts, on, today),
            version=version_on(facts, on),
            reporting=reporting(facts),
            unpaid=unpaid_on(facts, today),
            schedule=tuple(
                Due(due_on=i.due_on, amount=i.amount, addendum=i.addendum, paid_on=paid_in_full_on(facts, i))
                for i in schedule(facts)
            ),
            facts=said(facts.model_dump(mode="json")),
            history=tuple(
                SaidThen(n=e.n, act=e.act, recorded_at=e.recorded_at, said_by=e.said_by, entry=said(e.data))
                for e in entries
            ),
            people=tuple(p for e in entries for p in e.people) if personal else (),
        )

    async def list(self, organisation: str | None = None) -> list[Line]:
        """Every policy that was not erased, by its number."""
        query = select(PolicyRow).where(PolicyRow.insured_index != NO_INDEX).order_by(col(PolicyRow.policy))
        if organisation is not None:
            query = query.where(PolicyRow.organisation == organisation)
        async with self._sessions() as session:
            keys = select(PolicyRow.policy)
            await self._keyring.load(f"policy:{key}" for key in (await session.exec(keys)).all())
            rows = (await session.exec(query)).all()
            taken = (await session.exec(select(LimitRow.policy))).all()
        return [self._line(row, taken.count(row.policy)) for row in rows]

    def _line(self, row: PolicyRow, claims: int) -> Line:
        facts, today = row.known, self._now().astimezone(ZoneInfo(book(row.organisation).zone)).date()
        return Line(
            policy=row.policy,
            organisation=row.organisation,
            starts_on=row.starts_on,
            ends_on=row.ends_on,
            covered_until=covered_until(facts),
            today=in_force(facts, today, today),
            unpaid=unpaid_on(facts, today),
            claims=claims,
        )


async def book_withheld(session: AsyncSession, policy: PolicyRow, case: str, premium: Decimal, at: datetime) -> None:
    """Book what a decision withheld as premium paid (9.5), in the decision's own transaction, the row being locked."""
    n = len(await _entries(session, policy.policy)) + 1
    paid = PremiumPaid(
        reference=f"withheld-{n}",
        paid_on=at.astimezone(ZoneInfo(book(policy.organisation).zone)).date(),
        amount=premium,
        withheld_by=case,
    )
    await _write(session, policy, paid, f"withheld:{case}:{n}", f"{SYSTEM}termins", at)


async def refuse_premium(session: AsyncSession, policy: PolicyRow, case: str, at: datetime) -> None:
    """The late premium was refused: the policy never took effect (6.5). The row is locked; again is the same."""
    if policy.erased or policy.known.refused is not None:
        return
    refused = PremiumRefused(refused_on=at.astimezone(ZoneInfo(book(policy.organisation).zone)).date(), case=case)
    await _write(session, policy, refused, f"premium_refused:{case}", f"{SYSTEM}termins", at)


# ---- helpers --------------------------------------------------------------------------------------------------------

_PEOPLE = ("policyholder", "insured", "co_insured")
M = TypeVar("M", bound=Model)


def _person(role: str, company: Company) -> dict[str, Any]:
    return {"role": role, **company.model_dump()}


def _people(filing: PolicyFiling) -> list[dict[str, Any]]:
    own = [_person("policyholder", filing.policyholder), _person("insured", filing.insured)]
    return own + [_person("co_insured", c) for c in filing.co_insured]


def _parsed(model: type[M], data: Any) -> M:
    parsed, faults = read_model(model, data)
    if parsed is None:
        raise Refusal(*faults)
    return parsed


async def _locked(session: AsyncSession, policy: str) -> PolicyRow:
    row = await session.get(PolicyRow, policy, with_for_update=True)
    if row is None:
        raise Refusal("policy: there is none with this number")
    if row.erased:
        raise Refusal(f"policy: {POLICY_ERASED}")
    return row


async def _entries(session: AsyncSession, policy: str) -> Sequence[PolicyEntryRow]:
    query = select(PolicyEntryRow).where(PolicyEntryRow.policy == policy).order_by(col(PolicyEntryRow.n))
    return (await session.exec(query)).all()


async def _write(
    session: AsyncSession,
    row: PolicyRow,
    entry: Entry,
    act: str,
    said_by: str,
    at: datetime,
    people: Sequence[dict[str, Any]] = (),
) -> None:
    """Append an entry and bring the row up to it."""
    n = len(await _entries(session, row.policy))
    if not n and not isinstance(entry, Registered):
        # written by a worker of the version before: what it loaded is where the history begins
        n = 1
        loaded = row.known.registered
        session.add(_entry(row, n, loaded, "registered", f"{SYSTEM}termins", at, ()))
    session.add(_entry(row, n + 1, entry, act, said_by, at, people))
    facts = fold([entry]) if isinstance(entry, Registered) else after(row.known, entry)
    row.facts = facts.model_dump(mode="json")
    row.covered_until = covered_until(facts) if facts.refused is None else facts.registered.starts_on - ONE_DAY
    if not isinstance(entry, Registered) and not (isinstance(entry, PremiumPaid) and entry.withheld_by):
        await _ring_claims(session, row.policy, at)


async def _ring_claims(session: AsyncSession, policy: str, at: datetime) -> None:
    """What was found of the cover of its undecided claims may not be so any more."""
    undecided = (
        select(CaseRow.case)
        .join(LimitRow, col(LimitRow.case) == col(CaseRow.case))
        .where(LimitRow.policy == policy, col(CaseRow.stage).in_(UNDECIDED))
    )
    for case in (await session.exec(undecided.order_by(CaseRow.case))).all():
        session.add(BellRow(case=case, reason=LOOK_AGAIN, created_at=at))


def _entry(
    row: PolicyRow, n: int, entry: Entry, act: str, said_by: str, at: datetime, people: Sequence[dict[str, Any]]
) -> PolicyEntryRow:
    data = entry.model_dump(mode="json")
    return PolicyEntryRow(
        policy=row.policy, n=n, act=act, recorded_at=at, said_by=said_by, data=data, people=list(people)
    )


async def _said_before(
    session: AsyncSession, row: PolicyRow, act: str, entry: Entry, people: Sequence[dict[str, Any]] = ()
) -> bool:
    """Whether the same was said before.

    Raises:
        Refusal: Something else was said under this number.
    """
    query = select(PolicyEntryRow).where(PolicyEntryRow.policy == row.policy, PolicyEntryRow.act == act)
    before = (await session.exec(query)).one_or_none()
    if before is None:
        return False
    data = entry.model_dump(mode="json")
    differ = [name for name in data if data[name] != before.data.get(name)]
    if list(people) != before.people:
        differ.append("people")
    if differ:
        raise Refusal(*(f"{name}: differs from what was said under this number" for name in differ))
    return True


async def _is_the_same(session: AsyncSession, filing: PolicyFiling, contract: Registered) -> None:
    """Check that a policy that is there says the same.

    Raises:
        Refusal: It does not; the fields that differ are named.
    """
    row = await session.get(PolicyRow, filing.policy)
    assert row is not None
    if row.organisation != filing.organisation:
        raise Refusal("organisation: differs from what is registered")
    entries = await _entries(session, filing.policy)
    if entries:
        before, people = entries[0].data, entries[0].people
    else:
        before = row.known.registered.model_dump(mode="json")
        people = [
            {"role": r, **Company.model_validate(getattr(row, r)).model_dump()} for r in ("policyholder", "insured")
        ]
    now = contract.model_dump(mode="json")
    differ = [name for name in now if now[name] != before.get(name)]
    roles = {role: [p for p in people if p["role"] == role] for role in _PEOPLE}
    differ += [role for role in _PEOPLE if [p for p in _people(filing) if p["role"] == role] != roles[role]]
    if differ:
        hint = "differs from what is registered; an addendum or a premium changes a policy"
        raise Refusal(*(f"{name}: {hint}" for name in differ))


def _account_faults(iban: str | None) -> list[str]:
    """Why no money can be sent back there."""
    fault = iban_fault(iban) if iban is not None else None
    return [f"iban: {fault}"] if fault else []


def _premium_faults(row: PolicyRow, paid: PremiumPaid, now: datetime) -> list[str]:
    facts, zone = row.known, ZoneInfo(book(row.organisation).zone)
    faults = []
    assert paid.received_at is not None
    if paid.received_at > now:
        faults.append("received_at: lies in the future")
    if paid.paid_on > paid.received_at.astimezone(zone).date():
        faults.append("paid_on: lies after the day of receipt")
    if facts.refused is not None:
        faults.append("policy: its premium was refused, it never took effect (6.5)")
    owed = facts.registered.terms.unpaid_premium + sum((i.amount for i in schedule(facts)), NONE)
    if sum((p.amount for p in facts.paid), NONE) + paid.amount > owed:
        faults.append("amount: more than the premium that is still to be paid")
    return faults


def _allowed_from(
    row: PolicyRow, wanted: date, said: date | None, statute: str | None
) -> tuple[date | None, list[str]]:
    """The first day on which the statute lets a suspension or an end for an unpaid instalment have effect (6.6)."""
    facts, faults = row.known, []
    unpaid = [i for i in schedule(facts)[1:] if i.due_on < wanted and paid_in_full_on(facts, i) is None]
    if not unpaid:
        faults.append("policy: no later instalment was due and unpaid by then (6.6); for the first one see 6.5")
    duty = next((d for d in book(row.organisation).duty if d.id == UNPAID), None)
    if duty is None or duty.period is None:
        if said is None or statute is None:
            faults.append(
                f"allowed_from, statute: the rulebook has no statutory term for {UNPAID}; say from which day the "
                "statute allows it, and which statute"
            )
        return said, faults
    if not unpaid:
        return said, faults
    rulebook = book(row.organisation)
    anchor = datetime.combine(unpaid[0].due_on, time(12), ZoneInfo(rulebook.zone))
    counted = count(anchor, duty.period, rulebook.zone, load(rulebook.calendar)).due.astimezone(ZoneInfo(rulebook.zone))
    return max(counted.date(), said or counted.date()), faults


def _end_faults(facts: PolicyFacts, said: SayEnd) -> list[str]:
    faults = []
    if facts.ended is not None:
        faults.append("policy: it ended early already")
    if facts.refused is not None:
        faults.append("policy: its premium was refused, it never took effect (6.5)")
    if not facts.registered.starts_on <= said.last_day < facts.registered.ends_on:
        faults.append("last_day: must lie within the insurance period and before its last day")
    if said.by != "policyholder" and said.costs:
        faults.append("costs: only a refund to a policyholder who ends the contract bears them (11.1)")
    if said.by == "insurer" and said.statute is None:
        faults.append("statute: the insurer ends a contract where a statute allows it; say which (11.2)")
    if said.refund_by_statute and said.statute is None:
        faults.append("statute: say which asks for the refund (11.2)")
    return faults
