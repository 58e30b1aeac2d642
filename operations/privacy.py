"""Privacy requests from the command line: the password of an encrypted answer."""

from __future__ import annotations

from models.errors import Refusal
from models.tables import CaseRow
from operations.intake import Sessions
from security.keys import KeyDestroyed, Keyring, NoKey
from security.password import answer_password


async def answer_password_of(sessions: Sessions, keyring: Keyring, case: str) -> str:
    """The password of a privacy request's encrypted answer.

    Raises:
        Refusal: There is no such privacy request, or it was erased.
    """
    try:
        async with sessions() as session:
            row = await session.get(CaseRow, case)
            if row is None or row.kind != "privacy_request":
                raise Refusal(f"case: there is no privacy request {case}")
        return await answer_password(keyring, case)
    except (KeyDestroyed, NoKey):
        raise Refusal("case: it was erased, or its key is lost") from None
