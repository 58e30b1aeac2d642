"""One straight-through case of each kind: what it leaves in the history, and what its activities ask of the store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

from temporalio.api.enums.v1 import EventType

from bench.house import House
from bench.measure import until
from bench.product import ACTOR, RIGA, Product, filing
from models.now import wall_clock
from models.tables import AccountRow, CaseRow
from operations.connection import Connection
from operations.loading import load
from security.index import index_of

COUNTS = "counts.json"


@dataclass(frozen=True)
class Activity:
    """One activity type within a case."""

    activity: str
    runs: int
    statements: int
    commits: int


@dataclass(frozen=True)
class Kind:
    """One straight-through case."""

    kind: str
    until: str
    seconds: float
    """From filing to where it was brought; the bench's own answers included."""
    events: int
    activities: int
    at_once: int
    """Activities within a workflow task."""
    workflow_tasks: int
    history_bytes: int
    by_activity: list[Activity]


async def kinds(house: House) -> list[Kind]:
    """One case of each kind, after one of each that nobody measures."""
    lived: list[tuple[str, Kind]] = []
    async with Product.at(house, "kinds", f"count={house.var / COUNTS}") as product:
        connection = product.connection
        loaded = await load(connection.sessions, connection.keyring, {"clients": [_client(n) for n in range(2)]})
        if loaded.faults:
            raise RuntimeError("; ".join(loaded.faults))
        for n in range(2):
            for kind, (play, end) in KINDS.items():
                began = monotonic()
                case = await play(product, n)
                seconds = monotonic() - began
                if n:
                    lived.append((case, await _left(product, case, kind, end, seconds)))
    counts = json.loads((house.var / COUNTS).read_text())
    return [
        Kind(
            **{
                **vars(kind),
                "by_activity": [
                    Activity(c["activity"], c.get("runs", 0), c.get("statements", 0), c.get("commits", 0))
                    for c in counts
                    if c["case"] == case
                ],
            }
        )
        for case, kind in lived
    ]


async def _left(product: Product, case: str, kind: str, end: str, seconds: float) -> Kind:
    handle = product.client.get_workflow_handle(case)

    async def quiet() -> bool:
        raw = (await handle.describe()).raw_description
        return not raw.pending_activities and not raw.HasField("pending_workflow_task")

    await until(quiet, f"{case} is quiet")
    events = (await handle.fetch_history()).events
    described = (await handle.describe()).raw_description.workflow_execution_info
    types = Counter(e.event_type for e in events)
    return Kind(
        kind=kind,
        until=end,
        seconds=round(seconds, 2),
        events=len(events),
        activities=types[EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED],
        at_once=types[EventType.EVENT_TYPE_MARKER_RECORDED],
        workflow_tasks=types[EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED],
        history_bytes=described.history_size_bytes,
        by_activity=[],
    )


async def _stands(connection: Connection, case: str, stage: str) -> None:
    async def there() -> bool:
        async with connection.sessions() as session:
            row = await session.get(CaseRow, case)
        return row is not None and row.stage == stage

    await until(there, f"{case} in {stage}")


async def _submit(product: Product, kind: str, organisation: str, n: int, content: dict[str, Any], at: datetime) -> str:
    return (await product.connection.intake.submit(filing(kind, organisation, f"K-{n}", at, content))).case


async def _claim(product: Product, n: int) -> str:
    await product.live(range(n, n + 1))
    return product.workflow_id(n)


async def _access(product: Product, n: int) -> str:
    user = {
        "first_name": "Žanete",
        "last_name": "Ķirsone",
        "personal_code": f"3200000000{n}",
        "phone": "+371 20000000",
        "email": f"zanete.{n}@noliktavas.example",
    }
    requester = {"email": "ilze.kalna@noliktavas.example"}
    content = {"client": f"B-{n}", "requester": requester, "action": "issue", "users": [user]}
    case = await _submit(product, "access_request", "BL", n, content, wall_clock())
    await _stands(product.connection, case, "resting")
    return case


async def _withdrawal(product: Product, n: int) -> str:
    async with product.connection.sessions() as session, session.begin():
        session.add(
            AccountRow(
                client=f"B-{n}",
                username=f"K-{n}",
                case=f"access_request:BL:K-{n}",
                subject="U9",
                personal_code="32000000009",
                person=await index_of(product.connection.keyring, "personal_code", "32000000009"),
                authenticator="smart-id",
                created_at=wall_clock(),
            )
        )
    content = {"client": f"B-{n}", "authenticator": "smart-id", "scope": "end", "decided_by": "op-9"}
    case = await _submit(product, "authenticator_withdrawal", "BL", n, content, wall_clock())
    await _stands(product.connection, case, "running")
    return case


async def _privacy(product: Product, n: int) -> str:
    now = wall_clock()
    person = {"name": "Saulius Norkus", "personal_code": "30306070058", "email": "saulius@example.lt", "language": "lt"}
    content = {"rights": ["access"], "channel": "portal", "identified_by": "portal_sign_in", "person": person}
    case = await _submit(product, "privacy_request", "GJ", n, content, now)
    await _stands(product.connection, case, "answering")
    sent = {"channel": "portal", "sent_on": now.astimezone(RIGA).date().isoformat(), "reference": "portal/1"}
    message = {"case": case, "actor": ACTOR, **sent}
    await product.client.get_workflow_handle(case).execute_update("confirm_answer_sent", message)
    await _stands(product.connection, case, "resting")
    return case


def _client(n: int) -> dict[str, Any]:
    person = {"name": "Ilze Kalna", "email": "ilze.kalna@noliktavas.example"}
    return {
        "client": f"B-{n}",
        "organisation": "BL",
        "name": f"SIA Ostas Noliktavas {n}",
        "responsible": person,
        "requesters": [person],
    }


KINDS: dict[str, tuple[Callable[[Product, int], Awaitable[str]], str]] = {
    "claim": (_claim, "paid, resting"),
    "access request, one user": (_access, "issued, resting"),
    "authenticator withdrawal": (_withdrawal, "notice proven, ten days run"),
    "privacy access, GJ portal": (_privacy, "answered, resting"),
}
