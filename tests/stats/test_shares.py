"""Intervals of shares, tests of breaks, and corrections for several tests, against scipy and by hand."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats as scipy_stats

from fidelity import stats


@pytest.mark.parametrize(("k", "n"), [(0, 12), (1, 30), (7, 20), (30, 30), (13, 500)])
def test_clopper_pearson_equals_scipy(k, n):
    for confidence in (0.9, 0.95):
        two_sided = scipy_stats.binomtest(k, n).proportion_ci(confidence, method="exact")
        assert stats.clopper_pearson(k, n, confidence=confidence) == pytest.approx(tuple(two_sided), abs=1e-12)
        upper = scipy_stats.binomtest(k, n, alternative="less").proportion_ci(confidence, method="exact")
        assert stats.clopper_pearson(k, n, confidence=confidence, side="upper") == pytest.approx(
            tuple(upper), abs=1e-12
        )
        lower = scipy_stats.binomtest(k, n, alternative="greater").proportion_ci(confidence, method="exact")
        assert stats.clopper_pearson(k, n, confidence=confidence, side="lower") == pytest.approx(
            tuple(lower), abs=1e-12
        )


def test_clopper_pearson_of_nothing_and_of_nonsense():
    assert stats.clopper_pearson(0, 0) == (0, 1)
    with pytest.raises(ValueError, match="3 of 2"):
        stats.clopper_pearson(3, 2)


def test_smallest_resolvable_share_is_the_upper_bound_of_no_case():
    assert stats.smallest_resolvable_share(59) == pytest.approx(1 - 0.05 ** (1 / 59))
    assert stats.smallest_resolvable_share(59) == pytest.approx(stats.clopper_pearson(0, 59, side="upper")[1])
    assert stats.smallest_resolvable_share(0) == 1


def test_mcnemar_by_hand():
    assert stats.mcnemar(0, 0) == 1
    assert stats.mcnemar(0, 4) == 1
    assert stats.mcnemar(5, 0) == pytest.approx(1 / 32)
    assert stats.mcnemar(6, 2) == pytest.approx(37 / 256)  # (28 + 8 + 1) / 2^8
    assert stats.mcnemar(30, 11) == pytest.approx(scipy_stats.binomtest(30, 41, alternative="greater").pvalue)


def test_holm_by_hand():
    # sorted 0.01, 0.03, 0.04: times 3, 2, 1 = 0.03, 0.06, 0.04, and never less than the one before
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([0.6, 0.7]) == [1, 1]
    assert stats.holm([]) == []


def test_benjamini_hochberg_equals_scipy():
    p_values = list(np.random.default_rng(0).random(12))
    assert stats.benjamini_hochberg(p_values) == pytest.approx(list(scipy_stats.false_discovery_control(p_values)))
    assert stats.benjamini_hochberg([]) == []


def test_importing_the_statistics_loads_no_scipy():
    code = "import sys, fidelity.stats; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
