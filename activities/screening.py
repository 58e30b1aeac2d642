"""Screening: the result of each is kept; whoever becomes known is screened beside the case, early (GJ-sanctions)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import tuple_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from integrations.sanctions import ListUnavailable, Sanctions
from models.errors import Unreadable
from models.now import Now
from models.screening import SCREENED, Hit, PartyHit, SanctionsList
from models.tables import BellRow, CaseRow, NoticeRow, PartyRow, ScreeningRow
from operations.intake import Sessions
from rules.rulebook import duty_for
from rules.screening import birth_date, screen
from security.keys import KeyDestroyed, NoKey

SCREEN = "GJ-sanctions"
AT_A_TIME = 200
"""People that are asked for at once."""

log = structlog.get_logger()


async def keep(
    session: AsyncSession, case: str, key: str, party: str, found: Sequence[Hit], listed: SanctionsList, at: datetime
) -> tuple[ScreeningRow, tuple[str, ...]]:
    """Keep what a list says of a party: the row, and whom on the list nobody has cleared.

    `key` is that of the payment order; of one who became known that of the party itself.
    """
    rows = (await session.exec(select(ScreeningRow).where(ScreeningRow.case == case))).all()
    # who was told apart from somebody once, is so for each of that one's payments
    cleared = {number for row in rows if row.party == party for number in row.cleared}
    still = tuple(hit.id for hit in found if hit.id not in cleared)
    row = next((row for row in rows if row.key == key), None)
    if row is None:
        row = ScreeningRow(
            case=case,
            key=key,
            party=party,
            screened_at=at,
            list_made_at=listed.made_at,
            list_digest=listed.digest,
            result="clear",
        )
    row.screened_at, row.list_made_at, row.list_digest = at, listed.made_at, listed.digest
    row.hits = [hit.model_dump(mode="json") for hit in found]
    row.result = "hit" if still else "cleared" if found else "clear"
    session.add(row)
    return row, still


def version(row: ScreeningRow) -> str:
    """The list by which it was screened, for people."""
    return f"{row.list_made_at:%Y-%m-%d} {row.list_digest[:12]}"


async def found(session: AsyncSession, case: str) -> tuple[PartyHit, ...]:
    """The parties of a case who were found when becoming known, and whom nobody has judged."""
    rows = await session.exec(
        select(ScreeningRow)
        .where(ScreeningRow.case == case, ScreeningRow.key == ScreeningRow.party, ScreeningRow.result == "hit")
        .order_by(col(ScreeningRow.key))
    )
    return tuple(
        PartyHit(party=row.party, list=version(row), hits=tuple(hit["id"] for hit in row.hits)) for row in rows.all()
    )


class KnownPeople:
    """Screens whoever became known; safe to run at any time, by anybody, twice."""

    def __init__(self, sessions: Sessions, sanctions: Sanctions, now: Now) -> None:
        self._sessions = sessions
        self._sanctions = sanctions
        self._now = now

    async def screen(self) -> tuple[str, ...]:
        """Screen all who wait; the cases of those who may be listed, whose compliance officer is told by a letter.

        Without a list they wait on: nothing else does.
        """
        hits: list[str] = []
        listed: SanctionsList | None = None
        after = ("", "")
        while waiting := await self._waiting(after):
            try:
                listed = listed or await self._sanctions.listed()
            except ListUnavailable as e:
                log.warning("people wait to be screened", problem=str(e), number=len(waiting))
                return ()
            for case, party in waiting:
                try:
                    if await self._screen(case, party, listed):
                        hits.append(case)
                except (NoKey, KeyDestroyed, Unreadable) as e:
                    # whoever cannot be read does not hold up the others
                    log.warning("a person cannot be screened", case=case, problem=type(e).__name__)
            after = waiting[-1]
        return tuple(hits)

    async def _waiting(self, after: tuple[str, str]) -> list[tuple[str, str]]:
        """The next who wait, in the order of their cases: those who cannot be read must not hide the ones behind."""
        query = (
            select(PartyRow.case, PartyRow.party)
            .where(col(PartyRow.to_screen), tuple_(col(PartyRow.case), col(PartyRow.party)) > after)
            .order_by(col(PartyRow.case), col(PartyRow.party))
            .limit(AT_A_TIME)
        )
        async with self._sessions() as session:
            return list((await session.exec(query)).all())

    async def _screen(self, case: str, party: str, listed: SanctionsList) -> bool:
        """Whether this one may be listed, and nobody was told so far."""
        async with self._sessions() as session, session.begin():
            row = await session.get(PartyRow, (case, party), with_for_update={"skip_locked": True})
            if row is None or not row.to_screen:
                # another sweep has it, or had it
                return False
            row.to_screen = False
            if row.name is None:
                return False
            hits = await asyncio.to_thread(screen, row.name, birth_date(row.personal_code), listed.entries)
            known = await session.get(ScreeningRow, (case, party))
            if known is not None and [hit["id"] for hit in known.hits] == [hit.id for hit in hits]:
                # the same as was told, and perhaps judged, before
                return False
            kept, still = await keep(session, case, party, party, hits, listed, self._now())
            if still:
                await self._tell(session, kept)
            return bool(still)

    async def _tell(self, session: AsyncSession, kept: ScreeningRow) -> None:
        case = await session.get_one(CaseRow, kept.case)
        before = (
            await session.exec(select(NoticeRow.key).where(NoticeRow.case == kept.case, NoticeRow.internal))
        ).all()
        asked = f"screening:{kept.party}:"
        session.add(
            NoticeRow(
                case=kept.case,
                key=f"{asked}{1 + sum(key.startswith(asked) for key in before)}",
                template="internal-screening-party",
                party=duty_for(case.organisation, SCREEN).owner,
                internal=True,
                duty=SCREEN,
                facts={"who": kept.party, "list": version(kept)},
                queued_at=self._now(),
            )
        )
        # so that it stands where people look, too
        session.add(BellRow(case=kept.case, reason=SCREENED, created_at=self._now()))
