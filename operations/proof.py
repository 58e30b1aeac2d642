"""Proof: what the store says of a case, in one signed bundle, and whether all of that still holds.

`verify.py` is the only judge, here as well as outside: nothing is signed that it finds a fault in.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

import verify
from models.common import Model
from models.errors import Refusal, Unreadable
from models.now import Now
from models.tables import CaseRow, ClockRow, IntakeRow, NoticeRow, PaymentOrderRow, TimelineRow
from operations.intake import Sessions
from operations.own_store import ERASED, opened
from operations.reading import NotFound
from rules.calendar import NAMES, TABLES, load
from rules.rulebook import BOOKS, books, duty_for, parse
from security import proof
from security.keys import KeyDestroyed, Keyring, NoKey

LETTER = ("key", "template", "party", "duty", "subject", "queued_at", "sent_at", "bounced_at", "carrier", "reference")
PAYMENT = ("key", "party", "queued_at", "issued_at", "executed_on", "reference")

Progress = Callable[[int, int], None]
"""(how many cases were checked, of how many)."""


class Checked(Model):
    """What a check of the store found."""

    cases: int
    entries: int
    scrubbed: dict[str, int]
    """Case → records of which a person was erased: their personal part cannot be compared any more."""
    faults: dict[str, tuple[str, ...]]
    """Case → what does not hold; the empty name: of the checkpoints themselves."""


async def prove(
    sessions: Sessions, keyring: Keyring, folder: Path, case: str, now: Now, *, personal: bool = False
) -> bytes:
    """The signed bundle of a case, as `verify.py` reads it; with the personal part only if asked for.

    Raises:
        NotFound: Nothing was filed under this id.
        Refusal: There is no chain yet, or it does not hold and is not signed, or the personal part is erased.
    """
    signer = await proof.Signer.of(keyring)
    published = await published_in(folder, signer.public_key)
    async with snapshot(sessions) as session:
        body = await bundle(session, keyring, case, personal=True)
    if personal and body["personal"] is None:
        raise Refusal("case: it was erased; a bundle with the personal part cannot be written any more")
    body |= {"made_at": now(), "checkpoint": await asyncio.to_thread(covering, published, folder, case)}
    # the commitments are checked also where what they stand for is not handed out
    if faults := verify.verify(signer.sign(proof.PROOF, body), signer.public_key, published).faults:
        raise Refusal(*faults)
    return signer.sign(proof.PROOF, body if personal else {**body, "personal": None})


async def check(
    sessions: Sessions,
    keyring: Keyring,
    folder: Path,
    cases: Sequence[str] = (),
    progress: Progress = lambda done, total: None,
) -> Checked:
    """Recompute the chain of these cases (or all), and compare clocks, personal parts and checkpoints with it."""
    published = await published_in(folder, (await proof.Signer.of(keyring)).public_key)
    faults = {"": tuple(published.faults)} if published.faults else {}
    async with sessions() as session:
        query = select(CaseRow.case).order_by(CaseRow.case)
        every = (await session.exec(query.where(col(CaseRow.case).in_(cases)) if cases else query)).all()
    faults |= dict.fromkeys(sorted({*cases} - {*every}), ("there is no such case, or it has no chain yet",))
    if not cases:
        gone = [case for case, seen in published.seen.items() if seen[-1].head and case not in {*every}]
        faults |= dict.fromkeys(gone, ("it is in a checkpoint, but not in the store",))
    entries, scrubbed = 0, {}
    for done, case in enumerate(every):
        progress(done, len(every))
        body, found = await judged(sessions, keyring, case, published)
        entries += body["count"]
        if found:
            faults[case] = tuple(found)
        if body["personal"] is not None and (lacking := len(body["entries"]) + 1 - len(body["personal"])):
            scrubbed[case] = lacking
    progress(len(every), len(every))
    return Checked(cases=len(every), entries=entries, scrubbed=scrubbed, faults=faults)


async def judged(
    sessions: Sessions, keyring: Keyring, case: str, published: verify.Checkpoints
) -> tuple[dict[str, Any], list[str]]:
    """A case with its personal part, and what of it does not hold, checkpoints included.

    Without its personal part nobody knows whose commitments stand there: that is right for an erased case alone.
    """
    faults: list[str] = []
    try:
        async with snapshot(sessions) as session:
            body = await bundle(session, keyring, case, personal=True)
        if body["personal"] is None and not await _marked_as_erased(sessions, case):
            faults.append("its key was destroyed, but it was never erased: its personal parts are gone")
    except (NoKey, Refusal) as e:
        lost = "its key is not here, so its personal parts cannot be compared: restore the keys"
        faults += e.faults if isinstance(e, Refusal) else [lost]
        async with snapshot(sessions) as session:
            body = await bundle(session, keyring, case, personal=False)
    return body, [*faults, *verify.faults_of(body), *verify.seen_faults(body, published.of(case))]


async def _marked_as_erased(sessions: Sessions, case: str) -> bool:
    """Asked anew: an erasure marks the case first and then destroys its key."""
    async with sessions() as session:
        erased_at = (await session.exec(select(IntakeRow.erased_at).where(IntakeRow.case == case))).one()
    return erased_at is not None


async def published_in(folder: Path, key: str) -> verify.Checkpoints:
    """The checkpoints that were published."""
    return await asyncio.to_thread(verify.Checkpoints.read, folder, key)


@asynccontextmanager
async def snapshot(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """A session that sees one moment of the store."""
    async with sessions() as session, session.begin():
        await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        yield session


# ---- the body of a bundle -------------------------------------------------------------------------------------------


async def bundle(session: AsyncSession, keyring: Keyring, case: str, *, personal: bool) -> dict[str, Any]:
    """Everything that the store says of a case, as JSON values.

    Raises:
        NotFound: Nothing was filed under this id.
        Refusal: It has not begun; or the personal part is asked for, and only the store says that it is erased.
    """
    connection = await session.connection()
    intake = await _one(connection, IntakeRow, (*proof.FILING, "erased_at"), case)
    if intake is None:
        raise NotFound(f"there is no case {case}")
    row = await _one(connection, CaseRow, ("step", "head", "commitment"), case)
    if row is None:
        raise Refusal("case: it has not begun; there is nothing to prove yet")
    erased = intake.pop("erased_at") is not None
    if personal and erased and not await keyring.erased_of([case]):
        # whoever has the database alone could mark a case, and nobody would compare what its key has committed to
        raise Refusal("case: it is marked as erased, but its key is there: end the erasure, or find out who marked it")
    filing = {**intake, "commitment": row["commitment"]}
    entries = await _rows(connection, TimelineRow, (*proof.ENTRY, "commitment", "link"), case, "step")
    order = ("anchor_at", "duty", "subject", "n")
    fields = ("duty", "subject", "n", "status", "happened_at", "happened_on", "proof", *proof.COUNTED)
    clocks = await _rows(connection, ClockRow, fields, case, *order)
    letters = await _rows(connection, NoticeRow, LETTER, case, "queued_at", "key", internal=False)
    payments = await _rows(connection, PaymentOrderRow, PAYMENT, case, "queued_at", "key")
    return {
        "filing": filing,
        "entries": entries,
        "count": row["step"],
        "head": row["head"],
        "clocks": [{**clock, **_duty(intake["organisation"], clock["duty"])} for clock in clocks],
        "letters": letters,
        "payments": payments,
        "tables": _tables(intake["organisation"], clocks),
        "personal": await _personal(connection, keyring, filing, entries) if personal and not erased else None,
    }


async def _rows(
    connection: AsyncConnection, table: Any, fields: Sequence[str], case: str, *order: str, **where: Any
) -> list[dict[str, Any]]:
    """Columns of a case's rows as a bundle writes them; no key is needed where none of them is sealed."""
    query = _read(table, fields, case).filter_by(**where).order_by(*(getattr(table, name) for name in order))
    return [{n: _written(row[n]) for n in fields} for row in await opened(connection, query)]


def _read(table: Any, fields: Sequence[str], case: str) -> Select[Any]:
    """These columns of a case's rows, and with them the key, without which nothing sealed opens."""
    key = [column.name for column in table.__table__.primary_key]
    found: Select[Any] = select(*(getattr(table, name) for name in dict.fromkeys((*fields, *key))))
    return found.where(table.case == case)


def _written(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | list | dict) else proof.plain(value)


async def _one(connection: AsyncConnection, table: Any, fields: Sequence[str], case: str) -> dict[str, Any] | None:
    return next(iter(await _rows(connection, table, fields, case)), None)


def _duty(organisation: str, duty: str) -> dict[str, Any]:
    """What the rulebook says of a duty for people, as it stands today."""
    try:
        row = duty_for(organisation, duty)
    except KeyError:
        return {"title": "no longer in the rulebook", "clause": duty, "document": "an earlier rulebook", "anchor": None}
    document = books()["T" if duty.startswith("T-") else organisation].document
    return {"title": row.title.en, "clause": row.clause, "document": document, "anchor": row.anchor}


# ---- personal parts -------------------------------------------------------------------------------------------------


async def _personal(
    connection: AsyncConnection, keyring: Keyring, filing: dict[str, Any], entries: Sequence[dict[str, Any]]
) -> list[dict[str, Any]] | None:
    """The personal part of the filing (step 0) and of each entry, with its salt; None where the key is destroyed.

    What a person was erased from is left out: it is not what was committed to any more.
    """
    case = filing["case"]
    try:
        key = await keyring.of(case)
    except KeyDestroyed:
        return None
    steps = [entry["step"] for entry in entries]
    sealed = await _sealed(connection, TimelineRow, ("step", *proof.ENTRY_SEALED), case)
    if sealed is None:
        # one of them was changed: which?
        one_by_one = [await _sealed(connection, TimelineRow, proof.ENTRY_SEALED, case, step=step) for step in steps]
        parts = [next(iter(rows or ()), None) for rows in one_by_one]
    else:
        by_step = {row.pop("step"): row for row in sealed}
        parts = [by_step[step] for step in steps]
    filed = await _sealed(connection, IntakeRow, proof.FILING_SEALED, case)
    found = []
    for step, public, part in zip(
        [0, *steps], [filing, *entries], [next(iter(filed or ()), None), *parts], strict=True
    ):
        salt = proof.salt(key, step).hex()
        if part is None or verify.committed(public, salt, part) or ERASED.encode() not in proof.canonical(part):
            found.append({"step": step, "salt": salt, "sealed": part})
    return found


async def _sealed(
    connection: AsyncConnection, table: Any, fields: Sequence[str], case: str, **where: Any
) -> list[dict[str, Any]] | None:
    """Sealed columns of a case's rows; None where one of them cannot be opened: somebody changed it."""
    query = _read(table, fields, case).filter_by(**where)
    try:
        return [{name: row[name] for name in fields} for row in await opened(connection, query)]
    except (Unreadable, NoKey, KeyDestroyed):
        return None


# ---- rulebooks and calendars ----------------------------------------------------------------------------------------


def _tables(organisation: str, clocks: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """The rulebooks and calendars of a case that are in use here, with the hash of their text."""
    names = {f"rulebook {organisation}", f"calendar {books()[organisation].calendar}"}
    names |= {"rulebook T" for clock in clocks if clock["duty"].startswith("T-")}
    return [{"name": name, **table} for name, table in sorted(_hashes().items()) if name in names]


@cache
def _hashes() -> dict[str, dict[str, str]]:
    found = {}
    for path in sorted(BOOKS.glob("*.toml")):
        book = parse(path.read_text(encoding="utf-8"), path.name)
        found[f"rulebook {book.organisation}"] = {"version": book.version, "sha256": _sha256(path)}
    for name in NAMES:
        calendar = load(name)
        found[f"calendar {name}"] = {
            "version": calendar.version,
            "sha256": _sha256(TABLES / f"{calendar.country}.csv"),
        }
    return found


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ---- the checkpoint that covers it ----------------------------------------------------------------------------------


def covering(published: verify.Checkpoints, folder: Path, case: str) -> dict[str, Any] | None:
    """The newest checkpoint with the way from this case's leaf to its root; None where none holds the case."""
    held = {c: seen[-1] for c, seen in sorted(published.seen.items()) if seen[-1].head}
    if case not in held:
        return None
    tree = proof.levels([proof.leaf(c, seen.count, bytes.fromhex(seen.head)) for c, seen in held.items()])
    with (folder / f"{published.newest:06}.checkpoint").open("rb") as file:
        statement = file.readline().decode()
    return {
        "statement": statement,
        "count": held[case].count,
        "head": held[case].head,
        "path": proof.path(tree, list(held).index(case)),
    }


__all__ = ["Checked", "Progress", "bundle", "check", "judged", "prove", "published_in", "snapshot"]
