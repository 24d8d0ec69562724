"""Alignment: in a band where texts are long, with what a whole table gives; stated limits where they differ much."""

import random

import numpy as np
import pytest
from rapidfuzz.distance import LCSseq, Levenshtein

from fidelity.metrics.edit import Edit, similarity
from fidelity.metrics.rouge import Rouge
from fidelity.text import alignment, alignment_limits
from fidelity.text.alignment import align
from fidelity.text.alignment_limits import most_differences
from tests import laws


def sum_in_a_whole_table(near, rows, columns):
    """Needleman and Wunsch without a band."""
    scores = np.zeros((rows, columns))
    for i, first in enumerate(near.first):
        scores[i, first : first + near.scores.shape[1]] = near.scores[i]
    best = np.zeros((rows + 1, columns + 1))
    for i in range(rows):
        for j in range(columns):
            best[i + 1, j + 1] = max(best[i, j] + scores[i, j], best[i, j + 1], best[i + 1, j])
    return best


@pytest.mark.parametrize(("rows", "columns"), [(90, 100), (150, 90), (130, 260), (260, 120)])
def test_a_band_has_the_sums_of_a_whole_table(rows, columns):
    draw = random.Random(rows)
    words = ["".join(draw.choices("abcd", k=4)) for _ in range(12)]
    a, b = ([" ".join(draw.choices(words, k=5)) for _ in range(size)] for size in (rows, columns))
    near = alignment._near(a, b, least=0.5)
    best, whole = alignment._Best(near, columns), sum_in_a_whole_table(near, rows, columns)
    for i in range(rows + 1):
        first = near.first[i - 1] if i else 0
        assert [best.at(i, j) for j in range(first, columns + 1)] == whole[i, first:].tolist()


def test_counterparts_in_long_texts():
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=5)) for _ in range(400)]
    units = [" ".join(draw.choices(words, k=8)) for _ in range(3000)]
    changed = [unit.replace(unit.split()[3], "changed") if n % 3 == 0 else unit for n, unit in enumerate(units)]
    del changed[1500:1510]
    matches = {m.baseline[0]: m.candidate for m in align(units, changed)}
    assert all(matches[n] == (n if n < 1500 else n - 10,) for n in range(3000) if not 1495 < n < 1515)


class TestLimits:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch):
        monkeypatch.setattr(alignment_limits, "CELLS", 1_000_000)

    def test_units_beyond_latin_cost_more(self):
        assert most_differences("a" * 1000, "b" * 1000) is None
        assert most_differences("文" * 1000, "b" * 1000) == 90
        assert most_differences([1] * 1000, [2] * 1000) == 50
        assert most_differences([], []) is None

    def test_long_texts_that_are_nearly_equal_have_exact_values(self):
        a = "".join(random.Random(1).choices("abcdefgh ", k=5000))
        b = a[:2000] + "xyz" + a[2010:]
        assert similarity(a, b) == 1 - Levenshtein.distance(a, b) / 5000
        ids = list(range(4000))
        words, other = " ".join(f"w{n}" for n in ids), " ".join(f"w{n}" for n in ids if n % 1000)
        by_name = {c.name: c.values[0] for c in Rouge().score([laws.pair(words, other)])}
        shared = LCSseq.similarity(words.split(), other.split())
        assert by_name["rougeL"] == by_name["rougeLsum"] == 2 * shared / (4000 + 3996)

    def test_long_texts_that_differ_much_are_unscored_for_the_candidate(self):
        draw = random.Random(2)
        a, b = ("\n".join(" ".join(draw.choices("abcdefghij", k=20)) for _ in range(100)) for _ in range(2))
        columns = {c.name: c for metric in (Rouge(), Edit(profile=True)) for c in metric.score([laws.pair(a, b)])}
        unscored = {name for name, column in columns.items() if column.values[0] is None}
        assert {"rougeL", "rougeLsum", "edit_chars", "edit_words"} <= unscored
        assert not {"rouge1", "rouge2"} & unscored
        assert {columns[name].sides[0] for name in unscored} == {"candidate"}
        assert columns["rougeL"].judged_values == (0.0,)
