"""What a run came to, so that two runs can be compared: everything that must not depend on what died meanwhile.

Two runs of a script differ in names (their token), in instants (recorded a little later, to the day the same), and in
how many proofs that came together the case wrote into one step. Everything else is kept and must be equal.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections import Counter, defaultdict
from datetime import date, datetime, time
from decimal import Decimal
from email.message import EmailMessage
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from sqlmodel import SQLModel, col, select
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey

from integrations.bank import end_to_end_id
from integrations.identity import external_id
from integrations.mail import ACCEPTED
from models.names import EVENT_ID
from models.now import wall_clock
from models.tables import (
    AccountRow,
    AgreementRow,
    ArchiveRow,
    AuthenticatorDecisionRow,
    BellRow,
    BreachEntryRow,
    BreachLetterRow,
    CaseRow,
    ClientChangeRow,
    ClientRow,
    ClockRow,
    ConcernedRow,
    ConsentRow,
    DecisionPartRow,
    DecisionRow,
    DirectoryRow,
    DocumentRow,
    ErasureRow,
    EventRow,
    FindingRow,
    IdentificationRow,
    InstalmentRow,
    IntakeRow,
    KeptRow,
    LearntRow,
    LimitRow,
    NoticeRow,
    PartyRow,
    PaymentOrderRow,
    PolicyEntryRow,
    PolicyRow,
    RecipientListRow,
    RecordHoldRow,
    RecordRow,
    RectificationRow,
    RequestRow,
    ReviewRow,
    ScreeningRow,
    SignatureRow,
    SignInRow,
    SuspensionRow,
    TimelineRow,
    TurnRow,
    WithdrawalRow,
)
from operations.directory import LocalDirectory
from tests.chaos import scimserver
from tests.chaos.house import House
from tests.chaos.lives import Answer
from tests.chaos.points import NAMELESS, TOKEN, token_of
from tests.world import RIGA

INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2}|)")
WORDED = re.compile(r"(?<=\bplkst\.\s)\d{2}:\d{2}\b|(?<=\d,\s)\d{2}:\d{2}\b|(?<=\bd\.,\s)\d{2}:\d{2}\b")
"""The time of an instant in words: `plkst. 11:48`, `25 November 2026, 11:48`, `2026 m. lapkričio 25 d., 11:48 val.`"""
CODE = re.compile(r"\b\d{6}-?\d{5}\b")
NAME = re.compile(r"Krūmiņ\w+")
SECRET = re.compile(r"(?<=Vienreizējā parole: )\S+")
STANDS = re.compile(r"(?<=Posms: )\w+")
REMINDER = re.compile(r"(?<=:reminder:\d{8})T\d{4}\b")
"""The minute of a reminder that comes so many hours before the end."""
HELD = re.compile(r"(?<=held, added as elapsed time: )[\w ,:.]+")
"""How long a clock was held, to the fraction of a second."""
LIST = re.compile(r"\bL-[0-9a-f]{16}\b")
"""The name of a list of people, made under the key of its case."""
MESSAGE_ID = re.compile(r"\b[0-9a-f]{40}\b")

MOST_COPIES = 2
"""A letter comes once, and where the server's answer was lost once more."""

HEARD = ("sent", "refused")
"""What a step says of the letters to many people that it heard of, in numbers."""

REPORTED = SearchAttributeKey.for_keyword_list("TemporalReportedProblems")
BOTH = re.compile(r"both\d+-")
"""What the ids of two events have in common that were said at once."""

Projection = dict[str, Any]


async def project(house: House, token: str, cases: list[str]) -> Projection:
    """What the store, the bank, the carrier and the engine show of a run."""
    reader = _Reader(house, token, cases)
    projection: Projection = reader.plain(
        {case: await reader.case(case) for case in cases} | {"outside": await reader.outside()}
    )
    return projection


def differences(undisturbed: Projection, disturbed: Projection) -> list[str]:
    """Where two runs differ, a line each; `-` as it should be, `+` as it is."""
    before, after = (
        json.dumps(p, indent=1, sort_keys=True, ensure_ascii=False).splitlines() for p in (undisturbed, disturbed)
    )
    lines = difflib.unified_diff(before, after, n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def secrets_in(house: House, token: str) -> list[str]:
    """Every one-time secret that ever left the house in a run, the first one first."""
    found = (SECRET.search(_text(mail)) for mail in mails(house, token))
    return [secret[0] for secret in found if secret is not None]


def copies(house: House, token: str) -> list[str]:
    """Letters of a run that came more often than they may.

    A maildir takes a letter once. SMTP cannot promise it: an attempt before any proof was committed may have left a
    copy, always with the same Message-ID; so each such attempt of a letter allows one. (A one-time secret is another
    one in each attempt, so that its letter is another letter.) A sweep allows one more, whichever of
    the two is first: where days are skipped a letter that was just queued looks old to it, and a hit it tells of at
    once; both it and the step's own delivery, in another worker, then send it. However many attempts there were, a
    letter comes at most once more: another copy takes a second death in the instant between taking it and saying so,
    which happens where several runs kill the workers that they share.
    """
    allowed: Counter[str] = Counter()
    recorded, swept = set(), set()
    died: dict[str, set[int]] = defaultdict(set)
    alive = {worker.pid for worker in house.workers if worker is not None}
    attempts = house.journal.letters(token)
    for what, process, letter in attempts:
        which = hashlib.sha256(letter.encode()).hexdigest()[:40]
        if what == "recorded":
            recorded.add(which)
        elif house.mail == "smtp" and what == "swept":
            swept.add(which)
        elif house.mail == "smtp" and which not in recorded:
            allowed[which] += 1
            died[which] |= {process} - alive
    counted = Counter(str(mail["Message-ID"]).strip("<").split("@")[0] for mail in mails(house, token))
    return [
        f"letter {which} came {n} times; attempts: {attempts}"
        for which, n in counted.items()
        if n > max(1, min(allowed[which] + (which in swept), max(MOST_COPIES, 1 + len(died[which]))))
    ]


async def broken_promises(house: House, answers: list[Answer]) -> list[str]:
    """What senders were told and the record does not hold: a message acknowledged and lost, or refused and recorded."""
    faults = []
    async with house.connection.sessions() as session:
        for answer in answers:
            found = (
                await session.exec(
                    select(TimelineRow.step).where(
                        TimelineRow.case == answer.case, TimelineRow.message_id == EVENT_ID + answer.event
                    )
                )
            ).all()
            if list(found) != ([] if answer.step is None else [answer.step]):
                told = "refused" if answer.step is None else f"recorded as step {answer.step}"
                faults.append(f"{answer.case}: {answer.event} was answered as {told}, and is in steps {list(found)}")
    return faults


async def troubles(house: House, cases: list[str]) -> list[str]:
    """Cases whose last task failed, and tasks that failed because the code did not follow the history."""
    faults = []
    for case in cases:
        handle = house.client.get_workflow_handle(case)
        described = await handle.describe()
        if problems := described.typed_search_attributes.get(REPORTED):
            faults.append(f"{case} is left with {', '.join(problems)}")
        async for event in handle.fetch_history_events():
            failed = event.workflow_task_failed_event_attributes
            if failed.cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR:
                faults.append(f"{case}: {failed.failure.message}")
    return faults


def mails(house: House, token: str) -> list[EmailMessage]:
    """Every letter of a run that the carrier ever took, the first one first."""
    mails = house.letters.of(token, house.mails)
    return sorted(mails, key=lambda mail: str(mail[ACCEPTED])) if house.mail == "maildir" else mails


class _Reader:
    def __init__(self, house: House, token: str, cases: list[str]) -> None:
        self._house = house
        self._token = token
        self._named = {case.split(":")[2]: "month" for case in cases if NAMELESS.fullmatch(case)}
        """What is another digest or month in each run → what it stands for."""

    # ---- the store --------------------------------------------------------------------------------------------------

    async def case(self, case: str) -> dict[str, Any]:
        """A case with all its rows."""
        async with self._house.connection.sessions() as session:
            row = await session.get(CaseRow, case)
            assert row is not None

            async def rows(table: type[Any], *order: Any) -> list[Any]:
                return list((await session.exec(select(table).where(table.case == case).order_by(*order))).all())

            timeline = await rows(TimelineRow, col(TimelineRow.step))
            steps = [t.step for t in timeline]
            bells = [(b.reason, b.heard_at is not None) for b in await rows(BellRow, col(BellRow.id))]
            if row.kind == "authenticator_decision":
                # how often it was rung and looked, and what it saw on the way, is nobody's business: one ring stands
                # for all that came before it was heard. Where that led is in its row
                timeline = [t for t in timeline if t.entry not in ("seen", "bell_heard")]
                bells = list(set(bells))
            notices = await rows(NoticeRow, col(NoticeRow.key))
            orders = await rows(PaymentOrderRow, col(PaymentOrderRow.key))
            tables = {
                "filing": await rows(IntakeRow),
                "clocks": await rows(ClockRow, col(ClockRow.duty), col(ClockRow.subject), col(ClockRow.n)),
                "parties": await rows(PartyRow, col(PartyRow.party)),
                "limits": await rows(LimitRow),
                "findings": await rows(FindingRow, col(FindingRow.code)),
                "documents": await rows(DocumentRow, col(DocumentRow.step), col(DocumentRow.n)),
                "decisions": await rows(DecisionRow, col(DecisionRow.n)),
                "decided": await rows(
                    DecisionPartRow, col(DecisionPartRow.n), col(DecisionPartRow.claimant), col(DecisionPartRow.head)
                ),
                "agreements": await rows(AgreementRow, col(AgreementRow.claimant), col(AgreementRow.decision)),
                "instalments": await rows(
                    InstalmentRow, col(InstalmentRow.claimant), col(InstalmentRow.decision), col(InstalmentRow.n)
                ),
                "reviews": await rows(ReviewRow, col(ReviewRow.n)),
                "screenings": await rows(ScreeningRow, col(ScreeningRow.key)),
                "withdrawal": await rows(WithdrawalRow),
                "identification": await rows(IdentificationRow),
                "entries": await rows(BreachEntryRow, col(BreachEntryRow.n)),
                "texts": await rows(BreachLetterRow, col(BreachLetterRow.n)),
                "request": await rows(RequestRow),
                "turn": await rows(TurnRow),
                "learnt": await rows(LearntRow),
                "decided for all": await rows(AuthenticatorDecisionRow),
                "lists": await rows(RecipientListRow, col(RecipientListRow.loaded_at)),
                "signatures": await rows(SignatureRow, col(SignatureRow.sha256), col(SignatureRow.by)),
                "rectification": await rows(RectificationRow),
                "kept": await rows(KeptRow, col(KeptRow.system), col(KeptRow.record)),
            }
            concerned = select(ConcernedRow).where(ConcernedRow.decision == case).order_by(col(ConcernedRow.client))
            tables["concerned"] = list((await session.exec(concerned)).all())
            events = await rows(EventRow, col(EventRow.event))
            archive = await session.get(ArchiveRow, case)
            erasure = await session.get(ErasureRow, case)
            accounts = (
                await session.exec(select(AccountRow).where(AccountRow.case == case).order_by(col(AccountRow.username)))
            ).all()
        for notice in notices:
            self._named[hashlib.sha256(f"{case}#{notice.key}".encode()).hexdigest()[:40]] = notice.key
        for order in orders:
            self._named[end_to_end_id(f"{case}#{order.key}")] = order.key
        for limit in tables["limits"]:
            # made under the key of the ledger from words of the run; two claims on one occurrence have the same one
            if limit.occurrence != case:
                self._named.setdefault(limit.occurrence, f"occurrence of {case}")
        described = await self._house.client.get_workflow_handle(case).describe()
        return {
            "case": {
                "stage": row.stage,
                "outcome": row.outcome,
                "diverged": row.diverged,
                "handler": row.handler,
                "waits_for": row.waits_for,
                "closed": row.closed_at,
                "body": row.state.get("body"),
                "steps without a gap": steps == list(range(1, row.step + 1)),
            },
            "timeline": [
                {**group, "clocks": sorted(group["clocks"], key=lambda clock: json.dumps(clock, sort_keys=True))}
                for group in self.plain(_timeline(timeline))
            ],
            # whoever becomes known is screened by a sweep, on whichever day that comes; and of whom is erased the night
            # takes what is left, an earlier one of another run or this one's own: so `run`, its number, is left out too
            **{
                name: [
                    {**_columns(r, "screened_at", "erased_at", "gone_at", "run"), "erased": _erased(r)} for r in found
                ]
                for name, found in tables.items()
            },
            "notices": [_columns(n) for n in notices],
            "orders": [_columns(o) for o in orders],
            # which words refuse the second of two that came at once depends on where it was met
            "events": sorted(
                (e.name, bool(e.refused), e.delivered_at is not None)
                for e in events
                # a list that was loaded again, its answer being lost, was told of again
                if not (e.name == "add_recipients" and e.refused)
            ),
            "bells": sorted(bells),
            "archive": sorted(archive.systems.get("files", {})) if archive is not None else None,
            "erasure": {"plan": erasure.plan, "done": erasure.done_at is not None} if erasure is not None else None,
            # the provider's id of it is another one each time
            "accounts": [_columns(a, "provider_id") for a in accounts],
            "run": WorkflowExecutionStatus(described.status or 0).name,
        }

    # ---- outside ----------------------------------------------------------------------------------------------------

    async def outside(self) -> dict[str, Any]:
        """What left the house: payment orders in the bank's folder, letters at the carrier, secrets that work."""
        folder = self._house.bank
        for path in set(folder.glob("*.xml")) - self._house.orders.keys():
            self._house.orders[path] = token_of(path.read_text())
        paid = [self._payment(path) for path, whose in self._house.orders.items() if whose == self._token]
        half = [
            path.name for path in (folder / ".orders").glob("*.pending") if token_of(path.read_text()) == self._token
        ]
        found = mails(self._house, self._token)
        letters = {self._letter(mail) for mail in found}
        last = {str(mail["To"]): mail for mail in found if SECRET.search(_text(mail))}
        works = {to: await self._opens(mail) for to, mail in last.items()}
        client = f"K-{self._token}"
        async with self._house.connection.sessions() as session:
            suspensions = (
                await session.exec(
                    select(SuspensionRow)
                    .where(SuspensionRow.client == client)
                    .order_by(SuspensionRow.username, col(SuspensionRow.n))
                )
            ).all()
            accounts = (await session.exec(select(AccountRow).where(AccountRow.client == client))).all()
            ours: dict[str, Any] = {
                "client": select(ClientRow).where(ClientRow.client == client),
                "client's changes": select(ClientChangeRow)
                .where(ClientChangeRow.client == client)
                .order_by(col(ClientChangeRow.n)),
                "sign-ins": select(SignInRow).where(SignInRow.client == client).order_by(col(SignInRow.id)),
                "policy": select(PolicyRow).where(PolicyRow.policy == f"P-{self._token}"),
                "policy's entries": select(PolicyEntryRow)
                .where(PolicyEntryRow.policy == f"P-{self._token}")
                .order_by(col(PolicyEntryRow.n)),
            }
            registers = {name: list((await session.exec(query)).all()) for name, query in ours.items()}
        entries = await self._directory()
        ids = {account.provider_id for account in accounts if account.status != "ended"}
        return {
            "suspensions": [self.plain(_columns(s)) for s in suspensions],
            # the number and the name of a session are others each time; indexes of names are made by a sweep
            **{
                name: [self.plain(_columns(r, "id", "session", "name_index")) for r in found]
                for name, found in registers.items()
            },
            "clinic": self.plain(await self._house.patient(int(self._token.partition("x")[2]))),
            "records": [self.plain(one) for one in await self._records()],
            "consents": [self.plain(one) for one in await self._consents()],
            "directory": [self.plain({**entry, "id": key in ids}) for key, entry in entries],
            "paid": sorted(self.plain(paid)),
            "half": half,
            "letters": sorted(letters),
            "the last secret works": works,
        }

    async def _records(self) -> list[dict[str, Any]]:
        """The run's records elsewhere and the holds on them, as they stand."""
        ours = f"%{self._token}-%"
        async with self._house.connection.sessions() as session:
            query = select(RecordRow).where(col(RecordRow.record).like(ours)).order_by(RecordRow.record)
            records = (await session.exec(query)).all()
            held = select(RecordHoldRow).where(col(RecordHoldRow.hold).like(ours)).order_by(RecordHoldRow.hold)
            return [_columns(row) for row in (*records, *(await session.exec(held)).all())]

    async def _consents(self) -> list[dict[str, Any]]:
        """What was said of the run's consents, whom they still name, and whether the key of each opens anything."""
        found = []
        async with self._house.connection.sessions() as session:
            query = select(ConsentRow).where(col(ConsentRow.consent).like(f"{self._token}-%"))
            rows = (await session.exec(query.order_by(col(ConsentRow.consent), col(ConsentRow.n)))).all()
        # not from this process's memory, where a key outlives its destruction for a while
        gone = await self._house.connection.keyring.erased_of([row.sealed_for for row in rows])
        for row in rows:
            key = "destroyed" if row.sealed_for in gone else "there"
            # what was said later has a number that others came before; and which of the runs' nights erased it, an
            # earlier one of another run or this one's own, is nobody's business
            erased = ("erased_at", *(("at", "recorded_at") if row.what == "erased" else ()))
            columns = _columns(row, "n", "text_sha256", *erased)
            found.append({**columns, "erased": row.erased_at is not None, "key": key})
        return found

    def _payment(self, path: Path) -> str:
        file = ET.parse(path)  # noqa: S314  # our own output
        said = {tag: file.findtext(f".//{{*}}{tag}") for tag in ("EndToEndId", "InstdAmt", "Ustrd", "Cdtr/{*}Nm")}
        return str({**said, "iban": file.findtext(".//{*}CdtrAcct/{*}Id/{*}IBAN")})

    def _letter(self, mail: EmailMessage) -> str:
        """One line for a letter; its copies give the same one."""
        # a letter to staff says where the case stands when it goes out: after a death that can be the next stage
        text = STANDS.sub("‹then›", SECRET.sub("‹secret›", _text(mail)))
        files = sorted(part.get_filename() or "" for part in mail.iter_attachments())
        said = [str(mail[header]) for header in ("To", "From", "Subject", "Message-ID")]
        return json.dumps([self.plain(value) for value in (*said, text, files)], ensure_ascii=False)

    async def _directory(self) -> list[tuple[str, dict[str, Any]]]:
        """What the identity provider holds for the run's client: its id, and the account."""
        theirs = external_id(f"K-{self._token}", "")
        if self._house.identity == "scim":
            users = [u for u in scimserver.read(self._house.identities) if str(u.external_id).startswith(theirs)]
            return [
                (str(u.id), {"name": u.user_name, "active": u.active, "has a secret": u.password is not None})
                for u in sorted(users, key=lambda u: (str(u.external_id), str(u.user_name)))
            ]
        query = select(DirectoryRow).where(col(DirectoryRow.external_id).startswith(theirs, autoescape=True))
        async with self._house.connection.sessions() as session:
            entries = (await session.exec(query.order_by(DirectoryRow.external_id))).all()
        return [
            (e.external_id, _columns(e, "secret_hash", "set_at") | {"has a secret": e.secret_hash is not None})
            for e in entries
        ]

    async def _opens(self, mail: EmailMessage) -> bool:
        username = re.search(r"Lietotājvārds: (\S+)", _text(mail))
        secret = SECRET.search(_text(mail))
        assert username
        assert secret
        name = external_id(f"K-{self._token}", username[1])
        if self._house.identity == "scim":
            kept = {user.external_id: user.password for user in scimserver.read(self._house.identities)}
            return kept.get(name) == secret[0]
        directory = LocalDirectory(self._house.connection.sessions, wall_clock)
        return await directory.verify(name, secret[0]) == "must_change"

    # ---- names and instants -----------------------------------------------------------------------------------------

    def plain(self, value: Any) -> Any:
        """The value without what differs from run to run."""
        match value:
            case dict():
                # the only seconds that are kept are those for which a clock was held
                return {self.plain(str(k)): "‹time›" if k == "seconds" else self.plain(v) for k, v in value.items()}
            case list() | tuple():
                return [self.plain(v) for v in value]
            case datetime():
                return _day(value)
            case str():
                for digest, name in self._named.items():
                    value = value.replace(digest, f"‹{name}›")
                value = TOKEN.sub("‹run›", value)
                value = INSTANT.sub(lambda found: _day_of(found[0]), value)
                value = WORDED.sub(lambda found: found[0] if found[0] == "00:00" else "‹time›", value)
                value = LIST.sub("‹list›", MESSAGE_ID.sub("‹another each time›", value))
                value = HELD.sub("‹time›", REMINDER.sub("‹time›", value))
                return NAME.sub("‹name›", CODE.sub("‹code›", value))
            case Decimal() | date():
                return str(value)
            case bytes():
                return "‹bytes›"
        return value


def _timeline(rows: list[TimelineRow]) -> list[dict[str, Any]]:
    """The entries in order, with the days on which they were written.

    What a case writes by itself between two messages on one day is one group: which of several proofs came first, and
    how many of them it took into one step, is nobody's business.
    """
    groups: list[dict[str, Any]] = []
    for (by_message, day), found in groupby(
        _both_first(rows), key=lambda r: (r.message_id is not None, r.at.astimezone(RIGA).date())
    ):
        entries = list(found)
        if by_message:
            groups += [_group(day, [entry]) | {"message": entry.message, "actor": entry.actor} for entry in entries]
        else:
            groups.append(_group(day, entries))
    return groups


def _both_first(rows: list[TimelineRow]) -> list[TimelineRow]:
    """What a case wrote by itself between two messages that were said at once stands after them."""
    ordered: list[TimelineRow] = []
    for row in rows:
        both = BOTH.search(row.message_id or "")
        at = len(ordered)
        if both and any(r.message_id is not None and both[0] in r.message_id for r in ordered):
            while ordered[at - 1].message_id is None:
                at -= 1
        ordered.insert(at, row)
    return ordered


def _group(day: date, entries: list[TimelineRow]) -> dict[str, Any]:
    facts: dict[str, dict[str, Any]] = {}
    for entry in entries:
        what = f"{entry.entry} {entry.duty or ''} {entry.facts.get('subject', '')}".strip()
        before, said = facts.get(what, {}), entry.facts
        # of how many letters a step heard together is nobody's business; all steps together hear of all
        heard = {name: before[name] + said[name] for name in HEARD if name in before and name in said}
        facts[what] = {**before, **said, **heard}
    clocks = [
        {k: v for k, v in clock.items() if k not in ("derivation", "counted")}
        for entry in entries
        for clock in entry.clocks
    ]
    return {
        "day": day,
        "entries": facts,
        "clocks": clocks,
        "stage": entries[-1].stage,
    }


def _columns(row: SQLModel, *without: str) -> dict[str, Any]:
    return {name: getattr(row, name) for name in type(row).model_fields if name not in without}


def _erased(row: SQLModel) -> bool:
    return any(getattr(row, name, None) is not None for name in ("erased_at", "gone_at"))


def _day(at: datetime) -> str:
    """An instant to the day; midnights, which are counted and not recorded, stay as they are."""
    local = at.astimezone(RIGA)
    return local.isoformat() if local.time() == time(0) else f"{local.date()} ‹time›"


def _day_of(text: str) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return _day(at if at.tzinfo else at.replace(tzinfo=RIGA))


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    return str(body.get_content()) if body is not None else ""
