"""What a kind of case adds to the store: how it opens, and the acts that its steps carry out in their transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from sqlmodel.ext.asyncio.session import AsyncSession

from integrations.mail import one_address as validate_email
from models.case import Act
from models.common import Model
from models.errors import Refusal
from models.tables import IntakeRow, NoticeRow, PartyRow

ActHandler = Callable[[AsyncSession, str, dict[str, Any], datetime], Awaitable[Any]]
"""(session, case, data, the case's time) → a JSON answer for the workflow. Raises Refusal: so is the whole step."""


class Opening(Model):
    """How a case begins: its first stage and its body."""

    stage: str
    body: dict[str, Any]


class Amended(Model):
    """An act's answer that belongs to the case's body: only the store knows it, and the step is recorded with it."""

    body: dict[str, Any]


class KindStore(Protocol):
    """A kind's part of the store."""

    kind: str
    acts: Mapping[str, ActHandler]

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """Write the parties and rows of a new case, and say how it begins."""
        ...


async def _set_address(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    party = await session.get(PartyRow, (case, data["party"]))
    if party is None:
        raise Refusal("party: there is no such party in this case")
    try:
        validate_email(data["email"])
    except ValueError:
        raise Refusal("email: not an address that mail can reach") from None
    party.email = data["email"]


async def _bounced(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    notice = await session.get(NoticeRow, (case, data["notice"]))
    if notice is None or notice.sent_at is None:
        raise Refusal("notice: no such letter was sent")
    notice.bounced_at = datetime.fromisoformat(data["bounced_at"])


async def _again(session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
    """The same letters once more, each under its new key."""
    for new, old in data["renewed"].items():
        former = await session.get_one(NoticeRow, (case, old))
        if await session.get(NoticeRow, (case, new)) is None:
            kept = former.model_dump(include={"template", "party", "internal", "duty", "subject", "facts"})
            session.add(NoticeRow(case=case, key=new, queued_at=at, **kept))


COMMON: Mapping[str, ActHandler] = {
    "party.set_address": _set_address,
    "notice.bounced": _bounced,
    "notice.again": _again,
}
"""The acts that every kind of case has."""


async def act(handlers: Mapping[str, ActHandler], session: AsyncSession, case: str, wanted: Act, at: datetime) -> Any:
    """Carry out one act of a step."""
    return await {**COMMON, **handlers}[wanted.name](session, case, wanted.data, at)
