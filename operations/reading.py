"""What people ask of cases: the list, one case whole, and how each of its clocks was counted. Reads the store alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.breach import LETTER, SUBJECT_ROLE
from models.case import OPEN
from models.claim import Document as ClaimDocument
from models.common import Model
from models.names import KEPT, KINDS
from models.tables import (
    CaseRow,
    ClockRow,
    DecisionRow,
    DocumentRow,
    EventRow,
    FindingRow,
    InstalmentRow,
    IntakeRow,
    LimitRow,
    NoticeRow,
    PartyRow,
    PaymentOrderRow,
    ReviewRow,
    ScreeningRow,
    SignatureRow,
    TimelineRow,
)
from operations import masking
from operations.erase_account import RESTRICTED
from operations.intake import Sessions
from rules.coverage import label_of, place_of
from rules.documents import asked
from rules.period import Unit
from rules.rulebook import books, duty_for

NOT_STARTED = "not_started"
"""The stage of what is filed and kept, and waits for the engine."""


PERSONAL = ("name", "email", "phone", "personal_code", "iban")
"""Of a party: shown only to whoever asks for it and may see it, and of one whose data are restricted to nobody."""


class NotFound(Exception):
    """There is no such case."""


class Asked(Model):
    """Which cases to list; what is None does not narrow the list."""

    kind: str | None = None
    organisation: str | None = None
    stage: str | None = None
    duty: str | None = None
    """With an open clock of this duty; among closed cases, with any clock of it."""
    overdue: bool = False
    due_before: datetime | date | None = None
    """With an open clock due before this instant, or whose last day is before this day."""
    handler: str | None = None
    which: Literal["open", "closed", "all"] = "open"
    limit: int | None = 100


class ClockLine(Model):
    """An open clock, short."""

    duty: str
    subject: str
    status: str
    can_be_late: bool
    due: datetime
    shown: str
    """Its last day (or hour) in the organisation's zone."""
    overdue: bool
    """True from the due instant on, also when nobody has recorded it yet."""


class CaseLine(Model):
    """One line of the list. No personal data."""

    case: str
    kind: str
    organisation: str
    stage: str
    handler: str | None
    received_at: datetime
    waits_for: str
    next: ClockLine | None
    """The open clock that is due first, of those that can be late."""
    overdue: bool
    clocks: tuple[ClockLine, ...]
    diverged: bool
    outcome: str | None
    closed_at: datetime | None


class CaseList(Model):
    """The list, and how many there are of which it is the beginning."""

    cases: tuple[CaseLine, ...]
    total: int


async def list_cases(sessions: Sessions, now: datetime, asked: Asked) -> CaseList:
    """The cases that were asked for, the earliest due first; two round trips however many they are."""
    can_be_late = [col(ClockRow.status).in_(OPEN), col(ClockRow.can_be_late)]
    first = (
        select(ClockRow.case, func.min(ClockRow.due).label("due"))
        .where(*can_be_late, ClockRow.case == IntakeRow.case)
        .group_by(ClockRow.case)
        .lateral()
    )
    stage = func.coalesce(CaseRow.stage, IntakeRow.result, NOT_STARTED)
    ended = or_(col(CaseRow.closed_at).is_not(None), col(IntakeRow.result).is_not(None))
    query: Any = (
        select(  # type: ignore[call-overload]  # more columns than it has overloads for
            IntakeRow.case,
            IntakeRow.kind,
            IntakeRow.organisation,
            IntakeRow.received_at,
            stage.label("stage"),
            CaseRow.handler,
            func.coalesce(CaseRow.waits_for, "").label("waits_for"),
            func.coalesce(CaseRow.diverged, False).label("diverged"),
            func.coalesce(CaseRow.outcome, IntakeRow.result).label("outcome"),
            CaseRow.closed_at,
            func.count().over().label("total"),
        )
        .select_from(IntakeRow)
        .outerjoin(CaseRow, CaseRow.case == IntakeRow.case)
        .outerjoin(first, first.c.case == IntakeRow.case)
        .order_by(first.c.due.asc().nulls_last(), col(IntakeRow.received_at), IntakeRow.case)
    )
    if asked.which != "all":
        query = query.where(ended if asked.which == "closed" else ~ended)
    for column, value in (
        (IntakeRow.kind, asked.kind),
        (IntakeRow.organisation, asked.organisation),
        (stage, asked.stage),
        (CaseRow.handler, asked.handler),
    ):
        if value is not None:
            query = query.where(column == value)
    clock = select(ClockRow.case).where(ClockRow.case == IntakeRow.case)
    if asked.duty is not None:
        clocks = clock.where(ClockRow.duty == asked.duty)
        query = query.where(
            (clocks.where(col(ClockRow.status).in_(OPEN)) if asked.which == "open" else clocks).exists()
        )
    if asked.overdue:
        running = col(ClockRow.status).in_(("running", "overdue"))
        query = query.where(clock.where(running, col(ClockRow.can_be_late), ClockRow.due <= now).exists())
    if isinstance(asked.due_before, datetime):
        query = query.where(clock.where(*can_be_late, ClockRow.due < asked.due_before).exists())
    elif asked.due_before is not None:
        query = query.where(clock.where(*can_be_late, ClockRow.last_day < asked.due_before).exists())
    if asked.limit is not None:
        query = query.limit(asked.limit)
    async with sessions() as session:
        rows = (await session.exec(query)).all()
        found = await _open_clocks(session, [row.case for row in rows], now)
    lines = []
    for row in rows:
        fields = {name: getattr(row, name) for name in CaseLine.model_fields if hasattr(row, name)}
        mine = tuple(found.get(row.case, ()))
        soonest = next((c for c in mine if c.can_be_late), None)
        lines.append(CaseLine(**fields, next=soonest, overdue=any(c.overdue for c in mine), clocks=mine))
    return CaseList(cases=tuple(lines), total=rows[0].total if rows else 0)


async def _open_clocks(session: AsyncSession, cases: Sequence[str], now: datetime) -> dict[str, list[ClockLine]]:
    out: dict[str, list[ClockLine]] = {}
    if cases:
        query = select(ClockRow).where(col(ClockRow.status).in_(OPEN), col(ClockRow.case).in_(cases))
        for row in (await session.exec(query.order_by(col(ClockRow.due), ClockRow.duty, ClockRow.subject))).all():
            out.setdefault(row.case, []).append(_line(row, now))
    return out


def _line(row: ClockRow, now: datetime) -> ClockLine:
    return ClockLine(
        duty=row.duty,
        subject=row.subject,
        status=row.status,
        can_be_late=row.can_be_late,
        due=row.due,
        shown=shown(row),
        overdue=is_overdue(row, now),
    )


def is_overdue(row: ClockRow, now: datetime) -> bool:
    """Whether its due instant has come; a clock that is held cannot be, for release gives it another one."""
    return row.can_be_late and row.status in ("running", "overdue") and row.due <= now


# ---- one case -------------------------------------------------------------------------------------------------------


class Head(Model):
    """Where a case stands."""

    case: str
    kind: str
    workflow: str
    organisation: str
    stage: str
    step: int
    handler: str | None
    waits_for: str
    received_at: datetime
    recorded_at: datetime
    started_at: datetime | None
    closed_at: datetime | None
    outcome: str | None
    diverged: bool
    faults: tuple[str, ...]
    """Of what was filed; they name fields, not values."""
    parent: str | None
    erased_at: datetime | None


class Party(Model):
    """A person or company in the case: its code and role, and its data only where they were asked for."""

    party: str
    role: str
    language: str
    erased: bool
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    personal_code: str | None = None
    iban: str | None = None
    screening: Screening | None = None
    """How this one was screened when becoming known; None before, or where nobody waits for money."""


class Step(Model):
    """One recorded step."""

    step: int
    at: datetime
    recorded_at: datetime
    stage: str
    entry: str
    duty: str | None
    actor: str | None
    message: str | None
    facts: dict[str, Any]
    """What people wrote only where personal data were asked for."""
    clocks: tuple[dict[str, Any], ...]


class Letter(Model):
    """A notice and what became of it."""

    key: str
    template: str
    party: str
    internal: bool
    duty: str | None
    status: Literal["waits", "sent", "came back", "not sendable"]
    queued_at: datetime
    sent_at: datetime | None
    bounced_at: datetime | None
    carrier: str | None
    reference: str | None
    refused: str | None


class Payment(Model):
    """A payment order and what became of it."""

    key: str
    party: str
    amount: str
    """EUR."""
    status: Literal["waits", "issued", "executed", "rejected"]
    queued_at: datetime
    issued_at: datetime | None
    executed_on: date | None
    reference: str | None
    rejected: str | None
    screening: Screening | None = None
    """How its payee was screened; None before the first time."""


class Screening(Model):
    """The screening of a payee against the sanctions list."""

    screened_at: datetime
    list_made_at: datetime
    list_digest: str
    result: str
    hits: tuple[str, ...]
    """Whom on the list the payee may be: its number, and the name there only where personal data were asked for."""
    judged_by: str | None
    judged_at: datetime | None
    reason: str | None


class Found(Model):
    """A point of a claim's cover: what the facts say, and what the handler said of them."""

    code: str
    clause: str
    title: str
    facts: dict[str, Any]
    outcome: str
    judged: str | None
    standing: str
    """What counts: met, not_met, open, possible."""
    exception: bool | None
    judged_by: str | None
    judged_at: datetime | None
    reason: str | None = None
    """Only where personal data were asked for."""


class Paper(Model):
    """Something that happened to a document of a claim."""

    step: int
    document: str
    title: str
    event: str
    at: datetime
    actor: str | None
    proves: str | None
    media_type: str | None
    size: int | None
    sha256: str | None
    named: str | None = None
    file_name: str | None = None
    reference: str | None = None
    reason: str | None = None
    """The last four only where personal data were asked for."""


class AutomaticDecision(Model):
    """A decision that no person made, with what it was made from: for whoever reviews it."""

    n: int
    by: str
    rulebook: str
    decided_at: datetime | None
    frozen: dict[str, Any] | None
    """As `models.automatic.Frozen`, where documents are kept only where personal data were asked for; None: erased."""

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """All that is frozen, a name and a value each."""
        return tuple(_flat(self.frozen or {}))


class Reviewed(Model):
    """A review of an automatic decision by a person."""

    n: int
    decision: int
    received_at: datetime
    outcome: str | None
    """uphold or anew; None: it is under way."""
    reviewed_by: str | None
    reviewed_at: datetime | None
    reference: str | None = None
    view: str | None = None
    reason: str | None = None
    """The last three only where personal data were asked for."""


class Verdict(Model):
    """What was found of the electronic signatures of a document that came with a request."""

    sha256: str
    by: str
    """`termins`, or `person`: validated elsewhere, and entered by an operator."""
    actor: str
    kept_at: datetime
    used_at: datetime | None
    """When somebody was identified by it."""
    valid: bool
    said: tuple[str, ...]
    """Line by line; names and codes of who signed only where personal data were asked for."""


class Report(Model):
    """An event that a sender reported."""

    event: str
    name: str
    recorded_at: datetime
    delivered_at: datetime | None
    refused: tuple[str, ...]


class PlannedInstalment(Model):
    """An instalment of a written agreement: ordered, cancelled, or still to come (9.2.3, 9.2.4)."""

    claimant: str
    head: str
    decision: int
    n: int
    due_on: date
    amount: str
    """EUR."""
    payment: str | None
    """The key of its first order."""
    cancelled_at: datetime | None


class Shown(Model):
    """A case whole."""

    head: Head
    clocks: tuple[Explained, ...]
    timeline: tuple[Step, ...]
    notices: tuple[Letter, ...]
    payments: tuple[Payment, ...]
    instalments: tuple[PlannedInstalment, ...] = ()
    events: tuple[Report, ...]
    parties: tuple[Party, ...]
    children: tuple[str, ...]
    """Cases that this one asked for."""
    findings: tuple[Found, ...] = ()
    """Those that wait or stand against cover first."""
    documents: tuple[Paper, ...] = ()
    occurrence: tuple[str, ...] = ()
    """Other claims on the same occurrence."""
    automatic: AutomaticDecision | None = None
    reviews: tuple[Reviewed, ...] = ()
    signatures: tuple[Verdict, ...] = ()


async def head(sessions: Sessions, case: str) -> Head:
    """Where a case stands.

    Raises:
        NotFound: Nothing was filed under this id.
    """
    async with sessions() as session:
        return await _head(session, case)


async def _head(session: AsyncSession, case: str) -> Head:
    query = select(IntakeRow, CaseRow).outerjoin(CaseRow, col(CaseRow.case) == IntakeRow.case)
    found = (await session.exec(query.where(IntakeRow.case == case))).first()
    if found is None:
        raise NotFound(f"there is no case {case}")
    intake, row = found[0], _or_none(found[1])
    return Head(
        case=intake.case,
        kind=intake.kind,
        workflow=KINDS.get(intake.kind, ""),
        organisation=intake.organisation,
        stage=row.stage if row else intake.result or NOT_STARTED,
        step=row.step if row else 0,
        handler=row.handler if row else None,
        waits_for=row.waits_for if row else "" if intake.result else "the engine, which has not started it yet",
        received_at=intake.received_at,
        recorded_at=intake.recorded_at,
        started_at=intake.started_at,
        closed_at=row.closed_at if row else None,
        outcome=row.outcome if row else intake.result,
        diverged=row.diverged if row else False,
        faults=tuple(intake.faults),
        parent=intake.parent,
        erased_at=intake.erased_at,
    )


def _or_none(row: CaseRow) -> CaseRow | None:
    # an outer join gives None where it finds nothing, which its type does not say
    return row


async def show_case(sessions: Sessions, now: datetime, case: str, *, personal: bool = False) -> Shown:
    """A case whole; names, addresses, codes and accounts of people, and their own words, only if asked for.

    Raises:
        NotFound: Nothing was filed under this id.
    """
    async with sessions() as session:
        of = await _head(session, case)
        clocks = await _explained(session, case, now, personal=personal)
        steps = (
            await session.exec(select(TimelineRow).where(TimelineRow.case == case).order_by(col(TimelineRow.step)))
        ).all()
        notices = (
            await session.exec(
                select(NoticeRow)
                .where(NoticeRow.case == case, NoticeRow.template != LETTER)
                .order_by(col(NoticeRow.queued_at), NoticeRow.key)
            )
        ).all()
        orders = (
            await session.exec(
                select(PaymentOrderRow)
                .where(PaymentOrderRow.case == case)
                .order_by(col(PaymentOrderRow.queued_at), PaymentOrderRow.key)
            )
        ).all()
        instalments = (
            await session.exec(
                select(InstalmentRow)
                .where(InstalmentRow.case == case)
                .order_by(InstalmentRow.claimant, InstalmentRow.head, col(InstalmentRow.decision), col(InstalmentRow.n))
            )
        ).all()
        screened = {
            row.key: row for row in (await session.exec(select(ScreeningRow).where(ScreeningRow.case == case))).all()
        }
        events = (
            await session.exec(select(EventRow).where(EventRow.case == case).order_by(col(EventRow.recorded_at)))
        ).all()
        parties = (
            await session.exec(
                select(PartyRow)
                # thousands can be affected by a breach; `operations.breach.affected` lists them
                .where(PartyRow.case == case, PartyRow.role != SUBJECT_ROLE)
                .order_by(col(PartyRow.party))
            )
        ).all()
        children = (
            await session.exec(select(IntakeRow.case).where(IntakeRow.parent == case).order_by(IntakeRow.case))
        ).all()
        findings = (await session.exec(select(FindingRow).where(FindingRow.case == case))).all()
        documents = (
            await session.exec(
                select(DocumentRow).where(DocumentRow.case == case).order_by(col(DocumentRow.step), col(DocumentRow.n))
            )
        ).all()
        occurrence = await _same_occurrence(session, case)
        automatic = (
            await session.exec(select(DecisionRow).where(DecisionRow.case == case, col(DecisionRow.by).is_not(None)))
        ).first()
        reviews = (await session.exec(select(ReviewRow).where(ReviewRow.case == case).order_by(col(ReviewRow.n)))).all()
        signatures = (
            await session.exec(
                select(SignatureRow)
                .where(SignatureRow.case == case)
                .order_by(col(SignatureRow.kept_at), SignatureRow.sha256, SignatureRow.by)
            )
        ).all()
    hidden = () if personal else PERSONAL
    return Shown(
        head=of,
        clocks=clocks,
        timeline=tuple(
            Step(
                **_fields(Step, row, "facts"),
                facts=row.facts if personal else masking.facts(row.facts),
                clocks=tuple(row.clocks),
            )
            for row in steps
        ),
        notices=tuple(
            Letter(
                **_fields(Letter, row, "refused"),
                status=_letter(row),
                refused=row.refused if personal else masking.text(row.refused),
            )
            for row in notices
        ),
        payments=tuple(
            Payment(
                **_fields(Payment, row, "rejected"),
                amount=str(row.amount),
                rejected=row.rejected if personal else masking.text(row.rejected),
                status=_payment(row),
                screening=_screening(screened.get(row.key), personal=personal),
            )
            for row in orders
        ),
        instalments=tuple(
            PlannedInstalment(**_fields(PlannedInstalment, row), amount=str(row.amount)) for row in instalments
        ),
        events=tuple(Report(**_fields(Report, row), refused=tuple(row.refused or ())) for row in events),
        parties=tuple(
            Party(
                **_fields(Party, row, *(PERSONAL if row.other.get("restricted") == RESTRICTED else hidden)),
                erased=row.erased_at is not None,
                screening=_screening(screened.get(row.party), personal=personal),
            )
            for row in parties
        ),
        children=tuple(children),
        findings=tuple(
            Found(
                **_fields(Found, row, *(() if personal else ("reason",))),
                title=label_of(of.organisation, row.code).en,
            )
            for row in sorted(
                findings, key=lambda row: (row.standing == "met", row.standing == "not_met", place_of(row.code))
            )
        ),
        documents=tuple(
            Paper(
                **_fields(Paper, row, *(() if personal else ("named", "file_name", "reference", "reason"))),
                title=asked(ClaimDocument(row.document)).title.en,
            )
            for row in documents
        ),
        occurrence=occurrence,
        automatic=_automatic(automatic, personal=personal) if automatic is not None else None,
        reviews=tuple(
            Reviewed(**_fields(Reviewed, row, *(() if personal else ("reference", "view", "reason"))))
            for row in reviews
        ),
        signatures=tuple(_verdict(row, personal=personal) for row in signatures),
    )


def _verdict(row: SignatureRow, *, personal: bool) -> Verdict:
    said = row.verdict
    signed = said.get("signatures") or ()
    lines = [f"fault: {fault}" for fault in said.get("faults") or ()]
    if row.by == "termins":
        valid = not lines and any(not one["faults"] for one in signed)
        for n, one in enumerate(signed, 1):
            lines.append(
                f"signature {n}: {one['result']} ({one['indication']}), signed {one['signed_at'] or 'unknown'}"
            )
            if personal:
                lines.append(f"signature {n}: by {one['name']}, {one['country']} {one['personal_code']}")
            lines += [f"signature {n}: fault: {fault}" for fault in one["faults"]]
            lines += [f"signature {n}: not verified: {what}" for what in one["not_verified"]]
        lines += [f"not verified: {what}" for what in said.get("not_verified") or ()]
    else:
        valid = said.get("statement") is not None
        lines += [f"validated in {said.get('service')}, report {said.get('report')}, signed {said.get('signed_at')}"]
        lines += [f"by {said.get('name')}, {said.get('personal_code')}"] if personal else []
    return Verdict(**_fields(Verdict, row), valid=valid, said=tuple(lines))


def _automatic(row: DecisionRow, *, personal: bool) -> AutomaticDecision:
    frozen = row.frozen
    if frozen is not None and not personal:
        papers = [{name: v for name, v in paper.items() if name != "reference"} for paper in frozen["documents"]]
        frozen = {**frozen, "documents": papers}
    return AutomaticDecision(
        n=row.n, by=str(row.by), rulebook=str(row.rulebook), decided_at=row.decided_at, frozen=frozen
    )


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a JSON value, each with its path; what says nothing is left out."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and any(isinstance(v, dict) for v in value):
        for n, inner in enumerate(value):
            yield from _flat(inner, f"{path}.{n}")
    elif value not in (None, "", []):
        yield path, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


async def _same_occurrence(session: AsyncSession, case: str) -> tuple[str, ...]:
    """The other claims of the organisation on the occurrence of this one."""
    own = await session.get(LimitRow, case)
    if own is None or own.occurrence == case:
        return ()
    organisation = case.rpartition(":")[0] + ":"
    others = select(LimitRow.case).where(
        LimitRow.occurrence == own.occurrence,
        LimitRow.case != case,
        col(LimitRow.case).startswith(organisation, autoescape=True),
    )
    return tuple((await session.exec(others.order_by(LimitRow.case))).all())


def _fields(model: type[Model], row: Any, *without: str) -> dict[str, Any]:
    own = {"clocks", "amount", "refused"} if model in (Step, Payment, PlannedInstalment, Report) else set()
    return {n: getattr(row, n) for n in model.model_fields if hasattr(row, n) and n not in {*without, *own}}


def _letter(row: NoticeRow) -> Literal["waits", "sent", "came back", "not sendable"]:
    if row.bounced_at is not None:
        return "came back"
    if row.refused is not None:
        return "not sendable"
    return "sent" if row.sent_at is not None else "waits"


def _screening(row: ScreeningRow | None, *, personal: bool) -> Screening | None:
    if row is None:
        return None
    hits = tuple(" ".join([hit["id"], hit.get("name", "")] if personal else [hit["id"]]) for hit in row.hits)
    return Screening(**_fields(Screening, row, "hits", "reason"), hits=hits, reason=row.reason if personal else None)


def _payment(row: PaymentOrderRow) -> Literal["waits", "issued", "executed", "rejected"]:
    if row.rejected is not None:
        return "rejected"
    if row.executed_on is not None:
        return "executed"
    return "issued" if row.issued_at is not None else "waits"


# ---- clocks ---------------------------------------------------------------------------------------------------------


class Explained(Model):
    """A clock with everything that says why it is due when it is."""

    duty: str
    subject: str
    n: int
    kind: str
    clause: str
    document: str
    title: str
    adopted_from: str | None
    owner: str
    status: str
    overdue: bool
    can_be_late: bool
    anchor: str | None
    """The event that started it."""
    anchor_at: datetime
    event_day: date
    counted_from: date | None
    """The first day that counts; None for hours."""
    last_day: date
    due: datetime
    """In UTC; in time means before it."""
    due_local: str
    latest: datetime
    latest_local: str
    latest_day: date
    shown: str
    zone: str
    derivation: tuple[str, ...]
    holds: tuple[dict[str, Any], ...]
    held_since: datetime | None
    reminders: tuple[datetime, ...]
    """Those still to come."""
    rulebook_version: str
    calendar_version: str
    overdue_at: datetime | None
    """When it was recorded as overdue."""
    ended_at: datetime | None
    """When its end was recorded."""
    happened_at: datetime | None
    happened_on: date | None
    """When what ended it happened, by the evidence."""
    evidence: dict[str, Any] | None
    """What ended it; with what a person wrote only where personal data were asked for."""
    stopped_by: str | None
    """What evidence stops it."""
    reason: str | None
    """Why it ended without a judgment: a code, or words of ours; nobody writes it freely."""


async def explain_case(
    sessions: Sessions, now: datetime, case: str, *, personal: bool = False
) -> tuple[Explained, ...]:
    """Every clock of a case, ended ones too, in the order in which they started; people's words only if asked for.

    Raises:
        NotFound: Nothing was filed under this id.
    """
    async with sessions() as session:
        await _head(session, case)
        return await _explained(session, case, now, personal=personal)


async def _explained(session: AsyncSession, case: str, now: datetime, *, personal: bool) -> tuple[Explained, ...]:
    order = (col(ClockRow.anchor_at), ClockRow.duty, ClockRow.subject, col(ClockRow.n))
    rows = (await session.exec(select(ClockRow).where(ClockRow.case == case).order_by(*order))).all()
    return tuple(_explain(row, now, personal=personal) for row in rows)


def _explain(row: ClockRow, now: datetime, *, personal: bool) -> Explained:
    duty = duty_for(row.organisation, row.duty)
    book = books()[row.organisation]
    zone = ZoneInfo(book.zone)
    event_day = row.anchor_at.astimezone(zone).date()
    hours = duty.unit is Unit.hours
    source = books()["T"] if row.duty.startswith("T-") else book
    fields = {
        n: getattr(row, n) for n in Explained.model_fields if hasattr(row, n) and n not in ("reminders", "evidence")
    }
    return Explained(
        **fields,
        clause=duty.clause,
        document=source.document,
        title=duty.title.en,
        adopted_from=duty.adopted_from,
        owner=duty.owner,
        overdue=is_overdue(row, now),
        anchor=duty.anchor,
        event_day=event_day,
        counted_from=None if hours or not duty.amount else event_day + timedelta(days=1),
        due_local=local(row.due, row.organisation),
        latest_local=local(row.latest, row.organisation),
        shown=shown(row),
        zone=book.zone,
        holds=tuple(row.spans),
        reminders=tuple(datetime.fromisoformat(r) for r in row.reminders),
        evidence=row.evidence if personal else masking.evidence(row.evidence),
        stopped_by=duty.evidence,
    )


def shown(row: ClockRow) -> str:
    """The last day, or for hours the due instant, in the organisation's zone."""
    at = row.due.astimezone(ZoneInfo(books()[row.organisation].zone))
    # a count in days ends at a local midnight; one in hours can, too, and then its last day says the same
    return f"{row.last_day:%a %Y-%m-%d}" if at.time() == time(0) else f"{at:%a %Y-%m-%d %H:%M}"


def local(at: datetime, organisation: str) -> str:
    """An instant in the organisation's zone, with its offset: `Thu 2027-04-01 00:00 +0300`."""
    return f"{at.astimezone(ZoneInfo(books()[organisation].zone)):%a %Y-%m-%d %H:%M %z}"


def unknown(kind: str | None, organisation: str | None, duty: str | None) -> list[str]:
    """What of this nobody can have: a misspelt word must not read as an empty list."""
    faults = []
    if kind is not None and kind not in (*KINDS, *KEPT):
        faults.append(f"kind: there are {', '.join((*KINDS, *KEPT))}")
    if organisation is not None and (organisation not in books() or organisation == "T"):
        faults.append(f"organisation: there are {', '.join(code for code in sorted(books()) if code != 'T')}")
    if duty is not None and not any(d.id == duty for book in books().values() for d in book.duty):
        faults.append(f"duty: no rulebook has {duty}")
    return faults


async def event_is_kept(sessions: Sessions, case: str, event: str) -> bool:
    """Whether this event of a sender lies in the store, delivered or not."""
    async with sessions() as session:
        return await session.get(EventRow, (case, event)) is not None


Shown.model_rebuild()
