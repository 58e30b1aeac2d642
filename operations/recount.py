"""Recount: after a change of rulebook or calendar, every open clock that it concerns is counted anew, and says so."""

from __future__ import annotations

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, or_, select

from models.now import Now
from models.tables import BellRow, ClockRow, TargetRow
from operations.intake import Sessions
from rules.calendar import load
from rules.rulebook import books

BATCH = 500


async def set_targets(sessions: Sessions, now: Now, actor: str) -> dict[str, str]:
    """Make the versions of this installation the target; a worker with older tables then refuses to count."""
    targets = {f"rulebook:{code}": book.version for code, book in books().items()}
    targets |= {f"calendar:{book.calendar}": load(book.calendar).version for book in books().values()}
    async with sessions() as session, session.begin():
        for name, version in targets.items():
            values = {"name": name, "version": version, "set_at": now(), "set_by": actor}
            await session.exec(  # type: ignore[call-overload]  # insert … on conflict is no select
                insert(TargetRow).values(values).on_conflict_do_update(index_elements=["name"], set_=values)
            )
    return targets


async def ring_outdated(sessions: Sessions, now: Now) -> int:
    """Hang a bell for the next batch of cases with a running clock of another version; the number that are left."""
    async with sessions() as session, session.begin():
        outdated = or_(
            *(
                (col(ClockRow.organisation) == code)
                & (
                    (col(ClockRow.rulebook_version) != book.version)
                    | (col(ClockRow.calendar_version) != load(book.calendar).version)
                )
                for code, book in books().items()
            )
        )
        cases = (
            await session.exec(
                select(ClockRow.case).where(col(ClockRow.status) == "running", outdated).distinct().order_by(ClockRow.case)
            )
        ).all()
        hung = set(
            (
                await session.exec(
                    select(BellRow.case).where(BellRow.reason == "recount", col(BellRow.heard_at).is_(None))
                )
            ).all()
        )
        for case in [c for c in cases if c not in hung][:BATCH]:
            session.add(BellRow(case=case, reason="recount", created_at=now()))
    return len(cases)
