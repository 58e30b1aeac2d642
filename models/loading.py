"""What is loaded of clients, checked before a row is written."""

from __future__ import annotations

from pydantic import Field

from models.case import Text
from models.common import Model
from models.policy import Key, Organisation
from models.settlement import Language


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
