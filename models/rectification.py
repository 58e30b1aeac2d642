"""The words of a rectification in the systems: what is wrong and what is right, by the data category of Fides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from models.case import Text
from models.common import Model

NAME, EMAIL, PHONE = "user.name", "user.contact.email", "user.contact.phone_number"
OWN_COLUMNS: Mapping[str, str] = {NAME: "name", EMAIL: "email", PHONE: "phone"}
"""Category → column of a party in Termins' own cases. An account number is not among them: where money goes is changed
by the case that pays it."""
IDENTITIES = ("user.government_id", "user.unique_id")
"""By these a person is found: another code is another person until somebody has looked."""
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class Datum(Model):
    """One value that is wrong or missing, and what is right."""

    party: Literal["subject"]
    """Whose it is: so that an erasure finds these words too, whatever they say."""
    category: Annotated[str, StringConstraints(pattern=r"^user(\.[a-z0-9_]+){1,5}$")]
    """Its data category in the language of Fides: `user.contact.email`."""
    was: Text | None = None
    """What stands there now; without it the value is missing and is filled in."""
    now: Text

    @model_validator(mode="after")
    def _sound(self) -> Datum:
        if self.was == self.now:
            raise ValueError("now: the same as was")
        if self.category.startswith(IDENTITIES):
            raise ValueError("category: by this a person is found: it is corrected by hand")
        if self.category == EMAIL and not _ADDRESS.fullmatch(self.now):
            raise ValueError("now: not an address that mail can reach")
        return self


Data = Annotated[tuple[Datum, ...], Field(max_length=50)]


class Corrected(Model):
    """What a system says of one record that was to be corrected."""

    changed: int = 0
    """How many values were changed by this call; none when it is asked again."""
    fields: tuple[str, ...] = ()
    """The fields that say now what is right, changed now or before."""
    left: bool = False
    """Something wrong stands there that the system cannot change: a person sees to it."""


class Rectified(Model):
    """What `privacy.rectify` answers; a second look has found nothing more to change."""

    at: datetime
    records: int
    """Records that say now what is right."""
    left: tuple[str, ...] = ()
    """Records in which something wrong stays, for a person to correct."""
