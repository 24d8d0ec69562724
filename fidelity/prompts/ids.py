"""Ids of prompts and of answers: the row's own, or one that follows from the prompt's text."""

import hashlib
import json
from collections import Counter
from typing import Any

from fidelity.errors import ConfigError
from fidelity.outside.strings import replace_lone_surrogates
from fidelity.records import Prompt, plain_turns

KEYS = ("id", "custom_id", "question_id", "prompt_id", "uid")
"""Keys of a row that can hold its id, in the order of preference."""
LONGEST_NAME = 10_000
"""Characters of a prompt's id and of its category."""
DIGITS = 12
"""Hexadecimal digits of an id that is made from a prompt's text."""


def own_id(row: dict[str, Any], *, where: str) -> str | None:
    """The id that a row has, or None. A number becomes its decimal text.

    Raises:
        ConfigError: It is empty, too long, or neither a text nor a whole number.
    """
    key = next((key for key in KEYS if row.get(key) is not None), None)
    if key is None:
        return None
    match row[key]:
        case "":
            raise ConfigError(f"{where}: the {key!r} is empty; give each prompt an id, or remove the key")
        case str() as id_ if len(id_) > LONGEST_NAME:
            raise ConfigError(f"{where}: {key!r} has more than {LONGEST_NAME:,} characters; shorten it")
        case str() as id_:
            return replace_lone_surrogates(id_)
        case bool():
            pass
        case int() as number if abs(number) < 10**18:
            return str(number)
        case float() as number if number.is_integer() and abs(number) < 2**53:
            return str(int(number))
    raise ConfigError(f"{where}: {key!r} must be a text or a whole number, got {str(row[key])[:80]}")


class MadeIds:
    """Ids for rows that have none: `p` and 12 hexadecimal digits of the SHA-256 of the prompt's turns.

    They don't change if rows are added, removed or reordered. The same prompt again gets `-2`, `-3`, ...
    """

    def __init__(self) -> None:
        self._times: Counter[tuple[str, int]] = Counter()

    def next(self, prompt: Prompt, repeat: int = 0) -> str:
        """The id of the next prompt with these turns and tools; repeats of a prompt share one."""
        turns = json.dumps([*plain_turns(prompt), *prompt.offer.items()], ensure_ascii=True)
        id_ = "p" + hashlib.sha256(turns.encode()).hexdigest()[:DIGITS]
        self._times[id_, repeat] += 1
        times = self._times[id_, repeat]
        return id_ if times == 1 else f"{id_}-{times}"
