"""Privacy request: every right, from receipt over identification to the proven answer (GDPR 12; part C)."""

from __future__ import annotations

from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, REST, Done, Item, accepts, utc
from workflows.person_system import AsksPeople

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
    from models.countable import FIRST_YEAR
    from models.person_system import ASKED, ReportHandling, ReportSearch
    from models.privacy import (
        CARRIED,
        CHANNELS,
        COPIES,
        EXPLAINED,
        EXTENSION_REASONS,
        REPRESENTATIVE,
        RIGHTS,
        SIGNED,
        SUBJECT,
        UNCHECKED,
        WAYS,
        AnswerPart,
        AskIdentification,
        Assessment,
        AssessRight,
        ConfirmAnswerSent,
        ConfirmDone,
        ConfirmLetterSent,
        Deed,
        Erased,
        ExtendRequest,
        Extension,
        Fee,
        Gathered,
        IdentifyPerson,
        JoinRequest,
        Lifting,
        LiftRestriction,
        PrivacyBody,
        PrivacyWork,
        RecordSteps,
        Released,
        ReportRecipients,
        ReportTold,
        ReportTransfer,
        Restricted,
        RevokeRepresentation,
        Right,
        SendEncrypted,
        Transfer,
        WithdrawRequest,
    )
    from models.privacy_answer import answer_facts, part_facts
    from models.rectification import Rectified
    from models.settlement import Label
    from models.signature import Seen


@workflow.defn(name="PrivacyRequest")
class PrivacyRequest(AsksPeople):
    """One request of a data subject: identified, gathered, assessed, carried out, answered within the month."""

    kind = "privacy_request"
    body_model = PrivacyBody
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "identifying": (
            ReportTold,
            IdentifyPerson,
            AskIdentification,
            AssessRight,
            ConfirmDone,
            ExtendRequest,
            RevokeRepresentation,
            WithdrawRequest,
            JoinRequest,
            CorrectAddress,
            ConfirmLetterSent,
            ReportBounce,
        ),
        "gathering": (
            ReportSearch,
            ReportHandling,
            AnswerPart,
            SendEncrypted,
            ReportTold,
            AssessRight,
            ConfirmDone,
            ExtendRequest,
            RevokeRepresentation,
            WithdrawRequest,
            JoinRequest,
            CorrectAddress,
            ConfirmLetterSent,
            ReportBounce,
        ),
        "assessing": (
            AssessRight,
            ConfirmDone,
            ReportHandling,
            ReportRecipients,
            AnswerPart,
            SendEncrypted,
            ReportTold,
            ExtendRequest,
            RevokeRepresentation,
            WithdrawRequest,
            JoinRequest,
            CorrectAddress,
            ConfirmLetterSent,
            ReportBounce,
        ),
        "carrying_out": (
            ConfirmDone,
            ReportHandling,
            ReportTold,
            ReportTransfer,
            ReportRecipients,
            RecordSteps,
            AssessRight,
            AnswerPart,
            SendEncrypted,
            ExtendRequest,
            RevokeRepresentation,
            WithdrawRequest,
            CorrectAddress,
            ConfirmLetterSent,
            ReportBounce,
        ),
        "erasing": (
            RevokeRepresentation,
            ReportHandling,
            SendEncrypted,
            ExtendRequest,
            CorrectAddress,
            ConfirmLetterSent,
            ReportBounce,
        ),
        "answering": (
            RevokeRepresentation,
            ReportTold,
            ConfirmAnswerSent,
            SendEncrypted,
            ExtendRequest,
            CorrectAddress,
            ConfirmLetterSent,
            ReportBounce,
        ),
        "joining": (CorrectAddress, ConfirmLetterSent, ReportBounce),
        "lifting": (ReportHandling, CorrectAddress, ConfirmLetterSent, ReportBounce),
        "resting": (ReportBounce, LiftRestriction),
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
    confirm_done = accepts(ConfirmDone)
    report_recipients = accepts(ReportRecipients)
    report_transfer = accepts(ReportTransfer)
    answer_part = accepts(AnswerPart)
    report_told = accepts(ReportTold)
    join_request = accepts(JoinRequest)
    lift_restriction = accepts(LiftRestriction)
    revoke_representation = accepts(RevokeRepresentation)
    send_encrypted = accepts(SendEncrypted)
    record_steps = accepts(RecordSteps)

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
        if await self._say_stopped():
            return
        match await self.next():
            case Item(message=IdentifyPerson() as m) as item:
                await self._identified(item, m)
            case Item(message=AskIdentification() as m) as item:
                draft = self._identify_letter()
                await self.record(
                    "identification_asked",
                    said=item,
                    duty=self.body.terms.identity_gate,
                    facts={"accepted": self.body.accepted, **({"reason": m.doubt} if m.doubt else {})},
                    notices=(draft,),
                    body=self._with_letter(draft.key, "queued"),
                )
            case event:
                await self._always(event)

    async def gathering(self) -> None:
        """Every data system of the controller is asked; what they hold stays in the store, counts come back."""
        self._send_what_waits()
        if await self._say_stopped() or await self._representation_said() or await self.asks_people():
            return
        # while people search, the machines have said already what they hold; once all have, everything is gathered anew
        if not (self.body.searching and self.body.systems):
            self.perform("gather", PrivacyActivities.gather, PrivacyWork(case=self.id), "ask every data system")
        match await self.next():
            case Done(result=Gathered() as gathered):
                await self._gathered(gathered)
            case Done(key="gather", failure=failure):
                self.diverged = (f"privacy.gather: {failure}",)
            case event:
                await self._always(event)

    async def assessing(self) -> None:
        """A person decides, with a ground of the controller's list where a right is not fulfilled in full."""
        self._send_what_waits()
        if await self.asks_people():
            return
        self._change_if_granted()
        await self._always(await self.next())

    async def carrying_out(self) -> None:
        """What was decided is done: by the own store, by people with proof, by the other controller's receipt."""
        self._send_what_waits()
        if await self._say_stopped() or await self.asks_people():
            return
        self._change_if_granted()
        await self._always(await self.next())

    def _change_if_granted(self) -> None:
        """Marks and corrections are made as soon as they are granted: they may be wanted while the rest is examined."""
        if self.body.rectifies and self.body.rectified is None:
            self.perform(
                "rectify", PrivacyActivities.rectify, PrivacyWork(case=self.id), "correct in every data system"
            )
        if self.body.granted("restriction") and self.body.restricted is None:
            self.perform("restrict", PrivacyActivities.restrict, PrivacyWork(case=self.id), "mark as restricted")

    async def erasing(self) -> None:
        """Record by record, with a ledger and a second look; what is in use is kept and named."""
        self._send_what_waits()
        if await self.asks_people():
            return
        if self.body.erased is None:
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
                        **({"kept_until": ends} if (ends := _ends(erased)) else {}),
                    },
                    # the store's clock may be a moment ahead of this one, by which the evidence will be judged
                    changes=self._recipients_clock("erasure", min(erased.at, workflow.now())),
                    **self._onward(body),
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
            case Item(message=SendEncrypted() as m) as item:
                body = self._unlocked()
                draft = self._answer_letter(body)
                await self._encrypted(item, m, (draft,), self._with_letter(draft.key, "queued", body))
            case event:
                await self._always(event)

    async def joining(self) -> None:
        """The person is told which earlier request answers this one; then it closes."""
        self._send_what_waits()
        if "queued" not in self.body.notices.values() and "sent" in {
            s for k, s in self.body.notices.items() if k.startswith("joined:")
        }:
            await self.record("closed", to=CLOSED, outcome="joined")
            return
        await self._always(await self.next())

    async def lifting(self) -> None:
        """The restriction ends only once the person was told that it will (SE-18.3, GDPR 18(3))."""
        self._send_what_waits()
        lifting = self.body.lifting
        if await self.asks_people():
            return
        if lifting is not None and lifting.status == "told" and not self.body.unanswered:
            self.perform("release", PrivacyActivities.release, PrivacyWork(case=self.id), "take the mark away")
        match await self.next():
            case Done(result=Released() as released) if lifting is not None:
                lifted = lifting.model_copy(update={"status": "lifted"})
                await self.record(
                    "restriction_lifted",
                    duty=self._lift_duty(),
                    facts={"records": released.records},
                    changes=(self.rest(),),
                    to="resting",
                    body=self.body.model_copy(update={"lifting": lifted}),
                )
            case Done(key="release", failure=failure):
                self.diverged = (f"privacy.release: {failure}",)
            case event:
                await self._always(event)

    async def resting(self) -> None:
        """The answer may still bounce, and a restriction be lifted; then the request closes."""
        if await self.rest_again():
            return
        match await self.next():
            case Item(message=LiftRestriction() as m) as item:
                draft = self._lifting_letter(m.reason)
                body = self.body.model_copy(update={"lifting": Lifting(reason=m.reason, status="untold")})
                await self.record(
                    "lifting_planned",
                    said=item,
                    duty=self._lift_duty(),
                    changes=self.no_more(REST, "the restriction is to be lifted"),
                    notices=(draft,),
                    to="lifting",
                    body=self._with_letter(draft.key, "queued", body),
                )
            case event:
                await self._always(event)

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
        clocks = (*self._answer_clocks(), *self._deed_clocks())
        starts: tuple[Change, ...] = (
            *(Start(duty=d, subject=s, anchor_at=body.received_at) for d, s in clocks),
            *self._staff_clocks(),
        )
        facts: dict[str, Any] = {
            "received_at": body.received_at.isoformat(),
            "rights": list(body.rights),
            "channel": body.channel,
            "came_with": body.came_with,
        }
        if body.duplicates:
            facts["duplicates"] = list(body.duplicates)
        if body.received_by:
            facts["received_by"] = body.received_by
        body = body.model_copy(update={"announced": True})
        if not body.needs_identity:
            # a stop of marketing harms nobody: nobody is asked who they are
            await self.record("received", facts=facts, changes=starts, to="carrying_out", body=body)
            return
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

    def _staff_clocks(self) -> tuple[Change, ...]:
        """SE-14.1, SE-14.4: what is owed by whoever on the staff was handed the request, from then on.

        Entered, it is passed on. Only who asks in person or by phone can be told anything orally.
        """
        body, terms = self.body, self.body.terms
        changes: list[Change] = []
        if body.received_by is None:
            return ()
        if terms.passing_on is not None and body.entered_at is not None:
            passed = Evidence(kind="request_passed_on", happened_at=body.entered_at, reference=self.id)
            changes.append(Start(duty=terms.passing_on, anchor_at=body.received_at))
            changes.append(Stop(duty=terms.passing_on, evidence=passed))
        if terms.telling is not None and body.channel in ("in_person", "phone"):
            changes.append(Start(duty=terms.telling, anchor_at=body.received_at))
            if body.told_at is not None:
                said = Evidence(kind="requirements_told", happened_at=body.told_at, reference=body.received_by)
                changes.append(Stop(duty=terms.telling, evidence=said))
        return tuple(changes)

    async def _told_orally(self, item: Item, m: ReportTold) -> None:
        """SE-14.4: the person was told what a request needs."""
        duty = self.body.terms.telling
        assert duty is not None  # the clock runs
        evidence = Evidence(
            kind="requirements_told",
            happened_at=m.told_at,
            reference=m.reference,
            by_person=True,
            correction=m.correction,
        )
        await self.record(
            "told_orally",
            said=item,
            duty=duty,
            facts={"by": m.by, "told_at": m.told_at.isoformat(), "reference": m.reference},
            changes=(Stop(duty=duty, evidence=evidence),),
        )

    def _untold(self) -> bool:
        """Whether somebody on the staff still has to tell the person orally what a request needs."""
        duty = self.body.terms.telling
        return duty is not None and self.clocks.running(duty)

    async def _identified(self, item: Item, m: IdentifyPerson) -> None:
        body, terms = self.body, self.body.terms
        if body.represented and not terms.signed:
            await self.record(
                "representation_proved",
                duty=terms.representative_gate or terms.identity_gate,
                facts={"proved_at": m.identified_at.isoformat()},
            )
        changes: list[Change] = []
        doubtful = body.asked_at is not None and body.asked_at <= m.identified_at
        if body.asked_at is not None and terms.doubt_by is not None and body.asked_at >= terms.doubt_by:
            # a clock waits only for who was asked without delay
            doubtful = False
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
            acts=(self._identified_act(m),),
            to="gathering",
            body=body.model_copy(update={"identified_at": m.identified_at}),
        )

    async def _representation_said(self) -> bool:
        """The gate of representatives, once the store has taken the identification; true if it was recorded now."""
        body, terms = self.body, self.body.terms
        if not body.represented or not terms.signed or body.representation_said:
            return False
        await self.record(
            "representation_proved",
            duty=terms.representative_gate or terms.identity_gate,
            facts={"proved_at": body.identified_at.isoformat() if body.identified_at else None},
            body=body.model_copy(update={"representation_said": True}),
        )
        return True

    def _identified_act(self, m: IdentifyPerson) -> Act:
        act = self._identify_act(m.channel or self.body.channel, m.way, m.identified_at, m.document, m.representation)
        more: dict[str, Any] = {}
        if m.signature is not None:
            more["signature"] = m.signature
        if m.authority is not None:
            more["authority"] = m.authority.model_dump(mode="json", exclude_none=True)
        return act.model_copy(update={"data": {**act.data, **more}}) if more else act

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

    async def _revoke(self, item: Item, m: RevokeRepresentation) -> None:
        """From now on the data subject alone is told; the request itself was made, and is answered."""
        body, terms = self.body, self.body.terms
        until = min(m.revoked_at, body.represented_until) if body.represented_until else m.revoked_at
        await self.record(
            "representation_revoked",
            said=item,
            duty=terms.representative_gate or terms.identity_gate,
            facts={"revoked_at": m.revoked_at.isoformat(), "document": m.document},
            body=body.model_copy(update={"revoked": True, "represented_until": until}),
        )

    def _reader(self, body: PrivacyBody) -> str:
        return body.reader(workflow.now())

    def _mail(self, body: PrivacyBody) -> bool:
        return body.has_mail or self._reader(body) == REPRESENTATIVE

    # ---- gathering and deciding -------------------------------------------------------------------------------------

    async def _gathered(self, gathered: Gathered) -> None:
        body = self.body.model_copy(update={"systems": gathered.systems, "unfound": gathered.unfound})
        duty = body.terms.gathering
        told = [system.system for system in gathered.systems]
        found = [one.system for one in body.asked if one.act == "search" and one.answered_at is not None]
        if body.searching or [system for system in found if system not in told]:
            # not all have answered, or the last one did while the machines were asked: gathered anew once they have
            held = {s.system: s.held for s in gathered.systems}
            await self.record("systems_gathered", duty=duty, facts={"systems": held}, body=body)
            return
        changes: tuple[Change, ...] = ()
        if duty is not None and self.clocks.running(duty, "access"):
            evidence = Evidence(kind="data_gathered", happened_at=gathered.at, reference=self.id)
            changes = (Stop(duty=duty, subject="access", evidence=evidence),)
        facts = {"systems": {s.system: s.held for s in gathered.systems}, "in_use": list(self._in_use(body))}
        if gathered.unfound:
            facts["not_found"] = list(gathered.unfound)
        await self.record("gathered", duty=duty, facts=facts, changes=changes, **self._onward(body))

    def _onward(self, body: PrivacyBody) -> dict[str, Any]:
        """Decided, then carried out, then erased, then told: erasure comes after a transfer, whose copy it would take.

        Access is given unless a person refused it; the other rights wait for a person.
        """
        if body.undecided:
            return {"to": "assessing", "body": body}
        if body.to_do:
            return {"to": "carrying_out", "body": body}
        if body.granted("erasure") and (body.erased is None or body.people_left("erase")):
            return {"to": "erasing", "body": body}
        return self._then_answer(body)

    async def _assessed(self, item: Item, m: AssessRight) -> None:
        assessment = Assessment(
            outcome=m.outcome,
            ground=m.ground,
            reason=m.reason,
            keep=m.keep,
            keep_until=m.keep_until,
            published=m.published,
            cites=m.cites,
            withheld=m.withheld,
            corrections=m.corrections,
            fee=m.fee,
            by=m.actor,
        )
        update: dict[str, Any] = {"assessments": {**self.body.assessments, m.right: assessment}}
        if m.transfer is not None:
            update["transfer"] = Transfer(feasible=m.transfer == "feasible")
        if m.right in COPIES:
            update["unfound"] = ()
        body = self.body.model_copy(update=update)
        then: dict[str, Any] = {"body": body}
        if self.case.stage in ("assessing", "carrying_out"):
            # what was gathered is written anew, without what the person does not get
            then = {"to": "gathering", "body": body} if self._changes_copy(m) else self._onward(body)
        changes: list[Change] = []
        if m.outcome == "refused":
            for duty, subject in self._deed_clocks(m.right):
                changes += self.no_more(duty, "refused", subject)
        elsewhere = body.terms.elsewhere
        if m.obtained_at is not None and elsewhere is not None and self.clocks.get(elsewhere, m.right) is None:
            changes.append(Start(duty=elsewhere, subject=m.right, anchor_at=m.obtained_at))
        facts: dict[str, Any] = {
            "right": m.right,
            "outcome": m.outcome,
            "ground": m.ground,
            "clause": self.body.terms.grounds[m.right].get(m.ground) if m.ground else None,
            "keep": list(m.keep),
        }
        if m.keep_until:
            facts["keep_until"] = m.keep_until.isoformat()
        if m.published:
            facts["published"] = True
        if m.cites:
            facts["cites"] = m.cites
        if m.withheld:
            facts["withheld"] = [w.model_dump(mode="json") for w in m.withheld]
        if m.fee:
            facts["fee"] = {"amount": f"{m.fee.amount:.2f}", "clause": self.body.terms.fees.get(m.fee.basis)}
        if m.corrections:
            # what it says stands in the message and in the store's ledger
            facts["corrections"] = [datum.category for datum in m.corrections]
        if m.transfer:
            facts["transfer"] = m.transfer
        if m.obtained_at:
            facts["obtained_at"] = m.obtained_at.isoformat()
        duty = (body.terms.transfer_gate if m.transfer else None) or self.body.terms.own[m.right][0]
        await self.record("assessed", said=item, duty=duty, facts=facts, changes=tuple(changes), **then)

    def _changes_copy(self, m: AssessRight) -> bool:
        """Whether the decision changes what the archive holds."""
        if m.right not in COPIES:
            return False
        body, before = self.body, self.body.assessments.get(m.right)
        left_out = bool(m.withheld or body.unfound or (before is not None and before.withheld))
        refused_before = before is not None and before.outcome == "refused"
        # of access alone a refusal leaves the archive as it is: it is not sent at all
        return left_out or ("portability" in body.rights and (m.outcome == "refused") != refused_before)

    # ---- carrying out -----------------------------------------------------------------------------------------------

    async def _say_stopped(self) -> bool:
        """What the register of consents stopped by itself ends its clock with that proof; whether there was something.

        It stopped when the request was opened; this step records it, and the person is told now.
        """
        right = next(iter(self.body.to_say), None)
        if right is None:
            return False
        stopped = self.body.stopped[right]
        deed = Deed(at=stopped.at, reference=self.id)
        body = self.body.model_copy(update={"done": {**self.body.done, right: deed}})
        changes = []
        for duty, subject in self._deed_clocks(right):
            if self.clocks.running(duty, subject):
                evidence = Evidence(kind=body.terms.deeds[duty], happened_at=deed.at, reference=deed.reference)
                changes.append(Stop(duty=duty, subject=subject, evidence=evidence))
        await self.record(
            "stopped",
            duty=body.terms.own[right][0],
            facts={
                "right": right,
                "stopped_at": stopped.at.isoformat(),
                "consents": stopped.consents,
                "records": stopped.records,
            },
            changes=tuple(changes),
            **self._told_now(right, self._if_done(body)),
        )
        return True

    def _told_now(self, right: Right, then: dict[str, Any]) -> dict[str, Any]:
        """While the rest still waits the person is told of a stop by a letter of its own."""
        if right in UNCHECKED and then["to"] != "answering":
            draft = self._part_letter(then["body"], (right,))
            return {**then, "notices": (draft,), "body": self._with_part(then["body"], draft, (right,))}
        return then

    async def _deed_done(self, item: Item, m: ConfirmDone) -> None:
        """A right was carried out: what a deed ends, ends with its proof; the person hears of a stop of marketing."""
        body = self.body.model_copy(
            update={"done": {**self.body.done, m.right: Deed(at=m.done_at, reference=m.reference)}}
        )
        said = Evidence(kind="", happened_at=m.done_at, reference=m.reference, by_person=True, correction=m.correction)
        changes = self._deed_ends(body, m.right, said)
        await self.record(
            "done",
            said=item,
            duty=body.terms.own[m.right][0],
            facts={"right": m.right, "done_at": m.done_at.isoformat(), "reference": m.reference},
            changes=changes,
            **self._told_now(m.right, self._if_done(body)),
        )

    def _deed_ends(self, body: PrivacyBody, right: Right, said: Evidence) -> tuple[Change, ...]:
        """What a deed ends, and what begins with it: the recipients are to hear of it."""
        changes: list[Change] = []
        for duty, subject in self._deed_clocks(right):
            if self.clocks.running(duty, subject):
                evidence = said.model_copy(update={"kind": body.terms.deeds[duty]})
                changes.append(Stop(duty=duty, subject=subject, evidence=evidence))
        if right in body.changed and said.happened_at is not None:
            changes += self._recipients_clock(right, said.happened_at)
        return tuple(changes)

    async def _rectified(self, rectified: Rectified) -> None:
        """The systems have corrected: the right is carried out, unless a person has something left to correct."""
        at = min(rectified.at, workflow.now())
        evidence = Evidence(kind="", happened_at=at, reference=self.id)
        # what is corrected stays in the store's ledger alone
        decided = self.body.assessments["rectification"].model_copy(update={"corrections": ()})
        assessments = {**self.body.assessments, "rectification": decided}
        body = self.body.model_copy(update={"rectified": rectified, "assessments": assessments})
        body, changes = self._carried_out(body, evidence)
        await self.record(
            "rectified",
            duty=body.terms.own["rectification"][0],
            facts={"records": rectified.records, "left": list(rectified.left)},
            changes=changes,
            **self._if_done(body),
        )

    def _carried_out(self, body: PrivacyBody, said: Evidence) -> tuple[PrivacyBody, tuple[Change, ...]]:
        """A rectification is carried out once systems and people have corrected everything that they hold."""
        rectified = body.rectified
        if rectified is None or rectified.left or "rectification" in body.done or body.people_left("rectify"):
            return body, ()
        assert said.happened_at is not None
        deed = Deed(at=said.happened_at, reference=said.reference or self.id)
        body = body.model_copy(update={"done": {**body.done, "rectification": deed}})
        return body, self._deed_ends(body, "rectification", said)

    def after_people(self, body: PrivacyBody, said: Evidence) -> dict[str, Any]:
        """A search leads to a gathering of everything; what is done with paper may be the last thing to do."""
        body, changes = self._carried_out(body, said)
        if self.case.stage == "erasing" and body.erased is not None:
            return {"changes": changes, **self._onward(body)}
        return {"changes": changes, **self._if_done(body)}

    def _if_done(self, body: PrivacyBody) -> dict[str, Any]:
        """On to the next stage, if all of this one is done."""
        if self.case.stage == "carrying_out":
            return self._onward(body)
        return {"to": self.case.stage, "body": body}

    async def _restriction_marked(self, restricted: Restricted) -> None:
        body = self.body.model_copy(update={"restricted": restricted})
        await self.record(
            "restricted",
            duty=body.terms.own["restriction"][0],
            facts={"records": restricted.records, "left": list(restricted.left)},
            **self._if_done(body),
        )

    async def _recipients_reported(self, item: Item, m: ReportRecipients) -> None:
        """DZ-14.10.1, GDPR 19: each recipient by name, told or why not."""
        body = self.body.model_copy(update={"recipients": {**self.body.recipients, m.right: m.recipients}})
        changes: list[Change] = []
        duty = body.terms.recipients
        if duty is not None and self.clocks.running(duty, m.right):
            # where nobody had to be told, that is known now
            told = max((r.told_at for r in m.recipients if r.told_at), default=workflow.now())
            evidence = Evidence(
                kind="recipients_told",
                happened_at=told,
                reference=m.reference,
                by_person=True,
                correction=m.correction,
            )
            changes.append(Stop(duty=duty, subject=m.right, evidence=evidence))
        await self.record(
            "recipients_told",
            said=item,
            duty=duty,
            facts={
                "right": m.right,
                "recipients": [r.model_dump(mode="json", exclude_none=True) for r in m.recipients],
                "reference": m.reference,
            },
            changes=tuple(changes),
            **self._if_done(body),
        )

    async def _steps_recorded(self, item: Item, m: RecordSteps) -> None:
        """SE-17.3, GDPR 17(2): which other controllers were asked to remove links and copies, and what came of it."""
        body = self.body.model_copy(update={"steps": (*self.body.steps, *m.steps)})
        await self.record(
            "steps_recorded",
            said=item,
            duty=body.terms.published,
            facts={
                "steps": [step.model_dump(mode="json", exclude_none=True) for step in m.steps],
                "reference": m.reference,
            },
            **self._if_done(body),
        )

    def _recipients_clock(self, right: Right, at: Any) -> tuple[Change, ...]:
        duty = self.body.terms.recipients
        return (Start(duty=duty, subject=right, anchor_at=at),) if duty else ()

    async def _transferred(self, item: Item, m: ReportTransfer) -> None:
        """DZ-14.9.3: the format first, then the data, then the receipt; only that lets an erasure begin."""
        transfer = self.body.transfer
        assert transfer is not None
        update = {"agreed": "agreed_at", "sent": "sent_at", "received": "received_at"}[m.step]
        agreed = m.format if m.step == "agreed" else transfer.format
        transfer = transfer.model_copy(update={update: m.at, "format": agreed})
        await self.record(
            f"transfer_{m.step}",
            said=item,
            duty=self.body.terms.transfer_gate or self.body.terms.own["portability"][0],
            facts={"at": m.at.isoformat(), "reference": m.reference, "format": agreed},
            **self._if_done(self.body.model_copy(update={"transfer": transfer})),
        )

    def _lift_duty(self) -> str:
        return self.body.terms.lift_gate or self.body.terms.own["restriction"][0]

    def _lifting_letter(self, reason: str) -> NoticeDraft:
        return NoticeDraft(
            key=self._next_key("lifting"),
            template="privacy-lifting",
            party=SUBJECT,
            duty=self._lift_duty(),
            facts={"controller": self.body.terms.controller, "reason": reason},
        )

    # ---- duplicates -------------------------------------------------------------------------------------------------

    async def _join(self, item: Item, m: JoinRequest) -> None:
        """The earlier request answers this one too; its clocks run from the first receipt, these end unjudged."""
        body = self.body.model_copy(update={"joined": m.into})
        draft = self._joined_letter(m.into)
        await self.record(
            "joined",
            said=item,
            facts={"into": m.into},
            changes=tuple(Void(duty=c.duty, subject=c.subject, reason=f"joined: {m.into}") for c in self.clocks.open),
            acts=(Act(name="privacy.join", data={"into": m.into}),),
            notices=(draft,),
            to="joining",
            body=self._with_letter(draft.key, "queued", body),
        )

    def _joined_letter(self, into: str) -> NoticeDraft:
        return NoticeDraft(
            key=self._next_key("joined"),
            template="privacy-joined",
            party=SUBJECT,
            facts={"controller": self.body.terms.controller, "earlier": into.rsplit(":", 1)[-1]},
        )

    # ---- partial answers --------------------------------------------------------------------------------------------

    def _part_letter(self, body: PrivacyBody, rights: tuple[Right, ...], key: str | None = None) -> NoticeDraft:
        """The letter of a partial answer; with `key` it is one that nobody has sent yet, and now goes by mail."""
        reader = self._reader(body)
        facts = part_facts(body, rights)
        if body.brings_copy(rights):
            facts["attach"] = "encrypted" if body.terms.health_data else "archive"
        return NoticeDraft(
            key=key or self._next_key("part", reader),
            template="privacy-part",
            party=reader,
            duty=body.terms.answer,
            facts=facts,
        )

    def _by_hand(self, body: PrivacyBody, rights: tuple[Right, ...]) -> bool:
        """A copy with health data does not go by plain mail, nor does one that is wanted by another channel."""
        by_mail = body.answer_channel == "email" and body.has_mail
        readable = not body.terms.health_data or self._can_open(body)
        return body.brings_copy(rights) and not (by_mail and readable)

    def _unlocked(self) -> PrivacyBody:
        """Whoever is told has the password now."""
        return self.body.model_copy(update={"encrypted": True, "password_with": self._reader(self.body)})

    def _can_open(self, body: PrivacyBody) -> bool:
        """Whether whoever is told was given the password by a part of the answer: all that follows goes by mail too."""
        return body.encrypted and body.password_with == self._reader(body)

    def _locked_parts(self) -> tuple[str, ...]:
        """Partial answers with a copy of health data that would go by mail, if their reader had the password."""
        body = self.body
        if not body.terms.health_data or body.answer_channel != "email" or not body.has_mail or body.encrypted:
            return ()
        return tuple(
            key for key, rights in body.parts.items() if body.notices.get(key) == "refused" and body.brings_copy(rights)
        )

    async def _parts_encrypted(self, item: Item, m: SendEncrypted) -> None:
        """SE-33.4.6: the password went by another channel; the copies that waited for it go by mail, encrypted."""
        body = self._unlocked()
        drafts = tuple(self._part_letter(body, body.parts[key], key) for key in self._locked_parts())
        for draft in drafts:
            body = self._with_letter(draft.key, "queued", body)
        await self._encrypted(item, m, drafts, body)

    async def _encrypted(
        self, item: Item, m: SendEncrypted, drafts: tuple[NoticeDraft, ...], body: PrivacyBody
    ) -> None:
        await self.record(
            "encrypted",
            said=item,
            duty=self.body.terms.mail_gate or self.body.terms.answer,
            facts={"channel": m.channel, "handed_over_at": m.handed_over_at.isoformat(), "reference": m.reference},
            notices=drafts,
            body=body,
        )

    def _with_part(self, body: PrivacyBody, draft: NoticeDraft, rights: tuple[Right, ...]) -> PrivacyBody:
        body = self._with_letter(draft.key, "queued", body)
        return body.model_copy(update={"parts": {**body.parts, draft.key: rights}})

    def _rights_that_came_back(self, body: PrivacyBody) -> tuple[Right, ...]:
        """Rights of partial answers that reached nobody and that no other letter tells; a copy by hand goes by hand."""
        if self.case.stage in ("answering", "lifting"):
            # the whole answer tells of all of them
            return ()
        back: list[Right] = []
        told: set[Right] = set()
        for key, rights in body.parts.items():
            if body.notices.get(key) in ("queued", "sent"):
                told.update(rights)
            elif not self._by_hand(body, rights):
                back += rights
        return tuple(right for right in dict.fromkeys(back) if right not in told)

    async def _part_answered(self, item: Item, m: AnswerPart) -> None:
        draft = self._part_letter(self.body, m.rights)
        body = self._with_part(self.body, draft, m.rights)
        facts: dict[str, Any] = {"rights": list(m.rights), "results": {r: self.body.result(r) for r in m.rights}}
        if without := self.body.without(m.rights):
            facts["without"] = list(without)
            body = body.model_copy(update={"parts_open": {**body.parts_open, draft.key: ("access",)}})
        notices: tuple[NoticeDraft, ...] = (draft,)
        if self._by_hand(self.body, m.rights):
            # as the whole answer would be: a person hands it over, and proves it with confirm_letter_sent
            facts["by_hand"] = draft.key
            notices, body = (), self._with_letter(draft.key, "refused", body)
        await self.record(
            "part_answered", said=item, duty=self.body.terms.answer, facts=facts, notices=notices, body=body
        )

    def _part_told(
        self, body: PrivacyBody, key: str, at: Any, reference: str | None
    ) -> tuple[PrivacyBody, tuple[Change, ...]]:
        """A partial answer was sent: the clocks of its rights end; that of the whole answer runs on."""
        evidence = Evidence(kind="answer_sent", happened_at=at, reference=reference)
        changes: list[Change] = []
        ended: list[tuple[str, str]] = []
        extension = body.extension
        for right in body.parts.get(key, ()):
            if right in body.parts_open.get(key, ()):
                continue
            for duty in body.terms.own[right]:
                if duty not in body.terms.deeds and self.clocks.running(duty, right):
                    changes.append(Stop(duty=duty, subject=right, evidence=evidence))
                    ended.append((duty, right))
            longer = body.terms.extension
            if longer is not None and self.clocks.running(longer, right):
                if extension is not None and extension.status == "untold":
                    changes.append(Void(duty=longer, subject=right, reason="answered_before_it_was_told"))
                else:
                    changes.append(Stop(duty=longer, subject=right, evidence=evidence))
                    ended.append((longer, right))
        return body.model_copy(update={"part_ended": {**body.part_ended, key: tuple(ended)}}), tuple(changes)

    # ---- the answer -------------------------------------------------------------------------------------------------

    def _then_answer(self, body: PrivacyBody) -> dict[str, Any]:
        """Everything is decided and done: the answer is queued by mail, or a person is to hand it over."""
        # the gate of the store; a request for which nobody has to prove who they are has none
        acts = (Act(name="privacy.answer"),) if body.needs_identity else ()
        if body.answer_channel != "email" or not self._mail(body):
            return {"to": "answering", "acts": acts, "body": body}
        if body.terms.health_data and self._has_copy(body):
            if not self._can_open(body):
                refused = body.model_copy(update={"mail_refused": True, "encrypted": False})
                return {"to": "answering", "acts": acts, "body": refused}
            # the gate stands in the timeline since the part; by plain mail it does not go now either
            body = body.model_copy(update={"mail_refused": True, "gate_said": True})
        draft = self._answer_letter(body)
        return {
            "to": "answering",
            "acts": acts,
            "notices": (draft,),
            "body": body.model_copy(update={"notices": {**body.notices, draft.key: "queued"}}),
        }

    def _has_copy(self, body: PrivacyBody) -> bool:
        return any(body.granted(right) for right in COPIES)

    def _answer_letter(self, body: PrivacyBody) -> NoticeDraft:
        facts = answer_facts(body)
        if self._has_copy(body):
            facts["attach"] = "encrypted" if body.encrypted else "archive"
        reader = self._reader(body)
        key = self._next_key("answer", reader)
        return NoticeDraft(key=key, template="privacy-answer", party=reader, duty=body.terms.answer, facts=facts)

    def _then_rest(self, evidence: Evidence, body: PrivacyBody) -> dict[str, Any]:
        """The answer was sent: every clock that runs ends with that evidence, and the request rests."""
        open_clocks = [c.key for c in self.clocks.open if c.duty not in (REST, ASKED)]
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
        # a refusal waits for nobody's search
        changes += [
            Void(duty=c.duty, subject=c.subject, reason="the request is answered")
            for c in self.clocks.open
            if c.duty == ASKED
        ]
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
                Start(duty=duty, subject=subject, anchor_at=clock.anchor_at)
                for _, subject in self._extended_clocks()
                if any(s == subject and self.clocks.running(d, s) for d, s in self._answer_clocks())
            ),
            notices=(draft,),
            body=body.model_copy(update={"notices": {**body.notices, draft.key: "queued"}}),
        )

    def _extension_letter(self, body: PrivacyBody) -> NoticeDraft:
        assert body.extension is not None
        reader = self._reader(body)
        return NoticeDraft(
            key=self._next_key("extension", reader),
            template="privacy-extension",
            party=reader,
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
                case "part" if self.case.stage not in ("answering", "resting"):
                    body, more = self._part_told(body, proof.key, proof.sent_at, proof.reference)
                    ended = {(c.duty, c.subject) for c in more}
                    changes = (*(c for c in changes if (c.duty, c.subject) not in ended), *more)
                case "lifting" if body.lifting is not None:
                    body = body.model_copy(update={"lifting": body.lifting.model_copy(update={"status": "told"})})
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
        if m.notice.startswith("part:") and self.case.stage not in ("answering", "resting"):
            body, changes = self._part_told(body, m.notice, m.sent_at, m.reference)
        if m.notice.startswith("lifting:") and body.lifting is not None:
            body = body.model_copy(update={"lifting": body.lifting.model_copy(update={"status": "told"})})
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
                changes = [
                    Start(duty=d, subject=s, anchor_at=former.anchor_at)
                    for d, s in self._answer_clocks()
                    if s not in body.told
                ]
                untold = body.extension.model_copy(update={"status": "untold"})
                body = body.model_copy(update={"extension": untold})
            case "part":
                changes = [Reopen(duty=d, subject=s, reason="bounce") for d, s in body.part_ended.get(m.notice, ())]
            case "lifting" if body.lifting is not None and body.lifting.status == "told":
                duty = self._lift_duty()
                body = body.model_copy(update={"lifting": body.lifting.model_copy(update={"status": "untold"})})
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
        body = self.body.model_copy(
            update={"has_mail" if m.party == SUBJECT else "representative_mail": True},
        )
        drafts = []
        for what in ("identify", "extension", "part", "answer", "joined", "lifting"):
            letters = {k: s for k, s in body.notices.items() if k.startswith(f"{what}:")}
            if what == "part":
                # each part tells of its own rights: that another one arrived says nothing of this one
                if rights := self._rights_that_came_back(body):
                    draft = self._part_letter(body, rights)
                    body = self._with_part(body, draft, rights)
                    if body.without(rights):
                        body = body.model_copy(update={"parts_open": {**body.parts_open, draft.key: ("access",)}})
                    drafts.append(draft)
                continue
            if "refused" not in letters.values() or {"queued", "sent"} & set(letters.values()):
                continue
            if what == "identify" and body.identified_at is None:
                drafts.append(self._identify_letter())
            elif what == "extension" and body.extension is not None and body.extension.status == "untold":
                drafts.append(self._extension_letter(body))
            elif what == "answer" and self.case.stage == "answering":
                drafts.append(self._answer_letter(body))
            elif what == "joined" and body.joined is not None:
                drafts.append(self._joined_letter(body.joined))
            elif what == "lifting" and body.lifting is not None and body.lifting.status == "untold":
                drafts.append(self._lifting_letter(body.lifting.reason))
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
            case Done(result=Restricted() as restricted):
                await self._restriction_marked(restricted)
            case Done(key="restrict", failure=failure):
                self.diverged = (f"privacy.restrict: {failure}",)
            case Done(result=Rectified() as rectified):
                await self._rectified(rectified)
            case Done(key="rectify", failure=failure):
                self.diverged = (f"privacy.rectify: {failure}",)
            case Item(message=AssessRight() as m) as item:
                await self._assessed(item, m)
            case Item(message=ReportSearch() | ReportHandling() as m) as item:
                await self.people_said(item, m)
            case Item(message=ConfirmDone() as m) as item:
                await self._deed_done(item, m)
            case Item(message=ReportRecipients() as m) as item:
                await self._recipients_reported(item, m)
            case Item(message=RecordSteps() as m) as item:
                await self._steps_recorded(item, m)
            case Item(message=ReportTransfer() as m) as item:
                await self._transferred(item, m)
            case Item(message=AnswerPart() as m) as item:
                await self._part_answered(item, m)
            case Item(message=SendEncrypted() as m) as item:
                await self._parts_encrypted(item, m)
            case Item(message=ReportTold() as m) as item:
                await self._told_orally(item, m)
            case Item(message=JoinRequest() as m) as item:
                await self._join(item, m)
            case Item(message=RevokeRepresentation() as m) as item:
                await self._revoke(item, m)
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
            case AskIdentification():
                came = body.came_with is not None and body.came_with in body.terms.ways[body.channel]
                if body.terms.signed and came and message.doubt is None:
                    return ("doubt: the request came in an accepted way: why is the identity doubtful?",)
                return ()
            case AssessRight():
                return self._assessment_faults(message)
            case ReportSearch() | ReportHandling():
                return self.people_faults(message)
            case ExtendRequest():
                return self._extension_faults()
            case ConfirmDone():
                return self._deed_faults(message)
            case ReportRecipients():
                return self._recipient_faults(message)
            case RecordSteps():
                return self._step_faults(message)
            case ReportTransfer():
                return self._transfer_faults(message)
            case AnswerPart():
                return self._part_faults(message)
            case ReportTold():
                return self._told_faults(message)
            case JoinRequest() if message.into == self.id:
                return ("into: this is the request itself",)
            case LiftRestriction():
                return self._lifting_faults()
            case SendEncrypted():
                return self._encryption_faults(message)
            case WithdrawRequest():
                faults = []
                if message.withdrawn_at > now:
                    faults.append("withdrawn_at: lies in the future")
                if body.done or body.restricted is not None:
                    faults.append("a part of it is carried out already: it is answered")
                return tuple(faults)
            case RevokeRepresentation():
                return self._revocation_faults(message)
            case CorrectAddress() if message.party not in self._addressed():
                return (f"party: {' or '.join(self._addressed())}",)
            case ConfirmLetterSent():
                return self._letter_faults(message)
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

    def _addressed(self) -> tuple[str, ...]:
        return (SUBJECT, REPRESENTATIVE) if self.body.represented else (SUBJECT,)

    def _revocation_faults(self, m: RevokeRepresentation) -> tuple[str, ...]:
        if not self.body.represented:
            return ("nobody represents the person",)
        faults = []
        if self.body.revoked:
            faults.append("it is revoked already")
        if m.revoked_at > workflow.now():
            faults.append("revoked_at: lies in the future")
        return tuple(faults)

    def _told_faults(self, m: ReportTold) -> tuple[str, ...]:
        faults = [] if self._untold() else ["nobody on the staff has to tell the person anything orally"]
        if m.told_at > workflow.now():
            faults.append("told_at: lies in the future")
        if m.told_at < self.body.received_at:
            faults.append("told_at: lies before the receipt of the request")
        if m.correction is not None and m.correction.second_person == m.actor:
            faults.append("correction.second_person: must be another person")
        return tuple(faults)

    def _letter_faults(self, m: ConfirmLetterSent) -> tuple[str, ...]:
        body = self.body
        faults = []
        waiting = [k for k, s in body.notices.items() if s == "refused" and not k.startswith("answer:")]
        if m.notice not in waiting:
            faults.append("notice: mail has not failed to take it; failed: " + (", ".join(waiting) or "none"))
        copy = body.brings_copy(body.parts.get(m.notice, ()))
        if m.channel == "email" and copy and body.terms.health_data:
            faults.append(f"channel: {_clause(body)}: health data by e-mail only encrypted; portal or post")
        if m.sent_at > workflow.now():
            faults.append("sent_at: lies in the future")
        if m.sent_at < body.received_at:
            faults.append("sent_at: lies before the receipt of the request")
        return tuple(faults)

    def _identification_faults(self, m: IdentifyPerson) -> tuple[str, ...]:
        body = self.body
        channel = m.channel or body.channel
        faults = []
        if m.way not in body.terms.ways[channel]:
            faults.append(f"way: not accepted {CHANNELS[channel].en}; accepted: {body.accepted}")
        if body.represented and m.representation is None:
            gate = body.terms.representative_gate or body.terms.identity_gate
            faults.append(f"representation: a representative proves the right to represent ({gate})")
        if body.represented and body.terms.representing and m.authority is None:
            faults.append(f"authority: on what the representative acts; accepted: {_authorities(body)}")
        if m.authority is not None and not (body.represented and body.terms.representing):
            faults.append("authority: only where a representative asks")
        if body.revoked:
            faults.append("representation: it was revoked")
        if body.terms.signed and (m.way == SIGNED) != (m.signature is not None):
            faults.append(f"signature: the SHA-256 of the document is said with {SIGNED}, and only there")
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
        if m.right == "portability" and self.case.stage not in ("assessing", "carrying_out"):
            return ("right: portability is decided once the data are gathered",)
        if m.right in UNCHECKED:
            return (f"right: {m.right} is not weighed: it is done at once (confirm_done)",)
        if m.right != "access" and body.identified_at is None:
            return (f"right: {m.right} is decided once the person is identified",)
        pending = m.right == "portability" and body.transfer is not None and body.transfer.pending
        if self.case.stage == "carrying_out" and not pending:
            return (f"right: {m.right} is decided, and what was decided is being carried out",)
        under_way = m.right == "rectification" and body.rectifies
        if under_way or m.right in body.done or (m.right == "restriction" and body.restricted is not None):
            return (f"right: {m.right} is carried out {'now' if under_way else 'already'}",)
        faults = []
        if m.actor.startswith("system:"):
            faults.append("actor: a person decides")
        grounds = body.terms.grounds[m.right]
        if m.outcome == "fulfilled":
            if m.ground or (m.reason and m.right not in EXPLAINED) or m.keep:
                faults.append("ground, reason, keep: only where it is not fulfilled")
            if m.right in EXPLAINED and not m.reason:
                faults.append("reason: the person is told what it came to")
            if m.right == "erasure" and (in_use := self._in_use(body)):
                faults.append(f"outcome: in use and kept: {', '.join(in_use)}; in_part with a ground")
        else:
            if m.ground not in grounds:
                accepted = ", ".join(f"{g} ({clause})" for g, clause in grounds.items())
                faults.append(f"ground: one of the controller's: {accepted}")
            if not m.reason:
                faults.append("reason: the person is told why")
        faults += _erasure_faults(m)
        if m.ground in body.terms.cited and not m.cites:
            faults.append(f"cites: {m.ground} stands only with the statute or the proof")
        if m.cites and m.ground not in body.terms.cited:
            faults.append(f"cites: only with {' or '.join(body.terms.cited)}")
        if m.withheld and (m.right not in COPIES or m.outcome != "in_part"):
            faults.append("withheld: only for access or portability in part")
        if m.withheld and self.case.stage == "gathering":
            faults.append("withheld: the data are being gathered: once that is over")
        faults += [
            f"withheld.{n}.ground: one of the controller's: {', '.join(grounds)}"
            for n, withheld in enumerate(m.withheld, 1)
            if withheld.ground not in grounds
        ]
        faults += self._fee_faults(m, m.fee)
        if m.corrections and (m.right != "rectification" or m.outcome == "refused"):
            faults.append("corrections: only for a rectification that is granted")
        if m.obtained_at is not None and (m.right != "information" or m.obtained_at > workflow.now()):
            faults.append("obtained_at: only for information, and never in the future")
        if m.obtained_at is not None and m.obtained_at.year <= FIRST_YEAR:
            faults.append(f"obtained_at: no term is counted from before {FIRST_YEAR + 1}; say it in the reason")
        asked = m.right == "portability" and body.transfer_asked and m.outcome != "refused"
        if asked and m.transfer is None:
            faults.append("transfer: it was asked for, straight to another controller: say whether it is feasible")
        if m.transfer is not None and not asked:
            faults.append("transfer: was not asked for, or is refused")
        return tuple(faults)

    def _fee_faults(self, m: AssessRight, fee: Fee | None) -> list[str]:
        """SE-16.8, SE-21.7, SE-21.8: the first copy is free; any other fee needs the proof."""
        if fee is None:
            return []
        clause = self.body.terms.fees.get(fee.basis, "")
        faults = []
        if m.outcome == "refused":
            faults.append("fee: a fee or a refusal, not both")
        if fee.basis == "further_copy":
            if m.right != "access":
                faults.append("fee: further_copy is of access")
            elif self.body.copies_before == 0:
                faults.append(f"fee: the first copy is free ({clause})")
        elif fee.proof is None:
            faults.append(f"fee.proof: that it is unfounded or excessive is the controller's to prove ({clause})")
        return faults

    def _deed_faults(self, m: ConfirmDone) -> tuple[str, ...]:
        body = self.body
        if m.right not in body.rights:
            return (f"right: not asked for; asked for: {', '.join(body.rights)}",)
        faults = []
        if m.right in body.done:
            faults.append(f"right: {m.right} is carried out already")
        elif m.right not in UNCHECKED:
            if body.identified_at is None:
                faults.append(f"right: {m.right} is carried out once the person is identified")
            elif not body.granted(m.right):
                faults.append(f"right: {m.right} is not granted: nothing is to be carried out")
            elif m.right not in CARRIED:
                faults.append(f"right: {m.right} is not for a person to carry out")
            elif m.right == "rectification" and body.rectifies and body.rectified is None:
                faults.append("right: the data systems are still correcting; what they leave is named after that")
        if m.done_at > workflow.now():
            faults.append("done_at: lies in the future")
        if m.done_at < body.received_at:
            faults.append("done_at: lies before the receipt of the request")
        if m.correction is not None and m.correction.second_person == m.actor:
            faults.append("correction.second_person: must be another person")
        return tuple(faults)

    def _recipient_faults(self, m: ReportRecipients) -> tuple[str, ...]:
        body = self.body
        faults = []
        if m.right not in body.changed:
            made = ", ".join(body.changed) or "nothing"
            faults.append(f"right: by it no data were changed; changed by: {made}")
        if m.right in body.recipients:
            faults.append(f"right: the recipients of the {m.right} are told already")
        for n, recipient in enumerate(m.recipients, 1):
            if recipient.outcome == "told" and recipient.told_at is None:
                faults.append(f"recipients.{n}.told_at: when they were told")
            if recipient.told_at is not None and recipient.told_at > workflow.now():
                faults.append(f"recipients.{n}.told_at: lies in the future")
            if recipient.outcome != "told" and (recipient.reason is None or recipient.told_at is not None):
                faults.append(f"recipients.{n}.reason: why they were not told, and no told_at")
        if m.correction is not None and m.correction.second_person == m.actor:
            faults.append("correction.second_person: must be another person")
        return tuple(faults)

    def _step_faults(self, m: RecordSteps) -> tuple[str, ...]:
        body = self.body
        faults = []
        if not body.published:
            faults.append("nothing that had been published is erased by this request")
        elif body.erased is None:
            faults.append("the data are not erased yet")
        for n, step in enumerate(m.steps, 1):
            if step.done_at > workflow.now():
                faults.append(f"steps.{n}.done_at: lies in the future")
            if step.done_at < body.received_at:
                faults.append(f"steps.{n}.done_at: lies before the receipt of the request")
            if (step.outcome == "not_feasible") != (step.reason is not None):
                faults.append(f"steps.{n}.reason: said where nothing reasonable could be done, and only there")
        return tuple(faults)

    def _transfer_faults(self, m: ReportTransfer) -> tuple[str, ...]:
        transfer = self.body.transfer
        if transfer is None or not transfer.pending:
            return ("no transfer is under way",)
        wanted = "agreed" if transfer.agreed_at is None else "sent" if transfer.sent_at is None else "received"
        before = transfer.sent_at or transfer.agreed_at or self.body.received_at
        faults = []
        if m.step != wanted:
            faults.append(f"step: first {wanted}: the format is agreed, then the data are sent, then received")
        if (m.step == "agreed") != (m.format is not None):
            faults.append("format: said with the step agreed, and only there")
        if m.at > workflow.now():
            faults.append("at: lies in the future")
        if m.at < before:
            faults.append("at: lies before the step before it")
        return tuple(faults)

    def _part_faults(self, m: AnswerPart) -> tuple[str, ...]:
        body = self.body
        faults = []
        for right in m.rights:
            if right not in body.rights:
                faults.append(f"rights: {right} was not asked for")
            elif any(right in told for told in body.parts.values()):
                faults.append(f"rights: {right} is told already")
            elif not body.tellable(right):
                faults.append(f"rights: {right} is not decided, not gathered or not carried out yet")
        if set(m.rights) == set(body.rights) and not body.unanswered:
            faults.append("rights: all of them are the whole answer")
        return tuple(faults)

    def _encryption_faults(self, m: SendEncrypted) -> tuple[str, ...]:
        body = self.body
        faults = []
        if body.encrypted:
            faults.append("it goes by e-mail already; another address: correct_address")
        elif self.case.stage == "answering" and not body.mail_refused:
            faults.append("this answer needs no encryption, or does not go by e-mail")
        elif self.case.stage != "answering" and not self._locked_parts():
            faults.append("no part of the answer waits for that: answer_part gives the copy")
        if m.handed_over_at > workflow.now():
            faults.append("handed_over_at: lies in the future")
        if m.handed_over_at < body.received_at:
            faults.append("handed_over_at: lies before the receipt of the request")
        return tuple(faults)

    def _lifting_faults(self) -> tuple[str, ...]:
        body = self.body
        if body.restricted is None:
            return ("nothing is restricted by this request",)
        if body.lifting is not None:
            return ("the restriction is lifted already",)
        if body.erased is not None:
            return ("the data are erased: nothing is left to be lifted",)
        return ()

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
        terms = self.body.terms
        own = [(duty, right) for right in self.body.rights for duty in terms.own[right] if duty not in terms.deeds]
        return [(terms.answer, ""), *own]

    def _deed_clocks(self, of: Right | None = None) -> list[tuple[str, str]]:
        """Duty and subject of what a deed ends, of one right or of all; no extension and no doubt moves these."""
        terms = self.body.terms
        return [
            (duty, right)
            for right in self.body.rights
            for duty in terms.own[right]
            if duty in terms.deeds and of in (None, right)
        ]

    def _extended_clocks(self) -> list[tuple[str, str]]:
        """The same subjects under the extension's row."""
        duty = self.body.terms.extension
        subjects = dict.fromkeys(subject for _, subject in self._answer_clocks())
        return [(duty, subject) for subject in subjects] if duty else []

    def _doable(self) -> tuple[Right, ...]:
        """The rights that somebody can say to be carried out now."""
        body = self.body
        return tuple(
            r
            for r in body.rights
            if r in CARRIED and r not in body.done and (r in UNCHECKED or (body.identified_at and body.granted(r)))
        )

    def _tellable(self) -> tuple[Right, ...]:
        """The rights of which the person can be told while others wait."""
        body = self.body
        told = [r for rights in body.parts.values() for r in rights]
        ready = tuple(r for r in body.rights if r not in told and body.tellable(r))
        return ready if len(ready) < len(body.rights) or body.unanswered else ()

    def _in_use(self, body: PrivacyBody) -> tuple[str, ...]:
        return tuple(record for s in body.systems for record in s.in_use)

    def _with_letter(self, key: str, status: str, body: PrivacyBody | None = None) -> PrivacyBody:
        body = body or self.body
        return body.model_copy(update={"notices": {**body.notices, key: status}})

    def _next_key(self, what: str, reader: str = SUBJECT) -> str:
        """`answer:subject:2`: the n-th letter of its sort, and to whom it goes."""
        n = sum(key.startswith(f"{what}:") for key in self.body.notices) + 1
        return f"{what}:{reader}:{n}"

    # ---- what people see --------------------------------------------------------------------------------------------

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the case knows of a message's fields."""
        if model is CorrectAddress:
            return {"party": SUBJECT}
        if model in (ReportSearch, ReportHandling):
            return self.people_known(model)
        if model is IdentifyPerson:
            known: dict[str, Any] = {"channel": self.body.channel}
            if self.body.represented:
                known["representation"] = "‹reference to the proof›"
            if self.body.represented and self.body.terms.representing:
                known["authority"] = {"kind": f"‹{' or '.join(self.body.terms.representing)}›"}
            return known
        if model is AssessRight:
            wanted = {"assessing": next(iter(self.body.undecided), "access"), "carrying_out": "portability"}
            return {"right": wanted.get(self.case.stage, "access")}
        if model is ConfirmDone:
            return {"right": next((r for r in self.body.rights if r in self._doable()), UNCHECKED[0])}
        if model is ReportRecipients:
            right = next((r for r in self.body.changed if r not in self.body.recipients), "erasure")
            return {"right": right, "recipients": [{"name": "‹name›", "outcome": "told", "told_at": "‹when›"}]}
        if model is ReportTransfer and self.body.transfer is not None:
            transfer = self.body.transfer
            return {"step": "agreed" if not transfer.agreed_at else "received" if transfer.sent_at else "sent"}
        if model is AnswerPart:
            return {"rights": list(self._tellable())}
        if model is JoinRequest and self.body.duplicates:
            return {"into": self.body.duplicates[0]}
        if model is ConfirmAnswerSent and (self.body.mail_refused or self.body.answer_channel != "email"):
            return {"channel": "portal" if self.body.mail_refused else self.body.answer_channel}
        status = {ReportBounce: "sent", ConfirmLetterSent: "refused"}.get(model)
        letter = next((k for k, s in reversed(self.body.notices.items()) if s == status), None)
        return {"notice": letter} if letter else {}

    def possible(self) -> list[type[Message]]:
        """The messages of the stage without those that could not be taken now."""
        body = self.body
        refused = any(s == "refused" and not k.startswith("answer:") for k, s in body.notices.items())
        transfer = body.transfer is not None and body.transfer.pending
        hidden: dict[type[Message], bool] = {
            **self.people_hidden(),
            AssessRight: not transfer
            if self.case.stage == "carrying_out"
            else "access" not in body.rights and self.case.stage != "assessing",
            ConfirmDone: not self._doable(),
            ReportTransfer: not transfer,
            ReportRecipients: not set(body.changed) - set(body.recipients),
            RecordSteps: not body.published or body.erased is None,
            AnswerPart: not self._tellable(),
            ReportTold: not self._untold(),
            JoinRequest: not body.duplicates,
            LiftRestriction: bool(self._lifting_faults()),
            RevokeRepresentation: not body.represented or body.revoked,
            SendEncrypted: body.encrypted
            or not (body.mail_refused if self.case.stage == "answering" else self._locked_parts()),
            WithdrawRequest: bool(body.done) or body.restricted is not None,
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
            case "gathering" if body.unanswered and body.systems:
                return f"people who keep data: {self.people_waited_for(body)}"
            case "gathering":
                return "the data systems"
            case "assessing":
                wanted = ", ".join(body.undecided)
                return f"the decision about {wanted}, from the privacy handler"
            case "carrying_out":
                return f"what is still to be done, with proof, from the privacy handler: {', '.join(body.to_do)}"
            case "lifting" | "erasing" if body.unanswered:
                return f"people who keep data: {self.people_waited_for(body)}"
            case "joining":
                return "proof that the person was told which earlier request answers this one"
            case "lifting":
                return "proof that the person was told, before the restriction is lifted"
            case "erasing":
                return "the erasure in the data systems"
            case "answering" if any(k.startswith("answer:") and s == "queued" for k, s in body.notices.items()):
                return "the mail carrier's proof of the answer"
            case "answering" if body.mail_refused:
                return "proof from the privacy handler: the answer sent by portal or post, or its password handed over"
            case "answering":
                return f"proof from the privacy handler that the answer was sent ({CHANNELS[body.answer_channel].en})"
            case "resting":
                return "a bounce, until the request closes"
        return ""

    def _stands(self, right: Right) -> str:
        """Where a right stands: decided or not and on which ground, done, told."""
        body = self.body
        assessment = body.assessments.get(right)
        said = assessment.outcome.replace("_", " ") if assessment else ""
        if assessment is not None and assessment.ground:
            said += f", {assessment.ground.replace('_', ' ')}"
        if not said:
            said = "**not decided**" if right in body.undecided else "needs no decision"
        if right in body.done:
            said += f"; done {utc(body.done[right].at)}"
        return f"{said}; told" if right in body.told else said

    def story(self) -> list[str]:
        """Rights, identification, systems, extension, and letters that did not arrive."""
        body = self.body
        received = utc(body.received_at)
        lines = [f"- **Asked:** {CHANNELS[body.channel].en}, received {received}"]
        lines += [f"- **{RIGHTS[right].en}** ({right}): {self._stands(right)}" for right in body.rights]
        if body.identified_at:
            lines.append(f"- **Identified:** {utc(body.identified_at)}")
            lines += _signature_lines(body.signature)
        elif body.needs_identity:
            lines.append(f"- **Not identified.** Came with: {body.came_with or 'nothing'}")
        if body.represented_by:
            until = f", until {utc(body.represented_until)}" if body.represented_until else ""
            by = body.represented_by.replace("_", " ")
            lines.append(f"- **Represented by:** {by}{', revoked' if body.revoked else ''}{until}")
        for system in body.systems:
            used = f", in use: {', '.join(system.in_use)}" if system.in_use else ""
            lines.append(f"- **Data system {system.system}:** records: {system.held}{used}")
        lines += self.people_story()
        if body.erased:
            ends = _ends(body.erased)
            days = {record: f" until {day}" for record, day in ends.items()}
            kept = ", ".join(f"{r} ({ground}{days.get(r, '')})" for r, ground in body.kept.items())
            lines.append(f"- **Erased:** records: {body.erased.erased}" + (f"; kept: {kept}" if kept else ""))
        if body.restricted:
            left = f"; by hand: {', '.join(body.restricted.left)}" if body.restricted.left else ""
            lifted = "; lifted" if body.lifting and body.lifting.status == "lifted" else ""
            lines.append(f"- **Restricted:** records: {body.restricted.records}{left}{lifted}")
        if body.rectified:
            left = f"; by hand: {', '.join(body.rectified.left)}" if body.rectified.left else ""
            lines.append(f"- **Corrected:** records: {body.rectified.records}{left}")
        if body.transfer:
            lines.append(f"- **Transfer:** {_transfer_state(body.transfer)}")
        for right, recipients in body.recipients.items():
            untold = sum(r.outcome != "told" for r in recipients)
            lines.append(f"- **Recipients of the {right}:** {len(recipients)}, of them not told {untold}")
        if body.steps:
            steps = ", ".join(f"{step.outcome} {step.done_at:%Y-%m-%d}" for step in body.steps)
            lines.append(f"- **What was published, steps:** {steps}")
        if body.unfound:
            lines.append(f"- **To be withheld and not found:** {', '.join(body.unfound)}")
        if body.duplicates:
            lines.append(f"- **Asked before, still open:** {', '.join(body.duplicates)}")
        if body.joined:
            lines.append(f"- **Joined into:** {body.joined}")
        if body.extension:
            lines.append(f"- **Extended:** {body.extension.reason}, {body.extension.status}")
        lines += [f"- **Letter not sent:** {key}" for key, status in body.notices.items() if status == "refused"]
        return lines


def _authorities(body: PrivacyBody) -> str:
    """On what somebody may act for another, with the channels."""
    return "; ".join(f"{kind}: {', '.join(terms.channels)}" for kind, terms in body.terms.representing.items())


def _signature_lines(seen: Seen | None) -> list[str]:
    """By which signature somebody was identified, who validated it, and what was not verified."""
    if seen is None:
        return []
    by = "Termins" if seen.by == "termins" else f"a person in {seen.service}"
    lines = [f"- **Signature:** made {utc(seen.signed_at)}, validated by {by}"]
    return lines + [f"- **Not verified:** {what}" for what in seen.not_verified]


def _erasure_faults(m: AssessRight) -> list[str]:
    """What can be said of an erasure alone."""
    faults = []
    if m.keep and (m.right != "erasure" or m.outcome != "in_part"):
        faults.append("keep: only for an erasure in part")
    if m.keep_until is not None and not m.keep:
        faults.append("keep_until: only with keep")
    if m.keep_until is not None and m.keep_until < workflow.now().date():
        faults.append("keep_until: is over")
    if m.published and (m.right != "erasure" or m.outcome == "refused"):
        faults.append("published: only for an erasure that is granted")
    return faults


def _ends(erased: Erased) -> dict[str, str]:
    """Of what was kept the last days, where they can be said."""
    return {one.record: one.ends.isoformat() for one in erased.records if one.ends is not None}


def _transfer_state(transfer: Transfer) -> str:
    if not transfer.feasible:
        return "not feasible"
    steps = {"received": transfer.received_at, "sent": transfer.sent_at, "agreed": transfer.agreed_at}
    return next((step for step, at in steps.items() if at), "to be agreed")


def _clause(body: PrivacyBody) -> str:
    return body.terms.mail_gate or "GDPR 32"
