"""What the tables of a track file have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A TOML table in which an unknown or misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def added(default: Any) -> Any:
    """A field that the schema got after tracks were published: left out of dumps where it has its default.

    So the hash of a track that does not use the field stays what it was.
    """
    return Field(default=default, exclude_if=lambda value: bool(value == default))
