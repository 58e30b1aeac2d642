"""Renewal: the client is reminded of one contract's end in time, unless the client objected to reminders."""

from __future__ import annotations

from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, Case, Done, Item, Rung, accepts
from workflows.payment import REST

with workflow.unsafe.imports_passed_through():
    from activities.renewal import RenewalActivities
    from models.case import (
        Act,
        Bells,
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
    from models.renewal import DropReminder, LookAtPolicy, PolicySeen, RenewalBody

REMIND = "GJ-renewal"
CONTENT = "GJ-renewal-content"
OBJECTION = "GJ-renewal-objection"
HOLDER = "policyholder"


@workflow.defn(name="Renewal")
class Renewal(Case):
    """One reminder of one contract's end: of that contract only, and none to whoever objected."""

    kind = "renewal"
    body_model = RenewalBody
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "reminding": (CorrectAddress, DropReminder),
        "resting": (ReportBounce,),
    }

    correct_address = accepts(CorrectAddress)
    drop_reminder = accepts(DropReminder)
    report_bounce = accepts(ReportBounce)

    body: RenewalBody

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Outcome:
        """Live the reminder; the input is a `StartCase`."""
        return await self.live(message, *more)

    # ---- stages -----------------------------------------------------------------------------------------------------

    async def reminding(self) -> None:
        """The lead time is reached: the letter goes out, about this contract and nothing else."""
        if not self.body.notices:
            await self._prepare()
            return
        self.send(key for key, status in self.body.notices.items() if status == "queued")
        match await self.next():
            case Done(result=NoticesSent(notices=proofs)) if proofs:
                await self._told(proofs[0])
            case Item(message=CorrectAddress() as m) as item:
                await self._correct_address(item, m)
            case Item(message=DropReminder() as m) as item:
                await self._close("dropped", m.reason, said=item)
            case Rung(bells=bells):
                await self._look(bells)

    async def resting(self) -> None:
        """The letter may still come back; then the case closes."""
        if not self.clocks.running(REST):
            await self.record("reopened", changes=(Start(duty=REST, anchor_at=workflow.now()),))
            return
        match await self.next():
            case Item(message=ReportBounce() as m) as item:
                await self._bounced(item, m)
            case Rung(bells=bells):
                await self._look(bells)

    def with_due(self, tick: Tick) -> dict[str, Any]:
        """The rest is over: closed in the same step."""
        return {"entry": "closed", "to": CLOSED, "outcome": "reminded"} if tick.duty == REST else {}

    # ---- the reminder -----------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        """Queue the letter; not where the client objected or the contract ended since the case was filed."""
        if await self._look(None):
            return
        draft = self._letter(1)
        await self.record(
            "prepared",
            duty=CONTENT,
            facts={"policy": self.body.policy, "ends_on": self.body.ends_on.isoformat()},
            changes=(Start(duty=REMIND, anchor_at=self.body.lead_reached_at),),
            notices=(draft,),
            body=self.body.model_copy(update={"notices": {draft.key: "queued"}}),
        )

    async def _told(self, proof: NoticeSent) -> None:
        body = self._with_letter(proof.key, "sent" if proof.sent_at else "refused")
        if proof.sent_at is None:
            await self.record("not_told", duty=REMIND, facts={proof.key: proof.refused}, body=body)
            return
        evidence = Evidence(kind="reminder_sent", happened_at=proof.sent_at, reference=proof.reference)
        await self.record(
            "told",
            duty=REMIND,
            facts={proof.key: "sent"},
            changes=(Stop(duty=REMIND, evidence=evidence), Start(duty=REST, anchor_at=workflow.now())),
            to="resting",
            body=body,
        )

    async def _bounced(self, item: Item, m: ReportBounce) -> None:
        """The letter came back: its term runs again, by the same due date."""
        data = {"notice": m.notice, "bounced_at": m.bounced_at.isoformat()}
        changes: list[Change] = [Void(duty=REST, reason="bounce")] if self.clocks.running(REST) else []
        await self.record(
            "bounced",
            said=item,
            duty=REMIND,
            facts=data,
            changes=(*changes, Reopen(duty=REMIND, reason="bounce")),
            acts=(Act(name="notice.bounced", data=data),),
            to="reminding",
            body=self._with_letter(m.notice, "refused"),
        )

    async def _correct_address(self, item: Item, m: CorrectAddress) -> None:
        """Another address: the letter is sent anew."""
        draft = self._letter(len(self.body.notices) + 1)
        await self.record(
            "address_corrected",
            said=item,
            duty=REMIND,
            facts={"party": m.party, "again": draft.key},
            acts=(Act(name="party.set_address", data={"party": m.party, "email": m.email}),),
            notices=(draft,),
            body=self._with_letter(draft.key, "queued"),
        )

    def _letter(self, n: int) -> NoticeDraft:
        """What the document lets it hold: the end of this contract, and an offer for its next term."""
        body = self.body
        facts = {
            "policy": body.policy,
            "insurer": body.insurer,
            "ends_on": body.ends_on.isoformat(),
            "next_from": body.next_from.isoformat(),
            "next_to": body.next_to.isoformat(),
            "premium": None if body.premium is None else str(body.premium),
        }
        return NoticeDraft(key=f"{REMIND}:{HOLDER}:{n}", template=REMIND, party=HOLDER, duty=REMIND, facts=facts)

    def _with_letter(self, key: str, status: str) -> RenewalBody:
        return self.body.model_copy(update={"notices": {**self.body.notices, key: status}})

    # ---- no more reminders ------------------------------------------------------------------------------------------

    async def _look(self, bells: Bells | None) -> bool:
        """Whether the client objected, or there is nothing to renew; then nothing is sent any more."""
        ask = LookAtPolicy(case=self.id, policy=self.body.policy)
        seen = await self.ask(RenewalActivities.look, ask, "look at the policy")
        heard = bells.ids if bells is not None else ()
        if seen.objection_received_at is not None and not self.body.objected:
            await self._objected(seen, heard)
            return True
        if seen.ended and self.case.stage == "reminding":
            await self._close("contract_ended", "the contract ended early or never took effect", heard=heard)
            return True
        return False

    async def _objected(self, seen: PolicySeen, heard: tuple[int, ...]) -> None:
        """No reminder to this client any more: what was done when, and what was called off."""
        assert seen.objection_received_at is not None
        evidence = Evidence(kind="reminders_stopped", happened_at=seen.reminders_stopped_at)
        clocks: tuple[Change, ...] = (
            Start(duty=OBJECTION, anchor_at=seen.objection_received_at),
            Stop(duty=OBJECTION, evidence=evidence),
        )
        body = self.body.model_copy(update={"objected": True})
        facts = {"received_at": seen.objection_received_at.isoformat()}
        if self.case.stage == "resting":
            await self.record("objected", duty=OBJECTION, facts=facts, changes=clocks, heard=heard, body=body)
            return
        await self._close("objected", "the client objected to reminders", clocks, heard=heard, body=body)

    async def _close(
        self,
        outcome: str,
        reason: str,
        changes: tuple[Change, ...] = (),
        *,
        said: Item | None = None,
        heard: tuple[int, ...] = (),
        body: RenewalBody | None = None,
    ) -> None:
        void = (Void(duty=REMIND, reason=outcome),) if self.clocks.running(REMIND) else ()
        await self.record(
            outcome,
            said=said,
            duty=OBJECTION if outcome == "objected" else REMIND,
            facts={"reason": reason},
            changes=(*changes, *void),
            acts=(Act(name="renewal.stop", data={"reason": reason}),),
            heard=heard,
            body=body,
            to=CLOSED,
            outcome=outcome,
        )

    # ---- what people see --------------------------------------------------------------------------------------------

    def allowed(self, message: Message) -> tuple[str, ...]:
        """The newest letter, and only once it could not be delivered another address."""
        last = list(self.body.notices)[-1:]
        match message:
            case CorrectAddress():
                if message.party != HOLDER or not self._undelivered():
                    return (f"party: only {HOLDER}, once the letter came back or could not be delivered",)
            case ReportBounce():
                faults = []
                if message.notice not in last or self.body.notices[message.notice] != "sent":
                    faults.append("notice: not the newest letter, or not sent; newest: " + ", ".join(last))
                if message.bounced_at > workflow.now():
                    faults.append("bounced_at: lies in the future")
                return tuple(faults)
        return ()

    def _undelivered(self) -> bool:
        return list(self.body.notices.values())[-1:] == ["refused"]

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the case can fill in of a message."""
        values: dict[type[Message], dict[str, Any]] = {
            CorrectAddress: {"party": HOLDER},
            ReportBounce: {"notice": list(self.body.notices)[-1]} if self.body.notices else {},
        }
        return values.get(model, {})

    def possible(self) -> list[type[Message]]:
        """Only what has a point now."""
        return [m for m in super().possible() if m is not CorrectAddress or self._undelivered()]

    def waiting(self, stage: str, body: RenewalBody) -> str:
        """What is waited for, and from whom."""
        if stage == "resting":
            return "a bounce, until it closes"
        letter = list(body.notices.items())[-1:]
        waits = [f"another address of the policyholder: {key}" for key, status in letter if status == "refused"]
        return ", ".join([*waits, *(f"the carrier: {key}" for key, status in letter if status == "queued")])

    def story(self) -> list[str]:
        """The contract, its end, and the letters."""
        body = self.body
        return [
            f"- **Policy:** {body.policy}, ends on {body.ends_on}; next term {body.next_from} to {body.next_to}",
            f"- **Counted from:** {body.lead_reached_at:%Y-%m-%d %H:%M} UTC, the lead time before that end",
            *(f"- **Letter {key}:** {status}" for key, status in body.notices.items()),
            *(["- **Objection:** no reminders to this client"] if body.objected else []),
        ]
