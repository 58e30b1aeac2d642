"""Who a person is: whether a signature is that person's, and what an age or a power of attorney allows."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

from models.signature import Seen, Validated, Verdict


def same_code(one: str, other: str) -> bool:
    """Whether two personal codes are the same, however they are separated."""
    return _plain(one) == _plain(other)


def same_name(one: str, other: str) -> bool:
    """Whether two names are the same words in any order, without case and diacritics: certificates write capitals."""
    return _words(one) == _words(other)


def signed_by(found: Verdict | Validated, name: str, code: str, until: datetime) -> tuple[Seen | None, tuple[str, ...]]:
    """The signature by which this person is identified, or every reason why there is none; the reasons name nobody.

    Args:
        found: What Termins or a person found.
        name: Of the person who asks.
        code: Personal code of the person who asks.
        until: When the person is said to have been identified; nothing that is signed later shows that.
    """
    if isinstance(found, Validated):
        faults = _differs(found.personal_code, found.name, found.signed_at, name, code, until)
        seen = Seen(sha256=found.sha256, by="person", service=found.service, signed_at=found.signed_at)
        return (None, faults) if faults else (seen, ())
    if not found.valid:
        reasons = found.faults or tuple(dict.fromkeys(f for s in found.signatures for f in s.faults))
        return None, tuple(f"signature: {reason}" for reason in reasons)
    closest: tuple[str, ...] | None = None
    for one in found.signatures:
        if one.faults or one.signed_at is None or one.personal_code is None:
            continue
        faults = _differs(one.personal_code, one.name or "", one.signed_at, name, code, until)
        if not faults:
            said = tuple(dict.fromkeys((*one.not_verified, *found.not_verified)))
            return Seen(sha256=found.sha256, by="termins", signed_at=one.signed_at, not_verified=said), ()
        closest = faults if closest is None or len(faults) < len(closest) else closest
    return None, closest or ("signature: none is a valid qualified signature",)


def _differs(
    signed_code: str, signed_name: str, signed_at: datetime, name: str, code: str, until: datetime
) -> tuple[str, ...]:
    return (
        *(() if same_code(signed_code, code) else ("signature: it is another person's: the personal code differs",)),
        *(() if same_name(signed_name, name) else ("signature: the name of who signed differs",)),
        *(() if signed_at <= until else ("signature: it was made after the person is said to have been identified",)),
    )


def _plain(code: str) -> str:
    return re.sub(r"[^0-9a-z]", "", code.casefold())


def _words(name: str) -> list[str]:
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    return sorted(re.findall(r"[^\W\d_]+", plain))
