"""Credential: one user's access at one client for its life, from the first issue to its end (BL 6 to 11; SE, GJ)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Any, ClassVar

from temporalio import workflow

from workflows.case import CLOSED, REST, Done, Event, Item, Rung, accepts, utc
from workflows.telling import LETTERS, Telling

with workflow.unsafe.imports_passed_through():
    from activities.credential import CredentialActivities
    from models.case import (
        Act,
        Change,
        CorrectAddress,
        Evidence,
        HoldClock,
        Message,
        NoticeDraft,
        NoticeSent,
        Outcome,
        ReleaseClock,
        Reopen,
        ReportBounce,
        Start,
        Stop,
        Tick,
        Void,
    )
    from models.credential import (
        FOUND_CAUSES,
        GROUNDS,
        RESPONSIBLE,
        TOLD,
        USER,
        AccountSeen,
        Applied,
        ApplyAccount,
        ChangeSecret,
        CredentialBody,
        ErasureSeen,
        GiveUp,
        LiftLegalHold,
        LookAtAccount,
        LookAtErasure,
        PlaceLegalHold,
        ReinstateCredential,
        ReleaseLock,
        ReportLastContract,
        ReportLeak,
        ReportNewContract,
        ReviewSuspension,
        RevokeCredential,
        SendSecret,
        SuspendCredential,
        Suspended,
        SuspensionSeen,
    )

CHANGED = "BL-6"
LEAK = "BL-8"
CANCEL = "BL-9"
DANGER = "BL-10"
VALID = "BL-11"
NO_LONGER_NEEDED = "BL-16-erase"
LEFT = "SE-2.10"
LOCK = "SE-33.3.9"
PASSWORD = "SE-33.3.4.3"  # noqa: S105  # the id of a duty
PORTAL = "GJ-portal"
REVIEW = "T-suspension-review"

SYSTEM = "system:termins"
"""Who acts where no person does."""
POLICIES = "the client's policies"
"""What is said for the contract where the store found it by itself."""
CLOCKED = frozenset({CHANGED, LEAK, CANCEL, DANGER})
"""The immediate duties that end with a proven letter."""
SAID = frozenset({CANCEL, NO_LONGER_NEEDED})
"""The grounds by which somebody told the broker that the access is not needed, or may not be any more."""
KEPT_LETTERS = 12
"""The newest letters that a case remembers: it lives for years, and an older one does not come back."""

OPEN_STAGES: tuple[type[Message], ...] = (
    ReportLeak,
    RevokeCredential,
    GiveUp,
    ReleaseLock,
    ReportLastContract,
    ReportNewContract,
    PlaceLegalHold,
    LiftLegalHold,
    *LETTERS,
)
ENDED_STAGES: tuple[type[Message], ...] = (PlaceLegalHold, LiftLegalHold, *LETTERS)


@workflow.defn(name="Credential")
class Credential(Telling):
    """One account. The store closes and opens it; the case says so with its clocks, and tells who must be told."""

    kind = "credential"
    body_model = CredentialBody
    reader = USER
    stages: ClassVar[dict[str, tuple[type[Message], ...]]] = {
        "issued": (SuspendCredential, ChangeSecret, *OPEN_STAGES),
        "active": (SuspendCredential, ChangeSecret, *OPEN_STAGES),
        "suspended": (ReviewSuspension, ReinstateCredential, *OPEN_STAGES),
        "ending": ENDED_STAGES,
        "erasing": ENDED_STAGES,
        "resting": LETTERS,
    }

    report_leak = accepts(ReportLeak)
    suspend_credential = accepts(SuspendCredential)
    review_suspension = accepts(ReviewSuspension)
    reinstate_credential = accepts(ReinstateCredential)
    change_secret = accepts(ChangeSecret)
    revoke_credential = accepts(RevokeCredential)
    give_up = accepts(GiveUp)
    release_lock = accepts(ReleaseLock)
    report_last_contract = accepts(ReportLastContract)
    report_new_contract = accepts(ReportNewContract)
    place_legal_hold = accepts(PlaceLegalHold)
    lift_legal_hold = accepts(LiftLegalHold)

    body: CredentialBody

    @workflow.run
    async def run(self, message: Any = None, *more: Any) -> Outcome:
        """Live the credential; the input is a `StartCase`."""
        return await self.live(message, *more)

    # ---- stages -----------------------------------------------------------------------------------------------------

    async def issued(self) -> None:
        """Login data or a confirmation were sent; the user has not signed in yet."""
        if not self.body.begun:
            await self._look()
            return
        await self._live_on()

    async def active(self) -> None:
        """The user signs in."""
        await self._live_on()

    async def suspended(self) -> None:
        """Nobody signs in while it is investigated; it is looked at again and again until it ends."""
        await self._live_on()

    async def ending(self) -> None:
        """The access has ended; whoever must be told is told, then the user's data go, and then it rests."""
        self._carry_out()
        if self.body.provider == "told" and all(self.letters[key] == "sent" for key in self.current()):
            if self.body.erasure == "due":
                await self.record("all_told", duty=self.body.ground, to="erasing")
            else:
                await self.record("finished", duty=self.body.ground, changes=(self.rest(),), to="resting")
            return
        await self._hear(await self.next())

    async def erasing(self) -> None:
        """The user's data go, unless a request or a legal hold wins over that: then they are restricted (BL 16)."""
        self._carry_out()
        if not self.body.against:
            await self._erase()
            return
        await self._hear(await self.next())

    async def resting(self) -> None:
        """A letter may still come back; then the case closes."""
        if await self.rest_again():
            return
        await self._hear(await self.next())

    async def _live_on(self) -> None:
        self._carry_out()
        await self._hear(await self.next())

    def _carry_out(self) -> None:
        """What the store has decided already goes to the identity provider, and then to the people."""
        if self.body.provider == "behind":
            ask = ApplyAccount(case=self.id, void=self.body.leaked)
            self.perform("provider", CredentialActivities.apply, ask, f"tell the provider: {self._status()}")
        queued = [key for key, status in self.letters.items() if status == "queued"]
        self.send(key for key in queued if not _gives_secret(key))
        if self.body.provider == "told":
            for key in queued:
                if _gives_secret(key):
                    secret = SendSecret(case=self.id, key=key, told="")
                    self.perform(f"secret:{key}", CredentialActivities.send_secret, secret, "send login data")

    def _status(self) -> str:
        """How the account stands as far as the case knows."""
        if self.body.ended_at is not None:
            return "ended"
        return "suspended" if self.body.suspended is not None else "active"

    async def _hear(self, event: Event) -> None:  # one line for each thing that happens
        match event:
            case Rung() if self.case.stage == "erasing":
                await self._erase()
            case Rung():
                await self._look()
            case Done(result=Applied(status=status)) if status == self._status():
                body = self.body.model_copy(update={"provider": "told"})
                await self.record("provider_told", facts={"status": status}, body=body)
            case Done(result=Applied()):
                # it was closed or opened again meanwhile, here or beside the case: the provider is asked once more
                await self._look()
            case Item(message=ChangeSecret() as m) as item:
                await self._change_secret(item, m)
            case Item(message=ReportLeak() as m) as item:
                await self._leaked(item, m)
            case Item(message=SuspendCredential() as m) as item:
                await self._suspend(item, DANGER, {"reason": m.reason}, item.at)
            case Item(message=ReviewSuspension() as m) as item:
                await self._review(item, m)
            case Item(message=ReinstateCredential() as m) as item:
                await self._reinstate(item, m)
            case Item(message=RevokeCredential() as m) as item:
                facts = {"cause": m.cause, "reason": m.reason}
                await self._end(item, GROUNDS[m.cause], facts, m.happened_at, m.cause)
            case Item(message=GiveUp() as m) as item:
                await self._end(item, NO_LONGER_NEEDED, {"cause": "given_up"}, m.given_up_at, "given_up")
            case Item(message=ReleaseLock() as m) as item:
                await self.record(
                    "lock_released",
                    said=item,
                    duty=LOCK,
                    facts={"reason": m.reason},
                    acts=(Act(name="credential.release"),),
                    body=self.body.model_copy(update={"locked_at": None}),
                )
            case Item(message=PlaceLegalHold() as m) as item:
                await self.record(
                    "legal_hold_placed",
                    said=item,
                    duty=NO_LONGER_NEEDED,
                    facts={"reason": m.reason},
                    acts=(Act(name="credential.place_hold", data={"reason": m.reason, "by": m.actor}),),
                    body=self.body.model_copy(update={"held_since": item.at}),
                )
            case Item(message=LiftLegalHold() as m) as item:
                # what is against the erasure besides is asked for anew
                await self.record(
                    "legal_hold_lifted",
                    said=item,
                    duty=NO_LONGER_NEEDED,
                    facts={"reason": m.reason},
                    acts=(Act(name="credential.lift_hold", data={"by": m.actor}),),
                    body=self.body.model_copy(update={"held_since": None, "against": ()}),
                )
            case Item(message=ReportLastContract() as m) as item:
                await self._last_contract(item, m)
            case Item(message=ReportNewContract() as m) as item:
                await self.record(
                    "contract_again",
                    said=item,
                    duty=PORTAL,
                    facts={"starts_on": m.starts_on.isoformat(), "reference": m.reference},
                    changes=self.no_more(PORTAL, "a new contract"),
                    body=self.body.model_copy(
                        update={"last_contract_ended_on": None, "contract_again_on": m.starts_on}
                    ),
                )
            case _:
                await self.about_letters(event)

    def with_due(self, tick: Tick) -> dict[str, Any]:
        """What follows from a due instant in the same step: a reminder, the portal's end, or the end of the case."""
        body = self.body
        if tick.duty == REST:
            return {"entry": "closed", "to": CLOSED, "outcome": "ended"}
        if tick.duty == PASSWORD:
            # by BL 11 the login data stay valid: a reminder, and the next term
            drafts, body = self._write(PASSWORD, "password_due", (USER,), body)
            again: tuple[Change, ...] = (
                Void(duty=PASSWORD, reason="reminded; the login data stay valid (BL 11)"),
                Start(duty=PASSWORD, anchor_at=tick.instant),
            )
            return {"entry": "password_due", "changes": again, "notices": drafts, "body": body}
        if tick.duty == PORTAL:
            data = {"ground": PORTAL, "by": SYSTEM, "event_at": tick.instant.isoformat()}
            return {
                "entry": "portal_term_over",
                "changes": (*self._no_clocks(PASSWORD, REVIEW), Start(duty=NO_LONGER_NEEDED, anchor_at=tick.instant)),
                "acts": (Act(name="credential.end", data=data),),
                "to": "ending",
                "body": body.model_copy(update={"suspended": None, "provider": "behind", "erasure": "due"}),
            }
        return {}

    # ---- suspension -------------------------------------------------------------------------------------------------

    async def _leaked(self, item: Item, m: ReportLeak) -> None:
        """BL 8: reported by the responsible employee; the user's own report is acted on as a suspicion (BL 10)."""
        duty = LEAK if m.reported_by == "responsible_employee" else DANGER
        facts = {"reason": m.reason, "reported_by": m.reported_by, "reported_at": m.reported_at.isoformat()}
        if self.body.suspended is None:
            await self._suspend(item, duty, facts, m.reported_at)
            return
        drafts, body = self._write(duty, "suspended", TOLD[duty], self.body)
        await self.record(
            "leak_reported",
            said=item,
            duty=duty,
            facts=facts,
            changes=(self._starts(duty, m.reported_at, body), *(self._no_clocks(PASSWORD) if duty == LEAK else ())),
            acts=(Act(name="credential.address"), *((Act(name="credential.void"),) if duty == LEAK else ())),
            notices=drafts,
            body=body.model_copy(update=self._void_of(duty)),
        )

    async def _suspend(self, item: Item, duty: str, facts: dict[str, Any], since: datetime) -> None:
        """Closed in the store in this step, and the duty's clock runs until who must be told is told."""
        drafts, body = self._write(duty, "suspended", TOLD[duty], self.body)
        data = {"ground": duty, "by": item.message.actor, "reason": facts["reason"], "event_at": since.isoformat()}
        await self.record(
            "suspended",
            said=item,
            duty=duty,
            facts=facts,
            changes=(
                self._starts(duty, since, body),
                *self._to_review(item.at),
                *(self._no_clocks(PASSWORD) if duty == LEAK else ()),
            ),
            acts=(Act(name="credential.suspend", data=data), Act(name="credential.address")),
            notices=drafts,
            to="suspended",
            body=body.model_copy(update={"reviewed_at": None, "provider": "behind", **self._void_of(duty)}),
        )

    def _void_of(self, duty: str) -> dict[str, Any]:
        """BL 8: the login data that may be known to others are changed, at once for the provider, later for the user.

        There is nothing to change for the user of an authenticator.
        """
        if duty != LEAK or self.body.secret_set_at is None:
            return {}
        return {"secret_set_at": None, "leaked": True, "provider": "behind"}

    async def _review(self, item: Item, m: ReviewSuspension) -> None:
        """It lasts: the next review is counted from this one."""
        evidence = Evidence(kind="suspension_reviewed", happened_at=item.at)
        await self.record(
            "reviewed",
            said=item,
            duty=REVIEW,
            facts={"finding": m.finding},
            changes=(Stop(duty=REVIEW, evidence=evidence), Start(duty=REVIEW, anchor_at=item.at)),
            body=self.body.model_copy(update={"reviewed_at": item.at}),
        )

    async def _reinstate(self, item: Item, m: ReinstateCredential) -> None:
        acts = (Act(name="credential.reinstate", data={"by": m.actor}), Act(name="credential.address"))
        await self.record(
            "reinstated", said=item, duty=DANGER, facts={"finding": m.finding}, acts=acts, **self._opened(item.at)
        )

    def _opened(self, at: datetime) -> dict[str, Any]:
        """Arguments of `record` for an access that is open again; after a leak with other login data (BL 6)."""
        drafts, body = self._write(DANGER, "reinstated", (RESPONSIBLE, USER), self.body)
        changes = self._reviewed_at_last(at)
        if body.leaked:
            more, body = self._write(CHANGED, "secret", (USER,), body)
            drafts, changes = (*drafts, *more), (*changes, self._starts(CHANGED, at, body))
        return {
            "changes": changes,
            "notices": drafts,
            "to": self._signed_in(body),
            "body": body.model_copy(update={"suspended": None, "provider": "behind"}),
        }

    async def _change_secret(self, item: Item, m: ChangeSecret) -> None:
        """BL 6: live sessions are over; the former secret is, once the provider has taken another."""
        drafts, body = self._write(CHANGED, "secret", (USER,), self.body)
        await self.record(
            "secret_changed",
            said=item,
            duty=CHANGED,
            facts={"reason": m.reason},
            changes=(self._starts(CHANGED, item.at, body),),
            acts=(Act(name="credential.end_sessions", data={"reason": "secret_changed"}),),
            notices=drafts,
            body=body,
        )

    # ---- the end ----------------------------------------------------------------------------------------------------

    async def _end(self, item: Item, ground: str, facts: dict[str, Any], since: datetime, cause: str) -> None:
        data = {"ground": ground, "by": item.message.actor, "event_at": since.isoformat()}
        await self.record(
            "revoked" if cause != "given_up" else "given_up",
            said=item,
            facts=facts,
            acts=(Act(name="credential.end", data=data), Act(name="credential.address")),
            **self._over(ground, cause, since, item.at),
        )

    def _over(self, ground: str, cause: str, since: datetime, at: datetime) -> dict[str, Any]:
        """Arguments of `record` for an access that has ended: the other clocks end, who must be told is told."""
        body = self.body
        changes = [*self._reviewed_at_last(at), *self._no_clocks(PASSWORD, PORTAL)]
        drafts: tuple[NoticeDraft, ...] = ()
        if ground in TOLD:
            drafts, body = self._write(ground, "ended", TOLD[ground], body, cause=cause)
        if ground in CLOCKED:
            changes.append(self._starts(ground, since, body))
        elif ground == LEFT:
            evidence = Evidence(kind="access_removed", happened_at=at)
            changes += [Start(duty=LEFT, anchor_at=since), Stop(duty=LEFT, evidence=evidence)]
        # from when it was said that the access is not needed; of what the broker found, from its own act on
        changes.append(Start(duty=NO_LONGER_NEEDED, anchor_at=since if ground in SAID else at))
        return {
            "duty": ground,
            "changes": tuple(changes),
            "notices": drafts,
            "to": "ending",
            "body": body.model_copy(update={"suspended": None, "provider": "behind", "erasure": "due"}),
        }

    # ---- the erasure ------------------------------------------------------------------------------------------------

    async def _erase(self) -> None:
        """Erase in the step that says so; what wins over it is shown, holds the clock, and is waited for."""
        seen: ErasureSeen = await self.ask(
            CredentialActivities.look_at_erasure, LookAtErasure(case=self.id), "look at the erasure", at_once=False
        )
        if seen.against:
            await self._restrict(seen.against)
            return
        clock = self.clocks.get(NO_LONGER_NEEDED)
        changes: tuple[Change, ...] = (
            Stop(duty=NO_LONGER_NEEDED, evidence=Evidence(kind="erasure_proven", happened_at=seen.at)),
            self.rest(),
        )
        if clock is not None and clock.status == "held":
            changes = (ReleaseClock(duty=NO_LONGER_NEEDED, released=workflow.now()), *changes)
        # refused if something came in since the look: then it looks again
        await self.record(
            "erased",
            duty=NO_LONGER_NEEDED,
            facts={"lines": list(seen.lines)},
            changes=changes,
            acts=(Act(name="credential.erase", data={"lines": list(seen.lines)}),),
            heard=self.unheard,
            to="resting",
            body=self.body.model_copy(update={"erasure": "done", "against": ()}),
            yields=True,
        )

    async def _restrict(self, against: tuple[str, ...]) -> None:
        if against == self.body.against:
            return
        clock = self.clocks.get(NO_LONGER_NEEDED)
        holds = clock is not None and clock.status == "running"
        hold = HoldClock(duty=NO_LONGER_NEEDED, since=workflow.now(), reason="a request or a legal hold wins over it")
        await self.record(
            "restricted",
            duty=NO_LONGER_NEEDED,
            facts={"against": list(against)},
            changes=(hold,) if holds else (),
            acts=(Act(name="credential.restrict"),),
            heard=self.unheard,
            body=self.body.model_copy(update={"against": against}),
        )

    async def _last_contract(self, item: Item, m: ReportLastContract) -> None:
        await self.record(said=item, **self._term_from(m.ended_on, m.reference))

    def _term_from(self, ended_on: date, reference: str) -> dict[str, Any]:
        """GJ's portal term, counted from the last day; another day replaces one that was known before."""
        anchor = datetime.combine(ended_on, time(12), UTC)
        return {
            "entry": "last_contract_ended",
            "duty": PORTAL,
            "facts": {"ended_on": ended_on.isoformat(), "reference": reference},
            "changes": (*self.no_more(PORTAL, "another day"), Start(duty=PORTAL, anchor_at=anchor)),
            "body": self.body.model_copy(update={"last_contract_ended_on": ended_on}),
        }

    # ---- what the store did by itself -------------------------------------------------------------------------------

    async def _look(self) -> None:
        """Say of the account what the case does not know yet, a step for each thing, in the order in which it came."""
        if self.body.ended_at is not None:
            return
        ask = LookAtAccount(case=self.id, after=self.body.suspension)
        seen = await self.ask(CredentialActivities.look, ask, "look at the account")
        for find in (self._found_begin, self._found_sign_in, self._found_lock):
            await self._say_found(find(seen))
        for suspension in seen.suspensions:
            if suspension.n > self.body.suspension:
                await self._say_found(self._found_suspension(suspension))
            now = self.body.suspended
            if now is not None and now.n == suspension.n and suspension.outcome == "reinstated":
                await self._say_found(self._found_reinstated(suspension))
        if seen.status == "ended":
            await self._say_found(self._found_end(seen))
        else:
            await self._say_found(self._found_secret(seen))
            await self._say_found(self._found_insured(seen))
        if self.adopted:
            # what was seen is old: the bells are asked for again
            self.rung, self.unheard = True, ()

    async def _say_found(self, step: dict[str, Any]) -> None:
        if step and not self.adopted and not self.diverged:
            await self.record(**step)

    def _found_begin(self, seen: AccountSeen) -> dict[str, Any]:
        if self.body.begun:
            return {}
        update = {"begun": True, "authenticator": seen.authenticator}
        return {"entry": "issued", "duty": VALID, "body": self.body.model_copy(update=update)}

    def _found_secret(self, seen: AccountSeen) -> dict[str, Any]:
        """Another secret, or the first: the term to change it runs anew (33.3.4.3)."""
        at = seen.secret_set_at
        if at == self.body.secret_set_at:
            return {}
        changes = self.no_more(PASSWORD, "there are no login data")
        if at is not None:
            evidence = Evidence(kind="password_changed", happened_at=at)
            changes = (Stop(duty=PASSWORD, evidence=evidence),) if changes else ()
            changes += (Start(duty=PASSWORD, anchor_at=at),)
        body = self.body.model_copy(update={"secret_set_at": at, "authenticator": seen.authenticator})
        entry = "secret_set" if at is not None else "secret_void"
        return {"entry": entry, "duty": PASSWORD, "changes": changes, "body": body}

    def _found_insured(self, seen: AccountSeen) -> dict[str, Any]:
        """What the client's policies say: a contract that runs ends the portal's term, the last one's end begins it.

        Of the ends that the store knows and that people reported the later one counts.
        """
        last, again, until = self.body.last_contract_ended_on, self.body.contract_again_on, seen.insured_until
        if seen.insured and last is not None:
            return {
                "entry": "contract_again",
                "duty": PORTAL,
                "facts": {"reference": POLICIES},
                "changes": self.no_more(PORTAL, "a new contract"),
                "body": self.body.model_copy(update={"last_contract_ended_on": None}),
            }
        if seen.insured or until is None or (last or again or until) > until or last == until:
            return {}
        return self._term_from(until, POLICIES)

    def _found_sign_in(self, seen: AccountSeen) -> dict[str, Any]:
        if seen.first_sign_in_at is None or self.body.first_sign_in_at is not None:
            return {}
        body = self.body.model_copy(update={"first_sign_in_at": seen.first_sign_in_at})
        to = "active" if self.case.stage == "issued" else None
        return {"entry": "first_sign_in", "duty": "SE-33.3.4.4", "to": to, "body": body}

    def _found_lock(self, seen: AccountSeen) -> dict[str, Any]:
        """Too many sign-ins failed, or somebody released the lock beside the case (33.3.9)."""
        if (seen.locked_at is None) == (self.body.locked_at is None) or seen.status == "ended":
            return {}
        entry = "locked" if seen.locked_at is not None else "lock_released"
        return {"entry": entry, "duty": LOCK, "body": self.body.model_copy(update={"locked_at": seen.locked_at})}

    def _found_suspension(self, seen: SuspensionSeen) -> dict[str, Any]:
        drafts, body = self._write(seen.ground, "suspended", TOLD[seen.ground], self.body)
        since = seen.event_at or seen.started_at
        lasts = Suspended(n=seen.n, ground=seen.ground, by=seen.by, since=seen.started_at)
        data = {"n": seen.n, "ground": seen.ground, "scope": seen.scope, "by": seen.by, "reason": "found in the store"}
        return {
            "entry": "suspended",
            "duty": seen.ground,
            "facts": {"by": seen.by, "scope": seen.scope, "at": seen.started_at.isoformat()},
            "changes": (
                self._starts(seen.ground, since, body),
                *self._to_review(seen.started_at),
                *(self._no_clocks(PASSWORD) if seen.ground == LEAK else ()),
            ),
            "acts": (Act(name="credential.suspend", data=data), Act(name="credential.address")),
            "notices": drafts,
            "to": "suspended",
            "body": body.model_copy(
                update={
                    "suspension": seen.n,
                    "suspended": lasts,
                    "reviewed_at": None,
                    "provider": "behind",
                    **self._void_of(seen.ground),
                }
            ),
        }

    def _found_reinstated(self, seen: SuspensionSeen) -> dict[str, Any]:
        assert seen.ended_at is not None
        data = {"by": seen.ended_by, "n": seen.n}
        return {
            "entry": "reinstated",
            "duty": DANGER,
            "facts": {"by": seen.ended_by, "at": seen.ended_at.isoformat()},
            "acts": (Act(name="credential.reinstate", data=data), Act(name="credential.address")),
            **self._opened(seen.ended_at),
        }

    def _found_end(self, seen: AccountSeen) -> dict[str, Any]:
        ground, at = seen.ground or "BL-3-notice", seen.ended_at
        assert at is not None
        data = {"ground": ground, "by": seen.ended_by or SYSTEM, "event_at": None}
        return {
            "entry": "ended",
            "facts": {"by": seen.ended_by, "at": at.isoformat()},
            "acts": (Act(name="credential.end", data=data), Act(name="credential.address")),
            **self._over(ground, FOUND_CAUSES.get(ground, "not_needed"), seen.event_at or at, at),
        }

    # ---- clocks -----------------------------------------------------------------------------------------------------

    def _starts(self, duty: str, since: datetime, body: CredentialBody) -> Start:
        """The clock of what just happened, by the number of that event: an earlier one may still run."""
        return Start(duty=duty, subject=f"E{body.events}", anchor_at=since)

    def _to_review(self, since: datetime) -> tuple[Change, ...]:
        return () if self.clocks.running(REVIEW) else (Start(duty=REVIEW, anchor_at=since),)

    def _reviewed_at_last(self, at: datetime) -> tuple[Change, ...]:
        """The suspension has ended, and with it its reviews."""
        if not self.clocks.running(REVIEW):
            return ()
        return (Stop(duty=REVIEW, evidence=Evidence(kind="suspension_reviewed", happened_at=at)),)

    def _no_clocks(self, *duties: str) -> tuple[Change, ...]:
        """Nothing of an access that has ended falls due any more, but that somebody is told."""
        return tuple(c for duty in duties for c in self.no_more(duty, "the access has ended"))

    @staticmethod
    def _signed_in(body: CredentialBody) -> str:
        return "active" if body.first_sign_in_at is not None else "issued"

    # ---- letters ----------------------------------------------------------------------------------------------------

    def _write(
        self, duty: str, what: str, readers: Iterable[str], body: CredentialBody, **facts: Any
    ) -> tuple[tuple[NoticeDraft, ...], CredentialBody]:
        """A letter to each reader of what happened, and the body that remembers them."""
        event = body.events + 1
        drafts = tuple(
            NoticeDraft(
                key=f"{duty}:{party}:E{event}:1",
                template=f"credential-{what.replace('_', '-')}",
                party=party,
                duty=duty,
                subject=f"E{event}",
                facts={
                    "clause": duty.removeprefix("BL-").removesuffix("-erase"),
                    "to_whom": party,
                    "user": {"name_of": USER},
                    "username": body.username,
                    **facts,
                },
            )
            for party in readers
        )
        kept = dict(list(body.notices.items())[-KEPT_LETTERS:])
        owed = {key: status for key, status in body.notices.items() if status != "sent"}
        notices = {**owed, **kept, **{draft.key: "queued" for draft in drafts}}
        return drafts, body.model_copy(update={"events": event, "notices": notices})

    async def told(self, proofs: tuple[NoticeSent, ...]) -> None:
        """Proven sent, or not to be sent; what proves an immediate duty kept ends its clock."""
        changes: list[Change] = []
        for proof in proofs:
            duty, subject = _clock_of(proof.key)
            if proof.sent_at is not None and _proves(proof.key) and self.clocks.running(duty, subject):
                evidence = Evidence(kind="notice_sent", happened_at=proof.sent_at, reference=proof.reference)
                changes.append(Stop(duty=duty, subject=subject, evidence=evidence))
        body = self.with_letters(self.became(proofs))
        if _gives_secret(proofs[0].key) and proofs[0].sent_at is not None:
            # the term to change it runs from the letter (33.3.4.3)
            changes += [*self.no_more(PASSWORD, "other login data"), Start(duty=PASSWORD, anchor_at=proofs[0].sent_at)]
            body = body.model_copy(update={"secret_set_at": proofs[0].sent_at, "leaked": False})
        await self.record(
            "told",
            duty=_clock_of(proofs[0].key)[0],
            facts={proof.key: proof.refused or "sent" for proof in proofs},
            changes=tuple(changes),
            body=body,
        )

    async def bounced(self, item: Item, m: ReportBounce) -> None:
        """A letter came back: the clock that it had ended runs again, by the same due instant."""
        duty, subject = _clock_of(m.notice)
        clock = self.clocks.get(duty, subject) if _proves(m.notice) else None
        reopens = clock is not None and clock.status in ("kept", "late")
        await self.came_back(
            item,
            m,
            duty=duty,
            to="ending" if self.case.stage in ("erasing", "resting") else None,
            changes=(Reopen(duty=duty, subject=subject, reason="bounce"),) if reopens else (),
            act="credential.bounced" if _gives_secret(m.notice) else "notice.bounced",
        )

    async def address_corrected(self, item: Item, m: CorrectAddress) -> None:
        """Another address: every letter to this reader that did not arrive goes to it."""
        again = {_again(key): key for key in self.undelivered() if _reader(key) == m.party}
        await self.record(
            "address_corrected",
            said=item,
            facts={"party": m.party, "again": sorted(again)},
            acts=(self.set_address(m), Act(name="notice.again", data={"renewed": again})),
            body=self.with_letters(dict.fromkeys(again, "queued")),
        )

    def current(self) -> list[str]:
        """The newest try of every letter that is remembered; not those to a user whose data are erased."""
        return _newest(self.body)

    # ---- what people see --------------------------------------------------------------------------------------------

    def allowed(self, message: Message) -> tuple[str, ...]:
        """Nothing in the future, no lock that is not there, and another address only for who waits for one."""
        now = workflow.now()
        match message:
            case ReportLeak() if message.reported_at > now:
                return ("reported_at: lies in the future",)
            case RevokeCredential() if message.happened_at > now:
                return ("happened_at: lies in the future",)
            case GiveUp() if message.given_up_at > now:
                return ("given_up_at: lies in the future",)
            case ChangeSecret() if self.body.secret_set_at is None:
                return ("there are no login data to change",)
            case ReleaseLock() if self.body.locked_at is None:
                return ("the account is not locked",)
            case PlaceLegalHold() if self.body.erasure == "done":
                return ("what a hold would keep is erased",)
            case PlaceLegalHold() if self.body.held_since is not None:
                return ("a legal hold stands already",)
            case LiftLegalHold() if self.body.held_since is None:
                return ("no legal hold stands",)
            case ReportNewContract() if self.body.last_contract_ended_on is None:
                return ("no contract has ended here",)
            case CorrectAddress():
                could = sorted({_reader(key) for key in self.undelivered()})
                if message.party not in could:
                    return ("party: no letter waits for another address" + "".join(f"; {p} does" for p in could),)
                return ()
        return super().allowed(message)

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the case can fill in of a message."""
        undelivered = self.undelivered()
        if model is CorrectAddress and undelivered:
            return {"party": _reader(undelivered[0])}
        return super().known(model)

    def possible(self) -> list[type[Message]]:
        """Only what has a point now."""
        pointless: set[type[Message]] = set()
        if self.body.locked_at is None:
            pointless.add(ReleaseLock)
        if self.body.secret_set_at is None:
            pointless.add(ChangeSecret)
        pointless.add(ReportNewContract if self.body.last_contract_ended_on is None else ReportLastContract)
        pointless.add(LiftLegalHold if self.body.held_since is None else PlaceLegalHold)
        if self.body.erasure == "done":
            pointless.add(PlaceLegalHold)
        return [m for m in super().possible() if m not in pointless]

    def waiting(self, stage: str, body: CredentialBody) -> str:
        """What is waited for, and from whom."""
        newest = _newest(body)
        queued = [key for key in newest if body.notices[key] == "queued"]
        waits = [f"the carrier: {key}" for key in queued if not _gives_secret(key)]
        waits += [self.waits_outside(f"secret:{key}", key) for key in queued if _gives_secret(key)]
        refused = [key for key in newest if body.notices[key] == "refused"]
        waits += [f"another address of the {_reader(key)}: {key}" for key in refused]
        if body.provider == "behind":
            waits.append("the identity provider")
        if body.locked_at is not None and stage not in ("ending", "erasing", "resting"):
            waits.append("an operator: the lock after failed sign-ins")
        match stage:
            case "issued":
                waits.append("the user's first sign-in")
            case "suspended":
                waits.append("the access administrator: the investigation, and what it comes to")
            case "erasing":
                waits += [f"the end of what wins over the erasure: {obstacle}" for obstacle in body.against]
                waits += [] if body.against else ["the erasure of the user's data"]
            case "resting":
                waits.append("a bounce, until it closes")
        return ", ".join(waits)

    def story(self) -> list[str]:
        """Who has what since when by which request, what stands in the way, and how it ended."""
        body = self.body
        has = [body.authenticator] if body.authenticator else []
        has += ["login data"] if body.secret_set_at else []
        what = f"with {' and '.join(has)}" if has else "without login data and authenticator: nobody can sign in"
        if body.ended_at is not None:
            what = f"had {' and '.join(has)}" if has else "had nothing to sign in with"
        lines = [f"- **Account:** {body.username} of client {body.client}, {what}"]
        lines += [f"- **Issued:** {utc(body.issued_at)} by {body.request}"]
        if body.suspended is not None:
            now = body.suspended
            reviewed = f", last reviewed {body.reviewed_at:%a %Y-%m-%d}" if body.reviewed_at else ""
            lines.insert(0, f"- **Suspended:** {utc(now.since)} by {now.by}, {now.ground}{reviewed}")
        if body.locked_at is not None:
            lines.insert(0, f"- **Locked:** {utc(body.locked_at)}, too many failed sign-ins ({LOCK})")
        if body.ended_at is not None:
            lines.insert(0, f"- **Ended:** {utc(body.ended_at)} by {body.ended_by}, {body.ground}")
        if body.held_since is not None:
            lines.append(f"- **Legal hold:** since {utc(body.held_since)} ({NO_LONGER_NEEDED})")
        if body.against:
            lines.append(f"- **Restricted, not erased yet:** {', '.join(body.against)} ({NO_LONGER_NEEDED})")
        if body.erasure == "done":
            lines.append(f"- **The user's data:** erased ({NO_LONGER_NEEDED})")
        if body.first_sign_in_at is not None:
            lines.append(f"- **First sign-in:** {utc(body.first_sign_in_at)}")
        if body.secret_set_at is not None:
            lines.append(f"- **Password set:** {utc(body.secret_set_at)}")
        if body.last_contract_ended_on is not None:
            lines.append(f"- **Last contract ended:** {body.last_contract_ended_on} ({PORTAL})")
        return lines + self.story_of_letters()


def _newest(body: CredentialBody) -> list[str]:
    """The newest try of every letter; whoever is erased gets none any more."""
    newest = {key.rpartition(":")[0]: key for key in body.notices}
    return [key for key in newest.values() if body.erasure != "done" or _reader(key) != USER]


def _clock_of(key: str) -> tuple[str, str]:
    """Duty and subject of the clock that a letter belongs to."""
    duty, _, event, _ = key.split(":")
    return duty, event


def _reader(key: str) -> str:
    return key.split(":")[1]


def _proves(key: str) -> bool:
    """Whether this letter proves its duty kept."""
    duty = key.split(":", maxsplit=1)[0]
    return duty in CLOCKED and TOLD[duty][0] == _reader(key)


def _gives_secret(key: str) -> bool:
    """Whether this letter holds login data, which are born and sent in one activity."""
    return key.startswith(f"{CHANGED}:")


def _again(key: str) -> str:
    head, _, n = key.rpartition(":")
    return f"{head}:{int(n) + 1}"
