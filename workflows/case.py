"""Case: what every case has. Stages, an inbox, one recorded step at a time, clocks, and what the UI shows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

from temporalio import workflow
from temporalio.common import (
    RetryPolicy,
    SearchAttributeKey,
    SearchAttributeUpdate,
)
from temporalio.exceptions import ActivityError, ApplicationError, ApplicationErrorCategory, FailureError

from workflows.clock import Clocks

with workflow.unsafe.imports_passed_through():
    from activities.case import CaseActivities
    from activities.notice import NoticeActivities
    from models import errors, names
    from models.case import (
        SEAL_IT,
        SPENT,
        Act,
        AdoptRecord,
        AnsweredOutside,
        AssignCase,
        BellDraft,
        Bells,
        CaseState,
        Change,
        ClockState,
        Entry,
        Hearing,
        Listen,
        Message,
        NoticeDraft,
        OpenCase,
        OrderDraft,
        Outcome,
        Recorded,
        Said,
        SendNotices,
        SpentSeal,
        Start,
        StartCase,
        Tick,
        Transition,
        Void,
        parse,
    )
    from models.common import Model, in_words
    from models.screening import SCREENED

_SET_OTHERWISE = re.compile(r"-(?=-)|\((?=(?:c|r|tm|p)\))", re.IGNORECASE)
"""What the UI's Markdown replaces by a sign, unless a backslash stands before it."""

# ---- execution policies ---------------------------------------------------------------------------------------------

AT_ONCE = timedelta(seconds=5)
"""What the store answers within this costs no task of its own; what takes longer is waited for where people see it."""
RECORD_TIMEOUT = timedelta(seconds=30)
EFFECT_TIMEOUT = timedelta(minutes=2)
HEARTBEAT = timedelta(seconds=6)
"""An activity whose worker died goes to another one after this, not after its own time limit."""
PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_interval=timedelta(minutes=1)
)
"""For ever: a store or a carrier that is down is waited for, and the UI shows the pending activity."""

ONCE = RetryPolicy(maximum_attempts=1)

LARGE_STEP = 100_000
"""Bytes: several steps of one task go to the engine together, which takes 4 MiB; a larger one goes by itself."""

LARGEST_STEP = 1_500_000
"""Bytes: the engine ends a run that asks for more than 2 MiB."""

CLOSED = "closed"

REST = "T-rest"
"""The last wait of every kind: what may still come back, until the case closes."""

REOPENING = timedelta(minutes=5)
"""How long a case that was opened again waits for the message it was opened for."""

SPENDS = "refused-seals-are-kept"
"""The change since which the record knows the seals of refused messages, not only the run that refused them."""

LOOKS = "looks-after-what-came-first"
"""The change since which a stage that hears what came before its own work goes on with this work after it."""

LET_GO = "effects-let-go"
"""The change since which an effect that an adoption let go is not heard of as one that failed."""

B = TypeVar("B", bound=Model)
R = TypeVar("R")


class Item:
    """A message in the inbox: taken by a stage, answered once."""

    def __init__(self, id: str, message: Message, at: datetime) -> None:
        self.id = id
        self.message = message
        self.at = at
        self.entry: Entry | None = None
        self.refusal: ApplicationError | None = None

    @property
    def settled(self) -> bool:
        """True once it was recorded or refused."""
        return self.entry is not None or self.refusal is not None


class Done:
    """An effect outside came to its end: its proof, or the reason why it never will."""

    def __init__(self, key: str, result: Any, failure: str | None = None) -> None:
        self.key = key
        self.result = result
        self.failure = failure


class Came:
    """The due instant of a clock came and was recorded."""

    def __init__(self, clock: ClockState) -> None:
        self.clock = clock


class Rung:
    """Another part of the store changed: look again."""

    def __init__(self, bells: Bells) -> None:
        self.bells = bells


class Adopted:
    """The case took its state from the record again: it may stand elsewhere now."""


class Nothing:
    """There is nothing to hear now; only where a stage has work of its own to do instead of waiting."""


Event = Item | Done | Came | Rung | Adopted | Nothing


def accepts(model: type[Message]) -> Any:
    """The update handler for a message: one optional argument, a validator, an answer after the record is committed."""
    name = model.update_name()

    # `more` is never used: a call with two arguments must reach the validator to be refused, not fail before it
    async def handler(self: Any, message: Any = None, *more: Any) -> Entry:
        entry: Entry = await self.receive(model, message, *more)
        return entry

    def validator(self: Any, message: Any = None, *more: Any) -> None:
        info = workflow.current_update_info()
        # here alone, never in the handler: a history may hold ids of before this rule
        if info is not None and (fault := names.id_fault(info.id)) is not None:
            raise refused(errors.BAD_MESSAGE, f"update id: {fault}")
        # nor is there the bound of instants: a history may hold older ones
        self.check(model, message, *more, context=Hearing(workflow.now(), new=True))

    handler.__name__ = name
    handler.__qualname__ = f"Case.{name}"
    handler.__doc__ = model.__doc__
    update: Any = workflow.update(name=name, description=(model.__doc__ or "").strip().split("\n")[0])(handler)
    update.validator(validator)
    return update


def refused(type: str, *faults: str) -> ApplicationError:
    """A clean failure for a caller: all the reasons, no stack trace of ours."""
    return ApplicationError(
        "; ".join(faults), *faults, type=type, non_retryable=True, category=ApplicationErrorCategory.BENIGN
    )


class Case:
    """The life of a case.

    A kind of case names its `stages`: stage → the messages that it takes. Each stage is a method of that name and is
    one turn: it does what can be done now, or waits for one event (`next`) and records what it means. `record(to=…)`
    moves the case in the same commit as the fact that moved it, so a stage can be entered again at any time.
    """

    kind: ClassVar[str]
    stages: ClassVar[dict[str, tuple[type[Message], ...]]]
    always: ClassVar[tuple[type[Message], ...]] = (AssignCase,)

    def __init__(self) -> None:
        self.id = workflow.info().workflow_id
        self.state: CaseState | None = None
        self.body: Any = None
        self.clocks = Clocks()
        self.inbox: list[Item] = []
        self.taken: Item | None = None
        self.done: list[Done] = []
        self.working: dict[str, asyncio.Task[None]] = {}
        self.sending: set[str] = set()
        self.outages: dict[str, str] = {}
        self.rung = False
        self.recording = False
        self.recorded_here = False
        self.reopened = False
        self.adopted = False
        self.diverged: tuple[str, ...] = ()
        self.unheard: tuple[int, ...] = ()
        self.spent: set[str] = set()
        self.ended: Outcome | None = None
        self.shown: dict[str, Any] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for stage, messages in cls.stages.items():
            if not hasattr(cls, stage):
                raise TypeError(f"{cls.__name__}: no method for stage {stage}")
            every: list[type[Message]] = [*messages, *cls.always, AdoptRecord]
            for message in every:
                handler = getattr(cls, message.update_name(), None)
                if getattr(getattr(handler, "_defn", None), "validator", None) is None:
                    raise TypeError(f"{cls.__name__}: no handler with a validator for {message.__name__}")

    assign_case = accepts(AssignCase)
    adopt_record = accepts(AdoptRecord)

    # ---- life -------------------------------------------------------------------------------------------------------

    async def live(self, message: Any, *more: Any) -> Outcome:
        """From the first activity to the end; a request to cancel changes nothing, for a duty cannot be cancelled."""
        life = asyncio.create_task(self._live(message, *more))
        while not life.done():
            try:
                await asyncio.shield(life)
            except asyncio.CancelledError:
                if life.cancelled():
                    raise
        return life.result()

    async def _live(self, message: Any, *more: Any) -> Outcome:
        outcome = await self._open(message, *more)
        if outcome is None and self.reopened:
            outcome = await self._stay_closed()
        if outcome is None:
            while self.case.stage != CLOSED:
                await self._turn()
            self.show()
            outcome = Outcome(case=self.id, result=str(self.body.outcome or CLOSED))
        self.ended = outcome
        for item in self.inbox:
            if self.state is not None and self._step_of(item.id, item.message) is not None:
                item.entry = self._recorded_before(item)
                continue
            item.refusal = refused(errors.NOT_ALLOWED_NOW, f"this case has ended: {outcome.result}", *outcome.faults)
        self.clocks.disarm()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return outcome

    async def _open(self, message: Any, *more: Any) -> Outcome | None:
        start, faults = parse(StartCase, *(a.value if isinstance(a, errors.InClear) else a for a in (message, *more)))
        if start is None:
            return Outcome(case=self.id, result="refused", faults=faults)
        self.spent.update(start.spent)
        opened = await workflow.execute_activity_method(
            CaseActivities.open,
            OpenCase(
                workflow_id=self.id,
                workflow_kind=self.kind,
                # after a reset the run before it holds the first event just as well
                run_id=workflow.info().run_id,
                at=workflow.now(),
                case=start.case,
                event=start.event,
                inline=start.filing is not None,
            ),
            start_to_close_timeout=RECORD_TIMEOUT,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=PATIENT,
            summary="open the case",
        )
        self.state = opened.state or self.state
        if opened.result != "opened":
            return Outcome(case=self.id, result=opened.result, faults=opened.faults, right_case=opened.right_case)
        self.spent.update(self.case.spent)
        self.reopened = opened.reopened
        self.clocks.take(opened.clocks)
        self.body = self.read(self.case.body)
        self.show()
        return None

    async def _stay_closed(self) -> Outcome | None:
        """A closed case is opened for one message: if that does not come or is refused, it has never been open."""
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(lambda: bool(self.inbox), timeout=REOPENING)
        faults: tuple[str, ...] = ("nothing reopened it",)
        if self.inbox:
            faults = self.refusal(self.inbox[0].message)
            if not faults:
                return None
            self.inbox.pop(0).refusal = refused(errors.NOT_ALLOWED_NOW, *faults)
        return Outcome(case=self.id, result="closed", faults=faults)

    async def _turn(self) -> None:
        self.adopted = False
        if self.diverged:
            await self._divergence()
            return
        await getattr(self, self.case.stage)()
        if self.taken is not None and not self.taken.settled:
            # a sender must have an answer, whatever a stage forgot
            self.taken.refusal = refused(errors.NOT_ALLOWED_NOW, "the case could not take this message")
        self.taken = None
        if self.unheard and not self.diverged:
            await self.record("bell_heard", heard=self.unheard)

    @property
    def case(self) -> CaseState:
        """The state; there is one once the case is open."""
        assert self.state is not None
        return self.state

    body_model: ClassVar[type[Model]]
    """The kind's own part of the state."""

    def read(self, body: dict[str, Any]) -> Any:
        """The kind's own part of the state, from JSON."""
        return self.body_model.model_validate({k: v for k, v in body.items() if k in self.body_model.model_fields})

    # ---- messages ---------------------------------------------------------------------------------------------------

    def check(self, model: type[Message], message: Any, *more: Any, context: Hearing | None = None) -> Message:
        """The message, or a refusal that names every fault. Changes nothing (validators must not)."""
        if workflow.info().workflow_id != self.id or self.ended is not None:
            raise refused(errors.NOT_ALLOWED_NOW, "this case has ended")
        info = workflow.current_update_info()
        if any(isinstance(argument, errors.InClear) for argument in (message, *more)):
            raise refused(errors.CAME_IN_CLEAR, SEAL_IT)
        parsed, faults = parse(model, message, *more, context=context)
        if parsed is None:
            raise refused(errors.BAD_MESSAGE, *faults)
        if parsed.case != self.id:
            raise refused(errors.BAD_MESSAGE, "case: this message is meant for another case")
        # while a step is on its way to the store, what is allowed after it is not known here: asked when it is taken
        # one that was recorded before (a reset, a sender who asks again) is answered, not judged anew
        known = info is not None and self.state is not None and self._step_of(info.id, parsed) is not None
        if self.state is not None and not known and not self.recording and (reason := self.refusal(parsed)):
            raise refused(errors.NOT_ALLOWED_NOW, *reason)
        return parsed

    def hear(self, model: type[Message], message: Any, *more: Any) -> Message:
        """The message as it is taken: what it says of the next moment happened now."""
        context = Hearing(workflow.now())
        parsed = self.check(model, message, *more, context=context)
        if context.ahead and not workflow.patched("clocks-of-senders"):
            return self.check(model, message, *more)
        return parsed

    def refusal(self, message: Message) -> tuple[str, ...]:
        """Why the case does not take this message now; empty if it does. Asked again when the message is taken."""
        if message.once in self.spent:
            # its sealed text stands in the history: nobody else may say it for its sender when it would be allowed
            return (SPENT,)
        if self.diverged:
            return () if isinstance(message, AdoptRecord) else ("the case has diverged: adopt_record comes first",)
        if type(message) in self.always:
            return ()
        if type(message) not in self.stages.get(self.case.stage, ()):
            could = ", ".join(m.update_name() for m in self.possible() if m not in self.always)
            return (f"not in stage {self.case.stage}" + (f"; possible now: {could}" if could else ""),)
        return self.allowed(message)

    def allowed(self, message: Message) -> tuple[str, ...]:
        """The kind's own conditions for a message that its stage takes. Pure."""
        return ()

    def known(self, model: type[Message]) -> dict[str, Any]:
        """What the case knows of a message's fields, for its template."""
        return {}

    async def receive(self, model: type[Message], message: Any, *more: Any) -> Entry:
        """Put the message into the inbox and answer when its record is committed."""
        parsed = self.hear(model, message, *more)
        info = workflow.current_update_info()
        assert info is not None
        item = Item(info.id, parsed, workflow.now())
        if self.state is not None and self._step_of(item.id, parsed) is not None:
            return self._recorded_before(item)
        self.inbox.append(item)
        await workflow.wait_condition(lambda: item.settled)
        if item.refusal is not None:
            if parsed.once is not None:
                self.spent.add(parsed.once)
                if self.state is not None and workflow.patched(SPENDS):
                    seal = SpentSeal(case=self.id, once=parsed.once)
                    await self.ask(CaseActivities.spend, seal, "keep that this seal was refused")
            raise item.refusal
        assert item.entry is not None
        return item.entry

    def _step_of(self, id: str, message: Message) -> int | None:
        """The step that answered it before: by its sender's id, or by its seal, which nobody can use a second time."""
        return self.case.said.get(id, self.case.said.get(message.once or ""))

    def _recorded_before(self, item: Item) -> Entry:
        step = self._step_of(item.id, item.message)
        assert step is not None
        return Entry(case=self.id, step=step, entry="recorded before", stage=self.case.stage, at=workflow.now())

    @workflow.signal(name="look_again", description="Look at the store again; carries nothing")
    def look_again(self, message: Any = None, *more: Any) -> None:
        """A bell: something that concerns this case changed in the store."""
        self.rung = True

    # ---- waiting ----------------------------------------------------------------------------------------------------

    async def next(self, *, busy: bool = False) -> Event:
        """The next thing that happens, in the order in which it happened; ticks of clocks are recorded on the way.

        A tick comes before a message of the same instant, so that evidence and timer in one activation give the same
        timeline in either order. `busy`: a stage that has work of its own does not wait. What was there may be answered
        here (an assignment, a refusal): then the stage hears of nothing, and without this would never do its work.
        """
        while True:
            if self.diverged:
                await self._divergence()
            if self.adopted:
                return Adopted()
            tick = self.clocks.next_tick()
            due = tick is not None and tick.instant <= workflow.now()
            if tick is not None and due and (not self.inbox or tick.instant <= self.inbox[0].at):
                clock = await self._tick(tick)
                if clock is not None:
                    return Came(clock)
                continue
            if self.inbox:
                item = self.inbox.pop(0)
                if self._step_of(item.id, item.message) is not None:
                    item.entry = self._recorded_before(item)
                elif faults := self.refusal(item.message):
                    item.refusal = refused(errors.NOT_ALLOWED_NOW, *faults)
                elif isinstance(item.message, AssignCase):
                    await self.record(
                        "assigned", said=item, facts={"handler": item.message.handler}, handler=item.message.handler
                    )
                else:
                    self.taken = item
                    return item
                continue
            if self.done:
                return self.done.pop(0)
            if self.rung:
                self.rung = False
                bells = await self.ask(
                    CaseActivities.listen, Listen(case=self.id, step=self.case.step), "hear the bells"
                )
                if bells.behind:
                    await self._adopt()
                    self.rung = True
                    continue
                self.unheard = bells.ids
                if "recount" in bells.reasons:
                    await self.record("recounted", recount=True, heard=bells.ids)
                taken = {"recount"}
                if bells.hits and await self.hits_found(bells):
                    taken.add(SCREENED)
                if set(bells.reasons) - taken:
                    return Rung(bells)
                continue
            # a run from before this change waits on
            if busy and workflow.patched(LOOKS):
                return Nothing()
            self._continue_as_new_if_long()
            self.clocks.arm()
            self.show()
            await workflow.wait_condition(self._something)

    async def hits_found(self, bells: Bells) -> bool:
        """Record who may be on the sanctions list, with these bells; False of a kind that pays nobody."""
        return False

    def _something(self) -> bool:
        tick = self.clocks.next_tick()
        return bool(self.inbox or self.done or self.rung or (tick is not None and tick.instant <= workflow.now()))

    def _continue_as_new_if_long(self) -> None:
        """At a resting point, with nothing in flight, a long history gives way to a new run that loads the state."""
        if self.working or not workflow.all_handlers_finished() or not self.recorded_here:
            return
        if workflow.info().is_continue_as_new_suggested():
            self.clocks.disarm()
            workflow.continue_as_new(StartCase(case=self.id, spent=tuple(sorted(self.spent))).model_dump())

    async def _tick(self, tick: Tick) -> ClockState | None:
        entry = "reminded" if tick.what == "reminder" else "due"
        more = self.with_due(tick) if tick.what == "due" else {}
        recorded = await self.record(
            more.pop("entry", entry),
            duty=tick.duty,
            ticks=(tick,),
            facts={"subject": tick.subject, **more.pop("facts", {})},
            **more,
        )
        if recorded is None or tick.what == "reminder":
            return None
        return self.clocks.get(tick.duty, tick.subject)

    def with_due(self, tick: Tick) -> dict[str, Any]:
        """What the kind records in the same step as the due instant of a clock: arguments of `record`."""
        return {}

    # ---- the last wait ----------------------------------------------------------------------------------------------

    def rest(self) -> Start:
        """The last wait begins now."""
        return Start(duty=REST, anchor_at=workflow.now())

    async def rest_again(self) -> bool:
        """Begin the last wait of a case that was opened again; True if that was needed, and so was this turn."""
        if self.clocks.running(REST):
            return False
        await self.record("reopened", changes=(self.rest(),))
        return True

    def no_more(self, duty: str, reason: str, subject: str = "") -> tuple[Change, ...]:
        """End a clock without a judgment, if it runs."""
        running = self.clocks.running(duty, subject)
        return (Void(duty=duty, subject=subject, reason=reason),) if running else ()

    # ---- effects ----------------------------------------------------------------------------------------------------

    async def ask(self, method: Callable[..., Awaitable[R]], arg: Any, summary: str, *, at_once: bool = True) -> R:
        """One activity of the store, tried until it answers; within this workflow task if it does so at once."""
        result: R
        if at_once:
            # when it comes from the history, the same failure is not always wrapped in an ActivityError
            with contextlib.suppress(FailureError):
                result = await workflow.execute_local_activity_method(
                    method, arg, schedule_to_close_timeout=AT_ONCE, retry_policy=ONCE, summary=summary
                )
                return result
        result = await workflow.execute_activity_method(
            method,
            arg,
            start_to_close_timeout=RECORD_TIMEOUT,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=PATIENT,
            summary=summary,
        )
        return result

    def perform(self, key: str, method: Callable[..., Awaitable[Any]], arg: Any, summary: str) -> bool:
        """Start an effect outside, once per key at a time; its end comes as `Done`.

        False if it was not started: it is under way, or its end is still to be heard.
        """
        if key in self.working or any(d.key == key for d in self.done):
            return False
        self.working[key] = asyncio.create_task(self._perform(key, method, arg, summary))
        return True

    async def _perform(self, key: str, method: Callable[..., Awaitable[Any]], arg: Any, summary: str) -> None:
        own = asyncio.current_task()  # asked for now: when a run is evicted, the end below runs outside of any loop
        try:
            while True:
                result = await workflow.execute_activity_method(
                    method,
                    arg,
                    start_to_close_timeout=EFFECT_TIMEOUT,
                    heartbeat_timeout=HEARTBEAT,
                    retry_policy=PATIENT,
                    summary=summary,
                )
                if not isinstance(result, AnsweredOutside) or result.outage is None:
                    break
                # no step: people see it while it lasts, and what it delays has a clock
                self.outages[key] = result.outage
                self.show()
                arg = arg.model_copy(update={"told": result.outage})
            self.done.append(Done(key, result))
        except ActivityError as e:
            # an adoption let it go and begins it again; without the mark a run heard of it as failed, and still does
            if self.working.get(key) is not own and workflow.patched(LET_GO):
                return
            cause = e.cause
            self.done.append(
                Done(key, None, cause.type or "failed" if isinstance(cause, ApplicationError) else "failed")
            )
        finally:
            if self.working.get(key) is own:
                del self.working[key]
                self.outages.pop(key, None)
                if isinstance(arg, SendNotices):
                    self.sending -= set(arg.keys)

    def waits_outside(self, key: str, of: str) -> str:
        """Whom an effect waits for that needs the identity provider and the carrier, of whom one may not answer."""
        return f"{self.outages.get(key, 'the identity provider and the carrier')}: {of}"

    def send(self, keys: Iterable[str]) -> None:
        """Send queued notices together; their proofs come as `Done` with `NoticesSent`."""
        wanted = tuple(key for key in keys if key not in self.sending)
        # not started while the proof of the first of them is still to be heard: the turn after that sends the others
        if wanted and self.perform(
            "notices:" + wanted[0], NoticeActivities.send, SendNotices(case=self.id, keys=wanted), "send letters"
        ):
            self.sending |= set(wanted)

    def refuse(self, item: Item, *faults: str) -> None:
        """Answer a message with its faults; nothing is recorded."""
        item.refusal = refused(errors.REFUSED, *faults)

    # ---- recording --------------------------------------------------------------------------------------------------

    async def record(
        self,
        entry: str,
        *,
        said: Item | None = None,
        to: str | None = None,
        duty: str | None = None,
        facts: dict[str, Any] | None = None,
        changes: tuple[Change, ...] = (),
        ticks: tuple[Tick, ...] = (),
        acts: tuple[Act, ...] = (),
        notices: tuple[NoticeDraft, ...] = (),
        orders: tuple[OrderDraft, ...] = (),
        bells: tuple[BellDraft, ...] = (),
        heard: tuple[int, ...] = (),
        recount: bool = False,
        body: Model | None = None,
        handler: str | None = None,
        outcome: str | None = None,
        amount: Decimal | None = None,
        yields: bool = False,
    ) -> Recorded | None:
        """One step: everything the store must know, in one transaction. None if it was refused or diverged.

        `body` is the kind's state after the step; it is taken over only when the store has it. `amount` is the EUR that
        the message lets go, where its sender's limit counts. A step that `yields` says nothing if it is refused.
        """
        state = self.case
        stage = to or state.stage
        after = (body if body is not None else self.body).model_dump(mode="json")
        if outcome is not None:
            after = {**after, "outcome": outcome}
        transition = Transition(
            case=self.id,
            step=state.step + 1,
            at=workflow.now(),
            events=workflow.info().get_current_history_length(),
            stage=stage,
            entry=entry,
            duty=duty,
            facts={**(facts or {}), **({"handler": handler} if handler else {})},
            said=_said(said, amount) if said else None,
            acts=acts,
            ticks=ticks,
            changes=changes,
            recount=recount,
            notices=notices,
            orders=orders,
            bells=bells,
            heard=heard,
            body=after,
            waits_for="" if outcome else self.waiting(stage, self.read(after)),
            outcome=outcome,
            yields=yields,
        )
        size = len(transition.model_dump_json().encode())
        if said is not None and size > LARGEST_STEP:
            said.refusal = refused(errors.REFUSED, "what follows from it is more than one step can hold")
            return None
        self.recording = True
        try:
            where = state.stage if stage == state.stage else f"{state.stage} → {stage}"
            recorded = await self.ask(
                CaseActivities.record,
                transition,
                f"{where}: {entry}{f' ({duty})' if duty else ''}",
                at_once=size <= LARGE_STEP,
            )
        finally:
            self.recording = False
        if recorded.result == "refused":
            if said is not None:
                said.refusal = refused(errors.REFUSED, *recorded.faults)
                return None
            if not yields:
                # nobody can be told: what the case says by itself must be recordable, so a person has to look
                self.diverged = recorded.faults
            return None
        if recorded.result == "behind":
            await self._adopt()
            if said is not None:
                self._answer_by_record(said, recorded)
            return None
        # a step that was recorded before may have been so at another instant, with another body: the record is right
        after = recorded.transition["body"]
        self.state = state.model_copy(
            update={
                "step": recorded.step,
                "stage": stage,
                "body": after,
                "handler": handler or state.handler,
                "said": {**state.said, **dict.fromkeys(transition.said.ids, recorded.step)}
                if transition.said
                else state.said,
            }
        )
        self.recorded_here = True
        self.clocks.take(recorded.clocks)
        self.body = self.read(after)
        self.unheard = () if heard else self.unheard
        if said is not None:
            said.entry = _entry(recorded)
        return recorded

    def _answer_by_record(self, said: Item, behind: Recorded) -> None:
        """What the message came to, if the record knows it; else it is judged once more, by the record."""
        self.taken = None
        for missed in behind.missed:
            answer = Recorded.model_validate(missed)
            if (said_then := answer.transition["said"]) is not None and said_then["id"] == said.id:
                said.entry = _entry(answer)
                return
        self.inbox.insert(0, said)

    async def _divergence(self) -> None:
        """The store and this run do not agree on a step: nothing is written, the case says so, a person decides."""
        self.clocks.disarm()
        self.show()
        item = await self._next_allowed()
        self.diverged = ()
        await self._adopt()
        if self.case.stage == CLOSED:
            item.refusal = refused(errors.NOT_ALLOWED_NOW, "the record of this case is closed")
            return
        await self.record("record_adopted", said=item, facts={"reason": "adopted"})

    async def _adopt(self) -> None:
        """Go on from the record. Effects under way begin again where the record lacks them: they are idempotent."""
        for task in self.working.values():
            task.cancel()
        self.working, self.done, self.sending, self.outages = {}, [], set(), {}
        self.adopted = True
        if await self._open(StartCase(case=self.id).model_dump()) is not None:
            # the record is closed (an engine restored from a backup): nothing is left for this run to keep
            self.clocks.disarm()
            self.clocks = Clocks()
            self.state = self.case.model_copy(update={"stage": CLOSED})
            self.body = self.read(self.case.body)

    async def _next_allowed(self) -> Item:
        while True:
            await workflow.wait_condition(lambda: bool(self.inbox))
            item = self.inbox.pop(0)
            faults = self.refusal(item.message)
            if not faults:
                return item
            item.refusal = refused(errors.NOT_ALLOWED_NOW, *faults)

    # ---- what people see --------------------------------------------------------------------------------------------

    def possible(self) -> list[type[Message]]:
        """The messages that the case takes now."""
        if self.diverged:
            return [AdoptRecord]
        if self.case.stage == CLOSED:
            return []
        return [*self.stages.get(self.case.stage, ()), *self.always]

    def waiting(self, stage: str, body: Any) -> str:
        """What is waited for in this stage, and from whom; no personal data."""
        return ""

    def story(self) -> list[str]:
        """A Markdown list of the kind's own, most important first; no personal data."""
        return []

    def show(self) -> None:
        """Tell the UI: search attributes where they changed, and the current details."""
        state = self.case
        open_clocks = self.clocks.open
        can_be_late = [c for c in open_clocks if c.can_be_late]
        attributes: dict[str, Any] = {
            names.CASE_KIND: state.kind,
            names.ORGANISATION_ATTRIBUTE: state.organisation,
            names.STAGE: "diverged" if self.diverged else state.stage,
            names.HANDLER: state.handler,
            names.DUTIES: sorted({c.duty for c in open_clocks}) or None,
            names.DUE: min((c.due for c in can_be_late), default=None),
            names.OVERDUE: any(c.status == "overdue" for c in can_be_late),
        }
        changed = {name: value for name, value in attributes.items() if self.shown.get(name) != value}
        if changed:
            workflow.upsert_search_attributes([_attribute(name, value) for name, value in changed.items()])
            self.shown = attributes
        workflow.set_current_details(self.details())

    def details(self) -> str:
        """Markdown for the UI, most important first: stage, next due, who acts, the clocks, the story, ready messages.

        Lists and wrapping code only: the UI gives it half a window, glues the cells of tables, and lets fenced blocks
        run out sideways.
        """
        state = self.case
        clocks = self.clocks.open
        first = next((c for c in clocks if c.can_be_late), clocks[0] if clocks else None)
        late = any(c.status == "overdue" and c.can_be_late for c in clocks)
        stage = "diverged" if self.diverged else state.stage.replace("_", " ")
        if state.stage == CLOSED:
            stage = f"closed: {self.body.outcome or 'see the record'}".replace("_", " ")
        lines = [f"## {stage.capitalize()}{' · OVERDUE' if late else ''}", ""]
        if self.diverged:
            lines += [f"- **Diverged from the record:** {'; '.join(self.diverged)}"]
        possible = self.possible()
        acting = "nothing: it has ended" if state.stage == CLOSED else "nothing: the case itself acts"
        lines += [
            f"- **{'Next date' if first and not first.can_be_late else 'Next due'}:** {_line(first)}",
            f"- **Waits for:** {self.waiting(state.stage, self.body) or acting}",
            f"- **Handler:** {state.handler or 'nobody yet'}",
            *(f"- **Also:** {_line(c)}" for c in clocks if c is not first),
            f"- **Possible now:** {', '.join(m.update_name() for m in possible) or 'nothing'}",
        ]
        lines += ["", "### The case", "", *self.story(), ""]
        if possible:
            lines += ["### What can be done now", ""]
            lines += ["More Actions, Send an Update: choose the name, paste the JSON, replace every ‹…›.", ""]
        for model in possible:
            lines += [f"**{model.update_name()}**: {(model.__doc__ or '').strip().splitlines()[0]}"]
            # as many lines as the form makes of it: else its button moves away under the pointer
            template = json.dumps(model.template(self.id, self.known(model)), ensure_ascii=False, indent=2)
            lines += [f"`{template}`"]
            if optional := model.optional(self.known(model)):
                lines += [f"If needed also: {'; '.join(optional)}."]
            lines += [""]
        return "\n".join(line if line.startswith("`") else _as_written(line) for line in lines)


def _as_written(text: str) -> str:
    """Text that the UI sets as it stands: else `--personal` gets a dash, and 33(3)(c) the sign of a copyright."""
    return _SET_OTHERWISE.sub(r"\\\g<0>", text)


def utc(at: datetime) -> str:
    """An instant for people, whatever offset it was said with: `Sun 2026-11-22 19:07 UTC`."""
    return f"{at.astimezone(UTC):%a %Y-%m-%d %H:%M} UTC"


def _said(item: Item, amount: Decimal | None) -> Said:
    correction = getattr(item.message, "correction", None)
    return Said(
        id=item.id,
        once=item.message.once,
        name=item.message.update_name(),
        actor=item.message.actor,
        role=item.message.role,
        amount=None if amount is None else str(amount),
        second=correction.second_person if correction is not None else None,
    )


def _entry(recorded: Recorded) -> Entry:
    step = recorded.transition
    return Entry(
        case=step["case"],
        step=recorded.step,
        entry=step["entry"],
        stage=step["stage"],
        at=datetime.fromisoformat(step["at"]),
        clocks=tuple(f"{c.label}: {c.status}, due {c.shown}" for c in recorded.clocks),
    )


def _line(clock: ClockState | None) -> str:
    if clock is None:
        return "nothing is running"
    subject = f" ({clock.subject})" if clock.subject else ""
    return f"{clock.shown}, {clock.duty} {clock.title}{subject}, {_status(clock)}"


def _status(clock: ClockState) -> str:
    if clock.kind == "not_before":
        return "no effect before it is over"
    if not clock.can_be_late:
        return clock.status
    told = ", then ".join(in_words(role) for role in (clock.owner, clock.escalation) if role)
    return f"{'**OVERDUE**' if clock.status == 'overdue' else clock.status} (told: {told})"


def _attribute(name: str, value: Any) -> SearchAttributeUpdate[Any]:
    key: SearchAttributeKey[Any]
    if name == names.DUTIES:
        key = SearchAttributeKey.for_keyword_list(name)
    elif name == names.DUE:
        key = SearchAttributeKey.for_datetime(name)
    elif name == names.OVERDUE:
        key = SearchAttributeKey.for_bool(name)
    else:
        key = SearchAttributeKey.for_keyword(name)
    return key.value_unset() if value is None else key.value_set(value)
