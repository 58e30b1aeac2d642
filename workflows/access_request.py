"""Access request: login data or a confirmation straight to each user within two working days of receipt (BL 3, 4)."""

from __future__ import annotations

from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, REST, Case, Done, Item, accepts, utc

with workflow.unsafe.imports_passed_through():
    from activities.access import AccessActivities
    from models.access import (
        IN_WORDS,
        LINE_FIELDS,
        REFUSALS,
        AccessBody,
        CompleteLine,
        DropLine,
        IssueAccess,
        Issued,
        Line,
        SecretVoided,
        VoidSecret,
        say_fault,
    )
    from models.case import (
        Act,
        BellDraft,
        Change,
        CorrectAddress,
        Evidence,
        Message,
        NoticeDraft,
        NoticesSent,
        Outcome,
        Reopen,
        ReportBounce,
        Start,
        Stop,
        Tick,
        Void,
    )

ISSUE = "BL-4"
CONTENT = "BL-4-content"
CHOICE = "BL-3-choice"
AT_ONCE = "BL-9"
REFUSED = "BL-4-not-authorised"
NO_CONTRACT = "BL-11-contract-ended"
ASK = "BL-4-bounced"
VOIDS = "void-secret"
"""The change since which the identity provider is told of a letter that came back."""


@workflow.defn(name="AccessRequest")
class AccessRequest(Case):
    """One request of a client: each user is a line with its own clock and result; no line holds up another."""

    kind = "access_request"
    body_model = AccessBody
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "refusing": (),
        "issuing": (CompleteLine, ReportBounce, CorrectAddress, DropLine),
        "changing": (CompleteLine, ReportBounce, CorrectAddress, DropLine),
        "resting": (CompleteLine, ReportBounce),
    }

    complete_line = accepts(CompleteLine)
    report_bounce = accepts(ReportBounce)
    correct_address = accepts(CorrectAddress)
    drop_line = accepts(DropLine)

    body: AccessBody

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Outcome:
        """Live the request; the input is a `StartCase`."""
        return await self.live(message, *more)

    # ---- stages -----------------------------------------------------------------------------------------------------

    async def refusing(self) -> None:
        """Who is not on the client's list may not ask (4), nor for what a contract that ended gives nobody (11)."""
        body = self.body
        if not body.announced:
            parties = {"requester": "requester", "responsible": "responsible_employee"}
            template = REFUSED if body.refused == "not_authorised" else NO_CONTRACT
            drafts = tuple(
                NoticeDraft(
                    key=f"{template}:{party}:1",
                    template=template,
                    party=party,
                    duty=ISSUE,
                    facts={"requester": {"name_of": "requester"}, "to_whom": reader},
                )
                for party, reader in parties.items()
            )
            await self.record(
                body.refused,
                duty=ISSUE,
                facts={"lines": len(body.lines)},
                notices=drafts,
                body=body.model_copy(update={"announced": True, "notices": {d.key: "queued" for d in drafts}}),
            )
            return
        self._send_what_waits()
        match await self.next():
            case Done(result=NoticesSent(notices=proofs)):
                notices = {**body.notices, **{p.key: "sent" if p.sent_at else "refused" for p in proofs}}
                over = "queued" not in notices.values()
                await self.record(
                    "both_told" if over else "told",
                    duty=ISSUE,
                    facts={p.key: p.refused or "sent" for p in proofs},
                    bells=self._bells() if over else (),
                    to=CLOSED if over else None,
                    outcome=body.refused if over else None,
                    body=body.model_copy(update={"notices": notices}),
                )

    async def issuing(self) -> None:
        """4: login data or the confirmation go straight to the user; what is missing is told to the requester."""
        if not self.body.announced:
            await self._receive()
            return
        self._send_what_waits()
        self._void_secrets()
        for line in self.body.lines:
            if line.status == "sending":
                ask = IssueAccess(case=self.id, key=line.letter, told="")
                self.perform(f"issue:{line.letter}", AccessActivities.issue, ask, f"issue access to {line.user}")
        match await self.next():
            case Done(result=SecretVoided(key=key)):
                self._forget(key)
            case Done() as done:
                await self._proven(done)
            case Item(message=CompleteLine() as m) as item:
                await self._complete(item, m)
            case Item(message=ReportBounce() as m) as item:
                await self._bounced(item, m)
            case Item(message=CorrectAddress() as m) as item:
                await self._correct_address(item, m)
            case Item(message=DropLine() as m) as item:
                await self._drop(item, m)

    async def changing(self) -> None:
        """9: what the client changes or cancels is done first and at once, whatever else is said of it."""
        body = self.body
        asked = [line.user for line in body.lines if line.status == "asked"]
        if asked:
            act = "access.cancel" if body.action == "cancel" else "access.change"
            lines = [line.model_dump(mode="json") for line in body.lines]
            await self.record(
                "carried_out",
                duty=AT_ONCE,
                facts={"action": body.action, "lines": asked},
                acts=(Act(name=act, data={"users": asked, "lines": lines}),),
            )
        elif body.announced and (granted := [line for line in body.lines if line.status == "to_issue"]):
            await self._grant(granted)
        elif body.announced and all(line.done for line in body.lines):
            await self.record("settled", duty=AT_ONCE, **self._resting(body))
        else:
            await self.issuing()

    async def _grant(self, lines: list[Line]) -> None:
        """4: a change by which the user signs in otherwise: the new data go out within two working days."""
        new = [line.model_copy(update={"status": "sending", "letters": line.letters + 1}) for line in lines]
        await self.record(
            "granted",
            duty=ISSUE,
            facts={"lines": [line.user for line in new]},
            changes=tuple(
                Start(duty=ISSUE, subject=line.user, anchor_at=line.received_at or self.body.received_at)
                for line in new
            ),
            notices=tuple(self._letter(line) for line in new),
            body=self.body.having(*new),
        )

    async def resting(self) -> None:
        """Mail may still come back and missing details may still come; then the request closes."""
        if await self.rest_again():
            return
        self._void_secrets()
        match await self.next():
            case Done(result=SecretVoided(key=key)):
                self._forget(key)
            case Item(message=CompleteLine() as m) as item:
                await self._complete(item, m)
            case Item(message=ReportBounce() as m) as item:
                await self._bounced(item, m)

    def with_due(self, tick: Tick) -> dict[str, Any]:
        """The rest is over: closed in the same step."""
        if tick.duty != REST:
            return {}
        given = [line for line in self.body.lines if line.status in ("issued", "confirmed", "changed", "cancelled")]
        done = {"issue": "issued", "change": "changed", "cancel": "cancelled"}[self.body.action]
        outcome = done if len(given) == len(self.body.lines) else f"partly_{done}" if given else f"not_{done}"
        return {"entry": "closed", "to": CLOSED, "outcome": outcome, "bells": self._bells()}

    def _then_rest(self, body: AccessBody) -> dict[str, Any]:
        """Once every line has its result the request rests, in the same step, and whoever asked for it is rung."""
        if not all(line.done for line in body.lines):
            return {"body": body}
        return {"body": body, "to": "resting", "bells": self._bells(), "rest": (self.rest(),)}

    def _resting(self, body: AccessBody) -> dict[str, Any]:
        """The last wait begins, by a step that says nothing else."""
        return {"body": body, "to": "resting", "bells": self._bells(), "changes": (self.rest(),)}

    @property
    def _at_work(self) -> str:
        return "issuing" if self.body.action == "issue" else "changing"

    def _bells(self) -> tuple[BellDraft, ...]:
        return (BellDraft(case=self.body.for_case, reason="access_request"),) if self.body.for_case else ()

    # ---- from receipt to result -------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        """Each line's two working days run from receipt; complete ones are issued, the others told in one letter."""
        body = self.body
        faulty = [line for line in body.lines if line.faults]
        told = self._what_is_missing(faulty, 1) if faulty else ()
        await self.record(
            "received",
            duty=CONTENT,
            facts={
                "complete": [line.user for line in body.lines if not line.faults],
                "faults": {line.user: list(line.faults) for line in faulty},
                "doubts": {line.user: list(line.doubts) for line in body.lines if line.doubts},
            },
            # what is changed or cancelled is done; a line that is refused is told so within the two days all the same
            changes=tuple(
                Start(duty=ISSUE, subject=line.user, anchor_at=body.received_at)
                for line in body.lines
                if body.action == "issue" or line.faults
            ),
            notices=(*(self._letter(line) for line in body.lines if line.status == "sending"), *told),
            body=body.model_copy(update={"announced": True, "notices": {d.key: "queued" for d in told}}),
        )

    def _letter(self, line: Line) -> NoticeDraft:
        """The letter to the user. `access.issue` writes and sends it: what is secret in it stands nowhere else."""
        template = "BL-4-confirmation" if line.authenticator else "BL-4-secret"
        return NoticeDraft(key=line.letter, template=template, party=line.user, duty=ISSUE, subject=line.user)

    def _what_is_missing(self, lines: list[Line], n: int) -> tuple[NoticeDraft, ...]:
        facts = [
            {"name": {"name_of": line.user}, "faults": [say_fault(fault) for fault in line.faults]} for line in lines
        ]
        key = f"{CONTENT}:requester:{n}"
        return (
            NoticeDraft(key=key, template="BL-4-incomplete", party="requester", duty=CONTENT, facts={"lines": facts}),
        )

    def _ask_address(self, line: Line, n: int) -> NoticeDraft:
        return NoticeDraft(
            key=f"{ASK}:{line.user}:{n}",
            template=ASK,
            party="responsible",
            duty=ISSUE,
            subject=line.user,
            facts={"user": {"name_of": line.user}},
        )

    def _send_what_waits(self) -> None:
        self.send(key for key, status in self.body.notices.items() if status == "queued")

    def _void_secrets(self) -> None:
        """The store takes no such secret from the step on; here the identity provider is told."""
        for key in self.body.voided:
            ask = VoidSecret(case=self.id, key=key)
            self.perform(f"void:{key}", AccessActivities.void_secret, ask, f"void the secret of {key}")

    def _forget(self, key: str) -> None:
        """No step of its own: the next one keeps it, and told once more the provider does nothing."""
        self.body = self.body.model_copy(update={"voided": tuple(k for k in self.body.voided if k != key)})

    async def _proven(self, first: Done) -> None:
        """Mails were taken by the carrier: one step for all that are proven by now and keep the same duty."""
        entry = self._means(first)
        proven = [first, *(done for done in self.done if self._means(done) == entry)]
        self.done = [done for done in self.done if self._means(done) != entry]
        body, changes, notices = self.body, [], []
        facts: dict[str, Any] = {}
        for done in proven:
            match done.result:
                case Issued() as issued:
                    line = body.line(issued.user)
                    if line is None or line.status != "sending" or line.letter != issued.key:
                        continue  # dropped meanwhile
                    facts[issued.key] = issued.refused or "sent"
                    if issued.sent_at is not None:
                        body = body.having(
                            line.model_copy(update={"status": "confirmed" if line.authenticator else "issued"})
                        )
                        changes.append(self._stop(line, "mail_sent", issued))
                    else:
                        draft = self._ask_address(line, line.letters)
                        notices.append(draft)
                        body = body.having(
                            line.model_copy(update={"status": "bounced"}),
                            notices={**body.notices, draft.key: "queued"},
                        )
                case NoticesSent(notices=proofs):
                    for proof in proofs:
                        facts[proof.key] = proof.refused or "sent"
                        status = "sent" if proof.sent_at else "refused"
                        body = body.model_copy(update={"notices": {**body.notices, proof.key: status}})
                        if not proof.key.startswith(CONTENT) or proof.sent_at is None:
                            continue
                        untold = [line for line in body.lines if line.status == "incomplete" and not line.told]
                        changes += [
                            Stop(
                                duty=ISSUE,
                                subject=line.user,
                                evidence=Evidence(
                                    kind="refusal_sent", happened_at=proof.sent_at, reference=proof.reference
                                ),
                            )
                            for line in untold
                            if self.clocks.running(ISSUE, line.user)
                        ]
                        body = body.having(*(line.model_copy(update={"told": True}) for line in untold))
        then = self._then_rest(body)
        await self.record(
            entry,
            duty={"confirmed": CHOICE, "told": CONTENT}.get(entry, ISSUE),
            facts=facts,
            changes=(*changes, *then.pop("rest", ())),
            notices=tuple(notices),
            **then,
        )

    def _means(self, done: Done) -> str:
        """What an effect's end means for the timeline: login data issued, access confirmed, or somebody told."""
        if isinstance(done.result, SecretVoided):
            return "voided"
        if not isinstance(done.result, Issued):
            return "told"
        line = self.body.line(done.result.user)
        if done.result.refused is not None:
            return "not_sent"
        return "confirmed" if line is not None and line.authenticator else "issued"

    def _stop(self, line: Line, kind: str, issued: Issued) -> Change:
        evidence = Evidence(kind=kind, happened_at=issued.sent_at, reference=issued.reference)
        return Stop(duty=ISSUE, subject=line.user, evidence=evidence)

    # ---- what comes afterwards --------------------------------------------------------------------------------------

    async def _complete(self, item: Item, m: CompleteLine) -> None:
        """What was missing has come: the line's own two working days run from its receipt, beside the first ones."""
        line = self.body.line(m.line)
        assert line is not None
        sound: dict[str, Any] = {"faults": (), "told": False, "doubts": ()}
        carried_out = self.body.action != "issue" and line.status == "incomplete"
        if carried_out:
            new = line.model_copy(update={**sound, "status": "asked", "received_at": m.received_at})
        else:
            if m.by_login_data:
                sound |= {"authenticator": False, "agreed": False}
            new = line.model_copy(update={**sound, "status": "sending", "letters": line.letters + 1})
        changes: list[Change] = [*self.no_more(REST, "line_completed")]
        if line.status == "incomplete":
            changes += self._end_first(line, item)
            if not carried_out:
                changes.append(Start(duty=ISSUE, subject=line.user, anchor_at=m.received_at))
        recorded = await self.record(
            "completed",
            said=item,
            duty=CONTENT,
            facts={"line": m.line, "fields": sorted(m.fields), "received_at": m.received_at.isoformat()},
            changes=tuple(changes),
            acts=(Act(name="access.complete", data={"user": m.line, "fields": m.fields}),),
            notices=() if carried_out else (self._letter(new),),
            bells=self._bells(),
            to=self._at_work,
            body=self.body.having(new),
        )
        if recorded is not None and (doubts := recorded.acts["access.complete"]["doubts"]):
            # found by the store in this very step; the next one keeps it
            self.body = self.body.having(new.model_copy(update={"doubts": tuple(doubts)}))

    def _end_first(self, line: Line, item: Item) -> list[Change]:
        """The first clock of a line that was completed before anybody was told what is missing."""
        clock = self.clocks.get(ISSUE, line.user)
        if clock is None or not clock.open:
            return []
        if clock.status == "overdue":
            evidence = Evidence(kind="completed_untold", happened_at=item.at, reference=item.id)
            return [Stop(duty=ISSUE, subject=line.user, evidence=evidence)]
        return [Void(duty=ISSUE, subject=line.user, reason="completed before the refusal was sent")]

    async def _bounced(self, item: Item, m: ReportBounce) -> None:
        """The mail came back: its clock runs again, by the same due date (time, point 13); an address is asked for."""
        changes = self.no_more(REST, "bounce")
        facts = {"notice": m.notice, "bounced_at": m.bounced_at.isoformat()}
        line = self.body.line(m.notice.split(":")[1])
        if line is not None:
            draft = self._ask_address(line, line.letters)
            body = self.body
            # `True` for every case but those that had this bounce before the provider was told of one
            if not line.authenticator and workflow.patched(VOIDS):
                body = body.model_copy(update={"voided": (*body.voided, m.notice)})
            await self.record(
                "bounced",
                said=item,
                duty=ISSUE,
                facts=facts,
                changes=(*changes, Reopen(duty=ISSUE, subject=line.user, reason="bounce")),
                acts=(Act(name="access.bounced", data={**facts, "user": line.user}),),
                notices=(draft,),
                bells=self._bells(),
                to=self._at_work,
                body=body.having(
                    line.model_copy(update={"status": "bounced"}), notices={**body.notices, draft.key: "queued"}
                ),
            )
            return
        told = [line for line in self.body.lines if line.status == "incomplete" and line.told]
        await self.record(
            "bounced",
            said=item,
            duty=CONTENT,
            facts=facts,
            changes=(*changes, *(Reopen(duty=ISSUE, subject=line.user, reason="bounce") for line in told)),
            acts=(Act(name="notice.bounced", data=facts),),
            to=self._at_work,
            body=self.body.having(
                *(line.model_copy(update={"told": False}) for line in told),
                notices={**self.body.notices, m.notice: "refused"},
            ),
        )

    async def _correct_address(self, item: Item, m: CorrectAddress) -> None:
        """Another address: a user gets a new secret by a new mail; what others could not get is sent again."""
        body, line = self.body, self.body.line(m.party)
        notices: tuple[NoticeDraft, ...]
        if line is not None:
            waiting = line.letter if line.status == "sending" else None
            new = line if waiting else line.model_copy(update={"status": "sending", "letters": line.letters + 1})
            act = Act(name="access.set_address", data={"user": m.party, "email": m.email, "waiting": waiting})
            notices = () if waiting else (self._letter(new),)
            body = body.having(new)
        else:
            act = Act(name="party.set_address", data={"party": m.party, "email": m.email})
            again = [key for key in self._undelivered() if _reader(key) == m.party]
            notices = tuple(self._again(key) for key in again)
            kept = {key: status for key, status in body.notices.items() if key not in again}
            body = body.model_copy(update={"notices": {**kept, **{d.key: "queued" for d in notices}}})
        await self.record(
            "address_corrected",
            said=item,
            duty=ISSUE,
            facts={"party": m.party, "again": [d.key for d in notices]},
            acts=(act,),
            notices=notices,
            body=body,
        )

    def _again(self, key: str) -> NoticeDraft:
        """The next letter in the place of one that could not be delivered."""
        _, subject, n = key.split(":")
        line = self.body.line(subject)
        if line is not None:
            return self._ask_address(line, int(n) + 1)
        lines = [line for line in self.body.lines if line.status == "incomplete"]
        return self._what_is_missing(lines, int(n) + 1)[0]

    def _undelivered(self) -> list[str]:
        return [key for key, status in self.body.notices.items() if status == "refused"]

    async def _drop(self, item: Item, m: DropLine) -> None:
        line = self.body.line(m.line)
        assert line is not None
        then = self._then_rest(self.body.having(line.model_copy(update={"status": "dropped"})))
        changes: list[Change] = []
        if self.clocks.running(ISSUE, line.user):
            changes.append(Void(duty=ISSUE, subject=line.user, reason=f"dropped: {m.reason}"))
        await self.record(
            "dropped",
            said=item,
            duty=ISSUE,
            facts={"line": m.line, "reason": m.reason},
            changes=(*changes, *then.pop("rest", ())),
            acts=(Act(name="access.drop", data={"waiting": line.letter if line.status == "sending" else None}),),
            **then,
        )

    # ---- what people see --------------------------------------------------------------------------------------------

    def allowed(self, message: Message) -> tuple[str, ...]:
        """The conditions of a request's messages: the right line in the right state, no instant in the future."""
        now, body = workflow.now(), self.body
        match message:
            case CompleteLine():
                return self._completion_faults(message)
            case DropLine():
                line = body.line(message.line)
                if line is None or line.status not in ("sending", "incomplete", "bounced"):
                    return ("line: nothing is open for it",)
            case ReportBounce():
                faults = []
                if message.notice not in self._bounceable():
                    faults.append("notice: no such letter was sent; sent: " + ", ".join(self._bounceable()))
                if not body.received_at <= message.bounced_at <= now:
                    faults.append("bounced_at: lies in the future or before the request")
                return tuple(faults)
            case CorrectAddress():
                could = [line.user for line in body.lines if line.status in ("sending", "bounced")]
                could += sorted({_reader(key) for key in self._undelivered()})
                if message.party not in could:
                    return ("party: no letter waits for another address; possible now: " + ", ".join(could),)
        return ()

    def _completion_faults(self, m: CompleteLine) -> tuple[str, ...]:
        line = self.body.line(m.line)
        if line is None or line.status not in ("incomplete", "bounced"):
            return ("line: nothing is missing in it",)
        faults = []
        if not self.body.received_at <= m.received_at <= workflow.now():
            faults.append("received_at: lies in the future or before the request")
        if line.status == "bounced" and set(m.fields) != {"email"}:
            faults.append("only the email is missing in this line")
        if "authenticator" in m.fields and not any(fault.startswith("authenticator:") for fault in line.faults):
            faults.append("authenticator: it was not refused in this line")
        if not m.fields:
            faults.append("say what was missing: " + ", ".join(line.faults))
        return tuple(faults)

    def _bounceable(self) -> list[str]:
        letters = [line.letter for line in self.body.lines if line.status in ("issued", "confirmed")]
        return letters + [
            key for key, status in self.body.notices.items() if status == "sent" and key.startswith(CONTENT)
        ]

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the request can fill in of a message."""
        lines = self.body.lines
        incomplete = next((line for line in lines if line.status == "incomplete"), None)
        stuck = next((line.user for line in lines if line.status == "bounced"), None)
        stuck = stuck or next((_reader(key) for key in self._undelivered()), None)
        bounced = next((line.user for line in lines if line.status == "bounced"), None)
        open_ = next((line.user for line in lines if line.status in ("incomplete", "bounced", "sending")), None)
        values: dict[type[Message], dict[str, Any]] = {
            ReportBounce: {"notice": self._bounceable()[0]} if self._bounceable() else {},
            CorrectAddress: {"party": stuck} if stuck else {},
            DropLine: {"line": open_} if open_ else {},
        }
        if incomplete is None and bounced is not None:
            values[CompleteLine] = {"line": bounced, "email": "‹email›"}
        if incomplete is not None:
            wanted = [fault.split(":")[0] for fault in incomplete.faults]
            values[CompleteLine] = {"line": incomplete.user} | {
                name: f"‹{name}›" for name in LINE_FIELDS if name in wanted or wanted == ["line"]
            }
        return values.get(model, {})

    def possible(self) -> list[type[Message]]:
        """Only what has a point now."""
        lines = self.body.lines
        pointless: set[type[Message]] = set()
        if not any(line.status in ("incomplete", "bounced") for line in lines):
            pointless.add(CompleteLine)
        if not self._bounceable():
            pointless.add(ReportBounce)
        if not self._undelivered() and not any(line.status in ("sending", "bounced") for line in lines):
            pointless.add(CorrectAddress)
        if not any(line.status in ("sending", "incomplete", "bounced") for line in lines):
            pointless.add(DropLine)
        return [m for m in super().possible() if m not in pointless]

    def waiting(self, stage: str, body: AccessBody) -> str:
        """What is waited for, and from whom."""
        match stage:
            case "refusing":
                return "the carrier: the refusal to the requester and the responsible employee"
            case "issuing" | "changing":
                going = [line.letter for line in body.lines if line.status == "sending"]
                waits = [self.waits_outside(f"issue:{letter}", letter) for letter in going]
                waits += [f"the carrier: {key}" for key, status in body.notices.items() if status == "queued"]
                waits += [f"an address for {line.user}" for line in body.lines if line.status == "bounced"]
                waits += [f"an address: {key}" for key, status in body.notices.items() if status == "refused"]
                return ", ".join(waits)
            case "resting":
                missing = [line.user for line in body.lines if line.status == "incomplete"]
                what = f"the client: what is missing of {', '.join(missing)}; " if missing else ""
                return what + "bounces, until it closes"
        return ""

    def story(self) -> list[str]:
        """The request in a few lines: the client, and each line with its result."""
        body = self.body
        refused = body.outcome == body.refused or self.case.stage == "refusing"
        lines = [f"- **Asked:** to {body.action} access for client {body.client}, received {utc(body.received_at)}"]
        if refused:
            lines += [f"- **Refused:** {REFUSALS[body.refused]}"]
        for line in body.lines:
            status = "nothing is done for it" if refused else IN_WORDS.get(line.status, line.status)
            faults = f"; missing or wrong: {', '.join(line.faults)}" if line.faults else ""
            doubts = f"; to look at: {', '.join(line.doubts)}" if line.doubts else ""
            lines += [f"- **User {line.user}:** {status}{' and told' if line.told else ''}{faults}{doubts}"]
        lines += [f"- **Asked for in:** {body.for_case}"] if body.for_case else []
        return lines + [f"- **Letter {key}:** {status}" for key, status in body.notices.items()]


def _reader(key: str) -> str:
    """Who a letter to the client's people is for."""
    return "responsible" if key.startswith(ASK) else "requester"
