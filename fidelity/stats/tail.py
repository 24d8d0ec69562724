"""The worst prompts of several runs of a baseline and of a candidate: what is compared, and how far runs move it."""

from itertools import combinations

import numpy as np

from fidelity.records import Floats
from fidelity.stats.bootstrap import TAIL
from fidelity.stats.run_noise import RunNoise, jackknife


def stars(candidate: Floats, floor: Floats) -> tuple[Floats, Floats]:
    """Columns whose tails can be compared: each is a run's mean similarity to the same number of others.

    A mean over more references varies less from prompt to prompt, so it has another tail. With K controls, each of the
    K + 1 runs of the baseline is compared with the K others, and the candidate with each K of the K + 1.

    Args:
        candidate: Its similarity to each reference: references x prompts.
        floor: Pairs of references, in the order of `itertools.combinations`, x prompts.

    Returns:
        Of the baseline's runs and of the candidate: K + 1 columns each, x prompts.
    """
    runs = range(len(candidate))
    pairs = list(combinations(runs, 2))
    own = [np.mean([floor[i] for i, pair in enumerate(pairs) if run in pair], axis=0) for run in runs]
    each = [np.mean([candidate[other] for other in runs if other != run], axis=0) for run in runs]
    return np.stack(own), np.stack(each)


def tail_noise(candidate: Floats, floor: Floats) -> RunNoise:
    """The noise of runs of `tail_excess`, as `run_noise` estimates it for a mean: asymptotic.

    With K >= 2 controls, each run of the baseline is taken for the candidate, with the others as its references. With
    one there is only the difference between the candidate's two tails.
    """
    references = len(candidate)
    if references == 2:
        return RunNoise(float(np.sqrt(0.75) * abs(np.subtract(*_tails(candidate)))), 1)
    pairs = list(combinations(range(references), 2))
    excess = []
    for run in range(references):
        own = np.stack([values for pair, values in zip(pairs, floor, strict=True) if run in pair])
        others = np.stack([values for pair, values in zip(pairs, floor, strict=True) if run not in pair])
        baseline, as_candidate = stars(own, others)
        excess.append(_tails(baseline).mean() - _tails(as_candidate).mean())
    return jackknife(np.array(excess))


def _tails(columns: Floats) -> Floats:
    tails: Floats = np.quantile(columns, TAIL, axis=1, method="averaged_inverted_cdf")
    return tails
