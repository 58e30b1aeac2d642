"""Privacy requests in the store: how they open, the gate of identification, what is gathered, what is erased."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast
from zoneinfo import ZoneInfo

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.archive import WITHHELD, archive_files, masked, portable_files
from activities.privacy_consents import stopped_by
from activities.store import ActHandler, Amended, Opening
from integrations.data_systems import DataSystem, Found, Subject, SystemDown, normal_code
from models import errors
from models.errors import Refusal
from models.now import Now
from models.person_system import ACTS, ASKED, PeopleFound, PersonSystem
from models.privacy import (
    CITED,
    COPIES,
    FEES,
    Assessment,
    Authority,
    Erased,
    Gathered,
    KeptRecord,
    PrivacyBody,
    PrivacyFiling,
    PrivacyWork,
    Released,
    Representing,
    Restricted,
    Right,
    SystemCount,
    Terms,
    Withheld,
)
from models.rectification import Datum, Rectified
from models.settlement import Label
from models.signature import Seen, Validated, Verdict
from models.tables import (
    ArchiveRow,
    CaseRow,
    ErasureRow,
    IdentificationRow,
    IntakeRow,
    NoticeRow,
    PartyRow,
    RecordRow,
    RectificationRow,
    RequestRow,
    SignatureRow,
)
from operations.erasures import Ledger
from operations.holds import hold_in_system, none_is_placed
from operations.intake import Sessions
from operations.kept import remember
from operations.own_store import IN_USE, OwnStore, ends_by_itself, erase_own
from operations.refusing import term_in_system
from rules.calendar import load
from rules.identity import may_represent, signed_by
from rules.period import Period, count
from rules.rulebook import Rulebook, book
from security.index import index_of
from security.keys import Keyring

T = TypeVar("T")

LOOKS = 5
"""How often the second look may find something that appeared meanwhile before the run gives up and is tried again."""


class PrivacyStore:
    """What a privacy request adds to `case.open` and `case.record`."""

    kind = "privacy_request"

    def __init__(self, keyring: Keyring, *, replays: bool = False) -> None:
        """`replays` puts steps back that were recorded once: who asked was judged then, and the step says how."""
        self._keyring = keyring
        self._replays = replays
        self.acts: Mapping[str, ActHandler] = {
            "privacy.identify": self._identify,
            "privacy.answer": self._answer,
            "privacy.join": self._join,
            "privacy.close": self._close,
            "privacy.tell_holders": self._tell_holders,
        }

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """The person as party `subject`, a representative beside it, and what the controller's rulebook says."""
        rulebook = book(intake.organisation)
        if "privacy" not in rulebook.values:
            raise Refusal("organisation: its rulebook says nothing of privacy requests")
        filing = PrivacyFiling.model_validate(intake.content)
        session.add(
            PartyRow(
                case=intake.case,
                party="subject",
                role="data_subject",
                name=filing.person.name,
                email=filing.person.email,
                personal_code=filing.person.personal_code,
                language=filing.person.language,
            )
        )
        if filing.representative is not None:
            session.add(
                PartyRow(
                    case=intake.case,
                    party="representative",
                    role="representative",
                    name=filing.representative.name,
                    email=filing.representative.email,
                    personal_code=filing.representative.personal_code,
                    language=filing.person.language,
                )
            )
        person = await index_of(self._keyring, "personal_code", filing.person.personal_code)
        duplicates = await _asked_before(session, self._keyring, intake.organisation, person, filing.rights)
        session.add(RequestRow(case=intake.case, organisation=intake.organisation, person=person))
        terms = _terms(rulebook, filing.rights, intake.received_at)
        their_mail = filing.representative is not None and filing.representative.email is not None
        wanted = filing.answer_channel or filing.channel
        body = PrivacyBody(
            received_at=intake.received_at,
            rights=filing.rights,
            channel=filing.channel,
            # a call is answered in writing (DZ-14.11.1)
            answer_channel=wanted if wanted != "phone" else "email" if filing.person.email or their_mail else "post",
            terms=terms,
            has_mail=filing.person.email is not None,
            represented=filing.representative is not None,
            representative_mail=their_mail,
            came_with=filing.identified_by,
            transfer_asked=filing.transfer_to is not None,
            duplicates=duplicates,
            copies_before=await _copies_before(session, self._keyring, intake.organisation, person),
            received_by=filing.received_by,
            entered_at=intake.recorded_at,
            told_at=filing.told_at,
            stopped=await stopped_by(session, self._keyring, rulebook, intake, filing, at),
        )
        return Opening(
            stage="identifying",
            body=body.model_dump(mode="json"),
        )

    # ---- acts -------------------------------------------------------------------------------------------------------

    async def _identify(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Amended | None:
        """Keep who was identified and how; only in a way of the controller's, whatever the workflow thought."""
        intake = (await session.exec(select(IntakeRow).where(IntakeRow.case == case))).one()
        ways = book(intake.organisation).values["privacy"]["identification"]
        if data["way"] not in ways[data["channel"]]:
            raise Refusal(f"way: not accepted {data['channel']}")
        if await session.get(PartyRow, (case, "representative")) is not None and not data["representation"]:
            raise Refusal("representation: the right to represent is not proved")
        identified_at = datetime.fromisoformat(data["identified_at"])
        faults: list[str] = []
        known: dict[str, Any] = {}
        if "authority" in data and not self._replays:
            authority = Authority.model_validate(data["authority"])
            until, against = await self._represented(session, intake, authority, data["channel"], identified_at)
            faults += against
            known |= {"represented_by": authority.kind, "represented_until": until and until.isoformat()}
        if "signature" in data and not self._replays:
            seen, against = await self._signed(session, intake, data["signature"], identified_at)
            faults += against
            known |= {"signature": seen and seen.model_dump(mode="json")}
        if faults:
            instead = "; ".join(f"{channel}: {', '.join(accepted)}" for channel, accepted in ways.items() if accepted)
            raise Refusal(*faults, f"the request stays open; accepted: {instead}")
        session.add(
            IdentificationRow(
                case=case,
                channel=data["channel"],
                way=data["way"],
                identified_at=identified_at,
                document=data["document"],
                representation=data["representation"],
            )
        )
        return Amended(body=known) if known else None

    async def _represented(
        self, session: AsyncSession, intake: IntakeRow, said: Authority, channel: str, at: datetime
    ) -> tuple[datetime | None, tuple[str, ...]]:
        """Until when the representative may act, or everything that stands against it."""
        rulebook = book(intake.organisation)
        body = (await session.get_one(CaseRow, intake.case)).state["body"]
        terms = Terms.model_validate(body["terms"])
        return may_represent(said, terms.representing, body["rights"], channel, at, ZoneInfo(rulebook.zone))

    async def _signed(
        self, session: AsyncSession, intake: IntakeRow, sha256: str, until: datetime
    ) -> tuple[Seen | None, tuple[str, ...]]:
        """The signature of whoever asks, by the verdict of Termins or of a person; or why there is none."""
        case = intake.case
        asks = await session.get(PartyRow, (case, "representative")) or await session.get(PartyRow, (case, "subject"))
        if asks is None or asks.name is None or asks.personal_code is None:
            return None, (f"signature: the personal code of the {asks.party if asks else 'person'} is not known",)
        of_document = SignatureRow.case == case, SignatureRow.sha256 == sha256
        # what Termins found itself comes first
        kept = (
            await session.exec(select(SignatureRow).where(*of_document).order_by(col(SignatureRow.by).desc()))
        ).all()
        if not kept:
            return None, ("signature: there is no verdict on this document (starter.py signature)",)
        before = (
            select(SignatureRow.case)
            .join(IntakeRow, col(IntakeRow.case) == SignatureRow.case)
            .where(
                SignatureRow.sha256 == sha256,
                SignatureRow.case != case,
                IntakeRow.organisation == intake.organisation,
                col(SignatureRow.used_at).is_not(None),
            )
        )
        if (await session.exec(before)).first() is not None:
            return None, ("signature: this document identified somebody in another request already",)
        faults: list[str] = []
        for row in kept:
            found = (Verdict if row.by == "termins" else Validated).model_validate(row.verdict)
            seen, why = signed_by(found, asks.name, asks.personal_code, until)
            if seen is not None:
                row.used_at = until
                return seen, ()
            faults += why
        return None, tuple(dict.fromkeys(faults))

    async def _answer(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """The gate before any answer."""
        if await session.get(IdentificationRow, case) is None:
            raise Refusal("the person is not identified: no answer")

    async def _tell_holders(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """Who keeps the data is told what is asked; whose data it is stands in the case only."""
        for one in data["asked"]:
            key = f"{ASKED}:{one['system']}:{one['act']}:asked"
            if await session.get(NoticeRow, (case, key)) is None:
                session.add(
                    NoticeRow(
                        case=case,
                        key=key,
                        template="internal-person-system",
                        party=one["holder"],
                        internal=True,
                        duty=ASKED,
                        subject=f"{one['system']}:{one['act']}",
                        facts={
                            "case": case,
                            "system": one["system"],
                            "titles": one["title"],
                            "act": one["act"],
                            "wanted": ACTS[one["act"]].model_dump(),
                            "records": one["records"],
                            "last_day": {"last_day_of": [ASKED, f"{one['system']}:{one['act']}"]},
                        },
                        queued_at=at,
                    )
                )

    async def _close(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """An erasure ends with the request's own record, once the answer no longer needs it."""
        if await session.get(ErasureRow, case) is None:
            raise Refusal("no erasure was carried out")
        await erase_own(session, case, at)

    async def _join(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """The earlier request is the same person's, of this controller, open, and asks for all that this one does."""
        own, other = await session.get(RequestRow, case), await session.get(RequestRow, data["into"])
        if own is None or own.person is None or other is None or other.organisation != own.organisation:
            raise Refusal("into: there is no such request of this controller")
        if other.person != own.person:
            raise Refusal("into: another person asked for that")
        mine = await _unanswered(session, self._keyring, case)
        theirs = await _unanswered(session, self._keyring, data["into"])
        if mine is None or theirs is None:
            raise Refusal("into: that request is not open")
        faults = []
        if theirs.joined is not None:
            faults.append(f"into: that request was joined itself, into {theirs.joined}")
        if more := sorted(set(mine.rights) - set(theirs.rights)):
            faults.append(f"into: that request does not ask for: {', '.join(more)}")
        if theirs.received_at > mine.received_at:
            faults.append("into: that request was received later: join it into this one, whose clock runs longer")
        if faults:
            raise Refusal(*faults)


async def _unanswered(session: AsyncSession, keyring: Keyring, case: str) -> PrivacyBody | None:
    """The body of a request that is not answered yet."""
    lives = select(CaseRow.stage).where(CaseRow.case == case, col(CaseRow.closed_at).is_(None))
    if (await session.exec(lives)).one_or_none() in (None, "resting", "lifting"):
        return None
    await keyring.load([case])
    row = await session.get_one(CaseRow, case)
    return PrivacyBody.model_validate({k: v for k, v in row.state["body"].items() if k in PrivacyBody.model_fields})


async def _asked_before(
    session: AsyncSession, keyring: Keyring, organisation: str, person: bytes, rights: tuple[Right, ...]
) -> tuple[str, ...]:
    """Requests of the same person, not answered yet, for any of these rights; the first comes first."""
    query = select(RequestRow.case).where(RequestRow.organisation == organisation, RequestRow.person == person)
    found = []
    for case in (await session.exec(query)).all():
        body = await _unanswered(session, keyring, case)
        if body is not None and body.joined is None and set(body.rights) & set(rights):
            found.append((body.received_at, case))
    return tuple(case for _, case in sorted(found))


async def _copies_before(session: AsyncSession, keyring: Keyring, organisation: str, person: bytes) -> int:
    """How many requests of the same person were answered with a copy: the first of all is free (SE-16.8)."""
    query = select(RequestRow.case).where(RequestRow.organisation == organisation, RequestRow.person == person)
    copies = 0
    for case in (await session.exec(query)).all():
        row = await session.get(CaseRow, case)
        if row is None or row.stage not in ("resting", "lifting", "closed") or row.outcome in ("withdrawn", "joined"):
            continue
        await keyring.load([case])
        body = PrivacyBody.model_validate({k: v for k, v in row.state["body"].items() if k in PrivacyBody.model_fields})
        copies += "access" in body.rights and body.result("access") != "refused"
    return copies


def _terms(rulebook: Rulebook, rights: tuple[Right, ...], received_at: datetime) -> Terms:
    values = rulebook.values["privacy"]
    answer = rulebook.find(values["answer"])
    own = {
        right: (values.get("rights", {}).get(right, answer.id), *values.get("beside", {}).get(right, ()))
        for right in rights
    }
    evidence = {duty: rulebook.find(duty).evidence for duties in own.values() for duty in duties}
    return Terms(
        controller=rulebook.name,
        authority=values["authority"],
        answer=answer.id,
        extension=values.get("extension"),
        identity_gate=values.get("identity_gate"),
        representative_gate=values.get("representative_gate"),
        mail_gate=values.get("mail_gate"),
        health_data=values.get("health_data", False),
        restart=answer.hold is not None and answer.hold.mode == "restart",
        own=own,
        gathering=values.get("gathering", {}).get("access") if "access" in rights else None,
        ways={channel: tuple(ways) for channel, ways in values["identification"].items()},
        grounds={right: dict(values.get(f"{right}_grounds", {})) for right in rights},
        deeds={duty: kind for duty, kind in evidence.items() if kind and kind != answer.evidence},
        cited=CITED,
        recipients=values.get("recipients"),
        representing={
            kind: Representing.model_validate(said) for kind, said in values.get("representation", {}).items()
        },
        doubt_by=_doubt_by(rulebook, received_at),
        signed=True,
        lift_gate=values.get("lift_gate"),
        transfer_gate=values.get("transfer_gate"),
        elsewhere=values.get("elsewhere"),
        passing_on=values.get("passing_on"),
        telling=values.get("telling"),
        fees={**FEES, **values.get("fees", {})},
        published=values.get("published"),
    )


def _doubt_by(rulebook: Rulebook, received_at: datetime) -> datetime | None:
    """Until when a doubt about who asks is raised without delay, where the controller lets the clock wait for it."""
    within = rulebook.values["privacy"].get("doubt_within")
    if within is None:
        return None
    return count(received_at, Period.model_validate(within), rulebook.zone, load(rulebook.calendar)).due


class PrivacyActivities:
    """What is asked of every data system of the controller: gather, rectify, restrict, release, erase."""

    def __init__(
        self,
        sessions: Sessions,
        systems: Sequence[DataSystem],
        now: Now,
        people: Sequence[PersonSystem] = (),
        ledger: Ledger | None = None,
    ) -> None:
        """Without a ledger nothing is written outside of the store: where a history puts back what was done."""
        self._sessions = sessions
        self._systems = systems
        self._now = now
        self._people = people
        self._outside = ledger

    @activity.defn(name="privacy.people")
    async def people(self, work: PrivacyWork) -> PeopleFound:
        """The people who keep data of this controller that no machine can be asked for."""
        async with self._sessions() as session:
            organisation = (await session.exec(select(CaseRow.organisation).where(CaseRow.case == work.case))).one()
        return PeopleFound(people=tuple(p for p in self._people if organisation in p.organisations))

    # ---- gather -----------------------------------------------------------------------------------------------------

    @activity.defn(name="privacy.gather")
    async def gather(self, work: PrivacyWork) -> Gathered:
        """Ask every data system what it holds; for a copy, the archive is written to the store. Counts only go back.

        A system that fails is named by the failure and asked again: the answer never leaves one out.
        """
        body, organisation, person, language = await self._request(work.case)
        at = self._now()
        counts, gathered = [], []
        copies = [right for right in COPIES if right in body.rights and body.result(right) != "refused"]
        # a request for access keeps what was gathered even if it is refused meanwhile: it was asked for together
        copies = copies or [right for right in ("access",) if right in body.rights]
        withheld = {
            right: [w for w in assessment.withheld if w.record]
            for right in COPIES
            if (assessment := body.assessments.get(right)) is not None
        }
        asked = await asyncio.gather(
            *(_all_of(system, organisation, person, at, copy=bool(copies)) for system in self._systems),
            return_exceptions=True,
        )
        if down := [s.name for s, answer in zip(self._systems, asked, strict=True) if isinstance(answer, Exception)]:
            raise _down(*down) from next(answer for answer in asked if isinstance(answer, Exception))
        for system, answer in zip(self._systems, asked, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            found, records = answer
            found = await self._with_what_keeps(system, found, organisation, work.case, at)
            others = [f for f in found if f.record != work.case]
            counts.append(
                SystemCount(
                    system=system.name,
                    title=system.title,
                    held=len(others),
                    in_use=tuple(f.record for f in others if f.in_use is not None),
                )
            )
            gathered.append((system.name, system.title, records))
        on_paper = _on_paper(body)
        for name, title, records in on_paper:
            papers = tuple(record["record"] for record in records)
            keeps = await self._kept_by(name, organisation, work.case, at) if papers else None
            counts.append(SystemCount(system=name, title=title, held=len(papers), in_use=papers if keeps else ()))
        held = {record["record"] for _, _, records in [*gathered, *on_paper] for record in records}
        unfound: set[str] = set()
        if copies:
            files: dict[str, dict[str, str]] = {}
            if "access" in copies:
                shown, missing = _without([*gathered, *on_paper], withheld.get("access", []), language, held)
                unfound |= missing
                abroad = self._abroad(body, {c.system for c in counts if c.held})
                files |= archive_files(book(organisation), work.case.split(":")[2], language, at, shown, abroad)
            if "portability" in copies:
                # what people keep is not processed automatically (GDPR 20(1)(b), SE-19.1.2)
                others_only = [(name, title, _but(records, {work.case})) for name, title, records in gathered]
                given, missing = _without(others_only, withheld.get("portability", []), language, held)
                unfound |= missing
                files |= portable_files(given)
            async with self._sessions() as session, session.begin():
                row = await session.get(ArchiveRow, work.case)
                if row is None:
                    row = ArchiveRow(case=work.case, gathered_at=at)
                    session.add(row)
                row.gathered_at = at
                row.systems = {"files": files, "held": {c.system: c.held for c in counts}}
        return Gathered(at=at, systems=tuple(counts), unfound=tuple(sorted(unfound)))

    def _abroad(self, body: PrivacyBody, holding: set[str]) -> dict[str, Label]:
        """The safeguards of the transfers, of each system that holds something in a third country (SE-16.11)."""
        every = [(s.name, s.safeguards) for s in self._systems] + [(p.name, p.safeguards) for p in body.people or ()]
        return {name: said for name, said in every if said is not None and name in holding}

    # ---- rectify ----------------------------------------------------------------------------------------------------

    @activity.defn(name="privacy.rectify")
    async def rectify(self, work: PrivacyWork) -> Rectified:
        """Correct what a person decided in every system; a second look proves that nothing is left to change.

        Safe to repeat at any point: what is right already is not changed again, and the ledger, which holds what was
        and what is from before the first change, keeps what earlier attempts had done.
        """
        body, organisation, person, _ = await self._request(work.case)
        ledger = await self._corrections(work.case, body)
        for _ in range(LOOKS):
            if ledger.done_at is not None:
                return _rectified(ledger)
            data = [Datum.model_validate(datum) for datum in ledger.plan["data"]]
            changed = 0
            for system in self._systems:
                for found in await self._answers(system, system.locate(organisation, person, self._now())):
                    if found.record == work.case:
                        continue
                    said = await self._answers(system, system.rectify(person, found.record, data))
                    changed += said.changed
                    if said.fields or said.left:
                        ledger = await self._keep_correction(work.case, found.record, said.fields, left=said.left)
            if not changed:
                return _rectified(await self._corrections_done(work.case))
        raise ApplicationError("the second look still finds something to correct", type=errors.OUTSIDE_DOWN)

    async def _corrections(self, case: str, body: PrivacyBody) -> RectificationRow:
        """The request's ledger of corrections, committed before the first change; the case forgets them once made."""
        async with self._sessions() as session, session.begin():
            row = await session.get(RectificationRow, case)
            if row is None:
                if not body.rectifies:
                    raise _refused("no person has decided what is to be corrected")
                data = body.assessments["rectification"].corrections
                plan = {"data": [datum.model_dump() for datum in data], "records": {}, "left": []}
                row = RectificationRow(case=case, begun_at=self._now(), plan=plan)
                session.add(row)
            return row

    async def _keep_correction(self, case: str, record: str, fields: Sequence[str], *, left: bool) -> RectificationRow:
        async with self._sessions() as session, session.begin():
            row = (await session.exec(select(RectificationRow).where(RectificationRow.case == case))).one()
            before = row.plan["records"].get(record, [])
            records = {**row.plan["records"], record: sorted({*before, *fields})} if fields else row.plan["records"]
            stays = sorted({*row.plan["left"], *([record] if left else [])})
            row.plan = {**row.plan, "records": records, "left": stays}
            return row

    async def _corrections_done(self, case: str) -> RectificationRow:
        async with self._sessions() as session, session.begin():
            row = (await session.exec(select(RectificationRow).where(RectificationRow.case == case))).one()
            row.done_at = max(self._now(), row.begun_at)
            return row

    # ---- restrict ---------------------------------------------------------------------------------------------------

    @activity.defn(name="privacy.restrict")
    async def restrict(self, work: PrivacyWork) -> Restricted:
        """Mark every record of the person as restricted; one that cannot carry the mark is named, for a person."""
        body, organisation, person, _ = await self._request(work.case)
        if not body.granted("restriction"):
            raise _refused("no person has decided that the data are to be restricted")
        marked, left = 0, []
        for system in self._systems:
            for found in await self._answers(system, system.locate(organisation, person, self._now())):
                if found.record == work.case:
                    continue
                if await self._answers(system, system.restrict(person, found.record, "restriction", by=work.case)):
                    marked += 1
                else:
                    left.append(found.record)
        async with self._sessions() as session, session.begin():
            row = await _request_row(session, work.case, organisation)
            row.restricted_at = row.restricted_at or self._now()
            return Restricted(at=row.restricted_at, records=marked, left=tuple(left))

    @activity.defn(name="privacy.release")
    async def release(self, work: PrivacyWork) -> Released:
        """Take the mark of this request away from every record; only once the person was told (SE-18.3)."""
        body, organisation, person, _ = await self._request(work.case)
        if body.lifting is None or body.lifting.status == "untold":
            raise _refused("the person is not told that the restriction is to be lifted")
        released = 0
        for system in self._systems:
            for found in await self._answers(system, system.locate(organisation, person, self._now())):
                released += await self._answers(system, system.release(person, found.record, by=work.case))
        async with self._sessions() as session, session.begin():
            row = await _request_row(session, work.case, organisation)
            row.released_at = row.released_at or self._now()
            row.released = max(row.released or 0, released)
            return Released(at=row.released_at, records=row.released)

    # ---- erase ------------------------------------------------------------------------------------------------------

    @activity.defn(name="privacy.erase")
    async def erase(self, work: PrivacyWork) -> Erased:
        """Erase the person from every record that is not kept on a ground; a second look proves it.

        Safe to repeat at any point: the ledger names what will be erased before it is, so that a run after a crash
        goes on and ends with the same numbers.
        """
        body, organisation, person, _ = await self._request(work.case)
        assessment = body.assessments.get("erasure")
        if assessment is None or assessment.outcome == "refused":
            raise _refused("no person has decided that the data are to be erased")
        ground = assessment.ground or "legal_claim"
        for _ in range(LOOKS):
            ledger = await self._ledger(work.case, person)
            if ledger.done_at is not None:
                await self._proven(organisation, ledger)
                return _erased(ledger)
            fresh = await self._look(organisation, person, work.case, ledger.plan)
            if not any(fresh.values()) and ledger.plan:
                unmarked = await self._marked(person, ledger.plan["keep"])
                ledger = await self._done(work.case, organisation, person, unmarked, assessment)
                await self._proven(organisation, ledger)
                return _erased(ledger)
            plan = _planned(ledger.plan, fresh, assessment, ground)
            await self._write_plan(work.case, plan)
            if self._outside is not None:
                await self._outside.begin(organisation, person, work.case, plan["erase"], ledger.begun_at)
            for system in self._systems:
                # in the order in which it told them: what is found through others comes first
                for record in (f.record for f in fresh[system.name]):
                    if record not in plan["erase"].get(system.name, {}):
                        continue
                    if not await self._erase_unheld(system, organisation, person, record, work.case):
                        await self._keep(work.case, organisation, system.name, record, ground)
        raise ApplicationError("the second look still finds something", type=errors.OUTSIDE_DOWN)

    async def _proven(self, organisation: str, ledger: ErasureRow) -> None:
        """The same in the ledger outside of the store, after the store has it."""
        if self._outside is not None and ledger.done_at is not None:
            await self._outside.done(organisation, ledger.case, ledger.plan["erase"], ledger.done_at)

    async def _ledger(self, case: str, person: Subject) -> ErasureRow:
        """The request's row of the ledger, committed before the first deletion."""
        async with self._sessions() as session, session.begin():
            row = await session.get(ErasureRow, case)
            if row is None:
                salt = secrets.token_hex(16)
                row = ErasureRow(
                    case=case, person=person_hash(person.personal_code, salt), salt=salt, begun_at=self._now()
                )
                session.add(row)
            return row

    async def _look(
        self, organisation: str, person: Subject, own: str, plan: dict[str, Any]
    ) -> dict[str, tuple[Found, ...]]:
        """What each system still holds beside the request itself and what is kept."""
        kept = set(plan.get("keep", {})) | {own}
        fresh = {}
        for system in self._systems:
            found = await self._answers(system, system.locate(organisation, person, self._now()))
            found = tuple(f for f in found if f.record not in kept)
            fresh[system.name] = await self._with_what_keeps(system, found, organisation, own, self._now())
        return fresh

    async def _erase_unheld(
        self, system: DataSystem, organisation: str, person: Subject, record: str, own: str
    ) -> bool:
        """Erase a record; False if it is in use, or a legal hold keeps it. None is placed in the meantime (SE-11.4).

        The own store looks for holds itself, in the transaction that erases.
        """
        if system.name == OwnStore.name:
            return await self._answers(system, system.erase(person, record, self._now()))
        async with self._sessions() as session, session.begin():
            await none_is_placed(session)
            whose = (await session.exec(select(RequestRow.person).where(RequestRow.case == own))).one_or_none()
            if await hold_in_system(session, organisation, whose, system.name) is not None:
                return False
            return await self._answers(system, system.erase(person, record, self._now()))

    async def _kept_by(self, system: str, organisation: str, own: str, at: datetime) -> dict[str, Any] | None:
        """What keeps all that a system beside the own store holds of the person, and its last day, where it has one.

        That is a legal hold, else a storage term that names a legal duty or claim.
        """
        async with self._sessions() as session:
            person = (await session.exec(select(RequestRow.person).where(RequestRow.case == own))).one_or_none()
            if await hold_in_system(session, organisation, person, system) is not None:
                return {"in_use": IN_USE["hold"], "until": None}
            term = await term_in_system(session, organisation, person, system, at)
        return None if term is None else {"in_use": term.said, "until": term.until}

    async def _with_what_keeps(
        self, system: DataSystem, found: tuple[Found, ...], organisation: str, own: str, at: datetime
    ) -> tuple[Found, ...]:
        """What a system holds, and of another one than the own store what keeps that in spite of an erasure."""
        if system.name == OwnStore.name or not found:
            return found
        kept = await self._kept_by(system.name, organisation, own, at)
        if kept is None:
            return found
        return tuple(f if f.in_use is not None else f.model_copy(update=kept) for f in found)

    async def _marked(self, person: Subject, keep: Mapping[str, str]) -> tuple[str, ...]:
        """Restrict what is kept; the records that no system can mark, for a person to see to."""
        unmarked = []
        for record, why in keep.items():
            marked = [await self._answers(s, s.restrict(person, record, why)) for s in self._systems]
            if not any(marked):
                unmarked.append(record)
        return tuple(unmarked)

    async def _answers(self, system: DataSystem, asked: Awaitable[T]) -> T:
        """What a system answers. Raises `ApplicationError`: it is down, and is named and asked again."""
        try:
            return await asked
        except SystemDown as e:
            raise _down(system.name) from e

    async def _write_plan(self, case: str, plan: dict[str, Any]) -> None:
        async with self._sessions() as session, session.begin():
            row = (await session.exec(select(ErasureRow).where(ErasureRow.case == case))).one()
            row.plan = plan

    async def _keep(self, case: str, organisation: str, system: str, record: str, ground: str) -> None:
        """A record came into use since the look: kept on the ground, not erased."""
        async with self._sessions() as session, session.begin():
            row = (await session.exec(select(ErasureRow).where(ErasureRow.case == case))).one()
            rows = row.plan["erase"].get(system, {}).get(record, 0)
            erase = {
                s: {r: n for r, n in rs.items() if (s, r) != (system, record)} for s, rs in row.plan["erase"].items()
            }
            one = KeptRecord(system=system, record=record, ground=ground, rows=rows).model_dump(mode="json")
            row.plan = {
                "erase": erase,
                "keep": {**row.plan["keep"], record: ground},
                "records": {**row.plan.get("records", {}), record: one},
            }
        if self._outside is not None:
            await self._outside.left(organisation, case, system, record, self._now())

    async def _done(
        self, case: str, organisation: str, person: Subject, unmarked: tuple[str, ...], assessment: Assessment
    ) -> ErasureRow:
        """Done, in one commit with what was kept, and with what ends before its term because the person asked."""
        async with self._sessions() as session, session.begin():
            row = (await session.exec(select(ErasureRow).where(ErasureRow.case == case))).one()
            row.plan = {**row.plan, "unmarked": list(unmarked)}
            row.done_at = max(self._now(), row.begun_at)
            await session.flush()
            await remember(session, case, organisation, person, _erased(row))
            index = (await session.exec(select(RequestRow.person).where(RequestRow.case == case))).one_or_none()
            of_person = select(RecordRow).where(
                RecordRow.organisation == organisation,
                RecordRow.person == index,
                col(RecordRow.destroyed_at).is_(None),
                col(RecordRow.erase_for).is_(None),
            )
            for record in (await session.exec(of_person)).all() if index is not None else ():
                if record.record not in assessment.keep:
                    record.erase_for, record.erase_at = case, row.done_at
            return row

    async def keep_again(self, work: PrivacyWork, erased: Erased) -> None:
        """What an erasure left, as a history tells it: of systems that are not asked again."""
        _, organisation, person, _ = await self._request(work.case)
        async with self._sessions() as session, session.begin():
            await remember(session, work.case, organisation, person, erased)

    # ---- the gate ---------------------------------------------------------------------------------------------------

    async def _request(self, case: str) -> tuple[PrivacyBody, str, Subject, str]:
        """The request as the store has it.

        Raises:
            ApplicationError: The person is not identified: nothing is gathered, answered or erased.
        """
        async with self._sessions() as session:
            row = await session.get(CaseRow, case)
            party = await session.get(PartyRow, (case, "subject"))
            identification = await session.get(IdentificationRow, case)
        if row is None or party is None or row.kind != PrivacyStore.kind:
            raise _refused("there is no such privacy request")
        if identification is None:
            raise _refused("the person is not identified")
        if party.name is None or party.personal_code is None:
            raise _refused("the request's own record is erased")
        body = PrivacyBody.model_validate({k: v for k, v in row.state["body"].items() if k in PrivacyBody.model_fields})
        person = Subject(name=party.name, personal_code=party.personal_code, email=party.email)
        return body, row.organisation, person, party.language


async def _request_row(session: AsyncSession, case: str, organisation: str) -> RequestRow:
    """The request's row, locked; one that was opened by a build before has none yet."""
    row = (await session.exec(select(RequestRow).where(RequestRow.case == case).with_for_update())).one_or_none()
    if row is None:
        row = RequestRow(case=case, organisation=organisation)
        session.add(row)
    return row


Told = list[tuple[str, Label, list[dict[str, Any]]]]
"""Name and title of each system, and its records."""


def _but(records: list[dict[str, Any]], withheld: set[str]) -> list[dict[str, Any]]:
    return [record for record in records if record["record"] not in withheld]


def _without(gathered: Told, withheld: Sequence[Withheld], language: str, held: set[str]) -> tuple[Told, set[str]]:
    """What was gathered without the records and fields that the person does not get, and what of these is not held."""
    whole = {w.record for w in withheld if w.record and w.field is None}
    unfound = whole - held
    left = [(name, title, _but(records, whole)) for name, title, records in gathered]
    instead = str(getattr(WITHHELD, language))
    for one in withheld:
        if one.field is None or one.named is None:
            continue
        found = False
        for _, _, records in left:
            for n, record in enumerate(records):
                if record["record"] == one.record:
                    said = {name: value for name, value in record.items() if name != "record"}
                    after, hit = masked(said, one.field, instead)
                    records[n] = {"record": record["record"], **after}
                    found = found or hit
        if not found:
            unfound.add(one.named)
    return left, unfound


def _on_paper(body: PrivacyBody) -> list[tuple[str, Label, list[dict[str, Any]]]]:
    """What people found who have searched: by reference, for the copies themselves are on paper."""
    return [
        (
            person.name,
            person.title,
            [
                {"record": record, **item.model_dump(mode="json", exclude={"where"}, exclude_none=True)}
                for record, item in zip(body.records_of(person.name), body.found.get(person.name, ()), strict=True)
            ],
        )
        for person in body.people or ()
        if (asked := body.asked_of(person.name, "search")) is not None and asked.answered_at is not None
    ]


def person_hash(personal_code: str, salt: str) -> str:
    """The salted hash under which the erasure ledger knows a person; slow, because personal codes are few."""
    return hashlib.scrypt(normal_code(personal_code).encode(), salt=bytes.fromhex(salt), n=2**14, r=8, p=1).hex()


def _planned(
    plan: dict[str, Any], fresh: dict[str, tuple[Found, ...]], assessment: Assessment, ground: str
) -> dict[str, Any]:
    erase = {name: dict(records) for name, records in plan.get("erase", {}).items()}
    kept, records = dict(plan.get("keep", {})), dict(plan.get("records", {}))
    for name, found in fresh.items():
        for f in found:
            wanted = f.record in assessment.keep
            if f.in_use is None and not wanted:
                erase.setdefault(name, {}).setdefault(f.record, f.rows)
                continue
            kept[f.record] = ground
            said = assessment.keep_until if wanted else None
            # where it is not known how long it is in use, no end can be said
            known = [day for day in (said, f.until) if day is not None] if f.in_use is None or f.until else []
            records[f.record] = KeptRecord(
                system=name,
                record=f.record,
                ground=ground,
                rows=f.rows,
                decided=wanted and not ends_by_itself(f),
                until=said,
                ends=max(known, default=None),
            ).model_dump(mode="json")
    return {"erase": erase, "keep": kept, "records": records}


def _erased(row: ErasureRow) -> Erased:
    return Erased(
        at=cast("datetime", row.done_at),
        erased=sum(len(records) for records in row.plan["erase"].values()),
        kept=row.plan["keep"],
        unmarked=tuple(row.plan.get("unmarked", ())),
        records=tuple(KeptRecord.model_validate(one) for one in row.plan.get("records", {}).values()),
    )


def _rectified(row: RectificationRow) -> Rectified:
    return Rectified(at=cast("datetime", row.done_at), records=len(row.plan["records"]), left=tuple(row.plan["left"]))


def _refused(why: str) -> ApplicationError:
    return ApplicationError(why, type=errors.REFUSED, non_retryable=True, category=ApplicationErrorCategory.BENIGN)


async def _all_of(
    system: DataSystem, organisation: str, person: Subject, at: datetime, *, copy: bool
) -> tuple[tuple[Found, ...], list[dict[str, Any]]]:
    """What a system holds of a person, and its copy if one is wanted."""
    found = await system.locate(organisation, person, at)
    return found, [await system.export(person, f.record) for f in found] if copy else []


def _down(*systems: str) -> ApplicationError:
    """Named, and asked again; whatever it was, since what a system says of its own failure may name people."""
    verb = "does" if len(systems) == 1 else "do"
    of = "data system" if len(systems) == 1 else "data systems"
    return ApplicationError(f"{of} {', '.join(systems)} {verb} not answer", type=errors.OUTSIDE_DOWN)
