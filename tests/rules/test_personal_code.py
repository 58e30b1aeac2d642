"""Personal codes (BL 4): check digits of Lithuania and Estonia are faults, Latvia's sum is only a doubt."""

from __future__ import annotations

import pytest

from rules.personal_code import Country, read


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("161175-19997", "LV"),
        ("16117519997", "LV"),
        (" 161175 19997 ", "LV"),
        ("328673-00679", "LV"),
        ("33309240064", "LT"),
        ("36805280109", "EE"),
    ],
)
def test_a_right_code_is_read_without_separators(text: str, country: Country) -> None:
    read_code = read(text, country)
    assert read_code.code == text.replace("-", "").replace(" ", "")
    assert not read_code.doubtful


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("33309240065", "LT"),  # the check digit is 4
        ("36805280108", "EE"),  # the check digit is 9
        ("3330924006", "LT"),
        ("3680528010X", "EE"),
        ("36813280109", "EE"),  # no thirteenth month
    ],
)
def test_lithuanian_and_estonian_check_digits_are_faults(text: str, country: Country) -> None:
    assert read(text, country).code is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "161175-1999",
        "161175-199978",
        "16117A-19997",
        "161375-19997",  # no thirteenth month
        "310475-10006",  # no 31 April
        "000000-00000",
        "400035-21600",  # a company's number
        "１６１１７５19997",  # other scripts' digits
    ],
)
def test_a_latvian_code_of_another_form_is_a_fault(text: str) -> None:
    assert read(text, "LV").code is None


@pytest.mark.parametrize("text", ["161175-19998", "328673-00677", "391234-56789"])
def test_a_failed_latvian_sum_is_only_a_doubt(text: str) -> None:
    """Codes from 32 on follow no confirmed algorithm, so a failed sum must never hold up an employee's access."""
    read_code = read(text, "LV")
    assert read_code.code == text.replace("-", "")
    assert read_code.doubtful


def test_a_lithuanian_code_without_a_known_day_of_birth_is_right() -> None:
    """Such codes carry zeros for month and day; only the check digit counts."""
    assert read("33300000051", "LT").code == "33300000051"
    assert read("33300000052", "LT").code is None
