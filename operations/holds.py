"""What keeps data although their term is over: legal holds (SE-11.4), and privacy requests without an answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.names import split_case_id
from models.tables import CaseRow, PartyRow, RecordHoldRow, RecordRow
from security.index import index_of
from security.keys import Keyring

LOCK = 0x5E11
"""The advisory lock by which no hold is placed while a case is erased: which cases name a person is sealed."""

BATCH = 200
"""Requests whose people are read together."""

Why = Literal["legal_hold", "privacy_request"]


@dataclass(frozen=True)
class Standing:
    """What stands in one organisation: reference or keyed hash → the hold, or the request's case."""

    records: dict[str, str] = field(default_factory=dict)
    cases: dict[str, str] = field(default_factory=dict)
    people: dict[bytes, str] = field(default_factory=dict)
    requests: dict[bytes, str] = field(default_factory=dict)
    names: dict[bytes, str] = field(default_factory=dict)
    """Of whoever asked: a policy knows its people by their names alone."""

    def on_record(self, record: str, person: bytes | None) -> tuple[Why, str] | None:
        """What keeps a record: why, and which hold or request it is."""
        if record in self.records:
            return "legal_hold", self.records[record]
        return self._on_people([] if person is None else [person])

    def on_case(self, case: str, people: Iterable[bytes]) -> tuple[Why, str] | None:
        """The same of a case, of the people in it."""
        if case in self.cases:
            return "legal_hold", self.cases[case]
        return self._on_people(list(people))

    def on_policy(self, record: str, names: Iterable[bytes]) -> tuple[Why, str] | None:
        """The same of a policy (`policy:P1`), of the names in it. It has no personal codes by which a hold is found."""
        if record in self.records:
            return "legal_hold", self.records[record]
        asked = next((self.names[name] for name in names if name in self.names), None)
        return None if asked is None else ("privacy_request", asked)

    def _on_people(self, people: Sequence[bytes]) -> tuple[Why, str] | None:
        for person in people:
            if person in self.people:
                return "legal_hold", self.people[person]
        for person in people:
            if person in self.requests:
                return "privacy_request", self.requests[person]
        return None


async def standing(session: AsyncSession, keyring: Keyring, organisation: str) -> Standing:
    """All that stands in an organisation now. As many rows as there are legal claims and open requests."""
    found = Standing()
    holds = select(RecordHoldRow).where(
        RecordHoldRow.organisation == organisation, col(RecordHoldRow.lifted_at).is_(None)
    )
    for hold in (await session.exec(holds.order_by(RecordHoldRow.hold))).all():
        if hold.record is not None:
            found.records.setdefault(hold.record, hold.hold)
        elif hold.held_case is not None:
            found.cases.setdefault(hold.held_case, hold.hold)
        elif hold.person is not None:
            found.people.setdefault(hold.person, hold.hold)
    open_requests = select(CaseRow.case).where(
        CaseRow.kind == "privacy_request",
        CaseRow.organisation == organisation,
        col(CaseRow.closed_at).is_(None),
        # it is answered, and only rests for what may come back
        CaseRow.stage != "resting",
    )
    requests = list((await session.exec(open_requests.order_by(CaseRow.case))).all())
    for start in range(0, len(requests), BATCH):
        batch = requests[start : start + BATCH]
        await keyring.load(batch)
        subjects = select(PartyRow).where(
            col(PartyRow.case).in_(batch), PartyRow.role == "data_subject", col(PartyRow.erased_at).is_(None)
        )
        for party in (await session.exec(subjects.order_by(PartyRow.case, PartyRow.party))).all():
            if party.personal_code:
                found.requests.setdefault(await index_of(keyring, "personal_code", party.personal_code), party.case)
            if party.name:
                found.names.setdefault(await index_of(keyring, "name", party.name), party.case)
    return found


async def people_of(session: AsyncSession, keyring: Keyring, case: str) -> list[bytes]:
    """Keyed hashes of the personal codes in a case."""
    await keyring.load([case])
    parties = select(PartyRow).where(PartyRow.case == case, col(PartyRow.erased_at).is_(None))
    codes = [p.personal_code for p in (await session.exec(parties.order_by(PartyRow.party))).all()]
    return [await index_of(keyring, "personal_code", code) for code in codes if code]


async def none_is_placed(session: AsyncSession) -> None:
    """Until this transaction ends no hold is placed: what is found not to be held now is erased before one is."""
    await session.exec(select(func.pg_advisory_xact_lock_shared(LOCK)))


async def legal_hold_on(session: AsyncSession, keyring: Keyring, case: str) -> str | None:
    """The legal hold that keeps a case from being erased in this transaction; none is placed until it ends."""
    await none_is_placed(session)
    organisation = split_case_id(case)[1]
    holds = select(RecordHoldRow).where(
        RecordHoldRow.organisation == organisation, col(RecordHoldRow.lifted_at).is_(None)
    )
    rows = (await session.exec(holds.order_by(RecordHoldRow.hold))).all()
    if not rows:
        return None
    people = set(await people_of(session, keyring, case)) if any(row.person is not None for row in rows) else set()
    return next((row.hold for row in rows if row.held_case == case or row.person in people), None)


async def hold_on_person(session: AsyncSession, keyring: Keyring, organisation: str, code: str, record: str) -> bool:
    """Whether a legal hold keeps what a record (a case, `client:K1`, `policy:P1`) says of this person."""
    holds = select(RecordHoldRow.held_case, RecordHoldRow.record, RecordHoldRow.person).where(
        RecordHoldRow.organisation == organisation, col(RecordHoldRow.lifted_at).is_(None)
    )
    rows = (await session.exec(holds)).all()
    if not rows:
        return False
    person = await index_of(keyring, "personal_code", code)
    return any(record in (case, named) or whose == person for case, named, whose in rows)


async def hold_in_system(session: AsyncSession, organisation: str, person: bytes | None, system: str) -> str | None:
    """The legal hold that keeps what a system beside the own store holds of somebody, known by the keyed hash.

    It stands on the person, or on a record that was loaded of the person there: a hold names a file, a system knows
    the person, so all that it holds of the person is kept.
    """
    if person is None:
        return None
    loaded = select(RecordRow.record).where(
        RecordRow.organisation == organisation, RecordRow.person == person, RecordRow.system == system
    )
    holds = select(RecordHoldRow.hold).where(
        RecordHoldRow.organisation == organisation,
        col(RecordHoldRow.lifted_at).is_(None),
        or_(col(RecordHoldRow.person) == person, col(RecordHoldRow.record).in_(loaded)),
    )
    return (await session.exec(holds.order_by(RecordHoldRow.hold))).first()
