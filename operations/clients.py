"""Clients: registered, changed, ended and shown. The row is how one stands; each change is kept and never changed.

Whoever writes locks the row first. Other people in it are a case of their own, which tells the old and the new: this
module files that case, and the case writes through `write`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from models.case import Day, Text
from models.client import PEOPLE, ClientFiling, HowAsked, between, read_client, read_facts
from models.common import Model
from models.errors import Refusal
from models.names import PERSONAL_CODE, REFERENCE, shortened
from models.now import Now
from models.operator import SYSTEM
from models.policy import read_model
from models.tables import AccountRow, BellRow, ClientChangeRow, ClientRow
from models.tables.sealed import values_of
from operations import masking
from operations.authenticator_decision import ended_by, is_for_everybody
from operations.filings import check
from operations.intake import Intake, Sessions, keep
from operations.operators import may_handle
from operations.policies import HERE
from operations.reading_json import Item
from rules.client import is_over
from rules.rulebook import book, books
from security.keys import Keyring, NoKey

KIND = "client_change"
BELL = "client"
LONGEST_REFERENCE = 64


class Put(Model):
    """What became of a client that was registered or imported."""

    client: str
    new: bool
    """False: it was there already, with the same facts."""


class Bad(Model):
    """A row that did not go in."""

    row: int | None
    client: str | None
    faults: tuple[str, ...]


class Imported(Model):
    """What became of many rows."""

    new: int = 0
    unchanged: int = 0
    bad: tuple[Bad, ...] = ()

    def with_row(self, row: int | None, became: Put | Bad) -> Imported:
        """The report with one more row."""
        if isinstance(became, Bad):
            return self.model_copy(update={"bad": (*self.bad, became.model_copy(update={"row": row}))})
        counted = "new" if became.new else "unchanged"
        return self.model_copy(update={counted: getattr(self, counted) + 1})


class Said(Model):
    """What became of a change."""

    client: str
    fields: tuple[str, ...] = ()
    """What changed now; empty where it stood so already."""
    case: str | None = None
    """The case in which other people are told, and which writes them down."""


class SayEnd(Model):
    """The contract ends (BL-11)."""

    last_day: Day
    reason: Text


class Line(Model):
    """A client in a list."""

    client: str
    organisation: str
    contract: str | None
    contract_from: date | None
    contract_until: date | None
    over: bool
    accounts: int
    """Those that have not ended."""
    requesters: int
    addresses: str
    """`any`, or how many networks."""


class Change(Model):
    """An entry of a client's history."""

    n: int
    at: datetime
    by: str
    case: str | None
    fields: tuple[str, ...]
    before: dict[str, Any]
    after: dict[str, Any]


class Shown(Model):
    """A client as it stands, and how it came to be so."""

    client: str
    organisation: str
    over: bool
    """The contract's last day has passed."""
    any_address: bool
    """Any address was agreed (BL-12); by whom is in the facts."""
    facts: dict[str, Any]
    history: tuple[Change, ...]
    """People, the client's name and reasons only where they were asked for; so with the facts."""


class Clients:
    """Registers clients and writes down what changes of them."""

    def __init__(self, sessions: Sessions, keyring: Keyring, now: Now, intake: Intake | None = None) -> None:
        """Without an intake a case that follows is filed, and started by the sweep."""
        self._sessions = sessions
        self._keyring = keyring
        self._now = now
        self._intake = intake

    # ---- registering ------------------------------------------------------------------------------------------------

    async def register(self, data: Any, said_by: str = HERE) -> Put:
        """Register a client; again with the same facts changes nothing, whatever changed since.

        Raises:
            Refusal: It has faults, all of them named, or was registered with other facts.
        """
        filing, faults = read_client(data)
        organisation = data.get("organisation") if isinstance(data, dict) else None
        if isinstance(organisation, str) and (organisation not in books() or organisation == "T"):
            faults.append("organisation: it has no rulebook")
        if filing is None or faults:
            raise Refusal(*faults)
        async with self._sessions() as session, session.begin():
            await may_handle(session, filing.organisation, said_by)
            there = select(ClientRow.client).where(ClientRow.client == filing.client)
            if (await session.exec(there)).first() is None:
                if ended := await self._ended(session, filing.organisation, None, filing.authenticators):
                    raise Refusal(*ended)
                await self._keyring.create(f"client:{filing.client}")
            try:
                await self._keyring.of(f"client:{filing.client}")
            except NoKey:
                # a second key would make unreadable for good what the first one sealed
                raise Refusal(f"client:{filing.client}: its key is not here; restore the keys first") from None
            facts = _facts(filing)
            row = ClientRow(client=filing.client, organisation=filing.organisation, **_columns(facts))
            written = await session.exec(
                insert(ClientRow).values(values_of(row)).on_conflict_do_nothing().returning(col(ClientRow.client))
            )
            if written.first() is None:
                await self._again(session, filing, facts)
                return Put(client=filing.client, new=False)
            stored = await locked(session, filing.client)
            _append(session, stored, 1, {}, facts, said_by, None, self._now())
        return Put(client=filing.client, new=True)

    async def _again(self, session: AsyncSession, filing: ClientFiling, facts: dict[str, Any]) -> None:
        """Check that a client was registered so; one of before there was a history takes these facts.

        Raises:
            Refusal: It was registered otherwise, or its people would change; the fields are named.
        """
        row = await locked(session, filing.client)
        if row.organisation != filing.organisation:
            raise Refusal("organisation: differs from what is registered")
        history = await changes_of(session, row.client)
        before = history[0].after if history else {name: as_said(row)[name] for name in PEOPLE}
        if differ := [name for name in before if name in facts and facts[name] != before[name]]:
            raise Refusal(*(f"{name}: differs from what is registered; clients change changes it" for name in differ))
        if not history:
            for name, value in _columns(facts).items():
                setattr(row, name, value)
            _append(session, row, 1, {}, facts, f"{SYSTEM}termins", None, self._now())

    async def take(self, item: Item, said_by: str = HERE) -> Put | Bad:
        """Register a row of a file, or say why it did not go in."""
        faults = item.faults
        if not faults:
            try:
                return await self.register(item.value, said_by)
            except Refusal as e:
                faults = e.faults
        code = item.value.get("client") if isinstance(item.value, dict) else None
        # what is no code may be anything, a name too
        known = code if isinstance(code, str) and REFERENCE.match(code) and not PERSONAL_CODE.search(code) else None
        return Bad(row=item.line, client=known, faults=faults)

    # ---- what is said later -----------------------------------------------------------------------------------------

    async def change(self, client: str, data: Any, said_by: str = HERE) -> Said:
        """Change what is said of a client, in one commit; other people are filed as a case that tells them.

        Raises:
            Refusal: It has faults; all are named, nothing is changed and nothing filed.
        """
        said, how, faults = read_facts(data)
        async with self._sessions() as session, session.begin():
            row = await self._open(session, client, said_by)
            before = as_said(row)
            differ = {name: value for name, value in said.items() if value != before[name]}
            faults += [fault for fault in between({**before, **said}) if fault not in between(before)]
            people = {name: differ.pop(name) for name in PEOPLE if name in differ}
            faults += _asking_faults(how, people, any_people=any(name in said for name in PEOPLE))
            added = [a for a in differ.get("authenticators", ()) if a not in before["authenticators"]]
            faults += await self._ended(session, row.organisation, client, added)
            if faults:
                raise Refusal(*faults)
            if differ:
                await write(session, row, differ, said_by, self._now())
            case = await self._file(session, row, people, how, said_by) if people else None
        if case is not None and self._intake is not None:
            await self._intake.start(case, KIND)
        return Said(client=client, fields=tuple(differ), case=case)

    async def _ended(
        self, session: AsyncSession, organisation: str, client: str | None, added: Sequence[str]
    ) -> list[str]:
        """A fault for each of these authenticators that has ended for everybody (BL 3).

        What ended for this client alone, its list brings back.
        """
        faults = []
        for name in added:
            case = await ended_by(session, organisation, client, name, self._now())
            if case is not None and (client is None or await is_for_everybody(session, case)):
                faults.append(f"authenticators: {name} has ended for everybody by {case}; offer-again takes that back")
        return faults

    async def end(self, client: str, data: Any, said_by: str = HERE) -> Said:
        """Write down the last day of a client's contract (BL-11); its users' cases look at it.

        Raises:
            Refusal: It has faults, or the contract ends on another day already.
        """
        end, faults = read_model(SayEnd, data)
        if end is None:
            raise Refusal(*faults)
        async with self._sessions() as session, session.begin():
            row = await self._open(session, client, said_by)
            if row.contract_until == end.last_day:
                return Said(client=client)
            if row.contract is None:
                faults.append("client: no contract is recorded; clients change records it")
            if row.contract_until is not None:
                faults.append("last_day: the contract ends on another day; clients change changes it")
            if row.contract_from is not None and end.last_day < row.contract_from:
                faults.append("last_day: lies before the contract's first day")
            if faults:
                raise Refusal(*faults)
            until = {"contract_until": end.last_day.isoformat()}
            await write(session, row, until, said_by, self._now(), reason=end.reason)
        return Said(client=client, fields=tuple(until))

    async def _open(self, session: AsyncSession, client: str, said_by: str) -> ClientRow:
        row = await locked(session, client)
        await may_handle(session, row.organisation, said_by)
        return row

    async def _file(
        self, session: AsyncSession, row: ClientRow, people: dict[str, Any], how: HowAsked, said_by: str
    ) -> str:
        """File the case that writes other people down and tells them, in the commit that asks for them."""
        asked: dict[str, Any] = {"operator": said_by, "reason": how.reason}
        if how.asked_by is not None:
            asked = {"asked_by": how.asked_by.model_dump()}
        reference = f"{row.client}.{how.reference}"
        filing = {
            "kind": KIND,
            "organisation": row.organisation,
            "reference": reference if len(reference) <= LONGEST_REFERENCE else shortened(reference),
            "received_at": (how.received_at or self._now()).isoformat(),
            "sender": said_by,
            "content": {"client": row.client, **people, **asked},
        }
        intake, _ = await keep(session, self._keyring, check(filing, self._now()), self._now())
        return intake.case

    # ---- looking ----------------------------------------------------------------------------------------------------

    async def show(self, client: str, *, personal: bool = False) -> Shown:
        """A client as it stands, with its history.

        Raises:
            Refusal: There is no such client.
        """

        def said(facts: dict[str, Any]) -> dict[str, Any]:
            return facts if personal else masking.client(facts)

        async with self._sessions() as session:
            row = await session.get(ClientRow, client)
            if row is None:
                raise Refusal("client: there is none with this code")
            history = await changes_of(session, client)
            return Shown(
                client=client,
                organisation=row.organisation,
                over=over(row, self._now()),
                any_address=row.any_address,
                facts=said(as_said(row)),
                history=tuple(
                    Change(
                        n=e.n,
                        at=e.at,
                        by=e.by,
                        case=e.case,
                        fields=tuple(e.fields),
                        before=said(e.before),
                        after=said(e.after),
                    )
                    for e in history
                ),
            )

    async def list(self, organisation: str | None = None) -> list[Line]:
        """Every client, by its code."""
        query = select(ClientRow).order_by(col(ClientRow.client))
        if organisation is not None:
            query = query.where(ClientRow.organisation == organisation)
        async with self._sessions() as session:
            await self._keyring.load(f"client:{key}" for key in (await session.exec(select(ClientRow.client))).all())
            rows = (await session.exec(query)).all()
            accounts = (await session.exec(select(AccountRow.client).where(AccountRow.status != "ended"))).all()
        return [
            Line(
                client=row.client,
                organisation=row.organisation,
                contract=row.contract,
                contract_from=row.contract_from,
                contract_until=row.contract_until,
                over=over(row, self._now()),
                accounts=accounts.count(row.client),
                requesters=len(row.requesters),
                addresses="any" if row.any_address else str(len(row.addresses)),
            )
            for row in rows
        ]


# ---- for whoever writes within a transaction of its own -------------------------------------------------------------


async def locked(session: AsyncSession, client: str) -> ClientRow:
    """The client, locked.

    Raises:
        Refusal: There is none of this code.
    """
    row = await session.get(ClientRow, client, with_for_update=True, populate_existing=True)
    if row is None:
        raise Refusal("client: there is none with this code")
    return row


async def write(
    session: AsyncSession,
    row: ClientRow,
    after: dict[str, Any],
    by: str,
    at: datetime,
    *,
    case: str | None = None,
    reason: str | None = None,
) -> None:
    """Change these fields of a locked client, and append what they were and are."""
    stood = as_said(row)
    n = len(await changes_of(session, row.client))
    if not n:
        # written by a worker of the version before: what it loaded is where the history begins
        n = 1
        _append(session, row, n, {}, stood, f"{SYSTEM}termins", None, at)
    for name, value in _columns(after).items():
        setattr(row, name, value)
    before = {name: stood[name] for name in after}
    _append(session, row, n + 1, before, after, by, case, at, {"reason": reason} if reason else {})
    await _ring(session, row.client, at)


async def changes_of(session: AsyncSession, client: str) -> Sequence[ClientChangeRow]:
    """A client's history, its registration first."""
    query = select(ClientChangeRow).where(ClientChangeRow.client == client).order_by(col(ClientChangeRow.n))
    return (await session.exec(query)).all()


def over(row: ClientRow, now: datetime) -> bool:
    """Whether the client's contract has ended (BL-11)."""
    return is_over(row.contract_until, now.astimezone(ZoneInfo(book(row.organisation).zone)).date())


def as_said(row: ClientRow) -> dict[str, Any]:
    """What stands of a client, as JSON by field (`ClientFacts`)."""
    return {
        "name": row.name,
        "language": row.language,
        "responsible": _whole(row.responsible),
        "requesters": [{"role": "requester", **_whole(person)} for person in row.requesters],
        "login_data_agreed": row.login_data_agreed,
        "contract": row.contract,
        "contract_from": _iso(row.contract_from),
        "contract_until": _iso(row.contract_until),
        "addresses": list(row.addresses),
        "any_address": row.any_address_agreed if row.any_address else None,
        "authenticators": list(row.authenticators),
    }


# ---- helpers --------------------------------------------------------------------------------------------------------


def _facts(filing: ClientFiling) -> dict[str, Any]:
    return filing.model_dump(mode="json", exclude={"client", "organisation"})


def _columns(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts as the row has them."""
    columns = dict(facts)
    for name in ("contract_from", "contract_until"):
        if columns.get(name) is not None:
            columns[name] = date.fromisoformat(columns[name])
    if "name" in columns:
        columns["name_index"] = None
    if "any_address" in columns:
        columns["any_address_agreed"] = columns["any_address"]
        columns["any_address"] = columns["any_address"] is not None
    return columns


def _whole(person: dict[str, Any]) -> dict[str, Any]:
    """A person with every field; one who was erased stays empty."""
    return {"code": None, **person} if person else {}


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _append(
    session: AsyncSession,
    row: ClientRow,
    n: int,
    before: dict[str, Any],
    after: dict[str, Any],
    by: str,
    case: str | None,
    at: datetime,
    more: dict[str, Any] | None = None,
) -> None:
    session.add(
        ClientChangeRow(
            client=row.client,
            n=n,
            at=at,
            recorded_at=at,
            by=by,
            case=case,
            fields=sorted(after),
            before=before,
            after={**after, **(more or {})},
        )
    )


async def _ring(session: AsyncSession, client: str, at: datetime) -> None:
    """The cases of its users' accounts look at the client again."""
    query = select(AccountRow.credential).where(
        AccountRow.client == client, AccountRow.status != "ended", col(AccountRow.credential).is_not(None)
    )
    for case in sorted({case for case in (await session.exec(query)).all() if case is not None}):
        session.add(BellRow(case=case, reason=BELL, created_at=at))


def _asking_faults(how: HowAsked, people: dict[str, Any], *, any_people: bool) -> list[str]:
    """Whether it is said who wants other people, where there are other people, and only there."""
    if not people:
        said = [name for name, value in how if value is not None] if not any_people else []
        return [f"{name}: said only where responsible or requesters change" for name in said]
    faults = []
    if how.reference is None:
        faults.append("reference: the number of the client's letter, or of the document that says so")
    if (how.asked_by is None) == (how.reason is None):
        faults.append("asked_by, reason: who of the client asked, or why an operator enters it; one of them")
    return faults
