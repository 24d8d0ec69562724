"""Reading outside JSON within limits of depth and characters."""

import json
import re
from collections import Counter
from itertools import accumulate
from pathlib import Path
from typing import Any

from fidelity.outside.paths import read_regular
from fidelity.outside.strings import LONGEST_REASON, replace_lone_surrogates

MOST_NESTED = 100
"""The maximum depth of lists and objects; deeper ones can raise a RecursionError in Python's json."""
_STRINGS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BETWEEN = re.compile(r"[\s\[,]+")
"""What precedes an element of an array."""
_BRACKETS = re.compile(r"[\[\]{}]")


LARGEST_DOCUMENT = 1 << 28
"""Bytes of a JSON file of a checkpoint; the largest tokenizers have some 40 MB."""


def read_document(file: Path) -> Any:
    """Read a JSON file of a checkpoint as its engines do.

    Raises:
        OSError: It is not a regular file, has more than 256 MiB, or can't be read.
        ValueError: It is not JSON, or not UTF-8.
        RecursionError: It is nested too deep.
    """
    return json.loads(read_regular(file, most=LARGEST_DOCUMENT).decode("utf-8"))


class DuplicateKeyError(ValueError):
    """An object in a JSON text has the same key twice; parsers would use the last value without a word."""


def read_json(text: str | bytes, *, strict: bool = False, unique_keys: bool = True) -> Any:
    """Parse a JSON text, replacing lone surrogates in its strings.

    Args:
        text: The JSON text.
        strict: Whether only fidelity writes such files, so that lone surrogates are damage.
        unique_keys: Whether a duplicate key is an error. Replies of engines are read as every client reads them.

    Raises:
        DuplicateKeyError: An object has the same key twice.
        ValueError: It is not JSON, not UTF-8, or nested deeper than 100 levels; with `strict` also: it has a lone
            surrogate.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if text.count("[") + text.count("{") > MOST_NESTED and _depth(text) > MOST_NESTED:
        raise ValueError(f"nested deeper than {MOST_NESTED} levels")
    try:
        data = json.loads(text, object_pairs_hook=_once_each if unique_keys else None)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if "\\u" not in text:
        return data
    readable = cleaned(data)
    if strict and readable != data:
        keys = [key for key, value in data.items() if cleaned(value) != value] if isinstance(data, dict) else []
        raise ValueError(f"{keys[0] if keys else 'a key'!r} is not valid unicode: it has a lone surrogate")
    return readable


def place_of_duplicate(data: bytes) -> int:
    """The byte at which the first object with a duplicate key starts, in a JSON array; 0 for any other document.

    Args:
        data: A document that `read_json` refused with a `DuplicateKeyError`.
    """
    text = data.decode("utf-8")
    decoder, place = json.JSONDecoder(object_pairs_hook=_once_each), 0
    while match := _BETWEEN.match(text, place):
        place = match.end()
        try:
            _, place = decoder.raw_decode(text, place)
        except DuplicateKeyError:
            return len(text[:place].encode())
        except ValueError:
            return 0
    return 0


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise DuplicateKeyError(f"duplicate key {twice[:LONGEST_REASON]!r}")
    return data


def _depth(text: str) -> int:
    """The depth of nested brackets outside of strings."""
    brackets = _BRACKETS.findall(_STRINGS.sub("", text))
    return max(accumulate((1 if bracket in "[{" else -1 for bracket in brackets), initial=0))


def cleaned(data: Any) -> Any:
    """Check the depth of lists and mappings, and replace lone surrogates in their strings."""
    match data:
        case str():
            return replace_lone_surrogates(data)
        case dict():
            return {cleaned(key): cleaned(value) for key, value in data.items()}
        case list() if not all(isinstance(value, int | float) for value in data):
            return [cleaned(value) for value in data]
    return data
