"""Authenticator decision: an authenticator ends for everybody; each client is told in a case of its own (BL 3)."""

from __future__ import annotations

from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, Case, Event, Item, Rung, accepts

with workflow.unsafe.imports_passed_through():
    from activities.authenticator_decision import AuthenticatorDecisionActivities
    from models.access import MoveEffect, WithdrawDecision
    from models.authenticator_decision import (
        BATCH,
        PASSED_ON,
        AuthenticatorDecisionBody,
        LookAtWithdrawals,
        PassedOn,
    )
    from models.case import Act, Message, Outcome

NOTICE = "BL-3-notice"


@workflow.defn(name="AuthenticatorDecision")
class AuthenticatorDecision(Case):
    """Finds whom the decision concerns, shows how their withdrawals stand, and passes on what is said for everybody.

    It starts no child: the withdrawals are filed in its steps, and what is done in them rings it from the store. It has
    no clock, for the ten days are each client's own.
    """

    kind = "authenticator_decision"
    body_model = AuthenticatorDecisionBody
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "finding": (WithdrawDecision, MoveEffect),
        "passing_on": (),
        "running": (WithdrawDecision, MoveEffect),
    }

    withdraw_decision = accepts(WithdrawDecision)
    move_effect = accepts(MoveEffect)

    body: AuthenticatorDecisionBody

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Outcome:
        """Live the decision; the input is a `StartCase`."""
        return await self.live(message, *more)

    # ---- stages -----------------------------------------------------------------------------------------------------

    async def finding(self) -> None:
        """A withdrawal is filed for each client whose contract or users have the authenticator, a batch in a step."""
        if self.inbox:
            await self._heard(await self.next(busy=True))
        else:
            await self._look()

    async def passing_on(self) -> None:
        """What was said goes to each withdrawal as an event, a batch in a step; each tells its people itself."""
        passed = self.body.passed
        assert passed is not None
        given = min(passed.given + BATCH, self.body.clients)
        await self.record(
            "passed_on",
            duty=NOTICE,
            facts={"event": passed.event, "given": given},
            acts=(Act(name="authenticator_decision.pass_on", data=passed.model_dump(mode="json")),),
            to="passing_on" if given < self.body.clients else "finding",
            body=self.body.model_copy(update={"passed": passed.model_copy(update={"given": given})}),
        )

    async def running(self) -> None:
        """The withdrawals run; whoever joins is told too; it is over when every one of them is."""
        await self._heard(await self.next())

    # ---- what happens -----------------------------------------------------------------------------------------------

    async def _heard(self, event: Event) -> None:
        match event:
            case Item(message=WithdrawDecision() | MoveEffect()) as item:
                await self._say_to_all(item)
            case Rung(bells=bells):
                await self._look(bells.ids)

    async def _look(self, heard: tuple[int, ...] = ()) -> None:
        """File for whoever is still to be told; else record how it stands, if that has changed."""
        body = self.body
        event = body.passed.event if body.passed is not None else None
        seen = await self.ask(
            AuthenticatorDecisionActivities.look,
            LookAtWithdrawals(case=self.id, at=workflow.now(), event=event),
            "look at the withdrawals",
        )
        if seen.clients:
            await self.record(
                "clients_found",
                duty=NOTICE,
                facts={"clients": list(seen.clients)},
                acts=(Act(name="authenticator_decision.file", data={"clients": list(seen.clients)}),),
                heard=heard,
                to="finding",
                body=body.model_copy(update={"clients": body.clients + len(seen.clients)}),
            )
            return
        over = seen.progress.settled == body.clients
        if seen.progress == body.progress and self.case.stage == "running" and not over:
            return
        await self.record(
            "seen",
            duty=NOTICE,
            facts=seen.progress.model_dump(mode="json"),
            heard=heard,
            to=CLOSED if over else "running",
            outcome=self._outcome(seen.progress.in_effect) if over else None,
            body=body.model_copy(update={"progress": seen.progress}),
        )

    def _outcome(self, in_effect: int) -> str:
        if self.body.withdrawn:
            return "withdrawn"
        if not self.body.clients:
            return "nobody_concerned"
        return "in_effect" if in_effect == self.body.clients else "in_effect_in_part"

    async def _say_to_all(self, item: Item) -> None:
        """The decision's own row says it first, so that no effect comes before each case has heard it."""
        body, message = self.body, item.message
        assert isinstance(message, WithdrawDecision | MoveEffect)
        said = message.model_dump(mode="json", include={"reason", "takes_effect_on"})
        n = body.said + 1
        passed = PassedOn(event=f"{PASSED_ON}{n}", name=message.update_name(), message=said)
        update: dict[str, Any] = {"passed": passed, "said": n}
        update |= (
            {"takes_effect_on": message.takes_effect_on} if isinstance(message, MoveEffect) else {"withdrawn": True}
        )
        await self.record(
            "moved" if isinstance(message, MoveEffect) else "withdrawn",
            said=item,
            duty=NOTICE,
            facts={**said, "event": passed.event, "clients": body.clients},
            acts=(
                Act(
                    name=f"authenticator_decision.{'move' if isinstance(message, MoveEffect) else 'withdraw'}",
                    data=said,
                ),
            ),
            to="passing_on" if body.clients else "finding",
            body=body.model_copy(update=update),
        )

    # ---- what people see --------------------------------------------------------------------------------------------

    def allowed(self, message: Message) -> tuple[str, ...]:
        """A decision that was withdrawn is withdrawn."""
        if self.body.withdrawn:
            return ("the decision was withdrawn; another one is a case of its own",)
        match message:
            case MoveEffect() if message.takes_effect_on == self.body.takes_effect_on:
                return ("takes_effect_on: that is the day that stands",)
        return super().allowed(message)

    def possible(self) -> list[type[Message]]:
        """Only what has a point now."""
        own: tuple[type[Message], ...] = (WithdrawDecision, MoveEffect)
        return [m for m in super().possible() if not (self.body.withdrawn and m in own)]

    def waiting(self, stage: str, body: AuthenticatorDecisionBody) -> str:
        """What is waited for, and from whom."""
        seen = body.progress
        if stage != "running":
            return ""
        waits = f"{body.clients - seen.settled} of {body.clients} withdrawals, to take effect or be withdrawn"
        more = {"unreached": seen.unreached, "held up after the notice": seen.held, "refused": seen.refused}
        return ", ".join([waits, *(f"{n} {what}" for what, n in more.items() if n)])

    def story(self) -> list[str]:
        """The decision, how many withdrawals stand where, and by name those that somebody has to look after."""
        body, seen = self.body, self.body.progress
        what = "End" if body.scope == "end" else "Limit"
        on = f", not before {body.takes_effect_on}" if body.takes_effect_on else ""
        lines = [f"- **Decision:** {what} of {body.authenticator} for everybody, decided by {body.decided_by}{on}"]
        if body.withdrawn:
            lines += ["- **Withdrawn:** there is no effect for anybody who has none yet"]
        counts = {
            "not begun": seen.waiting,
            "being told": seen.telling,
            "not reached": seen.unreached,
            "notice runs": seen.running,
            "held up after the notice": seen.held,
            "in effect": seen.in_effect,
            "withdrawn": seen.withdrawn,
        }
        stand = ", ".join(f"{n} {name}" for name, n in counts.items() if n)
        lines += [f"- **Clients:** {body.clients}{f': {stand}' if stand else ''}"]
        if body.clients:
            each = f"authenticator_withdrawal:{self.id.partition(':')[2]}"
            lines += [f"- **A withdrawal for each:** {each}-…, ending with the client's code"]
        if seen.fallbacks:
            lines += [f"- **Requests for login data without a result:** {seen.fallbacks}"]
        if body.passed is not None:
            passed = body.passed
            heard = f"heard by {passed.given} of {body.clients}, refused by {seen.refused or 'none'}"
            lines += [f"- **Said to all:** {passed.name}, as event {passed.event}; {heard}"]
        if seen.behind:
            left = seen.unreached + seen.held + seen.refused - len(seen.behind)
            lines += ["- **To look after:** " + ", ".join(seen.behind) + (f" and {left} more" if left > 0 else "")]
        return lines
