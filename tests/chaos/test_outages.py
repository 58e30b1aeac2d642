"""Outages that are no quick death: all dark at once, a store that hangs, a full disk, wrong clocks, two workers.

All of them come in the middle of runs, and end; the runs must come to the end of undisturbed ones.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from sqlmodel import select

from models.tables import NoticeRow
from tests.chaos.campaign import Plan, Trial, new_life
from tests.chaos.house import House, Victim, house
from tests.chaos.lives import Days
from tests.chaos.points import Point
from tests.chaos.proxy import Where, proxy
from tests.chaos.scripts import claim_received
from tests.chaos.test_chaos import told
from tests.world import RIGA

OUTAGE = 12.0
"""Seconds: longer than what an activity or a task is given here, so that each is tried again and again."""
EVERYBODY: tuple[Victim, ...] = ("worker", "temporal", "postgres", "mail", "identity")

pytestmark = pytest.mark.timeout(600)  # as in test_chaos.py


async def test_a_power_cut_is_survived(trial: Trial, servers: House) -> None:
    """All dies at once and is away for a while; nobody stopped in an orderly way."""

    async def cut() -> None:
        await servers.busy()
        async with AsyncExitStack() as stack:
            for victim in EVERYBODY:
                await stack.enter_async_context(servers.without(victim))
            await asyncio.sleep(OUTAGE)

    plans = [Plan(script) for script in ("claim_twice_paid", "access_request", "withdrawal", "privacy_erasure")]
    results = await trial.live(plans, meanwhile=cut)
    assert not told(results), told(results)


@pytest.mark.parametrize("server", ["postgres", "temporal", "mail", "identity"])
async def test_a_server_that_hangs_is_waited_for(
    trial: Trial, servers: House, server: Literal["postgres", "temporal", "mail", "identity"]
) -> None:
    """Connections stay open and nothing answers: no step is lost, and none is recorded twice when it goes on."""

    async def hang() -> None:
        await servers.busy()
        with servers.hanging(server):
            await asyncio.sleep(OUTAGE)

    results = await trial.live([Plan("claim_overdue"), Plan("access_request")], meanwhile=hang)
    assert not told(results), told(results)


async def test_a_mail_server_that_hangs_holds_up_no_step(servers: House) -> None:
    """A letter to staff is owed by a step that is committed already: the case goes on without it."""
    await servers.now.set(datetime.now(UTC))
    life = new_life(servers, Days(servers, 1), asyncio.Semaphore())
    with servers.hanging("mail"):
        case = await claim_received(life, life.ago(days=41))

        async def assigned() -> bool:
            message = {"actor": "op-1", "handler": "op-7"}
            return not (await servers.intake.submit_event(case, "1", "assign_case", message)).waiting

        await life.until(assigned, "the claim is assigned")
        async with servers.connection.sessions() as session:
            waiting = (await session.exec(select(NoticeRow).where(NoticeRow.case == case, NoticeRow.internal))).all()
        assert waiting
        assert not any(notice.sent_at for notice in waiting)


async def test_a_worker_whose_clock_steps_changes_no_day(trial: Trial, servers: House) -> None:
    """The worker's clock jumps to and fro by hours within the day; the case's own clock and the store's do not."""
    local = datetime.now(RIGA)
    step = timedelta(hours=3) if local.hour < 12 else -timedelta(hours=3)

    async def steps() -> None:
        while True:
            for offset in (step, timedelta(0)):
                await servers.busy(20)
                servers.now.set_workers(servers.now.ahead() + offset)

    results = await trial.live([Plan("claim_paid"), Plan("withdrawal")], meanwhile=steps)
    servers.now.set_workers(servers.now.ahead())
    assert not told(results), told(results)


async def test_two_workers_at_once_do_nothing_twice(trial: Trial, servers: House) -> None:
    """Two serve the same cases, and each of them dies at some step of some case."""
    await servers.employ(2)
    plans = [
        Plan("claim_paid", Point("payment.order order taken", 1)),
        Plan("claim_paid", Point("notice.send letter taken", 2)),
        Plan("access_request", Point("access.issue letter taken", 1)),
        Plan("access_request", Point("access.issue before commit", 2)),
        Plan("withdrawal", Point("access.withdraw_authenticator after commit", 1)),
        Plan("privacy_erasure", Point("privacy.erase after commit", 2)),
    ]
    results = await trial.live(plans)
    assert not told(results), told(results)
    assert [r.plan for r in results if r.struck] == plans


async def test_a_full_disk_is_waited_for() -> None:
    """Maildir and the bank's folder have no room left: nothing is half written, and all goes out once there is room."""
    with tempfile.TemporaryDirectory(prefix="termins-chaos-", ignore_cleanup_errors=True) as folder:
        var = Path(folder) / "var"
        with small_disk(Path(folder) / "small", size="512k") as small:
            environment = {"TERMINS_BANK_FOLDER": str(small / "bank"), "TERMINS_MAIL_FOLDER": str(small / "mail")}
            async with house(var, mail="maildir", environment=environment) as servers:
                trial = Trial(servers)
                await trial.live_in_peace(("claim_twice_paid",))

                async def full() -> None:
                    await servers.busy(20)
                    fill(small / "filler")
                    await asyncio.sleep(OUTAGE)
                    (small / "filler").unlink()

                results = await trial.live([Plan("claim_twice_paid")] * 2, meanwhile=full)
                assert not told(results), told(results)


async def test_a_full_disk_under_the_store_is_waited_for() -> None:
    """PostgreSQL can write no row and at last no log: it may even end; nothing that it acknowledged is lost."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="termins-chaos-", ignore_cleanup_errors=True))
        servers = await stack.enter_async_context(house(Path(folder) / "var", workers=0))
        async with servers.without("postgres"):
            aside = servers.postgres.rename(servers.postgres.with_name("aside"))
            stack.enter_context(small_disk(servers.postgres, size="192m"))
            subprocess.run(["cp", "-a", f"{aside}/.", servers.postgres], check=True)  # noqa: S607  # as in every shell
        await servers.employ(1)
        trial = Trial(servers)

        async def full() -> None:
            await servers.busy()
            filler = servers.postgres / "filler"
            fill(filler)
            await asyncio.sleep(OUTAGE)
            fill(filler)
            filler.unlink()
            # whoever runs a store starts it again when it has ended; here that is us
            await servers.kill("postgres")

        plans = [Plan(script) for script in ("claim_twice_paid", "access_request", "claim_hasty")]
        results = await trial.live(plans, meanwhile=full)
        assert not told(results), told(results)
        assert "No space left on device" in servers.said_by("postgres")


@pytest.mark.parametrize("where", ["asked", "answered"])
async def test_one_connection_that_freezes_holds_up_one_step_for_a_while(where: Where) -> None:
    """A commit that never arrives, or whose answer never does, while all other connections go on.

    The worker gives the statement up, the store ends the silent transaction and its locks, and the step is there once.
    """
    with tempfile.TemporaryDirectory(prefix="termins-chaos-", ignore_cleanup_errors=True) as folder:
        var = Path(folder) / "var"
        async with house(var, identity="local", workers=0) as servers, proxy(servers.postgres_socket) as between:
            for name, database in (("DATABASE_URL", "termins"), ("TERMINS_KEYS_DATABASE_URL", "termins_keys")):
                servers.environment[name] = f"postgresql://postgres@127.0.0.1:{between.port}/{database}"
            await servers.employ(1)
            trial = Trial(servers)

            async def freeze() -> None:
                for _ in range(4):
                    await servers.busy(15)
                    await between.freeze(b"COMMIT", where)

            results = await trial.live([Plan("claim_twice_paid"), Plan("access_request")], meanwhile=freeze)
            assert not told(results), told(results)
            assert between.frozen
            ended = "idle-in-transaction timeout" in servers.said_by("postgres")
            assert ended == (where == "asked"), "a commit that never came leaves a transaction, and only that"


def fill(filler: Path) -> None:
    """Leave no room on a disk; again, also none where something was given back meanwhile."""
    with filler.open("ab", buffering=0) as all_of_it, suppress(OSError):
        for size in (1 << 20, 4096, 512):
            with suppress(OSError):
                while True:
                    all_of_it.write(bytes(size))


@contextmanager
def small_disk(at: Path, *, size: str) -> Iterator[Path]:
    """A file system of this size, where this user may mount one."""
    at.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    command = [mount or "", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)]
    if mount is None or umount is None or subprocess.run(command, check=False).returncode:
        pytest.skip("this user may not mount a file system that can be filled")
    try:
        yield at
    finally:
        # lazily: the store may still be there
        subprocess.run([umount, "--lazy", at], check=True)
