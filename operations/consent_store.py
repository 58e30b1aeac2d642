"""The register of consents in the store: a person found by keyed hashes, what stands, what is over, what is erased."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import defer
from sqlalchemy.sql.base import ExecutableOption
from sqlmodel import and_, col, func, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from models.consent import IDENTIFIERS, Identified, Over, Statement
from models.errors import Refusal
from models.now import Now
from models.operator import SYSTEM
from models.tables import ConsentRow, RecordHoldRow
from models.tables.consent import key_of
from operations.erase import LEDGER, erased_before, write_whole
from operations.holds import LOCK
from operations.intake import Sessions
from rules.consent import Standing, fold, over, purposes_on_consent
from rules.rulebook import book
from rules.storage import purposes, term
from security.index import index_of
from security.keys import Keyring

KIND = "consent"
AT_A_TIME = 200
"""Keys that are looked up together."""
HERE = f"{SYSTEM}termins"
COLUMNS = {"personal_code": "person", "email": "email", "phone": "phone"}
"""By what a person is known → the column of its keyed hash."""

NOBODY: ExecutableOption = defer(ConsentRow.who, raiseload=True)  # type: ignore[arg-type]  # SQLModel's columns
"""Whom it names is not read, and no key is asked for."""

Known = Mapping[str, bytes]
"""Column → the keyed hash of a person."""


async def known_by(keyring: Keyring, who: Identified) -> dict[str, bytes]:
    """The keyed hashes of a person."""
    given = {name: getattr(who, name) for name in IDENTIFIERS}
    return {COLUMNS[name]: await index_of(keyring, name, value) for name, value in given.items() if value}


def hashes_of(row: ConsentRow) -> dict[str, bytes]:
    """The keyed hashes in a row."""
    return {name: value for name in COLUMNS.values() if (value := getattr(row, name)) is not None}


def is_about(organisation: str, known: Known) -> ColumnElement[bool]:
    """The rows about a person: any of the hashes is the same, and no personal code says that it is somebody else."""
    same = or_(*(getattr(ConsentRow, name) == value for name, value in known.items()))
    found = and_(col(ConsentRow.organisation) == organisation, same)
    if (code := known.get("person")) is None:
        return found
    return and_(found, or_(col(ConsentRow.person).is_(None), col(ConsentRow.person) == code))


def _same_person(a: Known, b: Known) -> bool:
    """`is_about`, of two rows."""
    if "person" in a and "person" in b and a["person"] != b["person"]:
        return False
    return any(b.get(name) == value for name, value in a.items())


def statement(row: ConsentRow) -> Statement:
    """A row without the person."""
    return Statement.model_validate(
        {name: getattr(row, name) for name in Statement.model_fields} | {"channels": tuple(row.channels)}
    )


async def said_of(session: AsyncSession, organisation: str, known: Known) -> list[ConsentRow]:
    """All that was said of a person's consents: one read, by the indexes of the hashes."""
    rows = select(ConsentRow).where(is_about(organisation, known)).options(NOBODY).order_by(col(ConsentRow.n))
    return list((await session.exec(rows)).all())


# ---- what is over ---------------------------------------------------------------------------------------------------


async def standings(
    session: AsyncSession, given: Sequence[ConsentRow], at: datetime
) -> dict[str, tuple[Standing, Over]]:
    """How consents of one organisation stand at an instant, and when their data are over: key → both."""
    if not given:
        return {}
    organisation = given[0].organisation
    rulebook = book(organisation)
    by: dict[str, set[bytes]] = {}
    for row in given:
        for name, value in hashes_of(row).items():
            by.setdefault(name, set()).add(value)
    same = or_(*(getattr(ConsentRow, name).in_(values) for name, values in by.items()))
    query = select(ConsentRow).where(ConsentRow.organisation == organisation, same).options(NOBODY)
    every = (await session.exec(query)).all()
    said = [(hashes_of(row), statement(row)) for row in every]
    found = {}
    for row in given:
        own = hashes_of(row)
        theirs = [one for known, one in said if _same_person(own, known)]
        # one that was given after that instant is looked at as it was given
        standing = next(one for one in fold(rulebook, theirs, max(at, row.at)) if one.consent == row.consent)
        found[row.sealed_for] = (standing, over(rulebook, standing))
    return found


async def forget_refusals(session: AsyncSession, at: datetime) -> int:
    """Take the hashes from what people took back or objected to as a whole, once it can matter no more; how many.

    It is kept against a consent from before that is loaded later. Such a one is over by its own term once that term,
    counted from the refusal, is over. Where no term is counted from the consent, it stays until the person is erased.
    """
    known = or_(*(getattr(ConsentRow, name).is_not(None) for name in COLUMNS.values()))
    query = select(ConsentRow).where(col(ConsentRow.consent).is_(None), known).with_for_update()
    forgotten = 0
    for row in (await session.exec(query)).all():
        rulebook = book(row.organisation)
        duty = purposes_on_consent(rulebook).get(row.purpose)
        if duty is None or rulebook.find(duty).anchor != "consent_given":
            continue
        due = term(rulebook, duty, purposes(rulebook)[duty], row.at).due
        if due is not None and due <= at:
            row.person = row.email = row.phone = None
            forgotten += 1
    return forgotten


# ---- erasing --------------------------------------------------------------------------------------------------------


async def given_row(
    session: AsyncSession, organisation: str, consent: str, *, lock: bool = False, person: bool = False
) -> ConsentRow | None:
    """The statement by which a consent was given; with whom it names only where that is wanted, and needs the key."""
    query = select(ConsentRow).where(
        ConsentRow.organisation == organisation, ConsentRow.consent == consent, ConsentRow.what == "given"
    )
    query = query if person else query.options(NOBODY)
    return (await session.exec(query.with_for_update() if lock else query)).first()


def of_record(record: str) -> tuple[str, str]:
    """Organisation and reference of `consent:GJ:K-17`."""
    _, organisation, consent = record.split(":", 2)
    return organisation, consent


async def empty(session: AsyncSession, row: ConsentRow, at: datetime, said_by: str, source: str | None = None) -> None:
    """Take the person out of a consent, in this transaction: what remains says what was agreed to, when and until when.

    The key goes afterwards (`destroy`): without it no backup opens it either.
    """
    if row.erased_at is not None:
        return
    ours = update(ConsentRow).where(
        col(ConsentRow.organisation) == row.organisation, col(ConsentRow.consent) == row.consent
    )
    await session.exec(ours.values(person=None, email=None, phone=None))
    await session.refresh(row)
    row.who, row.erased_at = None, at
    session.add(after(row, "erased", at, at, said_by, source=source))


def after(row: ConsentRow, what: str, at: datetime, recorded_at: datetime, said_by: str, **more: Any) -> ConsentRow:
    """Another statement about the same consent, with its hashes, by which it is found together with it."""
    return ConsentRow(
        organisation=row.organisation,
        consent=row.consent,
        purpose=row.purpose,
        what=what,
        at=at,
        recorded_at=recorded_at,
        said_by=said_by,
        person=row.person,
        email=row.email,
        phone=row.phone,
        **{"channels": [], **more},
    )


async def held(session: AsyncSession, organisation: str, known: Known) -> str | None:
    """The legal hold that keeps all that is about this person (SE-11.4); none is placed until the transaction ends."""
    await session.exec(select(func.pg_advisory_xact_lock_shared(LOCK)))
    if "person" not in known:
        return None
    holds = select(RecordHoldRow.hold).where(
        RecordHoldRow.organisation == organisation,
        RecordHoldRow.person == known["person"],
        col(RecordHoldRow.lifted_at).is_(None),
    )
    return (await session.exec(holds.order_by(RecordHoldRow.hold))).first()


async def destroy(keyring: Keyring, record: str, backups: Path) -> None:
    """The key of an erased consent goes for ever, and its name is written beside the backups; again is the same."""
    write_whole(backups / LEDGER, "".join(f"{one}\n" for one in sorted({*erased_before(backups), record})))
    await keyring.destroy(record)


async def erase_over(sessions: Sessions, keyring: Keyring, record: str, backups: Path, now: Now) -> None:
    """Erase a consent whose term is over, and then its key. Safe to repeat: after a crash the rest goes.

    Raises:
        Refusal: It is over no more, since another consent was given, or a legal hold keeps it.
    """
    organisation, consent = of_record(record)
    async with sessions() as session, session.begin():
        row = await given_row(session, organisation, consent, lock=True)
        if row is None:
            raise Refusal(f"consent: there is no consent {consent}")
        if row.erased_at is None:
            at = now()
            standing, found = (await standings(session, [row], at))[record]
            if found.due is None or found.due > at:
                raise Refusal(f"consent: {found.duty} keeps it")
            if standing.restricted:
                raise Refusal("consent: it is restricted")
            if (hold := await held(session, organisation, hashes_of(row))) is not None:
                raise Refusal(f"consent: the legal hold {hold} keeps it")
            await empty(session, row, at, HERE, found.duty)
    await destroy(keyring, record, backups)


async def empty_again(sessions: Sessions, keyring: Keyring, at: datetime, *, dry_run: bool) -> tuple[str, ...]:
    """After a restore: empty the consents that were erased since the dump, whose keys are gone; which they are.

    Until then a question would still find them by their hashes.
    """
    ours = select(ConsentRow.organisation, ConsentRow.consent).where(
        ConsentRow.what == "given", col(ConsentRow.erased_at).is_(None)
    )
    async with sessions() as session:
        standing = [key_of(of, consent or "") for of, consent in (await session.exec(ours)).all()]
    found = await keyring.erased_of(standing)
    for record in () if dry_run else found:
        async with sessions() as session, session.begin():
            row = await given_row(session, *of_record(record), lock=True)
            if row is not None:
                await empty(session, row, at, HERE, "restore")
    return found
