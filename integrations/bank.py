"""The bank: one payment order as one ISO 20022 file (pain.001.001.09), submitted once and only once.

All identifiers of the file come from the order's id, so that a repeat is recognisable to the bank as the same order.
"""

import asyncio
import fcntl
import hashlib
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Protocol

import sepaxml
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field
from schwifty import BIC, IBAN
from schwifty.exceptions import (
    InvalidChecksumDigits,
    InvalidCountryCode,
    InvalidLength,
    InvalidStructure,
    SchwiftyException,
)
from text_unidecode import unidecode  # type: ignore[import-untyped]  # published without types

from integrations.disk import sync_folder, write_through
from models.common import Model

SCHEMA = "pain.001.001.09"
NAMESPACE = f"urn:iso:std:iso:20022:tech:xsd:{SCHEMA}"
NAME_LENGTH = 70
REMITTANCE_LENGTH = 140

# What every SEPA bank must take (EPC217-08), and a look-alike for other ASCII characters, else a full stop.
_SEPA_CHARACTER = re.compile(r"[A-Za-z0-9/?:().,'+ -]")
_SEPA_INSTEAD = dict(zip('&;[{]}\\|_~`"', "+,(())//--''", strict=True))

_FAULTS = {
    InvalidLength: "not the length of an IBAN of its country",
    InvalidStructure: "characters or groups that an IBAN of its country cannot have",
    InvalidChecksumDigits: "wrong check digits",
    InvalidCountryCode: "no country that has IBANs",
}


class BankUnavailable(Exception):
    """The order could not be handed over now: try again."""


class OrderRefused(ValueError):
    """The order makes no valid file, or its id has paid something else; the text shows nothing of the order."""


def iban_fault(iban: str) -> str | None:
    """What is wrong with an IBAN as a destination of a SEPA payment, in words that do not repeat it, or None."""
    try:
        checked = IBAN(iban)
    except SchwiftyException as fault:
        return _FAULTS.get(type(fault), "not an IBAN")
    return None if checked.in_sepa_zone else "not in a country of the SEPA scheme"


def sepa_text(text: str) -> str:
    """Text in the characters every SEPA bank takes: Latvian and Lithuanian letters lose their marks (`Š` is `S`)."""
    plain = "".join(
        character if _SEPA_CHARACTER.fullmatch(character) else _SEPA_INSTEAD.get(character, ".")
        for character in unidecode(" ".join(text.split()))
    )
    return " ".join(plain.split())


def _iban(value: object) -> object:
    if not isinstance(value, str):
        return value
    if fault := iban_fault(value):
        raise ValueError(fault)
    return IBAN(value).compact


def _bic(value: str) -> str:
    try:
        return BIC(value).compact
    except SchwiftyException:
        raise ValueError("not a BIC") from None


def _name(value: str) -> str:
    if not re.search("[A-Za-z0-9]", sepa_text(value)):
        raise ValueError("a name that a bank can read is needed")
    return value


def _remittance(value: str) -> str:
    if not 1 <= len(sepa_text(value)) <= REMITTANCE_LENGTH:
        raise ValueError(f"1 to {REMITTANCE_LENGTH} characters are needed, in the spelling the bank gets")
    return value


Iban = Annotated[str, BeforeValidator(_iban)]
PartyName = Annotated[str, AfterValidator(_name)]


class PaymentOrder(Model):
    """One SEPA credit transfer. `id` is the business act (claim, claimant, purpose): the same id is the same payment.

    `amount` in EUR with at most two decimals. Names longer than 70 characters are cut in the file, as the scheme asks.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    id: str = Field(min_length=1)
    debtor_name: PartyName
    debtor_iban: Iban = Field(repr=False)
    debtor_bic: Annotated[str, AfterValidator(_bic)] | None = None
    creditor_name: PartyName = Field(repr=False)
    creditor_iban: Iban = Field(repr=False)
    amount: Decimal = Field(gt=0, le=Decimal("999999999.99"), decimal_places=2)
    remittance: Annotated[str, AfterValidator(_remittance)] = Field(repr=False)
    requested_on: date


class BankProof(Model):
    """That the bank's channel has the order: its EndToEndId, which the bank's answers carry, and the instant (UTC)."""

    reference: str
    submitted_at: AwareDatetime


class Bank(Protocol):
    """A channel to the bank."""

    async def submit(self, order: PaymentOrder, at: datetime) -> BankProof:
        """Hand the order over once; a repeat answers with the first proof. `at` is now, with a zone.

        Raises `BankUnavailable` (try again) or `OrderRefused`.
        """
        ...


def _reference(kind: str, order_id: str) -> str:
    """33 characters of the restricted set, different for different ids."""
    return kind + hashlib.sha256(order_id.encode()).hexdigest()[:32].upper()


def _digest(order: PaymentOrder) -> str:
    return hashlib.sha256(f"{order.creditor_iban} {order.amount:.2f}".encode()).hexdigest()


def end_to_end_id(order_id: str) -> str:
    """The EndToEndId of an order: what a confirmation or rejection from the bank is matched by."""
    return _reference("E", order_id)


def pain_001(order: PaymentOrder, at: datetime) -> bytes:
    """The order as a file, checked against the XSD of pain.001.001.09.

    Equal order and equal `at` (with a zone; whole seconds count) give equal bytes. Raises `OrderRefused`.
    """
    if at.tzinfo is None:
        raise ValueError("the instant of creation needs a zone")
    debtor = {
        "name": sepa_text(order.debtor_name)[:NAME_LENGTH].strip(),
        "IBAN": order.debtor_iban,
        "batch": False,
        "currency": "EUR",
    }
    if order.debtor_bic is not None:
        debtor["BIC"] = order.debtor_bic
    transfer = sepaxml.SepaTransfer(debtor, schema=SCHEMA, clean=False)
    transfer.add_payment(
        {
            "name": sepa_text(order.creditor_name)[:NAME_LENGTH].strip(),
            "IBAN": order.creditor_iban,
            "amount": int(order.amount * 100),
            "execution_date": order.requested_on,
            "description": sepa_text(order.remittance),
            "endtoend_id": end_to_end_id(order.id),
        }
    )
    document = ET.fromstring(transfer.export(validate=False))  # noqa: S314 - our own output, made one line above
    # The library takes these from its own clock and random numbers; ours must be the same in each repeat.
    _element(document, "MsgId").text = _reference("M", order.id)
    _element(document, "PmtInfId").text = _reference("P", order.id)
    _element(document, "CreDtTm").text = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if order.debtor_bic is None:
        # The library leaves the debtor's bank empty; the scheme's guidelines ask for this word where there is no BIC.
        other = ET.SubElement(_element(document, "DbtrAgt/{*}FinInstnId"), f"{{{NAMESPACE}}}Othr")
        ET.SubElement(other, f"{{{NAMESPACE}}}Id").text = "NOTPROVIDED"
    content: bytes = ET.tostring(document, encoding="UTF-8", xml_declaration=True)
    with _one_check_at_a_time:  # what a schema remembers between two documents is not said to be safe for threads
        if not _schema().is_valid(content.decode()):
            raise OrderRefused(f"the order gives no valid {SCHEMA}")
    return content


_one_check_at_a_time = threading.Lock()


@cache
def _schema() -> Any:
    """The scheme's XSD; to read it takes hundreds of times as long as to check an order by it."""
    import xmlschema  # noqa: PLC0415  # a third of a second that only those who write an order have to wait

    return xmlschema.XMLSchema(str(Path(sepaxml.__file__).parent / "schemas" / f"{SCHEMA}.xsd"))


def _element(document: ET.Element, path: str) -> ET.Element:
    found = document.find(f".//{{*}}{path}")
    if found is None:
        raise OrderRefused(f"the file has no {path}")
    return found


class BankFolder:
    """Orders as `<EndToEndId>.xml` in a folder from which the bank's own channel fetches them.

    The channel may move or delete what it fetched, and a repeat afterwards must not pay twice. So `.orders` remembers
    each order by its EndToEndId, instant and a digest of payee and amount: `<id>.pending` is a file not yet handed
    over, `<id>` alone an order handed over. One rename turns the first into the second: a crash leaves no third state.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._memory = folder / ".orders"

    async def submit(self, order: PaymentOrder, at: datetime) -> BankProof:
        """See `Bank`. The file is on disk when this returns."""
        return await asyncio.to_thread(self._submit, order, at)

    def _submit(self, order: PaymentOrder, at: datetime) -> BankProof:
        reference = end_to_end_id(order.id)
        content = pain_001(order, at)
        try:
            self._memory.mkdir(parents=True, exist_ok=True)
            with self._alone():
                submitted_at = self._place(reference, content, at.astimezone(UTC), _digest(order))
        except OSError as failure:
            raise BankUnavailable(f"the bank's folder cannot be written: {failure.strerror}") from None
        return BankProof(reference=reference, submitted_at=submitted_at)

    def _place(self, reference: str, content: bytes, at: datetime, digest: str) -> datetime:
        remembered = self._memory / reference
        pending = self._memory / f"{reference}.pending"
        if remembered.exists():
            instant, known = remembered.read_text().split()
            if known != digest:
                raise OrderRefused("an order with this id, but another payee or amount, was submitted before")
            at = datetime.fromisoformat(instant)
            if not pending.exists():
                return at
        else:
            # Pending first: remembered without it would mean handed over.
            self._write(pending, content)
            self._write(remembered, f"{at.isoformat()} {digest}".encode())
        pending.rename(self._folder / f"{reference}.xml")
        for folder in (self._folder, self._memory):
            sync_folder(folder)
        return at

    def _write(self, target: Path, content: bytes) -> None:
        draft = target.with_name(f"{target.name}.draft")
        write_through(draft, content)
        draft.rename(target)
        sync_folder(target.parent)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One submission at a time, also between processes; the lock ends with its process."""
        with (self._memory / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
