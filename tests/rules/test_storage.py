"""Storage terms counted: every row of the register's part E, at its last second and the first after it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from models.storage import Purpose
from rules.rulebook import BOOKS, Kind, Rulebook, RulebookError, book, books, parse
from rules.storage import Term, case_term, keeping, longest, own_purpose, proof_by, purposes, term, until_over

VILNIUS, RIGA = ZoneInfo("Europe/Vilnius"), ZoneInfo("Europe/Riga")
SECOND = timedelta(seconds=1)
DAY = date(2026, 11, 23)


def text_of(organisation: str) -> str:
    """The organisation's rulebook as it is written."""
    return (BOOKS / f"{organisation.lower()}.toml").read_text(encoding="utf-8")


def with_lines(organisation: str, duty: str, lines: str) -> Rulebook:
    """The same after the controller gave values by line of business for a term."""
    text = text_of(organisation)
    start = text.index(f'"{duty}" = {{ purpose')
    end = text.index(" }\n", start)
    return parse(f"{text[:end]}, lines = {{ {lines} }}{text[end:]}", f"{organisation.lower()}.toml")


def of(organisation: str, duty: str, since: datetime | date | None, **more: object) -> Term:
    """A term of an organisation's rulebook."""
    rulebook = book(organisation)
    return term(rulebook, duty, purposes(rulebook)[duty], since, **more)  # type: ignore[arg-type]  # of this test


SET = '\ncases.{} = {{ amount = 2, unit = "years", document = "dms/terms-1" }}'
"""A value of the controller's own, beneath a line of `[values.keeping]`."""

ROWS = [
    ("SE", "SE-11.2.1", DAY, date(2076, 11, 23)),
    ("SE", "SE-11.2.2", DAY, DAY),
    ("SE", "SE-11.2.3", date(2028, 2, 29), date(2043, 2, 28)),
    ("SE", "SE-11.2.4", date(2028, 2, 29), date(2030, 2, 28)),
    ("SE", "SE-11.2.4", date(2026, 2, 28), date(2028, 2, 28)),
    ("SE", "SE-11.2.5", date(2026, 10, 31), date(2027, 2, 28)),
    ("SE", "SE-11.2.5", date(2027, 10, 31), date(2028, 2, 29)),
    ("SE", "SE-11.2.6", DAY, date(2027, 11, 23)),
    ("SE", "SE-11.2.7", DAY, date(2036, 11, 23)),
    ("DZ", "DZ-14.5.2", DAY, DAY),
    ("DZ", "DZ-14.5.3", DAY, DAY),
    ("GJ", "GJ-quotes", date(2028, 2, 29), date(2030, 2, 28)),
    ("GJ", "GJ-recovery", DAY, date(2036, 11, 23)),
    ("GJ", "GJ-calls", DAY, date(2036, 11, 23)),
    ("GJ", "GJ-sanctions-term", DAY, DAY),
    ("GJ", "GJ-enquiries", DAY, DAY),
    ("GJ", "GJ-purchase", date(2027, 3, 26), date(2027, 4, 2)),
    ("GJ", "GJ-marketing-term", DAY, date(2028, 11, 23)),
    ("GJ", "GJ-survey", date(2026, 12, 15), date(2027, 1, 14)),
    ("BTA", "GJ-recovery", DAY, date(2036, 11, 23)),
    ("BTA", "GJ-sanctions-term", DAY, DAY),
]


@pytest.mark.parametrize(("organisation", "duty", "since", "last_day"), ROWS)
def test_a_term_ends_with_its_last_local_day(organisation: str, duty: str, since: date, last_day: date) -> None:
    """Month ends, 29 February, days off that move nothing, and 26 March 2027, after which the clock changes."""
    found = of(organisation, duty, since)
    zone = ZoneInfo(book(organisation).zone)
    assert (found.last_day, found.fault) == (last_day, None)
    assert found.due == datetime.combine(last_day + timedelta(days=1), datetime.min.time(), zone)
    assert found.derivation
    # the hour of the start event does not matter, only its local day
    assert of(organisation, duty, datetime.combine(since, datetime.max.time(), zone)).last_day == last_day


def test_every_row_of_part_e_has_its_purpose_and_is_counted_or_is_an_error() -> None:
    """No storage term is without a purpose, in any book; where the value is the controller's there is a fault."""
    rows = {(o, d) for o, b in books().items() for d in purposes(b)}
    duties = {(o, d.id) for o, b in books().items() for d in b.duty if d.kind is Kind.retention}
    assert duties - rows == {("SE", "SE-11.4")}
    tried = {(o, d) for o, d, *_ in ROWS}
    by_line = {("GJ", "GJ-contracts"), ("GJ", "GJ-claims"), ("BTA", "GJ-claims")}
    logs = {(o, d) for o in ("SE", "BL") for d in ("SE-33.3.10", "SE-33.4.1")}
    assert rows - tried - by_line - logs == {("BL", "BL-16-erase")}, "that one is its own case's"
    for organisation, duty in sorted(by_line):
        found = of(organisation, duty, DAY, line="motor")
        assert found.due is None
        assert found.fault is not None
        assert "controller by line" in found.fault


def test_with_the_controllers_value_a_line_has_its_term_and_the_others_stay_an_error() -> None:
    """GJ-contracts: motor ten years, liability thirty."""
    lines = 'motor = { amount = 10, unit = "years" }, liability = { amount = 30, unit = "years" }'
    rulebook = with_lines("GJ", "GJ-contracts", lines)
    purpose = purposes(rulebook)["GJ-contracts"]
    ends = {line: term(rulebook, "GJ-contracts", purpose, DAY, line).last_day for line in ("motor", "liability")}
    assert ends == {"motor": date(2036, 11, 23), "liability": date(2056, 11, 23)}
    assert "for the line travel" in (term(rulebook, "GJ-contracts", purpose, DAY, "travel").fault or "")
    assert term(rulebook, "GJ-contracts", purpose, DAY).fault is not None


@pytest.mark.parametrize("value", ['{ amount = 9, unit = "years" }', '{ amount = 361, unit = "months" }'])
def test_a_value_outside_of_the_documents_limits_is_a_fault_of_the_book(value: str) -> None:
    """Lines 108 and 163: 10 to 30 years, whatever the line."""
    with pytest.raises(RulebookError, match=r"gj.toml: .*GJ-contracts: lines.motor: between 10 and 30 years"):
        with_lines("GJ", "GJ-contracts", f"motor = {value}")


def test_an_event_that_is_an_instant_ends_the_term_at_once_and_a_day_with_its_end() -> None:
    """GJ-sanctions-term, GJ-enquiries: kept as long as the sanctions or the task last."""
    at = datetime(2026, 11, 23, 15, 30, tzinfo=VILNIUS)
    assert of("GJ", "GJ-enquiries", at).due == at
    assert of("GJ", "GJ-enquiries", DAY).due == datetime(2026, 11, 24, tzinfo=VILNIUS)


def test_what_has_not_begun_has_no_end() -> None:
    """Employed, insured, sanctioned still: kept, and no error."""
    found = of("SE", "SE-11.2.1", None)
    assert (found.due, found.fault) == (None, None)


def test_a_withdrawn_consent_ends_the_term_earlier_and_never_later() -> None:
    """GJ-marketing-term: two years, or the withdrawal if that is earlier."""
    earlier, later = datetime(2027, 5, 1, 9, tzinfo=VILNIUS), datetime(2030, 1, 1, tzinfo=VILNIUS)
    assert of("GJ", "GJ-marketing-term", DAY, withdrawn_at=earlier).due == earlier
    assert of("GJ", "GJ-marketing-term", DAY, withdrawn_at=later).last_day == date(2028, 11, 23)


@pytest.mark.parametrize("organisation", ["SE", "BL"])
@pytest.mark.parametrize("duty", ["SE-33.3.10", "SE-33.4.1"])
def test_logs_have_a_minimum_and_a_maximum(organisation: str, duty: str) -> None:
    """Before a year they may not go; after two they must have gone."""
    found = of(organisation, duty, DAY)
    zone = ZoneInfo(book(organisation).zone)
    assert found.least == datetime(2027, 11, 24, tzinfo=zone)
    assert (found.due, found.last_day) == (datetime(2028, 11, 24, tzinfo=zone), date(2028, 11, 23))


def test_of_several_purposes_the_longest_decides_and_one_without_an_end_keeps_all() -> None:
    """DZ-14.5.3; a value that is missing for one of them lets nothing go."""
    short, long = of("SE", "SE-11.2.4", DAY), of("SE", "SE-11.2.3", DAY)
    assert longest([short, long]) == longest([long, short]) == long
    running = of("SE", "SE-11.2.1", None)
    assert longest([short, running, long]) == running
    faulty = of("GJ", "GJ-contracts", DAY)
    assert longest([running, faulty, long]) == faulty


def test_only_a_legal_duty_or_claim_is_a_ground_to_refuse_erasure_and_names_what_it_rests_on() -> None:
    """Register, part E: consent and legitimate interest give way. Quotes are not kept for claims (line 108)."""
    grounds = {duty: one for b in books().values() for duty, one in purposes(b).items() if one.refuses_erasure}
    assert sorted(grounds) == ["GJ-claims", "GJ-contracts", "GJ-recovery", "GJ-sanctions-term", "SE-11.2.1"]
    assert all(one.law for one in grounds.values())
    for rulebook in books().values():
        # where the rights of data subjects name such terms, they are the same
        named = rulebook.values.get("privacy", {}).get("term_grounds", {})
        for duty, said in named.items():
            purpose = purposes(rulebook)[duty]
            assert (said["ground"], said["law"]) == (purpose.ground, purpose.law)


@pytest.mark.parametrize(
    ("organisation", "old", "new", "fault"),
    [
        (
            "SE",
            '"SE-11.2.2" = { purpose = "visit_registration", ground = "contract" }\n',
            "",
            "SE-11.2.2 has no purpose",
        ),
        ("SE", '"SE-11.2.2" = { pur', '"SE-11.9" = { pur', "SE-11.9: no storage term of this file"),
        ("SE", 'ground = "consent" }', 'ground = "habit" }', "values.storage.SE-11.2.6.ground"),
        ("GJ", ', law = "line 198"', "", "law: missing"),
        ("GJ", ', between = { least = 10, most = 30 } }\n"GJ-claims', ' }\n"GJ-claims', "between: missing"),
        ("SE", "proof_within = 7", "proof_within = 0", "values.keeping.proof_within"),
        ("SE", 'exception = "SE-11.3"', 'exception = "SE-99"', "SE-99 is not in this file"),
        ("BTA", 'own = "recovery"', 'own = "claim"', "own: claim has another term already"),
        ("SE", "proof_within = 7", f"proof_within = 7{SET.format('renewals')}", "cases.renewals: no kind of case"),
        ("GJ", "proof_within = 7", f"proof_within = 7{SET.format('claim')}", "cases.claim: a duty gives its term"),
        ("GJ", "proof_within = 7", f"proof_within = 7{SET.format('task').replace('2', '0')}", "cases.task.amount"),
    ],
)
def test_a_faulty_table_of_purposes_is_refused_on_load(organisation: str, old: str, new: str, fault: str) -> None:
    text = text_of(organisation)
    assert old in text
    with pytest.raises(RulebookError, match=fault.replace(".", r"\.")):
        parse(text.replace(old, new, 1), "x.toml")


def test_proof_is_due_after_a_week_of_local_days() -> None:
    """Asked for in a night before the clock changes; also beyond the calendars, for terms outlive them."""
    asked = datetime(2027, 3, 24, 2, tzinfo=UTC)
    assert keeping(book("SE")).proof_within == 7
    assert proof_by(book("SE"), asked) == datetime(2027, 4, 1, tzinfo=VILNIUS)
    assert proof_by(book("SE"), asked.replace(year=2077)) == datetime(2077, 4, 1, tzinfo=VILNIUS)


@pytest.mark.parametrize("kind", ["renewal", "access_request", "privacy_request", "breach", "task", "sign_in_review"])
def test_what_no_document_has_a_term_for_is_kept_until_the_controller_sets_one(kind: str) -> None:
    """No row of part E covers it. The value counts from the closing, by local days, and refuses no erasure."""
    closed = datetime(2028, 2, 29, 23, 30, tzinfo=VILNIUS)
    assert case_term(book("SE"), kind, closed) is None
    text = text_of("SE").replace("proof_within = 7", f"proof_within = 7{SET.format(kind)}", 1)
    set_ = parse(text, "se.toml")
    found = case_term(set_, kind, closed)
    assert found is not None
    assert (found.last_day, found.clause) == (date(2030, 2, 28), "dms/terms-1")
    assert found.due == datetime(2030, 3, 1, tzinfo=VILNIUS)
    assert own_purpose(set_, kind) is None


def test_which_term_covers_termins_own_cases() -> None:
    found = own_purpose(book("BTA"), "claim")
    assert found is not None
    assert (found[0], found[1].own_line) == ("GJ-claims", "liability")
    assert own_purpose(book("BTA"), "renewal") is None
    assert own_purpose(book("SE"), "claim") is None


def test_the_end_of_a_last_day_is_local_midnight() -> None:
    """Also on the day on which the clock changes."""
    assert until_over(book("BTA"), date(2027, 3, 28)) == datetime(2027, 3, 29, tzinfo=RIGA)
    assert Purpose(purpose="a_b", ground="consent").refuses_erasure is False
    assert until_over(book("BTA"), date(2027, 3, 27)) - SECOND < datetime(2027, 3, 28, tzinfo=RIGA)
