"""A breach's side of the store: how it opens, who is affected, their letters, and the register's entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import exists, func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from activities.letters import moment
from activities.store import ActHandler, Amended, Opening
from integrations.mail import one_address
from models.breach import (
    LETTER,
    NOTIFY,
    SUBJECT_ROLE,
    BreachBody,
    BreachFiling,
    BreachTerms,
    People,
    Recipient,
    Reported,
)
from models.errors import Refusal
from models.tables import (
    BreachEntryRow,
    BreachLetterRow,
    CaseRow,
    EventRow,
    IntakeRow,
    NoticeRow,
    PartyRow,
    RecipientListRow,
)
from models.tables.sealed import values_of
from operations.breach import body_of, same_person
from rules.rulebook import Rulebook, book

POST = "post"
"""The carrier of a letter that a person handed over."""
FORMER = "former"
"""Of a party: addresses by which a list may still know the person."""
STAFF = ("data_protection_officer", "manager")
"""Who is told of every report by Termins too."""


class BreachStore:
    """What a breach adds to `case.open` and `case.record`."""

    kind = "breach"

    def __init__(self) -> None:
        self.acts: Mapping[str, ActHandler] = {
            "breach.announce": self._announce,
            "breach.join": self._join,
            "breach.merge": self._merge,
            "breach.take_people": self._take_people,
            "breach.letter": self._letter,
            "breach.queue": self._queue,
            "breach.readdress": self._readdress,
            "breach.posted": self._posted,
            "breach.bounced": self._bounced,
            "breach.enter": self._enter,
        }

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """The first report, whoever noticed it, and what the controller's rulebook says."""
        filing = BreachFiling.model_validate(intake.content)
        rulebook = book(intake.organisation)
        _add_reporter(session, intake.case, "R1", filing.reporter, rulebook.language)
        body = BreachBody(terms=_terms(rulebook), reports={"R1": Reported.of(filing, intake.received_at)})
        return Opening(stage="assessing", body=body.model_dump(mode="json"))

    # ---- reports ----------------------------------------------------------------------------------------------------

    async def _announce(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """Officer and manager hear of every report at once, from whomever it came."""
        report = data["report"]
        text = {
            "lv": f"{report}: ziņots par personas datu aizsardzības pārkāpumu; rit 72 stundu termiņš ({NOTIFY}).",
            "lt": f"{report}: pranešta apie asmens duomenų saugumo pažeidimą; eina 72 valandų terminas ({NOTIFY}).",
            "en": f"{report}: a personal data breach was reported; the 72 hours of {NOTIFY} run.",
        }
        for role in STAFF:
            _tell_staff(session, case, f"{NOTIFY}:{data['report']}:{role}", role, text, at)

    async def _join(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """Another report; where it shows that the breach was known earlier, officer and manager hear of that."""
        organisation = (await session.get_one(CaseRow, case)).organisation
        _add_reporter(session, case, data["report"], data["reporter"], book(organisation).language)
        if data["was"] is None:
            return
        zone = ZoneInfo(book(organisation).zone)

        def said(instant: str, language: str) -> str:
            return moment(datetime.fromisoformat(instant).astimezone(zone), language)

        since, was = data["since"], data["was"]
        text = {
            "lv": f"{data['report']}: pārkāpums kļuvis zināms agrāk. 72 stundu termiņa ({NOTIFY}) sākums: "
            f"{said(since, 'lv')}. Līdz šim: {said(was, 'lv')}.",
            "lt": f"{data['report']}: apie pažeidimą sužinota anksčiau. 72 valandų termino ({NOTIFY}) pradžia: "
            f"{said(since, 'lt')} Iki šiol: {said(was, 'lt')}",
            "en": f"{data['report']}: the breach was known earlier. The 72 hours of {NOTIFY} run from "
            f"{said(since, 'en')}, not from {said(was, 'en')}.",
        }
        for role in STAFF:
            _tell_staff(session, case, f"{NOTIFY}:{data['report']}:{role}", role, text, at)

    async def _merge(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """The reports go to the case that stays, as events that the sweep delivers: it may be closed by then."""
        own, other = await session.get_one(CaseRow, case), await session.get(CaseRow, data["into"])
        # shared with senders of events, not with an erasure
        intake = await session.get(IntakeRow, data["into"], with_for_update={"read": True})
        if other is None or intake is None or intake.erased_at is not None:
            raise Refusal("into: there is no such breach")
        if (other.kind, other.organisation) != (own.kind, own.organisation) or other.outcome == "joined":
            raise Refusal("into: no breach of this organisation that could take reports")
        filing = BreachFiling.model_validate((await session.get_one(IntakeRow, case)).content)
        for code, report in body_of(own).reports.items():
            message = {
                "case": other.case,
                "actor": data["actor"],
                "sort": report.sort,
                **{name: getattr(report, name).isoformat() for name in ("received_at", "noticed_at", "aware_at")},
                "told": {who: told.isoformat() for who, told in report.told.items()},
                "text": filing.text if code == "R1" else f"{code} of {case}",
            }
            event = EventRow(
                case=other.case,
                event=f"joined-{own.case.split(':')[2]}-{code}",
                name="join_report",
                message=message,
                recorded_at=at,
            )
            await session.exec(insert(EventRow).values(values_of(event)).on_conflict_do_nothing())

    # ---- the people -------------------------------------------------------------------------------------------------

    async def _take_people(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Amended:
        """A list that was loaded becomes parties; whoever is one already stays one."""
        loaded = await session.get(RecipientListRow, (case, data["list"]), with_for_update=True)
        if loaded is None or loaded.taken_at is not None:
            raise Refusal("list: there is no such list to be taken; load it first")
        language = book((await session.get_one(CaseRow, case)).organisation).language
        parties = (
            await session.exec(select(PartyRow).where(PartyRow.case == case, PartyRow.role == SUBJECT_ROLE))
        ).all()
        known = {same_person(p.name, *where) for p in parties for where in _addresses(p)}
        people, n = People.model_validate(data["people"]), len(parties)
        languages = dict(people.languages)
        for one in map(Recipient.model_validate, loaded.people):
            key = same_person(one.name, one.email, one.address)
            if key in known:
                continue
            known.add(key)
            n += 1
            reads = one.language or language
            languages[reads] = languages.get(reads, 0) + 1
            session.add(
                PartyRow(
                    case=case,
                    party=f"P{n}",
                    role=SUBJECT_ROLE,
                    name=one.name,
                    email=one.email,
                    language=reads,
                    other={"address": one.address} if one.address else {},
                )
            )
            people = people.add(known=1, no_mail=int(one.email is None))
        if people.known == len(parties):
            raise Refusal("list: everybody on it is known already")
        loaded.taken_at, loaded.people = at, []
        people = people.model_copy(update={"languages": dict(sorted(languages.items()))})
        return Amended(body={"people": people.model_dump(mode="json"), "queued_all": False})

    async def _letter(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        session.add(BreachLetterRow(case=case, n=data["n"], contact=data["contact"], texts=data["texts"]))

    async def _queue(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Amended:
        """The next letters: to those with an e-mail address to whom none was ever written."""
        written = exists().where(
            col(NoticeRow.case) == case, col(NoticeRow.party) == col(PartyRow.party), col(NoticeRow.template) == LETTER
        )
        found = await session.exec(
            select(PartyRow.party)
            .where(
                PartyRow.case == case,
                PartyRow.role == SUBJECT_ROLE,
                col(PartyRow.email).is_not(None),
                col(PartyRow.language).in_(data["languages"]),
                ~written,
            )
            .order_by(func.length(PartyRow.party), col(PartyRow.party))
            .limit(data["size"])
        )
        parties = found.all()
        facts = await _facts(session, case, data["letter"])
        keys = [f"tell:{party}:1" for party in parties]
        for key, party in zip(keys, parties, strict=True):
            session.add(NoticeRow(case=case, key=key, template=LETTER, party=party, facts=facts, queued_at=at))
        return Amended(body={"batch": keys, "queued_all": len(keys) < data["size"]})

    async def _readdress(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Amended:
        """Another address of somebody whom mail did not reach: a letter is queued there."""
        party = await session.get(PartyRow, (case, data["party"]))
        if party is None or party.role != SUBJECT_ROLE:
            raise Refusal("party: there is no such person on the lists of this breach")
        letters = await _letters(session, case, party.party)
        if any(not _failed(one) for one in letters) or f"tell:{party.party}:{len(letters)}" in data["batch"]:
            raise Refusal("party: this person is told, or a letter is on its way")
        try:
            one_address(data["email"])
        except ValueError:
            raise Refusal("email: not an address that mail can reach") from None
        letter = await session.get_one(BreachLetterRow, (case, data["letter"]))
        if party.language not in letter.texts:
            raise Refusal(f"party: the letter is not written in {party.language}")
        people = People.model_validate(data["numbers"])
        if letters:
            people = people.add(failed=-1)
        elif party.email is None:
            people = people.add(no_mail=-1)
        else:
            raise Refusal("party: the letter to this person is still to be queued")
        if party.email is not None:
            party.other = {**party.other, FORMER: [*party.other.get(FORMER, ()), party.email]}
        party.email = data["email"]
        key = f"tell:{party.party}:{len(letters) + 1}"
        facts = await _facts(session, case, data["letter"])
        session.add(NoticeRow(case=case, key=key, template=LETTER, party=party.party, facts=facts, queued_at=at))
        return Amended(body={"people": people.model_dump(mode="json"), "batch": [*data["batch"], key]})

    async def _posted(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Amended:
        """People who were told by post: a letter each, with its proof. Only those whom mail did not reach."""
        left = await _unreached(session, case, data["batch"])
        named: Sequence[str] = data["people"] if data["people"] is not None else list(left)
        if wrong := [party for party in named if party not in left]:
            raise Refusal(f"people: told, on the way, or not on the lists: {', '.join(wrong[:20])}")
        if len(named) != data["count"]:
            raise Refusal(f"people: {len(left)} are left whom mail did not reach")
        sent_at = datetime.fromisoformat(data["sent_at"])
        people = People.model_validate(data["numbers"])
        facts = await _facts(session, case, data["letter"])
        for party in named:
            n = left[party] + 1
            session.add(
                NoticeRow(
                    case=case,
                    key=f"tell:{party}:{n}",
                    template=LETTER,
                    party=party,
                    facts=facts,
                    queued_at=at,
                    sent_at=sent_at,
                    carrier=POST,
                    reference=data["reference"],
                )
            )
            people = people.add(told=1, **({"failed": -1} if left[party] else {"no_mail": -1}))
        people = people.told_at(sent_at, by_person=True)
        return Amended(body={"people": people.model_dump(mode="json")})

    async def _bounced(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        notice = await session.get(NoticeRow, (case, data["notice"]))
        if notice is None or notice.template != LETTER or notice.sent_at is None:
            raise Refusal("notice: no such letter to a data subject was sent")
        if notice.bounced_at is not None:
            raise Refusal("notice: it came back before")
        notice.bounced_at = datetime.fromisoformat(data["bounced_at"])

    # ---- the register -----------------------------------------------------------------------------------------------

    async def _enter(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """An entry; those before it stay, as the authority may ask how it came about."""
        said = {name: data[name] for name in ("n", "by", "facts", "effects", "corrective_action")}
        session.add(BreachEntryRow(case=case, at=at, **said))


def _terms(rulebook: Rulebook) -> BreachTerms:
    return BreachTerms(controller=rulebook.name, language=rulebook.language, **rulebook.values["breach"])


def _add_reporter(session: AsyncSession, case: str, report: str, name: str | None, language: str) -> None:
    if name is not None:
        session.add(PartyRow(case=case, party=report, role="reporter", name=name, language=language))


def _tell_staff(session: AsyncSession, case: str, key: str, role: str, text: dict[str, str], at: datetime) -> None:
    """A letter to one role of staff; `text` by language."""
    session.add(
        NoticeRow(
            case=case,
            key=key,
            template="internal-notice",
            party=role,
            internal=True,
            duty=NOTIFY,
            facts={"case": case, "text": text},
            queued_at=at,
        )
    )


async def _facts(session: AsyncSession, case: str, letter: int) -> dict[str, Any]:
    """What a letter's row holds: its text stands once for all of them."""
    rulebook = book((await session.get_one(CaseRow, case)).organisation)
    return {
        "letter_of": letter,
        "controller": rulebook.name,
        "authority": rulebook.values["breach"]["authority"],
    }


def _addresses(party: PartyRow) -> list[tuple[str | None, str | None]]:
    """E-mail and postal address as a list may have them: what somebody was loaded with, and what is right now."""
    post = party.other.get("address")
    return [(party.email, post), (None, post), *((former, post) for former in party.other.get(FORMER, ()))]


async def _letters(session: AsyncSession, case: str, party: str) -> Sequence[NoticeRow]:
    found = await session.exec(
        select(NoticeRow).where(NoticeRow.case == case, NoticeRow.party == party, NoticeRow.template == LETTER)
    )
    return found.all()


def _failed(letter: NoticeRow) -> bool:
    return letter.refused is not None or letter.bounced_at is not None


async def _unreached(session: AsyncSession, case: str, on_the_way: Sequence[str]) -> dict[str, int]:
    """Whom mail did not reach, with how many letters were tried: all of them failed, or there is no address."""
    people = await session.exec(
        select(PartyRow.party)
        .where(PartyRow.case == case, PartyRow.role == SUBJECT_ROLE, col(PartyRow.email).is_(None))
        .order_by(func.length(PartyRow.party), col(PartyRow.party))
    )
    left = dict.fromkeys(people.all(), 0)
    letters = await session.exec(select(NoticeRow).where(NoticeRow.case == case, NoticeRow.template == LETTER))
    reached = {key.split(":")[1] for key in on_the_way}
    for letter in letters.all():
        left[letter.party] = left.get(letter.party, 0) + 1
        if not _failed(letter):
            reached.add(letter.party)
    return {party: tried for party, tried in left.items() if party not in reached}
