"""Task: a duty of the organisation itself, done by its owner within its term, with what proves it; and what follows."""

from __future__ import annotations

from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, REST, Case, Item, accepts, utc

with workflow.unsafe.imports_passed_through():
    from models.case import Act, Change, Evidence, Message, Outcome, Reopen, ReportBounce, Start, Stop, Tick, Void
    from models.common import in_words
    from models.operator import SYSTEM
    from models.task import (
        INFORMATION,
        ApproveAssessment,
        CompleteAnalysis,
        CompleteTask,
        DecideGate,
        Done,
        DropProcessing,
        DropTurn,
        GiveInformation,
        MoveTurn,
        RecordAdvice,
        RecordTraining,
        RemedyExcess,
        ReportExcess,
        StartConsultation,
        TaskBody,
        WaiveInformation,
        happened_on,
    )

TURNS: tuple[type[Message], ...] = (DropTurn, MoveTurn)


@workflow.defn(name="Task")
class Task(Case):
    """One task, or one turn of a duty that recurs: it stays open, and late, until somebody proves that it was done."""

    kind = "task"
    body_model = TaskBody
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "doing": (CompleteTask, *TURNS),
        "training": (RecordTraining, *TURNS),
        "documenting": (),
        "analysing": (CompleteAnalysis, *TURNS),
        "reporting": (ReportExcess,),
        "remedying": (RemedyExcess,),
        "assessing": (ApproveAssessment, DropProcessing),
        "consulting": (StartConsultation, DropProcessing),
        "awaiting_advice": (RecordAdvice, DropProcessing, ReportBounce),
        "deciding": (DecideGate, DropProcessing),
        "informing": (GiveInformation, WaiveInformation),
        "resting": (ReportBounce,),
    }

    complete_task = accepts(CompleteTask)
    record_training = accepts(RecordTraining)
    complete_analysis = accepts(CompleteAnalysis)
    report_excess = accepts(ReportExcess)
    remedy_excess = accepts(RemedyExcess)
    approve_assessment = accepts(ApproveAssessment)
    start_consultation = accepts(StartConsultation)
    record_advice = accepts(RecordAdvice)
    drop_processing = accepts(DropProcessing)
    decide_gate = accepts(DecideGate)
    give_information = accepts(GiveInformation)
    waive_information = accepts(WaiveInformation)
    drop_turn = accepts(DropTurn)
    move_turn = accepts(MoveTurn)
    report_bounce = accepts(ReportBounce)

    body: TaskBody

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Outcome:
        """Live the task; the input is a `StartCase`."""
        return await self.live(message, *more)

    # ---- stages: how it begins --------------------------------------------------------------------------------------

    async def doing(self) -> None:
        """Its owner does it, and says what proves it."""
        if await self._begins():
            return
        match await self.next():
            case Item(message=CompleteTask() as m) as item:
                await self._done(item, m, "done", facts={"document": m.document}, to=CLOSED, outcome="done")
            case event:
                await self._turned(event)

    async def training(self) -> None:
        """The training is held."""
        if await self._begins():
            return
        match await self.next():
            case Item(message=RecordTraining() as m) as item:
                facts = {"topic": m.topic, "participants": m.participants, "attendance_list": m.attendance_list}
                if self.body.follows:
                    await self._done(item, m, "training_held", facts=facts, to="documenting")
                else:
                    await self._done(item, m, "training_held", facts=facts, to=CLOSED, outcome="done")
            case event:
                await self._turned(event)

    async def analysing(self) -> None:
        """The department's data are analysed: with nothing found it ends here."""
        if await self._begins():
            return
        match await self.next():
            case Item(message=CompleteAnalysis() as m) as item:
                facts = {"document": m.document, "excess": m.excess}
                if m.excess:
                    await self._done(item, m, "analysed", facts=facts, to="reporting")
                else:
                    await self._done(item, m, "analysed", facts=facts, to=CLOSED, outcome="nothing_found")
            case event:
                await self._turned(event)

    async def assessing(self) -> None:
        """The processing waits for the assessment of its impact: a gate, so no term runs."""
        if await self._begins():
            return
        match await self.next():
            case Item(message=ApproveAssessment() as m) as item:
                facts = {"document": m.document, "consult": m.consult}
                if m.consult:
                    await self._done(item, m, "assessment_approved", facts=facts, to="consulting")
                else:
                    await self._done(item, m, "assessment_approved", facts=facts, to=CLOSED, outcome="may_start")
            case Item(message=DropProcessing() as m) as item:
                await self._given_up(item, m)

    async def deciding(self) -> None:
        """What is planned waits until it is decided: a gate, so no term runs."""
        if await self._begins():
            return
        match await self.next():
            case Item(message=DecideGate() as m) as item:
                facts: dict[str, Any] = {"document": m.document, "may_start": m.may_start, "met": list(m.met)}
                if m.ground is not None:
                    facts |= {"ground": m.ground, "ground_clause": self.body.grounds[m.ground]}
                await self.record(
                    "decided",
                    said=item,
                    duty=self.body.duty,
                    facts={"by": m.actor, **self._on(m), **facts},
                    acts=(self._checked(m),),
                    to=CLOSED,
                    outcome="may_start" if m.may_start else "may_not_start",
                    body=self.body.model_copy(update={"decided_on": m.decided_on, "ground": m.ground}),
                )
            case Item(message=DropProcessing() as m) as item:
                await self._given_up(item, m)

    async def informing(self) -> None:
        """The person is given the information, or it is said why that need not be."""
        if await self._begins(tell=False):
            return
        body = self.body
        match await self.next():
            case Item(message=GiveInformation() as m) as item:
                # what was given before the data came, by an advertisement, was in time: no proof lies before its clock
                evidence = Evidence(
                    kind="information_given",
                    happened_at=max(m.given_at, body.since),
                    reference=m.document,
                    by_person=True,
                    correction=m.correction,
                )
                stop = Stop(duty=body.duty, subject=body.subject, evidence=evidence)
                facts = {
                    "by": m.actor,
                    "given_at": m.given_at.isoformat(),
                    "version": m.version,
                    "way": m.way,
                    "document": m.document,
                    "met": list(m.met),
                }
                await self.record(
                    "information_given",
                    said=item,
                    duty=body.duty,
                    facts=facts,
                    changes=(stop,) if body.clocked else (),
                    to=CLOSED,
                    outcome="done" if body.clocked else "may_start",
                )
            case Item(message=WaiveInformation() as m) as item:
                facts = {
                    "by": m.actor,
                    "ground": m.ground,
                    "ground_clause": body.waivers[m.ground],
                    "document": m.document,
                }
                await self.record(
                    "information_waived",
                    said=item,
                    duty=body.duty,
                    facts={**facts, **self._on(m)},
                    changes=self.no_more(body.duty, m.ground, body.subject),
                    acts=(self._checked(m),),
                    to=CLOSED,
                    outcome="not_needed" if body.clocked else "may_start",
                )

    # ---- stages: what follows ---------------------------------------------------------------------------------------

    async def documenting(self) -> None:
        """Date, topic and people of the training are on record, by its own clause."""
        await self.record("training_recorded", duty=self.body.follows[0], to=CLOSED, outcome="done")

    async def reporting(self) -> None:
        """The department head reports what was found."""
        duty, remedy = self.body.follows
        if await self._follows(duty, "excess_found"):
            return
        match await self.next():
            case Item(message=ReportExcess() as m) as item:
                await self.record(
                    "excess_reported",
                    said=item,
                    duty=duty,
                    facts={"by": m.actor, "told": m.told, "document": m.document, "then": remedy},
                    changes=(self._stop(m, duty, "excess_data_reported"),),
                    to="remedying",
                )

    async def remedying(self) -> None:
        """What was found is remedied and the records of processing corrected; the document gives no term for it."""
        match await self.next():
            case Item(message=RemedyExcess() as m) as item:
                await self.record(
                    "excess_remedied",
                    said=item,
                    duty=self.body.follows[1],
                    facts={"by": m.actor, "document": m.document, "records": m.records, **self._on(m)},
                    acts=(self._checked(m),),
                    to=CLOSED,
                    outcome="remedied",
                )

    async def consulting(self) -> None:
        """The authority is to be asked before the processing starts."""
        [duty] = self.body.follows
        if await self._follows(duty, "consultation_needed"):
            return
        match await self.next():
            case Item(message=StartConsultation() as m) as item:
                await self.record(
                    "consultation_started",
                    said=item,
                    duty=duty,
                    facts={"by": m.actor, "document": m.document},
                    changes=(self._stop(m, duty, "consultation_started"),),
                    to="awaiting_advice",
                )
            case Item(message=DropProcessing() as m) as item:
                await self._given_up(item, m)

    async def awaiting_advice(self) -> None:
        """The processing waits until the authority has answered."""
        match await self.next():
            case Item(message=RecordAdvice() as m) as item:
                await self.record(
                    "advised",
                    said=item,
                    duty=self.body.follows[0],
                    facts={"by": m.actor, "document": m.document, "may_start": m.may_start, **self._on(m)},
                    acts=(self._checked(m),),
                    to=CLOSED,
                    outcome="may_start" if m.may_start else "may_not_start",
                )
            case Item(message=DropProcessing() as m) as item:
                await self._given_up(item, m)
            case Item(message=ReportBounce() as m) as item:
                await self._returned(item, m, to="consulting")

    async def resting(self) -> None:
        """A task that was done is opened again only for its notification, which came back."""
        if await self.rest_again():
            return
        match await self.next():
            case Item(message=ReportBounce() as m) as item:
                await self._returned(item, m, to="informing" if self._informs else "doing")

    def with_due(self, tick: Tick) -> dict[str, Any]:
        """It did not come back after all: closed again in the same step."""
        return {"entry": "closed", "to": CLOSED, "outcome": "done"} if tick.duty == REST else {}

    # ---- steps ------------------------------------------------------------------------------------------------------

    async def _begins(self, *, tell: bool = True) -> bool:
        """Start the clock, where there is a term, and tell the owner; True if that was this turn."""
        body = self.body
        if body.duty in body.began:
            return False
        start = Start(duty=body.duty, subject=body.subject, anchor_at=body.since)
        await self.record(
            "begun",
            duty=body.duty,
            facts={"since": body.since.isoformat(), "owner": body.owner},
            changes=(start,) if body.clocked else (),
            acts=(Act(name="task.tell", data={"duty": body.duty}),) if tell else (),
            body=self._with_begun(body.duty),
        )
        return True

    async def _follows(self, duty: str, entry: str) -> bool:
        """Start the clock of what follows from what was found; True if that was this turn."""
        if duty in self.body.began:
            return False
        assert self.body.found_at is not None  # the step before this one wrote it
        await self.record(
            entry,
            duty=duty,
            changes=(Start(duty=duty, anchor_at=self.body.found_at),),
            acts=(Act(name="task.tell", data={"duty": duty}),),
            body=self._with_begun(duty),
        )
        return True

    def _with_begun(self, duty: str) -> TaskBody:
        return self.body.model_copy(update={"began": (*self.body.began, duty)})

    async def _done(
        self,
        item: Item,
        m: Done | ApproveAssessment,
        entry: str,
        *,
        facts: dict[str, Any],
        to: str,
        outcome: str | None = None,
    ) -> None:
        """What was to be done is done; the next turn is counted from that day."""
        body = self.body
        stop = self._stop(m, body.duty, entry, body.subject)
        await self.record(
            entry,
            said=item,
            duty=body.duty,
            facts={"by": m.actor, **self._on(m), **facts},
            changes=(stop,) if body.clocked else (),
            acts=(self._checked(m, name="task.done"),),
            to=to,
            outcome=outcome,
        )

    async def _given_up(self, item: Item, m: DropProcessing) -> None:
        """The head gives the processing up (SE 29.2): nothing is to be assessed or asked any more."""
        duty = next(iter(self.body.follows), self.body.duty)
        await self.record(
            "processing_dropped",
            said=item,
            duty=self.body.duty,
            facts={"by": m.actor, "document": m.document, **self._on(m)},
            changes=self.no_more(duty, "processing_dropped"),
            acts=(self._checked(m),),
            to=CLOSED,
            outcome="processing_dropped",
        )

    async def _returned(self, item: Item, m: ReportBounce, *, to: str) -> None:
        """The authority was not reached: the same clock runs on, as if nothing had been sent, and the owner is told."""
        duty = self._sent()
        assert duty is not None  # asked when it was taken
        body = self.body.model_copy(update={"came_back": self.body.came_back + 1})
        await self.record(
            "bounced",
            said=item,
            duty=duty,
            facts={"notice": m.notice, "bounced_at": m.bounced_at.isoformat()},
            changes=(
                *self.no_more(REST, "bounce"),
                Reopen(duty=duty, subject=self.body.subject if duty == self.body.duty else "", reason="bounce"),
            ),
            acts=(Act(name="task.tell", data={"duty": duty, "why": f"bounced:{body.came_back}"}),),
            to=to,
            body=body,
        )

    @property
    def _informs(self) -> bool:
        """Whether it is about information that a person is given."""
        return self.body.notification == INFORMATION

    def _sent(self) -> str | None:
        """The duty whose notification was sent and can come back now; None if there is none."""
        body = self.body
        duty = body.duty if self.case.stage == "resting" else next(iter(body.follows), None)
        clock = None if duty is None else self.clocks.get(duty, body.subject if duty == body.duty else "")
        ended = clock is not None and clock.status in ("kept", "late")
        return duty if ended and duty in body.returns else None

    async def _turned(self, event: Any) -> None:
        """A person leaves this turn out, or has it counted from another day."""
        body = self.body
        match event:
            case Item(message=DropTurn() as m) as item:
                await self.record(
                    "dropped",
                    said=item,
                    duty=body.duty,
                    facts={"by": m.actor, **m.correction.model_dump()},
                    changes=(Void(duty=body.duty, subject=body.subject, reason=m.correction.reason),),
                    acts=(Act(name="task.dropped"),),
                    to=CLOSED,
                    outcome="dropped",
                )
            case Item(message=MoveTurn() as m) as item:
                moved: tuple[Change, ...] = (
                    Void(duty=body.duty, subject=body.subject, reason=m.correction.reason),
                    Start(duty=body.duty, subject=body.subject, anchor_at=m.since),
                )
                await self.record(
                    "moved",
                    said=item,
                    duty=body.duty,
                    facts={"by": m.actor, "since": m.since.isoformat(), **m.correction.model_dump()},
                    changes=moved,
                    acts=(Act(name="task.moved", data={"since": m.since.isoformat()}),),
                    body=body.model_copy(update={"since": m.since}),
                )

    def _stop(self, m: Done | ApproveAssessment, duty: str, kind: str, subject: str = "") -> Stop:
        """The end of a clock by what a person says."""
        evidence = Evidence(
            kind=kind,
            happened_on=happened_on(m),
            reference=getattr(m, "attendance_list", None) or getattr(m, "document", None),
            by_person=True,
            correction=getattr(m, "correction", None),
        )
        return Stop(duty=duty, subject=subject, evidence=evidence)

    def _checked(self, m: Message, name: str = "task.check") -> Act:
        """The store checks the day that was said: it knows what day it is there."""
        return Act(name=name, data={"on": happened_on(m).isoformat(), "since": self._not_before().isoformat()})

    def _not_before(self) -> Any:
        return self.body.found_at or self.body.since

    def _on(self, m: Message) -> dict[str, str]:
        return {"on": happened_on(m).isoformat()}

    # ---- messages ---------------------------------------------------------------------------------------------------

    def allowed(self, message: Message) -> tuple[str, ...]:
        """Why this is not possible now; all reasons."""
        faults = []
        body = self.body
        if isinstance(message, ReportBounce):
            if message.notice != body.notification:
                what = "information" if self._informs else "notification"
                faults.append(f"notice: only the {what} can come back: {body.notification}")
            if self._sent() is None:
                said = "given" if self._informs else "sent to the authority"
                faults.append(f"nothing was {said} that could come back")
            if message.bounced_at > workflow.now():
                faults.append("bounced_at: lies in the future")
            if message.bounced_at < self._not_before():
                faults.append("bounced_at: lies before it began")
        if isinstance(message, DecideGate):
            faults += self._gate_faults(message)
        if isinstance(message, GiveInformation):
            faults += self._unmet(message.met)
            if message.given_at > workflow.now():
                faults.append("given_at: lies in the future")
        if isinstance(message, WaiveInformation) and message.ground not in body.waivers:
            faults.append(f"ground: {_listed(body.waivers) or 'none: this information must be given'}")
        if isinstance(message, TURNS):
            clock = self.clocks.get(body.duty, body.subject)
            if body.n is None:
                faults.append("only a turn of a duty that recurs is dropped or moved")
            if isinstance(message, MoveTurn):
                if body.n is not None and not body.movable:
                    faults.append("a turn of a calendar year belongs to that year; it can be dropped")
                if clock is not None and clock.status == "overdue":
                    faults.append("it is overdue: what was missed is not moved")
                if message.since > workflow.now():
                    faults.append("since: lies in the future")
            correction = message.correction  # type: ignore[attr-defined]  # both have one
            if message.actor.startswith(SYSTEM):
                faults.append("actor: only an operator drops or moves a turn")
            if correction.second_person == message.actor:
                faults.append("correction.second_person: must be another one than who says it")
        return tuple(faults)

    def _gate_faults(self, m: DecideGate) -> list[str]:
        """Why what is planned cannot be let start by what was said."""
        grounds = self.body.grounds
        faults = [*self._unmet(m.met if m.may_start else tuple(self.body.points)), *self._unknown(m.met)]
        if m.ground is not None and m.ground not in grounds:
            faults.append(f"ground: {_listed(grounds) or 'the clause asks for none'}")
        if m.ground is None and m.may_start and grounds:
            faults.append(f"ground: missing; one of {_listed(grounds)}")
        return list(dict.fromkeys(faults))

    def _unmet(self, met: tuple[str, ...]) -> list[str]:
        """The conditions that were not said to be met."""
        points = self.body.points
        missing = [f"met: {point} is missing ({clause})" for point, clause in points.items() if point not in met]
        return [*missing, *self._unknown(met)]

    def _unknown(self, met: tuple[str, ...]) -> list[str]:
        points = self.body.points
        known = _listed(points) or "nothing is listed"
        return [f"met: {known}; not what was said"] if set(met) - set(points) else []

    def possible(self) -> list[type[Message]]:
        """Only what has a point now."""
        clock = self.clocks.get(self.body.duty, self.body.subject)
        late = clock is not None and clock.status == "overdue"
        turns = () if self.body.n is None else (DropTurn, MoveTurn) if self.body.movable and not late else (DropTurn,)
        hidden = {*(m for m in TURNS if m not in turns), *(() if self._sent() else (ReportBounce,))}
        hidden |= set() if self.body.waivers else {WaiveInformation}
        return [m for m in super().possible() if m not in hidden]

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the case knows of a message's fields; each condition is still to be confirmed."""
        body = self.body
        if model is ReportBounce:
            return {"notice": body.notification}
        known: dict[str, Any] = {}
        if model in (DecideGate, GiveInformation) and body.points:
            known["met"] = [f"‹{point}›" for point in body.points]
        if model is DecideGate and body.grounds:
            known["ground"] = f"‹one of: {', '.join(body.grounds)}›"
        if model is WaiveInformation:
            known["ground"] = f"‹one of: {', '.join(body.waivers)}›"
        return known

    # ---- what people see --------------------------------------------------------------------------------------------

    def waiting(self, stage: str, body: TaskBody) -> str:
        """What is waited for, and from whom."""
        owner = in_words(body.owner)
        words = {
            "doing": f"the {owner}, who does it",
            "training": f"the {owner}, who has the training held",
            "analysing": f"the {owner}, who analyses the data",
            "assessing": f"the {owner}, whose assessment is approved",
            "reporting": "the department head, who reports the excess data",
            "remedying": "the data protection officer, who has the excess data remedied",
            "consulting": "the data protection officer, who asks the authority",
            "awaiting_advice": "the authority's answer",
            "deciding": f"the {owner}, until it is decided whether it may start",
            "informing": f"the {owner}, who gives the information",
            "resting": "a notification that came back, until it closes",
        }
        return words.get(stage, "")

    def story(self) -> list[str]:
        """Which duty, what it is about, and from when it is counted."""
        body = self.body
        lines = [f"- **Duty:** {body.duty}, clause {body.clause}"]
        if body.about is not None:
            lines.append(f"- **{(body.what or 'about').capitalize()}:** {body.about}")
        if body.n is not None:
            lines.append(f"- **Turn:** {body.n}")
        lists = (("All of", body.points), ("One of", body.grounds), ("Not needed on", body.waivers))
        lines += [f"- **{name}:** {_listed(words)}" for name, words in lists if words]
        return [*lines, f"- **Counted from:** {utc(body.since)}"]


def _listed(words: dict[str, str]) -> str:
    """Conditions or grounds with their clauses."""
    return ", ".join(f"{word} ({clause})" for word, clause in words.items())
