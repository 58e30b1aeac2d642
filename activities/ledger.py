"""The deadline ledger: how a step's changes start, stop, hold, reopen and recount the clocks of a case.

All of it happens inside the transaction of `case.record`; the numbers go back into the history from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from activities.letters import LANGUAGES, day, moment
from models.case import (
    OPEN,
    Change,
    ClockState,
    Evidence,
    HoldClock,
    NoticeDraft,
    Relate,
    ReleaseClock,
    Reopen,
    Start,
    Stop,
    Tick,
    Void,
)
from models.errors import Refusal
from models.tables import ClockRow
from models.task import FIRST
from rules.calendar import OutsideCalendar, load
from rules.period import Count, Span, Unit, count, reminders
from rules.recurrence import first_period
from rules.rulebook import Duty, Kind, Rulebook, book, duty_for
from security import proof

RELATED = "Latest, from the last document asked for:"
"""Begins the lines of a derivation that another anchor gave; a recount keeps them."""


_CLOCKS = (
    select(ClockRow)
    .where(ClockRow.case == bindparam("case"))
    .order_by(col(ClockRow.n), col(ClockRow.duty), col(ClockRow.subject))
    # clocks are written by the ledger alone: what the acts of the step wrote can wait for the rest of it
    .execution_options(autoflush=False)
)


class Ledger:
    """The clocks of one case within one transaction, under the lock of its case row."""

    def __init__(self, session: AsyncSession, case: str, organisation: str, at: datetime, rows: list[ClockRow]) -> None:
        self._session = session
        self._case = case
        self._organisation = organisation
        self._at = at
        self._rows = rows
        self.changes: list[dict[str, Any]] = []
        self.details: list[dict[str, Any]] = []
        """Of a change, by its place in `changes`: reason and evidence whole, which can name people."""
        self.touched: list[ClockRow] = []
        self.notices: list[tuple[NoticeDraft, str]] = []
        """Letters to staff that a tick or a recount asks for, each with the role."""

    @classmethod
    async def of(cls, session: AsyncSession, case: str, organisation: str, at: datetime) -> Ledger:
        """The ledger of a case; one round trip."""
        rows = (await session.exec(_CLOCKS, params={"case": case})).all()  # type: ignore[attr-defined]  # the sessions are SQLModel's
        return cls(session, case, organisation, at, list(rows))

    @property
    def states(self) -> tuple[ClockState, ...]:
        """The latest clock of each duty and subject."""
        latest = {(row.duty, row.subject): row for row in self._rows}
        return tuple(view(row) for row in latest.values())

    @property
    def touched_states(self) -> tuple[ClockState, ...]:
        """The clocks that this step touched, as they are now."""
        return tuple(view(row) for row in {(r.duty, r.subject): r for r in self.touched}.values())

    # ---- changes ----------------------------------------------------------------------------------------------------

    def apply(self, change: Change) -> None:
        """Carry out one change.

        Raises:
            Refusal: What it asks cannot be: an instant in the future or where no calendar reaches, no such clock, no
                hold in the rulebook.
        """
        try:
            self._apply(change)
        except OutsideCalendar as e:
            # an error would be tried again for ever, and the case would stand still
            raise Refusal(f"{change.duty}: cannot be counted from there: {e}") from None

    def _apply(self, change: Change) -> None:
        match change:
            case Start():
                self._start(change)
            case Stop():
                self._stop(change)
            case Void():
                self._end(self._open(change.duty, change.subject), "void", reason=change.reason)
            case Reopen():
                self._reopen(change)
            case HoldClock():
                self._hold(change)
            case ReleaseClock():
                self._release(change)
            case Relate():
                self._relate(change)

    def _start(self, change: Start) -> None:
        if any(r.status in OPEN for r in self._of(change.duty, change.subject)):
            raise Refusal(f"{change.duty} {change.subject}: its clock is running already")
        duty = duty_for(self._organisation, change.duty)
        counted, latest = _count(duty, self._book(duty), change.anchor_at, first=change.subject == FIRST)
        row = ClockRow(
            case=self._case,
            duty=change.duty,
            subject=change.subject,
            n=max((r.n for r in self._of(change.duty, change.subject)), default=0) + 1,
            organisation=self._organisation,
            kind=duty.kind,
            can_be_late=duty.can_be_late,
            status="running",
            anchor_at=change.anchor_at,
            **_counted(duty, self._book(duty), counted, latest, self._at),
        )
        self._session.add(row)
        self._rows.append(row)
        self._note(row, None)

    def _stop(self, change: Stop) -> None:
        row = self._open(change.duty, change.subject)
        evidence = change.evidence
        zone = ZoneInfo(self._book(duty_for(self._organisation, change.duty)).zone)
        kept = _in_time(row, evidence, self._at, zone)
        others = row.kind == Kind.client
        if row.status == "overdue" and kept and evidence.by_person and evidence.correction is None and not others:
            raise Refusal(
                f"{change.duty}: the clock is overdue; an instant entered by a person that makes it kept needs "
                "correction: reason, document and second_person"
            )
        row.evidence, row.proof = evidence.model_dump(mode="json"), evidence.kind
        row.happened_at = evidence.happened_at
        row.happened_on = evidence.happened_on
        judged = row.can_be_late or duty_for(self._organisation, change.duty).recommended
        self._end(row, "kept" if kept or not judged else "late")

    def _end(self, row: ClockRow, status: str, reason: str | None = None) -> None:
        before = row.status
        row.status, row.ended_at, row.reason, row.held_since = status, self._at, reason, None
        self._note(row, before)

    def _reopen(self, change: Reopen) -> None:
        rows = self._of(change.duty, change.subject)
        row = rows[-1] if rows else None
        if row is None or row.status not in ("kept", "late"):
            raise Refusal(f"{change.duty} {change.subject}: no ended clock to reopen")
        before = row.status
        row.status = "overdue" if self._at >= row.due and row.can_be_late else "running"
        row.ended_at, row.happened_at, row.happened_on, row.evidence, row.proof = None, None, None, None, None
        row.reason = change.reason
        self._note(row, before)

    def _hold(self, change: HoldClock) -> None:
        row = self._open(change.duty, change.subject)
        duty = duty_for(self._organisation, change.duty)
        if duty.hold is None or duty.hold.mode != "extend":
            raise Refusal(f"{change.duty}: its rulebook entry does not allow a hold")
        if change.since >= row.due or row.status != "running":
            # a hold on or after the due instant changes nothing (time, point 14)
            self._note(row, row.status)
            return
        before = row.status
        row.status, row.held_since = "held", change.since
        self._note(row, before)

    def _release(self, change: ReleaseClock) -> None:
        row = self._open(change.duty, change.subject)
        if row.status != "held" or row.held_since is None:
            raise Refusal(f"{change.duty} {change.subject}: its clock is not held")
        zone = ZoneInfo(self._book(duty_for(self._organisation, change.duty)).zone)
        row.spans = [
            *row.spans,
            {
                "from_day": row.held_since.astimezone(zone).date().isoformat(),
                "released": change.released.astimezone(zone).date().isoformat(),
                "seconds": (change.released - row.held_since).total_seconds(),
            },
        ]
        row.held_since = None
        before = row.status
        self._recount_row(row)
        row.status = "running"
        self._note(row, before)

    def _relate(self, change: Relate) -> None:
        row = self._open(change.duty, change.subject)
        duty = duty_for(self._organisation, change.duty)
        counted, _ = _count(duty, self._book(duty), change.anchor_at)
        if counted.due > row.latest:
            row.latest, row.latest_day = counted.due, counted.last_day
            row.derivation = [*row.derivation, RELATED, *counted.derivation]
            self._note(row, row.status)

    # ---- time -------------------------------------------------------------------------------------------------------

    def tick(self, tick: Tick) -> None:
        """A reminder or the due instant came: remind the owner, or end, or mark overdue and escalate."""
        row = self._open(tick.duty, tick.subject)
        duty = duty_for(self._organisation, tick.duty)
        if tick.what == "reminder":
            row.reminders = [r for r in row.reminders if datetime.fromisoformat(r) > tick.instant]
            self._tell("internal-reminder", duty.owner, row, duty, f"reminder:{tick.instant:%Y%m%dT%H%M}")
            self._note(row, row.status)
            return
        if tick.instant < row.due:
            # the clock was moved since the case looked: it is told where the clock stands
            self.touched.append(row)
            return
        if row.kind == Kind.not_before:
            row.proof = "due_instant"
            self._end(row, "kept", "the effect is free from here")
        elif row.kind == Kind.right_lapses:
            row.proof = "due_instant"
            self._end(row, "void", "lapsed")
        else:
            before = row.status
            row.status, row.overdue_at, row.reminders = "overdue", self._at, []
            if duty.escalation:
                self._tell("internal-escalation", duty.escalation, row, duty, "overdue")
            self._note(row, before)

    def recount(self) -> None:
        """Count every running clock by today's rulebook and calendar; overdue and ended ones are shown, not moved.

        A clock that would move to an earlier instant does so only with a notice to its owner.
        """
        for row in self._rows:
            if row.status != "running":
                continue
            due, before = row.due, proof.counted(row)
            self._recount_row(row)
            if row.due < due:
                duty = duty_for(self._organisation, row.duty)
                self._tell("internal-notice", duty.owner, row, duty, f"recount:{row.rulebook_version}", moved=due)
            if proof.counted(row) != before:
                self._note(row, row.status, was=due)

    def _recount_row(self, row: ClockRow) -> None:
        duty = duty_for(self._organisation, row.duty)
        counted, latest = _count(duty, self._book(duty), row.anchor_at, row.spans, first=row.subject == FIRST)
        before = row.latest, row.latest_day, row.derivation
        was_later = row.latest > row.due
        values = _counted(duty, self._book(duty), counted, latest, self._at)
        if row.kind == Kind.not_before and counted.due < row.due:
            # others were told the day: what may not come before it never comes earlier than they were told
            values = {name: values[name] for name in ("rulebook_version", "calendar_version")}
        for name, value in values.items():
            setattr(row, name, value)
        if was_later and before[0] > row.latest:
            row.latest, row.latest_day, derivation = before
            if RELATED in derivation:
                row.derivation = [*row.derivation, *derivation[derivation.index(RELATED) :]]

    # ---- helpers ----------------------------------------------------------------------------------------------------

    def _of(self, duty: str, subject: str) -> list[ClockRow]:
        return [r for r in self._rows if (r.duty, r.subject) == (duty, subject)]

    def _open(self, duty: str, subject: str) -> ClockRow:
        for row in reversed(self._of(duty, subject)):
            if row.status in OPEN:
                return row
        raise Refusal(f"{duty} {subject}".strip() + ": no clock of it is running")

    def _book(self, duty: Duty) -> Rulebook:
        # the product's own terms are counted in the organisation's zone and calendar
        return book(self._organisation)

    def _note(self, row: ClockRow, before: str | None, was: datetime | None = None) -> None:
        self.touched.append(row)
        change = {
            "duty": row.duty,
            "subject": row.subject,
            "n": row.n,
            "before": before,
            "after": row.status,
            "due": row.due.isoformat(),
            "latest": row.latest.isoformat(),
            "counted": proof.counted(row),
        }
        if was is not None:
            change["was_due"] = was.isoformat()
        if row.proof:
            change["proof"] = row.proof
        for name in ("happened_at", "happened_on"):
            if (at := getattr(row, name)) is not None:
                change[name] = at.isoformat()
        self.changes.append(change)
        if row.reason or row.evidence:
            self.details.append({"clock": len(self.changes) - 1, "reason": row.reason, "evidence": row.evidence})

    def _tell(
        self, template: str, role: str, row: ClockRow, duty: Duty, what: str, moved: datetime | None = None
    ) -> None:
        facts: dict[str, Any] = {"case": self._case}
        if template == "internal-notice":
            assert moved is not None
            facts["text"] = _recounted(row, moved)
        else:
            facts |= {"duty": row.duty, "due": _due_words(row), "titles": duty.title.model_dump()}
        key = f"{row.duty}:{row.subject}:{row.n}:{what}"
        self.notices.append(
            (NoticeDraft(key=key, template=template, party=role, duty=row.duty, subject=row.subject, facts=facts), role)
        )


def _in_time(row: ClockRow, evidence: Evidence, at: datetime, zone: ZoneInfo) -> bool:
    """Whether the evidence's instant lies before `latest`.

    Raises:
        Refusal: It lies in the future, or before the anchor, or there is none.
    """
    if evidence.happened_at is not None and not evidence.by_person:
        # a proof of a system of ours: its clock and the engine's may differ by a moment, in either direction
        return min(max(evidence.happened_at, row.anchor_at), at) < row.latest
    if evidence.happened_at is not None:
        if evidence.happened_at > at:
            raise Refusal(f"{row.duty}: the instant of the evidence lies in the future")
        if evidence.happened_at < row.anchor_at:
            raise Refusal(f"{row.duty}: the instant of the evidence lies before the clock's start")
        return evidence.happened_at < row.latest
    if evidence.happened_on is not None:
        if evidence.happened_on > at.astimezone(zone).date():
            raise Refusal(f"{row.duty}: the day of the evidence lies in the future")
        # what others owe may come before the day that was named for it
        if evidence.happened_on < row.anchor_at.astimezone(zone).date() and row.kind != Kind.client:
            raise Refusal(f"{row.duty}: the day of the evidence lies before the clock's start")
        return evidence.happened_on <= row.latest_day
    raise Refusal(f"{row.duty}: evidence needs an instant or a day")


def _count(
    duty: Duty, rulebook: Rulebook, anchor_at: datetime, spans: Sequence[dict[str, Any]] = (), *, first: bool = False
) -> tuple[Count, Count]:
    """To `due` and to the later reading; `first`: by the term of a recurrence's first turn, if it has its own."""
    own = first_period(rulebook, duty) if first else None
    if (to_due := own or duty.period) is None:
        raise Refusal(f"{duty.id}: the rulebook gives no value to count")
    calendar = load(rulebook.calendar)
    held = tuple(Span.model_validate({k: s[k] for k in ("from_day", "released")}) for s in spans)
    counts = []
    for period in (to_due, duty.latest or to_due):
        if period.unit is Unit.hours:
            seconds = sum(float(s["seconds"]) for s in spans)
            counts.append(count(anchor_at, period, rulebook.zone, calendar, held_for=timedelta(seconds=seconds)))
        else:
            counts.append(count(anchor_at, period, rulebook.zone, calendar, held))
    return counts[0], counts[1]


def _counted(duty: Duty, rulebook: Rulebook, counted: Count, latest: Count, after: datetime) -> dict[str, Any]:
    calendar = load(rulebook.calendar)
    derivation = list(counted.derivation)
    if duty.latest is not None:
        derivation += ["Latest, the other reading:", *latest.derivation]
    return {
        "due": counted.due,
        "latest": max(counted.due, latest.due),
        "last_day": counted.last_day,
        "latest_day": max(counted.last_day, latest.last_day),
        "reminders": [r.isoformat() for r in reminders(duty.reminders, counted, rulebook.zone, calendar, after)],
        "rulebook_version": rulebook.version,
        "calendar_version": calendar.version,
        "derivation": derivation,
    }


def shown(row: ClockRow) -> str:
    """The last day (or, for hours, the instant) in the organisation's zone, which an instant names, for people."""
    rulebook = book(row.organisation)
    period = duty_for(row.organisation, row.duty).period
    if period is not None and period.unit is Unit.hours:
        return f"{row.due.astimezone(ZoneInfo(rulebook.zone)):%a %Y-%m-%d %H:%M %Z}"
    return f"{row.last_day:%a %Y-%m-%d}"


def _due_words(row: ClockRow) -> dict[str, str]:
    """When the duty is due, by language: its last day, or of hours the instant, in the organisation's zone."""
    rulebook = book(row.organisation)
    period = duty_for(row.organisation, row.duty).period
    if period is not None and period.unit is Unit.hours:
        return {language: moment(row.due.astimezone(ZoneInfo(rulebook.zone)), language) for language in LANGUAGES}
    return {language: day(row.last_day, language) for language in LANGUAGES}


def _recounted(row: ClockRow, was: datetime) -> dict[str, str]:
    """That a clock was counted anew and ends earlier than before, by language."""
    zone = ZoneInfo(book(row.organisation).zone)
    said = {
        "lv": "{duty}: termiņš ir pārrēķināts un beidzas agrāk. Bija: {was}. Tagad: {now}. Kalendārs: {calendar}.",
        "lt": "{duty}: terminas perskaičiuotas ir baigiasi anksčiau. Buvo: {was} Dabar: {now} Kalendorius: {calendar}.",
        "en": "{duty}: the term was counted anew and ends earlier. It was: {was}. It is: {now}. Calendar: {calendar}.",
    }
    return {
        language: text.format(
            duty=row.duty,
            was=moment(was.astimezone(zone), language),
            now=moment(row.due.astimezone(zone), language),
            calendar=row.calendar_version,
        )
        for language, text in said.items()
    }


def view(row: ClockRow) -> ClockState:
    """A row as its workflow holds it."""
    duty = duty_for(row.organisation, row.duty)
    return ClockState(
        duty=row.duty,
        subject=row.subject,
        n=row.n,
        kind=row.kind,
        status=row.status,  # type: ignore[arg-type]  # a CHECK of the table
        clause=duty.clause,
        title=duty.title.en,
        owner=duty.owner,
        escalation=duty.escalation,
        can_be_late=row.can_be_late,
        anchor_at=row.anchor_at,
        due=row.due,
        latest=row.latest,
        reminders=tuple(datetime.fromisoformat(r) for r in row.reminders),
        shown=shown(row),
        day=row.last_day,
        latest_day=row.latest_day,
    )
