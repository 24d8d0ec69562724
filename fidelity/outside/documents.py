"""JSON from outside, read within limits: what is deeper, or holds what no file can, never gets any further."""

import json
import re
from collections import Counter
from itertools import accumulate
from typing import Any

from fidelity.outside.strings import LONGEST_REASON, replace_lone_surrogates

MOST_NESTED = 100
"""Levels of lists and objects; deeper ones end Python's own reading and writing in a RecursionError."""
_STRINGS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")


def read_json(text: str | bytes, *, unique_keys: bool = False) -> Any:
    """What a JSON text holds, its strings without lone surrogates.

    Raises:
        ValueError: It is not JSON, not UTF-8, nested deeper than 100 levels, or, with `unique_keys`, has an object with
            the same key twice. Python reads the last of them, other readers the first.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if text.count("[") + text.count("{") > MOST_NESTED and _depth(text) > MOST_NESTED:
        raise ValueError(f"nested deeper than {MOST_NESTED} levels")
    try:
        data = json.loads(text, object_pairs_hook=_once_each if unique_keys else None)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return cleaned(data) if "\\u" in text else data


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"the key {twice[:LONGEST_REASON]!r} is written twice")
    return data


def _depth(text: str) -> int:
    """How deep brackets are nested, strings left out."""
    brackets = _BRACKETS.findall(_STRINGS.sub("", text))
    return max(accumulate((1 if bracket in "[{" else -1 for bracket in brackets), initial=0))


def cleaned(data: Any) -> Any:
    """Lists and mappings, nested no deeper than is read here, with their strings without lone surrogates."""
    match data:
        case str():
            return replace_lone_surrogates(data)
        case dict():
            return {cleaned(key): cleaned(value) for key, value in data.items()}
        case list() if data and not isinstance(data[0], int | float):
            return [cleaned(value) for value in data]
    return data
