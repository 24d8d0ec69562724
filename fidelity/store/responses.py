"""Reading responses from Parquet, journals and exported baselines."""

import re
from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fidelity.records import Failure, Generation, Response

TOKEN_IDS = 2**31
"""The limit of token ids, which are 32-bit integers on disk."""
_FAILURE, _GENERATION = (frozenset(f.name for f in fields(kind)) for kind in (Failure, Generation))
_ADAPTERS: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in (Failure, Generation)}


def response_of(row: Mapping[str, Any]) -> Response:
    """The record in a row: a failure if there is a `failure`, else a generation. Other keys are ignored.

    Raises:
        ValueError: A field is missing, has another type, or is out of range.
    """
    kind: type[Failure] | type[Generation] = Generation
    known, given = _GENERATION, row
    if row.get("failure") is not None:
        kind, known = Failure, _FAILURE
        given = {**row, "reason": row["failure"], "cause": row.get("cause") or "model"}
    try:
        response: Response = _ADAPTERS[kind].validate_python(
            {key: value for key, value in given.items() if key in known}
        )
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, wrong['loc'])) or 'the row'}: {wrong['msg']}") from None
    for key in known:
        value = getattr(response, key)
        if isinstance(value, str) and not value.isascii() and re.search("[\ud800-\udfff]", value):
            raise ValueError(f"{key}: a lone surrogate, which is not a character")
    if isinstance(response, Generation):
        _check_numbers(response)
        if any(re.search("[\ud800-\udfff]", text) for call in response.tool_calls or () for text in call):
            raise ValueError("tool_calls: a lone surrogate, which is not a character")
    return response


def _check_numbers(generation: Generation) -> None:
    ids, logprobs = generation.token_ids, generation.logprobs
    if ids and not (min(ids) >= 0 and max(ids) < TOKEN_IDS):
        raise ValueError(f"token_ids: below 0, or not below {TOKEN_IDS:,}")
    if logprobs and not all(map(isfinite, logprobs)):
        raise ValueError("logprobs: not finite")
    if ids is not None and logprobs is not None and len(ids) != len(logprobs):
        raise ValueError(f"{len(ids)} token_ids but {len(logprobs)} logprobs")
