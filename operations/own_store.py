"""Termins' own tables as a data system: find a person, hand out what is held, erase it, one record at a time.

A record is a case, a client, a policy or a consent, named by a reference without personal data. Whatever table is added
later is searched and erased too, if it has a column `case`: nothing here lists the tables that may hold a name.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Column, Select, Table, and_, delete, exists, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from integrations.data_systems import Found, Subject, normal_code, normal_name
from models.privacy_answer import OWN
from models.rectification import Corrected, Datum
from models.settlement import Label
from models.tables.sealed import Sealed, sealed
from models.tables.sealed import opened as open_row
from operations.holds import hold_on_person, none_is_placed
from operations.intake import Sessions
from operations.own_consents import OwnConsents, is_consent
from operations.own_rectify import names_wrong, rectify_parties
from operations.refusing import TERM, term_of_case, term_of_policy
from security.keys import Keyring

ERASED = "[erased]"
MASKED = "[data of another person]"

BATCH = 200
"""Cases whose rows are opened together."""

SKIPPED = frozenset({"erasure", "kept"})
"""The ledger of erasures names nobody by itself; who is to be erased from what was kept is forgotten with it."""

CHAINED = frozenset({"intake", "timeline", "clock"})
"""The chain of evidence covers what is not sealed in these: of them only sealed columns are erased."""

HISTORY = {"policy": "policy_entry", "client": "client_change"}
"""What was said of a policy, and what changed of a client: part of its record."""

TEXTS = frozenset({"facts", "data", "any_address_agreed"})
"""Of a policy or a client: what was agreed, which stays but for the texts that name the person."""

STOOD = ("before", "after")
"""Of a client's change: its fields as they were and are, its people among them."""

PERSONAL = frozenset({"name", "first_name", "last_name", "personal_code", "email", "phone", "was", "now"})
"""Fields of what was filed or said of a user, whoever wrote them; `was` and `now` of what is to be corrected."""

RESTRICTED_BY = "restricted_by"
"""Of a party: the privacy requests on whose word the data are only stored, until each of them lifts it."""

IN_USE = {
    "case": "the case is open",
    "policy": "the policy is in force",
    "account": "the access has not ended, or a legal hold stands on it",
    "hold": "a legal hold keeps it",
}


def ends_by_itself(found: Found) -> bool:
    """Whether what keeps a record ends without anybody's decision about it: a hold, a policy, a storage term."""
    why = found.in_use or ""
    return why in (IN_USE["hold"], IN_USE["policy"], IN_USE["account"]) or why.startswith(TERM)


# ---- who is meant ---------------------------------------------------------------------------------------------------


def _fold(text: str) -> str:
    """Small letters without diacritics, as names appear in addresses."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()


def _stem(word: str) -> str:
    """A word of a name without the ending that declension changes: Bērziņa, Bērziņai, Bērziņu."""
    return word[:-2] if len(word) > 5 else word[:-1] if len(word) > 3 else word  # noqa: PLR2004  # lengths of endings


class Names:
    """Tells whether a text names a person: by code, by address or number, or by all words of the name, declined too."""

    def __init__(self, *people: Mapping[str, Any]) -> None:
        patterns = []
        for person in people:
            if code := person.get("personal_code"):
                patterns.append(code_pattern(str(code), boundary=r"\b"))
            known = [_fold(str(person[field])) for field in ("email", "phone", "iban") if person.get(field)]
            patterns += [rf"(?<!\w){re.escape(value)}(?!\w)" for value in known]
            if words := _fold(str(person.get("name") or "")).split():
                patterns.append("".join(rf"(?=[\s\S]*\b{re.escape(_stem(word))})" for word in words))
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def __call__(self, text: str) -> bool:
        """True if the text names one of them."""
        return self._pattern is not None and self._pattern.search(_fold(text)) is not None


def code_pattern(code: str, boundary: str) -> str:
    """A regular expression for a personal code, with and without its separator."""
    plain = normal_code(code)
    return rf"{boundary}{re.escape(plain[:6])}[- ]?{re.escape(plain[6:])}{boundary}"


def _same(a: Any, b: Any) -> bool:
    return bool(a) and bool(b) and " ".join(str(a).split()).casefold() == " ".join(str(b).split()).casefold()


def _same_name(a: Any, b: Any) -> bool:
    """The same name, with diacritics or without."""
    return bool(a) and bool(b) and normal_name(str(a)) == normal_name(str(b))


def is_person(person: Subject, row: Mapping[str, Any], *, in_their_case: bool = False) -> bool:
    """Whether a row with name, email and personal_code is the person: by code if it has one, else by name and address.

    In a case that names the person for certain the same name is enough where there is no address.
    """
    if row.get("personal_code"):
        return normal_code(str(row["personal_code"])) == normal_code(person.personal_code)
    if not _same_name(row.get("name"), person.name):
        return False
    return _same(row.get("email"), person.email) or (in_their_case and not row.get("email"))


# ---- walking through values -----------------------------------------------------------------------------------------


def _scrub(value: Any, names: Names, others: frozenset[str], codes: frozenset[str] = frozenset()) -> Any:
    """The value with every text that names the person erased as a whole; texts that are another person's own stay.

    What is said of a party of these `codes` goes by its fields: an address that was corrected since is theirs too.
    """
    if isinstance(value, str):
        return ERASED if value not in others and names(value) else value
    if isinstance(value, list):
        return [_scrub(v, names, others, codes) for v in value]
    if isinstance(value, dict):
        if _about(value, names, others, codes):
            return _emptied(value, names, others, codes)
        return {k: _scrub(v, names, others, codes) for k, v in value.items()}
    return value


def _about(value: Mapping[str, Any], names: Names, others: frozenset[str], codes: frozenset[str]) -> bool:
    """Whether an object is about the person: it says so by the party's code, or by first name and surname apart."""
    if any(isinstance(value.get(who), str) and value[who] in codes for who in ("user", "party", "line")):
        return True
    first, last = value.get("first_name"), value.get("last_name")
    if not isinstance(first, str) or not isinstance(last, str):
        return False
    whole = f"{first.strip()} {last.strip()}"
    return whole not in others and names(whole)


def _emptied(value: Mapping[str, Any], names: Names, others: frozenset[str], codes: frozenset[str]) -> dict[str, Any]:
    """An object about the person without the fields that say who it is, and without those of what is said in it."""
    emptied: dict[str, Any] = {}
    for name, inner in value.items():
        if name in PERSONAL and isinstance(inner, str):
            emptied[name] = ERASED
        elif isinstance(inner, dict):
            emptied[name] = _emptied(inner, names, others, codes)
        else:
            emptied[name] = _scrub(inner, names, others, codes)
    return emptied


def _mask(value: Any, person: Subject, others: Names) -> Any:
    """The value with other people masked: whoever has a name of their own, and every text that names one of them."""
    if isinstance(value, str):
        return MASKED if others(value) else value
    if isinstance(value, list):
        return [_mask(v, person, others) for v in value]
    if isinstance(value, dict):
        if isinstance(value.get("name"), str) and not is_person(person, value, in_their_case=True):
            return MASKED
        return {k: _mask(v, person, others) for k, v in value.items()}
    return value


def _without(value: Any, person: Subject) -> Any:
    """A client's or policy's people without the person: an entry of a list goes, a single one is emptied."""
    by_code = Names({"personal_code": person.personal_code})

    def theirs(entry: Any) -> bool:
        return isinstance(entry, dict) and (is_person(person, entry) or by_code(json.dumps(entry)))

    if isinstance(value, list):
        return [v for v in value if not theirs(v)]
    if isinstance(value, str) and _same(value, person.name):
        return ERASED
    return {} if theirs(value) else value


# ---- the store ------------------------------------------------------------------------------------------------------


def _tables() -> list[Table]:
    return [t for t in SQLModel.metadata.sorted_tables if "case" in t.c and t.name not in (*SKIPPED, *HISTORY.values())]


def _table(name: str) -> Table:
    return SQLModel.metadata.tables[name]


async def opened(connection: AsyncConnection, query: Select[Any]) -> list[dict[str, Any]]:
    """The rows of a query, opened where the connection can still ask for a key; of one table, with its key.

    Raises:
        Unreadable: A value was changed, or moved here from elsewhere.
    """
    found = await connection.run_sync(lambda c: [dict(row) for row in c.execute(query).mappings()])
    (table,) = {column.table.name for column in query.selected_columns if isinstance(column, Column)}
    return [open_row(_table(table), row) for row in found]


def _names_for_certain(person: Subject) -> Callable[[Mapping[str, Any]], bool]:
    """Tells whether a row names the person for certain: by code, or by name and address together."""
    code = _code(person)
    name = _fold(_quoted(person.name))
    address = re.compile(rf"(?<![\w.+-]){re.escape(person.email)}(?![\w-])", re.IGNORECASE) if person.email else None

    def names(row: Mapping[str, Any]) -> bool:
        text = json.dumps(list(row.values()), ensure_ascii=False, default=str)
        if code is not None and code.search(text):
            return True
        return address is not None and name != "" and address.search(text) is not None and name in _fold(text)

    return names


def _code(person: Subject) -> re.Pattern[str] | None:
    """What finds the person's code in a text; nothing where none is known."""
    if not normal_code(person.personal_code):
        return None
    return re.compile(code_pattern(person.personal_code, boundary=r"\b"), re.IGNORECASE)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


class OwnStore:
    """The tables of Termins as a data system."""

    name = OWN
    safeguards: Label | None = None
    title = Label(lv="Termins (termiņu lietas)", lt="Termins (terminų bylos)", en="Termins (cases and their deadlines)")

    def __init__(self, sessions: Sessions, keyring: Keyring) -> None:
        self._sessions = sessions
        self._keyring = keyring
        self._consents = OwnConsents(keyring)

    async def locate(self, organisation: str, person: Subject, today: datetime) -> tuple[Found, ...]:
        """Every case, client and policy of the organisation that names the person in any row of any table.

        Each row is opened and read: what is sealed cannot be searched by SQL.
        """
        names = _names_for_certain(person)
        intake = _table("intake")
        rows: dict[str, int] = {}
        async with self._sessions() as session:
            connection = await session.connection()
            of_organisation = select(intake.c.case).where(intake.c.organisation == organisation)
            cases = list((await connection.execute(of_organisation.order_by(intake.c.case))).scalars())
            for start in range(0, len(cases), BATCH):
                batch = cases[start : start + BATCH]
                await self._keyring.load(batch)
                for table in _tables():
                    query = select(table).where(table.c.case.in_(batch))
                    for row in await opened(connection, query):
                        if names(row):
                            rows[row["case"]] = rows.get(row["case"], 0) + 1
            found = []
            for case, n in sorted(rows.items()):
                kept = await self._held(session, organisation, person, case)
                kept = kept or await _in_use(connection, person, case)
                term = None if kept else await term_of_case(session, case, today)
                until = term.until if term else None
                found.append(Found(record=case, rows=n, in_use=term.said if term else kept, until=until))
            for kind in ("client", "policy"):
                table = _table(kind)
                of_kind = select(table.c[kind]).where(table.c.organisation == organisation)
                await self._keyring.load(f"{kind}:{key}" for key in (await connection.execute(of_kind)).scalars())
                every = select(table).where(table.c.organisation == organisation).order_by(table.c[kind])
                for row in await opened(connection, every):
                    if not any([names(row), *(names(said) for said in await _history(connection, kind, row[kind]))]):
                        continue
                    record = f"{kind}:{row[kind]}"
                    kept = await self._held(session, organisation, person, record)
                    said, until = (kept, None) if kept or kind != "policy" else _contract(row, today)
                    found.append(Found(record=record, rows=1, in_use=said, until=until))
            found += await self._consents.locate(session, organisation, person)
        return tuple(found)

    async def export(self, person: Subject, record: str) -> dict[str, Any]:
        """What the record says of the person, with other people's data masked."""
        async with self._sessions() as session:
            if is_consent(record):
                return await self._consents.export(session, record)
            connection = await session.connection()
            kind, _, key = record.partition(":")
            if kind in ("client", "policy"):
                table = _table(kind)
                (row,) = await opened(connection, select(table).where(table.c[kind] == key))
                every = [row, *await _history(connection, kind, key)]
                people = [p for one in every for value in _values(one) for p in _people(value) if is_person(person, p)]
                own = [p for n, p in enumerate(people) if p not in people[:n]]
                return {"record": record, "person": own}
            return await _export_case(connection, person, record)

    async def erase(self, person: Subject, record: str, at: datetime) -> bool:
        """Erase the person from a record in one commit; False if it is in use and was left alone."""
        async with self._sessions() as session, session.begin():
            if is_consent(record):
                return await self._consents.erase(session, person, record, at)
            await none_is_placed(session)
            connection = await session.connection()
            kind, _, key = record.partition(":")
            if kind not in ("client", "policy"):
                cases = _table("cases")
                await connection.execute(select(cases.c.case).where(cases.c.case == record).with_for_update())
                held = await self._held(session, record.split(":")[1], person, record)
                if held is not None or await _in_use(connection, person, record) is not None:
                    return False
                if await term_of_case(session, record, at) is not None:
                    return False
                await _erase_case(connection, person, record, at)
                return True
            table = _table(kind)
            (row,) = await opened(connection, select(table).where(table.c[kind] == key).with_for_update())
            if kind == "policy" and _contract(row, at)[0] is not None:
                return False
            if await self._held(session, row["organisation"], person, record) is not None:
                return False
            for said in await _history(connection, kind, key):
                await _forget(connection, _table(HISTORY[kind]), said, person)
            await _forget(connection, table, row, person)
            return True

    async def _held(self, session: AsyncSession, organisation: str, person: Subject, record: str) -> str | None:
        """Why a record is kept, if a legal hold keeps it or all that is about the person (SE-11.4)."""
        held = await hold_on_person(session, self._keyring, organisation, person.personal_code, record)
        return IN_USE["hold"] if held else None

    async def rectify(self, person: Subject, record: str, data: Sequence[Datum]) -> Corrected:
        """Correct the person's party rows of a case, in one commit; a client or a policy is left to a person."""
        kind, _, key = record.partition(":")
        async with self._sessions() as session, session.begin():
            connection = await session.connection()
            if kind in ("client", "policy"):
                table = _table(kind)
                rows = await opened(connection, select(table).where(table.c[kind] == key))
                return Corrected(left=names_wrong(rows, data))
            party = _table("party")
            rows = await opened(connection, select(party).where(party.c.case == record).with_for_update())
            return await rectify_parties(
                connection, record, rows, lambda row: is_person(person, row, in_their_case=True), data
            )

    async def restrict(self, person: Subject, record: str, ground: str, by: str | None = None) -> bool:
        """Mark the person's party rows of a case: stored, otherwise not to be used. Clients and policies have none."""
        if is_consent(record):
            async with self._sessions() as session, session.begin():
                return await self._consents.restrict(session, record, ground, by)

        def marked(other: dict[str, Any]) -> dict[str, Any]:
            if by is None:
                return {**other, "restricted": ground}
            return {**other, RESTRICTED_BY: sorted({*other.get(RESTRICTED_BY, ()), by})}

        return await self._mark(person, record, marked)

    async def release(self, person: Subject, record: str, by: str) -> bool:
        """Take the mark of this request from the person's party rows of a case; other marks stay."""
        if is_consent(record):
            async with self._sessions() as session, session.begin():
                return await self._consents.release(session, record, by)

        def released(other: dict[str, Any]) -> dict[str, Any]:
            left = [case for case in other.get(RESTRICTED_BY, ()) if case != by]
            rest = {k: v for k, v in other.items() if k != RESTRICTED_BY}
            return {**rest, RESTRICTED_BY: left} if left else rest

        return await self._mark(person, record, released, only_if=lambda other: by in other.get(RESTRICTED_BY, ()))

    async def people(self, organisation: str) -> AsyncIterator[Sequence[Subject]]:
        """Everybody with a personal code, or with name and address, in any row of any table; each row is opened."""
        intake = _table("intake")
        of_organisation = select(intake.c.case).where(intake.c.organisation == organisation).order_by(intake.c.case)
        async with self._sessions() as session:
            connection = await session.connection()
            cases = list((await connection.execute(of_organisation)).scalars())
            for start in range(0, len(cases), BATCH):
                batch = cases[start : start + BATCH]
                await self._keyring.load(batch)
                rows: list[dict[str, Any]] = []
                for table in _tables():
                    rows += await opened(connection, select(table).where(table.c.case.in_(batch)))
                yield _known(rows)
            for kind in HISTORY:
                table = _table(kind)
                of_kind = select(table).where(table.c.organisation == organisation).order_by(table.c[kind])
                keys = list((await connection.execute(of_kind.with_only_columns(table.c[kind]))).scalars())
                await self._keyring.load(f"{kind}:{key}" for key in keys)
                for row in await opened(connection, of_kind):
                    yield _known([row, *await _history(connection, kind, row[kind])])

    async def _mark(
        self,
        person: Subject,
        record: str,
        change: Callable[[dict[str, Any]], dict[str, Any]],
        only_if: Callable[[dict[str, Any]], bool] = lambda _: True,
    ) -> bool:
        party = _table("party")
        found = False
        async with self._sessions() as session, session.begin():
            connection = await session.connection()
            rows = await opened(connection, select(party).where(party.c.case == record).with_for_update())
            for row in rows:
                if is_person(person, row, in_their_case=True) and only_if(row["other"]):
                    found = True
                    await connection.execute(
                        update(party)
                        .where(party.c.case == record, party.c.party == row["party"])
                        .values(sealed(party, row, {"other": change(row["other"])}))
                    )
        return found


def _known(rows: Sequence[Mapping[str, Any]]) -> list[Subject]:
    """Who is said in these rows, each once."""
    found: dict[tuple[str, str, str], Subject] = {}
    left: list[Any] = list(rows)
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += value
        elif isinstance(value, Mapping):
            left += value.values()
            words = (value.get(field) for field in ("name", "first_name", "last_name"))
            name = " ".join(word.strip() for word in words if isinstance(word, str))
            code, email = (str(value.get(field) or "") for field in ("personal_code", "email"))
            if normal_code(code) or (name and email):
                found[name, code, email] = Subject(name=name, personal_code=code, email=email or None)
    return list(found.values())


async def _history(connection: AsyncConnection, kind: str, key: str) -> list[dict[str, Any]]:
    """What was said of a policy, or changed of a client."""
    table = _table(HISTORY[kind])
    return await opened(connection, select(table).where(table.c[kind] == key))


async def _forget(connection: AsyncConnection, table: Table, row: dict[str, Any], person: Subject) -> None:
    """Take the person out of a row of a client or a policy: the entry of a list, or the texts that name the person."""
    names = Names(person.model_dump())
    after = {
        name: _scrub(value, names, frozenset()) if name in TEXTS else _without(value, person)
        for name, value in row.items()
    }
    for name in set(STOOD) & set(row):
        after[name] = {k: _scrub(_without(v, person), names, frozenset()) for k, v in row[name].items()}
    if changed := {name: value for name, value in after.items() if value != row[name]}:
        this = and_(*(c == row[c.name] for c in table.primary_key.columns))
        await connection.execute(update(table).where(this).values(sealed(table, row, changed)))


async def erase_own(session: AsyncSession, case: str, at: datetime) -> None:
    """Erase the person of a request from the request itself, in the transaction of the step that closes it."""
    connection = await session.connection()
    party = _table("party")
    for row in await opened(connection, select(party).where(party.c.case == case, party.c.party == "subject")):
        person = Subject(name=row["name"] or "", personal_code=row["personal_code"] or "", email=row["email"])
        await _erase_case(connection, person, case, at, own_request=True)


async def _in_use(connection: AsyncConnection, person: Subject, case: str) -> str | None:
    """Why the person cannot be erased from a case now."""
    if await _open(connection, case):
        return IN_USE["case"]
    account, hold = _table("account"), _table("legal_hold")
    held = exists().where(
        hold.c.client == account.c.client, hold.c.username == account.c.username, hold.c.lifted_at.is_(None)
    )
    lasting = select(account.c.client, account.c.username, account.c.personal_code).where(
        account.c.case == case, (account.c.status != "ended") | held
    )
    theirs = _code(person)
    rows = await opened(connection, lasting)
    lasts = theirs is not None and any(theirs.search(row["personal_code"] or "") for row in rows)
    return IN_USE["account"] if lasts else None


async def _open(connection: AsyncConnection, case: str) -> bool:
    """A case that has not closed, or that was filed and is still to start; not what is kept without a case."""
    intake, cases = _table("intake"), _table("cases")
    row = (
        await connection.execute(
            select(intake.c.result, cases.c.closed_at)
            .select_from(intake.outerjoin(cases, cases.c.case == intake.c.case))
            .where(intake.c.case == case)
        )
    ).one()
    return row.result is None and row.closed_at is None


async def _parties(
    connection: AsyncConnection, person: Subject, case: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The case's parties who are the person, and the others."""
    party = _table("party")
    rows = await opened(connection, select(party).where(party.c.case == case))
    own = [r for r in rows if is_person(person, r, in_their_case=True)]
    return own, [r for r in rows if r not in own]


async def _export_case(connection: AsyncConnection, person: Subject, case: str) -> dict[str, Any]:
    own, others = await _parties(connection, person, case)
    masks = Names(*({k: o[k] for k in ("name", "email", "phone", "personal_code", "iban")} for o in others))
    intake, cases, notice = _table("intake"), _table("cases"), _table("notice")
    (filed,) = await opened(connection, select(intake).where(intake.c.case == case))
    state = next(iter(await opened(connection, select(cases).where(cases.c.case == case))), None)
    codes = [o["party"] for o in own]
    letters = (
        await connection.execute(
            select(notice.c.template, notice.c.sent_at)
            .where(notice.c.case == case, notice.c.party.in_(codes), notice.c.sent_at.is_not(None))
            .order_by(notice.c.sent_at)
        )
    ).all()
    return {
        "record": case,
        "kind": filed["kind"],
        "received_at": filed["received_at"].isoformat(),
        "stage": state["stage"] if state else filed["result"],
        "closed_at": state["closed_at"].isoformat() if state and state["closed_at"] else None,
        "person": [
            {k: o[k] for k in ("role", "name", "email", "phone", "personal_code", "iban", "language") if o[k]}
            for o in own
        ],
        "filed": _mask(filed["content"], person, masks),
        "letters": [{"letter": letter.template, "sent_at": letter.sent_at.isoformat()} for letter in letters],
    }


async def _erase_case(
    connection: AsyncConnection, person: Subject, case: str, at: datetime, *, own_request: bool = False
) -> None:
    """Erase the person from every row of every table of a case: party columns, and each text that names the person."""
    own, others = await _parties(connection, person, case)
    if own_request:
        # who asked for the person is in the request for no other reason
        own, others = [*own, *others], []
    await _erase_rows(connection, case, Names(person.model_dump(), *own), own, others, at, with_state=not own_request)


async def erase_parties(
    connection: AsyncConnection, case: str, codes: frozenset[str], at: datetime, *, with_state: bool = True
) -> None:
    """Erase these parties of a case, and each text of it that names one of them; every other party stays.

    `with_state=False`: the step in which it is done writes the case's own row, which holds codes only.
    """
    party, intake = _table("party"), _table("intake")
    rows = await opened(connection, select(party).where(party.c.case == case))
    own = [row for row in rows if row["party"] in codes]
    (filed,) = await opened(connection, select(intake).where(intake.c.case == case))
    lines = [line for line in _filed_lines(filed["content"], codes).values() if isinstance(line, dict)]
    as_filed = [{**line, "name": f"{line.get('first_name') or ''} {line.get('last_name') or ''}"} for line in lines]
    others = [row for row in rows if row not in own]
    await _erase_rows(connection, case, Names(*own, *as_filed), own, others, at, with_state=with_state)


def _filed_lines(content: Mapping[str, Any], codes: frozenset[str]) -> dict[int, Any]:
    """Of an access request as it was filed: place → the line of each of these users."""
    lines = content.get("users")
    return {n: line for n, line in enumerate(lines) if f"U{n + 1}" in codes} if isinstance(lines, list) else {}


async def _erase_rows(
    connection: AsyncConnection,
    case: str,
    names: Names,
    own: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
    at: datetime,
    *,
    with_state: bool,
) -> None:
    keep = frozenset(str(o[k]) for o in others for k in ("name", "email", "phone", "personal_code", "iban") if o[k])
    codes = frozenset(o["party"] for o in own)
    for table in _tables():
        if not with_state and table.name == "cases":
            continue
        for row in await opened(connection, select(table).where(table.c.case == case)):
            this = and_(*(c == row[c.name] for c in table.primary_key.columns))
            if table.name in ("archive", "rectification") and "subject" in codes:
                await connection.execute(delete(table).where(this))
            elif table.name == "privacy_request" and "subject" in codes:
                await connection.execute(update(table).where(this).values(person=None))
            elif table.name == "account" and (row["subject"] in codes or names(row["personal_code"] or "")):
                # it stays as what it was: which access, from when to when, and by which clause it ended
                gone = {"personal_code": None, "person": None, "erased_at": row["erased_at"] or at}
                await connection.execute(update(table).where(this).values(**gone))
            elif table.name == "party" and row["party"] in codes:
                await connection.execute(
                    update(table)
                    .where(this)
                    .values(
                        name=None,
                        email=None,
                        phone=None,
                        personal_code=None,
                        iban=None,
                        **sealed(table, row, {"other": {}}),
                        erased_at=row["erased_at"] or at,
                    )
                )
            elif changed := _changed(table, row, names, keep, codes):
                await connection.execute(update(table).where(this).values(sealed(table, row, changed)))


def _contract(row: Mapping[str, Any], at: datetime) -> tuple[str | None, date | None]:
    """What keeps a policy, and its last day: it is in force, or its storage term refuses an erasure."""
    last_day = row["covered_until"] or row["ends_on"]
    if last_day >= at.date():
        return IN_USE["policy"], last_day
    term = term_of_policy(row["organisation"], last_day, at)
    return (None, None) if term is None else (term.said, term.until)


def _changed(
    table: Table, row: dict[str, Any], names: Names, others: frozenset[str], codes: frozenset[str]
) -> dict[str, Any]:
    """The columns of a row that name the person, erased. Keys stay: they never carry a name."""
    changed = {}
    for column in table.columns:
        value = row[column.name]
        if table.name in CHAINED and not isinstance(column.type, Sealed):
            continue
        if column.primary_key or not (isinstance(column.type, JSONB | Sealed) or isinstance(value, str)):
            continue
        after = _scrub(value, names, others, codes)
        if table.name == "intake" and column.name == "content":
            for n in _filed_lines(value, codes):
                after["users"][n] = ERASED
        if after != value:
            changed[column.name] = after
    return changed


def _values(row: dict[str, Any]) -> list[Any]:
    """What stands in the columns of a row, and in the fields of a client's change."""
    return [*row.values(), *(value for name in STOOD for value in row.get(name, {}).values())]


def _people(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [p for v in value for p in _people(v)]
    return [value] if isinstance(value, dict) and "name" in value else []
