"""Statistics of two runs over all tokens of the baseline's answers, as printed by llama.cpp's perplexity tool.

Read from the store, one answer at a time. No model is loaded.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from fidelity.errors import StoreError
from fidelity.metrics.exact_distributions import UnprovenError, exact_values
from fidelity.metrics.token_divergence import token_values
from fidelity.records import Floats
from fidelity.store.runs import Run
from fidelity.store.scored_pairs import both_scored, together

QUANTILES = (0.999, 0.99, 0.95, 0.9, 0.5, 0.1, 0.05, 0.01, 0.001)
"""The quantiles that the tool prints."""


@dataclass(frozen=True, slots=True)
class KlStatistics:
    """KL(baseline || other) over tokens, in nats."""

    tokens: int
    mean: float
    largest: float
    quantiles: dict[float, float]
    """Quantiles by share of the tokens, with linear interpolation."""


@dataclass(frozen=True, slots=True)
class TokenStatistics:
    """How another run scores the baseline's tokens, pooled over all answers. Every token counts equally."""

    tokens: int
    perplexity_baseline: float
    perplexity: float
    """Perplexity of the baseline's tokens, under the baseline and under the other run."""
    mean_delta_p: float
    rms_delta_p: float
    """Change of the probability of the baseline's tokens, as a fraction of 1 (the tool prints percent)."""
    same_top: float
    """Share of the positions at which both runs have the same most likely token."""
    acceptance: float
    """Lower bound of the expected acceptance rate; see `token_divergence.acceptance`."""
    acceptance_upper: float
    """Upper bound of the expected acceptance rate."""
    kl_lower_bound: KlStatistics
    tail_mass: float
    """Mean mass of the baseline's distribution that the lower bound treats as a single event."""
    kl: KlStatistics | None
    """KL over the whole vocabulary, of the answers that were scored at that depth."""
    acceptance_exact: float | None
    """The expected acceptance rate over the whole vocabulary, of the same answers."""

    @property
    def perplexity_ratio(self) -> float:
        """Above 1 if the other run finds the baseline's tokens less likely."""
        return self.perplexity / self.perplexity_baseline


def token_statistics(baseline: Run, other: Run, *, ignore_below: float | None = None) -> TokenStatistics:
    """Compare a control or a candidate with its baseline, token by token.

    Args:
        baseline: The baseline.
        other: A run that has scored the baseline's tokens.
        ignore_below: See `exact_distributions.exact_values`; the tool uses -16.

    Raises:
        StoreError: A run has no token scores, or no answer has a token. The message has the reason.
    """
    logprobs = []
    values = []
    for own, others in both_scored(baseline, other, whole_vocabulary=False):
        n = min(len(own.logprobs), len(others.logprobs))
        logprobs.append((own.logprobs[:n], others.logprobs[:n]))
        values.append(token_values(own, others))
    if not any(len(of_answer.drop) for of_answer in values):
        raise StoreError(f"{other.name} and {baseline.name} have no scored tokens in common")
    log_p, log_q = (np.concatenate([pair[side] for pair in logprobs]).astype(np.float64) for side in (0, 1))
    delta_p = np.exp(log_q) - np.exp(log_p)
    kl, rates = _exact(baseline, other, ignore_below)
    return TokenStatistics(
        tokens=len(log_p),
        perplexity_baseline=float(np.exp(-log_p.mean())),
        perplexity=float(np.exp(-log_q.mean())),
        mean_delta_p=float(delta_p.mean()),
        rms_delta_p=float(np.sqrt(np.mean(delta_p**2))),
        same_top=float(np.mean(np.concatenate([v.agree for v in values]))),
        acceptance=float(np.mean(np.concatenate([v.acceptance for v in values]))),
        acceptance_upper=float(np.mean(np.concatenate([v.acceptance_upper for v in values]))),
        kl_lower_bound=_kl_statistics([v.kl_lower_bound for v in values]),
        tail_mass=float(np.mean(np.concatenate([v.tail_mass for v in values]))),
        kl=_kl_statistics(kl) if kl else None,
        acceptance_exact=float(np.mean(np.concatenate(rates))) if rates else None,
    )


def _exact(baseline: Run, other: Run, ignore_below: float | None) -> tuple[list[Floats], list[Floats]]:
    """KL and acceptance of each answer from whole distributions; empty if there are none."""
    if isinstance(together(baseline, other, whole_vocabulary=True), str):
        return [], []
    pairs = both_scored(baseline, other, whole_vocabulary=True)
    with suppress(UnprovenError):
        values = [exact_values(*pair, ignore_below=ignore_below) for pair in pairs]
        return [one.kl for one in values], [one.acceptance for one in values]
    return [], []


def _kl_statistics(by_answer: list[Floats]) -> KlStatistics:
    kl = np.concatenate(by_answer)
    quantiles = {q: float(np.quantile(kl, q)) for q in QUANTILES}
    return KlStatistics(len(kl), float(kl.mean()), float(kl.max()), quantiles)
