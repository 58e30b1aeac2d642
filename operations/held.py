"""Legal holds in the data systems: what a hold keeps is restricted, and the mark goes with the hold (SE-11.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlmodel import col, select

from integrations.data_systems import DataSystem, Subject, SystemDown, normal_code
from models.common import Model
from models.tables import PartyRow, RecordHoldRow, RecordRow
from operations.intake import Sessions
from operations.own_store import OwnStore
from security.index import index_of
from security.keys import Keyring


class Marked(Model):
    """What became of the marks of a hold."""

    records: int = 0
    """How many records carry it, or carried it until now."""
    unmarked: tuple[str, ...] = ()
    """Records that cannot carry it: a person sees that nobody uses them."""
    down: tuple[str, ...] = ()
    """Systems that did not answer."""


class Said(Model):
    """What became of a hold and its marks."""

    organisation: str
    hold: str
    stands: bool
    marks: Marked


def mark_of(hold: str) -> str:
    """How a hold marks what it keeps: another hold or request does not lift it."""
    return f"hold:{hold}"


async def mark(
    sessions: Sessions,
    keyring: Keyring,
    systems: Sequence[DataSystem],
    organisation: str,
    hold: str,
    at: datetime,
    code: str | None,
) -> Marked:
    """Mark all that is about the person of this code, or what the case or the record that the hold names says.

    Again is the same.
    """
    if code is not None:
        return await _each(systems, organisation, hold, at, [code])
    async with sessions() as session:
        row = await session.get(RecordHoldRow, (organisation, hold))
    if row is not None and row.record is not None:
        return await _of_record(sessions, keyring, systems, row, at)
    return await _of_case(sessions, systems, organisation, hold)


async def _each(
    systems: Sequence[DataSystem],
    organisation: str,
    hold: str,
    at: datetime,
    codes: Iterable[str],
    *,
    release: bool = False,
) -> Marked:
    """All that these systems hold of whoever has one of these codes: marked, or released."""
    done, unmarked, down = 0, [], []
    people = [Subject(name="", personal_code=code) for code in codes]
    for system in systems:
        try:
            for person in people:
                for found in await system.locate(organisation, person, at):
                    if release:
                        done += await system.release(person, found.record, mark_of(hold))
                    elif await system.restrict(person, found.record, "legal_hold", by=mark_of(hold)):
                        done += 1
                    else:
                        unmarked.append(found.record)
        except SystemDown:
            down.append(system.name)
    return Marked(records=done, unmarked=tuple(unmarked), down=tuple(down))


async def _of_record(
    sessions: Sessions,
    keyring: Keyring,
    systems: Sequence[DataSystem],
    row: RecordHoldRow,
    at: datetime,
    *,
    release: bool = False,
) -> Marked:
    """What the system of a record that was loaded holds of the person whom it is about.

    A record is a file that people find by its reference, a system knows the person: so all of the person there is kept
    (`hold_in_system`) and marked. Whoever the record is about, or which system, may be unknown: then people see to it.
    """
    async with sessions() as session:
        record = await session.get(RecordRow, (row.organisation, row.record))
    nobody = Marked() if release else Marked(unmarked=(str(row.record),))
    system = next((one for one in systems if record is not None and one.name == record.system), None)
    if record is None or record.person is None or system is None:
        return nobody
    try:
        codes = await _spelled(keyring, system, row.organisation, record.person)
    except SystemDown:
        return Marked(down=(system.name,))
    marked = await _each([system], row.organisation, row.hold, at, codes, release=release)
    return marked if marked != Marked() else nobody


async def _spelled(keyring: Keyring, system: DataSystem, organisation: str, person: bytes) -> set[str]:
    """The personal code of whoever has this keyed hash, as a system knows it. Raises `SystemDown`."""
    spelled: set[str] = set()
    async for batch in system.people(organisation):
        for one in batch:
            code = normal_code(one.personal_code)
            if code and code not in spelled and await index_of(keyring, "personal_code", code) == person:
                spelled.add(code)
    return spelled


async def _of_case(
    sessions: Sessions, systems: Sequence[DataSystem], organisation: str, hold: str, *, release: bool = False
) -> Marked:
    """The people of the case that a hold names: marked in it, or released."""
    async with sessions() as session:
        row = await session.get(RecordHoldRow, (organisation, hold))
        if row is None or row.held_case is None:
            return Marked()
        case = row.held_case
        people = select(PartyRow).where(PartyRow.case == case, col(PartyRow.erased_at).is_(None))
        parties = (await session.exec(people.order_by(PartyRow.party))).all()
    done = 0
    for own in (one for one in systems if one.name == OwnStore.name):
        for party in parties:
            person = Subject(name=party.name or "", personal_code=party.personal_code or "", email=party.email)
            if release:
                done += await own.release(person, case, mark_of(hold))
            else:
                done += await own.restrict(person, case, "legal_hold", by=mark_of(hold))
    return Marked(records=min(done, 1))


async def release(
    sessions: Sessions,
    keyring: Keyring,
    systems: Sequence[DataSystem],
    organisation: str,
    hold: str,
    at: datetime,
) -> Marked:
    """Take the marks of a hold away, and no other; before it is lifted, since then nobody knows any more whom it held.

    The person is found among those whom each system knows, by the keyed hash.
    """
    async with sessions() as session:
        row = await session.get(RecordHoldRow, (organisation, hold))
    if row is None or row.lifted_at is not None:
        return Marked()
    if row.record is not None:
        return await _of_record(sessions, keyring, systems, row, at, release=True)
    if row.person is None:
        return await _of_case(sessions, systems, organisation, hold, release=True)
    released, down = 0, []
    for system in systems:
        try:
            codes = await _spelled(keyring, system, organisation, row.person)
        except SystemDown:
            down.append(system.name)
            continue
        gone = await _each([system], organisation, hold, at, codes, release=True)
        released += gone.records
        down += gone.down
    return Marked(records=released, down=tuple(down))
