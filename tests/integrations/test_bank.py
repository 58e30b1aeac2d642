"""The bank: a payment order becomes one valid file, whatever is retried, and shows the bank what it may see."""

import asyncio
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from integrations.bank import (
    BankFolder,
    BankUnavailable,
    OrderRefused,
    PaymentOrder,
    end_to_end_id,
    iban_fault,
    pain_001,
    sepa_text,
)

AT = datetime(2026, 12, 21, 8, 30, 15, 123_456, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def order(**changes: object) -> PaymentOrder:
    facts: dict[str, object] = {
        "id": "claim:BTA:2026-000123/claimant-1/indemnity/1",
        "debtor_name": "BTA Insurance Company SE",
        "debtor_iban": "LV80 BANK 0000 4351 9500 1",
        "creditor_name": "Žanete Ķirse-Šūpulniece",
        "creditor_iban": "LT12 1000 0111 0100 1000",
        "amount": Decimal("1234.50"),
        "remittance": "Apdrošināšanas atlīdzība, lieta 2026-000123",
        "requested_on": date(2026, 12, 21),
    }
    return PaymentOrder.model_validate(facts | changes)


def parsed(content: bytes) -> ET.Element:
    return ET.fromstring(content)  # noqa: S314 - our own file


def text(content: bytes, path: str) -> str | None:
    return parsed(content).findtext(f".//{{*}}{path}")


def put_down(folder: Path) -> dict[str, bytes]:
    """What waits in the folder for the bank: content by name."""
    return {file.stem: file.read_bytes() for file in folder.glob("*.xml")}


def test_an_order_becomes_a_pain_001_001_09_that_says_what_was_ordered() -> None:
    content = pain_001(order(debtor_bic="HABALV22"), AT)
    assert parsed(content).tag == "{urn:iso:std:iso:20022:tech:xsd:pain.001.001.09}Document"
    expected = {
        "CreDtTm": "2026-12-21T08:30:15Z",
        "PmtInf/{*}ReqdExctnDt/{*}Dt": "2026-12-21",
        "DbtrAcct/{*}Id/{*}IBAN": "LV80BANK0000435195001",
        "DbtrAgt/{*}FinInstnId/{*}BICFI": "HABALV22",
        "CdtrAcct/{*}Id/{*}IBAN": "LT121000011101001000",
        "InstdAmt": "1234.50",
        "SvcLvl/{*}Cd": "SEPA",
        "Cdtr/{*}Nm": "Zanete Kirse-Supulniece",
        "Ustrd": "Apdrosinasanas atlidziba, lieta 2026-000123",
        "EndToEndId": end_to_end_id(order().id),
    }
    assert {path: text(content, path) for path in expected} == expected


def test_the_same_order_gives_the_same_bytes() -> None:
    assert pain_001(order(), AT) == pain_001(order(), AT)


def test_the_identifiers_come_from_the_order_and_fit_the_scheme() -> None:
    """Same order later: same identifiers; another order: others. At most 35 characters of the restricted set."""
    paths = ("MsgId", "PmtInfId", "EndToEndId")
    first, later, other = (
        [text(pain_001(what, at), path) for path in paths]
        for what, at in ((order(), AT), (order(), AT + timedelta(days=1)), (order(id="claim:x"), AT))
    )
    assert first == later
    assert not set(first) & set(other)
    assert all(identifier and re.fullmatch(r"[A-Z0-9]{1,35}", identifier) for identifier in first)


def test_without_a_bic_the_debtors_bank_is_marked_as_not_provided() -> None:
    assert text(pain_001(order(), AT), "DbtrAgt/{*}FinInstnId/{*}Othr/{*}Id") == "NOTPROVIDED"


def test_a_long_name_is_cut_to_what_the_scheme_carries() -> None:
    assert text(pain_001(order(creditor_name="Ž" * 80), AT), "Cdtr/{*}Nm") == "Z" * 70


def test_latvian_and_lithuanian_letters_reach_every_bank() -> None:
    assert sepa_text("āčēģīķļņšūž ĀČĒĢĪĶĻŅŠŪŽ") == "acegiklnsuz ACEGIKLNSUZ"
    assert sepa_text("ąčęėįšųūž ĄČĘĖĮŠŲŪŽ") == "aceeisuuz ACEEISUUZ"
    assert sepa_text('SIA "Kļava & dēls"\n[filiāle]') == "SIA 'Klava + dels' (filiale)"


@settings(max_examples=200)
@given(st.text())
def test_whatever_is_written_only_sepa_characters_leave(written: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9/?:().,'+ -]*", sepa_text(written))


@pytest.mark.parametrize(
    ("iban", "fault"),
    [
        ("LV80BANK0000435195001", None),
        ("lt12 1000 0111 0100 1000", None),
        ("LV80BANK0000435195002", "wrong check digits"),
        ("LV80BANK000043519500", "not the length of an IBAN of its country"),
        ("XX80BANK0000435195001", "no country that has IBANs"),
        ("", "characters or groups that an IBAN of its country cannot have"),
        ("BR1800360305000010009795493C1", "not in a country of the SEPA scheme"),
    ],
)
def test_an_iban_fault_says_what_is_wrong(iban: str, fault: str | None) -> None:
    assert iban_fault(iban) == fault


@pytest.mark.parametrize(
    "changes",
    [
        {"creditor_iban": "LV80BANK0000435195002"},
        {"debtor_bic": "NOBIC"},
        {"amount": Decimal(0)},
        {"amount": Decimal(-1)},
        {"amount": Decimal("1.005")},
        {"creditor_name": "!!!"},
        {"remittance": ""},
        {"remittance": "ß" * 71},
    ],
)
def test_an_order_that_no_bank_could_execute_is_refused_without_showing_it(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refusal:
        order(**changes)
    assert refusal.value.errors()[0]["loc"] == tuple(changes)
    assert "LV80" not in str(refusal.value)


def test_an_order_shows_nobody_in_a_log() -> None:
    assert not any(word in repr(order()) for word in ("Žanete", "LT12", "LV80", "Apdrošināšanas"))


async def test_the_same_order_twice_is_one_file_with_the_first_instant(tmp_path: Path) -> None:
    bank = BankFolder(tmp_path)
    first = await bank.submit(order(), AT)
    assert first.reference == end_to_end_id(order().id)
    assert first.submitted_at == AT
    expected = {first.reference: pain_001(order(), AT)}
    assert put_down(tmp_path) == expected
    assert await bank.submit(order(), AT + timedelta(hours=1)) == first
    assert put_down(tmp_path) == expected


async def test_an_order_the_bank_has_fetched_is_never_put_down_again(tmp_path: Path) -> None:
    first = await BankFolder(tmp_path).submit(order(), AT)
    (tmp_path / f"{first.reference}.xml").unlink()
    assert await BankFolder(tmp_path).submit(order(), AT + timedelta(hours=1)) == first
    assert put_down(tmp_path) == {}


async def test_one_id_never_pays_two_amounts_or_payees(tmp_path: Path) -> None:
    bank = BankFolder(tmp_path)
    await bank.submit(order(), AT)
    for changes in ({"amount": Decimal("1234.51")}, {"creditor_iban": "LV80BANK0000435195001"}):
        with pytest.raises(OrderRefused):
            await bank.submit(order(**changes), AT)


async def test_two_submissions_at_once_leave_one_file(tmp_path: Path) -> None:
    proofs = await asyncio.gather(*(BankFolder(tmp_path).submit(order(), AT + timedelta(seconds=n)) for n in range(4)))
    assert len({proof.submitted_at for proof in proofs}) == 1
    assert len(put_down(tmp_path)) == 1


CRASH = """
import asyncio, os, pathlib, sys
from datetime import datetime
from integrations.bank import BankFolder, PaymentOrder
renames = int(sys.argv[2])
rename = pathlib.Path.rename
def crash(self, target):
    global renames
    if not renames:
        os._exit(9)
    renames -= 1
    return rename(self, target)
pathlib.Path.rename = crash
order = PaymentOrder.model_validate_json(sys.argv[3])
asyncio.run(BankFolder(pathlib.Path(sys.argv[1])).submit(order, datetime.fromisoformat(sys.argv[4])))
"""


def crash(folder: Path, renames: int) -> None:
    """Submit the order in a process that dies in place of its rename number `renames`."""
    arguments = [str(folder), str(renames), order().model_dump_json(), AT.isoformat()]
    assert subprocess.run([sys.executable, "-c", CRASH, *arguments], cwd=ROOT, check=False).returncode == 9


@pytest.mark.parametrize("renames", [0, 1, 2])
async def test_a_crash_before_any_rename_loses_and_doubles_nothing(tmp_path: Path, renames: int) -> None:
    crash(tmp_path, renames)
    assert put_down(tmp_path) == {}
    later = AT + timedelta(minutes=1)
    proof = await BankFolder(tmp_path).submit(order(), later)
    # Once the order was remembered, its first instant stands, and file and proof agree.
    assert proof.submitted_at == (AT if renames == 2 else later)
    assert put_down(tmp_path) == {proof.reference: pain_001(order(), proof.submitted_at)}


async def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "bank").write_text("a file where the folder should be")
    with pytest.raises(BankUnavailable):
        await BankFolder(tmp_path / "bank").submit(order(), AT)
