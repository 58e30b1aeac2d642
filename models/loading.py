"""What is loaded from a file: policies and clients, checked before a row is written."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from models.case import Text
from models.common import Model
from models.settlement import PolicyTerms

Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Organisation = Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,3}$")]
Language = Literal["lv", "lt", "en"]


class LoadedCompany(Model):
    """Policyholder or insured of a policy."""

    name: Text
    email: Text | None = None
    language: Language = "lv"


class LoadedPolicy(Model):
    """A liability policy."""

    policy: Key
    organisation: Organisation
    policyholder: LoadedCompany
    insured: LoadedCompany
    starts_on: date
    ends_on: date
    territory: Text = "LV"
    terms: PolicyTerms

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.ends_on < self.starts_on:
            raise ValueError("ends_on: lies before starts_on")
        return self


class LoadedPerson(Model):
    """A person of a client: the responsible employee, or one who may ask in its name."""

    name: Text
    email: Text
    code: Text | None = None


class LoadedClient(Model):
    """A client of the broker."""

    client: Key
    organisation: Organisation
    name: Text
    language: Language = "lv"
    responsible: LoadedPerson
    requesters: tuple[LoadedPerson, ...] = Field(default=(), max_length=1000)
