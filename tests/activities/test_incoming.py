"""What comes in by itself: a letter that bounces reopens its clock, once, and what is not understood is for people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.exceptions import ApplicationError

from activities.incoming import IncomingActivities, Read
from integrations.bank_in import AnswersFolder
from integrations.mail_in import Box, MailboxUnavailable, MaildirIn, MailIn
from models.errors import OUTSIDE_DOWN
from models.names import TASK_QUEUE
from models.tables import IncomingRow
from operations.local import Postgres
from tests.conftest import make_world, virtual_temporal
from tests.reports import report
from tests.workflows import test_access_request as access
from tests.workflows.test_claim import MONDAY, _is, decided
from tests.world import World

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
async def own_world(postgres: Postgres) -> AsyncIterator[World]:
    """A world of this file: what it reads is kept in the store."""
    async with await virtual_temporal() as environment, make_world(postgres, environment, "incoming") as world:
        yield world


@pytest.fixture
async def reads(own_world: World) -> World:
    """The world, with an empty mailbox."""
    folder = own_world.var / "mail-in"
    for part in ("new", "cur", "tmp"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for path in (folder / part).iterdir():
            path.unlink()
    return own_world


def deliver(world: World, content: bytes) -> None:
    """A mail server puts a report into the mailbox."""
    (world.var / "mail-in" / "new" / uuid4().hex).write_bytes(content)


def letter_to(world: World, address: str, case: str) -> Any:
    """The last letter of a case to an address."""
    mails = [m for m in world.mails(address) if case.split(":")[2] in m.as_string()]
    return max(mails, key=lambda mail: str(mail["X-Termins-Accepted"]))


async def look(world: World) -> Read:
    """What the schedule does every minute."""
    came = await world.client.execute_workflow("Incoming", id=f"incoming-{uuid4()}", task_queue=TASK_QUEUE)
    return Read.model_validate(came["mail"])


def reader(world: World, mail: MailIn | None = None) -> IncomingActivities:
    """What the workflow asks, without it."""
    bank = AnswersFolder(world.var / "bank" / "in")
    return IncomingActivities(world.sessions, world.intake, mail or MaildirIn(world.var / "mail-in"), bank, world.now)


async def events(world: World, case: str) -> list[dict[str, Any]]:
    """The events of a case."""
    return [row for name, row in await world.everything_stored() if name == "event" and row["case"] == case]


async def incoming(world: World) -> IncomingRow:
    """What the store knows of the mailbox."""
    async with world.sessions() as session:
        return await session.get_one(IncomingRow, "mail")


async def test_a_bounced_decision_is_owed_by_the_same_day_until_it_reaches_another_address(reads: World) -> None:
    """10.5: the letter to the third party came back; the 10 working days run again by the same due, and are kept."""
    world = reads
    case = await decided(world)
    before = await world.clock(case, "BTA-10.5b", "C1")
    mail = letter_to(world, "anna.berzina@example.lv", case)
    await world.advance(case, MONDAY + timedelta(days=2))
    deliver(world, report(mail, MONDAY + 30 * HOUR))
    assert await look(world) == Read(taken=1, aside=0)
    clock = await world.clock(case, "BTA-10.5b", "C1")
    assert (clock.status, clock.due, clock.n) == ("running", before.due, before.n)
    notice = (await world.notices(case))["BTA-10.5b:C1:1"]
    # the report is dated after it arrived, since the tests' clock is ahead: the letter cannot have come back unsent
    assert notice.sent_at is not None
    assert notice.bounced_at == notice.sent_at
    assert (await world.timeline(case))[-1].actor == "system:mail"
    await world.say(case, "correct_address", party="C1", email="anna.jauna@example.lv")
    await world.until(lambda: _is(world, case, "BTA-10.5b", "C1", "kept"))
    assert letter_to(world, "anna.jauna@example.lv", case)["Message-ID"] != mail["Message-ID"]
    assert await look(world) == Read(taken=0, aside=0)


async def test_a_closed_claim_is_opened_again_by_a_bounce(reads: World) -> None:
    world = reads
    case = await decided(world)
    mail = letter_to(world, "anna.berzina@example.lv", case)
    confirmed = {"payment": "C1:indemnity", "executed_on": "2027-03-01", "bank_reference": "B1"}
    await world.say(case, "confirm_payment", actor="system:bank", **confirmed)
    await world.stage(case, "resting")
    await world.advance(case, MONDAY + timedelta(days=9))
    await world.stage(case, "closed")
    deliver(world, report(mail, MONDAY + timedelta(days=8)))
    assert (await look(world)).taken == 1
    row = await world.stage(case, "telling_and_paying")
    assert row.closed_at is None


async def test_a_letter_of_another_kind_of_case_comes_back_the_same_way(reads: World) -> None:
    world = reads
    case, user = await issued(world)
    deliver(world, report(letter_to(world, user, case), MONDAY + HOUR))
    assert (await look(world)).taken == 1
    assert "bounced" in await world.entries(case)


async def issued(world: World) -> tuple[str, str]:
    """A request for access whose user has the login data; the case and the user's address."""
    await world.begin(MONDAY)
    content = access.content(await world.customer(), access.user())
    case = await world.file("access_request", "BL", content)
    await world.stage(case, "resting")
    await world.advance(case, MONDAY + 2 * HOUR)
    return case, content["users"][0]["email"]


async def test_the_same_report_twice_is_one_event_also_after_a_crash_before_it_was_moved(
    reads: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the case was told and before the mailbox was: the next look finds the answer of the first."""
    world = reads
    case = await decided(world)
    content = report(letter_to(world, "anna.berzina@example.lv", case), MONDAY + HOUR)
    await world.advance(case, MONDAY + timedelta(days=1))
    deliver(world, content)

    async def dies(*_: object) -> None:
        raise MailboxUnavailable("killed")

    own = reader(world)
    with monkeypatch.context() as patch:
        patch.setattr(MaildirIn, "settle", dies)
        with pytest.raises(ApplicationError) as down:
            await own.read_mail()
    assert down.value.type == OUTSIDE_DOWN
    # and the mail server delivers it twice
    deliver(world, content)
    assert await own.read_mail() == Read(taken=2, aside=0)
    assert (await world.entries(case)).count("bounced") == 1
    assert len(await events(world, case)) == 1


async def test_two_servers_that_report_the_same_letter_leave_nothing_to_people(reads: World) -> None:
    """Each report is an event; the second one finds the letter given back already."""
    world = reads
    case = await decided(world)
    mail = letter_to(world, "anna.berzina@example.lv", case)
    await world.advance(case, MONDAY + timedelta(days=1))
    deliver(world, report(mail, MONDAY + HOUR))
    assert (await look(world)).taken == 1
    deliver(world, report(mail, MONDAY + HOUR))
    assert await look(world) == Read(taken=1, aside=0)
    assert (await world.entries(case)).count("bounced") == 1


async def test_what_is_not_a_bounce_of_ours_is_left_for_people_and_counted(reads: World) -> None:
    """No report, a delay, a delivery, a letter of somebody else, and one that its case does not take back."""
    world = reads
    case = await decided(world)
    mail = letter_to(world, "anna.berzina@example.lv", case)
    await world.advance(case, MONDAY + timedelta(days=1))
    foreign = report(mail, MONDAY + HOUR).replace(str(mail["Message-ID"]).encode(), b"<somebody.else@example.org>")
    left = [
        b"Subject: Out of office\r\n\r\nBack on Monday.\r\n",
        report(mail, MONDAY + HOUR, "delayed", "4.4.1"),
        report(mail, MONDAY + HOUR, "delivered", "2.1.5"),
        foreign,
    ]
    for content in left:
        deliver(world, content)
    assert await look(world) == Read(taken=0, aside=len(left))
    assert await look(world) == Read(taken=0, aside=len(left))
    assert "bounced" not in await world.entries(case)
    row = await incoming(world)
    assert (row.aside, row.looked_at > MONDAY) == (len(left), True)
    # nothing is lost: all of it lies where people read it
    assert {path.read_bytes() for path in (world.var / "mail-in" / "cur").glob("*:2,F")} == set(left)


async def test_a_letter_whose_bounce_its_case_refuses_is_left_for_people(reads: World) -> None:
    """The receipt of a claim has no clock: there is nothing to reopen, and a person sees that nobody reads there."""
    world = reads
    case = await decided(world)
    received = (await world.notices(case))["received:C1"]
    mail = next(m for m in world.mails("anna.berzina@example.lv") if str(m["Message-ID"]) == received.reference)
    await world.advance(case, MONDAY + timedelta(days=1))
    deliver(world, report(mail, MONDAY + HOUR))
    assert await look(world) == Read(taken=0, aside=1)
    assert [event["refused"] is not None for event in await events(world, case)] == [True]


async def test_a_report_that_is_faster_than_the_record_waits(reads: World) -> None:
    """The carrier took the letter a moment ago: its case may not know yet, and would refuse the bounce for good."""
    world = reads
    case = await decided(world)
    notice = (await world.notices(case))["BTA-10.5b:C1:1"]
    assert notice.sent_at is not None
    mail = letter_to(world, "anna.berzina@example.lv", case)
    deliver(world, report(mail, notice.sent_at))
    await world.begin(notice.sent_at + timedelta(seconds=10))
    assert await look(world) == Read(taken=0, aside=0)
    assert await events(world, case) == []
    await world.advance(case, notice.sent_at + timedelta(minutes=2))
    assert await look(world) == Read(taken=1, aside=0)


async def test_a_mailbox_that_cannot_be_read_stops_nobody_and_is_not_said_to_be_read(
    reads: World, tmp_path: Path
) -> None:
    world = reads
    await look(world)
    before = (await incoming(world)).looked_at

    class Down(MaildirIn):
        async def look(self) -> Box:
            raise MailboxUnavailable("no connection")

    own = reader(world, mail=Down(tmp_path))
    with pytest.raises(ApplicationError) as down:
        await own.read_mail()
    assert down.value.type == OUTSIDE_DOWN
    assert (await incoming(world)).looked_at == before
