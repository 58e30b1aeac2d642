"""The monthly review of the journal (SE-33.4.2): opened by itself, counted, signed off, late as any clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from models.errors import Refusal
from models.sign_in import Counted
from models.tables import AccountRow, ClientRow, IntakeRow, SignInRow
from operations.sign_in import SignIn, asked_of
from operations.sign_in_review import notable, open_reviews, report
from tests.world import RIGA, VILNIUS, Refused, World

FIRST = datetime(2027, 3, 10, 9, 0, tzinfo=VILNIUS)
"""When the first account is made."""
APRIL = datetime(2027, 4, 1, tzinfo=VILNIUS)
SECOND = timedelta(seconds=1)
WRITTEN = timedelta(minutes=5)
REVIEW = "SE-33.4.2"
_months = count()
OFFICE, HOME = "192.0.2.7", "198.51.100.9"


class Office:
    """A client with one user, who signs in."""

    def __init__(self, world: World, client: str, username: str) -> None:
        self.world, self.client, self.username = world, client, username
        self.desk = SignIn(world.sessions, world.keyring, world.now)

    @classmethod
    async def of(cls, world: World, organisation: str = "BL") -> Office:
        """The client and its user, made now."""
        client = await world.customer()
        username = f"{client}-U1"
        async with world.sessions() as session, session.begin():
            row = await session.get_one(ClientRow, client)
            row.organisation, row.any_address = organisation, True
            session.add(
                AccountRow(
                    client=client,
                    username=username,
                    case="access_request:BL:none",
                    subject="U1",
                    created_at=world.now(),
                    secret_set_at=world.now(),
                )
            )
        return cls(world, client, username)

    async def comes(self, at: datetime, address: str = OFFICE) -> str:
        """The user signs in then, from there; the session."""
        await self.world.begin(at)
        answer = await self.desk.check(asked_of(client=self.client, username=self.username, address=address))
        assert answer.session is not None
        return answer.session

    async def fails(self, at: datetime, username: str | None = None) -> None:
        """Somebody tries then, with a wrong password."""
        await self.world.begin(at)
        asked = asked_of(client=self.client, username=username or self.username, address=HOME)
        await self.desk.report_failed(asked)

    async def counted(self, month: str) -> dict[str | None, Counted]:
        """The month's report, of this client."""
        made = await report(self.world.sessions, "BL", month)
        return {line.username: line.counted for line in made.users if line.client == self.client}


async def opened(world: World, month: str) -> str:
    """The review of a month of SE's, opened by the sweep; the case."""
    await open_reviews(world.sessions, world.intake, world.now)
    case = f"sign_in_review:SE:{month}"
    world.filed.append(case)
    await counted(world, case)
    return case


async def counted(world: World, case: str) -> None:
    """Wait until a person can look it through."""

    async def waits() -> bool:
        row = await world.row(case)
        return row is not None and row.step > 0

    await world.until(waits, "the month is counted")
    await world.settled(case)


async def not_opened(world: World, month: str) -> None:
    """The sweep does not open it yet."""
    await open_reviews(world.sessions, world.intake, world.now)
    async with world.sessions() as session:
        assert await session.get(IntakeRow, f"sign_in_review:SE:{month}") is None


async def sign_off(world: World, case: str, **more: Any) -> None:
    await world.say(case, "sign_off_review", **{"findings": "nekas", "follows": "nekas"} | more)
    await world.stage(case, "closed")


async def filed(world: World) -> str:
    """A month of BL's that is to be reviewed, whatever was reviewed before."""
    n = next(_months)
    month = f"{2021 + n // 12}-{n % 12 + 1:02}"
    await world.begin(FIRST)
    content = {"month": month, "since": world.now().isoformat()}
    case = await world.file("sign_in_review", "BL", content, reference=month)
    await counted(world, case)
    return case


async def test_month_by_month_from_the_first_account_on(world: World) -> None:
    """Opened when the local month is over and the one before it is signed off; an empty month is reviewed too."""
    await world.begin(FIRST)
    await not_opened(world, "2027-03")
    office = await Office.of(world, "SE")
    # the night of 28 March has no hour from three to four: the month is an hour shorter
    await office.comes(APRIL - SECOND)
    await world.begin(APRIL + WRITTEN - SECOND)
    await not_opened(world, "2027-03")
    await world.begin(APRIL + WRITTEN)
    march = await opened(world, "2027-03")
    clock = await world.clock(march, REVIEW)
    assert clock.anchor_at.replace(microsecond=0) == FIRST.replace(microsecond=0)
    assert (clock.due, clock.status) == (datetime(2027, 4, 11, tzinfo=VILNIUS), "running")
    row = await world.row(march)
    assert row is not None
    assert row.state["body"]["counted"]["allowed"] == 1
    assert row.waits_for == "the security officer, who looks the journal through"
    await not_opened(world, "2027-04")

    with pytest.raises(Refused, match=r"findings.*follows"):
        await world.say(march, "sign_off_review", findings=" ")
    with pytest.raises(Refused, match=r"only an operator .* signs off a review"):
        await world.say(march, "sign_off_review", "system:robot", findings="nekas", follows="nekas")
    await sign_off(world, march, findings="Prisijungta naktį", follows="Naudotojas apklaustas")
    assert (await world.clock(march, REVIEW)).status == "kept"
    await _controller_is_told(world, march, "2027-03", but_not="Naudotojas apklaustas")


async def test_an_empty_month_is_reviewed_too_and_late_is_late(world: World) -> None:
    """The term runs from the last sign-off; the month itself is not over before its last second."""
    if await world.row("sign_in_review:SE:2027-03") is None:
        await test_month_by_month_from_the_first_account_on(world)
    march = await world.stage("sign_in_review:SE:2027-03", "closed")
    await world.begin(datetime(2027, 4, 30, 23, 59, 59, tzinfo=VILNIUS))
    await not_opened(world, "2027-04")
    await world.begin(datetime(2027, 5, 2, 9, tzinfo=VILNIUS))
    april = await opened(world, "2027-04")
    clock = await world.clock(april, REVIEW)
    assert clock.anchor_at == march.closed_at
    assert clock.due == datetime(2027, 5, 2, tzinfo=VILNIUS)
    await world.until(lambda: _overdue(world, april), "overdue on arrival")
    row = await world.row(april)
    assert row is not None
    assert row.state["body"]["counted"] == Counted().model_dump()
    escalated = [notice for notice in (await world.notices(april)).values() if notice.party == "controller"]
    assert len(escalated) == 1
    await sign_off(world, april)
    assert (await world.clock(april, REVIEW)).status == "late"

    # the next term runs from the late sign-off
    await world.begin(datetime(2027, 6, 1, 9, tzinfo=VILNIUS))
    may = await opened(world, "2027-05")
    assert (await world.clock(may, REVIEW)).due == datetime(2027, 6, 3, tzinfo=VILNIUS)
    await world.advance(may, datetime(2027, 6, 3, tzinfo=VILNIUS) - SECOND)
    assert (await world.clock(may, REVIEW)).status == "running"
    await world.advance(may, datetime(2027, 6, 3, tzinfo=VILNIUS))
    assert (await world.clock(may, REVIEW)).status == "overdue"
    await sign_off(world, may)


async def _overdue(world: World, case: str) -> bool:
    return (await world.clock(case, REVIEW)).status == "overdue"


async def _controller_is_told(world: World, case: str, month: str, but_not: str) -> None:
    """SE-33.4.2: the report of the review, in numbers; what was found stands in the case, for a letter names nobody."""
    await world.until(lambda: _sent(world, case), "the controller is told")
    mail = [mail for mail in world.mails("controller@se.example") if month in str(mail["Subject"])][-1]
    assert but_not not in str(mail.get_content())


async def _sent(world: World, case: str) -> bool:
    return (await world.notices(case))[f"{REVIEW}:controller"].sent_at is not None


async def test_a_new_run_at_every_resting_point_changes_nothing(world: World, restless_world: World) -> None:
    """The engine suggests a new run all the time; the record is that of a single run."""
    ends = []
    for place in (world, restless_world):
        case = await filed(place)
        await place.say(case, "assign_case", handler="op-7")
        await place.settled(case)
        await sign_off(place, case)
        ends.append(([(t.entry, t.stage) for t in await place.timeline(case)], await place.clocks(case)))
        runs = [run async for run in place.client.list_workflows(f"WorkflowId = '{case}'")]
        assert (len(runs) > 1) == (place is restless_world)
    assert ends[0] == ends[1]


async def test_a_month_is_reviewed_once_and_when_it_is_over(world: World) -> None:
    """A filing that is not named by its month, or of a month that still runs, is refused."""
    await world.begin(datetime(2031, 3, 31, 23, 0, tzinfo=RIGA))
    content = {"month": "2031-02", "since": FIRST.isoformat()}
    with pytest.raises(Refusal, match="named by it"):
        await world.file("sign_in_review", "BL", content, reference="2031-01")
    with pytest.raises(Refusal, match="not over"):
        await world.file("sign_in_review", "BL", {**content, "month": "2031-03"}, reference="2031-03")
    with pytest.raises(Refusal, match=r"content.month.*content.since"):
        await world.file("sign_in_review", "BL", {"month": "2031-13", "since": "soon"}, reference="2031-13")
    with pytest.raises(Refusal, match=r"SE-33.3.10.*SE-33.4.2"):
        await world.file("sign_in_review", "GJ", content, reference="2031-02")


# ---- what a month comes to ------------------------------------------------------------------------------------------


async def test_a_month_holds_what_happened_from_local_midnight_to_local_midnight(world: World) -> None:
    """In the months in which the clocks change too."""
    await world.begin(datetime(2027, 9, 1, 9, tzinfo=RIGA))
    office = await Office.of(world)
    october, november = datetime(2027, 10, 1, tzinfo=RIGA), datetime(2027, 11, 1, tzinfo=RIGA)
    for at in (october - SECOND, october, november - SECOND, november):
        await office.comes(at)
    assert [(await office.counted(month))[office.username].allowed for month in ("2027-09", "2027-10", "2027-11")] == [
        1,
        2,
        1,
    ]


async def test_an_address_is_new_where_the_user_had_signed_in_from_another(world: World) -> None:
    """The first one is not, nor one from before this month; a failure from elsewhere makes none known."""
    await world.begin(datetime(2028, 1, 10, 9, tzinfo=RIGA))
    office = await Office.of(world)
    await office.fails(datetime(2028, 1, 10, 10, tzinfo=RIGA))
    await office.comes(datetime(2028, 1, 10, 11, tzinfo=RIGA), OFFICE)
    for day, address in ((1, OFFICE), (2, HOME), (3, HOME), (4, OFFICE), (5, f"::ffff:{HOME}"), (6, "2001:db8::9")):
        await office.comes(datetime(2028, 2, day, 11, tzinfo=RIGA), address)
    assert (await office.counted("2028-01"))[office.username].new_addresses == 0
    assert (await office.counted("2028-02"))[office.username].new_addresses == 2
    new = await notable(world.sessions, "BL", "2028-02", personal=True)
    assert [(line.at.astimezone(RIGA).day, line.address) for line in new if "new_address" in line.why] == [
        (2, HOME),
        (6, "2001:db8::9"),
    ]
    async with world.sessions() as session, session.begin():
        account = await session.get_one(AccountRow, (office.client, office.username))
        account.restricted_at = world.now()
    shown = await notable(world.sessions, "BL", "2028-02", personal=True)
    assert {line.address for line in shown if line.username == office.username} == {None}, "restricted: to nobody"


async def test_odd_hours_are_those_of_the_wall_clock_there(world: World) -> None:
    """From 06:00 until 22:00 is usual, in winter and in summer time."""
    await world.begin(datetime(2028, 3, 1, 9, tzinfo=RIGA))
    office = await Office.of(world)
    for month, day in ((3, 2), (3, 30)):
        for clock in ((5, 59), (6, 0), (21, 59), (22, 0)):
            await office.comes(datetime(2028, month, day, *clock, tzinfo=RIGA))
    assert (await office.counted("2028-03"))[office.username].odd_hours == 4


async def test_failures_locks_and_what_was_opened_are_counted_for_each_user(world: World) -> None:
    """A name that nobody has is counted for the client; health data by themselves."""
    await world.begin(datetime(2028, 5, 2, 9, tzinfo=RIGA))
    office = await Office.of(world)
    number = await office.comes(datetime(2028, 5, 2, 10, tzinfo=RIGA))
    for health in (False, True, True):
        await office.desk.record_opened(
            session=number, file="polise-1", action="read", purpose="claim_handling", health=health
        )
    for _ in range(7):
        await office.fails(datetime(2028, 5, 2, 11, tzinfo=RIGA))
    await office.fails(datetime(2028, 5, 2, 12, tzinfo=RIGA), "neviens")
    counted = await office.counted("2028-05")
    assert counted[office.username] == Counted(allowed=1, refused=7, failed=7, locks=1, opened=3, health=2)
    assert counted[None] == Counted(refused=1, failed=1)
    lines = await notable(world.sessions, "BL", "2028-05", personal=False)
    assert sum("locked" in line.why for line in lines) == 1
    assert all(line.address is None for line in lines)


async def test_what_was_written_by_somebody_else_does_not_count(world: World) -> None:
    """Another organisation's clients are in its own review."""
    await world.begin(datetime(2028, 7, 2, 9, tzinfo=RIGA))
    client = await world.customer()
    async with world.sessions() as session, session.begin():
        (await session.get_one(ClientRow, client)).organisation = "SE"
        session.add(SignInRow(client=client, at=world.now(), method="password", result="not_known"))
    assert all(line.client != client for line in (await report(world.sessions, "BL", "2028-07")).users)
    assert [line.client for line in (await report(world.sessions, "SE", "2028-07")).users] == [client]
