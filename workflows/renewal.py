"""Renewal: the client is reminded of one contract's end in time, unless the client objected to reminders."""

from __future__ import annotations

from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, REST, Item, Rung, accepts, utc
from workflows.telling import Telling

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
        Outcome,
        Reopen,
        ReportBounce,
        Start,
        Stop,
        Tick,
    )
    from models.renewal import DropReminder, LookAtPolicy, PolicySeen, RenewalBody

REMIND = "GJ-renewal"
CONTENT = "GJ-renewal-content"
OBJECTION = "GJ-renewal-objection"
HOLDER = "policyholder"


@workflow.defn(name="Renewal")
class Renewal(Telling):
    """One reminder of one contract's end: of that contract only, and none to whoever objected."""

    kind = "renewal"
    body_model = RenewalBody
    reader = HOLDER
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "reminding": (CorrectAddress, DropReminder),
        "resting": (ReportBounce,),
    }

    drop_reminder = accepts(DropReminder)

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
        self.send_what_waits()
        match await self.next():
            case Item(message=DropReminder() as m) as item:
                await self._close("dropped", m.reason, said=item)
            case Rung(bells=bells):
                await self._look(bells)
            case event:
                await self.about_letters(event)

    async def resting(self) -> None:
        """The letter may still come back; then the case closes."""
        if await self.rest_again():
            return
        match await self.next():
            case Item() as item:
                await self.about_letters(item)
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
        draft = self.letter(f"{REMIND}:{HOLDER}:1")
        await self.record(
            "prepared",
            duty=CONTENT,
            facts={"policy": self.body.policy, "ends_on": self.body.ends_on.isoformat()},
            changes=(Start(duty=REMIND, anchor_at=self.body.lead_reached_at),),
            notices=(draft,),
            body=self.body.model_copy(update={"notices": {draft.key: "queued"}}),
        )

    async def told(self, proofs: tuple[NoticeSent, ...]) -> None:
        """Proven sent: the client was reminded in time, or late."""
        proof = proofs[0]
        body = self.with_letters(self.became([proof]))
        if proof.sent_at is None:
            await self.not_told(REMIND, proof, body)
            return
        evidence = Evidence(kind="reminder_sent", happened_at=proof.sent_at, reference=proof.reference)
        await self.record(
            "told",
            duty=REMIND,
            facts={proof.key: "sent"},
            changes=(Stop(duty=REMIND, evidence=evidence), self.rest()),
            to="resting",
            body=body,
        )

    async def bounced(self, item: Item, m: ReportBounce) -> None:
        """The letter came back: its term runs again, by the same due date."""
        await self.came_back(item, m, duty=REMIND, to="reminding", changes=(Reopen(duty=REMIND, reason="bounce"),))

    def letter(self, key: str) -> NoticeDraft:
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
        return NoticeDraft(key=key, template=REMIND, party=HOLDER, duty=REMIND, facts=facts)

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
        await self.record(
            outcome,
            said=said,
            duty=OBJECTION if outcome == "objected" else REMIND,
            facts={"reason": reason},
            changes=(*changes, *self.no_more(REMIND, outcome)),
            acts=(Act(name="renewal.stop", data={"reason": reason}),),
            heard=heard,
            body=body,
            to=CLOSED,
            outcome=outcome,
        )

    # ---- what people see --------------------------------------------------------------------------------------------

    def waiting(self, stage: str, body: RenewalBody) -> str:
        """What is waited for, and from whom."""
        if stage == "resting":
            return "a bounce, until it closes"
        return ", ".join(self.waits_of_letters(body))

    def story(self) -> list[str]:
        """The contract, its end, and the letters."""
        body = self.body
        return [
            f"- **Policy:** {body.policy}, ends on {body.ends_on}; next term {body.next_from} to {body.next_to}",
            f"- **Counted from:** {utc(body.lead_reached_at)}, the lead time before that end",
            *self.story_of_letters(),
            *(["- **Objection:** no reminders to this client"] if body.objected else []),
        ]
