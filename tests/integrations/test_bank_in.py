"""What the bank answers: who was paid on which day, what came back, and no file that says it in another way."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations import bank_in
from integrations.bank import BankUnavailable, end_to_end_id
from integrations.bank_in import Answer, AnswersFolder, NotUnderstood, read_answers
from tests.answers import camt_054, entry, pain_002, transaction

OURS, SECOND = end_to_end_id("claim:BTA:1#C1:indemnity"), end_to_end_id("claim:BTA:2#C1:indemnity")


def only(content: bytes) -> Answer:
    """The one answer of a file."""
    (answer,) = read_answers(content).answers
    return answer


# ---- what a file says -----------------------------------------------------------------------------------------------


def test_a_booked_debit_executes_the_payment_on_its_booking_day() -> None:
    found = read_answers(camt_054(entry(OURS, "1000.00", booked=date(2027, 3, 22)), entry(SECOND, "0.01")))
    assert found.message == "BANK-2"
    first, second = found.answers
    assert first == Answer(
        reference=OURS,
        result="executed",
        day=date(2027, 3, 22),
        amount=Decimal("1000.00"),
        bank_reference="BK-7781",
    )
    assert (second.reference, second.amount) == (SECOND, Decimal("0.01"))


def test_the_day_is_the_banks_own_also_where_it_gives_an_instant() -> None:
    text = camt_054(entry(OURS)).replace(
        b"<BookgDt><Dt>2027-03-01</Dt>", b"<BookgDt><DtTm>2027-03-22T00:30:00+02:00</DtTm>"
    )
    assert only(text).day == date(2027, 3, 22)


@pytest.mark.parametrize("status", ["PDNG", "INFO", "FUTR"])
def test_what_is_not_booked_pays_nothing(status: str) -> None:
    assert read_answers(camt_054(entry(OURS, status=status))).answers == ()


def test_a_credit_that_returns_a_payment_takes_it_back_with_the_banks_reason() -> None:
    found = only(camt_054(entry(OURS, side="CRDT", returned="AC04")))
    assert (found.result, found.reason) == ("rejected", "AC04")


def test_a_reversal_without_a_reason_takes_it_back_as_unsaid() -> None:
    found = only(camt_054(entry(OURS, side="CRDT", reversal=True)))
    assert (found.result, found.reason) == ("rejected", "MS03")


def test_money_that_comes_in_and_payments_of_others_are_not_ours() -> None:
    found = read_answers(camt_054(entry(OURS, side="CRDT"), entry("NOTPROVIDED"), entry("RENT-11", currency="USD")))
    assert (found.answers, found.others) == ((), 2)


@pytest.mark.parametrize("schema", ["pain.002.001.03", "pain.002.001.10"])
@pytest.mark.parametrize("status", ["RJCT", "CANC"])
def test_a_rejected_transaction_is_one_on_the_day_of_the_report(schema: str, status: str) -> None:
    found = only(pain_002(transaction(OURS, status, amount="1000.00"), schema=schema))
    assert (found.result, found.reason, found.day, found.amount) == (
        "rejected",
        "AC04",
        date(2027, 3, 2),
        Decimal("1000.00"),
    )


@pytest.mark.parametrize("status", ["ACTC", "ACCP", "ACSP", "ACSC", "ACCC", "ACWC", "PDNG"])
def test_an_order_that_was_taken_is_not_paid_yet(status: str) -> None:
    """Whatever a bank promises, a payment is executed when it is booked."""
    assert read_answers(pain_002(transaction(OURS, status, ""))).answers == ()


def test_a_rejection_of_the_whole_file_is_that_of_its_one_payment() -> None:
    group = f"<OrgnlGrpInfAndSts><OrgnlMsgId>M{OURS[1:]}</OrgnlMsgId><GrpSts>RJCT</GrpSts></OrgnlGrpInfAndSts>"
    assert only(pain_002(group=group)).reference == OURS
    payment = f"<OrgnlPmtInfAndSts><OrgnlPmtInfId>P{OURS[1:]}</OrgnlPmtInfId><PmtInfSts>RJCT</PmtInfSts>"
    text = pain_002("x").decode()
    text = text.replace("<OrgnlPmtInfAndSts><OrgnlPmtInfId>P1</OrgnlPmtInfId>x", payment)
    assert only(text.encode()).reference == OURS


@pytest.mark.parametrize("reason", ["<Prtry>closed</Prtry>", "<Cd>NARR</Cd>", ""])
def test_a_reason_that_is_no_code_is_said_to_be_unsaid(reason: str) -> None:
    assert only(pain_002(transaction(OURS, reason=reason))).reason == "MS03"


BOMB = b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaa">]><Document>&a;</Document>'


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not an XML file"),
        (b"%PDF-1.7", "not an XML file"),
        (BOMB, "document type"),
        (camt_054(entry(OURS))[:-40], "not an XML file"),
        (b'<?xml version="1.0" encoding="klingon"?><Document/>', "not an XML file"),
        (b"<Document/>", "none of pain.002"),
        (camt_054(entry(OURS)).replace(b"camt.054.001.08", b"camt.053.001.08"), "none of pain.002"),
        (camt_054(entry(OURS)).replace(b"BkToCstmrDbtCdtNtfctn", b"BkToCstmrStmt"), "no report"),
        (camt_054(entry(OURS), message=" "), "no GrpHdr/MsgId"),
        (camt_054(entry(OURS)).replace(b"<Dt>2027-03-01</Dt>", b"<Dt>2027-02-30</Dt>"), "a date"),
        (camt_054(entry(OURS)).replace(b"<Dt>2027-03-01</Dt>", b""), "no BookgDt"),
        (camt_054(entry(OURS, "-5.00")), "an amount"),
        (camt_054(entry(OURS, "NaN")), "an amount"),
        (camt_054(entry(OURS, "much")), "an amount"),
        (camt_054(entry(OURS, currency="SEK")), "another currency"),
    ],
)
def test_a_file_that_is_not_understood_says_why_and_shows_nothing(content: bytes, says: str) -> None:
    with pytest.raises(NotUnderstood, match=says) as fault:
        read_answers(content)
    assert OURS not in str(fault.value)


@given(st.binary(max_size=60), st.integers(0, 2500))
def test_no_file_however_broken_is_anything_but_understood_or_not(junk: bytes, at: int) -> None:
    text = camt_054(entry(OURS))
    try:
        read_answers(text[:at] + junk + text[at + len(junk) :])
    except NotUnderstood:
        return


# ---- where they come in ---------------------------------------------------------------------------------------------


async def test_a_file_lies_there_until_it_is_put_away(tmp_path: Path) -> None:
    folder = AnswersFolder(tmp_path)
    assert (await folder.look()).arrived == ()
    for name in (".hidden", "half.tmp", "half.part"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "b.xml").write_bytes(b"two")
    (tmp_path / "a.xml").write_bytes(b"one")
    found = await folder.look()
    assert [(f.name, f.content, f.known) for f in found.arrived] == [("a.xml", b"one", False), ("b.xml", b"two", False)]
    await folder.settle("a.xml", [])
    await folder.settle("b.xml", ["first reason", "second reason"])
    found = await folder.look()
    assert (found.arrived, found.aside) == ((), 1)
    (reasons,) = (tmp_path / "aside").glob("b.xml.*.reasons")
    assert reasons.read_text() == "first reason\nsecond reason\n"
    assert reasons.with_suffix("").read_bytes() == b"two"


async def test_the_same_file_again_is_known_and_another_of_the_same_name_is_not(tmp_path: Path) -> None:
    folder = AnswersFolder(tmp_path)
    for content, known in ((b"one", False), (b"one", True), (b"two", False)):
        (tmp_path / "a.xml").write_bytes(content)
        (found,) = (await folder.look()).arrived
        assert found.known == known
        await folder.settle("a.xml", [])
    assert len(list((tmp_path / "done").iterdir())) == 2


async def test_a_file_too_large_is_shown_without_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_in, "LARGEST", 2)
    (tmp_path / "a.xml").write_bytes(b"one")
    assert (await AnswersFolder(tmp_path).look()).arrived[0].content is None


async def test_a_folder_that_cannot_be_used_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(b"one")
    (tmp_path / "done").write_text("a file where the folder should be")
    with pytest.raises(BankUnavailable):
        await AnswersFolder(tmp_path).settle("a.xml", [])
    assert (await AnswersFolder(tmp_path).look()).arrived[0].name == "a.xml"
