"""The base of every model that crosses a border: frozen, and strict about unknown fields."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A frozen value. An unknown field is a fault, so that a misspelt name is never silently lost."""

    model_config = ConfigDict(frozen=True, extra="forbid")
