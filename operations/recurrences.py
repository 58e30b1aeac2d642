"""Recurring duties: what is said of each, its turns, and the cases that are opened for those that must be open.

What is said is kept and never changed. The turn after the last one is counted from it alone, so that opening twice, or
after days in which nothing ran, gives the same cases with the same terms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from itertools import islice
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

import structlog
from pydantic import ValidationError
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.case import CaseState
from models.common import Model
from models.countable import uncountable
from models.errors import Refusal
from models.names import case_id
from models.now import Now
from models.operator import SYSTEM
from models.tables import ClockRow, IntakeRow, RecurrenceRow, TurnRow
from models.task import FIRST, SayRecurrence, TaskBody, TaskFiling
from operations.filings import check, faults_of, turn_reference
from operations.intake import Intake, Sessions, keep
from operations.operators import may_handle
from rules.period import Unit
from rules.recurrence import Last, Turn, first_period, midnight, upcoming
from rules.recurrence import turn as turn_of
from rules.rulebook import Duty, Rulebook, books

log = structlog.get_logger()

KIND = "task"
Row = TypeVar("Row", RecurrenceRow, TurnRow)
MOST_TURNS = 20
"""Turns of one duty that one run opens: of calendar years in which nothing ran."""


class Known(Model):
    """What is known of one recurring duty about one thing."""

    duty: str
    about: str
    last: Last
    ends_on: date | None = None
    """It was said that it ends: no turn is opened any more."""


class Line(Model):
    """A recurring duty in a list: a turn that is open, or the next one."""

    organisation: str
    duty: str
    clause: str
    title: str
    about: str
    recommended: bool
    state: Literal["open", "overdue", "waits", "ended", "nothing said"]
    """`nothing said`: the duty is about departments or employees, and none was said."""
    last_on: date | None = None
    """From when it is counted: the last time it was done, or the first day."""
    how: str | None = None
    """What `last_on` is: `done`, `begins`, `turn`, `first_on`."""
    due_on: date | None = None
    opens_on: date | None = None
    case: str | None = None


class Put(Model):
    """What became of something that was said of a recurring duty."""

    organisation: str
    duty: str
    about: str
    new: bool
    """False: it was said before."""
    due_on: date | None = None
    """The last day of the turn that follows from it."""
    opens_on: date | None = None
    opened: tuple[str, ...] = ()
    """Cases that were opened at once; in a preview those that would be."""


# ---- what is known --------------------------------------------------------------------------------------------------


def recurring(rulebook: Rulebook) -> Iterator[Duty]:
    """The duties of a rulebook that are opened by themselves."""
    tasks = rulebook.tasks
    return (duty for duty in rulebook.duty if duty.id in tasks and tasks[duty.id].recurs)


async def known(session: AsyncSession, rulebook: Rulebook) -> list[Known]:
    """Every recurring duty of an organisation, once for each thing it is about; in the order of the rulebook."""
    said = await _latest(session, RecurrenceRow, rulebook)
    turns = await _latest(session, TurnRow, rulebook)
    found = []
    for duty in recurring(rulebook):
        terms = rulebook.tasks[duty.id]
        abouts = {about for name, about in {*said, *turns} if name == duty.id}
        for about in sorted(abouts | ({""} if terms.about is None else set())):
            entry, turn = said.get((duty.id, about)), turns.get((duty.id, about))
            last = _last(rulebook, duty, entry, turn)
            ends = entry.said_on if entry is not None and entry.what == "ends" else None
            found.append(Known(duty=duty.id, about=about, last=last, ends_on=ends))
    return found


async def _latest(session: AsyncSession, table: type[Row], rulebook: Rulebook) -> dict[tuple[str, str], Row]:
    query = (
        select(table)
        .where(table.organisation == rulebook.organisation)
        .ext(distinct_on(col(table.duty), col(table.about)))
        .order_by(col(table.duty), col(table.about), col(table.n).desc())
    )
    return {(row.duty, row.about): row for row in (await session.exec(query)).all()}


def _last(rulebook: Rulebook, duty: Duty, entry: RecurrenceRow | None, turn: TurnRow | None) -> Last:
    """What was recorded last: the end of a turn, or what somebody said."""
    if turn is not None and (entry is None or turn.ended_at is None or turn.ended_at >= entry.recorded_at):
        since = turn.since.astimezone(ZoneInfo(rulebook.zone)).date()
        on = since if duty.unit is Unit.calendar_year else turn.done_on or since
        return Last(n=turn.n, how="turn", on=on, open=turn.ended_at is None)
    n = turn.n if turn is not None else 0
    if entry is not None:
        return Last(n=n, how="begins" if entry.what == "begins" else "done", on=entry.said_on)
    first_on = rulebook.tasks[duty.id].first_on
    assert first_on is not None  # the rulebook was checked
    return Last(n=n, how="first_on", on=first_on)


# ---- opening --------------------------------------------------------------------------------------------------------


async def open_due(sessions: Sessions, intake: Intake, now: Now) -> list[str]:
    """Open every turn that must be open by now; the cases that were opened. Again opens nothing twice.

    One that cannot be opened holds up no other; the first reason is raised once all were tried.
    """
    opened: list[str] = []
    failed: list[Exception] = []
    for rulebook in books().values():
        async with sessions() as session:
            standing = await known(session, rulebook)
        for one in standing:
            try:
                opened += await _open(sessions, intake, rulebook, one, now)
            except Exception as e:  # whatever it is, it is raised below
                log.exception("a turn cannot be opened", organisation=rulebook.organisation, duty=one.duty)
                failed.append(e)
    if failed:
        raise failed[0]
    return opened


async def _open(sessions: Sessions, intake: Intake, rulebook: Rulebook, one: Known, now: Now) -> list[str]:
    opened = []
    for turn in must_be_open(rulebook, one, now()):
        case = await _file(sessions, intake, rulebook, one, turn, turn.opens_at, now)
        if case is not None:
            # one that does not start now is started by the sweep
            await intake.start(case, KIND)
            opened.append(case)
    return opened


def must_be_open(rulebook: Rulebook, one: Known, at: datetime) -> list[Turn]:
    """The turns of a duty whose lead time has come, the earliest first; none once it has ended."""
    if one.ends_on is not None:
        return []
    due = []
    for turn in islice(upcoming(rulebook, rulebook.find(one.duty), one.last), MOST_TURNS):
        if turn.opens_at > at:
            break
        due.append(turn)
    return due


async def _file(
    sessions: Sessions, intake: Intake, rulebook: Rulebook, one: Known, turn: Turn, received_at: datetime, now: Now
) -> str | None:
    """File a turn's case; None if it was filed before."""
    filing = _filing(rulebook, one.duty, one.about, turn, received_at)
    async with sessions() as session, session.begin():
        if await session.get(IntakeRow, case_id(KIND, rulebook.organisation, filing["reference"])) is not None:
            return None
        row, new = await keep(session, intake.keyring, check(filing, now()), now())
        return row.case if new else None


def _filing(rulebook: Rulebook, duty: str, about: str, turn: Turn, received_at: datetime) -> dict[str, Any]:
    content = TaskFiling(duty=duty, about=about or None, since=turn.since, n=turn.n, first=turn.first)
    return {
        "kind": KIND,
        "organisation": rulebook.organisation,
        "reference": turn_reference(duty, about, turn.n),
        "received_at": received_at.isoformat(),
        "sender": f"{SYSTEM}termins",
        "content": content.model_dump(mode="json", exclude_none=True),
    }


def filed_by_itself(opened: CaseState, filed_at: datetime) -> dict[str, Any] | None:
    """The filing of a turn that a store lost, from how its case opened: received when its lead time came.

    None of what somebody filed, also of a turn that was opened early: when that was received stood in the store alone.
    """
    if opened.kind != KIND:
        return None
    body = TaskBody.model_validate({k: v for k, v in opened.body.items() if k in TaskBody.model_fields})
    rulebook = books().get(opened.organisation)
    if body.n is None or rulebook is None or body.duty not in rulebook.tasks:
        return None
    duty = rulebook.find(body.duty)
    again = turn_of(rulebook, duty, body.n, body.since, first=body.subject == FIRST)
    if filed_at < again.opens_at:
        return None
    return _filing(rulebook, body.duty, body.about or "", again, again.opens_at)


# ---- saying ---------------------------------------------------------------------------------------------------------


async def say(sessions: Sessions, intake: Intake, now: Now, data: Any, said_by: str, *, preview: bool = False) -> Put:
    """Write down what is said of a recurring duty, and open at once what must be open by it; again is the same.

    `data` is `organisation` and the fields of `SayRecurrence`. A preview changes nothing, and says what would come of
    it.

    Raises:
        Refusal: Every fault is named.
    """
    rulebook, said = _read(data, now())
    about = said.about or ""
    async with sessions() as session, session.begin():
        await may_handle(session, rulebook.organisation, said_by)
        entry = (await _latest(session, RecurrenceRow, rulebook)).get((said.duty, about))
        turn = (await _latest(session, TurnRow, rulebook)).get((said.duty, about))
        same = entry is not None and (entry.what, entry.said_on, entry.document) == (said.what, said.on, said.document)
        if not same and said.what != "ends" and turn is not None and turn.ended_at is None:
            raise Refusal(f"about: {turn.case} is open; what was done is said there")
        row = RecurrenceRow(
            organisation=rulebook.organisation,
            duty=said.duty,
            about=about,
            n=(entry.n if entry is not None else 0) + 1,
            what=said.what,
            said_on=said.on,
            document=said.document,
            said_by=said_by,
            recorded_at=now(),
        )
        if not same and not preview:
            written = await session.exec(
                insert(RecurrenceRow)
                .values(**row.model_dump())
                .on_conflict_do_nothing()
                .returning(col(RecurrenceRow.n))
            )
            if written.first() is None:
                raise Refusal("about: somebody else said something of it just now; look, and say it again")
    stands = entry if same and entry is not None else row
    ends = stands.said_on if stands.what == "ends" else None
    last = _last(rulebook, rulebook.find(said.duty), stands, turn)
    one = Known(duty=said.duty, about=about, last=last, ends_on=ends)
    if preview:
        opened = [_case_of(rulebook, one, turn) for turn in must_be_open(rulebook, one, now())]
    else:
        opened = await _open(sessions, intake, rulebook, one, now)
    following = None if ends is not None else next(upcoming(rulebook, rulebook.find(said.duty), last), None)
    return Put(
        organisation=rulebook.organisation,
        duty=said.duty,
        about=about,
        new=not same,
        due_on=following.last_day if following is not None else None,
        opens_on=_day(rulebook, following.opens_at) if following is not None else None,
        opened=tuple(opened),
    )


def _case_of(rulebook: Rulebook, one: Known, turn: Turn) -> str:
    return case_id(KIND, rulebook.organisation, turn_reference(one.duty, one.about, turn.n))


def _read(data: Any, at: datetime) -> tuple[Rulebook, SayRecurrence]:
    """What is said, and by which rulebook.

    Raises:
        Refusal: Every fault is named.
    """
    if not isinstance(data, Mapping):
        raise Refusal("no JSON object")
    faults: list[str] = []
    organisation = data.get("organisation")
    rulebook = books().get(organisation) if isinstance(organisation, str) and organisation != "T" else None
    if rulebook is None:
        faults.append("organisation: it has no rulebook")
    said = None
    try:
        said = SayRecurrence.model_validate({k: v for k, v in data.items() if k != "organisation"})
    except ValidationError as e:
        faults += faults_of(e)
    if rulebook is not None and said is not None:
        faults += _faults(rulebook, said, at)
    if faults or rulebook is None or said is None:
        raise Refusal(*faults)
    return rulebook, said


def _faults(rulebook: Rulebook, said: SayRecurrence, at: datetime) -> list[str]:
    terms = rulebook.tasks.get(said.duty)
    if terms is None or not terms.recurs:
        which = ", ".join(duty.id for duty in recurring(rulebook)) or "none"
        return [f"duty: it does not recur at {rulebook.organisation}; what recurs: {which}"]
    faults = []
    if terms.about is not None and said.about is None:
        faults.append(f"about: missing; the code of the {terms.about}")
    if terms.about is None and said.about is not None:
        faults.append("about: this duty is about the whole organisation")
    if said.what == "begins" and first_period(rulebook, rulebook.find(said.duty)) is None:
        faults.append("what: the rulebook gives its first turn no start of its own; say when it was done last")
    if said.what == "ends" and terms.about is None:
        faults.append("what: a duty of the whole organisation does not end")
    if said.what == "done" and said.on > _day(rulebook, at):
        faults.append("on: lies in the future")
    if (fault := uncountable(midnight(said.on, ZoneInfo(rulebook.zone)))) is not None:
        faults.append(f"on: {fault}")
    return faults


# ---- exceptions -----------------------------------------------------------------------------------------------------


async def turn_for_exception(
    sessions: Sessions, intake: Intake, now: Now, organisation: str, duty: str, about: str, said_by: str
) -> str:
    """The case of the turn that is to be dropped or moved: the open one, or the next one, which is opened early.

    Raises:
        Refusal: Nothing such recurs, or its next turn has not begun, or no operator asks.
    """
    if said_by.startswith(SYSTEM):
        raise Refusal("actor: only an operator drops or moves a turn")
    rulebook = books().get(organisation)
    if rulebook is None or organisation == "T":
        raise Refusal("organisation: it has no rulebook")
    async with sessions() as session:
        await may_handle(session, organisation, said_by)
        open_turn = (
            select(TurnRow.case)
            .where(
                TurnRow.organisation == organisation,
                TurnRow.duty == duty,
                TurnRow.about == about,
                col(TurnRow.ended_at).is_(None),
            )
            .order_by(col(TurnRow.n).desc())
        )
        if (case := (await session.exec(open_turn)).first()) is not None:
            return case
        standing = [one for one in await known(session, rulebook) if (one.duty, one.about) == (duty, about)]
    if not standing or standing[0].ends_on is not None:
        raise Refusal(f"duty: {organisation} has no such duty that recurs" + (f" about {about}" if about else ""))
    [one] = standing
    turn = next(upcoming(rulebook, rulebook.find(duty), one.last))
    if turn.since > now():
        raise Refusal(f"duty: its next turn begins on {_day(rulebook, turn.since)}")
    received_at = min(turn.opens_at, now())
    case = await _file(sessions, intake, rulebook, one, turn, received_at, now) or _case_of(rulebook, one, turn)
    await intake.start(case, KIND)
    return case


# ---- reading --------------------------------------------------------------------------------------------------------


async def lines(sessions: Sessions, now: datetime, organisation: str | None = None) -> list[Line]:
    """What recurs: each turn that is open, and the next one as far as it is known; changes nothing."""
    found = []
    for rulebook in books().values():
        if organisation is None or rulebook.organisation == organisation:
            async with sessions() as session:
                found += await _lines(session, rulebook, now)
    return found


async def _lines(session: AsyncSession, rulebook: Rulebook, now: datetime) -> list[Line]:
    open_turns: dict[tuple[str, str], list[tuple[TurnRow, ClockRow | None]]] = {}
    query: Any = (
        select(TurnRow, ClockRow)
        .join(
            ClockRow,
            (col(ClockRow.case) == col(TurnRow.case))
            & (col(ClockRow.duty) == col(TurnRow.duty))
            & col(ClockRow.ended_at).is_(None),
            isouter=True,
        )
        .where(TurnRow.organisation == rulebook.organisation, col(TurnRow.ended_at).is_(None))
        .order_by(col(TurnRow.n))
    )
    for turn, clock in (await session.exec(query)).all():
        open_turns.setdefault((turn.duty, turn.about), []).append((turn, clock))
    found = []
    standing = await known(session, rulebook)
    for duty in recurring(rulebook):
        mine = [one for one in standing if one.duty == duty.id]
        if not mine:
            found.append(_line(rulebook, duty, "", state="nothing said"))
        for one in mine:
            for turn, clock in open_turns.get((duty.id, one.about), ()):
                overdue = clock is not None and clock.due <= now
                found.append(
                    _line(
                        rulebook,
                        duty,
                        one.about,
                        state="overdue" if overdue else "open",
                        last_on=_day(rulebook, turn.since),
                        how="turn",
                        due_on=clock.last_day if clock is not None else None,
                        case=turn.case,
                    )
                )
            found += _next(rulebook, duty, one)
    return found


def _next(rulebook: Rulebook, duty: Duty, one: Known) -> list[Line]:
    if one.ends_on is not None:
        return [_line(rulebook, duty, one.about, state="ended", last_on=one.ends_on, how="ends")]
    turn = next(upcoming(rulebook, duty, one.last), None)
    if turn is None:
        return []
    return [
        _line(
            rulebook,
            duty,
            one.about,
            state="waits",
            last_on=one.last.on,
            how=one.last.how,
            due_on=turn.last_day,
            opens_on=_day(rulebook, turn.opens_at),
        )
    ]


def _line(rulebook: Rulebook, duty: Duty, about: str, **more: Any) -> Line:
    return Line(
        organisation=rulebook.organisation,
        duty=duty.id,
        clause=duty.clause,
        title=duty.title.en,
        about=about,
        recommended=duty.recommended,
        **more,
    )


def _day(rulebook: Rulebook, at: datetime) -> date:
    return at.astimezone(ZoneInfo(rulebook.zone)).date()


__all__ = ["Known", "Line", "Put", "known", "lines", "must_be_open", "open_due", "say", "turn_for_exception"]
