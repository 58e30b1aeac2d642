"""The sample cases: read from `samples/`, filed once, and played to where they should stand."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError
from sqlmodel import select

from models.common import Model
from models.names import case_id
from models.signature import Report
from models.tables import CaseRow, EventRow, IntakeRow, PolicyRow, TimelineRow
from operations.consents import Consents
from operations.filings import faults_of
from operations.intake import Delivered, Intake, Sessions
from operations.policies import Policies
from operations.reading import NotFound
from operations.signatures import Signatures, sha256_of
from rules.rulebook import book

SAMPLES = Path(__file__).parent.parent / "samples"
_RELATIVE = re.compile(r"(?P<sign>[+-])(?P<n>\d+)(?P<unit>[dh])(?: (?P<time>\d\d:\d\d))?")
_LOOK_EVERY = 0.2  # seconds between two looks at the store
SETTLED_WITHIN = 90.0
"""Seconds after which nobody waits any longer for the samples to come to where they should stand."""


class SampleError(Exception):
    """A sample did not come to where it should stand; the text names it and says why."""


class Standing(Model):
    """Where a case must stand before an event is reported: its stage and, if given, a part of what it waits for."""

    stage: str
    waits_for: str = ""


class SampleEvent(Model):
    """What happens to a sample after it was filed."""

    event: str
    name: str
    actor: str
    when: Standing | None = None
    """None: at once."""
    report: dict[str, Any] | None = None
    """What another validator says of the signed document, entered by the actor before the message names it."""
    message: dict[str, Any] = Field(default_factory=dict)


class Sample(Model):
    """One case: why it is here, its own policy, its filing, what happens then, and the stage where that leaves it."""

    about: str
    filing: dict[str, Any]
    opened_by: str | None = None
    """The case that opens this one, which is not filed then: its filing only names it."""
    after: str | None = None
    """The case of another sample that is filed first: this one is filed once that one stands where its sample ends."""
    policy: dict[str, Any] | None = None
    """A policy of its own, with relative days; registered before it is filed."""
    consent: dict[str, Any] | None = None
    """A consent that was given before, with relative instants; written down before it is filed."""
    then: tuple[SampleEvent, ...] = ()
    settles: str

    @property
    def case(self) -> str:
        """The case's id."""
        return case_id(self.filing["kind"], self.filing["organisation"], self.filing["reference"])

    @property
    def at_once(self) -> bool:
        """Whether it is filed with the first ones."""
        return self.opened_by is None and self.after is None


def read(folder: Path = SAMPLES) -> list[Sample]:
    """All samples, in the order of their files' names.

    Raises:
        SampleError: A file is no sample.
    """
    samples = []
    for path in sorted((folder / "cases").glob("*.json")):
        try:
            samples.append(Sample.model_validate(json.loads(path.read_text(encoding="utf-8"))))
        except ValidationError as e:
            raise SampleError(f"{path.name}: {'; '.join(faults_of(e))}") from None
        except ValueError as e:
            raise SampleError(f"{path.name}: {e}") from None
    return samples


def resolved(value: Any, now: datetime, zone: ZoneInfo) -> Any:
    """The same JSON value with every relative instant in it made a real one.

    `-3d 10:30` is that time three days ago in the zone, `-3d` that day alone, `-5h` the instant five hours ago; `+`
    lies ahead.
    """
    if isinstance(value, dict):
        return {k: resolved(v, now, zone) for k, v in value.items()}
    if isinstance(value, list):
        return [resolved(v, now, zone) for v in value]
    match = _RELATIVE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    n = int(match["sign"] + match["n"])
    if match["unit"] == "h":
        return (now.replace(microsecond=0) + timedelta(hours=n)).astimezone(zone).isoformat()
    day = now.astimezone(zone).date() + timedelta(days=n)
    if match["time"] is None:
        return day.isoformat()
    return datetime.combine(day, time.fromisoformat(match["time"]), zone).isoformat()


class Samples:
    """Files the samples and plays their events; what an earlier run did is not done again."""

    def __init__(self, samples: list[Sample], sessions: Sessions, intake: Intake, now: Callable[[], datetime]) -> None:
        self.all = samples
        self.unsettled = {sample.case for sample in samples}
        """Cases that are not yet where their sample leaves them."""
        self._waits = {sample.case: "it is filed" for sample in samples}
        """Case → what has to come about before its sample goes on."""
        self._sessions = sessions
        self._intake = intake
        self._now = now

    async def file(self) -> int:
        """File what is not in the store yet, and waits for no other sample; the number that is new.

        What was filed keeps the instants that its first filing gave it.

        Raises:
            Refusal: A filing is refused.
        """
        async with self._sessions() as session:
            filed = set((await session.exec(select(IntakeRow.case))).all())
        new = [sample for sample in self.all if sample.case not in filed and sample.at_once]
        for sample in new:
            await self._file(sample)
        await self._intake.start_waiting([sample.case for sample in self.all if sample.case in filed])
        return len(new)

    async def _file(self, sample: Sample) -> None:
        """File a sample, with its policy and consent unless they are there: they keep the days of the first time."""
        await self._register(sample)
        await self._intake.submit(self._real(sample, sample.filing))

    async def _register(self, sample: Sample) -> None:
        if sample.consent is not None:
            await self._consent(sample, sample.consent)
        if sample.policy is None:
            return
        policies = Policies(self._sessions, self._intake.keyring, self._now)
        async with self._sessions() as session:
            there = await session.get(PolicyRow, sample.policy["policy"])
        if there is None:
            await policies.register(self._real(sample, sample.policy))

    async def _consent(self, sample: Sample, consent: dict[str, Any]) -> None:
        register = Consents(self._sessions, self._intake.keyring, self._now)
        try:
            await register.show(consent["organisation"], consent["consent"])
        except NotFound:
            await register.give(self._real(sample, consent))

    async def settle(self, within: float = SETTLED_WITHIN) -> None:
        """Play every sample's events and wait until each has reached its stage, at most so many seconds.

        Raises:
            SampleError: An event was refused or could not be reported, or a sample waits in vain, and for what. The
                other samples are played nevertheless.
        """
        playing = {asyncio.create_task(self._play(sample)): sample.case for sample in self.all}
        try:
            if playing:
                await asyncio.wait(playing, timeout=within)
        finally:
            late = {case for task, case in playing.items() if task.cancel()}
            ends = await asyncio.gather(*playing, return_exceptions=True)
        faults = []
        for case, end in zip(playing.values(), ends, strict=True):
            if case in late:
                faults.append(f"{case}: not within {within:.0f} s: {self._waits[case]}")
            elif isinstance(end, BaseException):
                faults.append(f"{case}: {end}")
        if faults:
            raise SampleError("; ".join(faults))

    async def _play(self, sample: Sample) -> None:
        if sample.after is not None:
            await self._follow(sample, sample.after)
        for event in sample.then:
            delivered = await self._report(sample, event)
            while delivered.waiting:
                self._waits[sample.case] = f"it takes {event.name}"
                await asyncio.sleep(_LOOK_EVERY)
                delivered = await self._report(sample, event)
            if delivered.refused:
                raise SampleError(f"{event.name} was refused: {'; '.join(delivered.refused)}")
        await self._until(sample, f"it comes to {sample.settles}", lambda: self._reached(sample))
        self.unsettled.discard(sample.case)

    async def _follow(self, sample: Sample, after: str) -> None:
        """File a sample once the one before it has come to its end, unless it was filed before."""
        before = next((other for other in self.all if other.case == after), None)
        if before is None:
            raise SampleError(f"after: there is no sample of {after}")
        await self._until(sample, f"{after} comes to {before.settles}", lambda: self._reached(before))
        async with self._sessions() as session:
            there = await session.get(IntakeRow, sample.case)
        if there is None:
            await self._file(sample)

    async def _report(self, sample: Sample, event: SampleEvent) -> Delivered:
        async with self._sessions() as session:
            kept = await session.get(EventRow, (sample.case, event.event))
        if kept is not None:
            return await self._intake.deliver(kept)
        if (when := event.when) is not None:
            where = f"{when.stage}, waiting for {when.waits_for}" if when.waits_for else when.stage
            await self._until(sample, f"it stands in {where}, for {event.name}", lambda: self._stands(sample, when))
        self._waits[sample.case] = f"it takes {event.name}"
        message = {"actor": event.actor, **self._real(sample, event.message)}
        if event.report is not None:
            sha256 = sha256_of(f"{sample.case} {event.event}".encode())
            report = Report.model_validate(self._real(sample, event.report))
            await Signatures(self._sessions).enter(sample.case, sha256, report, event.actor, self._now())
            message["signature"] = sha256
        return await self._intake.submit_event(sample.case, event.event, event.name, message)

    async def _stands(self, sample: Sample, at: Standing) -> bool:
        async with self._sessions() as session:
            row = await session.get(CaseRow, sample.case)
        return row is not None and row.stage == at.stage and at.waits_for in row.waits_for

    async def _reached(self, sample: Sample) -> bool:
        """Whether its timeline has the stage: somebody may have brought the case further since."""
        async with self._sessions() as session:
            found = await session.exec(
                select(TimelineRow.step).where(TimelineRow.case == sample.case, TimelineRow.stage == sample.settles)
            )
            return found.first() is not None

    def _real(self, sample: Sample, value: dict[str, Any]) -> dict[str, Any]:
        zone = ZoneInfo(book(sample.filing["organisation"]).zone)
        real: dict[str, Any] = resolved(value, self._now(), zone)
        return real

    async def _until(self, sample: Sample, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for a condition, and say so to whoever gives up; `settle` ends it."""
        self._waits[sample.case] = what
        while not await condition():  # noqa: ASYNC110  # what is waited for happens in another process
            await asyncio.sleep(_LOOK_EVERY)
