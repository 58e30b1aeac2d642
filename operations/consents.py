"""Consents: given, taken back, asked for and shown. What was said is kept in order and never changed (GDPR 7).

A withdrawal stops at once and without a question who it is: consents, and the records elsewhere that nothing else
carries, in one commit. Who asks next is told no.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlmodel import and_, col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.common import Model
from models.consent import (
    Answer,
    ConsentFiling,
    ConsentTerms,
    ContactChannel,
    Question,
    Reason,
    Stopped,
    Withdrawal,
    is_reference,
    read_consent,
    read_question,
    read_withdrawal,
)
from models.errors import Refusal
from models.now import Now
from models.tables import ConsentRow
from operations.consent_store import (
    NOBODY,
    Known,
    after,
    given_row,
    hashes_of,
    is_about,
    known_by,
    said_of,
    standings,
    statement,
)
from operations.intake import Sessions
from operations.operators import may_handle
from operations.policies import HERE
from operations.reading import NotFound
from operations.reading_json import Item
from operations.records import end_consent
from rules.consent import Standing, fold, may, purposes_on_consent, to_stop_by
from rules.rulebook import Rulebook, book, books
from security.keys import Keyring, NoKey

AT_A_TIME = 200
"""Consents of a list whose statements are read together."""
KEPT = ("purpose", "about", "at", "by", "text_version", "text_sha256", "notice_version", "informed_at")
"""Of a consent that is said again: what has to be the same."""
SAID = {"at": "given_at", "by": "given_by"}
"""Column → the field as people say it, where they differ."""


TAKEN_BACK = ("withdrawn", "objected")
"""What a person says who takes consents back."""


class Put(Model):
    """What became of a consent that was said."""

    organisation: str
    consent: str
    new: bool = False
    proved: bool = False
    """It was there without proof, and has one now."""


class Bad(Model):
    """A row that did not go in."""

    row: int | None
    consent: str | None
    faults: tuple[str, ...]


class Loaded(Model):
    """What became of many rows."""

    new: int = 0
    proved: int = 0
    unchanged: int = 0
    bad: tuple[Bad, ...] = ()

    def with_row(self, became: Put | Bad) -> Loaded:
        """The report with one more row."""
        if isinstance(became, Bad):
            return self.model_copy(update={"bad": (*self.bad, became)})
        name = "new" if became.new else "proved" if became.proved else "unchanged"
        return self.model_copy(update={name: getattr(self, name) + 1})


class Line(Model):
    """A consent in a list, without the person."""

    organisation: str
    consent: str
    purpose: str
    about: str | None
    channels: tuple[ContactChannel, ...]
    """Those that still stand."""
    given_at: datetime
    state: Reason | str
    """`given` while it stands, else why not; `erased` once it names nobody."""
    since: datetime | None = None
    """Of what does not stand: since when."""
    until: datetime | None = None
    """From this instant on its term is over."""
    proof: str | None = None


class Entry(Model):
    """Something that was said of a consent."""

    n: int
    what: str
    at: datetime
    recorded_at: datetime
    said_by: str
    by: str | None
    channels: tuple[str, ...]
    source: str | None
    proof: str | None
    clause: str | None = None
    """The row or clause of its proof; of what was taken back that of the stop."""
    due: datetime | None = None
    """Of what was taken back: by when it had to stop; it stopped with the record."""
    late: bool = False
    """Of what was taken back: it was recorded, and so stopped, later than the row of a withdrawal allows."""


class Shown(Model):
    """A consent: what was agreed to, how it was proven, and what happened to it since."""

    line: Line
    text_version: str | None
    text_sha256: str | None
    notice_version: str | None
    informed_at: datetime | None
    history: tuple[Entry, ...]
    person: dict[str, Any] | None = None
    """Only where it was asked for."""


class Consents:
    """The register of consents."""

    def __init__(self, sessions: Sessions, keyring: Keyring, now: Now) -> None:
        self._sessions = sessions
        self._keyring = keyring
        self._now = now

    # ---- given ------------------------------------------------------------------------------------------------------

    async def give(self, data: Any, said_by: str = HERE) -> Put:
        """Write a consent down; again with the same facts changes nothing, and a proof that lacked is added.

        Raises:
            Refusal: It has faults, all of them named; or it was said otherwise, or erased.
        """
        filing, faults = read_consent(data, lambda said: _unfit(said, self._now()))
        if filing is None or faults:
            raise Refusal(*faults)
        known = await known_by(self._keyring, filing.person)
        row = _row(filing, dict(known), self._now(), said_by)
        async with self._sessions() as session, session.begin():
            await may_handle(session, filing.organisation, said_by)
            # of two that are said at once the second finds the first
            lock = func.hashtextextended(row.sealed_for, 0)
            await session.exec(select(func.pg_advisory_xact_lock(lock)))
            there = await given_row(session, filing.organisation, filing.consent, lock=True, person=True)
            if there is not None:
                return await self._again(session, there, row, said_by)
            await self._keyring.create(row.sealed_for)
            session.add(row)
        return Put(organisation=filing.organisation, consent=filing.consent, new=True)

    async def _again(self, session: AsyncSession, there: ConsentRow, said: ConsentRow, said_by: str) -> Put:
        same = Put(organisation=there.organisation, consent=there.consent or "")
        differ = [SAID.get(name, name) for name in KEPT if getattr(there, name) != getattr(said, name)]
        differ += [name for name in ("channels",) if sorted(there.channels) != sorted(said.channels)]
        if there.erased_at is not None:
            # of what is erased nobody knows any more whom it named
            if differ:
                raise Refusal(f"consent: {there.consent} was erased; what is given anew has another reference")
            return same
        try:
            await self._keyring.of(there.sealed_for)
        except NoKey:
            raise Refusal(f"{there.sealed_for}: its key is not here; restore the keys first") from None
        differ += ["person"] if there.who != said.who else []
        proof = there.proof or await _later_proof(session, there)
        if proof is not None and said.proof is not None and said.proof != proof:
            differ.append("proof")
        if differ:
            raise Refusal(*(f"{name}: {there.consent} was given otherwise" for name in differ))
        if proof is not None or said.proof is None:
            return same
        session.add(after(there, "proved", there.at, self._now(), said_by, proof=said.proof, source=said.proof))
        return same.model_copy(update={"proved": True})

    async def take(self, item: Item, said_by: str = HERE) -> Put | Bad:
        """Write a row of a file down, or say why it was not."""
        faults = item.faults
        if not faults:
            try:
                return await self.give(item.value, said_by)
            except Refusal as e:
                faults = e.faults
        reference = item.value.get("consent") if isinstance(item.value, dict) else None
        return Bad(row=item.line, consent=reference if is_reference(reference) else None, faults=faults)

    # ---- taken back -------------------------------------------------------------------------------------------------

    async def withdraw(self, data: Any, said_by: str = HERE) -> Stopped:
        """Take consents back, at once: one by its reference, or all of a person; nobody is asked who it is.

        Raises:
            Refusal: It has faults; all are named, and nothing is withdrawn.
            NotFound: There is no consent with this reference.
        """
        said, faults = read_withdrawal(data, lambda one: _unfit(one, self._now()))
        if said is None or faults:
            raise Refusal(*faults)
        now = self._now()
        received_at = said.received_at or now
        async with self._sessions() as session, session.begin():
            await may_handle(session, said.organisation, said_by)
            if said.consent is not None:
                return await self._withdraw_one(session, said, said.consent, received_at, now, said_by)
            assert said.person is not None
            known = await known_by(self._keyring, said.person)
            every = purposes_on_consent(book(said.organisation))
            return await stop(
                session,
                book(said.organisation),
                known,
                purposes=(said.purpose,) if said.purpose is not None else tuple(every),
                channels=said.channels,
                received_at=received_at,
                now=now,
                said_by=said_by,
                by=said.withdrawn_by,
                source=said.document,
            )

    async def _withdraw_one(
        self, session: AsyncSession, said: Withdrawal, consent: str, received_at: datetime, now: datetime, by: str
    ) -> Stopped:
        row = await given_row(session, said.organisation, consent, lock=True)
        if row is None:
            raise NotFound(f"{said.organisation} has no consent {consent}.")
        rulebook = book(said.organisation)
        stopped = _stopped(rulebook, received_at, now)
        if row.erased_at is not None:
            return stopped
        faults = []
        if received_at < row.at:
            faults.append("received_at: lies before the consent was given")
        if said.channels and (more := sorted(set(said.channels) - set(row.channels))):
            faults.append(f"channels: it was not given for {', '.join(more)}")
        if faults:
            raise Refusal(*faults)
        standing, _ = (await standings(session, [row], now))[row.sealed_for]
        if standing.ended_by is not None or (said.channels and not set(said.channels) & set(standing.left)):
            return stopped
        session.add(
            after(
                row,
                "withdrawn",
                received_at,
                now,
                by,
                channels=list(said.channels),
                by=said.withdrawn_by,
                source=said.document,
            )
        )
        await session.flush()
        records = await _records(session, rulebook, hashes_of(row), (row.purpose,), received_at, now, by)
        return stopped.model_copy(update={"consents": (consent,), "records": records})

    # ---- asked ------------------------------------------------------------------------------------------------------

    async def may(self, data: Any) -> Answer:
        """Whether a person may be contacted for a purpose by a channel, and why; one read by index.

        Raises:
            Refusal: The question has faults; all are named.
        """
        question, faults = read_question(data, lambda said: _unfit(said, None))
        if question is None or faults:
            raise Refusal(*faults)
        return await self._may(question)

    async def _may(self, question: Question) -> Answer:
        known = await known_by(self._keyring, question.person)
        async with self._sessions() as session:
            rows = await said_of(session, question.organisation, known)
        said = [statement(row) for row in rows if row.purpose == question.purpose]
        at = question.at or self._now()
        return may(book(question.organisation), said, question.purpose, question.channel, question.about, at)

    # ---- shown ------------------------------------------------------------------------------------------------------

    async def show(self, organisation: str, consent: str, *, personal: bool = False) -> Shown:
        """A consent with everything that was said of it; the person only if asked for.

        Raises:
            NotFound: There is no such consent.
        """
        async with self._sessions() as session:
            row = await given_row(session, organisation, consent, person=personal)
            if row is None:
                raise NotFound(f"{organisation} has no consent {consent}.")
            line = (await self._lines(session, [row]))[0]
            own = col(ConsentRow.consent) == consent
            if row.erased_at is None:
                # what the person took back as a whole is part of its story too
                own = or_(own, and_(is_about(organisation, hashes_of(row)), col(ConsentRow.consent).is_(None)))
            query = select(ConsentRow).where(ConsentRow.organisation == organisation, own).options(NOBODY)
            rows = (await session.exec(query.order_by(col(ConsentRow.n)))).all()
            return Shown(
                line=line,
                text_version=row.text_version,
                text_sha256=row.text_sha256,
                notice_version=row.notice_version,
                informed_at=row.informed_at,
                history=tuple(_entry(one) for one in rows if one.purpose == row.purpose),
                person=row.who if personal else None,
            )

    async def lines(self, organisation: str | None = None, purpose: str | None = None) -> list[Line]:
        """Every consent as it stands now, without people."""
        query = select(ConsentRow).where(ConsentRow.what == "given").options(NOBODY)
        if organisation is not None:
            query = query.where(ConsentRow.organisation == organisation)
        if purpose is not None:
            query = query.where(ConsentRow.purpose == purpose)
        query = query.order_by(ConsentRow.organisation, col(ConsentRow.consent))
        found: list[Line] = []
        async with self._sessions() as session:
            rows = (await session.exec(query)).all()
            for of in dict.fromkeys(row.organisation for row in rows):
                ours = [row for row in rows if row.organisation == of]
                for start in range(0, len(ours), AT_A_TIME):
                    found += await self._lines(session, ours[start : start + AT_A_TIME])
        return found

    async def _lines(self, session: AsyncSession, rows: Sequence[ConsentRow]) -> list[Line]:
        now = self._now()
        kept = [row for row in rows if row.erased_at is None]
        known = await standings(session, kept, now)
        lines = []
        for row in rows:
            line = Line(
                organisation=row.organisation,
                consent=row.consent or "",
                purpose=row.purpose,
                about=row.about,
                channels=(),
                given_at=row.at,
                state="erased",
                since=row.erased_at,
                proof=row.proof or await _later_proof(session, row),
            )
            if row.erased_at is None:
                one, _ = known[row.sealed_for]
                state: Reason = one.ended_by or ("given" if one.proved else "without_proof")
                since = one.ended_at
                if one.ended_by is None and one.due is not None and one.due <= now:
                    state, since = "expired", one.due
                elif state == "given" and one.restricted:
                    state = "restricted"
                left = one.left if state in ("given", "restricted", "without_proof") else ()
                line = line.model_copy(update={"channels": left, "state": state, "since": since, "until": one.due})
            lines.append(line)
        return lines


# ---- stopping: also what a privacy request does ---------------------------------------------------------------------


async def stop(
    session: AsyncSession,
    rulebook: Rulebook,
    known: Known,
    *,
    purposes: Sequence[str],
    channels: Sequence[ContactChannel] = (),
    received_at: datetime,
    now: datetime,
    said_by: str,
    by: str | None,
    source: str | None,
    objected: bool = False,
) -> Stopped:
    """Stop what rests on a person's consents for these purposes, in this transaction; what stood, and what is over.

    It is kept also where nothing stands: a consent from before, loaded later, is taken back by it too.
    """
    organisation = rulebook.organisation
    stopped = _stopped(rulebook, received_at, now)
    lock = select(ConsentRow.n).where(is_about(organisation, known), ConsentRow.what == "given")
    await session.exec(lock.order_by(col(ConsentRow.n)).with_for_update())
    rows = await said_of(session, organisation, known)
    given = [row for row in rows if row.what == "given" and row.purpose in purposes]
    before = {one.consent: one for one in fold(rulebook, map(statement, rows), now)}
    what = "objected" if objected else "withdrawn"
    people: list[dict[str, Any]] = [dict(known)]
    people += [hashes_of(row) for row in given if not _covers(known, hashes_of(row))]
    several = [person for n, person in enumerate(people) if person not in people[:n]]
    for purpose in purposes:
        for person in several:
            session.add(
                ConsentRow(
                    organisation=organisation,
                    what=what,
                    purpose=purpose,
                    channels=list(channels),
                    at=received_at,
                    recorded_at=now,
                    said_by=said_by,
                    by=by,
                    source=source,
                    **person,
                )
            )
    await session.flush()
    rows = await said_of(session, organisation, known)
    left = {one.consent: one for one in fold(rulebook, map(statement, rows), now)}
    ended = tuple(
        row.consent
        for row in given
        if row.consent is not None and row.consent in before and _changed(before[row.consent], left[row.consent])
    )
    over = [
        purpose
        for purpose in purposes
        if not any(one.purpose == purpose and one.ended_by is None for one in left.values())
    ]
    codes = {**({"person": known["person"]} if "person" in known else {})}
    people_over = {*codes.values(), *(row.person for row in given if row.person is not None)}
    duties = [duty for purpose, duty in purposes_on_consent(rulebook).items() if purpose in over]
    records = await end_consent(session, organisation, people_over, duties, received_at, now, said_by)
    return stopped.model_copy(update={"consents": ended, "records": records})


def _changed(before: Standing, now: Standing) -> bool:
    return (before.gone, before.ended_by) != (now.gone, now.ended_by)


def _covers(known: Known, other: Known) -> bool:
    """Whether everything that is known of one is known of the other: nothing more needs to be written for it."""
    return all(known.get(name) == value for name, value in other.items())


async def _records(
    session: AsyncSession,
    rulebook: Rulebook,
    known: Known,
    purposes: Sequence[str],
    received_at: datetime,
    now: datetime,
    said_by: str,
) -> tuple[str, ...]:
    """End the consent in the records of a person, for the purposes for which none of the person's stands any more."""
    rows = await said_of(session, rulebook.organisation, known)
    standing = {one.purpose for one in fold(rulebook, map(statement, rows), now) if one.ended_by is None}
    duties = [duty for purpose, duty in purposes_on_consent(rulebook).items() if purpose in set(purposes) - standing]
    people = [known["person"]] if "person" in known else []
    return await end_consent(session, rulebook.organisation, people, duties, received_at, now, said_by)


def _stopped(rulebook: Rulebook, received_at: datetime, now: datetime) -> Stopped:
    due, latest = to_stop_by(rulebook, received_at)
    late = latest is not None and now >= latest
    return Stopped(organisation=rulebook.organisation, received_at=received_at, stopped_at=now, due=due, late=late)


# ---- what does not fit ----------------------------------------------------------------------------------------------


def _unfit(said: dict[str, Any], now: datetime | None) -> list[str]:
    """What of a consent, a withdrawal or a question does not fit the organisation's rulebook, or lies in the future."""
    organisation = said.get("organisation")
    if not isinstance(organisation, str):
        return []
    consents = books()[organisation].consents if organisation in books() else None
    if consents is None:
        return ["organisation: nothing in its rulebook rests on consent"]
    faults = []
    known = purposes_on_consent(book(organisation))
    purpose = said.get("purpose")
    if purpose is not None and purpose not in known:
        faults.append(f"purpose: on consent this organisation has: {', '.join(sorted(known))}")
    if "channel" in said and purpose in consents.gates and said["channel"] is None:
        faults.append(f"channel: which one? {consents.gates[purpose]}")
    if "given_by" in said:
        faults += _given_faults(said, known, consents)
    if ("about" in said) and purpose in known and (purpose in consents.one_product) != (said["about"] is not None):
        only = "which product? Contact is about that one only" if said["about"] is None else "only where it is bound"
        faults.append(f"about: {only}")
    for name in ("given_at", "received_at"):
        if now is not None and said.get(name) is not None and said[name] > now:
            faults.append(f"{name}: lies in the future")
    return faults


def _given_faults(said: dict[str, Any], known: dict[str, str], consents: ConsentTerms) -> list[str]:
    faults = []
    purpose, channels = said.get("purpose"), said.get("channels")
    gate = consents.gates.get(purpose or "")
    if gate is not None and channels == ():
        faults.append(f"channels: none; each is consented to by itself ({gate})")
    if purpose in known and gate is None and channels:
        faults.append(f"channels: nobody is contacted for {purpose}")
    only = consents.only.get(purpose or "", channels or ())
    if more := [one for one in channels or () if one not in only]:
        faults.append(f"channels: {', '.join(more)}: for {purpose} only {', '.join(only)} ({gate})")
    invalid = f"{consents.information}: the information comes first, or the consent is not valid"
    faults += [
        f"{name}: not said; {invalid}" for name in ("notice_version", "informed_at") if name in said and not said[name]
    ]
    informed, given = said.get("informed_at"), said.get("given_at")
    if informed is not None and given is not None and informed > given:
        faults.append(f"informed_at: lies after the consent; {invalid}")
    return faults


def _row(filing: ConsentFiling, known: dict[str, Any], now: datetime, said_by: str) -> ConsentRow:
    return ConsentRow(
        organisation=filing.organisation,
        what="given",
        consent=filing.consent,
        purpose=filing.purpose,
        channels=list(filing.channels),
        at=filing.given_at,
        recorded_at=now,
        said_by=said_by,
        by=filing.given_by,
        who=filing.person.model_dump(mode="json", exclude_none=True),
        about=filing.about,
        text_version=filing.text_version,
        text_sha256=filing.text_sha256,
        notice_version=filing.notice_version,
        informed_at=filing.informed_at,
        proof=filing.proof,
        **known,
    )


async def _later_proof(session: AsyncSession, row: ConsentRow) -> str | None:
    """The proof that was said after the consent."""
    query = select(ConsentRow.proof).where(
        ConsentRow.organisation == row.organisation, ConsentRow.consent == row.consent, ConsentRow.what == "proved"
    )
    return (await session.exec(query)).first()


def _entry(row: ConsentRow) -> Entry:
    judged = ("clause", "due", "late")
    said = {name: getattr(row, name) for name in Entry.model_fields if name not in judged}
    return Entry.model_validate({**said, "channels": tuple(row.channels), **_judged(row)})


def _judged(row: ConsentRow) -> dict[str, Any]:
    """Under which clause it was said; of what was taken back also whether it stopped in time."""
    rulebook = book(row.organisation)
    terms = rulebook.consents
    if terms is None:
        return {}
    if row.what in ("given", "proved"):
        return {"clause": terms.proof}
    if row.what not in TAKEN_BACK:
        return {}
    stopped = _stopped(rulebook, row.at, row.recorded_at)
    return {"clause": terms.withdrawal, "due": stopped.due, "late": stopped.late}
