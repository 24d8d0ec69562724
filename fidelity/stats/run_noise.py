"""The noise of runs: how much a mean excess varies with the batches of its runs.

Prompts in a batch share its noise, so a mean over prompts contains some of it for any number of prompts. Only
differences between runs show how much. docs/statistics.md has the model and measurements.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fidelity.records import Floats


@dataclass(frozen=True, slots=True)
class RunNoise:
    """The variation of a mean excess with other runs on the same prompts, beyond what prompts explain."""

    error: float
    """Standard error, in the column's unit; 0 if the runs vary no more than their prompts do."""
    freedom: int
    """Degrees of freedom: the number of controls."""

    def distance(self, confidence: float) -> float:
        """From the mean to a one-sided bound: Student's t times the error. Asymptotic: normal noise of runs."""
        from scipy.special import stdtrit

        return float(stdtrit(self.freedom, confidence)) * self.error if self.error else 0.0


def run_noise(candidate: Floats, floor: Floats, *, weights: Floats | None = None) -> RunNoise:
    """Estimate the noise of runs of a mean excess, with all of a baseline's runs as references.

    With K >= 2 controls each of the K + 1 runs is compared with the others as if it were the candidate. Their mean
    excesses h_r have no true excess in them, and K (K + 2) / (K + 1)^3 sum h_r^2 estimates what the candidate's
    varies by (jackknife, K degrees of freedom). From three controls on, half of what independent prompts would give
    by themselves is subtracted, since the prompts' share includes it already; with fewer controls the estimate would
    be too small too often. With one control there are only the candidate's means to its two references: 3/4 of their
    squared difference, one degree of freedom. docs/statistics.md has the alternatives that were tried.

    Args:
        candidate: References x prompts.
        floor: Pairs of references, in the order of `itertools.combinations`, x prompts.
        weights: The prompts' weights. Default: equal.
    """
    shares = np.ones(candidate.shape[1]) if weights is None else weights
    if not shares.sum():
        return RunNoise(0.0, max(1, len(candidate) - 1))
    shares = shares / shares.sum()
    controls = len(candidate) - 1
    if controls == 1:
        difference = float((candidate[0] - candidate[1]) @ shares)
        return RunNoise(_no_rounding(float(np.sqrt(0.75)) * abs(difference)), 1)
    pairs = list(combinations(range(controls + 1), 2))
    excess = np.stack([_excess_as_candidate(run, floor, pairs) for run in range(controls + 1)])
    means = excess @ shares
    by_prompts = ((excess - means[:, None]) ** 2) @ shares**2
    return jackknife(means, by_prompts=float(by_prompts.sum()) / 2 if controls > 2 else 0.0)


def jackknife(excess: Floats, *, by_prompts: float = 0.0) -> RunNoise:
    """The noise of runs from the excess of each of the baseline's runs, with the others as its references.

    `by_prompts` is subtracted from the sum of their squares, if another share of the bound already includes it.
    """
    controls = len(excess) - 1
    variance = controls * (controls + 2) / (controls + 1) ** 3 * float((excess**2).sum() - by_prompts)
    return RunNoise(_no_rounding(float(np.sqrt(max(0.0, variance)))), controls)


def _excess_as_candidate(run: int, floor: Floats, pairs: list[tuple[int, int]]) -> Floats:
    """By prompt: the mean of the pairs without a run minus the mean of its pairs."""
    own = np.array([run in pair for pair in pairs])
    excess: Floats = floor[~own].mean(axis=0) - floor[own].mean(axis=0)
    return excess


def _no_rounding(error: float) -> float:
    """The noise; exactly 0 for equal runs."""
    return error if error > 1e-12 else 0.0
