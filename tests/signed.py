"""For tests that need somebody identified by a signature: the verdict that a person found in another validator."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from models.signature import Report
from models.tables import PartyRow
from operations.signatures import Signatures
from tests.world import World


async def validated(world: World, case: str, at: datetime, **more: Any) -> str:
    """SHA-256 of a document that the person who asks is said to have signed; the report is kept for the case."""

    async def known() -> PartyRow | None:
        async with world.sessions() as session:
            subject = await session.get(PartyRow, (case, "subject"))
            return await session.get(PartyRow, (case, "representative")) or subject

    asks: PartyRow = await world.until(known, "the case is opened")
    report = {
        "service": "signatures.example",
        "report": "dms/validation-1",
        "validated_at": at,
        "signed_at": at,
        "name": asks.name,
        "personal_code": asks.personal_code,
        "statement": "qualified signature, valid",
        **more,
    }
    sha256 = hashlib.sha256(case.encode()).hexdigest()
    signatures = Signatures(world.sessions)
    await signatures.enter(case, sha256, Report.model_validate(report), "op-1", max(at, world.now()))
    return sha256
