"""Access: how its cases open, login data and confirmations to users, and the guarded end of an authenticator."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from sqlalchemy import text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.accounts import account_of, present_account, take_authenticator, users_of
from activities.letters import render
from activities.store import ActHandler, Amended, Opening
from integrations.identity import (
    IdentityProvider,
    IdentityRefused,
    IdentityUnavailable,
    NewAccount,
    external_id,
    one_time_secret,
)
from integrations.mail import Letter, MailOut, MailRefused, MailUnavailable, Proof, one_address
from models import errors
from models.access import (
    ASKED,
    NO_AUTHENTICATOR,
    AccessBody,
    AccessFiling,
    Action,
    Fallbacks,
    IssueAccess,
    Issued,
    Line,
    SecretVoided,
    TakeAway,
    VoidSecret,
    WithdrawalBody,
    WithdrawalFiling,
    Withdrawn,
)
from models.authenticator_decision import BELL
from models.case import FIRST_YEAR, LAST_YEAR, AskedOutside
from models.errors import Refusal
from models.names import split_case_id
from models.now import Now
from models.tables import (
    AccountRow,
    AuthenticatorDecisionRow,
    BellRow,
    CaseRow,
    ClientRow,
    ClockRow,
    ConcernedRow,
    IntakeRow,
    NoticeRow,
    PartyRow,
    WithdrawalRow,
)
from operations import accounts
from operations.authenticator_decision import ended_by, limit_of
from operations.clients import over
from operations.filings import check
from operations.intake import Sessions, client_of, keep, same_client
from rules.calendar import load
from rules.client import is_listed
from rules.period import count
from rules.personal_code import COUNTRIES, read
from rules.rulebook import book, duty_for
from security.index import index_of
from security.keys import Keyring

NOTICE = "BL-3-notice"
EFFECT_DAY = "T-effect-day"
NONE = NO_AUTHENTICATOR
"""What a line says where login data shall take the place of an authenticator, or where there is no last day."""
USER = "user"
"""The user in the case of an account's life."""
LOGIN_DATA = "BL-4-secret"
"""The letter with login data."""
TAKEN_WITHIN = 85.0
"""Seconds in which a carrier takes a letter with a secret, or is down."""
ASKED_WITHIN = 12.0
"""Seconds in which the identity provider does what it is asked, or is down. A run asks it twice and the carrier once:
together less than the engine gives a run, so that it begins no other one meanwhile."""
SAID_FROM = 3
"""From this try on a case is told that a system does not answer; before, it was a moment."""
ASKED_AT_ONCE = 4
"""So many runs of a worker ask the identity provider at the same time: each holds a connection and its letter."""

# ---- reading a user's line ------------------------------------------------------------------------------------------

_PHONE = re.compile(r"^\+?[0-9][0-9 ()/.-]{4,29}$")
_AUTHENTICATOR = re.compile(r"^[a-z0-9][a-z0-9-]{1,40}$")
_NAME_LENGTH = 100
_FIELDS = ("first_name", "last_name", "personal_code", "phone", "email", "country", "authenticator", "valid_until")
_NEEDED = ("first_name", "last_name", "personal_code", "phone", "email")


_WRONG = object()


@dataclass(frozen=True)
class Read:
    """A user's line as far as it could be read: its fields, and what is missing, wrong or doubtful, by field."""

    fields: dict[str, str]
    faults: tuple[str, ...]
    doubts: tuple[str, ...]


def read_line(value: Any) -> Read:
    """Read one line of a request (BL 4). Never refuses; the texts name fields, never what stands in them."""
    if not isinstance(value, dict):
        return Read({}, ("line:unknown",), ())
    fields = {
        name: str(value[name]).strip()
        for name in _FIELDS
        if isinstance(value.get(name), str | int) and str(value[name]).strip()
    }
    doubts = ["line:unknown"] if set(value) - set(_FIELDS) else []
    faults = [f"{name}:missing" for name in _NEEDED if name not in fields]
    faults += [f"{name}:wrong" for name in ("first_name", "last_name") if len(fields.get(name, "")) > _NAME_LENGTH]
    if "phone" in fields and not _PHONE.match(fields["phone"]):
        faults.append("phone:wrong")
    if "email" in fields and not _is_address(fields["email"]):
        faults.append("email:wrong")
    if "authenticator" in fields:
        fields["authenticator"] = fields["authenticator"].lower()
        if not _AUTHENTICATOR.match(fields["authenticator"]):
            faults.append("authenticator:wrong")
    fields["country"] = fields.get("country", "LV").upper()
    country = next((c for c in COUNTRIES if c == fields["country"]), None)
    if country is None:
        faults.append("country:wrong")
    elif "personal_code" in fields:
        code = read(fields["personal_code"], country)
        if code.code is None:
            faults.append("personal_code:wrong")
        else:
            fields["personal_code"] = code.code
        if code.doubtful:
            doubts.append("personal_code:sum")
    return Read(fields, tuple(faults), tuple(doubts))


def _is_address(value: str) -> bool:
    try:
        one_address(value)
    except ValueError:
        return False
    return True


def _fill(party: PartyRow, fields: dict[str, str]) -> None:
    party.name = " ".join(fields[n] for n in ("first_name", "last_name") if n in fields) or None
    party.email = fields.get("email")
    party.phone = fields.get("phone")
    party.personal_code = fields.get("personal_code")
    others = ("first_name", "last_name", "country", "authenticator", "valid_until")
    party.other = {n: fields[n] for n in others if n in fields}


# ---- an access request's side of the store --------------------------------------------------------------------------


class AccessStore:
    """What an access request adds to `case.open` and `case.record`."""

    kind = "access_request"

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self.acts: Mapping[str, ActHandler] = {
            "access.complete": self._complete,
            "access.set_address": self._set_address,
            "access.bounced": self._bounced,
            "access.drop": self._drop,
            "access.cancel": self._cancel,
            "access.change": self._change,
        }

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """The parties, and each user's line as far as it could be read; who may not ask goes another way."""
        filing = AccessFiling.model_validate(intake.content)
        client = await client_of(session, intake.organisation, filing.client)
        if filing.for_case is not None:
            await same_client(session, intake.organisation, filing)
            if intake.sender != filing.for_case:
                session.add(BellRow(case=filing.for_case, reason=ASKED, created_at=at))
        _add_people(session, intake.case, client)
        session.add(
            PartyRow(
                case=intake.case,
                party="requester",
                role="requester",
                name=filing.requester.name,
                email=filing.requester.email,
                language=client.language,
            )
        )
        lines, seen = [], set()
        for n, value in enumerate(filing.users, 1):
            line = read_line(value)
            code = line.fields.get("personal_code")
            faults, doubts = await self._judged(session, client, filing.action, line, at)
            if code and code in seen:
                faults = (*faults, "personal_code:repeated")
            if code:
                seen.add(code)
            party = PartyRow(case=intake.case, party=f"U{n}", role="user", language=client.language)
            _fill(party, line.fields)
            session.add(party)
            has_authenticator = "authenticator" in line.fields
            lines.append(
                Line(
                    user=f"U{n}",
                    status="incomplete" if faults else "sending" if filing.action == "issue" else "asked",
                    authenticator=has_authenticator and not client.login_data_agreed,
                    agreed=has_authenticator and client.login_data_agreed,
                    faults=faults,
                    doubts=doubts,
                    letters=0 if faults or filing.action != "issue" else 1,
                )
            )
        may_ask = is_listed(client.responsible, client.requesters, filing.requester.email) or (
            filing.action == "cancel" and await self._is_own(session, client.client, filing)
        )
        # what is to end can always end
        ended = filing.action != "cancel" and over(client, at)
        body = AccessBody(
            received_at=intake.received_at,
            client=client.client,
            action=filing.action,
            for_case=filing.for_case,
            refused="contract_ended" if may_ask and ended else "not_authorised",
            lines=tuple(lines),
        )
        at_work = "issuing" if filing.action == "issue" else "changing"
        return Opening(stage=at_work if may_ask and not ended else "refusing", body=body.model_dump(mode="json"))

    async def _is_own(self, session: AsyncSession, client: str, filing: AccessFiling) -> bool:
        """Whether a user gives up the own access, and nobody else's: that may always be (4)."""
        email = filing.requester.email.strip().casefold()
        for value in filing.users:
            account, _ = await self._person(session, client, read_line(value))
            if account is None or email not in await _addresses_of(session, account):
                return False
        return True

    async def _judged(
        self, session: AsyncSession, client: ClientRow, action: Action, line: Read, at: datetime
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The faults and doubts of a line, by what it asks for and by the client's contract."""
        if action == "cancel":
            _, faults = await self._person(session, client.client, line)
            return faults, line.doubts
        faults, doubts = line.faults, line.doubts
        if "valid_until" in line.fields:
            if action == "issue":
                doubts = (*doubts, "line:unknown")
            elif _last_day(line.fields["valid_until"]) is _WRONG:
                faults = (*faults, "valid_until:wrong")
        wanted = line.fields.get("authenticator")
        takes_away = action == "change" and wanted == NONE
        if wanted is None or takes_away:
            pass
        elif await self._has_ended(session, client, line, at):
            faults = (*faults, "authenticator:ended")
        elif wanted not in client.authenticators:
            if client.contract is None:
                doubts = (*doubts, "authenticator:unlisted")
            else:
                faults = (*faults, "authenticator:unlisted")
        if action == "change" and _read_code(line) is not None:
            _, unknown = await self._person(session, client.client, line)
            faults = (*faults, *unknown)
        return faults, doubts

    async def _has_ended(self, session: AsyncSession, client: ClientRow, line: Read, at: datetime) -> bool:
        """Whether the authenticator of a line is granted no more (BL 3); whoever has it is granted nothing."""
        wanted = line.fields["authenticator"]
        if await ended_by(session, client.organisation, client.client, wanted, at) is None:
            return False
        account, _ = await self._person(session, client.client, line)
        return account is None or account.authenticator != wanted

    async def _person(
        self, session: AsyncSession, client: str, line: Read
    ) -> tuple[AccountRow | None, tuple[str, ...]]:
        """Whose access is meant, if that is certain, else why it is not.

        By the personal code, unless it is that of somebody with another name; or by address and name together, where
        they fit exactly one account of the client.
        """
        fields, code = line.fields, _read_code(line)
        name = _words(fields.get("first_name"), fields.get("last_name"))
        if code is not None:
            account = await present_account(session, client, await index_of(self._keyring, "personal_code", code))
            if account is None:
                return None, ("account:none",)
            known = {word for party in await _parties_of(session, account) for word in _words(party.name)}
            return (None, ("personal_code:unfit",)) if name and known and not name & known else (account, ())
        unread = tuple(fault for fault in line.faults if fault.split(":")[0] in ("personal_code", "country", "line"))
        if missing := tuple(f"{n}:missing" for n in ("first_name", "last_name", "email") if n not in fields):
            return None, (*unread, *missing)
        theirs = select(AccountRow).where(AccountRow.client == client, AccountRow.status != "ended")
        fit = []
        for account in (await session.exec(theirs.order_by(AccountRow.username))).all():
            same_name = any(_words(party.name) == name for party in await _parties_of(session, account))
            if same_name and fields["email"].casefold() in await _addresses_of(session, account):
                fit.append(account)
        if len(fit) == 1:
            return fit[0], ()
        return None, ("account:several" if fit else "account:none", *unread)

    async def _cancel(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Amended:
        """End the access of these users at once (BL 9); what ended meanwhile has ended."""
        intake = (await session.exec(select(IntakeRow).where(IntakeRow.case == case))).one()
        filing = AccessFiling.model_validate(intake.content)
        client = await session.get_one(ClientRow, filing.client)
        users = [_as_read(await _user(session, case, user)) for user in data["users"]]
        found = [account for line in users if (account := (await self._person(session, client.client, line))[0])]
        by_client = is_listed(client.responsible, client.requesters, filing.requester.email)
        await accounts.end(
            session,
            await accounts.accounts_of(session, client.client, [account.username for account in found]),
            "BL-9" if by_client else "BL-16-erase",
            case,
            at,
            event_at=intake.received_at,
        )
        return _results(data, {user: {"status": "cancelled"} for user in data["users"]})

    async def _change(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Amended:
        """Write other contact data at once (BL 9); where the way of signing in changes, new data go out by BL 4."""
        intake = (await session.exec(select(IntakeRow).where(IntakeRow.case == case))).one()
        client = await session.get_one(ClientRow, AccessFiling.model_validate(intake.content).client)
        results: dict[str, dict[str, Any]] = {}
        for user in data["users"]:
            party = await _user(session, case, user)
            account, faults = await self._person(session, client.client, _as_read(party))
            if account is None:
                # it ended between two steps: there is nothing any more that could change
                results[user] = {"status": "incomplete", "faults": list(faults), "told": False}
                continue
            for known in await _parties_of(session, account):
                known.email, known.phone = party.email, party.phone
            if "valid_until" in party.other:
                await accounts.lasts_until(session, account, _last_day(party.other["valid_until"]), at)
            said = party.other.get("authenticator", account.authenticator)
            wanted = None if said == NONE else said
            # where none is wanted this takes the one away that the account has, once login data went out
            party.other = {**party.other, "authenticator": wanted}
            results[user] = {
                "status": "to_issue" if wanted != account.authenticator else "changed",
                "authenticator": wanted is not None and not client.login_data_agreed,
                "agreed": wanted is not None and client.login_data_agreed,
            }
        return _results(data, results)

    async def _complete(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Any:
        """Add what came to the line; refused, with every fault, while it is not complete."""
        party = await _lasting(session, case, data["user"])
        former = {
            **party.other,
            **{n: v for n in ("email", "phone", "personal_code") if (v := getattr(party, n)) is not None},
        }
        intake = (await session.exec(select(IntakeRow).where(IntakeRow.case == case))).one()
        filing = AccessFiling.model_validate(intake.content)
        client = await session.get_one(ClientRow, filing.client)
        said = {**former, **data["fields"]}
        if filing.action == "issue" and said.get("authenticator", "").strip().lower() == NONE:
            del said["authenticator"]  # a change takes one away by this word; here there is none yet
        line = read_line(said)
        judged, doubts = await self._judged(session, client, filing.action, line, at)
        others = (
            await session.exec(
                select(PartyRow).where(PartyRow.case == case, PartyRow.role == "user", PartyRow.party != party.party)
            )
        ).all()
        faults = list(judged)
        if line.fields.get("personal_code") in {other.personal_code for other in others} - {None}:
            faults.append("personal_code:repeated")
        if faults:
            raise Refusal(*(fault.replace(":", ": ") for fault in faults))
        _fill(party, line.fields)
        return {"doubts": list(doubts)}

    async def _set_address(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """Another address for a user. Refused if the letter went to the former one meanwhile: that has to bounce."""
        if data["waiting"] is not None:
            notice = await _notice(session, case, data["waiting"])
            if notice.sent_at is not None:
                raise Refusal("the letter went to the former address meanwhile; report_bounce comes first")
        if not _is_address(data["email"]):
            raise Refusal("email: not an address that mail can reach")
        party = await _lasting(session, case, data["user"])
        party.email = data["email"]

    async def _bounced(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """The mail came back: the account has no login data, whoever holds the mail now.

        So the sign-in check says from this commit on; `access.void_secret` tells the identity provider.
        """
        notice = await _notice(session, case, data["notice"])
        if notice.sent_at is None:
            raise Refusal("notice: no such letter was sent")
        await _lasting(session, case, data["user"])
        notice.bounced_at = datetime.fromisoformat(data["bounced_at"])
        account = await _account_written_to(session, self._keyring, notice)
        if account is None or account.secret_set_at is None or notice.template != LOGIN_DATA:
            return
        # neither a secret that was set after this letter nor the user's own password
        if account.must_change and account.secret_set_at <= notice.sent_at:
            account.secret_set_at = None

    async def _drop(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """Nothing is issued any more; refused if it was issued meanwhile."""
        if data["waiting"] is None:
            return
        notice = await _notice(session, case, data["waiting"])
        if notice.sent_at is not None:
            raise Refusal("line: it was issued meanwhile")
        notice.refused, notice.attempt = notice.refused or "dropped", None


def _read_code(line: Read) -> str | None:
    """The personal code of a line, if it could be read."""
    return None if {"personal_code:wrong", "country:wrong"} & set(line.faults) else line.fields.get("personal_code")


def _last_day(text: str) -> Any:
    """The day that a line says, None where there shall be none, `_WRONG` where it is no day."""
    if text == NONE:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return _WRONG
    return day if FIRST_YEAR <= day.year <= LAST_YEAR else _WRONG


def _as_read(party: PartyRow) -> Read:
    """A line as it stands in the store, to look for its person once more."""
    found = {n: getattr(party, n) for n in ("personal_code", "email", "phone")} | dict(party.other)
    return read_line({n: v for n, v in found.items() if isinstance(v, str)})


def _words(*names: str | None) -> frozenset[str]:
    return frozenset(" ".join(name for name in names if name).casefold().split())


async def _parties_of(session: AsyncSession, account: AccountRow) -> list[PartyRow]:
    """The user of an account as its request and its own case know it; one who was erased is not known any more."""
    ids = [(account.case, account.subject), *([(account.credential, USER)] if account.credential else [])]
    found = [await session.get(PartyRow, id_) for id_ in ids]
    return [party for party in found if party is not None and party.erased_at is None]


async def _addresses_of(session: AsyncSession, account: AccountRow) -> set[str]:
    return {party.email.strip().casefold() for party in await _parties_of(session, account) if party.email}


def _results(data: dict[str, Any], results: Mapping[str, dict[str, Any]]) -> Amended:
    """The lines of a request with what became of some of them."""
    return Amended(body={"lines": [{**line, **results.get(line["user"], {})} for line in data["lines"]]})


# ---- a withdrawal's side of the store -------------------------------------------------------------------------------


class WithdrawalStore:
    """What the withdrawal of an authenticator adds to `case.open` and `case.record`."""

    kind = "authenticator_withdrawal"

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self.acts: Mapping[str, ActHandler] = {
            "withdrawal.told": self._told,
            "withdrawal.untold": self._untold,
            "withdrawal.withdraw": self._withdraw,
            "withdrawal.move": self._move,
            "withdrawal.over": self._over,
            "withdrawal.untold_late": self._untold_late,
            "withdrawal.progress": self._progress,
            "withdrawal.request_fallback": self._request_fallback,
        }

    async def open(self, session: AsyncSession, intake: IntakeRow, at: datetime) -> Opening:
        """The client's people, and the row whose CHECK keeps the effect from being early."""
        filing = WithdrawalFiling.model_validate(intake.content)
        client = await client_of(session, intake.organisation, filing.client)
        _add_people(session, intake.case, client)
        session.add(
            WithdrawalRow(
                case=intake.case,
                client=client.client,
                authenticator=filing.authenticator,
                scope=filing.scope,
                limitation=filing.limitation,
                takes_effect_on=filing.takes_effect_on,
            )
        )
        eve = _eve(intake.organisation, filing.takes_effect_on) if filing.takes_effect_on is not None else None
        body = WithdrawalBody(**filing.model_dump(), decision=intake.parent, effect_anchor=eve)
        return Opening(
            stage="telling",
            body=body.model_dump(mode="json"),
        )

    async def _told(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """The notice is proven: from here on the row itself knows the instant before which no effect can be.

        Counted here again, beside the ledger, from the notice as it lies in the store: two counts have to agree.
        """
        row = await _withdrawal(session, case)
        notice = await _notice(session, case, data["notice"])
        anchor = datetime.fromisoformat(data["anchor_at"])
        if notice.sent_at is None or notice.bounced_at is not None or anchor < max(notice.sent_at, notice.queued_at):
            raise Refusal(f"{NOTICE}: the sending of the notice is not proven")
        if (counting := data.get("counting")) is not None:
            first = await _notice(session, case, counting)
            proven = first.sent_at is not None and first.bounced_at is None
            if row.told_at is None or not proven or row.told_at < max(first.sent_at or row.told_at, first.queued_at):
                raise Refusal(f"{NOTICE}: the sending of the notice that counts is not proven")
            anchor = row.told_at
        row.told_at = anchor
        row.not_before = _not_before(split_case_id(case)[1], anchor, row)

    async def _untold(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """The notice came back: nobody is told, so no effect can be."""
        row = await _withdrawal(session, case)
        if row.effective_at is not None:
            raise Refusal("the effect has come already")
        notice = await _notice(session, case, data["notice"])
        notice.bounced_at = datetime.fromisoformat(data["bounced_at"])
        row.not_before = None
        if data.get("counting") is None:
            row.told_at = None
        if data.get("call_off"):
            await _call_off(session, case, "another notice takes its place")

    async def _untold_late(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """The notice came back after the effect, which no case can take back: staff are told at once."""
        notice = await _notice(session, case, data["notice"])
        if notice.sent_at is None:
            raise Refusal("notice: no such letter was sent")
        notice.bounced_at = datetime.fromisoformat(data["bounced_at"])
        key, owner = f"{NOTICE}:{data['notice']}:late", duty_for(split_case_id(case)[1], NOTICE).owner
        text = {
            "lv": f"{NOTICE}: {data['notice']} atgriezās pēc stāšanās spēkā; klients nav informēts 10 dienas iepriekš.",
            "lt": f"{NOTICE}: laiškas {data['notice']} grįžo jau įsigaliojus; klientui nepranešta prieš 10 dienų.",
            "en": f"{NOTICE}: {data['notice']} came back after the effect; the client was not told ten days ahead.",
        }
        if await session.get(NoticeRow, (case, key)) is None:
            session.add(
                NoticeRow(
                    case=case,
                    key=key,
                    template="internal-notice",
                    party=owner,
                    internal=True,
                    duty=NOTICE,
                    facts={"case": case, "text": text},
                    queued_at=at,
                )
            )

    async def _move(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> Amended:
        """Another day: nobody is told of it yet, so no effect can be until a new notice is proven.

        A later day leaves the ten days as they run. An earlier one than was told starts them `anew`, from the new
        notice; it is refused if those would be over no sooner than the day that was told.
        """
        row, organisation = await _withdrawal(session, case), split_case_id(case)[1]
        if row.effective_at is not None:
            raise Refusal("the effect has come already")
        day, zone = date.fromisoformat(data["takes_effect_on"]), ZoneInfo(book(organisation).zone)
        if day < at.astimezone(zone).date():
            raise Refusal("takes_effect_on: lies in the past")
        was = _not_before(organisation, row.told_at, row) if row.told_at is not None else None
        row.takes_effect_on, row.not_before = day, None
        if was is not None and data["anew"] and _not_before(organisation, at, row) >= was:
            raise Refusal("takes_effect_on: ten full days from a new notice are over no sooner than what was told")
        if was is not None and not data["anew"] and _day_begins(organisation, day) < was:
            raise Refusal("takes_effect_on: earlier than what was told, so that the ten days run anew")
        if data["anew"]:
            row.told_at = None
        await _call_off(session, case, "the effect was moved")
        return Amended(body={"effect_anchor": _eve(organisation, day).isoformat()})

    async def _over(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """The client is none any more: nothing is left to withdraw, and nobody to be told (BL-11)."""
        row, organisation = await _withdrawal(session, case), split_case_id(case)[1]
        client = await session.get_one(ClientRow, row.client)
        today = at.astimezone(ZoneInfo(book(organisation).zone)).date()
        if row.effective_at is not None or client.contract_until is None or client.contract_until >= today:
            raise Refusal("the contract runs, or the effect has come")
        row.withdrawn_at = at
        await _call_off(session, case, "the contract has ended")

    async def _progress(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """Its decision for everybody is to look again, but not at once: a thousand cases say so on one day.

        As if it had just rung: whoever rings what was not heard (`operations.bells`) rings for all that came meanwhile.
        """
        session.add(BellRow(case=data["decision"], reason=BELL, created_at=at, rung_at=at))

    async def _withdraw(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """The decision is withdrawn; refused if its effect has come. A notice that still waits is not sent any more."""
        row = await _withdrawal(session, case)
        if row.effective_at is not None:
            raise Refusal("the effect has come already")
        row.withdrawn_at = at
        await _call_off(session, case, "the decision was withdrawn")

    async def _request_fallback(self, session: AsyncSession, case: str, data: dict[str, Any], at: datetime) -> None:
        """File the client's request for login data, in the same commit; the outbox starts it."""
        row = await _withdrawal(session, case)
        intake = (await session.exec(select(IntakeRow).where(IntakeRow.case == case))).one()
        client = await session.get(ClientRow, row.client)
        assert client is not None
        checked = check(
            {
                "kind": AccessStore.kind,
                "organisation": intake.organisation,
                "reference": data["reference"],
                "received_at": data["received_at"],
                "sender": case,
                "content": {
                    "client": row.client,
                    "requester": data["requester"] or {n: client.responsible[n] for n in ("name", "email")},
                    "action": "issue",
                    "users": data["users"],
                    "for_case": case,
                },
            },
            at,
        )
        await keep(session, self._keyring, checked, at, parent=case)


def _not_before(organisation: str, anchor: datetime, row: WithdrawalRow) -> datetime:
    """The first instant at which the effect can be: ten full days after the notice's day, or the chosen later day."""
    rulebook = book(organisation)
    period = duty_for(organisation, NOTICE).period
    assert period is not None
    due = count(anchor, period, rulebook.zone, load(rulebook.calendar)).due
    return due if row.takes_effect_on is None else max(due, _day_begins(organisation, row.takes_effect_on))


def _day_begins(organisation: str, day: date) -> datetime:
    return datetime.combine(day, time(0), ZoneInfo(book(organisation).zone)).astimezone(UTC)


def _eve(organisation: str, day: date) -> datetime:
    """What the clock of a chosen day is counted from."""
    return datetime.combine(day - timedelta(days=1), time(12), ZoneInfo(book(organisation).zone)).astimezone(UTC)


# ---- effects --------------------------------------------------------------------------------------------------------


class AccessActivities:
    """`access.issue`, `access.void_secret`, `access.withdraw_authenticator` and `access.fallbacks`."""

    def __init__(
        self, sessions: Sessions, keyring: Keyring, provider: IdentityProvider, mail: MailOut, now: Now, sender: str
    ) -> None:
        self._keyring = keyring
        self._sessions = sessions
        self._provider = provider
        self._asking = asyncio.Semaphore(ASKED_AT_ONCE)
        self._mail = mail
        self._now = now
        self._sender = sender

    @activity.defn(name="access.issue")
    async def issue(self, ask: IssueAccess) -> Issued:
        """Make the user's account and mail login data or the confirmation straight to the user (BL 4).

        A one-time secret is born and mailed in here and leaves only for the identity provider. First the provider makes
        or finds the account, and takes a secret that nobody knows, so that the former one is over and a mail goes out
        only while the provider can be used. Once the carrier took the mail, the provider gets the secret that is in it,
        and account and proof are committed. Whatever the provider is asked, it is asked while the letter is locked and
        this run's: one that was overtaken changes nothing there, and the secret of the run that counts is the one that
        works. No connection is held while the carrier is asked. Once the proof is there, again only returns it.

        Raises:
            ApplicationError: OutsideDown: the provider or the carrier does not do it now. Overtaken: another run began
                later, or what the mail says was changed meanwhile. Nothing was kept; it is tried again.
        """
        try:
            return await self._issue(ask)
        except ApplicationError as e:
            return Issued(key=ask.key, user=ask.key.split(":")[1], outage=outage(ask, e))

    async def _issue(self, ask: IssueAccess) -> Issued:
        begun = await self._begin(ask)
        if isinstance(begun, Issued):
            issued = begun
        else:
            try:
                async with asyncio.timeout(TAKEN_WITHIN):
                    proof = await self._mail.send(begun.letter, self._now())
            except (MailUnavailable, TimeoutError):
                raise _down("the carrier does not take letters now") from None
            except MailRefused as e:
                issued = await self._refuse(ask, begun, str(e)[:200])
            else:
                issued = await self._prove(ask, begun, proof)
        if issued.refused is not None:
            await self._leave_nothing(ask)
        return issued

    async def _begin(self, ask: IssueAccess) -> _Begun | Issued:
        """Mark the letter, write it and prepare the provider; or what became of it, or why it cannot be written."""
        async with self.telling() as session:
            notice = await _notice(session, ask.case, ask.key)
            if notice.sent_at is not None or notice.refused is not None:
                return _issued(notice)
            party = await _user(session, ask.case, notice.party)
            if party.personal_code is None or party.email is None:
                notice.refused = "no personal code or no address"
                return _issued(notice)
            new = await _account_wanted(session, self._keyring, notice, self._now())
            account = await present_account(session, new.client, new.person) or new
            organisation = split_case_id(ask.case)[1]
            if await _granted_no_more(session, organisation, party, account, self._now()):
                notice.refused = "the authenticator has ended meanwhile (BL 3)"
                return _issued(notice)
            facts = {"user_name": party.name, "authenticator": _authenticator(party, account)}
            letter_id, secret = f"{ask.case}#{ask.key}", None
            if notice.template == LOGIN_DATA:
                secret = one_time_secret()
                facts |= {
                    "username": account.username,
                    "secret": secret,
                    "address": book(organisation).values["access"]["sign_in_address"],
                }
                # a carrier takes one letter of an id once: another secret is another letter
                letter_id += f"#{secrets.token_hex(8)}"
            sender = self._sender.format(organisation=organisation.lower())
            try:
                letter = render(notice.template, party.language, facts, id=letter_id, to=party.email, sender=sender)
            except ValidationError:
                notice.refused = "the address is not one that mail can reach"
                return _issued(notice)
            provider_id = await self._provider.make(NewAccount(client=account.client, username=account.username))
            if secret is not None:
                await self._provider.set_secret(provider_id, one_time_secret(), must_change=True)
                account.secret_set_at = None
            if account is not new:
                await self._remove_stray(session, new)
            notice.attempt = secrets.token_hex(8)
            return _Begun(
                notice.attempt,
                letter,
                secret,
                provider_id,
                to=(party.email, party.personal_code),
                says=(account.username, facts["authenticator"]),
            )

    async def _prove(self, ask: IssueAccess, begun: _Begun, proof: Proof) -> Issued:
        """Secret, account and proof, if nobody began after this run and what the mail says is still so."""
        async with self.telling() as session:
            notice = await self._still(session, ask, begun)
            if notice.sent_at is not None or notice.refused is not None:
                return _issued(notice)
            limit = await self._limit_of_grant(session, notice)
            account = await account_for(session, self._keyring, notice, self._now())
            if (account.username, account.authenticator) != begun.says:
                raise _overtaken()
            if limit is not None and account.limited is None:
                account.limited, account.withdrawn_by = limit.limitation, limit.case
            account.provider_id = begun.provider_id
            if begun.secret is not None:
                await self._provider.set_secret(begun.provider_id, begun.secret, must_change=True)
            account.mailed_at = notice.sent_at = proof.accepted_at
            await accounts.issued(session, self._keyring, account, proof.accepted_at, secret=begun.secret is not None)
            notice.carrier, notice.reference, notice.attempt = proof.carrier, proof.reference, None
            return _issued(notice)

    async def _limit_of_grant(self, session: AsyncSession, notice: NoticeRow) -> WithdrawalRow | None:
        """The limit that holds for whom this letter brings to an authenticator; asked before the account is locked.

        Raises:
            ApplicationError: Overtaken: it has ended since the letter was written. The next run refuses the letter.
        """
        party = await _user(session, notice.case, notice.party)
        new = await _account_wanted(session, self._keyring, notice, self._now())
        account = await present_account(session, new.client, new.person) or new
        wanted = _authenticator(party, account)
        if wanted is None or wanted == account.authenticator:
            return None
        if await _granted_no_more(session, split_case_id(notice.case)[1], party, account, self._now()):
            raise _overtaken()
        return await limit_of(session, account.client, wanted)

    async def _refuse(self, ask: IssueAccess, begun: _Begun, refused: str) -> Issued:
        async with self._sessions() as session, session.begin():
            notice = await self._still(session, ask, begun)
            if notice.sent_at is None and notice.refused is None:
                notice.refused, notice.attempt = refused, None
            return _issued(notice)

    async def _still(self, session: AsyncSession, ask: IssueAccess, begun: _Begun) -> NoticeRow:
        """The letter, locked: it has its end already, or is still this run's and its reader's."""
        notice = await _notice(session, ask.case, ask.key)
        if notice.sent_at is None and notice.refused is None:
            party = await _user(session, ask.case, notice.party)
            if notice.attempt != begun.attempt or (party.email, party.personal_code) != begun.to:
                raise _overtaken()
        return notice

    async def _leave_nothing(self, ask: IssueAccess) -> None:
        """A letter that will never be sent leaves no account with the provider that Termins does not know."""
        async with self.telling() as session:
            notice = await _notice(session, ask.case, ask.key)
            party = await _user(session, ask.case, notice.party)
            if party.personal_code is not None:
                await self._remove_stray(session, await _account_wanted(session, self._keyring, notice, self._now()))

    async def _remove_stray(self, session: AsyncSession, new: AccountRow) -> None:
        """What a run of this letter made with the provider that became no account: others were faster, or it died."""
        if await session.get(AccountRow, (new.client, new.username)) is None:
            found = await self._provider.find(external_id(new.client, new.username))
            if found is not None:
                await self._provider.remove(found)

    @activity.defn(name="access.void_secret")
    async def void_secret(self, ask: VoidSecret) -> SecretVoided:
        """Let the identity provider forget the secret of a letter that came back, unless the account has another.

        Raises:
            ApplicationError: OutsideDown: the provider does not do it now. It is tried again.
        """
        async with self.telling() as session:
            account = await _account_written_to(session, self._keyring, await _notice(session, ask.case, ask.key))
            # set or prepared since by another letter's run, which does it under the same lock
            if account is not None and account.secret_set_at is None and account.provider_id is not None:
                await self._provider.set_secret(account.provider_id, one_time_secret(), must_change=True)
        return SecretVoided(key=ask.key)

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[AsyncSession]:
        """A transaction in which the provider is asked: what it is about is locked until the provider has answered.

        Raises:
            ApplicationError: OutsideDown: the provider did not do it. Nothing was committed.
        """
        try:
            async with self._asking, asyncio.timeout(ASKED_WITHIN), self._sessions() as session, session.begin():
                yield session
        except (IdentityUnavailable, TimeoutError):
            raise _down("the identity provider does not answer") from None
        except IdentityRefused as e:
            # a fault of the settings on either side, not of the user's line: it goes on once a person has mended it
            raise ApplicationError(f"the identity provider refused it: {e}", type=errors.OUTSIDE_DOWN) from None

    @activity.defn(name="access.withdraw_authenticator")
    async def withdraw_authenticator(self, ask: TakeAway) -> Withdrawn:
        """Let the end or limit of an authenticator take effect, once; never before the notice has run (BL 3).

        Raises:
            ApplicationError: NotYet: the clock of the notice has not run, or one of three clocks (the workflow's, this
                machine's, the database's) has not reached the instant. Nothing was done; it is tried again.
        """
        async with self._sessions() as session, session.begin():
            row = await _withdrawal(session, ask.case)
            intake = (await session.exec(select(IntakeRow).where(IntakeRow.case == ask.case))).one()
            zone = ZoneInfo(book(intake.organisation).zone)
            if row.effective_at is not None:
                return await _effect(session, row, zone)
            if row.withdrawn_at is not None:
                return Withdrawn(refused="the decision was withdrawn")
            clocks = await _guarding(session, ask.case)
            notice, day = clocks.get(NOTICE), clocks.get(EFFECT_DAY)
            if notice is None or notice.n != ask.n or notice.status == "void":
                return Withdrawn(refused="that notice counts no more")
            # what was asked before days could be moved names none: then it was the first
            if day is not None and (day.status == "void" or day.n != (ask.day or 1)):
                return Withdrawn(refused="that day counts no more")
            database: datetime = (await session.exec(text("SELECT termins_now()"))).one()[0]  # type: ignore[call-overload]  # a function, no table
            three = {"workflow": ask.at, "worker": self._now(), "database": database}
            if not_yet := too_early(row, clocks.values(), three, await _decision_of(session, ask.case)):
                raise ApplicationError(
                    "not yet: " + "; ".join(not_yet), type=errors.NOT_YET, category=ApplicationErrorCategory.BENIGN
                )
            for account in await users_of(session, row.client, row.authenticator):
                await take_authenticator(session, account, ask.case, row.limitation, database)
            row.effective_at = database
            return await _effect(session, row, zone)

    @activity.defn(name="access.fallbacks")
    async def fallbacks(self, ask: Fallbacks) -> Fallbacks:
        """Those of these access requests whose lines all have a result; of a withdrawal, also which there are."""
        async with self._sessions() as session:
            theirs = select(IntakeRow.case).where(IntakeRow.kind == AccessStore.kind, IntakeRow.parent == ask.of)
            found = {*ask.cases, *((await session.exec(theirs)).all() if ask.of is not None else ())}
            done = (
                await session.exec(
                    select(CaseRow.case).where(
                        col(CaseRow.case).in_(found), col(CaseRow.stage).in_(("resting", "closed"))
                    )
                )
            ).all()
        return Fallbacks(cases=tuple(sorted(done)), found=tuple(sorted(found)))


def too_early(
    row: WithdrawalRow,
    clocks: Collection[ClockRow],
    three: Mapping[str, datetime],
    decision: AuthenticatorDecisionRow | None,
) -> list[str]:
    """Everything that holds the effect back: the ledger, the row, the decision for everybody, and three clocks."""
    not_yet = [f"{c.duty}: {c.status}" for c in clocks if c.status != "kept"]
    if decision is not None and decision.withdrawn_at is not None:
        not_yet.append("the decision was withdrawn for everybody")
    if row.not_before is None:
        return [*not_yet, "nobody is told"]
    earliest = max(row.not_before, *(c.due for c in clocks))
    if decision is not None and decision.takes_effect_on is not None:
        # moved for everybody: this case may not have heard of it yet
        earliest = max(earliest, _day_begins(decision.organisation, decision.takes_effect_on))
    return not_yet + [f"{name} clock: {at.isoformat()}" for name, at in three.items() if at < earliest]


@dataclass(frozen=True)
class _Begun:
    """A letter to a user that is about to be handed over."""

    attempt: str
    """The mark of this run on it."""
    letter: Letter
    secret: str | None
    provider_id: str
    to: tuple[str, str]
    """The user's address and personal code."""
    says: tuple[str, str | None]
    """The user name and authenticator of the account that it is about."""


def _authenticator(party: PartyRow, account: AccountRow) -> str | None:
    authenticator: str | None = party.other.get("authenticator", account.authenticator)
    return authenticator


def outage(ask: AskedOutside, e: ApplicationError) -> str:
    """What a case is to show of this failure, once it was met a few times and is not what the case shows already.

    Raises:
        ApplicationError: This failure, in all other cases: it is tried again.
    """
    tried = activity.info().attempt if activity.in_activity() else 1
    if e.type != errors.OUTSIDE_DOWN or tried < SAID_FROM or ask.told in (None, e.message):
        raise e
    return e.message


async def _granted_no_more(
    session: AsyncSession, organisation: str, party: PartyRow, account: AccountRow, at: datetime
) -> bool:
    """Whether a letter would give a user an authenticator that ended after the line was read (BL 3)."""
    wanted = _authenticator(party, account)
    if wanted is None or wanted == account.authenticator:
        return False
    return await ended_by(session, organisation, account.client, wanted, at) is not None


def _down(text: str) -> ApplicationError:
    return ApplicationError(text, type=errors.OUTSIDE_DOWN, category=ApplicationErrorCategory.BENIGN)


def _overtaken() -> ApplicationError:
    return ApplicationError(
        "another run began later, or what the mail says was changed meanwhile",
        type=errors.OVERTAKEN,
        category=ApplicationErrorCategory.BENIGN,
    )


async def account_for(session: AsyncSession, keyring: Keyring, notice: NoticeRow, at: datetime) -> AccountRow:
    """The account that a letter to a user is about, locked; made at this instant where the person has none."""
    account = await account_of(session, await _account_wanted(session, keyring, notice, at))
    account.authenticator = _authenticator(await _user(session, notice.case, notice.party), account)
    return account


async def _account_written_to(session: AsyncSession, keyring: Keyring, notice: NoticeRow) -> AccountRow | None:
    """The account that a letter was about, locked, unless it has ended since."""
    party = await _user(session, notice.case, notice.party)
    intake = (await session.exec(select(IntakeRow).where(IntakeRow.case == notice.case))).one()
    if party.personal_code is None:
        return None  # it has ended, and the user's data are erased
    return (
        await session.exec(
            select(AccountRow)
            .where(
                AccountRow.client == AccessFiling.model_validate(intake.content).client,
                AccountRow.person == await index_of(keyring, "personal_code", party.personal_code),
                AccountRow.status != "ended",
            )
            .with_for_update()
        )
    ).one_or_none()


async def _account_wanted(session: AsyncSession, keyring: Keyring, notice: NoticeRow, at: datetime) -> AccountRow:
    """The account as it would be made at this instant; it is in no session."""
    party = await _user(session, notice.case, notice.party)
    intake = (await session.exec(select(IntakeRow).where(IntakeRow.case == notice.case))).one()
    assert party.personal_code is not None  # only a complete line has a letter
    n = notice.key.rpartition(":")[2]
    return AccountRow(
        client=AccessFiling.model_validate(intake.content).client,
        username=f"{intake.reference}-{notice.party}" + (f"-{n}" if n != "1" else ""),
        case=notice.case,
        subject=notice.party,
        personal_code=party.personal_code,
        person=await index_of(keyring, "personal_code", party.personal_code),
        created_at=at,
    )


def _issued(notice: NoticeRow) -> Issued:
    return Issued(
        key=notice.key, user=notice.party, sent_at=notice.sent_at, reference=notice.reference, refused=notice.refused
    )


async def _effect(session: AsyncSession, row: WithdrawalRow, zone: ZoneInfo) -> Withdrawn:
    """What an effect came to, read back, so that a repeat says the same."""
    assert row.effective_at is not None
    await session.flush()
    touched = (
        await session.exec(
            select(AccountRow).where(AccountRow.withdrawn_by == row.case).order_by(col(AccountRow.username))
        )
    ).all()
    ended = [a for a in touched if a.status == "ended"]
    limited = [a for a in touched if a not in ended and a.authenticator is not None]
    return Withdrawn(
        effective_at=row.effective_at,
        effective_on=row.effective_at.astimezone(zone).date(),
        ended=tuple(f"{a.case}/{a.subject}" for a in ended),
        limited=tuple(f"{a.case}/{a.subject}" for a in limited),
        kept_login_data=tuple(f"{a.case}/{a.subject}" for a in touched if a not in ended and a not in limited),
    )


# ---- rows -----------------------------------------------------------------------------------------------------------


def _add_people(session: AsyncSession, case: str, client: ClientRow) -> None:
    session.add(PartyRow(case=case, party="client", role="client", name=client.name, language=client.language))
    session.add(
        PartyRow(
            case=case,
            party="responsible",
            role="responsible_employee",
            name=client.responsible.get("name"),
            email=client.responsible.get("email"),
            language=client.language,
        )
    )


async def _notice(session: AsyncSession, case: str, key: str) -> NoticeRow:
    """A letter, locked: always before its party, so that nobody waits in a circle."""
    return (
        await session.exec(select(NoticeRow).where(NoticeRow.case == case, NoticeRow.key == key).with_for_update())
    ).one()


async def _user(session: AsyncSession, case: str, user: str) -> PartyRow:
    return (
        await session.exec(select(PartyRow).where(PartyRow.case == case, PartyRow.party == user).with_for_update())
    ).one()


async def _lasting(session: AsyncSession, case: str, user: str) -> PartyRow:
    """A user of whom the request may still learn something.

    Raises:
        Refusal: The user's access has ended since and the data are erased (BL-16-erase): by another request, then.
    """
    party = await _user(session, case, user)
    if party.erased_at is not None:
        raise Refusal(f"{user}: the user's data are erased; who needs access again is in another request")
    return party


async def _withdrawal(session: AsyncSession, case: str) -> WithdrawalRow:
    return (await session.exec(select(WithdrawalRow).where(WithdrawalRow.case == case).with_for_update())).one()


async def _call_off(session: AsyncSession, case: str, reason: str) -> None:
    """Letters to the client that wait are not sent any more."""
    waiting = select(NoticeRow).where(
        NoticeRow.case == case,
        col(NoticeRow.internal).is_(False),
        col(NoticeRow.sent_at).is_(None),
        col(NoticeRow.refused).is_(None),
    )
    for notice in (await session.exec(waiting)).all():
        notice.refused = reason


async def _decision_of(session: AsyncSession, case: str) -> AuthenticatorDecisionRow | None:
    """The decision for everybody that a withdrawal is a part of; it cannot be withdrawn or moved meanwhile."""
    query = (
        select(AuthenticatorDecisionRow)
        .join(ConcernedRow, col(ConcernedRow.decision) == col(AuthenticatorDecisionRow.case))
        .where(ConcernedRow.withdrawal == case)
        .with_for_update(read=True, of=AuthenticatorDecisionRow)
    )
    return (await session.exec(query)).one_or_none()


async def _guarding(session: AsyncSession, case: str) -> dict[str, ClockRow]:
    """The newest clock of each duty that an effect waits for."""
    rows = (
        await session.exec(
            select(ClockRow)
            .where(ClockRow.case == case, col(ClockRow.duty).in_((NOTICE, EFFECT_DAY)))
            .order_by(col(ClockRow.n))
        )
    ).all()
    return {row.duty: row for row in rows}
