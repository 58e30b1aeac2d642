"""Own passwords (SE 33.3.4.2): eight characters or more, nothing personal, every fault at once."""

from __future__ import annotations

from datetime import date

import pytest

from rules.password import Personal, faults, typed
from rules.personal_code import Country, born

RUTA = Personal(
    names=("Rūta Žagariņa-Li",),
    email="ruta.z@ostasnoliktavas.example",
    phone="+371 26 123 987",
    personal_code="16117519997",
    born=date(1975, 11, 16),
    username="D-7-U1",
)


@pytest.mark.parametrize("password", ["vienpadsmit zirgi", "12345678", "ņāčķēļš!", "Xq4-Li-99-zv", "x" * 200])
def test_what_is_long_enough_and_not_personal_is_taken(password: str) -> None:
    assert faults(password, RUTA) == ()


@pytest.mark.parametrize(("password", "taken"), [("1234567", False), ("12345678", True), ("ņāčķēļš", False)])
def test_eight_characters_are_enough_and_seven_are_not(password: str, taken: bool) -> None:
    assert (faults(password, Personal()) == ()) is taken


@pytest.mark.parametrize(
    ("password", "what"),
    [
        ("manaRUTAmana", "name"),
        ("xx žagariņa xx", "name"),
        ("Zagarina2#xx", "name"),
        ("R.u.t.a.!.9.9", "name"),
        ("pie OstasNoliktavas", "e-mail address"),
        ("tel26123987!", "telephone number"),
        ("x 3 7 1 2 6 y", "telephone number"),
        ("kods 19997 kods", "personal code"),
        ("es esmu 1975", "date of birth"),
        ("16.11.75 diena", "date of birth"),
        ("75-11-16 diena", "date of birth"),
        ("parole D-7-U1", "user name"),
    ],
)
def test_nothing_of_the_person_may_be_in_it_however_it_is_spelt(password: str, what: str) -> None:
    found = faults(password, RUTA)
    assert any(what in fault for fault in found), found


def test_every_fault_is_named_at_once_and_nothing_of_what_was_compared() -> None:
    found = faults("Rūta75\x07", RUTA)
    assert found == (
        "password: fewer than 8 characters",
        "password: a control character",
        "password: holds a part of the name",
        "password: holds a part of the e-mail address",
    )


def test_nothing_is_held_against_a_person_of_whom_nothing_is_known() -> None:
    assert faults("jebkas cits", Personal()) == ()


def test_the_same_characters_are_the_same_password_by_whatever_keyboard() -> None:
    assert typed("a\N{COMBINING MACRON}b\N{NO-BREAK SPACE}c") == typed("āb c")


@pytest.mark.parametrize(
    ("code", "country", "day"),
    [
        ("16117519997", "LV", date(1975, 11, 16)),
        ("32867300679", "LV", None),
        ("33309240064", "LT", date(1933, 9, 24)),
        ("36805280109", "EE", date(1968, 5, 28)),
    ],
)
def test_the_date_of_birth_is_known_where_the_code_says_it(code: str, country: Country, day: date | None) -> None:
    assert born(code, country) == day
