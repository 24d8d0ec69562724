"""Where free-running answers first diverge from the baseline: how soon, and whether at a near tie.

Both runs have scored the baseline's tokens (teacher forcing), so at the first divergence the probabilities of both
tokens are known from both runs. Everything is read from the store; no model is loaded.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fidelity.metrics.token_divergence import gap_change, log_probability
from fidelity.records import TokenScores
from fidelity.store.manifests import DivergenceCounts
from fidelity.store.runs import Run
from fidelity.store.scored_pairs import both_scored, together
from fidelity.text.units import first_difference

NOISE_QUANTILE = 0.99
"""Quantile of the change of the gap between the baseline's first and second token that counts as noise."""
AnswerTokens = dict[tuple[str, int], list[int]]


@dataclass(frozen=True, slots=True)
class Survival:
    """How long answers stay equal to the baseline's, token by token."""

    diverged_at: tuple[int, ...]
    """Sorted positions (from 0) of the first divergence, of the answers that diverge."""
    answers: int
    """The number of answers that both runs have."""

    def share_at(self, token: int) -> float:
        """Share of the answers that have not diverged at or before this position, or that never diverge."""
        return 1.0 - bisect_right(self.diverged_at, token) / self.answers if self.answers else 1.0

    def curve(self) -> list[tuple[int, float]]:
        """The steps of the survival curve, from (0, 1.0): the share that has not diverged after a number of tokens."""
        return [(0, 1.0), *((place + 1, self.share_at(place)) for place in sorted(set(self.diverged_at)))]


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first token in which an answer differs from the baseline's. Log-probabilities in nats; None if unknown."""

    prompt_id: str
    repeat: int
    position: int
    """The position, from 0."""
    baseline_token: int
    other_token: int
    baseline_logprobs: tuple[float, float | None]
    """The baseline's log-probabilities of its token and of the other run's token."""
    other_logprobs: tuple[float, float | None]
    """The other run's log-probabilities of the same two tokens."""
    margin: float
    """The baseline's preference for its own token; a lower bound if it has no score of the other token."""
    near_tie: bool | None
    """Whether the margin is within the controls' noise; None without a control with token scores, and at a temperature
    above 0."""


def count_divergences(baseline: Run, other: Run, *, noise: float | None) -> DivergenceCounts:
    """Counts of where the drift of a control or a candidate starts."""
    surviving, points = survival(baseline, other), divergences(baseline, other, noise=noise)
    near = [point.near_tie for point in points if point.near_tie is not None]
    return DivergenceCounts(
        answers=surviving.answers,
        diverged=len(surviving.diverged_at),
        near_ties=near.count(True),
        minds_changed=near.count(False),
    )


def survival(baseline: Run, other: Run) -> Survival:
    """How long the answers of a control or a candidate equal the baseline's. Runs without token ids have no answers."""
    baseline_answers, other_answers = _answers(baseline), _answers(other)
    places = [
        _diverges_at(baseline_answers[key], other_answers[key])
        for key in baseline_answers.keys() & other_answers.keys()
    ]
    return Survival(tuple(sorted(place for place in places if place is not None)), len(places))


def noise(baseline: Run, controls: Sequence[Run]) -> float | None:
    """The controls' noise in nats: how much the gap between the baseline's two most likely tokens varies in them.

    The 99% quantile of |gap in the control - gap in the baseline| over all tokens of all controls. A control differs
    only in its batches, so a margin within this noise can reverse without any quantization.
    """
    scored = [c for c in controls if not isinstance(together(baseline, c, whole_vocabulary=False), str)]
    changes = [
        gap_change(*pair) for control in scored for pair in both_scored(baseline, control, whole_vocabulary=False)
    ]
    known = np.concatenate([np.zeros(0), *changes])
    known = known[np.isfinite(known)]
    return float(np.quantile(known, NOISE_QUANTILE)) if len(known) else None


def divergences(baseline: Run, other: Run, *, noise: float | None) -> list[Divergence]:
    """Every divergence at which both answers still have a token, sorted by position.

    Empty if the runs have no token scores.

    Args:
        baseline: The baseline.
        other: A control or a candidate.
        noise: The result of `noise`.
    """
    if isinstance(together(baseline, other, whole_vocabulary=False), str):
        return []
    baseline_answers, other_answers = _answers(baseline), _answers(other)
    sampling = baseline.manifest.sampling
    noise = None if sampling and sampling.temperature > 0 else noise
    points = []
    for p, q in both_scored(baseline, other, whole_vocabulary=False):
        key = p.prompt_id, p.repeat
        place = (
            _diverges_at(baseline_answers[key], other_answers[key])
            if key in baseline_answers and key in other_answers
            else None
        )
        if place is not None and place < min(len(p.token_ids), len(q.token_ids), len(other_answers[key])):
            points.append(_divergence(p, q, place, other_answers[key][place], noise))
    return sorted(points, key=lambda point: point.position)


def _divergence(p: TokenScores, q: TokenScores, place: int, token: int, noise: float | None) -> Divergence:
    own = float(p.logprobs[place])
    others = log_probability(p, place, token)
    margin = own - (float(p.top_logprobs[place, -1]) if others is None else others)
    return Divergence(
        prompt_id=p.prompt_id,
        repeat=p.repeat,
        position=place,
        baseline_token=int(p.token_ids[place]),
        other_token=token,
        baseline_logprobs=(own, others),
        other_logprobs=(float(q.logprobs[place]), log_probability(q, place, token)),
        margin=margin,
        near_tie=None if noise is None else margin <= noise,
    )


def _answers(run: Run) -> AnswerTokens:
    rows = run.read(["prompt_id", "repeat", "token_ids"]).to_pylist()
    return {(row["prompt_id"], row["repeat"] or 0): row["token_ids"] for row in rows if row["token_ids"] is not None}


def _diverges_at(baseline_tokens: Sequence[int], other_tokens: Sequence[int]) -> int | None:
    """The first differing position; the shorter length if one is a prefix of the other, None if they are equal."""
    return None if baseline_tokens == other_tokens else first_difference(baseline_tokens, other_tokens)
