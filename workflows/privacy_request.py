"""Privacy request: access and erasure, from receipt over identification to the proven answer (GDPR 12; part C)."""

from __future__ import annotations

from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, REST, Case, Done, Item, accepts

with workflow.unsafe.imports_passed_through():
    from activities.privacy import PrivacyActivities
    from models.case import (
        Act,
        Change,
        CorrectAddress,
        Evidence,
        Message,
        NoticeDraft,
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
    from models.privacy import (
        CHANNELS,
        EXTENSION_REASONS,
        GROUNDS,
        RIGHTS,
        WAYS,
        AskIdentification,
        Assessment,
        AssessRight,
        ConfirmAnswerSent,
        ConfirmLetterSent,
        Erased,
        ExtendRequest,
        Extension,
        Gathered,
        IdentifyPerson,
        PrivacyBody,
        PrivacyWork,
        WithdrawRequest,
    )
    from models.settlement import Label

SUBJECT = "subject"


@workflow.defn(name="PrivacyRequest")
class PrivacyRequest(Case):
    """One request of a data subject: identified, gathered, assessed, carried out, answered within the month."""

    kind = "privacy_request"
    body_model = PrivacyBody
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "identifying": (
            IdentifyPerson,
            AskIdentification,
            AssessRight,
            ExtendRequest,
            WithdrawRequest,
            CorrectAddress,
            ConfirmLetterSent,
            ReportBounce,
        ),
        "gathering": (AssessRight, ExtendRequest, WithdrawRequest, CorrectAddress, ConfirmLetterSent, ReportBounce),
        "assessing": (AssessRight, ExtendRequest, WithdrawRequest, CorrectAddress, ConfirmLetterSent, ReportBounce),
        "erasing": (ExtendRequest, CorrectAddress, ConfirmLetterSent, ReportBounce),
        "answering": (ConfirmAnswerSent, ExtendRequest, CorrectAddress, ConfirmLetterSent, ReportBounce),
        "resting": (ReportBounce,),
    }

    identify_person = accepts(IdentifyPerson)
    ask_identification = accepts(AskIdentification)
    assess_right = accepts(AssessRight)
    extend_request = accepts(ExtendRequest)
    withdraw_request = accepts(WithdrawRequest)
    correct_address = accepts(CorrectAddress)
    confirm_letter_sent = accepts(ConfirmLetterSent)
    confirm_answer_sent = accepts(ConfirmAnswerSent)
    report_bounce = accepts(ReportBounce)

    body: PrivacyBody

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Outcome:
        """Live the request; the input is a `StartCase`."""
        return await self.live(message, *more)

    # ---- stages -----------------------------------------------------------------------------------------------------

    async def identifying(self) -> None:
        """Nothing is gathered, answered or erased before it is known who asks, in a way that the controller accepts."""
        self._send_what_waits()
        if not self.body.announced:
            await self._received()
            return
        match await self.next():
            case Item(message=IdentifyPerson() as m) as item:
                await self._identified(item, m)
            case Item(message=AskIdentification()) as item:
                draft = self._identify_letter()
                await self.record(
                    "identification_asked",
                    said=item,
                    duty=self.body.terms.identity_gate,
                    facts={"accepted": self.body.accepted},
                    notices=(draft,),
                    body=self._with_letter(draft.key, "queued"),
                )
            case event:
                await self._always(event)

    async def gathering(self) -> None:
        """Every data system of the controller is asked; what they hold stays in the store, counts come back."""
        self._send_what_waits()
        self.perform("gather", PrivacyActivities.gather, PrivacyWork(case=self.id), "ask every data system")
        match await self.next():
            case Done(result=Gathered() as gathered):
                await self._gathered(gathered)
            case Done(key="gather", failure=failure):
                self.diverged = (f"privacy.gather: {failure}",)
            case event:
                await self._always(event)

    async def assessing(self) -> None:
        """Erasure is decided by a person, with a ground of the controller's list where it is not done in full."""
        self._send_what_waits()
        await self._always(await self.next())

    async def erasing(self) -> None:
        """Record by record, with a ledger and a second look; what is in use is kept and named."""
        self._send_what_waits()
        self.perform("erase", PrivacyActivities.erase, PrivacyWork(case=self.id), "erase, and look again")
        match await self.next():
            case Done(result=Erased() as erased):
                body = self.body.model_copy(update={"erased": erased})
                await self.record(
                    "erased",
                    duty=self.body.terms.own["erasure"][0],
                    facts={
                        "records": erased.erased,
                        "kept": erased.kept,
                        **({"not_marked_as_restricted": list(erased.unmarked)} if erased.unmarked else {}),
                    },
                    **self._then_answer(body),
                )
            case Done(key="erase", failure=failure):
                self.diverged = (f"privacy.erase: {failure}",)
            case event:
                await self._always(event)

    async def answering(self) -> None:
        """The answer goes out; the proof of sending ends every clock that still runs."""
        self._send_what_waits()
        if self.body.mail_refused and not self.body.gate_said:
            await self.record(
                "mail_refused",
                duty=self.body.terms.mail_gate,
                facts={
                    "reason": "health data leave by e-mail only encrypted",
                    "instead": ["portal", "post", "in_person"],
                },
                body=self.body.model_copy(update={"gate_said": True}),
            )
            return
        match await self.next():
            case Item(message=ConfirmAnswerSent() as m) as item:
                evidence = Evidence(
                    kind="answer_sent",
                    happened_at=m.sent_at,
                    happened_on=m.sent_on,
                    reference=m.reference,
                    by_person=True,
                    correction=m.correction,
                )
                sent = m.sent_at or m.sent_on
                assert sent is not None
                await self.record(
                    "answered",
                    said=item,
                    duty=self.body.terms.answer,
                    facts={"channel": m.channel, "sent": sent.isoformat(), **self._results()},
                    **self._then_rest(evidence, self.body),
                )
            case event:
                await self._always(event)

    async def resting(self) -> None:
        """The answer may still bounce; then the request closes."""
        if await self.rest_again():
            return
        await self._always(await self.next())

    def with_due(self, tick: Tick) -> dict[str, Any]:
        """The rest is over: closed in the same step. The first term is over: an extension that was not told lapses."""
        if tick.duty == REST:
            more: dict[str, Any] = {"entry": "closed", "to": CLOSED, "outcome": self._outcome()}
            if self.body.erased is not None:
                more["acts"] = (Act(name="privacy.close"),)
            return more
        extension, terms = self.body.extension, self.body.terms
        if (tick.duty, tick.subject) == (terms.answer, "") and extension is not None and extension.status == "untold":
            return {"entry": "extension_lapsed", **self._lapse(extension)}
        return {}

    # ---- receipt and identification ---------------------------------------------------------------------------------

    async def _received(self) -> None:
        """The clocks run from the first receipt. Without an accepted identification the ways are named at once."""
        body, terms = self.body, self.body.terms
        accepted = body.came_with is not None and body.came_with in terms.ways[body.channel]
        starts = tuple(Start(duty=d, subject=s, anchor_at=body.received_at) for d, s in self._answer_clocks())
        facts: dict[str, Any] = {
            "received_at": body.received_at.isoformat(),
            "rights": list(body.rights),
            "channel": body.channel,
            "came_with": body.came_with,
        }
        body = body.model_copy(update={"announced": True})
        if accepted and body.came_with == "portal_sign_in" and not body.represented:
            # the portal itself has proved who asks: nobody has to look at a document
            await self.record(
                "received_and_identified",
                duty=terms.identity_gate,
                facts={**facts, "identified_at": body.received_at.isoformat()},
                changes=(*starts, *self._gathering_clock(body.received_at)),
                acts=(self._identify_act(body.channel, "portal_sign_in", body.received_at, "portal sign-in", None),),
                to="gathering",
                body=body.model_copy(update={"identified_at": body.received_at}),
            )
            return
        notices: tuple[NoticeDraft, ...] = ()
        if not accepted:
            notices = (self._identify_letter(),)
            facts["accepted"] = body.accepted
            body = body.model_copy(update={"notices": {notices[0].key: "queued"}})
        await self.record(
            "received",
            duty=terms.identity_gate if not accepted else None,
            facts=facts,
            changes=starts,
            notices=notices,
            body=body,
        )

    async def _identified(self, item: Item, m: IdentifyPerson) -> None:
        body, terms = self.body, self.body.terms
        if body.represented:
            await self.record(
                "representation_proved",
                duty=terms.representative_gate or terms.identity_gate,
                facts={"proved_at": m.identified_at.isoformat()},
            )
        changes: list[Change] = []
        doubtful = body.asked_at is not None and body.asked_at <= m.identified_at
        if terms.restart and doubtful:
            for duty, subject in self._answer_clocks():
                clock = self.clocks.get(duty, subject)
                # an overdue clock never runs again (time, point 14)
                if clock is not None and clock.status == "running" and m.identified_at < clock.due:
                    changes.append(Void(duty=duty, subject=subject, reason="identified_later"))
                    changes.append(Start(duty=duty, subject=subject, anchor_at=m.identified_at))
        await self.record(
            "identified",
            said=item,
            duty=terms.identity_gate,
            facts={
                "way": m.way,
                "channel": m.channel or body.channel,
                "received_at": body.received_at.isoformat(),
                "asked_at": body.asked_at.isoformat() if body.asked_at else None,
                "identified_at": m.identified_at.isoformat(),
                "restarted": bool(changes),
            },
            changes=(*changes, *self._gathering_clock(m.identified_at)),
            acts=(self._identify_act(m.channel or body.channel, m.way, m.identified_at, m.document, m.representation),),
            to="gathering",
            body=body.model_copy(update={"identified_at": m.identified_at}),
        )

    def _identify_act(self, channel: str, way: str, at: Any, document: str, representation: str | None) -> Act:
        return Act(
            name="privacy.identify",
            data={
                "channel": channel,
                "way": way,
                "identified_at": at.isoformat(),
                "document": document,
                "representation": representation,
            },
        )

    def _gathering_clock(self, identified_at: Any) -> tuple[Start, ...]:
        """SE-16.6: once it is known who asks for access, their data are to be found at once."""
        duty = self.body.terms.gathering
        return (Start(duty=duty, subject="access", anchor_at=identified_at),) if duty else ()

    def _identify_letter(self) -> NoticeDraft:
        ways = [
            Label(
                lv=f"{CHANNELS[c].lv}: {WAYS[w].lv}",
                lt=f"{CHANNELS[c].lt}: {WAYS[w].lt}",
                en=f"{CHANNELS[c].en}: {WAYS[w].en}",
            ).model_dump()
            for c, accepted in self.body.terms.ways.items()
            for w in accepted
        ]
        return NoticeDraft(
            key=self._next_key("identify"),
            template="privacy-identify",
            party=SUBJECT,
            duty=self.body.terms.identity_gate,
            facts={"controller": self.body.terms.controller, "ways": ways},
        )

    # ---- gathering and deciding -------------------------------------------------------------------------------------

    async def _gathered(self, gathered: Gathered) -> None:
        body = self.body.model_copy(update={"systems": gathered.systems})
        duty = body.terms.gathering
        changes: tuple[Change, ...] = ()
        if duty is not None and self.clocks.running(duty, "access"):
            evidence = Evidence(kind="data_gathered", happened_at=gathered.at, reference=self.id)
            changes = (Stop(duty=duty, subject="access", evidence=evidence),)
        facts = {"systems": {s.system: s.held for s in gathered.systems}, "in_use": list(self._in_use(body))}
        await self.record("gathered", duty=duty, facts=facts, changes=changes, **self._then_decide(body))

    def _then_decide(self, body: PrivacyBody) -> dict[str, Any]:
        """Access is given unless a person refused it; erasure waits for a person."""
        if "erasure" in body.rights:
            assessment = body.assessments.get("erasure")
            if assessment is None:
                return {"to": "assessing", "body": body}
            if assessment.outcome != "refused" and body.erased is None:
                return {"to": "erasing", "body": body}
        return self._then_answer(body)

    async def _assessed(self, item: Item, m: AssessRight) -> None:
        assessment = Assessment(outcome=m.outcome, ground=m.ground, reason=m.reason, keep=m.keep, by=m.actor)
        body = self.body.model_copy(update={"assessments": {**self.body.assessments, m.right: assessment}})
        then: dict[str, Any] = {"body": body}
        if self.case.stage == "assessing":
            then = self._then_decide(body)
        await self.record(
            "assessed",
            said=item,
            duty=self.body.terms.own[m.right][0],
            facts={
                "right": m.right,
                "outcome": m.outcome,
                "ground": m.ground,
                "clause": self.body.terms.grounds[m.right].get(m.ground) if m.ground else None,
                "keep": list(m.keep),
            },
            **then,
        )

    # ---- the answer -------------------------------------------------------------------------------------------------

    def _then_answer(self, body: PrivacyBody) -> dict[str, Any]:
        """Everything is decided and done: the answer is queued by mail, or a person is to hand it over."""
        act = Act(name="privacy.answer")
        if body.answer_channel != "email" or not body.has_mail:
            return {"to": "answering", "acts": (act,), "body": body}
        if body.terms.health_data and self._has_copy(body):
            return {"to": "answering", "acts": (act,), "body": body.model_copy(update={"mail_refused": True})}
        draft = self._answer_letter(body)
        return {
            "to": "answering",
            "acts": (act,),
            "notices": (draft,),
            "body": body.model_copy(update={"notices": {**body.notices, draft.key: "queued"}}),
        }

    def _has_copy(self, body: PrivacyBody) -> bool:
        return "access" in body.rights and body.result("access") != "refused"

    def _answer_letter(self, body: PrivacyBody) -> NoticeDraft:
        facts: dict[str, Any] = {
            "controller": body.terms.controller,
            "authority": body.terms.authority,
            "court": True,
            "rights": [_right_line(body, right) for right in body.rights],
            "systems": [{"name": s.title.model_dump(), "found": _found_line(s.held)} for s in body.systems],
        }
        if self._has_copy(body):
            facts["attach"] = "archive"
        return NoticeDraft(
            key=self._next_key("answer"), template="privacy-answer", party=SUBJECT, duty=body.terms.answer, facts=facts
        )

    def _then_rest(self, evidence: Evidence, body: PrivacyBody) -> dict[str, Any]:
        """The answer was sent: every clock that runs ends with that evidence, and the request rests."""
        open_clocks = [c.key for c in self.clocks.open if c.duty != REST]
        extension = body.extension
        if extension is not None and extension.status == "untold":
            # the answer overtook the letter about the extension: the first term is what was kept
            extended = set(self._extended_clocks())
            changes: list[Change] = [
                Void(duty=d, subject=s, reason="answered_before_it_was_told")
                for d, s in open_clocks
                if (d, s) in extended
            ]
            open_clocks = [key for key in open_clocks if key not in extended]
            body = body.model_copy(update={"extension": extension.model_copy(update={"status": "lapsed"})})
        else:
            changes = []
        changes += [Stop(duty=d, subject=s, evidence=evidence) for d, s in open_clocks]
        return {
            "changes": (*changes, self.rest()),
            "to": "resting",
            "body": body.model_copy(update={"ended": tuple(open_clocks)}),
        }

    def _results(self) -> dict[str, Any]:
        return {"results": {right: self.body.result(right) for right in self.body.rights}}

    def _outcome(self) -> str:
        results = {self.body.result(right) for right in self.body.rights}
        return results.pop() if len(results) == 1 else "in_part"

    # ---- extension --------------------------------------------------------------------------------------------------

    async def _extend(self, item: Item, m: ExtendRequest) -> None:
        """Three months from receipt begin to run beside the first term, which ends only once the person is told."""
        duty = self.body.terms.extension
        clock = self.clocks.get(self.body.terms.answer)
        assert duty is not None
        assert clock is not None
        body = self.body.model_copy(update={"extension": Extension(reason=m.reason, status="untold")})
        draft = self._extension_letter(body)
        await self.record(
            "extended",
            said=item,
            duty=duty,
            facts={"reason": m.reason, "to_be_told_before": clock.due.isoformat()},
            changes=tuple(
                Start(duty=duty, subject=subject, anchor_at=clock.anchor_at) for _, subject in self._extended_clocks()
            ),
            notices=(draft,),
            body=body.model_copy(update={"notices": {**body.notices, draft.key: "queued"}}),
        )

    def _extension_letter(self, body: PrivacyBody) -> NoticeDraft:
        assert body.extension is not None
        return NoticeDraft(
            key=self._next_key("extension"),
            template="privacy-extension",
            party=SUBJECT,
            duty=body.terms.extension,
            facts={
                "controller": body.terms.controller,
                "reason": EXTENSION_REASONS[body.extension.reason].model_dump(),
                "new_due": {"last_day_of": [body.terms.extension, ""]},
            },
        )

    def _told(self, body: PrivacyBody, at: Any) -> tuple[PrivacyBody, tuple[Change, ...]]:
        """The letter about the extension was sent: within the first term it stands, later the first term does."""
        extension = body.extension
        clock = self.clocks.get(body.terms.answer)
        if extension is None or extension.status != "untold" or clock is None:
            return body, ()
        if at < clock.due and clock.open:
            changes: tuple[Change, ...] = tuple(
                Void(duty=d, subject=s, reason=f"extended: {extension.reason}")
                for d, s in self._answer_clocks()
                if self.clocks.running(d, s)
            )
            return body.model_copy(update={"extension": extension.model_copy(update={"status": "told"})}), changes
        lapsed = self._lapse(extension, body)
        return lapsed["body"], lapsed["changes"]

    def _lapse(self, extension: Extension, body: PrivacyBody | None = None) -> dict[str, Any]:
        body = body or self.body
        return {
            "changes": tuple(
                Void(duty=d, subject=s, reason="not_told_within_the_first_term")
                for d, s in self._extended_clocks()
                if self.clocks.running(d, s)
            ),
            "body": body.model_copy(update={"extension": extension.model_copy(update={"status": "lapsed"})}),
        }

    # ---- letters ----------------------------------------------------------------------------------------------------

    def _send_what_waits(self) -> None:
        self.send(key for key, status in self.body.notices.items() if status == "queued")

    async def _proven(self, proofs: tuple[NoticeSent, ...]) -> None:
        """What became of letters: one that asked for identification, told an extension, or was the answer."""
        body = self.body
        changes: tuple[Change, ...] = ()
        rest: dict[str, Any] = {}
        for proof in proofs:
            body = self._with_letter(proof.key, "sent" if proof.sent_at else "refused", body)
            if proof.sent_at is None:
                continue
            match proof.key.split(":")[0]:
                case "identify" if body.identified_at is None and body.asked_at is None:
                    body = body.model_copy(update={"asked_at": proof.sent_at})
                case "extension":
                    body, changes = self._told(body, proof.sent_at)
                case "answer" if self.case.stage == "answering":
                    evidence = Evidence(kind="answer_sent", happened_at=proof.sent_at, reference=proof.reference)
                    rest = {"evidence": evidence}
        facts: dict[str, Any] = {p.key: p.refused or "sent" for p in proofs}
        if rest:
            then = self._then_rest(rest["evidence"], body)
            ended = {(c.duty, c.subject) for c in changes if isinstance(c, Void)}
            stops = tuple(c for c in then.pop("changes") if (c.duty, c.subject) not in ended)
            facts |= {"channel": "email", **self._results()}
            await self.record("answered", duty=self.body.terms.answer, facts=facts, changes=(*changes, *stops), **then)
            return
        await self.record("letters", facts=facts, changes=changes, body=body)

    async def _letter_confirmed(self, item: Item, m: ConfirmLetterSent) -> None:
        body = self._with_letter(m.notice, "sent")
        changes: tuple[Change, ...] = ()
        if m.notice.startswith("identify:") and body.identified_at is None and body.asked_at is None:
            body = body.model_copy(update={"asked_at": m.sent_at})
        if m.notice.startswith("extension:"):
            body, changes = self._told(body, m.sent_at)
        await self.record(
            "letter_confirmed",
            said=item,
            facts={
                "notice": m.notice,
                "channel": m.channel,
                "sent_at": m.sent_at.isoformat(),
                "reference": m.reference,
            },
            changes=changes,
            body=body,
        )

    async def _bounced(self, item: Item, m: ReportBounce) -> None:
        """A letter came back: what it had ended runs again, by the same due date (time, point 13)."""
        body = self._with_letter(m.notice, "refused")
        changes: list[Change] = []
        to = None
        duty = body.terms.answer
        match m.notice.split(":")[0]:
            case "answer":
                changes = [Reopen(duty=d, subject=s, reason="bounce") for d, s in body.ended]
                changes += self.no_more(REST, "bounce")
                body, to = body.model_copy(update={"ended": ()}), "answering"
            case "extension" if body.extension is not None and body.extension.status == "told":
                duty = body.terms.extension or duty
                former = self.clocks.get(body.terms.answer)
                assert former is not None
                changes = [Start(duty=d, subject=s, anchor_at=former.anchor_at) for d, s in self._answer_clocks()]
                untold = body.extension.model_copy(update={"status": "untold"})
                body = body.model_copy(update={"extension": untold})
            case "identify":
                duty = body.terms.identity_gate or duty
                # what never arrived asked for nothing: the clock of a person who was not asked does not wait
                body = body.model_copy(update={"asked_at": None})
        await self.record(
            "bounced",
            said=item,
            duty=duty,
            facts={"notice": m.notice, "bounced_at": m.bounced_at.isoformat()},
            changes=tuple(changes),
            acts=(Act(name="notice.bounced", data={"notice": m.notice, "bounced_at": m.bounced_at.isoformat()}),),
            to=to,
            body=body,
        )

    async def _correct_address(self, item: Item, m: CorrectAddress) -> None:
        """Another address: the letters that could not be sent to the old one are sent anew, if they still matter."""
        body = self.body.model_copy(update={"has_mail": True})
        drafts = []
        for what in ("identify", "extension", "answer"):
            letters = {k: s for k, s in body.notices.items() if k.startswith(f"{what}:")}
            if "refused" not in letters.values() or {"queued", "sent"} & set(letters.values()):
                continue
            if what == "identify" and body.identified_at is None:
                drafts.append(self._identify_letter())
            elif what == "extension" and body.extension is not None and body.extension.status == "untold":
                drafts.append(self._extension_letter(body))
            elif what == "answer" and self.case.stage == "answering":
                drafts.append(self._answer_letter(body))
        await self.record(
            "address_corrected",
            said=item,
            facts={"party": m.party, "again": [d.key for d in drafts]},
            acts=(Act(name="party.set_address", data={"party": m.party, "email": m.email}),),
            notices=tuple(drafts),
            body=body.model_copy(update={"notices": {**body.notices, **{d.key: "queued" for d in drafts}}}),
        )

    # ---- at any stage -----------------------------------------------------------------------------------------------

    async def _always(self, event: Any) -> None:
        """What more than one stage takes, in the same way."""
        match event:
            case Done(result=NoticesSent(notices=proofs)):
                await self._proven(proofs)
            case Item(message=AssessRight() as m) as item:
                await self._assessed(item, m)
            case Item(message=ExtendRequest() as m) as item:
                await self._extend(item, m)
            case Item(message=CorrectAddress() as m) as item:
                await self._correct_address(item, m)
            case Item(message=ConfirmLetterSent() as m) as item:
                await self._letter_confirmed(item, m)
            case Item(message=ReportBounce() as m) as item:
                await self._bounced(item, m)
            case Item(message=WithdrawRequest() as m) as item:
                await self.record(
                    "withdrawn",
                    said=item,
                    facts={"withdrawn_at": m.withdrawn_at.isoformat(), "document": m.document},
                    changes=tuple(
                        Void(duty=c.duty, subject=c.subject, reason="the request was withdrawn")
                        for c in self.clocks.open
                    ),
                    to=CLOSED,
                    outcome="withdrawn",
                )

    # ---- conditions -------------------------------------------------------------------------------------------------

    def allowed(self, message: Message) -> tuple[str, ...]:
        """The conditions of a request's messages: instants, accepted ways, grounds, one extension in the first term."""
        now, body = workflow.now(), self.body
        match message:
            case IdentifyPerson():
                return self._identification_faults(message)
            case AssessRight():
                return self._assessment_faults(message)
            case ExtendRequest():
                return self._extension_faults()
            case WithdrawRequest() if message.withdrawn_at > now:
                return ("withdrawn_at: lies in the future",)
            case CorrectAddress() if message.party != SUBJECT:
                return (f"party: {SUBJECT}",)
            case ConfirmLetterSent():
                faults = []
                waiting = [k for k, s in body.notices.items() if s == "refused" and not k.startswith("answer:")]
                if message.notice not in waiting:
                    faults.append("notice: mail has not failed to take it; failed: " + (", ".join(waiting) or "none"))
                if message.sent_at > now:
                    faults.append("sent_at: lies in the future")
                if message.sent_at < body.received_at:
                    faults.append("sent_at: lies before the receipt of the request")
                return tuple(faults)
            case ConfirmAnswerSent():
                faults = []
                if message.channel == "email" and body.mail_refused:
                    faults.append(f"channel: {_clause(body)}: health data by e-mail only encrypted; portal or post")
                if message.correction is not None and message.correction.second_person == message.actor:
                    faults.append("correction.second_person: must be another person")
                if message.sent_at is not None and message.sent_at > now:
                    faults.append("sent_at: lies in the future")
                return tuple(faults)
            case ReportBounce():
                faults = []
                sent = [k for k, s in body.notices.items() if s == "sent"]
                if message.notice not in sent:
                    faults.append("notice: no such letter was sent; sent: " + (", ".join(sent) or "none"))
                elif (self.case.stage in ("answering", "resting")) != message.notice.startswith("answer:"):
                    faults.append("notice: only the answer can still be taken back")
                if message.bounced_at > now:
                    faults.append("bounced_at: lies in the future")
                return tuple(faults)
        return ()

    def _identification_faults(self, m: IdentifyPerson) -> tuple[str, ...]:
        body = self.body
        channel = m.channel or body.channel
        faults = []
        if m.way not in body.terms.ways[channel]:
            faults.append(f"way: not accepted {CHANNELS[channel].en}; accepted: {body.accepted}")
        if body.represented and m.representation is None:
            gate = body.terms.representative_gate or body.terms.identity_gate
            faults.append(f"representation: a representative proves the right to represent ({gate})")
        if m.identified_at > workflow.now():
            faults.append("identified_at: lies in the future")
        if m.identified_at < body.received_at:
            faults.append("identified_at: lies before the receipt of the request")
        return tuple(faults)

    def _assessment_faults(self, m: AssessRight) -> tuple[str, ...]:
        body = self.body
        if m.right not in body.rights:
            return (f"right: not asked for; asked for: {', '.join(body.rights)}",)
        if m.right == "erasure" and self.case.stage != "assessing":
            return ("right: erasure is decided once the data are gathered",)
        faults = []
        if m.actor.startswith("system:"):
            faults.append("actor: a person decides")
        grounds = body.terms.grounds[m.right]
        if m.outcome == "fulfilled":
            if m.ground or m.reason or m.keep:
                faults.append("ground, reason, keep: only where it is not fulfilled")
            if m.right == "erasure" and (in_use := self._in_use(body)):
                faults.append(f"outcome: in use and kept: {', '.join(in_use)}; in_part with a ground")
        else:
            if m.ground not in grounds:
                accepted = ", ".join(f"{g} ({clause})" for g, clause in grounds.items())
                faults.append(f"ground: one of the controller's: {accepted}")
            if not m.reason:
                faults.append("reason: the person is told why")
        if m.keep and (m.right != "erasure" or m.outcome != "in_part"):
            faults.append("keep: only for an erasure in part")
        return tuple(faults)

    def _extension_faults(self) -> tuple[str, ...]:
        body, terms = self.body, self.body.terms
        clock = self.clocks.get(terms.answer)
        if terms.extension is None:
            clause = f"{terms.answer}: clause {clock.clause}" if clock else terms.answer
            return (f"{clause} of this controller's document knows no extension",)
        if body.extension is not None:
            return (f"{terms.extension}: a request is extended at most once",)
        if clock is None or clock.status != "running" or workflow.now() >= clock.due:
            return (f"{terms.extension}: only within the first month, which is over; the first term stands",)
        return ()

    # ---- helpers ----------------------------------------------------------------------------------------------------

    def _answer_clocks(self) -> list[tuple[str, str]]:
        """Duty and subject of the first term: once for the whole request, and for each right its own."""
        own = [(duty, right) for right in self.body.rights for duty in self.body.terms.own[right]]
        return [(self.body.terms.answer, ""), *own]

    def _extended_clocks(self) -> list[tuple[str, str]]:
        """The same subjects under the extension's row."""
        duty = self.body.terms.extension
        return [(duty, subject) for subject in ("", *self.body.rights)] if duty else []

    def _in_use(self, body: PrivacyBody) -> tuple[str, ...]:
        return tuple(record for s in body.systems for record in s.in_use)

    def _with_letter(self, key: str, status: str, body: PrivacyBody | None = None) -> PrivacyBody:
        body = body or self.body
        return body.model_copy(update={"notices": {**body.notices, key: status}})

    def _next_key(self, what: str) -> str:
        """`answer:subject:2`: the n-th letter of its sort."""
        n = sum(key.startswith(f"{what}:") for key in self.body.notices) + 1
        return f"{what}:{SUBJECT}:{n}"

    # ---- what people see --------------------------------------------------------------------------------------------

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the case knows of a message's fields."""
        if model is CorrectAddress:
            return {"party": SUBJECT}
        if model is IdentifyPerson:
            return {"channel": self.body.channel} | (
                {"representation": "‹reference to the proof›"} if self.body.represented else {}
            )
        if model is AssessRight:
            return {"right": "erasure" if self.case.stage == "assessing" else "access"}
        if model is ConfirmAnswerSent and (self.body.mail_refused or self.body.answer_channel != "email"):
            return {"channel": "portal" if self.body.mail_refused else self.body.answer_channel}
        status = {ReportBounce: "sent", ConfirmLetterSent: "refused"}.get(model)
        letter = next((k for k, s in reversed(self.body.notices.items()) if s == status), None)
        return {"notice": letter} if letter else {}

    def possible(self) -> list[type[Message]]:
        """The messages of the stage without those that could not be taken now."""
        body = self.body
        refused = any(s == "refused" and not k.startswith("answer:") for k, s in body.notices.items())
        hidden = {
            AssessRight: "access" not in body.rights and self.case.stage != "assessing",
            ExtendRequest: bool(self._extension_faults()),
            ConfirmLetterSent: not refused,
            ReportBounce: "sent" not in body.notices.values(),
        }
        return [m for m in super().possible() if not hidden.get(m, False)]

    def waiting(self, stage: str, body: PrivacyBody) -> str:
        """What is waited for, and from whom."""
        match stage:
            case "identifying":
                return f"the person's identification, from the privacy handler; accepted: {body.accepted}"
            case "gathering":
                return "the data systems"
            case "assessing":
                return "the decision about erasure, from the privacy handler"
            case "erasing":
                return "the erasure in the data systems"
            case "answering" if any(k.startswith("answer:") and s == "queued" for k, s in body.notices.items()):
                return "the mail carrier's proof of the answer"
            case "answering" if body.mail_refused:
                return "proof from the privacy handler that the answer was sent by portal or post, not by e-mail"
            case "answering":
                return f"proof from the privacy handler that the answer was sent ({body.answer_channel})"
            case "resting":
                return "a bounce, until the request closes"
        return ""

    def story(self) -> list[str]:
        """Rights, identification, systems, extension, and letters that did not arrive."""
        body = self.body
        received = f"{body.received_at:%Y-%m-%d %H:%M %Z}"
        lines = [f"- **Asked for:** {', '.join(body.rights)}; by {body.channel}, received {received}"]
        if body.identified_at:
            lines.append(f"- **Identified:** {body.identified_at:%Y-%m-%d %H:%M %Z}")
        else:
            lines.append(f"- **Not identified.** Came with: {body.came_with or 'nothing'}")
        for right, assessment in body.assessments.items():
            ground = f" ({assessment.ground})" if assessment.ground else ""
            lines.append(f"- **{right}:** {assessment.outcome}{ground}")
        for system in body.systems:
            used = f", in use: {', '.join(system.in_use)}" if system.in_use else ""
            lines.append(f"- **{system.system}:** {system.held} records{used}")
        if body.erased:
            kept = ", ".join(f"{record} ({ground})" for record, ground in body.erased.kept.items())
            lines.append(f"- **Erased:** {body.erased.erased} records" + (f"; kept: {kept}" if kept else ""))
        if body.extension:
            lines.append(f"- **Extended:** {body.extension.reason}, {body.extension.status}")
        lines += [f"- **Letter not sent:** {key}" for key, status in body.notices.items() if status == "refused"]
        return lines


def _clause(body: PrivacyBody) -> str:
    return body.terms.mail_gate or "GDPR 32"


def _found_line(n: int) -> dict[str, str]:
    if n == 0:
        return {"lv": "nekas netiek glabāts", "lt": "nieko nesaugoma", "en": "nothing held"}
    return {"lv": f"ieraksti: {n}", "lt": f"įrašų: {n}", "en": f"records: {n}"}


def _right_line(body: PrivacyBody, right: Any) -> dict[str, Any]:
    """A right in the answer: its result, and where it was not done in full the ground, the reasons and what is kept."""
    assessment = body.assessments.get(right)
    outcome = body.result(right)
    line: dict[str, Any] = {"title": RIGHTS[right].model_dump(), "outcome": outcome, "ground": None, "clause": None}
    if outcome == "fulfilled":
        return line
    ground = (assessment.ground if assessment else None) or "legal_claim"
    reason = assessment.reason if assessment else None
    kept = ", ".join(body.erased.kept) if right == "erasure" and body.erased else ""
    words = {
        "lv": "Paturēts: {kept}. Šo datu apstrāde ir ierobežota; kad pamats beigsies, varat lūgt tos dzēst no jauna.",
        "lt": "Palikta: {kept}. Šių duomenų tvarkymas apribotas; pagrindui išnykus, galite vėl prašyti ištrinti.",
        "en": "Kept: {kept}. These data are restricted; once the ground ends, you may ask for their erasure again.",
    }
    line["ground"] = {
        language: ". ".join(
            part
            for part in (getattr(GROUNDS[ground], language), reason, text.format(kept=kept) if kept else None)
            if part
        )
        for language, text in words.items()
    }
    line["clause"] = body.terms.grounds[right].get(ground)
    return line
