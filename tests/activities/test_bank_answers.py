"""The bank's answers come to the claims: the booking day decides kept or late, and no other sum is taken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from activities.incoming import IncomingActivities, Read
from integrations.bank import BankUnavailable
from integrations.bank_in import AnswersFolder
from integrations.mail_in import MaildirIn
from models.names import TASK_QUEUE
from models.tables import PaymentOrderRow
from operations.local import Postgres
from tests.answers import camt_054, entry, pain_002, transaction
from tests.conftest import make_world, virtual_temporal
from tests.workflows.test_claim import _is, decided, paid_on
from tests.world import Refused, World

KEY = "C1:indemnity"


@pytest.fixture(scope="module")
async def own_world(postgres: Postgres) -> AsyncIterator[World]:
    """A world of this file: what it reads is kept in the store."""
    async with await virtual_temporal() as environment, make_world(postgres, environment, "bank_answers") as world:
        yield world


@pytest.fixture
async def reads(own_world: World) -> World:
    """The world, with nothing left for people."""
    (own_world.var / "bank" / "in").mkdir(parents=True, exist_ok=True)
    for path in (own_world.var / "bank" / "in" / "aside").glob("*"):
        path.unlink()
    return own_world


def put(world: World, content: bytes) -> None:
    """The bank's channel puts a file down."""
    (world.var / "bank" / "in" / f"{uuid4().hex}.xml").write_bytes(content)


async def look(world: World) -> Read:
    """What the schedule does every minute."""
    came = await world.client.execute_workflow("Incoming", id=f"incoming-{uuid4()}", task_queue=TASK_QUEUE)
    return Read.model_validate(came["bank"])


async def order(world: World, case: str, key: str = KEY) -> PaymentOrderRow:
    """A payment order."""
    async with world.sessions() as session:
        return await session.get_one(PaymentOrderRow, (case, key))


async def reference(world: World, case: str, key: str = KEY) -> str:
    """The EndToEndId under which the bank has it."""
    found = (await order(world, case, key)).reference
    assert found is not None
    return found


def reasons(world: World) -> str:
    """Why files lie aside."""
    folder = world.var / "bank" / "in" / "aside"
    return "\n".join(path.read_text() for path in sorted(folder.glob("*.reasons")))


async def test_a_payment_booked_on_the_last_day_is_kept_and_a_day_later_is_late(reads: World) -> None:
    """Time, point 13: the booking day decides, not the day on which the file comes."""
    world = reads
    kept, late = await decided(world), await decided(world)
    due = (await world.clock(kept, "BTA-10.5c", "C1")).due
    for case in (kept, late):
        await world.advance(case, due + timedelta(hours=9))
        await world.until(lambda case=case: _is(world, case, "BTA-10.5c", "C1", "overdue"))  # type: ignore[misc]  # a default binds it now
    put(
        world,
        camt_054(
            entry(await reference(world, kept), booked=date(2027, 3, 22)),
            entry(await reference(world, late), booked=date(2027, 3, 23)),
        ),
    )
    assert await look(world) == Read(taken=1, aside=0)
    assert (await world.clock(kept, "BTA-10.5c", "C1")).status == "kept"
    assert (await world.clock(late, "BTA-10.5c", "C1")).status == "late"
    step = (await world.timeline(kept))[-1]
    assert (step.actor, step.entry) == ("system:bank", "paid")
    assert (await order(world, kept)).executed_on == date(2027, 3, 22)


async def test_a_rejected_order_is_owed_by_the_same_day_and_a_returned_payment_too(reads: World) -> None:
    world = reads
    rejected, returned = await decided(world), await decided(world)
    due = (await world.clock(rejected, "BTA-10.5c", "C1")).due
    put(world, pain_002(transaction(await reference(world, rejected), reason="<Cd>AC01</Cd>")))
    put(world, camt_054(entry(await reference(world, returned)), message="BOOKED"))
    assert await look(world) == Read(taken=2, aside=0)
    assert (await order(world, rejected)).rejected == "AC01"
    assert (await world.clock(returned, "BTA-10.5c", "C1")).status == "kept"
    put(world, camt_054(entry(await reference(world, returned), side="CRDT", returned="AC04"), message="BACK"))
    assert await look(world) == Read(taken=1, aside=0)
    for case in (rejected, returned):
        clock = await world.clock(case, "BTA-10.5c", "C1")
        assert (clock.status, clock.due) == ("running", due)
        await world.say(case, "correct_payee", claimant="C1", iban="LV80BANK0000435195001")
        await world.payment(case, f"{KEY}:2", "issued")
    put(world, camt_054(*[entry(await reference(world, case, f"{KEY}:2")) for case in (rejected, returned)]))
    assert await look(world) == Read(taken=1, aside=0)
    for case in (rejected, returned):
        await world.until(lambda case=case: _is(world, case, "BTA-10.5c", "C1", "kept"))  # type: ignore[misc]  # as above


async def test_another_amount_is_refused_and_kept_for_people(reads: World) -> None:
    """One clear answer; the payment still waits for the bank, and what else is in the file is told."""
    world = reads
    case, other = await decided(world), await decided(world)
    put(world, camt_054(entry(await reference(world, case), "999.99"), entry(await reference(world, other))))
    assert await look(world) == Read(taken=0, aside=1)
    assert "amount: this payment is of 1000.00 EUR, not of 999.99 EUR" in reasons(world)
    assert (await world.clock(case, "BTA-10.5c", "C1")).status == "running"
    assert (await world.clock(other, "BTA-10.5c", "C1")).status == "kept"


async def test_a_person_cannot_confirm_another_amount_either(reads: World) -> None:
    world = reads
    case = await decided(world)
    with pytest.raises(Refused, match=r"amount: this payment is of 1000\.00 EUR, not of 1000\.01 EUR"):
        await world.say(case, "confirm_payment", **paid_on("2027-03-01", amount="1000.01"))
    await world.say(case, "confirm_payment", **paid_on("2027-03-01", amount="1000.00"))


async def test_a_file_that_is_read_twice_tells_once_also_after_a_crash_before_it_was_put_away(
    reads: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = reads
    case = await decided(world)
    content = camt_054(entry(await reference(world, case)))
    put(world, content)

    async def dies(*_: object) -> None:
        raise BankUnavailable("killed")

    with monkeypatch.context() as patch:
        patch.setattr(AnswersFolder, "settle", dies)
        await world.client.execute_workflow("Incoming", id=f"incoming-{uuid4()}", task_queue=TASK_QUEUE)
    assert (await world.entries(case)).count("paid") == 1
    assert await look(world) == Read(taken=1, aside=0)
    put(world, content)
    assert await look(world) == Read(taken=0, aside=1)
    assert "the same file was read before" in reasons(world)
    # and in a file of its own, as banks do who notify by the hour and by the day
    put(world, camt_054(entry(await reference(world, case)), message="END-OF-DAY"))
    assert await look(world) == Read(taken=1, aside=1)
    assert (await world.entries(case)).count("paid") == 1


async def test_what_is_unknown_is_left_for_people_with_its_reason(reads: World) -> None:
    world = reads
    unknown = "E" + "0" * 32
    put(world, camt_054(entry(unknown)))
    put(world, camt_054(entry("RENT-11")))
    put(world, b"%PDF-1.7")
    put(world, pain_002(transaction(unknown, "ACCP", "")))
    assert await look(world) == Read(taken=1, aside=3)
    for said in (f"{unknown}: no payment of ours", "it names no payment of ours", "not an XML file"):
        assert said in reasons(world)
    assert await look(world) == Read(taken=0, aside=3)


async def test_a_bank_that_is_faster_than_our_own_record_waits(reads: World, tmp_path: Path) -> None:
    """The order went out and its proof is not in the store yet: the file stays where it is."""
    world = reads
    case = await decided(world)
    known = await order(world, case)
    async with world.sessions() as session, session.begin():
        row = await session.get_one(PaymentOrderRow, (case, KEY))
        row.issued_at, row.reference = None, None
    assert known.reference is not None
    folder = AnswersFolder(tmp_path)
    (tmp_path / "a.xml").write_bytes(camt_054(entry(known.reference)))
    own = IncomingActivities(world.sessions, world.intake, MaildirIn(tmp_path / "mail"), folder, world.now)
    assert await own.read_bank() == Read(taken=0, aside=0)
    assert len((await folder.look()).arrived) == 1
    async with world.sessions() as session, session.begin():
        row = await session.get_one(PaymentOrderRow, (case, KEY))
        row.issued_at, row.reference = known.issued_at, known.reference
    assert await own.read_bank() == Read(taken=1, aside=0)
    assert await _is(world, case, "BTA-10.5c", "C1", "kept")
