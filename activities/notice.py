"""Notices: a queued letter is rendered from the store, handed to the carrier once, and its proof is kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self, cast
from weakref import WeakValueDictionary
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.letters import LANGUAGES, attached, render
from activities.pdf import Sheet, pdf
from activities.sealed_answer import NAME, sealed_pdf
from integrations.mail import Attachment, Letter, MailOut, MailRefused, MailUnavailable
from models import errors
from models.breach import SUBJECT_ROLE
from models.case import NoticeSent, NoticesSent, SendNotices
from models.claim import Document, HeadReason
from models.now import Now
from models.tables import (
    ArchiveRow,
    BreachLetterRow,
    CaseRow,
    ClockRow,
    DecisionRow,
    DocumentRow,
    NoticeRow,
    PartyRow,
    PolicyRow,
)
from operations.intake import Sessions
from operations.renewal import OBJECTED, RENEWAL, objection_of
from rules.calendar import load
from rules.documents import asked
from rules.period import count
from rules.reasons import ground_of, in_letter
from rules.rulebook import Rulebook, book, duty_for
from rules.wording import in_
from security.keys import Keyring
from security.password import answer_password

if TYPE_CHECKING:
    from models.settlement import Language

_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_MONEY = re.compile(r"^-?\d+\.\d{2}$")


ATTACHED = ("archive", "encrypted")
"""What an answer can bring: the archive as it is, or as one file that a password opens."""


class Post:
    """Sends queued letters by the mail port."""

    def __init__(self, sessions: Sessions, keyring: Keyring, mail: MailOut, now: Now, sender: str, staff: str) -> None:
        self._sessions = sessions
        self._keyring = keyring
        self._mail = mail
        self._now = now
        self._sender = sender
        self._staff = staff
        self._under_way: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def send(self, case: str, key: str) -> NoticeSent:
        """Send a letter that `record` queued; again returns the first proof.

        Raises:
            MailUnavailable: The carrier does not take it now.
        """
        (sent,) = await self.send_all(case, (key,))
        return sent

    async def send_all(self, case: str, keys: Sequence[str]) -> list[NoticeSent]:
        """Send letters of a case: the proofs of those that the carrier took, or why it never will.

        One that must wait does not hold back the others.

        Raises:
            MailUnavailable: The carrier takes none of them now.
        """
        async with self._sessions() as session:
            known = await _Known.of(session, case)
        sent = []
        for key in keys:
            try:
                sent.append(await self._send(known, key))
            except MailUnavailable:
                continue
        if keys and not sent:
            raise MailUnavailable("the carrier does not take letters now")
        return sent

    async def _send(self, known: _Known, key: str) -> NoticeSent:
        """One letter at a time: an attempt that fell silent while it wrote a PDF can still be at it."""
        lock = self._under_way.setdefault((known.row.case, key), asyncio.Lock())
        async with lock:
            return await self._hand_over(known, key)

    async def _hand_over(self, known: _Known, key: str) -> NoticeSent:
        case, row = known.row.case, known.row
        # asked for each letter: while the one before it was on its way this one can have been called off, or the
        # address corrected
        async with self._sessions() as session:
            notice = (await session.exec(select(NoticeRow).where(NoticeRow.case == case, NoticeRow.key == key))).one()
            if notice.sent_at is not None or notice.refused is not None:
                return _proof(notice)
            party = await session.get(PartyRow, (case, notice.party))
            archive = await session.get(ArchiveRow, case) if notice.facts.get("attach") in ATTACHED else None
            step = notice.facts.get("asked", {}).get("asked_in")
            wanted = await session.get(DocumentRow, (case, step, 0)) if step is not None else None
            written = notice.facts.get("letter_of")
            letter_text = await session.get_one(BreachLetterRow, (case, written)) if written is not None else None
            if (n := _calculation(notice)) is not None:
                decision = await session.get_one(DecisionRow, (case, n))
                notice.facts = {
                    **notice.facts,
                    "lines": _lines(decision, notice.party),
                    "reasons": _with_heads(notice, decision, known),
                }
                session.expunge(notice)
        if (unwanted := await self._unwanted(notice)) is not None:
            return await self._close(case, key, refused=unwanted)
        rulebook = book(row.organisation)
        if notice.facts.get("attach") == "archive" and rulebook.values.get("privacy", {}).get("health_data"):
            # whatever was queued: the last gate before the mail (SE-33.4.6)
            return await self._close(case, key, refused="health data go by e-mail only encrypted")
        language = party.language if party is not None and not notice.internal else rulebook.language
        to = (
            self._staff.format(role=notice.party, organisation=row.organisation.lower())
            if notice.internal
            else party.email
            if party is not None
            else None
        )
        if to is None:
            return await self._close(case, key, refused="no address")
        facts = _facts(notice, known, party, language, self._now(), wanted)
        if letter_text is not None:
            facts |= {**letter_text.texts[language], "contact": letter_text.contact}
        try:
            letter = render(
                notice.template,
                language,
                facts,
                id=f"{case}#{key}",
                to=to,
                sender=self._sender.format(organisation=row.organisation.lower()),
            )
        except ValidationError:
            return await self._close(case, key, refused="the address is not one that mail can reach")
        if archive is not None and notice.facts["attach"] == "archive":
            letter = letter.model_copy(update={"attachments": _attachments(archive)})
        elif archive is not None:
            password = await answer_password(self._keyring, case)
            content = await asyncio.to_thread(
                sealed_pdf, archive.systems.get("files", {}), letter.language, archive.gathered_at, password
            )
            file = Attachment(name=NAME, media_type="application/pdf", content=content)
            letter = letter.model_copy(update={"attachments": (file,)})
            if (proof_before := await self._ended(case, key)) is not None:
                return proof_before
        if (name := attached(notice.template, language, facts)) is not None:
            # beside the loop: fonts are read and cut for each letter, and the worker beats meanwhile
            content = await asyncio.to_thread(pdf, _sheet(letter, notice, facts, rulebook))
            file = Attachment(name=name, media_type="application/pdf", content=content)
            letter = letter.model_copy(update={"attachments": (*letter.attachments, file)})
            # it takes a while: another worker, for this one was thought dead, may have sent the letter meanwhile
            if (proof_before := await self._ended(case, key)) is not None:
                return proof_before
        try:
            proof = await self._mail.send(letter, self._now())
        except MailRefused as e:
            return await self._close(case, key, refused=str(e)[:200])
        async with self._sessions() as session, session.begin():
            notice = (await session.exec(select(NoticeRow).where(NoticeRow.case == case, NoticeRow.key == key))).one()
            notice.sent_at, notice.carrier, notice.reference = proof.accepted_at, proof.carrier, proof.reference
            return _proof(notice)

    async def _unwanted(self, notice: NoticeRow) -> str | None:
        """Why a letter that was written is not sent any more: whom it is for has objected to it meanwhile.

        Looked up at the last moment, whatever was planned: an objection holds from its commit (GJ-renewal-objection).
        """
        if notice.template != RENEWAL:
            return None
        async with self._sessions() as session:
            policy = await session.get(PolicyRow, notice.facts["policy"])
            objected = policy is not None and await objection_of(session, policy) is not None
        return OBJECTED if objected else None

    async def _ended(self, case: str, key: str) -> NoticeSent | None:
        """What became of a letter, if it has its end."""
        async with self._sessions() as session:
            notice = (await session.exec(select(NoticeRow).where(NoticeRow.case == case, NoticeRow.key == key))).one()
            return _proof(notice) if notice.sent_at is not None or notice.refused is not None else None

    async def _close(self, case: str, key: str, refused: str) -> NoticeSent:
        async with self._sessions() as session, session.begin():
            notice = (await session.exec(select(NoticeRow).where(NoticeRow.case == case, NoticeRow.key == key))).one()
            notice.refused = refused
            return _proof(notice)


@dataclass(frozen=True)
class _Known:
    """What all letters of a case are written from; a case can have hundreds of parties, and as many letters."""

    row: CaseRow
    clocks: dict[tuple[str, str], ClockRow]
    """The newest of each duty and subject."""
    names: dict[str, str]
    """Party → name."""

    @classmethod
    async def of(cls, session: AsyncSession, case: str) -> Self:
        clocks = await session.exec(select(ClockRow).where(ClockRow.case == case).order_by(col(ClockRow.n)))
        # those affected by a breach can be thousands, and no letter names one of them
        named = select(PartyRow).where(PartyRow.case == case, PartyRow.role != SUBJECT_ROLE)
        parties = await session.exec(named)
        return cls(
            row=(await session.exec(select(CaseRow).where(CaseRow.case == case))).one(),
            clocks={(clock.duty, clock.subject): clock for clock in clocks},
            names={party.party: party.name or party.email or party.party for party in parties},
        )


def _proof(notice: NoticeRow) -> NoticeSent:
    return NoticeSent(
        key=notice.key,
        sent_at=notice.sent_at,
        carrier=notice.carrier,
        reference=notice.reference,
        refused=notice.refused,
    )


def _facts(
    notice: NoticeRow,
    known: _Known,
    party: PartyRow | None,
    language: str,
    now: datetime,
    wanted: DocumentRow | None,
) -> dict[str, Any]:
    """The letter's facts: those of the draft, in the reader's language where they differ by it, and the party's name.

    `{"day_of": instant}` is its day in the organisation's zone; `{"last_day_of": [duty, subject]}` the last day of that
    clock, counted in the step that queued the letter;
    `{"asked_in": step}` the document that this step asked for, with the reason; `{"ground": code, "reason": text}` the
    clause and title of a finding or a clause, and the reason;
    `{"title_of": document}` what the document is called; `{"name_of": party}` the party's name, which no draft carries;
    `{"calculation_of": n}` the lines of the n-th decision, `{"heads_of": n}` its reasons by head and `letter_of` what a
    letter to many says, in `_hand_over`;
    `{"free_from": [duty, day]}` the first day on which an effect can come if this letter is its notice and goes out
    now, or that day if it is later.
    """
    case = known.row
    zone = ZoneInfo(book(case.organisation).zone)
    facts: dict[str, Any] = {"reference": case.case.split(":")[2], "case": case.case, "stage": case.stage}
    # a decision's letter that a build before agreements queued says nothing of them
    facts["by_agreement"] = None
    # nor of what it brings or leaves out, where a part of a privacy request is answered
    facts |= {"attach": None, "outstanding": None}
    for name, value in notice.facts.items():
        if isinstance(value, dict) and set(value) == {"day_of"}:
            facts[name] = datetime.fromisoformat(value["day_of"]).astimezone(zone).date()
        elif isinstance(value, dict) and set(value) == {"last_day_of"}:
            duty, subject = value["last_day_of"]
            facts[name] = known.clocks[(duty, subject)].last_day
        elif isinstance(value, dict) and set(value) == {"free_from"}:
            duty, at_least = value["free_from"]
            facts[name] = _free_from(duty, at_least, case.organisation, now)
        elif isinstance(value, dict) and set(value) == {"asked_in"}:
            facts[name] = _asked(wanted, language) if wanted is not None else None
        else:
            facts[name] = say(_named(_grounded(value, case.organisation), known.names), language)
    if isinstance(codes := notice.facts.get("claimant"), str):
        # the insured reads who claims, not by which codes the case knows them
        facts["claimant"] = ", ".join(known.names.get(code, code) for code in codes.split(", "))
    if isinstance(facts.get("titles"), str):
        facts["title"] = facts["titles"]
    if party is not None:
        facts.setdefault("name", party.name)
        facts.setdefault("user_name", party.name)
        facts.setdefault("claimant", party.name)
    return facts


def _asked(wanted: DocumentRow, language: str) -> dict[str, Any]:
    """What is asked for by name, and why."""
    title = in_(asked(Document(wanted.document)).title, cast("Language", language))
    if wanted.named is not None:
        title = wanted.named if wanted.document == Document.other else f"{title}: {wanted.named}"
    return {"title": title, "reason": wanted.reason}


def _grounded(value: Any, organisation: str) -> Any:
    """Reasons with the clause and title of what they rest on, in every language."""
    if isinstance(value, list):
        return [_grounded(v, organisation) for v in value]
    if not isinstance(value, dict) or set(value) != {"ground", "reason"}:
        return value
    code, reason = value["ground"], value["reason"]
    return {language: f"{ground_of(organisation, code, language)}: {reason}" for language in LANGUAGES}


def _free_from(duty: str, at_least: str | None, organisation: str, now: datetime) -> date:
    rulebook, period = book(organisation), duty_for(organisation, duty).period
    assert period is not None
    first = count(now, period, rulebook.zone, load(rulebook.calendar)).last_day + timedelta(days=1)
    return first if at_least is None else max(first, date.fromisoformat(at_least))


def _named(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_named(v, names) for v in value]
    if isinstance(value, dict):
        return names[value["name_of"]] if set(value) == {"name_of"} else {k: _named(v, names) for k, v in value.items()}
    return value


def say(value: Any, language: str) -> Any:
    """A fact of a draft in one language, with days and amounts as such."""
    if isinstance(value, dict) and set(value) == {"lv", "lt", "en"}:
        return say(value[language], language)
    if isinstance(value, dict) and set(value) == {"title_of"}:
        return say(asked(value["title_of"]).title.model_dump(), language)
    if isinstance(value, list):
        return [say(v, language) for v in value]
    if isinstance(value, dict):
        return {k: say(v, language) for k, v in value.items()}
    if isinstance(value, str) and _DAY.match(value):
        return date.fromisoformat(value)
    if isinstance(value, str) and _MONEY.match(value):
        return Decimal(value)
    return value


def _calculation(notice: NoticeRow) -> int | None:
    """The number of the decision whose calculation the letter states."""
    lines = notice.facts.get("lines")
    return lines.get("calculation_of") if isinstance(lines, dict) else None


def _lines(decision: DecisionRow, party: str) -> dict[str, list[str]]:
    """The calculation for a claimant; the insured is told that of each."""
    wanted = [own for claimant, own in sorted(decision.lines.items()) if party in (claimant, "insured")]
    return {language: [line for own in wanted for line in own[language]] for language in LANGUAGES}


def _with_heads(notice: NoticeRow, decision: DecisionRow, known: _Known) -> list[Any]:
    """The reasons, with one for each head that is rejected or reduced in place of `{"heads_of": n}`.

    A claimant is told of the own heads; the insured of all, with whose they are.
    """
    reasons: list[Any] = notice.facts.get("reasons", [])
    said = [HeadReason.model_validate(one) for one in decision.asked.get("heads", ())]
    wanted = [one for one in said if notice.party in (one.claimant, "insured")]
    several = notice.party == "insured" and len({one.claimant for one in said}) > 1
    lines = [
        {
            language: in_letter(
                one, known.row.organisation, cast("Language", language), known.names[one.claimant] if several else None
            )
            for language in LANGUAGES
        }
        for one in wanted
    ]
    return [line for r in reasons for line in (lines if isinstance(r, dict) and "heads_of" in r else [r])]


def _sheet(letter: Letter, notice: NoticeRow, facts: Mapping[str, Any], rulebook: Rulebook) -> Sheet:
    """The letter on paper. Dated by when it was decided to write it, so that a repeat is the same file."""
    return Sheet(
        sender=rulebook.name,
        to=facts.get("name") or letter.to,
        reference=facts["reference"],
        written_at=notice.queued_at.astimezone(ZoneInfo(rulebook.zone)),
        subject=letter.subject,
        text=letter.text,
        language=letter.language,
    )


def _attachments(archive: ArchiveRow) -> tuple[Attachment, ...]:
    return tuple(
        Attachment(name=name, media_type=f["media_type"], content=f["text"].encode())
        for name, f in sorted(archive.systems.get("files", {}).items())
    )


class NoticeActivities:
    """`notice.send`: letters go out once each, with their proof."""

    def __init__(self, post: Post) -> None:
        self._post = post

    @activity.defn(name="notice.send")
    async def send(self, wanted: SendNotices) -> NoticesSent:
        """Send queued letters; if all must wait, the activity is tried again."""
        try:
            return NoticesSent(notices=tuple(await self._post.send_all(wanted.case, wanted.keys)))
        except MailUnavailable as e:
            raise ApplicationError(str(e), type=errors.OUTSIDE_DOWN, category=ApplicationErrorCategory.BENIGN) from None
