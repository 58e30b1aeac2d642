"""Recovery: an unjustified payment, or what others compensated after it, is demanded back (11.3, 9.8; GJ-debts)."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, REST, Event, Item, accepts, utc
from workflows.telling import LETTERS, Telling

with workflow.unsafe.imports_passed_through():
    from models.case import (
        Act,
        Change,
        CorrectAddress,
        Evidence,
        Message,
        NoticeDraft,
        NoticeSent,
        Outcome,
        ReportBounce,
        Start,
        Stop,
        Tick,
    )
    from models.recovery import (
        CLAUSES,
        DEBTOR,
        FIELDS,
        ApproveWaiver,
        DemandAgain,
        PlanHandover,
        RecoveryBody,
        Repayment,
        ReportHandover,
        ReportRecoverySuitEnd,
        ReportRepayment,
        SendBackWaiver,
        WaiveRecovery,
    )

REPAY = "BTA-11.3"
TELL = "GJ-debts"
KEEP = "GJ-recovery"
NEWS: tuple[type[Message], ...] = (ReportRepayment, ReportRecoverySuitEnd)
"""What happens outside, whatever is planned here."""


@workflow.defn(name="Recovery")
class Recovery(Telling):
    """One demand on one debtor: repaid, waived, or handed to a collector, of which the debtor is told first."""

    kind = "recovery"
    body_model = RecoveryBody
    reader = DEBTOR
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "demanding": (ReportRepayment, DemandAgain, PlanHandover, WaiveRecovery, ReportRecoverySuitEnd, *LETTERS),
        "approving": (ApproveWaiver, SendBackWaiver, *NEWS, *LETTERS),
        "handing_over": (ReportHandover, DemandAgain, WaiveRecovery, *NEWS, *LETTERS),
        "resting": (*NEWS, *LETTERS),
    }

    report_repayment = accepts(ReportRepayment)
    demand_again = accepts(DemandAgain)
    waive_recovery = accepts(WaiveRecovery)
    approve_waiver = accepts(ApproveWaiver)
    send_back_waiver = accepts(SendBackWaiver)
    plan_handover = accepts(PlanHandover)
    report_handover = accepts(ReportHandover)
    report_recovery_suit_end = accepts(ReportRecoverySuitEnd)

    body: RecoveryBody

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Outcome:
        """Live the recovery; the input is a `StartCase`."""
        return await self.live(message, *more)

    # ---- stages -----------------------------------------------------------------------------------------------------

    async def demanding(self) -> None:
        """11.3: the debtor is asked in writing; the term is the debtor's, and ours is to look when it is over."""
        if not self.body.notices:
            await self._demand(None)
            return
        self.send_what_waits()
        match await self.next():
            case Item(message=PlanHandover() as m) as item:
                await self._plan(item, m)
            case event:
                await self._always(event)

    async def approving(self) -> None:
        """To give up more than the limit a second person approves, never the one who proposed it."""
        self.send_what_waits()
        match await self.next():
            case Item(message=ApproveWaiver()) as item:
                await self._waive(item)
            case Item(message=SendBackWaiver() as m) as item:
                await self.record(
                    "sent_back",
                    said=item,
                    facts={"reason": m.reason},
                    to="demanding" if self.body.collector is None else "handing_over",
                    body=self.body.model_copy(update={"proposed_by": None}),
                )
            case event:
                await self._always(event)

    async def handing_over(self) -> None:
        """GJ-debts: nothing is handed over before the debtor was told; the letter is proven sent, or it is not told."""
        self.send_what_waits()
        match await self.next():
            case Item(message=ReportHandover() as m) as item:
                body = self.body.model_copy(update={"handed_over_at": m.handed_over_at})
                facts = {
                    "handed_over_at": m.handed_over_at.isoformat(),
                    "data": list(m.data),
                    "told_at": body.told_at.isoformat() if body.told_at else None,
                    "left": str(body.left),
                    "reference": m.reference,
                }
                await self.record(
                    "handed_over", said=item, duty=TELL, facts=facts, **self._over(body, "handed to a collector")
                )
            case event:
                await self._always(event)

    async def resting(self) -> None:
        """Money can still come, a suit end, the notice of the hand-over come back; then the case closes."""
        if await self.rest_again():
            return
        self.send_what_waits()
        await self._always(await self.next())

    def with_due(self, tick: Tick) -> dict[str, Any]:
        """The rest is over: closed in the same step, with the last day of the storage term (GJ-recovery)."""
        if tick.duty != REST:
            return {}
        until = self.body.keep_until
        facts = {"keep_until": until.isoformat() if until else None, "left": str(self.body.left)}
        return {"entry": "closed", "to": CLOSED, "outcome": self._outcome(), "facts": facts}

    def _outcome(self) -> str:
        body = self.body
        if not body.left:
            return "recovered"
        if body.waived_at is not None:
            return "partly" if body.repaid else "waived"
        return "handed_over"

    # ---- the demand -------------------------------------------------------------------------------------------------

    async def _demand(self, item: Item | None, m: DemandAgain | None = None) -> None:
        """A letter with the sum, the payment, the clause and the account; with a last day, the debtor's clock."""
        body = self.body
        repay_by = body.repay_by if m is None else m.repay_by
        given = {"repay_by": repay_by.isoformat() if repay_by else None}
        key = self._next_key(REPAY)
        draft = NoticeDraft(
            key=key,
            template=f"{REPAY}-demand",
            party=DEBTOR,
            duty=REPAY,
            facts={
                "claim": body.claim.split(":")[2],
                "reason": body.reason,
                "text": body.text,
                "payments": [{"paid_on": p.paid_on.isoformat(), "amount": str(p.amount)} for p in body.paid],
                "amount": str(body.left),
                "payee": body.payee,
                "account": body.account,
                **given,
            },
        )
        changes: list[Change] = [*self.no_more(REPAY, "demanded again")]
        if repay_by is not None:
            # noon: the same day in each zone of the house; the term ends with it
            anchor = datetime.combine(repay_by, time(12), UTC)
            changes.append(Start(duty=REPAY, anchor_at=anchor))
        await self.record(
            "demanded" if m is None else "demanded_again",
            said=item,
            duty=REPAY,
            facts={"amount": str(body.left), "reason": body.reason, **given},
            changes=tuple(changes),
            acts=(*self._call_off(body), *((Act(name="recovery.demand", data=given),) if m is not None else ())),
            notices=(draft,),
            to="demanding",
            body=body.model_copy(
                update={
                    "notices": {**_called_off(body), key: "queued"},
                    "text": None,
                    "repay_by": repay_by,
                    **_no_handover(),
                }
            ),
        )

    async def _repaid(self, item: Item, m: ReportRepayment) -> None:
        """Parts add up; with the last of them nothing is owed any more."""
        part = Repayment(received_on=m.received_on, amount=m.amount, reference=m.reference)
        body = self.body.model_copy(update={"repayments": (*self.body.repayments, part)})
        facts = {
            "amount": str(m.amount),
            "received_on": m.received_on.isoformat(),
            "left": str(body.left),
            "reference": m.reference,
        }
        evidence = Evidence(
            kind="repayment_received",
            happened_on=m.received_on,
            reference=m.reference,
            by_person=not m.actor.startswith("system:"),
        )
        happened = Act(name="recovery.happened", data={"received_on": m.received_on.isoformat()})
        then: dict[str, Any] = {"body": body, "acts": (happened,)}
        if not body.left and self.case.stage != "resting":
            then = self._over(body.model_copy(update={"proposed_by": None}), "repaid", evidence, happened)
        elif self.case.stage == "resting":
            then["acts"] = (happened, self._keep(body))
        await self.record("repaid", said=item, duty=REPAY, facts=facts, **then)

    async def _waive(self, item: Item) -> None:
        """What is left is given up: by one person, or by the second."""
        body = self.body.model_copy(update={"waived_at": item.at, "proposed_by": None, **_no_handover()})
        facts = {"left": str(body.left), "proposed_by": self.body.proposed_by}
        if isinstance(item.message, WaiveRecovery):
            facts |= {"reason": item.message.reason}
        await self.record(
            "waived",
            said=item,
            duty=REPAY,
            facts=facts,
            amount=body.left if isinstance(item.message, ApproveWaiver) else None,
            **self._over(body, "waived"),
        )

    async def _propose_waiver(self, item: Item, m: WaiveRecovery) -> None:
        if self.body.left <= self.body.second_above:
            await self._waive(item)
            return
        await self.record(
            "waiver_proposed",
            said=item,
            duty=REPAY,
            facts={"left": str(self.body.left), "reason": m.reason, "by": m.actor},
            to="approving",
            body=self.body.model_copy(update={"proposed_by": m.actor}),
        )

    def _over(self, body: RecoveryBody, reason: str, evidence: Evidence | None = None, *acts: Act) -> dict[str, Any]:
        """Arguments of `record` for a recovery that rests from here: the debtor's clock ends, and the term is counted.

        Without a repayment in full the clock is void, with the reason. Letters that still wait are called off.
        """
        ends: tuple[Change, ...] = self.no_more(REPAY, reason)
        if ends and evidence is not None:
            ends = (Stop(duty=REPAY, evidence=evidence),)
        return {
            "changes": (*ends, self.rest()),
            "acts": (*acts, self._keep(body), *self._call_off(body)),
            "to": "resting",
            "body": body.model_copy(update={"notices": _called_off(body)}),
        }

    def _call_off(self, body: RecoveryBody) -> tuple[Act, ...]:
        """What a letter says that was not sent yet holds no more."""
        if "queued" not in body.notices.values():
            return ()
        return (Act(name="recovery.call_off", data={"reason": "called off: it holds no more"}),)

    def _keep(self, body: RecoveryBody) -> Act:
        """GJ-recovery: the storage term from the later of the debt's end and the suit's, counted by the store."""
        days = [body.suit_ended_on] if body.suit_ended_on else []
        if not body.left:
            days.append(max(r.received_on for r in body.repayments))
        waived_at = body.waived_at.isoformat() if body.waived_at is not None and body.left else None
        return Act(name="recovery.keep", data={"days": [d.isoformat() for d in days], "waived_at": waived_at})

    async def _suit_end(self, item: Item, m: ReportRecoverySuitEnd) -> None:
        """It ends nothing by itself: what it awards is paid or not; the storage term is counted from it."""
        body = self.body.model_copy(update={"suit_ended_on": m.ended_on})
        happened = Act(name="recovery.happened", data={"ended_on": m.ended_on.isoformat()})
        await self.record(
            "suit_ended",
            said=item,
            duty=KEEP,
            facts={"ended_on": m.ended_on.isoformat(), "reference": m.reference},
            acts=(happened, self._keep(body)) if self.case.stage == "resting" else (happened,),
            body=body,
        )

    # ---- the hand-over ----------------------------------------------------------------------------------------------

    async def _plan(self, item: Item, m: PlanHandover) -> None:
        """GJ-debts: the debtor is told of the collector, and of what data it will get."""
        key = self._next_key(TELL)
        draft = NoticeDraft(
            key=key,
            template=TELL,
            party=DEBTOR,
            duty=TELL,
            facts={
                "claim": self.body.claim.split(":")[2],
                "amount": str(self.body.left),
                "collector": m.collector,
                "data": [FIELDS[field] for field in m.data],
                "payee": self.body.payee,
                "account": self.body.account,
            },
        )
        await self.record(
            "handover_planned",
            said=item,
            duty=TELL,
            facts={"data": list(m.data), "left": str(self.body.left)},
            notices=(draft,),
            to="handing_over",
            body=self.body.model_copy(
                update={
                    "collector": m.collector,
                    "data": m.data,
                    "told_at": None,
                    "notices": {**self.body.notices, key: "queued"},
                }
            ),
        )

    # ---- letters ----------------------------------------------------------------------------------------------------

    async def told(self, proofs: tuple[NoticeSent, ...]) -> None:
        """Proven sent, or not to be sent; the newest notice of a hand-over opens its gate."""
        body = self.body
        told = next((p for p in proofs if p.key == self._newest(TELL) and p.sent_at is not None), None)
        update: dict[str, Any] = {}
        if told is not None and told.sent_at is not None and body.collector is not None:
            # the carrier's clock can be a moment ahead
            update["told_at"] = min(told.sent_at, workflow.now())
        after = self.with_letters(self.became(proofs)).model_copy(update=update)
        facts = {proof.key: proof.refused or "sent" for proof in proofs}
        duty = TELL if any(p.key.startswith(TELL) for p in proofs) else REPAY
        then: dict[str, Any] = {"body": after}
        if self.case.stage == "handing_over" and after.handed_over_at is not None and after.told_at is not None:
            then = self._over(after, "handed to a collector")
        await self.record("letters_settled", duty=duty, facts=facts, **then)

    async def bounced(self, item: Item, m: ReportBounce) -> None:
        """A letter came back: of a hand-over, the debtor was not told, so that its gate is shut again."""
        notice_of_handover = m.notice == self._newest(TELL) and self.body.collector is not None
        await self.came_back(
            item,
            m,
            duty=TELL if notice_of_handover else REPAY,
            to="handing_over" if self.case.stage == "resting" else None,
            update={"told_at": None} if notice_of_handover else {},
        )

    async def address_corrected(self, item: Item, m: CorrectAddress) -> None:
        """Another address: the newest letter of each kind that did not arrive goes to it."""
        again = {self._next_key(k.rpartition(":")[0]): k for k in self.undelivered()}
        await self.record(
            "address_corrected",
            said=item,
            facts={"party": m.party, "again": sorted(again)},
            acts=(
                self.set_address(m),
                Act(name="notice.again", data={"renewed": again}),
            ),
            body=self.with_letters(dict.fromkeys(again, "queued")),
        )

    def _next_key(self, kind: str) -> str:
        return f"{kind}:{1 + sum(key.startswith(f'{kind}:') for key in self.body.notices)}"

    def _newest(self, kind: str) -> str | None:
        return next((key for key in reversed(self.body.notices) if key.startswith(f"{kind}:")), None)

    def current(self) -> list[str]:
        """The newest demand, or the newest notice of a planned hand-over; none once nothing depends on it."""
        if self.case.stage == "resting" and self.body.handed_over_at is None:
            return []
        kind = TELL if self.body.collector is not None else REPAY
        newest = self._newest(kind)
        return [newest] if newest is not None else []

    # ---- at any stage -----------------------------------------------------------------------------------------------

    async def _always(self, event: Event) -> None:
        """What more than one stage takes, in the same way."""
        match event:
            case Item(message=ReportRepayment() as m) as item:
                await self._repaid(item, m)
            case Item(message=DemandAgain() as m) as item:
                await self._demand(item, m)
            case Item(message=WaiveRecovery() as m) as item:
                await self._propose_waiver(item, m)
            case Item(message=ReportRecoverySuitEnd() as m) as item:
                await self._suit_end(item, m)
            case _:
                await self.about_letters(event)

    def allowed(self, message: Message) -> tuple[str, ...]:
        """No more than is left, each credit once, four eyes, and no hand-over before the debtor was told."""
        body = self.body
        match message:
            case ReportRepayment():
                faults = []
                if message.amount > body.left:
                    faults.append(f"amount: only {body.left} EUR are left")
                if message.reference in [r.reference for r in body.repayments]:
                    faults.append("reference: this repayment was reported already")
                return tuple(faults)
            case ApproveWaiver() if body.proposed_by == message.actor:
                return ("four eyes: the one who would waive cannot approve",)
            case ReportHandover():
                return self._handover_faults(message)
            case DemandAgain() | WaiveRecovery() if body.handed_over_at is not None:
                return ("the debt was handed over already",)
        return super().allowed(message)

    def _handover_faults(self, message: ReportHandover) -> tuple[str, ...]:
        body, faults = self.body, []
        if body.handed_over_at is not None:
            faults.append("the debt was handed over already")
        elif body.told_at is None:
            faults.append("GJ-debts: the debtor was not told yet; the notice must be proven sent first")
        elif message.handed_over_at < body.told_at:
            faults.append(f"handed_over_at: lies before the debtor was told, {utc(body.told_at)}")
        if message.handed_over_at > workflow.now():
            faults.append("handed_over_at: lies in the future")
        if more := sorted(set(message.data) - set(body.data)):
            faults.append(f"data: the debtor was not told of {', '.join(more)}")
        return tuple(faults)

    # ---- what people see --------------------------------------------------------------------------------------------

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the case can fill in of a message."""
        values: dict[type[Message], dict[str, Any]] = {
            ReportRepayment: {"amount": str(self.body.left)},
            ReportHandover: {"data": list(self.body.data)},
        }
        return values.get(model) or super().known(model)

    def possible(self) -> list[type[Message]]:
        """Only what has a point now."""
        body = self.body
        pointless: set[type[Message]] = set()
        if body.told_at is None or body.handed_over_at is not None:
            pointless.add(ReportHandover)
        if body.handed_over_at is not None:
            pointless |= {DemandAgain, WaiveRecovery}
        if not body.left:
            pointless.add(ReportRepayment)
        return [m for m in super().possible() if m not in pointless]

    def waiting(self, stage: str, body: RecoveryBody) -> str:
        """What is waited for, and from whom."""
        newest = list(body.notices.items())[-1:]
        waits = [f"another address of the debtor: {key}" for key, status in newest if status == "refused"]
        match stage:
            case "demanding":
                by = f" by {body.repay_by}" if body.repay_by else ""
                return ", ".join([*waits, f"the debtor: {body.left} EUR{by}"])
            case "approving":
                return f"a second person's approval that {body.left} EUR are waived"
            case "handing_over":
                if waits:
                    return waits[0]
                if body.told_at is None:
                    return "the carrier: the notice of the hand-over"
                return "the handler: the hand-over to the collector, of which the debtor was told"
            case "resting":
                return "money, the end of a suit or a bounce, until it closes"
        return ""

    def story(self) -> list[str]:
        """What is owed and why, what came back, and how long the file is kept."""
        body = self.body
        lines = [
            f"- **Demanded:** {body.amount} EUR of {body.owed_by} in {body.claim}",
            f"- **Because:** {body.reason.replace('_', ' ')} ({CLAUSES[body.reason]})",
            f"- **Left:** {body.left} EUR",
            *(f"- **Repaid:** {r.amount} EUR on {r.received_on}, {r.reference}" for r in body.repayments),
        ]
        if body.proposed_by:
            lines += [f"- **Waiver proposed by:** {body.proposed_by}"]
        if body.waived_at:
            lines += [f"- **Waived:** {utc(body.waived_at)}"]
        if body.data:
            lines += [f"- **Hand-over planned of:** {', '.join(body.data)}"]
        if body.told_at:
            lines += [f"- **Debtor told of it:** {utc(body.told_at)}"]
        if body.handed_over_at:
            lines += [f"- **Handed over:** {utc(body.handed_over_at)}"]
        if body.suit_ended_on:
            lines += [f"- **Suit ended:** {body.suit_ended_on}"]
        if self.case.stage in ("resting", CLOSED):
            until = f"until {body.keep_until}" if body.keep_until else "not counted before it is paid or a suit ends"
            lines += [f"- **Storage term:** {until} ({KEEP})"]
        return lines + self.story_of_letters()


def _no_handover() -> dict[str, Any]:
    """A hand-over that was planned is dropped."""
    return {"collector": None, "data": (), "told_at": None}


def _called_off(body: RecoveryBody) -> dict[str, Any]:
    return {key: "refused" if status == "queued" else status for key, status in body.notices.items()}
