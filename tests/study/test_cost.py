"""What a study will take: engines on places, and a plan from what was measured."""

import pytest

from fidelity.study.cost import Pace, makespan
from fidelity.study.plan import Plan, Planned


@pytest.mark.parametrize(
    ("engines", "places", "seconds"),
    [
        ([], 2, 0),
        ([(1, 30), (1, 20), (1, 10)], 1, 60),
        ([(1, 30), (1, 20), (1, 10)], 2, 30),
        ([(1, 30), (1, 20), (1, 20)], 2, 40),  # the last one begins after 20 s
        ([(2, 10), (1, 30), (1, 5)], 2, 40),  # the wide one first, then both others side by side
        ([(4, 10), (2, 10), (2, 10), (1, 10)], 4, 30),
        ([(4, 10)], 2, 10),  # it could never run, which the study reports
    ],
)
def test_engines_on_places(engines, places, seconds):
    assert makespan(engines, places) == seconds


def test_decoding_reads_all_weights_for_each_token():
    assert Pace(bytes_per_second=2e12).seconds(tokens=1000, weights=4_000_000_000) == pytest.approx(2.0)
    assert Pace().seconds(1000, 4) is None


def planned(name, seconds, *, model="base", scores=True, **keys):
    return Planned("f", name, "to run", 10, 100, 10, seconds, model=model, scores=scores, **keys)


def test_time_and_price_of_a_plan():
    runs = (planned("base", 50.0, price_per_hour=7.2), planned("base.control1", 50.0), planned("a", 40.0, model="a"))
    # base: 100 s of start, 2 runs of 50 s, scored for as long; a: 100 + 2 * 40.
    one, two = Plan(runs, start=100.0), Plan(runs, start=100.0, places=2)
    assert (one.seconds, two.seconds) == (480.0, 300.0)
    assert list(one.lines())[-1] == "time: about 8 min at most, with 2 min for each start; price: about 0.96 at most"
    assert "5 min at most with 2 places for engines" in list(two.lines())[-1]


def test_what_is_finished_takes_nothing():
    assert Plan((Planned("f", "base", "finished", 10, 0, 10, None),), start=100.0).seconds == 0.0
