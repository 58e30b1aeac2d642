"""Reminders of the end of a contract: opened when the lead time is reached, and stopped for whoever objects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import exists, func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.countable import uncountable
from models.errors import Refusal
from models.names import case_id
from models.now import Now
from models.operator import SYSTEM
from models.tables import BellRow, CaseRow, ClientRow, IntakeRow, NoticeRow, ObjectionRow, PolicyRow
from operations.filings import check
from operations.intake import POLICY_ERASED, Intake, Sessions, keep
from operations.operators import may_handle
from rules.rulebook import Rulebook, books
from security.index import index_of
from security.keys import Keyring

RENEWAL, KIND, BELL = "GJ-renewal", "renewal", "policy"
OBJECTED = "the client objected to reminders"
"""Why a letter is not sent any more."""
AT_A_TIME = 200
"""Reminders that one sweep opens."""


async def open_renewals(sessions: Sessions, intake: Intake, now: Now) -> int:
    """Open a case for every contract whose end is as near as the rulebook says; the number opened.

    None for a policyholder who objected, nor for a contract that ended early or never took effect.
    """
    opened = 0
    for rulebook in books().values():
        if all(duty.id != RENEWAL for duty in rulebook.duty):
            continue
        for case in await _file(sessions, intake, rulebook, now):
            await intake.start(case, KIND)
            opened += 1
    return opened


async def _file(sessions: Sessions, intake: Intake, rulebook: Rulebook, now: Now) -> list[str]:
    zone, lead = ZoneInfo(rulebook.zone), timedelta(days=int(rulebook.values["renewal_lead_days"]))
    today = now().astimezone(zone).date()
    nearing = (
        select(col(PolicyRow.policy), col(PolicyRow.ends_on))
        .where(
            PolicyRow.organisation == rulebook.organisation,
            PolicyRow.ends_on >= today,
            PolicyRow.ends_on <= today + lead,
            func.coalesce(col(PolicyRow.covered_until), col(PolicyRow.ends_on)) == col(PolicyRow.ends_on),
            ~exists().where(col(IntakeRow.case) == f"{KIND}:{rulebook.organisation}:" + col(PolicyRow.policy)),
            ~exists().where(
                col(ObjectionRow.organisation) == col(PolicyRow.organisation),
                col(ObjectionRow.person) == col(PolicyRow.policyholder_index),
            ),
        )
        .order_by(col(PolicyRow.ends_on), col(PolicyRow.policy))
        .limit(AT_A_TIME)
    )
    filed: list[str] = []
    async with sessions() as session:
        found = (await session.exec(nearing)).all()
    for policy, ends_on in found:
        async with sessions() as session, session.begin():
            filing = {
                "kind": KIND,
                "organisation": rulebook.organisation,
                "reference": policy,
                "received_at": _lead_reached(ends_on - lead, zone),
                "sender": f"{SYSTEM}termins",
                "content": {"policy": policy, "ends_on": ends_on.isoformat()},
            }
            row, _ = await keep(session, intake.keyring, check(filing, now()), now())
            filed.append(row.case)
    return filed


def _lead_reached(day: date, zone: ZoneInfo) -> str:
    return datetime.combine(day, time(), zone).isoformat()


# ---- objections -----------------------------------------------------------------------------------------------------


async def object_to_reminders(
    sessions: Sessions, keyring: Keyring, key: str, received_at: datetime, said_by: str, now: Now
) -> tuple[str, ...]:
    """Stop every reminder to the person of this policy or client, at once; the cases in which one was open.

    Letters that wait are called off in the same commit; the cases hear of it and record that it was done.

    Raises:
        Refusal: There is no such policy or client, or the instant lies in the future or before the calendars.
    """
    at = now()
    if received_at > at:
        raise Refusal("received_at: lies in the future")
    if (fault := uncountable(received_at)) is not None:
        raise Refusal(f"received_at: {fault}")
    async with sessions() as session, session.begin():
        organisation, person = await _person(session, keyring, key)
        await may_handle(session, organisation, said_by)
        objection = {"organisation": organisation, "person": person, "received_at": received_at}
        await session.exec(
            insert(ObjectionRow).values(**objection, stopped_at=at, said_by=said_by).on_conflict_do_nothing()
        )
        theirs = select(PolicyRow.policy).where(
            PolicyRow.organisation == organisation, PolicyRow.policyholder_index == person
        )
        cases = [case_id(KIND, organisation, policy) for policy in (await session.exec(theirs)).all()]
        stopped = await ring_open(session, cases, at)
        for case in stopped:
            await call_off(session, case, OBJECTED)
    return stopped


async def ring_open(session: AsyncSession, cases: Sequence[str], at: datetime) -> tuple[str, ...]:
    """Ring those reminders of these that are open: they look at their policy again."""
    still_open = (
        select(IntakeRow.case)
        .outerjoin(CaseRow, col(CaseRow.case) == col(IntakeRow.case))
        .where(col(IntakeRow.case).in_(cases), or_(col(CaseRow.case).is_(None), col(CaseRow.closed_at).is_(None)))
        .order_by(col(IntakeRow.case))
    )
    found = tuple((await session.exec(still_open)).all())
    session.add_all(BellRow(case=case, reason=BELL, created_at=at) for case in found)
    return found


async def _person(session: AsyncSession, keyring: Keyring, key: str) -> tuple[str, bytes]:
    """Organisation and person of a policy's holder, or of a client."""
    if (policy := await session.get(PolicyRow, key)) is not None:
        if policy.erased:
            raise Refusal(f"policy: {POLICY_ERASED}")
        if policy.policyholder_index is None:
            # written by a worker of the version before
            policy.policyholder_index = await index_of(keyring, "name", policy.policyholder["name"])
            await session.flush()
        return policy.organisation, policy.policyholder_index
    if (client := await session.get(ClientRow, key)) is not None:
        return client.organisation, await index_of(keyring, "name", client.name)
    raise Refusal("policy: there is no policy and no client with this number")


async def objection_of(session: AsyncSession, policy: PolicyRow) -> ObjectionRow | None:
    """The objection of a policy's holder."""
    if policy.policyholder_index is None:
        return None
    return await session.get(ObjectionRow, (policy.organisation, policy.policyholder_index))


async def call_off(session: AsyncSession, case: str, reason: str) -> None:
    """Letters of a case that wait are not sent any more."""
    waiting = select(NoticeRow).where(
        NoticeRow.case == case,
        col(NoticeRow.internal).is_(False),
        col(NoticeRow.sent_at).is_(None),
        col(NoticeRow.refused).is_(None),
    )
    for notice in (await session.exec(waiting)).all():
        notice.refused = reason
