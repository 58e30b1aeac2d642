"""Consents judged: per channel, two years from the latest one, proven, and over with whatever ends them first."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from models.consent import Answer, Statement
from rules.consent import fold, may, over, purposes_on_consent, to_stop_by
from rules.rulebook import RulebookError, book, parse
from tests.rules.test_rulebook import TINY
from tests.world import VILNIUS

GJ = book("GJ")
GIVEN = datetime(2024, 12, 24, 10, 0, tzinfo=VILNIUS)
"""Two years later is Christmas Eve, a holiday: a storage term is not rolled."""
OVER = datetime(2026, 12, 25, 0, 0, tzinfo=VILNIUS)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
_numbers = count(1)


def said(what: str, at: datetime, consent: str | None = "K-1", **more: Any) -> Statement:
    """Something that was said."""
    proof = {"proof": "dms/1"} if what == "given" else {}
    of = {"purpose": "marketing", **({"channels": ("email",)} if what == "given" else {}), **proof, **more}
    return Statement.model_validate({"n": next(_numbers), "what": what, "consent": consent, "at": at, **of})


def asked(statements: list[Statement], at: datetime, **more: Any) -> Answer:
    """May the person be contacted by e-mail for marketing?"""
    question = {"purpose": "marketing", "channel": "email", "about": None, **more}
    return may(GJ, statements, question["purpose"], question["channel"], question["about"], at)


@pytest.mark.parametrize(
    ("given", "last_day"),
    [
        (GIVEN, "2026-12-24"),
        (datetime(2024, 12, 24, 0, 0, tzinfo=VILNIUS), "2026-12-24"),
        (datetime(2024, 12, 24, 23, 59, 59, tzinfo=VILNIUS), "2026-12-24"),
        (datetime(2024, 2, 29, 12, 0, tzinfo=VILNIUS), "2026-02-28"),
        (datetime(2025, 3, 28, 12, 0, tzinfo=VILNIUS), "2027-03-28"),
        (datetime(2024, 10, 25, 12, 0, tzinfo=VILNIUS), "2026-10-25"),
        (datetime(2024, 12, 31, 22, 30, tzinfo=ZoneInfo("UTC")), "2027-01-01"),
    ],
    ids=["eve", "first second", "last second", "leap day", "clocks go forward", "clocks go back", "other zone"],
)
def test_marketing_is_over_two_years_after_the_day_of_the_consent(given: datetime, last_day: str) -> None:
    """GJ-marketing-term, line 336: the last second of the last day, and the first one after it, in Vilnius."""
    statements = [said("given", given)]
    midnight = datetime.fromisoformat(last_day).replace(tzinfo=VILNIUS) + DAY
    assert asked(statements, midnight - SECOND).reason == "given"
    ended = asked(statements, midnight)
    assert (ended.may, ended.reason, ended.clause, ended.since) == (False, "expired", "GJ-marketing-term", midnight)
    (standing,) = fold(GJ, statements, midnight)
    found = over(GJ, standing)
    assert (found.duty, found.due, str(found.last_day)) == ("GJ-marketing-term", midnight, last_day)


def test_the_term_is_counted_from_the_latest_consent_of_whichever_channel() -> None:
    """Line 336: "kelis sutikimus … nuo paskutinio Jūsų duoto sutikimo dienos"."""
    later = GIVEN + 200 * DAY
    two = [said("given", GIVEN), said("given", later, "K-2", channels=("sms",))]
    end = datetime(2027, 7, 13, 0, 0, tzinfo=VILNIUS)
    assert asked(two, end - SECOND).until == end
    assert asked(two, end).reason == "expired"
    # the second one is taken back, or was never proven: it extends nothing
    assert asked([*two, said("withdrawn", later + DAY, "K-2")], OVER).reason == "expired"
    assert asked([two[0], said("given", later, "K-2", channels=("sms",), proof=None)], OVER).reason == "expired"


def test_a_consent_that_is_over_is_not_revived_by_a_new_one() -> None:
    """What was consented to by e-mail ended; the new consent is for text messages."""
    statements = [said("given", GIVEN), said("given", OVER, "K-2", channels=("sms",))]
    assert asked(statements, OVER).reason == "expired"
    assert asked(statements, OVER, channel="sms").consent == "K-2"


def test_marketing_goes_only_by_the_channel_consented_to() -> None:
    """GJ-marketing-channel: each channel is consented to by itself, and taken back by itself."""
    statements = [said("given", GIVEN, channels=("email", "sms"))]
    other = asked(statements, GIVEN, channel="post")
    assert (other.may, other.reason, other.clause) == (False, "other_channel", "GJ-marketing-channel")
    taken = GIVEN + DAY
    statements.append(said("withdrawn", taken, channels=("sms",)))
    assert asked(statements, taken, channel="sms").since == taken
    assert asked(statements, taken - SECOND, channel="sms").may
    assert asked(statements, taken + DAY).reason == "given"
    (standing,) = fold(GJ, statements, taken)
    assert (standing.left, standing.ended_by) == (("email",), None)


@pytest.mark.parametrize(("what", "consent"), [("withdrawn", "K-1"), ("withdrawn", None), ("objected", None)])
def test_what_is_taken_back_stops_from_that_second_and_its_data_are_over(what: str, consent: str | None) -> None:
    """SE-23.4, GJ-marketing-stop: at once; the term ends with it (line 336: whichever comes first)."""
    taken = GIVEN + 40 * DAY
    statements = [said("given", GIVEN), said(what, taken, consent)]
    assert asked(statements, taken - SECOND).may
    now = asked(statements, taken)
    assert (now.may, now.reason, now.clause, now.since) == (False, what, "GJ-marketing-stop", taken)
    (standing,) = fold(GJ, statements, taken)
    assert over(GJ, standing).due == taken


def test_what_a_person_took_back_holds_for_a_consent_that_is_loaded_later() -> None:
    """The order in which it is said does not matter, only when it was."""
    late = [said("withdrawn", GIVEN + DAY, None), said("given", GIVEN)]
    assert asked(late, GIVEN + DAY).reason == "withdrawn"
    assert asked(late[:1], GIVEN + DAY).reason == "withdrawn"
    anew = [*late, said("given", GIVEN + 2 * DAY, "K-2")]
    assert asked(anew, GIVEN + 2 * DAY).consent == "K-2"


def test_without_proof_there_is_no_consent() -> None:
    """SE-23.2: whoever processes has to be able to prove it; a proof that is found later counts from the consent on."""
    statements = [said("given", GIVEN, proof=None)]
    assert asked(statements, GIVEN).reason == "without_proof"
    assert asked([*statements, said("proved", GIVEN, proof="dms/2")], GIVEN).may


def test_nobody_is_contacted_on_a_consent_that_was_restricted() -> None:
    """GDPR 18(2): stored and nothing else, until each request that asked for it is released."""
    marks = [said("restricted", GIVEN + DAY, source="a"), said("restricted", GIVEN + DAY, source="b")]
    statements = [said("given", GIVEN), *marks, said("released", GIVEN + 2 * DAY, source="a")]
    assert asked(statements, GIVEN + 3 * DAY).reason == "restricted"
    assert asked([*statements, said("released", GIVEN + 3 * DAY, source="b")], GIVEN + 3 * DAY).may


def test_an_unfinished_purchase_is_asked_about_for_seven_days_and_that_product_only() -> None:
    """GJ-purchase-contact, GJ-purchase: lines 295–307; each purchase by its own consent."""
    buying: dict[str, Any] = {"purpose": "unfinished_purchases", "channels": ("phone",), "about": "casco"}
    statements = [said("given", GIVEN, **buying), said("given", GIVEN + 3 * DAY, "K-2", **{**buying, "about": "home"})]
    question = {"purpose": "unfinished_purchases", "channel": "phone"}
    end = datetime(2025, 1, 1, 0, 0, tzinfo=VILNIUS)
    assert asked(statements, end - SECOND, **question, about="casco").may
    assert asked(statements, end, **question, about="casco").reason == "expired"
    assert asked(statements, end, **question, about="home").may
    other = asked(statements, GIVEN, **question, about="travel")
    assert (other.reason, other.clause) == ("other_product", "GJ-purchase-contact")


def test_nothing_known_is_no_consent() -> None:
    answer = asked([], GIVEN)
    assert (answer.may, answer.reason, answer.clause) == (False, "none", "GDPR 7(1)")


def test_only_what_the_rulebook_rests_on_consent_can_be_consented_to() -> None:
    assert set(purposes_on_consent(GJ)) == {"marketing", "unfinished_purchases", "surveys"}
    assert set(purposes_on_consent(book("SE"))) == {"recruitment", "contests"}
    with pytest.raises(KeyError, match="DZ"):
        may(book("DZ"), [], "marketing", "email", None, GIVEN)


@pytest.mark.parametrize(("organisation", "row"), [("SE", "SE-23.4"), ("GJ", "GJ-marketing-stop")])
def test_a_stop_is_due_in_four_hours_and_late_after_a_working_day(organisation: str, row: str) -> None:
    """On Friday evening the next working day is Monday."""
    friday = datetime(2027, 3, 5, 17, 0, tzinfo=VILNIUS)
    assert book(organisation).find(row).kept_by
    assert to_stop_by(book(organisation), friday) == (
        friday + timedelta(hours=4),
        datetime(2027, 3, 9, 0, 0, tzinfo=VILNIUS),
    )


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('proof = "GDPR 7(1)"', "values.consent.information: Field required"),
        (
            'proof = "XX-9"\ninformation = "GDPR 13"\nwithdrawal = "GDPR 7(3)"',
            "values.consent: XX-9 is not in this file",
        ),
        (
            'proof = "a"\ninformation = "b"\nwithdrawal = "c"\nmarketing = ["spam"]',
            "values.consent: spam is no purpose that rests on consent",
        ),
    ],
)
def test_a_faulty_table_of_consents_is_named(table: str, fault: str) -> None:
    with pytest.raises(RulebookError, match=fault.replace("(", r"\(")):
        parse(TINY.replace("[[duty]]", f"[values.consent]\n{table}\n\n[[duty]]", 1), "xx.toml")
