"""The words of a change of a client's people: what is filed, remembered and said."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from models.access import Code
from models.case import Actor, Message, Text
from models.client import AskedBy, Person, Requesters, Role
from models.common import Model
from models.policy import Key


class ClientChangeFiling(Model):
    """Other people in a client's record: who shall stand there, and who wants it."""

    client: Key
    responsible: Person | None = None
    requesters: Requesters | None = None
    """The whole list as it shall be."""
    asked_by: AskedBy | None = None
    """Who of the client asked."""
    operator: Actor | None = None
    """Who enters it where nobody of the client asked."""
    reason: Text | None = None

    @model_validator(mode="after")
    def _who_and_what(self) -> ClientChangeFiling:
        if self.responsible is None and self.requesters is None:
            raise ValueError("responsible or requesters: say who shall stand there")
        if (self.asked_by is None) == (self.operator is None):
            raise ValueError("asked_by: who of the client asked; or operator, who then says the reason")
        if (self.operator is None) != (self.reason is None):
            raise ValueError("reason: said by an operator, where nobody of the client asked")
        return self


class PersonChange(Model):
    """What a person was and is in the client's record."""

    was: Role | None = None
    now: Role | None = None


class ClientChangeBody(Model):
    """All of a change that must survive its run."""

    client: str
    authorised: bool | None = None
    """None: not yet judged; the judgment and the change are one commit."""
    people: dict[str, PersonChange] = Field(default_factory=dict)
    """Party → what changed; each is written to."""
    notices: dict[str, Literal["queued", "sent", "refused", "dropped"]] = Field(default_factory=dict)
    """Key of a letter, `template:party:n` → what became of it."""
    outcome: str | None = None


class DropNotice(Message):
    """A letter that came back is not sent again: nobody can reach this person any more."""

    party: Text = Field(description="party code, such as R1")
    reason: Code = Field(description="a code such as has_left")
