"""Breach: a personal data breach from its first report to the closed entry in the register (GDPR 33 and 34; part D)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, REST, Case, Done, Event, Item, accepts, utc

with workflow.unsafe.imports_passed_through():
    from models.breach import (
        BATCH,
        GROUNDS,
        NEEDED,
        NOTIFY,
        TELL,
        AddFacts,
        AddRecipients,
        AssessRisk,
        BreachBody,
        CloseBreach,
        ConfirmMeasures,
        ConfirmPosted,
        ConfirmTold,
        DecideNotToNotify,
        DecideNotToTell,
        EnterRegister,
        Exemption,
        JoinBreach,
        JoinReport,
        NotifyAuthority,
        Phase,
        Reported,
        TellSubjects,
        report_faults,
    )
    from models.case import (
        Act,
        Change,
        CorrectAddress,
        Correction,
        Evidence,
        Message,
        NoticeSent,
        NoticesSent,
        Outcome,
        Reopen,
        ReportBounce,
        Start,
        Stop,
        Tick,
        Void,
    )

AUTHORITY = "authority:"
"""Begins the name of a phase, as that of a letter that can come back: `authority:1`."""
FINDING: tuple[type[Message], ...] = (AssessRisk, AddFacts, JoinReport, ConfirmTold)
"""What may be said whenever more is found."""
DOING: tuple[type[Message], ...] = (
    NotifyAuthority,
    AddRecipients,
    TellSubjects,
    CorrectAddress,
    ConfirmPosted,
    ReportBounce,
    DecideNotToNotify,
    DecideNotToTell,
    ConfirmMeasures,
    EnterRegister,
    JoinBreach,
    CloseBreach,
)


@workflow.defn(name="Breach")
class Breach(Case):
    """One breach, however many reported it: the authority in 72 hours, the people at high risk, and the register."""

    kind = "breach"
    body_model = BreachBody
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "assessing": (*FINDING, *DOING),
        "notifying": (*FINDING, *DOING),
        "registering": (*FINDING, *DOING),
        "resting": (*FINDING, NotifyAuthority, AddRecipients, ReportBounce),
    }

    join_report = accepts(JoinReport)
    join_breach = accepts(JoinBreach)
    confirm_told = accepts(ConfirmTold)
    add_facts = accepts(AddFacts)
    assess_risk = accepts(AssessRisk)
    notify_authority = accepts(NotifyAuthority)
    decide_not_to_notify = accepts(DecideNotToNotify)
    add_recipients = accepts(AddRecipients)
    tell_subjects = accepts(TellSubjects)
    decide_not_to_tell = accepts(DecideNotToTell)
    correct_address = accepts(CorrectAddress)
    confirm_posted = accepts(ConfirmPosted)
    report_bounce = accepts(ReportBounce)
    confirm_measures = accepts(ConfirmMeasures)
    enter_register = accepts(EnterRegister)
    close_breach = accepts(CloseBreach)

    body: BreachBody

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Outcome:
        """Live the breach; the input is a `StartCase`."""
        return await self.live(message, *more)

    # ---- stages -----------------------------------------------------------------------------------------------------

    async def assessing(self) -> None:
        """It was reported: the 72 hours run, and what it means for people is not known yet."""
        if not self.body.announced:
            await self._reported()
            return
        await self._take(await self.next())

    async def notifying(self) -> None:
        """The authority, and at high risk everybody who is affected; letters go out in batches beside all else."""
        if self.body.to_queue:
            await self.record("batch_queued", duty=TELL, acts=(self._queue_act(self.body),), body=self.body)
            return
        self.send(self.body.batch)
        await self._take(await self.next())

    async def registering(self) -> None:
        """Everybody was told who has to be: measures, the register's entry, and the end."""
        self.send(self.body.batch)
        await self._take(await self.next())

    async def resting(self) -> None:
        """A letter may still come back, and more may be found; then the breach closes."""
        if await self.rest_again():
            return
        await self._take(await self.next())

    def with_due(self, tick: Tick) -> dict[str, Any]:
        """The rest is over: closed in the same step."""
        return {"entry": "closed", "to": CLOSED, "outcome": self._outcome()} if tick.duty == REST else {}

    def _outcome(self) -> str:
        body = self.body
        if body.risk == "high":
            return "not_told_exempt" if body.exemption is not None else "told"
        return "notified" if body.phases else "no_risk"

    async def _take(self, event: Event) -> None:
        match event:
            case Done(result=NoticesSent(notices=proofs)) if proofs:
                await self._letters_ended(proofs)
            case Item(message=JoinReport() as m) as item:
                await self._joined(item, m)
            case Item(message=ConfirmTold() as m) as item:
                await self._told_of(item, m)
            case Item(message=AddFacts() as m) as item:
                await self._facts(item, m)
            case Item(message=AssessRisk() as m) as item:
                await self._assessed(item, m)
            case Item(message=NotifyAuthority() as m) as item:
                await self._notified(item, m)
            case Item(message=DecideNotToNotify() as m) as item:
                await self._not_notified(item, m)
            case Item(message=AddRecipients() as m) as item:
                await self._people_known(item, m)
            case Item(message=TellSubjects() as m) as item:
                await self._tell(item, m)
            case Item(message=DecideNotToTell() as m) as item:
                await self._exempted(item, m)
            case Item(message=CorrectAddress() as m) as item:
                await self._readdressed(item, m)
            case Item(message=ConfirmPosted() as m) as item:
                await self._posted(item, m)
            case Item(message=ReportBounce() as m) as item if m.notice.startswith(AUTHORITY):
                await self._returned(item, m)
            case Item(message=ReportBounce() as m) as item:
                await self._bounced(item, m)
            case Item() as item:
                await self._finish(item)

    def _then(self, body: BreachBody, changes: tuple[Change, ...] = ()) -> dict[str, Any]:
        """The stage that follows from what is owed now; what is found in the last wait ends that wait."""
        return {"to": body.place, "changes": (*self.no_more(REST, "more_was_found"), *changes), "body": body}

    # ---- reports ----------------------------------------------------------------------------------------------------

    async def _reported(self) -> None:
        """The first report: staff's own clock, the 72 hours, and a place in the register, whatever it comes to."""
        [(code, report)] = self.body.reports.items()
        body = self.body.model_copy(update={"announced": True})
        await self.record(
            "reported",
            duty=body.terms.registers[0],
            facts=_of_report(report),
            changes=(*self._told_clock(code, report), Start(duty=NOTIFY, anchor_at=body.aware_at)),
            acts=(Act(name="breach.announce", data={"report": code}),),
            body=body,
        )

    async def _joined(self, item: Item, m: JoinReport) -> None:
        """Another report: earlier awareness than was known makes the 72 hours begin earlier, also once they ended."""
        code, report = f"R{len(self.body.reports) + 1}", Reported.of(m, m.received_at)
        before = self.body.aware_at
        body = self.body.model_copy(update={"reports": {**self.body.reports, code: report}})
        earlier = body.aware_at < before
        await self.record(
            "report_joined",
            said=item,
            duty=NOTIFY if earlier else None,
            facts={"report": code, "earlier": earlier, **_of_report(report)},
            acts=(
                Act(
                    name="breach.join",
                    data={"report": code, "reporter": m.reporter, "since": body.aware_at.isoformat()}
                    | {"was": before.isoformat() if earlier else None},
                ),
            ),
            **self._then(body, (*self._told_clock(code, report), *(self._begin_earlier(body) if earlier else ()))),
        )

    def _begin_earlier(self, body: BreachBody) -> tuple[Change, ...]:
        """Count the 72 hours from the earlier awareness; a notification that was sent is judged by it too."""
        clock = self.clocks.get(NOTIFY)
        anew = Start(duty=NOTIFY, anchor_at=body.aware_at)
        gone = Void(duty=NOTIFY, reason="an earlier report joined")
        if clock is not None and clock.open:
            return (gone, anew)
        if body.phases and clock is not None and clock.status in ("kept", "late"):
            return (Reopen(duty=NOTIFY, reason="an earlier report joined"), gone, anew, _sent(body.phases[0]))
        return ()

    def _told_clock(self, code: str, report: Reported) -> tuple[Change, ...]:
        """Staff tell at once: the clock from noticing on, ended where they had told when the report came in."""
        terms = self.body.terms.reports.get(report.sort)
        if terms is None:
            return ()
        start = Start(duty=terms.duty, subject=code, anchor_at=report.noticed_at)
        told_at = self._enough(report)
        return (start,) if told_at is None else (start, self._all_told(code, report, told_at))

    def _enough(self, report: Reported) -> datetime | None:
        """When the last of those was told who must be; None: somebody is still to be told."""
        terms = self.body.terms.reports[report.sort]
        told = sorted(report.told[who] for who in terms.told if who in report.told)
        return told[terms.enough - 1] if len(told) >= terms.enough else None

    def _all_told(self, code: str, report: Reported, at: datetime, correction: Correction | None = None) -> Stop:
        evidence = Evidence(kind="told", happened_at=at, by_person=True, correction=correction)
        return Stop(duty=self.body.terms.reports[report.sort].duty, subject=code, evidence=evidence)

    async def _told_of(self, item: Item, m: ConfirmTold) -> None:
        known = self.body.reports[m.report]
        report = known.model_copy(update={"told": {**known.told, m.who: m.told_at}})
        at = self._enough(report)
        changes = () if at is None else (self._all_told(m.report, report, at, m.correction),)
        body = self.body.model_copy(update={"reports": {**self.body.reports, m.report: report}})
        await self.record(
            "told",
            said=item,
            duty=self.body.terms.reports[known.sort].duty,
            facts={"report": m.report, "who": m.who, "told_at": m.told_at.isoformat()},
            **self._then(body, changes),
        )

    # ---- facts and risk ---------------------------------------------------------------------------------------------

    async def _facts(self, item: Item, m: AddFacts) -> None:
        """What is known now; a fact that the authority has not been told so goes into its next phase."""
        body = self.body
        changed = [name for name, value in m.said.items() if getattr(body.facts, name) != value]
        body = body.model_copy(
            update={
                "facts": body.facts.model_copy(update=m.said),
                "unsaid": tuple(dict.fromkeys((*body.unsaid, *changed))),
            }
        )
        numbers = {name: value for name, value in m.said.items() if name in ("subjects", "records")}
        await self.record(
            "facts_added",
            said=item,
            duty=NOTIFY,
            facts={"known": list(m.said), "missing": list(body.facts.missing), **numbers},
            **self._then(body),
        )

    async def _assessed(self, item: Item, m: AssessRisk) -> None:
        """The first assessment, or another one: up or down, the clocks of what is owed follow it."""
        was = self.body.risk
        body = self.body.model_copy(
            update={"risk": m.risk, "risk_reason": m.reason, "assessed_at": m.assessed_at}
            | ({"not_notified": None} if m.risk != "none" else {})
            | ({"exemption": None} if m.risk != "high" else {})
        )
        changes: list[Change] = []
        if body.authority_owed and not self.clocks.running(NOTIFY):
            # it had been decided that there is no risk: what was known when is what it was
            changes.append(Start(duty=NOTIFY, anchor_at=body.aware_at))
        if m.risk != "high":
            changes += self.no_more(TELL, "no_high_risk")
        elif was != "high" and body.people_owed:
            changes.append(Start(duty=TELL, anchor_at=m.assessed_at))
        await self.record(
            "assessed",
            said=item,
            duty=body.terms.assess or (TELL if m.risk == "high" else NOTIFY),
            facts={"risk": m.risk, "was": was, "assessed_at": m.assessed_at.isoformat(), "reason": m.reason},
            **self._then(body, tuple(changes)),
        )

    # ---- the authority ----------------------------------------------------------------------------------------------

    async def _notified(self, item: Item, m: NotifyAuthority) -> None:
        """A phase was sent: the first ends the 72 hours, by when it was sent; a late one says why."""
        known = [name for name in type(self.body.facts).model_fields if name not in self.body.facts.missing]
        phase = Phase(
            sent_at=m.sent_at,
            reference=m.reference,
            facts=tuple(known),
            delay_reasons=m.delay_reasons,
            by=m.actor,
        )
        body = self.body.model_copy(update={"phases": (*self.body.phases, phase), "unsaid": (), "not_notified": None})
        stops = (_sent(phase, m.correction),) if self.clocks.running(NOTIFY) else ()
        await self.record(
            "authority_notified",
            said=item,
            duty=NOTIFY,
            facts={
                "phase": m.phase,
                "sent_at": m.sent_at.isoformat(),
                "said": known,
                "missing": list(body.facts.missing),
                "reference": m.reference,
                "reasons": m.delay_reasons,
            },
            **self._then(body, stops),
        )

    async def _returned(self, item: Item, m: ReportBounce) -> None:
        """The last phase came back: it is not said, and if it was the first the 72 hours run as they did."""
        *before, last = self.body.phases
        unsaid = tuple(dict.fromkeys((*last.facts, *self.body.unsaid)))
        body = self.body.model_copy(update={"phases": tuple(before), "unsaid": unsaid})
        clock = self.clocks.get(NOTIFY)
        ended = not before and clock is not None and clock.status in ("kept", "late")
        await self.record(
            "bounced",
            said=item,
            duty=NOTIFY,
            facts={"notice": m.notice, "bounced_at": m.bounced_at.isoformat()},
            **self._then(body, (Reopen(duty=NOTIFY, reason="bounce"),) if ended else ()),
        )

    async def _not_notified(self, item: Item, m: DecideNotToNotify) -> None:
        body = self.body.model_copy(update={"not_notified": m.reason})
        await self.record(
            "not_to_be_notified",
            said=item,
            duty=NOTIFY,
            facts={"clause": "33(1)", "reason": m.reason},
            **self._then(body, self.no_more(NOTIFY, "no_risk")),
        )

    # ---- the people -------------------------------------------------------------------------------------------------

    async def _people_known(self, item: Item, m: AddRecipients) -> None:
        """A list was loaded: its people become parties in the store; the case learns how many they are."""
        owed = self.body.risk == "high" and self.body.exemption is None
        reopened = self._owed_again("more_people_found") if owed else ()
        # who is new in the list, only the store can say; it says so in this step, and the step's stage is that of
        # people who are owed a letter: one that adds nobody is refused
        grown = self.body.model_copy(update={"people": self.body.people.add(known=1)})
        await self.record(
            "people_added",
            said=item,
            duty=TELL,
            facts={"list": m.list},
            acts=(Act(name="breach.take_people", data={"list": m.list, "people": _json(self.body.people)}),),
            **(self._then(grown, reopened) | {"body": self.body}),
        )

    async def _tell(self, item: Item, m: TellSubjects) -> None:
        """The letter is written: everybody who has not been told gets it, in batches."""
        n = self.body.letter + 1
        body = self.body.model_copy(
            update={"letter": n, "written_in": tuple(sorted(m.letter)), "exemption": None, "queued_all": False},
        )
        changes: tuple[Change, ...] = ()
        if self.body.exemption is not None and not self.clocks.running(TELL):
            changes = (Start(duty=TELL, anchor_at=workflow.now()),)
        texts = {language: text.model_dump() for language, text in m.letter.items()}
        await self.record(
            "letter_written",
            said=item,
            duty=TELL,
            facts={"letter": n, "languages": sorted(m.letter), "people": body.people.known},
            acts=(Act(name="breach.letter", data={"n": n, "contact": m.contact, "texts": texts}),),
            **self._then(body, changes),
        )

    def _queue_act(self, body: BreachBody) -> Act:
        """Queue the next letters: the store picks whose."""
        data = {"letter": body.letter, "languages": list(body.written_in), "size": BATCH}
        return Act(name="breach.queue", data=data)

    async def _letters_ended(self, proofs: tuple[NoticeSent, ...]) -> None:
        """Proofs of a batch: counted, and where nobody is left the duty is kept; else the next letters are queued."""
        ended = {proof.key for proof in proofs}
        sent = [proof.sent_at for proof in proofs if proof.sent_at is not None]
        people = self.body.people.add(told=len(sent), failed=len(proofs) - len(sent))
        for at in sent:
            people = people.told_at(at)
        batch = tuple(key for key in self.body.batch if key not in ended)
        body = self.body.model_copy(update={"people": people, "batch": batch})
        acts = (self._queue_act(body),) if body.to_queue else ()
        await self.record(
            "people_told",
            duty=TELL,
            facts={"sent": len(sent), "refused": len(proofs) - len(sent), "told": people.told, "of": people.known},
            changes=self._everybody_told(body),
            acts=acts,
            to=body.place,
            body=body,
        )

    def _everybody_told(self, body: BreachBody, correction: Correction | None = None) -> tuple[Change, ...]:
        people = body.people
        if people.left or not people.known or people.last_told_at is None or not self.clocks.running(TELL):
            return ()
        evidence = Evidence(
            kind="data_subjects_told",
            happened_at=people.last_told_at,
            by_person=people.by_person,
            correction=correction,
        )
        return (Stop(duty=TELL, evidence=evidence),)

    async def _exempted(self, item: Item, m: DecideNotToTell) -> None:
        exemption = Exemption(ground=m.ground, reason=m.reason, published_at=m.published_at, where=m.where)
        body = self.body.model_copy(update={"exemption": exemption})
        changes: tuple[Change, ...] = ()
        if self.clocks.running(TELL):
            if m.published_at is not None:
                evidence = Evidence(
                    kind="public_communication",
                    happened_at=m.published_at,
                    by_person=True,
                    correction=m.correction,
                )
                changes = (Stop(duty=TELL, evidence=evidence),)
            else:
                changes = self.no_more(TELL, m.ground)
        await self.record(
            "not_to_be_told",
            said=item,
            duty=TELL,
            facts={
                "ground": m.ground,
                "clause": GROUNDS[m.ground],
                "reason": m.reason,
                "published_at": m.published_at.isoformat() if m.published_at else None,
            },
            **self._then(body, changes),
        )

    async def _readdressed(self, item: Item, m: CorrectAddress) -> None:
        """Somebody's letter could not be sent, or there was no address: it goes to this one."""
        data = {"party": m.party, "email": m.email, **self._counts()}
        await self.record(
            "address_corrected",
            said=item,
            duty=TELL,
            facts={"party": m.party},
            acts=(Act(name="breach.readdress", data=data),),
            **self._then(self.body),
        )

    async def _posted(self, item: Item, m: ConfirmPosted) -> None:
        """Told by post: those who are named, or everybody whom mail did not reach."""
        people = self.body.people
        named = len(m.people) if m.people is not None else people.failed + people.no_mail
        # whether each of them is still to be told is for the store to say, which refuses the step if one is not
        told = people.add(told=named).told_at(m.sent_at, by_person=True)
        after = self.body.model_copy(update={"people": told})
        data = {
            "people": list(m.people) if m.people is not None else None,
            "count": named,
            "sent_at": m.sent_at.isoformat(),
            "reference": m.reference,
            **self._counts(),
        }
        await self.record(
            "people_told_by_post",
            said=item,
            duty=TELL,
            facts={"told": named, "left": told.left, "sent_at": m.sent_at.isoformat(), "reference": m.reference},
            acts=(Act(name="breach.posted", data=data),),
            **(self._then(after, self._everybody_told(after, m.correction)) | {"body": self.body}),
        )

    async def _bounced(self, item: Item, m: ReportBounce) -> None:
        """A letter came back: that person is not told, and the clock that had ended runs again."""
        people = self.body.people.add(told=-1, failed=1)
        body = self.body.model_copy(update={"people": people})
        data = {"notice": m.notice, "bounced_at": m.bounced_at.isoformat()}
        await self.record(
            "bounced",
            said=item,
            duty=TELL,
            facts=data,
            acts=(Act(name="breach.bounced", data=data),),
            **self._then(body, self._owed_again("bounce") if body.people_owed else ()),
        )

    def _owed_again(self, reason: str) -> tuple[Change, ...]:
        """Somebody is to be told after all: the clock that ended runs on; one that ended without a judgment, anew."""
        clock = self.clocks.get(TELL)
        if clock is None or clock.status == "void":
            return (Start(duty=TELL, anchor_at=workflow.now()),)
        return () if clock.open else (Reopen(duty=TELL, reason=reason),)

    def _counts(self) -> dict[str, Any]:
        return {"numbers": _json(self.body.people), "letter": self.body.letter, "batch": list(self.body.batch)}

    # ---- measures, the register, the end ----------------------------------------------------------------------------

    async def _finish(self, item: Item) -> None:
        body = self.body
        match item.message:
            case JoinBreach() as m:
                await self.record(
                    "joined",
                    said=item,
                    facts={"into": m.into},
                    changes=tuple(
                        Void(duty=c.duty, subject=c.subject, reason="joined another case") for c in self.clocks.open
                    ),
                    acts=(Act(name="breach.merge", data={"into": m.into, "actor": m.actor}),),
                    to=CLOSED,
                    outcome="joined",
                )
            case ConfirmMeasures() as m:
                facts = {"done_at": m.done_at.isoformat(), "reference": m.reference}
                body = body.model_copy(update={"measures_at": m.done_at})
                await self.record(
                    "measures_confirmed", said=item, duty=body.terms.assess, facts=facts, **self._then(body)
                )
            case EnterRegister() as m:
                body = body.model_copy(update={"entries": body.entries + 1})
                data = {"facts": m.facts, "effects": m.effects, "corrective_action": m.corrective_action}
                await self.record(
                    "registered",
                    said=item,
                    duty=body.terms.registers[-1],
                    facts={"entry": body.entries},
                    acts=(Act(name="breach.enter", data={"n": body.entries, "by": m.actor, **data}),),
                    **self._then(body),
                )
            case CloseBreach():
                await self.record(
                    "done",
                    said=item,
                    duty=body.terms.registers[-1],
                    changes=(self.rest(),),
                    to="resting",
                    facts={"result": self._outcome()},
                )

    def _lacking(self) -> tuple[str, ...]:
        """What the breach still asks for, all of it."""
        body, found = self.body, []
        for code, report in body.reports.items():
            terms = body.terms.reports.get(report.sort)
            if terms is not None and self.clocks.running(terms.duty, code):
                missing = ", ".join(who for who in terms.told if who not in report.told)
                found.append(f"{terms.duty} {code}: still to be told: {missing}")
        if body.risk is None:
            found.append("risk: not assessed")
        if body.authority_owed:
            found.append(f"{NOTIFY}: the authority is not notified, nor is it decided that it need not be")
        if body.phases:
            if lacking := [name for name in NEEDED if name in body.facts.missing]:
                found.append(f"facts: the authority was not told: {', '.join(lacking)}")
            if body.unsaid:
                found.append(f"facts: another phase is owed, for what was added since: {', '.join(body.unsaid)}")
            if self._late_without_reasons():
                found.append("delay_reasons: the notification was late, and no phase says why")
        if body.people_owed:
            people = body.people
            found.append(
                f"{TELL}: {people.left} of {people.known} people are not told"
                if people.known
                else f"{TELL}: nobody is loaded who is to be told"
            )
        if body.batch:
            found.append(f"{TELL}: {len(body.batch)} letters are on their way")
        if body.measures_at is None:
            found.append("measures: not confirmed")
        if not body.entries:
            found.append(f"{body.terms.registers[-1]}: the entry in the register is not written")
        return tuple(found)

    def _late_without_reasons(self) -> bool:
        clock = self.clocks.get(NOTIFY)
        late = clock is not None and clock.status == "late"
        return late and not any(phase.delay_reasons for phase in self.body.phases)

    # ---- conditions -------------------------------------------------------------------------------------------------

    def allowed(self, message: Message) -> tuple[str, ...]:
        """The conditions of a breach's messages: instants, reasons, phases in order, people who are to be told."""
        body, now, faults = self.body, workflow.now(), []
        second = getattr(getattr(message, "correction", None), "second_person", None)
        if second is not None and second == message.actor:
            faults.append("correction.second_person: must be another person")
        if isinstance(message, (AssessRisk, DecideNotToNotify, DecideNotToTell, CloseBreach)) and (
            message.actor.startswith("system:")
        ):
            faults.append("actor: a person decides")
        said = ("received_at", "told_at", "assessed_at", "sent_at", "published_at", "bounced_at", "done_at")
        faults += [
            f"{name}: lies in the future"
            for name in said
            if (at := getattr(message, name, None)) is not None and at > now
        ]
        match message:
            case JoinReport():
                faults += report_faults(message, message.received_at)
            case JoinBreach():
                if message.into == self.id:
                    faults.append("into: this is that case")
                if body.phases or body.people.known:
                    faults.append("the authority or people were told here: let the other case join this one")
            case ConfirmTold():
                faults += self._told_faults(message)
            case AssessRisk() if message.assessed_at < body.aware_at:
                faults.append("assessed_at: lies before the breach was known")
            case NotifyAuthority():
                faults += self._notify_faults(message)
            case ReportBounce() if message.notice.startswith(AUTHORITY):
                if not body.phases or message.notice != f"{AUTHORITY}{len(body.phases)}":
                    faults.append(f"notice: the last phase is {len(body.phases) or 'still to come'}")
                elif message.bounced_at < body.phases[-1].sent_at:
                    faults.append("bounced_at: lies before it was sent")
            case DecideNotToNotify():
                if body.risk != "none":
                    faults.append(f"only where no risk is likely (33(1)); assessed: {body.risk or 'not yet'}")
                if body.phases:
                    faults.append("the authority is notified already")
            case TellSubjects():
                faults += self._tell_faults(message)
            case DecideNotToTell():
                faults += self._exempt_faults(message)
            case CorrectAddress() | ConfirmPosted():
                faults += self._reach_faults(message)
            case ConfirmMeasures() if message.done_at < body.aware_at:
                faults.append("done_at: lies before the breach was known")
            case CloseBreach():
                faults += self._lacking()
        return tuple(faults)

    def _told_faults(self, m: ConfirmTold) -> list[str]:
        report = self.body.reports.get(m.report)
        if report is None:
            return [f"report: one of {', '.join(self.body.reports)}"]
        terms = self.body.terms.reports.get(report.sort)
        if terms is None or not self.clocks.running(terms.duty, m.report):
            return ["report: nobody is left who must be told of it"]
        faults = []
        if m.who not in terms.told:
            faults.append(f"who: {terms.duty} asks for {', '.join(terms.told)}")
        if m.told_at < report.noticed_at:
            faults.append("told_at: lies before it was noticed")
        return faults

    def _notify_faults(self, m: NotifyAuthority) -> list[str]:
        body, clock, faults = self.body, self.clocks.get(NOTIFY), []
        upcoming = len(body.phases) + 1
        if m.phase != upcoming:
            faults.append(f"phase: the next one is {upcoming}")
        if m.sent_at < body.aware_at:
            faults.append("sent_at: lies before the breach was known")
        if body.phases and m.sent_at < body.phases[-1].sent_at:
            faults.append("sent_at: lies before the phase before it")
        if clock is not None and clock.open:
            if m.sent_at >= clock.latest and m.delay_reasons is None:
                faults.append(f"delay_reasons: sent after 72 hours ({clock.shown}), so it says why (33(1))")
            if clock.status == "overdue" and m.sent_at < clock.latest and m.correction is None:
                faults.append(
                    "correction: the 72 hours are over; an earlier instant needs reason, document, second_person"
                )
        return faults

    def _tell_faults(self, m: TellSubjects) -> list[str]:
        body, faults = self.body, []
        if body.risk != "high":
            faults.append(f"only where the risk is high (34(1)); assessed: {body.risk or 'not yet'}")
        elif body.exemption is None and not body.people_owed:
            faults.append("everybody is told already")
        if missing := [one for one in body.people.languages if one not in m.letter]:
            faults.append(f"letter: not in {', '.join(sorted(missing))}, which people on the list read")
        return faults

    def _exempt_faults(self, m: DecideNotToTell) -> list[str]:
        body, faults = self.body, []
        if body.risk != "high" or not body.people_owed:
            faults.append("nobody is left who must be told")
        if m.published_at is not None and m.published_at < body.aware_at:
            faults.append("published_at: lies before the breach was known")
        clock = self.clocks.get(TELL)
        earlier = clock is not None and m.published_at is not None and m.published_at < clock.latest
        if self._overdue(TELL) and earlier and m.correction is None:
            faults.append("correction: the term is over; an earlier instant needs reason, document, second_person")
        return faults

    def _reach_faults(self, m: CorrectAddress | ConfirmPosted) -> list[str]:
        body, faults = self.body, []
        if not body.telling:
            faults.append("no letter to data subjects is going out")
        if not body.people.failed + body.people.no_mail:
            faults.append("nobody is left whom mail did not reach")
        if isinstance(m, ConfirmPosted):
            if m.sent_at < body.aware_at:
                faults.append("sent_at: lies before the breach was known")
            if m.people is not None and len(set(m.people)) != len(m.people):
                faults.append("people: somebody is named twice")
        return faults

    # ---- what people see --------------------------------------------------------------------------------------------

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the case knows of a message's fields."""
        if model is NotifyAuthority:
            more = {"delay_reasons": "‹why not within 72 hours›"} if self._overdue(NOTIFY) else {}
            return {"phase": len(self.body.phases) + 1, **more}
        if model is ReportBounce and self.body.people.told <= 0:
            return {"notice": f"{AUTHORITY}{len(self.body.phases)}"}
        if model is ConfirmTold:
            return {"report": next(iter(self._untold()), "R1")}
        if model is AddFacts and (missing := self.body.facts.missing):
            return {missing[0]: f"‹{missing[0].replace('_', ' ')}›"}
        if model is TellSubjects and (languages := sorted(self.body.people.languages)):
            text = TellSubjects.example["letter"]["lv"]
            return {"letter": dict.fromkeys(languages, text)}
        return {}

    def _overdue(self, duty: str) -> bool:
        clock = self.clocks.get(duty)
        return clock is not None and clock.status == "overdue"

    def _untold(self) -> list[str]:
        """Reports of which somebody who must be told was not."""
        reports, terms = self.body.reports, self.body.terms.reports
        return [
            code
            for code, report in reports.items()
            if report.sort in terms and self.clocks.running(terms[report.sort].duty, code)
        ]

    def possible(self) -> list[type[Message]]:
        """The messages of the stage without those that have no point now."""
        body = self.body
        hidden = {
            ConfirmTold: not self._untold(),
            # said by the command that loads them
            AddRecipients: True,
            DecideNotToNotify: body.risk != "none" or not body.authority_owed,
            TellSubjects: body.risk != "high" or (body.exemption is None and not body.people_owed),
            DecideNotToTell: not body.people_owed,
            CorrectAddress: not (body.telling and body.people.failed + body.people.no_mail),
            ConfirmPosted: not (body.telling and body.people.failed + body.people.no_mail),
            ReportBounce: body.people.told <= 0 and not body.phases,
            ConfirmMeasures: body.measures_at is not None,
            CloseBreach: bool(self._lacking()),
        }
        return [m for m in super().possible() if not hidden.get(m, False)]

    def waiting(self, stage: str, body: BreachBody) -> str:
        """What is waited for, and from whom; several things where several are owed."""
        if stage == "resting":
            return "a letter that comes back, until it closes"
        if stage == CLOSED or not body.announced:
            return ""
        officer, waits = "the data protection officer", []
        if body.risk is None:
            waits.append(f"the assessment of the risk, from {officer}")
        elif body.authority_owed:
            waits.append(
                f"the decision not to notify, from {officer}"
                if body.risk == "none"
                else f"the notification of the authority, from {officer}"
            )
        if body.people_owed:
            waits += self._waits_of_people(body, officer)
        if body.phases and body.unsaid:
            waits.append(f"the next phase for the authority, from {officer}")
        if body.risk is not None and body.measures_at is None:
            waits.append("the measures")
        if body.risk is not None and not body.entries:
            waits.append("the entry in the register")
        return "; ".join(waits) or f"the end, from {officer}"

    def _waits_of_people(self, body: BreachBody, officer: str) -> list[str]:
        people = body.people
        if not people.known:
            return [f"the list of the people affected, from {officer}"]
        if not body.letter:
            return [f"the letter to {people.known} people, from {officer}"]
        waits = []
        if body.unwritten:
            waits.append(f"the letter in {', '.join(body.unwritten)}, from {officer}")
        if body.batch:
            waits.append(f"the carrier: {people.told} of {people.known} people told")
        if unreached := people.failed + people.no_mail:
            waits.append(f"post or another address, for {unreached} whom mail does not reach")
        return waits

    def story(self) -> list[str]:
        """Awareness, risk, what the authority knows, how many people are told, and what is missing."""
        body, people = self.body, self.body.people
        sorts = ", ".join(f"{code} {report.sort}" for code, report in body.reports.items())
        lines = [
            f"- **Known since:** {utc(body.aware_at)}",
            f"- **Reports:** {sorts}",
            f"- **Risk:** {body.risk or 'not assessed'}",
        ]
        for number, phase in enumerate(body.phases, 1):
            late = ", with reasons for the delay" if phase.delay_reasons else ""
            lines.append(f"- **Authority, phase {number}:** {utc(phase.sent_at)}{late}")
        if body.not_notified is not None:
            lines.append("- **Authority:** not to be notified, no risk")
        missing = body.facts.missing
        lines.append(f"- **Facts missing:** {', '.join(missing) or 'none'}")
        if body.phases and body.unsaid:
            lines.append(f"- **Not yet said to the authority:** {', '.join(body.unsaid)}")
        if people.known:
            share = f"{max(people.told, 0)} of {people.known}"
            lines.append(f"- **People told:** {share}; {people.failed} letters failed, {people.no_mail} without e-mail")
            lines.append(f"- **To read who:** python starter.py breaches people {self.id} --left --personal")
        elif body.people_owed:
            lines.append(f"- **To say who is affected:** python starter.py breaches load {self.id} people.csv")
        if body.exemption is not None:
            lines.append(
                f"- **People not told one by one:** {body.exemption.ground} ({GROUNDS[body.exemption.ground]})"
            )
        lines.append(f"- **Measures:** {utc(body.measures_at) if body.measures_at else 'not confirmed'}")
        lines.append(f"- **Register:** {f'entry {body.entries}' if body.entries else 'no entry yet'}")
        if self.case.stage not in (CLOSED, "resting"):
            lines.append(
                f"- **For the authority:** python starter.py breaches form {self.id} --personal --out form.html"
            )
        return lines


def _sent(phase: Phase, correction: Correction | None = None) -> Stop:
    """What proves the authority notified: the first phase."""
    evidence = Evidence(
        kind="authority_notified",
        happened_at=phase.sent_at,
        reference=phase.reference,
        by_person=True,
        correction=correction,
    )
    return Stop(duty=NOTIFY, evidence=evidence)


def _of_report(report: Reported) -> dict[str, Any]:
    return {
        "sort": report.sort,
        "noticed_at": report.noticed_at.isoformat(),
        "received_at": report.received_at.isoformat(),
        "aware_at": report.aware_at.isoformat(),
        "told": {who: at.isoformat() for who, at in report.told.items()},
    }


def _json(model: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = model.model_dump(mode="json")
    return dumped
