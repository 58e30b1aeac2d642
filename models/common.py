"""The base of every model that crosses a border, frozen and strict about unknown fields; and what roles are called."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A frozen value. An unknown field is a fault, so that a misspelt name is never silently lost."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def in_words(role: str) -> str:
    """A role of the rulebooks for people, in English."""
    return "HR department" if role == "hr" else role.replace("_", " ")
