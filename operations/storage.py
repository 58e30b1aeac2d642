"""Storage terms: what of own cases and consents and of records elsewhere is over, what keeps it, and each night's run.

Of a case nothing is written down when it closes, and nothing runs for thirty years: the instant of closing and the
rulebook say it all; of a policy it is the last day of cover. The same judgement serves the preview, which changes
nothing, and the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.common import Model
from models.consent import Over
from models.errors import Refusal, Unreadable
from models.now import Now
from models.storage import RUN_AT, ErasedCase, Line, LongerBy, Purpose, Result, Stated, StorageReport, StorageTotals
from models.tables import (
    CaseRow,
    ConsentRow,
    IntakeRow,
    RecordRow,
    StorageCountRow,
    StorageItemRow,
    StorageRunRow,
)
from operations.consent_store import KIND as CONSENT
from operations.consent_store import NOBODY, erase_over, forget_refusals, standings
from operations.erase import erase, still_open
from operations.holds import Standing, people_of, standing
from operations.intake import Sessions
from operations.policy_terms import Contract, ended, erase_policy, kept_by, open_circumstances
from operations.reading import NotFound
from operations.refusing import RECOVERY, refusing_term
from rules.consent import Standing as Consent
from rules.rulebook import Rulebook, book, books
from rules.storage import (
    POLICY,
    Term,
    case_term,
    longest,
    own_purpose,
    policy_term,
    proof_by,
    purposes,
    term,
    until_over,
)
from security.keys import KeyDestroyed, Keyring, NoKey

log = structlog.get_logger()

AT_A_TIME = 200
"""Cases, records, consents or policies that one transaction of the run judges, and items that one step erases."""
NO_TERM = "no document has a storage term for this kind, and the controller has set none"
BY_CONTROLLER = "Kept as the controller decided"
CONTROLLER = "controller"
NO_BOOK = "there is no rulebook for this organisation"
NO_PURPOSE = "the rulebook has no such purpose on consent"
NO_KEY = "its key is not here: nobody can tell whom it is about"
CAME_BETWEEN = "something was opened or held meanwhile"

RunEnded = Callable[[str], Awaitable[None]]
"""Waits until the engine has no open run of a case; refuses where it still has one."""
Part = Literal["case", "record", "consent", "policy"]
NEXT: Mapping[Part, Part | None] = {"case": "record", "record": "consent", "consent": "policy", "policy": None}
"""What a run looks at, one after the other."""


class StorageTerm(Model):
    """How long the file of a closed case is kept."""

    case: str
    duty: str
    clause: str
    title: str
    adopted_from: str | None
    owner: str
    closed_at: datetime
    last_day: date | None
    """The last day on which it is kept; None: see `fault`."""
    due_at: datetime | None
    derivation: tuple[str, ...] = ()
    fault: str | None = None
    """Why no end can be counted: nothing is erased then."""
    due: bool = False
    """The term is over: the file is to be erased."""


def term_of(case: str, kind: str, organisation: str, closed_at: datetime, now: datetime) -> StorageTerm | None:
    """The storage term of a case that is counted from its closing; None where neither duty nor controller gives one."""
    rulebook = book(organisation)
    if kind == RECOVERY:
        return None
    found = own_purpose(rulebook, kind)
    if found is None:
        one = case_term(rulebook, kind, closed_at)
        return None if one is None else _by_controller(case, one, closed_at, now)
    duty = rulebook.find(found[0])
    counted = term(rulebook, duty.id, found[1], closed_at, found[1].own_line)
    return StorageTerm(
        case=case,
        duty=duty.id,
        clause=duty.clause,
        title=duty.title.en,
        adopted_from=duty.adopted_from,
        owner=duty.owner,
        closed_at=closed_at,
        last_day=counted.last_day,
        due_at=counted.due,
        derivation=counted.derivation,
        fault=counted.fault,
        due=counted.due is not None and counted.due <= now,
    )


def _by_controller(case: str, one: Term, closed_at: datetime, now: datetime) -> StorageTerm:
    return StorageTerm(
        case=case,
        duty=one.duty,
        clause=one.clause,
        title=BY_CONTROLLER,
        adopted_from=None,
        owner=CONTROLLER,
        closed_at=closed_at,
        last_day=one.last_day,
        due_at=one.due,
        derivation=one.derivation,
        due=one.due is not None and one.due <= now,
    )


# ---- judging --------------------------------------------------------------------------------------------------------


class Judged(Model):
    """What becomes of one case, record, consent or policy at an instant."""

    key: str
    """The case's id, the record's reference, or the consent or policy: `consent:GJ:K-17`, `policy:GJ-17`."""
    organisation: str
    duty: str
    """The term that decides; empty where there is none."""
    what: str
    """`record`, `paper`, `consent`, `policy`, or the kind of case."""
    system: str = ""
    last_day: date | None = None
    due: datetime | None = None
    result: Result
    why: str = ""
    """Of what is held or cannot be counted."""
    by: str = ""
    """Which hold, request or case keeps it."""
    derivation: tuple[str, ...] = ()

    @property
    def counted_as(self) -> tuple[str, str, str, Result, str]:
        """Under what the report counts it."""
        return self.organisation, self.duty, self.what, self.result, self.why


class Closed(NamedTuple):
    """A closed case."""

    case: str
    kind: str
    organisation: str
    closed_at: datetime


class Judge:
    """Judges cases and records for one instant; what stands in an organisation is read once for a batch."""

    def __init__(self, session: AsyncSession, keyring: Keyring, at: datetime) -> None:
        self._session = session
        self._keyring = keyring
        self._at = at
        self._standing: dict[str, Standing] = {}
        self._purposes: dict[str, dict[str, Purpose]] = {}
        self._circumstances: dict[str, dict[str, str]] = {}

    async def record(self, row: RecordRow) -> Judged:
        """A record that was not destroyed."""
        if row.organisation not in books():
            what = "paper" if row.medium == "paper" else "record"
            return _unruled(row.record, row.organisation, what)
        rulebook = book(row.organisation)
        one = self.term_of_record(rulebook, row)
        judged = Judged(
            key=row.record,
            organisation=row.organisation,
            duty=one.duty,
            what="paper" if row.medium == "paper" else "record",
            system=row.system,
            last_day=one.last_day,
            due=one.due,
            result="kept",
            derivation=one.derivation,
        )
        if one.fault is not None:
            return judged.model_copy(update={"result": "fault", "why": one.fault})
        if one.due is None or one.due > self._at:
            return judged
        if keeps := (await self.stands(row.organisation)).on_record(row.record, row.person):
            return judged.model_copy(update={"result": "held", "why": keeps[0], "by": keeps[1]})
        if row.asked_at is None or row.proof_by is None:
            return judged.model_copy(update={"result": "asked"})
        return judged.model_copy(update={"result": "overdue" if row.proof_by <= self._at else "waiting"})

    def term_of_record(self, rulebook: Rulebook, row: RecordRow) -> Term:
        """The term that decides of a record: the longest of its purposes, and of a documented exception."""
        if row.erase_for is not None and row.erase_at is not None:
            return _on_request(rulebook, row, row.erase_for, row.erase_at)
        known = self._purposes.setdefault(rulebook.organisation, purposes(rulebook))
        terms = []
        for said in map(Stated.model_validate, row.purposes):
            purpose = known.get(said.duty)
            if purpose is None:
                gone = f"the rulebook has no storage term {said.duty}"
                terms.append(Term(duty=said.duty, clause="", fault=gone))
                continue
            line = row.line or purpose.own_line
            terms.append(term(rulebook, said.duty, purpose, said.since, line, said.withdrawn_at))
        one = longest(terms)
        if row.longer is None or one.due is None:
            return one
        longer = LongerBy.model_validate(row.longer)
        until = until_over(rulebook, longer.until)
        if until <= one.due:
            return one
        why = f"kept until {longer.until} by a documented exception: {longer.document}"
        return one.model_copy(
            update={"due": until, "last_day": longer.until, "derivation": (*one.derivation, why), "least": None}
        )

    async def case(self, row: Closed, keep_until: date | None) -> Judged:
        """A closed case that was not erased; `keep_until` is the last day that a recovery has counted."""
        if row.organisation not in books():
            return _unruled(row.case, row.organisation, row.kind)
        rulebook = book(row.organisation)
        judged = Judged(key=row.case, organisation=row.organisation, duty="", what=row.kind, result="kept")
        found = own_purpose(rulebook, row.kind)
        one = case_term(rulebook, row.kind, row.closed_at) if found is None else None
        if found is not None:
            one = _term_of_case(rulebook, found[0], found[1], row, keep_until)
        judged, over = self._by_term(judged, one)
        if not over:
            return judged
        try:
            people = await people_of(self._session, self._keyring, row.case)
        except (NoKey, KeyDestroyed, Unreadable):
            return judged.model_copy(update={"result": "fault", "why": NO_KEY})
        if keeps := (await self.stands(row.organisation)).on_case(row.case, people):
            return judged.model_copy(update={"result": "held", "why": keeps[0], "by": keeps[1]})
        if open_ones := await still_open(self._session, row.case):
            return judged.model_copy(update={"result": "held", "why": "open_case", "by": open_ones[0]})
        return judged.model_copy(update={"result": "erased"})

    def _by_term(self, judged: Judged, one: Term | None) -> tuple[Judged, bool]:
        """With its term; and whether that is over, so that only what keeps it nevertheless is still to be asked."""
        if one is None:
            return judged.model_copy(update={"result": "unset", "why": NO_TERM}), False
        counted: dict[str, Any] = {"duty": one.duty, "last_day": one.last_day, "due": one.due}
        counted |= {"derivation": one.derivation, **({"result": "fault", "why": one.fault} if one.fault else {})}
        over = one.fault is None and one.due is not None and one.due <= self._at
        return judged.model_copy(update=counted), over

    async def consents(self, rows: Sequence[ConsentRow]) -> list[Judged]:
        """Consents of one organisation that were not erased: over with their term, or with their withdrawal."""
        if not rows:
            return []
        organisation = rows[0].organisation
        if organisation not in books() or book(organisation).consents is None:
            return [_unruled(row.sealed_for, row.organisation, CONSENT) for row in rows]
        found = await standings(self._session, rows, self._at)
        stands = await self.stands(organisation)
        return [self._consent(row, *found[row.sealed_for], stands) for row in rows]

    def _consent(self, row: ConsentRow, consent: Consent, one: Over, stands: Standing) -> Judged:
        judged = Judged(
            key=row.sealed_for,
            organisation=row.organisation,
            duty=one.duty,
            what=CONSENT,
            last_day=one.last_day,
            due=one.due,
            result="kept",
            derivation=one.derivation,
        )
        if not one.duty:
            return judged.model_copy(update={"result": "fault", "why": NO_PURPOSE})
        if one.due is None or one.due > self._at:
            return judged
        if consent.restricted:
            return judged.model_copy(update={"result": "held", "why": "restriction"})
        if keeps := stands.on_record("", row.person):
            return judged.model_copy(update={"result": "held", "why": keeps[0], "by": keeps[1]})
        return judged.model_copy(update={"result": "erased"})

    async def policy(self, row: Contract) -> Judged:
        """A policy whose cover is over, and that was not erased."""
        if row.organisation not in books():
            return _unruled(row.key, row.organisation, POLICY)
        rulebook = book(row.organisation)
        judged = Judged(key=row.key, organisation=row.organisation, duty="", what=POLICY, result="kept")
        one = policy_term(rulebook, row.last_day)
        judged, over = self._by_term(judged, one)
        if not over:
            return judged
        stands = await self.stands(row.organisation)
        try:
            circumstances = await self._reported(row.organisation)
            keeps = await kept_by(self._session, row, rulebook, stands, circumstances, self._at)
        except (NoKey, Unreadable):
            return judged.model_copy(update={"result": "fault", "why": NO_KEY})
        if keeps is not None:
            return judged.model_copy(update={"result": "held", "why": keeps[0], "by": keeps[1]})
        return judged.model_copy(update={"result": "erased"})

    async def _reported(self, organisation: str) -> dict[str, str]:
        """Policy → an open circumstance under it."""
        if organisation not in self._circumstances:
            found = await open_circumstances(self._session, self._keyring, organisation)
            self._circumstances[organisation] = found
        return self._circumstances[organisation]

    async def stands(self, organisation: str) -> Standing:
        """The holds and open requests of an organisation."""
        if organisation not in self._standing:
            self._standing[organisation] = await standing(self._session, self._keyring, organisation)
        return self._standing[organisation]


def _on_request(rulebook: Rulebook, row: RecordRow, case: str, at: datetime) -> Term:
    """Of a record whose person had it erased: the longest term that refuses that; where none does, it goes now."""
    refusing = refusing_term(rulebook, row)
    said = f"the person's request {case} ends it before its term: consent, contract and legitimate interest give way"
    if refusing is None or (refusing.fault is None and refusing.due is not None and refusing.due <= at):
        duty = Stated.model_validate(row.purposes[0]).duty
        last = at.astimezone(ZoneInfo(rulebook.zone)).date()
        return Term(duty=duty, clause="", last_day=last, due=at, derivation=(said,))
    return refusing


def _unruled(key: str, organisation: str, what: str) -> Judged:
    """What belongs to an organisation whose rulebook is not here any more."""
    return Judged(key=key, organisation=organisation, duty="", what=what, result="fault", why=NO_BOOK)


def _term_of_case(rulebook: Rulebook, duty: str, purpose: Purpose, row: Closed, keep_until: date | None) -> Term:
    """From the closing; of a recovery from the later of the debt's end and the suit's, which the case has counted."""
    if row.kind != RECOVERY:
        return term(rulebook, duty, purpose, row.closed_at, purpose.own_line)
    found = Term(duty=duty, clause=rulebook.find(duty).clause)
    if keep_until is None:
        return found
    said = f"counted by the case from the later of the debt's end and the suit's: until {keep_until}"
    return found.model_copy(
        update={"last_day": keep_until, "due": until_over(rulebook, keep_until), "derivation": (said,)}
    )


async def _keep_until(session: AsyncSession, keyring: Keyring, recoveries: list[str]) -> dict[str, date]:
    """Recovery → the last day of its term, of those that could count it: where no debt has ended, nothing runs."""
    await keyring.load(recoveries)
    found = {}
    for case in recoveries:
        try:
            state = (await session.get_one(CaseRow, case)).state
        except (NoKey, KeyDestroyed, Unreadable):
            # nobody can open it any more; that is a matter of the keys, and holds up nothing else
            log.warning("the term of a recovery cannot be read", case=case)
            continue
        if (day := state.get("body", {}).get("keep_until")) is not None:
            found[case] = date.fromisoformat(day)
    return found


# ---- looking: the preview -------------------------------------------------------------------------------------------


def night_of(day: date) -> datetime:
    """The instant for which the run of this day judges."""
    return datetime.combine(day, time(), UTC) + RUN_AT


async def look(
    sessions: Sessions, keyring: Keyring, at: datetime, organisation: str | None = None
) -> AsyncIterator[Judged]:
    """What the run of this instant would find, each thing once, in batches; nothing is changed."""
    part: Part | None = "case"
    after: list[str] = []
    while part is not None:
        async with sessions() as session:
            judged, after = await _batch(session, keyring, part, after, at, organisation)
        for one in judged:
            yield one
        if not after:
            part = NEXT[part]


async def counted(found: AsyncIterator[Judged]) -> tuple[Line, ...]:
    """The same as the report has it."""
    numbers: Counter[tuple[str, str, str, Result, str]] = Counter()
    async for one in found:
        numbers[one.counted_as] += 1
    return _lines(numbers)


def _lines(numbers: Counter[tuple[str, str, str, Result, str]]) -> tuple[Line, ...]:
    return tuple(
        Line(organisation=organisation, duty=duty, what=what, result=result, why=why, number=number)
        for (organisation, duty, what, result, why), number in sorted(numbers.items())
    )


async def _batch(
    session: AsyncSession,
    keyring: Keyring,
    part: Part,
    after: list[str],
    at: datetime,
    organisation: str | None = None,
    rows: dict[str, RecordRow] | None = None,
) -> tuple[list[Judged], list[str]]:
    """The next of a part behind a key, judged, and the key behind which it goes on; an empty one: no more.

    With `rows` the records are locked, and given in it by organisation and reference.
    """
    judge = Judge(session, keyring, at)
    if part == "case":
        cases = (
            select(CaseRow.case, CaseRow.kind, CaseRow.organisation, CaseRow.closed_at)
            .join(IntakeRow, col(IntakeRow.case) == CaseRow.case)
            .where(col(CaseRow.closed_at).is_not(None), col(IntakeRow.erased_at).is_(None))
            .order_by(CaseRow.case)
            .limit(AT_A_TIME)
        )
        if after:
            cases = cases.where(CaseRow.case > after[0])
        if organisation is not None:
            cases = cases.where(CaseRow.organisation == organisation)
        rows_of_cases = (await session.exec(cases)).all()
        closed = [Closed(case, kind, of, at_) for case, kind, of, at_ in rows_of_cases if at_ is not None]
        until = await _keep_until(session, keyring, [one.case for one in closed if one.kind == RECOVERY])
        judged = [await judge.case(one, until.get(one.case)) for one in closed]
        return judged, [closed[-1].case] if len(closed) == AT_A_TIME else []
    if part == "consent":
        return await _consents(session, judge, after, organisation)
    if part == "policy":
        query = ended(at, after[0] if after else None, organisation).limit(AT_A_TIME)
        policies = [Contract(*row) for row in (await session.exec(query)).all()]
        judged = [await judge.policy(one) for one in policies if one.is_over(at)]
        return judged, [policies[-1].policy] if len(policies) == AT_A_TIME else []
    records = (
        select(RecordRow)
        .where(col(RecordRow.destroyed_at).is_(None))
        .order_by(RecordRow.organisation, RecordRow.record)
        .limit(AT_A_TIME)
    )
    if after:
        records = records.where(tuple_(col(RecordRow.organisation), col(RecordRow.record)) > tuple_(*after))
    if organisation is not None:
        records = records.where(RecordRow.organisation == organisation)
    found = (await session.exec(records if rows is None else records.with_for_update())).all()
    judged = [await judge.record(row) for row in found]
    if rows is not None:
        rows.update({f"{row.organisation}:{row.record}": row for row in found})
    return judged, [found[-1].organisation, found[-1].record] if len(found) == AT_A_TIME else []


async def _consents(
    session: AsyncSession, judge: Judge, after: list[str], organisation: str | None
) -> tuple[list[Judged], list[str]]:
    """The next consents behind a key, without whom they name."""
    query = (
        select(ConsentRow)
        .where(ConsentRow.what == "given", col(ConsentRow.erased_at).is_(None))
        .options(NOBODY)
        .order_by(ConsentRow.organisation, col(ConsentRow.consent))
        .limit(AT_A_TIME)
    )
    if after:
        query = query.where(tuple_(col(ConsentRow.organisation), col(ConsentRow.consent)) > tuple_(*after))
    if organisation is not None:
        query = query.where(ConsentRow.organisation == organisation)
    rows = (await session.exec(query)).all()
    judged = []
    for of in dict.fromkeys(row.organisation for row in rows):
        judged += await judge.consents([row for row in rows if row.organisation == of])
    return judged, [rows[-1].organisation, rows[-1].consent or ""] if len(rows) == AT_A_TIME else []


# ---- the run --------------------------------------------------------------------------------------------------------


async def begin(sessions: Sessions, workflow: str, now: Now) -> int:
    """Begin the run of this run of the engine, or find it again; its number."""
    async with sessions() as session, session.begin():
        values = {"workflow": workflow, "at": now(), "part": "case", "after": []}
        await session.exec(insert(StorageRunRow).values(values).on_conflict_do_nothing())
        return (await session.exec(select(StorageRunRow.n).where(StorageRunRow.workflow == workflow))).one() or 0


async def step(
    sessions: Sessions, keyring: Keyring, backups: Path, now: Now, n: int, run_ended: RunEnded | None = None
) -> bool:
    """The next step of a run; False once nothing is left. Safe to repeat at any point.

    What a run decided to erase is written down first, and erased before anything else is judged, whichever run it was:
    a crash between the two leaves a line, not a gap in the report. A run that the store lost is over.
    """
    if await _erase(sessions, keyring, backups, now, run_ended):
        return True
    async with sessions() as session, session.begin():
        run = await session.get(StorageRunRow, n, with_for_update=True)
        if run is None:
            # the store was restored from before this run: what it began is judged by the next one
            log.warning("a run over the storage terms is not in the store", run=n)
            return False
        if run.part == "done":
            return False
        part: Part = next(known for known in NEXT if known == run.part)
        rows: dict[str, RecordRow] = {}
        judged, after = await _batch(session, keyring, part, run.after, run.at, rows=rows)
        for one in judged:
            if part == "record":
                _mark(rows[f"{one.organisation}:{one.key}"], one, run.at)
            elif one.result == "erased" and one.due is not None:
                session.add(
                    StorageItemRow(
                        run=n, key=one.key, organisation=one.organisation, duty=one.duty, what=one.what, due=one.due
                    )
                )
        await count_judged(session, n, (one for one in judged if one.result != "erased"))
        run.after = after
        if not after:
            run.part = NEXT[part] or "done"
            if run.part == "done":
                await forget_refusals(session, run.at)
    return True


def _mark(row: RecordRow, judged: Judged, at: datetime) -> None:
    """From the first night on its destruction is asked for; no more, where something keeps it again."""
    if judged.result == "asked":
        row.asked_at, row.proof_by = at, proof_by(book(row.organisation), at)
    elif judged.result in ("kept", "held", "fault"):
        row.asked_at, row.proof_by = None, None


async def count_judged(session: AsyncSession, n: int, judged: Iterable[Judged]) -> None:
    """Count what a run found, in the commit that says where it goes on."""
    numbers = Counter(one.counted_as for one in judged)
    names = ("organisation", "duty", "what", "result", "why")
    for key, number in sorted(numbers.items()):
        values: dict[str, Any] = {"run": n, **dict(zip(names, key, strict=True)), "number": number}
        written = insert(StorageCountRow).values(values)
        await session.exec(
            written.on_conflict_do_update(
                index_elements=["run", *names],
                set_={"number": StorageCountRow.__table__.c.number + number},  # type: ignore[attr-defined]  # SQLModel's
            )
        )


async def _erase(sessions: Sessions, keyring: Keyring, backups: Path, now: Now, run_ended: RunEnded | None) -> int:
    """Erase what runs decided to erase and did not yet; how many of them were ended."""
    async with sessions() as session:
        open_ones = (
            select(StorageItemRow)
            .where(col(StorageItemRow.ended_at).is_(None))
            .order_by(col(StorageItemRow.run), StorageItemRow.key)
            .limit(AT_A_TIME)
        )
        items = (await session.exec(open_ones)).all()
    for item in items:
        result, why = "erased", ""
        try:
            erases = {CONSENT: erase_over, POLICY: erase_policy}.get(item.what, erase)
            if erases is erase and run_ended is not None:
                await run_ended(item.key)
            await erases(sessions, keyring, item.key, backups, now)
            await _proven(keyring, item.key)
        except Refusal as e:
            log.warning("what is over is not erased", what=item.key, faults=e.faults)
            result, why = "held", CAME_BETWEEN
        async with sessions() as session, session.begin():
            row = await session.get_one(StorageItemRow, (item.run, item.key), with_for_update=True)
            row.ended_at, row.result, row.why = row.ended_at or now(), row.result or result, row.why or why
    return len(items)


async def _proven(keyring: Keyring, case: str) -> None:
    """The second look: nobody can open anything of the case, consent or policy any more.

    Raises:
        RuntimeError: Its key is still there; the step is tried again.
    """
    try:
        await keyring.of(case)
    except (KeyDestroyed, NoKey):
        return
    raise RuntimeError(f"{case}: its key is still there after the erasure")


async def end(sessions: Sessions, now: Now, n: int) -> StorageTotals:
    """Close a run that has nothing left; what it came to."""
    async with sessions() as session, session.begin():
        run = await session.get(StorageRunRow, n, with_for_update=True)
        if run is None:
            return StorageTotals(n=n, results={})
        run.ended_at = run.ended_at or now()
    totals: Counter[str] = Counter()
    for line in (await report(sessions, n)).lines:
        totals[line.result] += line.number
    return StorageTotals(n=n, results=dict(sorted(totals.items())))


# ---- what a run came to ---------------------------------------------------------------------------------------------


async def report(sessions: Sessions, n: int | None = None, organisation: str | None = None) -> StorageReport:
    """What a run came to, or the newest one that ended.

    Raises:
        NotFound: There is no such run.
    """
    async with sessions() as session:
        query = select(StorageRunRow)
        if n is None:
            query = query.where(col(StorageRunRow.ended_at).is_not(None))
        else:
            query = query.where(StorageRunRow.n == n)
        run = (await session.exec(query.order_by(col(StorageRunRow.n).desc()).limit(1))).first()
        if run is None or run.n is None:
            raise NotFound("There is no run over the storage terms yet." if n is None else f"There is no run {n}.")
        numbers: Counter[tuple[str, str, str, Result, str]] = Counter()
        counts = select(StorageCountRow).where(StorageCountRow.run == run.n)
        for row in (await session.exec(counts)).all():
            numbers[row.organisation, row.duty, row.what, _result(row.result), row.why] += row.number
        item = StorageItemRow
        columns: Any = select
        ended = (
            columns(item.organisation, item.duty, item.what, item.result, item.why, func.count())
            .where(item.run == run.n, col(item.ended_at).is_not(None))
            .group_by(item.organisation, item.duty, item.what, item.result, item.why)
        )
        for of, duty, what, result, why, number in (await session.exec(ended)).all():
            numbers[of, duty, what, _result(result), why] += number
        gone = select(item).where(item.run == run.n, item.result == "erased").order_by(item.key)
        if organisation is not None:
            gone = gone.where(item.organisation == organisation)
        erased = tuple(
            ErasedCase(case=one.key, duty=one.duty, due=one.due, erased_at=one.ended_at)
            for one in (await session.exec(gone)).all()
            if one.ended_at is not None
        )
    lines = tuple(line for line in _lines(numbers) if organisation is None or line.organisation == organisation)
    return StorageReport(n=run.n, at=run.at, ended_at=run.ended_at, lines=lines, erased=erased)


def _result(said: str) -> Result:
    return Line(organisation="", duty="", what="", result=said, number=0).result  # type: ignore[arg-type]  # checked by it


def has_terms(organisation: str) -> bool:
    """Whether an organisation's rulebook has storage terms."""
    return organisation in books() and bool(purposes(book(organisation)))
