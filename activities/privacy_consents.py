"""What a privacy request stops by itself in the register of consents, in the transaction that opens it."""

from __future__ import annotations

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from models.consent import Identified
from models.privacy import PrivacyFiling, Right, StoppedConsents, WithdrawnConsents
from models.tables import IntakeRow
from operations.consent_store import HERE, known_by
from operations.consents import stop
from rules.consent import purposes_on_consent
from rules.rulebook import Rulebook
from security.keys import Keyring


async def stopped_by(
    session: AsyncSession,
    keyring: Keyring,
    rulebook: Rulebook,
    intake: IntakeRow,
    filing: PrivacyFiling,
    at: datetime,
) -> dict[Right, StoppedConsents]:
    """Stop at once what a person withdraws or objects to, whoever asks; the rights that are carried out by it.

    Where the register knows of nothing, what there is lies elsewhere: a person stops it and says so.
    """
    if rulebook.consents is None:
        return {}
    known = await known_by(
        keyring,
        # what was filed years ago may hold an address that nobody could consent with
        Identified.model_construct(personal_code=filing.person.personal_code, email=filing.person.email),
    )
    withdrawn = filing.withdraw or WithdrawnConsents()
    every = tuple(purposes_on_consent(rulebook))
    wanted: dict[Right, tuple[str, ...]] = {
        "marketing_objection": rulebook.consents.marketing,
        "consent_withdrawal": withdrawn.purposes or every,
    }
    found: dict[Right, StoppedConsents] = {}
    for right, purposes in wanted.items():
        if right not in filing.rights or not purposes:
            continue
        objected = right == "marketing_objection"
        stopped = await stop(
            session,
            rulebook,
            known,
            purposes=purposes,
            channels=() if objected else withdrawn.channels,
            received_at=intake.received_at,
            now=at,
            said_by=HERE,
            by=None,
            source=intake.case,
            objected=objected,
        )
        if stopped.anything:
            found[right] = StoppedConsents(at=at, consents=len(stopped.consents), records=len(stopped.records))
    return found
