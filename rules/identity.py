"""Who a person is: whether a signature is that person's, and what an age or a power of attorney allows."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from models.privacy import UNCHECKED, Authority, AuthorityKind, Representing, Right
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
        reasons = reasons or ("nothing is signed",)
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
    return None, closest or ("signature: none says who signed, and when",)


def may_represent(
    said: Authority,
    accepted: Mapping[AuthorityKind, Representing],
    rights: Sequence[Right],
    channel: str,
    at: datetime,
    zone: ZoneInfo,
) -> tuple[datetime | None, tuple[str, ...]]:
    """Until when somebody may act for the data subject (None: no end is known), or everything that stands against it.

    Args:
        said: What gives the right to represent.
        accepted: What the controller's rulebook accepts.
        rights: What was asked for.
        channel: By which channel the representative is identified.
        at: When; the day is that of the controller's zone.
        zone: The controller's.
    """
    terms = accepted.get(said.kind)
    if terms is None:
        return None, (f"authority.kind: not accepted; accepted: {', '.join(accepted)}",)
    faults = []
    if channel not in terms.channels:
        faults.append(f"channel: {said.kind} is accepted {', '.join(terms.channels)} only ({terms.clause})")
    if said.kind == "power_of_attorney":
        until, more = _power_of_attorney(said, terms, rights, at, zone)
    else:
        until, more = _by_law(said, terms, at, zone)
    faults += more
    return (None, tuple(faults)) if faults else (until, ())


def of_age(born_on: date, years: int, zone: ZoneInfo) -> datetime:
    """The first instant of the birthday in the zone; who was born on 29 February has it on 1 March in other years."""
    try:
        day = born_on.replace(year=born_on.year + years)
    except ValueError:
        day = date(born_on.year + years, 3, 1)
    return datetime.combine(day, time.min, zone)


def _power_of_attorney(
    said: Authority, terms: Representing, rights: Sequence[Right], at: datetime, zone: ZoneInfo
) -> tuple[datetime | None, list[str]]:
    today = at.astimezone(zone).date()
    faults = []
    uncovered = [right for right in rights if right not in said.rights and right not in UNCHECKED]
    if uncovered:
        faults.append(f"authority.rights: the power of attorney does not cover: {', '.join(uncovered)}")
    if said.form is None:
        faults.append("authority.form: simple or notarised")
    elif terms.form == "notarised" and said.form != "notarised":
        faults.append(f"authority.form: only notarised ({terms.clause})")
    if said.given_on is None:
        faults.append("authority.given_on: the day on which it was given")
    elif said.given_on > today:
        faults.append("authority.given_on: lies after the identification")
    if said.until is not None and said.until < today:
        faults.append("authority.until: it has expired")
    if said.born_on is not None:
        faults.append("authority.born_on: only for a parent or guardian")
    if said.until is None:
        return None, faults
    return datetime.combine(said.until + timedelta(days=1), time.min, zone), faults


def _by_law(said: Authority, terms: Representing, at: datetime, zone: ZoneInfo) -> tuple[datetime | None, list[str]]:
    faults = []
    if said.rights or said.form is not None or said.given_on is not None or said.until is not None:
        faults.append("authority: rights, form, given_on and until only for a power of attorney")
    if said.born_on is None:
        return None, [*faults, "authority.born_on: the data subject's day of birth"]
    if said.born_on > at.astimezone(zone).date():
        faults.append("authority.born_on: lies in the future")
    if terms.under is None:
        return None, faults
    until = of_age(said.born_on, terms.under, zone)
    if at >= until:
        faults.append(f"authority.born_on: from {terms.under} years on the data subject asks alone ({terms.clause})")
    return until, faults


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
