"""One decision about an authenticator for a thousand clients: how soon each has a case, and what the small case costs.

No workflow has them as children: the decision files rows, and outbox and sweep start the cases (docs/decisions/0040).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

from sqlalchemy import func
from sqlmodel import col, select
from temporalio.api.enums.v1 import EventType

from bench.house import House
from bench.measure import megabytes, until
from bench.product import ACTOR, Product, filing
from models.authenticator_decision import Progress
from models.now import wall_clock
from models.tables import CaseRow, ConcernedRow, NoticeRow, TimelineRow
from operations.loading import load

AUTHENTICATOR = "smart-id"
NOTICE, TAKEN_BACK = "BL-3-notice", "BL-3-withdrawn"
AT_ONCE = 100
"""Clients that one file registers."""
WEIGHED_EVERY = 1.0
"""Seconds between two looks at the worker's memory."""


@dataclass(frozen=True)
class Decided:
    """What was said for all clients, and how long until the last of them had it; seconds from the word on."""

    said: str
    clients: int
    opened: float | None
    """The last client's case had begun; none where they run already."""
    told: float
    """The last letter was taken by the carrier."""
    shown: float
    """The decision's own case shows it of all of them."""
    events: int
    """In the history of the decision's case, all its runs together, since before the word."""
    steps: int
    """In its record."""
    children: int
    """That the engine has begun or holds for it as a parent."""
    cpu: float
    """CPU seconds of engine, store and worker for each client."""
    before: float
    """MB of the worker when it was said."""
    most: float
    """MB of the worker at its largest."""


async def decided(house: House, clients: int) -> list[Decided]:
    """Decide for so many clients that it ends, and once all are told take it back."""
    async with Product.at(house, "decision") as product:
        for first in range(0, clients, AT_ONCE):
            rows = [_client(n) for n in range(first, min(first + AT_ONCE, clients))]
            loaded = await load(product.connection.sessions, product.connection.keyring, {"clients": rows})
            if loaded.faults:
                raise RuntimeError("; ".join(loaded.faults))
        case = "authenticator_decision:BL:B-all"
        content = {"authenticator": AUTHENTICATOR, "scope": "end", "decided_by": "op-9"}

        async def decide() -> None:
            await product.connection.intake.submit(
                filing("authenticator_decision", "BL", "B-all", wall_clock(), content)
            )

        async def take_back() -> None:
            message = {"case": case, "actor": ACTOR, "reason": "decision_reversed"}
            await product.client.get_workflow_handle(case).execute_update("withdraw_decision", message)

        return [
            await _said(house, product, case, clients, "it ends", decide, NOTICE, "running"),
            await _said(house, product, case, clients, "it is taken back", take_back, TAKEN_BACK, "withdrawn"),
        ]


async def _said(
    house: House,
    product: Product,
    case: str,
    clients: int,
    said: str,
    say: Callable[[], Awaitable[None]],
    letter: str,
    shown: str,
) -> Decided:
    """Say it, and measure until the decision shows so of each client."""
    sessions = product.connection.sessions
    meter = house.meter(product.worker)
    events, steps = await _length(product, case), await _steps(product, case)
    theirs = select(ConcernedRow.withdrawal).where(ConcernedRow.decision == case)
    sent = select(func.max(col(NoticeRow.sent_at)), func.count()).where(
        col(NoticeRow.case).in_(theirs), NoticeRow.template == letter, col(NoticeRow.sent_at).is_not(None)
    )

    async def all_shown() -> bool:
        async with sessions() as session:
            row = await session.get(CaseRow, case)
        if row is None:
            return False
        return int(getattr(Progress.model_validate(row.state["body"]["progress"]), shown)) == clients

    async def all_told() -> bool:
        async with sessions() as session:
            return (await session.exec(sent)).one()[1] == clients

    spent, at = meter.read(), wall_clock()
    async with _weighing(product.worker) as weights:
        began = monotonic()
        await say()
        await until(all_shown, f"the decision shows {clients} clients: {said}")
        seen = monotonic() - began
        await until(all_told, f"{clients} clients are told: {said}")
    cpu = (meter.read() - spent).total / clients
    opened = select(func.max(col(CaseRow.opened_at))).where(col(CaseRow.case).in_(theirs), col(CaseRow.opened_at) >= at)
    async with sessions() as session:
        last_opened: datetime | None = (await session.exec(opened)).one()
        last_sent: datetime = (await session.exec(sent)).one()[0] or at
    return Decided(
        said=said,
        clients=clients,
        opened=None if last_opened is None else (last_opened - at).total_seconds(),
        told=(last_sent - at).total_seconds(),
        shown=seen,
        events=await _length(product, case) - events,
        steps=await _steps(product, case) - steps,
        children=await _children(product, case),
        cpu=cpu,
        before=weights[0],
        most=max(weights),
    )


@asynccontextmanager
async def _weighing(worker: int) -> AsyncIterator[list[float]]:
    """Weigh the worker again and again; its memory in MB, the first from before."""
    weights = [megabytes(worker)]

    async def weigh() -> None:
        while True:
            await asyncio.sleep(WEIGHED_EVERY)
            weights.append(megabytes(worker))

    weighing = asyncio.create_task(weigh())
    try:
        yield weights
    finally:
        weighing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await weighing
    weights.append(megabytes(worker))


async def _runs(product: Product, case: str) -> list[str]:
    """The runs of a case; one that continues as new has several."""
    return [run.run_id async for run in product.client.list_workflows(f'WorkflowId = "{case}"')]


async def _length(product: Product, case: str) -> int:
    total = 0
    for run in await _runs(product, case):
        total += (await product.client.get_workflow_handle(case, run_id=run).describe()).history_length
    return total


async def _steps(product: Product, case: str) -> int:
    async with product.connection.sessions() as session:
        steps = select(func.count()).select_from(TimelineRow).where(TimelineRow.case == case)
        return (await session.exec(steps)).one()


async def _children(product: Product, case: str) -> int:
    found = 0
    for run in await _runs(product, case):
        handle = product.client.get_workflow_handle(case, run_id=run)
        found += len((await handle.describe()).raw_description.pending_children)
        begun = EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED
        found += sum(event.event_type == begun for event in (await handle.fetch_history()).events)
    return found


def _client(n: int) -> dict[str, Any]:
    person = {"name": "Ilze Kalna", "email": f"ilze.kalna.{n}@noliktavas.example"}
    return {
        "client": f"B-{n}",
        "organisation": "BL",
        "name": f"SIA Ostas Noliktavas {n}",
        "responsible": person,
        "requesters": [person],
        "contract": f"L-{n}",
        "authenticators": [AUTHENTICATOR],
    }
