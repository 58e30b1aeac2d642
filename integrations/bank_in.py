"""What the bank answers: files of ISO 20022 (pain.002, camt.054) that its channel puts down, and what they say.

pain.002 says that an order was rejected; that it was taken says nothing about money. camt.054 says what was booked: a
debit executes a payment, on the day of its booking, and a credit that returns or reverses it takes that back.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal, Protocol
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from pydantic import Field

from integrations.bank import BankUnavailable
from integrations.disk import sync_folder, write_through
from models.common import Model

STATUS = ("pain.002.001.03", "pain.002.001.10")
BOOKED = ("camt.054.001.08",)
_NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:"

LARGEST = 20_000_000
"""Bytes of a file; a larger one is for people."""

UNSAID = "MS03"
"""The reason code for a rejection whose bank names none of ISO's (reason not specified, by the agent)."""

OWN = re.compile(r"E[0-9A-F]{32}")
"""An EndToEndId as `integrations.bank` makes them: what has another form is no payment of ours."""

_REASON = re.compile(r"[A-Z]{2}[0-9]{2}")


class NotUnderstood(ValueError):
    """The file is none that the bank's channel should give; the text shows nothing of what it holds."""


class Answer(Model):
    """What a file says about one payment."""

    reference: str
    """Its EndToEndId."""
    result: Literal["executed", "rejected"]
    day: date
    """Of the booking; of a rejected order the day on which the bank said so."""
    amount: Decimal | None = None
    """EUR; None where the file does not say it."""
    reason: str | None = None
    """ISO's code of a rejection or return."""
    bank_reference: str


class AnswerFile(Model):
    """A file as it was understood."""

    message: str
    """The MsgId that the bank gave it."""
    answers: tuple[Answer, ...]
    """In the order of the file; what it says of others' payments, and what is only noted, is left out."""
    others: int
    """Payments in it that are not ours."""


class Arrived(Model):
    """A file in the folder."""

    name: str
    content: bytes | None = Field(repr=False)
    """None if it is larger than `LARGEST`."""
    known: bool
    """The same bytes were read before."""


class Folder(Model):
    """What a look found: new files by name, and how many are left for people."""

    arrived: tuple[Arrived, ...]
    aside: int


class BankIn(Protocol):
    """A channel by which the bank answers."""

    async def look(self) -> Folder:
        """The new files. Raises `BankUnavailable`."""
        ...

    async def settle(self, name: str, reasons: Sequence[str]) -> None:
        """Put a file away: what was told to the cases, or, with the reasons beside it, what is left for people.

        Raises `BankUnavailable`.
        """
        ...


# ---- what a file says -----------------------------------------------------------------------------------------------


def read_answers(content: bytes) -> AnswerFile:
    """What a file says about payments of ours. Raises `NotUnderstood`."""
    try:
        document = fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise NotUnderstood("not an XML file, or one with a document type") from None
    namespace, _, name = document.tag.rpartition("}")
    schema = namespace.removeprefix("{").removeprefix(_NAMESPACE)
    if name != "Document" or schema not in (*STATUS, *BOOKED):
        raise NotUnderstood(f"none of {', '.join((*STATUS, *BOOKED))}")
    own = {"": f"{_NAMESPACE}{schema}"}
    root = document.find("CstmrPmtStsRpt" if schema in STATUS else "BkToCstmrDbtCdtNtfctn", own)
    if root is None:
        raise NotUnderstood("no report in it")
    message = _needed(root, "GrpHdr/MsgId", own)
    try:
        found = list(_statuses(root, message, own) if schema in STATUS else _booked(root, message, own))
    except NotUnderstood:
        raise
    except (ValueError, InvalidOperation):
        raise NotUnderstood("a date or an amount that is none, or one of another currency than EUR") from None
    ours = tuple(answer for answer in found if OWN.fullmatch(answer.reference))
    return AnswerFile(message=message, answers=ours, others=len(found) - len(ours))


def _statuses(root: Element, message: str, own: dict[str, str]) -> Iterator[Answer]:
    """Rejections: of a transaction, else of all that stands above it. One order is one file, so that is one payment."""
    day = _day(_needed(root, "GrpHdr/CreDtTm", own))

    def rejected(of: Element, status: str, reference: str, transaction: Element | None = None) -> Iterator[Answer]:
        if of.findtext(status, namespaces=own) not in ("RJCT", "CANC"):
            return
        amount = transaction.find("OrgnlTxRef/Amt/InstdAmt", own) if transaction is not None else None
        yield Answer(
            reference=reference,
            result="rejected",
            day=day,
            amount=_amount(amount) if amount is not None else None,
            reason=_reason(of, "StsRsnInf/Rsn/Cd", own),
            bank_reference=message,
        )

    group = root.find("OrgnlGrpInfAndSts", own)
    payments = root.findall("OrgnlPmtInfAndSts", own)
    if group is not None and not payments:
        yield from rejected(group, "GrpSts", _of_order(_needed(group, "OrgnlMsgId", own)))
    for payment in payments:
        transactions = payment.findall("TxInfAndSts", own)
        if not transactions:
            yield from rejected(payment, "PmtInfSts", _of_order(_needed(payment, "OrgnlPmtInfId", own)))
        for transaction in transactions:
            reference = _needed(transaction, "OrgnlEndToEndId", own)
            yield from rejected(transaction, "TxSts", reference, transaction)


def _of_order(reference: str) -> str:
    """The EndToEndId of the order whose message or payment information has this id: they differ in the first letter."""
    return "E" + reference[1:] if reference[:1] in ("M", "P") else reference


def _booked(root: Element, message: str, own: dict[str, str]) -> Iterator[Answer]:
    for entry in root.iterfind("Ntfctn/Ntry", own):
        status = entry.findtext("Sts/Cd", namespaces=own)
        if status != "BOOK":
            # announced or pending: what counts is the booking
            continue
        booked = _needed(entry, "BookgDt/Dt", own, "BookgDt/DtTm")
        transactions = entry.findall("NtryDtls/TxDtls", own)
        for transaction in transactions:
            reference = transaction.findtext("Refs/EndToEndId", default="", namespaces=own)
            side = transaction.findtext("CdtDbtInd", namespaces=own) or _needed(entry, "CdtDbtInd", own)
            back = entry.findtext("RvslInd", namespaces=own) == "true" or transaction.find("RtrInf", own) is not None
            if side not in ("DBIT", "CRDT") or back != (side == "CRDT"):
                # money that came in, which is nobody's payment of ours
                continue
            amount = transaction.find("Amt", own)
            if amount is None and len(transactions) == 1:
                amount = entry.find("Amt", own)
            if amount is None:
                raise NotUnderstood("a payment without an amount")
            yield Answer(
                reference=reference,
                result="rejected" if back else "executed",
                day=_day(booked),
                # what others do in their currencies is theirs
                amount=_amount(amount) if OWN.fullmatch(reference) else None,
                reason=_reason(transaction, "RtrInf/Rsn/Cd", own) if back else None,
                bank_reference=transaction.findtext("Refs/AcctSvcrRef", namespaces=own)
                or entry.findtext("AcctSvcrRef", namespaces=own)
                or message,
            )


def _needed(of: Element, path: str, own: dict[str, str], otherwise: str | None = None) -> str:
    text = of.findtext(path, namespaces=own) or (of.findtext(otherwise, namespaces=own) if otherwise else None)
    if not text or not text.strip():
        raise NotUnderstood(f"no {path}")
    return text.strip()


def _day(text: str) -> date:
    """The day as the bank writes it: its own, whatever the offset."""
    return datetime.fromisoformat(text).date()


def _amount(element: Element) -> Decimal:
    amount = Decimal(element.text or "")
    if element.get("Ccy") != "EUR" or not amount.is_finite() or amount <= 0:
        raise NotUnderstood("an amount that is none, or one of another currency than EUR")
    return amount


def _reason(of: Element, path: str, own: dict[str, str]) -> str:
    said = of.findtext(path, default="", namespaces=own)
    return said if _REASON.fullmatch(said) else UNSAID


# ---- where they come in ---------------------------------------------------------------------------------------------


class AnswersFolder:
    """Files in a folder: what was told goes to `done`, what is left for people to `aside`, with its reasons beside it.

    The channel gives a file its name when it is whole; until then the name begins with a full stop or ends with `.tmp`
    or `.part`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def look(self) -> Folder:
        """See `BankIn`."""
        return await asyncio.to_thread(self._look)

    def _look(self) -> Folder:
        with _usable():
            arrived = [self._arrived(path) for path in sorted(_files(self._folder))]
            aside = [path for path in _files(self._folder / "aside") if path.suffix != ".reasons"]
            return Folder(arrived=tuple(arrived), aside=len(aside))

    def _arrived(self, path: Path) -> Arrived:
        content = path.read_bytes() if path.stat().st_size <= LARGEST else None
        known = content is not None and any(_files(self._folder / "done", f"*.{_digest(content)}"))
        return Arrived(name=path.name, content=content, known=known)

    async def settle(self, name: str, reasons: Sequence[str]) -> None:
        """See `BankIn`."""
        await asyncio.to_thread(self._settle, name, reasons)

    def _settle(self, name: str, reasons: Sequence[str]) -> None:
        with _usable():
            source = self._folder / name
            target = self._folder / ("aside" if reasons else "done")
            target.mkdir(exist_ok=True)
            # by its content: a later file of the same name is another one
            put = target / f"{name}.{_digest(source.read_bytes())}"
            if reasons:
                # first, so that no file lies there without them
                write_through(put.with_name(f"{put.name}.reasons"), "".join(f"{r}\n" for r in reasons).encode())
            source.rename(put)
            sync_folder(target)
            sync_folder(self._folder)


def _files(folder: Path, pattern: str = "*") -> Iterator[Path]:
    for path in folder.glob(pattern):
        if path.is_file() and not path.name.startswith(".") and path.suffix not in (".tmp", ".part"):
            yield path


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


@contextmanager
def _usable() -> Iterator[None]:
    try:
        yield
    except OSError as failure:
        raise BankUnavailable(f"the bank's folder cannot be used: {os.strerror(failure.errno or 0)}") from None
