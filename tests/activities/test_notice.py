"""Letters that go out together: the case is read once for all of them, each letter as it stands when its turn comes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError

from activities.notice import NoticeActivities, Post
from activities.pdf import Sheet, pdf
from integrations.mail import Letter, MaildirOut, MailUnavailable, Proof
from models.case import NoticesSent, SendNotices
from models.errors import OUTSIDE_DOWN
from models.tables import NoticeRow, PartyRow
from operations.local import Postgres
from operations.store import engine, sessions
from tests.workflows.test_claim import MONDAY, content, deciding, proposal
from tests.world import World

PARTIES = tuple(f"C{n}" for n in range(1, 6))
KEYS = tuple(f"test:{party}" for party in PARTIES)


class Carrier:
    """A real maildir, what happens while it takes a letter, and whose letters it does not take now."""

    def __init__(self, folder: Path, not_now: tuple[str, ...] = ()) -> None:
        self._maildir = MaildirOut(folder)
        self._not_now = not_now
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self.sent: list[Letter] = []

    async def send(self, letter: Letter, at: datetime) -> Proof:
        """Take the letter."""
        if letter.id.endswith(self._not_now):
            raise MailUnavailable("no connection")
        self.sent.append(letter)
        if self.meanwhile is not None:
            await self.meanwhile()
        return await self._maildir.send(letter, at)


@pytest.fixture
async def database(world: World, postgres: Postgres) -> AsyncIterator[AsyncEngine]:
    """The world's store, by connections that nobody else uses."""
    made = engine(postgres.url("world"), world.keyring)
    yield made
    await made.dispose()


@pytest.fixture
async def case(world: World) -> str:
    """A claim of five, with a letter to each that waits; each names all five."""
    await world.begin(MONDAY)
    claim = content(await world.policy())
    claim["claimants"] = [
        {**claim["claimants"][0], "name": f"Nobody {party}", "email": f"{party}@nobody.example", "language": "en"}
        for party in PARTIES
    ]
    case = await world.file("claim", "BTA", claim)
    await world.stage(case, "collecting")
    facts = {"received_on": "2027-03-01", "missing": [{"name_of": party} for party in PARTIES]}
    async with world.sessions() as session, session.begin():
        for party, key in zip(PARTIES, KEYS, strict=True):
            session.add(
                NoticeRow(case=case, key=key, template="claim-received", party=party, queued_at=MONDAY, facts=facts)
            )
    return case


async def send(world: World, database: AsyncEngine, carrier: Carrier, case: str, *keys: str) -> NoticesSent:
    """Send letters as a worker does."""
    post = Post(sessions(database), world.keyring, carrier, world.now, "noreply@bta.example", "{role}@bta.example")
    return await NoticeActivities(post).send(SendNotices(case=case, keys=keys or KEYS))


async def test_the_case_is_read_once_for_all_letters_of_a_call(
    world: World, database: AsyncEngine, case: str, tmp_path: Path
) -> None:
    """Hundreds of claimants are hundreds of letters: each must not open the personal data of all the others again."""
    asked: Counter[str] = Counter()

    def count(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        for table in ("cases", "clock", "party"):
            asked[table] += f"FROM {table} " in " ".join(statement.split()) and "party.party =" not in statement

    event.listen(database.sync_engine, "before_cursor_execute", count)
    carrier = Carrier(tmp_path)
    sent = await send(world, database, carrier, case)
    assert asked == {"cases": 1, "clock": 1, "party": 1}
    assert [notice.key for notice in sent.notices if notice.sent_at] == list(KEYS)
    assert [letter.to for letter in carrier.sent] == [f"{party}@nobody.example" for party in PARTIES]
    assert all(f"- Nobody {party}" in letter.text for letter in carrier.sent for party in PARTIES)


async def test_what_changes_while_a_letter_is_on_its_way_counts_for_the_next_ones(
    world: World, database: AsyncEngine, case: str, tmp_path: Path
) -> None:
    """One address is corrected and one letter is called off while the carrier takes the first one."""
    carrier = Carrier(tmp_path)

    async def meanwhile() -> None:
        async with world.sessions() as session, session.begin():
            party = await session.get(PartyRow, (case, "C2"))
            notice = await session.get(NoticeRow, (case, KEYS[2]))
            assert party is not None
            assert notice is not None
            party.email, notice.refused = "new@nobody.example", "called off"

    carrier.meanwhile = meanwhile
    sent = await send(world, database, carrier, case)
    assert [letter.to.split("@")[0] for letter in carrier.sent] == ["C1", "new", "C4", "C5"]
    assert [notice.refused for notice in sent.notices] == [None, None, "called off", None, None]


async def test_a_letter_that_another_worker_sent_while_its_pdf_was_made_is_not_sent_again(
    world: World, database: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that fell silent is thought dead; another one gets the letter, and the first is still at it."""
    case, key = await deciding(world), "BTA-10.5b:C1:1"
    await world.say(case, "propose_decision", **proposal())
    await world.stage(case, "telling_and_paying")

    async def told() -> bool:
        return (await world.notices(case))[key].sent_at is not None

    await world.until(told, "the claimant is told")
    async with world.sessions() as session, session.begin():
        (await session.get_one(NoticeRow, (case, key))).sent_at = None
    silent, other = Carrier(tmp_path / "silent"), Carrier(tmp_path / "other")
    loop = asyncio.get_running_loop()
    made: list[bytes] = []

    def slowly(sheet: Sheet) -> bytes:
        made.append(pdf(sheet))
        if len(made) == 1:
            asyncio.run_coroutine_threadsafe(send(world, database, other, case, key), loop).result()
        return made[0]

    monkeypatch.setattr("activities.notice.pdf", slowly)
    sent = await send(world, database, silent, case, key)
    assert ([letter.id for letter in other.sent], silent.sent) == ([f"{case}#{key}"], [])
    assert sent.notices[0].sent_at is not None


async def test_a_letter_that_must_wait_holds_back_no_other(
    world: World, database: AsyncEngine, case: str, tmp_path: Path
) -> None:
    sent = await send(world, database, Carrier(tmp_path, not_now=KEYS[:2]), case)
    assert [notice.key for notice in sent.notices] == list(KEYS[2:])
    with pytest.raises(ApplicationError) as down:
        await send(world, database, Carrier(tmp_path, not_now=KEYS), case, *KEYS[:2])
    assert down.value.type == OUTSIDE_DOWN
    assert [notice.key for notice in (await send(world, database, Carrier(tmp_path), case)).notices] == list(KEYS)
