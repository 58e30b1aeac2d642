"""What tests say and ask: file, say, wait for a condition, move a case's time, read the ledger and the timeline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel, col, select
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.beating import Beating
from activities.case import CaseActivities
from models.names import TASK_QUEUE
from models.tables import BellRow, CaseRow, ClientRow, ClockRow, NoticeRow, PolicyRow, TimelineRow
from operations.intake import Intake, Sessions
from operations.own_store import opened
from security.index import index_of
from security.keys import Keyring
from tests.replay.history import opened as in_clear
from worker import runner
from workflows import registry

RIGA = ZoneInfo("Europe/Riga")
VILNIUS = ZoneInfo("Europe/Vilnius")
_numbers = count(1)


class VirtualNow:
    """The instant that activities and the database see; it runs on by itself, as a clock does."""

    def __init__(self, database: AsyncEngine) -> None:
        self._database = database
        self._offset = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def ahead(self) -> timedelta:
        """How far it is ahead of the machine's clock."""
        return self._offset

    async def take_over(self) -> None:
        """Let the database's one clock function give this instant; only ever in a database of tests."""
        async with self._database.begin() as connection:
            await connection.execute(text("CREATE TABLE test_offset (seconds double precision NOT NULL)"))
            await connection.execute(text("INSERT INTO test_offset VALUES (0)"))
            await connection.execute(
                text(
                    "CREATE OR REPLACE FUNCTION termins_now() RETURNS timestamptz LANGUAGE sql AS "
                    "'SELECT clock_timestamp() + make_interval(secs => seconds) FROM test_offset'"
                )
            )

    async def set(self, at: datetime) -> None:
        """Move all of them to this instant."""
        self._offset = at - datetime.now(UTC)
        await self.set_database(self._offset)

    def set_worker(self, offset: timedelta) -> None:
        """Move the activities' clock alone."""
        self._offset = offset

    async def set_database(self, offset: timedelta) -> None:
        """Move the database's clock alone."""
        async with self._database.begin() as connection:
            await connection.execute(
                text("UPDATE test_offset SET seconds = :seconds"), {"seconds": offset.total_seconds()}
            )


def text_of(mail: EmailMessage) -> str:
    """All text of a mail, attachments included."""
    return "\n".join(str(part.get_content()) for part in mail.walk() if part.get_content_maintype() == "text")


async def everything_stored(sessions: Sessions) -> list[tuple[str, dict[str, Any]]]:
    """Every row of every table, opened: the table's name and the row."""
    async with sessions() as session:
        connection = await session.connection()
        return [
            (table.name, row)
            for table in SQLModel.metadata.sorted_tables
            for row in await opened(connection, select(table))
        ]


async def everything_told(client: Client, case: str) -> str:
    """All that a case's history holds, its payloads opened."""
    fetched = await client.get_workflow_handle(case).fetch_history()
    history = await in_clear(fetched, client.data_converter, client.namespace)
    assert history is not None
    return "\n".join([history.to_json(), *(e.SerializeToString().decode("utf-8", "replace") for e in history.events)])


class Refused(Exception):
    """A case refused a message: its error type and faults."""

    def __init__(self, type: str | None, faults: tuple[str, ...]) -> None:
        super().__init__(f"{type}: {'; '.join(faults)}")
        self.type = type
        self.faults = faults


@dataclass
class World:
    """Everything a test touches."""

    environment: WorkflowEnvironment
    client: Client
    sessions: Sessions
    keyring: Keyring
    intake: Intake
    now: VirtualNow
    var: Path
    activities: list[Callable[..., Any]]
    filed: list[str]
    """The cases filed, for whoever records their histories."""

    @property
    def case_activities(self) -> CaseActivities:
        """The store's side of every case."""
        owners = [getattr(a, "__self__", None) for a in self.activities]
        return next(owner for owner in owners if isinstance(owner, CaseActivities))

    @property
    def activity_names(self) -> list[str]:
        """The names under which the activities are registered."""
        definitions: list[Any] = [
            getattr(a, "__temporal_activity_definition") for a in self.activities
        ]  # a private name of the SDK
        return [definition.name for definition in definitions]

    def serving(self) -> Worker:
        """A worker for this world, for as long as the block runs."""
        return Worker(
            self.client,
            task_queue=TASK_QUEUE,
            workflows=registry.ALL,
            activities=self.activities,
            workflow_runner=runner(),
            interceptors=[Beating()],
        )

    # ---- doing ------------------------------------------------------------------------------------------------------

    async def begin(self, at: datetime) -> None:
        """Let the present be this instant."""
        await self.now.set(at)

    async def file(self, kind: str, organisation: str, content: dict[str, Any], **more: Any) -> str:
        """File a case; the case's id."""
        filed = await self.intake.submit(
            {
                "kind": kind,
                "organisation": organisation,
                "reference": more.pop("reference", f"T{next(_numbers):06d}"),
                "received_at": more.pop("received_at", self.now()).isoformat(),
                "sender": "system:tests",
                "content": content,
                **more,
            }
        )
        self.filed.append(filed.case)
        return filed.case

    async def say(
        self, case: str, name: str, actor: str = "op-1", id: str | None = None, **message: Any
    ) -> dict[str, Any]:
        """Send a message as an operator would.

        Raises:
            Refused: The case refused it.
        """
        return await self.send(case, name, {"case": case, "actor": actor, **message}, id=id)

    async def send(self, case: str, name: str, *args: Any, id: str | None = None) -> dict[str, Any]:
        """Send an update with exactly these arguments."""
        try:
            answer = await self.handle(case).execute_update(name, args=list(args), id=id)
        except WorkflowUpdateFailedError as e:
            cause = e.cause
            if not isinstance(cause, ApplicationError):
                raise
            raise Refused(cause.type, tuple(str(d) for d in cause.details) or (cause.message,)) from None
        return dict(answer)

    async def covered(self, case: str, actor: str = "op-1") -> None:
        """Say of every point of a claim's cover that waits for the handler that it is met."""
        row = await self.row(case)
        assert row is not None
        waiting = row.state["body"]["findings"]
        said = [
            {"code": code, "outcome": "met", **({} if stands == "open" else {"reason": "looked at"})}
            for code, stands in waiting.items()
        ]
        await self.say(case, "judge_findings", actor=actor, findings=said)

    async def advance(self, case: str, to: datetime) -> None:
        """Move the present, and this case's own time, to an instant."""
        await self.settled(case)
        await self.now.set(to)
        handle = self.handle(case)
        current = await self.environment.get_current_time(handle)
        if to > current:
            await self.environment.fast_forward(handle, to - current)
        # a skip returns before what it made due has reached the worker (if one runs)
        with suppress(AssertionError):
            await self.until(lambda: self._ticked(case, to), "what came due is recorded", seconds=3)
        await self.settled(case)

    async def _ticked(self, case: str, by: datetime) -> bool:
        """Nothing that was due by then is still to be recorded."""
        async with self.sessions() as session:
            running = (
                await session.exec(select(ClockRow).where(ClockRow.case == case, ClockRow.status == "running"))
            ).all()
        return not any(
            instant <= by for row in running for instant in (row.due, *map(datetime.fromisoformat, row.reminders))
        )

    # ---- waiting ----------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], Awaitable[Any]], what: str = "", seconds: float = 60) -> Any:
        """Wait for a condition."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            if result := await condition():
                return result
            if asyncio.get_running_loop().time() > end:
                raise AssertionError(f"never came true: {what or condition}")
            await asyncio.sleep(0.02)

    async def settled(self, case: str) -> None:
        """Wait until nothing of the case is in flight: no activity, no workflow task."""

        async def quiet() -> bool:
            described = await self.handle(case).describe()
            raw = described.raw_description
            return not raw.pending_activities and not raw.HasField("pending_workflow_task")

        await self.until(quiet, f"{case} is quiet")

    async def stage(self, case: str, stage: str) -> CaseRow:
        """Wait until the case is in this stage."""

        async def there() -> CaseRow | None:
            row = await self.row(case)
            return row if row is not None and row.stage == stage else None

        try:
            found: CaseRow = await self.until(there, f"{case} in stage {stage}")
        except AssertionError:
            row = await self.row(case)
            raise AssertionError(f"{case} is in stage {row.stage if row else None}, not {stage}") from None
        await self.settled_or_closed(case)
        return found

    async def settled_or_closed(self, case: str) -> None:
        """As `settled`; a closed case is."""
        await self.settled(case)

    async def payment(self, case: str, key: str, status: str) -> None:
        """Wait until a claim's payment is in this state."""

        async def there() -> bool:
            row = await self.row(case)
            return row is not None and any(
                p["key"] == key and p["status"] == status for p in row.state["body"]["payments"]
            )

        await self.until(there, f"{key} is {status}")

    async def ring(self, case: str, reason: str) -> None:
        """Ring a case, as a committed step of another one does."""
        async with self.sessions() as session, session.begin():
            session.add(BellRow(case=case, reason=reason, created_at=self.now()))
        await self.handle(case).signal("look_again")

    async def details(self, case: str) -> str:
        """What the UI shows of a case: its current details."""
        metadata: Any = await self.handle(case).query("__temporal_workflow_metadata")
        return str(metadata.current_details)

    # ---- reading ----------------------------------------------------------------------------------------------------

    def handle(self, case: str) -> WorkflowHandle[Any, Any]:
        """The case's workflow."""
        return self.client.get_workflow_handle(case)

    async def row(self, case: str) -> CaseRow | None:
        """The case's row."""
        async with self.sessions() as session:
            return await session.get(CaseRow, case)

    async def clock(self, case: str, duty: str, subject: str = "", n: int | None = None) -> ClockRow:
        """The latest clock of a duty and subject (or the n-th)."""
        async with self.sessions() as session:
            rows = (
                await session.exec(
                    select(ClockRow)
                    .where(ClockRow.case == case, ClockRow.duty == duty, ClockRow.subject == subject)
                    .order_by(col(ClockRow.n))
                )
            ).all()
        assert rows, f"{case} has no clock {duty} {subject}"
        return rows[-1] if n is None else rows[n - 1]

    async def clocks(self, case: str) -> dict[tuple[str, str], str]:
        """Duty and subject → status of the latest clock."""
        async with self.sessions() as session:
            rows = (await session.exec(select(ClockRow).where(ClockRow.case == case).order_by(col(ClockRow.n)))).all()
        return {(r.duty, r.subject): r.status for r in rows}

    async def timeline(self, case: str) -> list[TimelineRow]:
        """The case's steps in order."""
        async with self.sessions() as session:
            return list(
                (
                    await session.exec(
                        select(TimelineRow).where(TimelineRow.case == case).order_by(col(TimelineRow.step))
                    )
                ).all()
            )

    async def entries(self, case: str) -> list[str]:
        """The names of the steps in order."""
        return [row.entry for row in await self.timeline(case)]

    async def notices(self, case: str) -> dict[str, NoticeRow]:
        """The case's letters by key."""
        async with self.sessions() as session:
            rows = (await session.exec(select(NoticeRow).where(NoticeRow.case == case))).all()
        return {row.key: row for row in rows}

    def mails(self, to: str) -> list[EmailMessage]:
        """What lies in the carrier for an address."""
        found = []
        for folder in ("new", "cur"):
            for path in sorted((self.var / "mail" / folder).glob("*")):
                message = message_from_bytes(path.read_bytes(), policy=policy.default)
                assert isinstance(message, EmailMessage)
                if to in str(message["To"]):
                    found.append(message)
        return found

    async def everything_stored(self) -> list[tuple[str, dict[str, Any]]]:
        """See `everything_stored`."""
        return await everything_stored(self.sessions)

    async def everything_told(self, case: str) -> str:
        """See `everything_told`."""
        return await everything_told(self.client, case)

    # ---- what cases need --------------------------------------------------------------------------------------------

    async def policy(self, number: str | None = None, **terms: Any) -> str:
        """A policy of BTA; its number."""
        number = number or f"P{next(_numbers):06d}"
        await self.keyring.create(f"policy:{number}")
        index = await index_of(self.keyring, "name", f"SIA Jumtu Meistari {number}")
        async with self.sessions() as session, session.begin():
            session.add(
                PolicyRow(
                    policy=number,
                    organisation="BTA",
                    policyholder={"name": "SIA Jumtu Meistari"},
                    insured={
                        "name": f"SIA Jumtu Meistari {number}",
                        "email": "ins@jumtumeistari.example",
                        "language": "lv",
                    },
                    insured_index=index,
                    starts_on=datetime(2026, 1, 1, tzinfo=RIGA).date(),
                    ends_on=datetime(2030, 12, 31, tzinfo=RIGA).date(),
                    terms={
                        "limit_per_occurrence": "50000.00",
                        "limit_aggregate": "100000.00",
                        "deductible": {"kind": "amount", "value": "200.00"},
                        **terms,
                    },
                )
            )
        return number

    async def customer(self, **more: Any) -> str:
        """A client of the broker; its code."""
        number = f"K{next(_numbers):06d}"
        await self.keyring.create(f"client:{number}")
        async with self.sessions() as session, session.begin():
            session.add(
                ClientRow(
                    client=number,
                    organisation="BL",
                    name=f"SIA Ostas Noliktavas {number}",
                    language=more.get("language", "lv"),
                    responsible=more.get(
                        "responsible", {"name": "Ilze Kalna", "email": "ilze.kalna@noliktavas.example"}
                    ),
                    requesters=more.get(
                        "requesters", [{"name": "Ilze Kalna", "email": "ilze.kalna@noliktavas.example"}]
                    ),
                    authenticators=more.get("authenticators", []),
                    contract=more.get("contract"),
                    contract_until=more.get("contract_until"),
                )
            )
        return number
