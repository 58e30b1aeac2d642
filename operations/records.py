"""Records of personal data elsewhere, as facts: loaded, moved, held, destroyed with proof (SE-11, SE-12, DZ-14.5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from sqlmodel import col, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from models.common import Model
from models.errors import Refusal
from models.names import ORGANISATION
from models.now import Now
from models.policy import read_model
from models.storage import WAYS, Destroyed, HoldFacts, RecordFacts, Stated, read_hold, read_record
from models.tables import IntakeRow, PolicyRow, RecordFactRow, RecordHoldRow, RecordRow
from models.tables.policy import NO_INDEX
from operations.holds import LOCK
from operations.intake import Sessions
from operations.operators import may_handle
from operations.policies import HERE
from operations.reading import NotFound
from operations.reading_json import Item
from operations.storage import Judge, Judged, has_terms
from rules.rulebook import Rulebook, book
from rules.storage import POLICY, keeping, purposes
from security.index import index_of
from security.keys import Keyring

PERSONAL_CODE = "personal_code"
"""Under which use a personal code is indexed (`security.index`)."""


class Said(Model):
    """What became of a record that was said."""

    organisation: str
    record: str
    new: bool = False
    changed: bool = False
    """Facts that differ from what was said before: they replace it."""


class Put(Model):
    """What became of a hold."""

    organisation: str
    hold: str
    stands: bool


class Proven(Model):
    """What became of a record whose destruction was proven."""

    organisation: str
    record: str
    duty: str
    late: bool
    """It was asked for, and the proof came after its time."""


class Bad(Model):
    """A row that did not go in."""

    row: int | None
    record: str | None
    faults: tuple[str, ...]


class Loaded(Model):
    """What became of many records."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    bad: tuple[Bad, ...] = ()

    def with_row(self, became: Said | Bad) -> Loaded:
        """The same with one more row."""
        if isinstance(became, Bad):
            return self.model_copy(update={"bad": (*self.bad, became)})
        name = "new" if became.new else "changed" if became.changed else "unchanged"
        return self.model_copy(update={name: getattr(self, name) + 1})


class Records:
    """Writes down what is said of records, and lists them."""

    def __init__(self, sessions: Sessions, keyring: Keyring, now: Now) -> None:
        self._sessions = sessions
        self._keyring = keyring
        self._now = now

    # ---- what is said -----------------------------------------------------------------------------------------------

    async def say(self, data: Any, said_by: str = HERE) -> Said:
        """Write a record down; with other facts than before they replace those, with the same nothing changes.

        Raises:
            Refusal: It has faults, all of them named, or was destroyed.
        """
        facts, faults = read_record(data)
        faults += _unfit(facts, data)
        if facts is None or faults:
            raise Refusal(*faults)
        person = None if facts.person is None else await index_of(self._keyring, PERSONAL_CODE, facts.person)
        said = facts.model_dump(mode="json", exclude={"person", "organisation", "record"})
        async with self._sessions() as session, session.begin():
            await may_handle(session, facts.organisation, said_by)
            await _one_at_a_time(session, facts.organisation, facts.record)
            row = await session.get(RecordRow, (facts.organisation, facts.record))
            same = row is not None and all(getattr(row, name) == value for name, value in said.items())
            gone = row is not None and row.destroyed_at is not None
            if gone and not same:
                raise Refusal(f"record: {facts.record} was destroyed; what comes anew has another reference")
            new = row is None
            if row is None:
                row = RecordRow(organisation=facts.organisation, record=facts.record, facts=0, **said)
            elif same and (gone or row.person == person):
                # of what is destroyed nobody knows any more whom it was about
                return Said(organisation=facts.organisation, record=facts.record)
            for name, value in said.items():
                setattr(row, name, value)
            row.person = person
            session.add(row)
            await self._append(session, row, said, said_by)
        return Said(organisation=facts.organisation, record=facts.record, new=new, changed=not new)

    async def take(self, item: Item, said_by: str = HERE) -> Said | Bad:
        """Write a row of a file down, or say why it was not."""
        faults = item.faults
        if not faults:
            try:
                return await self.say(item.value, said_by)
            except Refusal as e:
                faults = e.faults
        facts, _ = read_record(item.value)
        return Bad(row=item.line, record=None if facts is None else facts.record, faults=faults)

    async def _append(self, session: AsyncSession, row: RecordRow, data: dict[str, Any], said_by: str) -> None:
        row.facts += 1
        await session.flush()
        session.add(
            RecordFactRow(
                organisation=row.organisation,
                record=row.record,
                n=row.facts,
                recorded_at=self._now(),
                said_by=said_by,
                data=data,
            )
        )

    # ---- legal holds ------------------------------------------------------------------------------------------------

    async def hold(self, data: Any, said_by: str = HERE) -> Put:
        """Place a legal hold: what it is about is kept until it is lifted, whatever its term.

        Raises:
            Refusal: It has faults, there is nothing of that name, or the hold's reference was used otherwise.
        """
        facts, faults = read_hold(data)
        faults += _no_terms(data)
        if facts is None or faults:
            raise Refusal(*faults)
        person = None if facts.person is None else await index_of(self._keyring, PERSONAL_CODE, facts.person)
        async with self._sessions() as session, session.begin():
            await may_handle(session, facts.organisation, said_by)
            # whatever is being erased is erased before, or is held
            await session.exec(select(func.pg_advisory_xact_lock(LOCK)))
            there = await session.get(RecordHoldRow, (facts.organisation, facts.hold))
            if there is not None:
                return _same_hold(there, facts, person)
            if missing := await self._missing(session, facts):
                raise Refusal(missing)
            session.add(
                RecordHoldRow(
                    organisation=facts.organisation,
                    hold=facts.hold,
                    document=facts.document,
                    record=facts.record,
                    held_case=facts.case,
                    person=person,
                    placed_at=self._now(),
                    placed_by=said_by,
                )
            )
            # what is held is not to be destroyed from now on; once the hold is lifted it is asked for anew
            held = update(RecordRow).where(
                col(RecordRow.organisation) == facts.organisation,
                col(RecordRow.person) == person if facts.record is None else col(RecordRow.record) == facts.record,
                col(RecordRow.destroyed_at).is_(None),
            )
            if facts.case is None:
                await session.exec(held.values(asked_at=None, proof_by=None))
        return Put(organisation=facts.organisation, hold=facts.hold, stands=True)

    async def _missing(self, session: AsyncSession, facts: HoldFacts) -> str | None:
        """Why there is nothing to hold; a person is held whether or not anything is known of them yet."""
        if facts.record is not None and facts.record.startswith(f"{POLICY}:"):
            number = facts.record.removeprefix(f"{POLICY}:")
            query = select(PolicyRow.organisation, PolicyRow.insured_index).where(PolicyRow.policy == number)
            policy = (await session.exec(query)).first()
            if policy is None or policy[0] != facts.organisation:
                return f"record: {facts.organisation} has no {facts.record}"
            if policy[1] == NO_INDEX:
                return f"record: {facts.record} was erased"
        elif facts.record is not None:
            row = await session.get(RecordRow, (facts.organisation, facts.record), with_for_update=True)
            if row is None:
                return f"record: {facts.organisation} has no record {facts.record}"
            if row.destroyed_at is not None:
                return f"record: {facts.record} was destroyed"
        if facts.case is not None:
            intake = (
                await session.exec(select(IntakeRow.case, IntakeRow.erased_at).where(IntakeRow.case == facts.case))
            ).first()
            if intake is None:
                return f"case: there is no case {facts.case}"
            if intake[1] is not None:
                return f"case: {facts.case} was erased"
        return None

    async def lift(self, organisation: str, hold: str, said_by: str = HERE) -> Put:
        """Lift a legal hold: what is over goes with the next night. Again changes nothing.

        Raises:
            NotFound: There is no such hold.
            Refusal: Whoever speaks may not: what follows cannot be taken back.
        """
        async with self._sessions() as session, session.begin():
            row = await session.get(RecordHoldRow, (organisation, hold), with_for_update=True)
            if row is None:
                raise NotFound(f"{organisation} has no legal hold {hold}.")
            await may_handle(session, organisation, said_by, "security")
            if row.lifted_at is None:
                row.lifted_at, row.lifted_by, row.person = self._now(), said_by, None
        return Put(organisation=organisation, hold=hold, stands=False)

    # ---- destruction ------------------------------------------------------------------------------------------------

    async def destroyed(self, organisation: str, record: str, data: Any, said_by: str = HERE) -> Proven:
        """Write down that a record was destroyed, and its proof (SE-12.2, SE-12.3, DZ-14.5.2). Again is the same.

        Raises:
            NotFound: There is no such record.
            Refusal: It may not go yet, or what is said cannot be; every fault is named.
        """
        said, faults = read_model(Destroyed, data)
        async with self._sessions() as session, session.begin():
            await may_handle(session, organisation, said_by)
            await session.exec(select(func.pg_advisory_xact_lock_shared(LOCK)))
            row = await session.get(RecordRow, (organisation, record), with_for_update=True)
            if row is None:
                raise NotFound(f"{organisation} has no record {record}.")
            if said is None:
                raise Refusal(*faults)
            duty = Judge(session, self._keyring, self._now()).term_of_record(book(organisation), row).duty
            if row.destroyed_at is not None:
                if (row.proof, row.way, row.destroyed_at) != (said.proof, said.way, said.destroyed_at):
                    raise Refusal("record: its destruction was proven otherwise")
                return Proven(organisation=organisation, record=record, duty=duty, late=_is_late(row))
            if faults := await self._may_not_go(session, row, said):
                raise Refusal(*faults)
            row.destroyed_at, row.destroyed_by = said.destroyed_at, said_by
            row.way, row.proof, row.person = said.way, said.proof, None
            await self._append(session, row, said.model_dump(mode="json"), said_by)
        return Proven(organisation=organisation, record=record, duty=duty, late=_is_late(row))

    async def _may_not_go(self, session: AsyncSession, row: RecordRow, said: Destroyed) -> list[str]:
        faults = []
        judge = Judge(session, self._keyring, self._now())
        one = judge.term_of_record(book(row.organisation), row)
        if said.destroyed_at > self._now():
            faults.append("destroyed_at: lies in the future")
        if said.way != WAYS["paper" if row.medium == "paper" else "system"]:
            how = (
                "paper is shredded" if row.medium == "paper" else "electronic data go beyond recovery, backups included"
            )
            faults.append(f"way: {how}")
        if one.fault is not None:
            faults.append(f"record: {one.fault}")
        elif one.due is None:
            faults.append(f"record: the term of {one.duty} has not begun")
        elif said.destroyed_at < (least := one.least or one.due):
            faults.append(f"record: {one.duty} keeps it until {least.isoformat()}")
        if keeps := (await judge.stands(row.organisation)).on_record(row.record, row.person):
            words = {"legal_hold": "the legal hold", "privacy_request": "the open privacy request"}
            faults.append(f"record: {words[keeps[0]]} {keeps[1]} keeps it")
        return faults

    # ---- lists ------------------------------------------------------------------------------------------------------

    async def lines(
        self, organisation: str | None, *, to_destroy: bool = False, overdue: bool = False
    ) -> Sequence[RecordLine]:
        """Records by their references; with `to_destroy` those whose destruction is asked for, the oldest first."""
        query = select(RecordRow).order_by(RecordRow.organisation, RecordRow.record)
        if organisation is not None:
            query = query.where(RecordRow.organisation == organisation)
        if to_destroy or overdue:
            query = query.where(col(RecordRow.asked_at).is_not(None), col(RecordRow.destroyed_at).is_(None))
            query = query.order_by(None).order_by(col(RecordRow.asked_at), RecordRow.organisation, RecordRow.record)
        if overdue:
            query = query.where(col(RecordRow.proof_by) <= self._now())
        async with self._sessions() as session:
            judge = Judge(session, self._keyring, self._now())
            return [_line(row, await judge.record(row)) for row in (await session.exec(query)).all()]


class RecordLine(Model):
    """A record in a list."""

    organisation: str
    record: str
    system: str
    medium: str
    duty: str
    """The term that decides."""
    owner: str
    """The role that destroys it."""
    last_day: date | None
    state: str
    """`destroyed`, or what the next night's run would find."""
    why: str = ""
    asked_at: datetime | None = None
    proof_by: datetime | None = None
    destroyed_at: datetime | None = None
    proof: str | None = None


def _line(row: RecordRow, judged: Judged) -> RecordLine:
    owner = next((d.owner for d in book(row.organisation).duty if d.id == judged.duty), "")
    gone = row.destroyed_at is not None
    return RecordLine(
        organisation=row.organisation,
        record=row.record,
        system=row.system,
        medium=row.medium,
        duty=judged.duty,
        owner=owner,
        last_day=judged.last_day,
        state="destroyed" if gone else judged.result,
        why="" if gone else judged.why,
        asked_at=row.asked_at,
        proof_by=row.proof_by,
        destroyed_at=row.destroyed_at,
        proof=row.proof,
    )


def _is_late(row: RecordRow) -> bool:
    return row.proof_by is not None and row.destroyed_at is not None and row.destroyed_at >= row.proof_by


def _same_hold(there: RecordHoldRow, facts: HoldFacts, person: bytes | None) -> Put:
    """A hold that was placed before.

    Raises:
        Refusal: It was placed on something else, or was lifted.
    """
    if there.lifted_at is not None:
        raise Refusal(f"hold: {facts.hold} was lifted; a new one has a reference of its own")
    if (there.record, there.held_case, there.person, there.document) != (
        facts.record,
        facts.case,
        person,
        facts.document,
    ):
        raise Refusal(f"hold: {facts.hold} was placed otherwise")
    return Put(organisation=facts.organisation, hold=facts.hold, stands=True)


def _no_terms(data: Any) -> list[str]:
    organisation = data.get("organisation") if isinstance(data, dict) else None
    if isinstance(organisation, str) and ORGANISATION.match(organisation) and not has_terms(organisation):
        return ["organisation: it has no rulebook with storage terms"]
    return []


def _unfit(facts: RecordFacts | None, data: Any) -> list[str]:
    """What of a record does not fit its organisation's rulebook."""
    faults = _no_terms(data)
    if facts is None or faults:
        return faults
    rulebook = book(facts.organisation)
    known = purposes(rulebook)
    for n, stated in enumerate(facts.purposes):
        purpose = known.get(stated.duty)
        if purpose is None or purpose.own == "account":
            faults.append(f"purposes.{n}.duty: {facts.organisation} has no storage term {stated.duty} for records")
            continue
        if stated.withdrawn_at is not None and purpose.ground != "consent":
            faults.append(f"purposes.{n}.withdrawn_at: {stated.duty} does not rest on consent")
        if purpose.between is not None and (facts.line or purpose.own_line) is None:
            faults.append(f"line: not said; the term {stated.duty} is given by line of business")
    if facts.longer is not None:
        faults += _unfit_exception(rulebook, facts)
    return faults


def _unfit_exception(rulebook: Rulebook, facts: RecordFacts) -> list[str]:
    if keeping(rulebook).exception is None:
        return [f"longer: {facts.organisation}'s rulebook has no exceptions from storage terms"]
    return []


async def end_consent(
    session: AsyncSession,
    organisation: str,
    people: Iterable[bytes],
    duties: Iterable[str],
    withdrawn_at: datetime,
    now: datetime,
    said_by: str,
) -> tuple[str, ...]:
    """Say of each record of these people that the consent is withdrawn on which these terms rest; their references.

    What nothing else carries is over at once; another purpose of the same record still keeps it.
    """
    rows = select(RecordRow).where(
        RecordRow.organisation == organisation,
        col(RecordRow.person).in_(list(people)),
        col(RecordRow.destroyed_at).is_(None),
    )
    changed, over = [], set(duties)
    for row in (await session.exec(rows.order_by(RecordRow.record).with_for_update())).all():
        stated = [Stated.model_validate(one) for one in row.purposes]
        ends = [one.duty in over and one.withdrawn_at is None for one in stated]
        if not any(ends):
            continue
        after = [
            one.model_copy(update={"withdrawn_at": withdrawn_at}) if end else one
            for one, end in zip(stated, ends, strict=True)
        ]
        row.purposes = [one.model_dump(mode="json") for one in after]
        row.facts += 1
        said = {name: getattr(row, name) for name in ("system", "medium", "line", "purposes", "longer")}
        session.add(
            RecordFactRow(
                organisation=organisation, record=row.record, n=row.facts, recorded_at=now, said_by=said_by, data=said
            )
        )
        changed.append(row.record)
    return tuple(changed)


async def _one_at_a_time(session: AsyncSession, organisation: str, record: str) -> None:
    """Whoever says the same record waits: of two new ones the second finds the first."""
    await session.exec(select(func.pg_advisory_xact_lock(func.hashtextextended(f"record:{organisation}:{record}", 0))))
