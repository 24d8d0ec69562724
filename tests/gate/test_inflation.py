"""A gate on length inflation, from recorded answers to the verdict, and what the price table makes of it."""

import json
import math

import pytest

from fidelity.comparison.stored import load_comparison
from fidelity.price.inflation import effective_speedup, length_inflation
from fidelity.stats import Ratio

PROMPTS = 60


def rows(longer=1.0, *, shift=0, ids=True):
    """Answers of 20 to 40 tokens, times `longer`; `shift` moves the lengths around without changing their sum."""
    made = []
    for n in range(PROMPTS):
        count = round((20 + (n + shift) * 8 % 21) * longer)
        answer = {"id": f"p{n}", "text": " ".join(f"w{n}-{i}" for i in range(count))}
        made.append({**answer, **({"token_ids": list(range(count))} if ids else {})})
    return made


@pytest.fixture
def judged(fidelity, workspace):
    def judged(candidate, margin=0.1):
        workspace.recorded("again", rows(shift=1))
        baseline = workspace.recorded("base", rows(), control={"path": "again.jsonl"}, metrics=["inflation"])
        workspace.file("gate.yaml", json.dumps({"margins": {"length_inflation": margin}}))
        quant = workspace.recorded("quant", candidate, label="INT4")
        code, out, err = fidelity("compare", baseline, quant, "--gate", "gate.yaml", "--json", "out.json")
        return code, " ".join((out + err).split()), json.loads((workspace.folder / "out.json").read_text())

    return judged


@pytest.mark.parametrize(("longer", "expected"), [(1.0, 0), (1.3, 1), (0.7, 0)])
def test_answers_that_get_longer_fail(judged, longer, expected):
    code, out, report = judged(rows(longer, shift=2))
    assert code == expected, out
    column = report["comparisons"][0]["columns"]["length_inflation"]
    assert column["mean"] == pytest.approx(longer, abs=0.03)
    # The control's answers have other lengths and (nearly) the same sum, so the floor is 1.
    assert column["excess"]["mean"] == pytest.approx(longer - 1, abs=0.03)


def test_answers_without_token_ids_can_not_pass(judged):
    candidate = rows()
    candidate[0].pop("token_ids")
    code, out, _ = judged(candidate)
    assert code == 2, out


def test_the_interval_is_over_prompts_and_holds_the_truth(judged, workspace):
    judged(rows(1.2, shift=3))
    (folder,) = (workspace.folder / "fidelity-store" / "comparisons").glob("base--quant-*")
    ratio = length_inflation(load_comparison(folder).candidates[0])
    assert ratio.n == PROMPTS
    assert ratio.low < ratio.value < ratio.high
    counts = [len(row["token_ids"]) for row in rows(1.2, shift=3)], [len(row["token_ids"]) for row in rows()]
    assert ratio.value == pytest.approx(sum(counts[0]) / sum(counts[1]))
    # Pairs are drawn together: the linearized standard error of a ratio of sums, by hand.
    residuals = [c - ratio.value * b for c, b in zip(*counts, strict=True)]
    error = math.sqrt(sum(r * r for r in residuals)) / sum(counts[1])
    assert ratio.high - ratio.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_effective_speedup_by_hand():
    speed, inflation = Ratio(1.5, 1.5 / 1.03, 1.5 * 1.03, 5, 0.95), Ratio(1.2, 1.2 / 1.04, 1.2 * 1.04, 60, 0.95)
    effective = effective_speedup(speed, inflation)
    assert effective.value == pytest.approx(1.25)
    # Both distances on the logarithm: sqrt(ln(1.03)^2 + ln(1.04)^2) = 0.0491.
    assert effective.low == pytest.approx(1.25 * math.exp(-0.0491), rel=1e-4)
    assert effective.high == pytest.approx(1.25 * math.exp(0.0491), rel=1e-4)
    assert effective_speedup(Ratio(1.5, None, None, 1, 0.95), inflation).low is None
