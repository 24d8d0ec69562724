import numpy as np
import pytest

from fidelity.metrics import vectors
from fidelity.metrics.vectors import best_matches, harmonic_mean, within_unit


@pytest.mark.parametrize(("m", "n"), [(1, 1), (7, 3), (2, 9), (0, 4), (4, 0)])
def test_blocks_give_what_the_whole_matrix_gives(m, n, monkeypatch):
    monkeypatch.setattr(vectors, "_BLOCK", 2)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, 5), np.float32), rng.standard_normal((n, 5), np.float32)
    best_a, best_b = best_matches(a, b)
    assert best_a == pytest.approx((a @ b.T).max(axis=1, initial=-1), abs=1e-6)
    assert best_b == pytest.approx((a @ b.T).max(axis=0, initial=-1), abs=1e-6)


def test_harmonic_mean_by_hand():
    assert harmonic_mean(1.0, 0.5) == pytest.approx(2 / 3)
    assert harmonic_mean(0.0, 0.0) == 0.0


def test_rounding_errors_of_a_cosine_stay_within_zero_and_one():
    assert [within_unit(x) for x in (1.0000001, 0.5, -0.2)] == [1.0, 0.5, 0.0]
