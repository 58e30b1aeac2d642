"""Issuing access (BL 3, 4, 5, 7): one account, one secret that works, whatever is repeated; and nothing in clear."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool
from sqlmodel import col, select
from temporalio.exceptions import ApplicationError

from activities import access
from activities.access import ASKED_WITHIN, TAKEN_WITHIN, AccessActivities, AccessStore, read_line
from integrations.identity import (
    IdentityProvider,
    IdentityRefused,
    IdentityUnavailable,
    NewAccount,
    external_id,
    one_time_secret,
)
from integrations.mail import Letter, MaildirOut, MailOut, MailRefused, MailUnavailable, Proof
from integrations.scim import Scim
from models.access import IssueAccess, Issued, SecretVoided, VoidSecret
from models.errors import OUTSIDE_DOWN, OVERTAKEN
from models.tables import AccountRow, CaseRow, DirectoryRow, IntakeRow, NoticeRow, PartyRow
from operations.directory import LocalDirectory
from operations.local import Postgres
from operations.store import engine, sessions
from tests.scim import scim_server
from tests.workflows.test_access_request import content, dump, user
from tests.world import RIGA, World
from workflows.case import EFFECT_TIMEOUT

MONDAY = datetime(2027, 3, 1, 10, 0, tzinfo=RIGA)
KEY = "BL-4:U1:1"
_numbers = count(1)


class Carrier:
    """A real maildir, and what goes wrong around it: `before` and `after` say whether a letter is lost or doubted."""

    def __init__(self, folder: Path, before: int = 0, after: int = 0, *, refuses: bool = False) -> None:
        self._maildir = MaildirOut(folder)
        self._before, self._after, self._refuses = before, after, refuses
        self.sent: list[Letter] = []

    async def send(self, letter: Letter, at: datetime) -> Proof:
        """Take the letter; fail the first times before it is taken, or after."""
        if self._refuses:
            raise MailRefused("the mail server answered 550")
        if self._before > 0:
            self._before -= 1
            raise MailUnavailable("no connection")
        proof = await self._maildir.send(letter, at)
        self.sent.append(letter)
        if self._after > 0:
            self._after -= 1
            raise MailUnavailable("the connection broke before the answer")
        return proof


async def queued(world: World, template: str = "BL-4-secret", key: str = KEY, **fields: str) -> tuple[str, str]:
    """A request as its first step leaves it in the store, without a workflow: client and case."""
    await world.begin(MONDAY)
    client, who = await world.customer(), user(**fields)
    case = f"access_request:BL:D-{next(_numbers)}"
    read = read_line(who)
    await world.keyring.create(case)
    async with world.sessions() as session, session.begin():
        session.add(
            IntakeRow(
                case=case,
                kind="access_request",
                organisation="BL",
                reference=case.split(":")[2],
                sender="op-1",
                sender_reference="D",
                received_at=MONDAY,
                recorded_at=MONDAY,
                started_at=MONDAY,
                content=content(client, who),
            )
        )
        await session.flush()
        session.add(
            CaseRow(
                case=case,
                kind="access_request",
                organisation="BL",
                stage="issuing",
                step=1,
                opened_at=MONDAY,
                commitment=b"",
                head=b"",
            )
        )
        await session.flush()
        session.add(
            PartyRow(
                case=case,
                party="U1",
                role="user",
                name=f"{who['first_name']} {who['last_name']}",
                email=read.fields["email"],
                personal_code=read.fields["personal_code"],
                other={n: read.fields[n] for n in ("authenticator",) if n in read.fields},
            )
        )
        session.add(NoticeRow(case=case, key=key, template=template, party="U1", queued_at=MONDAY))
    return client, case


def worker(world: World, carrier: MailOut, provider: IdentityProvider | None = None) -> AccessActivities:
    """A worker with this carrier, and the local directory if no other provider is named."""
    provider = provider or LocalDirectory(world.sessions, world.now)
    return AccessActivities(world.sessions, world.keyring, provider, carrier, world.now, "noreply@bl.example")


async def accounts(world: World, client: str) -> list[AccountRow]:
    """The client's accounts."""
    async with world.sessions() as session:
        return list((await session.exec(select(AccountRow).where(AccountRow.client == client))).all())


async def directory_entry(world: World, client: str, username: str) -> DirectoryRow:
    """What the local directory holds of an account."""
    async with world.sessions() as session:
        entry = await session.get(DirectoryRow, external_id(client, username))
        assert entry is not None
        return entry


async def opens(world: World, client: str, letter: Letter) -> bool:
    """Whether the login data of a letter open the account."""
    lines = dict(line.split(": ", 1) for line in letter.text.splitlines() if ": " in line)
    directory, name = LocalDirectory(world.sessions, world.now), external_id(client, lines["Lietotājvārds"])
    return await directory.verify(name, lines["Vienreizējā parole"]) == "must_change"


async def test_a_repeat_after_the_proof_does_nothing(world: World, tmp_path: Path) -> None:
    client, case = await queued(world)
    carrier = Carrier(tmp_path)
    first = await worker(world, carrier).issue(IssueAccess(case=case, key=KEY))
    again = await worker(world, carrier).issue(IssueAccess(case=case, key=KEY))
    assert first == again
    assert first.sent_at is not None
    [letter] = carrier.sent
    [account] = await accounts(world, client)
    assert account.mailed_at == first.sent_at
    assert account.must_change
    assert await opens(world, client, letter)


@pytest.mark.parametrize(("before", "after"), [(1, 0), (0, 1), (2, 2)])
async def test_whatever_fails_one_account_and_the_secret_of_the_last_mail_works(
    world: World, tmp_path: Path, before: int, after: int
) -> None:
    """A carrier that fails before it takes the mail, or after: each repeat is another secret by another mail."""
    client, case = await queued(world)
    carrier = Carrier(tmp_path, before, after)
    for _ in range(before + after):
        with pytest.raises(ApplicationError) as down:
            await worker(world, carrier).issue(IssueAccess(case=case, key=KEY))
        assert down.value.type == OUTSIDE_DOWN
        assert await accounts(world, client) == []
    proof = await worker(world, carrier).issue(IssueAccess(case=case, key=KEY))
    assert proof.sent_at is not None
    assert len(carrier.sent) == after + 1
    assert len({letter.id for letter in carrier.sent}) == after + 1
    assert [await opens(world, client, letter) for letter in carrier.sent] == [False] * after + [True]
    assert len(await accounts(world, client)) == 1


async def test_a_worker_killed_before_its_commit_leaves_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the mail was taken and before the store knows: the repeat sends a secret that works."""
    client, case = await queued(world)
    carrier = Carrier(tmp_path)

    def killed(_: object) -> None:
        raise SystemError

    with monkeypatch.context() as patched:
        patched.setattr("activities.access._issued", killed)
        with pytest.raises(SystemError):
            await worker(world, carrier).issue(IssueAccess(case=case, key=KEY))
    assert await accounts(world, client) == []
    await worker(world, carrier).issue(IssueAccess(case=case, key=KEY))
    assert [await opens(world, client, letter) for letter in carrier.sent] == [False, True]
    assert len(await accounts(world, client)) == 1


async def test_a_worker_killed_between_account_and_mail_leaves_an_account_that_nothing_opens(
    world: World, tmp_path: Path
) -> None:
    """Made with the provider, and nobody knows its secret: the repeat finds it, and one mail works."""
    client, case = await queued(world)

    class Kills(Carrier):
        async def send(self, letter: Letter, at: datetime) -> Proof:
            raise SystemError

    with pytest.raises(SystemError):
        await worker(world, Kills(tmp_path)).issue(IssueAccess(case=case, key=KEY))
    assert await accounts(world, client) == []
    [made] = await entries(world, client)
    carrier = Carrier(tmp_path)
    await worker(world, carrier).issue(IssueAccess(case=case, key=KEY))
    assert [entry.external_id for entry in await entries(world, client)] == [made.external_id]
    assert len(await accounts(world, client)) == 1
    assert [await opens(world, client, letter) for letter in carrier.sent] == [True]


class Slow(Carrier):
    """A carrier that lets a letter wait until it is told to take it."""

    def __init__(self, folder: Path, *, refuses: bool = False) -> None:
        super().__init__(folder, refuses=refuses)
        self.asked, self.goes_on = asyncio.Event(), asyncio.Event()

    async def send(self, letter: Letter, at: datetime) -> Proof:
        """Take the letter when it is time."""
        self.asked.set()
        await self.goes_on.wait()
        return await super().send(letter, at)


async def under_way(world: World, carrier: Slow, case: str) -> asyncio.Task[Issued]:
    """A run that has asked the carrier, which has not answered."""
    run = asyncio.create_task(worker(world, carrier).issue(IssueAccess(case=case, key=KEY)))
    await asyncio.wait_for(carrier.asked.wait(), 30)
    return run


async def test_of_two_runs_at_once_the_one_that_began_last_counts(world: World, tmp_path: Path) -> None:
    """The engine gave up the first, which lives and ends last: its secret is dead, and it keeps nothing."""
    client, case = await queued(world)
    slow, carrier = Slow(tmp_path / "slow"), Carrier(tmp_path)
    first = await under_way(world, slow, case)
    second = await worker(world, carrier).issue(IssueAccess(case=case, key=KEY))
    slow.goes_on.set()
    assert await first == second
    assert [await opens(world, client, letter) for letter in (*slow.sent, *carrier.sent)] == [False, True]
    assert len(await accounts(world, client)) == 1


async def test_a_run_that_was_overtaken_keeps_nothing(world: World, tmp_path: Path) -> None:
    """While the newer one is still under way, the older one ends: it is told so, and the newer one's secret works."""
    client, case = await queued(world)
    older, newer = Slow(tmp_path / "older"), Slow(tmp_path / "newer")
    runs = [await under_way(world, carrier, case) for carrier in (older, newer)]
    older.goes_on.set()
    with pytest.raises(ApplicationError) as overtaken:
        await runs[0]
    assert overtaken.value.type == OVERTAKEN
    assert await accounts(world, client) == []
    newer.goes_on.set()
    assert (await runs[1]).sent_at is not None
    assert [await opens(world, client, letter) for letter in (*older.sent, *newer.sent)] == [False, True]


@pytest.mark.parametrize("refuses", [False, True])
async def test_an_address_that_is_corrected_while_the_carrier_hangs_gets_the_letter(
    world: World, tmp_path: Path, *, refuses: bool
) -> None:
    """Whatever the carrier says of the former address: nothing is kept of it, and its secret is dead."""
    client, case = await queued(world)
    slow, carrier = Slow(tmp_path / "slow", refuses=refuses), Carrier(tmp_path)
    run = await under_way(world, slow, case)
    async with world.sessions() as session, session.begin():
        data = {"user": "U1", "email": "jauna@noliktavas.example", "waiting": KEY}
        await AccessStore(world.keyring).acts["access.set_address"](session, case, data, world.now())
    slow.goes_on.set()
    with pytest.raises(ApplicationError, match="changed meanwhile"):
        await run
    assert await accounts(world, client) == []
    assert (await worker(world, carrier).issue(IssueAccess(case=case, key=KEY))).sent_at is not None
    assert [letter.to for letter in carrier.sent] == ["jauna@noliktavas.example"]
    assert [await opens(world, client, letter) for letter in (*slow.sent, *carrier.sent)][-1]
    assert not any([await opens(world, client, letter) for letter in slow.sent])


async def test_a_line_that_is_dropped_while_the_carrier_hangs_gives_no_access(world: World, tmp_path: Path) -> None:
    client, case = await queued(world)
    slow = Slow(tmp_path)
    run = await under_way(world, slow, case)
    async with world.sessions() as session, session.begin():
        await AccessStore(world.keyring).acts["access.drop"](session, case, {"waiting": KEY}, world.now())
    slow.goes_on.set()
    assert (await run).refused == "dropped"
    assert await accounts(world, client) == []


async def test_a_carrier_that_hangs_holds_no_connection(world: World, postgres: Postgres, tmp_path: Path) -> None:
    """However many letters wait for it, the store answers everybody else."""
    cases = [(await queued(world))[1] for _ in range(4)]
    database = engine(postgres.url("world"), world.keyring, pool=1)
    slow = Slow(tmp_path)
    issuing = AccessActivities(
        sessions(database),
        world.keyring,
        LocalDirectory(world.sessions, world.now),
        slow,
        world.now,
        "noreply@bl.example",
    )
    runs = [asyncio.create_task(issuing.issue(IssueAccess(case=case, key=KEY))) for case in cases]
    await asyncio.wait_for(slow.asked.wait(), 30)
    await world.until(lambda: _nobody_holds_one(database), "no connection is held")
    slow.goes_on.set()
    assert all(issued.sent_at for issued in await asyncio.gather(*runs))
    await database.dispose()


async def _nobody_holds_one(database: AsyncEngine) -> bool:
    pool = database.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout() == 0


async def test_a_carrier_that_never_answers_counts_as_down(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the engine gives the run up: so no two of them ask the carrier at the same time."""
    assert timedelta(seconds=TAKEN_WITHIN + 2 * ASKED_WITHIN) < EFFECT_TIMEOUT
    monkeypatch.setattr(access, "TAKEN_WITHIN", 0.1)
    client, case = await queued(world)
    with pytest.raises(ApplicationError) as down:
        await worker(world, Slow(tmp_path)).issue(IssueAccess(case=case, key=KEY))
    assert down.value.type == OUTSIDE_DOWN
    assert await accounts(world, client) == []


async def test_a_mail_that_is_refused_for_ever_makes_no_account(world: World, tmp_path: Path) -> None:
    client, case = await queued(world)
    refused = await worker(world, Carrier(tmp_path, refuses=True)).issue(IssueAccess(case=case, key=KEY))
    assert refused.refused == "the mail server answered 550"
    assert await worker(world, Carrier(tmp_path)).issue(IssueAccess(case=case, key=KEY)) == refused
    assert await accounts(world, client) == []


async def test_a_confirmation_has_no_secret_and_is_one_letter_however_often_it_is_sent(
    world: World, tmp_path: Path
) -> None:
    client, case = await queued(world, "BL-4-confirmation", authenticator="smart-id")
    carrier = Carrier(tmp_path, after=1)
    with pytest.raises(ApplicationError):
        await worker(world, carrier).issue(IssueAccess(case=case, key=KEY))
    assert (await worker(world, carrier).issue(IssueAccess(case=case, key=KEY))).sent_at is not None
    assert len({letter.id for letter in carrier.sent}) == 1
    assert len(list((tmp_path / "new").iterdir())) == 1
    [account] = await accounts(world, client)
    assert (account.secret_set_at, account.authenticator) == (None, "smart-id")
    entry = await directory_entry(world, client, account.username)
    assert (account.provider_id, entry.secret_hash) == (entry.external_id, None)


async def test_the_store_holds_an_argon2id_hash_and_no_secret(world: World, tmp_path: Path) -> None:
    client, case = await queued(world)
    carrier = Carrier(tmp_path)
    await worker(world, carrier).issue(IssueAccess(case=case, key=KEY))
    [account] = await accounts(world, client)
    entry = await directory_entry(world, client, account.username)
    assert (entry.secret_hash or "").startswith("$argon2id$")
    assert account.secret_hash is None
    secret = next(line.split(": ")[1] for line in carrier.sent[0].text.splitlines() if "parole:" in line)
    stored = await dump(world)
    assert account.username in stored
    assert secret not in stored
    with pytest.raises(IntegrityError, match="directory_secret_hashed"):
        async with world.sessions() as session, session.begin():
            await session.exec(
                text("UPDATE directory SET secret_hash = 'in clear' WHERE external_id = :id").bindparams(
                    id=entry.external_id
                )  # type: ignore[call-overload]  # plain SQL
            )


# ---- the identity provider ------------------------------------------------------------------------------------------


class Flaky(LocalDirectory):
    """The local directory, which fails the calls of these numbers, counted from 1."""

    def __init__(self, world: World, *fails: int, error: type[Exception] = IdentityUnavailable) -> None:
        super().__init__(world.sessions, world.now)
        self._fails, self._error, self.calls = set(fails), error, 0

    def _fail(self) -> None:
        self.calls += 1
        if self.calls in self._fails:
            raise self._error("as planned")

    async def make(self, account: NewAccount) -> str:
        """Make it, or fail."""
        self._fail()
        return await super().make(account)

    async def set_secret(self, id: str, secret: str, *, must_change: bool) -> None:
        """Set it, or fail."""
        self._fail()
        await super().set_secret(id, secret, must_change=must_change)


async def entries(world: World, client: str) -> list[DirectoryRow]:
    """What the local directory holds of a client."""
    theirs = col(DirectoryRow.external_id).startswith(f"{client}/")
    async with world.sessions() as session:
        return list((await session.exec(select(DirectoryRow).where(theirs))).all())


@pytest.mark.parametrize("error", [IdentityUnavailable, IdentityRefused])
@pytest.mark.parametrize("fails", [1, 2])
async def test_no_mail_goes_out_while_the_provider_does_not_take_accounts_and_secrets(
    world: World, tmp_path: Path, fails: int, error: type[Exception]
) -> None:
    """Down or refusing, by the account or by the secret: it is tried again, and goes on by itself."""
    client, case = await queued(world)
    carrier, provider = Carrier(tmp_path), Flaky(world, fails, error=error)
    with pytest.raises(ApplicationError, match="the identity provider") as down:
        await worker(world, carrier, provider).issue(IssueAccess(case=case, key=KEY))
    assert (down.value.type, down.value.non_retryable) == (OUTSIDE_DOWN, False)
    assert carrier.sent == []
    assert await accounts(world, client) == []
    await worker(world, carrier, provider).issue(IssueAccess(case=case, key=KEY))
    assert [await opens(world, client, letter) for letter in carrier.sent] == [True]


async def test_a_provider_that_fails_once_the_mail_is_out_leaves_a_mail_that_opens_nothing(
    world: World, tmp_path: Path
) -> None:
    client, case = await queued(world)
    carrier, provider = Carrier(tmp_path), Flaky(world, 3)
    with pytest.raises(ApplicationError):
        await worker(world, carrier, provider).issue(IssueAccess(case=case, key=KEY))
    assert await accounts(world, client) == []
    assert not await opens(world, client, carrier.sent[0])
    await worker(world, carrier, provider).issue(IssueAccess(case=case, key=KEY))
    assert [await opens(world, client, letter) for letter in carrier.sent] == [False, True]
    assert len(await entries(world, client)) == 1


async def test_a_provider_that_hangs_counts_as_down(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the letter is free again for whoever corrects the address."""

    class Hangs(LocalDirectory):
        async def make(self, account: NewAccount) -> str:
            await asyncio.Event().wait()
            return account.external_id

    client, case = await queued(world)
    with monkeypatch.context() as patched:
        patched.setattr(access, "ASKED_WITHIN", 0.2)
        with pytest.raises(ApplicationError, match="does not answer"):
            await worker(world, Carrier(tmp_path), Hangs(world.sessions, world.now)).issue(
                IssueAccess(case=case, key=KEY)
            )
    async with world.sessions() as session, session.begin():
        data = {"user": "U1", "email": "jauna@noliktavas.example", "waiting": KEY}
        await AccessStore(world.keyring).acts["access.set_address"](session, case, data, world.now())
    assert await entries(world, client) == []


async def test_a_run_that_was_overtaken_changes_nothing_at_the_provider(world: World, tmp_path: Path) -> None:
    """Neither before its mail nor after it: the provider is asked while the letter is this run's."""
    client, case = await queued(world)
    older, carrier, provider = Slow(tmp_path / "older"), Carrier(tmp_path), Flaky(world)
    run = asyncio.create_task(worker(world, older, provider).issue(IssueAccess(case=case, key=KEY)))
    await asyncio.wait_for(older.asked.wait(), 30)
    await worker(world, carrier).issue(IssueAccess(case=case, key=KEY))
    calls = provider.calls
    older.goes_on.set()
    await run
    assert provider.calls == calls
    assert [await opens(world, client, letter) for letter in (*older.sent, *carrier.sent)] == [False, True]


@pytest.mark.parametrize("refuses", [False, True])
async def test_what_never_becomes_an_account_leaves_none_with_the_provider(
    world: World, tmp_path: Path, refuses: bool
) -> None:
    """A mail that is refused for ever, or a line that is dropped while the carrier hangs."""
    client, case = await queued(world)
    slow = Slow(tmp_path, refuses=refuses)
    run = await under_way(world, slow, case)
    assert len(await entries(world, client)) == 1
    if not refuses:
        async with world.sessions() as session, session.begin():
            await AccessStore(world.keyring).acts["access.drop"](session, case, {"waiting": KEY}, world.now())
    slow.goes_on.set()
    assert (await run).refused is not None
    assert await entries(world, client) == []


async def test_a_worker_killed_before_it_cleared_up_is_followed_by_one_that_does(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, case = await queued(world)

    async def killed(*_: object) -> None:
        raise SystemError

    with monkeypatch.context() as patched:
        patched.setattr(AccessActivities, "_leave_nothing", killed)
        with pytest.raises(SystemError):
            await worker(world, Carrier(tmp_path, refuses=True)).issue(IssueAccess(case=case, key=KEY))
    assert len(await entries(world, client)) == 1
    await worker(world, Carrier(tmp_path)).issue(IssueAccess(case=case, key=KEY))
    assert await entries(world, client) == []


async def test_of_two_requests_for_one_person_one_account_comes_to_be_also_with_the_provider(
    world: World, tmp_path: Path
) -> None:
    """The slower one finds the account of the faster, gives it other login data, and takes its own back."""
    client, first = await queued(world)
    second = await again_for(world, first)
    slow, carrier = Slow(tmp_path / "slow"), Carrier(tmp_path)
    run = await under_way(world, slow, first)
    await worker(world, carrier).issue(IssueAccess(case=second, key=KEY))
    slow.goes_on.set()
    with pytest.raises(ApplicationError):
        await run
    await worker(world, carrier).issue(IssueAccess(case=first, key=KEY))
    [account] = await accounts(world, client)
    assert [entry.external_id for entry in await entries(world, client)] == [external_id(client, account.username)]
    assert [await opens(world, client, letter) for letter in carrier.sent] == [False, True]


async def test_former_login_data_end_when_others_are_under_way(world: World, tmp_path: Path) -> None:
    """For the sign-in check and with the provider alike, also while no carrier takes the mail."""
    client, first = await queued(world)
    carrier = Carrier(tmp_path)
    await worker(world, carrier).issue(IssueAccess(case=first, key=KEY))
    second = await again_for(world, first)
    with pytest.raises(ApplicationError):
        await worker(world, Carrier(tmp_path, before=1)).issue(IssueAccess(case=second, key=KEY))
    [account] = await accounts(world, client)
    assert account.secret_set_at is None
    assert not await opens(world, client, carrier.sent[0])


async def test_the_secret_of_a_letter_that_came_back_is_forgotten_and_a_later_one_is_not(
    world: World, tmp_path: Path
) -> None:
    """However often and however late the provider is told."""
    client, case = await queued(world)
    carrier = Carrier(tmp_path)
    issuing = worker(world, carrier)
    await issuing.issue(IssueAccess(case=case, key=KEY))
    bounced = {"user": "U1", "notice": KEY, "bounced_at": world.now().isoformat()}
    async with world.sessions() as session, session.begin():
        await AccessStore(world.keyring).acts["access.bounced"](session, case, bounced, world.now())
    [account] = await accounts(world, client)
    assert account.secret_set_at is None
    for _ in range(2):
        assert await issuing.void_secret(VoidSecret(case=case, key=KEY)) == SecretVoided(key=KEY)
        assert not await opens(world, client, carrier.sent[0])
    later = "BL-4:U1:2"
    async with world.sessions() as session, session.begin():
        session.add(NoticeRow(case=case, key=later, template="BL-4-secret", party="U1", queued_at=MONDAY))
    await issuing.issue(IssueAccess(case=case, key=later))
    await issuing.void_secret(VoidSecret(case=case, key=KEY))
    assert [await opens(world, client, letter) for letter in carrier.sent] == [False, True]


async def test_the_provider_that_is_down_is_told_of_a_bounce_when_it_answers(world: World, tmp_path: Path) -> None:
    client, case = await queued(world)
    carrier = Carrier(tmp_path)
    await worker(world, carrier).issue(IssueAccess(case=case, key=KEY))
    bounced = {"user": "U1", "notice": KEY, "bounced_at": world.now().isoformat()}
    async with world.sessions() as session, session.begin():
        await AccessStore(world.keyring).acts["access.bounced"](session, case, bounced, world.now())
    telling = worker(world, carrier, Flaky(world, 1))
    with pytest.raises(ApplicationError) as down:
        await telling.void_secret(VoidSecret(case=case, key=KEY))
    assert down.value.type == OUTSIDE_DOWN
    await telling.void_secret(VoidSecret(case=case, key=KEY))
    assert not await opens(world, client, carrier.sent[0])


async def test_access_is_issued_through_a_scim_server(world: World, tmp_path: Path) -> None:
    """The password that it holds is the one in the mail, and nothing it holds names the user."""
    client, case = await queued(world)
    carrier = Carrier(tmp_path, after=1)
    with scim_server() as server:
        issuing = worker(world, carrier, Scim(server.url, server.token))
        with pytest.raises(ApplicationError):
            await issuing.issue(IssueAccess(case=case, key=KEY))
        await issuing.issue(IssueAccess(case=case, key=KEY))
        [account] = await accounts(world, client)
        [held] = server.users(external_id(client, account.username))
        assert held["id"] == account.provider_id
        assert [held["password"] in letter.text for letter in carrier.sent] == [False, True]
        assert set(held) == {"schemas", "id", "externalId", "meta", "userName", "active", "password"}
    assert await entries(world, client) == []


async def again_for(world: World, case: str) -> str:
    """Another request of the same client for the same person."""
    other = f"access_request:BL:D-{next(_numbers)}"
    await world.keyring.create(other)
    async with world.sessions() as session, session.begin():
        intake = (await session.exec(select(IntakeRow).where(IntakeRow.case == case))).one()
        row = await session.get(CaseRow, case)
        party = await session.get(PartyRow, (case, "U1"))
        assert row is not None
        assert party is not None
        filed = intake.model_dump(exclude={"id"}) | {"case": other, "reference": other.split(":")[2]}
        session.add(IntakeRow(**filed | {"sender_reference": other}))
        await session.flush()
        session.add(CaseRow(**row.model_dump() | {"case": other}))
        await session.flush()
        session.add(PartyRow(**party.model_dump() | {"case": other}))
        session.add(NoticeRow(case=other, key=KEY, template="BL-4-secret", party="U1", queued_at=MONDAY))
    return other


def test_one_time_secrets_differ_and_can_be_typed() -> None:
    made = {one_time_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(secret) == 23 and not set(secret) & set("IO01") for secret in made)


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        ("Jānis", ("line:unknown",)),
        ({}, tuple(f"{n}:missing" for n in ("first_name", "last_name", "personal_code", "phone", "email"))),
        (user(email="a@b.example, c@d.example"), ("email:wrong",)),
        (user(phone="call me"), ("phone:wrong",)),
        (user(country="FI"), ("country:wrong",)),
        (user(country="ee", personal_code="36805280109"), ()),
        (user(authenticator="a b"), ("authenticator:wrong",)),
        (user(first_name="x" * 101), ("first_name:wrong",)),
        (user(personal_code=16117519997), ()),
    ],
)
def test_a_line_is_read_as_far_as_it_goes(line: object, faults: tuple[str, ...]) -> None:
    """BL-4-content: every fault by field, and never what stands in it."""
    assert read_line(line).faults == faults
