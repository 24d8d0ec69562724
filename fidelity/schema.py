"""A YAML mapping as a frozen pydantic model: an unknown key is refused, and the message names the nearest."""

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, model_validator
from pydantic_core import PydanticCustomError

JsonObject = dict[str, JsonValue]
"""A JSON object whose keys somebody else chooses."""


class Settings(BaseModel):
    """Base of everything that a user may write in a YAML file."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        for key in data if isinstance(data, dict) else ():
            if key not in cls.model_fields:
                raise PydanticCustomError(
                    "unknown_key", "{message}", {"message": f"unknown key {key!r}{nearest(str(key), cls.model_fields)}"}
                )
        return data


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint that ends an error about an unknown word: the known one that is nearest, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(known)}"
