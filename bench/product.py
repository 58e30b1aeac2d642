"""The product's claim as a subject: the real worker, filed and told as other systems do it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import col, select, update
from temporalio.client import Client

from bench.house import House, Room
from bench.measure import crowd, until
from models.claim import Document
from models.names import TASK_QUEUE
from models.now import wall_clock
from models.tables import CaseRow, ClockRow, NoticeRow, TimelineRow
from operations.connection import Connection, connect
from operations.loading import load
from settings import Settings

RIGA = ZoneInfo("Europe/Riga")
DECIDE = "BTA-10.5a"
PAYMENT = "C1:indemnity"
ACTOR = "system:bench"
"""A backend: it needs no row in the table of operators."""
FILED = ("proof_of_entitlement", "proof_of_amount", "certificate_of_authority")
FURTHER = tuple(document.value for document in Document if document.value not in FILED)
"""May be asked for later, each once."""
OPEN = ("territory", "activity", "third_party:C1", "liable", "direct_loss", "no_exclusion")
"""The points of cover that no fact of these claims decides."""
OLD = timedelta(days=20)
"""Claims are so old when they are filed that a document's arrival moves the later reading of the 30 days."""


def settings_of(room: Room) -> Settings:
    """The settings of this room."""
    return Settings.model_validate(
        {
            "var": room.var,
            "database_url": room.database_url,
            "keys_database_url": room.keys_database_url,
            "temporal_address": room.temporal_address,
            "namespace": room.name,
        }
    )


class Product:
    """The product's claim."""

    queue = TASK_QUEUE

    def __init__(self, room: Room, connection: Connection, options: str) -> None:
        self.name = options or "product"
        self.room = room
        self.connection = connection
        self.client: Client = connection.engine
        self.worker = 0
        self._options = options

    @classmethod
    @asynccontextmanager
    async def at(cls, house: House, name: str, options: str = "") -> AsyncIterator[Product]:
        """The subject with its worker, for as long as the block runs; the options are those of `bench.worker`."""
        room = await house.room(name)
        await room.run("starter.py", "setup")
        async with connect(settings_of(room), engine="needed") as connection:
            subject = cls(room, connection, options)
            await subject.start_worker()
            await room.serves(subject.client, TASK_QUEUE)
            try:
                yield subject
            finally:
                await room.stop()

    async def start_worker(self) -> None:
        """As the protocol says."""
        self.worker = await self.room.spawn("-m", "bench.worker", self._options)

    def workflow_id(self, n: int) -> str:
        """As the protocol says."""
        return f"claim:BTA:B-{n}"

    async def open(self, numbers: Sequence[int]) -> None:
        """As the protocol says: received, with all documents, and waiting for its decision."""
        await self._policies_for(numbers)
        await crowd(partial(self.connection.intake.submit, self._claim(n)) for n in numbers)
        await self._stand(numbers, "deciding")

        async def receipts_sent() -> bool:
            return not await self._any_letter_waits(numbers)

        await until(receipts_sent, "every receipt is confirmed")

    async def ready(self, numbers: Sequence[int]) -> None:
        """As the protocol says: every document that will arrive has been asked for, and the letters are out."""
        for document in FURTHER:
            asked = {"document": document, "named": "a list", "proves": "amount", "reason": "more"}
            message = {"actor": ACTOR, **asked}
            await crowd(partial(self._tell, n, f"ask-{document}", "require_document", message) for n in numbers)

        async def letters_sent() -> bool:
            return not await self._any_letter_waits(numbers)

        await until(letters_sent, "every letter is out")

    def kind(self, k: int) -> str:
        """As the protocol says: a handler, or, for as long as one is missing, the arrival of a document."""
        return "arrival" if k % 2 and k // 2 < len(FURTHER) else "handler"

    async def say(self, n: int, k: int) -> str:
        """As the protocol says. An arrival is noted with its act, and moves the later reading of the 30 days."""
        if self.kind(k) == "handler":
            return await self._tell(n, f"m{k}", "assign_case", {"actor": ACTOR, "handler": f"op-{k % 9 + 1}"})
        arrived = wall_clock() - OLD + timedelta(days=1 + k // 2)
        message = {"document": FURTHER[k // 2], "received_at": arrived.isoformat(), "reference": "dms/1"}
        return await self._tell(n, f"m{k}", "add_document", {"actor": ACTOR, **message})

    async def live(self, numbers: Sequence[int]) -> None:
        """As the protocol says: filed complete, decided, told, paid, resting."""
        await self.open(numbers)
        await self.decide(numbers)
        paid = {"payment": PAYMENT, "executed_on": wall_clock().astimezone(RIGA).date().isoformat()}
        message = {"actor": "system:bank", **paid, "bank_reference": "B1"}
        await crowd(partial(self._tell, n, "paid", "confirm_payment", message) for n in numbers)
        await self._stand(numbers, "resting")

    async def decide(self, numbers: Sequence[int]) -> None:
        """Decide these cases, and wait until the letters are sent and the orders are with the bank."""
        losses = [{"claimant": "C1", "head": "property_damaged", "proven": "1200.00"}]
        message = {"actor": ACTOR, "outcome": "pay", "losses": losses}
        judged = {"actor": ACTOR, "findings": [{"code": code, "outcome": "met"} for code in OPEN]}
        await crowd((partial(self._tell, n, "judged", "judge_findings", judged) for n in numbers), len(numbers))
        await crowd((partial(self._tell, n, "decided", "propose_decision", message) for n in numbers), len(numbers))

        async def all_effects_proven() -> bool:
            async with self.connection.sessions() as session:
                query = select(CaseRow).where(col(CaseRow.case).in_(self._ids(numbers)))
                bodies = [row.state["body"] for row in (await session.exec(query)).all()]
            return all(
                body["payments"]
                and all(p["status"] == "issued" for p in body["payments"])
                and all(status == "sent" for status in body["notices"].values())
                for body in bodies
            )

        await until(all_effects_proven, "letters and orders are out")

    async def fall_due(self, numbers: Sequence[int], at: datetime) -> list[float]:
        """As the protocol says.

        The 30 days end at a midnight, so the store is told another instant, and each case is ended and begins again
        from its record, as it does when somebody terminates it.
        """
        ids = self._ids(numbers)
        async with self.connection.sessions() as session, session.begin():
            await session.exec(
                update(ClockRow)
                .where(col(ClockRow.case).in_(ids), col(ClockRow.duty) == DECIDE)
                .values(due=at, latest=at, reminders=[])
            )

        async def begin_again(case: str) -> None:
            await self.client.get_workflow_handle(case).terminate()
            await self.connection.intake.start(case, "claim")

        await crowd(partial(begin_again, case) for case in ids)
        due = select(TimelineRow.recorded_at).where(TimelineRow.entry == "due", col(TimelineRow.case).in_(ids))

        async def all_due() -> bool:
            async with self.connection.sessions() as session:
                return len((await session.exec(due)).all()) == len(ids)

        await until(all_due, "every timer is recorded")
        async with self.connection.sessions() as session:
            return [(recorded - at).total_seconds() for recorded in (await session.exec(due)).all()]

    async def said(self, numbers: Sequence[int]) -> set[str]:
        """As the protocol says."""
        async with self.connection.sessions() as session:
            query = select(TimelineRow).where(
                col(TimelineRow.case).in_(self._ids(numbers)), col(TimelineRow.message_id).is_not(None)
            )
            return {f"{row.case}/{row.message_id}" for row in (await session.exec(query)).all()}

    def _ids(self, numbers: Sequence[int]) -> list[str]:
        return [self.workflow_id(n) for n in numbers]

    async def _tell(self, n: int, id: str, name: str, message: dict[str, Any]) -> str:
        case = self.workflow_id(n)
        await self.client.get_workflow_handle(case).execute_update(name, {"case": case, **message}, id=id)
        return f"{case}/{id}"

    async def _stand(self, numbers: Sequence[int], stage: str) -> None:
        wanted = set(self._ids(numbers))

        async def all_there() -> bool:
            async with self.connection.sessions() as session:
                query = select(CaseRow.case).where(CaseRow.stage == stage, col(CaseRow.case).in_(wanted))
                return len((await session.exec(query)).all()) == len(wanted)

        await until(all_there, f"{len(wanted)} claims in {stage}")

    async def _any_letter_waits(self, numbers: Sequence[int]) -> bool:
        query = select(NoticeRow.case).where(
            col(NoticeRow.case).in_(self._ids(numbers)), col(NoticeRow.sent_at).is_(None)
        )
        async with self.connection.sessions() as session:
            return (await session.exec(query.limit(1))).first() is not None

    async def _policies_for(self, numbers: Sequence[int]) -> None:
        """As many policies as claims, so that no claim waits for another one's limit."""
        insured = {"name": "SIA Jumtu Meistari", "email": "ins@jumtumeistari.example"}
        policies = [
            {
                "policy": f"B-{n}",
                "organisation": "BTA",
                "policyholder": insured,
                "insured": insured,
                "starts_on": "2026-01-01",
                "ends_on": "2035-12-31",
                "terms": {
                    "limit_per_occurrence": "50000.00",
                    "limit_aggregate": "100000.00",
                    "deductible": {"kind": "amount", "value": "200.00"},
                },
            }
            for n in numbers
        ]
        loaded = await load(self.connection.sessions, self.connection.keyring, {"policies": policies})
        if loaded.faults:
            raise RuntimeError("; ".join(loaded.faults))

    def _claim(self, n: int) -> dict[str, Any]:
        at = wall_clock() - OLD
        documents = [{"document": d, "received_at": at.isoformat(), "reference": f"dms/{d}"} for d in FILED]
        content = {
            "policy": f"B-{n}",
            "claimants": [{"name": "Anna Bērziņa", "email": f"anna.{n}@example.lv", "iban": "LV97HABA0012345678910"}],
            "occurred_on": at.astimezone(RIGA).date().isoformat(),
            "place": "Rīga",
            "description": "No jumta krita ledus un sabojāja automašīnu.",
            "losses": [{"claimant": 1, "head": "property_damaged", "amount": "1200.00"}],
            "documents": documents,
        }
        return filing("claim", "BTA", f"B-{n}", at, content)


def filing(kind: str, organisation: str, reference: str, at: datetime, content: dict[str, Any]) -> dict[str, Any]:
    """The envelope."""
    return {
        "kind": kind,
        "organisation": organisation,
        "reference": reference,
        "received_at": at.isoformat(),
        "sender": "system:bench",
        "content": content,
    }
