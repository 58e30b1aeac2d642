"""Personal codes of Latvia, Lithuania and Estonia: what is a fault, and what is only worth a second look."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Literal, TypeVar, get_args

from stdnum.ee import ik
from stdnum.exceptions import ValidationError
from stdnum.lt import asmens
from stdnum.lv import pvn

from models.common import Model

Country = Literal["LV", "LT", "EE"]
T = TypeVar("T")
COUNTRIES: tuple[Country, ...] = get_args(Country)

_LENGTH = 11
_NO_DATE_FROM, _NO_DATE_TO = 32, 39


class PersonalCode(Model):
    """A code as it was read."""

    code: str | None
    """The eleven digits, without separators; None for what is no code of this country."""
    doubtful: bool = False
    """A Latvian code whose sum fails: kept, since the algorithm of codes from 32 on is not confirmed by anybody."""


def read(text: str, country: Country) -> PersonalCode:
    """Read a personal code.

    Lithuanian and Estonian codes have check digits that the law defines: a failed one is a fault. A Latvian code has
    to be of its form (eleven digits; a date that exists, or 32 to 39 where it carries none); a failed sum is a doubt.
    """
    match country:
        case "LV":
            return _latvian(text)
        case "LT":
            # the date is left alone: codes with an unknown day of birth are issued with zeros
            return PersonalCode(code=_checked(lambda: asmens.validate(text, validate_birth_date=False)))
        case "EE":
            return PersonalCode(code=_checked(lambda: ik.validate(text)))


def born(code: str, country: Country) -> date | None:
    """The date of birth that a code says, if it says one that exists."""
    match country:
        case "LV":
            return _checked(lambda: pvn.get_birth_date(code))
        case "LT" | "EE":  # the two are built alike
            return _checked(lambda: ik.get_birth_date(code))


def _checked(validate: Callable[[], T]) -> T | None:
    try:
        return validate()
    except ValidationError:
        return None


def _latvian(text: str) -> PersonalCode:
    code = text.strip().replace(" ", "").replace("-", "")
    if len(code) != _LENGTH or not (code.isascii() and code.isdigit()):
        return PersonalCode(code=None)
    if not _NO_DATE_FROM <= int(code[:2]) <= _NO_DATE_TO and _checked(lambda: pvn.get_birth_date(code)) is None:
        return PersonalCode(code=None)
    return PersonalCode(code=code, doubtful=pvn.calc_check_digit_pers(code[:-1]) != code[-1])
