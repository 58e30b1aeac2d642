"""Authenticator withdrawal: notice, ten full days, and only then the end or limit of an authenticator (BL 3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, REST, Done, Item, Rung, accepts
from workflows.telling import Telling

with workflow.unsafe.imports_passed_through():
    from activities.access import AccessActivities
    from models.access import (
        ASKED,
        Fallbacks,
        MoveEffect,
        RequestFallback,
        TakeAway,
        TakeEffect,
        WithdrawalBody,
        WithdrawDecision,
        Withdrawn,
    )
    from models.case import (
        Act,
        Bells,
        Change,
        CorrectAddress,
        Message,
        NoticeDraft,
        NoticeSent,
        NoticesSent,
        Outcome,
        Recorded,
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
MOVED = "BL-3-moved"
DAY = "T-effect-day"
OVER = "contract_ended"
"""Why it is rung when its client is none any more, and how it ends then."""
NEWS = frozenset(
    {
        *("told", "not_told", "address_corrected", "bounced", "due", "moved", "effect", "withdrawn", OVER),
        *("fallback_requested", "fallbacks_seen"),
    }
)
"""The steps after which its decision for everybody, if there is one, stands elsewhere."""
LISTED = 10
"""Users without other access that people see; the step of the effect holds all of them."""


@workflow.defn(name="AuthenticatorWithdrawal")
class AuthenticatorWithdrawal(Telling):
    """The end or limit of an authenticator for one client: never before the notice has run, whoever asks."""

    kind = "authenticator_withdrawal"
    body_model = WithdrawalBody
    reader = "responsible"
    letters_in = "letters"
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "telling": (CorrectAddress, RequestFallback, WithdrawDecision, MoveEffect, ReportBounce),
        "running": (RequestFallback, WithdrawDecision, MoveEffect, TakeEffect, ReportBounce),
        "closing": (CorrectAddress, ReportBounce),
        "resting": (ReportBounce,),
    }

    request_fallback = accepts(RequestFallback)
    withdraw_decision = accepts(WithdrawDecision)
    move_effect = accepts(MoveEffect)
    take_effect = accepts(TakeEffect)

    body: WithdrawalBody

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Outcome:
        """Live the withdrawal; the input is a `StartCase`."""
        return await self.live(message, *more)

    async def record(self, entry: str, **more: Any) -> Recorded | None:
        """As every case does; a part of a decision for everybody also lets that look again."""
        if self.body.decision is not None and entry in NEWS:
            news = Act(name="withdrawal.progress", data={"decision": self.body.decision})
            more["acts"] = (*more.get("acts", ()), news)
        return await super().record(entry, **more)

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
            case Item(message=RequestFallback() | WithdrawDecision() | MoveEffect()) | Rung() as event:
                await self._meanwhile(event)
            case event:
                await self.about_letters(event)

    async def running(self) -> None:
        """3: the ten days run; the client can ask for login data; the effect comes at their end or later."""
        notice = self.clocks.get(NOTICE)
        if self._free() and notice is not None and (self.body.regardless or not self.body.open_fallbacks):
            day = self.clocks.get(DAY)
            ask = TakeAway(case=self.id, n=notice.n, day=day.n if day is not None else None, at=workflow.now())
            self.perform(f"effect:{ask.n}:{ask.day}", AccessActivities.withdraw_authenticator, ask, "take effect")
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
            case Item(message=ReportBounce() as m) as item:
                await self._bounced_late(item, m)
            case event:
                await self._meanwhile(event)

    async def resting(self) -> None:
        """The last letter may still come back; then the case closes."""
        if await self.rest_again():
            return
        match await self.next():
            case Item(message=ReportBounce() as m) as item if m.notice != self.current()[0]:
                await self._bounced_late(item, m)
            case Item(message=ReportBounce() as m) as item:
                await self.came_back(item, m, duty=NOTICE, to="closing")
            case event:
                await self._meanwhile(event)

    def with_due(self, tick: Tick) -> dict[str, Any]:
        """The rest is over: closed in the same step."""
        return {"entry": "closed", "to": CLOSED, "outcome": self.body.result} if tick.duty == REST else {}

    # ---- notice and effect ------------------------------------------------------------------------------------------

    async def told(self, proofs: tuple[NoticeSent, ...]) -> None:
        """The notice is proven sent: the ten days run from its day. One that cannot be delivered starts nothing.

        One that told of a later day starts that day's clock alone: the ten days run from the notice before it.
        """
        proof = proofs[0]
        body = self.with_letters(self.became([proof]))
        if proof.key != self.current()[0]:
            # it was on its way when another one took its place
            await self.record("letters_settled", duty=NOTICE, facts={proof.key: proof.refused or "sent"}, body=body)
            return
        if proof.sent_at is None or body.queued_at is None:
            await self.not_told(NOTICE, proof, body)
            return
        # no notice is sent before it was queued, whatever a carrier's clock says
        anchor = max(proof.sent_at, body.queued_at)
        changes: list[Change] = [] if body.counting is not None else [Start(duty=NOTICE, anchor_at=anchor)]
        day = self.clocks.get(DAY)
        if body.effect_anchor is not None and (day is None or day.status == "void"):
            changes.append(Start(duty=DAY, anchor_at=body.effect_anchor))
        await self.record(
            "told",
            duty=NOTICE,
            facts={proof.key: "sent", "sent_at": anchor.isoformat()},
            changes=tuple(changes),
            acts=(_told(proof.key, anchor, body.counting),),
            to="running",
            body=body.model_copy(update={"sent_at": anchor}),
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
                update={
                    "result": "in_effect",
                    "effective_on": effect.effective_on,
                    "without": effect.ended[:LISTED],
                }
            ),
        )

    async def bounced(self, item: Item, m: ReportBounce) -> None:
        """The notice came back: its ten days are void, and only a new notice starts them anew, from its own day."""
        body = self.body
        if m.notice == body.counting:
            await self._counting_came_back(item, m)
            return
        if body.counting is not None:
            # it told of the later day; the ten days run from the notice before it, which did not come back
            await self._untold(item, m, body.counting, to="telling", body=self.with_letters({m.notice: "refused"}))
            return
        changes = self._ended(NOTICE, "the notice came back")
        await self.came_back(item, m, duty=NOTICE, to="telling", changes=changes, act="withdrawal.untold")

    async def _counting_came_back(self, item: Item, m: ReportBounce) -> None:
        """The notice before the newest came back: the ten days run from the newest, or from one that is written now."""
        body = self.with_letters({m.notice: "bounced"}).model_copy(update={"counting": None})
        newest = self.current()[0]
        void = self._ended(NOTICE, "the notice came back")
        if self.letters[newest] == "sent":
            assert body.sent_at is not None
            start = Start(duty=NOTICE, anchor_at=body.sent_at)
            told = _told(newest, body.sent_at, None)
            await self._untold(item, m, None, changes=(*void, start), acts=(told,), body=body)
            return
        draft = self.letter(_next_key(newest), body=body)
        letters = {**body.letters, newest: "bounced", draft.key: "queued"}
        body = body.model_copy(update={"letters": letters, "queued_at": workflow.now()})
        await self._untold(item, m, None, changes=void, notices=(draft,), body=body)

    async def _untold(
        self, item: Item, m: ReportBounce, counting: str | None, *, acts: tuple[Act, ...] = (), **more: Any
    ) -> None:
        facts = {"notice": m.notice, "bounced_at": m.bounced_at.isoformat()}
        data = {**facts, "counting": counting, "call_off": "notices" in more}
        untold = Act(name="withdrawal.untold", data=data)
        await self.record("bounced", said=item, duty=NOTICE, facts=facts, acts=(untold, *acts), **more)

    async def _bounced_late(self, item: Item, m: ReportBounce) -> None:
        """The notice came back after the effect, which stands: staff are told, who can give access in its place."""
        facts = {"notice": m.notice, "bounced_at": m.bounced_at.isoformat()}
        await self.record(
            "bounced_late",
            said=item,
            duty=NOTICE,
            facts=facts,
            acts=(Act(name="withdrawal.untold_late", data=facts),),
            body=self.with_letters({m.notice: "bounced"}),
        )

    def _ended(self, duty: str, reason: str) -> tuple[Change, ...]:
        """End a clock without a judgment, also one that has run."""
        clock = self.clocks.get(duty)
        if clock is None or clock.status == "void":
            return ()
        again: tuple[Change, ...] = () if clock.open else (Reopen(duty=duty, reason=reason),)
        return (*again, Void(duty=duty, reason=reason))

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
            case Item(message=MoveEffect() as m) as item:
                await self._move(item, m)
            case Rung(bells=bells) if OVER in bells.reasons and self.case.stage in ("telling", "running"):
                await self._over(bells)
            case Rung(bells=bells) if self.body.fallbacks or ASKED in bells.reasons:
                known = tuple(self.body.fallbacks)
                ask = Fallbacks(cases=known, of=self.id if ASKED in bells.reasons else None)
                done = await self.ask(AccessActivities.fallbacks, ask, "look at the requests")
                all_ = (*known, *(case for case in done.found if case not in known))
                statuses = {case: "done" if case in done.cases else "open" for case in all_}
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

    async def _over(self, bells: Bells) -> None:
        """BL 11: the client's contract has ended, and with it all access; refused by the store if it runs after all."""
        await self.record(
            OVER,
            duty=NOTICE,
            changes=(*self.no_more(NOTICE, OVER), *self.no_more(DAY, OVER)),
            acts=(Act(name="withdrawal.over"),),
            heard=bells.ids,
            to=CLOSED,
            outcome=OVER,
            body=self.body.model_copy(update={"result": OVER}),
            yields=True,
        )

    async def _move(self, item: Item, m: MoveEffect) -> None:
        """Another day: a new notice says so, and until it is proven there is no effect.

        The ten days run on for a later day, from the notice before. For an earlier one than was told they begin anew.
        """
        body, notice = self.body, self.clocks.get(NOTICE)
        runs = notice is not None and notice.status != "void"
        later = notice is not None and m.takes_effect_on > notice.day
        if body.takes_effect_on is not None:
            later = later and m.takes_effect_on > body.takes_effect_on
        untold = all(status in ("refused", "bounced") for status in self.letters.values())
        template = NOTICE if untold else MOVED
        n = sum(key.startswith(f"{template}:") for key in self.letters) + 1
        moved = body.model_copy(
            update={
                "takes_effect_on": m.takes_effect_on,
                "counting": (body.counting or self.current()[0]) if runs and later else None,
                "queued_at": workflow.now(),
                "regardless": False,
            }
        )
        draft = self.letter(f"{template}:responsible:{n}", body=moved)
        await self.record(
            "moved",
            said=item,
            duty=NOTICE,
            facts={"takes_effect_on": m.takes_effect_on.isoformat(), "reason": m.reason, "anew": not later},
            changes=(
                *(self._ended(NOTICE, "moved to an earlier day") if runs and not later else ()),
                *self._ended(DAY, "moved to another day"),
            ),
            acts=(
                Act(
                    name="withdrawal.move",
                    data={"takes_effect_on": m.takes_effect_on.isoformat(), "anew": runs and not later},
                ),
            ),
            notices=(draft,),
            to="telling",
            body=moved.model_copy(update={"letters": {**body.letters, draft.key: "queued"}}),
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

    def letter(self, key: str, effect: Withdrawn | None = None, body: WithdrawalBody | None = None) -> NoticeDraft:
        """A letter to the responsible employee; which one, its key says. `body` where it comes with this letter."""
        body, template = body or self.body, key.split(":", maxsplit=1)[0]
        facts: dict[str, Any] = {"client": {"name_of": "client"}, "authenticator": body.authenticator}
        if template in (NOTICE, MOVED):
            chosen = body.takes_effect_on.isoformat() if body.takes_effect_on else None
            # where the ten days run from a notice before, the later day is the day
            free_from = chosen if body.counting is not None else {"free_from": [NOTICE, chosen]}
            facts |= {"scope": body.scope, "limitation": body.limitation, "effect_not_before": free_from}
        if template == EFFECT:
            on = effect.effective_on if effect is not None else body.effective_on
            facts["effective_on"] = on.isoformat() if on else None
        return NoticeDraft(key=key, template=template, party="responsible", duty=NOTICE, facts=facts)

    def delivered(self) -> list[str]:
        """The newest letter; also the notice from which the ten days run, or on which the effect rests."""
        body, before = self.body, []
        if body.counting is not None and self.letters[body.counting] == "sent":
            before = [body.counting]
        elif body.result == "in_effect":
            before = [key for key, status in self.letters.items() if status == "sent" and _is_notice(key)][-1:]
        return [*super().delivered(), *before]

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
            case MoveEffect() if message.takes_effect_on == self.body.takes_effect_on:
                return ("takes_effect_on: that is the day that stands",)
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
                end = "the end of the notice" if body.counting is None else "the end of the notice, and the new day"
                return ", and ".join([end, *([", ".join(body.open_fallbacks)] if body.open_fallbacks else [])])
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
        lines += [f"- **Part of:** {body.decision}"] if body.decision else []
        lines += [f"- **Login data instead:** {case}, {status}" for case, status in body.fallbacks.items()]
        if body.without:
            lines += [f"- **Without other access since the effect:** {', '.join(body.without)}"]
        return lines + self.story_of_letters()


def _told(notice: str, anchor: datetime, counting: str | None) -> Act:
    data = {"notice": notice, "anchor_at": anchor.isoformat()}
    return Act(name="withdrawal.told", data=data if counting is None else {**data, "counting": counting})


def _is_notice(key: str) -> bool:
    return key.split(":", maxsplit=1)[0] in (NOTICE, MOVED)


def _next_key(key: str) -> str:
    head, _, n = key.rpartition(":")
    return f"{head}:{int(n) + 1}"
