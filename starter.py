"""The command line: file cases, report events, look, explain, count, settle, keep policies, recount, reset, set up.

    python starter.py --help

Other Python code calls `submit` and `submit_event`, which are `file` and `event` without the printing.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import re
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from getpass import getpass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from integrations.data_systems import DataSystem
from integrations.identity import IdentityUnavailable
from models.case import parse
from models.citing import source as source_of
from models.common import Model
from models.coverage import is_duty
from models.errors import Refusal
from models.names import ACTOR, PERSONAL_CODE, split_case_id
from models.now import wall_clock
from models.operator import ROLES
from models.policy import Ended
from models.settlement import ClaimantSettlement, Settlement, SettlementInput
from models.sign_in import PASSWORD
from models.task import DropTurn, MoveTurn
from operations import access as accessing
from operations import authenticator_decision as deciding
from operations import (
    breach,
    compliance,
    counting,
    data_systems,
    duties,
    erasures,
    gates,
    held,
    kept,
    key_backup,
    loading,
    privacy,
    processing,
    program,
    queues,
    reading,
    reading_csv,
    reading_json,
    recurrences,
    signatures,
    storage,
    story,
)
from operations import erase as erasing
from operations.checkpoint import publish
from operations.clients import Clients
from operations.clients import Imported as ImportedClients
from operations.clients import Line as ClientLine
from operations.clients import Said as ClientSaid
from operations.clients import Shown as ClientShown
from operations.connection import ANSWERS_WITHIN, Connection, NotAnswering, connect
from operations.consents import Consents
from operations.consents import Line as ConsentLine
from operations.consents import Loaded as LoadedConsents
from operations.filings import faults_of
from operations.health import ask
from operations.intake import Delivered, Filed
from operations.limits import limits_of
from operations.listing import Listing
from operations.logs import configure
from operations.operators import TOKEN_DAYS, Given, Listed, Operators, may_handle, with_actor
from operations.own_store import OwnStore
from operations.policies import HERE, Imported, Policies
from operations.policies import Line as PolicyLine
from operations.policies import Said as PolicySaid
from operations.policies import Shown as PolicyShown
from operations.proof import check as check_cases
from operations.proof import prove
from operations.reconcile import Reconciled, runs_of
from operations.reconcile import reconcile as reconcile_cases
from operations.records import Loaded, Records
from operations.records import Put as HoldPut
from operations.recount import PATIENCE
from operations.recount import recount as recount_cases
from operations.reset import reset as reset_case
from operations.setup import setup as set_up
from operations.sign_in import SignIn, asked_of, journal, remove_over
from operations.sign_in_review import notable, report
from rules.coverage import exclusions
from rules.rulebook import books
from rules.settlement import settle as work_out
from security.proof import Signer
from settings import Settings, SettingsFaults, read_settings

DONE, REFUSED, USAGE, NOT_FOUND, DOWN = range(5)
EXIT_CODES = (
    "Exit codes: 0 done · 1 refused, or faulty input · 2 wrong usage · 3 there is no such case · "
    "4 store or engine does not answer, or a rulebook is faulty. A filing kept while the engine is down is done (0)."
)
LONGEST = 2000
"""Characters of a fault: whatever was said, the answer is read by a person."""
WIDE = 180
"""Columns where nobody watches: a file or a pipe wraps nothing by itself."""

R = TypeVar("R")

app = typer.Typer(
    help="Termins: file cases, report what happened to them, and see their deadlines.",
    epilog=EXIT_CODES,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Source = Annotated[str, typer.Argument(metavar="[FILE|-]", help="A file; - or nothing is standard input.")]
OfOrganisation = Annotated[str, typer.Argument(metavar="ORGANISATION", help="SE, DZ, GJ, …")]
Case = Annotated[str, typer.Argument(help="The case's id, such as claim:BTA:2026-000123.")]
Personal = Annotated[
    bool, typer.Option("--personal", help="With names and addresses of people, and with what they wrote.")
]


# ---- for other Python code ------------------------------------------------------------------------------------------


async def submit(filing: Any, settings: Settings | None = None) -> Filed:
    """File one case; kept also where the engine does not answer (`started` is False then).

    Raises:
        Refusal: It is refused; every fault is named.
        NotAnswering: The store does not answer.
    """
    async with connect(settings) as connection:
        return await connection.intake.submit(filing)


async def submit_event(
    case: str, event: str, name: str, message: dict[str, Any], settings: Settings | None = None
) -> Delivered:
    """Report what happened to a case; kept also where the case cannot take it yet (`waiting` is True then).

    Raises:
        NotFound: There is no such case.
        Refusal: The event id was used for another message, or an operator is named without that operator's token.
        NotAnswering: The store does not answer.
    """
    async with connect(settings) as connection:
        return await _submit_event(connection, settings or read_settings(), case, event, name, message)


async def _submit_event(
    connection: Connection, settings: Settings, case: str, event: str, name: str, message: dict[str, Any]
) -> Delivered:
    await reading.head(connection.sessions, case)
    token = settings.token.get_secret_value() if settings.token else None
    message = await with_actor(Operators(connection.sessions, wall_clock), message, token)
    try:
        # a case answers when a worker serves it; without one the event waits for the sweep
        async with asyncio.timeout(ANSWERS_WITHIN):
            return await connection.intake.submit_event(case, event, name, message)
    except TimeoutError:
        if not await reading.event_is_kept(connection.sessions, case, event):
            raise NotAnswering("the store does not answer") from None
        return Delivered(case=case, event=event, waiting=True)


# ---- filing and reporting -------------------------------------------------------------------------------------------


@app.callback(invoke_without_command=True)
def start(context: typer.Context) -> None:
    """File cases, report what happened to them, and see their deadlines."""
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(name="file", epilog=EXIT_CODES)
def file_(source: Source = "-", as_json: Json = False) -> None:
    """File cases: one JSON object, an array, or an object a line.

    Each filing gives one line, in order; one that is refused does not stop the others.
    """
    items = reading_json.read(_read(source))
    raise typer.Exit(_run(_file(items, as_json), as_json))


async def _file(items: Sequence[reading_json.Item], as_json: bool) -> int:
    refused = 0
    async with connect() as connection:
        for item in _with_progress(items, "filing"):
            faults = item.faults
            if not faults:
                try:
                    filed = await connection.intake.submit(item.value)
                    _say_filed(filed, as_json)
                    continue
                except Refusal as e:
                    faults = e.faults
            refused += 1
            _say_refused(faults, as_json, item)
        if connection.engine_problem:
            _note(f"{connection.engine_problem}: what was filed is kept, and the sweep starts it")
    return REFUSED if refused else DONE


def _say_filed(filed: Filed, as_json: bool) -> None:
    if as_json:
        _json(filed)
        return
    state = (
        "not a claim: kept, no case runs" if filed.result else "started" if filed.started else "kept, not started yet"
    )
    print(f"{filed.case}  {'new' if filed.new else 'filed before'}  {state}")
    for fault in filed.faults:
        print(f"  {fault}")


def _say_refused(faults: Sequence[str], as_json: bool, item: reading_json.Item) -> None:
    if as_json:
        where = {} if item.line is None else {"line": item.line}
        print(json.dumps({**where, "refused": list(faults)}, ensure_ascii=False))
        return
    print(f"refused  {item.where}{'; '.join(faults)}")


@app.command(epilog=EXIT_CODES)
def event(
    case: Case,
    name: Annotated[str, typer.Argument(help="What happened: the update's name, such as add_document.")],
    event_id: Annotated[str, typer.Option("--event-id", help="Your id of this event; sent again it does nothing.")],
    actor: Annotated[
        str | None, typer.Option(help="Who says so: system:NAME, or an operator code with TERMINS_TOKEN.")
    ] = None,
    source: Annotated[str | None, typer.Option("--file", metavar="FILE|-", help="The message as JSON.")] = None,
    field: Annotated[
        list[str] | None, typer.Option(help="A field of the message: KEY=TEXT, or KEY:=JSON; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Report what happened to a case; it is kept first, and waits if the case cannot take it now.

    An operator who reports it is known by the token in the environment variable TERMINS_TOKEN; --actor is not needed
    then.
    """
    message = _message(source, field or [], actor, as_json)
    if not event_id.strip():
        raise typer.BadParameter("--event-id: must not be empty")
    raise typer.Exit(_run(_event(case, name, event_id, message, as_json), as_json))


async def _event(case: str, name: str, event_id: str, message: dict[str, Any], as_json: bool) -> int:
    async with connect() as connection:
        delivered = await _submit_event(connection, read_settings(), case, event_id, name, message)
    if as_json:
        _json(delivered)
    elif delivered.refused:
        print(f"refused  {'; '.join(delivered.refused)}")
    elif delivered.waiting:
        print(f"{case}  {name}  kept; the sweep delivers it when the case can take it")
    else:
        answer = delivered.answer or {}
        print(f"{case}  {answer.get('entry')}  step {answer.get('step')}, stage {answer.get('stage')}")
        for clock in answer.get("clocks", ()):
            print(f"  {clock}")
    return REFUSED if delivered.refused else DONE


def _message(source: str | None, fields: Sequence[str], actor: str | None, as_json: bool) -> dict[str, Any]:
    message: dict[str, Any] = {}
    if source is not None:
        items = reading_json.read(_read(source))
        faults = items[0].faults if len(items) == 1 else ("one JSON object is needed, not many",)
        if not faults and not isinstance(items[0].value, dict):
            faults = ("the message is no JSON object",)
        if faults:
            _fail(REFUSED, faults, as_json)
        message = dict(items[0].value)
    for field in fields:
        key, sign, value = field.partition("=")
        if not sign or not key.strip(":"):
            raise typer.BadParameter("--field: must be KEY=TEXT or KEY:=JSON")
        parsed: Any = value
        if key.endswith(":"):
            key = key[:-1]
            parsed, found = reading_json.parse(value)
            if found:
                _fail(REFUSED, [f"--field {key}: {fault}" for fault in found], as_json)
        if key in message:
            _fail(REFUSED, [f"{key}: given twice"], as_json)
        message[key] = parsed
    if actor is not None:
        if message.get("actor", actor) != actor:
            _fail(REFUSED, ["actor: the message names another one"], as_json)
        message["actor"] = actor
    return message


# ---- looking --------------------------------------------------------------------------------------------------------


@app.command(name="list", epilog=EXIT_CODES)
def list_(
    kind: Annotated[str | None, typer.Option(help="claim, access_request, …")] = None,
    organisation: Annotated[str | None, typer.Option(help="BTA, BL, DZ, GJ, SE")] = None,
    stage: Annotated[str | None, typer.Option()] = None,
    duty: Annotated[str | None, typer.Option(help="With a running clock of this duty, such as BTA-10.5a.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="With a clock whose due instant has come.")] = False,
    due_before: Annotated[str | None, typer.Option(help="A day, or an instant with offset.")] = None,
    handler: Annotated[str | None, typer.Option(help="Operator code of the handler.")] = None,
    closed: Annotated[bool, typer.Option("--closed/--open", help="Closed cases instead of open ones.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Open and closed ones.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = 100,
    as_json: Json = False,
) -> None:
    """List cases from the store, those due first at the top; right also when nothing else runs."""
    faults = reading.unknown(kind, organisation, duty)
    before = None
    try:
        before = None if due_before is None else _instant_or_day(due_before)
    except ValueError:
        faults.append("--due-before: a day such as 2026-12-24, or an instant with offset")
    if faults:
        raise typer.BadParameter("; ".join(faults))
    asked = reading.Asked(
        kind=kind,
        organisation=organisation,
        stage=stage and stage.replace(" ", "_"),
        duty=duty,
        overdue=overdue,
        due_before=before,
        handler=handler,
        which="all" if all_ else "closed" if closed else "open",
        limit=limit or None,
    )
    raise typer.Exit(_run(_list(asked, as_json), as_json))


async def _list(asked: reading.Asked, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        found = await reading.list_cases(connection.sessions, wall_clock(), asked)
    if as_json:
        _json_array(found.cases)
    else:
        _console().print(case_table(found.cases))
    if len(found.cases) < found.total:
        _note(f"{len(found.cases)} of {found.total} cases; --limit 0 lists all")
    return DONE


def case_table(cases: Iterable[reading.CaseLine]) -> Table:
    """Cases for people, one a line."""
    table = _table("Case", "Stage", "Next due", "Duty", "Late", "Waits for", "Handler")
    for line in cases:
        late = ", ".join(sorted({c.duty for c in line.clocks if c.overdue}))
        table.add_row(
            line.case,
            f"{_words(line.stage)} (diverged)" if line.diverged else _words(line.outcome or line.stage),
            line.next.shown if line.next else f"waits: {line.clocks[0].shown}" if line.clocks else "–",
            f"{line.next.duty} {line.next.subject}".strip() if line.next else "–",
            f"OVERDUE {late}" if late else "",
            line.waits_for,
            line.handler or "–",
        )
    return table


@app.command(epilog=EXIT_CODES)
def show(
    case: Case,
    personal: Personal = False,
    format_: Annotated[
        Literal["markdown", "html"] | None, typer.Option("--format", help="The whole story as one page.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write that page into a file; .md or .html says which.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a case: stage, clocks, timeline, letters, payments. No personal data unless asked for.

    With --format or --out it is the whole story on one page: also each clock's derivation and proof, decisions with
    their calculation, and the policy's limits. The HTML is one file that needs nothing else, and prints.
    """
    if out is not None and format_ is None:
        format_ = "html" if out.suffix in (".html", ".htm") else "markdown" if out.suffix == ".md" else None
        if format_ is None:
            raise typer.BadParameter("--out: name a .md or .html file, or say --format")
    if format_ is None:
        raise typer.Exit(_run(_show(case, personal, as_json), as_json))
    if as_json:
        raise typer.BadParameter("say either --json or a page")
    raise typer.Exit(_run(_story(case, personal, format_, out), as_json))


async def _story(case: str, personal: bool, form: Literal["markdown", "html"], out: Path | None) -> int:
    async with connect(engine="not needed") as connection:
        told = await story.tell(connection.sessions, wall_clock(), case, personal=personal)
    page = story.page(told, form)
    if out is None:
        print(page, end="")
        return DONE
    try:
        await asyncio.to_thread(out.write_text, page, encoding="utf-8")
    except OSError as e:
        raise typer.BadParameter(f"--out: {out}: {e.strerror}") from None
    print(f"{case}  {out}")
    return DONE


async def _show(case: str, personal: bool, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        shown = await reading.show_case(connection.sessions, wall_clock(), case, personal=personal)
    if as_json:
        _json(shown)
    else:
        _print_case(shown)
    return DONE


def _print_case(shown: reading.Shown) -> None:
    head, console = shown.head, _console()

    def at(instant: datetime | None) -> str:
        return reading.local(instant, head.organisation) if instant else "–"

    lines = [
        head.case,
        f"stage       {_words(head.stage)}{' · DIVERGED from its record' if head.diverged else ''}",
        f"waits for   {head.waits_for or '–'}",
        f"handler     {head.handler or '–'}",
        f"received    {at(head.received_at)}, recorded {at(head.recorded_at)}, started {at(head.started_at)}",
    ]
    if head.closed_at or head.outcome:
        lines.append(f"ended       {_words(head.outcome or 'with no outcome')} · {at(head.closed_at)}")
    if head.closed_at is not None and head.erased_at is None:
        term = storage.term_of(head.case, head.kind, head.organisation, head.closed_at, wall_clock())
        if term is not None:
            until = f"kept until {term.last_day}, " if term.last_day else ""
            lines.append(f"storage     {until}{_storage_state(term)} · {term.duty}, {term.clause}")
    lines += [f"erased      {at(head.erased_at)}: what was personal is gone"] if head.erased_at else []
    lines += [f"parent      {head.parent}"] if head.parent else []
    lines += [f"asked for   {child}" for child in shown.children]
    lines += [f"same event  {other}" for other in shown.occurrence]
    lines += [f"fault       {fault}" for fault in head.faults]
    console.print("\n".join(lines), soft_wrap=True)
    _section(
        console,
        "Clocks",
        ("Duty", "What", "State", "Due", "Started"),
        [
            (
                f"{c.duty} {c.subject}".strip() + (f" ({c.n})" if c.n > 1 else ""),
                c.title,
                "OVERDUE" if c.overdue else c.status,
                c.shown,
                at(c.anchor_at),
            )
            for c in shown.clocks
        ],
    )
    _section(
        console,
        "Cover",
        ("Point", "Clause", "What", "Stands", "Facts say", "Facts", "Who"),
        [
            (
                f.code,
                f.clause,
                f.title,
                f.standing.replace("_", " "),
                f.outcome.replace("_", " "),
                ", ".join(f"{name} {_told(value)}" for name, value in f.facts.items()),
                " ".join(filter(None, (f.judged_by, f.reason))),
            )
            for f in shown.findings
            if f.standing != "met" or f.judged or not is_duty(f.code)
        ],
    )
    _section(
        console,
        "Documents",
        ("Step", "Document", "What", "When", "Who", "Where", "SHA-256"),
        [
            (
                str(d.step),
                " ".join(filter(None, (d.title, d.named))),
                " ".join(filter(None, (d.event, d.proves, d.reason))),
                at(d.at),
                d.actor or "",
                " ".join(filter(None, (d.reference, d.file_name, d.media_type, f"{d.size} bytes" if d.size else None))),
                d.sha256 or "",
            )
            for d in shown.documents
        ],
    )
    if shown.automatic is not None:
        title = f"Decision {shown.automatic.n}, by {shown.automatic.by} {shown.automatic.rulebook}, was made from"
        _section(console, title, ("What", "As it was then"), list(shown.automatic.lines))
    _section(
        console,
        "Reviews",
        ("No.", "Of decision", "Asked for", "Outcome", "By", "When", "Why"),
        [
            (
                str(r.n),
                str(r.decision),
                " ".join(filter(None, (at(r.received_at), r.reference, r.view))),
                r.outcome or "under way",
                r.reviewed_by or "",
                at(r.reviewed_at),
                r.reason or "",
            )
            for r in shown.reviews
        ],
    )
    _section(
        console,
        "Signatures",
        ("SHA-256", "Validated by", "Kept", "Identified by it", "Verdict", "What was found"),
        [
            (
                v.sha256,
                "Termins" if v.by == "termins" else v.actor,
                at(v.kept_at),
                at(v.used_at),
                "valid" if v.valid else "not valid",
                "\n".join(v.said),
            )
            for v in shown.signatures
        ],
    )
    _section(
        console,
        "Timeline",
        ("Step", "When", "What", "Duty", "Who", "Stage", "Facts"),
        [
            (
                str(s.step),
                at(s.at),
                _words(s.entry),
                s.duty or "",
                s.actor or "",
                _words(s.stage),
                story.in_words(s.facts, head.organisation),
            )
            for s in shown.timeline
        ],
    )
    _section(
        console,
        "Letters",
        ("Key", "To", "State", "When", "Reference"),
        [
            (
                n.key,
                n.party,
                f"{n.status}: {n.refused}" if n.refused else n.status,
                at(n.bounced_at or n.sent_at or n.queued_at),
                n.reference or "",
            )
            for n in shown.notices
        ],
    )
    _section(
        console,
        "Payments",
        ("Key", "To", "EUR", "State", "Issued", "Executed"),
        [
            (
                p.key,
                p.party,
                p.amount,
                _payment_status(p),
                at(p.issued_at),
                str(p.executed_on or "–"),
            )
            for p in shown.payments
        ],
    )
    _section(
        console,
        "Instalments",
        ("Agreement", "No.", "Day", "EUR", "State"),
        [
            (
                f"{i.claimant} {i.head}" + (f", decision {i.decision}" if i.decision > 1 else ""),
                str(i.n),
                str(i.due_on),
                i.amount,
                f"cancelled {at(i.cancelled_at)}" if i.cancelled_at else i.payment or "to come",
            )
            for i in shown.instalments
        ],
    )
    _section(
        console,
        "Events",
        ("Event", "What", "Recorded", "Delivered", "Refused"),
        [(e.event, e.name, at(e.recorded_at), at(e.delivered_at), "; ".join(e.refused)) for e in shown.events],
    )
    _section(
        console,
        "Parties",
        ("Party", "Role", "Language", "Data"),
        [(p.party, p.role, p.language, _listed(p) + _person(p)) for p in shown.parties],
    )


def _told(value: Any) -> str:
    """A fact of a finding: a day, a code, or several."""
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _listed(p: reading.Party) -> str:
    """Whom on the sanctions list a party may be, before its data."""
    if p.screening is None or not p.screening.hits:
        return ""
    return f"sanctions list: {p.screening.result}, {', '.join(p.screening.hits)}; "


def _payment_status(p: reading.Payment) -> str:
    if p.rejected:
        return f"{p.status}: {p.rejected}"
    if p.screening is not None and p.screening.hits:
        return f"{p.status}; sanctions list: {p.screening.result}, {', '.join(p.screening.hits)}"
    return p.status


def _person(party: reading.Party) -> str:
    if party.erased:
        return "erased"
    known = [party.name, party.email, party.phone, party.personal_code, party.iban]
    return ", ".join(value for value in known if value) or "(not shown)"


@app.command(name="answer-password", epilog=EXIT_CODES)
def answer_password_of(case: Case, as_json: Json = False) -> None:
    """Show the password of a privacy request's encrypted answer, to be handed over in person, by phone, post or portal.

    Never by e-mail. Then say so to the case: send_encrypted.
    """
    raise typer.Exit(_run(_answer_password(case, as_json), as_json))


async def _answer_password(case: str, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        password = await privacy.answer_password_of(connection.sessions, connection.keyring, case)
    print(json.dumps({"case": case, "password": password}) if as_json else password)
    return DONE


@app.command(epilog=EXIT_CODES)
def answer(
    case: Case,
    out: Annotated[Path, typer.Option(help="The folder that the files are written to; it is made if there is none.")],
    as_json: Json = False,
) -> None:
    """Write the answer to a privacy request that a person hands over: the letter as PDF, and the copy of the data.

    By portal, by post or in person; never by e-mail what holds health data. Then say so to the case:
    confirm_answer_sent, or confirm_letter_sent of a part. The files hold personal data: delete them afterwards.
    """
    raise typer.Exit(_run(_answer(case, out, as_json), as_json))


async def _answer(case: str, out: Path, as_json: bool) -> int:
    from activities.by_hand import answer_files  # noqa: PLC0415  # what writes letters, for this alone

    async with connect(engine="not needed") as connection:
        files = await answer_files(connection.sessions, case, wall_clock())
    try:
        await asyncio.to_thread(_write_private, out, files)
    except OSError as e:
        raise typer.BadParameter(f"--out: {out}: {e.strerror}") from None
    if as_json:
        print(json.dumps({"case": case, "files": [str(out / name) for name in sorted(files)]}))
    else:
        for name in sorted(files):
            print(out / name)
    return DONE


def _write_private(folder: Path, files: Mapping[str, bytes]) -> None:
    """Files that only their owner reads; what is there under their names is replaced."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(content)


@app.command(name="signature", epilog=EXIT_CODES)
def signature_(
    file: Annotated[Path, typer.Argument(help="The signed document. It stays where it is: only its SHA-256 is kept.")],
    case: Annotated[
        str | None, typer.Option(help="Keep the verdict for this privacy request, which then asks for it.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="What another validator found, as JSON: service, report, validated_at, signed_at, name, "
            'personal_code, statement ("qualified signature, valid"); with --case and TERMINS_TOKEN.'
        ),
    ] = None,
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """Validate the electronic signatures of a PDF (PAdES), offline, against TERMINS_TRUST_LIST.

    What was not verified is said. Containers (.asice, .edoc, .adoc) are not validated here: validate them elsewhere and
    enter that with --report. Names and codes of who signed are printed.
    """
    if report is not None and case is None:
        raise typer.BadParameter("--report: say --case")
    document = _read(str(file))
    if report is not None:
        raise typer.Exit(_run(_signature_report(case or "", document, _read(str(report)), actor, as_json), as_json))
    raise typer.Exit(_run(_signature(case, document, actor, as_json), as_json))


async def _signature(case: str | None, document: bytes, actor: str | None, as_json: bool) -> int:
    verdict = await signatures.validator(read_settings()).validate(document)
    if case is not None:
        async with connect(engine="not needed") as connection:
            speaker = await _speaker(connection, actor)
            await signatures.Signatures(connection.sessions).keep(case, verdict, speaker)
    if as_json:
        print(json.dumps({"valid": verdict.valid, **verdict.model_dump(mode="json")}, ensure_ascii=False))
    else:
        for line in signatures.told(verdict):
            print(line)
        if case is not None:
            print(f"kept for {case}")
    return DONE if verdict.valid else REFUSED


async def _signature_report(case: str, document: bytes, report: bytes, actor: str | None, as_json: bool) -> int:
    said = signatures.report_of(report)
    async with connect(engine="not needed") as connection:
        speaker = await _speaker(connection, actor)
        kept = await signatures.Signatures(connection.sessions).enter(
            case, signatures.sha256_of(document), said, speaker, wall_clock()
        )
    if as_json:
        _json(kept)
    else:
        print(f"{kept.sha256}  validated by {speaker} in {said.service}; kept for {case}")
    return DONE


@app.command(epilog=EXIT_CODES)
def explain(case: Case, personal: Personal = False, as_json: Json = False) -> None:
    """Explain every clock of a case: which clause, counted how, due when, ended by what."""
    raise typer.Exit(_run(_explain(case, personal, as_json), as_json))


async def _explain(case: str, personal: bool, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        clocks = await reading.explain_case(connection.sessions, wall_clock(), case, personal=personal)
    if as_json:
        _json_array(clocks)
        return DONE
    if not clocks:
        print(f"{case} has no clock yet.")
    for clock in clocks:
        print("\n".join(_explanation(clock)), end="\n\n")
    return DONE


def _explanation(clock: reading.Explained) -> list[str]:
    name = f"{clock.duty} {clock.subject}".strip() + (f", no. {clock.n}" if clock.n > 1 else "")
    source = source_of(clock.clause, clock.document)
    if clock.adopted_from:
        source += f" · adopted from {clock.adopted_from}"
    state = clock.status + (" · overdue" if clock.overdue and clock.status != "overdue" else "")
    if not clock.can_be_late:
        state += " · never the organisation's lateness"
    lines = [f"{name}  {clock.title}", f"  {source} · {clock.kind} · owner {clock.owner}", f"  state: {state}"]
    lines.append(f"  started by: {clock.anchor or 'event'}")
    lines += [f"  {line}" for line in clock.derivation]
    if clock.counted_from is not None:
        lines.append(f"  days counted: from {clock.counted_from} to {clock.last_day}, both included")
    if clock.latest != clock.due:
        lines.append(f"  latest: {clock.latest_local} ({_utc(clock.latest)}); late only from then on")
    if clock.held_since:
        lines.append(f"  held since {_utc(clock.held_since)}")
    lines.append(f"  versions: rulebook {clock.rulebook_version}, calendar {clock.calendar_version}")
    if clock.evidence is not None:
        when = _utc(clock.happened_at) if clock.happened_at else str(clock.happened_on)
        recorded = f", recorded {_utc(clock.ended_at)}" if clock.ended_at else ""
        lines.append(f"  evidence: {clock.evidence.get('kind')}, happened {when}{recorded}")
        detail = {k: v for k, v in clock.evidence.items() if k in ("reference", "by_person", "correction") and v}
        if detail:
            lines.append(f"    {json.dumps(detail, ensure_ascii=False)}")
    elif clock.ended_at:
        lines.append(f"  ended {_utc(clock.ended_at)}: {clock.reason or clock.status}")
    else:
        lines.append(f"  stops with: {clock.stopped_by or 'the due instant'}")
    return lines


# ---- work lists -----------------------------------------------------------------------------------------------------

Organisation = Annotated[str | None, typer.Option(help="Of this organisation only: BTA, BL, DZ, GJ, SE.")]


def _known(organisation: str | None, duty: str | None = None) -> None:
    if faults := reading.unknown(None, organisation, duty):
        raise typer.BadParameter("; ".join(faults))


@app.command(epilog=EXIT_CODES)
def queue(
    by: Annotated[Literal["handler", "duty"], typer.Option(help="A list for each handler, or for each clause.")] = (
        "handler"
    ),
    handler: Annotated[str | None, typer.Option(help="Operator code: only this handler's work.")] = None,
    unassigned: Annotated[bool, typer.Option("--unassigned", help="Only cases that have no handler.")] = False,
    duty: Annotated[str | None, typer.Option(help="Only clocks of this duty, such as BTA-10.5a.")] = None,
    within: Annotated[
        int | None, typer.Option(min=0, max=3660, help="Only what is due in so many days, or over; 0: today.")
    ] = None,
    organisation: Organisation = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many of each list; 0 for all.")] = 20,
    as_json: Json = False,
) -> None:
    """Work lists: what is due, the most urgent first, in a list for each handler or for each clause."""
    _known(organisation, duty)
    if handler is not None and unassigned:
        raise typer.BadParameter("say either --handler or --unassigned")
    wanted = queues.Wanted(
        by=by,
        organisation=organisation,
        handler=handler,
        unassigned=unassigned,
        duty=duty,
        within=within,
        limit=limit or None,
    )
    raise typer.Exit(_run(_queue(wanted, as_json), as_json))


async def _queue(wanted: queues.Wanted, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        groups = await queues.queue(connection.sessions, wall_clock(), wanted)
    if as_json:
        _json_array(groups)
        return DONE
    if not groups:
        print("nothing to do")
    whose = () if wanted.by == "handler" else ("Handler",)
    for group in groups:
        name = group.name or ("nobody's" if wanted.by == "handler" else "no clock runs")
        _section(
            _console(),
            f"{name}{f'  {group.title}' if group.title else ''}  ({group.total}, {group.overdue} overdue)",
            (
                "Case",
                "Last day",
                "Left",
                "Duty",
                "Stage",
                "Waits for",
                *(() if wanted.by == "handler" else ("Handler",)),
            ),
            [
                (
                    task.case,
                    task.shown or "–",
                    _left(task),
                    f"{task.duty or '–'} {task.subject}".strip(),
                    _words(task.stage),
                    task.waits_for,
                    *(task.handler or "nobody" for _ in whose),
                )
                for task in group.tasks
            ],
        )
        if len(group.tasks) < group.total:
            _note(f"{len(group.tasks)} of {group.total} of {name}; --limit 0 lists all")
    return DONE


def _left(task: queues.Task) -> str:
    if task.days is None:
        return "–"
    if task.status == "held":
        return "held"
    if task.overdue:
        return f"OVERDUE {-task.days} d" if task.days else "OVERDUE"
    return f"{task.days} d" if task.days else "today"


@app.command(epilog=EXIT_CODES)
def workload(organisation: Organisation = None, as_json: Json = False) -> None:
    """The load of each handler: open cases, overdue, due within 7 days, closed in the last 30, and the oldest."""
    _known(organisation)
    raise typer.Exit(_run(_workload(organisation, as_json), as_json))


async def _workload(organisation: str | None, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        loads = await queues.workload(connection.sessions, wall_clock(), organisation)
    if as_json:
        _json_array(loads)
        return DONE
    soon, back = f"Due in {queues.SOON} d", f"Closed in {queues.LOOKED_BACK} d"
    table = _table("Handler", "Open", "Overdue", soon, back, "Oldest open", "Received")
    for load in loads:
        counts = (str(n) for n in (load.open, load.overdue, load.soon, load.closed))
        received = "–"
        if load.oldest and load.oldest_received_at:
            received = reading.local(load.oldest_received_at, split_case_id(load.oldest)[1])
        table.add_row(load.handler or "nobody", *counts, load.oldest or "–", received)
    _console().print(table)
    return DONE


@app.command(epilog=EXIT_CODES)
def late(
    since: Annotated[str | None, typer.Option(help="A day: ends from then on; 30 days ago, if not said.")] = None,
    organisation: Organisation = None,
    personal: Annotated[
        bool, typer.Option("--personal", help="With reason and document of each correction: they can name people.")
    ] = False,
    limit: Annotated[int, typer.Option(min=0, help="At most so many of each; 0 for all.")] = 100,
    as_json: Json = False,
) -> None:
    """What is late and why: clocks that are overdue, that ended late, and apart those kept after all, or void."""
    _known(organisation)
    day = None if since is None else _day(since, "--since")
    raise typer.Exit(_run(_late(day, organisation, personal, limit or None, as_json), as_json))


async def _late(since: date | None, organisation: str | None, personal: bool, limit: int | None, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        found = await queues.late(
            connection.sessions, wall_clock(), since, organisation, personal=personal, limit=limit
        )
    if as_json:
        _json(found)
        return DONE
    console = _console()
    for how, title in (
        ("overdue", "Overdue now"),
        ("late", f"Ended late since {found.since}"),
        ("kept", f"Kept, but proven only after the due instant, since {found.since}"),
        ("void", f"Ended after the due instant without a judgment, since {found.since}"),
    ):
        lines = [c for c in found.clocks if c.how == how]
        _section(
            console,
            f"{title} ({found.totals.get(how, 0)})",
            ("Case", "Last day", "Days", "Duty", "Handler", "Why"),
            [
                (
                    c.case,
                    c.shown,
                    str(c.days) + ("" if c.surely or how != "overdue" else " (not yet by the later reading)"),
                    f"{c.duty} {c.subject}".strip(),
                    c.handler or "nobody",
                    _why(c),
                )
                for c in lines
            ],
        )
    if not found.clocks:
        print(f"nothing is late, and nothing was since {found.since}")
    if len(found.clocks) < (total := sum(found.totals.values())):
        _note(f"{len(found.clocks)} of {total} clocks; --limit 0 lists all")
    return DONE


def _why(clock: queues.Lateness) -> str:
    """What the case stood in at the due instant, what came after, what it waits for, and why that was corrected."""
    organisation = split_case_id(clock.case)[1]

    def happened(step: queues.Then) -> str:
        return f"{_words(step.entry)} {reading.local(step.at, organisation)}" + (
            f" by {step.actor}" if step.actor else ""
        )

    since = f" since {reading.local(clock.since, organisation)}" if clock.since else ""
    said = [
        f"stood in {_words(clock.stage_then)}{since}"
        if clock.stage_then != reading.NOT_STARTED
        else "was not entered yet"
    ]
    if clock.last:
        said.append(f"last {happened(clock.last)}")
    said += [f"then {happened(step)}" for step in clock.after]
    if clock.waits_for:
        said.append(f"waits for {clock.waits_for}")
    if clock.proof:
        said.append(f"{_words(clock.proof)} {clock.day}")
    if clock.correction:
        fields = (f"{name.replace('_', ' ')} {value}" for name, value in clock.correction.items())
        said.append(f"corrected: {', '.join(fields)}")
    return "; ".join(said)


@app.command(name="compliance", epilog=EXIT_CODES)
def compliance_(
    since: Annotated[str | None, typer.Option(help="First day; 1 January of the last day's year, if not said.")] = None,
    until: Annotated[str | None, typer.Option(help="Last day; today, if not said.")] = None,
    organisation: Organisation = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it into a file: .html with charts, or .csv.")
    ] = None,
    as_json: Json = False,
) -> None:
    """How each duty was kept in a span of days: started, kept, late, median and worst; what is late by name of case."""
    _known(organisation)
    faults, days = [], {}
    for name, value in (("since", since), ("until", until)):
        try:
            days[name] = None if value is None else date.fromisoformat(value)
        except ValueError:
            faults.append(f"--{name}: a day such as 2026-12-24")
    if out is not None and out.suffix not in (".html", ".csv"):
        faults.append("--out: name a .html or .csv file")
    if out is not None and as_json:
        faults.append("say either --json or --out")
    if faults:
        raise typer.BadParameter("; ".join(faults))
    last = days["until"] or max(queues.day_at(wall_clock(), code) for code in books())
    first = days["since"] or last.replace(month=1, day=1)
    if not FIRST <= first <= last <= LAST:
        raise typer.BadParameter("--since: not after --until, both between 1970 and 2999")
    raise typer.Exit(_run(_compliance(first, last, organisation, out, as_json), as_json))


async def _compliance(since: date, until: date, organisation: str | None, out: Path | None, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        report = await compliance.compliance(connection.sessions, wall_clock(), since, until, organisation)
    if as_json:
        _json(report)
        return DONE
    if out is not None:
        text = compliance.page(report) if out.suffix == ".html" else compliance.table(report)
        try:
            await asyncio.to_thread(out.write_text, text, encoding="utf-8")
        except OSError as e:
            raise typer.BadParameter(f"--out: {out}: {e.strerror}") from None
        print(f"{since} to {until}  {out}")
        return DONE
    if not report.duties:
        print(f"no duty ran from {since} to {until}")
        return DONE
    console = _console()
    counts = ("started", "kept", "late", "void", "running", "overdue")
    _section(
        console,
        f"Deadlines kept, {since} to {until}",
        ("Organisation", "Duty", "What", "Within", *(name.capitalize() for name in counts), "Median", "Worst"),
        [
            (
                line.organisation,
                line.duty,
                line.title,
                line.within or line.kind,
                *(str(getattr(line, name)) for name in counts),
                compliance.days(line.median),
                compliance.days(line.worst),
            )
            for line in report.duties
        ],
    )
    if report.missed:
        _section(
            console,
            f"Late and overdue ({len(report.missed)})",
            ("Case", "Duty", "Last day", "How", "Days"),
            [(m.case, f"{m.duty} {m.subject}".strip(), m.due, f"{m.how} {m.day}", str(m.days)) for m in report.missed],
        )
    return DONE


@app.command(name="storage", epilog=EXIT_CODES)
def storage_(
    due: Annotated[bool, typer.Option("--due", help="Only what is over, is held back, or cannot be counted.")] = False,
    on: Annotated[str | None, typer.Option(help="As the run of that day's night will find it, YYYY-MM-DD.")] = None,
    report: Annotated[
        bool, typer.Option("--report", help="What the newest run did: what, how many, which term.")
    ] = False,
    run: Annotated[int | None, typer.Option(help="With --report: this run, by its number.")] = None,
    organisation: Organisation = None,
    as_json: Json = False,
) -> None:
    """How long closed cases, consents, ended policies and records elsewhere are kept, and what is to go.

    It changes nothing.
    """
    _known(organisation)
    if report and (due or on is not None):
        raise typer.BadParameter("--report: not with --due or --on")
    if run is not None and not report:
        raise typer.BadParameter("--run: only with --report")
    day = None if on is None else _day(on, "--on")
    if report:
        raise typer.Exit(_run(_storage_report(run, organisation, as_json), as_json))
    raise typer.Exit(_run(_storage(due, day, organisation, as_json), as_json))


FIRST, LAST = date(1970, 1, 1), date(2999, 12, 31)
"""Days that can be asked about: at the ends of the calendar no zone can be reckoned with."""


def _day(text: str, option: str) -> date:
    with contextlib.suppress(ValueError):
        if FIRST <= (day := date.fromisoformat(text)) <= LAST:
            return day
    raise typer.BadParameter(f"{option}: a day such as 2026-12-24")


def _instant(text: str, option: str) -> datetime:
    with contextlib.suppress(ValueError):
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None and FIRST < at.date() < LAST:
            return at
    raise typer.BadParameter(f"{option}: an instant with its offset, such as 2026-11-23T02:00+02:00")


async def _storage(due: bool, day: date | None, organisation: str | None, as_json: bool) -> int:
    at = wall_clock() if day is None else storage.night_of(day)
    async with connect(engine="not needed") as connection:
        looked = storage.look(connection.sessions, connection.keyring, at, organisation)
        found = [one async for one in looked if not due or one.result not in ("kept", "unset")]
    if as_json:
        _json_array(found)
        return DONE
    table = _table("Which", "Of", "Term", "What", "Kept until", "State")
    for one in found:
        until = str(one.last_day or "–")
        table.add_row(one.key, one.organisation, one.duty or "–", one.what, until, _storage_found(one))
    none = "Nothing is over." if due else "No closed case, record, consent or ended policy is here."
    _console().print(table if found else none)
    return DONE


STORAGE_STATES = {
    "kept": "kept",
    "held": "OVER, held back",
    "unset": "kept: no term is set",
    "fault": "ERROR",
    "asked": "OVER: is to be destroyed",
    "waiting": "OVER: destruction is asked for, proof is awaited",
    "overdue": "OVERDUE: no proof of destruction",
    "erased": "OVER: is erased",
}


def _storage_found(one: storage.Judged) -> str:
    why = " ".join(part for part in (one.why.replace("_", " "), one.by) if part)
    return f"{STORAGE_STATES[one.result]}{': ' if why else ''}{why}"


async def _storage_report(run: int | None, organisation: str | None, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        found = await storage.report(connection.sessions, run, organisation)
    if as_json:
        _json(found)
        return DONE
    ended = f"ended {_utc(found.ended_at)}" if found.ended_at is not None else "has not ended"
    print(f"run {found.n} of {_utc(found.at)}, {ended}")
    table = _table("Of", "Term", "What", "Number", "Became", "Why")
    unset = [line for line in found.lines if line.result == "unset"]
    for line in found.lines:
        if line in unset:
            continue
        why = line.why if line.result == "fault" else line.why.replace("_", " ")
        table.add_row(line.organisation, line.duty or "–", line.what, str(line.number), line.result, why or "–")
    console = _console()
    console.print(table if len(found.lines) > len(unset) else "It found nothing.")
    to_set = [(line.organisation, line.what, str(line.number), f"values.keeping.cases.{line.what}") for line in unset]
    _section(console, "Kept, for no term is set: the controller's to decide", ("Of", "Kind", "Closed", "Value"), to_set)
    rows = [(one.case, one.duty, _utc(one.due), _utc(one.erased_at)) for one in found.erased]
    _section(console, "Erased, with their keys", ("Case", "Term", "Over since", "Erased"), rows)
    return DONE


def _storage_state(term: storage.StorageTerm) -> str:
    return term.fault or ("DUE: the next night erases it, unless something holds it" if term.due else "kept")


@app.command(name="systems", epilog=EXIT_CODES)
def systems_(as_json: Json = False) -> None:
    """The data systems that privacy requests ask beside Termins' own store, and whether each is as described.

    1 where one is not. Needs no servers of Termins'.
    """
    try:
        states = asyncio.run(data_systems.check(read_settings()))
    except SettingsFaults as e:
        _fail(DOWN, [str(e)], as_json)
    except data_systems.ConfigurationFaults as e:
        _fail(DOWN, e.faults, as_json)
    if as_json:
        _json_array(states)
    elif not states:
        print("No data system beside Termins' own store: TERMINS_DATA_SYSTEMS names none.")
    else:
        table = _table("System", "Kind", "Title", "Of", "State")
        for state in states:
            faults = "\n".join(state.faults) or ("as described" if state.kind == "sql" else "asked when needed")
            table.add_row(state.system, state.kind, state.title.en, ", ".join(state.organisations), faults)
        _console().print(table)
    raise typer.Exit(REFUSED if any(state.faults for state in states) else DONE)


@app.command(name="duties", epilog=EXIT_CODES)
def duties_(
    organisation: Annotated[str | None, typer.Option(help="Of this organisation only: BTA, BL, DZ, GJ, SE.")] = None,
    as_json: Json = False,
) -> None:
    """List every duty of the register, as the rulebooks count it. Needs no server.

    The JSON has one object for each id of the register, under its own organisation; the table of one organisation
    also shows the rows that it adopts from others.
    """
    try:
        entries = duties.register(organisation)
    except KeyError:
        raise typer.BadParameter(f"--organisation: no rulebook for {organisation}") from None
    except duties.RulebookError as e:
        _fail(DOWN, [str(e)], as_json)
    if as_json:
        _json_array(entries)
        return
    table = _table("Duty", "Clause", "Kind", "What", "Within", "Owner", "Kept by")
    for entry in [*entries, *(duties.adopted_rows(organisation) if organisation else ())]:
        adopted = "" if entry.id.startswith(f"{entry.organisation}-") else " (adopted)"
        kept = ", ".join(entry.kept_by) if entry.same_as is None else f"as {entry.same_as}"
        table.add_row(
            entry.id + adopted, entry.clause, entry.kind, entry.title.en, entry.within, entry.owner, kept or "–"
        )
    _console().print(table)


# ---- counting -------------------------------------------------------------------------------------------------------


@app.command(name="exclusions", epilog=EXIT_CODES)
def exclusions_(
    word: Annotated[str, typer.Argument(help="Only those with this word in code, title or group.")] = "",
    as_json: Json = False,
) -> None:
    """List the exclusions of a claim's cover (4.1) by the codes under which a handler raises them."""
    found = [
        term
        for term in exclusions().values()
        if word.casefold() in f"{term.code} {term.group} {term.label.lv} {term.label.en}".casefold()
    ]
    if as_json:
        _json_array(found)
    else:
        table = _table("Code", "What", "Nosaukums", "Group", "Unless")
        for term in found:
            table.add_row(term.code, term.label.en, term.label.lv, term.group, term.exception or "")
        _console().print(table)
    raise typer.Exit(DONE)


@app.command(epilog=EXIT_CODES)
def count(source: Source = "-", as_json: Json = False) -> None:
    """Count deadlines of cases in the vector format, without any server.

    A case is {"id": …, "country": "LV", "start": instant with offset, "rule": {"amount": 10, "unit":
    "working_days", "roll": "none"}}, with "zone" and "profile" if wanted. One object, an array, or an object a line;
    with --json one object comes out for each, in order; a faulty one gives its id and the error.
    """
    results = counting.count(reading_json.read(_read(source)))
    for result in results:
        if as_json:
            print(json.dumps(result, ensure_ascii=False))
            continue
        name = "(no id)" if result["id"] is None else result["id"]
        if "error" in result:
            print(f"{name}  faulty: {result['error']}")
            continue
        print(f"{name}  due {result['due_date']} · {result['due_instant_utc']}")
        for line in result["derivation"]:
            print(f"  {line}")
    raise typer.Exit(REFUSED if any("error" in result for result in results) else DONE)


@app.command(epilog=EXIT_CODES)
def settle(source: Source = "-", as_json: Json = False) -> None:
    """Work out what would be paid, by hand and without any server; nothing is kept.

    One JSON object: {"policy": {"limit_per_occurrence": "100000.00", "limit_aggregate": "200000.00"}, "losses":
    [{"claimant": "C1", "head": "property_damaged", "claimed": "1200.00", "proven": "1000.00"}]}; docs/operators.md has
    the other fields. Faulty input is wrong usage (2): every fault is named, and nothing else is printed.
    """
    items = reading_json.read(_read(source))
    faults = items[0].faults if len(items) == 1 else ("one JSON object is needed, not many",)
    if faults:
        _fail(USAGE, faults, as_json)
    try:
        settlement = work_out(SettlementInput.model_validate(items[0].value))
    except ValidationError as e:
        _fail(USAGE, faults_of(e), as_json)
    if as_json:
        _json(settlement)
    else:
        _print_settlement(settlement)


def _print_settlement(settlement: Settlement) -> None:
    console = _console()
    for one in settlement.claimants:
        _print_claimant(console, one)
    console.print(
        f"\nIn all: payable {settlement.payable}, withheld for earlier claims {settlement.withheld}, deductible taken "
        f"{settlement.deductible}, unpaid premium withheld {settlement.premium} EUR"
    )


def _print_claimant(console: Console, one: ClaimantSettlement) -> None:
    _section(
        console,
        f"{one.claimant}: payable {one.payable} EUR",
        ("Clause", "Step", "Before", "After", "Why"),
        [
            (step.clause, step.label.en, str(step.before), str(step.after), step.note.en if step.note else "")
            for step in (*(step for head in one.heads for step in head.steps), *one.steps)
        ],
    )
    _section(
        console,
        f"{one.claimant}: heads",
        ("Clause", "Head", "Payable", "of it to the insured", "Withheld"),
        [(h.clause, h.head, str(h.payable), str(h.to_insured), str(h.withheld)) for h in one.heads],
    )
    _section(
        console,
        f"{one.claimant}: paid by others",
        ("Clause", "Head", "Payer", "Day", "Amount", "Used here"),
        [(s.clause, s.head, s.payer, str(s.paid_on or "not known"), str(s.amount), str(s.used)) for s in one.sums],
    )
    if one.uncompensated:
        console.print(f"\n{one.claimant} stays uncompensated by {one.uncompensated} EUR (9.8)")


# ---- running an installation ----------------------------------------------------------------------------------------


@app.command(epilog=EXIT_CODES)
def recount(
    actor: Speaker = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until every case has counted.")] = True,
    patience: Annotated[
        int,
        typer.Option(min=1, max=86400, help="Seconds without any case counting, after which what is left is named."),
    ] = int(PATIENCE),
    as_json: Json = False,
) -> None:
    """After a change of rulebook or calendar: make these tables the target, and let every open clock count anew.

    A case that stands still is named and counts anew once it can; until then the answer is 1.
    """
    raise typer.Exit(_run(_recount(actor, wait, patience, as_json), as_json))


async def _recount(actor: str | None, wait: bool, patience: int, as_json: bool) -> int:
    async with connect(engine="needed") as connection:
        by = await _speaker(connection, actor)
        with _bar("counting anew") as progress:
            done = await recount_cases(
                connection.sessions,
                connection.engine,
                wall_clock,
                by,
                progress if wait else None,
                patience,
            )
    if as_json:
        print(json.dumps({**done.model_dump(mode="json"), "waited": wait}))
    else:
        counted = f"{done.counted} of {done.cases}" if done.left else str(done.cases)
        print(f"{counted} cases {'counted anew' if wait else 'are to count anew'}")
        for name, version in sorted(done.targets.items()):
            print(f"  {name} {version}")
        rows = [(left.case, _words(left.stage), left.waits_for) for left in done.left]
        _section(_console(), "Not counted yet; each does once its run goes on", ("Case", "Stage", "Waits for"), rows)
    return REFUSED if done.left else DONE


class To(StrEnum):
    """Where a reset goes back to."""

    first = "first"
    last = "last"


@app.command(epilog=EXIT_CODES)
def reset(
    case: Case,
    reason: Annotated[str, typer.Option(help="Why; it stays in the engine's history. No personal data.")],
    to: Annotated[To, typer.Option(help="The first workflow task of the run, or the last.")] = To.last,
    as_json: Json = False,
) -> None:
    """Let a case's run begin again from a workflow task; what is recorded stays, and is not done twice."""
    if not reason.strip():
        raise typer.BadParameter("--reason: must not be empty")
    raise typer.Exit(_run(_reset(case, reason, to, as_json), as_json))


async def _reset(case: str, reason: str, to: To, as_json: bool) -> int:
    async with connect(engine="needed") as connection:
        run = await reset_case(connection.sessions, connection.engine, case, reason=reason, to=to.value)
    print(json.dumps({"case": case, "run": run}) if as_json else f"{case}  run {run} goes on from its {to.value} task")
    return DONE


@app.command(epilog=EXIT_CODES)
def reconcile(
    cases: Annotated[list[str] | None, typer.Argument(metavar="[CASE…]", help="Only these cases.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only compare; change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """After a restore: bring the store up to the engine's histories, or the runs up to the store; send nothing.

    Stop all workers first, and start them after it. 1 where something is left for a person.
    """
    raise typer.Exit(_run(_reconcile(cases or [], dry_run, as_json), as_json))


async def _reconcile(cases: Sequence[str], dry_run: bool, as_json: bool) -> int:
    # the one command that carries out what activities do, while no worker runs; the others need not load them
    from activities.wiring import build_replay  # noqa: PLC0415  # see above
    from operations.identity import provider  # noqa: PLC0415  # see above

    for case in cases:
        try:
            split_case_id(case)
        except ValueError as e:
            raise Refusal(f"{case}: {e}") from None
    settings = read_settings()
    async with connect(settings, engine="needed") as connection:
        if lost := [case for case in cases if not await _is_anywhere(connection, case)]:
            _fail(NOT_FOUND, [f"neither store nor engine has a case {case}" for case in lost], as_json)
        console = _console(error=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=None)
            done = await reconcile_cases(
                connection.sessions,
                connection.keyring,
                connection.engine,
                build_replay(
                    connection.sessions,
                    connection.keyring,
                    connection.engine,
                    provider(settings, connection.sessions, wall_clock),
                ),
                wall_clock,
                backups=settings.key_backups,
                cases=cases,
                dry_run=dry_run,
                progress=lambda what, so_far, total: bar.update(
                    task, description=what, completed=so_far, total=max(total, 1)
                ),
            )
    if as_json:
        _json(done)
    else:
        _say_reconciled(done, dry_run=dry_run)
    return DONE if done.clean else REFUSED


async def _is_anywhere(connection: Connection, case: str) -> bool:
    """Whether store or engine knows a case of this name: a misspelt one must not read as reconciled."""
    try:
        await reading.head(connection.sessions, case)
    except reading.NotFound:
        return case in await runs_of(connection.engine, [case])
    return True


def _say_reconciled(done: Reconciled, *, dry_run: bool) -> None:
    lacks, begins = ("lacks", "to start") if dry_run else ("had lost, and has again", "started")
    rings = "to ring" if dry_run else "rung"
    lines = [
        (f"the store {lacks}: steps", [f"{case}  {n}" for case, n in done.steps.items()]),
        (f"the store {lacks}: proofs of effects, answers to events", [f"{c}  {n}" for c, n in done.proofs.items()]),
        (f"the store {lacks}: the filing, found in a history", done.filings),
        (f"the run is behind the store; {rings}: it goes on from the record when a worker serves it", done.adopting),
        (f"no run; {begins}: it goes on from the record", done.started),
        ("filing lost: let the sender file it again, then reconcile again, before any worker starts", done.no_filing),
        ("erased since the dump; closed and emptied here too", done.erased),
        ("history cannot be read: its key is not in the key database; bring back a backup of keys", done.unreadable),
        (
            "stuck at this step, which comes out otherwise now: load that time's policies and clients, or use its code",
            [f"{case}  {n}" for case, n in done.stuck.items()],
        ),
        (
            "users whose login data are lost: report their letter as bounced",
            [f"{case}  {n}" for case, n in done.secrets.items()],
        ),
    ]
    print(f"{done.compared} cases compared with their histories")
    for title, cases in lines:
        if cases:
            print(f"{title}: {len(cases)}")
            for case in cases:
                print(f"  {case}")
    if done.staff_letters:
        print(f"letters to staff that nothing proves as sent, and that are not sent again: {done.staff_letters}")
    print("nothing is left to do" if done.clean else "something is left for a person, see above")


@app.command(epilog=EXIT_CODES)
def erase(
    cases: Annotated[list[str], typer.Argument(help="Closed cases.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it: it cannot be undone.")] = False,
    as_json: Json = False,
) -> None:
    """Erase closed cases: all that is personal goes from the store, and with their keys from every history and dump.

    Without --yes it only says what is open and in the way. With it the engine must answer: while the run of a case
    has not ended, its key stays.
    """
    raise typer.Exit(_run(_erase(cases, yes, as_json), as_json))


async def _erase(cases: Sequence[str], yes: bool, as_json: bool) -> int:
    refused = 0
    settings = read_settings()
    async with connect(settings, engine="needed" if yes else "not needed") as connection:
        for case in cases:
            try:
                await erasing.check(connection.sessions, connection.keyring, case)
                if yes:
                    await erasing.run_ended(connection.engine, case)
                    done = await erasing.erase(
                        connection.sessions, connection.keyring, case, settings.key_backups, wall_clock
                    )
                    said = "erased" if done.erased else "erased before"
                else:
                    said = "can be erased; --yes does it"
            except Refusal as e:
                refused += 1
                said = f"refused: {'; '.join(e.faults)}"
            named, said = _repeated(case), _repeated(said)
            print(json.dumps({"case": named, "result": said}, ensure_ascii=False) if as_json else f"{named}  {said}")
    return REFUSED if refused else DONE


keys_app = typer.Typer(help="The data keys: back them up, bring them back, change the master key.")
app.add_typer(keys_app, name="keys")


@keys_app.command(name="backup", epilog=EXIT_CODES)
def keys_backup(as_json: Json = False) -> None:
    """Back up the wrapped keys, and remove backups that are older than TERMINS_KEY_BACKUP_DAYS."""
    raise typer.Exit(_run(_keys_backup(as_json), as_json))


async def _keys_backup(as_json: bool) -> int:
    settings = read_settings()
    async with connect(settings, engine="not needed") as connection:
        keep = timedelta(days=settings.key_backup_days)
        done = await key_backup.back_up(connection.keyring, settings.key_backups, keep, wall_clock)
    if as_json:
        _json(done)
    else:
        print(f"{done.keys} keys in {done.file}; {len(done.removed)} older backups removed")
    return DONE


@keys_app.command(name="restore", epilog=EXIT_CODES)
def keys_restore(
    file: Annotated[Path, typer.Argument(help="A backup of keys.", dir_okay=False)], as_json: Json = False
) -> None:
    """Bring back keys that are missing; what was erased since stays erased."""
    raise typer.Exit(_run(_keys_restore(file, as_json), as_json))


async def _keys_restore(file: Path, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        done = await key_backup.restore(connection.sessions, connection.keyring, file)
    if as_json:
        _json(done)
    else:
        print(f"{done.keys} keys brought back, {len(done.destroyed_again)} destroyed again")
    return DONE


@keys_app.command(name="rotate", epilog=EXIT_CODES)
def keys_rotate(as_json: Json = False) -> None:
    """Wrap every key by a new master key and destroy the former one; cases run on meanwhile."""
    raise typer.Exit(_run(_keys_rotate(as_json), as_json))


async def _keys_rotate(as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        done = await connection.keyring.rotate()
    if as_json:
        print(json.dumps(asdict(done)))
        return DONE
    print(f"{done.wrapped} keys wrapped anew by master key {done.master}")
    for one in done.to_remove:
        print(f"  remove master key {one} from the environment: no key needs it any more")
    return DONE


# ---- evidence -------------------------------------------------------------------------------------------------------


@app.command(epilog=EXIT_CODES)
def proof(
    case: Annotated[str | None, typer.Argument(help="The case's id, such as claim:BTA:2026-000123.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the bundle here, not to standard output.")
    ] = None,
    personal: Annotated[bool, typer.Option("--personal", help="With the personal part of every entry.")] = False,
    public_key: Annotated[bool, typer.Option("--public-key", help="Only print the key that verifies.")] = False,
    as_json: Json = False,
) -> None:
    """Write the signed proof of a case: its entries, clocks and evidence. verify.py checks it, with nothing of Termins.

    1 where the case's chain does not hold: that is never signed.
    """
    if (case is None) != public_key:
        raise typer.BadParameter("name a case, or ask for the --public-key")
    raise typer.Exit(_run(_public_key(as_json) if case is None else _proof(case, out, personal, as_json), as_json))


async def _public_key(as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        key = (await Signer.of(connection.keyring)).public_key
    print(json.dumps({"public_key": key}) if as_json else key)
    return DONE


async def _proof(case: str, out: Path | None, personal: bool, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        signed = await prove(
            connection.sessions,
            connection.keyring,
            connection.settings.checkpoints,
            case,
            wall_clock,
            personal=personal,
        )
    if out is None:
        sys.stdout.write(signed.decode())
        return DONE
    try:
        await asyncio.to_thread(out.write_bytes, signed)
    except OSError as e:
        raise typer.BadParameter(f"{out}: {e.strerror}") from None
    body = json.loads(signed)["body"]
    said = {"case": case, "file": str(out), "entries": body["count"], "head": body["head"]}
    print(json.dumps(said) if as_json else f"{case}  {body['count']} entries, head {body['head']}, in {out}")
    return DONE


@app.command(epilog=EXIT_CODES)
def checkpoint(as_json: Json = False) -> None:
    """Publish the heads of all cases now, signed; a schedule does it every night. Needs no engine.

    1 where a case that changed is not what an earlier checkpoint holds.
    """
    raise typer.Exit(_run(_checkpoint(as_json), as_json))


async def _checkpoint(as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        with _bar("checking what changed") as progress:
            made = await publish(
                connection.sessions,
                connection.keyring,
                connection.settings.checkpoints,
                wall_clock,
                progress,
            )
    if as_json:
        _json(made)
    else:
        print(f"checkpoint {made.number}: {made.cases} cases, {made.changed} of them changed, in {made.file}")
        _say_broken(made.faults)
    return REFUSED if made.faults else DONE


@app.command(epilog=EXIT_CODES)
def check(
    cases: Annotated[list[str] | None, typer.Argument(metavar="[CASE…]", help="Only these cases.")] = None,
    as_json: Json = False,
) -> None:
    """Recompute the chain of every case and compare clocks, personal parts and checkpoints with it. Needs no engine."""
    raise typer.Exit(_run(_check(cases or [], as_json), as_json))


async def _check(cases: Sequence[str], as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        with _bar("checking") as progress:
            done = await check_cases(
                connection.sessions,
                connection.keyring,
                connection.settings.checkpoints,
                cases,
                progress,
            )
    if as_json:
        _json(done)
    else:
        holds = f"{len(done.faults)} do not hold" if done.faults else "all hold"
        print(f"{done.cases} cases with {done.entries} entries checked: {holds}")
        for case, records in done.scrubbed.items():
            print(f"{case}  a person was erased from {records} records, which cannot be compared any more")
        _say_broken(done.faults)
    return REFUSED if done.faults else DONE


def _say_broken(faults: Mapping[str, Sequence[str]]) -> None:
    for case, found in faults.items():
        for fault in found:
            print(f"{_repeated(case) or 'checkpoints'}  {_repeated(fault)}")


@app.command(epilog=EXIT_CODES)
def setup(as_json: Json = False) -> None:
    """Bring store and engine to what this version needs: tables, search attributes, retention, schedules."""
    raise typer.Exit(_run(_setup(as_json), as_json))


async def _setup(as_json: bool) -> int:
    async with connect(engine="needed") as connection:
        done = await set_up(connection.engine, connection.place.database_url, connection.keyring)
    print(json.dumps({"done": done}, ensure_ascii=False) if as_json else "\n".join(done))
    return DONE


@app.command(epilog=EXIT_CODES)
def health(as_json: Json = False) -> None:
    """Say whether everything answers, and whether anything waits that should not.

    0 where a worker can work, 4 where it cannot. What else is wrong is said, and is for a person.
    """
    raise typer.Exit(_run(_health(as_json), as_json))


async def _health(as_json: bool) -> int:
    from operations.identity import provider  # noqa: PLC0415  # hashing and SCIM, which no other command needs

    async with connect() as connection:
        checkpoints = connection.settings.checkpoints
        found = await ask(
            connection.sessions,
            connection.client,
            connection.keyring.answers,
            checkpoints,
            wall_clock(),
            connection.settings.sanctions_list,
            provider(connection.settings, connection.sessions, wall_clock),
        )
    if as_json:
        _json(found)
    else:
        for part in found.parts:
            print(f"{part.name:<12}{part.problem or 'ok'}")
    return DONE if found.ready else DOWN


@app.command(epilog=EXIT_CODES)
def load(source: Source, as_json: Json = False) -> None:
    """Load policies and clients: {"policies": […], "clients": […]}. Rows that are right go in; again is the same."""
    items = reading_json.read(_read(source))
    if len(items) != 1 or items[0].faults:
        _fail(REFUSED, items[0].faults or ("one JSON object is needed, not many",), as_json)
    raise typer.Exit(_run(_load(items[0].value, as_json), as_json))


async def _load(data: Any, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        loaded = await loading.load(connection.sessions, connection.keyring, data)
    if as_json:
        _json(loaded)
    else:
        print(f"{loaded.policies} policies, {loaded.clients} clients")
        for fault in loaded.faults:
            print(f"  {fault}")
    return REFUSED if loaded.faults else DONE


# ---- signing in -----------------------------------------------------------------------------------------------------


sign_in_app = typer.Typer(help="Who may sign in to the client zone, and who did.", no_args_is_help=True)
app.add_typer(sign_in_app, name="sign-in", epilog=EXIT_CODES)

OfClient = Annotated[str, typer.Argument(metavar="CLIENT", help="The client's code, such as BL-0042.")]
Username = Annotated[str, typer.Argument(metavar="USER", help="The user name as it was typed.")]
FromWhere = Annotated[str, typer.Argument(metavar="ADDRESS", help="The address from which it is asked, IPv4 or IPv6.")]
Session = Annotated[str, typer.Argument(metavar="SESSION", help="The session's number.")]


@sign_in_app.command(name="check", epilog=EXIT_CODES)
def sign_in_check(
    client: OfClient,
    username: Username,
    address: FromWhere,
    method: Annotated[str, typer.Option(help="password, or the authenticator that proved who it is.")] = PASSWORD,
    password: Annotated[
        bool, typer.Option("--password", help="The local directory compares the password: a line of standard input.")
    ] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="Another provider found the password wrong: it is counted.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Ask whether this user may sign in from this address now; a yes begins a session."""
    if password and failed:
        raise typer.BadParameter("--password or --failed, not both")
    secret = _line() if password else None

    async def ask_desk(desk: SignIn) -> int:
        asked = asked_of(client=client, username=username, address=address, method=method)
        if secret is not None:
            answer = await desk.with_password(asked, secret)
        else:
            answer = await (desk.report_failed(asked) if failed else desk.check(asked))
        if as_json:
            _json(answer)
        else:
            print(f"{'yes' if answer.allowed else 'no'}  {answer.code}" + f"  {answer.session or ''}".rstrip())
        return DONE if answer.allowed else REFUSED

    raise typer.Exit(_run(_at_desk(ask_desk), as_json))


@sign_in_app.command(name="change-password", epilog=EXIT_CODES)
def sign_in_change_password(client: OfClient, username: Username, address: FromWhere, as_json: Json = False) -> None:
    """Let a user of the local directory set an own password: two lines of standard input, the present one and the new.

    After it the user signs in with the new one; until the first such change nothing else is open (SE-33.3.4.4).
    """
    present, new = _line("Present password: "), _line("New password: ")

    async def ask_desk(desk: SignIn) -> int:
        await desk.change_password(asked_of(client=client, username=username, address=address), present, new)
        print(json.dumps({"changed": True}) if as_json else "changed")
        return DONE

    raise typer.Exit(_run(_at_desk(ask_desk), as_json))


@sign_in_app.command(name="password-changed", epilog=EXIT_CODES)
def sign_in_password_changed(client: OfClient, username: Username, as_json: Json = False) -> None:
    """Say that another provider let the user set an own password: the account is open from now on."""

    async def ask_desk(desk: SignIn) -> int:
        await desk.report_password_changed(client, username)
        print(json.dumps({"recorded": True}) if as_json else "recorded")
        return DONE

    raise typer.Exit(_run(_at_desk(ask_desk), as_json))


@sign_in_app.command(name="session", epilog=EXIT_CODES)
def sign_in_session(
    session: Session,
    end: Annotated[bool, typer.Option("--end", help="End it: the user signed out.")] = False,
    as_json: Json = False,
) -> None:
    """Ask whether a session goes on, or end it."""

    async def ask_desk(desk: SignIn) -> int:
        holds = await (desk.end_session(session) if end else desk.session_goes_on(session))
        words = ("ended", "it had ended, or there is none") if end else ("goes on", "ended")
        print(json.dumps({"ended" if end else "goes_on": holds}) if as_json else words[not holds])
        return DONE if holds else REFUSED

    raise typer.Exit(_run(_at_desk(ask_desk), as_json))


@sign_in_app.command(name="opened", epilog=EXIT_CODES)
def sign_in_opened(
    session: Session,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Which file or record.")],
    action: Annotated[str, typer.Option(help="read, entered, changed, copied, erased, searched")],
    purpose: Annotated[str, typer.Option(help="Why, as a code such as claim_handling.")] = "",
    health: Annotated[bool, typer.Option("--health", help="It holds health data.")] = False,
    as_json: Json = False,
) -> None:
    """Record that a user opened something; refused without a purpose, and when the session has ended."""

    async def ask_desk(desk: SignIn) -> int:
        await desk.record_opened(session=session, file=file, action=action, purpose=purpose, health=health)
        print(json.dumps({"recorded": True}) if as_json else "recorded")
        return DONE

    raise typer.Exit(_run(_at_desk(ask_desk), as_json))


@sign_in_app.command(name="journal", epilog=EXIT_CODES)
def sign_in_journal(
    client: OfClient,
    user: Annotated[str | None, typer.Option(help="Only this user name.")] = None,
    since: Annotated[str | None, typer.Option(help="From this day on; else the last seven days.")] = None,
    until: Annotated[str | None, typer.Option(help="Until the end of this day.")] = None,
    personal: Personal = False,
    as_json: Json = False,
) -> None:
    """Show who asked to sign in at a client, when, and what it came to; addresses only with --personal."""
    days = [None if text is None else _day(text, "--since, --until") for text in (since, until)]
    if days[0] is not None and days[1] is not None and days[1] < days[0]:
        raise typer.BadParameter("--until: lies before --since")
    raise typer.Exit(_run(_journal(client, user, days[0], days[1], personal, as_json), as_json))


async def _journal(
    client: str, user: str | None, since: date | None, until: date | None, personal: bool, as_json: bool
) -> int:
    async with connect(engine="not needed") as connection:
        lines = await journal(connection.sessions, client, user, since, until, wall_clock(), personal=personal)
    if as_json:
        _json_array(lines)
        return DONE
    table = _table("When", "User", "By", "Address", "Result", "Ended", "How")
    for line in lines:
        table.add_row(
            _utc(line.at),
            line.username or "–",
            line.method,
            line.address or "–",
            line.result,
            _utc(line.ended_at) if line.ended_at else "–",
            line.end_reason or "–",
        )
    _console().print(table)
    return DONE


@sign_in_app.command(name="month", epilog=EXIT_CODES)
def sign_in_month(
    organisation: Annotated[str, typer.Argument(metavar="ORGANISATION", help="BL, SE, …")],
    month: Annotated[str, typer.Argument(metavar="MONTH", help="Such as 2026-10.")],
    personal: Personal = False,
    as_json: Json = False,
) -> None:
    """Show a month of the journal, per client and user, and every entry that a reviewer looks at (SE-33.4.2)."""
    raise typer.Exit(_run(_month(organisation, month, personal, as_json), as_json))


async def _month(organisation: str, month: str, personal: bool, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        made = await report(connection.sessions, organisation, month)
        lines = await notable(connection.sessions, organisation, month, personal=personal)
    if as_json:
        notables = [line.model_dump(mode="json") for line in lines]
        print(json.dumps({**made.model_dump(mode="json"), "notable": notables}, ensure_ascii=False))
        return DONE
    names = list(type(made.together).model_fields)
    table = _table("Client", "User", *(name.replace("_", " ").capitalize() for name in names))
    for user in made.users:
        table.add_row(user.client, user.username or "–", *(str(getattr(user.counted, name)) for name in names))
    table.add_row("together", "", *(str(getattr(made.together, name)) for name in names))
    console = _console()
    console.print(table)
    rows = [
        (_utc(line.at), line.client, line.username or "–", line.address or "–", line.result, ", ".join(line.why))
        for line in lines
    ]
    _section(console, "To look at", ("When", "Client", "User", "Address", "Result", "Why"), rows)
    return DONE


@sign_in_app.command(name="remove", epilog=EXIT_CODES)
def sign_in_remove(
    organisation: Annotated[str, typer.Argument(metavar="ORGANISATION", help="BL, SE, …")],
    before: Annotated[str, typer.Option(help="Records of the days before this one.")],
    as_json: Json = False,
) -> None:
    """Remove older records of the journal than the sweep does; refused while one has to be kept (SE-33.3.10)."""
    day = _day(before, "--before")
    raise typer.Exit(_run(_remove(organisation, day, as_json), as_json))


async def _remove(organisation: str, before: date, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        removed = await remove_over(connection.sessions, wall_clock, organisation, before)
    if as_json:
        _json(removed)
    else:
        print(f"{removed.sign_in} questions and {removed.opened} files that were opened")
    return DONE


async def _at_desk(ask_desk: Callable[[SignIn], Awaitable[int]]) -> int:
    async with connect(engine="not needed") as connection:
        try:
            return await ask_desk(SignIn(connection.sessions, connection.keyring, wall_clock))
        except IdentityUnavailable as e:
            raise NotAnswering(str(e)) from None


def _line(prompt: str = "Password: ") -> str:
    """One line of standard input, without showing it where somebody types it."""
    return getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


# ---- operators ------------------------------------------------------------------------------------------------------


operator = typer.Typer(help="Operators: who may read and say what. For the administrator.", no_args_is_help=True)
app.add_typer(operator, name="operator", epilog=EXIT_CODES)

Code = Annotated[str, typer.Argument(help="The operator's code, such as op-17; nobody's name.")]
Organisations = Annotated[list[str] | None, typer.Option("--organisation", help="BTA, BL, …; may be repeated.")]
Roles = Annotated[
    list[str] | None,
    typer.Option("--role", help="; ".join(f"{role}: {text}" for role, text in ROLES.items()) + "; may be repeated."),
]
Limit = Annotated[str | None, typer.Option("--limit", help="EUR up to which the role approve approves.")]
Days = Annotated[int, typer.Option("--days", min=1, max=3650, help="How long the token is good.")]


@operator.command(name="add", epilog=EXIT_CODES)
def operator_add(
    code: Code,
    organisation: Organisations = None,
    role: Roles = None,
    limit: Limit = None,
    days: Days = TOKEN_DAYS,
    as_json: Json = False,
) -> None:
    """Add an operator; prints the token, which is shown this once."""
    amount = _amount(limit)
    raise typer.Exit(
        _run(_operator_given(lambda o: o.add(code, organisation or (), role or (), amount, days), as_json), as_json)
    )


@operator.command(name="token", epilog=EXIT_CODES)
def operator_token(code: Code, days: Days = TOKEN_DAYS, as_json: Json = False) -> None:
    """Give an operator a new token; the former one is worth nothing from then on."""
    raise typer.Exit(_run(_operator_given(lambda o: o.renew(code, days), as_json), as_json))


async def _operator_given(give: Callable[[Operators], Awaitable[Given]], as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        given = await give(Operators(connection.sessions, wall_clock))
    if as_json:
        _json(given)
    else:
        print(f"{given.operator}  token {given.token}")
        _note(f"shown this once, good until {given.ends_at:%Y-%m-%d}; hand it over so that nobody else reads it")
    return DONE


@operator.command(name="change", epilog=EXIT_CODES)
def operator_change(
    code: Code, organisation: Organisations = None, role: Roles = None, limit: Limit = None, as_json: Json = False
) -> None:
    """Replace an operator's organisations, roles or limit; what is not named stays. The token stays too."""
    if organisation is None and role is None and limit is None:
        raise typer.BadParameter("name what changes: --organisation, --role or --limit")
    amount = _amount(limit)
    raise typer.Exit(
        _run(_operator_changed(code, lambda o: o.change(code, organisation, role, amount), as_json), as_json)
    )


@operator.command(name="end", epilog=EXIT_CODES)
def operator_end(code: Code, as_json: Json = False) -> None:
    """An operator leaves: from now on this code reads and says nothing, and is never given again."""
    raise typer.Exit(_run(_operator_changed(code, lambda o: o.end(code), as_json), as_json))


async def _operator_changed(code: str, change: Callable[[Operators], Awaitable[None]], as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        table = Operators(connection.sessions, wall_clock)
        await change(table)
        (line,) = [listed for listed in await table.all() if listed.operator == code]
    if as_json:
        _json(line)
    else:
        _console().print(_operator_table([line]))
    return DONE


@operator.command(name="list", epilog=EXIT_CODES)
def operator_list(as_json: Json = False) -> None:
    """List the operators, those who have left too."""
    raise typer.Exit(_run(_operator_list(as_json), as_json))


async def _operator_list(as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        found = await Operators(connection.sessions, wall_clock).all()
    if as_json:
        _json_array(found)
    else:
        _console().print(_operator_table(found))
    return DONE


def _operator_table(found: Iterable[Listed]) -> Table:
    table = _table("Operator", "Organisations", "Roles", "Limit EUR", "Token until", "Left")
    for one in found:
        table.add_row(
            one.operator,
            ", ".join(one.organisations),
            ", ".join(one.roles),
            str(one.limit or "–"),
            f"{one.token_ends_at:%Y-%m-%d}" if one.token_ends_at else "–",
            f"{one.ended_at:%Y-%m-%d}" if one.ended_at else "",
        )
    return table


def _amount(limit: str | None) -> Decimal | None:
    if limit is not None and not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,2})?", limit):
        raise typer.BadParameter("--limit: an amount in EUR, such as 5000.00")
    return None if limit is None else Decimal(limit)


# ---- access ---------------------------------------------------------------------------------------------------------


@app.command(name="access", epilog=EXIT_CODES)
def access_(
    client: Annotated[str | None, typer.Option(help="Only of this client.")] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Also what has ended.")] = False,
    personal: Personal = False,
    as_json: Json = False,
) -> None:
    """Who has access to the client zone: what, since when, by which request; and what is pending."""
    raise typer.Exit(_run(_access(client, ended, personal, as_json), as_json))


async def _access(client: str | None, ended: bool, personal: bool, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        found = await accessing.accesses(connection.sessions, client, personal=personal, ended=ended)
    if as_json:
        _json(found)
        return DONE
    people = ("User", "Asked by") if personal else ()
    table = _table("Client", "User name", *people, "Has", "Stands", "Since", "By request", "Waits for")
    for one in found.accounts:
        has = [*([one.authenticator] if one.authenticator else []), *(["login data"] if one.login_data else [])]
        locked = f"locked {one.locked_at:%Y-%m-%d %H:%M} UTC" if one.locked_at and not one.ended else None
        stands = one.ended or one.suspended or locked
        data = f"; data {one.data}" if one.data else ""
        named = (one.user or "–", one.asked_by or "–") if personal else ()
        table.add_row(
            one.client,
            one.username,
            *named,
            " and ".join(has) or "nothing",
            f"{one.status}: {stands}{data}" if stands else one.status,
            f"{one.since:%Y-%m-%d}",
            f"{one.request}, from {one.received_from}",
            one.waits_for,
        )
    _console().print(table)
    for request in found.pending:
        print(f"pending  {request.request}  client {request.client}  waits for {request.waits_for}")
    return DONE


@app.command(name="suspend", epilog=EXIT_CODES)
def suspend_(
    client: Annotated[str, typer.Option(help="The client: all its users, if none is named.")],
    reason: Annotated[str, typer.Option(help="What is suspected or was reported.")],
    user: Annotated[list[str] | None, typer.Option(help="Only this user name; may be repeated.")] = None,
    ground: Annotated[
        Literal["BL-8", "BL-10"], typer.Option(help="BL-8: a reported leak; BL-10: a suspicion or danger.")
    ] = "BL-10",
    actor: Annotated[
        str | None, typer.Option("--actor", help="Who says so: system:NAME, or an operator code with TERMINS_TOKEN.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Suspend everybody of a client now, or the users named: in one transaction, with their live sessions.

    It holds from the answer on, whatever engine, provider and carrier do. Their cases are rung at once and tell who
    must be told. Again it changes nothing that stands so already.
    """
    raise typer.Exit(_run(_suspend(client, user, ground, reason, actor, as_json), as_json))


async def _suspend(
    client: str,
    users: Sequence[str] | None,
    ground: Literal["BL-8", "BL-10"],
    reason: str,
    actor: str | None,
    as_json: bool,
) -> int:
    async with connect(engine="not needed") as connection:
        by = await _speaker(connection, actor)
        done = await accessing.suspend(
            connection.sessions, connection.keyring, client, users or None, ground, reason, by, wall_clock
        )
    # only now is the engine asked: that it is down keeps nobody in
    rung = await _ring_users(client, users or None)
    if as_json:
        print(json.dumps({**done.model_dump(mode="json"), "rung": rung}))
        return DONE
    before = f", {len(done.before)} stood so or had ended already" if done.before else ""
    print(f"{client}  {len(done.accounts)} accounts suspended, {done.sessions} live sessions ended{before}")
    if not rung:
        print("  not every case could be rung now: the sweep does it within a minute, once the engine answers")
    return DONE


async def _ring_users(client: str, users: Sequence[str] | None) -> bool:
    """Let the cases of these users hear at once what is committed; whether all were reached."""
    try:
        async with asyncio.timeout(2 * ANSWERS_WITHIN), connect(engine="needed") as connection:
            rung = await accessing.ring_users(
                connection.sessions, connection.intake, connection.engine, client, users, wall_clock
            )
    except (NotAnswering, TimeoutError):
        return False
    return not rung.missed


@app.command(name="offer-again", epilog=EXIT_CODES)
def offer_again_(
    case: Case,
    actor: Annotated[
        str | None, typer.Option("--actor", help="Who says so: system:NAME, or an operator code with TERMINS_TOKEN.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Grant an authenticator again that ended or was limited for everybody; what ended by it stays ended."""
    raise typer.Exit(_run(_offer_again(case, actor, as_json), as_json))


async def _offer_again(case: str, actor: str | None, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        by = await _speaker(connection, actor)
        done = await deciding.offer_again(connection.sessions, case, by, wall_clock)
    if as_json:
        _json(done)
    else:
        print(f"{done.authenticator}  can be granted again")
    return DONE


# ---- policies -------------------------------------------------------------------------------------------------------


policy_app = typer.Typer(help="Policies: register, import, change, and see what holds for a day.", no_args_is_help=True)
app.add_typer(policy_app, name="policies", epilog=EXIT_CODES)

PolicyNumber = Annotated[str, typer.Argument(metavar="POLICY", help="The policy's number.")]
Speaker = Annotated[
    str | None, typer.Option("--actor", help="Who says so: system:NAME, or an operator code with TERMINS_TOKEN.")
]
AllowedFrom = Annotated[
    str | None, typer.Option(help="The first day on which the statute allows it (6.6), where the rulebook has no term.")
]
Statute = Annotated[str | None, typer.Option(help="The provision, such as: Apdrošināšanas līguma likums, 23. pants.")]

What = TypeVar("What")


def _policies(
    work: Callable[[Policies, str], Awaitable[What]],
    actor: str | None,
    say: Callable[[What], int],
    as_json: bool,
    engine: Literal["wanted", "not needed"] = "not needed",
) -> int:
    """Do something to policies as whoever speaks, and print what became of it; the exit code."""

    async def run() -> int:
        async with connect(engine=engine) as connection:
            speaker = await _speaker(connection, actor)
            intake = connection.intake
            done = await work(Policies(connection.sessions, connection.keyring, wall_clock, intake), speaker)
        return say(done)

    return _run(run(), as_json)


async def _speaker(connection: Connection, actor: str | None) -> str:
    """Who speaks: an operator with a token, the system that is named, or the command line itself."""
    settings = read_settings()
    token = settings.token.get_secret_value() if settings.token else None
    if actor is None and token is None:
        return HERE
    said = await with_actor(
        Operators(connection.sessions, wall_clock), {} if actor is None else {"actor": actor}, token
    )
    if not re.fullmatch(ACTOR, by := str(said["actor"])):
        raise Refusal("actor: system: and a name of 2 to 32 of a-z 0-9 . _ -, which begins with a letter")
    return by


@policy_app.command(name="register", epilog=EXIT_CODES)
def policies_register(source: Source = "-", actor: Speaker = None, as_json: Json = False) -> None:
    """Register policies: one JSON object, an array, or an object a line. The same again changes nothing."""
    raise typer.Exit(_run(_register(reading_json.read(_read(source)), actor, as_json), as_json))


@policy_app.command(name="import", epilog=EXIT_CODES)
def policies_import(
    file: Annotated[Path, typer.Argument(help="A .json or .csv file; docs/policies.md has the columns.")],
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """Import policies: good rows go in, bad ones are reported with their number and all faults; again is the same."""
    items = _rows(file, "policies", reading_csv.POLICY)
    raise typer.Exit(_run(_register(items, actor, as_json), as_json))


def _rows(file: Path, section: str, columns: Mapping[str, tuple[str, ...]]) -> list[reading_json.Item]:
    """Every row of a .csv file, or of a .json file, also where it has the rows in this section."""
    data = _read(str(file))
    if file.suffix.lower() == ".csv":
        return reading_csv.read(data, columns)
    if file.suffix.lower() != ".json":
        raise typer.BadParameter("a file whose name ends in .json or .csv is needed")
    items = reading_json.read(data)
    # a fault of the file, such as a key given twice, is nobody's row: nothing of it is read further
    value = items[0].value if len(items) == 1 and not items[0].faults else None
    if isinstance(value, dict) and isinstance(value.get(section), list) and len(value) == 1:
        items = [reading_json.Item(line=n, value=one) for n, one in enumerate(value[section], 1)]
    return items


async def _register(items: Sequence[reading_json.Item], actor: str | None, as_json: bool) -> int:
    report = Imported()
    async with connect(engine="not needed") as connection:
        speaker = await _speaker(connection, actor)
        policies = Policies(connection.sessions, connection.keyring, wall_clock)
        for item in _with_progress(items, "policies"):
            report = report.with_row(item.line, await policies.take(item, speaker))
    return _say_imported(report, "Policy", [(bad.row, bad.policy, bad.faults) for bad in report.bad], as_json)


def _say_imported(
    report: Imported | ImportedClients,
    what: str,
    bad: Sequence[tuple[int | None, str | None, Sequence[str]]],
    as_json: bool,
) -> int:
    if as_json:
        _json(report)
        return REFUSED if bad else DONE
    print(f"{report.new} new, {report.unchanged} there before, {len(bad)} bad")
    if bad:
        table = _table("Row", what, "Faults")
        for row, key, faults in bad:
            table.add_row(str(row or "–"), key or "–", "\n".join(faults))
        _console().print(table)
    return REFUSED if bad else DONE


def _say_said(as_json: bool) -> Callable[[PolicySaid], int]:
    def say(said: PolicySaid) -> int:
        if as_json:
            _json(said)
            return DONE
        print(f"{said.policy}  {said.entry}  {'recorded' if said.new else 'recorded before'}")
        if said.case is not None:
            print(f"  case {said.case}")
        return DONE

    return say


@policy_app.command(name="limits", epilog=EXIT_CODES)
def policies_limits(policy: PolicyNumber, as_json: Json = False) -> None:
    """Show what a policy's limits have given and what is reserved: its claims in the order of filing."""
    raise typer.Exit(_run(_limits(policy, as_json), as_json))


async def _limits(policy: str, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        found = await limits_of(connection.sessions, policy)
    if as_json:
        _json(found)
        return DONE
    table = _table(
        "Filed", "Case", "Stage", "Occ.", "Claimed", "Proven", "Proposed", "Approved", "Reserved", "Withheld", "Paid"
    )
    for c in found.claims:
        amounts = (c.claimed, c.proven, c.proposed, c.approved, c.reserved, c.withheld, c.paid)
        table.add_row(_utc(c.filed_at), c.case, _words(c.stage), str(c.occurrence), *(f"{a:,.2f}" for a in amounts))
    print(f"{found.policy}: {found.taken:,.2f} EUR of the limits taken, {found.reserved:,.2f} EUR reserved")
    _console().print(table)
    return DONE


@policy_app.command(name="addendum", epilog=EXIT_CODES)
def policies_addendum(source: Source = "-", actor: Speaker = None, as_json: Json = False) -> None:
    """Record an addendum: one JSON object with the policy's number, the addendum's number and what it changes."""
    items = reading_json.read(_read(source))
    faults = items[0].faults if len(items) == 1 else ("one JSON object is needed, not many",)
    value = items[0].value
    if not faults and not (isinstance(value, dict) and isinstance(value.get("policy"), str)):
        faults = ("policy: not said",)
    if faults:
        _fail(REFUSED, faults, as_json)
    number, data = value["policy"], {k: v for k, v in value.items() if k != "policy"}
    raise typer.Exit(_policies(lambda p, by: p.addendum(number, data, by), actor, _say_said(as_json), as_json))


@policy_app.command(name="premium", epilog=EXIT_CODES)
def policies_premium(
    policy: PolicyNumber,
    reference: Annotated[str, typer.Option(help="The bank's reference; the same again is the same payment.")],
    paid_on: Annotated[str, typer.Option(help="The day of the payment, YYYY-MM-DD.")],
    amount: Annotated[str, typer.Option(help="EUR, such as 300.00.")],
    received_at: Annotated[
        str | None, typer.Option(help="When the insurer received it, with offset; now, if not said.")
    ] = None,
    iban: Annotated[str | None, typer.Option(help="The account it came from: it goes back there if refused.")] = None,
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """Record a premium, or a part of it, that was paid; a late first one opens a case of its own (6.5)."""
    data = {
        "reference": reference,
        "paid_on": paid_on,
        "amount": amount,
        "received_at": received_at or wall_clock().isoformat(),
        "iban": iban,
    }
    raise typer.Exit(_policies(lambda p, by: p.premium(policy, data, by), actor, _say_said(as_json), as_json, "wanted"))


@policy_app.command(name="suspend", epilog=EXIT_CODES)
def policies_suspend(
    policy: PolicyNumber,
    from_day: Annotated[str, typer.Option(help="The first day without cover, YYYY-MM-DD.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    allowed_from: AllowedFrom = None,
    statute: Statute = None,
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """Suspend a contract for an unpaid instalment (6.6); before the statute allows it, it has no effect."""
    data = {"from_day": from_day, "reason": reason, "allowed_from": allowed_from, "statute": statute}
    raise typer.Exit(_policies(lambda p, by: p.suspend(policy, data, by), actor, _say_said(as_json), as_json))


@policy_app.command(name="resume", epilog=EXIT_CODES)
def policies_resume(
    policy: PolicyNumber,
    from_day: Annotated[str, typer.Option(help="The first day with cover again, YYYY-MM-DD.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """End a suspension."""
    data = {"from_day": from_day, "reason": reason}
    raise typer.Exit(_policies(lambda p, by: p.resume(policy, data, by), actor, _say_said(as_json), as_json))


@policy_app.command(name="end", epilog=EXIT_CODES)
def policies_end(
    policy: PolicyNumber,
    by: Annotated[str, typer.Option(help="policyholder (11.1), insurer (11.2), unpaid (6.6) or breach (8.2).")],
    last_day: Annotated[str, typer.Option(help="The last day with cover, YYYY-MM-DD.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    costs: Annotated[str, typer.Option(help="The insurer's costs of concluding the contract, in EUR (11.1).")] = "0.00",
    refund_by_statute: Annotated[
        bool, typer.Option("--refund-by-statute", help="The statute asks to pay back the unused part (11.2).")
    ] = False,
    allowed_from: AllowedFrom = None,
    statute: Statute = None,
    iban: Annotated[
        str | None, typer.Option(help="Where the refund goes; else it is held until that is known.")
    ] = None,
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """End a contract early, and pay back what of the premium goes back."""
    data = {
        "by": by,
        "last_day": last_day,
        "reason": reason,
        "costs": costs,
        "refund_by_statute": refund_by_statute,
        "allowed_from": allowed_from,
        "statute": statute,
        "iban": iban,
    }

    def say(ended: tuple[Ended, str | None]) -> int:
        done, case = ended
        if as_json:
            print(json.dumps({**done.model_dump(mode="json"), "case": case}, ensure_ascii=False))
            return DONE
        print(f"{policy}  ended  covered until {done.covered_until}")
        for step in done.refund.steps:
            print(f"  {step.clause}  {step.label}: {step.before} EUR to {step.after} EUR")
        print(f"  refund {done.refund.amount} EUR" + (f": {done.refund.refused}" if done.refund.refused else ""))
        if case is not None:
            print(f"  case {case}")
        return DONE

    raise typer.Exit(_policies(lambda p, by: p.end(policy, data, by), actor, say, as_json, "wanted"))


@policy_app.command(name="object", epilog=EXIT_CODES)
def policies_object(
    key: Annotated[str, typer.Argument(metavar="POLICY|CLIENT", help="The number of a policy, or of a client.")],
    received_at: Annotated[
        str | None, typer.Option(help="When the objection was received, with offset; now, if not said.")
    ] = None,
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """A client wants no reminders of the end of a contract: of none of that person's contracts, from now on."""
    received = wall_clock() if received_at is None else _instant(received_at, "--received-at")

    def say(stopped: tuple[str, ...]) -> int:
        if as_json:
            print(json.dumps({"stopped": list(stopped)}))
            return DONE
        print(f"{key}  no reminders any more")
        for case in stopped:
            print(f"  called off in {case}")
        return DONE

    raise typer.Exit(_policies(lambda p, by: p.object_to_reminders(key, received, by), actor, say, as_json))


@policy_app.command(name="show", epilog=EXIT_CODES)
def policies_show(
    policy: PolicyNumber,
    on: Annotated[str | None, typer.Option(help="The event day that is asked about; today, if not said.")] = None,
    as_of: Annotated[str | None, typer.Option(help="As it was known at this instant, with offset.")] = None,
    personal: Personal = False,
    as_json: Json = False,
) -> None:
    """Show a policy: whether it is in force on a day and why, its limits, its premium, and all that was said of it."""
    day = None if on is None else _day(on, "--on")
    instant = None if as_of is None else _instant(as_of, "--as-of")

    def say(shown: PolicyShown) -> int:
        if as_json:
            _json(shown)
        else:
            _print_policy(shown)
        return DONE

    raise typer.Exit(_policies(lambda p, _: p.show(policy, day, instant, personal=personal), None, say, as_json))


def _print_policy(shown: PolicyShown) -> None:
    console, found, terms = _console(), shown.in_force, shown.version.terms
    print(f"{shown.policy}  {shown.organisation}  as known at {_utc(shown.as_of)}")
    dates = ", ".join(f"{name.replace('_', ' ')} {day}" for name, day in found.facts.items())
    could = "; the first premium can still be missed" if found.provisional else ""
    print(f"on {shown.on}: {found.outcome.replace('_', ' ')} ({found.clause}): {found.reason.replace('_', ' ')}{could}")
    print(f"  {dates}")
    until = shown.reporting.until or "never"
    print(f"third parties may claim until {until} ({shown.reporting.days} days, {shown.reporting.clause})")
    print(f"territory {shown.version.territory}; insured activity {shown.version.insured_activity or 'not said'}")
    person = f", per person {terms.limit_per_person}" if terms.limit_per_person is not None else ""
    print(f"limits in EUR: per occurrence {terms.limit_per_occurrence}, aggregate {terms.limit_aggregate}{person}")
    print(f"deductible {terms.deductible.value} ({terms.deductible.kind}, {terms.deductible.basis})")
    print(f"unpaid premium {shown.unpaid} EUR")
    _section(
        console,
        "Premium",
        ("Due on", "EUR", "Addendum", "Paid in full on"),
        [(f"{i.due_on}", f"{i.amount}", i.addendum or "–", f"{i.paid_on or '–'}") for i in shown.schedule],
    )
    _section(
        console,
        "Exclusions",
        ("Code", "State", "Text"),
        [(x.code, x.state.replace("_", " "), x.text or "") for x in shown.version.exclusions],
    )
    _section(
        console,
        "What was said",
        ("No", "What", "When", "By"),
        [(f"{h.n}", h.act, _utc(h.recorded_at), h.said_by) for h in shown.history],
    )
    _section(
        console,
        "People",
        ("Role", "Name", "E-mail"),
        [(p["role"].replace("_", " "), p["name"], p.get("email") or "–") for p in shown.people],
    )


@policy_app.command(name="list", epilog=EXIT_CODES)
def policies_list(
    organisation: Annotated[str | None, typer.Option(help="BTA, GJ, …")] = None, as_json: Json = False
) -> None:
    """List the policies: their periods, whether they are in force today, and the premium that is unpaid."""
    if faults := reading.unknown(None, organisation, None):
        raise typer.BadParameter("; ".join(faults))

    def say(lines: list[PolicyLine]) -> int:
        if as_json:
            _json_array(lines)
            return DONE
        table = _table("Policy", "Organisation", "From", "To", "Covered until", "Today", "Unpaid EUR", "Claims")
        for line in lines:
            state = line.today.outcome.replace("_", " ")
            state += f" ({line.today.clause})" if line.today.outcome != "in_force" else ""
            dates = (f"{line.starts_on}", f"{line.ends_on}", f"{line.covered_until}")
            table.add_row(line.policy, line.organisation, *dates, state, f"{line.unpaid}", f"{line.claims}")
        _console().print(table)
        return DONE

    raise typer.Exit(_policies(lambda p, _: p.list(organisation), None, say, as_json))


# ---- clients --------------------------------------------------------------------------------------------------------


client_app = typer.Typer(help="Clients: load, change, end, and see what holds of each.", no_args_is_help=True)
app.add_typer(client_app, name="clients", epilog=EXIT_CODES)

ClientCode = Annotated[str, typer.Argument(metavar="CLIENT", help="The client's code, such as BL-0042.")]


def _clients(
    work: Callable[[Clients, str], Awaitable[What]],
    actor: str | None,
    say: Callable[[What], int],
    as_json: bool,
    engine: Literal["wanted", "not needed"] = "not needed",
) -> int:
    """Do something to clients as whoever speaks, and print what became of it; the exit code."""

    async def run() -> int:
        async with connect(engine=engine) as connection:
            speaker = await _speaker(connection, actor)
            clients = Clients(connection.sessions, connection.keyring, wall_clock, connection.intake)
            done = await work(clients, speaker)
        return say(done)

    return _run(run(), as_json)


@client_app.command(name="load", epilog=EXIT_CODES)
def clients_load(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .json or .csv file; docs/clients.md has the columns.")
    ],
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """Load clients: good rows go in, bad ones are reported with their number and all faults; again is the same."""

    async def take(clients: Clients, by: str) -> ImportedClients:
        report = ImportedClients()
        for item in _with_progress(_rows(file, "clients", reading_csv.CLIENT), "clients"):
            report = report.with_row(item.line, await clients.take(item, by))
        return report

    def say(report: ImportedClients) -> int:
        return _say_imported(report, "Client", [(bad.row, bad.client, bad.faults) for bad in report.bad], as_json)

    raise typer.Exit(_clients(take, actor, say, as_json))


def _say_changed(as_json: bool) -> Callable[[ClientSaid], int]:
    def say(said: ClientSaid) -> int:
        if as_json:
            _json(said)
            return DONE
        changed = f"changed: {', '.join(said.fields)}" if said.fields else "as it stood"
        print(f"{said.client}  {changed if said.fields or said.case is None else 'people change in a case'}")
        if said.case is not None:
            print(f"  case {said.case}")
        return DONE

    return say


@client_app.command(name="change", epilog=EXIT_CODES)
def clients_change(source: Source = "-", actor: Speaker = None, as_json: Json = False) -> None:
    """Change a client: one JSON object with its code and what changes. Other people are told, in a case of its own."""
    items = reading_json.read(_read(source))
    faults = items[0].faults if len(items) == 1 else ("one JSON object is needed, not many",)
    value = items[0].value
    if not faults and not (isinstance(value, dict) and isinstance(value.get("client"), str)):
        faults = ("client: not said",)
    if faults:
        _fail(REFUSED, faults, as_json)
    code, data = value["client"], {k: v for k, v in value.items() if k != "client"}
    raise typer.Exit(_clients(lambda c, by: c.change(code, data, by), actor, _say_changed(as_json), as_json, "wanted"))


@client_app.command(name="end", epilog=EXIT_CODES)
def clients_end(
    client: ClientCode,
    last_day: Annotated[str, typer.Option(help="The contract's last day, YYYY-MM-DD.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """Write down the last day of a client's contract: from the day after it no access is issued (BL-11)."""
    data = {"last_day": last_day, "reason": reason}
    raise typer.Exit(_clients(lambda c, by: c.end(client, data, by), actor, _say_changed(as_json), as_json))


@client_app.command(name="show", epilog=EXIT_CODES)
def clients_show(client: ClientCode, personal: Personal = False, as_json: Json = False) -> None:
    """Show a client: its contract, addresses and authenticators, and every change; its people with --personal."""

    def say(shown: ClientShown) -> int:
        if as_json:
            _json(shown)
        else:
            _print_client(shown)
        return DONE

    raise typer.Exit(_clients(lambda c, _: c.show(client, personal=personal), None, say, as_json))


def _print_client(shown: ClientShown) -> None:
    facts, console = shown.facts, _console()
    print(f"{shown.client}  {shown.organisation}  {facts.get('name', '')}".rstrip())
    until = f" to {facts['contract_until']}" if facts["contract_until"] else ""
    days = f", from {facts['contract_from']}{until}" if facts["contract_from"] or until else ""
    print(f"contract {facts['contract'] or 'not recorded'}{days}{'; it is over (BL-11)' if shown.over else ''}")
    where = "any address, as agreed" if shown.any_address else ", ".join(facts["addresses"]) or "no address"
    print(f"login data sign in from {where} (BL-12)")
    if agreed := facts.get("any_address"):
        print(f"  agreed by {agreed['by']} on {agreed['on']}, {agreed['reference']}")
    print(f"authenticators {', '.join(facts['authenticators']) or 'none'}")
    people = [("responsible", facts.get("responsible") or {}), *((p["role"], p) for p in facts.get("requesters", ()))]
    _section(
        console,
        "People",
        ("Role", "Name", "E-mail", "Code"),
        [(role, p["name"], p["email"], p.get("code") or "–") for role, p in people if p],
    )
    _section(
        console,
        "Changes",
        ("No", "What", "When", "By", "Case"),
        [(f"{h.n}", ", ".join(h.fields), _utc(h.at), h.by, h.case or "–") for h in shown.history],
    )


@client_app.command(name="list", epilog=EXIT_CODES)
def clients_list(organisation: Annotated[str | None, typer.Option(help="BL, …")] = None, as_json: Json = False) -> None:
    """List the clients: their contracts, and how many accounts, requesters and networks each has."""
    if faults := reading.unknown(None, organisation, None):
        raise typer.BadParameter("; ".join(faults))

    def say(lines: list[ClientLine]) -> int:
        if as_json:
            _json_array(lines)
            return DONE
        table = _table("Client", "Organisation", "Contract", "From", "To", "Accounts", "Requesters", "Networks")
        for line in lines:
            until = f"{line.contract_until or '–'}{', over' if line.over else ''}"
            dates = (line.contract or "–", f"{line.contract_from or '–'}", until)
            table.add_row(
                line.client, line.organisation, *dates, f"{line.accounts}", f"{line.requesters}", line.addresses
            )
        _console().print(table)
        return DONE

    raise typer.Exit(_clients(lambda c, _: c.list(organisation), None, say, as_json))


# ---- what recurs ----------------------------------------------------------------------------------------------------


recurrence_app = typer.Typer(
    help="Recurring duties: what recurs, what was done last, what comes next, and exceptions.", no_args_is_help=True
)
app.add_typer(recurrence_app, name="recurrences", epilog=EXIT_CODES)


@recurrence_app.command(name="list", epilog=EXIT_CODES)
def recurrences_list(
    organisation: Annotated[str | None, typer.Option(help="SE, DZ, …")] = None, as_json: Json = False
) -> None:
    """List what recurs: the turns that are open, and of each duty the next one with the day on which it opens.

    Nothing is changed: what would be opened next is seen here before it is.
    """
    if faults := reading.unknown(None, organisation, None):
        raise typer.BadParameter("; ".join(faults))

    async def run() -> int:
        async with connect(engine="not needed") as connection:
            found = await recurrences.lines(connection.sessions, wall_clock(), organisation)
        if as_json:
            _json_array(found)
            return DONE
        table = _table("Duty", "About", "What", "Counted from", "Last day", "Opens", "State", "Case")
        for line in found:
            state = f"{line.state}{' (recommended)' if line.recommended else ''}"
            days = (str(day or "–") for day in (line.last_on, line.due_on, line.opens_on))
            table.add_row(line.duty, line.about or "–", line.title, *days, state, line.case or "–")
        _console().print(table)
        return DONE

    raise typer.Exit(_run(run(), as_json))


@recurrence_app.command(name="set", epilog=EXIT_CODES)
def recurrences_set(
    source: Source = "-",
    preview: Annotated[bool, typer.Option("--preview", help="Change nothing, and say what would come of it.")] = False,
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """Say of recurring duties when they were done last, that they begin or that they end; one JSON object or many.

    What must be open by it is opened at once. Good ones go in, bad ones are reported with all their faults; again is
    the same.
    """
    items = reading_json.read(_read(source))
    raise typer.Exit(_run(_recurrences_set(items, preview, actor, as_json), as_json))


async def _recurrences_set(items: Sequence[reading_json.Item], preview: bool, actor: str | None, as_json: bool) -> int:
    bad = False
    async with connect(engine="wanted") as connection:
        speaker = await _speaker(connection, actor)
        for item in _with_progress(items, "recurring duties"):
            if item.faults:
                bad = True
                _say_refused(item.faults, as_json, item)
                continue
            try:
                put = await recurrences.say(
                    connection.sessions, connection.intake, wall_clock, item.value, speaker, preview=preview
                )
            except Refusal as e:
                bad = True
                _say_refused(e.faults, as_json, item)
                continue
            if as_json:
                _json(put)
                continue
            what = "as it stood" if not put.new else "would be written down" if preview else "written down"
            due = f", due {put.due_on}, opens {put.opens_on}" if put.due_on else ", no more turns"
            print(f"{put.duty} {put.about or put.organisation}  {what}{due}")
            for case in put.opened:
                print(f"  {'would open' if preview else 'opened'} {case}")
    return REFUSED if bad else DONE


@recurrence_app.command(name="except", epilog=EXIT_CODES)
def recurrences_except(
    organisation: Annotated[str, typer.Argument(metavar="ORGANISATION", help="SE, DZ, …")],
    duty: Annotated[str, typer.Argument(metavar="DUTY", help="Such as SE-3.2.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    document: Annotated[str, typer.Option(help="The number of the document that says so.")],
    second: Annotated[str, typer.Option(help="The other operator who agrees.")],
    about: Annotated[str | None, typer.Option(help="The department, or the employee's number.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Count the turn from this instant instead, with its offset.")
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Leave the turn out.")] = False,
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """Leave a turn out, or count it from another day: the one that is open, or the next, which is opened for it."""
    if drop == (since is not None):
        raise typer.BadParameter("say either --drop or --since")
    message: dict[str, Any] = {"correction": {"reason": reason, "document": document, "second_person": second}}
    if actor is not None:
        message["actor"] = actor
    if since is not None:
        message["since"] = since
    # what the case would refuse is said before a turn is opened for it
    model = DropTurn if drop else MoveTurn
    _, faults = parse(model, {"case": "task", "actor": HERE, **message})
    if faults:
        _fail(REFUSED, faults, as_json)
    raise typer.Exit(_run(_recurrences_except(organisation, duty, about or "", message, as_json), as_json))


async def _recurrences_except(organisation: str, duty: str, about: str, message: dict[str, Any], as_json: bool) -> int:
    async with connect() as connection:
        speaker = await _speaker(connection, message.get("actor"))
        case = await recurrences.turn_for_exception(
            connection.sessions, connection.intake, wall_clock, organisation, duty, about, speaker
        )
    name = MoveTurn.update_name() if "since" in message else DropTurn.update_name()
    said = json.dumps(message, sort_keys=True)
    event_id = f"except-{hashlib.sha256(said.encode()).hexdigest()[:16]}"
    return await _event(case, name, event_id, {"actor": speaker, **message}, as_json)


# ---- breaches -------------------------------------------------------------------------------------------------------


@app.command(name="processing", epilog=EXIT_CODES)
def processing_(
    organisation: OfOrganisation,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write them into a .html file, for paper.")] = None,
    language: Annotated[
        Literal["lv", "lt", "en"] | None, typer.Option(help="The controller's own, if not said.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Records of processing (GDPR 30): purposes, categories, recipients, terms, transfers, processors, security.

    Made from what holds now: the rulebook, the gates that were decided, and the data systems of this installation.
    """
    if out is not None and out.suffix != ".html":
        raise typer.BadParameter("--out: name a .html file")
    if out is not None and as_json:
        raise typer.BadParameter("say either --json or --out")
    try:
        systems = data_systems.entries(read_settings())
    except SettingsFaults as e:
        _fail(DOWN, [str(e)], as_json)
    except data_systems.ConfigurationFaults as e:
        _fail(REFUSED, e.faults, as_json)

    async def run() -> int:
        async with connect(engine="not needed") as connection:
            made = await processing.records_of_processing(
                connection.sessions, systems, wall_clock(), organisation, language
            )
        if as_json:
            _json(made)
            return DONE
        if out is not None:
            try:
                await asyncio.to_thread(out.write_text, processing.page(made), encoding="utf-8")
            except OSError as e:
                raise typer.BadParameter(f"--out: {out}: {e.strerror}") from None
            print(f"{made.controller}  {out}")
            return DONE
        print(f"{made.controller}, {made.contact}; kept by the {made.keeper.replace('_', ' ')} ({made.row})")
        print(f"purposes: {made.purposes}\ncategories: {made.categories}\nrecipients: {made.recipients}")
        console = _console()
        _section(
            console,
            "Purposes and terms",
            ("Purpose", "Duty", "Ground", "Kept"),
            [(a.purpose, a.duty, " ".join(filter(None, (a.ground, a.law))), a.term) for a in made.activities],
        )
        for title, gates_ in (
            ("Processors", made.processors),
            ("Transfers out of the EEA", made.transfers),
            ("Impact assessments", made.assessments),
            ("Planned, not decided", made.open),
        ):
            rows = [(g.about, g.duty, str(g.decided_on or "–"), g.ground or "–", g.case or "–") for g in gates_]
            _section(console, f"{title} ({len(rows)})", ("What", "Gate", "Since", "Ground", "Case"), rows)
        _section(console, "Data systems", ("Name", "What"), [(s.name, s.title) for s in made.systems])
        _section(console, "Security", ("Duty", "What"), [(m.duty, m.title) for m in made.security])
        return DONE

    raise typer.Exit(_run(run(), as_json))


gate_app = typer.Typer(
    help="Gates: whether a processing, a processor, a transfer or an employee's access may start.", no_args_is_help=True
)
app.add_typer(gate_app, name="gates", epilog=EXIT_CODES)


@gate_app.command(name="list", epilog=EXIT_CODES)
def gates_list(
    organisation: Annotated[str | None, typer.Option(help="SE, DZ, GJ, …")] = None, as_json: Json = False
) -> None:
    """List what was asked of each gate, and how it stands: the last task about it decides."""
    if faults := reading.unknown(None, organisation, None):
        raise typer.BadParameter("; ".join(faults))

    async def run() -> int:
        async with connect(engine="not needed") as connection:
            found = await gates.gates(connection.sessions, organisation)
        if as_json:
            _json_array(found)
            return DONE
        table = _table("Duty", "Clause", "What", "About", "State", "Since", "Ground", "Case")
        for one in found:
            said = (one.state, str(one.decided_on or "–"), one.ground or "–", one.case or "–")
            table.add_row(one.duty, one.clause, one.title, one.about, *said)
        _console().print(table)
        return DONE

    raise typer.Exit(_run(run(), as_json))


@gate_app.command(name="may", epilog=EXIT_CODES)
def gates_may(
    organisation: OfOrganisation,
    duty: Annotated[str, typer.Argument(metavar="DUTY", help="The gate, such as SE-31.1.")],
    about: Annotated[str, typer.Argument(metavar="CODE", help="The code of what is planned, as in its task.")],
    as_json: Json = False,
) -> None:
    """Ask whether something may start by a gate: 0 if it may, 1 if not, with the reason.

    It may once its last task says so. What nobody has asked about may not; while a new task about it is open, nothing
    starts either.
    """

    async def run() -> int:
        async with connect(engine="not needed") as connection:
            asked = {"organisation": organisation, "duty": duty, "about": about}
            one = await gates.may_start(connection.sessions, asked)
        if as_json:
            _json(one)
        else:
            since = f" since {one.decided_on}" if one.decided_on else ""
            ground = f", {one.ground.replace('_', ' ')}" if one.ground else ""
            case = f", {one.case}" if one.case else ""
            said = f"{one.state}{since}{ground}"
            print(f"{'yes' if one.may_start else 'no'}: {said} ({one.duty}, clause {one.clause}{case})")
        return DONE if one.may_start else REFUSED

    raise typer.Exit(_run(run(), as_json))


breach_app = typer.Typer(help="Personal data breaches: the register, the authority's form, and who is to be told.")
app.add_typer(breach_app, name="breaches", epilog=EXIT_CODES)

BreachCase = Annotated[str, typer.Argument(metavar="CASE", help="The breach, such as breach:SE:2026-I07.")]


@breach_app.callback(invoke_without_command=True)
def breaches(
    context: typer.Context, organisation: Organisation = None, personal: Personal = False, as_json: Json = False
) -> None:
    """The register of breaches (GDPR 33(5)): one line each; facts, effects and corrective action with --personal."""
    if context.invoked_subcommand is None:
        _known(organisation)
        raise typer.Exit(_run(_breaches(organisation, personal, as_json), as_json))


async def _breaches(organisation: str | None, personal: bool, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        entries = await breach.register(connection.sessions, organisation, personal=personal)
    if as_json:
        _json_array(entries)
        return DONE
    if not entries:
        print("no breach was reported")
        return DONE
    table = _table("Case", "Known since", "Reports", "Risk", "Authority", "Told", "Measures", "Entry", "Stage")
    for one in entries:
        table.add_row(
            one.case,
            reading.local(one.known_at, one.organisation),
            str(one.reports),
            one.risk or "not assessed",
            f"{one.authority}{f', phase {one.phases}' if one.phases > 1 else ''}",
            f"{one.told} of {one.people}" if one.people else "–",
            reading.local(one.measures_at, one.organisation) if one.measures_at else "–",
            reading.local(one.entered_at, one.organisation) if one.entered_at else "none",
            _words(one.stage),
        )
    _console().print(table)
    for one in entries if personal else ():
        said = {"facts": one.facts, "effects": one.effects, "corrective action": one.corrective_action}
        for name, text in {**said, "reasons": one.reasons}.items():
            if text:
                print(f"{one.case}  {name}: {text}")
    return DONE


@breach_app.command(name="form", epilog=EXIT_CODES)
def breaches_form(
    case: BreachCase,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Write it into this .html file.")],
    language: Annotated[str | None, typer.Option(help="lv, lt or en; the controller's, if not said.")] = None,
    personal: Personal = False,
    as_json: Json = False,
) -> None:
    """The notification for the authority: what GDPR 33(3) asks for, what is still missing, and the phases.

    Without --personal it says only which facts are known, not what people wrote of them.
    """
    faults = [] if language in (None, "lv", "lt", "en") else ["--language: lv, lt or en"]
    if out.suffix != ".html":
        faults.append("--out: name a .html file")
    if faults:
        raise typer.BadParameter("; ".join(faults))
    raise typer.Exit(_run(_form(case, out, language, personal, as_json), as_json))


async def _form(case: str, out: Path, language: str | None, personal: bool, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        spoken: Any = language
        text = await breach.form(connection.sessions, wall_clock(), case, personal=personal, language=spoken)
    try:
        await asyncio.to_thread(out.write_text, text, encoding="utf-8")
    except OSError as e:
        raise typer.BadParameter(f"--out: {out}: {e.strerror}") from None
    print(json.dumps({"case": case, "file": str(out)}) if as_json else f"{case}  {out}")
    return DONE


@breach_app.command(name="people", epilog=EXIT_CODES)
def breaches_people(
    case: BreachCase,
    left: Annotated[bool, typer.Option("--left", help="Only those who are not told.")] = False,
    personal: Personal = False,
    as_json: Json = False,
) -> None:
    """Who is to be told of a breach, and what became of each letter; names and addresses with --personal."""
    raise typer.Exit(_run(_breach_people(case, left, personal, as_json), as_json))


async def _breach_people(case: str, left: bool, personal: bool, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        people = await breach.affected(connection.sessions, case, left=left, personal=personal)
    if as_json:
        _json_array(people)
        return DONE
    if not people:
        print("everybody is told" if left else "nobody was loaded")
        return DONE
    who = ("Name", "E-mail", "Address") if personal else ()
    table = _table("Person", "State", "Language", "Letter", "Sent", "By", "Came back", *who)
    for one in people:
        table.add_row(
            one.party,
            one.state,
            one.language,
            one.letter or "–",
            _utc(one.sent_at) if one.sent_at else "–",
            one.carrier or "–",
            _utc(one.bounced_at) if one.bounced_at else "–",
            *((one.name or "–", one.email or "–", one.address or "–") if personal else ()),
        )
    _console().print(table)
    return DONE


@breach_app.command(name="load", epilog=EXIT_CODES)
def breaches_load(
    case: BreachCase,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A .csv or .json file: name, email, address, language (lv, lt, en)."),
    ],
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """Load who is to be told of a breach: good rows go in, bad ones are reported with their number and all faults.

    The people go into the store, sealed, and into no message or history; the same file again changes nothing.
    """
    items = _rows(file, "people", reading_csv.RECIPIENT)
    raise typer.Exit(_run(_load_people(case, items, actor, as_json), as_json))


async def _load_people(case: str, items: Sequence[reading_json.Item], actor: str | None, as_json: bool) -> int:
    async with connect() as connection:
        speaker = await _speaker(connection, actor)
        breaches = breach.Breaches(connection.sessions, connection.keyring, connection.intake, wall_clock)
        loaded = await breaches.load(case, items, speaker)
    if as_json:
        _json(loaded)
        return REFUSED if loaded.bad else DONE
    if loaded.before:
        print(f"{case}  this list was loaded before")
    else:
        waits = "; the case hears of them when it can" if loaded.waiting else ""
        print(f"{case}  {loaded.people} people, {loaded.again} named again, {len(loaded.bad)} bad{waits}")
    if loaded.bad:
        table = _table("Row", "Faults")
        for bad in loaded.bad:
            table.add_row(str(bad.row or "–"), "\n".join(bad.faults))
        _console().print(table)
    return REFUSED if loaded.bad else DONE


# ---- records elsewhere ----------------------------------------------------------------------------------------------


records_app = typer.Typer(help="Records of personal data elsewhere, by their storage terms.", no_args_is_help=True)
app.add_typer(records_app, name="records", epilog=EXIT_CODES)

RecordReference = Annotated[str, typer.Argument(metavar="RECORD", help="The record's reference.")]


def _records(work: Callable[[Records, str], Coroutine[Any, Any, int]], actor: str | None, as_json: bool) -> int:
    """Do something to records as whoever speaks, and print what became of it; the exit code."""

    async def run() -> int:
        async with connect(engine="not needed") as connection:
            speaker = await _speaker(connection, actor)
            return await work(Records(connection.sessions, connection.keyring, wall_clock), speaker)

    return _run(run(), as_json)


@records_app.command(name="load", epilog=EXIT_CODES)
def records_load(source: Source = "-", actor: Speaker = None, as_json: Json = False) -> None:
    """Write records down: one JSON object, an array, or an object a line. Other facts replace those of before."""
    items = reading_json.read(_read(source))

    async def take(records: Records, by: str) -> int:
        loaded = Loaded()
        for item in _with_progress(items, "records"):
            loaded = loaded.with_row(await records.take(item, by))
        if as_json:
            _json(loaded)
            return REFUSED if loaded.bad else DONE
        print(f"{loaded.new} new, {loaded.changed} changed, {loaded.unchanged} as before, {len(loaded.bad)} bad")
        rows = [(str(bad.row or "–"), bad.record or "–", "\n".join(bad.faults)) for bad in loaded.bad]
        _section(_console(), "Bad", ("Row", "Record", "Faults"), rows)
        return REFUSED if loaded.bad else DONE

    raise typer.Exit(_records(take, actor, as_json))


@records_app.command(name="hold", epilog=EXIT_CODES)
def records_hold(source: Source = "-", actor: Speaker = None, as_json: Json = False) -> None:
    """Place a legal hold (SE-11.4): one JSON object with its reference and document, and what it keeps.

    It keeps a record, a case, or all that is about a person; the personal code is read from the file, never shown.
    """
    items = reading_json.read(_read(source))
    if len(items) != 1 or items[0].faults:
        _fail(REFUSED, items[0].faults if len(items) == 1 else ("one JSON object is needed, not many",), as_json)

    raise typer.Exit(_run(_records_hold(items[0].value, actor, as_json), as_json))


async def _records_hold(data: Any, actor: str | None, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        systems = _every_system(connection, as_json)
        by = await _speaker(connection, actor)
        put = await Records(connection.sessions, connection.keyring, wall_clock).hold(data, by)
        marked = held.Marked()
        if put.stands:
            code = data.get("person")
            marked = await held.mark(
                connection.sessions, connection.keyring, systems, put.organisation, put.hold, wall_clock(), code
            )
    return _say_hold(put, marked, as_json)


@records_app.command(name="lift", epilog=EXIT_CODES)
def records_lift(
    organisation: OfOrganisation,
    hold: Annotated[str, typer.Argument(metavar="HOLD", help="The hold's reference.")],
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """Lift a legal hold: what is over by its term goes with the next night, which cannot be taken back."""
    raise typer.Exit(_run(_records_lift(organisation, hold, actor, as_json), as_json))


async def _records_lift(organisation: str, hold: str, actor: str | None, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        systems = _every_system(connection, as_json)
        by = await _speaker(connection, actor)
        async with connection.sessions() as session:
            await may_handle(session, organisation, by, "security")
        released = await held.release(
            connection.sessions, connection.keyring, systems, organisation, hold, wall_clock()
        )
        if released.down:
            faults = tuple(
                f"{name} does not answer, and is to take the marks of the hold away" for name in released.down
            )
            _fail(DOWN, faults, as_json)
        put = await Records(connection.sessions, connection.keyring, wall_clock).lift(organisation, hold, by)
    return _say_hold(put, released, as_json)


def _say_hold(put: HoldPut, marked: held.Marked, as_json: bool) -> int:
    if as_json:
        _json(held.Said(**put.model_dump(), marks=marked))
    else:
        print(f"{put.organisation} {put.hold}  {'stands' if put.stands else 'is lifted'}")
        print(f"  {marked.records} records {'are restricted' if put.stands else 'are released'}")
        for record in marked.unmarked:
            print(f"  {record} cannot be marked as restricted: see that nobody uses it")
        for name in marked.down:
            print(f"  {name} does not answer: place the hold once more, so that it restricts what it holds too")
    return DONE if not marked.down else DOWN


@records_app.command(name="destroyed", epilog=EXIT_CODES)
def records_destroyed(
    organisation: OfOrganisation,
    record: RecordReference,
    proof: Annotated[str, typer.Option(help="Where the act of destruction is kept, such as dms/act-17.")],
    way: Annotated[str, typer.Option(help="shredded for paper; beyond_recovery for systems, backups included.")],
    at: Annotated[str, typer.Option(help="When, with offset, such as 2026-11-23T10:00+02:00.")],
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """Prove that a record was destroyed (SE-12.2, SE-12.3, DZ-14.5.2); refused while something keeps it."""
    data = {"proof": proof, "way": way, "destroyed_at": at}

    async def say(records: Records, by: str) -> int:
        proven = await records.destroyed(organisation, record, data, by)
        if as_json:
            _json(proven)
        else:
            late = ", later than its proof was due" if proven.late else ""
            print(f"{proven.organisation} {proven.record}  destroyed, by {proven.duty}{late}")
        return DONE

    raise typer.Exit(_records(say, actor, as_json))


@records_app.command(name="list", epilog=EXIT_CODES)
def records_list(
    organisation: Organisation = None,
    to_destroy: Annotated[
        bool, typer.Option("--to-destroy", help="Only those whose destruction is asked for.")
    ] = False,
    overdue: Annotated[bool, typer.Option("--overdue", help="Of those the ones that should be proven by now.")] = False,
    as_json: Json = False,
) -> None:
    """List records with their terms, and with --to-destroy what is to be shredded or deleted, and by whom."""
    _known(organisation)

    async def show(records: Records, _: str) -> int:
        found = await records.lines(organisation, to_destroy=to_destroy, overdue=overdue)
        if as_json:
            _json_array(found)
            return DONE
        table = _table("Record", "Of", "System", "Medium", "Term", "Who", "Kept until", "State", "Proof by")
        for line in found:
            by = _utc(line.proof_by) if line.proof_by is not None and line.destroyed_at is None else "–"
            state = f"{line.state}: {line.why or line.proof}" if line.why or line.proof else line.state
            until, who = str(line.last_day or "–"), line.owner.replace("_", " ") or "–"
            table.add_row(line.record, line.organisation, line.system, line.medium, line.duty, who, until, state, by)
        _console().print(table if found else "There is no such record.")
        return DONE

    raise typer.Exit(_records(show, None, as_json))


# ---- erasures -------------------------------------------------------------------------------------------------------


erasures_app = typer.Typer(
    help="What was erased because people asked, what was kept and until when, and what a restore brought back.",
    no_args_is_help=True,
)
app.add_typer(erasures_app, name="erasures", epilog=EXIT_CODES)


@erasures_app.command(name="list", epilog=EXIT_CODES)
def erasures_list(
    organisation: Organisation = None,
    case: Annotated[str | None, typer.Option(help="Only of this privacy request.")] = None,
    as_json: Json = False,
) -> None:
    """The ledger of erasures: which record of which system, and when; it names nobody."""
    _known(organisation)
    if case is not None and not _is_privacy_request(case):
        raise typer.BadParameter("--case: a privacy request, such as privacy_request:GJ:2026-3101")
    raise typer.Exit(_run(_erasures_list(organisation, case, as_json), as_json))


def _is_privacy_request(case: str) -> bool:
    """Whether this can name one; after a restore the store may not know it, and the ledger does."""
    try:
        return split_case_id(case)[0] == "privacy_request"
    except ValueError:
        return False


async def _erasures_list(organisation: str | None, case: str | None, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        ledger = erasures.Ledger(connection.keyring, connection.settings.key_backups)
        try:
            every = await ledger.erasures()
        except erasures.LedgerFaults as e:
            _fail(REFUSED, (str(e),), as_json)
    found = [one for one in every if organisation in (None, one.organisation) and case in (None, one.case)]
    if as_json:
        _json_array([one.model_copy(update={"marks": erasures.Marks()}) for one in found])
        return DONE
    table = _table("Request", "Of", "System", "Record", "Begun", "Erased", "Erased again")
    for one in found:
        done = _utc(one.done_at) if one.done_at is not None else "NOT PROVEN"
        again = _utc(one.again_at) if one.again_at is not None else "–"
        table.add_row(one.case, one.organisation, one.system, one.record, _utc(one.begun_at), done, again)
    _console().print(table if found else "Nothing was erased.")
    return DONE


@erasures_app.command(name="kept", epilog=EXIT_CODES)
def erasures_kept(organisation: Organisation = None, as_json: Json = False) -> None:
    """What erasures left on a ground, and what keeps it until when; each data system is asked."""
    _known(organisation)
    raise typer.Exit(_run(_erasures_kept(organisation, as_json), as_json))


async def _erasures_kept(organisation: str | None, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        systems = _every_system(connection, as_json)
        every = await kept.lines(connection.sessions, connection.keyring, systems, wall_clock())
    found = [one for one in every if organisation in (None, one.organisation)]
    if as_json:
        _json_array(found)
        return DONE
    table = _table("Request", "Of", "System", "Record", "Ground", "Since", "Until", "State")
    for one in found:
        state = "the next night erases it" if one.state == "erased" else f"{one.state}: {one.why}"
        if one.gone_at is not None:
            state = f"erased {_utc(one.gone_at)}"
        until = str(one.until or "–")
        table.add_row(one.case, one.organisation, one.system, one.record, one.ground, _utc(one.kept_at), until, state)
    _console().print(table if found else "Erasures left nothing.")
    return DONE


@erasures_app.command(name="end", epilog=EXIT_CODES)
def erasures_end(
    case: Case,
    record: Annotated[str, typer.Argument(help="The record that was kept, such as clinic:visits.")],
    until: Annotated[str, typer.Option(help="The last day on which it is needed, YYYY-MM-DD.")],
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """Say until when something is needed that an erasure left because a person decided so; then it goes by itself."""
    raise typer.Exit(_run(_erasures_end(case, record, _day(until, "--until"), actor, as_json), as_json))


async def _erasures_end(case: str, record: str, until: date, actor: str | None, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        said = await kept.end(connection.sessions, case, record, until, await _speaker(connection, actor))
    if as_json:
        _json(said)
    else:
        print(f"{said.case}  {said.record}  is kept until {said.until}")
    return DONE


@erasures_app.command(name="replay", epilog=EXIT_CODES)
def erasures_replay(
    since: Annotated[str, typer.Option(help="When the dump was made, such as 2026-11-23T02:00+02:00.")],
    system: Annotated[
        list[str] | None, typer.Option("--system", help="Only this system, such as termins or clinic; again for more.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it: it cannot be undone.")] = False,
    as_json: Json = False,
) -> None:
    """After a restore: find what had been erased since the dump was made, and erase it again.

    Without --yes it only says what came back. 1 where something is left to be done.
    """
    at = _instant(since, "--since")
    if at > wall_clock():
        raise typer.BadParameter("--since: lies in the future; no dump was made then")
    raise typer.Exit(_run(_erasures_replay(at, tuple(system or ()), yes, as_json), as_json))


async def _erasures_replay(since: datetime, only: tuple[str, ...], yes: bool, as_json: bool) -> int:
    async with connect(engine="not needed") as connection:
        every = _every_system(connection, as_json)
        if unknown := sorted(set(only) - {one.name for one in every}):
            known = ", ".join(one.name for one in every)
            _fail(REFUSED, tuple(f"--system: there is no {name}; known: {known}" for name in unknown), as_json)
        ledger = erasures.Ledger(connection.keyring, connection.settings.key_backups)
        with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as shown:
            tasks = {one.name: shown.add_task(one.name, total=None) for one in every}

            def progress(name: str, compared: int) -> None:
                shown.update(tasks[name], completed=compared, description=f"{name}: {compared} people compared")

            try:
                done = await erasures.replay(
                    every,
                    ledger,
                    since,
                    wall_clock(),
                    do=yes,
                    only=only,
                    progress=progress,
                    sessions=connection.sessions,
                )
            except erasures.LedgerFaults as e:
                _fail(REFUSED, (str(e),), as_json)
    if as_json:
        _json(done)
        return DONE if done.clean else REFUSED
    print(f"{done.erasures} records were erased since {_utc(done.since)}")
    for name, compared in done.looked_at.items():
        print(f"  {name}: {compared} identities compared")
    rows = [(one.case, one.system, one.record, one.result.replace("_", " "), one.why) for one in done.back]
    _section(_console(), "Came back", ("Request", "System", "Record", "Became", "Why"), rows)
    for name in done.down:
        print(f"{name} does not answer, or cannot say whom it knows: run it again")
    print("nothing is left to do" if done.clean else "something is left" if yes else "--yes erases again what is found")
    return DONE if done.clean else REFUSED


def _every_system(connection: Connection, as_json: bool) -> tuple[DataSystem, ...]:
    """The own store, and the data systems that the installation names."""
    try:
        return OwnStore(connection.sessions, connection.keyring), *data_systems.systems(connection.settings)
    except data_systems.ConfigurationFaults as e:
        _fail(DOWN, e.faults, as_json)


# ---- consents -------------------------------------------------------------------------------------------------------


consents_app = typer.Typer(
    help="Consents: given, taken back, expired; and whether somebody may be contacted.", no_args_is_help=True
)
app.add_typer(consents_app, name="consents", epilog=EXIT_CODES)


def _consents(work: Callable[[Consents, str], Coroutine[Any, Any, int]], actor: str | None, as_json: bool) -> int:
    """Do something with consents as whoever speaks, and print what became of it; the exit code."""

    async def run() -> int:
        async with connect(engine="not needed") as connection:
            speaker = await _speaker(connection, actor)
            return await work(Consents(connection.sessions, connection.keyring, wall_clock), speaker)

    return _run(run(), as_json)


async def _take_consents(items: Sequence[reading_json.Item], consents: Consents, by: str, as_json: bool) -> int:
    loaded = LoadedConsents()
    for item in _with_progress(items, "consents"):
        loaded = loaded.with_row(await consents.take(item, by))
    if as_json:
        _json(loaded)
        return REFUSED if loaded.bad else DONE
    print(f"{loaded.new} new, {loaded.proved} proved now, {loaded.unchanged} there before, {len(loaded.bad)} bad")
    rows = [(str(bad.row or "–"), bad.consent or "–", "\n".join(bad.faults)) for bad in loaded.bad]
    _section(_console(), "Bad", ("Row", "Consent", "Faults"), rows)
    return REFUSED if loaded.bad else DONE


@consents_app.command(name="give", epilog=EXIT_CODES)
def consents_give(source: Source = "-", actor: Speaker = None, as_json: Json = False) -> None:
    """Write down that somebody consented: one JSON object, an array, or an object a line. Again changes nothing."""
    items = reading_json.read(_read(source))
    raise typer.Exit(_consents(lambda c, by: _take_consents(items, c, by, as_json), actor, as_json))


@consents_app.command(name="load", epilog=EXIT_CODES)
def consents_load(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .json or .csv file; docs/consents.md has the columns.")
    ],
    actor: Speaker = None,
    as_json: Json = False,
) -> None:
    """Load consents: good rows go in, bad ones are reported with their number and all faults; again is the same."""
    items = _rows(file, "consents", reading_csv.CONSENT)
    raise typer.Exit(_consents(lambda c, by: _take_consents(items, c, by, as_json), actor, as_json))


@consents_app.command(name="withdraw", epilog=EXIT_CODES)
def consents_withdraw(source: Source = "-", actor: Speaker = None, as_json: Json = False) -> None:
    """Take consents back, at once: one JSON object with a reference, or with a person; nobody is asked who it is."""
    items = reading_json.read(_read(source))
    if len(items) != 1 or items[0].faults:
        _fail(REFUSED, items[0].faults if len(items) == 1 else ("one JSON object is needed, not many",), as_json)

    async def withdraw(consents: Consents, by: str) -> int:
        stopped = await consents.withdraw(items[0].value, by)
        if as_json:
            _json(stopped)
            return DONE
        print(f"{stopped.organisation}  stopped {_utc(stopped.stopped_at)}{', which is LATE' if stopped.late else ''}")
        for consent in stopped.consents:
            print(f"  consent {consent} is withdrawn")
        for record in stopped.records:
            print(f"  record {record} is over: the next night asks for its destruction")
        if not stopped.anything:
            print("  nothing stood any more")
        return DONE

    raise typer.Exit(_consents(withdraw, actor, as_json))


@consents_app.command(name="may", epilog=EXIT_CODES)
def consents_may(source: Source = "-", as_json: Json = False) -> None:
    """Ask whether people may be contacted for a purpose by a channel: one JSON object, an array, or an object a line.

    Each answer gives its reason. 1 where one of them may not, or a question is faulty.
    """
    items = reading_json.read(_read(source))

    async def ask_each(consents: Consents, _: str) -> int:
        answers: list[dict[str, Any]] = []
        for item in _with_progress(items, "questions"):
            faults = item.faults
            if not faults:
                try:
                    answers.append((await consents.may(item.value)).model_dump(mode="json"))
                    continue
                except Refusal as e:
                    faults = e.faults
            answers.append({"may": False, "faults": list(faults)})
        if as_json:
            print(json.dumps(answers, ensure_ascii=False))
        else:
            for number, answer in enumerate(answers, 1):
                print(f"{number}  {_said_of(answer)}")
        return DONE if all(answer["may"] for answer in answers) else REFUSED

    raise typer.Exit(_consents(ask_each, None, as_json))


def _said_of(answer: Mapping[str, Any]) -> str:
    """An answer in a line."""
    if "faults" in answer:
        return f"no: {'; '.join(answer['faults'])}"
    consent = f", {answer['consent']}" if answer["consent"] else ""
    since = f" since {answer['since']}" if answer["since"] else ""
    until = f", until {answer['until']}" if answer["until"] else ""
    yes = "yes" if answer["may"] else "no"
    return f"{yes}: {answer['reason'].replace('_', ' ')}{since}{until} ({answer['clause']}{consent})"


@consents_app.command(name="show", epilog=EXIT_CODES)
def consents_show(
    organisation: OfOrganisation,
    consent: Annotated[str, typer.Argument(metavar="CONSENT", help="The consent's reference.")],
    personal: Personal = False,
    as_json: Json = False,
) -> None:
    """Show a consent: to what, by which text, with which proof, and everything that was said of it since."""

    async def show(consents: Consents, _: str) -> int:
        shown = await consents.show(organisation, consent, personal=personal)
        if as_json:
            _json(shown)
            return DONE
        line = shown.line
        print(f"{line.organisation} {line.consent}  {line.purpose}{f', {line.about}' if line.about else ''}")
        print(f"state {_consent_state(line)}")
        print(
            f"channels {', '.join(line.channels) or '–'}; proof {line.proof or 'none: without it there is no consent'}"
        )
        print(f"text {shown.text_version}, SHA-256 {shown.text_sha256}")
        informed = _utc(shown.informed_at) if shown.informed_at else "–"
        print(f"information {shown.notice_version}, given {informed}")
        if shown.person is not None:
            print("; ".join(f"{name} {value}" for name, value in shown.person.items()))
        rows = [
            (
                str(one.n),
                one.what,
                _utc(one.at),
                f"{_utc(one.recorded_at)}{', LATE' if one.late else ''}",
                one.said_by,
                one.by or "–",
                ", ".join(one.channels) or "–",
                one.source or one.proof or "–",
                f"{one.clause or '–'}{f', to stop by {_utc(one.due)}' if one.due else ''}",
            )
            for one in shown.history
        ]
        columns = ("No", "What", "When", "Recorded", "By", "Way", "Channels", "Source", "Clause")
        _section(_console(), "History", columns, rows)
        return DONE

    raise typer.Exit(_consents(show, None, as_json))


def _consent_state(line: ConsentLine) -> str:
    since = f" since {_utc(line.since)}" if line.since else ""
    until = f", until {_utc(line.until)}" if line.until and line.state == "given" else ""
    return f"{line.state.replace('_', ' ')}{since}{until}"


@consents_app.command(name="list", epilog=EXIT_CODES)
def consents_list(
    organisation: Organisation = None,
    purpose: Annotated[str | None, typer.Option(help="For this purpose only, such as marketing.")] = None,
    as_json: Json = False,
) -> None:
    """List the consents as they stand now, without people."""
    _known(organisation)

    async def show(consents: Consents, _: str) -> int:
        found = await consents.lines(organisation, purpose)
        if as_json:
            _json_array(found)
            return DONE
        table = _table("Consent", "Of", "Purpose", "Channels", "Given", "State", "Proof")
        for line in found:
            channels = ", ".join(line.channels) or "–"
            state = _consent_state(line)
            table.add_row(
                line.consent, line.organisation, line.purpose, channels, _utc(line.given_at), state, line.proof or "–"
            )
        _console().print(table if found else "There is no consent.")
        return DONE

    raise typer.Exit(_consents(show, None, as_json))


# ---- input, output, failures ----------------------------------------------------------------------------------------


def _run(work: Coroutine[Any, Any, int], as_json: bool) -> int:
    """The exit code of a command; a failure is one clear text, never a stack of calls."""
    try:
        return asyncio.run(work)
    except Refusal as e:
        _fail(REFUSED, e.faults, as_json)
    except UnicodeError:
        _fail(USAGE, ["an argument is no UTF-8 text"], as_json)
    except reading.NotFound as e:
        _fail(NOT_FOUND, [str(e)], as_json)
    except (NotAnswering, SettingsFaults, duties.RulebookError) as e:
        _fail(DOWN, [str(e)], as_json)


def _fail(code: int, faults: Sequence[str], as_json: bool) -> NoReturn:
    faults = [_repeated(fault) for fault in faults]
    if as_json:
        print(json.dumps({"faults": list(faults)}, ensure_ascii=False))
    for fault in faults:
        _note(fault)
    raise typer.Exit(code)


def _repeated(text: str) -> str:
    """What repeats a word of the command line, where that could be anything: no personal code, no control, no end."""
    text = _COMMANDS.sub("\N{REPLACEMENT CHARACTER}", text).replace("\x1b", "\N{REPLACEMENT CHARACTER}")
    text = PERSONAL_CODE.sub("(a personal code)", text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _read(source: str) -> bytes:
    if source == "-":
        if sys.stdin.isatty():
            raise typer.BadParameter("name a file, or pipe JSON into this command")
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as e:
        raise typer.BadParameter(f"{source}: {e.strerror}") from None


def _instant_or_day(text: str) -> datetime | date:
    with contextlib.suppress(typer.BadParameter):
        return _day(text, "")
    try:
        return _instant(text, "")
    except typer.BadParameter as e:
        raise ValueError(str(e)) from None


@contextlib.contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for work that says how much of how much is done."""
    console = _console(error=True)
    # where nobody watches, an ended bar would leave an empty line in a log
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        # of nothing all is done: a bar of 0 would stand still
        yield lambda done, total: bar.update(task, completed=done, total=max(total, 1))


def _with_progress(items: Sequence[reading_json.Item], what: str) -> Iterable[reading_json.Item]:
    """The items, with a bar where many are filed and somebody watches."""
    console = _console(error=True)
    if len(items) == 1 or not console.is_terminal:
        yield from items
        return
    with Progress(console=console, transient=True) as bar:
        yield from bar.track(items, description=what)


def _words(name: str) -> str:
    """A name of the record for people."""
    return name.replace("_", " ")


def _console(*, error: bool = False) -> Console:
    stream = sys.stderr if error else sys.stdout
    # ids such as claim:BTA:1 and texts in brackets are no markup
    return Console(file=stream, markup=False, emoji=False, highlight=False, width=None if stream.isatty() else WIDE)


def _table(*columns: str) -> Table:
    table = Listing(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0, overflow="fold")
    return table


def _section(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if rows:
        table = _table(*columns)
        for row in rows:
            table.add_row(*row)
        console.print(f"\n{title}", style="bold")
        console.print(table)


def _json(model: Model) -> None:
    print(model.model_dump_json())


def _json_array(models: Sequence[Model]) -> None:
    print(json.dumps([m.model_dump(mode="json") for m in models], ensure_ascii=False))


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


class Screen(io.TextIOWrapper):
    """Standard output where somebody watches: what others wrote changes neither the screen nor the order of a line."""

    def write(self, text: str) -> int:
        """Write the text, with a mark for each character that would command the terminal; colours stay."""
        return super().write(_COMMANDS.sub("\N{REPLACEMENT CHARACTER}", text))


_COMMANDS = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""All control characters but tab and line feed, and those that turn the direction of writing."""


def main() -> None:
    """The command line, in a process of its own."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")
    if sys.stdout.isatty():
        sys.stdout = Screen(sys.stdout.buffer, encoding="utf-8", line_buffering=True)
    configure()
    app()


if __name__ == "__main__":
    program.run(main)
