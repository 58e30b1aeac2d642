"""Rulebooks: they hold exactly the duties of the register, their faults are named, a new organisation is a new file."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from rules.period import Period, Roll, Unit
from rules.rulebook import BOOKS, Duty, Kind, Rulebook, RulebookError, book, books, duty_for, parse

COPY: list[dict[str, Any]] = json.loads(Path(__file__).with_name("register_ids.json").read_text(encoding="utf-8"))
REGISTER = Path(__file__).parents[3] / "shared/domain/register.md"
ORGANISATIONS = ("BL", "BTA", "DZ", "GJ", "SE")
WITHIN = {
    "h": Unit.hours,
    "d": Unit.calendar_days,
    "wd": Unit.working_days,
    "mo": Unit.months,
    "y": Unit.years,
}
ADOPTED_BY_BTA = {
    "GJ-sanctions",
    "GJ-sanctions-term",
    "GJ-automated",
    "GJ-claims-review",
    "GJ-claims",
    "GJ-recovery",
    "GJ-debts",
    "GJ-renewal",
    "GJ-renewal-objection",
    "GJ-renewal-content",
}
GDPR_BREACH = {"DZ-17.2": "GDPR 33", "DZ-17.3": "GDPR 34", "DZ-17.4": "GDPR 33(5)"}

TINY = """
organisation = "XX"
name = "Kāda biedrība"
document = "Statutes"
zone = "Europe/Riga"
calendar = "LV"
version = "2026-01-01"
language = "lv"

[[duty]]
id = "XX-1"
clause = "1"
kind = "deadline"
title = { lv = "Atbildēt", lt = "Atsakyti", en = "Answer" }
anchor = "letter_received"
amount = 5
unit = "working_days"
owner = "manager"
escalation = "manager"
evidence = "answer_sent"

[[duty]]
id = "XX-2"
clause = "2"
kind = "rule"
title = { lv = "Atbildēt laipni", lt = "Atsakyti maloniai", en = "Answer kindly" }
owner = "manager"
"""


def own_rows() -> list[Duty]:
    """Every row of a document, each in the rulebook of its own organisation; adopted and product rows left out."""
    return [d for o in ORGANISATIONS for d in book(o).duty if d.adopted_from is None and not d.product]


def all_rows() -> list[tuple[str, Duty]]:
    """Every row of every rulebook, with the organisation whose book holds it."""
    return [(o, d) for o, b in books().items() for d in b.duty]


def named(pairs: list[tuple[str, Duty]]) -> list[str]:
    return [f"{o}: {d.id}" for o, d in pairs]


def read_register(text: str) -> list[dict[str, Any]]:
    """The rows of the register's six-column tables, one entry an id, in order."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        ids = [i.strip() for i in cells[0].split(",")]
        if len(cells) != 6 or not all(re.fullmatch(r"[A-Z]{2,3}-[0-9A-Za-z.-]+", i) for i in ids):
            continue
        for i in ids:
            same_as = None if i == ids[0] else ids[0]
            found.append(
                {"id": i, "organisation": i.split("-")[0], "same_as": same_as, "kind": cells[3], "within": cells[4]}
            )
    return found


# --- The register and the rulebooks ---------------------------------------------------------------------------------


@pytest.mark.skipif(not REGISTER.exists(), reason="the register lies beside the project only where it is developed")
def test_copy_of_the_register_is_current() -> None:
    assert read_register(REGISTER.read_text(encoding="utf-8")) == COPY


def test_every_id_of_the_register_is_once_in_its_own_organisations_book() -> None:
    ids = [d.id for d in own_rows()]
    assert sorted(ids) == sorted(row["id"] for row in COPY)
    assert [d.id for o in ORGANISATIONS for d in book(o).duty if d.adopted_from is None and d.product] == []


@pytest.mark.parametrize("row", COPY, ids=lambda row: row["id"])
def test_duty_is_the_registers(row: dict[str, Any]) -> None:
    """Kind, clock-sharing and period of a duty are those of its row in the register."""
    duty = book(row["organisation"]).find(row["id"])
    assert duty.adopted_from is None
    assert duty.kind == row["kind"]
    assert duty.same_as == row["same_as"]
    if duty.same_as is not None and duty.period is None:
        return  # the clock is the first id's
    match row["within"].split():
        case [amount, "y", "min"]:
            assert (duty.amount, duty.unit, duty.minimum) == (int(amount), Unit.years, True)
        case [_, "y", "by", "line"]:
            assert (duty.amount, duty.amount_from) == (None, "controller_by_line")
        case [amount, unit]:
            if unit in WITHIN:
                assert (duty.amount, duty.unit, duty.minimum) == (int(amount), WITHIN[unit], False)
            else:
                assert row["within"] == "calendar year"
                assert duty.unit is Unit.calendar_year
        case ["statutory"]:
            assert duty.amount is not None or duty.amount_from == "statute"
        case other:
            assert other == ["-"]


def test_the_clock_that_several_clauses_share_is_in_the_first_one() -> None:
    for organisation, duty in all_rows():
        if duty.same_as is not None:
            assert book(organisation).find(duty.same_as).same_as is None, duty.id
            assert not duty.has_clock


def test_only_a_deadline_in_months_under_the_regulation_is_rolled() -> None:
    """Months of the GDPR roll to a working day (Regulation 1182/71 art. 3(4)); SE-29.3, SE's own, does not."""
    wrong = [
        (o, d)
        for o, d in all_rows()
        if d.period is not None
        and (d.roll is Roll.next_working_day)
        != (d.kind is Kind.deadline and d.unit is Unit.months and d.id != "SE-29.3")
    ]
    assert named(wrong) == []


# --- Adopted rows and the product's own ------------------------------------------------------------------------------


def test_adopted_row_names_an_own_row_of_another_organisation_and_works_like_it() -> None:
    """One mechanism serves both: kind, anchor and, for a clock, evidence are those of the row that is adopted."""
    originals = {d.id: d for d in own_rows()}
    for organisation, duty in all_rows():
        if duty.adopted_from is not None:
            assert duty.id == duty.adopted_from
            assert not duty.id.startswith(organisation + "-"), f"{organisation} adopts its own {duty.id}"
            assert duty.id in originals, f"{organisation} adopts {duty.id}, which nobody has"
            original = originals[duty.id]
            assert (duty.kind, duty.anchor) == (original.kind, original.anchor), f"{organisation}: {duty.id}"
            assert duty.evidence == original.evidence or not duty.has_clock, f"{organisation}: {duty.id}"


def test_insurer_adopts_the_rows_that_the_register_says() -> None:
    assert {d.id for d in book("BTA").duty if d.adopted_from} == ADOPTED_BY_BTA | set(GDPR_BREACH)


@pytest.mark.parametrize("organisation", [o for o in ORGANISATIONS if o != "DZ"])
@pytest.mark.parametrize(("duty", "clause"), GDPR_BREACH.items())
def test_breach_duties_of_the_regulation_hold_for_every_controller(organisation: str, duty: str, clause: str) -> None:
    adopted = book(organisation).find(duty)
    assert (adopted.adopted_from, adopted.clause) == (duty, clause)
    assert adopted.period == book("DZ").find(duty).period or adopted.kind is Kind.immediate


def test_products_own_terms_are_found_from_every_organisation_and_are_marked() -> None:
    terms = book("T")
    assert [d.id for d in terms.duty] == [
        "T-rest",
        "T-supplementary",
        "T-reserve-review",
        "T-suspension-review",
        "T-effect-day",
        "T-instalment-order",
        "T-instalment",
        "T-instalment-review",
        "T-person-system",
    ]
    assert all(d.product for d in terms.duty)
    for organisation in ORGANISATIONS:
        assert duty_for(organisation, "T-rest") == terms.find("T-rest")
    assert terms.find("T-rest").period == Period(amount=7, unit=Unit.calendar_days)


# --- What every duty says --------------------------------------------------------------------------------------------


def test_deadline_has_reminders_an_escalation_and_evidence() -> None:
    silent = [
        (o, d)
        for o, d in all_rows()
        if d.kind is Kind.deadline and d.has_clock and not (d.reminders and d.escalation and d.evidence)
    ]
    assert named(silent) == []


def test_immediate_duty_says_from_when_it_escalates_and_from_when_it_is_late() -> None:
    """Else "now" could never be late."""
    vague = [
        (o, d)
        for o, d in all_rows()
        if d.kind is Kind.immediate and d.has_clock and (d.period is None or d.latest is None)
    ]
    assert named(vague) == []


def test_titles_differ_between_the_languages() -> None:
    same = [
        (o, d)
        for o, d in all_rows()
        if any(a.casefold() == b.casefold() for a, b in combinations((d.title.lv, d.title.lt, d.title.en), 2))
    ]
    assert named(same) == []


def test_titles_of_one_book_name_one_duty_each() -> None:
    """An operator's list is ambiguous if two duties have one title; clauses with one clock may share theirs."""
    for organisation, rulebook in books().items():
        titles = [d.title.en for d in rulebook.duty if d.same_as is None]
        assert sorted({t for t in titles if titles.count(t) > 1}) == [], organisation


def test_events_and_roles_are_written_in_snake_case() -> None:
    for organisation, duty in all_rows():
        for word in (duty.anchor, duty.evidence, duty.owner, duty.escalation, *duty.reopens):
            assert word is None or re.fullmatch(r"[a-z][a-z0-9_]*", word), f"{organisation}: {duty.id}: {word}"


def test_duty_of_the_client_is_never_the_organisations_lateness() -> None:
    assert not any(d.can_be_late for d in own_rows() if d.kind is Kind.client)
    assert not duty_for("BTA", "BTA-7.1.5").can_be_late
    assert duty_for("BTA", "BTA-7.1.5").has_clock


def test_claim_clocks_have_the_values_that_the_claim_relies_on() -> None:
    """BTA 10.5: thirty days without a roll to decide; 10 and 15 working days from it to tell and to pay."""
    decide, tell, pay, award = (duty_for("BTA", f"BTA-10.5{letter}") for letter in "abcd")
    assert decide.period == Period(amount=30, unit=Unit.calendar_days, roll=Roll.none)
    assert tell.period == award.period == Period(amount=10, unit=Unit.working_days)
    assert pay.period == Period(amount=15, unit=Unit.working_days)
    assert [d.anchor for d in (decide, tell, pay, award)] == [
        "documents_complete",
        "decision",
        "decision",
        "ruling_in_force",
    ]
    assert decide.hold is not None
    assert decide.hold.mode == "restart"
    assert (tell.reopens, pay.reopens) == (("bounce",), ("payment_rejected",))


def test_unknown_organisation_or_duty_is_an_error() -> None:
    with pytest.raises(KeyError, match="no rulebook for QQ"):
        book("QQ")
    with pytest.raises(KeyError, match="BTA has no duty BTA-99"):
        duty_for("BTA", "BTA-99")


# --- Faults ----------------------------------------------------------------------------------------------------------


def faults_of(text: str) -> str:
    with pytest.raises(RulebookError) as caught:
        parse(text, "xx.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('owner = "manager"\nescalation', "escalation", ("XX-1", "owner")),
        ('evidence = "answer_sent"', "", ("XX-1", "evidence")),
        ('escalation = "manager"', "", ("XX-1", "escalation")),
        ('anchor = "letter_received"', "", ("XX-1", "anchor")),
        ('amount = 5\nunit = "working_days"', "", ("XX-1", "amount")),
        ("amount = 5\n", "", ("XX-1", "amount and unit")),
        ("amount = 5", "amount = -5", ("XX-1", "amount")),
        ('unit = "working_days"', 'unit = "fortnights"', ("XX-1", "unit")),
        ('unit = "working_days"', 'unit = "working_days"\nroll = "next_working_day"', ("XX-1", "roll")),
        ('kind = "deadline"', 'kind = "dedline"', ("XX-1", "kind")),
        ('lt = "Atsakyti", ', "", ("XX-1", "title.lt")),
        ('lv = "Atbildēt", ', 'lv = "", ', ("XX-1", "title.lv")),
        ("amount = 5", 'amount = 5\nreminders = ["three days"]', ("XX-1", "reminders.0")),
        ("amount = 5", 'amount = 5\nkept_by = ["magic:Claim"]', ("XX-1", "kept_by.0")),
        ("amount = 5", 'amount = 5\nhold = { mode = "pause", clause = "1", ground = "x" }', ("XX-1", "hold.mode")),
        ("amount = 5", "amount = 5\nminimum = true", ("XX-1", "minimum")),
        ("amount = 5", 'amount = 5\nesclation = "manager"', ("XX-1", "esclation")),
        ("amount = 5", 'amount = 5\nsame_as = "XX-9"', ("XX-1", "same_as")),
        ('kind = "rule"', 'kind = "rule"\namount = 3\nunit = "hours"', ("XX-2", "amount")),
        ('id = "XX-2"', 'id = "XX-1"', ("XX-1", "id")),
        ('id = "XX-2"', 'id = "XX 2"', ("XX 2", "id")),
        ('id = "XX-2"\n', "", ("duty number 2", "id")),
        ('id = "XX-2"', 'id = "BL-2"', ("BL-2", "adopted_from")),
        ('id = "XX-2"', 'id = "BL-2"\nadopted_from = "BL-3"', ("BL-2", "adopted_from")),
        ('language = "lv"', 'language = "latvian"', ("language",)),
        ('zone = "Europe/Riga"', 'zone = "Europe/Rigga"', ("zone", "Europe/Rigga")),
        ('zone = "Europe/Riga"\n', "", ("zone",)),
        ("[[duty]]", "[[duty", ("not TOML",)),
    ],
)
def test_fault_is_named_with_file_duty_and_field(old: str, new: str, named: tuple[str, ...]) -> None:
    assert old in TINY
    text = faults_of(TINY.replace(old, new, 1))
    assert text.startswith("xx.toml:")
    assert all(word in text for word in named), text


def test_all_faults_are_named_at_once() -> None:
    """Who writes a rulebook sees two faults of one duty, and faults of two duties, in one answer."""
    text = faults_of(
        TINY.replace('evidence = "answer_sent"', "")
        .replace('escalation = "manager"', "")
        .replace('kind = "rule"', 'kind = "rool"')
    )
    first, second = text.splitlines()
    assert "XX-1" in first
    assert "evidence" in first
    assert "escalation" in first
    assert "XX-2" in second
    assert "kind" in second


# --- Files -----------------------------------------------------------------------------------------------------------


def test_new_organisation_is_a_new_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "bta.toml").write_text((BOOKS / "bta.toml").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "xx.toml").write_text(TINY, encoding="utf-8")
    found = books(tmp_path)
    assert sorted(found) == ["BTA", "XX"]
    assert isinstance(found["XX"], Rulebook)
    assert found["XX"].find("XX-1").period == Period(amount=5, unit=Unit.working_days)
    assert found["XX"].find("XX-1").title.lv == "Atbildēt"


def test_folder_names_the_faults_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "aa.toml").write_text(TINY.replace("amount = 5\n", ""), encoding="utf-8")
    (tmp_path / "bb.toml").write_text("duty = 1", encoding="utf-8")
    (tmp_path / "cc.toml").write_bytes(TINY.encode("cp1257"))
    with pytest.raises(RulebookError) as caught:
        books(tmp_path)
    text = str(caught.value)
    assert "aa.toml: XX-1:" in text
    assert "bb.toml: organisation:" in text
    assert "bb.toml: duty:" in text
    assert "cc.toml: not UTF-8" in text


def test_two_files_for_one_organisation_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(TINY, encoding="utf-8")
    (tmp_path / "two.toml").write_text(TINY, encoding="utf-8")
    with pytest.raises(RulebookError, match=r"two\.toml: organisation: XX has another file already"):
        books(tmp_path)
