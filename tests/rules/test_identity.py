"""Who a person is: codes and names as certificates write them, powers of attorney, and coming of age."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from models.privacy import Authority, AuthorityKind, Channel, Representing
from models.signature import Signature, Validated, Verdict
from rules.identity import may_represent, of_age, same_code, same_name, signed_by
from rules.rulebook import books

RIGA, VILNIUS = ZoneInfo("Europe/Riga"), ZoneInfo("Europe/Vilnius")
SECOND = timedelta(seconds=1)
AT = datetime(2027, 3, 1, 10, tzinfo=RIGA)
ALL: tuple[Channel, ...] = ("in_person", "post", "email", "portal")
TERMS: dict[AuthorityKind, Representing] = {
    "power_of_attorney": Representing(channels=("in_person",), clause="line 364"),
    "parent": Representing(channels=ALL, under=16, clause="14.2; 7.2"),
}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("320404-20040", "32040420040", True),
        ("320404 - 20040", "320404-20040", True),
        ("320404-20040", "320404-20041", False),
        ("40205060044", "40205060044", True),
        ("", "320404-20040", False),
    ],
)
def test_codes_are_compared_without_their_separators(one: str, other: str, same: bool) -> None:
    assert same_code(one, other) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("VALDIS APINIS", "Valdis Apiņš", False),
        ("IEVA KRŪMIŅA", "Ieva Krūmiņa", True),
        ("IEVA KRUMINA", "Ieva Krūmiņa", True),
        ("KRŪMIŅA IEVA", "Ieva Krūmiņa", True),
        ("ŽYDRĖ ŠIMKUTĖ-ĄŽUOLIENĖ", "Žydrė Šimkutė Ąžuolienė", True),
        ("IEVA", "Ieva Krūmiņa", False),
    ],
)
def test_names_are_compared_without_case_diacritics_and_order(one: str, other: str, same: bool) -> None:
    assert same_name(one, other) is same


def verdict(*signatures: Signature, **more: Any) -> Verdict:
    said = {"sha256": "a" * 64, "format": "PAdES", "validated_at": AT, "trusted_by": "lv.xml"}
    return Verdict.model_validate({**said, "signatures": signatures, **more})


def signature(**more: Any) -> Signature:
    """A valid one, by Ieva."""
    said = {
        "result": "passed",
        "indication": "OK",
        "intact": True,
        "whole_document": True,
        "name": "IEVA KRŪMIŅA",
        "personal_code": "010190-11111",
        "signed_at": AT,
        "time": "time_stamp",
    }
    return Signature.model_validate({**said, **more})


def test_who_signed_is_found_among_several() -> None:
    other = signature(name="JĀNIS OZOLS", personal_code="020290-22222", signed_at=AT - SECOND)
    seen, faults = signed_by(verdict(other, signature()), "Ieva Krūmiņa", "01019011111", AT)
    assert seen is not None
    assert faults == ()
    assert (seen.by, seen.signed_at) == ("termins", AT)


def test_a_signature_that_is_not_valid_identifies_nobody_even_beside_a_valid_one() -> None:
    hers = signature(faults=("its certificate was revoked",))
    his = signature(name="JĀNIS OZOLS", personal_code="020290-22222")
    seen, faults = signed_by(verdict(hers, his), "Ieva Krūmiņa", "010190-11111", AT)
    assert seen is None
    assert faults == (
        "signature: it is another person's: the personal code differs",
        "signature: the name of who signed differs",
    )
    assert signed_by(verdict(hers), "Ieva Krūmiņa", "010190-11111", AT)[1] == (
        "signature: its certificate was revoked",
    )


def test_why_it_identifies_nobody_names_nobody() -> None:
    for found in (verdict(signature()), verdict(faults=("the PDF is not signed",)), verdict()):
        _, faults = signed_by(found, "Jānis Ozols", "020290-22222", AT)
        assert faults
        assert not any(word in " ".join(faults) for word in ("Ozols", "IEVA", "KRŪMIŅA", "010190", "020290"))


def test_what_was_signed_later_identifies_nobody_before() -> None:
    assert signed_by(verdict(signature()), "Ieva Krūmiņa", "010190-11111", AT)[0] is not None
    assert signed_by(verdict(signature()), "Ieva Krūmiņa", "010190-11111", AT - SECOND)[0] is None


def test_what_a_person_found_elsewhere_is_said_to_be_so() -> None:
    said = {
        "sha256": "b" * 64,
        "service": "signatures.example",
        "report": "dms/1",
        "validated_at": AT,
        "signed_at": AT,
        "name": "Ieva Krūmiņa",
        "personal_code": "010190-11111",
        "statement": "qualified signature, valid",
    }
    seen, _ = signed_by(Validated.model_validate(said), "Ieva Krūmiņa", "010190-11111", AT)
    assert seen is not None
    assert (seen.by, seen.service) == ("person", "signatures.example")
    seen, faults = signed_by(Validated.model_validate(said), "Ieva Krūmiņa", "010190-11112", AT)
    assert (seen, len(faults)) == (None, 1)


def poa(**more: Any) -> Authority:
    said = {"kind": "power_of_attorney", "rights": ("access",), "form": "simple", "given_on": "2027-02-01"}
    return Authority.model_validate({**said, **more})


def faults_of(said: Authority, at: datetime = AT, **more: Any) -> tuple[str, ...]:
    told = {"accepted": TERMS, "rights": ("access",), "channel": "in_person", "zone": RIGA, **more}
    return may_represent(said, at=at, **told)[1]


def test_a_power_of_attorney_covers_what_it_names_as_long_as_it_lasts() -> None:
    until, faults = may_represent(poa(until="2027-03-01"), TERMS, ("access",), "in_person", AT, RIGA)
    assert (until, faults) == (datetime(2027, 3, 2, tzinfo=RIGA), ())
    last = datetime(2027, 3, 1, 23, 59, 59, tzinfo=RIGA)
    assert not faults_of(poa(until="2027-03-01"), last)
    assert faults_of(poa(until="2027-03-01"), last + SECOND) == ("authority.until: it has expired",)
    # the same instant is the day after in Riga and still the last day in Reykjavik
    assert not faults_of(poa(until="2027-03-01"), last + SECOND, zone=ZoneInfo("Atlantic/Reykjavik"))
    assert may_represent(poa(), TERMS, ("access",), "in_person", AT, RIGA) == (None, ())


def test_every_fault_of_a_power_of_attorney_is_named_at_once() -> None:
    said = Authority(kind="power_of_attorney", rights=("access",), until=date(2027, 2, 1), born_on=date(2015, 1, 1))
    faults = faults_of(said, rights=("access", "erasure", "marketing_objection"), channel="email")
    assert [fault.split(":")[0] for fault in faults] == [
        "channel",
        "authority.rights",
        "authority.form",
        "authority.given_on",
        "authority.until",
        "authority.born_on",
    ]
    assert faults[1].endswith("does not cover: erasure"), "a stop of marketing asks nobody who they are"
    assert faults_of(poa(given_on="2027-03-02")) == ("authority.given_on: lies after the identification",)
    notarised = {"power_of_attorney": Representing(channels=("in_person",), form="notarised", clause="x")}
    assert faults_of(poa(), accepted=notarised) == ("authority.form: only notarised (x)",)
    assert not faults_of(poa(form="notarised"), accepted=notarised)


@pytest.mark.parametrize("zone", [RIGA, VILNIUS])
def test_a_parent_asks_until_the_last_second_before_the_sixteenth_birthday(zone: ZoneInfo) -> None:
    child = Authority(kind="parent", born_on=date(2011, 3, 28))
    birthday = datetime(2027, 3, 28, tzinfo=zone)
    assert birthday.astimezone(UTC) == datetime(2027, 3, 27, 22, tzinfo=UTC), "the clocks change later that day"
    until, faults = may_represent(child, TERMS, ("access",), "post", birthday - SECOND, zone)
    assert (until, faults) == (birthday, ())
    [fault] = faults_of(child, birthday, zone=zone)
    assert fault.startswith("authority.born_on: from 16 years on the data subject asks alone")


def test_who_was_born_on_29_february_has_the_birthday_on_1_march() -> None:
    assert of_age(date(2012, 2, 29), 16, RIGA) == datetime(2028, 2, 29, tzinfo=RIGA)
    assert of_age(date(2008, 2, 29), 18, RIGA) == datetime(2026, 3, 1, tzinfo=RIGA)


def test_a_parent_shows_the_day_of_birth_and_nothing_of_a_power_of_attorney() -> None:
    said = Authority(kind="parent", rights=("access",), given_on=date(2027, 1, 1))
    assert len(faults_of(said)) == 2
    assert faults_of(Authority(kind="parent", born_on=date(2027, 3, 2))) == ("authority.born_on: lies in the future",)
    assert faults_of(Authority(kind="guardian", born_on=date(2015, 1, 1))) == (
        "authority.kind: not accepted; accepted: power_of_attorney, parent",
    )


def test_each_controller_says_on_what_somebody_may_act_for_another() -> None:
    said = {code: books()[code].values["privacy"]["representation"] for code in ("BL", "DZ", "GJ", "SE")}
    read = {code: {kind: Representing.model_validate(v) for kind, v in of.items()} for code, of in said.items()}
    assert {kind: terms.channels for kind, terms in read["GJ"].items()} == {
        "power_of_attorney": ("in_person",),
        "parent": ("in_person",),
        "guardian": ("in_person",),
    }
    assert read["SE"]["parent"].under == 16
    assert set(read["BL"]) == {"power_of_attorney"}
    for code, of in read.items():
        ways = books()[code].values["privacy"]["identification"]
        for terms in of.values():
            assert all(ways[channel] for channel in terms.channels), f"{code}: somebody can be identified there"
