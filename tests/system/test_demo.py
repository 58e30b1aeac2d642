"""`make demo` as a person runs it: every sample where it should stand, a clean end, and on from there the next time."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import pytest

from operations.filings import check
from operations.samples import Sample, SampleError, Samples, read, resolved
from tests.world import World

ROOT = Path(__file__).parents[2]
CONTROL = "\x1b"


@pytest.fixture(scope="module")
def var() -> Iterator[Path]:
    """Not pytest's own folder: each pytest that starts closes those to other users, so to PostgreSQL's."""
    with tempfile.TemporaryDirectory(prefix="termins-test-") as folder:
        yield Path(folder) / "var"


@asynccontextmanager
async def demo(var: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command, in a process group of its own as a shell starts it; whatever of it is left is killed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "operations.demo", *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TERMINS_VAR": str(var), "COLUMNS": "160", "TEMPORAL_ADDRESS": "nobody.example:1"},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def said(var: Path, *arguments: str) -> str:
    """Everything that a demo says which ends by itself, with exit code 0."""
    async with demo(var, *arguments) as process:
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()


async def until(process: asyncio.subprocess.Process, pattern: str) -> str:
    """What it says up to the line with the pattern."""
    assert process.stdout is not None
    lines = []
    async for line in process.stdout:
        lines.append(line.decode())
        if re.search(pattern, lines[-1]):
            return "".join(lines)
    raise AssertionError(f"it never said {pattern}:\n{''.join(lines)}")


def running_under(var: Path) -> list[str]:
    """Every process of this machine that works for the folder: by its command, or by its environment."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.environ().get("TERMINS_VAR", "")]
        except psutil.Error:
            continue
        if any(str(var) in word for word in words):
            found.append(" ".join(words))
    return found


@pytest.mark.timeout(240)  # three starts of everything, on a machine that may be busy
async def test_a_demo_shows_every_sample_and_a_second_one_goes_on(var: Path) -> None:
    """Once until all is settled; again: nothing new; then live: refused beside itself, ended by SIGTERM."""
    first = await said(var, "--once")
    samples = read()
    for sample in samples:
        reference = f"{sample.filing['organisation']} {sample.filing['reference']}"
        assert reference in first
    filed = sum(sample.at_once for sample in samples)
    assert f"{filed} filed now, 0 filed before" in first
    assert "overdue" in first
    assert CONTROL not in first
    assert running_under(var) == []

    async with demo(var) as process:
        again = await until(process, "its last day is over")
        assert f"0 filed now, {filed} filed before" in again
        ui = re.search(r"Temporal UI +(http\S+)", again)
        assert ui is not None
        async with demo(var, "--once") as other:
            output, _ = await other.communicate()
            assert other.returncode == 1
            assert ui[1] in output.decode()
        assert process.returncode is None
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        rest = (await process.stdout.read()).decode()
        assert await process.wait() == 0, rest
        assert "goes on from there" in rest
        assert "Traceback" not in rest
    assert running_under(var) == []


async def test_when_a_step_fails_it_says_so_and_leaves_nothing_running(var: Path) -> None:
    """Here the worker cannot start: its log cannot be written."""
    folder = var.with_name("broken")
    (folder / "log" / "worker.log").mkdir(parents=True)
    async with demo(folder, "--once") as process:
        output, _ = await process.communicate()
        assert process.returncode == 1
    assert re.search(r"Worker: .*worker\.log", output.decode())
    assert "Traceback" not in output.decode()
    assert running_under(folder) == []


def test_there_are_samples_of_every_kind() -> None:
    samples = read()
    assert len(samples) >= 14
    assert {s.filing["kind"] for s in samples} == {
        "claim",
        "access_request",
        "authenticator_withdrawal",
        "authenticator_decision",
        "privacy_request",
        "late_premium",
        "renewal",
        "client_change",
        "credential",
        "sign_in_review",
        "task",
        "breach",
    }
    assert len({s.case for s in samples}) == len(samples)
    asked = {s.filing["content"]["action"] for s in samples if s.filing["kind"] == "access_request"}
    assert asked == {"issue", "change", "cancel"}
    for sample in samples:
        assert sample.after is None or sample.after in {s.case for s in samples}


@pytest.mark.parametrize("at", [time(0, 5), time(9, 0), time(23, 55)])
@pytest.mark.parametrize("sample", [s for s in read() if s.opened_by is None], ids=lambda s: s.case)
def test_a_sample_can_be_filed_at_any_time_of_day(sample: Sample, at: time) -> None:
    """No relative instant of a filing lies ahead, except the impossible day of the faulty claim."""
    zone = ZoneInfo("Europe/Riga")
    now = datetime.combine(datetime(2027, 3, 28, tzinfo=UTC).date(), at, zone)  # the night in which the clock leaps
    checked = check(resolved(sample.filing, now, zone), now)
    assert checked.case == sample.case
    assert checked.filing.received_at <= now
    assert not [fault for fault in checked.faults if fault.startswith("received_at")]


def test_relative_instants_become_real_ones_wherever_they_stand() -> None:
    zone = ZoneInfo("Europe/Riga")
    now = datetime(2027, 3, 29, 7, 0, 0, 5, UTC)
    given = {"at": "-3d 10:30", "days": ["-1d", "+2d"], "hours": "-5h", "text": "since -3d 10:30", "n": 4}
    assert resolved(given, now, zone) == {
        "at": "2027-03-26T10:30:00+02:00",  # before the clock leapt
        "days": ["2027-03-28", "2027-03-31"],
        "hours": (now - timedelta(hours=5)).replace(microsecond=0).astimezone(zone).isoformat(),
        "text": "since -3d 10:30",
        "n": 4,
    }


def test_a_file_that_is_no_sample_is_named(tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "01-odd.json").write_text(json.dumps({"about": "no filing"}))
    with pytest.raises(SampleError, match=r"01-odd\.json: .*filing"):
        read(tmp_path)


async def test_samples_that_wait_in_vain_are_named_with_what_they_wait_for(worker_world: World) -> None:
    """Nobody serves: whoever plays them hears of it, and does not wait for ever."""
    world = worker_world
    waiting = [s for s in read() if s.filing["kind"] == "task" and s.at_once]
    assert any(s.then for s in waiting)
    samples = Samples(waiting, world.sessions, world.intake, world.now)
    await samples.file()
    with pytest.raises(SampleError) as told:
        await samples.settle(within=1)
    assert samples.unsettled == {s.case for s in waiting}
    for sample in waiting:
        assert f"{sample.case}: not within 1 s: it " in str(told.value)
        if not sample.then:
            assert f"{sample.case}: not within 1 s: it comes to {sample.settles}" in str(told.value)
