"""Legal holds in the data systems: what a hold keeps is restricted, and the mark goes with the hold (SE-11.4)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import col, select

from integrations.data_systems import DataSystem, Subject, SystemDown, normal_code
from models.common import Model
from models.tables import PartyRow, RecordHoldRow
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
    sessions: Sessions, systems: Sequence[DataSystem], organisation: str, hold: str, at: datetime, code: str | None
) -> Marked:
    """Mark all that is about the person of this code, or the case that the hold names. Again is the same."""
    marked, unmarked, down = 0, [], []
    if code is not None:
        person = Subject(name="", personal_code=code)
        for system in systems:
            try:
                for found in await system.locate(organisation, person, at):
                    if await system.restrict(person, found.record, "legal_hold", by=mark_of(hold)):
                        marked += 1
                    else:
                        unmarked.append(found.record)
            except SystemDown:
                down.append(system.name)
        return Marked(records=marked, unmarked=tuple(unmarked), down=tuple(down))
    return await _of_case(sessions, systems, organisation, hold)


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
    if row.person is None:
        return await _of_case(sessions, systems, organisation, hold, release=True)
    released, down = 0, []
    for system in systems:
        try:
            spelled = set()
            async for batch in system.people(organisation):
                for one in batch:
                    code = normal_code(one.personal_code)
                    if code and code not in spelled and await index_of(keyring, "personal_code", code) == row.person:
                        spelled.add(code)
            for code in spelled:
                person = Subject(name="", personal_code=code)
                for found in await system.locate(organisation, person, at):
                    released += await system.release(person, found.record, mark_of(hold))
        except SystemDown:
            down.append(system.name)
    return Marked(records=released, down=tuple(down))
