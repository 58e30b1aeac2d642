"""Breaches as people look at them: the register, the authority's form, who is to be told, and loading who that is."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import ValidationError
from sqlalchemy import func
from sqlmodel import col, select

from integrations.mail import one_address
from models.breach import (
    ASKED,
    LETTER,
    NEEDED,
    NOTIFY,
    SUBJECT_ROLE,
    BreachBody,
    Language,
    Recipient,
)
from models.common import Model
from models.errors import Refusal
from models.keepable import unkeepable
from models.names import split_case_id
from models.now import Now
from models.tables import (
    BreachEntryRow,
    CaseRow,
    ClockRow,
    IntakeRow,
    NoticeRow,
    PartyRow,
    RecipientListRow,
)
from operations.filings import faults_of
from operations.intake import ANSWERS_WITHIN, Delivered, Intake, Sessions
from operations.reading import NotFound, local
from operations.reading_json import Item
from rules.rulebook import book
from rules.wording import in_, moment
from security.keys import Keyring

KIND = "breach"
MOST_PEOPLE = 10_000
"""Of one list: a step of the case makes parties of all of them. More are loaded as further lists."""

State = Literal["told", "on the way", "waiting", "failed", "no e-mail"]


def same_person(name: str | None, email: str | None, address: str | None) -> tuple[str, str]:
    """By what somebody on two lists is one person: the name, and the address that a letter goes to."""
    return _folded(name), _folded(email or address)


def _folded(text: str | None) -> str:
    return " ".join((text or "").split()).casefold()


# ---- loading --------------------------------------------------------------------------------------------------------


class BadRow(Model):
    """A row that did not go in."""

    row: int | None
    faults: tuple[str, ...]


class Loaded(Model):
    """What became of a list."""

    case: str
    list: str | None = None
    """None: nobody on it can be told, or all of them were loaded before."""
    people: int = 0
    """Who went in."""
    again: int = 0
    """Who stands in it more than once."""
    before: bool = False
    """The same list was loaded before."""
    waiting: bool = False
    """The case does not answer yet; the sweep delivers it."""
    bad: tuple[BadRow, ...] = ()


class Breaches:
    """Loads people into a breach."""

    def __init__(self, sessions: Sessions, keyring: Keyring, intake: Intake, now: Now) -> None:
        self._sessions = sessions
        self._keyring = keyring
        self._intake = intake
        self._now = now

    async def load(self, case: str, items: Sequence[Item], by: str) -> Loaded:
        """Load the people of a file: good rows go in, bad ones are named; the same again changes nothing.

        Raises:
            NotFound: There is no such breach.
            Refusal: The case refuses the list, or it is too long.
        """
        if len(items) > MOST_PEOPLE:
            raise Refusal(f"more than {MOST_PEOPLE} rows: load them as several files")
        async with self._sessions() as session:
            await _breach(session, case)
        people: dict[tuple[str, str], Recipient] = {}
        bad, again = [], 0
        for number, item in enumerate(items, 1):
            one, faults = _read(item)
            if one is None:
                bad.append(BadRow(row=item.line or number, faults=faults))
                continue
            key = same_person(one.name, one.email, one.address)
            again += key in people
            people.setdefault(key, one)
        loaded = Loaded(case=case, people=len(people), again=again, bad=tuple(bad))
        if not people:
            return loaded
        said = [one.model_dump(mode="json", exclude_none=True) for one in people.values()]
        code = await self._code(case, said)
        if not await self._keep(case, code, said, by):
            return loaded.model_copy(update={"people": 0, "before": True})
        delivered = await self._deliver(case, code, by)
        if delivered.refused:
            if not await self._drop(case, code):
                # the same list, loaded at the same time, or told by an event that had waited
                return loaded.model_copy(update={"people": 0, "before": True})
            raise Refusal(*delivered.refused)
        return loaded.model_copy(update={"list": code, "waiting": delivered.waiting})

    async def _code(self, case: str, people: Sequence[dict[str, Any]]) -> str:
        """A name of the list that tells nothing of it: under the case's key."""
        key = await self._keyring.of(case)
        text = json.dumps(people, sort_keys=True, ensure_ascii=False).encode()
        return f"L-{hmac.digest(key.derived(b'recipients'), text, 'sha256').hex()[:16]}"

    async def _keep(self, case: str, code: str, people: list[dict[str, Any]], by: str) -> bool:
        """Write the list down; False if the case has taken it before."""
        async with self._sessions() as session, session.begin():
            row = await session.get(RecipientListRow, (case, code))
            if row is not None:
                return row.taken_at is None
            session.add(
                RecipientListRow(
                    case=case, code=code, size=len(people), loaded_at=self._now(), loaded_by=by, people=people
                )
            )
        return True

    async def _drop(self, case: str, code: str) -> bool:
        """Take a refused list away; False if the case has taken it."""
        async with self._sessions() as session, session.begin():
            row = await session.get(RecipientListRow, (case, code), with_for_update=True)
            if row is None or row.taken_at is None:
                if row is not None:
                    await session.delete(row)
                return True
        return False

    async def _deliver(self, case: str, code: str, by: str) -> Delivered:
        # a list that was refused may be loaded again, when the case can take it
        event = f"recipients-{code}-{uuid4().hex[:8]}"
        try:
            # a case answers when a worker serves it; without one the event is kept, and waits for the sweep
            async with asyncio.timeout(ANSWERS_WITHIN):
                return await self._intake.submit_event(case, event, "add_recipients", {"actor": by, "list": code})
        except TimeoutError:
            return Delivered(case=case, event=event, waiting=True)


def _read(item: Item) -> tuple[Recipient | None, tuple[str, ...]]:
    if item.faults:
        return None, tuple(item.faults)
    if not isinstance(item.value, dict):
        return None, ("the row is no JSON object",)
    if faults := unkeepable(item.value):
        return None, tuple(faults)
    try:
        one = Recipient.model_validate(item.value)
    except ValidationError as e:
        return None, tuple(faults_of(e))
    if one.email is not None:
        try:
            one_address(one.email)
        except ValueError:
            return None, ("email: not an address that mail can reach",)
    return one, ()


async def _breach(session: Any, case: str) -> tuple[CaseRow, IntakeRow]:
    """The breach of this id.

    Raises:
        NotFound: There is none, or it is erased.
    """
    row, intake = await session.get(CaseRow, case), await session.get(IntakeRow, case)
    if row is None or intake is None or row.kind != KIND or intake.erased_at is not None:
        raise NotFound(f"there is no breach {case}")
    return row, intake


# ---- the register ---------------------------------------------------------------------------------------------------


class Entry(Model):
    """A breach in the register (GDPR 33(5)); what people wrote only where it was asked for."""

    case: str
    organisation: str
    stage: str
    reports: int
    known_at: datetime
    risk: str | None
    authority: str
    """`notified`, `notified late`, `not to be notified`, `joined another case`, or until when it is to be."""
    notified_at: datetime | None
    phases: int
    people: int
    told: int
    left: int
    measures_at: datetime | None
    entries: int
    entered_at: datetime | None
    facts: str | None = None
    effects: str | None = None
    corrective_action: str | None = None
    reasons: str | None = None
    """Why it was late, or why the authority was not notified."""


async def register(sessions: Sessions, organisation: str | None, *, personal: bool = False) -> list[Entry]:
    """Every breach, the one known last at the top; erased ones are gone with what was personal in them."""
    async with sessions() as session:
        query = (
            select(CaseRow)
            .join(IntakeRow, col(IntakeRow.case) == col(CaseRow.case))
            .where(CaseRow.kind == KIND, col(IntakeRow.erased_at).is_(None))
        )
        if organisation is not None:
            query = query.where(CaseRow.organisation == organisation)
        rows = (await session.exec(query)).all()
        cases = [row.case for row in rows]
        entries = {
            entry.case: entry
            for entry in (
                await session.exec(
                    select(BreachEntryRow).where(col(BreachEntryRow.case).in_(cases)).order_by(col(BreachEntryRow.n))
                )
            ).all()
        }
        clocks = {
            clock.case: clock
            for clock in (
                await session.exec(
                    select(ClockRow)
                    .where(col(ClockRow.case).in_(cases), ClockRow.duty == NOTIFY)
                    .order_by(col(ClockRow.n))
                )
            ).all()
        }
    found = [_entry(row, entries.get(row.case), clocks.get(row.case), personal=personal) for row in rows]
    return sorted(found, key=lambda entry: entry.known_at, reverse=True)


def _entry(row: CaseRow, entry: BreachEntryRow | None, clock: ClockRow | None, *, personal: bool) -> Entry:
    body = body_of(row)
    delayed = next((phase.delay_reasons for phase in body.phases if phase.delay_reasons), None)
    written: dict[str, Any] = {}
    if personal:
        written = {"reasons": delayed or body.not_notified}
        if entry is not None:
            written |= {n: getattr(entry, n) for n in ("facts", "effects", "corrective_action")}
    return Entry(
        case=row.case,
        organisation=row.organisation,
        stage=row.stage,
        reports=len(body.reports),
        known_at=body.aware_at,
        risk=body.risk,
        authority="joined another case" if row.outcome == "joined" else _authority(body, clock),
        notified_at=body.phases[0].sent_at if body.phases else None,
        phases=len(body.phases),
        people=body.people.known,
        told=body.people.told,
        left=body.people.left if body.people_owed else 0,
        measures_at=body.measures_at,
        entries=body.entries,
        entered_at=entry.at if entry is not None else None,
        **written,
    )


def _authority(body: BreachBody, clock: ClockRow | None) -> str:
    if body.phases:
        return "notified late" if clock is not None and clock.status == "late" else "notified"
    if body.not_notified is not None:
        return "not to be notified"
    if clock is None:
        return "to be notified"
    return f"{'OVERDUE since' if clock.status == 'overdue' else 'by'} {local(clock.due, clock.organisation)}"


def body_of(row: CaseRow) -> BreachBody:
    """What a breach remembers, as of its last step."""
    fields = {name: value for name, value in row.state["body"].items() if name in BreachBody.model_fields}
    return BreachBody.model_validate(fields)


# ---- the people -----------------------------------------------------------------------------------------------------


class Affected(Model):
    """Somebody who is to be told; who that is, only where it was asked for."""

    party: str
    state: State
    language: str
    letter: str | None
    """The key of the last letter."""
    sent_at: datetime | None = None
    carrier: str | None = None
    bounced_at: datetime | None = None
    name: str | None = None
    email: str | None = None
    address: str | None = None


async def affected(sessions: Sessions, case: str, *, left: bool = False, personal: bool = False) -> list[Affected]:
    """Everybody on the lists of a breach, in their order, and what became of the letters.

    Raises:
        NotFound: There is no such breach.
    """
    async with sessions() as session:
        await _breach(session, case)
        parties = (
            await session.exec(
                select(PartyRow)
                .where(PartyRow.case == case, PartyRow.role == SUBJECT_ROLE)
                .order_by(func.length(PartyRow.party), col(PartyRow.party))
            )
        ).all()
        letters = (
            await session.exec(
                select(NoticeRow)
                .where(NoticeRow.case == case, NoticeRow.template == LETTER)
                .order_by(func.length(NoticeRow.key), col(NoticeRow.key))
            )
        ).all()
    last = {letter.party: letter for letter in letters}
    people = []
    for party in parties:
        letter = last.get(party.party)
        who = {"name": party.name, "email": party.email, "address": party.other.get("address")} if personal else {}
        people.append(
            Affected(
                party=party.party,
                state=_state(party, letter),
                language=party.language,
                letter=letter.key if letter is not None else None,
                sent_at=letter.sent_at if letter is not None else None,
                carrier=letter.carrier if letter is not None else None,
                bounced_at=letter.bounced_at if letter is not None else None,
                **who,
            )
        )
    return [one for one in people if not left or one.state != "told"]


def _state(party: PartyRow, letter: NoticeRow | None) -> State:
    if letter is None:
        return "waiting" if party.email is not None else "no e-mail"
    if letter.refused is not None or letter.bounced_at is not None:
        return "failed"
    return "told" if letter.sent_at is not None else "on the way"


# ---- the authority's form -------------------------------------------------------------------------------------------


class Line(Model):
    """One thing that the authority asks for."""

    clause: str
    title: str
    value: str | None
    """None: not known yet; or written freely, and not asked for."""
    known: bool
    needed: bool
    """Whether no notification ends without it; else it is said where possible."""
    in_phase: int | None
    """The first phase that said something of it."""
    changed: bool
    """What the authority was told of it is not what it is now, or nothing was."""


async def form(sessions: Sessions, now: datetime, case: str, *, personal: bool, language: Language | None) -> str:
    """The notification for the authority as one HTML file: what 33(3) asks for, what is missing, and the phases.

    Raises:
        NotFound: There is no such breach.
    """
    async with sessions() as session:
        row, intake = await _breach(session, case)
        clock = (
            await session.exec(
                select(ClockRow)
                .where(ClockRow.case == case, ClockRow.duty == NOTIFY)
                .order_by(col(ClockRow.n).desc())
                .limit(1)
            )
        ).first()
    body, rulebook = body_of(row), book(row.organisation)
    spoken: Language = language or body.terms.language
    lines = [
        Line(
            clause=clause,
            title=in_(title, spoken),
            value=_value(body, name, personal=personal),
            known=name not in body.facts.missing,
            needed=name in NEEDED,
            in_phase=next((n for n, phase in enumerate(body.phases, 1) if name in phase.facts), None),
            changed=name in body.unsaid or (bool(body.phases) and name not in body.phases[-1].facts),
        )
        for name, (clause, title) in ASKED.items()
    ]
    zone = row.organisation
    _, _, reference = split_case_id(case)
    return _HTML.get_template("breach.html").render(
        words=_WORDS[spoken],
        language=spoken,
        case=case,
        reference=reference,
        controller=rulebook.name,
        authority=body.terms.authority,
        lines=lines,
        missing=[line.title[:1].lower() + line.title[1:] for line in lines if not line.known],
        received=_stamp(intake.received_at, zone, spoken),
        known_at=_stamp(body.aware_at, zone, spoken),
        noticed=_stamp(min(report.noticed_at for report in body.reports.values()), zone, spoken),
        reports=len(body.reports),
        due=_stamp(clock.due, zone, spoken) if clock is not None else None,
        status=clock.status if clock is not None else None,
        risk=body.risk,
        phases=[
            {
                "n": n,
                "sent": _stamp(phase.sent_at, zone, spoken),
                "reference": phase.reference if personal else None,
                "reasons": phase.delay_reasons if personal else None,
                "delayed": phase.delay_reasons is not None,
            }
            for n, phase in enumerate(body.phases, 1)
        ],
        # a risk that was found since makes it to be notified after all
        not_notified=None
        if body.risk != "none"
        else body.not_notified
        if personal
        else bool(body.not_notified) or None,
        people=body.people,
        exemption=body.exemption,
        published=_stamp(body.exemption.published_at, zone, spoken)
        if body.exemption is not None and body.exemption.published_at is not None
        else None,
        personal=personal,
        made=_stamp(now, zone, spoken),
    )


def _stamp(at: datetime, organisation: str, language: Language) -> str:
    """An instant in the controller's zone, in words; with its offset where the clocks show that time twice."""
    here = at.astimezone(ZoneInfo(book(organisation).zone))
    twice = here.replace(fold=1 - here.fold).utcoffset() != here.utcoffset()
    return moment(here, language) + (f" (UTC{here.isoformat()[-6:]})" if twice else "")


def _value(body: BreachBody, name: str, *, personal: bool) -> str | None:
    value = getattr(body.facts, name)
    if value is None:
        return None
    return str(value) if personal or isinstance(value, int) else None


_WORDS: dict[Language, dict[str, Any]] = {
    "lv": {
        "title": "Paziņojums uzraudzības iestādei par personas datu aizsardzības pārkāpumu",
        "law": "Vispārīgās datu aizsardzības regulas (ES) 2016/679 33. pants",
        "controller": "Pārzinis",
        "authority": "Uzraudzības iestāde",
        "reference": "Pārziņa atsauce",
        "noticed": "Pamanīts",
        "known": "Kļuvis zināms",
        "received": "Pirmais ziņojums saņemts",
        "reports": "Iekšējie ziņojumi",
        "due": "72 stundu termiņa beigas",
        "risk": "Risks fizisko personu tiesībām un brīvībām",
        "risks": {"none": "maz ticams", "risk": "iespējams", "high": "augsts", None: "vēl nav novērtēts"},
        "facts": "Ko prasa 33. panta 3. punkts",
        "clause": "Punkts",
        "what": "Ziņas",
        "value": "Saturs",
        "state": "Stāvoklis",
        "missing": "trūkst",
        "possible": "trūkst (norāda, ja iespējams)",
        "hidden": "ir zināms",
        "said_in": "paziņots {}. posmā",
        "changed": "jāpaziņo nākamajā posmā",
        "still": "Vēl trūkst",
        "nothing": "nekā",
        "phases": "Paziņošanas posmi (33. panta 4. punkts)",
        "phase": "Posms",
        "sent": "Nosūtīts",
        "number": "Iestādes numurs vai pierādījums",
        "delay": "Kavēšanās iemesli",
        "none_sent": "Vēl nekas nav nosūtīts.",
        "not_notified": "Iestādei nav jāpaziņo (33. panta 1. punkts)",
        "subjects": "Datu subjektu informēšana (34. pants)",
        "told": "Informēti",
        "of": "{} no {}",
        "exempt": "Netiek informēti katrs atsevišķi",
        "grounds": {
            "encrypted": "dati bija padarīti nesaprotami (34. panta 3. punkta a) apakšpunkts)",
            "measures_taken": "pēc veiktajiem pasākumiem augsts risks nav ticams (34. panta 3. punkta b) apakšpunkts)",
            "disproportionate": "nesamērīgas pūles, tāpēc publisks paziņojums (34. panta 3. punkta c) apakšpunkts)",
        },
        "published": "Publicēts",
        "signed": "Pārziņa vārdā (vārds, uzvārds, paraksts, datums)",
        "made": "Sagatavots",
        "late": "nokavēts",
    },
    "lt": {
        "title": "Pranešimas priežiūros institucijai apie asmens duomenų saugumo pažeidimą",
        "law": "Bendrojo duomenų apsaugos reglamento (ES) 2016/679 33 straipsnis",
        "controller": "Duomenų valdytojas",
        "authority": "Priežiūros institucija",
        "reference": "Duomenų valdytojo numeris",
        "noticed": "Pastebėta",
        "known": "Sužinota",
        "received": "Pirmasis pranešimas gautas",
        "reports": "Vidiniai pranešimai",
        "due": "72 valandų termino pabaiga",
        "risk": "Pavojus fizinių asmenų teisėms ir laisvėms",
        "risks": {"none": "mažai tikėtinas", "risk": "tikėtinas", "high": "didelis", None: "dar neįvertintas"},
        "facts": "Ko reikalauja 33 straipsnio 3 dalis",
        "clause": "Nuostata",
        "what": "Informacija",
        "value": "Turinys",
        "state": "Būklė",
        "missing": "trūksta",
        "possible": "trūksta (nurodoma, jei įmanoma)",
        "hidden": "žinoma",
        "said_in": "pranešta ({} etapas)",
        "changed": "praneština kitu etapu",
        "still": "Dar trūksta",
        "nothing": "nieko",
        "phases": "Pranešimo etapai (33 straipsnio 4 dalis)",
        "phase": "Etapas",
        "sent": "Išsiųsta",
        "number": "Institucijos numeris arba įrodymas",
        "delay": "Vėlavimo priežastys",
        "none_sent": "Dar niekas neišsiųsta.",
        "not_notified": "Institucijai pranešti nereikia (33 straipsnio 1 dalis)",
        "subjects": "Pranešimas duomenų subjektams (34 straipsnis)",
        "told": "Pranešta",
        "of": "{} iš {}",
        "exempt": "Kiekvienam atskirai nepranešama",
        "grounds": {
            "encrypted": "duomenys buvo padaryti nesuprantami (34 straipsnio 3 dalies a punktas)",
            "measures_taken": "po priemonių didelis pavojus nebetikėtinas (34 straipsnio 3 dalies b punktas)",
            "disproportionate": "neproporcingos pastangos, todėl paskelbta viešai (34 straipsnio 3 dalies c punktas)",
        },
        "published": "Paskelbta",
        "signed": "Duomenų valdytojo vardu (vardas, pavardė, parašas, data)",
        "made": "Parengta",
        "late": "pavėluota",
    },
    "en": {
        "title": "Notification of a personal data breach to the supervisory authority",
        "law": "General Data Protection Regulation (EU) 2016/679, Article 33",
        "controller": "Controller",
        "authority": "Supervisory authority",
        "reference": "Controller's reference",
        "noticed": "Noticed",
        "known": "Known since",
        "received": "First report received",
        "reports": "Reports from within",
        "due": "72 hours end",
        "risk": "Risk to the rights and freedoms of natural persons",
        "risks": {"none": "unlikely", "risk": "likely", "high": "high", None: "not assessed yet"},
        "facts": "What Article 33(3) asks for",
        "clause": "Clause",
        "what": "Information",
        "value": "Content",
        "state": "State",
        "missing": "missing",
        "possible": "missing (said where possible)",
        "hidden": "known",
        "said_in": "notified in phase {}",
        "changed": "to be said in the next phase",
        "still": "Still missing",
        "nothing": "nothing",
        "phases": "Phases of the notification (Article 33(4))",
        "phase": "Phase",
        "sent": "Sent",
        "number": "The authority's number, or proof",
        "delay": "Reasons for the delay",
        "none_sent": "Nothing has been sent yet.",
        "not_notified": "The authority need not be notified (Article 33(1))",
        "subjects": "Communication to the data subjects (Article 34)",
        "told": "Told",
        "of": "{} of {}",
        "exempt": "Not told one by one",
        "grounds": {
            "encrypted": "the data were made unintelligible (Article 34(3)(a))",
            "measures_taken": "measures were taken after which a high risk is no longer likely (Article 34(3)(b))",
            "disproportionate": "it would take disproportionate effort, so it was made public (Article 34(3)(c))",
        },
        "published": "Made public",
        "signed": "For the controller (name, signature, date)",
        "made": "Made",
        "late": "late",
    },
}

_HTML = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "pages"),
    undefined=StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
