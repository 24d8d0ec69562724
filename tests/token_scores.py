"""Scores of tokens from distributions that a test writes down."""

import numpy as np

from fidelity.records import TokenScores, every_id


def scores(logits, tokens, *, top_k=None, prompt_id="p", repeat=0):
    """The token scores of a model with these logits, a row for each token; all of the vocabulary without top_k."""
    logits = np.asarray(logits, np.float64)
    log_p = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)
    tokens = np.asarray(tokens, np.int32)
    own = log_p[np.arange(len(tokens)), tokens]
    order = np.argsort(-log_p, axis=1, kind="stable")[:, :top_k]
    return TokenScores(
        prompt_id,
        token_ids=tokens,
        logprobs=own,
        ranks=1 + (log_p > own[:, None]).sum(axis=1).astype(np.int32),
        top_ids=every_id(*log_p.shape) if top_k is None else order.astype(np.int32),
        top_logprobs=log_p if top_k is None else np.take_along_axis(log_p, order, axis=1),
        repeat=repeat,
    )


def of_probabilities(rows, tokens, **keys):
    """The same from probabilities."""
    return scores(np.log(np.asarray(rows, np.float64)), tokens, **keys)
