"""vLLM's scores of a prompt's tokens (`prompt_logprobs`), as the arrays of a record."""

from collections.abc import Iterator
from typing import Any

from fidelity.children.arrays import packed
from fidelity.children.vllm_hidden_states import StateRecorder
from fidelity.children.wire import JsonRecord


def number(output: Any) -> int:
    """The number of its request, in the order of submission."""
    return int(output.request_id)


def in_order(outputs: Iterator[Any], first: int) -> Iterator[Any]:
    """Yield outputs in the order of their requests, as early as possible, since they are large."""
    early: dict[int, Any] = {}
    for output in outputs:
        early[number(output)] = output
        while first in early:
            yield early.pop(first)
            first += 1


def token_scores(
    prompt_logprobs: Any, continuation: list[int], top_k: int, hidden_states: StateRecorder | None = None
) -> JsonRecord:
    """The arrays of a record of `score_tokens`, from the `FlatLogprobs` of a prompt that ends with the continuation.

    Each position has the token's entry and then the most likely ones. vLLM counts equally likely tokens into a rank;
    here only more likely tokens count, as far as they are known. `hidden_states` are those of all requests in the
    engine, if they were recorded.
    """
    import numpy as np

    n = len(continuation)
    start = prompt_logprobs.start_indices[len(prompt_logprobs.start_indices) - n] if n else len(prompt_logprobs.ranks)
    table = (n, -1 if n else 1)
    ids = np.asarray(prompt_logprobs.token_ids[start:], np.int32).reshape(table)
    logprobs = np.asarray(prompt_logprobs.logprobs[start:], np.float32).reshape(table)
    ranks = np.asarray(prompt_logprobs.ranks[start:], np.int32).reshape(table)
    own, top, top_ids = logprobs[:, :1], logprobs[:, 1:], ids[:, 1:]
    listed = own >= top[:, -1:] if top.shape[1] else np.zeros((n, 1), bool)
    own_ranks = np.where(listed[:, 0], 1 + (top > own).sum(axis=1), ranks[:, 0])
    if top_k < 0:
        by_id = np.empty_like(top)
        np.put_along_axis(by_id, top_ids, top, axis=1)
        top = by_id
    hidden = {} if hidden_states is None else {"hidden": hidden_states.record(top)}
    return {
        **hidden,
        "token_ids": packed(ids[:, 0], "<i4"),
        "logprobs": packed(own, "<f4"),
        "ranks": packed(own_ranks, "<i4"),
        "top_ids": None if top_k < 0 else packed(top_ids, "<i4"),
        "top_logprobs": packed(top, "<f4"),
    }
