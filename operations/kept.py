"""What erasures left on a ground: when each ground ends, and the part of the night's run that then erases it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

from sqlmodel import col, exists, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from integrations.data_systems import DataSystem, Found, Subject, SystemDown
from models.common import Model
from models.errors import Refusal
from models.now import Now
from models.privacy import Erased
from models.storage import Result
from models.tables import CaseRow, IntakeRow, KeptRow, PartyRow, StorageItemRow, StorageRunRow
from operations.erase import against
from operations.erasures import Ledger
from operations.holds import hold_in_system, standing
from operations.intake import Sessions
from operations.operators import may_handle
from operations.own_store import OwnStore
from operations.reading import NotFound
from operations.refusing import term_in_system
from operations.storage import Judged, count_judged
from rules.rulebook import book, books
from rules.storage import until_over
from security.index import index_of
from security.keys import Keyring

AT_ONCE = 25
"""Cases that are written down together."""
WHAT = "kept"
"""As what the report of the night counts it."""
MORE = "the record holds more than was kept: something came later, and a person decides"
UNKNOWN = "no end is known: a person says one (erasures end)"
NAMELESS = "there is no rulebook for this organisation"


async def remember(session: AsyncSession, case: str, organisation: str, person: Subject, erased: Erased) -> None:
    """Write down what an erasure left; what is there stays."""
    for one in erased.records:
        if await session.get(KeptRow, (case, one.system, one.record)) is None:
            session.add(
                KeptRow(
                    case=case,
                    system=one.system,
                    record=one.record,
                    organisation=organisation,
                    ground=one.ground,
                    decided=one.decided,
                    until=one.until,
                    rows=one.rows,
                    person=person.model_dump(),
                    kept_at=erased.at,
                )
            )


# ---- judging --------------------------------------------------------------------------------------------------------


class KeptLine(Model):
    """Something that an erasure left, in a list."""

    case: str
    system: str
    record: str
    organisation: str
    ground: str
    kept_at: datetime
    state: Result
    """`kept`, `held` or `fault` while it stands; `erased` once it went."""
    why: str = ""
    until: date | None = None
    """The last day on which it is kept, if that is known."""
    gone_at: datetime | None = None


class _Verdict(Model):
    """What keeps one of them now."""

    result: Literal["kept", "held", "fault", "erased"]
    why: str = ""
    until: date | None = None


FREE = _Verdict(result="erased")


async def _verdict(session: AsyncSession, keyring: Keyring, row: KeptRow, at: datetime) -> _Verdict:
    """What keeps it, as far as the store knows; its data system may know more."""
    if row.organisation not in books():
        return _Verdict(result="fault", why=NAMELESS)
    if row.until is not None and until_over(book(row.organisation), row.until) > at:
        return _Verdict(result="kept", why="decided", until=row.until)
    person = await index_of(keyring, "personal_code", Subject.model_validate(row.person).personal_code)
    stands = await standing(session, keyring, row.organisation)
    if (keeps := stands.on_case(row.record, [person])) is not None:
        return _Verdict(result="held", why=f"{keeps[0]} {keeps[1]}")
    if row.system != OwnStore.name:
        if (hold := await hold_in_system(session, row.organisation, person, row.system)) is not None:
            return _Verdict(result="held", why=f"legal_hold {hold}")
        refusing = await term_in_system(session, row.organisation, person, row.system, at)
        if refusing is not None:
            return _Verdict(result="kept", why=refusing.said, until=refusing.until)
    if row.decided and row.until is None:
        return _Verdict(result="kept", why=UNKNOWN)
    return FREE


async def lines(sessions: Sessions, keyring: Keyring, systems: Sequence[DataSystem], at: datetime) -> list[KeptLine]:
    """Everything that erasures left, those that still stand first; nothing is changed."""
    known = {system.name: system for system in systems}
    async with sessions() as session:
        query = select(KeptRow).order_by(
            col(KeptRow.gone_at).is_not(None), KeptRow.case, KeptRow.system, KeptRow.record
        )
        rows = (await session.exec(query)).all()
        judged = []
        for row in rows:
            verdict = FREE if row.gone_at is not None else await _verdict(session, keyring, row, at)
            judged.append((row, verdict))
    found = []
    for row, verdict in judged:
        if row.gone_at is None and verdict.result == "erased":
            verdict = await _asked(known.get(row.system), row, at)  # noqa: PLW2901  # the system knows more
        found.append(
            KeptLine(
                **row.model_dump(include={"case", "system", "record", "organisation", "ground", "kept_at", "gone_at"}),
                state=verdict.result,
                why=verdict.why,
                until=verdict.until,
            )
        )
    return found


async def _asked(system: DataSystem | None, row: KeptRow, at: datetime) -> _Verdict:
    """What its data system says of a record that nothing else keeps."""
    if system is None:
        return _Verdict(result="fault", why=_unnamed(row.system))
    try:
        located = await system.locate(row.organisation, Subject.model_validate(row.person), at)
    except SystemDown:
        return _Verdict(result="fault", why=_silent(row.system))
    found = next((one for one in located if one.record == row.record), None)
    return FREE if found is None else _of_system(row, found)


def _of_system(row: KeptRow, found: Found) -> _Verdict:
    if found.in_use is not None:
        return _Verdict(result="held", why=found.in_use, until=found.until)
    if row.system != OwnStore.name and found.rows > row.rows:
        return _Verdict(result="fault", why=MORE)
    return FREE


def _unnamed(system: str) -> str:
    return f"the data system {system} is not among those of this installation"


def _silent(system: str) -> str:
    return f"the data system {system} does not answer; tried again tomorrow"


# ---- the night ------------------------------------------------------------------------------------------------------


async def step(
    sessions: Sessions, keyring: Keyring, systems: Sequence[DataSystem], ledger: Ledger, now: Now, n: int
) -> bool:
    """What one more erasure left, judged and erased where nothing keeps it; False once none is left for this run.

    Safe to repeat at any point: what it counts is written in one commit with what it says of the records; a record that
    a death left erased is not found again, and counted as erased then.
    """
    async with sessions() as session:
        run = await session.get(StorageRunRow, n)
        if run is None:
            # the store was restored from before this run
            return False
        at = run.at
        case = (
            await session.exec(
                select(KeptRow.case)
                .where(col(KeptRow.gone_at).is_(None), or_(col(KeptRow.run).is_(None), col(KeptRow.run) < n))
                .order_by(KeptRow.case)
                .limit(1)
            )
        ).first()
        if case is None:
            return False
        rows = (
            await session.exec(
                select(KeptRow)
                .where(KeptRow.case == case, col(KeptRow.gone_at).is_(None))
                .order_by(KeptRow.system, KeptRow.record)
            )
        ).all()
        verdicts = {(row.system, row.record): await _verdict(session, keyring, row, at) for row in rows}
    known = {system.name: system for system in systems}
    by_system: dict[str, list[KeptRow]] = defaultdict(list)
    for row in rows:
        if verdicts[row.system, row.record].result == "erased":
            by_system[row.system].append(row)
    for name, free in by_system.items():
        became = await _erase(known.get(name), ledger, free, at, now())
        verdicts.update({(name, record): verdict for record, verdict in became.items()})
    async with sessions() as session, session.begin():
        for row in rows:
            stands = await session.get_one(KeptRow, (row.case, row.system, row.record), with_for_update=True)
            stands.run = n
            if verdicts[row.system, row.record].result == "erased":
                stands.gone_at, stands.person = max(now(), stands.kept_at), None
        await count_judged(session, n, [_judged(row, verdicts[row.system, row.record]) for row in rows])
    return True


async def _erase(
    system: DataSystem | None, ledger: Ledger, rows: Sequence[KeptRow], at: datetime, now: datetime
) -> dict[str, _Verdict]:
    """Erase what nothing keeps of one request in one system, in the order in which it tells it; and look again."""
    [first, *_] = rows
    if system is None:
        return {row.record: _Verdict(result="fault", why=_unnamed(row.system)) for row in rows}
    person = Subject.model_validate(first.person)
    due = {row.record: row for row in rows}
    # what is not there any more went in another way
    became = dict.fromkeys(due, FREE)
    try:
        for found in await system.locate(first.organisation, person, at):
            row = due.get(found.record)
            if row is None:
                continue
            became[row.record] = _of_system(row, found)
            if became[row.record].result != "erased":
                continue
            await ledger.begin(first.organisation, person, row.case, {system.name: [row.record]}, now)
            if not await system.erase(person, row.record, at):
                await ledger.left(first.organisation, row.case, system.name, row.record, now)
                became[row.record] = _Verdict(result="held", why="in use")
        left = {found.record for found in await system.locate(first.organisation, person, at)}
    except SystemDown:
        return {record: _Verdict(result="fault", why=_silent(system.name)) for record in due}
    for record, verdict in became.items():
        if verdict.result == "erased" and record in left:
            became[record] = _Verdict(result="fault", why="it was erased, and the second look still finds it")
    gone = [record for record, verdict in became.items() if verdict.result == "erased"]
    await ledger.done(first.organisation, first.case, {system.name: gone}, now)
    return became


def _judged(row: KeptRow, verdict: _Verdict) -> Judged:
    return Judged(
        key=row.record,
        organisation=row.organisation,
        duty="",
        what=WHAT,
        system=row.system,
        last_day=verdict.until,
        result=verdict.result,
        why=_counted_as(verdict.why),
    )


def _counted_as(why: str) -> str:
    """Why, for the report that counts: which hold, request or day it is, the list says."""
    known = (one for one in ("legal_hold", "privacy_request") if why.startswith(one))
    return next(known, why.partition(" until ")[0])


# ---- cases in which nobody is left ----------------------------------------------------------------------------------

WHOLE = ("privacy_request", "renewal", "circumstance", "premium_refund", "late_premium")
"""Kinds whose closed case goes as a whole, with its key, once everybody in it was erased. An access has a term of its
own, and a breach, a task or a change of a client's people is the organisation's own record."""


async def nobody_left(sessions: Sessions, keyring: Keyring, n: int) -> bool:
    """Write down for erasure the closed cases in which nobody stands any more; False once this run knows them all.

    What an erasure on request leaves of such a case is its history, with the addresses and corrections that people
    wrote to it: only the end of its key takes that. What the run writes down it erases, proves and counts itself.
    """
    async with sessions() as session, session.begin():
        run = await session.get(StorageRunRow, n, with_for_update=True)
        if run is None:
            return False
        standing_there = exists().where(col(PartyRow.case) == CaseRow.case, col(PartyRow.erased_at).is_(None))
        party_there = exists().where(col(PartyRow.case) == CaseRow.case)
        known = exists().where(col(StorageItemRow.key) == CaseRow.case, col(StorageItemRow.run) == n)
        rows = (
            await session.exec(
                select(CaseRow, IntakeRow)
                .join(IntakeRow, col(IntakeRow.case) == CaseRow.case)
                .where(
                    col(CaseRow.kind).in_(WHOLE),
                    col(CaseRow.closed_at).is_not(None),
                    col(IntakeRow.erased_at).is_(None),
                    party_there,
                    ~standing_there,
                    ~known,
                )
                .order_by(CaseRow.case)
            )
        ).all()
        free = [row for row, _ in rows if not await against(session, keyring, row.case)]
        for row in free[:AT_ONCE]:
            session.add(
                StorageItemRow(run=n, key=row.case, organisation=row.organisation, duty="", what=row.kind, due=run.at)
            )
    return bool(free)


# ---- what a person says ---------------------------------------------------------------------------------------------


class Ends(Model):
    """Until when a person says that something is kept."""

    case: str
    record: str
    until: date


async def end(sessions: Sessions, case: str, record: str, until: date, said_by: str) -> Ends:
    """A person says the last day on which something that was kept is needed; it goes with the night after.

    Raises:
        NotFound: Nothing of that name was kept.
        Refusal: Whoever speaks may not, or it went already.
    """
    async with sessions() as session, session.begin():
        found = select(KeptRow).where(KeptRow.case == case, KeptRow.record == record).with_for_update()
        row = (await session.exec(found)).first()
        if row is None:
            raise NotFound(f"{case} kept no record {record}.")
        await may_handle(session, row.organisation, said_by, "privacy")
        if row.gone_at is not None:
            raise Refusal(f"record: {record} was erased")
        row.until = until
    return Ends(case=case, record=record, until=until)
