"""The sign test against sums by hand."""

import pytest

from fidelity.stats import sign_test


@pytest.mark.parametrize(
    ("k", "n", "p"),
    [
        (0, 0, 1.0),
        (5, 5, 2 / 32),  # both ends of 2 ** 5
        (1, 6, 2 * (1 + 6) / 64),
        (3, 6, 1.0),
        (9, 10, 2 * (1 + 10) / 1024),
    ],
)
def test_by_hand(k, n, p):
    assert sign_test(k, n) == pytest.approx(p)
    assert sign_test(n - k, n) == pytest.approx(p)


def test_more_than_there_are_is_refused():
    with pytest.raises(ValueError, match="k"):
        sign_test(3, 2)
