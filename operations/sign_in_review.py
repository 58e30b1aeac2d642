"""The monthly review of the journal of sign-ins (SE-33.4.2): opened when a month is over, and what the month holds."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Time, cast, exists, func
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.common import Model
from models.errors import Refusal
from models.now import Now
from models.operator import SYSTEM
from models.sign_in import FAILED, Counted, Month, MonthReport, UserLine
from models.tables import AccountRow, CaseRow, ClientRow, IntakeRow, OpenedRow, SignInRow
from operations.filings import NEEDS, check
from operations.intake import Intake, Sessions, keep
from rules.rulebook import Rulebook, books
from rules.sign_in import borders, month_after, month_of, usual_hours

KIND, REVIEW = "sign_in_review", "SE-33.4.2"
WRITTEN = timedelta(minutes=5)
"""After the end of a month: what was asked in its last second is in the journal by then."""

MONTH: TypeAdapter[str] = TypeAdapter(Month)

_columns: Any = select
"""SQLModel types up to four columns."""


# ---- opening --------------------------------------------------------------------------------------------------------


async def open_reviews(sessions: Sessions, intake: Intake, now: Now) -> int:
    """Open the review of every organisation's next month, once it is over; the number opened.

    The first is that of the month in which the organisation's first account was made, or its rulebook began to ask for
    reviews. A month is opened when the one before it is signed off: the term runs from the last review on.
    """
    opened = 0
    for rulebook in books().values():
        if _reviews(rulebook):
            case = await _file(sessions, intake, rulebook, now)
            if case is not None:
                await intake.start(case, KIND)
                opened += 1
    return opened


def _reviews(rulebook: Rulebook) -> bool:
    return set(NEEDS[KIND]) <= {duty.id for duty in rulebook.duty}


async def _file(sessions: Sessions, intake: Intake, rulebook: Rulebook, now: Now) -> str | None:
    async with sessions() as session, session.begin():
        upcoming = await _next(session, rulebook)
        if upcoming is None:
            return None
        month, since = upcoming
        ends = borders(month, rulebook.zone)[1]
        if now() < ends + WRITTEN:
            return None
        filing = {
            "kind": KIND,
            "organisation": rulebook.organisation,
            "reference": month,
            "received_at": ends.isoformat(),
            "sender": f"{SYSTEM}termins",
            "content": {"month": month, "since": since.isoformat()},
        }
        row, _ = await keep(session, intake.keyring, check(filing, now()), now())
        return row.case


async def _next(session: AsyncSession, rulebook: Rulebook) -> tuple[str, datetime] | None:
    """The month to be reviewed next, and when the journal was reviewed last; None while there is none."""
    last = (
        await session.exec(
            select(IntakeRow.reference, CaseRow.closed_at)
            .join(CaseRow, col(CaseRow.case) == col(IntakeRow.case), isouter=True)
            .where(IntakeRow.kind == KIND, IntakeRow.organisation == rulebook.organisation)
            .order_by(col(IntakeRow.reference).desc())
            .limit(1)
        )
    ).first()
    if last is not None:
        month, reviewed_at = last
        return None if reviewed_at is None else (month_after(month), reviewed_at)
    made: datetime | None = (
        await session.exec(
            select(func.min(AccountRow.created_at))
            .join(ClientRow, col(ClientRow.client) == col(AccountRow.client))
            .where(ClientRow.organisation == rulebook.organisation)
        )
    ).one()
    if made is None:
        return None
    since = max(made, datetime.combine(rulebook.in_use_from, time(), ZoneInfo(rulebook.zone)))
    return month_of(since, rulebook.zone), since


# ---- the report -----------------------------------------------------------------------------------------------------


async def report(sessions: Sessions, organisation: str, month: str) -> MonthReport:
    """The journal of a month, per client and user; again gives the same for as long as the journal is kept.

    Raises:
        Refusal: See `_month`.
    """
    rulebook, begins, ends = _month(organisation, month)
    found: dict[tuple[str, str | None], Counted] = {}
    async with sessions() as session:
        for query in (
            _asked(rulebook, begins, ends),
            _new_addresses(organisation, begins, ends),
            _opened(organisation, begins, ends),
        ):
            for row in (await session.exec(query)).all():
                seen = row._asdict()
                key = (seen.pop("client"), seen.pop("username"))
                found[key] = found.get(key, Counted()) + Counted(**seen)
    lines = (
        UserLine(client=client, username=username, counted=counted) for (client, username), counted in found.items()
    )
    return MonthReport(
        organisation=organisation,
        month=month,
        begins=begins,
        ends=ends,
        users=tuple(sorted(lines, key=lambda line: (line.client, line.username or ""))),
    )


def _month(organisation: str, month: str) -> tuple[Rulebook, datetime, datetime]:
    """The rulebook, and the local midnights between which the month lies.

    Raises:
        Refusal: The organisation keeps no journal that is reviewed, or it is no month.
    """
    rulebook = books().get(organisation)
    faults = []
    if rulebook is None or not _reviews(rulebook):
        faults.append(f"organisation: its rulebook asks for no review of sign-ins ({REVIEW})")
    try:
        MONTH.validate_python(month)
    except ValidationError:
        faults.append("month: such as 2026-10")
    if faults or rulebook is None:
        raise Refusal(*faults)
    return rulebook, *borders(month, rulebook.zone)


def _asked(rulebook: Rulebook, begins: datetime, ends: datetime) -> Any:
    result, allowed = col(SignInRow.result), col(SignInRow.result) == "allowed"
    return _grouped(
        SignInRow,
        rulebook.organisation,
        begins,
        ends,
        func.count().filter(allowed).label("allowed"),
        func.count().filter(result.not_in(("allowed", "change_password"))).label("refused"),
        func.count().filter(result.in_(FAILED)).label("failed"),
        func.count().filter(result == "wrong_locks").label("locks"),
        func.count().filter(allowed, _odd(rulebook)).label("odd_hours"),
    )


def _opened(organisation: str, begins: datetime, ends: datetime) -> Any:
    return _grouped(
        OpenedRow,
        organisation,
        begins,
        ends,
        func.count().label("opened"),
        func.count().filter(col(OpenedRow.health)).label("health"),
    )


def _new_addresses(organisation: str, begins: datetime, ends: datetime) -> Any:
    return _grouped(SignInRow, organisation, begins, ends, func.count().label("new_addresses")).where(_new())


def _grouped(
    table: type[SignInRow | OpenedRow], organisation: str, begins: datetime, ends: datetime, *counts: Any
) -> Any:
    return (
        _columns(table.client, table.username, *counts)
        .join(ClientRow, col(ClientRow.client) == col(table.client))
        .where(ClientRow.organisation == organisation, table.at >= begins, table.at < ends)
        .group_by(table.client, table.username)
    )


def _odd(rulebook: Rulebook) -> Any:
    """Outside the usual hours, by the clock on the wall there."""
    first, last = usual_hours(rulebook)
    on_the_wall = cast(func.timezone(rulebook.zone, col(SignInRow.at)), Time)
    return (on_the_wall < first) | (on_the_wall >= last)


def _new() -> Any:
    """A sign-in from where the user never signed in before, of one who had signed in from elsewhere."""
    before = aliased(SignInRow)
    same_user = (
        (col(before.client) == col(SignInRow.client))
        & (col(before.username) == col(SignInRow.username))
        & (col(before.result) == "allowed")
        & (col(before.at) < col(SignInRow.at))
    )
    return (
        (col(SignInRow.result) == "allowed")
        & col(SignInRow.address_index).is_not(None)
        & exists().where(same_user)
        & ~exists().where(same_user, col(before.address_index) == col(SignInRow.address_index))
    )


# ---- what a reviewer looks at ---------------------------------------------------------------------------------------


class Notable(Model):
    """One entry that a reviewer looks at, and why."""

    client: str
    username: str | None
    at: datetime
    result: str
    why: tuple[str, ...]
    """`failed`, `locked`, `new_address`, `odd_hour`."""
    address: str | None = None
    """Only for whoever may see personal data; of a user whose data are restricted for nobody."""


async def notable(sessions: Sessions, organisation: str, month: str, *, personal: bool) -> list[Notable]:
    """The failures, locks, new addresses and odd hours of a month, in the order of time.

    Raises:
        Refusal: See `_month`.
    """
    rulebook, begins, ends = _month(organisation, month)
    failed, allowed = col(SignInRow.result).in_(FAILED), col(SignInRow.result) == "allowed"
    odd, new = allowed & _odd(rulebook), _new()
    query = (
        _columns(SignInRow, odd.label("odd"), new.label("new"))
        .join(ClientRow, col(ClientRow.client) == col(SignInRow.client))
        .where(ClientRow.organisation == organisation, SignInRow.at >= begins, SignInRow.at < ends, failed | odd | new)
        .order_by(col(SignInRow.at), col(SignInRow.id))
    )
    # of whoever's data are restricted nobody is shown the address, whoever asks (BL-16-erase)
    closed = (
        select(AccountRow.client, AccountRow.username)
        .join(ClientRow, col(ClientRow.client) == col(AccountRow.client))
        .where(ClientRow.organisation == organisation, col(AccountRow.restricted_at).is_not(None))
    )
    async with sessions() as session:
        rows = (await session.exec(query)).all()
        restricted = frozenset((await session.exec(closed)).all())
    found = []
    for row, is_odd, is_new in rows:
        said = {
            "failed": row.result in FAILED,
            "locked": row.result == "wrong_locks",
            "new_address": is_new,
            "odd_hour": is_odd,
        }
        found.append(
            Notable(
                client=row.client,
                username=row.username,
                at=row.at,
                result=row.result,
                why=tuple(why for why, holds in said.items() if holds),
                address=row.address if personal and (row.client, row.username) not in restricted else None,
            )
        )
    return found
