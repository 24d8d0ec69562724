"""Values that the tests of statistics share: ids, excesses as metrics give them, and distributions of known mean."""

import numpy as np

RANGE = {"low": -1.0, "high": 1.0}


def names(n):
    return [f"prompt-{i}" for i in range(n)]


def excesses(n, seed=0):
    """Dense and skewed, as an excess of ROUGE is: in [-1, 1], mean about 0.1."""
    rng = np.random.default_rng(seed)
    return rng.beta(8, 2, n) - rng.beta(7, 3, n)


SCENARIOS = {
    "dense and skewed": (lambda rng, shape: rng.beta(0.5, 4.5, shape), 0.1),
    "5% broken": (lambda rng, shape: (rng.random(shape) < 0.05) * 1.0, 0.05),
    "1% broken": (lambda rng, shape: (rng.random(shape) < 0.01) * 1.0, 0.01),
    "symmetric noise": (lambda rng, shape: rng.beta(8, 2, shape) - rng.beta(8, 2, shape), 0.0),
    "all or nothing": (lambda rng, shape: rng.choice([-1.0, 1.0], shape), 0.0),
    "rarely much better": (lambda rng, shape: 0.1 - (rng.random(shape) < 0.1) * 1.0, 0.0),
}
