"""Gate lines in numbers for reading: nothing is rounded across its limit."""

import pytest

from fidelity.report.verdicts import line_cells, number
from tests.report.conftest import line


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        ({"outcome": "pass", "limit": 0.05, "lower": 0.01, "upper": 0.0499999}, "≤ +0.0499999"),
        ({"outcome": "fail", "limit": 0.05, "lower": 0.05004, "upper": 0.1}, "≥ +0.05004"),
        ({"outcome": "inconclusive", "limit": 0.05, "lower": -0.01, "upper": 0.0512}, "-0.010 to +0.051"),
        ({"outcome": "inconclusive"}, ""),
        ({"outcome": "fail", "kind": "break", "limit": 0.05, "lower": 0.0503}, "≥ 5.03%"),
    ],
)
def test_the_bound_is_the_side_that_decided_and_stays_on_it(given, bound):
    assert line_cells(line(**given), None, None)[4] == bound


def test_numbers():
    assert number(None) == ""
    assert number(-0.0001, sign=True) == "+0.000"  # no minus before nothing
    assert number(-0.0001) == "0.000"
    assert number(0.12345, sign=True) == "+0.123"
    assert number(110.0, digits=0) == "110"
    assert number(0.0456, share=True) == "4.6%"
