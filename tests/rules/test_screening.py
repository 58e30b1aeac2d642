"""Screening: nobody listed hides behind an alphabet, an ending or the order of names, and few others are stopped."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.sanctions import SAMPLE, parse
from models.screening import BirthDate, Listed
from rules.screening import birth_date, likeness, screen, words

ENTRIES = parse(SAMPLE.read_bytes()).entries
IGOR, YEVGENIYA, COMPANY, ALEKSANDR = (entry.id for entry in ENTRIES)


def found(name: str, born: date | None = None) -> list[str]:
    """Whom on the sample this payee may be."""
    return [hit.id for hit in screen(name, born, ENTRIES)]


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("Igor Borisovich Zimogorov", IGOR),
        ("ZIMOGOROV, Igor", IGOR),
        ("Игорь Зимогоров", IGOR),
        ("Igors Zimogorovs", IGOR),
        ("Igoris Zimogorovas", IGOR),
        ("Igor’ Zimogórov", IGOR),
        ("Jevgēņija Hvorostuhina", YEVGENIYA),
        ("Jevgenija Chvorostuchina", YEVGENIYA),
        ("Evgeniya Khvorostukhina", YEVGENIYA),
        ("Žeņa Hvorosts", YEVGENIYA),
        ("SIA Severnaya Lavina Trading", COMPANY),
        ("Северная Лавина Трейдинг", COMPANY),
        ("Aleksandrs Ščukarins", ALEKSANDR),
        ("Aleksandras Ščiukarinas", ALEKSANDR),
        ("Alexander Schukarin", ALEKSANDR),
        ("Šchukarin Aleksander", ALEKSANDR),
    ],
)
def test_a_listed_name_is_found_in_any_script_spelling_order_and_with_any_ending(name: str, who: str) -> None:
    assert found(name) == [who]


@pytest.mark.parametrize(
    "name",
    [
        "Anna Bērziņa",
        "Igor",
        "Igors Zimins",
        "Zimogorova Irina",
        "Lavina",
        "SIA Lavina",
        "Boriss Zimogorsks",
        "Žanete Ķirse",
    ],
)
def test_one_word_in_common_is_nobody(name: str) -> None:
    assert found(name) == []


@pytest.mark.parametrize("name", ["", " ", "–", "李", "."])
def test_what_has_no_letters_is_nobody(name: str) -> None:
    assert found(name) == []


@pytest.mark.parametrize(
    ("name", "born", "who"),
    [
        ("Igors Zimogorovs", date(1961, 5, 14), [IGOR]),
        ("Igors Zimogorovs", date(1961, 5, 15), []),
        ("Igors Zimogorovs", None, [IGOR]),
        # about 1975, or in 1978: a year is right within one
        ("Jevgēņija Hvorostuhina", date(1976, 12, 31), [YEVGENIYA]),
        ("Jevgēņija Hvorostuhina", date(1979, 1, 1), [YEVGENIYA]),
        ("Jevgēņija Hvorostuhina", date(1980, 1, 1), []),
        # the list does not say when
        ("Aleksandrs Ščukarins", date(1980, 1, 1), [ALEKSANDR]),
    ],
)
def test_a_birth_date_that_both_know_and_that_differs_clears_and_nothing_else_does(
    name: str, born: date | None, who: list[str]
) -> None:
    assert found(name, born) == who


@pytest.mark.parametrize(
    ("code", "born"),
    [
        (None, None),
        ("140561-12345", date(1961, 5, 14)),
        ("14056112345", date(1961, 5, 14)),
        # from 32 on a Latvian code holds no date
        ("320505-10058", None),
        ("36105140001", None),
        ("38703181745", date(1987, 3, 18)),
        ("not a code", None),
    ],
)
def test_a_personal_code_says_a_birth_date_only_where_it_says_one(code: str | None, born: date | None) -> None:
    """A wrong date would clear the right person: a code that is none says nothing."""
    assert birth_date(code) == born


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_two_names_are_compared_the_same_way_round_and_a_name_is_like_itself(one: str, other: str) -> None:
    first, second = words(one), words(other)
    assert likeness(first, second) == likeness(second, first)
    if first:
        assert likeness(first, first) == 100


def test_of_several_aliases_the_most_alike_one_is_named() -> None:
    entry = Listed(id="X", names=("Ivan Petrov", "Ivan Petrovich Sidorov"), births=(BirthDate(year=1970),))
    (hit,) = screen("Ivans Sidorovs", None, [entry])
    assert (hit.name, hit.likeness) == ("Ivan Petrovich Sidorov", 100)
