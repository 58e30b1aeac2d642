"""The effect of a withdrawal is never early: whatever callers say, clocks show, and however often a run dies.

First without a workflow: the store is asked by a caller that makes every mistake (ticks before their time, moves and
bounces with wrong words, the effect asked for at any time, again and again). Then with the case itself, its messages,
repeats, deaths and clocks that leap. What must not be is judged from the notices as they were really sent, counted here
by hand. Of the two clocks that stamp a notice one is not behind, and of the three
that guard an effect one is not ahead: with all of them wrong nobody could know the time.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.exceptions import ApplicationError

from activities import access as access_module
from activities import ledger as ledger_module
from activities.access import AccessActivities
from activities.case import CaseActivities
from activities.replay import Nobody
from activities.wiring import _stores
from integrations.mail import MaildirOut
from models.access import TakeAway
from models.case import Act, NoticeDraft, OpenCase, Reopen, Start, Tick, Transition, Void
from models.credential import GROUNDS, EndGround, SuspensionGround
from models.errors import NOT_YET
from models.tables import AccountRow, CaseRow, ClockRow, NoticeRow, WithdrawalRow
from operations import accounts
from operations.directory import LocalDirectory
from operations.intake import Intake
from rules.rulebook import Duty, duty_for
from tests.workflows.test_authenticator_withdrawal import account
from tests.world import RIGA, Refused, World

_numbers = count(1)
MONDAY = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
NOTICE, DAY = "BL-3-notice", "T-effect-day"

# ---- what can happen ------------------------------------------------------------------------------------------------

skews = st.sampled_from([timedelta(0), timedelta(0), timedelta(days=-9), timedelta(hours=-3), timedelta(days=9)])
effects = st.tuples(st.just("effect"), skews, skews, skews, st.sampled_from(["once", "twice", "killed"]))
for_all = st.one_of(st.tuples(st.just("move for all"), st.integers(0, 25)), st.tuples(st.just("withdraw for all")))
waits = st.tuples(st.just("wait"), st.sampled_from([1, 24, 5 * 24, 9 * 24, 10 * 24, 11 * 24]))
steps = st.one_of(
    waits,
    waits,
    st.tuples(st.just("notice"), skews, skews, st.booleans()),
    st.tuples(st.just("bounce"), st.booleans()),
    st.tuples(st.just("move"), st.integers(0, 25), st.booleans()),
    st.one_of(for_all, st.tuples(st.sampled_from(["tick", "recount", "withdraw"]))),
    effects,
    effects,
)
RIGHT = timedelta(0)
END = (("wait", 25 * 24), ("effect", RIGHT, RIGHT, RIGHT, "once"))


def lives(*steps_: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Lives of these steps: end or limit, for all or not, a chosen day or none, a first notice."""
    return st.tuples(
        st.sampled_from(["end", "limit"]),
        st.booleans(),
        st.one_of(st.none(), st.integers(0, 25)),
        st.tuples(st.just("notice"), skews, skews, st.just(False)),
        st.lists(st.one_of(*steps_), max_size=7),
    )


class Life:
    """One withdrawal, told of and asked for its effect by a caller without sense; and what really happened."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ahead = MONDAY - datetime.now(UTC)
        self.case = self.decision = self.client = ""
        self.skew = timedelta(0)
        self.sent: dict[str, tuple[datetime, date | None]] = {}
        """Letter → when it was really sent, and the day that stood then; without those that came back."""
        self.day: date | None = None
        self.moved = False
        """The day was moved, and nobody was told since."""
        self.day_for_all: date | None = None
        self.withdrawn = False
        self.n = 0
        self.record = CaseActivities(
            world.sessions, world.keyring, world.client, Nobody(), _stores(world.keyring), self.worker
        )

    def true(self) -> datetime:
        """The present."""
        return datetime.now(UTC) + self.ahead

    def worker(self) -> datetime:
        """What the worker's clock shows."""
        return self.true() + self.skew

    async def begin(self, scope: str, for_all: bool, day: int | None) -> None:
        """File the decision, for one client or for everybody, and open its case; nothing runs in the engine."""
        world, n = self.world, next(_numbers)
        name = f"never-{n}"
        self.client = await world.customer()
        await account(world, self.client, authenticator=name)
        self.day = (self.true() + timedelta(days=day)).astimezone(RIGA).date() if day is not None else None
        content = {
            "authenticator": name,
            "scope": scope,
            "decided_by": "op-9",
            **({"limitation": "Tikai lasīt."} if scope == "limit" else {}),
            **({"takes_effect_on": self.day.isoformat()} if self.day is not None else {}),
        }
        kind = "authenticator_decision" if for_all else "authenticator_withdrawal"
        filing = {
            "kind": kind,
            "organisation": "BL",
            "reference": f"N{n}-{self.client}",
            "received_at": self.true().isoformat(),
            "sender": "op-9",
            "content": content if for_all else {**content, "client": self.client},
        }
        filed = await Intake(world.sessions, world.keyring, None, self.true).submit(filing)
        await self._open(filed.case, kind)
        self.case = filed.case
        if for_all:
            self.decision, self.day_for_all = filed.case, self.day
            await self.step(self.decision, acts=(_act("authenticator_decision.file", clients=[self.client]),))
            self.case = f"authenticator_withdrawal:BL:N{n}-{self.client}-{self.client}"
            await self._open(self.case, "authenticator_withdrawal")

    async def _open(self, case: str, kind: str) -> None:
        opened = await self.record.open(
            OpenCase(workflow_id=case, workflow_kind=kind, run_id="none", at=self.true(), case=case)
        )
        assert opened.result == "opened", opened

    async def step(self, case: str, at: datetime | None = None, **more: Any) -> bool:
        """One step of a case; whether the store took it."""
        async with self.world.sessions() as session:
            row = await session.get_one(CaseRow, case)
        recorded = await self.record.record(
            Transition(
                case=case,
                step=row.step + 1,
                at=at or self.true(),
                stage="running",
                entry="said",
                body=row.state["body"],
                yields=True,
                **more,
            )
        )
        return recorded.result == "recorded"

    async def clocks(self) -> dict[str, ClockRow]:
        """The newest clock of each duty."""
        async with self.world.sessions() as session:
            rows = await session.exec(select(ClockRow).where(ClockRow.case == self.case).order_by(col(ClockRow.n)))
            return {row.duty: row for row in rows.all()}

    async def void(self, *duties: str) -> tuple[Any, ...]:
        """Changes that end these clocks, as the case makes them."""
        changes: list[Any] = []
        for duty in duties:
            clock = (await self.clocks()).get(duty)
            if clock is None or clock.status == "void":
                continue
            changes += [] if clock.status == "running" else [Reopen(duty=duty, reason="again")]
            changes.append(Void(duty=duty, reason="again"))
        return tuple(changes)

    # ---- what happens -----------------------------------------------------------------------------------------------

    async def wait(self, hours: int) -> None:
        """Time passes."""
        self.ahead += timedelta(hours=hours)

    async def notice(self, workflow: timedelta, worker: timedelta, counting: bool) -> None:
        """A letter goes out; its proof says when by the worker's clock, its queueing by the workflow's."""
        if workflow < timedelta(0) and worker < timedelta(0):
            worker = timedelta(0)
        self.n += 1
        key, queued, former = f"{NOTICE}:responsible:{self.n}", self.true() + workflow, next(iter(self.sent), None)
        await self.step(
            self.case, at=queued, notices=(NoticeDraft(key=key, template=NOTICE, party="responsible", duty=NOTICE),)
        )
        sent = self.true()
        async with self.world.sessions() as session, session.begin():
            row = await session.get_one(NoticeRow, (self.case, key))
            row.sent_at = sent + worker
        anchor = max(queued, sent + worker)
        runs = (clock := (await self.clocks()).get(NOTICE)) is not None and clock.status != "void"
        data = {"notice": key, "anchor_at": anchor.isoformat()}
        if counting and former is not None:
            data |= {"counting": former}
        start: tuple[Any, ...] = () if counting and runs else (await self.void(NOTICE))
        start += () if counting and runs else (Start(duty=NOTICE, anchor_at=anchor),)
        if self.day is not None:
            eve = datetime.combine(self.day - timedelta(days=1), time(12), RIGA)
            start += (*(await self.void(DAY)), Start(duty=DAY, anchor_at=eve))
        if await self.step(self.case, at=queued, acts=(Act(name="withdrawal.told", data=data),), changes=start):
            self.sent[key] = (sent, self.day)
            self.moved = False

    async def bounce(self, wrongly: bool) -> None:
        """The newest letter comes back; the caller may say by mistake that another one still counts."""
        if not self.sent:
            return
        newest, others = list(self.sent)[-1], list(self.sent)[:-1]
        data = {"notice": newest, "bounced_at": self.true().isoformat()}
        data |= {"counting": (others or [newest])[0]} if wrongly else {}
        changes = () if wrongly else await self.void(NOTICE)
        if await self.step(self.case, acts=(Act(name="withdrawal.untold", data=data),), changes=changes):
            del self.sent[newest]

    async def move(self, days: int, anew: bool) -> None:
        """Another day, with the right word or the wrong one for what it means."""
        day = (self.true() + timedelta(days=days)).astimezone(RIGA).date()
        changes = (*(await self.void(NOTICE) if anew else ()), *(await self.void(DAY)))
        act = _act("withdrawal.move", takes_effect_on=day.isoformat(), anew=anew)
        if await self.step(self.case, acts=(act,), changes=changes):
            self.day, self.moved = day, True
            if anew:
                self.sent.clear()

    async def move_for_all(self, days: int) -> None:
        """Another day for everybody; the case hears nothing of it."""
        day = (self.true() + timedelta(days=days)).astimezone(RIGA).date()
        act = _act("authenticator_decision.move", takes_effect_on=day.isoformat())
        if self.decision and await self.step(self.decision, acts=(act,)):
            self.day_for_all = day

    async def tick(self) -> None:
        """The caller says that every clock is due, whatever the time."""
        for clock in (await self.clocks()).values():
            if clock.status == "running":
                await self.step(self.case, ticks=(Tick(duty=clock.duty, what="due", instant=clock.due),))

    async def recount(self) -> None:
        """By a rulebook with a shorter notice: what others were told stays."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger_module, "duty_for", shorter)
            await self.step(self.case, recount=True)

    async def withdraw(self) -> None:
        """The decision is withdrawn for this client."""
        self.withdrawn |= await self.step(self.case, acts=(_act("withdrawal.withdraw"),))

    async def withdraw_for_all(self) -> None:
        """For everybody; the case hears nothing of it."""
        if self.decision:
            self.withdrawn |= await self.step(self.decision, acts=(_act("authenticator_decision.withdraw"),))

    async def effect(self, workflow: timedelta, worker: timedelta, database: timedelta, how: str) -> None:
        """The caller says that it is time, and asks for the effect; the run may die before its commit."""
        if min(workflow, worker, database) > timedelta(0):
            database = timedelta(0)
        await self.tick()
        clocks = await self.clocks()
        ask = TakeAway(
            case=self.case,
            n=clocks[NOTICE].n if NOTICE in clocks else 1,
            day=clocks[DAY].n if DAY in clocks else None,
            at=self.true() + workflow,
        )
        self.skew = worker
        await self.world.now.set_database(self.ahead + database)
        before = await self.row()
        if how == "killed":
            async with self.world.sessions() as outer:
                connection = await outer.connection()
                within = async_sessionmaker(
                    connection,
                    class_=AsyncSession,
                    expire_on_commit=False,
                    join_transaction_mode="create_savepoint",
                )
                await self._ask(within, ask)
                await outer.rollback()
            assert await self.row() == before
        for _ in range(2 if how == "twice" else 1):
            await self._ask(self.world.sessions, ask)
        self.skew = timedelta(0)
        await self.world.now.set_database(self.ahead)
        if before.effective_at is None and (await self.row()).effective_at is not None:
            self.judge()
        else:
            assert await self.row() == before, "an effect comes once"
        await self._touched()

    async def _ask(self, sessions: Any, ask: TakeAway) -> None:
        directory, carrier = LocalDirectory(self.world.sessions, self.worker), MaildirOut(self.world.var / "other")
        activities = AccessActivities(
            sessions, self.world.keyring, directory, carrier, self.worker, "noreply@bl.example"
        )
        try:
            await activities.withdraw_authenticator(ask)
        except ApplicationError as e:
            if e.type != NOT_YET:
                raise
        except IntegrityError as e:
            # the last guard, the table's own, where a plant has taken the others away
            if "withdrawal_never_early" not in str(e):
                raise

    async def row(self) -> WithdrawalRow:
        """The withdrawal's row."""
        async with self.world.sessions() as session:
            return await session.get_one(WithdrawalRow, self.case)

    async def _touched(self) -> None:
        """An account is touched if there is an effect, and only then."""
        effect = (await self.row()).effective_at is not None
        async with self.world.sessions() as session:
            [found] = (await session.exec(select(AccountRow).where(AccountRow.client == self.client))).all()
        assert (found.withdrawn_by == self.case) is effect
        assert (found.status == "ended" or found.limited is not None) is effect

    # ---- what must not be -------------------------------------------------------------------------------------------

    def judge(self, now: datetime | None = None) -> None:
        """The effect came now, or then: was it free?"""
        now = now or self.true()
        assert not self.withdrawn, "after the decision was withdrawn"
        assert self.sent, "nobody is told"
        assert now >= min(_ten_full_days(sent) for sent, _ in self.sent.values()), "before ten full days"
        assert not self.moved, "before anybody was told of the day it was moved to"
        for day in (self.day, self.day_for_all):
            assert day is None or now >= datetime.combine(day, time(), RIGA), "before the chosen day"


def _act(name: str, **data: Any) -> Act:
    return Act(name=name, data=data)


def _ten_full_days(sent: datetime) -> datetime:
    """Counted by hand: the day of the notice does not count, then ten days from midnight to midnight."""
    return datetime.combine(sent.astimezone(RIGA).date() + timedelta(days=11), time(), RIGA)


def shorter(organisation: str, duty: str) -> Duty:
    """A rulebook with three days."""
    found = duty_for(organisation, duty)
    return found.model_copy(update={"amount": 3}) if duty == NOTICE else found


async def live(world: World, life: tuple[Any, ...]) -> bool:
    """Live it; whether there was an effect.

    Raises:
        AssertionError: It was early.
    """
    scope, for_all, day, first, then = life
    one = Life(world)
    await world.now.set_database(one.ahead)
    await one.begin(scope, for_all, day)
    for what, *arguments in (first, *then, *END):
        await getattr(one, what.replace(" ", "_"))(*arguments)
    return (await one.row()).effective_at is not None


async def _lived(world: World, life: Any, live: Callable[[World, Any], Awaitable[bool]]) -> bool:
    return await live(world, life)


async def searched(
    world: World, examples: int, of: st.SearchStrategy[Any], live: Callable[[World, Any], Awaitable[bool]] = live
) -> int:
    """Search through lives in a thread of its own, as hypothesis knows no event loop; how many had an effect."""
    loop, effects, early = asyncio.get_running_loop(), 0, list[AssertionError]()

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(of)
    def search(life: tuple[Any, ...]) -> None:
        nonlocal effects
        try:
            effects += asyncio.run_coroutine_threadsafe(_lived(world, life, live), loop).result()
        except AssertionError as e:
            early.append(e)
            raise

    try:
        await asyncio.to_thread(search)
    except Exception:
        if early:
            # the first, as it was: hypothesis lives it once more, at another time
            raise early[0] from None
        raise
    finally:
        await world.begin(MONDAY)
    return effects


async def test_the_effect_is_never_early(world: World) -> None:
    """For end and limit, for one and for all; and the search is no idle one: many of its lives have an effect."""
    assert await searched(world, 40, lives(steps)) >= 10


PLANTS: dict[str, tuple[str, Callable[..., Any], tuple[st.SearchStrategy[Any], ...]]] = {
    "no clock is asked": ("too_early", lambda *_: [], (waits, effects)),
    "the decision for all is not asked": ("_decision_of", lambda *_: _nothing(), (for_all, waits, effects)),
    "the ten days are three": ("duty_for", shorter, (waits, effects)),
}
"""What is taken away → its name, what stands there instead, and the steps of the lives that are searched for it."""


async def _nothing() -> None:
    return None


@pytest.mark.parametrize("plant", PLANTS)
async def test_the_search_finds_an_effect_that_was_planted_early(
    world: World, plant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each guard taken away alone."""
    name, instead, of = PLANTS[plant]
    monkeypatch.setattr(access_module, name, instead)
    if name == "duty_for":
        monkeypatch.setattr(ledger_module, name, instead)
    with pytest.raises(AssertionError, match=r"before|withdrawn|nobody"):
        await searched(world, 200, lives(*of))


# ---- with the case itself -------------------------------------------------------------------------------------------

AHEAD, BEHIND = timedelta(days=9), timedelta(days=-9)
CLOCKS: dict[str, tuple[timedelta, timedelta]] = {
    "right": (RIGHT, RIGHT),
    "worker ahead": (AHEAD, RIGHT),
    "worker behind": (BEHIND, RIGHT),
    "database ahead": (RIGHT, AHEAD),
    "both ahead": (AHEAD, AHEAD),
}
"""How far the clocks of worker and database are from the present; the server's leaps by itself."""

said = st.one_of(
    st.tuples(st.just("move"), st.integers(0, 25)),
    st.tuples(st.sampled_from(["bounce", "hurry", "again"])),
    st.tuples(st.sampled_from(["bounce older", "correct", "withdraw"])),
)
happens = st.one_of(
    st.tuples(st.sampled_from(["leap", "crash", "recount"])),
    st.tuples(st.just("set clocks"), st.sampled_from(sorted(CLOCKS))),
)
played = st.tuples(
    st.sampled_from(["end", "limit"]),
    st.one_of(st.none(), st.integers(0, 25)),
    st.lists(st.one_of(waits, waits, said, happens), max_size=7),
)


class Played(Life):
    """A withdrawal whose case runs: told by its messages, killed, begun again, and lied to by clocks."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.clock = CLOCKS["right"]
        self.leapt = False
        self.since = MONDAY
        """The present when this step began: no letter of it went out earlier."""
        self.last: tuple[str, str, dict[str, Any]] | None = None
        self.judged = False

    async def begin_case(self, scope: str, day: int | None) -> None:
        """File the decision for a client with a user, by clocks that agree."""
        await self.world.begin(MONDAY)
        self.ahead = self.world.now.ahead()
        self.client = await self.world.customer()
        name = f"never-{next(_numbers)}"
        await account(self.world, self.client, authenticator=name)
        self.day = (self.true() + timedelta(days=day)).astimezone(RIGA).date() if day is not None else None
        content = {"client": self.client, "authenticator": name, "scope": scope, "decided_by": "op-9"}
        content |= {"limitation": "Tikai lasīt."} if scope == "limit" else {}
        content |= {"takes_effect_on": self.day.isoformat()} if self.day is not None else {}
        self.case = await self.world.file("authenticator_withdrawal", "BL", content)
        await self.world.stage(self.case, "running")
        await self.look()

    async def play(self, what: str, *arguments: Any) -> None:
        """One step, unless the case has closed; then what there is now is looked at."""
        row = await self.world.row(self.case)
        if row is None or row.closed_at is not None:
            return
        self.since = self.true()
        await getattr(self, what.replace(" ", "_"))(*arguments)
        await self.quiet()
        await self.look()

    async def quiet(self) -> None:
        """Nothing is on its way but what was tried and refused: an effect that is asked for too early."""

        async def still() -> bool:
            raw = (await self.world.handle(self.case).describe()).raw_description
            waits = [a for a in raw.pending_activities if a.attempt <= 1]
            return not waits and not raw.HasField("pending_workflow_task")

        await self.world.until(still, f"{self.case} is quiet")

    async def look(self) -> None:
        """Which letters went out since, and whether there is an effect: then judge it, once."""
        notices = await self.world.notices(self.case)
        for key, notice in notices.items():
            is_notice = key.startswith((f"{NOTICE}:responsible:", "BL-3-moved:responsible:"))
            if is_notice and notice.sent_at is not None and notice.bounced_at is None and key not in self.sent:
                self.sent[key] = (self.since, self.day)
                self.moved = False
        if (at := (await self.row()).effective_at) is not None and not self.judged:
            # what the database's clock said then, without what it was wrong by
            self.judge(max(self.since, at - self.clock[1]))
            self.judged = True
        await self._touched()

    # ---- what happens -----------------------------------------------------------------------------------------------

    async def wait(self, hours: int) -> None:
        """Time passes for everybody."""
        self.ahead += timedelta(hours=hours)
        await self._show()
        await self._server_to(self.true() + (AHEAD if self.leapt else RIGHT))

    async def leap(self) -> None:
        """The server's clock runs ahead, and stays so until the case begins again."""
        self.leapt = True
        await self._show()
        await self._server_to(self.true() + AHEAD)

    async def set_clocks(self, which: str) -> None:
        """Worker's and database's clocks show something else from now on."""
        self.clock = CLOCKS[which]
        await self._show()

    async def crash(self) -> None:
        """The run is gone, and a new one begins from the record."""
        shown, self.clock, self.leapt = self.clock, CLOCKS["right"], False
        await self._show()
        await self.world.handle(self.case).terminate()
        await self.world.intake.start(self.case, "authenticator_withdrawal")
        await self.quiet()
        await self.look()
        self.clock = shown
        await self._show()

    async def recount(self) -> None:
        """By a rulebook with a shorter notice."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger_module, "duty_for", shorter)
            await self.world.ring(self.case, "recount")
            await self.quiet()

    async def _show(self) -> None:
        worker, database = self.clock
        if self.leapt and min(worker, database) > RIGHT:
            # of the three one is not ahead
            database = RIGHT
        self.clock = worker, database
        # one after the other, and at no moment more of them ahead than before or after
        await self.world.now.set_database(self.ahead)
        self.world.now.set_worker(self.ahead + worker)
        await self.world.now.set_database(self.ahead + database)

    async def _server_to(self, at: datetime) -> None:
        handle = self.world.handle(self.case)
        present = await self.world.environment.get_current_time(handle)
        if at > present:
            await self.world.environment.fast_forward(handle, at - present)
        await self.quiet()

    # ---- what is said -----------------------------------------------------------------------------------------------

    async def _say(self, name: str, **message: Any) -> bool:
        """Whether the case took it."""
        id_ = f"said-{next(_numbers)}"
        try:
            await self.world.say(self.case, name, id=id_, **message)
        except Refused:
            return False
        self.last = (name, id_, message)
        return True

    async def move(self, days: int, anew: bool = False) -> None:
        """Another day for the effect."""
        day = (self.true() + timedelta(days=days)).astimezone(RIGA).date()
        if await self._say("move_effect", takes_effect_on=day.isoformat(), reason="client_asked"):
            self.day, self.moved = day, True

    async def bounce(self, wrongly: bool = False) -> None:
        """The newest letter that reached somebody comes back, or an older one."""
        reached = list(self.sent)
        if not reached or (wrongly and len(reached) == 1):
            return
        key = reached[0 if wrongly else -1]
        if await self._say("report_bounce", notice=key, bounced_at=self.true().isoformat()):
            del self.sent[key]

    async def bounce_older(self) -> None:
        """Of several letters the first comes back."""
        await self.bounce(wrongly=True)

    async def correct(self) -> None:
        """Another address, to which what came back goes once more."""
        await self._say("correct_address", party="responsible", email="ilze.jauna@noliktavas.example")

    async def withdraw(self) -> None:
        """There will be no effect."""
        self.withdrawn |= await self._say("withdraw_decision", reason="decision_reversed")

    async def hurry(self) -> None:
        """An operator wants it now."""
        await self._say("take_effect", reason="in_a_hurry")

    async def again(self) -> None:
        """The last message once more, as a caller repeats it whose connection broke."""
        if self.last is not None:
            name, id_, message = self.last
            with suppress(Refused):
                await self.world.say(self.case, name, id=id_, **message)


async def play(world: World, life: tuple[Any, ...]) -> bool:
    """Live it with its case; whether there was an effect.

    Raises:
        AssertionError: It was early.
    """
    scope, day, then = life
    one = Played(world)
    await one.begin_case(scope, day)
    for step in (*then, ("set clocks", "right"), *(("wait", 13 * 24),) * 2):
        await one.play(*step)
    return (await one.row()).effective_at is not None


async def test_no_message_death_or_clock_brings_the_effect_of_a_case_forward(world: World) -> None:
    """The case itself: said to and repeated, killed and begun again, recounted, by clocks that leap in its life."""
    assert await searched(world, 25, played, play) >= 5


async def test_the_search_finds_an_effect_that_a_case_was_let_have_early(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the guard in the store two clocks that are wrong are enough."""
    monkeypatch.setattr(access_module, "too_early", lambda *_: [])
    wrong = [("set clocks", "database ahead"), ("leap",)]
    leaps = st.tuples(st.just("end"), st.none(), st.lists(waits, min_size=1, max_size=3).map(lambda w: [*wrong, *w]))
    with pytest.raises(AssertionError, match="before ten full days"):
        await searched(world, 40, leaps, play)


# ---- acts with a ground of their own --------------------------------------------------------------------------------


def test_an_act_with_its_own_ground_names_accounts_ground_and_person_and_no_authenticator() -> None:
    """BL-8, BL-9, BL-10, BL-11, BL-16-erase: none of them could be said of an authenticator in general."""
    acts = [f for name, f in inspect.getmembers(accounts, inspect.isfunction) if f.__module__ == accounts.__name__]
    assert {accounts.suspend, accounts.reinstate, accounts.end} <= set(acts)
    for act in acts:
        assert "authenticator" not in inspect.signature(act).parameters, act.__name__
    for named in (inspect.signature(accounts.suspend).parameters, inspect.signature(accounts.end).parameters):
        assert [named[what].default for what in ("accounts", "ground", "by")] == [inspect.Parameter.empty] * 3
    assert "BL-3-notice" not in (*GROUNDS.values(), *get_args(SuspensionGround)), "no message ends by a withdrawal"


@pytest.mark.parametrize("ground", ["BL-8", "BL-10"])
async def test_a_suspension_touches_the_accounts_it_names_and_no_authenticator(
    world: World, ground: SuspensionGround
) -> None:
    named, before, after = await _others(
        world, lambda s, a: accounts.suspend(s, [a], ground, "one", "op-9", "Aizdomas par noplūdi.", world.now())
    )
    assert (named.status, named.authenticator, named.withdrawn_by, named.limited) == (
        "suspended",
        before[0].authenticator,
        None,
        None,
    )
    assert after[1:] == before[1:]


@pytest.mark.parametrize("ground", ["BL-9", "BL-10", "BL-11", "BL-16-erase"])
async def test_an_end_touches_the_accounts_it_names_and_no_authenticator(world: World, ground: EndGround) -> None:
    named, before, after = await _others(world, lambda s, a: accounts.end(s, [a], ground, "op-9", world.now()))
    assert (named.status, named.ground, named.withdrawn_by) == ("ended", ground, None)
    assert after[1:] == before[1:]


async def _others(
    world: World, act: Callable[[AsyncSession, AccountRow], Awaitable[Any]]
) -> tuple[AccountRow, list[AccountRow], list[AccountRow]]:
    """Do it to one of three users of an authenticator at two clients: that one, and all three before and after."""
    await world.begin(MONDAY)
    name = f"never-{next(_numbers)}"
    one, other = await world.customer(), await world.customer()
    await account(world, one, authenticator=name)
    await account(world, one, "32000000001", authenticator=name)
    await account(world, other, authenticator=name)
    query = (
        select(AccountRow)
        .where(AccountRow.authenticator == name)
        .order_by(col(AccountRow.client), col(AccountRow.username))
    )
    async with world.sessions() as session:
        before = list((await session.exec(query)).all())
    async with world.sessions() as session, session.begin():
        rows = (await session.exec(query)).all()
        await act(session, rows[0])
    async with world.sessions() as session:
        after = list((await session.exec(query)).all())
        theirs = (await session.exec(select(WithdrawalRow).where(WithdrawalRow.authenticator == name))).all()
    assert not theirs
    return after[0], before, after
