"""One answer of the baseline, token by token, with both models' scores, for display."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fidelity.errors import StoreError
from fidelity.metrics.token_divergence import token_values
from fidelity.records import TokenScores
from fidelity.store.runs import Run
from fidelity.store.scored_pairs import together


@dataclass(frozen=True, slots=True)
class Alternative:
    """A likely token at a position."""

    token: int
    text: str
    logprob: float
    """Nats."""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token of the baseline's answer with both models' scores. Log-probabilities are in nats."""

    position: int
    """The position, from 0."""
    token: int
    text: str
    """The token's text; its id if no engine reported the text."""
    baseline_logprob: float
    other_logprob: float
    baseline_rank: int
    other_rank: int
    """From 1; 0 if the engine doesn't report ranks."""
    gap: float
    """The gap between the baseline's first and second token."""
    agree: bool
    """Whether both models have the same most likely token."""
    kl_lower_bound: float
    baseline_top: tuple[Alternative, ...]
    other_top: tuple[Alternative, ...]
    """The most likely tokens, in order."""
    tie: bool = False
    """Whether the baseline's two most likely tokens are exactly equally likely, so their order is arbitrary."""


def token_table(baseline: Run, other: Run, prompt_id: str, *, repeat: int = 0, top: int = 5) -> list[TokenRow]:
    """Return one answer's tokens, with the `top` alternatives of both models.

    Raises:
        StoreError: There are no token scores, or none of this answer. The message has the reason.
    """
    both = together(baseline, other, whole_vocabulary=False)
    if isinstance(both, str):
        raise StoreError(both)
    baseline_scores, other_scores = (scores.get(prompt_id, repeat) for scores in both)
    if baseline_scores is None or other_scores is None:
        raise StoreError(f"{baseline.name} and {other.name} did not both score the answer to {prompt_id}")
    texts = {**both[1].texts, **both[0].texts}
    values = token_values(baseline_scores, other_scores)
    return [
        TokenRow(
            position=place,
            token=int(token),
            text=texts.get(int(token), str(token)),
            baseline_logprob=float(baseline_scores.logprobs[place]),
            other_logprob=float(other_scores.logprobs[place]),
            baseline_rank=int(baseline_scores.ranks[place]),
            other_rank=int(other_scores.ranks[place]),
            gap=float(values.gap[place]),
            agree=bool(values.agree[place]),
            kl_lower_bound=float(values.kl_lower_bound[place]),
            baseline_top=_alternatives(baseline_scores, place, top, texts),
            other_top=_alternatives(other_scores, place, top, texts),
            tie=bool(values.tie[place]),
        )
        for place, token in enumerate(baseline_scores.token_ids[: len(values.drop)])
    ]


def token_texts(baseline: Run, others: Sequence[Run]) -> dict[int, str]:
    """The texts of the tokens that engines have scored, by id; empty without token scores."""
    texts: dict[int, str] = {}
    for other in others:
        both = together(baseline, other, whole_vocabulary=False)
        for scores in () if isinstance(both, str) else both:
            texts |= scores.texts
    return texts


def _alternatives(scores: TokenScores, place: int, top: int, texts: Mapping[int, str]) -> tuple[Alternative, ...]:
    ids, logprobs = scores.top_ids[place, :top].tolist(), scores.top_logprobs[place, :top].tolist()
    return tuple(Alternative(i, texts.get(i, str(i)), logprob) for i, logprob in zip(ids, logprobs, strict=True))
