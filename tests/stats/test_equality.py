"""The kernel two-sample test: a value by hand, false alarms, power, the symmetry of the sources."""

import numpy as np
import pytest

from fidelity.stats.equality import Kernel, equality_test, hamming_kernel


def test_equal_positions_count_and_padding_is_a_position():
    # "ab" against "abc", padded to 3: a, b are equal, the pad and c are not: 2/3.
    kernel = hamming_kernel(["ab", "xb"], ["abc", "ab"])
    np.testing.assert_allclose(kernel.values[0], [1, 2 / 3, 2 / 3, 1])
    np.testing.assert_allclose(np.diag(hamming_kernel(["", "日本"], ["é", "🙂"]).values), 1)


def test_the_unbiased_statistic_by_hand():
    # Within a: k(x1, x2) = 0.5; within b: 0.7; between, the mean of 0.1, 0.2, 0.3, 0.4 is 0.25: 0.5 + 0.7 - 0.5 = 0.7.
    values = np.array([[1, 0.5, 0.1, 0.2], [0.5, 1, 0.3, 0.4], [0.1, 0.3, 1, 0.7], [0.2, 0.4, 0.7, 1]])
    test = equality_test([Kernel(values, 2)], permutations=50, rng=np.random.default_rng(0))
    assert test.statistic == pytest.approx(0.7)


def _texts(rng, share, count=4):
    """Completions of 12 letters, each "a" with the given probability."""
    return ["".join(row) for row in np.where(rng.random((count, 12)) < share, "a", "b")]


def _audits(share, *, studies, prompts=20):
    rng = np.random.default_rng(7)
    kernels = ([hamming_kernel(_texts(rng, 0.5), _texts(rng, share)) for _ in range(prompts)] for _ in range(studies))
    return [equality_test(one, permutations=199, rng=rng) for one in kernels]


def test_false_alarms_are_as_rare_as_the_level():
    rejected = sum(test.p_value <= 0.05 for test in _audits(0.5, studies=400))
    assert rejected <= 33  # 20 are expected; more than 33 of 400 has a probability below 0.003


def test_a_difference_is_seen_and_its_power_estimated():
    tests = _audits(0.75, studies=20)
    assert sum(test.p_value <= 0.05 for test in tests) >= 18
    assert tests[0].power(level=0.05, rng=np.random.default_rng(0)) > 0.9


def test_the_order_of_the_sources_does_not_matter():
    rng = np.random.default_rng(1)
    a, b = _texts(rng, 0.5), _texts(rng, 0.8, count=3)
    one, other = (equality_test([hamming_kernel(*x)], permutations=9, rng=rng) for x in ((a, b), (b, a)))
    assert one.statistic == pytest.approx(other.statistic)


def test_one_completion_is_too_few():
    with pytest.raises(ValueError, match="two completions"):
        equality_test([hamming_kernel(["a"], ["a", "b"])], permutations=9, rng=np.random.default_rng(0))
