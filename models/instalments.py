"""The words of instalments: what a decision leaves to a written agreement, its schedule, and the end of a right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from models.case import Day, Instant, Message, Text
from models.common import Model
from models.settlement import NONE, Head, Money

CLAUSES: Mapping[Head, str] = {Head.lost_capacity: "9.2.3", Head.death: "9.2.4"}
"""The heads of which a written agreement says how they are paid, and by which clause."""
BY_AGREEMENT: tuple[Head, ...] = tuple(CLAUSES)
AHEAD = 2
"""How many instalments of a schedule a claim carries: the next one, and the one after it. The store has them all."""

ClaimantCode = Annotated[str, StringConstraints(pattern=r"^C[1-9][0-9]*$")]
AgreedHead = Literal["lost_capacity", "death"]


# ---- what a claim remembers -----------------------------------------------------------------------------------------


class HeadByAgreement(Model):
    """What a decision gives of a head and leaves to a written agreement."""

    head: Head
    amount: Money
    right_ends: date | None = None
    """The last day of the dependant's right, where the proof of the loss has it (9.2.4)."""


class Instalment(Model):
    """One payment of a schedule."""

    n: int
    due_on: date
    amount: Money

    @property
    def day(self) -> datetime:
        """The anchor of the clock of its payment."""
        return datetime.combine(self.due_on, time(12), UTC)

    @property
    def eve(self) -> datetime:
        """The anchor of the clock of its order, so that it is free from the first instant of the agreed day."""
        return self.day - timedelta(days=1)


class Agreement(Model):
    """What of a decision is paid to a claimant by a written agreement: before it is reported, and after."""

    claimant: str
    head: Head
    decision: int
    amount: Money
    """EUR that the decision leaves to it."""
    right_ends: date | None = None
    """See `HeadByAgreement`."""
    concluded: bool = False
    next: tuple[Instalment, ...] = ()
    """The first of the instalments that are not ordered yet, at most `AHEAD`."""
    last_on: date | None = None
    """The day of the last instalment."""
    confirmed_at: datetime | None = None
    """When somebody last said that the right lasts or when it ended."""
    ends: tuple[date, ...] = ()
    """The days on which the right ends, those without an answer; the first is the one that is asked about."""

    @property
    def subject(self) -> str:
        """The subject of its clocks: `C1.death`, of a later decision `C1.death.2`."""
        return f"{self.claimant}.{self.head}" + (f".{self.decision}" if self.decision > 1 else "")

    @property
    def payment(self) -> str:
        """What the keys of its payments begin with: `C1:death`, of a later decision `C1:death-2`."""
        return f"{self.claimant}:{self.head}" + (f"-{self.decision}" if self.decision > 1 else "")

    @property
    def open(self) -> bool:
        """Something of it is still to be ordered, or to be agreed."""
        return bool(self.next) or not self.concluded

    @property
    def asked_about(self) -> date | None:
        """The day of the right's end that needs an answer, since instalments fall after it."""
        return self.ends[0] if self.next and self.ends and self.last_on and self.ends[0] < self.last_on else None

    @property
    def free(self) -> Instalment | None:
        """The next instalment, unless it falls after a day on which the right ends and nobody has answered."""
        if not self.next or (self.ends and self.next[0].due_on > self.ends[0]):
            return None
        return self.next[0]


# ---- what people say ------------------------------------------------------------------------------------------------


class Planned(Model):
    """One instalment as agreed."""

    due_on: Day
    amount: Money


class OfAgreement(Message):
    """A message about what a claimant gets by a written agreement."""

    claimant: ClaimantCode = Field(description="C1, C2, …")
    head: AgreedHead = Field(description="lost_capacity or death")
    decision: int = Field(default=1, ge=1, description="the number of the decision, if it is not the first")

    def among(self, agreements: Iterable[Agreement]) -> Agreement | None:
        """The agreement that it is about."""
        said = (self.claimant, self.head, self.decision)
        return next((a for a in agreements if (a.claimant, a.head, a.decision) == said), None)


class AgreeInstalments(OfAgreement):
    """A written agreement says when what was decided is paid (9.2.3, 9.2.4)."""

    agreed_at: Instant = Field(description="when it was signed, such as 2026-11-21T10:00+02:00")
    reference: Text = Field(description="where the agreement is kept")
    duty_to_report: bool = Field(
        description="true if the agreement obliges to report the end of the right at once; of a death it must (9.2.4)"
    )
    schedule: tuple[Planned, ...] = Field(min_length=1, description="list of due_on (YYYY-MM-DD) and amount in EUR")
    right_ends: tuple[Day, ...] = Field(
        description="list of the days on which the right ends by the agreement, such as the day before the 18th "
        "birthday; each is asked about; empty if none does"
    )

    def faults(self, agreement: Agreement | None, now: datetime) -> tuple[str, ...]:
        """Why it cannot be: every fault, by what the decision leaves to it."""
        if agreement is None:
            return (f"claimant, head: decision {self.decision} leaves nothing of this to a written agreement",)
        if agreement.concluded:
            return ("head: an agreement on it was reported already",)
        faults = []
        if self.agreed_at > now:
            faults.append("agreed_at: lies in the future")
        if agreement.head == Head.death and not self.duty_to_report:
            faults.append("duty_to_report: an agreement with a dependant must oblige to report the end (9.2.4)")
        days = [planned.due_on for planned in self.schedule]
        if days != sorted(set(days)):
            faults.append("schedule: the days must follow each other, each once")
        if days[0] < self.agreed_at.date():
            faults.append("schedule.0.due_on: lies before the agreement")
        faults += [f"schedule.{i}.amount: nothing" for i, planned in enumerate(self.schedule) if not planned.amount]
        total = sum((planned.amount for planned in self.schedule), NONE)
        if total != agreement.amount:
            faults.append(f"schedule: adds up to {total} EUR; {agreement.amount} EUR were decided and are not ordered")
        ends = list(self.right_ends)
        if ends != sorted(set(ends)):
            faults.append("right_ends: the days must follow each other, each once")
        proven = agreement.right_ends
        if proven is not None and proven < max(days) and (not ends or min(ends) > proven):
            faults.append(
                f"right_ends: by the proof of the loss the right ends on {proven} (9.2.4); name that day first"
            )
        return tuple(faults)


class PayWhole(OfAgreement):
    """No agreement came about: what was left to one is paid at once and whole (10.5)."""

    reason: Text = Field(description="why")


class ConfirmRight(OfAgreement):
    """Whether a right lasts: asked on each day on which it ends, and said when somebody reports its end (9.2.4)."""

    example: ClassVar[dict[str, object]] = {"outcome": "lasts"}

    outcome: Literal["lasts", "ended"] = Field(description="lasts or ended")
    reason: Text = Field(description="how you know, or why it ended; of an end the claimant and the insured read it")
    until: Day | None = Field(
        default=None, description="YYYY-MM-DD, of a right that lasts its next end, if not the next day of the agreement"
    )
    ended_on: Day | None = Field(default=None, description="YYYY-MM-DD, the last day of a right that ended")

    def faults(self, agreement: Agreement | None) -> tuple[str, ...]:
        """Why it cannot be: every fault, by the agreement as it stands."""
        if agreement is None or not agreement.concluded or not agreement.next:
            return ("claimant, head: no instalments of it are still to be ordered",)
        faults = []
        if self.outcome == "ended":
            if self.ended_on is None:
                faults.append("ended_on: say the last day of the right")
            elif agreement.last_on is not None and self.ended_on >= agreement.last_on:
                faults.append(f"ended_on: no instalment falls after it; the last one is of {agreement.last_on}")
            if self.until is not None:
                faults.append("until: only of a right that lasts")
            return tuple(faults)
        if self.ended_on is not None:
            faults.append("ended_on: only of a right that ended")
        if not agreement.ends:
            faults.append("outcome: the agreement names no further day on which the right ends")
        elif self.until is not None and self.until <= agreement.ends[0]:
            faults.append(f"until: lies not after {agreement.ends[0]}, the day that is asked about")
        return tuple(faults)

    def ends_after(self, agreement: Agreement) -> tuple[date, ...]:
        """The days on which a right that lasts ends from now on."""
        later = agreement.ends[1:]
        return later if self.until is None else (self.until, *(day for day in later if day > self.until))
