"""Consents as part of the own store: a privacy request locates, hands out, restricts and erases them one at a time."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from integrations.data_systems import Found, Subject
from models.consent import Identified
from models.tables import ConsentRow
from operations.consent_store import (
    HERE,
    KIND,
    NOBODY,
    Known,
    after,
    empty,
    given_row,
    hashes_of,
    held,
    is_about,
    known_by,
    of_record,
)
from security.keys import Keyring

HELD = "a legal hold keeps it"
MARKS = ("restricted", "released")
RECORD = re.compile(rf"^{KIND}:[A-Z]{{1,3}}:.")


def is_consent(record: str) -> bool:
    """Whether a record of the own store is a consent."""
    return RECORD.match(record) is not None


class OwnConsents:
    """The register of consents, of one person; in the transaction of whoever asks."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    async def locate(self, session: AsyncSession, organisation: str, person: Subject) -> list[Found]:
        """Every consent of the person that was not erased: by the personal code, or by the address where it has none.

        None is in use: a consent gives way to whoever gave it. A legal hold keeps it.
        """
        known = await known_by(
            self._keyring, Identified.model_construct(personal_code=person.personal_code, email=person.email)
        )
        rows = select(ConsentRow).where(is_about(organisation, known), ConsentRow.what == "given")
        found = []
        for row in (await session.exec(rows.order_by(col(ConsentRow.consent)))).all():
            if row.person is None and not _is_named(row, person):
                continue
            said = await self._said(session, row)
            in_use = HELD if await held(session, organisation, {**hashes_of(row), **_code(known)}) else None
            found.append(Found(record=row.sealed_for, rows=len(said), in_use=in_use))
        return found

    async def export(self, session: AsyncSession, record: str) -> dict[str, Any]:
        """What the person consented to, by which text, and what became of it."""
        organisation, consent = of_record(record)
        row = await given_row(session, organisation, consent, person=True)
        if row is None:
            return {"record": record, "person": []}
        said = await self._said(session, row)
        return {
            "record": record,
            "kind": KIND,
            "received_at": row.at.isoformat(),
            "person": [row.who] if row.who else [],
            "filed": {
                "purpose": row.purpose,
                "channels": row.channels,
                "about": row.about,
                "given_by": row.by,
                "text": row.text_version,
                "information": row.notice_version,
                "informed_at": row.informed_at.isoformat() if row.informed_at else None,
                "proof": row.proof,
            },
            "history": [
                {"what": one.what, "at": one.at.isoformat(), "channels": one.channels, "by": one.by} for one in said
            ],
        }

    async def erase(self, session: AsyncSession, person: Subject, record: str, at: datetime) -> bool:
        """Take the person out of a consent; False if a legal hold keeps it. Again is the same."""
        organisation, consent = of_record(record)
        row = await given_row(session, organisation, consent, lock=True)
        if row is None:
            return False
        known = await known_by(
            self._keyring, Identified.model_construct(personal_code=person.personal_code, email=person.email)
        )
        if row.erased_at is None and await held(session, organisation, {**hashes_of(row), **_code(known)}):
            return False
        await empty(session, row, at, HERE, "GDPR 17")
        # before the commit: after a crash between the two it is found again, by its hashes, and goes again
        await session.flush()
        await self._keyring.destroy(record)
        return True

    async def restrict(self, session: AsyncSession, record: str, ground: str, by: str | None) -> bool:
        """Mark a consent: nobody is contacted on it until whoever marked it takes that back. Again is the same."""
        return await self._mark(session, record, "restricted", by or ground)

    async def release(self, session: AsyncSession, record: str, by: str) -> bool:
        """Take the mark of this request away."""
        return await self._mark(session, record, "released", by)

    async def _mark(self, session: AsyncSession, record: str, what: str, by: str) -> bool:
        organisation, consent = of_record(record)
        row = await given_row(session, organisation, consent, lock=True)
        if row is None or row.erased_at is not None:
            return False
        marks = [one.what for one in await self._said(session, row) if one.source == by]
        marked = (
            next((mark for mark in reversed(marks) if mark in ("restricted", "released")), "released") != "released"
        )
        if what == "released" and not marked:
            return False
        if marked != (what == "restricted"):
            now = (await session.exec(select(func.termins_now()))).one()
            session.add(after(row, what, now, now, HERE, source=by))
        return True

    async def _said(self, session: AsyncSession, row: ConsentRow) -> list[ConsentRow]:
        ours = select(ConsentRow).where(ConsentRow.organisation == row.organisation, ConsentRow.consent == row.consent)
        ours = ours.options(NOBODY)
        return list((await session.exec(ours.order_by(col(ConsentRow.n)))).all())


def _code(known: Known) -> dict[str, bytes]:
    return {name: value for name, value in known.items() if name == "person"}


def _is_named(row: ConsentRow, person: Subject) -> bool:
    """Whether a consent without a personal code is this person's, by the name; one whose key is gone has none."""
    name = (row.who or {}).get("name")
    return name is None or " ".join(name.split()).casefold() == " ".join(person.name.split()).casefold()
