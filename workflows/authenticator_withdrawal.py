"""Authenticator withdrawal: notice, ten full days, and only then the end or limit of an authenticator (BL 3)."""

from __future__ import annotations

from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, REST, Done, Item, Rung, accepts
from workflows.telling import Telling

with workflow.unsafe.imports_passed_through():
    from activities.access import AccessActivities
    from models.access import (
        Fallbacks,
        RequestFallback,
        TakeAway,
        TakeEffect,
        WithdrawalBody,
        WithdrawDecision,
        Withdrawn,
    )
    from models.case import (
        Act,
        Change,
        CorrectAddress,
        Message,
        NoticeDraft,
        NoticeSent,
        NoticesSent,
        Outcome,
        Reopen,
        ReportBounce,
        Start,
        Tick,
        Void,
    )
    from models.names import REFERENCE, case_id, shortened

NOTICE = "BL-3-notice"
EFFECT = "BL-3-effect"
TAKEN_BACK = "BL-3-withdrawn"
DAY = "T-effect-day"


@workflow.defn(name="AuthenticatorWithdrawal")
class AuthenticatorWithdrawal(Telling):
    """The end or limit of an authenticator for one client: never before the notice has run, whoever asks."""

    kind = "authenticator_withdrawal"
    body_model = WithdrawalBody
    reader = "responsible"
    letters_in = "letters"
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "telling": (CorrectAddress, RequestFallback, WithdrawDecision),
        "running": (RequestFallback, WithdrawDecision, TakeEffect, ReportBounce),
        "closing": (CorrectAddress,),
        "resting": (ReportBounce,),
    }

    request_fallback = accepts(RequestFallback)
    withdraw_decision = accepts(WithdrawDecision)
    take_effect = accepts(TakeEffect)

    body: WithdrawalBody

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Outcome:
        """Live the withdrawal; the input is a `StartCase`."""
        return await self.live(message, *more)

    # ---- stages -----------------------------------------------------------------------------------------------------

    async def telling(self) -> None:
        """3: the responsible employee is told; only the proven sending starts the ten days."""
        body = self.body
        if not body.letters:
            draft = self.letter(f"{NOTICE}:responsible:1")
            await self.record(
                "decided",
                duty=NOTICE,
                facts={
                    "authenticator": body.authenticator,
                    "scope": body.scope,
                    "decided_by": body.decided_by,
                    "takes_effect_on": body.takes_effect_on.isoformat() if body.takes_effect_on else None,
                },
                notices=(draft,),
                body=body.model_copy(update={"letters": {draft.key: "queued"}, "queued_at": workflow.now()}),
            )
            return
        self.send_what_waits()
        match await self.next():
            case Item(message=RequestFallback() | WithdrawDecision()) | Rung() as event:
                await self._meanwhile(event)
            case event:
                await self.about_letters(event)

    async def running(self) -> None:
        """3: the ten days run; the client can ask for login data; the effect comes at their end or later."""
        notice = self.clocks.get(NOTICE)
        if self._free() and notice is not None and (self.body.regardless or not self.body.open_fallbacks):
            ask = TakeAway(case=self.id, n=notice.n, at=workflow.now())
            self.perform(f"effect:{notice.n}", AccessActivities.withdraw_authenticator, ask, "take effect")
        match await self.next():
            case Done(result=Withdrawn() as effect) if effect.effective_at is not None:
                await self._effect(effect)
            case Item(message=TakeEffect() as m) as item:
                await self.record(
                    "effect_ordered",
                    said=item,
                    duty=NOTICE,
                    facts={"reason": m.reason, "open": list(self.body.open_fallbacks)},
                    body=self.body.model_copy(update={"regardless": True}),
                )
            case Item(message=ReportBounce() as m) as item:
                await self.bounced(item, m)
            case event:
                await self._meanwhile(event)

    async def closing(self) -> None:
        """The responsible employee is told of the effect, or that there will be none."""
        self.send_what_waits()
        match await self.next():
            case Done(result=NoticesSent(notices=proofs)):
                body = self.with_letters(self.became(proofs))
                told = body.letters[self.current()[0]] == "sent"
                await self.record(
                    "told" if told else "letters_settled",
                    duty=NOTICE,
                    facts={p.key: p.refused or "sent" for p in proofs},
                    changes=(self.rest(),) if told else (),
                    to="resting" if told else None,
                    body=body,
                )
            case Item(message=CorrectAddress() as m) as item:
                await self.address_corrected(item, m)
            case event:
                await self._meanwhile(event)

    async def resting(self) -> None:
        """The last letter may still come back; then the case closes."""
        if await self.rest_again():
            return
        match await self.next():
            case Item(message=ReportBounce() as m) as item:
                await self.came_back(item, m, duty=NOTICE, to="closing")
            case event:
                await self._meanwhile(event)

    def with_due(self, tick: Tick) -> dict[str, Any]:
        """The rest is over: closed in the same step."""
        return {"entry": "closed", "to": CLOSED, "outcome": self.body.result} if tick.duty == REST else {}

    # ---- notice and effect ------------------------------------------------------------------------------------------

    async def told(self, proofs: tuple[NoticeSent, ...]) -> None:
        """The notice is proven sent: the ten days run from its day. One that cannot be delivered starts nothing."""
        proof = proofs[0]
        body = self.with_letters(self.became([proof]))
        if proof.sent_at is None or body.queued_at is None:
            await self.not_told(NOTICE, proof, body)
            return
        # no notice is sent before it was queued, whatever a carrier's clock says
        anchor = max(proof.sent_at, body.queued_at)
        changes: list[Change] = [Start(duty=NOTICE, anchor_at=anchor)]
        if body.effect_anchor is not None and self.clocks.get(DAY) is None:
            changes.append(Start(duty=DAY, anchor_at=body.effect_anchor))
        await self.record(
            "told",
            duty=NOTICE,
            facts={proof.key: "sent", "sent_at": anchor.isoformat()},
            changes=tuple(changes),
            acts=(Act(name="withdrawal.told", data={"notice": proof.key, "anchor_at": anchor.isoformat()}),),
            to="running",
            body=body,
        )

    def _free(self) -> bool:
        """True once the notice, and the chosen day if there is one, have run to their end."""
        notice, day = self.clocks.get(NOTICE), self.clocks.get(DAY)
        return notice is not None and notice.status == "kept" and (day is None or day.status == "kept")

    async def _effect(self, effect: Withdrawn) -> None:
        assert effect.effective_at is not None
        draft = self.letter(f"{EFFECT}:responsible:1", effect)
        await self.record(
            "effect",
            duty=NOTICE,
            facts={
                "effective_at": effect.effective_at.isoformat(),
                "ended": list(effect.ended),
                "kept_login_data": list(effect.kept_login_data),
                "limited": list(effect.limited),
            },
            notices=(draft,),
            to="closing",
            body=self.with_letters({draft.key: "queued"}).model_copy(
                update={"result": "in_effect", "effective_on": effect.effective_on}
            ),
        )

    async def bounced(self, item: Item, m: ReportBounce) -> None:
        """The notice came back: its ten days are void, and only a new notice starts them anew, from its own day."""
        clock = self.clocks.get(NOTICE)
        assert clock is not None
        again: tuple[Change, ...] = () if clock.open else (Reopen(duty=NOTICE, reason="bounce"),)
        changes = (*again, Void(duty=NOTICE, reason="the notice came back"))
        await self.came_back(item, m, duty=NOTICE, to="telling", changes=changes, act="withdrawal.untold")

    async def address_corrected(self, item: Item, m: CorrectAddress) -> None:
        """Another address for the responsible employee: what could not be delivered is sent again, as a new letter."""
        again = self.undelivered()
        drafts = tuple(self.letter(_next_key(key)) for key in again)
        became = {**dict.fromkeys(again, "bounced"), **{d.key: "queued" for d in drafts}}
        await self.record(
            "address_corrected",
            said=item,
            duty=NOTICE,
            facts={"party": m.party, "again": [d.key for d in drafts]},
            acts=(self.set_address(m),),
            notices=drafts,
            body=self.with_letters(became).model_copy(update={"queued_at": workflow.now()}),
        )

    # ---- what comes meanwhile ---------------------------------------------------------------------------------------

    async def _meanwhile(self, event: Any) -> None:
        """What more than one stage takes, in the same way."""
        match event:
            case Item(message=RequestFallback() as m) as item:
                await self._request_fallback(item, m)
            case Item(message=WithdrawDecision() as m) as item:
                await self._withdraw(item, m)
            case Rung(bells=bells) if self.body.fallbacks:
                done = await self.ask(
                    AccessActivities.fallbacks, Fallbacks(cases=tuple(self.body.fallbacks)), "look at the requests"
                )
                statuses = {case: "done" if case in done.cases else "open" for case in self.body.fallbacks}
                await self.record(
                    "fallbacks_seen",
                    duty="BL-4",
                    facts=statuses,
                    heard=bells.ids,
                    body=self.body.model_copy(update={"fallbacks": statuses}),
                )

    async def _request_fallback(self, item: Item, m: RequestFallback) -> None:
        """On the client's request login data go to the users concerned: a request of its own, with its two days."""
        reference = f"{self.id.split(':')[2]}-F{len(self.body.fallbacks) + 1}"
        if not REFERENCE.match(reference):
            reference = shortened(reference)
        child = case_id("access_request", self.case.organisation, reference)
        await self.record(
            "fallback_requested",
            said=item,
            duty="BL-4",
            facts={"request": child, "users": len(m.users), "received_at": m.received_at.isoformat()},
            acts=(
                Act(
                    name="withdrawal.request_fallback",
                    data={
                        "reference": reference,
                        "received_at": m.received_at.isoformat(),
                        "users": list(m.users),
                        "requester": m.requester.model_dump() if m.requester else None,
                    },
                ),
            ),
            body=self.body.model_copy(update={"fallbacks": {**self.body.fallbacks, child: "open"}}),
        )

    async def _withdraw(self, item: Item, m: WithdrawDecision) -> None:
        """There will be no effect; whoever may have been told is told again."""
        reason = f"decision withdrawn: {m.reason}"
        changes = (*self.no_more(NOTICE, reason), *self.no_more(DAY, reason))
        acts = (Act(name="withdrawal.withdraw"),)
        facts = {"reason": m.reason}
        if all(status == "refused" for status in self.body.letters.values()):
            await self.record(
                "withdrawn",
                said=item,
                duty=NOTICE,
                facts=facts,
                changes=changes,
                acts=acts,
                to=CLOSED,
                outcome="withdrawn",
            )
            return
        draft = self.letter(f"{TAKEN_BACK}:responsible:1")
        await self.record(
            "withdrawn",
            said=item,
            duty=NOTICE,
            facts=facts,
            changes=changes,
            acts=acts,
            notices=(draft,),
            to="closing",
            body=self.with_letters({draft.key: "queued"}).model_copy(update={"result": "withdrawn"}),
        )

    # ---- letters ----------------------------------------------------------------------------------------------------

    def letter(self, key: str, effect: Withdrawn | None = None) -> NoticeDraft:
        """A letter to the responsible employee; which one, its key says."""
        body, template = self.body, key.split(":", maxsplit=1)[0]
        facts: dict[str, Any] = {"client": {"name_of": "client"}, "authenticator": body.authenticator}
        if template == NOTICE:
            chosen = body.takes_effect_on.isoformat() if body.takes_effect_on else None
            facts |= {
                "scope": body.scope,
                "limitation": body.limitation,
                "effect_not_before": {"free_from": [NOTICE, chosen]},
            }
        if template == EFFECT:
            on = effect.effective_on if effect is not None else body.effective_on
            facts["effective_on"] = on.isoformat() if on else None
        return NoticeDraft(key=key, template=template, party="responsible", duty=NOTICE, facts=facts)

    def send_what_waits(self) -> None:
        """The newest letter: what it replaces, or takes back, waits for nothing any more."""
        self.send(key for key in self.current() if self.letters[key] == "queued")

    # ---- what people see --------------------------------------------------------------------------------------------

    def allowed(self, message: Message) -> tuple[str, ...]:
        """The conditions of a withdrawal's messages; above all: no effect before the notice has run."""
        match message:
            case TakeEffect():
                if not self._free():
                    clocks = [c for c in (self.clocks.get(NOTICE), self.clocks.get(DAY)) if c is not None and c.open]
                    return tuple(f"{c.label}: no effect before it has run; its last day is {c.shown}" for c in clocks)
                if not self.body.open_fallbacks:
                    return ("no request is open: the effect comes by itself",)
            case RequestFallback() if message.received_at > workflow.now():
                return ("received_at: lies in the future",)
        return super().allowed(message)

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the case can fill in of a message."""
        user = {name: f"‹{name}›" for name in ("first_name", "last_name", "personal_code", "phone", "email")}
        values: dict[type[Message], dict[str, Any]] = {
            RequestFallback: {"users": [user]},
        }
        return values.get(model) or super().known(model)

    def possible(self) -> list[type[Message]]:
        """Only what has a point now."""
        pointless: set[type[Message]] = set()
        if not (self._free() and self.body.open_fallbacks):
            pointless.add(TakeEffect)
        return [m for m in super().possible() if m not in pointless]

    def waiting(self, stage: str, body: WithdrawalBody) -> str:
        """What is waited for, and from whom."""
        letter = next(iter(list(body.letters.items())[-1:]), ("", ""))
        undelivered = f"another address of the responsible employee: {letter[0]} could not be delivered"
        match stage:
            case "telling":
                return undelivered if letter[1] == "refused" else f"the carrier: {letter[0]}"
            case "running":
                if body.open_fallbacks:
                    return "the end of the notice, and " + ", ".join(body.open_fallbacks)
                return "the end of the notice"
            case "closing":
                return undelivered if letter[1] == "refused" else f"the carrier: {letter[0]}"
            case "resting":
                return "a bounce, until it closes"
        return ""

    def story(self) -> list[str]:
        """The withdrawal in a few lines: what ends for whom, letters, requests for login data, the effect."""
        body = self.body
        what = "End" if body.scope == "end" else "Limit"
        lines = []
        if body.result:
            on = f" since {body.effective_on}" if body.effective_on else ""
            lines += [f"- **Result:** {body.result.replace('_', ' ')}{on}"]
        of = f"{what} of {body.authenticator} for client {body.client}, decided by {body.decided_by}"
        lines += [f"- **Decision:** {of}{f', not before {body.takes_effect_on}' if body.takes_effect_on else ''}"]
        if body.regardless:
            lines += ["- **Open requests:** the effect does not wait for them, as an operator said"]
        lines += [f"- **Login data instead:** {case}, {status}" for case, status in body.fallbacks.items()]
        return lines + self.story_of_letters()


def _next_key(key: str) -> str:
    head, _, n = key.rpartition(":")
    return f"{head}:{int(n) + 1}"
