"""A YAML mapping as a frozen pydantic model. Unknown keys are refused, and the message suggests the nearest one."""

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, model_validator
from pydantic_core import PydanticCustomError

REFUSE_UNKNOWN_KEYS = ConfigDict(extra="forbid")
"""Of a dataclass that pydantic reads back from a manifest."""
JsonObject = dict[str, JsonValue]
"""A JSON object from outside, with keys that fidelity doesn't define."""


class Settings(BaseModel):
    """Base class of everything that a user can write in a YAML file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, data: Any) -> Any:
        for key in data if isinstance(data, dict) else ():
            if key not in cls.model_fields:
                raise PydanticCustomError(
                    "unknown_key",
                    "{message}",
                    {"key": key, "message": f"unknown key {key!r}{nearest(str(key), cls.model_fields)}"},
                )
        return data


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown word: the nearest known word, or all known words."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; choose from {', '.join(known)}"
