"""Consents judged: whether one still stands at an instant, for which channels, until when, and why not (GDPR 7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from models.common import Model
from models.consent import Answer, ContactChannel, Over, Reason, Statement
from rules.calendar import load
from rules.period import count
from rules.rulebook import Rulebook
from rules.storage import Term, purposes, term

FROM_CONSENT = "consent_given"
"""The start event of a term that is counted from the consent itself."""
EVENT = {"withdrawn": "the consent was withdrawn", "objected": "the person objected to direct marketing"}
WORSE: tuple[Reason, ...] = (
    "objected",
    "restricted",
    "withdrawn",
    "expired",
    "without_proof",
    "other_product",
    "other_channel",
)
"""Of several consents none of which allows it, the reason that is said: what a person did comes before what lacks."""
RESTRICTION = "GDPR 18(2)"
SECOND = timedelta(seconds=1)


class Standing(Model):
    """One consent as it stands at an instant."""

    consent: str
    purpose: str
    given_at: datetime
    channels: tuple[ContactChannel, ...]
    """For which it was given."""
    gone: dict[ContactChannel, datetime]
    """The channels that were withdrawn, and when."""
    ended_at: datetime | None = None
    """When the last of it was withdrawn, or the person objected."""
    ended_by: Reason | None = None
    proved: bool
    about: str | None = None
    restricted: bool = False
    due: datetime | None = None
    """When its term is over, if nothing ends it before; None: no term is counted from the consent."""

    @property
    def left(self) -> tuple[ContactChannel, ...]:
        """The channels that were not withdrawn."""
        return tuple(one for one in self.channels if one not in self.gone)


def purposes_on_consent(book: Rulebook) -> dict[str, str]:
    """Purpose that rests on consent → the duty that is its storage term."""
    return {one.purpose: duty for duty, one in purposes(book).items() if one.ground == "consent"}


def fold(book: Rulebook, statements: Iterable[Statement], at: datetime) -> list[Standing]:
    """Every consent that was given by this instant, as what was said until then leaves it; the first given first."""
    found: dict[str, Standing] = {}
    marks: dict[str, set[str]] = {}
    for one in sorted(statements, key=lambda s: (s.at, s.n)):
        if one.at > at:
            continue
        if one.what == "given" and one.consent is not None:
            found[one.consent] = Standing(
                consent=one.consent,
                purpose=one.purpose,
                given_at=one.at,
                channels=one.channels,
                gone={},
                proved=one.proof is not None,
                about=one.about,
            )
        elif one.consent is None:
            of_purpose = [name for name, standing in found.items() if standing.purpose == one.purpose]
            found |= {name: _ended(found[name], one) for name in of_purpose}
        elif one.consent in found:
            found[one.consent] = _after(found[one.consent], one, marks.setdefault(one.consent, set()))
    return _with_terms(book, list(found.values()))


def _after(standing: Standing, said: Statement, marks: set[str]) -> Standing:
    match said.what:
        case "proved":
            return standing.model_copy(update={"proved": True})
        case "withdrawn":
            return _ended(standing, said)
        case "restricted":
            marks.add(said.source or "")
            return standing.model_copy(update={"restricted": True})
        case "released":
            marks.discard(said.source or "")
            return standing.model_copy(update={"restricted": bool(marks)})
    return standing


def _ended(standing: Standing, said: Statement) -> Standing:
    """A consent after it was taken back, for some channels or for all; what had ended before stays as it ended."""
    if standing.ended_by is not None:
        return standing
    meant = [one for one in said.channels or standing.channels if one in standing.channels]
    if said.channels and not meant:
        return standing
    gone = {**dict.fromkeys(meant, said.at), **standing.gone}
    update: dict[str, Any] = {"gone": gone}
    if not said.channels or set(gone) >= set(standing.channels):
        update |= {"ended_at": said.at, "ended_by": said.what}
    return standing.model_copy(update=update)


def _with_terms(book: Rulebook, found: Sequence[Standing]) -> list[Standing]:
    """Each with the end of its term.

    Where the rulebook counts from the latest consent, one that was given while another still ran extends that one; a
    consent that is over is not revived, and one that is withdrawn or not proven extends nothing.
    """
    consents, known = book.consents, purposes_on_consent(book)
    latest = consents.latest if consents is not None else ()
    counted = [one.model_copy(update={"due": _due(book, known.get(one.purpose), one.given_at)}) for one in found]
    for purpose in latest:
        end: datetime | None = None
        of_purpose = [n for n, one in enumerate(counted) if one.purpose == purpose]
        group: list[int] = []
        for n in of_purpose:
            one = counted[n]
            if end is not None and one.given_at >= end:
                end, group = None, []
            if one.due is not None and (one.ended_by is None and one.proved):
                end = one.due if end is None else max(end, one.due)
                group.append(n)
                for m in group:
                    counted[m] = counted[m].model_copy(update={"due": end})
    return counted


def _due(book: Rulebook, duty: str | None, given_at: datetime) -> datetime | None:
    if duty is None or book.find(duty).anchor != FROM_CONSENT:
        return None
    return _term(book, duty, given_at).due


def _term(book: Rulebook, duty: str, since: datetime) -> Term:
    return term(book, duty, purposes(book)[duty], since)


# ---- may somebody be contacted --------------------------------------------------------------------------------------


def may(
    book: Rulebook,
    statements: Sequence[Statement],
    purpose: str,
    channel: ContactChannel | None,
    about: str | None,
    at: datetime,
) -> Answer:
    """Whether a person may be contacted for a purpose by a channel, of what is known of the person at this instant.

    Raises:
        KeyError: Nothing in this rulebook rests on consent, or not this purpose.
    """
    consents = book.consents
    if consents is None:
        raise KeyError(f"{book.organisation} has no purposes that rest on consent")
    duty = purposes_on_consent(book)[purpose]
    relevant = [one for one in statements if one.purpose == purpose]
    found = fold(book, relevant, at)
    answer = Answer(
        organisation=book.organisation,
        purpose=purpose,
        channel=channel,
        at=at,
        may=False,
        reason="none",
        clause=consents.proof,
    )
    if not found:
        said = [one for one in relevant if one.consent is None and one.at <= at]
        if not said:
            return answer
        last = max(said, key=lambda one: (one.at, one.n))
        return answer.model_copy(update={"reason": last.what, "clause": consents.withdrawal, "since": last.at})
    judged = [(_reason(one, channel, about, at), one) for one in found]
    # of several that allow it the one that lasts longest
    good = [one for reason, one in judged if reason == "given"]
    if good:
        best = max(good, key=lambda one: (one.due or datetime.max.replace(tzinfo=UTC), one.given_at))
        clause = consents.gates.get(purpose, consents.proof)
        update = {"may": True, "reason": "given", "consent": best.consent, "since": best.given_at, "until": best.due}
        return answer.model_copy(update={**update, "clause": clause})
    reason, one = min(judged, key=lambda pair: (WORSE.index(pair[0]), -pair[1].given_at.timestamp()))
    gate = consents.gates.get(purpose, consents.proof)
    clauses: dict[Reason, str] = {
        "objected": consents.withdrawal,
        "withdrawn": consents.withdrawal,
        "restricted": RESTRICTION,
        "expired": duty,
        "without_proof": consents.proof,
        "other_product": gate,
        "other_channel": gate,
    }
    since = {
        "objected": one.ended_at,
        "withdrawn": one.gone.get(channel) if channel is not None and channel in one.gone else one.ended_at,
        "expired": one.due,
    }.get(reason, one.given_at)
    return answer.model_copy(
        update={"reason": reason, "clause": clauses[reason], "consent": one.consent, "since": since}
    )


def _reason(one: Standing, channel: ContactChannel | None, about: str | None, at: datetime) -> Reason:
    if one.about is not None and one.about != about:
        return "other_product"
    if channel is not None and one.channels and channel not in one.channels:
        return "other_channel"
    if one.ended_by is not None:
        return one.ended_by
    if channel is not None and channel in one.gone:
        return "withdrawn"
    if not one.proved:
        return "without_proof"
    if one.due is not None and one.due <= at:
        return "expired"
    return "restricted" if one.restricted else "given"


# ---- when data are over ---------------------------------------------------------------------------------------------


def over(book: Rulebook, one: Standing) -> Over:
    """By which term the data of a consent are over: it ran out, or was withdrawn before.

    A purpose whose term starts with another event, such as a contest, is over here with the withdrawal only: until
    then the consent is what proves that the records elsewhere may be kept.
    """
    duty = purposes_on_consent(book).get(one.purpose)
    if duty is None:
        return Over(duty="")
    found = Over(duty=duty)
    zone = ZoneInfo(book.zone)
    if one.due is not None:
        counted = _term(book, duty, one.given_at)
        said = counted.derivation
        if counted.due != one.due:
            said = (f"counted from the latest consent: over at {one.due.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",)
        last = (one.due - SECOND).astimezone(zone).date()
        found = found.model_copy(update={"due": one.due, "last_day": last, "derivation": said})
    if one.ended_at is not None and one.ended_by is not None and (found.due is None or one.ended_at < found.due):
        at = one.ended_at.astimezone(UTC)
        said = (*found.derivation, f"{EVENT[one.ended_by]} at {at:%Y-%m-%dT%H:%M:%SZ}, and the term ended with it")
        found = found.model_copy(update={"due": at, "last_day": at.astimezone(zone).date(), "derivation": said})
    return found


def to_stop_by(book: Rulebook, received_at: datetime) -> tuple[datetime | None, datetime | None]:
    """By when what rests on a consent has to have stopped, and from when on that is late; None: no row counts it."""
    consents = book.consents
    row = next((d for d in book.duty if consents is not None and d.id == consents.withdrawal), None)
    if row is None or row.period is None:
        return None, None
    calendar = load(book.calendar)
    due = count(received_at, row.period, book.zone, calendar).due
    return due, count(received_at, row.latest, book.zone, calendar).due if row.latest is not None else due
